/**
 * The log: what comes, and what has been. Filters are evaluated by the server, which says with every answer which filter
 * it applied; if that is not the one asked for, the page says so instead of showing something else.
 */
import { useQuery } from '@tanstack/react-query';
import { useRef } from 'react';
import { ApiError, answerOf, api, checkFilter } from '../../api/client';
import { existsOf, partOf, withPart } from '../../shared/filter';
import type { Pick } from '../../shared/logline';
import { Mark } from '../../shared/mark';
import { useGo, useSpan, useUrl } from '../../shared/nav';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import { Tabs } from '../../shared/ui/tabs';
import { ColumnMenu } from './ColumnMenu';
import { FieldList } from './FieldList';
import { FilterBar, filterKey } from './FilterBar';
import { Histogram } from './Histogram';
import { LiveList } from './LiveList';
import { PastList } from './PastList';
import { PatternList } from './PatternList';
import { RecordDrawer } from './RecordDrawer';
import { Timeline } from './Timeline';
import { type Lines, useLines } from './useLines';

const SUMMARY_EVERY_MS = 10_000;

export function Logs() {
  const { where = '', past, record, tab } = useUrl();
  const shownTab = TABS.find(({ value }) => value === tab)?.value ?? 'records';
  const go = useGo();
  const { fixed } = useSpan(SUMMARY_EVERY_MS);
  const applied = useApplied(where);
  const summary = useSummary(applied.where);
  const showsPast = past === true || fixed;
  const lines = useLines();
  const pick: Pick = (column, value, exclude) =>
    go({ where: withPart(where, partOf(column, exclude ? '!=' : '=', value)) });
  if (lines === null)
    return (
      <p className="p-4 text-muted">
        No table of this dataflow has an event time, so there are no records to list. Give a source a
        WATERMARK, and its table appears here.
      </p>
    );
  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full">
      <FilterBar columns={lines?.known ?? []} />
      {applied.refused !== null && <Refused error={applied.refused} shown={applied.where} />}
      <div
        className={cn('flex min-h-0 flex-1 gap-3', applied.refused !== null && 'opacity-60')}
        data-where={applied.where ?? undefined}
      >
        {lines && (
          <FieldList
            summary={summary}
            lines={lines}
            onPick={pick}
            onExists={(column, exists) => go({ where: withPart(where, existsOf(column, exists)) })}
          />
        )}
        <div className="flex min-h-0 min-w-0 flex-1 flex-col gap-3">
          <Histogram summary={summary} />
          <Tabs
            label="Views of the records"
            value={shownTab}
            onChange={value => go({ tab: value === 'records' ? undefined : value } as object)}
            tabs={TABS}
            aside={lines && shownTab !== 'patterns' && <ColumnMenu lines={lines} />}
          >
            {lines && shownTab === 'records' && (
              <List where={applied.where} lines={lines} onPick={pick} showsPast={showsPast} />
            )}
            {shownTab === 'patterns' && <PatternList key={applied.where} where={applied.where} />}
            {lines && shownTab === 'timeline' && (
              <Timeline where={applied.where} lines={lines} onPick={pick} />
            )}
          </Tabs>
        </div>
        {record !== undefined && <RecordDrawer id={record} known={lines?.known ?? []} onPick={pick} />}
      </div>
    </div>
  );
}

const TABS = [
  { value: 'records', label: 'Records' },
  { value: 'patterns', label: 'Patterns' },
  { value: 'timeline', label: 'Timeline' },
] as const;

interface ListProps {
  where: string | null;
  lines: Lines;
  onPick: Pick;
  showsPast: boolean;
}

function List({ showsPast, ...rest }: ListProps) {
  return showsPast ? <PastList {...rest} /> : <LiveList {...rest} />;
}

/** That the filter of the address is not the one below, and which is. */
function Refused({ error, shown }: { error: Error; shown: string | null }) {
  const go = useGo();
  return (
    <p role="alert" className="flex flex-wrap items-center gap-x-2" data-refused>
      <Mark tone="critical" word="filter refused" />{' '}
      <span className="text-critical">
        {/[.?!]$/.test(error.message) ? error.message : `${error.message}.`}
      </span>
      {shown !== null && (
        <>
          <span className="text-muted">
            Below are the records of {shown === '' ? 'no filter' : <code className="font-mono">{shown}</code>}
            .
          </span>
          <Button
            kind="quiet"
            className="h-6"
            onClick={() => go({ where: shown === '' ? undefined : shown } as object)}
          >
            Back to it
          </Button>
        </>
      )}
    </p>
  );
}

/**
 * The filter whose records are shown: the one of the address once the server has taken it, and none (`null`) while it is
 * asked. One that it refuses leaves those of the last good one.
 */
function useApplied(where: string): { where: string | null; refused: Error | null } {
  const good = useRef<string | null>(null);
  const { error, isSuccess } = useQuery({
    queryKey: filterKey(where),
    queryFn: ({ signal }) => checkFilter(where, signal),
    staleTime: Number.POSITIVE_INFINITY,
    enabled: where !== '',
  });
  if (where === '' || isSuccess) good.current = where;
  if (where === good.current) return { where, refused: null };
  // A server that is away has refused nothing.
  const refused = error instanceof ApiError && error.code === 'bad_filter' ? error : null;
  if (refused !== null) return { where: good.current ?? '', refused };
  return { where: error === null ? null : where, refused: null };
}

function useSummary(where: string | null) {
  const { from, to, fixed } = useSpan(SUMMARY_EVERY_MS);
  return useQuery({
    queryKey: ['log summary', where ?? '', from, to],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/logs/summary', {
          params: { query: { from: String(from), to: String(to), ...(where ? { where } : {}) } },
          signal,
        }),
      ),
    enabled: where !== null,
    placeholderData: (before, query) => (query?.queryKey[1] === (where ?? '') ? before : undefined),
    staleTime: fixed ? Number.POSITIVE_INFINITY : SUMMARY_EVERY_MS,
  });
}

export type SummaryQuery = ReturnType<typeof useSummary>;

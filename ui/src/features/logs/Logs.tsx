/**
 * The log: what comes, and what has been. Filters are evaluated by the server, which says with every answer which filter
 * it applied; if that is not the one asked for, the page says so instead of showing something else.
 */
import { useQuery } from '@tanstack/react-query';
import { useRef } from 'react';
import { ApiError, answerOf, api, checkFilter } from '../../api/client';
import { partOf, withPart } from '../../shared/filter';
import type { Pick } from '../../shared/logline';
import { Mark } from '../../shared/mark';
import { useGo, useSpan, useUrl } from '../../shared/nav';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import { Facets } from './Facets';
import { FilterBar, filterKey } from './FilterBar';
import { Histogram } from './Histogram';
import { LiveList } from './LiveList';
import { PastList } from './PastList';
import { RecordDrawer } from './RecordDrawer';

const SUMMARY_EVERY_MS = 10_000;

export function Logs() {
  const { where = '', past, record } = useUrl();
  const go = useGo();
  const { fixed } = useSpan(SUMMARY_EVERY_MS);
  const applied = useApplied(where);
  const summary = useSummary(applied.where);
  const showsPast = past === true || fixed;
  const pick: Pick = (column, value, exclude) =>
    go({ where: withPart(where, partOf(column, exclude ? '!=' : '=', value)) });
  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full">
      <FilterBar />
      {applied.refused !== null && <Refused error={applied.refused} shown={applied.where} />}
      <div
        className={cn('flex min-h-0 flex-1 gap-3', applied.refused !== null && 'opacity-60')}
        data-where={applied.where ?? undefined}
      >
        <Facets summary={summary} onPick={pick} />
        <div className="flex min-h-0 min-w-0 flex-1 flex-col gap-3">
          <Histogram summary={summary} />
          {showsPast ? (
            <PastList where={applied.where} onPick={pick} />
          ) : (
            <LiveList where={applied.where} onPick={pick} />
          )}
        </div>
        {record !== undefined && <RecordDrawer id={record} onPick={pick} />}
      </div>
    </div>
  );
}

/** That the filter of the address is not the one below, and which is. */
function Refused({ error, shown }: { error: Error; shown: string | null }) {
  const go = useGo();
  return (
    <p role="alert" className="flex flex-wrap items-center gap-x-2" data-refused>
      <Mark tone="critical" word="filter refused" /> <span className="text-critical">{error.message}.</span>
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

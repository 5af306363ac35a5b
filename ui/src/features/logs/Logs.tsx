/**
 * The log: what comes, and what has been. Filters are evaluated by the server, which says with every answer which filter
 * it applied; if that is not the one asked for, the page says so instead of showing something else.
 */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { answerOf, api } from '../../api/client';
import { partOf, withPart } from '../../shared/filter';
import type { Pick } from '../../shared/logline';
import { useGo, useSpan, useUrl } from '../../shared/nav';
import { Facets } from './Facets';
import { FilterBar } from './FilterBar';
import { Histogram } from './Histogram';
import { LiveList } from './LiveList';
import { PastList } from './PastList';
import { RecordDrawer } from './RecordDrawer';

const SUMMARY_EVERY_MS = 10_000;

export function Logs() {
  const { where, past, record } = useUrl();
  const go = useGo();
  const { fixed } = useSpan(SUMMARY_EVERY_MS);
  const summary = useSummary();
  const [error, setError] = useState<string | null>(null);
  const showsPast = past === true || fixed;
  const pick: Pick = (column, value, exclude) =>
    go({ where: withPart(where, partOf(column, exclude ? '!=' : '=', value)) });
  // A filter the server refuses is told where it was typed.
  useEffect(() => setError(summary.error === null ? null : summary.error.message), [summary.error]);
  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full">
      <FilterBar error={error} />
      <div className="flex min-h-0 flex-1 gap-3">
        <Facets summary={summary} onPick={pick} />
        <div className="flex min-h-0 min-w-0 flex-1 flex-col gap-3">
          <Histogram summary={summary} />
          {showsPast ? <PastList onPick={pick} /> : <LiveList onPick={pick} />}
        </div>
        {record !== undefined && <RecordDrawer id={record} onPick={pick} />}
      </div>
    </div>
  );
}

function useSummary() {
  const { where } = useUrl();
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
    placeholderData: (before, query) => (query?.queryKey[1] === (where ?? '') ? before : undefined),
    staleTime: fixed ? Number.POSITIVE_INFINITY : SUMMARY_EVERY_MS,
  });
}

export type SummaryQuery = ReturnType<typeof useSummary>;

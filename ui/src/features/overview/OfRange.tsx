/** What else there is of a fixed range: its endpoints, and its newest records. All of it is stored. */
import { useQuery } from '@tanstack/react-query';
import { answerOf, api, askSql } from '../../api/client';
import type { LogRow } from '../../api/wire';
import { numberOf } from '../../shared/format';
import { useToday } from '../../shared/live';
import { useLogColumns } from '../../shared/logcolumns';
import { defaultLines, LINE_GRID, LogLine, lineStyle } from '../../shared/logline';
import { useGo, useSpan } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { SqlReceipt } from '../../shared/receipt';
import { answerState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import type { EndpointRow } from './model';
import { EndpointTable } from './TopEndpoints';

const SPAN_EVERY_MS = 30_000;
const LINES = 6;

export function EndpointsOfRange({ view }: { view: string }) {
  const { from, to } = useSpan(SPAN_EVERY_MS);
  const sql = sqlOf(view, from, to);
  const seconds = (to - from) / 1000;
  const asked = useQuery({
    queryKey: ['endpoints of range', sql],
    queryFn: async ({ signal }) => {
      const { rows } = await askSql(sql, { signal });
      return rows.map((row): EndpointRow => {
        const requests = numberOf(row.requests) ?? 0;
        return {
          endpoint: String(row.endpoint ?? '–'),
          perSecond: requests / seconds,
          errorShare: requests > 0 ? (100 * (numberOf(row.errors) ?? 0)) / requests : 0,
          p95_ms: numberOf(row.response_time_p95),
          change: null,
        };
      });
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <Panel
      title="Top endpoints"
      state={answerState(asked, asked.data?.length ?? null)}
      empty="No requests in this range."
      onRetry={() => void asked.refetch()}
      aside={
        <>
          <span>of the selected range</span>
          <SqlReceipt sql={sql} note="From the newest commit; p95 is the worst minute's." />
        </>
      }
    >
      <EndpointTable rows={asked.data ?? []} range={{ from, to }} />
    </Panel>
  );
}

function sqlOf(view: string, from: number, to: number): string {
  const time = (ms: number) => `'${new Date(ms).toISOString()}'`;
  return `SELECT endpoint, sum(requests) AS requests, sum(errors) AS errors, max(response_time_p95) AS response_time_p95
FROM lake.${view}
WHERE window_start >= ${time(from)} AND window_start < ${time(to)}
GROUP BY endpoint
ORDER BY requests DESC, endpoint
LIMIT 100`;
}

export function RangeLog() {
  const go = useGo();
  const today = useToday();
  const { from, to } = useSpan(SPAN_EVERY_MS);
  const asked = useQuery({
    queryKey: ['newest of range', from, to],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/logs', {
          params: { query: { from: String(from), to: String(to), limit: String(LINES) } },
          signal,
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const log = useLogColumns();
  const lines = log ? defaultLines(log) : [];
  const rows = (asked.data?.rows ?? []) as unknown as LogRow[];
  return (
    <Panel
      title="Newest records of the range"
      className="shrink-0"
      state={answerState(asked, asked.data === undefined ? null : rows.length)}
      empty="No stored records in this range."
      onRetry={() => void asked.refetch()}
      aside={
        <Button kind="quiet" className="h-6" onClick={() => go({ past: true }, '/logs')}>
          Open in Logs
        </Button>
      }
    >
      <ol
        className="px-3 pb-2 font-mono text-label"
        style={{ height: LINES * 20 + 8, ...lineStyle(lines, log?.has_level === true) }}
      >
        {rows.map(row => (
          <li key={row.id} className={cn(LINE_GRID, 'h-5')}>
            <LogLine row={row} columns={lines} hasLevel={log?.has_level === true} today={today} />
          </li>
        ))}
      </ol>
    </Panel>
  );
}

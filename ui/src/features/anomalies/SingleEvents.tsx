/**
 * Single bad records, counted over the chosen range. There are some at all times, so they are not listed one by one.
 */
import { useQuery } from '@tanstack/react-query';
import { answerOf, api } from '../../api/client';
import { partOf } from '../../shared/filter';
import { formatName, formatNumber, numberOf, textOf } from '../../shared/format';
import { useGo, useSpan } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { SqlReceipt } from '../../shared/receipt';
import { answerState } from '../../shared/state';

const EVERY_MS = 10_000;

function sqlOf({ from, to, fixed }: { from: number; to: number; fixed: boolean }): string {
  const time = (ms: number) => `TIMESTAMP '${new Date(ms).toISOString()}'`;
  return `SELECT anomaly_type, endpoint, sum(records) AS records, max(score) AS score
FROM anomalies
WHERE threshold IS NULL AND window_end > ${time(from)}${fixed ? ` AND window_start < ${time(to)}` : ''}
GROUP BY anomaly_type, endpoint
ORDER BY score DESC, records DESC
LIMIT 50`;
}

export function SingleEvents() {
  const go = useGo();
  const span = useSpan(EVERY_MS);
  const counts = useQuery({
    queryKey: ['single events', span.from, span.fixed ? span.to : null],
    queryFn: async ({ signal }) => {
      const sql = sqlOf(span);
      const answer = await answerOf(api.POST('/api/v1/sql', { body: { query: sql }, signal }));
      return { sql, rows: answer.rows as Record<string, unknown>[] };
    },
    staleTime: span.fixed ? Number.POSITIVE_INFINITY : EVERY_MS,
    placeholderData: before => before,
  });
  const rows = counts.data?.rows ?? [];
  return (
    <Panel
      title="Anomalous records"
      className="flex-[2]"
      state={answerState(counts, counts.data === undefined ? null : rows.length)}
      empty="No anomalous records in this range."
      onRetry={() => void counts.refetch()}
      aside={<SqlReceipt sql={counts.data?.sql} />}
    >
      <table className="w-full">
        <thead className="sticky top-0 bg-panel text-left text-label text-muted">
          <tr>
            <th className="px-3 font-normal">rule</th>
            <th className="px-2 font-normal">endpoint</th>
            <th className="px-3 text-right font-normal">records</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(row => {
            const endpoint = textOf(row.endpoint);
            return (
              <tr key={`${row.anomaly_type} ${endpoint}`} className="h-6 hover:bg-hover">
                <td className="px-3 whitespace-nowrap">{formatName(row.anomaly_type)}</td>
                <td className="px-2">
                  <button
                    type="button"
                    className="max-w-48 truncate hover:underline"
                    title="Show its records"
                    onClick={() =>
                      go(
                        {
                          where: `${partOf('anomaly_type', '=', String(row.anomaly_type))} AND ${partOf('endpoint', '=', endpoint)}`,
                          past: true,
                        },
                        '/logs',
                      )
                    }
                  >
                    {endpoint}
                  </button>
                </td>
                <td className="px-3 text-right">{formatNumber(numberOf(row.records))}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Panel>
  );
}

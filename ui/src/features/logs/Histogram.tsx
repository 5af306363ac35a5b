/** How many records there were, by level; brushing sets the range. */
import { useMemo } from 'react';
import { Chart, type Series } from '../../shared/chart';
import { formatNumber, formatTime } from '../../shared/format';
import { useGo } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { answerState } from '../../shared/state';
import type { SummaryQuery } from './Logs';

const ORDER = ['INFO', 'WARN', 'ERROR'];
const COLOURS: Record<string, Series['colour']> = { INFO: 'ok', WARN: 'warn', ERROR: 'critical' };

export function Histogram({ summary }: { summary: SummaryQuery }) {
  const go = useGo();
  const { data } = summary;
  const series = useMemo(
    () =>
      Object.entries(data?.by_level ?? {})
        .sort(([a], [b]) => ORDER.indexOf(a) - ORDER.indexOf(b))
        .map(
          ([level, values], at): Series => ({
            label: level,
            values,
            colour: COLOURS[level] ?? at,
            kind: 'area',
          }),
        ),
    [data],
  );
  const committed = data?.committed_epoch;
  return (
    <Panel
      title="Stored records"
      className="h-40 shrink-0"
      state={answerState(summary, data?.total ?? null)}
      empty="No stored record matches in this range. New ones are stored every few seconds."
      onRetry={() => void summary.refetch()}
      aside={
        data && (
          <>
            <span>{formatNumber(data.total)} match</span>
            {committed != null && <span>stored up to {formatTime(committed)} UTC</span>}
            <span>{formatNumber(data.elapsed_ms)} ms</span>
          </>
        )
      }
    >
      {data && (
        <Chart
          times={data.times}
          series={series}
          stacked
          unit=""
          height={60}
          summary={`${formatNumber(data.total)} stored records over time, by level.`}
          onRange={(from, to) =>
            go({
              range: undefined,
              from: new Date(Math.floor(from) * 1000).toISOString(),
              to: new Date(Math.ceil(to) * 1000).toISOString(),
            } as object)
          }
        />
      )}
    </Panel>
  );
}

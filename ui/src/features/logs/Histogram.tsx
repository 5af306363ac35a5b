/** How many records there were, by level; brushing sets the range. */
import { useMemo } from 'react';
import { Chart, type Series } from '../../shared/chart';
import { formatNumber, formatTime } from '../../shared/format';
import { type Tone, toneOfLevel } from '../../shared/mark';
import { useGo } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { answerState } from '../../shared/state';
import { zoneName } from '../../shared/zone';
import type { SummaryQuery } from './Logs';

/** From the least grave level, which lies at the bottom. */
const ORDER: readonly Tone[] = ['quiet', 'ok', 'warn', 'critical'];

function colourOf(level: string, at: number): Series['colour'] {
  const tone = toneOfLevel(level);
  return tone === 'ok' || tone === 'warn' || tone === 'critical' ? tone : at;
}

/** Steps that are not stored to their end yet are left open: their counts would look as if records became fewer. */
export function filled(
  values: readonly (number | null)[],
  times: readonly number[],
  committed_ms: number | null,
): (number | null)[] {
  const [first = 0, second = first] = times;
  return values.map((value, at) => {
    const end_s = (times[at] ?? 0) + (second - first);
    return committed_ms !== null && committed_ms < end_s * 1000 ? null : value;
  });
}

export function Histogram({ summary }: { summary: SummaryQuery }) {
  const go = useGo();
  // While another range is asked for, that there was nothing in the one before says nothing of it.
  const data = summary.isPlaceholderData && summary.data?.total === 0 ? undefined : summary.data;
  const series = useMemo(
    () =>
      Object.entries(data?.by_level ?? {})
        .sort(([a], [b]) => ORDER.indexOf(toneOfLevel(a)) - ORDER.indexOf(toneOfLevel(b)))
        .map(
          ([level, values], at): Series => ({
            label: level,
            values: filled(values, data?.times ?? [], data?.committed_epoch ?? null),
            colour: colourOf(level, at),
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
      empty="No stored records match in this range."
      onRetry={() => void summary.refetch()}
      aside={
        data && (
          <>
            <span>{formatNumber(data.total)} match</span>
            {committed != null && (
              <span>
                stored up to {formatTime(committed)} {zoneName()}
              </span>
            )}
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

/**
 * Traffic, errors and latency: three charts under one cursor. Brushing any of them sets the range of the page.
 */
import { useMemo } from 'react';
import { Chart, type Series } from '../../shared/chart';
import { formatAny, formatNumber } from '../../shared/format';
import { useFrozen, useLastFresh, useLive, useNow, useView } from '../../shared/live';
import type { Span } from '../../shared/marked';
import { useGo, useSpan } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { SqlReceipt } from '../../shared/receipt';
import { answerState, type PanelState, panelState } from '../../shared/state';
import { CLIENT_ERRORS, classOfStatus, SERVER_ERRORS, stacked } from '../../shared/status';
import { Button } from '../../shared/ui/button';
import { useSpans } from '../../shared/useDetectors';
import { ExplainTimes } from './Explain';
import { Heatmap } from './Heatmap';
import { type History, mergedMax, mergedSum, perSecond, shareOf, timesUpTo, windowOf } from './model';
import type { HistoryQuery } from './Overview';

const SYNC = 'overview';
export function Charts({ history, onCompare }: { history: HistoryQuery; onCompare: () => void }) {
  const brush = useBrush();
  const state = useChartState(history);
  const { data, refetch } = history;
  const frame = {
    state,
    onRetry: () => void refetch(),
    empty: 'No traffic in this range.',
  };
  return (
    <>
      <Panel
        title="Traffic by status"
        aside={
          <>
            <Button
              kind="quiet"
              className="h-5 px-1 text-label"
              title="d: what changed between two times"
              onClick={onCompare}
            >
              Compare
            </Button>
            <SqlReceipt sql={data?.sql.by_status ?? data?.sql.overall} />
          </>
        }
        {...frame}
      >
        {data && <Traffic history={data} brush={brush} />}
      </Panel>
      {data?.sql.latency !== undefined || data === undefined ? (
        <Panel
          title="Latency"
          aside={
            <>
              <ExplainTimes />
              <SqlReceipt sql={data?.sql.latency} note={LATENCY_NOTE} />
            </>
          }
          {...frame}
        >
          {data && <Heatmap history={data} />}
        </Panel>
      ) : null}
      <Panel
        title="Errors"
        aside={<SqlReceipt sql={data?.sql.overall} note={data && `Expected: ${data.expected_rule}.`} />}
        {...frame}
      >
        {data && <Errors history={data} brush={brush} />}
      </Panel>
    </>
  );
}

const LATENCY_NOTE = 'Two bins per doubling; the line is the worst p95 of a minute within each step.';

function useChartState(history: HistoryQuery): PanelState {
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const known = history.data?.overall.requests?.filter(value => value !== null);
  const items = known?.length ?? null;
  const asked = answerState(history, items);
  return asked.name === 'live' ? panelState(link, items, asOf, frozen) : asked;
}

function useBrush(): (from: number, to: number) => void {
  const go = useGo();
  return (from, to) =>
    go({
      range: undefined,
      from: new Date(Math.floor(from) * 1000).toISOString(),
      to: new Date(Math.ceil(to) * 1000).toISOString(),
    } as object);
}

interface Drawn {
  history: History;
  brush: (from: number, to: number) => void;
}

interface TrafficProps {
  history: History;
  brush?: (from: number, to: number) => void;
  marks?: readonly { time: number; label: string }[];
  onTime?: (time: number) => void;
}

/** The steps shown: a fixed range as it is, an open one up to now. */
export function useTimes(history: History): number[] {
  const { fixed } = useSpan(5_000);
  const now = useNow(5_000);
  const shown = Math.floor(now / 5_000) * 5;
  return useMemo(() => (fixed ? history.times : timesUpTo(history, shown)), [history, fixed, shown]);
}

export function Traffic({ history, brush, marks, onTime }: TrafficProps) {
  const times = useTimes(history);
  const live = useView('status_1m');
  const step = history.step_seconds;
  const fresh = useLive(state => state.fresh);
  const asOf_s = fresh === null ? Number.POSITIVE_INFINITY : Math.floor(Date.parse(fresh.asOf) / 1000);
  const series = useMemo(() => {
    const rates = (values: readonly (number | null)[]) => perSecond(values, times, step, asOf_s);
    // A class may have come since the history was asked for: in the first minute none is stored.
    const [first = 0, last = 0] = [times[0], times.at(-1)];
    const shown = (live?.rows ?? []).filter(row => {
      const start = windowOf(row);
      return start !== null && first <= start && start < last + step;
    });
    const now = shown.flatMap(it => (it.status_class === null ? [] : String(it.status_class)));
    const statuses = [...new Set([...Object.keys(history.by_status), ...now])];
    // A dataflow that does not count by status counts all together.
    if (statuses.length === 0)
      return [
        {
          label: 'requests',
          colour: 0,
          kind: 'area' as const,
          values: rates(times.map((_, at) => history.overall.requests?.[at] ?? null)),
        },
      ];
    return stacked(statuses).map((status): Series => {
      const values = mergedSum(
        history.by_status[status] ?? [],
        times,
        step,
        live?.rows ?? [],
        'requests',
        row => String(row.status_class) === status,
      );
      const { label, colour } = classOfStatus(status);
      return { label, colour, kind: 'area', values: rates(values) };
    });
  }, [history, times, step, live, asOf_s]);
  const spans = useSpansOf(history, TRAFFIC_COLUMNS);
  const total = series.reduce((sum, { values }) => sum + (values.at(-2) ?? 0), 0);
  return (
    <Chart
      times={times}
      series={series}
      stacked
      unit="/s"
      sync={SYNC}
      {...(brush && { onRange: brush })}
      {...(marks && { marks })}
      spans={spans}
      {...(onTime && { onTime })}
      summary={`Requests a second by class of status. In the newest whole step ${formatNumber(total, 1)} a second.`}
    />
  );
}

function Errors({ history, brush }: Drawn) {
  const times = useTimes(history);
  const live = useView('overall_1m');
  const step = history.step_seconds;
  const { series, newest } = useMemo(() => {
    const rows = live?.rows ?? [];
    const merge = (name: string) => mergedSum(history.overall[name] ?? [], times, step, rows, name);
    const requests = merge('requests');
    const all = shareOf(merge('errors'), requests);
    const server = shareOf(merge('server_errors'), requests);
    const drawn: Series[] = [
      { label: '4xx and 5xx', colour: CLIENT_ERRORS, values: all },
      { label: '5xx', colour: SERVER_ERRORS, values: server },
    ];
    return { series: drawn, newest: all.at(-2) ?? null };
  }, [history, times, step, live]);
  const band = useMemo(() => {
    const { low = [], high = [] } = history.expected.error_rate ?? {};
    const stretch = (values: readonly (number | null)[]) =>
      times.map((_, at) => values[at] ?? values.at(-1) ?? null);
    return { low: stretch(low), high: stretch(high) };
  }, [history, times]);
  const spans = useSpansOf(history, ERROR_COLUMNS);
  return (
    <Chart
      times={times}
      series={series}
      band={band}
      spans={spans}
      unit="%"
      sync={SYNC}
      onRange={brush}
      summary={`Share of requests that fail, in percent, with the range that is expected. Newest whole step: ${formatAny(newest)} percent.`}
    />
  );
}

/** Columns of the view that counts all traffic, by the chart that shows them. */
const TRAFFIC_COLUMNS = ['requests'];
const ERROR_COLUMNS = ['errors', 'server_errors'];
export const LATENCY_COLUMNS = [
  'response_time_mean',
  'response_time_p50',
  'response_time_p95',
  'response_time_p99',
];

/** Incidents of some of these columns. */
export function useSpansOf({ overall_view: view }: History, columns: readonly string[]): readonly Span[] {
  return useSpans(useMemo(() => ({ view, columns }), [view, columns]));
}

export function useP95(history: History, times: readonly number[]): (number | null)[] {
  const live = useView('overall_1m');
  return useMemo(
    () =>
      mergedMax(
        history.overall.response_time_p95 ?? [],
        times,
        history.step_seconds,
        live?.rows ?? [],
        'response_time_p95',
      ),
    [history, times, live],
  );
}

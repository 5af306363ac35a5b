/**
 * What the main view of the dataflow counts, as charts under one cursor. Brushing any of them sets the range of the page.
 */
import { useMemo } from 'react';
import type { Row } from '../../api/wire';
import { Chart, type Series, unitInWords } from '../../shared/chart';
import { formatAny, formatLength, formatNumber } from '../../shared/format';
import { useFrozen, useLastFresh, useLive, useNow, useView } from '../../shared/live';
import type { Span } from '../../shared/marked';
import { useGo, useSpan } from '../../shared/nav';
import { ghostOf, OverSwitch } from '../../shared/over';
import {
  type Column,
  type Counted,
  FAILED_SHARE,
  labelOf,
  type Page,
  telling,
  titleOfColumn,
} from '../../shared/page';
import { Panel } from '../../shared/panel';
import { SqlReceipt } from '../../shared/receipt';
import { answerState, type PanelState, panelState } from '../../shared/state';
import { CLIENT_ERRORS, classOfStatus, levelColour, SERVER_ERRORS, stacked } from '../../shared/status';
import { Button } from '../../shared/ui/button';
import { useSpans } from '../../shared/useDetectors';
import { ExplainTimes } from './Explain';
import { Heatmap } from './Heatmap';
import {
  type History,
  type Live,
  mergedMax,
  mergedSum,
  perSecond,
  shareOf,
  timesUpTo,
  windowOf,
} from './model';
import type { Ghost, HistoryQuery } from './Overview';

const SYNC = 'overview';

interface ChartsProps {
  page: Page;
  main: Counted;
  history: HistoryQuery;
  onCompare: () => void;
}

/** Beside counts, failures and durations, so many figures have a chart. */
const FIGURES_MAX = 2;

export function Charts({ page, main, history, onCompare }: ChartsProps) {
  const brush = useBrush();
  const state = useChartState(history, main);
  const { data, ghost, refetch } = history;
  const frame = {
    state,
    onRetry: () => void refetch(),
    empty: `No ${main.noun} in this range.`,
  };
  const durations = main.figures.filter(it => it.role === 'duration' && isLevel(it));
  const others = main.figures.filter(
    it => it.role !== 'duration' && it.role !== 'bytes' && it.statistic !== 'distinct',
  );
  return (
    <>
      <Panel
        title={titleOfTraffic(page, main)}
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
            <OverSwitch />
            <SqlReceipt sql={data?.sql.by_class ?? data?.sql.overall} />
          </>
        }
        {...frame}
      >
        {data && <Traffic page={page} main={main} history={data} ghost={ghost} brush={brush} />}
      </Panel>
      {page.spread != null ? (
        <Panel
          title={titleOfDurations(durations)}
          aside={
            <>
              <ExplainTimes />
              <SqlReceipt
                sql={data?.sql.spread}
                note="One row a step of the scale; the line is the worst of the windows within each step."
              />
            </>
          }
          {...frame}
        >
          {data && <Heatmap page={page} main={main} split={page.spread} history={data} />}
        </Panel>
      ) : (
        durations.length > 0 && (
          <Panel
            title={titleOfDurations(durations)}
            aside={<SqlReceipt sql={data?.sql.overall} />}
            {...frame}
          >
            {data && <Figures columns={durations} main={main} history={data} ghost={ghost} brush={brush} />}
          </Panel>
        )
      )}
      {main.failed != null && (
        <Panel
          title="Errors"
          aside={<SqlReceipt sql={data?.sql.overall} note={data && `Expected: ${data.expected_rule}.`} />}
          {...frame}
        >
          {data && <Errors main={main} failed={main.failed} history={data} ghost={ghost} brush={brush} />}
        </Panel>
      )}
      {others.slice(0, FIGURES_MAX).map(column => (
        <Panel
          key={column.name}
          title={titleOfColumn(column)}
          aside={<SqlReceipt sql={data?.sql.overall} note={data && `Expected: ${data.expected_rule}.`} />}
          {...frame}
        >
          {data && <Figures columns={[column]} main={main} history={data} ghost={ghost} brush={brush} />}
        </Panel>
      ))}
    </>
  );
}

export function titleOfTraffic({ classes }: Page, { noun }: Counted): string {
  const what = `${noun.charAt(0).toUpperCase()}${noun.slice(1)}`;
  if (classes == null) return what;
  const { role } = classes.key;
  return `${what} by ${role === 'status' || role === 'level' ? role : classes.key.name.replaceAll('_', ' ')}`;
}

/** What the durations are of, in words. */
export function titleOfDurations(durations: readonly Column[]): string {
  const [first] = durations;
  return first === undefined ? 'Durations' : titleOfColumn({ ...first, statistic: null });
}

/** Whether a duration can stand beside others: a deviation cannot. */
function isLevel({ statistic }: Column): boolean {
  return statistic !== 'stddev';
}

function useChartState(history: HistoryQuery, main: Counted): PanelState {
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const known = history.data?.overall[main.count]?.filter(value => value !== null);
  // While another range is asked for, that there was nothing in the one before says nothing of it.
  const items = history.isPlaceholderData && known?.length === 0 ? null : (known?.length ?? null);
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
  main: Counted;
  history: History;
  ghost: Ghost | null;
  brush: (from: number, to: number) => void;
}

interface TrafficProps {
  page: Page;
  main: Counted;
  history: History;
  ghost?: Ghost | null;
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

/** Live rows of a view as charts take them. */
function useRows(view: string | null | undefined, time: string | null | undefined): Live {
  const live = useView(view ?? null);
  return useMemo(() => ({ rows: live?.rows ?? [], time: time ?? '' }), [live, time]);
}

/** A status as its class: `404` and `4` are both of class `4`. */
function classOf(value: unknown, isStatus: boolean): string | null {
  if (value === null || value === undefined) return isStatus ? null : 'other';
  const number = Number(value);
  if (!isStatus || Number.isNaN(number)) return String(value);
  return String(number >= 100 ? Math.floor(number / 100) : number);
}

export function Traffic({ page, main, history, ghost = null, brush, marks, onTime }: TrafficProps) {
  const times = useTimes(history);
  const split = page.classes ?? null;
  const live = useRows(split?.view ?? main.view, split?.time ?? main.time);
  const step = history.step_seconds;
  const fresh = useLive(state => state.fresh);
  const asOf_s = fresh === null ? Number.POSITIVE_INFINITY : Math.floor(Date.parse(fresh.asOf) / 1000);
  const series = useMemo(() => {
    const rates = (values: readonly (number | null)[]) => perSecond(values, times, step, asOf_s);
    if (split === null)
      return [
        {
          label: main.noun,
          colour: 0,
          kind: 'area' as const,
          values: rates(mergedSum(history.overall[main.count] ?? [], times, step, live, main.count)),
        },
      ];
    const isStatus = split.key.role === 'status';
    // A class may have come since the history was asked for: in the first minute none is stored.
    const [first = 0, last = 0] = [times[0], times.at(-1)];
    const shown = live.rows.filter(row => {
      const start = windowOf(row, live.time);
      return start !== null && first <= start && start < last + step;
    });
    const nameOf = (row: Row) => classOf(row[split.key.name], isStatus);
    const known = Object.keys(history.by_class);
    const now = shown.flatMap(it => nameOf(it) ?? []);
    // Where some are one in the history, the newest of these are, too.
    const classes = known.includes('other') ? known : [...new Set([...known, ...now])];
    const inOrder = isStatus ? stacked(classes) : [...classes].sort();
    return inOrder.map((name, at): Series => {
      const isOther = name === 'other';
      const values = mergedSum(history.by_class[name] ?? [], times, step, live, split.count, row => {
        const own = nameOf(row);
        return own === name || (isOther && own !== null && !classes.includes(own));
      });
      const { label, colour } = isStatus
        ? classOfStatus(name)
        : { label: name, colour: levelColour(name, at) };
      return { label, colour, kind: 'area', values: rates(values) };
    });
  }, [history, times, step, live, asOf_s, split, main]);
  const spans = useSpansOf(
    history,
    useMemo(() => [main.count], [main]),
  );
  const shown = withGhosts(series, times, ghost, ({ history }, at) =>
    // Of a stack only the whole can be read behind it: the topmost series has it.
    at === series.length - 1
      ? perSecond(history.overall[main.count] ?? [], history.times, step, Number.POSITIVE_INFINITY)
      : null,
  );
  const total = series.reduce((sum, { values }) => sum + (values.at(-2) ?? 0), 0);
  return (
    <Chart
      times={times}
      series={shown}
      {...(ghost !== null && { ghostName: ghost.name })}
      stacked
      unit="/s"
      sync={SYNC}
      {...(brush && { onRange: brush })}
      {...(marks && { marks })}
      spans={spans}
      {...(onTime && { onTime })}
      summary={`${titleOfTraffic(page, main)}, a second. In the newest whole step ${formatNumber(total, 1)} a second.`}
    />
  );
}

function Errors({ main, failed, history, ghost, brush }: Drawn & { failed: string }) {
  const times = useTimes(history);
  const live = useRows(main.view, main.time);
  const step = history.step_seconds;
  const { series, newest } = useMemo(() => {
    const merge = (name: string) => mergedSum(history.overall[name] ?? [], times, step, live, name);
    const count = merge(main.count);
    const all = shareOf(merge(failed), count);
    const drawn: Series[] = [
      {
        label: failed.replaceAll('_', ' '),
        colour: main.grave == null ? SERVER_ERRORS : CLIENT_ERRORS,
        values: all,
      },
    ];
    if (main.grave != null)
      drawn.push({
        label: main.grave.replaceAll('_', ' '),
        colour: SERVER_ERRORS,
        values: shareOf(merge(main.grave), count),
      });
    return { series: drawn, newest: all.at(-2) ?? null };
  }, [history, times, step, live, main, failed]);
  const band = useBand(history, times, FAILED_SHARE);
  const shown = withGhosts(series, times, ghost, ({ history }, at) =>
    at === 0 ? (history.overall[FAILED_SHARE] ?? null) : null,
  );
  const columns = useMemo(() => [failed, main.grave].filter(it => it != null), [failed, main]);
  const spans = useSpansOf(history, columns);
  return (
    <Chart
      times={times}
      series={shown}
      {...(ghost !== null && { ghostName: ghost.name })}
      band={band}
      spans={spans}
      unit="%"
      sync={SYNC}
      onRange={brush}
      summary={`Share of ${main.noun} that fail, in percent, with the range that is expected. Newest whole step: ${formatAny(newest)} percent.`}
    />
  );
}

/** One figure with what is expected of it, or several of one kind. */
function Figures({ columns, main, history, ghost, brush }: Drawn & { columns: readonly Column[] }) {
  const times = useTimes(history);
  const live = useRows(main.view, main.time);
  const step = history.step_seconds;
  const [first] = columns;
  const series = useMemo(
    () =>
      columns.map((column, at): Series => {
        const merge = column.adds_up ? mergedSum : mergedMax;
        const values = merge(history.overall[column.name] ?? [], times, step, live, column.name);
        return { label: labelOf(column), colour: at, values };
      }),
    [columns, history, times, step, live],
  );
  const band = useBand(history, times, columns.length === 1 ? (first?.name ?? '') : '');
  const shown = withGhosts(series, times, ghost, ({ history }, at) => {
    const name = columns[at]?.name;
    return name === undefined ? null : (history.overall[name] ?? null);
  });
  const names = useMemo(() => columns.map(({ name }) => name), [columns]);
  const spans = useSpansOf(history, names);
  // What adds up is told of each step.
  const per = first?.adds_up ? `/${formatLength(1000 * step).replace(/^1 /, '')}` : '';
  return (
    <Chart
      times={times}
      series={shown}
      {...(ghost !== null && { ghostName: ghost.name })}
      {...(columns.length === 1 && { band })}
      spans={spans}
      unit={`${first?.unit ?? ''}${per}`}
      sync={SYNC}
      onRange={brush}
      summary={`${columns.map(labelOf).join(', ')}${per === '' ? '' : ` ${unitInWords(per)}`}. Newest whole step: ${formatAny(series[0]?.values.at(-2) ?? null)}.`}
    />
  );
}

/** Series with what each of them was so much earlier behind it. */
function withGhosts(
  series: readonly Series[],
  times: readonly number[],
  ghost: Ghost | null,
  valuesOf: (ghost: Ghost, at: number) => readonly (number | null)[] | null,
): readonly Series[] {
  if (ghost === null) return series;
  return series.map((one, at) => {
    const values = valuesOf(ghost, at);
    return values === null
      ? one
      : { ...one, ghost: ghostOf(times, ghost.history.times, values, ghost.before_ms) };
  });
}

function useBand(history: History, times: readonly number[], name: string) {
  return useMemo(() => {
    const { low = [], high = [] } = history.expected[name] ?? {};
    const stretch = (values: readonly (number | null)[]) =>
      times.map((_, at) => values[at] ?? values.at(-1) ?? null);
    return { low: stretch(low), high: stretch(high) };
  }, [history, times, name]);
}

/** Incidents of some of these columns. */
export function useSpansOf({ overall_view: view }: History, columns: readonly string[]): readonly Span[] {
  return useSpans(useMemo(() => ({ view, columns }), [view, columns]));
}

/** The duration that tells slow records best, over time; nothing if the view has none. */
export function useSlow(history: History, main: Counted, times: readonly number[]): (number | null)[] {
  const live = useRows(main.view, main.time);
  const slow = useMemo(() => telling(main), [main]);
  return useMemo(
    () =>
      slow === null
        ? times.map(() => null)
        : mergedMax(history.overall[slow.name] ?? [], times, history.step_seconds, live, slow.name),
    [history, times, live, slow],
  );
}

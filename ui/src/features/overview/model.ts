/**
 * What the charts show: history from the server, with the newest windows replaced by the live rows of the same views, so
 * that a chart moves with its view and never disagrees with it. Pure functions; the components only draw.
 */
import type { Row, Schemas } from '../../api/wire';
import { numberOf } from '../../shared/format';
import type { Keyed } from '../../shared/page';

export type History = Schemas['History'];
type Numbers = (number | null)[];

/** Live rows of a windowed view, and the column with the start of their windows. */
export interface Live {
  rows: readonly Row[];
  time: string;
}

/** When a row's window begins, in seconds. */
export function windowOf(row: Row, time: string): number | null {
  const text = row[time];
  const start = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  return Number.isNaN(start) ? null : start / 1000;
}

/** Steps of a history, lengthened up to now, at most by as many as there were. */
export function timesUpTo(history: History, now_s: number): number[] {
  const { times, step_seconds: step } = history;
  const all = [...times];
  const limit = times.length * 2;
  while (all.length > 0 && all.length < limit && (all.at(-1) ?? 0) + step <= now_s)
    all.push((all.at(-1) ?? 0) + step);
  return all;
}

/** Which steps are wholly told by the live rows: those from the oldest live window on. */
export function liveSteps(times: readonly number[], step: number, { rows, time }: Live): Set<number> {
  let oldest = Number.POSITIVE_INFINITY;
  let newest = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    const start = windowOf(row, time);
    if (start === null) continue;
    oldest = Math.min(oldest, start);
    newest = Math.max(newest, start);
  }
  return new Set(
    times.flatMap((begin, at) =>
      oldest <= begin && begin <= newest && newest < Number.POSITIVE_INFINITY && begin + step > oldest
        ? [at]
        : [],
    ),
  );
}

/** A series of counts: the history's, with live steps counted from the live rows. */
export function mergedSum(
  values: Numbers,
  times: readonly number[],
  step: number,
  live: Live,
  column: string,
  keep: (row: Row) => boolean = () => true,
): Numbers {
  return merged(values, times, step, live, column, keep, (a, b) => a + b);
}

/** The same for what is the worst of its windows. */
export function mergedMax(
  values: Numbers,
  times: readonly number[],
  step: number,
  live: Live,
  column: string,
): Numbers {
  return merged(values, times, step, live, column, () => true, Math.max);
}

function merged(
  values: Numbers,
  times: readonly number[],
  step: number,
  { rows, time }: Live,
  column: string,
  keep: (row: Row) => boolean,
  join: (a: number, b: number) => number,
): Numbers {
  const fresh = liveSteps(times, step, { rows, time });
  const result: Numbers = times.map((_, at) => (fresh.has(at) ? null : (values[at] ?? null)));
  const first = times[0];
  if (first === undefined) return result;
  for (const row of rows) {
    const start = windowOf(row, time);
    if (start === null || !keep(row)) continue;
    const at = Math.floor((start - first) / step);
    const value = numberOf(row[column]);
    if (!fresh.has(at) || value === null) continue;
    const before = result[at];
    result[at] = before == null ? value : join(before, value);
  }
  return result;
}

/** Sooner after its start, what a step has had of its time says little. */
const FILLED_S = 10;

/**
 * Counts as rates. The newest step is still filling, so it counts over the part of it that is over at `asOf_s`: over the
 * whole it would look as if traffic broke down.
 */
export function perSecond(
  values: readonly (number | null)[],
  times: readonly number[],
  step: number,
  asOf_s: number,
): Numbers {
  return values.map((value, at) => {
    const seconds = Math.min(asOf_s - (times[at] ?? 0), step);
    return value === null || seconds < Math.min(FILLED_S, step) ? null : value / seconds;
  });
}

/** Share of one series in another, in percent. */
export function shareOf(part: Numbers, all: Numbers): Numbers {
  return all.map((total, at) => (total !== null && total > 0 ? (100 * (part[at] ?? 0)) / total : null));
}

/** What is said of one value of a key. */
export interface KeyRow {
  key: string | number | boolean | null;
  /** Of all its windows, for those that are ranked by it. */
  count: number;
  perSecond: number;
  /** In percent; `null` if failures are not counted. */
  failedShare: number | null;
  /** Of the worst window. */
  slow: number | null;
  /** Change of the rate against the same span before, as a share; `null` without one. */
  change: number | null;
}

/** Values of a key by traffic, and the time they were counted over. */
export interface Busiest {
  rows: KeyRow[];
  /** Whole windows; none if only the newest one, which is still filling, has traffic. */
  windows: number;
  seconds: number;
  /** The end of that time if it is not now, because no newer records came. */
  upTo_s: number | null;
}

/** How rows of a view are read. */
export type Of = Pick<Keyed, 'time' | 'window_seconds' | 'count' | 'failed' | 'duration'> & {
  key: Pick<Keyed['key'], 'name'>;
};

/**
 * Values of a key by traffic over the newest whole windows, and against as many before. Before there are so many, over those
 * there are; before there is any traffic in a whole one, over what the newest has had until `now_s`.
 */
export function busiest(rows: readonly Row[], of: Of, windows: number, now_s: number): Busiest {
  const window_s = of.window_seconds;
  let [oldest, newest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const row of rows) {
    const start = windowOf(row, of.time);
    if (start === null) continue;
    oldest = Math.min(oldest, start);
    newest = Math.max(newest, start);
  }
  if (!Number.isFinite(newest)) return { rows: [], windows: 0, seconds: 0, upTo_s: null };
  // The newest window is still filling.
  const from = Math.max(newest - windows * window_s, oldest);
  const before = newest - 2 * windows * window_s;
  const whole = ranked(rows, of, from, newest, oldest <= before ? before : from, newest - from);
  const ended = now_s >= newest + 2 * window_s;
  if (whole.length > 0) {
    const seconds = newest - from;
    return { rows: whole, windows: seconds / window_s, seconds, upTo_s: ended ? newest : null };
  }
  const seconds = Math.min(Math.max(now_s - newest, 1), window_s);
  const filling = ranked(rows, of, newest, newest + window_s, newest, seconds);
  return { rows: filling, windows: 0, seconds, upTo_s: ended ? newest + window_s : null };
}

/** Values with records in windows of `from..to`, by traffic; changes are against `before..from`. */
function ranked(
  rows: readonly Row[],
  of: Of,
  from: number,
  to: number,
  before: number,
  seconds: number,
): KeyRow[] {
  interface Sum {
    key: KeyRow['key'];
    count: number;
    failed: number;
    earlier: number;
    slow: number | null;
  }
  const sums = new Map<string, Sum>();
  for (const row of rows) {
    const start = windowOf(row, of.time);
    if (start === null || start >= to || start < before) continue;
    const key = keyOf(row[of.key.name]);
    const name = JSON.stringify(key);
    const sum = sums.get(name) ?? { key, count: 0, failed: 0, earlier: 0, slow: null };
    const count = numberOf(row[of.count]) ?? 0;
    if (start < from) sum.earlier += count;
    else {
      sum.count += count;
      if (of.failed != null) sum.failed += numberOf(row[of.failed]) ?? 0;
      const slow = of.duration == null ? null : numberOf(row[of.duration.name]);
      if (slow !== null) sum.slow = Math.max(sum.slow ?? 0, slow);
    }
    sums.set(name, sum);
  }
  return [...sums.values()]
    .filter(({ count }) => count > 0)
    .map(({ key, count, failed, earlier, slow }) => ({
      key,
      count,
      perSecond: count / seconds,
      failedShare: of.failed == null ? null : (100 * failed) / count,
      slow,
      change: earlier > 0 ? count / earlier - 1 : null,
    }))
    .sort((a, b) => b.perSecond - a.perSecond || (String(a.key) < String(b.key) ? -1 : 1));
}

export function keyOf(value: unknown): KeyRow['key'] {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
}

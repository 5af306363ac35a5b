/**
 * What the charts show: history from the server, with the newest windows replaced by the live rows of the same views, so
 * that a chart moves with its view and never disagrees with it. Pure functions; the components only draw.
 */
import type { Row, Schemas } from '../../api/wire';
import { numberOf } from '../../shared/format';

export type History = Schemas['History'];
type Numbers = (number | null)[];

/** Seconds of a row's window. */
export function windowOf(row: Row): number | null {
  const start = typeof row.window_start === 'string' ? Date.parse(row.window_start) : Number.NaN;
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
export function liveSteps(times: readonly number[], step: number, rows: readonly Row[]): Set<number> {
  let oldest = Number.POSITIVE_INFINITY;
  let newest = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    const start = windowOf(row);
    if (start === null) continue;
    oldest = Math.min(oldest, start);
    newest = Math.max(newest, start);
  }
  return new Set(
    times.flatMap((time, at) =>
      oldest <= time && time <= newest && newest < Number.POSITIVE_INFINITY && time + step > oldest
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
  rows: readonly Row[],
  column: string,
  keep: (row: Row) => boolean = () => true,
): Numbers {
  return merged(values, times, step, rows, column, keep, (a, b) => a + b);
}

/** The same for what is the worst of its windows. */
export function mergedMax(
  values: Numbers,
  times: readonly number[],
  step: number,
  rows: readonly Row[],
  column: string,
): Numbers {
  return merged(values, times, step, rows, column, () => true, Math.max);
}

function merged(
  values: Numbers,
  times: readonly number[],
  step: number,
  rows: readonly Row[],
  column: string,
  keep: (row: Row) => boolean,
  join: (a: number, b: number) => number,
): Numbers {
  const live = liveSteps(times, step, rows);
  const result: Numbers = times.map((_, at) => (live.has(at) ? null : (values[at] ?? null)));
  const first = times[0];
  if (first === undefined) return result;
  for (const row of rows) {
    const start = windowOf(row);
    if (start === null || !keep(row)) continue;
    const at = Math.floor((start - first) / step);
    const value = numberOf(row[column]);
    if (!live.has(at) || value === null) continue;
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

export interface EndpointRow {
  endpoint: string;
  perSecond: number;
  errorShare: number;
  p95_ms: number | null;
  /** Change of the rate against the same span before, as a share; `null` without one. */
  change: number | null;
}

/** Endpoints by traffic, and the time they were counted over. */
export interface Busiest {
  rows: EndpointRow[];
  /** Whole windows; none if only the newest one, which is still filling, has traffic. */
  windows: number;
  seconds: number;
  /** The end of that time if it is not now, because no newer records came. */
  upTo_s: number | null;
}

/**
 * Endpoints by traffic over the newest whole windows, and against as many before. Before there are so many, over those
 * there are; before there is any traffic in a whole one, over what the newest has had until `now_s`.
 */
export function busiest(rows: readonly Row[], window_s: number, windows: number, now_s: number): Busiest {
  let [oldest, newest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const row of rows) {
    const start = windowOf(row);
    if (start === null) continue;
    oldest = Math.min(oldest, start);
    newest = Math.max(newest, start);
  }
  if (!Number.isFinite(newest)) return { rows: [], windows: 0, seconds: 0, upTo_s: null };
  // The newest window is still filling.
  const from = Math.max(newest - windows * window_s, oldest);
  const before = newest - 2 * windows * window_s;
  const whole = ranked(rows, from, newest, oldest <= before ? before : from, newest - from);
  const ended = now_s >= newest + 2 * window_s;
  if (whole.length > 0) {
    const seconds = newest - from;
    return { rows: whole, windows: seconds / window_s, seconds, upTo_s: ended ? newest : null };
  }
  const seconds = Math.min(Math.max(now_s - newest, 1), window_s);
  const filling = ranked(rows, newest, newest + window_s, newest, seconds);
  return { rows: filling, windows: 0, seconds, upTo_s: ended ? newest + window_s : null };
}

/** Endpoints with requests in windows of `from..to`, by traffic; changes are against `before..from`. */
function ranked(
  rows: readonly Row[],
  from: number,
  to: number,
  before: number,
  seconds: number,
): EndpointRow[] {
  const sums = new Map<string, { requests: number; errors: number; earlier: number; p95: number | null }>();
  for (const row of rows) {
    const start = windowOf(row);
    if (start === null || start >= to || start < before) continue;
    const name = String(row.endpoint ?? '–');
    const sum = sums.get(name) ?? { requests: 0, errors: 0, earlier: 0, p95: null };
    const requests = numberOf(row.requests) ?? 0;
    if (start < from) sum.earlier += requests;
    else {
      sum.requests += requests;
      sum.errors += numberOf(row.errors) ?? 0;
      const p95 = numberOf(row.response_time_p95);
      if (p95 !== null) sum.p95 = Math.max(sum.p95 ?? 0, p95);
    }
    sums.set(name, sum);
  }
  return [...sums]
    .filter(([, { requests }]) => requests > 0)
    .map(([endpoint, { requests, errors, earlier, p95 }]) => ({
      endpoint,
      perSecond: requests / seconds,
      errorShare: (100 * errors) / requests,
      p95_ms: p95,
      change: earlier > 0 ? requests / earlier - 1 : null,
    }))
    .sort((a, b) => b.perSecond - a.perSecond || (a.endpoint < b.endpoint ? -1 : 1));
}

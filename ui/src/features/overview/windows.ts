/**
 * What the Δ mode compares: so long a time up to one mark with as long a time up to another. Pure functions.
 */
import type { Row } from '../../api/wire';
import { numberOf } from '../../shared/format';
import { rangeLength_ms, type Window } from '../../shared/search';
import type { History } from './model';

/** Unless another is chosen. */
export const WINDOW_S = 300;
const MINUTE_S = 60;
/** The newest minute is stored a few seconds after its end. */
const STORED_AFTER_S = 30;

/** In seconds. */
export function windowLength(window: Window | undefined): number {
  return window === undefined ? WINDOW_S : rangeLength_ms(window) / 1000;
}

/** Earlier times to compare with, by how much earlier in seconds. */
export const PRESETS = [
  { label: 'an hour before', before_s: 3_600 },
  { label: 'a day before', before_s: 86_400 },
  { label: 'a week before', before_s: 604_800 },
] as const;

/** The same time so much earlier; of windows that would overlap, the nearest that do not. */
export function earlier({ b }: Marks, before_s: number, window_s: number = WINDOW_S): Marks {
  return apart({ a: b - before_s, b }, window_s);
}

/** Ends of both windows, in seconds; they do not overlap. */
export interface Marks {
  a: number;
  b: number;
}

/** The marks to begin with: the end of the range against an hour before, or against its beginning if it is shorter. */
export function firstMarks(from_s: number, to_s: number, now_s: number): Marks {
  const b = wholeMinute(Math.min(to_s, now_s - STORED_AFTER_S));
  return apart({ a: Math.max(b - 3_600, wholeMinute(from_s) + WINDOW_S), b });
}

/** Move the mark that is nearer to a time there. */
export function moved({ a, b }: Marks, time: number, window_s: number = WINDOW_S): Marks {
  const to = wholeMinute(time + MINUTE_S / 2);
  return Math.abs(to - a) < Math.abs(to - b) ? apart({ a: to, b }, window_s) : apart({ a, b: to }, window_s);
}

/** Whole minutes in order, a window apart. */
export function apart({ a, b }: Marks, window_s: number = WINDOW_S): Marks {
  const [first, last] = a <= b ? [a, b] : [b, a];
  return { a: Math.min(wholeMinute(first), wholeMinute(last) - window_s), b: wholeMinute(last) };
}

function wholeMinute(time_s: number): number {
  return Math.floor(time_s / MINUTE_S) * MINUTE_S;
}

/** Numbers of one window. `null` where nothing is known. */
export interface Figures {
  requestsPerSecond: number | null;
  /** In percent. */
  errorRate: number | null;
  serverErrorRate: number | null;
  /** Of the worst minute. */
  p95_ms: number | null;
  sessionsPerMinute: number | null;
  bytesPerSecond: number | null;
}

export function figuresOf({ overall, times, step_seconds }: History): Figures {
  const known = (name: string) => (overall[name] ?? []).filter(value => value !== null);
  const sum = (name: string) => {
    const values = known(name);
    return values.length === 0 ? null : values.reduce((total, value) => total + value, 0);
  };
  const seconds = times.length * step_seconds;
  const per = (total: number | null, by: number | null) =>
    total === null || by === null || by <= 0 ? null : total / by;
  const share = (part: number | null, all: number | null) => {
    const one = per(part, all);
    return one === null ? null : 100 * one;
  };
  const requests = sum('requests');
  const p95 = known('response_time_p95');
  return {
    requestsPerSecond: per(requests, seconds),
    errorRate: share(sum('errors'), requests),
    serverErrorRate: share(sum('server_errors'), requests),
    p95_ms: p95.length === 0 ? null : p95.reduce((worst, value) => Math.max(worst, value)),
    sessionsPerMinute: per(sum('sessions'), known('sessions').length),
    bytesPerSecond: per(sum('bytes_sent'), seconds),
  };
}

/** Latency bins of both windows as shares in percent, by the lower bound of the bin. */
export function binsOf(a: History, b: History): { ms: number; a: number; b: number }[] {
  const shares = ({ latency }: History) => {
    const counts = (latency?.bins_ms ?? []).map(
      (ms, bin) => [ms, latency?.counts.reduce((sum, column) => sum + (column[bin] ?? 0), 0) ?? 0] as const,
    );
    const all = counts.reduce((sum, [, count]) => sum + count, 0);
    return new Map(counts.map(([ms, count]) => [ms, all > 0 ? (100 * count) / all : 0]));
  };
  const [before, after] = [shares(a), shares(b)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .sort((one, other) => one - other)
    .map(ms => ({ ms, a: before.get(ms) ?? 0, b: after.get(ms) ?? 0 }));
}

export interface EndpointDelta {
  endpoint: string;
  a: { perSecond: number; errorShare: number | null };
  b: { perSecond: number; errorShare: number | null };
}

/** Counts by endpoint in both windows, from the stored table of a view. */
export function endpointsSql(view: string, { a, b }: Marks, window_s: number = WINDOW_S): string {
  const time = (seconds: number) => `'${new Date(seconds * 1000).toISOString()}'`;
  const inside = (end: number) => `window_start >= ${time(end - window_s)} AND window_start < ${time(end)}`;
  const sum = (column: string, end: number, name: string) =>
    `sum(CASE WHEN ${inside(end)} THEN ${column} ELSE 0 END) AS ${name}`;
  return [
    `SELECT endpoint, ${sum('requests', a, 'a_requests')}, ${sum('errors', a, 'a_errors')},`,
    `  ${sum('requests', b, 'b_requests')}, ${sum('errors', b, 'b_errors')}`,
    `FROM lake.${view}`,
    `WHERE (${inside(a)}) OR (${inside(b)})`,
    'GROUP BY endpoint',
  ].join('\n');
}

/** Endpoints by how much their rate or their failures changed, in requests. */
export function endpointDeltas(rows: readonly Row[], window_s: number = WINDOW_S): EndpointDelta[] {
  const side = (requests: number, errors: number) => ({
    perSecond: requests / window_s,
    errorShare: requests > 0 ? (100 * errors) / requests : null,
  });
  const found = rows.map(row => {
    const number = (name: string) => numberOf(row[name]) ?? 0;
    const [requests, errors] = [
      number('b_requests') - number('a_requests'),
      number('b_errors') - number('a_errors'),
    ];
    return {
      weight: Math.abs(requests) + Math.abs(errors),
      endpoint: String(row.endpoint ?? '–'),
      a: side(number('a_requests'), number('a_errors')),
      b: side(number('b_requests'), number('b_errors')),
    };
  });
  found.sort((one, other) => other.weight - one.weight || (one.endpoint < other.endpoint ? -1 : 1));
  return found.map(({ weight: _, ...rest }) => rest);
}

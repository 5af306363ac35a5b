/**
 * What the Δ mode compares: so long a time up to one mark with as long a time up to another. Pure functions.
 */
import type { Row } from '../../api/wire';
import { formatNumber, MISSING, numberOf } from '../../shared/format';
import { type Counted, type Keyed, rateOf, titleOfColumn, writtenText } from '../../shared/page';
import { rangeLength_ms, type Window } from '../../shared/search';
import { figuresShown } from './figures';
import { type History, type KeyRow, keyOf } from './model';

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

/** A number of one window. */
export interface Figure {
  name: string;
  label: string;
  /** `null` where nothing is known. */
  value: number | null;
  text: string;
}

/** What a dataflow counts, over one window. */
export function figuresOf(
  { overall, times, step_seconds, window_seconds }: History,
  main: Counted,
): Figure[] {
  const known = (name: string) => (overall[name] ?? []).filter(value => value !== null);
  const sum = (name: string) => {
    const values = known(name);
    return values.length === 0 ? null : values.reduce((total, value) => total + value, 0);
  };
  const worst = (name: string) => {
    const values = known(name);
    return values.length === 0 ? null : values.reduce((most, value) => Math.max(most, value));
  };
  const seconds = times.length * step_seconds;
  const count = sum(main.count);
  const share = (name: string, label: string, column: string | null | undefined): Figure[] => {
    if (column == null) return [];
    const part = sum(column);
    const value = part === null || count === null || count === 0 ? null : (100 * part) / count;
    return [{ name, label, value, text: value === null ? MISSING : `${formatNumber(value, 1)} %` }];
  };
  const perSecond = count === null || seconds === 0 ? null : count / seconds;
  const rate = rateOf(perSecond);
  const events = { name: 'events', label: 'Events', value: perSecond, text: `${rate.value} ${rate.unit}` };
  const others = figuresShown(main).map((column): Figure => {
    const adds = column.adds_up;
    const value = adds ? sum(column.name) : worst(column.name);
    const label = titleOfColumn(column);
    const of = adds ? '' : `, worst ${window_seconds === 60 ? 'minute' : 'window'}`;
    return { name: column.name, label: `${label}${of}`, value, text: writtenText(value, column) };
  });
  return [
    events,
    ...share('errors', 'Error rate', main.failed),
    ...share('grave', 'Server errors', main.grave),
    ...others,
  ];
}

/** Bins of both windows as shares in percent, by where the bin begins. */
export function binsOf(a: History, b: History): { from: number; a: number; b: number }[] {
  const shares = ({ spread }: History) => {
    const counts = (spread?.bounds.slice(0, -1) ?? []).map(
      (from, bin) =>
        [from, spread?.counts.reduce((sum, column) => sum + (column[bin] ?? 0), 0) ?? 0] as const,
    );
    const all = counts.reduce((sum, [, count]) => sum + count, 0);
    return new Map(counts.map(([from, count]) => [from, all > 0 ? (100 * count) / all : 0]));
  };
  const [before, after] = [shares(a), shares(b)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .sort((one, other) => one - other)
    .map(from => ({ from, a: before.get(from) ?? 0, b: after.get(from) ?? 0 }));
}

export interface KeyDelta {
  key: KeyRow['key'];
  a: { perSecond: number; failedShare: number | null };
  b: { perSecond: number; failedShare: number | null };
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** Counts by key in both windows, from the stored table of a view. */
export function keysSql(of: Keyed, { a, b }: Marks, window_s: number = WINDOW_S): string {
  const time = (seconds: number) => `'${new Date(seconds * 1000).toISOString()}'`;
  const column = quoted(of.time);
  const inside = (end: number) => `${column} >= ${time(end - window_s)} AND ${column} < ${time(end)}`;
  const sum = (figure: string, end: number, name: string) =>
    `sum(CASE WHEN ${inside(end)} THEN ${quoted(figure)} ELSE 0 END) AS ${name}`;
  const side = (name: 'a' | 'b', end: number) => [
    sum(of.count, end, `${name}_count`),
    ...(of.failed == null ? [] : [sum(of.failed, end, `${name}_failed`)]),
  ];
  return [
    `SELECT ${[`${quoted(of.key.name)} AS key`, ...side('a', a), ...side('b', b)].join(', ')}`,
    `FROM lake.${quoted(of.view)}`,
    `WHERE (${inside(a)}) OR (${inside(b)})`,
    'GROUP BY 1',
  ].join('\n');
}

/** Values of a key by how much their rate or their failures changed, in records. */
export function keyDeltas(rows: readonly Row[], window_s: number = WINDOW_S): KeyDelta[] {
  const side = (count: number, failed: number | null) => ({
    perSecond: count / window_s,
    failedShare: count > 0 && failed !== null ? (100 * failed) / count : null,
  });
  const found = rows.map(row => {
    const number = (name: string) => numberOf(row[name]) ?? 0;
    const failedOf = (name: string) => (row[name] === undefined ? null : number(name));
    const [count, failed] = [number('b_count') - number('a_count'), number('b_failed') - number('a_failed')];
    return {
      weight: Math.abs(count) + Math.abs(failed),
      key: keyOf(row.key),
      a: side(number('a_count'), failedOf('a_failed')),
      b: side(number('b_count'), failedOf('b_failed')),
    };
  });
  found.sort((one, other) => other.weight - one.weight || (String(one.key) < String(other.key) ? -1 : 1));
  return found.map(({ weight: _, ...rest }) => rest);
}

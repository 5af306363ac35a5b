/**
 * Which chart an answer is, by what its columns are: a time, keys, and figures.
 *
 *   time + figures          one line per figure
 *   time + keys + a figure  one line per key: the eight largest, and one for all others
 *   keys + a figure         bars
 *
 * Pure functions; ResultChart draws.
 */
import type { Column, Row } from '../api/wire';
import { numberOf, textOf } from './format';

const NUMBERS = new Set(['int', 'bigint', 'double']);
const KEYS_MAX = 8;
const FIGURES_MAX = 6;
/** A whole number with more different values than this is a figure and no key, like a status. */
const KEY_VALUES_MAX = 50;
export const BARS_MAX = 60;
/** Figures of which a sum says nothing. */
const NOT_ADDED =
  /avg|mean|median|p\d\d|quantile|rate|ratio|share|percent|min|max|distinct|time|latency|duration/i;

export interface Line {
  label: string;
  values: (number | null)[];
  isOther: boolean;
}

export type Chosen =
  | { kind: 'none'; why: string }
  | { kind: 'time'; times: number[]; lines: Line[]; figures: string[]; figure: string | null; gaps: boolean }
  | { kind: 'bars'; bars: { label: string; value: number | null }[]; figures: string[]; figure: string };

/** `wanted` is the figure the person picked, if any. */
export function chartOf(columns: readonly Column[], rows: readonly Row[], wanted: string | null): Chosen {
  const time = columns.find(({ type }) => type === 'timestamp' || type === 'date');
  const { keys, figures } = rolesOf(columns, rows, time);
  const names = figures.map(({ name }) => name);
  const figure = names.find(name => name === wanted) ?? names[0];
  if (rows.length === 0 || figure === undefined)
    return { kind: 'none', why: 'A chart needs at least one row and a numeric column.' };
  const labelOf = (row: Row, at: number) =>
    keys.length === 0 ? String(at + 1) : keys.map(({ name }) => textOf(row[name])).join(' · ');
  if (time === undefined) {
    const bars = rows.slice(0, BARS_MAX).map((row, at) => ({
      label: labelOf(row, at),
      value: numberOf(row[figure]),
    }));
    return { kind: 'bars', bars, figures: names, figure };
  }
  const timed = rows
    .map(row => ({ row, at: Date.parse(String(row[time.name])) / 1000 }))
    .filter(({ at }) => !Number.isNaN(at));
  const times = [...new Set(timed.map(({ at }) => at))].sort((a, b) => a - b);
  if (times.length === timed.length) {
    const byTime = new Map(timed.map(({ row, at }) => [at, row]));
    const lines = names.slice(0, FIGURES_MAX).map(name => ({
      label: name,
      values: times.map(at => numberOf(byTime.get(at)?.[name])),
      isOther: false,
    }));
    return { kind: 'time', times, lines, figures: [], figure: null, gaps: true };
  }
  const isAdded = !NOT_ADDED.test(figure);
  const lines = linesByKey(
    timed.map(({ row, at }) => ({ key: labelOf(row, 0), at, value: numberOf(row[figure]) })),
    times,
    isAdded,
  );
  return { kind: 'time', times, lines, figures: names, figure, gaps: isAdded };
}

/**
 * Texts and truths are keys, numbers are figures. Where they do not tell the rows apart, whole numbers of few values are
 * keys too, from the left: a status, an hour. One figure is always left.
 */
function rolesOf(
  columns: readonly Column[],
  rows: readonly Row[],
  time: Column | undefined,
): { keys: Column[]; figures: Column[] } {
  const keys = columns.filter(it => it !== time && !NUMBERS.has(it.type));
  let figures = columns.filter(({ type }) => NUMBERS.has(type));
  const tellApart = () => {
    const names = [...(time === undefined ? [] : [time]), ...keys].map(({ name }) => name);
    return (
      new Set(rows.map(row => JSON.stringify(names.map(name => row[name] ?? null)))).size === rows.length
    );
  };
  for (const column of figures) {
    if (figures.length < 2 || tellApart()) break;
    if (column.type === 'double') continue;
    if (new Set(rows.map(row => row[column.name])).size > KEY_VALUES_MAX) continue;
    keys.push(column);
    figures = figures.filter(it => it !== column);
  }
  return { keys, figures };
}

interface Point {
  key: string;
  at: number;
  value: number | null;
}

function linesByKey(points: readonly Point[], times: readonly number[], isAdded: boolean): Line[] {
  const sizes = new Map<string, number>();
  for (const { key, value } of points) sizes.set(key, (sizes.get(key) ?? 0) + Math.abs(value ?? 0));
  const ranked = [...sizes].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([key]) => key);
  const alone = new Set(ranked.slice(0, ranked.length <= KEYS_MAX + 1 ? ranked.length : KEYS_MAX));
  const place = new Map(times.map((time, at) => [time, at]));
  // No row of a key at a time means that it had nothing to count then; of a mean it says nothing.
  const nothing = isAdded ? 0 : null;
  const empty = () => times.map(() => ({ sum: nothing as number | null, count: 0 }));
  const cells = new Map([...alone].map(key => [key, empty()]));
  const others = ranked.length > alone.size ? empty() : null;
  for (const { key, at, value } of points) {
    const cell = (cells.get(key) ?? others)?.[place.get(at) ?? -1];
    if (cell === undefined || value === null) continue;
    cell.sum = (cell.sum ?? 0) + value;
    cell.count += 1;
  }
  const valuesOf = (line: { sum: number | null; count: number }[]) =>
    line.map(({ sum, count }) => (isAdded || sum === null ? sum : sum / Math.max(1, count)));
  const lines = [...cells].map(([label, line]) => ({ label, values: valuesOf(line), isOther: false }));
  if (others !== null) {
    const label = `${ranked.length - alone.size} others, ${isAdded ? 'together' : 'their mean'}`;
    lines.push({ label, values: valuesOf(others), isOther: true });
  }
  return lines;
}

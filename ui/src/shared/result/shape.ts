/**
 * Which chart an answer is, by what its columns mean.
 *
 *   one row                 its figures, large
 *   time + figures          a line for each figure of one unit
 *   time + a key + a figure a line for each key: the eight largest, and one for all others
 *   time + a bin + a figure a heatmap
 *   a key + a figure        bars
 *   two keys + a figure     a heatmap
 *
 * What somebody chose goes before it. Pure functions; ResultChart draws.
 */
import type { Row } from '../../api/wire';
import { formatDateTime, numberOf, textOf } from '../format';
import { type ChartChoice, type ChartKind, NO_SERIES } from './choice';
import { addsUp, isFigure, isKey, isNumber, isTime, type MeantColumn } from './columns';

const SERIES_MAX = 8;
const FIGURES_MAX = 6;
export const BARS_MAX = 60;
const HEATMAP_ROWS_MAX = 30;
const HEATMAP_COLUMNS_MAX = 120;
/** A whole number with more different values than this is a figure and no key, like an hour. */
const KEY_VALUES_MAX = 50;

export interface Line {
  label: string;
  values: (number | null)[];
  isOther: boolean;
}

export interface Bar {
  label: string;
  /** One for each of the series, or one. */
  parts: (number | null)[];
}

interface Chosen {
  /** What the selects show and offer. */
  kind: ChartKind;
  x: string | null;
  series: string | null;
  y: string | null;
  xs: string[];
  keys: string[];
  figures: string[];
}

export type Shape = Chosen &
  (
    | { drawn: 'none'; why: string }
    | { drawn: 'number'; figures: string[]; numbers: { label: string; value: number | null; unit: string }[] }
    | { drawn: 'time'; times: number[]; lines: Line[]; unit: string; gaps: boolean; isStatus: boolean }
    | { drawn: 'bars'; bars: Bar[]; parts: string[]; unit: string; left: number; isStatus: boolean }
    | {
        drawn: 'heatmap';
        columns: string[];
        rows: { label: string; values: (number | null)[] }[];
        unit: string;
        left: number;
      }
  );

export function shapeOf(columns: readonly MeantColumn[], rows: readonly Row[], choice: ChartChoice): Shape {
  const { keys, figures } = partsOf(columns, rows);
  const times = columns.filter(isTime);
  const byName = (all: readonly MeantColumn[], name: string | null | undefined) =>
    all.find(it => it.name === name);
  const x = byName([...times, ...keys], choice.x) ?? times[0] ?? keys[0];
  const others = keys.filter(it => it !== x);
  const y = byName(figures, choice.y) ?? figures[0];
  const kind = choice.kind ?? kindOf(rows, x, others, figures);
  const bin = others.find(({ role }) => role === 'bin');
  const given = byName(others, choice.series);
  const series =
    choice.series === NO_SERIES
      ? []
      : given !== undefined
        ? [given]
        : kind === 'heatmap'
          ? [bin ?? others[0]]
          : others;
  const named = series.filter(it => it !== undefined);
  const chosen: Chosen = {
    kind,
    x: x?.name ?? null,
    series: named.length === 1 ? (named[0]?.name ?? null) : null,
    y: y?.name ?? null,
    xs: [...times, ...keys].map(({ name }) => name),
    keys: others.map(({ name }) => name),
    figures: figures.map(({ name }) => name),
  };
  if (rows.length === 0 || y === undefined)
    return { ...chosen, drawn: 'none', why: 'A chart needs at least one row and a numeric column.' };
  if (kind === 'number')
    return { ...chosen, drawn: 'number', numbers: numbersOf(rows, figures, choice.y ?? null) };
  if (x === undefined || (kind === 'heatmap' && named.length === 0)) {
    if (kind === 'heatmap')
      return { ...chosen, drawn: 'none', why: 'A heatmap needs two columns beside the figure.' };
    const bars = rows
      .slice(0, BARS_MAX)
      .map((row, at) => ({ label: String(at + 1), parts: [numberOf(row[y.name])] }));
    return {
      ...chosen,
      drawn: 'bars',
      bars,
      parts: [y.name],
      unit: unitOf(y),
      left: rows.length - bars.length,
      isStatus: false,
    };
  }
  const isStatus = named.length === 1 && named[0]?.role === 'status';
  if (kind === 'heatmap')
    return { ...chosen, drawn: 'heatmap', ...heatOf(rows, x, named[0] as MeantColumn, y), unit: unitOf(y) };
  if (kind === 'bars' || kind === 'table' || !isTime(x))
    return { ...chosen, drawn: 'bars', ...barsOf(rows, x, named, y), unit: unitOf(y), isStatus };
  return {
    ...chosen,
    drawn: 'time',
    ...linesOf(rows, x, named, y, choice.y == null ? figures : [y]),
    isStatus,
  };
}

function kindOf(
  rows: readonly Row[],
  x: MeantColumn | undefined,
  others: readonly MeantColumn[],
  figures: readonly MeantColumn[],
): ChartKind {
  if (figures.length === 0) return 'table';
  if (rows.length === 1) return 'number';
  if (x === undefined) return 'bars';
  if (isTime(x)) return others.length === 1 && others[0]?.role === 'bin' ? 'heatmap' : 'line';
  return others.length === 1 ? 'heatmap' : 'bars';
}

/**
 * Where keys do not tell the rows apart, whole numbers of few values of which no more is known are keys too, from the left:
 * an hour, a partition. One figure is always left.
 */
function partsOf(
  columns: readonly MeantColumn[],
  rows: readonly Row[],
): { keys: MeantColumn[]; figures: MeantColumn[] } {
  const keys = columns.filter(isKey);
  let figures = columns.filter(isFigure);
  const tellApart = () => {
    const names = columns.filter(it => isTime(it) || keys.includes(it)).map(({ name }) => name);
    return (
      new Set(rows.map(row => JSON.stringify(names.map(name => row[name] ?? null)))).size === rows.length
    );
  };
  for (const column of figures) {
    if (figures.length < 2 || tellApart()) break;
    if (!/int/.test(column.type) || (column.role ?? 'measure') !== 'measure') continue;
    if (new Set(rows.map(row => row[column.name])).size > KEY_VALUES_MAX) continue;
    keys.push(column);
    figures = figures.filter(it => it !== column);
  }
  return { keys, figures };
}

function unitOf({ unit }: MeantColumn): string {
  return unit ?? '';
}

function labelOf(row: Row, columns: readonly MeantColumn[]): string {
  return columns.map(({ name }) => (row[name] === '' ? "''" : textOf(row[name]))).join(' · ');
}

function numbersOf(rows: readonly Row[], figures: readonly MeantColumn[], only: string | null) {
  const [row = {}] = rows;
  return figures
    .filter(({ name }) => only === null || name === only)
    .map(it => ({ label: it.name, value: numberOf((row as Row)[it.name]), unit: unitOf(it) }));
}

/** Sums, or means of what does not add up. */
class Cells {
  private readonly cells = new Map<string, { sum: number; count: number }>();
  private readonly adds: boolean;
  constructor(adds: boolean) {
    this.adds = adds;
  }

  add(row: string, column: string | number, value: number | null): void {
    if (value === null) return;
    const key = `${column}\n${row}`;
    const cell = this.cells.get(key) ?? { sum: 0, count: 0 };
    this.cells.set(key, { sum: cell.sum + value, count: cell.count + 1 });
  }

  at(row: string, column: string | number): number | null {
    const cell = this.cells.get(`${column}\n${row}`);
    if (cell === undefined) return null;
    return this.adds ? cell.sum : cell.sum / cell.count;
  }
}

/** Labels by their size, the largest first. */
function ranked(sizes: ReadonlyMap<string, number>): string[] {
  return [...sizes].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([label]) => label);
}

/** The largest, each as it is called, and all others as one. */
function kept(
  sizes: ReadonlyMap<string, number>,
  adds: boolean,
): { labels: string[]; labelled: (label: string) => string; other: string | null } {
  const all = ranked(sizes);
  const alone = all.slice(0, all.length <= SERIES_MAX + 1 ? all.length : SERIES_MAX);
  const left = all.length - alone.length;
  const other = left === 0 ? null : `${left} others, ${adds ? 'together' : 'their mean'}`;
  const known = new Set(alone);
  return {
    labels: other === null ? alone : [...alone, other],
    labelled: label => (known.has(label) ? label : (other ?? label)),
    other,
  };
}

function sizesOf(rows: readonly Row[], series: readonly MeantColumn[], y: MeantColumn): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const row of rows) {
    const label = labelOf(row, series);
    sizes.set(label, (sizes.get(label) ?? 0) + Math.abs(numberOf(row[y.name]) ?? 0));
  }
  return sizes;
}

function linesOf(
  rows: readonly Row[],
  x: MeantColumn,
  series: readonly MeantColumn[],
  y: MeantColumn,
  figures: readonly MeantColumn[],
): { times: number[]; lines: Line[]; unit: string; gaps: boolean } {
  const timed = rows
    .map(row => ({ row, at: Date.parse(String(row[x.name])) / 1000 }))
    .filter(({ at }) => !Number.isNaN(at));
  const times = [...new Set(timed.map(({ at }) => at))].sort((a, b) => a - b);
  if (series.length === 0 || times.length === timed.length) {
    // Figures of other units have no place on the same axis.
    const alike = figures.filter(
      it => unitOf(it) === unitOf(y) && (it.role === 'share') === (y.role === 'share'),
    );
    const lines = alike.slice(0, FIGURES_MAX).map(figure => {
      const cells = new Cells(addsUp(figure));
      for (const { row, at } of timed) cells.add('', at, numberOf(row[figure.name]));
      return { label: figure.name, values: times.map(at => cells.at('', at)), isOther: false };
    });
    return { times, lines, unit: unitOf(y), gaps: true };
  }
  const adds = addsUp(y);
  const { labels, labelled, other } = kept(sizesOf(rows, series, y), adds);
  const cells = new Cells(adds);
  for (const { row, at } of timed) cells.add(labelled(labelOf(row, series)), at, numberOf(row[y.name]));
  // No row of a key at a time means that it had nothing to count then; of a mean it says nothing.
  const nothing = adds ? 0 : null;
  const lines = labels.map(label => ({
    label,
    values: times.map(at => cells.at(label, at) ?? nothing),
    isOther: label === other,
  }));
  return { times, lines, unit: unitOf(y), gaps: adds };
}

/** How a value of an axis is called. */
function nameOf(row: Row, x: MeantColumn): string {
  return isTime(x) ? formatDateTime(row[x.name]).replace(/:00$/, '') : labelOf(row, [x]);
}

/** Values of an axis: in the order of time or of numbers, else as they come. */
function axisOf(rows: readonly Row[], x: MeantColumn): string[] {
  const first = new Map<string, unknown>();
  for (const row of rows) {
    const name = nameOf(row, x);
    if (!first.has(name)) first.set(name, row[x.name]);
  }
  const names = [...first.keys()];
  if (isTime(x)) return names.sort();
  if (!isNumber(x.type)) return names;
  return names.sort((a, b) => (numberOf(first.get(a)) ?? 0) - (numberOf(first.get(b)) ?? 0));
}

function barsOf(rows: readonly Row[], x: MeantColumn, series: readonly MeantColumn[], y: MeantColumn) {
  const adds = addsUp(y);
  // What does not add up is not put together: each row is a bar.
  const together = adds && series.length === 1;
  const label = (row: Row) =>
    together || series.length === 0 ? nameOf(row, x) : `${nameOf(row, x)} · ${labelOf(row, series)}`;
  const { labels: parts, labelled } = together
    ? kept(sizesOf(rows, series, y), true)
    : { labels: [y.name], labelled: () => y.name };
  const cells = new Cells(adds);
  for (const row of rows) cells.add(labelled(labelOf(row, series)), label(row), numberOf(row[y.name]));
  const names = together || series.length === 0 ? axisOf(rows, x) : [...new Set(rows.map(label))];
  const bars = names
    .slice(0, BARS_MAX)
    .map(name => ({ label: name, parts: parts.map(part => cells.at(part, name)) }));
  return { bars, parts, left: names.length - bars.length };
}

function heatOf(rows: readonly Row[], x: MeantColumn, series: MeantColumn, y: MeantColumn) {
  const names = axisOf(rows, x);
  const columns = isTime(x) ? names.slice(-HEATMAP_COLUMNS_MAX) : names.slice(0, HEATMAP_COLUMNS_MAX);
  const all = isNumber(series.type) ? axisOf(rows, series).reverse() : ranked(sizesOf(rows, [series], y));
  const labels = all.slice(0, HEATMAP_ROWS_MAX);
  const cells = new Cells(addsUp(y));
  for (const row of rows) cells.add(nameOf(row, series), nameOf(row, x), numberOf(row[y.name]));
  return {
    columns,
    rows: labels.map(label => ({ label, values: columns.map(column => cells.at(label, column)) })),
    left: all.length - labels.length + (names.length - columns.length),
  };
}

/** What the page shows of an answer. */
import type { Column, Row } from '../../api/wire';
import { formatAny, formatDateTime, formatNumber, textOf } from '../../shared/format';

/** Rows that are shown, and the statement they are of. */
export interface Shown {
  of: string;
  columns: readonly Column[];
  rows: readonly Row[];
  partial: boolean;
}

export function rowsOf(count: number): string {
  return `${formatNumber(count)} ${count === 1 ? 'row' : 'rows'}`;
}

export const NUMBERS: ReadonlySet<string> = new Set(['int', 'bigint', 'double']);

/** A value as a cell shows it; whole, since a result is data. NULL is a word of its own and no text. */
export type Cell = { kind: 'null' | 'empty' | 'value'; text: string };

export function cellOf(value: unknown, type: string): Cell {
  if (value === null || value === undefined) return { kind: 'null', text: 'NULL' };
  if (value === '') return { kind: 'empty', text: "''" };
  if (typeof value === 'number') return { kind: 'value', text: formatAny(value) };
  if (type !== 'timestamp') return { kind: 'value', text: textOf(value) };
  const fraction = /\.(\d*[1-9])0*/.exec(String(value))?.[1];
  const text = formatDateTime(value);
  return { kind: 'value', text: fraction === undefined ? text : `${text}.${fraction}` };
}

const SAMPLE_ROWS = 200;
const WIDTH_MIN = 5;
const WIDTH_MAX = 60;

/** How many characters a column needs for its name and for what is in it. */
export function widthsOf(columns: readonly Column[], rows: readonly Row[]): number[] {
  // Rows from all over the answer, since those of one end may be alike.
  const step = Math.max(1, Math.floor(rows.length / SAMPLE_ROWS));
  const sample = rows.filter((_, at) => at % step === 0);
  return columns.map(({ name, type }) => {
    const longest = sample.reduce((most, row) => Math.max(most, cellOf(row[name], type).text.length), 0);
    return Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, name.length, longest));
  });
}

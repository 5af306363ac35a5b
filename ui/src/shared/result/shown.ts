/** What the page shows of an answer, and what leaves it by the clipboard. */
import type { Row } from '../../api/wire';
import { formatDateTime, formatNumber, numberOf, textOf } from '../format';
import { isFigure, isNumber, isTime, type MeantColumn } from './columns';

/** Rows that are shown, and the statement they are of. */
export interface Shown {
  of: string;
  columns: readonly MeantColumn[];
  rows: readonly Row[];
  partial: boolean;
  truncated: boolean;
}

export function rowsOf(count: number): string {
  return `${formatNumber(count)} ${count === 1 ? 'row' : 'rows'}`;
}

/** A value as a cell shows it. NULL is a word of its own and no text. */
export type Cell = { kind: 'null' | 'empty' | 'value'; text: string };

/** Digits of a number that is no whole one; all of them are in the title of its cell. */
const DIGITS = 7;

export function cellOf(value: unknown, column: Pick<MeantColumn, 'type' | 'role' | 'name'>): Cell {
  if (value === null || value === undefined) return { kind: 'null', text: 'NULL' };
  if (value === '') return { kind: 'empty', text: "''" };
  if (typeof value === 'number') return { kind: 'value', text: numberText(value, isFigure(column)) };
  if (column.type !== 'timestamp') return { kind: 'value', text: textOf(value) };
  const fraction = /\.(\d*[1-9])0*/.exec(String(value))?.[1];
  const text = formatDateTime(value);
  return { kind: 'value', text: fraction === undefined ? text : `${text}.${fraction}` };
}

/** Digits are in groups where they count something: a status or a year is no such number. */
function numberText(value: number, grouped: boolean): string {
  const short = Number.isInteger(value) ? value : Number(value.toPrecision(DIGITS));
  const text = String(short);
  const [, whole, fraction] = /^(-?\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  if (!grouped || whole === undefined) return text;
  return formatNumber(short, fraction?.length ?? 0);
}

export type Sort = { column: string; descending: boolean };

/** Rows by a column; missing ones last, whichever way. Rows that are alike stay in their order. */
export function sorted(
  rows: readonly Row[],
  columns: readonly MeantColumn[],
  sort: Sort | null,
): readonly Row[] {
  const column = columns.find(({ name }) => name === sort?.column);
  if (sort === null || column === undefined) return rows;
  const sign = sort.descending ? -1 : 1;
  const keyed = rows.map(row => ({ row, key: keyOf(row[column.name], column) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return Number(a.key === null) - Number(b.key === null);
    return a.key < b.key ? -sign : b.key < a.key ? sign : 0;
  });
  return keyed.map(({ row }) => row);
}

function keyOf(value: unknown, column: MeantColumn): number | string | boolean | null {
  if (value === null || value === undefined) return null;
  if (isNumber(column.type)) {
    // As SQL has them: beyond all other numbers.
    if (value === 'NaN') return Number.POSITIVE_INFINITY;
    if (value === 'Infinity' || value === '-Infinity') return Number(value);
    return numberOf(value);
  }
  if (isTime(column)) {
    const time = Date.parse(String(value));
    return Number.isNaN(time) ? String(value) : time;
  }
  if (typeof value === 'boolean') return value;
  return textOf(value);
}

/** The next order when a header is used: up, down, as it came. */
export function nextSort(sort: Sort | null, column: string): Sort | null {
  if (sort?.column !== column) return { column, descending: false };
  return sort.descending ? null : { column, descending: true };
}

const SAMPLE_ROWS = 300;

/**
 * The texts a column must have room for, the longest ones: of all rows where values differ in length and a cut one would be another
 * one, else of rows from all over the answer.
 */
export function longestOf(columns: readonly MeantColumn[], rows: readonly Row[]): string[] {
  const step = Math.max(1, Math.floor(rows.length / SAMPLE_ROWS));
  return columns.map(column => {
    const every = isTime(column) || column.type === 'text' ? 1 : step;
    let longest = '';
    for (let at = 0; at < rows.length; at += every) {
      const { text } = cellOf(rows[at]?.[column.name], column);
      if (text.length > longest.length) longest = text;
    }
    return longest;
  });
}

/** A value as it is, for the clipboard: nothing for NULL. */
export function plainOf(value: unknown): string {
  return value === null || value === undefined ? '' : textOf(value);
}

/** With a head; a value with a tab, a quote or a line break is in quotes, as spreadsheets take it. */
export function tsvOf(columns: readonly { name: string }[], rows: readonly Row[], head = true): string {
  const field = (text: string) => (/["\t\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map(row => columns.map(({ name }) => field(plainOf(row[name]))).join('\t'));
  return [...(head ? [columns.map(({ name }) => field(name)).join('\t')] : []), ...lines].join('\n');
}

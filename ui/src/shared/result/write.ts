/** Rows that are here already, as a file: the same bytes as an export of the server has. */
import type { Column, Row } from '../../api/wire';

/** With a head; a missing value is empty, an empty text is in quotes. */
export function csvOf(columns: readonly Column[], rows: readonly Row[]): string {
  const names = columns.map(({ name }) => name);
  const lines = [names, ...rows.map(row => names.map(name => row[name]))];
  return lines.map(values => `${values.map(cellOf).join(',')}\r\n`).join('');
}

export function jsonLinesOf(columns: readonly Column[], rows: readonly Row[]): string {
  const object = (row: Row) => Object.fromEntries(columns.map(({ name }) => [name, row[name] ?? null]));
  return rows.map(row => `${JSON.stringify(object(row))}\n`).join('');
}

function cellOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string')
    return typeof value === 'object' ? cellOf(JSON.stringify(value)) : String(value);
  return value === '' || /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

/**
 * What the server chose to show of a dataflow, by what its columns are; and how a figure of any column is called and
 * written. Pure functions.
 */
import type { Row, Schemas } from '../api/wire';
import { formatAny, formatNumber, formatRate, MISSING, numberOf, quantifyBytes } from './format';

export type Page = Schemas['Page'];
export type Counted = Schemas['Counted'];
export type Keyed = Schemas['Keyed'];
export type Column = Schemas['CatalogColumn'];

/** The series of what failed, in percent. */
export const FAILED_SHARE = 'failed_share';

/** Parts of names that say how a figure was made, which is said before it instead. */
const STATISTIC_PARTS = /^(?:avg|mean|max|min|sum|total|p\d+)_|_(?:avg|mean|max|min|sum|total|stddev|p\d+)$/g;
const STATISTICS: Readonly<Record<string, string>> = {
  mean: 'mean ',
  max: 'longest ',
  min: 'shortest ',
  stddev: 'deviation of ',
};

/** A name as words: `response_time_p95` is `p95 response time`. */
export function labelOf({ name, role, statistic }: Pick<Column, 'name' | 'role' | 'statistic'>): string {
  const words = name.replaceAll(STATISTIC_PARTS, '').replaceAll('_', ' ').trim() || name;
  if (statistic == null) return words;
  if (/^p\d/.test(statistic)) return `${statistic} ${words}`;
  const said = STATISTICS[statistic] ?? '';
  return role === 'duration'
    ? `${said}${words}`
    : `${said.replace(/longest|shortest/, it => (it === 'longest' ? 'largest' : 'smallest'))}${words}`;
}

/** The same at the beginning of a line. */
export function titleOfColumn(column: Pick<Column, 'name' | 'role' | 'statistic'>): string {
  const label = labelOf(column);
  // A percentile is written small.
  return /^p\d/.test(label) ? label : `${label.charAt(0).toUpperCase()}${label.slice(1)}`;
}

export interface Written {
  value: string;
  unit: string;
}

/** A figure as it is written, and its unit. */
export function written(
  value: number | null | undefined,
  { role, unit }: Pick<Column, 'role' | 'unit'>,
): Written {
  if (value == null) return { value: MISSING, unit: '' };
  if (role === 'bytes') return quantifyBytes(value);
  if (role === 'share' && unit == null) return { value: formatNumber(100 * value, 1), unit: '%' };
  if (role === 'share') return { value: formatNumber(value, 1), unit: unit ?? '' };
  if (role === 'money') return { value: moneyOf(value), unit: unit ?? '' };
  if (role === 'count') return { value: compact(value), unit: '' };
  return { value: formatAny(value), unit: unit ?? '' };
}

/** In one text. */
export function writtenText(value: number | null | undefined, column: Pick<Column, 'role' | 'unit'>): string {
  const { value: text, unit } = written(value, column);
  return unit === '' ? text : `${text} ${unit}`;
}

function moneyOf(value: number): string {
  const size = Math.abs(value);
  return size < 1e6 ? formatNumber(value, size < 1_000 ? 2 : 0) : compact(value);
}

/** A number of any size within a tile. */
export function compact(count: number | null): string {
  if (count === null) return MISSING;
  const size = Math.abs(count);
  if (size < 1e6) return formatNumber(count, Number.isInteger(count) ? 0 : 1);
  return size < 1e9 ? `${formatNumber(count / 1e6, 2)} M` : `${formatNumber(count / 1e9, 2)} G`;
}

/** Of durations the one that tells slow ones best, as the server chose it. */
export function telling({ figures, telling: name }: Pick<Counted, 'figures' | 'telling'>): Column | null {
  return figures.find(it => it.name === name) ?? null;
}

/** What a row of a view that counts says of its span of time. */
export interface Now {
  count: number;
  /** In percent. */
  failedShare: number | null;
  graveShare: number | null;
  slow: number | null;
}

export function nowOf(counted: Counted, row: Row): Now | null {
  const count = numberOf(row[counted.count]);
  if (count === null) return null;
  const share = (column: string | null | undefined) => {
    const part = column == null ? null : numberOf(row[column]);
    return part === null || count === 0 ? null : (100 * part) / count;
  };
  const slow = telling(counted);
  return {
    count,
    failedShare: share(counted.failed),
    graveShare: share(counted.grave),
    slow: slow === null ? null : numberOf(row[slow.name]),
  };
}

/** A rate per second as people read it: rare ones are per minute or hour. */
export function rateOf(perSecond: number | null): Written {
  if (perSecond === null) return { value: MISSING, unit: '/s' };
  if (perSecond === 0 || perSecond >= 0.1) return { value: formatRate(perSecond), unit: '/s' };
  if (perSecond >= 1 / 600) return { value: formatRate(perSecond * 60), unit: '/min' };
  return { value: formatRate(perSecond * 3_600), unit: '/h' };
}

/** The column of records with a role; the first of them. */
export function recordColumn(page: Page, role: string): Column | null {
  return page.record_columns.find(it => it.role === role) ?? null;
}

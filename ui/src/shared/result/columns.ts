/** Columns of an answer with what they mean, as the server says it. */
import type { Column, Schemas } from '../../api/wire';

/** A column; what it means is missing where only rows were sent. */
export interface MeantColumn extends Column {
  role?: string | null;
  unit?: string | null;
  statistic?: string | null;
  /** Whether figures of two spans of time make that of both by addition; of a column without a statistic it is false. */
  adds_up?: boolean | null;
  comment?: string | null;
}

export type Catalog = Schemas['Tables'];

/** Rows of a live view come without the meaning of their columns; the catalog has it. */
export function meantOf(
  columns: readonly Column[],
  relation: string,
  catalog: Catalog | undefined,
): MeantColumn[] {
  const table = catalog?.tables.find(({ name }) => name === relation);
  return columns.map(column => ({ ...table?.columns.find(({ name }) => name === column.name), ...column }));
}

export function isNumber(type: string): boolean {
  return /^(smallint|int|bigint|real|double|decimal|numeric)\b/.test(type);
}

export function isTime({ role, type }: MeantColumn): boolean {
  return role === 'time' || type === 'timestamp' || type === 'date';
}

const KEYS: ReadonlySet<string> = new Set(['key', 'level', 'status', 'flag', 'id', 'text', 'bin']);

/** What can be drawn: a number that is no key. */
export function isFigure(column: MeantColumn): boolean {
  return isNumber(column.type) && !isTime(column) && !KEYS.has(column.role ?? 'measure');
}

/** What rows can be told apart by. */
export function isKey(column: MeantColumn): boolean {
  if (isTime(column) || column.role === 'other') return false;
  return !isNumber(column.type) || KEYS.has(column.role ?? 'measure');
}

/** Words of statistics that do not add up. */
const NOT_ADDED =
  /avg|average|mean|median|(^|_)p\d\d|quantile|percentile|rate|ratio|share|percent|min|max|distinct|uniq|stddev/i;

/** Whether figures of several rows make that of all of them by addition; of others the mean is taken. */
export function addsUp({ name, role, statistic, adds_up }: MeantColumn): boolean {
  // Without a statistic the server tells no column to add up, of records neither; then its role and its name tell.
  if (statistic != null) return adds_up === true;
  if (role === 'share' || role === 'duration') return false;
  return !NOT_ADDED.test(name);
}

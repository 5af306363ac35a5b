/** In which order the rows of a view are shown. Pure functions. */
import type { Row, Schemas } from '../../api/wire';
import { numberOf } from '../../shared/format';

type View = Schemas['ViewBody'];

const ORDER = /ORDER\s+BY\s+"?(\w+)"?(\s+DESC)?[^()]*LIMIT\s+\d+\s*;?\s*$/i;

/** As the view's SQL says, else by the first figure, largest first. */
export function orderOf(view: Pick<View, 'sql' | 'columns'>, rows: readonly Row[]): Row[] {
  const [, named, descending] = ORDER.exec(view.sql) ?? [];
  const figures = new Set(['count', 'share', 'measure', 'duration', 'bytes', 'money']);
  const column = view.columns.some(({ name }) => name === named)
    ? named
    : view.columns.find(({ role }) => figures.has(role))?.name;
  if (column === undefined) return [...rows];
  const sign = named === column && descending === undefined ? 1 : -1;
  const value = (row: Row) => numberOf(row[column]) ?? Number.NEGATIVE_INFINITY;
  return [...rows].sort((a, b) => sign * (value(a) - value(b)));
}

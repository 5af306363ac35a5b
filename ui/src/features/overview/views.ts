/** Which views of any dataflow are worth a panel, and in which order their rows are. Pure functions. */
import type { Row, Schemas } from '../../api/wire';
import { numberOf } from '../../shared/format';

type View = Schemas['ViewBody'];

const PANELS_MAX = 4;
/** A page that follows more rows is slow, and nobody reads them here. */
const ROWS_MAX = 5_000;
/** A single row is a table too, of one line. */
const FEW_ROWS = 50;
const ORDER = /ORDER\s+BY\s+"?(\w+)"?(\s+DESC)?[^()]*LIMIT\s+\d+\s*;?\s*$/i;
/** Views every dataflow has. They are on Pipeline. */
const BUILT_IN = new Set(['late', 'dead_letter_counts']);
/** What all detectors found, in dataflows that have some. As their own views, it is on Anomalies. */
const INCIDENTS = 'incidents';
const NUMBERS = new Set(['int', 'bigint', 'double']);

export function isWindowed({ window_column, columns }: View): boolean {
  return window_column != null || columns.some(({ name }) => name === 'window_start');
}

export function isRanked({ sql }: View): boolean {
  return ORDER.test(sql);
}

/** Windows first, then what is ranked, then what has few rows. */
export function viewsToShow(views: readonly View[]): View[] {
  const hasDetectors = views.some(it => it.detector != null);
  const fit = views.filter(
    ({ name, rows, columns, detector }) =>
      !BUILT_IN.has(name) &&
      !(hasDetectors && name === INCIDENTS) &&
      detector == null &&
      rows <= ROWS_MAX &&
      columns.some(it => NUMBERS.has(it.type)),
  );
  const windowed = fit.filter(isWindowed);
  const ranked = fit.filter(it => !isWindowed(it) && isRanked(it));
  const few = fit.filter(it => !windowed.includes(it) && !ranked.includes(it) && it.rows <= FEW_ROWS);
  const most = ranked.length + few.length > 0 ? PANELS_MAX - 1 : PANELS_MAX;
  return [...windowed.slice(0, most), ...ranked, ...few].slice(0, PANELS_MAX);
}

/** As the view's SQL says, else by the first number, largest first. */
export function orderOf(view: View, rows: readonly Row[]): Row[] {
  const [, named, descending] = ORDER.exec(view.sql) ?? [];
  const column = view.columns.some(({ name }) => name === named)
    ? named
    : view.columns.find(({ type }) => NUMBERS.has(type))?.name;
  if (column === undefined) return [...rows];
  const sign = named === column && descending === undefined ? 1 : -1;
  const value = (row: Row) => numberOf(row[column]) ?? Number.NEGATIVE_INFINITY;
  return [...rows].sort((a, b) => sign * (value(a) - value(b)));
}

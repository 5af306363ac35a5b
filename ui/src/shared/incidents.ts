/**
 * What rules found, as incidents: windows of one rule and one key in a row are one. Pure functions.
 */
import type { Row } from '../api/wire';
import { joined, partOf } from './filter';
import { formatName, numberOf, textOf } from './format';
import { figureText, GOING_ON_MS, type RuleView } from './rules';

export interface Incident {
  id: string;
  title: string;
  detail: string;
  begin_ms: number;
  /** `null` while it goes on. */
  end_ms: number | null;
  /** Its records, as far as the view says which those are. */
  where: string | null;
}

/** Windows further apart are of two incidents, in windows. */
const GAP_MAX = 2;

/** Oldest first. Rows that differ in other keys than the first are one thing. */
export function incidentsOf(view: RuleView, rows: readonly Row[], now_ms: number): Incident[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const id = [view.rule, view.keys[0]].map(it => (it == null ? '' : textOf(row[it]))).join(' on ');
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [row]);
    else group.push(row);
  }
  const begin = (row: Row) => timeOf(row, view.begin);
  const end = (row: Row) => timeOf(row, view.end ?? view.begin);
  const found: Incident[] = [];
  for (const [id, group] of groups) {
    group.sort((a, b) => begin(a) - begin(b));
    let run: Row[] = [];
    for (const row of group) {
      const previous = run.at(-1);
      const length = Math.max(end(row) - begin(row), GOING_ON_MS / GAP_MAX);
      if (previous !== undefined && begin(row) - end(previous) > GAP_MAX * length) {
        found.push(incidentOf(view, id, run, now_ms));
        run = [];
      }
      run.push(row);
    }
    if (run.length > 0) found.push(incidentOf(view, id, run, now_ms));
  }
  return found.sort((a, b) => a.begin_ms - b.begin_ms || (a.id < b.id ? -1 : 1));
}

function incidentOf(view: RuleView, id: string, run: readonly Row[], now_ms: number): Incident {
  const begins = run.map(row => timeOf(row, view.begin));
  const until_ms = Math.max(...run.map(row => timeOf(row, view.end ?? view.begin)));
  const isOver = now_ms - until_ms >= GOING_ON_MS;
  // While it goes on, what the newest window says counts; of what is over, the worst.
  const newest = Math.max(...begins);
  const told = isOver ? run : run.filter((_, at) => begins[at] === newest);
  const worst = told.reduce((most, row) => (isWorse(view, row, most) ? row : most));
  const [key] = view.keys;
  const value = key === undefined || worst[key] == null ? null : textOf(worst[key]);
  const name = view.rule === null || worst[view.rule] == null ? view.name : worst[view.rule];
  const rule = formatName(name);
  const figures = view.figures.flatMap(column => {
    const figure = numberOf(worst[column.name]);
    return figure === null ? [] : [`${formatName(column.name)} ${figureText(column, figure)}`];
  });
  const parts = view.keys.slice(0, 1).filter(it => value !== null && view.recordColumns.includes(it));
  return {
    id,
    title: `${rule.charAt(0).toUpperCase()}${rule.slice(1)}${value === null ? '' : ` on ${value}`}`,
    detail: figures.join(', '),
    begin_ms: Math.min(...begins),
    end_ms: isOver ? until_ms : null,
    where: joined(parts.map(it => partOf(it, '=', value ?? ''))) ?? null,
  };
}

/** By the first figure that differs. */
function isWorse({ figures }: RuleView, a: Row, b: Row): boolean {
  for (const { name } of figures) {
    const [left, right] = [numberOf(a[name]) ?? 0, numberOf(b[name]) ?? 0];
    if (left !== right) return left > right;
  }
  return false;
}

function timeOf(row: Row, column: string): number {
  const time = Date.parse(String(row[column]));
  return Number.isNaN(time) ? 0 : time;
}

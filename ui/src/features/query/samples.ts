/** Queries to begin with: those the server offers, and some of whatever the dataflow has, by what its columns are. */
import type { Schemas } from '../../api/wire';
import { isFigure, isTime } from '../../shared/result/columns';

export interface Sample {
  name: string;
  query: string;
}

type Table = Schemas['TableBody'];

/** Views of any dataflow that are offered. */
const VIEWS_MAX = 4;

/** What the page begins with: a live view, one that has a time if there is one. */
export function firstQuery(catalog: Schemas['Tables'] | undefined): string {
  const views = viewsOf(catalog);
  const first = views.find(({ columns }) => columns.some(isTime)) ?? views[0];
  return first === undefined ? 'SHOW TABLES' : `SELECT * FROM ${quoted(first.name)}`;
}

/** Samples that can be run here. */
export function samplesOf(catalog: Schemas['Tables'] | undefined): readonly Sample[] {
  if (catalog === undefined) return [];
  const stored = catalog.tables.filter(
    ({ name, columns }) => name.startsWith('lake.') && columns.some(isTime),
  );
  // Records themselves rather than what became of them, and those with most to tell.
  const [table] = stored
    .filter(({ name }) => !isLive(catalog, name))
    .concat(stored)
    .sort(
      (a, b) =>
        Number(isLive(catalog, a.name)) - Number(isLive(catalog, b.name)) ||
        b.columns.length - a.columns.length,
    );
  return [
    { name: 'Everything that can be read', query: 'SHOW TABLES' },
    ...(catalog.samples ?? []),
    ...viewsOf(catalog)
      .slice(0, VIEWS_MAX)
      .map(({ name }) => ({ name: `Live: ${name}`, query: `SELECT * FROM ${quoted(name)}` })),
    ...(table === undefined ? [] : ofTable(table)),
  ];
}

function viewsOf(catalog: Schemas['Tables'] | undefined): readonly Table[] {
  return (catalog?.tables ?? []).filter(({ kind, columns }) => kind === 'live view' && columns.length > 0);
}

/** Whether a stored table is what a live view of its name was. */
function isLive(catalog: Schemas['Tables'], stored: string): boolean {
  return catalog.tables.some(({ name, kind }) => kind === 'live view' && `lake.${name}` === stored);
}

function ofTable({ name, columns }: Table): readonly Sample[] {
  const time = columns.find(isTime)?.name;
  if (time === undefined) return [];
  const [at, from] = [quoted(time), quoted(name)];
  const key = columns.find(({ role }) => role === 'key')?.name;
  const figure = columns.find(column => isFigure(column) && column.role !== 'count')?.name;
  return [
    { name: `Newest of ${name}`, query: `SELECT *\nFROM ${from}\nORDER BY ${at} DESC\nLIMIT 100` },
    {
      name: `${name} per minute`,
      query: `SELECT date_trunc('minute', ${at}) AS minute, count(*) AS records\nFROM ${from}\nWHERE ${at} >= now() - INTERVAL '1 hour'\nGROUP BY 1\nORDER BY 1`,
    },
    ...(key === undefined
      ? []
      : [
          {
            name: `${name} per minute and ${key}`,
            query: `SELECT date_trunc('minute', ${at}) AS minute, ${quoted(key)}, count(*) AS records\nFROM ${from}\nWHERE ${at} >= now() - INTERVAL '1 hour'\nGROUP BY 1, 2\nORDER BY 1`,
          },
        ]),
    ...(key === undefined || figure === undefined
      ? []
      : [
          {
            name: `${figure} by ${key}`,
            query: `SELECT ${quoted(key)}, count(*) AS records, avg(${quoted(figure)}) AS ${quoted(`mean_${figure}`)}\nFROM ${from}\nGROUP BY 1\nORDER BY 3 DESC\nLIMIT 20`,
          },
        ]),
  ];
}

export function quoted(name: string): string {
  return name
    .split('.')
    .map(part => (/^[a-z_][a-z0-9_]*$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`))
    .join('.');
}

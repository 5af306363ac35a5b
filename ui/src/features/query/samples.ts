/** Queries to begin with: those the server offers, more of web logs where there are such logs, else some of whatever there is. */
import type { Schemas } from '../../api/wire';

export interface Sample {
  name: string;
  query: string;
}

const OF_WEB_LOGS: readonly Sample[] = [
  {
    name: 'Error rate by endpoint',
    query: `SELECT endpoint,
       COUNT(*) AS total_requests,
       SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END) AS errors,
       ROUND(SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END) * 100.0 / COUNT(*), 2) AS error_rate
FROM delta_lake.logs
WHERE timestamp >= NOW() - INTERVAL '1' HOUR
GROUP BY endpoint
ORDER BY error_rate DESC`,
  },
  {
    name: 'Requests per minute and endpoint',
    query: `SELECT window_start, endpoint, requests
FROM traffic_1m
WHERE window_start >= NOW() - INTERVAL '1' HOUR
ORDER BY window_start`,
  },
  {
    name: 'Newest errors',
    query: `SELECT timestamp, level, source, endpoint, status, response_time, referer
FROM delta_lake.logs
WHERE level = 'ERROR'
ORDER BY timestamp DESC
LIMIT 100`,
  },
  { name: 'Live: traffic of the last minute', query: 'SELECT * FROM last_minute' },
  { name: 'Live: top endpoints', query: 'SELECT * FROM top_endpoints' },
];

/** Views of any dataflow that are offered. */
const VIEWS_MAX = 4;
const ENOUGH = 4;

/** Samples that can be run here. */
export function samplesOf(catalog: Schemas['Tables'] | undefined): readonly Sample[] {
  if (catalog === undefined) return [];
  const { tables } = catalog;
  const has = (name = '') => tables.some(table => table.name === name.replace('delta_lake.', 'lake.'));
  const known = OF_WEB_LOGS.filter(({ query }) =>
    [...query.matchAll(/(?:FROM|JOIN)\s+([\w.]+)/gi)].every(([, name]) => has(name)),
  );
  const { samples = [] } = catalog;
  if (samples.length + known.length >= ENOUGH) return [...samples, ...known];
  const views = tables.filter(({ kind, columns }) => kind === 'live view' && columns.length > 0);
  const stored = tables.find(
    ({ name, columns }) =>
      name.startsWith('lake.') &&
      columns.some(({ type }) => type === 'timestamp') &&
      !/dead_letters|late/.test(name),
  );
  const time = stored?.columns.find(({ type }) => type === 'timestamp')?.name;
  return [
    ...samples,
    ...known,
    ...views
      .slice(0, VIEWS_MAX)
      .map(({ name }) => ({ name: `Live: ${name}`, query: `SELECT * FROM ${quoted(name)}` })),
    ...(stored === undefined || time === undefined
      ? []
      : [
          {
            name: `Newest of ${stored.name}`,
            query: `SELECT *\nFROM ${quoted(stored.name)}\nORDER BY ${quoted(time)} DESC\nLIMIT 100`,
          },
          {
            name: `${stored.name} per hour`,
            query: `SELECT date_trunc('hour', ${quoted(time)}) AS hour, count(*) AS records\nFROM ${quoted(stored.name)}\nGROUP BY 1\nORDER BY 1`,
          },
        ]),
  ];
}

function quoted(name: string): string {
  return name
    .split('.')
    .map(part => (/^[a-z_][a-z0-9_]*$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`))
    .join('.');
}

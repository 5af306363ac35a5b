import { expect, it } from 'vitest';
import { samplesOf } from './samples';

const table = (name: string, kind: string, columns: [string, string][]) => ({
  name,
  kind,
  columns: columns.map(([name, type]) => ({ name, type, role: type === 'timestamp' ? 'time' : 'key' })),
});
const time: [string, string] = ['at', 'timestamp'];

it('offers the queries of web logs where their tables are', () => {
  const tables = [
    table('lake.logs', 'stored table', [time]),
    table('traffic_1m', 'live view', [time]),
    table('last_minute', 'live view', [time]),
    table('top_endpoints', 'live view', [time]),
  ];
  const offered = [{ name: 'of the server', query: 'SELECT 1' }];
  const found = samplesOf({ tables, functions: [], samples: offered });
  expect(found.map(({ name }) => name)).toEqual([
    'of the server',
    'Error rate by endpoint',
    'Requests per minute and endpoint',
    'Newest errors',
    'Live: traffic of the last minute',
    'Live: top endpoints',
  ]);
});

it('makes some for any other dataflow', () => {
  const tables = [
    table('by_country', 'live view', [['country', 'text']]),
    table('lake.orders', 'stored table', [['customer', 'text'], time]),
    table('lake.dead_letters', 'stored table', [time]),
  ];
  const samples = samplesOf({ tables, functions: [], samples: [] });
  expect(samples.map(({ query }) => query.replaceAll('\n', ' '))).toEqual([
    'SELECT * FROM by_country',
    'SELECT * FROM lake.orders ORDER BY at DESC LIMIT 100',
    "SELECT date_trunc('hour', at) AS hour, count(*) AS records FROM lake.orders GROUP BY 1 ORDER BY 1",
  ]);
  expect(samplesOf(undefined)).toEqual([]);
});

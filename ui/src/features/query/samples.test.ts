import { expect, it } from 'vitest';
import { firstQuery, samplesOf } from './samples';

const ROLES: Record<string, string> = { timestamp: 'time', text: 'key', double: 'duration' };
const table = (name: string, kind: string, columns: [string, string][]) => ({
  name,
  kind,
  columns: columns.map(([name, type]) => ({ name, type, role: ROLES[type] ?? 'count', adds_up: false })),
});
const tables = [
  table('by_country', 'live view', [['country', 'text']]),
  table('per_minute', 'live view', [['at', 'timestamp']]),
  table('lake.by_country', 'lake table', [['country', 'text']]),
  table('lake.dead_letters', 'lake table', [['at', 'timestamp']]),
  table('lake.orders', 'lake table', [
    ['country', 'text'],
    ['at', 'timestamp'],
    ['Took', 'double'],
  ]),
];

it('makes samples of any dataflow, by what its columns are', () => {
  const offered = [{ name: 'of the server', query: 'SELECT 1' }];
  const samples = samplesOf({ tables, functions: [], samples: offered });
  expect(samples.map(({ name }) => name)).toEqual([
    'Everything that can be read',
    'of the server',
    'Live: by_country',
    'Live: per_minute',
    'Newest of lake.orders',
    'lake.orders per minute',
    'lake.orders per minute and country',
    'Took by country',
  ]);
  expect(samples.at(-1)?.query).toContain('avg("Took") AS "mean_Took"');
  expect(samplesOf(undefined)).toEqual([]);
});

it('begins with a live view that has a time, and with what there is without one', () => {
  expect(firstQuery({ tables, functions: [], samples: [] })).toBe('SELECT * FROM per_minute');
  expect(firstQuery({ tables: [], functions: [], samples: [] })).toBe('SHOW TABLES');
});

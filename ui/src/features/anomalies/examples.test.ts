import { expect, test } from 'vitest';
import { pairsOf, timeOf, valueText } from './examples';

const COLUMNS = {
  at: '2026-03-01T10:00:01.5Z',
  referer: null,
  agent: 'curl',
  shop: 'a',
  took: 812.44,
  country: 'PT',
  date: '2026-03-01',
  status: 503,
  failed: true,
};

test('a line begins with what the examples are of, then with what explains, and leaves out time, key and nothing', () => {
  const names = { text: 'failures (failed) with country PT', explainBy: ['status'], keyOf: { shop: 'a' } };
  expect(pairsOf(COLUMNS, names).map(it => it[0])).toEqual([
    'country',
    'failed',
    'status',
    'agent',
    'took',
    'date',
  ]);
});

test('its time is the first one', () => {
  expect(timeOf(COLUMNS)).toBe('2026-03-01T10:00:01.5Z');
  expect(timeOf({ date: '2026-03-01' })).toBeNull();
});

test('values are short, and whole numbers are no measurements', () => {
  expect([12345, 812.444, true, 'x'.repeat(70)].map(valueText)).toEqual([
    '12345',
    '812',
    'true',
    `${'x'.repeat(60)}…`,
  ]);
});

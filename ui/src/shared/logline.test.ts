import { expect, it } from 'vitest';
import type { LogRow } from '../api/wire';
import { type LineColumn, lengthsOf, lineStyle, timeOf } from './logline';

it('has the milliseconds of today, and the whole date of any other day', () => {
  const today = '2026-11-27';
  expect(timeOf('2026-11-27T00:10:05.123000Z', today)).toEqual({ date: '', time: '00:10:05', rest: '.123' });
  expect(timeOf('2026-11-26T23:48:59.000000Z', today)).toEqual({
    date: '2026-11-26',
    time: '23:48:59',
    rest: '',
  });
  expect(timeOf('2015-05-17T10:05:03Z', today)).toMatchObject({ date: '2015-05-17', time: '10:05:03' });
  expect(timeOf(null, today)).toMatchObject({ date: '', time: '–' });
});

it('gives columns the room that their values take', () => {
  const column = (name: string, role: string) =>
    ({ column: { name, role, type: 'text' }, width: null }) as unknown as LineColumn;
  const columns = [column('method', 'key'), column('path', 'key'), column('referer', 'text')];
  const row = (path: string) => ({ values: { method: 'GET', path, referer: null } }) as unknown as LogRow;
  const lengths = lengthsOf(columns, [row(`/${'a'.repeat(29)}`), row(`/${'b'.repeat(49)}`)]);
  expect(Object.fromEntries(lengths)).toEqual({
    method: { mean: 3, longest: 3 },
    path: { mean: 40, longest: 50 },
    referer: { mean: 1, longest: 1 },
  });
  const style = lineStyle(columns, false, lengths) as Record<string, string>;
  expect(style['--line']).toBe('152px minmax(48px, 3fr) minmax(112px, 40fr) minmax(56px, 1fr)');
  // Before there are records, and of a column that somebody made as wide as it is.
  const chosen = columns.map(it => (it.column.name === 'path' ? { ...it, width: 300 } : it));
  const unknown = lineStyle(chosen, false, lengthsOf(chosen, [])) as Record<string, string>;
  expect(unknown['--line']).toBe('152px minmax(112px, 1fr) 300px minmax(160px, 1fr)');
});

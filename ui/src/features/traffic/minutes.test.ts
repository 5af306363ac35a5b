/**
 * Rows per endpoint become one bar per minute.
 */
import { expect, it } from 'vitest';
import { MINUTES_MAX, sumByMinute } from './minutes';

const at = (minute: number) => new Date(minute * 60_000).toISOString();

it('sums the endpoints of a minute and sorts the minutes', () => {
  const minutes = sumByMinute([
    { window_start: at(3), endpoint: '/a', requests: 5, errors: 1 },
    { window_start: at(2), endpoint: '/a', requests: 2, errors: null },
    { window_start: at(3), endpoint: '/b', requests: '4', errors: 2 },
    { window_start: 'never', requests: 100, errors: 0 },
  ]);
  expect(minutes).toEqual({ start_s: [120, 180], requests: [2, 9], errors: [0, 3] });
});

it('looks back one hour from the newest minute', () => {
  const rows = Array.from({ length: 100 }, (_, minute) => ({
    window_start: at(minute),
    requests: 1,
    errors: 0,
  }));
  expect(sumByMinute(rows).start_s).toHaveLength(MINUTES_MAX);
  expect(sumByMinute(rows).start_s[0]).toBe(40 * 60);
  expect(sumByMinute([]).start_s).toEqual([]);
});

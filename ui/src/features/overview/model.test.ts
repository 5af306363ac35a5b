/**
 * The newest windows come from the live rows, the others from the history, and no window is counted twice.
 */
import { expect, it } from 'vitest';
import { busiest, liveSteps, mergedMax, mergedSum, shareOf } from './model';

const at = (seconds: number) => new Date(seconds * 1000).toISOString();
const row = (seconds: number, requests: number, more = {}) => ({
  window_start: at(seconds),
  requests,
  ...more,
});

it('replaces what the live rows know, and only that', () => {
  const times = [0, 60, 120, 180];
  const rows = [row(60, 5), row(120, 7), row(120, 1)];
  expect([...liveSteps(times, 60, rows)]).toEqual([1, 2]);
  expect(mergedSum([1, 2, 3, 4], times, 60, rows, 'requests')).toEqual([1, 5, 8, 4]);
  expect(mergedMax([1, 2, 3, 4], times, 60, rows, 'requests')).toEqual([1, 5, 7, 4]);
  expect(mergedSum([1, 2], [0, 60], 60, [], 'requests')).toEqual([1, 2]);
});

it('leaves a step alone of which live rows know only a part', () => {
  expect(mergedSum([10, 20], [0, 120], 120, [row(60, 1), row(120, 2), row(180, 3)], 'requests')).toEqual([
    10, 5,
  ]);
});

it('keeps a gap a gap', () => {
  expect(mergedSum([1, 2, null], [0, 60, 120], 60, [row(0, 4), row(120, 4)], 'requests')).toEqual([
    4,
    null,
    4,
  ]);
  expect(shareOf([1, null, 3], [2, 4, null])).toEqual([50, 0, null]);
});

it('ranks endpoints over whole windows and against the span before', () => {
  const rows = [0, 60, 120, 180, 240].flatMap(seconds => [
    row(seconds, seconds < 120 ? 60 : 120, { endpoint: '/a', errors: 12 }),
    row(seconds, 600, { endpoint: '/b', errors: 0 }),
  ]);
  expect(busiest(rows, 60, 2)).toEqual([
    { endpoint: '/b', perSecond: 10, errorShare: 0, p95_ms: null, change: 0 },
    { endpoint: '/a', perSecond: 2, errorShare: 10, p95_ms: null, change: 1 },
  ]);
  expect(busiest([], 60, 2)).toEqual([]);
});

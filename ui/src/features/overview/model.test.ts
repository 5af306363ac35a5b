/**
 * The newest windows come from the live rows, the others from the history, and no window is counted twice.
 */
import { expect, it } from 'vitest';
import type { Row } from '../../api/wire';
import { keyed } from '../../shared/page.fixture';
import { busiest, type Live, liveSteps, mergedMax, mergedSum, perSecond, shareOf } from './model';

const at = (seconds: number) => new Date(seconds * 1000).toISOString();
const live = (rows: Row[]): Live => ({ rows, time: 'at' });
const row = (seconds: number, requests: number, more = {}) => ({
  at: at(seconds),
  requests,
  ...more,
});

it('replaces what the live rows know, and only that', () => {
  const times = [0, 60, 120, 180];
  const rows = [row(60, 5), row(120, 7), row(120, 1)];
  expect([...liveSteps(times, 60, live(rows))]).toEqual([1, 2]);
  expect(mergedSum([1, 2, 3, 4], times, 60, live(rows), 'requests')).toEqual([1, 5, 8, 4]);
  expect(mergedMax([1, 2, 3, 4], times, 60, live(rows), 'requests')).toEqual([1, 5, 7, 4]);
  expect(mergedSum([1, 2], [0, 60], 60, live([]), 'requests')).toEqual([1, 2]);
});

it('leaves a step alone of which live rows know only a part', () => {
  expect(
    mergedSum([10, 20], [0, 120], 120, live([row(60, 1), row(120, 2), row(180, 3)]), 'requests'),
  ).toEqual([10, 5]);
});

it('keeps a gap a gap', () => {
  expect(mergedSum([1, 2, null], [0, 60, 120], 60, live([row(0, 4), row(120, 4)]), 'requests')).toEqual([
    4,
    null,
    4,
  ]);
  expect(shareOf([1, null, 3], [2, 4, null])).toEqual([50, 0, null]);
});

it('ranks values over whole windows and against the span before', () => {
  const rows = [0, 60, 120, 180, 240].flatMap(seconds => [
    row(seconds, seconds < 120 ? 60 : 120, { path: '/a', errors: 12 }),
    row(seconds, 600, { path: '/b', errors: 0 }),
  ]);
  expect(busiest(rows, keyed, 2, 270)).toEqual({
    windows: 2,
    seconds: 120,
    upTo_s: null,
    rows: [
      { key: '/b', count: 1_200, perSecond: 10, failedShare: 0, slow: null, change: 0 },
      { key: '/a', count: 240, perSecond: 2, failedShare: 10, slow: null, change: 1 },
    ],
  });
  expect(busiest(rows, keyed, 2, 3_600).upTo_s).toBe(240);
  expect(busiest([], keyed, 2, 0).rows).toEqual([]);
});

it('ranks values over as many windows as there are, down to a part of one', () => {
  const of = (...starts: number[]) => starts.map(seconds => row(seconds, 60, { path: '/a' }));
  const seen = (starts: number[], now_s: number) => {
    const { windows, seconds, rows } = busiest(of(...starts), keyed, 10, now_s);
    return [windows, seconds, rows[0]?.perSecond, rows[0]?.change];
  };
  // Three minutes after the start: two whole windows, not ten.
  expect(seen([0, 60, 120], 150)).toEqual([2, 120, 1, null]);
  // In the first minute, and after a longer pause.
  expect(seen([120], 150)).toEqual([0, 30, 2, null]);
  expect(seen([0, 60, 3600], 3620)).toEqual([0, 20, 3, null]);
  // A pause within the windows is time too.
  expect(seen([0, 60, 300], 330)).toEqual([5, 300, 0.4, null]);
});

it('ranks more values than a call has arguments', () => {
  const rows = Array.from({ length: 200_000 }, (_, at) => row(60 * (at % 3), 1, { path: `/${at}` }));
  expect(busiest(rows, keyed, 10, 150).rows.length).toBe(133_334);
});

it('counts the step that is filling over what is over of it, once that says something', () => {
  const [times, counts] = [
    [0, 60, 120],
    [600, null, 300],
  ];
  expect(perSecond(counts, times, 60, 150)).toEqual([10, null, 10]);
  expect(perSecond(counts, times, 60, 125)).toEqual([10, null, null]);
  expect(perSecond(counts, times, 60, 900)).toEqual([10, null, 5]);
  expect(perSecond(counts, times, 60, Number.POSITIVE_INFINITY)).toEqual([10, null, 5]);
  expect(perSecond([8], [0], 5, 6)).toEqual([1.6]);
});

/** The parts of a record's way. */
import { expect, it } from 'vitest';
import { percentile, wayOf, widthsOf } from './freshness';

const freshness = [
  { name: 'read', about: 'r', seconds: 1, p50_seconds: 0.1, p99_seconds: 0.4 },
  { name: 'view', about: 'v', seconds: 1, p50_seconds: 0.2, p99_seconds: 0.3 },
  { name: 'committed', about: 'c', seconds: 6, p50_seconds: 5, p99_seconds: 10 },
];

it('takes the middle and the end of delays', () => {
  expect(percentile([], 0.5)).toBeNull();
  expect(percentile([3, 1, 2], 0.5)).toBe(2);
  expect(percentile([3, 1, 2], 0.99)).toBe(3);
});

it('gives the page only what comes behind the view', () => {
  const page = wayOf({ freshness }, [0.5, 0.6, 0.15])[2];
  expect(page?.p50).toBeCloseTo(0.3);
  expect(page?.p99).toBeCloseTo(0.4);
  expect(wayOf({ freshness }, [])[2]?.p50).toBeNull();
  expect(wayOf({ freshness: [] }, [0.5]).map(({ p50 }) => p50)).toEqual([null, null, null]);
});

it('draws stages as long as they take, and none that is not known', () => {
  const stage = (p50: number | null) => ({ name: '', about: '', p50, p99: null });
  const widths = widthsOf([stage(0.1), stage(null), stage(0.3)]);
  expect(widths).toEqual([25, 0, 75]);
  const uneven = widthsOf([stage(0.001), stage(100)]);
  expect(uneven[0]).toBeGreaterThan(5);
  expect(uneven.reduce((sum, it) => sum + it, 0)).toBeCloseTo(100);
  expect(widthsOf([stage(null)])).toEqual([0]);
  expect(widthsOf([stage(0), stage(0)])).toEqual([50, 50]);
});

import { expect, it } from 'vitest';
import { filled } from './Histogram';

it('leaves open what is not stored to its end yet', () => {
  const times = [60, 120, 180, 240];
  expect(filled([5, 6, 7, 1], times, 290_000)).toEqual([5, 6, 7, null]);
  expect(filled([5, 6, 7, 1], times, 300_000)).toEqual([5, 6, 7, 1]);
  expect(filled([5, 6, 7, 1], times, 200_000)).toEqual([5, 6, null, null]);
});

it('shows all while nothing is known of commits', () => {
  expect(filled([5, 6], [60, 120], null)).toEqual([5, 6]);
});

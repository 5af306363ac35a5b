import { expect, it } from 'vitest';
import { withGaps } from './gaps';
import { shareOf } from './useSearch';

const row = (seconds: number | null) => ({
  id: `0-${seconds}`,
  timestamp: seconds === null ? null : new Date(seconds * 1000).toISOString(),
  level: null,
  values: {},
});

it('tells how long nothing happened, if it was long', () => {
  const entries = withGaps([row(0), row(29.9), row(null), row(282), row(7_482)]);
  expect(entries.map(it => ('note' in it ? it.note : it.id))).toEqual([
    '0-0',
    '0-29.9',
    '0-null',
    '4 min 12 s later',
    '0-282',
    '2 h later',
    '0-7482',
  ]);
  expect(withGaps([])).toEqual([]);
});

it('knows how much of a range was searched, from either end', () => {
  const at = (ms: number) => new Date(ms).toISOString();
  expect(shareOf(at(750), 0, 1_000, 'newest')).toBe(0.25);
  expect(shareOf(at(750), 0, 1_000, 'oldest')).toBe(0.75);
  expect(shareOf(at(-5), 0, 1_000, 'newest')).toBe(1);
});

/**
 * Both windows are whole minutes that do not overlap, and a change is told only from what is known.
 */
import { expect, it } from 'vitest';
import { keyed, main } from '../../shared/page.fixture';
import type { History } from './model';
import {
  apart,
  binsOf,
  earlier,
  figuresOf,
  firstMarks,
  keyDeltas,
  keysSql,
  moved,
  WINDOW_S,
  windowLength,
} from './windows';

const history = (more: Partial<History>) =>
  ({ times: [0, 60], step_seconds: 60, overall: {}, ...more }) as History;

it('begins with an hour between the marks, or with what the range has', () => {
  expect(firstMarks(0, 36_000, 36_100)).toEqual({ a: 32_400, b: 36_000 });
  expect(firstMarks(35_100, 36_000, 36_100)).toEqual({ a: 35_400, b: 36_000 });
  // The newest minute is not stored yet.
  expect(firstMarks(0, 36_010, 36_010).b).toBe(35_940);
});

it('keeps the marks in order and a window apart', () => {
  expect(apart({ a: 7_215, b: 3_615 })).toEqual({ a: 3_600, b: 7_200 });
  expect(apart({ a: 7_200, b: 7_200 })).toEqual({ a: 7_200 - WINDOW_S, b: 7_200 });
  expect(moved({ a: 3_600, b: 7_200 }, 4_000)).toEqual({ a: 4_020, b: 7_200 });
  expect(moved({ a: 3_600, b: 7_200 }, 8_000)).toEqual({ a: 3_600, b: 7_980 });
});

it('compares longer windows too, with the same time earlier', () => {
  expect([undefined, '1h', '1d'].map(it => windowLength(it as '1h' | undefined))).toEqual([
    300, 3_600, 86_400,
  ]);
  const b = 1_000_000 - (1_000_000 % 60);
  expect(earlier({ a: 0, b }, 86_400)).toEqual({ a: b - 86_400, b });
  expect(earlier({ a: 0, b }, 3_600, 86_400)).toEqual({ a: b - 86_400, b });
  expect(apart({ a: b - 60, b }, 3_600)).toEqual({ a: b - 3_600, b });
  expect(moved({ a: 0, b: 86_400 }, 3_600, 86_400)).toEqual({ a: 0, b: 86_400 });
  expect(moved({ a: 0, b: 172_800 }, 50_400, 86_400)).toEqual({ a: 50_400, b: 172_800 });
  expect(keyDeltas([{ key: '/a', b_count: 7_200 }], 3_600)[0]?.b.perSecond).toBe(2);
  expect(keysSql(keyed, { a: 3_600, b: 7_200 }, 3_600)).toContain("'1970-01-01T00:00:00.000Z'");
});

it('tells the numbers of a window, and what is not known', () => {
  const figures = figuresOf(
    history({
      window_seconds: 60,
      overall: { requests: [60, 180], errors: [0, 24], took_p95: [100, 300], sessions: [null, 4] },
    }),
    main,
  );
  expect(figures.map(({ name, value }) => [name, value])).toEqual([
    ['events', 2],
    ['errors', 10],
    ['grave', null],
    ['took_mean', null],
    ['took_p95', 300],
    ['sessions', 4],
    ['bytes_sent', null],
  ]);
  expect(figures.find(({ name }) => name === 'took_p95')).toMatchObject({
    label: 'p95 took, worst minute',
    text: '300 ms',
  });
  expect(figuresOf(history({ overall: { requests: [null, null] } }), main)[0]?.value).toBeNull();
});

it('puts bins of both windows side by side', () => {
  const spread = (bounds: number[], counts: number[][]) =>
    history({ spread: { first_bin: 0, bounds, counts } });
  const a = spread(
    [1, 2, 4],
    [
      [1, 3],
      [0, 0],
    ],
  );
  const b = spread([2, 4, 8], [[1, 1]]);
  expect(binsOf(a, b)).toEqual([
    { from: 1, a: 25, b: 0 },
    { from: 2, a: 75, b: 50 },
    { from: 4, a: 0, b: 50 },
  ]);
  expect(binsOf(history({}), history({}))).toEqual([]);
});

it('ranks values of a key by what changed', () => {
  const row = (key: string, a: number, b: number, failed = 0) => ({
    key,
    a_count: a,
    a_failed: 0,
    b_count: b,
    b_failed: failed,
  });
  const found = keyDeltas([row('/same', 300, 300), row('/failing', 300, 300, 30), row('/new', 0, 600)]);
  expect(found.map(({ key }) => key)).toEqual(['/new', '/failing', '/same']);
  expect(found[0]?.a).toEqual({ perSecond: 0, failedShare: null });
  expect(found[1]?.b).toEqual({ perSecond: 1, failedShare: 10 });
  // A view that counts no failures says nothing of them.
  expect(keyDeltas([{ key: 'DE', a_count: 3, b_count: 6 }])[0]?.b.failedShare).toBeNull();
});

it('asks for two windows of the stored view', () => {
  const sql = keysSql(keyed, { a: 3_600, b: 7_200 });
  expect(sql).toContain(`"at" >= '1970-01-01T01:55:00.000Z' AND "at" < '1970-01-01T02:00:00.000Z'`);
  expect(sql).toContain('FROM lake."by_path"');
  expect(keysSql({ ...keyed, failed: null }, { a: 3_600, b: 7_200 })).not.toContain('failed');
});

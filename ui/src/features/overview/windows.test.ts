/**
 * Both windows are whole minutes that do not overlap, and a change is told only from what is known.
 */
import { expect, it } from 'vitest';
import type { History } from './model';
import {
  apart,
  binsOf,
  earlier,
  endpointDeltas,
  endpointsSql,
  figuresOf,
  firstMarks,
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
  expect(endpointDeltas([{ endpoint: '/a', b_requests: 7_200 }], 3_600)[0]?.b.perSecond).toBe(2);
  expect(endpointsSql('traffic', { a: 3_600, b: 7_200 }, 3_600)).toContain("'1970-01-01T00:00:00.000Z'");
});

it('tells the numbers of a window, and what is not known', () => {
  const figures = figuresOf(
    history({
      overall: { requests: [60, 180], errors: [0, 24], response_time_p95: [100, 300], sessions: [null, 4] },
    }),
  );
  expect(figures).toEqual({
    requestsPerSecond: 2,
    errorRate: 10,
    serverErrorRate: null,
    p95_ms: 300,
    sessionsPerMinute: 4,
    bytesPerSecond: null,
  });
  expect(figuresOf(history({ overall: { requests: [null, null] } })).requestsPerSecond).toBeNull();
});

it('puts bins of both windows side by side', () => {
  const a = history({
    latency: {
      bins_ms: [1, 2],
      counts: [
        [1, 3],
        [0, 0],
      ],
    },
  });
  const b = history({ latency: { bins_ms: [2, 4], counts: [[1, 1]] } });
  expect(binsOf(a, b)).toEqual([
    { ms: 1, a: 25, b: 0 },
    { ms: 2, a: 75, b: 50 },
    { ms: 4, a: 0, b: 50 },
  ]);
  expect(binsOf(history({}), history({}))).toEqual([]);
});

it('ranks endpoints by what changed', () => {
  const row = (endpoint: string, a: number, b: number, errors = 0) => ({
    endpoint,
    a_requests: a,
    a_errors: 0,
    b_requests: b,
    b_errors: errors,
  });
  const found = endpointDeltas([row('/same', 300, 300), row('/failing', 300, 300, 30), row('/new', 0, 600)]);
  expect(found.map(({ endpoint }) => endpoint)).toEqual(['/new', '/failing', '/same']);
  expect(found[0]?.a).toEqual({ perSecond: 0, errorShare: null });
  expect(found[1]?.b).toEqual({ perSecond: 1, errorShare: 10 });
});

it('asks for two windows of the stored view', () => {
  const sql = endpointsSql('traffic_1m', { a: 3_600, b: 7_200 });
  expect(sql).toContain(
    "window_start >= '1970-01-01T01:55:00.000Z' AND window_start < '1970-01-01T02:00:00.000Z'",
  );
  expect(sql).toContain('FROM lake.traffic_1m');
});

import { describe, expect, it } from 'vitest';
import type { Metrics } from '../../api/wire';
import { changeOf, tilesOf, tilesOfRange } from './figures';
import type { History } from './model';

const none: Metrics = {
  eventsPerSec: 2,
  errorRate: null,
  serverErrorRate: null,
  avgResponseTime: null,
  p95ResponseTime: null,
  bytesPerSec: null,
  activeSessions: null,
  totalRequests: 9,
  totalErrors: null,
  lastUpdate: null,
};
const tile = (metrics: Metrics | null, name: string, history: History | null = null) =>
  tilesOf(metrics, [], history).find(it => it.name === name);

describe('tiles of the last minute', () => {
  it('are the six that people know, and the p95', () => {
    expect(tilesOf(none, [], null).map(({ label }) => label)).toEqual([
      'Events',
      'Error rate',
      'Mean response time',
      'p95 latency',
      'Active sessions',
      'Data processed',
      'Total requests',
    ]);
  });

  it('leave out what the dataflow does not count', () => {
    const metrics = { ...none, not_counted: ['p95ResponseTime', 'errorRate', 'requestsLastMinute'] };
    expect(tile(metrics, 'latency')).toBeUndefined();
    expect(tile(metrics, 'errors')).toBeUndefined();
    expect(tile(metrics, 'events')).toMatchObject({ value: '2.0', unit: '/s read', receipt: null });
    expect(tile(metrics, 'total')).toMatchObject({ label: 'Total records' });
  });

  it('show what is not known as a dash, and a zero that was counted', () => {
    expect(tile(none, 'errors')).toMatchObject({
      value: '–',
      title: 'No records in the last minute have it.',
    });
    expect(tile(null, 'latency')?.title).toBeUndefined();
    expect(tile({ ...none, errorRate: 0 }, 'errors')).toMatchObject({ value: '0.0', notes: [] });
    expect(tile({ ...none, totalRequests: 2_285_000 }, 'total')).toMatchObject({ value: '2.29', unit: 'M' });
  });

  it('tell the change against an hour ago in words', () => {
    const history = {
      window_seconds: 60,
      step_seconds: 60,
      hour_ago: { requests: 96, error_rate: 8 },
      day_ago: null,
      overall: { requests: [null, 60, 60] },
      expected: {},
    } as unknown as History;
    expect(tile(none, 'events', history)?.notes).toEqual(['+25 % vs 1 h ago']);
    expect(tile({ ...none, errorRate: 8 }, 'errors', history)?.notes).toEqual(['same as 1 h ago']);
    expect(tile({ ...none, p95ResponseTime: 3 }, 'latency', history)?.notes).toEqual(['no data 1 h ago']);
    expect(tile(none, 'total', history)?.notes).toEqual(['+120 in the last hour']);
  });
});

it.each([
  [3, null, 'no data 1 h ago'],
  [0, 0, 'same as 1 h ago'],
  [3, 0, 'none 1 h ago'],
  [1, 2, '−50 % vs 1 h ago'],
  [100, 2, '50× vs 1 h ago'],
  [null, 2, null],
])('from %s to %s is "%s"', (now, before, text) => expect(changeOf(now, before, '1 h')).toBe(text));

it('tells a fixed range from its own steps', () => {
  const history = {
    times: [0, 60],
    step_seconds: 60,
    overall: {
      requests: [120, 240],
      errors: [12, 60],
      response_time_p95: [300, 900],
      error_rate: [10, 25],
      bytes_sent: [500, 500],
    },
  } as unknown as History;
  const found = tilesOfRange(history).map(({ name, value, unit }) => `${name} ${value} ${unit}`.trim());
  expect(found).toEqual(['events 3.0 /s', 'errors 20.0 %', 'latency 900 ms', 'volume 1.0 kB', 'total 360']);
});

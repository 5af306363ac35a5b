import { expect, it } from 'vitest';
import type { Metrics } from '../../api/wire';
import { tilesOf } from './Tiles';

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
const tile = (metrics: Metrics | null, name: string) =>
  tilesOf(metrics, [], null).find(it => it.name === name);

it('shows what is not counted as a dash that says why', () => {
  const metrics = { ...none, avgResponseTime: 12, not_counted: ['p95ResponseTime'] };
  expect(tile(metrics, 'latency')).toMatchObject({ value: '–', notCounted: true });
  expect(tile(metrics, 'latency')?.missing).toMatch(/no view last_minute with a column/);
  expect(tile(metrics, 'errors')).toMatchObject({ value: '–', notCounted: false });
  expect(tile(metrics, 'errors')?.missing).toMatch(/No records in the last minute/);
  expect(tile(metrics, 'events')?.missing).toBeUndefined();
});

it('does not tell why before anything came, and shows a zero that was counted', () => {
  expect(tile(null, 'latency')).toMatchObject({ value: '–', notCounted: false });
  expect(tile(null, 'latency')?.missing).toBeUndefined();
  expect(tile({ ...none, errorRate: 0 }, 'errors')).toMatchObject({ value: '0.0', notCounted: false });
});

it('has a receipt for the events only where a view counts them', () => {
  expect(tile(none, 'events')).toMatchObject({ unit: '/s', receipt: 'last_minute' });
  const metrics = { ...none, not_counted: ['requestsLastMinute'] };
  expect(tile(metrics, 'events')).toMatchObject({ value: '2.0', unit: '/s read', receipt: null });
});

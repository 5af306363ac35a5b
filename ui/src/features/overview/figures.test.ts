import { describe, expect, it } from 'vitest';
import type { Metrics } from '../../api/wire';
import { main, ordersPage, requestsPage } from '../../shared/page.fixture';
import { changeOf, type Observations, tilesOf, tilesOfRange } from './figures';
import type { History } from './model';

const metrics = { eventsPerSec: 2, totalRequests: 9, dataProcessed: 1_000 } as Metrics;
const row = { requests: 120, errors: 12, took_mean: 80, took_p95: 300, sessions: 7, bytes_sent: 6_000 };
const seen: Observations = { page: requestsPage, metrics, before: [], row, history: null };
const tile = (name: string, more: Partial<Observations> = {}) =>
  tilesOf({ ...seen, ...more }).find(it => it.name === name);

describe('tiles of the newest seconds', () => {
  it('are rate and failures, then what the view says, then what was read', () => {
    expect(tilesOf(seen).map(({ label, value, unit }) => `${label}: ${value} ${unit}`.trim())).toEqual([
      'Events: 2.0 /s',
      'Error rate: 10.0 %',
      'Mean took: 80 ms',
      'p95 took: 300 ms',
      'Sessions: 7 /min',
      'Bytes sent: 100 B/s',
      'Data processed: 1.0 kB',
      'Total requests: 9',
    ]);
  });

  it('are what a dataflow of other columns has', () => {
    const sold = { placed: '2026-01-01T00:00:00Z', orders: 40, turnover: 1_999.5, basket_mean: 49.99 };
    const found = tilesOf({ ...seen, page: ordersPage, row: sold });
    expect(found.map(({ label, value, unit }) => `${label}: ${value} ${unit}`.trim())).toEqual([
      'Events: 2.0 /s read',
      'Turnover: 2\u202f000 EUR /h',
      'Mean basket: 49.99 EUR',
      'Data processed: 1.0 kB',
      'Total records: 9',
    ]);
    expect(found[1]?.notes).toEqual(['newest whole hour']);
    expect(found.some(({ value }) => value === '–')).toBe(false);
  });

  it('show what is not known as a dash, and a zero that was counted', () => {
    const none = { ...row, requests: 0, errors: 0, took_p95: null };
    expect(tile('errors', { row: none })).toMatchObject({
      value: '–',
      title: 'No records of this time have it.',
    });
    expect(tile('took_p95', { row: none })?.value).toBe('–');
    expect(tile('took_p95', { metrics: null, row: null })?.title).toBeUndefined();
    expect(tile('errors', { row: { ...row, errors: 0 } })).toMatchObject({ value: '0.0', notes: [] });
    expect(tile('total', { metrics: { ...metrics, totalRequests: 2_285_000 } })?.value).toBe('2.29 M');
  });

  it('tell the change against an hour ago in words', () => {
    const history = {
      window_seconds: 60,
      step_seconds: 60,
      times: [0, 60, 120],
      as_of: '1970-01-01T00:03:00Z',
      hour_ago: { requests: 96, failed_share: 10 },
      day_ago: null,
      overall: { requests: [null, 60, 60] },
      expected: {},
    } as unknown as History;
    expect(tile('events', { history })?.notes).toEqual(['+25 % vs 1 h ago']);
    expect(tile('errors', { history })?.notes).toEqual(['same as 1 h ago']);
    expect(tile('took_p95', { history })?.notes).toEqual(['no data 1 h ago']);
    expect(tile('total', { history })?.notes).toEqual(['+120 in 1 h']);
  });

  it('have a curve of the steps that are over', () => {
    const history = {
      window_seconds: 60,
      step_seconds: 60,
      times: [0, 60, 120],
      as_of: '1970-01-01T00:02:30Z',
      overall: { took_p95: [600, 610, 300] },
      expected: {},
    } as unknown as History;
    expect(tile('took_p95', { history })?.curve).toEqual([600, 610]);
    expect(tile('took_p95', { history: { ...history, as_of: '1970-01-01T00:03:00Z' } })?.curve).toHaveLength(
      3,
    );
    expect(tile('took_p95', { history: null })?.curve).toEqual([]);
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
    window_seconds: 60,
    overall: { requests: [120, 240], errors: [12, 60], took_p95: [300, 900], bytes_sent: [500, 500] },
  } as unknown as History;
  const known = { ...main, figures: main.figures.filter(({ name }) => /p95|bytes/.test(name)) };
  const found = tilesOfRange(history, known).map(({ name, value, unit }) =>
    `${name} ${value} ${unit}`.trim(),
  );
  expect(found).toEqual([
    'events 3.0 /s',
    'errors 20.0 %',
    'took_p95 900 ms',
    'bytes_sent 1.0 kB',
    'total 360',
  ]);
  const notes = (window_seconds: number) =>
    tilesOfRange({ ...history, window_seconds }, known).flatMap(({ name, notes }) =>
      name === 'total' ? notes : [],
    );
  expect(notes(60)).toEqual(['in the range, by whole minutes']);
  expect(notes(3_600)).toEqual(['in the range, by whole hours']);
});

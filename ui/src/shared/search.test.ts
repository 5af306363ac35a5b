/**
 * An address says what the page shows; a broken part of it is as if it were not there.
 */
import { describe, expect, it } from 'vitest';
import { overMs, rangeOfLength, rangeWords, readSearch, shifted, spanOf, zoomedOut } from './search';
import { chooseZone } from './zone';

it('keeps what it knows and leaves out what is broken', () => {
  expect(readSearch({ range: '6h', where: 'status >= 500', junk: 1, past: 'true' })).toEqual({
    range: '6h',
    where: 'status >= 500',
    past: true,
  });
  expect(readSearch({ range: '2y', from: 'soon', record: '../1', where: 'x'.repeat(3_000) })).toEqual({});
  const incident = '1ed41fa6910c25b9';
  expect(readSearch({ incident, detector: 'watch', state: 'open' })).toEqual({
    incident,
    detector: 'watch',
    state: 'open',
  });
  expect(readSearch({ incident: `${incident}/..` })).toEqual({});
});

it('takes a fixed range only if it has a length, and prefers it', () => {
  const [from, to] = ['2026-01-01T00:00:00Z', '2026-01-01T01:00:00Z'];
  expect(readSearch({ from, to, range: '1h' })).toEqual({ from, to });
  expect(readSearch({ from: to, to: from, range: '1h' })).toEqual({ range: '1h' });
  expect(spanOf({ from, to }, 0, null)).toMatchObject({
    from: Date.parse(from),
    to: Date.parse(to),
    fixed: true,
  });
  expect(spanOf({ range: '5m' }, 1_000_000, null)).toMatchObject({
    from: 700_000,
    to: 1_000_000,
    fixed: false,
  });
});

describe('without a range', () => {
  const now = Date.parse('2026-03-01T00:00:00Z');
  const minutes = (count: number) => count * 60_000;
  const from = (ago: number, until = 0) => spanOf({}, now, { from: now - ago, to: now - until });

  it('shows no more than there is of a young lake', () => {
    expect(from(minutes(1))).toMatchObject({ range: '5m', to: now, fixed: false });
    expect(from(minutes(12))).toMatchObject({ range: '15m' });
    expect(from(minutes(20))).toMatchObject({ range: '1h' });
    expect(from(minutes(90_000))).toMatchObject({ range: '1h', from: now - minutes(60) });
    expect(spanOf({}, now, null)).toMatchObject({ range: '1h' });
  });

  it('shows since when nothing came', () => {
    expect(from(minutes(90_000), minutes(40))).toMatchObject({ range: '1h', to: now });
    expect(from(minutes(90_000), minutes(100))).toMatchObject({ range: '6h', to: now });
    expect(from(minutes(90_000), minutes(900))).toMatchObject({ range: '24h', to: now });
    expect(from(minutes(90_000), minutes(1_500))).toMatchObject({ fixed: true });
  });

  it('shows old records where they are', () => {
    const old = { from: Date.parse('2015-05-17T10:05:03Z'), to: Date.parse('2015-05-20T21:05:59Z') };
    expect(spanOf({}, now, old)).toEqual({ from: old.from, to: old.to + 1, fixed: true, range: null });
    const long = { ...old, from: 0 };
    expect(spanOf({}, now, long)).toMatchObject({ from: old.to + 1 - minutes(10_080) });
    expect(spanOf({ range: 'all' }, now, long)).toMatchObject({ from: 0, to: old.to + 1, fixed: true });
    expect(spanOf({ range: '1h' }, now, old)).toMatchObject({ to: now });
  });

  it('shows all of what goes on, up to now', () => {
    expect(spanOf({ range: 'all' }, now, { from: 5, to: now })).toMatchObject({
      from: 5,
      to: now,
      fixed: false,
    });
  });
});

it('takes any length, and words for it', () => {
  expect(readSearch({ range: '90m' })).toEqual({ range: '90m' });
  expect(spanOf({ range: '90m' }, 10_000_000, null)).toMatchObject({ from: 4_600_000, fixed: false });
  for (const range of ['0m', '10x', '-5m', '1.5h', '99999999w', '5m ', '12345678901s'])
    expect(readSearch({ range }), range).toEqual({});
  expect(['5m', '1h', '36h', '7d', '2w', '1d', 'all'].map(it => rangeWords(it as '5m'))).toEqual([
    'last 5 min',
    'last hour',
    'last 36 h',
    'last 7 days',
    'last 2 weeks',
    'last 24 h',
    'all data',
  ]);
  expect([1, 60_000, 5_400_000, 7_200_000, 172_800_000, 61_500].map(rangeOfLength)).toEqual([
    '1s',
    '1m',
    '90m',
    '2h',
    '2d',
    '62s',
  ]);
});

it('goes on where it has no end', () => {
  const from = '2026-01-01T00:00:00Z';
  const at = Date.parse(from);
  expect(readSearch({ from })).toEqual({ from });
  expect(readSearch({ from, to: 'soon' })).toEqual({});
  expect(readSearch({ from, range: '1h' })).toEqual({ range: '1h' });
  expect(spanOf({ from }, at + 5_000, null)).toEqual({ from: at, to: at + 5_000, fixed: false, range: null });
  expect(spanOf({ from }, at - 5_000, null)).toMatchObject({ from: at - 6_000, to: at - 5_000 });
});

describe('a range is moved', () => {
  const at = (hour: number) => Date.UTC(2026, 0, 1, hour);
  const iso = (hour: number) => new Date(at(hour)).toISOString();
  const fixed = (from: number, to: number) => ({ from: at(from), to: at(to), fixed: true, range: null });
  const now = at(12);
  const open = { from: at(10), to: now, fixed: false, range: '2h' } as const;

  it('back and forward by itself, until it is live again', () => {
    expect(shifted(open, -1, now)).toEqual({ from: iso(8), to: iso(10) });
    expect(shifted(fixed(6, 8), -1, now)).toEqual({ from: iso(4), to: iso(6) });
    expect(shifted(fixed(6, 8), 1, now)).toEqual({ from: iso(8), to: iso(10) });
    expect(shifted(fixed(8, 10), 1, now)).toEqual({ range: '2h' });
    expect(shifted(fixed(9, 11), 1, now)).toEqual({ range: '2h' });
    expect(shifted(open, 1, now)).toEqual({ range: '2h' });
  });

  it('out to twice as much, but not beyond now', () => {
    expect(zoomedOut(fixed(4, 6), now)).toEqual({ from: iso(3), to: iso(7) });
    expect(zoomedOut(fixed(8, 12), now)).toEqual({ from: iso(4), to: iso(12) });
    expect(zoomedOut(open, now)).toEqual({ range: '4h' });
    // Records can be ahead of the clock.
    expect(zoomedOut(fixed(13, 15), now)).toEqual({ from: iso(11), to: iso(15) });
  });
});

it('is as much earlier as the same time of day is, also where the clock was put back', () => {
  const [noon, HOUR] = [Date.parse('2024-03-31T12:00:00Z'), 3_600_000];
  expect(overMs('day', noon)).toBe(24 * HOUR);
  expect(overMs('week', noon)).toBe(168 * HOUR);
  const before = process.env.TZ;
  process.env.TZ = 'Europe/Berlin';
  chooseZone('local');
  expect(overMs('day', noon)).toBe(23 * HOUR);
  chooseZone('utc');
  process.env.TZ = before;
});

it('keeps what is compared only with its times', () => {
  const [a, b] = ['2026-01-01T00:00:00Z', '2026-01-01T01:00:00Z'];
  expect(readSearch({ a, b, window: '1h', over: 'week' })).toEqual({ a, b, window: '1h', over: 'week' });
  expect(readSearch({ window: '1h', over: 'year' })).toEqual({});
  expect(readSearch({ a, b, window: '2h' })).toEqual({ a, b });
});

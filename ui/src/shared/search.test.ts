/**
 * An address says what the page shows; a broken part of it is as if it were not there.
 */
import { describe, expect, it } from 'vitest';
import { readSearch, spanOf } from './search';

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

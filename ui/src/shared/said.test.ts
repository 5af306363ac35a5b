/** What people said of incidents: until when it holds, how it is worded, and how often detectors were right. */
import { describe, expect, it } from 'vitest';
import { handledOf, saidOf, saidText, seriesText, verdictsOf, wordsOf } from './said';

const NOW = Date.parse('2026-03-01T09:00:00Z');
const TODAY = '2026-03-01';
const said = (more: object = {}) => ({
  by: 'ana',
  at: '2026-03-01T08:48:09Z',
  until: null,
  note: null,
  ...more,
});
const muted = (until: string | null) => ({ muted: said({ until }) });

describe('what holds', () => {
  it('is what was said and not taken back', () => {
    expect(saidOf({ acknowledged: said() }, 'acknowledged', NOW)?.by).toBe('ana');
    expect(saidOf({ acknowledged: null }, 'acknowledged', NOW)).toBeNull();
    expect(saidOf({}, 'dismissed', NOW)).toBeNull();
    expect(wordsOf({ acknowledged: said(), dismissed: said() }, NOW)).toEqual([
      'acknowledged',
      'not an anomaly',
    ]);
  });

  it('is no mute that is over', () => {
    const until = (it: string | null) => wordsOf(muted(it), NOW);
    expect(until('2026-03-01T09:00:01Z')).toEqual(['muted']);
    expect(until('2026-03-01T08:59:59Z')).toEqual([]);
    expect(until(null)).toEqual(['muted']);
  });

  it('is handled if somebody sees to it or it is muted', () => {
    expect(handledOf({}, NOW)).toBeNull();
    expect(handledOf({ dismissed: said() }, NOW)).toBeNull();
    expect(handledOf({ acknowledged: said(), ...muted(null) }, NOW)).toBe('acknowledged');
    expect(handledOf(muted('2026-03-01T10:48:00Z'), NOW)).toBe('muted');
    expect(handledOf(muted('2026-03-01T08:48:00Z'), NOW)).toBeNull();
  });
});

it('words tell who said it, when, until when and why', () => {
  const until = '2026-03-01T10:48:00Z';
  expect(saidText('acknowledged', said(), TODAY)).toBe('by ana, 08:48 UTC');
  expect(saidText('acknowledged', said(), '2026-03-02')).toBe('by ana, 03-01 08:48 UTC');
  expect(saidText('acknowledged', said({ at: null, note: 'on it' }), TODAY)).toBe('by ana: “on it”');
  expect(saidText('muted', said({ until, note: 'release' }), TODAY)).toBe(
    'by ana until 10:48 UTC: “release”',
  );
  expect(saidText('muted', said(), TODAY)).toBe('by ana');
  expect(saidText('dismissed', said({ note: '' }), TODAY)).toBe('by ana, 08:48 UTC');
  expect(seriesText({ metric: 'mean_time', key: { shop: 'north' } })).toBe('mean time of north');
  expect(seriesText({ metric: 'requests', key: {} })).toBe('requests');
});

it('verdicts count what is over, and what of it was no anomaly', () => {
  const one = (state: string, isNone = false, withdrawn_ms: number | null = null) => ({
    state,
    withdrawn_ms,
    dismissed: isNone ? said() : null,
  });
  expect(verdictsOf([])).toBeNull();
  expect(verdictsOf([one('closed'), one('open', true), one('closed', true, 5)])).toBeNull();
  const all = [one('closed'), one('closed', true), one('closed'), one('open', true), one('closed', true, 5)];
  expect(verdictsOf(all)).toEqual({ closed: 3, dismissed: 1 });
});

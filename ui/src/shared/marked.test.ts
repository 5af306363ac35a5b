/** Which incidents are on which chart, and where. */
import { describe, expect, it } from 'vitest';
import type { Detected, Detector } from './detected';
import { placedOf, type Shown, type Span, spansOf } from './marked';

const START_MS = Date.parse('2026-03-01T02:00:00Z');
const at = (minute: number) => new Date(START_MS + minute * 60_000).toISOString();
const ms = (minute: number) => START_MS + minute * 60_000;

const DETECTORS: Detector[] = ['minutes', 'shops'].map(watches => ({
  name: `of ${watches}`,
  incidents: `${watches}_incidents`,
  watches,
  key: [],
  metrics: ['orders', 'share'],
  measured: { orders: ['orders'], share: ['failures'] },
  window_ms: 60_000,
  filtersRecords: false,
  explainBy: [],
}));
const CHART: Shown = { view: 'minutes', columns: ['orders'] };

function found(incident: string, more: Partial<Detected> = {}): Detected {
  return {
    detector: 'of minutes',
    view: 'minutes_incidents',
    key: {},
    metric: 'orders',
    incident,
    series: 'of minutes/orders',
    state: 'closed',
    since: at(0),
    until: at(2),
    windows: 2,
    severity: 5,
    observed: 2,
    expected: 40,
    summary: 'orders: 2',
    withdrawn_ms: null,
    ...more,
  };
}

const spans = (all: Detected[], chart = CHART) => spansOf(all, DETECTORS, chart, ms(9), '2026-03-01');
const names = (all: Detected[], chart = CHART) => spans(all, chart).map(it => it.incident);

describe('which are drawn', () => {
  it('are those of the view and the columns that the chart shows', () => {
    const all = [
      found('a'),
      found('b', { metric: 'share' }),
      found('c', { detector: 'of shops' }),
      found('d', { detector: 'gone' }),
    ];
    expect(names(all)).toEqual(['a']);
    expect(names(all, { view: 'minutes', columns: ['failures', 'orders'] })).toEqual(['a', 'b']);
    expect(names(all, { view: 'shops', columns: ['orders'] })).toEqual(['c']);
    expect(names(all, { view: null, columns: ['orders'] })).toEqual([]);
  });

  it('is nothing that was taken back or dismissed; what is muted is grey until that is over', () => {
    const muted = (minute: number) => ({ muted: { by: 'ana', until: at(minute) } });
    const all = [
      found('a', { withdrawn_ms: 1 }),
      found('b', { dismissed: { by: 'ana' } }),
      found('c', { ...muted(20), severity: 9 }),
      found('d', { ...muted(5), severity: 9 }),
      found('e', { severity: 5.9 }),
    ];
    expect(spans(all).map(({ incident, tone }) => [incident, tone])).toEqual([
      ['c', 'muted'],
      ['d', 'critical'],
      ['e', 'warn'],
    ]);
  });
});

it('one that goes on has no end, and says so', () => {
  const [open, closed] = spans([found('a', { state: 'open' }), found('b', { since: at(1) })]);
  expect(open).toMatchObject({ to_ms: null, text: '02:00 to now UTC: orders: 2' });
  expect(closed).toMatchObject({ to_ms: ms(2), text: '02:01 to 02:02 UTC: orders: 2' });
  expect(open?.title).toBe('Orders below expected');
});

it('spans of one time are below each other, and those outside of the range are not there', () => {
  const span = (incident: string, from: number, to: number | null): Span => ({
    incident,
    from_ms: ms(from),
    to_ms: to === null ? null : ms(to),
    tone: 'warn',
    title: '',
    text: '',
  });
  const all = [
    span('a', -5, 0),
    span('b', -5, 5),
    span('c', 2, 3),
    span('d', 4, null),
    span('e', 5, 6),
    span('f', 10, 11),
  ];
  expect(placedOf(all, ms(0), ms(10)).map(it => [it.incident, it.left, it.right, it.lane])).toEqual([
    ['b', 0, 0.5, 0],
    ['c', 0.2, 0.3, 1],
    ['d', 0.4, 1, 1],
    ['e', 0.5, 0.6, 0],
  ]);
});

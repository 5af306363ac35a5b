/** The order of incidents, those taken back, and how detectors are found and told. */
import { describe, expect, it } from 'vitest';
import type { Schemas } from '../api/wire';
import {
  type Detected,
  detectorsOf,
  follow,
  incidentOf,
  type Known,
  keyText,
  lastedText,
  minuteText,
  NOTHING_KNOWN,
  ordered,
  rangeText,
  stateOf,
  titleOf,
  toneOf,
} from './detected';

type Incident = Schemas['Incident'];

const at = (minute: number) => new Date(Date.parse('2026-03-01T02:00:00Z') + minute * 60_000).toISOString();

function listed(incident: string, more: Partial<Incident> = {}): Incident {
  return {
    detector: 'watch',
    view: 'watch_incidents',
    key: { shop: 'north' },
    metric: 'orders',
    incident,
    series: 'watch/orders',
    state: 'open',
    since: at(0),
    until: at(2),
    windows: 2,
    severity: 5,
    observed: 2,
    expected: 40,
    low: 30,
    high: 50,
    summary: '',
    ...more,
  };
}
const known = (it: Incident): Detected => ({ ...it, withdrawn_ms: null });
const list = (incidents: Incident[], truncated = false, epoch = 5) => ({ incidents, truncated, epoch });
const names = ({ incidents }: Known) => incidents.map(it => `${it.incident} ${stateOf(it)}`);

describe('the order', () => {
  it('is by severity while they go on, then what was taken back, then by time', () => {
    const all = [
      known(listed('a', { state: 'closed', since: at(1), severity: 9 })),
      { ...known(listed('b', { severity: 8 })), withdrawn_ms: 1 },
      known(listed('c', { severity: 4 })),
      known(listed('d', { state: 'closed', since: at(3), severity: 3 })),
      known(listed('e', { state: 'provisional', severity: 7 })),
    ];
    expect(ordered(all).map(it => it.incident)).toEqual(['e', 'c', 'b', 'd', 'a']);
  });

  it('has what was called no anomaly after what still goes on, and without alarm', () => {
    const dismissed = known(listed('a', { severity: 9, dismissed: { by: 'bo' } }));
    const other = known(listed('b', { severity: 4 }));
    expect(ordered([dismissed, other]).map(it => it.incident)).toEqual(['b', 'a']);
    expect([dismissed, other].map(toneOf)).toEqual(['quiet', 'warn']);
  });
});

describe('what was taken back', () => {
  const provisional = listed('a', { state: 'provisional' });
  const closed = listed('b', { state: 'closed', key: { shop: 'south' } });

  it('stays, as withdrawn, from when it was missed', () => {
    const first = follow(NOTHING_KNOWN, list([provisional, closed]), 10);
    expect(names(first)).toEqual(['a provisional', 'b closed']);
    const second = follow(first, list([closed]), 20);
    expect(names(second)).toEqual(['b closed', 'a withdrawn']);
    const third = follow(second, list([closed]), 30);
    expect(third.incidents.find(it => it.incident === 'a')?.withdrawn_ms).toBe(20);
  });

  it('is there again if it comes back', () => {
    const gone = follow(follow(NOTHING_KNOWN, list([provisional]), 10), list([]), 20);
    expect(names(follow(gone, list([provisional]), 30))).toEqual(['a provisional']);
  });

  it('is not what is over and left for its age', () => {
    expect(follow(follow(NOTHING_KNOWN, list([closed]), 10), list([]), 20).incidents).toEqual([]);
  });

  it('is not what another one took the place of', () => {
    const first = follow(NOTHING_KNOWN, list([provisional]), 10);
    const earlier = listed('c', { since: at(-1), until: at(2) });
    expect(names(follow(first, list([earlier]), 20))).toEqual(['c open']);
    const later = follow(
      follow(first, list([earlier]), 20),
      list([listed('d', { since: at(-2), until: at(2) })]),
      30,
    );
    expect(incidentOf(later, 'a')?.incident).toBe('d');
    expect(incidentOf(later, 'x')).toBeUndefined();
    // Two that take each other's place by turns.
    const back = follow(
      follow(later, list([earlier]), 40),
      list([listed('d', { since: at(-2), until: at(2) })]),
      50,
    );
    expect(incidentOf(back, 'c')?.incident).toBe('d');
    const ofAnotherKey = { ...earlier, key: { shop: 'south' } };
    expect(names(follow(first, list([ofAnotherKey]), 20))).toEqual(['c open', 'a withdrawn']);
  });

  it('is not told by a server that begins anew', () => {
    const first = follow(NOTHING_KNOWN, list([provisional]), 10);
    const restarted = follow(first, list([], false, 1), 20);
    expect(restarted).toMatchObject({ epoch: 1, incidents: [] });
    expect(names(follow(restarted, list([provisional]), 30))).toEqual(['a provisional']);
  });

  it('is not told by a list that was cut among those that go on', () => {
    const first = follow(NOTHING_KNOWN, list([provisional]), 10);
    const other = listed('d', { key: { shop: 'east' } });
    expect(names(follow(first, list([other], true), 20))).toEqual(['d open']);
    expect(names(follow(first, list([closed], true), 20))).toEqual(['b closed', 'a withdrawn']);
  });
});

describe('words', () => {
  it('name the metric, the key and the side', () => {
    const it = known(listed('a', { metric: 'mean_time', key: { shop: 'north', till: 3 } }));
    expect(titleOf(it)).toBe('Mean time of north, 3 below expected');
    expect(titleOf({ ...it, key: {}, observed: 90 })).toBe('Mean time above expected');
    expect(titleOf({ ...it, metric: 'new', observed: 900 })).toBe('north, 3 is new');
    expect(keyText({ key: { shop: null } })).toBe('–');
    expect([rangeText(1, 2.5), rangeText(-2, 1)]).toEqual(['1–2.50', '-2 to 1']);
    expect(lastedText(it)).toBe('2 min so far');
    expect(lastedText({ ...it, state: 'closed' })).toBe('2 min');
  });
});

it('detectors are what views say they are, whatever their names', () => {
  const view = (name: string, detector: Schemas['DetectorBody'] | null): Schemas['ViewBody'] => ({
    name,
    rows: 0,
    columns: [{ name: 'shop', type: 'bigint', role: 'key', adds_up: false }],
    sql: '',
    order: [],
    clocks: [],
    detector,
  });
  const body = (of: Schemas['DetectorRows']): Schemas['DetectorBody'] => ({
    of,
    detector: 'watch',
    watches: 'per_minute',
    key: ['shop'],
    metrics: ['orders'],
    measured: { orders: ['count'] },
    window_seconds: 60,
    filters_records: false,
    explain_by: [],
  });
  const views = [view('watch', body('scores')), view('x_incidents', null), view('odd', body('incidents'))];
  expect(detectorsOf(views)).toEqual([
    {
      name: 'watch',
      incidents: 'odd',
      watches: 'per_minute',
      key: [{ name: 'shop', type: 'bigint' }],
      metrics: ['orders'],
      measured: { orders: ['count'] },
      window_ms: 60_000,
      filtersRecords: false,
      explainBy: [],
    },
  ]);
});

it('writes the day of another day, and the year of another year', () => {
  const at = Date.parse('2026-03-01T02:56:07Z');
  expect(minuteText(at, '2026-03-01')).toBe('02:56');
  expect(minuteText(at, '2026-03-02')).toBe('03-01 02:56');
  expect(minuteText(at, '2027-03-01')).toBe('2026-03-01 02:56');
});

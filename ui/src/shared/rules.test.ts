/** Views of rules are known by their columns' roles, and windows in a row are one match. */
import { describe, expect, it } from 'vitest';
import type { Schemas } from '../api/wire';
import { figureText, matchesOf, matchesSql, ruleViewsOf, titleOf, whereOf } from './rules';

type View = Schemas['ViewBody'];

const column = (name: string, type: string, role: string, more: object = {}) => ({
  name,
  type,
  role,
  ...more,
});
const ALERTS = {
  name: 'stock_alerts',
  window_column: 'from_hour',
  columns: [
    column('from_hour', 'timestamp', 'time'),
    column('to_hour', 'timestamp', 'time'),
    column('shop', 'text', 'key'),
    column('product', 'text', 'key'),
    column('kind', 'text', 'key'),
    column('lost', 'double', 'share'),
    column('worth', 'double', 'money', { unit: 'EUR' }),
    column('orders', 'bigint', 'count', { statistic: 'count' }),
    column('is_new', 'boolean', 'flag'),
  ],
  record_columns: ['shop', 'kind'],
  detector: null,
} as unknown as View;
const [alerts] = ruleViewsOf([ALERTS]);
if (alerts === undefined) throw new Error('it is a view of rules');

const SPAN = { from: Date.parse('2026-03-01T00:00:00Z'), to: Date.parse('2026-03-02T00:00:00Z') };

describe('views of rules', () => {
  it('are told by their name and have windows', () => {
    const named = (name: string, more: object = {}) => ({ ...ALERTS, name, ...more }) as View;
    const names = ['anomalies', 'rule_violations', 'sales_1m', 'alerting', 'outliers'].map(it => named(it));
    const none = [named('alerts', { window_column: null }), named('alerts', { detector: {} })];
    expect(ruleViewsOf([...names, ...none]).map(it => it.name)).toEqual([
      'anomalies',
      'rule_violations',
      'outliers',
    ]);
  });

  it('have their columns by role', () => {
    expect(alerts).toMatchObject({
      begin: 'from_hour',
      end: 'to_hour',
      rule: 'kind',
      keys: ['shop', 'product'],
      count: 'orders',
      alarms: 'is_new = true',
      recordColumns: ['shop', 'kind'],
    });
    expect(alerts.figures.map(it => it.name)).toEqual(['lost', 'worth']);
  });

  it('are asked for what overlaps the range, up to now or to its end', () => {
    const open = matchesSql(alerts, { ...SPAN, fixed: false });
    expect(open).toContain(`WHERE "to_hour" >= TIMESTAMP '2026-03-01T00:00:00.000Z'\n`);
    expect(open).toContain('PARTITION BY "kind", "shop", "product" ORDER BY _begin');
    const fixed = matchesSql(alerts, { ...SPAN, fixed: true });
    expect(fixed).toContain(` AND "from_hour" < TIMESTAMP '2026-03-02T00:00:00.000Z'\n`);
  });
});

describe('matches', () => {
  const row = (hour: number, more: object = {}) => ({
    kind: 'SOLD_OUT',
    shop: 'Delft',
    product: null,
    _begin: hour * 3600,
    _end: (hour + 1) * 3600,
    _windows: 1,
    _records: 4,
    _figure0: 0.25,
    _figure1: null,
    ...more,
  });
  const now_ms = 10 * 3_600_000 + 60_000;
  const all = matchesOf(alerts, [row(2), row(9), row(7)], now_ms);

  it('stand first while they go on, then the newest', () => {
    expect(all.map(it => [it.begin_ms / 3_600_000, it.isOngoing])).toEqual([
      [9, true],
      [7, false],
      [2, false],
    ]);
  });

  it('are called by their rule and keys, without what is missing', () => {
    expect(all[0] && titleOf(all[0])).toBe('Sold out: Delft');
    const [bare] = matchesOf(alerts, [row(1, { kind: null, shop: 'Delft', product: 'tea' })], now_ms);
    expect(bare && titleOf(bare)).toBe('Delft, tea');
  });

  it('lead to records by the columns that records have', () => {
    const [match] = all;
    if (match === undefined) throw new Error('there are some');
    expect(whereOf(alerts, match, () => true)).toBe("kind = 'SOLD_OUT' AND shop = 'Delft'");
    expect(whereOf(alerts, match, () => false)).toBe("shop = 'Delft'");
    expect(whereOf({ ...alerts, recordColumns: [] }, match, () => true)).toBeUndefined();
  });

  it('have figures with their units', () => {
    expect(alerts.figures.map(it => figureText(it, 0.25))).toEqual(['25 %', '0.250 EUR']);
    expect(figureText({ role: 'share', unit: '%' }, 25)).toBe('25 %');
    expect(figureText({ role: 'money', unit: 'EUR' }, null)).toBe('–');
  });
});

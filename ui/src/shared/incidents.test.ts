/** What rules found is told as incidents, by rule and key, whatever the columns are called. */
import { describe, expect, it } from 'vitest';
import { incidentsOf } from './incidents';
import type { RuleView } from './rules';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const VIEW: RuleView = {
  name: 'stock_alerts',
  begin: 'opens',
  end: 'closes',
  rule: 'kind',
  keys: ['shop', 'shelf'],
  count: null,
  figures: [
    { name: 'lost', type: 'double', role: 'share', adds_up: false },
    { name: 'worth', type: 'double', role: 'money', unit: 'EUR', adds_up: false },
  ],
  alarms: null,
  recordColumns: ['shop'],
};

const row = (minute: number, more: object = {}) => ({
  opens: new Date(NOW + minute * 60_000).toISOString(),
  closes: new Date(NOW + (minute + 1) * 60_000).toISOString(),
  shop: 'Delft',
  kind: 'SOLD_OUT',
  lost: 0.3,
  worth: null,
  ...more,
});

const told = (rows: object[], now_ms: number) =>
  incidentsOf(VIEW, rows as never, now_ms).map(it => [
    it.title,
    (it.begin_ms - NOW) / 60_000,
    it.end_ms === null ? null : (it.end_ms - NOW) / 60_000,
    it.detail,
  ]);

describe('incidents of rules', () => {
  it('are windows in a row, of one rule and key; of what is over the worst window counts', () => {
    const rows = [
      row(-60),
      row(-59, { lost: 0.7, worth: 12 }),
      row(-59, { shelf: 'top' }),
      row(-50),
      row(-58, { shop: 'Gouda' }),
    ];
    expect(told(rows, NOW)).toEqual([
      ['Sold out on Delft', -60, -58, 'lost 70 %, worth 12 EUR'],
      ['Sold out on Gouda', -58, -57, 'lost 30 %'],
      ['Sold out on Delft', -50, -49, 'lost 30 %'],
    ]);
  });

  it('go on for a while after their newest window, which then counts', () => {
    const rows = [row(-3, { lost: 0.9 }), row(-2)];
    expect(told(rows, NOW)).toEqual([['Sold out on Delft', -3, null, 'lost 30 %']]);
    expect(told(rows, NOW + 60_000)).toEqual([['Sold out on Delft', -3, -1, 'lost 90 %']]);
  });

  it('lead to records only by a column that these have', () => {
    const [first] = incidentsOf(VIEW, [row(-3)], NOW);
    expect(first?.where).toBe("shop = 'Delft'");
    const [other] = incidentsOf({ ...VIEW, recordColumns: [] }, [row(-3)], NOW);
    expect(other?.where).toBeNull();
  });

  it('have a name without a rule and without keys', () => {
    const [bare] = incidentsOf({ ...VIEW, rule: null, keys: [] }, [row(-3)], NOW);
    expect(bare?.title).toBe('Stock alerts');
  });
});

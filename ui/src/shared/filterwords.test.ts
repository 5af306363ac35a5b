import { describe, expect, it } from 'vitest';
import { suggestionsAt, taken } from './filterwords';

const column = (name: string, type: string, role = 'key') => ({
  name,
  type,
  role,
  unit: null,
  statistic: null,
  comment: null,
  adds_up: false,
});
const COLUMNS = [
  column('status', 'bigint', 'status'),
  column('state', 'text'),
  column('user agent', 'text', 'text'),
  column('paid', 'boolean', 'flag'),
];
const VALUES: Record<string, string[]> = { status: ['200', '503'], state: ['new', "it's"] };

/** What is suggested where the bar stands in a text. */
const at = (text: string) => {
  const cursor = text.indexOf('|');
  return suggestionsAt(text.replace('|', ''), cursor, COLUMNS, name => VALUES[name]);
};
const labels = (text: string) => at(text).options.map(({ label }) => label);

describe('suggestions for a filter', () => {
  it('are columns where a condition begins, those that begin so first', () => {
    expect(labels('|')).toEqual(['status', 'state', 'user agent', 'paid', 'NOT']);
    expect(labels('sta|')).toEqual(['status', 'state']);
    expect(labels('status = 1 AND agent|')).toEqual(['user agent']);
    expect(labels('NOT (pa|')).toEqual(['paid']);
    expect(labels('status = 1 OR |').length).toBe(5);
  });

  it('are operators after a column, by its type', () => {
    expect(labels('status |')).toContain('>=');
    expect(labels('status |')).not.toContain('~');
    expect(labels('state |')).toContain('~');
    expect(labels('"user agent" |')).toContain('LIKE');
    expect(labels('state li|')).toEqual(['LIKE', 'NOT LIKE']);
  });

  it('are frequent values after an operator, written as the type asks for', () => {
    expect(labels('status = |')).toEqual(['200', '503']);
    expect(labels('status=5|')).toEqual(['503']);
    expect(labels("state IN ('n|")).toEqual(["'new'"]);
    expect(labels("state IN ('new', |")).toEqual(["'new'", "'it''s'"]);
    expect(labels('status BETWEEN 200 AND |')).toEqual(['200', '503']);
    expect(at('paid = |').valuesOf?.name).toBe('paid');
  });

  it('are joints after a condition, and nothing where nothing is known', () => {
    expect(labels('status = 200 |')).toEqual(['AND', 'OR']);
    expect(labels("state = 'new' a|")).toEqual(['AND']);
    expect(labels('state IS NOT NULL |')).toEqual(['AND', 'OR']);
    expect(labels('status BETWEEN 200 AND 300 |')).toEqual(['AND', 'OR']);
    expect(labels('status IN (1, 2) |')).toEqual(['AND', 'OR']);
    expect(labels("* ~ 'x' |")).toEqual(['AND', 'OR']);
    expect(labels('gone = |')).toEqual([]);
    expect(labels("state = 'AND |")).toEqual([]);
  });

  it('take the place of the word at the cursor', () => {
    const take = (text: string, label: string) => {
      const cursor = text.indexOf('|');
      const found = at(text);
      const option = found.options.find(it => it.label === label);
      if (option === undefined) throw new Error(`no ${label}`);
      const { text: after, cursor: now } = taken(text.replace('|', ''), found, option);
      expect(cursor).toBeGreaterThanOrEqual(found.from);
      return `${after.slice(0, now)}|${after.slice(now)}`;
    };
    expect(take('sta|', 'status')).toBe('status |');
    expect(take('us| = 1', 'user agent')).toBe('"user agent"| = 1');
    expect(take("state = 'i|", "'it''s'")).toBe("state = 'it''s' |");
  });
});

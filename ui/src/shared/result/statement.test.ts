/**
 * A text of SQL is cut where its statements end, and what was clicked together is SQL.
 */
import { describe, expect, it } from 'vitest';
import { sqlOf, statementAt, statementsIn, viewShownBy } from './statement';

describe('statements', () => {
  it('end at a semicolon outside of texts and comments', () => {
    const text = "SELECT ';' -- a; b\n; SELECT 2;\n\n";
    expect(statementsIn(text).map(({ from, to }) => text.slice(from, to).trim())).toEqual([
      "SELECT ';' -- a; b",
      'SELECT 2',
    ]);
  });

  it('are found under the cursor, and a selection counts more', () => {
    const text = 'SELECT 1;\n SELECT 2';
    expect(statementAt(text, 3, 3)).toEqual({ text: 'SELECT 1', from: 0 });
    expect(statementAt(text, 14, 14)).toEqual({ text: 'SELECT 2', from: 11 });
    expect(statementAt(text, 11, 15)).toEqual({ text: 'SELE', from: 11 });
    expect(statementAt('', 0, 0)).toEqual({ text: '', from: 0 });
  });

  it('show a view only if they show all of it', () => {
    expect(viewShownBy('select * from totals;', ['totals'])).toBe('totals');
    expect(viewShownBy('SELECT * FROM "totals" LIMIT 100', ['totals'])).toBe('totals');
    expect(viewShownBy('SELECT * FROM totals WHERE x = 1', ['totals'])).toBeNull();
    expect(viewShownBy('SELECT * FROM lake.totals', ['totals'])).toBeNull();
    expect(viewShownBy('SELECT * FROM other', ['totals'])).toBeNull();
  });
});

describe('the builder', () => {
  const built = {
    table: 'lake.logs',
    columns: [],
    aggregates: [],
    filters: [],
    order: '',
    descending: false,
    limit: 10,
  };

  it('writes groups, filters and order', () => {
    const sql = sqlOf({
      ...built,
      columns: ['endpoint'],
      aggregates: [
        { function: 'count', column: '' },
        { function: 'count distinct', column: 'ip' },
      ],
      filters: [
        { column: 'status', operator: '>=', value: '500', isText: false },
        { column: 'source', operator: '=', value: "it's", isText: true },
        { column: 'level', operator: '=', value: '', isText: true },
      ],
      order: 'n',
      descending: true,
    });
    expect(sql).toBe(
      "SELECT endpoint, count(*) AS n, count(DISTINCT ip) AS distinct_ip\nFROM lake.logs\nWHERE status >= 500 AND source = 'it''s'\nGROUP BY endpoint\nORDER BY n DESC\nLIMIT 10",
    );
  });

  it('quotes names that need it', () => {
    expect(sqlOf({ ...built, table: 'My "View"', columns: ['A b'] })).toBe(
      'SELECT "A b"\nFROM "My ""View"""\nLIMIT 10',
    );
  });
});

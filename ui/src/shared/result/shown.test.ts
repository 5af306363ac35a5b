import { describe, expect, it } from 'vitest';
import { cellOf, longestOf, nextSort, sorted, tsvOf } from './shown';

const of = (type: string, role?: string) => ({ name: 'c', type, role: role ?? null });

describe('a cell', () => {
  it('tells NULL, an empty text and the text NULL apart', () => {
    expect(cellOf(null, of('text'))).toEqual({ kind: 'null', text: 'NULL' });
    expect(cellOf('', of('text'))).toEqual({ kind: 'empty', text: "''" });
    expect(cellOf('NULL', of('text'))).toEqual({ kind: 'value', text: 'NULL' });
    expect(cellOf(0, of('bigint'))).toEqual({ kind: 'value', text: '0' });
  });

  it('shows numbers that are none as such, and groups only what counts', () => {
    expect(cellOf('NaN', of('double')).text).toBe('NaN');
    expect(cellOf('-Infinity', of('double')).text).toBe('-Infinity');
    expect(cellOf(210.97435897435895, of('double')).text).toBe('210.9744');
    expect(cellOf(12345, of('bigint', 'count')).text).toBe('12\u202f345');
    expect(cellOf(12345, of('bigint', 'id')).text).toBe('12345');
    expect(cellOf(1e-9, of('double')).text).toBe('1e-9');
  });

  it('shows a time whole', () => {
    expect(cellOf('2026-11-26T23:48:59.000000Z', of('timestamp')).text).toBe('2026-11-26 23:48:59');
    expect(cellOf('2026-11-26T23:48:59.120000Z', of('timestamp')).text).toBe('2026-11-26 23:48:59.12');
  });
});

it('has room for every time, and for what is long in the middle', () => {
  const columns = [
    { name: 'at', type: 'timestamp' },
    { name: 'note', type: 'text' },
  ];
  const rows = Array.from({ length: 5_000 }, (_, at) => ({
    at: at === 4_321 ? '2026-11-26T23:48:59.123456Z' : '2026-11-26T23:48:59Z',
    note: 'x'.repeat(at % 16),
  }));
  expect(longestOf(columns, rows)).toEqual(['2026-11-26 23:48:59.123456', 'x'.repeat(15)]);
});

describe('rows in order', () => {
  const by = (column: { name: string; type: string }, values: unknown[], descending = false) =>
    sorted(
      values.map(value => ({ [column.name]: value })),
      [column],
      { column: column.name, descending },
    ).map(row => row[column.name]);

  it('sorts numbers as numbers, NaN above all, missing ones last', () => {
    const n = { name: 'n', type: 'double' };
    expect(by(n, [10, null, 9, 'Infinity', 'NaN', -1])).toEqual([-1, 9, 10, 'Infinity', 'NaN', null]);
    expect(by(n, [10, null, 9], true)).toEqual([10, 9, null]);
  });

  it('sorts times by what they are and not by their letters', () => {
    const at = { name: 'at', type: 'timestamp' };
    const times = ['2026-01-01T00:00:00.5Z', '2026-01-01T00:00:00Z'];
    expect(by(at, times)).toEqual([...times].reverse());
  });

  it('comes back to how it came', () => {
    const up = nextSort(null, 'a');
    expect(up).toEqual({ column: 'a', descending: false });
    const down = nextSort(up, 'a');
    expect(nextSort(down, 'a')).toBeNull();
    expect(nextSort(down, 'b')).toEqual({ column: 'b', descending: false });
  });
});

it('copies as spreadsheets take it', () => {
  const columns = [{ name: 'a' }, { name: 'b' }];
  expect(
    tsvOf(columns, [
      { a: 'x\ty', b: null },
      { a: 'says "no"', b: 1 },
    ]),
  ).toBe('a\tb\n"x\ty"\t\n"says ""no"""\t1');
});

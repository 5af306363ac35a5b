import { expect, it } from 'vitest';
import { cellOf, widthsOf } from './shown';

it('tells NULL, an empty text and the text NULL apart', () => {
  expect(cellOf(null, 'text')).toEqual({ kind: 'null', text: 'NULL' });
  expect(cellOf('', 'text')).toEqual({ kind: 'empty', text: "''" });
  expect(cellOf('NULL', 'text')).toEqual({ kind: 'value', text: 'NULL' });
  expect(cellOf(0, 'bigint')).toEqual({ kind: 'value', text: '0' });
});

it('shows a time whole', () => {
  expect(cellOf('2026-11-26T23:48:59.000000Z', 'timestamp').text).toBe('2026-11-26 23:48:59');
  expect(cellOf('2026-11-26T23:48:59.120000Z', 'timestamp').text).toBe('2026-11-26 23:48:59.12');
});

it('has room for every time and every name of a column', () => {
  const columns = ['window_start', 'response_time_p50', 'response_time_p95', 'note'].map((name, at) => ({
    name,
    type: ['timestamp', 'double', 'double', 'text'][at] ?? '',
  }));
  const row = { window_start: '2026-11-26T23:48:00Z', response_time_p50: 1, note: 'x'.repeat(900) };
  expect(widthsOf(columns, [row])).toEqual([19, 17, 17, 60]);
  // Also where only a late row is long.
  const late = { ...row, note: 'x'.repeat(30) };
  expect(widthsOf(columns, [...Array.from({ length: 100 }, () => ({ note: '' })), late])[3]).toBe(30);
});

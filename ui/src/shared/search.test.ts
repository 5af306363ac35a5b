/**
 * An address says what the page shows; a broken part of it is as if it were not there.
 */
import { expect, it } from 'vitest';
import { readSearch, spanOf } from './search';

it('keeps what it knows and leaves out what is broken', () => {
  expect(readSearch({ range: '6h', where: 'status >= 500', junk: 1, past: 'true' })).toEqual({
    range: '6h',
    where: 'status >= 500',
    past: true,
  });
  expect(readSearch({ range: '2y', from: 'soon', record: '../1', where: 'x'.repeat(3_000) })).toEqual({});
});

it('takes a fixed range only if it has a length, and prefers it', () => {
  const [from, to] = ['2026-01-01T00:00:00Z', '2026-01-01T01:00:00Z'];
  expect(readSearch({ from, to, range: '1h' })).toEqual({ from, to });
  expect(readSearch({ from: to, to: from, range: '1h' })).toEqual({ range: '1h' });
  expect(spanOf({ from, to }, 0)).toEqual({ from: Date.parse(from), to: Date.parse(to), fixed: true });
  expect(spanOf({ range: '5m' }, 1_000_000)).toEqual({ from: 700_000, to: 1_000_000, fixed: false });
});

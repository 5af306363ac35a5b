/**
 * Parts of a filter come and go by clicks; texts in quotes may hold anything.
 */
import { expect, it } from 'vitest';
import { partOf, partsOf, withoutPart, withPart } from './filter';

it('cuts at AND outside of quotes', () => {
  expect(partsOf("status >= 500 AND endpoint = '/a and b' and x = 1")).toEqual([
    'status >= 500',
    "endpoint = '/a and b'",
    'x = 1',
  ]);
  expect(partsOf(undefined)).toEqual([]);
  expect(partsOf("agent = 'it''s AND more'")).toEqual(["agent = 'it''s AND more'"]);
});

it('adds a part once and removes its opposite', () => {
  const excluded = withPart('status >= 500', partOf('endpoint', '!=', '/a'));
  expect(excluded).toBe("status >= 500 AND endpoint != '/a'");
  expect(withPart(excluded, partOf('endpoint', '=', '/a'))).toBe("status >= 500 AND endpoint = '/a'");
  expect(withPart(excluded, 'status >= 500')).toBe("endpoint != '/a' AND status >= 500");
  expect(withoutPart('a = 1', 'a = 1')).toBeUndefined();
});

it('writes texts so that they stay texts', () => {
  expect(partOf('endpoint', '=', "it's")).toBe("endpoint = 'it''s'");
  expect(partOf('status', '=', 503)).toBe('status = 503');
});

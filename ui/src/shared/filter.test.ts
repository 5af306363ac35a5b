/**
 * Parts of a filter come and go by clicks; texts in quotes may hold anything.
 */
import { describe, expect, it } from 'vitest';
import { equalityOf, existsOf, looksLikeCondition, partOf, partsOf, withoutPart, withPart } from './filter';

describe('parts', () => {
  it('are cut at AND outside of quotes', () => {
    expect(partsOf("status >= 500 AND endpoint = '/a and b' and x = 1")).toEqual([
      'status >= 500',
      "endpoint = '/a and b'",
      'x = 1',
    ]);
    expect(partsOf(undefined)).toEqual([]);
    expect(partsOf("agent = 'it''s AND more'")).toEqual(["agent = 'it''s AND more'"]);
  });

  it('keep together what binds together', () => {
    expect(partsOf("a BETWEEN 1 AND 2 AND b = 'x'")).toEqual(['a BETWEEN 1 AND 2', "b = 'x'"]);
    expect(partsOf('(a = 1 AND b = 2) AND NOT (c = 3 OR d = 4)')).toEqual([
      '(a = 1 AND b = 2)',
      'NOT (c = 3 OR d = 4)',
    ]);
    expect(partsOf('a = 1 OR b = 2 AND c = 3')).toEqual(['a = 1 OR b = 2 AND c = 3']);
  });

  it('are added once, and their opposites removed', () => {
    const excluded = withPart('status >= 500', partOf('endpoint', '!=', '/a'));
    expect(excluded).toBe("status >= 500 AND endpoint != '/a'");
    expect(withPart(excluded, partOf('endpoint', '=', '/a'))).toBe("status >= 500 AND endpoint = '/a'");
    expect(withPart(excluded, 'status >= 500')).toBe("endpoint != '/a' AND status >= 500");
    expect(withoutPart('a = 1', 'a = 1')).toBeUndefined();
  });

  it('stay what they were when others are added', () => {
    const either = withPart('a = 1', 'b = 2 OR c = 3');
    expect(either).toBe('a = 1 AND (b = 2 OR c = 3)');
    expect(withPart('b = 2 OR c = 3', 'a = 1')).toBe('(b = 2 OR c = 3) AND a = 1');
    expect(withoutPart(either, 'a = 1')).toBe('(b = 2 OR c = 3)');
  });

  it('write texts so that they stay texts', () => {
    expect(partOf('endpoint', '=', "it's")).toBe("endpoint = 'it''s'");
    expect(partOf('status', '=', 503)).toBe('status = 503');
    expect(partOf('is_error', '=', true)).toBe('is_error = true');
    expect(partOf('Order No', '=', 1)).toBe('"Order No" = 1');
  });
});

it.each([
  'status = 500 OR status = 503',
  "NOT endpoint = '/api/users'",
  '(status = 500 OR response_time > 1000) AND status < 600',
  'status IN (500, 503)',
  'status not in (500)',
  "endpoint LIKE '/api/%'",
  "endpoint like '/api/%'",
  'status BETWEEN 500 AND 599',
  'status between 500 and 599',
  'referer IS NULL',
  'status:500',
  'endpoint:/api/users',
  'level = error',
  'status IN',
])('takes %s for a condition', text => expect(looksLikeCondition(text)).toBe(true));

it.each(['timeout', 'user not found', 'connection refused by peer', 'GET /api/users', 'in the end', 'a, b'])(
  'takes %s for words',
  text => expect(looksLikeCondition(text)).toBe(false),
);

describe('what a click writes', () => {
  it('replaces its opposite', () => {
    expect(withPart('a IS NULL AND b = 1', existsOf('a', true))).toBe('b = 1 AND a IS NOT NULL');
    expect(withPart('a IS NOT NULL', existsOf('a', false))).toBe('a IS NULL');
    expect(withPart("a LIKE 'x%'", partOf('a', 'NOT LIKE', 'x%'))).toBe("a NOT LIKE 'x%'");
    expect(existsOf('user agent', true)).toBe('"user agent" IS NOT NULL');
  });

  it('is known again as one value of one column', () => {
    for (const [column, value] of [
      ['user', "o'neil"],
      ['user "id"', 'a = b AND c'],
    ] as const) {
      expect(equalityOf(partOf(column, '=', value))).toEqual({ column, value });
    }
    expect(equalityOf('n = -7')).toEqual({ column: 'n', value: '-7' });
    for (const other of [undefined, '', "a != 'x'", "a = 'x' AND b = 'y'", "a = 'x' OR b = 'y'", '* ~ 1'])
      expect(equalityOf(other)).toBeNull();
  });
});

import { expect, it } from 'vitest';
import { exactly } from './client';

it('keeps whole numbers exact that no number of a script can hold', () => {
  expect(
    exactly(
      '{"a":9007199254740993,"b":-9223372036854775808,"c":12,"d":0.12345678901234567890,"e":"9007199254740993"}',
    ),
  ).toEqual({
    a: '9007199254740993',
    b: '-9223372036854775808',
    c: 12,
    d: Number('0.12345678901234567890'),
    e: '9007199254740993',
  });
  expect(exactly('no JSON')).toEqual({});
});

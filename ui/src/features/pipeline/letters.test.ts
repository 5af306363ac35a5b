/** Bytes as people can read them. */
import { expect, it } from 'vitest';
import { hexLines, visible } from './letters';

it('shows control characters', () => {
  expect(visible('a\u0000b\tc\nd\u007f\u001b')).toBe('a\u2400b\tc\nd\u2421\u241b');
  expect(visible('täglich')).toBe('täglich');
});

it('cuts digits into bytes and lines', () => {
  expect(hexLines('61ff')).toBe('61 ff');
  expect(
    hexLines('00'.repeat(17))
      .split('\n')
      .map(line => line.length),
  ).toEqual([47, 2]);
  expect(hexLines('')).toBe('');
});

import { expect, it } from 'vitest';
import { readKept, toMove } from './savedFilters';

it('reads what the browser kept and passes over what cannot be read', () => {
  const one = { name: 'a', where: 'status >= 500' };
  expect(readKept(JSON.stringify([one, { name: 'b' }, 7, null]))).toEqual([one]);
  for (const text of [null, 'no', '{}', '']) expect(readKept(text)).toEqual([]);
});

it('moves what the server does not have, under names that are free', () => {
  const saved = [
    { name: 'same', where: 'a = 1' },
    { name: 'other', where: 'b = 1' },
  ];
  const kept = [
    { name: 'same', where: 'a = 1' },
    { name: 'other', where: 'b = 2' },
    { name: '5xx/slow?', where: 'c = 1' },
    { name: '/', where: 'd = 1' },
  ];
  expect(toMove(kept, saved)).toEqual([
    { name: 'other 2', where: 'b = 2' },
    { name: '5xx_slow_', where: 'c = 1' },
    { name: '_', where: 'd = 1' },
  ]);
});

import { expect, it } from 'vitest';
import { readSaved, withSaved } from './savedFilters';

it('reads what was kept, and nothing of what is broken', () => {
  const one = { name: 'a', where: 'x = 1' };
  expect(readSaved(JSON.stringify([one, { name: 1 }, null, 'x']))).toEqual([one]);
  for (const broken of [null, '', '{', '{}', '7']) expect(readSaved(broken)).toEqual([]);
});

it('keeps one filter of a name, in the order of names', () => {
  const saved = withSaved([{ name: 'b', where: 'x = 1' }], { name: 'a', where: 'x = 2' });
  expect(saved.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(withSaved(saved, { name: 'b', where: 'x = 3' })).toEqual([
    { name: 'a', where: 'x = 2' },
    { name: 'b', where: 'x = 3' },
  ]);
});

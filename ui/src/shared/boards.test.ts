import { expect, it } from 'vitest';
import { moved, movedTo, panelOf } from './boards';

const panels = ['a', 'b', 'c'].map(id => ({ ...panelOf(id, 'SELECT 1', {}), id }));
const ids = (all: typeof panels) => all.map(({ id }) => id).join('');

it('puts a panel earlier and later, and not beyond the ends', () => {
  expect(ids(moved(panels, 'b', -1))).toBe('bac');
  expect(ids(moved(panels, 'b', 1))).toBe('acb');
  expect(ids(moved(panels, 'a', -1))).toBe('abc');
  expect(ids(moved(panels, 'c', 5))).toBe('abc');
  expect(ids(moved(panels, 'nobody', 1))).toBe('abc');
});

it('puts a panel where another one is', () => {
  expect(ids(movedTo(panels, 'a', 'c'))).toBe('bca');
  expect(ids(movedTo(panels, 'c', 'a'))).toBe('cab');
  expect(ids(movedTo(panels, 'c', 'nobody'))).toBe('abc');
});

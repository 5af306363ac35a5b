import { expect, it } from 'vitest';
import { column } from '../../shared/page.fixture';
import { orderOf } from './views';

const columns = [column('product', 'key'), column('n', 'count'), column('revenue', 'money')];
const by = (name: string, descending = false, nulls_first = false) => ({
  column: name,
  descending,
  nulls_first,
});

it('keeps the order of the view', () => {
  const rows = [
    { product: 'a', n: 9, revenue: 1 },
    { product: 'b', n: 1, revenue: 5 },
    { product: 'c', n: 9, revenue: null },
  ];
  const names = (...order: ReturnType<typeof by>[]) =>
    orderOf({ columns, order }, rows)
      .map(({ product }) => product)
      .join('');
  expect(names(by('revenue', true, true))).toBe('cba');
  expect(names(by('revenue'))).toBe('abc');
  expect(names(by('n', true), by('product', true))).toBe('cab');
  // Texts have an order too.
  expect(names(by('product', true))).toBe('cba');
  // Without one, the first figure decides.
  expect(names()).toBe('acb');
});

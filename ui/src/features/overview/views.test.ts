import { expect, it } from 'vitest';
import { column } from '../../shared/page.fixture';
import { orderOf } from './views';

const top = {
  sql: 'SELECT * FROM p ORDER BY revenue DESC LIMIT 10',
  columns: [column('product', 'key'), column('n', 'count'), column('revenue', 'money')],
};

it('keeps the order of the view', () => {
  const rows = [
    { product: 'a', n: 9, revenue: 1 },
    { product: 'b', n: 1, revenue: 5 },
  ];
  const names = (sql: string) => orderOf({ ...top, sql }, rows).map(({ product }) => product);
  expect(names(top.sql)).toEqual(['b', 'a']);
  expect(names('SELECT * FROM p ORDER BY revenue LIMIT 10')).toEqual(['a', 'b']);
  // Without one, the first figure decides.
  expect(names('SELECT * FROM p')).toEqual(['a', 'b']);
});

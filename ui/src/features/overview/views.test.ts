import { expect, it } from 'vitest';
import type { Schemas } from '../../api/wire';
import { isRanked, orderOf, viewsToShow } from './views';

const view = (name: string, sql: string, columns: string[], rows = 3): Schemas['ViewBody'] => ({
  name,
  sql,
  rows,
  columns: columns.map(it => {
    const isNumber = /n|revenue/.test(it);
    return { name: it, type: isNumber ? 'bigint' : 'text', role: isNumber ? 'count' : 'key' };
  }),
  window_column: columns.includes('window_start') ? 'window_start' : null,
  clocks: [],
});
const top = view('top_products', 'SELECT * FROM p ORDER BY revenue DESC LIMIT 10', [
  'product',
  'n',
  'revenue',
]);

it('shows windows first, then what is ranked, and nothing too large', () => {
  const minute = view('per_minute', 'SELECT', ['window_start', 'country', 'n']);
  const huge = view('customers', 'SELECT', ['customer', 'n'], 400_000);
  const single = view('totals', 'SELECT', ['n'], 1);
  const late = view('late', 'SELECT', ['window_start', 'n']);
  expect(viewsToShow([huge, late, single, top, minute]).map(({ name }) => name)).toEqual([
    'per_minute',
    'top_products',
    'totals',
  ]);
  expect(viewsToShow([])).toEqual([]);
});

it('leaves what detectors found to Anomalies; a view that is only called so is shown', () => {
  const all = [view('incidents', 'SELECT', ['product', 'n'])];
  const names = (views: Schemas['ViewBody'][]) => viewsToShow(views).map(({ name }) => name);
  expect(names(all)).toEqual(['incidents']);
  const detector: Schemas['DetectorBody'] = {
    of: 'scores',
    detector: 'watch',
    watches: 'per_minute',
    key: [],
    metrics: [],
    measured: {},
    window_seconds: 60,
    filters_records: false,
    explain_by: [],
  };
  expect(names([...all, { ...view('watch', 'SELECT', ['n']), detector }])).toEqual([]);
});

it('keeps the order of the view', () => {
  const rows = [
    { product: 'a', n: 9, revenue: 1 },
    { product: 'b', n: 1, revenue: 5 },
  ];
  expect(isRanked(top)).toBe(true);
  expect(orderOf(top, rows).map(({ product }) => product)).toEqual(['b', 'a']);
  const rising = { ...top, sql: 'SELECT * FROM p ORDER BY revenue LIMIT 10' };
  expect(orderOf(rising, rows).map(({ product }) => product)).toEqual(['a', 'b']);
  expect(orderOf({ ...top, sql: 'SELECT' }, rows).map(({ product }) => product)).toEqual(['a', 'b']);
});

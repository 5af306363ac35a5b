/** Where parts of the dataflow stand, drawn and listed. */
import { expect, it } from 'vitest';
import { depthsOf, place } from './layout';

const edges = [
  { from: 'source', to: 'table' },
  { from: 'table', to: 'view' },
  { from: 'source', to: 'lake' },
  { from: 'view', to: 'lake' },
];
const ids = ['lake', 'view', 'table', 'source'];

it('counts the steps from a source the longest way, and ends for a circle too', () => {
  expect(Object.fromEntries(depthsOf(ids, edges))).toEqual({ source: 0, table: 1, view: 2, lake: 3 });
  expect(
    depthsOf(
      ['a', 'b'],
      [
        { from: 'a', to: 'b' },
        { from: 'b', to: 'a' },
      ],
    ).size,
  ).toBe(2);
});

it('places every part, and leaves out edges to what is not there', () => {
  const { nodes, edges: drawn } = place(ids, [...edges, { from: 'view', to: 'gone' }]);
  expect([...nodes.keys()].sort()).toEqual([...ids].sort());
  expect(drawn).toHaveLength(edges.length);
});

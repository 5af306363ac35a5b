/** Where parts of the dataflow stand, drawn and listed. */
import { expect, it } from 'vitest';
import { depthsOf, NODE, place, zoomOf } from './layout';

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
  // Of those to the lake only what stands before it.
  expect(drawn.filter(({ to }) => to !== 'lake')).toHaveLength(2);
  expect(drawn.some(({ to }) => to === 'gone')).toBe(false);
});

it('has the lake behind everything, and no part further from its source than it must be', () => {
  const { nodes, width, height } = place(ids, edges);
  const x = (id: string) => nodes.get(id)?.x ?? 0;
  expect(x('source')).toBeLessThan(x('table'));
  expect(x('view')).toBeLessThanOrEqual(x('lake'));
  const all = [...nodes.values()];
  const apart = all.every((a, at) =>
    all.slice(at + 1).every(b => Math.abs(a.x - b.x) >= NODE.width || Math.abs(a.y - b.y) >= NODE.height),
  );
  expect(apart).toBe(true);
  expect(all.every(({ y }) => y >= NODE.height / 2 && y <= height - NODE.height / 2)).toBe(true);
  expect(x('lake') + NODE.width / 2).toBeLessThanOrEqual(width);
  // A second source that only the last view reads would be pulled to it by lines to the lake.
  const more = [...edges, { from: 'late source', to: 'its table' }, { from: 'its table', to: 'lake' }];
  const placed = place([...ids, 'late source', 'its table'], more);
  expect(placed.nodes.get('its table')?.x).toBe(placed.nodes.get('table')?.x);
});

it.each([
  [1_380, 1_230, 1_230 / 1_380],
  [1_380, 1_000, 1],
  [1_380, 1_380, 1],
  [1_380, 1_600, 1],
  [1_380, 0, 1],
])('draws a graph of %d pixels in %d at the size %d', (width, room, zoom) => {
  expect(zoomOf(width, room)).toBe(zoom);
});

/** Where the nodes of the dataflow stand: left to right, as records flow. */
import dagre from '@dagrejs/dagre';
import type { Schemas } from '../../api/wire';

export const NODE = { width: 178, height: 40 };

export interface Placed {
  width: number;
  height: number;
  nodes: ReadonlyMap<string, { x: number; y: number }>;
  edges: readonly { from: string; to: string; points: readonly { x: number; y: number }[] }[];
}

/** How many steps each node is behind a source, the longest way. */
export function depthsOf(ids: readonly string[], edges: readonly Schemas['Edge'][]): Map<string, number> {
  const depths = new Map(ids.map(id => [id, 0]));
  // A dataflow has no circle, so after as many rounds as nodes nothing moves any more.
  for (let round = 0; round < ids.length; round++) {
    let moved = false;
    for (const { from, to } of edges) {
      const depth = (depths.get(from) ?? 0) + 1;
      if (!depths.has(to) || depth <= (depths.get(to) ?? 0)) continue;
      depths.set(to, depth);
      moved = true;
    }
    if (!moved) break;
  }
  return depths;
}

/** The end of the flow. Nearly everything leads there, so it stands apart: its lines would pull all others to it. */
const LAKE = 'lake';
/** Wide enough for a rate on a line. */
export const RANK_GAP = 52;
const ROW_GAP = 6;
/** Smaller than this a graph is hard to read; one that would have to be is drawn as it is, and scrolled. */
const ZOOM_MIN = 0.8;
const MARGIN = 8;

export function place(ids: readonly string[], edges: readonly Schemas['Edge'][]): Placed {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: 'LR', nodesep: ROW_GAP, ranksep: RANK_GAP, marginx: MARGIN, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  const apart = ids.filter(id => id === LAKE);
  for (const id of ids) if (id !== LAKE) graph.setNode(id, { ...NODE });
  const known = edges.filter(({ from, to }) => ids.includes(from) && ids.includes(to));
  for (const { from, to } of known) if (to !== LAKE) graph.setEdge(from, to);
  dagre.layout(graph);
  const { width = 0 } = graph.graph();
  // Lines that go around others may lead above the first row.
  const lines = graph.edges().flatMap(edge => graph.edge(edge).points as { y: number }[]);
  const down = Math.max(0, MARGIN - Math.min(MARGIN, ...lines.map(({ y }) => y)));
  const height = Math.max(graph.graph().height ?? 0, ...lines.map(({ y }) => y + MARGIN)) + down;
  const nodes = new Map<string, { x: number; y: number }>(
    ids.filter(id => id !== LAKE).map(id => [id, { x: graph.node(id).x, y: graph.node(id).y + down }]),
  );
  const free = placeFor(apart.length, [...nodes.values()], width, height);
  for (const id of apart) nodes.set(id, free);
  return {
    width: Math.max(width, free.x + NODE.width / 2 + MARGIN),
    height: Math.max(height, NODE.height + 2 * MARGIN),
    nodes,
    edges: known.flatMap(({ from: v, to: w }) => {
      // From the right side of the one to the left side of the other, past what lies between.
      const [from, to] = [nodes.get(v), nodes.get(w)];
      if (from === undefined || to === undefined) return [];
      const between: { x: number; y: number }[] =
        w === LAKE
          ? []
          : graph
              .edge({ v, w })
              .points.slice(1, -1)
              .map(({ x, y }: { x: number; y: number }) => ({ x, y: y + down }));
      const start = { x: from.x + NODE.width / 2, y: from.y };
      const end = { x: to.x - NODE.width / 2, y: to.y };
      if (end.x <= start.x) return [];
      const points = [start, ...between.filter(point => start.x < point.x && point.x < end.x), end];
      return [{ from: v, to: w, points }];
    }),
  };
}

/** Where the lake stands: in the last column if there is room, near its middle, else in one of its own. */
function placeFor(
  count: number,
  nodes: readonly { x: number; y: number }[],
  width: number,
  height: number,
): { x: number; y: number } {
  if (count === 0 || nodes.length === 0) return { x: width - NODE.width / 2 - MARGIN, y: height / 2 };
  const x = Math.max(...nodes.map(node => node.x));
  const column = nodes.filter(node => node.x + NODE.width > x);
  const rows: number[] = [];
  const row = NODE.height + ROW_GAP;
  for (let y = MARGIN + NODE.height / 2; y + NODE.height / 2 + MARGIN <= height; y += row) rows.push(y);
  const isFree = (y: number) => column.every(node => Math.abs(node.y - y) >= row);
  // A column that is not the last alone would have lines to the lake lead backwards.
  const [y] = rows.filter(isFree).sort((a, b) => Math.abs(a - height / 2) - Math.abs(b - height / 2));
  const others = nodes.filter(node => node.x < x);
  return y === undefined || others.length === 0 || column.length > 2
    ? { x: x + NODE.width + RANK_GAP, y: height / 2 }
    : { x, y };
}

/** How much smaller a graph is drawn where it is a little wider than the room there is; nothing is known of the room before it is drawn. */
export function zoomOf(width: number, room: number): number {
  const zoom = room / width;
  return ZOOM_MIN <= zoom && zoom < 1 ? zoom : 1;
}

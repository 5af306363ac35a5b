/** Where the nodes of the dataflow stand: left to right, as records flow. */
import dagre from '@dagrejs/dagre';
import type { Schemas } from '../../api/wire';

export const NODE = { width: 196, height: 40 };

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

export function place(ids: readonly string[], edges: readonly Schemas['Edge'][]): Placed {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: 'LR', nodesep: 6, ranksep: 56, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const id of ids) graph.setNode(id, { ...NODE });
  for (const { from, to } of edges) if (ids.includes(from) && ids.includes(to)) graph.setEdge(from, to);
  dagre.layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  return {
    width,
    height,
    nodes: new Map(ids.map(id => [id, graph.node(id)])),
    edges: graph.edges().map(({ v, w }) => {
      // From the right side of the one to the left side of the other, past what lies between.
      const [from, to] = [graph.node(v), graph.node(w)];
      const between = graph.edge({ v, w }).points.slice(1, -1);
      const start = { x: from.x + NODE.width / 2, y: from.y };
      const end = { x: to.x - NODE.width / 2, y: to.y };
      return {
        from: v,
        to: w,
        points: [
          start,
          ...between.filter((point: { x: number }) => start.x < point.x && point.x < end.x),
          end,
        ],
      };
    }),
  };
}

/** A plan as DataFusion writes it for PostgreSQL's tools, as a tree with places to draw it. */
import dagre from '@dagrejs/dagre';

export interface PlanNode {
  id: string;
  title: string;
  detail: string;
}

export interface PlanGraph {
  nodes: (PlanNode & { x: number; y: number })[];
  edges: { id: string; points: readonly { x: number; y: number }[] }[];
  width: number;
  height: number;
}

export const PLAN_NODE = { width: 240, height: 44 };

interface Raw {
  'Node Type'?: string;
  Plans?: Raw[];
  [field: string]: unknown;
}

/** `null` if the text is not such a plan. */
export function planGraph(text: string): PlanGraph | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  const root = (Array.isArray(parsed) ? parsed[0]?.Plan : undefined) as Raw | undefined;
  if (root === undefined) return null;
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: 'BT', nodesep: 16, ranksep: 32, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  const nodes: PlanNode[] = [];
  const add = (raw: Raw): string => {
    const id = String(nodes.length);
    nodes.push({ id, title: String(raw['Node Type'] ?? '?'), detail: detailOf(raw) });
    graph.setNode(id, { ...PLAN_NODE });
    for (const input of raw.Plans ?? []) graph.setEdge(add(input), id);
    return id;
  };
  add(root);
  dagre.layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  return {
    width,
    height,
    nodes: nodes.map(node => ({ ...node, ...placeOf(graph.node(node.id)) })),
    edges: graph.edges().map(edge => ({ id: `${edge.v}>${edge.w}`, points: graph.edge(edge).points })),
  };
}

function placeOf({ x, y }: { x: number; y: number }): { x: number; y: number } {
  return { x, y };
}

const HIDDEN = new Set(['Node Type', 'Plans', 'Output', 'Schema']);

function detailOf(raw: Raw): string {
  return Object.entries(raw)
    .filter(
      ([name, value]) =>
        !HIDDEN.has(name) && value !== '' && value !== null && !(Array.isArray(value) && value.length === 0),
    )
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' · ');
}

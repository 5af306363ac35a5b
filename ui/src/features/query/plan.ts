/** A plan as DataFusion writes it for PostgreSQL's tools, as a tree with places to draw it; with what each node took, if it ran. */
import dagre from '@dagrejs/dagre';

export interface PlanNode {
  id: string;
  title: string;
  detail: string;
  /** Only of a plan that ran. */
  took: Took | null;
}

/** What a node did; `null` is what it does not count. */
export interface Took {
  rows: number | null;
  /** Of it alone, without what it waits for. */
  time_ms: number | null;
  /** The most it held, where it counts that. */
  memory_bytes: number | null;
  spilled_bytes: number;
  /** Of the node that took longest. */
  share: number;
}

export interface PlanGraph {
  nodes: (PlanNode & { x: number; y: number })[];
  edges: { id: string; points: readonly { x: number; y: number }[] }[];
  width: number;
  height: number;
}

export const PLAN_NODE = { width: 240, height: 44 };
export const RAN_NODE = { width: 240, height: 68 };

interface Raw {
  'Node Type'?: string;
  Details?: string;
  'Actual Rows'?: number;
  'Actual Total Time'?: number;
  Extras?: Record<string, unknown>;
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
  const size = ran(root) ? RAN_NODE : PLAN_NODE;
  const nodes: PlanNode[] = [];
  const add = (raw: Raw): string => {
    const id = String(nodes.length);
    nodes.push({ id, title: titleOf(raw), detail: detailOf(raw), took: ran(root) ? tookOf(raw) : null });
    graph.setNode(id, { ...size });
    for (const input of raw.Plans ?? []) graph.setEdge(add(input), id);
    return id;
  };
  add(root);
  const longest = Math.max(1e-9, ...nodes.map(({ took }) => took?.time_ms ?? 0));
  for (const { took } of nodes) if (took !== null) took.share = (took.time_ms ?? 0) / longest;
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

/** Nodes that count are those of a plan that ran. */
function ran(root: Raw): boolean {
  return root.Extras !== undefined || root['Actual Rows'] !== undefined || (root.Plans ?? []).some(ran);
}

function titleOf(raw: Raw): string {
  return String(raw['Node Type'] ?? '?').replace(/Exec\b/, '');
}

function tookOf({ 'Actual Rows': rows, 'Actual Total Time': time_ms, Extras = {} }: Raw): Took {
  const sizes = Object.entries(Extras).filter(([name]) => /mem_used|peak_mem|memory/.test(name));
  const bytes = sizes.map(([, value]) => Number(value)).filter(Number.isFinite);
  return {
    rows: rows ?? null,
    time_ms: time_ms ?? null,
    memory_bytes: bytes.length === 0 ? null : Math.max(...bytes),
    spilled_bytes: Number(Extras.spilled_bytes) || 0,
    share: 0,
  };
}

const HIDDEN = new Set([
  'Node Type',
  'Plans',
  'Output',
  'Schema',
  'Details',
  'Extras',
  'Actual Rows',
  'Actual Total Time',
]);

function detailOf(raw: Raw): string {
  // A node that ran tells of itself in one text, which begins with its name.
  if (raw.Details !== undefined) return raw.Details.replace(/^\w+(: |, )?/, '');
  return Object.entries(raw)
    .filter(
      ([name, value]) =>
        !HIDDEN.has(name) && value !== '' && value !== null && !(Array.isArray(value) && value.length === 0),
    )
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' · ');
}

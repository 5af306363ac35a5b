/**
 * The shapes that travel between server and page.
 *
 * Every frame of the one stream is a case of `StreamEvent`, so whoever asks "what can arrive here?" reads
 * that union. The server is trusted to keep the shapes of frames, but not to fill every number: whatever may
 * be missing is `null` here. Rows belong to whichever dataflow runs, so they stay open records.
 */

export type Row = Readonly<Record<string, unknown>>;

export interface Column {
  name: string;
  type: string;
}

export interface ViewInfo {
  name: string;
  columns: Column[];
  rows: number;
  sql?: string;
}

export interface ViewsResponse {
  epoch: number;
  as_of: string;
  views: ViewInfo[];
}

export interface SnapshotFrame {
  view: string;
  epoch: number;
  as_of: string;
  columns: Column[];
  rows: Row[];
  reason?: string;
}

export interface Change {
  diff: number;
  row: Row;
}

export interface ChangesFrame {
  view: string;
  epoch: number;
  as_of: string;
  changes: Change[];
  /** How many epochs the server folded into this frame. */
  conflated?: number;
}

export interface Metrics {
  eventsPerSec: number | null;
  /** In percent: records with a status of 400 or more. */
  errorRate: number | null;
  /** In percent: records with a status of 500 or more. */
  serverErrorRate: number | null;
  /** In milliseconds. */
  avgResponseTime: number | null;
  activeSessions: number | null;
  /** In bytes. */
  dataProcessed: number | null;
  totalRequests: number | null;
  totalErrors: number | null;
  lastUpdate: string | null;
  epoch?: number;
  as_of?: string;
}

export type ComponentStatus = 'ok' | 'warn' | 'down' | 'starting';

export interface Health {
  status: 'ok' | 'degraded' | 'down';
  uptime_seconds: number | null;
  version: string | null;
  components: { name: string; status: ComponentStatus; detail: string | null }[];
}

export interface LogRow {
  id: string | number | null;
  timestamp: string | null;
  level: string | null;
  source: string | null;
  message: string | null;
  ip: string | null;
  method: string | null;
  status: number | null;
  responseTime: number | null;
  endpoint: string | null;
  userId: string | null;
  sessionId: string | null;
}

/** The counts are those of this one frame: matched = shown + dropped. */
export interface TailFrame {
  epoch: number;
  rows: LogRow[];
  matched: number;
  shown: number;
  dropped: number;
}

export interface Heartbeat {
  epoch: number;
  as_of: string;
  server_time: string;
}

export type StreamEvent =
  | { type: 'snapshot'; data: SnapshotFrame }
  | { type: 'changes'; data: ChangesFrame }
  | { type: 'reset'; data: SnapshotFrame }
  | { type: 'metrics'; data: Metrics }
  | { type: 'health'; data: Health }
  | { type: 'tail'; data: TailFrame }
  | { type: 'heartbeat'; data: Heartbeat }
  | { type: 'bye'; data: { reason?: string } };

const KNOWN = new Set(['snapshot', 'changes', 'reset', 'metrics', 'health', 'tail', 'heartbeat', 'bye']);

/** Read one frame. A newer server may send kinds this page does not know; those are `null`. */
export function parseFrame(type: string | undefined, data: string): StreamEvent | null {
  if (type === undefined || !KNOWN.has(type)) return null;
  return { type, data: JSON.parse(data) } as StreamEvent;
}

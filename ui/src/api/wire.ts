/**
 * The shapes that travel on the stream.
 *
 * Every frame is a case of `StreamEvent`, so whoever asks "what can arrive here?" reads that union. The server is trusted
 * to keep the shapes of frames, but not to fill every number: whatever may be missing is `null` here. Rows belong to
 * whichever dataflow runs, so they stay open records. Answers of the API are described by `schema.d.ts`, which is generated.
 */
import type { components } from './schema';

export type Schemas = components['schemas'];
export type Pipeline = Schemas['Pipeline'];
export type Row = Readonly<Record<string, unknown>>;

export interface Column {
  name: string;
  type: string;
}

export interface SnapshotFrame {
  view: string;
  epoch: number;
  as_of: string;
  /** The run of the pipeline that the epoch is of. */
  generation: number;
  where?: string;
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
  generation: number;
  where?: string;
  changes: Change[];
  /** How many epochs the server folded into this frame. */
  conflated?: number;
}

export interface Metrics {
  eventsPerSec: number | null;
  /** In percent: records with a status of 400 or more. */
  errorRate: number | null;
  serverErrorRate: number | null;
  /** In milliseconds. */
  avgResponseTime: number | null;
  p95ResponseTime?: number | null;
  bytesPerSec?: number | null;
  requestsLastMinute?: number | null;
  activeSessions: number | null;
  totalRequests: number | null;
  /** Bytes read from all sources, ever. */
  dataProcessed?: number | null;
  totalErrors: number | null;
  lastUpdate: string | null;
  epoch?: number;
  as_of?: string;
  /** Members above for which the dataflow has no view or column, so that they are never known. */
  not_counted?: string[];
}

/** A record of the log, with the values of the columns that were asked for. */
export interface LogRow {
  /** Its place: `<partition>-<offset>`. */
  id: string;
  timestamp: string | null;
  level: string | null;
  values: Row;
}

/** The counts are those of this one frame: matched = shown + dropped. */
export interface TailFrame {
  topic: string;
  epoch: number;
  rows: LogRow[];
  matched: number;
  shown: number;
  dropped: number;
  /** The filter the server applied. */
  where?: string;
  /** Records the filter could not look at, because they came too fast to be kept. */
  unseen?: number;
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
  | { type: 'pipeline'; data: Pipeline }
  | { type: 'tail'; data: TailFrame }
  | { type: 'heartbeat'; data: Heartbeat }
  | { type: 'bye'; data: { reason?: string } };

const KNOWN = new Set(['snapshot', 'changes', 'reset', 'metrics', 'pipeline', 'tail', 'heartbeat', 'bye']);

/** Read one frame. A newer server may send kinds this page does not know; those are `null`. */
export function parseFrame(type: string | undefined, data: string): StreamEvent | null {
  if (type === undefined || !KNOWN.has(type)) return null;
  return { type, data: JSON.parse(data) } as StreamEvent;
}

/** Which topic a frame belongs to, from its first field; `null` if it concerns everyone. */
export function topicOf(type: string, data: string): string | null {
  if (type === 'metrics' || type === 'pipeline') return type;
  const [, field, name] = /^\{"(view|topic)":("(?:[^"\\]|\\.)*")/.exec(data) ?? [];
  if (field === undefined || name === undefined) return null;
  const text = JSON.parse(name) as string;
  return field === 'view' ? `view:${text}` : text;
}

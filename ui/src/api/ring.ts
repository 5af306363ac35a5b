/**
 * The newest records of a log, in columns, never more than a fixed number.
 *
 * A hundred thousand records as objects would be millions of small things for the collector; here they are a few long
 * arrays, made once. Each record has a number in order of arrival, so a reader who pauses only remembers a number.
 * What the server left out is counted, never hidden.
 */
import type { LogRow, TailFrame } from './wire';

export const RING_ROWS_MAX = 100_000;
/** Texts that repeat are kept once; beyond so many different ones the table starts anew. */
const TEXTS_MAX = 20_000;
/** After a reconnection, a record is looked for among so many of the newest. */
const REPEATS_WITHIN = 2_000;

export interface Counts {
  /** Records that came since the ring was made. */
  received: number;
  matched: number;
  dropped: number;
  unseen: number;
}

export class Ring {
  readonly size: number;
  counts: Counts = { received: 0, matched: 0, dropped: 0, unseen: 0 };
  /** The filter the server applied, as it says itself; `null` before the first frame. */
  where: string | null = null;
  private readonly time: Float64Array;
  private readonly partition: Int32Array;
  private readonly offset: Float64Array;
  private readonly status: Int16Array;
  private readonly responseTime: Float32Array;
  private readonly message: (string | null)[];
  private readonly texts: Record<'level' | 'source' | 'method' | 'endpoint' | 'ip', (string | null)[]>;
  private known = new Map<string, string>();

  constructor(size = RING_ROWS_MAX) {
    this.size = size;
    this.time = new Float64Array(size);
    this.partition = new Int32Array(size);
    this.offset = new Float64Array(size);
    this.status = new Int16Array(size);
    this.responseTime = new Float32Array(size);
    const texts = () => new Array<string | null>(size).fill(null);
    this.message = texts();
    this.texts = { level: texts(), source: texts(), method: texts(), endpoint: texts(), ip: texts() };
  }

  /** Number of the oldest record still there; numbers go from 1 to `counts.received`. */
  get oldest(): number {
    return Math.max(1, this.counts.received - this.size + 1);
  }

  get length(): number {
    return Math.min(this.counts.received, this.size);
  }

  /** Take in a frame. With `rejoined`, records that are already there are left out. */
  append(frame: TailFrame, rejoined: boolean): void {
    const rows = rejoined ? this.withoutRepeats(frame.rows) : [...frame.rows];
    rows.sort((a, b) => compareText(a.timestamp ?? '', b.timestamp ?? ''));
    for (const row of rows) this.push(row);
    this.where = frame.where ?? '';
    this.counts = {
      received: this.counts.received,
      matched: this.counts.matched + Math.max(0, frame.matched - (frame.rows.length - rows.length)),
      dropped: this.counts.dropped + frame.dropped,
      unseen: this.counts.unseen + (frame.unseen ?? 0),
    };
  }

  /** The record of a number, or `null` if it has gone or has not come. */
  read(number: number): LogRow | null {
    if (number < this.oldest || number > this.counts.received) return null;
    const at = (number - 1) % this.size;
    const time = this.time[at] ?? Number.NaN;
    const { level, source, method, endpoint, ip } = this.texts;
    const status = this.status[at] ?? 0;
    const responseTime = this.responseTime[at] ?? Number.NaN;
    return {
      id: `${this.partition[at]}-${this.offset[at]}`,
      timestamp: Number.isNaN(time) ? null : new Date(time).toISOString(),
      level: level[at] ?? null,
      message: this.message[at] ?? null,
      source: source[at] ?? null,
      method: method[at] ?? null,
      endpoint: endpoint[at] ?? null,
      ip: ip[at] ?? null,
      status: status === 0 ? null : status,
      responseTime: Number.isNaN(responseTime) ? null : responseTime,
    };
  }

  private push(row: LogRow): void {
    const at = this.counts.received % this.size;
    const [partition = '0', offset = '0'] = row.id.split(/-(.*)/);
    this.time[at] = row.timestamp === null ? Number.NaN : Date.parse(row.timestamp);
    this.partition[at] = Number(partition);
    this.offset[at] = Number(offset);
    this.status[at] = row.status ?? 0;
    this.responseTime[at] = row.responseTime ?? Number.NaN;
    // Hardly two are alike.
    this.message[at] = row.message;
    this.texts.level[at] = this.once(row.level);
    this.texts.source[at] = this.once(row.source);
    this.texts.method[at] = this.once(row.method);
    this.texts.endpoint[at] = this.once(row.endpoint);
    this.texts.ip[at] = this.once(row.ip);
    this.counts = { ...this.counts, received: this.counts.received + 1 };
  }

  /** The same text as one object, however often it comes. */
  private once(text: string | null): string | null {
    if (text === null) return null;
    const known = this.known.get(text);
    if (known !== undefined) return known;
    if (this.known.size >= TEXTS_MAX) this.known = new Map();
    this.known.set(text, text);
    return text;
  }

  private withoutRepeats(rows: readonly LogRow[]): LogRow[] {
    const there = new Set<string>();
    const from = Math.max(this.oldest, this.counts.received - REPEATS_WITHIN);
    for (let number = from; number <= this.counts.received; number++) {
      const at = (number - 1) % this.size;
      there.add(`${this.partition[at]}-${this.offset[at]}`);
    }
    return rows.filter(({ id }) => !there.has(id));
  }
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

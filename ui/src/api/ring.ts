/**
 * The newest records of a log, in columns, never more than a fixed number.
 *
 * A hundred thousand records as objects would be millions of small things for the collector; here they are a few long
 * arrays, one for each column that came. Each record has a number in order of arrival, so a reader who pauses only remembers a number.
 * What the server left out is counted, never hidden.
 */
import type { LogRow, TailFrame } from './wire';

export const RING_ROWS_MAX = 100_000;
/** Texts that repeat are kept once; beyond so many different ones the table starts anew. */
const TEXTS_MAX = 20_000;
/** Longer texts hardly repeat. */
const TEXT_CHARS_MAX = 200;
/** After a reconnection, a record is looked for among so many of the newest. */
const REPEATS_WITHIN = 2_000;

export interface Counts {
  /** Records that came since the ring was made. */
  received: number;
  matched: number;
  dropped: number;
  unseen: number;
}

const HAS_NOTHING = 0;
const HAS_NULL = 1;
const HAS_NUMBER = 2;
const HAS_OTHER = 3;

/** One column of all records: numbers as long as nothing else came. What a record lacks is `undefined` in it. */
class Column {
  private readonly size: number;
  private readonly has: Uint8Array;
  private numbers: Float64Array | null = null;
  private others: unknown[] | null = null;

  constructor(size: number) {
    this.size = size;
    this.has = new Uint8Array(size);
  }

  set(at: number, value: unknown): void {
    if (this.others !== null) this.others[at] = undefined;
    if (value === undefined || value === null) {
      this.has[at] = value === null ? HAS_NULL : HAS_NOTHING;
    } else if (typeof value === 'number') {
      this.numbers ??= new Float64Array(this.size);
      this.numbers[at] = value;
      this.has[at] = HAS_NUMBER;
    } else {
      this.others ??= new Array(this.size).fill(undefined);
      this.others[at] = value;
      this.has[at] = HAS_OTHER;
    }
  }

  get(at: number): unknown {
    switch (this.has[at]) {
      case HAS_NULL:
        return null;
      case HAS_NUMBER:
        return this.numbers?.[at];
      case HAS_OTHER:
        return this.others?.[at];
      default:
        return undefined;
    }
  }
}

export class Ring {
  readonly size: number;
  counts: Counts = { received: 0, matched: 0, dropped: 0, unseen: 0 };
  /** The filter the server applied, as it says itself; `null` before the first frame. */
  where: string | null = null;
  private readonly time: Float64Array;
  private readonly partition: Int32Array;
  private readonly offset: Float64Array;
  /** Whatever else records have, by name, in the order in which it first came. */
  private readonly columns = new Map<string, Column>();
  private readonly level: Column;
  private known = new Map<string, string>();

  constructor(size = RING_ROWS_MAX) {
    this.size = size;
    this.time = new Float64Array(size);
    this.partition = new Int32Array(size);
    this.offset = new Float64Array(size);
    this.level = new Column(size);
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
    const values: Record<string, unknown> = {};
    for (const [name, column] of this.columns) {
      const value = column.get(at);
      if (value !== undefined) values[name] = value;
    }
    return {
      id: `${this.partition[at]}-${this.offset[at]}`,
      timestamp: Number.isNaN(time) ? null : new Date(time).toISOString(),
      level: (this.level.get(at) as string | null | undefined) ?? null,
      values,
    };
  }

  /** The id of the record of a number, if it is there. */
  idAt(number: number): string | null {
    if (number < this.oldest || number > this.counts.received) return null;
    const at = (number - 1) % this.size;
    return `${this.partition[at]}-${this.offset[at]}`;
  }

  private push({ id, timestamp, level, values }: LogRow): void {
    const at = this.counts.received % this.size;
    const [partition = '0', offset = '0'] = id.split(/-(.*)/);
    this.time[at] = timestamp === null ? Number.NaN : Date.parse(timestamp);
    this.partition[at] = Number(partition);
    this.offset[at] = Number(offset);
    this.level.set(at, this.once(level));
    // What stood here belonged to the record that goes.
    for (const [name, column] of this.columns) column.set(at, this.once(values[name]));
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined || this.columns.has(name)) continue;
      const column = new Column(this.size);
      column.set(at, this.once(value));
      this.columns.set(name, column);
    }
    this.counts = { ...this.counts, received: this.counts.received + 1 };
  }

  /** The same text as one object, however often it comes. */
  private once(text: unknown): unknown {
    if (typeof text !== 'string' || text.length > TEXT_CHARS_MAX) return text;
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

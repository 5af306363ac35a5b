/**
 * The newest records of the live list, newest first, never more than a fixed number.
 *
 * Each record gets a number in order of arrival, so a reader who pauses or clears the list only has to
 * remember a number. What the server left out is counted, never hidden.
 */
import type { LogRow, TailFrame } from './wire';

export const TAIL_ROWS_MAX = 1000;

export interface TailRow extends LogRow {
  /** The order of arrival on this page, from 1. */
  seq: number;
}

export interface Tail {
  rows: readonly TailRow[];
  /** Records that reached this page since it was opened. */
  received: number;
  matched: number;
  dropped: number;
}

export const emptyTail: Tail = { rows: [], received: 0, matched: 0, dropped: 0 };

/**
 * Put the rows of one frame on top. With `rejoined`, the first frame after a reconnection, rows that are
 * already in the list are left out, for the server may start its tail with records it has sent before.
 */
export function append(tail: Tail, frame: TailFrame, rejoined: boolean): Tail {
  const known = rejoined ? new Set(tail.rows.map(({ id }) => id)) : null;
  const fresh = known ? frame.rows.filter(({ id }) => id === null || !known.has(id)) : [...frame.rows];
  fresh.sort((a, b) => compareText(a.timestamp ?? '', b.timestamp ?? ''));
  const numbered = fresh.map((row, index) => ({ ...row, seq: tail.received + index + 1 })).reverse();
  const repeated = frame.rows.length - fresh.length;
  return {
    rows: [...numbered, ...tail.rows].slice(0, TAIL_ROWS_MAX),
    received: tail.received + fresh.length,
    matched: tail.matched + Math.max(0, (frame.matched ?? frame.rows.length) - repeated),
    dropped: tail.dropped + (frame.dropped ?? 0),
  };
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

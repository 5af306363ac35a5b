/**
 * Folds the changes of a view into its snapshot.
 *
 * A view is a multiset of rows at one epoch. Changes carry a signed `diff`; a row whose count reaches zero
 * is gone. The fold is pure, and an epoch already seen changes nothing, so a resumed stream may repeat
 * itself without harm.
 */
import type { ChangesFrame, Column, Row, SnapshotFrame } from './wire';

export interface Snapshot {
  epoch: number;
  asOf: string;
  /** The run of the pipeline that the epoch is of; another one may have cut its epochs otherwise. */
  generation: number;
  columns: readonly Column[];
  /** The filter it was made with, as the server applied it. */
  where: string | undefined;
  /** By the values of the row. A count below zero waits for its insertion and is not shown. */
  rows: ReadonlyMap<string, { row: Row; count: number }>;
}

/** A snapshot from a `snapshot` or `reset` frame: whatever was known before is replaced. */
export function snapshotOf(frame: SnapshotFrame): Snapshot {
  const rows = new Map<string, { row: Row; count: number }>();
  for (const row of frame.rows) add(rows, frame.columns, row, 1);
  const { epoch, as_of: asOf, generation, columns, where } = frame;
  return { epoch, asOf, generation, columns, where, rows };
}

/** Fold one frame of changes into a snapshot. */
export function fold(snapshot: Snapshot, frame: ChangesFrame): Snapshot {
  if (frame.epoch <= snapshot.epoch) return snapshot;
  const next = { ...snapshot, epoch: frame.epoch, asOf: frame.as_of };
  if (frame.changes.length === 0) return next;
  const rows = new Map(snapshot.rows);
  for (const { row, diff } of frame.changes) add(rows, snapshot.columns, row, diff);
  return { ...next, rows };
}

/** The rows a reader sees; a row that counts three times is seen three times. */
export function rowsOf(snapshot: Snapshot): Row[] {
  const seen: Row[] = [];
  for (const { row, count } of snapshot.rows.values()) {
    for (let copy = 0; copy < count; copy++) seen.push(row);
  }
  return seen;
}

function add(
  rows: Map<string, { row: Row; count: number }>,
  columns: readonly Column[],
  row: Row,
  diff: number,
): void {
  // Values in column order, so that two spellings of the same row meet.
  const key = JSON.stringify(columns.map(({ name }) => row[name] ?? null));
  const count = (rows.get(key)?.count ?? 0) + diff;
  if (count === 0) rows.delete(key);
  else rows.set(key, { row, count });
}

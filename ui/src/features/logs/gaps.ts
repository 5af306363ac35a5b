/** Records in the order of time with what lies between them: a gap that is long enough is told. */
import type { LogRow } from '../../api/wire';
import { formatLength } from '../../shared/format';
import type { Note } from './VirtualLines';

/** Shorter gaps are not told. */
const GAP_LEAST_MS = 30_000;

export function withGaps(rows: readonly LogRow[]): (LogRow | Note)[] {
  const entries: (LogRow | Note)[] = [];
  let before: number | null = null;
  for (const row of rows) {
    const at = row.timestamp === null ? null : Date.parse(row.timestamp);
    if (at !== null && before !== null && at - before >= GAP_LEAST_MS)
      entries.push({ note: `${formatLength(at - before)} later` });
    entries.push(row);
    before = at ?? before;
  }
  return entries;
}

/**
 * The newest stored matches below a live list, so that it does not begin empty. Records that are, or come, in the live list are
 * not among them, whichever of both knew them first.
 */
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { answerOf, api } from '../../api/client';
import type { Ring } from '../../api/ring';
import type { LogRow } from '../../api/wire';

const OLDER_ROWS = 500;

/** What the list below a ring has to know of it. */
export type Above = Pick<Ring, 'idAt' | 'read' | 'oldest'>;

/** Follows a ring: at each look, only what came since is looked at. */
export class Older {
  private rows: LogRow[];
  private readonly ids: Map<string, LogRow>;
  private seen = 0;
  private isBelow = false;

  constructor(rows: readonly LogRow[]) {
    this.rows = [...rows];
    this.ids = new Map(rows.map(row => [row.id, row]));
  }

  /** What lies below the records of the ring up to the one numbered `top`; a list that is held asks for the same again. */
  below(ring: Above, top: number): readonly LogRow[] {
    if (top <= this.seen) return this.rows;
    // Records that left the ring have left the list; what is older than they are goes with them.
    if (ring.oldest > 1) this.rows = [];
    if (this.rows.length === 0) return this.rows;
    if (!this.isBelow) {
      this.isBelow = true;
      const oldest = ring.read(1)?.timestamp ?? null;
      // What lies between is known to the ring, which has counted it as left out.
      if (oldest !== null)
        this.keep(({ timestamp }) => timestamp === null || Date.parse(timestamp) <= Date.parse(oldest));
    }
    const gone = new Set<string>();
    for (let number = this.seen + 1; number <= top; number++) {
      const id = ring.idAt(number);
      if (id !== null && this.ids.has(id)) gone.add(id);
    }
    this.seen = top;
    if (gone.size > 0) this.keep(({ id }) => !gone.has(id));
    return this.rows;
  }

  private keep(is: (row: LogRow) => boolean): void {
    this.rows = this.rows.filter(is);
  }
}

/** `null` while they are asked for. */
export function useOlder(where: string, columns: string, ring: Above, top: number): readonly LogRow[] | null {
  const { data, isPending } = useQuery({
    queryKey: ['newest records', where, columns],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/logs/newest', {
          params: { query: { limit: String(OLDER_ROWS), columns, ...(where ? { where } : {}) } },
          signal,
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
    // A list that is shown again begins with what is the newest then.
    gcTime: 0,
  });
  const older = useMemo(() => new Older((data?.rows ?? []) as unknown as LogRow[]), [data]);
  return isPending ? null : older.below(ring, top);
}

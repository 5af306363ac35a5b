/** The ranges of time that were looked at, so that a change of them can be undone. */
import type { RangeSearch } from './search';

export interface Trail {
  /** The range that is looked at now. */
  follow(range: RangeSearch): void;
  canUndo(): boolean;
  /** The range before this one, which is left; `null` if there is none. */
  undo(): RangeSearch | null;
  subscribe(reader: () => void): () => void;
}

const KEPT_MAX = 50;

export function createTrail(): Trail {
  let current: RangeSearch | null = null;
  let before: RangeSearch[] = [];
  const readers = new Set<() => void>();
  const tell = () => {
    for (const reader of readers) reader();
  };
  return {
    follow(range) {
      if (current !== null && isSame(current, range)) return;
      if (current !== null) before = [...before, current].slice(-KEPT_MAX);
      current = range;
      tell();
    },
    canUndo: () => before.length > 0,
    undo() {
      const last = before.at(-1);
      if (last === undefined) return null;
      before = before.slice(0, -1);
      current = last;
      tell();
      return last;
    },
    subscribe(reader) {
      readers.add(reader);
      return () => readers.delete(reader);
    },
  };
}

function isSame(a: RangeSearch, b: RangeSearch): boolean {
  return a.range === b.range && a.from === b.from && a.to === b.to;
}

/** The queries this browser ran, newest first. They stay in it. */
export interface PastQuery {
  query: string;
  at_ms: number;
  took_ms: number;
  rows: number;
}

const KEY = 'tidelake.queries';
const KEPT = 50;

export function pastQueries(): PastQuery[] {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

export function remember(entry: PastQuery): void {
  const others = pastQueries().filter(({ query }) => query !== entry.query);
  localStorage.setItem(KEY, JSON.stringify([entry, ...others].slice(0, KEPT)));
}

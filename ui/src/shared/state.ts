/**
 * The states a panel can be in, decided in one place.
 *
 * An error never removes data. A panel that has rows keeps them, dims them and says of when they are; only a panel that
 * never had any shows the error in their place.
 */
import type { Link } from '../api/link';

export type PanelState =
  | { name: 'loading' }
  | { name: 'empty' }
  | { name: 'live' }
  | { name: 'frozen'; asOf: string | null }
  | { name: 'stale'; asOf: string | null }
  | { name: 'error'; asOf: string | null; cause: string; hint?: string };

/** `items` is how many things the panel could show, or `null` as long as it was told nothing. */
export function panelState(
  link: Link,
  items: number | null,
  asOf: string | null,
  frozen = false,
): PanelState {
  switch (link.status) {
    case 'reconnecting':
      return { name: 'error', asOf: items === null ? null : asOf, cause: link.cause };
    case 'stale':
      return items === null ? { name: 'loading' } : { name: 'stale', asOf };
    case 'connecting':
    case 'live':
      if (items === null) return { name: 'loading' };
      if (frozen) return { name: 'frozen', asOf };
      return items === 0 ? { name: 'empty' } : { name: 'live' };
  }
}

/** The same for what was asked of the API once, and is kept while it is asked again. */
export function answerState(
  query: { data: unknown; error: Error | null; dataUpdatedAt: number },
  items: number | null,
): PanelState {
  const asOf = query.dataUpdatedAt === 0 ? null : new Date(query.dataUpdatedAt).toISOString();
  if (query.error !== null) {
    const hint = 'hint' in query.error ? String(query.error.hint) : '';
    return { name: 'error', asOf: query.data === undefined ? null : asOf, cause: query.error.message, hint };
  }
  if (items === null || query.data === undefined) return { name: 'loading' };
  return items === 0 ? { name: 'empty' } : { name: 'live' };
}

/**
 * The five states a panel can be in, decided in one place.
 *
 * An error never removes data. A panel that has rows keeps them, dims them and says of when they are; only a
 * panel that never had any shows the error in their place.
 */
import type { Link } from '../api/link';

export type PanelState =
  | { name: 'loading' }
  | { name: 'empty' }
  | { name: 'live' }
  | { name: 'stale'; asOf: string | null }
  | { name: 'error'; asOf: string | null; cause: string };

/** `items` is how many things the panel could show, or `null` as long as it was told nothing. */
export function panelState(link: Link, items: number | null, asOf: string | null): PanelState {
  switch (link.status) {
    case 'reconnecting':
      return { name: 'error', asOf: items === null ? null : asOf, cause: link.cause };
    case 'stale':
      return items === null ? { name: 'loading' } : { name: 'stale', asOf };
    case 'connecting':
    case 'live':
      if (items === null) return { name: 'loading' };
      return items === 0 ? { name: 'empty' } : { name: 'live' };
  }
}

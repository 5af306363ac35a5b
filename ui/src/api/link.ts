/**
 * What a person can know about the connection, and when it changes.
 *
 * The server says something at least every two seconds. Two missed heartbeats make the page stale, four
 * make it give up the connection. Between attempts the page waits a random time below a doubling bound, so
 * that many pages do not return at once to a server that just came back.
 */

export type Link =
  | { status: 'connecting' }
  | { status: 'live' }
  | { status: 'stale'; since_ms: number }
  /** `retryAt_ms` is null while an attempt is on its way. */
  | { status: 'reconnecting'; cause: string; retryAt_ms: number | null };

const HEARTBEAT_MS = 2_000;
// Half a second of slack: a heartbeat that is merely late is not missed.
export const STALE_AFTER_MS = 2 * HEARTBEAT_MS + 500;
export const DEAD_AFTER_MS = 4 * HEARTBEAT_MS + 500;

const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15_000;

/** How long to wait before attempt number `attempt`, counted from 0; `random` is in 0..1. */
export function backoff_ms(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
}

/** What a silence of this length says about an open connection. */
export function judgeSilence(silent_ms: number): 'live' | 'stale' | 'dead' {
  if (silent_ms >= DEAD_AFTER_MS) return 'dead';
  return silent_ms >= STALE_AFTER_MS ? 'stale' : 'live';
}

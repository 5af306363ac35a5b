/**
 * How components reach the live state: one store and one stream for the page, handed down by context.
 */
import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from 'react';
import type { LiveState } from '../api/state';
import type { Store } from '../api/store';
import type { Live } from '../api/stream';

const LiveContext = createContext<{ store: Store; live: Live } | null>(null);

export function LiveProvider({ store, live, children }: { store: Store; live: Live; children: ReactNode }) {
  const [value] = useState({ store, live });
  return <LiveContext value={value}>{children}</LiveContext>;
}

/** A part of the live state. The component draws again only when that very part was replaced. */
export function useLive<Part>(select: (state: LiveState) => Part): Part {
  const { store } = useContextValue();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}

/** The stream, for what a person can ask of it. */
export function useStream(): Live {
  return useContextValue().live;
}

/**
 * When everything on the page was last known to be right, or `null` while that is now. A view that did not
 * change for an hour is still right as of the newest epoch, so all panels share this one time.
 */
export function useLastFresh(): string | null {
  return useLive(state => (state.link.status === 'live' ? null : (state.fresh?.asOf ?? null)));
}

/** The local time, renewed at this interval. */
export function useNow(every_ms: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every_ms);
    return () => clearInterval(timer);
  }, [every_ms]);
  return now;
}

export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    reader => {
      const list = window.matchMedia(query);
      list.addEventListener('change', reader);
      return () => list.removeEventListener('change', reader);
    },
    () => window.matchMedia(query).matches,
  );
}

function useContextValue() {
  const value = useContext(LiveContext);
  if (value === null) throw new Error('a live component is used outside of LiveProvider');
  return value;
}

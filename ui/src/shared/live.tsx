/**
 * How components reach the stream: one store and one connection for the page, handed down by context.
 */
import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from 'react';
import { rowsOf, type Snapshot } from '../api/fold';
import type { Live } from '../api/live';
import type { Ring } from '../api/ring';
import type { LiveState } from '../api/state';
import type { Topic } from '../api/topics';
import type { Row } from '../api/wire';
import { formatDateTime } from './format';

const LiveContext = createContext<Live | null>(null);

export function LiveProvider({ live, children }: { live: Live; children: ReactNode }) {
  return <LiveContext value={live}>{children}</LiveContext>;
}

export function useStream(): Live {
  const live = useContext(LiveContext);
  if (live === null) throw new Error('a live component is used outside of LiveProvider');
  return live;
}

/** A part of the live state. The component draws again only when that very part was replaced. */
export function useLive<Part>(select: (state: LiveState) => Part): Part {
  const { store } = useStream();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}

export function useFrozen(): boolean {
  const { store } = useStream();
  return useSyncExternalStore(store.subscribe, store.isFrozen);
}

/** Keep a topic of the stream coming while the component is there. */
export function useTopic(name: string | null, where?: string, columns?: string): void {
  const live = useStream();
  useEffect(() => {
    if (name === null) return;
    return live.want(topicOf(name, where, columns));
  }, [live, name, where, columns]);
}

function topicOf(name: string, where?: string, columns?: string): Topic {
  return { name, ...(where ? { where } : {}), ...(columns === undefined ? {} : { columns }) };
}

/** The rows of a live view, or `null` before they came. */
export function useView(view: string | null, where?: string): { snapshot: Snapshot; rows: Row[] } | null {
  useTopic(view === null ? null : `view:${view}`, where);
  const snapshot = useLive(state => (view === null ? undefined : state.views.get(view)));
  return useMemo(() => (snapshot === undefined ? null : { snapshot, rows: rowsOf(snapshot) }), [snapshot]);
}

/** Whether the dataflow has no such view, as the server said when it was asked for. */
export function useIsMissing(view: string): boolean {
  return useLive(state => state.missing.has(view));
}

/** The records of the log that match a filter, with these columns or all; draws again when some came. */
export function useTail(where: string, columns?: string): Ring {
  const live = useStream();
  useTopic('tail', where, columns);
  useLive(state => state.tailed);
  return live.ring(topicOf('tail', where, columns));
}

/** When everything on the page was last known to be right, or `null` while that is now. */
export function useLastFresh(): string | null {
  return useLive(state => (state.link.status === 'live' ? null : (state.fresh?.asOf ?? null)));
}

/** The server's time, renewed at this interval. */
export function useNow(every_ms: number): number {
  const offset_ms = useLive(state => state.clockOffset_ms);
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every_ms);
    return () => clearInterval(timer);
  }, [every_ms]);
  return now + offset_ms;
}

/** The date of now, as `2026-03-01`. */
export function useToday(): string {
  return formatDateTime(useNow(60_000)).slice(0, 10);
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

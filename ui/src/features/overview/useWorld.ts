/**
 * Feeds the model of the world from the stream, once a second, for as long as the page is there. It is kept beside the
 * pages, so that what is told does not begin anew when one looks at another page and comes back.
 */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { answerOf, api } from '../../api/client';
import type { Row } from '../../api/wire';
import { incidentsOf } from '../../shared/incidents';
import { useFrozen, useLive, useNow, useView } from '../../shared/live';
import { nowOf, type Page } from '../../shared/page';
import { useDetectors, useIncidents, useRuleViews } from '../../shared/useDetectors';
import { usePage } from '../../shared/usePage';
import { tilesFrom } from './figures';
import { windowOf } from './model';
import { slowOf } from './rates';
import { keyedOf, type Rows, recentOf, type Sample, sampled } from './seconds';
import { BEFORE, follow, type Observed, type World } from './world';

const EVERY_MS = 1_000;
const HISTORY_EVERY_MS = 30_000;
/** While its newest step has no value, or nothing is expected of it, as while records are still being read. */
const YOUNG_EVERY_MS = 3_000;
const HOUR_MS = 3_600_000;

const NONE: Observed['detected'] = [];

let world: World = BEFORE;
let samples: readonly Sample[] = [];
const readers = new Set<() => void>();

/** The world as it is told now. */
export function useWorld(): World {
  return useSyncExternalStore(subscribe, () => world);
}

function subscribe(reader: () => void): () => void {
  readers.add(reader);
  return () => void readers.delete(reader);
}

/** Watches the world; draws nothing, so that nothing is drawn again for it. */
export function Watch(): null {
  const pipeline = useLive(state => state.pipeline);
  const metrics = useLive(state => state.metrics);
  const isLive = useLive(state => state.link.status === 'live');
  const frozen = useFrozen();
  const rules = useRuleViews();
  const rule = rules?.[0] ?? null;
  const view = useView(rule?.name ?? null, rule?.alarms ?? undefined);
  const hasRules = rules === null || rule !== null;
  const history = useHistoryOfNow();
  const page = usePage();
  const row = useNewestRow(page);
  const now_ms = useNow(EVERY_MS);
  const main = useView(page?.main?.view ?? null);
  const keyed = useView(keyedOf(page)?.view ?? null);
  const spread = useView(page?.spread?.view ?? null);
  const incidents = useMemo(
    () => (view === null || rule === null ? null : incidentsOf(rule, view.rows, now_ms)),
    [view, rule, now_ms],
  );
  const detectors = useDetectors();
  const { data: found } = useIncidents(detectors);
  const detected = detectors?.length === 0 ? NONE : (found?.incidents ?? null);
  // Of whole windows it is known late, and detectors judge these.
  const now = page?.now == null || row === null ? null : nowOf(page.now, row);
  const observed: Omit<Observed, 'recent'> = {
    now_ms,
    pipeline,
    metrics,
    page,
    now,
    history,
    incidents,
    hasRules,
    detected,
  };
  const rows = { main: main?.rows ?? [], keyed: keyed?.rows ?? [], spread: spread?.rows ?? [] };
  const newest = useRef({ observed, rows });
  newest.current = { observed, rows };
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each moment and each picture of the pipeline.
  useEffect(() => {
    // What is not live is no news.
    if (!isLive || frozen) return;
    const { observed, rows } = newest.current;
    samples = sampled(samples, observed.page, rows, observed.now_ms);
    world = follow(world, { ...observed, recent: recentNow(observed, rows) });
    for (const reader of readers) reader();
  }, [now_ms, pipeline, isLive, frozen]);
  return null;
}

function recentNow({ page, history }: Omit<Observed, 'recent'>, rows: Rows) {
  if (page === null) return null;
  const slow = slowOf(page, history);
  const limit = slow === null ? null : { statistic: slow.column.statistic, limit: slow.limit };
  return recentOf(samples, page, rows, history, limit);
}

/** The row that the tiles are of: of the newest seconds, else of the newest whole window. */
export function useNewestRow(page: Page | null): Row | null {
  const from = page === null ? null : tilesFrom(page);
  const view = useView(from?.view ?? null);
  return useMemo(() => {
    const rows = view?.rows ?? [];
    const time = from?.time;
    if (time == null) return rows[0] ?? null;
    const sorted = [...rows].sort((a, b) => (windowOf(a, time) ?? 0) - (windowOf(b, time) ?? 0));
    // The newest one is still filling.
    return sorted.at(-2) ?? sorted.at(-1) ?? null;
  }, [view, from?.time]);
}

/** The last hour, whatever the page looks at. */
export function useHistoryOfNow() {
  const offset_ms = useLive(state => state.clockOffset_ms);
  const { data } = useQuery({
    queryKey: ['history of now'],
    queryFn: ({ signal }) => {
      const from = String(Date.now() + offset_ms - HOUR_MS);
      return answerOf(api.GET('/api/v1/history', { params: { query: { from, step: '60' } }, signal }));
    },
    // A dataflow without such a view will not get one.
    refetchInterval: ({ state }) => {
      if (state.error !== null) return false;
      const { overall = {}, expected = {} } = state.data ?? {};
      const isYoung =
        Object.values(overall).every(it => it.at(-2) == null) ||
        Object.values(expected).every(it => it.high.at(-2) == null);
      return isYoung ? YOUNG_EVERY_MS : HISTORY_EVERY_MS;
    },
  });
  return data ?? null;
}

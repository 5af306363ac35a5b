/**
 * Reading and changing the state in the address, from any component, whichever page it is on.
 */
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useEffect, useMemo, useSyncExternalStore } from 'react';
import { answerOf, api } from '../api/client';
import { useNow } from './live';
import { type Extent, type RangeSearch, type Search, type Span, shifted, spanOf, zoomedOut } from './search';
import { createTrail, type Trail } from './trail';

export type Page = '/' | '/logs' | '/query' | '/anomalies' | '/pipeline' | '/boards' | '/reports';

export function useUrl(): Search {
  return useSearch({ strict: false }) as Search;
}

/** Change parts of the state; `undefined` removes one. Another page keeps the range and nothing else unless told. */
export function useGo(): (change: Search, page?: Page) => void {
  const navigate = useNavigate();
  return useCallback(
    (change, page) => {
      void navigate({
        to: page ?? '.',
        search: ((old: Search) => {
          const kept = page === undefined ? old : rangeOf(old);
          const next = { ...kept, ...change };
          return Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined));
        }) as never,
      });
    },
    [navigate],
  );
}

export function rangeOf({ range, from, to }: Search): Search {
  return Object.fromEntries(
    Object.entries({ range, from, to }).filter(([, value]) => value !== undefined),
  ) as Search;
}

const EXTENT_EVERY_MS = 60_000;
/** Records come at any moment after a start. */
const EXTENT_FIRST_EVERY_MS = 5_000;

/** From when to when there are records. */
export function useExtent(): Extent {
  const { data } = useQuery({
    queryKey: ['extent'],
    queryFn: async (): Promise<Extent> => {
      const { from, to } = await answerOf(api.GET('/api/v1/logs/extent'));
      return from == null || to == null ? null : { from: Date.parse(from), to: Date.parse(to) };
    },
    staleTime: EXTENT_EVERY_MS,
    refetchInterval: ({ state }) => (state.data ? EXTENT_EVERY_MS : EXTENT_FIRST_EVERY_MS),
    // Equal extents are one object, so that what depends on them does not begin anew.
    structuralSharing: true,
  });
  return data ?? null;
}

/** The times looked at; an open range moves on at every `every_ms`. */
export function useSpan(every_ms: number): Span {
  const { range, from, to } = useUrl();
  const extent = useExtent();
  const now = useNow(every_ms);
  const at = Math.floor(now / every_ms) * every_ms;
  return useMemo(() => spanOf({ range, from, to } as Search, at, extent), [range, from, to, at, extent]);
}

/** The ranges of this visit, so that the last change of them can be undone. */
const trail: Trail = createTrail();

/** Keep the trail. Called once, by what is around every page. */
export function useTrail(): void {
  const { range, from, to } = useUrl();
  useEffect(() => trail.follow(rangeOf({ range, from, to } as Search)), [range, from, to]);
}

export interface RangeControl {
  span: Span;
  /** Whether the address has a range with an end, so that nothing new comes into it. */
  isFixed: boolean;
  choose: (range: RangeSearch) => void;
  /** By one span, into the past or towards now. */
  shift: (by: -1 | 1) => void;
  zoomOut: () => void;
  /** `null` if there is nothing to undo. */
  undo: (() => void) | null;
}

/** The range of the page and how it is changed. */
export function useRange(): RangeControl {
  const go = useGo();
  const span = useSpan(1_000);
  const now = useNow(1_000);
  const { to } = useUrl();
  const canUndo = useSyncExternalStore(trail.subscribe, trail.canUndo);
  const choose = useCallback(
    (range: RangeSearch) => go({ range: undefined, from: undefined, to: undefined, ...range } as object),
    [go],
  );
  const undo = () => {
    const before = trail.undo();
    if (before !== null) choose(before);
  };
  return {
    span,
    isFixed: to !== undefined,
    choose,
    shift: by => choose(shifted(span, by, now)),
    zoomOut: () => choose(zoomedOut(span, now)),
    undo: canUndo ? undo : null,
  };
}

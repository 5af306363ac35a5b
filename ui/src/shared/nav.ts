/**
 * Reading and changing the state in the address, from any component, whichever page it is on.
 */
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo } from 'react';
import { answerOf, api } from '../api/client';
import { useNow } from './live';
import { type Extent, type Search, type Span, spanOf } from './search';

export type Page = '/' | '/logs' | '/query' | '/anomalies' | '/pipeline';

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
function useExtent(): Extent {
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

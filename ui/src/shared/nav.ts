/**
 * Reading and changing the state in the address, from any component, whichever page it is on.
 */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo } from 'react';
import { useNow } from './live';
import { type Search, spanOf } from './search';

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

/** The times looked at; an open range moves on at every `every_ms`. */
export function useSpan(every_ms: number): { from: number; to: number; fixed: boolean } {
  const { range, from, to } = useUrl();
  const now = useNow(every_ms);
  const at = Math.floor(now / every_ms) * every_ms;
  return useMemo(() => spanOf({ range, from, to } as Search, at), [range, from, to, at]);
}

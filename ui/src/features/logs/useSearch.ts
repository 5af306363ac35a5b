/**
 * Stored records of a range, page after page. A long search comes in pieces: it goes on by itself until the first screen is
 * full, says how far it has come, and can be ended.
 */
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { answerOf, api } from '../../api/client';
import type { LogRow } from '../../api/wire';
import { useSpan } from '../../shared/nav';
import { answerState, type PanelState } from '../../shared/state';

const PAGE_ROWS = 500;
/** A search goes on by itself until it has so many records, or all. */
const ENOUGH_ROWS = 200;
const OPEN_EVERY_MS = 60_000;
/** Records that a link leads to may be known live and not stored yet, so what found none is asked again so often. */
const NONE_EVERY_MS = 5_000;

export type SearchOrder = 'newest' | 'oldest';

interface Asked {
  where: string | null;
  columns: string;
  order: SearchOrder;
}

export function useSearch({ where, columns, order }: Asked) {
  // What is stored only changes with a commit, so an open range that has records stays as it was until asked again.
  const { from, to, fixed } = useSpan(OPEN_EVERY_MS);
  const queries = useQueryClient();
  const [isCancelled, setCancelled] = useState(false);
  const key = useMemo(
    () => ['stored log', where ?? '', from, to, order, columns],
    [where, from, to, order, columns],
  );
  const [asked, setAsked] = useState(key);
  if (asked !== key) {
    setAsked(key);
    setCancelled(false);
  }
  const pages = useInfiniteQuery({
    queryKey: key,
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) =>
      answerOf(
        api.GET('/api/v1/logs', {
          params: {
            query: {
              from: String(from),
              to: String(to),
              limit: String(PAGE_ROWS),
              columns,
              order,
              ...(where ? { where } : {}),
              ...(pageParam === '' ? {} : { cursor: pageParam }),
            },
          },
          signal,
        }),
      ),
    getNextPageParam: page => page.next_cursor ?? undefined,
    staleTime: fixed ? Number.POSITIVE_INFINITY : OPEN_EVERY_MS,
    // One page that has no next is cheap to ask for; a long search that found nothing is not.
    refetchInterval: ({ state: { data } }) =>
      data?.pages.length === 1 && data.pages[0]?.rows.length === 0 && data.pages[0].next_cursor == null
        ? NONE_EVERY_MS
        : false,
    enabled: where !== null && !isCancelled,
    // Rows of one filter are never shown under another.
    placeholderData: (before, query) =>
      query?.queryKey[1] === (where ?? '') && query.queryKey[4] === order ? before : undefined,
  });
  const rows = useMemo(
    () => (pages.data?.pages.flatMap(page => page.rows) ?? []) as unknown as LogRow[],
    [pages.data],
  );
  const { hasNextPage, isFetchingNextPage, isFetching, fetchNextPage, isPlaceholderData, error } = pages;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage && !isCancelled) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isCancelled, fetchNextPage]);
  const goesOn = hasNextPage && rows.length < ENOUGH_ROWS && !isPlaceholderData && error === null;
  useEffect(() => {
    if (goesOn && !isFetching) more();
  }, [goesOn, isFetching, more]);
  const last = pages.data?.pages.at(-1);
  const cancel = () => {
    setCancelled(true);
    void queries.cancelQueries({ queryKey: key });
  };
  const goOn = () => {
    setCancelled(false);
    if (pages.data === undefined) void pages.refetch();
    else void fetchNextPage();
  };
  const state: PanelState =
    isCancelled && pages.data === undefined
      ? {
          name: 'error',
          asOf: null,
          cause: 'the search was cancelled',
          hint: 'choose a shorter range, or try again',
        }
      : answerState(pages, pages.data === undefined || (rows.length === 0 && goesOn) ? null : rows.length);
  return {
    pages,
    rows,
    first: pages.data?.pages[0],
    state,
    more,
    fixed,
    /** Whether records are being looked for that the first screen waits for. */
    runs: isFetching && !isCancelled && (pages.data === undefined || goesOn || isFetchingNextPage),
    /** How much of the range was looked through. */
    share: last === undefined ? undefined : shareOf(last.searched, from, to, order),
    /** Up to where, if it was ended before that was all. */
    endedAt: isCancelled && hasNextPage ? last?.searched : undefined,
    cancel,
    goOn,
  };
}

/** From either end of the range. */
export function shareOf(searched: string, from: number, to: number, order: SearchOrder): number {
  const at = Date.parse(searched);
  const share = order === 'newest' ? (to - at) / (to - from) : (at - from) / (to - from);
  return Math.min(1, Math.max(0, share));
}

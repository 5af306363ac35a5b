/** Stored records of the range, newest first, page after page as one scrolls. */
import { useInfiniteQuery } from '@tanstack/react-query';
import { useCallback, useMemo, useRef } from 'react';
import { answerOf, api } from '../../api/client';
import type { LogRow } from '../../api/wire';
import { formatNumber } from '../../shared/format';
import type { Pick } from '../../shared/logline';
import { useSpan } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { SqlReceipt } from '../../shared/receipt';
import { answerState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { VirtualLines } from './VirtualLines';

const PAGE_ROWS = 500;

export function PastList({ where, onPick }: { where: string | null; onPick: Pick }) {
  // What is stored only changes with a commit, so an open range stays as it was until asked again.
  const { from, to, fixed } = useSpan(60_000);
  const pages = useInfiniteQuery({
    queryKey: ['stored log', where ?? '', from, to],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) =>
      answerOf(
        api.GET('/api/v1/logs', {
          params: {
            query: {
              from: String(from),
              to: String(to),
              limit: String(PAGE_ROWS),
              ...(where ? { where } : {}),
              ...(pageParam === '' ? {} : { cursor: pageParam }),
            },
          },
          signal,
        }),
      ),
    getNextPageParam: page => page.next_cursor ?? undefined,
    staleTime: fixed ? Number.POSITIVE_INFINITY : 60_000,
    enabled: where !== null,
    // Rows of one filter are never shown under another.
    placeholderData: (before, query) => (query?.queryKey[1] === (where ?? '') ? before : undefined),
  });
  const rows = useMemo(
    () => (pages.data?.pages.flatMap(page => page.rows) ?? []) as unknown as LogRow[],
    [pages.data],
  );
  const scroller = useRef<HTMLDivElement>(null);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = pages;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const first = pages.data?.pages[0];
  return (
    <Panel
      title="Stored records, newest first"
      className="h-[60vh] md:h-auto md:flex-1"
      state={answerState(pages, pages.data === undefined ? null : rows.length)}
      empty="No stored records match. Choose a longer range, or remove a part of the filter."
      onRetry={() => void pages.refetch()}
      aside={
        first && (
          <>
            <span data-count="loaded">
              {formatNumber(rows.length)} loaded{hasNextPage ? ', more below' : ', all'}
            </span>
            {first.version != null && <span>version {first.version}</span>}
            <SqlReceipt sql={first.sql} />
            {!fixed && (
              <Button className="h-6" onClick={() => void pages.refetch()}>
                Refresh
              </Button>
            )}
          </>
        )
      }
    >
      <VirtualLines
        label="Stored records, newest first"
        count={rows.length}
        read={index => rows[index] ?? null}
        scroller={scroller}
        onPick={onPick}
        onEnd={more}
      />
    </Panel>
  );
}

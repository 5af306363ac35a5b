/** What the server knows of dead letters, asked again now and then, the second try, and the restart that brings it about. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { useLive } from '../../shared/live';

const AGAIN_MS = 15_000;
const PAGE_LETTERS = 50;
const KEY = ['dead letters'];

export type Kind = Schemas['DeadLetterKind'];

export function useDeadLetters() {
  return useQuery({
    queryKey: KEY,
    queryFn: () => answerOf(api.GET('/api/v1/dead-letters')),
    refetchInterval: AGAIN_MS,
  });
}

/** The letters of one kind, or all, page by page. */
export function useLetters(chosen: Pick<Kind, 'source' | 'kind'> | null) {
  return useInfiniteQuery({
    queryKey: [...KEY, 'records', chosen?.source, chosen?.kind],
    initialPageParam: '',
    queryFn: ({ pageParam }) =>
      answerOf(
        api.GET('/api/v1/dead-letters/records', {
          params: {
            query: {
              limit: String(PAGE_LETTERS),
              ...(chosen && { source: chosen.source, kind: chosen.kind }),
              ...(pageParam !== '' && { cursor: pageParam }),
            } as never,
          },
        }),
      ),
    getNextPageParam: last => last.next_cursor ?? undefined,
  });
}

/** Decodes letters of one kind once more; unless it is a dry run, the next start makes records of those that decode. */
export function useRetry({ source, kind }: Pick<Kind, 'source' | 'kind'>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (dry_run: boolean) =>
      answerOf(
        api.POST('/api/v1/sources/{source}/dead-letters/retry', {
          params: { path: { source } },
          body: { dry_run, kind },
        }),
      ),
    onSuccess: ({ request }) => request != null && client.invalidateQueries({ queryKey: KEY, exact: true }),
  });
}

/** Takes a replay back that no start has done yet. */
export function useWithdraw() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (request: string) =>
      answerOf(api.DELETE('/api/v1/dead-letters/requests/{request}', { params: { path: { request } } })),
    onSettled: () => client.invalidateQueries({ queryKey: KEY, exact: true }),
  });
}

/**
 * Restarts the pipeline in its place, which does what waits for a start. It is successful from the answer on, until the page is
 * connected to what was started.
 */
export function useRestart() {
  const restart = useMutation({
    mutationFn: () =>
      answerOf(api.POST('/api/v1/restart', { headers: { 'content-type': 'application/json' } })),
  });
  const { isSuccess, reset } = restart;
  const isLive = useLive(state => state.link.status === 'live');
  const wasAway = useRef(false);
  useEffect(() => {
    if (isSuccess && isLive && wasAway.current) reset();
    wasAway.current = isSuccess && !isLive;
  }, [isSuccess, isLive, reset]);
  return restart;
}

export type Restart = ReturnType<typeof useRestart>;

/** Control characters would be invisible, or break the line. */
export function visible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, found => {
    const code = found.charCodeAt(0);
    return code === 0x7f ? '\u2421' : String.fromCharCode(0x2400 + code);
  });
}

/** Digits two by two, sixteen bytes a line. */
export function hexLines(hex: string): string {
  const bytes = hex.match(/../g) ?? [];
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) lines.push(bytes.slice(at, at + 16).join(' '));
  return lines.join('\n');
}

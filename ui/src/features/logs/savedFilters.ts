/**
 * Filters that were saved by name, kept by the server for each dataflow. Those that an earlier page kept in this browser
 * are offered to be moved there, once.
 */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useState } from 'react';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';

export type SavedFilter = Schemas['SavedFilter'];

const KEY = ['filters'];
/** As the server takes it, with room for a number behind it. */
const NAME_MAX = 76;

/** What the browser kept, as far as it can be read. */
export function readKept(text: string | null): SavedFilter[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text ?? '[]');
  } catch {
    return [];
  }
  if (!Array.isArray(parsed)) return [];
  return parsed.filter(
    (it): it is SavedFilter =>
      typeof it === 'object' && it !== null && typeof it.name === 'string' && typeof it.where === 'string',
  );
}

/** Those that the server does not have, under names that it takes and has not. */
export function toMove(kept: readonly SavedFilter[], saved: readonly SavedFilter[]): SavedFilter[] {
  const names = new Set(saved.map(({ name }) => name));
  return kept
    .filter(({ name, where }) => !saved.some(it => it.name === name && it.where === where))
    .map(({ name, where }) => {
      const safe =
        name
          .replace(/[^\p{L}\p{N} _-]/gu, '_')
          .trim()
          .slice(0, NAME_MAX)
          .trim() || 'filter';
      let free = safe;
      for (let more = 2; names.has(free); more++) free = `${safe} ${more}`;
      names.add(free);
      return { name: free, where };
    });
}

interface Saved {
  filters: readonly SavedFilter[];
  /** Kept by this browser alone. */
  kept: readonly SavedFilter[];
  save: (one: SavedFilter) => Promise<boolean>;
  remove: (name: string) => Promise<boolean>;
  /** Has the server keep them, or forgets them; they are offered no more. */
  move: () => Promise<void>;
  forget: () => void;
  /** What went wrong. */
  problem: string;
}

/** `null` until they are known. */
export function useSavedFilters(): Saved | null {
  const queries = useQueryClient();
  const { data: version } = useQuery({
    queryKey: ['version'],
    queryFn: () => answerOf(api.GET('/api/v1/version')),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const { data, error } = useQuery({
    queryKey: KEY,
    queryFn: () => answerOf(api.GET('/api/v1/filters')),
  });
  const [problem, setProblem] = useState('');
  const [, draw] = useState(0);
  const change = useCallback(
    async (asked: Promise<unknown>) => {
      try {
        await asked;
        setProblem('');
        return true;
      } catch (caught) {
        setProblem(caught instanceof Error ? caught.message : String(caught));
        return false;
      } finally {
        await queries.invalidateQueries({ queryKey: KEY });
      }
    },
    [queries],
  );
  if (version === undefined || (data === undefined && error === null)) return null;
  const filters = data?.filters ?? [];
  const key = `tidelake.filters.${version.dataflow}`;
  const kept = toMove(readKept(localStorage.getItem(key)), filters);
  const save = ({ name, where }: SavedFilter) =>
    change(answerOf(api.PUT('/api/v1/filters/{name}', { params: { path: { name } }, body: { where } })));
  const forget = () => {
    localStorage.removeItem(key);
    draw(count => count + 1);
  };
  return {
    filters,
    kept: data === undefined ? [] : kept,
    save,
    remove: name => change(answerOf(api.DELETE('/api/v1/filters/{name}', { params: { path: { name } } }))),
    move: async () => {
      for (const one of kept) if (!(await save(one))) return;
      forget();
    },
    forget,
    problem: problem || (error instanceof Error ? error.message : ''),
  };
}

/** Filters that were saved by name, kept by the browser for each dataflow. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { answerOf, api } from '../../api/client';

export interface SavedFilter {
  name: string;
  where: string;
}

const SAVED_MAX = 100;

/** What was kept, as far as it can be read. */
export function readSaved(text: string | null): SavedFilter[] {
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

/** With one more, in the order of their names; one of the same name is replaced. */
export function withSaved(saved: readonly SavedFilter[], one: SavedFilter): SavedFilter[] {
  const others = saved.filter(({ name }) => name !== one.name).slice(0, SAVED_MAX - 1);
  return [...others, one].sort((a, b) => a.name.localeCompare(b.name));
}

interface Saved {
  filters: readonly SavedFilter[];
  save: (one: SavedFilter) => void;
  remove: (name: string) => void;
}

/** `null` until it is known which dataflow runs. */
export function useSavedFilters(): Saved | null {
  const { data } = useQuery({
    queryKey: ['version'],
    queryFn: () => answerOf(api.GET('/api/v1/version')),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const [, draw] = useState(0);
  if (data === undefined) return null;
  const key = `tidelake.filters.${data.dataflow}`;
  const filters = readSaved(localStorage.getItem(key));
  const keep = (next: readonly SavedFilter[]) => {
    localStorage.setItem(key, JSON.stringify(next));
    draw(count => count + 1);
  };
  return {
    filters,
    save: one => keep(withSaved(filters, one)),
    remove: name => keep(filters.filter(it => it.name !== name)),
  };
}

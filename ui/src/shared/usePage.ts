/** What the server chose to show of the dataflow. It stays as it is while the server runs. */
import { useQuery } from '@tanstack/react-query';
import { answerOf, api } from '../api/client';
import type { Page } from './page';

/** A server that was started anew may have another dataflow. */
const EVERY_MS = 60_000;

/** `null` before it is known. */
export function usePage(): Page | null {
  const { data } = useQuery({
    queryKey: ['page'],
    queryFn: ({ signal }) => answerOf(api.GET('/api/v1/page', { signal })),
    refetchInterval: EVERY_MS,
    structuralSharing: true,
  });
  return data ?? null;
}

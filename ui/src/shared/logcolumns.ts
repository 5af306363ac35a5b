/** The columns of the log: which there are, what they mean, and which are shown unless others are chosen. */
import { useQuery } from '@tanstack/react-query';
import { ApiError, answerOf, api } from '../api/client';
import type { Schemas } from '../api/wire';

export type LogColumns = Schemas['LogColumns'];

/** `undefined` until they are known, `null` if the dataflow has no log. */
export function useLogColumns(): LogColumns | null | undefined {
  const { data } = useQuery({
    queryKey: ['log columns'],
    queryFn: async ({ signal }): Promise<LogColumns | null> => {
      try {
        return await answerOf(api.GET('/api/v1/logs/columns', { signal }));
      } catch (error) {
        if (error instanceof ApiError && error.code === 'no_log') return null;
        throw error;
      }
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  return data;
}

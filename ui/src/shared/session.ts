/** Who is signed in, on a server that has users; and what happens when that is over. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { answerOf, api, onSignedOut } from '../api/client';
import type { Schemas } from '../api/wire';

export type User = NonNullable<Schemas['Session']['user']>;

const KEY = ['session'];

/** The session as the server tells it, renewed when a request is refused for want of one. */
export function useSession() {
  const queries = useQueryClient();
  useEffect(() => onSignedOut(() => void queries.invalidateQueries({ queryKey: KEY })), [queries]);
  return useQuery({
    queryKey: KEY,
    queryFn: () => answerOf(api.GET('/api/v1/session')),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** The user who is signed in; `null` where nobody has to be. */
export function useUser(): User | null {
  return useSession().data?.user ?? null;
}

export function useSignIn() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (token: string) => answerOf(api.POST('/api/v1/session', { body: { token } })),
    // What others were told is not what this user may see.
    onSuccess: () => queries.resetQueries(),
  });
}

export function useSignOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => answerOf(api.DELETE('/api/v1/session')),
    // What this user was told is not for the next one.
    onSuccess: () => queries.resetQueries(),
  });
}

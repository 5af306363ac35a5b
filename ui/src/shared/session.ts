/** Who is signed in, on a server that has users; what they may; and what happens when that is over. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { answerOf, api, onSignedOut } from '../api/client';
import type { Schemas } from '../api/wire';

export type Session = Schemas['Session'];
export type User = NonNullable<Session['user']>;

const KEY = ['session'];
/** As the server has them: whatever changes something needs the one role, and the other may not even read what pages show. */
const CHANGES = 'admin';
const READS_NOTHING = 'metrics';

/** The session as the server tells it. */
export function useSession() {
  return useQuery({
    queryKey: KEY,
    queryFn: () => answerOf(api.GET('/api/v1/session')),
    staleTime: Number.POSITIVE_INFINITY,
    // Another tab may have signed in or out.
    refetchOnWindowFocus: 'always',
  });
}

/** Has the session asked for again when a request is refused by who asks. Once for the page. */
export function useSessionRenewed(): void {
  const queries = useQueryClient();
  useEffect(() => onSignedOut(() => void queries.invalidateQueries({ queryKey: KEY })), [queries]);
}

/** The user who is signed in; `null` where nobody has to be. */
export function useUser(): User | null {
  return useSession().data?.user ?? null;
}

/** Whether one may change something on the server. What is not known is left to the server to refuse. */
export function useMayChange(): boolean {
  return useWhyNot() === null;
}

/** Why one may change nothing on the server, as a sentence; `null` if one may. */
export function useWhyNot(): string | null {
  const { data } = useSession();
  return data === undefined ? null : whyNot(data);
}

export function whyNot({ required, user }: Session): string | null {
  if (!required || user?.role === CHANGES) return null;
  const who = user == null ? 'nobody is signed in' : `you are signed in as ${user.name} (${user.role})`;
  return `Needs the role ${CHANGES}; ${who}.`;
}

/** Whether the pages can show this user anything. */
export function mayRead({ role }: User): boolean {
  return role !== READS_NOTHING;
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

/** What stands in place of all pages on a server with users, until one is signed in. */
import { type FormEvent, type ReactNode, useState } from 'react';
import { ApiError } from '../api/client';
import { sentence } from '../shared/panel';
import { mayRead, type User, useSession, useSessionRenewed, useSignIn, useSignOut } from '../shared/session';
import { Button } from '../shared/ui/button';
import { Waves } from './Waves';

/** Draws the pages if the server has no users, or one of them is signed in who may read. */
export function SignedIn({ children }: { children: ReactNode }) {
  const { data, isPending } = useSession();
  useSessionRenewed();
  if (isPending) return null;
  // A server that cannot be asked is told by the pages themselves.
  if (data === undefined || !data.required) return children;
  if (data.user == null) return <SignIn />;
  return mayRead(data.user) ? children : <NotForPages user={data.user} />;
}

/** For programs that only watch: every page would be refused to them, again and again. */
function NotForPages({ user }: { user: User }) {
  const { mutate, isPending } = useSignOut();
  return (
    <main className="flex min-h-full items-center justify-center p-4">
      <div className="flex w-full max-w-sm flex-col gap-3 border border-line bg-panel p-6">
        <h1 className="flex items-center gap-2 text-control font-semibold">
          <Waves />
          Nothing to show
        </h1>
        <p>
          You are signed in as {user.name} with the role {user.role}, which is for programs that read metrics
          and health. Pages need the role read.
        </p>
        <Button kind="main" className="h-10 justify-center" disabled={isPending} onClick={() => mutate()}>
          Sign in as somebody else
        </Button>
      </div>
    </main>
  );
}

function SignIn() {
  const [token, setToken] = useState('');
  const { mutate, isPending, error } = useSignIn();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (token.trim() !== '') mutate(token.trim());
  };
  return (
    <main className="flex min-h-full items-center justify-center p-4">
      <form onSubmit={submit} className="flex w-full max-w-sm flex-col gap-3 border border-line bg-panel p-6">
        <h1 className="flex items-center gap-2 text-control font-semibold">
          <Waves />
          Sign in to tidelake
        </h1>
        <label className="flex flex-col gap-1">
          Access token
          <input
            type="password"
            name="token"
            className="h-10 rounded border border-line bg-ground px-2 font-mono aria-invalid:border-critical"
            placeholder="tl_…"
            autoComplete="current-password"
            // biome-ignore lint/a11y/noAutofocus: there is nothing else to do here.
            autoFocus
            aria-invalid={error !== null}
            value={token}
            onChange={({ target }) => setToken(target.value)}
          />
        </label>
        {error !== null && (
          <p role="alert" className="text-critical">
            {sentence(error.message)}{' '}
            {error instanceof ApiError && error.hint !== '' && (
              <span className="text-muted">{sentence(error.hint)}</span>
            )}
          </p>
        )}
        <Button
          kind="main"
          type="submit"
          className="h-10 justify-center"
          disabled={isPending || token.trim() === ''}
        >
          {isPending ? 'Signing in…' : 'Sign in'}
        </Button>
        <p className="text-label text-muted">
          An administrator makes a token with <code>tidelake token new</code>. You stay signed in for a week
          in this browser.
        </p>
      </form>
    </main>
  );
}

/**
 * Draws components as a page does, for tests: with an address, a stream that a test feeds, and a server whose answers it
 * gives. Nothing of it is in the built page.
 */
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  Outlet,
  RouterProvider,
} from '@tanstack/react-router';
import { act, cleanup, configure, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import type { ReactNode } from 'react';
import { afterEach, expect, vi } from 'vitest';
import type { Live } from '../api/live';
import { Ring } from '../api/ring';
import { createStore, type Store } from '../api/store';
import { topicKey } from '../api/topics';
import type { StreamEvent } from '../api/wire';
import { LiveProvider } from './live';
import { readSearch, type Search } from './search';

// What comes late on a machine that does other things is waited for; each test has a limit of its own.
configure({ asyncUtilTimeout: 10_000 });

/** What was asked of the server. */
export interface Asked {
  method: string;
  /** Without the part that all have, `/api/v1`. */
  path: string;
  query: URLSearchParams;
  body: unknown;
}

/** An answer: a body, or a status with a problem. */
type Answer = (asked: Asked) => unknown;

export class Refusal {
  readonly status: number;
  readonly problem: object;

  constructor(status: number, problem: object) {
    this.status = status;
    this.problem = problem;
  }
}

export interface Drawn {
  user: ReturnType<typeof userEvent.setup>;
  store: Store;
  /** The rings of the log, by topic. */
  ring(where?: string): Ring;
  /** All that was asked so far. */
  asked: readonly Asked[];
  retryNow: ReturnType<typeof vi.fn>;
  /** The page and the search of the address. */
  address(): { path: string; search: Search };
  /** Have something come on the stream. */
  feed(...frames: StreamEvent[]): Promise<void>;
  /** Have the connection change. */
  link(link: Parameters<Store['dispatch']>[0] & { type: 'link' }): Promise<void>;
}

/** Who asks: answers of `GET /session`, and why one of them may change nothing. */
export const WITHOUT_USERS = { required: false, user: null };
export const ADMIN = { required: true, user: { name: 'ada', role: 'admin' } };
export const READER = { required: true, user: { name: 'anna', role: 'read' } };
export const READER_WHY = 'Needs the role admin; you are signed in as anna (read).';

/** What was asked that changes something on the server. */
export function changes({ asked }: Pick<Drawn, 'asked'>): string[] {
  return asked
    .filter(({ method, path }) => method !== 'GET' && path !== '/sql')
    .map(({ method, path }) => `${method} ${path}`);
}

/** The button is there and says why it does nothing, to a screen reader, to the Tab key and when clicked; and it does nothing. */
export async function expectWithheld({ user, asked }: Pick<Drawn, 'user' | 'asked'>, name: string | RegExp) {
  const button = await screen.findByRole('button', { name, description: READER_WHY });
  expect(button.getAttribute('aria-disabled')).toBe('true');
  // A button that is disabled cannot be reached by Tab.
  expect(button.hasAttribute('disabled')).toBe(false);
  await act(async () => button.focus());
  expect(document.activeElement).toBe(button);
  expect((await screen.findByRole('tooltip')).textContent).toBe(READER_WHY);
  await user.keyboard('{Enter}');
  await user.click(button);
  expect(changes({ asked })).toEqual([]);
  expect(screen.queryByRole('dialog')).toBeNull();
  expect(screen.queryByRole('menu')).toBeNull();
  await act(async () => button.blur());
}

const PATHS = ['/', '/logs', '/query', '/anomalies', '/pipeline', '/boards', '/reports'];

afterEach(() => {
  cleanup();
  localStorage.clear();
  vi.unstubAllGlobals();
});

/**
 * Draws something at an address, once the stream is live. `answers` are by method and path, such as `GET /views`, where
 * `*` stands for any part; what has none is answered by 404.
 */
export async function draw(
  element: ReactNode,
  { at = '/', answers = {} }: { at?: string; answers?: Record<string, Answer> } = {},
): Promise<Drawn> {
  const asked: Asked[] = [];
  vi.stubGlobal('fetch', async (input: string | Request, init?: RequestInit) => {
    const request = input instanceof Request ? input : new Request(input, init);
    const url = new URL(request.url);
    const text = await request.text();
    const it: Asked = {
      method: request.method,
      path: url.pathname.replace(/^.*\/api\/v1/, ''),
      query: url.searchParams,
      body: text === '' ? undefined : JSON.parse(text),
    };
    asked.push(it);
    const answer = answerOf(answers, it);
    const body = answer === undefined ? new Refusal(404, { code: 'unknown_path' }) : await answer(it);
    const [status, json] = body instanceof Refusal ? [body.status, body.problem] : [200, body];
    return new Response(JSON.stringify(json), {
      status,
      headers: { 'content-type': 'application/json' },
    });
  });
  if (window.matchMedia === undefined) vi.stubGlobal('matchMedia', () => ({ matches: true }));

  const store = createStore(call => call());
  store.dispatch({ type: 'link', link: { status: 'live' } });
  const rings = new Map<string, Ring>();
  const ring: Live['ring'] = topic => {
    const key = topicKey(topic);
    const known = rings.get(key) ?? new Ring(1_000);
    rings.set(key, known);
    return known;
  };
  const retryNow = vi.fn();
  const live: Live = { store, want: () => () => {}, ring, retryNow };
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false, networkMode: 'always' } } });
  const root = createRootRoute({ validateSearch: readSearch, component: Outlet });
  const router = createRouter({
    routeTree: root.addChildren(
      PATHS.map(path => createRoute({ getParentRoute: () => root, path, component: () => element })),
    ),
    history: createMemoryHistory({ initialEntries: [at] }),
    parseSearch: text => Object.fromEntries(new URLSearchParams(text)),
    stringifySearch: search => {
      const entries = Object.entries(search).filter(([, value]) => value !== undefined);
      const query = new URLSearchParams(entries.map(([name, value]) => [name, String(value)])).toString();
      return query === '' ? '' : `?${query}`;
    },
  });
  await act(async () => {
    render(
      <QueryClientProvider client={queries}>
        <LiveProvider live={live}>
          <RouterProvider router={router} />
        </LiveProvider>
      </QueryClientProvider>,
    );
    await router.load();
  });
  const dispatch = async (...events: Parameters<Store['dispatch']>[0][]) => {
    await act(async () => {
      for (const event of events) store.dispatch(event);
      // The store tells its readers a few times a second; a test does not wait for it.
      store.freeze(store.isFrozen());
    });
  };
  return {
    user: userEvent.setup(),
    store,
    ring: where => ring(where ? { name: 'tail', where } : { name: 'tail' }),
    asked,
    retryNow,
    address: () => {
      const { pathname, search } = router.state.location;
      return { path: pathname, search: search as Search };
    },
    feed: (...frames) =>
      dispatch(...frames.map(frame => ({ type: 'frame' as const, frame, now_ms: Date.now() }))),
    link: event => dispatch(event),
  };
}

function answerOf(answers: Record<string, Answer>, { method, path }: Asked): Answer | undefined {
  const name = `${method} ${path}`;
  if (answers[name] !== undefined) return answers[name];
  const fits = Object.keys(answers).find(pattern => {
    const parts = pattern.split('*').map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${parts.join('[^/]+')}$`).test(name);
  });
  return fits === undefined ? undefined : answers[fits];
}

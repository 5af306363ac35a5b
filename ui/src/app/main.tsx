/**
 * Where the page begins: one store, one stream, one tree of components.
 */
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { ApiError, BASE } from '../api/client';
import { type Live, startLive } from '../api/live';
import { createStore } from '../api/store';
import { LiveProvider } from '../shared/live';
import { fetchParts } from '../shared/part';
import { startTheme } from '../shared/theme';
import './app.css';
import { Boundary } from './Boundary';
import { makeRouter } from './router';
import { SignedIn } from './SignIn';

startTheme();
const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // A refused request stays refused; an unreachable server is asked again.
      retry: (count, error) => count < 3 && !(error instanceof ApiError && error.code !== ''),
      refetchOnWindowFocus: true,
      staleTime: 5_000,
      networkMode: 'always',
    },
  },
});

/** The stream, and the pages that it feeds; not before one is signed in where one has to be. */
function Pages() {
  const [live] = useState(start);
  const [router] = useState(makeRouter);
  return (
    <LiveProvider live={live}>
      <RouterProvider router={router} />
    </LiveProvider>
  );
}

let started: Live | null = null;

/** There is one stream for as long as the page is open. */
function start(): Live {
  if (started !== null) {
    started.retryNow();
    return started;
  }
  const live = startLive(createStore(), BASE);
  // Whoever was cut off asks again once the stream is back.
  let wasLive = false;
  live.store.subscribe(() => {
    const isLive = live.store.get().link.status === 'live';
    if (isLive && !wasLive) {
      void queries.invalidateQueries();
      fetchParts();
    }
    wasLive = isLive;
  });
  started = live;
  return live;
}

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no element "root"');
createRoot(root).render(
  <Boundary>
    <QueryClientProvider client={queries}>
      <SignedIn>
        <Pages />
      </SignedIn>
    </QueryClientProvider>
  </Boundary>,
);

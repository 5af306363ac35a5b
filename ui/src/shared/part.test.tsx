/**
 * A part of the page that cannot be fetched says so, and comes when the server is back.
 */
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { expect, it, vi } from 'vitest';
import type { Live } from '../api/live';
import { createStore } from '../api/store';
import { LiveProvider } from './live';
import { part } from './part';

it('says that it is missing, and appears with the server', async () => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  const store = createStore(call => call());
  const live = { store } as unknown as Live;
  let isThere = false;
  let asked = 0;
  const Part = part(async () => {
    asked += 1;
    if (!isThere) throw new TypeError('Failed to fetch dynamically imported module');
    return () => <p>the plan</p>;
  });
  const element = document.createElement('div');
  const root = createRoot(element);
  await act(async () =>
    root.render(
      <LiveProvider live={live}>
        <Part />
      </LiveProvider>,
    ),
  );
  expect(element.textContent).toMatch(/cannot be reached, so this part of the page is missing/);
  expect(asked).toBe(1);
  isThere = true;
  await act(async () => store.dispatch({ type: 'link', link: { status: 'live' } }));
  await vi.waitFor(() => expect(element.textContent).toBe('the plan'));
  await act(async () => root.unmount());
});

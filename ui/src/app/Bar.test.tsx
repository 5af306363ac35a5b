/** The bar says whether the page is live, holds it still, and gives away its address. */
import { screen, waitFor } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { draw } from '../shared/testing';
import { Bar } from './Bar';

const heartbeat = (epoch: number) => {
  const as_of = new Date(epoch).toISOString();
  return { type: 'heartbeat' as const, data: { epoch, as_of, server_time: as_of } };
};

it('says that it is live, and of when the numbers are', async () => {
  const { feed } = await draw(<Bar />);
  await feed(heartbeat(Date.parse('2026-03-01T12:34:56.789Z')));
  expect(screen.getByText('live')).toBeTruthy();
  expect(document.body.textContent).toMatch(/12:34:56\.789/);
});

it('counts down to the next attempt, which can be made at once', async () => {
  const { link, user, retryNow } = await draw(<Bar />);
  expect(screen.queryByRole('button', { name: 'Retry now' })).toBeNull();
  await link({
    type: 'link',
    link: { status: 'reconnecting', cause: 'it ended', retryAt_ms: Date.now() + 8_500 },
  });
  expect(screen.getByText(/reconnecting in [89] s/)).toBeTruthy();
  await user.click(screen.getByRole('button', { name: 'Retry now' }));
  expect(retryNow).toHaveBeenCalledOnce();
});

it('freezes the page, tells how far it is behind, and goes on', async () => {
  const { feed, store, user } = await draw(<Bar />);
  const epoch = Date.now();
  await feed(heartbeat(epoch));
  await user.click(screen.getByRole('button', { name: /^Freeze/ }));
  const resume = screen.getByRole('button', { pressed: true });
  expect(store.isFrozen()).toBe(true);
  await feed(heartbeat(epoch + 12_000));
  await waitFor(() => expect(resume.textContent).toMatch(/12 s behind/), { timeout: 3_000 });
  await user.click(resume);
  expect(store.isFrozen()).toBe(false);
  expect(screen.queryByRole('button', { pressed: true })).toBeNull();
});

it('copies the address, and says so to everybody', async () => {
  const { user } = await draw(<Bar />, { at: '/logs?range=1h' });
  const write = vi.spyOn(navigator.clipboard, 'writeText').mockResolvedValue();
  await user.click(screen.getByRole('button', { name: /^Copy link/ }));
  expect(write).toHaveBeenCalledWith(location.href);
  const said = await screen.findByText(/^(Link copied|Copied)/);
  expect(said.closest('[aria-live]')?.getAttribute('aria-live')).toBe('polite');
});

/** The filter in the address: its parts go and come, and what the server refuses changes nothing. */
import { screen, waitFor } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { draw, Refusal } from '../../shared/testing';
import type { CatalogColumn } from './columns';
import { FilterBar } from './FilterBar';

const TAKEN = {
  'GET /logs': () => ({ rows: [], sql: '' }),
  'GET /logs/extent': () => ({ from: null, to: null }),
};
const field = () => screen.getByRole('textbox', { name: /^Add a filter/ });

it('shows each part of the filter, and removes it', async () => {
  const at = `/logs?where=${encodeURIComponent("country = 'NL' AND amount >= 10")}`;
  const { user, address } = await draw(<FilterBar columns={[]} />, { at, answers: TAKEN });
  await user.click(screen.getByRole('button', { name: "Remove the filter country = 'NL'" }));
  await waitFor(() => expect(address().search.where).toBe('amount >= 10'));
  await user.click(screen.getByRole('button', { name: /^Clear/ }));
  await waitFor(() => expect(address().search.where).toBeUndefined());
});

it('adds what is typed once the server has taken it', async () => {
  const { user, address, asked } = await draw(<FilterBar columns={[]} />, { at: '/logs', answers: TAKEN });
  await user.type(field(), 'amount >= 10{Enter}');
  await waitFor(() => expect(address().search.where).toBe('amount >= 10'));
  expect(asked.some(it => it.query.get('where') === 'amount >= 10')).toBe(true);
});

it('leaves everything as it was when a filter is refused, and says why', async () => {
  const problem = { code: 'bad_filter', detail: 'there is no column `amuont`' };
  const answers = { ...TAKEN, 'GET /logs': () => new Refusal(400, problem) };
  const { user, address } = await draw(<FilterBar columns={[]} />, { at: '/logs', answers });
  await user.type(field(), 'amuont >= 10{Enter}');
  expect((await screen.findByRole('alert')).textContent).toMatch(/no column `amuont`/);
  expect(address().search.where).toBeUndefined();
  expect((field() as HTMLInputElement).value).toBe('amuont >= 10');
});

it('goes on behind a suggestion that was just taken, however late the next frame is drawn', async () => {
  const country = { name: 'country', type: 'text', role: 'key' } as CatalogColumn;
  const { user } = await draw(<FilterBar columns={[country]} />, { at: '/logs', answers: TAKEN });
  const frames: FrameRequestCallback[] = [];
  vi.stubGlobal('requestAnimationFrame', (call: FrameRequestCallback) => frames.push(call));
  await user.type(field(), 'coun{Tab}=');
  for (const call of frames.splice(0)) call(0);
  await user.keyboard(" 'N");
  vi.unstubAllGlobals();
  expect((field() as HTMLInputElement).value).toBe("country = 'N");
});

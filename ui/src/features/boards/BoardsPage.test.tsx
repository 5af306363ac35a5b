/** Boards are looked at by all, and changed by those who may. */
import { screen, waitFor, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import {
  ADMIN,
  changes,
  draw,
  expectWithheld,
  READER,
  READER_WHY,
  WITHOUT_USERS,
} from '../../shared/testing';
import { BoardsPage } from './BoardsPage';

const panel = { id: 'p1', title: 'Sales', query: 'SELECT 1', chart: { kind: 'table' }, wide: false };
const boards = (...panels: object[]) => ({ boards: [{ name: 'Shop', panels }], skipped: [] });
const answers = (session: unknown, all: unknown = boards(panel)) => ({
  'GET /session': () => session,
  'GET /boards': () => all,
  'GET /tables': () => ({ tables: [] }),
  'POST /sql': () => ({ rows: [], columns: [], epoch: 1, truncated: false, partial: false }),
  'PUT /boards/*': () => ({}),
  'DELETE /boards/*': () => ({}),
});
const page = (session: unknown, all?: unknown) =>
  draw(<BoardsPage />, { at: '/boards', answers: answers(session, all) });
const actions = async (drawn: Awaited<ReturnType<typeof page>>) => {
  // A panel that has its answer is drawn anew no more.
  await screen.findAllByText(/^polled every/);
  await drawn.user.click(screen.getByRole('button', { name: 'Actions of Sales' }));
  const menu = await screen.findByRole('menu');
  return within(menu)
    .getAllByRole('menuitem')
    .map(it => it.textContent);
};

describe('a reader', () => {
  it('sees a board, and why it cannot be changed', async () => {
    const drawn = await page(READER);
    expect(await screen.findByRole('region', { name: 'Sales' })).toBeTruthy();
    for (const name of [/New board/, /Delete board/]) await expectWithheld(drawn, name);
    expect(screen.queryByRole('button', { name: 'Move Sales' })).toBeNull();
    expect(await actions(drawn)).toEqual(['Open in Query']);
    expect(changes(drawn)).toEqual([]);
  });

  it('is not told to pin where there is nothing', async () => {
    await page(READER, { boards: [], skipped: [] });
    expect((await screen.findByText(/^Pinning a query/)).textContent).toContain(READER_WHY);
    expect(screen.queryByRole('button', { name: 'Go to Query' })).toBeNull();
  });
});

for (const [who, session] of [
  ['an administrator', ADMIN],
  ['anybody on a server without users', WITHOUT_USERS],
] as const)
  describe(who, () => {
    it('makes, orders and removes boards and panels', async () => {
      const drawn = await page(session, boards(panel, { ...panel, id: 'p2', title: 'Stock' }));
      const { user } = drawn;
      expect(await actions(drawn)).toContain('Rename');
      await user.keyboard('{Escape}');
      (await screen.findByRole('button', { name: 'Move Sales' })).focus();
      await user.keyboard('{ArrowRight}');
      await waitFor(() => expect(changes(drawn)).toEqual(['PUT /boards/Shop']));
      await user.click(screen.getByRole('button', { name: /New board/ }));
      await user.type(await screen.findByRole('textbox', { name: 'Name' }), 'Mine{Enter}');
      await waitFor(() => expect(changes(drawn)).toContain('PUT /boards/Mine'));
    });

    it('is told how a board comes to be', async () => {
      await page(session, { boards: [], skipped: [] });
      expect(await screen.findByRole('button', { name: 'Go to Query' })).toBeTruthy();
    });
  });

/** Saved queries and pinning: read by all, changed by those who may. */
import { screen, waitFor } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';
import { ADMIN, changes, draw, expectWithheld, READER, WITHOUT_USERS } from '../../shared/testing';
import { Catalog } from './Catalog';
import { activeOf, firstTabs } from './tabs';
import { Workspace } from './Workspace';

const onPick = vi.fn();
const answers = (session: unknown) => ({
  'GET /session': () => session,
  'GET /saved-queries': () => ({ queries: [{ name: 'slow ones', query: 'SELECT 2' }] }),
  'PUT /saved-queries/*': () => ({}),
  'DELETE /saved-queries/*': () => ({}),
  'GET /boards': () => ({ boards: [], skipped: [] }),
});
const catalog = (session: unknown) =>
  draw(<Catalog catalog={undefined} text="SELECT 1" onPick={onPick} />, {
    at: '/query',
    answers: answers(session),
  });
const workspace = (session: unknown) =>
  draw(
    <Workspace
      tab={activeOf(firstTabs('a', 'SELECT 1'))}
      catalog={undefined}
      send={() => {}}
      onRun={onPick}
      onCancel={() => {}}
      onShow={() => {}}
    />,
    { at: '/query', answers: answers(session) },
  );

describe('a reader', () => {
  it('runs saved queries, and neither saves nor removes them', async () => {
    const drawn = await catalog(READER);
    await drawn.user.click(await screen.findByRole('button', { name: 'slow ones' }));
    expect(onPick).toHaveBeenCalledWith('SELECT 2');
    await expectWithheld(drawn, 'Save this query');
    expect(screen.queryByRole('button', { name: /^Remove/ })).toBeNull();
    expect(screen.queryByRole('textbox')).toBeNull();
  });

  it('runs a query, and does not pin it', async () => {
    const drawn = await workspace(READER);
    await expectWithheld(drawn, 'Pin');
    onPick.mockReset();
    await drawn.user.click(screen.getByRole('button', { name: 'Run' }));
    expect(onPick).toHaveBeenCalledOnce();
  });
});

for (const [who, session] of [
  ['an administrator', ADMIN],
  ['anybody on a server without users', WITHOUT_USERS],
] as const)
  describe(who, () => {
    it('saves and removes queries', async () => {
      const { user, ...drawn } = await catalog(session);
      await user.type(await screen.findByRole('textbox', { name: /^Name to save/ }), 'all');
      await user.click(screen.getByRole('button', { name: 'Save' }));
      await waitFor(() => expect(changes(drawn)).toEqual(['PUT /saved-queries/all']));
      await user.click(await screen.findByRole('button', { name: 'Remove the saved query slow ones' }));
      await waitFor(() => expect(changes(drawn)).toContain('DELETE /saved-queries/slow%20ones'));
    });

    it('pins', async () => {
      const { user } = await workspace(session);
      await user.click(await screen.findByRole('button', { name: 'Pin' }));
      expect(await screen.findByRole('dialog', { name: 'Pin to a board' })).toBeTruthy();
    });
  });

/** Saved filters are applied by all, and changed by those who may. */
import { screen, waitFor } from '@testing-library/react';
import { expect, it } from 'vitest';
import { ADMIN, changes, draw, READER, WITHOUT_USERS } from '../../shared/testing';
import { SavedMenu } from './SavedMenu';

const menu = async (session: unknown) => {
  localStorage.setItem('tidelake.filters.shop', JSON.stringify([{ name: 'mine', where: 'b = 2' }]));
  const drawn = await draw(<SavedMenu />, {
    at: `/logs?where=${encodeURIComponent('a = 1')}`,
    answers: {
      'GET /session': () => session,
      'GET /version': () => ({ dataflow: 'shop' }),
      'GET /filters': () => ({ filters: [{ name: 'failures', where: 'status >= 500' }] }),
      'PUT /filters/*': () => ({}),
      'DELETE /filters/*': () => ({}),
    },
  });
  await drawn.user.click(await screen.findByRole('button', { name: 'Saved' }));
  return drawn;
};

it('lets a reader apply filters and no more', async () => {
  const drawn = await menu(READER);
  // The window itself is a dialog, so what is withheld is looked for by its name.
  for (const name of ['Save this filter', 'Move to the server']) {
    const button = await screen.findByRole('button', { name, description: /^Needs the role admin/ });
    expect(button.getAttribute('aria-disabled')).toBe('true');
    await drawn.user.click(button);
  }
  expect(changes(drawn)).toEqual([]);
  expect(screen.queryByRole('button', { name: /^Remove/ })).toBeNull();
  expect(screen.queryByRole('textbox')).toBeNull();
  await drawn.user.click(screen.getByRole('button', { name: /^failures/ }));
  await waitFor(() => expect(drawn.address().search.where).toBe('status >= 500'));
});

for (const [who, session] of [
  ['an administrator', ADMIN],
  ['anybody on a server without users', WITHOUT_USERS],
] as const)
  it(`lets ${who} save, move and remove filters`, async () => {
    const { user, ...drawn } = await menu(session);
    await user.type(await screen.findByRole('textbox', { name: 'Name of the filter' }), 'ones');
    await user.click(screen.getByRole('button', { name: 'Save' }));
    await waitFor(() => expect(changes(drawn)).toEqual(['PUT /filters/ones']));
    await user.click(screen.getByRole('button', { name: 'Remove the saved filter failures' }));
    await waitFor(() => expect(changes(drawn)).toContain('DELETE /filters/failures'));
    await user.click(screen.getByRole('button', { name: 'Move to the server' }));
    await waitFor(() => expect(changes(drawn)).toContain('PUT /filters/mine'));
  });

/** The palette finds pages, things to do and tables by what is typed, without a mouse. */
import { screen, waitFor } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { draw } from '../shared/testing';
import { CommandPalette } from './CommandPalette';

const TABLES = {
  'GET /tables': () => ({
    tables: [
      { name: 'sales_1m', kind: 'live view', columns: [] },
      { name: 'lake.orders', kind: 'lake table', columns: [] },
    ],
    functions: [],
    samples: [],
  }),
};

async function open() {
  const onClose = vi.fn();
  const drawn = await draw(<CommandPalette open onClose={onClose} />, { answers: TABLES });
  const field = screen.getByRole('combobox', { name: 'Command' });
  return { ...drawn, onClose, field };
}

const chosen = () => screen.getByRole('option', { selected: true }).textContent;

it('is typed into at once, and goes to a page', async () => {
  const { user, onClose, field, address } = await open();
  expect(document.activeElement).toBe(field);
  await user.keyboard('pipel{Enter}');
  await waitFor(() => expect(address().path).toBe('/pipeline'));
  expect(onClose).toHaveBeenCalledOnce();
});

it('moves through what was found, and tells which one is meant', async () => {
  const { user, field } = await open();
  const first = chosen();
  await user.keyboard('{ArrowDown}');
  expect(chosen()).not.toBe(first);
  expect(field.getAttribute('aria-activedescendant')).toBe(screen.getByRole('option', { selected: true }).id);
  await user.keyboard('{ArrowUp}');
  expect(chosen()).toBe(first);
});

it('finds the tables of the dataflow, and asks for their rows', async () => {
  const { user, address } = await open();
  await user.keyboard('sales');
  await screen.findByRole('option', { name: /sales_1m/ });
  await user.keyboard('{Enter}');
  await waitFor(() => expect(address().path).toBe('/query'));
  expect(address().search.q).toMatch(/FROM sales_1m\b/);
});

it('opens the documentation beside the page', async () => {
  const opened = vi.fn();
  vi.stubGlobal('open', opened);
  const { user } = await open();
  await user.keyboard('documentation{Enter}');
  expect(opened).toHaveBeenCalledExactlyOnceWith(expect.stringMatching(/\/docs\/$/), '_blank', 'noopener');
});

it('says that nothing was found', async () => {
  const { user } = await open();
  await user.keyboard('xyzzy');
  expect(screen.queryAllByRole('option')).toEqual([]);
  expect(screen.getByText(/^No results/)).toBeTruthy();
});

it('is closed by Escape', async () => {
  const { user, onClose } = await open();
  await user.keyboard('{Escape}');
  expect(onClose).toHaveBeenCalledOnce();
});

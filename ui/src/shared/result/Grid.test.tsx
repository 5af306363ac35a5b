/** The rows of an answer, as a table with the names of its columns; what is nothing is not what is empty. */
import { screen, within } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { draw } from '../testing';
import { Grid } from './Grid';

const COLUMNS = [
  { name: 'country', type: 'text' },
  { name: 'note', type: 'text' },
  { name: 'orders', type: 'bigint' },
];
const ROWS = [
  { country: 'NL', note: '', orders: 7 },
  { country: 'DE', note: null, orders: 1234567 },
];

it('names its columns and tells NULL from an empty text, and sorts', async () => {
  // Only what can be seen is drawn, so there has to be room.
  for (const name of ['clientHeight', 'offsetHeight'] as const)
    vi.spyOn(HTMLElement.prototype, name, 'get').mockReturnValue(600);
  const { user } = await draw(<Grid columns={COLUMNS} rows={ROWS} />);
  const heads = screen.getAllByRole('columnheader').map(it => it.textContent);
  for (const [at, { name }] of COLUMNS.entries()) expect(heads[at]).toContain(name);
  const cells = screen.getAllByRole('gridcell').map(it => it.textContent);
  expect(cells).toContain('NL');
  expect(cells.filter(it => it === 'NULL')).toHaveLength(1);
  expect(cells.join()).toMatch(/1.?234.?567/);

  const first = () => screen.getAllByRole('gridcell')[0]?.textContent;
  expect(first()).toBe('NL');
  const country = screen.getByRole('columnheader', { name: /^country/ });
  await user.click(within(country).getByRole('button', { name: /country/ }));
  expect(country.getAttribute('aria-sort')).toBe('ascending');
  expect(first()).toBe('DE');
});

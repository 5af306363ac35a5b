/** The rows of an answer, as a grid with the names of its columns; what is nothing is not what is empty, and a header sorts. */
import { fireEvent, screen } from '@testing-library/react';
import { beforeEach, expect, it, vi } from 'vitest';
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

beforeEach(() => {
  // Only what can be seen is drawn, so there has to be room.
  for (const name of ['clientHeight', 'offsetHeight'] as const)
    vi.spyOn(HTMLElement.prototype, name, 'get').mockReturnValue(600);
});

const cells = () => screen.getAllByRole('gridcell').map(it => it.textContent);
const countries = () => cells().filter((_, at) => at % COLUMNS.length === 0);

it('names its columns and tells NULL from an empty text', async () => {
  await draw(<Grid columns={COLUMNS} rows={ROWS} />);
  const heads = screen.getAllByRole('columnheader').map(it => it.textContent);
  expect(heads).toEqual(['country', 'note', 'orders']);
  expect(cells()).toContain('NL');
  expect(cells().filter(it => it === 'NULL')).toHaveLength(1);
  expect(cells().join()).toMatch(/1.?234.?567/);
});

it('sorts by a header, up and down and as it came, and says how far that goes', async () => {
  await draw(<Grid columns={COLUMNS} rows={ROWS} truncated />);
  expect(countries()).toEqual(['NL', 'DE']);
  expect(screen.queryByText(/Sorted within the 2 rows loaded/)).toBeNull();
  const header = screen.getByRole('button', { name: 'country' });
  fireEvent.click(header);
  expect(countries()).toEqual(['DE', 'NL']);
  expect(screen.getByText(/Sorted within the 2 rows loaded/)).toBeTruthy();
  fireEvent.click(header);
  expect(countries()).toEqual(['NL', 'DE']);
  expect(screen.getAllByRole('columnheader')[0]?.getAttribute('aria-sort')).toBe('descending');
  fireEvent.click(header);
  expect(screen.getAllByRole('columnheader')[0]?.getAttribute('aria-sort')).toBe('none');
});

it('goes through its cells and makes columns wider by keys', async () => {
  await draw(<Grid columns={COLUMNS} rows={ROWS} />);
  const grid = screen.getByRole('grid');
  fireEvent.keyDown(grid, { key: 'ArrowDown' });
  fireEvent.keyDown(grid, { key: 'ArrowDown' });
  fireEvent.keyDown(grid, { key: 'ArrowDown' });
  expect(screen.getByText(/row 2 · country/)).toBeTruthy();
  const handle = screen.getByRole('separator', { name: 'Width of country' });
  const width = () => Number(handle.getAttribute('aria-valuenow'));
  const before = width();
  fireEvent.keyDown(handle, { key: 'ArrowRight' });
  expect(width()).toBe(before + 16);
  fireEvent.keyDown(handle, { key: 'Home' });
  expect(width()).toBe(before);
});

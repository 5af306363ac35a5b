/** A record beside the list: whatever fields it has, and what can be done with each. */
import { screen, waitFor, within } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { draw, Refusal } from '../../shared/testing';
import { RecordDrawer } from './RecordDrawer';

const RECORD = {
  partition: 3,
  offset: 17,
  from: 'lake',
  fields: [
    { name: 'placed_at', type: 'timestamp', value: '2026-03-01T12:00:00Z' },
    { name: 'country', type: 'text', value: 'NL' },
    { name: 'amount', type: 'double', value: 12.5 },
    { name: 'coupon', type: 'text', value: null },
  ],
};
const ANSWERS = { 'GET /records/3/17': () => RECORD };

async function open(answers: Record<string, () => unknown> = ANSWERS) {
  const onPick = vi.fn();
  const drawn = await draw(<RecordDrawer id="3-17" known={[]} onPick={onPick} />, {
    at: '/logs?record=3-17',
    answers,
  });
  return { ...drawn, onPick, drawer: screen.getByRole('complementary', { name: 'Record' }) };
}

it('shows the fields that the record has', async () => {
  const { drawer } = await open();
  const country = await within(drawer).findByRole('rowheader', { name: /^country/ });
  expect(country.closest('tr')?.textContent).toMatch(/NL/);
  expect(drawer.textContent).toMatch(/partition 3.*offset 17/);
});

it('keeps or leaves out the like of a value', async () => {
  const { drawer, user, onPick } = await open();
  await user.click(await within(drawer).findByRole('button', { name: /^Only country/ }));
  expect(onPick).toHaveBeenLastCalledWith('country', 'NL', false);
  await user.click(within(drawer).getByRole('button', { name: /^Without amount/ }));
  expect(onPick).toHaveBeenLastCalledWith('amount', 12.5, true);
});

it('is closed by its button', async () => {
  const { user, address } = await open();
  await user.click(screen.getByRole('button', { name: /^Close/ }));
  await waitFor(() => expect(address().search.record).toBeUndefined());
});

it('is closed by Escape', async () => {
  const { user, address } = await open();
  await user.keyboard('{Escape}');
  await waitFor(() => expect(address().search.record).toBeUndefined());
});

it('says what to do about a record that is not there', async () => {
  const problem = { code: 'unknown_record', detail: 'there is no record', hint: 'wait for a commit' };
  await open({ 'GET /records/3/17': () => new Refusal(404, problem) });
  expect((await screen.findByRole('alert')).textContent).toMatch(/no record.*wait for a commit/i);
});

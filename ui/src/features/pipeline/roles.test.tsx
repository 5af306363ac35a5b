/** Dead letters and proofs are looked at by all; trying again, replaying and proving is for those who may. */
import { screen, waitFor } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { ADMIN, changes, draw, expectWithheld, READER, WITHOUT_USERS } from '../../shared/testing';
import { DeadLetters } from './DeadLetters';
import { Verification } from './Verification';

const AT = '2026-03-01T00:00:00Z';
const KIND = {
  source: 'orders',
  kind: 'no number #',
  example: 'no number x',
  letters: 3,
  first: AT,
  last: AT,
};
const PROOF = { available: true, command: 'tidelake verify', running: null, newest: null, problem: null };
const RUNNING = { started: AT, elapsed_seconds: 2, checks: 4, expected_checks: 9, failed: 0, last: null };
const answers = (session: unknown, proof: object = PROOF) => ({
  'GET /session': () => session,
  'GET /dead-letters': () => ({
    letters: 3,
    kinds: [KIND],
    truncated: false,
    requests: [{ id: 'r1', source: 'orders', kind: 'old', reason: null, asked: AT }],
    committed_epoch: 1,
    sql: '',
  }),
  'GET /dead-letters/records': () => ({ letters: [], next_cursor: null }),
  'POST /sources/*/dead-letters/retry': () => ({ letters: 3, decodable: 3, request: null }),
  'DELETE /dead-letters/requests/*': () => ({}),
  'GET /verification': () => proof,
  'POST /verification': () => proof,
  'DELETE /verification': () => proof,
});

describe('a reader', () => {
  it('sees dead letters and what was requested', async () => {
    const drawn = await draw(<DeadLetters />, { at: '/pipeline', answers: answers(READER) });
    expect(await screen.findByText('no number x')).toBeTruthy();
    for (const name of ['Try again', 'Cancel']) await expectWithheld(drawn, name);
  });

  it('sees proofs, and neither starts nor cancels one', async () => {
    const idle = await draw(<Verification />, { at: '/pipeline', answers: answers(READER) });
    await expectWithheld(idle, 'Verify now');
  });

  it('sees how far a proof is', async () => {
    const proof = { ...PROOF, running: RUNNING };
    const drawn = await draw(<Verification />, { at: '/pipeline', answers: answers(READER, proof) });
    await expectWithheld(drawn, 'Cancel');
    expect(screen.getByRole('progressbar', { name: 'Checks made' })).toBeTruthy();
  });
});

for (const [who, session] of [
  ['an administrator', ADMIN],
  ['anybody on a server without users', WITHOUT_USERS],
] as const)
  describe(who, () => {
    it('tries dead letters again, and takes a replay back', async () => {
      const { user, ...drawn } = await draw(<DeadLetters />, { at: '/pipeline', answers: answers(session) });
      await user.click(await screen.findByRole('button', { name: 'Try again' }));
      await user.click(await screen.findByRole('button', { name: 'Replay at the next start' }));
      await user.click(screen.getByRole('button', { name: 'Cancel' }));
      const retry = 'POST /sources/orders/dead-letters/retry';
      await waitFor(() => expect(changes(drawn)).toEqual([retry, retry, 'DELETE /dead-letters/requests/r1']));
    });

    it('starts a proof', async () => {
      const { user, ...drawn } = await draw(<Verification />, { at: '/pipeline', answers: answers(session) });
      await user.click(await screen.findByRole('button', { name: 'Verify now' }));
      await waitFor(() => expect(changes(drawn)).toEqual(['POST /verification']));
    });
  });

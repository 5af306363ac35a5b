/** Dead letters and proofs are looked at by all; trying again, replaying and proving is for those who may. */
import { screen, waitFor } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { ADMIN, changes, draw, expectWithheld, READER, Refusal, WITHOUT_USERS } from '../../shared/testing';
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
  'POST /restart': () => ({ process: 7, generation: 3 }),
  'GET /verification': () => proof,
  'POST /verification': () => proof,
  'DELETE /verification': () => proof,
});

describe('a reader', () => {
  it('sees dead letters and what was requested', async () => {
    const drawn = await draw(<DeadLetters />, { at: '/pipeline', answers: answers(READER) });
    expect(await screen.findByText('no number x')).toBeTruthy();
    for (const name of ['Try again', 'Cancel']) await expectWithheld(drawn, name);
    expect(screen.queryByRole('button', { name: 'Reprocess now' })).toBeNull();
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

    it('reprocesses dead letters at once, and is told when the pipeline is back', async () => {
      const drawn = await draw(<DeadLetters />, { at: '/pipeline', answers: answers(session) });
      const { user } = drawn;
      await user.click(await screen.findByRole('button', { name: 'Try again' }));
      // One for what waits already, and one for these letters.
      const buttons = await screen.findAllByRole('button', {
        name: 'Reprocess now',
        description: 'the pipeline restarts, which takes some seconds',
      });
      expect(buttons).toHaveLength(2);
      await user.click(buttons[1] as HTMLElement);
      const retry = 'POST /sources/orders/dead-letters/retry';
      await waitFor(() => expect(changes(drawn)).toEqual([retry, retry, 'POST /restart']));
      const bodies = drawn.asked.filter(({ path }) => path.endsWith('/retry')).map(({ body }) => body);
      expect(bodies).toEqual([
        { dry_run: true, kind: KIND.kind },
        { dry_run: false, kind: KIND.kind },
      ]);
      const restarting = await screen.findAllByRole('button', { name: 'Restarting…' });
      for (const button of restarting) expect(button.hasAttribute('disabled')).toBe(true);
      await drawn.link({ type: 'link', link: { status: 'reconnecting', cause: 'bye', retryAt_ms: null } });
      expect(screen.getAllByRole('button', { name: 'Restarting…' })).toHaveLength(restarting.length);
      await drawn.link({ type: 'link', link: { status: 'live' } });
      expect(await screen.findAllByRole('button', { name: 'Reprocess now' })).toHaveLength(restarting.length);
    });

    it('is told why the pipeline does not restart', async () => {
      const detail = 'the pipeline goes on as it was, since it could not start: line 3';
      const refused = new Refusal(409, { code: 'would_not_start', detail, hint: 'mend it' });
      const drawn = await draw(<DeadLetters />, {
        at: '/pipeline',
        answers: { ...answers(session), 'POST /restart': () => refused },
      });
      await drawn.user.click(await screen.findByRole('button', { name: 'Reprocess now' }));
      expect((await screen.findByRole('alert')).textContent).toBe(`${detail}: mend it`);
      expect(changes(drawn)).toEqual(['POST /restart']);
    });

    it('restarts for a definition that was changed', async () => {
      const undecodable = { letters: 3, decodable: 0, request: null };
      const drawn = await draw(<DeadLetters />, {
        at: '/pipeline',
        answers: { ...answers(session), 'POST /sources/*/dead-letters/retry': () => undecodable },
      });
      await drawn.user.click(await screen.findByRole('button', { name: 'Try again' }));
      await drawn.user.click(await screen.findByRole('button', { name: 'Restart' }));
      await waitFor(() => expect(changes(drawn).at(-1)).toBe('POST /restart'));
    });

    it('starts a proof', async () => {
      const { user, ...drawn } = await draw(<Verification />, { at: '/pipeline', answers: answers(session) });
      await user.click(await screen.findByRole('button', { name: 'Verify now' }));
      await waitFor(() => expect(changes(drawn)).toEqual(['POST /verification']));
    });
  });

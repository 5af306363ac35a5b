/** What a person can say of an incident, by the names of the buttons and fields. */
import { screen, waitFor, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import type { Detected } from '../../shared/detected';
import { changes, type Drawn, draw, expectWithheld, READER, Refusal } from '../../shared/testing';
import { IncidentActions } from './IncidentActions';

const INCIDENT = {
  incident: '00000000000000a1',
  detector: 'sales',
  key: { shop: 'Delft' },
  metric: 'orders',
  state: 'open',
  withdrawn_ms: null,
} as unknown as Detected;
const ACTIONS = 'POST /incidents/*/actions';
/** What was asked, besides who is signed in. */
const actions = ({ asked }: Pick<Drawn, 'asked'>) => asked.filter(({ method }) => method === 'POST');
const button = (name: string | RegExp) => screen.getByRole('button', { name });

describe('incident actions', () => {
  it('ask for a name first, and say it', async () => {
    const { user, ...drawn } = await draw(<IncidentActions incident={INCIDENT} />);
    await user.click(button('Acknowledge'));
    expect(screen.getByRole('alert').textContent).toMatch(/name/i);
    expect(document.activeElement).toBe(screen.getByRole('textbox', { name: 'Your name' }));
    expect(actions(drawn)).toEqual([]);
  });

  it('name nobody where the server knows who is signed in', async () => {
    const { user, ...drawn } = await draw(<IncidentActions incident={INCIDENT} />, {
      answers: {
        [ACTIONS]: () => ({}),
        'GET /session': () => ({ required: true, user: { name: 'ada@ops', role: 'admin' } }),
      },
    });
    await screen.findByText('as ada@ops');
    expect(screen.queryByRole('textbox', { name: 'Your name' })).toBeNull();
    await user.click(button('Acknowledge'));
    await waitFor(() => expect(actions(drawn)).toHaveLength(1));
    expect(actions(drawn)[0]?.body).toEqual({ action: 'acknowledge', by: null, note: '', for: null });
  });

  it('are there for a reader, who learns why they do nothing', async () => {
    const answers = { [ACTIONS]: () => ({}), 'GET /session': () => READER };
    const drawn = await draw(<IncidentActions incident={INCIDENT} />, { answers });
    for (const name of ['Acknowledge', 'Mute…', 'Not an anomaly']) await expectWithheld(drawn, name);
    expect(screen.queryAllByRole('textbox')).toEqual([]);
    expect(changes(drawn)).toEqual([]);
  });

  it('send who, what and why, and keep the name for the next time', async () => {
    const answers = { [ACTIONS]: () => ({}) };
    const { user, ...drawn } = await draw(<IncidentActions incident={INCIDENT} />, { answers });
    await user.type(screen.getByRole('textbox', { name: 'Your name' }), 'Ada');
    await user.type(screen.getByRole('textbox', { name: 'Note' }), ' looking ');
    await user.click(button('Acknowledge'));
    await waitFor(() => expect(actions(drawn)).toHaveLength(1));
    expect(actions(drawn)[0]).toMatchObject({
      path: '/incidents/00000000000000a1/actions',
      body: { action: 'acknowledge', by: 'Ada', note: 'looking', for: null },
    });
    // A note is of one action, the name of all.
    await waitFor(() =>
      expect(screen.getByRole<HTMLInputElement>('textbox', { name: 'Note' }).value).toBe(''),
    );
    expect(screen.queryByRole('textbox', { name: 'Your name' })).toBeNull();
    await user.click(button(/change your name/i));
    expect(screen.getByRole<HTMLInputElement>('textbox', { name: 'Your name' }).value).toBe('Ada');
  });

  it('mute for a while that is chosen', async () => {
    localStorage.setItem('tidelake.name', 'Ada');
    const answers = { [ACTIONS]: () => ({}) };
    const { user, ...drawn } = await draw(<IncidentActions incident={INCIDENT} />, { answers });
    await user.click(button(/^Mute/));
    const menu = await screen.findByRole('menu');
    expect(menu.textContent).toMatch(/orders.*Delft/);
    await user.click(within(menu).getByRole('menuitem', { name: '8 hours' }));
    await waitFor(() => expect(actions(drawn)[0]?.body).toMatchObject({ action: 'mute', for: '8 hours' }));
  });

  it('take back what holds', async () => {
    localStorage.setItem('tidelake.name', 'Ada');
    const said = { by: 'Bo', at: '2026-01-01T00:00:00Z', note: null, until: null };
    const held = { ...INCIDENT, acknowledged: said, dismissed: said } as Detected;
    const answers = { [ACTIONS]: () => ({}) };
    const { user, ...drawn } = await draw(<IncidentActions incident={held} />, { answers });
    expect(screen.queryByRole('button', { name: 'Acknowledge' })).toBeNull();
    await user.click(button('Unacknowledge'));
    await waitFor(() => expect(actions(drawn)[0]?.body).toMatchObject({ action: 'unacknowledge' }));
  });

  it('say why nothing was saved, and what to do, and try again', async () => {
    localStorage.setItem('tidelake.name', 'Ada');
    let isFull = true;
    const problem = { code: 'not_committed', detail: 'the lake is full', hint: 'make room' };
    const answers = { [ACTIONS]: () => (isFull ? new Refusal(503, problem) : {}) };
    const { user, ...drawn } = await draw(<IncidentActions incident={INCIDENT} />, { answers });
    await user.click(button('Not an anomaly'));
    const alert = await screen.findByRole('alert');
    expect(alert.textContent).toMatch(/The lake is full\. Make room\./);
    isFull = false;
    await user.click(button(/try again/i));
    await waitFor(() => expect(screen.queryByRole('alert')).toBeNull());
    expect(actions(drawn).map(it => it.body)).toEqual([actions(drawn)[0]?.body, actions(drawn)[0]?.body]);
  });
});

/** Signing in, and what is shown where nobody has to. */
import { screen } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { startLive } from '../api/live';
import { createStore } from '../api/store';
import { ChangeButton } from '../shared/change';
import { draw, READER_WHY, Refusal } from '../shared/testing';
import { SignedIn } from './SignIn';

const pages = (
  <SignedIn>
    <p>the pages</p>
  </SignedIn>
);

it('shows the pages of a server without users', async () => {
  await draw(pages, { answers: { 'GET /session': () => ({ required: false, user: null }) } });
  expect(await screen.findByText('the pages')).toBeTruthy();
});

it('shows the pages of a server that cannot be asked, which say so themselves', async () => {
  await draw(pages, { answers: { 'GET /session': () => new Refusal(500, {}) } });
  expect(await screen.findByText('the pages')).toBeTruthy();
});

it('shows no pages to who may only read metrics, and says what to do', async () => {
  let user: object | null = { name: 'prom', role: 'metrics' };
  const { user: person, asked } = await draw(pages, {
    answers: {
      'GET /session': () => ({ required: true, user }),
      'DELETE /session': () => {
        user = null;
        return {};
      },
    },
  });
  expect(
    await screen.findByText(/signed in as prom with the role metrics.* need the role read/),
  ).toBeTruthy();
  expect(screen.queryByText('the pages')).toBeNull();
  await person.click(screen.getByRole('button', { name: 'Sign in as somebody else' }));
  expect(await screen.findByLabelText('Access token')).toBeTruthy();
  expect(asked.map(({ path }) => path)).toEqual(['/session', '/session', '/session']);
});

it('asks for a token, says what is wrong with it, and then shows the pages', async () => {
  let user: object | null = null;
  const { user: person, asked } = await draw(pages, {
    answers: {
      'GET /session': () => ({ required: true, user }),
      'POST /session': ({ body }) => {
        if ((body as { token: string }).token !== 'tl_right')
          return new Refusal(401, {
            code: 'unknown_token',
            detail: 'nobody has this token',
            hint: 'make one',
          });
        user = { name: 'anna', role: 'read' };
        return {};
      },
    },
  });
  const field = await screen.findByLabelText('Access token');
  expect(screen.queryByText('the pages')).toBeNull();
  expect(field.getAttribute('type')).toBe('password');
  await person.type(field, 'tl_wrong{Enter}');
  expect((await screen.findByRole('alert')).textContent).toContain('Nobody has this token.');
  await person.clear(field);
  await person.type(field, ' tl_right ');
  await person.click(screen.getByRole('button', { name: 'Sign in' }));
  expect(await screen.findByText('the pages')).toBeTruthy();
  // A token goes into a body, never into an address.
  expect(asked.some(({ query }) => query.toString() !== '')).toBe(false);
});

it('asks again when a request is refused for want of a session', async () => {
  let user: object | null = { name: 'anna', role: 'read' };
  const { user: person } = await draw(
    <SignedIn>
      <Asking />
    </SignedIn>,
    {
      answers: {
        'GET /session': () => ({ required: true, user }),
        'GET /tables': () => new Refusal(401, { code: 'not_signed_in' }),
      },
    },
  );
  user = null;
  await person.click(await screen.findByRole('button', { name: 'ask' }));
  expect(await screen.findByLabelText('Access token')).toBeTruthy();
});

it('comes back when the event stream is refused for want of a session, and asks for the stream no more', async () => {
  vi.stubGlobal('SharedWorker', undefined);
  let user: object | null = { name: 'anna', role: 'read' };
  const { asked } = await draw(
    <SignedIn>
      <p>the pages</p>
    </SignedIn>,
    {
      answers: {
        'GET /session': () => ({ required: true, user }),
        'GET /stream': () => new Refusal(401, { code: 'not_signed_in' }),
      },
    },
  );
  expect(await screen.findByText('the pages')).toBeTruthy();
  user = null;
  const live = startLive(
    createStore(call => call()),
    document.baseURI,
  );
  live.want({ name: 'metrics' });
  expect(await screen.findByLabelText('Access token')).toBeTruthy();
  await new Promise(resolve => setTimeout(resolve, 2_000));
  expect(asked.filter(({ path }) => path === '/stream')).toHaveLength(1);
});

it('follows a role that was changed, once a request is refused for it', async () => {
  let role = 'admin';
  const { user: person } = await draw(
    <SignedIn>
      <Asking />
      <ChangeButton>Start</ChangeButton>
    </SignedIn>,
    {
      answers: {
        'GET /session': () => ({ required: true, user: { name: 'anna', role } }),
        'GET /tables': () => new Refusal(403, { code: 'role_too_low' }),
      },
    },
  );
  const button = await screen.findByRole('button', { name: 'Start' });
  expect(button.getAttribute('aria-disabled')).toBeNull();
  role = 'read';
  await person.click(screen.getByRole('button', { name: 'ask' }));
  expect(await screen.findByRole('button', { name: 'Start', description: READER_WHY })).toBeTruthy();
});

function Asking() {
  return (
    <button
      type="button"
      onClick={() => void import('../api/client').then(it => it.api.GET('/api/v1/tables'))}
    >
      ask
    </button>
  );
}

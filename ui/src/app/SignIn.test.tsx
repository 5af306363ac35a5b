/** Signing in, and what is shown where nobody has to. */
import { screen } from '@testing-library/react';
import { expect, it } from 'vitest';
import { draw, Refusal } from '../shared/testing';
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

/** A time is taken when it is entered; what cannot be read stays, with what to write. */
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Live } from '../api/live';
import { createStore } from '../api/store';
import { LiveProvider } from './live';
import { TimeField } from './timefield';
import { chooseZone } from './zone';

const VALUE = Date.parse('2024-05-12T14:00:00Z');
const taken = vi.fn();
let root: Root;
let element: HTMLElement;

beforeEach(async () => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  taken.mockReset();
  element = document.body.appendChild(document.createElement('div'));
  root = createRoot(element);
  const live = { store: createStore(call => call()) } as unknown as Live;
  await act(async () =>
    root.render(
      <LiveProvider live={live}>
        <TimeField label="A" value={VALUE} onChange={taken} />
      </LiveProvider>,
    ),
  );
});
afterEach(async () => {
  await act(async () => root.unmount());
  element.remove();
});

const field = () => element.querySelector('input') as HTMLInputElement;
const said = () => element.querySelector('[role="alert"]')?.textContent ?? null;
const press = (key: string) =>
  act(async () => field().dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })));

async function type(text: string) {
  await act(async () => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(field(), text);
    field().dispatchEvent(new Event('input', { bubbles: true }));
  });
}

it('takes what is entered', async () => {
  expect(field().value).toBe('2024-05-12 14:00');
  await type('2024-05-12 15:30');
  expect(taken).not.toHaveBeenCalled();
  await press('Enter');
  expect(taken).toHaveBeenCalledWith(VALUE + 5_400_000);
});

it('keeps what it cannot read, and says what to write', async () => {
  await type('2024-05-32');
  await press('Enter');
  expect(taken).not.toHaveBeenCalled();
  expect(field().value).toBe('2024-05-32');
  expect(field().getAttribute('aria-invalid')).toBe('true');
  expect(said()).toBe('2024-05 has no day 32. Write 2024-05-01 to 2024-05-31.');
  await press('Escape');
  expect(field().value).toBe('2024-05-12 14:00');
  expect(said()).toBeNull();
});

it('is in the zone of the page', async () => {
  const before = process.env.TZ;
  process.env.TZ = 'Asia/Kolkata';
  await act(async () => chooseZone('local'));
  expect(field().value).toBe('2024-05-12 19:30');
  await type('2024-05-12 20:30');
  await press('Enter');
  expect(taken).toHaveBeenCalledWith(VALUE + 3_600_000);
  await act(async () => chooseZone('utc'));
  process.env.TZ = before;
});

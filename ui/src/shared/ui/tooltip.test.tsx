/** Words that are needed come by mouse, by keyboard and by finger. */
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Explained, Tooltip } from './tooltip';

let root: Root;
let element: HTMLElement;
const pressed = vi.fn();

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.useFakeTimers();
  pressed.mockReset();
  element = document.body.appendChild(document.createElement('div'));
  root = createRoot(element);
});
afterEach(async () => {
  await act(async () => root.unmount());
  element.remove();
  vi.useRealTimers();
});

async function draw(what: React.ReactNode): Promise<HTMLButtonElement> {
  await act(async () => root.render(what));
  return element.querySelector('button') as HTMLButtonElement;
}

const told = () => document.querySelector('[role="tooltip"]')?.textContent ?? null;

function pointer(type: string, pointerType: string): Event {
  return new PointerEvent(type, { bubbles: true, cancelable: true, pointerType });
}

const click = () => new MouseEvent('click', { bubbles: true, cancelable: true });

const ACTION = (
  <Tooltip text="Freeze all panels">
    <button type="button" onClick={pressed}>
      Freeze
    </button>
  </Tooltip>
);

it('comes with the focus and belongs to what has it', async () => {
  const button = await draw(ACTION);
  expect(told()).toBeNull();
  await act(async () => button.focus());
  expect(told()).toBe('Freeze all panels');
  const described = button.getAttribute('aria-describedby') ?? '';
  expect(document.getElementById(described)?.textContent).toBe('Freeze all panels');
  await act(async () => button.blur());
  expect(told()).toBeNull();
});

it('comes when a finger holds it, and nothing is pressed then', async () => {
  const button = await draw(ACTION);
  await act(async () => button.dispatchEvent(pointer('pointerdown', 'touch')));
  await act(async () => vi.advanceTimersByTime(500));
  expect(told()).toBe('Freeze all panels');
  await act(async () => {
    button.dispatchEvent(pointer('pointerup', 'touch'));
    button.dispatchEvent(click());
  });
  expect(pressed).not.toHaveBeenCalled();
});

it('leaves a tap to the button', async () => {
  const button = await draw(ACTION);
  await act(async () => {
    button.dispatchEvent(pointer('pointerdown', 'touch'));
    button.dispatchEvent(pointer('pointerup', 'touch'));
    button.dispatchEvent(click());
  });
  await act(async () => vi.advanceTimersByTime(1_000));
  expect(pressed).toHaveBeenCalledOnce();
  expect(told()).toBeNull();
});

it('stays where there is nothing to press, when it is clicked or Enter is pressed', async () => {
  const button = await draw(<Explained text="No record was an hour ago.">no data</Explained>);
  await act(async () => button.dispatchEvent(click()));
  expect(told()).toBe('No record was an hour ago.');
  await act(async () => button.dispatchEvent(click()));
  expect(told()).toBe('No record was an hour ago.');
});

it('comes by a tap where there is nothing to press', async () => {
  const button = await draw(<Explained text="No record was an hour ago.">no data</Explained>);
  const tap = async () => {
    await act(async () => button.dispatchEvent(pointer('pointerdown', 'touch')));
    await act(async () => button.dispatchEvent(pointer('pointerup', 'touch')));
    await act(async () => button.dispatchEvent(click()));
  };
  await tap();
  expect(told()).toBe('No record was an hour ago.');
  await tap();
  expect(told()).toBeNull();
});

/** Every point of a chart can be read, and every span of it selected, without a mouse. */
import { expect, it } from 'vitest';
import { type Crosshair, NOWHERE, nearest, pressed } from './chartKeys';

const COUNT = 60;

/** Press keys one after the other, with `+` for Shift; the last thing done, and where the crosshair is. */
function press(...keys: string[]) {
  let crosshair: Crosshair = NOWHERE;
  let last: ReturnType<typeof pressed> = null;
  for (const key of keys) {
    last = pressed(crosshair, { key: key.replace('+', ''), shiftKey: key.startsWith('+') }, COUNT);
    if (last?.kind === 'moved') crosshair = last.crosshair;
  }
  return { last, crosshair };
}

it('comes at the newest point and moves from there', () => {
  expect(press('ArrowLeft').crosshair).toEqual({ at: 59, anchor: null });
  expect(press('ArrowLeft', 'ArrowLeft', 'ArrowLeft').crosshair.at).toBe(57);
  expect(press('ArrowRight', 'ArrowRight').crosshair.at).toBe(59);
  expect(press('End', 'PageUp').crosshair.at).toBe(49);
  expect(press('Home').crosshair.at).toBe(0);
  expect(press('Home', 'ArrowLeft').crosshair.at).toBe(0);
  expect(press('Home', 'PageDown', 'PageDown').crosshair.at).toBe(20);
});

it('selects with Shift and takes it with Enter', () => {
  expect(press('Home', 'PageDown', '+ArrowRight', '+ArrowRight').crosshair).toEqual({ at: 12, anchor: 10 });
  expect(press('Home', 'PageDown', '+ArrowRight', '+ArrowRight', 'Enter').last).toEqual({
    kind: 'zoom',
    first: 10,
    last: 12,
  });
  expect(press('End', '+PageUp', 'Enter').last).toEqual({ kind: 'zoom', first: 49, last: 59 });
  // Without Shift the selection is left.
  expect(press('End', '+PageUp', 'ArrowLeft').crosshair).toEqual({ at: 48, anchor: null });
  expect(press('Home', 'Enter').last).toEqual({ kind: 'pick', at: 0 });
});

it('leaves with Escape: first the selection, then the point, then the chart', () => {
  expect(press('End', '+PageUp', 'Escape').crosshair).toEqual({ at: 49, anchor: null });
  expect(press('End', '+PageUp', 'Escape', 'Escape').crosshair).toEqual(NOWHERE);
  expect(press('Escape').last).toBeNull();
  expect(press('Enter').last).toBeNull();
});

it('leaves other keys to the page, and a chart without points all of them', () => {
  for (const key of ['t', 'd', ' ', 'ArrowUp', 'Tab']) expect(press('End', key).last).toBeNull();
  expect(pressed(NOWHERE, { key: 'ArrowLeft', shiftKey: false }, 0)).toBeNull();
});

it('stays at its time while steps come and go', () => {
  expect(nearest([10, 20, 30], 21)).toBe(1);
  expect(nearest([10, 20, 30], 5)).toBe(0);
  expect(nearest([], 5)).toBeNull();
});

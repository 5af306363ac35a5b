/** Each change of the range is undone once, and undoing is no change. */
import { expect, it, vi } from 'vitest';
import { createTrail } from './trail';

it('goes back through what was looked at', () => {
  const trail = createTrail();
  const told = vi.fn();
  trail.subscribe(told);
  trail.follow({});
  expect(trail.canUndo()).toBe(false);
  expect(trail.undo()).toBeNull();
  trail.follow({ range: '1h' });
  trail.follow({ range: '1h' });
  trail.follow({ from: 'a', to: 'b' });
  expect(trail.undo()).toEqual({ range: '1h' });
  // The address follows.
  trail.follow({ range: '1h' });
  expect(trail.undo()).toEqual({});
  expect(trail.canUndo()).toBe(false);
  expect(told).toHaveBeenCalledTimes(5);
});

it('is not kept without end', () => {
  const trail = createTrail();
  for (let minutes = 1; minutes < 200; minutes++) trail.follow({ range: `${minutes}m` });
  let count = 0;
  while (trail.undo() !== null) count += 1;
  expect(count).toBe(50);
});

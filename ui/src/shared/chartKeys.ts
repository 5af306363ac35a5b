/**
 * A chart over time by keyboard: arrows move a crosshair from step to step, Shift selects times, Enter takes what is
 * selected, Escape lets go, and once more leaves. Pure functions; a chart of any kind can use them.
 */
export interface Crosshair {
  /** Which step it is at; `null` while it is not shown. */
  at: number | null;
  /** Where the selection began; `null` without one. */
  anchor: number | null;
}

export const NOWHERE: Crosshair = { at: null, anchor: null };

export type Pressed =
  | { kind: 'moved'; crosshair: Crosshair }
  /** Steps that were selected, the last one included. */
  | { kind: 'zoom'; first: number; last: number }
  | { kind: 'pick'; at: number };

const PAGE = 10;

/** What a key does with the crosshair of a chart of so many steps; `null` if it is none of the chart's. */
export function pressed(
  { at, anchor }: Crosshair,
  { key, shiftKey }: { key: string; shiftKey: boolean },
  count: number,
): Pressed | null {
  if (count === 0) return null;
  if (key === 'Enter' && at !== null)
    return anchor === null
      ? { kind: 'pick', at }
      : { kind: 'zoom', first: Math.min(at, anchor), last: Math.max(at, anchor) };
  if (key === 'Escape' && at !== null)
    return { kind: 'moved', crosshair: anchor === null ? NOWHERE : { at, anchor: null } };
  const to = target(at, key, count);
  if (to === null) return null;
  const next = Math.min(count - 1, Math.max(0, to));
  return { kind: 'moved', crosshair: { at: next, anchor: shiftKey ? (anchor ?? at ?? next) : null } };
}

/** The crosshair comes at the newest step, wherever it is moved to first. */
function target(at: number | null, key: string, count: number): number | null {
  const from = at ?? count - 1;
  const step = at === null ? 0 : 1;
  switch (key) {
    case 'ArrowLeft':
      return from - step;
    case 'ArrowRight':
      return from + step;
    case 'PageUp':
      return from - PAGE * step;
    case 'PageDown':
      return from + PAGE * step;
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return null;
  }
}

/** The step that is nearest to a time; `null` if there is none. */
export function nearest(times: readonly number[], time: number): number | null {
  let best: number | null = null;
  times.forEach((it, at) => {
    if (best === null || Math.abs(it - time) < Math.abs((times[best] ?? 0) - time)) best = at;
  });
  return best;
}

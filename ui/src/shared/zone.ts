/**
 * In which zone times are shown and typed: UTC, or the zone of this browser. The choice stays in this browser; a link
 * carries instants, which read right in either.
 */
import { useSyncExternalStore } from 'react';

export type Zone = 'utc' | 'local';

/** A time of day on a date, as a clock shows it. Months and days count from 1. */
export interface Clock {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  ms: number;
}

const KEY = 'tidelake.zone';
const readers = new Set<() => void>();
let current: Zone = kept();

function kept(): Zone {
  return globalThis.localStorage?.getItem(KEY) === 'local' ? 'local' : 'utc';
}

/** The zone in use, outside of components. */
export function zoneNow(): Zone {
  return current;
}

export function chooseZone(zone: Zone): void {
  current = zone;
  if (zone === 'utc') globalThis.localStorage?.removeItem(KEY);
  else globalThis.localStorage?.setItem(KEY, zone);
  for (const reader of readers) reader();
}

/** The zone in use; a component that asks is drawn again when it changes. */
export function useZone(): Zone {
  return useSyncExternalStore(reader => {
    readers.add(reader);
    return () => readers.delete(reader);
  }, zoneNow);
}

/** `UTC` or `local`, to stand behind a time or in the head of a column of times. */
export function zoneName(zone: Zone = current): string {
  return zone === 'utc' ? 'UTC' : 'local';
}

/** How far the zone's clock is ahead of UTC at an instant, in milliseconds. It differs between summer and winter. */
export function aheadOf(ms: number, zone: Zone = current): number {
  return zone === 'utc' ? 0 : -60_000 * new Date(ms).getTimezoneOffset();
}

/** `UTC+2`, `UTC-3:30`, `UTC+0`: the zone of this browser at an instant. */
export function offsetText(ms: number): string {
  const ahead_min = aheadOf(ms, 'local') / 60_000;
  const [hours, minutes] = [Math.floor(Math.abs(ahead_min) / 60), Math.abs(ahead_min) % 60];
  const rest = minutes === 0 ? '' : `:${String(minutes).padStart(2, '0')}`;
  return `UTC${ahead_min < 0 ? '-' : '+'}${hours}${rest}`;
}

/** What the zone's clock shows at an instant. */
export function clockOf(ms: number, zone: Zone = current): Clock {
  const shown = new Date(ms + aheadOf(ms, zone));
  return {
    year: shown.getUTCFullYear(),
    month: shown.getUTCMonth() + 1,
    day: shown.getUTCDate(),
    hour: shown.getUTCHours(),
    minute: shown.getUTCMinutes(),
    second: shown.getUTCSeconds(),
    ms: shown.getUTCMilliseconds(),
  };
}

/**
 * The instant at which the zone's clock shows this; fields beyond their end count on, so that day 0 is the last of the
 * month before. Of an hour that the clock shows twice, the first; one that it leaps over is counted on.
 */
export function instantOf(clock: Partial<Clock> & Pick<Clock, 'year'>, zone: Zone = current): number {
  const { year, month = 1, day = 1, hour = 0, minute = 0, second = 0, ms = 0 } = clock;
  const made = new Date(0);
  if (zone === 'utc') {
    made.setUTCFullYear(year, month - 1, day);
    made.setUTCHours(hour, minute, second, ms);
  } else {
    made.setFullYear(year, month - 1, day);
    made.setHours(hour, minute, second, ms);
  }
  return made.getTime();
}

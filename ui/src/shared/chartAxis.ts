/**
 * The axes of charts over time: which times are labelled and how, and how far the values reach. Pure functions.
 */
import { formatAny, formatDateTime, formatNumber } from './format';
import { aheadOf, clockOf } from './zone';

export const TICK_FONT = '11px "IBM Plex Sans", system-ui, sans-serif';
/** A label of the axis of time has at least so much. */
export const TICK_APART_PX = 64;
/** Room at the right for half of the last label of the axis of time. */
export const TICK_ROOM_PX = 18;
const TICK_ROOM_SECONDS_PX = 26;
/** Over days, a label may be a date with its year. */
export const LONG_SPAN_S = 259_200;
export const TICK_APART_LONG_PX = 84;
const TICK_ROOM_LONG_PX = 32;

/** How far apart labelled times may be. Beyond the longest, in so many days. */
const TICKS_S = [1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];

/** At most so many times within a range that are round in the zone of the page. */
export function ticksOf(first: number, last: number, most: number): number[] {
  const day = 86_400;
  const span = last - first;
  const apart = TICKS_S.find(seconds => span / seconds <= most) ?? day * Math.ceil(span / most / day);
  const ticks: number[] = [];
  const ahead = aheadOf(first * 1000) / 1000;
  for (let time = Math.ceil((first + ahead) / apart) * apart - ahead; time <= last; time += apart)
    ticks.push(time);
  return ticks;
}

/** Times as labels of an axis: days at midnight, with their year if it is another one; seconds if the steps are so short. */
export function clockLabels(ticks: readonly number[], year: number = clockOf(Date.now()).year): string[] {
  const step = (ticks[1] ?? 0) - (ticks[0] ?? 0);
  return ticks.map(seconds => {
    const [date = '', time = ''] = formatDateTime(seconds * 1000).split(' ');
    if (time === '00:00:00') return date.startsWith(`${year}-`) ? date.slice(5) : date;
    return time.slice(0, step < 60 ? 8 : 5);
  });
}

/** What the last label needs: one with seconds is longer. */
export function tickRoom(span_s: number, width_px: number): number {
  if (span_s > LONG_SPAN_S) return TICK_ROOM_LONG_PX;
  const step_s = (span_s * TICK_APART_PX) / Math.max(1, width_px);
  return step_s < 60 ? TICK_ROOM_SECONDS_PX : TICK_ROOM_PX;
}

/** Zero is always in it, and some room beyond the values. */
export function rangeOfValues(
  low: number | null,
  high: number | null,
  top = Number.POSITIVE_INFINITY,
): [number, number] {
  const least = Math.min(0, (low ?? 0) * 1.08);
  if (high === null || high <= 0) return [least, least < 0 ? 0 : 1];
  return [least, Math.min(high * 1.08, top)];
}

/** Ticks of the axis of values. Those at even steps have as many decimals as the step needs, so that they line up. */
export function valueLabels(ticks: readonly (number | null)[]): string[] {
  const known = ticks.filter(it => it !== null);
  const step = (known[1] ?? 0) - (known[0] ?? 0);
  const isNear = (a: number, b: number) => Math.abs(a - b) < 1e-6;
  const isEven = known.every((it, at) => at === 0 || isNear((it - (known[at - 1] ?? 0)) / step, 1));
  const decimals = [0, 1, 2, 3, 4].find(it => isNear(step * 10 ** it, Math.round(step * 10 ** it)));
  const isShort = known.every(it => Math.abs(it) < 1e4);
  return ticks.map(it => {
    if (it === null) return '';
    return it !== 0 && isEven && isShort ? formatNumber(it, decimals ?? 4) : shortNumber(it);
  });
}

/** A tick of the axis. */
function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${trim(value / 1e6)} M`;
  if (size >= 1e4) return `${trim(value / 1e3)} k`;
  return formatAny(value);
}

function trim(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/**
 * Numbers, times and sizes as people read them.
 *
 * Digits are grouped by a narrow space, units stand apart from their numbers. Every time is of the zone that was
 * chosen, UTC unless it is this browser's. What is missing is a dash, never a zero.
 */
import { aheadOf } from './zone';

export const MISSING = '–';
const THIN_SPACE = '\u202f';

export interface Quantity {
  value: string;
  unit: string;
}

/** A finite number, from a number or from digits in a string; else `null`. */
export function numberOf(value: unknown): number | null {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

export function textOf(value: unknown): string {
  if (value === null || value === undefined) return MISSING;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** `8412.25` with one decimal is `8 412.3`. */
export function formatNumber(value: number | null | undefined, decimals = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const [whole = '', fraction] = value.toFixed(decimals).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THIN_SPACE);
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** A number of unknown kind: whole numbers whole, others with as many decimals as help. */
export function formatAny(value: number | null): string {
  if (value === null) return MISSING;
  if (Number.isInteger(value)) return formatNumber(value);
  const size = Math.abs(value);
  return formatNumber(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.01 ? 2 : 4);
}

/** What was measured, of any size: whole numbers whole, others with three digits that say something. */
export function formatMeasured(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isInteger(value)) return formatNumber(value);
  const digits = 2 - Math.floor(Math.log10(Math.abs(value)));
  return formatNumber(value, Math.min(8, Math.max(0, digits)));
}

/** A change in whole percent, with its sign unless there is none. */
export function signedPercent(share: number): string {
  const size = formatNumber(Math.abs(share) * 100);
  if (size === '0') return '0 %';
  return `${share > 0 ? '+' : '−'}${size} %`;
}

/** A rate: decimals only while it is small. */
export function formatRate(value: number | null | undefined): string {
  return formatNumber(value, value !== null && value !== undefined && Math.abs(value) < 100 ? 1 : 0);
}

export function quantifyBytes(bytes: number | null | undefined): Quantity {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return { value: MISSING, unit: '' };
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let size = bytes;
  let index = 0;
  // 999.95 would be written as 1 000.0, so it already belongs to the next unit.
  while (size >= (index === 0 ? 1000 : 999.95) && index < units.length - 1) {
    size /= 1000;
    index += 1;
  }
  return { value: formatNumber(size, index === 0 ? 0 : 1), unit: units[index] ?? '' };
}

/** `0.4 s`, `12 s`, `3 min`, `5 h 10 min`, `2 d 3 h`. */
export function formatAge(age_ms: number): string {
  const seconds = Math.max(0, age_ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** The digits of a time in the chosen zone, as `2026-03-01T02:56:07.112`; `null` of what is no time. */
function digitsOf(time: unknown): string | null {
  const parsed = typeof time === 'string' || typeof time === 'number' ? new Date(time) : null;
  if (parsed === null || Number.isNaN(parsed.getTime())) return null;
  const ms = parsed.getTime();
  // A year of more digits has a sign and leading zeros.
  return new Date(ms + aheadOf(ms)).toISOString().replace(/Z$/, '');
}

/** `02:56:07.112`, or what was given if it is no time. */
export function formatTime(time: unknown, precision: 'ms' | 's' | 'min' = 's'): string {
  const digits = digitsOf(time);
  return digits === null
    ? textOf(time)
    : (digits.split('T')[1] ?? '').slice(0, { ms: 12, s: 8, min: 5 }[precision]);
}

/** `2026-03-01 02:56:07`, for tables that may span days. */
export function formatDateTime(time: unknown): string {
  const digits = digitsOf(time);
  return digits === null ? textOf(time) : digits.slice(0, -4).replace('T', ' ');
}

/** `2026-03-01`. */
export function formatDate(time: unknown): string {
  return formatDateTime(time).split(' ')[0] ?? '';
}

/** `02:56:07`, with its date if that is another one than the given, as `2026-03-01`. */
export function formatNear(time: unknown, today: string): string {
  const text = formatDateTime(time);
  return text.startsWith(`${today} `) ? text.slice(today.length + 1) : text;
}

/**
 * From when to when: `14:00 – 15:30` of today, `2024-05-12 14:00 – 15:30`, whole days as dates alone. Seconds only where
 * there are some.
 */
export function formatSpan(from_ms: number, to_ms: number, today: string): string {
  const [from, to] = [formatDateTime(from_ms), formatDateTime(to_ms)].map(text => text.split(' '));
  const [fromDate = '', fromTime = ''] = from ?? [];
  const [toDate = '', toTime = ''] = to ?? [];
  if (fromTime === '00:00:00' && toTime === '00:00:00' && to_ms > from_ms) {
    const last = formatDate(to_ms - 1);
    return fromDate === last ? fromDate : `${fromDate} – ${last}`;
  }
  const short = (time: string) => (time.endsWith(':00') ? time.slice(0, 5) : time);
  const start = fromDate === today && toDate === today ? short(fromTime) : `${fromDate} ${short(fromTime)}`;
  return `${start} – ${toDate === fromDate ? short(toTime) : `${toDate} ${short(toTime)}`}`;
}

/** `1 h 30 min`, `5 min`, `7 d`: how long something is. */
export function formatLength(length_ms: number): string {
  if (length_ms < 1_000) return `${formatNumber(length_ms)} ms`;
  const whole = Math.round(length_ms / 1000);
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3_600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${formatNumber(count)} ${unit}`)
    .join(' ');
}

/** `error_rate_spike` reads as `error rate spike`. */
export function formatName(name: unknown): string {
  return textOf(name).replaceAll('_', ' ').toLowerCase();
}

/**
 * Numbers, times and sizes as people read them.
 *
 * Digits are grouped by a narrow space, units stand apart from their numbers, every time is UTC. What is
 * missing is a dash, never a zero.
 */

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

/** `02:56:07.112`, or what was given if it is no time. */
export function formatTime(iso: unknown, precision: 'ms' | 's' | 'min' = 's'): string {
  const parsed = typeof iso === 'string' || typeof iso === 'number' ? new Date(iso) : null;
  if (parsed === null || Number.isNaN(parsed.getTime())) return textOf(iso);
  return parsed.toISOString().slice(11, { ms: 23, s: 19, min: 16 }[precision]);
}

/** `2026-03-01 02:56:07`, for tables that may span days. */
export function formatDateTime(iso: unknown): string {
  const parsed = typeof iso === 'string' || typeof iso === 'number' ? new Date(iso) : null;
  if (parsed === null || Number.isNaN(parsed.getTime())) return textOf(iso);
  return parsed.toISOString().slice(0, 19).replace('T', ' ');
}

/** `error_rate_spike` reads as `error rate spike`. */
export function formatName(name: unknown): string {
  return textOf(name).replaceAll('_', ' ').toLowerCase();
}

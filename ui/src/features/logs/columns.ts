/**
 * Which columns a list of records shows, in which order and how wide: as the address has it, `status,path:240`, and how a
 * change of it is written back. Pure functions.
 */
import type { Schemas } from '../../api/wire';

export type CatalogColumn = Schemas['CatalogColumn'];

/** A column of a list. Without a width it has the one that its role asks for. */
export interface Shown {
  column: CatalogColumn;
  width: number | null;
}

export const WIDTH_LEAST = 40;
export const WIDTH_MOST = 1_200;
/** By how much a key makes a column wider or narrower. */
export const WIDTH_STEP = 20;

/** The columns of an address; those that are not there are left out, and without any the given ones are shown. */
export function readColumns(
  text: string | undefined,
  known: readonly CatalogColumn[],
  defaults: readonly string[],
): Shown[] {
  const byName = new Map(known.map(column => [column.name, column]));
  const shown: Shown[] = [];
  for (const part of (text ?? '').split(',')) {
    const [name = '', width] = part.split(':');
    const column = byName.get(decoded(name));
    if (column === undefined || shown.some(it => it.column === column)) continue;
    const pixels = Number(width);
    shown.push({ column, width: width === undefined || !(pixels > 0) ? null : bounded(pixels) });
  }
  if (shown.length > 0) return shown;
  return defaults.flatMap(name => {
    const column = byName.get(name);
    return column === undefined ? [] : [{ column, width: null }];
  });
}

/** What the address says of them; nothing if they are as they would be without it. */
export function writeColumns(shown: readonly Shown[], defaults: readonly string[]): string | undefined {
  const isDefault =
    shown.length === defaults.length &&
    shown.every(({ column, width }, at) => width === null && column.name === defaults[at]);
  if (isDefault || shown.length === 0) return undefined;
  return shown
    .map(({ column, width }) => encoded(column.name) + (width === null ? '' : `:${width}`))
    .join(',');
}

export function withColumn(shown: readonly Shown[], column: CatalogColumn): Shown[] {
  return shown.some(it => it.column.name === column.name) ? [...shown] : [...shown, { column, width: null }];
}

/** Without a column; the last one stays, since a list shows something. */
export function withoutColumn(shown: readonly Shown[], name: string): Shown[] {
  const rest = shown.filter(({ column }) => column.name !== name);
  return rest.length === 0 ? [...shown] : rest;
}

export function moved(shown: readonly Shown[], name: string, by: -1 | 1): Shown[] {
  const next = [...shown];
  const from = next.findIndex(({ column }) => column.name === name);
  const to = from + by;
  const [one, other] = [next[from], next[to]];
  if (one === undefined || other === undefined) return next;
  next[from] = other;
  next[to] = one;
  return next;
}

export function resized(shown: readonly Shown[], name: string, width: number): Shown[] {
  return shown.map(it => (it.column.name === name ? { ...it, width: bounded(width) } : it));
}

function bounded(width: number): number {
  return Math.round(Math.min(WIDTH_MOST, Math.max(WIDTH_LEAST, width)));
}

/** A name may have the signs that part columns. */
function encoded(name: string): string {
  return name.replace(/[%,:]/g, sign => `%${sign.charCodeAt(0).toString(16)}`);
}

function decoded(name: string): string {
  return name.replace(/%([\da-f]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}

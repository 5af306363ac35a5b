/**
 * What sets one part of the records apart from another. Pure functions over counts that the server made.
 *
 * Only frequent values are counted. Of a value that is frequent in one part and not listed in the other nothing is said,
 * unless that list is complete: then it is not there.
 */
import type { Schemas } from '../../api/wire';

export interface Counted {
  total: number;
  facets: Pick<Schemas['Facet'], 'column' | 'is_text' | 'follows_time' | 'values'>[];
}

/** So many values of a field are listed; a shorter list is a complete one. */
const LISTED_MAX = 20;
const VALUES_SHOWN = 5;

/** A part of the heatmap: times in seconds, values in their own unit. */
export interface Box {
  from: number;
  to: number;
  low: number;
  high: number;
}

/** As it stands in the address. */
export function writeBox({ from, to, low, high }: Box): string {
  return [from, to, low, high].join('~');
}

export function readBox(text: string | undefined): Box | null {
  const [from, to, low, high] = (text ?? '').split('~').map(Number);
  const box = { from, to, low, high } as Box;
  if (!Object.values(box).every(Number.isFinite)) return null;
  return box.from < box.to && box.low < box.high ? box : null;
}

/** The records of a box, apart from their times, as a filter of the log over the column that the scale is of. */
export function filterOf({ low, high }: Pick<Box, 'low' | 'high'>, column: string): string {
  const name = /^[a-z_]\w*$/i.test(column) ? column : `"${column.replaceAll('"', '""')}"`;
  return `${name} >= ${low} AND ${name} < ${high}`;
}

/** One field, with its values as shares in percent. */
export interface Apart {
  column: string;
  isText: boolean;
  /** Whether its values are those of a time, such as an hour. */
  followsTime: boolean;
  /** The largest difference of a value's shares, in points. */
  apart: number;
  values: { value: string; inside: number; outside: number }[];
}

/** Fields by how much two parts differ in them. */
export function fieldsApart(inside: Counted, outside: Counted): Apart[] {
  if (inside.total <= 0 || outside.total <= 0) return [];
  return inside.facets
    .map(({ column, is_text, follows_time, values }): Apart => {
      const of = { column, isText: is_text, followsTime: follows_time };
      const other = outside.facets.find(facet => facet.column === column)?.values;
      // A field of too many values there is not listed at all.
      if (other === undefined) return { ...of, apart: 0, values: [] };
      const names = new Set([...values, ...other].map(({ value }) => value));
      const shares = [...names].flatMap(value => {
        const [a, b] = [countOf(values, value), countOf(other, value)];
        if (a === null || b === null) return [];
        return [{ value, inside: (100 * a) / inside.total, outside: (100 * b) / outside.total }];
      });
      shares.sort((a, b) => difference(b) - difference(a) || (a.value < b.value ? -1 : 1));
      const apart = shares[0] === undefined ? 0 : difference(shares[0]);
      return { ...of, apart, values: shares.slice(0, VALUES_SHOWN) };
    })
    .filter(({ values }) => values.length > 0)
    .sort((a, b) => b.apart - a.apart);
}

/** All records but those of a part. Values that cannot be told are left out. */
export function without(all: Counted, part: Counted): Counted {
  const facets = all.facets.map(facet => {
    const known = part.facets.find(({ column }) => column === facet.column)?.values ?? [];
    const values = facet.values.flatMap(({ value, count }) => {
      const taken = countOf(known, value);
      return taken === null ? [] : [{ value, count: Math.max(0, count - taken) }];
    });
    // A value that was left out must not look as if it were not there.
    const complete = facet.values.length < LISTED_MAX && values.length === facet.values.length;
    return { ...facet, values: complete ? values : padded(values) };
  });
  return { total: Math.max(0, all.total - part.total), facets };
}

/** A list that is known not to be complete is as long as one that may not be. */
function padded(values: { value: string; count: number }[]): { value: string; count: number }[] {
  const missing = Math.max(0, LISTED_MAX - values.length);
  return [...values, ...Array.from({ length: missing }, () => ({ value: '', count: Number.NaN }))];
}

function countOf(values: readonly { value: string; count: number }[], value: string): number | null {
  const found = values.find(it => it.value === value);
  if (found !== undefined) return Number.isNaN(found.count) ? null : found.count;
  return values.length < LISTED_MAX ? 0 : null;
}

function difference({ inside, outside }: { inside: number; outside: number }): number {
  return Math.abs(inside - outside);
}

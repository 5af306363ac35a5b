/** Example records of an incident as lines: which of their columns say most. Pure functions. */
import { formatMeasured, textOf } from '../../shared/format';

type Columns = Readonly<Record<string, unknown>>;

/** Further columns are seen when the line is opened. */
const PAIRS_MAX = 6;
/** Longer texts are cut in a line. */
const VALUE_MAX = 60;
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/;

/** The first column that is a time. */
export function timeOf(columns: Columns): string | null {
  const found = Object.values(columns).find(it => typeof it === 'string' && ISO_TIME.test(it));
  return typeof found === 'string' ? found : null;
}

interface Names {
  /** Says which records these are; columns that it names come first. */
  text: string;
  explainBy: readonly string[];
  keyOf: Columns;
}

/** Columns of a line with their values: those that the text names, those that explain, then others, without times, the key and what is null. */
export function pairsOf(columns: Columns, { text, explainBy, keyOf }: Names): [string, unknown][] {
  const words = new Set(text.match(/\w+/g));
  const rank = (name: string) => (words.has(name) ? 0 : explainBy.includes(name) ? 1 : 2);
  return Object.entries(columns)
    .filter(([name, value]) => value !== null && !(name in keyOf) && !ISO_TIME.test(String(value)))
    .sort(([a], [b]) => rank(a) - rank(b))
    .slice(0, PAIRS_MAX);
}

export function valueText(value: unknown): string {
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : formatMeasured(value);
  const text = textOf(value);
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}…` : text;
}

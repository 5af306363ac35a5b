/**
 * What can be written next in a filter: columns, operators, values, or how conditions are joined. Pure functions over the
 * text before the cursor; the bar asks for the values and shows them.
 */
import type { Schemas } from '../api/wire';
import { partOf } from './filter';

type Column = Schemas['CatalogColumn'];

export interface Suggestion {
  /** What is put in place of the word at the cursor. */
  insert: string;
  label: string;
  detail: string;
}

export interface Suggestions {
  /** The word at the cursor. */
  from: number;
  to: number;
  /** Whose frequent values could be written here. */
  valuesOf: Column | null;
  options: Suggestion[];
}

const SUGGESTED_MAX = 12;
const TOKEN = /'(?:[^']|'')*'?|"(?:[^"]|"")*"?|[<>=!~]+|[(),]|[^\s'"<>=!~(),]+/g;
const OF_TEXT = ['=', '!=', '~', '!~', 'IN (', 'LIKE', 'NOT LIKE', 'IS NULL', 'IS NOT NULL'];
const OF_OTHERS = ['=', '!=', '>', '>=', '<', '<=', 'IN (', 'BETWEEN', 'IS NULL', 'IS NOT NULL'];
const OPERATOR_WORDS: Record<string, string> = {
  '~': 'contains, in any case',
  '!~': 'does not contain',
  'IN (': 'one of',
  LIKE: '% is any text',
  'NOT LIKE': '% is any text',
  BETWEEN: 'a AND b',
  'IS NULL': 'has no value',
  'IS NOT NULL': 'has a value',
};

function nameOf(column: string): string {
  return partOf(column, '=', 0).slice(0, -4);
}

type Place =
  | { expects: 'column' }
  | { expects: 'operator'; column: Column }
  | { expects: 'value'; column: Column }
  | { expects: 'joint' }
  | { expects: 'nothing' };

/** What a filter expects after these tokens. */
function placeAfter(tokens: readonly string[], columns: readonly Column[]): Place {
  const byName = new Map(columns.map(column => [column.name.toLowerCase(), column]));
  let place: Place = { expects: 'column' };
  let column: Column | null = null;
  let isList = false;
  let isBetween = false;
  for (const token of tokens) {
    const word = token.toUpperCase();
    if (word === 'NOT' || (word === '(' && place.expects === 'column')) continue;
    if (word === 'AND' && isBetween && column !== null) {
      isBetween = false;
      place = { expects: 'value', column };
    } else if (word === 'AND' || word === 'OR') {
      place = { expects: 'column' };
    } else if (place.expects === 'column') {
      const name = token.startsWith('"') ? token.slice(1, -1).replaceAll('""', '"') : token;
      column = byName.get(name.toLowerCase()) ?? null;
      if (token === '*') place = { expects: 'nothing' };
      else place = column === null ? { expects: 'nothing' } : { expects: 'operator', column };
    } else if (place.expects === 'operator') {
      if (word === 'IS') place = { expects: 'nothing' };
      else {
        isBetween = word === 'BETWEEN';
        isList = word === 'IN';
        if (column !== null) place = { expects: 'value', column };
      }
    } else if (place.expects === 'value') {
      if (word === '(' || word === ',') continue;
      if (!isList && !isBetween) place = { expects: 'joint' };
      if (isList && word === ')') {
        isList = false;
        place = { expects: 'joint' };
      }
    } else if (place.expects === 'nothing' && (word === 'NULL' || token.startsWith("'"))) {
      place = { expects: 'joint' };
    }
  }
  return place;
}

/** `values` are the frequent ones of a column, once they are known. */
export function suggestionsAt(
  text: string,
  cursor: number,
  columns: readonly Column[],
  values: (column: string) => readonly string[] | undefined,
): Suggestions {
  const before = text.slice(0, cursor);
  const tokens = [...before.matchAll(TOKEN)].map(({ 0: token, index }) => ({ token, at: index }));
  const last = tokens.at(-1);
  const isAtEnd = last !== undefined && last.at + last.token.length === cursor;
  // An operator is done when it is written; a word may go on.
  const isOpen = isAtEnd && !/^[<>=!~(),]/.test(last.token) && !isClosed(last.token);
  const word = isOpen ? last.token : '';
  const place = placeAfter(
    tokens.slice(0, isOpen ? -1 : undefined).map(({ token }) => token),
    columns,
  );
  const from = cursor - word.length;
  const none: Suggestions = { from, to: cursor, valuesOf: null, options: [] };
  const rank = (all: Suggestion[]) => ranked(all, word);
  switch (place.expects) {
    case 'column':
      return {
        ...none,
        options: rank([
          ...columns.map(({ name, role, unit, type }) => ({
            insert: `${nameOf(name)} `,
            label: name,
            detail: [type, role === 'other' || role === type ? null : role, unit].filter(Boolean).join(' · '),
          })),
          { insert: 'NOT ', label: 'NOT', detail: 'the opposite' },
        ]),
      };
    case 'operator': {
      const known = place.column.type === 'text' ? OF_TEXT : OF_OTHERS;
      const options = known.map(operator => ({
        insert: operator === 'IN (' ? operator : `${operator} `,
        label: operator.replace(' (', ' (…)'),
        detail: OPERATOR_WORDS[operator] ?? '',
      }));
      return { ...none, options: rank(options) };
    }
    case 'value': {
      const found = values(place.column.name) ?? [];
      const options = found.map(value => {
        const literal = isQuoted(place.column.type) ? `'${value.replaceAll("'", "''")}'` : value;
        return { insert: `${literal} `, label: literal, detail: '' };
      });
      return { ...none, valuesOf: place.column, options: rank(options) };
    }
    case 'joint':
      return {
        ...none,
        options: rank([
          { insert: 'AND ', label: 'AND', detail: 'both' },
          { insert: 'OR ', label: 'OR', detail: 'either' },
        ]),
      };
    case 'nothing':
      return none;
  }
}

/** Whether values of a type are written in quotes. */
export function isQuoted(type: string): boolean {
  return type === 'text' || type === 'timestamp' || type === 'date';
}

function isClosed(token: string): boolean {
  return /^(['"]).*\1$/s.test(token) && token.length > 1;
}

/** Those that begin with the word, then those that contain it. */
function ranked(all: readonly Suggestion[], word: string): Suggestion[] {
  const wanted = word.toLowerCase().replace(/^['"]/, '');
  const plain = ({ label }: Suggestion) => label.toLowerCase().replace(/^['"]/, '');
  const starts = all.filter(it => plain(it).startsWith(wanted));
  const contains = all.filter(it => !plain(it).startsWith(wanted) && plain(it).includes(wanted));
  return [...starts, ...contains]
    .filter(({ insert }) => insert.trim().toLowerCase() !== word.toLowerCase())
    .slice(0, SUGGESTED_MAX);
}

/** The text with a suggestion taken, and where the cursor then stands. */
export function taken(
  text: string,
  { from, to }: Suggestions,
  { insert }: Suggestion,
): { text: string; cursor: number } {
  const rest = text.slice(to);
  // Not two spaces beside each other.
  const put = rest.startsWith(' ') ? insert.trimEnd() : insert;
  return { text: text.slice(0, from) + put + rest, cursor: from + put.length };
}

/**
 * The `where` of the log as a list of parts, for adding and removing them by a click. The server parses the text; this
 * only cuts it at its ANDs, outside of quotes and parentheses, and tells a condition from words to search for.
 */
export type Operator = '=' | '!=' | '~' | '!~' | '>=' | '<=' | 'LIKE' | 'NOT LIKE';

/** The words of a filter outside of quotes and parentheses, with their places. */
function topWords(text: string): { word: string; at: number }[] {
  const words: { word: string; at: number }[] = [];
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/'(?:[^']|'')*'?|"(?:[^"]|"")*"?|[()]|[^\s'"()]+/g)) {
    if (token === '(') depth += 1;
    else if (token === ')') depth -= 1;
    else if (depth === 0 && !/^['"]/.test(token)) words.push({ word: token.toUpperCase(), at: index });
  }
  return words;
}

function isAnyOf(part: string): boolean {
  return topWords(part).some(({ word }) => word === 'OR');
}

/** What must all hold. An OR binds less than AND, so a filter with one outside of parentheses is one part. */
export function partsOf(where: string | undefined): string[] {
  const text = where ?? '';
  const words = topWords(text);
  if (words.some(({ word }) => word === 'OR')) return [text.trim()];
  const parts: string[] = [];
  let from = 0;
  let between = false;
  for (const { word, at } of words) {
    if (word === 'BETWEEN') between = true;
    if (word !== 'AND') continue;
    // The first AND after BETWEEN stands between its bounds.
    if (between) between = false;
    else {
      parts.push(text.slice(from, at));
      from = at + word.length;
    }
  }
  parts.push(text.slice(from));
  return parts.map(part => part.trim()).filter(part => part !== '');
}

export function joined(parts: readonly string[]): string | undefined {
  if (parts.length < 2) return parts[0];
  return parts.map(part => (isAnyOf(part) ? `(${part})` : part)).join(' AND ');
}

/** One comparison, as the server writes it. */
export function partOf(column: string, operator: Operator, value: string | number | boolean): string {
  const name = /^[a-z_]\w*$|^\*$/i.test(column) ? column : `"${column.replaceAll('"', '""')}"`;
  const literal = typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
  return `${name} ${operator} ${literal}`;
}

/** That a column has a value, or has none. */
export function existsOf(column: string, exists: boolean): string {
  const name = partOf(column, '=', 0).slice(0, -4);
  return `${name} IS ${exists ? 'NOT ' : ''}NULL`;
}

function oppositeOf(part: string): string {
  if (part.endsWith(' IS NOT NULL')) return part.replace(/ IS NOT NULL$/, ' IS NULL');
  if (part.endsWith(' IS NULL')) return part.replace(/ IS NULL$/, ' IS NOT NULL');
  if (part.includes(' NOT LIKE ')) return part.replace(' NOT LIKE ', ' LIKE ');
  if (part.includes(' LIKE ')) return part.replace(' LIKE ', ' NOT LIKE ');
  return part.includes(' != ') ? part.replace(' != ', ' = ') : part.replace(' = ', ' != ');
}

/** The filter with a part more; the opposite of it goes. */
export function withPart(where: string | undefined, part: string): string {
  const opposite = oppositeOf(part);
  const parts = partsOf(where).filter(known => known !== part && known !== opposite);
  return joined([...parts, part]) ?? part;
}

/** The column and value of a filter that is one equality, as a click on a value writes it. */
export function equalityOf(where: string | undefined): { column: string; value: string } | null {
  const found = /^(?:([a-z_]\w*)|"((?:[^"]|"")+)") = (?:'((?:[^']|'')*)'|(-?[\w.]+))$/i.exec(
    (where ?? '').trim(),
  );
  if (found === null) return null;
  const [, plain, quoted, text, other] = found;
  return {
    column: plain ?? (quoted ?? '').replaceAll('""', '"'),
    value: text?.replaceAll("''", "'") ?? other ?? '',
  };
}

export function withoutPart(where: string | undefined, part: string): string | undefined {
  return joined(partsOf(where).filter(known => known !== part));
}

const SIGNS = /[=<>~]|\b(?:AND|OR|NOT|IN|LIKE|ILIKE|BETWEEN)\b|^\s*[\w.]+:\S|^\s*\(/;
const SIGNS_OF_ANY_CASE = /\bin\s*\(|\bi?like\s*'|\bbetween\b.+\band\b|\bis\s+(?:not\s+)?null\b/i;

/**
 * Whether a text was meant as a condition. If it may have been, it is given to the server as one, which says what is wrong
 * with it: it is never taken for words in silence.
 */
export function looksLikeCondition(text: string): boolean {
  return SIGNS.test(text) || SIGNS_OF_ANY_CASE.test(text);
}

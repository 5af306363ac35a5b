/**
 * The `where` of the log as a list of parts, for adding and removing them by a click. The server parses the text; this
 * only cuts it at its ANDs, outside of quotes.
 */
export type Operator = '=' | '!=' | '~' | '!~' | '>=' | '<=';

export function partsOf(where: string | undefined): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (const word of (where ?? '').split(/(\s+|')/)) {
    if (word === "'") quoted = !quoted;
    if (!quoted && /^and$/i.test(word)) {
      parts.push(part.trim());
      part = '';
    } else part += word;
  }
  parts.push(part.trim());
  return parts.filter(text => text !== '');
}

export function joined(parts: readonly string[]): string | undefined {
  return parts.length === 0 ? undefined : parts.join(' AND ');
}

/** One comparison, as the server writes it. */
export function partOf(column: string, operator: Operator, value: string | number): string {
  const literal = typeof value === 'number' ? String(value) : `'${value.replaceAll("'", "''")}'`;
  return `${column} ${operator} ${literal}`;
}

/** The filter with a part more; the opposite of it goes. */
export function withPart(where: string | undefined, part: string): string {
  const opposite = part.includes(' != ') ? part.replace(' != ', ' = ') : part.replace(' = ', ' != ');
  const parts = partsOf(where).filter(known => known !== part && known !== opposite);
  return [...parts, part].join(' AND ');
}

export function withoutPart(where: string | undefined, part: string): string | undefined {
  return joined(partsOf(where).filter(known => known !== part));
}

/**
 * What can be told about a text of SQL without parsing all of it: its statements, and which view it simply shows.
 */

/** Where each statement of a text begins and ends; a semicolon within quotes or a comment ends nothing. */
export function statementsIn(text: string): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  let from = 0;
  for (const { index, 0: token } of text.matchAll(
    /'(?:[^']|'')*'?|"(?:[^"]|"")*"?|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|;/g,
  )) {
    if (token !== ';') continue;
    found.push({ from, to: index });
    from = index + 1;
  }
  found.push({ from, to: text.length });
  return found.filter(part => text.slice(part.from, part.to).trim() !== '');
}

/** The statement under the cursor, or what is selected. */
export function statementAt(text: string, from: number, to: number): { text: string; from: number } {
  if (from !== to) return { text: text.slice(from, to), from };
  const parts = statementsIn(text);
  const part = parts.find(part => from <= part.to) ?? parts.at(-1);
  if (part === undefined) return { text: '', from: 0 };
  const raw = text.slice(part.from, part.to);
  const lead = raw.length - raw.trimStart().length;
  return { text: raw.trim(), from: part.from + lead };
}

/** The view whose rows a statement shows as they are, or `null`: those can be followed live. */
export function viewShownBy(statement: string, views: readonly string[]): string | null {
  const [, name] = /^\s*select\s+\*\s+from\s+"?(\w+)"?\s*(?:limit\s+\d+\s*)?;?\s*$/i.exec(statement) ?? [];
  return name !== undefined && views.includes(name) ? name : null;
}

export interface Built {
  table: string;
  columns: readonly string[];
  aggregates: readonly { function: string; column: string }[];
  filters: readonly { column: string; operator: string; value: string; isText: boolean }[];
  order: string;
  descending: boolean;
  limit: number;
}

/** SQL for what was put together by clicking. */
export function sqlOf({ table, columns, aggregates, filters, order, descending, limit }: Built): string {
  const name = (text: string) => (/^[a-z_][a-z0-9_]*$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`);
  const aggregate = (it: { function: string; column: string }) => {
    const of = it.column === '' ? '*' : name(it.column);
    const alias = it.column === '' ? 'n' : `${it.function}_${it.column}`;
    return it.function === 'count distinct'
      ? `count(DISTINCT ${of}) AS ${name(`distinct_${it.column}`)}`
      : `${it.function}(${of}) AS ${name(alias)}`;
  };
  const literal = (value: string, isText: boolean) =>
    isText || Number.isNaN(Number(value)) ? `'${value.replaceAll("'", "''")}'` : value;
  const selected = [...columns.map(name), ...aggregates.map(aggregate)];
  const lines = [
    `SELECT ${selected.length === 0 ? '*' : selected.join(', ')}`,
    `FROM ${table.split('.').map(name).join('.')}`,
  ];
  const tests = filters
    .filter(({ value }) => value !== '')
    .map(({ column, operator, value, isText }) => `${name(column)} ${operator} ${literal(value, isText)}`);
  if (tests.length > 0) lines.push(`WHERE ${tests.join(' AND ')}`);
  if (aggregates.length > 0 && columns.length > 0) lines.push(`GROUP BY ${columns.map(name).join(', ')}`);
  if (order !== '') lines.push(`ORDER BY ${name(order)}${descending ? ' DESC' : ''}`);
  lines.push(`LIMIT ${limit}`);
  return lines.join('\n');
}

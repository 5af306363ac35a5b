/** Names and values as SQL. */

/** A name, whatever it is. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function textLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export function timeOf(ms: number): string {
  return `TIMESTAMP '${new Date(ms).toISOString()}'`;
}

/** That a column has a value, given with the column's type. */
export function isValue(column: string, type: string, value: unknown): string {
  if (value === null || value === undefined) return `${quoted(column)} IS NULL`;
  return `${quoted(column)} = ${literalOf(type, value)}`;
}

function literalOf(type: string, value: unknown): string {
  if (typeof value === 'boolean' || typeof value === 'number') return String(value);
  const text = textLiteral(String(value));
  return type === 'text' ? text : `CAST(${text} AS ${type})`;
}

/**
 * What pages ask of the one stream, and how several askers become one request.
 */

/** A topic of the stream, with the filter it is wanted with. */
export interface Topic {
  /** `metrics`, `pipeline`, `view:<name>` or `tail`. */
  name: string;
  where?: string;
  /** Columns of the records of a tail, separated by commas; all of them if left out. */
  columns?: string;
}

/** Two pages that want the same with the same filter share it; a tail has a label made of its filter and columns. */
export function topicKey({ name, where, columns }: Topic): string {
  if (name !== 'tail' || (!where && columns === undefined)) return name;
  return `tail.${hash(columns === undefined ? (where ?? '') : `${where ?? ''}\n${columns}`)}`;
}

/** The query of a stream that carries all of them; views go on from what is known, `<generation>.<epoch>`. */
export function streamQuery(topics: ReadonlyMap<string, Topic>, since: ReadonlyMap<string, string>): string {
  const query = new URLSearchParams({ topics: [...topics.keys()].join(), hz: '4' });
  for (const [key, { where, columns }] of topics) {
    if (where) query.set(`where.${key}`, where);
    if (columns !== undefined) query.set(`columns.${key}`, columns);
  }
  for (const [view, heard] of since) if (topics.has(`view:${view}`)) query.set(`since.${view}`, heard);
  return query.toString();
}

/** FNV-1a, enough to tell filters apart. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return value.toString(36);
}

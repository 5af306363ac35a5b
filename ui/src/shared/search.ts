/**
 * The state of a page in its address: what is looked at, of when, and through which filter. Nothing that a link should
 * carry is kept elsewhere. Unknown or broken parts are left out, so an old link still opens.
 */
export const RANGES = ['5m', '15m', '1h', '6h', '24h', '7d'] as const;
export type Range = (typeof RANGES)[number];

export interface Search {
  /** The newest so long; or from and to, as ISO times, if the range is fixed. */
  range?: Range;
  from?: string;
  to?: string;
  /** Filter of the log, as the server takes it. */
  where?: string;
  /** Whether the log shows what was stored instead of what comes. */
  past?: boolean;
  /** A record of the log that is looked at, partition-offset. */
  record?: string;
  /** SQL in the editor. */
  q?: string;
  /** A part of the latency heatmap whose records are explained. */
  box?: string;
  /** Two times that are compared. */
  a?: string;
  b?: string;
  /** Which tab of a page. */
  tab?: string;
  /** A node of the graph, or a table that is looked at. */
  node?: string;
}

export const RANGE_DEFAULT: Range = '1h';

export const RANGE_MS: Record<Range, number> = {
  '5m': 300_000,
  '15m': 900_000,
  '1h': 3_600_000,
  '6h': 21_600_000,
  '24h': 86_400_000,
  '7d': 604_800_000,
};

export const RANGE_WORDS: Record<Range, string> = {
  '5m': 'last 5 min',
  '15m': 'last 15 min',
  '1h': 'last hour',
  '6h': 'last 6 h',
  '24h': 'last 24 h',
  '7d': 'last 7 days',
};

const TEXT_MAX = 8_000;

export function readSearch(raw: Record<string, unknown>): Search {
  const text = (name: string, max = TEXT_MAX) => {
    const value = raw[name];
    return typeof value === 'string' && value !== '' && value.length <= max ? value : undefined;
  };
  const time = (name: string) => {
    const value = text(name, 40);
    return value !== undefined && !Number.isNaN(Date.parse(value)) ? value : undefined;
  };
  const [from, to] = [time('from'), time('to')];
  const [a, b] = [time('a'), time('b')];
  const compared = a !== undefined && b !== undefined && Date.parse(a) < Date.parse(b);
  const fixed = from !== undefined && to !== undefined && Date.parse(from) < Date.parse(to);
  const range = RANGES.find(known => known === raw.range);
  return clean({
    ...(fixed ? { from, to } : { range }),
    where: text('where', 2_000),
    past: raw.past === true || raw.past === 'true' ? true : undefined,
    record: /^\d+-\d+$/.test(text('record', 40) ?? '') ? text('record', 40) : undefined,
    box: text('box', 100),
    ...(compared ? { a, b } : {}),
    q: text('q'),
    tab: text('tab', 20),
    node: text('node', 200),
  });
}

/** The times a search stands for, in milliseconds; `now` is where an open range ends. */
export function spanOf(search: Search, now_ms: number): { from: number; to: number; fixed: boolean } {
  if (search.from !== undefined && search.to !== undefined)
    return { from: Date.parse(search.from), to: Date.parse(search.to), fixed: true };
  return { from: now_ms - RANGE_MS[search.range ?? RANGE_DEFAULT], to: now_ms, fixed: false };
}

function clean(search: { [Key in keyof Search]: Search[Key] | undefined }): Search {
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as Search;
}

/**
 * The state of a page in its address: what is looked at, of when, and through which filter. Nothing that a link should
 * carry is kept elsewhere. Unknown or broken parts are left out, so an old link still opens.
 */
/** `all` is from the oldest record to the newest. */
export const RANGES = ['5m', '15m', '1h', '6h', '24h', '7d', 'all'] as const;
export type Range = (typeof RANGES)[number];

/** From when to when there are records, in milliseconds; `null` before that is known, or without any. */
export type Extent = { from: number; to: number } | null;

export interface Search {
  /** The newest so long, what there is if left out; or from and to, as ISO times, if the range is fixed. */
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
  /** An incident of a detector that is looked at. */
  incident?: string;
  /** Incidents of this detector, and in this state, only. */
  detector?: string;
  state?: string;
}

/** What is shown unless something else is asked for is at most so long. */
const OPEN_MAX: Timed = '1h';
const ARCHIVE_MAX: Timed = '7d';
/** Records older than this are an archive. Until then a range that ends now also shows since when there are no more. */
const RECENT_MS = 72_000_000;

type Timed = Exclude<Range, 'all'>;

export const RANGE_MS: Record<Timed, number> = {
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
  all: 'all data',
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
    incident: /^[\da-f]{16}$/.test(text('incident', 16) ?? '') ? text('incident', 16) : undefined,
    detector: text('detector', 200),
    state: text('state', 20),
  });
}

export interface Span {
  from: number;
  to: number;
  /** Whether it stays as it is. An open one ends now. */
  fixed: boolean;
  /** Which open range it is. */
  range: Range | null;
}

/** The times a search stands for, in milliseconds; `now` is where an open range ends. */
export function spanOf(search: Search, now_ms: number, extent: Extent): Span {
  if (search.from !== undefined && search.to !== undefined)
    return { from: Date.parse(search.from), to: Date.parse(search.to), fixed: true, range: null };
  const open = (range: Timed) => ({ from: now_ms - RANGE_MS[range], to: now_ms, fixed: false, range });
  if (search.range !== undefined && search.range !== 'all') return open(search.range);
  if (extent === null) return open(OPEN_MAX);
  // The end of a range is not in it.
  const end = extent.to + 1;
  const isArchive = now_ms - extent.to > RECENT_MS;
  if (search.range === 'all')
    return isArchive
      ? { from: extent.from, to: end, fixed: true, range: 'all' }
      : { from: extent.from, to: now_ms, fixed: false, range: 'all' };
  if (isArchive)
    return { from: Math.max(extent.from, end - RANGE_MS[ARCHIVE_MAX]), to: end, fixed: true, range: null };
  const enough = (['5m', '15m'] as const).find(range => now_ms - extent.from <= RANGE_MS[range]);
  if (enough !== undefined) return open(enough);
  const age_ms = now_ms - extent.to;
  return open(([OPEN_MAX, '6h'] as const).find(range => age_ms < 0.8 * RANGE_MS[range]) ?? '24h');
}

function clean(search: { [Key in keyof Search]: Search[Key] | undefined }): Search {
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as Search;
}

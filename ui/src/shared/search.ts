/**
 * The state of a page in its address: what is looked at, of when, and through which filter. Nothing that a link should
 * carry is kept elsewhere. Unknown or broken parts are left out, so an old link still opens.
 */
import { clockOf, instantOf } from './zone';

/** So long, up to now; `all` is from the oldest record to the newest. */
export type Range = Timed | 'all';
type Timed = `${number}${'s' | 'm' | 'h' | 'd' | 'w'}`;

/** Ranges to choose from; any other can be typed. */
export const RANGES = ['5m', '15m', '1h', '6h', '24h', '7d', 'all'] as const satisfies readonly Range[];

/** From when to when there are records, in milliseconds; `null` before that is known, or without any. */
export type Extent = { from: number; to: number } | null;

export interface Search {
  /**
   * The newest so long, what there is if left out; or from and to, as ISO times, if the range is fixed. Without an end it
   * goes on.
   */
  range?: Range;
  from?: string;
  to?: string;
  /** Filter of the log, as the server takes it. */
  where?: string;
  /** Whether the log shows what was stored instead of what comes. */
  past?: boolean;
  /** A record of the log that is looked at, partition-offset. */
  record?: string;
  /** Columns of the list of records, `status,path:240`. */
  columns?: string;
  /** SQL in the editor. */
  q?: string;
  /** A part of the latency heatmap whose records are explained. */
  box?: string;
  /** Two times that are compared. */
  a?: string;
  b?: string;
  /** How long a time before each of them. */
  window?: Window;
  /** Which earlier time is drawn behind the charts. */
  over?: Over;
  /** Which tab of a page. */
  tab?: string;
  /** How an answer is drawn. */
  chart?: string;
  /** A board. */
  board?: string;
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

export type RangeSearch = Pick<Search, 'range' | 'from' | 'to'>;

export const OVERS = ['day', 'week'] as const;
export type Over = (typeof OVERS)[number];
export const WINDOWS = ['5m', '1h', '1d'] as const satisfies readonly Timed[];
export type Window = (typeof WINDOWS)[number];

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

export function rangeLength_ms(range: Timed): number {
  return Number.parseInt(range, 10) * UNITS_MS[range.slice(-1) as keyof typeof UNITS_MS];
}

const LENGTH_MAX_MS = 100 * 366 * UNITS_MS.d;

function readLength(text: unknown): Range | undefined {
  if (text === 'all') return 'all';
  if (typeof text !== 'string' || !/^[1-9]\d{0,9}[smhdw]$/.test(text)) return undefined;
  return rangeLength_ms(text as Timed) <= LENGTH_MAX_MS ? (text as Timed) : undefined;
}

const UNIT_WORDS = { s: 's', m: 'min', h: 'h', d: 'days', w: 'weeks' };

/** `last 15 min`, `last hour`, `all data`. */
export function rangeWords(range: Range): string {
  if (range === 'all') return 'all data';
  if (range === '1h') return 'last hour';
  if (range === '1d') return 'last 24 h';
  if (range === '1w') return 'last 7 days';
  return `last ${Number.parseInt(range, 10)} ${UNIT_WORDS[range.slice(-1) as keyof typeof UNIT_WORDS]}`;
}

/** A length as short as it can be written: `90m`, `2h`, `3d`. It is rounded up to whole seconds. */
export function rangeOfLength(length_ms: number): Timed {
  const seconds = Math.max(1, Math.ceil(length_ms / 1000));
  const [unit, unit_s] = (
    [
      ['d', 86_400],
      ['h', 3_600],
      ['m', 60],
    ] as const
  ).find(([, unit_s]) => seconds % unit_s === 0) ?? ['s', 1];
  return `${seconds / unit_s}${unit}`;
}

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
  // Broken, not open, if it has an end that is none.
  const since = from !== undefined && raw.to === undefined && raw.range === undefined;
  const range = readLength(raw.range);
  return clean({
    ...(fixed ? { from, to } : since ? { from } : { range }),
    where: text('where', 2_000),
    past: raw.past === true || raw.past === 'true' ? true : undefined,
    record: /^\d+-\d+$/.test(text('record', 40) ?? '') ? text('record', 40) : undefined,
    columns: text('columns', 2_000),
    box: text('box', 100),
    ...(compared ? { a, b, window: WINDOWS.find(known => known === raw.window) } : {}),
    over: OVERS.find(known => known === raw.over),
    q: text('q'),
    tab: text('tab', 20),
    chart: text('chart', 500),
    board: text('board', 80),
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
  if (search.from !== undefined)
    // At least a moment long, also by a clock that is behind.
    return { from: Math.min(Date.parse(search.from), now_ms - 1_000), to: now_ms, fixed: false, range: null };
  const open = (range: Timed) => ({ from: now_ms - rangeLength_ms(range), to: now_ms, fixed: false, range });
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
    return {
      from: Math.max(extent.from, end - rangeLength_ms(ARCHIVE_MAX)),
      to: end,
      fixed: true,
      range: null,
    };
  const enough = (['5m', '15m'] as const).find(range => now_ms - extent.from <= rangeLength_ms(range));
  if (enough !== undefined) return open(enough);
  const age_ms = now_ms - extent.to;
  return open(([OPEN_MAX, '6h'] as const).find(range => age_ms < 0.8 * rangeLength_ms(range)) ?? '24h');
}

/** The span before or after one, as long as it is. What would end after now ends now, and goes on. */
export function shifted(span: Span, by: -1 | 1, now_ms: number): RangeSearch {
  const length = span.to - span.from;
  const [from, to] = [span.from + by * length, span.to + by * length];
  if (by > 0 && to >= now_ms) return { range: rangeOfLength(length) };
  return fixedOf(from, to);
}

/** Twice as long around the same middle, but not beyond now. */
export function zoomedOut({ from, to, fixed }: Span, now_ms: number): RangeSearch {
  const length = to - from;
  if (!fixed) return { range: rangeOfLength(2 * length) };
  const end = Math.max(to, Math.min(to + length / 2, now_ms));
  return fixedOf(end - 2 * length, end);
}

export function fixedOf(from_ms: number, to_ms: number): RangeSearch {
  return { from: new Date(from_ms).toISOString(), to: new Date(to_ms).toISOString() };
}

export const OVER_WORDS: Record<Over, string> = { day: 'yesterday', week: 'last week' };

/** How much earlier a time is, at the same time of day, also where the clock was put forward or back between. */
export function overMs(over: Over, at_ms: number): number {
  const clock = clockOf(at_ms);
  return at_ms - instantOf({ ...clock, day: clock.day - (over === 'day' ? 1 : 7) });
}

function clean(search: { [Key in keyof Search]: Search[Key] | undefined }): Search {
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as Search;
}

/**
 * What the last seconds say, while their window is still filling. Pure functions.
 *
 *   rows of the filling windows, once a second → counts of the last 3 to 11 s → what chance does not explain
 *
 * Counts of a window only grow, so two looks at its row count what came between them. A minute dilutes a fault that is
 * seconds old; the seconds themselves do not. A share is told once the probability that it came about by chance is below
 * one in a hundred thousand, by Chernoff's bound for a binomial distribution, against the highest share that is usual; and
 * only if the rest still shows it without the two seconds with the most, so that a burst of one moment is not told.
 */
import type { Row } from '../../api/wire';
import { numberOf } from '../../shared/format';
import type { Counted, Keyed, Page } from '../../shared/page';
import { type History, type KeyRow, keyOf, windowOf } from './model';

/** The negated logarithm of the probability of chance from which on something is told. */
const EVIDENCE = Math.log(1e5);
/** The same without the moment that says most. */
const EVIDENCE_OF_REST = Math.log(1e2);
const SECONDS_MIN = 2.5;
const SECONDS_MAX = 11;
/** After a longer time without a look, counting begins anew. */
const GAP_MS = 4_000;
const SAMPLE_EVERY_MS = 500;
/** Fewer records tell nothing, whatever their share. */
const PART_MIN = 5;
/** Windows that may still be filling. */
const FILLING = 3;
/** What is usual is told by so many whole windows before these, and by no fewer than that. */
const USUAL_WINDOWS = 30;
const USUAL_WINDOWS_MIN = 10;
/** As in the bands of `/api/v1/history`. */
const BAND_DEVIATIONS = 4 * 1.4826;
const BAND_MEAN_DEVIATIONS = 4 * 1.2533;
const BAND_SHARE_MIN = 0.1;
/** A smaller share is never unusual. */
const SHARE_MIN = 0.01;
/** Of more keys only all together are judged. */
const KEYS_MAX = 500;
/** More keys than this that are unusual at a time are no matter of one of them. */
const KEYS_TOLD_MAX = 3;

type Key = KeyRow['key'];
interface Counts {
  count: number;
  failed: number;
  grave: number;
}
/** Counts by window and key. */
type Cells = ReadonlyMap<string, Counts & { key: Key }>;

/** What the filling windows counted at one moment. */
export interface Sample {
  at_ms: number;
  all: Cells;
  keys: Cells;
  bins: Cells;
}

/** A share that chance does not explain. */
export interface Excess {
  part: number;
  count: number;
  /** The highest that is usual, 0 to 1. */
  usual: number;
  /** Counted over so long a time up to now. */
  seconds: number;
  /** Of the records counted, those that failed gravely. */
  grave: number;
  evidence: number;
}

export interface Recent {
  failed: Excess | null;
  grave: Excess | null;
  /** Failures of single values of a key, the clearest first. */
  keys: readonly (Excess & { key: Key })[];
  /** The value that as many lie above as the percentile says, of the seconds in which too many did. */
  slow: { value: number; excess: Excess } | null;
}

/** Rows of the views that are looked at; empty where there is no such view. */
export interface Rows {
  main: readonly Row[];
  keyed: readonly Row[];
  spread: readonly Row[];
}

/** The samples with a newer one. */
export function sampled(
  samples: readonly Sample[],
  page: Page | null,
  rows: Rows,
  now_ms: number,
): readonly Sample[] {
  const last = samples.at(-1);
  // The server's time is estimated anew with each heartbeat, which may set it back by moments.
  if (last !== undefined && Math.abs(now_ms - last.at_ms) < SAMPLE_EVERY_MS) return samples;
  const keyed = keyedOf(page);
  const next: Sample = {
    at_ms: now_ms,
    all: page?.main == null ? new Map() : cellsOf(rows.main, page.main, null),
    keys: keyed === null ? new Map() : cellsOf(rows.keyed, keyed, keyed.key.name),
    bins: page?.spread == null ? new Map() : cellsOf(rows.spread, page.spread, page.spread.key.name),
  };
  // What is counted for the first time did not come since.
  const isNew = (name: 'all' | 'keys' | 'bins') => last?.[name].size === 0 && next[name].size > 0;
  const goesOn =
    last !== undefined &&
    now_ms > last.at_ms &&
    now_ms - last.at_ms < GAP_MS &&
    !isNew('all') &&
    !isNew('keys') &&
    !isNew('bins');
  const kept = goesOn ? samples.filter(it => now_ms - it.at_ms <= 1_000 * SECONDS_MAX) : [];
  return [...kept, next];
}

/** The view whose keys are judged. */
export function keyedOf(page: Page | null): Keyed | null {
  return page?.keys.find(it => it.failed != null) ?? null;
}

/** What the samples say that chance does not explain; `usual` is what is expected of the duration `slow`. */
export function recentOf(
  samples: readonly Sample[],
  page: Page,
  rows: Rows,
  history: History | null,
  slow: { statistic?: string | null | undefined; limit: number } | null,
): Recent {
  const { main } = page;
  const keyed = keyedOf(page);
  const all = spansOf(samples, it => it.all);
  const total = (part: 'failed' | 'grave'): Excess | null => {
    if (main == null || main[part] == null) return null;
    const usual = usualShare(rows.main, main, main[part], null);
    return usual === null ? null : clearest(all, ALL, part, usual, EVIDENCE);
  };
  return {
    failed: total('failed'),
    grave: total('grave'),
    keys:
      keyed === null
        ? []
        : ofKeys(
            spansOf(samples, it => it.keys),
            rows.keyed,
            keyed,
          ),
    slow:
      slow === null
        ? null
        : slowOf(
            spansOf(samples, it => it.bins),
            history,
            slow,
          ),
  };
}

function ofKeys(spans: readonly Span[], rows: readonly Row[], keyed: Keyed): Recent['keys'] {
  const keys = new Map(spans.flatMap(({ whole }) => [...whole].map(([id, { key }]) => [id, key] as const)));
  if (keys.size > KEYS_MAX) return [];
  const evidence = EVIDENCE + Math.log(Math.max(1, keys.size));
  const found = [...keys].flatMap(([id, key]) => {
    // What is usual is asked of few.
    if (!spans.some(({ whole }) => (whole.get(id)?.failed ?? 0) >= PART_MIN)) return [];
    const usual = usualShare(rows, keyed, keyed.failed, { column: keyed.key.name, value: key });
    const excess = usual === null ? null : clearest(spans, id, 'failed', usual, evidence);
    return excess === null ? [] : [{ ...excess, key }];
  });
  if (found.length > KEYS_TOLD_MAX) return [];
  return found.sort((a, b) => b.evidence - a.evidence);
}

/** Of a percentile: whether more than it says are above the limit, by bins that lie wholly above it. */
function slowOf(
  spans: readonly Span[],
  history: History | null,
  { statistic, limit }: { statistic?: string | null | undefined; limit: number },
): Recent['slow'] {
  const percent = /^p(\d+)$/.exec(statistic ?? '')?.[1];
  const spread = history?.spread;
  if (percent === undefined || spread == null) return null;
  const usual = 1 - Number(percent) / 100;
  if (!(usual > 0)) return null;
  const above = spans.map((it): Span => {
    const counted = (counts: Summed): Summed => {
      const sum = { key: null, count: 0, failed: 0, grave: 0 };
      for (const { key, count } of counts.values()) {
        sum.count += count;
        if (typeof key === 'number' && boundOf(spread, key) >= limit) sum.failed += count;
      }
      return new Map([[ALL, sum]]);
    };
    return { ...it, whole: counted(it.whole), steps: it.steps.map(counted) };
  });
  const excess = clearest(above, ALL, 'failed', usual, EVIDENCE);
  if (excess === null) return null;
  const whole = spans.find(it => it.seconds === excess.seconds)?.whole ?? new Map();
  return { value: percentileOf(whole, spread, 1 - usual), excess };
}

type Spread = NonNullable<History['spread']>;

/** Where a bin begins, also beyond the bins that the history has, which are as far apart or in proportion. */
export function boundOf({ bounds, first_bin }: Pick<Spread, 'bounds' | 'first_bin'>, bin: number): number {
  const at = bin - first_bin;
  const known = bounds[at];
  if (known !== undefined) return known;
  const [a, b] = at < 0 ? [bounds[0], bounds[1]] : [bounds.at(-2), bounds.at(-1)];
  const [c, d] = at < 0 ? [bounds[1], bounds[2]] : [bounds.at(-3), bounds.at(-2)];
  if (a === undefined || b === undefined) return Number.NaN;
  const steps = at < 0 ? at : at - (bounds.length - 2);
  const isEven = c !== undefined && d !== undefined && Math.abs(b - a - (d - c)) < 1e-6 * Math.abs(b - a);
  return isEven || a <= 0 ? a + steps * (b - a) : a * (b / a) ** steps;
}

function percentileOf(counts: Summed, spread: Spread, share: number): number {
  const bins = [...counts.values()]
    .flatMap(({ key, count }) => (typeof key === 'number' && count > 0 ? [[key, count] as const] : []))
    .sort(([a], [b]) => a - b);
  let rest = share * bins.reduce((sum, [, count]) => sum + count, 0);
  for (const [bin, count] of bins) {
    const [from, to] = [boundOf(spread, bin), boundOf(spread, bin + 1)];
    if (rest <= count) return from + ((to - from) * rest) / count;
    rest -= count;
  }
  return Number.NaN;
}

type Summed = ReadonlyMap<string, Counts & { key: Key }>;
const ALL = JSON.stringify(null);

/** What came from one look up to the newest, and between each two looks of that time. */
interface Span {
  seconds: number;
  whole: Summed;
  steps: readonly Summed[];
}

/** All times that are long enough, the longest first. */
function spansOf(samples: readonly Sample[], cells: (sample: Sample) => Cells): Span[] {
  const last = samples.at(-1);
  if (last === undefined) return [];
  const steps = samples.slice(1).map((it, at) => between(cells(samples[at] ?? it), cells(it)));
  return samples.flatMap((first, at): Span[] => {
    const seconds = (last.at_ms - first.at_ms) / 1_000;
    if (seconds < SECONDS_MIN) return [];
    return [{ seconds, whole: between(cells(first), cells(last)), steps: steps.slice(at) }];
  });
}

/** What came between two looks, by key. */
function between(before: Cells, after: Cells): Summed {
  const sums = new Map<string, Counts & { key: Key }>();
  for (const [cell, now] of after) {
    const then = before.get(cell);
    const id = JSON.stringify(now.key);
    const sum = sums.get(id) ?? { key: now.key, count: 0, failed: 0, grave: 0 };
    sum.count += Math.max(0, now.count - (then?.count ?? 0));
    sum.failed += Math.max(0, now.failed - (then?.failed ?? 0));
    sum.grave += Math.max(0, now.grave - (then?.grave ?? 0));
    sums.set(id, sum);
  }
  return sums;
}

/** The span in which the share is furthest from what chance explains. */
function clearest(
  spans: readonly Span[],
  id: string,
  part: 'failed' | 'grave',
  usual: number,
  least: number,
): Excess | null {
  let best: Excess | null = null;
  for (const { seconds, whole, steps } of spans) {
    const counts = whole.get(id);
    if (counts === undefined || counts[part] < PART_MIN) continue;
    const evidence = evidenceOf(counts[part], counts.count, usual);
    if (evidence < least || evidence <= (best?.evidence ?? 0)) continue;
    const rest = withoutMost(
      counts,
      steps.map(it => it.get(id) ?? NONE),
      part,
    );
    if (evidenceOf(rest[part], rest.count, usual) < EVIDENCE_OF_REST) continue;
    best = { part: counts[part], count: counts.count, usual, seconds, grave: counts.grave, evidence };
  }
  return best;
}

const NONE: Counts = { count: 0, failed: 0, grave: 0 };

/** Counts without the two steps in a row that have the most of a part: a moment may lie across two. */
function withoutMost(all: Counts, steps: readonly Counts[], part: 'failed' | 'grave'): Counts {
  let most = NONE;
  for (const [at, step] of steps.entries()) {
    const next = steps[at + 1] ?? NONE;
    const both = {
      count: step.count + next.count,
      failed: step.failed + next.failed,
      grave: step.grave + next.grave,
    };
    if (both[part] > most[part]) most = both;
  }
  return {
    count: all.count - most.count,
    failed: all.failed - most.failed,
    grave: all.grave - most.grave,
  };
}

/** The negated logarithm of a bound for the probability that at least `part` of `count` are there by chance, each with `share`. */
export function evidenceOf(part: number, count: number, share: number): number {
  const seen = count > 0 ? part / count : 0;
  if (!(seen > share) || share <= 0) return 0;
  const rest = seen >= 1 ? 0 : (1 - seen) * Math.log((1 - seen) / (1 - share));
  return count * (seen * Math.log(seen / share) + rest);
}

type Of = Pick<Counted, 'count'> & Partial<Pick<Counted, 'failed' | 'grave'>> & { time?: string | null };

/** Counts of the newest windows. */
function cellsOf(
  rows: readonly Row[],
  of: Of & { window_seconds?: number | null },
  key: string | null,
): Cells {
  const { time } = of;
  if (time == null) return new Map();
  const starts = rows.map(row => windowOf(row, time));
  const newest = starts.reduce<number>((most, it) => Math.max(most, it ?? most), Number.NEGATIVE_INFINITY);
  const from = newest - (FILLING - 1) * (of.window_seconds ?? 60);
  const cells = new Map<string, Counts & { key: Key }>();
  for (const [at, row] of rows.entries()) {
    const start = starts[at];
    if (start == null || start < from) continue;
    const number = (column: string | null | undefined) => (column == null ? 0 : (numberOf(row[column]) ?? 0));
    const value = key === null ? null : keyOf(row[key]);
    cells.set(JSON.stringify([start, value]), {
      key: value,
      count: number(of.count),
      failed: number(of.failed),
      grave: number(of.grave),
    });
  }
  return cells;
}

/** The highest usual share in whole windows, by their median and its deviation; `null` if too few say. */
export function usualShare(
  rows: readonly Row[],
  of: Of & { window_seconds?: number | null },
  part: string | null | undefined,
  key: { column: string; value: Key } | null,
): number | null {
  const { time } = of;
  if (time == null || part == null) return null;
  const window_s = of.window_seconds ?? 60;
  let newest = Number.NEGATIVE_INFINITY;
  for (const row of rows) newest = Math.max(newest, windowOf(row, time) ?? newest);
  const from = newest - (USUAL_WINDOWS + 1) * window_s;
  const shares: number[] = [];
  for (const row of rows) {
    const start = windowOf(row, time);
    // The newest one is filling, and what is unusual may have begun in the one before.
    if (start === null || start < from || start >= newest - window_s) continue;
    if (key !== null && keyOf(row[key.column]) !== key.value) continue;
    const count = numberOf(row[of.count]) ?? 0;
    if (count > 0) shares.push((numberOf(row[part]) ?? 0) / count);
  }
  if (shares.length < USUAL_WINDOWS_MIN) return null;
  const middle = medianOf(shares);
  const deviations = shares.map(it => Math.abs(it - middle));
  const deviation = medianOf(deviations);
  const mean = deviations.reduce((sum, it) => sum + it, 0) / deviations.length;
  const width = deviation > 0 ? BAND_DEVIATIONS * deviation : BAND_MEAN_DEVIATIONS * mean;
  return Math.max(SHARE_MIN, middle + Math.max(width, BAND_SHARE_MIN * middle));
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(half) - 1] ?? 0, sorted[Math.floor(half)] ?? 0];
  return (low + high) / 2;
}

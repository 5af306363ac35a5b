/**
 * What rates and figures say that is not expected: of the traffic, of failures and of durations, over the last minute and,
 * where that is clear sooner, over the last seconds. Pure functions.
 */
import { joined, partOf } from '../../shared/filter';
import { formatNumber, formatRate, textOf } from '../../shared/format';
import {
  type Column,
  FAILED_SHARE,
  labelOf,
  type Page,
  recordColumn,
  telling,
  writtenText,
} from '../../shared/page';
import type { History } from './model';
import { type Excess, keyedOf } from './seconds';
import type { Finding, Observed } from './world';

/** Within what a rate of ten seconds and a minute's figures vary by chance. */
const CHANCE = 4;
const RATE_SECONDS = 10;
const SILENCE_RECORDS_MIN = 5;
const NOTABLE_DROP = 0.7;
const NOTABLE_SURGE = 2;
const NOTABLE_LATENCY = 1.2;
/** In percent: more server errors than this are no small matter. */
const SERVER_ERRORS_GRAVE = 5;
/** Figures of a minute come and go around their limits; what chance does not explain is told soon, or at once. */
const BY_CHANCE = { holds_ms: 5_000, lingers_ms: 20_000 };
const BEYOND_CHANCE = { holds_ms: 1_000, lingers_ms: 20_000 };
const EVIDENT = { holds_ms: 0, lingers_ms: 20_000 };

/** Silence, a drop and a surge, from what was read in the last ten seconds and counted in the last minute. */
export function traffic({ pipeline, metrics, page, history, now_ms }: Observed): Finding[] {
  const count = page?.main?.count;
  const usual = count === undefined ? null : usualOf(history, count, count);
  if (pipeline === null || count === undefined || usual === null) return [];
  const known = pipeline.sources.every(({ records_per_second }) => records_per_second != null);
  const read = pipeline.sources.reduce((sum, it) => sum + (it.records_per_second ?? 0), 0);
  const [low, high] = [usual.low, usual.high];
  const rate = metrics?.eventsPerSec ?? null;
  const fewOfMinute = rate !== null && rate < NOTABLE_DROP * low;
  const range = `usual ${formatRate(low)}–${formatRate(high)} /s`;
  const one = (
    more: Pick<Finding, 'id' | 'tone' | 'title' | 'detail'> & Partial<Finding>,
    low: boolean,
  ): Finding => ({
    // While the last minute is as usual, only seconds are missing: those that the rate of ten lacks.
    began_ms:
      low && !fewOfMinute
        ? now_ms - 1_000 * RATE_SECONDS * Math.max(0, 1 - read / usual.low)
        : runOf(history, count, low),
    goTo: 'traffic',
    tile: 'events',
    ...BY_CHANCE,
    ...more,
  });
  const least = low * RATE_SECONDS;
  if (known && read === 0 && least >= SILENCE_RECORDS_MIN)
    return [one({ id: 'silence', tone: 'critical', title: 'No records are arriving', detail: range }, true)];
  const few = read * RATE_SECONDS < least - CHANCE * Math.sqrt(least) && read < NOTABLE_DROP * low;
  if (known && least >= SILENCE_RECORDS_MIN && (few || fewOfMinute)) {
    const now = few ? read : (rate ?? read);
    const percent = formatNumber(100 * (1 - now / ((low + high) / 2)));
    const tone = now < 0.2 * low ? 'critical' : 'warn';
    return [
      one(
        {
          id: 'drop',
          tone,
          title: `Traffic is down ${percent} %`,
          detail: `${formatRate(now)} /s (${range})`,
          ...(few && BEYOND_CHANCE),
        },
        true,
      ),
    ];
  }
  if (rate !== null && high > 0 && rate > NOTABLE_SURGE * high) {
    const title = `Traffic is up ${formatNumber(rate / ((low + high) / 2), 1)}×`;
    return [one({ id: 'surge', tone: 'warn', title, detail: `${formatRate(rate)} /s (${range})` }, false)];
  }
  return [];
}

/** Failures and durations against what is expected: those of the last minute, else those of seconds that chance does not explain. */
export function figures(observed: Observed): Finding[] {
  const { page } = observed;
  if (page === null) return [];
  const keys = failuresOfKeys(observed, page);
  const all = failures(observed, page) ?? failuresOfSeconds(observed, page);
  const slow = durations(observed, page) ?? durationsOfSeconds(observed, page);
  // What one key explains is told of that one alone.
  const isOfKeys = all !== null && all.holds_ms < BY_CHANCE.holds_ms && keys.length > 0;
  return [...keys, ...(all === null || isOfKeys ? [] : [all]), ...(slow === null ? [] : [slow])];
}

function failures({ now, history }: Observed, page: Page): Finding | null {
  const errors = usualOf(history, FAILED_SHARE);
  if (now === null || errors === null) return null;
  const { failedShare, graveShare, count } = now;
  if (failedShare === null || count === 0) return null;
  const share = Math.min(errors.high / 100, 0.5);
  const chance = 100 * CHANCE * Math.sqrt((Math.max(share, 0.01) * (1 - share)) / count);
  if (failedShare <= errors.high + chance) return null;
  const grave = graveShare === null ? '' : `, server errors ${formatNumber(graveShare, 1)} %`;
  return {
    ...failing(page),
    id: 'errors',
    tone: (graveShare ?? 0) >= SERVER_ERRORS_GRAVE ? 'critical' : 'warn',
    title: `Error rate is ${formatNumber(failedShare, 1)} %`,
    detail: `usual ${formatNumber(errors.low, 1)}–${formatNumber(errors.high, 1)} %${grave}`,
    began_ms: runOf(history, FAILED_SHARE, false),
    ...BY_CHANCE,
  };
}

function failuresOfSeconds({ recent, now_ms }: Observed, page: Page): Finding | null {
  const excess = recent?.failed ?? recent?.grave ?? null;
  if (excess === null) return null;
  const what = recent?.failed != null ? 'Error rate' : 'Server error rate';
  return {
    ...failing(page),
    id: 'errors',
    title: `${what} is ${percentOf(excess)} %`,
    ...saidOf(excess, now_ms),
  };
}

function failuresOfKeys({ recent, now_ms }: Observed, page: Page): Finding[] {
  const keyed = keyedOf(page);
  if (keyed === null) return [];
  return (recent?.keys ?? []).map(excess => {
    const value = textOf(excess.key);
    const { where, ...rest } = failing(page);
    const ofKey = keyed.filters && excess.key !== null ? partOf(keyed.key.name, '=', excess.key) : undefined;
    const both = joined([ofKey, where].filter(it => it !== undefined));
    return {
      ...rest,
      ...(both !== undefined && { where: both }),
      placed: true,
      id: `errors of ${keyed.key.name} ${value}`,
      title: `Error rate of ${value} is ${percentOf(excess)} %`,
      ...saidOf(excess, now_ms),
    };
  });
}

function failing(page: Page): Pick<Finding, 'goTo' | 'tile' | 'where'> {
  const status = recordColumn(page, 'status');
  const where = status === null ? {} : { where: `${status.name} >= 400` };
  return { goTo: 'traffic', tile: 'errors', ...where };
}

/** A failure of the last seconds: it began when they did, if it was not known before. */
function saidOf(excess: Excess, now_ms: number) {
  const { part, count, seconds, usual, grave } = excess;
  const tone = (100 * grave) / count >= SERVER_ERRORS_GRAVE ? ('critical' as const) : ('warn' as const);
  return {
    tone,
    detail: `${formatNumber(part)} of ${formatNumber(count)} in ${formatNumber(seconds)} s, usual up to ${formatNumber(100 * usual, 1)} %`,
    began_ms: now_ms - 1_000 * seconds,
    ...EVIDENT,
  };
}

function percentOf({ part, count }: Excess): string {
  return formatNumber((100 * part) / count, 1);
}

function durations({ now, history }: Observed, page: Page): Finding | null {
  const slow = page.now == null ? null : telling(page.now);
  const usual = slow === null ? null : usualOf(history, slow.name);
  if (slow === null || usual === null || now === null || now.slow === null) return null;
  if (now.slow <= NOTABLE_LATENCY * usual.high) return null;
  return {
    ...slower(page, slow, usual, now.slow),
    began_ms: runOf(history, slow.name, false),
    ...BY_CHANCE,
  };
}

function durationsOfSeconds({ recent, history, now_ms }: Observed, page: Page): Finding | null {
  const { column, usual } = slowOf(page, history) ?? {};
  if (column === undefined || usual === undefined || recent?.slow == null) return null;
  const { value, excess } = recent.slow;
  return {
    ...slower(page, column, usual, Math.round(value)),
    began_ms: now_ms - 1_000 * excess.seconds,
    ...EVIDENT,
  };
}

/** The duration that is judged by seconds, what is usual of it, and from where on it is slow. */
export function slowOf(
  page: Page,
  history: History | null,
): { column: Column; usual: { low: number; high: number }; limit: number } | null {
  const column = page.main == null ? null : telling(page.main);
  const usual = column === null ? null : usualOf(history, column.name);
  if (column === null || usual === null) return null;
  return { column, usual, limit: NOTABLE_LATENCY * usual.high };
}

function slower(page: Page, column: Column, usual: { low: number; high: number }, value: number) {
  const duration = recordColumn(page, 'duration');
  return {
    id: 'latency',
    tone: 'warn' as const,
    title: `${sentenceOf(labelOf(column))} is ${writtenText(value, column)}`,
    detail: `usual ${formatNumber(usual.low)}–${writtenText(Math.round(usual.high), column)}`,
    goTo: 'traffic' as const,
    ...(duration !== null && { where: `${duration.name} >= ${Math.round(usual.high)}` }),
    tile: 'latency' as const,
  };
}

function sentenceOf(text: string): string {
  return /^p\d/.test(text) ? text : `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** What is expected of the newest step that is over: of `count` a rate per second. */
export function usualOf(
  history: History | null,
  name: string,
  count?: string,
): { low: number; high: number } | null {
  const band = history?.expected[name];
  const [low, high] = [band?.low.at(-2), band?.high.at(-2)];
  if (history === null || low == null || high == null) return null;
  const by = name === count ? history.step_seconds : 1;
  return { low: low / by, high: high / by };
}

/** When the steps at the end began to be outside of what was expected, all of them to the same side. */
function runOf(history: History | null, name: string, low: boolean): number | null {
  if (history === null) return null;
  const values = history.overall[name] ?? [];
  const band = history.expected[name];
  let began: number | null = null;
  // The newest step is not over.
  for (let at = history.times.length - 2; at >= 0; at--) {
    const [value, least, most] = [values[at] ?? null, band?.low[at], band?.high[at]];
    if (least == null || most == null) break;
    const outside = low ? (value ?? 0) < NOTABLE_DROP * least : value !== null && value > most;
    if (!outside) break;
    began = (history.times[at] ?? 0) * 1000;
  }
  return began;
}

/**
 * Whether what the page shows is behind what there is: records that are there and not read, or read and not in the lake.
 *
 * How far that is back is told by the event time that reading has come to. The clock on the wall would say seconds at the
 * start of a day's backlog. But old records alone are no backlog: they may be all there are.
 */
import type { Pipeline } from '../../api/wire';
import { formatAge, formatDateTime, formatNumber, quantifyBytes } from '../../shared/format';
import { zoneName } from '../../shared/zone';

export interface Behind {
  title: string;
  detail: string;
}

type Partitions = Pipeline['sources'][number]['partitions'];

/** Less is the ordinary way from one sample to the next, and from one commit to the next. */
const BEHIND_MS = 60_000;
/** So much reading, at its present speed, is the ordinary way too. */
const BACKLOG_SECONDS = 5;

/** Whether it is known of all sources that nothing is to be read but what is of now. */
export function isHeard(pipeline: Pick<Pipeline, 'sources'> | null, now_ms: number): boolean {
  const isKnown = ({ partitions, watermark }: Pipeline['sources'][number]) => {
    if (partitions.some(({ lag }) => lag == null)) return false;
    if (unreadOf(partitions) === 0) return true;
    return watermark != null && now_ms - Date.parse(watermark.at) <= BEHIND_MS;
  };
  return pipeline?.sources.every(isKnown) ?? false;
}

function unreadOf(partitions: Partitions): number {
  return partitions.reduce((sum, it) => sum + (it.lag ?? 0), 0);
}

function isBacklog(partitions: Partitions): boolean {
  const read = partitions.reduce((sum, it) => sum + (it.read_per_second ?? 0), 0);
  return unreadOf(partitions) > BACKLOG_SECONDS * read;
}

/** The source that is furthest behind; `null` if none is worth a word. */
export function catchingUp({ sources }: Pick<Pipeline, 'sources'>, now_ms: number): Behind | null {
  const found = sources.flatMap(source => {
    const { partitions, unit, watermark, name } = source;
    const unread = unreadOf(partitions);
    if (unread === 0) return [];
    const waited_ms = 1000 * partitions.reduce((most, it) => Math.max(most, it.lag_seconds ?? 0), 0);
    const shown_ms = watermark ? Date.parse(watermark.at) + 1000 * watermark.allowance_seconds : null;
    const back_ms = shown_ms === null ? 0 : now_ms - shown_ms;
    if (waited_ms <= BEHIND_MS && !(isBacklog(partitions) && back_ms > BEHIND_MS)) return [];
    const etas = partitions.filter(({ lag }) => (lag ?? 0) > 0).map(({ eta_seconds }) => eta_seconds ?? null);
    const eta_s = etas.some(eta => eta === null) ? null : Math.max(...etas.map(eta => eta ?? 0));
    const isRising = partitions.some(({ trend }) => trend === 'rising');
    const isLeast = partitions.some(it => it.lag_seconds_is_least);
    return [
      { name, unit, unread, back_ms: Math.max(back_ms, waited_ms), shown_ms, eta_s, isLeast, isRising },
    ];
  });
  const [worst] = found.sort((a, b) => b.back_ms - a.back_ms);
  if (worst === undefined) return null;
  const { name, unit, unread, back_ms, shown_ms, eta_s, isLeast, isRising } = worst;
  const size = quantifyBytes(unread);
  const amount = unit === 'bytes' ? `${size.value} ${size.unit}` : `${formatNumber(unread)} ${unit}`;
  const least = isLeast && shown_ms === null ? 'at least ' : '';
  const place =
    shown_ms === null
      ? `${least}${formatAge(back_ms)} behind`
      : `showing ${formatDateTime(shown_ms).slice(0, 16)} ${zoneName()}, ${formatAge(back_ms)} behind`;
  const isFalling = eta_s === null && isRising;
  const end =
    eta_s !== null
      ? `live in about ${formatAge(eta_s * 1000)}`
      : isFalling
        ? 'records arrive faster than they are read'
        : 'no estimate yet';
  return {
    title: `${isFalling ? 'Falling behind' : 'Catching up'}: ${place}`,
    detail: `${amount} of ${name} unread; ${end}`,
  };
}

/** Commits that do not end, while live views go on. */
export function lakeBehind({
  commit,
  commits_open,
}: Pick<Pipeline, 'commit' | 'commits_open'>): Behind | null {
  const age_ms = (commit?.age_seconds ?? 0) * 1000;
  if (commits_open <= 1 || age_ms <= BEHIND_MS) return null;
  return {
    title: `Lake is ${formatAge(age_ms)} behind`,
    detail: `${formatNumber(commits_open)} commits are waiting; live views are up to date`,
  };
}

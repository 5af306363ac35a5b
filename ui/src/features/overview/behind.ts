/**
 * Whether what the page shows is behind what there is: records that are there and not read, or read and not in the lake.
 *
 * A watermark is no sign of that. It stays behind the newest record by what its source allows for late ones, be it a day.
 */
import type { Pipeline } from '../../api/wire';
import { formatAge, formatNumber, quantifyBytes } from '../../shared/format';

export interface Behind {
  title: string;
  detail: string;
}

/** Less is the ordinary way from one sample to the next, and from one commit to the next. */
const BEHIND_MS = 60_000;

/** The partition that is furthest behind, else commits that do not end; `null` if neither is worth a word. */
export function behindOf({
  sources,
  commit,
  commits_open,
}: Pick<Pipeline, 'sources' | 'commit' | 'commits_open'>): Behind | null {
  const partitions = sources.flatMap(source => source.partitions.map(partition => ({ source, partition })));
  const lagOf = (it: (typeof partitions)[number]) => (it.partition.lag_seconds ?? 0) * 1000;
  const worst = partitions.sort((a, b) => lagOf(b) - lagOf(a))[0];
  if (worst !== undefined && lagOf(worst) > BEHIND_MS) {
    const { source, partition } = worst;
    const lag = source.partitions.reduce((sum, it) => sum + (it.lag ?? 0), 0);
    const size = quantifyBytes(lag);
    const amount =
      source.unit === 'bytes' ? `${size.value} ${size.unit}` : `${formatNumber(lag)} ${source.unit}`;
    const end =
      partition.eta_seconds == null
        ? 'it is not catching up'
        : `caught up in ${formatAge(partition.eta_seconds * 1000)}`;
    return {
      title: `Behind by ${partition.lag_seconds_is_least ? 'at least ' : ''}${formatAge(lagOf(worst))}`,
      detail: `${amount} of ${source.name} are there and not read yet; ${end}.`,
    };
  }
  const age_ms = (commit?.age_seconds ?? 0) * 1000;
  if (commits_open > 1 && age_ms > BEHIND_MS)
    return {
      title: `The lake is behind by ${formatAge(age_ms)}`,
      detail: `${formatNumber(commits_open)} commits wait for it; live views are not behind.`,
    };
  return null;
}

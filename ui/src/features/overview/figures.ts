/**
 * The numbers of the tiles: of the last minute, or of a fixed range; and how they differ from an hour and a day ago. Pure
 * functions. What a dataflow does not count has no tile; a number that is not known is a dash, never a zero.
 */
import type { Metrics } from '../../api/wire';
import { formatNumber, formatRate, MISSING, quantifyBytes } from '../../shared/format';
import type { History } from './model';
import { type TileName, usualOf } from './world';

export interface Tile {
  name: string;
  label: string;
  value: string;
  unit: string;
  /** More digits, or why there is no value. */
  title?: string;
  curve: readonly (number | null)[];
  /** Short facts below. */
  notes: readonly string[];
  /** What the model of the world calls it. */
  watched?: TileName;
  /** The view it is from. */
  receipt: string | null;
}

const HOUR_S = 3_600;

/** Of the last minute. */
export function tilesOf(
  metrics: Metrics | null,
  before: readonly Metrics[],
  history: History | null,
): Tile[] {
  const seconds = history?.window_seconds ?? 60;
  const at = (key: keyof Metrics) => (metrics?.[key] ?? null) as number | null;
  const curve = (key: keyof Metrics) => before.map(it => (it[key] ?? null) as number | null);
  const isCounted = (key: keyof Metrics) => !(metrics?.not_counted?.includes(key) ?? false);
  const notes = (now: number | null, column: string, by: number, usual: string | null): string[] => {
    // Before the history came, nothing is known of then.
    if (history === null) return [];
    const ago = (values: Record<string, number> | null | undefined) => {
      const value = values?.[column];
      return value === undefined ? null : value / by;
    };
    const hour = changeOf(now, ago(history.hour_ago), '1 h');
    const day = ago(history.day_ago) === null ? null : changeOf(now, ago(history.day_ago), '1 d');
    return [hour, day, usual].filter(it => it !== null);
  };
  const usual = (name: string, decimals: (high: number) => number) => {
    const range = usualOf(history, name);
    if (range === null) return null;
    const places = decimals(range.high);
    return `usual ${formatNumber(range.low, places)}–${formatNumber(range.high, places)}`;
  };
  const counted = (key: keyof Metrics, of: (value: number | null) => Omit<Tile, 'title'>): Tile[] => {
    if (!isCounted(key)) return [];
    const tile = of(at(key));
    if (metrics === null || at(key) !== null) return [tile];
    return [{ ...tile, title: 'No records in the last minute have it.' }];
  };
  const lastHour = sumOf(history?.overall.requests, history, HOUR_S);
  const counts = isCounted('requestsLastMinute');
  const total = compact(at('totalRequests'));
  const processed = quantifyBytes(metrics?.dataProcessed);
  const sent = quantifyBytes(at('bytesPerSec'));
  return [
    {
      name: 'events',
      label: 'Events',
      value: formatRate(at('eventsPerSec')),
      unit: counts ? '/s' : '/s read',
      curve: curve('eventsPerSec'),
      notes: counts
        ? notes(
            at('eventsPerSec'),
            'requests',
            seconds,
            usual('requests', high => (high < 100 ? 1 : 0)),
          )
        : [],
      watched: 'events',
      receipt: counts ? 'last_minute' : null,
    },
    ...counted('errorRate', value => ({
      name: 'errors',
      label: 'Error rate',
      value: formatNumber(value, 1),
      unit: '%',
      curve: curve('errorRate'),
      notes: notes(
        value,
        'error_rate',
        1,
        usual('error_rate', () => 1),
      ),
      watched: 'errors',
      receipt: 'last_minute',
    })),
    ...counted('avgResponseTime', value => ({
      name: 'mean',
      label: 'Mean response time',
      value: formatNumber(value),
      unit: 'ms',
      curve: curve('avgResponseTime'),
      notes: notes(value, 'response_time_mean', 1, null),
      receipt: 'last_minute',
    })),
    ...counted('p95ResponseTime', value => ({
      name: 'latency',
      label: 'p95 latency',
      value: formatNumber(value),
      unit: 'ms',
      curve: curve('p95ResponseTime'),
      notes: notes(
        value,
        'response_time_p95',
        1,
        usual('response_time_p95', () => 0),
      ),
      watched: 'latency',
      receipt: 'last_minute',
    })),
    ...counted('activeSessions', value => ({
      name: 'sessions',
      label: 'Active sessions',
      value: formatNumber(value),
      unit: '/min',
      curve: curve('activeSessions'),
      notes: notes(value, 'sessions', 1, null),
      receipt: 'last_minute',
    })),
    {
      name: 'volume',
      label: 'Data processed',
      value: processed.value,
      unit: processed.unit,
      curve: curve('bytesPerSec'),
      notes: isCounted('bytesPerSec')
        ? [
            ...(sent.unit === '' ? [] : [`${sent.value} ${sent.unit}/s sent`]),
            ...notes(at('bytesPerSec'), 'bytes_sent', seconds, null).slice(0, 1),
          ]
        : [],
      title: 'Bytes read from all sources, ever',
      receipt: null,
    },
    {
      name: 'total',
      label: counts ? 'Total requests' : 'Total records',
      value: total.value,
      unit: total.unit,
      curve: [],
      notes: lastHour === null ? [] : [`+${formatNumber(lastHour)} in the last hour`],
      title: formatNumber(at('totalRequests')),
      receipt: counts ? 'totals' : null,
    },
  ];
}

/** Of a fixed range, from its history. */
export function tilesOfRange(history: History): Tile[] {
  const { overall, times, step_seconds } = history;
  const sum = (name: string) => sumOf(overall[name], history, Number.POSITIVE_INFINITY);
  const most = (name: string) => {
    const known = (overall[name] ?? []).filter(value => value !== null);
    return known.length === 0 ? null : known.reduce((most, value) => Math.max(most, value));
  };
  const requests = sum('requests');
  const seconds = times.length * step_seconds;
  const bytes = quantifyBytes(sum('bytes_sent') ?? sum('bytes'));
  const errors = sum('errors');
  const share = requests === null || errors === null || requests === 0 ? null : (100 * errors) / requests;
  const rate = (values: readonly (number | null)[] | undefined) =>
    (values ?? []).map(value => (value === null ? null : value / step_seconds));
  const total = compact(requests);
  const all: (Tile | null)[] = [
    {
      name: 'events',
      label: 'Events',
      value: formatRate(requests === null ? null : requests / Math.max(1, seconds)),
      unit: '/s',
      curve: rate(overall.requests),
      notes: ['mean of the range'],
      receipt: null,
    },
    {
      name: 'errors',
      label: 'Error rate',
      value: formatNumber(share, 1),
      unit: '%',
      curve: overall.error_rate ?? [],
      notes: [`${formatNumber(errors)} failed requests`],
      receipt: null,
    },
    overall.response_time_p95 === undefined
      ? null
      : {
          name: 'latency',
          label: 'p95 latency',
          value: formatNumber(most('response_time_p95')),
          unit: 'ms',
          curve: overall.response_time_p95,
          notes: ['worst minute of the range'],
          receipt: null,
        },
    overall.sessions === undefined
      ? null
      : {
          name: 'sessions',
          label: 'Sessions',
          value: formatNumber(most('sessions')),
          unit: '/min',
          curve: overall.sessions,
          notes: ['busiest minute of the range'],
          receipt: null,
        },
    {
      name: 'volume',
      label: 'Data sent',
      value: bytes.value,
      unit: bytes.unit,
      curve: overall.bytes_sent ?? overall.bytes ?? [],
      notes: ['in the range'],
      receipt: null,
    },
    {
      name: 'total',
      label: 'Requests',
      value: total.value,
      unit: total.unit,
      title: formatNumber(requests),
      curve: [],
      notes: ['in the range'],
      receipt: null,
    },
  ];
  return all.filter(tile => tile !== null);
}

/** In words; a person reads "– 1 h" as "minus one hour". */
export function changeOf(now: number | null, before: number | null, ago: string): string | null {
  if (now === null) return null;
  if (before === null) return `no data ${ago} ago`;
  if (before === 0) return now === 0 ? `same as ${ago} ago` : `none ${ago} ago`;
  const percent = 100 * (now / before - 1);
  const size = Math.abs(percent);
  if (size > 999) return `${formatNumber(now / before)}× vs ${ago} ago`;
  if (size < 0.5) return `same as ${ago} ago`;
  return `${percent > 0 ? '+' : '−'}${formatNumber(size)} % vs ${ago} ago`;
}

/** The sum of the newest steps of so many seconds; `null` if nothing is known of them. */
function sumOf(
  values: readonly (number | null)[] | undefined,
  history: History | null,
  seconds: number,
): number | null {
  if (values === undefined || history === null) return null;
  const steps = Math.min(values.length, Math.ceil(seconds / history.step_seconds));
  const known = values.slice(values.length - steps).filter(value => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}

/** A count of any size within a tile. */
function compact(count: number | null): { value: string; unit: string } {
  if (count === null) return { value: MISSING, unit: '' };
  if (count < 1e6) return { value: formatNumber(count), unit: '' };
  return count < 1e9
    ? { value: formatNumber(count / 1e6, 2), unit: 'M' }
    : { value: formatNumber(count / 1e9, 2), unit: 'G' };
}

/**
 * Six numbers, each with its epoch behind it, and what they were an hour and a day ago. A change that cannot be told is a
 * dash, never a zero.
 */
import type { Metrics } from '../../api/wire';
import { formatAge, formatNumber, formatRate, MISSING, quantifyBytes } from '../../shared/format';
import { useLive, useNow } from '../../shared/live';
import { Shape, toneOfHealth } from '../../shared/mark';
import { Receipt } from '../../shared/receipt';
import { cn } from '../../shared/ui/cn';
import type { History } from './model';
import { Sparkline } from './Sparkline';

interface Tile {
  name: string;
  label: string;
  value: string;
  unit: string;
  now: number | null;
  /** The same an hour and a day ago. */
  hour: number | null;
  day: number | null;
  curve: readonly (number | null)[];
  expected?: string;
  /** Whether the value is outside of what is expected. */
  unusual?: boolean;
  /** The view it is from. */
  receipt: string | null;
  /** Why there is no value, if there is none. */
  missing?: string;
  /** Whether the dataflow never has this value. */
  notCounted: boolean;
}

/** The last minute, as far as the dataflow counts it. */
export function Tiles({ history }: { history: History | null }) {
  const metrics = useLive(state => state.metrics);
  const before = useLive(state => state.history);
  const tiles = tilesOf(metrics, before, history);
  return (
    <section
      aria-label="The last minute"
      className="grid shrink-0 grid-cols-2 divide-line rounded border border-line bg-panel sm:grid-cols-3 lg:grid-cols-6 lg:divide-x"
    >
      {tiles.map(tile => (
        <TileView key={tile.name} tile={tile} waiting={metrics === null} />
      ))}
      <Fresh />
    </section>
  );
}

function TileView({ tile, waiting }: { tile: Tile; waiting: boolean }) {
  const value = (
    <span
      className={cn(
        'tile-value text-figure leading-9 font-medium',
        (waiting || tile.missing !== undefined) && 'text-muted',
      )}
      title={tile.missing}
    >
      {tile.value}
    </span>
  );
  if (tile.notCounted)
    return (
      <div className="min-w-0 px-3 py-2" data-tile={tile.name}>
        <h2 className="text-label text-muted">{tile.label}</h2>
        {value}
        <p className="text-label text-muted" title={tile.missing}>
          not counted by this dataflow
        </p>
      </div>
    );
  const figure = (
    <>
      {value}
      {tile.missing === undefined && <span className="ml-1 text-label text-muted">{tile.unit}</span>}
      {tile.unusual && (
        <span className="ml-1">
          <Shape tone="warn" />
          <span className="sr-only">outside of what is expected</span>
        </span>
      )}
    </>
  );
  return (
    <div className="min-w-0 px-3 py-2" data-tile={tile.name}>
      <h2 className="text-label text-muted">{tile.label}</h2>
      {tile.receipt === null ? (
        figure
      ) : (
        <Receipt view={tile.receipt} label={tile.label}>
          {figure}
        </Receipt>
      )}
      <Sparkline values={tile.curve} label={`${tile.label}, last two minutes`} />
      <p className="flex flex-wrap gap-x-2 text-label text-muted">
        <Change word="1 h" now={tile.now} before={tile.hour} />
        <Change word="1 d" now={tile.now} before={tile.day} />
        {tile.expected && <span className="whitespace-nowrap">exp. {tile.expected}</span>}
      </p>
    </div>
  );
}

function Change({ word, now, before }: { word: string; now: number | null; before: number | null }) {
  const change = now !== null && before !== null && before > 0 ? now / before - 1 : null;
  const text =
    change === null
      ? MISSING
      : `${change >= 0 ? '+' : '−'}${formatNumber(Math.min(999, Math.abs(change) * 100))} %`;
  const title =
    before === null
      ? `no rows of ${word} ago`
      : `${word} ago it was ${formatNumber(before, before < 100 ? 1 : 0)}`;
  return (
    <span title={title} className="whitespace-nowrap">
      {text} {word}
    </span>
  );
}

function Fresh() {
  const fresh = useLive(state => state.fresh);
  const pipeline = useLive(state => state.pipeline);
  const now = useNow(250);
  const age = fresh === null ? null : formatAge(now - Date.parse(fresh.asOf)).split(' ');
  return (
    <div className="min-w-0 px-3 py-2" data-tile="freshness">
      <h2 className="text-label text-muted">Freshness</h2>
      <span className="tile-value text-figure leading-9 font-medium">{age?.[0] ?? MISSING}</span>
      <span className="ml-1 text-label text-muted">{age?.slice(1).join(' ')}</span>
      <ul className="mt-1 flex flex-wrap gap-x-2 text-label leading-5">
        {pipeline?.components.map(({ name, status, detail }) => (
          <li key={name} title={detail} data-component={name} data-status={status}>
            <Shape tone={toneOfHealth(status)} />
            <span className="text-muted">{name.replace(/^source /, '')}</span>
            {status !== 'ok' && ` ${status}`}
          </li>
        ))}
      </ul>
      <p className="truncate text-label text-muted">
        {pipeline === null
          ? ''
          : `${pipeline.workers} workers · commit ${pipeline.commit?.number ?? 'none yet'}`}
      </p>
    </div>
  );
}

export function tilesOf(
  metrics: Metrics | null,
  before: readonly Metrics[],
  history: History | null,
): Tile[] {
  const seconds = history?.window_seconds ?? 60;
  const [hour, day] = [history?.hour_ago, history?.day_ago];
  const per = (values: Record<string, number> | null | undefined, name: string, by = 1) => {
    const value = values?.[name];
    return value === undefined ? null : value / by;
  };
  const at = <Key extends keyof Metrics>(key: Key) => (metrics?.[key] ?? null) as number | null;
  const curve = (key: keyof Metrics) => before.map(it => (it[key] ?? null) as number | null);
  /** A dash says why it is one. */
  const absence = (key: keyof Metrics) => {
    const notCounted = metrics?.not_counted?.includes(key) ?? false;
    if (metrics === null || at(key) !== null) return { notCounted };
    const missing = notCounted
      ? 'This dataflow has no view last_minute with a column for it.'
      : 'No records in the last minute have it.';
    return { notCounted, missing };
  };
  const bytes = quantifyBytes(at('bytesPerSec'));
  const band = (name: string, by = 1) => {
    const band = history?.expected[name];
    const [low, high] = [band?.low.at(-2), band?.high.at(-2)];
    return low == null || high == null ? null : { low: low / by, high: high / by };
  };
  const outside = (value: number | null, range: { low: number; high: number } | null) =>
    value !== null && range !== null && (value > range.high || value < range.low);
  const words = (range: { low: number; high: number } | null, decimals = 0) =>
    range === null ? undefined : `${formatNumber(range.low, decimals)}–${formatNumber(range.high, decimals)}`;
  const [rate, errors, p95] = [
    band('requests', history?.step_seconds),
    band('error_rate'),
    band('response_time_p95'),
  ];
  const errorRate = at('errorRate');
  /** Without such a view, what is told is how fast sources are read. */
  const isCounted = !(metrics?.not_counted?.includes('requestsLastMinute') ?? false);
  return [
    {
      name: 'events',
      label: 'Events',
      value: formatRate(at('eventsPerSec')),
      unit: isCounted ? '/s' : '/s read',
      now: at('eventsPerSec'),
      hour: per(hour, 'requests', seconds),
      day: per(day, 'requests', seconds),
      curve: curve('eventsPerSec'),
      expected: words(rate, (rate?.high ?? 0) < 100 ? 1 : 0),
      unusual: outside(at('eventsPerSec'), rate),
      receipt: isCounted ? 'last_minute' : null,
      ...absence('eventsPerSec'),
    },
    {
      name: 'errors',
      label: 'Error rate',
      value: formatNumber(errorRate, 1),
      unit: '%',
      now: errorRate,
      hour: per(hour, 'error_rate'),
      day: per(day, 'error_rate'),
      curve: curve('errorRate'),
      expected: words(errors, 1),
      unusual: errorRate !== null && errors !== null && errorRate > errors.high,
      receipt: 'last_minute',
      ...absence('errorRate'),
    },
    {
      name: 'latency',
      label: 'p95 latency',
      value: formatNumber(at('p95ResponseTime')),
      unit: 'ms',
      now: at('p95ResponseTime'),
      hour: per(hour, 'response_time_p95'),
      day: per(day, 'response_time_p95'),
      curve: curve('p95ResponseTime'),
      expected: words(p95),
      unusual: at('p95ResponseTime') !== null && p95 !== null && (at('p95ResponseTime') ?? 0) > p95.high,
      receipt: 'last_minute',
      ...absence('p95ResponseTime'),
    },
    {
      name: 'sessions',
      label: 'Sessions',
      value: formatNumber(at('activeSessions')),
      unit: '/min',
      now: at('activeSessions'),
      hour: per(hour, 'sessions'),
      day: per(day, 'sessions'),
      curve: curve('activeSessions'),
      receipt: 'last_minute',
      ...absence('activeSessions'),
    },
    {
      name: 'volume',
      label: 'Volume sent',
      value: bytes.value,
      unit: bytes.unit === '' ? '' : `${bytes.unit}/s`,
      now: at('bytesPerSec'),
      hour: per(hour, 'bytes_sent', seconds),
      day: per(day, 'bytes_sent', seconds),
      curve: curve('bytesPerSec'),
      receipt: 'last_minute',
      ...absence('bytesPerSec'),
    },
  ];
}

/**
 * The numbers on top: of the last minute, each with where it comes from behind it, or of the fixed range that is looked at.
 */
import { formatAge, formatDateTime, MISSING } from '../../shared/format';
import { useLive, useNow } from '../../shared/live';
import { Shape, toneOfHealth } from '../../shared/mark';
import { useSpan } from '../../shared/nav';
import type { Counted, Page } from '../../shared/page';
import { Receipt } from '../../shared/receipt';
import { cn } from '../../shared/ui/cn';
import { zoneName } from '../../shared/zone';
import { type Tile, tilesOf, tilesOfRange } from './figures';
import type { History } from './model';
import { Sparkline } from './Sparkline';
import { useHistoryOfNow, useNewestRow, useWorld } from './useWorld';
import { toneOfTile } from './world';

const SPAN_EVERY_MS = 30_000;
const FRAME =
  'grid shrink-0 grid-cols-2 divide-line rounded border border-line bg-panel sm:grid-cols-4 xl:auto-cols-fr xl:grid-flow-col xl:grid-cols-none xl:divide-x';

export function Tiles({ page, history }: { page: Page; history: History | null }) {
  const { fixed } = useSpan(SPAN_EVERY_MS);
  return fixed && page.main != null ? (
    <OfRange main={page.main} history={history} />
  ) : (
    <OfLastMinute page={page} />
  );
}

function OfLastMinute({ page }: { page: Page }) {
  const world = useWorld();
  const metrics = useLive(state => state.metrics);
  const before = useLive(state => state.history);
  const isLive = useLive(state => state.link.status === 'live');
  const history = useHistoryOfNow();
  const now_ms = useNow(1_000);
  const row = useNewestRow(page);
  const tiles = tilesOf({ page, metrics, before, row, history });
  return (
    <section aria-label="Last minute" className={cn(FRAME, !isLive && 'opacity-60')}>
      {tiles.map(tile => {
        const tone = tile.watched === undefined ? null : toneOfTile(world, tile.watched, now_ms);
        return <TileView key={tile.name} tile={tile} tone={tone} />;
      })}
      <Fresh />
    </section>
  );
}

function OfRange({ main, history }: { main: Counted; history: History | null }) {
  const { from, to } = useSpan(SPAN_EVERY_MS);
  if (history === null) return <section aria-label="Selected range" className={cn(FRAME, 'min-h-28')} />;
  return (
    <section aria-label="Selected range" className={FRAME}>
      {tilesOfRange(history, main).map(tile => (
        <TileView key={tile.name} tile={tile} tone={null} />
      ))}
      <div className="min-w-0 px-3 py-2" data-tile="range">
        <h2 className="text-label text-muted">Range, {zoneName()}</h2>
        <p className="leading-6">{formatDateTime(from)}</p>
        <p className="leading-6">{formatDateTime(to)}</p>
        <p className="text-label text-muted">{formatAge(to - from)}</p>
      </div>
    </section>
  );
}

function TileView({ tile, tone }: { tile: Tile; tone: 'critical' | 'warn' | null }) {
  const figure = (
    <>
      <span
        className={cn(
          'tile-value text-figure leading-9 font-medium',
          tile.value === MISSING && 'text-muted',
          tone === 'critical' && 'text-critical',
        )}
        title={tile.title}
      >
        {tile.value}
      </span>
      {tile.value !== MISSING && <span className="ml-1 text-label text-muted">{tile.unit}</span>}
      {tone !== null && (
        <span className="ml-1">
          <Shape tone={tone} />
          <span className="sr-only">unusual</span>
        </span>
      )}
    </>
  );
  return (
    <div className="min-w-0 px-3 py-2" data-tile={tile.name} data-unusual={tone ?? undefined}>
      <h2 className="truncate text-label text-muted">{tile.label}</h2>
      {tile.receipt === null ? (
        <div className="whitespace-nowrap">{figure}</div>
      ) : (
        <Receipt view={tile.receipt} label={tile.label}>
          <span className="whitespace-nowrap">{figure}</span>
        </Receipt>
      )}
      {tile.curve.length > 0 ? (
        <Sparkline values={tile.curve} label={`${tile.label}, over time`} />
      ) : (
        <div className="h-5" />
      )}
      {tile.notes.map(note => (
        <p key={note} className="truncate text-label text-muted" title={note}>
          {note}
        </p>
      ))}
    </div>
  );
}

function Fresh() {
  const fresh = useLive(state => state.fresh);
  const pipeline = useLive(state => state.pipeline);
  const isLive = useLive(state => state.link.status === 'live');
  const now = useNow(250);
  const age = fresh === null ? null : formatAge(now - Date.parse(fresh.asOf)).split(' ');
  return (
    <div className="min-w-0 px-3 py-2" data-tile="freshness">
      <h2 className="text-label text-muted">Freshness</h2>
      <div className="whitespace-nowrap">
        <span className="tile-value text-figure leading-9 font-medium">{age?.[0] ?? MISSING}</span>
        <span className="ml-1 text-label text-muted">{age?.slice(1).join(' ')}</span>
      </div>
      <ul className="mt-1 text-label leading-5">
        {pipeline?.components.map(({ name, status, detail }) => (
          <li
            key={name}
            className="truncate"
            title={detail}
            data-component={name}
            data-status={isLive ? status : 'unknown'}
          >
            <Shape tone={isLive ? toneOfHealth(status) : 'stale'} />
            <span className="text-muted">{name.replace(/^source /, '')}</span>
            {!isLive ? ' unknown' : status !== 'ok' && ` ${status}`}
          </li>
        ))}
      </ul>
    </div>
  );
}

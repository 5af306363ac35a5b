/**
 * Records as they come, newest first, up to a hundred thousand of them.
 *
 * Whoever scrolls down is reading: the list then stands still at the record it had on top, counts what is new, and the
 * rest of the page goes on. Nothing jumps, since rows are read by their number and not by their place.
 */
import { Pause } from 'lucide-react';
import { useRef, useState } from 'react';
import { RING_ROWS_MAX } from '../../api/ring';
import { formatNumber } from '../../shared/format';
import { useFrozen, useLastFresh, useLive, useTail } from '../../shared/live';
import type { Pick } from '../../shared/logline';
import { useGo } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { type PanelState, panelState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { useOlder } from './older';
import type { Lines as LineSet } from './useLines';
import { VirtualLines } from './VirtualLines';

/** `where` is `null` while the server is asked whether it takes the filter. */
export function LiveList({ where, lines, onPick }: { where: string | null; lines: LineSet; onPick: Pick }) {
  if (where === null)
    return (
      <Panel title="Live records" className={SIZE} state={{ name: 'loading' }} empty="">
        {null}
      </Panel>
    );
  // Another filter is another list, and so are other columns.
  return (
    <Lines
      key={`${where}\n${[...lines.names.split(',')].sort()}`}
      where={where}
      lines={lines}
      onPick={onPick}
    />
  );
}

const SIZE = 'h-[60vh] md:h-auto md:flex-1';

function Lines({ where, lines, onPick }: { where: string; lines: LineSet; onPick: Pick }) {
  // In one order, so that a moved column is no new list.
  const names = lines.names.split(',').sort().join();
  const ring = useTail(where, names);
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const scroller = useRef<HTMLDivElement>(null);
  /** Number of the record on top while the list is held. */
  const [held, setHeld] = useState<number | null>(null);
  const [byButton, setByButton] = useState(false);
  /** Number of the newest record that was cleared away. */
  const [cleared, setCleared] = useState(0);
  const go = useGo();
  const frozenAt = useRef<number | null>(null);
  if (frozen) frozenAt.current ??= ring.counts.received;
  else frozenAt.current = null;
  const top = held ?? frozenAt.current ?? ring.counts.received;
  const older = useOlder(where, names, ring, top);
  const fresh = ring.counts.received - top;
  const gone = top > 0 && top < ring.oldest;
  const live = gone ? 0 : Math.max(0, top - Math.max(ring.oldest, cleared + 1) + 1);
  const below = cleared > 0 || gone ? [] : (older ?? []);
  const count = live + below.length;

  const resume = () => {
    setHeld(null);
    setByButton(false);
    scroller.current?.scrollTo({ top: 0 });
  };
  const scrolled = (pixels: number) => {
    if (pixels > 4 && held === null) setHeld(ring.counts.received);
    if (pixels <= 4 && held !== null && !byButton) setHeld(null);
  };
  const differs = ring.where !== null && ring.where !== where;
  return (
    <Panel
      title="Live records"
      className={SIZE}
      state={stateOf(panelState(link, itemsOf(ring, cleared, older), asOf, frozen), differs, ring.where)}
      empty={
        <>
          {cleared > 0
            ? 'Cleared. New records appear here as they arrive.'
            : where === ''
              ? 'There are no records yet. They appear here as they arrive.'
              : 'No record matches so far. New ones appear here as they arrive.'}{' '}
          <Button kind="quiet" className="h-6" onClick={() => go({ past: true })}>
            Search the stored records
          </Button>
        </>
      }
      aside={
        <>
          <Count name="shown" value={count} />
          <Count name="matched" value={ring.counts.matched + (older?.length ?? 0)} />
          <span data-count="dropped" className={ring.counts.dropped > 0 ? 'text-warn' : ''}>
            dropped {formatNumber(ring.counts.dropped)}
            {ring.counts.dropped > 0 &&
              ` (1:${formatNumber(ring.counts.matched / Math.max(1, ring.counts.received), 1)} sampled)`}
          </span>
          {ring.counts.unseen > 0 && <Count name="not looked at" value={ring.counts.unseen} />}
          <Button
            className="h-6"
            disabled={count === 0}
            title="Empty this list; new records go on arriving, and the stored ones stay"
            onClick={() => {
              resume();
              setCleared(ring.counts.received);
            }}
          >
            Clear
          </Button>
          <Button
            className="h-6"
            onClick={() => {
              if (held !== null) return resume();
              setHeld(ring.counts.received);
              setByButton(true);
            }}
          >
            {held === null ? 'Pause' : 'Resume'}
          </Button>
        </>
      }
    >
      <div className="flex h-full flex-col">
        {held !== null && (
          <div className="flex items-center gap-2 bg-hover px-3 py-0.5" role="status" data-hold>
            <span>
              <Pause size={12} className="inline" aria-hidden="true" /> paused{byButton ? '' : ' by scroll'} ·{' '}
              <b>{formatNumber(fresh)}</b> new
            </span>
            <Button kind="quiet" className="h-5" onClick={resume}>
              Show the newest
            </Button>
          </div>
        )}
        {gone ? (
          <p className="p-3 text-muted">
            The records you paused at have left this list, which keeps the newest{' '}
            {formatNumber(RING_ROWS_MAX)}. All of them are among the stored records.
          </p>
        ) : (
          <div className="min-h-0 flex-1">
            <VirtualLines
              label="Live records, newest first"
              count={count}
              lines={lines}
              read={index => (index < live ? ring.read(top - index) : (below[index - live] ?? null))}
              scroller={scroller}
              onPick={onPick}
              onScroll={scrolled}
            />
          </div>
        )}
      </div>
    </Panel>
  );
}

/** How many records the list could show; `null` until stored and live ones are known, or some are. */
function itemsOf(
  ring: { where: string | null; counts: { received: number } },
  cleared: number,
  older: readonly unknown[] | null,
): number | null {
  const live = ring.counts.received - cleared;
  if (ring.where === null) return older === null || older.length === 0 ? null : older.length;
  if (cleared > 0) return live;
  return live === 0 && older === null ? null : live + (older?.length ?? 0);
}

function stateOf(state: PanelState, differs: boolean, applied: string | null): PanelState {
  if (!differs) return state;
  return {
    name: 'error',
    asOf: null,
    cause: `the server applied another filter: ${applied === '' ? 'none' : applied}`,
    hint: 'reload the page; if it happens again, report it',
  };
}

function Count({ name, value }: { name: string; value: number }) {
  return (
    <span data-count={name}>
      {name} {formatNumber(value)}
    </span>
  );
}

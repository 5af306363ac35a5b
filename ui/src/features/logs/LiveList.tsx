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
import { VirtualLines } from './VirtualLines';

/** `where` is `null` while the server is asked whether it takes the filter. */
export function LiveList({ where, onPick }: { where: string | null; onPick: Pick }) {
  if (where === null)
    return (
      <Panel title="Live records" className={SIZE} state={{ name: 'loading' }} empty="">
        {null}
      </Panel>
    );
  // Another filter is another list.
  return <Lines key={where} where={where} onPick={onPick} />;
}

const SIZE = 'h-[60vh] md:h-auto md:flex-1';

function Lines({ where, onPick }: { where: string; onPick: Pick }) {
  const ring = useTail(where);
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
  const fresh = ring.counts.received - top;
  const gone = top > 0 && top < ring.oldest;
  const count = gone ? 0 : Math.max(0, top - Math.max(ring.oldest, cleared + 1) + 1);

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
      state={stateOf(
        panelState(link, ring.where === null ? null : ring.counts.received - cleared, asOf, frozen),
        differs,
        ring.where,
      )}
      empty={
        <>
          {cleared > 0
            ? 'Cleared. New records appear here as they arrive.'
            : where === ''
              ? 'No record has arrived since this page was opened.'
              : 'No new record has matched since this page was opened.'}{' '}
          <Button kind="quiet" className="h-6" onClick={() => go({ past: true })}>
            Show stored records
          </Button>
        </>
      }
      aside={
        <>
          <Count name="shown" value={count} />
          <Count name="matched" value={ring.counts.matched} />
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
              read={index => ring.read(top - index)}
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

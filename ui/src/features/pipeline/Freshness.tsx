/** Freshness by stage as one bar: produced, read, in a view, on this page; and how far the lake is behind. */
import { useEffect, useRef, useState } from 'react';
import type { Pipeline } from '../../api/wire';
import { formatAge, MISSING } from '../../shared/format';
import { useFrozen, useLive } from '../../shared/live';
import { Explained } from '../../shared/ui/tooltip';
import { percentile, type Stage, wayOf, widthsOf } from './freshness';

/** Delays of the page that are kept: about a minute. */
const DELAYS_MAX = 240;
const PLAUSIBLE_SECONDS = 5;
const COLOURS = ['var(--series-1)', 'var(--series-2)', 'var(--series-3)'];

/** How old the newest epoch was each time that one came, in seconds by the server's clock. */
function usePageDelays(): readonly number[] {
  const fresh = useLive(state => state.fresh);
  const offset_ms = useLive(state => state.clockOffset_ms);
  const frozen = useFrozen();
  const offset = useRef(offset_ms);
  offset.current = offset_ms;
  const [delays, setDelays] = useState<readonly number[]>([]);
  useEffect(() => {
    if (fresh === null || frozen) return;
    const seconds = (Date.now() + offset.current - Date.parse(fresh.asOf)) / 1000;
    // Before the server has told its time, a clock that differs would be taken for a delay.
    const isTold = offset.current !== 0 || seconds < PLAUSIBLE_SECONDS;
    if (isTold && seconds >= 0) setDelays(before => [...before, seconds].slice(-DELAYS_MAX));
  }, [fresh, frozen]);
  return delays;
}

export function Freshness({ pipeline }: { pipeline: Pipeline }) {
  const page = usePageDelays();
  const stages = wayOf(pipeline, page);
  const widths = widthsOf(stages);
  const committed = pipeline.freshness.find(({ name }) => name === 'committed');
  const total = percentile(page, 0.5);
  return (
    <div className="px-3 pb-3" data-freshness>
      <div className="flex h-2 overflow-hidden rounded bg-hover" aria-hidden="true">
        {stages.map(({ name }, at) => (
          <span key={name} style={{ width: `${widths[at]}%`, background: COLOURS[at] }} />
        ))}
      </div>
      <dl className="mt-2 flex flex-wrap gap-x-8 gap-y-2">
        {stages.map((stage, at) => (
          <Told key={stage.name} stage={stage} colour={COLOURS[at]} />
        ))}
        <Told
          stage={{
            name: 'lake',
            about: committed?.about ?? '',
            p50: committed?.p50_seconds ?? null,
            p99: committed?.p99_seconds ?? null,
          }}
        />
        <div>
          <dt className="text-muted">read to page</dt>
          <dd>{total === null ? MISSING : seconds(total)}</dd>
        </div>
      </dl>
    </div>
  );
}

const NAMES: Record<string, string> = {
  read: 'event to read',
  view: 'read to view',
  page: 'view to page',
  lake: 'lake is behind by',
};

function Told({ stage: { name, about, p50, p99 }, colour }: { stage: Stage; colour?: string | undefined }) {
  return (
    <div data-stage={name}>
      <dt className="flex items-center gap-1.5 text-muted">
        {colour !== undefined && (
          <span className="size-2 rounded-xs" style={{ background: colour }} aria-hidden="true" />
        )}
        <Explained text={about}>{NAMES[name] ?? name}</Explained>
      </dt>
      <dd>
        {p50 === null ? (
          <span className="text-muted">not known</span>
        ) : (
          <>
            {seconds(p50)} <span className="text-muted">p99 {p99 === null ? MISSING : seconds(p99)}</span>
          </>
        )}
      </dd>
    </div>
  );
}

/** Short ones in milliseconds, since there they differ. */
function seconds(value: number): string {
  return value < 1 ? `${Math.round(value * 1000)} ms` : formatAge(value * 1000);
}

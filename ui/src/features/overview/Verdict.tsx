/**
 * The one most important thing now: a broken part, else the gravest open anomaly, else since when nothing is unusual.
 */
import type { Row } from '../../api/wire';
import { partOf } from '../../shared/filter';
import { formatAge, formatAny, formatName, formatTime, numberOf } from '../../shared/format';
import { useIsMissing, useLive, useNow, useView } from '../../shared/live';
import { Shape, type Tone } from '../../shared/mark';
import { useGo } from '../../shared/nav';
import { Button } from '../../shared/ui/button';
import { behindOf } from './behind';

/** An anomaly counts as going on so long after the end of its window. */
const GOING_ON_MS = 120_000;
/** Rules over windows have a threshold; single bad events happen all the time and say little. */
const WINDOW_RULES = 'threshold > 0';

export function Verdict() {
  const pipeline = useLive(state => state.pipeline);
  const view = useView('anomalies', WINDOW_RULES);
  const withoutRules = useIsMissing('anomalies');
  const now = useNow(1_000);
  const go = useGo();
  const broken =
    pipeline?.components.filter(({ status }) => status === 'down' || status === 'degraded') ?? [];
  const first = broken.find(({ status }) => status === 'down') ?? broken[0];
  if (first !== undefined)
    return (
      <Strip tone={first.status === 'down' ? 'critical' : 'warn'}>
        <b className="font-medium">{first.name}</b>
        <span>{first.detail}</span>
        {broken.length > 1 && <span className="text-muted">and {broken.length - 1} more</span>}
        <ToPipeline />
      </Strip>
    );
  if (pipeline?.cause)
    return (
      <Strip tone="warn">
        <b className="font-medium">Slow</b>
        <span>{pipeline.cause.text}</span>
        <ToPipeline />
      </Strip>
    );
  const behind = pipeline === null ? null : behindOf(pipeline);
  if (behind !== null)
    return (
      <Strip tone="warn">
        <b className="font-medium">{behind.title}</b>
        <span>{behind.detail}</span>
        <ToPipeline />
      </Strip>
    );
  if (withoutRules && pipeline !== null)
    return (
      <Strip tone="ok">
        <span>All {pipeline.components.length} parts are well.</span>
        <span className="text-muted">This dataflow has no rules that say what is unusual.</span>
      </Strip>
    );
  if (view === null || pipeline === null)
    return (
      <Strip tone="stale">
        <span className="text-muted">Waiting for the first data…</span>
      </Strip>
    );
  const open = view.rows.filter(row => now - endOf(row) < GOING_ON_MS).sort(byGravity);
  const gravest = open[0];
  if (gravest === undefined) {
    const since = Math.max(...view.rows.map(endOf));
    return (
      <Strip tone="ok">
        <span>
          {Number.isFinite(since)
            ? `Nothing unusual since ${formatTime(since, 'min')} UTC (${formatAge(now - since)}).`
            : 'Nothing unusual in the rows the view keeps.'}
        </span>
        <span className="text-muted">{pipeline.components.length} parts are well.</span>
      </Strip>
    );
  }
  return (
    <Strip tone={(numberOf(gravest.score) ?? 0) >= 0.8 ? 'critical' : 'warn'}>
      <span className="text-muted">{formatTime(gravest.window_start, 'min')}</span>
      <b className="font-medium">
        {formatName(gravest.anomaly_type)} {gravest.endpoint ? `on ${gravest.endpoint}` : ''}
      </b>
      <span>
        {formatAny(numberOf(gravest.observed))}
        {numberOf(gravest.threshold) !== null && ` against at most ${formatAny(numberOf(gravest.threshold))}`}
        {gravest.ip_class ? `, ${gravest.ip_class} addresses` : ''}
      </span>
      {open.length > 1 && <span className="text-muted">and {open.length - 1} more</span>}
      <span className="ml-auto flex">
        {typeof gravest.endpoint === 'string' && (
          <Button
            kind="quiet"
            onClick={() => go({ where: partOf('endpoint', '=', String(gravest.endpoint)) }, '/logs')}
          >
            Records
          </Button>
        )}
        <Button kind="quiet" onClick={() => go({}, '/anomalies')}>
          All anomalies
        </Button>
      </span>
    </Strip>
  );
}

function ToPipeline() {
  const go = useGo();
  return (
    <Button kind="quiet" className="ml-auto" onClick={() => go({}, '/pipeline')}>
      Open Pipeline
    </Button>
  );
}

function Strip({ tone, children }: { tone: Tone; children: React.ReactNode }) {
  return (
    <section
      aria-label="What is wrong now"
      data-tone={tone}
      className="flex min-h-9 shrink-0 flex-wrap items-center gap-x-3 rounded border border-line bg-panel px-3 py-1"
    >
      <Shape tone={tone} />
      {children}
    </section>
  );
}

function endOf(row: Row): number {
  const end = Date.parse(String(row.window_end ?? row.window_start));
  return Number.isNaN(end) ? 0 : end;
}

function byGravity(a: Row, b: Row): number {
  return (numberOf(b.score) ?? 0) - (numberOf(a.score) ?? 0) || endOf(b) - endOf(a);
}

/**
 * How records get from the sources to the lake, whether every part is well, and, if it is slow, what slows it down.
 */

import type { Pipeline } from '../../api/wire';
import {
  formatAge,
  formatDateTime,
  formatNumber,
  formatRate,
  MISSING,
  quantifyBytes,
} from '../../shared/format';
import { useFrozen, useLastFresh, useLive } from '../../shared/live';
import { Mark, Shape, toneOfHealth } from '../../shared/mark';
import { useGo, useUrl } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { panelState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { zoneName } from '../../shared/zone';
import { Graph } from './Graph';
import { Lag } from './Lag';
import { LakeTables } from './LakeTables';
import { NodeDrawer } from './NodeDrawer';

export function PipelinePage() {
  const pipeline = useLive(state => state.pipeline);
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const { node } = useUrl();
  const state = panelState(link, pipeline === null ? null : 1, asOf, frozen);
  const frame = { state, empty: '' };
  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full md:overflow-y-auto">
      <Panel title="Health" className="shrink-0" {...frame} aside={pipeline && <Dates pipeline={pipeline} />}>
        {pipeline && <HealthStrip pipeline={pipeline} />}
      </Panel>
      <div className="grid shrink-0 grid-cols-1 gap-3 xl:grid-cols-[3fr_2fr]">
        <Panel title="Lag per partition" {...frame}>
          {pipeline && <Lag pipeline={pipeline} />}
        </Panel>
        <Panel title="Threads" {...frame} aside="share of one core, last 10 s">
          {pipeline && <Threads pipeline={pipeline} />}
        </Panel>
      </div>
      <div className="flex shrink-0 gap-3">
        <Panel title="Dataflow" className="flex-1" {...frame} aside="records or changes a second">
          {pipeline && <Graph pipeline={pipeline} />}
        </Panel>
        {pipeline && node !== undefined && <NodeDrawer pipeline={pipeline} id={node} />}
      </div>
      <Panel title="Lake tables" className="shrink-0" {...frame}>
        {pipeline && <LakeTables pipeline={pipeline} />}
      </Panel>
    </div>
  );
}

function Dates({ pipeline }: { pipeline: Pipeline }) {
  return (
    <>
      {pipeline.sources.map(
        ({ name, watermark }) =>
          watermark && (
            <span
              key={name}
              data-watermark={name}
              title={`Windows of ${name} that end before it are complete. It stays ${formatAge(watermark.allowance_seconds * 1000)} behind the newest record, so that late ones still count; that is no lag.`}
            >
              {name} watermark {formatDateTime(watermark.at)} {zoneName()}, waits{' '}
              {formatAge(watermark.allowance_seconds * 1000)} for late records
            </span>
          ),
      )}
      <span>up {formatAge(pipeline.uptime_seconds * 1000)}</span>
    </>
  );
}

function HealthStrip({ pipeline }: { pipeline: Pipeline }) {
  const go = useGo();
  const { components, cause, commit, sources } = pipeline;
  const undecoded = sources.reduce((sum, it) => sum + it.undecoded, 0);
  const records = sources.reduce((sum, it) => sum + it.records, 0);
  const lately = sources.reduce((sum, { intake }) => sum + intake.records_last_minute, 0);
  const lateLately = sources.reduce((sum, { intake }) => sum + intake.late_last_minute, 0);
  const late = pipeline.nodes.find(({ id }) => id === 'view:late')?.rows ?? 0;
  return (
    <div className="flex flex-col gap-2 px-3 pb-3">
      <ul className="flex flex-wrap gap-x-6 gap-y-1">
        {components.map(({ name, status, detail }) => (
          <li key={name} data-component={name} data-status={status}>
            <Mark tone={toneOfHealth(status)} word={`${name} ${status}`} />{' '}
            <span className="text-muted">{detail}</span>
          </li>
        ))}
      </ul>
      <p role="status" data-cause={cause?.node ?? ''}>
        {cause ? (
          <>
            <Shape tone="warn" /> <b className="font-medium">Bottleneck:</b> {cause.text}
          </>
        ) : (
          <span className="text-muted">No bottleneck</span>
        )}
      </p>
      <dl className="flex flex-wrap gap-x-8 gap-y-1">
        <Fact name="read">
          {formatRate(sources.reduce((sum, it) => sum + (it.records_per_second ?? 0), 0))} /s ·{' '}
          {rateOf(sources.reduce((sum, it) => sum + (it.bytes_per_second ?? 0), 0))}
        </Fact>
        <Fact name="epochs open">{formatNumber(pipeline.epochs_open)}</Fact>
        <Fact name="newest epoch">
          {pipeline.epoch_age_seconds == null
            ? MISSING
            : `${formatAge(pipeline.epoch_age_seconds * 1000)} old`}
        </Fact>
        <Fact name="commit">
          {commit
            ? `${commit.number} · ${formatAge(commit.age_seconds * 1000)} ago · took ${formatNumber(commit.duration_ms)} ms`
            : 'none yet'}
        </Fact>
        <Fact name="dead letters">
          <Button
            kind="quiet"
            className="-my-1 h-6"
            onClick={() => go({ q: DEAD_LETTERS }, '/query')}
            title="Records that could not be decoded, with the reason"
          >
            {formatNumber(undecoded)}
            {undecoded > 0 && ` (${shareOf(undecoded, records + undecoded)})`}
          </Button>
        </Fact>
        <Fact name="late, last minute">
          <span title="Records behind the watermark when they came. They are archived; windows that were closed lack them.">
            {formatNumber(lateLately)}
            {lateLately > 0 && ` (${shareOf(lateLately, lately)})`}
          </span>
        </Fact>
        <Fact name="windows with late records">
          <Button kind="quiet" className="-my-1 h-6" onClick={() => go({ q: LATE }, '/query')}>
            {formatNumber(late)}
          </Button>
        </Fact>
        <Fact name="streams open">{formatNumber(pipeline.stream_clients)}</Fact>
      </dl>
    </div>
  );
}

const DEAD_LETTERS = 'SELECT * FROM lake.dead_letters ORDER BY _epoch DESC LIMIT 200';
const LATE = 'SELECT * FROM late ORDER BY window_start DESC, view LIMIT 200';

/** In percent; a small share is never told as none. */
function shareOf(part: number, all: number): string {
  const percent = (100 * part) / Math.max(1, all);
  return percent < 0.1 ? '< 0.1 %' : `${formatNumber(percent, percent < 10 ? 1 : 0)} %`;
}

function rateOf(bytes: number): string {
  const { value, unit } = quantifyBytes(bytes);
  return `${value} ${unit}/s`;
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div className="flex gap-2">
      <dt className="text-muted">{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Share of a core below which a thread is idle. */
const IDLE_BELOW = 0.005;
const ROLES = ['worker', 'reader', 'query', 'other'];

function Threads({ pipeline }: { pipeline: Pipeline }) {
  const { threads } = pipeline;
  const workers = threads.filter(({ role }) => role === 'worker').map(({ busy }) => busy);
  const mean = workers.reduce((sum, busy) => sum + busy, 0) / Math.max(1, workers.length);
  // A pool that has nothing to do is one line.
  const busy = threads.filter(it => it.role === 'worker' || it.busy >= IDLE_BELOW);
  const idle = threads.length - busy.length;
  if (threads.length === 0)
    return <p className="px-3 pb-3 text-muted">Thread usage is not available yet, or not on this system.</p>;
  return (
    <div className="px-3 pb-3">
      <ul>
        {[...busy]
          .sort((a, b) => ROLES.indexOf(a.role) - ROLES.indexOf(b.role) || b.busy - a.busy)
          .map((thread, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: threads of a pool share their name.
            <li key={`${thread.name}-${at}`} className="grid grid-cols-[130px_1fr_48px] items-center gap-2">
              <span className="truncate font-mono text-label">{thread.name}</span>
              <span className="h-2 rounded bg-hover">
                <span
                  className="block h-2 rounded"
                  style={{
                    width: `${Math.round(thread.busy * 100)}%`,
                    background: thread.busy > 0.85 ? 'var(--warn)' : 'var(--series-1)',
                  }}
                />
              </span>
              <span className="text-right">{formatNumber(thread.busy * 100)} %</span>
            </li>
          ))}
      </ul>
      {idle > 0 && (
        <p className="mt-1 text-label text-muted">
          {idle} other {idle === 1 ? 'thread is' : 'threads are'} idle.
        </p>
      )}
      {workers.length > 1 && mean > 0.01 && (
        <p className="mt-1 text-label text-muted">
          The busiest of {workers.length} workers does {formatNumber(Math.max(...workers) / mean, 1)}× the
          mean load.
        </p>
      )}
    </div>
  );
}

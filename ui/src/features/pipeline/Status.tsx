/** How the pipeline is in one line: its state in words that follow the facts, how much flows, and whether it is proved. */
import type { Pipeline } from '../../api/wire';
import {
  formatAge,
  formatDateTime,
  formatNumber,
  formatRate,
  MISSING,
  quantifyBytes,
} from '../../shared/format';
import { Mark, Shape, toneOfHealth } from '../../shared/mark';
import { useGo } from '../../shared/nav';
import { Button } from '../../shared/ui/button';
import { Explained } from '../../shared/ui/tooltip';
import { zoneName } from '../../shared/zone';
import { Proof } from './Verification';
import { troubleOf } from './words';

export function Status({ pipeline }: { pipeline: Pipeline }) {
  const { components, cause, headline, overall } = pipeline;
  return (
    <div className="flex flex-col gap-2 px-3 pb-3">
      <div className="flex flex-wrap items-center gap-x-6 gap-y-1">
        <p role="status" className="text-control font-medium" data-headline={overall}>
          <Mark tone={toneOfHealth(overall)} word={headline} className="whitespace-normal" />
        </p>
        <Flow pipeline={pipeline} />
        <Proof />
      </div>
      <p data-cause={cause?.node ?? ''}>
        {cause ? (
          <>
            <Shape tone="warn" /> <b className="font-medium">Bottleneck:</b> {cause.text}
          </>
        ) : (
          <span className="text-muted">No bottleneck</span>
        )}
      </p>
      <ul className="flex flex-wrap gap-x-6 gap-y-1" aria-label="Components">
        {[...components].sort(wellLast).map(component => (
          <Part key={component.name} part={component} />
        ))}
      </ul>
      <details>
        <summary className="text-muted">More</summary>
        <Facts pipeline={pipeline} />
      </details>
    </div>
  );
}

function wellLast(a: { status: string }, b: { status: string }): number {
  return Number(a.status === 'ok') - Number(b.status === 'ok');
}

/** What is well is its name alone, and the rest when it is pointed at; what is not has a line of its own. */
function Part({ part: { name, status, headline, detail } }: { part: Pipeline['components'][number] }) {
  const well = status === 'ok';
  return (
    <li data-component={name} data-status={status} className={well ? '' : 'basis-full'}>
      {well ? (
        <Explained text={detail}>
          <Mark tone="ok" word={name} />
        </Explained>
      ) : (
        <>
          <Mark tone={toneOfHealth(status)} word={name} />{' '}
          {!detail.includes(troubleOf({ health: status, headline }) ?? '') && `${headline}: `}
          <span className="break-words text-muted">{detail}</span>
        </>
      )}
    </li>
  );
}

function Flow({ pipeline: { sources, commit, epoch_age_seconds } }: { pipeline: Pipeline }) {
  const sum = (of: (source: Pipeline['sources'][number]) => number | null | undefined) =>
    sources.reduce((all, source) => all + (of(source) ?? 0), 0);
  const records = sum(it => (it.records_per_second ?? 0) + (it.undecoded_per_second ?? 0));
  const { value, unit } = quantifyBytes(sum(it => it.bytes_per_second));
  const facts = [`reads ${formatRate(records)}/s, ${value} ${unit}/s`];
  if (commit) facts.push(`writes ${formatNumber(Object.keys(commit.versions).length)} tables`);
  facts.push(`data ${epoch_age_seconds == null ? MISSING : formatAge(epoch_age_seconds * 1000)} old`);
  return <span>{facts.join(' · ')}</span>;
}

/** What is good to know and rarely looked at. */
function Facts({ pipeline }: { pipeline: Pipeline }) {
  const go = useGo();
  const lately = pipeline.sources.reduce((sum, { intake }) => sum + intake.records_last_minute, 0);
  const lateLately = pipeline.sources.reduce((sum, { intake }) => sum + intake.late_last_minute, 0);
  const late = pipeline.nodes.find(({ id }) => id === 'view:late');
  return (
    <dl className="mt-2 flex flex-wrap gap-x-8 gap-y-1">
      <Fact name="up">{formatAge(pipeline.uptime_seconds * 1000)}</Fact>
      <Fact name="epochs open">{formatNumber(pipeline.epochs_open)}</Fact>
      <Fact name="streams open">{formatNumber(pipeline.stream_clients)}</Fact>
      <Fact name="late, last minute">
        <Explained text="Records behind the watermark when they came. They are archived; windows that were closed lack them.">
          {formatNumber(lateLately)}
          {lateLately > 0 && ` (${shareOf(lateLately, lately)})`}
        </Explained>
      </Fact>
      {late && (
        <Fact name="windows with late records">
          <Button kind="quiet" className="-my-1 h-6" onClick={() => go({ q: LATE }, '/query')}>
            {formatNumber(late.rows)}
          </Button>
        </Fact>
      )}
      {pipeline.sources.map(
        ({ name, watermark }) =>
          watermark && (
            <Fact key={name} name={`${name} watermark `} data-watermark={name}>
              <Explained
                text={`Windows of ${name} that end before it are complete. It stays ${formatAge(watermark.allowance_seconds * 1000)} behind the newest record, so that late ones still count; that is no lag.`}
              >
                {formatDateTime(watermark.at)} {zoneName()}, waits{' '}
                {formatAge(watermark.allowance_seconds * 1000)} for late records
              </Explained>
            </Fact>
          ),
      )}
    </dl>
  );
}

const LATE = 'SELECT * FROM late ORDER BY window_start DESC, view LIMIT 200';

/** In percent; a small share is never told as none. */
export function shareOf(part: number, all: number): string {
  const percent = (100 * part) / Math.max(1, all);
  return percent > 0 && percent < 0.1 ? '< 0.1 %' : `${formatNumber(percent, percent < 10 ? 1 : 0)} %`;
}

interface FactProps {
  name: string;
  'data-watermark'?: string;
  children: React.ReactNode;
}

function Fact({ name, children, ...rest }: FactProps) {
  return (
    <div className="flex gap-2" {...rest}>
      <dt className="text-muted">{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/**
 * Reports of the dataflow: which one, over which times; to be read here, or taken along as a file. All numbers are exact and of
 * one commit, so a report stands still until it is asked for again.
 */
import { useQuery } from '@tanstack/react-query';
import { Download, ExternalLink, RotateCw } from 'lucide-react';
import { answerOf, api, handOver } from '../../api/client';
import { DocLink } from '../../shared/docs';
import { useGo, useSpan, useUrl } from '../../shared/nav';
import { sentence } from '../../shared/panel';
import type { Search } from '../../shared/search';
import { Button } from '../../shared/ui/button';
import { Tooltip } from '../../shared/ui/tooltip';
import { ReportView } from './ReportView';
import { fileName, fileUrl, type Report, type Times, timesOf } from './report';

const FIRST = 'all';
/** An open range begins where it began when it was chosen: a report is not made anew while it is read. */
const SPAN_EVERY_MS = 3_600_000;

export function ReportsPage() {
  const { tab, range, from, to } = useUrl();
  const go = useGo();
  const span = useSpan(SPAN_EVERY_MS);
  const list = useQuery({
    queryKey: ['reports'],
    queryFn: () => answerOf(api.GET('/api/v1/reports')),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const reports = list.data?.reports ?? [];
  const name = reports.find(it => it.name === tab)?.name ?? FIRST;
  const chosen = reports.find(it => it.name === name);
  const times = timesOf({ range, from, to } as Search, span);
  const isThere = chosen !== undefined && chosen.missing == null;
  const report = useQuery({
    queryKey: ['report', name, times],
    queryFn: async ({ signal }) => {
      const asked = api.GET('/api/v1/reports/{name}', {
        params: { path: { name }, query: times as never },
        headers: { accept: 'application/json' },
        signal,
      });
      // Only JSON is accepted.
      return (await answerOf(asked)) as Report;
    },
    enabled: isThere,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const shown = report.data;
  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full md:overflow-y-auto">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <div role="group" aria-label="Which report" className="flex flex-wrap gap-1">
          {reports.map(it => (
            <Tooltip key={it.name} text={it.about}>
              <Button
                kind={it.name === name ? 'outline' : 'quiet'}
                aria-pressed={it.name === name}
                onClick={() => go({ tab: it.name === FIRST ? undefined : it.name } as object)}
              >
                {it.name}
              </Button>
            </Tooltip>
          ))}
        </div>
        {shown !== undefined && (
          <Take
            report={shown}
            times={times}
            isAsked={report.isFetching}
            onAgain={() => void report.refetch()}
          />
        )}
      </div>
      <State
        error={list.error ?? report.error}
        missing={chosen?.missing ?? null}
        isWaiting={shown === undefined}
      />
      {shown !== undefined && isThere && <ReportView report={shown} />}
    </div>
  );
}

interface TakeProps {
  report: Report;
  times: Times;
  isAsked: boolean;
  onAgain: () => void;
}

/** The report as a file, and made anew. */
function Take({ report, times, isAsked, onAgain }: TakeProps) {
  const name = fileName(report);
  const url = fileUrl(report.name, times, report);
  const json = () =>
    handOver(
      new Blob([`${JSON.stringify(report, null, 2)}\n`], { type: 'application/json' }),
      `${name}.json`,
    );
  const link =
    'inline-flex h-7 items-center gap-1.5 rounded border border-line px-2 whitespace-nowrap hover:bg-hover max-md:h-10';
  return (
    <div className="flex flex-wrap items-center gap-2 sm:ml-auto">
      <a className={link} href={url} target="_blank" rel="noopener">
        <ExternalLink size={14} aria-hidden="true" /> Open as one file
      </a>
      <a className={link} href={url} download={`${name}.html`}>
        <Download size={14} aria-hidden="true" /> HTML
      </a>
      <Button onClick={json}>
        <Download size={14} aria-hidden="true" /> JSON
      </Button>
      <Button kind="quiet" disabled={isAsked} onClick={onAgain}>
        <RotateCw size={14} aria-hidden="true" /> {isAsked ? 'Counting…' : 'Count again'}
      </Button>
    </div>
  );
}

interface StateProps {
  error: Error | null;
  /** Why this dataflow has no such report. */
  missing: string | null;
  isWaiting: boolean;
}

function State({ error, missing, isWaiting }: StateProps) {
  if (error !== null) {
    const hint = 'hint' in error ? String(error.hint) : '';
    return (
      <div role="alert">
        <p className="text-critical">{sentence(error.message)}</p>
        {hint !== '' && <p className="text-muted">{sentence(hint)}</p>}
      </div>
    );
  }
  if (missing !== null)
    return (
      <p className="text-muted" data-report-missing>
        {sentence(missing)} <DocLink chapter="reports">What reports are made of</DocLink>
      </p>
    );
  if (isWaiting)
    return (
      <p role="status" className="skeleton text-muted">
        Counting…
      </p>
    );
  return null;
}

/**
 * One incident: what was observed against what was expected, over its windows and some around them, live while it goes on.
 */
import { useQuery } from '@tanstack/react-query';
import { X } from 'lucide-react';
import { useEffect, useMemo, useRef, useState } from 'react';
import { askSql } from '../../api/client';
import type { Row } from '../../api/wire';
import { Chart, type Series } from '../../shared/chart';
import {
  beginOf,
  type Detected,
  type Detector,
  endOf,
  isActive,
  lastedText,
  minuteText,
  rangeText,
  stateOf,
  titleOf,
  toneOf,
} from '../../shared/detected';
import { joined, partOf } from '../../shared/filter';
import {
  formatDateTime,
  formatMeasured,
  formatName,
  formatNumber,
  formatTime,
  textOf,
} from '../../shared/format';
import { useFrozen, useToday } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { useGo } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { Fact, Receipt, SqlReceipt } from '../../shared/receipt';
import { quoted, textLiteral } from '../../shared/sql';
import { answerState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import { zoneName } from '../../shared/zone';
import {
  bandOf,
  type Judged,
  judgedOf,
  neighboursOf,
  oldestSql,
  spanAround,
  topOf,
  windowsSql,
} from './band';
import { Explanation } from './Explanation';
import { IncidentActions, SaidFacts } from './IncidentActions';

const EVERY_MS = 5_000;
const COPIED_MS = 2_000;

export function IncidentPanel({ incident, detector }: { incident: Detected; detector: Detector }) {
  const windows = useWindows(incident, detector);
  const judged = windows.data?.judged ?? [];
  const panel = useRef<HTMLDivElement>(null);
  useCloseByEscape();
  // On a small screen it is not where the row was.
  useEffect(() => {
    panel.current?.scrollIntoView({ block: 'nearest' });
  }, []);
  return (
    <div
      ref={panel}
      className="flex min-h-0 min-w-0 flex-col md:flex-[5]"
      data-incident-panel={incident.incident}
    >
      <Panel
        title={titleOf(incident)}
        className="flex-1"
        state={answerState(windows, windows.data === undefined ? null : 1)}
        empty=""
        onRetry={() => void windows.refetch()}
        aside={<Actions incident={incident} detector={detector} sql={windows.data?.sql} />}
      >
        <p className="px-3 pb-2">
          <Mark tone={toneOf(incident)} word={stateOf(incident)} className="mr-2" />
          {incident.summary}.{' '}
          {incident.withdrawn_ms !== null && (
            <span className="text-muted">
              Withdrawn after late records; this page saw it at {formatTime(incident.withdrawn_ms)}{' '}
              {zoneName()}.
            </span>
          )}
          {stateOf(incident) === 'provisional' && (
            <span className="text-muted">Late records may still withdraw it.</span>
          )}
        </p>
        {incident.withdrawn_ms === null && <IncidentActions incident={incident} />}
        {judged.length > 0 ? (
          <BandChart judged={judged} incident={incident} detector={detector} />
        ) : (
          <p className="px-3 pb-2 text-muted">The windows of this incident are no longer stored.</p>
        )}
        <div className="flex flex-wrap gap-x-8 gap-y-3 px-3 pt-2 pb-3">
          <Facts incident={incident} detector={detector} />
          <Neighbours judged={judged} incident={incident} detector={detector} />
          <Explanation incident={incident} detector={detector} />
        </div>
      </Panel>
    </div>
  );
}

/** A link to what is not in the list: it is too old, or was taken back before. */
export function Unknown({ incident, detectors }: { incident: string; detectors: readonly Detector[] }) {
  const go = useGo();
  useCloseByEscape();
  const statements = detectors.map(
    it => `SELECT * FROM lake.${quoted(it.incidents)} WHERE incident = ${textLiteral(incident)}`,
  );
  return (
    <section
      aria-label="Incident"
      className="flex flex-col items-start gap-2 rounded border border-line bg-panel p-3 md:flex-[5]"
    >
      <p>
        Incident <code className="font-mono">{incident}</code> was not found: it was withdrawn after late
        records, or it is too old to be listed.
      </p>
      <div className="flex flex-wrap gap-2">
        {statements.map((q, at) => (
          <Button key={q} onClick={() => go({ q }, '/query')}>
            Search the lake: {detectors[at]?.name}
          </Button>
        ))}
        <Button kind="quiet" onClick={() => go({ incident: undefined } as object)}>
          Close
        </Button>
      </div>
    </section>
  );
}

function useCloseByEscape(): void {
  const go = useGo();
  useEffect(() => {
    const pressed = (event: KeyboardEvent) =>
      event.key === 'Escape' && !event.defaultPrevented && go({ incident: undefined } as object);
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, [go]);
}

function useWindows(incident: Detected, detector: Detector) {
  const frozen = useFrozen();
  const span = spanAround(incident, detector);
  return useQuery({
    queryKey: ['windows', incident.incident, span.from_ms, span.to_ms],
    queryFn: async ({ signal }) => {
      const oldest = await askSql(oldestSql(detector), { signal });
      const first = Date.parse(String((oldest.rows[0] as Row | undefined)?.oldest));
      const sql = windowsSql(detector, incident, span, Number.isNaN(first) ? null : first);
      const answer = await askSql(sql, { signal });
      return { sql, judged: judgedOf(answer.rows as Row[]) };
    },
    // As it goes on its span grows; what was drawn stays until the next answer.
    placeholderData: before => before,
    refetchInterval: () => {
      const isFixed = !isActive(incident) && span.to_ms < Date.now();
      return frozen || isFixed ? false : EVERY_MS;
    },
  });
}

interface ActionsProps {
  incident: Detected;
  detector: Detector;
  sql: string | undefined;
}

function Actions({ incident, detector, sql }: ActionsProps) {
  const go = useGo();
  const [copied, setCopied] = useState(false);
  const copy = () =>
    void navigator.clipboard?.writeText(location.href).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), COPIED_MS);
    });
  const records = () => {
    const where = joined(Object.entries(incident.key).map(([name, value]) => keyPart(name, value)));
    const [from, to] = [beginOf(incident), endOf(incident)].map(ms => new Date(ms).toISOString());
    go({ ...(where && { where }), past: true, range: undefined, from, to } as object, '/logs');
  };
  return (
    <>
      <SqlReceipt sql={sql} note="What the detector says of each window of this key and metric." />
      {detector.filtersRecords && (
        <Button kind="quiet" className="h-6" onClick={records}>
          Records
        </Button>
      )}
      <Button kind="quiet" className="h-6" onClick={copy}>
        {copied ? 'Copied' : 'Copy link'}
      </Button>
      <Button
        kind="quiet"
        className="h-6 px-1"
        aria-label="Close the incident"
        onClick={() => go({ incident: undefined } as object)}
      >
        <X size={14} aria-hidden="true" />
      </Button>
    </>
  );
}

function keyPart(name: string, value: unknown): string {
  if (value === null) return `${quoted(name)} IS NULL`;
  return partOf(name, '=', typeof value === 'number' || typeof value === 'boolean' ? value : textOf(value));
}

interface Drawn {
  judged: readonly Judged[];
  incident: Detected;
  detector: Detector;
}

function BandChart({ judged, incident, detector }: Drawn) {
  const band = useMemo(() => bandOf(judged, detector.window_ms), [judged, detector.window_ms]);
  const series = useMemo((): Series[] => {
    const { observed, expected, anomalies } = band;
    return [
      { label: 'observed', colour: 0, values: observed },
      { label: 'expected', colour: 'muted', dashed: true, values: expected },
      { label: 'anomalous', colour: 'critical', kind: 'points', values: anomalies },
    ];
  }, [band]);
  const bounds = useMemo(() => ({ low: band.low, high: band.high, label: 'expected range' }), [band]);
  const top = topOf(band);
  const [since, peak] = [beginOf(incident) / 1000, peakOf(incident) / 1000];
  const marks = useMemo(
    () => [...(since === peak ? [] : [{ time: since, label: 'since' }]), { time: peak, label: 'peak' }],
    [since, peak],
  );
  return (
    <div className="h-60 lg:h-80">
      <Chart
        times={band.times}
        series={series}
        band={bounds}
        {...(top !== undefined && { top })}
        marks={marks}
        unit=""
        summary={`${formatName(incident.metric)} of each window, with what was expected. At the peak ${formatMeasured(incident.observed)} was observed, ${rangeText(incident.low, incident.high)} was expected.`}
      />
    </div>
  );
}

function peakOf({ peak_start, since }: Detected): number {
  return peak_start == null ? beginOf({ since }) : Date.parse(peak_start);
}

function Facts({ incident, detector }: Omit<Drawn, 'judged'>) {
  return (
    <dl className="grid grid-cols-[auto_1fr] content-start gap-x-4 gap-y-0.5">
      {Object.entries(incident.key).map(([name, value]) => (
        <Fact key={name} name={name}>
          {textOf(value)}
        </Fact>
      ))}
      <Fact name="metric">{incident.metric}</Fact>
      <Fact name="since">
        {formatDateTime(beginOf(incident))} {zoneName()}
      </Fact>
      <Fact name={isActive(incident) ? 'until, so far' : 'until'}>
        {formatDateTime(endOf(incident))} {zoneName()}
      </Fact>
      <Fact name="lasted">
        {lastedText(incident)}, {formatNumber(incident.windows)}{' '}
        {incident.windows === 1 ? 'window' : 'windows'}
      </Fact>
      {incident.closed_at != null && (
        <Fact name="closed">
          {formatDateTime(incident.closed_at)} {zoneName()}
        </Fact>
      )}
      <Fact name="peak">
        {formatDateTime(peakOf(incident))} {zoneName()}, {formatMeasured(incident.observed)}
      </Fact>
      <Fact name="severity">
        <Receipt view={detector.incidents} label={`incidents of ${detector.name}`}>
          {formatNumber(incident.severity, 1)}
        </Receipt>
      </Fact>
      <Fact name="detector">
        {detector.name}, on {detector.watches}
      </Fact>
      <SaidFacts incident={incident} />
    </dl>
  );
}

function Neighbours({ judged, incident, detector }: Drawn) {
  const today = useToday();
  const peak_ms = peakOf(incident);
  // Shorter windows begin at seconds.
  const hasMinutes = detector.window_ms % 60_000 === 0;
  const shown = neighboursOf(judged, peak_ms);
  if (shown.length === 0) return null;
  return (
    <table className="self-start text-label" aria-label="Windows around the peak">
      <thead className="text-left text-muted">
        <tr>
          <th className="pr-3 font-normal">window, {zoneName()}</th>
          <th className="px-2 text-right font-normal">observed</th>
          <th className="px-2 text-right font-normal">expected</th>
          <th className="pl-2 text-right font-normal">severity</th>
        </tr>
      </thead>
      <tbody>
        {shown.map(it => (
          <tr key={it.start_ms} className={cn(it.start_ms === peak_ms && 'font-medium')}>
            <td className="pr-3 whitespace-nowrap" title={formatDateTime(it.start_ms)}>
              {hasMinutes ? minuteText(it.start_ms, today) : formatTime(it.start_ms)}
            </td>
            <td className={cn('px-2 text-right', it.is_anomaly && 'text-critical')}>
              {formatMeasured(it.observed)}
            </td>
            <td className="px-2 text-right whitespace-nowrap">
              {it.expected === null
                ? 'learning'
                : `${formatMeasured(it.expected)} (${rangeText(it.low, it.high)})`}
            </td>
            <td className="pl-2 text-right">{formatNumber(it.severity, 1)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

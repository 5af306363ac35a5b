/**
 * Incidents as spans of time on the charts that show their metric: those of detectors that watch the chart's view, of metrics that
 * measure a column the chart draws. Pure functions; spans.tsx draws.
 *
 * What was taken back is gone, and what was dismissed is no anomaly, so neither is drawn. A muted one stays as a thin grey line: it did
 * happen, but nobody wants to be alarmed by it.
 */
import { beginOf, type Detected, type Detector, endOf, isActive, minuteText, titleOf } from './detected';
import { isDismissed, saidOf } from './said';
import { zoneName } from './zone';

/** What a chart shows. */
export interface Shown {
  /** The view that it draws; `null` while that is not known. */
  view: string | null;
  columns: readonly string[];
}

export interface Span {
  incident: string;
  from_ms: number;
  /** `null` while it goes on. */
  to_ms: number | null;
  tone: 'critical' | 'warn' | 'muted';
  title: string;
  /** When it was, and what was observed. */
  text: string;
}

/** Severities from here on, one window in a million, are drawn as critical: `/api/anomalies` calls these errors, too. */
const CRITICAL_SEVERITY = 6;

/** The incidents of what a chart shows, in the order of time. */
export function spansOf(
  incidents: readonly Detected[],
  detectors: readonly Detector[],
  { view, columns }: Shown,
  now_ms: number,
  today: string,
): Span[] {
  const measures = new Map(
    detectors.filter(({ watches }) => watches === view).map(({ name, measured }) => [name, measured]),
  );
  const isShown = ({ detector, metric }: Detected) =>
    measures.get(detector)?.[metric]?.some(column => columns.includes(column)) ?? false;
  return incidents
    .filter(it => it.withdrawn_ms === null && !isDismissed(it) && isShown(it))
    .map((it): Span => {
      const [from_ms, to_ms] = [beginOf(it), isActive(it) ? null : endOf(it)];
      const until = to_ms === null ? 'now' : minuteText(to_ms, today);
      return {
        incident: it.incident,
        from_ms,
        to_ms,
        tone: toneOf(it, now_ms),
        title: titleOf(it),
        text: `${minuteText(from_ms, today)} to ${until} ${zoneName()}: ${it.summary}`,
      };
    })
    .sort((a, b) => a.from_ms - b.from_ms || (a.incident < b.incident ? -1 : 1));
}

function toneOf(it: Detected, now_ms: number): Span['tone'] {
  if (saidOf(it, 'muted', now_ms) !== null) return 'muted';
  return (it.severity ?? 0) >= CRITICAL_SEVERITY ? 'critical' : 'warn';
}

/** Whether some of it is in a range of time. */
export function isWithin(it: Span, from_ms: number, to_ms: number): boolean {
  return it.from_ms < to_ms && (it.to_ms ?? to_ms) > from_ms;
}

/** Where a span is on an axis of time: shares of its length. */
export interface Placed extends Span {
  left: number;
  right: number;
  /** Those of one time are below each other, from 0. */
  lane: number;
}

/** The spans within a range of time, each in the first lane that is free there. */
export function placedOf(spans: readonly Span[], from_ms: number, to_ms: number): Placed[] {
  const ends: number[] = [];
  const share = (ms: number) => (Math.min(Math.max(ms, from_ms), to_ms) - from_ms) / (to_ms - from_ms);
  return spans
    .filter(it => isWithin(it, from_ms, to_ms))
    .map(it => {
      const end_ms = it.to_ms ?? Number.POSITIVE_INFINITY;
      const free = ends.findIndex(end => end <= it.from_ms);
      const lane = free < 0 ? ends.length : free;
      ends[lane] = end_ms;
      return { ...it, left: share(it.from_ms), right: share(end_ms), lane };
    });
}

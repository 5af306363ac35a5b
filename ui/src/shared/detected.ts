/**
 * What detectors found: their incidents in order, those that were taken back while one looked, and how they are said.
 * Nothing here knows a column by its name but those that every detector has. Pure functions; useDetectors.ts feeds them.
 */
import type { Schemas } from '../api/wire';
import { formatAge, formatDateTime, formatMeasured, formatName, textOf } from './format';
import type { Tone } from './mark';

type View = Schemas['ViewBody'];

export interface Detector {
  name: string;
  /** The view of its incidents. */
  incidents: string;
  /** The view whose windows it judges. */
  watches: string;
  key: readonly { name: string; type: string }[];
  metrics: readonly string[];
  /** Columns of the watched view that each metric measures. */
  measured: Readonly<Record<string, readonly string[]>>;
  window_ms: number;
  /** Whether records can be filtered by its key. */
  filtersRecords: boolean;
  /** Columns of records by which its incidents are explained. */
  explainBy: readonly string[];
}

export interface Detected extends Readonly<Schemas['Incident']> {
  /** When this page saw that it had been taken back. */
  withdrawn_ms: number | null;
}

export type State = 'open' | 'provisional' | 'withdrawn' | 'closed';
export const STATES: readonly State[] = ['open', 'provisional', 'withdrawn', 'closed'];
const TONES: Record<State, Tone> = {
  open: 'warn',
  provisional: 'stale',
  withdrawn: 'quiet',
  closed: 'quiet',
};

/** The detectors of a dataflow, by what its views say of themselves. */
export function detectorsOf(views: readonly View[]): Detector[] {
  return views.flatMap(({ name, columns, detector }) => {
    if (detector == null || detector.of !== 'incidents') return [];
    const typeOf = (key: string) => columns.find(it => it.name === key)?.type ?? 'text';
    return [
      {
        name: detector.detector,
        incidents: name,
        watches: detector.watches,
        key: detector.key.map(key => ({ name: key, type: typeOf(key) })),
        metrics: detector.metrics,
        measured: detector.measured,
        window_ms: detector.window_seconds * 1000,
        filtersRecords: detector.filters_records,
        explainBy: detector.explain_by,
      },
    ];
  });
}

export function stateOf({ state, withdrawn_ms }: Detected): State {
  if (withdrawn_ms !== null) return 'withdrawn';
  return state === 'provisional' || state === 'open' ? state : 'closed';
}

/** What was called no anomaly raises none. */
export function toneOf(it: Detected): Tone {
  return it.dismissed == null ? TONES[stateOf(it)] : 'quiet';
}

/** Whether it goes on, as far as is known. */
export function isActive(it: Detected): boolean {
  return it.withdrawn_ms === null && it.state !== 'closed';
}

/** What goes on first, by severity, what was called no anomaly after the others; then what was taken back; then what is over, newest first. */
export function ordered(all: readonly Detected[]): Detected[] {
  const rank = (it: Detected) => (isActive(it) ? 0 : it.withdrawn_ms !== null ? 1 : 2);
  const severity = (it: Detected) => it.severity ?? 0;
  return [...all].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      (isActive(a) ? Number(a.dismissed != null) - Number(b.dismissed != null) : 0) ||
      (isActive(a) ? severity(b) - severity(a) : 0) ||
      beginOf(b) - beginOf(a) ||
      (a.incident < b.incident ? -1 : 1),
  );
}

/** The incidents that a page knows of, as of an epoch. */
export interface Known {
  epoch: number;
  incidents: readonly Detected[];
  /** Which one took the place of one that was cut differently. */
  replaced: ReadonlyMap<string, string>;
}

export const NOTHING_KNOWN: Known = { epoch: 0, incidents: [], replaced: new Map() };

/** The incident of this name, or the one that took its place. */
export function incidentOf(
  { incidents, replaced }: Omit<Known, 'epoch'>,
  name: string,
): Detected | undefined {
  let now = name;
  const seen = new Set<string>();
  for (;;) {
    const found = incidents.find(it => it.incident === now);
    const next = replaced.get(now);
    if (found !== undefined || next === undefined || seen.has(next)) return found;
    seen.add(next);
    now = next;
  }
}

type List = Pick<Schemas['Incidents'], 'epoch' | 'incidents' | 'truncated'>;

/**
 * What is known once the next list came. An incident that went on and is in it no more was taken back, and stays as
 * withdrawn; one that is over has left for its age; and one whose place another takes was only cut differently.
 */
export function follow(before: Known, list: List, now_ms: number): Known {
  const current = list.incidents.map(it => ({ ...it, withdrawn_ms: null }));
  const known = new Set(current.map(it => it.incident));
  // A list that was cut before its end does not tell what is missing, nor does one of a server that begins anew.
  const isWhole = !list.truncated || current.some(it => !isActive(it));
  const tells = isWhole && before.epoch <= list.epoch;
  let replaced = before.replaced;
  const left = before.incidents.flatMap((it): Detected[] => {
    if (known.has(it.incident)) return [];
    const other = current.find(other => takesPlaceOf(other, it));
    if (other !== undefined) {
      replaced = new Map(replaced).set(it.incident, other.incident);
      return [];
    }
    if (it.withdrawn_ms !== null) return [it];
    return isActive(it) && tells ? [{ ...it, withdrawn_ms: now_ms }] : [];
  });
  return { epoch: list.epoch, incidents: [...current, ...left], replaced };
}

function takesPlaceOf(other: Detected, it: Detected): boolean {
  return seriesOf(other) === seriesOf(it) && beginOf(other) < endOf(it) && beginOf(it) < endOf(other);
}

/** Detector, key and metric. */
function seriesOf({ detector, key, metric }: Detected): string {
  return JSON.stringify([detector, key, metric]);
}

export function beginOf({ since }: Pick<Detected, 'since'>): number {
  return since == null ? 0 : Date.parse(since);
}

/** Where its last anomalous window ends. */
export function endOf({ since, until }: Pick<Detected, 'since' | 'until'>): number {
  return until == null ? beginOf({ since }) : Date.parse(until);
}

/** Values of the key, as one reads them. */
export function keyText({ key }: Pick<Detected, 'key'>): string {
  return Object.values(key).map(textOf).join(', ');
}

/** The metric of keys that came for the first time and are loud at once. */
const NEW = 'new';

/** What happened, in few words. */
export function titleOf(it: Detected): string {
  const name = formatName(it.metric);
  const key = keyText(it);
  if (it.metric === NEW && key !== '') return `${key} is new`;
  const side = (it.observed ?? 0) < (it.expected ?? 0) ? 'below' : 'above';
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}${key === '' ? '' : ` of ${key}`} ${side} expected`;
}

export function rangeText(low: number | null | undefined, high: number | null | undefined): string {
  const between = (low ?? 0) < 0 || (high ?? 0) < 0 ? ' to ' : '–';
  return `${formatMeasured(low)}${between}${formatMeasured(high)}`;
}

/** How long it lasted, or has so far. */
export function lastedText(it: Detected): string {
  const lasted = formatAge(endOf(it) - beginOf(it));
  return isActive(it) ? `${lasted} so far` : lasted;
}

/** `02:56`, with its date if that is another day than the one given, and its year if that is another one. */
export function minuteText(ms: number, today: string): string {
  const text = formatDateTime(ms);
  if (text.startsWith(today)) return text.slice(11, 16);
  return text.startsWith(today.slice(0, 5)) ? text.slice(5, 16) : text.slice(0, 16);
}

/**
 * The windows of an incident and some before and behind, as a chart and a table: what was observed, and what was expected.
 * Pure functions.
 */
import type { Row } from '../../api/wire';
import { beginOf, type Detected, type Detector, endOf } from '../../shared/detected';
import { numberOf } from '../../shared/format';
import { isValue, quoted, textLiteral, timeOf } from '../../shared/sql';

export interface Judged {
  start_ms: number;
  observed: number | null;
  expected: number | null;
  low: number | null;
  high: number | null;
  severity: number | null;
  is_anomaly: boolean;
}

/** Windows shown before an incident and behind it. */
const AROUND_MIN = 20;
const AROUND_MAX = 90;
/** More windows are more than the pixels of a chart, and its newest are the ones looked at. */
export const WINDOWS_MAX = 2_000;
/** Windows of the table, before its peak and behind. */
const NEIGHBOURS = 4;

const COLUMNS = 'window_start, observed, expected, low, high, severity, is_anomaly';

export interface Span {
  from_ms: number;
  to_ms: number;
}

/** An incident and as much before and behind, within bounds. */
export function spanAround(it: Detected, { window_ms }: Pick<Detector, 'window_ms'>): Span {
  const lasted = (endOf(it) - beginOf(it)) / window_ms;
  const around = Math.min(AROUND_MAX, Math.max(AROUND_MIN, Math.ceil(lasted))) * window_ms;
  return { from_ms: beginOf(it) - around, to_ms: endOf(it) + around };
}

/** The first window that is live; older ones are in the lake only. */
export function oldestSql({ name }: Pick<Detector, 'name'>): string {
  return `SELECT min(window_start) AS oldest FROM ${quoted(name)}`;
}

/** What the detector says of the incident's key and metric, stored and live; `oldest_ms` is where live rows begin. */
export function windowsSql(detector: Detector, it: Detected, span: Span, oldest_ms: number | null): string {
  const { from_ms, to_ms } = span;
  const of = detector.key.map(({ name, type }) => isValue(name, type, it.key[name]));
  const same = [`metric = ${textLiteral(it.metric)}`, ...of].join(' AND ');
  const part = (relation: string, from: number, to: number) =>
    `SELECT ${COLUMNS}\nFROM ${relation}\nWHERE ${same}\n  AND window_start >= ${timeOf(from)} AND window_start < ${timeOf(to)}`;
  const name = quoted(detector.name);
  const cut = Math.min(to_ms, Math.max(from_ms, oldest_ms ?? to_ms));
  const parts = [
    ...(from_ms < cut ? [part(`lake.${name}`, from_ms, cut)] : []),
    ...(cut < to_ms ? [part(name, cut, to_ms)] : []),
  ];
  return `${parts.join('\nUNION ALL\n')}\nORDER BY window_start DESC\nLIMIT ${WINDOWS_MAX}`;
}

/** Rows of a detector for one key and metric, by time. */
export function judgedOf(rows: readonly Row[]): Judged[] {
  const all = rows.flatMap((row): Judged[] => {
    const start_ms = Date.parse(String(row.window_start));
    if (Number.isNaN(start_ms)) return [];
    return [
      {
        start_ms,
        observed: numberOf(row.observed),
        expected: numberOf(row.expected),
        low: numberOf(row.low),
        high: numberOf(row.high),
        severity: numberOf(row.severity),
        is_anomaly: row.is_anomaly === true,
      },
    ];
  });
  return all.sort((a, b) => a.start_ms - b.start_ms);
}

type Values = (number | null)[];

export interface Band {
  /** In seconds. */
  times: number[];
  observed: Values;
  expected: Values;
  low: Values;
  high: Values;
  /** What was observed, where it is an anomaly. */
  anomalies: Values;
}

/** As columns of a chart. Where windows are missing stands one without values, so that no line goes over it. */
export function bandOf(judged: readonly Judged[], window_ms: number): Band {
  const band: Band = { times: [], observed: [], expected: [], low: [], high: [], anomalies: [] };
  const add = (start_ms: number, it: Judged | null) => {
    band.times.push(start_ms / 1000);
    band.observed.push(it?.observed ?? null);
    band.expected.push(it?.expected ?? null);
    band.low.push(it?.low ?? null);
    band.high.push(it?.high ?? null);
    band.anomalies.push(it?.is_anomaly ? it.observed : null);
  };
  let next = Number.POSITIVE_INFINITY;
  for (const it of judged) {
    if (it.start_ms > next) add(next, null);
    add(it.start_ms, it);
    next = it.start_ms + window_ms;
  }
  return band;
}

/** A band is drawn up to so many times the largest value. */
const BAND_TIMES = 1.6;

/** Where the chart ends: a band that is wide, as after a disturbance, must not flatten what was observed. */
export function topOf({ observed, expected }: Pick<Band, 'observed' | 'expected'>): number | undefined {
  const most = Math.max(0, ...observed.map(it => it ?? 0), ...expected.map(it => it ?? 0));
  return most > 0 ? BAND_TIMES * most : undefined;
}

/** The windows around the peak; around the newest if it has none. */
export function neighboursOf(judged: readonly Judged[], peak_ms: number | null): Judged[] {
  const at = judged.findIndex(it => it.start_ms === peak_ms);
  const middle = at < 0 ? judged.length - 1 : at;
  return judged.slice(Math.max(0, middle - NEIGHBOURS), middle + NEIGHBOURS + 1);
}

/**
 * What the rules found, as incidents: windows of one rule and endpoint in a row are one. Pure functions.
 */
import type { Row } from '../api/wire';
import { partOf } from './filter';
import { formatAny, formatName, formatNumber, numberOf } from './format';

export interface Incident {
  id: string;
  /** The rule. */
  kind: string;
  endpoint: string | null;
  title: string;
  detail: string;
  tone: 'critical' | 'warn';
  begin_ms: number;
  /** `null` while it goes on. */
  end_ms: number | null;
  /** Its records: those that are wrong, as far as the rule says which those are. */
  where: string | null;
  /** Where its newest window ends. */
  until_ms: number;
  windows: number;
  records: number;
}

/** It goes on for so long after the end of its newest window. */
const GOING_ON_MS = 120_000;
/** Windows further apart are of two incidents, in windows. */
const GAP_MAX = 2;
const GRAVE_SHARE = 0.5;

/** Oldest first. Rows of several classes of addresses are one thing. */
export function incidentsOf(rows: readonly Row[], now_ms: number): Incident[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row.anomaly_type} on ${row.endpoint ?? ''}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  const found: Incident[] = [];
  for (const [id, group] of groups) {
    group.sort((a, b) => beginOf(a) - beginOf(b));
    let run: Row[] = [];
    for (const row of group) {
      const previous = run.at(-1);
      const length = endOf(row) - beginOf(row);
      if (previous !== undefined && beginOf(row) - endOf(previous) > GAP_MAX * length) {
        found.push(incidentOf(id, run, now_ms));
        run = [];
      }
      run.push(row);
    }
    if (run.length > 0) found.push(incidentOf(id, run, now_ms));
  }
  return found.sort((a, b) => a.begin_ms - b.begin_ms || (a.id < b.id ? -1 : 1));
}

function incidentOf(id: string, run: readonly Row[], now_ms: number): Incident {
  const [first, last] = [run[0], run.at(-1)];
  const end_ms = Math.max(...run.map(endOf));
  const isOver = now_ms - end_ms >= GOING_ON_MS;
  // While it goes on, what the newest window says counts; of what is over, the worst.
  const told = isOver ? run : run.filter(row => last !== undefined && beginOf(row) === beginOf(last));
  const worst = told.reduce((most, row) =>
    (numberOf(row.observed) ?? 0) > (numberOf(most.observed) ?? 0) ? row : most,
  );
  const endpoint = typeof worst.endpoint === 'string' ? worst.endpoint : null;
  const { title, detail, tone, wrong } = wordsOf(worst);
  const windows = new Set(run.map(beginOf)).size;
  const parts = [endpoint === null ? null : partOf('endpoint', '=', endpoint), wrong].filter(
    it => it !== null,
  );
  return {
    id,
    kind: String(worst.anomaly_type),
    endpoint,
    title: endpoint === null ? title : `${title} on ${endpoint}`,
    detail,
    tone,
    begin_ms: first === undefined ? end_ms : beginOf(first),
    end_ms: isOver ? end_ms : null,
    where: parts.length === 0 ? null : parts.join(' AND '),
    until_ms: end_ms,
    windows,
    records: run.reduce((sum, row) => sum + (numberOf(row.records) ?? 0), 0),
  };
}

function wordsOf(row: Row): Pick<Incident, 'title' | 'detail' | 'tone'> & { wrong: string | null } {
  const [observed, threshold] = [numberOf(row.observed), numberOf(row.threshold)];
  const limit = (text: string) => (threshold === null ? '' : ` (limit ${text})`);
  const percent = (share: number | null) => `${formatNumber(share === null ? null : share * 100)} %`;
  switch (row.anomaly_type) {
    case 'HIGH_ERROR_RATE':
      return {
        title: 'High error rate',
        detail: `${percent(observed)} of requests failed${limit(percent(threshold))}`,
        tone: (observed ?? 0) >= GRAVE_SHARE ? 'critical' : 'warn',
        wrong: 'status >= 400',
      };
    case 'SLOW_RESPONSE':
      return {
        title: 'Slow responses',
        detail: `mean ${formatNumber(observed)} ms${limit(`${formatNumber(threshold)} ms`)}`,
        tone: 'warn',
        wrong: threshold === null ? null : `response_time > ${threshold}`,
      };
    case 'TRAFFIC_SPIKE':
      return {
        title: 'Traffic spike',
        detail: `${formatNumber(observed)} requests a minute${limit(formatNumber(threshold))}`,
        tone: 'warn',
        wrong: null,
      };
    default: {
      const name = formatName(row.anomaly_type);
      return {
        title: `${name.charAt(0).toUpperCase()}${name.slice(1)}`,
        detail: `${formatAny(observed)}${limit(formatAny(threshold))}`,
        tone: (numberOf(row.score) ?? 0) >= 0.8 ? 'critical' : 'warn',
        wrong: null,
      };
    }
  }
}

function beginOf(row: Row): number {
  const time = Date.parse(String(row.window_start));
  return Number.isNaN(time) ? 0 : time;
}

function endOf(row: Row): number {
  const time = Date.parse(String(row.window_end));
  return Number.isNaN(time) ? beginOf(row) + 60_000 : time;
}

/**
 * The rows of `traffic_1m` as the columns a chart draws: one entry per minute, summed over the endpoints.
 */
import type { Row } from '../../api/wire';
import { numberOf } from '../../shared/format';

/** The chart looks back this far from its newest minute. */
export const MINUTES_MAX = 60;

export interface Minutes {
  /** Seconds since 1970, ascending. */
  start_s: number[];
  requests: number[];
  errors: number[];
}

/** A minute without rows had no requests, and is simply not there. */
export function sumByMinute(rows: readonly Row[]): Minutes {
  const sums = new Map<number, { requests: number; errors: number }>();
  for (const row of rows) {
    const start_s = Date.parse(String(row.window_start)) / 1000;
    if (Number.isNaN(start_s)) continue;
    const sum = sums.get(start_s) ?? { requests: 0, errors: 0 };
    sum.requests += numberOf(row.requests) ?? 0;
    sum.errors += numberOf(row.errors) ?? 0;
    sums.set(start_s, sum);
  }
  const newest = Math.max(...sums.keys());
  const kept = [...sums].filter(([start_s]) => start_s > newest - MINUTES_MAX * 60).sort(([a], [b]) => a - b);
  return {
    start_s: kept.map(([start_s]) => start_s),
    requests: kept.map(([, { requests }]) => requests),
    errors: kept.map(([, { errors }]) => errors),
  };
}

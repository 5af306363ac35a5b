/** The windows of an incident: which are asked for, and what a chart and a table make of them. */
import { describe, expect, it } from 'vitest';
import type { Detected, Detector } from '../../shared/detected';
import { bandOf, judgedOf, neighboursOf, spanAround, topOf, windowsSql } from './band';
import { learningOf, learningSql } from './learning';

const START = Date.parse('2026-03-01T02:00:00Z');
const at = (minute: number) => new Date(START + minute * 60_000).toISOString();
const detector: Detector = {
  name: 'watch',
  incidents: 'watch_incidents',
  watches: 'per_minute',
  key: [
    { name: 'shop "x"', type: 'text' },
    { name: 'till', type: 'bigint' },
    { name: 'day', type: 'date' },
  ],
  metrics: ['orders'],
  measured: { orders: ['orders'] },
  window_ms: 60_000,
  filtersRecords: false,
  explainBy: [],
};
const incident = {
  key: { 'shop "x"': "O'Hara", till: null, day: '2026-03-01' },
  metric: 'orders',
  since: at(0),
  until: at(30),
} as unknown as Detected;

const row = (minute: number, observed: number | null, more = {}) => ({
  window_start: at(minute),
  observed,
  expected: 10,
  low: 5,
  high: 15,
  severity: 1,
  is_anomaly: false,
  ...more,
});

describe('what is asked for', () => {
  it('is as much before and behind as the incident is long, within bounds', () => {
    const minutes = (until: number) => {
      const { from_ms, to_ms } = spanAround({ ...incident, until: at(until) }, detector);
      return [from_ms, to_ms].map(ms => (ms - START) / 60_000);
    };
    expect(minutes(1)).toEqual([-20, 21]);
    expect(minutes(30)).toEqual([-30, 60]);
    expect(minutes(600)).toEqual([-90, 690]);
  });

  it('is stored rows up to the oldest live one, and live ones from there', () => {
    const span = { from_ms: START, to_ms: START + 600_000 };
    const sql = (oldest: number | null) =>
      windowsSql(detector, incident, span, oldest === null ? null : START + oldest * 60_000);
    const both = sql(5);
    expect(both).toContain('FROM lake."watch"');
    expect(both).toContain('UNION ALL');
    expect(both.match(/02:05:00/g)).toHaveLength(2);
    expect(both).toContain(
      `metric = 'orders' AND "shop ""x""" = 'O''Hara' AND "till" IS NULL AND "day" = CAST('2026-03-01' AS date)`,
    );
    expect(sql(-5)).not.toContain('lake.');
    expect(sql(15)).not.toContain('UNION');
    expect(sql(null)).toContain('lake.');
  });
});

describe('the band', () => {
  it('is of windows in order, with a gap where some are missing', () => {
    const judged = judgedOf([
      row(4, 11),
      row(0, 9),
      row(1, 30, { is_anomaly: true }),
      { window_start: 'never' },
    ]);
    const band = bandOf(judged, 60_000);
    expect(band.times.map(it => (it * 1000 - START) / 60_000)).toEqual([0, 1, 2, 4]);
    expect(band.observed).toEqual([9, 30, null, 11]);
    expect(band.anomalies).toEqual([null, 30, null, null]);
    expect(band.low).toEqual([5, 5, null, 5]);
  });

  it('has nothing expected while the detector learns', () => {
    const nothing = { expected: null, low: null, high: null, severity: null };
    const band = bandOf(judgedOf([row(0, 9, nothing)]), 60_000);
    expect([band.observed, band.expected, band.high]).toEqual([[9], [null], [null]]);
  });

  it('does not flatten what was observed', () => {
    expect(topOf({ observed: [3, null, 40], expected: [10, 20, 30] })).toBe(64);
    expect(topOf({ observed: [-3, null], expected: [-2, null] })).toBeUndefined();
  });

  it('has its peak in the middle of the table', () => {
    const judged = judgedOf(Array.from({ length: 20 }, (_, minute) => row(minute, minute)));
    const of = (peak: number | null) => neighboursOf(judged, peak).map(it => it.observed);
    expect(of(START + 10 * 60_000)).toEqual([6, 7, 8, 9, 10, 11, 12, 13, 14]);
    expect(of(START)).toEqual([0, 1, 2, 3, 4]);
    expect(of(null)).toEqual([15, 16, 17, 18, 19]);
    expect(neighboursOf([], START)).toEqual([]);
  });
});

it('a detector learns until it has judged a window', () => {
  expect(learningSql([detector])).toContain('GROUP BY "shop ""x""", "till", "day", metric');
  const rows = [
    { detector: 'a', seen: 12, judged: 0 },
    { detector: 'b', seen: 400, judged: 368 },
    { detector: 'c', seen: null, judged: null },
    { detector: 'd', seen: 90, judged: 0 },
  ];
  expect(learningOf(rows).map(it => `${it.detector}: ${it.text}`)).toEqual([
    'a: learning: 12 of 32 windows',
    'c: learning: 0 of 32 windows',
    'd: learning: its windows have too few events so far',
  ]);
});

/** A report: what is asked for, and its values as people read them, as the file of the same report has them. */
import { BASE } from '../../api/client';
import type { Schemas } from '../../api/wire';
import {
  formatDateTime,
  formatMeasured,
  MISSING,
  numberOf,
  quantifyBytes,
  textOf,
} from '../../shared/format';
import type { Search, Span } from '../../shared/search';

export type Report = Schemas['Report'];
export type Section = Schemas['ReportSection'];
export type Column = Schemas['ReportColumn'];
export type ReportChart = Schemas['ReportChart'];

const FIGURES: ReadonlySet<string> = new Set(['count', 'share', 'measure', 'duration', 'bytes', 'money']);

/** The times of a report, as the API takes them. */
export interface Times {
  range?: string;
  from?: string;
  to?: string;
}

/** The times that the address asks for; without any those that the bar above the report shows, as on all pages. */
export function timesOf({ range, from, to }: Pick<Search, 'range' | 'from' | 'to'>, span: Span): Times {
  if (from !== undefined) return { from, ...(to !== undefined && { to }) };
  if (range !== undefined) return { range };
  if (span.range !== null) return { range: span.range };
  return { from: new Date(span.from).toISOString(), to: new Date(span.to).toISOString() };
}

/** The one file of HTML, over the times that a report that is shown has; those of all data are not known beforehand. */
export function fileUrl(name: string, times: Times, { from, to }: Pick<Report, 'from' | 'to'>): string {
  const exact = times.range !== 'all' && from != null && to != null;
  const query = new URLSearchParams({ ...(exact ? { from, to } : times), format: 'html' } as Record<
    string,
    string
  >);
  return `${BASE}api/v1/reports/${name}?${query}`;
}

/** What a file of it is named. */
export function fileName({ dataflow, name, made_at }: Pick<Report, 'dataflow' | 'name' | 'made_at'>): string {
  return `${dataflow}-${name}-${made_at.slice(0, 10)}`;
}

export function isFigure({ role }: Pick<Column, 'role'>): boolean {
  return FIGURES.has(role);
}

/** The title with the unit behind it, unless every value has it. */
export function headingOf({ title, unit, role }: Column): string {
  return unit == null || role === 'share' || role === 'bytes' ? title : `${title}, ${unit}`;
}

export function shownValue(column: Column, value: unknown): string {
  const { role, unit } = column;
  if (value === null || value === undefined) return isFigure(column) || role === 'time' ? MISSING : '(null)';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (value === '') return '(empty)';
  if (role === 'time') return formatDateTime(value);
  const number = isFigure(column) ? numberOf(value) : null;
  if (number === null) return textOf(value);
  if (role === 'share') return percent(unit === '%' ? number : 100 * number);
  if (role === 'bytes') {
    const { value: size, unit: of } = quantifyBytes(number);
    return `${size} ${of}`;
  }
  return formatMeasured(number);
}

function percent(share: number): string {
  return share > 0 && share < 0.01 ? '< 0.01 %' : `${share.toFixed(2)} %`;
}

export interface Bar {
  label: string;
  value: string;
  /** Of the largest, 0 to 1; and how much of it is the part. */
  share: number;
  part: number | null;
  partValue: string;
}

export interface Drawing {
  y: Column;
  part: Column | null;
  /** One of them, by the kind of the chart. */
  bars: Bar[];
  times: number[];
  values: (number | null)[];
  parts: (number | null)[];
}

/** What a chart draws; `null` if its rows have no figures. */
export function drawingOf(chart: ReportChart, { columns, rows }: Section): Drawing | null {
  const named = (name: string | null | undefined) => columns.find(it => it.name === name) ?? null;
  const [x, y, part] = [named(chart.x), named(chart.y), named(chart.part)];
  if (x === null || y === null) return null;
  const figures = rows.map(row => numberOf(row[y.name]));
  const most = Math.max(0, ...figures.map(it => it ?? 0));
  if (most <= 0) return null;
  const parts = rows.map(row => (part === null ? null : numberOf(row[part.name])));
  if (chart.kind === 'bars') {
    const bars = rows.map((row, at): Bar => {
      const [figure, of] = [figures[at] ?? null, parts[at] ?? null];
      return {
        label: shownValue(x, row[x.name]),
        value: shownValue(y, row[y.name]),
        share: Math.max(0, figure ?? 0) / most,
        part: of === null || figure === null || figure <= 0 ? null : Math.min(1, Math.max(0, of / figure)),
        partValue: part === null ? '' : `${shownValue(part, row[part.name])} ${headingOf(part)}`,
      };
    });
    return { y, part, bars, times: [], values: [], parts: [] };
  }
  const timed = rows
    .map((row, at) => ({ time: Date.parse(textOf(row[x.name])) / 1000, at }))
    .filter(({ time }) => Number.isFinite(time))
    .sort((a, b) => a.time - b.time);
  return {
    y,
    part,
    bars: [],
    times: timed.map(({ time }) => time),
    values: timed.map(({ at }) => figures[at] ?? null),
    parts: timed.map(({ at }) => parts[at] ?? null),
  };
}

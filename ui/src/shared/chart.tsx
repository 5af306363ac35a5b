/**
 * Lines, areas and bars over time, drawn by uPlot.
 *
 * React only owns the element; new data goes to the canvas directly. Charts of a page share one cursor, and a brush sets
 * the range of the page. A canvas says nothing to a screen reader, so each chart has a sentence and a table.
 */
import { type ReactNode, type RefObject, useEffect, useId, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import { formatAny, formatDateTime } from './format';
import { isWithin, type Span } from './marked';
import { DASHES, type Palette } from './palette';
import { type Frame, Spans } from './spans';
import { usePalette } from './theme';
import { Button } from './ui/button';

export type Values = readonly (number | null)[];

export interface Series {
  label: string;
  values: Values;
  /** Number of the series colour, from 0; a status has its own. */
  colour: number | keyof Omit<Palette, 'series'>;
  kind?: 'line' | 'area' | 'bars' | 'points';
  dashed?: boolean;
  /** Whether the line goes on over steps without a value. */
  spansGaps?: boolean;
}

export interface ChartProps {
  /** Seconds since 1970. */
  times: readonly number[];
  series: readonly Series[];
  /** Where the first series is expected to be. */
  band?: { low: Values; high: Values; label?: string };
  /** What is above it is cut off, so that a wide band does not flatten what was observed. */
  top?: number;
  stacked?: boolean;
  unit: string;
  /** What the chart shows, as a sentence. */
  summary: string;
  /** A range was brushed, in seconds. */
  onRange?: (from: number, to: number) => void;
  /** A time was clicked, in seconds. */
  onTime?: (time: number) => void;
  /** Times with a name, drawn as lines. */
  marks?: readonly { time: number; label: string }[];
  /** Incidents of what it shows. */
  spans?: readonly Span[];
  sync?: string;
  height?: number;
}

export function Chart(props: ChartProps) {
  const { times, series, summary, unit } = props;
  return (
    <ChartFigure
      legend={<Legend {...props} />}
      summary={summary}
      table={() => <DataTable times={times} series={series} unit={unit} />}
    >
      <Canvas {...props} />
    </ChartFigure>
  );
}

interface FigureProps {
  legend: ReactNode;
  summary: string;
  /** The same as a table, drawn when it is asked for. */
  table: () => ReactNode;
  children: ReactNode;
}

/** What is around every chart: its legend, a sentence for those who do not see it, and a table in its place. */
export function ChartFigure({ legend, summary, table, children }: FigureProps) {
  const [asTable, setAsTable] = useState(false);
  const id = useId();
  return (
    <figure
      className="flex h-full min-h-28 flex-col px-2 pb-1"
      aria-labelledby={id}
      onKeyDown={event => event.key === 't' && setAsTable(!asTable)}
    >
      <div className="flex flex-wrap items-center gap-x-3 px-1 text-label text-muted">
        {legend}
        <Button
          kind="quiet"
          className="ml-auto h-5 px-1 text-label"
          aria-pressed={asTable}
          onClick={() => setAsTable(!asTable)}
        >
          {asTable ? 'chart' : 'table'}
        </Button>
      </div>
      <figcaption id={id} className="sr-only">
        {summary}
      </figcaption>
      {asTable ? table() : children}
    </figure>
  );
}

function Legend({ times, series, band, spans = [] }: ChartProps) {
  const palette = usePalette();
  return (
    <>
      {series.map(({ label, colour, kind, dashed }) => (
        <span key={label} className="inline-flex items-center gap-1">
          <svg width="14" height="8" aria-hidden="true">
            {kind === 'points' ? (
              <circle cx="7" cy="4" r="3" fill={colourOf(palette, colour)} />
            ) : kind === 'bars' || kind === 'area' ? (
              <rect width="14" height="8" rx="1" fill={colourOf(palette, colour)} />
            ) : (
              <line
                x1="0"
                x2="14"
                y1="4"
                y2="4"
                stroke={colourOf(palette, colour)}
                strokeWidth="2"
                strokeDasharray={dashOf(colour, dashed)?.join(' ')}
              />
            )}
          </svg>
          {label}
        </span>
      ))}
      {band && (
        <span className="inline-flex items-center gap-1">
          <span className="inline-block h-2 w-3.5 rounded-sm bg-line" aria-hidden="true" />{' '}
          {band.label ?? 'expected'}
        </span>
      )}
      <SpanLegend spans={spans} times={times} />
    </>
  );
}

/** What the spans are, if there are any at these times. */
export function SpanLegend({ spans, times }: { spans: readonly Span[]; times: readonly number[] }) {
  const [first = 0, last = 0] = [times[0], times.at(-1)];
  if (!spans.some(it => isWithin(it, 1000 * first, 1000 * last))) return null;
  return (
    <span className="inline-flex items-center gap-1">
      <span
        className="inline-block h-2 w-3.5 rounded-sm border-t-2 border-warn bg-warn/15"
        aria-hidden="true"
      />
      incidents
    </span>
  );
}

/** A shorter brush is a click. */
const BRUSH_PX = 4;
export const TICK_FONT = '11px "IBM Plex Sans", system-ui, sans-serif';
/** A label of the axis of time has at least so much. */
const TICK_APART_PX = 64;
/** Room at the right for half of the last label of the axis of time. */
export const TICK_ROOM_PX = 18;
const TICK_ROOM_SECONDS_PX = 26;
/** Over days, a label may be a date with its year. */
const LONG_SPAN_S = 259_200;
const TICK_APART_LONG_PX = 84;
const TICK_ROOM_LONG_PX = 32;
const ROWS_SHOWN = 200;

/** Values over time, newest first. */
export function DataTable({
  times,
  series,
  unit,
}: Pick<ChartProps, 'times' | 'unit'> & {
  series: readonly Pick<Series, 'label' | 'values'>[];
}) {
  const first = Math.max(0, times.length - ROWS_SHOWN);
  const shown = times.slice(first).map((time, at) => ({ time, at: first + at }));
  return (
    <div className="min-h-0 flex-1 overflow-auto" tabIndex={0}>
      <table className="w-full text-label">
        <thead className="sticky top-0 bg-panel text-left text-muted">
          <tr>
            <th className="px-1 font-normal">UTC</th>
            {series.map(({ label }) => (
              <th key={label} className="px-1 text-right font-normal">
                {label} {unit}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.reverse().map(({ time, at }) => (
            <tr key={time}>
              <td className="px-1">{formatDateTime(time * 1000)}</td>
              {series.map(({ label, values }) => (
                <td key={label} className="px-1 text-right">
                  {formatAny(values[at] ?? null)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Canvas(props: ChartProps) {
  const { times, series, band, stacked, sync, summary } = props;
  const element = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const tip = useRef<HTMLDivElement>(null);
  const newest = useRef(props);
  newest.current = props;
  const [frame, setFrame] = useState<Frame | null>(null);
  const palette = usePalette();
  const data = useMemo(() => columnsOf(times, series, band, stacked), [times, series, band, stacked]);
  const newestData = useRef(data);
  newestData.current = data;
  const shape = `${series.map(({ label, colour, kind }) => `${label}/${colour}/${kind}`).join()}|${band !== undefined}`;

  // biome-ignore lint/correctness/useExhaustiveDependencies: another shape or palette needs a new plot; data does not.
  useEffect(() => {
    const parent = element.current;
    if (parent === null) return;
    const made = new uPlot(
      optionsOf(parent, newest, tip, setFrame, palette, sync),
      newestData.current,
      parent,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize(sizeOf(parent)));
    resized.observe(parent);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, palette, sync, stacked]);

  useEffect(() => plot.current?.setData(data), [data]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: marks are read when the plot is drawn.
  useEffect(() => plot.current?.redraw(false), [props.marks]);

  return (
    <div className="relative min-h-0 flex-1" style={{ minHeight: props.height ?? 96 }}>
      <div ref={element} className="absolute inset-0" role="img" aria-label={summary} />
      <div
        ref={tip}
        hidden
        className="pointer-events-none absolute top-1 z-10 rounded border border-line bg-panel px-2 py-1 text-label"
      />
      {frame !== null && props.spans !== undefined && <Spans spans={props.spans} frame={frame} />}
    </div>
  );
}

/** Where the axis of time of a plot is. */
function frameOf({ over, scales }: uPlot): Frame {
  const { offsetLeft: left, offsetTop: top, clientWidth: width, clientHeight: height } = over;
  const { min, max } = scales.x ?? {};
  return { left, top, width, height, from_ms: 1000 * (min ?? 0), to_ms: 1000 * (max ?? 0) };
}

function isSame(a: Frame | null, b: Frame): boolean {
  return a !== null && (Object.keys(b) as (keyof Frame)[]).every(it => a[it] === b[it]);
}

/** Stacked series are sums of those below and themselves; each is filled down to the one below. */
function columnsOf(
  times: readonly number[],
  series: readonly Series[],
  band: ChartProps['band'],
  stacked: boolean | undefined,
): uPlot.AlignedData {
  const columns = stacked ? stack(series) : series.map(({ values }) => values);
  const bounds = band === undefined ? [] : [band.low, band.high];
  return [times, ...columns, ...bounds] as unknown as uPlot.AlignedData;
}

function stack(series: readonly Series[]): Values[] {
  const sums: (number | null)[][] = [];
  for (const { values } of series) {
    const below = sums.at(-1);
    sums.push(
      values.map((value, at) =>
        value === null && below?.[at] == null ? null : (value ?? 0) + (below?.[at] ?? 0),
      ),
    );
  }
  return sums;
}

function colourOf(palette: Palette, colour: Series['colour']): string {
  return typeof colour === 'number'
    ? (palette.series[colour % palette.series.length] ?? palette.muted)
    : palette[colour];
}

function dashOf(colour: Series['colour'], dashed = false): number[] | undefined {
  if (dashed) return [4, 3];
  // Where colours come again, dashes are others.
  const round = typeof colour === 'number' ? Math.floor(colour / DASHES.length) : 0;
  const dash = typeof colour === 'number' ? DASHES[(colour + 3 * round) % DASHES.length] : undefined;
  return dash === undefined || dash.length === 0 ? undefined : [...dash];
}

/** The size of an element, followed. */
export function useSize(element: RefObject<HTMLElement | null>): { width: number; height: number } {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const measured = element.current;
    if (measured === null) return;
    const measure = () => setSize({ width: measured.clientWidth, height: measured.clientHeight });
    const resized = new ResizeObserver(measure);
    resized.observe(measured);
    measure();
    return () => resized.disconnect();
  }, [element]);
  return size;
}

function sizeOf(parent: HTMLElement): { width: number; height: number } {
  return { width: Math.max(parent.clientWidth, 100), height: Math.max(parent.clientHeight, 60) };
}

function optionsOf(
  parent: HTMLElement,
  newest: { current: ChartProps },
  tip: { current: HTMLDivElement | null },
  setFrame: (next: (old: Frame | null) => Frame) => void,
  palette: Palette,
  sync: string | undefined,
): uPlot.Options {
  const { series, band, stacked } = newest.current;
  const axis: uPlot.Axis = {
    stroke: palette.muted,
    font: TICK_FONT,
    grid: { stroke: palette.line, width: 1 },
    ticks: { show: false },
  };
  const drawn = series.map(({ label, colour, kind = 'line', dashed, spansGaps = false }): uPlot.Series => {
    const stroke = colourOf(palette, colour);
    if (kind === 'bars')
      return {
        label,
        fill: stroke,
        width: 0,
        paths: uPlot.paths.bars?.({ size: [0.8, 24] }),
        points: { show: false },
      };
    if (kind === 'points')
      return { label, stroke, paths: () => null, points: { show: true, size: 7, width: 0, fill: stroke } };
    const filled = kind === 'area';
    return {
      label,
      stroke,
      width: filled ? 1 : 1.6,
      dash: filled ? undefined : dashOf(colour, dashed),
      fill: filled ? (stacked ? stroke : `${stroke}33`) : undefined,
      points: { show: isAlone, size: 6, fill: stroke },
      spanGaps: spansGaps,
    } as uPlot.Series;
  });
  const bounds: uPlot.Series[] =
    band === undefined ? [] : [0, 1].map(() => ({ width: 0, points: { show: false }, stroke: palette.line }));
  const low = drawn.length + 1;
  let brushed = false;
  return {
    ...sizeOf(parent),
    padding: [6, ({ scales: { x }, width }) => tickRoom((x?.max ?? 0) - (x?.min ?? 0), width), 0, 0],
    legend: { show: false },
    tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
    scales: {
      x: { time: true },
      y: { range: (_, low, high) => rangeOfValues(low, high, newest.current.top) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: (_, __, min, max) => (max - min > LONG_SPAN_S ? TICK_APART_LONG_PX : TICK_APART_PX),
        size: 22,
        values: (_, ticks) => clockLabels(ticks),
      },
      { ...axis, size: 48, space: 28, values: (_, ticks) => ticks.map(shortNumber) },
    ],
    bands:
      band !== undefined
        ? [{ series: [low + 1, low], fill: `${palette.muted}2e` }]
        : stacked
          ? drawn.slice(1).map((_, at) => ({ series: [at + 2, at + 1] as [number, number] }))
          : [],
    cursor: {
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false },
      ...(sync === undefined ? {} : { sync: { key: sync } }),
    },
    series: [{}, ...drawn, ...bounds],
    hooks: {
      setSelect: [
        plot => {
          const { left, width } = plot.select;
          if (width < BRUSH_PX) return;
          brushed = true;
          const { onRange } = newest.current;
          onRange?.(plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x'));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      setCursor: [plot => showTip(plot, tip.current, newest.current, palette)],
      draw: [
        plot => {
          drawMarks(plot, newest.current.marks ?? [], palette);
          const frame = frameOf(plot);
          setFrame(old => (old !== null && isSame(old, frame) ? old : frame));
        },
      ],
      ready: [
        plot =>
          plot.over.addEventListener('click', () => {
            const { left = -1 } = plot.cursor;
            // A brush ends with a click too.
            if (plot.select.width < BRUSH_PX && left >= 0 && !brushed)
              newest.current.onTime?.(plot.posToVal(left, 'x'));
            brushed = false;
          }),
      ],
    },
  };
}

function drawMarks(
  { ctx, bbox, valToPos }: uPlot,
  marks: NonNullable<ChartProps['marks']>,
  palette: Palette,
): void {
  const ratio = window.devicePixelRatio || 1;
  ctx.save();
  ctx.strokeStyle = palette.text;
  ctx.fillStyle = palette.text;
  ctx.lineWidth = 1.5 * ratio;
  ctx.font = `${11 * ratio}px "IBM Plex Sans", system-ui, sans-serif`;
  for (const { time, label } of marks) {
    const x = Math.round(valToPos(time, 'x', true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    // At the right edge there is no room beside it.
    const left = x > bbox.left + bbox.width - 24 * ratio;
    ctx.textAlign = left ? 'right' : 'left';
    ctx.fillText(label, x + (left ? -4 : 4) * ratio, bbox.top + 10 * ratio);
  }
  ctx.restore();
}

function showTip(plot: uPlot, tip: HTMLDivElement | null, props: ChartProps, palette: Palette): void {
  if (tip === null) return;
  const { idx, left = -1 } = plot.cursor;
  if (idx === null || idx === undefined || left < 0) {
    tip.hidden = true;
    return;
  }
  const { times, series, band, unit } = props;
  const line = (text: string, colour?: string) => {
    const row = document.createElement('div');
    if (colour !== undefined) {
      const spot = document.createElement('span');
      spot.className = 'mr-1 inline-block size-2 rounded-[1px]';
      spot.style.background = colour;
      row.append(spot);
    }
    row.append(text);
    return row;
  };
  const lines = series.filter(({ kind }) => kind !== 'points');
  const rows = lines.map(({ label, values, colour }) =>
    line(`${label} ${formatAny(values[idx] ?? null)} ${unit}`, colourOf(palette, colour)),
  );
  const low = band?.low[idx];
  const high = band?.high[idx];
  if (low != null && high != null) rows.push(line(`expected ${formatAny(low)}–${formatAny(high)} ${unit}`));
  tip.replaceChildren(line(`${formatDateTime((times[idx] ?? 0) * 1000)} UTC`), ...rows);
  tip.hidden = false;
  const half = plot.over.clientWidth / 2;
  const at = left + plot.over.offsetLeft;
  tip.style.left = left < half ? `${at + 12}px` : '';
  tip.style.right = left < half ? '' : `${plot.root.clientWidth - at + 12}px`;
}

/** How far apart labelled times may be. Beyond the longest, in so many days. */
const TICKS_S = [1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];

/** At most so many round times within a range. */
export function ticksOf(first: number, last: number, most: number): number[] {
  const day = 86_400;
  const span = last - first;
  const apart = TICKS_S.find(seconds => span / seconds <= most) ?? day * Math.ceil(span / most / day);
  const ticks: number[] = [];
  for (let time = Math.ceil(first / apart) * apart; time <= last; time += apart) ticks.push(time);
  return ticks;
}

/** Whether a series has a single value: no line can be drawn of it, so it is a point. */
function isAlone(plot: uPlot, series: number): boolean {
  const values = Array.from<number | null | undefined>(plot.data[series] ?? []);
  return values.filter(it => it !== null && it !== undefined).length === 1;
}

/** Times as labels of an axis: days at midnight, with their year if it is another one; seconds if the steps are so short. */
export function clockLabels(ticks: readonly number[], year: number = new Date().getUTCFullYear()): string[] {
  const step = (ticks[1] ?? 0) - (ticks[0] ?? 0);
  return ticks.map(seconds => {
    const iso = new Date(seconds * 1000).toISOString();
    if (seconds % 86_400 === 0) return iso.startsWith(`${year}-`) ? iso.slice(5, 10) : iso.slice(0, 10);
    return iso.slice(11, step < 60 ? 19 : 16);
  });
}

/** What the last label needs: one with seconds is longer. */
export function tickRoom(span_s: number, width_px: number): number {
  if (span_s > LONG_SPAN_S) return TICK_ROOM_LONG_PX;
  const step_s = (span_s * TICK_APART_PX) / Math.max(1, width_px);
  return step_s < 60 ? TICK_ROOM_SECONDS_PX : TICK_ROOM_PX;
}

/** Zero is always in it, and some room beyond the values. */
export function rangeOfValues(
  low: number | null,
  high: number | null,
  top = Number.POSITIVE_INFINITY,
): [number, number] {
  const least = Math.min(0, (low ?? 0) * 1.08);
  if (high === null || high <= 0) return [least, least < 0 ? 0 : 1];
  return [least, Math.min(high * 1.08, top)];
}

/** A tick of the axis. */
function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${trim(value / 1e6)} M`;
  if (size >= 1e4) return `${trim(value / 1e3)} k`;
  return formatAny(value);
}

function trim(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/**
 * How a chart is drawn by uPlot: its series, their ghosts, the expected band, marks, and what the crosshair says.
 */
import uPlot from 'uplot';
import {
  clockLabels,
  LONG_SPAN_S,
  rangeOfValues,
  TICK_APART_LONG_PX,
  TICK_APART_PX,
  TICK_FONT,
  tickRoom,
  valueLabels,
} from './chartAxis';
import { formatAny, formatDate, formatDateTime, formatNear } from './format';
import { isWithin, type Span } from './marked';
import { DASHES, type Palette } from './palette';
import type { Frame } from './spans';
import { zoneName, zoneNow } from './zone';

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
  /** The same of an earlier time, step by step: a quiet second line. `ghostName` says of when it is. */
  ghost?: Values;
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
  /** Whether the axis of values is logarithmic; values of zero and below have no place on it. */
  log?: boolean;
  /** Of when the ghosts are: `yesterday`. */
  ghostName?: string;
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

/** A shorter brush is a click. */
const BRUSH_PX = 4;

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
export function columnsOf({ times, series, band, stacked }: ChartProps): uPlot.AlignedData {
  const columns = stacked ? stack(series.map(({ values }) => values)) : series.map(({ values }) => values);
  const bounds = band === undefined ? [] : [band.low, band.high];
  return [times, ...columns, ...bounds, ...ghostsOf(series, stacked)] as unknown as uPlot.AlignedData;
}

/** Ghosts in the order of their series, stacked where these are. */
export function ghostsOf(series: readonly Series[], stacked: boolean | undefined): Values[] {
  const ghosts = series.flatMap(({ ghost }) => (ghost === undefined ? [] : [ghost]));
  return stacked ? stack(ghosts) : ghosts;
}

function stack(all: readonly Values[]): Values[] {
  const sums: (number | null)[][] = [];
  for (const values of all) {
    const below = sums.at(-1);
    sums.push(
      values.map((value, at) =>
        value === null && below?.[at] == null ? null : (value ?? 0) + (below?.[at] ?? 0),
      ),
    );
  }
  return sums;
}

export function colourOf(palette: Palette, colour: Series['colour']): string {
  return typeof colour === 'number'
    ? (palette.series[colour % palette.series.length] ?? palette.muted)
    : palette[colour];
}

export function dashOf(colour: Series['colour'], dashed = false): number[] | undefined {
  if (dashed) return [4, 3];
  // Where colours come again, dashes are others.
  const round = typeof colour === 'number' ? Math.floor(colour / DASHES.length) : 0;
  const dash = typeof colour === 'number' ? DASHES[(colour + 3 * round) % DASHES.length] : undefined;
  return dash === undefined || dash.length === 0 ? undefined : [...dash];
}

export function sizeOf(parent: HTMLElement): { width: number; height: number } {
  return { width: Math.max(parent.clientWidth, 100), height: Math.max(parent.clientHeight, 60) };
}

export function optionsOf(
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
  const ghosts = series
    .filter(({ ghost }) => ghost !== undefined)
    .map(
      ({ colour }): uPlot.Series => ({
        // Upon areas of its own colour it would not be seen.
        stroke: stacked ? `${palette.text}99` : `${colourOf(palette, colour)}b3`,
        width: 1,
        dash: [2, 2],
        points: { show: false },
      }),
    );
  const low = drawn.length + 1;
  let brushed = false;
  return {
    ...sizeOf(parent),
    padding: [6, ({ scales: { x }, width }) => tickRoom((x?.max ?? 0) - (x?.min ?? 0), width), 0, 0],
    legend: { show: false },
    // What it returns is read as local time.
    tzDate: seconds =>
      zoneNow() === 'utc' ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000),
    scales: {
      x: { time: true },
      y: newest.current.log
        ? { distr: 3 }
        : { range: (_, low, high) => rangeOfValues(low, high, newest.current.top) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: (_, __, min, max) => (max - min > LONG_SPAN_S ? TICK_APART_LONG_PX : TICK_APART_PX),
        size: 22,
        values: (_, ticks) => clockLabels(ticks),
      },
      {
        ...axis,
        size: 48,
        space: 28,
        // A logarithmic axis leaves ticks without a label where there is no room.
        values: (_, ticks: (number | null)[]) => valueLabels(ticks),
      },
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
    series: [{}, ...drawn, ...bounds, ...ghosts],
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

/** `2xx 8.1 /s (yesterday 7.5)`. */
function pointText(
  { label, values, ghost }: Series,
  at: number,
  { unit, ghostName = 'before' }: ChartProps,
): string {
  const now = `${label} ${formatAny(values[at] ?? null)} ${unit}`.trim();
  return ghost === undefined ? now : `${now} (${ghostName} ${formatAny(ghost[at] ?? null)})`;
}

/** A step in words: when it was, and each of its values. */
export function spokenPoint(props: ChartProps, at: number): string {
  const { times, series, band, spans = [], unit } = props;
  const [time = 0, step = 0] = [times[at], (times[1] ?? 0) - (times[0] ?? 0)];
  const [low, high] = [band?.low[at], band?.high[at]];
  return [
    `${formatNear(time * 1000, formatDate(Date.now()))} ${zoneName()}`,
    ...series.map(it => pointText(it, at, props)),
    ...(low != null && high != null
      ? [`expected ${formatAny(low)} to ${formatAny(high)} ${unit}`.trim()]
      : []),
    ...spans
      .filter(it => isWithin(it, time * 1000, (time + step) * 1000))
      .map(({ title }) => `incident: ${title}`),
  ].join(', ');
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
  const rows = lines.map(it => line(pointText(it, idx, props), colourOf(palette, it.colour)));
  const low = band?.low[idx];
  const high = band?.high[idx];
  if (low != null && high != null) rows.push(line(`expected ${formatAny(low)}–${formatAny(high)} ${unit}`));
  tip.replaceChildren(line(`${formatDateTime((times[idx] ?? 0) * 1000)} ${zoneName()}`), ...rows);
  tip.hidden = false;
  const half = plot.over.clientWidth / 2;
  const at = left + plot.over.offsetLeft;
  tip.style.left = left < half ? `${at + 12}px` : '';
  tip.style.right = left < half ? '' : `${plot.root.clientWidth - at + 12}px`;
}

/** Whether a series has a single value: no line can be drawn of it, so it is a point. */
function isAlone(plot: uPlot, series: number): boolean {
  const values = Array.from<number | null | undefined>(plot.data[series] ?? []);
  return values.filter(it => it !== null && it !== undefined).length === 1;
}

/**
 * How a figure is spread over time: one column a step, one row a bin, darker where there are more, and the slowest as a
 * line. A cell that is clicked shows its records; a box that is drawn is explained. The same is there as a table.
 */
import { useEffect, useMemo, useRef, useState } from 'react';
import type { Schemas } from '../../api/wire';
import {
  ChartFigure,
  clockLabels,
  DataTable,
  SpanLegend,
  TICK_FONT,
  TICK_ROOM_PX,
  ticksOf,
  useSize,
} from '../../shared/chart';
import { formatAny, formatDate, formatNear, formatNumber, numberOf } from '../../shared/format';
import { useView } from '../../shared/live';
import type { Span } from '../../shared/marked';
import { useGo, useUrl } from '../../shared/nav';
import { type Counted, labelOf, type Page, recordColumn, telling } from '../../shared/page';
import { type Frame, Spans } from '../../shared/spans';
import { usePalette } from '../../shared/theme';
import { zoneName } from '../../shared/zone';
import { useSlow, useSpansOf, useTimes } from './Charts';
import { type Box, filterOf, readBox, writeBox } from './compare';
import { type History, liveSteps, windowOf } from './model';

const LEFT = 52;
const BOTTOM = 20;
const TICK_APART_PX = 72;

type Split = Schemas['Split'];

interface Cells {
  times: readonly number[];
  step: number;
  /** Where each bin begins, and where the last one ends. */
  bounds: readonly number[];
  counts: readonly (readonly number[])[];
  unit: string;
  /** What is counted. */
  noun: string;
  /** How the line is called. */
  line: string;
  /** The column of records that the scale is of. */
  column: string | null;
}

interface HeatmapProps {
  page: Page;
  main: Counted;
  split: Split;
  history: History;
}

export function Heatmap({ page, main, split, history }: HeatmapProps) {
  const times = useTimes(history);
  const cells = useCells(page, main, split, history, times);
  const slow = useSlow(history, main, times);
  const columns = useMemo(() => main.figures.filter(it => it.role === 'duration').map(it => it.name), [main]);
  const spans = useSpansOf(history, columns);
  if (cells === null) return <p className="px-3 pb-3 text-muted">No records with it in this range.</p>;
  const newest = slow.at(-2) ?? null;
  const summary = `How ${labelOf(split.key)} is spread over time. The ${cells.line} of the newest whole step is ${formatAny(newest)} ${cells.unit}.`;
  return (
    <ChartFigure
      legend={<Legend spans={spans} times={times} cells={cells} />}
      summary={summary}
      table={() => <Table cells={cells} slow={slow} />}
    >
      <Canvas cells={cells} slow={slow} spans={spans} summary={summary} />
    </ChartFigure>
  );
}

function Legend({ cells, ...shown }: { spans: readonly Span[]; times: readonly number[]; cells: Cells }) {
  return (
    <>
      <span>few</span>
      <span
        aria-hidden="true"
        className="h-2 w-16 rounded-sm"
        style={{ background: 'linear-gradient(to right, var(--hover), var(--series-1))' }}
      />
      <span>many {cells.noun}</span>
      <span className="inline-flex items-center gap-1">
        <svg width="14" height="8" aria-hidden="true">
          <line x1="0" x2="14" y1="4" y2="4" stroke="var(--text)" strokeWidth="1.5" />
        </svg>
        {cells.line}
      </span>
      <SpanLegend {...shown} />
    </>
  );
}

function Table({ cells, slow }: { cells: Cells; slow: readonly (number | null)[] }) {
  const all = cells.counts.map(column => column.reduce((sum, count) => sum + count, 0));
  const series = [
    { label: cells.noun, values: all },
    { label: `${cells.line} ${cells.unit}`, values: slow },
  ];
  return <DataTable times={cells.times} series={series} unit="" />;
}

/** The history's cells, with live steps counted from the live rows. */
function useCells(
  page: Page,
  main: Counted,
  split: Split,
  history: History,
  times: readonly number[],
): Cells | null {
  const live = useView(history.spread ? split.view : null);
  return useMemo(() => {
    const { spread, step_seconds: step } = history;
    if (!spread) return null;
    const rows = live?.rows ?? [];
    const fresh = liveSteps(times, step, { rows, time: split.time });
    const width = spread.bounds.length - 1;
    const counts = times.map((_, at) =>
      fresh.has(at) ? new Array<number>(width).fill(0) : [...(spread.counts[at] ?? [])],
    );
    for (const row of rows) {
      const start = windowOf(row, split.time);
      const bin = numberOf(row[split.key.name]);
      if (start === null || bin === null) continue;
      const at = Math.floor((start - (times[0] ?? 0)) / step);
      const column = counts[at];
      const place = bin - spread.first_bin;
      if (!fresh.has(at) || column === undefined || place < 0 || place >= width) continue;
      column[place] = (column[place] ?? 0) + (numberOf(row[split.count]) ?? 0);
    }
    const slow = telling(main);
    return {
      times,
      step,
      bounds: spread.bounds,
      counts,
      unit: split.key.unit ?? '',
      noun: main.noun,
      line: slow?.statistic ?? 'line',
      column: recordColumn(page, 'duration')?.name ?? null,
    };
  }, [page, main, split, history, times, live]);
}

interface CanvasProps {
  cells: Cells;
  slow: readonly (number | null)[];
  spans: readonly Span[];
  summary: string;
}

interface Place {
  step: number;
  bin: number;
}

function Canvas({ cells, slow, spans, summary }: CanvasProps) {
  const element = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const [at, setAt] = useState<Place | null>(null);
  const [began, setBegan] = useState<Place | null>(null);
  const palette = usePalette();
  const go = useGo();
  const chosen = readBox(useUrl().box);

  useEffect(() => {
    const canvas = element.current;
    if (canvas !== null && size.width > 0) draw(canvas, size, cells, slow, palette);
  }, [cells, slow, size, palette]);

  const placeOf = (event: React.PointerEvent): Place | null => {
    const { left, top } = event.currentTarget.getBoundingClientRect();
    const x = (event.clientX - left - LEFT) / plotOf(size).wide;
    const y = (event.clientY - top) / plotOf(size).high;
    const outside = x < 0 || x >= 1 || y < 0 || y >= 1;
    if (outside && began === null) return null;
    // A box that is drawn over the edge ends there.
    const within = (share: number) => Math.min(Math.max(share, 0), 0.9999);
    return {
      step: Math.floor(within(x) * cells.times.length),
      bin: Math.floor((1 - within(y)) * binsOf(cells)),
    };
  };
  const finish = (end: Place | null) => {
    setBegan(null);
    if (began === null || end === null) return;
    const box = boxOf(cells, began, end);
    if (began.step !== end.step || began.bin !== end.bin) return go({ box: writeBox(box) });
    go(
      {
        ...(cells.column !== null && { where: filterOf(box, cells.column) }),
        past: true,
        range: undefined,
        from: new Date(box.from * 1000).toISOString(),
        to: new Date(box.to * 1000).toISOString(),
      } as object,
      '/logs',
    );
  };
  const drawn = began !== null && at !== null ? boxOf(cells, began, at) : chosen;
  return (
    <div ref={frame} className="relative min-h-24 flex-1">
      <canvas
        ref={element}
        className="absolute inset-0 size-full cursor-crosshair touch-pan-y"
        role="img"
        aria-label={summary}
        title="Drag a box to see what its records have in common; click a cell to show its records"
        onPointerMove={event => setAt(placeOf(event))}
        onPointerLeave={() => setAt(null)}
        onPointerDown={event => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setBegan(placeOf(event));
        }}
        onPointerUp={event => finish(placeOf(event))}
        onPointerCancel={() => setBegan(null)}
      />
      <Spans spans={spans} frame={frameOf(cells, size)} />
      {drawn !== null && <BoxFrame cells={cells} box={drawn} size={size} />}
      {at !== null && began === null && (
        <div className="pointer-events-none absolute top-1 right-1 rounded border border-line bg-panel px-2 py-1 text-label">
          {formatNear((cells.times[at.step] ?? 0) * 1000, formatDate(Date.now()))} {zoneName()} ·{' '}
          {formatNumber(cells.bounds[at.bin])}–{formatNumber(cells.bounds[at.bin + 1])} {cells.unit} ·{' '}
          {formatNumber(cells.counts[at.step]?.[at.bin] ?? 0)} {cells.noun} · {cells.line}{' '}
          {formatAny(slow[at.step] ?? null)} {cells.unit}
        </div>
      )}
    </div>
  );
}

function binsOf({ bounds }: Pick<Cells, 'bounds'>): number {
  return Math.max(1, bounds.length - 1);
}

/** Where a value is on the scale, in bins from the lowest. */
export function placeOnScale(bounds: readonly number[], value: number): number {
  const bins = bounds.length - 1;
  const bin = bounds.findIndex(it => it > value) - 1;
  if (bin < 0) return value < (bounds[0] ?? 0) ? 0 : bins;
  const [low = 0, high = 1] = [bounds[bin], bounds[bin + 1]];
  const part = low > 0 ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return bin + part;
}

/** The size of what is between the labels. */
function plotOf({ width, height }: { width: number; height: number }): { wide: number; high: number } {
  return { wide: Math.max(1, width - LEFT - TICK_ROOM_PX), high: Math.max(1, height - BOTTOM) };
}

/** Where the axis of time is. */
function frameOf({ times, step }: Cells, size: { width: number; height: number }): Frame {
  const { wide, high } = plotOf(size);
  const [first = 0] = times;
  const [from_ms, to_ms] = [1000 * first, 1000 * (first + step * times.length)];
  return { left: LEFT, top: 0, width: size.width === 0 ? 0 : wide, height: high, from_ms, to_ms };
}

/** What two corners enclose, the cells at them included. */
function boxOf({ times, step, bounds }: Cells, one: Place, other: Place): Box {
  const [first, last] = [Math.min(one.step, other.step), Math.max(one.step, other.step)];
  const [low, high] = [Math.min(one.bin, other.bin), Math.max(one.bin, other.bin)];
  return {
    from: times[first] ?? 0,
    to: (times[last] ?? 0) + step,
    // The lowest bin also has what is quicker than it.
    low: low === 0 ? 0 : hundredths(bounds[low] ?? 0),
    high: hundredths(bounds[high + 1] ?? 0),
  };
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

/** The box that is drawn or chosen, where the chart has it. */
function BoxFrame({
  cells: { times, step, bounds },
  box,
  size,
}: {
  cells: Cells;
  box: Box;
  size: { width: number; height: number };
}) {
  const share = (value: number) => Math.min(Math.max(value, 0), 1);
  const [first = 0] = times;
  const x = (time: number) => share((time - first) / (step * Math.max(1, times.length)));
  const y = (value: number) => share(placeOnScale(bounds, value) / binsOf({ bounds }));
  const { wide, high } = plotOf(size);
  const [left, right, bottom, top] = [x(box.from), x(box.to), y(box.low), y(box.high)];
  if (right <= left) return null;
  return (
    <div
      aria-hidden="true"
      className="pointer-events-none absolute border border-accent bg-accent/10"
      style={{
        left: LEFT + left * wide,
        width: (right - left) * wide,
        top: (1 - top) * high,
        height: Math.max(2, (top - bottom) * high),
      }}
    />
  );
}

function draw(
  canvas: HTMLCanvasElement,
  { width, height }: { width: number; height: number },
  { times, bounds, counts, unit }: Cells,
  slow: readonly (number | null)[],
  palette: ReturnType<typeof usePalette>,
): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext('2d');
  if (context === null) return;
  context.scale(ratio, ratio);
  context.clearRect(0, 0, width, height);
  const { wide, high } = plotOf({ width, height });
  const cell = { width: wide / Math.max(1, times.length), height: high / binsOf({ bounds }) };
  const most = Math.max(1, ...counts.map(column => Math.max(0, ...column)));
  context.fillStyle = palette.series[0] ?? palette.muted;
  counts.forEach((column, x) => {
    column.forEach((count, y) => {
      if (count === 0) return;
      // The root, so that the few slow ones are seen beside the many quick ones.
      context.globalAlpha = 0.12 + 0.88 * Math.sqrt(count / most);
      context.fillRect(
        LEFT + x * cell.width,
        high - (y + 1) * cell.height,
        Math.ceil(cell.width),
        Math.ceil(cell.height),
      );
    });
  });
  context.globalAlpha = 1;
  const yOf = (value: number) => high - placeOnScale(bounds, value) * cell.height;
  context.strokeStyle = palette.text;
  context.lineWidth = 1.5;
  context.beginPath();
  let drawing = false;
  slow.forEach((value, x) => {
    if (value === null) {
      drawing = false;
      return;
    }
    const [px, py] = [LEFT + (x + 0.5) * cell.width, Math.max(1, yOf(value))];
    if (drawing) context.lineTo(px, py);
    else context.moveTo(px, py);
    drawing = true;
  });
  context.stroke();
  label(context, { times, bounds, unit }, cell, high, wide, palette.muted);
}

function label(
  context: CanvasRenderingContext2D,
  { times, bounds, unit }: Pick<Cells, 'times' | 'bounds' | 'unit'>,
  cell: { width: number; height: number },
  high: number,
  wide: number,
  colour: string,
): void {
  context.fillStyle = colour;
  context.font = TICK_FONT;
  context.textAlign = 'right';
  const every = Math.max(1, Math.ceil(18 / cell.height));
  for (let bin = 0; bin < binsOf({ bounds }); bin += every)
    context.fillText(tick(bounds[bin] ?? 0, unit), LEFT - 6, high - bin * cell.height - 1);
  context.textAlign = 'center';
  const [first = 0, second = first + 1, last = first] = [times[0], times[1], times.at(-1)];
  const ticks = ticksOf(first, last, Math.max(1, Math.floor(wide / TICK_APART_PX)));
  clockLabels(ticks).forEach((text, place) => {
    const column = ((ticks[place] ?? first) - first) / (second - first);
    context.fillText(text, LEFT + (column + 0.5) * cell.width, high + 14);
  });
}

function tick(value: number, unit: string): string {
  if (unit === 'ms' && value >= 1000) return `${Math.round(value / 100) / 10} s`;
  return `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} ${unit}`.trim();
}

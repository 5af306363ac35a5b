/**
 * How response times are spread over time: one column a step, one row a bin, darker where there are more, and the p95 as
 * a line. A cell that is clicked shows its records. The same is there as a table.
 */
import { useEffect, useMemo, useRef, useState } from 'react';
import { formatAny, formatNumber, formatTime, numberOf } from '../../shared/format';
import { useView } from '../../shared/live';
import { useGo } from '../../shared/nav';
import { usePalette } from '../../shared/theme';
import { Button } from '../../shared/ui/button';
import { useP95, useTimes } from './Charts';
import { type History, liveSteps, windowOf } from './model';

const LEFT = 52;
const BOTTOM = 20;

interface Cells {
  times: readonly number[];
  bins_ms: readonly number[];
  counts: readonly (readonly number[])[];
}

export function Heatmap({ history, brush }: { history: History; brush: (from: number, to: number) => void }) {
  const times = useTimes(history);
  const cells = useCells(history, times);
  const p95 = useP95(history, times);
  const [table, setTable] = useState(false);
  if (cells === null)
    return (
      <p className="px-3 pb-3 text-muted">
        No response times in this range, or no view of this dataflow counts them.
      </p>
    );
  const newest = p95.at(-2) ?? null;
  return (
    <figure className="flex h-full min-h-28 flex-col px-2 pb-1">
      <figcaption className="flex items-center gap-3 px-1 text-label text-muted">
        <span>few</span>
        <span
          aria-hidden="true"
          className="h-2 w-16 rounded-sm"
          style={{ background: 'linear-gradient(to right, var(--hover), var(--series-1))' }}
        />
        <span>many requests</span>
        <span className="inline-flex items-center gap-1">
          <svg width="14" height="8" aria-hidden="true">
            <line x1="0" x2="14" y1="4" y2="4" stroke="var(--text)" strokeWidth="1.5" />
          </svg>
          p95
        </span>
        <Button
          kind="quiet"
          className="ml-auto h-5 px-1 text-label"
          aria-pressed={table}
          onClick={() => setTable(!table)}
        >
          {table ? 'chart' : 'table'}
        </Button>
      </figcaption>
      {table ? (
        <Table cells={cells} p95={p95} />
      ) : (
        <Canvas
          cells={cells}
          p95={p95}
          step={history.step_seconds}
          brush={brush}
          summary={`Response times over time. The p95 of the newest whole step is ${formatAny(newest)} milliseconds.`}
        />
      )}
    </figure>
  );
}

/** The history's cells, with live steps counted from the live rows. */
function useCells(history: History, times: readonly number[]): Cells | null {
  const live = useView(history.latency ? 'latency_1m' : null);
  return useMemo(() => {
    const { latency, step_seconds: step } = history;
    if (!latency) return null;
    const first = Math.round(2 * Math.log2(latency.bins_ms[0] ?? 1));
    const rows = live?.rows ?? [];
    const fresh = liveSteps(times, step, rows);
    const width = latency.bins_ms.length;
    const counts = times.map((_, at) =>
      fresh.has(at) ? new Array<number>(width).fill(0) : [...(latency.counts[at] ?? [])],
    );
    for (const row of rows) {
      const start = windowOf(row);
      const bin = numberOf(row.latency_bin);
      if (start === null || bin === null) continue;
      const at = Math.floor((start - (times[0] ?? 0)) / step);
      const column = counts[at];
      const place = bin - first;
      if (!fresh.has(at) || column === undefined || place < 0 || place >= width) continue;
      column[place] = (column[place] ?? 0) + (numberOf(row.requests) ?? 0);
    }
    return { times, bins_ms: latency.bins_ms, counts };
  }, [history, times, live]);
}

interface CanvasProps {
  cells: Cells;
  p95: readonly (number | null)[];
  step: number;
  summary: string;
  brush: (from: number, to: number) => void;
}

interface Place {
  step: number;
  bin: number;
}

function Canvas({ cells, p95, step, summary, brush }: CanvasProps) {
  const element = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [at, setAt] = useState<Place | null>(null);
  const began = useRef<Place | null>(null);
  const palette = usePalette();
  const go = useGo();

  useEffect(() => {
    const parent = element.current?.parentElement;
    if (!parent) return;
    const measure = () => setSize({ width: parent.clientWidth, height: parent.clientHeight });
    const resized = new ResizeObserver(measure);
    resized.observe(parent);
    measure();
    return () => resized.disconnect();
  }, []);

  useEffect(() => {
    const canvas = element.current;
    if (canvas !== null && size.width > 0) draw(canvas, size, cells, p95, palette);
  }, [cells, p95, size, palette]);

  const placeOf = (event: React.PointerEvent): Place | null => {
    const { left, top } = event.currentTarget.getBoundingClientRect();
    const x = (event.clientX - left - LEFT) / (size.width - LEFT);
    const y = (event.clientY - top) / (size.height - BOTTOM);
    if (x < 0 || x >= 1 || y < 0 || y >= 1) return null;
    return { step: Math.floor(x * cells.times.length), bin: Math.floor((1 - y) * cells.bins_ms.length) };
  };
  const finish = (end: Place | null) => {
    const start = began.current;
    began.current = null;
    if (start === null || end === null) return;
    const time = (place: number) => cells.times[place] ?? 0;
    if (Math.abs(end.step - start.step) > 1) {
      const [low, high] = [Math.min(start.step, end.step), Math.max(start.step, end.step)];
      brush(time(low), time(high) + step);
      return;
    }
    const low = Math.floor(cells.bins_ms[end.bin] ?? 0);
    const high = Math.ceil((cells.bins_ms[end.bin] ?? 0) * Math.SQRT2);
    go(
      {
        where: `response_time >= ${low} AND response_time <= ${high}`,
        past: true,
        range: undefined,
        from: new Date(time(end.step) * 1000).toISOString(),
        to: new Date((time(end.step) + step) * 1000).toISOString(),
      } as object,
      '/logs',
    );
  };
  return (
    <div className="relative min-h-24 flex-1">
      <canvas
        ref={element}
        className="absolute inset-0 size-full cursor-crosshair"
        role="img"
        aria-label={summary}
        onPointerMove={event => setAt(placeOf(event))}
        onPointerLeave={() => setAt(null)}
        onPointerDown={event => {
          began.current = placeOf(event);
        }}
        onPointerUp={event => finish(placeOf(event))}
      />
      {at !== null && (
        <div className="pointer-events-none absolute top-1 right-1 rounded border border-line bg-panel px-2 py-1 text-label">
          {formatTime((cells.times[at.step] ?? 0) * 1000, 'min')} UTC · {formatNumber(cells.bins_ms[at.bin])}–
          {formatNumber((cells.bins_ms[at.bin] ?? 0) * Math.SQRT2)} ms ·{' '}
          {formatNumber(cells.counts[at.step]?.[at.bin] ?? 0)} requests · p95{' '}
          {formatAny(p95[at.step] ?? null)} ms
        </div>
      )}
    </div>
  );
}

function draw(
  canvas: HTMLCanvasElement,
  { width, height }: { width: number; height: number },
  { times, bins_ms, counts }: Cells,
  p95: readonly (number | null)[],
  palette: ReturnType<typeof usePalette>,
): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext('2d');
  if (context === null) return;
  context.scale(ratio, ratio);
  context.clearRect(0, 0, width, height);
  const [wide, high] = [width - LEFT, height - BOTTOM];
  const cell = { width: wide / Math.max(1, times.length), height: high / Math.max(1, bins_ms.length) };
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
  const yOf = (ms: number) => {
    const first = Math.log2(bins_ms[0] ?? 1);
    return high - 2 * (Math.log2(Math.max(ms, 0.01)) - first) * cell.height;
  };
  context.strokeStyle = palette.text;
  context.lineWidth = 1.5;
  context.beginPath();
  let drawing = false;
  p95.forEach((value, x) => {
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
  label(context, times, bins_ms, cell, high, wide, palette.muted);
}

function label(
  context: CanvasRenderingContext2D,
  times: readonly number[],
  bins_ms: readonly number[],
  cell: { width: number; height: number },
  high: number,
  wide: number,
  colour: string,
): void {
  context.fillStyle = colour;
  context.font = '11px "IBM Plex Sans", system-ui, sans-serif';
  context.textAlign = 'right';
  const every = Math.max(1, Math.ceil(18 / cell.height));
  for (let bin = 0; bin < bins_ms.length; bin += every)
    context.fillText(duration(bins_ms[bin] ?? 0), LEFT - 6, high - bin * cell.height - 1);
  context.textAlign = 'center';
  const ticks = Math.max(1, Math.floor(wide / 90));
  const stride = Math.max(1, Math.round(times.length / ticks));
  for (let at = Math.floor(stride / 2); at < times.length; at += stride)
    context.fillText(
      new Date((times[at] ?? 0) * 1000).toISOString().slice(11, 16),
      LEFT + (at + 0.5) * cell.width,
      high + 14,
    );
}

function duration(ms: number): string {
  if (ms >= 1000) return `${Math.round(ms / 100) / 10} s`;
  return `${ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)} ms`;
}

function Table({ cells, p95 }: { cells: Cells; p95: readonly (number | null)[] }) {
  const shown = cells.times.map((time, at) => ({ time, at })).slice(-120);
  return (
    <div className="min-h-0 flex-1 overflow-auto" tabIndex={0}>
      <table className="w-full text-label">
        <thead className="sticky top-0 bg-panel text-left text-muted">
          <tr>
            <th className="px-1 font-normal">UTC</th>
            <th className="px-1 text-right font-normal">requests</th>
            <th className="px-1 text-right font-normal">p95 ms</th>
          </tr>
        </thead>
        <tbody>
          {shown.reverse().map(({ time, at }) => (
            <tr key={time}>
              <td className="px-1">{formatTime(time * 1000, 'min')}</td>
              <td className="px-1 text-right">
                {formatNumber(cells.counts[at]?.reduce((sum, count) => sum + count, 0))}
              </td>
              <td className="px-1 text-right">{formatAny(p95[at] ?? null)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/**
 * Lines, areas and bars over time, drawn by uPlot.
 *
 * React only owns the element; new data goes to the canvas directly. Charts of a page share one cursor, and a brush sets
 * the range of the page. A canvas says nothing to a screen reader, so each chart has a sentence and a table, and its points
 * are said as the arrow keys move over them.
 */
import { type ReactNode, type RefObject, useEffect, useId, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import { nearest, pressed } from './chartKeys';
import {
  type ChartProps,
  colourOf,
  columnsOf,
  dashOf,
  optionsOf,
  type Series,
  sizeOf,
  spokenPoint,
} from './chartPlot';
import { formatAny, formatDate, formatDateTime, formatNear } from './format';
import { isWithin, type Span } from './marked';
import { type Frame, Spans } from './spans';
import { usePalette } from './theme';
import { Button } from './ui/button';
import { useZone, zoneName } from './zone';

export { clockLabels, TICK_FONT, TICK_ROOM_PX, ticksOf } from './chartAxis';
export type { ChartProps, Series, Values } from './chartPlot';

export function Chart(props: ChartProps) {
  const { times, summary, unit } = props;
  return (
    <ChartFigure
      legend={<Legend {...props} />}
      summary={summary}
      table={() => <DataTable times={times} series={withGhosts(props)} unit={unit} />}
    >
      <Canvas {...props} />
    </ChartFigure>
  );
}

/** Each series, and behind it its ghost. */
function withGhosts({ series, ghostName = 'before' }: ChartProps): Pick<Series, 'label' | 'values'>[] {
  return series.flatMap(({ label, values, ghost }) => [
    { label, values },
    ...(ghost === undefined ? [] : [{ label: `${label} ${ghostName}`, values: ghost }]),
  ]);
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

function Legend({ times, series, band, ghostName = 'before', stacked, spans = [], unit }: ChartProps) {
  const palette = usePalette();
  return (
    <>
      {unit !== '' && <span data-unit>{unitInWords(unit)}</span>}
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
      {series.some(({ ghost }) => ghost !== undefined) && (
        <span className="inline-flex items-center gap-1">
          <svg width="14" height="8" aria-hidden="true">
            <line
              x1="0"
              x2="14"
              y1="4"
              y2="4"
              stroke={stacked ? palette.text : palette.muted}
              strokeDasharray="2 2"
            />
          </svg>
          {ghostName}
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

/** What the axis of values is in: `/s` is per second. */
export function unitInWords(unit: string): string {
  const per = { s: 'second', min: 'minute', h: 'hour', d: 'day' };
  return unit.replace(/^(.*)\/(.+)$/, (_, of: string, time: string) =>
    `${of} per ${per[time as keyof typeof per] ?? time}`.trim(),
  );
}

const ROWS_SHOWN = 200;

/** Values over time, newest first. */
export function DataTable({
  times,
  series,
  unit,
}: Pick<ChartProps, 'times' | 'unit'> & {
  series: readonly Pick<Series, 'label' | 'values'>[];
}) {
  const zone = useZone();
  const first = Math.max(0, times.length - ROWS_SHOWN);
  const shown = times.slice(first).map((time, at) => ({ time, at: first + at }));
  return (
    <div className="min-h-0 flex-1 overflow-auto" tabIndex={0}>
      <table className="w-full text-label">
        <thead className="sticky top-0 bg-panel text-left text-muted">
          <tr>
            <th className="px-1 font-normal">{zoneName(zone)}</th>
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
              <td className="px-1 whitespace-nowrap">{formatDateTime(time * 1000)}</td>
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
  const { times, series, band, stacked, sync } = props;
  const element = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const tip = useRef<HTMLDivElement>(null);
  const newest = useRef(props);
  newest.current = props;
  const [frame, setFrame] = useState<Frame | null>(null);
  const palette = usePalette();
  // biome-ignore lint/correctness/useExhaustiveDependencies: these are all it reads.
  const data = useMemo(() => columnsOf(props), [times, series, band, stacked]);
  const newestData = useRef(data);
  newestData.current = data;
  const shape = `${series.map(({ label, colour, kind, ghost }) => `${label}/${colour}/${kind}/${ghost !== undefined}`).join()}|${band !== undefined}|${props.log}`;

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
      <Keyboard plot={plot} newest={newest} element={element} data={data} />
      <div
        ref={tip}
        hidden
        className="pointer-events-none absolute top-1 z-10 rounded border border-line bg-panel px-2 py-1 text-label"
      />
      {frame !== null && props.spans !== undefined && <Spans spans={props.spans} frame={frame} />}
    </div>
  );
}

interface KeyboardProps {
  plot: RefObject<uPlot | null>;
  newest: RefObject<ChartProps>;
  /** What uPlot draws into. */
  element: RefObject<HTMLDivElement | null>;
  data: unknown;
}

/** The plot as something that takes the focus: a crosshair by the arrow keys, each point said as it comes. */
function Keyboard({ plot, newest, element, data }: KeyboardProps) {
  const said = useRef<HTMLParagraphElement>(null);
  /** Times in seconds, so that the crosshair stays where it is while steps come. */
  const crosshair = useRef<{ at: number | null; anchor: number | null }>({ at: null, anchor: null });
  const { summary, onRange, onTime } = newest.current;

  const show = () => {
    const { at, anchor } = crosshair.current;
    const made = plot.current;
    if (made === null) return;
    const left = at === null ? -10 : made.valToPos(at, 'x');
    const top = at === null ? -10 : 0;
    // Its third argument, which its types leave out, moves the crosshairs of the other charts too.
    (made.setCursor as (at: uPlot.Cursor, fire: boolean, sync: boolean) => void)({ left, top }, true, true);
    const from = at === null || anchor === null ? left : made.valToPos(anchor, 'x');
    const height = from === left ? 0 : made.over.clientHeight;
    made.setSelect({ left: Math.min(from, left), top: 0, width: Math.abs(left - from), height }, false);
    element.current?.toggleAttribute('data-reading', at !== null);
  };
  const say = (text: string) => {
    if (said.current !== null) said.current.textContent = text;
  };
  const leave = () => {
    if (crosshair.current.at === null) return;
    crosshair.current = { at: null, anchor: null };
    show();
    say('');
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: new data has moved what it points at.
  useEffect(() => {
    if (crosshair.current.at !== null) show();
  }, [data]);

  const press = (event: React.KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { times } = newest.current;
    const indexOf = (time: number | null) => (time === null ? null : nearest(times, time));
    const { at, anchor } = crosshair.current;
    const done = pressed({ at: indexOf(at), anchor: indexOf(anchor) }, event, times.length);
    if (done === null) return;
    event.preventDefault();
    const timeOf = (step: number | null) => (step === null ? null : (times[step] ?? null));
    switch (done.kind) {
      case 'moved': {
        const { at, anchor } = done.crosshair;
        crosshair.current = { at: timeOf(at), anchor: timeOf(anchor) };
        show();
        say(at === null ? '' : spoken(newest.current, at, anchor));
        break;
      }
      case 'zoom': {
        const step = (times[1] ?? 0) - (times[0] ?? 0);
        leave();
        newest.current.onRange?.(times[done.first] ?? 0, (times[done.last] ?? 0) + step);
        say('Zoomed to the selected times');
        break;
      }
      case 'pick':
        newest.current.onTime?.(times[done.at] ?? 0);
        break;
    }
  };
  const keys = [
    'Left and Right read points',
    ...(onRange === undefined ? [] : ['Shift selects', 'Enter zooms']),
    ...(onTime === undefined ? [] : ['Enter picks a time']),
    'Esc leaves',
  ].join(' · ');
  return (
    <>
      <div
        ref={element}
        className="peer absolute inset-0"
        role="application"
        aria-roledescription="chart"
        aria-label={`${summary} ${keys}.`}
        tabIndex={0}
        onKeyDown={press}
        onBlur={leave}
      />
      <p
        aria-hidden="true"
        className="pointer-events-none absolute right-1 bottom-6 z-10 hidden rounded border border-line bg-panel px-2 py-0.5 text-label text-muted peer-focus-visible:block peer-data-reading:hidden"
      >
        {keys}
      </p>
      <p ref={said} aria-live="polite" className="sr-only" data-said />
    </>
  );
}

function spoken(props: ChartProps, at: number, anchor: number | null): string {
  const point = spokenPoint(props, at);
  if (anchor === null || anchor === at) return point;
  const time = (step: number) => formatNear((props.times[step] ?? 0) * 1000, formatDate(Date.now()));
  return `Selected ${time(Math.min(at, anchor))} to ${time(Math.max(at, anchor))}, ${point}`;
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

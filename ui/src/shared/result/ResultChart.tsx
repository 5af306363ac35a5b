/** An answer as a chart, chosen by what its columns mean, with what can be chosen otherwise. */
import { type CSSProperties, useMemo } from 'react';
import type { Row } from '../../api/wire';
import { Chart, ChartFigure, type Series } from '../chart';
import { formatMeasured, formatNumber } from '../format';
import { cn } from '../ui/cn';
import { type ChartChoice, type ChartKind, KINDS, NO_SERIES } from './choice';
import type { MeantColumn } from './columns';
import { Grid } from './Grid';
import { type Shape, shapeOf } from './shape';

interface ResultChartProps {
  columns: readonly MeantColumn[];
  rows: readonly Row[];
  choice: ChartChoice;
  /** Without it nothing can be chosen. */
  onChoice?: (choice: ChartChoice) => void;
}

export function ResultChart({ columns, rows, choice, onChoice }: ResultChartProps) {
  const shape = useMemo(() => shapeOf(columns, rows, choice), [columns, rows, choice]);
  return (
    <div className="flex h-full min-h-0 flex-col">
      {onChoice !== undefined && <Controls shape={shape} choice={choice} onChoice={onChoice} />}
      <div className="min-h-0 flex-1">
        {shape.kind === 'table' ? (
          <Grid columns={columns} rows={rows} bare />
        ) : (
          <Drawn shape={shape} isLog={choice.log === true} isStacked={choice.stacked === true} />
        )}
      </div>
    </div>
  );
}

const KIND_WORDS: Record<ChartKind, string> = {
  line: 'Lines',
  area: 'Areas',
  bars: 'Bars',
  heatmap: 'Heatmap',
  number: 'Numbers',
  table: 'Table',
};

interface ControlsProps {
  shape: Shape;
  choice: ChartChoice;
  onChoice: (choice: ChartChoice) => void;
}

function Controls({ shape, choice, onChoice }: ControlsProps) {
  const { kind, x, series, y, xs, keys, figures } = shape;
  const change = (part: ChartChoice) => onChoice({ ...choice, ...part });
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-3 py-1 text-label text-muted">
      <Choice
        label="Type"
        value={kind}
        options={KINDS.map(it => [it, KIND_WORDS[it]])}
        onChange={value => change({ kind: value as ChartKind })}
      />
      {kind !== 'number' && kind !== 'table' && (
        <>
          {xs.length > 0 && (
            <Choice
              label="X"
              value={x ?? ''}
              options={xs.map(it => [it, it])}
              onChange={value => change({ x: value })}
            />
          )}
          {keys.length > 0 && (
            <Choice
              label="Series"
              value={series ?? (choice.series === NO_SERIES ? NO_SERIES : '*')}
              options={[
                ...(kind === 'heatmap'
                  ? []
                  : [
                      ['*', keys.length === 1 ? 'auto' : 'all keys'],
                      [NO_SERIES, 'none'],
                    ]),
                ...keys.map(it => [it, it]),
              ]}
              onChange={value => change({ series: value === '*' ? null : value })}
            />
          )}
        </>
      )}
      {kind !== 'table' && figures.length > 1 && (
        <Choice
          label="Y"
          value={choice.y == null ? '*' : (y ?? '*')}
          options={[['*', 'auto'], ...figures.map(it => [it, it])]}
          onChange={value => change({ y: value === '*' ? null : value })}
        />
      )}
      {kind === 'area' && (
        <Switch label="Stacked" on={choice.stacked === true} onChange={stacked => change({ stacked })} />
      )}
      {kind !== 'number' && kind !== 'table' && kind !== 'area' && (
        <Switch label="Log scale" on={choice.log === true} onChange={log => change({ log })} />
      )}
    </div>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  options: readonly (readonly string[])[];
  onChange: (value: string) => void;
}

function Choice({ label, value, options, onChange }: ChoiceProps) {
  return (
    <label className="flex items-center gap-1">
      {label}
      <select
        className="h-6 max-w-44 rounded border border-line bg-panel text-text"
        value={value}
        onChange={({ target }) => onChange(target.value)}
      >
        {options.map(([value = '', text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function Switch({ label, on, onChange }: { label: string; on: boolean; onChange: (on: boolean) => void }) {
  return (
    <label className="flex items-center gap-1">
      <input
        type="checkbox"
        className="accent-accent"
        checked={on}
        onChange={({ target }) => onChange(target.checked)}
      />
      {label}
    </label>
  );
}

function Drawn({ shape, isLog, isStacked }: { shape: Shape; isLog: boolean; isStacked: boolean }) {
  switch (shape.drawn) {
    case 'none':
      return <p className="p-3 text-muted">{shape.why}</p>;
    case 'number':
      return <Numbers shape={shape} />;
    case 'time':
      return <Lines shape={shape} isLog={isLog} isStacked={isStacked} />;
    case 'bars':
      return <Bars shape={shape} isLog={isLog} />;
    case 'heatmap':
      return <Heat shape={shape} isLog={isLog} />;
  }
}

type Drawing<Kind extends Shape['drawn']> = Extract<Shape, { drawn: Kind }>;

function Numbers({ shape }: { shape: Drawing<'number'> }) {
  return (
    <dl className="flex flex-wrap gap-x-8 gap-y-3 overflow-auto p-3">
      {shape.numbers.map(({ label, value, unit }) => (
        <div key={label}>
          <dt className="text-label text-muted">{label}</dt>
          <dd className="text-figure leading-tight">
            {formatMeasured(value)}
            {unit !== '' && <span className="text-control text-muted"> {unit}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Lines({ shape, isLog, isStacked }: { shape: Drawing<'time'>; isLog: boolean; isStacked: boolean }) {
  const { times, lines, unit, gaps, kind, isStatus, y } = shape;
  const stacked = kind === 'area' && isStacked;
  const series = useMemo(() => {
    const colours = coloursOf(lines, isStatus);
    return lines.map(
      ({ label, values }, at): Series => ({
        label,
        // There is no place for zero on such a scale.
        values: isLog ? values.map(it => (it !== null && it > 0 ? it : null)) : values,
        colour: colours[at] ?? at,
        kind: kind === 'area' ? 'area' : 'line',
        spansGaps: !gaps,
      }),
    );
  }, [lines, isStatus, isLog, kind, gaps]);
  return (
    <Chart
      times={times}
      series={series}
      stacked={stacked}
      log={isLog && kind !== 'area'}
      unit={unit}
      summary={`${lines.length === 1 ? (y ?? '') : `${y ?? 'figures'} of ${lines.map(({ label }) => label).join(', ')}`} over time.`}
    />
  );
}

/** Red is for what failed, which only a status tells. The largest of each class has the colour of the class. */
export function coloursOf(
  lines: readonly { label: string; isOther: boolean }[],
  isStatus: boolean,
): Series['colour'][] {
  const CLASSES: Readonly<Record<string, Series['colour']>> = {
    2: 0,
    3: 'redirects',
    4: 'clientErrors',
    5: 'critical',
  };
  const taken = new Set<string>();
  let next = isStatus ? 1 : 0;
  return lines.map(({ label, isOther }) => {
    if (isOther) return 'muted';
    const [, digit] = /^([2-5])(?:\d\d|xx)$/i.exec(label) ?? [];
    const colour = digit === undefined ? undefined : CLASSES[digit];
    if (!isStatus || colour === undefined || taken.has(String(digit))) return next++;
    taken.add(String(digit));
    return colour;
  });
}

function variableOf(colour: Series['colour']): string {
  return typeof colour === 'number' ? `var(--series-${(colour % 6) + 1})` : `var(--${colour})`;
}

/** From 0 to 1. */
function shareOf(value: number | null, most: number, isLog: boolean): number {
  if (value === null || most <= 0) return 0;
  const size = Math.abs(value);
  return isLog ? Math.log1p(size) / Math.log1p(most) : size / most;
}

const CHARACTER_PX = 7.5;

/** As much as the longest label needs, and less where there is no room for it. */
function labelWidth(labelled: readonly { label: string }[], most_px: number): string {
  const characters = Math.max(1, ...labelled.map(({ label }) => label.length));
  return `minmax(40px,${Math.min(most_px, Math.ceil(characters * CHARACTER_PX + 10))}px)`;
}

function Bars({ shape, isLog }: { shape: Drawing<'bars'>; isLog: boolean }) {
  const { bars, parts, unit, left, isStatus, y } = shape;
  const grid: CSSProperties = { gridTemplateColumns: `${labelWidth(bars, 260)} minmax(40px,1fr) 104px` };
  const totals = bars.map(({ parts }) => parts.reduce<number>((sum, it) => sum + Math.abs(it ?? 0), 0));
  const most = Math.max(1e-9, ...totals);
  const colours = coloursOf(
    parts.map(label => ({ label, isOther: / others, /.test(label) })),
    isStatus,
  );
  return (
    <div className="h-full overflow-auto py-2" tabIndex={0} role="region" aria-label={`${y ?? ''} as bars`}>
      {parts.length > 1 && (
        <p className="flex flex-wrap gap-x-3 px-3 pb-1 text-label text-muted">
          {parts.map((part, at) => (
            <span key={part} className="inline-flex items-center gap-1">
              <span
                className="inline-block h-2 w-3.5 rounded-sm"
                style={{ background: variableOf(colours[at] ?? at) }}
              />
              {part}
            </span>
          ))}
        </p>
      )}
      <ul className="px-3">
        {bars.map(({ label, parts: values }, row) => {
          const total = totals[row] ?? 0;
          const width = 100 * shareOf(total, most, isLog);
          return (
            <li
              // biome-ignore lint/suspicious/noArrayIndexKey: rows may have the same label.
              key={row}
              className="grid items-center gap-2"
              style={grid}
            >
              <span className="truncate text-right text-muted" title={label}>
                {label}
              </span>
              <span className="flex h-4 overflow-hidden rounded-sm" style={{ width: `${width}%` }}>
                {values.map((value, at) => (
                  <span
                    key={parts[at]}
                    title={`${parts[at]}: ${formatMeasured(value)} ${unit}`}
                    style={{
                      width: `${total === 0 ? 0 : (100 * Math.abs(value ?? 0)) / total}%`,
                      background: variableOf(colours[at] ?? at),
                    }}
                  />
                ))}
              </span>
              <span className="truncate">
                {values.every(it => it === null)
                  ? formatMeasured(null)
                  : formatMeasured(values.reduce<number>((sum, it) => sum + (it ?? 0), 0))}{' '}
                <span className="text-muted">{unit}</span>
              </span>
            </li>
          );
        })}
      </ul>
      {left > 0 && (
        <p className="px-3 text-muted">
          The first {formatNumber(bars.length)} of {formatNumber(bars.length + left)}.
        </p>
      )}
    </div>
  );
}

/** From how much on a cell is so strong that its text would not be read on it. */
const LABELS_MAX = 12;

function Heat({ shape, isLog }: { shape: Drawing<'heatmap'>; isLog: boolean }) {
  const { columns, rows, unit, left, y, x, series } = shape;
  const most = Math.max(1e-9, ...rows.flatMap(({ values }) => values.map(it => Math.abs(it ?? 0))));
  const step = Math.ceil(columns.length / LABELS_MAX);
  const grid: CSSProperties = {
    gridTemplateColumns: `${labelWidth(rows, 180)} repeat(${columns.length}, minmax(6px, 1fr))`,
  };
  return (
    <ChartFigure
      legend={
        <span className="inline-flex items-center gap-1">
          0
          <span
            className="inline-block h-2 w-16 rounded-sm"
            style={{ background: 'linear-gradient(to right, transparent, var(--series-1))' }}
            aria-hidden="true"
          />
          {formatMeasured(most)} {unit} {isLog && '(log)'}
        </span>
      }
      summary={`${y} by ${x} and ${series}; the most is ${formatMeasured(most)} ${unit}.`}
      table={() => <HeatTable shape={shape} />}
    >
      <div
        className="min-h-0 flex-1 overflow-auto"
        tabIndex={0}
        role="region"
        aria-label={`${y} by ${x} and ${series}`}
      >
        {rows.map(({ label, values }) => (
          <div key={label} className="grid" style={grid}>
            <span className="truncate pr-2 text-right text-label text-muted" title={label}>
              {label}
            </span>
            {values.map((value, at) => (
              <span
                // biome-ignore lint/suspicious/noArrayIndexKey: the place is the key.
                key={at}
                title={`${columns[at]} · ${label}: ${formatMeasured(value)} ${unit}`}
                className={cn('m-px min-h-4 rounded-[1px]', value === null && 'border border-line/40')}
                style={{
                  background: `color-mix(in srgb, var(--series-1) ${Math.round(100 * shareOf(value, most, isLog))}%, transparent)`,
                }}
              />
            ))}
          </div>
        ))}
        <div className="grid text-label text-muted" style={grid}>
          <span />
          {columns.map((column, at) => (
            <span key={column} className="overflow-visible whitespace-nowrap">
              {at % step === 0 && at + 0.8 * step < columns.length ? (
                <span className="block w-0">{column.replace(/^\d{4}-\d\d-\d\d /, '')}</span>
              ) : (
                ''
              )}
            </span>
          ))}
        </div>
        {left > 0 && (
          <p className="px-3 text-muted">The largest are shown; {formatNumber(left)} are left out.</p>
        )}
      </div>
    </ChartFigure>
  );
}

function HeatTable({ shape: { columns, rows } }: { shape: Drawing<'heatmap'> }) {
  return (
    <div className="min-h-0 flex-1 overflow-auto" tabIndex={0}>
      <table className="text-label">
        <thead className="text-muted">
          <tr>
            <td />
            {columns.map(column => (
              <th key={column} className="px-1 text-right font-normal whitespace-nowrap">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ label, values }) => (
            <tr key={label}>
              <th className="px-1 text-left font-normal whitespace-nowrap text-muted">{label}</th>
              {values.map((value, at) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: the place is the key.
                <td key={at} className="px-1 text-right">
                  {formatMeasured(value)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

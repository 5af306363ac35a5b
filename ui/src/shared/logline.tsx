/**
 * One record as one line: its time, its level if records have one, and the columns that are shown, each by what it means.
 * Values can be clicked to keep or leave out their like.
 */
import { type CSSProperties, useRef } from 'react';
import type { LogRow, Schemas } from '../api/wire';
import {
  formatDateTime,
  formatMeasured,
  formatNumber,
  formatTime,
  MISSING,
  quantifyBytes,
  textOf,
} from './format';
import type { LogColumns } from './logcolumns';
import { Shape, toneOfLevel } from './mark';
import { cn } from './ui/cn';
import { zoneName } from './zone';

export type Pick = (column: string, value: string | number | boolean, exclude: boolean) => void;

/** Slower answers are marked. */
export const SLOW_MS = 1_000;

type Column = Schemas['CatalogColumn'];

/** A column of a line; without a width it has the one that its role asks for. */
export interface LineColumn {
  column: Column;
  width: number | null;
}

export const TIME_PX = 152;
export const LEVEL_PX = 72;
/** Narrow screens show so many columns. */
const NARROW_COLUMNS = 3;
const RIGHT = new Set(['count', 'share', 'measure', 'duration', 'bytes', 'money', 'status', 'bin']);

/** So many records tell how long the values of each column are. */
const MEASURED = 48;
/** A longer value takes no more room. */
const MEASURED_LENGTH_MAX = 80;
const CHARACTER_PX = 7.5;

/** How many characters the values of each column have in some records; nothing without records. */
export type Lengths = ReadonlyMap<string, { mean: number; longest: number }>;

export function lengthsOf(columns: readonly LineColumn[], rows: readonly LogRow[]): Lengths {
  if (rows.length === 0) return new Map();
  return new Map(
    columns.map(({ column }) => {
      const texts = rows.map(row => shortOf(column, row.values[column.name]));
      const lengths = texts.map(it => Math.min(it.length, MEASURED_LENGTH_MAX));
      const sum = lengths.reduce((sum, it) => sum + it, 0);
      return [column.name, { mean: sum / rows.length, longest: Math.max(...lengths) }];
    }),
  );
}

/** The least width of a column in pixels, and its share of what is left. */
function widthOf(
  column: Column,
  length: { mean: number; longest: number } | undefined,
): [least: number, share: number] {
  switch (column.role) {
    case 'status':
      return [Math.max(48, 8 * column.name.length), 0];
    case 'flag':
    case 'level':
      return [Math.max(64, 8 * column.name.length), 0];
    case 'count':
    case 'share':
    case 'measure':
    case 'duration':
    case 'bytes':
    case 'money':
    case 'bin':
      return [Math.max(88, 8 * column.name.length), 0];
    case 'time':
      return [TIME_PX, 0];
    default: {
      const name = 8 * column.name.length;
      const most = column.role === 'text' ? 160 : 112;
      if (length === undefined) return [Math.max(most, name), 1];
      const needed = Math.min(most, Math.ceil(CHARACTER_PX * length.longest));
      return [Math.max(name, needed), Math.max(1, length.mean)];
    }
  }
}

/** Where the columns of all lines of a list stand; a heading has the same. */
export function lineStyle(
  columns: readonly LineColumn[],
  hasLevel: boolean,
  lengths: Lengths,
): CSSProperties {
  const level = hasLevel ? [`${LEVEL_PX}px`] : [];
  const wide = columns.map(({ column, width }) => {
    const [least, share] = widthOf(column, lengths.get(column.name));
    if (width !== null) return `${width}px`;
    return share === 0 ? `${least}px` : `minmax(${least}px, ${share}fr)`;
  });
  const narrow = columns.slice(0, NARROW_COLUMNS).map(({ column }) => {
    const [least, share] = widthOf(column, lengths.get(column.name));
    return share === 0 ? 'minmax(28px, 64px)' : `minmax(${Math.min(64, least)}px, ${share}fr)`;
  });
  return {
    '--line': [`${TIME_PX}px`, ...level, ...wide].join(' '),
    '--line-narrow': ['58px', ...(hasLevel ? ['12px'] : []), ...narrow].join(' '),
    '--line-least': `${leastOf(columns, hasLevel, lengths)}px`,
  } as CSSProperties;
}

/** The style of the lines of a list, whose columns get the room that the values of its first records take. */
export function useLineStyle(
  columns: readonly LineColumn[],
  hasLevel: boolean,
  count: number,
  read: (index: number) => LogRow | { note: string } | null,
): CSSProperties {
  const measured = useRef<{ of: string; rows: number; lengths: Lengths }>({
    of: '',
    rows: 0,
    lengths: new Map(),
  });
  const of = columns
    .map(({ column }) => column.name)
    .sort()
    .join();
  const rows = Math.min(count, MEASURED);
  // While a list fills its columns move a few times, and then no more.
  if (measured.current.of !== of || (measured.current.rows < rows && 2 * measured.current.rows <= rows)) {
    const all = Array.from({ length: rows }, (_, index) => read(index));
    const records = all.filter((it): it is LogRow => it !== null && !('note' in it));
    measured.current = { of, rows, lengths: lengthsOf(columns, records) };
  }
  return lineStyle(columns, hasLevel, measured.current.lengths);
}

/** Below this a list scrolls sideways. */
function leastOf(columns: readonly LineColumn[], hasLevel: boolean, lengths: Lengths): number {
  const widths = columns.map(({ column, width }) => width ?? widthOf(column, lengths.get(column.name))[0]);
  const all = [TIME_PX, ...(hasLevel ? [LEVEL_PX] : []), ...widths];
  return all.reduce((sum, width) => sum + width + 12, 24);
}

/** The class of a line whose style is of `lineStyle`, or lies within an element that has it. */
export const LINE_GRID =
  'grid grid-cols-(--line-narrow) md:grid-cols-(--line) md:min-w-(--line-least) gap-x-2 md:gap-x-3 items-center';

/** When it was: to the millisecond if it was today, with its date if not. */
export function timeOf(
  timestamp: string | null,
  today: string,
): { date: string; time: string; rest: string } {
  const whole = formatDateTime(timestamp);
  const [date = '', time = ''] = whole.split(' ');
  if (time === '') return { date: '', time: whole, rest: '' };
  return date === today
    ? { date: '', time, rest: formatTime(timestamp, 'ms').slice(8) }
    : { date, time, rest: '' };
}

interface LogLineProps {
  row: LogRow;
  columns: readonly LineColumn[];
  hasLevel: boolean;
  onPick?: Pick;
  /** The date of now, as `2026-03-01`. */
  today: string;
}

export function LogLine({ row, columns, hasLevel, onPick, today }: LogLineProps) {
  const { date, time, rest } = timeOf(row.timestamp, today);
  return (
    <>
      <span className="truncate text-muted" title={`${formatDateTime(row.timestamp)} ${zoneName()}`}>
        {date !== '' && <span className="hidden md:inline">{date} </span>}
        {time}
        <span className="hidden md:inline">{rest}</span>
      </span>
      {hasLevel && (
        <span className="truncate">
          {row.level !== null && <Shape tone={toneOfLevel(row.level)} />}
          <span className="hidden md:inline">{row.level ?? MISSING}</span>
        </span>
      )}
      {columns.map(({ column }, at) => (
        <Value
          key={column.name}
          column={column}
          value={row.values[column.name]}
          onPick={onPick}
          isHidden={at >= NARROW_COLUMNS}
        />
      ))}
    </>
  );
}

/** Lines as they are shown where no columns are chosen. */
export function defaultLines({ columns, shown }: LogColumns): LineColumn[] {
  return shown.flatMap(name => {
    const column = columns.find(it => it.name === name);
    return column === undefined ? [] : [{ column, width: null }];
  });
}

/** Whether a column stands at the right, as figures do. */
export function isRight({ role }: Column): boolean {
  return RIGHT.has(role);
}

/** A value as its role asks for, in few characters. */
export function shortOf(column: Column, value: unknown): string {
  if (value === null || value === undefined) return MISSING;
  if (typeof value === 'number') {
    const unit = column.unit === null || column.unit === undefined ? '' : ` ${column.unit}`;
    switch (column.role) {
      case 'status':
      case 'id':
      case 'key':
      case 'bin':
        return String(value);
      case 'bytes': {
        const { value: size, unit } = quantifyBytes(value);
        return `${size} ${unit}`.trim();
      }
      case 'duration':
        return `${formatNumber(value, Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0)}${unit}`;
      case 'money':
        return `${formatNumber(value, 2)}${unit}`;
      default:
        return `${formatMeasured(value)}${unit}`;
    }
  }
  if (column.type === 'timestamp') return formatDateTime(value);
  return textOf(value);
}

/** The status classes that have a colour are those of HTTP. */
function colourOf(column: Column, value: unknown): string {
  if (typeof value !== 'number') return '';
  if (column.role === 'status') return value >= 500 ? 'text-critical' : value >= 400 ? 'text-warn' : '';
  return isSlow(column, value) ? 'text-warn' : '';
}

function isSlow({ role, unit }: Column, value: unknown): boolean {
  if (role !== 'duration' || typeof value !== 'number') return false;
  const ms = { ms: 1, s: 1_000, us: 0.001, µs: 0.001, ns: 0.000_001 }[unit ?? ''];
  return ms !== undefined && value * ms > SLOW_MS;
}

interface ValueProps {
  column: Column;
  value: unknown;
  onPick?: Pick | undefined;
  isHidden: boolean;
}

/** A click keeps only its like, with Alt it leaves them out. */
function Value({ column, value, onPick, isHidden }: ValueProps) {
  const text = shortOf(column, value);
  const slow = isSlow(column, value);
  const className = cn(
    'truncate',
    isHidden && 'hidden md:block',
    isRight(column) && 'text-right',
    colourOf(column, value),
  );
  const shown = (
    <>
      {slow && <Shape tone="warn" />}
      {text}
    </>
  );
  const pickable = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return (
    <span
      className={className}
      data-column={column.name}
      data-slow={slow || undefined}
      title={text.length > 12 ? text : undefined}
    >
      {onPick === undefined || !pickable ? (
        shown
      ) : (
        // biome-ignore lint/a11y/useKeyWithClickEvents: the same is in the record's drawer, for the keyboard.
        // biome-ignore lint/a11y/noStaticElementInteractions: a shortcut for the pointer only.
        <span
          className="cursor-pointer decoration-dotted underline-offset-2 hover:underline"
          title={`Only ${column.name} ${text}; with Alt: without it`}
          onClick={event => {
            event.stopPropagation();
            onPick(column.name, value, event.altKey);
          }}
        >
          {shown}
        </span>
      )}
    </span>
  );
}

/**
 * One record as one line: time, level, source, request, answer. Values can be clicked to keep or leave out their like.
 */
import type { LogRow } from '../api/wire';
import { formatDateTime, formatNumber, formatTime, MISSING } from './format';
import { Shape, toneOfLevel } from './mark';
import { cn } from './ui/cn';
import { zoneName } from './zone';

export type Pick = (column: string, value: string | number | boolean, exclude: boolean) => void;

/** Slower answers are marked. */
export const SLOW_MS = 1_000;

/** Columns of a line; on narrow screens the less important ones go. */
export const LINE_GRID =
  'grid grid-cols-[58px_12px_1fr_28px_78px] md:grid-cols-[142px_72px_92px_52px_minmax(120px,1fr)_44px_92px] xl:grid-cols-[142px_72px_92px_52px_minmax(120px,1fr)_44px_92px_minmax(120px,1.2fr)_118px] gap-x-2 md:gap-x-3 items-center';

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
  onPick?: Pick;
  /** The date of now, as `2026-03-01`. */
  today: string;
}

export function LogLine({ row, onPick, today }: LogLineProps) {
  const { date, time, rest } = timeOf(row.timestamp, today);
  const slow = row.responseTime !== null && row.responseTime > SLOW_MS;
  // A dataflow without requests has a message alone.
  const isRequest = row.endpoint !== null || row.status !== null || row.method !== null;
  return (
    <>
      <span className="truncate text-muted" title={`${formatDateTime(row.timestamp)} ${zoneName()}`}>
        {date !== '' && <span className="hidden md:inline">{date} </span>}
        {time}
        <span className="hidden md:inline">{rest}</span>
      </span>
      <Value column="level" value={row.level} onPick={onPick} className="truncate">
        <Shape tone={toneOfLevel(row.level)} />
        <span className="hidden md:inline">{row.level ?? MISSING}</span>
      </Value>
      {isRequest ? (
        <Request row={row} slow={slow} onPick={onPick} />
      ) : (
        <span className="col-span-3 truncate md:col-span-5 xl:col-span-7" title={row.message ?? undefined}>
          {row.message ?? MISSING}
        </span>
      )}
    </>
  );
}

function Request({ row, slow, onPick }: { row: LogRow; slow: boolean; onPick: Pick | undefined }) {
  const status = row.status ?? 0;
  return (
    <>
      <Value
        column="source"
        value={row.source}
        onPick={onPick}
        className="hidden truncate text-muted md:block"
      />
      <Value
        column="method"
        value={row.method}
        onPick={onPick}
        className="hidden truncate text-muted md:block"
      />
      <Value column="endpoint" value={row.endpoint} onPick={onPick} className="truncate" />
      <Value
        column="status"
        value={row.status}
        onPick={onPick}
        className={cn(
          'text-right',
          status >= 500 && 'text-critical',
          status >= 400 && status < 500 && 'text-warn',
        )}
      />
      <span
        className={cn('truncate text-right', slow && 'text-warn')}
        data-slow={slow || undefined}
        title={slow ? `slower than ${formatNumber(SLOW_MS)} ms` : undefined}
      >
        {slow && <Shape tone="warn" />}
        {row.responseTime === null ? MISSING : `${formatNumber(row.responseTime)} ms`}
      </span>
      <span className="hidden truncate text-muted xl:block" data-message title={row.message ?? undefined}>
        {row.message ?? MISSING}
      </span>
      <Value column="ip" value={row.ip} onPick={onPick} className="hidden truncate text-muted xl:block" />
    </>
  );
}

interface ValueProps {
  column: string;
  value: string | number | null;
  onPick?: Pick | undefined;
  className?: string;
  children?: React.ReactNode;
}

/** A click keeps only its like, with Alt it leaves them out. */
function Value({ column, value, onPick, className, children }: ValueProps) {
  const shown = children ?? (value === null ? MISSING : String(value));
  if (onPick === undefined || value === null) return <span className={className}>{shown}</span>;
  return (
    <span className={className}>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the same is in the record's drawer, for the keyboard. */}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a shortcut for the pointer only. */}
      <span
        className="cursor-pointer decoration-dotted underline-offset-2 hover:underline"
        title={`Only ${column} ${value}; with Alt: without it`}
        onClick={event => {
          event.stopPropagation();
          onPick(column, value, event.altKey);
        }}
      >
        {shown}
      </span>
    </span>
  );
}

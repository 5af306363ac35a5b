/**
 * One record as one line: time, level, source, request, answer. Values can be clicked to keep or leave out their like.
 */
import type { LogRow } from '../api/wire';
import { formatNumber, formatTime, MISSING } from './format';
import { Shape, toneOfLevel } from './mark';
import { cn } from './ui/cn';

export type Pick = (column: string, value: string | number, exclude: boolean) => void;

/** Columns of a line; on a phone the less important ones go. */
export const LINE_GRID =
  'grid grid-cols-[58px_12px_1fr_28px_58px] md:grid-cols-[92px_72px_92px_52px_minmax(120px,1fr)_44px_84px_128px] gap-x-2 md:gap-x-3 items-center';

export function LogLine({ row, onPick, date = false }: { row: LogRow; onPick?: Pick; date?: boolean }) {
  const failed = row.status !== null && row.status >= 400;
  const time = formatTime(row.timestamp, 'ms');
  return (
    <>
      <span className="truncate text-muted">
        {date ? (
          <>
            <span className="hidden md:inline">{String(row.timestamp).slice(5, 10)} </span>
            {time.slice(0, 8)}
          </>
        ) : (
          <>
            {time.slice(0, 8)}
            <span className="hidden md:inline">{time.slice(8)}</span>
          </>
        )}
      </span>
      <Value column="level" value={row.level} onPick={onPick} className="truncate">
        <Shape tone={toneOfLevel(row.level)} />
        <span className="hidden md:inline">{row.level ?? MISSING}</span>
      </Value>
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
          failed && (row.status ?? 0) >= 500 && 'text-critical',
          failed && (row.status ?? 0) < 500 && 'text-warn',
        )}
      />
      <span className="truncate text-right">
        {row.responseTime === null ? MISSING : `${formatNumber(row.responseTime)} ms`}
      </span>
      <Value column="ip" value={row.ip} onPick={onPick} className="hidden truncate text-muted md:block" />
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

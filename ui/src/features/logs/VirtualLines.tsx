/**
 * A long list of which only what is seen is drawn. Rows have one height; `j`, `k` and the arrows move, Enter opens.
 */
import { useVirtualizer } from '@tanstack/react-virtual';
import { type RefObject, useEffect, useState } from 'react';
import type { LogRow } from '../../api/wire';
import { useKeys } from '../../shared/keys';
import { useToday } from '../../shared/live';
import { LINE_GRID, LogLine, type Pick, useLineStyle } from '../../shared/logline';
import { useGo, useUrl } from '../../shared/nav';
import { cn } from '../../shared/ui/cn';
import { LineHead } from './LineHead';
import type { Lines } from './useLines';

export const ROW_PX = 22;

/** What stands between two records. */
export interface Note {
  note: string;
}

interface VirtualLinesProps {
  lines: Lines;
  count: number;
  read: (index: number) => LogRow | Note | null;
  scroller: RefObject<HTMLDivElement | null>;
  onPick: Pick;
  onScroll?: (top: number) => void;
  onEnd?: () => void;
  label: string;
}

export function VirtualLines({
  lines,
  count,
  read,
  scroller,
  onPick,
  onScroll,
  onEnd,
  label,
}: VirtualLinesProps) {
  const { record } = useUrl();
  const today = useToday();
  const go = useGo();
  const [at, setAt] = useState(-1);
  const rows = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
    // The heading lies above them.
    scrollPaddingStart: ROW_PX,
  });
  const style = useLineStyle(lines.columns, lines.hasLevel, count, read);
  const shown = rows.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  useEffect(() => {
    if (count > 0 && last >= count - 1) onEnd?.();
  }, [last, count, onEnd]);
  const isRecord = (index: number) => {
    const row = read(index);
    return row !== null && !('note' in row);
  };
  const move = (by: 1 | -1) => {
    let next = Math.min(count - 1, Math.max(0, at + by));
    while (next + by >= 0 && next + by < count && !isRecord(next)) next += by;
    setAt(next);
    rows.scrollToIndex(next);
  };
  // From anywhere on the page; with the focus, Enter opens the row.
  const step = (by: 1 | -1) => {
    if (count === 0) return;
    scroller.current?.focus({ preventScroll: true });
    move(by);
  };
  useKeys({ j: () => step(1), k: () => step(-1) });
  return (
    <div
      ref={scroller}
      role="log"
      aria-live="off"
      aria-label={label}
      tabIndex={0}
      className="h-full overflow-auto font-mono text-label [contain:strict]"
      style={style}
      onScroll={event => onScroll?.(event.currentTarget.scrollTop)}
      onKeyDown={event => {
        if (event.target !== event.currentTarget) return;
        if (event.key === 'j' || event.key === 'ArrowDown') move(1);
        else if (event.key === 'k' || event.key === 'ArrowUp') move(-1);
        else if (event.key === 'Home') rows.scrollToIndex(0);
        else if (event.key === 'Enter' && at >= 0) {
          const row = read(at);
          if (row !== null && !('note' in row)) go({ record: row.id });
        } else return;
        event.preventDefault();
      }}
    >
      <LineHead lines={lines} />
      <div className="md:min-w-(--line-least)" style={{ height: rows.getTotalSize(), position: 'relative' }}>
        {shown.map(({ index, start }) => {
          const row = read(index);
          if (row === null) return null;
          const place = { height: ROW_PX, transform: `translateY(${start}px)` };
          if ('note' in row)
            return (
              <div
                key={`note ${index}`}
                data-gap
                className="absolute inset-x-0 flex items-center gap-3 px-3 text-muted"
                style={place}
              >
                <span>{row.note}</span>
                <span aria-hidden="true" className="h-px flex-1 bg-line" />
              </div>
            );
          return (
            // biome-ignore lint/a11y/noStaticElementInteractions: the list above has the keys.
            // biome-ignore lint/a11y/useKeyWithClickEvents: the list above has the keys.
            <div
              key={row.id}
              data-record={row.id}
              className={cn(
                LINE_GRID,
                'absolute inset-x-0 cursor-pointer px-3 hover:bg-hover',
                row.id === record && 'bg-hover',
                index === at && 'outline outline-accent',
              )}
              style={place}
              onClick={() => {
                setAt(index);
                go({ record: row.id });
              }}
            >
              <LogLine
                row={row}
                columns={lines.columns}
                hasLevel={lines.hasLevel}
                onPick={onPick}
                today={today}
              />
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** Rows of an answer: only those that are seen are drawn. Cells that changed flash once when the rows are live. */
import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef } from 'react';
import type { Column, Row } from '../../api/wire';
import { formatAny, formatDateTime, MISSING, textOf } from '../../shared/format';
import { cn } from '../../shared/ui/cn';

const ROW_PX = 24;
const NUMBERS = new Set(['int', 'bigint', 'double']);

export function Results({
  columns,
  rows,
  live = false,
}: {
  columns: readonly Column[];
  rows: readonly Row[];
  live?: boolean;
}) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 10,
  });
  const widths = columns.map(({ name, type }) =>
    NUMBERS.has(type)
      ? 'minmax(110px, 220px)'
      : name.length > 14
        ? 'minmax(150px, 1fr)'
        : 'minmax(120px, 1fr)',
  );
  const grid = { gridTemplateColumns: widths.join(' '), minWidth: columns.length * 120 };
  return (
    <div
      ref={scroller}
      className="h-full overflow-auto"
      tabIndex={0}
      role="table"
      aria-label="Result"
      aria-rowcount={rows.length}
    >
      <div role="row" className="sticky top-0 z-10 grid bg-panel text-label text-muted" style={grid}>
        {columns.map(({ name, type }) => (
          <span
            role="columnheader"
            key={name}
            title={type}
            className={cn('truncate px-3 py-1', NUMBERS.has(type) && 'text-right')}
          >
            {name}
          </span>
        ))}
      </div>
      <div style={{ height: virtual.getTotalSize(), position: 'relative' }} role="rowgroup">
        {virtual.getVirtualItems().map(({ index, start }) => {
          const row = rows[index];
          if (row === undefined) return null;
          return (
            <div
              role="row"
              key={index}
              className="absolute grid w-full items-center hover:bg-hover"
              style={{ ...grid, height: ROW_PX, transform: `translateY(${start}px)` }}
            >
              {columns.map(({ name, type }) => {
                const text = cellOf(row[name], type);
                return (
                  <span
                    role="cell"
                    // A new key draws the cell anew, and so it flashes.
                    key={live ? `${name} ${text}` : name}
                    title={text}
                    className={cn(
                      'truncate px-3',
                      NUMBERS.has(type) && 'text-right',
                      text === MISSING && 'text-muted',
                      live && 'flash',
                    )}
                  >
                    {text}
                  </span>
                );
              })}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function cellOf(value: unknown, type: string): string {
  if (value === null || value === undefined) return MISSING;
  if (typeof value === 'number') return formatAny(value);
  if (type === 'timestamp') return formatDateTime(value);
  return textOf(value);
}

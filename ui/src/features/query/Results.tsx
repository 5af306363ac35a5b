/** Rows of an answer: only those that are seen are drawn. Cells that changed flash once when the rows are live. */
import { useVirtualizer } from '@tanstack/react-virtual';
import { useMemo, useRef } from 'react';
import type { Column, Row } from '../../api/wire';
import { cn } from '../../shared/ui/cn';
import { cellOf, NUMBERS, widthsOf } from './shown';

const ROW_PX = 24;
/** Letters are wider than digits, which `ch` is the width of. */
const CHARACTER_CH = 1.08;

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
  const widths = useMemo(() => widthsOf(columns, rows), [columns, rows]);
  // Every row is a grid of its own, so all of them get the same columns; what is left over is shared out.
  const grid = {
    gridTemplateColumns: widths
      .map(width => `minmax(calc(${width * CHARACTER_CH}ch + 24px), ${width}fr)`)
      .join(' '),
    minWidth: `calc(${widths.reduce((sum, width) => sum + width, 0) * CHARACTER_CH}ch + ${24 * widths.length}px)`,
  };
  return (
    <div
      ref={scroller}
      className="h-full overflow-auto"
      tabIndex={0}
      role="table"
      aria-label="Result"
      aria-rowcount={rows.length}
    >
      <div role="row" className="sticky top-0 z-10 grid items-end bg-panel text-muted" style={grid}>
        {columns.map(({ name, type }) => (
          <span
            role="columnheader"
            key={name}
            title={type}
            className={cn('px-3 py-1 text-label break-words', NUMBERS.has(type) && 'text-right')}
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
                const { kind, text } = cellOf(row[name], type);
                return (
                  <span
                    role="cell"
                    // A new key draws the cell anew, and so it flashes.
                    key={live ? `${name} ${text}` : name}
                    data-kind={kind}
                    title={kind === 'empty' ? 'empty text' : wholeOf(row[name], text)}
                    className={cn(
                      'truncate px-3',
                      NUMBERS.has(type) && 'text-right',
                      kind !== 'value' && 'text-muted',
                      kind === 'null' && 'italic',
                      kind === 'empty' && 'font-mono',
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

/** A number that is shown rounded is there whole. */
function wholeOf(value: unknown, text: string): string {
  return typeof value === 'number' ? String(value) : text;
}

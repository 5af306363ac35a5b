/** The names of the columns above a list. Each has a menu, and an edge that makes it wider by dragging or by arrow keys. */
import { useRef, useState } from 'react';
import { isRight, LINE_GRID } from '../../shared/logline';
import { cn } from '../../shared/ui/cn';
import { Menu } from '../../shared/ui/menu';
import { moved, resized, type Shown, WIDTH_LEAST, WIDTH_MOST, WIDTH_STEP, withoutColumn } from './columns';
import type { Lines } from './useLines';

export function LineHead({ lines }: { lines: Lines }) {
  const { columns, change } = lines;
  return (
    <div className={cn(LINE_GRID, 'sticky top-0 z-10 hidden border-b border-line bg-panel px-3 md:grid')}>
      <span className="truncate text-muted" title={lines.time}>
        {lines.time}
      </span>
      {lines.hasLevel && <span className="text-muted">level</span>}
      {columns.map((shown, at) => (
        <span key={shown.column.name} className="relative flex min-w-0" data-head={shown.column.name}>
          <Menu
            title={shown.column.comment ?? `${shown.column.name} · ${shown.column.type}`}
            trigger={
              <button
                type="button"
                className={cn(
                  'min-w-0 flex-1 truncate text-left text-muted hover:text-text',
                  isRight(shown.column) && 'text-right',
                )}
              >
                {shown.column.name}
              </button>
            }
            items={[
              ...(at > 0
                ? [{ label: 'Move left', onSelect: () => change(moved(columns, shown.column.name, -1)) }]
                : []),
              ...(at < columns.length - 1
                ? [{ label: 'Move right', onSelect: () => change(moved(columns, shown.column.name, 1)) }]
                : []),
              ...(columns.length > 1
                ? [{ label: 'Hide', onSelect: () => change(withoutColumn(columns, shown.column.name)) }]
                : []),
              ...(lines.isChanged ? [{ label: 'Default columns', onSelect: lines.reset }] : []),
            ]}
          />
          <Edge shown={shown} onWidth={width => change(resized(columns, shown.column.name, width))} />
        </span>
      ))}
    </div>
  );
}

/** What is dragged shows itself at once; the address changes when it is let go. */
function Edge({ shown, onWidth }: { shown: Shown; onWidth: (width: number) => void }) {
  const drag = useRef<{ from: number; width: number } | null>(null);
  const [width, setWidth] = useState<number | null>(null);
  const own = (edge: HTMLElement) => edge.parentElement?.getBoundingClientRect().width ?? WIDTH_LEAST;
  return (
    <span
      role="separator"
      aria-orientation="vertical"
      aria-label={`Width of ${shown.column.name}`}
      aria-valuemin={WIDTH_LEAST}
      aria-valuemax={WIDTH_MOST}
      aria-valuenow={shown.width ?? width ?? 100}
      tabIndex={0}
      className="absolute inset-y-0 -right-2 w-2 cursor-col-resize touch-none hover:bg-line focus:bg-accent"
      onPointerDown={event => {
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
        drag.current = { from: event.clientX, width: own(event.currentTarget) };
      }}
      onPointerMove={event => {
        if (drag.current !== null) setWidth(drag.current.width + event.clientX - drag.current.from);
      }}
      onPointerUp={event => {
        if (drag.current !== null) onWidth(drag.current.width + event.clientX - drag.current.from);
        drag.current = null;
        setWidth(null);
      }}
      onPointerCancel={() => {
        drag.current = null;
        setWidth(null);
      }}
      onKeyDown={event => {
        const by = event.key === 'ArrowLeft' ? -WIDTH_STEP : event.key === 'ArrowRight' ? WIDTH_STEP : 0;
        if (by === 0) return;
        event.preventDefault();
        event.stopPropagation();
        onWidth(own(event.currentTarget) + by);
      }}
    >
      {width !== null && (
        <span
          aria-hidden="true"
          className="pointer-events-none absolute inset-y-0 w-px bg-accent"
          style={{ left: width - (drag.current?.width ?? 0) + 4 }}
        />
      )}
    </span>
  );
}

/**
 * Rows of an answer: only those that are seen are drawn. Columns are as wide as what is in them and can be made wider, a header
 * sorts, a cell can be copied. Cells that changed flash once when the rows are live.
 */
import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown, ArrowUp } from 'lucide-react';
import { type KeyboardEvent, type PointerEvent, useEffect, useId, useMemo, useRef, useState } from 'react';
import type { Row } from '../../api/wire';
import { copyText } from '../copy';
import { formatNumber } from '../format';
import { Button } from '../ui/button';
import { cn } from '../ui/cn';
import { isNumber, isTime, type MeantColumn } from './columns';
import { cellOf, longestOf, nextSort, plainOf, rowsOf, type Sort, sorted, tsvOf } from './shown';

const ROW_PX = 24;
const WIDTH_MIN_PX = 48;
const WIDTH_MAX_PX = 420;
/** By the handle of a column it may become so wide. */
const WIDTH_DRAGGED_MAX_PX = 2_000;
/** Around the text of a cell. */
const PADDING_PX = 24;
/** Of a header, for its arrow and handle. */
const HEADER_PX = 14;
const STEP_PX = 16;
/** Without a canvas to measure on. */
const CHARACTER_PX = 7.4;
const PAGE_ROWS = 15;

interface GridProps {
  columns: readonly MeantColumn[];
  rows: readonly Row[];
  live?: boolean;
  /** Whether there are more rows than these. */
  truncated?: boolean;
  /** Without what is below the rows. */
  bare?: boolean;
}

export function Grid({ columns, rows, live = false, truncated = false, bare = false }: GridProps) {
  const [sort, setSort] = useState<Sort | null>(null);
  const [dragged, setDragged] = useState<Readonly<Record<string, number>>>({});
  const [cursor, setCursor] = useState<{ row: number; column: number } | null>(null);
  const id = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => sorted(rows, columns, sort), [rows, columns, sort]);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 10,
  });
  const measured = useWidths(columns, rows);
  const widths = columns.map(({ name }, at) => dragged[name] ?? measured[at] ?? WIDTH_MIN_PX);
  // Every row is a grid of its own, so all of them get the same columns.
  const grid = {
    gridTemplateColumns: `${widths.map(width => `${width}px`).join(' ')} 1fr`,
    minWidth: widths.reduce((sum, width) => sum + width, 0),
  };
  const at = cursor === null ? null : { row: shown[cursor.row], column: columns[cursor.column] };
  const chosen = at?.row === undefined || at.column === undefined ? null : { row: at.row, column: at.column };

  // A cell that is gone to is in sight.
  useEffect(() => {
    if (cursor === null) return;
    virtual.scrollToIndex(cursor.row);
    document
      .getElementById(`${id}-${cursor.row}-${cursor.column}`)
      ?.scrollIntoView?.({ block: 'nearest', inline: 'nearest' });
  }, [cursor, id, virtual]);

  const pressed = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'c') {
      // What is selected with the mouse is what is meant.
      if (chosen === null || String(getSelection()) !== '') return;
      event.preventDefault();
      void copyText(
        event.shiftKey ? tsvOf(columns, [chosen.row], false) : plainOf(chosen.row[chosen.column.name]),
      );
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { row, column } = cursor ?? { row: 0, column: 0 };
    const to = {
      ArrowDown: { row: cursor === null ? 0 : row + 1, column },
      ArrowUp: { row: row - 1, column },
      ArrowRight: { row, column: column + 1 },
      ArrowLeft: { row, column: column - 1 },
      PageDown: { row: row + PAGE_ROWS, column },
      PageUp: { row: row - PAGE_ROWS, column },
      Home: { row: 0, column: 0 },
      End: { row: shown.length - 1, column },
    }[event.key];
    if (to === undefined || shown.length === 0) return;
    event.preventDefault();
    setCursor({
      row: Math.min(Math.max(to.row, 0), shown.length - 1),
      column: Math.min(Math.max(to.column, 0), columns.length - 1),
    });
  };

  return (
    <div className="flex h-full min-h-0 flex-col">
      <div
        ref={scroller}
        className="min-h-0 flex-1 overflow-auto"
        tabIndex={0}
        role="grid"
        aria-label="Result"
        aria-rowcount={shown.length}
        aria-colcount={columns.length}
        aria-activedescendant={cursor === null ? undefined : `${id}-${cursor.row}-${cursor.column}`}
        onKeyDown={pressed}
      >
        <div
          role="row"
          className="sticky top-0 z-10 grid items-stretch border-b border-line bg-panel"
          style={grid}
        >
          {columns.map((column, at) => (
            <Header
              key={column.name}
              column={column}
              width={widths[at] ?? WIDTH_MIN_PX}
              sort={sort?.column === column.name ? sort : null}
              onSort={() => setSort(nextSort(sort, column.name))}
              onWidth={width =>
                setDragged(({ [column.name]: _, ...others }) =>
                  width === null ? others : { ...others, [column.name]: width },
                )
              }
            />
          ))}
        </div>
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }} role="rowgroup">
          {virtual.getVirtualItems().map(({ index, start }) => {
            const row = shown[index];
            if (row === undefined) return null;
            return (
              <div
                role="row"
                aria-rowindex={index + 1}
                key={index}
                className="absolute grid w-full items-center hover:bg-hover"
                style={{ ...grid, height: ROW_PX, transform: `translateY(${start}px)` }}
              >
                {columns.map((column, at) => {
                  const { kind, text } = cellOf(row[column.name], column);
                  const active = cursor?.row === index && cursor.column === at;
                  return (
                    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid has the focus and the keys.
                    <span
                      role="gridcell"
                      id={`${id}-${index}-${at}`}
                      // A new key draws the cell anew, and so it flashes.
                      key={live ? `${column.name} ${text}` : column.name}
                      data-kind={kind}
                      aria-selected={active}
                      title={kind === 'empty' ? 'empty text' : plainOf(row[column.name])}
                      onClick={() => setCursor({ row: index, column: at })}
                      className={cn(
                        'truncate px-3 leading-6',
                        isNumber(column.type) && 'text-right',
                        kind !== 'value' && 'text-muted',
                        kind === 'null' && 'italic',
                        kind === 'empty' && 'font-mono',
                        live && 'flash',
                        active && 'outline outline-1 -outline-offset-1 outline-accent',
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
      {!bare && (
        <Below
          columns={columns}
          rows={shown}
          sort={sort}
          truncated={truncated}
          chosen={chosen}
          cursor={cursor}
        />
      )}
    </div>
  );
}

interface HeaderProps {
  column: MeantColumn;
  width: number;
  sort: Sort | null;
  onSort: () => void;
  /** `null` is as wide as what is in it. */
  onWidth: (width: number | null) => void;
}

function Header({ column, width, sort, onSort, onWidth }: HeaderProps) {
  const { name, type, role, unit, comment } = column;
  const about = [type, role != null && role !== 'other' ? role : null, unit, comment].filter(
    it => it != null,
  );
  const Arrow = sort?.descending ? ArrowDown : ArrowUp;
  const bounded = (px: number) => Math.round(Math.min(WIDTH_DRAGGED_MAX_PX, Math.max(WIDTH_MIN_PX, px)));
  const drag = (event: PointerEvent<HTMLElement>) => {
    const handle = event.currentTarget;
    const from = event.clientX;
    handle.setPointerCapture(event.pointerId);
    const move = (moved: globalThis.PointerEvent) => onWidth(bounded(width + moved.clientX - from));
    handle.addEventListener('pointermove', move);
    handle.addEventListener('pointerup', () => handle.removeEventListener('pointermove', move), {
      once: true,
    });
    event.preventDefault();
  };
  return (
    <span
      role="columnheader"
      aria-sort={sort === null ? 'none' : sort.descending ? 'descending' : 'ascending'}
      className="relative flex min-w-0 items-end text-label text-muted"
    >
      <button
        type="button"
        className={cn(
          'flex w-full min-w-0 items-end gap-1 py-1 pr-2.5 pl-3 text-left hover:text-text',
          isNumber(type) && 'justify-end text-right',
        )}
        title={about.join(' · ')}
        onClick={onSort}
      >
        <span className="min-w-0 break-words">{name}</span>
        {sort !== null && <Arrow size={12} className="mb-0.5 shrink-0 text-accent" aria-hidden="true" />}
      </button>
      <span
        role="separator"
        aria-orientation="vertical"
        aria-label={`Width of ${name}`}
        aria-valuenow={width}
        aria-valuemin={WIDTH_MIN_PX}
        aria-valuemax={WIDTH_DRAGGED_MAX_PX}
        tabIndex={0}
        title="Drag, or use the arrow keys; double click for the width of what is in it"
        className="absolute inset-y-0 right-0 w-2 cursor-col-resize touch-none border-r border-line hover:border-accent focus-visible:border-accent"
        onPointerDown={drag}
        onDoubleClick={() => onWidth(null)}
        onKeyDown={event => {
          if (event.key === 'ArrowLeft') onWidth(bounded(width - STEP_PX));
          else if (event.key === 'ArrowRight') onWidth(bounded(width + STEP_PX));
          else if (event.key === 'Home') onWidth(null);
          else return;
          event.preventDefault();
          event.stopPropagation();
        }}
      />
    </span>
  );
}

interface BelowProps {
  columns: readonly MeantColumn[];
  rows: readonly Row[];
  sort: Sort | null;
  truncated: boolean;
  chosen: { row: Row; column: MeantColumn } | null;
  cursor: { row: number } | null;
}

/** Which cell is chosen, what can be copied, and how far an order goes. */
function Below({ columns, rows, sort, truncated, chosen, cursor }: BelowProps) {
  const [copied, setCopied] = useState('');
  const copy = async (what: string, text: string) => {
    setCopied((await copyText(text)) ? `${what} copied` : 'The browser does not allow copying');
  };
  return (
    <div className="flex min-h-8 flex-wrap items-center gap-x-2 border-t border-line px-2 text-label text-muted">
      {sort !== null && truncated && (
        <span role="status" data-sorted="part">
          Sorted within the {formatNumber(rows.length)} rows loaded; ORDER BY in the query sorts all.
        </span>
      )}
      {chosen !== null && cursor !== null && (
        <span className="min-w-0 flex-1 truncate">
          row {formatNumber(cursor.row + 1)} · {chosen.column.name}:{' '}
          <span className="text-text select-text">
            {cellOf(chosen.row[chosen.column.name], chosen.column).text}
          </span>
        </span>
      )}
      <span className="ml-auto flex items-center gap-1">
        <span role="status">{copied}</span>
        {chosen !== null && (
          <>
            <Button
              kind="quiet"
              className="h-6"
              title="Ctrl or Cmd + C"
              onClick={() => void copy('Cell', plainOf(chosen.row[chosen.column.name]))}
            >
              Copy cell
            </Button>
            <Button
              kind="quiet"
              className="h-6"
              title="Ctrl or Cmd + Shift + C"
              onClick={() => void copy('Row', tsvOf(columns, [chosen.row], false))}
            >
              Copy row
            </Button>
          </>
        )}
        <Button
          kind="quiet"
          className="h-6"
          title="With a head, tab-separated, as spreadsheets take it"
          onClick={() => void copy(rowsOf(rows.length), tsvOf(columns, rows))}
        >
          Copy all
        </Button>
      </span>
    </div>
  );
}

/** How wide columns are for what is in them. They only grow while rows are live, so that nothing jumps. */
function useWidths(columns: readonly MeantColumn[], rows: readonly Row[]): number[] {
  const shape = columns.map(({ name, type }) => `${name} ${type}`).join('\n');
  const before = useRef<{ shape: string; widths: number[] }>({ shape: '', widths: [] });
  return useMemo(() => {
    const longest = longestOf(columns, rows);
    const widths = columns.map((column, at) => {
      const { name } = column;
      const kept = before.current.shape === shape ? (before.current.widths[at] ?? 0) : 0;
      const content = textWidth(longest[at] ?? '', 13) + PADDING_PX;
      const head = textWidth(name, 12) + PADDING_PX + HEADER_PX;
      // Times are never cut.
      const most = isTime(column) ? content : WIDTH_MAX_PX;
      return Math.ceil(
        Math.max(kept, Math.min(most, Math.max(WIDTH_MIN_PX, content)), Math.min(WIDTH_MAX_PX, head)),
      );
    });
    before.current = { shape, widths };
    return widths;
  }, [columns, rows, shape]);
}

let canvas: CanvasRenderingContext2D | null | undefined;

function textWidth(text: string, size_px: number): number {
  if (canvas === undefined) canvas = document.createElement('canvas').getContext('2d');
  if (canvas == null) return (text.length * CHARACTER_PX * size_px) / 13;
  canvas.font = `${size_px}px "IBM Plex Sans", system-ui, sans-serif`;
  // Digits of equal width are a little wider than those the canvas measures.
  return canvas.measureText(text.replace(/\d/g, '0')).width;
}

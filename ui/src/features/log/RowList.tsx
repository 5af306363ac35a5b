/**
 * A list of rows of one fixed height, of which only those in sight are elements.
 *
 * The height of the whole is known without drawing it, so nothing jumps. A list that is followed always
 * shows its top; leaving the top is told to the owner, who then holds the rows still.
 */
import { useEffect, useRef, useState } from 'react';
import type { TailRow } from '../../api/tail';
import { formatNumber, formatTime, MISSING, textOf } from '../../shared/format';
import { useMedia } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { toneOf } from './list';

const ROW_PX = 22;
/** On a phone a record takes two lines. */
const NARROW_ROW_PX = 42;
const BEYOND_SIGHT = 6;

interface RowListProps {
  rows: readonly TailRow[];
  held: boolean;
  onLeaveTop(): void;
  onReachTop(): void;
}

export function RowList({ rows, held, onLeaveTop, onReachTop }: RowListProps) {
  const element = useRef<HTMLDivElement>(null);
  const [sight, setSight] = useState({ top: 0, height: 0 });
  const row_px = useMedia('(max-width: 899px)') ? NARROW_ROW_PX : ROW_PX;

  useEffect(() => {
    const list = element.current;
    if (list === null) return;
    const resized = new ResizeObserver(() => setSight({ top: list.scrollTop, height: list.clientHeight }));
    resized.observe(list);
    return () => resized.disconnect();
  }, []);

  useEffect(() => {
    if (!held && element.current !== null) element.current.scrollTop = 0;
  }, [held]);

  const first = Math.max(0, Math.floor(sight.top / row_px) - BEYOND_SIGHT);
  const last = Math.ceil((sight.top + sight.height) / row_px) + BEYOND_SIGHT;
  return (
    <section
      className="log-list"
      ref={element}
      aria-label="Records, newest first"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard.
      tabIndex={0}
      onScroll={({ currentTarget: { scrollTop, clientHeight } }) => {
        setSight({ top: scrollTop, height: clientHeight });
        if (scrollTop > 0) onLeaveTop();
        else onReachTop();
      }}
    >
      <div className="log-rows" style={{ height: rows.length * row_px }}>
        {rows.slice(first, last).map((row, index) => (
          <LogLine key={row.seq} row={row} top={(first + index) * row_px} height={row_px} />
        ))}
      </div>
    </section>
  );
}

function LogLine({ row, top, height }: { row: TailRow; top: number; height: number }) {
  return (
    <div className="log-line mono" style={{ top, height }} title={row.message ?? undefined}>
      <Mark tone={toneOf(row.level)} word={(row.level ?? MISSING).toUpperCase()} />
      <span className="log-time">{formatTime(row.timestamp, 'ms')}</span>
      <span className="log-ip">{textOf(row.ip)}</span>
      <span className="log-endpoint">
        <span className="muted">{textOf(row.method)}</span> {textOf(row.endpoint)}
      </span>
      <span
        className="log-status"
        data-class={row.status === null ? undefined : Math.floor(row.status / 100)}
      >
        {textOf(row.status)}
      </span>
      <span className="log-ms">
        {formatNumber(row.responseTime)} <span className="muted">ms</span>
      </span>
      <span className="log-message">{row.message}</span>
    </div>
  );
}

/**
 * The newest records, a few of them, and what was left out. The whole log is a page of its own.
 */

import { useRef } from 'react';
import type { LogRow } from '../../api/wire';
import { formatNumber } from '../../shared/format';
import { useFrozen, useLastFresh, useLive, useTail, useToday } from '../../shared/live';
import { useLogColumns } from '../../shared/logcolumns';
import { defaultLines, LINE_GRID, LogLine, useLineStyle } from '../../shared/logline';
import { useGo } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { panelState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';

const LINES = 6;

export function TailStrip() {
  const go = useGo();
  const today = useToday();
  const log = useLogColumns();
  const lines = log ? defaultLines(log) : [];
  const ring = useTail('', log?.shown.toSorted().join() ?? '');
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const newest = newestOf(ring.counts.received, number => ring.read(number));
  const held = useRef(newest);
  if (!frozen) held.current = newest;
  const { matched, dropped } = ring.counts;
  const rows = held.current;
  const style = useLineStyle(lines, log?.has_level === true, rows.length, at => rows[at] ?? null);
  return (
    <Panel
      title="Live log"
      className="shrink-0"
      state={panelState(link, ring.where === null ? null : ring.length, asOf, frozen)}
      empty="No record has arrived since this page was opened."
      aside={
        <>
          <span>
            shown {formatNumber(ring.counts.received)} of {formatNumber(matched)}
            {dropped > 0 && <span className="text-warn"> · {formatNumber(dropped)} sampled out</span>}
          </span>
          <Button kind="quiet" className="h-6" onClick={() => go({}, '/logs')}>
            Open Logs
          </Button>
        </>
      }
    >
      <ol className="px-3 pb-2 font-mono text-label" style={{ height: LINES * 20 + 8, ...style }}>
        {rows.map(row => (
          <li key={row.id} className={cn(LINE_GRID, 'h-5')}>
            <LogLine row={row} columns={lines} hasLevel={log?.has_level === true} today={today} />
          </li>
        ))}
      </ol>
    </Panel>
  );
}

function newestOf(received: number, read: (number: number) => LogRow | null): LogRow[] {
  const rows: LogRow[] = [];
  for (let number = received; number > 0 && rows.length < LINES; number--) {
    const row = read(number);
    if (row === null) break;
    rows.push(row);
  }
  return rows;
}

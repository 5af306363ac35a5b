/** The newest records of a fixed range, as they are stored. */
import { useQuery } from '@tanstack/react-query';
import { answerOf, api } from '../../api/client';
import type { LogRow } from '../../api/wire';
import { useToday } from '../../shared/live';
import { useLogColumns } from '../../shared/logcolumns';
import { defaultLines, LINE_GRID, LogLine, useLineStyle } from '../../shared/logline';
import { useGo, useSpan } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { answerState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';

const SPAN_EVERY_MS = 30_000;
const LINES = 6;

export function RangeLog() {
  const go = useGo();
  const today = useToday();
  const { from, to } = useSpan(SPAN_EVERY_MS);
  const asked = useQuery({
    queryKey: ['newest of range', from, to],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/logs', {
          params: { query: { from: String(from), to: String(to), limit: String(LINES) } },
          signal,
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const log = useLogColumns();
  const lines = log ? defaultLines(log) : [];
  const rows = (asked.data?.rows ?? []) as unknown as LogRow[];
  const style = useLineStyle(lines, log?.has_level === true, rows.length, at => rows[at] ?? null);
  return (
    <Panel
      title="Newest records of the range"
      className="shrink-0"
      state={answerState(asked, asked.data === undefined ? null : rows.length)}
      empty="No stored records in this range."
      onRetry={() => void asked.refetch()}
      aside={
        <Button kind="quiet" className="h-6" onClick={() => go({ past: true }, '/logs')}>
          Open in Logs
        </Button>
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

/** The answer to a query: rows, a chart, and how it was computed. */
import { useMemo, useRef } from 'react';
import type { Row, Schemas } from '../../api/wire';
import { formatNumber } from '../../shared/format';
import { useLive, useView } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { part } from '../../shared/part';
import type { ChartChoice } from '../../shared/result/choice';
import { meantOf } from '../../shared/result/columns';
import type { Shown } from '../../shared/result/shown';
import { cn } from '../../shared/ui/cn';
import { Tabs } from '../../shared/ui/tabs';
import type { Run } from './machine';

const Grid = part(async () => (await import('../../shared/result/Grid')).Grid);
const ResultChart = part(async () => (await import('../../shared/result/ResultChart')).ResultChart);
const ExportMenu = part(async () => (await import('./ExportMenu')).ExportMenu);
const Plan = part(async () => (await import('./Plan')).Plan);

interface AnswerProps {
  run: Run;
  followed: string | null;
  catalog: Schemas['Tables'] | undefined;
  tab: string;
  onTab: (tab: string) => void;
  choice: ChartChoice;
  onChoice: (choice: ChartChoice) => void;
  statement: string;
}

export function Answer({ run, followed, catalog, tab, onTab, choice, onChoice, statement }: AnswerProps) {
  const live = useView(followed);
  const kept = useRef<Shown | null>(null);
  const answer = run.status === 'done' ? run.answer : null;
  const columns = live?.snapshot.columns;
  const meant = useMemo(
    () => (columns === undefined || followed === null ? null : meantOf(columns, followed, catalog)),
    [columns, followed, catalog],
  );
  if (live !== null && meant !== null)
    kept.current = { of: statement, columns: meant, rows: live.rows, partial: false, truncated: false };
  else if (answer !== null && kept.current?.rows !== answer.rows) {
    const { columns, rows, partial, truncated } = answer;
    kept.current = { of: statement, columns, rows: rows as Row[], partial, truncated };
  }
  const data = kept.current;
  // What is kept is never taken for the answer to something else.
  const earlier = data !== null && followed === null && data.of !== statement ? data.of : null;
  const tabs = [
    {
      value: 'rows',
      label: `Rows${data === null ? '' : ` ${formatNumber(data.rows.length)}${data.partial ? ' of more' : ''}`}`,
    },
    { value: 'chart', label: 'Chart' },
    { value: 'plan', label: 'Plan' },
  ];
  const shownTab = tabs.some(({ value }) => value === tab) ? tab : 'rows';
  return (
    <section
      aria-label="Answer"
      className="flex min-h-80 flex-1 flex-col overflow-hidden rounded border border-line bg-panel"
      data-live={followed ?? undefined}
    >
      <Tabs
        value={shownTab}
        onChange={onTab}
        label="Answer"
        tabs={tabs}
        aside={
          <>
            {followed !== null && <Changes view={followed} />}
            <ExportMenu statement={statement} partial={data?.partial && earlier === null ? data : null} />
          </>
        }
      >
        {earlier !== null && shownTab !== 'plan' && <Earlier statement={earlier} run={run} />}
        <div
          className={cn(
            'min-h-0 flex-1 basis-72 overflow-hidden',
            earlier !== null && shownTab !== 'plan' && 'opacity-60',
          )}
        >
          {shownTab === 'plan' ? (
            <Plan statement={statement} />
          ) : data === null ? (
            <p className="p-3 text-muted">
              {run.status === 'failed' ? 'No rows: the query failed.' : 'Run a query to see its rows.'}
            </p>
          ) : data.rows.length === 0 ? (
            <p className="p-3 text-muted">
              {data.partial
                ? 'The query was stopped before it returned a row; it may still have some.'
                : 'No results. The query succeeded and returned no rows.'}
            </p>
          ) : shownTab === 'chart' ? (
            <ResultChart columns={data.columns} rows={data.rows} choice={choice} onChoice={onChoice} />
          ) : (
            <Grid
              key={data.of}
              columns={data.columns}
              rows={data.rows}
              live={followed !== null}
              truncated={data.truncated || data.partial}
            />
          )}
        </div>
      </Tabs>
    </section>
  );
}

/** That the rows below are those of an earlier query, and what became of the newest. */
function Earlier({ statement, run }: { statement: string; run: Run }) {
  const became =
    run.status === 'cancelled'
      ? 'It was cancelled before it had an answer.'
      : run.status === 'failed'
        ? 'It failed.'
        : 'It is still running.';
  return (
    <p role="status" className="truncate border-b border-line px-3 py-1 text-muted" data-earlier={run.status}>
      {became} Showing the rows of the previous query: <code className="font-mono">{statement}</code>
    </p>
  );
}

function Changes({ view }: { view: string }) {
  const changed = useLive(state => state.changed.get(view));
  return (
    <span data-changes={changed?.frames ?? 0}>
      <Mark tone="live" word="live" />
      {changed && ` · newest change +${changed.added} −${changed.removed}`}
    </span>
  );
}

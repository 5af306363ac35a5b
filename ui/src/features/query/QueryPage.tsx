/**
 * Ask in SQL, or by clicking: over live views, over the lake, or both. What a view shows as it is can be followed live.
 */
import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { answerOf, api } from '../../api/client';
import type { Row } from '../../api/wire';
import { formatAge, formatNumber, formatTime } from '../../shared/format';
import { useLive, useNow, useTopic, useView } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { useGo, useUrl } from '../../shared/nav';
import { part } from '../../shared/part';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import { Dialog } from '../../shared/ui/dialog';
import { Tabs } from '../../shared/ui/tabs';
import { Catalog } from './Catalog';
import { Editor } from './Editor';
import { rowsOf, type Shown } from './shown';
import { statementAt, viewShownBy } from './statement';
import { type Run, useRun } from './useRun';

const Results = part(async () => (await import('./Results')).Results);
const ExportMenu = part(async () => (await import('./ExportMenu')).ExportMenu);
const Plan = part(async () => (await import('./Plan')).Plan);
const ResultChart = part(async () => (await import('./ResultChart')).ResultChart);
const Builder = part(async () => (await import('./Builder')).Builder);

const FIRST_VIEW = 'top_endpoints';
const FIRST = `SELECT * FROM ${FIRST_VIEW}`;

function firstOf(views: readonly string[]): string {
  const [other] = views;
  return other === undefined || views.includes(FIRST_VIEW) ? FIRST : `SELECT * FROM ${other}`;
}

/** The address follows the editor after a pause in typing. */
const SETTLE_MS = 400;

export function QueryPage() {
  const { q, tab = 'rows' } = useUrl();
  const go = useGo();
  const [text, setText] = useState(q ?? FIRST);
  const [building, setBuilding] = useState(false);
  const [followed, setFollowed] = useState<string | null>(null);
  const { run, start, cancel } = useRun();
  const { data: catalog } = useQuery({
    queryKey: ['tables'],
    queryFn: () => answerOf(api.GET('/api/v1/tables')),
  });
  const views = useMemo(
    () => (catalog?.tables ?? []).filter(({ kind }) => kind === 'live view').map(({ name }) => name),
    [catalog],
  );

  const typed = useRef(text);
  typed.current = text;
  /** What this page wrote into the address itself. It comes back late, when the person may have typed on. */
  const written = useRef(q);
  // A query that comes with the address is shown and, since it only reads, run.
  useEffect(() => {
    if (q === undefined || q === typed.current || q === written.current) return;
    written.current = q;
    setText(q);
    setFollowed(null);
    void start(q, 0);
  }, [q, start]);
  const begun = useRef(false);
  // Once: the query the page was opened with, else a view the dataflow has.
  useEffect(() => {
    // The address follows the editor, so the query to begin with may have come from there.
    const given = q === FIRST ? undefined : q;
    if (begun.current || (given === undefined && catalog === undefined)) return;
    begun.current = true;
    const first = given ?? firstOf(views);
    if (typed.current !== (given ?? FIRST)) return;
    setText(first);
    void start(statementAt(first, 0, 0).text, 0);
  }, [q, catalog, views, start]);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (text === q) return;
      written.current = text;
      go({ q: text === '' ? undefined : text } as object);
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [text, q, go]);

  const runIt = useCallback(
    (statement: string, from: number) => {
      setFollowed(null);
      void start(statement, from);
    },
    [start],
  );
  const pick = (query: string) => {
    setText(query);
    runIt(query, 0);
  };
  const whole = statementAt(text, 0, 0);
  const statement = run.status === 'idle' ? whole.text : run.statement;
  const shown = viewShownBy(statement, views);
  const valuesOf = useCallback(async (column: string) => {
    const answer = await answerOf(api.GET('/api/v1/values/{column}', { params: { path: { column } } })).catch(
      () => null,
    );
    return answer?.values.map(({ value }) => value) ?? [];
  }, []);
  // One object per refusal: the same one again is no new mark.
  const error = useMemo(() => {
    if (run.status !== 'failed') return null;
    const { statement, from } = run;
    const { message, line, column } = run.error;
    return { message, line, column, from, statement };
  }, [run]);

  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full md:flex-row">
      <Catalog catalog={catalog} text={text} onPick={pick} />
      <div className="flex min-h-0 min-w-0 flex-1 flex-col gap-3">
        <section
          aria-label="Query"
          className="flex h-56 shrink-0 flex-col rounded border border-line bg-panel"
        >
          <div className="min-h-0 flex-1">
            <Editor
              text={text}
              onChange={setText}
              onRun={runIt}
              catalog={catalog}
              valuesOf={valuesOf}
              error={error}
            />
          </div>
          <div className="flex flex-wrap items-center gap-2 border-t border-line px-2 py-1.5">
            {run.status === 'running' || run.status === 'stopping' ? (
              <Button
                kind="main"
                disabled={run.status === 'stopping'}
                onClick={() => void cancel()}
                title="Stop, and keep the rows received so far"
              >
                Cancel
              </Button>
            ) : (
              <Button
                kind="main"
                onClick={() => runIt(whole.text, whole.from)}
                title="Ctrl or Cmd + Enter: the statement under the cursor"
              >
                Run
              </Button>
            )}
            <Button
              disabled={shown === null}
              aria-pressed={followed !== null}
              title={
                shown === null ? 'Only a live view can be followed: SELECT * FROM view' : 'Keep the rows live'
              }
              onClick={() => setFollowed(followed === null ? shown : null)}
            >
              Live
            </Button>
            <Button onClick={() => setBuilding(true)} disabled={catalog === undefined}>
              Builder
            </Button>
            <RunNote run={run} />
          </div>
        </section>
        <Answer
          run={run}
          followed={followed}
          tab={tab}
          onTab={next => go({ tab: next })}
          statement={statement}
        />
      </div>
      <Dialog
        open={building}
        onClose={() => setBuilding(false)}
        title="Query builder"
        className="w-[min(94vw,820px)]"
      >
        {catalog && (
          <Builder
            catalog={catalog}
            onUse={(sql, now) => {
              setBuilding(false);
              if (now) pick(sql);
              else setText(sql);
            }}
          />
        )}
      </Dialog>
    </div>
  );
}

function RunNote({ run }: { run: Run }) {
  const now = useNow(200);
  const offset = useLive(state => state.clockOffset_ms);
  switch (run.status) {
    case 'idle':
      return null;
    case 'running':
      return <span role="status">running for {formatAge(now - offset - run.began_ms)}</span>;
    case 'stopping':
      return <span role="status">stopping…</span>;
    case 'cancelled':
      return (
        <span role="status" data-run="cancelled">
          <Mark tone="quiet" word={`cancelled after ${formatAge(run.after_ms)}`} />
        </span>
      );
    case 'failed':
      return (
        <span role="alert" className="min-w-0 flex-1">
          <Mark tone="critical" word="refused" />{' '}
          <span className="text-critical">
            {run.error.line !== null && `line ${run.error.line}, column ${run.error.column}: `}
            {run.error.message}
          </span>{' '}
          <span className="text-muted">{run.error.hint}</span>
        </span>
      );
    case 'done':
      if (run.answer.partial)
        return (
          <span role="status" data-run="partial">
            <Mark
              tone="warn"
              word={`${run.answer.partial_reason === 'timed_out' ? 'out of time' : 'stopped'}: ${rowsOf(run.answer.rows.length)} so far, not all`}
            />
            <span className="text-muted"> · after {formatAge(run.answer.elapsed_ms)}</span>
          </span>
        );
      return (
        <span role="status" className="text-muted" data-run="done">
          {rowsOf(run.answer.rows.length)} ·{' '}
          {formatNumber(run.answer.elapsed_ms, run.answer.elapsed_ms < 10 ? 1 : 0)} ms · epoch{' '}
          {formatTime(run.answer.epoch, 'ms')}
          {run.answer.truncated && <span className="text-warn"> · truncated; export for more</span>}
        </span>
      );
  }
}

interface AnswerProps {
  run: Run;
  followed: string | null;
  tab: string;
  onTab: (tab: string) => void;
  statement: string;
}

function Answer({ run, followed, tab, onTab, statement }: AnswerProps) {
  const live = useView(followed);
  useTopic(followed === null ? null : `view:${followed}`);
  const kept = useRef<Shown | null>(null);
  if (live !== null)
    kept.current = { of: statement, columns: live.snapshot.columns, rows: live.rows, partial: false };
  else if (run.status === 'done') {
    const { columns, rows, partial } = run.answer;
    kept.current = { of: run.statement, columns, rows: rows as Row[], partial };
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
                : 'The query succeeded and returned no rows.'}
            </p>
          ) : shownTab === 'chart' ? (
            <ResultChart columns={data.columns} rows={data.rows} />
          ) : (
            <Results columns={data.columns} rows={data.rows} live={followed !== null} />
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

/** One tab: its editor, what can be done with the text, and the answer. */
import { useCallback, useMemo, useState } from 'react';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { ChangeButton } from '../../shared/change';
import { formatAge, formatNumber, formatTime } from '../../shared/format';
import { useLive, useNow } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { useGo, useUrl } from '../../shared/nav';
import { part } from '../../shared/part';
import { choiceText, readChoice } from '../../shared/result/choice';
import { rowsOf } from '../../shared/result/shown';
import { statementAt, viewShownBy } from '../../shared/result/statement';
import { useMayChange } from '../../shared/session';
import { Button } from '../../shared/ui/button';
import { Dialog } from '../../shared/ui/dialog';
import { Answer } from './Answer';
import { Editor } from './Editor';
import { type Event, fixesOf, markOf, type Run, statementOf, step } from './machine';
import { type QueryTab, titleOf } from './tabs';

const Builder = part(async () => (await import('./Builder')).Builder);
const PinDialog = part(async () => (await import('./PinDialog')).PinDialog);

interface WorkspaceProps {
  tab: QueryTab;
  catalog: Schemas['Tables'] | undefined;
  send: (event: Event) => void;
  onRun: (statement: string, from: number) => void;
  onCancel: () => void;
  /** Puts a text into the editor and runs it. */
  onShow: (text: string) => void;
}

export function Workspace({ tab, catalog, send, onRun, onCancel, onShow }: WorkspaceProps) {
  const { tab: answerTab = 'rows', chart } = useUrl();
  const go = useGo();
  const [building, setBuilding] = useState(false);
  const [pinning, setPinning] = useState(false);
  const mayChange = useMayChange();
  const [followed, setFollowed] = useState<string | null>(null);
  const { state } = tab;
  const { text, run } = state;
  const views = useMemo(
    () => (catalog?.tables ?? []).filter(({ kind }) => kind === 'live view').map(({ name }) => name),
    [catalog],
  );
  const whole = statementAt(text, 0, 0);
  const statement = statementOf(state) ?? whole.text;
  const shown = viewShownBy(statement, views);
  const choice = useMemo(() => readChoice(chart), [chart]);
  const valuesOf = useCallback(async (column: string) => {
    const answer = await answerOf(api.GET('/api/v1/values/{column}', { params: { path: { column } } })).catch(
      () => null,
    );
    return answer?.values.map(({ value }) => value) ?? [];
  }, []);
  const runIt = (statement: string, from: number) => {
    setFollowed(null);
    onRun(statement, from);
  };
  const fix = (candidate: string) => {
    const mark = markOf(state);
    if (mark === null) return;
    const fixed = step(state, { type: 'fixed', candidate });
    send({ type: 'fixed', candidate });
    const next = statementAt(fixed.text, mark.from, mark.from);
    runIt(next.text, next.from);
  };
  const isRunning = run.status === 'running' || run.status === 'stopping';
  return (
    <div className="flex min-h-0 min-w-0 flex-1 flex-col gap-3">
      <section aria-label="Query" className="flex h-56 shrink-0 flex-col rounded border border-line bg-panel">
        <div className="min-h-0 flex-1">
          <Editor
            state={state}
            onEdit={(changes, text) => send({ type: 'edited', changes, text })}
            onRun={runIt}
            catalog={catalog}
            valuesOf={valuesOf}
          />
        </div>
        <div className="flex flex-wrap items-center gap-2 border-t border-line px-2 py-1.5">
          {isRunning ? (
            <Button
              kind="main"
              disabled={run.status === 'stopping'}
              onClick={onCancel}
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
          <ChangeButton
            onClick={() => setPinning(true)}
            disabled={statement.trim() === '' || run.status === 'failed'}
            title="Put this query with its chart on a board"
          >
            Pin
          </ChangeButton>
          <RunNote run={run} fixes={fixesOf(state)} onFix={fix} />
        </div>
      </section>
      <Answer
        run={run}
        followed={followed}
        catalog={catalog}
        tab={answerTab}
        onTab={next => go({ tab: next })}
        choice={choice}
        onChoice={next => go({ chart: choiceText(next) } as object)}
        statement={statement}
      />
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
              if (now) onShow(sql);
              else send({ type: 'replaced', text: sql });
            }}
          />
        )}
      </Dialog>
      {pinning && mayChange && (
        <PinDialog
          open
          onClose={() => setPinning(false)}
          title={titleOf(tab)}
          statement={statement}
          choice={answerTab === 'chart' || choice.kind !== undefined ? choice : { kind: 'table' }}
        />
      )}
    </div>
  );
}

interface RunNoteProps {
  run: Run;
  fixes: readonly string[];
  onFix: (candidate: string) => void;
}

function RunNote({ run, fixes, onFix }: RunNoteProps) {
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
    case 'failed': {
      const { message, hint, line, column } = run.refusal;
      return (
        <span role="alert" className="flex min-w-0 flex-1 flex-wrap items-center gap-x-2 gap-y-1">
          <Mark tone="critical" word="failed" />
          <span className="min-w-0 text-critical">
            {line !== null && line > 1 && `Line ${line}, column ${column}: `}
            <Said text={sentence(message)} />
          </span>
          {fixes.map(candidate => (
            <Button key={candidate} className="h-6" onClick={() => onFix(candidate)}>
              Use <code className="font-mono">{candidate}</code>
            </Button>
          ))}
          {hint !== '' && <span className="text-muted">{sentence(hint)}</span>}
        </span>
      );
    }
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

/** Names are between backticks. */
function Said({ text }: { text: string }) {
  return text.split('`').map((part, at) =>
    at % 2 === 1 ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: the place is the key.
      <code key={at} className="font-mono">
        {part}
      </code>
    ) : (
      part
    ),
  );
}

/** With a capital letter. */
function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

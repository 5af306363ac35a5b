/**
 * Records that could not be decoded: why, how many, since when, and as they came. With the definition mended they can be tried again: first to
 * see how many decode, then to have the next start make records of them, or a restart right now.
 */
import { useId, useState } from 'react';
import type { Schemas } from '../../api/wire';
import { ChangeButton } from '../../shared/change';
import { copyText } from '../../shared/copy';
import { DocLink } from '../../shared/docs';
import { formatDateTime, formatNumber, quantifyBytes } from '../../shared/format';
import { useLive } from '../../shared/live';
import { useGo, useUrl } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { SqlReceipt } from '../../shared/receipt';
import { useMayChange } from '../../shared/session';
import { answerState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import { zoneName } from '../../shared/zone';
import {
  hexLines,
  type Kind,
  type Restart,
  useDeadLetters,
  useLetters,
  useRestart,
  useRetry,
  useWithdraw,
  visible,
} from './letters';
import { shareOf } from './Status';

export function DeadLetters() {
  const query = useDeadLetters();
  const restart = useRestart();
  const { data } = query;
  const { node } = useUrl();
  const chosen = data?.kinds.find(kind => keyOf(kind) === node) ?? null;
  return (
    <div className="flex flex-col gap-3">
      <Panel
        title="Reasons"
        state={answerState(query, data === undefined ? null : data.kinds.length + data.requests.length)}
        empty={
          <>
            No dead letters: every record was decoded.{' '}
            <DocLink chapter="dead-letters">What becomes of one that is not</DocLink>
          </>
        }
        onRetry={() => void query.refetch()}
        aside={data && <Counted letters={data} />}
      >
        {data && (
          <>
            {restart.error && (
              <p className="mx-3 mb-3">
                <Failure error={restart.error} />
              </p>
            )}
            <Requests requests={data.requests} restart={restart} />
            <Kinds kinds={data.kinds} chosen={chosen} all={data.letters} restart={restart} />
            {data.truncated && (
              <p className="px-3 pb-3 text-muted">
                Only the {data.kinds.length} most frequent reasons are listed.
              </p>
            )}
          </>
        )}
      </Panel>
      {data !== undefined && data.kinds.length > 0 && (
        <Letters key={chosen ? keyOf(chosen) : ''} chosen={chosen} />
      )}
    </div>
  );
}

/** Short enough for an address. */
function keyOf({ source, kind }: Pick<Kind, 'source' | 'kind'>): string {
  return `${source}: ${kind}`.slice(0, 200);
}

function Counted({ letters }: { letters: Schemas['DeadLetters'] }) {
  const records = useLive(state => state.pipeline?.sources.reduce((sum, it) => sum + it.records, 0) ?? 0);
  return (
    <>
      <span>
        {formatNumber(letters.letters)} {letters.letters === 1 ? 'dead letter' : 'dead letters'}
        {letters.letters > 0 && `, ${shareOf(letters.letters, letters.letters + records)} of all records`}
      </span>
      {letters.sql !== '' && <SqlReceipt sql={letters.sql} />}
    </>
  );
}

function Requests({
  requests,
  restart,
}: {
  requests: readonly Schemas['ReplayRequest'][];
  restart: Restart;
}) {
  const withdraw = useWithdraw();
  if (requests.length === 0) return null;
  return (
    <div className="mx-3 mb-3 rounded border border-accent p-2" data-requests={requests.length}>
      <p>
        <b className="font-medium">Replay at the next start.</b> Letters that decode then become records with
        their old partition and offset, each exactly once, and all views are filled again.
      </p>
      <div className="mt-1 flex flex-wrap items-center gap-2">
        <RestartButton restart={restart} label="Reprocess now" onClick={() => restart.mutate()} />
      </div>
      <ul className="mt-1">
        {requests.map(({ id, source, kind, reason, asked }) => (
          <li key={id} className="flex flex-wrap items-center gap-2">
            <span className="min-w-0 break-words">
              {source ?? 'all sources'}
              {(kind ?? reason) && `: ${kind ?? reason}`}{' '}
              <span className="text-muted">
                requested {formatDateTime(asked)} {zoneName()}
              </span>
            </span>
            <ChangeButton
              kind="quiet"
              className="h-6"
              onClick={() => withdraw.mutate(id)}
              disabled={withdraw.isPending}
            >
              Cancel
            </ChangeButton>
          </li>
        ))}
      </ul>
      {withdraw.error && <Failure error={withdraw.error} />}
    </div>
  );
}

function Kinds({
  kinds,
  chosen,
  all,
  restart,
}: {
  kinds: readonly Kind[];
  chosen: Kind | null;
  all: number;
  restart: Restart;
}) {
  const go = useGo();
  if (kinds.length === 0) return null;
  return (
    <ul>
      {kinds.map(kind => {
        const isChosen = kind === chosen;
        return (
          <li
            key={keyOf(kind)}
            data-kind={kind.kind}
            className={cn('border-t border-line px-3 py-2', isChosen && 'bg-hover')}
          >
            <div className="flex flex-wrap items-baseline gap-x-4 gap-y-1">
              <span className="sm:w-28 sm:text-right">
                <b className="font-medium">{formatNumber(kind.letters)}</b>{' '}
                <span className="text-muted">{shareOf(kind.letters, all)}</span>
              </span>
              <button
                type="button"
                aria-pressed={isChosen}
                className="min-w-0 flex-1 basis-72 text-left break-words hover:underline"
                onClick={() => go({ node: isChosen ? undefined : keyOf(kind) } as object)}
              >
                {kind.example}
              </button>
              <span className="text-muted">
                {kind.source} · first {formatDateTime(kind.first)} · last {formatDateTime(kind.last)}{' '}
                {zoneName()}
              </span>
            </div>
            <Retry kind={kind} restart={restart} />
          </li>
        );
      })}
    </ul>
  );
}

/** A dry run tells how many decode now; only then there is something to replay. */
function Retry({ kind, restart }: { kind: Kind; restart: Restart }) {
  const retry = useRetry(kind);
  const { data, error, isPending, variables } = retry;
  return (
    <div className="mt-1 flex flex-wrap items-center gap-2 pl-0 sm:pl-32" data-retry>
      <ChangeButton className="h-6" disabled={isPending} onClick={() => retry.mutate(true)}>
        {isPending && variables ? 'Decoding…' : 'Try again'}
      </ChangeButton>
      {data && (
        <span role="status">
          {data.decodable === 0
            ? `None of ${formatNumber(data.letters)} decodes by the present definition. Change the source in dataflow.sql, restart, and try again.`
            : `${formatNumber(data.decodable)} of ${formatNumber(data.letters)} decode by the present definition.`}
        </span>
      )}
      {data?.decodable === 0 && (
        <RestartButton restart={restart} label="Restart" onClick={() => restart.mutate()} />
      )}
      {data && data.decodable > 0 && data.request == null && (
        <>
          <ChangeButton className="h-6" disabled={isPending} onClick={() => retry.mutate(false)}>
            Replay at the next start
          </ChangeButton>
          <RestartButton
            restart={restart}
            label="Reprocess now"
            onClick={() => retry.mutate(false, { onSuccess: () => restart.mutate() })}
          />
        </>
      )}
      {data?.request != null && <span className="text-muted">Requested: the next start does it.</span>}
      {error && <Failure error={error} />}
    </div>
  );
}

/** What only a start does, now, for those who may; the page connects again by itself. */
function RestartButton({
  restart: { isPending, isSuccess },
  label,
  onClick,
}: {
  restart: Restart;
  label: string;
  onClick: () => void;
}) {
  const id = useId();
  if (!useMayChange()) return null;
  const restarts = isPending || isSuccess;
  return (
    <>
      <Button kind="main" className="h-6" aria-describedby={id} disabled={restarts} onClick={onClick}>
        {restarts ? 'Restarting…' : label}
      </Button>
      <span id={id} role={restarts ? 'status' : undefined} className="text-muted">
        {restarts ? 'this page connects again by itself' : 'the pipeline restarts, which takes some seconds'}
      </span>
    </>
  );
}

function Failure({ error }: { error: Error }) {
  const hint = 'hint' in error ? String(error.hint) : '';
  return (
    <span role="alert" className="text-critical">
      {error.message}
      {hint !== '' && <span className="text-muted">: {hint}</span>}
    </span>
  );
}

function Letters({ chosen }: { chosen: Kind | null }) {
  const query = useLetters(chosen);
  const go = useGo();
  const letters = query.data?.pages.flatMap(page => page.letters) ?? [];
  return (
    <Panel
      title="Records"
      state={answerState(query, query.data === undefined ? null : letters.length)}
      empty="No dead letters of this kind any more."
      onRetry={() => void query.refetch()}
      aside={
        chosen && (
          <Button kind="quiet" className="h-6" onClick={() => go({ node: undefined } as object)}>
            Show all reasons
          </Button>
        )
      }
    >
      <ul>
        {letters.map(letter => (
          <Letter
            key={`${letter.source}/${letter.partition}/${letter.offset}/${letter.epoch}`}
            letter={letter}
            showReason={chosen === null || chosen.example !== letter.reason}
          />
        ))}
      </ul>
      {query.hasNextPage && (
        <Button
          className="m-3"
          disabled={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          {query.isFetchingNextPage ? 'Loading…' : 'Load more'}
        </Button>
      )}
    </Panel>
  );
}

function Letter({ letter, showReason }: { letter: Schemas['DeadLetterRecord']; showReason: boolean }) {
  const [copied, setCopied] = useState(false);
  const { source, partition, offset, read, reason, text, hex, bytes, cut } = letter;
  const raw = text ?? hex ?? '';
  const { value, unit } = quantifyBytes(bytes);
  const copy = async () => {
    if (!(await copyText(raw))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <li className="border-t border-line px-3 py-2" data-letter={`${source}/${partition}/${offset}`}>
      <p className="flex flex-wrap gap-x-4 text-label text-muted">
        <span>
          {formatDateTime(read)} {zoneName()}
        </span>
        <span>
          {source} · partition {partition} · offset {offset}
        </span>
        <span>
          {value} {unit}
          {text == null && ', no UTF-8: hexadecimal'}
          {cut && ', only the beginning is shown'}
        </span>
        {raw !== '' && (
          <button type="button" className="text-accent hover:underline" onClick={() => void copy()}>
            {copied ? 'Copied' : 'Copy'}
          </button>
        )}
      </p>
      {showReason && <p className="break-words">{reason}</p>}
      <pre
        tabIndex={0}
        className="mt-1 max-h-40 overflow-auto rounded bg-ground p-2 font-mono text-label break-all whitespace-pre-wrap"
      >
        {text != null ? visible(text.replace(/\n$/, '')) : hexLines(hex ?? '')}
        {raw === '' && <span className="text-muted">no bytes</span>}
      </pre>
    </li>
  );
}

/** The proof of the newest commit: when it was proved, what was compared, and a button that proves it again. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { ChangeButton } from '../../shared/change';
import { formatAge, formatDateTime, formatNumber, formatTime } from '../../shared/format';
import { useNow } from '../../shared/live';
import { Mark, type Tone } from '../../shared/mark';
import { Panel } from '../../shared/panel';
import { Sql } from '../../shared/receipt';
import { answerState } from '../../shared/state';
import { zoneName } from '../../shared/zone';
import { proofOf } from './proof';

const KEY = ['verification'];
const AGAIN_MS = 30_000;
const RUNNING_AGAIN_MS = 1_000;

function useVerification() {
  return useQuery({
    queryKey: KEY,
    queryFn: () => answerOf(api.GET('/api/v1/verification')),
    refetchInterval: ({ state }) => (state.data?.running ? RUNNING_AGAIN_MS : AGAIN_MS),
  });
}

/** In the status line: how the newest proof ended, in a few words. */
export function Proof() {
  const { data } = useVerification();
  const now = useNow(60_000);
  if (data === undefined) return null;
  const { tone, word } = proofOf(data, now);
  return (
    <a href="#verification" className="hover:underline" data-proof={data.newest?.verdict ?? 'none'}>
      <Mark tone={tone} word={word} className="whitespace-normal" />
    </a>
  );
}

export function Verification() {
  const client = useQueryClient();
  const query = useVerification();
  const { data } = query;
  const refresh = (got?: Schemas['Verification']) => {
    if (got) client.setQueryData(KEY, got);
    void client.invalidateQueries({ queryKey: KEY });
  };
  const start = useMutation({
    mutationFn: () =>
      answerOf(api.POST('/api/v1/verification', { headers: { 'content-type': 'application/json' } })),
    onSuccess: refresh,
    onError: () => refresh(),
  });
  const cancel = useMutation({
    mutationFn: () => answerOf(api.DELETE('/api/v1/verification')),
    onSettled: () => refresh(),
  });
  const running = data?.running ?? null;
  return (
    <div id="verification">
      <Panel
        title="Verification"
        state={answerState(query, data === undefined ? null : 1)}
        empty=""
        onRetry={() => void query.refetch()}
        aside={
          data?.available &&
          (running ? (
            <ChangeButton className="h-6" onClick={() => cancel.mutate()} disabled={cancel.isPending}>
              Cancel
            </ChangeButton>
          ) : (
            <ChangeButton className="h-6" onClick={() => start.mutate()} disabled={start.isPending}>
              Verify now
            </ChangeButton>
          ))
        }
      >
        {data && (
          <div className="flex flex-col gap-2 px-3 pb-3">
            <p className="text-muted">
              Reads sources and lake again without the engine, recomputes every view, and compares. Nothing is
              changed.
            </p>
            {running && <Progress running={running} />}
            {start.error && (
              <p role="alert" className="text-critical">
                {start.error.message}
                {'hint' in start.error && `: ${String(start.error.hint)}`}
              </p>
            )}
            {data.problem && (
              <p role="alert">
                <Mark tone="warn" word="The last verification has no result:" /> {data.problem}
              </p>
            )}
            {data.newest ? (
              <Result result={data.newest} />
            ) : (
              !running && <p>This lake was not verified here yet.</p>
            )}
            <details>
              <summary className="text-muted">In a shell</summary>
              <Sql text={data.command} />
            </details>
          </div>
        )}
      </Panel>
    </div>
  );
}

function Progress({ running }: { running: Schemas['RunningVerification'] }) {
  const { checks, expected_checks, failed, last, elapsed_seconds } = running;
  const of = expected_checks == null ? '' : ` of about ${formatNumber(expected_checks)}`;
  return (
    <div role="status" data-running={checks}>
      <p>
        <Mark tone="live" word="Verifying" /> {formatNumber(checks)}
        {of} checks, {formatAge(elapsed_seconds * 1000)}
        {failed > 0 && <span className="text-critical">, {formatNumber(failed)} failed</span>}
        {last && <span className="text-muted"> · {last}</span>}
      </p>
      {expected_checks != null && (
        <progress
          className="mt-1 h-2 w-full"
          aria-label="Checks made"
          max={expected_checks}
          value={Math.min(checks, expected_checks)}
        />
      )}
    </div>
  );
}

const TONES: Record<Schemas['CheckOutcome'], Tone> = {
  holds: 'ok',
  fails: 'critical',
  unknown: 'warn',
  note: 'quiet',
};
const OUTCOMES: Record<Schemas['CheckOutcome'], string> = {
  holds: 'holds',
  fails: 'fails',
  unknown: 'cannot be told',
  note: 'note',
};

function Result({ result }: { result: Schemas['VerificationResult'] }) {
  const { commit, as_of, started, elapsed_seconds, checks } = result;
  const telling = checks.filter(({ outcome }) => outcome === 'fails' || outcome === 'unknown');
  const { tone, word } = proofOf({ newest: result }, Date.parse(result.ended));
  return (
    <>
      <p data-verdict={result.verdict}>
        <Mark tone={tone} word={word} className="font-medium whitespace-normal" />{' '}
        <span className="text-muted">
          commit {formatNumber(commit)}, records up to {formatDateTime(as_of)} {zoneName()}; started{' '}
          {formatTime(started)}, took {formatAge(elapsed_seconds * 1000)}
        </span>
      </p>
      {telling.length > 0 && <Checks checks={telling} />}
      <details>
        <summary className="text-muted">All {formatNumber(checks.length)} checks</summary>
        <Checks checks={checks} />
      </details>
    </>
  );
}

function Checks({ checks }: { checks: readonly Schemas['VerificationCheck'][] }) {
  return (
    <ul className="mt-1">
      {checks.map(({ name, subject, outcome, compared, findings, meaning }) => (
        <li key={`${name} ${subject}`} data-outcome={outcome} className="py-0.5">
          <Mark tone={TONES[outcome]} word={OUTCOMES[outcome]} /> {name} {subject}{' '}
          <span className="break-words text-muted">{compared}</span>
          {findings.map(finding => (
            <p key={finding} className="pl-6 break-words">
              {finding}
            </p>
          ))}
          {meaning && <p className="pl-6 break-words text-muted">{meaning}</p>}
        </li>
      ))}
    </ul>
  );
}

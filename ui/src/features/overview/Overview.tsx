/**
 * Is it broken, since when, and what changed: the most important thing first, then six numbers, then the charts.
 */
import { useQuery } from '@tanstack/react-query';
import { answerOf, api } from '../../api/client';
import { useKeys } from '../../shared/keys';
import { useNow } from '../../shared/live';
import { useSpan, useUrl } from '../../shared/nav';
import { type OverTime, useOver } from '../../shared/over';
import type { Page } from '../../shared/page';
import { usePage } from '../../shared/usePage';
import { Charts } from './Charts';
import { Delta, useMarks } from './Delta';
import { Explain } from './Explain';
import { Keys } from './Keys';
import type { History } from './model';
import { Panels } from './Panels';
import { RangeLog } from './RangeLog';
import { Suggestions } from './Suggestions';
import { TailStrip } from './TailStrip';
import { Tiles } from './Tiles';
import { Watch } from './useWorld';
import { Verdict } from './Verdict';
import { apart, firstMarks, type Marks } from './windows';

/** History is asked for again so often; between, the live views move the charts. */
const HISTORY_EVERY_MS = 30_000;

export function Overview() {
  const page = usePage();
  const history = useHistory(page);
  const { marks, compare } = useDelta();
  return (
    <div className="flex h-full flex-col gap-3 overflow-y-auto px-4 py-3">
      <Watch />
      <Verdict />
      {page === null ? null : marks === null ? (
        <Newest page={page} history={history} onCompare={compare} />
      ) : page.main == null ? null : (
        <Delta marks={marks} page={page} main={page.main} history={history} />
      )}
    </div>
  );
}

interface NewestProps {
  page: Page;
  history: HistoryQuery;
  onCompare: () => void;
}

function Newest({ page, history, onCompare }: NewestProps) {
  const { fixed } = useSpan(HISTORY_EVERY_MS);
  return (
    <>
      <Tiles page={page} history={history.data ?? null} />
      <div className="grid shrink-0 grid-cols-1 gap-3 md:flex-[1_0_auto] md:auto-rows-[minmax(200px,1fr)] max-md:[&>[data-state]]:max-h-[70vh] md:[&>[data-state]]:[contain:size] md:grid-cols-2 md:[&>*:last-child:nth-child(odd)]:col-span-2">
        {page.main != null && <Charts page={page} main={page.main} history={history} onCompare={onCompare} />}
        <Keys keys={page.keys} />
        <Panels page={page} />
        <Suggestions page={page} />
      </div>
      {fixed ? <RangeLog /> : <TailStrip />}
      <Explain />
    </>
  );
}

/** The marks of the address, in the Δ mode; `d` begins and ends it. */
function useDelta(): { marks: Marks | null; compare: () => void } {
  const { a, b } = useUrl();
  const { from, to } = useSpan(HISTORY_EVERY_MS);
  const now = useNow(HISTORY_EVERY_MS);
  const set = useMarks();
  const marks =
    a === undefined || b === undefined ? null : apart({ a: Date.parse(a) / 1000, b: Date.parse(b) / 1000 });
  const compare = () => set(firstMarks(from / 1000, to / 1000, now / 1000));
  useKeys({
    d: () => (marks === null ? compare() : set(null)),
    Escape: marks === null ? null : () => set(null),
  });
  return { marks, compare };
}

const DAY_MS = 86_400_000;

/** The history of the range, and with an overlay what it was so much earlier. */
function useHistory(page: Page | null) {
  const { from, to, fixed } = useSpan(HISTORY_EVERY_MS);
  const isCounted = page?.main != null;
  const now = useQuery({
    ...historyOf(from, fixed ? to : null, stepOf(to - from)),
    // A dataflow without a view that counts has none.
    enabled: isCounted,
    placeholderData: before => before,
    staleTime: fixed ? Number.POSITIVE_INFINITY : HISTORY_EVERY_MS,
  });
  const over = useOver(to);
  const before_ms = over?.before_ms ?? 0;
  const step = now.data?.step_seconds;
  const earlier = useQuery({
    ...historyOf(from - before_ms, to - before_ms, step),
    enabled: isCounted && over !== null && step !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const ghost: Ghost | null =
    over === null || earlier.data === undefined ? null : { ...over, history: earlier.data };
  return { ...now, ghost };
}

/** What it was so much earlier. */
export interface Ghost extends OverTime {
  history: History;
}

function stepOf(length_ms: number): number | undefined {
  const days = length_ms / DAY_MS;
  return days > 3 && days < 15 ? 1_800 : undefined;
}

function historyOf(from: number, to: number | null, step: number | undefined) {
  return {
    queryKey: ['history', from, to, step],
    queryFn: ({ signal }: { signal: AbortSignal }) =>
      answerOf(
        api.GET('/api/v1/history', {
          params: {
            query: {
              from: String(from),
              // An open range ends with the newest there is; the step in which a range ends belongs to it.
              ...(to === null ? {} : { to: String(Math.max(from + 1, to - 1)) }),
              ...(step === undefined ? {} : { step: String(step) }),
            },
          },
          signal,
        }),
      ),
  };
}

export type HistoryQuery = ReturnType<typeof useHistory>;

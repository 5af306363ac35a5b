/**
 * Is it broken, since when, and what changed: the most important thing first, then six numbers, then the charts.
 */
import { useQuery } from '@tanstack/react-query';
import { answerOf, api } from '../../api/client';
import { useKeys } from '../../shared/keys';
import { useNow, useView } from '../../shared/live';
import { useSpan, useUrl } from '../../shared/nav';
import { Charts } from './Charts';
import { Delta, useMarks } from './Delta';
import { Explain } from './Explain';
import { TailStrip } from './TailStrip';
import { Tiles } from './Tiles';
import { TopEndpoints } from './TopEndpoints';
import { Verdict } from './Verdict';
import { apart, firstMarks, type Marks } from './windows';

/** History is asked for again so often; between, the live views move the charts. */
const HISTORY_EVERY_MS = 30_000;
const ENDPOINTS = 'traffic_1m';

export function Overview() {
  const history = useHistory();
  const { marks, compare } = useDelta();
  return (
    <div className="flex h-full flex-col gap-3 overflow-y-auto px-4 py-3">
      <Verdict />
      {marks === null ? (
        <Newest history={history} onCompare={compare} />
      ) : (
        <Delta marks={marks} history={history} />
      )}
    </div>
  );
}

function Newest({ history, onCompare }: { history: HistoryQuery; onCompare: () => void }) {
  // Told even for a range without traffic: whether the dataflow has such a view.
  const told = history.data?.sql.by_endpoint?.includes(ENDPOINTS) ?? false;
  const endpoints = useView(told ? ENDPOINTS : null);
  return (
    <>
      <Tiles history={history.data ?? null} />
      <div className="grid grid-cols-1 gap-3 md:min-h-0 md:flex-1 md:grid-cols-2 xl:grid-rows-[minmax(170px,1fr)_minmax(170px,1fr)]">
        <Charts history={history} onCompare={onCompare} />
        <TopEndpoints view={endpoints} />
      </div>
      <TailStrip />
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

function useHistory() {
  const { range } = useUrl();
  const { from, to, fixed } = useSpan(HISTORY_EVERY_MS);
  const day = range === '7d' ? 1_800 : undefined;
  return useQuery({
    queryKey: ['history', from, to],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/history', {
          params: {
            query: {
              from: String(from),
              // An open range ends with the newest there is.
              ...(fixed ? { to: String(to) } : {}),
              ...(day === undefined ? {} : { step: String(day) }),
            },
          },
          signal,
        }),
      ),
    placeholderData: before => before,
    staleTime: fixed ? Number.POSITIVE_INFINITY : HISTORY_EVERY_MS,
  });
}

export type HistoryQuery = ReturnType<typeof useHistory>;

/**
 * Is it broken, since when, and what changed: the most important thing first, then six numbers, then the charts.
 */
import { useQuery } from '@tanstack/react-query';
import { ApiError, answerOf, api } from '../../api/client';
import { useKeys } from '../../shared/keys';
import { useNow, useView } from '../../shared/live';
import { useSpan, useUrl } from '../../shared/nav';
import { Charts } from './Charts';
import { Delta, useMarks } from './Delta';
import { Explain } from './Explain';
import type { History } from './model';
import { EndpointsOfRange, RangeLog } from './OfRange';
import { OwnViews, TopView } from './OwnViews';
import { TailStrip } from './TailStrip';
import { Tiles } from './Tiles';
import { TopEndpoints } from './TopEndpoints';
import { Watch } from './useWorld';
import { Verdict } from './Verdict';
import { apart, firstMarks, type Marks } from './windows';

/** History is asked for again so often; between, the live views move the charts. */
const HISTORY_EVERY_MS = 30_000;
const ENDPOINTS = 'traffic_1m';

export function Overview() {
  const history = useHistory();
  const { marks, compare } = useDelta();
  const endpoints = countsEndpoints(history.data) === true ? ENDPOINTS : null;
  return (
    <div className="flex h-full flex-col gap-3 overflow-y-auto px-4 py-3">
      <Watch />
      <Verdict />
      {marks === null ? (
        <Newest history={history} onCompare={compare} />
      ) : (
        <Delta marks={marks} history={history} endpoints={endpoints} />
      )}
    </div>
  );
}

interface NewestProps {
  history: HistoryQuery;
  onCompare: () => void;
}

function Newest({ history, onCompare }: NewestProps) {
  const { fixed } = useSpan(HISTORY_EVERY_MS);
  // A dataflow without requests and errors per window has no charts of them; that is no error.
  const isOther = history.error instanceof ApiError && history.error.code === 'no_history';
  return (
    <>
      <Tiles history={history.data ?? null} />
      <div className="grid shrink-0 grid-cols-1 gap-3 md:min-h-0 md:flex-[1_0_412px] md:auto-rows-[minmax(200px,1fr)] md:grid-cols-2 md:[&>*:last-child:nth-child(odd)]:col-span-2">
        {isOther ? (
          <OwnViews />
        ) : (
          <>
            <Charts history={history} onCompare={onCompare} />
            <Busiest history={history.data} fixed={fixed} />
          </>
        )}
      </div>
      {fixed ? <RangeLog /> : <TailStrip />}
      <Explain />
    </>
  );
}

/** Where the traffic goes: by endpoint, or whatever the dataflow ranks. */
function Busiest({ history, fixed }: { history: History | undefined; fixed: boolean }) {
  const counted = countsEndpoints(history);
  const view = useView(counted === true && !fixed ? ENDPOINTS : null);
  if (counted === false) return <TopView />;
  if (!fixed) return <TopEndpoints view={view} />;
  return counted === true ? <EndpointsOfRange view={ENDPOINTS} /> : null;
}

/** Whether the dataflow has the view, told even for a range without traffic; `null` before anything is known. */
function countsEndpoints(history: History | undefined): boolean | null {
  return history === undefined ? null : (history.sql.by_endpoint?.includes(ENDPOINTS) ?? false);
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

function useHistory() {
  const { from, to, fixed } = useSpan(HISTORY_EVERY_MS);
  const days = (to - from) / DAY_MS;
  const day = days > 3 && days < 15 ? 1_800 : undefined;
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

/**
 * Is it broken, since when, and what changed: the most important thing first, then six numbers, then the charts.
 */
import { useQuery } from '@tanstack/react-query';
import { answerOf, api } from '../../api/client';
import { useView } from '../../shared/live';
import { useSpan, useUrl } from '../../shared/nav';
import { Charts } from './Charts';
import { TailStrip } from './TailStrip';
import { Tiles } from './Tiles';
import { TopEndpoints } from './TopEndpoints';
import { Verdict } from './Verdict';

/** History is asked for again so often; between, the live views move the charts. */
const HISTORY_EVERY_MS = 30_000;
const ENDPOINTS = 'traffic_1m';

export function Overview() {
  const history = useHistory();
  // Told even for a range without traffic: whether the dataflow has such a view.
  const told = history.data?.sql.by_endpoint?.includes(ENDPOINTS) ?? false;
  const endpoints = useView(told ? ENDPOINTS : null);
  return (
    <div className="flex h-full flex-col gap-3 overflow-y-auto px-4 py-3">
      <Verdict />
      <Tiles history={history.data ?? null} />
      <div className="grid grid-cols-1 gap-3 md:min-h-0 md:flex-1 md:grid-cols-2 xl:grid-rows-[minmax(170px,1fr)_minmax(170px,1fr)]">
        <Charts history={history} />
        <TopEndpoints view={endpoints} />
      </div>
      <TailStrip />
    </div>
  );
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

/**
 * The detectors of the dataflow and what they found, kept up to date while somebody looks. What was taken back is
 * remembered for the visit, whichever page one is on.
 */
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { answerOf, api } from '../api/client';
import type { Schemas } from '../api/wire';
import { type Detector, detectorsOf, follow, NOTHING_KNOWN } from './detected';
import { useFrozen, useNow, useToday } from './live';
import { type Shown, type Span, spansOf } from './marked';
import { type RuleView, ruleViewsOf } from './rules';

const EVERY_MS = 2_000;
/** More are listed nowhere; a query has them. */
const LISTED_MAX = 1_000;

let known = NOTHING_KNOWN;

/** The views of the dataflow, or `null` before they are known. */
export function useViews(): readonly Schemas['ViewBody'][] | null {
  const { data } = useQuery({
    queryKey: ['views'],
    queryFn: () => answerOf(api.GET('/api/v1/views')),
    staleTime: 30_000,
  });
  return data?.views ?? null;
}

export function useDetectors(): readonly Detector[] | null {
  const views = useViews();
  return useMemo(() => (views === null ? null : detectorsOf(views)), [views]);
}

/** The views of what rules found, or `null` before they are known. */
export function useRuleViews(): readonly RuleView[] | null {
  const views = useViews();
  return useMemo(() => (views === null ? null : ruleViewsOf(views)), [views]);
}

export function useIncidents(detectors: readonly Detector[] | null) {
  const frozen = useFrozen();
  return useQuery({
    queryKey: ['incidents'],
    queryFn: async ({ signal }) => {
      const query = { limit: String(LISTED_MAX) };
      const list = await answerOf(api.GET('/api/v1/incidents', { params: { query }, signal }));
      known = follow(known, list, Date.now());
      const { incidents, replaced } = known;
      return { incidents, replaced, total: list.total, truncated: list.truncated };
    },
    enabled: detectors !== null && detectors.length > 0,
    refetchInterval: frozen ? false : EVERY_MS,
    refetchOnWindowFocus: !frozen,
  });
}

/** How soon a mute that is over counts as none. */
const MUTES_EVERY_MS = 5_000;
const NO_SPANS: readonly Span[] = [];

/** The incidents to mark on a chart. `shown` is memoised by the caller. */
export function useSpans(shown: Shown): readonly Span[] {
  const detectors = useDetectors();
  const { data } = useIncidents(detectors);
  const now_ms = useNow(MUTES_EVERY_MS);
  const today = useToday();
  return useMemo(
    () =>
      detectors === null || data === undefined
        ? NO_SPANS
        : spansOf(data.incidents, detectors, shown, now_ms, today),
    [detectors, data, shown, now_ms, today],
  );
}

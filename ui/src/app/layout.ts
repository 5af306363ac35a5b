/**
 * Which panels the page shows, as a function of the views that exist.
 *
 * A dataflow without one of the featured views loses that panel, and the view browser takes the space.
 */
import type { ViewInfo } from '../api/wire';

export const FEATURED_VIEWS = ['traffic_1m', 'top_endpoints', 'anomalies'] as const;

export interface Layout {
  traffic: boolean;
  endpoints: boolean;
  anomalies: boolean;
  /** Where the view browser stands: in the chart's place above the log, or in the right column. */
  browser: 'left' | 'right';
  /** Whether it has the room for a list of the views. */
  roomy: boolean;
}

/** Before the list of views is known, all panels are there and say that they wait. */
export function layoutFor(catalog: readonly ViewInfo[] | null): Layout {
  const exists = (name: (typeof FEATURED_VIEWS)[number]) =>
    catalog === null || catalog.some(view => view.name === name);
  const traffic = exists('traffic_1m');
  const endpoints = exists('top_endpoints');
  const anomalies = exists('anomalies');
  const alone = !endpoints && !anomalies;
  return {
    traffic,
    endpoints,
    anomalies,
    browser: traffic || alone ? 'right' : 'left',
    roomy: !traffic || alone,
  };
}

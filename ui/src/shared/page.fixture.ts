/** A dataflow as the server describes one, for tests. */
import type { Column, Counted, Keyed, Page } from './page';

export const column = (name: string, role: string, statistic?: string, unit?: string): Column => ({
  name,
  role,
  type: 'double',
  statistic: statistic ?? null,
  unit: unit ?? null,
  adds_up: ['count', 'count_if', 'sum'].includes(statistic ?? ''),
});

const figures = [
  column('took_mean', 'duration', 'mean', 'ms'),
  column('took_p95', 'duration', 'p95', 'ms'),
  column('sessions', 'count', 'distinct'),
  column('bytes_sent', 'bytes', 'sum', 'bytes'),
];

export const main: Counted = {
  view: 'per_minute',
  time: 'at',
  window_seconds: 60,
  stored: true,
  count: 'requests',
  noun: 'requests',
  failed: 'errors',
  grave: 'server_errors',
  figures,
  telling: 'took_p95',
};

export const keyed: Keyed = {
  view: 'by_path',
  time: 'at',
  window_seconds: 60,
  stored: true,
  key: column('path', 'key'),
  filters: true,
  count: 'requests',
  noun: 'requests',
  failed: 'errors',
  duration: column('took_p95', 'duration', 'p95', 'ms'),
};

/** Requests with failures and durations. */
export const requestsPage: Page = {
  title: 'requests',
  main,
  now: { ...main, view: 'last_minute', time: null },
  total: { ...main, view: 'totals', time: null, window_seconds: null, figures: [] },
  classes: null,
  spread: null,
  keys: [keyed],
  panels: [],
  panels_named: 0,
  records: 'logs',
  record_columns: [column('status', 'status'), column('took', 'duration', undefined, 'ms')],
  suggestions: [],
};

/** Orders with money, and no failures or durations. */
const sales: Counted = {
  view: 'per_hour',
  time: 'placed',
  window_seconds: 3_600,
  stored: true,
  count: 'orders',
  noun: 'orders',
  failed: null,
  grave: null,
  figures: [column('turnover', 'money', 'sum', 'EUR'), column('basket_mean', 'money', 'mean', 'EUR')],
};

export const ordersPage: Page = {
  ...requestsPage,
  title: 'orders',
  main: sales,
  now: null,
  total: null,
  keys: [],
  records: 'bought',
  record_columns: [],
};

/** The pages, in the order in which they are shown, and the key that follows `g`. */
export const PAGES = [
  { to: '/', label: 'Overview', key: 'o' },
  { to: '/logs', label: 'Logs', key: 'l' },
  { to: '/query', label: 'Query', key: 'q' },
  { to: '/boards', label: 'Boards', key: 'b' },
  { to: '/anomalies', label: 'Anomalies', key: 'a' },
  { to: '/pipeline', label: 'Pipeline', key: 'p' },
  { to: '/reports', label: 'Reports', key: 'r' },
] as const;

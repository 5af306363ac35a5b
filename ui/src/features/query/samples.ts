/** Queries to begin with, besides those the server offers. */
export interface Sample {
  name: string;
  query: string;
}

export const SAMPLES: readonly Sample[] = [
  {
    name: 'Error rate by endpoint',
    query: `SELECT endpoint,
       COUNT(*) AS total_requests,
       SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END) AS errors,
       ROUND(SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END) * 100.0 / COUNT(*), 2) AS error_rate
FROM delta_lake.logs
WHERE timestamp >= NOW() - INTERVAL '1' HOUR
GROUP BY endpoint
ORDER BY error_rate DESC`,
  },
  {
    name: 'Slowest endpoints',
    query: `SELECT endpoint,
       AVG(response_time) AS avg_response_time,
       MAX(response_time) AS max_response_time,
       COUNT(*) AS request_count
FROM delta_lake.logs
WHERE timestamp >= NOW() - INTERVAL '24' HOUR
GROUP BY endpoint
HAVING AVG(response_time) > 100
ORDER BY avg_response_time DESC`,
  },
  {
    name: 'Newest errors',
    query: `SELECT timestamp, level, source, endpoint, status, response_time
FROM delta_lake.logs
WHERE level = 'ERROR'
ORDER BY timestamp DESC
LIMIT 100`,
  },
  {
    name: 'Activity of users',
    query: `SELECT user_id,
       COUNT(DISTINCT session_id) AS sessions,
       COUNT(*) AS total_requests,
       AVG(response_time) AS avg_response_time
FROM delta_lake.logs
WHERE timestamp >= NOW() - INTERVAL '24' HOUR
GROUP BY user_id
ORDER BY total_requests DESC
LIMIT 50`,
  },
  { name: 'Live: traffic of the last minute', query: 'SELECT * FROM last_minute' },
  { name: 'Live: top endpoints', query: 'SELECT * FROM top_endpoints' },
  {
    name: 'Traffic per minute, live view and lake',
    query: `SELECT window_start, requests, errors, response_time_p95
FROM lake.overall_1m
WHERE window_start >= NOW() - INTERVAL '6' HOUR
ORDER BY window_start`,
  },
];

//! Queries to begin with. They are the ones people bring along from the platform before, and run as they stand.

/// The stored table they read.
pub const SAMPLES_TABLE: &str = "logs";

/// A query and the columns it takes from [`SAMPLES_TABLE`].
pub struct Sample {
    pub name: &'static str,
    pub query: &'static str,
    pub columns: &'static [&'static str],
}

pub const SAMPLES: [Sample; 4] = [
    Sample {
        name: "Requests per minute",
        query: "SELECT date_trunc('minute', timestamp) as minute, count(*) as total_requests,
       sum(case when status >= 400 then 1 else 0 end) as errors, avg(response_time) as avg_response_time
FROM delta_lake.logs
WHERE timestamp >= current_timestamp() - interval 1 day
GROUP BY date_trunc('minute', timestamp)
ORDER BY minute DESC
LIMIT 10",
        columns: &["timestamp", "status", "response_time"],
    },
    Sample {
        name: "Top error endpoints",
        query: "SELECT endpoint, count(*) as error_count,
       avg(response_time) as avg_response_time
FROM delta_lake.logs
WHERE status >= 400 AND timestamp >= current_timestamp() - interval 1 hour
GROUP BY endpoint
ORDER BY error_count DESC
LIMIT 5",
        columns: &["endpoint", "response_time", "status", "timestamp"],
    },
    Sample {
        name: "User session analysis",
        query: "SELECT
  user_id,
  count(distinct session_id) as sessions,
  count(*) as page_views,
  sum(response_time) / count(*) as avg_session_time
FROM delta_lake.logs
WHERE timestamp >= current_date()
GROUP BY user_id
ORDER BY page_views DESC
LIMIT 10",
        columns: &["user_id", "session_id", "response_time", "timestamp"],
    },
    Sample {
        name: "Real-time anomalies",
        query: "SELECT
  endpoint, source, level,
  count(*) as anomaly_count,
  max(response_time) as max_response_time
FROM delta_lake.logs
WHERE (level = 'ERROR' OR response_time > 1000)
  AND timestamp >= current_timestamp() - interval 30 minutes
GROUP BY endpoint, source, level
ORDER BY anomaly_count DESC",
        columns: &["endpoint", "source", "level", "response_time", "timestamp"],
    },
];

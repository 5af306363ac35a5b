-- Web server events: enriched into the lake, and live per minute, per endpoint, per key.

SET dataflow = 'web_logs';

CREATE SOURCE web_logs (
  timestamp      TIMESTAMP NOT NULL,
  ip             TEXT,
  method         TEXT,
  endpoint       TEXT,
  status_code    INT,
  response_time  DOUBLE,
  user_agent     TEXT,
  user_id        TEXT,
  session_id     TEXT,
  bytes_sent     BIGINT,
  referer        TEXT,
  request_size   BIGINT,
  query_params   TEXT,
  level          TEXT,
  source         TEXT,
  WATERMARK FOR timestamp AS timestamp - INTERVAL '${WATERMARK_DELAY_SECONDS:-10}' SECOND
) WITH (
  connector = 'kafka',
  brokers = '${KAFKA_BROKERS:-localhost:9092}',
  topic = '${KAFKA_TOPIC:-web-logs}',
  client_config = '${KAFKA_CLIENT_CONFIG:-}',
  group = '${KAFKA_GROUP_ID:-}',
  start = '${KAFKA_START:-earliest}',
  on_offset_gap = '${KAFKA_ON_OFFSET_GAP:-stop}',
  on_topic_recreated = '${KAFKA_ON_TOPIC_RECREATED:-stop}',
  on_topic_missing = '${KAFKA_ON_TOPIC_MISSING:-wait}',
  topic_partitions = '${KAFKA_TOPIC_PARTITIONS:-3}',
  max_event_time_lead = '${MAX_EVENT_TIME_LEAD:-default}',
  on_event_time_ahead = '${ON_EVENT_TIME_AHEAD:-hold}'
) FORMAT JSON;
COMMENT ON COLUMN web_logs.response_time IS '[role = duration, unit = ms] From the first byte of the request to the last of the answer';

-- Every record, enriched. Calendar columns are in UTC. An error is status >= 400 everywhere.
CREATE TABLE logs WITH (partition_by = 'date, hour') AS
SELECT
  timestamp, ip, method, endpoint, status_code, response_time, user_agent, user_id, session_id,
  bytes_sent, referer, request_size, query_params,
  status_code AS status,
  coalesce(level, CASE WHEN status_code >= 500 THEN 'ERROR' WHEN status_code >= 400 THEN 'WARN' ELSE 'INFO' END) AS level,
  coalesce(source, 'web-logs') AS source,
  to_timestamp_millis(_epoch) AS processed_timestamp,
  CAST(timestamp AS DATE) AS date,
  CAST(date_part('hour', timestamp) AS INT) AS hour,
  CAST(date_part('minute', timestamp) AS INT) AS minute,
  CAST(date_part('dow', timestamp) AS INT) + 1 AS day_of_week,
  status_code >= 400 AS is_error,
  response_time > 1000 AS is_slow,
  status_code >= 500 AS is_critical_error,
  ip_class(ip) AS ip_class,
  CASE WHEN endpoint LIKE '/api/admin%' OR endpoint LIKE '/admin%' THEN 'admin'
       WHEN endpoint LIKE '/api/auth%' OR endpoint LIKE '/auth%' THEN 'auth'
       WHEN endpoint LIKE '/api/%' THEN 'api'
       ELSE 'web' END AS endpoint_category,
  CASE WHEN method IN ('GET', 'HEAD') THEN 'read'
       WHEN method IN ('POST', 'PUT', 'PATCH') THEN 'write'
       WHEN method = 'DELETE' THEN 'delete'
       ELSE 'other' END AS method_category,
  CASE WHEN response_time < 100 THEN 'fast'
       WHEN response_time < 500 THEN 'medium'
       WHEN response_time < 1000 THEN 'slow'
       WHEN response_time >= 1000 THEN 'very_slow' END AS response_time_category,
  CASE WHEN date_part('hour', timestamp) BETWEEN 9 AND 17 THEN 'business_hours'
       WHEN date_part('hour', timestamp) BETWEEN 18 AND 22 THEN 'evening'
       ELSE 'off_hours' END AS hour_traffic_peak,
  CASE WHEN status_code >= 500 THEN 0.9 WHEN response_time > 2000 THEN 0.8 WHEN response_time > 1000 THEN 0.6
       WHEN status_code >= 400 THEN 0.5 WHEN response_time > 500 THEN 0.3 ELSE 0.1 END AS anomaly_score,
  coalesce(status_code >= 500 OR response_time > 1000, false) AS is_anomaly,
  CASE WHEN status_code >= 500 THEN 'high' WHEN response_time > 1000 THEN 'medium' ELSE 'low' END AS ml_confidence,
  CASE WHEN status_code >= 500 THEN 'CRITICAL_ERROR' WHEN response_time > 2000 THEN 'VERY_SLOW_RESPONSE'
       WHEN response_time > 1000 THEN 'SLOW_RESPONSE' WHEN status_code >= 400 THEN 'ERROR'
       WHEN response_time > 500 THEN 'MEDIUM_RESPONSE' ELSE 'NORMAL' END AS anomaly_type,
  'RULE_BASED' AS detection_method
FROM web_logs;

CREATE MATERIALIZED VIEW traffic_1m AS
SELECT window_start, endpoint,
       count(*) AS requests,
       count(*) FILTER (WHERE is_error) AS errors,
       count(*) FILTER (WHERE is_critical_error) AS server_errors,
       avg(response_time) AS response_time_mean,
       approx_percentile_cont(response_time, 0.5) AS response_time_p50,
       approx_percentile_cont(response_time, 0.95) AS response_time_p95,
       approx_percentile_cont(response_time, 0.99) AS response_time_p99
FROM TUMBLE(logs, timestamp, INTERVAL '1' MINUTE)
GROUP BY window_start, endpoint;

-- What the window rules look at: traffic by endpoint and kind of address.
CREATE MATERIALIZED VIEW traffic_by_class_1m AS
SELECT window_start, window_end, endpoint, ip_class,
       count(*) AS request_count,
       avg(response_time) AS avg_response_time,
       count(*) FILTER (WHERE is_error) AS error_count,
       count(DISTINCT ip) AS unique_ips,
       CAST(count(*) FILTER (WHERE is_error) AS DOUBLE) / CAST(count(*) AS DOUBLE) AS error_rate
FROM TUMBLE(logs, timestamp, INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, endpoint, ip_class;

-- All traffic together: what the overview compares with an hour and a day ago.
CREATE MATERIALIZED VIEW overall_1m AS
SELECT window_start,
       count(*) AS requests,
       count(*) FILTER (WHERE is_error) AS errors,
       count(*) FILTER (WHERE is_critical_error) AS server_errors,
       count(DISTINCT session_id) AS sessions,
       sum(bytes_sent) AS bytes_sent,
       avg(response_time) AS response_time_mean,
       approx_percentile_cont(response_time, 0.5) AS response_time_p50,
       approx_percentile_cont(response_time, 0.95) AS response_time_p95,
       approx_percentile_cont(response_time, 0.99) AS response_time_p99
FROM TUMBLE(logs, timestamp, INTERVAL '1' MINUTE)
GROUP BY window_start;

-- How response times are spread: two bins per doubling, bin n from 2^(n/2) ms.
CREATE MATERIALIZED VIEW latency_1m AS
SELECT window_start, CAST(floor(2 * log2(CASE WHEN response_time < 1 THEN 1 ELSE response_time END)) AS INT) AS latency_bin, count(*) AS requests
FROM TUMBLE(logs, timestamp, INTERVAL '1' MINUTE)
WHERE response_time IS NOT NULL
GROUP BY window_start, CAST(floor(2 * log2(CASE WHEN response_time < 1 THEN 1 ELSE response_time END)) AS INT);

COMMENT ON COLUMN latency_1m.latency_bin IS '[role = bin, unit = ms, scale = 2^(n/2)] Bins of response times, two per doubling';

CREATE MATERIALIZED VIEW status_1m AS
SELECT window_start, status / 100 AS status_class, count(*) AS requests
FROM TUMBLE(logs, timestamp, INTERVAL '1' MINUTE)
GROUP BY window_start, status / 100;

CREATE MATERIALIZED VIEW hourly WITH (retention = '2 days') AS
SELECT window_start, count(*) AS requests,
       count(*) FILTER (WHERE is_error) AS errors,
       avg(response_time) AS response_time_mean,
       max(response_time) AS response_time_max,
       stddev(response_time) AS response_time_stddev,
       count(DISTINCT user_id) AS users,
       count(DISTINCT session_id) AS sessions
FROM TUMBLE(logs, timestamp, INTERVAL '1' HOUR)
GROUP BY window_start;

CREATE MATERIALIZED VIEW endpoints AS
SELECT endpoint, count(*) AS requests,
       count(*) FILTER (WHERE is_error) AS errors,
       avg(response_time) AS response_time_mean,
       approx_percentile_cont(response_time, 0.95) AS response_time_p95,
       max(response_time) AS response_time_max
FROM logs GROUP BY endpoint;

CREATE MATERIALIZED VIEW top_endpoints AS
SELECT endpoint, requests, errors, response_time_mean, response_time_p95
FROM endpoints ORDER BY requests DESC LIMIT 10;

-- All-time totals; they survive restarts.
CREATE MATERIALIZED VIEW totals AS
SELECT count(*) AS requests,
       count(*) FILTER (WHERE is_error) AS errors,
       count(*) FILTER (WHERE is_critical_error) AS server_errors,
       min(timestamp) AS first_timestamp,
       max(timestamp) AS last_timestamp
FROM logs;

-- The last sixty seconds of event time; goes on by the wall clock when nothing comes.
CREATE MATERIALIZED VIEW last_minute AS
SELECT count(*) AS requests,
       count(*) FILTER (WHERE is_error) AS errors,
       count(*) FILTER (WHERE is_critical_error) AS server_errors,
       avg(response_time) AS response_time_mean,
       approx_percentile_cont(response_time, 0.95) AS response_time_p95,
       count(DISTINCT session_id) AS sessions,
       count(DISTINCT user_id) AS users,
       sum(bytes_sent) AS bytes_sent
FROM logs
WHERE timestamp > now() - INTERVAL '60' SECOND;

-- The rules over windows, thresholds from the settings. Rates need a minimum of records.
CREATE VIEW judged_1m AS
SELECT window_start, window_end, endpoint, ip_class, request_count, avg_response_time, error_count, unique_ips, error_rate,
       request_count > ${ANOMALY_SPIKE_REQUESTS:-1500} AS is_traffic_spike,
       error_rate > ${ANOMALY_ERROR_RATE:-0.2} + 3 * sqrt(${ANOMALY_ERROR_RATE:-0.2} * (1 - ${ANOMALY_ERROR_RATE:-0.2}) / CAST(request_count AS DOUBLE))
         AND request_count >= ${ANOMALY_MINIMUM_REQUESTS:-30} AS is_high_error_rate,
       coalesce(avg_response_time > ${ANOMALY_SLOW_MS:-2000}, false) AND request_count >= ${ANOMALY_MINIMUM_REQUESTS:-30} AS is_slow_response
FROM traffic_by_class_1m;

-- Rules over windows and rules over single events, thresholds from the settings; README.md says how they are chosen. A share of
-- errors has to exceed its threshold by three standard errors, so that a few records do not alarm by chance while a window fills.
-- Each row of a window has its figures and a flag per rule; of several rows of one window, that of the lowest priority names it.
CREATE MATERIALIZED VIEW anomalies WITH (retention = '1 day') AS
SELECT window_start, window_end, endpoint, ip_class, 'TRAFFIC_SPIKE' AS anomaly_type, CAST(0.8 AS DOUBLE) AS score,
       CAST(request_count AS DOUBLE) AS observed, CAST(${ANOMALY_SPIKE_REQUESTS:-1500} AS DOUBLE) AS threshold, request_count AS records,
       request_count, avg_response_time, error_count, unique_ips, error_rate,
       is_traffic_spike, is_high_error_rate, is_slow_response, CAST(1 AS INT) AS priority
FROM judged_1m WHERE is_traffic_spike
UNION ALL
SELECT window_start, window_end, endpoint, ip_class, 'HIGH_ERROR_RATE', CAST(0.7 AS DOUBLE),
       error_rate AS observed, CAST(${ANOMALY_ERROR_RATE:-0.2} AS DOUBLE), request_count AS records,
       request_count, avg_response_time, error_count, unique_ips, error_rate,
       is_traffic_spike, is_high_error_rate, is_slow_response, CAST(2 AS INT)
FROM judged_1m WHERE is_high_error_rate
UNION ALL
SELECT window_start, window_end, endpoint, ip_class, 'SLOW_RESPONSE', CAST(0.6 AS DOUBLE),
       avg_response_time AS observed, CAST(${ANOMALY_SLOW_MS:-2000} AS DOUBLE), request_count AS records,
       request_count, avg_response_time, error_count, unique_ips, error_rate,
       is_traffic_spike, is_high_error_rate, is_slow_response, CAST(3 AS INT)
FROM judged_1m WHERE is_slow_response
UNION ALL
SELECT window_start, window_end, endpoint, CAST(NULL AS TEXT), anomaly_type, max(anomaly_score),
       max(response_time), CAST(NULL AS DOUBLE) AS threshold, count(*) AS records,
       CAST(NULL AS BIGINT) AS request_count, CAST(NULL AS DOUBLE) AS avg_response_time, CAST(NULL AS BIGINT) AS error_count,
       CAST(NULL AS BIGINT) AS unique_ips, CAST(NULL AS DOUBLE) AS error_rate,
       false AS is_traffic_spike, false AS is_high_error_rate, false AS is_slow_response, CAST(4 AS INT) AS priority
FROM TUMBLE(logs, timestamp, INTERVAL '1' MINUTE)
WHERE is_anomaly
GROUP BY window_start, window_end, endpoint, anomaly_type;

-- What is unusual: of all traffic, and of each endpoint. Expectations are learned, by the time of day; README.md says how. One false alert in five days is accepted of each; ANOMALY_FALSE_ALERTS_PER_DAY says otherwise.
CREATE DETECTOR traffic ON overall_1m
  METRICS (rate(requests), ratio(server_errors, requests) AS server_error_share, ratio(errors, requests) AS error_share, latency(response_time_p95))
  WITH (false_alerts_per_day = '${ANOMALY_FALSE_ALERTS_PER_DAY:-0.2}', retention = '2 days', explain_by = 'endpoint, method, status, ip_class');

CREATE DETECTOR endpoint_traffic ON traffic_1m
  METRICS (rate(requests), ratio(errors, requests) AS error_share, latency(response_time_p95))
  KEY (endpoint)
  WITH (false_alerts_per_day = '${ANOMALY_FALSE_ALERTS_PER_DAY:-0.2}', explain_by = 'method, status, ip_class, user_agent');

-- Access logs of real web servers: common, combined and nginx formats.

SET dataflow = 'access_log';

CREATE SOURCE access_log (
  ip          TEXT,
  user_id     TEXT,
  timestamp   TIMESTAMP NOT NULL,
  method      TEXT,
  path        TEXT,
  query       TEXT,
  protocol    TEXT,
  status      INT,
  bytes       BIGINT,
  referer     TEXT,
  user_agent  TEXT,
  -- Logs are often written long after the request began, or merged from several machines.
  WATERMARK FOR timestamp AS timestamp - INTERVAL '${WATERMARK_DELAY_HOURS:-24}' HOUR
) WITH (
  connector = 'kafka',
  brokers = '${KAFKA_BROKERS:-localhost:9092}',
  topic = '${KAFKA_TOPIC:-access-log}',
  client_config = '${KAFKA_CLIENT_CONFIG:-}',
  group = '${KAFKA_GROUP_ID:-}',
  on_offset_gap = '${KAFKA_ON_OFFSET_GAP:-stop}',
  on_topic_recreated = '${KAFKA_ON_TOPIC_RECREATED:-stop}',
  on_topic_missing = '${KAFKA_ON_TOPIC_MISSING:-wait}',
  topic_partitions = '${KAFKA_TOPIC_PARTITIONS:-3}',
  max_event_time_lead = '${MAX_EVENT_TIME_LEAD:-default}',
  on_event_time_ahead = '${ON_EVENT_TIME_AHEAD:-hold}'
) FORMAT ACCESS_LOG;

CREATE TABLE requests WITH (partition_by = 'date') AS
SELECT *, status >= 400 AS is_error, status >= 500 AS is_critical_error,
       ip_class(ip) AS ip_class,
       user_agent LIKE '%bot%' OR user_agent LIKE '%Bot%' OR user_agent LIKE '%spider%' OR user_agent LIKE '%crawl%' AS is_bot,
       CAST(timestamp AS DATE) AS date
FROM access_log;

CREATE MATERIALIZED VIEW traffic_1h WITH (retention = '30 days') AS
SELECT window_start, count(*) AS requests,
       count(*) FILTER (WHERE is_error) AS errors,
       count(*) FILTER (WHERE is_critical_error) AS server_errors,
       count(*) FILTER (WHERE is_bot) AS bots,
       count(DISTINCT ip) AS visitors,
       sum(bytes) AS bytes
FROM TUMBLE(requests, timestamp, INTERVAL '1' HOUR)
GROUP BY window_start;

-- Hours in which traffic, errors, bots or visitors are not what they are at this time of the day.
CREATE DETECTOR traffic ON traffic_1h
  METRICS (rate(requests), ratio(server_errors, requests) AS server_error_share, rate(bots), rate(visitors))
  WITH (false_alerts_per_day = '0.2', retention = '30 days', explain_by = 'method, status, ip_class, user_agent, path');

-- How many each address sends in five minutes, and how much of all that the busiest one has.
CREATE MATERIALIZED VIEW clients_5m WITH (retention = '2 days') AS
SELECT window_start, ip, count(*) AS requests, count(*) FILTER (WHERE is_error) AS errors
FROM TUMBLE(requests, timestamp, INTERVAL '5' MINUTE)
GROUP BY window_start, ip;

CREATE MATERIALIZED VIEW busiest_client_5m WITH (retention = '30 days') AS
SELECT window_start, count(*) AS clients, max(requests) AS busiest, sum(requests) AS requests
FROM clients_5m GROUP BY window_start;

-- Floods: one address sends what none usually does. `clients_5m` says which.
CREATE DETECTOR floods ON busiest_client_5m
  METRICS (rate(busiest), ratio(busiest, requests) AS busiest_share)
  WITH (false_alerts_per_day = '0.2', retention = '30 days');

CREATE MATERIALIZED VIEW statuses AS
SELECT status, count(*) AS requests FROM requests GROUP BY status;

CREATE MATERIALIZED VIEW paths AS
SELECT path, count(*) AS requests, count(*) FILTER (WHERE is_error) AS errors, count(DISTINCT ip) AS visitors, sum(bytes) AS bytes
FROM requests GROUP BY path;

CREATE MATERIALIZED VIEW top_paths AS
SELECT path, requests, errors, visitors, bytes FROM paths ORDER BY requests DESC LIMIT 20;

CREATE MATERIALIZED VIEW totals AS
SELECT count(*) AS requests, count(*) FILTER (WHERE is_error) AS errors, count(*) FILTER (WHERE is_critical_error) AS server_errors,
       count(DISTINCT ip) AS visitors, sum(bytes) AS bytes, min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp
FROM requests;

-- The last sixty seconds of event time; goes on by the wall clock when nothing comes.
CREATE MATERIALIZED VIEW last_minute AS
SELECT count(*) AS requests,
       count(*) FILTER (WHERE is_error) AS errors,
       count(*) FILTER (WHERE is_critical_error) AS server_errors,
       count(DISTINCT ip) AS visitors,
       sum(bytes) AS bytes_sent
FROM requests
WHERE timestamp > now() - INTERVAL '60' SECOND;

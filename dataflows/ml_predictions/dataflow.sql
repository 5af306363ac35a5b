-- What a model says of each request when it comes, in a table of its own; without a model, what the rules of web_logs say. Runs beside web_logs, on the same lake:
--
--   tidelake train web_requests --from 'SELECT response_time, status_code, bytes_sent FROM lake.logs' --every '1 day'
--   tidelake run dataflows/ml_predictions
--
-- Each row names the version and the content of the model that was in force. A newer one is in force within seconds, from an epoch on.

SET dataflow = 'ml_predictions';

CREATE SOURCE web_logs (
  timestamp      TIMESTAMP NOT NULL,
  ip             TEXT,
  method         TEXT,
  endpoint       TEXT,
  status_code    INT,
  response_time  DOUBLE,
  user_id        TEXT,
  session_id     TEXT,
  bytes_sent     BIGINT,
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

-- A model that takes other features than these three is not put in force, and health says so. A request of which one is missing has no score; the rules judge it.
CREATE TABLE ml_predictions WITH (partition_by = 'date, hour') AS
SELECT
  timestamp, ip, method, endpoint, status_code, response_time, user_id, session_id, bytes_sent,
  coalesce(score('web_requests', response_time, status_code, bytes_sent),
           CASE WHEN status_code >= 500 THEN 0.9 WHEN response_time > 2000 THEN 0.8 WHEN response_time > 1000 THEN 0.6
                WHEN status_code >= 400 THEN 0.5 WHEN response_time > 500 THEN 0.3 ELSE 0.1 END) AS anomaly_score,
  coalesce(score('web_requests', response_time, status_code, bytes_sent) >= threshold('web_requests'),
           status_code >= 500 OR response_time > 1000, false) AS is_anomaly,
  CASE WHEN status_code >= 500 THEN 'CRITICAL_ERROR' WHEN response_time > 2000 THEN 'VERY_SLOW_RESPONSE'
       WHEN response_time > 1000 THEN 'SLOW_RESPONSE' WHEN status_code >= 400 THEN 'ERROR'
       WHEN response_time > 500 THEN 'MEDIUM_RESPONSE'
       WHEN score('web_requests', response_time, status_code, bytes_sent) >= threshold('web_requests') THEN 'UNUSUAL'
       ELSE 'NORMAL' END AS anomaly_type,
  CASE WHEN score('web_requests', response_time, status_code, bytes_sent) >= (1 + threshold('web_requests')) / 2 THEN 'high'
       WHEN score('web_requests', response_time, status_code, bytes_sent) >= threshold('web_requests') THEN 'medium'
       WHEN score('web_requests', response_time, status_code, bytes_sent) IS NOT NULL THEN 'low'
       WHEN status_code >= 500 THEN 'high' WHEN response_time > 1000 THEN 'medium' ELSE 'low' END AS ml_confidence,
  CASE WHEN score('web_requests', response_time, status_code, bytes_sent) IS NULL THEN 'RULE_BASED' ELSE 'MODEL' END AS detection_method,
  model('web_requests') AS model,
  model_version('web_requests') AS model_version,
  CAST(timestamp AS DATE) AS date,
  CAST(date_part('hour', timestamp) AS INT) AS hour
FROM web_logs;

-- How many of each minute were judged, by what, and how many are unusual.
CREATE MATERIALIZED VIEW predictions_1m AS
SELECT window_start, model_version, detection_method, count(*) AS requests, count(*) FILTER (WHERE is_anomaly) AS anomalies
FROM TUMBLE(ml_predictions, timestamp, INTERVAL '1' MINUTE)
GROUP BY window_start, model_version, detection_method;

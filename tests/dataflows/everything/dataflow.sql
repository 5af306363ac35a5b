-- Every kind of query the engine maintains, over one small source: for the property tests.

CREATE SOURCE s (
  at TIMESTAMP NOT NULL,
  k  TEXT,
  j  INT,
  n  BIGINT,
  x  DOUBLE,
  b  BOOLEAN,
  d  DATE,
  WATERMARK FOR at AS at - INTERVAL '10' SECOND
) WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;

CREATE TABLE raw AS SELECT *, j * 2 AS twice FROM s;

-- What detectors bring along, which stays when they go.
CREATE SOURCE incident_actions (about TEXT NOT NULL, action TEXT NOT NULL, "by" TEXT, at TIMESTAMP, until TIMESTAMP, note TEXT, undone BOOLEAN, PRIMARY KEY (about, action))
  WITH (connector = 'http', delete_when = 'undone') FORMAT JSON;
CREATE TABLE incident_action_log AS SELECT * FROM incident_actions;
CREATE TABLE odd WITH (partition_by = 'k') AS SELECT at, k, n, x FROM s WHERE n % 2 <> 0;

CREATE VIEW positive AS SELECT * FROM raw WHERE x >= 0;

CREATE MATERIALIZED VIEW every_aggregate AS
SELECT k, j, count(*) AS records, count(x) AS xs, sum(n) AS n_sum, sum(x) AS x_sum, avg(n) AS n_mean, avg(x) AS x_mean,
       min(n) AS n_min, max(n) AS n_max, min(x) AS x_min, max(x) AS x_max, min(at) AS first_at, max(k) AS k_max,
       stddev(x) AS x_stddev, stddev_pop(n) AS n_stddev_pop, var(x) AS x_var, var_pop(x) AS x_var_pop,
       approx_percentile_cont(x, 0.5) AS x_p50, approx_percentile_cont(x, 0.99) AS x_p99,
       count(DISTINCT n) AS n_distinct, count(DISTINCT d) AS days, count(DISTINCT k) FILTER (WHERE b) AS k_distinct_b,
       sum(n) FILTER (WHERE x > 10) AS n_sum_large
FROM raw GROUP BY k, j;

CREATE MATERIALIZED VIEW no_keys AS SELECT count(*) AS records, sum(x) AS x_sum, max(at) AS last_at, count(DISTINCT k) AS ks FROM raw;

CREATE MATERIALIZED VIEW by_flag_and_day AS
SELECT b, d, CASE WHEN x > 50 THEN 'high' WHEN x IS NULL THEN 'none' ELSE 'low' END AS band, count(*) AS records, max(x) AS x_max
FROM raw WHERE k IS NOT NULL GROUP BY 1, 2, 3;

CREATE MATERIALIZED VIEW per_10s WITH (retention = '1 day') AS
SELECT window_start, window_end, k, count(*) AS records, sum(x) AS x_sum, min(x) AS x_min, max(n) AS n_max, count(DISTINCT j) AS js,
       approx_percentile_cont(x, 0.9) AS x_p90
FROM TUMBLE(raw, at, INTERVAL '10' SECOND) GROUP BY window_start, window_end, k;

-- Windows of a plain view that names its columns, through another one.
CREATE VIEW narrow AS SELECT at, k, n FROM raw WHERE n <> 7;
CREATE VIEW narrower AS SELECT k, at FROM narrow;
CREATE MATERIALIZED VIEW per_10s_of_narrower AS
SELECT window_start, k, count(*) AS records FROM TUMBLE(narrower, at, INTERVAL '10' SECOND) GROUP BY window_start, k;

CREATE MATERIALIZED VIEW per_minute_of_odd AS
SELECT window_end, count(*) AS records, stddev(n) AS n_stddev FROM TUMBLE(odd, at, INTERVAL '1' MINUTE) WHERE x < 90 GROUP BY window_end;

CREATE MATERIALIZED VIEW from_source_itself AS SELECT k, count(*) AS records FROM s WHERE b GROUP BY k HAVING count(*) > 2;

CREATE MATERIALIZED VIEW last_30s AS
SELECT k, count(*) AS records, sum(x) AS x_sum, max(x) AS x_max, min(n) AS n_min, count(DISTINCT n) AS ns
FROM raw WHERE at > now() - INTERVAL '30' SECOND AND x > 5 GROUP BY k;

CREATE MATERIALIZED VIEW last_minute_total AS
SELECT count(*) AS records, avg(x) AS x_mean, approx_percentile_cont(x, 0.95) AS x_p95 FROM raw WHERE at > now() - INTERVAL '60' SECOND;

-- Casts that DataFusion names alike.
CREATE MATERIALIZED VIEW casts AS
SELECT CAST(n AS TEXT) AS n_text, CAST(n AS DOUBLE) AS n_double, count(*) AS records, sum(CAST(j AS DOUBLE)) AS j_double, sum(CAST(j AS BIGINT)) AS j_sum
FROM raw GROUP BY CAST(n AS TEXT), CAST(n AS DOUBLE);

CREATE MATERIALIZED VIEW kinds AS SELECT DISTINCT k, b FROM positive;

CREATE MATERIALIZED VIEW busiest AS
SELECT k, j, records FROM every_aggregate ORDER BY records DESC, k LIMIT 3;

CREATE MATERIALIZED VIEW second_to_fourth AS
SELECT k, x_max FROM every_aggregate WHERE j IS NOT NULL ORDER BY x_max DESC NULLS LAST LIMIT 3 OFFSET 1;

-- The first records by an order, of which no others are kept.
CREATE MATERIALIZED VIEW newest AS SELECT at, k, n FROM raw WHERE b ORDER BY at DESC, n LIMIT 5;
CREATE MATERIALIZED VIEW largest AS SELECT k, x, n FROM raw ORDER BY x DESC NULLS LAST LIMIT 4 OFFSET 2;
CREATE MATERIALIZED VIEW of_largest AS SELECT k, count(*) AS records, max(x) AS x_max FROM largest GROUP BY k;

-- Late records of all views, also of those that are written behind it.
CREATE MATERIALIZED VIEW late_by_view AS SELECT view, min(window_start) AS first_window, sum(records) AS records FROM _late GROUP BY view;
CREATE MATERIALIZED VIEW views_with_late AS SELECT count(*) AS views, max(records) AS most FROM late_by_view;

-- Views over views: here min and max have to cope with retractions.
CREATE MATERIALIZED VIEW of_groups AS
SELECT j, count(*) AS groups, min(records) AS smallest, max(records) AS largest, max(x_mean) AS x_mean_max, sum(records) AS records,
       count(DISTINCT records) AS sizes, approx_percentile_cont(x_mean, 0.5) AS x_mean_p50
FROM every_aggregate GROUP BY j;

CREATE MATERIALIZED VIEW windows_per_k AS
SELECT k, count(*) AS windows, max(records) AS busiest, min(x_min) AS x_min, sum(n_max) AS n_max_sum FROM per_10s GROUP BY k;

-- Rows that stay when their windows are closed.
CREATE MATERIALIZED VIEW busy_windows AS SELECT k, records FROM per_10s WHERE records > 2;

CREATE MATERIALIZED VIEW rolled_up AS
SELECT window_start, count(*) AS ks, sum(records) AS records, max(x_sum) AS x_sum_max FROM per_10s GROUP BY window_start HAVING sum(records) > 1;

CREATE MATERIALIZED VIEW mixed AS
SELECT window_start, k, 'busy' AS kind, records FROM per_10s WHERE records > 3
UNION ALL
SELECT window_start, k, 'low', count(*) FROM TUMBLE(raw, at, INTERVAL '10' SECOND) WHERE x < 0 GROUP BY window_start, k;

-- Joins, window functions, aggregates of whole groups, single records.
CREATE MATERIALIZED VIEW pairs AS
SELECT a.k, a.n, c.x, c.at FROM raw a JOIN odd c ON a.n = c.n AND a.at <= c.at;

CREATE MATERIALIZED VIEW with_groups AS
SELECT w.window_start, w.k, w.records, e.records AS of_group FROM per_10s w LEFT JOIN every_aggregate e ON w.k = e.k AND w.records = e.j;

CREATE MATERIALIZED VIEW windows_side_by_side AS
SELECT a.window_start, a.k, a.records, c.kind FROM per_10s a JOIN mixed c ON a.window_start = c.window_start AND a.k = c.k;

CREATE MATERIALIZED VIEW without_odd AS
SELECT k, count(*) AS records FROM raw a WHERE NOT EXISTS ( SELECT 1 FROM odd c WHERE c.k = a.k AND c.n = a.n ) GROUP BY k;

CREATE MATERIALIZED VIEW last_two AS
SELECT k, at, n FROM (SELECT k, at, n, row_number() OVER (PARTITION BY k ORDER BY at DESC) AS r FROM raw WHERE b) AS i WHERE r <= 2;

CREATE MATERIALIZED VIEW texts_per_10s AS
SELECT window_start, string_agg(k, ',' ORDER BY at) AS ks, bool_and(b) AS every FROM TUMBLE(raw, at, INTERVAL '10' SECOND) WHERE j > 0 GROUP BY window_start;

CREATE MATERIALIZED VIEW hops AS
SELECT window_end, k, count(*) AS records FROM HOP(raw, at, INTERVAL '10' SECOND, INTERVAL '20' SECOND) GROUP BY window_end, k;

CREATE MATERIALIZED VIEW positive_records AS SELECT at, k, x FROM positive WHERE x > 50;

CREATE MATERIALIZED VIEW of_positive AS
SELECT k, x FROM positive_records UNION ALL SELECT k, x_max FROM every_aggregate;

-- Names that people bring along.
CREATE MATERIALIZED VIEW familiar AS
SELECT hour(at) AS h, minute(at) % 5 AS m, year(d) AS y, mod(j, 2) AS odd, count(*) AS records, max(second(at)) AS last FROM raw GROUP BY hour(at), minute(at) % 5, year(d), mod(j, 2);

-- Rows that are there before any record.
CREATE MATERIALIZED VIEW levels AS SELECT * FROM (VALUES (0, 'none'), (1, 'some'), (2, 'many')) AS v(j, name);

CREATE MATERIALIZED VIEW per_level AS
SELECT v.name, count(a.k) AS records, sum(a.n) AS n FROM levels v LEFT JOIN raw a ON a.j = v.j GROUP BY v.name;

CREATE MATERIALIZED VIEW odd_and_one AS SELECT k, n FROM odd UNION ALL SELECT 'constant', 7;

CREATE MATERIALIZED VIEW first_of_odd AS SELECT k, n FROM odd_and_one LIMIT 5;

-- Lists become rows.
CREATE MATERIALIZED VIEW per_element AS
SELECT element, count(*) AS records FROM (SELECT unnest(ARRAY[j, n % 3, 7]) AS element FROM raw WHERE b) AS e GROUP BY element;

-- Rows that come when their window is closed, and what reads them.
CREATE MATERIALIZED VIEW emitted AS
SELECT window_end, k, count(*) AS records, sum(n) AS n FROM TUMBLE(raw, at, INTERVAL '20' SECOND) GROUP BY window_end, k EMIT ON WINDOW CLOSE;

CREATE MATERIALIZED VIEW of_emitted AS SELECT k, sum(records) AS records FROM emitted GROUP BY k;

-- What is unusual in windows, what of it belongs together, and what reads that.
CREATE MATERIALIZED VIEW per_second AS
SELECT window_start, k, count(*) AS records, avg(j) AS j_mean FROM TUMBLE(raw, at, INTERVAL '1' SECOND) GROUP BY window_start, k;

CREATE DETECTOR unusual ON per_second METRICS (rate(records), value(j_mean) AS j) WITH (season = '5 seconds', false_alerts_per_day = '15000', cool_down = '2 seconds');

CREATE MATERIALIZED VIEW unusual_keys AS SELECT k, metric, count(*) AS windows FROM unusual WHERE is_anomaly GROUP BY k, metric;

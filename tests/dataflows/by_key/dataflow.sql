-- One view with a row for each key: for what depends on how many groups there are.
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n BIGINT, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE raw AS SELECT at, k, n FROM s;
CREATE MATERIALIZED VIEW by_key AS
  SELECT k, count(*) AS records, sum(n) AS total, max(n) AS most FROM raw GROUP BY k;

-- Orders of a shop: a log without requests, whose columns are called like what every record has, and like words of SQL.
CREATE SOURCE orders (
  placed_at TIMESTAMP NOT NULL, id TEXT, "user" TEXT, country TEXT, level TEXT, amount DOUBLE PRECISION, express BOOLEAN, note TEXT,
  WATERMARK FOR placed_at AS placed_at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 'orders') FORMAT JSON;
CREATE TABLE placed AS SELECT placed_at, id, "user", country, level, amount, express, note FROM orders;
COMMENT ON COLUMN placed.amount IS '[role = money, unit = EUR] What was paid';
COMMENT ON COLUMN placed."user" IS '[role = id]';
CREATE MATERIALIZED VIEW totals AS SELECT country, count(*) AS orders, sum(amount) AS amount FROM placed GROUP BY country;

-- Orders of a shop: what is sold, where, for how much.

SET dataflow = 'orders';

CREATE SOURCE placed (
  at       TIMESTAMP NOT NULL,
  customer TEXT,
  country  TEXT,
  product  TEXT,
  quantity INT,
  total    DOUBLE,
  WATERMARK FOR at AS at - INTERVAL '${WATERMARK_DELAY_SECONDS:-10}' SECOND
) WITH (
  connector = 'kafka',
  brokers = '${KAFKA_BROKERS:-localhost:9092}',
  topic = '${ORDERS_TOPIC:-orders}'
) FORMAT JSON;
COMMENT ON TABLE placed IS 'Orders as the shop sends them';
COMMENT ON COLUMN placed.total IS '[role = money, unit = EUR] What the customer pays, taxes included';
COMMENT ON COLUMN placed.customer IS '[role = id] Number of the customer';

-- Every order, for questions that no view answers.
CREATE TABLE orders WITH (partition_by = 'day') AS
SELECT at, customer, country, product, quantity, total, CAST(at AS DATE) AS day
FROM placed;

CREATE MATERIALIZED VIEW sales WITH (retention = '2 days') AS
SELECT window_start, count(*) AS orders, sum(total) AS turnover, avg(total) AS basket_mean, count(DISTINCT customer) AS customers
FROM TUMBLE(orders, at, INTERVAL '1' MINUTE)
GROUP BY window_start;

CREATE MATERIALIZED VIEW sales_by_country WITH (retention = '2 days') AS
SELECT window_start, country, count(*) AS orders, sum(total) AS turnover
FROM TUMBLE(orders, at, INTERVAL '1' MINUTE)
GROUP BY window_start, country;

-- The last sixty seconds; goes on by the clock when nothing comes.
CREATE MATERIALIZED VIEW now_selling AS
SELECT count(*) AS orders, sum(total) AS turnover, avg(total) AS basket_mean, count(DISTINCT customer) AS customers
FROM orders WHERE at > now() - INTERVAL '60' SECOND;

CREATE MATERIALIZED VIEW top_products AS
SELECT product, count(*) AS orders, sum(quantity) AS pieces, sum(total) AS turnover
FROM orders GROUP BY product ORDER BY turnover DESC LIMIT 10;

CREATE MATERIALIZED VIEW all_time AS
SELECT count(*) AS orders, sum(total) AS turnover, min(at) AS first_order, max(at) AS last_order
FROM orders;

-- Orders that stay away, or come in a flood, and a mean basket that is not the usual one: of the shop, and of each country.
CREATE DETECTOR shop ON sales
  METRICS (rate(orders), value(basket_mean))
  WITH (false_alerts_per_day = '0.2', retention = '2 days', explain_by = 'country, product');

CREATE DETECTOR countries ON sales_by_country
  METRICS (rate(orders))
  KEY (country)
  WITH (false_alerts_per_day = '0.2', explain_by = 'product');

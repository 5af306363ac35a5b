-- Transfers between accounts: whatever happens, no money comes or goes.

CREATE SOURCE transfers (
  at     TIMESTAMP NOT NULL,
  payer  TEXT NOT NULL,
  payee  TEXT NOT NULL,
  amount BIGINT NOT NULL,
  WATERMARK FOR at AS at - INTERVAL '10' SECOND
) WITH (connector = 'kafka', brokers = 'localhost:9092', topic = 'transfers') FORMAT JSON;

CREATE TABLE booked AS SELECT at, payer, payee, amount FROM transfers;

CREATE VIEW postings AS
SELECT payer AS account, -amount AS amount FROM booked
UNION ALL
SELECT payee, amount FROM booked;

CREATE MATERIALIZED VIEW balances AS
SELECT account, sum(amount) AS balance, count(*) AS postings FROM postings GROUP BY account;

CREATE MATERIALIZED VIEW bank AS SELECT sum(balance) AS money, sum(postings) AS postings FROM balances;

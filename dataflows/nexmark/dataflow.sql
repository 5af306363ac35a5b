-- Nexmark: the queries of the streaming benchmark over persons, auctions and bids. `tidelake gen nexmark` makes the events.

SET dataflow = 'nexmark';

CREATE SOURCE bids (
  auction   BIGINT,
  bidder    BIGINT,
  price     BIGINT,
  channel   TEXT,
  url       TEXT,
  date_time TIMESTAMP,
  extra     TEXT,
  WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH (connector = 'files', path = '${NEXMARK_INPUT:-./nexmark}/bid') FORMAT JSON;

CREATE SOURCE auctions (
  id          BIGINT,
  item_name   TEXT,
  description TEXT,
  initial_bid BIGINT,
  reserve     BIGINT,
  date_time   TIMESTAMP,
  expires     TIMESTAMP,
  seller      BIGINT,
  category    BIGINT,
  extra       TEXT,
  WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH (connector = 'files', path = '${NEXMARK_INPUT:-./nexmark}/auction') FORMAT JSON;

CREATE SOURCE persons (
  id            BIGINT,
  name          TEXT,
  email_address TEXT,
  credit_card   TEXT,
  city          TEXT,
  state         TEXT,
  date_time     TIMESTAMP,
  extra         TEXT,
  WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH (connector = 'files', path = '${NEXMARK_INPUT:-./nexmark}/person') FORMAT JSON;

-- What q13 looks bids up in.
CREATE SOURCE side_input (
  key   BIGINT,
  value TEXT,
  PRIMARY KEY (key)
) WITH (connector = 'files', path = '${NEXMARK_INPUT:-./nexmark}/side_input') FORMAT JSON;

-- Every record, into the lake. The queries read these.
CREATE TABLE bid AS SELECT * FROM bids;
CREATE TABLE auction AS SELECT * FROM auctions;
CREATE TABLE person AS SELECT * FROM persons;
CREATE TABLE side_input_log AS SELECT * FROM side_input;

-- All bids as they are.
CREATE MATERIALIZED VIEW q0 AS
SELECT auction, bidder, price, date_time, extra
FROM bid;

-- Prices in euros.
CREATE MATERIALIZED VIEW q1 AS
SELECT auction, bidder, 0.908 * price as price, date_time, extra
FROM bid;

-- Bids on some auctions.
CREATE MATERIALIZED VIEW q2 AS
SELECT auction, price
FROM bid
WHERE MOD(auction, 123) = 0;

-- Who sells in these states, in category 10.
CREATE MATERIALIZED VIEW q3 AS
SELECT P.name, P.city, P.state, A.id
FROM auction AS A
INNER JOIN person AS P on A.seller = P.id
WHERE A.category = 10 and (P.state = 'OR' OR P.state = 'ID' OR P.state = 'CA');

-- Mean price at which the auctions of a category close.
CREATE MATERIALIZED VIEW q4 AS
SELECT Q.category, AVG(Q.final) AS avg
FROM (SELECT MAX(B.price) AS final, A.category FROM auction A, bid B WHERE A.id = B.auction AND B.date_time BETWEEN A.date_time AND A.expires GROUP BY A.id, A.category) Q
GROUP BY Q.category;

-- Auctions with most bids in the last ten seconds, every two seconds.
CREATE MATERIALIZED VIEW q5 AS
SELECT AuctionBids.auction, AuctionBids.num
FROM (SELECT bid.auction, count(*) AS num, window_start AS starttime FROM HOP(bid, date_time, INTERVAL '2' SECOND, INTERVAL '10' SECOND) GROUP BY window_start, bid.auction) AS AuctionBids
JOIN (SELECT max(CountBids.num) AS maxn, CountBids.starttime_c FROM (SELECT count(*) AS num, window_start AS starttime_c FROM HOP(bid, date_time, INTERVAL '2' SECOND, INTERVAL '10' SECOND) GROUP BY bid.auction, window_start) AS CountBids GROUP BY CountBids.starttime_c) AS MaxBids ON AuctionBids.starttime = MaxBids.starttime_c AND AuctionBids.num >= MaxBids.maxn;

-- The highest bids of each ten seconds.
CREATE MATERIALIZED VIEW q7 AS
SELECT B.auction, B.price, B.bidder, B.date_time
FROM bid B
JOIN (SELECT MAX(price) AS maxprice, window_end as date_time FROM TUMBLE(bid, date_time, INTERVAL '10' SECOND) GROUP BY window_end) B1 ON B.price = B1.maxprice
WHERE B.date_time BETWEEN B1.date_time - INTERVAL '10' SECOND AND B1.date_time;

-- Persons who have just registered and opened an auction in the same ten seconds.
CREATE MATERIALIZED VIEW q8 AS
SELECT P.id, P.name, P.starttime
FROM (SELECT id, name, window_start AS starttime, window_end AS endtime FROM TUMBLE(person, date_time, INTERVAL '10' SECOND) GROUP BY id, name, window_start, window_end) P
JOIN (SELECT seller, window_start AS starttime, window_end AS endtime FROM TUMBLE(auction, date_time, INTERVAL '10' SECOND) GROUP BY seller, window_start, window_end) A ON P.id = A.seller AND P.starttime = A.starttime AND P.endtime = A.endtime;

-- The winning bid of each auction.
CREATE MATERIALIZED VIEW q9 AS
SELECT id, item_name, description, initial_bid, reserve, date_time, expires, seller, category, auction, bidder, price, bid_dateTime
FROM (SELECT A.*, B.auction, B.bidder, B.price, B.date_time AS bid_dateTime, ROW_NUMBER() OVER (PARTITION BY A.id ORDER BY B.price DESC, B.date_time ASC) AS rownum FROM auction A, bid B WHERE A.id = B.auction AND B.date_time BETWEEN A.date_time AND A.expires)
WHERE rownum <= 1;

-- Bids with day and minute as text; the original writes them to files by these, which is what the lake does anyway.
CREATE MATERIALIZED VIEW q10 AS
SELECT auction, bidder, price, date_time, extra, TO_CHAR(date_time, 'YYYY-MM-DD') as date, TO_CHAR(date_time, 'HH24:MI') as time
FROM bid;

-- Bids of each bidder up to ten seconds without any.
CREATE MATERIALIZED VIEW q11 AS
SELECT bidder, count(*) as bid_count, window_start AS starttime, window_end AS endtime
FROM SESSION(bid PARTITION BY bidder, date_time, INTERVAL '10' SECOND)
GROUP BY bidder, window_start, window_end;

-- Bids of each bidder in ten seconds of event time (the original counts by the wall clock).
CREATE MATERIALIZED VIEW q12 AS
SELECT bidder, count(*) as bid_count, window_start, window_end
FROM TUMBLE(bid, date_time, INTERVAL '10' SECOND)
GROUP BY bidder, window_start, window_end;

-- Bids with what a table says about their auction (the original joins by the wall clock: here a changed row changes what was joined).
CREATE MATERIALIZED VIEW q13 AS
SELECT B.auction, B.bidder, B.price, B.date_time, S.value
FROM bid B
JOIN side_input S ON MOD(B.auction, 10000) = S.key;

-- Expensive bids, by time of day.
CREATE MATERIALIZED VIEW q14 AS
SELECT auction, bidder, 0.908 * price as price, CASE WHEN extract(hour from date_time) >= 8 AND extract(hour from date_time) <= 18 THEN 'dayTime' WHEN extract(hour from date_time) <= 6 OR extract(hour from date_time) >= 20 THEN 'nightTime' ELSE 'otherTime' END AS bidTimeType, date_time, extra
FROM bid
WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000;

-- Bids and bidders per day, by rank of price.
CREATE MATERIALIZED VIEW q15 AS
SELECT TO_CHAR(date_time, 'YYYY-MM-DD') as day, count(*) AS total_bids, count(*) filter (where price < 10000) AS rank1_bids, count(distinct bidder) AS total_bidders, count(distinct bidder) filter (where price < 10000) AS rank1_bidders
FROM bid
GROUP BY to_char(date_time, 'YYYY-MM-DD');

-- The same per channel.
CREATE MATERIALIZED VIEW q16 AS
SELECT channel, to_char(date_time, 'YYYY-MM-DD') as "day", max(to_char(date_time, 'HH24:MI')) as "minute", count(*) AS total_bids, count(distinct auction) filter (where price >= 10000 and price < 1000000) AS r
FROM bid
GROUP BY channel, to_char(date_time, 'YYYY-MM-DD');

-- Statistics of each auction per day.
CREATE MATERIALIZED VIEW q17 AS
SELECT auction, to_char(date_time, 'YYYY-MM-DD') AS day, count(*) AS total_bids, min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price
FROM bid
GROUP BY auction, to_char(date_time, 'YYYY-MM-DD');

-- The last bid of each bidder on each auction.
CREATE MATERIALIZED VIEW q18 AS
SELECT auction, bidder, price, channel, url, date_time, extra
FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY date_time DESC) AS rank_number FROM bid)
WHERE rank_number <= 1;

-- The ten highest bids of each auction.
CREATE MATERIALIZED VIEW q19 AS
SELECT *
FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS rank_number FROM bid)
WHERE rank_number <= 10;

-- Bids with their auctions, of category 10.
CREATE MATERIALIZED VIEW q20 AS
SELECT auction, bidder, price, channel, url, B.date_time as date_timeB, item_name, description, initial_bid, reserve, A.date_time as date_timeA, expires, seller, category
FROM bid AS B
INNER JOIN auction AS A on B.auction = A.id
WHERE A.category = 10;

-- Channel ids, from names and addresses.
CREATE MATERIALIZED VIEW q21 AS
SELECT auction, bidder, price, channel, CASE WHEN lower(channel) = 'apple' THEN '0' WHEN lower(channel) = 'google' THEN '1' ELSE (regexp_match(url, '(&|^)channel_id=([^&]*)'))[2] END AS channel_id
FROM bid
WHERE (regexp_match(url, '(&|^)channel_id=([^&]*)'))[2] is not null or lower(channel) in ('apple', 'google');

-- Folders of addresses.
CREATE MATERIALIZED VIEW q22 AS
SELECT auction, bidder, price, channel, split_part(url, '/', 4) as dir1, split_part(url, '/', 5) as dir2, split_part(url, '/', 6) as dir3
FROM bid;

-- What RisingWave added.

-- Highest bid of every auction, also of those without one.
CREATE MATERIALIZED VIEW q101 AS
SELECT a.id AS auction_id, a.item_name, b.max_price AS current_highest_bid
FROM auction a
LEFT OUTER
JOIN (SELECT b1.auction, MAX(b1.price) max_price FROM bid b1 GROUP BY b1.auction) b ON a.id = b.auction;

-- Auctions with more bids than the mean one.
CREATE MATERIALIZED VIEW q102 AS
SELECT a.id, a.item_name, COUNT(b.auction) AS bid_count
FROM auction a
JOIN bid b ON a.id = b.auction
GROUP BY a.id, a.item_name
HAVING COUNT(b.auction) >= (SELECT COUNT(*) / NULLIF(COUNT(DISTINCT auction), 0) FROM bid);

-- Auctions with at least 20 bids.
CREATE MATERIALIZED VIEW q103 AS
SELECT a.id, a.item_name
FROM auction a
WHERE a.id IN (SELECT b.auction FROM bid b GROUP BY b.auction HAVING COUNT(*) >= 20);

-- Auctions without fewer than 20 bids.
CREATE MATERIALIZED VIEW q104 AS
SELECT a.id, a.item_name
FROM auction a
WHERE a.id NOT IN (SELECT b.auction FROM bid b GROUP BY b.auction HAVING COUNT(*) < 20);

-- The thousand auctions with most bids.
CREATE MATERIALIZED VIEW q105 AS
SELECT a.id, a.item_name, COUNT(b.auction) AS bid_count
FROM auction a
JOIN bid b ON a.id = b.auction
GROUP BY a.id, a.item_name
ORDER BY bid_count DESC LIMIT 1000;

//! The queries of Nexmark, as their authors and others wrote them for their own engines, over three streams: each is what DataFusion computes in
//! batch at every commit. Not among them are those that need sessions (q11), a side input (q13) or a sink of files (q10 but for its query).

use super::oracle::{Random, Subject, check_cases, runtime};
use std::sync::Arc;
use tidelake::sql;

const SOURCES: &str = "
CREATE SOURCE bids (auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, url TEXT, date_time TIMESTAMP, extra TEXT, WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND) FORMAT JSON;
CREATE SOURCE auctions (id BIGINT, item_name TEXT, description TEXT, initial_bid BIGINT, reserve BIGINT, date_time TIMESTAMP, expires TIMESTAMP, seller BIGINT, category BIGINT, extra TEXT, WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND) FORMAT JSON;
CREATE SOURCE persons (id BIGINT, name TEXT, email_address TEXT, credit_card TEXT, city TEXT, state TEXT, date_time TIMESTAMP, extra TEXT, WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND) FORMAT JSON;
CREATE TABLE bid AS SELECT * FROM bids;
CREATE TABLE auction AS SELECT * FROM auctions;
CREATE TABLE person AS SELECT * FROM persons;
";

const QUERIES: &str = r#"
CREATE MATERIALIZED VIEW q0 AS SELECT auction, bidder, price, date_time, extra FROM bid;
CREATE MATERIALIZED VIEW q1 AS SELECT auction, bidder, 0.908 * price as price, date_time, extra FROM bid;
CREATE MATERIALIZED VIEW q2 AS SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0;
CREATE MATERIALIZED VIEW q3 AS SELECT P.name, P.city, P.state, A.id FROM auction AS A INNER JOIN person AS P on A.seller = P.id WHERE A.category = 10 and (P.state = 'OR' OR P.state = 'ID' OR P.state = 'CA');
CREATE MATERIALIZED VIEW q4 AS SELECT Q.category, AVG(Q.final) AS avg FROM (SELECT MAX(B.price) AS final, A.category FROM auction A, bid B WHERE A.id = B.auction AND B.date_time BETWEEN A.date_time AND A.expires GROUP BY A.id, A.category) Q GROUP BY Q.category;
CREATE MATERIALIZED VIEW q5 AS SELECT AuctionBids.auction, AuctionBids.num FROM (SELECT bid.auction, count(*) AS num, window_start AS starttime FROM HOP(bid, date_time, INTERVAL '2' SECOND, INTERVAL '10' SECOND) GROUP BY window_start, bid.auction) AS AuctionBids JOIN (SELECT max(CountBids.num) AS maxn, CountBids.starttime_c FROM (SELECT count(*) AS num, window_start AS starttime_c FROM HOP(bid, date_time, INTERVAL '2' SECOND, INTERVAL '10' SECOND) GROUP BY bid.auction, window_start) AS CountBids GROUP BY CountBids.starttime_c) AS MaxBids ON AuctionBids.starttime = MaxBids.starttime_c AND AuctionBids.num >= MaxBids.maxn;
CREATE MATERIALIZED VIEW q7 AS SELECT B.auction, B.price, B.bidder, B.date_time FROM bid B JOIN (SELECT MAX(price) AS maxprice, window_end as date_time FROM TUMBLE(bid, date_time, INTERVAL '10' SECOND) GROUP BY window_end) B1 ON B.price = B1.maxprice WHERE B.date_time BETWEEN B1.date_time - INTERVAL '10' SECOND AND B1.date_time;
CREATE MATERIALIZED VIEW q8 AS SELECT P.id, P.name, P.starttime FROM (SELECT id, name, window_start AS starttime, window_end AS endtime FROM TUMBLE(person, date_time, INTERVAL '10' SECOND) GROUP BY id, name, window_start, window_end) P JOIN (SELECT seller, window_start AS starttime, window_end AS endtime FROM TUMBLE(auction, date_time, INTERVAL '10' SECOND) GROUP BY seller, window_start, window_end) A ON P.id = A.seller AND P.starttime = A.starttime AND P.endtime = A.endtime;
CREATE MATERIALIZED VIEW q9 AS SELECT id, item_name, description, initial_bid, reserve, date_time, expires, seller, category, auction, bidder, price, bid_dateTime FROM (SELECT A.*, B.auction, B.bidder, B.price, B.date_time AS bid_dateTime, ROW_NUMBER() OVER (PARTITION BY A.id ORDER BY B.price DESC, B.date_time ASC) AS rownum FROM auction A, bid B WHERE A.id = B.auction AND B.date_time BETWEEN A.date_time AND A.expires) WHERE rownum <= 1;
CREATE MATERIALIZED VIEW q10 AS SELECT auction, bidder, price, date_time, extra, TO_CHAR(date_time, 'YYYY-MM-DD') as date, TO_CHAR(date_time, 'HH24:MI') as time FROM bid;
CREATE MATERIALIZED VIEW q12 AS SELECT bidder, count(*) as bid_count, window_start, window_end FROM TUMBLE(bid, date_time, INTERVAL '10' SECOND) GROUP BY bidder, window_start, window_end;
CREATE MATERIALIZED VIEW q14 AS SELECT auction, bidder, 0.908 * price as price, CASE WHEN extract(hour from date_time) >= 8 AND extract(hour from date_time) <= 18 THEN 'dayTime' WHEN extract(hour from date_time) <= 6 OR extract(hour from date_time) >= 20 THEN 'nightTime' ELSE 'otherTime' END AS bidTimeType, date_time, extra FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000;
CREATE MATERIALIZED VIEW q15 AS SELECT TO_CHAR(date_time, 'YYYY-MM-DD') as day, count(*) AS total_bids, count(*) filter (where price < 10000) AS rank1_bids, count(distinct bidder) AS total_bidders, count(distinct bidder) filter (where price < 10000) AS rank1_bidders FROM bid GROUP BY to_char(date_time, 'YYYY-MM-DD');
CREATE MATERIALIZED VIEW q16 AS SELECT channel, to_char(date_time, 'YYYY-MM-DD') as "day", max(to_char(date_time, 'HH24:MI')) as "minute", count(*) AS total_bids, count(distinct auction) filter (where price >= 10000 and price < 1000000) AS r FROM bid GROUP BY channel, to_char(date_time, 'YYYY-MM-DD');
CREATE MATERIALIZED VIEW q17 AS SELECT auction, to_char(date_time, 'YYYY-MM-DD') AS day, count(*) AS total_bids, min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price FROM bid GROUP BY auction, to_char(date_time, 'YYYY-MM-DD');
CREATE MATERIALIZED VIEW q18 AS SELECT auction, bidder, price, channel, url, date_time, extra FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY date_time DESC) AS rank_number FROM bid) WHERE rank_number <= 1;
CREATE MATERIALIZED VIEW q19 AS SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS rank_number FROM bid) WHERE rank_number <= 10;
CREATE MATERIALIZED VIEW q20 AS SELECT auction, bidder, price, channel, url, B.date_time as date_timeB, item_name, description, initial_bid, reserve, A.date_time as date_timeA, expires, seller, category FROM bid AS B INNER JOIN auction AS A on B.auction = A.id WHERE A.category = 10;
CREATE MATERIALIZED VIEW q21 AS SELECT auction, bidder, price, channel, CASE WHEN lower(channel) = 'apple' THEN '0' WHEN lower(channel) = 'google' THEN '1' ELSE (regexp_match(url, '(&|^)channel_id=([^&]*)'))[2] END AS channel_id FROM bid WHERE (regexp_match(url, '(&|^)channel_id=([^&]*)'))[2] is not null or lower(channel) in ('apple', 'google');
CREATE MATERIALIZED VIEW q22 AS SELECT auction, bidder, price, channel, split_part(url, '/', 4) as dir1, split_part(url, '/', 5) as dir2, split_part(url, '/', 6) as dir3 FROM bid;
CREATE MATERIALIZED VIEW q101 AS SELECT a.id AS auction_id, a.item_name, b.max_price AS current_highest_bid FROM auction a LEFT OUTER JOIN (SELECT b1.auction, MAX(b1.price) max_price FROM bid b1 GROUP BY b1.auction) b ON a.id = b.auction;
CREATE MATERIALIZED VIEW q102 AS SELECT a.id, a.item_name, COUNT(b.auction) AS bid_count FROM auction a JOIN bid b ON a.id = b.auction GROUP BY a.id, a.item_name HAVING COUNT(b.auction) >= (SELECT COUNT(*) / NULLIF(COUNT(DISTINCT auction), 0) FROM bid);
CREATE MATERIALIZED VIEW q103 AS SELECT a.id, a.item_name FROM auction a WHERE a.id IN (SELECT b.auction FROM bid b GROUP BY b.auction HAVING COUNT(*) >= 20);
CREATE MATERIALIZED VIEW q104 AS SELECT a.id, a.item_name FROM auction a WHERE a.id NOT IN (SELECT b.auction FROM bid b GROUP BY b.auction HAVING COUNT(*) < 20);
CREATE MATERIALIZED VIEW q105 AS SELECT a.id, a.item_name, COUNT(b.auction) AS bid_count FROM auction a JOIN bid b ON a.id = b.auction GROUP BY a.id, a.item_name ORDER BY bid_count DESC LIMIT 1000;
"#;

/// A record that is a bid, an auction and a person at once: each source takes the columns it declares.
fn record(random: &mut Random, at: i64) -> String {
    let number = |random: &mut Random, below: u64| match random.below(12) {
        0 => "null".to_owned(),
        _ => random.below(below).to_string(),
    };
    let time = tidelake::model::iso_of_micros;
    let expires = time(at + random.below(40_000_000) as i64);
    let (id, auction, bidder) = (number(random, 9), number(random, 9), number(random, 6));
    let (seller, category) = (number(random, 9), 9 + random.below(3));
    let (price, reserve) = (number(random, 3_000_000), number(random, 50));
    let state = ["OR", "ID", "CA", "NY"][random.below(4) as usize];
    let channel = ["apple", "Google", "x"][random.below(3) as usize];
    let name = random.below(5);
    format!(
        "{{\"date_time\":\"{}\",\"expires\":\"{expires}\",\"id\":{id},\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"seller\":{seller},\"category\":{category},\
         \"initial_bid\":{reserve},\"reserve\":{reserve},\"item_name\":\"i{name}\",\"description\":\"d\",\"name\":\"n{name}\",\"email_address\":null,\"credit_card\":null,\
         \"city\":\"c{name}\",\"state\":\"{state}\",\"channel\":\"{channel}\",\"url\":\"https://e.x/a/b{name}/c?channel_id={name}\",\"extra\":\"e\"}}",
        time(at)
    )
}

#[test]
fn nexmark_equals_a_batch() {
    let text = format!("{SOURCES}{QUERIES}");
    let planned = runtime().block_on(sql::plan_text("nexmark", &text, |_| None));
    let subject = Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record,
    };
    check_cases(&subject, 8, 240);
}

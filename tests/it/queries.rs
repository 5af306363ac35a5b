//! Queries as analysts write them, over two sources whose clocks differ: joins of every kind, sub-queries and sets, single records, window functions,
//! aggregates of whole groups. At every commit each view is what DataFusion computes in batch.

use super::oracle::{
    Lake, S_AND_O, Scenario, Subject, check_cases, lake_after, runtime, small_record,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelake::engine::StateContent;
use tidelake::plan::Dataflow;
use tidelake::sql;

/// Groups and windows that queries read besides records.
const GROUPED: &str = "
CREATE MATERIALIZED VIEW of_s AS SELECT k, j, count(*) AS c, sum(n) AS n, max(d) AS d FROM raw_s GROUP BY k, j;
CREATE MATERIALIZED VIEW of_o AS SELECT k, j, count(*) AS c, sum(n) AS n, max(d) AS d FROM raw_o WHERE b GROUP BY k, j;
CREATE MATERIALIZED VIEW windows_s AS SELECT window_start, k, count(*) AS c, sum(n) AS n FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW windows_o AS SELECT window_start, k, count(*) AS c, sum(n) AS n FROM TUMBLE(raw_o, at, INTERVAL '10' SECOND) GROUP BY window_start, k;
";

/// What all of them read.
pub(super) fn sources() -> String {
    format!("{S_AND_O}{GROUPED}")
}

fn equal_a_batch(views: &str, cases: u32, records_max: usize) {
    equal_a_batch_over(&sources(), views, cases, records_max);
}

fn equal_a_batch_over(sources: &str, views: &str, cases: u32, records_max: usize) {
    let text = sources.to_owned() + views;
    let planned = runtime().block_on(sql::plan_text("joins", &text, |_| None));
    let subject = Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record: small_record,
    };
    check_cases(&subject, cases, records_max);
}

#[test]
fn joined_records_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW inner_join AS SELECT a.k, a.n, c.x, c.at FROM raw_s a JOIN raw_o c ON a.k = c.k AND a.j = c.j;
CREATE MATERIALIZED VIEW computed_key AS SELECT a.k, c.k AS other, a.j FROM raw_s a JOIN raw_o c ON a.j + 1 = c.n AND upper(a.k) = upper(c.k);
CREATE MATERIALIZED VIEW grouped AS SELECT a.k, count(*) AS c, sum(c.n) AS n, max(a.x) AS x FROM raw_s a JOIN raw_o c ON a.k = c.k AND a.d = c.d WHERE a.b GROUP BY a.k;
CREATE MATERIALIZED VIEW left_join AS SELECT a.k, a.n, c.x FROM raw_s a LEFT JOIN raw_o c ON a.k = c.k AND a.n = c.n;
CREATE MATERIALIZED VIEW right_join AS SELECT a.k, a.n, c.x, c.k AS other FROM raw_s a RIGHT JOIN raw_o c ON a.n = c.n;
CREATE MATERIALIZED VIEW full_join AS SELECT a.k, a.n, c.x, c.n AS other FROM raw_s a FULL JOIN raw_o c ON a.n = c.n AND a.b = c.b;
CREATE MATERIALIZED VIEW apart AS SELECT a.k, a.x, c.x AS y FROM raw_s a LEFT JOIN raw_o c ON a.k = c.k AND c.x < a.x AND c.j = a.j;
CREATE MATERIALIZED VIEW full_apart AS SELECT a.j, c.j AS other, a.x, c.x AS y FROM raw_s a FULL JOIN raw_o c ON a.j = c.j AND a.n > c.n AND a.d = c.d;
CREATE MATERIALIZED VIEW itself AS SELECT a.k, a.n, c.n AS m FROM raw_s a JOIN raw_s c ON a.n = c.n AND a.at < c.at;
CREATE MATERIALIZED VIEW three AS SELECT a.k, count(*) AS c FROM raw_s a JOIN raw_o c USING (n) JOIN of_s e ON e.k = c.k AND e.j = a.j GROUP BY a.k;
CREATE MATERIALIZED VIEW last_alike AS SELECT c.k, c.j FROM raw_s a JOIN raw_o c ON a.n = c.j AND a.k = c.k ORDER BY c.j DESC, 1 LIMIT 4;
CREATE MATERIALIZED VIEW last_joined AS SELECT a.k, a.at, c.x FROM raw_s a JOIN raw_o c ON a.k = c.k AND a.j = c.j ORDER BY a.at DESC, c.x DESC LIMIT 4;
",
        12,
        260,
    );
}

#[test]
fn joined_views_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW views AS SELECT a.k, a.j, a.c, c.c AS d FROM of_s a JOIN of_o c ON a.k = c.k AND a.j = c.j;
CREATE MATERIALIZED VIEW left_views AS SELECT a.k, a.j, a.n, c.n AS m FROM of_s a LEFT JOIN of_o c ON a.k = c.k AND a.j = c.j AND c.c > 3;
CREATE MATERIALIZED VIEW full_views AS SELECT coalesce(a.k, c.k) AS k, a.c, c.c AS d FROM of_s a FULL JOIN of_o c ON a.k = c.k AND a.j = c.j;
CREATE MATERIALIZED VIEW with_records AS SELECT a.k, a.n, c.c FROM raw_s a JOIN of_o c ON a.k = c.k AND a.j = c.j;
CREATE MATERIALIZED VIEW every_pair AS SELECT a.k, c.k AS other, a.c + c.c AS c FROM of_s a, of_o c WHERE a.c < c.c;
CREATE MATERIALIZED VIEW shares AS SELECT a.k, sum(a.c) AS c, max(t.c) AS of FROM of_s a CROSS JOIN (SELECT sum(c) AS c FROM of_s) t GROUP BY a.k;
CREATE MATERIALIZED VIEW of_views AS SELECT k, sum(d) AS d, count(*) AS c FROM views GROUP BY k;
CREATE MATERIALIZED VIEW windows AS SELECT a.window_start, a.k, a.c, c.c AS d FROM windows_s a JOIN windows_o c ON a.window_start = c.window_start AND a.k = c.k;
CREATE MATERIALIZED VIEW left_windows AS SELECT a.window_start, a.k, a.n, c.n AS m FROM windows_s a LEFT JOIN windows_o c ON a.window_start = c.window_start AND a.k = c.k AND a.c < c.c;
CREATE MATERIALIZED VIEW full_windows AS SELECT a.window_start, c.window_start AS other, a.k, a.c, c.c AS d FROM windows_s a FULL JOIN windows_o c ON a.window_start = c.window_start AND a.k = c.k;
CREATE MATERIALIZED VIEW only_here AS SELECT a.window_start, a.k, a.c FROM windows_s a WHERE NOT EXISTS (SELECT 1 FROM windows_o c WHERE a.window_start = c.window_start AND a.k = c.k);
CREATE MATERIALIZED VIEW of_windows AS SELECT window_start, count(*) AS k, sum(c + d) AS c FROM windows GROUP BY window_start;
CREATE MATERIALIZED VIEW without_window AS SELECT a.k, a.c, c.c AS d FROM windows_s a JOIN windows_o c ON a.window_start = c.window_start AND a.k = c.k;
CREATE MATERIALIZED VIEW inside AS SELECT a.window_start, a.c, c.x FROM
  (SELECT window_start, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '20' SECOND) GROUP BY window_start) a
  JOIN (SELECT window_start, max(x) AS x FROM TUMBLE(raw_o, at, INTERVAL '20' SECOND) GROUP BY window_start) c ON a.window_start = c.window_start;
",
        12,
        320,
    );
}

#[test]
fn rows_that_come_and_go_by_the_clock_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW newest AS SELECT k, n, at FROM raw_s WHERE at > now() - INTERVAL '20' SECOND;
CREATE MATERIALIZED VIEW since AS SELECT k, n, at FROM raw_s WHERE at + INTERVAL '15' SECOND <= now() AND b;
CREATE MATERIALIZED VIEW between_both AS SELECT k, n, at, now_k FROM (SELECT *, k AS now_k FROM raw_s) WHERE at BETWEEN now() - INTERVAL '40' SECOND AND now() - INTERVAL '10' SECOND;
CREATE MATERIALIZED VIEW of_own_length AS SELECT k, n, at FROM raw_o WHERE now() < date_bin(INTERVAL '30' SECOND, at) + INTERVAL '45' SECOND AND now() - at >= INTERVAL '1' SECOND;
CREATE MATERIALIZED VIEW in_union AS SELECT k, n FROM raw_s WHERE at >= now() - INTERVAL '30' SECOND UNION ALL SELECT k, n FROM raw_o WHERE now() - INTERVAL '25' SECOND < at;
CREATE MATERIALIZED VIEW joined_newest AS SELECT a.k, a.n, c.n AS m FROM raw_s a JOIN raw_o c ON a.k = c.k AND a.j = c.j WHERE a.at > now() - INTERVAL '30' SECOND AND c.at > now() - INTERVAL '60' SECOND;
CREATE MATERIALIZED VIEW left_newest AS SELECT a.k, a.n, c.c FROM (SELECT k, n FROM raw_s WHERE at > now() - INTERVAL '30' SECOND) a LEFT JOIN of_o c ON a.k = c.k AND c.c > 3;
CREATE MATERIALIZED VIEW first_of_newest AS SELECT k, n, at FROM raw_s WHERE at > now() - INTERVAL '30' SECOND QUALIFY row_number() OVER (PARTITION BY k ORDER BY n DESC, at) <= 2;
CREATE MATERIALIZED VIEW last_five AS SELECT k, n, at FROM raw_s WHERE at > now() - INTERVAL '30' SECOND ORDER BY n DESC, at LIMIT 5;
CREATE MATERIALIZED VIEW counts AS SELECT k, count(*) AS c, min(n) AS least, count(DISTINCT j) AS js FROM raw_s WHERE now() <= at + INTERVAL '12' SECOND GROUP BY k;
CREATE MATERIALIZED VIEW distinct_newest AS SELECT DISTINCT k, j FROM raw_s WHERE at > now() - INTERVAL '20' SECOND;
CREATE MATERIALIZED VIEW seen AS SELECT k, max(at) AS last, count(*) AS c FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW seen_lately AS SELECT k, last, c FROM seen WHERE last > now() - INTERVAL '10' SECOND;
CREATE MATERIALIZED VIEW silent AS SELECT k, last FROM seen WHERE last + INTERVAL '8' SECOND < now();
CREATE MATERIALIZED VIEW windows_of_late AS SELECT window_start, k, c FROM windows_s WHERE window_start > now() - INTERVAL '1' MINUTE;
CREATE MATERIALIZED VIEW windows_over AS SELECT window_start, k, c FROM windows_s WHERE window_start + INTERVAL '20' SECOND <= now();
CREATE MATERIALIZED VIEW lasting AS SELECT k, n, at FROM raw_s WHERE at > now() - INTERVAL '20' SECOND OR n > 10 OR j IS NULL;
CREATE MATERIALIZED VIEW either_way AS SELECT k, max(n) AS n FROM raw_s WHERE at > now() - INTERVAL '50' SECOND AND at <= now() - INTERVAL '5' SECOND GROUP BY k;
",
        12,
        300,
    );
}

/// Without an event time `now()` is when records arrive.
#[test]
fn rows_that_come_and_go_by_arrival_equal_a_batch() {
    const SOURCES: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, j INT, n BIGINT, x DOUBLE, b BOOLEAN, d DATE) FORMAT JSON;
CREATE SOURCE o (at TIMESTAMP NOT NULL, k TEXT, j INT, n BIGINT, x DOUBLE, b BOOLEAN, d DATE) FORMAT JSON;
CREATE TABLE raw_s AS SELECT * FROM s;
CREATE TABLE raw_o AS SELECT * FROM o;
";
    equal_a_batch_over(
        SOURCES,
        "
CREATE MATERIALIZED VIEW newest AS SELECT k, n, at FROM raw_s WHERE at > now() - INTERVAL '110' SECOND;
CREATE MATERIALIZED VIEW counts AS SELECT k, count(*) AS c, max(n) AS n FROM s WHERE at >= now() - INTERVAL '100' SECOND GROUP BY k;
CREATE MATERIALIZED VIEW since AS SELECT k, n, at FROM s WHERE at + INTERVAL '2' MINUTE <= now();
CREATE MATERIALIZED VIEW of_both AS SELECT a.k, a.n, c.n AS m FROM s a JOIN o c ON a.k = c.k AND a.j = c.j WHERE a.at > now() - INTERVAL '105' SECOND;
CREATE MATERIALIZED VIEW united AS SELECT k, count(*) AS c FROM (SELECT k, at FROM s UNION ALL SELECT k, at FROM o) AS u WHERE at > now() - INTERVAL '110' SECOND GROUP BY k;
CREATE MATERIALIZED VIEW seen_lately AS SELECT k, max(at) AS last FROM o GROUP BY k HAVING max(at) > now() - INTERVAL '90' SECOND;
CREATE MATERIALIZED VIEW lasting AS SELECT k, n, at FROM s WHERE at > now() - INTERVAL '100' SECOND OR n > 10;
CREATE MATERIALIZED VIEW old_or AS SELECT k, n, at FROM raw_s WHERE b OR at <= now() - INTERVAL '100' SECOND OR k IS NULL;
CREATE MATERIALIZED VIEW first_of_newest AS SELECT k, n, at FROM s WHERE at > now() - INTERVAL '100' SECOND QUALIFY row_number() OVER (PARTITION BY k ORDER BY n DESC, at) <= 2;
",
        16,
        260,
    );
}

#[test]
fn as_of_joins_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW before AS SELECT a.k, a.at, a.n, c.x, c.at AS since FROM raw_s a ASOF JOIN raw_o c ON a.k = c.k AND a.at >= c.at;
CREATE MATERIALIZED VIEW before_or_none AS SELECT a.k, a.j, a.at, c.x FROM raw_s a ASOF LEFT JOIN raw_o c ON c.k = a.k AND a.j = c.j AND a.at > c.at;
CREATE MATERIALIZED VIEW matched AS SELECT * FROM raw_s a LEFT ASOF JOIN (SELECT k AS key, n AS m, at AS since FROM raw_o) c MATCH_CONDITION (a.at >= c.since) ON a.k = c.key;
CREATE MATERIALIZED VIEW behind AS SELECT a.k, a.n, c.n AS next FROM raw_s a ASOF LEFT JOIN raw_o c ON a.k = c.k AND a.n <= c.n;
CREATE MATERIALIZED VIEW strictly_behind AS SELECT a.k, a.d, c.d AS next, c.x FROM raw_s a ASOF JOIN raw_s c ON a.k = c.k AND a.d < c.d WHERE c.x > 3;
CREATE MATERIALIZED VIEW of_groups AS SELECT a.k, a.j, a.c, c.j AS other, c.n FROM of_s a ASOF LEFT JOIN of_o c ON a.k = c.k AND a.c >= c.c;
CREATE MATERIALIZED VIEW grouped AS SELECT c.j, count(*) AS c, sum(a.n) AS n FROM raw_s a ASOF JOIN raw_o c ON a.k = c.k AND a.at >= c.at - INTERVAL '3' SECOND GROUP BY c.j;
CREATE MATERIALIZED VIEW twice AS SELECT a.at, a.k, c.n, e.x FROM raw_s a ASOF JOIN raw_o c ON a.k = c.k AND a.at >= c.at ASOF LEFT JOIN raw_o e ON e.j = c.j AND e.at >= a.at;
",
        12,
        260,
    );
}

#[test]
fn sub_queries_and_sets_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW semi AS SELECT k, n FROM raw_s WHERE n IN (SELECT n FROM raw_o WHERE b);
CREATE MATERIALIZED VIEW anti AS SELECT k, n FROM raw_s a WHERE NOT EXISTS (SELECT 1 FROM raw_o c WHERE c.n = a.n AND c.x > a.x);
CREATE MATERIALIZED VIEW not_in AS SELECT k, n FROM raw_s WHERE n NOT IN (SELECT n FROM raw_o WHERE b AND n < 15);
CREATE MATERIALIZED VIEW not_in_nulls AS SELECT k, j FROM raw_s WHERE j NOT IN (SELECT j FROM raw_o WHERE n > 18);
CREATE MATERIALIZED VIEW lateral AS SELECT a.k, a.n, t.x FROM raw_s a JOIN LATERAL (SELECT max(x) AS x FROM raw_o c WHERE c.n = a.n) t ON true WHERE a.b;
CREATE MATERIALIZED VIEW semi_join AS SELECT a.k, a.c FROM of_s a LEFT SEMI JOIN of_o c ON a.k = c.k AND a.c > c.c;
CREATE MATERIALIZED VIEW marked AS SELECT k, n FROM raw_s a WHERE b OR EXISTS (SELECT 1 FROM raw_o c WHERE c.n = a.n);
CREATE MATERIALIZED VIEW above AS SELECT k, j, c FROM of_s WHERE c > (SELECT avg(c) FROM of_o);
CREATE MATERIALIZED VIEW above_own AS SELECT k, j, c FROM of_s a WHERE c >= (SELECT max(c) FROM of_o i WHERE i.k = a.k);
CREATE MATERIALIZED VIEW as_value AS SELECT k, j, (SELECT count(*) FROM of_o) AS others FROM of_s;
CREATE MATERIALIZED VIEW intersect_all AS SELECT k, j FROM raw_s INTERSECT SELECT k, j FROM raw_o WHERE b;
CREATE MATERIALIZED VIEW except_view AS SELECT k, d FROM raw_s EXCEPT SELECT k, d FROM raw_o;
CREATE MATERIALIZED VIEW unioned AS SELECT k, j FROM of_s UNION SELECT k, j FROM of_o;
CREATE MATERIALIZED VIEW names AS WITH large AS (SELECT k, c FROM of_s WHERE c > 2) SELECT a.k, a.c, i.c AS d FROM large a JOIN large i ON a.k = i.k AND a.c < i.c;
",
        12,
        300,
    );
}

#[test]
fn correlated_sub_queries_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW not_in AS SELECT k, n FROM raw_s a WHERE j NOT IN (SELECT j FROM raw_o c WHERE c.k = a.k AND c.n < a.n);
CREATE MATERIALIZED VIEW two_up AS SELECT k, j FROM of_s a WHERE j IN (SELECT j FROM of_o c WHERE k IN (SELECT k FROM of_s e WHERE e.c <= a.c));
CREATE MATERIALIZED VIEW in_on AS SELECT k, n FROM raw_s a WHERE b AND EXISTS (SELECT 1 FROM of_o c LEFT JOIN of_s e ON c.k = e.k AND c.j = a.j WHERE c.k = a.k AND e.k IS NULL);
CREATE MATERIALIZED VIEW first_in AS SELECT k, j, c FROM of_s a WHERE c IN (SELECT c FROM of_o i WHERE i.k = a.k ORDER BY c DESC, j LIMIT 2);
CREATE MATERIALIZED VIEW within AS SELECT k, c, (SELECT count(*) FILTER (WHERE i.c < a.c) FROM of_o i WHERE i.j = a.j) AS less, (SELECT sum(i.n + a.c) FROM of_o i) AS both FROM of_s a;
CREATE MATERIALIZED VIEW unknown AS SELECT k, j, n FROM raw_s WHERE j NOT IN (SELECT j FROM raw_o WHERE n > 18) OR n = 7;
CREATE MATERIALIZED VIEW of_window AS SELECT window_start, k, c FROM windows_s a WHERE c >= ALL (SELECT c FROM windows_o i WHERE i.window_start = a.window_start AND i.k <> a.k);
CREATE MATERIALIZED VIEW inside AS SELECT a.window_start, a.k, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) a WHERE a.n NOT IN (SELECT n FROM of_o i WHERE i.k = a.k) GROUP BY a.window_start, a.k;
CREATE MATERIALIZED VIEW named AS SELECT k, j, (SELECT i.c FROM of_o i WHERE i.k = a.k AND i.j = a.j) AS c FROM raw_s a WHERE b;
CREATE MATERIALIZED VIEW not_distinct AS SELECT a.k, c.c FROM of_s a JOIN of_o c ON a.j IS NOT DISTINCT FROM c.j WHERE a.k = c.k AND a.n = c.n;
",
        8,
        200,
    );
}

#[test]
fn columns_under_other_names_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW both_sides AS SELECT * FROM of_s a JOIN of_o c ON a.k = c.k AND a.j = c.j;
CREATE VIEW both AS SELECT a.*, c.* FROM raw_s a JOIN raw_o c ON a.n = c.n AND a.k = c.k;
CREATE MATERIALIZED VIEW of_both AS SELECT k, j, k_1, j_1, max(x_1) AS x, count(*) AS c FROM both GROUP BY k, j, k_1, j_1;
CREATE MATERIALIZED VIEW repeated AS WITH t (key) AS (SELECT k, sum(n) AS n, count(*) AS c FROM raw_s GROUP BY k) SELECT t.*, t.key, max(c), max(c) FROM t GROUP BY key, n, c;
CREATE MATERIALIZED VIEW left_out AS SELECT * EXCEPT (c.k, a.n, c.d, a.d) FROM of_s a LEFT JOIN of_o c ON a.k = c.k AND a.j = c.j;
CREATE MATERIALIZED VIEW pivoted AS SELECT * FROM (SELECT k, j, n FROM raw_s) PIVOT (sum(n) AS n, count(*) AS c FOR j IN (1 AS one, 2 AS two));
CREATE MATERIALIZED VIEW apart AS SELECT k, timestampdiff(MONTH, at, d) AS months, timestampdiff(YEAR, d, at) AS years, format('%s/%s', k, n) AS text, array_agg(n)[1:2] AS two FROM raw_o GROUP BY k, at, d, n;
",
        6,
        160,
    );
}

#[test]
fn sessions_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW per_key AS SELECT k, window_start, window_end, count(*) AS c, sum(n) AS n FROM SESSION(raw_s PARTITION BY k, at, INTERVAL '3' SECOND) GROUP BY k, window_start, window_end;
CREATE MATERIALIZED VIEW of_all AS SELECT window_end, count(*) AS c, max(n) AS n FROM SESSION(raw_o, at, INTERVAL '1' SECOND) GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW two_keys AS SELECT window_start, window_end, j, k, count(DISTINCT n) AS c FROM SESSION(raw_o PARTITION BY k, j, at, INTERVAL '5' SECOND) WHERE b GROUP BY window_start, window_end, k, j;
CREATE MATERIALIZED VIEW records_of AS SELECT k, n, at, window_end FROM SESSION(raw_s PARTITION BY (k), at, INTERVAL '2' SECOND);
CREATE MATERIALIZED VIEW without_bounds AS SELECT k, count(*) AS c FROM SESSION(raw_s PARTITION BY k, at, INTERVAL '2' SECOND) GROUP BY k;
CREATE MATERIALIZED VIEW starts AS SELECT k, window_start, count(*) AS c FROM SESSION(raw_s PARTITION BY k, at, INTERVAL '4' SECOND) GROUP BY k, window_start;
CREATE MATERIALIZED VIEW without_end AS SELECT k, n, window_start FROM SESSION(raw_o PARTITION BY k, at, INTERVAL '2' SECOND) WHERE n > 5;
CREATE MATERIALIZED VIEW numbered AS SELECT k, n, window_end, row_number() OVER (PARTITION BY window_end, k ORDER BY n DESC) AS place FROM SESSION(raw_s PARTITION BY k, at, INTERVAL '3' SECOND);
CREATE MATERIALIZED VIEW longest AS SELECT k, max(window_end - window_start) AS longest FROM per_key GROUP BY k;
CREATE MATERIALIZED VIEW of_sessions AS SELECT window_end, sum(c) AS c, count(*) AS sessions FROM per_key GROUP BY window_end;
CREATE VIEW named AS SELECT at, upper(k) AS name, x FROM raw_s WHERE b;
CREATE MATERIALIZED VIEW of_a_name AS SELECT name, window_end, max(x) AS x FROM SESSION(named PARTITION BY name, at, INTERVAL '3' SECOND) GROUP BY name, window_start, window_end;
",
        6,
        200,
    );
}

#[test]
fn single_records_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW filtered AS SELECT at, k, n * 2 AS n FROM raw_s WHERE b AND x > 3;
CREATE MATERIALIZED VIEW of_both AS SELECT at, k, x FROM raw_s WHERE b UNION ALL SELECT at, k, x FROM raw_o;
CREATE MATERIALIZED VIEW of_records AS SELECT k, count(*) AS c, max(n) AS n FROM filtered GROUP BY k;
CREATE MATERIALIZED VIEW further AS SELECT k, n FROM filtered WHERE k <> 'a';
CREATE MATERIALIZED VIEW with_groups AS SELECT k, n FROM filtered UNION ALL SELECT k, n FROM of_o;
CREATE MATERIALIZED VIEW everything AS SELECT * FROM raw_s WHERE j = 1;
CREATE MATERIALIZED VIEW both_sides AS SELECT * FROM (SELECT k AS other, n FROM raw_s) a JOIN (SELECT * FROM raw_o WHERE b) AS c USING (n);
CREATE MATERIALIZED VIEW own_side AS SELECT c.*, a.k AS other FROM raw_s a JOIN raw_o c ON a.n = c.n;
CREATE MATERIALIZED VIEW all_of_windows AS SELECT * FROM TUMBLE(raw_o, at, INTERVAL '10' SECOND) WHERE j = 2;
CREATE MATERIALIZED VIEW newest_of_all AS SELECT * FROM raw_o ORDER BY at DESC LIMIT 3;
CREATE MATERIALIZED VIEW of_windows AS SELECT window_start, window_end, k, n FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) WHERE b;
CREATE MATERIALIZED VIEW windows_of_both AS SELECT window_start, count(*) AS c, sum(n) AS n FROM
  (SELECT window_start, n FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) UNION ALL SELECT window_start, n FROM TUMBLE(raw_o, at, INTERVAL '10' SECOND)) AS u GROUP BY window_start;
CREATE MATERIALIZED VIEW on_time AS SELECT k, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY k;
CREATE MATERIALIZED VIEW joined_windows AS SELECT a.window_start, a.k, c.x FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) a JOIN TUMBLE(raw_o, at, INTERVAL '10' SECOND) c
  ON a.window_start = c.window_start AND a.k = c.k;
CREATE MATERIALIZED VIEW counted_windows AS SELECT a.window_start, count(*) AS c, max(c.n) AS n FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) a JOIN TUMBLE(raw_o, at, INTERVAL '10' SECOND) c
  ON a.window_start = c.window_start GROUP BY a.window_start;
CREATE MATERIALIZED VIEW last_of_windows AS SELECT window_start, k, n FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) ORDER BY window_start DESC, n LIMIT 3;
",
        12,
        300,
    );
}

#[test]
fn values_of_every_type_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW amounts AS SELECT at, k, j, TRY_CAST(x AS DECIMAL(12, 3)) AS amount, b FROM raw_s;
CREATE MATERIALIZED VIEW sums AS SELECT k, sum(amount) AS total, avg(amount) AS mean, min(amount) AS least, max(amount) AS most, count(DISTINCT amount) AS c,
  sum(amount * 2.5) AS more, stddev(amount) AS spread, sum(DISTINCT amount) AS once FROM amounts GROUP BY k;
CREATE MATERIALIZED VIEW by_amount AS SELECT CAST(amount AS DECIMAL(10, 1)) AS about, count(*) AS c, max(k) AS k FROM amounts GROUP BY CAST(amount AS DECIMAL(10, 1));
CREATE MATERIALIZED VIEW of_windows AS SELECT window_start, sum(TRY_CAST(x AS DECIMAL(12, 3))) AS total, avg(TRY_CAST(x AS DECIMAL(12, 3))) AS mean FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY window_start;
CREATE MATERIALIZED VIEW of_sums AS SELECT sum(total) AS total, max(mean) AS mean, sum(CAST(c AS DECIMAL(38, 0)) * 100000000000000000000000000000000000) AS huge FROM sums;
CREATE MATERIALIZED VIEW largest AS SELECT k, amount FROM amounts ORDER BY amount DESC NULLS LAST, k LIMIT 4;
CREATE MATERIALIZED VIEW ranked AS SELECT k, amount FROM (SELECT k, amount, row_number() OVER (PARTITION BY k ORDER BY amount DESC) AS r FROM amounts) WHERE r <= 2;
CREATE MATERIALIZED VIEW joined AS SELECT a.k, a.amount, c.x FROM amounts a JOIN raw_o c ON a.amount = TRY_CAST(c.x AS DECIMAL(12, 3));
CREATE MATERIALIZED VIEW listed AS SELECT k, array_agg(n) AS ns, array_agg(DISTINCT d) AS days, array_agg(amount) AS amounts FROM (SELECT k, n, d, TRY_CAST(x AS DECIMAL(8, 2)) AS amount FROM raw_s) GROUP BY k;
CREATE MATERIALIZED VIEW of_lists AS SELECT k, ns[1] AS first, cardinality(ns) AS c, array_to_string(amounts, ',') AS text FROM listed;
CREATE MATERIALIZED VIEW by_list AS SELECT make_array(k, upper(k)) AS ks, count(*) AS c, max(n) AS n FROM raw_s GROUP BY make_array(k, upper(k));
CREATE MATERIALIZED VIEW by_struct AS SELECT named_struct('k', k, 'b', b) AS s, count(*) AS c, sum(n) AS n FROM raw_o GROUP BY named_struct('k', k, 'b', b);
CREATE MATERIALIZED VIEW of_structs AS SELECT s['k'] AS k, sum(n) AS n FROM by_struct GROUP BY s['k'];
CREATE MATERIALIZED VIEW bytes AS SELECT arrow_cast(k, 'Binary') AS raw, count(*) AS c, max(arrow_cast(k, 'Binary')) AS most FROM raw_s GROUP BY arrow_cast(k, 'Binary');
CREATE MATERIALIZED VIEW times AS SELECT CAST(at AS TIME) AS time, at - TIMESTAMP '2026-01-01T00:00:00Z' AS since, k FROM raw_s WHERE b;
CREATE MATERIALIZED VIEW by_time AS SELECT time, since, count(*) AS c FROM (SELECT CAST(at AS TIME) AS time, at - TIMESTAMP '2026-01-01T00:00:00Z' AS since FROM raw_o) GROUP BY time, since;
CREATE MATERIALIZED VIEW latest AS SELECT k, max(CAST(at AS TIME)) AS time FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW documents AS SELECT k, j, '{\"n\": ' || CAST(n AS TEXT) || ', \"of\": [{\"k\": \"' || k || '\"}, null]}' AS json FROM raw_s;
CREATE MATERIALIZED VIEW of_documents AS SELECT json -> 'of' -> 0 ->> 'k' AS k, sum(CAST(json ->> 'n' AS BIGINT)) AS n, max(json_value(json, '$.of[0].k')) AS same,
  count(json -> 'of' ->> 1) AS none FROM documents WHERE json ->> 'n' <> '7' GROUP BY json -> 'of' -> 0 ->> 'k';
CREATE MATERIALIZED VIEW small AS SELECT CAST(j AS SMALLINT) AS s, CAST(x AS REAL) AS r, CAST(n AS BIGINT UNSIGNED) AS u, count(*) AS c FROM raw_s WHERE 0 <= n GROUP BY 1, 2, 3;
",
        12,
        260,
    );
}

#[test]
fn windows_over_partitions_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW numbered AS SELECT k, n, at, row_number() OVER (PARTITION BY k ORDER BY n DESC) AS r FROM raw_s;
CREATE MATERIALIZED VIEW first_two AS SELECT k, n, x FROM (SELECT k, n, x, row_number() OVER (PARTITION BY k ORDER BY n DESC NULLS LAST) AS r FROM raw_s) AS i WHERE r <= 2;
CREATE MATERIALIZED VIEW newest_of_each AS SELECT k, j, x FROM raw_s QUALIFY row_number() OVER (PARTITION BY k, j ORDER BY at DESC) = 1;
CREATE MATERIALIZED VIEW ranked AS SELECT k, j, c, rank() OVER w AS r, dense_rank() OVER w AS d, count(*) OVER (PARTITION BY k) AS many FROM of_s WINDOW w AS (PARTITION BY k ORDER BY c DESC);
CREATE MATERIALIZED VIEW steps AS SELECT k, at, n - lag(n) OVER (PARTITION BY k ORDER BY at) AS up, lead(n, 2, 0) OVER (PARTITION BY k ORDER BY at) AS later FROM raw_s WHERE n < 1000;
CREATE MATERIALIZED VIEW running AS SELECT k, at, sum(n) OVER (PARTITION BY k ORDER BY at ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS n,
  max(x) OVER (PARTITION BY k ORDER BY at) AS x, first_value(n) OVER (PARTITION BY k ORDER BY at) AS first FROM raw_o;
CREATE MATERIALIZED VIEW with_ties AS SELECT k, j, x FROM (SELECT k, j, x, rank() OVER (PARTITION BY k ORDER BY j DESC) AS r FROM raw_o) AS i WHERE 3 > r;
CREATE MATERIALIZED VIEW first_of_all AS SELECT n, k FROM raw_s QUALIFY row_number() OVER (ORDER BY n) < 4;
CREATE MATERIALIZED VIEW share AS SELECT k, j, c, sum(c) OVER () AS of_all, sum(c) OVER (PARTITION BY upper(k)) AS of_k FROM of_s;
CREATE MATERIALIZED VIEW first_of_windows AS SELECT window_start, k, c FROM (SELECT window_start, k, c, row_number() OVER (PARTITION BY window_start ORDER BY c DESC) AS r FROM windows_s) AS i WHERE r <= 2;
CREATE MATERIALIZED VIEW distinct_on AS SELECT DISTINCT ON (k) k, n, x, at FROM raw_s ORDER BY k, n;
CREATE MATERIALIZED VIEW of_first AS SELECT k, sum(n) AS n, count(*) AS c FROM first_two GROUP BY k;
",
        12,
        200,
    );
}

#[test]
fn aggregates_of_whole_groups_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW flags AS SELECT k, bool_and(b) AS every, bool_or(b) AS any, bit_and(j) AS bits, bit_xor(n) AS x FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW texts AS SELECT j, string_agg(k, ',' ORDER BY n DESC) AS ks, string_agg(upper(k), '' ORDER BY n DESC) AS of FROM raw_s GROUP BY j;
CREATE MATERIALIZED VIEW distinct_texts AS SELECT j, string_agg(DISTINCT k, '') AS of FROM raw_s GROUP BY j;
CREATE MATERIALIZED VIEW ends AS SELECT k, first_value(n ORDER BY at) AS first, last_value(x ORDER BY at) AS last, count(*) AS c FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW middles AS SELECT k, median(n) AS n, percentile_cont(0.9) WITHIN GROUP (ORDER BY x) AS x, sum(DISTINCT n) AS once, approx_distinct(n) AS many FROM raw_o WHERE abs(n) < 1000 AND abs(x) < 1000 GROUP BY k;
CREATE MATERIALIZED VIEW overall AS SELECT median(n) AS n, bool_or(b) AS b FROM raw_s WHERE n < 1000;
CREATE MATERIALIZED VIEW rolled_up AS SELECT k, j, grouping(k) AS gk, grouping(j) AS gj, count(*) AS c, sum(n) AS n, max(x) AS x FROM raw_s GROUP BY ROLLUP (k, j);
CREATE MATERIALIZED VIEW cubed AS SELECT k, b, count(*) AS c FROM raw_o GROUP BY CUBE (k, b);
CREATE MATERIALIZED VIEW sets AS SELECT k, j, d, median(n) AS n FROM raw_o WHERE n < 1000 GROUP BY GROUPING SETS ((k, j), (d), ());
CREATE MATERIALIZED VIEW window_sets AS SELECT window_start, k, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY GROUPING SETS ((window_start, k), (window_start));
CREATE MATERIALIZED VIEW of_views AS SELECT k, string_agg(CAST(c AS TEXT), ' ' ORDER BY j) AS cs FROM of_s GROUP BY k;
CREATE MATERIALIZED VIEW in_windows AS SELECT window_start, k, median(n) AS n, string_agg(CAST(j AS TEXT), ',' ORDER BY at) AS js FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) WHERE n < 1000 GROUP BY window_start, k;
CREATE MATERIALIZED VIEW half AS SELECT j % 2 AS half, bool_and(b) AS b, min(DISTINCT n) AS n FROM raw_s GROUP BY j % 2;
",
        12,
        260,
    );
}

#[test]
fn statistics_of_pairs_and_orders_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW lines AS SELECT k, corr(x, n) AS r, covar_samp(x, n) AS cs, covar_pop(x, j) AS cp, regr_slope(x, n) AS m, regr_intercept(x, n) AS b, regr_r2(x, j) AS r2,
  regr_avgx(x, j) AS ax, regr_avgy(x, j) AS ay, regr_sxx(x, j) AS sxx, regr_syy(x, n) AS syy, regr_sxy(x, j) AS sxy, regr_count(x, n) AS c FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW of_views AS SELECT corr(c, n) AS r, regr_slope(n, c) AS m FROM of_s WHERE c < 9;
CREATE MATERIALIZED VIEW frequent AS SELECT j, mode(k) AS k, mode() WITHIN GROUP (ORDER BY x) FILTER (WHERE b) AS x, mode(d) AS d, mode(b) AS b FROM raw_o GROUP BY j;
CREATE MATERIALIZED VIEW ranks AS SELECT k, percentile_disc(0.5) WITHIN GROUP (ORDER BY n) AS n, percentile_disc(0.2) WITHIN GROUP (ORDER BY n DESC) FILTER (WHERE b) AS high,
  percentile_disc(0) WITHIN GROUP (ORDER BY n) AS least, percentile_disc(1) WITHIN GROUP (ORDER BY n) AS most FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW once AS SELECT k, sum(DISTINCT x) AS s, avg(DISTINCT x) AS m, stddev(DISTINCT x) AS d, sum(DISTINCT x) FILTER (WHERE b) AS f, avg(DISTINCT n) AS n FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW in_windows AS SELECT window_start, corr(x, n) AS r, mode(k) AS k, avg(DISTINCT x) AS m FROM TUMBLE(raw_o, at, INTERVAL '10' SECOND) GROUP BY window_start;
CREATE MATERIALIZED VIEW approximate AS SELECT k, approx_percentile(0.9, 0.01) WITHIN GROUP (ORDER BY x) AS p, approx_median(x) AS m, sum(n ORDER BY at) AS n, first(j ORDER BY at) AS j FROM raw_o GROUP BY k;
",
        10,
        240,
    );
}

#[test]
fn first_rows_for_each_outer_row_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW first_two AS SELECT a.k, a.n, x.n AS m, x.at FROM raw_s a, LATERAL (SELECT n, at FROM raw_o c WHERE c.k = a.k AND c.b ORDER BY c.n DESC LIMIT 2) x WHERE a.j = 1;
CREATE MATERIALIZED VIEW or_none AS SELECT a.k, a.j, x.c FROM of_s a LEFT JOIN LATERAL (SELECT c FROM of_o i WHERE a.k = i.k AND i.j = a.j ORDER BY c LIMIT 1 OFFSET 0) x ON x.c < a.c;
CREATE MATERIALIZED VIEW as_value AS SELECT a.k, a.j, coalesce((SELECT c.c + 1 FROM of_o c WHERE c.k = a.k ORDER BY c.c DESC, c.j LIMIT 1), 0) AS most FROM of_s a;
CREATE MATERIALIZED VIEW there AS SELECT k, j, EXISTS (SELECT 1 FROM of_o c WHERE c.k = a.k AND c.c > 1) AS is_there, NOT EXISTS (SELECT * FROM of_o c WHERE c.j = a.j) AS is_not FROM of_s a;
CREATE MATERIALIZED VIEW among AS SELECT k, j, j IN (SELECT j FROM of_o) AS is_in, j NOT IN (SELECT j FROM of_o WHERE c > 2 AND k = 'a') AS is_not FROM of_s;
CREATE MATERIALIZED VIEW numbered AS SELECT k, v, i FROM raw_s CROSS JOIN UNNEST(ARRAY[j, n, 7]) WITH ORDINALITY AS e(v, i);
CREATE MATERIALIZED VIEW group_windows AS SELECT TUMBLE_START(at, INTERVAL '10' SECOND) AS window_start, k, count(*) AS c FROM raw_s GROUP BY TUMBLE(at, INTERVAL '10' SECOND), k;
CREATE MATERIALIZED VIEW table_windows AS SELECT window_end, sum(n) AS n FROM TABLE(HOP(TABLE raw_o, DESCRIPTOR(at), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) GROUP BY window_end;
CREATE MATERIALIZED VIEW mixed AS SELECT k, n, row_number() OVER w AS r, rank() OVER w AS same, ntile(2) OVER w AS half, percent_rank() OVER w AS p FROM raw_o WINDOW w AS (PARTITION BY k ORDER BY n);
CREATE MATERIALIZED VIEW renamed AS SELECT t.b, count(*) AS c FROM raw_s AS t (a, b, c, d, e, f, g) GROUP BY t.b;
",
        8,
        200,
    );
}

#[test]
fn functions_of_the_dataflow_equal_a_batch() {
    equal_a_batch(
        "
CREATE FUNCTION above(value BIGINT, least BIGINT) RETURNS BIGINT AS CASE WHEN least < value THEN value - least ELSE 0 END;
CREATE FUNCTION label(TEXT, INT) RETURNS TEXT LANGUAGE SQL AS $$ SELECT coalesce($1, 'none') || '-' || coalesce(CAST($2 AS TEXT), '?') $$;
CREATE FUNCTION hour_of(t TIMESTAMP) RETURNS INT STRICT RETURN extract(hour FROM t);
CREATE FUNCTION doubled(x) AS above(x, 3) * 2;
CREATE FUNCTION others(key TEXT) RETURNS BIGINT AS 'SELECT sum(c) FROM of_o WHERE of_o.k = $1';
CREATE MATERIALIZED VIEW by_label AS SELECT label(k, j) AS label, sum(above(j, 1)) AS above, max(doubled(j)) AS doubled FROM raw_s GROUP BY label(k, j);
CREATE MATERIALIZED VIEW hours AS SELECT hour_of(at) AS hour, label(k, NULL) AS k FROM raw_o WHERE above(j, 0) > 0;
CREATE MATERIALIZED VIEW beside AS SELECT a.k, a.j, others(a.k) AS o FROM of_s a;
",
        8,
        200,
    );
}

#[test]
fn forms_of_other_systems_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW any_of AS SELECT k, n FROM raw_s WHERE n = ANY (SELECT n FROM raw_o WHERE b);
CREATE MATERIALIZED VIEW not_all AS SELECT k, j FROM of_s WHERE k <> ALL (SELECT k FROM of_o WHERE c > 3);
CREATE MATERIALIZED VIEW of_rows AS SELECT k, j, c FROM of_s WHERE (k, j) IN (SELECT k, j FROM of_o);
CREATE MATERIALIZED VIEW above_row AS SELECT k, j, n FROM raw_s WHERE (j, n) > (1, 10) AND (k, j) NOT IN (('a', 1), ('b', 2));
CREATE MATERIALIZED VIEW without_order AS SELECT k, n, j FROM raw_s LIMIT 7;
CREATE MATERIALIZED VIEW groups_without_order AS SELECT k, j, c FROM of_s LIMIT 3;
CREATE MATERIALIZED VIEW of_few AS SELECT count(*) AS c, sum(n) AS n FROM (SELECT n, k FROM raw_o LIMIT 5) AS few;
CREATE MATERIALIZED VIEW by_expression AS SELECT k, n, j FROM raw_o ORDER BY n + j DESC, upper(k) FETCH FIRST 5 ROWS ONLY;
CREATE MATERIALIZED VIEW named (key, many) AS SELECT k, count(*) FROM raw_s GROUP BY k;
CREATE OR REPLACE MATERIALIZED VIEW best AS SELECT k, max_by(j, n) AS j, every(b) AS b, any_value(k) AS any, count_if(n > 5) AS above FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW pairs AS SELECT k, count(DISTINCT j, n) AS of_two, count(DISTINCT (j, b)) FILTER (WHERE n > 3) AS with_nulls FROM raw_o GROUP BY k;
CREATE MATERIALIZED VIEW calls AS SELECT k, if(n > 5, 'many', 'few') AS size, split_index(k || ',x', ',', 1) AS part, timestampdiff(MINUTE, at, at + INTERVAL '90' SECOND) AS minutes,
  regexp_extract(k, '(.)', 1) AS first, date_add(at, 2) AS later, dayofweek(at) AS day, unix_timestamp(at) AS epoch, ~j AS inverted, j ^ 2 AS squared FROM raw_s;
",
        8,
        220,
    );
}

#[test]
fn times_patterns_and_rows_as_written_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW patterns AS SELECT k, n, k SIMILAR TO '(a|b)%' AS one, k || n SIMILAR TO '%[0-9]{2}' AS two FROM raw_s WHERE k NOT SIMILAR TO 'c.?';
CREATE MATERIALIZED VIEW hours AS SELECT k, to_timestamp(to_char(at, 'YYYY/MM/DD hh24'), 'YYYY/MM/DD HH24') AS hour, d + INTERVAL '90' MINUTE AS later, d + INTERVAL 2 DAY AS day, timestampadd(HOUR, n, d) AS moved FROM raw_s;
CREATE MATERIALIZED VIEW per_hour AS SELECT d - INTERVAL '1' HOUR AS hour, count(n, x) AS c, count(n, x) FILTER (WHERE b) AS of_b FROM raw_o GROUP BY 1;
CREATE MATERIALIZED VIEW first_of_two AS SELECT DISTINCT ON (2, k) k, j, n FROM raw_s ORDER BY k, j, n DESC;
CREATE MATERIALIZED VIEW series AS SELECT k, generate_series(j, 3) AS i FROM raw_s;
CREATE MATERIALIZED VIEW per_step AS SELECT i, count(*) AS c FROM series GROUP BY i;
CREATE MATERIALIZED VIEW others AS SELECT * EXCEPT (k, x) FROM raw_o WHERE n > 3;
CREATE MATERIALIZED VIEW of_pairs AS SELECT k, j, count(*) AS c FROM raw_s GROUP BY (k, j);
CREATE MATERIALIZED VIEW near AS SELECT k, sum(n) OVER (PARTITION BY k ORDER BY at RANGE BETWEEN INTERVAL 20 SECOND PRECEDING AND CURRENT ROW) AS n FROM raw_s;
CREATE MATERIALIZED VIEW decades AS SELECT date_trunc('decade', at) AS decade, trim(LEADING 'a' FROM k) AS k, count(*) AS c FROM raw_o GROUP BY 1, 2;
",
        8,
        220,
    );
}

#[test]
fn json_that_views_make_equals_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW objects AS SELECT k, jsonb_build_object('k', k, 'n', n, 'list', json_build_array(j, b, x, at, d), 'none', NULL) AS made FROM raw_s;
CREATE MATERIALIZED VIEW taken AS SELECT k, made -> 'list' -> 0 AS j, made #>> '{list,1}' AS b, made ? 'none' AS has, made @> '{\"k\": \"a\"}' AS is_a, jsonb_typeof(made -> 'n') AS t, json_array_length(made -> 'list') AS c FROM objects;
CREATE MATERIALIZED VIEW lists AS SELECT k, jsonb_agg(n ORDER BY n, j) AS ns, json_agg(jsonb_build_object('j', j, 'n', n) ORDER BY n, j) AS rows FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW keys AS SELECT j, json_agg(DISTINCT k) FILTER (WHERE b) AS ks FROM raw_s GROUP BY j;
CREATE MATERIALIZED VIEW members AS SELECT j, jsonb_object_agg(k, n ORDER BY n, x) AS last, json_object_agg(k, x ORDER BY n, x) AS every FROM raw_o WHERE k IS NOT NULL GROUP BY j;
CREATE MATERIALIZED VIEW rows_of_json AS SELECT k, jsonb_array_elements(json_build_array(j, n)) AS it FROM raw_s;
CREATE MATERIALIZED VIEW per_element AS SELECT value, count(*) AS c FROM objects, jsonb_array_elements_text(objects.made -> 'list') GROUP BY value;
CREATE MATERIALIZED VIEW names AS SELECT k, e.name FROM objects, jsonb_object_keys(made) AS e(name);
CREATE MATERIALIZED VIEW parsed AS SELECT k, ('{\"n\": ' || n || '}')::jsonb AS it, TRY_CAST(k AS JSON) AS nothing, to_json(at) AS at FROM raw_o;
",
        8,
        220,
    );
}

#[test]
fn constant_rows_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW listed AS SELECT * FROM (VALUES (1, 'a', 0.5), (2, NULL, 1.5)) AS v(x, y, z);
CREATE MATERIALIZED VIEW alone AS SELECT 1 AS x, 'a' || 'b' AS y, DATE '2026-01-01' AS d;
CREATE MATERIALIZED VIEW two_alone AS SELECT 1 AS x UNION ALL SELECT 2;
CREATE MATERIALIZED VIEW series AS SELECT i, i * 2 AS twice FROM generate_series(1, 10, 3) AS g(i) WHERE i > 1;
CREATE MATERIALIZED VIEW of_series AS SELECT count(*) AS c, sum(value) AS s FROM range(0, 100);
CREATE MATERIALIZED VIEW named AS SELECT a.k, a.n, v.name FROM raw_s a JOIN (VALUES (1, 'one'), (2, 'two')) AS v(j, name) ON a.j = v.j;
CREATE MATERIALIZED VIEW all_named AS SELECT v.j, count(a.k) AS c, sum(a.n) AS n FROM (VALUES (0), (1), (2), (99)) AS v(j) LEFT JOIN raw_s a ON a.j = v.j GROUP BY v.j;
CREATE MATERIALIZED VIEW listed_in AS WITH wanted(j) AS (VALUES (1), (3)) SELECT k, j, c FROM of_s WHERE j IN (SELECT j FROM wanted);
CREATE MATERIALIZED VIEW every_number AS SELECT g.value AS j, e.c FROM generate_series(0, 4) AS g LEFT JOIN (SELECT j, sum(c) AS c FROM of_o GROUP BY j) AS e ON e.j = g.value;
CREATE MATERIALIZED VIEW records_and_one AS SELECT k, n FROM raw_o WHERE b UNION ALL SELECT 'constant', 7;
CREATE MATERIALIZED VIEW groups_and_one AS SELECT k, c FROM of_o UNION ALL SELECT 'constant', 7;
CREATE MATERIALIZED VIEW of_one AS SELECT k, count(*) AS c FROM records_and_one GROUP BY k;
CREATE MATERIALIZED VIEW first_with_one AS SELECT k, c FROM groups_and_one ORDER BY c DESC LIMIT 3;
CREATE MATERIALIZED VIEW none AS SELECT k, n FROM raw_s WHERE false;
CREATE MATERIALIZED VIEW of_alone AS SELECT a.x + b.x AS x FROM alone a CROSS JOIN two_alone b;
",
        12,
        200,
    );
}

#[test]
fn unnested_lists_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW numbers AS SELECT k, n, unnest(ARRAY[j, j * 2, n]) AS v FROM raw_s WHERE n < 1000;
CREATE MATERIALIZED VIEW words AS SELECT at, unnest(string_to_array(k || ',x,' || k, ',')) AS word FROM raw_o;
CREATE MATERIALIZED VIEW of_words AS SELECT word, count(*) AS c FROM (SELECT unnest(string_to_array(k || ' x', ' ')) AS word FROM raw_s) AS w GROUP BY word;
CREATE MATERIALIZED VIEW beside AS SELECT a.k, e.v FROM raw_s a CROSS JOIN UNNEST(ARRAY[j, NULL]) AS e(v) WHERE a.b;
CREATE MATERIALIZED VIEW in_from AS SELECT k, x, count(*) AS c FROM of_s, UNNEST(ARRAY[j, c]) AS x GROUP BY k, x;
CREATE MATERIALIZED VIEW per_row AS SELECT k, i FROM of_o, generate_series(1, c) AS g(i) WHERE c < 20;
CREATE MATERIALIZED VIEW none AS SELECT k, unnest(generate_series(1, j - 2)) AS i FROM raw_o;
CREATE MATERIALIZED VIEW constant AS SELECT * FROM UNNEST(ARRAY[3, 1, 2]) AS x;
",
        10,
        200,
    );
}

/// Rows that an expression fails for are left out, wherever it stands; what guards an expression keeps them.
#[test]
fn rows_that_expressions_fail_for_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW projected AS SELECT k, 10 / n AS q, j FROM raw_s;
CREATE MATERIALIZED VIEW filtered AS SELECT k, n FROM raw_s WHERE 10 / n > 1;
CREATE MATERIALIZED VIEW guarded AS SELECT k, n, CASE WHEN n = 0 THEN 0 ELSE 10 / n END AS q FROM raw_s WHERE n = 0 OR 10 / n > 1;
CREATE MATERIALIZED VIEW guarded_by_and AS SELECT k, n FROM raw_s WHERE n <> 0 AND 10 / n > 1;
CREATE MATERIALIZED VIEW arguments AS SELECT k, count(*) AS c, sum(10 / n) AS q, max(x) FILTER (WHERE 10 / j > 2) AS x FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW keys AS SELECT 10 / n AS q, count(*) AS c FROM raw_o GROUP BY 10 / n;
CREATE MATERIALIZED VIEW of_groups AS SELECT k, j, c / n AS mean FROM of_s;
CREATE MATERIALIZED VIEW having AS SELECT k, sum(n) AS n FROM raw_s GROUP BY k HAVING 100 / sum(n) < 50;
CREATE MATERIALIZED VIEW of_results AS SELECT k, 100 / sum(n) AS q FROM raw_o GROUP BY k;
CREATE MATERIALIZED VIEW windowed AS SELECT window_start, k, sum(10 / n) AS q, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW distinct_values AS SELECT DISTINCT 10 / n AS q FROM raw_o;
CREATE MATERIALIZED VIEW join_keys AS SELECT a.k, a.n, c.x FROM raw_s a LEFT JOIN raw_o c ON 10 / a.n = c.n;
CREATE MATERIALIZED VIEW matches AS SELECT a.k, a.n, c.n AS other FROM raw_s a LEFT JOIN raw_o c ON a.k = c.k AND a.j = c.j AND 10 / (a.n - c.n) > 0;
CREATE MATERIALIZED VIEW full_matches AS SELECT a.k, a.n, c.n AS other FROM raw_s a FULL JOIN raw_o c ON a.k = c.k AND a.b = c.b AND a.n / c.n > 1;
CREATE MATERIALIZED VIEW inner_matches AS SELECT a.k, a.n, c.n AS other FROM raw_s a JOIN raw_o c ON a.k = c.k AND a.n / c.n > 1;
CREATE MATERIALIZED VIEW existing AS SELECT a.k, a.n FROM raw_s a WHERE EXISTS (SELECT 1 FROM raw_o c WHERE c.k = a.k AND a.n / c.n > 1);
CREATE MATERIALIZED VIEW greatest AS SELECT k, n FROM raw_s ORDER BY 100 / n DESC, 1 LIMIT 4;
CREATE MATERIALIZED VIEW ranked AS SELECT k, n, r FROM (SELECT k, n, row_number() OVER (PARTITION BY k ORDER BY 10 / n) AS r FROM raw_s) AS i WHERE r <= 2;
CREATE MATERIALIZED VIEW running AS SELECT k, n, sum(10 / n) OVER (PARTITION BY k, j) AS q FROM raw_s;
CREATE MATERIALIZED VIEW both AS SELECT 10 / n AS q FROM raw_s UNION ALL SELECT 10 / j FROM raw_o;
CREATE MATERIALIZED VIEW casts AS SELECT CAST(k || CAST(n AS VARCHAR) AS BIGINT) AS q FROM raw_s;
CREATE MATERIALIZED VIEW of_casts AS SELECT k, count(*) AS c, sum(CAST(substr('12a', n % 3 + 1, 1) AS BIGINT)) AS q FROM raw_o GROUP BY k;
",
        12,
        260,
    );
}

/// Integers that their type does not hold are failures, and names are of any letters.
#[test]
fn integers_beyond_their_type_and_names_equal_a_batch() {
    equal_a_batch(
        r#"
CREATE MATERIALIZED VIEW more AS SELECT k, n + 1 AS m FROM raw_s;
CREATE MATERIALIZED VIEW less AS SELECT k, n - j AS m, j * 1073741824 AS l FROM raw_s WHERE n * 2 < 100;
CREATE MATERIALIZED VIEW sums AS SELECT k, sum(n * 3 - j) AS m, count(*) AS c FROM raw_o GROUP BY k;
CREATE MATERIALIZED VIEW small AS SELECT j, CAST(j AS INT) * CAST(1000000000 AS INT) AS m FROM raw_o;
CREATE MATERIALIZED VIEW Of_Both AS SELECT K, N, J FROM RAW_S NATURAL JOIN (SELECT k, n FROM raw_o) AS O;
CREATE MATERIALIZED VIEW whichever AS SELECT n, count(*) AS c FROM raw_s FULL JOIN raw_o USING (n, k) GROUP BY n;
CREATE MATERIALIZED VIEW three AS SELECT n, S.k FROM raw_s s JOIN raw_o o USING (n) LEFT JOIN of_s USING (n);
CREATE MATERIALIZED VIEW "Quoted" AS SELECT k AS "K" FROM Of_Both;
CREATE MATERIALIZED VIEW of_quoted AS SELECT "K", count(*) AS c FROM "Quoted" GROUP BY "K";
"#,
        8,
        200,
    );
}

/// Windows as values: grouped, ranked and joined by, and taken apart.
#[test]
fn windows_as_values_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW tumbling AS SELECT tumble(INTERVAL '10' SECOND) AS w, k, count(*) AS c FROM raw_s GROUP BY 1, k;
CREATE MATERIALIZED VIEW bounds AS SELECT w['start'] AS s, t.w['end'] AS e, k, c FROM (SELECT hop(INTERVAL '5' SECOND, INTERVAL '10' SECOND) AS w, k, sum(n) AS c FROM o GROUP BY hop(INTERVAL '5' SECOND, INTERVAL '10' SECOND), k) AS t;
CREATE MATERIALIZED VIEW joined AS SELECT a.k, a.c, b.c AS d FROM tumbling a JOIN (SELECT tumble(INTERVAL '10' SECOND) AS w, k, count(*) AS c FROM raw_o GROUP BY w, k) AS b ON a.w = b.w AND a.k = b.k;
CREATE MATERIALIZED VIEW busiest AS SELECT k, c, r FROM (SELECT k, c, row_number() OVER (PARTITION BY w ORDER BY c DESC, k) AS r FROM tumbling) AS t WHERE r <= 2;
CREATE MATERIALIZED VIEW totals AS SELECT w, sum(c) AS c FROM tumbling GROUP BY w;
CREATE MATERIALIZED VIEW gaps AS SELECT session(INTERVAL '3' SECOND), count(*) AS c FROM raw_s GROUP BY 1;
",
        10,
        200,
    );
}

/// Sub-queries whose order, LIMIT or UNION makes no difference.
#[test]
fn whether_there_are_rows_equals_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW ordered AS SELECT a.k, a.n FROM raw_s a WHERE EXISTS (SELECT c.n FROM raw_o c WHERE c.k = a.k AND c.j = a.j ORDER BY c.n LIMIT 1);
CREATE MATERIALIZED VIEW united AS SELECT a.k, a.n FROM raw_s a WHERE NOT EXISTS (SELECT 1 FROM raw_o c WHERE c.n = a.n UNION ALL SELECT 1 FROM of_o e WHERE e.k = a.k AND e.j = a.j);
CREATE MATERIALIZED VIEW any_order AS SELECT a.k, a.n FROM raw_s a WHERE a.n IN (SELECT c.n FROM raw_o c WHERE c.k = a.k ORDER BY c.n);
",
        8,
        200,
    );
}

/// Where a view's rows do not tell their window, nothing is freed with it; which records are late is the same.
#[test]
fn windows_that_rows_do_not_tell_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW counts AS SELECT k, count(*) AS c, sum(n) AS n FROM TUMBLE(raw_s, at, INTERVAL '5' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW most AS SELECT max(c) AS c, count(*) AS windows FROM (SELECT window_end, count(*) AS c FROM HOP(o, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY window_end) AS t;
CREATE MATERIALIZED VIEW both AS SELECT a.k, a.c, b.c AS d FROM (SELECT window_start AS w, k, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY window_start, k) AS a JOIN (SELECT window_start AS w, k, count(*) AS c FROM TUMBLE(raw_o, at, INTERVAL '10' SECOND) GROUP BY window_start, k) AS b ON a.w = b.w AND a.k = b.k;
CREATE MATERIALIZED VIEW lengths AS SELECT k, window_end - window_start AS length FROM SESSION(raw_s PARTITION BY k, at, INTERVAL '3' SECOND) GROUP BY window_start, window_end, k;
CREATE MATERIALIZED VIEW medians AS SELECT k, median(n) AS m FROM TUMBLE(raw_o, at, INTERVAL '10' SECOND) GROUP BY window_end, k;
CREATE MATERIALIZED VIEW closing AS SELECT window_start, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '5' SECOND) GROUP BY window_start;
CREATE MATERIALIZED VIEW told_late AS SELECT view, sum(records) AS n FROM _late GROUP BY view;
",
        10,
        220,
    );
}

/// Relations without an event time have windows, too: every record is in them, and they never close.
#[test]
fn windows_that_never_close_equal_a_batch() {
    equal_a_batch(
        "
CREATE TABLE timeless AS SELECT k, n, CAST(at AS TIMESTAMP) AS t FROM o;
CREATE MATERIALIZED VIEW of_table AS SELECT window_start, window_end, k, count(*) AS c FROM TUMBLE(timeless, t, INTERVAL '5' SECOND) GROUP BY window_start, window_end, k;
CREATE MATERIALIZED VIEW hops_of_table AS SELECT window_end, sum(n) AS n FROM HOP(timeless, t, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY window_end;
CREATE MATERIALIZED VIEW sessions_of_table AS SELECT window_start, window_end, k, count(*) AS c FROM SESSION(timeless PARTITION BY k, t, INTERVAL '3' SECOND) GROUP BY window_start, window_end, k;
CREATE MATERIALIZED VIEW renamed AS SELECT window_start AS t, k, c, n FROM windows_s;
CREATE MATERIALIZED VIEW of_windows AS SELECT window_end, max(c) AS most, sum(n) AS n FROM TUMBLE(renamed, t, INTERVAL '20' SECOND) GROUP BY window_end;
CREATE MATERIALIZED VIEW filtered AS SELECT at, k, n FROM raw_s WHERE b;
CREATE MATERIALIZED VIEW of_records AS SELECT window_start, k, count(*) AS c FROM TUMBLE(filtered, at, INTERVAL '10' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW joined AS SELECT t.window_start, s.k, t.c FROM of_table t JOIN windows_s s ON t.window_start = s.window_start AND t.k = s.k;
",
        10,
        220,
    );
}

#[test]
fn hopping_and_cumulating_windows_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW hops AS SELECT window_start, window_end, k, count(*) AS c, sum(n) AS n FROM HOP(raw_s, at, INTERVAL '5' SECOND, INTERVAL '15' SECOND) GROUP BY window_start, window_end, k;
CREATE MATERIALIZED VIEW hops_o AS SELECT window_end, max(x) AS x FROM HOP(raw_o, at, INTERVAL '10' SECOND, INTERVAL '20' SECOND) WHERE b GROUP BY window_end;
CREATE MATERIALIZED VIEW most AS SELECT window_end, max(c) AS c FROM hops GROUP BY window_end;
CREATE MATERIALIZED VIEW with_most AS SELECT h.window_end, h.k, h.c FROM hops h JOIN most m ON h.window_end = m.window_end AND h.c = m.c;
CREATE MATERIALIZED VIEW hop_sets AS SELECT window_end, count(DISTINCT k) AS ks, min(x) AS x, avg(n) FILTER (WHERE b) AS m FROM HOP(raw_s, at, INTERVAL '2' SECOND, INTERVAL '6' SECOND) GROUP BY window_end;
CREATE MATERIALIZED VIEW hop_distinct AS SELECT DISTINCT window_start, k FROM HOP(raw_o, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND);
CREATE MATERIALIZED VIEW hop_computed AS SELECT window_end, k || j AS kj, sum(n * 2) AS n FROM HOP(raw_s, at, INTERVAL '4' SECOND, INTERVAL '8' SECOND) WHERE n > 3 GROUP BY window_end, k || j;
CREATE MATERIALIZED VIEW hop_ends AS SELECT k, window_start, max(window_end) AS e, count(*) AS c FROM HOP(raw_s, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY k, window_start;
CREATE MATERIALIZED VIEW shifted AS SELECT window_start, window_end, k, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND, INTERVAL '3' SECOND) GROUP BY window_start, window_end, k;
CREATE MATERIALIZED VIEW shifted_hops AS SELECT window_end, count(*) AS c FROM HOP(raw_o, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND, INTERVAL '2' SECOND) GROUP BY window_end;
CREATE MATERIALIZED VIEW shifted_so_far AS SELECT window_end, sum(n) AS n FROM CUMULATE(raw_s, at, INTERVAL '5' SECOND, INTERVAL '15' SECOND, INTERVAL '-1' SECOND) GROUP BY window_end;
CREATE MATERIALIZED VIEW shifted_group AS SELECT TUMBLE_START(at, INTERVAL '30' SECOND, TIME '00:00:12') AS s, max(x) AS x FROM raw_o GROUP BY TUMBLE(at, INTERVAL '30' SECOND, TIME '00:00:12');
CREATE MATERIALIZED VIEW hop_any AS SELECT k, count(*) AS c FROM HOP(raw_s, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY k;
CREATE MATERIALIZED VIEW so_far AS SELECT window_start, window_end, count(*) AS c, sum(n) AS n FROM CUMULATE(raw_s, at, INTERVAL '5' SECOND, INTERVAL '20' SECOND) GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW hopping_records AS SELECT window_end, k FROM HOP(raw_o, at, INTERVAL '10' SECOND, INTERVAL '20' SECOND) WHERE x > 50;
CREATE MATERIALIZED VIEW first_of_hops AS SELECT window_end, k, n FROM (SELECT window_end, k, n, row_number() OVER (PARTITION BY window_end ORDER BY n DESC) AS r FROM HOP(raw_s, at, INTERVAL '10' SECOND, INTERVAL '20' SECOND)) AS i WHERE r = 1;
",
        12,
        260,
    );
}

/// Windows over names of WITH: a record is late for them as it is for windows over what it was read from.
#[test]
fn windows_over_names_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW counts AS WITH t AS (SELECT at, k, n * 2 AS m FROM raw_s WHERE b) SELECT window_start, k, count(*) AS c, sum(m) AS m FROM TUMBLE(t, at, INTERVAL '5' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW chained AS WITH t AS (SELECT at, k, n FROM raw_o), u AS (SELECT t.at, t.k FROM t WHERE t.n > 3), w AS (SELECT window_end, k, count(*) AS c FROM HOP(u, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY window_end, k) SELECT w.window_end, w.k, w.c, a.c AS all_of FROM w JOIN (SELECT window_end, count(*) AS c FROM TUMBLE(t, at, INTERVAL '5' SECOND) AS x GROUP BY window_end) a ON w.window_end = a.window_end;
CREATE VIEW plain AS WITH t AS (SELECT at, k FROM raw_s) SELECT window_end, k FROM TUMBLE(t, at, INTERVAL '10' SECOND);
CREATE MATERIALIZED VIEW of_plain AS SELECT window_end, count(DISTINCT k) AS ks FROM plain GROUP BY window_end;
CREATE MATERIALIZED VIEW both_ways AS WITH t AS (SELECT at, k, n FROM raw_s) SELECT t.k, t.n, x.window_end FROM t JOIN TUMBLE(t, at, INTERVAL '5' SECOND) AS x ON t.k = x.k AND t.n = x.n;
",
        12,
        240,
    );
}

/// Rows of windows that come when these are closed, each once; whoever reads them goes on from what has come.
#[test]
fn windows_emitted_on_close_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW counts AS SELECT window_start, k, count(*) AS c, sum(n) AS n FROM TUMBLE(raw_s, at, INTERVAL '5' SECOND) GROUP BY window_start, k EMIT ON WINDOW CLOSE;
CREATE MATERIALIZED VIEW hops WITH (emit_final = 'window_end') AS SELECT window_end, max(x) AS x FROM HOP(raw_o, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY window_end;
CREATE MATERIALIZED VIEW both AS SELECT a.w, a.k, a.c, b.c AS d FROM (SELECT window_end AS w, k, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY window_end, k) AS a LEFT JOIN (SELECT window_end AS w, k, count(*) AS c FROM TUMBLE(raw_o, at, INTERVAL '10' SECOND) GROUP BY window_end, k) AS b ON a.w = b.w AND a.k = b.k EMIT ON WINDOW CLOSE;
CREATE MATERIALIZED VIEW sessions AS SELECT k, window_end, count(*) AS c FROM SESSION(raw_s PARTITION BY k, at, INTERVAL '3' SECOND) GROUP BY window_end, k EMIT ON WINDOW CLOSE;
CREATE MATERIALIZED VIEW medians AS SELECT k, window_end, median(n) AS m FROM TUMBLE(raw_o, at, INTERVAL '10' SECOND) GROUP BY window_end, k EMIT ON WINDOW CLOSE;
CREATE MATERIALIZED VIEW first_of AS SELECT window_end, k, n FROM (SELECT window_end, k, n, row_number() OVER (PARTITION BY window_end ORDER BY n DESC) AS r FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND)) AS i WHERE r = 1 EMIT ON WINDOW CLOSE;
CREATE MATERIALIZED VIEW of_counts AS SELECT k, sum(c) AS c, count(*) AS windows FROM counts GROUP BY k;
CREATE MATERIALIZED VIEW with_counts AS SELECT c.k, c.c, r.n FROM counts c JOIN raw_o r ON c.k = r.k AND c.n = r.n
",
        14,
        260,
    );
}

/// Records that bound each other's event time are let go when nothing can match them any more, and late ones take no part.
#[test]
fn interval_joins_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW soon_after AS SELECT a.k, a.at, c.at AS then, c.n FROM raw_s a JOIN raw_o c ON a.k = c.k AND c.at BETWEEN a.at AND a.at + INTERVAL '5' SECOND;
CREATE MATERIALIZED VIEW around AS SELECT a.k, a.n, c.x FROM raw_s a, raw_o c WHERE a.j = c.j AND a.at - INTERVAL '3' SECOND < c.at AND c.at - INTERVAL '4' SECOND <= a.at AND a.x <> c.x;
CREATE MATERIALIZED VIEW before AS SELECT a.k, a.n, c.n AS m FROM raw_s a JOIN raw_o c ON c.k = a.k AND a.at >= c.at + INTERVAL '2' SECOND AND a.at <= c.at + INTERVAL '8' SECOND;
CREATE MATERIALIZED VIEW of_row AS SELECT a.k, count(*) AS c, max(c.n) AS n FROM raw_s a JOIN raw_o c ON a.k = c.k AND c.at >= a.at AND c.at < a.at + CASE WHEN a.b THEN INTERVAL '3' SECOND ELSE INTERVAL '11' SECOND END GROUP BY a.k;
CREATE MATERIALIZED VIEW with_next AS SELECT a.k, a.at, c.at AS next FROM raw_s a LEFT JOIN raw_s c ON a.k = c.k AND a.j = c.j AND c.at > a.at AND c.at <= a.at + INTERVAL '6' SECOND;
CREATE MATERIALIZED VIEW unanswered AS SELECT c.k, c.n, a.n AS m FROM raw_s a RIGHT JOIN raw_o c ON a.k = c.k AND a.at BETWEEN c.at - INTERVAL '7' SECOND AND c.at + INTERVAL '1' SECOND;
CREATE MATERIALIZED VIEW answered AS SELECT k, n, at FROM raw_s a WHERE EXISTS (SELECT 1 FROM raw_o c WHERE c.k = a.k AND c.at BETWEEN a.at - INTERVAL '2' SECOND AND a.at + INTERVAL '5' SECOND);
CREATE MATERIALIZED VIEW never_answered AS SELECT k, count(*) AS c FROM raw_s a WHERE NOT EXISTS (SELECT 1 FROM raw_o c WHERE c.j = a.j AND c.at BETWEEN a.at AND a.at + INTERVAL '4' SECOND) GROUP BY k;
CREATE MATERIALIZED VIEW at_once AS SELECT a.k, c.k AS other FROM raw_s a JOIN raw_o c ON a.at = c.at AND a.n <> c.n;
CREATE MATERIALIZED VIEW at_each AS SELECT a.at, count(*) AS c, max(c.n) AS n FROM raw_s a JOIN raw_o c ON a.j = c.j AND c.at BETWEEN a.at - INTERVAL '2' SECOND AND a.at + INTERVAL '5' SECOND GROUP BY a.at;
CREATE MATERIALIZED VIEW first_after AS SELECT k, n, m FROM (SELECT a.k, a.n, c.n AS m, row_number() OVER (PARTITION BY a.k, a.n ORDER BY c.n DESC) AS r FROM raw_s a JOIN raw_o c ON a.k = c.k AND c.at BETWEEN a.at AND a.at + INTERVAL '5' SECOND) AS i WHERE r = 1;
",
        16,
        260,
    );
}

/// Groups of windows bound the time of records and of each other: both are let go when the windows are closed that could match them.
#[test]
fn interval_joins_of_windows_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW highest AS SELECT r.k, r.n, r.at FROM raw_s r JOIN (SELECT max(n) AS n, window_end AS until FROM TUMBLE(raw_s, at, INTERVAL '5' SECOND) GROUP BY window_end) w ON r.n = w.n WHERE r.at BETWEEN w.until - INTERVAL '5' SECOND AND w.until;
CREATE MATERIALIZED VIEW above AS SELECT r.k, r.n, w.m FROM raw_s r JOIN (SELECT k, avg(n) AS m, window_start FROM TUMBLE(raw_s, at, INTERVAL '4' SECOND) GROUP BY k, window_start) w ON r.k = w.k AND r.at >= w.window_start AND r.at < w.window_start + INTERVAL '4' SECOND AND r.n > w.m;
CREATE MATERIALIZED VIEW of_before AS SELECT r.k, r.n, w.c FROM raw_o r JOIN (SELECT k, count(*) AS c, window_end FROM TUMBLE(raw_s, at, INTERVAL '4' SECOND) GROUP BY k, window_end) w ON r.k = w.k AND r.at >= w.window_end AND r.at < w.window_end + INTERVAL '4' SECOND;
CREATE MATERIALIZED VIEW growth AS WITH w AS (SELECT k, count(*) AS c, window_start AS s FROM TUMBLE(raw_s, at, INTERVAL '5' SECOND) GROUP BY k, window_start) SELECT a.k, a.s, a.c, b.c AS before FROM w a JOIN w b ON a.k = b.k AND a.s = b.s + INTERVAL '5' SECOND;
CREATE MATERIALIZED VIEW first_ones AS WITH w AS (SELECT k, count(*) AS c, window_start AS s FROM TUMBLE(raw_s, at, INTERVAL '5' SECOND) GROUP BY k, window_start) SELECT a.k, a.s, a.c, b.c AS before FROM w a LEFT JOIN w b ON a.k = b.k AND a.s = b.s + INTERVAL '5' SECOND;
CREATE MATERIALIZED VIEW of_two AS SELECT a.k, a.e, a.c, b.n FROM (SELECT k, count(*) AS c, window_end AS e FROM TUMBLE(raw_s, at, INTERVAL '4' SECOND) GROUP BY k, window_end HAVING count(*) > 1) a JOIN (SELECT k, max(n) AS n, window_start AS s FROM TUMBLE(raw_o, at, INTERVAL '8' SECOND) GROUP BY k, window_start) b ON a.k = b.k AND a.e > b.s AND a.e <= b.s + INTERVAL '8' SECOND;
CREATE MATERIALIZED VIEW in_no_minute AS SELECT r.k, r.n FROM raw_s r WHERE NOT EXISTS (SELECT 1 FROM (SELECT j, count(*) AS c, window_start AS s FROM TUMBLE(raw_o, at, INTERVAL '6' SECOND) GROUP BY j, window_start) w WHERE w.j = r.j AND r.at >= w.s AND r.at < w.s + INTERVAL '6' SECOND);
",
        16,
        260,
    );
}

/// What a query computes twice is computed once: here aggregations with their keys in another order, windows whose late records are counted, joins, and
/// rows that come and go.
#[test]
fn repeated_parts_of_a_query_equal_a_batch() {
    equal_a_batch(
        "
CREATE MATERIALIZED VIEW busiest AS SELECT h.window_start, h.k, h.c FROM (SELECT k, j, count(*) AS c, window_start FROM HOP(raw_s, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY window_start, k, j) h JOIN (SELECT max(c) AS most, w FROM (SELECT count(*) AS c, window_start AS w FROM HOP(raw_s, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY j, k, window_start) i GROUP BY w) m ON h.window_start = m.w AND h.c = m.most;
CREATE MATERIALIZED VIEW of_the_most AS WITH g AS (SELECT k, window_end, count(*) AS c, max(n) AS n FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY k, window_end) SELECT a.k, a.window_end, a.c, b.n FROM g a JOIN g b ON a.window_end = b.window_end AND a.c < b.c;
CREATE MATERIALIZED VIEW pairs AS WITH p AS (SELECT a.k, a.n, c.x FROM raw_s a JOIN raw_o c ON a.k = c.k AND a.j = c.j) SELECT p.k, count(*) AS c FROM p JOIN p AS q ON p.x = q.n GROUP BY p.k;
CREATE MATERIALIZED VIEW of_now AS WITH r AS (SELECT k, n FROM raw_s WHERE at > now() - INTERVAL '7' SECOND) SELECT a.k, b.n FROM r a JOIN r b ON a.n = b.n AND a.k <> b.k;
CREATE MATERIALIZED VIEW unlike AS SELECT a.k, a.c, b.c AS d FROM (SELECT k, j, count(*) FILTER (WHERE b) AS c FROM raw_s GROUP BY k, j) a JOIN (SELECT j, k, count(*) AS c FROM raw_s GROUP BY j, k) b ON a.k = b.k AND a.j = b.j;
CREATE MATERIALIZED VIEW late_in_all AS SELECT view, window_start, sum(records) AS records FROM _late GROUP BY view, window_start;
",
        12,
        260,
    );
}

/// What is in the lake after three runs of a dataflow with one view.
fn after_runs(view: &str) -> (Arc<Dataflow>, Lake) {
    let text = sources() + view;
    let planned = runtime().block_on(sql::plan_text("kept", &text, |_| None));
    let subject = Subject {
        dataflow: Arc::new(planned.unwrap()),
        record: small_record,
    };
    let scenario = Scenario {
        seed: 11,
        records: 400,
        partitions: 3,
        runs: vec![(1, 2), (2, 1), (1, 1)],
    };
    let lake = lake_after(&subject, &scenario);
    (subject.dataflow, lake)
}

/// The stored state of an interval join says of each record when a commit leaves it out.
#[test]
fn records_of_an_interval_join_end() {
    const VIEW: &str = "CREATE MATERIALIZED VIEW near AS SELECT a.k, c.n FROM raw_s a JOIN raw_o c ON a.k = c.k AND c.at BETWEEN a.at AND a.at + INTERVAL '5' SECOND;";
    let (_, lake) = after_runs(VIEW);
    let mut ends = BTreeMap::new();
    for record in lake.state {
        if let StateContent::Packed(row) = record.content {
            let (ended, all): &mut (i64, i64) = ends.entry(record.operator).or_default();
            *ended += i64::from(row.end_us.is_some());
            *all += 1;
        }
    }
    let sides: Vec<&str> = ends.keys().map(|it| &**it).collect();
    assert_eq!(sides, ["near.join0-left", "near.join0-right"]);
    assert!(
        ends.values().all(|(ended, all)| 50 < *all && ended == all),
        "{ends:?}"
    );
}

/// Of append-only records, those beyond the ranks that are read are let go, also from the stored state.
#[test]
fn rows_beyond_the_greatest_rank_are_not_kept() {
    const VIEW: &str = "CREATE MATERIALIZED VIEW newest AS SELECT k, n FROM (SELECT k, n, row_number() OVER (PARTITION BY k ORDER BY at DESC) AS r FROM raw_s) AS i WHERE r <= 2;";
    let (dataflow, lake) = after_runs(VIEW);
    let mut kept: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for record in lake.state {
        if let ("newest.group0", StateContent::Packed(row)) = (&*record.operator, record.content) {
            *kept.entry(row.bytes).or_default() += row.diff;
        }
    }
    kept.retain(|_, count| *count != 0);
    let at = dataflow.views.iter().position(|it| it.name == "newest");
    let rows: usize = lake.open[at.unwrap()].values().map(Vec::len).sum();
    assert!(0 < rows);
    assert_eq!(kept.len(), rows);
}

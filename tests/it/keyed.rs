//! Sources whose records are versions of rows: queries read the latest row of each key, and at every commit what they yield is what DataFusion
//! computes in batch from all versions.

use super::oracle::{
    Random, Scenario, Subject, archived, check_cases, lake_after, runtime, small_record,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelake::model::{Row, Value};
use tidelake::sql;

const SOURCES: &str = "
CREATE SOURCE u (k TEXT, j INT, at TIMESTAMP, n BIGINT NOT NULL, x DOUBLE, b BOOLEAN, PRIMARY KEY (k)) FORMAT JSON;
CREATE SOURCE v (k TEXT, j INT PRIMARY KEY, at TIMESTAMP NOT NULL, n BIGINT, x DOUBLE, b BOOLEAN, d DATE,
                 WATERMARK FOR at AS at - INTERVAL '5' SECOND)
  WITH (version = 'at', delete_when = 'b AND n > 0') FORMAT JSON;
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, j INT, n BIGINT, x DOUBLE, b BOOLEAN, d DATE,
                 WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;
CREATE TABLE raw_u AS SELECT * FROM u;
CREATE TABLE raw_v AS SELECT * FROM v;
CREATE TABLE raw_s AS SELECT * FROM s;
";

const VIEWS: &str = "
CREATE MATERIALIZED VIEW latest_u AS SELECT * FROM u;
CREATE MATERIALIZED VIEW all_v AS SELECT j, n FROM v;
CREATE MATERIALIZED VIEW latest_v AS SELECT k, j, n FROM v WHERE x > 0 OR x IS NULL;
CREATE MATERIALIZED VIEW one AS SELECT n, x FROM u WHERE k = 'a';
CREATE MATERIALIZED VIEW totals AS SELECT b, count(*) AS c, sum(n) AS n, min(x) AS x, max(at) AS at FROM u GROUP BY b;
CREATE MATERIALIZED VIEW most AS SELECT k, n FROM u ORDER BY n DESC, k LIMIT 2;
CREATE MATERIALIZED VIEW joined AS SELECT s.k, s.n, u.n AS of_u FROM raw_s s LEFT JOIN u ON s.k = u.k;
CREATE MATERIALIZED VIEW both AS SELECT u.k, v.j, u.n, v.x FROM u FULL JOIN v ON u.k = v.k AND u.j = v.j;
CREATE MATERIALIZED VIEW gone AS SELECT k, n FROM raw_u EXCEPT SELECT k, n FROM u;
CREATE VIEW positive AS SELECT * FROM u WHERE n > 0;
CREATE MATERIALIZED VIEW of_plain AS WITH w AS (SELECT a.k, a.n FROM positive AS a) SELECT k, n FROM w;
CREATE MATERIALIZED VIEW versions AS SELECT k, count(*) AS c, count(*) FILTER (WHERE _deleted) AS removed FROM raw_u GROUP BY k;
";

/// Joins of records with the row that was there at their time.
const TEMPORAL: &str = "
CREATE MATERIALIZED VIEW then_u AS SELECT s._partition AS p, s._offset AS o, s.k, u.n AS of_u FROM raw_s s LEFT JOIN u FOR SYSTEM_TIME AS OF PROCTIME() ON s.k = u.k;
CREATE MATERIALIZED VIEW then_v AS SELECT s.k, s.n, v.n AS of_v, v.j FROM raw_s s JOIN v FOR SYSTEM_TIME AS OF PROCTIME() ON s.j = v.j AND v.n < s.n;
CREATE MATERIALIZED VIEW at_time AS SELECT s.k, s.n, v.n AS of_v, v.at FROM s LEFT JOIN v FOR SYSTEM_TIME AS OF s.at ON s.j = v.j WHERE s.x > 3;
CREATE MATERIALIZED VIEW beside AS SELECT d, count(*) AS c, sum(w.x) AS x FROM raw_s s, (SELECT 1 AS one) AS i, u FOR SYSTEM_TIME AS OF now() AS w WHERE s.k = w.k AND w.n > one GROUP BY d;
CREATE MATERIALIZED VIEW of_both AS SELECT v.k, count(*) AS c, max(u.n) AS n FROM raw_s s JOIN u FOR SYSTEM_TIME AS OF PROCTIME() ON s.k = u.k LEFT JOIN v FOR SYSTEM_TIME AS OF PROCTIME() ON s.j = v.j GROUP BY v.k;
CREATE MATERIALIZED VIEW of_log AS SELECT s.k, s.n, r.n AS m FROM raw_s s JOIN raw_s FOR SYSTEM_TIME AS OF s.at AS r ON s.k = r.k;
";

/// A version of a row, or that it is gone, in each of the ways in which that can be said.
fn version(random: &mut Random, at: i64) -> String {
    let key = ["a", "b", "ä", ""][random.below(4) as usize];
    match random.below(12) {
        0 => format!("\0tombstone\0\"{key}\""),
        1 => format!("\0tombstone\0{{\"k\":\"{key}\",\"j\":{}}}", random.below(3)),
        2 => format!("{{\"k\":\"{key}\",\"j\":1,\"_deleted\":true}}"),
        3 => "\0tombstone\0".to_owned(),
        4 => "\0tombstone\0 2".to_owned(),
        _ => small_record(random, at),
    }
}

fn subject(views: &str) -> Subject {
    let text = format!("{SOURCES}{views}");
    let planned = runtime().block_on(sql::plan_text("keyed", &text, |_| None));
    Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record: version,
    }
}

#[test]
fn latest_rows_equal_a_batch_over_all_versions() {
    check_cases(&subject(VIEWS), 16, 300);
}

/// Records of CSV, or of JSON, each of which is a dead letter where the other is read.
fn either(random: &mut Random, at: i64) -> String {
    let k = *random.of(&["a", "b", "\"c, \"\"d\"\"\"", "\"\"", ""]);
    let j = *random.of(&["1", "2", " -3 ", "", "x"]);
    let name = *random.of(&["Anna", "\"two\nlines\"", "NULL", "\"NULL\"", ""]);
    match random.below(8) {
        0..5 => small_record(random, at),
        5 => format!("{k};{j}"),
        _ => format!("{k};{j};{name};{}\n", random.below(99)),
    }
}

#[test]
fn a_stream_joined_with_rows_of_csv_equals_a_batch() {
    const TEXT: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, j INT, n BIGINT, WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;
CREATE SOURCE u (k TEXT, j INT, name TEXT, n DECIMAL(8, 2), PRIMARY KEY (k)) FORMAT CSV (delimiter = ';', header = 'false', null = 'NULL');
CREATE TABLE raw_s AS SELECT * FROM s;
CREATE TABLE raw_u AS SELECT * FROM u;
CREATE MATERIALIZED VIEW named AS SELECT s.k, s.n, u.name, u.n AS m FROM raw_s s LEFT JOIN u ON s.k = u.k;
CREATE MATERIALIZED VIEW totals AS SELECT u.name, count(*) AS c, sum(s.n) AS n, max(u.n) AS m FROM raw_s s JOIN u ON s.j = u.j GROUP BY u.name;
CREATE MATERIALIZED VIEW then_u AS SELECT s.k, s.n, u.name FROM raw_s s LEFT JOIN u FOR SYSTEM_TIME AS OF PROCTIME() ON s.k = u.k;
CREATE MATERIALIZED VIEW lines AS SELECT name, count(*) AS c FROM raw_u GROUP BY name;
";
    let planned = runtime().block_on(sql::plan_text("csv", TEXT, |_| None));
    let subject = Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record: either,
    };
    check_cases(&subject, 12, 300);
}

/// What has become of a row, as Debezium tells it, or a record of the stream.
fn envelope(random: &mut Random, at: i64) -> String {
    let row = |random: &mut Random| {
        let k = *random.of(&["\"a\"", "\"b\"", "\"ä\"", "\"\"", "null"]);
        format!(
            "{{\"k\":{k},\"j\":{},\"d\":{},\"at\":{}}}",
            random.below(4),
            random.below(3),
            at / 1000
        )
    };
    match random.below(14) {
        0..6 => small_record(random, at),
        6 => format!("{{\"op\":\"d\",\"before\":{},\"after\":null}}", row(random)),
        7 => format!(
            "\0tombstone\0{{\"schema\":{{}},\"payload\":{}}}",
            row(random)
        ),
        8 => format!("{{\"op\":\"t\",\"before\":{}}}", row(random)),
        9 => format!(
            "{{\"op\":\"u\",\"before\":{},\"after\":{}}}",
            row(random),
            row(random)
        ),
        10 => format!(
            "{{\"schema\":{{}},\"payload\":{{\"op\":\"r\",\"after\":{}}}}}",
            row(random)
        ),
        _ => format!("{{\"op\":\"c\",\"after\":{}}}", row(random)),
    }
}

#[test]
fn a_stream_joined_with_a_table_that_debezium_tells_equals_a_batch() {
    const TEXT: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, j INT, n BIGINT, WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;
CREATE SOURCE u (k TEXT, j INT NOT NULL, d DATE, at TIMESTAMP, PRIMARY KEY (k)) FORMAT DEBEZIUM ENCODE JSON;
CREATE TABLE raw_s AS SELECT * FROM s;
CREATE TABLE raw_u AS SELECT * FROM u;
CREATE MATERIALIZED VIEW rows_of_u AS SELECT k, j, d, at FROM u;
CREATE MATERIALIZED VIEW named AS SELECT s.k, s.n, u.j, u.at FROM raw_s s LEFT JOIN u ON s.k = u.k;
CREATE MATERIALIZED VIEW totals AS SELECT u.d, count(*) AS c, sum(s.n) AS n FROM raw_s s JOIN u ON s.j = u.j GROUP BY u.d;
CREATE MATERIALIZED VIEW then_u AS SELECT s.k, s.n, u.j FROM raw_s s LEFT JOIN u FOR SYSTEM_TIME AS OF PROCTIME() ON s.k = u.k;
CREATE MATERIALIZED VIEW gone AS SELECT k, count(*) AS c FROM raw_u WHERE _deleted GROUP BY k;
";
    let planned = runtime().block_on(sql::plan_text("debezium", TEXT, |_| None));
    let subject = Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record: envelope,
    };
    check_cases(&subject, 12, 300);
}

#[test]
fn temporal_joins_equal_a_batch() {
    check_cases(&subject(TEMPORAL), 16, 260);
}

/// What an inner temporal join asks for beside its keys is asked for behind all joins, which outer ones behind it would turn into something else.
#[test]
fn outer_joins_behind_a_temporal_join_are_refused() {
    let view = |join: &str| {
        let text = format!(
            "{SOURCES}CREATE MATERIALIZED VIEW w AS SELECT s.k, u.n, r.j FROM raw_s s JOIN u FOR SYSTEM_TIME AS OF PROCTIME() ON s.k = u.k AND u.n > s.n {join} JOIN raw_v r ON r.j = s.j;"
        );
        let planned = runtime().block_on(sql::plan_text("keyed", &text, |_| None));
        planned.map(|_| ()).map_err(|it| it.to_string())
    };
    for join in ["", "LEFT"] {
        assert_eq!(view(join), Ok(()), "{join}");
    }
    for join in ["RIGHT", "FULL"] {
        let refused = view(join).unwrap_err();
        assert!(
            refused.contains("behind a temporal join"),
            "{join}: {refused}"
        );
    }
}

/// Found by hand for each record: the version of its key that had been read last, up to its epoch.
#[test]
fn a_temporal_join_has_the_row_of_its_time() {
    let subject = subject(TEMPORAL);
    let dataflow = &subject.dataflow;
    let scenario = Scenario {
        seed: 8,
        records: 500,
        partitions: 6,
        runs: vec![(1, 2), (1, 1)],
    };
    let lake = lake_after(&subject, &scenario);
    let rows = |table: usize, names: &[&str]| archived(dataflow, &lake, table, names);
    let place = ["_epoch", "_partition", "_offset"];
    let mut versions = rows(0, &[&place[..], &["k", "n", "_deleted"]].concat());
    versions.sort_by_key(|it| it[..3].to_vec());
    let mut expected: Vec<(Vec<Value>, Value)> = Vec::new();
    for record in rows(2, &[&place[..], &["k"]].concat()) {
        let last = versions
            .iter()
            .rfind(|it| it[0] <= record[0] && it[3] == record[3] && record[3] != Value::Null);
        let n = match last {
            Some(it) if it[5] != Value::Bool(true) => it[4].clone(),
            Some(_) | None => Value::Null,
        };
        expected.push((record[1..].to_vec(), n));
    }
    expected.sort();
    let at = dataflow.views.iter().position(|it| it.name == "then_u");
    let found = lake.open[at.unwrap()].values().flatten();
    let pair = |it: &Row| (it.0[..3].to_vec(), it.0[3].clone());
    let mut found: Vec<(Vec<Value>, Value)> = found.map(pair).collect();
    found.sort();
    let with = expected.iter().filter(|it| it.1 != Value::Null).count();
    assert!(20 < with && with < expected.len(), "some have a row");
    assert_eq!(found, expected);
}

/// Folded by hand, version by version, in the order in which they were taken in.
#[test]
fn the_latest_version_is_the_one_taken_in_last() {
    let subject = subject(VIEWS);
    let dataflow = &subject.dataflow;
    let scenario = Scenario {
        seed: 5,
        records: 500,
        partitions: 6,
        runs: vec![(1, 2), (1, 1)],
    };
    let lake = lake_after(&subject, &scenario);
    let columns = |table: usize, names: &[&str]| archived(dataflow, &lake, table, names);
    let place = ["_epoch", "_partition", "_offset"];
    let by_hand = |table: usize, first: &[&str], key: &str, gone: fn(&[Value]) -> bool| {
        let names: Vec<&str> = first.iter().chain(&place).copied().collect();
        let mut versions = columns(table, &[&names[..], &["_deleted", key, "b", "n"]].concat());
        versions.sort_by_key(|it| it[..names.len()].to_vec());
        let mut latest: BTreeMap<Value, Value> = BTreeMap::new();
        for version in versions {
            let [deleted, key, b, n] = &version[names.len()..] else {
                unreachable!("so many columns were asked for");
            };
            match *deleted == Value::Bool(true) || gone(&[b.clone(), n.clone()]) {
                true => latest.remove(key),
                false => latest.insert(key.clone(), n.clone()),
            };
        }
        latest.into_iter().collect::<Vec<_>>()
    };
    let stored = |view: &str, columns: [usize; 2]| {
        let at = dataflow.views.iter().position(|it| it.name == view);
        let at = at.unwrap_or_else(|| panic!("there is no view {view}"));
        let rows = lake.open[at].values().flatten();
        let pair = |it: &Row| (it.0[columns[0]].clone(), it.0[columns[1]].clone());
        let mut rows: Vec<(Value, Value)> = rows.map(pair).collect();
        rows.sort();
        rows
    };
    let of_u = by_hand(0, &[], "k", |_| false);
    assert!(1 < of_u.len(), "the simulation has several keys");
    assert_eq!(stored("latest_u", [0, 3]), of_u);
    let gone = |it: &[Value]| it[0] == Value::Bool(true) && Some(0) < it[1].as_i64();
    let of_v = by_hand(1, &["at"], "j", gone);
    assert!(1 < of_v.len(), "the simulation has several keys");
    assert_eq!(stored("all_v", [0, 1]), of_v);
}

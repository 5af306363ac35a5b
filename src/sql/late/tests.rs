//! Late records of one relation, as views of many forms told them while they ran.

use crate::plan::{ViewSpec, marked, nullable};
use crate::sql::plan_text;
use crate::sql::recompute::{Records, late_records, table};
use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use std::sync::Arc;

const SOURCE: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, j INT, WATERMARK FOR at AS at - INTERVAL '2' SECOND) FORMAT JSON;
CREATE TABLE raw_s AS SELECT * FROM s;
CREATE VIEW of_six AS SELECT at, k, j FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND);
CREATE VIEW of_twelve AS SELECT at, k, j FROM TUMBLE(raw_s, at, INTERVAL '12' SECOND);
";

/// Seconds, `k` and `j` of each record, and whether the watermark had passed six seconds when it came.
const RECORDS: &[(i64, &str, i32, bool)] = &[
    (1, "a", 1, false),
    (2, "b", 2, false),
    (8, "b", 2, false),
    (3, "a", 1, true),
    (4, "b", 2, true),
    (9, "a", 1, true),
];

/// How many records were late for the window from zero on, as often as a view says so of each.
fn late(query: &str) -> i64 {
    let late = all_late(query);
    assert!(late.iter().all(|it| it.0 == Some(0)), "{query}: {late:?}");
    late.iter().map(|it| it.1).sum()
}

/// How many records were late without a window, as often as a view says so of each.
fn late_alone(query: &str) -> i64 {
    let late = all_late(query);
    assert!(late.iter().all(|it| it.0.is_none()), "{query}: {late:?}");
    late.iter().map(|it| it.1).sum()
}

/// Starts of windows, and how many records were late for each.
fn all_late(query: &str) -> Vec<(Option<i64>, i64)> {
    let text = format!("{SOURCE}CREATE MATERIALIZED VIEW q AS {query};");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let planned = runtime.block_on(plan_text("t", &text, |_| None));
    let dataflow = planned.unwrap_or_else(|it| panic!("{query}: {it}"));
    let archive = &dataflow.tables[0];
    let schema = nullable(&archive.plan.schema());
    let times = RECORDS.iter().map(|it| it.0 * 1_000_000);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let marks = RECORDS.iter().zip(&times).map(|(it, time)| {
        let watermark = if it.3 { 6_000_000 } else { i64::MIN };
        time.filter(|it| *it < watermark).map(|_| watermark)
    });
    let marks = TimestampMicrosecondArray::from_iter(marks).with_timezone("UTC");
    let columns = schema.fields().iter().map(|it| -> ArrayRef {
        match it.name().as_str() {
            "at" => Arc::new(times.clone()),
            "k" => Arc::new(StringArray::from_iter_values(RECORDS.iter().map(|it| it.1))),
            "j" => Arc::new(Int32Array::from_iter_values(RECORDS.iter().map(|it| it.2))),
            "_epoch" => Arc::new(Int64Array::from_value(100, RECORDS.len())),
            _ => new_null_array(it.data_type(), RECORDS.len()),
        }
    });
    let columns = columns.chain([Arc::new(marks) as ArrayRef]).collect();
    let schema = marked(&schema);
    let batch = RecordBatch::try_new(schema.clone(), columns).expect("columns of the table");
    let mut records = Records::default();
    let rows = table(schema, vec![batch]).expect("a table");
    records.relations.insert(archive.name.clone(), rows);
    let views: Vec<&ViewSpec> = dataflow.views_with_late().iter().collect();
    let late = runtime.block_on(late_records(&dataflow, &views, &records));
    let late = late.unwrap_or_else(|it| panic!("{query}: {it}"));
    let mut rows = Vec::new();
    for batch in &late {
        let starts = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        let records = batch.column(2).as_primitive::<Int64Type>();
        let epochs = batch.column(3).as_primitive::<Int64Type>();
        assert!(
            epochs.iter().all(|it| it == Some(100)),
            "{query}: {epochs:?}"
        );
        rows.extend(starts.iter().zip(records.values().iter().copied()));
    }
    rows
}

/// Groups of windows, which most of these are made of.
const GROUPS: &str = "SELECT window_start, k, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND) GROUP BY window_start, k";

#[test]
fn groups_count_the_records_that_were_late_for_them() {
    assert_eq!(late(GROUPS), 2);
    assert_eq!(
        late(
            "SELECT DISTINCT window_start, k FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND) WHERE j = 1"
        ),
        1
    );
}

/// The planner moves such conditions below the groups, so other records never came to these.
#[test]
fn conditions_on_the_keys_of_groups_are_conditions_on_their_records() {
    for (condition, expected) in [
        ("k = 'a'", 1),
        ("k = 'a' AND c > 1", 1),
        ("c > 1", 2),
        ("window_start > TIMESTAMP '1970-01-01 00:00:05'", 0),
    ] {
        let found = late(&format!("SELECT * FROM ({GROUPS}) AS g WHERE {condition}"));
        assert_eq!(found, expected, "{condition}");
    }
    assert_eq!(
        late(&format!("{GROUPS} HAVING k = 'b' AND count(*) > 1")),
        1
    );
    let united = format!("SELECT * FROM ({GROUPS} UNION ALL {GROUPS}) AS u WHERE k = 'b'");
    assert_eq!(late(&united), 2);
    let joined = format!(
        "SELECT a.window_start, a.k, a.c, b.c AS d FROM ({GROUPS}) a JOIN ({GROUPS}) b ON a.window_start = b.window_start AND a.k = b.k WHERE a.k = 'a'"
    );
    assert_eq!(late(&joined), 2);
}

#[test]
fn groups_of_sub_queries_count_their_late_records() {
    const WINDOWS: &str = "SELECT j, count(*) AS c, window_start AS s FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND) GROUP BY j, window_start";
    const SAME: &str = "w.j = r.j AND r.at >= w.s AND r.at < w.s + INTERVAL '6' SECOND";
    // The outer records are joined by their time, and were late for that.
    let of_both = [(None, 2), (Some(0), 2)];
    for not in ["", "NOT "] {
        let exists = format!(
            "SELECT r.k, r.j FROM raw_s r WHERE {not}EXISTS (SELECT 1 FROM ({WINDOWS}) w WHERE {SAME})"
        );
        assert_eq!(all_late(&exists), of_both, "{not}EXISTS");
    }
    let some = "SELECT r.k FROM raw_s r WHERE r.at IN (SELECT window_start FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND) GROUP BY window_start)";
    assert_eq!(all_late(some), of_both);
    let value = format!(
        "SELECT r.k, (SELECT count(*) FROM ({WINDOWS}) w WHERE w.j = r.j) AS n FROM raw_s r"
    );
    assert_eq!(late(&value), 2);
    let inside = "SELECT r.k FROM raw_s r WHERE EXISTS (SELECT window_start FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND) AS w WHERE w.j = r.j GROUP BY window_start HAVING count(*) > 2)";
    assert_eq!(late(inside), 2);
}

/// The rows of `NOT IN` are computed from three readings of the sub-query, each with groups of its own.
#[test]
fn groups_of_not_in_count_their_late_records_in_each_reading() {
    let query = "SELECT r.k, r.j FROM raw_s r WHERE r.j NOT IN (SELECT max(j) FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND) GROUP BY window_start, k)";
    assert_eq!(late(query), 6);
}

/// Where groups are kept whole, or no group closes, records are admitted to their window one by one.
#[test]
fn windows_whose_records_are_read_one_by_one_count_late_records() {
    const WINDOW: &str = "TUMBLE(raw_s, at, INTERVAL '6' SECOND)";
    for (query, expected) in [
        (format!("SELECT window_end, k FROM {WINDOW}"), 2),
        (format!("SELECT window_end, k FROM {WINDOW} WHERE k = 'a'"), 1),
        (format!("SELECT window_start, median(j) AS m FROM {WINDOW} WHERE j > 1 GROUP BY window_start"), 1),
        (format!("SELECT k, count(*) AS c FROM {WINDOW} GROUP BY window_start, k"), 2),
        (format!("SELECT k, count(*) AS c FROM {WINDOW} GROUP BY window_start, k HAVING k = 'b'"), 1),
        (format!("SELECT k, j FROM (SELECT k, j, row_number() OVER (PARTITION BY window_end ORDER BY j DESC) AS r FROM {WINDOW}) AS i WHERE r = 1"), 2),
        ("SELECT window_start, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND, INTERVAL '0' SECOND) GROUP BY window_start".to_owned(), 2),
    ] {
        assert_eq!(late(&query), expected, "{query}");
    }
    let shifted = "SELECT window_start, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND, INTERVAL '5' SECOND) GROUP BY window_start";
    assert_eq!(all_late(shifted), [(Some(-1_000_000), 2)]);
}

/// A record may be late for one of its windows and on time for the next: those from three on are open.
#[test]
fn windows_of_which_a_record_is_in_several_count_it_once_for_each_that_is_closed() {
    for form in [
        "HOP(raw_s, at, INTERVAL '3' SECOND, INTERVAL '6' SECOND)",
        "CUMULATE(raw_s, at, INTERVAL '3' SECOND, INTERVAL '6' SECOND)",
    ] {
        for query in [
            format!("SELECT window_end, k, count(*) AS c FROM {form} GROUP BY window_end, k"),
            format!("SELECT window_end, k FROM {form}"),
        ] {
            assert_eq!(late(&query), 2, "{query}");
        }
    }
    let all = "SELECT window_end, k FROM HOP(raw_s, at, INTERVAL '2' SECOND, INTERVAL '4' SECOND)";
    let mut all = all_late(all);
    all.sort_unstable();
    // The first of them in two windows that are closed, the second in one.
    let expected = [(Some(0), 1), (Some(2_000_000), 1), (Some(2_000_000), 1)];
    assert_eq!(all, expected);
    let one = "SELECT window_end, k FROM HOP(raw_s, at, INTERVAL '6' SECOND, INTERVAL '6' SECOND)";
    assert_eq!(late(one), 2);
}

/// Records that a plain view leaves out do not come to the windows above.
#[test]
fn windows_over_windows_count_the_records_that_were_on_time_for_those_below() {
    for (form, of_six, of_twelve) in [
        ("TUMBLE($v, at, INTERVAL '6' SECOND)", 0, 2),
        ("TUMBLE($v, at, INTERVAL '3' SECOND)", 0, 2),
        ("TUMBLE($v, at, INTERVAL '12' SECOND)", 0, 0),
        (
            "HOP($v, at, INTERVAL '3' SECOND, INTERVAL '6' SECOND)",
            0,
            2,
        ),
        ("SESSION($v PARTITION BY k, at, INTERVAL '3' SECOND)", 0, 2),
    ] {
        for (below, expected) in [("of_six", of_six), ("of_twelve", of_twelve)] {
            let window = form.replace("$v", below);
            let query =
                format!("SELECT window_end, k, count(*) AS c FROM {window} GROUP BY window_end, k");
            let late: i64 = all_late(&query).iter().map(|it| it.1).sum();
            assert_eq!(late, expected, "{query}");
        }
    }
}

/// They know no window that a single record is in.
#[test]
fn sessions_and_interval_joins_count_late_records_without_a_window() {
    const SESSION: &str = "SELECT window_start, window_end, k, count(*) AS c FROM SESSION(raw_s PARTITION BY k, at, INTERVAL '3' SECOND) GROUP BY window_start, window_end, k";
    assert_eq!(late_alone(SESSION), 2);
    assert_eq!(late_alone(&format!("{SESSION} HAVING k = 'a'")), 1);
    const NEAR: &str = "a.k = b.k AND b.at BETWEEN a.at AND a.at + INTERVAL '3' SECOND";
    let join = format!("SELECT a.k, a.at, b.at AS then FROM raw_s a JOIN raw_s b ON {NEAR}");
    assert_eq!(late_alone(&join), 4, "each side has both");
    assert_eq!(late_alone(&format!("{join} WHERE a.j = 1 AND b.j = 1")), 2);
    let unanswered = format!(
        "SELECT a.k, a.at FROM raw_s a WHERE NOT EXISTS (SELECT 1 FROM raw_s b WHERE b.j > 1 AND {NEAR})"
    );
    assert_eq!(late_alone(&unanswered), 3);
    let unbounded = "SELECT a.k, b.j FROM raw_s a JOIN raw_s b ON a.k = b.k AND a.at < b.at";
    assert!(all_late(unbounded).is_empty(), "nothing is let go there");
}

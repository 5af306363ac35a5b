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

/// How many records were late for the window from zero on, and how often a view says so of each.
fn late(query: &str) -> i64 {
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
    let rows = late.iter().flat_map(|batch| {
        let starts = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        let records = batch.column(2).as_primitive::<Int64Type>();
        let epochs = batch.column(3).as_primitive::<Int64Type>();
        assert!(starts.iter().all(|it| it == Some(0)), "{query}: {starts:?}");
        assert!(
            epochs.iter().all(|it| it == Some(100)),
            "{query}: {epochs:?}"
        );
        records.values().to_vec()
    });
    rows.sum()
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
    for not in ["", "NOT "] {
        let exists = format!(
            "SELECT r.k, r.j FROM raw_s r WHERE {not}EXISTS (SELECT 1 FROM ({WINDOWS}) w WHERE {SAME})"
        );
        assert_eq!(late(&exists), 2, "{not}EXISTS");
    }
    let some = "SELECT r.k FROM raw_s r WHERE r.at IN (SELECT window_start FROM TUMBLE(raw_s, at, INTERVAL '6' SECOND) GROUP BY window_start)";
    assert_eq!(late(some), 2);
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

//! Which changes of a dataflow its lake follows, and which are refused.

use super::*;
use crate::model::{Offset, Offsets, Partition, Position};

const SOURCE: &str = "CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, y DATE, n BIGINT,
  WATERMARK FOR at AS at - INTERVAL '10' SECOND) WITH (connector = 'kafka', brokers = 'b', topic = 't') FORMAT JSON;";
const TABLE: &str =
    "CREATE TABLE raw WITH (partition_by = 'k') AS SELECT *, n * 2 AS twice FROM s WHERE n > 0;";
const VIEWS: &str = "CREATE VIEW some AS SELECT * FROM raw WHERE n > 5;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records FROM some GROUP BY k;
CREATE MATERIALIZED VIEW top AS SELECT k, records FROM per_k ORDER BY records DESC LIMIT 3;
CREATE MATERIALIZED VIEW per_minute AS
  SELECT window_start, count(*) AS records FROM TUMBLE(raw, at, INTERVAL '1' MINUTE) GROUP BY window_start;";

fn text() -> String {
    format!("{SOURCE}\n{TABLE}\n{VIEWS}")
}

fn dataflow(text: &str) -> Dataflow {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(crate::sql::plan_text("d", text, |_| None))
        .unwrap()
}

fn offsets() -> SourceOffsets {
    let mut offsets = Offsets::default();
    let position = Position {
        offset: Offset(7),
        origin: String::new(),
        mark: String::new(),
    };
    offsets.advance(Partition(0), position);
    SourceOffsets::from([("s".to_owned(), offsets)])
}

fn manifest(text: &str) -> Manifest {
    let mut manifest = Manifest::empty("d");
    manifest.definitions = serde_json::to_value(dataflow(text).definitions).unwrap();
    manifest.offsets = offsets();
    manifest
}

/// What replacing a piece of the text means for a lake written with the text.
#[track_caller]
fn change(from: &str, to: &str) -> Result<Growth, String> {
    assert!(text().contains(from), "{from} is in the text");
    let grown = text().replacen(from, to, 1);
    since(&manifest(&text()), &dataflow(&grown)).map_err(|it| it.to_string())
}

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    let growth = change(from, to).unwrap();
    assert_eq!(growth.sentences(), expected);
}

#[track_caller]
fn refused(from: &str, to: &str, words: &[&str]) {
    let reason = change(from, to).unwrap_err();
    for word in words {
        assert!(reason.contains(word), "{word:?} is not in {reason}");
    }
}

#[test]
fn what_changes_nothing_that_is_stored_is_nothing() {
    let manifest = manifest(&text());
    for (from, to) in [
        ("brokers = 'b'", "brokers = 'c'"),
        ("'10' SECOND", "'20' SECOND"),
        (
            "CREATE MATERIALIZED VIEW per_minute AS",
            "-- a comment\ncreate materialized view per_minute WITH (retention = '1 day') as",
        ),
        (" GROUP BY k;", "\n   group  by k;"),
    ] {
        let grown = dataflow(&text().replacen(from, to, 1));
        let growth = since(&manifest, &grown).unwrap();
        assert_eq!(growth.sentences(), Vec::<String>::new(), "{from} -> {to}");
        assert!(growth.is_nothing(&manifest), "{from} -> {to}");
    }
}

#[test]
fn views_are_filled_with_all_that_read_them() {
    let new = "CREATE MATERIALIZED VIEW sums AS SELECT sum(n) AS n FROM raw;\nCREATE VIEW some";
    check(
        "CREATE VIEW some",
        new,
        &["view sums is new: filled from the archive"],
    );
    let changed = [
        "view per_k has changed: filled again from the archive",
        "view top reads per_k: filled again",
    ];
    check(
        "count(*) AS records FROM some",
        "count(n) AS records FROM some",
        &changed,
    );
    // A plain view that a view reads is part of it.
    check("n > 5", "n > 6", &changed);
    check(
        "LIMIT 3",
        "LIMIT 4",
        &["view top has changed: filled again from the archive"],
    );
    check(
        "'1' MINUTE",
        "'2' MINUTE",
        &[
            "view late reads per_minute: filled again",
            "view per_minute has changed: filled again from the archive",
        ],
    );
    check(
        "CREATE MATERIALIZED VIEW top AS SELECT k, records FROM per_k ORDER BY records DESC LIMIT 3;",
        "",
        &["view top is gone: its state is dropped, its table stays as it is"],
    );
    let at = text().find("CREATE MATERIALIZED VIEW per_minute").unwrap();
    let gone = since(&manifest(&text()), &dataflow(&text()[..at])).unwrap();
    assert_eq!(
        gone.sentences(),
        [
            "view late reads per_minute: filled again",
            "view per_minute is gone: its state is dropped, its table stays as it is",
        ]
    );
}

/// What was stored of a generated column keeps what it was computed by, and of a record that lacked a field what it had.
#[test]
fn generated_columns_and_defaults_keep_their_meaning() {
    check(
        "n BIGINT",
        "n BIGINT, m AS n * 2",
        &[
            "source s: new columns m; records read before do not have them",
            "table raw: new columns m, null in the rows that are there",
        ],
    );
    let with = |column: &str| text().replacen("n BIGINT", column, 1);
    let refused = |from: &str, to: &str| {
        let growth = since(&manifest(&with(from)), &dataflow(&with(to)));
        growth.expect_err("the lake cannot follow").to_string()
    };
    let said = refused("n BIGINT, m AS n * 2", "n BIGINT, m AS n * 3");
    assert!(
        said.contains("column m was computed by `(n * 2)` and is now computed by `(n * 3)`"),
        "{said}"
    );
    let said = refused("n BIGINT", "n BIGINT DEFAULT 0");
    assert!(
        said.contains("column n was read from records and is now read with DEFAULT '0'"),
        "{said}"
    );
    let said = refused(
        "n BIGINT, m TIMESTAMP",
        "n BIGINT, m TIMESTAMP AS PROCTIME()",
    );
    assert!(said.contains("is now computed by `proctime()`"), "{said}");
    // Ways of writing one thing.
    let same = since(
        &manifest(&with("n BIGINT, m AS n * 2")),
        &dataflow(&with("n BIGINT, m AS (n*2)")),
    );
    assert_eq!(same.unwrap().sentences(), Vec::<String>::new());
}

#[test]
fn columns_come_with_the_offsets_they_came_at() {
    let growth = change("n BIGINT", "n BIGINT, x DOUBLE").unwrap();
    assert_eq!(
        growth.sentences(),
        [
            "source s: new columns x; records read before do not have them",
            "table raw: new columns x, null in the rows that are there",
        ]
    );
    let since_of = |it: &Definitions| {
        let columns = &it.tables["raw"].columns;
        columns
            .iter()
            .find(|it| it.name == "x")
            .unwrap()
            .since
            .clone()
    };
    assert_eq!(since_of(&growth.definitions), Some(offsets()["s"].clone()));

    // A later start with the same text finds nothing to do, and keeps the offsets.
    let grown = text().replacen("n BIGINT", "n BIGINT, x DOUBLE", 1);
    let mut manifest = manifest(&text());
    manifest.definitions = serde_json::to_value(&growth.definitions).unwrap();
    let later = since(&manifest, &dataflow(&grown)).unwrap();
    assert!(later.is_nothing(&manifest), "{later}");
    assert_eq!(since_of(&later.definitions), since_of(&growth.definitions));
}

#[test]
fn a_source_with_a_key_gets_a_column_and_its_table_does() {
    let text = format!(
        "{}\nCREATE TABLE raw AS SELECT * FROM s;\nCREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS c FROM s GROUP BY k;",
        SOURCE.replace("n BIGINT,", "n BIGINT, PRIMARY KEY (k),")
    );
    let grown = text.replace("n BIGINT,", "n BIGINT, more TEXT,");
    let growth = since(&manifest(&text), &dataflow(&grown)).unwrap();
    assert_eq!(
        growth.sentences()[1],
        "table raw: new columns more, null in the rows that are there"
    );
}

#[test]
fn what_would_change_the_meaning_of_stored_rows_is_refused() {
    refused(
        "y DATE, ",
        "",
        &[
            "line 1: source s: column y is gone",
            "table raw: column y is gone",
        ],
    );
    refused("n BIGINT", "n INT", &["column n was BIGINT and is now INT"]);
    refused(
        "n BIGINT",
        "n BIGINT NOT NULL",
        &["column n is now NOT NULL"],
    );
    refused(
        "n BIGINT",
        "n BIGINT, x INT NOT NULL",
        &["column x is new and NOT NULL"],
    );
    refused(
        "n * 2 AS twice",
        "n * 3 AS twice",
        &["line 3: table raw: column twice was computed by `(n * 2)` and is now by `(n * 3)`"],
    );
    refused(
        "WHERE n > 0",
        "WHERE n > 1",
        &["it kept the records of `select from s where (n > 0)`"],
    );
    refused(
        " WITH (partition_by = 'k')",
        "",
        &["partition_by was 'k' and is now ''"],
    );
    refused(
        "FORMAT JSON",
        "FORMAT ACCESS_LOG",
        &["format was JSON and is now ACCESS_LOG"],
    );
    refused(
        "FORMAT JSON",
        "FORMAT CSV (delimiter = E'\\t', null = 'NA')",
        &["format was JSON and is now CSV without a header, delimited by tabs, 'NA' for null"],
    );
    refused(
        "CREATE VIEW some",
        "CREATE TABLE more AS SELECT at, n FROM s;\nCREATE VIEW some",
        &["line 4: table more is new"],
    );
    let mut old = manifest(&text());
    old.definitions = serde_json::Value::Null;
    let reason = since(&old, &dataflow(&text())).unwrap_err().to_string();
    assert!(reason.contains("did not note definitions"), "{reason}");
}

#[test]
fn a_detector_may_go_unless_somebody_said_something_of_its_incidents() {
    let detector = "CREATE DETECTOR busy ON per_minute METRICS (rate(records));";
    let with = format!("{}\n{detector}", text());
    let mut before = manifest(&with);
    let gone = since(&before, &dataflow(&text())).unwrap();
    assert!(
        gone.removed_tables.contains("incident_action_log"),
        "{gone:?}"
    );
    assert!(gone.removed_views.contains("incidents"), "{gone:?}");
    let come = since(&manifest(&text()), &dataflow(&with)).unwrap();
    assert!(come.tables.contains("incident_action_log"), "{come:?}");

    let said = offsets()["s"].clone();
    before.offsets.insert("incident_actions".to_owned(), said);
    let refused = since(&before, &dataflow(&text())).unwrap_err().to_string();
    let told = "write CREATE SOURCE incident_actions (about TEXT NOT NULL";
    assert!(refused.contains(told), "{refused}");
    let statement = crate::sql::incidents::SOURCE;
    let kept = since(&before, &dataflow(&format!("{}\n{statement}", text()))).unwrap();
    assert!(kept.removed_views.contains("incidents"), "{kept:?}");
}

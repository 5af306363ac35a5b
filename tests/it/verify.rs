//! The proof holds for what the pipeline writes, also while it does, and says what it cannot tell.
//!
//! One lake is made by the real pipeline: two runs with different numbers of workers, dead letters, late records. Tests damage copies of it.

mod damage;
mod random_edits;
mod sources;
mod tampering;

use super::lakes::{
    NAME, Place, SECOND_US, START_US, committed, dataflow, has_read, lines, original, runtime,
    start, start_on,
};
use super::oracle::Random;
use damage::{assert_fails, largest_file, text};
use std::path::Path;
use tidelake::source::place::Inputs;
use tidelake::sql;
use tidelake::verify::{Error, Options, Outcome, verify};

#[test]
fn what_the_pipeline_writes_is_proven() {
    let report = original().verify();
    assert!(report.is_proven(), "{report}");
    assert!(
        report
            .checks
            .iter()
            .all(|it| it.outcome != Outcome::Unknown),
        "{report}"
    );
    let late = text(&report, "late marks", "raw");
    assert!(!late.starts_with("0 "), "the lake has late rows: {late}");
    let dead = text(&report, "dead letters", "s");
    assert!(!dead.starts_with("0 "), "the lake has dead letters: {dead}");
    assert!(text(&report, "source", "s").starts_with("4 partitions"));
    for view in [
        "every_aggregate",
        "per_10s",
        "from_source_itself",
        "late",
        "busiest",
    ] {
        assert!(
            !text(&report, "view", view).starts_with("0 "),
            "{view} has rows"
        );
    }
}

#[test]
fn what_a_further_table_lacks_for_a_failing_expression_is_told_and_proven() {
    let place = Place::new();
    let times = (0..9).map(|it| format!("2026-02-01T12:00:0{it}Z"));
    let records: Vec<String> = times
        .zip([1, 0, 5, 0, 7, 0, 9, 10, 20])
        .map(|(at, n)| format!("{{\"at\": \"{at}\", \"n\": {n}}}"))
        .collect();
    place.append(0, &records);
    let sql = "CREATE SOURCE s (at TIMESTAMP NOT NULL, n BIGINT) WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
        CREATE TABLE raw AS SELECT at, n FROM s;
        CREATE TABLE shares AS SELECT at, 100 / n AS share FROM s;
        CREATE MATERIALIZED VIEW sums AS SELECT sum(share) AS share, count(*) AS records FROM shares;";
    let report = runtime().block_on(async {
        let flow = sql::plan_text(NAME, sql, |_| None).await.unwrap();
        let pipeline = start_on(&place, 2, flow.clone(), place.input().into()).await;
        let bytes = place.input_bytes();
        committed(&pipeline, |it| has_read(it, bytes)).await;
        pipeline.stop().await.unwrap();
        let options = Options {
            lake: place.lake().display().to_string(),
            inputs: place.input().into(),
        };
        verify(&flow, &options).await.unwrap()
    });
    assert!(report.is_proven(), "{report}");
    assert!(
        text(&report, "archive", "raw").starts_with("9 rows"),
        "{report}"
    );
    let shares = text(&report, "archive", "shares");
    assert!(shares.starts_with("6 rows"), "{shares}");
    assert!(shares.contains("3 records left out"), "{shares}");
    assert!(shares.to_lowercase().contains("divide by zero"), "{shares}");
}

#[test]
fn a_running_pipeline_is_proven_up_to_its_newest_commit() {
    let place = original().copy();
    let mut random = Random(5);
    let mut reports = Vec::new();
    runtime().block_on(async {
        let pipeline = start(&place, 2).await;
        let options = Options {
            lake: place.lake().display().to_string(),
            inputs: place.input().into(),
        };
        for _ in 0..3 {
            let bytes = place.input_bytes();
            place.append(2, &lines(&mut random, START_US + 60 * SECOND_US, 20));
            committed(&pipeline, |it| !has_read(it, bytes)).await;
            reports.push(verify(&dataflow().await, &options).await);
        }
        pipeline.stop().await.unwrap();
    });
    for report in reports {
        let report = report.unwrap();
        assert!(report.is_proven(), "{report}");
    }
    let report = place.verify();
    assert!(report.is_proven(), "{report}");
}

/// A table that the newest commit changed, or left alone; without the log entry of its version.
fn without_its_version(place: &Place, changed: bool) -> String {
    let manifest = place.manifest();
    let entries = manifest.tables.iter();
    let (name, entry) = entries
        .filter(|it| it.1.commit != 0)
        .find(|it| (it.1.commit == manifest.number) == changed)
        .expect("there are such tables");
    let log = place.table(name).join("_delta_log");
    std::fs::remove_file(log.join(format!("{:020}.json", entry.version))).unwrap();
    name.clone()
}

#[test]
fn a_commit_that_did_not_reach_its_tables_yet_is_no_damage() {
    let place = original().copy();
    let newest = place.manifest().number;
    // As after a crash between the manifest and the log of one table.
    let table = without_its_version(&place, true);
    let report = place.verify();
    assert!(report.is_proven(), "{report}");
    assert!(report.commit < newest, "{report}");
    let told = text(&report, "next commit", &format!("number {newest}"));
    assert!(told.contains(&table), "{report}");
}

#[test]
fn a_log_entry_that_is_a_copy_of_the_first_is_found() {
    let place = original().copy();
    let table = without_its_version(&place, true);
    let version = place.manifest().tables[&table].version;
    let log = place.table(&table).join("_delta_log");
    let entry = |version: u64| log.join(format!("{version:020}.json"));
    std::fs::copy(entry(0), entry(version)).unwrap();
    assert_fails(&place.verify(), &format!("log {table}"));
}

#[test]
fn a_version_that_nothing_will_write_again_is_found() {
    let place = original().copy();
    let newest = place.manifest().number;
    without_its_version(&place, false);
    assert_fails(&place.verify(), &format!("next commit number {newest}"));
}

#[test]
fn a_file_of_an_upload_that_no_commit_names_is_only_told() {
    let place = original().copy();
    let file = place.table("raw").join(largest_file(&place, "raw"));
    std::fs::copy(file, place.table("raw").join("e0-crashed.zstd.parquet")).unwrap();
    let report = place.verify();
    assert!(report.is_proven(), "{report}");
    assert!(
        text(&report, "leftovers", "").contains("deleted by age (raw 1)"),
        "{report}"
    );
}

#[test]
fn where_there_is_nothing_to_prove_that_is_said() {
    let place = Place::new();
    std::fs::create_dir(place.lake()).unwrap();
    let missing = place.path().join("elsewhere");
    runtime().block_on(async {
        let options = |lake: &Path| Options {
            lake: lake.display().to_string(),
            inputs: Inputs::default(),
        };
        let empty = verify(&dataflow().await, &options(&place.lake())).await;
        assert!(matches!(empty, Err(Error::Nothing { .. })));
        let nowhere = verify(&dataflow().await, &options(&missing)).await;
        assert!(nowhere.is_err_and(|it| it.is_usage()));
        assert!(!missing.exists(), "a proof makes no folders");
    });
}

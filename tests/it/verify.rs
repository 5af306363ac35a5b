//! The proof holds for what the pipeline writes, and finds each kind of damage by the check that names it.
//!
//! One lake is made by the real pipeline: two runs with different numbers of workers, dead letters, late records. Every test
//! damages a copy of it. Where a file is rewritten, the log is made to agree with it, so that only what the file says can give it away.

use super::oracle::{Random, small_record};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, new_null_array,
};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidelake::coordinator::{self, Pipeline};
use tidelake::lake::{Manifest, TableEntry};
use tidelake::plan::Dataflow;
use tidelake::sql;
use tidelake::verify::{Error, Options, Outcome, Report, verify};

pub(super) const NAME: &str = "everything";
pub(super) const START_US: i64 = 1_769_860_800_000_000;
pub(super) const SECOND_US: i64 = 1_000_000;

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

async fn dataflow() -> Dataflow {
    dataflow_on("localhost:1").await
}

async fn dataflow_on(brokers: &str) -> Dataflow {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dataflows/everything");
    let text = std::fs::read_to_string(folder.join("dataflow.sql")).unwrap();
    let text = text.replace("localhost:1", brokers);
    sql::plan_text(NAME, &text, |_| None).await.unwrap()
}

/// A lake and its input in one folder.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.input()).unwrap();
        place
    }

    pub(super) fn input(&self) -> PathBuf {
        self.0.path().join("input")
    }

    pub(super) fn lake(&self) -> PathBuf {
        self.0.path().join("lake")
    }

    pub(super) fn table(&self, name: &str) -> PathBuf {
        self.lake().join(name)
    }

    /// A copy to be damaged.
    pub(super) fn copy(&self) -> Self {
        let copy = Place(tempfile::tempdir().unwrap());
        copy_folder(self.0.path(), copy.0.path());
        copy
    }

    pub(super) fn verify(&self) -> Report {
        runtime().block_on(async {
            let options = Options {
                lake: self.lake().display().to_string(),
                input: Some(self.input()),
            };
            verify(&dataflow().await, &options).await.unwrap()
        })
    }

    pub(super) fn manifests(&self) -> Vec<PathBuf> {
        let folder = self.lake().join(format!("_tidelake/{NAME}/manifests"));
        sorted(&folder)
    }

    pub(super) fn manifest(&self) -> Manifest {
        let newest = self.manifests().pop().expect("there is a commit");
        serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap()
    }

    pub(super) fn append(&self, partition: i32, lines: &[String]) {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.input().join(format!("part-{partition}.jsonl")))
            .unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
    }

    pub(super) fn input_bytes(&self) -> i64 {
        let files = sorted(&self.input());
        let sizes = files.iter().map(|it| std::fs::metadata(it).unwrap().len());
        sizes.sum::<u64>() as i64
    }
}

pub(super) fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|it| it.unwrap().path()).collect();
    paths.sort();
    paths
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for path in sorted(from) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Records around a time, some of them in disorder, a few that do not decode.
pub(super) fn lines(random: &mut Random, around_us: i64, count: usize) -> Vec<String> {
    (0..count)
        .map(|at| match random.below(20) {
            0 => "{\"at\": 1".to_owned(),
            _ => {
                let disorder = random.below(8) as i64 * SECOND_US;
                small_record(random, around_us + at as i64 * SECOND_US / 10 - disorder)
            }
        })
        .collect()
}

async fn start(place: &Place, workers: usize) -> Pipeline {
    start_on(place, workers, dataflow().await, Some(place.input())).await
}

pub(super) async fn start_on(
    place: &Place,
    workers: usize,
    dataflow: Dataflow,
    input: Option<PathBuf>,
) -> Pipeline {
    let options = coordinator::Options {
        lake: place.lake().display().to_string(),
        input,
        workers,
        commit_interval_ms: 300,
        idle_ms: 300,
        ..coordinator::Options::default()
    };
    coordinator::start(dataflow, &options).await.unwrap()
}

/// Waits for a commit for which something holds.
pub(super) async fn committed(pipeline: &Pipeline, holds: impl Fn(&Manifest) -> bool) {
    let mut commits = pipeline.committed.clone();
    loop {
        let newest = pipeline.store.newest_manifest(NAME).await.unwrap();
        if newest.is_some_and(|it| holds(&it)) {
            return;
        }
        commits.changed().await.unwrap();
    }
}

pub(super) fn has_read(manifest: &Manifest, bytes: i64) -> bool {
    let offsets = manifest.offsets.get("s");
    offsets.is_some_and(|it| it.iter().map(|it| it.1.offset.0).sum::<i64>() == bytes)
}

/// Made once, by two runs.
fn original() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Place::new();
        runtime().block_on(async {
            let mut random = Random(11);
            for partition in 0..3 {
                place.append(partition, &lines(&mut random, START_US, 150));
            }
            let pipeline = start(&place, 2).await;
            let bytes = place.input_bytes();
            committed(&pipeline, |it| {
                let watermark = it.event_times["s"]["watermark_us"].as_i64();
                has_read(it, bytes) && watermark.is_some_and(|it| START_US < it)
            })
            .await;
            // Far too late: windows of a minute ago are closed.
            place.append(1, &lines(&mut random, START_US - 120 * SECOND_US, 20));
            let bytes = place.input_bytes();
            committed(&pipeline, |it| has_read(it, bytes)).await;
            pipeline.stop().await.unwrap();

            place.append(0, &lines(&mut random, START_US + 20 * SECOND_US, 100));
            place.append(7, &lines(&mut random, START_US + 20 * SECOND_US, 30));
            let pipeline = start(&place, 1).await;
            let bytes = place.input_bytes();
            // Time goes on in some tables, while nothing comes to others.
            committed(&pipeline, |it| {
                let at_rest = |table: &TableEntry| table.commit != 0 && table.commit < it.number;
                has_read(it, bytes) && it.tables.values().any(at_rest)
            })
            .await;
            pipeline.stop().await.unwrap();
        });
        place
    })
}

#[track_caller]
fn assert_fails(report: &Report, check: &str) {
    assert!(!report.is_proven(), "{report}");
    assert!(
        report.failed().iter().any(|it| it.trim() == check),
        "check {check:?} should fail:\n{report}"
    );
}

fn text(report: &Report, name: &str, subject: &str) -> String {
    let check = report
        .checks
        .iter()
        .find(|it| it.name == name && it.subject == subject);
    let check = check.unwrap_or_else(|| panic!("there is no check {name} {subject}:\n{report}"));
    format!("{} {}", check.compared, check.findings.join("\n"))
}

/// Changes one data file of a table, and makes the log say what the file now is.
fn rewrite(
    place: &Place,
    table: &str,
    path: &str,
    change: impl FnOnce(RecordBatch) -> RecordBatch,
) {
    let file = place.table(table).join(path);
    let bytes = bytes::Bytes::from(std::fs::read(&file).unwrap());
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let changed = change(concat_batches(&schema, &batches).unwrap());
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, changed.schema(), None).unwrap();
    writer.write(&changed).unwrap();
    writer.close().unwrap();
    let size = bytes.len();
    std::fs::write(&file, bytes).unwrap();
    edit_log(place, table, |action| {
        if action["add"]["path"] == path {
            action["add"]["size"] = json!(size);
            action["add"]["stats"] = json!(json!({"numRecords": changed.num_rows()}).to_string());
        }
    });
}

fn edit_log(place: &Place, table: &str, mut edit: impl FnMut(&mut Value)) {
    for path in sorted(&place.table(table).join("_delta_log")) {
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut edited = String::new();
        for line in text.lines() {
            let mut action: Value = serde_json::from_str(line).unwrap();
            edit(&mut action);
            edited.push_str(&format!("{action}\n"));
        }
        std::fs::write(&path, edited).unwrap();
    }
}

/// Files that the newest version of a table names, with their rows.
fn files(place: &Place, table: &str) -> BTreeMap<String, u64> {
    let mut files = BTreeMap::new();
    edit_log(place, table, |action| {
        if let Some(path) = action["add"]["path"].as_str() {
            let stats: Value =
                serde_json::from_str(action["add"]["stats"].as_str().unwrap()).unwrap();
            files.insert(path.to_owned(), stats["numRecords"].as_u64().unwrap());
        }
        if let Some(path) = action["remove"]["path"].as_str() {
            files.remove(path);
        }
    });
    files
}

fn largest_file(place: &Place, table: &str) -> String {
    let files = files(place, table);
    let largest = files.into_iter().max_by_key(|it| it.1);
    largest.expect("the table has a file").0
}

fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let at = batch.schema().index_of(name).unwrap();
    let mut columns = batch.columns().to_vec();
    columns[at] = column;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

fn numbers(batch: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    let column = batch.column_by_name(name).unwrap();
    column.as_primitive::<Int64Type>().iter().collect()
}

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
        let pipeline = start_on(&place, 2, flow.clone(), Some(place.input())).await;
        let bytes = place.input_bytes();
        committed(&pipeline, |it| has_read(it, bytes)).await;
        pipeline.stop().await.unwrap();
        let options = Options {
            lake: place.lake().display().to_string(),
            input: Some(place.input()),
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
            input: Some(place.input()),
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

#[test]
fn a_lost_row_is_found() {
    let place = original().copy();
    rewrite(&place, "raw", &largest_file(&place, "raw"), |it| {
        it.slice(1, it.num_rows() - 1)
    });
    let report = place.verify();
    assert_fails(&report, "archive raw");
    assert!(
        text(&report, "archive", "raw").contains("missing"),
        "{report}"
    );
}

#[test]
fn a_doubled_file_is_found() {
    let place = original().copy();
    let file = largest_file(&place, "raw");
    std::fs::copy(
        place.table("raw").join(&file),
        place.table("raw").join("again.parquet"),
    )
    .unwrap();
    let newest = sorted(&place.table("raw").join("_delta_log"))
        .pop()
        .unwrap();
    let mut again = None;
    edit_log(&place, "raw", |action| {
        if action["add"]["path"] == file.as_str() {
            again = Some(action.clone());
        }
    });
    let mut again = again.unwrap();
    again["add"]["path"] = json!("again.parquet");
    let mut text_of_newest = std::fs::read_to_string(&newest).unwrap();
    text_of_newest.push_str(&format!("{again}\n"));
    std::fs::write(&newest, text_of_newest).unwrap();
    let report = place.verify();
    assert_fails(&report, "archive raw");
    assert!(
        text(&report, "archive", "raw").contains("there 2 times"),
        "{report}"
    );
    assert_fails(&report, "log raw");
}

#[test]
fn rows_that_no_commit_put_there_are_found() {
    let place = original().copy();
    let log = place.table("raw").join("_delta_log");
    let newest = sorted(&log).pop().unwrap();
    let number: u64 = newest
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let file = largest_file(&place, "raw");
    std::fs::copy(
        place.table("raw").join(&file),
        place.table("raw").join("foreign.parquet"),
    )
    .unwrap();
    let size = std::fs::metadata(place.table("raw").join(&file))
        .unwrap()
        .len();
    let add = json!({"add": {"path": "foreign.parquet", "partitionValues": {}, "size": size, "modificationTime": 1, "dataChange": true}});
    std::fs::write(
        log.join(format!("{:020}.json", number + 1)),
        format!("{add}\n"),
    )
    .unwrap();
    assert_fails(&place.verify(), "log raw");
}

#[test]
fn a_changed_value_in_a_view_is_found() {
    let place = original().copy();
    rewrite(
        &place,
        "every_aggregate",
        &largest_file(&place, "every_aggregate"),
        |it| {
            let mut counts = numbers(&it, "records");
            counts[0] = counts[0].map(|it| it + 1);
            with_column(&it, "records", Arc::new(Int64Array::from(counts)))
        },
    );
    let report = place.verify();
    assert_fails(&report, "view every_aggregate");
    assert!(
        text(&report, "view", "every_aggregate").contains("records is"),
        "{report}"
    );
}

#[test]
fn a_changed_value_in_the_archive_is_found() {
    let place = original().copy();
    rewrite(&place, "raw", &largest_file(&place, "raw"), |it| {
        let twice = numbers(&it, "twice")
            .into_iter()
            .map(|it| it.map(|it| it + 2));
        with_column(&it, "twice", Arc::new(twice.collect::<Int64Array>()))
    });
    let report = place.verify();
    assert_fails(&report, "archive raw");
    assert!(
        text(&report, "archive", "raw").contains("changed"),
        "{report}"
    );
}

#[test]
fn a_removed_data_file_is_found() {
    let place = original().copy();
    std::fs::remove_file(place.table("raw").join(largest_file(&place, "raw"))).unwrap();
    let report = place.verify();
    assert_fails(&report, "files raw");
    assert!(
        text(&report, "files", "raw").contains("named and missing"),
        "{report}"
    );
}

#[test]
fn a_data_file_cut_short_is_found() {
    let place = original().copy();
    let file = place.table("no_keys").join(largest_file(&place, "no_keys"));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    assert_fails(&place.verify(), "files no_keys");
}

#[test]
fn a_forged_checksum_is_found() {
    let place = original().copy();
    let newest = place.manifests().pop().unwrap();
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&newest).unwrap()).unwrap();
    let checksum = &mut manifest["read"]["s"]["1"]["checksum"];
    assert!(checksum.is_string());
    *checksum = json!("12345");
    std::fs::write(&newest, manifest.to_string()).unwrap();
    let report = place.verify();
    assert_fails(&report, "source s");
    assert_fails(&report, "counts");
    assert!(
        text(&report, "source", "s").contains("partition 1: checksum"),
        "{report}"
    );
}

#[test]
fn forged_counts_of_one_commit_are_found() {
    let place = original().copy();
    let newest = place.manifests().pop().unwrap();
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&newest).unwrap()).unwrap();
    manifest["counts"]["s"]["0"] =
        json!({"records": 1_000_000, "undecoded": 0, "bytes": 0, "checksum": "0"});
    std::fs::write(&newest, manifest.to_string()).unwrap();
    assert_fails(&place.verify(), "counts");
}

#[test]
fn a_row_beyond_the_committed_offset_is_found() {
    let place = original().copy();
    let beyond = 1 << 40;
    rewrite(&place, "raw", &largest_file(&place, "raw"), |it| {
        let more = it.slice(0, 1);
        let more = with_column(&more, "_offset", Arc::new(Int64Array::from(vec![beyond])));
        concat_batches(&it.schema(), [&it, &more]).unwrap()
    });
    let report = place.verify();
    assert_fails(&report, "archive raw");
    assert!(
        text(&report, "archive", "raw").contains("beyond the committed offset"),
        "{report}"
    );
}

#[test]
fn a_late_mark_taken_off_is_found() {
    let place = original().copy();
    let mut taken = 0;
    for file in files(&place, "raw").into_keys() {
        rewrite(&place, "raw", &file, |it| {
            let late = it.column_by_name("_late_watermark").unwrap();
            let marked = late.len() - late.null_count();
            // Of an epoch with several late rows one keeps its mark; else nothing would tell.
            if taken != 0 || marked < 2 {
                return it;
            }
            taken = 1;
            let first = (0..late.len()).find(|at| late.is_valid(*at)).unwrap();
            let head = it.slice(0, first + 1);
            let head = with_column(&head, "_late_watermark", {
                let without = new_null_array(late.data_type(), 1);
                arrow::compute::concat(&[&late.slice(0, first), &without]).unwrap()
            });
            let tail = it.slice(first + 1, it.num_rows() - first - 1);
            concat_batches(&it.schema(), [&head, &tail]).unwrap()
        });
    }
    assert_eq!(taken, 1, "there was a mark to take off");
    assert_fails(&place.verify(), "late marks raw");
}

#[test]
fn a_lost_dead_letter_is_found() {
    let place = original().copy();
    rewrite(
        &place,
        "dead_letters",
        &largest_file(&place, "dead_letters"),
        |it| {
            let kept: BooleanArray = (0..it.num_rows()).map(|at| Some(at != 0)).collect();
            filter_record_batch(&it, &kept).unwrap()
        },
    );
    let report = place.verify();
    assert_fails(&report, "dead letters s");
    assert_fails(&report, "view dead_letter_counts");
}

#[test]
fn missing_state_is_found() {
    let place = original().copy();
    let manifest = place.manifest();
    let file = manifest.state_differences.last().expect("there is state");
    std::fs::remove_file(place.lake().join(&file.path)).unwrap();
    assert_fails(&place.verify(), "stored state");
}

#[test]
fn a_source_that_was_changed_afterwards_is_found() {
    let place = original().copy();
    let path = place.input().join("part-2.jsonl");
    let changed = std::fs::read_to_string(&path)
        .unwrap()
        .replacen("\"n\":1", "\"n\":2", 1);
    std::fs::write(&path, changed).unwrap();
    assert_fails(&place.verify(), "source s");
}

#[test]
fn what_the_source_no_longer_has_is_neither_proof_nor_failure() {
    let place = original().copy();
    std::fs::remove_file(place.input().join("part-1.jsonl")).unwrap();
    let report = place.verify();
    assert!(report.is_proven(), "{report}");
    assert!(
        text(&report, "source gone", "s").contains("partition 1: offsets 0 to"),
        "{report}"
    );
}

#[test]
fn a_rotated_log_is_read_again_from_all_its_files() {
    let place = Place::new();
    let mut random = Random(8);
    let log = place.input().join("part-0.jsonl");
    let packed = place.input().join("part-0.jsonl.1.gz");
    let pipe_until = |bytes: u64| {
        runtime().block_on(async {
            let pipeline = start(&place, 1).await;
            committed(&pipeline, |it| has_read(it, bytes as i64)).await;
            pipeline.stop().await.unwrap();
        });
    };
    place.append(0, &lines(&mut random, START_US, 40));
    pipe_until(std::fs::metadata(&log).unwrap().len());
    place.append(0, &lines(&mut random, START_US, 10));
    let first = std::fs::read(&log).unwrap();
    let file = std::fs::File::create(&packed).unwrap();
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packer.write_all(&first).unwrap();
    packer.finish().unwrap();
    std::fs::remove_file(&log).unwrap();
    place.append(0, &lines(&mut random, START_US, 30));
    pipe_until(first.len() as u64 + std::fs::metadata(&log).unwrap().len());

    let report = place.verify();
    assert!(report.is_proven(), "{report}");
    let source = text(&report, "source", "s");
    assert!(
        source.starts_with("1 partition read again: 80 records"),
        "{report}"
    );
    std::fs::remove_file(&packed).unwrap();
    let report = place.verify();
    assert!(report.is_proven(), "{report}");
    let gone = format!("partition 0: offsets 0 to {}", first.len());
    assert!(
        text(&report, "source gone", "s").contains(&gone),
        "{report}"
    );
}

#[test]
fn a_source_that_has_nothing_is_no_proof() {
    let place = original().copy();
    for file in sorted(&place.input()) {
        std::fs::remove_file(file).unwrap();
    }
    assert_fails(&place.verify(), "source s");
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

/// A topic in memory that speaks Kafka's protocol.
fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("s", 3, 1).unwrap();
    cluster
}

fn produce(cluster: &MockCluster<'static, DefaultProducerContext>, lines: &[String]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .unwrap();
    for (at, line) in lines.iter().enumerate() {
        let record = BaseRecord::<(), String>::to("s").partition(at as i32 % 3);
        producer.send(record.payload(line)).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_topic_is_read_again_up_to_the_committed_offsets() {
    let place = Place::new();
    let (topic, anew) = (cluster(), cluster());
    let mut random = Random(3);
    produce(&topic, &lines(&mut random, START_US, 120));
    runtime().block_on(async {
        let dataflow = dataflow_on(&topic.bootstrap_servers()).await;
        let pipeline = start_on(&place, 2, dataflow.clone(), None).await;
        committed(&pipeline, |it| has_read(it, 120)).await;
        pipeline.stop().await.unwrap();
        produce(&topic, &lines(&mut random, START_US, 30));
        let options = Options {
            lake: place.lake().display().to_string(),
            input: None,
        };
        let report = verify(&dataflow, &options).await.unwrap();
        assert!(report.is_proven(), "{report}");
        let source = text(&report, "source", "s");
        assert!(
            source.starts_with("3 partitions read again: 120 records"),
            "{report}"
        );
        // The same topic, made anew: its records at these offsets are others, if there are any.
        produce(&anew, &lines(&mut random, START_US, 30));
        let elsewhere = dataflow_on(&anew.bootstrap_servers()).await;
        assert_fails(&verify(&elsewhere, &options).await.unwrap(), "source s");
        // As many records, but others.
        produce(&anew, &lines(&mut random, START_US, 120));
        let report = verify(&elsewhere, &options).await.unwrap();
        assert_fails(&report, "source s");
        assert!(
            text(&report, "source", "s").contains("checksum"),
            "{report}"
        );
    });
}

#[test]
fn where_there_is_nothing_to_prove_that_is_said() {
    let place = Place::new();
    std::fs::create_dir(place.lake()).unwrap();
    let missing = place.0.path().join("elsewhere");
    runtime().block_on(async {
        let options = |lake: &Path| Options {
            lake: lake.display().to_string(),
            input: None,
        };
        let empty = verify(&dataflow().await, &options(&place.lake())).await;
        assert!(matches!(empty, Err(Error::Nothing { .. })));
        let nowhere = verify(&dataflow().await, &options(&missing)).await;
        assert!(nowhere.is_err_and(|it| it.is_usage()));
        assert!(!missing.exists(), "a proof makes no folders");
    });
}

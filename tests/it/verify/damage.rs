//! What damages a lake, and how its proof is read.

use crate::lakes::{Place, sorted};
use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidelake::lake::Manifest;
use tidelake::verify::Report;

#[track_caller]
pub(super) fn assert_fails(report: &Report, check: &str) {
    assert!(!report.is_proven(), "{report}");
    assert!(
        report.failed().iter().any(|it| it.trim() == check),
        "check {check:?} should fail:\n{report}"
    );
}

pub(super) fn text(report: &Report, name: &str, subject: &str) -> String {
    let check = report
        .checks
        .iter()
        .find(|it| it.name == name && it.subject == subject);
    let check = check.unwrap_or_else(|| panic!("there is no check {name} {subject}:\n{report}"));
    format!("{} {}", check.compared, check.findings.join("\n"))
}

/// Changes one data file of a table, and makes the log say what the file now is.
pub(super) fn rewrite(
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

pub(super) fn edit_log(place: &Place, table: &str, mut edit: impl FnMut(&mut Value)) {
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
pub(super) fn files(place: &Place, table: &str) -> BTreeMap<String, u64> {
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

pub(super) fn largest_file(place: &Place, table: &str) -> String {
    let files = files(place, table);
    let largest = files.into_iter().max_by_key(|it| it.1);
    largest.expect("the table has a file").0
}

pub(super) fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let at = batch.schema().index_of(name).unwrap();
    let mut columns = batch.columns().to_vec();
    columns[at] = column;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

pub(super) fn numbers(batch: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    let column = batch.column_by_name(name).unwrap();
    column.as_primitive::<Int64Type>().iter().collect()
}

/// Edits manifests, and makes the chain of their seals fit what they then say.
pub(super) fn forge(place: &Place, mut edit: impl FnMut(&mut Manifest)) {
    let mut follows = None;
    for path in place.manifests() {
        let mut manifest = Manifest::from_file(&std::fs::read(&path).unwrap()).unwrap();
        edit(&mut manifest);
        let manifest = Manifest {
            follows,
            ..manifest
        }
        .sealed();
        std::fs::write(&path, manifest.to_file()).unwrap();
        follows = manifest.seal;
    }
}

//! What each version of a Delta table adds and removes, as lines of JSON.
//!
//! Files are read one by one, in the order of their paths, rows in the order in which they lie in a file: the same lines whenever a version is read.

use crate::source::json_rows;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use bytes::Bytes;
use datafusion::prelude::{SessionConfig, SessionContext, ident};
use deltalake::DeltaTable;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::sync::Arc;

/// Opens a table at a version, or at its newest.
pub type Open =
    Arc<dyn Fn(&str, Option<u64>) -> BoxFuture<'static, Result<DeltaTable, String>> + Send + Sync>;

/// A column that names the file of a row while files are listed.
const FILE_COLUMN: &str = "_tidelake_file";

/// A Delta table that is read.
#[derive(Clone)]
pub struct Table {
    pub path: String,
    pub open: Open,
    /// Whether the source has a PRIMARY KEY. Without one rows are only added.
    pub has_key: bool,
    /// The columns that the source declares.
    pub columns: Vec<String>,
}

/// Why a version was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It cannot be read now.
    Away(String),
    /// It has to be decided what to do about it.
    Refused(String),
    /// What it was is gone.
    Gone(String),
}

/// What an entry of the log says of rows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
    /// The table's id, if the entry states it.
    id: Option<String>,
}

impl Changes {
    fn parse(entry: &[u8]) -> Result<Self, String> {
        let mut changes = Changes::default();
        let lines = entry.split(|it| *it == b'\n');
        for line in lines.filter(|it| !it.trim_ascii().is_empty()) {
            let action: Value = serde_json::from_slice(line).map_err(|it| it.to_string())?;
            for (kind, files) in [
                ("add", &mut changes.added),
                ("remove", &mut changes.removed),
            ] {
                let file = &action[kind];
                // Files that were only put together differently have the same rows.
                if file["dataChange"] == Value::Bool(true)
                    && let Some(path) = file["path"].as_str()
                {
                    files.insert(path.to_owned());
                }
            }
            if let Some(id) = action["metaData"]["id"].as_str() {
                changes.id = Some(id.to_owned());
            }
        }
        Ok(changes)
    }
}

impl Table {
    pub(super) async fn at(&self, version: Option<u64>) -> Result<DeltaTable, Fault> {
        (self.open)(&self.path, version).await.map_err(Fault::Away)
    }

    /// The id of a table, by which it is told from another one at its place.
    pub(super) fn id(table: &DeltaTable) -> Result<String, Fault> {
        let state = table.snapshot().map_err(away)?;
        Ok(state.metadata().id().to_owned())
    }

    /// Whether a table has all columns that are declared, up to how their names are written.
    pub(super) fn check_columns(&self, table: &DeltaTable) -> Result<(), Fault> {
        let state = table.snapshot().map_err(away)?;
        let schema = state.schema();
        let names: Vec<&str> = schema.fields().map(|it| it.name().as_str()).collect();
        let plain = |it: &str| it.replace('_', "").to_lowercase();
        let is_there = |column: &&String| names.iter().any(|it| plain(it) == plain(column));
        match self.columns.iter().find(|it| !is_there(it)) {
            None => Ok(()),
            Some(column) => Err(Fault::Refused(format!(
                "it has no column {column}; it has {}",
                names.join(", ")
            ))),
        }
    }

    /// The entry of a version in the log, if there is one.
    pub(super) async fn entry(
        &self,
        table: &DeltaTable,
        version: u64,
    ) -> Result<Option<Bytes>, Fault> {
        let entry = table.log_store().read_commit_entry(version).await;
        entry.map_err(away)
    }

    /// The first version behind one that has an entry in the log.
    pub(super) async fn later(
        &self,
        table: &DeltaTable,
        version: u64,
    ) -> Result<Option<u64>, Fault> {
        let store = table.log_store().object_store(None);
        let after = Path::from(format!("_delta_log/{version:020}.json"));
        let listed = store.list_with_offset(Some(&Path::from("_delta_log")), &after);
        let names: Vec<_> = listed.try_collect().await.map_err(away)?;
        let version_of = |it: &object_store::ObjectMeta| {
            let name = it.location.filename()?.strip_suffix(".json")?;
            name.parse::<u64>().ok()
        };
        Ok(names.iter().filter_map(version_of).min())
    }

    /// Hands over the lines of all rows of a table.
    pub(super) async fn all(
        &self,
        table: &DeltaTable,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Fault> {
        for file in files(table).await? {
            let mut rows = rows(table, &file).await?;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(|it| of_file(&file, it))?;
                if !take(lines(&batch)?) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The lines of a version: first those of rows that it removes, marked as deleted, then those that it adds. Nothing while there is no such version.
    pub(super) async fn changes(
        &self,
        newest: &DeltaTable,
        id: &str,
        version: u64,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let Some(entry) = self.entry(newest, version).await? else {
            return Ok(None);
        };
        let changes = Changes::parse(&entry)
            .map_err(|it| Fault::Away(format!("the log entry of version {version}: {it}")))?;
        if let Some(other) = changes.id.as_ref().filter(|it| *it != id) {
            return Err(Fault::Refused(format!(
                "there is another table since version {version}, of id {other}; the one that was read has {id}. Move it to a path of its own, and declare a source for it"
            )));
        }
        let mut gone = Vec::new();
        if !changes.removed.is_empty() {
            if !self.has_key {
                return Err(Fault::Refused(format!(
                    "version {version} removes or replaces rows, which a source without a key cannot follow; declare what tells a row from others, PRIMARY KEY (…), and start again"
                )));
            }
            let before = version - 1;
            if self.entry(newest, before).await?.is_none() {
                return Err(Fault::Gone(format!(
                    "version {before} is no longer in the log, so it is not known which rows version {version} removes"
                )));
            }
            let table = self.at(Some(before)).await?;
            gone = self.of_files(&table, &changes.removed).await?;
        }
        let mut added = Vec::new();
        if !changes.added.is_empty() {
            let table = self.at(Some(version)).await?;
            added = self.of_files(&table, &changes.added).await?;
        }
        Ok(Some(match gone.is_empty() {
            true => added,
            false => difference(&gone, &added),
        }))
    }

    async fn of_files(
        &self,
        table: &DeltaTable,
        files: &BTreeSet<String>,
    ) -> Result<Vec<u8>, Fault> {
        let mut all = Vec::new();
        for file in files {
            let mut rows = rows(table, file).await?;
            while let Some(batch) = rows.next().await {
                all.extend(lines(&batch.map_err(|it| of_file(file, it))?)?);
            }
        }
        Ok(all)
    }
}

/// What has to be taken away, and added, for the rows that were removed to become those that were added. A row that is in both stays; one that was updated
/// is taken away, and added as it is now.
fn difference(removed: &[u8], added: &[u8]) -> Vec<u8> {
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    for line in split(removed) {
        *counts.entry(line).or_default() += 1;
    }
    let mut new = Vec::new();
    for line in split(added) {
        match counts.get_mut(line).filter(|it| 0 < **it) {
            Some(count) => *count -= 1,
            None => new.extend_from_slice(line),
        }
    }
    let mut lines = Vec::new();
    for line in split(removed) {
        let Some(count) = counts.get_mut(line).filter(|it| 0 < **it) else {
            continue;
        };
        *count -= 1;
        let row = line.strip_suffix(b"}\n").unwrap_or(line);
        lines.extend_from_slice(row);
        let first = if row == b"{" { "" } else { "," };
        lines.extend_from_slice(format!("{first}\"_deleted\":true}}\n").as_bytes());
    }
    lines.extend(new);
    lines
}

/// Lines with their ends.
pub(super) fn split(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split_inclusive(|it| *it == b'\n')
}

fn lines(batch: &RecordBatch) -> Result<Vec<u8>, Fault> {
    let mut lines = Vec::new();
    json_rows::append(batch, &mut lines).map_err(Fault::Refused)?;
    Ok(lines)
}

fn away(error: impl Display) -> Fault {
    Fault::Away(error.to_string())
}

/// A file that the log names and that is not there was vacuumed.
fn of_file(file: &str, error: impl Display) -> Fault {
    let text = error.to_string();
    match text.contains("not found") || text.contains("No such file") {
        true => Fault::Gone(format!("its file {file} is gone (vacuumed)")),
        false => Fault::Away(format!("{file}: {text}")),
    }
}

/// One thread, so that rows come in order.
fn session(table: &DeltaTable) -> Result<SessionContext, Fault> {
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config(config);
    table
        .update_datafusion_session(&context.state())
        .map_err(away)?;
    Ok(context)
}

/// The files that have rows, in the order of their addresses.
async fn files(table: &DeltaTable) -> Result<BTreeSet<String>, Fault> {
    let context = session(table)?;
    let provider = table
        .table_provider()
        .with_session(Arc::new(context.state()))
        .with_file_column(FILE_COLUMN)
        .await
        .map_err(away)?;
    let frame = context.read_table(provider).map_err(away)?;
    let frame = frame.select(vec![ident(FILE_COLUMN)]).map_err(away)?;
    let frame = frame.distinct().map_err(away)?;
    let mut files = BTreeSet::new();
    let found = frame.collect().await;
    for batch in found.map_err(|it| of_file("of a version", it))? {
        let names = cast(batch.column(0), &DataType::Utf8).map_err(away)?;
        let names = names.as_string::<i32>();
        files.extend(names.iter().flatten().map(str::to_owned));
    }
    Ok(files)
}

/// The rows of one file, without those that a deletion vector takes away.
async fn rows(
    table: &DeltaTable,
    file: &str,
) -> Result<datafusion::execution::SendableRecordBatchStream, Fault> {
    let context = session(table)?;
    let provider = table
        .table_provider()
        .with_session(Arc::new(context.state()))
        .with_file_paths([file])
        .await
        .map_err(away)?;
    let frame = context.read_table(provider).map_err(away)?;
    let rows = frame.execute_stream().await;
    rows.map_err(|it| of_file(file, it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_which_files_have_other_rows() {
        let entry = br#"{"commitInfo":{"operation":"MERGE"}}
{"metaData":{"id":"one"}}
{"remove":{"path":"d=1/a%20b.parquet","dataChange":true}}
{"add":{"path":"b.parquet","dataChange":true}}
{"add":{"path":"c.parquet","dataChange":false}}
"#;
        let changes = Changes::parse(entry).unwrap();
        let of = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let expected = Changes {
            added: of(&["b.parquet"]),
            removed: of(&["d=1/a%20b.parquet"]),
            id: Some("one".to_owned()),
        };
        assert_eq!(changes, expected);
    }

    #[test]
    fn rows_that_are_written_again_are_no_changes() {
        let removed = b"{\"k\":1,\"v\":\"a\"}\n{\"k\":2,\"v\":\"b\"}\n{\"k\":3,\"v\":\"c\"}\n";
        let added = b"{\"k\":3,\"v\":\"c\"}\n{\"k\":2,\"v\":\"x\"}\n{\"k\":4,\"v\":\"d\"}\n";
        let changes = difference(removed, added);
        assert_eq!(
            String::from_utf8(changes).unwrap(),
            "{\"k\":1,\"v\":\"a\",\"_deleted\":true}\n{\"k\":2,\"v\":\"b\",\"_deleted\":true}\n{\"k\":2,\"v\":\"x\"}\n{\"k\":4,\"v\":\"d\"}\n"
        );
    }
}

//! One Delta table: its creation, its next version, its log checkpoints, and the merging of small files.
//!
//! There is one committer per table, so a version is known before it is written; if someone else took it (an
//! OPTIMIZE by another tool), the next free one is used. Log checkpoints are made by the Delta library, away
//! from the commits.

use super::log::{self, commit_info, remove_of, txn};
use super::parquet_file::{ParquetFile, file_schema, name_of};
use super::stage::TableLayout;
use super::{Error, Manifest, Store, TableEntry, app_id};
use arrow::array::{RecordBatch, new_null_array};
use bytes::Bytes;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A log checkpoint every so many versions.
const CHECKPOINT_EVERY: u64 = 20;
/// Files below this size are small.
const SMALL_BYTES: u64 = 8 << 20;
/// So many small files in one folder are merged.
const SMALL_FILES_MAX: usize = 12;
/// So many small files of all folders are kept in mind, in every manifest. Beyond it, folders that got none for longest are merged with what
/// they have, and files alone in their folder stay as they are.
const SMALL_FILES_KNOWN_MAX: usize = 2_000;
/// Folders merged in one go.
const MERGED_AT_ONCE: usize = 16;

/// What the committer knows of a table.
#[derive(Clone, Debug, Default)]
pub struct TableState {
    /// The newest version, once the table exists.
    pub version: u64,
    /// The commit that made it.
    pub commit: u64,
    /// Files of open rows.
    pub open_files: Vec<Value>,
    /// Small files that may be merged: their `add` actions.
    pub small_files: Vec<Value>,
    checkpointed: u64,
}

/// Files of one folder and those that take their place, with the same rows.
#[derive(Debug)]
pub struct Compaction {
    pub table: String,
    pub small: Vec<Value>,
    pub merged: Vec<Value>,
}

/// What a commit brings to a table.
#[derive(Debug, Default)]
pub struct Change<'a> {
    /// Log actions of new files, with the bucket of open rows that each holds; none if its rows stay.
    pub adds: Vec<(Value, Option<u32>)>,
    pub replaced: Replaced,
    pub merged: Vec<&'a Compaction>,
    /// Files whose rows leave the table, since they are older than its retention.
    pub let_go: &'a [Value],
}

/// Which open rows of earlier commits go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replaced {
    #[default]
    Nothing,
    All,
    /// Those of some buckets. A bucket is what it was since all were replaced.
    Buckets(BTreeSet<u32>),
}

impl Replaced {
    fn holds(&self, open_file: &Value) -> bool {
        match self {
            Replaced::Nothing => false,
            Replaced::All => true,
            Replaced::Buckets(all) => {
                let bucket = open_file["bucket"].as_u64();
                bucket.is_some_and(|it| u32::try_from(it).is_ok_and(|it| all.contains(&it)))
            }
        }
    }
}

impl TableState {
    /// A table that was made and has no rows yet.
    pub fn made_at(version: u64) -> Self {
        TableState {
            version,
            checkpointed: version,
            ..TableState::default()
        }
    }

    /// As a manifest recorded it, at the version that it was found to have.
    pub fn from_entry(entry: &TableEntry, version: u64) -> Self {
        let mut state = TableState {
            checkpointed: version,
            ..TableState::default()
        };
        state.follow(entry, version);
        state
    }

    /// Goes on to what a commit made of it.
    pub fn follow(&mut self, entry: &TableEntry, version: u64) {
        self.version = version;
        self.commit = entry.commit;
        self.open_files.clone_from(&entry.open_files);
        self.small_files.clone_from(&entry.small_files);
    }

    /// What a commit does to the table: nothing if nothing changes. `app` is the table's application id, `read` how far its
    /// partitions are read, each by an application id of its own.
    pub fn entry(
        &self,
        next: &Manifest,
        app: &str,
        change: Change,
        read: impl IntoIterator<Item = (String, u64)>,
    ) -> TableEntry {
        let now_ms = next.written_ms;
        let mut after = self.clone();
        let mut actions = Vec::new();
        let is_upkeep = change.adds.is_empty() && change.replaced == Replaced::Nothing;
        let lets_go = !change.let_go.is_empty();
        let gone = after
            .open_files
            .extract_if(.., |it| change.replaced.holds(it));
        actions.extend(gone.map(|it| remove_of(&it, true, now_ms)));
        for (add, bucket) in change.adds {
            after.note_added(&add, bucket);
            actions.push(add);
        }
        for merge in change.merged {
            actions.extend(merge.small.iter().map(|it| remove_of(it, false, now_ms)));
            let gone: HashSet<&str> = merge.small.iter().map(path_of).collect();
            after.small_files.retain(|it| !gone.contains(path_of(it)));
            for merged in &merge.merged {
                actions.push(merged.clone());
                after.note_added(merged, None);
            }
        }
        actions.extend(change.let_go.iter().map(|it| remove_of(it, true, now_ms)));
        let gone: HashSet<&str> = change.let_go.iter().map(path_of).collect();
        after.small_files.retain(|it| !gone.contains(path_of(it)));
        after.forget_lone_files();
        if !actions.is_empty() {
            let blind = !actions.iter().any(|it| it.get("remove").is_some());
            let (number, epoch) = (next.number, next.epoch.0);
            let operation = match (is_upkeep, lets_go) {
                (true, true) => "RETENTION",
                (true, false) => "OPTIMIZE",
                (false, _) => "STREAMING UPDATE",
            };
            let mut all = vec![
                commit_info(operation, epoch, number, blind, now_ms),
                txn(app, number, now_ms),
                txn(&format!("{app}#generation"), next.generation, now_ms),
            ];
            let read = read.into_iter();
            all.extend(read.map(|(partition, offset)| txn(&partition, offset, now_ms)));
            all.append(&mut actions);
            (after.version, after.commit, actions) = (self.version + 1, number, all);
        }
        TableEntry {
            version: after.version,
            commit: after.commit,
            actions,
            open_files: after.open_files,
            small_files: after.small_files,
        }
    }

    /// Notes a new file: as one of open rows if it has a bucket, else for merging if it is small.
    pub fn note_added(&mut self, add: &Value, bucket: Option<u32>) {
        let add = &add["add"];
        // What taking it out needs; statistics would be carried along in every manifest.
        let mut noted = serde_json::json!({"add": {
            "path": add["path"], "partitionValues": add["partitionValues"], "size": add["size"],
        }});
        match bucket {
            Some(bucket) => {
                noted["bucket"] = bucket.into();
                self.open_files.push(noted);
            }
            None if add["size"].as_u64().is_some_and(|it| it < SMALL_BYTES) => {
                self.small_files.push(noted);
            }
            None => {}
        }
    }

    /// Forgets the oldest files that are alone in their folder once too many files are noted.
    fn forget_lone_files(&mut self) {
        let Some(mut many) = self.small_files.len().checked_sub(SMALL_FILES_KNOWN_MAX) else {
            return;
        };
        let lone: HashSet<String> = self
            .by_folder()
            .into_iter()
            .filter(|it| it.1.len() == 1)
            .map(|it| it.0)
            .collect();
        self.small_files.retain(|it| {
            let forgotten = 0 < many && lone.contains(&values_of(it));
            many -= usize::from(forgotten);
            !forgotten
        });
    }

    /// The places of small files in the list of them, which is in the order they came. Earlier versions gave different values of partition columns one
    /// folder, so the values tell what belongs together.
    fn by_folder(&self) -> BTreeMap<String, Vec<usize>> {
        let mut folders: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, add) in self.small_files.iter().enumerate() {
            folders.entry(values_of(add)).or_default().push(at);
        }
        folders
    }

    /// Small files to merge now, folder by folder.
    pub fn to_merge(&self) -> Vec<Vec<Value>> {
        let folders = self.by_folder();
        let (many, few): (Vec<_>, Vec<_>) = folders
            .into_values()
            .partition(|it| SMALL_FILES_MAX <= it.len());
        let mut cold: Vec<Vec<usize>> = match SMALL_FILES_KNOWN_MAX < 2 * self.small_files.len() {
            true => few.into_iter().filter(|it| 1 < it.len()).collect(),
            false => Vec::new(),
        };
        cold.sort_by_key(|it| it.last().copied());
        let merged = many.into_iter().chain(cold).take(MERGED_AT_ONCE);
        merged
            .map(|it| {
                it.into_iter()
                    .map(|at| self.small_files[at].clone())
                    .collect()
            })
            .collect()
    }

    /// Whether it is time for a log checkpoint; asking says that it will be made.
    pub fn wants_checkpoint(&mut self) -> bool {
        let due = self.checkpointed + CHECKPOINT_EVERY <= self.version;
        if due {
            self.checkpointed = self.version;
        }
        due
    }
}

/// The file of a log action, within the table's folder.
pub(super) fn path_of(add: &Value) -> &str {
    let path = add["add"]["path"].as_str();
    path.expect("a log action names its file")
}

/// The values of a file's partition columns, as one text.
pub(super) fn values_of(add: &Value) -> String {
    add["add"]["partitionValues"].to_string()
}

/// The folder of a file, without the table's; empty if the table has no partition columns.
pub fn folder_of(add: &Value) -> &str {
    path_of(add).rsplit_once('/').map_or("", |it| it.0)
}

impl Store {
    /// The dataflow that a table belongs to. Nothing if there is no such table, or if it says of none.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub async fn owner(&self, table: &str) -> Result<Option<String>, Error> {
        let entries = self.log_entries(table).await?;
        Ok(log::owner(table, entries.values().map(Vec::as_slice)))
    }

    /// The same as its first log entry says, which is kept for ever. Nothing if the table was made by a version that did not note it.
    ///
    /// # Errors
    /// If that entry cannot be read.
    pub async fn stated_owner(&self, table: &str) -> Result<Option<String>, Error> {
        let first = self.log_entry(table, 0).await?;
        Ok(first.and_then(|it| log::owner(table, [it.as_slice()])))
    }

    /// The newest commit of a dataflow in the log of a table, behind a version if one is given.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn newest_commit(
        &self,
        dataflow: &str,
        table: &str,
        behind: Option<u64>,
    ) -> Result<Option<u64>, Error> {
        let app = app_id(dataflow, table);
        let mut newest = None;
        for version in self.log_versions(table, behind).await?.into_iter().rev() {
            // One that is gone was deleted for its age, so there are newer ones.
            let Some(actions) = self.log_entry(table, version).await? else {
                continue;
            };
            let of_dataflow = actions.iter().filter(|it| it["txn"]["appId"] == app);
            newest = of_dataflow
                .filter_map(|it| it["txn"]["version"].as_u64())
                .max();
            if newest.is_some() {
                break;
            }
        }
        Ok(newest)
    }

    /// Makes a table that no manifest has yet, if it is not there, and returns its version. It belongs to the dataflow from then on: of two that
    /// make it at once, one is refused.
    ///
    /// A table that is there without ever having had a row is taken over, with the columns of the layout: a start that was ended left it behind.
    ///
    /// # Errors
    /// If it cannot be made, belongs to another dataflow, has rows of somebody else, or has commits whose manifests are gone: the next ones, with the
    /// same numbers, would be taken for those and left out.
    pub async fn create_table(
        &self,
        layout: &TableLayout,
        dataflow: &str,
        now_ms: u64,
    ) -> Result<u64, Error> {
        let wrong = |reason: &str| Error::Table {
            table: layout.name.clone(),
            reason: reason.to_owned(),
        };
        let app = app_id(dataflow, &layout.name);
        let creation = layout.creation(dataflow, now_ms)?;
        let metadata = |actions: &[Value]| {
            let mut metadata = actions.iter().rev().filter_map(|it| it.get("metaData"));
            let metadata = metadata.next()?;
            let parts = ["schemaString", "partitionColumns"];
            Some(parts.map(|it| metadata[it].clone()))
        };
        loop {
            let entries = self.log_entries(&layout.name).await?;
            let all: Vec<Value> = entries.values().flatten().cloned().collect();
            let owner = log::owner(&layout.name, [all.as_slice()]);
            if let Some(owner) = owner.as_ref().filter(|it| *it != dataflow) {
                return Err(wrong(&format!(
                    "it belongs to dataflow {owner}; give the table another name or use another --lake"
                )));
            }
            if all.iter().any(|it| it["txn"]["appId"] == app) {
                return Err(wrong(
                    "it has commits of this dataflow whose manifests are gone from _tidelake; bring them back, or use another --lake or move the table away",
                ));
            }
            if all.iter().any(|it| it.get("add").is_some()) {
                return Err(wrong(
                    "it is there, has rows, and is none of this dataflow; give the table another name or move it away",
                ));
            }
            let (version, actions) = match entries.last_key_value() {
                None => (0, creation.clone()),
                Some((version, _)) => {
                    if owner.is_some() && metadata(&all) == metadata(&creation) {
                        return Ok(*version);
                    }
                    let ours = creation.iter().filter(|it| it.get("protocol").is_none());
                    (version + 1, ours.cloned().collect())
                }
            };
            let path = Path::from(format!("{}/{}", layout.name, log::entry_path(version)));
            let bytes = Bytes::from(log::entry_bytes(&actions));
            if self.create(&path, bytes).await? {
                return Ok(version);
            }
        }
    }

    /// The action that gives a table, as it is at a version, the columns of a layout; nothing if it has them.
    ///
    /// # Errors
    /// If the version cannot be read.
    pub async fn column_change(
        &self,
        layout: &TableLayout,
        version: u64,
    ) -> Result<Option<Value>, Error> {
        let wrong = |reason: String| Error::Table {
            table: layout.name.clone(),
            reason,
        };
        let delta = self.open_delta_at(&layout.name, version).await?;
        let snapshot = delta.snapshot().map_err(|it| wrong(it.to_string()))?;
        let mut metadata =
            serde_json::to_value(snapshot.metadata()).map_err(|it| wrong(it.to_string()))?;
        let ours = log::schema_string(&layout.schema).map_err(wrong)?;
        if metadata["schemaString"].as_str() == Some(ours.as_str()) {
            return Ok(None);
        }
        metadata["schemaString"] = Value::String(ours);
        if let Some(fields) = metadata.as_object_mut() {
            fields.retain(|_, it| !it.is_null());
        }
        Ok(Some(serde_json::json!({ "metaData": metadata })))
    }

    /// The files of a table at a version, as `add` actions.
    ///
    /// # Errors
    /// If the version cannot be read.
    pub async fn files_at(&self, table: &str, version: u64) -> Result<Vec<Value>, Error> {
        let mut files = self.files_with_statistics(table, version).await?;
        for file in &mut files {
            if let Some(add) = file["add"].as_object_mut() {
                add.remove("stats");
            }
        }
        Ok(files)
    }

    /// The same, with what the log says of their rows.
    ///
    /// # Errors
    /// If the version cannot be read.
    pub async fn files_with_statistics(
        &self,
        table: &str,
        version: u64,
    ) -> Result<Vec<Value>, Error> {
        let delta = self.open_delta_at(table, version).await?;
        let snapshot = delta.snapshot().map_err(|it| Error::Table {
            table: table.to_owned(),
            reason: it.to_string(),
        })?;
        let add = |it: deltalake::kernel::LogicalFileView| {
            let path = it.path().into_owned();
            let values: BTreeMap<String, Option<String>> =
                it.partition_values_map().into_iter().collect();
            serde_json::json!({"add": {
                "path": path, "partitionValues": values, "size": it.size(), "stats": it.stats(),
            }})
        };
        Ok(snapshot.log_data().iter().map(add).collect())
    }

    /// The rows of a data file, batch by batch.
    ///
    /// # Errors
    /// If the file is missing or cannot be read.
    pub(super) async fn batches_of(
        &self,
        table: &str,
        path: &str,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<>, Error> {
        let path = Path::from(format!("{table}/{path}"));
        let missing = || Error::Damaged {
            path: path.to_string(),
            reason: "the log names it and it is missing".to_owned(),
        };
        let bytes = self.get(&path).await?.ok_or_else(missing)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|it| it.build());
        let reader = reader.map_err(|source| Error::Parquet {
            table: table.to_owned(),
            source,
        })?;
        let unreadable = move |it: arrow::error::ArrowError| Error::Damaged {
            path: path.to_string(),
            reason: it.to_string(),
        };
        Ok(reader.map(move |it| it.map_err(&unreadable)))
    }

    /// Some columns of a data file's rows, as far as it has them.
    ///
    /// # Errors
    /// If the file is missing or cannot be read.
    pub async fn columns_of(
        &self,
        table: &str,
        path: &str,
        columns: &[&str],
    ) -> Result<Vec<RecordBatch>, Error> {
        let path = Path::from(format!("{table}/{path}"));
        let damaged = |reason: String| Error::Damaged {
            path: path.to_string(),
            reason,
        };
        let bytes = self.get(&path).await?;
        let bytes =
            bytes.ok_or_else(|| damaged("the log names it and it is missing".to_owned()))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes);
        let reader = reader.map_err(|it| damaged(it.to_string()))?;
        let roots = reader.schema().fields().iter().enumerate();
        let roots = roots.filter(|it| columns.contains(&it.1.name().as_str()));
        let roots: Vec<usize> = roots.map(|it| it.0).collect();
        let only = ProjectionMask::roots(reader.metadata().file_metadata().schema_descr(), roots);
        let reader = reader.with_projection(only).build();
        let reader = reader.map_err(|it| damaged(it.to_string()))?;
        let batches: Result<Vec<_>, _> = reader.collect();
        batches.map_err(|it| damaged(it.to_string()))
    }

    /// Merges small files of one folder into one new file, whose name begins with `label`, not yet visible. Columns that came after a file are null for its rows.
    ///
    /// # Errors
    /// If a file cannot be read or the new one not be written.
    pub async fn merge(
        &self,
        layout: &TableLayout,
        small: Vec<Value>,
        label: &str,
    ) -> Result<Compaction, Error> {
        let table = layout.name.as_str();
        let schema = file_schema(&layout.schema, &layout.partition_by);
        let mut merged = None;
        for add in &small {
            let path = path_of(add);
            for batch in self.batches_of(table, path).await? {
                let batch = batch?;
                let columns = schema.fields().iter().map(|field| {
                    let column = batch.column_by_name(field.name()).cloned();
                    column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
                });
                let batch =
                    RecordBatch::try_new(schema.clone(), columns.collect()).map_err(|it| {
                        Error::Damaged {
                            path: format!("{table}/{path}"),
                            reason: it.to_string(),
                        }
                    })?;
                let file = match &mut merged {
                    Some(file) => file,
                    None => {
                        merged.insert(ParquetFile::new(table, schema.clone(), batch.columns())?)
                    }
                };
                file.write(table, &batch)?;
            }
        }
        let merged = match merged {
            Some(file) => file,
            None => ParquetFile::new(table, schema, &[])?,
        };
        let (bytes, statistics) = merged.finish(table)?;
        let name = name_of(label, &bytes);
        let path = match folder_of(&small[0]) {
            "" => name,
            folder => format!("{folder}/{name}"),
        };
        let merged = serde_json::json!({"add": {
            "path": path, "partitionValues": small[0]["add"]["partitionValues"], "size": bytes.len(),
            "modificationTime": crate::model::wall_ms(), "dataChange": false, "stats": statistics,
        }});
        self.put(&Path::from(format!("{table}/{path}")), Bytes::from(bytes))
            .await?;
        Ok(Compaction {
            table: table.to_owned(),
            small,
            merged: vec![merged],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Epoch;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    fn layout_of(columns: &[&str]) -> TableLayout {
        let fields = columns
            .iter()
            .map(|it| Field::new(*it, DataType::Int64, true));
        TableLayout {
            name: "t".to_owned(),
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            partition_by: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_table_belongs_to_the_dataflow_that_made_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().display().to_string()).expect("a lake");
        assert_eq!(store.owner("t").await.expect("no table"), None);
        let (mine, grown) = (layout_of(&["a"]), layout_of(&["a", "b"]));
        let (left, right) = tokio::join!(
            store.create_table(&mine, "left", NOW_MS),
            store.create_table(&mine, "right", NOW_MS)
        );
        let owner = store.owner("t").await.expect("a table").expect("an owner");
        assert_eq!(
            (left.is_ok(), right.is_ok()),
            (owner == "left", owner == "right")
        );
        // It never had a row, so it can still become another table: of this dataflow.
        let version = store.create_table(&grown, &owner, NOW_MS).await;
        assert_eq!(version.expect("its own"), 1);
        let delta = store.open_delta("t").await.expect("a table");
        let columns = delta
            .snapshot()
            .expect("a version")
            .schema()
            .fields()
            .count();
        assert_eq!(columns, 2);
        let refused = store.create_table(&grown, "third", NOW_MS).await;
        let refused = refused.expect_err("it is another's").to_string();
        assert!(
            refused.contains(&format!("belongs to dataflow {owner}")),
            "{refused}"
        );
    }

    const NOW_MS: u64 = 1_800_000_000_000;

    fn name(of: char, epoch: u64) -> String {
        format!("{of}{epoch:016}-w0-1.zstd.parquet")
    }

    fn add(name: &str) -> Value {
        serde_json::json!({"add": {
            "path": name, "partitionValues": {}, "size": 4, "modificationTime": NOW_MS, "dataChange": true,
        }})
    }

    fn in_folder(folder: usize, number: usize) -> Value {
        serde_json::json!({"add": {
            "path": format!("hour={folder}/{number}.parquet"), "partitionValues": {"hour": folder.to_string()}, "size": 4,
            "stats": "{}",
        }})
    }

    /// A table that got so many files in each folder, one folder after another.
    fn with_files(folders: usize, each: usize) -> TableState {
        let mut state = TableState::default();
        for folder in 0..folders {
            (0..each).for_each(|it| state.note_added(&in_folder(folder, it), None));
            state.forget_lone_files();
        }
        state
    }

    #[test]
    fn a_commit_takes_out_the_buckets_that_it_replaces() {
        let mut state = TableState::made_at(0);
        let mut commit = |adds: &[(&str, u32)], replaced: Replaced| {
            let adds = adds.iter().map(|(name, bucket)| (add(name), Some(*bucket)));
            let change = Change {
                adds: adds.collect(),
                replaced,
                ..Change::default()
            };
            let entry = state.entry(&Manifest::empty("d").after(), "app", change, None);
            state.follow(&entry, entry.version);
            let removed = entry
                .actions
                .iter()
                .filter_map(|it| it.pointer("/remove/path"));
            let removed: Vec<String> = removed
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            let open = entry.open_files.iter();
            let open: Vec<(String, u64)> = open
                .map(|it| {
                    let path = it["add"]["path"].as_str().expect("a path");
                    (path.to_owned(), it["bucket"].as_u64().expect("a bucket"))
                })
                .collect();
            (removed, open)
        };
        let named = |it: &[(&str, u64)]| -> Vec<(String, u64)> {
            it.iter().map(|it| (it.0.to_owned(), it.1)).collect()
        };
        let (removed, open) = commit(&[("a", 0), ("b", 1), ("c", 2)], Replaced::All);
        assert_eq!(
            (removed.len(), open),
            (0, named(&[("a", 0), ("b", 1), ("c", 2)]))
        );
        let of = |all: &[u32]| Replaced::Buckets(all.iter().copied().collect());
        // The rows of bucket 2 are gone, those of bucket 0 are others.
        let (removed, open) = commit(&[("d", 0)], of(&[0, 2]));
        assert_eq!(
            (removed, open),
            (
                vec!["a".to_owned(), "c".to_owned()],
                named(&[("b", 1), ("d", 0)])
            )
        );
        let (removed, open) = commit(&[], Replaced::Nothing);
        assert_eq!((removed.len(), open.len()), (0, 2));
        let (removed, open) = commit(&[("e", 0)], Replaced::All);
        assert_eq!((removed.len(), open), (2, named(&[("e", 0)])));
    }

    #[test]
    fn small_files_are_merged_where_they_are_many_or_have_waited_long() {
        assert!(with_files(5, SMALL_FILES_MAX - 1).to_merge().is_empty());
        let many = with_files(5, SMALL_FILES_MAX).to_merge();
        assert_eq!(many.len(), 5);
        assert!(many.iter().all(|it| it.len() == SMALL_FILES_MAX));
        // Two in each of a thousand folders, and no more to come: the oldest first.
        let cold = with_files(SMALL_FILES_KNOWN_MAX / 2, 2).to_merge();
        assert_eq!(cold.len(), MERGED_AT_ONCE);
        assert!(cold.iter().all(|it| it.len() == 2));
        assert_eq!(folder_of(&cold[0][0]), "hour=0");
        assert_eq!(folder_of(&cold[15][0]), "hour=15");
    }

    /// As earlier versions wrote them: what is no letter or digit became `_`.
    #[test]
    fn files_of_different_values_are_never_merged() {
        let mut state = TableState::default();
        for number in 0..SMALL_FILES_MAX {
            for value in ["a b", "a/b"] {
                let add = serde_json::json!({"add": {
                    "path": format!("k=a_b/{}-{number}", value.len()), "partitionValues": {"k": value}, "size": 4,
                }});
                state.note_added(&add, None);
            }
        }
        let merged = state.to_merge();
        assert_eq!(merged.len(), 2);
        for files in merged {
            let values: BTreeSet<String> = files.iter().map(values_of).collect();
            assert_eq!((files.len(), values.len()), (SMALL_FILES_MAX, 1));
        }
    }

    #[test]
    fn a_manifest_does_not_grow_with_the_folders_of_a_table() {
        let state = with_files(3 * SMALL_FILES_KNOWN_MAX, 1);
        assert_eq!(state.small_files.len(), SMALL_FILES_KNOWN_MAX);
        let oldest = folder_of(&state.small_files[0]);
        assert_eq!(oldest, format!("hour={}", 2 * SMALL_FILES_KNOWN_MAX));
        assert!(state.to_merge().is_empty(), "lone files stay as they are");
        assert!(state.small_files[0]["add"].get("stats").is_none());
    }

    /// Files that all were written a day ago; what became of them differs.
    #[tokio::test]
    async fn files_go_by_when_they_were_taken_out_and_leftovers_by_their_commit() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().display().to_string()).expect("a lake");
        let layout = TableLayout {
            name: "t".to_owned(),
            schema: Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)])),
            partition_by: Vec::new(),
        };
        let create = || store.create_table(&layout, "d", NOW_MS);
        assert_eq!(create().await.expect("a table"), 0);
        assert_eq!(create().await.expect("it is there and empty"), 0);
        let [named, just_replaced, long_replaced] = [name('e', 1), name('e', 2), name('e', 3)];
        let [leftover, merged_leftover, awaited] = [name('e', 4), name('m', 4), name('e', 11)];
        let now_ms = crate::model::wall_ms();
        let hours_ago = |it: u64| now_ms - it * 3_600_000;
        let adds = [&named, &just_replaced, &long_replaced].map(|it| add(it));
        let removes = [
            remove_of(&add(&long_replaced), true, hours_ago(30)),
            remove_of(&add(&just_replaced), true, hours_ago(2)),
        ];
        // The second version is the newest that is older than a day, and has a log checkpoint.
        let versions = [
            (1, 31, adds.to_vec()),
            (2, 30, removes[..1].to_vec()),
            (3, 2, removes[1..].to_vec()),
        ];
        for (version, hours, actions) in versions {
            let at_ms = hours_ago(hours);
            let mut all = vec![
                commit_info("STREAMING UPDATE", version, version, true, at_ms),
                txn(&app_id("d", "t"), version, at_ms),
            ];
            all.extend(actions);
            let path = Path::from(format!("t/{}", log::entry_path(version)));
            let bytes = Bytes::from(log::entry_bytes(&all));
            assert!(store.create(&path, bytes).await.expect("a version"));
            if version == 2 {
                let delta = store.open_delta("t").await.expect("a table");
                let made = deltalake::protocol::checkpoints::create_checkpoint(&delta, None);
                made.await.expect("a log checkpoint");
            }
        }
        let refused = create().await.expect_err("it has commits");
        assert!(refused.to_string().contains("manifests are gone"));
        let everything = [
            &named,
            &just_replaced,
            &long_replaced,
            &leftover,
            &merged_leftover,
            &awaited,
        ];
        for file in everything {
            let path = folder.path().join("t").join(file);
            std::fs::write(&path, "PAR1").expect("a file");
            let file = std::fs::File::options()
                .write(true)
                .open(&path)
                .expect("the file");
            file.set_modified(SystemTime::now() - Duration::from_secs(86_400))
                .expect("its time can be set");
        }
        let day = Duration::from_secs(86_400);
        let maintained = store.maintain("t", Epoch(10), day).await;
        maintained.expect("maintained");
        let there = |it: &String| folder.path().join("t").join(it).exists();
        assert!(there(&named), "the newest version names it");
        assert!(there(&just_replaced), "readers may still be at it");
        assert!(there(&awaited), "its commit is still to come");
        assert!(!there(&long_replaced) && !there(&leftover) && !there(&merged_leftover));
        let listed = store.log_versions("t", None).await.expect("the log");
        assert_eq!(
            listed,
            [0, 2, 3],
            "the oldest is what readers saw a day ago"
        );
        for version in listed {
            let delta = store
                .open_delta_at("t", version)
                .await
                .expect("listed, so readable");
            for file in delta.get_file_uris().expect("files") {
                assert!(
                    Path::from(file.as_str())
                        .filename()
                        .is_some_and(|it| there(&it.to_owned()))
                );
            }
        }
    }
}

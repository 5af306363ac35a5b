//! One Delta table: its creation, its next version, its log checkpoints, and the merging of small files.
//!
//! There is one committer per table, so a version is known before it is written; if someone else took it (an
//! OPTIMIZE by another tool), the next free one is used. Log checkpoints are made by the Delta library, away
//! from the commits.

use super::parquet_file::{ParquetFile, file_schema};
use super::stage::TableLayout;
use super::{Error, Store, TableEntry, log};
use arrow::array::{RecordBatch, new_null_array};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::collections::BTreeMap;

/// A log checkpoint every so many versions.
const CHECKPOINT_EVERY: u64 = 20;
/// Log entries and log checkpoints older than this many versions are deleted.
const LOG_KEPT: u64 = 1000;
/// Files no version names are kept this long, for readers of earlier versions.
const UNNAMED_KEPT_SECONDS: i64 = 3600;
/// Files below this size are small.
const SMALL_BYTES: u64 = 8 << 20;
/// So many small files in one folder are merged.
const SMALL_FILES_MAX: usize = 12;

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

/// Small files of one folder and the one file that takes their place.
#[derive(Debug)]
pub struct Compaction {
    pub table: String,
    pub small: Vec<Value>,
    pub merged: Value,
}

impl TableState {
    /// As a manifest recorded it.
    pub fn from_entry(entry: &TableEntry) -> Self {
        TableState {
            version: entry.version,
            commit: entry.commit,
            open_files: entry.open_files.clone(),
            small_files: entry.small_files.clone(),
            checkpointed: entry.version,
        }
    }

    /// Notes a file for merging if it is small.
    pub fn note(&mut self, add: &Value) {
        if add["add"]["size"]
            .as_u64()
            .is_some_and(|it| it < SMALL_BYTES)
        {
            self.small_files.push(add.clone());
        }
    }

    /// Small files of one folder, if there are enough to merge.
    pub fn to_merge(&self) -> Option<Vec<Value>> {
        let mut folders: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for add in &self.small_files {
            let path = add["add"]["path"].as_str().unwrap_or_default();
            folders
                .entry(path.rsplit_once('/').map_or("", |it| it.0))
                .or_default()
                .push(add);
        }
        let many = folders
            .into_values()
            .find(|it| SMALL_FILES_MAX <= it.len())?;
        Some(many.into_iter().cloned().collect())
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

impl Store {
    /// Makes the table of a new lake if it is not there.
    ///
    /// # Errors
    /// If it cannot be made, or is there with other columns.
    pub async fn create_table(&self, layout: &TableLayout, now_ms: u64) -> Result<(), Error> {
        let wrong = |reason: String| Error::Table {
            table: layout.name.clone(),
            reason,
        };
        let actions = layout.creation(now_ms)?;
        let path = Path::from(format!("{}/{}", layout.name, log::entry_path(0)));
        if self
            .create(&path, Bytes::from(log::entry_bytes(&actions)))
            .await?
        {
            return Ok(());
        }
        let Some(bytes) = self.get(&path).await? else {
            return Ok(());
        };
        let there = log::entry_actions(&bytes).map_err(wrong)?;
        let schema = there
            .iter()
            .find_map(|it| it.pointer("/metaData/schemaString"))
            .and_then(Value::as_str);
        let ours = log::schema_string(&layout.schema).map_err(wrong)?;
        match schema {
            Some(schema) if schema != ours => Err(wrong(
                "it exists with other columns; use another --lake or move the table away"
                    .to_owned(),
            )),
            _ => Ok(()),
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
        let delta = self.open_delta_at(table, version).await?;
        let snapshot = delta.snapshot().map_err(|it| Error::Table {
            table: table.to_owned(),
            reason: it.to_string(),
        })?;
        let add = |it: deltalake::kernel::LogicalFileView| {
            let path = it.path().into_owned();
            // Our files lie in folders that are named by their values.
            let folders = path.split('/').filter_map(|it| it.split_once('='));
            let values: BTreeMap<&str, &str> = folders.collect();
            serde_json::json!({"add": {"path": path, "partitionValues": values, "size": it.size()}})
        };
        Ok(snapshot.log_data().iter().map(add).collect())
    }

    /// Writes a table's version of a commit, unless it is there. Returns the version it has.
    ///
    /// # Errors
    /// If the log cannot be read or written.
    pub async fn commit_table(
        &self,
        table: &str,
        entry: &TableEntry,
        app_id: &str,
    ) -> Result<u64, Error> {
        if entry.actions.is_empty() {
            return Ok(entry.version);
        }
        let bytes = Bytes::from(log::entry_bytes(&entry.actions));
        let mut version = entry.version;
        loop {
            let path = Path::from(format!("{table}/{}", log::entry_path(version)));
            if self.create(&path, bytes.clone()).await? {
                return Ok(version);
            }
            let Some(there) = self.get(&path).await? else {
                continue;
            };
            let damaged = |reason| Error::Damaged {
                path: path.to_string(),
                reason,
            };
            let ours = log::entry_actions(&there)
                .map_err(damaged)?
                .iter()
                .any(|it| {
                    it["txn"]["appId"] == app_id
                        && it["txn"]["version"]
                            .as_u64()
                            .is_some_and(|it| entry.commit <= it)
                });
            if ours {
                return Ok(version);
            }
            tracing::warn!(
                table,
                version,
                "another writer took this version; going on with the next"
            );
            version += 1;
        }
    }

    /// Writes a log checkpoint, deletes old log entries, and files that no version of the last hour names.
    ///
    /// # Errors
    /// If the table cannot be read or the checkpoint not be written.
    pub async fn maintain(&self, table: &str) -> Result<(), Error> {
        let delta = self.open_delta(table).await?;
        deltalake::protocol::checkpoints::create_checkpoint(&delta, None)
            .await
            .map_err(|it| Error::Table {
                table: table.to_owned(),
                reason: it.to_string(),
            })?;
        self.sweep(table, &delta).await?;
        let Some(oldest) = delta.version().and_then(|it| it.checked_sub(LOG_KEPT)) else {
            return Ok(());
        };
        for path in self
            .list(&Path::from(format!("{table}/_delta_log")))
            .await?
        {
            let number = path
                .filename()
                .and_then(|it| it.get(..20))
                .and_then(|it| it.parse::<u64>().ok());
            if number.is_some_and(|it| it != 0 && it < oldest) {
                self.delete(&path).await?;
            }
        }
        Ok(())
    }

    /// Deletes files older than the retention that the newest version does not name: replaced, merged, or left by a crash.
    async fn sweep(&self, table: &str, delta: &deltalake::DeltaTable) -> Result<(), Error> {
        let failed = |it: deltalake::DeltaTableError| Error::Table {
            table: table.to_owned(),
            reason: it.to_string(),
        };
        let named: std::collections::HashSet<String> = delta
            .get_file_uris()
            .map_err(failed)?
            .map(|it| it.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        let oldest = chrono::Utc::now() - chrono::Duration::seconds(UNNAMED_KEPT_SECONDS);
        let listed: Vec<object_store::ObjectMeta> = self
            .objects
            .list(Some(&Path::from(table)))
            .try_collect()
            .await
            .map_err(|source| Error::Store {
                path: table.to_owned(),
                source,
            })?;
        for file in listed {
            let name = file.location.filename().unwrap_or_default();
            let ours =
                name.ends_with(".zstd.parquet") && !file.location.as_ref().contains("/_delta_log/");
            if ours && file.last_modified < oldest && !named.contains(name) {
                self.delete(&file.location).await?;
            }
        }
        Ok(())
    }

    /// Merges small files of one folder into one new file, not yet visible. Columns that came after a file are null for its rows.
    ///
    /// # Errors
    /// If a file cannot be read or the new one not be written.
    pub async fn merge(
        &self,
        layout: &TableLayout,
        small: Vec<Value>,
        name: &str,
    ) -> Result<Compaction, Error> {
        let table = layout.name.as_str();
        let failed = |source| Error::Parquet {
            table: table.to_owned(),
            source,
        };
        let schema = file_schema(&layout.schema, &layout.partition_by);
        let mut merged = ParquetFile::new(table, schema.clone())?;
        for add in &small {
            let path = Path::from(format!(
                "{table}/{}",
                add["add"]["path"].as_str().unwrap_or_default()
            ));
            let missing = || Error::Damaged {
                path: path.to_string(),
                reason: "the log names it and it is missing".to_owned(),
            };
            let bytes = self.get(&path).await?.ok_or_else(missing)?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
                .map_err(failed)?
                .build()
                .map_err(failed)?;
            for batch in reader {
                let batch = batch.map_err(|it| Error::Damaged {
                    path: path.to_string(),
                    reason: it.to_string(),
                })?;
                let columns = schema.fields().iter().map(|field| {
                    let column = batch.column_by_name(field.name()).cloned();
                    column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
                });
                let batch =
                    RecordBatch::try_new(schema.clone(), columns.collect()).map_err(|it| {
                        Error::Damaged {
                            path: path.to_string(),
                            reason: it.to_string(),
                        }
                    })?;
                merged.write(table, &batch)?;
            }
        }
        let (bytes, statistics) = merged.finish(table)?;
        let first = small[0]["add"]["path"].as_str().unwrap_or_default();
        let path = first
            .rsplit_once('/')
            .map_or_else(|| name.to_owned(), |(folder, _)| format!("{folder}/{name}"));
        let merged = serde_json::json!({"add": {
            "path": path, "partitionValues": small[0]["add"]["partitionValues"], "size": bytes.len(),
            "modificationTime": crate::model::wall_ms(), "dataChange": false, "stats": statistics,
        }});
        self.put(&Path::from(format!("{table}/{path}")), Bytes::from(bytes))
            .await?;
        Ok(Compaction {
            table: table.to_owned(),
            small,
            merged,
        })
    }
}

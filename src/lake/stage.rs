//! Staging: a worker's rows become Parquet files in the lake that no reader sees yet.
//!
//! Encoding happens on the worker; uploads run elsewhere and are waited for by the commit. A lake that cannot be written is tried again
//! until it can, if there is someone to hear of it: sources wait then, and nothing has to start anew. A process that dies
//! leaves files no log names; they are harmless and go by age.

use super::parquet_file::{ParquetFile, cut, file_columns, file_schema};
use super::{Error, Remedy, Store, log};
use crate::model::Epoch;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use object_store::path::Path;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// What a table looks like.
#[derive(Clone, Debug)]
pub struct TableLayout {
    pub name: String,
    pub schema: SchemaRef,
    pub partition_by: Vec<String>,
}

impl TableLayout {
    /// The actions that make the table.
    ///
    /// # Errors
    /// If a column has a type that tables do not have.
    pub fn creation(&self, now_ms: u64) -> Result<Vec<Value>, Error> {
        log::creation(&self.name, &self.schema, &self.partition_by, now_ms).map_err(|reason| {
            Error::Table {
                table: self.name.clone(),
                reason,
            }
        })
    }
}

/// A file on its way into the lake.
#[derive(Debug)]
#[must_use = "staged files become visible only through a commit"]
pub struct Staged {
    pub table: String,
    /// The log action that will show it.
    pub add: Value,
    pub rows: u64,
    /// Whether it holds open rows, which the next commit replaces.
    pub open: bool,
    upload: JoinHandle<Result<(), Error>>,
}

impl Staged {
    /// Waits until the file is durable.
    ///
    /// # Errors
    /// If it could not be written.
    pub async fn durable(self) -> Result<(String, Value, u64, bool), Error> {
        let Staged {
            table,
            add,
            rows,
            open,
            upload,
        } = self;
        match upload.await {
            Ok(result) => result.map(|()| (table, add, rows, open)),
            Err(error) => Err(Error::Table {
                table,
                reason: format!("an upload was lost: {error}"),
            }),
        }
    }
}

struct Open {
    file: ParquetFile,
    values: Map<String, Value>,
    rows: u64,
}

/// Hears of each upload that did not succeed and will be tried again.
pub type Told = Arc<dyn Fn(&Error) + Send + Sync>;

/// The open files of one worker.
pub struct Stager {
    store: Store,
    runtime: Handle,
    /// Part of file names, unique to this run and worker.
    label: String,
    sequence: u64,
    open: BTreeMap<(Epoch, String, String), Open>,
    schemas: BTreeMap<String, SchemaRef>,
    finished: Vec<(Epoch, Staged)>,
    /// Bytes encoded and not yet uploaded, of all workers.
    in_flight: Arc<AtomicUsize>,
    told: Option<Told>,
}

impl Stager {
    /// Uploads that do not succeed fail their commit, until there is someone to be `telling`.
    pub fn new(store: Store, runtime: Handle, label: String, in_flight: Arc<AtomicUsize>) -> Self {
        Stager {
            store,
            runtime,
            label,
            sequence: 0,
            open: BTreeMap::new(),
            schemas: BTreeMap::new(),
            finished: Vec::new(),
            in_flight,
            told: None,
        }
    }

    /// From now on uploads are tried again until they succeed.
    pub fn telling(self, told: Told) -> Self {
        Stager {
            told: Some(told),
            ..self
        }
    }

    /// Adds rows to the commit's files of a table.
    ///
    /// # Errors
    /// If they cannot be encoded.
    pub fn append(
        &mut self,
        layout: &TableLayout,
        commit: Epoch,
        rows: &RecordBatch,
    ) -> Result<(), Error> {
        self.add(layout, commit, rows, |file, columns, _| {
            file.write(&layout.name, &columns)
        })
    }

    /// Adds rows of an epoch that lack the mark of late rows, the last column of the table; `mark` gives it to them.
    /// `event_time` is the column that decides it.
    ///
    /// # Errors
    /// If they cannot be encoded.
    pub fn append_unmarked(
        &mut self,
        layout: &TableLayout,
        event_time: usize,
        epoch: Epoch,
        commit: Epoch,
        rows: &RecordBatch,
    ) -> Result<(), Error> {
        let times = rows
            .column(event_time)
            .as_primitive::<TimestampMicrosecondType>();
        self.add(layout, commit, rows, |file, columns, at| {
            let times = times.slice(at.start, at.len());
            file.write_unmarked(&layout.name, &columns, epoch, times)
        })
    }

    /// Marks the rows of this epoch and of those before that came after the watermark had passed them.
    ///
    /// # Errors
    /// If the marks cannot be encoded.
    pub fn mark(&mut self, table: &str, epoch: Epoch, watermark: i64) -> Result<(), Error> {
        let of_table = self.open.iter_mut().filter(|it| it.0.1 == table);
        let mut full = Vec::new();
        for (key, open) in of_table {
            open.file.mark(table, epoch, watermark)?;
            if open.file.is_full() {
                full.push(key.clone());
            }
        }
        for key in full {
            if let Some(open) = self.open.remove(&key) {
                self.close(key, open, false)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        layout: &TableLayout,
        commit: Epoch,
        rows: &RecordBatch,
        write: impl Fn(&mut ParquetFile, RecordBatch, Range<usize>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let schema = self
            .schemas
            .entry(layout.name.clone())
            .or_insert_with(|| file_schema(&layout.schema, &layout.partition_by))
            .clone();
        let columns = file_columns(rows, &layout.partition_by);
        let known = Schema::new(schema.fields()[..columns.len()].to_vec());
        let columns = RecordBatch::try_new(Arc::new(known), columns)
            .expect("a table's batch has the table's columns");
        for slice in cut(rows, &layout.partition_by) {
            let key = (commit, layout.name.clone(), slice.folder);
            let (start, count) = (slice.rows.start, slice.rows.len());
            let columns = columns.slice(start, count);
            if !self.open.contains_key(&key) {
                let file = ParquetFile::new(&layout.name, schema.clone(), columns.columns())?;
                self.open.insert(
                    key.clone(),
                    Open {
                        file,
                        values: slice.values,
                        rows: 0,
                    },
                );
            }
            let Some(open) = self.open.get_mut(&key) else {
                continue;
            };
            write(&mut open.file, columns, slice.rows)?;
            open.rows += count as u64;
            if open.file.is_full()
                && let Some(open) = self.open.remove(&key)
            {
                self.close(key, open, false)?;
            }
        }
        Ok(())
    }

    /// Writes rows of a view as a file of their own.
    ///
    /// # Errors
    /// If they cannot be encoded.
    pub fn write(
        &mut self,
        layout: &TableLayout,
        commit: Epoch,
        rows: &RecordBatch,
        is_open: bool,
    ) -> Result<(), Error> {
        let schema = file_schema(&layout.schema, &[]);
        let rows = RecordBatch::try_new(schema.clone(), rows.columns().to_vec()).map_err(|it| {
            Error::Table {
                table: layout.name.clone(),
                reason: it.to_string(),
            }
        })?;
        let mut file = ParquetFile::new(&layout.name, schema, rows.columns())?;
        file.write(&layout.name, &rows)?;
        let open = Open {
            file,
            values: Map::new(),
            rows: rows.num_rows() as u64,
        };
        self.close((commit, layout.name.clone(), String::new()), open, is_open)
    }

    /// All files of commits up to this one; with `all`, of every commit.
    ///
    /// # Errors
    /// If a file cannot be finished.
    pub fn finish(&mut self, commit: Epoch, all: bool) -> Result<Vec<Staged>, Error> {
        let due: Vec<_> = self
            .open
            .keys()
            .filter(|it| all || it.0 <= commit)
            .cloned()
            .collect();
        for key in due {
            if let Some(open) = self.open.remove(&key) {
                self.close(key, open, false)?;
            }
        }
        let (due, later) = std::mem::take(&mut self.finished)
            .into_iter()
            .partition(|it| all || it.0 <= commit);
        self.finished = later;
        Ok(due.into_iter().map(|it: (Epoch, Staged)| it.1).collect())
    }

    fn close(
        &mut self,
        key: (Epoch, String, String),
        open: Open,
        is_open: bool,
    ) -> Result<(), Error> {
        let (commit, table, folder) = key;
        let (bytes, statistics) = open.file.finish(&table)?;
        self.sequence += 1;
        let name = format!(
            "e{:016}-{}-{}.zstd.parquet",
            commit.0, self.label, self.sequence
        );
        let path = if folder.is_empty() {
            name
        } else {
            format!("{folder}/{name}")
        };
        let size = bytes.len();
        let add = json!({"add": {
            "path": path, "partitionValues": open.values, "size": size, "modificationTime": crate::model::wall_ms(),
            "dataChange": true, "stats": statistics,
        }});
        let (store, in_flight) = (self.store.clone(), Arc::clone(&self.in_flight));
        let told = self.told.clone();
        let full = Path::from(format!("{table}/{path}"));
        in_flight.fetch_add(size, Ordering::AcqRel);
        let upload = self.runtime.spawn(async move {
            let result = upload(&store, &full, Bytes::from(bytes), told).await;
            in_flight.fetch_sub(size, Ordering::AcqRel);
            result
        });
        self.finished.push((
            commit,
            Staged {
                table,
                add,
                rows: open.rows,
                open: is_open,
                upload,
            },
        ));
        Ok(())
    }
}

async fn upload(store: &Store, path: &Path, bytes: Bytes, told: Option<Told>) -> Result<(), Error> {
    loop {
        let Err(error) = store.put(path, bytes.clone()).await else {
            return Ok(());
        };
        match (error.remedy(), &told) {
            (Remedy::RetryAfter(delay), Some(told)) => {
                told(&error);
                tokio::time::sleep(delay).await;
            }
            _ => return Err(error),
        }
    }
}

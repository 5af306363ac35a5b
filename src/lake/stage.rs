//! Staging: a worker's rows become Parquet files in the lake that no reader sees yet.
//!
//! Records are encoded on the worker as they come, rows of views elsewhere; uploads run elsewhere too and are waited for by the commit. With an observer, a failed upload is retried until it
//! succeeds: sources wait then, and nothing has to start anew. A process that dies leaves files that no log names; they are harmless and go by age.
//!
//! A worker encodes the rows of a few folders as they come, while they are warm. Rows of all others wait in a `Pool` as they are, so memory
//! does not grow with the number of folders.

use super::parquet_file::{ParquetFile, Slice, cut, file_columns, file_schema, name_of};
use super::pool::{Pool, copied};
use super::{Error, Remedy, Store, log};
use crate::model::{Epoch, Row, batch_of_rows};
use crate::supervise::{self, Awaited};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use object_store::path::Path;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Files of partitioned tables that a worker encodes at the same time. Each takes about a megabyte of buffers.
const OPEN_FILES_MAX: usize = 16;
/// A file that got no rows from so many batches makes room for one of another folder.
const IDLE_BATCHES: u64 = 16;
/// Bytes of rows that wait to be encoded, per worker; beyond it they are written without waiting for their commit.
const POOL_BYTES_MAX: usize = 64 << 20;
/// Uploads that run at the same time. Each may hold a file descriptor.
const UPLOADS_MAX: usize = 32;
/// Files of views that are encoded at the same time, beside the workers.
const ENCODED_AT_ONCE: usize = 2;

/// What a table looks like.
#[derive(Clone, Debug)]
pub struct TableLayout {
    pub name: String,
    pub schema: SchemaRef,
    pub partition_by: Vec<String>,
}

impl TableLayout {
    /// The actions that make the table for a dataflow.
    ///
    /// # Errors
    /// If a column has a type that tables do not have.
    pub fn creation(&self, dataflow: &str, now_ms: u64) -> Result<Vec<Value>, Error> {
        let (schema, partition_by) = (&self.schema, &self.partition_by);
        log::creation(&self.name, schema, partition_by, dataflow, now_ms).map_err(|reason| {
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
    pub rows: u64,
    /// The bucket of open rows that it holds, until a commit replaces it; none if its rows stay.
    pub bucket: Option<u32>,
    /// The log action that will show it, once it is in the lake.
    add: Awaited<Result<Value, Error>>,
}

impl Staged {
    /// Waits until the file is durable.
    ///
    /// # Errors
    /// If it could not be written.
    pub async fn durable(self) -> Result<(String, Value, u64, Option<u32>), Error> {
        let Staged {
            table,
            rows,
            bucket,
            add,
        } = self;
        match add.await {
            Ok(result) => result.map(|add| (table, add, rows, bucket)),
            Err(died) => Err(Error::Table {
                table,
                reason: died.to_string(),
            }),
        }
    }
}

/// A file being encoded.
struct Open {
    file: ParquetFile,
    values: Map<String, Value>,
    rows: u64,
    /// Number of the last batch that had rows for it.
    used: u64,
}

/// What is known of a table that rows came for.
struct Known {
    /// All columns, as complete rows have them.
    schema: SchemaRef,
    /// The columns that lie in files.
    file_schema: SchemaRef,
    partition_by: Vec<String>,
}

impl Known {
    fn of(layout: &TableLayout) -> Self {
        let nullable = |it: &Arc<Field>| it.as_ref().clone().with_nullable(true);
        let fields: Vec<Field> = layout.schema.fields().iter().map(nullable).collect();
        Known {
            schema: Arc::new(Schema::new(fields)),
            file_schema: file_schema(&layout.schema, &layout.partition_by),
            partition_by: layout.partition_by.clone(),
        }
    }

    /// The columns of rows that lie in files; the mark of late rows may be missing at the end.
    fn file_columns(&self, rows: &RecordBatch) -> RecordBatch {
        let columns = file_columns(rows, &self.partition_by);
        let fields = self.file_schema.fields()[..columns.len()].to_vec();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .expect("a table's batch has the table's columns")
    }
}

/// When rows get the mark of late rows: with an epoch, and the column of the event time that decides it.
#[derive(Clone, Copy)]
struct Later {
    epoch: Epoch,
    event_time: usize,
}

/// Observes each upload that failed and will be retried.
pub type Told = Arc<dyn Fn(&Error) + Send + Sync>;

/// The uploads of all workers of a process: how many run at the same time, and what they hold.
#[derive(Debug)]
pub struct Uploads {
    bytes: AtomicUsize,
    slots: Semaphore,
    encoders: Semaphore,
}

impl Default for Uploads {
    fn default() -> Self {
        Uploads {
            bytes: AtomicUsize::new(0),
            slots: Semaphore::new(UPLOADS_MAX),
            encoders: Semaphore::new(ENCODED_AT_ONCE),
        }
    }
}

impl Uploads {
    /// Bytes encoded and not yet uploaded.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }
}

/// The rows of one worker on their way into files.
pub struct Stager {
    store: Store,
    runtime: Handle,
    /// Part of file names, unique to this run and worker.
    label: String,
    sequence: u64,
    /// By commit, table and folder.
    open: BTreeMap<(Epoch, String, String), Open>,
    /// Rows of folders without an open file, by commit and table.
    pools: BTreeMap<(Epoch, String), Pool>,
    tables: BTreeMap<String, Known>,
    /// How many batches came.
    batches: u64,
    finished: Vec<(Epoch, Staged)>,
    uploads: Arc<Uploads>,
    told: Option<Told>,
}

impl Stager {
    /// Without an observer a failed upload fails its commit.
    pub fn new(store: Store, runtime: Handle, label: String, uploads: Arc<Uploads>) -> Self {
        Stager {
            store,
            runtime,
            label,
            sequence: 0,
            open: BTreeMap::new(),
            pools: BTreeMap::new(),
            tables: BTreeMap::new(),
            batches: 0,
            finished: Vec::new(),
            uploads,
            told: None,
        }
    }

    /// With an observer a failed upload is retried until it succeeds.
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
        self.add(layout, commit, rows, None)
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
        let later = Later { epoch, event_time };
        self.add(layout, commit, rows, Some(later))
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
            self.close_open(key)?;
        }
        if let Some(known) = self.tables.get(table) {
            let pools = self.pools.iter_mut().filter(|it| it.0.1 == table);
            pools.for_each(|it| it.1.mark(&known.schema, epoch, watermark));
        }
        self.write_pools_if_many()
    }

    fn add(
        &mut self,
        layout: &TableLayout,
        commit: Epoch,
        rows: &RecordBatch,
        later: Option<Later>,
    ) -> Result<(), Error> {
        if !self.tables.contains_key(&layout.name) {
            self.tables.insert(layout.name.clone(), Known::of(layout));
        }
        let columns = self.tables[&layout.name].file_columns(rows);
        self.batches += 1;
        let mut waiting = Vec::new();
        for slice in cut(rows, &layout.partition_by) {
            let key = (commit, layout.name.clone(), slice.folder.clone());
            if !self.open.contains_key(&key) && !self.has_room(layout)? {
                waiting.push(slice);
                continue;
            }
            self.encode(key, slice, &columns, rows, later)?;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let pool = self.pools.entry((commit, layout.name.clone())).or_default();
        let rows = copied(rows, &waiting);
        match later {
            None => pool.add(rows),
            Some(later) => pool.add_unmarked(later.epoch, later.event_time, rows),
        }
        self.write_pools_if_many()
    }

    /// Writes rows of one folder to its open file, which is opened if need be.
    fn encode(
        &mut self,
        key: (Epoch, String, String),
        slice: Slice,
        columns: &RecordBatch,
        rows: &RecordBatch,
        later: Option<Later>,
    ) -> Result<(), Error> {
        let (start, count) = (slice.rows.start, slice.rows.len());
        let columns = columns.slice(start, count);
        let table = key.1.clone();
        if !self.open.contains_key(&key) {
            let schema = self.tables[&table].file_schema.clone();
            let open = Open {
                file: ParquetFile::new(&table, schema, columns.columns())?,
                values: slice.values,
                rows: 0,
                used: 0,
            };
            self.open.insert(key.clone(), open);
        }
        let open = self.open.get_mut(&key).expect("it is open now");
        match later {
            None => open.file.write(&table, &columns)?,
            Some(Later { epoch, event_time }) => {
                let times = rows.column(event_time);
                let times = times.as_primitive::<TimestampMicrosecondType>();
                let times = times.slice(start, count);
                open.file.write_unmarked(&table, &columns, epoch, times)?;
            }
        }
        open.rows += count as u64;
        open.used = self.batches;
        match open.file.is_full() {
            true => self.close_open(key),
            false => Ok(()),
        }
    }

    /// Whether a file may be opened for another folder of a table; an idle one is closed for it.
    fn has_room(&mut self, layout: &TableLayout) -> Result<bool, Error> {
        let folders = self.open.iter().filter(|it| !it.0.2.is_empty());
        if layout.partition_by.is_empty() || folders.clone().count() < OPEN_FILES_MAX {
            return Ok(true);
        }
        let idle =
            folders.filter(|(_, it)| it.used + IDLE_BATCHES <= self.batches && it.file.is_marked());
        let Some(key) = idle.min_by_key(|it| it.1.used).map(|it| it.0.clone()) else {
            return Ok(false);
        };
        self.close_open(key)?;
        Ok(true)
    }

    fn write_pools_if_many(&mut self) -> Result<(), Error> {
        if self.pools.values().map(Pool::bytes).sum::<usize>() <= POOL_BYTES_MAX {
            return Ok(());
        }
        let all: Vec<_> = self.pools.keys().cloned().collect();
        all.into_iter().try_for_each(|it| self.write_pool(it))
    }

    /// Writes the complete rows of a pool, a file for each folder.
    fn write_pool(&mut self, (commit, table): (Epoch, String)) -> Result<(), Error> {
        let known = &self.tables[&table];
        let pool = self.pools.get_mut(&(commit, table.clone()));
        let Some(rows) = pool.and_then(|it| it.take(&known.schema, &known.partition_by)) else {
            return Ok(());
        };
        let columns = known.file_columns(&rows);
        let slices = cut(&rows, &known.partition_by);
        let schema = known.file_schema.clone();
        for slice in slices {
            let columns = columns.slice(slice.rows.start, slice.rows.len());
            let mut file = ParquetFile::new(&table, schema.clone(), columns.columns())?;
            file.write(&table, &columns)?;
            let open = Open {
                file,
                values: slice.values,
                rows: slice.rows.len() as u64,
                used: self.batches,
            };
            self.close((commit, table.clone(), slice.folder), open)?;
        }
        Ok(())
    }

    fn close_open(&mut self, key: (Epoch, String, String)) -> Result<(), Error> {
        match self.open.remove(&key) {
            Some(open) => self.close(key, open),
            None => Ok(()),
        }
    }

    /// Writes rows of a view as a file of their own: those of a bucket of open rows, or closed ones. They are encoded elsewhere: a worker that did it
    /// would keep its epochs waiting, and rows of a view are shared.
    pub fn write(
        &mut self,
        layout: &TableLayout,
        commit: Epoch,
        rows: Vec<Row>,
        bucket: Option<u32>,
    ) {
        let label = self.next_label(commit);
        let (sending, layout) = (self.sending(), layout.clone());
        let (table, count) = (layout.name.clone(), rows.len() as u64);
        let add = supervise::awaited(&self.runtime, "a file of a view", async move {
            let turn = sending.uploads.encoders.acquire().await;
            let turn = turn.expect("nobody closes the semaphore");
            let table = layout.name.clone();
            let encoded = supervise::blocking("a file of a view", move || {
                encoded_rows(&layout, &rows, label)
            });
            let file = encoded.await.map_err(|died| Error::Table {
                table: table.clone(),
                reason: died.to_string(),
            })??;
            drop(turn);
            sending.send(table, file).await
        });
        self.stage(commit, table, count, bucket, add);
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
            self.close_open(key)?;
        }
        let pools = self.pools.keys().filter(|it| all || it.0 <= commit);
        for key in pools.cloned().collect::<Vec<_>>() {
            if let Some(epoch) = self.pools[&key].first_unmarked() {
                return Err(unmarked(&key.1, epoch));
            }
            self.write_pool(key.clone())?;
            self.pools.remove(&key);
        }
        let (due, later) = std::mem::take(&mut self.finished)
            .into_iter()
            .partition(|it| all || it.0 <= commit);
        self.finished = later;
        Ok(due.into_iter().map(|it: (Epoch, Staged)| it.1).collect())
    }

    fn close(&mut self, key: (Epoch, String, String), open: Open) -> Result<(), Error> {
        let (commit, table, folder) = key;
        let (bytes, statistics) = open.file.finish(&table)?;
        let file = Encoded {
            label: self.next_label(commit),
            folder,
            values: open.values,
            bytes,
            statistics,
        };
        let upload = self.sending().send(table.clone(), file);
        let add = supervise::awaited(&self.runtime, "an upload", upload);
        self.stage(commit, table, open.rows, None, add);
        Ok(())
    }

    /// What the name of the next file begins with.
    fn next_label(&mut self, commit: Epoch) -> String {
        self.sequence += 1;
        format!("e{:016}-{}-{}", commit.0, self.label, self.sequence)
    }

    fn sending(&self) -> Sending {
        Sending {
            store: self.store.clone(),
            uploads: Arc::clone(&self.uploads),
            told: self.told.clone(),
        }
    }

    fn stage(
        &mut self,
        commit: Epoch,
        table: String,
        rows: u64,
        bucket: Option<u32>,
        add: Awaited<Result<Value, Error>>,
    ) {
        let staged = Staged {
            table,
            rows,
            bucket,
            add,
        };
        self.finished.push((commit, staged));
    }
}

/// A file that is ready for the lake.
struct Encoded {
    label: String,
    /// Empty if the table has no partition columns.
    folder: String,
    values: Map<String, Value>,
    bytes: Vec<u8>,
    statistics: String,
}

/// Rows of a view as a file.
fn encoded_rows(layout: &TableLayout, rows: &[Row], label: String) -> Result<Encoded, Error> {
    let table = layout.name.as_str();
    let schema = file_schema(&layout.schema, &[]);
    let rows = batch_of_rows(&schema, rows.iter()).map_err(|it| Error::Table {
        table: table.to_owned(),
        reason: it.to_string(),
    })?;
    let mut file = ParquetFile::new(table, schema, rows.columns())?;
    file.write(table, &rows)?;
    let (bytes, statistics) = file.finish(table)?;
    Ok(Encoded {
        label,
        folder: String::new(),
        values: Map::new(),
        bytes,
        statistics,
    })
}

/// What it takes to bring files into the lake.
struct Sending {
    store: Store,
    uploads: Arc<Uploads>,
    told: Option<Told>,
}

impl Sending {
    /// Brings a file of a table into the lake; returns the log action that will show it. Its bytes count from now on.
    fn send(
        self,
        table: String,
        file: Encoded,
    ) -> impl Future<Output = Result<Value, Error>> + Send + 'static {
        let Encoded {
            label,
            folder,
            values,
            bytes,
            statistics,
        } = file;
        let name = name_of(&label, &bytes);
        let path = match folder.as_str() {
            "" => name,
            folder => format!("{folder}/{name}"),
        };
        let size = bytes.len();
        self.uploads.bytes.fetch_add(size, Ordering::AcqRel);
        async move {
            let slot = self.uploads.slots.acquire().await;
            let _slot = slot.expect("nobody closes the semaphore");
            let full = Path::from(format!("{table}/{path}"));
            let result = upload(&self.store, &full, Bytes::from(bytes), self.told.as_ref()).await;
            self.uploads.bytes.fetch_sub(size, Ordering::AcqRel);
            result?;
            Ok(json!({"add": {
                "path": path, "partitionValues": values, "size": size, "modificationTime": crate::model::wall_ms(),
                "dataChange": true, "stats": statistics,
            }}))
        }
    }
}

/// Rows of a commit that is due lack their mark.
pub(super) fn unmarked(table: &str, epoch: Epoch) -> Error {
    Error::Table {
        table: table.to_owned(),
        reason: format!("rows of epoch {} are not yet marked", epoch.0),
    }
}

async fn upload(
    store: &Store,
    path: &Path,
    bytes: Bytes,
    told: Option<&Told>,
) -> Result<(), Error> {
    loop {
        let Err(error) = store.put(path, bytes.clone()).await else {
            return Ok(());
        };
        match (error.remedy(), told) {
            (Remedy::RetryAfter(delay), Some(told)) => {
                told(&error);
                tokio::time::sleep(delay).await;
            }
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;

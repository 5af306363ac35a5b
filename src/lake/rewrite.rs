//! Files of a table written anew with the same rows: small ones put together, or rows in Z-order, so that readers can skip files.
//!
//! What is written anew are only files whose rows stay for ever; files of open rows are the next commits' to replace. The rows of one folder are gone
//! through in groups, each as large as memory allows. Nothing here is visible: a commit takes the old files out and shows the new ones, in one version.
//!
//! Z-order: every column of a row becomes its rank within the group, and the bits of the ranks are interleaved, the highest first. So rows that are alike in
//! all the columns lie together, whatever the types and however the values are spread. Names of files in Z-order tell by which columns, so what has its order is
//! left alone. A row keeps all its columns, `_partition` and `_offset` among them: a proof finds it wherever it lies.

use super::newest::epoch_of;
use super::parquet_file::{ParquetFile, file_schema, name_of};
use super::stage::TableLayout;
use super::table::{Compaction, folder_of, path_of, values_of};
use super::{Error, Store, TableState, log};
use crate::model::Epoch;
use crate::supervise;
use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::{cast, interleave_record_batch, rank};
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// Files are put together up to this size.
const WHOLE_BYTES: u64 = 64 << 20;
/// Files from this size on are left alone.
const LARGE_BYTES: u64 = WHOLE_BYTES / 2;
/// So much of a folder is sorted in one go: its rows are in memory, at about twenty times the size.
const SORTED_BYTES: u64 = 24 << 20;
/// The size of a file in Z-order: small enough that a reader skips most of a folder.
const ORDERED_FILE_BYTES: u64 = 6 << 20;
/// Columns of a Z-order; more say little about each.
pub const ORDER_COLUMNS_MAX: usize = 4;
/// Rows taken together when they are put in order.
const ROWS_AT_ONCE: usize = 8192;

/// How a table is to be written anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Columns of the Z-order; none to put small files together as they are.
    pub order: Vec<String>,
    /// Values of partition columns, of folders that are meant; all folders if there are none.
    pub only: BTreeMap<String, String>,
}

impl Wanted {
    /// Why a table cannot be written anew like this, if it cannot.
    pub fn objection(&self, layout: &TableLayout) -> Option<String> {
        let table = &layout.name;
        let partition = |it: &&String| layout.partition_by.contains(it);
        if let Some(unknown) = self.only.keys().find(|it| !partition(it)) {
            let known = match layout.partition_by.as_slice() {
                [] => "it has none".to_owned(),
                some => format!("it has {}", some.join(", ")),
            };
            return Some(format!(
                "{unknown} is no partition column of table {table}; {known}"
            ));
        }
        if ORDER_COLUMNS_MAX < self.order.len() {
            return Some(format!(
                "a Z-order takes at most {ORDER_COLUMNS_MAX} columns"
            ));
        }
        for column in &self.order {
            if layout.partition_by.contains(column) {
                return Some(format!(
                    "{column} is a partition column of table {table}, the same for all rows of a file"
                ));
            }
            let Ok(field) = layout.schema.field_with_name(column) else {
                let names = layout.schema.fields().iter().map(|it| it.name().as_str());
                let names: Vec<&str> = names.collect();
                return Some(format!(
                    "table {table} has no column {column}; it has {}",
                    names.join(", ")
                ));
            };
            if matches!(field.data_type(), DataType::List(_) | DataType::Struct(_)) {
                return Some(format!("{column} of table {table} is not ordered"));
            }
        }
        None
    }

    fn means(&self, file: &Value) -> bool {
        self.only
            .iter()
            .all(|(column, value)| file["add"]["partitionValues"][column] == value.as_str())
    }

    /// Part of the names of files that are in this order.
    fn mark(&self) -> String {
        match self.order.as_slice() {
            [] => String::new(),
            columns => format!(
                "z{:016x}-",
                XxHash3_64::oneshot(columns.join(",").as_bytes())
            ),
        }
    }

    /// Which files of a table are written anew together: groups of one folder each. What another order has left is not undone by putting together.
    pub fn groups(&self, files: Vec<Value>) -> Vec<Vec<Value>> {
        let mark = self.mark();
        let mut folders: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for file in files.into_iter().filter(|it| self.means(it)) {
            let name = path_of(&file).rsplit('/').next().unwrap_or_default();
            let ordered = name.split('-').nth(1).is_some_and(is_mark);
            let is_done = match self.order.is_empty() {
                true => LARGE_BYTES <= log::bytes_of_file(&file) || ordered,
                false => name.contains(&format!("-{mark}")),
            };
            if !is_done {
                folders.entry(values_of(&file)).or_default().push(file);
            }
        }
        let limit = if self.order.is_empty() {
            WHOLE_BYTES
        } else {
            SORTED_BYTES
        };
        let mut groups = Vec::new();
        for mut files in folders.into_values() {
            // Names begin with epochs, so what came together stays together.
            files.sort_by(|a, b| path_of(a).cmp(path_of(b)));
            let (mut group, mut bytes) = (Vec::new(), 0);
            for file in files {
                if limit < bytes + log::bytes_of_file(&file) && !group.is_empty() {
                    groups.push(std::mem::take(&mut group));
                    bytes = 0;
                }
                bytes += log::bytes_of_file(&file);
                group.push(file);
            }
            groups.push(group);
        }
        // One file alone gains nothing, unless it gets an order.
        groups.retain(|it| 1 < it.len() || !self.order.is_empty() && !it.is_empty());
        groups
    }
}

/// Whether a part of a file's name tells an order.
fn is_mark(part: &str) -> bool {
    let digits = part.strip_prefix('z');
    digits.is_some_and(|it| it.len() == 16 && it.bytes().all(|it| it.is_ascii_hexdigit()))
}

impl Store {
    /// What a table looks like, by its own log.
    ///
    /// # Errors
    /// If the version cannot be read, or has columns of a type that is none of ours.
    pub async fn layout_of(&self, table: &str, version: u64) -> Result<TableLayout, Error> {
        let wrong = |reason: String| Error::Table {
            table: table.to_owned(),
            reason,
        };
        let delta = self.open_delta_at(table, version).await?;
        let snapshot = delta.snapshot().map_err(|it| wrong(it.to_string()))?;
        let metadata = serde_json::to_value(snapshot.metadata());
        let metadata = metadata.map_err(|it| wrong(it.to_string()))?;
        let schema = metadata["schemaString"].as_str().unwrap_or_default();
        let schema = log::schema_of(schema).map_err(wrong)?;
        let partition_by = metadata["partitionColumns"].as_array();
        let partition_by = partition_by.into_iter().flatten().filter_map(Value::as_str);
        Ok(TableLayout {
            name: table.to_owned(),
            schema: Arc::new(schema),
            partition_by: partition_by.map(str::to_owned).collect(),
        })
    }

    /// The groups of files of a table that are to be written anew: of the version that is known, without files of open rows, and without those of commits behind
    /// an epoch, if one is given.
    ///
    /// # Errors
    /// If the version cannot be read.
    pub async fn groups_to_rewrite(
        &self,
        table: &str,
        state: &TableState,
        wanted: &Wanted,
        until: Option<Epoch>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        let open: HashSet<&str> = state.open_files.iter().map(path_of).collect();
        let files = self.files_at(table, state.version).await?;
        let is_young = |it: &Value| until.is_some_and(|until| Some(until) < epoch_of(path_of(it)));
        let stay = files.into_iter();
        let stay = stay.filter(|it| !open.contains(path_of(it)) && !is_young(it));
        Ok(wanted.groups(stay.collect()))
    }

    /// Writes a group of files anew, not yet visible.
    ///
    /// # Errors
    /// If a file cannot be read or a new one not be written.
    pub async fn rewrite(
        &self,
        layout: &TableLayout,
        group: Vec<Value>,
        wanted: &Wanted,
    ) -> Result<Compaction, Error> {
        let table = layout.name.clone();
        let mut files = Vec::new();
        for add in &group {
            let path = Path::from(format!("{table}/{}", path_of(add)));
            let missing = || Error::Damaged {
                path: path.to_string(),
                reason: "the log names it and it is missing".to_owned(),
            };
            let bytes = self.get(&path).await?.ok_or_else(missing)?;
            files.push((path.to_string(), bytes));
        }
        let (layout, order) = (layout.clone(), wanted.order.clone());
        let work = move || encode(&layout, &order, files);
        let encoded = supervise::blocking("writing files anew", work).await;
        let encoded = encoded.map_err(|it| Error::Table {
            table: table.clone(),
            reason: it.to_string(),
        })??;
        // As old as the newest of their rows, for a reader that looks for new ones.
        let epochs = group.iter().filter_map(|it| epoch_of(path_of(it)));
        let epoch = epochs.max().unwrap_or(Epoch(0)).0;
        let mut merged = Vec::new();
        for (bytes, statistics) in encoded {
            let label = format!("m{epoch:016}-{}{}", wanted.mark(), uuid::Uuid::new_v4());
            let name = name_of(&label, &bytes);
            let path = match folder_of(&group[0]) {
                "" => name,
                folder => format!("{folder}/{name}"),
            };
            merged.push(serde_json::json!({"add": {
                "path": path, "partitionValues": group[0]["add"]["partitionValues"], "size": bytes.len(),
                "modificationTime": crate::model::wall_ms(), "dataChange": false, "stats": statistics,
            }}));
            self.put(&Path::from(format!("{table}/{path}")), Bytes::from(bytes))
                .await?;
        }
        Ok(Compaction {
            table,
            small: group,
            merged,
        })
    }
}

/// The rows of some files as new files, with what the log says of each.
fn encode(
    layout: &TableLayout,
    order: &[String],
    files: Vec<(String, Bytes)>,
) -> Result<Vec<(Vec<u8>, String)>, Error> {
    let table = layout.name.as_str();
    let schema = file_schema(&layout.schema, &layout.partition_by);
    let bytes: u64 = files.iter().map(|it| it.1.len() as u64).sum();
    let damaged = |path: &str, reason: String| Error::Damaged {
        path: path.to_owned(),
        reason,
    };
    let mut whole: Option<ParquetFile> = None;
    let mut batches = Vec::new();
    for (path, bytes) in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(|it| it.with_batch_size(ROWS_AT_ONCE).build())
            .map_err(|it| damaged(&path, it.to_string()))?;
        for batch in reader {
            let batch = batch.map_err(|it| it.to_string());
            let batch = batch.and_then(|it| as_of(&schema, &it));
            let batch = batch.map_err(|it| damaged(&path, it))?;
            if !order.is_empty() {
                batches.push(batch);
                continue;
            }
            let file = match &mut whole {
                Some(file) => file,
                None => whole.insert(ParquetFile::new(table, schema.clone(), batch.columns())?),
            };
            file.write(table, &batch)?;
        }
    }
    if order.is_empty() {
        let whole = match whole {
            Some(whole) => whole,
            None => ParquetFile::new(table, schema, &[])?,
        };
        return Ok(vec![whole.finish(table)?]);
    }
    let failed = |it: arrow::error::ArrowError| Error::Table {
        table: table.to_owned(),
        reason: format!("its rows could not be put in order: {it}"),
    };
    let places = in_z_order(&batches, order).map_err(failed)?;
    let count = bytes.div_ceil(ORDERED_FILE_BYTES).max(1);
    let rows = places.len().div_ceil(count as usize).max(1);
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let mut encoded = Vec::new();
    for places in places.chunks(rows) {
        let mut file: Option<ParquetFile> = None;
        for places in places.chunks(ROWS_AT_ONCE) {
            let batch = interleave_record_batch(&batches, places).map_err(failed)?;
            let file = match &mut file {
                Some(file) => file,
                None => file.insert(ParquetFile::new(table, schema.clone(), batch.columns())?),
            };
            file.write(table, &batch)?;
        }
        if let Some(file) = file {
            encoded.push(file.finish(table)?);
        }
    }
    Ok(encoded)
}

/// A file's rows with all columns of the table; those that came after the file are null.
fn as_of(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, String> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast(column, field.data_type()).map_err(|it| it.to_string()),
        });
    let columns = columns.collect::<Result<Vec<_>, String>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(|it| it.to_string())
}

/// Where the rows are, in Z-order: the number of the batch and of the row in it. Rows that are alike stay in the order they came.
fn in_z_order(
    batches: &[RecordBatch],
    order: &[String],
) -> Result<Vec<(usize, usize)>, arrow::error::ArrowError> {
    let places = |it: (usize, &RecordBatch)| {
        let (at, rows) = (it.0, it.1.num_rows());
        (0..rows).map(move |row| (at, row))
    };
    let mut rows: Vec<(usize, usize)> = batches.iter().enumerate().flat_map(places).collect();
    if rows.is_empty() {
        return Ok(rows);
    }
    // The highest rank fills the highest bit, whatever the number of rows.
    let highest = u32::try_from(rows.len() - 1).unwrap_or(u32::MAX);
    let shift = highest.max(1).leading_zeros();
    let mut ranks = Vec::new();
    for column in order {
        let parts: Vec<_> = batches
            .iter()
            .filter_map(|it| it.column_by_name(column).map(|it| it.as_ref()))
            .collect();
        let whole = arrow::compute::concat(&parts)?;
        let mut of_column = rank(&whole, None)?;
        // They begin with 1.
        for rank in &mut of_column {
            *rank = rank.saturating_sub(1) << shift;
        }
        ranks.push(of_column);
    }
    let mut keys: Vec<(u128, u32)> = (0..rows.len())
        .map(|row| {
            let of_row: Vec<u32> = ranks.iter().map(|it| it[row]).collect();
            (interleaved(&of_row), row as u32)
        })
        .collect();
    keys.sort_unstable();
    rows = keys.into_iter().map(|it| rows[it.1 as usize]).collect();
    Ok(rows)
}

/// The bits of up to four numbers in turn, the highest first.
fn interleaved(numbers: &[u32]) -> u128 {
    let mut key = 0;
    for bit in (0..u32::BITS).rev() {
        for number in numbers {
            key = key << 1 | u128::from(number >> bit & 1);
        }
    }
    key
}

#[cfg(test)]
mod tests;

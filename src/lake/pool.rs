//! Rows of many folders that wait to be encoded, one folder after another.
//!
//! A Parquet file being written takes about a megabyte of buffers for its columns. A backfill of years, or records in no order of time, touches
//! thousands of hourly folders within one commit; with a file open for each, memory would go by the number of folders. So a worker keeps a few
//! files open, and the rows of all other folders wait here as they are, until they are many or their commit is due. Then they are sorted by
//! folder and written file by file.

use super::parquet_file::Slice;
use crate::model::{Epoch, late_marks};
use arrow::array::{
    ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt64Array, as_primitive_array,
};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use std::sync::Arc;

/// Rows of one table and one commit.
#[derive(Default)]
pub(super) struct Pool {
    complete: Vec<RecordBatch>,
    /// Rows that lack the mark of late rows, their last column, by epoch in order of arrival.
    unmarked: Vec<(Epoch, TimestampMicrosecondArray, RecordBatch)>,
    bytes: usize,
}

/// Some rows of a batch, copied: a slice would keep the whole batch in memory.
pub(super) fn copied(batch: &RecordBatch, slices: &[Slice]) -> RecordBatch {
    let rows = slices.iter().flat_map(|it| it.rows.clone());
    let rows = UInt64Array::from_iter_values(rows.map(|it| it as u64));
    take_record_batch(batch, &rows).expect("slices lie in their batch")
}

impl Pool {
    /// Adds rows with all their columns.
    pub fn add(&mut self, rows: RecordBatch) {
        self.bytes += rows.get_array_memory_size();
        self.complete.push(rows);
    }

    /// Adds rows of an epoch without their last column; `mark` gives it to them. `event_time` is the column that decides it.
    pub fn add_unmarked(&mut self, epoch: Epoch, event_time: usize, rows: RecordBatch) {
        self.bytes += rows.get_array_memory_size();
        let times = as_primitive_array::<TimestampMicrosecondType>(rows.column(event_time)).clone();
        self.unmarked.push((epoch, times, rows));
    }

    /// Marks the rows of all epochs up to this one. `schema` is that of complete rows.
    pub fn mark(&mut self, schema: &SchemaRef, epoch: Epoch, watermark: i64) {
        let due = self.unmarked.extract_if(.., |it| it.0 <= epoch);
        self.complete.extend(due.map(|(_, times, rows)| {
            let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
            columns.push(late_marks(&times, watermark));
            RecordBatch::try_new(Arc::clone(schema), columns)
                .expect("a marked batch has the table's columns")
        }));
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest epoch whose rows are not yet marked.
    pub fn first_unmarked(&self) -> Option<Epoch> {
        self.unmarked.iter().map(|it| it.0).min()
    }

    /// Takes all complete rows, sorted by folder, in order of arrival within each.
    pub fn take(&mut self, schema: &SchemaRef, partition_by: &[String]) -> Option<RecordBatch> {
        let batches = std::mem::take(&mut self.complete);
        self.bytes = self
            .unmarked
            .iter()
            .map(|it| it.2.get_array_memory_size())
            .sum();
        if batches.is_empty() {
            return None;
        }
        let rows = concat_batches(schema, &batches).expect("rows of one table have one schema");
        drop(batches);
        let arrival: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..rows.num_rows() as u64));
        let folders = partition_by.iter().map(|it| {
            let column = rows.column_by_name(it);
            Arc::clone(column.expect("partition columns are in the table"))
        });
        let order: Vec<SortColumn> = folders
            .chain([arrival])
            .map(|values| SortColumn {
                values,
                options: None,
            })
            .collect();
        let order = lexsort_to_indices(&order, None).expect("partition columns can be compared");
        Some(take_record_batch(&rows, &order).expect("an order of the rows"))
    }
}

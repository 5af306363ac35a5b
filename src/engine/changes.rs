//! The container that stateless operators pass on: an Arrow batch, and a sign per row if it has any.
//!
//! Records of a source carry no signs: they are all insertions. All rows of a container belong to
//! one epoch, that of the capability they were sent with.

use crate::model::{Row, batch_of_rows, rows_of_batch};
use arrow::array::{BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use std::sync::Arc;

/// Rows of one epoch, columnar. The default is empty, as timely wants it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    batch: Option<RecordBatch>,
    diffs: Option<Arc<[i64]>>,
}

impl Changes {
    /// Records: one insertion each.
    pub fn records(batch: RecordBatch) -> Self {
        Changes {
            batch: Some(batch),
            diffs: None,
        }
    }

    /// Changes: `diffs[i]` belongs to row `i`.
    pub fn signed(batch: RecordBatch, diffs: impl Into<Arc<[i64]>>) -> Self {
        let diffs = diffs.into();
        assert_eq!(batch.num_rows(), diffs.len(), "one sign per row");
        Changes {
            batch: Some(batch),
            diffs: Some(diffs),
        }
    }

    /// Rows with their diffs, as a batch of this schema.
    pub fn of_rows<'a>(
        schema: &SchemaRef,
        rows: impl Iterator<Item = (&'a Row, i64)> + Clone,
    ) -> Self {
        let batch = batch_of_rows(schema, rows.clone().map(|it| it.0));
        let diffs: Vec<i64> = rows.map(|it| it.1).collect();
        Self::signed(batch.expect("rows are of this schema"), diffs)
    }

    /// Each row with its diff.
    pub fn rows(&self) -> impl Iterator<Item = (Row, i64)> {
        let rows = self.batch.iter().flat_map(rows_of_batch).enumerate();
        rows.map(|(at, row)| (row, self.diffs().map_or(1, |it| it[at])))
    }

    pub fn batch(&self) -> Option<&RecordBatch> {
        self.batch.as_ref()
    }

    /// Of changes that only add rows: each row as often as it is added.
    ///
    /// # Panics
    /// If a row is taken back.
    pub fn added(&self) -> Option<RecordBatch> {
        let batch = self.batch.as_ref()?;
        let Some(diffs) = self.diffs() else {
            return Some(batch.clone());
        };
        let copies = diffs.iter().enumerate().flat_map(|(row, count)| {
            let count = usize::try_from(*count).expect("rows are only added");
            std::iter::repeat_n(row as u64, count)
        });
        let copies = UInt64Array::from_iter_values(copies);
        Some(take_record_batch(batch, &copies).expect("the rows are there"))
    }

    /// The rows for which the mask holds, with their diffs; none if there are none. The mask has no nulls.
    pub fn filtered(&self, mask: &BooleanArray) -> Option<Changes> {
        let kept = match mask.true_count() {
            0 => return None,
            all if all == mask.len() => return Some(self.clone()),
            _ => filter_record_batch(self.batch.as_ref()?, mask).expect("one answer per row"),
        };
        let diffs = self.diffs.as_ref().map(|diffs| {
            let kept = diffs.iter().zip(mask.values()).filter(|it| it.1);
            kept.map(|it| *it.0).collect()
        });
        Some(Changes {
            batch: Some(kept),
            diffs,
        })
    }

    /// Nothing when all rows are insertions.
    pub fn diffs(&self) -> Option<&[i64]> {
        self.diffs.as_deref()
    }
}

impl timely::Accountable for Changes {
    fn record_count(&self) -> i64 {
        self.batch
            .as_ref()
            .map_or(0, |it| i64::try_from(it.num_rows()).unwrap_or(i64::MAX))
    }
}

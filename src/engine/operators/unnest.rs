//! Rows that lists in them become: one for each element, of the longest list if there are several, and none for a list without elements.
//!
//! Nothing is kept: a row that is taken back takes those of its elements back.

use super::stateless::{Refusal, apply};
use super::{ChangeStream, Shared};
use crate::engine::changes::Changes;
use crate::plan::{Unnest, nullable};
use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, UInt64Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// A row for each element of the lists of a row, and dead letters for the records whose lists could not be computed.
pub(in crate::engine) fn unnest<'s>(
    input: ChangeStream<'s>,
    unnest: &Arc<Unnest>,
    schema: &SchemaRef,
    refusal: Refusal,
    shared: Rc<RefCell<Shared>>,
) -> (ChangeStream<'s>, ChangeStream<'s>) {
    let unnest = Arc::clone(unnest);
    apply(
        input,
        nullable(schema),
        refusal,
        shared,
        move |schema, changes| elements(&unnest, schema, changes),
    )
}

fn elements(unnest: &Unnest, schema: &SchemaRef, changes: &Changes) -> Result<Option<Changes>> {
    let Some(batch) = changes.batch() else {
        return Ok(None);
    };
    let rows = batch.num_rows();
    let columns = unnest.columns.iter();
    let columns: Vec<ArrayRef> = columns
        .map(|it| it.evaluate(batch)?.into_array(rows))
        .collect::<Result<_>>()?;
    let lists: Vec<Option<ListArray>> = columns
        .iter()
        .zip(&unnest.is_list)
        .map(|(column, is_list)| is_list.then(|| as_list(column)).transpose())
        .collect::<Result<_>>()?;
    let length = |list: &ListArray, row: usize| match list.is_valid(row) {
        true => list.value(row).len(),
        false => 0,
    };
    let longest = |row: usize| {
        let lengths = lists.iter().flatten().map(|it| length(it, row));
        lengths.max().unwrap_or(0)
    };
    let lengths: Vec<usize> = (0..rows).map(longest).collect();
    let of_row = lengths.iter().enumerate();
    let of_row: Vec<usize> = of_row.flat_map(|(row, many)| vec![row; *many]).collect();
    let whole: UInt64Array = of_row.iter().map(|it| *it as u64).collect();
    let mut arrays = Vec::new();
    for ((column, list), field) in columns.iter().zip(&lists).zip(schema.fields()) {
        let taken = match list {
            None => take(column, &whole, None)?,
            Some(list) => {
                let places = lengths.iter().enumerate().flat_map(|(row, many)| {
                    let (own, first) = (length(list, row), list.value_offsets()[row] as u64);
                    (0..*many).map(move |at| (at < own).then_some(first + at as u64))
                });
                take(list.values(), &places.collect::<UInt64Array>(), None)?
            }
        };
        arrays.push(cast(&taken, field.data_type())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(of_row.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?;
    Ok(Some(match changes.diffs() {
        None => Changes::records(batch),
        Some(diffs) => {
            let diffs: Vec<i64> = of_row.iter().map(|it| diffs[*it]).collect();
            Changes::signed(batch, diffs)
        }
    }))
}

fn as_list(column: &ArrayRef) -> Result<ListArray> {
    let element = match column.data_type() {
        DataType::List(_) => return Ok(column.as_list::<i32>().clone()),
        DataType::LargeList(element) | DataType::FixedSizeList(element, _) => Arc::clone(element),
        other => {
            let text = format!("UNNEST takes an array, not {other}");
            return Err(DataFusionError::Execution(text));
        }
    };
    Ok(cast(column, &DataType::List(element))?
        .as_list::<i32>()
        .clone())
}

//! Generated columns of sources: expressions over the columns that records have themselves, and the time at which a record was read.
//!
//! Expressions are computed where records are decoded, so a generated column is a column like any other from there on: event time may be one,
//! tables keep it, and a record that is read again for `verify` has the same value in it. When a record was read is not known there: its
//! column is filled in together with the epoch, which it is.

use super::{Plan, SourceSpec, evaluate};
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::Schema;
use std::sync::Arc;

/// What a generated column is computed by.
#[derive(Clone, Debug)]
pub enum Generated {
    /// The epoch of the record, as a time: what `PROCTIME()` is elsewhere.
    ReadTime,
    Expression {
        /// In canonical form.
        sql: String,
        /// One column over the records of the source.
        plan: Box<Plan>,
    },
}

impl Generated {
    /// In canonical form.
    pub fn sql(&self) -> &str {
        match self {
            Generated::ReadTime => "proctime()",
            Generated::Expression { sql, .. } => sql,
        }
    }

    /// The same over records that have these columns, found by their names.
    ///
    /// # Errors
    /// If it reads a column that they do not have, or is no expression over single records.
    pub fn over(&self, records: &Schema) -> Result<Self, String> {
        let mut bound = self.clone();
        if let Generated::Expression { plan, .. } = &mut bound {
            bind(plan, records)?;
        }
        Ok(bound)
    }

    /// Its values for records. When they were read is not known yet: [`put_read_times`] fills that in.
    ///
    /// # Errors
    /// If the expression fails for one of them.
    pub fn values(&self, records: &RecordBatch) -> Result<ArrayRef, String> {
        match self {
            Generated::ReadTime => {
                let unknown = TimestampMicrosecondArray::from_value(0, records.num_rows());
                Ok(Arc::new(unknown.with_timezone("UTC")))
            }
            Generated::Expression { plan, .. } => Ok(evaluate(plan, records)?.column(0).clone()),
        }
    }
}

/// Finds the columns of the records by their names.
fn bind(plan: &mut Plan, records: &Schema) -> Result<(), String> {
    match plan {
        Plan::Relation {
            columns, schema, ..
        } => {
            let place = |name: &str| {
                records
                    .index_of(name)
                    .map_err(|_| format!("a record has no column `{name}` when it is decoded"))
            };
            let fields = schema.fields().iter();
            *columns = fields.map(|it| place(it.name())).collect::<Result<_, _>>()?;
            Ok(())
        }
        Plan::Map {
            input,
            filter: None,
            ..
        } => bind(input, records),
        Plan::Map { .. }
        | Plan::Constant { .. }
        | Plan::Unnest { .. }
        | Plan::Aggregate { .. }
        | Plan::TopK { .. }
        | Plan::Union { .. }
        | Plan::Join { .. }
        | Plan::AsOf { .. }
        | Plan::PerGroup { .. }
        | Plan::Temporal { .. }
        | Plan::Detect { .. }
        | Plan::Incidents { .. }
        | Plan::Admit { .. } => Err(
            "it is computed from the columns of its record alone, without sub-queries, aggregates or windows"
                .to_owned(),
        ),
    }
}

impl SourceSpec {
    /// The columns that are the time at which a record was read.
    pub fn read_times(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        let of_reading = columns.filter(|it| matches!(it.1.generated, Some(Generated::ReadTime)));
        of_reading.map(|it| it.0).collect()
    }
}

/// Fills in when records were read, given their epochs. Records from before such a column was added have null in it.
pub fn put_read_times(columns: &mut [ArrayRef], read_times: &[usize], epochs: &Int64Array) {
    for place in read_times {
        let was = &columns[*place];
        let rows = epochs.values().iter().enumerate();
        let times: TimestampMicrosecondArray = rows
            .map(|(row, epoch_ms)| was.is_valid(row).then_some(epoch_ms * 1_000))
            .collect();
        columns[*place] = Arc::new(times.with_timezone("UTC"));
    }
}

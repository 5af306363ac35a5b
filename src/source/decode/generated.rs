//! Generated columns: computed from a record's own columns once those are decoded.
//!
//! What computes them is handed in; nothing here knows expressions. They are computed for a whole slice at once. If that fails, each record
//! is computed alone, so that only those for which an expression fails become dead letters.

use std::collections::BTreeMap;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, new_empty_array, new_null_array,
};
use arrow::compute::{concat, filter, max};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};

use super::{DeadLetter, Decoded, OFFSET_COLUMN, RawRecords, without_line_end};

/// Values of a generated column for records, one each.
///
/// # Errors
/// If the expression fails for one of them.
pub type Compute = Box<dyn Fn(&RecordBatch) -> Result<ArrayRef, String> + Send + Sync>;

/// A column that is computed from those that records have.
pub struct GeneratedColumn {
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
    /// Its place among all declared columns.
    pub place: usize,
    /// Of records with the columns that they have themselves, then `_partition` and `_offset`.
    pub compute: Compute,
}

/// All generated columns of a source.
pub(super) struct Generated {
    columns: Vec<GeneratedColumn>,
    /// Of the whole batch.
    schema: SchemaRef,
    /// The event-time column, among all columns.
    event_time: Option<usize>,
    /// The column of a record that says whether it removes a row.
    deleted: Option<usize>,
}

impl Generated {
    /// Columns in the order of their places, beside those of `records`.
    pub(super) fn new(
        columns: Vec<GeneratedColumn>,
        records: &Schema,
        event_time: Option<usize>,
        deleted: Option<usize>,
    ) -> Self {
        let mut fields: Vec<Field> = records
            .fields()
            .iter()
            .map(|it| it.as_ref().clone())
            .collect();
        for column in &columns {
            let nullable = column.nullable || deleted.is_some();
            let field = Field::new(&column.name, column.data_type.clone(), nullable);
            fields.insert(column.place, field);
        }
        Self {
            columns,
            schema: SchemaRef::new(Schema::new(fields)),
            event_time,
            deleted,
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Adds the columns to decoded records; those that cannot have them become dead letters.
    pub(super) fn add(&self, decoded: Decoded, records: &RawRecords) -> Decoded {
        let Decoded {
            batch,
            mut dead_letters,
            ..
        } = decoded;
        let mut reasons = BTreeMap::new();
        let arrays = self.values(&batch, &mut reasons);
        self.refuse_nulls(&batch, &arrays, &mut reasons);
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        for (column, array) in self.columns.iter().zip(arrays) {
            columns.insert(column.place, array);
        }
        if !reasons.is_empty() {
            let rows = 0..batch.num_rows();
            let kept: BooleanArray = rows.map(|it| Some(!reasons.contains_key(&it))).collect();
            for column in &mut columns {
                *column = filter(column, &kept).expect("the filter has as many rows as the column");
            }
            let offsets = batch.column_by_name(OFFSET_COLUMN).cloned();
            let offsets = offsets.expect("decoded records have their offsets");
            let offsets = offsets.as_primitive::<Int64Type>();
            dead_letters.extend(reasons.into_iter().map(|(row, reason)| {
                let offset = offsets.value(row);
                let at = records.offsets.partition_point(|it| *it < offset);
                let start = at.checked_sub(1).map_or(0, |it| records.ends[it] as usize);
                let raw = without_line_end(&records.data[start..records.ends[at] as usize]);
                DeadLetter {
                    partition: records.partition,
                    offset,
                    raw: records.letter(raw),
                    reason,
                }
            }));
            dead_letters.sort_by_key(|it| it.offset);
        }
        let max_event_time = self
            .event_time
            .and_then(|it| max(columns[it].as_primitive::<TimestampMicrosecondType>()));
        Decoded {
            batch: RecordBatch::try_new(self.schema.clone(), columns)
                .expect("columns were computed for this schema"),
            max_event_time,
            dead_letters,
        }
    }

    /// The values of each column. A row for which an expression fails has null there, and a reason.
    fn values(&self, batch: &RecordBatch, reasons: &mut BTreeMap<usize, String>) -> Vec<ArrayRef> {
        let at_once = self.columns.iter().map(|it| (it.compute)(batch));
        if let Ok(arrays) = at_once.collect() {
            return arrays;
        }
        let mut of_column = |column: &GeneratedColumn| {
            let values: Vec<ArrayRef> = (0..batch.num_rows())
                .map(|row| {
                    (column.compute)(&batch.slice(row, 1)).unwrap_or_else(|why| {
                        let reason = format!("generated column {:?}: {why}", column.name);
                        reasons.entry(row).or_insert(reason);
                        new_null_array(&column.data_type, 1)
                    })
                })
                .collect();
            let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
            match values.is_empty() {
                true => new_empty_array(&column.data_type),
                false => concat(&values).expect("values of one column have one type"),
            }
        };
        self.columns.iter().map(&mut of_column).collect()
    }

    /// Notes rows with null where there may be none. Of a record that removes a row only what tells the row is needed.
    fn refuse_nulls(
        &self,
        batch: &RecordBatch,
        arrays: &[ArrayRef],
        reasons: &mut BTreeMap<usize, String>,
    ) {
        let deleted = self.deleted.map(|it| batch.column(it).as_boolean());
        for (column, array) in self.columns.iter().zip(arrays) {
            let is_event_time = self.event_time == Some(column.place);
            if array.null_count() == 0 || (column.nullable && !is_event_time) {
                continue;
            }
            let why = match is_event_time {
                true => "is the event time",
                false => "is declared NOT NULL",
            };
            for row in (0..batch.num_rows()).filter(|it| array.is_null(*it)) {
                let removes = deleted.is_some_and(|it| it.is_valid(row) && it.value(row));
                if is_event_time || !removes {
                    let reason = format!("generated column {:?} is null, but {why}", column.name);
                    reasons.entry(row).or_insert(reason);
                }
            }
        }
    }
}

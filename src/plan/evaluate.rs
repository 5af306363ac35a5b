//! Plans without state applied to a batch: what a table keeps of records, outside of the engine.

use super::{EPOCH_COLUMN, Plan, put_read_times};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions,
};
use arrow::compute::{cast, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// What a plan of filters and expressions makes of records.
///
/// # Errors
/// If an expression fails for one of them, or the plan has a state.
pub fn evaluate(plan: &Plan, records: &RecordBatch) -> Result<RecordBatch, String> {
    let text = |it: datafusion::error::DataFusionError| it.strip_backtrace();
    match plan {
        Plan::Relation { columns, .. } => records.project(columns).map_err(|it| it.to_string()),
        Plan::Map {
            input,
            filter,
            columns,
            schema,
        } => {
            let mut batch = evaluate(input, records)?;
            if let Some(filter) = filter {
                let mask = filter
                    .evaluate(&batch)
                    .and_then(|it| it.into_array(batch.num_rows()))
                    .map_err(text)?;
                let mask: BooleanArray = match mask.null_count() {
                    0 => mask.as_boolean().clone(),
                    _ => prep_null_mask_filter(mask.as_boolean()),
                };
                batch = filter_record_batch(&batch, &mask).map_err(|it| it.to_string())?;
            }
            let columns = columns
                .iter()
                .map(|it| it.evaluate(&batch)?.into_array(batch.num_rows()))
                .collect::<Result<Vec<ArrayRef>, _>>()
                .map_err(text)?;
            columns_of(&columns, batch.num_rows(), schema)
        }
        Plan::Constant { .. }
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
        | Plan::Admit { .. } => Err("a table keeps records one by one".to_owned()),
    }
}

/// A batch in the types of a schema, every column of which may be null.
///
/// # Errors
/// If a column is of a type that cannot be cast to its own.
pub fn typed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    columns_of(batch.columns(), batch.num_rows(), schema)
}

fn columns_of(
    columns: &[ArrayRef],
    rows: usize,
    schema: &SchemaRef,
) -> Result<RecordBatch, String> {
    let columns = columns
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()))
        .collect::<Result<Vec<ArrayRef>, _>>()
        .map_err(|it| it.to_string())?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(nullable(schema), columns, &options)
        .map_err(|it| it.to_string())
}

/// The same columns, each of which may be null: nullability is the planner's concern, not a reason to refuse rows.
pub fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields: Vec<Field> = fields
        .map(|it| it.as_ref().clone().with_nullable(true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// Records of a source with the epochs they came in, as plans read them. `read_times` are its columns of [`super::SourceSpec::read_times`].
///
/// # Errors
/// If there are not as many epochs as records.
pub fn with_epochs(
    records: &RecordBatch,
    epochs: Int64Array,
    read_times: &[usize],
) -> Result<RecordBatch, String> {
    let schema = records.schema();
    let mut fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|it| it.as_ref().clone())
        .collect();
    fields.push(Field::new(EPOCH_COLUMN, DataType::Int64, false));
    let mut columns = records.columns().to_vec();
    put_read_times(&mut columns, read_times, &epochs);
    columns.push(Arc::new(epochs));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|it| it.to_string())
}

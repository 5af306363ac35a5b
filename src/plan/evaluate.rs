//! Plans without state applied to a batch: what a table keeps of records, outside of the engine.

use super::Plan;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{Field, Schema};
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
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = columns
                .iter()
                .zip(schema.fields())
                .map(|(column, field)| cast(column, field.data_type()))
                .collect::<Result<Vec<ArrayRef>, _>>()
                .map_err(|it| it.to_string())?;
            let fields: Vec<Field> = schema
                .fields()
                .iter()
                .map(|it| it.as_ref().clone().with_nullable(true))
                .collect();
            RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
                .map_err(|it| it.to_string())
        }
        _ => Err("a table keeps records one by one".to_owned()),
    }
}

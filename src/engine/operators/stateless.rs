//! Filters and projections: vectorised DataFusion expressions over batches of records or changes.

use super::{ChangeStream, Shared};
use crate::engine::changes::Changes;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, concat_batches, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

type Builder = CapacityContainerBuilder<Changes>;

/// Only some columns, in an order.
pub(in crate::engine) fn project<'s>(
    input: ChangeStream<'s>,
    columns: Vec<usize>,
) -> ChangeStream<'s> {
    each(input, "Project", move |changes| {
        let batch = changes
            .batch()?
            .project(&columns)
            .expect("columns of the plan exist");
        Some(with_signs(batch, changes.diffs()))
    })
}

/// The same columns under another schema, as the sides of a union need it.
pub(in crate::engine) fn relabel<'s>(
    input: ChangeStream<'s>,
    schema: SchemaRef,
) -> ChangeStream<'s> {
    let schema = nullable(&schema);
    each(input, "Relabel", move |changes| {
        let batch = changes.batch()?;
        let columns = batch
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| typed(column, field.data_type()))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)
            .expect("sides of a union agree");
        Some(with_signs(batch, changes.diffs()))
    })
}

/// Rows that pass the filter, through expressions. A row for which an expression fails is left out, counted and logged; the rest of its batch goes on.
pub(in crate::engine) fn map<'s>(
    input: ChangeStream<'s>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    shared: Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let schema = nullable(&schema);
    each(input, "Map", move |changes| {
        let batch = changes.batch()?;
        let evaluate = |batch: &RecordBatch, diffs: Option<&[i64]>| {
            evaluate(filter.as_ref(), &columns, &schema, batch, diffs)
        };
        match evaluate(batch, changes.diffs()) {
            Ok(mapped) => mapped,
            Err(_) => {
                let mut parts: Vec<(RecordBatch, Option<Vec<i64>>)> = Vec::new();
                for row in 0..batch.num_rows() {
                    let diff = changes.diffs().map(|it| &it[row..=row]);
                    match evaluate(&batch.slice(row, 1), diff) {
                        Ok(Some(part)) => parts.extend(
                            part.batch()
                                .cloned()
                                .map(|it| (it, part.diffs().map(<[i64]>::to_vec))),
                        ),
                        Ok(None) => {}
                        Err(error) => {
                            shared.borrow_mut().failed_rows += 1;
                            tracing::warn!(%error, "an expression failed for one row, which is left out");
                        }
                    }
                }
                let batch = concat_batches(&schema, parts.iter().map(|it| &it.0))
                    .expect("parts have one schema");
                let diffs: Vec<i64> = parts
                    .iter()
                    .filter_map(|it| it.1.clone())
                    .flatten()
                    .collect();
                Some(with_signs(batch, changes.diffs().map(|_| diffs.as_slice())))
            }
        }
    })
}

fn evaluate(
    filter: Option<&Arc<dyn PhysicalExpr>>,
    columns: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
    batch: &RecordBatch,
    diffs: Option<&[i64]>,
) -> Result<Option<Changes>> {
    let mut kept = None;
    let mut kept_diffs: Option<Vec<i64>> = None;
    if let Some(filter) = filter {
        let mask = filter.evaluate(batch)?.into_array(batch.num_rows())?;
        let mask = mask.as_boolean();
        let mask: BooleanArray = if mask.null_count() == 0 {
            mask.clone()
        } else {
            prep_null_mask_filter(mask)
        };
        if mask.true_count() == 0 {
            return Ok(None);
        }
        if mask.true_count() < batch.num_rows() {
            kept = Some(filter_record_batch(batch, &mask)?);
            kept_diffs = diffs.map(|it| {
                it.iter()
                    .zip(mask.values())
                    .filter(|it| it.1)
                    .map(|it| *it.0)
                    .collect()
            });
        }
    }
    let batch = kept.as_ref().unwrap_or(batch);
    let arrays = columns
        .iter()
        .zip(schema.fields())
        .map(|(it, field)| {
            Ok(typed(
                &it.evaluate(batch)?.into_array(batch.num_rows())?,
                field.data_type(),
            ))
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let mapped = RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?;
    Ok(Some(with_signs(mapped, kept_diffs.as_deref().or(diffs))))
}

/// The same columns, each of which may be null: nullability is the planner's concern, not a reason to refuse rows.
pub(super) fn nullable(schema: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(
        schema
            .fields()
            .iter()
            .map(|it| it.as_ref().clone().with_nullable(true))
            .collect::<Vec<_>>(),
    ))
}

fn typed(column: &ArrayRef, data_type: &arrow::datatypes::DataType) -> ArrayRef {
    if column.data_type() == data_type {
        return Arc::clone(column);
    }
    cast(column, data_type).expect("the plan's types agree")
}

fn with_signs(batch: RecordBatch, diffs: Option<&[i64]>) -> Changes {
    match diffs {
        Some(diffs) => Changes::signed(batch, diffs),
        None => Changes::records(batch),
    }
}

fn each<'s>(
    input: ChangeStream<'s>,
    name: &str,
    mut logic: impl FnMut(&Changes) -> Option<Changes> + 'static,
) -> ChangeStream<'s> {
    input.unary::<Builder, _, _, _>(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, changes| {
                if let Some(mut mapped) = logic(&std::mem::take(changes))
                    && mapped.batch().is_some_and(|it| 0 < it.num_rows())
                {
                    output.session(&capability).give_container(&mut mapped);
                }
            });
        }
    })
}

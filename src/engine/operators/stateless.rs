//! Filters and projections: vectorised DataFusion expressions over batches of records or changes.

use super::source::dead_letters;
use super::{ChangeStream, Shared};
use crate::engine::Undecoded;
use crate::engine::changes::Changes;
use crate::model::{Epoch, Failure, LeftOut, Partition, value_at};
use crate::plan::{OFFSET_COLUMN, PARTITION_COLUMN, in_halves, nullable};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, concat_batches, prep_null_mask_filter};
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{Operator, OutputBuilder};

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

/// What came in this run, without what is computed again from stored state.
pub(in crate::engine) fn news<'s>(input: ChangeStream<'s>, boot: u64) -> ChangeStream<'s> {
    input.unary::<Builder, _, _, _>(Pipeline, "News", move |_, _| {
        move |input, output| {
            input.for_each(|capability, changes| {
                if capability.least().is_some_and(|it| boot < *it) {
                    output.session(&capability).give_container(changes);
                }
            });
        }
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

/// What becomes of a row for which an expression fails; the rest of its batch goes on.
#[derive(Clone, Debug)]
pub(in crate::engine) enum Refusal {
    /// It is a record of the source of this number and name, not yet in any table, and becomes a dead letter.
    DeadLetter(usize, String),
    /// It is left out of this relation, and counted.
    LeftOut(String),
}

/// Rows that pass the filter, through expressions, and dead letters for the records that could not be computed.
pub(in crate::engine) fn map<'s>(
    input: ChangeStream<'s>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    refusal: Refusal,
    shared: Rc<RefCell<Shared>>,
) -> (ChangeStream<'s>, ChangeStream<'s>) {
    apply(
        input,
        nullable(&schema),
        refusal,
        shared,
        move |schema, changes| evaluate(filter.as_ref(), &columns, schema, changes),
    )
}

/// What `evaluate` makes of rows, with these columns.
pub(super) fn apply<'s>(
    input: ChangeStream<'s>,
    schema: SchemaRef,
    refusal: Refusal,
    shared: Rc<RefCell<Shared>>,
    evaluate: impl Fn(&SchemaRef, &Changes) -> Result<Option<Changes>> + 'static,
) -> (ChangeStream<'s>, ChangeStream<'s>) {
    let mut builder = OperatorBuilder::new("Map".to_owned(), input.scope());
    let mut input = builder.new_input(input, Pipeline);
    let (mapped_output, mapped) = builder.new_output::<Changes>();
    let (refused_output, refused) = builder.new_output::<Changes>();
    let mut mapped_output = OutputBuilder::<_, Builder>::from(mapped_output);
    let mut refused_output = OutputBuilder::<_, Builder>::from(refused_output);
    builder.build(move |capabilities| {
        drop(capabilities);
        move |_frontiers| {
            let mut mapped_output = mapped_output.activate();
            let mut refused_output = refused_output.activate();
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                if changes.batch().is_none() {
                    return;
                }
                let evaluate = |changes: &Changes| evaluate(&schema, changes);
                let mapped = match evaluate(&changes) {
                    Ok(mapped) => mapped,
                    Err(_) => {
                        let (mapped, failures) = in_parts(&changes, &schema, evaluate);
                        let epoch = capability.least().copied().unwrap_or_default();
                        let letters = refuse(&refusal, &changes, failures, epoch, &shared);
                        if let Some(letters) = letters {
                            refused_output
                                .session(&capability)
                                .give_container(&mut Changes::records(letters));
                        }
                        mapped
                    }
                };
                if let Some(mut mapped) = mapped
                    && mapped.batch().is_some_and(|it| 0 < it.num_rows())
                {
                    mapped_output
                        .session(&capability)
                        .give_container(&mut mapped);
                }
            });
        }
    });
    (mapped, refused)
}

/// The rows that can be computed, and the numbers of the others with what is wrong.
fn in_parts(
    changes: &Changes,
    schema: &SchemaRef,
    evaluate: impl Fn(&Changes) -> Result<Option<Changes>>,
) -> (Option<Changes>, Vec<(usize, String)>) {
    let Some(batch) = changes.batch() else {
        return (None, Vec::new());
    };
    let (mut parts, mut diffs, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let mut work = |rows: Range<usize>| {
        let part = batch.slice(rows.start, rows.len());
        evaluate(&with_signs(part, changes.diffs().map(|it| &it[rows])))
    };
    for (rows, part) in in_halves(0..batch.num_rows(), &mut work) {
        match part {
            Ok(Some(part)) => {
                parts.extend(part.batch().cloned());
                diffs.extend(part.diffs().into_iter().flatten());
            }
            Ok(None) => {}
            Err(error) => failures.push((rows.start, reason_of(&error))),
        }
    }
    let batch = concat_batches(schema, &parts).expect("parts have one schema");
    let mapped = with_signs(batch, changes.diffs().map(|_| diffs.as_slice()));
    (Some(mapped), failures)
}

/// What an expression says that fails, without the names of those who pass it on.
pub(super) fn reason_of(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let parts = ["Execution error: ", "Arrow error: "];
    let inner = parts.iter().fold(text.as_str(), |text, it| {
        text.strip_prefix(it).unwrap_or(text)
    });
    inner.to_owned()
}

/// Notes rows that could not be computed; dead letters for those that are records.
fn refuse(
    refusal: &Refusal,
    changes: &Changes,
    failures: Vec<(usize, String)>,
    epoch: u64,
    shared: &Rc<RefCell<Shared>>,
) -> Option<RecordBatch> {
    let batch = changes.batch()?;
    let mut shared = shared.borrow_mut();
    match refusal {
        Refusal::LeftOut(relation) => {
            let left_out = shared.left_out(relation);
            let of = failures.len();
            for (at, (row, reason)) in failures.into_iter().enumerate() {
                let diff = changes.diffs().map_or(1, |it| it[row]);
                if LeftOut::is_listed(at, of) {
                    let row = as_json(batch, row);
                    left_out.note(Failure::new(Epoch(epoch), diff, reason, Some(&row)));
                } else {
                    left_out.add(u64::from(0 < diff));
                }
            }
            None
        }
        Refusal::DeadLetter(source, name) => {
            let column = |name: &str| {
                let found = batch.column_by_name(name);
                found.expect("the plan of a table keeps where a record was read")
            };
            let partitions = column(PARTITION_COLUMN).as_primitive::<Int32Type>();
            let offsets = column(OFFSET_COLUMN).as_primitive::<Int64Type>();
            let refused = shared.refused.entry(epoch).or_default();
            let letters: Vec<(Partition, Undecoded)> = failures
                .into_iter()
                .map(|(row, reason)| {
                    let partition = Partition(partitions.value(row));
                    *refused.entry((*source, partition)).or_insert(0) += 1;
                    let letter = Undecoded {
                        offset: offsets.value(row),
                        raw: as_json(batch, row).into_bytes(),
                        reason,
                    };
                    (partition, letter)
                })
                .collect();
            let letters = letters.iter().map(|it| (it.0, &it.1));
            Some(dead_letters(name, Epoch(epoch), letters))
        }
    }
}

/// A decoded record as a JSON object: its bytes as they came are no longer there.
fn as_json(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let members = schema.fields().iter().zip(batch.columns());
    let own = members.filter(|it| !it.0.name().starts_with('_'));
    let object: serde_json::Map<String, serde_json::Value> = own
        .map(|(field, column)| (field.name().clone(), value_at(column, row).to_json()))
        .collect();
    serde_json::Value::Object(object).to_string()
}

fn evaluate(
    filter: Option<&Arc<dyn PhysicalExpr>>,
    columns: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
    changes: &Changes,
) -> Result<Option<Changes>> {
    let kept = match (filter, changes.batch()) {
        (None, _) | (_, None) => None,
        (Some(filter), Some(batch)) => {
            let mask = filter.evaluate(batch)?.into_array(batch.num_rows())?;
            let mask = mask.as_boolean();
            let kept = match mask.null_count() {
                0 => changes.filtered(mask),
                _ => changes.filtered(&prep_null_mask_filter(mask)),
            };
            match kept {
                None => return Ok(None),
                kept => kept,
            }
        }
    };
    let changes = kept.as_ref().unwrap_or(changes);
    let Some(batch) = changes.batch() else {
        return Ok(None);
    };
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
    Ok(Some(with_signs(mapped, changes.diffs())))
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

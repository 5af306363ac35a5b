//! Rows of a view that only its table has: they come from windows that were closed before this run and whose state is gone, while
//! the view keeps them.

use super::ChangeStream;
use crate::engine::changes::Changes;
use crate::engine::{StateContent, StateRecord};
use crate::model::Row;
use crate::plan::nullable;
use arrow::datatypes::SchemaRef;
use differential_dataflow::Hashable;
use std::collections::BTreeMap;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::generic::Operator;

/// Stored rows of a view as state to be shared out among the workers.
pub(in crate::engine) fn as_state(view: &str, rows: Vec<Row>) -> impl Iterator<Item = StateRecord> {
    let operator: Arc<str> = operator(view).into();
    rows.into_iter().map(move |row| StateRecord {
        operator: Arc::clone(&operator),
        content: StateContent::Row(row, 1),
    })
}

/// Under which name the stored rows of a view are restored.
pub(in crate::engine) fn operator(view: &str) -> String {
    format!("{view}.rows")
}

/// The rows of a view and, at the first epoch, those of the stored ones that nothing yields any more. Both are counted where the hash of a row
/// sends it, as state is shared out.
pub(in crate::engine) fn with_stored<'s>(
    input: ChangeStream<'s>,
    schema: &SchemaRef,
    boot: u64,
    stored: Vec<(Row, i64)>,
) -> ChangeStream<'s> {
    let first = input
        .clone()
        .unary::<CapacityContainerBuilder<Vec<(Row, i64)>>, _, _, _>(
            Pipeline,
            "First",
            move |_, _| {
                move |input, output| {
                    input.for_each(|capability, changes| {
                        let changes = std::mem::take(changes);
                        if capability.least().is_some_and(|it| *it <= boot) {
                            output.session(&capability).give_iterator(changes.rows());
                        }
                    });
                }
            },
        );
    let schema = nullable(schema);
    let rest = first.unary_frontier::<CapacityContainerBuilder<Changes>, _, _, _>(
        Exchange::new(|it: &(Row, i64)| it.0.hashed()),
        "Stored",
        move |capability, _| {
            let mut left: BTreeMap<Row, i64> = BTreeMap::new();
            for (row, count) in stored {
                *left.entry(row).or_default() += count;
            }
            let mut held = Some(capability.delayed(&boot));
            move |(input, frontier), output| {
                input.for_each(|_, data| {
                    for (row, diff) in data.drain(..) {
                        *left.entry(row).or_default() -= diff;
                    }
                });
                if frontier.less_equal(&boot) {
                    return;
                }
                let Some(capability) = held.take() else {
                    return;
                };
                let mut rows = std::mem::take(&mut left);
                rows.retain(|_, count| 0 < *count);
                if rows.is_empty() {
                    return;
                }
                let mut changes = Changes::of_rows(&schema, rows.iter().map(|it| (it.0, *it.1)));
                output.session(&capability).give_container(&mut changes);
            }
        },
    );
    input.scope().concatenate([input, rest])
}

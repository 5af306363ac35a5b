//! Rows that are there before any record: news of the first run, and known from then on. State that has taken them in leaves them out at a
//! restart, as all that comes at the epoch of its commit.

use super::{ChangeStream, RunEpochs};
use crate::engine::changes::Changes;
use crate::engine::worker::Place;
use arrow::array::RecordBatch;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::generic::operator;

pub(in crate::engine) fn constant<'s>(
    scope: Scope<'s, u64>,
    rows: &RecordBatch,
    epochs: &RunEpochs,
    place: Place,
) -> ChangeStream<'s> {
    let first = epochs.first();
    // One worker of all has them.
    let rows = (place.index == 0 && 0 < rows.num_rows()).then(|| rows.clone());
    operator::source::<_, CapacityContainerBuilder<Changes>, _, _>(
        scope,
        "Constant",
        move |capability, _| {
            let mut held = rows.map(|it| (capability.delayed(&first), it));
            move |output| {
                if let Some((capability, rows)) = held.take() {
                    output
                        .session(&capability)
                        .give_container(&mut Changes::records(rows));
                }
            }
        },
    )
}

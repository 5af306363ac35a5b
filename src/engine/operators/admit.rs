//! Records of windows that are read one by one: those whose window was closed before they came are left out.

use super::{ChangeStream, ClockStream};
use crate::engine::changes::Changes;
use crate::engine::gate::Gate;
use crate::plan::Admitted;
use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::TimestampMicrosecondType;
use std::collections::BTreeMap;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;

/// Rows whose window ends after the watermark that their epoch began with. A row without a time belongs to no window that could be closed.
pub(in crate::engine) fn admit<'s>(
    input: ChangeStream<'s>,
    window: Admitted,
    (gate, ticks): (Gate, ClockStream<'s>),
) -> ChangeStream<'s> {
    input.binary_frontier::<_, CapacityContainerBuilder<Changes>, _, _, _, _>(
        ticks,
        Pipeline,
        Pipeline,
        "AdmitRecords",
        move |_, _| {
            let mut open: BTreeMap<u64, (Capability<u64>, Vec<Changes>)> = BTreeMap::new();
            move |(input, _), (ticks, known), output| {
                ticks.for_each(|_, _| {});
                input.for_each(|capability, changes| {
                    if let Some(epoch) = capability.least().copied() {
                        open.entry(epoch)
                            .or_insert_with(|| (capability.delayed(&epoch, 0), Vec::new()))
                            .1
                            .push(std::mem::take(changes));
                    }
                });
                while let Some(entry) = open.first_entry() {
                    if known.less_equal(entry.key()) {
                        break;
                    }
                    let (epoch, (capability, all)) = entry.remove_entry();
                    let watermark = gate.watermark(epoch);
                    for changes in all {
                        if let Some(mut admitted) = admitted(&changes, window, watermark) {
                            output.session(&capability).give_container(&mut admitted);
                        }
                    }
                }
            }
        },
    )
}

/// The rows whose window is open; none if there are none.
fn admitted(changes: &Changes, window: Admitted, watermark: i64) -> Option<Changes> {
    let batch = changes.batch()?;
    let times = batch
        .column(window.time)
        .as_primitive::<TimestampMicrosecondType>();
    let is_open = |it: i64| watermark < window.end(it);
    let open: BooleanArray = times
        .iter()
        .map(|it| Some(it.is_none_or(is_open)))
        .collect();
    changes.filtered(&open)
}

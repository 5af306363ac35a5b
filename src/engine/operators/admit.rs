//! Records that are read one by one: those that came too late are left out, and counted. Of a window these are the ones that came after it was closed,
//! of sessions and interval joins those that came after the watermark had passed them.

use super::late::late_rows;
use super::{ChangeStream, ClockStream};
use crate::engine::changes::Changes;
use crate::engine::gate::Gate;
use crate::plan::{Admitted, CountsLate};
use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::TimestampMicrosecondType;
use std::collections::BTreeMap;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// Rows whose window ends after the watermark that their epoch began with, and counts of the others. A row without a time belongs to no window that
/// could be closed.
pub(in crate::engine) fn admit<'s>(
    input: ChangeStream<'s>,
    window: Admitted,
    view: &str,
    (gate, ticks): (Gate, ClockStream<'s>),
) -> (ChangeStream<'s>, ChangeStream<'s>) {
    type Builder = CapacityContainerBuilder<Changes>;
    type Open = ([Capability<u64>; 2], Vec<Changes>);
    let view = view.to_owned();
    let mut builder = OperatorBuilder::new("AdmitRecords".to_owned(), input.scope());
    let mut input = builder.new_input(input, Pipeline);
    let mut ticks = builder.new_input(ticks, Pipeline);
    let (rows, rows_stream) = builder.new_output::<Changes>();
    let (late, late_stream) = builder.new_output::<Changes>();
    let mut rows = OutputBuilder::<_, Builder>::from(rows);
    let mut late = OutputBuilder::<_, Builder>::from(late);
    builder.build(move |capabilities| {
        drop(capabilities);
        let mut open: BTreeMap<u64, Open> = BTreeMap::new();
        move |frontiers| {
            ticks.for_each(|_, _| {});
            input.for_each(|capability, changes| {
                if let Some(epoch) = capability.least().copied() {
                    let capabilities = || [0, 1].map(|it| capability.delayed(&epoch, it));
                    open.entry(epoch)
                        .or_insert_with(|| (capabilities(), Vec::new()))
                        .1
                        .push(std::mem::take(changes));
                }
            });
            let (mut rows, mut late) = (rows.activate(), late.activate());
            while let Some(entry) = open.first_entry() {
                if frontiers[1].frontier().less_equal(entry.key()) {
                    break;
                }
                let (epoch, ([of_rows, of_late], all)) = entry.remove_entry();
                let watermark = gate.watermark(epoch);
                let mut refused = BTreeMap::new();
                for changes in all {
                    if let Some(mut admitted) = admitted(&changes, window, watermark, &mut refused)
                    {
                        rows.session(&of_rows).give_container(&mut admitted);
                    }
                }
                if !refused.is_empty() {
                    let refused: Vec<(Option<i64>, i64)> = refused.into_iter().collect();
                    let mut counts = late_rows(&view, epoch, &refused);
                    late.session(&of_late).give_container(&mut counts);
                }
            }
        }
    });
    (rows_stream, late_stream)
}

/// The rows whose window is open; none if there are none. Others are counted by the start of their window, where they are to be.
fn admitted(
    changes: &Changes,
    window: Admitted,
    watermark: i64,
    refused: &mut BTreeMap<Option<i64>, i64>,
) -> Option<Changes> {
    let batch = changes.batch()?;
    let times = batch
        .column(window.time)
        .as_primitive::<TimestampMicrosecondType>();
    let is_open = |it: i64| watermark < window.end(it);
    let open: BooleanArray = times
        .iter()
        .map(|it| Some(it.is_none_or(is_open)))
        .collect();
    if open.false_count() != 0 && window.counts != CountsLate::Not {
        let late = times.iter().enumerate().filter(|it| !open.value(it.0));
        for (row, time) in late {
            let start = match window.counts {
                CountsLate::ByWindow { size_us } => time.map(|it| window.end(it) - size_us),
                CountsLate::Together | CountsLate::Not => None,
            };
            *refused.entry(start).or_default() += changes.diffs().map_or(1, |it| it[row]);
        }
    }
    changes.filtered(&open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, RecordBatch, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn refused(window: Admitted, watermark: i64) -> (usize, Vec<(Option<i64>, i64)>) {
        let times = [Some(1), Some(9), None, Some(10), Some(3)];
        let times = TimestampMicrosecondArray::from_iter(times).with_timezone("UTC");
        let batch = RecordBatch::try_from_iter_with_nullable([("at", Arc::new(times) as _, true)]);
        let changes = Changes::records(batch.expect("one column"));
        let mut refused = BTreeMap::new();
        let rows = admitted(&changes, window, watermark, &mut refused);
        let rows = rows.as_ref().and_then(Changes::batch);
        (
            rows.map_or(0, RecordBatch::num_rows),
            refused.into_iter().collect(),
        )
    }

    /// A row is admitted or counted, and those without a time are always admitted.
    #[test]
    fn records_that_are_left_out_are_counted_by_their_window() {
        let windows = |counts| Admitted {
            step_us: 5,
            end_us: 5,
            counts,
            ..Admitted::on_time(0)
        };
        let by_window = windows(CountsLate::ByWindow { size_us: 5 });
        assert_eq!(refused(by_window, 4), (5, vec![]));
        assert_eq!(refused(by_window, 5), (3, vec![(Some(0), 2)]));
        let both = vec![(Some(0), 2), (Some(5), 1)];
        assert_eq!(refused(by_window, 10), (2, both));
        assert_eq!(refused(windows(CountsLate::Not), 10), (2, vec![]));
        let on_time = Admitted::on_time(0);
        assert_eq!(refused(on_time, 10), (2, vec![(None, 3)]));
        // The watermark has reached 9, and not passed it.
        assert_eq!(refused(on_time, 9), (3, vec![(None, 2)]));
        assert_eq!(refused(on_time, 1), (5, vec![]));
    }

    /// Whatever is read again from the archive goes by the mark that a record has there.
    #[test]
    fn a_record_is_on_time_exactly_if_the_archive_does_not_mark_it() {
        let on_time = Admitted::on_time(0);
        for (time, watermark) in [(8, 9), (9, 9), (10, 9), (-1, -1), (i64::MIN, i64::MIN)] {
            let times = TimestampMicrosecondArray::from(vec![time]);
            let is_marked = crate::model::late_marks(&times, watermark).is_valid(0);
            assert_eq!(
                watermark < on_time.end(time),
                !is_marked,
                "{time} {watermark}"
            );
        }
    }
}

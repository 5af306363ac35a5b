//! Partial groups: what a worker took in of each group in an epoch, which is all that crosses to the worker the group lies on.

use super::{ChangeStream, RunEpochs};
use crate::engine::accumulate::{Accumulator, Partial};
use crate::engine::grouping::{Grouper, Groups};
use crate::model::Row;
use crate::plan::{Aggregation, Pass};
use std::collections::BTreeMap;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// Partial groups with their epoch.
pub(in crate::engine) type PartialStream<'s> = StreamVec<'s, u64, (u64, Partial)>;

/// What an aggregation begins with at the first start of all: without keys the one row it has even without records. That one is taken in and
/// stored like any other.
pub(in crate::engine) fn initial(aggregation: &Aggregation, has_first_row: bool) -> Vec<Partial> {
    if !aggregation.keys.is_empty() || !has_first_row {
        return Vec::new();
    }
    let accumulator = Accumulator {
        records: 1,
        ..Accumulator::empty(&aggregation.aggregates)
    };
    vec![Partial {
        key: Row::default(),
        bucket: i64::MAX,
        accumulator,
        members: Vec::new(),
    }]
}

/// One partial per group, worker and epoch, for each aggregation of a pass; before them what each begins with.
pub(in crate::engine) fn partials<'s>(
    input: ChangeStream<'s>,
    pass: &Pass,
    epochs: &RunEpochs,
    initial: Vec<Vec<Partial>>,
) -> Vec<PartialStream<'s>> {
    type Builder = CapacityContainerBuilder<Vec<(u64, Partial)>>;
    let (boot, first) = (epochs.boot, epochs.first());
    let mut grouper = Grouper::new(pass);
    let mut builder = OperatorBuilder::new("Partial".to_owned(), input.scope());
    let mut input = builder.new_input(input, Pipeline);
    let (outputs, streams): (Vec<_>, Vec<_>) = pass
        .aggregations
        .iter()
        .map(|_| builder.new_output::<Vec<(u64, Partial)>>())
        .unzip();
    let mut outputs: Vec<OutputBuilder<_, Builder>> =
        outputs.into_iter().map(OutputBuilder::from).collect();
    let streams_count = streams.len();
    builder.build(move |capabilities| {
        let capabilities = capabilities.into_iter().map(|it| it.delayed(&first));
        let mut initial: Vec<(Capability<u64>, Vec<Partial>)> = capabilities.zip(initial).collect();
        let mut open: BTreeMap<u64, (Vec<Capability<u64>>, Groups)> = BTreeMap::new();
        move |frontiers| {
            let mut give =
                |time: u64, at: usize, capability: &Capability<u64>, all: Vec<Partial>| {
                    outputs[at]
                        .activate()
                        .session(capability)
                        .give_iterator(all.into_iter().map(|it| (time, it)));
                };
            for (at, (capability, partials)) in initial.drain(..).enumerate() {
                give(first, at, &capability, partials);
            }
            input.for_each(|capability, changes| {
                let Some(time) = capability.least().copied() else {
                    return;
                };
                let changes = std::mem::take(changes);
                if time <= boot {
                    return; // computed again below restored state that already has it
                }
                let (_, groups) = open.entry(time).or_insert_with(|| {
                    let outputs = 0..streams_count;
                    let capabilities = outputs.map(|it| capability.delayed(&time, it));
                    (capabilities.collect(), grouper.open())
                });
                grouper.add(groups, &changes);
            });
            while let Some(entry) = open.first_entry() {
                let time = *entry.key();
                if frontiers[0].less_equal(&time) {
                    break;
                }
                let (capabilities, groups) = entry.remove();
                let partials = grouper.close(groups).into_iter();
                for (at, (capability, partials)) in capabilities.iter().zip(partials).enumerate() {
                    give(time, at, capability, partials);
                }
            }
        }
    });
    streams
}

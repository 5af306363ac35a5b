//! Operators that change their rows with what comes, and as a clock goes on.
//!
//! What is due at a time happens at the first epoch at which the clock has reached it: so it does not depend on which epochs a worker happened to see.

use super::keyed::first_open;
use super::{ClockStream, RunEpochs, Shared};
use crate::engine::costs::Keeps;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::Operator;

/// What an operator keeps on one worker.
pub(super) trait ByClock: Keeps + 'static {
    type Update: ExchangeData;
    type Change: ExchangeData;

    /// Whether what is due at an epoch happens before what comes with it. Otherwise it happens behind that.
    const CLOCK_FIRST: bool;

    /// Lets happen what is due at every epoch up to this one, whose clock is known.
    fn pass(&mut self, last: u64);

    /// Takes in what came with an epoch.
    fn take_in(&mut self, epoch: u64, updates: Vec<Self::Update>);

    /// Takes out what has changed since, by epoch.
    fn changes(&mut self) -> BTreeMap<u64, Vec<Self::Change>>;
}

/// The changes of an operator whose updates go where `place` sends them. The frontier of `ticks` says up to where the clock is known.
pub(super) fn by_clock<'s, O: ByClock>(
    updates: StreamVec<'s, u64, O::Update>,
    place: impl Fn(&O::Update) -> u64 + 'static,
    ticks: ClockStream<'s>,
    epochs: &RunEpochs,
    name: &str,
    shared: &Rc<RefCell<Shared>>,
    operator: O,
) -> StreamVec<'s, u64, O::Change> {
    let control = Arc::clone(&epochs.control);
    let operator = shared.borrow_mut().owners.keep(operator);
    updates.binary_frontier::<_, CapacityContainerBuilder<Vec<O::Change>>, _, _, _, _>(
        ticks,
        Exchange::new(place),
        Pipeline,
        name,
        move |capability, _| {
            let mut held = Some(capability);
            let mut open: BTreeMap<u64, Vec<O::Update>> = BTreeMap::new();
            move |(input, frontier), (ticks, known), output| {
                let mut operator = operator.borrow_mut();
                ticks.for_each(|_, _| {});
                input.for_each(|capability, updates| {
                    if let Some(epoch) = capability.least().copied() {
                        open.entry(epoch).or_default().append(updates);
                    }
                });
                let Some(capability) = held.as_mut() else {
                    return;
                };
                let upto = first_open(frontier).min(first_open(known));
                while let Some(entry) = open.first_entry() {
                    let epoch = *entry.key();
                    if upto <= epoch {
                        break;
                    }
                    let updates = entry.remove();
                    operator.pass(before::<O>(epoch));
                    operator.take_in(epoch, updates);
                }
                let last = match upto {
                    u64::MAX => control.last().map(|it| it.0),
                    upto => Some(before::<O>(upto)),
                };
                if let Some(last) = last {
                    operator.pass(last);
                }
                for (epoch, changes) in operator.changes() {
                    let capability = capability.delayed(&epoch);
                    output
                        .session(&capability)
                        .give_iterator(changes.into_iter());
                }
                if upto == u64::MAX {
                    held = None;
                } else if *capability.time() < upto {
                    capability.downgrade(&upto);
                }
            }
        },
    )
}

/// The last time at which something is due before what comes with an epoch.
fn before<O: ByClock>(epoch: u64) -> u64 {
    match O::CLOCK_FIRST {
        true => epoch,
        false => epoch.saturating_sub(1),
    }
}

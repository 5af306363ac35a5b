//! Temporal filters: rows that are there as long as `now()` is within the bounds that each of them tells; and rows that come when the watermark closes their
//! window, which are there from then on.
//!
//! A row waits until `now()` has reached its lower bound, comes, and is taken back when its upper bound is reached, each at the first epoch at which
//! that is so. Rows that wait and rows that are there are stored apart, so that a restart has exactly those that were there at its commit,
//! wherever the clock stands by then.

use super::by_clock::{ByClock, by_clock};
use super::{ChangeStream, ClockStream, Due, RunEpochs, Shared};
use crate::engine::PackedRow;
use crate::engine::changes::Changes;
use crate::engine::costs::Keeps;
use crate::engine::encoded::{Bytes, Encoder};
use crate::engine::gate::Gate;
use crate::model::Held;
use crate::model::held::{allocated, of_tree};
use crate::plan::{Temporal, TemporalBound, Timescale, nullable};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use differential_dataflow::Hashable;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

/// Rows that leave at a time.
const ROWS_AT_ONCE: usize = 8192;

/// The names under which rows that are there, and rows that wait, are stored.
pub fn temporal_state_names(temporal: &Temporal) -> [String; 2] {
    ["there", "waiting"].map(|it| format!("{}-{it}", temporal.id))
}

/// A row with its bounds.
type Timed = (Bytes, (i64, i64));

/// A change of a row, and what it was in stored state, if it comes from there.
type Update = (Timed, isize, Option<Stored>);

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stored {
    There,
    Waiting,
}

/// Rows while they are there, as changes.
pub(in crate::engine) fn temporal<'s>(
    input: ChangeStream<'s>,
    schema: &SchemaRef,
    temporal: &Arc<Temporal>,
    restored: [Vec<PackedRow>; 2],
    (gate, ticks): (Gate, ClockStream<'s>),
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let schema = nullable(schema);
    let encoder = Encoder::new(&schema);
    let bounds = temporal.bounds.clone();
    let boot = epochs.boot;
    let [there, waiting] = restored;
    type Builder = CapacityContainerBuilder<Vec<Update>>;
    let updates = input.unary::<Builder, _, _, _>(Pipeline, "Timed", move |capability, _| {
        let mut initial = Some((capability.delayed(&boot), there, waiting));
        move |input, output| {
            let timed = |batch: &RecordBatch| -> Vec<Option<Timed>> {
                let spans = spans(batch, &bounds);
                let rows = encoder.encode(batch.columns(), batch.num_rows());
                let timed = rows.into_iter().zip(spans);
                timed.map(|(row, span)| Some((row, span?))).collect()
            };
            if let Some((capability, there, waiting)) = initial.take() {
                for (rows, stored) in [(there, Stored::There), (waiting, Stored::Waiting)] {
                    let batch = encoder.batch(rows.iter().map(|it| it.bytes.as_slice()));
                    let timed = timed(&batch).into_iter().zip(rows);
                    let updates =
                        timed.filter_map(|(it, row)| Some((it?, row.diff as isize, Some(stored))));
                    output.session(&capability).give_iterator(updates);
                }
            }
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                let epoch = capability.least().copied().filter(|it| boot < *it);
                let (Some(epoch), Some(batch)) = (epoch, changes.batch()) else {
                    return;
                };
                let diff = |at: usize| changes.diffs().map_or(1, |it| it[at] as isize);
                let updates = timed(batch).into_iter().enumerate();
                let updates = updates.filter_map(|(at, it)| Some((it?, diff(at), None)));
                let capability = capability.delayed(&epoch, 0);
                output.session(&capability).give_iterator(updates);
            });
        }
    });
    let timescale = temporal.time;
    let rows = Rows {
        names: temporal_state_names(temporal).map(Arc::from),
        keeps: temporal.keeps,
        boot,
        shared: Rc::clone(shared),
        there: Timeline::default(),
        waiting: Timeline::default(),
        due: Due::new(epochs),
        clock: Box::new(move |epoch| match timescale {
            Timescale::Now => gate.now(epoch),
            Timescale::Watermark => gate.closed(epoch),
        }),
        changes: BTreeMap::new(),
    };
    let place = |it: &Update| it.0.0.hashed();
    let changes = by_clock(updates, place, ticks, epochs, "Temporal", shared, rows);
    let decoder = Encoder::new(&schema);
    changes.unary::<CapacityContainerBuilder<Changes>, _, _, _>(Pipeline, "Rows", move |_, _| {
        move |input, output| {
            input.for_each(|capability, changes| {
                for changes in changes.chunks(ROWS_AT_ONCE) {
                    let batch = decoder.batch(changes.iter().map(|it| it.0.as_slice()));
                    let diffs: Vec<i64> = changes.iter().map(|it| it.1 as i64).collect();
                    let mut changes = Changes::signed(batch, diffs);
                    output.session(&capability).give_container(&mut changes);
                }
            });
        }
    })
}

/// From when and until when each row is there; none for a row without one of its times.
fn spans(batch: &RecordBatch, bounds: &[TemporalBound]) -> Vec<Option<(i64, i64)>> {
    let mut spans = vec![Some((i64::MIN, i64::MAX)); batch.num_rows()];
    for bound in bounds {
        let times = batch.column(bound.time);
        let times = times.as_primitive::<TimestampMicrosecondType>();
        for (span, time) in spans.iter_mut().zip(times.iter()) {
            *span = span.zip(time).map(|((from, until), time)| {
                let (first, end) = bound.kind.span(time);
                (from.max(first), until.min(end))
            });
        }
    }
    spans
}

/// Rows by a time at which something becomes of them, each with its bounds and how often it is there.
#[derive(Default)]
struct Timeline {
    by_time: BTreeMap<i64, HashMap<Timed, isize, FixedState>>,
    /// All rows, and what their tables and bytes take.
    held: Held,
}

impl Timeline {
    fn add(&mut self, time_us: i64, row: Timed, diff: isize) {
        let rows = self.by_time.entry(time_us).or_default();
        let of_row = Held::row(allocated(row.0.len()));
        self.held -= of_table(rows);
        match rows.entry(row) {
            Entry::Vacant(entry) => {
                entry.insert(diff);
                self.held += of_row;
            }
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += diff;
                if *entry.get() == 0 {
                    entry.remove();
                    self.held -= of_row;
                }
            }
        }
        self.held += of_table(rows);
        if rows.is_empty() {
            self.held -= of_table(rows);
            self.by_time.remove(&time_us);
        }
    }

    fn first(&self) -> Option<i64> {
        self.by_time.first_key_value().map(|it| *it.0)
    }

    /// Takes out what is due.
    fn take(&mut self, now_us: i64) -> Vec<(Timed, isize)> {
        let mut due = Vec::new();
        while let Some(entry) = self.by_time.first_entry()
            && *entry.key() <= now_us
        {
            let rows = entry.remove();
            self.held -= of_table(&rows);
            let gone = rows.keys().map(|it| Held::row(allocated(it.0.len())));
            self.held -= gone.sum();
            due.extend(rows);
        }
        due
    }

    fn held(&self) -> Held {
        let times = self.by_time.len();
        self.held + Held::bytes(of_tree::<i64, HashMap<Timed, isize, FixedState>>(times))
    }
}

fn of_table(rows: &HashMap<Timed, isize, FixedState>) -> Held {
    Held::bytes(allocated(rows.allocation_size()))
}

impl Keeps for Rows {
    fn held(&mut self) -> Held {
        self.there.held() + self.waiting.held()
    }
}

/// The rows of one worker.
struct Rows {
    /// Of their stored state.
    names: [Arc<str>; 2],
    keeps: bool,
    boot: u64,
    shared: Rc<RefCell<Shared>>,
    /// By when they are taken back.
    there: Timeline,
    /// By when they come.
    waiting: Timeline,
    due: Due,
    clock: Box<dyn Fn(u64) -> i64>,
    changes: BTreeMap<u64, Vec<(Bytes, isize)>>,
}

impl ByClock for Rows {
    type Update = Update;
    type Change = (Bytes, isize);

    const CLOCK_FIRST: bool = true;

    /// Lets rows come and go.
    fn pass(&mut self, last: u64) {
        loop {
            let next = self.waiting.first().into_iter().chain(self.there.first());
            // What never ends is never due.
            let next = next.min().filter(|it| *it != i64::MAX);
            let Some(epoch) = self.due.by(last, next, &self.clock) else {
                return;
            };
            let now_us = (self.clock)(epoch);
            for (row, diff) in self.waiting.take(now_us) {
                self.store(epoch, Stored::Waiting, &row.0, -diff);
                self.come(epoch, row, diff, now_us);
            }
            for (row, diff) in self.there.take(now_us) {
                self.store(epoch, Stored::There, &row.0, -diff);
                self.change(epoch, row.0, -diff);
            }
        }
    }

    fn take_in(&mut self, epoch: u64, updates: Vec<Update>) {
        let now_us = (self.clock)(epoch);
        for (row, diff, stored) in updates {
            match stored {
                Some(Stored::There) => {
                    self.change(epoch, row.0.clone(), diff);
                    self.there.add(row.1.1, row, diff);
                }
                Some(Stored::Waiting) => self.waiting.add(row.1.0, row, diff),
                None if now_us < row.1.0 => {
                    self.store(epoch, Stored::Waiting, &row.0, diff);
                    self.waiting.add(row.1.0, row, diff);
                }
                None => self.come(epoch, row, diff, now_us),
            }
        }
    }

    fn changes(&mut self) -> BTreeMap<u64, Vec<Self::Change>> {
        std::mem::take(&mut self.changes)
    }
}

impl Rows {
    /// A row whose lower bound is reached.
    fn come(&mut self, epoch: u64, row: Timed, diff: isize, now_us: i64) {
        let (bytes, (_, until)) = &row;
        if *until <= now_us {
            return;
        }
        self.change(epoch, bytes.clone(), diff);
        if self.keeps {
            self.store(epoch, Stored::There, bytes, diff);
            self.there.add(*until, row, diff);
        }
    }

    fn change(&mut self, epoch: u64, row: Bytes, diff: isize) {
        self.changes.entry(epoch).or_default().push((row, diff));
    }

    fn store(&self, epoch: u64, stored: Stored, row: &Bytes, diff: isize) {
        if epoch <= self.boot {
            return;
        }
        let [there, waiting] = &self.names;
        let operator = match stored {
            Stored::There => there,
            Stored::Waiting => waiting,
        };
        let mut shared = self.shared.borrow_mut();
        shared.capture_packed(epoch, operator, row, None, diff as i64);
    }
}

#[cfg(test)]
mod tests;

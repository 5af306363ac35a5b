//! Incidents: what anomalies of a key and metric are together, kept up to date.
//!
//! Windows that are not quiet are kept, and stored, until the incident that they are part of is over. What changes one, or the clock, has the incidents of its key and metric made anew from them.

use super::by_clock::{ByClock, by_clock};
use super::detect::as_changes;
use super::{ChangeStream, ClockStream, Due, RunEpochs, Shared};
use crate::engine::StateContent;
use crate::engine::costs::Keeps;
use crate::engine::gate::Gate;
use crate::model::held::{of_row, of_tree};
use crate::model::{Held, Row};
use crate::plan::IncidentSpec;
use arrow::datatypes::SchemaRef;
use differential_dataflow::Hashable;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

/// Key and metric; a row of the detector, how often it came, and whether it was restored.
type Update = (Row, (Row, i64, bool));

/// The rows of incidents as changes. `restored` is stored state, and up to when windows were closed at its commit.
pub(in crate::engine) fn incidents<'s>(
    input: ChangeStream<'s>,
    (restored, restored_us): (Vec<(Row, i64)>, i64),
    spec: &Arc<IncidentSpec>,
    schema: &SchemaRef,
    (gate, ticks): (Gate, ClockStream<'s>),
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let boot = epochs.boot;
    let of_subject = Arc::clone(spec);
    type Builder = CapacityContainerBuilder<Vec<Update>>;
    let updates = input.unary::<Builder, _, _, _>(Pipeline, "Alarms", move |capability, _| {
        let mut initial = Some((capability.delayed(&boot), restored));
        move |input, output| {
            if let Some((capability, restored)) = initial.take() {
                let rows = restored.into_iter();
                let rows = rows.map(|(row, diff)| (of_subject.subject(&row), (row, diff, true)));
                output.session(&capability).give_iterator(rows);
            }
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                let epoch = capability.least().copied().filter(|it| boot < *it);
                let Some(epoch) = epoch else { return };
                let rows = changes.rows().filter_map(|(row, diff)| {
                    let subject = of_subject.alarm(&row).map(|_| of_subject.subject(&row));
                    Some((subject?, (row, diff, false)))
                });
                let capability = capability.delayed(&epoch, 0);
                output.session(&capability).give_iterator(rows);
            });
        }
    });
    let subjects = Subjects {
        id: spec.id.as_str().into(),
        spec: Arc::clone(spec),
        boot,
        shared: Rc::clone(shared),
        gate,
        restored_us,
        due: Due::new(epochs),
        subjects: BTreeMap::new(),
        held: Held::default(),
        waiting: BTreeSet::new(),
        changes: BTreeMap::new(),
    };
    let place = |it: &Update| it.0.hashed();
    let rows = by_clock(updates, place, ticks, epochs, "Incidents", shared, subjects);
    as_changes(rows, schema)
}

/// Keys and metrics of one worker that are not quiet.
struct Subjects {
    /// The name under which its state is stored.
    id: Arc<str>,
    spec: Arc<IncidentSpec>,
    boot: u64,
    shared: Rc<RefCell<Shared>>,
    gate: Gate,
    restored_us: i64,
    due: Due,
    subjects: BTreeMap<Row, Subject>,
    /// Rows of all subjects, and what they take.
    held: Held,
    /// When something becomes of them by the clock alone.
    waiting: BTreeSet<(i64, Row)>,
    changes: BTreeMap<u64, Vec<(Row, i64)>>,
}

#[derive(Default)]
struct Subject {
    /// Windows that are not quiet.
    rows: BTreeMap<i64, Row>,
    /// Their incidents, as they were told.
    told: BTreeSet<Row>,
    waits_for: Option<i64>,
    /// What it holds, as it was last counted.
    held: Held,
}

impl Subject {
    fn count(&self, subject: &Row) -> Held {
        let rows = self.rows.values().map(|it| Held::row(of_row(it)));
        let told: usize = self.told.iter().map(of_row).sum();
        let tables = of_tree::<i64, Row>(self.rows.len()) + of_tree::<Row, ()>(self.told.len());
        rows.sum::<Held>() + Held::bytes(told + tables + of_row(subject))
    }
}

impl Keeps for Subjects {
    fn held(&mut self) -> Held {
        let tables = of_tree::<Row, Subject>(self.subjects.len())
            + of_tree::<(i64, Row), ()>(self.waiting.len());
        self.held + Held::bytes(tables)
    }
}

impl ByClock for Subjects {
    type Update = Update;
    type Change = (Row, i64);

    /// Windows may be judged at the very epoch that closes them.
    const CLOCK_FIRST: bool = false;

    fn pass(&mut self, last: u64) {
        loop {
            let next = self.waiting.first().map(|it| it.0);
            let gate = &self.gate;
            let Some(epoch) = self.due.by(last, next, |it| gate.closed(it)) else {
                return;
            };
            let now_us = self.gate.closed(epoch);
            while self.waiting.first().is_some_and(|it| it.0 <= now_us)
                && let Some((_, subject)) = self.waiting.pop_first()
            {
                if let Some(it) = self.subjects.get_mut(&subject) {
                    it.waits_for = None;
                }
                self.make(&subject, epoch, now_us);
            }
        }
    }

    fn take_in(&mut self, epoch: u64, updates: Vec<Update>) {
        let mut touched = BTreeSet::new();
        let mut counts: BTreeMap<(Row, Row), i64> = BTreeMap::new();
        for (subject, (row, diff, is_restored)) in updates {
            if !is_restored {
                self.store(epoch, &row, diff);
            }
            *counts.entry((subject, row)).or_default() += diff;
        }
        counts.retain(|_, diff| *diff != 0);
        // A row takes the place of the one before.
        let (gone, came): (Vec<_>, Vec<_>) = counts.into_iter().partition(|it| it.1 < 0);
        for ((subject, row), diff) in gone.into_iter().chain(came) {
            let Some(alarm) = self.spec.alarm(&row) else {
                continue;
            };
            let known = self.subjects.entry(subject.clone()).or_default();
            match diff < 0 {
                true => known.rows.remove(&alarm.window),
                false => known.rows.insert(alarm.window, row),
            };
            touched.insert(subject);
        }
        let now_us = match epoch <= self.boot {
            true => self.restored_us,
            false => self.gate.closed(epoch),
        };
        for subject in touched {
            self.make(&subject, epoch, now_us);
        }
    }

    fn changes(&mut self) -> BTreeMap<u64, Vec<(Row, i64)>> {
        std::mem::take(&mut self.changes)
    }
}

impl Subjects {
    /// Makes the incidents of a subject from its rows, and lets go what is over.
    fn make(&mut self, subject: &Row, epoch: u64, now_us: i64) {
        let Some(mut it) = self.subjects.remove(subject) else {
            return;
        };
        self.held -= it.held;
        let incidents = self.spec.incidents(subject, &it.rows, now_us);
        let told: BTreeSet<Row> = incidents.iter().map(|it| it.row.clone()).collect();
        let changes = self.changes.entry(epoch).or_default();
        changes.extend(it.told.difference(&told).map(|row| (row.clone(), -1)));
        changes.extend(told.difference(&it.told).map(|row| (row.clone(), 1)));
        if changes.is_empty() {
            self.changes.remove(&epoch);
        }
        // What is over, and windows that opened nothing, are not looked at again.
        let through = self.spec.closed_through(now_us);
        let open = incidents.iter().filter(|it| !it.is_closed);
        let keeps_from = open.map(|it| it.incident.first).min();
        let keeps_from = keeps_from
            .unwrap_or(i64::MAX)
            .min(through.saturating_add(1));
        let kept = it.rows.split_off(&keeps_from);
        for row in std::mem::replace(&mut it.rows, kept).into_values() {
            self.store(epoch, &row, -1);
        }
        let open = incidents.iter().filter(|it| !it.is_closed);
        it.told = open.map(|it| it.row.clone()).collect();
        let changes_at = incidents
            .iter()
            .filter_map(|it| self.spec.changes_at(it, now_us));
        let of_rows = it.rows.keys().map(|at| self.spec.grid.end(*at));
        let next = changes_at.chain(of_rows).filter(|it| now_us < *it).min();
        if let Some(before) = it.waits_for.take() {
            self.waiting.remove(&(before, subject.clone()));
        }
        if let Some(next) = next {
            self.waiting.insert((next, subject.clone()));
            it.waits_for = Some(next);
        }
        if !it.rows.is_empty() {
            it.held = it.count(subject);
            self.held += it.held;
            self.subjects.insert(subject.clone(), it);
        }
    }

    fn store(&self, epoch: u64, row: &Row, diff: i64) {
        if self.boot < epoch {
            let content = StateContent::Row(row.clone(), diff);
            self.shared.borrow_mut().capture(epoch, &self.id, content);
        }
    }
}

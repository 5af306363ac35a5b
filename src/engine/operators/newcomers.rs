//! Keys that are new, given all keys: what `detect::newcomers` says of each window, kept up to date.
//!
//! ```text
//!                 count the worker's keys                exchange to one worker
//! judged windows ────────────────────────► of a window ────────────────────────► fold over windows ─► rows
//! ```
//!
//! What all keys brought in a window is small, so it is stored as it changes; so is, after every [`BLOCK`] windows, what is known behind the last closed one, instead of these. That is all that is needed at a restart.

use super::by_clock::{ByClock, by_clock};
use super::detect::{BLOCK, Change};
use super::{ClockStream, RunEpochs, Shared};
use crate::detect::newcomers::{Arrivals, Newcomers, Rule};
use crate::engine::StateContent;
use crate::engine::costs::Keeps;
use crate::engine::gate::Gate;
use crate::model::held::{of_row, of_tree, of_vec};
use crate::model::{Held, Row, Value, sum_counts};
use crate::plan::Detection;
use differential_dataflow::Hashable;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

/// The name under which it is stored.
pub(super) fn state_name(detection: &Detection) -> String {
    format!("{}-new", detection.id)
}

/// What comes to the worker that has the newcomers of a detector.
#[derive(Clone, Serialize, Deserialize)]
enum Update {
    /// What some keys brought in a window.
    Came(i64, Arrivals<Row>),
    /// A row that was stored: a window, or (without its number) what is known.
    Stored(Row),
}

/// The rows of newcomers with their diffs, from what is judged of all keys. `restored` is what one worker had stored.
pub(super) fn newcomers<'s>(
    judged: StreamVec<'s, u64, Change>,
    mut restored: Vec<(Row, i64)>,
    (detection, rule): (&Arc<Detection>, Rule),
    (gate, ticks): (Gate, ClockStream<'s>),
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> StreamVec<'s, u64, (Row, i64)> {
    type Builder = CapacityContainerBuilder<Vec<Update>>;
    let boot = epochs.boot;
    // What was stored before has been taken back.
    sum_counts(&mut restored);
    let keys = detection.keys.len();
    let updates = judged.unary::<Builder, _, _, _>(Pipeline, "Arrivals", move |capability, _| {
        let mut initial = Some((capability.delayed(&boot), restored));
        move |input, output| {
            if let Some((capability, restored)) = initial.take() {
                let rows = restored.into_iter().map(|it| Update::Stored(it.0));
                output.session(&capability).give_iterator(rows);
            }
            input.for_each(|capability, changes| {
                // What is said again at a restart is stored.
                let epoch = capability.least().copied().filter(|it| boot < *it);
                let Some(epoch) = epoch else { return };
                let mut windows: BTreeMap<i64, Arrivals<Row>> = BTreeMap::new();
                for it in changes.iter() {
                    let Some(came) = it.came else { continue };
                    let key = || Row(it.row.0[..keys].to_vec().into());
                    let of_window = windows.entry(it.window).or_default();
                    of_window.add(&rule, it.window, key, came, it.diff);
                }
                let capability = capability.delayed(&epoch, 0);
                let updates = windows.into_iter().filter(|it| !it.1.is_empty());
                let updates = updates.map(|(window, it)| Update::Came(window, it));
                output.session(&capability).give_iterator(updates);
            });
        }
    });
    let of_all = OfAllKeys {
        name: state_name(detection).into(),
        detection: Arc::clone(detection),
        rule,
        boot,
        tick_ms: epochs.tick_ms,
        shared: Rc::clone(shared),
        gate,
        closing: VecDeque::new(),
        next: i64::MIN,
        known: Newcomers::default(),
        windows: BTreeMap::new(),
        told: BTreeMap::new(),
        stored: None,
        stored_next: i64::MIN,
        since: Vec::new(),
        changes: BTreeMap::new(),
    };
    let place = detection.id.hashed();
    by_clock(
        updates,
        move |_| place,
        ticks,
        epochs,
        "Newcomers",
        shared,
        of_all,
    )
}

/// The windows of all keys of a detector.
struct OfAllKeys {
    /// Of its stored state.
    name: Arc<str>,
    detection: Arc<Detection>,
    rule: Rule,
    boot: u64,
    tick_ms: u64,
    shared: Rc<RefCell<Shared>>,
    gate: Gate,
    /// Up to which window all are closed at an epoch, of epochs that have not settled.
    closing: VecDeque<(u64, i64)>,
    /// What is known behind the last window that is closed: the one before `next`.
    next: i64,
    known: Newcomers<Row>,
    windows: BTreeMap<i64, OfWindow>,
    /// What was said of them.
    told: BTreeMap<i64, Vec<Row>>,
    /// What is stored as known, and the windows closed since then.
    stored: Option<Row>,
    stored_next: i64,
    since: Vec<Row>,
    changes: BTreeMap<u64, Vec<(Row, i64)>>,
}

#[derive(Default)]
struct OfWindow {
    arrivals: Arrivals<Row>,
    /// As it is stored.
    row: Option<Row>,
}

/// Rows that are stored, and as much for what they were made of.
impl Keeps for OfAllKeys {
    fn held(&mut self) -> Held {
        let rows = self.windows.values().filter_map(|it| it.row.as_ref());
        let rows = rows.chain(&self.stored).map(|it| 2 * of_row(it));
        let told = self.told.values().flatten().map(of_row);
        let since = self.since.iter().map(of_row);
        let tables = of_tree::<i64, OfWindow>(self.windows.len())
            + of_tree::<i64, Vec<Row>>(self.told.len())
            + of_vec::<Row>(self.since.capacity());
        Held::bytes(rows.chain(told).chain(since).sum::<usize>() + tables)
    }
}

impl ByClock for OfAllKeys {
    type Update = Update;
    type Change = (Row, i64);

    /// Windows may be judged at the very epoch that closes them.
    const CLOCK_FIRST: bool = false;

    fn pass(&mut self, last: u64) {
        if last <= self.boot {
            return;
        }
        let closed = self.gate.watermark(last);
        let judged = self.detection.judged_through(self.gate.closed(last));
        let closed = self.detection.grid.of_end(closed).min(judged);
        if self.closing.back().is_none_or(|it| it.1 < closed) {
            self.closing.push_back((last, closed));
        }
        // Keys are looked at once a tick: two ticks later all have said what they say of a closed window.
        let settled = last.saturating_sub(2 * self.tick_ms);
        let mut through = None;
        while let Some((epoch, closed)) = self.closing.front().copied()
            && epoch <= settled
        {
            through = Some(closed);
            self.closing.pop_front();
        }
        if let Some(through) = through {
            self.close(last, through);
        }
    }

    fn take_in(&mut self, epoch: u64, updates: Vec<Update>) {
        let mut changed: BTreeMap<i64, Arrivals<Row>> = BTreeMap::new();
        for update in updates {
            match update {
                Update::Stored(row) => self.restore(row),
                Update::Came(window, arrivals) => {
                    assert!(
                        self.next <= window,
                        "window {window} of {} has changed, and those before {} are closed",
                        self.name,
                        self.next
                    );
                    changed.entry(window).or_default().merge(arrivals);
                }
            }
        }
        let is_changed = !changed.is_empty();
        for (window, arrivals) in changed {
            let mut it = self.windows.remove(&window).unwrap_or_default();
            it.arrivals.merge(arrivals);
            if let Some(before) = it.row.take() {
                self.store(epoch, &before, -1);
            }
            if it.arrivals.is_empty() {
                continue;
            }
            let bytes = postcard::to_stdvec(&it.arrivals).expect("a window can be written");
            let row = Row([Value::Int(window), Value::Bytes(bytes.into())].into());
            self.store(epoch, &row, 1);
            it.row = Some(row);
            self.windows.insert(window, it);
        }
        if epoch <= self.boot {
            self.tell_restored(epoch);
        } else if is_changed {
            self.tell(epoch);
        }
    }

    fn changes(&mut self) -> BTreeMap<u64, Vec<(Row, i64)>> {
        std::mem::take(&mut self.changes)
    }
}

impl OfAllKeys {
    /// What is said of windows that are not closed.
    fn say(&self) -> BTreeMap<i64, Vec<Row>> {
        let mut known = self.known.clone();
        let windows = self.windows.iter();
        let said = windows.map(|(window, it)| {
            let told = known.step(&self.rule, *window, &it.arrivals);
            let rows = told.iter();
            let rows = rows.map(|(key, it)| self.detection.newcomer(key, *window, it, &self.rule));
            (*window, rows.collect::<Vec<Row>>())
        });
        said.filter(|it| !it.1.is_empty()).collect()
    }

    /// Hands over what was said at the commit that is restored: of windows that are closed since, nothing is said again.
    fn tell_restored(&mut self, epoch: u64) {
        let watermark = self.gate.watermark(self.boot + 1);
        let closed = self.detection.grid.of_end(watermark);
        self.told = self.say();
        let open = self.told.range(closed.saturating_add(1)..);
        let rows = open.flat_map(|it| it.1).map(|it| (it.clone(), 1));
        let rows: Vec<(Row, i64)> = rows.collect();
        if !rows.is_empty() {
            self.changes.insert(epoch, rows);
        }
    }

    /// Hands over in what that differs from before.
    fn tell(&mut self, epoch: u64) {
        let said = self.say();
        let before = std::mem::take(&mut self.told);
        let none = Vec::new();
        let changes = self.changes.entry(epoch).or_default();
        let mut differ = |of: &BTreeMap<i64, Vec<Row>>, from: &BTreeMap<i64, Vec<Row>>, diff| {
            for (window, rows) in of {
                let others = from.get(window).unwrap_or(&none);
                let rows = rows.iter().filter(|it| !others.contains(it));
                changes.extend(rows.map(|it| (it.clone(), diff)));
            }
        };
        differ(&before, &said, -1);
        differ(&said, &before, 1);
        if changes.is_empty() {
            self.changes.remove(&epoch);
        }
        self.told = said;
    }

    /// Lets windows go that are closed; what is known behind them is stored from time to time.
    fn close(&mut self, epoch: u64, through: i64) {
        let next = through.saturating_add(1);
        if next <= self.next {
            return;
        }
        self.next = next;
        let open = self.windows.split_off(&next);
        for (window, it) in std::mem::replace(&mut self.windows, open) {
            self.known.step(&self.rule, window, &it.arrivals);
            self.since.extend(it.row);
        }
        self.told = self.told.split_off(&next);
        let block = |window: i64| window.div_euclid(BLOCK);
        if self.since.is_empty() || block(self.next) <= block(self.stored_next) {
            return;
        }
        for row in std::mem::take(&mut self.since) {
            self.store(epoch, &row, -1);
        }
        if let Some(before) = self.stored.take() {
            self.store(epoch, &before, -1);
        }
        let bytes = postcard::to_stdvec(&(self.next, &self.known));
        let bytes = bytes.expect("what is known can be written");
        let row = Row([Value::Null, Value::Bytes(bytes.into())].into());
        self.store(epoch, &row, 1);
        self.stored = Some(row);
        self.stored_next = self.next;
    }

    /// Puts back what was stored.
    fn restore(&mut self, row: Row) {
        let (number, Some(Value::Bytes(bytes))) = (&row.0[0], row.0.last()) else {
            panic!("what is stored of newcomers is bytes: {row:?}");
        };
        match number.as_i64() {
            Some(window) => {
                let arrivals = postcard::from_bytes(bytes).expect("a window can be read");
                let row = Some(row);
                self.windows.insert(window, OfWindow { arrivals, row });
            }
            None => {
                let known = postcard::from_bytes(bytes);
                (self.next, self.known) = known.expect("what is known can be read");
                self.stored_next = self.next;
                self.stored = Some(row);
            }
        }
    }

    fn store(&self, epoch: u64, row: &Row, diff: i64) {
        if self.boot < epoch {
            let content = StateContent::Row(row.clone(), diff);
            let mut shared = self.shared.borrow_mut();
            shared.capture(epoch, &self.name, content);
        }
    }
}

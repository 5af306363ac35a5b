//! Detectors: what is said of each window of each key, kept up to date.
//!
//! ```text
//!             exchange by key                               exchange by window
//! rows of a view ─────► fold of the key's windows ─ judged ─────► false discoveries ─────► rows
//!                       (`detect::windows`)            │          (`detect::discoveries`)
//!                                                      └────────► keys that are new ─────► rows
//!                                                                 (`newcomers`)
//! ```
//!
//! A window is judged when the clock has reached its end, a little before the watermark closes it if the detector says so, whether or not it has a record. A record that comes late changes its window and those behind it, so
//! the key is folded again from what is known behind the last closed window: what is closed never changes.
//!
//! Stored are, per key, what was known behind some closed window, and the rows that came since. The former is written anew after every [`BLOCK`] windows, for each key at another one, since it is much larger than a row.

use super::by_clock::{ByClock, by_clock};
use super::keyed::Input;
use super::newcomers::{newcomers, state_name};
use super::{ChangeStream, ClockStream, Due, RunEpochs, Shared};
use crate::detect::metric::Evidence;
use crate::detect::newcomers::Came;
use crate::detect::windows::{Fold, Verdict, Windows};
use crate::engine::StateContent;
use crate::engine::changes::Changes;
use crate::engine::costs::Keeps;
use crate::engine::gate::Gate;
use crate::model::held::{allocated, of_row, of_tree, of_vec};
use crate::model::{Held, Row, Value, sum_counts};
use crate::plan::{Detection, Judged, nullable};
use arrow::datatypes::SchemaRef;
use differential_dataflow::Hashable;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::Operator;

/// What is known of a key is stored anew after so many windows.
pub(super) const BLOCK: i64 = 64;
/// Rows that leave at a time.
const ROWS_AT_ONCE: usize = 8192;

/// The names under which rows, and what is known of keys, are stored.
fn state_names(detection: &Detection) -> [String; 2] {
    ["rows", "known"].map(|it| format!("{}-{it}", detection.id))
}

/// Stored state of a detector.
pub(in crate::engine) struct RestoredDetector {
    rows: Vec<(Row, i64)>,
    known: Vec<(Row, i64)>,
    newcomers: Vec<(Row, i64)>,
    /// Up to when windows were closed at the commit; none if nothing was.
    closed_us: i64,
}

impl RestoredDetector {
    /// Takes it from the state of one worker.
    pub fn of(
        detection: &Detection,
        state: &mut std::collections::HashMap<String, Vec<(Row, i64)>>,
        closed_us: i64,
    ) -> Self {
        let [rows, known] = state_names(detection);
        let mut take = |it: &str| state.remove(it).unwrap_or_default();
        let rows = take(&rows);
        let mut known = take(&known);
        let newcomers = take(&state_name(detection));
        // What was known before has been taken back.
        sum_counts(&mut known);
        RestoredDetector {
            rows,
            known,
            newcomers,
            closed_us,
        }
    }
}

/// What comes to a key.
#[derive(Clone, Serialize, Deserialize)]
enum Update {
    Row {
        row: Row,
        diff: i64,
        is_restored: bool,
    },
    /// What is known of a key, as it is stored.
    Known(Row),
}

/// A judged window of a key that came (or, below zero, went).
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Change {
    pub window: i64,
    severity: Option<f64>,
    pub came: Option<Came>,
    pub row: Row,
    pub diff: i64,
}

/// The rows of a detector as changes.
pub(in crate::engine) fn detect<'s>(
    input: Input<'s>,
    restored: RestoredDetector,
    detection: &Arc<Detection>,
    schema: &SchemaRef,
    (gate, ticks): (Gate, ClockStream<'s>),
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    type Builder = CapacityContainerBuilder<Vec<(Row, Update)>>;
    let boot = epochs.boot;
    let RestoredDetector {
        rows,
        known,
        newcomers: of_newcomers,
        closed_us,
    } = restored;
    let of_key = Arc::clone(detection);
    let updates =
        input
            .rows
            .unary::<Builder, _, _, _>(Pipeline, "Windows", move |capability, _| {
                let mut initial = Some((capability.delayed(&boot), rows, known));
                let keyed = move |(row, diff): (Row, i64), is_restored: bool| {
                    let key = of_key.keys.iter().map(|it| row.0[*it].clone()).collect();
                    let update = Update::Row {
                        row,
                        diff,
                        is_restored,
                    };
                    (Row(key), update)
                };
                move |input, output| {
                    if let Some((capability, rows, known)) = initial.take() {
                        let mut session = output.session(&capability);
                        session.give_iterator(rows.into_iter().map(|it| keyed(it, true)));
                        session.give_iterator(known.into_iter().map(|(row, _)| {
                            let key = row.0[..row.0.len() - 1].to_vec();
                            (Row(key.into()), Update::Known(row))
                        }));
                    }
                    input.for_each(|capability, changes| {
                        let changes = std::mem::take(changes);
                        let epoch = capability.least().copied().filter(|it| boot < *it);
                        let Some(epoch) = epoch else { return };
                        let capability = capability.delayed(&epoch, 0);
                        let rows = changes.rows().map(|it| keyed(it, false));
                        output.session(&capability).give_iterator(rows);
                    });
                }
            });
    let keys = Keys {
        names: state_names(detection).map(Arc::from),
        windows: detection.windows(),
        detection: Arc::clone(detection),
        boot,
        shared: Rc::clone(shared),
        gate: gate.clone(),
        restored_us: closed_us,
        due: Due::new(epochs),
        keys: HashMap::default(),
        held: Held::default(),
        waiting: BTreeMap::new(),
        changes: BTreeMap::new(),
    };
    let place = |it: &(Row, Update)| it.0.hashed();
    let judged = by_clock(
        updates,
        place,
        ticks.clone(),
        epochs,
        "Detect",
        shared,
        keys,
    );
    let discoveries = Discoveries {
        detection: Arc::clone(detection),
        gate: gate.clone(),
        windows: BTreeMap::new(),
        changes: BTreeMap::new(),
    };
    let place = |it: &Change| it.window.hashed();
    let marked = by_clock(
        judged.clone(),
        place,
        ticks.clone(),
        epochs,
        "Discoveries",
        shared,
        discoveries,
    );
    let Some(rule) = detection.newcomers() else {
        return as_changes(marked, schema);
    };
    let new = newcomers(
        judged,
        of_newcomers,
        (detection, rule),
        (gate, ticks),
        epochs,
        shared,
    );
    as_changes(marked.concat(new), schema)
}

/// Rows with their diffs as batches.
pub(super) fn as_changes<'s>(
    rows: timely::dataflow::StreamVec<'s, u64, (Row, i64)>,
    schema: &SchemaRef,
) -> ChangeStream<'s> {
    let schema = nullable(schema);
    rows.unary::<CapacityContainerBuilder<Changes>, _, _, _>(Pipeline, "Rows", move |_, _| {
        move |input, output| {
            input.for_each(|capability, rows| {
                for rows in rows.chunks(ROWS_AT_ONCE) {
                    let mut changes =
                        Changes::of_rows(&schema, rows.iter().map(|it| (&it.0, it.1)));
                    output.session(&capability).give_container(&mut changes);
                }
            });
        }
    })
}

/// The keys of one worker.
struct Keys {
    /// Of their stored state.
    names: [Arc<str>; 2],
    detection: Arc<Detection>,
    windows: Windows,
    boot: u64,
    shared: Rc<RefCell<Shared>>,
    gate: Gate,
    /// Up to when windows were closed at the commit that was restored.
    restored_us: i64,
    due: Due,
    keys: HashMap<Row, Key, FixedState>,
    /// Rows of all keys, and what is known of them, as it was counted when each was put back.
    held: Held,
    /// Keys by the window that they wait for.
    waiting: BTreeMap<i64, HashSet<Row, FixedState>>,
    changes: BTreeMap<u64, Vec<Change>>,
}

/// A window with records.
struct Observed {
    row: Row,
    evidence: Vec<Evidence>,
}

struct Key {
    /// Behind the last closed window.
    closed: Fold,
    /// Behind a window that is open, where many are: it saves folding all of them again.
    near: Option<Fold>,
    /// Those that are not closed.
    windows: BTreeMap<i64, Observed>,
    /// What was said of them.
    told: BTreeMap<i64, Vec<Judged>>,
    /// What is stored as known, and the windows closed since then.
    stored: Option<Row>,
    stored_next: i64,
    since: Vec<Row>,
    /// The window that it waits for.
    waits_for: Option<i64>,
    /// What it holds, as it was last counted.
    held: Held,
}

impl Key {
    fn new() -> Self {
        Key {
            closed: Fold::default(),
            near: None,
            windows: BTreeMap::new(),
            told: BTreeMap::new(),
            stored: None,
            stored_next: i64::MIN,
            since: Vec::new(),
            waits_for: None,
            held: Held::default(),
        }
    }

    fn fold(&self, windows: &Windows, fold: &mut Fold, through: i64, tell: impl FnMut(Verdict)) {
        if through < fold.next {
            return;
        }
        let observed = self.windows.range(fold.next..=through);
        let observed = observed.map(|(at, it)| (*at, it.evidence.as_slice()));
        windows.fold(fold, observed, through, tell);
    }
}

impl Key {
    /// Its rows, and what they, its key and what is known take. What the states of metrics point at is estimated: as many bytes as they are stored in.
    fn count(&self, key: &Row) -> Held {
        let is_stored_in = match self.stored.as_ref().and_then(|it| it.0.last()) {
            Some(Value::Bytes(bytes)) => bytes.len(),
            Some(_) | None => 0,
        };
        let of_known = |it: &Fold| {
            let known = it.known.as_ref();
            known.map_or(0, |it| it.table_bytes() + is_stored_in)
        };
        let observed = self.windows.values();
        let observed = observed.map(|it| Held {
            rows: 1,
            bytes: of_row(&it.row) + of_vec::<Evidence>(it.evidence.capacity()),
        });
        let told = self.told.values().map(|it| {
            let rows = it.iter().map(|it| of_row(&it.row)).sum::<usize>();
            Held::bytes(rows + of_vec::<Judged>(it.capacity()))
        });
        let since = self.since.iter().map(|it| Held::row(of_row(it)));
        let stored = self.stored.as_ref().map_or(0, of_row);
        let folds = of_known(&self.closed) + self.near.as_ref().map_or(0, of_known);
        let tables = of_tree::<i64, Observed>(self.windows.len())
            + of_tree::<i64, Vec<Judged>>(self.told.len())
            + of_vec::<Row>(self.since.capacity());
        let own = Held::bytes(of_row(key) + stored + folds + tables);
        observed.chain(told).chain(since).sum::<Held>() + own
    }
}

impl Keeps for Keys {
    fn held(&mut self) -> Held {
        let of_waiting = |it: &HashSet<Row, FixedState>| allocated(it.allocation_size());
        let tables = allocated(self.keys.allocation_size())
            + of_tree::<i64, HashSet<Row, FixedState>>(self.waiting.len())
            + self.waiting.values().map(of_waiting).sum::<usize>();
        self.held + Held::bytes(tables)
    }
}

impl ByClock for Keys {
    type Update = (Row, Update);
    type Change = Change;

    const CLOCK_FIRST: bool = true;

    fn pass(&mut self, last: u64) {
        loop {
            let next = self.waiting.first_key_value().map(|it| *it.0);
            let next = next.map(|it| self.detection.judged_at(it));
            let gate = &self.gate;
            let Some(epoch) = self.due.by(last, next, |it| gate.closed(it)) else {
                return;
            };
            let through = self.detection.judged_through(self.gate.closed(epoch));
            let mut due: HashSet<Row, FixedState> = HashSet::default();
            while let Some(entry) = self.waiting.first_entry()
                && *entry.key() <= through
            {
                due.extend(entry.remove());
            }
            for key in due {
                self.judge(&key, epoch, i64::MAX);
            }
        }
    }

    fn take_in(&mut self, epoch: u64, updates: Vec<(Row, Update)>) {
        let mut touched: HashMap<Row, i64, FixedState> = HashMap::default();
        let (mut gone, mut came) = (Vec::new(), Vec::new());
        for (key, update) in updates {
            match update {
                Update::Known(row) => self.restore(key.clone(), row),
                Update::Row {
                    row,
                    diff,
                    is_restored,
                } => {
                    if !is_restored {
                        self.store(epoch, 0, &row, diff);
                    }
                    match diff < 0 {
                        true => gone.push((key.clone(), row)),
                        false => came.push((key.clone(), row)),
                    }
                }
            }
            touched.entry(key).or_insert(i64::MAX);
        }
        // A row takes the place of the one before, in whichever order the two came.
        let (mut counts, rows) = (
            HashMap::<_, i64, FixedState>::default(),
            [(-1, gone), (1, came)],
        );
        for (diff, rows) in rows {
            for it in rows {
                *counts.entry(it).or_default() += diff;
            }
        }
        let (came, gone): (Vec<_>, Vec<_>) = counts
            .into_iter()
            .filter(|it| it.1 != 0)
            .partition(|it| 0 < it.1);
        for ((key, row), diff) in gone.into_iter().chain(came) {
            let Some(observed) = self.detection.observed(&row) else {
                continue;
            };
            let window = observed.window;
            let first = touched.entry(key.clone()).or_insert(i64::MAX);
            *first = (*first).min(window);
            let known = self.keys.entry(key).or_insert_with(Key::new);
            match diff < 0 {
                true => {
                    known.windows.remove(&window);
                }
                false => {
                    let evidence = observed.evidence;
                    known.windows.insert(window, Observed { row, evidence });
                }
            }
        }
        for (key, first) in touched {
            match epoch <= self.boot {
                true => self.judge_restored(&key, epoch),
                false => self.judge(&key, epoch, first),
            }
        }
    }

    fn changes(&mut self) -> BTreeMap<u64, Vec<Change>> {
        std::mem::take(&mut self.changes)
    }
}

impl Keys {
    /// Judges what can be at an epoch, of which nothing before `first` has changed.
    fn judge(&mut self, key: &Row, epoch: u64, first: i64) {
        let through = self.detection.judged_through(self.gate.closed(epoch));
        let closed = self.detection.grid.of_end(self.gate.watermark(epoch));
        let closed = closed.min(through);
        let Some(mut it) = self.take(key) else {
            return;
        };
        let closes = it.closed.next <= closed;
        let near = it.near.take().filter(|near| !closes && near.next <= first);
        let mut told: Vec<Judged> = Vec::new();
        let mut tell = |verdict: Verdict| told.push(self.detection.judged(key, &verdict));
        let mut fold = match &near {
            Some(near) => near.clone(),
            None => {
                let mut fold = std::mem::take(&mut it.closed);
                it.fold(&self.windows, &mut fold, closed, &mut tell);
                it.closed = fold.clone();
                fold
            }
        };
        let from = match &near {
            Some(near) => near.next,
            None => i64::MIN,
        };
        // Far behind the last one a fold is kept, if closed windows are farther yet.
        let far = through.saturating_sub(BLOCK);
        if fold.next.saturating_add(BLOCK) < far {
            it.fold(&self.windows, &mut fold, far, &mut tell);
            it.near = Some(fold.clone());
        } else {
            it.near = near;
        }
        it.fold(&self.windows, &mut fold, through, &mut tell);
        let mut by_window: BTreeMap<i64, Vec<Judged>> = BTreeMap::new();
        for judged in told {
            by_window.entry(judged.window).or_default().push(judged);
        }
        self.tell(epoch, it.told.split_off(&from), &by_window);
        it.told.append(&mut by_window);
        if closes {
            self.close(key, &mut it, closed, epoch);
        }
        self.wait(key, it, &fold, through);
    }

    /// Judges what was judged at the commit that is restored: of windows that are closed since, nothing is said again.
    fn judge_restored(&mut self, key: &Row, epoch: u64) {
        let through = self.detection.judged_through(self.restored_us);
        let closed = self
            .detection
            .grid
            .of_end(self.gate.watermark(self.boot + 1));
        let Some(mut it) = self.take(key) else {
            return;
        };
        let mut fold = std::mem::take(&mut it.closed);
        it.fold(&self.windows, &mut fold, closed.min(through), |_| {});
        it.closed = fold.clone();
        let rest = it.windows.split_off(&fold.next);
        let passed = std::mem::replace(&mut it.windows, rest);
        it.since.extend(passed.into_values().map(|it| it.row));
        let mut told: BTreeMap<i64, Vec<Judged>> = BTreeMap::new();
        it.fold(&self.windows, &mut fold, through, |verdict| {
            let judged = self.detection.judged(key, &verdict);
            told.entry(judged.window).or_default().push(judged);
        });
        self.tell(epoch, BTreeMap::new(), &told);
        it.told = told;
        self.wait(key, it, &fold, through);
    }

    /// Hands over in what two answers differ.
    fn tell(
        &mut self,
        epoch: u64,
        mut before: BTreeMap<i64, Vec<Judged>>,
        after: &BTreeMap<i64, Vec<Judged>>,
    ) {
        let changes = self.changes.entry(epoch).or_default();
        let mut add = |it: &Judged, diff: i64| {
            changes.push(Change {
                window: it.window,
                severity: it.severity,
                came: it.came,
                row: it.row.clone(),
                diff,
            });
        };
        for (window, now) in after {
            let was = before.remove(window).unwrap_or_default();
            was.iter()
                .filter(|it| !now.contains(it))
                .for_each(|it| add(it, -1));
            now.iter()
                .filter(|it| !was.contains(it))
                .for_each(|it| add(it, 1));
        }
        before.values().flatten().for_each(|it| add(it, -1));
        if changes.is_empty() {
            self.changes.remove(&epoch);
        }
    }

    /// Lets windows go that are closed; what is known behind them is stored from time to time.
    fn close(&mut self, key: &Row, it: &mut Key, closed: i64, epoch: u64) {
        let open = it.windows.split_off(&closed.saturating_add(1));
        let passed = std::mem::replace(&mut it.windows, open);
        it.since.extend(passed.into_values().map(|it| it.row));
        it.told = it.told.split_off(&closed.saturating_add(1));
        let turn = (key.hashed() % BLOCK as u64) as i64;
        let block = |window: i64| window.saturating_add(turn).div_euclid(BLOCK);
        let is_forgotten = it.closed.known.is_none();
        let is_due = !it.since.is_empty() && block(it.stored_next) < block(it.closed.next);
        if !is_due && !is_forgotten {
            return;
        }
        for row in std::mem::take(&mut it.since) {
            self.store(epoch, 0, &row, -1);
        }
        if let Some(before) = it.stored.take() {
            self.store(epoch, 1, &before, -1);
        }
        if !is_forgotten {
            let bytes = postcard::to_stdvec(&it.closed).expect("what is known can be written");
            let values = key.0.iter().cloned();
            let row = Row(values.chain([Value::Bytes(bytes.into())]).collect());
            self.store(epoch, 1, &row, 1);
            it.stored = Some(row);
        }
        it.stored_next = it.closed.next;
    }

    /// Puts a key back, to be looked at again when its next window can be judged.
    fn wait(&mut self, key: &Row, mut it: Key, fold: &Fold, through: i64) {
        let behind = through.saturating_add(1);
        let next = it.windows.range(behind..).next().map(|it| *it.0);
        let missed = fold
            .known
            .as_ref()
            .map(|known| match self.windows.hears_silence() {
                true => behind,
                false => self
                    .windows
                    .missed_until(known)
                    .saturating_add(1)
                    .max(behind),
            });
        let waits_for = next.into_iter().chain(missed).min();
        // An open window that was forgotten about may come back with a late record.
        let waits_for = waits_for.or_else(|| it.told.keys().next_back().map(|_| behind));
        let waits_for = waits_for.or_else(|| it.windows.keys().next_back().map(|_| behind));
        // And what is stored has to be taken out when it is closed that the key is forgotten.
        let is_kept = it.closed.known.is_some() || it.stored.is_some() || !it.since.is_empty();
        let waits_for = waits_for.or_else(|| is_kept.then_some(behind));
        if let Some(before) = it.waits_for
            && Some(before) != waits_for
            && let Some(keys) = self.waiting.get_mut(&before)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.waiting.remove(&before);
            }
        }
        let Some(window) = waits_for else {
            // Nothing is known of it any more.
            return;
        };
        self.waiting.entry(window).or_default().insert(key.clone());
        it.waits_for = Some(window);
        it.held = it.count(key);
        self.held += it.held;
        self.keys.insert(key.clone(), it);
    }

    /// Takes a key out, to be looked at.
    fn take(&mut self, key: &Row) -> Option<Key> {
        let taken = self.keys.remove(key)?;
        self.held -= taken.held;
        Some(taken)
    }

    /// Puts back what was known of a key.
    fn restore(&mut self, key: Row, row: Row) {
        let Some(Value::Bytes(bytes)) = row.0.last() else {
            panic!("what is known of a key is bytes: {row:?}");
        };
        let fold: Fold = postcard::from_bytes(bytes).expect("what is known can be read");
        let known = self.keys.entry(key).or_insert_with(Key::new);
        known.stored_next = fold.next;
        known.closed = fold;
        known.stored = Some(row);
    }

    fn store(&self, epoch: u64, which: usize, row: &Row, diff: i64) {
        if self.boot < epoch {
            let content = StateContent::Row(row.clone(), diff);
            let mut shared = self.shared.borrow_mut();
            shared.capture(epoch, &self.names[which], content);
        }
    }
}

/// Which windows are anomalies, given all keys. Each window is on one worker.
struct Discoveries {
    detection: Arc<Detection>,
    gate: Gate,
    windows: BTreeMap<i64, OfWindow>,
    changes: BTreeMap<u64, Vec<(Row, i64)>>,
}

#[derive(Default)]
struct OfWindow {
    rows: HashMap<Row, Option<f64>, FixedState>,
    /// The least severity that is an anomaly.
    least: Option<f64>,
}

/// The tables of windows: their rows are of the keys, and counted there.
impl Keeps for Discoveries {
    fn held(&mut self) -> Held {
        let tables = self.windows.values();
        let tables = tables.map(|it| allocated(it.rows.allocation_size()));
        Held::bytes(tables.sum::<usize>() + of_tree::<i64, OfWindow>(self.windows.len()))
    }
}

impl ByClock for Discoveries {
    type Update = Change;
    type Change = (Row, i64);

    const CLOCK_FIRST: bool = true;

    /// Lets windows go that are closed.
    fn pass(&mut self, last: u64) {
        let closed = self.detection.grid.of_end(self.gate.watermark(last));
        self.windows = self.windows.split_off(&closed.saturating_add(1));
    }

    fn take_in(&mut self, epoch: u64, updates: Vec<Change>) {
        // A key may be judged several times in an epoch: only what that comes to counts.
        type Rows = HashMap<Row, (Option<f64>, i64), FixedState>;
        let mut by_window: BTreeMap<i64, Rows> = BTreeMap::new();
        for it in updates {
            let rows = by_window.entry(it.window).or_default();
            rows.entry(it.row).or_insert((it.severity, 0)).1 += it.diff;
        }
        let changes = self.changes.entry(epoch).or_default();
        for (window, updates) in by_window {
            let of_window = self.windows.entry(window).or_default();
            let before = of_window.least;
            let mut changed: HashSet<Row, FixedState> = HashSet::default();
            for (row, (severity, diff)) in updates {
                if diff < 0 {
                    of_window.rows.remove(&row);
                    changes.push((self.detection.marked(&row, severity, before), -1));
                } else if 0 < diff {
                    of_window.rows.insert(row.clone(), severity);
                    changed.insert(row);
                }
            }
            let severities: Vec<f64> = of_window.rows.values().flatten().copied().collect();
            of_window.least = self.detection.least_anomalous(&severities);
            let mark = |row: &Row, severity: Option<f64>, least: Option<f64>| {
                self.detection.marked(row, severity, least)
            };
            for (row, severity) in &of_window.rows {
                let now = mark(row, *severity, of_window.least);
                if changed.contains(row) {
                    changes.push((now, 1));
                } else if before != of_window.least {
                    let was = mark(row, *severity, before);
                    if was != now {
                        changes.push((was, -1));
                        changes.push((now, 1));
                    }
                }
            }
        }
    }

    fn changes(&mut self) -> BTreeMap<u64, Vec<(Row, i64)>> {
        std::mem::take(&mut self.changes)
    }
}

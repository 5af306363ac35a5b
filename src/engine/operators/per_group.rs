//! Groups whose rows are kept whole: DataFusion recomputes each group that has changed from all of its rows, and the operator emits the
//! difference from the previous result.
//!
//! So window functions and aggregates that cannot be kept up to date by sums are exactly what they are in a batch. All groups that changed in an
//! epoch are computed together.
//!
//! Rows of a session are taken out when it is closed, which changes nothing of the others ([`Sessions`]): they leave the stored state, and what
//! they came to stays as it is.

use super::keyed::{Closing, Form, Input, RowBytes, bytes_of, keyed, while_open, worker_of};
use super::stateless::reason_of;
use super::{ChangeStream, ClockStream, RunEpochs, Shared};
use crate::engine::changes::Changes;
use crate::engine::costs::Keeps;
use crate::engine::encoded::{Bytes, Encoder, hash};
use crate::engine::gate::Gate;
use crate::engine::worker::Place;
use crate::model::held::{allocated, of_tree, of_vec};
use crate::model::{Epoch, Failure, Held};
use crate::plan::{GroupWindow, PerGroup, Sessions, nullable};
use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::{Capability, Concatenate};
use timely::progress::frontier::MutableAntichain;

/// Groups are computed together until they have so many rows.
const ROWS_AT_ONCE: usize = 1 << 16;

/// The rows of all groups as changes.
#[expect(
    clippy::too_many_arguments,
    reason = "it is the seam between rendering and the operator chain"
)]
pub(in crate::engine) fn per_group<'s>(
    input: Input<'s>,
    group: &Arc<PerGroup>,
    schema: &SchemaRef,
    gate: Option<(Gate, ClockStream<'s>)>,
    epochs: &RunEpochs,
    place: Place,
    view: &str,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let closing = Closing::of(group.window, gate.as_ref());
    let groups = Groups {
        computed: Computed {
            rows: Encoder::new(&nullable(&input.schema)),
            input: nullable(&input.schema),
            output: nullable(schema),
            results: Encoder::new(&nullable(schema)),
            keys: Encoder::new(&Arc::new(
                nullable(schema)
                    .project(&group.keys_out)
                    .expect("the key is of the output"),
            )),
            group: Arc::clone(group),
            id: group.id.as_str().into(),
            view: view.to_owned(),
            epoch: Epoch(0),
            shared: Rc::clone(shared),
        },
        groups: HashMap::default(),
        held: Held::default(),
        closing: match group.window {
            Some(GroupWindow::OfSession { time, gap_us, .. }) => Some(ClosingSessions {
                time,
                sessions: Sessions { gap_us },
                due: BTreeSet::new(),
            }),
            Some(GroupWindow::OfKey { .. }) | None => None,
        },
    };
    let closes = groups.closing.is_some();
    let groups = shared.borrow_mut().owners.keep(groups);
    let rows = keyed(
        input,
        Form {
            key: group.keys.clone(),
            nulls_match: true,
            order: None,
            is_stored: true,
        },
        group.id.clone(),
        closing,
        epochs,
        shared,
    );
    let first = epochs.first();
    // Its key has no columns.
    let is_one = group.is_one && worker_of(hash(&[]), place.peers) == place.index;
    let scope = rows.inner.scope();
    let of_sessions = gate.clone().filter(|_| closes);
    let (clock, ticks) = match of_sessions {
        Some((clock, ticks)) => (Some(clock), ticks),
        None => (None, scope.concatenate(Vec::new())),
    };
    let boot = epochs.boot;
    let changes = rows
        .inner
        .binary_frontier::<_, CapacityContainerBuilder<Changes>, _, _, _, _>(
            ticks,
            Pipeline,
            Pipeline,
            "PerGroup",
            move |capability, _| {
                type Open = (Capability<u64>, Vec<(Bytes, RowBytes, isize)>, bool);
                let mut open: BTreeMap<u64, Open> = BTreeMap::new();
                if is_one {
                    open.insert(first, (capability.delayed(&first), Vec::new(), true));
                }
                let mut closing = clock.map(|clock| (clock, capability));
                move |(input, frontier), (ticks, known), output| {
                    let mut groups = groups.borrow_mut();
                    ticks.for_each(|_, _| {});
                    input.for_each(|capability, data| {
                        for ((key, row), epoch, diff) in data.drain(..) {
                            let open = open.entry(epoch).or_insert_with(|| {
                                (capability.delayed(&epoch, 0), Vec::new(), false)
                            });
                            open.1.push((key.unwrap_or_default(), row, diff));
                        }
                    });
                    let first = |it: &MutableAntichain<u64>| {
                        it.frontier().first().copied().unwrap_or(u64::MAX)
                    };
                    let upto = first(frontier).min(first(known));
                    while let Some(entry) = open.first_entry() {
                        if upto <= *entry.key() {
                            break;
                        }
                        let (epoch, (capability, changes, with_the_one)) = entry.remove_entry();
                        // Stored state has sessions that are closed by now.
                        let closed = closing.as_ref().filter(|_| epoch <= boot);
                        let closed = closed.map(|(clock, _)| clock.watermark(boot + 1));
                        for mut changes in
                            groups.change(changes, Epoch(epoch), with_the_one, closed)
                        {
                            output.session(&capability).give_container(&mut changes);
                        }
                    }
                    // Nothing is released at shutdown.
                    if upto == u64::MAX {
                        closing = None;
                    }
                    if let Some((clock, capability)) = &mut closing
                        && *capability.time() < upto
                    {
                        capability.downgrade(&upto);
                        groups.close(clock.watermark(upto), upto);
                    }
                }
            },
        );
    match (group.window, gate) {
        (Some(GroupWindow::OfKey { output, add_us, .. }), Some((gate, _))) => {
            while_open(changes, output, add_us, gate)
        }
        // What is closed does not change.
        (Some(GroupWindow::OfSession { .. }), _) | (Some(_), None) | (None, _) => changes,
    }
}

/// The groups of one worker.
struct Groups {
    computed: Computed,
    groups: HashMap<Bytes, Group, FixedState>,
    /// Rows of all groups, and what they, their results and the keys take.
    held: Held,
    closing: Option<ClosingSessions>,
}

/// When sessions of groups are over.
struct ClosingSessions {
    /// The column of the time.
    time: usize,
    sessions: Sessions,
    /// The end of the first session of each group.
    due: BTreeSet<(i64, Bytes)>,
}

#[derive(Default)]
struct Group {
    rows: BTreeMap<RowBytes, isize>,
    /// What it has come to, sorted.
    results: Vec<Bytes>,
    /// When its first session is over.
    due: Option<i64>,
    /// What it holds, as it was last counted.
    held: Held,
}

/// What turns rows into results.
struct Computed {
    input: SchemaRef,
    output: SchemaRef,
    rows: Encoder,
    results: Encoder,
    /// Of results.
    keys: Encoder,
    group: Arc<PerGroup>,
    /// The name under which its state is stored.
    id: Arc<str>,
    view: String,
    /// The one that is computed.
    epoch: Epoch,
    shared: Rc<RefCell<Shared>>,
}

impl Groups {
    /// Takes changes of an epoch in; what they change in the results, but for those of sessions that are `closed` by this watermark.
    fn change(
        &mut self,
        changes: Vec<(Bytes, RowBytes, isize)>,
        epoch: Epoch,
        with_the_one: bool,
        closed: Option<i64>,
    ) -> Vec<Changes> {
        self.computed.epoch = epoch;
        let mut touched: BTreeSet<Bytes> = BTreeSet::new();
        for (key, row, diff) in changes {
            let group = self.groups.entry(key.clone()).or_default();
            let count = group.rows.entry(row).or_default();
            *count += diff;
            touched.insert(key);
        }
        if with_the_one {
            self.groups.entry(Bytes::new()).or_default();
            touched.insert(Bytes::new());
        }
        let mut all = Vec::new();
        let (mut keys, mut rows) = (Vec::new(), 0);
        let mut touched = touched.into_iter().peekable();
        while let Some(key) = touched.next() {
            let group = self.groups.get_mut(&key).expect("it was touched");
            group.rows.retain(|_, count| *count != 0);
            rows += group.rows.len();
            keys.push(key);
            if ROWS_AT_ONCE <= rows || touched.peek().is_none() {
                all.extend(self.compute(std::mem::take(&mut keys), closed));
                rows = 0;
            }
        }
        all
    }

    /// Computes these groups anew.
    fn compute(&mut self, keys: Vec<Bytes>, closed: Option<i64>) -> Option<Changes> {
        let mut results = self.computed.results(&keys, &self.groups);
        let mut times = Vec::new();
        if let Some(closing) = &self.closing {
            let all = keys.iter().flat_map(|it| self.groups[it].rows.keys());
            times = closing.times(&self.computed.rows, all);
        }
        let (mut rows, mut diffs) = (Vec::new(), Vec::new());
        for key in keys {
            let group = self.groups.get_mut(&key).expect("it was touched");
            if let Some(closing) = &mut self.closing {
                let mut times: Vec<i64> = times.drain(..group.rows.len()).collect();
                times.sort_unstable();
                closing.note(&key, group, closing.sessions.first_open(&times, i64::MIN));
                if let (Some(watermark), Some(results)) = (closed, results.get_mut(&key)) {
                    let open = closing.sessions.first_open(&times, watermark);
                    closing.keep_open(&self.computed.results, results, open.as_ref());
                }
            }
            // A group that cannot be computed has no results, and keeps its rows.
            let mut after = results.remove(&key).unwrap_or_default();
            after.sort_unstable();
            let before = std::mem::replace(&mut group.results, after);
            difference(&before, &group.results, |row, diff| {
                rows.push(row.clone());
                diffs.push(diff);
            });
            recount(&key, group, &mut self.held);
            if group.rows.is_empty() && !self.computed.group.is_one {
                self.held -= group.held;
                self.groups.remove(&key);
            }
        }
        if rows.is_empty() {
            return None;
        }
        let columns = self.computed.results.decode(rows.iter());
        let batch = self
            .computed
            .batch(&self.computed.output, columns, rows.len());
        Some(Changes::signed(batch, diffs))
    }
}

impl Groups {
    /// Takes rows of sessions out that are over at a watermark. Their results are final.
    fn close(&mut self, watermark: i64, epoch: u64) {
        let Some(closing) = &mut self.closing else {
            return;
        };
        while let Some((due, _)) = closing.due.first()
            && *due <= watermark
            && let Some((_, key)) = closing.due.pop_first()
        {
            let group = self.groups.get_mut(&key).expect("it has a session");
            let times = closing.times(&self.computed.rows, group.rows.keys());
            let mut in_order = times.clone();
            in_order.sort_unstable();
            let open = closing.sessions.first_open(&in_order, watermark);
            closing.keep_open(&self.computed.results, &mut group.results, open.as_ref());
            let mut shared = self.computed.shared.borrow_mut();
            for ((row, count), time) in std::mem::take(&mut group.rows).into_iter().zip(times) {
                if open.as_ref().is_some_and(|it| it.start <= time) {
                    group.rows.insert(row, count);
                    continue;
                }
                shared.capture_packed(epoch, &self.computed.id, &row, None, -(count as i64));
            }
            closing.note(&key, group, open);
            recount(&key, group, &mut self.held);
            if group.rows.is_empty() {
                self.held -= group.held;
                self.groups.remove(&key);
            }
        }
    }
}

/// Counts what a group holds. A change of one goes through all its rows anyway.
fn recount(key: &Bytes, group: &mut Group, all: &mut Held) {
    let rows: usize = group.rows.keys().map(bytes_of).sum();
    let pieces = group.results.iter().chain([key]);
    let pieces: usize = pieces.map(|it| allocated(it.capacity())).sum();
    let tables =
        of_tree::<RowBytes, isize>(group.rows.len()) + of_vec::<Bytes>(group.results.capacity());
    let held = Held {
        rows: group.rows.len(),
        bytes: rows + pieces + tables,
    };
    *all -= std::mem::replace(&mut group.held, held);
    *all += held;
}

impl Keeps for Groups {
    fn held(&mut self) -> Held {
        let due = self.closing.as_ref().map_or(0, |it| it.due.len());
        let tables = allocated(self.groups.allocation_size()) + of_tree::<(i64, Bytes), ()>(due);
        self.held + Held::bytes(tables)
    }
}

impl ClosingSessions {
    /// The time of each row. One without a time would be in no session, and stay.
    fn times<'a, B: AsRef<[u8]> + 'a>(
        &self,
        of: &Encoder,
        rows: impl Iterator<Item = &'a B>,
    ) -> Vec<i64> {
        let columns = of.decode(rows);
        let times = columns[self.time].as_primitive::<TimestampMicrosecondType>();
        times.iter().map(|it| it.unwrap_or(i64::MAX)).collect()
    }

    /// Leaves results of sessions from this one on.
    fn keep_open(&self, of: &Encoder, results: &mut Vec<Bytes>, from: Option<&Range<i64>>) {
        let times = self.times(of, results.iter());
        let mut times = times.into_iter();
        results.retain(|_| {
            let time = times.next();
            from.is_some_and(|it| time.is_some_and(|time| it.start <= time))
        });
    }

    /// Notes which session of a group is over first.
    fn note(&mut self, key: &Bytes, group: &mut Group, first: Option<Range<i64>>) {
        let due = first.map(|it| it.end);
        if let Some(before) = std::mem::replace(&mut group.due, due) {
            self.due.remove(&(before, key.clone()));
        }
        self.due.extend(due.map(|it| (it, key.clone())));
    }
}

/// What is in one of two sorted lists and not in the other.
pub(super) fn difference<T: Ord>(before: &[T], after: &[T], mut changed: impl FnMut(&T, i64)) {
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => a.cmp(b),
        };
        if order.is_lt() {
            old.next().into_iter().for_each(|it| changed(it, -1));
        } else if order.is_gt() {
            new.next().into_iter().for_each(|it| changed(it, 1));
        } else {
            old.next();
            new.next();
        }
    }
}

impl Computed {
    /// The results of groups, by key.
    fn results(
        &self,
        keys: &[Bytes],
        groups: &HashMap<Bytes, Group, FixedState>,
    ) -> HashMap<Bytes, Vec<Bytes>, FixedState> {
        match self.run(keys, groups) {
            Ok(results) => results,
            // One of them fails: the others have their results.
            Err(_) if 1 < keys.len() => {
                let each = keys
                    .iter()
                    .flat_map(|it| self.results(std::slice::from_ref(it), groups));
                each.collect()
            }
            Err(error) => {
                self.note_failed(&error);
                HashMap::default()
            }
        }
    }

    fn run(
        &self,
        keys: &[Bytes],
        groups: &HashMap<Bytes, Group, FixedState>,
    ) -> Result<HashMap<Bytes, Vec<Bytes>, FixedState>> {
        let rows = keys.iter().flat_map(|it| &groups[it].rows);
        let rows = rows.flat_map(|(row, count)| {
            let count = usize::try_from(*count).expect("a row is there as often as it came");
            std::iter::repeat_n(row, count)
        });
        let rows: Vec<&RowBytes> = rows.collect();
        if rows.is_empty() && !self.group.is_one {
            return Ok(HashMap::default());
        }
        let columns = self.rows.decode(rows.iter().copied());
        let rows = self.batch(&self.input, columns, rows.len());
        let (results, failed) = self.group.program.run(rows)?;
        if let Some(error) = failed {
            self.note_failed(&error);
        }
        let of_key = self.group.keys_out.iter();
        let of_key: Vec<ArrayRef> = of_key.map(|it| results.column(*it).clone()).collect();
        let of_key = self.keys.encode(&of_key, results.num_rows());
        let encoded = self.results.encode(results.columns(), results.num_rows());
        let mut by_key: HashMap<Bytes, Vec<Bytes>, FixedState> = HashMap::default();
        for (key, row) in of_key.into_iter().zip(encoded) {
            by_key.entry(key).or_default().push(row);
        }
        Ok(by_key)
    }

    fn note_failed(&self, error: &DataFusionError) {
        let failure = Failure::new(self.epoch, 1, reason_of(error), None);
        self.shared.borrow_mut().left_out(&self.view).note(failure);
    }

    fn batch(&self, schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
            .expect("columns are of the schema")
    }
}

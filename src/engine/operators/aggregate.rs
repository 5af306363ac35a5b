//! Aggregation: groups take in their partial sums once the clock lets them, and each change of a group is a change of its row.
//!
//! Event time is decided here. A group of a window lies with all others of the window and is forgotten with it: the rows that this would
//! retract are final. What is in a sliding range is kept by the step at which it leaves, too, and is taken back then. Groups lie in tables
//! of their own and not in arrangements: nobody else reads them, and nobody asks for an older epoch.

use super::late::late_rows;
use super::partials::PartialStream;
use super::{ChangeStream, ClockStream, Due, RunEpochs, Shared, in_pieces};
use crate::engine::accumulate::{Accumulator, Partial, Slot, is_beyond_its_type, result};
use crate::engine::changes::Changes;
use crate::engine::clock::NEVER;
use crate::engine::costs::Keeps;
use crate::engine::distinct::{DistinctSets, Member};
use crate::engine::gate::Gate;
use crate::engine::group_table::{GroupTable, PackedKey};
use crate::engine::state_share::place_of;
use crate::engine::{StateContent, StoredGroups};
use crate::model::held::{allocated, of_row, of_tree, of_vec};
use crate::model::{Epoch, Failure, Held, Row, Value, array_of_values};
use crate::plan::{Aggregate, Aggregation, EARLY_US, Function, Hops, Window, nullable};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use foldhash::fast::FixedState;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashTable, hash_table};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::empty;

/// The bucket of what never leaves.
const FOR_EVER: i64 = i64::MAX;
/// So many restored groups are given on at once: there may be millions.
const RESTORED_AT_ONCE: usize = 16 * 1024;

/// What was stored of groups, which are panes where windows share these.
pub(in crate::engine) struct RestoredGroups {
    pub groups: StoredGroups,
    /// Beside panes, groups of single windows.
    pub of_windows: StoredGroups,
}

impl RestoredGroups {
    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.of_windows.is_empty()
    }
}

/// The rows of an aggregation, as changes, and the late records it refused. It begins with what is restored of the groups of this worker.
#[expect(
    clippy::too_many_arguments,
    reason = "it is called once, with everything that it connects"
)]
pub(in crate::engine) fn aggregate<'s>(
    partials: PartialStream<'s>,
    restored: RestoredGroups,
    aggregation: &Arc<Aggregation>,
    schema: &SchemaRef,
    view: &str,
    gate: Option<(Gate, ClockStream<'s>)>,
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> (ChangeStream<'s>, ChangeStream<'s>) {
    type Builder = CapacityContainerBuilder<Changes>;
    let scope = partials.scope();
    let (gate, ticks) = match gate {
        Some((gate, ticks)) => (Some(gate), ticks),
        None => (None, empty(scope)),
    };
    let window = aggregation.window;
    let over = move |epoch: u64| match (window, &gate) {
        (Window::None, _) | (_, None) => NEVER,
        (Window::Tumble { .. }, Some(gate)) => gate.watermark(epoch),
        (Window::Last { .. }, Some(gate)) => gate.now(epoch),
    };
    let control = Arc::clone(&epochs.control);
    let boot = epochs.boot;
    let groups = Groups::new(aggregation, schema, view, epochs, shared);
    let groups = shared.borrow_mut().owners.keep(groups);
    let mut builder = OperatorBuilder::new("Aggregate".to_owned(), scope);
    let panes = aggregation.panes().map(|it| it.keys.clone());
    let panes = panes.unwrap_or_default();
    let by_key = Exchange::new(move |it: &(u64, Partial)| place_of(&it.1.key, &panes));
    let mut input = builder.new_input(partials, by_key);
    let mut ticks = builder.new_input(ticks, Pipeline);
    let (rows, rows_stream) = builder.new_output::<Changes>();
    let (late, late_stream) = builder.new_output::<Changes>();
    let mut outputs = [rows, late].map(OutputBuilder::<_, Builder>::from);
    builder.build(move |capabilities| {
        let mut held = Some(capabilities);
        let mut restored = Some(restored).filter(|it| !it.is_empty());
        let mut open: BTreeMap<u64, Vec<Vec<(u64, Partial)>>> = BTreeMap::new();
        move |frontiers| {
            let mut groups = groups.borrow_mut();
            let groups = &mut *groups;
            ticks.for_each(|_, _| {});
            input.for_each(|_, partials| {
                in_pieces(
                    partials,
                    |it| it.0,
                    |time, piece| {
                        open.entry(time).or_default().push(piece);
                    },
                );
            });
            let Some(capabilities) = held.as_mut() else {
                return;
            };
            let end = u64::MAX;
            let first = |it: usize| frontiers[it].frontier().first().copied().unwrap_or(end);
            let upto = first(0).min(first(1));
            if boot < upto
                && let Some(restored) = restored.take()
            {
                groups.restore(restored, over(boot));
            }
            while let Some(entry) = open.first_entry() {
                let time = *entry.key();
                if upto <= time {
                    break;
                }
                let partials = entry.remove();
                groups.close_through(time, &over);
                groups.take_in(time, partials, over(time));
            }
            let last = match upto {
                u64::MAX => control.last().map_or(0, |it| it.0),
                upto => upto,
            };
            groups.close_through(last, &over);
            groups.finish_before(upto);
            let all = [&mut groups.rows, &mut groups.late];
            for (at, changes) in all.into_iter().enumerate() {
                for (time, mut changes) in changes.drain(..) {
                    outputs[at]
                        .activate()
                        .session(&capabilities[at].delayed(&time))
                        .give_container(&mut changes);
                }
            }
            if upto == end {
                held = None;
            } else {
                for capability in capabilities.iter_mut().filter(|it| *it.time() < upto) {
                    capability.downgrade(&upto);
                }
            }
        }
    });
    (rows_stream, late_stream)
}

/// What leaves a sliding range at once.
#[derive(Default)]
struct Step {
    groups: GroupTable,
    /// What it brought to distinct sets.
    members: HashMap<Row, Vec<StepMember>, FixedState>,
    /// How many these are, and what their lists and keys take.
    held: Held,
}

/// What is too far ahead, and what it takes.
#[derive(Default)]
struct Ahead {
    partials: HashMap<Row, Partial, FixedState>,
    held: Held,
}

/// Number of the aggregate, both halves of the value's identity, how often: packed, since there may be millions.
type StepMember = (u64, u64, i32, u8);

/// A group that an epoch changes.
struct Changed {
    bucket: i64,
    key: Row,
    /// Of the key as it is packed.
    hash: u64,
    before: Accumulator,
    now: Accumulator,
}

/// The groups of an aggregation that lie on this worker.
struct Groups {
    aggregation: Arc<Aggregation>,
    schema: SchemaRef,
    view: String,
    /// The name under which its state is stored.
    id: Arc<str>,
    boot: u64,
    shared: Rc<RefCell<Shared>>,
    /// By the end of their window; all together if they have none.
    tables: BTreeMap<i64, GroupTable>,
    /// What is in a sliding range, by what it leaves at.
    steps: BTreeMap<i64, Step>,
    /// What is too far ahead to be in a sliding range, by step and group. It waits until now has come near enough.
    ahead: BTreeMap<i64, Ahead>,
    distinct: DistinctSets,
    /// When steps are over or let in, and windows closed.
    due: Due,
    /// The epoch that is being taken in.
    epoch: u64,
    /// The groups it changes, and where each of them is among these.
    changed: Vec<Changed>,
    places: HashTable<usize>,
    /// The key that is worked on.
    key: PackedKey,
    /// Starts of closed windows, and how many of its records came too late for them.
    refused: Vec<(Option<i64>, i64)>,
    /// What is to be given on, with its epoch.
    rows: Vec<(u64, Changes)>,
    late: Vec<(u64, Changes)>,
}

impl Groups {
    fn new(
        aggregation: &Arc<Aggregation>,
        schema: &SchemaRef,
        view: &str,
        epochs: &RunEpochs,
        shared: &Rc<RefCell<Shared>>,
    ) -> Self {
        // Where records only come, members leave with their group alone, unless they leave step by step.
        let slides = matches!(aggregation.window, Window::Last { .. });
        Groups {
            aggregation: Arc::clone(aggregation),
            schema: Arc::clone(schema),
            view: view.to_owned(),
            id: aggregation.id.as_str().into(),
            boot: epochs.boot,
            shared: Rc::clone(shared),
            tables: BTreeMap::new(),
            steps: BTreeMap::new(),
            ahead: BTreeMap::new(),
            distinct: DistinctSets::new(aggregation.append_only && !slides),
            due: Due::new(epochs),
            epoch: 0,
            changed: Vec::new(),
            places: HashTable::new(),
            key: PackedKey::default(),
            refused: Vec::new(),
            rows: Vec::new(),
            late: Vec::new(),
        }
    }

    fn slides(&self) -> bool {
        matches!(self.aggregation.window, Window::Last { .. })
    }

    fn has_distinct(&self) -> bool {
        let mut functions = self.aggregation.aggregates.iter().map(|it| it.function);
        functions.any(|it| matches!(it, Function::CountDistinct))
    }

    /// Lets steps in that were ahead, takes back those that are over and forgets closed windows, each at the first epoch at which it is so,
    /// up to and including `last`.
    fn close_through(&mut self, last: u64, over: impl Fn(u64) -> i64) {
        while let Some(epoch) = self.due.by(last, self.next_due(), &over) {
            self.turn_to(epoch);
            self.open(over(epoch));
            self.close(over(epoch));
        }
    }

    /// What `over` has to reach for the next window or step to be over, or for a step to be let in.
    fn next_due(&self) -> Option<i64> {
        let over = match self.slides() {
            true => self.steps.first_key_value().map(|it| *it.0),
            false => self.tables.first_key_value().map(|it| *it.0),
        };
        let ahead = self.ahead.first_key_value();
        let enters = ahead.map(|it| it.0.saturating_sub(self.reach_us()));
        let due = over.into_iter().chain(enters).min();
        due.filter(|it| *it != FOR_EVER)
    }

    /// Steps may be ahead of `over` by so much.
    fn reach_us(&self) -> i64 {
        match self.aggregation.window {
            Window::Last { size_us, .. } => size_us.saturating_add(EARLY_US),
            Window::None | Window::Tumble { .. } => i64::MAX,
        }
    }

    /// Lets in what waited and is near enough.
    fn open(&mut self, over: i64) {
        let newest = over.saturating_add(self.reach_us());
        while let Some(entry) = self.ahead.first_entry()
            && *entry.key() <= newest
        {
            let step = entry.remove();
            for partial in step.partials.into_values() {
                self.let_in(partial, over, false);
            }
        }
    }

    /// Takes back every step that is over, and forgets every window that is closed.
    fn close(&mut self, over: i64) {
        while let Some(entry) = self.steps.first_entry() {
            if over < *entry.key() || *entry.key() == FOR_EVER {
                break;
            }
            let step = entry.remove();
            self.take_back(step);
        }
        while let Some(entry) = self.tables.first_entry() {
            if over < *entry.key() || *entry.key() == FOR_EVER {
                break;
            }
            let groups = entry.remove();
            if self.has_distinct() {
                groups
                    .into_groups()
                    .for_each(|(key, _)| self.distinct.forget(&key));
            }
        }
    }

    fn take_back(&mut self, step: Step) {
        let Step {
            groups,
            mut members,
            held: _,
        } = step;
        for (key, mut change) in groups.into_groups() {
            change.negate();
            let members = members.remove(&key).unwrap_or_default();
            self.take_members_back(&key, members, &mut change);
            self.change(FOR_EVER, key, &change);
        }
        for (key, members) in members {
            let mut change = Accumulator::empty(&self.aggregation.aggregates);
            self.take_members_back(&key, members, &mut change);
            self.change(FOR_EVER, key, &change);
        }
    }

    fn take_members_back(&mut self, key: &Row, members: Vec<StepMember>, change: &mut Accumulator) {
        let gone = members
            .into_iter()
            .map(|(high, low, diff, at)| Member::new(at, joined(high, low), -i64::from(diff)));
        self.distinct.add(key, &mut gone.collect(), change);
    }

    fn take_in(&mut self, time: u64, partials: Vec<Vec<(u64, Partial)>>, over: i64) {
        self.turn_to(time);
        let is_news = self.boot < time;
        let aggregation = Arc::clone(&self.aggregation);
        let panes = aggregation.panes();
        if !self.slides() {
            let groups: usize = partials.iter().map(Vec::len).sum();
            let more = groups * panes.map_or(1, |it| it.offsets_us.len());
            self.changed.reserve(more);
            let changed = &self.changed;
            self.places.reserve(more, |it| changed[*it].hash);
        }
        for (_, partial) in partials.into_iter().flatten() {
            match panes {
                Some(hops) => self.take_in_pane(partial, hops, over, is_news),
                None => self.take_in_one(partial, over, is_news),
            }
        }
    }

    fn take_in_one(&mut self, partial: Partial, over: i64, is_news: bool) {
        let newest = over.saturating_add(self.reach_us());
        if !self.slides() || partial.bucket <= newest || partial.bucket == FOR_EVER {
            self.let_in(partial, over, is_news);
        } else {
            self.keep_ahead(partial, is_news);
        }
    }

    /// Takes in what was stored, at the epoch of its commit. A group of a window or of all time is there once as a rule, and then is new.
    fn restore(&mut self, stored: RestoredGroups, over: i64) {
        let aggregation = Arc::clone(&self.aggregation);
        self.restore_all(stored.groups, aggregation.panes(), over);
        if !stored.of_windows.is_empty() {
            self.restore_all(stored.of_windows, None, over);
        }
    }

    fn restore_all(&mut self, stored: StoredGroups, panes: Option<&Hops>, over: i64) {
        self.epoch = self.boot;
        if matches!(self.aggregation.window, Window::None) && !self.has_distinct() {
            let groups = self.tables.entry(FOR_EVER).or_default();
            groups.reserve(stored.len());
        }
        let is_plain = !self.slides() && !self.has_distinct();
        let mut rows = GroupRows::default();
        for partial in stored.into_partials() {
            match is_plain {
                true => self.restore_one(partial, panes, over, &mut rows),
                false => self.take_in_one(partial, over, false),
            }
            // An epoch is one change of a group to readers of the rows; what is restored comes once for each.
            if RESTORED_AT_ONCE <= rows.diffs.len() {
                self.give(std::mem::take(&mut rows));
            }
            if RESTORED_AT_ONCE <= self.changed.len() {
                self.finish();
            }
        }
        self.give(rows);
        self.finish();
    }

    /// Puts a group in its table, or in those of all its windows.
    fn restore_one(
        &mut self,
        mut partial: Partial,
        panes: Option<&Hops>,
        over: i64,
        rows: &mut GroupRows,
    ) {
        if partial.accumulator.is_zero() {
            return;
        }
        if self.aggregation.append_only {
            let aggregates = &self.aggregation.aggregates;
            partial.accumulator.keep_best(aggregates);
        }
        let accumulator = &partial.accumulator;
        match panes {
            Some(hops) => partial
                .windows(hops)
                .for_each(|(bucket, key)| self.restore_in(bucket, key, accumulator, over, rows)),
            None => self.restore_in(partial.bucket, partial.key, accumulator, over, rows),
        }
    }

    /// Puts a group in a table unless that is over; one that is there takes it in.
    fn restore_in(
        &mut self,
        bucket: i64,
        key: Row,
        accumulator: &Accumulator,
        over: i64,
        rows: &mut GroupRows,
    ) {
        if bucket <= over && bucket != FOR_EVER {
            return;
        }
        let bucket = match self.aggregation.window {
            Window::Tumble { .. } => bucket,
            Window::None | Window::Last { .. } => FOR_EVER,
        };
        let groups = self.tables.entry(bucket).or_default();
        if !groups.insert(self.key.pack(&key), accumulator) {
            self.change(bucket, key, accumulator);
            return;
        }
        self.note_sums_without_place(&key, accumulator);
        rows.add_group(key);
        rows.add(results(&self.aggregation.aggregates, accumulator), 1);
    }

    /// Keeps a partial that is too far ahead, as one with what is there of its group.
    fn keep_ahead(&mut self, mut partial: Partial, is_news: bool) {
        let step = self.ahead.entry(partial.bucket).or_default();
        match step.partials.entry(partial.key.clone()) {
            Entry::Vacant(entry) => {
                step.held += Held::row(of_row(&partial.key)) + of_partial(&partial);
                entry.insert(partial.clone());
            }
            Entry::Occupied(mut entry) => {
                let kept = entry.get_mut();
                step.held -= of_partial(kept);
                if self.aggregation.append_only {
                    let aggregation = &self.aggregation;
                    trim(&mut partial.accumulator, &kept.accumulator, aggregation);
                }
                kept.accumulator.merge(&partial.accumulator);
                kept.members.extend(partial.members.iter().cloned());
                step.held += of_partial(kept);
            }
        }
        if is_news {
            self.capture(partial);
        }
    }

    /// Takes in a pane: in each of its windows that is not over. It is stored once for all of them.
    fn take_in_pane(&mut self, mut partial: Partial, hops: &Hops, over: i64, is_news: bool) {
        if self.aggregation.append_only {
            let aggregates = &self.aggregation.aggregates;
            partial.accumulator.keep_best(aggregates);
        }
        for (bucket, key) in partial.windows(hops) {
            if !self.is_over(bucket, &partial, over, is_news) {
                self.change(bucket, key, &partial.accumulator);
            }
        }
        if is_news && (over < partial.bucket || partial.bucket == FOR_EVER) {
            self.capture(partial);
        }
    }

    /// Whether the window or step of a partial is over. Records that come too late for a window are counted.
    fn is_over(&mut self, bucket: i64, partial: &Partial, over: i64, is_news: bool) -> bool {
        if over < bucket || bucket == FOR_EVER {
            return false;
        }
        // Restored state may hold windows that were over already; those are no news.
        if let Window::Tumble { size_us, .. } = self.aggregation.window
            && is_news
        {
            let hops = self.aggregation.hops.as_ref();
            let size_us = hops.and_then(|it| it.size_us).unwrap_or(size_us);
            let records = partial.accumulator.records;
            self.refused.push((Some(bucket - size_us), records));
        }
        true
    }

    /// Lets a partial through unless its window or step is over. What is news becomes part of the stored state.
    fn let_in(&mut self, mut partial: Partial, over: i64, is_news: bool) {
        if self.is_over(partial.bucket, &partial, over, is_news) {
            return;
        }
        let bucket = match self.aggregation.window {
            Window::Tumble { .. } => partial.bucket,
            Window::None => FOR_EVER,
            Window::Last { .. } => {
                self.keep_until_it_leaves(&mut partial);
                FOR_EVER
            }
        };
        if self.aggregation.append_only && !self.slides() {
            let aggregates = &self.aggregation.aggregates;
            partial.accumulator.keep_best(aggregates);
        }
        if partial.members.is_empty() {
            self.change(bucket, partial.key.clone(), &partial.accumulator);
        } else {
            let (key, mut change) = (partial.key.clone(), partial.accumulator.clone());
            // What made no difference to a set is not stored either.
            self.distinct.add(&key, &mut partial.members, &mut change);
            self.change(bucket, key, &change);
        }
        if is_news {
            self.capture(partial);
        }
    }

    fn keep_until_it_leaves(&mut self, partial: &mut Partial) {
        let step = self.steps.entry(partial.bucket).or_default();
        let key = self.key.pack(&partial.key);
        let mut sum = step.groups.get(key);
        if self.aggregation.append_only {
            trim(&mut partial.accumulator, &sum, &self.aggregation);
        }
        sum.merge(&partial.accumulator);
        step.groups.set(key, &sum);
        if !partial.members.is_empty() {
            let members = match step.members.entry(partial.key.clone()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    step.held += Held::bytes(of_row(entry.key()));
                    entry.insert(Vec::new())
                }
            };
            let of_list = |it: &Vec<StepMember>| Held {
                rows: it.len(),
                bytes: of_vec::<StepMember>(it.capacity()),
            };
            step.held -= of_list(members);
            members.extend(partial.members.iter().flat_map(packed));
            step.held += of_list(members);
        }
    }

    fn capture(&self, partial: Partial) {
        let content = StateContent::Group(partial);
        self.shared
            .borrow_mut()
            .capture(self.epoch, &self.id, content);
    }

    /// A group takes this in, in the epoch of now.
    fn change(&mut self, bucket: i64, key: Row, change: &Accumulator) {
        let hash = self.key.pack(&key).hash();
        let changed = &self.changed;
        let place = self
            .places
            .entry(hash, |it| changed[*it].key == key, |it| changed[*it].hash);
        match place {
            hash_table::Entry::Occupied(place) => self.changed[*place.get()].now.merge(change),
            hash_table::Entry::Vacant(place) => {
                place.insert(self.changed.len());
                let before = self.tables.entry(bucket).or_default().get(&self.key);
                let mut now = before.clone();
                now.merge(change);
                self.changed.push(Changed {
                    bucket,
                    key,
                    hash,
                    before,
                    now,
                });
            }
        }
    }

    /// Finishes all epochs before this one.
    fn finish_before(&mut self, epoch: u64) {
        if self.epoch < epoch {
            self.finish();
        }
    }

    /// Goes on with another epoch.
    fn turn_to(&mut self, epoch: u64) {
        self.finish_before(epoch);
        self.epoch = epoch;
    }

    /// Writes down what the epoch has changed, and makes rows of it.
    fn finish(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.places.clear();
        let mut rows = GroupRows::of(changed.len(), &self.aggregation);
        let (mut before, mut now) = (Vec::new(), Vec::new());
        for it in changed.into_iter().filter(|it| it.before != it.now) {
            let table = self.tables.entry(it.bucket).or_default();
            table.set(self.key.pack(&it.key), &it.now);
            if it.bucket != FOR_EVER && table.is_empty() {
                self.tables.remove(&it.bucket);
            }
            let aggregates = &self.aggregation.aggregates;
            let (had, has) = (!it.before.is_zero(), !it.now.is_zero());
            before.clear();
            now.clear();
            if had {
                before.extend(results(aggregates, &it.before));
            }
            if has {
                now.extend(results(aggregates, &it.now));
            }
            if had == has && before == now {
                continue;
            }
            self.note_sums_without_place(&it.key, &it.now);
            rows.add_group(it.key);
            if had {
                rows.add(before.drain(..), -1);
            }
            if has {
                rows.add(now.drain(..), 1);
            }
        }
        self.give(rows);
        if !self.refused.is_empty() {
            let refused = std::mem::take(&mut self.refused);
            let late = late_rows(&self.view, self.epoch, &refused);
            self.late.push((self.epoch, late));
        }
    }

    /// Gives rows on, in the epoch of now.
    fn give(&mut self, rows: GroupRows) {
        if !rows.diffs.is_empty() {
            let changes = rows.changes(&self.aggregation, &self.schema);
            self.rows.push((self.epoch, changes));
        }
    }

    /// Counts the sums that become NULL since their type does not hold them.
    fn note_sums_without_place(&self, key: &Row, group: &Accumulator) {
        for (aggregate, slot) in self.aggregation.aggregates.iter().zip(&group.slots) {
            if aggregate.is_of_integers() && is_beyond_its_type(aggregate, slot) {
                let holds = crate::plan::sql_name(&aggregate.result_type);
                let reason =
                    format!("the result is NULL, since the sum is beyond what {holds} holds");
                let group = as_json(&self.schema, key);
                let failure = Failure::new(Epoch(self.epoch), 1, reason, Some(&group));
                self.shared.borrow_mut().left_out(&self.view).note(failure);
            }
        }
    }
}

impl Keeps for Groups {
    fn held(&mut self) -> Held {
        let of_tables = self
            .tables
            .values()
            .chain(self.steps.values().map(|it| &it.groups));
        let of_steps = self
            .steps
            .values()
            .map(|it| it.held + Held::bytes(allocated(it.members.allocation_size())));
        let of_ahead = self
            .ahead
            .values()
            .map(|it| it.held + Held::bytes(allocated(it.partials.allocation_size())));
        let trees = of_tree::<i64, GroupTable>(self.tables.len())
            + of_tree::<i64, Step>(self.steps.len())
            + of_tree::<i64, Ahead>(self.ahead.len());
        let of_tables: Held = of_tables.map(GroupTable::held).sum();
        let rest: Held = of_steps.chain(of_ahead).sum();
        let rooms = allocated(self.places.allocation_size()) + self.key.held_bytes();
        of_tables + rest + self.distinct.held() + Held::bytes(trees + rooms)
    }
}

/// What a partial group points at, but for its key. Its accumulator's is an estimate ([`Accumulator::bytes`]).
fn of_partial(partial: &Partial) -> Held {
    let members = of_vec::<Member>(partial.members.capacity());
    Held::bytes(partial.accumulator.bytes() + members)
}

/// A member as a step keeps it; in several parts if it came more often than one part can say.
fn packed(member: &Member) -> impl Iterator<Item = StepMember> + use<> {
    let (value, at, mut rest) = (member.identity(), member.aggregate, member.diff);
    let (high, low) = ((value >> 64) as u64, value as u64);
    std::iter::from_fn(move || {
        let part = rest.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        rest -= i64::from(part);
        (part != 0).then_some((high, low, part, at))
    })
}

fn joined(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// Drops candidates for the smallest or largest value that are no better than what the group has.
fn trim(partial: &mut Accumulator, sum: &Accumulator, aggregation: &Aggregation) {
    for ((slot, had), aggregate) in partial
        .slots
        .iter_mut()
        .zip(&sum.slots)
        .zip(&aggregation.aggregates)
    {
        let (Slot::Extremes(new), Slot::Extremes(had)) = (slot, had) else {
            continue;
        };
        match aggregate.function {
            Function::Max => new.retain(|it| had.last().is_none_or(|had| had.0 < it.0)),
            _ => new.retain(|it| had.first().is_none_or(|had| it.0 < had.0)),
        }
    }
}

/// The key of a group as a JSON object.
fn as_json(schema: &SchemaRef, key: &Row) -> String {
    let columns = schema.fields().iter().zip(key.0.iter());
    let members = columns.map(|(field, it)| (field.name().clone(), it.to_json()));
    serde_json::Value::Object(members.collect()).to_string()
}

/// The results of a group, aggregate by aggregate.
fn results(aggregates: &[Aggregate], of: &Accumulator) -> impl Iterator<Item = Value> {
    let aggregates = aggregates.iter().enumerate();
    aggregates.map(|(at, it)| result(it, of.slots.get(at)))
}

/// Rows of groups.
#[derive(Default)]
struct GroupRows {
    keys: Vec<Row>,
    /// The group of each row, by its place among the keys.
    groups: Vec<usize>,
    /// Results of each row behind those of the one before.
    results: Vec<Value>,
    diffs: Vec<i64>,
}

impl GroupRows {
    /// With room for so many changed groups: a row that goes and one that comes.
    fn of(groups: usize, aggregation: &Aggregation) -> Self {
        let rows = 2 * groups;
        GroupRows {
            keys: Vec::with_capacity(groups),
            groups: Vec::with_capacity(rows),
            results: Vec::with_capacity(rows * aggregation.aggregates.len()),
            diffs: Vec::with_capacity(rows),
        }
    }

    /// The rows that follow are of this group.
    fn add_group(&mut self, key: Row) {
        self.keys.push(key);
    }

    /// Adds a row of the newest group.
    fn add(&mut self, results: impl Iterator<Item = Value>, diff: i64) {
        self.groups.push(self.keys.len() - 1);
        self.results.extend(results);
        self.diffs.push(diff);
    }

    fn changes(self, aggregation: &Aggregation, schema: &SchemaRef) -> Changes {
        let keys = aggregation.keys.len();
        let results = aggregation.aggregates.len();
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            let column = |values: &mut dyn Iterator<Item = &Value>| {
                array_of_values(field.data_type(), values)
            };
            match at.checked_sub(keys) {
                None => column(&mut self.groups.iter().map(|it| &self.keys[*it].0[at])),
                Some(number) => column(&mut self.results.iter().skip(number).step_by(results)),
            }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>();
        let columns = columns.expect("the planner admits only types that rows carry");
        let options = RecordBatchOptions::new().with_row_count(Some(self.diffs.len()));
        let batch = RecordBatch::try_new_with_options(nullable(schema), columns, &options)
            .expect("columns have the schema's types");
        Changes::signed(batch, self.diffs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IntSum, sum_row_counts};
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use proptest::prelude::*;

    fn groups(window: Window, hops: Option<Hops>, append_only: bool) -> Groups {
        let aggregate = |function, argument| Aggregate {
            function,
            argument,
            filter: None,
            argument_type: DataType::Int64,
            result_type: DataType::Int64,
        };
        let aggregation = Aggregation {
            id: "v.0".to_owned(),
            keys: vec![0, 1],
            window,
            hops,
            window_ends: vec![None, None],
            clocks: std::collections::BTreeSet::new(),
            append_only,
            aggregates: vec![
                aggregate(Function::Count, None),
                aggregate(Function::Sum, Some(1)),
                aggregate(Function::Max, Some(1)),
            ],
        };
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        let columns = [
            ("k", DataType::Int64),
            ("start", time),
            ("records", DataType::Int64),
            ("total", DataType::Int64),
            ("most", DataType::Int64),
        ];
        let columns = columns.map(|(name, of)| Field::new(name, of, true));
        let epochs = RunEpochs {
            boot: 100,
            start: 200,
            is_first_run: false,
            tick_ms: 100,
            control: Arc::default(),
        };
        let schema = Arc::new(Schema::new(columns.to_vec()));
        Groups::new(
            &Arc::new(aggregation),
            &schema,
            "v",
            &epochs,
            &Rc::default(),
        )
    }

    /// Of a window that begins a microsecond before its bucket.
    fn partial(key: i64, bucket: i64, value: i64, count: i64) -> Partial {
        let mut sum = IntSum::default();
        sum.add(value, count);
        Partial {
            key: Row([Value::Int(key), Value::Timestamp(bucket.saturating_sub(1))].into()),
            bucket,
            accumulator: Accumulator {
                records: count,
                slots: [
                    Slot::Count(count),
                    Slot::IntSum(sum),
                    Slot::Extremes(vec![(Value::Int(value), count)]),
                ]
                .into(),
            },
            members: Vec::new(),
        }
    }

    type Found = (Vec<(Row, i64)>, Vec<(i64, Vec<(Row, Accumulator)>)>);

    /// The rows that were given on, summed, and the groups of each table.
    fn found(groups: Groups) -> Found {
        let rows = groups.rows.iter().inspect(|it| assert_eq!(it.0, 100));
        let rows = rows.flat_map(|it| it.1.rows().collect::<Vec<_>>());
        let mut rows: Vec<(Row, i64)> = rows.collect();
        sum_row_counts(&mut rows);
        let tables = groups.tables.into_iter().filter(|it| !it.1.is_empty());
        let tables = tables.map(|(bucket, table)| {
            let mut groups: Vec<(Row, Accumulator)> = table.into_groups().collect();
            groups.sort();
            (bucket, groups)
        });
        (rows, tables.collect())
    }

    /// A pane of ten records, with two of its three windows open: it counts in these, and is stored once, for restarts.
    #[test]
    fn a_pane_is_stored_once_and_counts_in_each_of_its_windows() {
        let hops = Hops {
            keys: vec![1],
            offsets_us: vec![0, -2, -4],
            size_us: Some(5),
        };
        let window = Window::Tumble {
            key: 1,
            add_us: 1,
            size_us: 5,
        };
        let mut groups = groups(window, Some(hops), true);
        let pane = partial(7, 20, 1, 10);
        groups.take_in(200, vec![vec![(200, pane.clone())]], 16);
        groups.finish();
        let tables = groups.tables.iter();
        let tables: Vec<(i64, usize)> = tables.map(|it| (*it.0, it.1.held().rows)).collect();
        assert_eq!(tables, [(18, 1), (20, 1)]);
        let starts = groups
            .rows
            .iter()
            .flat_map(|it| it.1.rows().collect::<Vec<_>>());
        let mut starts: Vec<Value> = starts.map(|it| it.0.0[1].clone()).collect();
        starts.sort();
        assert_eq!(starts, [17, 19].map(Value::Timestamp));
        let stored = std::mem::take(&mut groups.shared.borrow_mut().captured);
        let stored: Vec<StateContent> = stored
            .into_values()
            .flatten()
            .map(|it| it.content)
            .collect();
        let [StateContent::Group(stored)] = stored.as_slice() else {
            panic!("{stored:?}");
        };
        assert_eq!((&stored.key, stored.bucket), (&pane.key, 20));
        let late: Vec<Row> = groups
            .late
            .iter()
            .flat_map(|it| it.1.rows().map(|it| it.0).collect::<Vec<_>>())
            .collect();
        assert_eq!(late.len(), 1, "{late:?}");
        assert_eq!(late[0].0[2], Value::Int(10));
    }

    proptest! {
        /// Windows that are over are gone, and a group that is there several times is their sum.
        #[test]
        fn restored_groups_are_what_taking_them_in_makes_of_them(
            partials in prop::collection::vec((0..6_i64, 1..5_i64, -3..4_i64, 1..3_i64, any::<bool>()), 0..20),
            append_only in any::<bool>(),
            windows in 0..4_i64,
            over in 0..3_i64,
        ) {
            let (window, over) = match windows {
                0 => (Window::None, NEVER),
                _ => (Window::Tumble { key: 1, add_us: 1, size_us: 1 }, over),
            };
            // The newest one is that of the key.
            let hops = (1 < windows).then(|| Hops {
                keys: vec![1],
                offsets_us: (0..windows).map(|it| -it).collect(),
                size_us: Some(1),
            });
            let partials = partials.into_iter().map(|(key, bucket, value, count, is_taken_back)| {
                let bucket = if windows == 0 { FOR_EVER } else { bucket };
                let count = if is_taken_back && !append_only { -count } else { count };
                partial(key, bucket, value, count)
            });
            let partials: Vec<Partial> = partials.collect();
            let mut stored = StoredGroups::default();
            partials.iter().for_each(|it| stored.push(it));
            let mut restored = groups(window, hops.clone(), append_only);
            let of_windows = StoredGroups::default();
            restored.restore(RestoredGroups { groups: stored, of_windows }, over);
            let mut taken_in = groups(window, hops, append_only);
            taken_in.take_in(100, vec![partials.into_iter().map(|it| (100, it)).collect()], over);
            taken_in.finish();
            let (restored, expected) = (found(restored), found(taken_in));
            prop_assert_eq!(restored, expected);
        }
    }
}

//! Grouping: partial sums per worker and epoch, exchanged by key, admitted by the clock, arranged, and turned into rows.
//!
//! Admission is where event time is decided. It holds what it admitted per bucket (a window, or what leaves a sliding
//! range at once) and takes it all back when the bucket is over; for a window the rows that this would
//! retract are final, so the retraction ends at the view's edge and only frees the arrangement.

use super::{ChangeStream, ClockStream, Due, RunEpochs, Shared};
use crate::engine::StateContent;
use crate::engine::accumulate::{Accumulator, Partial, Slot, is_beyond_its_type, results};
use crate::engine::changes::Changes;
use crate::engine::clock::NEVER;
use crate::engine::distinct::{DistinctSets, Member};
use crate::engine::gate::Gate;
use crate::engine::grouping::{Grouper, Groups};
use crate::engine::packed::Packed;
use crate::model::{Row, array_of_values};
use crate::plan::{Aggregation, EARLY_US, Function, Pass, Window, late_schema, nullable};
use arrow::array::{
    Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::SchemaRef;
use differential_dataflow::consolidation::consolidate;
use differential_dataflow::difference::{Abelian, IsZero, Semigroup};
use differential_dataflow::operators::CountTotal;
use differential_dataflow::{AsCollection, Hashable, VecCollection};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{Operator, OutputBuilder};
use timely::dataflow::operators::vec::Map;

/// Partial groups with their epoch.
pub(in crate::engine) type PartialStream<'s> = StreamVec<'s, u64, (u64, Partial)>;

/// What admission lets through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Admitted {
    Group(Row, Accumulator),
    /// Start of a closed window, records that came too late for it.
    Late(i64, i64),
}

/// The rows of an aggregation, as changes, and the late records it refused.
pub(in crate::engine) fn aggregate<'s>(
    partials: PartialStream<'s>,
    aggregation: &Arc<Aggregation>,
    schema: &SchemaRef,
    view: &str,
    gate: Option<(Gate, ClockStream<'s>)>,
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> (ChangeStream<'s>, ChangeStream<'s>) {
    let closing = gate.as_ref().map(|it| it.0.clone());
    let admitted = admit(partials, aggregation, gate, epochs, shared);
    let groups = admitted
        .clone()
        .flat_map(|(it, time, diff)| match it {
            Admitted::Group(key, mut accumulator) => {
                if diff < 0 {
                    accumulator.negate();
                }
                Some((key, time, Packed::of(&accumulator)))
            }
            _ => None,
        })
        .as_collection();
    let counted = groups.count_total();
    let rows = finish(counted, aggregation, schema, view, closing, shared);
    let late = late(admitted, view, aggregation);
    (rows, late)
}

/// What an aggregation begins with: restored groups, or at the first start of all the one row it has without keys, even without records.
/// That one is taken in and stored like any other.
pub(in crate::engine) fn initial(
    aggregation: &Aggregation,
    restored: Vec<Partial>,
    has_first_row: bool,
) -> Vec<Partial> {
    let mut initial = restored;
    // What is sorted stays so on its way into the arrangement, and sorting what is sorted costs little.
    initial.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    if aggregation.keys.is_empty() && has_first_row {
        let accumulator = Accumulator {
            records: 1,
            ..Accumulator::empty(&aggregation.aggregates)
        };
        initial.push(Partial {
            key: Row::default(),
            bucket: i64::MAX,
            accumulator,
            members: Vec::new(),
        });
    }
    initial
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

/// What admission keeps of one bucket.
#[derive(Default)]
struct Bucket {
    groups: HashMap<Row, Accumulator, FixedState>,
    /// What it brought to distinct sets, if their groups outlive it.
    members: HashMap<Row, Vec<BucketMember>, FixedState>,
}

/// Number of the aggregate, both halves of the value's identity, how often: packed, since there may be millions.
type BucketMember = (u64, u64, i32, u8);

/// Lets partials of open buckets through, once the clock as of their epoch is known, and takes buckets back when they are over.
fn admit<'s>(
    partials: PartialStream<'s>,
    aggregation: &Arc<Aggregation>,
    gate: Option<(Gate, ClockStream<'s>)>,
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> StreamVec<'s, u64, (Admitted, u64, i64)> {
    let exchange = || Exchange::new(|it: &(u64, Partial)| it.1.key.hashed());
    let aggregation = Arc::clone(aggregation);
    let shared = Rc::clone(shared);
    // Where records only come, members leave with their group alone, unless they leave step by step.
    let slides = matches!(aggregation.window, Window::Last { .. });
    let distinct = DistinctSets::new(aggregation.append_only && !slides);
    let mut admission = Admission {
        aggregation,
        boot: epochs.boot,
        shared,
        buckets: BTreeMap::new(),
        distinct,
        due: Due::new(epochs),
        ahead: BTreeMap::new(),
        out: Vec::new(),
    };
    type Builder = CapacityContainerBuilder<Vec<(Admitted, u64, i64)>>;
    let Some((gate, ticks)) = gate else {
        return partials.unary_frontier::<Builder, _, _, _>(exchange(), "Admit", move |_, _| {
            let mut open: BTreeMap<u64, (Capability<u64>, Vec<Partial>)> = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each(|capability, data| {
                    for (time, partial) in data.drain(..) {
                        open.entry(time)
                            .or_insert_with(|| (capability.delayed(&time, 0), Vec::new()))
                            .1
                            .push(partial);
                    }
                });
                while let Some(entry) = open.first_entry() {
                    let time = *entry.key();
                    if frontier.less_equal(&time) {
                        break;
                    }
                    let (capability, partials) = entry.remove();
                    admission.take_in(time, partials, NEVER);
                    output
                        .session(&capability)
                        .give_iterator(admission.out.drain(..));
                }
            }
        });
    };
    let window = admission.aggregation.window;
    let control = Arc::clone(&epochs.control);
    partials.binary_frontier::<_, Builder, _, _, _, _>(
        ticks,
        exchange(),
        Pipeline,
        "Admit",
        move |capability, _| {
            let mut held = Some(capability);
            let mut open: BTreeMap<u64, Vec<Partial>> = BTreeMap::new();
            move |(input, frontier), (ticks, known), output| {
                ticks.for_each(|_, _| {});
                input.for_each(|_, data| {
                    for (time, partial) in data.drain(..) {
                        open.entry(time).or_default().push(partial);
                    }
                });
                let Some(capability) = held.as_mut() else {
                    return;
                };
                let end = u64::MAX;
                let upto = frontier
                    .frontier()
                    .first()
                    .copied()
                    .unwrap_or(end)
                    .min(known.frontier().first().copied().unwrap_or(end));
                let over = |epoch: u64| match window {
                    Window::None => NEVER,
                    Window::Tumble { .. } => gate.watermark(epoch),
                    Window::Last { .. } => gate.now(epoch),
                };
                while let Some(entry) = open.first_entry() {
                    let time = *entry.key();
                    if upto <= time {
                        break;
                    }
                    let partials = entry.remove();
                    admission.close_through(time, over);
                    admission.take_in(time, partials, over(time));
                }
                let last = match upto {
                    u64::MAX => control.last().map_or(0, |it| it.0),
                    upto => upto,
                };
                admission.close_through(last, over);
                for (time, changes) in admission.by_time() {
                    output
                        .session(&capability.delayed(&time))
                        .give_iterator(changes.into_iter());
                }
                if upto == end {
                    held = None;
                } else if *capability.time() < upto {
                    capability.downgrade(&upto);
                }
            }
        },
    )
}

struct Admission {
    aggregation: Arc<Aggregation>,
    boot: u64,
    shared: Rc<RefCell<Shared>>,
    buckets: BTreeMap<i64, Bucket>,
    distinct: DistinctSets,
    /// When buckets are over or let in.
    due: Due,
    /// What is too far ahead to be in a sliding range, by bucket and group. It waits until now has come near enough.
    ahead: BTreeMap<i64, HashMap<Row, Partial, FixedState>>,
    out: Vec<(Admitted, u64, i64)>,
}

impl Admission {
    /// Lets buckets in that were ahead and takes back those that are over, each at the first epoch at which it is so, up to and including
    /// `last`.
    fn close_through(&mut self, last: u64, over: impl Fn(u64) -> i64) {
        while let Some(epoch) = self.due.by(last, self.next_due(), &over) {
            self.open(epoch, over(epoch));
            self.close(epoch, over(epoch));
        }
    }

    /// What `over` has to reach for the next bucket to be over or to be let in.
    fn next_due(&self) -> Option<i64> {
        let over = self.buckets.first_key_value().map(|it| *it.0);
        let ahead = self.ahead.first_key_value();
        let enters = ahead.map(|it| it.0.saturating_sub(self.reach_us()));
        let due = over.into_iter().chain(enters).min();
        due.filter(|it| *it != i64::MAX)
    }

    /// Buckets may be ahead of `over` by so much.
    fn reach_us(&self) -> i64 {
        match self.aggregation.window {
            Window::Last { size_us, .. } => size_us.saturating_add(EARLY_US),
            Window::None | Window::Tumble { .. } => i64::MAX,
        }
    }

    /// Lets in what waited and is near enough.
    fn open(&mut self, time: u64, over: i64) {
        let newest = over.saturating_add(self.reach_us());
        while let Some(entry) = self.ahead.first_entry()
            && *entry.key() <= newest
        {
            let bucket = entry.remove();
            for partial in bucket.into_values() {
                self.let_in(time, partial, over, false);
            }
        }
    }

    /// What has been let through, by epoch.
    fn by_time(&mut self) -> BTreeMap<u64, Vec<(Admitted, u64, i64)>> {
        let mut by_time: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for change in self.out.drain(..) {
            by_time.entry(change.1).or_default().push(change);
        }
        by_time
    }

    /// Takes back every bucket that is over.
    fn close(&mut self, time: u64, over: i64) {
        while let Some(entry) = self.buckets.first_entry() {
            if over < *entry.key() || *entry.key() == i64::MAX {
                break;
            }
            let bucket = entry.remove();
            self.take_back(time, bucket);
        }
    }

    fn take_back(&mut self, time: u64, bucket: Bucket) {
        let Bucket {
            mut groups,
            members,
        } = bucket;
        for (key, members) in members {
            let sum = groups
                .entry(key.clone())
                .or_insert_with(|| Accumulator::empty(&self.aggregation.aggregates));
            // The sum is subtracted as a whole, and so is what the sets lose.
            sum.negate();
            let mut gone = members
                .into_iter()
                .map(|(high, low, diff, at)| Member::new(at, joined(high, low), -i64::from(diff)))
                .collect();
            self.distinct.add(&key, &mut gone, sum);
            sum.negate();
        }
        let ends_group = matches!(self.aggregation.window, Window::Tumble { .. });
        for (key, mut sum) in groups {
            if ends_group {
                self.distinct.take(&key, &mut sum);
            }
            self.out.push((Admitted::Group(key, sum), time, -1));
        }
    }

    fn take_in(&mut self, time: u64, partials: Vec<Partial>, over: i64) {
        let is_news = self.boot < time;
        let slides = matches!(self.aggregation.window, Window::Last { .. });
        let newest = over.saturating_add(self.reach_us());
        for partial in partials {
            if !slides || partial.bucket <= newest || partial.bucket == i64::MAX {
                self.let_in(time, partial, over, is_news);
            } else {
                self.keep_ahead(time, partial, is_news);
            }
        }
    }

    /// Keeps a partial that is too far ahead, as one with what is there of its group.
    fn keep_ahead(&mut self, time: u64, mut partial: Partial, is_news: bool) {
        let append_only = self.aggregation.append_only;
        let bucket = self.ahead.entry(partial.bucket).or_default();
        match bucket.entry(partial.key.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(partial.clone());
            }
            Entry::Occupied(mut entry) => {
                let kept = entry.get_mut();
                if append_only {
                    trim(
                        &mut partial.accumulator,
                        &kept.accumulator,
                        &self.aggregation,
                    );
                }
                kept.accumulator.plus_equals(&partial.accumulator);
                kept.members.extend(partial.members.iter().cloned());
            }
        }
        if is_news {
            self.capture(time, partial);
        }
    }

    /// Lets a partial through unless its bucket is over. What is news becomes part of the stored state.
    fn let_in(&mut self, time: u64, mut partial: Partial, over: i64, is_news: bool) {
        let keeps_buckets = self.aggregation.window != Window::None;
        let append_only = self.aggregation.append_only;
        if partial.bucket <= over && partial.bucket != i64::MAX {
            // Restored state may hold buckets that were over already; those are no news. Records of several windows are not counted,
            // as `sql::late` does not either.
            if let Window::Tumble { .. } = self.aggregation.window
                && self.aggregation.hops.is_none()
                && is_news
            {
                self.out.push((
                    Admitted::Late(partial.bucket, partial.accumulator.records),
                    time,
                    1,
                ));
            }
            return;
        }
        if append_only && !keeps_buckets {
            partial.accumulator.keep_best(&self.aggregation.aggregates);
        }
        if keeps_buckets {
            let bucket = self.buckets.entry(partial.bucket).or_default();
            let sum = bucket
                .groups
                .entry(partial.key.clone())
                .or_insert_with(|| Accumulator::empty(&self.aggregation.aggregates));
            if append_only {
                trim(&mut partial.accumulator, sum, &self.aggregation);
            }
            sum.plus_equals(&partial.accumulator);
            if sum.is_zero() {
                bucket.groups.remove(&partial.key);
            }
            if let Window::Last { .. } = self.aggregation.window
                && !partial.members.is_empty()
            {
                let members = bucket.members.entry(partial.key.clone()).or_default();
                members.extend(partial.members.iter().flat_map(packed));
            }
        }
        let (key, mut change) = (partial.key.clone(), partial.accumulator.clone());
        // What made no difference to a set is not stored either.
        self.distinct.add(&key, &mut partial.members, &mut change);
        if is_news {
            self.capture(time, partial);
        }
        self.out.push((Admitted::Group(key, change), time, 1));
    }

    fn capture(&self, time: u64, partial: Partial) {
        let content = StateContent::Group(partial);
        self.shared
            .borrow_mut()
            .capture(time, &self.aggregation.id, content);
    }
}

/// A member as a bucket keeps it; in several parts if it came more often than one part can say.
fn packed(member: &Member) -> impl Iterator<Item = BucketMember> + use<> {
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

/// Groups and their accumulators as rows; changes of windows that are closed end here.
fn finish<'s>(
    counted: VecCollection<'s, u64, (Row, Packed), isize>,
    aggregation: &Arc<Aggregation>,
    schema: &SchemaRef,
    view: &str,
    gate: Option<Gate>,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let (aggregation, schema) = (Arc::clone(aggregation), schema.clone());
    let (view, shared) = (view.to_owned(), Rc::clone(shared));
    counted
        .inner
        .unary_frontier::<CapacityContainerBuilder<Changes>, _, _, _>(
            Pipeline,
            "Finish",
            move |_, _| {
                let mut open: BTreeMap<u64, (Capability<u64>, Vec<((Row, Packed), isize)>)> =
                    BTreeMap::new();
                move |(input, frontier), output| {
                    input.for_each(|capability, data| {
                        for (data, time, diff) in data.drain(..) {
                            open.entry(time)
                                .or_insert_with(|| (capability.delayed(&time, 0), Vec::new()))
                                .1
                                .push((data, diff));
                        }
                    });
                    while let Some(entry) = open.first_entry() {
                        if frontier.less_equal(entry.key()) {
                            break;
                        }
                        let (time, (capability, mut changes)) = entry.remove_entry();
                        if let (Window::Tumble { key, add_us, .. }, Some(gate)) =
                            (aggregation.window, &gate)
                        {
                            let watermark = gate.watermark(time);
                            changes.retain(|((row, _), _)| {
                                row.0[key].as_i64().is_none_or(|it| watermark < it + add_us)
                            });
                        }
                        consolidate(&mut changes);
                        if !changes.is_empty() {
                            let changes = changes.into_iter();
                            let changes: Vec<((Row, Accumulator), isize)> = changes
                                .map(|((key, it), diff)| ((key, it.unpacked()), diff))
                                .collect();
                            note_sums_without_place(&aggregation, &view, &changes, &shared);
                            let mut rows = rows_of(&aggregation, &schema, &changes);
                            output.session(&capability).give_container(&mut rows);
                        }
                    }
                }
            },
        )
}

/// Counts the sums that become NULL since their type does not hold them.
fn note_sums_without_place(
    aggregation: &Aggregation,
    view: &str,
    changes: &[((Row, Accumulator), isize)],
    shared: &Rc<RefCell<Shared>>,
) {
    let sums = aggregation.aggregates.iter().enumerate();
    for (at, aggregate) in sums.filter(|it| it.1.is_of_integers()) {
        let beyond = changes.iter().filter(|((_, accumulator), diff)| {
            let slot = accumulator.slots.get(at);
            0 < *diff && slot.is_some_and(|it| is_beyond_its_type(aggregate, it))
        });
        let count = beyond.count() as u64;
        if count != 0 {
            let holds = crate::plan::sql_name(&aggregate.result_type);
            let reason = format!("results are NULL, since the sum is beyond what {holds} holds");
            shared.borrow_mut().note_left_out(view, count, reason);
        }
    }
}

fn rows_of(
    aggregation: &Aggregation,
    schema: &SchemaRef,
    changes: &[((Row, Accumulator), isize)],
) -> Changes {
    let keys = aggregation.keys.len();
    let columns = (0..schema.fields().len())
        .map(|at| match at.checked_sub(keys) {
            None => array_of_values(
                schema.field(at).data_type(),
                changes.iter().map(|((row, _), _)| &row.0[at]),
            ),
            Some(number) => results(
                &aggregation.aggregates[number],
                number,
                changes.iter().map(|((_, it), _)| it),
            ),
        })
        .collect::<Result<Vec<_>, _>>()
        .expect("the planner admits only types that rows carry");
    let options = RecordBatchOptions::new().with_row_count(Some(changes.len()));
    let batch = RecordBatch::try_new_with_options(nullable(schema), columns, &options)
        .expect("columns have the schema's types");
    Changes::signed(
        batch,
        changes.iter().map(|it| it.1 as i64).collect::<Vec<_>>(),
    )
}

/// Late records as rows of the relation that counts them.
fn late<'s>(
    admitted: StreamVec<'s, u64, (Admitted, u64, i64)>,
    view: &str,
    aggregation: &Aggregation,
) -> ChangeStream<'s> {
    let view = view.to_owned();
    let size = match aggregation.window {
        Window::Tumble { size_us, .. } => size_us,
        _ => 0,
    };
    admitted.unary::<CapacityContainerBuilder<Changes>, _, _, _>(Pipeline, "Late", move |_, _| {
        move |input, output| {
            input.for_each(|capability, data| {
                let mut by_epoch: BTreeMap<u64, Vec<(i64, i64)>> = BTreeMap::new();
                for (it, time, _) in data.drain(..) {
                    if let Admitted::Late(end, records) = it {
                        by_epoch
                            .entry(time)
                            .or_default()
                            .push((end - size, records));
                    }
                }
                for (time, rows) in by_epoch {
                    let starts =
                        TimestampMicrosecondArray::from_iter_values(rows.iter().map(|it| it.0))
                            .with_timezone("UTC");
                    let batch = RecordBatch::try_new(
                        late_schema(),
                        vec![
                            Arc::new(StringArray::from_iter_values(rows.iter().map(|_| &view))),
                            Arc::new(starts),
                            Arc::new(Int64Array::from_iter_values(rows.iter().map(|it| it.1))),
                            Arc::new(Int64Array::from_value(time as i64, rows.len())),
                        ],
                    )
                    .expect("late counts have their own schema");
                    output
                        .session(&capability.delayed(&time, 0))
                        .give_container(&mut Changes::records(batch));
                }
            });
        }
    })
}

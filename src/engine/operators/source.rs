//! A source on one worker: reads its feed, stamps records with the epoch, closes epochs by the wall clock.
//!
//! Each epoch has a fixed cost, with or without records. On a machine that cannot pay it as often as the clock asks, epochs would queue up, and
//! sources that wait for the queue would never read again. So an epoch stays open until the one before it is complete: `in_flight.rs`.

use super::in_flight::{HELD_SLEEP_MS, InFlight};
use super::{ChangeStream, Shared};
use crate::engine::changes::Changes;
use crate::engine::clock::{Ahead, Report};
use crate::engine::credible::{Credible, Judged, Moment};
use crate::engine::{ClockState, Feed, Input, Job, Records, SourceProgress, Undecoded};
use crate::model::{Epoch, Partition, Stamps};
use crate::plan::{SourceSpec, dead_letter_schema, put_read_times};
use arrow::array::{
    AsArray, BinaryArray, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};

/// Taken per activation: a few full inputs, or many small ones. An epoch needs several turns of all workers until it is complete, so
/// what is taken in a turn is also what delays and memory are made of; but each turn tells all workers of its progress.
const RECORDS_PER_TURN: usize = 6_000;
const INPUTS_PER_TURN: usize = 32;
/// How long an idle source sleeps first, in milliseconds, and one that waits for the others to end.
const IDLE_SLEEP_MS: u64 = 2;
/// A source that took fewer records in a turn goes on sleeping as long as before: what came belongs to the epoch in any case. One that
/// took more may be read as fast as it is decoded.
const BUSY_RECORDS: usize = 1_000;
/// Records of an epoch go downstream once there are this many, and at its end.
const GATHERED_RECORDS: usize = 500;
/// An operator that did not run for longer than this after the end of an epoch, and than what counts as silence, had a pause. Less is what a busy
/// machine takes.
const PAUSE_MS_MIN: u64 = 1_000;

pub(in crate::engine) struct SourceStreams<'s> {
    pub records: ChangeStream<'s>,
    pub undecoded: ChangeStream<'s>,
    pub reports: StreamVec<'s, u64, Report>,
    /// When it is asked to end, its last epoch.
    pub ended: StreamVec<'s, u64, u64>,
}

/// The operator. It holds capabilities at its current epoch. Asked to end, it reads no more and stays in the epoch it is in until the
/// sources of all workers have ended too: the last epoch of the run is the greatest of theirs, and none comes after it.
pub(in crate::engine) fn source<'s>(
    scope: Scope<'s, u64>,
    number: usize,
    spec: &SourceSpec,
    mut feed: Box<dyn Feed>,
    job: &Job,
    shared: Rc<RefCell<Shared>>,
) -> SourceStreams<'s> {
    let mut builder = OperatorBuilder::new(format!("Source {}", spec.name), scope);
    let info = builder.operator_info();
    let (records_output, records) = builder.new_output::<Changes>();
    let (undecoded_output, undecoded) = builder.new_output::<Changes>();
    let (reports_output, reports) = builder.new_output::<Vec<Report>>();
    let (ended_output, ended) = builder.new_output::<Vec<u64>>();
    let mut records_output =
        OutputBuilder::<_, CapacityContainerBuilder<Changes>>::from(records_output);
    let mut undecoded_output =
        OutputBuilder::<_, CapacityContainerBuilder<Changes>>::from(undecoded_output);
    let mut reports_output =
        OutputBuilder::<_, CapacityContainerBuilder<Vec<Report>>>::from(reports_output);
    let mut ended_output =
        OutputBuilder::<_, CapacityContainerBuilder<Vec<u64>>>::from(ended_output);
    let activator = scope.activator_for(Rc::clone(&info.address));
    let settings = job.settings.clone();
    let (start, wall, control) = (job.start, job.wall.clone(), Arc::clone(&job.control));
    let name = spec.name.clone();
    let mut gathered = Gathered::new(spec.schema(), spec.read_times());
    let clock = job.settings.clocks[&spec.name];
    let idle_sleep_ms_max = settings.idle_sleep_ms_max.max(IDLE_SLEEP_MS);
    let mut judges = Judges {
        column: spec.event_time.map(|it| it.column),
        lead_us: clock.lead_us,
        known: job.restored.clocks.get(&spec.name).cloned(),
        judges: BTreeMap::new(),
    };
    builder.build(move |mut capabilities| {
        capabilities
            .iter_mut()
            .for_each(|it| it.downgrade(&start.0));
        let mut held = Some(capabilities);
        let mut epoch = start;
        let mut in_flight = InFlight::default();
        // What this epoch has brought of each partition, and how each stands.
        let mut progress: BTreeMap<Partition, SourceProgress> = BTreeMap::new();
        let mut standing: BTreeMap<Partition, Report> = BTreeMap::new();
        let mut partitions: BTreeSet<Partition> = BTreeSet::new();
        let mut has_ended = false;
        let (mut sleep_ms, mut taken_in_epoch) = (0, 0);
        move |_frontiers| {
            let Some(capabilities) = held.as_mut() else {
                return;
            };
            if has_ended {
                match control.last() {
                    Some(_) => held = None,
                    None => activator.activate_after(Duration::from_millis(IDLE_SLEEP_MS)),
                }
                return;
            }
            has_ended = control.is_stopping();
            // What came before the epoch is over belongs to it, also if that was slept through.
            let (may_read, is_complete) = {
                let shared = shared.borrow();
                in_flight.complete_below(shared.frontier);
                let lag_max_ms = settings.lag_max_ms + control.skew_ms.load(Ordering::Acquire);
                let may_read = !shared.wait && in_flight.age_ms(wall.epoch_ms()) <= lag_max_ms;
                (may_read, in_flight.is_empty())
            };
            let (mut idle, mut taken) = (true, 0);
            let room = settings.epoch_records_max.saturating_sub(taken_in_epoch);
            let inputs = if may_read && !has_ended {
                INPUTS_PER_TURN
            } else {
                0
            };
            for _ in 0..inputs {
                if RECORDS_PER_TURN.min(room) <= taken {
                    break;
                }
                let Some(input) = feed.next() else { break };
                idle = false;
                taken += input.records.num_rows();
                partitions.insert(input.partition);
                let moment = Moment {
                    epoch: epoch.0,
                    wall_ms: wall.now_ms(),
                    at_end: input.at_end,
                };
                let judged = judges.judge(&input, moment);
                note(number, &input, judged, &mut progress, &mut standing);
                if !input.undecoded.is_empty() {
                    let dead = Changes::records(dead_letters(
                        &name,
                        epoch,
                        input.undecoded.iter().map(|it| (input.partition, it)),
                    ));
                    give(&mut undecoded_output, &capabilities[1], dead);
                }
                if 0 < input.records.num_rows() {
                    let changes = match input.kind {
                        Records::Read => gathered.add(input.records, epoch),
                        Records::Archived => Some(Changes::records(input.records)),
                        Records::OfView => {
                            let signs = vec![1; input.records.num_rows()];
                            Some(Changes::signed(input.records, signs))
                        }
                    };
                    if let Some(changes) = changes {
                        give(&mut records_output, &capabilities[0], changes);
                    }
                }
            }
            let now_ms = wall.epoch_ms();
            taken_in_epoch += taken;
            let end_of = |epoch: Epoch, taken: usize| {
                // A busy source keeps epochs short: their fixed cost no longer matters, and less is in flight.
                let length_ms = match taken {
                    BUSY_RECORDS.. => Some(settings.tick_ms),
                    _ => control.readers.length_ms(wall.now_ms()),
                };
                settings.end_of(epoch.0, start.0, length_ms)
            };
            let end = end_of(epoch, taken_in_epoch);
            let is_over = end < now_ms;
            let current = Epoch::at_or_after(now_ms, settings.tick_ms);
            if is_over {
                in_flight.over(end, current.0);
            }
            if has_ended || is_over && is_complete {
                let passed_ms = current.0.saturating_sub(epoch.0);
                let held = in_flight.close(epoch, now_ms);
                if held.is_open_longer {
                    // What came while it was held open came later than its number says.
                    let read = standing.values_mut();
                    let read = read.filter(|it| it.newest_us.is_some() || it.behind);
                    read.for_each(|it| it.pause_ms = passed_ms);
                }
                if clock.idle_ms.max(PAUSE_MS_MIN) < held.silent_ms && !has_ended {
                    feed.look_again();
                    for partition in &partitions {
                        let report = standing.entry(*partition);
                        let report = report.or_insert_with(|| standing_of(number, *partition));
                        (report.at_end, report.pause_ms) = (false, passed_ms);
                    }
                }
                if let Some(changes) = gathered.take(epoch) {
                    give(&mut records_output, &capabilities[0], changes);
                }
                let mut output = reports_output.activate();
                let mut session = output.session(&capabilities[2]);
                for mut report in std::mem::take(&mut standing).into_values() {
                    report.epoch = epoch.0;
                    session.give(report);
                }
                drop(session);
                let read: Vec<SourceProgress> =
                    std::mem::take(&mut progress).into_values().collect();
                if !read.is_empty() {
                    shared
                        .borrow_mut()
                        .progress
                        .entry(epoch.0)
                        .or_default()
                        .extend(read);
                }
                if has_ended {
                    let mut output = ended_output.activate();
                    output.session(&capabilities[3]).give(epoch.0);
                    activator.activate_after(Duration::from_millis(IDLE_SLEEP_MS));
                    return;
                }
                (epoch, taken_in_epoch) = (current, 0);
                capabilities
                    .iter_mut()
                    .for_each(|it| it.downgrade(&epoch.0));
            }
            if idle {
                // Longer and longer, but never beyond the end of the epoch.
                sleep_ms = (2 * sleep_ms).clamp(IDLE_SLEEP_MS, idle_sleep_ms_max);
                let left_ms = (end_of(epoch, taken_in_epoch) + 1).checked_sub(now_ms);
                let left_ms = left_ms.filter(|it| 0 < *it).unwrap_or(HELD_SLEEP_MS);
                let sleep_ms = sleep_ms.min(left_ms);
                activator.activate_after(Duration::from_millis(sleep_ms));
            } else {
                if BUSY_RECORDS <= taken {
                    sleep_ms = 0;
                }
                activator.activate();
            }
        }
    });
    SourceStreams {
        records,
        undecoded,
        reports,
        ended,
    }
}

/// Sends a batch downstream.
fn give(
    output: &mut OutputBuilder<u64, CapacityContainerBuilder<Changes>>,
    capability: &Capability<u64>,
    mut changes: Changes,
) {
    output
        .activate()
        .session(capability)
        .give_container(&mut changes);
}

/// Batches the records of an epoch: evaluating a batch costs about the same for one record as for hundreds.
struct Gathered {
    /// The columns a feed yields, and the epoch.
    schema: SchemaRef,
    /// Columns that are the time of reading.
    read_times: Vec<usize>,
    batches: Vec<RecordBatch>,
    records: usize,
}

impl Gathered {
    fn new(schema: SchemaRef, read_times: Vec<usize>) -> Self {
        Gathered {
            schema,
            read_times,
            batches: Vec::new(),
            records: 0,
        }
    }

    /// Adds records of an epoch; returns the batch once it is large enough.
    fn add(&mut self, records: RecordBatch, epoch: Epoch) -> Option<Changes> {
        self.records += records.num_rows();
        self.batches.push(records);
        if self.records < GATHERED_RECORDS {
            return None;
        }
        self.take(epoch)
    }

    /// The batch so far, with the epoch it was read in.
    fn take(&mut self, epoch: Epoch) -> Option<Changes> {
        self.records = 0;
        let batches = std::mem::take(&mut self.batches);
        let one = match batches.as_slice() {
            [] => return None,
            [one] => one.clone(),
            [first, ..] => concat_batches(first.schema_ref(), &batches)
                .expect("a feed yields the source's columns"),
        };
        let epochs = Int64Array::from_value(epoch.0 as i64, one.num_rows());
        let mut columns = one.columns().to_vec();
        put_read_times(&mut columns, &self.read_times, &epochs);
        columns.push(Arc::new(epochs));
        let all = RecordBatch::try_new(self.schema.clone(), columns);
        Some(Changes::records(
            all.expect("a feed yields the source's columns"),
        ))
    }
}

/// Who judges the event times of each partition.
struct Judges {
    /// The event time among the columns of the source.
    column: Option<usize>,
    lead_us: i64,
    /// The clock that this run goes on from.
    known: Option<ClockState>,
    judges: BTreeMap<Partition, Credible>,
}

impl Judges {
    /// What an input says of event time. Records of the archive have been judged before.
    fn judge(&mut self, input: &Input, moment: Moment) -> Judged {
        let (Records::Read, Some(column)) = (input.kind, self.column) else {
            return Judged {
                newest_us: input.newest_us,
                ahead: None,
            };
        };
        let known = |it: &ClockState| it.known_of(input.partition.0);
        let judge = self.judges.entry(input.partition);
        let judge = judge
            .or_insert_with(|| Credible::new(self.lead_us, self.known.as_ref().and_then(known)));
        let times = input.records.column(column);
        judge.judge(times.as_primitive::<TimestampMicrosecondType>(), moment)
    }
}

/// A partition of which nothing is known in an epoch.
fn standing_of(source: usize, partition: Partition) -> Report {
    Report {
        epoch: 0,
        source: source as u32,
        partition: partition.0,
        newest_us: None,
        ahead: None,
        at_end: false,
        behind: false,
        pause_ms: 0,
    }
}

fn note(
    source: usize,
    input: &Input,
    judged: Judged,
    progress: &mut BTreeMap<Partition, SourceProgress>,
    standing: &mut BTreeMap<Partition, Report>,
) {
    let report = standing
        .entry(input.partition)
        .or_insert_with(|| standing_of(source, input.partition));
    report.newest_us = report.newest_us.max(judged.newest_us);
    report.ahead = Ahead::of_both(report.ahead, judged.ahead);
    report.at_end = input.at_end;
    report.behind |= !input.at_end;
    let read = progress
        .entry(input.partition)
        .or_insert_with(|| SourceProgress {
            source,
            partition: input.partition,
            from: input.from,
            next: input.next.clone(),
            records: 0,
            undecoded: 0,
            bytes: 0,
            checksum: 0,
            stamps: None,
        });
    read.next = input.next.clone();
    read.records += input.records.num_rows() as u64;
    read.undecoded += input.undecoded.len() as u64;
    read.bytes += input.bytes;
    read.checksum = read.checksum.wrapping_add(input.checksum);
    read.stamps = Stamps::of_both(read.stamps, input.stamps);
}

/// Records of a source that could not be taken in, as rows.
pub(super) fn dead_letters<'a>(
    source: &str,
    epoch: Epoch,
    letters: impl Iterator<Item = (Partition, &'a Undecoded)> + Clone,
) -> RecordBatch {
    let count = letters.clone().count();
    let seconds = (epoch.0 / 1000) as i64;
    RecordBatch::try_new(
        dead_letter_schema(),
        vec![
            Arc::new(StringArray::from_iter_values(
                letters.clone().map(|_| source),
            )),
            Arc::new(Int32Array::from_iter_values(
                letters.clone().map(|it| it.0.0),
            )),
            Arc::new(Int64Array::from_iter_values(
                letters.clone().map(|it| it.1.offset),
            )),
            Arc::new(BinaryArray::from_iter_values(
                letters.clone().map(|it| &it.1.raw),
            )),
            Arc::new(StringArray::from_iter_values(
                letters.map(|it| &it.1.reason),
            )),
            Arc::new(Int64Array::from_value(epoch.0 as i64, count)),
            Arc::new(Date32Array::from_value((seconds / 86_400) as i32, count)),
            Arc::new(Int32Array::from_value(
                (seconds % 86_400 / 3600) as i32,
                count,
            )),
        ],
    )
    .expect("dead letters have their own schema")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;
    use arrow::datatypes::Schema;

    #[test]
    fn an_epoch_remembers_that_a_partition_was_behind() {
        let (mut progress, mut standing) = (BTreeMap::new(), BTreeMap::new());
        for at_end in [false, true] {
            let input = Input {
                partition: Partition(3),
                from: crate::model::Offset(0),
                next: Position::default(),
                records: RecordBatch::new_empty(Arc::new(Schema::empty())),
                kind: Records::Read,
                undecoded: Vec::new(),
                newest_us: None,
                at_end,
                bytes: 0,
                checksum: 0,
                stamps: None,
            };
            let nothing = Judged {
                newest_us: None,
                ahead: None,
            };
            note(0, &input, nothing, &mut progress, &mut standing);
        }
        let report = &standing[&Partition(3)];
        assert!(report.at_end && report.behind);
    }
}

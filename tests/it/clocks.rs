//! The two clocks, event time and wall clock, must not spoil each other: a process that was suspended, a wall clock that is set, a
//! backlog with one record of today, a producer whose clock is ahead. No record that came in time is late then, windows close
//! all the same, and every view is what DataFusion computes over the archive.
//!
//! Partitions fill while simulated time passes; the wall clock is that time and an offset. The engine is the real one.

use super::oracle::{
    Handed, Lake, Random, START_MS, Subject, WorkerOutputs, compare, input_of, job, small_record,
    subject, take,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidelake::engine::{self, Feed, Input, Mesh, Outputs, Panes, Sharing, Wall};
use tidelake::model::{Epoch, Partition};
use tidelake::plan::LATE_COLUMN;
use tidelake::source::decode::{Decoder, RawRecords};

const HOUR_MS: u64 = 3_600_000;
/// Simulated time with nothing to read at the end of a run: more than until windows close by the wall clock.
const QUIET_MS: u64 = 60_000;

/// What happens to the process or its clock, at a time after the start.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It stands still for a while.
    Suspended { at_ms: u64, for_ms: u64 },
    /// Its wall clock is set.
    ClockSet { at_ms: u64, by_ms: i64 },
}

/// A record, and when it comes to be in its partition.
#[derive(Clone)]
struct Arrival {
    at_ms: u64,
    text: Vec<u8>,
}

/// Time as it passes, and the clock on the wall.
struct World {
    now_ms: AtomicU64,
    offset_ms: AtomicI64,
    events: Mutex<VecDeque<Event>>,
    /// Feeds that have not read everything.
    reading: AtomicUsize,
}

impl World {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Acquire)
    }

    fn wall_ms(&self) -> u64 {
        self.now_ms()
            .saturating_add_signed(self.offset_ms.load(Ordering::Acquire))
    }

    fn pass(&self, ms: u64) {
        let now = self.now_ms.fetch_add(ms, Ordering::AcqRel) + ms;
        let mut events = self.events.lock().unwrap();
        let at = |it: &Event| match it {
            Event::Suspended { at_ms, .. } | Event::ClockSet { at_ms, .. } => START_MS + at_ms,
        };
        while events.front().is_some_and(|it| at(it) <= now) {
            match events.pop_front() {
                Some(Event::Suspended { for_ms, .. }) => {
                    self.now_ms.fetch_add(for_ms, Ordering::AcqRel);
                }
                Some(Event::ClockSet { by_ms, .. }) => {
                    self.offset_ms.fetch_add(by_ms, Ordering::AcqRel);
                }
                None => {}
            }
        }
    }
}

struct LivePartition {
    number: Partition,
    arrivals: Arc<Vec<Arrival>>,
    next: usize,
    told_end: bool,
}

struct LiveFeed {
    random: Random,
    world: Arc<World>,
    partitions: Vec<LivePartition>,
    decoder: Decoder,
    /// A reader that was asked to look again takes a while, as one that has to connect anew.
    blind_until_ms: u64,
    done: bool,
}

impl Feed for LiveFeed {
    fn next(&mut self) -> Option<Input> {
        if self.random.chance(40) {
            self.world.pass(1 + self.random.below(150));
            return None;
        }
        let unread = |it: &LivePartition| it.next < it.arrivals.len();
        if !self.done && !self.partitions.iter().any(unread) {
            self.done = true;
            self.world.reading.fetch_sub(1, Ordering::AcqRel);
        }
        let now = self.world.now_ms();
        if now < self.blind_until_ms {
            return None;
        }
        let there = |it: &LivePartition| it.arrivals.partition_point(|it| it.at_ms <= now);
        let news: Vec<usize> = (0..self.partitions.len())
            .filter(|at| {
                let it = &self.partitions[*at];
                it.next < there(it) || !it.told_end
            })
            .collect();
        if news.is_empty() {
            return None;
        }
        let partition = &mut self.partitions[news[self.random.below(news.len() as u64) as usize]];
        let (from, end) = (partition.next, there(partition));
        partition.next = end.min(from + 1 + self.random.below(40) as usize);
        partition.told_end = partition.next == end;
        let mut raw = RawRecords {
            partition: partition.number,
            data: Vec::new(),
            ends: Vec::new(),
            offsets: Vec::new(),
            header: None,
        };
        for (at, record) in partition.arrivals[from..partition.next].iter().enumerate() {
            raw.data.extend_from_slice(&record.text);
            raw.ends.push(raw.data.len() as u32);
            raw.offsets.push((from + at) as i64);
        }
        let decoded = self.decoder.decode(&raw);
        let offsets = from..partition.next;
        Some(input_of(decoded, &raw, offsets, partition.told_end))
    }

    fn look_again(&mut self) {
        self.blind_until_ms = self.world.now_ms() + self.random.below(12_000);
        self.partitions
            .iter_mut()
            .for_each(|it| it.told_end = false);
    }
}

/// What came out of some runs.
struct Outcome {
    records: usize,
    late: usize,
    sealed: usize,
}

/// Runs one after another over the same partitions, the second with two workers from `restart_ms` after the start; all that was committed
/// is compared.
fn outcome(
    seed: u64,
    partitions: &[Vec<Arrival>],
    events: &[Event],
    offset_ms: i64,
    restart_ms: u64,
) -> Outcome {
    let subject: Subject = subject("tests/dataflows/everything", small_record);
    let dataflow = subject.dataflow;
    let texts: Vec<Arc<Vec<Vec<u8>>>> = partitions
        .iter()
        .map(|it| Arc::new(it.iter().map(|it| it.text.clone()).collect()))
        .collect();
    let arrivals: Vec<Arc<Vec<Arrival>>> = partitions.iter().cloned().map(Arc::new).collect();
    let world = Arc::new(World {
        now_ms: AtomicU64::new(START_MS),
        offset_ms: AtomicI64::new(offset_ms),
        events: Mutex::new(events.iter().copied().collect()),
        reading: AtomicUsize::new(0),
    });
    let mut random = Random(seed);
    let mut lake = Lake::of(&dataflow);
    for (workers, until_ms) in [(1, START_MS + restart_ms), (2, u64::MAX)] {
        let sealed_before: Vec<usize> = lake.sealed.iter().map(Vec::len).collect();
        let handed = Arc::new(Mutex::new(Handed::of(1)));
        world.reading.store(workers, Ordering::Release);
        let parts = (0..workers)
            .map(|worker| {
                let of_worker = |it: &(usize, &Arc<Vec<Arrival>>)| it.0 % workers == worker;
                let partitions = arrivals.iter().enumerate().filter(of_worker);
                let feed = LiveFeed {
                    random: Random(random.next()),
                    world: Arc::clone(&world),
                    partitions: partitions
                        .map(|(number, arrivals)| {
                            let number = Partition(number as i32);
                            let read = lake.offsets.get(number);
                            LivePartition {
                                number,
                                arrivals: Arc::clone(arrivals),
                                next: read.map_or(0, |it| it.offset.0 as usize),
                                told_end: false,
                            }
                        })
                        .collect(),
                    decoder: tidelake::coordinator::decoder(&dataflow.sources[0]).unwrap(),
                    blind_until_ms: 0,
                    done: false,
                };
                let outputs: Box<dyn Outputs> = Box::new(WorkerOutputs::new(&handed, 0, &dataflow));
                (super::alarms::feeds_of(&dataflow, feed), outputs)
            })
            .collect();
        let start = Epoch::at_or_after(world.wall_ms(), 100).max(Epoch(lake.epoch.0 + 100));
        let control = Arc::default();
        let sharing = Sharing::new(0..workers, workers, Panes::of(&dataflow));
        let state = lake.state.clone();
        let mut job = job(
            &dataflow,
            &lake,
            state,
            &sharing,
            start,
            &control,
            &Arc::default(),
        );
        let (wall, steady) = (Arc::clone(&world), Arc::clone(&world));
        job.wall = Wall::of(move || wall.wall_ms(), move || steady.now_ms());
        let running = engine::start(job, Mesh::default(), parts).unwrap();
        let wait = |done: &dyn Fn() -> bool| {
            while !done() {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        wait(&|| world.reading.load(Ordering::Acquire) == 0 || until_ms < world.now_ms());
        let quiet_until = world.now_ms() + QUIET_MS;
        wait(&|| quiet_until < world.now_ms() || until_ms < world.now_ms());
        control.stop();
        running.join().unwrap();
        let handed = std::mem::take(&mut *handed.lock().unwrap());
        let commits: Vec<Epoch> = handed.reports.keys().copied().collect();
        commits.iter().for_each(|it| take(&mut lake, &handed, *it));
        compare(&dataflow, &texts, &lake, &handed, &sealed_before);
        world.pass(random.below(4_000));
    }
    let raw = dataflow.tables.iter().position(|it| it.name == "raw");
    let rows = &lake.archive[raw.unwrap()];
    let late = |it: &arrow::array::RecordBatch| {
        let marks = it.column_by_name(LATE_COLUMN).unwrap();
        marks.len() - marks.null_count()
    };
    let windows = dataflow.views.iter().position(|it| it.name == "per_10s");
    Outcome {
        records: rows.iter().map(|it| it.num_rows()).sum(),
        late: rows.iter().map(late).sum(),
        sealed: lake.sealed[windows.unwrap()].len(),
    }
}

/// Records that come when they happen, a few seconds out of order, `every_ms` apart in each partition, from the start to its end.
fn live(random: &mut Random, partitions: u64, to_ms: u64, every_ms: u64) -> Vec<Vec<Arrival>> {
    let mut all = vec![Vec::new(); partitions as usize];
    let mut at_ms = 0;
    while at_ms < to_ms {
        at_ms += 1 + random.below(2 * every_ms / partitions);
        let time_us = (START_MS + at_ms) as i64 * 1000 - random.below(4_000_000) as i64;
        let text = small_record(random, time_us).into_bytes();
        let at_ms = START_MS + at_ms;
        all[random.below(partitions) as usize].push(Arrival { at_ms, text });
    }
    all
}

#[test]
fn a_suspended_process_closes_no_windows_of_what_it_has_not_read() {
    for seed in 0..2 {
        let mut random = Random(seed);
        let partitions = live(&mut random, 3, HOUR_MS + 240_000, 2_000);
        let records: usize = partitions.iter().map(Vec::len).sum();
        let suspended = Event::Suspended {
            at_ms: 60_000 + random.below(60_000),
            for_ms: HOUR_MS,
        };
        let found = outcome(seed, &partitions, &[suspended], 0, HOUR_MS + 200_000);
        assert_eq!((found.records, found.late), (records, 0), "seed {seed}");
        assert!(1000 < found.sealed, "windows closed: {}", found.sealed);
    }
}

#[test]
fn a_wall_clock_that_is_set_makes_nothing_late() {
    let hour = HOUR_MS as i64;
    for (seed, by_ms) in [
        (1, hour),
        (2, 3 * hour),
        (3, 45_000),
        (4, -hour),
        (5, -8_000),
    ] {
        let mut random = Random(seed);
        let partitions = live(&mut random, 3, 200_000, 400);
        let records: usize = partitions.iter().map(Vec::len).sum();
        let set = Event::ClockSet {
            at_ms: 80_000,
            by_ms,
        };
        let found = outcome(seed, &partitions, &[set], 0, 140_000);
        assert_eq!((found.records, found.late), (records, 0), "seed {seed}");
        assert!(50 < found.sealed, "windows closed: {}", found.sealed);
    }
}

#[test]
fn one_record_of_today_in_each_partition_does_not_empty_a_backlog() {
    for seed in 0..2 {
        let mut random = Random(seed);
        // All of it is there from the start, and as old as the wall clock is ahead.
        let behind_ms = 300 * 24 * HOUR_MS;
        let mut partitions = live(&mut random, 3, 1_200_000, 500);
        partitions
            .iter_mut()
            .flatten()
            .for_each(|it| it.at_ms = START_MS);
        for partition in &mut partitions {
            let at = random.below(partition.len() as u64) as usize;
            let today_us = (START_MS + behind_ms) as i64 * 1000;
            partition[at].text = small_record(&mut random, today_us).into_bytes();
        }
        let records: usize = partitions.iter().map(Vec::len).sum();
        let found = outcome(seed, &partitions, &[], behind_ms as i64, 10_000);
        assert_eq!((found.records, found.late), (records, 0), "seed {seed}");
        assert!(300 < found.sealed, "windows closed: {}", found.sealed);
    }
}

#[test]
fn a_producer_whose_clock_is_ahead_makes_nothing_late() {
    for (seed, ahead_ms) in [(1, HOUR_MS - 60_000), (2, 20_000), (3, 10 * HOUR_MS)] {
        let mut random = Random(seed);
        let mut partitions = live(&mut random, 3, 300_000, 300);
        for record in partitions.iter_mut().flatten() {
            if random.chance(15) {
                let time_us = (record.at_ms + ahead_ms) as i64 * 1000;
                record.text = small_record(&mut random, time_us).into_bytes();
            }
        }
        let records: usize = partitions.iter().map(Vec::len).sum();
        let found = outcome(seed, &partitions, &[], 0, 150_000);
        assert_eq!((found.records, found.late), (records, 0), "seed {seed}");
        assert!(50 < found.sealed, "windows closed: {}", found.sealed);
    }
}

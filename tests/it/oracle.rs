//! The law of every view: whatever the cut into epochs, the number of workers, the order of arrival and the crashes
//! in between, its rows are what DataFusion computes in batch from the archived records.
//!
//! A run is the real engine over simulated partitions, with a simulated wall clock that jumps as it likes. A
//! crash throws away everything after some commit and goes on from there with another number of workers. After every
//! commit that is kept, all views are compared: their tables, and what a reader has folded from their changes.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{MemTable, TableProvider};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidelake::engine::{
    self, Bucketing, ClockSettings, CommitReport, Control, EventTimes, Feed, Input, Job, Mesh,
    OpenRows, Outputs, Panes, Published, Restored, Sharing, StateRecord, StateShare, Undecoded,
    Wall,
};
use tidelake::model::{
    Epoch, Offset, Offsets, Partition, Position, Readers, Row, Value, late_marks, rows_of_batch,
};
use tidelake::plan::{
    DEAD_LETTER_RELATION, Dataflow, LATE_COLUMN, SourceSpec, dead_letter_schema, marked,
};
use tidelake::source::decode::{DeadLetter, Decoded, Decoder, RawRecords};
use tidelake::source::place::is_pushed;
use tidelake::sql::models::Models;
use tidelake::sql::{self, Records, recompute};
use tidelake::verify::difference;

const TICK_MS: u64 = 100;
const COMMIT_MS: u64 = 1000;
/// Simulated time between the first record's and the start of the first run.
pub(super) const START_MS: u64 = 1_769_860_800_000;

/// What becomes of one case.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub seed: u64,
    pub records: usize,
    pub partitions: usize,
    /// Number of processes and of workers in each, of each run; all runs but the last end in a crash.
    pub runs: Vec<(usize, usize)>,
}

fn scenario(records_max: usize) -> impl Strategy<Value = Scenario> {
    (
        any::<u64>(),
        0..records_max,
        1..5usize,
        prop::collection::vec(shape(), 1..4),
    )
        .prop_map(|(seed, records, partitions, runs)| Scenario {
            seed,
            records,
            partitions,
            runs,
        })
}

/// Mostly one process, as most runs are; some with several.
fn shape() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![
        3 => (Just(1), 1..4usize),
        1 => (2..4usize, 1..3usize),
    ]
}

/// A small generator of its own, so that a seed means the same for ever (splitmix64).
#[derive(Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        it ^ (it >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

/// Everything that is durable: what a lake would hold.
#[derive(Default)]
pub(super) struct Lake {
    pub epoch: Epoch,
    pub offsets: Offsets,
    pub archive: Vec<Vec<RecordBatch>>,
    pub sealed: Vec<Vec<Row>>,
    /// Per view, by bucket.
    pub open: Vec<BTreeMap<u32, Vec<Row>>>,
    pub clocks: BTreeMap<String, engine::ClockState>,
    pub event_times: BTreeMap<String, EventTimes>,
    pub state: Vec<StateRecord>,
}

/// What all workers of one run have handed over.
#[derive(Default)]
pub(super) struct Handed {
    pub appended: BTreeMap<Epoch, Vec<(usize, RecordBatch)>>,
    pub replaced: BTreeMap<Epoch, Vec<(usize, Vec<Row>, Option<OpenRows>)>>,
    pub reports: BTreeMap<Epoch, Vec<CommitReport>>,
    /// What the readers of each process were told.
    pub changes: Vec<Vec<(usize, Epoch, Row, i64)>>,
}

pub(super) struct WorkerOutputs {
    handed: Arc<Mutex<Handed>>,
    process: usize,
    dataflow: Arc<Dataflow>,
    unmarked: Vec<(usize, Epoch, Epoch, RecordBatch)>,
}

impl Handed {
    pub fn of(processes: usize) -> Self {
        Handed {
            changes: vec![Vec::new(); processes],
            ..Handed::default()
        }
    }
}

impl WorkerOutputs {
    pub fn new(handed: &Arc<Mutex<Handed>>, process: usize, dataflow: &Arc<Dataflow>) -> Self {
        WorkerOutputs {
            handed: Arc::clone(handed),
            process,
            dataflow: Arc::clone(dataflow),
            unmarked: Vec::new(),
        }
    }

    fn keep(&self, table: usize, commit: Epoch, rows: RecordBatch) {
        let mut handed = self.handed.lock().unwrap();
        handed
            .appended
            .entry(commit)
            .or_default()
            .push((table, rows));
    }
}

impl Outputs for WorkerOutputs {
    fn append(&mut self, table: usize, epoch: Epoch, commit: Epoch, rows: RecordBatch) {
        match self.dataflow.tables[table].event_time {
            Some(_) => self.unmarked.push((table, epoch, commit, rows)),
            None => self.keep(table, commit, rows),
        }
    }
    fn mark(&mut self, table: usize, epoch: Epoch, watermark: i64) {
        let column = self.dataflow.tables[table].event_time.unwrap();
        let of_epoch = |it: &mut (usize, Epoch, Epoch, RecordBatch)| (it.0, it.1) == (table, epoch);
        for (_, _, commit, rows) in self.unmarked.extract_if(.., of_epoch).collect::<Vec<_>>() {
            let mut columns = rows.columns().to_vec();
            columns.push(late_marks(rows.column(column).as_primitive(), watermark));
            let rows = RecordBatch::try_new(marked(&rows.schema()), columns).unwrap();
            self.keep(table, commit, rows);
        }
    }
    fn replace(&mut self, view: usize, commit: Epoch, sealed: Vec<Row>, open: Option<OpenRows>) {
        let mut handed = self.handed.lock().unwrap();
        handed
            .replaced
            .entry(commit)
            .or_default()
            .push((view, sealed, open));
    }
    fn commit(&mut self, report: CommitReport) {
        let mut handed = self.handed.lock().unwrap();
        handed
            .reports
            .entry(report.commit)
            .or_default()
            .push(report);
    }
    fn publish(&mut self, published: Published) {
        let mut handed = self.handed.lock().unwrap();
        handed.changes[self.process].extend(published.changes);
    }
    fn is_behind(&self) -> bool {
        false
    }
}

/// Partitions of one worker, read in chunks of any size while the wall clock jumps.
struct SimulatedFeed {
    random: Random,
    partitions: Vec<SimulatedPartition>,
    decoder: Decoder,
    wall: Arc<AtomicU64>,
    /// Feeds that still have records.
    reading: Arc<AtomicUsize>,
    done: bool,
}

struct SimulatedPartition {
    number: Partition,
    records: Arc<Vec<Vec<u8>>>,
    next: usize,
    told_end: bool,
}

impl Feed for SimulatedFeed {
    fn next(&mut self) -> Option<Input> {
        if self.random.chance(30) {
            let jump = if self.random.chance(3) { 5_000 } else { 400 };
            self.wall
                .fetch_add(1 + self.random.below(jump), Ordering::AcqRel);
            return None;
        }
        let is_read = |it: &SimulatedPartition| it.next == it.records.len();
        if self.partitions.iter().all(is_read) && !std::mem::replace(&mut self.done, true) {
            self.reading.fetch_sub(1, Ordering::AcqRel);
        }
        let news: Vec<usize> = (0..self.partitions.len())
            .filter(|it| !is_read(&self.partitions[*it]) || !self.partitions[*it].told_end)
            .collect();
        if news.is_empty() {
            return None;
        }
        let partition = &mut self.partitions[*self.random.of(&news)];
        let from = partition.next;
        partition.next = partition
            .records
            .len()
            .min(from + 1 + self.random.below(20) as usize);
        partition.told_end = partition.next == partition.records.len();
        let mut raw = RawRecords {
            partition: partition.number,
            data: Vec::new(),
            ends: Vec::new(),
            offsets: Vec::new(),
            header: None,
        };
        for (at, record) in partition.records[from..partition.next].iter().enumerate() {
            raw.data.extend_from_slice(record);
            raw.ends.push(raw.data.len() as u32);
            raw.offsets.push((from + at) as i64);
        }
        let decoded = self.decoder.decode(&raw);
        let offsets = from..partition.next;
        Some(input_of(decoded, &raw, offsets, partition.told_end))
    }

    fn look_again(&mut self) {
        self.partitions
            .iter_mut()
            .for_each(|it| it.told_end = false);
    }
}

/// Decoded records of a partition as a feed yields them.
pub(super) fn input_of(
    decoded: Decoded,
    raw: &RawRecords,
    offsets: Range<usize>,
    at_end: bool,
) -> Input {
    let letter = |it: DeadLetter| Undecoded {
        offset: it.offset,
        raw: it.raw,
        reason: it.reason,
    };
    Input {
        partition: raw.partition,
        records: decoded.batch,
        kind: engine::Records::Read,
        newest_us: decoded.max_event_time,
        undecoded: decoded.dead_letters.into_iter().map(letter).collect(),
        from: Offset(offsets.start as i64),
        next: Position {
            offset: Offset(offsets.end as i64),
            origin: String::new(),
            mark: String::new(),
        },
        bytes: raw.data.len() as u64,
        checksum: 0,
        stamps: None,
        at_end,
    }
}

/// One dataflow under test, and how its records look.
pub(super) struct Subject {
    pub dataflow: Arc<Dataflow>,
    pub record: fn(&mut Random, i64) -> String,
}

pub(super) fn subject(folder: &str, record: fn(&mut Random, i64) -> String) -> Subject {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let dataflow = runtime()
        .block_on(sql::load(&folder, |_| None, &Models::Unknown))
        .unwrap();
    Subject {
        dataflow: Arc::new(dataflow),
        record,
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Records of all partitions: times go forward with disorder inside the watermark's delay, some far beyond it, a few in the future.
pub(super) fn records(subject: &Subject, scenario: &Scenario) -> Vec<Arc<Vec<Vec<u8>>>> {
    let mut random = Random(scenario.seed);
    let mut partitions = vec![Vec::new(); scenario.partitions];
    let mut time_us = (START_MS as i64 - 120_000) * 1000;
    for _ in 0..scenario.records {
        time_us += random.below(700_000) as i64;
        let at = match random.below(100) {
            0..=59 => time_us,
            60..=93 => time_us - random.below(9_000_000) as i64,
            94..=98 => time_us - random.below(100_000_000) as i64,
            _ => time_us + random.below(20_000_000) as i64,
        };
        let record = if random.chance(2) {
            (*random.of(&["", "no record", "{\"at\": 1", "{}"])).to_owned()
        } else {
            (subject.record)(&mut random, at)
        };
        let partition = random.below(scenario.partitions as u64) as usize;
        partitions[partition].push(record.into_bytes());
    }
    partitions.into_iter().map(Arc::new).collect()
}

fn iso(time_us: i64) -> String {
    tidelake::model::iso_of_micros(time_us)
}

fn web_log(random: &mut Random, at: i64) -> String {
    let status = *random.of(&["200", "200", "201", "400", "404", "500", "null", "599"]);
    let response = match random.below(20) {
        0 => "null".to_owned(),
        1 => "0".to_owned(),
        2 => format!("{}.25", random.below(5000)),
        _ => random.below(1500).to_string(),
    };
    let ip = *random.of(&[
        "10.0.0.1",
        "192.168.1.7",
        "172.16.0.9",
        "172.32.0.9",
        "203.0.113.5",
        "nonsense",
        "::1",
    ]);
    let endpoint = *random.of(&[
        "/api/users",
        "/api/orders",
        "/api/auth",
        "/admin",
        "/",
        "/ü",
    ]);
    let user = random.of(&["null", "\"user_1\"", "\"user_2\"", "\"user_3\""]);
    let session = random.below(9);
    format!(
        "{{\"timestamp\":\"{}\",\"ip\":\"{ip}\",\"method\":\"GET\",\"endpoint\":\"{endpoint}\",\"status_code\":{status},\"response_time\":{response},\
         \"user_id\":{user},\"session_id\":\"s{session}\",\"bytes_sent\":{}}}",
        iso(at),
        random.below(100_000)
    )
}

fn access_log(random: &mut Random, at: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(at).unwrap();
    let path = *random.of(&["/", "/a", "/b?x=1", "/c/d"]);
    let agent = *random.of(&["curl/8", "Googlebot/2.1", "Mozilla/5.0"]);
    let status = random.of(&[200, 301, 404, 500]);
    format!(
        "10.0.0.{} - - [{}] \"GET {path} HTTP/1.1\" {status} {} \"-\" \"{agent}\"",
        random.below(5),
        time.format("%d/%b/%Y:%H:%M:%S +0000"),
        random.below(10_000)
    )
}

pub(super) fn small_record(random: &mut Random, at: i64) -> String {
    let k = *random.of(&["null", "\"a\"", "\"b\"", "\"c\"", "\"\"", "\"ä\""]);
    let j = *random.of(&["null", "1", "2", "-3"]);
    let n = match random.below(10) {
        0 => "null".to_owned(),
        1 => (*random.of(&[1 << 40, i64::MAX, i64::MAX - 1, -i64::MAX])).to_string(),
        _ => (random.below(40) as i64 - 20).to_string(),
    };
    let x = match random.below(12) {
        0 => "null".to_owned(),
        1 => "-0.0".to_owned(),
        2 => (*random.of(&["1e15", "1e15", "1e25", "-1e308", "1e308"])).to_owned(),
        3 => format!("-{}.5", random.below(100)),
        _ => format!("{}.{}", random.below(100), random.below(1000)),
    };
    let b = *random.of(&["true", "false", "null"]);
    let d = *random.of(&["\"2026-01-31\"", "\"2026-02-01\"", "null"]);
    format!(
        "{{\"at\":\"{}\",\"k\":{k},\"j\":{j},\"n\":{n},\"x\":{x},\"b\":{b},\"d\":{d}}}",
        iso(at)
    )
}

pub(super) fn check(subject: &Subject, scenario: &Scenario) {
    let dataflow = &subject.dataflow;
    let partitions = records(subject, scenario);
    let wall = Arc::new(AtomicU64::new(START_MS));
    let mut random = Random(scenario.seed ^ 0x5EED);
    let mut lake = Lake::of(dataflow);
    runs(
        dataflow,
        &partitions,
        &scenario.runs,
        &mut lake,
        &wall,
        &mut random,
    );
    let read: usize = lake.offsets.iter().map(|it| it.1.offset.0 as usize).sum();
    assert_eq!(read, scenario.records, "the last run reads everything");
}

impl Lake {
    /// A lake without a commit.
    pub fn of(dataflow: &Dataflow) -> Self {
        Lake {
            archive: vec![Vec::new(); dataflow.tables.len()],
            sealed: vec![Vec::new(); dataflow.views.len()],
            open: vec![BTreeMap::new(); dataflow.views.len()],
            ..Lake::default()
        }
    }
}

/// Some runs on a lake, of which all but the last end in a crash.
/// What is in the lake after the runs of a scenario, for tests that look at it by hand.
pub(super) fn lake_after(subject: &Subject, scenario: &Scenario) -> Lake {
    let dataflow = &subject.dataflow;
    let mut lake = Lake::of(dataflow);
    runs(
        dataflow,
        &records(subject, scenario),
        &scenario.runs,
        &mut lake,
        &Arc::new(AtomicU64::new(START_MS)),
        &mut Random(scenario.seed),
    );
    lake
}

/// Values of these columns of all archived rows of a table.
pub(super) fn archived(
    dataflow: &Dataflow,
    lake: &Lake,
    table: usize,
    names: &[&str],
) -> Vec<Vec<Value>> {
    let schema = dataflow.tables[table].plan.schema();
    let places = names.iter().map(|it| schema.index_of(it).unwrap());
    let places: Vec<usize> = places.collect();
    let rows = lake.archive[table].iter().flat_map(rows_of_batch);
    let rows = rows.map(|row| places.iter().map(|it| row.0[*it].clone()).collect());
    rows.collect()
}

pub(super) fn runs(
    dataflow: &Arc<Dataflow>,
    partitions: &[Arc<Vec<Vec<u8>>>],
    shapes: &[(usize, usize)],
    lake: &mut Lake,
    wall: &Arc<AtomicU64>,
    random: &mut Random,
) {
    for (run, (processes, workers)) in shapes.iter().enumerate() {
        let last_run = run + 1 == shapes.len();
        let sealed_before: Vec<usize> = lake.sealed.iter().map(Vec::len).collect();
        let shape = (*processes, *workers);
        let reads_all = last_run || random.chance(50);
        let handed = self::run(dataflow, partitions, lake, shape, reads_all, wall, random);
        let commits: Vec<Epoch> = handed.reports.keys().copied().collect();
        let kept = if last_run {
            commits.len()
        } else {
            random.below(commits.len() as u64 + 1) as usize
        };
        // Comparing costs; the last commit always, others now and then.
        let compared: BTreeSet<usize> = (0..kept)
            .filter(|it| *it + 1 == kept || random.chance(5))
            .collect();
        for (at, epoch) in commits[..kept].iter().enumerate() {
            take(lake, &handed, *epoch);
            if compared.contains(&at) {
                compare(dataflow, partitions, lake, &handed, &sealed_before);
            }
        }
        wall.fetch_add(random.below(60_000), Ordering::AcqRel);
    }
}

/// One run of the engine, in one process or in several that talk over sockets, to an orderly end: when all is read, or in the midst of it.
fn run(
    dataflow: &Arc<Dataflow>,
    partitions: &[Arc<Vec<Vec<u8>>>],
    lake: &Lake,
    (processes, workers): (usize, usize),
    reads_all: bool,
    wall: &Arc<AtomicU64>,
    random: &mut Random,
) -> Handed {
    let all = processes * workers;
    let handed = Arc::new(Mutex::new(Handed::of(processes)));
    let reading = Arc::new(AtomicUsize::new(all * dataflow.sources.len()));
    let readers = Arc::new(Readers::default());
    let controls = (0..processes).map(|_| Arc::new(Control::new(Arc::clone(&readers))));
    let controls: Vec<Arc<Control>> = controls.collect();
    let now = wall.load(Ordering::Acquire);
    let start = Epoch::at_or_after(now, TICK_MS).max(Epoch(lake.epoch.0 + TICK_MS));
    let mut running = Vec::new();
    for (process, mesh) in meshes(processes).into_iter().enumerate() {
        let parts = (process * workers..(process + 1) * workers)
            .map(|worker| {
                let sources = dataflow.sources.iter().enumerate();
                let feeds = sources.map(|(number, source)| {
                    let of = place_among_read(dataflow, number);
                    let feed = SimulatedFeed {
                        random: Random(random.next()),
                        partitions: share(partitions, of, lake, worker, all),
                        decoder: tidelake::coordinator::decoder(source).unwrap(),
                        wall: Arc::clone(wall),
                        reading: Arc::clone(&reading),
                        done: false,
                    };
                    Box::new(feed) as Box<dyn Feed>
                });
                let feeds = feeds.collect();
                let outputs: Box<dyn Outputs> =
                    Box::new(WorkerOutputs::new(&handed, process, dataflow));
                (feeds, outputs)
            })
            .collect();
        // Every process reads stored state in an order of its own.
        let mut state = lake.state.clone();
        let turn = random.below(state.len().max(1) as u64) as usize;
        state.rotate_left(turn);
        let own = process * workers..(process + 1) * workers;
        let sharing = Sharing::new(own, all, Panes::of(dataflow));
        let mut job = job(
            dataflow,
            lake,
            state,
            &sharing,
            start,
            &controls[process],
            wall,
        );
        // With nobody to read them, epochs are longer; a reader may come at any time.
        job.settings.quiet_tick_ms = *random.of(&[TICK_MS, 700, 3_000]);
        // Mostly the clock waits for the machine, as what is read moves it: a busy one has as many epochs as an idle one, and records that are late.
        job.settings.lag_max_ms = *random.of(&[500, 1_000, 1_000, u64::MAX / 4]);
        running.push(engine::start(job, mesh, parts).unwrap());
    }
    let stop_after = match reads_all {
        true => u64::MAX,
        false => now + random.below(30_000),
    };
    let still = || wall.load(Ordering::Acquire) < stop_after;
    let mut coming = Random(random.next());
    while 0 < reading.load(Ordering::Acquire) && still() {
        if coming.chance(1) {
            readers.note(wall.load(Ordering::Acquire), 100);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // A while with nothing to read: windows close by the wall clock, sliding ranges run empty.
    let idle_until = wall.load(Ordering::Acquire) + random.below(150_000);
    while wall.load(Ordering::Acquire) < idle_until && still() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // Workers hear of it at different times, however far the clock has gone on meanwhile.
    for control in &controls {
        control.stop();
        wall.fetch_add(random.below(2 * COMMIT_MS), Ordering::AcqRel);
    }
    running.into_iter().for_each(|it| it.join().unwrap());
    let handed = std::mem::take(&mut *handed.lock().unwrap());
    for (epoch, parts) in &handed.reports {
        assert_eq!(
            parts.len(),
            all,
            "every worker has a part in commit {epoch:?}"
        );
    }
    let lasts = handed
        .reports
        .iter()
        .filter(|it| it.1.iter().any(|it| it.last));
    let newest = handed.reports.last_key_value();
    assert!(
        lasts.map(|it| it.0).eq(newest.map(|it| it.0)),
        "the commit that ends a run comes after all others, on every worker"
    );
    for told in &handed.changes {
        let same = folded(told, u64::MAX) == folded(&handed.changes[0], u64::MAX);
        assert!(same, "readers of two processes were told different things");
    }
    handed
}

/// Connections between processes that are threads here.
fn meshes(processes: usize) -> Vec<Mesh> {
    let mut meshes: Vec<Mesh> = (0..processes)
        .map(|process| Mesh {
            process,
            sockets: match processes {
                1 => Vec::new(),
                _ => (0..processes).map(|_| None).collect(),
            },
        })
        .collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for a in 0..processes {
        for b in a + 1..processes {
            let one = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let other = listener.accept().unwrap().0;
            one.set_nodelay(true).unwrap();
            other.set_nodelay(true).unwrap();
            meshes[a].sockets[b] = Some(one);
            meshes[b].sockets[a] = Some(other);
        }
    }
    meshes
}

/// Which of the sources that are read one is, and how many these are. Nobody pushes records in a simulation.
pub(super) fn place_among_read(dataflow: &Dataflow, number: usize) -> (usize, usize) {
    let is_read = |it: &SourceSpec| !is_pushed(&it.options);
    let read = dataflow.sources.iter().filter(|it| is_read(it)).count();
    match is_read(&dataflow.sources[number]) {
        true => {
            let before = dataflow.sources[..number].iter();
            (before.filter(|it| is_read(it)).count(), read)
        }
        false => (usize::MAX, read),
    }
}

/// The partitions of a source: every so many of all, so that the number of one tells its source.
fn is_of(source: (usize, usize), partition: usize) -> bool {
    let (number, sources) = source;
    partition % sources == number
}

/// The partitions of a source that one worker owns, from where the lake has them.
fn share(
    partitions: &[Arc<Vec<Vec<u8>>>],
    source: (usize, usize),
    lake: &Lake,
    worker: usize,
    all: usize,
) -> Vec<SimulatedPartition> {
    partitions
        .iter()
        .enumerate()
        .filter(|it| is_of(source, it.0) && it.0 % all == worker)
        .map(|(number, records)| {
            let number = Partition(number as i32);
            let next = lake
                .offsets
                .get(number)
                .map_or(0, |it| it.offset.0 as usize);
            SimulatedPartition {
                number,
                records: Arc::clone(records),
                next,
                told_end: false,
            }
        })
        .collect()
}

pub(super) fn clock_settings(source: &SourceSpec) -> ClockSettings {
    ClockSettings {
        delay_us: source.event_time.map_or(0, |it| it.delay_us),
        // Shorter than the clock jumps, so that most runs have late records.
        idle_ms: 1_000,
        close_idle_ms: 20_000,
        lead_us: source.event_time.map_or(0, |it| it.lead_us),
        by_arrival: source.event_time.is_none(),
    }
}

pub(super) fn job(
    dataflow: &Arc<Dataflow>,
    lake: &Lake,
    state: Vec<StateRecord>,
    sharing: &Sharing,
    start: Epoch,
    control: &Arc<Control>,
    wall: &Arc<AtomicU64>,
) -> Job {
    let clocks = dataflow.sources.iter();
    let clocks = clocks.map(|it| (it.name.clone(), clock_settings(it)));
    let (wall, steady) = (Arc::clone(wall), Arc::clone(wall));
    let mut restored = Restored {
        epoch: lake.epoch,
        clocks: lake.clocks.clone(),
        event_times: lake.event_times.clone(),
        state: StateShare::of(state, sharing),
    };
    for (view, open) in dataflow.views.iter().zip(&lake.open) {
        if dataflow.outlives_its_windows(view) {
            let rows = open.values().flatten().cloned();
            restored.add_rows_of_view(&view.name, rows.collect(), sharing);
        }
    }
    Job {
        dataflow: Arc::clone(dataflow),
        settings: engine_settings(sharing.shares(), clocks.collect()),
        start,
        restored,
        control: Arc::clone(control),
        wall: Wall::of(
            move || wall.load(Ordering::Acquire),
            move || steady.load(Ordering::Acquire),
        ),
        costs: Arc::default(),
    }
}

pub(super) fn engine_settings(
    workers: usize,
    clocks: BTreeMap<String, ClockSettings>,
) -> engine::Settings {
    engine::Settings {
        workers,
        tick_ms: TICK_MS,
        quiet_tick_ms: TICK_MS,
        commit_interval_ms: COMMIT_MS,
        first_commit_ms: 300,
        lag_max_ms: u64::MAX / 4,
        epoch_records_max: usize::MAX,
        idle_sleep_ms_max: 2,
        clocks,
        tail_rows: 4,
        // Views of a test are small, and are to be cut into buckets all the same.
        bucketing: Bucketing {
            rows_min: 2,
            file_rows: 0,
            files_max: 100,
        },
    }
}

/// Per view, how often each row is there after all changes up to an epoch.
fn folded(changes: &[(usize, Epoch, Row, i64)], epoch: u64) -> BTreeMap<(usize, &Row), i64> {
    let mut folded = BTreeMap::new();
    for (view, _, row, diff) in changes.iter().filter(|it| it.1.0 <= epoch) {
        *folded.entry((*view, row)).or_insert(0) += diff;
    }
    folded.retain(|_, count| *count != 0);
    folded
}

/// What a commit makes durable.
pub(super) fn take(lake: &mut Lake, handed: &Handed, epoch: Epoch) {
    // The last commit comes early: it has the rows of the one that would have come.
    let is_last = handed.reports[&epoch].iter().any(|it| it.last);
    let appended = handed.appended.range(epoch..);
    let due = appended.filter(|it| *it.0 == epoch || is_last);
    for (table, rows) in due.flat_map(|it| it.1) {
        lake.archive[*table].push(rows.clone());
    }
    // What was open before the run goes with the first buckets of the run.
    let opened = |epoch: &Epoch| -> BTreeSet<usize> {
        let handed = handed.replaced.get(epoch).into_iter().flatten();
        handed.filter(|it| it.2.is_some()).map(|it| it.0).collect()
    };
    let mut first = opened(&epoch);
    for (earlier, _) in handed.replaced.range(..epoch) {
        first = &first - &opened(earlier);
    }
    first.into_iter().for_each(|it| lake.open[it].clear());
    for (view, sealed, open) in handed.replaced.get(&epoch).into_iter().flatten() {
        lake.sealed[*view].extend(sealed.iter().cloned());
        lake.open[*view].extend(open.iter().flat_map(|it| it.0.clone()));
    }
    for report in &handed.reports[&epoch] {
        for progress in &report.progress {
            lake.offsets
                .advance(progress.partition, progress.next.clone());
        }
        lake.state.extend(report.state.clone());
        if !report.clocks.is_empty() {
            lake.clocks.clone_from(&report.clocks);
            lake.event_times.clone_from(&report.event_times);
        }
    }
    lake.epoch = epoch;
}

pub(super) fn compare(
    dataflow: &Dataflow,
    partitions: &[Arc<Vec<Vec<u8>>>],
    lake: &Lake,
    handed: &Handed,
    sealed_before: &[usize],
) {
    compare_tables(dataflow, partitions, lake);
    let folded = folded(&handed.changes[0], lake.epoch.0);
    for (number, view) in dataflow.views.iter().enumerate() {
        let live: Vec<Row> = folded
            .iter()
            .filter(|it| it.0.0 == number)
            .flat_map(|((_, row), count)| {
                assert!(
                    0 < *count,
                    "view {}: {row:?} is there {count} times",
                    view.name
                );
                std::iter::repeat_n((*row).clone(), *count as usize)
            })
            .collect();
        // Windows closed in earlier runs are not told again.
        let told: Vec<Row> = lake.sealed[number][sealed_before[number]..]
            .iter()
            .chain(lake.open[number].values().flatten())
            .cloned()
            .collect();
        assert_same(&view.name, "changes", &live, &told, lake.epoch);
    }
}

/// What the lake has of records and views is what it should have.
pub(super) fn compare_tables(dataflow: &Dataflow, partitions: &[Arc<Vec<Vec<u8>>>], lake: &Lake) {
    check_archive(dataflow, partitions, lake);
    let records = oracle_records(dataflow, partitions, lake);
    let expected = runtime().block_on(recompute(dataflow, &records)).unwrap();
    for (number, view) in dataflow.views.iter().enumerate() {
        let expected: Vec<Row> = expected[&view.name]
            .iter()
            .flat_map(rows_of_batch)
            .collect();
        let stored: Vec<Row> = lake.sealed[number]
            .iter()
            .chain(lake.open[number].values().flatten())
            .cloned()
            .collect();
        assert_same(&view.name, "table", &stored, &expected, lake.epoch);
    }
}

/// Every record read is in the archive once, or a dead letter.
fn check_archive(dataflow: &Dataflow, partitions: &[Arc<Vec<Vec<u8>>>], lake: &Lake) {
    let offsets = |batches: &[RecordBatch]| {
        let mut found = Vec::new();
        for batch in batches {
            for row in rows_of_batch(
                &batch
                    .project(&[
                        batch.schema().index_of("_partition").unwrap(),
                        batch.schema().index_of("_offset").unwrap(),
                    ])
                    .unwrap(),
            ) {
                found.push((row.0[0].as_i64().unwrap(), row.0[1].as_i64().unwrap()));
            }
        }
        found
    };
    // The first table of each source has all its records; dead letters have those of all sources.
    let mut archived: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for (number, table) in dataflow.tables.iter().enumerate() {
        if archived.insert(&table.source) {
            found.extend(offsets(&lake.archive[number]));
        }
    }
    found.sort_unstable();
    let mut expected = Vec::new();
    for number in 0..partitions.len() {
        let next = lake
            .offsets
            .get(Partition(number as i32))
            .map_or(0, |it| it.offset.0);
        expected.extend((0..next).map(|it| (number as i64, it)));
    }
    assert_eq!(found, expected, "each record once");
}

pub(super) fn oracle_records(
    dataflow: &Dataflow,
    partitions: &[Arc<Vec<Vec<u8>>>],
    lake: &Lake,
) -> Records {
    let mut records = Records::default();
    for (number, table) in dataflow.tables.iter().enumerate() {
        let batches = &lake.archive[number];
        let (name, schema) = if table.source.is_empty() {
            (DEAD_LETTER_RELATION.to_owned(), dead_letter_schema())
        } else {
            let mut fields: Vec<Field> = table
                .plan
                .schema()
                .fields()
                .iter()
                .map(|it| it.as_ref().clone())
                .collect();
            if table.event_time.is_some() {
                let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
                fields.push(Field::new(LATE_COLUMN, time, true));
            }
            (table.name.clone(), Arc::new(Schema::new(fields)))
        };
        records.relations.insert(name, memory(schema, batches));
    }
    for (number, source) in dataflow.sources.iter().enumerate() {
        let of = place_among_read(dataflow, number);
        // Which version of a row is the latest is told by the epochs in which they came, as the archive has them.
        let archive = dataflow.tables.iter().find(|it| it.source == source.name);
        let rows = match (&source.key, archive) {
            (Some(_), Some(archive)) => Arc::clone(&records.relations[&archive.name]),
            _ => source_itself(source, of, partitions, &lake.offsets),
        };
        records.relations.insert(source.name.clone(), rows);
    }
    records.times.clone_from(&lake.event_times);
    records
}

/// The first records of a partition as they were read.
fn raw_records(partition: usize, records: &[Vec<u8>]) -> RawRecords {
    let mut raw = RawRecords {
        partition: Partition(partition as i32),
        data: Vec::new(),
        ends: Vec::new(),
        offsets: Vec::new(),
        header: None,
    };
    for (at, record) in records.iter().enumerate() {
        raw.data.extend_from_slice(record);
        raw.ends.push(raw.data.len() as u32);
        raw.offsets.push(at as i64);
    }
    raw
}

/// Records as decoded, for views that read the source and not its archive.
fn source_itself(
    source: &SourceSpec,
    of: (usize, usize),
    partitions: &[Arc<Vec<Vec<u8>>>],
    offsets: &Offsets,
) -> Arc<dyn TableProvider> {
    let mut decoder = tidelake::coordinator::decoder(source).unwrap();
    let mut batches = Vec::new();
    let own = partitions.iter().enumerate().filter(|it| is_of(of, it.0));
    for (number, records) in own {
        let read = offsets
            .get(Partition(number as i32))
            .map_or(0, |it| it.offset.0 as usize);
        let raw = raw_records(number, &records[..read]);
        batches.push(decoder.decode(&raw).batch);
    }
    memory(decoder.schema(), &batches)
}

pub(super) fn memory(schema: SchemaRef, batches: &[RecordBatch]) -> Arc<dyn TableProvider> {
    let schema = Arc::new(Schema::new(
        schema
            .fields()
            .iter()
            .map(|it| it.as_ref().clone().with_nullable(true))
            .collect::<Vec<_>>(),
    ));
    let batches = batches
        .iter()
        .map(|it| {
            let columns: Vec<ArrayRef> = it.columns().to_vec();
            assert_eq!(
                columns.len(),
                schema.fields().len(),
                "{:?} {:?}",
                it.schema(),
                schema
            );
            RecordBatch::try_new(schema.clone(), columns).unwrap()
        })
        .collect();
    Arc::new(MemTable::try_new(schema, vec![batches]).unwrap())
}

/// The same rows, as often, in any order; floats up to the rounding of a sum in another order.
fn assert_same(view: &str, what: &str, found: &[Row], expected: &[Row], epoch: Epoch) {
    let Some(it) = difference(found, expected) else {
        return;
    };
    let first = |rows: &[Row]| -> Vec<String> {
        let texts = |row: &Row| -> Vec<String> {
            row.0.iter().map(|it| it.to_json().to_string()).collect()
        };
        rows.iter().take(5).map(|it| texts(it).join(", ")).collect()
    };
    panic!(
        "{what} of view {view} at epoch {epoch}: {} rows, expected {}\n only found: {:#?}\n only expected: {:#?}",
        found.len(),
        expected.len(),
        first(&it.only_found),
        first(&it.only_expected)
    );
}

/// Tries so many random scenarios, half of them where TIDELAKE_LONG is not set.
pub(super) fn check_cases(subject: &Subject, cases: u32, records_max: usize) {
    let cases = match std::env::var_os("TIDELAKE_LONG") {
        Some(_) => cases,
        None => cases.div_ceil(2),
    };
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(scenario in scenario(records_max))| check(subject, &scenario));
}

#[test]
fn web_logs_views_equal_a_batch_over_the_archive() {
    check_cases(&subject("dataflows/web_logs", web_log), 12, 600);
}

#[test]
fn access_log_views_equal_a_batch_over_the_archive() {
    check_cases(&subject("dataflows/access_log", access_log), 6, 400);
}

#[test]
fn every_kind_of_query_equals_a_batch_over_the_archive() {
    check_cases(
        &subject("tests/dataflows/everything", small_record),
        24,
        500,
    );
}

/// Two sources whose clocks differ, and their archives.
pub(super) const S_AND_O: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, j INT, n BIGINT, x DOUBLE, b BOOLEAN, d DATE,
                 WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;
CREATE SOURCE o (at TIMESTAMP NOT NULL, k TEXT, j INT, n BIGINT, x DOUBLE, b BOOLEAN, d DATE,
                 WATERMARK FOR at AS at - INTERVAL '2' SECOND) FORMAT JSON;
CREATE TABLE raw_s AS SELECT * FROM s;
CREATE TABLE raw_o AS SELECT * FROM o WHERE true;
";

/// Views of each of them, and over both.
const TWO_SOURCES: &str = "
CREATE MATERIALIZED VIEW windows_s AS SELECT window_end, k, count(*) AS c, sum(n) AS n FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY window_start, window_end, k;
CREATE MATERIALIZED VIEW windows_o AS SELECT window_start, k, count(*) AS c, sum(n) AS n FROM TUMBLE(raw_o, at, INTERVAL '20' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW both AS SELECT k, sum(c) AS c, max(c) AS most, sum(n) AS n FROM (SELECT k, c, n FROM windows_s UNION ALL SELECT k, c, n FROM windows_o) AS u GROUP BY k;
CREATE MATERIALIZED VIEW records AS SELECT k, b, count(*) AS c, sum(x) AS x FROM (SELECT k, b, x FROM raw_s UNION ALL SELECT k, b, x FROM raw_o) AS u GROUP BY k, b;
CREATE MATERIALIZED VIEW busiest AS SELECT k, c FROM both ORDER BY c DESC, k LIMIT 2;
CREATE MATERIALIZED VIEW last_20s AS SELECT count(*) AS c, avg(x) AS x FROM o WHERE at > now() - INTERVAL '20' SECOND;
CREATE MATERIALIZED VIEW first_of_both AS SELECT k, n, x FROM (SELECT k, n, x FROM raw_s WHERE b UNION ALL SELECT k, n, x FROM raw_o) AS u ORDER BY n DESC NULLS LAST, k LIMIT 6;
CREATE MATERIALIZED VIEW without_window AS SELECT k, c FROM windows_s WHERE 1 < c;
CREATE MATERIALIZED VIEW last_of_each AS SELECT 's' AS source, count(*) AS c FROM s WHERE at > now() - INTERVAL '30' SECOND
  UNION ALL SELECT 'o' AS source, count(*) AS c FROM o WHERE at > now() - INTERVAL '30' SECOND;
CREATE MATERIALIZED VIEW starts_s AS SELECT window_start, k, count(*) AS c, sum(n) AS n FROM TUMBLE(raw_s, at, INTERVAL '20' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW side_by_side AS SELECT window_start, 's' AS source, k, c FROM starts_s UNION ALL SELECT window_start, 'o' AS source, k, c FROM windows_o WHERE 1 < c;
CREATE MATERIALIZED VIEW windows_of_both AS SELECT window_start, sum(c) AS c, max(n) AS n FROM
  (SELECT window_start, c, n FROM starts_s UNION ALL SELECT window_start, c, n FROM windows_o) AS u GROUP BY window_start;
CREATE MATERIALIZED VIEW most_of_both AS SELECT max(c) AS most, count(*) AS windows FROM side_by_side;
CREATE MATERIALIZED VIEW windows_of_windows AS SELECT window_start, max(c) AS most, sum(n) AS n FROM
  (SELECT window_start, k, count(*) AS c, sum(n) AS n FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) WHERE x > 0 GROUP BY window_start, k) AS i GROUP BY window_start;
CREATE MATERIALIZED VIEW through_names AS WITH w AS (SELECT k AS name, window_end FROM TUMBLE(raw_o, at, INTERVAL '10' SECOND) WHERE b)
  SELECT name, window_end, count(*) AS c FROM (SELECT * FROM w WHERE name <> 'a') AS i GROUP BY name, window_end;
";

#[test]
fn views_over_two_sources_equal_a_batch_over_both_archives() {
    let planned = runtime().block_on(sql::plan_text(
        "two",
        &format!("{S_AND_O}{TWO_SOURCES}"),
        |_| None,
    ));
    let subject = Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record: small_record,
    };
    check_cases(&subject, 16, 400);
}

/// How many rows of an archive are late for a window of 10 s: those that came after a watermark at or behind its end.
fn late_for_its_window(batch: &RecordBatch) -> i64 {
    const WINDOW_US: i64 = 10_000_000;
    let time = |name: &str| batch.column_by_name(name).unwrap().as_primitive();
    let (times, marks): (&TimestampMicrosecondArray, &TimestampMicrosecondArray) =
        (time("at"), time(LATE_COLUMN));
    let is_late = |row: &usize| {
        let start = times.value(*row) - times.value(*row).rem_euclid(WINDOW_US);
        marks.is_valid(*row) && start + WINDOW_US <= marks.value(*row)
    };
    (0..batch.num_rows()).filter(is_late).count() as i64
}

/// A case with late records in the first archive. How many there are depends on when the machine ends an epoch, so a case may have none.
fn with_late_records(subject: &Subject) -> (Scenario, Lake) {
    let cases = (7..27).map(|seed| {
        let scenario = Scenario {
            seed,
            records: 400,
            partitions: 2,
            runs: vec![(1, 2), (1, 1)],
        };
        let lake = lake_after(subject, &scenario);
        (scenario, lake)
    });
    let mut cases = cases.filter(|it| it.1.archive[0].iter().any(|it| 0 < late_for_its_window(it)));
    cases.next().expect("the simulation has late records")
}

/// Views that read records one by one count those that came too late; counted again by hand, from the marks of the archive.
#[test]
fn late_records_of_sessions_and_joins_are_counted() {
    const TEXT: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, j INT, n BIGINT, x DOUBLE, b BOOLEAN, d DATE,
                 WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
CREATE MATERIALIZED VIEW sessions AS SELECT k, window_end, count(*) AS c FROM SESSION(raw PARTITION BY k, at, INTERVAL '3' SECOND) GROUP BY window_end, k;
CREATE MATERIALIZED VIEW near AS SELECT a.k, c.n FROM raw a JOIN raw c ON a.k = c.k AND c.at BETWEEN a.at AND a.at + INTERVAL '5' SECOND WHERE a.b;
CREATE MATERIALIZED VIEW next_to AS SELECT a.k, count(*) AS pairs FROM raw a LEFT JOIN raw c ON a.k = c.k AND a.j = c.j AND c.at > a.at AND c.at <= a.at + INTERVAL '6' SECOND GROUP BY a.k;
CREATE MATERIALIZED VIEW medians AS SELECT window_start, median(n) AS m FROM TUMBLE(raw, at, INTERVAL '10' SECOND) GROUP BY window_start;
CREATE MATERIALIZED VIEW shifted AS SELECT window_start, count(*) AS c FROM TUMBLE(raw, at, INTERVAL '10' SECOND, INTERVAL '3' SECOND) GROUP BY window_start;
CREATE MATERIALIZED VIEW first_of AS SELECT window_end, k, n FROM (SELECT window_end, k, n, row_number() OVER (PARTITION BY window_end ORDER BY n DESC) AS r FROM TUMBLE(raw, at, INTERVAL '10' SECOND) WHERE b) AS i WHERE r = 1;
CREATE MATERIALIZED VIEW of_no_window AS SELECT a.k, a.n FROM raw a WHERE NOT EXISTS (SELECT 1 FROM (SELECT j, window_start AS s FROM TUMBLE(raw, at, INTERVAL '6' SECOND) GROUP BY j, window_start) w WHERE w.j = a.j AND a.at >= w.s AND a.at < w.s + INTERVAL '6' SECOND);
CREATE MATERIALIZED VIEW only_a AS SELECT * FROM (SELECT window_start, k, count(*) AS c FROM TUMBLE(raw, at, INTERVAL '10' SECOND) GROUP BY window_start, k) AS g WHERE k = 'a';
CREATE MATERIALIZED VIEW not_in AS SELECT k, n FROM raw WHERE j NOT IN (SELECT max(j) FROM TUMBLE(raw, at, INTERVAL '10' SECOND) GROUP BY window_start, k);
";
    let planned = runtime().block_on(sql::plan_text("late", TEXT, |_| None));
    let subject = Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record: small_record,
    };
    let (scenario, lake) = with_late_records(&subject);
    check(&subject, &scenario);
    let at = |name: &str| subject.dataflow.views.iter().position(|it| it.name == name);
    let rows = lake.open[at("late").unwrap()].values().flatten();
    let mut late: BTreeMap<(Value, Value), i64> = BTreeMap::new();
    for row in rows.chain(&lake.sealed[at("late").unwrap()]) {
        let place = (row.0[0].clone(), row.0[1].clone());
        late.insert(place, row.0[2].as_i64().unwrap());
    }
    let of_view = |view: &str| -> i64 {
        let own = late.iter().filter(|it| it.0.0 == Value::Text(view.into()));
        own.map(|it| *it.1).sum()
    };
    let (mut by_hand, mut with_b) = (0, 0);
    let schema = subject.dataflow.tables[0].stored_schema();
    let [b, mark] = ["b", LATE_COLUMN].map(|it| schema.index_of(it).unwrap());
    for row in lake.archive[0].iter().flat_map(rows_of_batch) {
        if row.0[mark] != Value::Null {
            by_hand += 1;
            with_b += i64::from(row.0[b] == Value::Bool(true));
        }
    }
    assert!(0 < by_hand, "the simulation has late records");
    assert_eq!(of_view("sessions"), by_hand);
    assert_eq!(
        of_view("near"),
        by_hand + with_b,
        "the right side and the left one"
    );
    assert_eq!(of_view("next_to"), 2 * by_hand);
    assert!(of_view("medians") <= by_hand);
    let without_window = late.keys().filter(|it| it.1 == Value::Null);
    let views: BTreeSet<&Value> = without_window.map(|it| &it.0).collect();
    let joined = ["near", "next_to", "of_no_window", "sessions"];
    let expected = joined.map(|it| Value::Text(it.into()));
    assert_eq!(views, expected.iter().collect());
}

/// Counted again by hand, from the rows of the archive and the bytes of the source.
#[test]
fn late_records_and_dead_letters_are_counted() {
    let subject = subject("tests/dataflows/everything", small_record);
    let dataflow = &subject.dataflow;
    let (scenario, lake) = with_late_records(&subject);
    let partitions = records(&subject, &scenario);
    let rows = |view: &str| -> Vec<Row> {
        let at = dataflow.views.iter().position(|it| it.name == view);
        let at = at.unwrap_or_else(|| panic!("there is no view {view}"));
        lake.sealed[at]
            .iter()
            .chain(lake.open[at].values().flatten())
            .cloned()
            .collect()
    };

    let mut decoder = tidelake::coordinator::decoder(&dataflow.sources[0]).unwrap();
    let undecodable: usize = partitions
        .iter()
        .map(|it| decoder.decode(&raw_records(0, it)).dead_letters.len())
        .sum();
    let letters = lake.archive.last().unwrap();
    let letters: usize = letters.iter().map(RecordBatch::num_rows).sum();
    let counted = rows("dead_letter_counts")[0].0[1].as_i64().unwrap();
    assert!(
        0 < undecodable,
        "the simulation has records that do not decode"
    );
    assert_eq!((letters, counted), (undecodable, undecodable as i64));

    let late_by_hand: i64 = lake.archive[0].iter().map(late_for_its_window).sum();
    let late: i64 = rows("late")
        .iter()
        .filter(|it| it.0[0] == Value::Text("per_10s".into()))
        .map(|it| it.0[2].as_i64().unwrap())
        .sum();
    assert_eq!(late, late_by_hand);
}

//! Live views: a snapshot and a ring of recent changes of each, moved forward one whole epoch at a time.
//!
//! Workers publish what their part of a view did; the hub applies an epoch when all of them are past it, to all views
//! under one lock. A reader therefore sees all or none of an epoch, and is told which one. Slow readers
//! cost nothing: each keeps only its place in the ring and asks for the sum of what came since.
//!
//! ```text
//! published by workers ──► waiting by epoch ──► snapshot + ring ──► snapshot(), as_of(), since()
//! ```
//!
//! The lock is held for moments only: readers take rows and changes as they are and walk through them afterwards ([`Rows`]), so that
//! neither the engine nor health waits for who reads a large view.

mod intake;
mod rows;

pub use intake::{Counts, Intake};
pub use rows::Rows;

use crate::model::{
    Epoch, Held, Histogram, LeftOut, Observed, Order, PartitionAhead, Readers, Row, Stamps, held,
    least_of, sum_row_counts, wall_ms, whole_ms,
};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Changes that are older than the newest epoch by this leave the ring.
const RING_AGE_MS: u64 = 60_000;
/// A ring holds at most so many changes; the oldest go first.
const RING_ROWS_MAX: usize = 50_000;
/// Newest records of append-only tables kept for the live tail.
const TAIL_ROWS_MAX: usize = 5_000;
/// Newest rows that stay live of a view of single records.
pub const RECORDS_MAX: usize = 100_000;
/// So many of them, of one epoch, leave together.
const ARRIVED_TOGETHER: usize = 1_000;

/// Bounds of the histogram of how old records are when views show them, in seconds: from a topic that is followed to a month of backlog.
const DELAY_SECONDS: [f64; 15] = [
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    1_800.0,
    3_600.0,
    21_600.0,
    86_400.0,
    2_592_000.0,
];

/// What is known of a view before it has rows.
#[derive(Clone, Debug)]
pub struct ViewInfo {
    pub name: String,
    pub schema: SchemaRef,
    pub sql: String,
    /// Column, constant to its window's end, retention, and the sources whose watermarks count; all in microseconds.
    pub window: Option<WindowInfo>,
    /// Rows are single records, of which the newest [`RECORDS_MAX`] stay live for so long after they came.
    pub records_ms: Option<u64>,
    /// The order in which readers expect the rows; empty if none.
    pub order: Vec<Order>,
}

#[derive(Clone, Debug)]
pub struct WindowInfo {
    pub column: usize,
    pub add_us: i64,
    pub retention_us: i64,
    /// The sources whose watermarks count: the one furthest behind.
    pub clocks: BTreeSet<String>,
}

impl WindowInfo {
    /// The watermark of the view among those of all sources.
    pub fn watermark(&self, of_sources: &BTreeMap<String, i64>) -> Option<i64> {
        least_of(&self.clocks, |it| of_sources.get(it).copied())
    }
}

/// All rows of a view at one epoch, with how often each is there.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub epoch: Epoch,
    pub rows: Rows,
    order: Vec<Order>,
}

impl Snapshot {
    /// Rows as readers expect them: in the view's order, and those that are equal in it by all their columns.
    pub fn in_order(&self) -> Box<dyn Iterator<Item = (&Row, i64)> + '_> {
        if self.order.is_empty() {
            return Box::new(self.rows.iter());
        }
        let mut rows: Vec<(&Row, i64)> = self.rows.iter().collect();
        rows.sort_by(|a, b| Order::compare_rows(&self.order, a.0, b.0));
        Box::new(rows.into_iter())
    }

    /// Each row as often as it is there, in order.
    fn listed(&self) -> Vec<Row> {
        let copies = |(row, count): (&Row, i64)| {
            let count = usize::try_from(count).expect("no row is there less than never");
            std::iter::repeat_n(row.clone(), count)
        };
        self.in_order().flat_map(copies).collect()
    }
}

/// What happened after an epoch.
#[derive(Clone, Debug)]
pub enum Since {
    /// The sum of all changes; one entry per row.
    Changes {
        changes: Vec<(Row, i64)>,
        epochs: usize,
    },
    /// The ring does not reach back so far.
    TooOld,
}

/// What an epoch did to a view; readers may still walk through it when it has left the ring.
type Changes = Arc<Vec<(Row, i64)>>;

/// What the changes of a ring take: their lists; rows that came, and rows that went.
#[derive(Clone, Copy, Debug, Default)]
struct RingBytes {
    lists: usize,
    came: usize,
    went: usize,
}

impl RingBytes {
    fn of(changes: &Changes) -> Self {
        let mut bytes = RingBytes {
            lists: held::of_vec::<(Row, i64)>(changes.capacity()),
            ..RingBytes::default()
        };
        for (row, diff) in changes.iter() {
            match *diff < 0 {
                true => bytes.went += held::of_row(row),
                false => bytes.came += held::of_row(row),
            }
        }
        bytes
    }

    fn add(&mut self, other: RingBytes) {
        self.lists += other.lists;
        self.came += other.came;
        self.went += other.went;
    }

    fn take_away(&mut self, other: RingBytes) {
        self.lists -= other.lists;
        self.came -= other.came;
        self.went -= other.went;
    }

    /// What the ring alone holds. A row that came is mostly one that is there now, or else one that went since: an estimate.
    fn alone(self) -> usize {
        self.lists + self.went + self.went.min(self.came)
    }
}

/// A worker's part of some epochs.
#[derive(Debug, Default)]
pub struct Part {
    pub worker: usize,
    /// The worker has nothing more at epochs up to and including this one.
    pub through: Epoch,
    pub changes: Vec<(usize, Epoch, Row, i64)>,
    pub tails: Vec<(usize, RecordBatch, u64)>,
    /// Per source: records, undecodable records, bytes.
    pub read: Vec<(usize, u64, u64, u64)>,
    /// By epoch, source and partition: the times that records brought with them, if they did.
    pub stamps: Vec<(Epoch, usize, Stamps)>,
    /// Per source: records behind the watermark.
    pub late: Vec<(usize, u64)>,
    /// Per source: partitions with records too far ahead to move event time.
    pub ahead: Vec<(usize, Vec<PartitionAhead>)>,
    pub watermarks: Vec<(String, i64)>,
    /// Per source: what `now()` means in sliding ranges, in microseconds.
    pub nows: Vec<(String, i64)>,
    /// What relations lack because it could not be computed.
    pub left_out: BTreeMap<String, LeftOut>,
}

/// Counts of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    pub records: u64,
    pub undecoded: u64,
    pub bytes: u64,
}

/// Newest records of an append-only table, numbered so that a reader knows what it has seen.
#[derive(Clone, Debug)]
pub struct TailBatch {
    pub number: u64,
    pub epoch: Epoch,
    pub table: usize,
    pub rows: RecordBatch,
    /// How many records there were, shown or not.
    pub matched: u64,
}

/// The live views of one process.
#[derive(Debug)]
pub struct Hub {
    generation: u64,
    started: Instant,
    inner: RwLock<Inner>,
    moved: watch::Sender<Epoch>,
    readers: Arc<Readers>,
    /// By source, how old records were when views showed what they changed.
    delays: Vec<Histogram>,
}

#[derive(Debug)]
struct Inner {
    views: Vec<View>,
    by_name: HashMap<String, usize>,
    start: Epoch,
    epoch: Epoch,
    through: Vec<Epoch>,
    /// By epoch and view.
    waiting: BTreeMap<Epoch, BTreeMap<usize, Vec<(Row, i64)>>>,
    /// By source, the times of records of epochs that are not shown yet.
    stamps: BTreeMap<Epoch, Vec<(usize, Stamps)>>,
    watermarks: BTreeMap<String, i64>,
    /// What `now()` means in sliding ranges of each source, and what it first meant if its first records came in this run.
    nows: BTreeMap<String, (i64, Option<i64>)>,
    left_out: BTreeMap<String, LeftOut>,
    tail: VecDeque<TailBatch>,
    tail_rows: usize,
    tail_number: u64,
    totals: Vec<Totals>,
    /// No source had a record before this run.
    is_fresh: bool,
    own_reads: Vec<(u64, u64, u64)>,
    /// What came in lately of each source, here and in all processes.
    recent: Vec<intake::Recent>,
    recent_of_all: Vec<intake::Recent>,
    /// When the first part came, in milliseconds since the hub was made.
    first_part_ms: Option<u64>,
    /// When the epoch moved, and rows were purged, in milliseconds since the hub was made.
    moved_ms: u64,
    purged_at_ms: u64,
}

#[derive(Debug)]
struct View {
    info: ViewInfo,
    rows: Rows,
    ring: VecDeque<(Epoch, Changes)>,
    ring_rows: usize,
    ring_bytes: RingBytes,
    /// The ring tells everything after this epoch.
    ring_from: Epoch,
    /// Single records as they came, if the view has such, and how many these are.
    arrived: VecDeque<(Epoch, Changes)>,
    arrived_rows: usize,
}

/// Up to where a reader has heard: an epoch, of one run of the pipeline. Written `<generation>.<epoch>`.
///
/// Runs may cut records into epochs differently, and a clock that was set back makes a later run use epochs of an earlier one again; so
/// an epoch alone says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub generation: u64,
    pub epoch: Epoch,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.epoch)
    }
}

impl FromStr for Heard {
    type Err = ParseIntError;

    /// What follows the epoch is not looked at. An epoch alone is of no run.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.split('.').map(str::parse);
        let first = numbers.next().unwrap_or(Ok(0))?;
        let (generation, epoch) = match numbers.next() {
            Some(second) => (first, second?),
            None => (0, first),
        };
        Ok(Heard {
            generation,
            epoch: Epoch(epoch),
        })
    }
}

impl Hub {
    /// A hub for views fed by `workers` workers. Nothing is visible before all of them are past `start`, the first epoch of
    /// this run: what was restored is then in, and an epoch that a reader heard of from an earlier run, which may have had
    /// other records in it, is older than anything that can be resumed from here.
    pub fn new(
        views: Vec<ViewInfo>,
        workers: usize,
        totals: Vec<Totals>,
        generation: u64,
        start: Epoch,
    ) -> Arc<Self> {
        let by_name = views
            .iter()
            .enumerate()
            .map(|(at, it)| (it.name.clone(), at))
            .collect();
        let views = views
            .into_iter()
            .map(|info| View {
                info,
                rows: Rows::default(),
                ring: VecDeque::new(),
                ring_rows: 0,
                ring_bytes: RingBytes::default(),
                ring_from: Epoch(0),
                arrived: VecDeque::new(),
                arrived_rows: 0,
            })
            .collect();
        let delays = totals.iter().map(|_| Histogram::new(&DELAY_SECONDS));
        let delays = delays.collect();
        let inner = Inner {
            views,
            by_name,
            start,
            epoch: Epoch(0),
            through: vec![Epoch(0); workers],
            waiting: BTreeMap::new(),
            stamps: BTreeMap::new(),
            watermarks: BTreeMap::new(),
            nows: BTreeMap::new(),
            is_fresh: totals.iter().all(|it| *it == Totals::default()),
            left_out: BTreeMap::new(),
            tail: VecDeque::new(),
            tail_rows: 0,
            tail_number: 0,
            own_reads: vec![(0, 0, 0); totals.len()],
            recent: totals.iter().map(|_| intake::Recent::default()).collect(),
            recent_of_all: totals.iter().map(|_| intake::Recent::default()).collect(),
            totals,
            first_part_ms: None,
            moved_ms: 0,
            purged_at_ms: 0,
        };
        Arc::new(Hub {
            generation,
            started: Instant::now(),
            inner: RwLock::new(inner),
            moved: watch::Sender::new(Epoch(0)),
            readers: Arc::default(),
            delays,
        })
    }

    /// Puts rows in that were there before this run, such as closed windows from the lake.
    pub fn seed(&self, view: usize, rows: impl IntoIterator<Item = Row>) {
        let mut inner = self.write();
        for row in rows {
            inner.views[view].rows.add(&row, 1);
        }
    }

    /// Puts single records in that came before this run, with the epoch of their commit; the oldest first.
    pub fn seed_records(&self, view: usize, rows: impl IntoIterator<Item = (Epoch, Vec<Row>)>) {
        let mut inner = self.write();
        for (epoch, rows) in rows {
            let mut changes: Vec<(Row, i64)> = rows.into_iter().map(|it| (it, 1)).collect();
            sum_row_counts(&mut changes);
            inner.views[view].apply(epoch, changes);
        }
    }

    /// Takes in what a worker published; readers see it once all workers are past it.
    pub fn publish(&self, part: Part) {
        let now_ms = self.now_ms();
        let mut inner = self.write();
        inner.first_part_ms.get_or_insert(now_ms);
        for (view, epoch, row, diff) in part.changes {
            let of_epoch = inner.waiting.entry(epoch).or_default();
            of_epoch.entry(view).or_default().push((row, diff));
        }
        for (source, records, undecoded, bytes) in part.read {
            let own = &mut inner.own_reads[source];
            *own = (own.0 + records, own.1 + undecoded, own.2 + bytes);
            let counts = Counts {
                records,
                undecoded,
                bytes,
                late: 0,
            };
            inner.note_read(now_ms, source, counts);
            inner.recent[source].note(now_ms, counts);
        }
        for (epoch, source, stamps) in part.stamps {
            let of_epoch = inner.stamps.entry(epoch).or_default();
            of_epoch.push((source, stamps));
        }
        for (source, late) in part.late {
            let counts = Counts {
                late,
                ..Counts::default()
            };
            inner.recent[source].note(now_ms, counts);
        }
        for (source, ahead) in part.ahead {
            inner.recent[source].ahead = ahead;
        }
        inner.take_tails(part.tails, part.through);
        inner.watermarks.extend(part.watermarks);
        for (source, now_us) in part.nows {
            let first = inner.is_fresh.then_some(now_us);
            let known = inner.nows.entry(source).or_insert((now_us, first));
            known.0 = now_us;
        }
        for (relation, left_out) in part.left_out {
            if !inner.left_out.contains_key(&relation) {
                tracing::warn!(
                    relation,
                    reason = left_out.last(),
                    "something could not be computed; the health counts it"
                );
            }
            inner.left_out.entry(relation).or_default().merge(left_out);
        }
        inner.through[part.worker] = inner.through[part.worker].max(part.through);
        let through = inner.through.iter().copied().min().unwrap_or_default();
        if inner.epoch < through && inner.start <= through {
            inner.apply(through, now_ms);
            let later = inner.stamps.split_off(&Epoch(through.0 + 1));
            let shown = std::mem::replace(&mut inner.stamps, later);
            drop(inner);
            self.moved.send_replace(through);
            self.note_delays(shown.into_values().flatten(), wall_ms());
        }
    }

    /// Notes how old records are whose epoch has just been shown. One that is ahead of this machine's clock is not old at all.
    fn note_delays(&self, shown: impl Iterator<Item = (usize, Stamps)>, now_ms: u64) {
        for (source, stamps) in shown {
            for stamp_ms in [stamps.oldest_ms, stamps.newest_ms] {
                let delay = Duration::from_millis(now_ms.saturating_sub(stamp_ms));
                self.delays[source].observe(delay);
            }
        }
    }

    /// By source, in their order, how old records that this process read were when their epoch was shown: twice for each epoch and
    /// partition, its oldest and its newest record. Nothing counted where records bring no time with them.
    pub fn delays(&self) -> Vec<Observed> {
        self.delays.iter().map(Histogram::observed).collect()
    }

    /// Takes in what another process read.
    pub fn note_read(&self, source: usize, records: u64, undecoded: u64, bytes: u64) {
        let now_ms = self.now_ms();
        let counts = Counts {
            records,
            undecoded,
            bytes,
            late: 0,
        };
        self.write().note_read(now_ms, source, counts);
    }

    /// What this process read of each source since its start: records, undecodable ones, bytes.
    pub fn own_reads(&self) -> Vec<(u64, u64, u64)> {
        self.read().own_reads.clone()
    }

    /// Tells whenever the epoch has moved.
    pub fn subscribe(&self) -> watch::Receiver<Epoch> {
        self.moved.subscribe()
    }

    /// Readers of live views: sources derive the length of epochs from them.
    pub fn readers(&self) -> Arc<Readers> {
        Arc::clone(&self.readers)
    }

    /// Records that somebody reads live views and wants changes within this time.
    pub fn note_reader(&self, every: Duration) {
        self.readers.note(wall_ms(), whole_ms(every));
    }

    /// Which run of the pipeline this is.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// An epoch, of this run.
    pub fn heard(&self, epoch: Epoch) -> Heard {
        Heard {
            generation: self.generation,
            epoch,
        }
    }

    /// The newest complete epoch; zero before the first.
    pub fn epoch(&self) -> Epoch {
        self.read().epoch
    }

    /// How long the newest epoch has been the newest, in milliseconds, by a clock that cannot be set.
    pub fn still_ms(&self) -> u64 {
        self.now_ms().saturating_sub(self.read().moved_ms)
    }

    /// All views with their row counts.
    pub fn views(&self) -> Vec<(ViewInfo, usize)> {
        self.read()
            .views
            .iter()
            .map(|it| (it.info.clone(), it.rows.len()))
            .collect()
    }

    /// Live rows of each view, and what they take with the ring of changes.
    pub fn held(&self) -> Vec<(String, Held)> {
        let of_view = |it: &View| {
            // Single records are listed once more, as they came.
            let arrived = it.arrived_rows * size_of::<(Row, i64)>();
            let held = it.rows.held() + Held::bytes(it.ring_bytes.alone() + arrived);
            (it.info.name.clone(), held)
        };
        self.read().views.iter().map(of_view).collect()
    }

    /// What is known of one view.
    pub fn view(&self, name: &str) -> Option<ViewInfo> {
        let inner = self.read();
        inner
            .by_name
            .get(name)
            .map(|at| inner.views[*at].info.clone())
    }

    /// All rows of a view now.
    pub fn snapshot(&self, name: &str) -> Option<Snapshot> {
        self.note_reader(Duration::ZERO);
        let inner = self.read();
        Some(inner.snapshot(*inner.by_name.get(name)?))
    }

    /// Snapshots of several views at the same epoch.
    pub fn snapshots(&self, names: &[String]) -> (Epoch, Vec<Option<Vec<Row>>>) {
        self.note_reader(Duration::ZERO);
        let (epoch, all) = {
            let inner = self.read();
            let rows = |name: &String| Some(inner.snapshot(*inner.by_name.get(name)?));
            let all: Vec<Option<Snapshot>> = names.iter().map(rows).collect();
            (inner.epoch, all)
        };
        let listed = all.into_iter().map(|it| it.map(|it| it.listed()));
        (epoch, listed.collect())
    }

    /// Rows of several views at the same earlier epoch. `Err` tells the oldest epoch that one of them has.
    pub fn snapshots_as_of(
        &self,
        names: &[String],
        epoch: Epoch,
    ) -> Result<Vec<Option<Vec<Row>>>, Epoch> {
        let rows = names.iter().map(|it| self.as_of(it, epoch).transpose());
        rows.map(|it| it.map(|it| it.map(|it| it.listed())))
            .collect()
    }

    /// Whether all changes of a view since an epoch are still known.
    pub fn keeps(&self, name: &str, epoch: Epoch) -> bool {
        let inner = self.read();
        let from = inner.by_name.get(name).map(|at| inner.views[*at].ring_from);
        from.is_some_and(|it| it <= epoch && epoch <= inner.epoch)
    }

    /// All rows of a view at an earlier epoch: the snapshot with later changes taken back. `Err` tells the oldest possible epoch.
    pub fn as_of(&self, name: &str, epoch: Epoch) -> Option<Result<Snapshot, Epoch>> {
        self.note_reader(Duration::ZERO);
        let inner = self.read();
        let view = &inner.views[*inner.by_name.get(name)?];
        if inner.epoch < epoch || epoch < view.ring_from {
            return Some(Err(view.ring_from));
        }
        let mut rows = view.rows.clone();
        let order = view.info.order.clone();
        let later = view.ring.iter().filter(|it| epoch < it.0);
        let later: Vec<Changes> = later.map(|it| Arc::clone(&it.1)).collect();
        drop(inner);
        for (row, diff) in later.iter().flat_map(|it| it.iter()) {
            rows.add(row, -diff);
        }
        Some(Ok(Snapshot { epoch, rows, order }))
    }

    /// Whether all changes of a view since a reader has heard of it are still known. Of another run none are.
    pub fn reaches(&self, name: &str, heard: Heard) -> bool {
        let inner = self.read();
        let from = inner.by_name.get(name).map(|at| inner.views[*at].ring_from);
        heard.generation == self.generation
            && from.is_some_and(|it| it <= heard.epoch && heard.epoch <= inner.epoch)
    }

    /// The sum of a view's changes after an epoch of this run, up to another.
    pub fn since(&self, name: &str, epoch: Epoch, to: Epoch) -> Option<Since> {
        let inner = self.read();
        let view = &inner.views[*inner.by_name.get(name)?];
        if epoch < view.ring_from || inner.epoch < epoch || inner.epoch < to {
            return Some(Since::TooOld);
        }
        let first = view.ring.partition_point(|it| it.0 <= epoch);
        let end = view.ring.partition_point(|it| it.0 <= to).max(first);
        let all = view.ring.range(first..end);
        let all: Vec<Changes> = all.map(|it| Arc::clone(&it.1)).collect();
        drop(inner);
        let mut sums: BTreeMap<&Row, i64> = BTreeMap::new();
        for (row, diff) in all.iter().flat_map(|it| it.iter()) {
            *sums.entry(row).or_insert(0) += diff;
        }
        // Retractions first, so that a reader that folds in order never sees two rows of one key.
        let mut changes: Vec<(Row, i64)> = sums
            .into_iter()
            .filter(|it| it.1 != 0)
            .map(|(row, diff)| (row.clone(), diff))
            .collect();
        changes.sort_by_key(|it| it.1.signum());
        Some(Since::Changes {
            changes,
            epochs: all.len(),
        })
    }

    /// The number of the newest batch of the live tail.
    pub fn tail_number(&self) -> u64 {
        self.read().tail_number
    }

    /// Batches of the live tail after a number, oldest first.
    pub fn tail_after(&self, number: u64) -> Vec<TailBatch> {
        self.read()
            .tail
            .iter()
            .filter(|it| number < it.number)
            .cloned()
            .collect()
    }

    /// All-time counts per source.
    pub fn totals(&self) -> Vec<Totals> {
        self.read().totals.clone()
    }

    /// Records and bytes per second over the last `seconds`, or since the start if that is less; of all processes.
    pub fn rates(&self, seconds: u64) -> (f64, f64) {
        let now_ms = self.now_ms();
        let inner = self.read();
        let Some(first_ms) = inner.first_part_ms else {
            return (0.0, 0.0);
        };
        let length_ms = (seconds * 1000).min(now_ms.saturating_sub(first_ms)).max(1);
        let (mut records, mut bytes) = (0, 0);
        for recent in &inner.recent_of_all {
            let counts = recent.over(now_ms, length_ms);
            records += counts.records + counts.undecoded;
            bytes += counts.bytes;
        }
        let per_second = |it: u64| it as f64 * 1000.0 / length_ms as f64;
        (per_second(records), per_second(bytes))
    }

    /// What this process read lately of each source.
    pub fn intakes(&self) -> Vec<Intake> {
        let now_ms = self.now_ms();
        let inner = self.read();
        inner.recent.iter().map(|it| it.intake(now_ms)).collect()
    }

    /// Since the hub was made, by a clock that cannot be set.
    fn now_ms(&self) -> u64 {
        whole_ms(self.started.elapsed())
    }

    /// Start of the oldest window a windowed view still has live; nothing without rows or windows.
    pub fn oldest_window(&self, name: &str) -> Option<i64> {
        let inner = self.read();
        let view = &inner.views[*inner.by_name.get(name)?];
        let column = view.info.window.as_ref()?.column;
        view.rows
            .iter()
            .filter_map(|it| it.0.0[column].as_i64())
            .min()
    }

    /// Changes per second of each view over the last `seconds` of complete epochs.
    pub fn change_rates(&self, seconds: u64) -> HashMap<String, f64> {
        let inner = self.read();
        let from = Epoch(inner.epoch.0.saturating_sub(seconds * 1000));
        let rate = |view: &View| {
            let first = view.ring.partition_point(|it| it.0 <= from);
            let changes: usize = view.ring.range(first..).map(|it| it.1.len()).sum();
            changes as f64 / seconds as f64
        };
        inner
            .views
            .iter()
            .map(|it| (it.info.name.clone(), rate(it)))
            .collect()
    }

    /// What relations lack because it could not be computed, since this process started.
    pub fn left_out(&self) -> BTreeMap<String, LeftOut> {
        self.read().left_out.clone()
    }

    /// How much of event time a sliding range of a source holds in fact, in microseconds: its `now()` counts in steps, and it begins with
    /// the first record if that came in this run. Nothing while that is not known.
    pub fn held_of_range_us(&self, source: &str, size_us: i64, step_us: i64) -> Option<i64> {
        let inner = self.read();
        let (now, first) = *inner.nows.get(source)?;
        let begin = now - now.rem_euclid(step_us) - size_us;
        Some(now - first.unwrap_or(begin).max(begin))
    }

    /// Watermarks per source, microseconds.
    pub fn watermarks(&self) -> BTreeMap<String, i64> {
        self.read().watermarks.clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn snapshot(&self, view: usize) -> Snapshot {
        let view = &self.views[view];
        Snapshot {
            epoch: self.epoch,
            rows: view.rows.clone(),
            order: view.info.order.clone(),
        }
    }

    fn note_read(&mut self, now_ms: u64, source: usize, counts: Counts) {
        let totals = &mut self.totals[source];
        totals.records += counts.records;
        totals.undecoded += counts.undecoded;
        totals.bytes += counts.bytes;
        self.recent_of_all[source].note(now_ms, counts);
    }

    fn apply(&mut self, through: Epoch, now_ms: u64) {
        let first = self.epoch == Epoch(0);
        let later = self.waiting.split_off(&Epoch(through.0 + 1));
        for (epoch, by_view) in std::mem::replace(&mut self.waiting, later) {
            for (view, mut changes) in by_view {
                let view = &mut self.views[view];
                if first && view.info.records_ms.is_none() {
                    view.rows.take(changes);
                    continue;
                }
                sum_row_counts(&mut changes);
                view.apply(epoch, changes);
                view.let_go(epoch, Epoch(0));
            }
        }
        self.epoch = through;
        if first {
            // What was restored is the beginning, not news.
            for view in &mut self.views {
                view.ring.clear();
                view.ring_rows = 0;
                view.ring_bytes = RingBytes::default();
                view.ring_from = through;
            }
        }
        self.moved_ms = now_ms;
        if self.purged_at_ms + 1000 <= now_ms {
            self.purged_at_ms = now_ms;
            for at in 0..self.views.len() {
                self.purge(at, through);
            }
        }
    }

    /// Rows past their retention leave the live view, and old changes the ring.
    fn purge(&mut self, at: usize, epoch: Epoch) {
        let view = &mut self.views[at];
        let limit = view.info.window.as_ref().and_then(|window| {
            let watermark = window.watermark(&self.watermarks)?;
            Some((
                window.column,
                watermark
                    .saturating_sub(window.retention_us)
                    .saturating_sub(window.add_us),
            ))
        });
        if let Some((column, limit)) = limit {
            let over: Vec<(Row, i64)> = view
                .rows
                .iter()
                .filter(|(row, _)| row.0[column].as_i64().is_some_and(|it| it <= limit))
                .map(|(row, count)| (row.clone(), -count))
                .collect();
            if !over.is_empty() {
                view.apply(epoch, over);
            }
        }
        if let Some(records_ms) = view.info.records_ms {
            view.let_go(epoch, Epoch(epoch.0.saturating_sub(records_ms)));
        }
        while let Some((oldest, changes)) = view.ring.front() {
            if epoch.0 < oldest.0 + RING_AGE_MS && view.ring_rows <= RING_ROWS_MAX {
                break;
            }
            view.ring_from = *oldest;
            view.ring_rows -= changes.len();
            view.ring_bytes.take_away(RingBytes::of(changes));
            view.ring.pop_front();
        }
    }

    fn take_tails(&mut self, tails: Vec<(usize, RecordBatch, u64)>, epoch: Epoch) {
        for (table, rows, matched) in tails {
            self.tail_number += 1;
            self.tail_rows += rows.num_rows();
            self.tail.push_back(TailBatch {
                number: self.tail_number,
                epoch,
                table,
                rows,
                matched,
            });
        }
        while TAIL_ROWS_MAX < self.tail_rows && 1 < self.tail.len() {
            let Some(oldest) = self.tail.pop_front() else {
                break;
            };
            self.tail_rows -= oldest.rows.num_rows();
        }
    }
}

impl View {
    fn apply(&mut self, epoch: Epoch, changes: Vec<(Row, i64)>) {
        if changes.is_empty() {
            return;
        }
        let changes = Arc::new(changes);
        if self.info.records_ms.is_some() {
            self.arrived_rows += changes.len();
            let parts = changes.chunks(ARRIVED_TOGETHER);
            let parts = parts.map(|it| (epoch, Arc::new(it.to_vec())));
            self.arrived.extend(parts);
        }
        self.change(epoch, changes);
    }

    fn change(&mut self, epoch: Epoch, changes: Changes) {
        self.rows.add_sorted(&changes);
        self.ring_rows += changes.len();
        self.ring_bytes.add(RingBytes::of(&changes));
        self.ring.push_back((epoch, changes));
    }

    /// Single records that came before an epoch leave the live view at `epoch`, and the oldest of too many.
    fn let_go(&mut self, epoch: Epoch, before: Epoch) {
        let mut gone = Vec::new();
        while let Some((came, changes)) = self.arrived.front() {
            if before <= *came && self.arrived_rows <= RECORDS_MAX {
                break;
            }
            gone.extend(changes.iter().map(|(row, count)| (row.clone(), -count)));
            self.arrived_rows -= changes.len();
            self.arrived.pop_front();
        }
        if !gone.is_empty() {
            sum_row_counts(&mut gone);
            self.change(epoch, Arc::new(gone));
        }
    }
}

#[cfg(test)]
mod tests;

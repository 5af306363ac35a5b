//! The engine: plans rendered into one timely dataflow and kept up to date by differential.
//!
//! It knows neither Kafka nor Delta nor HTTP. Records come from a [`Feed`] per worker and source, everything that leaves goes to one
//! [`Outputs`] per worker. Between them, an epoch travels like this:
//!
//! ```text
//! feed ── source ── map ── partial aggregation ══exchange══ aggregation ── map ── published, stored
//!            └ reports ══broadcast══ clock ───────────────────────┘ (late? closed?)
//! ```
//!
//! An epoch is complete when the probe behind all of it has passed; only then is it published and only
//! complete epochs are committed. State is what operators took in since the last commit: a restart
//! feeds it back at the committed epoch, and everything below is computed again from it.

pub mod accumulate;
mod changes;
pub mod clock;
pub mod costs;
mod credible;
mod distinct;
mod encoded;
mod gate;
mod group_table;
mod grouping;
mod operators;
mod render;
mod state_log;
mod state_share;
mod view_store;
mod wall;
mod worker;

pub use crate::model::EventTimes;
pub use accumulate::{Accumulator, Partial};
pub use clock::{ClockSettings, ClockState};
pub use costs::{Cost, Costs, NodePlace};
pub use distinct::Member;
pub use gate::stored_watermark;
pub use operators::state_names;
pub use state_log::StateLog;
pub use state_share::{Panes, Sharing, StateShare, StoredGroups};
pub(crate) use state_share::{group_hash, list_of, unpacked};
pub use wall::Wall;
pub use worker::{Mesh, Running, start};

use crate::model::{
    Epoch, LeftOut, Offset, Partition, PartitionAhead, Position, Readers, Row, Stamps,
};
use crate::plan::Dataflow;
use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Decoded records of one partition, or news about it.
#[derive(Clone, Debug)]
pub struct Input {
    pub partition: Partition,
    /// The declared columns of the source, then `_partition` and `_offset`.
    pub records: RecordBatch,
    pub kind: Records,
    /// Newest event time among them, microseconds.
    pub newest_us: Option<i64>,
    pub undecoded: Vec<Undecoded>,
    /// The first record among them; where to read on, if there is none.
    pub from: Offset,
    /// Where to read on.
    pub next: Position,
    /// Raw bytes read.
    pub bytes: u64,
    /// Sum over the raw records of a hash of offset and bytes: the same in any order.
    pub checksum: u64,
    /// The times that the source keeps with the records, if it does.
    pub stamps: Option<Stamps>,
    /// Whether the partition has been read to its end.
    pub at_end: bool,
}

/// Where the records of an input come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Read from the source just now: the epoch is added to their columns.
    Read,
    /// Archived: they have all columns of their relation, the epoch among them.
    Archived,
    /// Rows of a view, with all its columns. They may be taken back later.
    OfView,
}

/// A record that could not be decoded.
#[derive(Clone, Debug)]
pub struct Undecoded {
    pub offset: i64,
    pub raw: Vec<u8>,
    pub reason: String,
}

/// The records of the partitions of one source that one worker owns.
pub trait Feed: Send {
    /// What was read since, if anything. Must not block.
    fn next(&mut self) -> Option<Input>;
    /// Nothing was read for a while, and no partition is known to be read to its end any more: the feed looks at each of its partitions
    /// again, and tells anew when one is. What it says meanwhile is not taken from before.
    fn look_again(&mut self);
}

/// Where one worker's results go. No call may block for long: workers share the machine.
pub trait Outputs: Send {
    /// Rows of an append-only table, read in `epoch` and to be in the commit. They lack the mark of late rows if the table has
    /// one.
    fn append(&mut self, table: usize, epoch: Epoch, commit: Epoch, rows: RecordBatch);
    /// All rows of the epoch have been appended, and those before the watermark are late: `model::late_marks`.
    fn mark(&mut self, table: usize, epoch: Epoch, watermark: i64);
    /// The view's newly closed rows, and the open ones that changed since the last commit, if any did.
    fn replace(&mut self, view: usize, commit: Epoch, sealed: Vec<Row>, open: Option<OpenRows>);
    /// Everything of this worker up to the commit epoch has been handed over.
    fn commit(&mut self, report: CommitReport);
    /// All of this worker's changes before `through`.
    fn publish(&mut self, published: Published);
    /// Whether sources should wait: too much is handed over and not yet durable.
    fn is_behind(&self) -> bool;
}

/// Open rows of a view in buckets: those that changed, each with all its rows, of which there may be none. Each bucket is one worker's, and no two
/// workers of a run have the same. What was open before a run goes when the first bucket of the view is handed over.
#[derive(Clone, Debug)]
pub struct OpenRows(pub BTreeMap<u32, Vec<Row>>);

/// What decides how many buckets a view's open rows are in.
#[derive(Clone, Copy, Debug)]
pub struct Bucketing {
    /// A bucket has so many rows or more, unless it is the only one.
    pub rows_min: usize,
    /// Writing one more file costs as much as so many rows.
    pub file_rows: usize,
    /// Commits should not replace more files of one view than this, of all workers together.
    pub files_max: usize,
}

impl Bucketing {
    /// One bucket for all rows.
    pub const ONE: Bucketing = Bucketing {
        rows_min: usize::MAX,
        file_rows: 0,
        files_max: 1,
    };
}

/// What one worker read and took in since its last commit.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct CommitReport {
    pub worker: usize,
    pub commit: Epoch,
    /// The last one before the engine stops.
    pub last: bool,
    pub progress: Vec<SourceProgress>,
    pub state: StateLog,
    /// Clocks of all sources after the commit's epoch, from worker 0: what a restart goes on from.
    pub clocks: BTreeMap<String, ClockState>,
    /// What the clocks showed at the commit's epoch, from worker 0: what its views were computed with.
    pub event_times: BTreeMap<String, EventTimes>,
}

/// How far one worker read one partition, and what that was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceProgress {
    pub source: usize,
    pub partition: Partition,
    /// Where it began.
    pub from: Offset,
    pub next: Position,
    pub records: u64,
    pub undecoded: u64,
    pub bytes: u64,
    pub checksum: u64,
    /// The times that the source keeps with these records, if it does.
    pub stamps: Option<Stamps>,
}

/// A worker's changes of complete epochs.
#[derive(Debug, Default)]
pub struct Published {
    pub worker: usize,
    /// All epochs below this are complete everywhere.
    pub through: Epoch,
    /// View, epoch, row, diff.
    pub changes: Vec<(usize, Epoch, Row, i64)>,
    /// Newest rows of each append-only table, and how many there were.
    pub tails: Vec<(usize, RecordBatch, u64)>,
    pub progress: Vec<SourceProgress>,
    /// The times that records brought with them, if they did: by epoch, source and partition.
    pub stamps: Vec<(Epoch, usize, Stamps)>,
    /// Watermark per source, microseconds, from the first worker of the process.
    pub watermarks: Vec<(String, i64)>,
    /// What `now()` means in sliding ranges at the newest of these epochs, per source, microseconds; from the first worker.
    pub nows: Vec<(String, i64)>,
    /// Partitions of each source with records too far ahead to be believed, from the first worker of the process.
    pub ahead: Vec<(String, Vec<PartitionAhead>)>,
    /// Records behind the watermark, by source.
    pub late: Vec<(String, u64)>,
    /// What views and further tables of a source lack because it could not be computed.
    pub left_out: BTreeMap<String, LeftOut>,
}

/// A piece of what a stateful operator took in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateRecord {
    /// The name of the operator it belongs to: one for all its records, of which there may be millions.
    pub operator: Arc<str>,
    pub content: StateContent,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StateContent {
    Group(Partial),
    Row(Row, i64),
    Packed(PackedRow),
}

/// A row in bytes, as operators that keep rows whole have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackedRow {
    pub bytes: Vec<u8>,
    /// The end of its window, if it is let go then.
    pub end_us: Option<i64>,
    /// How often it was added.
    pub diff: i64,
}

/// Where to go on after a restart.
#[derive(Debug, Default)]
pub struct Restored {
    pub epoch: Epoch,
    pub clocks: BTreeMap<String, ClockState>,
    /// What the clocks showed at the epoch, which is just before what they go on from.
    pub event_times: BTreeMap<String, EventTimes>,
    /// What each worker of this process keeps; none if nothing was stored.
    pub state: Vec<StateShare>,
}

impl Restored {
    /// Adds the open rows that the lake has of a view that outlives its windows.
    pub fn add_rows_of_view(&mut self, view: &str, rows: Vec<Row>, sharing: &Sharing) {
        let more = StateShare::of(operators::as_state(view, rows), sharing);
        self.state
            .resize_with(sharing.shares(), StateShare::default);
        for (share, more) in self.state.iter_mut().zip(more) {
            *share = StateShare::concat([std::mem::take(share), more]);
        }
    }
}

/// How an engine runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub workers: usize,
    /// Length of an epoch.
    pub tick_ms: u64,
    /// Epoch length while live results have no readers.
    pub quiet_tick_ms: u64,
    /// Epochs at multiples of this are commit epochs, and one soon after the start.
    pub commit_interval_ms: u64,
    pub first_commit_ms: u64,
    /// A source waits while the newest epoch that it closed has been incomplete for longer than this.
    pub lag_max_ms: u64,
    /// An epoch that has so many records of a source on one worker takes no more: what is in flight is made of them.
    pub epoch_records_max: usize,
    /// A source with nothing to read sleeps at most this long at a time.
    pub idle_sleep_ms_max: u64,
    /// The clock of each source, by name.
    pub clocks: BTreeMap<String, ClockSettings>,
    /// Rows per epoch and worker of each append-only table that go to the live tail.
    pub tail_rows: usize,
    pub bucketing: Bucketing,
}

/// How the outside steers a running engine.
#[derive(Debug, Default)]
pub struct Control {
    stopping: AtomicBool,
    /// The last epoch, once all sources have ended; 0 before.
    last: AtomicU64,
    /// How far apart the clocks of the processes are: that much lag is no reason to wait.
    pub skew_ms: AtomicU64,
    /// Readers of live results, in all processes.
    readers: Arc<Readers>,
}

impl Control {
    /// For an engine whose results have these readers.
    pub fn new(readers: Arc<Readers>) -> Self {
        Control {
            readers,
            ..Control::default()
        }
    }

    /// Asks every source of this process to end with the epoch it is in. The engine ends when the sources of all processes have,
    /// so each process has to be asked. Returns whether this was the first time.
    pub fn stop(&self) -> bool {
        !self.stopping.swap(true, Ordering::AcqRel)
    }

    /// Whether sources were asked to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The last epoch of all processes, at which the last commit is made. Known when no source reads any more.
    pub fn last(&self) -> Option<Epoch> {
        Some(Epoch(self.last.load(Ordering::Acquire))).filter(|it| it.0 != 0)
    }

    fn end(&self, last: Epoch) {
        self.last.store(last.0, Ordering::Release);
    }
}

/// Everything a run needs.
pub struct Job {
    pub dataflow: Arc<Dataflow>,
    pub settings: Settings,
    /// The first epoch of this run, above every committed one.
    pub start: Epoch,
    pub restored: Restored,
    pub control: Arc<Control>,
    /// Where workers tell what relations cost them.
    pub costs: Arc<Costs>,
    pub wall: Wall,
}

impl Settings {
    /// The wall clock up to which an epoch stays open: as long as readers allow, and never past its commit.
    pub fn end_of(&self, epoch: u64, start: u64, readers_ms: Option<u64>) -> u64 {
        let length_ms = readers_ms.unwrap_or(self.quiet_tick_ms).max(self.tick_ms);
        let end = epoch.div_ceil(length_ms) * length_ms;
        end.min(self.commit_of(epoch, start))
    }

    /// The commit an epoch belongs to.
    pub fn commit_of(&self, epoch: u64, start: u64) -> u64 {
        let early = (start + self.first_commit_ms).div_ceil(self.tick_ms) * self.tick_ms;
        let regular = epoch.div_ceil(self.commit_interval_ms) * self.commit_interval_ms;
        if epoch <= early {
            early.min(regular)
        } else {
            regular
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_as_long_as_readers_allow_and_end_with_their_commit() {
        let settings = Settings {
            workers: 1,
            tick_ms: 100,
            quiet_tick_ms: 1_000,
            commit_interval_ms: 2_500,
            first_commit_ms: 1_500,
            lag_max_ms: 1_000,
            epoch_records_max: 1_000,
            idle_sleep_ms_max: 100,
            clocks: BTreeMap::new(),
            tail_rows: 0,
            bucketing: Bucketing::ONE,
        };
        let end_of = |epoch, readers_ms| settings.end_of(epoch, 10_100, readers_ms);
        assert_eq!(end_of(14_100, None), 15_000);
        assert_eq!(end_of(15_000, None), 15_000);
        assert_eq!(end_of(14_100, Some(200)), 14_200);
        assert_eq!(end_of(14_100, Some(100)), 14_100);
        // Commits are at 11.6 s, 12.5 s and every 2.5 s from there.
        assert_eq!(end_of(11_100, None), 11_600);
        assert_eq!(end_of(12_100, None), 12_500);
        assert_eq!(end_of(12_600, None), 13_000);
    }
}

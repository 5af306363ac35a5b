//! Where records come from: partition files, Kafka, Delta tables and HTTP clients, and how their bytes become columns.
//!
//! Per worker and source one thread reads raw bytes of the partitions that worker owns and hands them over through a
//! bounded channel; when nobody takes them it waits, and that is the backpressure. Decoding happens on the worker.

pub mod decode;
pub mod delta;
pub mod file;
pub mod framing;
mod json_rows;
pub mod kafka;
pub mod place;
pub mod push;
#[cfg(test)]
mod tests;

use crate::model::{Offset, Offsets, Partition, Position, Stamps};
use crate::repeats::{Repeats, Say};
use decode::RawRecords;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Chunks a reader may be ahead of its worker.
pub const CHUNKS_AHEAD: usize = 4;
/// Gaps that the status tells, newest last; all of them are among the dead letters.
const GAPS_TOLD_MAX: usize = 100;
/// How often it is noted how far reading has come, and over how many of these its speed is measured.
const PACE_EVERY: Duration = Duration::from_secs(1);
const PACE_SECONDS: u32 = 10;

/// Raw records of one partition, or the news that it was read to its end.
#[derive(Debug)]
pub struct Chunk {
    pub records: RawRecords,
    pub next: Position,
    pub at_end: bool,
    /// How often the reader had been asked to look again when it last began to.
    pub looks: u64,
    /// Offsets between the records and `next` that will never be read.
    pub gap: Option<Gap>,
    /// The times that the source keeps with the records, if it does.
    pub stamps: Option<Stamps>,
}

impl Chunk {
    /// No records, only where a partition stands.
    pub fn empty(partition: Partition, next: Position, gap: Option<Gap>) -> Self {
        Chunk {
            records: RawRecords::empty(partition),
            next,
            at_end: false,
            looks: 0,
            gap,
            stamps: None,
        }
    }
}

/// Asks a reader to look again whether its partitions are read to their ends: after a pause in which nothing was read, what it knew
/// before counts no more.
#[derive(Clone, Debug, Default)]
pub struct LookAgain(Arc<AtomicU64>);

impl LookAgain {
    pub fn ask(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Offsets `from..to` of a partition that were gone before they could be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
    pub reason: String,
    pub noticed_ms: u64,
}

/// A file of an input folder that is not read, or not all of it, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNote {
    pub name: String,
    pub trouble: Trouble,
    /// So many bytes are concerned, as far as known.
    pub bytes: u64,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It cannot be opened, or is no valid compressed file.
    Unreadable,
    /// It is equal to another file.
    Alike,
    /// Its last line has no end.
    Unfinished,
    /// It grew after its successor was begun.
    Grown,
    /// It is no file.
    NoFile,
}

/// A source that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "there is no input {path:?}, which would be {}; make it, name another with --input, or start where it is",
        .absolute.display()
    )]
    NoFolder { path: String, absolute: PathBuf },
    #[error("input folder {path:?} cannot be read")]
    Folder {
        path: String,
        source: std::io::Error,
    },
    #[error("source {name:?} has a wrong option: {reason}")]
    Option { name: String, reason: String },
    #[error("--input {input}: {reason}")]
    Input { input: String, reason: String },
    #[error("the Kafka client of source {name:?} failed")]
    Client {
        name: String,
        source: rdkafka::error::KafkaError,
    },
    #[error("source {name:?} cannot be read: {reason}")]
    Away { name: String, reason: String },
    #[error("partition {partition} of source {name:?} was silent for {seconds} s")]
    Silent {
        name: String,
        partition: i32,
        seconds: u64,
    },
}

/// How a source is doing, as its readers tell it and health shows it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// False while the broker or folder cannot be reached.
    pub connected: bool,
    /// Whether it was ever reached since this process started.
    pub reached: bool,
    /// What is wrong, as the reader of each worker has it.
    pub problems: BTreeMap<usize, String>,
    pub partitions: BTreeMap<i32, PartitionStatus>,
    /// Records that were gone before they could be read, since the start of this process.
    pub lost_records: u64,
    /// Where they were missing, newest last.
    pub gaps: Vec<Gap>,
    /// Input files that are not read as they should be, as the reader of each worker has it. What concerns the folder is under
    /// the greatest number.
    pub files: BTreeMap<usize, Vec<FileNote>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PartitionStatus {
    pub name: String,
    /// Next to read.
    pub offset: i64,
    /// One past the last there is; nothing while unknown.
    pub end_offset: Option<i64>,
    /// The source's own notes on that place: see `Position`.
    pub origin: String,
    pub mark: String,
    /// Offset here minus offset in the topic: 0 unless the topic was recreated.
    pub base: i64,
    /// Why it is not read, if it is not.
    pub problem: Option<String>,
}

impl PartitionStatus {
    /// Next to read, and what the source needs to find that place.
    pub fn position(&self) -> Position {
        Position {
            offset: Offset(self.offset),
            origin: self.origin.clone(),
            mark: self.mark.clone(),
        }
    }

    /// What is there and was not read yet; nothing while unknown.
    pub fn lag(&self) -> Option<i64> {
        self.end_offset.map(|it| (it - self.offset).max(0))
    }
}

impl Status {
    /// What is wrong, or nothing.
    pub fn problem(&self) -> Option<&String> {
        self.problems.values().next()
    }

    /// Takes in what a worker's reader says; true if it says that something else is wrong than before.
    pub fn tell(&mut self, worker: usize, connected: bool, problem: Option<String>) -> bool {
        self.connected = connected;
        self.reached |= connected;
        let before = match &problem {
            Some(text) => self.problems.insert(worker, text.clone()),
            None => self.problems.remove(&worker),
        };
        problem.is_some() && before != problem
    }

    /// Input files that are not read as they should be, by name.
    pub fn file_notes(&self) -> Vec<&FileNote> {
        let mut notes: Vec<&FileNote> = self.files.values().flatten().collect();
        notes.sort_by(|a, b| (a.trouble, &a.name).cmp(&(b.trouble, &b.name)));
        notes
    }

    /// What is there and was not read yet, as far as known.
    pub fn lag(&self) -> i64 {
        self.partitions.values().filter_map(|it| it.lag()).sum()
    }
}

/// How fast a source is read, in its own unit: records of a topic, bytes of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pace {
    pub read_per_second: f64,
    pub lag: i64,
    /// Until nothing is left to read, if reading and arriving go on as now; nothing while it is not getting less.
    pub seconds_to_catch_up: Option<f64>,
}

/// How far it was at some time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    read: i64,
    lag: i64,
}

/// What was read since the start, and when.
#[derive(Debug, Default)]
struct Progress {
    read: i64,
    samples: VecDeque<Sample>,
}

#[derive(Debug, Default)]
struct Shared {
    status: Status,
    committed: Offsets,
    progress: Progress,
    /// What was written into the log of what is wrong.
    complaints: BTreeMap<Complaint, Repeats>,
}

/// Kinds of complaint, for the log: the words of one kind may differ from one time to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Complaint {
    /// The brokers do not answer.
    Away,
    /// There is no such topic.
    Missing,
    /// The topic does not tell its id.
    Id,
    /// The client cannot read on.
    Reading,
}

/// A status shared between readers and those who ask for it.
#[derive(Clone, Debug, Default)]
pub struct SharedStatus(Arc<Mutex<Shared>>);

impl SharedStatus {
    pub fn get(&self) -> Status {
        self.with(|it| it.status.clone())
    }

    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        self.with(|it| change(&mut it.status));
    }

    /// Something is wrong, still or again: whether that is worth a line in the log. All readers of a source have one say.
    pub fn seen(&self, complaint: Complaint) -> Say {
        self.with(|it| {
            it.complaints
                .entry(complaint)
                .or_default()
                .seen(Instant::now())
        })
    }

    /// Nothing is wrong with this reader. When nothing is wrong with any, says how long it was, the first time.
    pub fn over(&self) -> Option<Duration> {
        self.with(|it| {
            if it.status.problem().is_some() {
                return None;
            }
            let now = Instant::now();
            let lasted = it.complaints.values_mut().filter_map(|it| it.over(now));
            lasted.max()
        })
    }

    /// Notes how far a partition has been read.
    pub fn advance(&self, partition: Partition, next: &Position, end_offset: Option<i64>) {
        let offset = next.offset.0;
        self.with(|it| {
            let known = it.status.partitions.entry(partition.0).or_default();
            // A partition that appears, here at its offset, was not read up to there just now.
            if known.end_offset.is_some() {
                it.progress.read += (offset - known.offset).max(0);
            }
            known.offset = offset;
            known.origin.clone_from(&next.origin);
            known.mark.clone_from(&next.mark);
            known.end_offset = end_offset.or(known.end_offset);
            it.progress.note(it.status.lag());
        });
    }

    /// Notes what the lake has.
    pub fn commit(&self, offsets: &Offsets) {
        self.with(|it| it.committed.clone_from(offsets));
    }

    /// What the lake has.
    pub fn committed(&self) -> Offsets {
        self.with(|it| it.committed.clone())
    }

    /// Notes records that will never be read.
    pub fn note(&self, gap: Gap) {
        self.update(|it| {
            it.lost_records += (gap.to - gap.from).max(0).unsigned_abs();
            if GAPS_TOLD_MAX <= it.gaps.len() {
                it.gaps.remove(0);
            }
            it.gaps.push(gap);
        });
    }

    /// The speed of the last seconds, and when reading will have caught up.
    pub fn pace(&self) -> Pace {
        self.with(|it| {
            let lag = it.status.lag();
            it.progress.pace(lag, Instant::now())
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Shared) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress {
    fn note(&mut self, lag: i64) {
        let now = Instant::now();
        if self
            .samples
            .back()
            .is_some_and(|it| now - it.at < PACE_EVERY)
        {
            return;
        }
        if PACE_SECONDS as usize + 1 < self.samples.len() {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            at: now,
            read: self.read,
            lag,
        });
    }

    /// Measured over the last `PACE_SECONDS`: from how it stood then, which is what was last noted before.
    fn pace(&self, lag: i64, now: Instant) -> Pace {
        let window = PACE_EVERY * PACE_SECONDS;
        let before = self.samples.iter().rev().find(|it| window <= now - it.at);
        let Some(first) = before.or(self.samples.front()) else {
            return Pace {
                lag,
                ..Pace::default()
            };
        };
        let seconds = (now - first.at).min(window).as_secs_f64();
        if seconds == 0.0 {
            return Pace {
                lag,
                ..Pace::default()
            };
        }
        let less_per_second = (first.lag - lag) as f64 / seconds;
        let seconds_to_catch_up = match lag {
            0 => Some(0.0),
            _ => (0.0 < less_per_second).then(|| lag as f64 / less_per_second),
        };
        Pace {
            read_per_second: (self.read - first.read) as f64 / seconds,
            lag,
            seconds_to_catch_up,
        }
    }
}

//! A folder whose files are partitions: JSON lines, CSV or access logs, appended while we read, or Parquet files.
//!
//! An offset is a byte position in the partition, which outlives the file: when a log is rotated, the new file goes on
//! where the old one ended. What files do to their reader, and what we do then:
//!
//! ```text
//! renamed, compressed, restored   known by inode and content (`print`), finished, and never read again under another name
//! a new file under the name       read once the old one got no more bytes for two seconds
//! cut or overwritten              a copy of what was in it is looked for, and finished; without one, a dead letter says from which
//!                                 byte on it is not known what was lost
//! equal to another file           not read while the two are equal, and said in the health (`folder`)
//! ```
//!
//! A line counts once its line end is there; a last line without one waits, and health tells of it. In compressed files (`.gz`)
//! and in files that have a successor the last line counts as it is. A Parquet file is read like a compressed one, as a line of JSON for each of its rows.
//!
//! Only some files are open at a time. Others are opened when the listing of the folder says that they have grown.

mod again;
mod folder;
mod location;
pub(crate) mod parquet;
mod print;
mod tail;
#[cfg(test)]
mod tests;

pub use again::{Missing, Span, read_again};
pub use folder::Folder;
pub use location::Location;

use super::framing::Framing;
use super::{Chunk, FileNote, Gap, LookAgain, SharedStatus, Trouble};
use crate::model::{Offsets, Partition, Readers, wall_ms};
use crossbeam_channel::Sender;
use folder::Listing;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tail::{Step, Tail};

/// How long a reader sleeps when all its files are at their end and live results have readers.
const IDLE_SLEEP: Duration = Duration::from_millis(10);
/// Files that all readers of a process hold open, about: the rest of its descriptors are for the lake and the API.
const OPEN_FILES_MAX: usize = 128;
const OPEN_FILES_MIN: usize = 8;
/// How long a file that could not be read is left alone.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// The same for one that is read from its beginning each time.
const RETRY_PACKED_EVERY: Duration = Duration::from_secs(30);

/// What a reader thread needs.
pub struct Reader {
    pub folder: Arc<Folder>,
    pub framing: Framing,
    pub worker: usize,
    pub workers: usize,
    pub stored: Offsets,
    pub status: SharedStatus,
    pub look_again: LookAgain,
    pub live: Arc<Readers>,
    pub stop: Arc<AtomicBool>,
}

/// Nobody takes chunks any more.
struct NobodyListens;

/// What cannot be read now, and why: names of files, or the folder itself.
#[derive(Default)]
struct Problems(BTreeMap<String, String>);

impl Problems {
    fn note(&mut self, name: &str, error: Option<&io::Error>) {
        match error {
            Some(error) => {
                self.0.insert(name.to_owned(), error.to_string());
            }
            None if !self.0.is_empty() => {
                self.0.remove(name);
            }
            None => {}
        }
    }
}

impl Reader {
    /// Reads until told to stop or nobody listens. An unreadable file is told in the status and tried again.
    pub fn run(self, chunks: &Sender<Chunk>) {
        let mut reading = Reading {
            reader: self,
            chunks: chunks.clone(),
            tails: BTreeMap::new(),
            problems: Problems::default(),
            told: Vec::new(),
            listing: 0,
            looks: 0,
        };
        // The one thing that ends it from inside: the worker is gone, and has said why.
        let _ = reading.run();
    }
}

/// The reader at work.
struct Reading {
    reader: Reader,
    chunks: Sender<Chunk>,
    tails: BTreeMap<i32, Tail>,
    problems: Problems,
    /// Notes on files of this reader, as last told.
    told: Vec<FileNote>,
    /// Number of the listing that was looked through last.
    listing: u64,
    /// How often it was asked to look again.
    looks: u64,
}

impl Reading {
    fn run(&mut self) -> Result<(), NobodyListens> {
        while !self.reader.stop.load(Ordering::Acquire) {
            let asked = self.reader.look_again.asked();
            if self.looks < asked {
                self.looks = asked;
                self.tails.values_mut().for_each(Tail::forget_end);
            }
            let listing = self.reader.folder.look();
            let folder = self.reader.folder.path().display().to_string();
            self.problems.note(&folder, listing.as_ref().err());
            if let Ok(listing) = listing
                && listing.number != self.listing
            {
                self.listing = listing.number;
                self.look_through(&listing)?;
            }
            let mut idle = true;
            let numbers: Vec<i32> = self.tails.keys().copied().collect();
            for number in numbers {
                idle &= !self.read(number)?;
            }
            self.tell();
            if idle {
                std::thread::sleep(self.reader.live.pause(wall_ms(), IDLE_SLEEP));
            }
        }
        Ok(())
    }

    /// Takes new partitions, and sees which files have grown or have a successor.
    fn look_through(&mut self, listing: &Listing) -> Result<(), NobodyListens> {
        let (worker, workers) = (self.reader.worker, self.reader.workers);
        for (name, number) in &listing.partitions {
            let own = usize::try_from(*number).is_ok_and(|it| it % workers == worker);
            if !own {
                continue;
            }
            if let Some(tail) = self.tails.get_mut(number) {
                tail.look_through(listing);
                continue;
            }
            let stored = self.reader.stored.get(Partition(*number));
            let opened = Tail::resume(name, *number, stored, listing, &self.reader.framing);
            self.problems.note(name, opened.as_ref().err());
            if let Ok(Some(tail)) = opened {
                self.reader.status.update(|it| {
                    let known = it.partitions.entry(*number).or_default();
                    known.name.clone_from(name);
                });
                let next = tail.position();
                self.reader.folder.note(*number, &next);
                self.reader
                    .status
                    .advance(Partition(*number), &next, tail.end());
                // Known but not yet read: until its end was seen, it holds the watermark back.
                self.send(Chunk::empty(Partition(*number), next, None))?;
                self.tails.insert(*number, tail);
            }
        }
        self.reader.status.update(|it| {
            it.files.insert(usize::MAX, listing.notes.clone());
        });
        Ok(())
    }

    /// Reads a block of a partition; true if there was something.
    fn read(&mut self, number: i32) -> Result<bool, NobodyListens> {
        let Some(tail) = self.tails.get(&number) else {
            return Ok(false);
        };
        if !tail.wants_reading() {
            return Ok(false);
        }
        if !tail.is_open() && !self.make_room(number) {
            return Ok(false);
        }
        let Some(tail) = self.tails.get_mut(&number) else {
            return Ok(false);
        };
        let name = tail.name().to_owned();
        let read = tail.read(&self.reader.folder);
        self.problems.note(&name, read.as_ref().err());
        match read {
            Ok(Step::Nothing) => Ok(false),
            Ok(Step::Again) => Ok(true),
            Ok(Step::Chunk { mut chunk, lost }) => {
                let (next, end) = (chunk.next.clone(), tail.end());
                self.reader.folder.note(number, &next);
                chunk.gap = lost.map(|it| self.note(number, it));
                self.reader.status.advance(Partition(number), &next, end);
                let some = !chunk.records.ends.is_empty() || chunk.gap.is_some();
                self.send(*chunk)?;
                Ok(some)
            }
            Err(_) => {
                tail.close();
                tail.retry_after(match tail.is_packed() {
                    true => RETRY_PACKED_EVERY,
                    false => RETRY_EVERY,
                });
                Ok(false)
            }
        }
    }

    /// Closes the file that was read least recently if too many are open. A compressed one is left open: to come back to its place is
    /// to read it from the beginning. False if there is no room.
    fn make_room(&mut self, number: i32) -> bool {
        let most = (OPEN_FILES_MAX / self.reader.workers).max(OPEN_FILES_MIN);
        let packed = |it: &&Tail| it.is_open() && it.is_packed();
        let wants_packed = self.tails.get(&number).is_some_and(Tail::is_packed);
        if wants_packed && most / 2 <= self.tails.values().filter(packed).count() {
            return false;
        }
        if self.tails.values().filter(|it| it.is_open()).count() < most {
            return true;
        }
        let plain = self
            .tails
            .values_mut()
            .filter(|it| it.is_open() && !it.is_packed());
        match plain.min_by_key(|it| it.read_at()) {
            Some(it) => {
                it.close();
                true
            }
            None => false,
        }
    }

    fn note(&self, partition: i32, lost: tail::Lost) -> Gap {
        let gap = Gap {
            partition,
            from: lost.from,
            to: lost.to,
            reason: lost.reason,
            noticed_ms: wall_ms(),
        };
        tracing::error!(
            partition,
            from = gap.from,
            to = gap.to,
            "partition {partition}: {}",
            gap.reason
        );
        self.reader.status.note(gap.clone());
        gap
    }

    fn send(&self, mut chunk: Chunk) -> Result<(), NobodyListens> {
        chunk.looks = self.looks;
        self.chunks.send(chunk).map_err(|_| NobodyListens)
    }

    fn tell(&mut self) {
        let worker = self.reader.worker;
        let notes: Vec<FileNote> = self.tails.values().filter_map(Tail::unfinished).collect();
        if notes != self.told {
            self.told.clone_from(&notes);
            self.reader.status.update(|it| {
                it.files.insert(worker, notes);
            });
        }
        let Some((name, text)) = self.problems.0.first_key_value() else {
            return self.reader.status.update(|it| {
                it.tell(worker, true, None);
            });
        };
        let connected = *name != self.reader.folder.path().display().to_string();
        self.reader.status.update(|it| {
            if it.tell(worker, connected, Some(format!("{name}: {text}"))) {
                tracing::warn!(
                    file = name,
                    "an input file cannot be read: {text}; trying again"
                );
            }
        });
    }
}

impl FileNote {
    fn new(name: &str, trouble: Trouble, bytes: u64, text: &str) -> Self {
        FileNote {
            name: name.to_owned(),
            trouble,
            bytes,
            text: text.to_owned(),
        }
    }
}

/// How long a file has been quiet, from some time on.
fn quiet_for(since: Instant, duration: Duration) -> bool {
    duration <= since.elapsed()
}

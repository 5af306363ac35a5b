//! Records that clients push over HTTP: a source that has nothing of its own to read again, so the lake is its log.
//!
//! ```text
//! POST ── Inbox::push ──► reader thread (gives offsets) ──► worker ──► commit ──► the client gets its answer
//! ```
//!
//! Offsets are numbers of records. They are given by the reader, which begins where the last commit ended; a client hears
//! that its records were taken in when a commit has them, so a client that heard nothing sends them again, and nothing that somebody was told of is lost.
//! Each process has a partition of its own, numbered by its first worker.

use super::decode::{Decoder, RawRecords};
use super::{Chunk, LookAgain, SharedStatus};
use crate::model::{Offset, Offsets, Partition, Position};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The connector of such a source.
pub const CONNECTOR: &str = "http";
/// Requests that wait for the reader; more are refused.
const WAITING_MAX: usize = 64;
/// How often the reader sees whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What the partitions are called in the status.
const NAME: &str = "http";

/// Records of one request, which go into one epoch, and who wants to know where they are.
struct Pushed {
    records: Vec<Vec<u8>>,
    taken: oneshot::Sender<Place>,
}

/// Where pushed records are: they are committed once the offsets of the source reach `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub partition: Partition,
    pub first: Offset,
    pub end: Offset,
}

/// Why records were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("{WAITING_MAX} requests wait already")]
    Full,
    #[error("the source reads no more")]
    Ended,
}

/// Where requests hand their records in. Clones are of the same source.
#[derive(Clone)]
pub struct Inbox {
    decoder: Arc<Mutex<Decoder>>,
    status: SharedStatus,
    sender: Sender<Pushed>,
    receiver: Receiver<Pushed>,
}

impl Inbox {
    /// For a source, by its decoder; its status tells what is committed.
    pub fn new(decoder: Decoder, status: SharedStatus) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(WAITING_MAX);
        Inbox {
            decoder: Arc::new(Mutex::new(decoder)),
            status,
            sender,
            receiver,
        }
    }

    /// Whether all records can become rows: what cannot is refused here, where the sender learns why, and is no dead letter.
    ///
    /// # Errors
    /// With the number of the first that cannot, counted from 0, and why.
    pub fn check(&self, records: &[Vec<u8>]) -> Result<(), (usize, String)> {
        let mut raw = RawRecords::empty(Partition(0));
        for (at, record) in records.iter().enumerate() {
            raw.push(at as i64, record);
        }
        let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        match decoder.decode(&raw).dead_letters.into_iter().next() {
            None => Ok(()),
            Some(letter) => Err((usize::try_from(letter.offset).unwrap_or(0), letter.reason)),
        }
    }

    /// Whether a commit has what is there.
    pub fn is_committed(&self, place: Place) -> bool {
        let committed = self.status.committed();
        let next = committed.get(place.partition);
        next.is_some_and(|it| place.end <= it.offset)
    }

    /// Hands records over, each a line without its end, and waits until they have offsets. They are read, not yet committed.
    ///
    /// # Errors
    /// If too many requests wait, or the source has ended.
    pub async fn push(&self, records: Vec<Vec<u8>>) -> Result<Place, NotTaken> {
        let (taken, place) = oneshot::channel();
        let pushed = Pushed { records, taken };
        self.sender.try_send(pushed).map_err(|it| match it {
            TrySendError::Full(_) => NotTaken::Full,
            TrySendError::Disconnected(_) => NotTaken::Ended,
        })?;
        place.await.map_err(|_| NotTaken::Ended)
    }
}

/// What the reader thread of a worker needs.
pub struct Reader {
    pub inbox: Inbox,
    pub worker: usize,
    /// The first worker of this process, which has its partition.
    pub first_worker: usize,
    pub stored: Offsets,
    pub status: SharedStatus,
    pub look_again: LookAgain,
    pub stop: Arc<AtomicBool>,
}

/// Nobody takes chunks any more.
struct NobodyListens;

impl Reader {
    /// Reads until told to stop or nobody listens.
    pub fn run(self, chunks: &Sender<Chunk>) {
        if self.worker != self.first_worker {
            return;
        }
        // The one thing that ends it from inside: the worker is gone, and has said why.
        let _ = self.read(chunks);
        // Requests that still wait are told, by the ends of their channels.
        while self.inbox.receiver.try_recv().is_ok() {}
    }

    fn read(&self, chunks: &Sender<Chunk>) -> Result<(), NobodyListens> {
        let partition = Partition(i32::try_from(self.worker).unwrap_or(i32::MAX));
        let stored = self.stored.get(partition);
        let mut next = stored.map_or(Offset(0), |it| it.offset);
        self.status.update(|it| {
            it.tell(self.worker, true, None);
            let known = it.partitions.entry(partition.0).or_default();
            NAME.clone_into(&mut known.name);
        });
        let mut looks = None;
        while !self.stop.load(Ordering::Acquire) {
            let asked = self.look_again.asked();
            if looks != Some(asked) {
                looks = Some(asked);
                self.hand_over(chunks, RawRecords::empty(partition), next, asked)?;
            }
            let pushed = match self.inbox.receiver.recv_timeout(LOOK_EVERY) {
                Ok(pushed) => pushed,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let mut records = RawRecords::empty(partition);
            let first = next;
            for record in &pushed.records {
                records.push(next.0, record);
                next = Offset(next.0 + 1);
            }
            self.hand_over(chunks, records, next, asked)?;
            let place = Place {
                partition,
                first,
                end: next,
            };
            // A client that is gone will ask again, or not.
            let _ = pushed.taken.send(place);
        }
        Ok(())
    }

    /// All that was pushed is read: each chunk is at the end.
    fn hand_over(
        &self,
        chunks: &Sender<Chunk>,
        records: RawRecords,
        next: Offset,
        looks: u64,
    ) -> Result<(), NobodyListens> {
        let next = Position {
            offset: next,
            origin: String::new(),
            mark: String::new(),
        };
        let end = Some(next.offset.0);
        self.status.advance(records.partition, &next, end);
        let chunk = Chunk {
            records,
            next,
            at_end: true,
            looks,
            gap: None,
            stamps: None,
        };
        chunks.send(chunk).map_err(|_| NobodyListens)
    }
}

#[cfg(test)]
mod tests;

//! Records that clients push over HTTP: a source that has nothing of its own to read again, so the lake is its log.
//!
//! ```text
//! POST ── Inbox::push ──► reader thread (gives offsets) ──► worker ──► commit ──► the client gets its answer
//! ```
//!
//! Offsets are numbers of records. They are given by the reader, which begins where the last commit ended; a client hears
//! that its records were taken in when a commit has them, so whoever heard nothing sends them again, and nothing that somebody was told of is lost.
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
const LOOK_EVERY: Duration = Duration::from_millis(50);
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

    /// Whether all records can become rows: what cannot is refused here, where whoever sent it learns why, and is no dead letter.
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
        // Whoever still waits is told, by the ends of their channels.
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
        };
        chunks.send(chunk).map_err(|_| NobodyListens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::decode::{Column, DecodeOptions, Format};
    use arrow::datatypes::DataType;
    use std::thread::{JoinHandle, spawn};

    struct Running {
        inbox: Inbox,
        chunks: Receiver<Chunk>,
        status: SharedStatus,
        look_again: LookAgain,
        stop: Arc<AtomicBool>,
        thread: JoinHandle<()>,
    }

    fn inbox() -> Inbox {
        let column = Column {
            name: "n".to_owned(),
            written: "n".to_owned(),
            data_type: DataType::Int64,
            nullable: false,
            is_json: false,
        };
        let decoder = Decoder::new(Format::Json, &[column], DecodeOptions::default());
        let decoder = decoder.expect("numbers can be decoded");
        Inbox::new(decoder, SharedStatus::default())
    }

    #[test]
    fn the_first_record_that_is_no_row_is_told() {
        let lines = |texts: &[&str]| -> Vec<Vec<u8>> {
            texts.iter().map(|it| it.as_bytes().to_vec()).collect()
        };
        assert_eq!(inbox().check(&lines(&[r#"{"n": 1}"#])), Ok(()));
        let wrong = inbox().check(&lines(&[r#"{"n": 1}"#, r#"{"n": null}"#, "{"]));
        let (at, reason) = wrong.unwrap_err();
        assert_eq!(at, 1);
        assert!(reason.contains('n'), "{reason}");
    }

    fn start(worker: usize, stored: Offsets) -> Running {
        let (sender, chunks) = crossbeam_channel::bounded(4);
        let reader = Reader {
            inbox: inbox(),
            worker,
            first_worker: 2,
            stored,
            status: SharedStatus::default(),
            look_again: LookAgain::default(),
            stop: Arc::default(),
        };
        Running {
            inbox: reader.inbox.clone(),
            chunks,
            status: reader.status.clone(),
            look_again: reader.look_again.clone(),
            stop: Arc::clone(&reader.stop),
            thread: spawn(move || reader.run(&sender)),
        }
    }

    fn stored(partition: i32, offset: i64) -> Offsets {
        let mut offsets = Offsets::default();
        let position = Position {
            offset: Offset(offset),
            origin: String::new(),
            mark: String::new(),
        };
        offsets.advance(Partition(partition), position);
        offsets
    }

    fn chunk(running: &Running) -> Chunk {
        let within = Duration::from_secs(5);
        running.chunks.recv_timeout(within).expect("a chunk")
    }

    #[tokio::test]
    async fn records_go_on_behind_the_last_commit_and_are_told_their_place() {
        let running = start(2, stored(2, 40));
        let first = chunk(&running);
        assert_eq!((first.next.offset, first.at_end), (Offset(40), true));
        let pushed = running.inbox.push(vec![b"a".to_vec(), b"bc".to_vec()]);
        let expected = Place {
            partition: Partition(2),
            first: Offset(40),
            end: Offset(42),
        };
        assert_eq!(pushed.await, Ok(expected));
        let got = chunk(&running);
        assert_eq!(
            (got.records.data, got.records.ends),
            (b"abc".to_vec(), vec![1, 3])
        );
        assert_eq!(
            (got.records.offsets, got.next.offset),
            (vec![40, 41], Offset(42))
        );
        running.look_again.ask();
        let told_again = chunk(&running);
        assert_eq!((told_again.looks, told_again.next.offset), (1, Offset(42)));
        assert_eq!(running.status.get().lag(), 0);
        running.stop.store(true, Ordering::Release);
        running.thread.join().expect("it ends");
    }

    #[tokio::test]
    async fn whoever_waits_when_it_ends_is_told() {
        let running = start(2, Offsets::default());
        drop(running.chunks);
        let pushed = running.inbox.push(vec![b"a".to_vec()]).await;
        assert_eq!(pushed, Err(NotTaken::Ended));
        running.thread.join().expect("it ends");
    }

    #[tokio::test]
    async fn more_requests_than_wait_are_refused() {
        let inbox = inbox();
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| inbox.push(vec![])).collect();
        let mut waiting = std::pin::pin!(futures::future::join_all(waiting));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(inbox.push(vec![]).await, Err(NotTaken::Full));
    }

    #[test]
    fn workers_beside_the_first_have_no_partition() {
        let running = start(3, Offsets::default());
        running.thread.join().expect("it ends at once");
        assert!(running.chunks.recv().is_err());
    }
}

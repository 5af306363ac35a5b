//! Records that are pushed, and who waits for them.

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

//! The ceilings: the same input read by the same readers, and then less and less done with it.
//!
//! `read` takes every chunk and drops it; `decode` also makes columns of it; `parquet` also writes those columns,
//! just as they are, into files of a lake that nobody commits; `table` writes the rows of the archive instead, with all that is computed
//! for them, in its folders. What a pipeline costs beyond `parquet` is the price of enrichment, views, exactly-once and serving.

use super::{Done, STEP_MAX};
use arrow::array::Int64Array;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidelake::coordinator::decoder;
use tidelake::lake::{Staged, Stager, Store, TableLayout};
use tidelake::model::Epoch;
use tidelake::plan::{Dataflow, evaluate, with_epochs};
use tidelake::source::{CHUNKS_AHEAD, Chunk};

/// How far a ceiling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Depth {
    Read,
    Decode,
    Parquet,
    Table,
}

/// Starts a worker's reader thread on a channel.
pub type StartReader<'a> = &'a dyn Fn(
    usize,
    crossbeam_channel::Sender<Chunk>,
    Arc<AtomicBool>,
) -> std::thread::JoinHandle<()>;

/// Reads `records` records with one reader and one worker thread each, and tells what that took.
pub fn run(
    depth: Depth,
    dataflow: &Dataflow,
    workers: usize,
    records: u64,
    start_reader: StartReader<'_>,
) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime for uploads");
    let lake = tempfile::tempdir().expect("a folder for the files");
    let store = Store::open(&lake.path().display().to_string()).expect("a local lake");
    let stop = Arc::new(AtomicBool::new(false));
    let (seen, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (sender, chunks) = crossbeam_channel::bounded(CHUNKS_AHEAD);
            let reader = start_reader(worker, sender, Arc::clone(&stop));
            let stager = Stager::new(
                store.clone(),
                runtime.handle().clone(),
                format!("w{worker}"),
                Arc::default(),
            );
            let (seen, bytes, stop, runtime) = (&seen, &bytes, &stop, &runtime);
            scope.spawn(move || {
                work(depth, dataflow, &chunks, stager, runtime, |chunk| {
                    bytes.fetch_add(chunk.records.data.len() as u64, Ordering::Relaxed);
                    let count = chunk.records.ends.len() as u64;
                    seen.fetch_add(count, Ordering::Relaxed) + count < records
                        && !stop.load(Ordering::Relaxed)
                });
                stop.store(true, Ordering::Release);
                drop(chunks);
                reader.join().expect("a reader ends");
            });
        }
    });
    assert_eq!(seen.into_inner(), records, "every record was read once");
    Done {
        records,
        bytes: bytes.into_inner(),
        wall_s: began.elapsed().as_secs_f64(),
        cpu_s: None,
        peak_mib: None,
    }
}

/// One worker, until all workers together have seen every record.
fn work(
    depth: Depth,
    dataflow: &Dataflow,
    chunks: &Receiver<Chunk>,
    mut stager: Stager,
    runtime: &tokio::runtime::Runtime,
    note: impl Fn(&Chunk) -> bool,
) {
    let began = Instant::now();
    let (source, table) = (&dataflow.sources[0], &dataflow.tables[0]);
    let mut decoder = decoder(source).expect("the source can be decoded");
    let layout = match depth {
        Depth::Table => TableLayout {
            name: table.name.clone(),
            schema: table.plan.schema(),
            partition_by: table.partition_by.clone(),
        },
        _ => TableLayout {
            name: "archive".to_owned(),
            schema: decoder.schema(),
            partition_by: Vec::new(),
        },
    };
    let mut going_on = true;
    while going_on {
        assert!(began.elapsed() < STEP_MAX, "a ceiling took too long");
        let chunk = match chunks.recv_timeout(Duration::from_millis(20)) {
            Ok(chunk) => chunk,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        going_on = note(&chunk);
        if depth == Depth::Read {
            continue;
        }
        let decoded = decoder.decode(&chunk.records);
        assert!(decoded.dead_letters.is_empty(), "generated records decode");
        let rows = match depth {
            Depth::Read | Depth::Decode => continue,
            Depth::Parquet => decoded.batch,
            Depth::Table => {
                let epochs = Int64Array::from_value(1, decoded.batch.num_rows());
                let records =
                    with_epochs(&decoded.batch, epochs, &[]).expect("one epoch per record");
                evaluate(&table.plan, &records).expect("generated records are sound")
            }
        };
        stager
            .append(&layout, Epoch(1), &rows)
            .expect("rows can be encoded");
    }
    let staged: Vec<Staged> = stager.finish(Epoch(1), true).expect("files can be closed");
    for file in staged {
        runtime
            .block_on(file.durable())
            .expect("files reach the disk");
    }
}

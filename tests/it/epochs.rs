//! Epochs go on above the last commit, whatever the wall clock shows, and take in no more than they may.

use super::alarms::feeds_of;
use super::lakes::{NAME, Place, START_US, committed, has_read, lines, runtime, start};
use super::oracle::{Random, clock_settings, engine_settings};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidelake::engine::{
    self, CommitReport, Control, Feed, Input, Job, Mesh, OpenRows, Outputs, Published, Records,
    Restored, Wall,
};
use tidelake::model::{Epoch, Offset, Partition, Position, Row, wall_ms};
use tidelake::source::decode::{Decoder, RawRecords};
use tidelake::sql;

const DAY_MS: u64 = 86_400_000;
/// Far more than it takes.
const LIMIT: Duration = Duration::from_secs(120);

/// The clock was a day ahead when the last commit was made, and is right again.
#[test]
fn a_lake_whose_last_commit_is_a_day_ahead_goes_on() {
    let place = Place::new();
    let mut random = Random(5);
    runtime().block_on(async {
        place.append(0, &lines(&mut random, START_US, 50));
        let pipeline = start(&place, 1).await;
        let bytes = place.input_bytes();
        committed(&pipeline, |it| has_read(it, bytes)).await;
        pipeline.stop().await.unwrap();
    });
    let newest = place.manifests().pop().unwrap();
    let mut manifest = place.manifest();
    manifest.epoch.0 += DAY_MS;
    let ahead = manifest.epoch;
    std::fs::write(newest, manifest.to_file()).unwrap();
    let goes_on = runtime().block_on(async {
        place.append(0, &lines(&mut random, START_US, 50));
        let bytes = place.input_bytes();
        let pipeline = start(&place, 2).await;
        let mut moved = pipeline.hub.subscribe();
        let began = wall_ms();
        // Visible at once, and at the pace of any clock: a second of epochs takes no more than a second or so.
        let visible = tokio::time::timeout(LIMIT, moved.wait_for(|it| ahead < *it)).await;
        let visible = visible.is_ok_and(|it| it.is_ok());
        let second = ahead.0 + 1_000;
        let later = tokio::time::timeout(LIMIT, moved.wait_for(|it| second < it.0)).await;
        let later = later.is_ok_and(|it| it.is_ok());
        let took_ms = wall_ms() - began;
        let read = committed(&pipeline, |it| has_read(it, bytes) && ahead < it.epoch);
        let read = tokio::time::timeout(LIMIT, read).await.is_ok();
        let epoch = pipeline.hub.epoch();
        assert!(
            epoch.0 < ahead.0 + took_ms + LIMIT.as_millis() as u64,
            "no faster than time"
        );
        pipeline.stop().await.unwrap();
        (visible, later, read)
    });
    assert_eq!(goes_on, (true, true, true), "visible, goes on, committed");
    assert_eq!(place.manifest().dataflow, NAME);
}

/// Always has one more record, and counts those that were taken.
struct Endless {
    decoder: Decoder,
    taken: Arc<AtomicU64>,
}

impl Feed for Endless {
    fn next(&mut self) -> Option<Input> {
        let offset = self.taken.fetch_add(1, Ordering::AcqRel) as i64;
        let mut raw = RawRecords::empty(Partition(0));
        raw.push(offset, br#"{"k":"a"}"#);
        let decoded = self.decoder.decode(&raw);
        assert_eq!(decoded.dead_letters, []);
        Some(Input {
            partition: Partition(0),
            records: decoded.batch,
            kind: Records::Read,
            newest_us: decoded.max_event_time,
            undecoded: Vec::new(),
            from: Offset(offset),
            next: Position {
                offset: Offset(offset + 1),
                origin: String::new(),
                mark: String::new(),
            },
            bytes: raw.data.len() as u64,
            checksum: 0,
            stamps: None,
            at_end: false,
        })
    }

    fn look_again(&mut self) {}
}

struct Dropped;

impl Outputs for Dropped {
    fn append(&mut self, _: usize, _: Epoch, _: Epoch, _: arrow::array::RecordBatch) {}
    fn mark(&mut self, _: usize, _: Epoch, _: i64) {}
    fn replace(&mut self, _: usize, _: Epoch, _: Vec<Row>, _: Option<OpenRows>) {}
    fn commit(&mut self, _: CommitReport) {}
    fn publish(&mut self, _: Published) {}
    fn is_behind(&self) -> bool {
        false
    }
}

/// Whatever a source has: an epoch that is full waits for its end, and the next one is as long.
#[test]
fn an_epoch_takes_in_as_many_records_as_it_may() {
    const MAX: u64 = 100;
    const TEXT: &str = "CREATE SOURCE s (k TEXT) WITH (format = 'json', topic = 's');
        CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM s GROUP BY k;";
    let dataflow = runtime().block_on(sql::plan_text("full", TEXT, |_| None));
    let dataflow = Arc::new(dataflow.unwrap());
    let clocks = dataflow.sources.iter();
    let clocks = clocks.map(|it| (it.name.clone(), clock_settings(it)));
    let mut settings = engine_settings(1, clocks.collect());
    settings.epoch_records_max = MAX as usize;
    let begin_ms = START_US as u64 / 1000;
    let wall = Arc::new(AtomicU64::new(begin_ms));
    let (now, steady) = (Arc::clone(&wall), Arc::clone(&wall));
    let control = Arc::new(Control::default());
    let job = Job {
        dataflow: Arc::clone(&dataflow),
        settings,
        start: Epoch(begin_ms + 100),
        restored: Restored::default(),
        control: Arc::clone(&control),
        wall: Wall::of(
            move || now.load(Ordering::Acquire),
            move || steady.load(Ordering::Acquire),
        ),
        costs: Arc::default(),
    };
    let taken = Arc::new(AtomicU64::new(0));
    let feed = Endless {
        decoder: tidelake::coordinator::decoder(&dataflow.sources[0]).unwrap(),
        taken: Arc::clone(&taken),
    };
    let outputs: Box<dyn Outputs> = Box::new(Dropped);
    let parts = vec![(feeds_of(&dataflow, feed), outputs)];
    let running = engine::start(job, Mesh::default(), parts).unwrap();
    let began = wall_ms();
    for epochs in 1..4 {
        while taken.load(Ordering::Acquire) < epochs * MAX {
            assert!(wall_ms() < began + LIMIT.as_millis() as u64, "{taken:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        // It would have taken more long since.
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(taken.load(Ordering::Acquire), epochs * MAX);
        wall.fetch_add(1_000, Ordering::AcqRel);
    }
    control.stop();
    running.join().unwrap();
}

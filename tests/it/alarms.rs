//! The rules of `web_logs` over the traffic of the demo: quiet while nothing is wrong, loud when a spike is injected.
//!
//! Half an hour of generated traffic goes through the engine in the order of its times, with a clock that keeps pace. What counts is
//! everything that readers were shown, rows that were taken back included: a person saw them.

use arrow::array::RecordBatch;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidelake::engine::{
    self, CommitReport, Control, Feed, Input, Job, Mesh, OpenRows, Outputs, Published, Restored,
    Wall,
};
use tidelake::generator::{Generator, Kind, Settings};
use tidelake::model::{Epoch, Offset, Partition, Position, Row};
use tidelake::plan::Dataflow;
use tidelake::source::decode::{Decoder, RawRecords};
use tidelake::sql;

const START_US: i64 = 1_769_860_800_000_000;
const MINUTE_US: i64 = 60_000_000;
const MINUTES: i64 = 30;
/// Events that are read together, as a reader that keeps up does.
const SLICE_US: i64 = 500_000;
/// The views that the rules look at; the others would only cost time.
const VIEWS: [&str; 2] = ["traffic_by_class_1m", "anomalies"];

/// The demo's traffic, slice by slice; the clock goes with it.
struct Traffic {
    generator: Generator,
    decoder: Decoder,
    wall: Arc<AtomicU64>,
    next: i64,
    /// From when to when spikes were injected.
    spikes: Arc<Mutex<BTreeSet<(i64, i64)>>>,
    done: Arc<AtomicBool>,
}

impl Feed for Traffic {
    fn next(&mut self) -> Option<Input> {
        let now_us = self.wall.load(Ordering::Acquire) as i64 * 1000;
        if self.generator.next_time_us() >= now_us {
            if START_US + MINUTES * MINUTE_US <= now_us {
                self.done.store(true, Ordering::Release);
                return None;
            }
            self.wall
                .fetch_add(SLICE_US as u64 / 1000, Ordering::AcqRel);
            return None;
        }
        let from = self.next;
        let mut raw = RawRecords {
            partition: Partition(0),
            data: Vec::new(),
            ends: Vec::new(),
            offsets: Vec::new(),
            header: None,
        };
        while self.generator.next_time_us() < now_us {
            let generated = self.generator.next_into(&mut raw.data);
            raw.ends.push(raw.data.len() as u32);
            raw.offsets.push(self.next);
            self.next += 1;
            if let Some(truth) = generated.truth.filter(|it| it.kind == Kind::TrafficSpike) {
                let mut spikes = self.spikes.lock().unwrap();
                spikes.insert((truth.start_us, truth.end_us));
            }
        }
        let decoded = self.decoder.decode(&raw);
        assert_eq!(decoded.dead_letters, []);
        Some(Input {
            partition: Partition(0),
            records: decoded.batch,
            kind: engine::Records::Read,
            newest_us: decoded.max_event_time,
            undecoded: Vec::new(),
            from: Offset(from),
            next: Position {
                offset: Offset(self.next),
                origin: String::new(),
                mark: String::new(),
            },
            bytes: raw.data.len() as u64,
            checksum: 0,
            stamps: None,
            at_end: true,
        })
    }

    /// Each slice is read to its end.
    fn look_again(&mut self) {}
}

/// Keeps what readers were shown.
struct Shown(Arc<Mutex<Vec<(usize, Row, i64)>>>);

impl Outputs for Shown {
    fn append(&mut self, _: usize, _: Epoch, _: Epoch, _: RecordBatch) {}
    fn mark(&mut self, _: usize, _: Epoch, _: i64) {}
    fn replace(&mut self, _: usize, _: Epoch, _: Vec<Row>, _: Option<OpenRows>) {}
    fn commit(&mut self, _: CommitReport) {}
    fn publish(&mut self, published: Published) {
        let changes = published.changes.into_iter();
        let mut rows = self.0.lock().unwrap();
        rows.extend(changes.map(|(view, _, row, diff)| (view, row, diff)));
    }
    fn is_behind(&self) -> bool {
        false
    }
}

/// The shipped dataflow, without the views that do not matter here.
fn text() -> String {
    const CREATE: &str = "\nCREATE ";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows/web_logs/dataflow.sql");
    let all = std::fs::read_to_string(file).unwrap();
    let is_wanted = |it: &&str| match it.strip_prefix("MATERIALIZED VIEW ") {
        Some(view) => VIEWS.iter().any(|it| view.starts_with(it)),
        None => !it.starts_with("DETECTOR "),
    };
    let statements: Vec<&str> = all.split(CREATE).filter(is_wanted).collect();
    statements.join(CREATE)
}

/// A source of which nothing comes.
struct Nothing;

impl Feed for Nothing {
    fn next(&mut self) -> Option<Input> {
        None
    }

    fn look_again(&mut self) {}
}

/// Feeds of one worker: what is given for the first source, nothing for others.
pub(super) fn feeds_of(dataflow: &Dataflow, first: impl Feed + 'static) -> Vec<Box<dyn Feed>> {
    let others = dataflow.sources.iter().skip(1);
    let others = others.map(|_| Box::new(Nothing) as Box<dyn Feed>);
    std::iter::once(Box::new(first) as Box<dyn Feed>)
        .chain(others)
        .collect()
}

/// Runs a dataflow over a feed of its first source that moves the clock, until it is done; nothing comes of others. Everything that readers were shown: view, row, diff.
pub(super) fn shown(
    dataflow: &Arc<Dataflow>,
    feed: impl Feed + 'static,
    start_us: i64,
    wall: &Arc<AtomicU64>,
    done: &Arc<AtomicBool>,
) -> Vec<(usize, Row, i64)> {
    let control = Arc::new(Control::default());
    let clocks = dataflow.sources.iter();
    let clocks = clocks.map(|it| (it.name.clone(), super::oracle::clock_settings(it)));
    let (now, steady) = (Arc::clone(wall), Arc::clone(wall));
    let job = Job {
        dataflow: Arc::clone(dataflow),
        settings: super::oracle::engine_settings(1, clocks.collect()),
        start: Epoch(start_us as u64 / 1000 + 100),
        restored: Restored::default(),
        control: Arc::clone(&control),
        wall: Wall::of(
            move || now.load(Ordering::Acquire),
            move || steady.load(Ordering::Acquire),
        ),
        costs: Arc::default(),
    };
    let rows = Arc::default();
    let parts = vec![(
        feeds_of(dataflow, feed),
        Box::new(Shown(Arc::clone(&rows))) as Box<dyn Outputs>,
    )];
    let running = engine::start(job, Mesh::default(), parts).unwrap();
    while !done.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(5));
    }
    control.stop();
    running.join().unwrap();
    std::mem::take(&mut *rows.lock().unwrap())
}

#[test]
fn the_demo_alarms_when_a_spike_is_injected_and_only_then() {
    let runtime = super::oracle::runtime();
    let dataflow = runtime.block_on(sql::plan_text("web_logs", &text(), |_| None));
    let dataflow = Arc::new(dataflow.unwrap());
    let view = dataflow.views.iter().position(|it| it.name == "anomalies");
    let view = view.unwrap();
    let schema = dataflow.views[view].plan.schema();
    let column = |name: &str| schema.index_of(name).unwrap();
    let source = &dataflow.sources[0];
    let wall = Arc::new(AtomicU64::new(START_US as u64 / 1000));
    let (spikes, done) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let feed = Traffic {
        generator: Generator::new(Settings {
            seed: 1,
            rate: 100.0,
            anomalies: true,
            start_us: START_US,
        }),
        decoder: tidelake::coordinator::decoder(source).unwrap(),
        wall: Arc::clone(&wall),
        next: 0,
        spikes: Arc::clone(&spikes),
        done: Arc::clone(&done),
    };
    let rows = shown(&dataflow, feed, START_US, &wall, &done);

    let spikes = spikes.lock().unwrap().clone();
    assert!((4..=8).contains(&spikes.len()), "{spikes:?}");
    let overlaps = |window_us: i64, spike: &(i64, i64)| {
        spike.0 < window_us + MINUTE_US && window_us <= spike.1
    };
    let mut found: BTreeSet<&(i64, i64)> = BTreeSet::new();
    for (_, row, diff) in rows.iter().filter(|it| it.0 == view) {
        let at_window = row.0[column("window_start")].as_i64().unwrap();
        let kind = format!("{:?}", row.0[column("anomaly_type")]);
        let by_threshold = row.0[column("threshold")] != tidelake::model::Value::Null;
        if *diff <= 0 || !by_threshold {
            continue;
        }
        assert!(kind.contains("TRAFFIC_SPIKE"), "a false alarm: {row:?}");
        let of: Vec<_> = spikes.iter().filter(|it| overlaps(at_window, it)).collect();
        assert!(!of.is_empty(), "no spike was injected there: {row:?}");
        found.extend(of);
    }
    assert_eq!(
        found.len(),
        spikes.len(),
        "a spike was not noticed: {spikes:?}"
    );
}

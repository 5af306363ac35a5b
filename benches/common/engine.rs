//! The engine alone: decoded records are fed to it, and what it puts out is counted and dropped.

use super::{Beyond, Done, STEP_MAX, own_cpu_s};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidelake::coordinator::EPOCH_RECORDS_MAX;
use tidelake::engine::{
    Bucketing, ClockSettings, CommitReport, Control, Feed, Input, Job, Mesh, OpenRows, Outputs,
    Published, Restored, Settings, Wall, start,
};
use tidelake::model::{Epoch, Row, wall_ms};
use tidelake::plan::Dataflow;

/// Runs a dataflow over inputs, per worker and source, until it has taken all records in. Sources behind those that have inputs have none. Inputs are
/// there until the end: memory is what the engine takes beyond them.
pub fn run(dataflow: Dataflow, inputs: Vec<Vec<Vec<Input>>>, records: u64, delay_us: i64) -> Done {
    let workers = inputs.len();
    let clock = ClockSettings {
        delay_us,
        idle_ms: 5_000,
        close_idle_ms: 30_000,
        lead_us: i64::MAX / 4,
        by_arrival: false,
    };
    let settings = Settings {
        workers,
        tick_ms: 100,
        quiet_tick_ms: 100,
        commit_interval_ms: 10_000,
        first_commit_ms: 1_500,
        lag_max_ms: 1_000,
        epoch_records_max: EPOCH_RECORDS_MAX,
        idle_sleep_ms_max: 2,
        clocks: dataflow
            .sources
            .iter()
            .map(|it| (it.name.clone(), clock))
            .collect(),
        tail_rows: 64,
        bucketing: Bucketing::ONE,
    };
    tidelake::memory::return_freed_pages_early();
    let memory = Beyond::now();
    let (began, cpu_s) = (Instant::now(), own_cpu_s());
    let seen = Arc::new(AtomicU64::new(0));
    let control = Arc::new(Control::default());
    let sources = dataflow.sources.len();
    let parts = inputs
        .into_iter()
        .map(|mut of_sources| {
            of_sources.resize_with(sources, Vec::new);
            let feeds = of_sources.into_iter();
            let feeds = feeds.map(|it| Box::new(Replay::of(it)) as Box<dyn Feed>);
            let outputs: Box<dyn Outputs> = Box::new(Counting(Arc::clone(&seen)));
            (feeds.collect(), outputs)
        })
        .collect();
    let job = Job {
        dataflow: Arc::new(dataflow),
        settings,
        start: Epoch::at_or_after(wall_ms(), 100),
        restored: Restored::default(),
        control: Arc::clone(&control),
        wall: Wall::system(),
        costs: Arc::default(),
    };
    let engine = start(job, Mesh::default(), parts).expect("threads can be started");
    while seen.load(Ordering::Acquire) < records {
        assert!(began.elapsed() < STEP_MAX, "a case took too long");
        std::thread::sleep(Duration::from_millis(5));
    }
    let wall_s = began.elapsed().as_secs_f64();
    control.stop();
    engine.join().expect("the workers end");
    Done {
        records,
        bytes: 0,
        wall_s,
        cpu_s: Some(own_cpu_s() - cpu_s),
        peak_mib: Some(memory.peak_mib()),
    }
}

struct Replay {
    inputs: Vec<Input>,
    next: usize,
}

impl Replay {
    fn of(inputs: Vec<Input>) -> Self {
        Replay { inputs, next: 0 }
    }
}

impl Feed for Replay {
    fn next(&mut self) -> Option<Input> {
        let input = self.inputs.get(self.next)?.clone();
        self.next += 1;
        Some(input)
    }

    fn look_again(&mut self) {}
}

/// Counts the records of complete epochs.
struct Counting(Arc<AtomicU64>);

impl Outputs for Counting {
    fn mark(&mut self, _table: usize, _epoch: Epoch, _watermark: i64) {}
    fn append(
        &mut self,
        _table: usize,
        _epoch: Epoch,
        _commit: Epoch,
        rows: arrow::array::RecordBatch,
    ) {
        drop(rows);
    }
    fn replace(&mut self, _view: usize, _commit: Epoch, sealed: Vec<Row>, open: Option<OpenRows>) {
        drop((sealed, open));
    }
    fn commit(&mut self, report: CommitReport) {
        drop(report);
    }
    fn publish(&mut self, published: Published) {
        let records: u64 = published.progress.iter().map(|it| it.records).sum();
        self.0.fetch_add(records, Ordering::AcqRel);
    }
    fn is_behind(&self) -> bool {
        false
    }
}

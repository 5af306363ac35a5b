//! What was seen of the pipeline, one note a second for some minutes: rates, trends and delays follow from notes.

use super::super::App;
use super::super::status::{Status, StatusSource};
use super::costs::{BusyNs, busy_ns};
use super::freshness::Delays;
use crate::coordinator::costs::NodeCosts;
use crate::model::{Epoch, wall_ms};
use crate::view::Hub;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const SAMPLES_MAX: usize = 300;
/// Rates and trends look back so many samples.
const RATE_SAMPLES: usize = 10;
/// Growth of a view over less says nothing.
const GROWTH_SECONDS_MIN: f64 = 60.0;

/// What was seen lately.
#[derive(Default)]
pub struct Samples {
    notes: Mutex<VecDeque<Sample>>,
    pub(super) delays: Mutex<Delays>,
}

/// Counts of one source, all-time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub records: u64,
    pub undecoded: u64,
    pub bytes: u64,
}

pub(super) struct Sample {
    pub at: Instant,
    /// By source and partition: offset and end.
    pub places: HashMap<(String, i32), (i64, Option<i64>)>,
    pub totals: HashMap<String, Totals>,
    /// By thread: name and seconds of processor time.
    pub threads: HashMap<u64, (String, f64)>,
    /// Live rows by view.
    pub rows: HashMap<String, usize>,
    /// How long operators have run.
    pub busy_ns: BusyNs,
    /// What nodes of plans have done, in the newest samples.
    pub nodes: NodeCosts,
}

impl Samples {
    /// Notes the present.
    pub fn take(&self, status: &Status, hub: &Hub, asked: &dyn StatusSource) {
        let views = hub.views().into_iter();
        let mut sample = Sample {
            at: Instant::now(),
            places: HashMap::new(),
            totals: HashMap::new(),
            threads: thread_times(),
            rows: views.map(|(view, rows)| (view.name, rows)).collect(),
            busy_ns: busy_ns(&asked.costs()),
            nodes: asked.costs_of_nodes(),
        };
        for source in &status.sources {
            let totals = Totals {
                records: source.records,
                undecoded: source.undecoded,
                bytes: source.bytes,
            };
            sample.totals.insert(source.name.clone(), totals);
            for it in &source.partitions {
                let place = (it.offset, it.end_offset);
                sample
                    .places
                    .insert((source.name.clone(), it.partition), place);
            }
        }
        let mut samples = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        // Rates of nodes are all that is taken from theirs.
        if let Some(old) = samples.len().checked_sub(RATE_SAMPLES + 1) {
            samples[old].nodes.clear();
        }
        samples.push_back(sample);
        while SAMPLES_MAX < samples.len() {
            samples.pop_front();
        }
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&VecDeque<Sample>) -> T) -> T {
        read(&self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, note: impl FnOnce(&mut Delays)) {
        note(&mut self.delays.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Samples until the server stops.
pub async fn sample(app: Arc<App>) {
    let mut ending = app.ending.subscribe();
    let mut moved = app.hub.subscribe();
    let mut tick = tokio::time::interval(SAMPLE_EVERY);
    loop {
        tokio::select! {
            _ = ending.wait_for(|it| *it) => return,
            _ = tick.tick() => {
                let status = app.status.status();
                app.samples.take(&status, &app.hub, app.status.as_ref());
                app.samples.note(|it| it.take(&app, &status));
            }
            Ok(()) = moved.changed() => {
                let epoch = *moved.borrow_and_update();
                if epoch != Epoch(0) {
                    app.samples.note(|it| it.visible(epoch, wall_ms()));
                }
            }
        }
    }
}

/// First and last sample of the span that rates are taken over.
pub(super) fn window(samples: &VecDeque<Sample>) -> Option<(&Sample, &Sample)> {
    let last = samples.back()?;
    let first = samples.get(samples.len().saturating_sub(RATE_SAMPLES + 1))?;
    (first.at < last.at).then_some((first, last))
}

/// By how many rows an hour each view grows, as far as notes go back; nothing before these tell.
pub(super) fn growth(samples: &VecDeque<Sample>) -> HashMap<String, f64> {
    let (Some(first), Some(last)) = (samples.front(), samples.back()) else {
        return HashMap::new();
    };
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    if seconds < GROWTH_SECONDS_MIN {
        return HashMap::new();
    }
    let per_hour = |(view, rows): (&String, &usize)| {
        let before = *first.rows.get(view)? as f64;
        Some((view.clone(), (*rows as f64 - before) * 3600.0 / seconds))
    };
    last.rows.iter().filter_map(per_hour).collect()
}

/// Processor time of each thread, where the system tells it.
fn thread_times() -> HashMap<u64, (String, f64)> {
    let ticks_per_second = ticks_per_second();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return HashMap::new();
    };
    let read = |task: std::fs::DirEntry| {
        let id = task.file_name().to_str()?.parse().ok()?;
        let text = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, seconds) = thread_time(&text, ticks_per_second)?;
        Some((id, (name, seconds)))
    };
    tasks.filter_map(|it| read(it.ok()?)).collect()
}

fn ticks_per_second() -> f64 {
    // SAFETY: `sysconf` only reads a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if 0 < ticks { ticks as f64 } else { 100.0 }
}

/// Name and processor time of a line of `/proc/…/stat`. The name stands in brackets and may hold anything.
pub(super) fn thread_time(stat: &str, ticks_per_second: f64) -> Option<(String, f64)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((name.to_owned(), (user + system) / ticks_per_second))
}

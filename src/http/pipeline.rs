//! `/api/v1/pipeline` and the topic `pipeline`: how records move from sources to the lake, and what holds them up.
//!
//! Once a second a sampler notes how far each partition was read and how far it goes, and how much processor time each
//! thread used. Lag in time, its trend and the time to catch up follow from those notes; nothing is asked of the engine.
//!
//! The lag of a partition in time is the age of the newest note at which its end was where reading is now.

use super::App;
use super::status::{CommitInfo, Component, Health, IntakeStatus, Status, epoch_age_seconds};
use crate::model::iso_of_micros;
use crate::plan::{DEAD_LETTER_RELATION, Dataflow, LATE_RELATION};
use axum::extract::State;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const SAMPLES_MAX: usize = 300;
/// Rates and trends look back so many samples.
const RATE_SAMPLES: usize = 10;
/// Less change of lag per second than this share of what arrives is steady.
const STEADY_SHARE: f64 = 0.05;
/// An epoch older than this is late.
const EPOCH_LATE_SECONDS: f64 = 2.0;
/// A thread busier than this is at its limit.
const BUSY_LIMIT: f64 = 0.85;

/// The state of the pipeline, as one picture of one moment.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Pipeline {
    pub epoch: u64,
    pub as_of: String,
    pub epoch_age_seconds: Option<f64>,
    pub overall: Health,
    pub components: Vec<Component>,
    /// What holds it up, if anything does.
    pub cause: Option<Cause>,
    pub sources: Vec<SourceReport>,
    pub threads: Vec<ThreadReport>,
    pub commit: Option<CommitInfo>,
    pub workers: usize,
    pub epochs_open: u64,
    pub commits_open: u64,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    pub stream_clients: usize,
    pub uptime_seconds: u64,
}

/// Why the pipeline is slow, in words, and the node of the graph it points at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cause {
    pub node: String,
    pub text: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SourceReport {
    pub name: String,
    pub connected: bool,
    /// What offsets count: `records` or `bytes`.
    pub unit: String,
    pub records: u64,
    pub undecoded: u64,
    pub bytes: u64,
    pub records_per_second: Option<f64>,
    pub bytes_per_second: Option<f64>,
    /// Null while there is none, or if the source declares none.
    pub watermark: Option<Watermark>,
    /// What its records tell of event time and silence.
    pub intake: IntakeStatus,
    pub partitions: Vec<PartitionReport>,
}

/// Event time up to which windows are complete. It says nothing of how far reading is behind.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Watermark {
    pub at: String,
    /// How far it stays behind the newest record, to wait for late ones.
    pub allowance_seconds: f64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PartitionReport {
    pub partition: i32,
    /// The next to read.
    pub offset: i64,
    /// One past the last there is; null while that is not known.
    pub end_offset: Option<i64>,
    /// The next to read after a restart; null before the first commit.
    pub committed: Option<i64>,
    pub lag: Option<i64>,
    pub lag_seconds: Option<f64>,
    /// Whether `lag_seconds` is only known to be at least that.
    pub lag_seconds_is_least: bool,
    pub trend: Trend,
    pub read_per_second: Option<f64>,
    pub arriving_per_second: Option<f64>,
    /// Until it has caught up, if it goes on like this; null if it will not.
    pub eta_seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    Rising,
    Falling,
    Steady,
    #[default]
    Unknown,
}

/// A thread of the process and the share of a core it used.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ThreadReport {
    pub name: String,
    /// `worker`, `reader`, `query` or `other`.
    pub role: String,
    pub busy: f64,
}

/// A part of the dataflow.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Node {
    pub id: String,
    /// `source`, `table`, `view` or `lake`.
    pub kind: String,
    pub name: String,
    pub rows: Option<u64>,
    /// Records a second of a source or table, changes a second of a view.
    pub per_second: Option<f64>,
    pub sql: Option<String>,
    pub plan: Option<String>,
    pub retention_seconds: Option<i64>,
    pub version: Option<i64>,
    pub health: Health,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Edge {
    pub from: String,
    pub to: String,
}

/// What was seen, one entry a second.
#[derive(Default)]
pub struct Samples(Mutex<VecDeque<Sample>>);

struct Sample {
    at: Instant,
    /// By source and partition: offset and end.
    places: HashMap<(String, i32), (i64, Option<i64>)>,
    /// By source: records, undecoded ones included, and bytes.
    totals: HashMap<String, (u64, u64)>,
    /// By thread: name and seconds of processor time.
    threads: HashMap<u64, (String, f64)>,
}

impl Samples {
    /// Notes the present.
    pub fn take(&self, status: &Status) {
        let mut sample = Sample {
            at: Instant::now(),
            places: HashMap::new(),
            totals: HashMap::new(),
            threads: thread_times(),
        };
        for source in &status.sources {
            let all = (source.records + source.undecoded, source.bytes);
            sample.totals.insert(source.name.clone(), all);
            for it in &source.partitions {
                let place = (it.offset, it.end_offset);
                sample
                    .places
                    .insert((source.name.clone(), it.partition), place);
            }
        }
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back(sample);
        while SAMPLES_MAX < samples.len() {
            samples.pop_front();
        }
    }

    fn with<T>(&self, read: impl FnOnce(&VecDeque<Sample>) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Samples until the server stops.
pub async fn sample(app: Arc<App>) {
    let mut ending = app.ending.subscribe();
    let mut tick = tokio::time::interval(SAMPLE_EVERY);
    loop {
        tokio::select! {
            _ = ending.wait_for(|it| *it) => return,
            _ = tick.tick() => app.samples.take(&app.status.status()),
        }
    }
}

pub async fn pipeline(State(app): State<Arc<App>>) -> JsonBody<Pipeline> {
    JsonBody(report(&app))
}

/// The present picture.
pub fn report(app: &App) -> Pipeline {
    let status = app.status.status();
    let epoch = app.hub.epoch();
    let (sources, threads) = app.samples.with(|samples| {
        let sources = status.sources.iter().map(|it| SourceReport {
            watermark: watermark(app, &it.name),
            ..source_report(it, samples)
        });
        (sources.collect::<Vec<_>>(), thread_reports(samples))
    });
    let epoch_age = epoch_age_seconds(app);
    let cause = cause(&status, &sources, &threads, epoch_age);
    let (nodes, edges) = graph(app, &status, &sources);
    Pipeline {
        epoch: epoch.0,
        as_of: epoch.iso(),
        epoch_age_seconds: epoch_age,
        overall: status.overall,
        components: status.components,
        cause,
        sources,
        threads,
        commit: status.commit,
        workers: status.workers,
        epochs_open: status.epochs_open,
        commits_open: status.commits_open,
        nodes,
        edges,
        stream_clients: app.stream_clients(),
        uptime_seconds: app.started.elapsed().as_secs(),
    }
}

fn watermark(app: &App, source: &str) -> Option<Watermark> {
    let at = app.hub.watermarks().remove(source)?;
    let event_time = app.dataflow.source(source)?.event_time?;
    Some(Watermark {
        at: iso_of_micros(at),
        allowance_seconds: event_time.delay_us as f64 / 1e6,
    })
}

fn source_report(source: &super::SourceStatus, samples: &VecDeque<Sample>) -> SourceReport {
    let window = window(samples);
    let rate = |of: fn(&(u64, u64)) -> u64| {
        let (first, last) = window?;
        let before = of(first.totals.get(&source.name)?);
        let after = of(last.totals.get(&source.name)?);
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        (0.0 < seconds).then(|| after.saturating_sub(before) as f64 / seconds)
    };
    let partitions = source.partitions.iter().map(|it| {
        let key = (source.name.clone(), it.partition);
        let mut report = PartitionReport {
            partition: it.partition,
            offset: it.offset,
            end_offset: it.end_offset,
            committed: it.committed,
            lag: it.lag,
            lag_seconds: None,
            lag_seconds_is_least: false,
            trend: Trend::Unknown,
            read_per_second: None,
            arriving_per_second: None,
            eta_seconds: None,
        };
        fill_lag(&mut report, &key, samples, Instant::now());
        report
    });
    SourceReport {
        name: source.name.clone(),
        connected: source.connected,
        unit: source.unit.clone(),
        records: source.records,
        undecoded: source.undecoded,
        bytes: source.bytes,
        records_per_second: rate(|it| it.0),
        bytes_per_second: rate(|it| it.1),
        watermark: None,
        intake: source.intake.clone(),
        partitions: partitions.collect(),
    }
}

/// First and last sample of the span that rates are taken over.
fn window(samples: &VecDeque<Sample>) -> Option<(&Sample, &Sample)> {
    let last = samples.back()?;
    let first = samples.get(samples.len().saturating_sub(RATE_SAMPLES + 1))?;
    (first.at < last.at).then_some((first, last))
}

fn fill_lag(
    report: &mut PartitionReport,
    key: &(String, i32),
    samples: &VecDeque<Sample>,
    now: Instant,
) {
    if report.lag == Some(0) {
        report.lag_seconds = Some(0.0);
    } else if report.lag.is_some() {
        let ended_here = |it: &&Sample| {
            it.places
                .get(key)
                .and_then(|place| place.1)
                .is_some_and(|end| end <= report.offset)
        };
        let found = samples.iter().rev().find(ended_here);
        let oldest = samples.iter().find(|it| it.places.contains_key(key));
        report.lag_seconds_is_least = found.is_none();
        report.lag_seconds = found
            .or(oldest)
            .map(|it| now.saturating_duration_since(it.at).as_secs_f64());
    }
    let Some((first, last)) = window(samples) else {
        return;
    };
    let (Some(before), Some(after)) = (first.places.get(key), last.places.get(key)) else {
        return;
    };
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    let read = (after.0 - before.0) as f64 / seconds;
    report.read_per_second = Some(read);
    let (Some(end_before), Some(end_after)) = (before.1, after.1) else {
        return;
    };
    let arriving = (end_after - end_before) as f64 / seconds;
    report.arriving_per_second = Some(arriving);
    let growth = arriving - read;
    let lag = report.lag.unwrap_or_default() as f64;
    report.trend = match growth {
        _ if lag <= 0.0 || growth.abs() <= STEADY_SHARE * arriving.max(1.0) => Trend::Steady,
        it if 0.0 < it => Trend::Rising,
        _ => Trend::Falling,
    };
    report.eta_seconds = match growth {
        _ if lag <= 0.0 => Some(0.0),
        it if it < 0.0 => Some(lag / -it),
        _ => None,
    };
}

fn thread_reports(samples: &VecDeque<Sample>) -> Vec<ThreadReport> {
    let Some((first, last)) = window(samples) else {
        return Vec::new();
    };
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    let mut threads: Vec<ThreadReport> = last
        .threads
        .iter()
        .filter_map(|(id, (name, used))| {
            let before = first.threads.get(id)?;
            Some(ThreadReport {
                role: role_of(name).to_owned(),
                name: name.clone(),
                busy: ((used - before.1) / seconds).clamp(0.0, 1.0),
            })
        })
        .filter(|it| it.role != "other" || 0.01 < it.busy)
        .collect();
    threads.sort_by(|a, b| a.name.cmp(&b.name).then(b.busy.total_cmp(&a.busy)));
    threads
}

fn role_of(thread: &str) -> &'static str {
    match thread {
        it if it.starts_with("timely:") => "worker",
        it if it.starts_with("read-") => "reader",
        it if it.starts_with("query") => "query",
        _ => "other",
    }
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
fn thread_time(stat: &str, ticks_per_second: f64) -> Option<(String, f64)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((name.to_owned(), (user + system) / ticks_per_second))
}

/// What holds the pipeline up: what is broken first, then what is late and who is busy.
fn cause(
    status: &Status,
    sources: &[SourceReport],
    threads: &[ThreadReport],
    epoch_age: Option<f64>,
) -> Option<Cause> {
    let broken = status
        .components
        .iter()
        .find(|it| it.status == Health::Down);
    if let Some(component) = broken {
        return Some(Cause {
            node: node_of(&component.name),
            text: format!("{}: {}", component.name, component.detail),
        });
    }
    let busiest = threads
        .iter()
        .filter(|it| it.role == "worker" || it.role == "reader")
        .max_by(|a, b| a.busy.total_cmp(&b.busy));
    let at_limit = busiest.filter(|it| BUSY_LIMIT <= it.busy);
    let because = match at_limit {
        Some(it) => format!("{} is {:.0} % busy", it.name, it.busy * 100.0),
        None if 1 < status.commits_open => {
            format!("{} commits wait for the lake", status.commits_open)
        }
        None => "no thread of the pipeline is at its limit; look at the machine".to_owned(),
    };
    if let Some(age) = epoch_age.filter(|it| EPOCH_LATE_SECONDS < *it) {
        return Some(Cause {
            node: if at_limit.is_none() && 1 < status.commits_open {
                "lake".to_owned()
            } else {
                "engine".to_owned()
            },
            text: format!("the newest epoch is {age:.1} s old: {because}"),
        });
    }
    let behind = sources.iter().find(|it| {
        it.partitions
            .iter()
            .any(|it| it.trend == Trend::Rising && 2.0 < it.lag_seconds.unwrap_or_default())
    })?;
    Some(Cause {
        node: format!("source:{}", behind.name),
        text: format!("{} falls behind: {because}", behind.name),
    })
}

fn node_of(component: &str) -> String {
    match component.split_once(' ') {
        Some(("source", name)) => format!("source:{name}"),
        _ => component.to_owned(),
    }
}

fn graph(app: &App, status: &Status, sources: &[SourceReport]) -> (Vec<Node>, Vec<Edge>) {
    let dataflow = &app.dataflow;
    let health = |component: &str| {
        let found = status.components.iter().find(|it| it.name == component);
        found.map_or(Health::Ok, |it| it.status)
    };
    let version = |name: &str| status.commit.as_ref()?.versions.get(name).copied();
    let rate_of = |source: &str| {
        let found = sources.iter().find(|it| it.name == source);
        found.and_then(|it| it.records_per_second)
    };
    let node = |kind: &str, name: &str| Node {
        id: format!("{kind}:{name}"),
        kind: kind.to_owned(),
        name: name.to_owned(),
        rows: None,
        per_second: None,
        sql: None,
        plan: None,
        retention_seconds: None,
        version: None,
        health: Health::Ok,
    };
    let mut nodes = Vec::new();
    for source in &dataflow.sources {
        nodes.push(Node {
            rows: sources
                .iter()
                .find(|it| it.name == source.name)
                .map(|it| it.records),
            per_second: rate_of(&source.name),
            health: health(&format!("source {}", source.name)),
            ..node("source", &source.name)
        });
    }
    for table in &dataflow.tables {
        nodes.push(Node {
            per_second: rate_of(&table.source),
            plan: Some(table.plan.to_string()),
            version: version(&table.name),
            ..node("table", &table.name)
        });
    }
    let rates = app.hub.change_rates(10);
    let rows: HashMap<String, usize> = app
        .hub
        .views()
        .into_iter()
        .map(|(it, rows)| (it.name, rows))
        .collect();
    for view in &dataflow.views {
        nodes.push(Node {
            rows: rows.get(&view.name).map(|it| *it as u64),
            per_second: rates.get(&view.name).copied(),
            sql: Some(view.sql.clone()),
            plan: Some(view.to_string()),
            retention_seconds: Some(view.retention_us / 1_000_000),
            version: version(&view.name),
            health: health("engine"),
            ..node("view", &view.name)
        });
    }
    nodes.push(Node {
        id: "lake".to_owned(),
        version: status
            .commit
            .as_ref()
            .and_then(|it| i64::try_from(it.number).ok()),
        health: health("lake"),
        ..node("lake", "lake")
    });
    (nodes, edges(dataflow))
}

/// Who reads whom; tables and stored views end in the lake.
fn edges(dataflow: &Dataflow) -> Vec<Edge> {
    let id = |name: &str| {
        if dataflow.sources.iter().any(|it| it.name == name) {
            Some(format!("source:{name}"))
        } else if dataflow.tables.iter().any(|it| it.name == name) {
            Some(format!("table:{name}"))
        } else if dataflow.view(name).is_some() {
            Some(format!("view:{name}"))
        } else {
            None
        }
    };
    let mut edges: Vec<Edge> = Vec::new();
    let mut add = |from: String, to: &str| {
        let edge = Edge {
            from,
            to: to.to_owned(),
        };
        if !edges.contains(&edge) {
            edges.push(edge);
        }
    };
    let named = |relations: Vec<String>, to: &str, add: &mut dyn FnMut(String, &str)| {
        for relation in relations {
            // What cannot be decoded or comes too late is counted where records are read.
            if relation == DEAD_LETTER_RELATION || relation == LATE_RELATION {
                for source in &dataflow.sources {
                    add(format!("source:{}", source.name), to);
                }
            } else if let Some(from) = id(&relation) {
                add(from, to);
            }
        }
    };
    for table in &dataflow.tables {
        let to = format!("table:{}", table.name);
        named(table.plan.relations(), &to, &mut add);
        add(to.clone(), "lake");
    }
    for view in &dataflow.views {
        let to = format!("view:{}", view.name);
        named(view.plan.relations(), &to, &mut add);
        if view.stored {
            add(to.clone(), "lake");
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(now: Instant, places: &[(i64, i64)]) -> VecDeque<Sample> {
        let count = places.len() as u64;
        let sample = |(at, place): (usize, &(i64, i64))| Sample {
            at: now
                .checked_sub(Duration::from_secs(count - 1 - at as u64))
                .expect("the clock goes back some seconds"),
            places: HashMap::from([(("s".to_owned(), 0), (place.0, Some(place.1)))]),
            totals: HashMap::new(),
            threads: HashMap::new(),
        };
        places.iter().enumerate().map(sample).collect()
    }

    fn report_after(places: &[(i64, i64)]) -> PartitionReport {
        let now = Instant::now();
        let (offset, end) = *places.last().expect("there are places");
        let mut report = PartitionReport {
            partition: 0,
            offset,
            end_offset: Some(end),
            committed: None,
            lag: Some(end - offset),
            lag_seconds: None,
            lag_seconds_is_least: false,
            trend: Trend::Unknown,
            read_per_second: None,
            arriving_per_second: None,
            eta_seconds: None,
        };
        fill_lag(
            &mut report,
            &("s".to_owned(), 0),
            &samples(now, places),
            now,
        );
        report
    }

    #[test]
    fn lag_has_a_time_a_trend_and_an_end() {
        let report = report_after(&[(0, 100), (50, 110), (100, 120)]);
        assert_eq!(report.lag_seconds.map(f64::round), Some(2.0));
        assert!(!report.lag_seconds_is_least);
        assert_eq!(report.trend, Trend::Falling);
        assert_eq!(report.eta_seconds.map(f64::round), Some(1.0));
    }

    #[test]
    fn a_lag_that_grows_has_no_end_and_is_at_least_as_old_as_the_notes() {
        let report = report_after(&[(0, 1_000), (10, 1_100)]);
        assert_eq!((report.trend, report.eta_seconds), (Trend::Rising, None));
        assert!(report.lag_seconds_is_least);
    }

    #[test]
    fn a_thread_may_be_called_anything() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(thread_time(stat, 100.0), Some(("a) b (c".to_owned(), 2.0)));
    }
}

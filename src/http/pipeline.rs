//! `/api/v1/pipeline` and the topic `pipeline`: how records move from sources to the lake, and what holds them up.
//!
//! Once a second a sampler notes how far each partition was read and how far it goes, and how much processor time each
//! thread used. Lag in time, its trend and the time to catch up follow from those notes; nothing is asked of the engine.
//!
//! The lag of a partition in time is the age of the newest note at which its end was where reading is now.
//!
//! What is not known is null, such as the rate of a table that leaves records out.

mod costs;
mod freshness;
mod graph;
mod plan;
mod samples;

use super::App;
use super::status::{
    CommitInfo, Component, Health, IntakeStatus, Status, epoch_age_seconds, headline,
};
use crate::model::iso_of_micros;
use axum::extract::State;
use axum::response::Json as JsonBody;
use costs::Cost;
use freshness::Stage;
use graph::{Edge, Node, graph};
pub use plan::{ViewPlan, plan};
pub use samples::{SAMPLE_EVERY, Samples, sample};
use samples::{Sample, window};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// Less change of lag per second than this share of what arrives is steady.
const STEADY_SHARE: f64 = 0.05;
/// An epoch older than this is late.
const EPOCH_LATE_SECONDS: f64 = 2.0;
/// A thread busier than this is at its limit.
const BUSY_LIMIT: f64 = 0.85;
/// What takes longer to catch up is told with its reason.
const CATCH_UP_SECONDS: f64 = 10.0;

/// The state of the pipeline, as one picture of one moment.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Pipeline {
    pub epoch: u64,
    pub as_of: String,
    pub epoch_age_seconds: Option<f64>,
    pub overall: Health,
    /// How it is in a few words: "Healthy", "Catching up, 2 min left", "Degraded: 22 % of records are not decoded".
    pub headline: String,
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
    /// How old records are by the time they are read, seen in views, and in the lake: over the last minutes.
    pub freshness: Vec<Stage>,
    /// What relations share, in this process: operators that are there once for several of them.
    pub shared: Vec<Cost>,
    /// Memory in use by the process.
    pub allocated_bytes: u64,
    /// Physical memory of the process, and what it may take, if that is limited.
    pub resident_bytes: u64,
    pub memory_max_bytes: Option<u64>,
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
    /// How it is in a few words.
    pub headline: String,
    pub health: Health,
    pub connected: bool,
    /// What offsets count: `records` or `bytes`.
    pub unit: String,
    pub records: u64,
    pub undecoded: u64,
    pub bytes: u64,
    /// Decoded ones.
    pub records_per_second: Option<f64>,
    pub undecoded_per_second: Option<f64>,
    pub bytes_per_second: Option<f64>,
    /// Null while there is none, or if the source declares none.
    pub watermark: Option<Watermark>,
    /// What its records tell of event time and silence.
    pub intake: IntakeStatus,
    /// Until all partitions have caught up, if they go on like this; null if one will not, or that is not known.
    pub eta_seconds: Option<f64>,
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

pub async fn pipeline(State(app): State<Arc<App>>) -> JsonBody<Pipeline> {
    JsonBody(report(&app))
}

/// The present picture.
pub fn report(app: &App) -> Pipeline {
    let status = app.status.status();
    let epoch = app.hub.epoch();
    let memory_max = app.status.memory().map(|it| it.max);
    let costs = app.status.costs();
    let (sources, threads, growth, costs) = app.samples.with(|samples| {
        let sources = status.sources.iter().map(|it| SourceReport {
            watermark: watermark(app, &it.name),
            ..source_report(it, &status, samples)
        });
        let sources: Vec<SourceReport> = sources.collect();
        let costs = costs::costs(&costs, samples, memory_max);
        let growth = samples::growth(samples);
        (sources, thread_reports(samples), growth, costs)
    });
    let epoch_age = epoch_age_seconds(app);
    let cause = cause(&status, &sources, &threads, epoch_age);
    let (nodes, edges) = graph(app, &status, &sources, &threads, &growth, &costs);
    Pipeline {
        epoch: epoch.0,
        as_of: epoch.iso(),
        epoch_age_seconds: epoch_age,
        overall: status.overall,
        headline: headline(&status.components),
        freshness: freshness::stages(app),
        shared: costs
            .into_iter()
            .filter(|it| 1 < it.relations.len())
            .collect(),
        allocated_bytes: crate::memory::heap().allocated_bytes as u64,
        resident_bytes: crate::memory::resident_bytes(),
        memory_max_bytes: memory_max,
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

/// What each live view costs and how it is computed, by its name.
pub fn costs_in_words(app: &App) -> BTreeMap<String, String> {
    let memory_max = app.status.memory().map(|it| it.max);
    let costs = app.status.costs();
    let costs = app
        .samples
        .with(|samples| costs::costs(&costs, samples, memory_max));
    let mut all = plan::in_words(app);
    for (view, plan) in &mut all {
        *plan = format!("{}\n{plan}", costs::in_words(view, &costs));
    }
    all
}

fn watermark(app: &App, source: &str) -> Option<Watermark> {
    let at = app.hub.watermarks().remove(source)?;
    let event_time = app.dataflow.source(source)?.event_time?;
    Some(Watermark {
        at: iso_of_micros(at),
        allowance_seconds: event_time.delay_us as f64 / 1e6,
    })
}

fn source_report(
    source: &super::SourceStatus,
    status: &Status,
    samples: &VecDeque<Sample>,
) -> SourceReport {
    let window = window(samples);
    let component = format!("source {}", source.name);
    let component = status.components.iter().find(|it| it.name == component);
    let rate = |of: fn(&samples::Totals) -> u64| {
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
    let partitions: Vec<PartitionReport> = partitions.collect();
    SourceReport {
        name: source.name.clone(),
        headline: component.map_or_else(String::new, |it| it.headline.clone()),
        health: component.map_or(Health::Starting, |it| it.status),
        connected: source.connected,
        unit: source.unit.clone(),
        records: source.records,
        undecoded: source.undecoded,
        bytes: source.bytes,
        records_per_second: rate(|it| it.records),
        undecoded_per_second: rate(|it| it.undecoded),
        bytes_per_second: rate(|it| it.bytes),
        watermark: None,
        intake: source.intake.clone(),
        eta_seconds: eta_of(&partitions),
        partitions,
    }
}

/// When the last of the partitions will have caught up.
fn eta_of(partitions: &[PartitionReport]) -> Option<f64> {
    let etas = partitions.iter().map(|it| match it.lag? {
        0 => Some(0.0),
        _ => it.eta_seconds,
    });
    let etas = etas.collect::<Option<Vec<f64>>>()?;
    etas.into_iter().reduce(f64::max)
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
    sources.iter().find_map(|source| {
        let falls_behind = source
            .partitions
            .iter()
            .any(|it| it.trend == Trend::Rising && 2.0 < it.lag_seconds.unwrap_or_default());
        let catches_up = source.eta_seconds.is_some_and(|it| CATCH_UP_SECONDS < it);
        let how = match (falls_behind, catches_up) {
            (true, _) => "falls behind",
            (false, true) => "is catching up",
            (false, false) => return None,
        };
        Some(Cause {
            node: format!("source:{}", source.name),
            text: format!("{} {how}: {because}", source.name),
        })
    })
}

fn node_of(component: &str) -> String {
    match component.split_once(' ') {
        Some(("source", name)) => format!("source:{name}"),
        Some(("relation", name)) => format!("view:{name}"),
        _ => component.to_owned(),
    }
}

#[cfg(test)]
mod tests;

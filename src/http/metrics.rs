//! `/metrics`: what the process counts, in Prometheus' text format.
//!
//! Requests are counted as they are answered. All else is known elsewhere, and read when somebody asks.

mod process;

use super::App;
use super::status::{Health, Status, epoch_age_seconds};
use crate::coordinator::costs::RelationCost;
use crate::model::{Observed, wall_ms};
use crate::trace::export as trace;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, Opts, TextEncoder};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of the histogram of requests, in seconds: from a live view to the longest query.
const REQUEST_SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// What is counted as it happens.
pub struct Requests {
    /// By route template, method and status.
    seconds: HistogramVec,
    /// When the process began, in seconds since 1970: always the same number, by which restarts are seen.
    started_s: f64,
}

impl Default for Requests {
    fn default() -> Self {
        let options = HistogramOpts::new(
            "tidelake_http_request_duration_seconds",
            "Time to the head of an answer, by route, method and status.",
        );
        let options = options.buckets(REQUEST_SECONDS.to_vec());
        Requests {
            seconds: made(HistogramVec::new(options, &["route", "method", "status"])),
            started_s: wall_ms() as f64 / 1e3,
        }
    }
}

impl Requests {
    pub fn note(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let method = known_method(method);
        self.seconds
            .with_label_values(&[route, method, status.as_str()])
            .observe(took.as_secs_f64());
    }
}

/// A client may invent methods; a series for each would be its gift to the memory of their keeper.
pub fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

pub async fn prometheus(State(app): State<Arc<App>>) -> Response {
    let families = families(&app);
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    match encoder.encode(&families, &mut text) {
        Ok(()) => (
            [(header::CONTENT_TYPE, encoder.format_type().to_owned())],
            text,
        )
            .into_response(),
        Err(error) => unreachable!("families have names, types and values: {error}"),
    }
}

/// All that is told, in the order in which it is.
fn families(app: &App) -> Vec<MetricFamily> {
    let mut all = described(app).told;
    // One without samples would be no family to its reader.
    all.retain(|it| !it.get_metric().is_empty());
    all
}

/// The same with those of which nothing is known, and what all of them are.
fn described(app: &App) -> Families {
    // Asked once, so that all figures are of one moment.
    let status = app.status.status();
    let mut all = Families::default();
    all.gauge(
        "tidelake_build_info",
        "Version of this build.",
        &["version"],
        [(vec![env!("CARGO_PKG_VERSION").to_owned()], 1.0)],
    );
    of_sources(&status, &mut all);
    of_views(app, &mut all);
    of_the_lake(app, &status, &mut all);
    of_commits(app, &mut all);
    of_components(&status, &mut all);
    of_connections(app, &mut all);
    all.take(&app.requests.seconds, MetricType::HISTOGRAM);
    let memory = app.status.memory();
    all.one(
        "tidelake_memory_limit_bytes",
        "The limit of --memory-max, near which sources wait; process_resident_memory_bytes is held against it. Absent without a limit.",
        memory.map(|it| it.max as f64),
    );
    let spans = trace::counts().into_iter();
    all.counter(
        "tidelake_trace_spans_total",
        "Spans of traces, by what came of them: the collector took them, or they are lost. Absent where nothing is traced.",
        &["outcome"],
        spans.flat_map(|it| [("sent", &it.sent), ("lost", &it.lost)]).map(|(outcome, count)| {
            (vec![outcome.to_owned()], count.load(Ordering::Relaxed) as f64)
        }),
    );
    process::tell(&mut all, app.requests.started_s);
    all
}

fn of_sources(status: &Status, all: &mut Families) {
    let of = |value: fn(&super::SourceStatus) -> f64| -> Vec<Sample> {
        let sample = |it: &super::SourceStatus| (vec![it.name.clone()], value(it));
        status.sources.iter().map(sample).collect()
    };
    let labels = ["source"];
    all.counter(
        "tidelake_source_rows_total",
        "Records read and decoded, over all starts.",
        &labels,
        of(|it| it.records as f64),
    );
    all.counter(
        "tidelake_source_undecoded_total",
        "Records that became dead letters, over all starts.",
        &labels,
        of(|it| it.undecoded as f64),
    );
    all.counter(
        "tidelake_source_bytes_total",
        "Raw bytes read, over all starts.",
        &labels,
        of(|it| it.bytes as f64),
    );
    all.gauge(
        "tidelake_source_connected",
        "Whether the source can be reached.",
        &labels,
        of(|it| f64::from(u8::from(it.connected))),
    );
    let lag = |unit: &str| -> Vec<Sample> {
        let sources = status.sources.iter().filter(|it| it.unit == unit);
        let partitions =
            sources.flat_map(|source| source.partitions.iter().map(move |it| (source, it)));
        let sample = |(source, it): (&super::SourceStatus, &super::PartitionStatus)| {
            let labels = vec![source.name.clone(), it.partition.to_string()];
            Some((labels, it.lag? as f64))
        };
        partitions.filter_map(sample).collect()
    };
    let labels = ["source", "partition"];
    all.gauge(
        "tidelake_source_lag_rows",
        "Records of a topic that are not read yet.",
        &labels,
        lag("records"),
    );
    all.gauge(
        "tidelake_source_lag_bytes",
        "Bytes of files that are not read yet.",
        &labels,
        lag("bytes"),
    );
    let catching_up = status.sources.iter().filter_map(|it| {
        let seconds = it.pace.seconds_to_catch_up?;
        Some((vec![it.name.clone()], seconds))
    });
    all.gauge(
        "tidelake_source_catch_up_seconds",
        "Until nothing is left to read, at the speed of the last seconds; absent while lag grows.",
        &["source"],
        catching_up,
    );
}

fn of_views(app: &App, all: &mut Families) {
    let names = app.dataflow.sources.iter().map(|it| it.name.clone());
    let delays = names.zip(app.hub.delays()).filter(|it| 0 < it.1.count);
    all.histogram(
        "tidelake_record_to_view_delay_seconds",
        "From the timestamp that a record has in its Kafka topic (CreateTime or LogAppendTime, as the topic is set up) until its epoch is shown by the live views. Two observations per epoch and partition: its oldest and its newest record. One ahead of this machine's clock counts as 0. Observed by the process that read the record; absent for other sources.",
        &["source"],
        delays.map(|(name, delay)| (vec![name], delay)),
    );
    let views = app.hub.views().into_iter();
    all.gauge(
        "tidelake_view_rows",
        "Live rows of a view.",
        &["view"],
        views.map(|(info, rows)| (vec![info.name.clone()], rows as f64)),
    );
    of_relations(&app.status.costs(), all);
}

/// What relations cost this process. What several share has all their names in one label, with commas.
fn of_relations(costs: &[RelationCost], all: &mut Families) {
    let of_view = |value: fn(&RelationCost) -> u64| -> Vec<Sample> {
        let sample = |it: &RelationCost| (vec![it.name()], value(it) as f64);
        costs.iter().map(sample).collect()
    };
    all.gauge(
        "tidelake_view_state_bytes",
        "Memory of the state that operators of a relation keep, and of its live rows.",
        &["view"],
        of_view(|it| it.bytes),
    );
    all.gauge(
        "tidelake_view_state_rows",
        "Rows, groups and members of sets that operators of a relation keep, and its live rows.",
        &["view"],
        of_view(|it| it.rows),
    );
    let busy = costs.iter().flat_map(|cost| {
        cost.workers.iter().map(|(worker, busy_ns, _)| {
            (vec![cost.name(), worker.to_string()], *busy_ns as f64 / 1e9)
        })
    });
    all.counter(
        "tidelake_relation_busy_seconds_total",
        "Time that a worker ran operators of a relation, since the start.",
        &["relation", "worker"],
        busy,
    );
}

fn of_the_lake(app: &App, status: &Status, all: &mut Families) {
    all.one(
        "tidelake_frontier_lag_seconds",
        "Age of the newest complete epoch.",
        epoch_age_seconds(app),
    );
    let commit = status.commit.as_ref();
    all.one(
        "tidelake_delta_commit_number",
        "Number of the newest commit.",
        commit.map(|it| it.number as f64),
    );
    all.one(
        "tidelake_delta_commit_age_seconds",
        "Age of the newest commit.",
        commit.map(|it| it.age_seconds),
    );
    all.one(
        "tidelake_delta_commit_duration_seconds",
        "How long the newest commit took.",
        commit.map(|it| it.duration_ms / 1e3),
    );
}

/// How commits of this process went.
fn of_commits(app: &App, all: &mut Families) {
    let commits = app.status.commits();
    all.histogram(
        "tidelake_commit_duration_seconds",
        "How long commits took: from when the files of all workers are in the lake until state, manifest and the log entries of all tables are, waiting for a lake that does not answer included. Observed by process 0, which commits; without those that had nothing to commit.",
        &[],
        [(Vec::new(), commits.seconds.observed())],
    );
    all.counter(
        "tidelake_commit_failures_total",
        "Failed tries of a step of a commit: of writing files, state, the manifest (which is the commit) or a table's log. A try that may succeed later is made again, and nothing is lost; after another the process ends.",
        &["stage"],
        commits
            .failures()
            .map(|(stage, count)| (vec![stage.name().to_owned()], count as f64)),
    );
}

fn of_components(status: &Status, all: &mut Families) {
    let of = |is: fn(Health) -> bool| -> Vec<Sample> {
        let sample =
            |it: &super::Component| (vec![it.name.clone()], f64::from(u8::from(is(it.status))));
        status.components.iter().map(sample).collect()
    };
    all.gauge(
        "tidelake_component_up",
        "Whether a part of the process works, be it degraded.",
        &["component"],
        of(|it| it != Health::Down),
    );
    all.gauge(
        "tidelake_component_degraded",
        "Whether somebody should look at a part of the process.",
        &["component"],
        of(|it| it == Health::Degraded),
    );
    let restarts = status
        .components
        .iter()
        .filter_map(|it| Some((vec![it.name.clone()], it.restarts? as f64)));
    all.counter(
        "tidelake_component_restarts_total",
        "How often a part was restarted; those of the supervisor are restarts of the whole process.",
        &["component"],
        restarts,
    );
    all.one(
        "tidelake_workers",
        "Timely workers of the cluster.",
        Some(status.workers as f64),
    );
}

fn of_connections(app: &App, all: &mut Families) {
    all.one(
        "tidelake_sse_clients",
        "Open event streams.",
        Some(app.stream_clients() as f64),
    );
    all.one(
        "tidelake_sse_held_bytes",
        "Texts of event streams that some reader has not taken yet, or another may still ask for.",
        Some(app.shared.held_bytes() as f64),
    );
    all.one(
        "tidelake_http_connections",
        "Open connections.",
        Some(app.connections.count() as f64),
    );
    let counts = app.connections.counts();
    let mut count = |name: &str, help: &str, it: &AtomicU64| {
        let value = it.load(Ordering::Relaxed) as f64;
        all.counter(name, help, &[], [(Vec::new(), value)]);
    };
    count(
        "tidelake_http_connections_closed_total",
        "Connections closed because they sent nothing in time, or to make room.",
        &counts.closed,
    );
    count(
        "tidelake_http_connections_refused_total",
        "Connections for which there was no place.",
        &counts.refused,
    );
    count(
        "tidelake_http_readers_cut_off_total",
        "Readers that took nothing for too long.",
        &counts.stalled,
    );
    count(
        "tidelake_http_panics_total",
        "Requests and streams that ended with a panic.",
        &counts.panics,
    );
    let refused = &app.identity.counts;
    let refused = [("unknown", &refused.unknown), ("role", &refused.forbidden)];
    all.counter(
        "tidelake_http_requests_refused_total",
        "Requests that were not let in: of nobody known, or of a user whose role is too low.",
        &["reason"],
        refused.map(|(reason, it)| (vec![reason.to_owned()], it.load(Ordering::Relaxed) as f64)),
    );
}

/// Values of labels, and what is told of them.
type Sample = (Vec<String>, f64);

/// What is told so far, and what it is.
#[derive(Default)]
struct Families {
    told: Vec<MetricFamily>,
    /// Each with its kind, which a family without samples does not tell.
    descriptions: Vec<(Desc, MetricType)>,
}

impl Families {
    fn take(&mut self, family: &impl Collector, kind: MetricType) {
        self.told.extend(family.collect());
        let descriptions = family.desc().into_iter().cloned();
        self.descriptions.extend(descriptions.map(|it| (it, kind)));
    }

    /// What may rise and fall.
    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        samples: impl IntoIterator<Item = Sample>,
    ) {
        let family = made(GaugeVec::new(Opts::new(name, help), labels));
        for (values, value) in samples {
            family.with_label_values(&values).set(value);
        }
        self.take(&family, MetricType::GAUGE);
    }

    /// What only rises.
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        samples: impl IntoIterator<Item = Sample>,
    ) {
        let family = made(CounterVec::new(Opts::new(name, help), labels));
        for (values, value) in samples {
            family.with_label_values(&values).inc_by(value);
        }
        self.take(&family, MetricType::COUNTER);
    }

    /// Durations that were observed elsewhere.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        samples: impl IntoIterator<Item = (Vec<String>, Observed)>,
    ) {
        let names: Vec<String> = labels.iter().map(|it| (*it).to_owned()).collect();
        let description = made(Desc::new(
            name.to_owned(),
            help.to_owned(),
            names.clone(),
            HashMap::new(),
        ));
        let metric = |(values, observed): (Vec<String>, Observed)| {
            let pair = |(name, value): (&String, String)| {
                let mut pair = LabelPair::default();
                pair.set_name(name.clone());
                pair.set_value(value);
                pair
            };
            let mut metric = Metric::from_label(names.iter().zip(values).map(pair).collect());
            metric.set_histogram(histogram_of(&observed));
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(samples.into_iter().map(metric).collect());
        self.told.push(family);
        self.descriptions.push((description, MetricType::HISTOGRAM));
    }

    /// A gauge without labels, if its value is known.
    fn one(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.gauge(name, help, &[], value.map(|it| (Vec::new(), it)));
    }
}

fn histogram_of(observed: &Observed) -> Histogram {
    let bucket = |(bound, count): &(f64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(*count);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(observed.upto.iter().map(bucket).collect());
    histogram.set_sample_count(observed.count);
    histogram.set_sample_sum(observed.sum_seconds);
    histogram
}

/// Names and labels stand in this file; a test makes all of them.
fn made<T>(family: prometheus::Result<T>) -> T {
    match family {
        Ok(family) => family,
        Err(error) => unreachable!("a name that Prometheus does not take: {error}"),
    }
}

#[cfg(test)]
mod tests;

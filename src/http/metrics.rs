//! `/metrics`: what the process counts, in Prometheus' text format.

use super::App;
use super::status::epoch_age_seconds;
use crate::coordinator::costs::RelationCost;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Answered requests by route template, method and status.
#[derive(Default)]
pub struct Requests(Mutex<BTreeMap<(String, String, u16), (u64, f64)>>);

impl Requests {
    pub fn note(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts
            .entry((route.to_owned(), method.to_string(), status.as_u16()))
            .or_default();
        count.0 += 1;
        count.1 += took.as_secs_f64();
    }
}

pub async fn prometheus(State(app): State<Arc<App>>) -> Response {
    let status = app.status.status();
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: Vec<(String, f64)>| {
        let _ = writeln!(
            text,
            "# HELP tidelake_{name} {help}\n# TYPE tidelake_{name} {kind}"
        );
        for (labels, value) in samples {
            let _ = writeln!(text, "tidelake_{name}{labels} {value}");
        }
    };
    let sources = |of: fn(&super::SourceStatus) -> f64| -> Vec<(String, f64)> {
        status
            .sources
            .iter()
            .map(|it| (format!("{{source=\"{}\"}}", it.name), of(it)))
            .collect()
    };
    family(
        "build_info",
        "gauge",
        "Version of this build.",
        vec![(
            format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")),
            1.0,
        )],
    );
    family(
        "source_rows_total",
        "counter",
        "Records read and decoded, all-time.",
        sources(|it| it.records as f64),
    );
    family(
        "source_undecoded_total",
        "counter",
        "Records that became dead letters, all-time.",
        sources(|it| it.undecoded as f64),
    );
    family(
        "source_bytes_total",
        "counter",
        "Raw bytes read, all-time.",
        sources(|it| it.bytes as f64),
    );
    family(
        "source_connected",
        "gauge",
        "Whether the source can be reached.",
        sources(|it| f64::from(u8::from(it.connected))),
    );
    let lag = status.sources.iter().flat_map(|source| {
        source.partitions.iter().filter_map(|it| {
            Some((
                format!(
                    "{{source=\"{}\",partition=\"{}\"}}",
                    source.name, it.partition
                ),
                it.lag? as f64,
            ))
        })
    });
    family(
        "source_lag_rows",
        "gauge",
        "End offset minus next offset; bytes for files.",
        lag.collect(),
    );
    let catching_up = status.sources.iter().filter_map(|it| {
        let seconds = it.pace.seconds_to_catch_up?;
        Some((format!("{{source=\"{}\"}}", it.name), seconds))
    });
    family(
        "source_catch_up_seconds",
        "gauge",
        "Until nothing is left to read, at the speed of the last seconds; absent while lag grows.",
        catching_up.collect(),
    );
    let views = app
        .hub
        .views()
        .into_iter()
        .map(|(info, rows)| (format!("{{view=\"{}\"}}", info.name), rows as f64));
    family(
        "view_rows",
        "gauge",
        "Live rows of a view.",
        views.collect(),
    );
    for (name, kind, help, samples) in of_relations(&app.status.costs()) {
        family(name, kind, help, samples);
    }
    let one = |value: Option<f64>| {
        value
            .map(|it| (String::new(), it))
            .into_iter()
            .collect::<Vec<_>>()
    };
    family(
        "frontier_lag_seconds",
        "gauge",
        "Age of the newest complete epoch.",
        one(epoch_age_seconds(&app)),
    );
    let commit = status.commit.as_ref();
    family(
        "delta_commit_number",
        "gauge",
        "Number of the newest commit.",
        one(commit.map(|it| it.number as f64)),
    );
    family(
        "delta_commit_age_seconds",
        "gauge",
        "Age of the newest commit.",
        one(commit.map(|it| it.age_seconds)),
    );
    family(
        "delta_commit_duration_seconds",
        "gauge",
        "How long the newest commit took.",
        one(commit.map(|it| it.duration_ms / 1000.0)),
    );
    family(
        "sse_clients",
        "gauge",
        "Open event streams.",
        one(Some(app.stream_clients() as f64)),
    );
    family(
        "sse_held_bytes",
        "gauge",
        "Texts of event streams that some reader has not taken yet, or another may still ask for.",
        one(Some(app.shared.held_bytes() as f64)),
    );
    family(
        "http_connections",
        "gauge",
        "Open connections.",
        one(Some(app.connections.count() as f64)),
    );
    let counts = app.connections.counts();
    let count = |it: &AtomicU64| one(Some(it.load(Ordering::Relaxed) as f64));
    family(
        "http_connections_closed_total",
        "counter",
        "Connections closed because they sent nothing in time, or to make room.",
        count(&counts.closed),
    );
    family(
        "http_connections_refused_total",
        "counter",
        "Connections for which there was no place.",
        count(&counts.refused),
    );
    family(
        "http_readers_cut_off_total",
        "counter",
        "Readers that took nothing for too long.",
        count(&counts.stalled),
    );
    family(
        "http_panics_total",
        "counter",
        "Requests and streams that ended with a panic.",
        count(&counts.panics),
    );
    family(
        "workers",
        "gauge",
        "Timely workers.",
        one(Some(status.workers as f64)),
    );
    family(
        "uptime_seconds",
        "gauge",
        "Since the start of the process.",
        one(Some(app.started.elapsed().as_secs_f64())),
    );
    family(
        "resident_bytes",
        "gauge",
        "Memory of the process.",
        one(resident_bytes()),
    );
    let heap = crate::memory::heap();
    family(
        "allocated_bytes",
        "gauge",
        "Memory in use by the program; what the process holds beyond it was freed and is not returned yet, or is code and stacks.",
        one(Some(heap.allocated_bytes as f64)),
    );
    let requests = app
        .requests
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let labels = |key: &(String, String, u16)| {
        format!(
            "{{route=\"{}\",method=\"{}\",status=\"{}\"}}",
            key.0, key.1, key.2
        )
    };
    family(
        "http_requests_total",
        "counter",
        "Answered requests.",
        requests
            .iter()
            .map(|(key, it)| (labels(key), it.0 as f64))
            .collect(),
    );
    family(
        "http_request_duration_seconds_sum",
        "counter",
        "Time spent answering.",
        requests
            .iter()
            .map(|(key, it)| (labels(key), it.1))
            .collect(),
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// What relations cost this process. What several share has all their names in one label, with commas.
fn of_relations(costs: &[RelationCost]) -> [Family; 3] {
    let of_view = |of: fn(&RelationCost) -> u64| -> Vec<(String, f64)> {
        let sample = |it: &RelationCost| (format!("{{view=\"{}\"}}", it.name()), of(it) as f64);
        costs.iter().map(sample).collect()
    };
    let busy = costs.iter().flat_map(|cost| {
        cost.workers.iter().map(|(worker, busy_ns, _)| {
            let labels = format!("{{relation=\"{}\",worker=\"{worker}\"}}", cost.name());
            (labels, *busy_ns as f64 / 1e9)
        })
    });
    [
        (
            "view_state_bytes",
            "gauge",
            "Memory of the state that operators of a relation keep, and of its live rows.",
            of_view(|it| it.bytes),
        ),
        (
            "view_state_rows",
            "gauge",
            "Rows, groups and members of sets that operators of a relation keep, and its live rows.",
            of_view(|it| it.rows),
        ),
        (
            "relation_busy_seconds_total",
            "counter",
            "Time that a worker ran operators of a relation, since it started.",
            busy.collect(),
        ),
    ]
}

/// Name, kind, help, and values with their labels.
type Family = (&'static str, &'static str, &'static str, Vec<(String, f64)>);

/// Resident memory, where the system tells it.
fn resident_bytes() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|it| it.starts_with("VmRSS:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<f64>()
        .ok()
        .map(|it| it * 1024.0)
}

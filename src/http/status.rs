//! How the process is doing, as its coordinator tells it; health is asked, never guessed from here.

use super::App;
use crate::auth::Caller;
use crate::coordinator::costs::{NodeCosts, RelationCost};
use crate::coordinator::{CommitCounts, Memory};
use crate::model::{Epoch, secret, wall_ms};
use crate::source::{FileNote, Gap, Pace};
use crate::view::Intake;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json as JsonBody, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the status comes from. Must not block: it is asked many times a second.
pub trait StatusSource: Send + Sync {
    fn status(&self) -> Status;

    /// What each relation costs this process.
    fn costs(&self) -> Vec<RelationCost>;

    /// What each node of their plans costs this process.
    fn costs_of_nodes(&self) -> NodeCosts;

    /// How the commits of this process went.
    fn commits(&self) -> Arc<CommitCounts>;

    /// How much memory it may take and takes, if that is limited.
    fn memory(&self) -> Option<Memory>;
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    pub overall: Health,
    pub components: Vec<Component>,
    /// Why it cannot do its work, if it cannot: `/readyz` is 503 then.
    pub not_ready: Vec<String>,
    /// The last commit of this process; none before the first.
    pub commit: Option<CommitInfo>,
    pub sources: Vec<SourceStatus>,
    pub workers: usize,
    /// Epochs read and not yet complete everywhere.
    pub epochs_open: u64,
    /// Commits handed over and not yet durable.
    pub commits_open: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Ok,
    #[default]
    Starting,
    Degraded,
    Down,
}

impl Health {
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Starting => "starting",
            Health::Degraded => "degraded",
            Health::Down => "down",
        }
    }
}

/// A part of the process or something it depends on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Component {
    pub name: String,
    pub status: Health,
    /// How it is in a few words that can stand alone: "OK", "Catching up, 2 min left", "Degraded: 22 % of records are not decoded".
    #[serde(serialize_with = "secret::serialize")]
    pub headline: String,
    /// What was seen, in words.
    #[serde(serialize_with = "secret::serialize")]
    pub detail: String,
    /// How often it was restarted; absent for parts that are never restarted on their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
}

impl Component {
    /// A part whose headline is the first of what was seen.
    pub fn new(name: impl Into<String>, status: Health, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Component {
            name: name.into(),
            status,
            headline: Component::headline_of(status, &detail),
            detail,
            restarts: None,
        }
    }

    /// The state as a word, and of what is wrong the first.
    pub fn headline_of(status: Health, detail: &str) -> String {
        let first = detail.split(['\n', ';']).next().unwrap_or_default();
        let first = first.split(": ").next().unwrap_or_default().trim();
        match (status, first) {
            (Health::Ok, _) => "OK".to_owned(),
            (Health::Starting, _) => "Starting".to_owned(),
            (Health::Degraded, "") => "Degraded".to_owned(),
            (Health::Degraded, what) => format!("Degraded: {what}"),
            (Health::Down, "") => "Down".to_owned(),
            (Health::Down, what) => format!("Down: {what}"),
        }
    }
}

/// How all is in a few words: that of the part that is worst, and how many others are not well.
pub fn headline(components: &[Component]) -> String {
    // The first of the worst: `max_by_key` would take the last.
    let worst = components.iter().rev().max_by_key(|it| it.status);
    let Some(worst) = worst else {
        return "Starting".to_owned();
    };
    if worst.status == Health::Ok {
        return "Healthy".to_owned();
    }
    let is_unwell = |it: &&Component| Health::Starting < it.status;
    match components.iter().filter(is_unwell).count() {
        0 | 1 => worst.headline.clone(),
        many => format!("{} (and {} more)", worst.headline, many - 1),
    }
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CommitInfo {
    pub number: u64,
    #[schemars(with = "u64")]
    pub epoch: Epoch,
    pub age_seconds: f64,
    pub duration_ms: f64,
    /// Version of each table of the lake.
    pub versions: BTreeMap<String, i64>,
    /// Files of each table, and how their number goes on; nothing before the first commit of this run.
    pub files: BTreeMap<String, CommittedFiles>,
}

/// Files of a table of the lake.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CommittedFiles {
    /// Files of less than 8 MiB that may be put together later.
    pub small: u64,
    /// Files that the next commits replace.
    pub open: u64,
    /// Files that the commits of a day write, at the pace of the last hour; null before an hour has passed.
    pub written_per_day: Option<u64>,
    /// By how many a day's commits change the number of files that readers see.
    pub growth_per_day: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SourceStatus {
    pub name: String,
    pub connected: bool,
    /// What its offsets count: `records` or `bytes`.
    pub unit: String,
    pub partitions: Vec<PartitionStatus>,
    /// The topic it reads; nothing if it reads files.
    pub topic: Option<String>,
    /// How fast it is read and when it will have caught up; in records of a topic, in bytes of files.
    pub pace: Pace,
    /// Offsets that were gone before they could be read, newest last; they are dead letters too.
    pub gaps: Vec<Gap>,
    /// Input files that are not read, or not all of them, and why.
    pub files: Vec<FileNote>,
    /// All-time counts; they survive restarts.
    pub records: u64,
    pub undecoded: u64,
    pub bytes: u64,
    /// What its records tell of event time and silence.
    pub intake: IntakeStatus,
}

/// What came in lately of a source, as this process read it.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct IntakeStatus {
    /// Of the last minute: records, those that were not decoded, and those behind the watermark.
    pub records_last_minute: u64,
    pub undecoded_last_minute: u64,
    pub late_last_minute: u64,
    /// Late ones among the records of the last minute, 0 to 1; null without records.
    pub late_share: Option<f64>,
    pub undecoded_share: Option<f64>,
    /// Records behind the watermark since the start of this process. They are archived, and missing in windows that were closed.
    pub late: u64,
    /// Since the newest record; null before the first.
    pub quiet_seconds: Option<f64>,
    /// Partitions with records too far ahead to move event time.
    pub ahead: Vec<AheadStatus>,
}

/// Records of a partition that wait in their windows, since their event time is too far ahead.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AheadStatus {
    pub partition: i32,
    /// How far the furthest of the newest ones is ahead of the partition's event time.
    pub ahead_seconds: f64,
    /// Since the first record of the partition.
    pub records: u64,
    /// The epoch of the newest ones.
    #[schemars(with = "u64")]
    pub epoch: Epoch,
}

impl From<&Intake> for IntakeStatus {
    fn from(intake: &Intake) -> Self {
        let counts = intake.lately;
        let share = |part: u64, all: u64| (0 < all).then(|| part as f64 / all as f64);
        let ahead = intake.ahead.iter().map(|it| AheadStatus {
            partition: it.partition,
            ahead_seconds: it.by_us as f64 / 1e6,
            records: it.records,
            epoch: Epoch(it.epoch),
        });
        IntakeStatus {
            records_last_minute: counts.records,
            undecoded_last_minute: counts.undecoded,
            late_last_minute: counts.late,
            late_share: share(counts.late, counts.records),
            undecoded_share: share(counts.undecoded, counts.records + counts.undecoded),
            late: intake.late,
            quiet_seconds: intake.quiet_seconds,
            ahead: ahead.collect(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct PartitionStatus {
    pub partition: i32,
    /// The next record to read.
    pub offset: i64,
    pub end_offset: Option<i64>,
    pub lag: Option<i64>,
    /// Why it is not read, if it is not.
    pub problem: Option<String>,
    /// The next to read after a restart; nothing before the first commit.
    pub committed: Option<i64>,
}

pub async fn status(State(app): State<Arc<App>>) -> Response {
    let status = app.status.status();
    let (records_per_second, bytes_per_second) = app.hub.rates(10);
    let mut body = json!(status);
    if let Some(members) = body.as_object_mut() {
        members.insert("epoch".to_owned(), json!(app.hub.epoch()));
        members.insert("headline".to_owned(), json!(headline(&status.components)));
        members.insert(
            "epoch_age_seconds".to_owned(),
            json!(epoch_age_seconds(&app)),
        );
        members.insert(
            "uptime_seconds".to_owned(),
            json!(app.started.elapsed().as_secs()),
        );
        members.insert("dataflow".to_owned(), json!(app.dataflow.name));
        members.insert("records_per_second".to_owned(), json!(records_per_second));
        members.insert("bytes_per_second".to_owned(), json!(bytes_per_second));
        members.insert("stream_clients".to_owned(), json!(app.stream_clients()));
        let watermarks: BTreeMap<_, _> = app
            .hub
            .watermarks()
            .into_iter()
            .map(|(name, at)| (name, crate::model::iso_of_micros(at)))
            .collect();
        members.insert("watermarks".to_owned(), json!(watermarks));
    }
    JsonBody(body).into_response()
}

/// Seconds since the newest visible epoch; nothing before the first.
pub fn epoch_age_seconds(app: &App) -> Option<f64> {
    let epoch = app.hub.epoch();
    (epoch != Epoch(0)).then(|| wall_ms().saturating_sub(epoch.0) as f64 / 1000.0)
}

/// The event `health` of a stream.
pub fn health(app: &App) -> serde_json::Value {
    let status = app.status.status();
    json!({
        "status": status.overall,
        "headline": headline(&status.components),
        "uptime_seconds": app.started.elapsed().as_secs(),
        "version": env!("CARGO_PKG_VERSION"),
        "components": status.components,
    })
}

pub async fn version(State(app): State<Arc<App>>) -> Response {
    JsonBody(json!({
        "name": "tidelake",
        "version": env!("CARGO_PKG_VERSION"),
        "dataflow": app.dataflow.name,
        "fingerprint": app.dataflow.fingerprint,
    }))
    .into_response()
}

/// The process runs; nothing else is asked.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Whether it can do its work, and what stands in the way.
pub async fn ready(State(app): State<Arc<App>>, caller: Option<Extension<Caller>>) -> Response {
    let status = app.status.status();
    let code = match (status.overall, status.not_ready.is_empty()) {
        (Health::Ok | Health::Degraded, true) => StatusCode::OK,
        (Health::Ok | Health::Degraded, false) | (Health::Starting | Health::Down, _) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    // A probe needs the code; the rest is for users, where there are some.
    if app.identity.auth.is_some() && caller.is_none() {
        return (code, JsonBody(json!({"status": status.overall}))).into_response();
    }
    (
        code,
        JsonBody(json!({
            "status": status.overall,
            "not_ready": status.not_ready,
            "components": status.components,
        })),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_is_that_of_the_worst_part() {
        let part = |status, detail: &str| Component::new("a", status, detail);
        assert_eq!(headline(&[]), "Starting");
        let well = part(Health::Ok, "4 partitions");
        assert_eq!(headline(std::slice::from_ref(&well)), "Healthy");
        let slow = part(Health::Degraded, "2 commits wait; and more: much");
        assert_eq!(
            headline(&[well.clone(), slow.clone()]),
            "Degraded: 2 commits wait"
        );
        let gone = part(Health::Down, "no route to host: it is away");
        assert_eq!(
            headline(&[slow.clone(), gone]),
            "Down: no route to host (and 1 more)"
        );
        let also = part(Health::Degraded, "something else");
        assert_eq!(
            headline(&[slow, also]),
            "Degraded: 2 commits wait (and 1 more)"
        );
        assert_eq!(headline(&[well, part(Health::Starting, "")]), "Starting");
    }
}

//! `/api/anomalies` and the anomalies in `/events`: what static rules found (view `anomalies`) and what detectors found (view `incidents`), in one shape.
//!
//! Entries have `id`, `timestamp`, `level`, `message`, `window_start`, `window_end`, `endpoint`, `anomaly_type`, `score`, `observed` and `threshold`,
//! whichever they come from, and the columns of the view of rules. How an incident is put into these is said at [`of_incident`].

#[cfg(test)]
mod tests;

use super::rounded;
use crate::detect::metric::Kind;
use crate::http::App;
use crate::http::incidents::detection_of;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::model::{Row, iso_of_micros};
use crate::plan::{Dataflow, Plan};
use crate::sql::incidents::{INCIDENTS, IncidentRow};
use crate::view::ViewInfo;
use arrow::datatypes::Schema;
use axum::extract::State;
use axum::response::{IntoResponse, Json as JsonBody, Response};
use serde_json::{Map, Value as Json, json};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

/// The view that holds what static rules found.
pub const ANOMALIES: &str = "anomalies";
const ANOMALIES_DEFAULT: usize = 50;
pub const ANOMALIES_MAX: usize = 1_000;
/// Anomalies scored at least so high are errors, others warnings.
const ERROR_SCORE: f64 = 0.8;
/// The severity whose score is a half; four times of it are an error.
const SEVERITY_OF_HALF: f64 = 1.5;

/// A view whose rows are anomalies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Of static rules.
    Rules,
    /// Incidents of detectors.
    Incidents,
}

impl Rows {
    pub const ALL: [Rows; 2] = [Rows::Rules, Rows::Incidents];

    pub fn view(self) -> &'static str {
        match self {
            Rows::Rules => ANOMALIES,
            Rows::Incidents => INCIDENTS,
        }
    }

    /// The view, if the dataflow has it. One that is only called `incidents` is none of detectors.
    pub fn info(self, app: &App) -> Option<ViewInfo> {
        let is_there = match self {
            Rows::Rules => true,
            Rows::Incidents => {
                let mut views = app.dataflow.views.iter();
                views.any(|it| matches!(it.plan, Plan::Incidents { .. }))
            }
        };
        app.hub.view(self.view()).filter(|_| is_there)
    }

    /// A row of the view as an entry; `None` for an incident that was dismissed.
    fn entry(self, app: &App, schema: &Schema, row: &Row) -> Option<Json> {
        match self {
            Rows::Rules => Some(of_rule(schema, row)),
            Rows::Incidents => of_incident(app, &IncidentRow { schema, row }),
        }
    }

    /// The entries that changes of the view give: of a rule each row that is new or changed, of incidents those that open and are not muted at a time
    /// in milliseconds since 1970. How an incident goes on is told by the list.
    pub fn news(
        self,
        app: &App,
        schema: &Schema,
        changes: &[(Row, i64)],
        now_ms: u64,
    ) -> Vec<Json> {
        let incident = |row: &Row| IncidentRow { schema, row }.text("incident");
        let known: HashSet<String> = match self {
            Rows::Rules => HashSet::new(),
            Rows::Incidents => {
                let old = changes.iter().filter(|it| it.1 < 0);
                old.map(|it| incident(&it.0)).collect()
            }
        };
        let is_news = |row: &Row| {
            self == Rows::Rules
                || !known.contains(&incident(row))
                    && !is_muted(&IncidentRow { schema, row }, now_ms)
        };
        let new = changes.iter().filter(|it| 0 < it.1 && is_news(&it.0));
        new.filter_map(|it| self.entry(app, schema, &it.0))
            .collect()
    }
}

fn is_muted(row: &IncidentRow<'_>, now_ms: u64) -> bool {
    let until_us = row.value("muted_until").as_i64();
    until_us.is_some_and(|it| i64::try_from(now_ms).unwrap_or(i64::MAX) < it / 1_000)
}

/// Anomalies of rules and incidents of detectors, newest first.
pub async fn anomalies(
    State(app): State<Arc<App>>,
    query: Parameters,
) -> Result<Response, Problem> {
    let limit = query.count("limit").unwrap_or(ANOMALIES_DEFAULT);
    let since = query.time("since");
    let wanted = |name: &str, column: &str, entry: &Json| match query.text(name) {
        None => true,
        Some(text) => entry[column]
            .as_str()
            .is_some_and(|it| it.eq_ignore_ascii_case(text)),
    };
    let views = Rows::ALL.map(|it| it.view().to_owned());
    let (_, snapshots) = app.hub.snapshots(&views);
    let mut found: Vec<(Option<i64>, Json)> = Vec::new();
    for (rows, snapshot) in Rows::ALL.into_iter().zip(snapshots) {
        let (Some(snapshot), Some(info)) = (snapshot, rows.info(&app)) else {
            continue;
        };
        let start = match rows {
            Rows::Rules => "window_start",
            Rows::Incidents => "since",
        };
        let start = info.schema.index_of(start).ok();
        for row in &snapshot {
            let time = start.and_then(|it| row.0[it].as_i64());
            if since.is_some_and(|it| time.is_none_or(|at| at < it)) {
                continue;
            }
            found.extend(Some(time).zip(rows.entry(&app, &info.schema, row)));
        }
    }
    found
        .retain(|(_, it)| wanted("type", "anomaly_type", it) && wanted("endpoint", "endpoint", it));
    // What came first of one time stays first.
    found.sort_by_key(|it| Reverse(it.0));
    let found: Vec<Json> = found.into_iter().take(limit).map(|it| it.1).collect();
    Ok(JsonBody(found).into_response())
}

fn level(score: f64) -> &'static str {
    match ERROR_SCORE <= score {
        true => "ERROR",
        false => "WARN",
    }
}

/// An incident as an entry; `None` if somebody dismissed it, which says that it was no anomaly.
///
/// | field | of an incident |
/// |---|---|
/// | `id`, `incident` | its name |
/// | `timestamp`, `window_start` | `since` |
/// | `window_end` | `until`, the end of its last anomalous window |
/// | `message` | its summary |
/// | `anomaly_type` | by the kind of the metric, above or below what was expected: `rate` `TRAFFIC_SPIKE` or `TRAFFIC_DROP`, `ratio` `HIGH_ERROR_RATE` or `LOW_ERROR_RATE`, `latency` `SLOW_RESPONSE` or `FAST_RESPONSE`, `value` `HIGH_VALUE` or `LOW_VALUE`, `drift` `DRIFT`, `novelty` `NOVEL_VALUE`, `series` and `outlier` `UNUSUAL_VALUE` |
/// | `score` | from 0 to 1: severity / (severity + 1.5). A severity of 3, one window in a thousand, has 0.67 |
/// | `level` | as of rules: `ERROR` from a score of 0.8, which is a severity of 6, one window in a million; else `WARN` |
/// | `observed`, `threshold` | at its peak: the metric, and the bound of what was expected that it crossed |
/// | `endpoint`, `ip_class` | of the detector's key, if they are columns of it; else null |
/// | `is_traffic_spike`, `is_high_error_rate`, `is_slow_response` | by the type |
///
/// Beside these it has `detector`, `metric`, `key`, `state`, `severity` and `expected`; other columns of the view of rules are null.
fn of_incident(app: &App, row: &IncidentRow<'_>) -> Option<Json> {
    if row.optional_text("dismissed_by").is_some() {
        return None;
    }
    let number = |name: &str| row.value(name).as_f64();
    let time = |name: &str| row.value(name).as_i64().map(iso_of_micros);
    let (detector, metric) = (row.text("detector"), row.text("metric"));
    let (observed, expected) = (number("observed"), number("expected"));
    let is_below = observed.zip(expected).is_some_and(|it| it.0 < it.1);
    let r#type = type_of(kind_of(&app.dataflow, &detector, &metric), is_below);
    let severity = number("severity").unwrap_or_default().max(0.0);
    let score = severity / (severity + SEVERITY_OF_HALF);
    let threshold = number(if is_below { "low" } else { "high" });
    // The view made it from the key's columns.
    let key: Map<String, Json> = serde_json::from_str(&row.text("key")).unwrap_or_default();
    let of_key = |name: &str| key.get(name).cloned().unwrap_or_default();
    let mut entry = json!({
        "id": row.text("incident"),
        "timestamp": time("since"),
        "level": level(score),
        "message": row.text("summary"),
        "window_start": time("since"),
        "window_end": time("until"),
        "endpoint": of_key("endpoint"),
        "ip_class": of_key("ip_class"),
        "anomaly_type": r#type,
        "score": score,
        "observed": observed,
        "expected": expected,
        "threshold": threshold,
        "is_traffic_spike": r#type == "TRAFFIC_SPIKE",
        "is_high_error_rate": r#type == "HIGH_ERROR_RATE",
        "is_slow_response": r#type == "SLOW_RESPONSE",
        "incident": row.text("incident"),
        "detector": detector,
        "metric": metric,
        "key": key,
        "state": row.text("state"),
        "severity": severity,
    });
    if let (Some(rules), Some(members)) = (app.dataflow.view(ANOMALIES), entry.as_object_mut()) {
        for field in rules.plan.schema().fields() {
            members.entry(field.name().clone()).or_insert(Json::Null);
        }
    }
    Some(entry)
}

/// The kind of a detector's metric; `None` if the dataflow has no such detector.
fn kind_of(dataflow: &Dataflow, detector: &str, metric: &str) -> Option<Kind> {
    let (_, detection) = detection_of(dataflow.view(detector)?)?;
    let found = detection.metrics.iter().find(|it| it.name == metric)?;
    Some(found.kind)
}

fn type_of(kind: Option<Kind>, is_below: bool) -> &'static str {
    match (kind, is_below) {
        (Some(Kind::Rate), false) => "TRAFFIC_SPIKE",
        (Some(Kind::Rate), true) => "TRAFFIC_DROP",
        (Some(Kind::Ratio), false) => "HIGH_ERROR_RATE",
        (Some(Kind::Ratio), true) => "LOW_ERROR_RATE",
        (Some(Kind::Latency), false) => "SLOW_RESPONSE",
        (Some(Kind::Latency), true) => "FAST_RESPONSE",
        (Some(Kind::Drift), _) => "DRIFT",
        (Some(Kind::Novelty), _) => "NOVEL_VALUE",
        (Some(Kind::Series | Kind::Outlier), _) => "UNUSUAL_VALUE",
        (Some(Kind::Value) | None, false) => "HIGH_VALUE",
        (Some(Kind::Value) | None, true) => "LOW_VALUE",
    }
}

/// An anomaly with an id that stays the same while its figures change.
fn of_rule(schema: &Schema, row: &Row) -> Json {
    let columns: Map<String, Json> = schema
        .fields()
        .iter()
        .zip(row.0.iter())
        .map(|(field, value)| (field.name().clone(), value.to_json()))
        .collect();
    let text = |name: &str| match columns.get(name) {
        Some(Json::String(it)) => it.clone(),
        Some(Json::Number(it)) => it.to_string(),
        _ => String::new(),
    };
    let key = [
        "window_start",
        "anomaly_type",
        "endpoint",
        "ip_class",
        "key",
    ]
    .map(text)
    .join("\u{1f}");
    let id = format!("{:016x}", twox_hash::XxHash3_64::oneshot(key.as_bytes()));
    let score = columns
        .get("score")
        .and_then(Json::as_f64)
        .unwrap_or_default();
    let time = schema
        .fields()
        .find("window_start")
        .and_then(|it| row.0[it.0].as_i64());
    let mut message = text("anomaly_type").replace('_', " ").to_ascii_lowercase();
    if !text("endpoint").is_empty() {
        message.push_str(&format!(" on {}", text("endpoint")));
    }
    let figure = |name: &str| columns.get(name).and_then(Json::as_f64).map(rounded);
    match (
        figure("observed"),
        figure("threshold").or_else(|| figure("expected")),
    ) {
        (Some(observed), Some(limit)) => message.push_str(&format!(": {observed} against {limit}")),
        (Some(observed), None) => message.push_str(&format!(": {observed}")),
        _ => {}
    }
    let mut anomaly = Map::new();
    anomaly.insert("id".to_owned(), json!(id));
    anomaly.insert("timestamp".to_owned(), json!(time.map(iso_of_micros)));
    anomaly.insert("level".to_owned(), json!(level(score)));
    anomaly.insert("message".to_owned(), json!(message));
    for (name, value) in columns {
        anomaly.entry(name).or_insert(value);
    }
    Json::Object(anomaly)
}

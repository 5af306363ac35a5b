//! `/api/v1/incidents`: what all detectors found, as one list of one epoch, and which views are whose. Views of detectors are known by their plans, never by their names.

use super::entry::tail_table;
use super::parameters::Parameters;
use super::problem::Problem;
use super::{App, EPOCH_HEADER};
use crate::model::{Epoch, Row, iso_of_micros};
use crate::plan::{Dataflow, Detection, Plan, ViewSpec};
use crate::sql::incidents::{INCIDENTS, IncidentRow, incidents_of};
use crate::sql::measured::measured;
use arrow::datatypes::Schema;
use axum::extract::State;
use axum::response::{IntoResponse, Json as JsonBody, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const STATES: &[&str] = &["provisional", "open", "closed"];
const CLOSED: &str = "closed";
const LISTED_DEFAULT: usize = 200;
pub const LISTED_MAX: usize = 10_000;

/// What the view of a detector is.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DetectorBody {
    /// What its rows are.
    of: DetectorRows,
    detector: String,
    /// The view whose windows are judged.
    watches: String,
    /// Columns that make the key; none if there is one series of all.
    key: Vec<String>,
    metrics: Vec<String>,
    /// For each metric the columns of the watched view that it measures; of a ratio those of its failures.
    measured: BTreeMap<String, Vec<String>>,
    window_seconds: i64,
    /// Whether records of the log have the columns of the key, so that those of an incident can be looked at.
    filters_records: bool,
    /// Columns of records by which its incidents are explained.
    explain_by: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DetectorRows {
    /// What is said of each window.
    Scores,
    /// What its anomalies are together.
    Incidents,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Incidents {
    epoch: u64,
    as_of: String,
    /// Those that are not over first, by severity; then those that are, newest first.
    incidents: Vec<Incident>,
    /// How many there are, listed or not.
    total: usize,
    truncated: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Incident {
    detector: String,
    /// The view of the detector's incidents.
    view: String,
    /// Values of the key's columns.
    key: Map<String, Json>,
    metric: String,
    /// A name that stays the same.
    pub incident: String,
    /// The metric of the key, by name: what is muted.
    pub series: String,
    /// `provisional` while late records can still take it back, `open`, or `closed`.
    state: String,
    since: Option<String>,
    until: Option<String>,
    closed_at: Option<String>,
    /// Anomalous windows.
    windows: i64,
    /// Of its most severe window: -log10 of how probable it was.
    severity: Option<f64>,
    peak_start: Option<String>,
    observed: Option<f64>,
    expected: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    summary: String,
    /// Who sees to it, if anybody does.
    acknowledged: Option<Said>,
    /// Until when nobody is told of its series; may be over.
    muted: Option<Said>,
    /// Who says that it was no anomaly.
    dismissed: Option<Said>,
}

/// What somebody said of an incident.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Said {
    by: String,
    at: Option<String>,
    until: Option<String>,
    note: Option<String>,
}

/// What a view is for a detector, if it is one's.
pub fn detector_of(dataflow: &Dataflow, view: &ViewSpec) -> Option<DetectorBody> {
    let (of, scores) = match &view.plan {
        Plan::Detect { .. } => (DetectorRows::Scores, view),
        Plan::Incidents { .. } => (DetectorRows::Incidents, scores_of(dataflow, view)?),
        _ => return None,
    };
    let (input, detection) = detection_of(scores)?;
    let schema = scores.plan.schema();
    let key: Vec<String> = schema
        .fields()
        .iter()
        .take(detection.keys.len())
        .map(|it| it.name().clone())
        .collect();
    let filters_records = tail_table(dataflow).is_some_and(|(_, table)| {
        let records = table.plan.schema();
        key.iter().all(|it| records.column_with_name(it).is_some())
    });
    Some(DetectorBody {
        of,
        detector: scores.name.clone(),
        watches: input.relations().into_iter().next()?,
        key,
        metrics: detection.metrics.iter().map(|it| it.name.clone()).collect(),
        measured: measured(scores),
        window_seconds: detection.grid.size_us / 1_000_000,
        filters_records,
        explain_by: detection.explain_by.clone(),
    })
}

/// The view that incidents are made from.
pub(super) fn scores_of<'a>(dataflow: &'a Dataflow, incidents: &ViewSpec) -> Option<&'a ViewSpec> {
    dataflow.view(incidents.plan.relations().first()?)
}

pub(super) fn detection_of(scores: &ViewSpec) -> Option<(&Plan, &Detection)> {
    match &scores.plan {
        Plan::Detect {
            input, detection, ..
        } => Some((input, detection)),
        _ => None,
    }
}

pub async fn list(State(app): State<Arc<App>>, query: Parameters) -> Result<Response, Problem> {
    let limit = query.count("limit").unwrap_or(LISTED_DEFAULT);
    let state = query.text("state");
    let wanted = query.text("detector");
    if let Some(wanted) = wanted {
        known_detector(&app.dataflow, wanted)?;
    }
    let (epoch, mut incidents) = all(&app);
    incidents.retain(|it| {
        state.is_none_or(|state| state == it.state)
            && wanted.is_none_or(|wanted| wanted == it.detector)
    });
    incidents.sort_by(order);
    let total = incidents.len();
    incidents.truncate(limit);
    let body = Incidents {
        epoch: epoch.0,
        as_of: epoch.iso(),
        truncated: incidents.len() < total,
        incidents,
        total,
    };
    Ok(([(EPOCH_HEADER, epoch.to_string())], JsonBody(body)).into_response())
}

/// Refuses the name of what is no detector.
fn known_detector(dataflow: &Dataflow, wanted: &str) -> Result<(), Problem> {
    let detectors = dataflow.views.iter();
    let detectors = detectors.filter(|it| matches!(it.plan, Plan::Detect { .. }));
    let names: Vec<&str> = detectors.map(|it| it.name.as_str()).collect();
    if names.contains(&wanted) {
        return Ok(());
    }
    let hint = match names.is_empty() {
        true => {
            "the dataflow has no detectors; CREATE DETECTOR name ON view METRICS (rate(column)) adds one"
                .to_owned()
        }
        false => format!("there are: {}", names.join(", ")),
    };
    let text = format!("there is no detector `{wanted}`");
    Err(Problem::not_found("unknown_detector", text).hint(hint))
}

/// All incidents that are live, at one epoch.
fn all(app: &App) -> (Epoch, Vec<Incident>) {
    let schema = app.dataflow.view(INCIDENTS).map(|it| it.plan.schema());
    let (epoch, mut rows) = app.hub.snapshots(&[INCIDENTS.to_owned()]);
    let rows = rows.pop().flatten().unwrap_or_default();
    let read = |row: &Row| schema.as_ref().map(|it| incident(it, row));
    (epoch, rows.iter().filter_map(read).collect())
}

/// The live incident of a name.
///
/// # Errors
/// If there is none.
pub(super) fn incident_named(app: &App, name: &str) -> Result<Incident, Problem> {
    let (_, incidents) = all(app);
    let found = incidents.into_iter().find(|it| it.incident == name);
    found.ok_or_else(|| {
        Problem::not_found("unknown_incident", format!("there is no incident `{name}`"))
            .hint("it was withdrawn after late records, or its id is incomplete; GET /api/v1/incidents lists them")
    })
}

/// Those that are not over, gravest first; then those that are, newest first.
fn order(a: &Incident, b: &Incident) -> Ordering {
    let is_over = |it: &Incident| it.state == CLOSED;
    let severity = |it: &Incident| it.severity.unwrap_or_default();
    let within = match is_over(a) {
        false => severity(b).total_cmp(&severity(a)),
        true => b.since.cmp(&a.since),
    };
    is_over(a)
        .cmp(&is_over(b))
        .then(within)
        .then_with(|| b.since.cmp(&a.since))
        .then_with(|| (&a.detector, &a.incident).cmp(&(&b.detector, &b.incident)))
}

/// A row of the view of all incidents.
fn incident(schema: &Schema, row: &Row) -> Incident {
    let row = IncidentRow { schema, row };
    let value = |name: &str| row.value(name);
    let optional = |name: &str| row.optional_text(name);
    let text = |name: &str| row.text(name);
    let time = |name: &str| value(name).as_i64().map(iso_of_micros);
    let number = |name: &str| value(name).as_f64();
    let said = |by: &str, at: &str, until: &str, note: &str| {
        Some(Said {
            by: optional(by)?,
            at: time(at),
            until: time(until),
            note: optional(note).filter(|it| !it.is_empty()),
        })
    };
    let detector = text("detector");
    Incident {
        view: incidents_of(&detector),
        detector,
        // The view made it from the key's columns.
        key: serde_json::from_str(&text("key")).unwrap_or_default(),
        metric: text("metric"),
        incident: text("incident"),
        series: text("series"),
        state: text("state"),
        since: time("since"),
        until: time("until"),
        closed_at: time("closed_at"),
        windows: value("windows").as_i64().unwrap_or_default(),
        severity: number("severity"),
        peak_start: time("peak_start"),
        observed: number("observed"),
        expected: number("expected"),
        low: number("low"),
        high: number("high"),
        summary: text("summary"),
        acknowledged: said(
            "acknowledged_by",
            "acknowledged_at",
            "",
            "acknowledged_note",
        ),
        muted: said("muted_by", "", "muted_until", "muted_note"),
        dismissed: said("dismissed_by", "dismissed_at", "", "dismissed_note"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{Server, app_of};
    use crate::model::{Float, Value};
    use arrow::datatypes::Field;

    /// A view that looks like incidents, and is none; a detector whose names say nothing.
    const TEXT: &str = "
        CREATE SOURCE s (at TIMESTAMP, k TEXT, c BIGINT, WATERMARK FOR at AS at - INTERVAL '5' SECOND) WITH (connector = 'files', format = 'json', path = 'folder');
        CREATE TABLE kept AS SELECT * FROM s;
        CREATE MATERIALIZED VIEW per_minute AS SELECT window_start, k, sum(c) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start, k;
        CREATE DETECTOR watch ON per_minute METRICS (rate(c) AS much, latency(c)) KEY (k);
        CREATE MATERIALIZED VIEW other_incidents AS SELECT k AS incident, count(*) AS windows FROM s GROUP BY k;
    ";

    async fn dataflow() -> Dataflow {
        crate::sql::plan_text("watch", TEXT, |_| None)
            .await
            .unwrap_or_else(|it| panic!("{it}"))
    }

    fn row(k: &str, state: &str, minute: i64, severity: f64) -> Row {
        let time = |minute: i64| Value::Timestamp(minute * 60_000_000);
        let float = |it: f64| Value::Float(Float::new(it));
        let text = |it: &str| Value::Text(it.into());
        let acknowledged = match k {
            "e" => [text("ana"), time(9), text("on it")],
            _ => [Value::Null, Value::Null, Value::Null],
        };
        let muted = match k {
            "b" => [text("bo"), time(99), text("")],
            _ => [Value::Null, Value::Null, Value::Null],
        };
        let values = [
            text("watch"),
            text(&format!("{{\"k\": \"{k}\"}}")),
            text("much"),
            text(&format!("{minute:016x}")),
            text(&format!("watch/much/{k}")),
            text(state),
            time(minute),
            time(minute + 2),
            match state {
                CLOSED => time(minute + 8),
                _ => Value::Null,
            },
            Value::Int(2),
            float(severity),
            time(minute),
            float(40.0),
            float(10.5),
            float(4.0),
            float(17.0),
            text(&format!("much of {k} was 40")),
        ];
        let said = acknowledged.into_iter().chain(muted);
        let said = said.chain([Value::Null, Value::Null, Value::Null]);
        Row(values.into_iter().chain(said).collect())
    }

    async fn server() -> Server {
        let dataflow = dataflow().await;
        let rows = vec![
            row("a", "closed", 1, 9.0),
            row("b", "open", 3, 4.5),
            row("c", "closed", 2, 3.5),
            row("d", "provisional", 4, 11.0),
            row("e", "open", 2, 6.0),
        ];
        let fields = |view: &str| -> Vec<Field> {
            let schema = dataflow.view(view).expect("it is there").plan.schema();
            schema
                .fields()
                .iter()
                .map(|it| it.as_ref().clone())
                .collect()
        };
        let views = vec![
            ("watch", fields("watch"), vec![]),
            ("watch_incidents", fields("watch_incidents"), vec![]),
            ("incidents", fields("incidents"), rows),
            ("other_incidents", fields("other_incidents"), vec![]),
        ];
        Server::start(app_of(views, dataflow.clone())).await
    }

    fn keys(body: &Json) -> String {
        let all = body["incidents"].as_array().expect("a list").iter();
        all.map(|it| it["key"]["k"].as_str().expect("a key"))
            .collect()
    }

    #[tokio::test]
    async fn what_goes_on_comes_first_and_what_is_over_by_its_time() {
        let server = server().await;
        let reply = server.get("/api/v1/incidents").await;
        assert_eq!((reply.status, reply.header(EPOCH_HEADER)), (200, "100"));
        let body = reply.json();
        assert_eq!(keys(&body), "debca");
        assert_eq!(
            (&body["epoch"], &body["total"], &body["truncated"]),
            (&Json::from(100), &Json::from(5), &Json::from(false))
        );
        let expected = serde_json::json!({
            "detector": "watch", "view": "watch_incidents", "key": {"k": "a"}, "metric": "much",
            "incident": "0000000000000001", "series": "watch/much/a", "state": "closed",
            "since": "1970-01-01T00:01:00Z", "until": "1970-01-01T00:03:00Z", "closed_at": "1970-01-01T00:09:00Z",
            "windows": 2, "severity": 9.0, "peak_start": "1970-01-01T00:01:00Z",
            "observed": 40.0, "expected": 10.5, "low": 4.0, "high": 17.0,
            "summary": "much of a was 40",
            "acknowledged": null, "muted": null, "dismissed": null,
        });
        assert_eq!(body["incidents"][4], expected);
        let of = |k: &str| {
            let all = body["incidents"].as_array().expect("a list");
            all.iter()
                .find(|it| it["key"]["k"] == k)
                .expect("it is there")
                .clone()
        };
        let ana = serde_json::json!({"by": "ana", "at": "1970-01-01T00:09:00Z", "until": null, "note": "on it"});
        assert_eq!(of("e")["acknowledged"], ana);
        let bo = serde_json::json!({"by": "bo", "at": null, "until": "1970-01-01T01:39:00Z", "note": null});
        assert_eq!(of("b")["muted"], bo);
    }

    #[tokio::test]
    async fn parts_of_the_list_are_asked_for_by_state_detector_and_number() {
        let server = server().await;
        for (query, expected) in [
            ("state=open", "eb"),
            ("state=provisional&detector=watch", "d"),
            ("state=closed&limit=1", "c"),
            ("limit=2", "de"),
        ] {
            let body = server.get(&format!("/api/v1/incidents?{query}")).await;
            assert_eq!(keys(&body.json()), expected, "{query}");
        }
        let cut = server.get("/api/v1/incidents?state=closed&limit=1").await;
        let cut = cut.json();
        assert_eq!(
            (&cut["total"], &cut["truncated"]),
            (&Json::from(2), &Json::from(true))
        );
        for (query, code, hint) in [
            ("state=over", "bad_parameter", "provisional"),
            (
                "detector=watch_incidents",
                "unknown_detector",
                "there are: watch",
            ),
            ("limit=0", "bad_parameter", "limit"),
        ] {
            let reply = server.get(&format!("/api/v1/incidents?{query}")).await;
            assert_eq!(reply.code(), code, "{query}");
            let told = reply.text();
            assert!(told.contains(hint), "{query}: {told}");
        }
    }

    #[tokio::test]
    async fn what_is_no_action_is_refused() {
        let server = server().await;
        let path = "/api/v1/incidents/0000000000000001/actions";
        for (path, body, code) in [
            (path, "{}", "bad_body"),
            (path, r#"{"action": "forget", "by": "x"}"#, "bad_body"),
            (path, r#"{"action": "acknowledge", "by": " "}"#, "bad_body"),
            (path, r#"{"action": "mute", "by": "x"}"#, "bad_body"),
            (
                path,
                r#"{"action": "mute", "by": "x", "for": "soon"}"#,
                "bad_body",
            ),
            (
                path,
                r#"{"action": "dismiss", "by": "x", "for": "1 day"}"#,
                "bad_body",
            ),
            (
                path,
                r#"{"action": "dismiss", "by": "x"}"#,
                "unknown_source",
            ),
            (
                "/api/v1/incidents/none/actions",
                r#"{"action": "dismiss", "by": "x"}"#,
                "unknown_incident",
            ),
            ("/api/v1/sources/s/records", "{}", "unknown_source"),
            ("/api/v1/sources/none/records", "{}", "unknown_source"),
        ] {
            let head = format!("POST {path} HTTP/1.1\ncontent-type: application/json");
            let reply = server.ask(&head, body).await;
            assert_eq!(reply.code(), code, "{path} {body}: {}", reply.text());
        }
    }

    #[tokio::test]
    async fn views_tell_whose_they_are_by_their_plans() {
        let views = server().await.get("/api/v1/views").await.json();
        let of = |name: &str| -> Json {
            let all = views["views"].as_array().expect("a list");
            let view = all.iter().find(|it| it["name"] == name);
            view.expect("it is there")["detector"].clone()
        };
        let expected = |of: &str| {
            serde_json::json!({
                "of": of, "detector": "watch", "watches": "per_minute", "key": ["k"],
                "metrics": ["much", "c"], "measured": {"much": ["c"], "c": ["c"]}, "window_seconds": 60, "filters_records": true, "explain_by": [],
            })
        };
        assert_eq!(of("watch"), expected("scores"));
        assert_eq!(of("watch_incidents"), expected("incidents"));
        assert_eq!(of("other_incidents"), Json::Null);
    }

    #[tokio::test]
    async fn without_detectors_there_are_no_incidents() {
        let server = Server::start(app_of(vec![], Dataflow::default())).await;
        let body = server.get("/api/v1/incidents").await.json();
        assert_eq!((keys(&body).as_str(), &body["total"]), ("", &Json::from(0)));
        let reply = server.get("/api/v1/incidents?detector=traffic").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (404, "unknown_detector")
        );
        assert!(reply.text().contains("CREATE DETECTOR"), "{}", reply.text());
    }
}

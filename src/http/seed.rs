//! The endpoints and payloads that existing pages and scripts know, served from live views.

mod anomalies;
mod entry;
#[cfg(test)]
mod tests;

pub use anomalies::{ANOMALIES_MAX, Rows, anomalies};
pub use entry::EntryReader;

use super::App;
use super::page::Counted;
use super::parameters::Parameters;
use super::problem::Problem;
use super::sql::rows_json;
use super::status::{Health, SourceStatus};
use super::wire::RowWriter;
use super::{stream, topics};
use crate::model::Value;
use crate::plan::{Plan, Role};
use crate::sql::query::QueryError;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json as JsonBody, Response};
use entry::Entry;
use serde_json::{Value as Json, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// With less of a sliding range than this, speeds are those of reading.
const HELD_SECONDS_MIN: f64 = 1.0;

const LOGS_DEFAULT: usize = 100;
pub const LOGS_MAX: usize = 5_000;

pub async fn health(State(app): State<Arc<App>>) -> Response {
    let status = app.status.status();
    // What it reads in fact: files have no topic, and no broker that could be connected.
    let topics: Vec<&SourceStatus> = status
        .sources
        .iter()
        .filter(|it| it.topic.is_some())
        .collect();
    let topic = topics.first().and_then(|it| it.topic.clone());
    let connected = !topics.is_empty() && topics.iter().all(|it| it.connected);
    let body = json!({
        "status": status.overall,
        "topic": topic,
        "clients": app.stream_clients(),
        "kafkaConnected": connected,
        "metrics": metrics_of(&app),
        "components": status.components,
        "uptime": app.started.elapsed().as_secs(),
    });
    let code = match status.overall {
        Health::Down => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    (code, JsonBody(body)).into_response()
}

pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    JsonBody(metrics_of(&app)).into_response()
}

/// Figures that readers of the old payload take for numbers.
const NUMBERS: [&str; 5] = [
    "errorRate",
    "serverErrorRate",
    "avgResponseTime",
    "activeSessions",
    "totalErrors",
];

/// The figures as existing pages and scripts know them: of those they count on, an unknown one is 0.
pub fn metrics_of(app: &App) -> Json {
    let mut all = figures_of(app);
    for name in NUMBERS {
        if all[name].is_null() {
            all[name] = json!(0);
        }
    }
    all
}

/// The figures of the overview: the last sixty seconds, and all-time totals. One that is not known is null; those for
/// which the dataflow has no view or column, so that they never will be, are named in `not_counted`.
pub fn figures_of(app: &App) -> Json {
    let (now, total) = (app.page.now.as_ref(), app.page.total.as_ref());
    let minute = now.and_then(|it| only_row(app, &it.view));
    let totals = total.and_then(|it| only_row(app, &it.view));
    let of = |row: &Option<HashMap<String, Value>>, name: Option<&str>| {
        row.as_ref().and_then(|it| it.get(name?)?.as_f64())
    };
    let figure = |role: Role, statistic: &str| {
        let mut all = now?.figures.iter();
        let found =
            all.find(|it| it.role == role.name() && it.statistic.as_deref() == Some(statistic));
        found.map(|it| it.name.as_str())
    };
    let names = [
        ("errorRate", now.and_then(|it| it.failed.as_deref())),
        ("serverErrorRate", now.and_then(|it| it.grave.as_deref())),
        ("avgResponseTime", figure(Role::Duration, "mean")),
        ("p95ResponseTime", figure(Role::Duration, "p95")),
        ("bytesPerSec", figure(Role::Bytes, "sum")),
        ("requestsLastMinute", now.map(|it| it.count.as_str())),
        ("activeSessions", figure(Role::Count, "distinct")),
        ("totalErrors", total.and_then(|it| it.failed.as_deref())),
    ];
    let name = |figure: &str| names.iter().find(|it| it.0 == figure).and_then(|it| it.1);
    let requests = of(&minute, name("requestsLastMinute"));
    let share = |figure: &str| {
        let all = requests.filter(|it| 0.0 < *it)?;
        Some(rounded(of(&minute, name(figure))? / all * 100.0))
    };
    let counts = app.hub.totals();
    let read = app.hub.rates(60);
    let seconds = now.and_then(|it| held_seconds(app, it));
    let per_second = match (requests, seconds) {
        (Some(requests), Some(seconds)) => requests / seconds,
        (Some(_) | None, _) => read.0,
    };
    let bytes_per_second = of(&minute, name("bytesPerSec")).map(|it| match seconds {
        Some(seconds) => it / seconds,
        None => read.1,
    });
    let all_records = counts.iter().map(|it| it.records).sum::<u64>();
    let not_counted: Vec<&str> = names
        .iter()
        .filter(|it| it.1.is_none())
        .map(|it| it.0)
        .collect();
    json!({
        "eventsPerSec": rounded(per_second),
        "errorRate": share("errorRate"),
        "serverErrorRate": share("serverErrorRate"),
        "avgResponseTime": of(&minute, name("avgResponseTime")).map(|it| it.round() as i64),
        "p95ResponseTime": of(&minute, name("p95ResponseTime")),
        "bytesPerSec": bytes_per_second.map(rounded),
        "requestsLastMinute": requests,
        "activeSessions": of(&minute, name("activeSessions")).map(|it| it as i64),
        "dataProcessed": counts.iter().map(|it| it.bytes).sum::<u64>(),
        "totalRequests": of(&totals, total.map(|it| it.count.as_str())).map_or(all_records, |it| it as u64),
        "totalErrors": of(&totals, name("totalErrors")).map(|it| it as u64),
        "lastUpdate": app.hub.epoch().iso(),
        "epoch": app.hub.epoch(),
        "as_of": app.hub.epoch().iso(),
        "not_counted": not_counted,
    })
}

/// Seconds of event time that a sliding range holds in fact: its clock counts in steps, and it begins with the first record.
fn held_seconds(app: &App, now: &Counted) -> Option<f64> {
    let mut clock: Option<String> = None;
    app.dataflow.view(&now.view)?.plan.walk(&mut |node| {
        if let Plan::Aggregate { aggregation, .. } = node {
            clock = clock.take().or(aggregation.clocks.first().cloned());
        }
    });
    let size_us = now.window_seconds? * 1_000_000;
    let step_us = crate::sql::last_step_us(size_us);
    let held_us = app.hub.held_of_range_us(&clock?, size_us, step_us)?;
    Some(held_us as f64 / 1e6).filter(|it| HELD_SECONDS_MIN <= *it)
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The row of a view that has just one.
fn only_row(app: &App, view: &str) -> Option<HashMap<String, Value>> {
    let schema = app.hub.view(view)?.schema;
    let rows = app.hub.snapshot(view)?.rows;
    let row = rows.iter().next()?.0.clone();
    Some(
        schema
            .fields()
            .iter()
            .map(|it| it.name().clone())
            .zip(row.0.iter().cloned())
            .collect(),
    )
}

/// The newest entries: from the live tail, and where that does not hold enough, from the lake.
pub async fn logs(State(app): State<Arc<App>>, query: Parameters) -> Result<Response, Problem> {
    let limit = query.count("limit").unwrap_or(LOGS_DEFAULT);
    let Some(reader) = EntryReader::new(&app.dataflow) else {
        return Ok(JsonBody(json!([])).into_response());
    };
    let wanted = |name: &str, value: &str| {
        query
            .text(name)
            .is_none_or(|it| it.eq_ignore_ascii_case(value))
    };
    let (mut entries, mut partial) = (Vec::new(), false);
    app.hub.note_reader(Duration::ZERO);
    for batch in app.hub.tail_after(0).iter().filter(|it| reader.takes(it)) {
        let all = (0..batch.rows.num_rows()).map(|it| reader.read(&batch.rows, it));
        entries.extend(all.filter(|it| {
            wanted("level", &it.level)
                && wanted("source", it.source.as_str().unwrap_or_default())
                && wanted("endpoint", it.endpoint.as_str().unwrap_or_default())
        }));
    }
    if entries.len() < limit {
        let among = ["level", "source", "endpoint"].map(|name| (name, query.text(name)));
        let known: HashSet<_> = entries.iter().map(Entry::place).collect();
        match entry::newest(&app, &among, limit).await {
            Ok(stored) => {
                entries.extend(stored.into_iter().filter(|it| !known.contains(&it.place())));
            }
            Err(problem) => {
                tracing::warn!(%problem, "/api/logs answers from the live tail alone");
                partial = true;
            }
        }
    }
    entries.sort_by_cached_key(|it| it.order());
    let entries: Vec<Json> = entries.iter().take(limit).map(|it| it.to_json()).collect();
    let mut response = JsonBody(entries).into_response();
    if partial {
        let value = HeaderValue::from_static("true");
        response.headers_mut().insert(super::PARTIAL_HEADER, value);
    }
    Ok(response)
}

/// Real SQL behind the seed's payload.
pub async fn query(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let refuse = |status: StatusCode, text: String| {
        (status, JsonBody(json!({"error": text}))).into_response()
    };
    let text = serde_json::from_slice::<Json>(&body)
        .ok()
        .and_then(|it| it["query"].as_str().map(str::to_owned));
    let Some(text) = text.filter(|it| !it.trim().is_empty()) else {
        return refuse(StatusCode::BAD_REQUEST, "Query is required".to_owned());
    };
    match app.queries.run(&text, None).await {
        Ok(answer) => {
            let seconds = format!("{:.2}s", answer.elapsed.as_secs_f64());
            let body = app.queries.aside(move || {
                format!(
                    "{{\"results\":{},\"executionTime\":\"{seconds}\",\"truncated\":{}}}",
                    rows_json(&answer, &RowWriter::new(&answer.schema)),
                    answer.truncated
                )
            });
            match body.await {
                Ok(body) => super::sql::json_text(body),
                Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            }
        }
        Err(error) => {
            let status = match &error {
                QueryError::Rejected { .. } => StatusCode::BAD_REQUEST,
                QueryError::Busy { .. } | QueryError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
                QueryError::TimedOut { .. }
                | QueryError::TooMuchMemory { .. }
                | QueryError::TooMuchDisk { .. }
                | QueryError::RowTooLarge { .. }
                | QueryError::Cancelled
                | QueryError::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            };
            let hint = error
                .hint()
                .map(|it| format!(" ({it})"))
                .unwrap_or_default();
            refuse(status, format!("{error}{hint}"))
        }
    }
}

/// Log entries, metrics and anomalies as they come; with `Last-Event-ID`, from there on.
pub async fn events(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    let last = headers.get("last-event-id");
    let last = last.and_then(|it| it.to_str().ok()).map(str::to_owned);
    let topics = topics::of_events(&app, last.as_deref());
    stream::respond(app, topics, false)
}

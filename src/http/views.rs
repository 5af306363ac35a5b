//! Live views over HTTP: their list, their rows now or at an earlier epoch, and streams of their changes.

use super::entry::{EntryReader, tail_table};
use super::filter::Filter;
use super::problem::Problem;
use super::stream::{Topic, respond};
use super::topics::{HealthTopic, MetricsTopic, PipelineTopic, TailTopic, ViewTopic};
use super::wire::RowWriter;
use super::{App, EPOCH_HEADER, number};
use crate::model::Epoch;
use crate::view::{Heard, ViewInfo};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json as JsonBody, Response};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const ROWS_DEFAULT: usize = 1_000;
const ROWS_MAX: usize = 100_000;
/// Frames per second of a view, unless the client asks for more or fewer.
const HZ_DEFAULT: f64 = 10.0;
const HZ_MAX: f64 = 30.0;
const HZ_MIN: f64 = 0.1;
const TOPICS_MAX: usize = 32;

type Parameters = Query<HashMap<String, String>>;

pub async fn list(State(app): State<Arc<App>>) -> Response {
    let views: Vec<Json> = app
        .hub
        .views()
        .iter()
        .map(|(info, rows)| describe(&app, info, *rows))
        .collect();
    JsonBody(json!({"epoch": app.hub.epoch(), "views": views})).into_response()
}

fn describe(app: &App, info: &ViewInfo, rows: usize) -> Json {
    let spec = app.dataflow.view(&info.name);
    let column = |at: usize| info.schema.fields().get(at).map(|it| it.name().clone());
    json!({
        "name": info.name,
        "rows": rows,
        "columns": RowWriter::new(&info.schema).columns(),
        "sql": info.sql,
        "window_column": info.window.as_ref().and_then(|it| column(it.column)),
        "retention_seconds": spec.map(|it| it.retention_us / 1_000_000),
        "clock": spec.and_then(|it| it.clock.clone()),
        "stored": spec.map(|it| it.stored),
    })
}

pub async fn rows(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Response, Problem> {
    let info = find(&app, &name)?;
    let limit = number(&query, "limit", ROWS_DEFAULT, ROWS_MAX)?;
    let snapshot = match epoch_of(&query, "as_of")? {
        None => app.hub.snapshot(&name),
        Some(epoch) if app.hub.epoch() < epoch => {
            let text = format!(
                "epoch {epoch} is not complete yet; the newest is {}",
                app.hub.epoch()
            );
            return Err(Problem::bad_request("epoch_in_future", text));
        }
        Some(epoch) => match app.hub.as_of(&name, epoch) {
            Some(Err(oldest)) => {
                let text = format!("epoch {epoch} is no longer kept");
                return Err(Problem::new(StatusCode::GONE, "epoch_too_old", text)
                    .hint(format!(
                        "ask for epoch {oldest} or later, or query lake.{name} as it is stored"
                    ))
                    .with("oldest_epoch", oldest.0));
            }
            Some(Ok(snapshot)) => Some(snapshot),
            None => None,
        },
    };
    let Some(snapshot) = snapshot else {
        return Err(unknown(&app, &name));
    };
    let writer = RowWriter::new(&info.schema);
    let rows = writer.array(snapshot.rows.iter().take(limit).map(|it| (&it.0, it.1)));
    let total: i64 = snapshot.rows.iter().map(|it| it.1).sum();
    let epoch = snapshot.epoch;
    let body = format!(
        "{{\"view\":{},\"epoch\":{epoch},\"as_of\":\"{}\",\"columns\":{},\"rows\":{rows},\"total_rows\":{total},\"truncated\":{}}}",
        Json::from(name.as_str()),
        epoch.iso(),
        writer.columns(),
        limit < snapshot.rows.len(),
    );
    Ok((
        [(EPOCH_HEADER, epoch.to_string())],
        super::sql::json_text(body),
    )
        .into_response())
}

pub async fn changes(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let info = find(&app, &name)?;
    let filter = match query.get("where").filter(|it| !it.trim().is_empty()) {
        Some(text) => Some(
            Filter::parse(text, &info.schema)
                .map_err(|it| Problem::bad_request("bad_filter", it))?,
        ),
        None => None,
    };
    let topic = ViewTopic::new(&info, filter, every(&query)?, resume(&query, &headers)?);
    respond(app, vec![Box::new(topic)], true)
}

/// Several topics on one stream. Views need not be at one epoch, so `Last-Event-ID` resumes a stream with exactly one of them;
/// with several, `since.<view>` says where each goes on, and who says nothing starts with a snapshot. The topic `tail` may be
/// asked for more than once, as `tail.<label>`, each time with a filter of its own: `where.<topic>`.
pub async fn stream(
    State(app): State<Arc<App>>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let form = "topics are metrics, health, pipeline, tail, tail.<label> and view:<name>, separated by commas";
    let names: Vec<&str> = query
        .get("topics")
        .map(|it| {
            it.split(',')
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .collect()
        })
        .unwrap_or_default();
    if names.is_empty() || TOPICS_MAX < names.len() {
        return Err(Problem::bad_request(
            "bad_topics",
            format!("ask for 1 to {TOPICS_MAX} topics"),
        )
        .hint(form));
    }
    let every = every(&query)?;
    let views = names.iter().filter(|it| it.starts_with("view:")).count();
    let since = if views == 1 {
        resume(&query, &headers)?
    } else {
        None
    };
    let filters = filters(&query, &names)?;
    let mut topics: Vec<Box<dyn Topic>> = Vec::new();
    for name in names {
        let filter = filters.get(name).copied();
        topics.push(match name.split_once(':') {
            Some(("view", view)) => {
                let info = find(&app, view)?;
                let since = match heard_of(&query, &format!("since.{view}"))? {
                    Some(heard) => Some(heard),
                    None => since,
                };
                let filter = filter
                    .map(|it| Filter::parse(it, &info.schema))
                    .transpose()
                    .map_err(|it| Problem::bad_request("bad_filter", it).with("topic", name))?;
                Box::new(ViewTopic::new(&info, filter, every, since))
            }
            None if name == "metrics" => Box::new(MetricsTopic),
            None if name == "health" => Box::new(HealthTopic),
            None if name == "pipeline" => Box::new(PipelineTopic),
            None if name == "tail" || name.starts_with("tail.") => tail(&app, name, filter)?,
            _ => {
                return Err(Problem::not_found(
                    "unknown_topic",
                    format!("there is no topic `{name}`"),
                )
                .hint(form));
            }
        });
    }
    respond(app, topics, true)
}

/// Filters by topic. One that belongs to no topic is an error, or a client would see everything and believe it filtered.
fn filters<'a>(
    query: &'a HashMap<String, String>,
    names: &[&str],
) -> Result<HashMap<&'a str, &'a str>, Problem> {
    let mut filters = HashMap::new();
    for (key, text) in query.iter().filter(|it| !it.1.trim().is_empty()) {
        let topic = match (key.as_str(), key.strip_prefix("where.")) {
            ("where", _) => "tail",
            (_, Some(topic)) => topic,
            _ => continue,
        };
        let takes = topic.starts_with("tail") || topic.starts_with("view:");
        if !takes || !names.contains(&topic) {
            return Err(Problem::bad_request(
                "bad_filter",
                format!(
                    "`{key}` filters the topic {topic}, which is not asked for or takes no filter"
                ),
            )
            .hint(
                "`where` filters tail, `where.<topic>` any other, such as where.view:top_endpoints",
            ));
        }
        filters.insert(topic, text.as_str());
    }
    Ok(filters)
}

fn tail(app: &App, topic: &str, filter: Option<&str>) -> Result<Box<dyn Topic>, Problem> {
    let (Some((_, table)), Some(reader)) =
        (tail_table(&app.dataflow), EntryReader::new(&app.dataflow))
    else {
        return Err(Problem::not_found(
            "no_tail",
            "no table of the dataflow has an event time, so there is no tail to show",
        ));
    };
    let parse = |it: &str| {
        Filter::parse(it, &table.plan.schema())
            .map_err(|it| Problem::bad_request("bad_filter", it).with("topic", topic))
    };
    let filter = filter.map(parse).transpose()?;
    Ok(Box::new(TailTopic::new(topic, reader, filter)))
}

fn find(app: &App, name: &str) -> Result<ViewInfo, Problem> {
    app.hub.view(name).ok_or_else(|| unknown(app, name))
}

fn unknown(app: &App, name: &str) -> Problem {
    let names: Vec<String> = app.hub.views().into_iter().map(|it| it.0.name).collect();
    Problem::not_found("unknown_view", format!("there is no live view `{name}`"))
        .hint(format!("there are: {}", names.join(", ")))
}

fn every(query: &HashMap<String, String>) -> Result<Duration, Problem> {
    let hz = match query.get("hz") {
        None => HZ_DEFAULT,
        Some(text) => text
            .parse::<f64>()
            .ok()
            .filter(|it| it.is_finite() && 0.0 < *it)
            .ok_or_else(|| {
                Problem::bad_request(
                    "bad_parameter",
                    format!("hz={text} must be frames per second, {HZ_MIN} to {HZ_MAX}"),
                )
            })?,
    };
    Ok(Duration::from_secs_f64(1.0 / hz.clamp(HZ_MIN, HZ_MAX)))
}

/// What a client that comes back has heard: by its last frame, or as it says.
fn resume(query: &HashMap<String, String>, headers: &HeaderMap) -> Result<Option<Heard>, Problem> {
    let last = headers
        .get("last-event-id")
        .and_then(|it| it.to_str().ok())
        .filter(|it| !it.is_empty());
    match last {
        None => heard_of(query, "since"),
        Some(id) => id.parse().map(Some).map_err(|_| {
            Problem::bad_request(
                "bad_event_id",
                format!("Last-Event-ID {id:?} has not the form <generation>.<epoch>.<number>"),
            )
        }),
    }
}

fn heard_of(query: &HashMap<String, String>, name: &str) -> Result<Option<Heard>, Problem> {
    match query.get(name).filter(|it| !it.is_empty()) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Problem::bad_request(
                "bad_parameter",
                format!("{name}={text} must be <generation>.<epoch>, or the id of a frame"),
            )
        }),
    }
}

fn epoch_of(query: &HashMap<String, String>, name: &str) -> Result<Option<Epoch>, Problem> {
    match query.get(name).filter(|it| !it.is_empty()) {
        None => Ok(None),
        Some(text) => match text.split('.').next().and_then(|it| it.parse().ok()) {
            Some(epoch) => Ok(Some(Epoch(epoch))),
            None => Err(Problem::bad_request(
                "bad_parameter",
                format!("{name}={text} must be an epoch: milliseconds since 1970"),
            )),
        },
    }
}

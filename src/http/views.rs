//! Live views over HTTP: their list, their rows now or at an earlier epoch, and streams of their changes.

use super::entry::{Log, tail_table};
use super::filter::Filter;
use super::parameters::Parameters;
use super::problem::Problem;
use super::stream::{Topic, respond};
use super::topics::{StateTopic, TailTopic, ViewTopic};
use super::wire::RowWriter;
use super::{App, EPOCH_HEADER};
use crate::model::Epoch;
use crate::sql::near::{did_you_mean, nearest};
use crate::view::{Heard, Snapshot, ViewInfo};
use arrow::datatypes::DataType;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json as JsonBody, Response};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const ROWS_DEFAULT: usize = 1_000;
pub const ROWS_MAX: usize = 100_000;
/// Frames per second of a view, unless the client asks for more or fewer.
const HZ_DEFAULT: f64 = 10.0;
const TOPICS_MAX: usize = 32;

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
        "columns": super::catalog::columns(&app.dataflow, &info.name, &info.schema),
        "comment": super::catalog::comment(&app.dataflow, &info.name),
        "sql": info.sql,
        "order": info.order.iter().map(|it| json!({"column": column(it.column), "descending": it.descending, "nulls_first": it.nulls_first})).collect::<Vec<_>>(),
        "window_column": info.window.as_ref().and_then(|it| column(it.column)),
        "retention_seconds": spec.map(|it| it.retention_us / 1_000_000),
        "clocks": spec.map(|it| it.clocks.clone()).unwrap_or_default(),
        "stored": spec.map(|it| it.stored),
        "record_columns": record_columns(app, info),
        "detector": spec.and_then(|it| super::incidents::detector_of(&app.dataflow, it)),
    })
}

/// The columns of a view that the table of the log has too, with the same type.
fn record_columns<'a>(app: &App, info: &'a ViewInfo) -> Vec<&'a String> {
    let Some((_, table)) = tail_table(&app.dataflow) else {
        return Vec::new();
    };
    let records = table.plan.schema();
    let is_one = |name: &str, kind: &DataType| {
        let found = records.column_with_name(name);
        found.is_some_and(|it| it.1.data_type() == kind)
    };
    let fields = info.schema.fields().iter();
    fields
        .filter(|it| is_one(it.name(), it.data_type()))
        .map(|it| it.name())
        .collect()
}

pub async fn rows(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    query: Parameters,
) -> Result<Response, Problem> {
    let info = find(&app, &name)?;
    let limit = query.count("limit").unwrap_or(ROWS_DEFAULT);
    let snapshot = match query.epoch("as_of") {
        None => app.hub.snapshot(&name),
        Some(epoch) if app.hub.epoch() < epoch => {
            let text = format!(
                "epoch {epoch} is not complete yet; the newest is {}",
                app.hub.epoch()
            );
            return Err(Problem::bad_request("epoch_in_future", text));
        }
        Some(epoch) => match as_of(&app, &name, epoch).await? {
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
    let epoch = snapshot.epoch;
    let write = move || {
        let writer = RowWriter::new(&info.schema);
        let rows = writer.array(snapshot.in_order().take(limit));
        let total: i64 = snapshot.rows.iter().map(|it| it.1).sum();
        format!(
            "{{\"view\":{},\"epoch\":{epoch},\"as_of\":\"{}\",\"columns\":{},\"rows\":{rows},\"total_rows\":{total},\"truncated\":{}}}",
            Json::from(name.as_str()),
            epoch.iso(),
            writer.columns(),
            limit < snapshot.rows.len(),
        )
    };
    let body = app.workers.apart(write).await?;
    Ok((
        [(EPOCH_HEADER, epoch.to_string())],
        super::sql::json_text(body),
    )
        .into_response())
}

/// Rows at an earlier epoch: the present ones without what came since, which may be many changes.
async fn as_of(
    app: &App,
    name: &str,
    epoch: Epoch,
) -> Result<Option<Result<Snapshot, Epoch>>, Problem> {
    let (hub, name) = (Arc::clone(&app.hub), name.to_owned());
    app.workers.apart(move || hub.as_of(&name, epoch)).await
}

pub async fn changes(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    query: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let info = find(&app, &name)?;
    let filter = match query.text("where").filter(|it| !it.trim().is_empty()) {
        Some(text) => Some(Filter::parse(text, &info.schema)?),
        None => None,
    };
    let topic = ViewTopic::new(&info, filter, every(&query), resume(&query, &headers)?);
    respond(app, vec![Box::new(topic)], true)
}

/// Several topics on one stream. Views need not be at one epoch, so `Last-Event-ID` resumes a stream with exactly one of them;
/// with several, `since.<view>` says where each goes on, and who says nothing starts with a snapshot. The topic `tail` may be
/// asked for more than once, as `tail.<label>`, each time with a filter of its own: `where.<topic>`.
pub async fn stream(
    State(app): State<Arc<App>>,
    query: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let form = "topics are metrics, health, pipeline, tail, tail.<label> and view:<name>, separated by commas";
    let names: Vec<&str> = query
        .text("topics")
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
    let every = every(&query);
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
                let since = query.heard(&format!("since.{view}")).or(since);
                let filter = filter
                    .map(|it| Filter::parse(it, &info.schema))
                    .transpose()
                    .map_err(|it| Problem::from(it).with("topic", name))?;
                Box::new(ViewTopic::new(&info, filter, every, since))
            }
            None if name == "metrics" => StateTopic::metrics(),
            None if name == "health" => StateTopic::health(),
            None if name == "pipeline" => StateTopic::pipeline(),
            None if name == "tail" || name.starts_with("tail.") => {
                let columns = match name {
                    "tail" => query.text("columns"),
                    _ => query.text(&format!("columns.{name}")),
                };
                tail(&app, name, filter, columns)?
            }
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
    query: &'a Parameters,
    names: &[&str],
) -> Result<HashMap<&'a str, &'a str>, Problem> {
    let mut filters = HashMap::new();
    let of_tail = query.text("where").map(|text| ("where", "tail", text));
    let of_others = query
        .texts("where.")
        .map(|(topic, text)| ("where.", topic, text));
    for (key, topic, text) in of_tail
        .into_iter()
        .chain(of_others)
        .filter(|it| !it.2.trim().is_empty())
    {
        let takes = topic.starts_with("tail") || topic.starts_with("view:");
        if !takes || !names.contains(&topic) {
            return Err(Problem::bad_request(
                "bad_filter",
                format!(
                    "`{key}…` filters the topic {topic}, which was not requested or cannot be filtered"
                ),
            )
            .hint(
                "`where` filters tail, `where.<topic>` any other, such as where.view:top_endpoints",
            ));
        }
        filters.insert(topic, text);
    }
    Ok(filters)
}

fn tail(
    app: &App,
    topic: &str,
    filter: Option<&str>,
    columns: Option<&str>,
) -> Result<Box<dyn Topic>, Problem> {
    let Some(log) = Log::of(&app.dataflow) else {
        return Err(Problem::not_found(
            "no_tail",
            "no table of the dataflow has an event time, so there is no tail to show",
        ));
    };
    let parse = |it: &str| {
        Filter::parse(it, &log.schema).map_err(|it| Problem::from(it).with("topic", topic))
    };
    let filter = filter.map(parse).transpose()?;
    let columns = log.chosen(columns).map_err(|it| it.with("topic", topic))?;
    let reader = log.reader(&log.schema, &columns);
    Ok(Box::new(TailTopic::new(topic, reader, &columns, filter)))
}

pub(super) fn find(app: &App, name: &str) -> Result<ViewInfo, Problem> {
    app.hub.view(name).ok_or_else(|| unknown(app, name))
}

fn unknown(app: &App, name: &str) -> Problem {
    let names: Vec<String> = app.hub.views().into_iter().map(|it| it.0.name).collect();
    Problem::not_found("unknown_view", format!("there is no live view `{name}`"))
        .hint(meant(name, &names))
}

/// Which view may be meant by a name that none has; else which there are.
fn meant(name: &str, names: &[String]) -> String {
    let near = nearest(name, names.iter().map(String::as_str));
    did_you_mean(&near).unwrap_or_else(|| format!("there are: {}", names.join(", ")))
}

fn every(query: &Parameters) -> Duration {
    Duration::from_secs_f64(1.0 / query.rate("hz").unwrap_or(HZ_DEFAULT))
}

/// What a client that comes back has heard: by its last frame, or as it says.
fn resume(query: &Parameters, headers: &HeaderMap) -> Result<Option<Heard>, Problem> {
    let last = headers
        .get("last-event-id")
        .and_then(|it| it.to_str().ok())
        .filter(|it| !it.is_empty());
    match last {
        None => Ok(query.heard("since")),
        Some(id) => id.parse().map(Some).map_err(|_| {
            Problem::bad_request(
                "bad_event_id",
                format!("Last-Event-ID {id:?} has not the form <generation>.<epoch>.<number>"),
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_that_is_not_there_may_be_misspelled() {
        let names = ["last_minute", "totals"].map(str::to_owned);
        assert_eq!(
            meant("last_minute_by_status", &names),
            "did you mean `last_minute`?"
        );
        assert_eq!(meant("nothing", &names), "there are: last_minute, totals");
    }
}

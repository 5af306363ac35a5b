//! Ad-hoc SQL over HTTP: JSON by default; JSON lines, CSV, Arrow and Parquet on request; cancelled by name.
//!
//! An answer in JSON is for reading: it has a limit of rows, and says whether there were more. A client that asks for a file format, or says
//! `export`, gets all rows, as they come ([`export`]). A query that is cancelled answers with the rows it has so far, and one whose time is up as
//! well, unless it is an export: `partial`, in JSON and in the header `tidelake-partial`, says that these are not all.

mod export;
mod format;

#[cfg(test)]
mod tests;

pub use format::{Ending as AnswerEnding, Format as AnswerFormat, Writer as AnswerWriter};

use super::catalog::of_answer;
use super::problem::Problem;
use super::wire::RowWriter;
use super::{App, EPOCH_HEADER, PARTIAL_HEADER};
use crate::auth::Caller;
use crate::model::{Epoch, rows_of_batch};
use crate::sql::query::{Answer, SAMPLES, SAMPLES_TABLE};
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json as JsonBody, Response};
use format::{Ending, Format};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of an answer as a JSON text.
pub fn rows_json(answer: &Answer, writer: &RowWriter) -> String {
    let mut text = String::from("[");
    for row in answer.batches.iter().flat_map(rows_of_batch) {
        if 1 < text.len() {
            text.push(',');
        }
        writer.write(&row, &mut text);
    }
    text.push(']');
    text
}

/// A body that is JSON already.
pub fn json_text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    query: String,
    /// At most so many rows.
    limit: Option<u64>,
    /// Give all rows, as they come: for answers that are kept and not read.
    export: Option<bool>,
    /// Answer as of this epoch: live views as they were while their changes are kept, else what the lake had stored of them then.
    as_of: Option<u64>,
}

pub async fn run(
    caller: Option<Extension<Caller>>,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let request: SqlRequest = serde_json::from_slice(&body).map_err(|it| {
        Problem::bad_request(
            "bad_body",
            format!("the request body could not be read: {it}"),
        )
        .hint("send {\"query\": \"SELECT …\"}; limit, export and as_of are possible, too")
    })?;
    let sql = request.query.as_str();
    // A limit that no machine can count to is none.
    let limit = request.limit.and_then(|it| usize::try_from(it).ok());
    let as_of = request.as_of.map(Epoch);
    let id = match headers.get("x-query-id").map(|it| it.to_str()) {
        None => uuid::Uuid::new_v4().to_string(),
        Some(Ok(id)) => id.to_owned(),
        Some(Err(_)) => {
            let text = "X-Query-Id has characters that a name in an address cannot have";
            return Err(Problem::bad_request("bad_query_id", text)
                .hint("take letters, digits and - of ASCII, for example a UUID"));
        }
    };
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|it| it.to_str().ok())
        .and_then(Format::of);
    let is_export = request.export == Some(true);
    if let Some(format) = accepted.or_else(|| is_export.then(|| Format::Json(id.clone()))) {
        let running = app
            .queries
            .export_at(&own(&caller, &id), sql, limit, as_of)
            .await?;
        return export::respond(&app, running, format).await;
    }
    let answer = app
        .queries
        .run_at(&own(&caller, &id), sql, limit, as_of)
        .await?;
    let head = [
        (EPOCH_HEADER, answer.epoch.to_string()),
        (PARTIAL_HEADER, answer.partial.is_some().to_string()),
    ];
    let dataflow = Arc::clone(&app.dataflow);
    let body = app
        .queries
        .aside(move || {
            let writer = RowWriter::new(&answer.schema);
            let columns = of_answer(&dataflow, &answer.tables, writer.names(), &answer.schema);
            let columns = json!(columns);
            let rows = rows_json(&answer, &writer);
            let ending = Ending {
                epoch: answer.epoch,
                elapsed: answer.elapsed,
                truncated: answer.truncated,
                partial: answer.partial,
            };
            format!(
                "{{\"columns\":{columns},\"rows\":{rows},{}",
                ending.json(&id)
            )
        })
        .await?;
    Ok((head, json_text(body)).into_response())
}

/// A query is named by who asks: nobody ends or sees that of another.
fn own(caller: &Option<Extension<Caller>>, id: &str) -> String {
    match caller {
        // No name has a slash.
        Some(Extension(caller)) => format!("{}/{id}", caller.name),
        None => id.to_owned(),
    }
}

/// Ends a running query, which then answers with the rows it has so far.
pub async fn cancel(
    caller: Option<Extension<Caller>>,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    match app.queries.cancel(&own(&caller, &id)) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(
            "unknown_query",
            format!("no query {id} is running"),
        )),
    }
}

/// The samples for which the stored log has the columns.
fn samples_over(logs: &arrow::datatypes::Schema) -> Vec<Json> {
    let has = |it: &&str| logs.column_with_name(it).is_some();
    let fitting = SAMPLES.iter().filter(|it| it.columns.iter().all(has));
    fitting
        .map(|it| json!({"name": it.name, "query": it.query}))
        .collect()
}

/// Everything that can be queried, with columns.
pub async fn tables(State(app): State<Arc<App>>) -> Response {
    let dataflow = &app.dataflow;
    let columns = |name: &str, schema: &arrow::datatypes::Schema| {
        super::catalog::columns(dataflow, name, schema)
    };
    let comment = |name: &str| super::catalog::comment(dataflow, name);
    let mut all: Vec<Json> = app
        .hub
        .views()
        .into_iter()
        .map(|(info, rows)| json!({"name": info.name, "kind": "live view", "columns": columns(&info.name, &info.schema), "rows": rows, "comment": comment(&info.name)}))
        .collect();
    let mut samples = Vec::new();
    let mut stored = BTreeMap::new();
    for name in app.queries.lake().names() {
        if let Ok(schema) = app.queries.lake().schema(name).await {
            if name == SAMPLES_TABLE {
                samples = samples_over(&schema);
            }
            all.push(json!({"name": format!("lake.{name}"), "kind": "lake table", "columns": columns(name, &schema), "comment": comment(name)}));
            stored.insert(name.clone(), schema);
        }
    }
    for (name, schema) in app.queries.plain_views(stored).await {
        all.push(json!({"name": name, "kind": "plain view", "columns": columns(&name, &schema), "comment": comment(&name)}));
    }
    JsonBody(json!({"tables": all, "functions": app.queries.functions(), "samples": samples}))
        .into_response()
}

//! Ad-hoc SQL over HTTP: JSON by default, CSV on request, cancelled by name.

use super::problem::Problem;
use super::wire::{RowWriter, type_name, write_csv};
use super::{App, EPOCH_HEADER};
use crate::model::rows_of_batch;
use crate::sql::query::{Answer, QueryError};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json as JsonBody, Response};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Columns and rows of an answer as JSON texts.
pub fn rows_json(answer: &Answer) -> (String, String) {
    let writer = RowWriter::new(&answer.schema);
    let mut text = String::from("[");
    for row in answer.batches.iter().flat_map(rows_of_batch) {
        if 1 < text.len() {
            text.push(',');
        }
        writer.write(&row, &mut text);
    }
    text.push(']');
    (writer.columns().to_string(), text)
}

/// A body that is JSON already.
pub fn json_text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

pub async fn run(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let request: Json = serde_json::from_slice(&body).map_err(|it| {
        Problem::bad_request("bad_body", format!("the body is not JSON: {it}"))
            .hint("send {\"query\": \"SELECT …\"}")
    })?;
    let Some(sql) = request["query"].as_str().filter(|it| !it.trim().is_empty()) else {
        return Err(Problem::bad_request("bad_body", "there is no query")
            .hint("send {\"query\": \"SELECT …\"}"));
    };
    let limit = request["limit"]
        .as_u64()
        .and_then(|it| usize::try_from(it).ok());
    let id = headers
        .get("x-query-id")
        .and_then(|it| it.to_str().ok())
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let answer = app.queries.run_as(&id, sql, limit).await.map_err(problem)?;
    let epoch = answer.epoch.to_string();
    let wants_csv = headers
        .get(header::ACCEPT)
        .and_then(|it| it.to_str().ok())
        .is_some_and(|it| it.contains("text/csv"));
    if wants_csv {
        let mut text = String::new();
        let names: Vec<crate::model::Value> = answer
            .schema
            .fields()
            .iter()
            .map(|it| crate::model::Value::Text(it.name().as_str().into()))
            .collect();
        write_csv(names.iter(), &mut text);
        for row in answer.batches.iter().flat_map(rows_of_batch) {
            write_csv(row.0.iter(), &mut text);
        }
        return Ok((
            [
                (
                    header::CONTENT_TYPE.as_str(),
                    "text/csv; charset=utf-8".to_owned(),
                ),
                (EPOCH_HEADER, epoch),
            ],
            text,
        )
            .into_response());
    }
    let (columns, rows) = rows_json(&answer);
    let body = format!(
        "{{\"columns\":{columns},\"rows\":{rows},\"epoch\":{epoch},\"elapsed_ms\":{:.3},\"truncated\":{},\"query_id\":{}}}",
        answer.elapsed.as_secs_f64() * 1000.0,
        answer.truncated,
        json!(id)
    );
    Ok(([(EPOCH_HEADER, epoch)], json_text(body)).into_response())
}

pub async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    match app.queries.cancel(&id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(
            "unknown_query",
            format!("no query {id} is running"),
        )),
    }
}

/// Everything that can be queried, with columns.
pub async fn tables(State(app): State<Arc<App>>) -> Response {
    let columns = |schema: &arrow::datatypes::Schema| -> Json {
        schema
            .fields()
            .iter()
            .map(|it| json!({"name": it.name(), "type": type_name(it.data_type())}))
            .collect()
    };
    let mut all: Vec<Json> = app
        .hub
        .views()
        .into_iter()
        .map(|(info, rows)| json!({"name": info.name, "kind": "live view", "columns": columns(&info.schema), "rows": rows}))
        .collect();
    for name in app.queries.lake_tables() {
        if let Ok(schema) = app.queries.lake_schema(&name).await {
            all.push(json!({"name": format!("lake.{name}"), "kind": "lake table", "columns": columns(&schema)}));
        }
    }
    JsonBody(json!({"tables": all})).into_response()
}

fn problem(error: QueryError) -> Problem {
    let hint = error.hint();
    let text = error.to_string();
    let problem = match &error {
        QueryError::Rejected { line, column, .. } => {
            let mut problem = Problem::bad_request("query_rejected", text);
            if let Some(line) = line {
                problem = problem.with("line", *line);
            }
            if let Some(column) = column {
                problem = problem.with("column", *column);
            }
            problem
        }
        QueryError::TimedOut { .. } => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "query_timed_out", text)
        }
        QueryError::TooMuchMemory { .. } => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "query_too_large", text)
        }
        QueryError::Cancelled => Problem::new(StatusCode::CONFLICT, "query_cancelled", text),
        QueryError::Failed { .. } => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "query_failed", text)
        }
    };
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

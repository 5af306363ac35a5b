//! Ad-hoc SQL over HTTP: JSON by default; JSON lines, CSV, Arrow and Parquet on request; cancelled by name.
//!
//! Whoever asks for a file format, or says `export`, gets as many rows as an export may have. An answer that was cut off says so
//! in the header `tidelake-truncated`. A query that is cancelled answers with the rows it has so far, and one
//! whose time is up as well, unless it is an export: the header `tidelake-partial` and, in JSON, `partial` say that these are not all.

#[cfg(test)]
mod tests;

use super::problem::Problem;
use super::wire::{RowWriter, type_name, write_csv};
use super::{App, EPOCH_HEADER, PARTIAL_HEADER, TRUNCATED_HEADER};
use crate::model::rows_of_batch;
use crate::sql::query::{Answer, Cut};
use arrow::ipc::writer::StreamWriter;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json as JsonBody, Response};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
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
    let format = headers
        .get(header::ACCEPT)
        .and_then(|it| it.to_str().ok())
        .and_then(Format::of);
    let export = format.is_some() || request["export"] == json!(true);
    let asked = async {
        match export {
            true => app.queries.export_as(&id, sql, limit).await,
            false => app.queries.run_as(&id, sql, limit).await,
        }
    };
    let mut ending = app.ending.subscribe();
    let answer = tokio::select! {
        answer = asked => answer?,
        _ = ending.wait_for(|it| *it) => {
            let stopping = "the server is stopping, so the query was ended";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", stopping)
                .hint("ask again when the server runs again"));
        }
    };
    let epoch = answer.epoch.to_string();
    if let Some(format) = format {
        let body = format.write(&answer).map_err(|it| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "export_failed", it)
                .hint("cast columns of unusual types to TEXT, or ask for another format")
        })?;
        let head = [
            (
                header::CONTENT_TYPE.as_str(),
                format.content_type().to_owned(),
            ),
            (EPOCH_HEADER, epoch),
            (TRUNCATED_HEADER, answer.truncated.to_string()),
            (PARTIAL_HEADER, answer.partial.is_some().to_string()),
        ];
        return Ok((head, body).into_response());
    }
    let (columns, rows) = rows_json(&answer);
    let body = format!(
        "{{\"columns\":{columns},\"rows\":{rows},\"epoch\":{epoch},\"elapsed_ms\":{:.3},\"truncated\":{},\"partial\":{},\"partial_reason\":{},\"query_id\":{}}}",
        answer.elapsed.as_secs_f64() * 1000.0,
        answer.truncated,
        answer.partial.is_some(),
        json!(answer.partial.map(Cut::word)),
        json!(id)
    );
    let head = [
        (EPOCH_HEADER, epoch),
        (PARTIAL_HEADER, answer.partial.is_some().to_string()),
    ];
    Ok((head, json_text(body)).into_response())
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
    Arrow,
    Parquet,
}

impl Format {
    /// The first of ours that a client accepts; nothing if it is content with JSON.
    fn of(accept: &str) -> Option<Format> {
        let all = [
            Format::Csv,
            Format::JsonLines,
            Format::Arrow,
            Format::Parquet,
        ];
        accept.split(',').find_map(|it| {
            let wanted = it.split(';').next().unwrap_or_default().trim();
            all.into_iter()
                .find(|it| it.content_type().split(';').next() == Some(wanted))
        })
    }

    fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8",
            Format::JsonLines => "application/x-ndjson",
            Format::Arrow => "application/vnd.apache.arrow.stream",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }

    fn write(self, answer: &Answer) -> Result<Vec<u8>, String> {
        let rows = answer.batches.iter().flat_map(rows_of_batch);
        let mut text = String::new();
        match self {
            Format::Csv => {
                let names: Vec<crate::model::Value> = answer
                    .schema
                    .fields()
                    .iter()
                    .map(|it| crate::model::Value::Text(it.name().as_str().into()))
                    .collect();
                write_csv(names.iter(), &mut text);
                for row in rows {
                    write_csv(row.0.iter(), &mut text);
                }
                Ok(text.into_bytes())
            }
            Format::JsonLines => {
                let writer = RowWriter::new(&answer.schema);
                for row in rows {
                    writer.write(&row, &mut text);
                    text.push('\n');
                }
                Ok(text.into_bytes())
            }
            Format::Arrow => {
                let mut writer = StreamWriter::try_new(Vec::new(), &answer.schema)
                    .map_err(|it| it.to_string())?;
                for batch in &answer.batches {
                    writer.write(batch).map_err(|it| it.to_string())?;
                }
                writer.into_inner().map_err(|it| it.to_string())
            }
            Format::Parquet => {
                let settings = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let mut writer =
                    ArrowWriter::try_new(Vec::new(), answer.schema.clone(), Some(settings))
                        .map_err(|it| it.to_string())?;
                for batch in &answer.batches {
                    writer.write(batch).map_err(|it| it.to_string())?;
                }
                writer.into_inner().map_err(|it| it.to_string())
            }
        }
    }
}

/// Ends a running query, which then answers with the rows it has so far.
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
    for (name, _) in &app.dataflow.aliases {
        all.push(json!({"name": name, "kind": "plain view", "columns": []}));
    }
    JsonBody(json!({"tables": all, "functions": app.queries.functions()})).into_response()
}

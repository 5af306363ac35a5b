//! `POST /api/v1/sources/{source}/records`: records of a source with `connector = 'http'`. The answer comes when a commit has them.

use super::App;
use super::problem::Problem;
use crate::auth::Caller;
use crate::source::push::{Inbox, NotTaken};
use crate::sql::incidents::ACTIONS;
use axum::Json as JsonBody;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of one request.
const RECORDS_MAX: usize = 10_000;
/// A commit that takes longer is told, not waited for.
const COMMITTED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where records are, and that a commit has them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PushedRecords {
    pub source: String,
    pub records: usize,
    pub partition: i32,
    /// Of the first one; the others follow.
    pub first_offset: i64,
}

pub async fn records(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    caller: Option<Extension<Caller>>,
    body: Bytes,
) -> Result<JsonBody<PushedRecords>, Problem> {
    let inbox = inbox(&app, &source)?;
    if caller.is_some() && source == ACTIONS {
        let text = "actions on incidents are noted for the user who is signed in, and cannot be pushed as records";
        return Err(Problem::new(StatusCode::FORBIDDEN, "not_by_records", text)
            .hint("use POST /api/v1/incidents/{incident}/actions"));
    }
    let records = records_of(&body)?;
    push(&inbox, &source, records).await.map(JsonBody)
}

/// The inbox of a source.
fn inbox(app: &App, source: &str) -> Result<Inbox, Problem> {
    if let Some(inbox) = app.inboxes.get(source) {
        return Ok(inbox.clone());
    }
    let names: Vec<&str> = app.inboxes.keys().map(String::as_str).collect();
    let (text, hint) = match app.dataflow.source(source) {
        Some(_) => (
            format!("source `{source}` is read from elsewhere"),
            "records are pushed into sources with connector = 'http'".to_owned(),
        ),
        None => (
            format!("there is no source `{source}`"),
            match names.is_empty() {
                true => "the dataflow has none with connector = 'http'".to_owned(),
                false => format!("records can be pushed into {}", names.join(", ")),
            },
        ),
    };
    Err(Problem::not_found("unknown_source", text).hint(hint))
}

/// The records of a body: an array of JSON, or a record per line.
fn records_of(body: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|it| Problem::bad_request("bad_body", format!("the body is no UTF-8: {it}")))?;
    let text = text.trim();
    let records: Vec<Vec<u8>> = match text.starts_with('[') {
        true => {
            let all: Vec<&RawValue> = serde_json::from_str(text).map_err(|it| {
                let text = format!("the body is no array of JSON: {it}");
                Problem::bad_request("bad_body", text)
            })?;
            // A record is one line.
            let line = |it: &RawValue| it.get().replace(['\n', '\r'], " ").into_bytes();
            all.into_iter().map(line).collect()
        }
        false => {
            let lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
            lines.map(|it| it.as_bytes().to_vec()).collect()
        }
    };
    match records.len() {
        0 => Err(Problem::bad_request("bad_body", "the body has no records")
            .hint("send a JSON object per line, or an array of them")),
        1..=RECORDS_MAX => Ok(records),
        more => Err(Problem::bad_request(
            "too_many_records",
            format!("{more} records; a request takes at most {RECORDS_MAX}"),
        )),
    }
}

/// Pushes records into a source and waits until a commit has them.
pub async fn push(
    inbox: &Inbox,
    source: &str,
    records: Vec<Vec<u8>>,
) -> Result<PushedRecords, Problem> {
    let count = records.len();
    inbox.check(&records).map_err(|(at, reason)| {
        let text = format!("record {} of {count}: {reason}", at + 1);
        Problem::bad_request("bad_record", text).hint("no record of this request was accepted")
    })?;
    let place = inbox.push(records).await.map_err(|it| match it {
        NotTaken::Full => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_requests_wait",
            format!("source `{source}`: {it}"),
        )
        .hint("try again in a moment"),
        NotTaken::Ended => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            format!("source `{source}`: {it}"),
        ),
    })?;
    let began = Instant::now();
    while !inbox.is_committed(place) {
        if COMMITTED_WITHIN < began.elapsed() {
            let text = format!(
                "the records were read, and no commit has them after {} s",
                COMMITTED_WITHIN.as_secs()
            );
            let problem = Problem::new(StatusCode::GATEWAY_TIMEOUT, "not_committed", text);
            return Err(problem.hint("they are lost if the process ends before its next commit; see the lake in /api/v1/status"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(PushedRecords {
        source: source.to_owned(),
        records: count,
        partition: place.partition.0,
        first_offset: place.first.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str) -> Result<Vec<String>, &'static str> {
        let records = records_of(body.as_bytes()).map_err(|it| it.code)?;
        let text = |it: Vec<u8>| String::from_utf8(it).expect("text");
        Ok(records.into_iter().map(text).collect())
    }

    #[test]
    fn a_body_is_an_array_or_lines() {
        assert_eq!(
            texts("{\"a\": 1}\r\n\n {\"a\": 2}\n").unwrap(),
            ["{\"a\": 1}", "{\"a\": 2}"]
        );
        assert_eq!(texts(" [{\"a\":\n1}, 2]").unwrap(), ["{\"a\": 1}", "2"]);
        assert_eq!(texts(" \n"), Err("bad_body"));
        assert_eq!(texts("[1,"), Err("bad_body"));
        assert_eq!(texts("[]"), Err("bad_body"));
        assert_eq!(
            texts(&"1\n".repeat(RECORDS_MAX + 1)),
            Err("too_many_records")
        );
    }
}

//! Dead letters: records that could not be decoded, by reason and one by one, and their second try.
//!
//! ```text
//! GET  /api/v1/dead-letters                              kinds of reasons with counts, and the replays that wait
//! GET  /api/v1/dead-letters/records                      the letters themselves, newest first
//! POST /api/v1/sources/{source}/dead-letters/retry       dry run: how many decode now. Else: leaves a request
//! DELETE /api/v1/dead-letters/requests/{request}         takes a request back that no start has done yet
//! ```
//!
//! A request is done at the next start, in one commit, as `tidelake replay` leaves it too: see [`replay`]. A running pipeline does not do it, since
//! records come into views outside of the stream only while a lake is filled; a [restart](super::restart) in its place is such a start. What is here
//! is what the newest commit holds.

use super::App;
use super::filter::quoted_name;
use super::parameters::Parameters;
use super::problem::Problem;
use crate::coordinator::Error;
use crate::coordinator::replay::{self, KIND_OF_REASON_SQL, Preview, Request};
use crate::lake::Store;
use crate::model::{Epoch, Value, rows_of_batch, wall_ms};
use crate::plan::{EPOCH_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::sync::Arc;

/// Kinds of reasons that are listed.
const KINDS_MAX: usize = 200;
const LETTERS_DEFAULT: usize = 50;
pub const LETTERS_MAX: usize = 200;
/// So much of a letter is shown.
const SHOWN_BYTES_MAX: usize = 4 << 10;
const FORM: &str =
    "send {\"dry_run\": true}, and {\"kind\": \"…\"} for the letters of one kind only";

/// Records that could not be decoded, as of the newest commit.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct DeadLetters {
    pub letters: u64,
    /// Most frequent first.
    pub kinds: Vec<DeadLetterKind>,
    /// Whether there are more kinds than are listed.
    pub truncated: bool,
    /// Replays that the next start will do.
    pub requests: Vec<ReplayRequest>,
    /// Everything up to this epoch is in; null before the first commit.
    pub committed_epoch: Option<u64>,
    /// The query behind it.
    pub sql: String,
}

/// Letters of one source whose reasons differ in numbers and quoted values only.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DeadLetterKind {
    pub source: String,
    /// The reason, with `#` for numbers.
    pub kind: String,
    /// One of the reasons as it is.
    pub example: String,
    pub letters: u64,
    /// When the first and the last were read.
    pub first: String,
    pub last: String,
}

/// A replay that waits for the next start.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReplayRequest {
    pub id: String,
    /// Of this source; of all if null.
    pub source: Option<String>,
    /// Of this kind of reason only.
    pub kind: Option<String>,
    /// Whose reason holds this text only.
    pub reason: Option<String>,
    pub asked: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DeadLetterPage {
    /// Newest first.
    pub letters: Vec<DeadLetterRecord>,
    /// Ask for the next page with it; there is none if there are no more.
    pub next_cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeadLetterRecord {
    pub source: String,
    pub partition: i32,
    pub offset: i64,
    /// The epoch it was read in, and that as a time.
    pub epoch: u64,
    pub read: String,
    pub reason: String,
    /// Its bytes as text; null if they are no UTF-8.
    pub text: Option<String>,
    /// Its bytes in hexadecimal digits, if they are no text.
    pub hex: Option<String>,
    pub bytes: u64,
    /// Only the beginning is shown.
    pub cut: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryBody {
    /// Only says how many would be records now.
    #[serde(default = "yes")]
    pub dry_run: bool,
    /// Only letters of this kind of reason.
    #[serde(default)]
    pub kind: Option<String>,
}

fn yes() -> bool {
    true
}

/// What became of a second try.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Retry {
    pub source: String,
    /// Letters that were decoded once more.
    pub letters: u64,
    /// How many of them are records by the present definition.
    pub decodable: u64,
    /// The request that was left; null for a dry run. The next start does it.
    pub request: Option<String>,
}

pub async fn list(State(app): State<Arc<App>>) -> Result<JsonBody<DeadLetters>, Problem> {
    let Some((table, committed)) = stored(&app) else {
        return Ok(JsonBody(DeadLetters::default()));
    };
    let sql = format!(
        "SELECT source, {KIND_OF_REASON_SQL} AS kind, min(reason) AS example, count(*) AS letters, min({EPOCH_COLUMN}) AS first, max({EPOCH_COLUMN}) AS last FROM {table} GROUP BY 1, 2 ORDER BY letters DESC, source, kind LIMIT {}",
        KINDS_MAX + 1
    );
    let answer = app.queries.page(&sql).await?;
    let mut kinds = Vec::new();
    for row in answer.batches.iter().flat_map(rows_of_batch) {
        let text = |at: usize| match &row.0[at] {
            Value::Text(text) => text.to_string(),
            _ => String::new(),
        };
        let number = |at: usize| row.0[at].as_i64().unwrap_or_default().max(0) as u64;
        kinds.push(DeadLetterKind {
            source: text(0),
            kind: text(1),
            example: text(2),
            letters: number(3),
            first: Epoch(number(4)).iso(),
            last: Epoch(number(5)).iso(),
        });
    }
    let truncated = KINDS_MAX < kinds.len();
    kinds.truncate(KINDS_MAX);
    let letters = match truncated {
        false => kinds.iter().map(|it| it.letters).sum(),
        true => {
            let counting = format!("SELECT count(*) FROM {table}");
            let all = app.queries.page(&counting).await?;
            let first = all.batches.iter().flat_map(rows_of_batch).next();
            first.and_then(|it| it.0[0].as_i64()).unwrap_or_default() as u64
        }
    };
    let requests = match app.queries.lake().store() {
        Some(store) => waiting(store, &app.dataflow.name).await?,
        None => Vec::new(),
    };
    Ok(JsonBody(DeadLetters {
        letters,
        kinds,
        truncated,
        requests,
        committed_epoch: Some(committed),
        sql,
    }))
}

async fn waiting(store: &Store, dataflow: &str) -> Result<Vec<ReplayRequest>, Problem> {
    let waiting = replay::waiting(store, dataflow).await.map_err(problem_of)?;
    let shown = waiting.into_iter().map(|(id, it)| ReplayRequest {
        id,
        source: it.source,
        kind: it.kind,
        reason: it.reason,
        asked: Epoch(it.asked_ms).iso(),
    });
    Ok(shown.collect())
}

pub async fn records(
    State(app): State<Arc<App>>,
    query: Parameters,
) -> Result<JsonBody<DeadLetterPage>, Problem> {
    let limit = query.count("limit").unwrap_or(LETTERS_DEFAULT);
    let mut conditions = Vec::new();
    if let Some(source) = query.text("source") {
        conditions.push(format!("source = {}", quoted_text(source)));
    }
    if let Some(kind) = query.text("kind") {
        conditions.push(format!("{KIND_OF_REASON_SQL} = {}", quoted_text(kind)));
    }
    if let Some(cursor) = query.text("cursor") {
        conditions.push(behind(cursor)?);
    }
    let Some((table, _)) = stored(&app) else {
        return Ok(JsonBody(DeadLetterPage {
            letters: Vec::new(),
            next_cursor: None,
        }));
    };
    let condition = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    let sql = format!(
        "SELECT source, {PARTITION_COLUMN}, {OFFSET_COLUMN}, {EPOCH_COLUMN}, reason, raw FROM {table}{condition} ORDER BY {EPOCH_COLUMN} DESC, {PARTITION_COLUMN} DESC, {OFFSET_COLUMN} DESC, source DESC LIMIT {limit}"
    );
    let answer = app.queries.page(&sql).await?;
    let mut letters = Vec::new();
    for batch in &answer.batches {
        let unreadable = |it: arrow::error::ArrowError| {
            Problem::new(
                StatusCode::BAD_GATEWAY,
                "lake_failed",
                format!("the table of dead letters is not as it should be: {it}"),
            )
        };
        letters.extend(letters_of(batch).map_err(unreadable)?);
    }
    let last = letters.last().filter(|_| letters.len() == limit);
    let next_cursor =
        last.map(|it| format!("{}.{}.{}.{}", it.epoch, it.partition, it.offset, it.source));
    Ok(JsonBody(DeadLetterPage {
        letters,
        next_cursor,
    }))
}

/// The condition that a letter comes after the one that a cursor names.
fn behind(cursor: &str) -> Result<String, Problem> {
    let read = || {
        let mut parts = cursor.splitn(4, '.');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let numbers = (number()?, number()?, number()?);
        Some((numbers, quoted_text(parts.next()?)))
    };
    let ((epoch, partition, offset), source) = read().ok_or_else(|| {
        Problem::bad_request("bad_cursor", "this cursor is not one of ours")
            .hint("take next_cursor of the page before")
    })?;
    let (e, p, o) = (EPOCH_COLUMN, PARTITION_COLUMN, OFFSET_COLUMN);
    Ok(format!(
        "({e} < {epoch} OR ({e} = {epoch} AND ({p} < {partition} OR ({p} = {partition} AND ({o} < {offset} OR ({o} = {offset} AND source < {source}))))))"
    ))
}

fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn letters_of(batch: &RecordBatch) -> Result<Vec<DeadLetterRecord>, arrow::error::ArrowError> {
    let column = |at: usize, to: &DataType| cast(batch.column(at), to);
    let (sources, reasons) = (column(0, &DataType::Utf8)?, column(4, &DataType::Utf8)?);
    let numbers = [1, 2, 3].map(|at| column(at, &DataType::Int64));
    let [partitions, offsets, epochs] = numbers;
    let (partitions, offsets, epochs) = (partitions?, offsets?, epochs?);
    let raw = column(5, &DataType::Binary)?;
    let letter = |at: usize| {
        let number = |it: &dyn Array| it.as_primitive::<Int64Type>().value(at);
        let text = |it: &dyn Array| it.as_string::<i32>().value(at).to_owned();
        let epoch = number(&epochs).max(0) as u64;
        let bytes = raw.as_binary::<i32>().value(at);
        let (text_of_bytes, hex, cut) = shown(bytes);
        DeadLetterRecord {
            source: text(&sources),
            partition: number(&partitions) as i32,
            offset: number(&offsets),
            epoch,
            read: Epoch(epoch).iso(),
            reason: text(&reasons),
            text: text_of_bytes,
            hex,
            bytes: bytes.len() as u64,
            cut,
        }
    };
    Ok((0..batch.num_rows()).map(letter).collect())
}

/// Bytes as text, or else in hexadecimal digits, and whether there are more than are shown.
fn shown(bytes: &[u8]) -> (Option<String>, Option<String>, bool) {
    let cut = SHOWN_BYTES_MAX < bytes.len();
    let first = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    match std::str::from_utf8(first) {
        Ok(text) => return (Some(text.to_owned()), None, cut),
        // A character that the cut has split is no reason for digits.
        Err(error) if cut && error.error_len().is_none() => {
            let whole = &first[..error.valid_up_to()];
            return (Some(String::from_utf8_lossy(whole).into_owned()), None, cut);
        }
        Err(_) => {}
    }
    let mut hex = String::with_capacity(2 * first.len());
    for byte in first {
        let _ = write!(hex, "{byte:02x}");
    }
    (None, Some(hex), cut)
}

pub async fn retry(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    body: Bytes,
) -> Result<JsonBody<Retry>, Problem> {
    let body = match body.is_empty() {
        true => b"{}".as_slice(),
        false => &body,
    };
    let body: RetryBody = serde_json::from_slice(body).map_err(|it| {
        Problem::bad_request("bad_body", format!("the body is not understood: {it}")).hint(FORM)
    })?;
    if app.dataflow.source(&source).is_none() {
        let names = app.dataflow.sources.iter().map(|it| it.name.as_str());
        let names: Vec<&str> = names.collect();
        return Err(
            Problem::not_found("unknown_source", format!("there is no source `{source}`"))
                .hint(format!("there are: {}", names.join(", "))),
        );
    }
    let store = store_of(&app)?;
    let request = Request {
        source: Some(source.clone()),
        reason: None,
        kind: body.kind,
        asked_ms: wall_ms(),
    };
    let runtime = tokio::runtime::Handle::current();
    let dataflow = Arc::clone(&app.dataflow);
    let decoding = move || {
        runtime.block_on(async {
            let preview = replay::preview(&dataflow, &store, &request).await?;
            let request = match body.dry_run || preview.decodable == 0 {
                true => None,
                false => Some(replay::leave(&dataflow, &store, &request).await?),
            };
            Ok((preview, request))
        })
    };
    let decoded = app.workers.apart(decoding).await?;
    let (Preview { letters, decodable }, request) = decoded.map_err(problem_of)?;
    if !body.dry_run && request.is_none() {
        let text = format!("none of {letters} dead letters decodes by the present definition");
        return Err(
            Problem::new(StatusCode::CONFLICT, "nothing_decodes", text).hint(
                "mend the definition of the source in dataflow.sql, start again, and try once more",
            ),
        );
    }
    Ok(JsonBody(Retry {
        source,
        letters,
        decodable,
        request,
    }))
}

pub async fn withdraw(
    State(app): State<Arc<App>>,
    Path(request): Path<String>,
) -> Result<StatusCode, Problem> {
    let store = store_of(&app)?;
    let dataflow = &app.dataflow.name;
    let waiting = replay::waiting(&store, dataflow).await;
    if !waiting.map_err(problem_of)?.contains_key(&request) {
        return Err(
            Problem::not_found("unknown_request", format!("no replay `{request}` waits"))
                .hint("GET /api/v1/dead-letters lists those that do"),
        );
    }
    let deleted = store.delete_request(dataflow, &request).await;
    deleted.map_err(|it| problem_of(it.into()))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The table of dead letters as queries name it, and the newest commit's epoch; nothing before it is stored.
fn stored(app: &App) -> Option<(String, u64)> {
    let mut tables = app.dataflow.tables.iter();
    let table = tables.find(|it| it.source.is_empty())?;
    let commit = app.status.status().commit?;
    let is_stored = commit.versions.contains_key(&table.name);
    is_stored.then(|| (format!("lake.{}", quoted_name(&table.name)), commit.epoch.0))
}

fn store_of(app: &App) -> Result<Store, Problem> {
    let store = app.queries.lake().store().cloned();
    store.ok_or_else(|| Problem::not_found("no_lake", "this server has no lake"))
}

fn problem_of(error: Error) -> Problem {
    match error {
        Error::Replay(reason) => Problem::new(StatusCode::CONFLICT, "cannot_replay", reason)
            .hint("look at the lake in /api/v1/status, and try again after the next commit"),
        other => Problem::new(
            StatusCode::BAD_GATEWAY,
            "lake_failed",
            format!("dead letters could not be read: {other}"),
        )
        .hint("`tidelake verify` says whether the lake is whole"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    #[test]
    fn bytes_are_text_if_they_can_be() {
        let text = |it: &str| (Some(it.to_owned()), None, false);
        assert_eq!(shown(b""), text(""));
        assert_eq!(shown("täglich\n".as_bytes()), text("täglich\n"));
        assert_eq!(shown(&[0x61, 0xff]), (None, Some("61ff".to_owned()), false));
        // The cut goes through a character.
        let long = "a".to_owned() + &"ä".repeat(SHOWN_BYTES_MAX);
        let (shown_text, hex, cut) = shown(long.as_bytes());
        assert!(hex.is_none() && cut);
        assert_eq!(
            shown_text.map(|it| it.len()),
            Some(SHOWN_BYTES_MAX - 1),
            "one byte of a character is left out"
        );
        let mut broken = long.into_bytes();
        broken[7] = 0xff;
        assert!(shown(&broken).1.is_some());
    }

    #[test]
    fn a_cursor_leads_behind_its_letter() {
        let found = behind("100.2.7.it's a.b").expect("a cursor");
        assert!(found.contains("_epoch < 100 OR"), "{found}");
        assert!(found.contains("source < 'it''s a.b'"), "{found}");
        for wrong in ["", "1.2", "1.2.x.s", "1.2.3"] {
            assert_eq!(behind(wrong).expect_err("no cursor").code, "bad_cursor");
        }
    }

    #[test]
    fn letters_are_read_from_rows() {
        let field = |name: &str, kind: DataType| Field::new(name, kind, false);
        let schema = Schema::new(vec![
            field("source", DataType::Utf8),
            field(PARTITION_COLUMN, DataType::Int32),
            field(OFFSET_COLUMN, DataType::Int64),
            field(EPOCH_COLUMN, DataType::Int64),
            field("reason", DataType::Utf8),
            field("raw", DataType::Binary),
        ]);
        let batch = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(StringArray::from(vec!["s"])),
                Arc::new(Int32Array::from(vec![3])),
                Arc::new(Int64Array::from(vec![42])),
                Arc::new(Int64Array::from(vec![1_700_000_000_000])),
                Arc::new(StringArray::from(vec!["no n"])),
                Arc::new(BinaryArray::from(vec![b"{}".as_slice()])),
            ],
        )
        .expect("columns of one length");
        let expected = DeadLetterRecord {
            source: "s".to_owned(),
            partition: 3,
            offset: 42,
            epoch: 1_700_000_000_000,
            read: "2023-11-14T22:13:20Z".to_owned(),
            reason: "no n".to_owned(),
            text: Some("{}".to_owned()),
            hex: None,
            bytes: 2,
            cut: false,
        };
        assert_eq!(letters_of(&batch).expect("letters"), [expected]);
    }
}

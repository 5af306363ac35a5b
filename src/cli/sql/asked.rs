//! Whom statements are for: a running server, or a lake without one. Both answer alike.

use super::output::{Kept, Printed};
use super::waiting::Waiting;
use crate::cli::exit;
use crate::cli::print::{Cell, count, printable};
use crate::cli::query_limits::QueryLimits;
use crate::cli::server::{Refusal, ServerArguments, unreachable, with_hint};
use crate::cli::table::{Kind, Table};
use crate::http::{AnswerEnding, AnswerWriter};
use crate::lake::Store;
use crate::model::{Epoch, rows_of_batch};
use crate::sql::query::{Lake, Piece, Queries, QueryError, Running};
use crate::sql::sql_type_name;
use crate::view::Hub;
use anyhow::{Context, Result};
use futures::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// Whom the statements are for.
pub enum Asked {
    Server(Server),
    Lake(LakeAlone),
}

/// A running server.
pub struct Server {
    /// `http://host:port`
    pub address: String,
    pub client: reqwest::Client,
}

/// A lake that no server is asked about.
pub struct LakeAlone {
    pub address: String,
    pub queries: Queries,
}

/// Why a statement has no answer, or not a whole one.
#[derive(Debug)]
pub enum Failure {
    /// Rows were printed, and there are more.
    Incomplete {
        text: String,
        code: u8,
    },
    Refused(Refusal),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Other(error.into())
    }
}

/// An answer that is read.
pub struct Answer {
    pub table: Table,
    /// Of the live views in it; 0 if there are none.
    pub epoch: Epoch,
    pub elapsed: Duration,
    /// What is missing of it.
    pub lack: Option<Lack>,
}

/// Why an answer is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// There are more rows than a table may have.
    TooMany,
    TimedOut,
    Cancelled,
}

impl Lack {
    fn of(truncated: bool, partial: Option<&str>) -> Option<Lack> {
        match (truncated, partial) {
            (false, None) => None,
            (_, Some("timed_out")) => Some(Lack::TimedOut),
            (_, Some(_)) => Some(Lack::Cancelled),
            (true, None) => Some(Lack::TooMany),
        }
    }

    /// What is said of it, and what can be done.
    pub fn failure(self, rows: usize) -> Failure {
        let rows = count(rows, "row");
        let (text, code) = match self {
            Lack::TimedOut => (
                format!(
                    "the time of the query was up after {rows}: these are not all; narrow it, or raise --query-time-limit"
                ),
                1,
            ),
            Lack::Cancelled => (
                format!("the query was cancelled after {rows}: these are not all"),
                exit::CANCELLED,
            ),
            Lack::TooMany => (
                format!(
                    "the answer has more than {rows}; add a LIMIT or a filter, take all of them with -o csv, json or jsonl, or raise --query-rows"
                ),
                1,
            ),
        };
        Failure::Incomplete { text, code }
    }
}

impl Asked {
    /// The rows of a statement, as many as a table may have, as of now or an epoch.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn answer(&self, query: &str, as_of: Option<Epoch>) -> Result<Answer, Failure> {
        let id = uuid::Uuid::new_v4().to_string();
        let waiting = Waiting::new();
        let (answer, _) = waiting
            .on(self.answer_as(&id, query, as_of), || self.cancel(&id))
            .await;
        answer.unwrap_or_else(|| Err(cancelled()))
    }

    async fn answer_as(
        &self,
        id: &str,
        query: &str,
        as_of: Option<Epoch>,
    ) -> Result<Answer, Failure> {
        match self {
            Asked::Server(it) => it.answer(id, query, as_of).await,
            Asked::Lake(it) => it.answer(id, query, as_of).await,
        }
    }

    /// Writes every row of a statement, as they come; returns how many bytes these were.
    ///
    /// # Errors
    /// If there is no answer, or not a whole one.
    pub async fn export(
        &self,
        query: &str,
        as_of: Option<Epoch>,
        kept: Kept,
        to: impl Write,
        is_terminal: bool,
    ) -> Result<usize, Failure> {
        let id = uuid::Uuid::new_v4().to_string();
        let waiting = Waiting::new();
        let mut printed = Printed::new(
            kept,
            Watched {
                to,
                waiting: is_terminal.then_some(&waiting),
            },
        );
        let work = async {
            match self {
                Asked::Server(it) => it.export(&id, query, as_of, &mut printed).await,
                Asked::Lake(it) => it.export(&id, query, as_of, &mut printed).await,
            }
        };
        let (outcome, is_cancelled) = waiting.on(work, || self.cancel(&id)).await;
        match outcome {
            None => Err(cancelled()),
            Some(Err(Failure::Incomplete { .. })) if is_cancelled => {
                Err(cancelled_after(printed.bytes))
            }
            Some(Err(failure)) => Err(failure),
            Some(Ok(())) => Ok(printed.bytes),
        }
    }

    async fn cancel(&self, id: &str) {
        match self {
            Asked::Server(it) => {
                let url = format!("{}/api/v1/queries/{id}", it.address);
                // A query that has ended meanwhile needs no end.
                let _ = it.client.delete(url).send().await;
            }
            Asked::Lake(it) => {
                it.queries.cancel(id);
            }
        }
    }
}

/// Of an export that was cancelled when so much had been written.
fn cancelled_after(bytes: usize) -> Failure {
    Failure::Incomplete {
        text: format!(
            "the query was cancelled after {bytes} bytes of its answer: these are not all rows"
        ),
        code: exit::CANCELLED,
    }
}

/// Of a query that was given up.
fn cancelled() -> Failure {
    Failure::Other(exit::coded(exit::CANCELLED, "cancelled"))
}

/// Output that takes the line of waiting away as soon as something is printed.
struct Watched<'a, W> {
    to: W,
    waiting: Option<&'a Waiting>,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(waiting) = self.waiting.take() {
            waiting.keep_away();
        }
        self.to.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// An answer of a server, in JSON.
#[derive(Deserialize)]
struct AnswerJson {
    columns: Vec<NamedColumn>,
    rows: Vec<HashMap<String, Cell>>,
    epoch: u64,
    elapsed_ms: f64,
    truncated: bool,
    partial_reason: Option<String>,
}

#[derive(Deserialize)]
struct NamedColumn {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Server {
    /// # Errors
    /// If the files of the arguments are not as they should be.
    pub fn new(arguments: &ServerArguments) -> Result<Server> {
        Ok(Server {
            address: arguments.address.clone(),
            client: arguments.client()?,
        })
    }

    /// What the server says at a path.
    ///
    /// # Errors
    /// If it cannot be reached, refuses, or says something else.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T> {
        let mut url = reqwest::Url::parse(&self.address)?;
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("{} is no address of a server", self.address))?
            .extend(path);
        let response = self.client.get(url).send().await;
        let response = response.map_err(|it| unreachable(&self.address, &it))?;
        let status = response.status();
        let text = response.text().await;
        let text = text.map_err(|it| unreachable(&self.address, &it))?;
        if !status.is_success() {
            return Err(Refusal::of(status, &text).into());
        }
        self.understood(&text)
    }

    fn understood<T: DeserializeOwned>(&self, text: &str) -> Result<T> {
        serde_json::from_str(text)
            .with_context(|| format!("what {} answers is not understood", self.address))
    }

    async fn ask(
        &self,
        id: &str,
        query: &str,
        as_of: Option<Epoch>,
        accept: &str,
    ) -> Result<reqwest::Response, Failure> {
        let mut body = serde_json::json!({"query": query});
        if let Some(epoch) = as_of {
            body["as_of"] = epoch.0.into();
        }
        let request = self.client.post(format!("{}/api/v1/sql", self.address));
        let request = request.header("x-query-id", id).header("accept", accept);
        let response = request.json(&body).send().await;
        let response = response.map_err(|it| unreachable(&self.address, &it))?;
        let status = response.status();
        if !status.is_success() {
            let text = response.text().await?;
            return Err(Failure::Refused(Refusal::of(status, &text)));
        }
        Ok(response)
    }

    async fn answer(&self, id: &str, query: &str, as_of: Option<Epoch>) -> Result<Answer, Failure> {
        let response = self.ask(id, query, as_of, "application/json").await?;
        let text = response.text().await;
        let text = text.map_err(|it| unreachable(&self.address, &it))?;
        let answer: AnswerJson = self.understood(&text)?;
        let mut rows = Vec::new();
        for mut row in answer.rows {
            let cells = answer.columns.iter().map(|it| row.remove(&it.name));
            let cells: Option<Vec<Cell>> = cells.collect();
            rows.push(cells.context("a row of the answer lacks a column")?);
        }
        let columns = answer.columns.iter();
        let columns = columns.map(|it| (printable(&it.name), Kind::of(&it.kind)));
        Ok(Answer {
            table: Table::new(columns, rows),
            epoch: Epoch(answer.epoch),
            elapsed: Duration::from_secs_f64(answer.elapsed_ms.max(0.0) / 1000.0),
            lack: Lack::of(answer.truncated, answer.partial_reason.as_deref()),
        })
    }

    async fn export(
        &self,
        id: &str,
        query: &str,
        as_of: Option<Epoch>,
        printed: &mut Printed<impl Write>,
    ) -> Result<(), Failure> {
        let accept = printed.kept().format();
        let response = self.ask(id, query, as_of, accept.content_type()).await?;
        let is_partial = response
            .headers()
            .get("tidelake-partial")
            .is_some_and(|it| it == "true");
        let mut stream = response.bytes_stream();
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| Failure::Incomplete {
                text: format!("the answer broke off after {} bytes: the query was ended by the server, or the connection was ({error})", printed.bytes),
                code: 1,
            })?;
            printed.add(&bytes)?;
        }
        printed.end()?;
        match is_partial {
            true => Err(cancelled_after(printed.bytes)),
            false => Ok(()),
        }
    }
}

impl LakeAlone {
    /// What can be asked of a lake without a server: its tables, as `lake.name` or by the bare name.
    ///
    /// # Errors
    /// If there is no lake, or nothing in it.
    pub async fn open(address: &str, limits: &QueryLimits) -> Result<LakeAlone> {
        let store = Store::open_existing(address)
            .map_err(|it| exit::coded(exit::CONFIGURATION, it.to_string()))?;
        let tables = store.tables().await?;
        if tables.is_empty() {
            return Err(exit::coded(
                exit::CONFIGURATION,
                format!("there are no tables in {address}"),
            ));
        }
        let mut bounds = limits.limits();
        bounds.spares = 0;
        let hub = Hub::new(Vec::new(), 1, Vec::new(), 0, Epoch(0));
        let lake = Lake::new(store, tables);
        Ok(LakeAlone {
            address: address.to_owned(),
            queries: Queries::new(hub, Arc::default(), lake, bounds)?,
        })
    }

    async fn answer(&self, id: &str, query: &str, as_of: Option<Epoch>) -> Result<Answer, Failure> {
        let answer = self.queries.run_at(id, query, None, as_of).await;
        let answer = answer.map_err(|it| Failure::Refused(refused_here(&it)))?;
        let mut rows = Vec::new();
        for row in answer.batches.iter().flat_map(rows_of_batch) {
            let cells = row.0.iter();
            let cells = cells.map(|it| Cell::of_json(&it.to_json().to_string()));
            rows.push(cells.collect::<serde_json::Result<Vec<Cell>>>()?);
        }
        let columns = answer.schema.fields().iter();
        let columns = columns.map(|it| {
            let kind = Kind::of(&sql_type_name(it.data_type()));
            (printable(it.name()), kind)
        });
        Ok(Answer {
            table: Table::new(columns, rows),
            epoch: answer.epoch,
            elapsed: answer.elapsed,
            lack: Lack::of(answer.truncated, answer.partial.map(|it| it.word())),
        })
    }

    async fn export(
        &self,
        id: &str,
        query: &str,
        as_of: Option<Epoch>,
        printed: &mut Printed<impl Write>,
    ) -> Result<(), Failure> {
        let running = self.queries.export_at(id, query, None, as_of).await;
        let mut running = running.map_err(|it| Failure::Refused(refused_here(&it)))?;
        print_all(&mut running, printed).await
    }
}

async fn print_all(
    running: &mut Running,
    printed: &mut Printed<impl Write>,
) -> Result<(), Failure> {
    let mut writer = None;
    let mut epoch = Epoch(0);
    let broken = |text: String| Failure::Other(anyhow::Error::msg(text));
    loop {
        let piece = running.next().await;
        let piece = piece.map_err(|it| match it {
            QueryError::Cancelled if printed.bytes != 0 => cancelled_after(printed.bytes),
            it => Failure::Refused(refused_here(&it)),
        })?;
        match (piece, &mut writer) {
            (
                Piece::Planned {
                    schema, epoch: of, ..
                },
                _,
            ) => {
                epoch = of;
                let format = printed.kept().format();
                writer = Some(AnswerWriter::new(&format, &schema).map_err(broken)?);
            }
            (Piece::Rows { batch, .. }, Some(writer)) => {
                writer.write(&batch).map_err(broken)?;
                printed.add(&writer.take())?;
            }
            (Piece::Done { truncated }, _) => {
                let ending = AnswerEnding {
                    epoch,
                    elapsed: running.elapsed(),
                    truncated,
                    partial: None,
                };
                if let Some(writer) = writer {
                    printed.add(&writer.finish(&ending).map_err(broken)?)?;
                }
                return Ok(printed.end()?);
            }
            (Piece::Rows { .. }, None) => {
                return Err(broken("rows came before their columns".to_owned()));
            }
        }
    }
}

/// Why a query of our own has no answer, as a server would have said it.
pub fn refused_here(error: &QueryError) -> Refusal {
    let (place, code) = match error {
        QueryError::Rejected { line, column, .. } => (line.zip(*column), exit::REFUSED),
        QueryError::TooMuchMemory { .. }
        | QueryError::TooMuchDisk { .. }
        | QueryError::RowTooLarge { .. } => (None, exit::REFUSED),
        QueryError::Cancelled => (None, exit::CANCELLED),
        QueryError::TimedOut { .. }
        | QueryError::Busy { .. }
        | QueryError::Stopping
        | QueryError::Failed { .. } => (None, 1),
    };
    let hint = error.hint().unwrap_or_default();
    Refusal {
        text: with_hint(&error.to_string(), &hint),
        place,
        code,
    }
}

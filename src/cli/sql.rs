//! `sql`: asks a running server, or a lake without one; a script is asked statement by statement.
//!
//! A table is for reading: it has the rows an answer may have, and says when there are more. CSV, JSON and JSON lines have all rows, passed on
//! as they come. Whatever is missing is said on standard error, and the exit code is not 0 then. The first statement that has no
//! answer ends a script.

#[cfg(test)]
mod tests;

use super::exit;
use super::print::{Cell, Out, count, printable};
use super::query_limits::QueryLimits;
use super::server::{Refusal, unreachable, with_hint};
use super::table::{Table, columns_of_terminal};
use crate::http::{AnswerEnding, AnswerFormat, AnswerWriter};
use crate::lake::Store;
use crate::model::{Epoch, rows_of_batch};
use crate::sql::query::{Lake, Piece, Queries, QueryError, Running, ScriptStatement, statements};
use crate::sql::sql_type_name;
use crate::view::Hub;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use futures::StreamExt;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Types of columns whose values are numbers.
const NUMBERS: [&str; 3] = ["int", "bigint", "double"];

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns to read, up to the limit of rows.
    #[default]
    Table,
    /// One array of objects.
    Json,
    /// One object a line.
    Jsonl,
    Csv,
}

#[derive(Args)]
pub struct Arguments {
    /// One statement, or several with ; between them. [default: what comes on standard input]
    query: Option<String>,
    /// Read the statements from this file; - is standard input.
    #[arg(short, long, conflicts_with = "query")]
    file: Option<PathBuf>,
    /// Address of the server: host:port, or http://…
    #[arg(long, env = "TIDELAKE_SERVER", default_value = "http://127.0.0.1:4000", value_parser = super::addresses::server)]
    server: String,
    /// Read the tables of this lake instead of asking a server.
    #[arg(long)]
    lake: Option<String>,
    /// How the answer is printed; all but a table have every row.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    limits: QueryLimits,
}

/// Asks what the arguments say, and prints the answers.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let script = given(arguments.query.as_deref(), arguments.file.as_deref())?;
    let all = statements(&script).map_err(|it| refused_here(&it).of_script(None))?;
    if all.is_empty() {
        return Err(exit::coded(exit::USAGE, "there is no statement to ask"));
    }
    let asked = match &arguments.lake {
        Some(lake) => Asked::Lake(open(lake, &arguments.limits).await?),
        None => Asked::Server(&arguments.server),
    };
    let mut missing = false;
    for (number, statement) in all.iter().enumerate() {
        let place = (1 < all.len()).then(|| (number + 1, statement));
        if number != 0 && matches!(arguments.output, Output::Table | Output::Csv) {
            writeln!(Out::new())?;
        }
        let answered = match &asked {
            Asked::Server(server) => of_server(server, statement.text, arguments.output).await,
            Asked::Lake(queries) => of_lake(queries, statement.text, arguments.output).await,
        };
        match answered {
            Ok(()) => {}
            Err(Failure::Incomplete(text)) if number + 1 < all.len() => {
                missing = true;
                eprintln!("error: {}", in_script(&text, place));
            }
            Err(Failure::Incomplete(text)) => bail!(in_script(&text, place)),
            Err(Failure::Refused(it)) => return Err(it.of_script(place)),
            Err(Failure::Other(error)) => return Err(error),
        }
    }
    match missing {
        true => bail!("rows of an answer before the last are missing, as said above"),
        false => Ok(()),
    }
}

/// Whom the statements are for.
enum Asked<'a> {
    Server(&'a str),
    Lake(Queries),
}

/// Why a statement has no answer, or not a whole one.
enum Failure {
    /// Rows were printed, and there are more.
    Incomplete(String),
    Refused(Refusal),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Other(error.into())
    }
}

/// A statement of several, by its number.
type Place<'a> = Option<(usize, &'a ScriptStatement<'a>)>;

fn in_script(text: &str, place: Place<'_>) -> String {
    match place {
        Some((number, statement)) => {
            format!("statement {number} (line {}): {text}", statement.line)
        }
        None => text.to_owned(),
    }
}

impl Refusal {
    /// The error it is, with its place in the whole script.
    fn of_script(self, place: Place<'_>) -> anyhow::Error {
        let first = place.map_or(1, |it| it.1.line);
        let at = match self.place {
            Some((1, column)) if first == 1 => format!(" (column {column})"),
            Some((line, column)) => format!(" (line {}, column {column})", first + line - 1),
            None => String::new(),
        };
        exit::coded(self.code, in_script(&self.text, place) + &at)
    }
}

/// The text of the arguments: what was typed, a file, or standard input.
fn given(query: Option<&str>, file: Option<&Path>) -> Result<String> {
    match (query, file) {
        (Some(query), _) => Ok(query.to_owned()),
        (None, Some(file)) if file != Path::new("-") => {
            let read = std::fs::read_to_string(file)
                .map_err(|it| format!("could not read {}: {it}", file.display()));
            read.map_err(|it| exit::coded(exit::USAGE, it))
        }
        (None, file) => {
            let mut input = std::io::stdin().lock();
            if file.is_none() && input.is_terminal() {
                return Err(exit::coded(
                    exit::USAGE,
                    "say what to ask: tidelake sql 'SELECT …', tidelake sql -f FILE, or statements on standard input",
                ));
            }
            let mut text = String::new();
            input
                .read_to_string(&mut text)
                .context("could not read standard input")?;
            Ok(text)
        }
    }
}

/// An answer that is read, in JSON.
#[derive(Deserialize)]
struct Answer {
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

async fn of_server(server: &str, query: &str, output: Output) -> Result<(), Failure> {
    let url = format!("{server}/api/v1/sql");
    let request = reqwest::Client::new()
        .post(&url)
        .json(&serde_json::json!({"query": query}));
    let request = match output {
        Output::Csv => request.header("accept", "text/csv"),
        Output::Json | Output::Jsonl => request.header("accept", "application/x-ndjson"),
        Output::Table => request,
    };
    let response = request
        .send()
        .await
        .map_err(|it| unreachable(server, &it))?;
    let status = response.status();
    if !status.is_success() {
        let text = response.text().await?;
        return Err(Failure::Refused(Refusal::of(status, &text)));
    }
    if output == Output::Table {
        let text = response.text().await?;
        let answer: Answer = serde_json::from_str(&text)
            .with_context(|| format!("what {server} answers is not understood"))?;
        return show(answer);
    }
    let is_partial = response
        .headers()
        .get("tidelake-partial")
        .is_some_and(|it| it == "true");
    let mut printed = Printed::new(output, Out::new());
    let mut stream = response.bytes_stream();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|error| {
            Failure::Incomplete(format!("the answer broke off after {} bytes: the query was ended by the server, or the connection was ({error})", printed.bytes))
        })?;
        printed.add(&bytes)?;
    }
    printed.end()?;
    match is_partial {
        true => Err(Failure::Incomplete(
            "the query was cancelled: these are not all rows".to_owned(),
        )),
        false => Ok(()),
    }
}

/// Prints an answer as a table, and what is known of it.
fn show(answer: Answer) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for mut row in answer.rows {
        let cells = answer.columns.iter().map(|it| row.remove(&it.name));
        let cells: Option<Vec<Cell>> = cells.collect();
        rows.push(cells.context("a row of the answer lacks a column")?);
    }
    let columns = answer.columns.iter();
    let columns = columns.map(|it| (printable(&it.name), is_number(&it.kind)));
    let shown = print_table(columns, rows)?;
    let as_of = match Epoch(answer.epoch) {
        Epoch(0) => String::new(),
        epoch => format!(" as of {} (epoch {epoch})", epoch.iso()),
    };
    eprintln!(
        "{}{as_of} in {:.0} ms",
        count(shown, "row"),
        answer.elapsed_ms
    );
    complete(shown, answer.truncated, answer.partial_reason.as_deref())
}

/// Prints rows under columns, by name and whether they have numbers; returns how many rows.
fn print_table(
    columns: impl Iterator<Item = (String, bool)>,
    rows: Vec<Vec<Cell>>,
) -> std::io::Result<usize> {
    let shown = rows.len();
    let table = Table::new(columns, rows);
    write!(Out::new(), "{}", table.text(columns_of_terminal()))?;
    Ok(shown)
}

fn is_number(type_name: &str) -> bool {
    NUMBERS.contains(&type_name) || type_name.starts_with("decimal")
}

/// Fails if rows are missing, and says why.
fn complete(shown: usize, truncated: bool, partial: Option<&str>) -> Result<(), Failure> {
    let rows = count(shown, "row");
    let text = match (truncated, partial) {
        (false, None) => return Ok(()),
        (_, Some("timed_out")) => format!(
            "the time of the query was up after {rows}: these are not all; narrow it, or raise --query-time-limit"
        ),
        (_, Some(_)) => format!("the query was cancelled after {rows}: these are not all"),
        (true, None) => format!(
            "the answer has more than {rows}; add a LIMIT or a filter, take all of them with -o csv, json or jsonl, or raise --query-rows"
        ),
    };
    Err(Failure::Incomplete(text))
}

/// What can be asked of a lake without a server: its tables, as `lake.name` or by the bare name.
async fn open(uri: &str, limits: &QueryLimits) -> Result<Queries> {
    let store =
        Store::open_existing(uri).map_err(|it| exit::coded(exit::CONFIGURATION, it.to_string()))?;
    let tables = store.tables().await?;
    if tables.is_empty() {
        return Err(exit::coded(
            exit::CONFIGURATION,
            format!("there are no tables in {uri}"),
        ));
    }
    let mut limits = limits.limits();
    limits.spares = 0;
    let hub = Hub::new(Vec::new(), 1, Vec::new(), 0, Epoch(0));
    let lake = Lake::new(store, tables);
    Ok(Queries::new(hub, Arc::default(), lake, limits)?)
}

/// Why a query of our own has no answer, as a server would have said it.
fn refused_here(error: &QueryError) -> Refusal {
    let (place, code) = match error {
        QueryError::Rejected { line, column, .. } => (line.zip(*column), exit::REFUSED),
        QueryError::TooMuchMemory { .. }
        | QueryError::TooMuchDisk { .. }
        | QueryError::RowTooLarge { .. }
        | QueryError::Cancelled => (None, exit::REFUSED),
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

async fn of_lake(queries: &Queries, query: &str, output: Output) -> Result<(), Failure> {
    let failed = |it: QueryError| Failure::Refused(refused_here(&it));
    let format = match output {
        Output::Table => {
            let answer = queries.run_as("sql", query, None).await.map_err(failed)?;
            let mut rows = Vec::new();
            for row in answer.batches.iter().flat_map(rows_of_batch) {
                let cells = row.0.iter();
                let cells = cells.map(|it| Cell::of_json(&it.to_json().to_string()));
                rows.push(cells.collect::<serde_json::Result<Vec<Cell>>>()?);
            }
            let columns = answer.schema.fields().iter();
            let columns = columns.map(|it| {
                let kind = sql_type_name(it.data_type());
                (printable(it.name()), is_number(&kind))
            });
            let shown = print_table(columns, rows)?;
            let elapsed = answer.elapsed.as_millis();
            eprintln!("{} in {elapsed} ms", count(shown, "row"));
            let partial = answer.partial.map(|it| it.word());
            return complete(shown, answer.truncated, partial);
        }
        Output::Csv => AnswerFormat::Csv,
        Output::Json | Output::Jsonl => AnswerFormat::JsonLines,
    };
    let running = queries.export_as("sql", query, None).map_err(failed)?;
    print_all(running, &format, Printed::new(output, Out::new())).await
}

async fn print_all(
    mut running: Running,
    format: &AnswerFormat,
    mut printed: Printed<impl Write>,
) -> Result<(), Failure> {
    let mut writer = None;
    let mut epoch = Epoch(0);
    let broken = |text: String| Failure::Other(anyhow::Error::msg(text));
    loop {
        let piece = running.next().await;
        let piece = piece.map_err(|it| Failure::Refused(refused_here(&it)))?;
        match (piece, &mut writer) {
            (
                Piece::Planned {
                    schema, epoch: of, ..
                },
                _,
            ) => {
                epoch = of;
                writer = Some(AnswerWriter::new(format, &schema).map_err(broken)?);
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

/// What goes to standard output as it comes. JSON is made of JSON lines.
struct Printed<W> {
    output: Output,
    to: W,
    bytes: usize,
    /// The last byte ended a line, whose comma is not known yet.
    line_ended: bool,
}

impl<W: Write> Printed<W> {
    fn new(output: Output, to: W) -> Self {
        Printed {
            output,
            to,
            bytes: 0,
            line_ended: false,
        }
    }

    fn add(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.output != Output::Json {
            self.bytes += bytes.len();
            return self.to.write_all(bytes);
        }
        for line in bytes.split_inclusive(|it| *it == b'\n') {
            if self.bytes == 0 {
                self.to.write_all(b"[")?;
            } else if self.line_ended {
                self.to.write_all(b",\n")?;
            }
            self.line_ended = line.ends_with(b"\n");
            self.to
                .write_all(line.strip_suffix(b"\n").unwrap_or(line))?;
            self.bytes += line.len();
        }
        Ok(())
    }

    fn end(mut self) -> std::io::Result<()> {
        match (self.output, self.bytes) {
            (Output::Json, 0) => self.to.write_all(b"[]\n")?,
            (Output::Json, _) => self.to.write_all(b"]\n")?,
            (Output::Table | Output::Jsonl | Output::Csv, _) => {}
        }
        self.to.flush()
    }
}

//! `sql`: asks a running server, or a lake without one.
//!
//! A table is for reading: it has the rows an answer may have, and says when there are more. CSV, JSON and JSON lines have all rows, passed on
//! as they come. Whatever is missing is said on standard error, and the exit code is not 0 then.

#[cfg(test)]
mod tests;

use super::query_limits::QueryLimits;
use crate::http::{AnswerEnding, AnswerFormat, AnswerWriter};
use crate::lake::Store;
use crate::model::{Epoch, rows_of_batch};
use crate::sql::query::{Lake, Piece, Queries, QueryError, Running};
use crate::view::Hub;
use anyhow::{Result, anyhow, bail};
use clap::ValueEnum;
use futures::StreamExt;
use serde_json::Value;
use std::io::Write;
use std::sync::Arc;

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

/// A query to a server.
pub async fn of_server(server: &str, query: &str, output: Output) -> Result<()> {
    let url = format!("{}/api/v1/sql", server.trim_end_matches('/'));
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
    if !response.status().is_success() {
        let text = response.text().await?;
        return Err(super::exit::coded(super::exit::REFUSED, problem(&text)));
    }
    if output == Output::Table {
        return show(&serde_json::from_str(&response.text().await?)?);
    }
    let is_partial = response
        .headers()
        .get("tidelake-partial")
        .is_some_and(|it| it == "true");
    let mut printed = Printed::new(output, Out::new());
    let mut stream = response.bytes_stream();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|error| {
            anyhow!("the answer broke off after {} bytes: the query was ended by the server, or the connection was ({error})", printed.bytes)
        })?;
        printed.add(&bytes)?;
    }
    printed.end()?;
    match is_partial {
        true => bail!("the query was cancelled: these are not all rows"),
        false => Ok(()),
    }
}

/// Prints an answer as a table, and what is known of it.
fn show(answer: &Value) -> Result<()> {
    let names: Vec<String> = answer["columns"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| it["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    let rows: Vec<Vec<String>> = answer["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| names.iter().map(|it| cell(&row[it])).collect())
        .collect();
    let names: Vec<String> = names.iter().map(|it| printable(it)).collect();
    print_table(&names, &rows)?;
    eprintln!(
        "{} rows as of epoch {} in {} ms",
        rows.len(),
        answer["epoch"],
        answer["elapsed_ms"]
    );
    let missing = answer["truncated"] == true;
    let partial = answer["partial_reason"].as_str();
    complete(rows.len(), missing, partial)
}

/// Fails if rows are missing, and says why.
fn complete(rows: usize, truncated: bool, partial: Option<&str>) -> Result<()> {
    match (truncated, partial) {
        (false, None) => Ok(()),
        (_, Some("timed_out")) => bail!(
            "the time of the query was up after {rows} rows: these are not all; narrow it, or raise --query-time-limit"
        ),
        (_, Some(_)) => bail!("the query was cancelled after {rows} rows: these are not all"),
        (true, None) => bail!(
            "there are more rows than these {rows}; add a LIMIT or a filter, take all of them with -o csv, json or jsonl, or raise --query-rows"
        ),
    }
}

/// A query to the tables of a lake, without a server: `lake.name`, or the bare name.
pub async fn of_lake(uri: &str, query: &str, output: Output, limits: &QueryLimits) -> Result<()> {
    let store = Store::open_existing(uri)?;
    let tables = store.tables().await?;
    if tables.is_empty() {
        bail!("there are no tables in {uri}");
    }
    let mut limits = limits.limits();
    limits.spares = 0;
    let queries = Queries::new(
        Hub::new(Vec::new(), 1, Vec::new(), 0, Epoch(0)),
        Arc::default(),
        Lake::new(store, tables),
        limits,
    )?;
    let failed = |it: QueryError| match it.hint() {
        Some(hint) => anyhow!("{}; {hint}", printable(&it.to_string())),
        None => anyhow!("{}", printable(&it.to_string())),
    };
    let format = match output {
        Output::Table => {
            let answer = queries.run_as("sql", query, None).await.map_err(failed)?;
            let fields = answer.schema.fields().iter();
            let names: Vec<String> = fields.map(|it| printable(it.name())).collect();
            let rows = answer.batches.iter().flat_map(rows_of_batch);
            let rows: Vec<Vec<String>> = rows
                .map(|row| row.0.iter().map(|it| cell(&it.to_json())).collect())
                .collect();
            print_table(&names, &rows)?;
            eprintln!("{} rows in {} ms", rows.len(), answer.elapsed.as_millis());
            let partial = answer.partial.map(|it| it.word());
            return complete(rows.len(), answer.truncated, partial);
        }
        Output::Csv => AnswerFormat::Csv,
        Output::Json | Output::Jsonl => AnswerFormat::JsonLines,
    };
    let running = queries.export_as("sql", query, None).map_err(failed)?;
    let printed = Printed::new(output, Out::new());
    print_all(running, &format, printed, failed).await
}

async fn print_all(
    mut running: Running,
    format: &AnswerFormat,
    mut printed: Printed<impl Write>,
    failed: impl Fn(QueryError) -> anyhow::Error,
) -> Result<()> {
    let mut writer = None;
    let mut epoch = Epoch(0);
    loop {
        let piece = running.next().await.map_err(&failed)?;
        match (piece, &mut writer) {
            (
                Piece::Planned {
                    schema, epoch: of, ..
                },
                _,
            ) => {
                epoch = of;
                writer = Some(AnswerWriter::new(format, &schema).map_err(anyhow::Error::msg)?);
            }
            (Piece::Rows { batch, .. }, Some(writer)) => {
                writer.write(&batch).map_err(anyhow::Error::msg)?;
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
                    printed.add(&writer.finish(&ending).map_err(anyhow::Error::msg)?)?;
                }
                return printed.end();
            }
            (Piece::Rows { .. }, None) => bail!("rows came before their columns"),
        }
    }
}

/// Standard output. That nobody reads it any more is no failure: the program ends as it would by SIGPIPE.
struct Out(std::io::StdoutLock<'static>);

impl Out {
    fn new() -> Self {
        Out(std::io::stdout().lock())
    }
}

fn while_read<T>(result: std::io::Result<T>) -> std::io::Result<T> {
    match &result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            std::process::exit(super::exit::PIPE_CLOSED)
        }
        Ok(_) | Err(_) => result,
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        while_read(self.0.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while_read(self.0.flush())
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

    fn end(mut self) -> Result<()> {
        match (self.output, self.bytes) {
            (Output::Json, 0) => self.to.write_all(b"[]\n")?,
            (Output::Json, _) => self.to.write_all(b"]\n")?,
            (Output::Table | Output::Jsonl | Output::Csv, _) => {}
        }
        Ok(self.to.flush()?)
    }
}

/// A server that could not be asked, with what is behind it: a wrong name is not a server that is down.
pub fn unreachable(server: &str, error: &reqwest::Error) -> anyhow::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    super::exit::coded(
        super::exit::UNREACHABLE,
        format!("could not reach {server}; is it running? ({cause})"),
    )
}

/// What a server says is wrong.
pub fn problem(text: &str) -> String {
    let Ok(problem) = serde_json::from_str::<Value>(text) else {
        return printable(text);
    };
    let detail = problem["detail"].as_str().unwrap_or(text);
    printable(
        &match problem["hint"].as_str().filter(|it| !it.is_empty()) {
            Some(hint) => format!("{detail}; {hint}"),
            None => detail.to_owned(),
        },
    )
}

/// A value in a table. A null is not the text of that name.
fn cell(value: &Value) -> String {
    match value {
        Value::String(it) if it == "NULL" => "\"NULL\"".to_owned(),
        Value::String(it) => printable(it),
        Value::Null => "NULL".to_owned(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            printable(&other.to_string())
        }
    }
}

/// Text from elsewhere, so that it can neither steer a terminal nor break a line or its order: `\n`, `\u{1b}`.
fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match is_steering(character) {
            true => safe.extend(character.escape_default()),
            false => safe.push(character),
        }
    }
    safe
}

/// JSON whose texts cannot steer a terminal either, and which means the same.
pub fn printable_json(value: &Value) -> String {
    let mut safe = String::new();
    for character in value.to_string().chars() {
        match is_steering(character) {
            true => safe.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => safe.push(character),
        }
    }
    safe
}

/// Controls, and what turns the direction of writing around or cannot be seen.
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Rows under their names, in columns.
fn print_table(names: &[String], rows: &[Vec<String>]) -> std::io::Result<()> {
    let width = |at: usize| {
        rows.iter()
            .map(|it| it[at].chars().count())
            .chain([names[at].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let mut out = Out::new();
    let mut line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(it, width)| format!("{it:width$}"))
            .collect();
        writeln!(out, "{}", padded.join("  ").trim_end())
    };
    line(names)?;
    let rule: Vec<String> = widths.iter().map(|it| "-".repeat(*it)).collect();
    line(&rule)?;
    rows.iter().try_for_each(|it| line(it))
}

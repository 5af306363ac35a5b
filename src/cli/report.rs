//! `report`: what a dataflow has stored in a range of time, as text, JSON or a file of HTML; of a running server, or of a lake without one.

use super::command;
use super::exit;
use super::print::{Out, printable, printable_json};
use super::query_limits::QueryLimits;
use super::server::{Refusal, ServerArguments, unreachable, with_hint};
use super::settings::Settings;
use super::shell::as_of::AsOf;
use super::sql::{LakeAlone, Server};
use super::terminal::Layout;
use crate::lake::Manifest;
use crate::model::wall_ms;
use crate::plan::Definitions;
use crate::report::{
    DEFAULT_RANGE, Error, REPORTS, Report, Reporter, Subject, TimeRange, html, known, text,
};
use crate::sql::models::Models;
use crate::sql::query::QueryError;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Arguments {
    /// analytics, anomalies, models, or all.
    #[arg(default_value = "all", value_parser = report_name)]
    report: String,
    /// Range of time, in UTC: 24h, yesterday, last week, 2024-05-12..20, '2024-05-12 14:00 .. 15:30', all. [default: 24h]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true, conflicts_with_all = ["from", "to"])]
    range: Option<String>,
    /// Where the range begins: a day, a time, or now-2h. [default: with the first record]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Where it ends; of a day that is named, with that day. [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// How it is written. [default: as the name of the file says, else as text]
    #[arg(short = 'o', long, value_enum)]
    format: Option<Format>,
    /// Write it into this file.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Report on the newest commit up to a time: -10m, 23:40, 2026-01-31T12:00:00Z, or an epoch.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    as_of: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// Read the tables of this lake instead of asking a server.
    #[arg(long)]
    lake: Option<String>,
    /// With --lake: folder with dataflow.sql, which says what columns mean, or the name of a dataflow in the lake. [default: the lake's only one]
    #[arg(long, requires = "lake", value_name = "FOLDER|NAME")]
    dataflow: Option<String>,
    #[command(flatten)]
    limits: QueryLimits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Html,
}

fn report_name(text: &str) -> Result<String, String> {
    known(text).map(str::to_owned).map_err(|_| {
        let names: Vec<&str> = REPORTS.iter().map(|it| it.0).collect();
        format!("there are: {}", names.join(", "))
    })
}

/// Makes a report and prints it, or writes it into a file.
pub async fn run(arguments: &Arguments, settings: &Settings) -> Result<()> {
    let wrong = |text: String| exit::coded(exit::USAGE, printable(&text));
    let (text_of_range, range) = arguments.range().map_err(wrong)?;
    let as_of = match arguments.as_of.as_deref().map(AsOf::parse) {
        Some(read) => read.map_err(wrong)?,
        None => None,
    };
    let format = arguments.format();
    let report = match &arguments.lake {
        Some(lake) => {
            let alone = LakeAlone::open(lake, &arguments.limits).await?;
            let subject = subject(&alone, arguments.dataflow.as_deref(), settings).await?;
            let reporter = Reporter {
                queries: &alone.queries,
                subject: &subject,
                as_of: as_of.map(|it| it.epoch),
            };
            let report = reporter.report(&arguments.report, &range).await;
            report.map_err(refused)?
        }
        None => {
            let server = Server::new(&arguments.server)?;
            let mut query = vec![("range", text_of_range), ("format", "json".to_owned())];
            query.extend(as_of.map(|it| ("as_of", it.epoch.to_string())));
            asked(&server, &arguments.report, &query).await?
        }
    };
    let written = match format {
        Format::Text => text(&report, Layout::of_stdout().columns),
        Format::Json => {
            let json = serde_json::to_string_pretty(&report)?;
            json.lines().map(|it| printable_json(it) + "\n").collect()
        }
        Format::Html => html(&report),
    };
    let Some(path) = &arguments.output else {
        return Ok(Out::new().write_all(written.as_bytes())?);
    };
    std::fs::write(path, written)
        .with_context(|| format!("could not write the report to {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

impl Arguments {
    /// The range as a text that a server reads as well, and what it means here and now.
    fn range(&self) -> Result<(String, TimeRange), String> {
        let now_us = i64::try_from(wall_ms()).map_or(i64::MAX, |it| it.saturating_mul(1_000));
        match (&self.range, &self.from, &self.to) {
            (None, None, None) => Ok((
                DEFAULT_RANGE.to_owned(),
                TimeRange::parse(DEFAULT_RANGE, now_us)?,
            )),
            (Some(text), _, _) => Ok((text.clone(), TimeRange::parse(text, now_us)?)),
            (None, from, to) => {
                let range = TimeRange::of_ends(from.as_deref(), to.as_deref(), now_us)?;
                Ok((range.text.clone(), range))
            }
        }
    }

    fn format(&self) -> Format {
        let extension = self.output.as_deref().and_then(Path::extension);
        let by_name = match extension.and_then(|it| it.to_str()) {
            Some("html" | "htm") => Format::Html,
            Some("json") => Format::Json,
            _ => Format::Text,
        };
        self.format.unwrap_or(by_name)
    }
}

/// The report of a server.
async fn asked(server: &Server, name: &str, query: &[(&str, String)]) -> Result<Report> {
    let mut url = reqwest::Url::parse(&server.address)?;
    url.path_segments_mut()
        .map_err(|()| anyhow::anyhow!("{} is no address of a server", server.address))?
        .extend(["api", "v1", "reports", name]);
    url.query_pairs_mut().extend_pairs(query);
    let response = server.client.get(url).send().await;
    let response = response.map_err(|it| unreachable(&server.address, &it))?;
    let status = response.status();
    let body = response.text().await;
    let body = body.map_err(|it| unreachable(&server.address, &it))?;
    if !status.is_success() {
        return Err(Refusal::of(status, &body).into());
    }
    serde_json::from_str(&body)
        .with_context(|| format!("what {} answers is not understood", server.address))
}

/// What a lake has to report on.
async fn subject(
    alone: &LakeAlone,
    dataflow: Option<&str>,
    settings: &Settings,
) -> Result<Subject> {
    let wrong = |text: String| exit::coded(exit::CONFIGURATION, text);
    let lake = alone.queries.lake();
    let store = lake.store().context("there is no lake")?;
    let mut manifests = store.newest_manifests().await?;
    manifests.retain(|it| !it.tables.is_empty());
    let names: Vec<String> = manifests.iter().map(|it| it.dataflow.clone()).collect();
    let folder = dataflow
        .map(Path::new)
        .filter(|it| it.join("dataflow.sql").is_file() || it.ends_with("dataflow.sql"));
    if let Some(folder) = folder {
        let models = Models::Committed(alone.address.clone());
        let mut planned = command::load(folder, settings, &models).await?;
        if let (false, [only]) = (planned.is_named, names.as_slice()) {
            planned.name.clone_from(only);
        }
        return Ok(Subject::of_dataflow(&planned));
    }
    let found: Option<&Manifest> = match (dataflow, manifests.as_slice()) {
        (Some(name), all) => all.iter().find(|it| it.dataflow == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let Some(manifest) = found else {
        let there = match names.is_empty() {
            true => "no dataflow has committed anything to it".to_owned(),
            false => format!("it has: {}", names.join(", ")),
        };
        return Err(wrong(match dataflow {
            Some(name) => format!(
                "{name:?} is neither a folder with dataflow.sql nor a dataflow of the lake {}; {there}",
                alone.address
            ),
            None => format!(
                "say which dataflow of the lake {} is reported on with --dataflow; {there}",
                alone.address
            ),
        }));
    };
    let definitions = serde_json::from_value::<Definitions>(manifest.definitions.clone());
    let definitions = definitions.map_err(|it| {
        wrong(format!(
            "what the lake says of its tables is not understood ({it}); name the folder with dataflow.sql with --dataflow"
        ))
    })?;
    let mut schemas = BTreeMap::new();
    for name in manifest.tables.keys() {
        if lake.names().contains(name) {
            let schema = lake.schema(name).await.map_err(anyhow::Error::msg)?;
            schemas.insert(name.clone(), schema);
        }
    }
    Ok(Subject::of_lake(&manifest.dataflow, &definitions, &schemas))
}

/// Why there is no report, with what it means to the shell.
fn refused(error: Error) -> anyhow::Error {
    let code = match &error {
        Error::Refused(_) => exit::USAGE,
        Error::NotPinned(_) | Error::TooLong { .. } => exit::REFUSED,
        Error::Query { source, .. } => match source {
            QueryError::Rejected { .. }
            | QueryError::TooMuchMemory { .. }
            | QueryError::TooMuchDisk { .. }
            | QueryError::RowTooLarge { .. } => exit::REFUSED,
            _ => 1,
        },
        Error::NothingCommitted { .. } => 1,
    };
    exit::coded(code, with_hint(&error.to_string(), &error.hint()))
}

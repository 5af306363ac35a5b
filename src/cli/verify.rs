//! `verify`: the proof of the newest commit, as a report for people or as JSON.

use super::exit;
use super::settings::Settings;
use crate::source::place::Input;
use crate::sql::models::Models;
use crate::verify::{Options, verify};
use anyhow::Result;
use clap::Args;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// Where the demo keeps its data, and where lakes are unless told otherwise.
const DATA_DEFAULT: &str = "./tidelake-data";

#[derive(Args)]
pub struct Arguments {
    /// Folder with dataflow.sql; the demo's if left out.
    dataflow: Option<PathBuf>,
    /// What `tidelake demo --data DIR` wrote: DIR/input and DIR/lake.
    #[arg(long, conflicts_with_all = ["input", "lake"])]
    data: Option<PathBuf>,
    /// The files that were read, if others than the sources state: a folder, FOLDER/PATTERN, or SOURCE=PATH for each.
    #[arg(long, value_name = "[SOURCE=]PATH")]
    input: Vec<Input>,
    /// Folder or s3://bucket/path of the lake. [default: $DELTA_LAKE_PATH, or ./tidelake-data/lake]
    #[arg(long)]
    lake: Option<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Whether the commit is proven.
pub async fn run(arguments: &Arguments, settings: &Settings) -> Result<bool> {
    let options = options(arguments)?;
    let models = Models::Committed(options.lake.clone());
    let dataflow = match &arguments.dataflow {
        Some(folder) => super::command::load(folder, settings, &models).await?,
        None => super::demo::dataflow(settings, &models).await?,
    };
    let report = verify(&dataflow, &options).await?;
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report)? + "\n",
        false => coloured(&report.to_string(), wants_colours()),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(report.is_proven())
}

/// Colours are for terminals, and for those who do not refuse them (no-color.org).
fn wants_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
    std::io::stdout().is_terminal() && !refused
}

/// A report whose marks and verdict can be told apart at a glance.
fn coloured(report: &str, colours: bool) -> String {
    const GREEN: &str = "\u{1b}[32m";
    const YELLOW: &str = "\u{1b}[33m";
    const RED: &str = "\u{1b}[1;31m";
    const PLAIN: &str = "\u{1b}[0m";
    if !colours {
        return report.to_owned();
    }
    let line = |line: &str| {
        for (mark, colour) in [("✓", GREEN), ("?", YELLOW)] {
            if let Some(rest) = line.strip_prefix(mark) {
                return format!("{colour}{mark}{PLAIN}{rest}\n");
            }
        }
        for (begin, colour) in [("✗", RED), ("NOT PROVEN", RED), ("PROVEN", GREEN)] {
            if line.starts_with(begin) {
                return format!("{colour}{line}{PLAIN}\n");
            }
        }
        format!("{line}\n")
    };
    report.lines().map(line).collect()
}

fn options(arguments: &Arguments) -> Result<Options> {
    let environment = |it: &str| std::env::var(it).ok().filter(|it| !it.is_empty());
    let none =
        arguments.dataflow.is_none() && arguments.input.is_empty() && arguments.lake.is_none();
    let data = match &arguments.data {
        Some(data) => Some(data.clone()),
        None => none.then(|| {
            environment("TIDELAKE_DATA")
                .unwrap_or(DATA_DEFAULT.to_owned())
                .into()
        }),
    };
    if let Some(data) = data {
        return Ok(Options {
            lake: data.join("lake").display().to_string(),
            inputs: data.join("input").into(),
        });
    }
    let lake = arguments
        .lake
        .clone()
        .or_else(|| environment("DELTA_LAKE_PATH"));
    let mut inputs = arguments.input.clone();
    if let (true, Some(text)) = (inputs.is_empty(), environment("TIDELAKE_INPUT")) {
        let usage = |reason| exit::coded(exit::USAGE, format!("TIDELAKE_INPUT={text}: {reason}"));
        inputs.push(text.parse().map_err(usage)?);
    }
    Ok(Options {
        lake: lake.unwrap_or_else(|| format!("{DATA_DEFAULT}/lake")),
        inputs: inputs.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_stands_out_on_a_terminal() {
        let report = "✓ log  a\n✗ rows  b\n    found\n\nNOT PROVEN: 1\n";
        assert_eq!(coloured(report, false), report);
        assert_eq!(
            coloured(report, true),
            "\u{1b}[32m✓\u{1b}[0m log  a\n\u{1b}[1;31m✗ rows  b\u{1b}[0m\n    found\n\n\u{1b}[1;31mNOT PROVEN: 1\u{1b}[0m\n"
        );
    }
}

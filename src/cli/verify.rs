//! `verify`: the proof of the newest commit, as a report for people or as JSON.

use super::exit;
use super::settings::Settings;
use crate::http::Prover;
use crate::source::place::Input;
use crate::sql::models::Models;
use crate::verify::{Check, Options, Progress, Report, verify_telling};
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

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
    /// For programs that follow: each check is a line of JSON when it is made, and the report is the last line.
    #[arg(long, conflicts_with = "json", hide = true)]
    json_lines: bool,
}

/// A line of `--json-lines`.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    Check(&'a Check),
    Report(&'a Report),
}

fn print_line(line: &Line<'_>) {
    let text = serde_json::to_string(line).unwrap_or_default();
    println!("{text}");
}

/// Whether the commit is proven.
pub async fn run(arguments: &Arguments, settings: &Settings) -> Result<bool> {
    let options = options(arguments)?;
    let models = Models::Committed(options.lake.clone());
    let dataflow = match &arguments.dataflow {
        Some(folder) => super::command::load(folder, settings, &models).await?,
        None => super::demo::dataflow(settings, &models).await?,
    };
    let progress = match arguments.json_lines {
        true => Progress::to(|it| print_line(&Line::Check(it))),
        false => Progress::default(),
    };
    let report = verify_telling(&dataflow, &options, progress).await?;
    if arguments.json_lines {
        print_line(&Line::Report(&report));
        return Ok(report.is_proven());
    }
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

/// The program that runs, also when the file it was started from has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// What proves the commits of `run`: this program, told what the run was told.
pub fn prover_of_run(settings: &Settings, dataflow: &Path, lake: &str, inputs: &[Input]) -> Prover {
    let mut arguments: Vec<OsString> = vec![dataflow.into()];
    for input in inputs {
        arguments.extend(["--input".into(), input.to_string().into()]);
    }
    arguments.extend(["--lake".into(), lake.into()]);
    prover(settings, arguments)
}

/// What proves the commits of `demo`.
pub fn prover_of_demo(settings: &Settings, data: &Path) -> Prover {
    prover(settings, vec!["--data".into(), data.into()])
}

fn prover(settings: &Settings, what: Vec<OsString>) -> Prover {
    let settings = settings.file().map(|it| ["--config".into(), it.into()]);
    let mut typed: Vec<OsString> = vec!["verify".into()];
    typed.extend(settings.into_iter().flatten());
    typed.extend(what);
    let mut command = "tidelake".to_owned();
    for argument in &typed {
        command.push(' ');
        command.push_str(&quoted(&argument.to_string_lossy()));
    }
    let mut arguments = typed;
    arguments.push("--json-lines".into());
    let program = Path::new(THIS_PROGRAM);
    let program = match program.exists() {
        true => program.to_owned(),
        false => std::env::current_exe().unwrap_or_else(|_| "tidelake".into()),
    };
    Prover {
        program,
        arguments,
        command,
    }
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=@%+,".contains(it);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
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

    #[test]
    fn a_run_is_proved_by_what_it_was_told() {
        let inputs = ["orders=./or ders".parse().expect("an input")];
        let prover = prover_of_run(
            &Settings::default(),
            Path::new("./shop"),
            "s3://bucket/lake",
            &inputs,
        );
        assert_eq!(
            prover.command,
            "tidelake verify ./shop --input 'orders=./or ders' --lake s3://bucket/lake"
        );
        assert_eq!(prover.arguments.last(), Some(&"--json-lines".into()));
        assert!(!prover.command.contains("--json-lines"));
    }
}

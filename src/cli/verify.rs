//! `verify`: the proof of the newest commit, as a report for people or as JSON.
//!
//! Checks of one kind that hold are one line; what does not hold is always told in full.

use super::exit;
use super::progress;
use super::settings::Settings;
use super::table::aligned;
use super::terminal::{Layout, Tone, count, number};
use crate::http::{Program, quoted};
use crate::lake::Store;
use crate::source;
use crate::source::place::Input;
use crate::sql::models::Models;
use crate::verify::{self, Check, Options, Outcome, Progress, Report, verify_telling};
use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names of subjects that a folded line tells.
const SUBJECTS_MAX: usize = 3;
const DRAWN_EVERY: Duration = Duration::from_millis(200);
/// Where the demo keeps its data, and where lakes are unless told otherwise.
const DATA_DEFAULT: &str = "./tidelake-data";

#[derive(Args)]
pub struct Arguments {
    /// Folder with dataflow.sql; the demo's if left out.
    dataflow: Option<PathBuf>,
    /// What `tidelake demo --data DIR` wrote: DIR/input and DIR/lake.
    #[arg(long, conflicts_with_all = ["input", "lake"])]
    data: Option<PathBuf>,
    /// The files that were read, if others than the sources state: a folder, a file, FOLDER/PATTERN, or SOURCE=PATH for each.
    #[arg(long, value_name = "[SOURCE=]PATH")]
    input: Vec<Input>,
    /// Folder or s3://bucket/path of the lake. [default: $DELTA_LAKE_PATH, or ./tidelake-data/lake]
    #[arg(long)]
    lake: Option<String>,
    /// Each check on a line of its own, with what was compared.
    #[arg(long, short)]
    verbose: bool,
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
enum JsonLine<'a> {
    Check(&'a Check),
    Report(&'a Report),
}

fn print_line(line: &JsonLine<'_>) {
    let text = serde_json::to_string(line).unwrap_or_default();
    println!("{text}");
}

/// Whether the commit is proven.
pub async fn run(arguments: &Arguments, settings: &Settings) -> Result<bool> {
    let options = options(arguments)?;
    let models = Models::Committed(options.lake.clone());
    let dataflow = match &arguments.dataflow {
        Some(folder) => super::command::load(folder, settings, &models).await?,
        None => {
            let demo = super::demo::dataflow(settings, &models).await?;
            if let Some(reason) = of_others(&options.lake, &demo.name).await {
                return Err(exit::coded(exit::USAGE, reason));
            }
            demo
        }
    };
    let line = match arguments.json || arguments.json_lines {
        true => ProgressBar::hidden(),
        false => progress::line("{elapsed}  {wide_msg}", None),
    };
    let told = match arguments.json_lines {
        true => Progress::to(|it| print_line(&JsonLine::Check(it))),
        false => {
            let line = line.clone();
            Progress::to(move |it| {
                line.inc(1);
                let made = count(line.position(), "check");
                line.set_message(format!("{made}  {} {}", it.name, it.subject));
            })
        }
    };
    // Some checks take longer than one waits without a sign of life.
    if !line.is_hidden() {
        line.enable_steady_tick(DRAWN_EVERY);
    }
    let report = verify_telling(&dataflow, &options, told).await;
    line.finish_and_clear();
    let report = report.map_err(|it| with_input(it, !arguments.input.is_empty()))?;
    if arguments.json_lines {
        print_line(&JsonLine::Report(&report));
        return Ok(report.is_proven());
    }
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report)? + "\n",
        false => text(&report, arguments.verbose, Layout::of_stdout()),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(report.is_proven())
}

/// What kept a proof from being tried. A source that is not where its statement says may have been read elsewhere, unless that `is_said`.
fn with_input(error: verify::Error, is_said: bool) -> anyhow::Error {
    let is_away = matches!(
        error,
        verify::Error::Source(source::Error::Away { .. } | source::Error::NoFolder { .. })
    );
    let error = anyhow::Error::new(error);
    match is_away && !is_said {
        true => error.context("no --input was given, so sources are read where they say; if the pipeline was run with one, give the same"),
        false => error,
    }
}

/// Why a lake cannot be held against the dataflow that is meant where none is named: it has others, and not that one. What cannot be read is for the
/// proof to tell.
async fn of_others(lake: &str, meant: &str) -> Option<String> {
    let found = Store::open_existing(lake).ok()?;
    let found = found.newest_manifests().await.ok()?;
    let found: Vec<&str> = found.iter().map(|it| it.dataflow.as_str()).collect();
    name_one_of(lake, meant, &found)
}

fn name_one_of(lake: &str, meant: &str, found: &[&str]) -> Option<String> {
    if found.is_empty() || found.contains(&meant) {
        return None;
    }
    Some(format!(
        "{lake} has no dataflow {meant:?}, which is the demo's; it has {}: name the folder with its dataflow.sql, as in `tidelake verify FOLDER`",
        found.join(", ")
    ))
}

/// The report, with marks that can be told apart at a glance.
fn text(report: &Report, verbose: bool, layout: Layout) -> String {
    let lines = match verbose {
        true => report.checks.iter().map(Line::of).collect(),
        false => folded(&report.checks),
    };
    let columns = lines.iter().map(|it| {
        let it = [it.name, &it.subject, &it.compared];
        it.map(str::to_owned)
    });
    let mut text = report.heading() + "\n";
    for (it, line) in lines.iter().zip(aligned(columns)) {
        let tone = match it.outcome {
            Outcome::Holds => Tone::Good,
            Outcome::Fails => Tone::Bad,
            Outcome::Unknown => Tone::Warning,
            Outcome::Note => Tone::Plain,
        };
        let mark = layout.toned(tone, &it.outcome.mark().to_string());
        let line = match it.outcome {
            Outcome::Fails => layout.toned(tone, &line),
            _ => line,
        };
        text += &format!("{mark} {line}\n");
        for detail in &it.details {
            text += &format!("{detail}\n");
        }
    }
    let tone = if report.is_proven() {
        Tone::Good
    } else {
        Tone::Bad
    };
    text + "\n" + &layout.toned(tone, &report.verdict()) + "\n"
}

/// A line of the report, and those below it.
struct Line {
    outcome: Outcome,
    name: &'static str,
    subject: String,
    compared: String,
    details: Vec<String>,
}

impl Line {
    fn of(check: &Check) -> Self {
        Line {
            outcome: check.outcome,
            name: check.name,
            subject: check.subject.clone(),
            compared: check.compared.clone(),
            details: check.details().collect(),
        }
    }
}

/// One line for each kind of check that holds; the others stand behind it.
fn folded(checks: &[Check]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for check in checks {
        if names.contains(&check.name) {
            continue;
        }
        names.push(check.name);
        let of_kind: Vec<&Check> = checks.iter().filter(|it| it.name == check.name).collect();
        let (holding, others): (Vec<&Check>, Vec<&Check>) = of_kind
            .iter()
            .copied()
            .partition(|it: &&Check| it.outcome == Outcome::Holds && it.findings.is_empty());
        match holding.as_slice() {
            [] => {}
            [one] => lines.push(Line::of(one)),
            [first, ..] => {
                let all = match others.is_empty() {
                    true => number(holding.len() as u64),
                    false => format!("{} of {}", holding.len(), of_kind.len()),
                };
                let mut subjects: Vec<&str> =
                    holding.iter().map(|it| it.subject.as_str()).collect();
                subjects.truncate(SUBJECTS_MAX);
                let more = match holding.len() - subjects.len() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                lines.push(Line {
                    outcome: Outcome::Holds,
                    name: first.name,
                    subject: all,
                    compared: format!("{}{more}", subjects.join(", ")),
                    details: Vec::new(),
                });
            }
        }
        lines.extend(others.into_iter().map(Line::of));
    }
    lines
}

/// The program that runs, also when the file it was started from has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// What proves the commits of `run`: this program, told what the run was told.
pub fn prover_of_run(
    settings: &Settings,
    dataflow: &Path,
    lake: &str,
    inputs: &[Input],
) -> Program {
    let mut arguments: Vec<OsString> = vec![dataflow.into()];
    for input in inputs {
        arguments.extend(["--input".into(), input.to_string().into()]);
    }
    arguments.extend(["--lake".into(), lake.into()]);
    prover(settings, arguments)
}

/// What proves the commits of `demo`.
pub fn prover_of_demo(settings: &Settings, data: &Path) -> Program {
    prover(settings, vec!["--data".into(), data.into()])
}

fn prover(settings: &Settings, what: Vec<OsString>) -> Program {
    let mut program = this_program("verify", settings, what);
    program.arguments.push("--json-lines".into());
    program
}

/// This program with one of its commands, and the settings of the server.
pub fn this_program(command: &str, settings: &Settings, what: Vec<OsString>) -> Program {
    let settings = settings.file().map(|it| ["--config".into(), it.into()]);
    let mut arguments: Vec<OsString> = vec![command.into()];
    arguments.extend(settings.into_iter().flatten());
    arguments.extend(what);
    let mut command = "tidelake".to_owned();
    for argument in &arguments {
        command.push(' ');
        command.push_str(&quoted(&argument.to_string_lossy()));
    }
    let program = Path::new(THIS_PROGRAM);
    let program = match program.exists() {
        true => program.to_owned(),
        false => std::env::current_exe().unwrap_or_else(|_| "tidelake".into()),
    };
    Program {
        program,
        arguments,
        command,
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
    fn a_lake_of_other_dataflows_is_not_held_against_the_demo() {
        assert_eq!(name_one_of("./lake", "web_logs", &[]), None);
        let both = ["shop", "web_logs"];
        assert_eq!(name_one_of("./lake", "web_logs", &both), None);
        let reason = name_one_of("./lake", "web_logs", &["shop"]).expect("it is another one");
        assert!(reason.contains("it has shop: name the folder"), "{reason}");
    }

    #[test]
    fn a_source_that_is_not_where_it_says_asks_for_the_input() {
        let away = || {
            verify::Error::Source(source::Error::Away {
                name: "logs".to_owned(),
                reason: "brokers do not answer".to_owned(),
            })
        };
        let said = format!("{:#}", with_input(away(), false));
        assert!(said.contains("give the same"), "{said}");
        assert!(said.contains("brokers do not answer"), "{said}");
        let with_one = format!("{:#}", with_input(away(), true));
        assert!(!with_one.contains("--input"), "{with_one}");
    }

    fn check(name: &'static str, subject: &str, outcome: Outcome) -> Check {
        Check {
            name,
            subject: subject.to_owned(),
            outcome,
            compared: format!("rows of {subject}"),
            findings: match outcome {
                Outcome::Fails => vec!["a row is gone".to_owned()],
                _ => Vec::new(),
            },
            meaning: None,
        }
    }

    #[test]
    fn what_holds_is_folded_and_what_fails_is_told() {
        let checks = [
            check("log", "a", Outcome::Holds),
            check("log", "b", Outcome::Holds),
            check("log", "c", Outcome::Holds),
            check("log", "d", Outcome::Holds),
            check("view", "e", Outcome::Holds),
            check("view", "f", Outcome::Fails),
            check("view", "g", Outcome::Holds),
            check("source", "s", Outcome::Holds),
        ];
        let lines = folded(&checks).into_iter().map(|it| {
            let mark = it.outcome.mark();
            format!(
                "{mark} {} | {} | {} | {}",
                it.name,
                it.subject,
                it.compared,
                it.details.join(";")
            )
        });
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                "✓ log | 4 | a, b, c and 1 more | ",
                "✓ view | 2 of 3 | e, g | ",
                "✗ view | f | rows of f |     a row is gone",
                "✓ source | s | rows of s | ",
            ]
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

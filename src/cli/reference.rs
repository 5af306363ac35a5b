//! `reference`: chapters of the documentation that follow from the code.
//!
//! Functions, options, settings and the API are told where they are defined; here they become Markdown. The committed chapters are
//! held against it by tests, so that none of them can be older than the code.

use super::command;
use crate::http;
use crate::sql::reference;
use clap::builder::ValueRange;
use clap::{Arg, Command, ValueEnum};
use serde_json::Value;
use std::fmt::Write;

/// A chapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Chapter {
    /// Functions of SQL.
    Functions,
    /// Options of statements.
    Options,
    /// Commands, flags, environment variables and keys of tidelake.toml.
    Settings,
    /// Addresses of the API.
    Api,
}

impl Chapter {
    #[cfg(test)]
    fn file(self) -> &'static str {
        match self {
            Chapter::Functions => "reference-functions.md",
            Chapter::Options => "reference-options.md",
            Chapter::Settings => "reference-settings.md",
            Chapter::Api => "reference-api.md",
        }
    }
}

/// The chapter in Markdown.
pub fn text(chapter: Chapter) -> String {
    match chapter {
        Chapter::Functions => reference::functions_chapter(),
        Chapter::Options => reference::options_chapter(),
        Chapter::Settings => settings(),
        Chapter::Api => api(&http::openapi_document()),
    }
}

/// Commands that run a pipeline and share most of their flags.
const PIPELINES: [&str; 3] = ["run", "up", "demo"];

fn settings() -> String {
    let mut text = "# Commands and settings\n\nA flag comes before its environment variable, that before `tidelake.toml` (or the file of `--config`), and that before the default. \
        An empty variable counts as not set. Keys of the file are the long names of flags: those of `run`, `up` and `demo` stand at its top, those of another command in a table of its name. \
        `[variables]` holds what `${NAME}` means in `dataflow.sql`, `[[auth.users]]` the users of the server.\n\n\
        ```toml\nworkers = 4\nlake = \"s3://logs/lake\"\n\n[variables]\nKAFKA_BROKERS = \"kafka:9092\"\n\n[sql]\nserver = \"http://logs:4000\"\n```\n\n\
        A key that no command has, a value out of range and a variable that no dataflow asks for are errors. The port can also be given as `PORT`, and the log's level as `TIDELAKE_LOG` \
        (`tidelake=debug`, as in `RUST_LOG`).\n".to_owned();
    let definition = command::definition();
    let command = |name: &str| definition.find_subcommand(name);
    let shared: Vec<&Arg> = command(PIPELINES[0])
        .map(|run| {
            let everywhere = |arg: &&Arg| {
                PIPELINES.iter().all(|name| {
                    let mut others = command(name).into_iter().flat_map(Command::get_arguments);
                    others.any(|it| same(it, arg))
                })
            };
            run.get_arguments().filter(everywhere).collect()
        })
        .unwrap_or_default();
    text += "\n## Every command\n\n";
    text += &flags(definition.get_arguments());
    text += "\n## Pipelines: run, up and demo\n\n";
    text += &flags(shared.iter().copied());
    for sub in definition.get_subcommands() {
        describe(&mut text, sub, "tidelake", &shared);
    }
    text
}

fn same(one: &Arg, other: &Arg) -> bool {
    one.get_id() == other.get_id() && one.get_default_values() == other.get_default_values()
}

fn describe(text: &mut String, command: &Command, before: &str, shared: &[&Arg]) {
    if command.is_hide_set() {
        return;
    }
    let name = format!("{before} {}", command.get_name());
    let about = command.get_long_about().or(command.get_about());
    let about = sentence(&about.map(ToString::to_string).unwrap_or_default());
    let _ = write!(text, "\n## {name}\n\n{about}\n");
    let own = command
        .get_arguments()
        .filter(|arg| !shared.iter().any(|it| same(it, arg)));
    let own: Vec<&Arg> = own.collect();
    if own.iter().any(|it| is_told(it)) {
        let _ = write!(text, "\n{}", flags(own.into_iter()));
    }
    if PIPELINES.contains(&command.get_name()) {
        text.push_str("\nAnd the flags of all pipelines.\n");
    }
    for sub in command.get_subcommands() {
        describe(text, sub, &name, shared);
    }
}

fn is_told(arg: &Arg) -> bool {
    !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
}

/// A table of flags.
fn flags<'a>(all: impl Iterator<Item = &'a Arg>) -> String {
    let mut text = "| flag | variable | default | meaning |\n|---|---|---|---|\n".to_owned();
    for arg in all.filter(|it| is_told(it)) {
        let name = match (arg.get_long(), arg.get_short()) {
            (Some(long), Some(short)) => format!("-{short}, --{long}"),
            (Some(long), None) => format!("--{long}"),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => value_name(arg),
        };
        let takes = arg.get_long().is_some() && arg.get_action().takes_values();
        let name = match takes && arg.get_num_args() != Some(ValueRange::EMPTY) {
            true => format!("{name} {}", value_name(arg)),
            false => name,
        };
        let variable = arg
            .get_env()
            .map(|it| format!("`{}`", it.to_string_lossy()));
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        // Where the default is computed, the help says what it is.
        let (help, told) = match help.split_once(" [default: ") {
            Some((help, default)) => (
                help.to_owned(),
                default.strip_suffix(']').map(str::to_owned),
            ),
            None => (help, None),
        };
        let stated: Vec<_> = arg
            .get_default_values()
            .iter()
            .map(|it| it.to_string_lossy())
            .collect();
        let default = match takes && !stated.is_empty() {
            true => format!("`{}`", stated.join(",")),
            false => told.unwrap_or_default(),
        };
        let possible: Vec<String> = match takes || arg.get_long().is_none() {
            true => arg
                .get_possible_values()
                .iter()
                .filter(|it| !it.is_hide_set())
                .map(|it| format!("`{}`", it.get_name()))
                .collect(),
            false => Vec::new(),
        };
        let possible = match possible.is_empty() {
            true => String::new(),
            false => format!(" One of {}.", possible.join(", ")),
        };
        let help = format!("{}{possible}", sentence(&help))
            .replace('|', "\\|")
            .replace('\n', " ");
        let name = name.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{name}` | {} | {default} | {help} |",
            variable.unwrap_or_default()
        );
    }
    text
}

/// Clap takes the full stop from what is one sentence.
fn sentence(text: &str) -> String {
    let is_whole = text.is_empty() || text.ends_with(['.', '?', '!', ':']);
    let end = if is_whole { "" } else { "." };
    format!("{text}{end}")
}

fn value_name(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some([name, ..]) => name.to_string(),
        Some([]) | None => arg.get_id().as_str().to_uppercase(),
    }
}

fn api(document: &Value) -> String {
    let mut text = "# API reference\n\nAll addresses, from the OpenAPI document that the server has at `/api/v1/openapi.json`, with the role that a server with users asks for. \
        [The HTTP API](http-api.md) tells how to use them.\n\n| method | address | role | what |\n|---|---|---|---|\n".to_owned();
    let operations: Vec<(&str, &String, &Value)> = document["paths"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(path, operations)| {
            let operations = operations.as_object().into_iter().flatten();
            operations.map(move |(method, it)| (path.as_str(), method, it))
        })
        .collect();
    for (path, method, operation) in &operations {
        let role = operation["x-role"].as_str().unwrap_or("anyone");
        let summary = operation["summary"]
            .as_str()
            .unwrap_or_default()
            .replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{}` | `{path}` | {role} | {summary} |",
            method.to_uppercase()
        );
    }
    text += "\nThese have no description in the document:\n\n| method | address | role |\n|---|---|---|\n";
    for (method, path, role) in http::described_roles() {
        let described = operations.iter().any(|it| it.0 == path);
        if !described {
            let _ = writeln!(text, "| `{method}` | `{path}` | {role} |");
        }
    }
    text += "\n## Parameters\n\nA parameter that an address does not have, or of a value beyond its bounds, is refused with what there is.\n";
    for (path, method, operation) in &operations {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let asked: Vec<&Value> = parameters.filter(|it| it["in"] == "query").collect();
        if asked.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "\n### {} {path}\n\n| parameter | meaning |\n|---|---|\n",
            method.to_uppercase()
        );
        for it in asked {
            let name = it["name"].as_str().unwrap_or_default();
            let about = it["description"]
                .as_str()
                .unwrap_or_default()
                .replace('|', "\\|");
            let schema = &it["schema"];
            let bound = |key: &str| schema[key].as_f64().map(|it| it.to_string());
            let bounds = match (bound("minimum"), bound("maximum")) {
                (Some(least), Some(most)) => format!(" ({least} to {most})"),
                _ => String::new(),
            };
            let _ = writeln!(text, "| `{name}` | {about}{bounds} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_committed_chapters_are_those_of_this_code() {
        let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/book");
        let mut older = Vec::new();
        for chapter in Chapter::value_variants() {
            let committed = std::fs::read_to_string(book.join(chapter.file())).unwrap_or_default();
            if committed != text(*chapter) {
                older.push(chapter.file());
            }
        }
        assert!(
            older.is_empty(),
            "docs/book/ has older chapters than the code: {older:?}; run docs/generate target/release/tidelake"
        );
    }

    #[test]
    fn a_setting_is_told_with_its_variable_and_default() {
        let text = settings();
        let workers = text
            .lines()
            .find(|it| it.starts_with("| `--workers"))
            .unwrap();
        assert_eq!(
            workers,
            "| `--workers WORKERS` | `TIDELAKE_WORKERS` | `2` | Timely workers. |"
        );
        assert!(text.contains("## tidelake model import"), "{text}");
    }
}

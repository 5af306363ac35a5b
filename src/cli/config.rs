//! `tidelake config`: which settings are in force, and where each was said.
//!
//! What is printed is a settings file again: `tidelake config show > tidelake.toml` states what holds now.

use super::exit;
use super::settings::{Origin, Settings, variables_of};
use crate::model::secret;
use anyhow::Result;
use clap::{Arg, ArgAction, Command, Subcommand, ValueEnum};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum What {
    /// Prints the settings in force, as a settings file.
    #[command(
        after_help = "Examples:\n  tidelake config show --origin\n  tidelake config show dataflows/web_logs --origin\n  tidelake config show --for sql -o json\n\nFlags that are typed come before all of this. Passwords and tokens are shown as ***."
    )]
    Show {
        /// Folder of a dataflow, whose variables are shown, too.
        dataflow: Option<PathBuf>,
        /// Of which command.
        #[arg(long = "for", value_name = "COMMAND", default_value = "run")]
        command: String,
        /// Say of each where it comes from.
        #[arg(long)]
        origin: bool,
        /// As a settings file, or as JSON.
        #[arg(short, long, default_value = "toml")]
        output: Output,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Toml,
    Json,
}

/// Flags that say nothing of how things are done.
const NO_SETTINGS: [&str; 3] = ["config", "help", "version"];
/// Longer lines do not move the origins of all others to the right.
const WIDE: usize = 50;

/// A setting that is in force, or that could be set.
#[derive(Debug, PartialEq)]
struct Setting {
    name: String,
    /// Nothing if it has no value.
    values: Option<Vec<String>>,
    /// Whether it may have several.
    is_list: bool,
    origin: Origin,
}

pub fn run(what: &What, settings: &Settings, definition: &Command) -> Result<()> {
    let What::Show {
        dataflow,
        command,
        origin,
        output,
    } = what;
    let found = Found::of(dataflow.as_deref(), command, settings, definition)?;
    let shown = match output {
        Output::Json => found.as_json(),
        Output::Toml => found.as_toml(*origin),
    };
    print!("{}", secret::redact(&shown));
    Ok(())
}

/// All settings of a command, and the variables of a dataflow.
pub struct Found {
    file: Option<String>,
    flags: Vec<Setting>,
    variables: Vec<Setting>,
}

impl Found {
    /// Looks for them.
    ///
    /// # Errors
    /// If there is no such command, or the dataflow cannot be read.
    pub fn of(
        dataflow: Option<&Path>,
        command: &str,
        settings: &Settings,
        definition: &Command,
    ) -> Result<Self> {
        let known = definition.find_subcommand(command).ok_or_else(|| {
            let all: Vec<&str> = definition
                .get_subcommands()
                .map(Command::get_name)
                .collect();
            let text = format!(
                "there is no command {command}; there are {}",
                all.join(", ")
            );
            exit::coded(exit::USAGE, text)
        })?;
        let flags = known
            .get_arguments()
            .filter(|it| !it.is_hide_set())
            .filter(|it| it.get_long().is_some_and(|it| !NO_SETTINGS.contains(&it)))
            .map(|it| of_flag(command, it, settings))
            .collect();
        let variables = match dataflow {
            Some(path) => of_dataflow(path, settings)?,
            None => Vec::new(),
        };
        Ok(Found {
            file: settings.file().map(str::to_owned),
            flags,
            variables,
        })
    }

    fn as_json(&self) -> String {
        let rows = |all: &[Setting]| -> serde_json::Value {
            let one = |it: &Setting| {
                let value = match (&it.values, it.is_list) {
                    (None, _) => serde_json::Value::Null,
                    (Some(values), true) => values.clone().into(),
                    (Some(values), false) => values.concat().into(),
                };
                json!({ "name": it.name, "value": value, "origin": it.origin.to_string() })
            };
            all.iter().map(one).collect()
        };
        let all = json!({ "file": self.file, "settings": rows(&self.flags), "variables": rows(&self.variables) });
        format!("{all:#}\n")
    }

    /// As a settings file.
    pub fn as_toml(&self, with_origin: bool) -> String {
        let mut text = match &self.file {
            Some(file) => format!("# Settings file: {file}\n"),
            None => "# There is no settings file.\n".to_owned(),
        };
        text += &lines(&self.flags, with_origin);
        if !self.variables.is_empty() {
            text += "\n[variables]\n";
            text += &lines(&self.variables, with_origin);
        }
        text
    }
}

fn lines(all: &[Setting], with_origin: bool) -> String {
    let mut text = String::new();
    let assigned: Vec<String> = all.iter().map(assignment).collect();
    let widths = assigned.iter().map(|it| it.chars().count());
    let width = widths.filter(|it| *it <= WIDE).max().unwrap_or(0);
    for (setting, line) in all.iter().zip(assigned) {
        let _ = match with_origin {
            true => writeln!(text, "{line:width$}  # {}", setting.origin),
            false => writeln!(text, "{line}"),
        };
    }
    text
}

/// A flag without anything typed: its variable of the environment, else the file, else its default.
fn of_flag(command: &str, arg: &Arg, settings: &Settings) -> Setting {
    let name = arg.get_long().unwrap_or_default().to_owned();
    let takes_none = matches!(arg.get_action(), ArgAction::SetTrue);
    let variable = arg.get_env().map(|it| it.to_string_lossy().into_owned());
    let from_environment = variable.and_then(|it| {
        let value = std::env::var(&it).ok().filter(|it| !it.is_empty())?;
        let values = match arg.get_value_delimiter() {
            Some(delimiter) => value.split(delimiter).map(str::to_owned).collect(),
            None => vec![value],
        };
        Some((values, Origin::Environment(it)))
    });
    let from_file = || {
        let values = settings.values_of(command, &name)?;
        Some((
            values,
            Origin::File(settings.file().unwrap_or_default().to_owned()),
        ))
    };
    let default = || {
        let values: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|it| it.to_string_lossy().into_owned())
            .collect();
        (!values.is_empty()).then_some((values, Origin::Default))
    };
    let found = from_environment.or_else(from_file).or_else(default);
    let (values, origin) = match found {
        Some((values, origin)) => (Some(values), origin),
        None if takes_none => (Some(vec!["false".to_owned()]), Origin::Default),
        None => (None, Origin::Default),
    };
    if let Some(values) = &values {
        values
            .iter()
            .for_each(|it| secret::conceal_if_secret(&name.replace('-', "_"), it));
    }
    Setting {
        name,
        values,
        is_list: arg.get_value_delimiter().is_some()
            || matches!(arg.get_action(), ArgAction::Append),
        origin,
    }
}

/// The variables that a dataflow asks for.
fn of_dataflow(path: &Path, settings: &Settings) -> Result<Vec<Setting>> {
    let file = match path.is_dir() {
        true => path.join("dataflow.sql"),
        false => path.to_owned(),
    };
    let text = std::fs::read_to_string(&file).map_err(|it| {
        exit::coded(
            exit::DATAFLOW,
            format!("could not read {}: {it}", file.display()),
        )
    })?;
    let found = variables_of(&text).into_iter().map(|(name, default)| {
        let (value, origin) = match settings.variable_and_origin(&name) {
            Some((value, origin)) => (Some(value), origin),
            None => (default, Origin::Dataflow),
        };
        value
            .iter()
            .for_each(|it| secret::conceal_if_secret(&name, it));
        Setting {
            name,
            values: value.map(|it| vec![it]),
            is_list: false,
            origin,
        }
    });
    Ok(found.collect())
}

/// `name = value`, as TOML has it; one without a value is a comment.
fn assignment(setting: &Setting) -> String {
    let Some(values) = &setting.values else {
        return format!("# {} =", setting.name);
    };
    // What reads as a number or a truth value is the same text again; any other text is quoted as JSON quotes it, which TOML reads.
    let is_plain = |it: &str| {
        let is_number = it
            .parse::<i64>()
            .is_ok_and(|number| number.to_string() == it);
        let number = it.parse::<f64>().ok().filter(|number| number.is_finite());
        let is_fraction = it.contains('.') && number.is_some_and(|number| number.to_string() == it);
        is_number || is_fraction || ["true", "false"].contains(&it)
    };
    let one = |it: &String| match is_plain(it) {
        true => it.clone(),
        false => serde_json::Value::from(it.as_str()).to_string(),
    };
    match setting.is_list {
        true => {
            let values: Vec<String> = values.iter().map(one).collect();
            format!("{} = [{}]", setting.name, values.join(", "))
        }
        false => format!(
            "{} = {}",
            setting.name,
            values.iter().map(one).collect::<String>()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file: &str, dataflow: &str) -> String {
        let settings = Settings::parse(file).expect("settings");
        let command = Command::new("tidelake").subcommand(
            Command::new("run")
                .arg(Arg::new("workers").long("workers").default_value("2"))
                .arg(Arg::new("lake").long("lake").env("PATH"))
                .arg(Arg::new("cors").long("cors").value_delimiter(','))
                .arg(
                    Arg::new("take")
                        .long("take-over")
                        .action(ArgAction::SetTrue),
                )
                .arg(Arg::new("memory").long("memory-max")),
        );
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("dataflow.sql"), dataflow).expect("written");
        let found = Found::of(Some(folder.path()), "run", &settings, &command);
        found.expect("it can be read").as_toml(true)
    }

    #[test]
    fn each_setting_tells_where_it_comes_from_and_is_a_setting_again() {
        let file = "workers = 4\ncors = [\"https://a\", \"https://b\"]\n[variables]\nTIDELAKE_TEST_X = \"5\"\n";
        let dataflow =
            "-- ${TIDELAKE_TEST_X} ${TIDELAKE_TEST_Y:-a 'b'} ${TIDELAKE_TEST_Z} ${TIDELAKE_TEST_X}";
        let text = shown(file, dataflow);
        for line in [
            "workers = 4",
            "# the settings file",
            "cors = [\"https://a\", \"https://b\"]",
            "take-over = false",
            "# memory-max =",
            "# environment variable PATH",
            "TIDELAKE_TEST_X = 5",
            "TIDELAKE_TEST_Y = \"a 'b'\"",
            "# TIDELAKE_TEST_Z =",
            "# dataflow.sql",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        let again = Settings::parse(&text).expect("it is a settings file");
        assert_eq!(
            again.values_of("run", "workers"),
            Some(vec!["4".to_owned()])
        );
        assert_eq!(again.variable("TIDELAKE_TEST_Y").as_deref(), Some("a 'b'"));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let text = shown("", "'${TIDELAKE_TEST_PASSWORD:-hunter2-hunter2}'");
        assert!(text.contains("hunter2-hunter2"));
        assert!(
            !secret::redact(&text).contains("hunter2"),
            "{}",
            secret::redact(&text)
        );
    }
}

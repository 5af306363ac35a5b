//! Settings from a file: `tidelake.toml` beside where the command runs, or the file that `--config` names.
//!
//! ```toml
//! workers = 4                       # names are those of the long flags of `run`, `up` and `demo`
//! lake = "s3://logs/lake"
//! [variables]                       # what `${NAME}` means in dataflow.sql
//! KAFKA_BROKERS = "kafka:9092"
//! [sql]                             # flags of one command
//! server = "http://logs:4000"
//! ```
//!
//! A flag comes before its environment variable, that before the file, the file before the default. A key that no
//! command knows is an error: a misspelt setting must not be a silent default.

use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where settings are looked for when nothing else is said.
const DEFAULT_FILE: &str = "tidelake.toml";
/// The table of the file that holds variables of dataflows.
const VARIABLES: &str = "variables";

/// Commands for which flags count that stand in no table.
const PIPELINES: [&str; 3] = ["demo", "run", "up"];

/// What the file says.
#[derive(Debug, Default)]
pub struct Settings {
    /// Values by long flag, for all commands that run a pipeline.
    flags: BTreeMap<String, String>,
    /// Values by command and long flag.
    of_command: BTreeMap<String, BTreeMap<String, String>>,
    variables: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the file that the arguments or `TIDELAKE_CONFIG` name, or the default one if it is there.
    ///
    /// # Errors
    /// If a named file cannot be read, or a file is not understood.
    pub fn find(arguments: &[OsString]) -> Result<Settings> {
        let named = arguments
            .iter()
            .position(|it| it == "--config")
            .and_then(|it| arguments.get(it + 1))
            .map(PathBuf::from)
            .or_else(|| {
                let joined = arguments.iter().filter_map(|it| it.to_str());
                let mut joined = joined.filter_map(|it| it.strip_prefix("--config="));
                joined.next().map(PathBuf::from)
            })
            .or_else(|| std::env::var_os("TIDELAKE_CONFIG").map(PathBuf::from));
        match named {
            Some(path) => Settings::read(&path),
            None if Path::new(DEFAULT_FILE).exists() => Settings::read(Path::new(DEFAULT_FILE)),
            None => Ok(Settings::default()),
        }
    }

    fn read(path: &Path) -> Result<Settings> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read settings from {}", path.display()))?;
        Settings::parse(&text)
            .with_context(|| format!("settings in {} are not understood", path.display()))
    }

    fn parse(text: &str) -> Result<Settings> {
        let table: toml::Table = text.parse()?;
        let mut settings = Settings::default();
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) => {
                    let mut values = BTreeMap::new();
                    for (name, value) in inner {
                        let value = plain(&name, value)?;
                        values.insert(name, value);
                    }
                    if key == VARIABLES {
                        settings.variables = values;
                    } else {
                        settings.of_command.insert(key, values);
                    }
                }
                value => {
                    let value = plain(&key, value)?;
                    settings.flags.insert(key, value);
                }
            }
        }
        Ok(settings)
    }

    /// The command line with the file's values as defaults.
    ///
    /// # Errors
    /// If the file has a key that is no flag of any command.
    pub fn apply(&self, mut command: clap::Command) -> Result<clap::Command> {
        let mut known: BTreeSet<String> = BTreeSet::new();
        let names: Vec<String> = command
            .get_subcommands()
            .map(|it| it.get_name().to_owned())
            .collect();
        let mut unknown = Vec::new();
        for name in &names {
            let own = self.of_command.get(name);
            let general = PIPELINES.contains(&name.as_str()).then_some(&self.flags);
            let mut flags = BTreeSet::new();
            command = command.mut_subcommand(name.clone(), |sub| {
                sub.mut_args(|arg| {
                    let Some(flag) = arg.get_long().map(str::to_owned) else {
                        return arg;
                    };
                    flags.insert(flag.clone());
                    let value = own.and_then(|it| it.get(&flag));
                    match value.or_else(|| general.and_then(|it| it.get(&flag))) {
                        Some(value) => arg.default_value(value.clone()).required(false),
                        None => arg,
                    }
                })
            });
            let keys = own.into_iter().flat_map(|it| it.keys());
            unknown.extend(
                keys.filter(|it| !flags.contains(*it))
                    .map(|it| format!("{name}.{it}")),
            );
            if general.is_some() {
                known.extend(flags);
            }
        }
        unknown.extend(self.flags.keys().filter(|it| !known.contains(*it)).cloned());
        unknown.extend(
            self.of_command
                .keys()
                .filter(|it| !names.contains(it))
                .map(|it| format!("[{it}]")),
        );
        if let Some(key) = unknown.first() {
            let known: Vec<String> = known.into_iter().collect();
            bail!(
                "the settings file has `{key}`, which no command knows; possible are {}, tables named like a command, and [{VARIABLES}]",
                known.join(", ")
            );
        }
        Ok(command)
    }

    /// What `${name}` means in a dataflow: the environment comes first.
    pub fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name)
            .ok()
            .or_else(|| self.variables.get(name).cloned())
    }
}

fn plain(key: &str, value: toml::Value) -> Result<String> {
    Ok(match value {
        toml::Value::String(it) => it,
        toml::Value::Integer(it) => it.to_string(),
        toml::Value::Float(it) => it.to_string(),
        toml::Value::Boolean(it) => it.to_string(),
        other => bail!(
            "`{key}` is {}; a text, a number, true or false is possible",
            other.type_str()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, Command};

    fn command() -> Command {
        let workers = Arg::new("workers")
            .long("workers")
            .env("TIDELAKE_TEST_WORKERS_UNSET")
            .default_value("2");
        Command::new("tidelake").subcommand(Command::new("run").arg(workers))
    }

    fn workers(settings: &str, arguments: &[&str]) -> String {
        let settings = Settings::parse(settings).unwrap();
        let all = ["tidelake", "run"].iter().chain(arguments);
        let matches = settings.apply(command()).unwrap().get_matches_from(all);
        let run = matches.subcommand_matches("run").unwrap();
        run.get_one::<String>("workers").unwrap().clone()
    }

    #[test]
    fn flags_come_before_the_file_and_the_file_before_defaults() {
        assert_eq!(workers("", &[]), "2");
        assert_eq!(workers("workers = 4", &[]), "4");
        assert_eq!(workers("workers = 4\n[run]\nworkers = 5", &[]), "5");
        assert_eq!(workers("workers = 4", &["--workers", "3"]), "3");
    }

    #[test]
    fn unknown_keys_are_reported_with_the_known_ones() {
        let settings = Settings::parse("wokers = 4").unwrap();
        let error = settings.apply(command()).unwrap_err().to_string();
        assert!(
            error.contains("`wokers`") && error.contains("workers"),
            "{error}"
        );
        for text in ["[rnu]\nworkers = 4", "[run]\nwokers = 4"] {
            let settings = Settings::parse(text).unwrap();
            assert!(settings.apply(command()).is_err(), "{text}");
        }
        assert!(Settings::parse("workers = [1]").is_err());
    }

    #[test]
    fn variables_are_for_dataflows() {
        let settings =
            Settings::parse("[variables]\nTIDELAKE_TEST_BROKERS = \"k:1\"\nN = 5").unwrap();
        assert_eq!(
            settings.variable("TIDELAKE_TEST_BROKERS").as_deref(),
            Some("k:1")
        );
        assert_eq!(settings.variable("N").as_deref(), Some("5"));
        assert_eq!(settings.variable("TIDELAKE_TEST_NOTHING"), None);
    }
}

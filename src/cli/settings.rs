//! Settings from a file: `tidelake.toml` beside where the command runs, or the file that `--config` names.
//!
//! ```toml
//! workers = 4                       # names are those of the long flags of `run`, `up` and `demo`
//! lake = "s3://logs/lake"
//! [variables]                       # what `${NAME}` means in dataflow.sql
//! KAFKA_BROKERS = "kafka:9092"
//! [sql]                             # flags of one command
//! server = "http://logs:4000"
//! [[auth.users]]                    # who may ask (`auth`), if not in a file of --auth-file
//! name = "grafana"
//! ```
//!
//! A flag comes before its environment variable, that before the file, the file before the default. A key that no
//! command knows, and a variable that no dataflow asks for, is an error: a misspelt setting must not be a silent default.

use super::terminal::Layout;
use super::{excerpt, exit};
use crate::plan::Dataflow;
use anyhow::{Context, Result, bail};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where settings are looked for when nothing else is said.
const DEFAULT_FILE: &str = "tidelake.toml";
/// The table of the file that holds variables of dataflows.
const VARIABLES: &str = "variables";
/// The table of the file that holds users.
const AUTH: &str = "auth";

/// Commands for which flags count that stand in no table.
const PIPELINES: [&str; 3] = ["demo", "run", "up"];

/// The shipped dataflows: their variables may stand in a file that is used with others, too.
const SHIPPED: [&str; 3] = [
    include_str!("../../dataflows/web_logs/dataflow.sql"),
    include_str!("../../dataflows/access_log/dataflow.sql"),
    include_str!("../../dataflows/nexmark/dataflow.sql"),
];

/// Where a setting was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The variable of the environment.
    Environment(String),
    File(String),
    /// The default of a variable, in the dataflow that asks for it.
    Dataflow,
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::File(file) => f.write_str(file),
            Origin::Dataflow => f.write_str("dataflow.sql"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// What the file says.
#[derive(Debug, Default)]
pub struct Settings {
    /// The file, as messages name it.
    file: String,
    /// Values by long flag, for all commands that run a pipeline.
    flags: BTreeMap<String, Given>,
    /// Values by command and long flag.
    of_command: BTreeMap<String, BTreeMap<String, Given>>,
    variables: BTreeMap<String, String>,
    /// Whether it names users.
    has_users: bool,
}

/// A value of the file.
#[derive(Debug)]
enum Given {
    One(String),
    List(Vec<String>),
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
            .or_else(|| {
                let variable = std::env::var_os("TIDELAKE_CONFIG");
                variable.filter(|it| !it.is_empty()).map(PathBuf::from)
            });
        match named {
            Some(path) => Settings::read(&path),
            None if Path::new(DEFAULT_FILE).exists() => Settings::read(Path::new(DEFAULT_FILE)),
            None => Ok(Settings::default()),
        }
    }

    /// The file that was read, if there was one.
    pub fn file(&self) -> Option<&str> {
        Some(self.file.as_str()).filter(|it| !it.is_empty())
    }

    /// The file, if it names users.
    pub fn users(&self) -> Option<PathBuf> {
        self.has_users.then(|| PathBuf::from(&self.file))
    }

    fn read(path: &Path) -> Result<Settings> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read settings from {}", path.display()))?;
        let mut settings = Settings::parse(&text)
            .with_context(|| format!("settings in {} are not understood", path.display()))?;
        settings.file = path.display().to_string();
        Ok(settings)
    }

    pub(super) fn parse(text: &str) -> Result<Settings> {
        let table: toml::Table = text.parse()?;
        let mut settings = Settings {
            file: "the settings file".to_owned(),
            ..Settings::default()
        };
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) if key == VARIABLES => {
                    for (name, value) in inner {
                        let value = plain(&name, value)?;
                        settings.variables.insert(name, value);
                    }
                }
                // Read where they are kept up to date.
                toml::Value::Table(_) if key == AUTH => settings.has_users = true,
                toml::Value::Table(inner) => {
                    let values = inner.into_iter().map(|(name, value)| {
                        let value = given(&name, value)?;
                        Ok((name, value))
                    });
                    let values = values.collect::<Result<_>>()?;
                    settings.of_command.insert(key, values);
                }
                value => {
                    let value = given(&key, value)?;
                    settings.flags.insert(key, value);
                }
            }
        }
        Ok(settings)
    }

    /// The command line with the file's values as defaults. An environment variable that is empty counts as not set.
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
        let mut several = Vec::new();
        command = command.mut_args(without_empty);
        for name in &names {
            let own = self.of_command.get(name);
            let general = PIPELINES.contains(&name.as_str()).then_some(&self.flags);
            let mut flags = BTreeSet::new();
            command = command.mut_subcommand(name.clone(), |sub| {
                sub.mut_args(|arg| {
                    let arg = without_empty(arg);
                    let Some(flag) = arg.get_long().map(str::to_owned) else {
                        return arg;
                    };
                    flags.insert(flag.clone());
                    let value = own.and_then(|it| it.get(&flag));
                    match value.or_else(|| general.and_then(|it| it.get(&flag))) {
                        Some(Given::One(value)) => arg.default_value(value.clone()).required(false),
                        Some(Given::List(values)) => {
                            if arg.get_value_delimiter().is_none() {
                                several.push(flag);
                            }
                            arg.default_values(values.clone()).required(false)
                        }
                        None => arg,
                    }
                })
            });
            let keys = own.into_iter().flat_map(|it| it.keys());
            unknown.extend(
                keys.filter(|it| !flags.contains(*it))
                    .map(|it| (format!("{name}.{it}"), nearest(it, &flags))),
            );
            if general.is_some() {
                known.extend(flags);
            }
        }
        let keys = self.flags.keys().filter(|it| !known.contains(*it));
        unknown.extend(keys.map(|it| (it.clone(), nearest(it, &known))));
        let mut tables: BTreeSet<String> = names.iter().cloned().collect();
        tables.extend([VARIABLES.to_owned(), AUTH.to_owned()]);
        let keys = self.of_command.keys().filter(|it| !names.contains(it));
        unknown.extend(keys.map(|it| (format!("[{it}]"), nearest(it, &tables))));
        if let Some((key, nearest)) = unknown.first() {
            let known: Vec<String> = known.into_iter().collect();
            let meant = match nearest {
                Some(it) => format!("did you mean `{it}`?"),
                None => format!(
                    "possible are {}, tables named like a command, [{AUTH}] and [{VARIABLES}]",
                    known.join(", ")
                ),
            };
            bail!("{} has `{key}`, which no command knows; {meant}", self.file);
        }
        if let Some(flag) = several.first() {
            bail!(
                "{} has a list for `{flag}`, which takes one value",
                self.file
            );
        }
        Ok(command)
    }

    /// What `${name}` means in a dataflow: the environment comes first.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variable_and_origin(name).map(|it| it.0)
    }

    /// The same, with where it was said.
    pub fn variable_and_origin(&self, name: &str) -> Option<(String, Origin)> {
        let environment = std::env::var(name).ok().filter(|it| !it.is_empty());
        match environment {
            Some(value) => Some((value, Origin::Environment(name.to_owned()))),
            None => {
                let value = self.variables.get(name)?.clone();
                Some((value, Origin::File(self.file.clone())))
            }
        }
    }

    /// What the file gives this flag of this command.
    pub fn values_of(&self, command: &str, flag: &str) -> Option<Vec<String>> {
        let own = self.of_command.get(command).and_then(|it| it.get(flag));
        let general = || {
            self.flags
                .get(flag)
                .filter(|_| PIPELINES.contains(&command))
        };
        Some(match own.or_else(general)? {
            Given::One(value) => vec![value.clone()],
            Given::List(values) => values.clone(),
        })
    }

    /// Whether the file gives this flag to this command.
    pub fn gives(&self, command: &str, flag: &str) -> Option<&str> {
        self.values_of(command, flag).map(|_| self.file.as_str())
    }

    /// The variables for planning one dataflow.
    pub fn variables(&self) -> Variables<'_> {
        Variables {
            settings: self,
            asked: RefCell::default(),
        }
    }
}

/// The variables of one dataflow: notes which it asks for.
pub struct Variables<'a> {
    settings: &'a Settings,
    asked: RefCell<BTreeSet<String>>,
}

impl Variables<'_> {
    pub fn lookup(&self, name: &str) -> Option<String> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.settings.variable(name)
    }

    /// The planned dataflow.
    ///
    /// # Errors
    /// If it could not be planned, with the variables that were set from outside: one of them may be the cause. And if the
    /// file sets a variable that neither this dataflow nor a shipped one asks for.
    pub fn planned(&self, planned: Result<Dataflow, crate::sql::Error>) -> Result<Dataflow> {
        let asked = self.asked.borrow();
        let dataflow = planned.map_err(|error| {
            let set = asked.iter().filter_map(|name| {
                let (value, origin) = self.settings.variable_and_origin(name)?;
                let origin = match origin {
                    Origin::Environment(_) => "the environment".to_owned(),
                    other => format!("[{VARIABLES}] of {other}"),
                };
                Some(format!("\n  with {name} = {value:?} from {origin}"))
            });
            let set: String = set.collect();
            let layout = Layout::of_stderr();
            let placed = error.message_and_excerpt().is_some();
            let placed = placed.then(|| excerpt::explained(&error, layout));
            let error = anyhow::Error::from(error);
            let text = placed.unwrap_or_else(|| format!("{error:#}"));
            exit::coded(exit::code(&error), format!("{text}{set}"))
        })?;
        let mut known = asked.clone();
        known.extend(SHIPPED.into_iter().flat_map(variables_of).map(|it| it.0));
        let mut set = self.settings.variables.keys();
        let Some(name) = set.find(|it| !known.contains(*it)) else {
            return Ok(dataflow);
        };
        let meant = match nearest(name, &known) {
            Some(it) => format!("did you mean {it}?"),
            None => {
                let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
                format!("it has {}", asked.join(", "))
            }
        };
        let text = format!(
            "[{VARIABLES}] of {} has {name}, which dataflow {} does not ask for; {meant}",
            self.settings.file, dataflow.name
        );
        Err(exit::coded(exit::USAGE, text))
    }
}

/// The variables in a text, as `${NAME}` or `${NAME:-default}`, each once, with their defaults.
pub fn variables_of(text: &str) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    let inside = text.split("${").skip(1).filter_map(|it| it.split_once('}'));
    for (variable, _) in inside {
        let (name, default) = match variable.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (variable, None),
        };
        if found.iter().all(|it| it.0 != name) {
            found.push((name.to_owned(), default));
        }
    }
    found
}

/// The name that was probably meant.
fn nearest(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let alike = |it: &String| {
        strsim::normalized_damerau_levenshtein(&it.to_lowercase(), &name.to_lowercase())
    };
    let nearest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (0.6 < alike(nearest)).then(|| nearest.clone())
}

fn without_empty(arg: clap::Arg) -> clap::Arg {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|it| it.is_empty());
    match arg.get_env().is_some_and(is_empty) {
        true => arg.env(None::<&str>),
        false => arg,
    }
}

fn given(key: &str, value: toml::Value) -> Result<Given> {
    match value {
        toml::Value::Array(values) => {
            let values = values.into_iter().map(|it| plain(key, it));
            Ok(Given::List(values.collect::<Result<_>>()?))
        }
        value => Ok(Given::One(plain(key, value)?)),
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
        let cors = Arg::new("cors").long("cors").value_delimiter(',');
        Command::new("tidelake").subcommand(Command::new("run").arg(workers).arg(cors))
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
    fn a_list_is_several_values_where_a_flag_takes_several() {
        let settings = Settings::parse("cors = [\"a\", \"b\"]").unwrap();
        let matches = settings.apply(command()).unwrap();
        let matches = matches.get_matches_from(["tidelake", "run"]);
        let run = matches.subcommand_matches("run").unwrap();
        let cors: Vec<&String> = run.get_many("cors").unwrap().collect();
        assert_eq!(cors, ["a", "b"]);
        let error = Settings::parse("workers = [1]").unwrap().apply(command());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("a list for `workers`"), "{error}");
        assert!(Settings::parse("cors = [[\"a\"]]").is_err());
    }

    #[test]
    fn unknown_keys_are_reported_with_the_nearest_known_one() {
        for (text, expect) in [
            (
                "wokers = 4",
                "has `wokers`, which no command knows; did you mean `workers`?",
            ),
            (
                "[rnu]\nworkers = 4",
                "has `[rnu]`, which no command knows; did you mean `run`?",
            ),
            (
                "[run]\nwokers = 4",
                "has `run.wokers`, which no command knows; did you mean `workers`?",
            ),
            (
                "zzz = 4",
                "possible are cors, workers, tables named like a command, [auth] and [variables]",
            ),
        ] {
            let settings = Settings::parse(text).unwrap();
            let error = settings.apply(command()).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }

    fn planned(text: &str) -> Result<String> {
        let settings = Settings::parse(text)?;
        let variables = settings.variables();
        variables.lookup("TIDELAKE_TEST_BROKERS");
        let dataflow = Dataflow {
            name: "mine".to_owned(),
            ..Dataflow::default()
        };
        Ok(variables.planned(Ok(dataflow))?.name)
    }

    #[test]
    fn a_variable_that_no_dataflow_asks_for_is_refused() {
        for text in [
            "",
            "[variables]\nTIDELAKE_TEST_BROKERS = \"k:1\"",
            // Of a shipped dataflow.
            "[variables]\nANOMALY_SLOW_MS = 5",
        ] {
            assert_eq!(planned(text).unwrap(), "mine", "{text}");
        }
        let error = planned("[variables]\nTIDELAKE_TEST_BROKER = 1").unwrap_err();
        assert_eq!(exit::code(&error), exit::USAGE);
        let error = error.to_string();
        assert!(
            error.contains("has TIDELAKE_TEST_BROKER, which dataflow mine does not ask for; did you mean TIDELAKE_TEST_BROKERS?"),
            "{error}"
        );
        let error = planned("[variables]\nWHATEVER = 1")
            .unwrap_err()
            .to_string();
        assert!(error.contains("it has TIDELAKE_TEST_BROKERS"), "{error}");
    }

    #[test]
    fn a_dataflow_that_cannot_be_planned_says_which_variables_were_set() {
        let settings = Settings::parse("[variables]\nTIDELAKE_TEST_DELAY = 999999999").unwrap();
        let variables = settings.variables();
        variables.lookup("TIDELAKE_TEST_DELAY");
        variables.lookup("TIDELAKE_TEST_NOTHING");
        let wrong = crate::sql::Error::Statement {
            excerpt: None,
            place: String::new(),
            line: 3,
            text: "too long".to_owned(),
        };
        let error = variables.planned(Err(wrong)).unwrap_err();
        assert_eq!(exit::code(&error), exit::DATAFLOW);
        assert_eq!(
            error.to_string(),
            "line 3: too long\n  with TIDELAKE_TEST_DELAY = \"999999999\" from [variables] of the settings file"
        );
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

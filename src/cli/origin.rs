//! Where a value came from that the command line does not take: a message about `--workers` helps nobody who did not
//! type it.

use super::detach::PART_VARIABLE;
use super::instance::STATE_VARIABLE;
use super::restart;
use super::server::TOKEN_VARIABLE;
use super::settings::Settings;
use super::up::{LAST_END_VARIABLE, RESTARTS_VARIABLE};
use clap::Command;
use clap::error::{ContextKind, ContextValue};
use std::collections::BTreeSet;
use std::ffi::OsString;

/// Environment variables of ours that belong to no flag.
const OTHER_VARIABLES: [&str; 9] = [
    TOKEN_VARIABLE,
    STATE_VARIABLE,
    PART_VARIABLE,
    RESTARTS_VARIABLE,
    LAST_END_VARIABLE,
    restart::VARIABLE,
    "TIDELAKE_LOG",
    "TIDELAKE_CRASH_AT",
    "TIDELAKE_PANIC_IN",
];

/// Says that the value an error is about comes from the environment or from the settings file; nothing if it was typed.
pub fn of_wrong_value(
    error: &clap::Error,
    command: &Command,
    given: &[OsString],
    settings: &Settings,
) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(it)) => Some(it.as_str()),
        Some(_) | None => None,
    };
    let value = text(ContextKind::InvalidValue)?;
    let argument = text(ContextKind::InvalidArg)?;
    let flag = argument.strip_prefix("--")?.split([' ', '=']).next()?;
    let typed = |it: &OsString| {
        let it = it.to_string_lossy();
        let rest = it.strip_prefix("--").and_then(|it| it.strip_prefix(flag));
        rest.is_some_and(|it| it.is_empty() || it.starts_with('='))
    };
    if given.iter().any(typed) {
        return None;
    }
    let name = given
        .iter()
        .find_map(|it| command.find_subcommand(it.to_str()?))?;
    let arg = name
        .get_arguments()
        .find(|it| it.get_long() == Some(flag))?;
    let variable = arg.get_env().map(|it| it.to_string_lossy().into_owned());
    let from_environment = variable.filter(|it| std::env::var_os(it).is_some());
    match (from_environment, settings.gives(name.get_name(), flag)) {
        (Some(variable), _) => Some(format!(
            "note: {value:?} is the value of the environment variable {variable}"
        )),
        (None, Some(file)) => Some(format!(
            "note: {value:?} is the value of `{flag}` in {file}"
        )),
        (None, None) => None,
    }
}

/// Adds the command that was probably meant: two letters that changed places are the commonest mistake, and clap does not see it.
pub fn suggest_command(error: &mut clap::Error, command: &Command) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return;
    };
    let distance = |it: &&str| strsim::damerau_levenshtein(it, typed);
    let nearest = command
        .get_subcommands()
        .map(Command::get_name)
        .min_by_key(distance);
    let nearest = nearest.filter(|it| 3 * distance(it) <= it.len());
    if let Some(nearest) = nearest.map(str::to_owned) {
        let meant = ContextValue::Strings(vec![nearest]);
        error.insert(ContextKind::SuggestedSubcommand, meant);
    }
}

/// Warns of environment variables that look like ours and are none: `TIDELAKE_WORKER` would be a silent default.
pub fn tell_of_unknown_variables(command: &Command) {
    let mut known: BTreeSet<String> = OTHER_VARIABLES.map(str::to_owned).into();
    let flags = command
        .get_subcommands()
        .chain([command])
        .flat_map(Command::get_arguments);
    known.extend(flags.filter_map(|it| Some(it.get_env()?.to_str()?.to_owned())));
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|it| it.starts_with("TIDELAKE_")) else {
            continue;
        };
        let meant = known
            .iter()
            .find(|it| strsim::damerau_levenshtein(it, name) <= 2);
        if let (false, Some(meant)) = (known.contains(name), meant) {
            eprintln!("warning: the environment variable {name} is unknown; did you mean {meant}?");
        }
    }
}

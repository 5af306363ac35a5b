//! The list of commands, in groups: which there are is known to clap, which belong together only here.

use super::table::aligned;
use clap::Command;

/// Commands by what they are for.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Run a dataflow", &["demo", "init", "run", "up", "gen"]),
    ("Manage what runs", &["status", "logs", "stop", "health"]),
    (
        "Ask and watch",
        &["sql", "report", "tail", "openapi", "reference"],
    ),
    (
        "Check, prove and repair",
        &["check", "doctor", "verify", "replay", "lake", "bundle"],
    ),
    ("Detectors and models", &["eval", "train", "model"]),
    ("Set up", &["config", "token", "completions", "man"]),
];

/// The command with its commands in groups, one line each.
pub fn grouped(command: Command) -> Command {
    let header = command.get_styles().get_header().to_owned();
    let name_style = command.get_styles().get_literal().to_owned();
    let mut text = String::new();
    for (group, names) in groups(&command) {
        text += &format!("{header}{group}:{header:#}\n");
        // In columns of its own: one long name would push the texts of all out of a terminal.
        let lines = aligned(names.iter().map(|name| {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            [
                name.clone(),
                about.map(ToString::to_string).unwrap_or_default(),
            ]
        }));
        for (name, line) in names.iter().zip(lines) {
            let behind = &line[name.len()..];
            text += &format!("  {name_style}{name}{name_style:#}{behind}\n");
        }
        text.push('\n');
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}{header}Options:{header:#}\n{{options}}{{after-help}}"
    );
    command.help_template(template)
}

/// Groups with those of their commands that there are; what is in none comes last.
fn groups(command: &Command) -> Vec<(String, Vec<String>)> {
    let known = |it: &&&str| command.find_subcommand(it).is_some();
    let mut groups: Vec<(String, Vec<String>)> = GROUPS
        .iter()
        .map(|(group, names)| {
            let names = names.iter().filter(known).map(|it| (*it).to_owned());
            ((*group).to_owned(), names.collect())
        })
        .collect();
    let rest = command.get_subcommands().map(Command::get_name);
    let rest = rest.filter(|name| *name != "help" && !GROUPS.iter().any(|it| it.1.contains(name)));
    let rest: Vec<String> = rest.map(str::to_owned).collect();
    if !rest.is_empty() {
        groups.push(("Other".to_owned(), rest));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    #[test]
    fn every_command_has_its_line_in_a_group() {
        let mut command = grouped(command::definition());
        assert!(
            !groups(&command).iter().any(|it| it.0 == "Other"),
            "{:?}",
            groups(&command)
        );
        let help = command.render_help().to_string();
        for it in command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
            let name = it.get_name();
            let lines = help
                .lines()
                .filter(|it| it.starts_with(&format!("  {name} ")));
            let lines: Vec<&str> = lines.collect();
            assert_eq!(lines.len(), 1, "{name}: {lines:?}");
            assert!(lines[0].chars().count() <= 80, "{}", lines[0]);
        }
    }

    #[test]
    fn every_option_is_described() {
        fn check(command: &Command, path: &str) {
            for argument in command.get_arguments().filter(|it| !it.is_hide_set()) {
                assert!(
                    argument.get_help().is_some(),
                    "{path} {} has no description",
                    argument.get_id()
                );
            }
            for sub in command.get_subcommands() {
                check(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        check(&command::definition(), "tidelake");
    }
}

//! Commands of the shell, which begin with a backslash.

use super::catalog::Catalog;
use super::{describe, read_script, watch};
use crate::cli::exit;
use crate::cli::print::{Out, moment, printable};
use crate::cli::sql::{After, Failure, Session, Sink};
use crate::cli::table::{Expanded, aligned};
use anyhow::Result;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the commands are, for `\?` and for completion: name, arguments, meaning.
pub const ALL: [(&str, &str, &str); 11] = [
    ("\\?", "", "this help"),
    ("\\d", "", "live views and lake tables"),
    (
        "\\d",
        "NAME",
        "columns of a view or table, and what is known of it",
    ),
    (
        "\\x",
        "[on|off|auto]",
        "rows as blocks: always, never, or where they are too wide",
    ),
    (
        "\\o",
        "[FILE]",
        "answers into a .csv, .json, .jsonl, .parquet or .arrow file, or here again",
    ),
    (
        "\\watch",
        "[SECONDS] [QUERY]",
        "follow a view, or ask again and again; also behind a query",
    ),
    ("\\asof", "[TIME|-10m|live]", "answers as of a time"),
    ("\\timing", "[on|off]", "times with all their digits"),
    ("\\i", "FILE", "carry out a script"),
    (
        "\\e",
        "[FILE]",
        "edit the last query, or a file, in $EDITOR",
    ),
    ("\\q", "", "end; so does Ctrl+D"),
];
/// How deep scripts may carry out scripts.
const DEPTH_MAX: usize = 16;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Quit,
    List,
    Describe(String),
    Expanded(Option<Expanded>),
    /// Where answers go; nothing if to standard output again.
    Output(Option<PathBuf>),
    Watch {
        every: Option<Duration>,
        query: Option<String>,
    },
    AsOf(Option<String>),
    Timing(Option<bool>),
    Include(PathBuf),
    Edit(Option<PathBuf>),
}

impl Command {
    /// A command as it is typed.
    ///
    /// # Errors
    /// Says what can be typed.
    pub fn parse(text: &str) -> Result<Command, String> {
        let text = text.trim().trim_end_matches(';').trim_end();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        let some = |it: &str| (!it.is_empty()).then(|| it.to_owned());
        let file = || some(unquoted(rest)).map(PathBuf::from);
        let alone = |command: Command| match rest {
            "" => Ok(command),
            _ => Err(format!("{name} takes nothing behind it")),
        };
        match name {
            "\\?" | "\\h" | "\\help" => Ok(Command::Help),
            "\\q" | "\\quit" | "\\exit" => alone(Command::Quit),
            "\\d" | "\\d+" | "\\dt" | "\\dv" => Ok(match some(unquoted(rest)) {
                None => Command::List,
                Some(name) => Command::Describe(name),
            }),
            "\\x" => match rest {
                "" => Ok(Command::Expanded(None)),
                "on" => Ok(Command::Expanded(Some(Expanded::On))),
                "off" => Ok(Command::Expanded(Some(Expanded::Off))),
                "auto" => Ok(Command::Expanded(Some(Expanded::Auto))),
                _ => Err(format!("\\x takes on, off or auto, and not {rest}")),
            },
            "\\o" => Ok(Command::Output(file())),
            "\\watch" => watched(rest),
            "\\asof" => Ok(Command::AsOf(some(rest))),
            "\\timing" => match rest {
                "" => Ok(Command::Timing(None)),
                "on" => Ok(Command::Timing(Some(true))),
                "off" => Ok(Command::Timing(Some(false))),
                _ => Err(format!("\\timing takes on or off, and not {rest}")),
            },
            "\\i" | "\\include" => {
                let file = file().ok_or("\\i needs the name of a file")?;
                Ok(Command::Include(file))
            }
            "\\e" | "\\edit" => Ok(Command::Edit(file())),
            _ => Err(format!("there is no command {name}; \\? lists them")),
        }
    }
}

/// `\watch 5 SELECT …`, each part of which may be left out.
fn watched(rest: &str) -> Result<Command, String> {
    let (first, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let seconds = first.strip_suffix('s').unwrap_or(first).parse::<f64>();
    let (every, query) = match seconds {
        Ok(it) if (0.1..=86_400.0).contains(&it) => (Some(Duration::from_secs_f64(it)), behind),
        Ok(_) => return Err("\\watch takes 0.1 to 86400 seconds".to_owned()),
        Err(_) => (None, rest),
    };
    let query = query.trim().trim_end_matches(';').trim_end();
    Ok(Command::Watch {
        every,
        query: (!query.is_empty()).then(|| query.to_owned()),
    })
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'').or_else(|| inner('"')).unwrap_or(text)
}

/// Carries out a command, which may be about a statement that stands before it.
pub async fn run(
    session: &mut Session,
    command: Command,
    about: Option<&str>,
) -> Result<After, Failure> {
    match command {
        Command::Help => Out::new().write_all(help().as_bytes())?,
        Command::Quit => return Ok(After::End),
        // What is kept is what the server tells.
        Command::List if session.kept().is_some() => session.statement("SHOW TABLES").await?,
        Command::Describe(name) if session.kept().is_some() => {
            session.statement(&format!("DESCRIBE {name}")).await?;
        }
        Command::List => {
            let catalog = Catalog::of(&session.asked).await?;
            describe::list(session, &catalog)?;
        }
        Command::Describe(name) => describe::one(session, &name).await?,
        Command::Expanded(wanted) => {
            session.expanded = wanted.unwrap_or(match session.expanded {
                Expanded::On => Expanded::Off,
                Expanded::Off | Expanded::Auto => Expanded::On,
            });
            say(
                session,
                match session.expanded {
                    Expanded::On => "rows are blocks",
                    Expanded::Off => "rows are lines",
                    Expanded::Auto => "rows are blocks where they are wider than the terminal",
                },
            );
        }
        Command::Output(file) => {
            session.sink = file.as_deref().map(Sink::new).transpose()?;
            match &session.sink {
                Some(it) => {
                    let path = printable(&it.path.display().to_string());
                    say(
                        session,
                        &format!("answers go to {path}; \\o brings them back"),
                    );
                }
                None => say(session, "answers are shown here"),
            }
        }
        Command::Watch { every, query } => {
            let query = query.or_else(|| about.map(str::to_owned));
            let query = query.or_else(|| session.last.clone());
            let Some(query) = query else {
                let text = "\\watch needs a query, such as \\watch SELECT * FROM NAME";
                return Err(exit::coded(exit::USAGE, text).into());
            };
            watch::run(session, &query, every).await?;
            session.last = Some(query);
        }
        Command::AsOf(time) => {
            if let Some(time) = time {
                session.set_as_of(&time)?;
            }
            match session.epoch() {
                Some(epoch) => say(
                    session,
                    &format!("answers are as of {}; \\asof live ends that", moment(epoch)),
                ),
                None => say(session, "answers are of now"),
            }
        }
        Command::Timing(wanted) => {
            session.timing = wanted.unwrap_or(!session.timing);
            say(
                session,
                if session.timing {
                    "timing is on"
                } else {
                    "timing is off"
                },
            );
        }
        Command::Include(file) => {
            if session.depth == DEPTH_MAX {
                let text = format!("scripts carry out scripts {DEPTH_MAX} deep at most");
                return Err(exit::coded(exit::USAGE, text).into());
            }
            let script = read_script(&file)?;
            session.depth += 1;
            let outcome = session.script(&script, false).await;
            session.depth -= 1;
            outcome?;
        }
        Command::Edit(file) => {
            let text = match &file {
                Some(file) => read_script(file)?,
                None => session.last.clone().unwrap_or_default(),
            };
            return Ok(After::Edit(text));
        }
    }
    Ok(After::Next)
}

/// What a command has changed, for a person who is there to read it.
fn say(session: &Session, text: &str) {
    if session.is_shell {
        eprintln!("{text}");
    }
}

fn help() -> String {
    let mut text = String::from(
        "Statements end with ; and may have several lines. Tab completes, Ctrl+R searches what was typed before.\n\n",
    );
    let commands =
        ALL.map(|(name, arguments, meaning)| [format!("{name} {arguments}"), meaning.to_owned()]);
    for line in aligned(commands) {
        text += &format!("  {line}\n");
    }
    text += "\nCtrl+C cancels the running query, or the line. Reference: DESCRIBE NAME, SHOW TABLES, EXPLAIN SELECT …\n";
    text
}

/// A file of statements.
pub fn read(file: &Path) -> Result<String> {
    let read = std::fs::read_to_string(file).map_err(|it| {
        let name = printable(&file.display().to_string());
        format!("could not read {name}: {it}")
    });
    read.map_err(|it| exit::coded(exit::USAGE, it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood_as_they_are_typed() {
        for (text, expect) in [
            ("\\?", Command::Help),
            ("\\q;", Command::Quit),
            ("\\d", Command::List),
            (
                "\\d  lake.logs ;",
                Command::Describe("lake.logs".to_owned()),
            ),
            ("\\d \"odd name\"", Command::Describe("odd name".to_owned())),
            ("\\x", Command::Expanded(None)),
            ("\\x auto", Command::Expanded(Some(Expanded::Auto))),
            ("\\o", Command::Output(None)),
            (
                "\\o 'my file.csv'",
                Command::Output(Some("my file.csv".into())),
            ),
            (
                "\\watch",
                Command::Watch {
                    every: None,
                    query: None,
                },
            ),
            (
                "\\watch 0.5s",
                Command::Watch {
                    every: Some(Duration::from_millis(500)),
                    query: None,
                },
            ),
            (
                "\\watch 5 SELECT 1;",
                Command::Watch {
                    every: Some(Duration::from_secs(5)),
                    query: Some("SELECT 1".to_owned()),
                },
            ),
            (
                "\\watch totals",
                Command::Watch {
                    every: None,
                    query: Some("totals".to_owned()),
                },
            ),
            ("\\asof -10m", Command::AsOf(Some("-10m".to_owned()))),
            ("\\timing on", Command::Timing(Some(true))),
            ("\\i a.sql", Command::Include("a.sql".into())),
            ("\\e", Command::Edit(None)),
        ] {
            assert_eq!(Command::parse(text), Ok(expect), "{text}");
        }
        for (wrong, said) in [
            ("\\x maybe", "on, off or auto"),
            ("\\nope", "there is no command \\nope; \\? lists them"),
            ("\\q now", "takes nothing"),
            ("\\i", "needs the name of a file"),
            ("\\watch 0", "0.1 to 86400 seconds"),
        ] {
            let error = Command::parse(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_help_names_every_command() {
        let help = help();
        for (name, _, meaning) in ALL {
            assert!(help.contains(name) && help.contains(meaning), "{name}");
            assert!(Command::parse(&format!("{name} x")).is_ok() || Command::parse(name).is_ok());
        }
        assert!(help.lines().all(|it| it.len() < 120), "{help}");
    }
}

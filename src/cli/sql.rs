//! `sql`: a shell for people at a terminal, and statements and scripts for everyone else; of a running server, or of a lake without one.
//!
//! A table is for reading: it has the rows an answer may have, and says when there are more. CSV, JSON and JSON lines have all rows, passed on
//! as they come. Whatever is missing is said on standard error, and the exit code is not 0 then. The first statement that has no
//! answer ends a script, unless it is to go on.

mod asked;
mod output;
mod session;
#[cfg(test)]
mod tests;
mod waiting;

pub use asked::{Asked, Failure, LakeAlone, Server};
pub use output::{Output, Sink};
pub use session::{After, Session};

use super::exit;
use super::query_limits::QueryLimits;
use super::server::ServerArguments;
use super::shell;
use super::table::Expanded;
use anyhow::{Context, Result};
use clap::Args;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Arguments {
    /// One statement, or several with ; between them; - is standard input. Without it: a shell on a terminal, else what comes on
    /// standard input.
    query: Option<String>,
    /// Read the statements from this file; - is standard input.
    #[arg(short, long, conflicts_with = "query")]
    file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArguments,
    /// Read the tables of this lake instead of asking a server.
    #[arg(long)]
    lake: Option<String>,
    /// How the answer is printed; all but a table have every row.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Rows as blocks with a line for each column: always, or where they are wider than the terminal.
    #[arg(short = 'x', long, value_enum, value_name = "WHEN", default_value_t, num_args = 0..=1, default_missing_value = "on", require_equals = true)]
    expanded: Expanded,
    /// Answer as of a time: live, -10m, 23:40, 2026-01-31T12:00:00Z, or an epoch.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    as_of: Option<String>,
    /// Go on with a script when a statement fails; the exit code is that of the first one that did.
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    limits: QueryLimits,
}

/// Asks what the arguments say, and prints the answers; without any, and on a terminal, it is a shell.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let script = given(arguments.query.as_deref(), arguments.file.as_deref())?;
    let asked = match &arguments.lake {
        Some(lake) => Asked::Lake(LakeAlone::open(lake, &arguments.limits).await?),
        None => Asked::Server(Server::new(&arguments.server)?),
    };
    let mut session = Session::new(asked, arguments.output, arguments.expanded);
    if let Some(text) = &arguments.as_of {
        session.set_as_of(text)?;
    }
    match script {
        Some(script) => session.script(&script, arguments.keep_going).await,
        None => shell::run(session).await,
    }
}

/// The text of the arguments: what was typed, a file, or standard input. Nothing if a person is there to type.
fn given(query: Option<&str>, file: Option<&Path>) -> Result<Option<String>> {
    match (query, file) {
        (Some(query), _) if query != "-" => Ok(Some(query.to_owned())),
        (None, Some(file)) if file != Path::new("-") => shell::read_script(file).map(Some),
        (query, file) => {
            let mut input = std::io::stdin().lock();
            let is_asked_for = query.is_some() || file.is_some();
            if !is_asked_for && input.is_terminal() {
                // Answers go to one of them, and the line that is typed to the other.
                return match std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
                    true => Ok(None),
                    false => Err(exit::coded(
                        exit::USAGE,
                        "say what to ask: tidelake sql 'SELECT …', tidelake sql -f FILE, or statements on standard input; the shell needs a terminal to write to, too",
                    )),
                };
            }
            let mut text = String::new();
            input
                .read_to_string(&mut text)
                .context("could not read standard input")?;
            Ok(Some(text))
        }
    }
}

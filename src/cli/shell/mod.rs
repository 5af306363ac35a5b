//! The shell of `sql`: a person types, statement after statement, and sees the answers.
//!
//! ```text
//! keys ─► editor (a text) ─► script (statements, commands) ─► sql::Session (asks, prints) ─► terminal
//!            ▲ aid (completion, colours) ◄─ catalog
//! ```

mod aid;
pub mod as_of;
mod catalog;
pub mod command;
mod describe;
mod editor;
mod history;
mod lex;
pub mod script;
mod watch;

pub use command::read as read_script;

use super::exit;
use super::print::{moment, printable};
use super::sql::{After, Asked, Session};
use super::table::{Expanded, Look};
use crate::model::Epoch;
use aid::SqlAid;
use anyhow::{Context, Result};
use catalog::{Catalog, LAKE_TABLE, LIVE_VIEW};
use editor::{Editor, Input, Prompt, TypedAhead};
use reedline::FileBackedHistory;
use script::{is_plain_word, parts};
use serde::Deserialize;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// What a server says of itself.
#[derive(Deserialize)]
struct Status {
    dataflow: String,
    epoch: u64,
}

/// Reads what a person types and carries it out, until the end.
///
/// # Errors
/// If there is nothing to ask, or the terminal is gone. What fails in between is said, and the shell goes on.
pub async fn run(mut session: Session) -> Result<()> {
    session.is_shell = true;
    let catalog = Catalog::of(&session.asked).await?;
    eprintln!("{}", greeting(&session, &catalog).await?);
    let colors = Look::of_output(Expanded::Off).colors;
    let mut editor = Editor::new(&SqlAid::new(catalog), history(), colors);
    let mut begun = String::new();
    loop {
        let input = editor.read(&prompt(&session), &begun);
        begun.clear();
        let text = match input.context("could not read the terminal")? {
            Input::Ended => return Ok(()),
            Input::Text(text) => text,
        };
        if let Err(error) = editor.keep() {
            eprintln!("this is not kept in the history: {error}");
        }
        let text = match is_plain_word(&text) {
            true if text.trim().eq_ignore_ascii_case("help") => "\\?".to_owned(),
            true => return Ok(()),
            false => text,
        };
        let typed_ahead = TypedAhead::keep();
        let after = carry_out(&mut session, &text).await;
        drop(typed_ahead);
        match after {
            After::Next => {}
            After::End => return Ok(()),
            After::Edit(text) => match edited(&text) {
                Ok(text) => begun = text,
                Err(error) => eprintln!("error: {error:#}"),
            },
        }
    }
}

/// What was typed before, of the user's; if it cannot be read, only of this shell.
fn history() -> FileBackedHistory {
    let Some(folder) = state_folder() else {
        return FileBackedHistory::default();
    };
    history::of_folder(&folder).unwrap_or_else(|it| {
        eprintln!("what is typed is not kept: {}: {it:#}", folder.display());
        FileBackedHistory::default()
    })
}

/// Carries out what was typed; the first part that fails ends it, and is told.
async fn carry_out(session: &mut Session, text: &str) -> After {
    let all = match parts(text) {
        Ok(all) => all,
        Err(open) => {
            eprintln!("error: {} is not closed", open.what);
            return After::Next;
        }
    };
    for (number, part) in all.iter().enumerate() {
        let place = (1 < all.len()).then_some((number + 1, part.line()));
        match session.part(part).await {
            Ok(After::Next) => {}
            Ok(after) => return after,
            Err(failure) => {
                eprintln!("error: {:#}", failure.in_script(place));
                return After::Next;
            }
        }
    }
    After::Next
}

async fn greeting(session: &Session, catalog: &Catalog) -> Result<String> {
    let version = env!("CARGO_PKG_VERSION");
    let count = |kind: &str, what: &str| super::print::count(catalog.count(kind), what);
    let tables = count(LAKE_TABLE, "lake table");
    Ok(match &session.asked {
        Asked::Server(server) => {
            let status: Status = server.get(&["api", "v1", "status"]).await?;
            let address = server.address.trim_start_matches("http://");
            let views = count(LIVE_VIEW, "live view");
            let text = format!("tidelake {version} · {} at {address}", status.dataflow);
            let as_of = moment(Epoch(status.epoch));
            format!(
                "{}\nas of {as_of} · {views}, {tables} · \\? for help",
                printable(&text)
            )
        }
        Asked::Lake(lake) => format!(
            "tidelake {version} · lake {}, without a server\n{tables} · \\? for help",
            printable(&lake.address)
        ),
    })
}

fn prompt(session: &Session) -> Prompt {
    match (&session.as_of, &session.asked) {
        (Some(it), _) => Prompt::new(&moment(it.epoch)),
        (None, Asked::Server(_)) => Prompt::new("live"),
        (None, Asked::Lake(_)) => Prompt::new("lake"),
    }
}

/// Where the user's programs keep what they remember.
fn state_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty());
    let of_home = || Some(PathBuf::from(set("HOME")?).join(".local/state"));
    let folder = set("XDG_STATE_HOME").map(PathBuf::from).or_else(of_home)?;
    Some(folder.join("tidelake"))
}

/// A text as it is when the editor is left.
fn edited(text: &str) -> Result<String> {
    use std::os::unix::fs::OpenOptionsExt;
    let folder =
        state_folder().context("neither XDG_STATE_HOME nor HOME says where to keep the text")?;
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("edit-{}.sql", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).mode(0o600);
    file.open(&path)?.write_all(text.as_bytes())?;
    let set = |name: &str| std::env::var(name).ok().filter(|it| !it.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR"));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    // It may have arguments of its own.
    let mut words = editor.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("vi"));
    let ended = command.args(words).arg(&path).status();
    let text = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    let ended = ended.map_err(|it| {
        let text = format!("could not start {editor}: {it}; set EDITOR to one that is there");
        exit::coded(exit::USAGE, text)
    })?;
    anyhow::ensure!(
        ended.success(),
        "{editor} ended with {ended}, and its text was left"
    );
    Ok(text?.trim_end().to_owned())
}

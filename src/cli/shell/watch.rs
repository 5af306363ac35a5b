//! `\watch`: an answer that is kept up to date in its place, until `q` or Ctrl+C.
//!
//! Of a view the server tells every change, and nothing is asked again. Any other query is asked again every few seconds, and the line below
//! the rows says so.

use super::catalog::{Catalog, LIVE_VIEW};
use super::describe::{OrderFacts, Views};
use super::lex::{Kind as TokenKind, tokens};
use crate::cli::exit;
use crate::cli::print::{Out, count, moment, took};
use crate::cli::sql::{Asked, Failure, Server, Session};
use crate::cli::table::{Look, Table, cut};
use crate::cli::tail::{Row, Said, Stream, as_table};
use crate::model::Epoch;
use anyhow::Result;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use crossterm::terminal;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// How often a query is asked again, unless it is said.
const EVERY: Duration = Duration::from_secs(2);
/// Frames of a stream per second: as many as an eye follows.
const FRAMES: u32 = 4;
/// How often keys are looked at.
const STEP: Duration = Duration::from_millis(50);
/// Lines of a terminal that does not say how many it has.
const LINES: usize = 24;
/// Lines that are no rows: names, rule, what is left out, and the state.
const LINES_AROUND: usize = 4;

/// Shows an answer and keeps it up to date.
///
/// # Errors
/// If the query has no answer, or the server ends the stream.
pub async fn run(session: &Session, query: &str, every: Option<Duration>) -> Result<(), Failure> {
    if session.as_of.is_some() {
        let text = "\\watch is of now, and answers are as of a time; \\asof live ends that";
        return Err(exit::coded(exit::USAGE, text).into());
    }
    let mut screen = Screen::new();
    if let (Asked::Server(server), None) = (&session.asked, every)
        && let Some(view) = view_of(query)
    {
        let catalog = Catalog::of(&session.asked).await?;
        let mut live = catalog.relations.iter().filter(|it| it.kind == LIVE_VIEW);
        if live.any(|it| it.name == view) {
            return Ok(follow(session, server, &view, &mut screen).await?);
        }
    }
    poll(session, query, every.unwrap_or(EVERY), &mut screen).await
}

/// The view whose rows a query is: `SELECT * FROM name`, or the name alone.
fn view_of(query: &str) -> Option<String> {
    let words: Vec<&str> = tokens(query)
        .into_iter()
        .filter(|it| !matches!(it.kind, TokenKind::Space | TokenKind::Comment))
        .map(|it| &query[it.range])
        .collect();
    let is = |at: usize, word: &str| words[at].eq_ignore_ascii_case(word);
    let name = match words.len() {
        1 => words[0],
        4 if is(0, "select") && is(1, "*") && is(2, "from") => words[3],
        _ => return None,
    };
    match name.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
        Some(name) => Some(name.replace("\"\"", "\"")),
        None => Some(name.to_lowercase()),
    }
}

/// Rows of a view as its stream tells them.
async fn follow(session: &Session, server: &Server, view: &str, screen: &mut Screen) -> Result<()> {
    let views: Views = server.get(&["api", "v1", "views"]).await?;
    let found = views.views.into_iter().find(|it| it.name == view);
    let order = found.map(|it| it.order).unwrap_or_default();
    let mut stream =
        Stream::open(&server.client, &server.address, view, None, Some(FRAMES)).await?;
    let mut rows: HashMap<String, (i64, Row)> = HashMap::new();
    loop {
        let said = tokio::select! {
            said = stream.next() => said?,
            () = screen.ended() => return Ok(()),
        };
        let epoch = match said {
            None => {
                let text = format!("{} has ended the stream{}", server.address, stream.reason());
                return Err(exit::coded(exit::UNREACHABLE, text));
            }
            Some(Said::Rows {
                epoch, rows: all, ..
            }) => {
                rows.clear();
                add(&mut rows, all.into_iter().map(|it| (1, it)));
                epoch
            }
            Some(Said::Changes { epoch, changes }) => {
                add(&mut rows, changes.into_iter());
                epoch
            }
            Some(Said::Bye(_) | Said::Nothing) => continue,
        };
        let table = as_table(&in_order(&rows, &order));
        let height = table.height();
        let state = format!("{}, live, as of {}", count(height, "row"), moment(epoch));
        screen.draw(session, table, &state)?;
    }
}

/// Takes changes into rows, by what is in them.
fn add(rows: &mut HashMap<String, (i64, Row)>, changes: impl Iterator<Item = (i64, Row)>) {
    for (diff, row) in changes {
        let key = row.json().to_owned();
        let (times, _) = rows.entry(key.clone()).or_insert((0, row));
        *times += diff;
        if *times == 0 {
            rows.remove(&key);
        }
    }
}

/// Each row as often as it is there: in the view's order, and those that are equal in it by all their columns.
fn in_order<'a>(rows: &'a HashMap<String, (i64, Row)>, order: &[OrderFacts]) -> Vec<&'a Row> {
    let mut all: Vec<&Row> = rows
        .values()
        .flat_map(|(times, row)| std::iter::repeat_n(row, usize::try_from(*times).unwrap_or(0)))
        .collect();
    all.sort_by(|a, b| {
        let by_order = order
            .iter()
            .map(|it| a.compare(b, &it.column, it.descending, it.nulls_first));
        let by_order = by_order.fold(Ordering::Equal, Ordering::then);
        by_order.then_with(|| a.compare_all(b))
    });
    all
}

/// The answer of a query, asked again and again.
async fn poll(
    session: &Session,
    query: &str,
    every: Duration,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let query = match view_of(query) {
        Some(name) if !query.contains(' ') => format!("SELECT * FROM {name}"),
        _ => query.to_owned(),
    };
    loop {
        let answer = tokio::select! {
            answer = session.asked.answer(&query, None) => answer?,
            () = screen.ended() => return Ok(()),
        };
        let as_of = match answer.epoch {
            Epoch(0) => String::new(),
            epoch => format!(", as of {}", moment(epoch)),
        };
        let state = format!(
            "{}, {}{as_of}, polled every {}",
            count(answer.table.height(), "row"),
            took(answer.elapsed),
            took(every)
        );
        screen.draw(session, answer.table, &state)?;
        if let Some(lack) = answer.lack {
            screen.leave();
            return Err(lack.failure(0));
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = screen.ended() => return Ok(()),
        }
    }
}

/// Where answers are drawn over each other: a terminal, if there is one.
struct Screen {
    raw: Option<Raw>,
    /// Lines that were drawn last.
    lines: usize,
}

impl Screen {
    fn new() -> Screen {
        let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        Screen {
            raw: is_terminal.then(Raw::enter).and_then(Result::ok),
            lines: 0,
        }
    }

    fn leave(&mut self) {
        self.raw = None;
    }

    /// Waits for `q`, Ctrl+C or Ctrl+D.
    async fn ended(&mut self) {
        if self.raw.is_none() {
            // Nobody sits there, and the signal comes as such.
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
        loop {
            while let Ok(true) = event::poll(Duration::ZERO) {
                if let Ok(Event::Key(key)) = event::read()
                    && ends(key)
                {
                    return;
                }
            }
            tokio::time::sleep(STEP).await;
        }
    }

    fn draw(&mut self, session: &Session, mut table: Table, state: &str) -> std::io::Result<()> {
        let mut out = Out::new();
        let look = Look::of_output(session.expanded);
        if self.raw.is_none() {
            write!(out, "{}{state}\n\n", table.laid(look).text)?;
            return out.flush();
        }
        let size = terminal_size::terminal_size();
        let height = size.map_or(LINES, |it| usize::from(it.1.0));
        let rows = table.height();
        table.truncate(height.saturating_sub(LINES_AROUND).max(1));
        let laid = table.laid(look);
        let mut lines: Vec<&str> = laid.text.lines().collect();
        let room = height.saturating_sub(2).max(1);
        let left_out = rows - table.height();
        let more = format!("… {} more", count(left_out, "row"));
        if room < lines.len() {
            lines.truncate(room - 1);
            lines.push("…");
        } else if left_out != 0 {
            lines.push(&more);
        }
        let state = cut(
            &format!("{state}; q ends"),
            look.columns.unwrap_or(usize::MAX),
        );
        lines.push(&state);
        // Back to the first line of the last time, and everything anew.
        let mut text = String::new();
        if self.lines != 0 {
            text = format!("\u{1b}[{}A\r\u{1b}[J", self.lines);
        }
        for line in &lines {
            text += line;
            text += "\r\n";
        }
        self.lines = lines.len();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// A terminal that passes on each key, and shows none; put back when this is dropped.
struct Raw(());

impl Raw {
    fn enter() -> std::io::Result<Raw> {
        terminal::enable_raw_mode()?;
        Ok(Raw(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = terminal::disable_raw_mode();
    }
}

/// Whether a key ends the watching.
fn ends(key: KeyEvent) -> bool {
    match (key.code, key.modifiers) {
        (KeyCode::Esc, _) => true,
        (KeyCode::Char('q' | 'Q'), it) => it.difference(KeyModifiers::SHIFT).is_empty(),
        (KeyCode::Char('c' | 'd'), it) => it == KeyModifiers::CONTROL,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ends_it() {
        let key = |code, modifiers| ends(KeyEvent::new(code, modifiers));
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        assert!(key(KeyCode::Char('q'), none) && key(KeyCode::Char('Q'), KeyModifiers::SHIFT));
        assert!(key(KeyCode::Char('c'), control) && key(KeyCode::Char('d'), control));
        assert!(key(KeyCode::Esc, none));
        assert!(!key(KeyCode::Char('c'), none) && !key(KeyCode::Char('q'), control));
        assert!(!key(KeyCode::Enter, none));
    }

    #[test]
    fn a_view_is_known_by_its_rows() {
        for (query, view) in [
            ("SELECT * FROM totals", Some("totals")),
            ("select *\nfrom Totals -- all", Some("totals")),
            ("totals", Some("totals")),
            ("SELECT * FROM \"Odd \"\"one\"", Some("Odd \"one")),
            ("SELECT * FROM totals LIMIT 1", None),
            ("SELECT a FROM totals", None),
            ("SELECT * FROM lake.totals", None),
            ("", None),
        ] {
            assert_eq!(view_of(query).as_deref(), view, "{query}");
        }
    }

    #[test]
    fn changes_keep_rows_and_their_order() {
        let row = |json: &str| Row::of_text(json).expect("a row");
        let mut rows = HashMap::new();
        add(
            &mut rows,
            [
                (1, row(r#"{"k":"a","n":9}"#)),
                (2, row(r#"{"k":"b","n":10}"#)),
                (1, row(r#"{"k":"c","n":null}"#)),
            ]
            .into_iter(),
        );
        add(
            &mut rows,
            [
                (-1, row(r#"{"k":"b","n":10}"#)),
                (-1, row(r#"{"k":"a","n":9}"#)),
                (1, row(r#"{"k":"a","n":11}"#)),
            ]
            .into_iter(),
        );
        let told = |order: &[OrderFacts]| -> Vec<String> {
            let rows = in_order(&rows, order);
            rows.iter().map(|it| it.json().to_owned()).collect()
        };
        let down = OrderFacts {
            column: "n".to_owned(),
            descending: true,
            nulls_first: false,
        };
        let all = [
            r#"{"k":"a","n":11}"#,
            r#"{"k":"b","n":10}"#,
            r#"{"k":"c","n":null}"#,
        ];
        assert_eq!(told(std::slice::from_ref(&down)), all);
        let first = OrderFacts {
            descending: false,
            nulls_first: true,
            ..down
        };
        assert_eq!(told(&[first]), [all[2], all[1], all[0]]);
        assert_eq!(told(&[]), all);
    }
}

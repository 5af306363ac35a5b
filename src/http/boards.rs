//! Boards: pages of panels that people put together, each a query and how its answer is shown.
//!
//! A board is one `.json` file in a folder of the dataflow whose relations its queries name, beside its saved queries. The server keeps
//! boards and checks their form; what a panel shows is asked for by the page.

use super::App;
use super::folder::{Folder, Kind, SkippedFile};
use super::problem::Problem;
use super::saved;
use axum::Json as JsonBody;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the files are.
pub const BOARDS: Kind = Kind {
    word: "board",
    ending: "json",
    files_max: 100,
    bytes_max: 512 << 10,
    unknown: "unknown_board",
    too_many: "too_many_boards",
    too_long: "board_too_long",
    failed: "boards_failed",
};

const PANELS_MAX: usize = 40;
const TITLE_CHARACTERS_MAX: usize = 200;
const QUERY_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Serialize, JsonSchema)]
pub struct Boards {
    pub boards: Vec<NamedBoard>,
    /// Files that are no boards, and why.
    pub skipped: Vec<SkippedFile>,
    /// Where the files are.
    pub folder: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct NamedBoard {
    pub name: String,
    #[serde(flatten)]
    pub board: Board,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// In the order in which they are shown.
    pub panels: Vec<BoardPanel>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoardPanel {
    /// Tells the panels of a board apart.
    pub id: String,
    pub title: String,
    pub query: String,
    #[serde(default)]
    pub chart: ChartChoice,
    /// Whether it takes the whole width.
    #[serde(default)]
    pub wide: bool,
}

/// How an answer is shown; what is left out follows from its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChartChoice {
    pub kind: Option<ChartKind>,
    /// The column along the horizontal axis.
    pub x: Option<String>,
    /// The column whose values are lines or rows of their own.
    pub series: Option<String>,
    /// The column with the numbers.
    pub y: Option<String>,
    #[serde(default)]
    pub stacked: bool,
    /// Whether the axis of numbers is logarithmic.
    #[serde(default)]
    pub log: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChartKind {
    Table,
    Number,
    Line,
    Area,
    Bars,
    Heatmap,
}

pub async fn list(State(app): State<Arc<App>>) -> Result<JsonBody<Boards>, Problem> {
    let folder = folder(&app)?;
    let listed = app.workers.apart(move || folder.list()).await??;
    let mut boards = Vec::new();
    let mut skipped = listed.skipped;
    for (name, text) in listed.files {
        match read(text.as_bytes()) {
            Ok(board) => boards.push(NamedBoard { name, board }),
            Err(reason) => skipped.push(SkippedFile {
                file: format!("{name}.{}", BOARDS.ending),
                reason,
            }),
        }
    }
    Ok(JsonBody(Boards {
        boards,
        skipped,
        folder: listed.folder,
    }))
}

pub async fn save(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let folder = folder(&app)?;
    let board = read(&body).map_err(|it| {
        Problem::bad_request("bad_body", format!("the body is no board: {it}")).hint(
            "send {\"panels\": [{\"id\": \"1\", \"title\": \"Rows\", \"query\": \"SELECT …\"}]}",
        )
    })?;
    let work = move || {
        let text = serde_json::to_string_pretty(&board).map_err(|it| {
            Problem::bad_request("bad_body", format!("the board cannot be written: {it}"))
        })?;
        folder.save(&name, &text)
    };
    app.workers.apart(work).await??;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let folder = folder(&app)?;
    app.workers.apart(move || folder.remove(&name)).await??;
    Ok(StatusCode::NO_CONTENT)
}

fn folder(app: &App) -> Result<Folder, Problem> {
    saved::folder(app.boards.as_ref(), "boards")
}

/// A board as a file or a request has it.
fn read(text: &[u8]) -> Result<Board, String> {
    let board: Board = serde_json::from_slice(text).map_err(|it| it.to_string())?;
    if PANELS_MAX < board.panels.len() {
        return Err(format!("it has more than {PANELS_MAX} panels"));
    }
    for (at, panel) in board.panels.iter().enumerate() {
        if panel.query.trim().is_empty() {
            return Err(format!("panel {} has no query", at + 1));
        }
        if QUERY_BYTES_MAX < panel.query.len() || TITLE_CHARACTERS_MAX < panel.title.chars().count()
        {
            return Err(format!(
                "panel {} is too long: a query has at most {QUERY_BYTES_MAX} bytes, a title {TITLE_CHARACTERS_MAX} characters",
                at + 1
            ));
        }
        if board.panels[..at].iter().any(|it| it.id == panel.id) {
            return Err(format!("two panels have the id {:?}", panel.id));
        }
    }
    Ok(board)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_checked_before_it_is_kept() {
        let panel = |id: &str, query: &str| {
            format!(r#"{{"id": "{id}", "title": "T", "query": "{query}"}}"#)
        };
        let of = |panels: &[String]| format!(r#"{{"panels": [{}]}}"#, panels.join(","));
        let read = |text: String| read(text.as_bytes()).map(|it| it.panels.len());
        assert_eq!(read(of(&[])), Ok(0));
        assert_eq!(
            read(of(&[panel("a", "SELECT 1"), panel("b", "SELECT 1")])),
            Ok(2)
        );
        let many: Vec<String> = (0..=PANELS_MAX)
            .map(|it| panel(&it.to_string(), "SELECT 1"))
            .collect();
        for (text, said) in [
            (of(&many), "more than 40 panels"),
            (of(&[panel("a", " ")]), "panel 1 has no query"),
            (
                of(&[panel("a", "SELECT 1"), panel("a", "SELECT 2")]),
                "two panels have the id \"a\"",
            ),
            (
                of(&[panel("a", &"x".repeat(QUERY_BYTES_MAX + 1))]),
                "panel 1 is too long",
            ),
            (
                r#"{"panels": [], "color": 1}"#.to_owned(),
                "unknown field `color`",
            ),
        ] {
            let refused = read(text).expect_err(said);
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let board = Board {
            panels: vec![BoardPanel {
                id: "a".to_owned(),
                title: "Requests".to_owned(),
                query: "SELECT 1".to_owned(),
                chart: ChartChoice {
                    kind: Some(ChartKind::Heatmap),
                    x: Some("minute".to_owned()),
                    log: true,
                    ..ChartChoice::default()
                },
                wide: true,
            }],
        };
        let text = serde_json::to_vec(&board).expect("JSON");
        assert_eq!(read(&text), Ok(board));
    }
}

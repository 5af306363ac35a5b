//! `\d`: what there is, and what is known of one of it.

use super::catalog::{Catalog, LAKE_TABLE, LIVE_VIEW, Relation};
use crate::cli::exit;
use crate::cli::print::{Cell, Out, count, printable};
use crate::cli::sql::{Asked, Failure, Session};
use crate::cli::table::{Kind, Look, Table};
use crate::plan::span;
use anyhow::Result;
use serde::Deserialize;
use std::io::Write;
use unicode_width::UnicodeWidthStr;

/// How many names a message lists.
const NAMES_MAX: usize = 3;
/// Lines of text into a pipe.
const LINE_COLUMNS: usize = 100;

/// Prints all relations.
pub fn list(session: &Session, catalog: &Catalog) -> Result<(), Failure> {
    let rows = catalog.relations.iter().map(|it| {
        let rows = it.rows.map_or(String::new(), |it| it.to_string());
        [printable(&it.name), printable(&it.kind), rows, what(it)].map(Cell::text)
    });
    let columns = [
        ("name", Kind::Text),
        ("kind", Kind::Text),
        ("rows", Kind::Number),
        ("what", Kind::Text),
    ];
    let columns = columns.map(|(name, kind)| (name.to_owned(), kind));
    let table = Table::new(columns, rows.map(|it| it.to_vec()).collect());
    let laid = table.laid(Look::of_output(session.expanded));
    Out::new().write_all(laid.text.as_bytes())?;
    eprintln!(
        "{}, {}; \\d NAME tells more of one",
        count(catalog.count(LIVE_VIEW), "live view"),
        count(catalog.count(LAKE_TABLE), "lake table")
    );
    Ok(())
}

/// What is said of a relation, or else what it has.
fn what(relation: &Relation) -> String {
    let columns = relation.columns.iter().map(|it| it.name.as_str());
    let text = relation.comment.clone();
    printable(&text.unwrap_or_else(|| columns.collect::<Vec<_>>().join(", ")))
}

/// What the list of views tells of one.
#[derive(Deserialize)]
pub struct ViewFacts {
    pub name: String,
    pub sql: String,
    pub window_column: Option<String>,
    pub retention_seconds: Option<i64>,
    #[serde(default)]
    pub order: Vec<OrderFacts>,
}

/// A column that rows of a view are in the order of.
#[derive(Clone, Debug, Deserialize)]
pub struct OrderFacts {
    pub column: String,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Deserialize)]
pub struct Views {
    pub views: Vec<ViewFacts>,
}

#[derive(Deserialize)]
struct StoredFacts {
    version: u64,
    file_count: u64,
    bytes: u64,
    rows: Option<u64>,
}

/// Prints the columns of a relation, and what is known of it.
pub async fn one(session: &Session, name: &str) -> Result<(), Failure> {
    let catalog = Catalog::of(&session.asked).await?;
    let relation = catalog.find(name).ok_or_else(|| unknown(&catalog, name))?;
    let look = Look::of_output(session.expanded);
    let mut text = format!(
        "{}: {}",
        printable(&relation.name),
        printable(&relation.kind)
    );
    if let Some(rows) = relation.rows {
        text += &format!(
            ", {}",
            count(usize::try_from(rows).unwrap_or(usize::MAX), "row")
        );
    }
    text.push('\n');
    if let Some(comment) = &relation.comment {
        text += &folded(&printable(comment), look.columns);
    }
    if !relation.columns.is_empty() {
        text.push('\n');
        text += &columns_of(relation).laid(look).text;
    }
    let facts = match &session.asked {
        Asked::Server(_) => facts(session, relation, look.columns).await?,
        Asked::Lake(_) => String::new(),
    };
    if !facts.is_empty() {
        text.push('\n');
        text += &facts;
    }
    if relation.kind == LIVE_VIEW && catalog.find(&format!("lake.{}", relation.name)).is_some() {
        text += &format!(
            "Stored as of each commit: lake.{}\n",
            printable(&relation.name)
        );
    }
    Ok(Out::new().write_all(text.as_bytes())?)
}

/// The columns as a table; what none of them has is left out.
fn columns_of(relation: &Relation) -> Table {
    let all = [
        ("column", true),
        ("type", true),
        ("role", relation.columns.iter().any(|it| it.role.is_some())),
        ("unit", relation.columns.iter().any(|it| it.unit.is_some())),
        (
            "comment",
            relation.columns.iter().any(|it| it.comment.is_some()),
        ),
    ];
    let rows = relation.columns.iter().map(|it| {
        let or_none = |it: &Option<String>| it.as_deref().map(printable).unwrap_or_default();
        let cells = [
            printable(&it.name),
            printable(&it.kind),
            or_none(&it.role),
            or_none(&it.unit),
            or_none(&it.comment),
        ];
        let cells = cells.into_iter().zip(all).filter(|it| it.1.1);
        cells.map(|it| Cell::text(it.0)).collect()
    });
    let columns = all.into_iter().filter(|it| it.1);
    let columns = columns.map(|(name, _)| (name.to_owned(), Kind::Text));
    Table::new(columns, rows.collect())
}

/// What a server knows beside the columns.
async fn facts(session: &Session, relation: &Relation, columns: Option<usize>) -> Result<String> {
    let Asked::Server(server) = &session.asked else {
        return Ok(String::new());
    };
    let mut text = String::new();
    if let Some(stored) = relation.name.strip_prefix("lake.") {
        let path = ["api", "v1", "lake", "tables", stored];
        let facts: StoredFacts = server.get(&path).await?;
        let rows = facts
            .rows
            .map_or(String::new(), |it| format!("{it} rows, "));
        text = format!(
            "{rows}{} bytes in {}, version {}\n",
            facts.bytes,
            count(
                usize::try_from(facts.file_count).unwrap_or(usize::MAX),
                "file"
            ),
            facts.version
        );
    } else if relation.kind == LIVE_VIEW {
        let all: Views = server.get(&["api", "v1", "views"]).await?;
        if let Some(facts) = all.views.iter().find(|it| it.name == relation.name) {
            if let (Some(column), Some(seconds)) = (&facts.window_column, facts.retention_seconds) {
                let time = span(seconds.saturating_mul(1_000_000));
                text += &format!("Live rows are kept for {time}, by {}\n", printable(column));
            }
            let order = facts.order.iter().map(|it| {
                let down = if it.descending { " DESC" } else { "" };
                printable(&it.column) + down
            });
            let order = order.collect::<Vec<_>>().join(", ");
            if !order.is_empty() {
                text += &format!("In the order of {order}\n");
            }
            text += &folded(&printable(&facts.sql), columns);
        }
    }
    Ok(text)
}

fn unknown(catalog: &Catalog, name: &str) -> anyhow::Error {
    let names = catalog.relations.iter().map(|it| it.name.as_str());
    let mut near: Vec<(f64, &str)> = names
        .map(|it| {
            (
                strsim::jaro_winkler(it.trim_start_matches("lake."), name),
                it,
            )
        })
        .filter(|it| 0.8 < it.0)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near.iter().take(NAMES_MAX).map(|it| it.1).collect();
    let hint = match near.is_empty() {
        true => "\\d lists what there is".to_owned(),
        false => format!("did you mean {}?", near.join(", ")),
    };
    let text = format!("there is no view or table {name}; {hint}");
    exit::coded(exit::REFUSED, printable(&text))
}

/// A text in lines that end between words.
fn folded(text: &str, columns: Option<usize>) -> String {
    let columns = columns.unwrap_or(LINE_COLUMNS);
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && columns < line.width() + 1 + word.width() {
            lines += &line;
            lines.push('\n');
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &line + "\n"
}

//! A line of SQL with a mark under what is wrong in it, as compilers draw it.

use super::terminal::{Layout, Tone};
use crate::sql::{Error, Excerpt};

/// What is wrong with a dataflow, and where; without a place just what is wrong.
pub fn explained(error: &Error, layout: Layout) -> String {
    let Some((message, path, excerpt)) = error.message_and_excerpt() else {
        return error.to_string();
    };
    let path = if path.is_empty() { "dataflow" } else { path };
    let place = format!("{path}:{}:{}", excerpt.line, excerpt.column);
    let arrow = layout.toned(Tone::Place, "-->");
    let indent = excerpt.line.to_string().len();
    format!(
        "{message}\n{:indent$}{arrow} {place}\n{}",
        "",
        drawn(excerpt, layout)
    )
}

/// The line, and the mark below it. Of a long line the part around the mark.
pub fn drawn(excerpt: &Excerpt, layout: Layout) -> String {
    let number = excerpt.line.to_string();
    let indent = number.len();
    let line: Vec<char> = excerpt.text.replace('\t', " ").trim_end().chars().collect();
    let room = layout.columns.saturating_sub(indent + 3).max(20);
    let start = (excerpt.column - 1).min(line.len());
    let from = match line.len() <= room {
        true => 0,
        false => start.saturating_sub(room / 3).min(line.len() - room),
    };
    let to = line.len().min(from + room);
    let mut shown: String = line[from..to].iter().collect();
    if 0 < from {
        shown = format!("…{}", shown.chars().skip(1).collect::<String>());
    }
    if to < line.len() {
        shown = format!("{}…", shown.chars().take(to - from - 1).collect::<String>());
    }
    let length = excerpt.length.min(to.saturating_sub(start)).max(1);
    let bar = layout.toned(Tone::Place, "|");
    let mark = layout.toned(Tone::Bad, &"^".repeat(length));
    let (empty, gap) = (" ".repeat(indent), " ".repeat(start - from));
    let number = layout.toned(Tone::Place, &number);
    format!("{empty} {bar}\n{number} {bar} {shown}\n{empty} {bar} {gap}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn_at(text: &str, column: usize, length: usize) -> String {
        let layout = Layout {
            columns: 40,
            colours: false,
        };
        let excerpt = Excerpt {
            line: 12,
            column,
            length,
            text: text.to_owned(),
        };
        drawn(&excerpt, layout)
    }

    #[test]
    fn the_mark_stands_under_what_is_wrong() {
        insta::assert_snapshot!(drawn_at("SELECT max(nope)", 12, 4), @r"
           |
        12 | SELECT max(nope)
           |            ^^^^
        ");
        let long = format!("SELECT {}nope, {}", "a, ".repeat(30), "b, ".repeat(30));
        insta::assert_snapshot!(drawn_at(&long, 98, 4), @r"
           |
        12 | … a, a, a, nope, b, b, b, b, b, b,…
           |            ^^^^
        ");
        // Behind the end, where something is missing.
        insta::assert_snapshot!(drawn_at("SELECT", 8, 1), @r"
           |
        12 | SELECT
           |       ^
        ");
    }
}

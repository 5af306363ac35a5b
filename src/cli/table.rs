//! Rows for people: columns under their names, numbers to the right, and no line wider than the terminal.
//!
//! Nothing is cut. Where the columns do not fit beside each other, long texts go on in the next line, under their beginning; where even that
//! needs more room, each row is a block with a line for each column. Into a pipe or a file every row is one line, however long.

use super::print::Cell;
use std::io::IsTerminal;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A column of texts is not made narrower than this.
const TEXT_WIDTH_MIN: usize = 16;
/// Where a terminal does not say how wide it is.
const TERMINAL_COLUMNS: usize = 80;
const GAP: &str = "  ";

/// Names and cells.
#[derive(Debug, Default)]
pub struct Table {
    pub names: Vec<String>,
    /// Columns of numbers.
    pub right: Vec<bool>,
    pub rows: Vec<Vec<String>>,
}

/// How wide lines may be: as `COLUMNS` says, or as wide as the terminal; without end where there is none.
pub fn columns_of_terminal() -> Option<usize> {
    let stated = std::env::var("COLUMNS").ok();
    if let Some(columns) = stated.and_then(|it| it.parse().ok()).filter(|it| 0 < *it) {
        return Some(columns);
    }
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let size = terminal_size::terminal_size().map(|it| usize::from(it.0.0));
    Some(size.filter(|it| 0 < *it).unwrap_or(TERMINAL_COLUMNS))
}

impl Table {
    /// Of columns by name, and whether they have numbers.
    pub fn new(columns: impl Iterator<Item = (String, bool)>, rows: Vec<Vec<Cell>>) -> Self {
        let (names, right) = columns.unzip();
        let texts = |row: Vec<Cell>| row.into_iter().map(|it| it.text).collect();
        let rows = rows.into_iter().map(texts).collect();
        Table { names, right, rows }
    }

    /// Its text, in lines of so many columns.
    pub fn text(&self, columns: Option<usize>) -> String {
        let widths: Vec<usize> = (0..self.names.len()).map(|it| self.width(it)).collect();
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let Some(columns) = columns.filter(|it| *it < widths.iter().sum::<usize>() + gaps) else {
            return self.beside(&widths);
        };
        let narrowed = |most: usize| {
            let widths = widths.iter().zip(&self.right);
            let widths =
                widths.map(|(width, right)| if *right { *width } else { most.min(*width) });
            widths.collect::<Vec<_>>()
        };
        let fits = |it: &Vec<usize>| it.iter().sum::<usize>() + gaps <= columns;
        let fitting = (TEXT_WIDTH_MIN..=columns).rev().map(narrowed).find(fits);
        match fitting {
            Some(widths) => self.beside(&widths),
            None => self.below(columns),
        }
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|it| it[column].width());
        cells.chain([self.names[column].width()]).max().unwrap_or(0)
    }

    fn beside(&self, widths: &[usize]) -> String {
        let mut text = String::new();
        let rule: Vec<String> = widths.iter().map(|it| "-".repeat(*it)).collect();
        for row in [&self.names, &rule].into_iter().chain(&self.rows) {
            let cells = row.iter().zip(widths);
            let cells: Vec<Vec<&str>> = cells.map(|(cell, width)| wrapped(cell, *width)).collect();
            let lines = cells.iter().map(Vec::len).max().unwrap_or(1);
            for line in 0..lines {
                let parts = cells.iter().zip(widths).zip(&self.right);
                let parts: Vec<String> = parts
                    .map(|((it, width), right)| pad(it.get(line).unwrap_or(&""), *width, *right))
                    .collect();
                text.push_str(parts.join(GAP).trim_end());
                text.push('\n');
            }
        }
        text
    }

    /// Each row as a block.
    fn below(&self, columns: usize) -> String {
        let names = self.names.iter().map(|it| it.width()).max().unwrap_or(0);
        let names = names.min(columns / 2).max(1);
        let values = columns.saturating_sub(names + GAP.len()).max(1);
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let head = format!("-- row {} ", number + 1);
            let rule = "-".repeat(columns.min(40).saturating_sub(head.len()));
            text.push_str(&format!("{head}{rule}\n"));
            for (name, cell) in self.names.iter().zip(row) {
                let (name, cell) = (wrapped(name, names), wrapped(cell, values));
                for line in 0..name.len().max(cell.len()) {
                    let part = |of: &[&str]| of.get(line).copied().unwrap_or_default().to_owned();
                    let line = format!("{}{GAP}{}", pad(&part(&name), names, false), part(&cell));
                    text.push_str(line.trim_end());
                    text.push('\n');
                }
            }
        }
        text
    }
}

fn pad(text: &str, width: usize, right: bool) -> String {
    let fill = " ".repeat(width.saturating_sub(text.width()));
    match right {
        true => format!("{fill}{text}"),
        false => format!("{text}{fill}"),
    }
}

/// A text in lines of at most this width: one line at least, and one character in each.
fn wrapped(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, character) in text.char_indices() {
        let wide = character.width().unwrap_or(0);
        if width < used + wide && start < at {
            lines.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += wide;
    }
    lines.push(&text[start..]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str], right: &[bool], rows: &[&[&str]]) -> Table {
        let texts = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        Table {
            names: texts(names),
            right: right.to_vec(),
            rows: rows.iter().map(|it| texts(it)).collect(),
        }
    }

    #[test]
    fn numbers_stand_at_the_right() {
        let table = table(
            &["endpoint", "n"],
            &[false, true],
            &[&["/api/users", "1200"], &["/", "7"]],
        );
        let text = "endpoint       n\n----------  ----\n/api/users  1200\n/              7\n";
        assert_eq!(table.text(None), text);
        assert_eq!(table.text(Some(16)), text);
    }

    #[test]
    fn long_texts_go_on_in_the_next_line_of_a_terminal() {
        let long = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36";
        let table = table(
            &["agent", "n"],
            &[false, true],
            &[&[long, "7"], &["curl", "12"]],
        );
        assert!(table.text(None).contains(long));
        insta::assert_snapshot!(table.text(Some(30)), @r"
        agent                        n
        --------------------------  --
        Mozilla/5.0 (X11; Linux x8   7
        6_64) AppleWebKit/537.36
        curl                        12
        ");
    }

    #[test]
    fn what_does_not_fit_beside_each_other_stands_below() {
        let table = table(
            &["first", "second", "third"],
            &[true, true, true],
            &[
                &["1234567890", "1234567890", "東京"],
                &["1", "2", "12345678901234567890"],
            ],
        );
        insta::assert_snapshot!(table.text(Some(20)), @r"
        -- row 1 -----------
        first   1234567890
        second  1234567890
        third   東京
        -- row 2 -----------
        first   1
        second  2
        third   123456789012
                34567890
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_nothing_is_lost() {
        let cells: Vec<String> = (0..12).map(|it| "東x".repeat(it * 3 + 1)).collect();
        let signs = |it: &str| it.chars().filter(|it| "東x".contains(*it)).count();
        for columns in 12..200 {
            for used in 1..cells.len() {
                let table = Table {
                    names: (0..used).map(|it| format!("column_{it}")).collect(),
                    right: (0..used).map(|it| it % 3 == 0).collect(),
                    rows: vec![cells[..used].to_vec(), cells[12 - used..].to_vec()],
                };
                let text = table.text(Some(columns));
                for line in text.lines() {
                    assert!(line.width() <= columns, "{columns}: {line}");
                }
                let all: usize = table.rows.iter().flatten().map(|it| signs(it)).sum();
                assert_eq!(signs(&text), all, "{columns}: {text}");
            }
        }
    }
}

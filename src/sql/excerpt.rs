//! The place in the text of a dataflow that an error is about.
//!
//! The parser tells a column. The planner tells names, since what it plans was rewritten before: the first of them that stands in the
//! statement is the place. Lines are those of the file, before variables are filled in.

use super::Error;

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub line: u64,
    /// Where the part begins, from 1, in characters.
    pub column: usize,
    /// How many characters it has.
    pub length: usize,
    /// The whole line.
    pub text: String,
}

impl Error {
    /// The same, with the place in this text.
    pub(super) fn found_in(self, source: &str) -> Self {
        match self {
            Error::Statement {
                place, line, text, ..
            } => Error::Statement {
                excerpt: excerpt(source, line, &text).map(Box::new),
                place,
                line,
                text,
            },
            other => other,
        }
    }

    /// What is wrong, without where that is; and where.
    pub fn message_and_excerpt(&self) -> Option<(&str, &str, &Excerpt)> {
        match self {
            Error::Statement {
                place,
                text,
                excerpt: Some(excerpt),
                ..
            } => {
                let path = place.strip_suffix(": ").unwrap_or(place);
                Some((without_column(text).0, path, excerpt))
            }
            _ => None,
        }
    }
}

/// A message, and the column at its end.
fn without_column(text: &str) -> (&str, Option<usize>) {
    let split = text
        .strip_suffix(')')
        .and_then(|it| it.rsplit_once(" (column "));
    match split.and_then(|(text, column)| Some((text, column.parse().ok()?))) {
        Some((text, column)) => (text, Some(column)),
        None => (text, None),
    }
}

/// The place that a message about the statement of a line is about.
fn excerpt(source: &str, line: u64, message: &str) -> Option<Excerpt> {
    let first = usize::try_from(line).ok()?.checked_sub(1)?;
    let lines: Vec<&str> = source.lines().collect();
    let text = *lines.get(first)?;
    let part = |at: usize, start: usize, length: usize| Excerpt {
        line: at as u64 + 1,
        column: lines[at][..start].chars().count() + 1,
        length,
        text: lines[at].to_owned(),
    };
    let (message, column) = without_column(message);
    if let (Some(column), false) = (column, text.contains("${")) {
        let start = text.char_indices().nth(column.saturating_sub(1));
        let start = start.map_or(text.len(), |it| it.0);
        let start = start_of_found(message, text, start);
        return Some(part(first, start, word_length(&text[start..])));
    }
    let statement = first..=end_of_statement(&lines, first);
    for name in names(message) {
        for at in statement.clone() {
            if let Some(start) = find_word(lines[at], name) {
                return Some(part(at, start, name.chars().count()));
            }
        }
    }
    let start = text.len() - text.trim_start().len();
    let code = text.split("--").next().unwrap_or(text).trim();
    Some(part(first, start, code.chars().count().max(1)))
}

/// Where the token is that a message found. Of some the parser tells the place of the one behind it.
fn start_of_found(message: &str, text: &str, told: usize) -> usize {
    let Some((_, found)) = message.rsplit_once(", found: ") else {
        return told;
    };
    let before = text[..told].trim_end();
    match text[told..].starts_with(found) {
        false if before.ends_with(found) => before.len() - found.len(),
        _ => told,
    }
}

/// The line that ends a statement.
fn end_of_statement(lines: &[&str], first: usize) -> usize {
    let ends = |it: &&str| {
        it.split("--")
            .next()
            .unwrap_or(it)
            .trim_end()
            .ends_with(';')
    };
    let more = lines[first..].iter().position(ends);
    more.map_or(lines.len() - 1, |it| first + it)
}

/// What a message names as wrong, in order: names in quotes, and the word behind the kind of thing. What it offers instead comes after `;`.
fn names(message: &str) -> Vec<&str> {
    let wrong = message.split("; ").next().unwrap_or(message);
    let mut names: Vec<&str> = Vec::new();
    for quote in ['`', '\'', '"'] {
        names.extend(wrong.split(quote).skip(1).step_by(2));
    }
    // `sum does not take TEXT`
    names.extend(wrong.split_once(" does not take ").map(|it| it.0));
    for kind in [
        "FORMAT ",
        "function ",
        "variable ",
        "column ",
        "option ",
        "view ",
        "table ",
    ] {
        let behind = wrong.split(kind).nth(1).unwrap_or_default();
        names.extend(behind.split([' ', ',', '(', ':']).next());
    }
    names.retain(|it| it.contains(char::is_alphanumeric));
    // Also what comes behind the relation's name.
    let last: Vec<&str> = names
        .iter()
        .filter_map(|it| Some(it.rsplit_once('.')?.1))
        .collect();
    names.extend(last);
    names
}

/// Where a name stands as a whole word, in any case.
fn find_word(line: &str, name: &str) -> Option<usize> {
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let (line, name) = (line.to_ascii_lowercase(), name.to_ascii_lowercase());
    let code = line.split("--").next().unwrap_or(&line);
    let mut starts = code.match_indices(&name).map(|it| it.0);
    starts.find(|start| {
        let before = code[..*start].chars().next_back();
        let after = code[start + name.len()..].chars().next();
        let inside = |it: Option<char>, own: Option<char>| {
            it.is_some_and(is_word) && own.is_some_and(is_word)
        };
        !inside(before, name.chars().next()) && !inside(after, name.chars().next_back())
    })
}

/// How long the word or sign is that a text begins with.
fn word_length(text: &str) -> usize {
    let word = text
        .chars()
        .take_while(|it| it.is_alphanumeric() || *it == '_');
    word.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str, line: u64, message: &str) -> (u64, usize, usize) {
        let it = excerpt(source, line, message).unwrap();
        (it.line, it.column, it.length)
    }

    #[test]
    fn the_place_is_the_name_that_is_wrong() {
        let source = "SET dataflow = 'x';\nCREATE MATERIALIZED VIEW v AS -- nope\nSELECT k, max(nope) AS nopes\nFROM s;\nSELECT nope";
        assert_eq!(
            found(source, 2, "there is no column `nope`; did you mean `k`?"),
            (3, 15, 4)
        );
        assert_eq!(found(source, 2, "there is no function max"), (3, 11, 3));
        assert_eq!(
            found(source, 2, "max does not take TEXT; CAST it"),
            (3, 11, 3)
        );
        assert_eq!(found(source, 2, "`s.nope` must be in GROUP BY"), (3, 15, 4));
        assert_eq!(
            found(source, 2, "expected `;` after the statement, found `k`"),
            (3, 8, 1)
        );
        // Of another statement.
        assert_eq!(found(source, 1, "there is no column `nope`"), (1, 1, 19));
        assert_eq!(found(source, 2, "it cannot be maintained"), (2, 1, 29));
    }

    #[test]
    fn a_column_of_the_parser_is_the_place() {
        let source = "SELECT a\n  FROM ${TABLE} b";
        assert_eq!(
            found(source, 1, "Expected: x, found: a (column 8)"),
            (1, 8, 1)
        );
        // One that is behind the word it is about.
        assert_eq!(
            found(
                "SELECT a, FROM t",
                1,
                "Expected an expression, found: FROM (column 16)"
            ),
            (1, 11, 4)
        );
        // Columns behind a variable are those of its value.
        assert_eq!(
            found(source, 2, "Expected: x, found: b (column 12)"),
            (2, 3, 15)
        );
        assert_eq!(excerpt(source, 9, "beyond the end"), None);
        assert_eq!(excerpt(source, 0, "of nothing that is written"), None);
    }
}

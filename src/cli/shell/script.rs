//! What is typed or read, cut into statements of SQL and commands of the shell.

use super::lex::{Kind, Token, tokens};

/// A piece of a script that is carried out as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Statement(Piece<'a>),
    /// A command, from its backslash on, and the statement before it on which it works, if that has no semicolon.
    Command {
        command: Piece<'a>,
        about: Option<Piece<'a>>,
    },
}

/// A part's text, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    pub text: &'a str,
    /// From 1.
    pub line: u64,
}

impl Part<'_> {
    /// The line in which it begins, from 1.
    pub fn line(&self) -> u64 {
        match self {
            Part::Statement(it) => it.line,
            Part::Command { about, command } => about.unwrap_or(*command).line,
        }
    }
}

/// A text, a name or a comment that has no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// What is open.
    pub what: &'static str,
    /// Line and column of its beginning, from 1.
    pub place: (u64, u64),
}

/// The parts of a script. Statements end with semicolons outside of texts, quoted names and comments, commands with their line. Comments
/// between statements are left out, and so is what has nothing else.
///
/// # Errors
/// If a text, a name or a comment is not closed: where the statement ends is not known then.
pub fn parts(script: &str) -> Result<Vec<Part<'_>>, Open> {
    let all = tokens(script);
    if let Some(token) = all.iter().find(|it| !it.is_closed) {
        return Err(open(script, token));
    }
    let mut parts = Vec::new();
    let mut begun: Option<usize> = None;
    for token in &all {
        let piece = |from: usize, to: usize| Piece {
            text: script[from..to].trim_end(),
            line: line_of(script, from),
        };
        let Token { kind, range, .. } = token;
        match kind {
            Kind::Space | Kind::Comment => {}
            Kind::Semicolon => {
                let statement = begun.take().map(|from| piece(from, range.start));
                parts.extend(statement.map(Part::Statement));
            }
            Kind::Command => parts.push(Part::Command {
                command: piece(range.start, range.end),
                about: begun.take().map(|from| piece(from, range.start)),
            }),
            _ => {
                begun.get_or_insert(range.start);
            }
        }
    }
    if let Some(from) = begun {
        parts.push(Part::Statement(Piece {
            text: script[from..].trim_end(),
            line: line_of(script, from),
        }));
    }
    Ok(parts)
}

/// Whether what is typed can be carried out: nothing is open, and its last statement has its semicolon. Words of old shells need none.
pub fn is_complete(typed: &str) -> bool {
    let all = tokens(typed);
    let last = all
        .iter()
        .rfind(|it| !matches!(it.kind, Kind::Space | Kind::Comment));
    all.iter().all(|it| it.is_closed)
        && last.is_none_or(|it| matches!(it.kind, Kind::Semicolon | Kind::Command))
        || is_plain_word(typed)
}

/// `exit`, `quit` and `help`, which people type as they are.
pub fn is_plain_word(typed: &str) -> bool {
    let word = typed.trim().to_ascii_lowercase();
    ["exit", "quit", "help"].contains(&word.as_str())
}

fn open(script: &str, token: &Token) -> Open {
    let from = token.range.start;
    let line = &script[..from].rsplit('\n').next().unwrap_or_default();
    Open {
        what: match token.kind {
            Kind::Comment => "a comment",
            Kind::Name => "a quoted name",
            _ => "a text",
        },
        place: (line_of(script, from), line.chars().count() as u64 + 1),
    }
}

fn line_of(script: &str, at: usize) -> u64 {
    1 + script[..at].matches('\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts in a short form: a statement as it is, a command behind what it is about; each with its line.
    fn told(script: &str) -> Vec<(String, u64)> {
        let parts = parts(script).expect("nothing is open");
        let told = parts.iter().map(|it| {
            let text = match it {
                Part::Statement(it) => it.text.to_owned(),
                Part::Command { command, about } => {
                    format!("{}|{}", about.map_or("", |it| it.text), command.text)
                }
            };
            (text, it.line())
        });
        told.collect()
    }

    #[test]
    fn a_script_is_cut_where_statements_end() {
        for (script, expect) in [
            ("SELECT 1", vec![("SELECT 1", 1)]),
            (
                "SELECT 1; SELECT 2;\n",
                vec![("SELECT 1", 1), ("SELECT 2", 1)],
            ),
            (
                "SELECT ';', 'it''s; fine';\nSELECT \";\", \"a\"\";\"",
                vec![
                    ("SELECT ';', 'it''s; fine'", 1),
                    ("SELECT \";\", \"a\"\";\"", 2),
                ],
            ),
            (
                "-- one; two\nSELECT 1 -- three; 'four\n; /* a; /* b; */ c'; */\n\nSELECT 2",
                vec![("SELECT 1 -- three; 'four", 2), ("SELECT 2", 5)],
            ),
            (
                "SELECT 'ü;';;SELECT 4",
                vec![("SELECT 'ü;'", 1), ("SELECT 4", 1)],
            ),
            (
                "SELECT $$a; 'b$$, $x$;$$;$x$, $1; SELECT a$b; SELECT 2",
                vec![
                    ("SELECT $$a; 'b$$, $x$;$$;$x$, $1", 1),
                    ("SELECT a$b", 1),
                    ("SELECT 2", 1),
                ],
            ),
            (
                "SELECT E'it\\'s; fine', e'\\\\'; SELECT 'C:\\'; SELECT 3",
                vec![
                    ("SELECT E'it\\'s; fine', e'\\\\'", 1),
                    ("SELECT 'C:\\'", 1),
                    ("SELECT 3", 1),
                ],
            ),
            (
                "SELECT E'a''\\'; b'; SELECT 2",
                vec![("SELECT E'a''\\'; b'", 1), ("SELECT 2", 1)],
            ),
            ("ü\r\n;\n\n ü ü", vec![("ü", 1), ("ü ü", 4)]),
            (
                "SELECT 1 - 1/2 *3; x",
                vec![("SELECT 1 - 1/2 *3", 1), ("x", 1)],
            ),
            (" ;; -- nothing\n", vec![]),
            ("", vec![]),
        ] {
            let expect: Vec<(String, u64)> = expect
                .into_iter()
                .map(|it| (it.0.to_owned(), it.1))
                .collect();
            assert_eq!(told(script), expect, "{script}");
        }
    }

    #[test]
    fn a_command_reaches_to_the_end_of_its_line() {
        for (script, expect) in [
            ("\\d it's; x", vec![("|\\d it's; x", 1)]),
            ("\\x on\nSELECT 1;", vec![("|\\x on", 1), ("SELECT 1", 2)]),
            (
                "SELECT 1;\n\nSELECT\n 2 \\watch 5\nSELECT 3",
                vec![
                    ("SELECT 1", 1),
                    ("SELECT\n 2|\\watch 5", 3),
                    ("SELECT 3", 5),
                ],
            ),
            (
                "SELECT '\\d', \"\\x\" -- \\q\n; \\timing",
                vec![("SELECT '\\d', \"\\x\" -- \\q", 1), ("|\\timing", 2)],
            ),
        ] {
            let expect: Vec<(String, u64)> = expect
                .into_iter()
                .map(|it| (it.0.to_owned(), it.1))
                .collect();
            assert_eq!(told(script), expect, "{script}");
        }
    }

    #[test]
    fn what_is_open_is_told_with_its_place() {
        for (script, what, place) in [
            ("SELECT 1;\nSELECT 'open; text", "a text", (2, 8)),
            ("SELECT 1; SELECT 2 /* open; /* */ ", "a comment", (1, 20)),
            ("SELECT \"ü\", \"open", "a quoted name", (1, 13)),
            ("SELECT $a$ open $b$", "a text", (1, 8)),
            ("SELECT E'open\\'", "a text", (1, 8)),
        ] {
            assert_eq!(parts(script), Err(Open { what, place }), "{script}");
            assert!(!is_complete(script), "{script}");
        }
    }

    #[test]
    fn a_statement_waits_for_its_semicolon() {
        for complete in [
            "",
            "SELECT 1;",
            "SELECT 1; -- done",
            "\\d",
            "SELECT 1 \\watch",
            "quit",
            " EXIT\n",
        ] {
            assert!(is_complete(complete), "{complete}");
        }
        for open in [
            "SELECT 1",
            "SELECT 1 -- ;",
            "SELECT ';'",
            "SELECT 1; SELECT 2",
            "exit now",
        ] {
            assert!(!is_complete(open), "{open}");
        }
    }
}

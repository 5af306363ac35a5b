//! A script of several statements, cut into them: the parser's own tokens say where each ends.

use super::error::QueryError;
use crate::sql::dialect::Tidelake;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

/// A statement of a script, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptStatement<'a> {
    pub text: &'a str,
    /// From 1.
    pub line: u64,
}

/// The statements of a script, which end with semicolons outside of texts, quoted names and comments. Comments between them are left
/// out, and so is what has nothing else.
///
/// # Errors
/// If a text, a name or a comment is not closed: where the statement ends is not known then.
pub fn statements(script: &str) -> Result<Vec<ScriptStatement<'_>>, QueryError> {
    let tokens = Tokenizer::new(&Tidelake, script)
        .tokenize_with_location()
        .map_err(|it| QueryError::rejected(it.message).at(it.location.line, it.location.column))?;
    let mut found = Vec::new();
    let mut begun: Option<Location> = None;
    let mut end_with = |begun: &mut Option<Location>, to: usize| {
        if let Some(from) = begun.take() {
            found.push(ScriptStatement {
                text: script[byte_of(script, from)..to].trim_end(),
                line: from.line,
            });
        }
    };
    for token in &tokens {
        match &token.token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::SemiColon => end_with(&mut begun, byte_of(script, token.span.start)),
            _ => {
                begun.get_or_insert(token.span.start);
            }
        }
    }
    end_with(&mut begun, script.len());
    Ok(found)
}

/// The tokenizer counts lines, and characters in them.
fn byte_of(script: &str, at: Location) -> usize {
    let before = |it: u64| usize::try_from(it - 1).expect("a place in a text that is in memory");
    let lines = script.split_inclusive('\n');
    let line_start: usize = lines.take(before(at.line)).map(str::len).sum();
    let in_line = script[line_start..].char_indices();
    let mut rest = in_line.skip(before(at.column));
    rest.next().map_or(script.len(), |it| line_start + it.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_cut_where_statements_end() {
        for (script, expect) in [
            ("SELECT 1", vec![("SELECT 1", 1)]),
            (
                "SELECT 1; SELECT 2;\n",
                vec![("SELECT 1", 1), ("SELECT 2", 1)],
            ),
            (
                "SELECT ';', 'it''s; fine';\nSELECT \";\"",
                vec![("SELECT ';', 'it''s; fine'", 1), ("SELECT \";\"", 2)],
            ),
            (
                "-- one; two\nSELECT 1 -- three; four\n; /* a; /* b; */ c; */\n\nSELECT 2",
                vec![("SELECT 1 -- three; four", 2), ("SELECT 2", 5)],
            ),
            (
                "SELECT 'ü;';;SELECT 4",
                vec![("SELECT 'ü;'", 1), ("SELECT 4", 1)],
            ),
            ("ü\r\n;\n\n ü ü", vec![("ü", 1), ("ü ü", 4)]),
            (" ;; -- nothing\n", vec![]),
            ("", vec![]),
        ] {
            let found = statements(script).map(|all| {
                let all = all.iter();
                all.map(|it| (it.text, it.line)).collect::<Vec<_>>()
            });
            assert_eq!(found, Ok(expect), "{script}");
        }
        for open in [
            "SELECT 1;\nSELECT 'open; text",
            "SELECT 1; SELECT 2 /* open; comment",
        ] {
            assert!(
                matches!(
                    statements(open),
                    Err(QueryError::Rejected { line: Some(_), .. })
                ),
                "{open}"
            );
        }
    }
}

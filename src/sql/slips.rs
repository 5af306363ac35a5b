//! Keywords that are written wrong.
//!
//! The parser takes a word that is no keyword for a name, and complains of what comes behind it: of `SELECT * FORM t` it says that nothing may
//! follow `FORM`. So the word before the place where it stopped, and the one at it, are held against the keywords that open a clause or name
//! what is created. Nothing here changes what a statement means: it is asked only about statements that are refused.

use super::dialect::Tidelake;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::fmt;

/// Keywords that open a clause or a statement, or name what is created.
const KEYWORDS: [&str; 41] = [
    "BETWEEN",
    "COMMENT",
    "CREATE",
    "CROSS",
    "DESCRIBE",
    "DETECTOR",
    "DISTINCT",
    "EXCEPT",
    "EXPLAIN",
    "FORMAT",
    "FROM",
    "FULL",
    "FUNCTION",
    "GROUP",
    "HAVING",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "JOIN",
    "LATERAL",
    "LEFT",
    "LIMIT",
    "MATERIALIZED",
    "METRICS",
    "OFFSET",
    "ORDER",
    "PARTITION",
    "PRIMARY",
    "QUALIFY",
    "RETURNS",
    "RIGHT",
    "SELECT",
    "SOURCE",
    "TABLE",
    "UNION",
    "VALUES",
    "VIEW",
    "WATERMARK",
    "WEBHOOK",
    "WHERE",
    "WITH",
];
/// Shorter words are too often names.
const CHARACTERS_MIN: usize = 4;
/// From this length on two letters may be wrong, else one; letters that changed places count as one.
const LONG_CHARACTERS_MIN: usize = 8;

/// A word that stands where a keyword was probably meant.
#[derive(Debug, PartialEq, Eq)]
pub struct Slip {
    pub written: String,
    pub meant: &'static str,
    /// Where it begins, from 1.
    pub line: u64,
    pub column: u64,
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Slip { written, meant, .. } = self;
        write!(f, "`{written}` is no keyword; did you mean `{meant}`?")
    }
}

/// The tokens of a text without its spaces, and which of them begins at a place, where the parser stopped.
pub fn stopped_at(text: &str, line: u64, column: u64) -> Option<(Vec<TokenWithSpan>, usize)> {
    let tokens = Tokenizer::new(&Tidelake, text).tokenize_with_location();
    let mut tokens = tokens.ok()?;
    tokens.retain(|it| !matches!(it.token, Token::Whitespace(_)));
    let starts_here = |it: &TokenWithSpan| (it.span.start.line, it.span.start.column);
    let at = tokens
        .iter()
        .position(|it| starts_here(it) == (line, column))?;
    Some((tokens, at))
}

/// The keyword written wrong because of which the parser stopped at this place of a text; the word before the place goes first.
pub fn before(text: &str, line: u64, column: u64) -> Option<Slip> {
    let (tokens, at) = stopped_at(text, line, column)?;
    let before = at.checked_sub(1).and_then(|it| slip(&tokens[it]));
    before.or_else(|| slip(&tokens[at]))
}

/// Where the last parenthesis is that the statement around a place of a text opens and does not close.
pub fn unclosed(text: &str, line: u64, column: u64) -> Option<(u64, u64)> {
    let tokens = Tokenizer::new(&Tidelake, text).tokenize_with_location();
    let mut open = Vec::new();
    for it in tokens.ok()? {
        let place = (it.span.start.line, it.span.start.column);
        match it.token {
            Token::LParen => open.push(place),
            Token::RParen => _ = open.pop(),
            Token::SemiColon if (line, column) <= place => break,
            Token::SemiColon => open.clear(),
            _ => {}
        }
    }
    open.pop()
}

fn slip(token: &TokenWithSpan) -> Option<Slip> {
    let Token::Word(word) = &token.token else {
        return None;
    };
    let characters = word.value.chars().count();
    let is_name = word.quote_style.is_some() || word.keyword != Keyword::NoKeyword;
    if is_name || characters < CHARACTERS_MIN {
        return None;
    }
    let written = word.value.to_ascii_uppercase();
    let slips_max = if characters < LONG_CHARACTERS_MIN {
        1
    } else {
        2
    };
    let (distance, meant) = KEYWORDS
        .into_iter()
        .map(|it| (strsim::damerau_levenshtein(&written, it), it))
        .min()?;
    // Many names are a keyword in the plural: orders, views, sources.
    let is_plural = written.strip_suffix('S') == Some(meant);
    (distance <= slips_max && !is_plural).then(|| Slip {
        written: word.value.clone(),
        meant,
        line: token.span.start.line,
        column: token.span.start.column,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parenthesis_that_is_not_closed_is_found() {
        let text = "SELECT (a);\nSELECT f(b, (c) FROM t;\nSELECT ((d";
        for (place, expected) in [
            ((1, 11), None),
            ((2, 17), Some((2, 9))),
            ((2, 23), Some((2, 9))),
            ((3, 11), Some((3, 9))),
        ] {
            assert_eq!(unclosed(text, place.0, place.1), expected, "{place:?}");
        }
    }

    /// What may be meant where the parser stopped at `place`, a part of the text.
    fn meant(text: &str, place: &str) -> Option<(String, &'static str, u64)> {
        let column = text.find(place).expect("the place is in the text") as u64 + 1;
        let slip = before(text, 1, column)?;
        Some((slip.written, slip.meant, slip.column))
    }

    #[test]
    fn the_word_before_the_place_or_at_it_is_meant_as_a_keyword() {
        for (text, place, written, keyword, column) in [
            ("SELECT * FORM t", "t", "FORM", "FROM", 10),
            ("SELECT a FROM t gorup BY a", "BY", "gorup", "GROUP", 17),
            ("CREATE SORCE s (a INT)", "SORCE", "SORCE", "SOURCE", 8),
            (
                "CREATE MATERIALISED VIEW v",
                "MATERIALISED",
                "MATERIALISED",
                "MATERIALIZED",
                8,
            ),
        ] {
            let found = meant(text, place);
            assert_eq!(
                found,
                Some((written.to_owned(), keyword, column)),
                "{text} at {place}"
            );
        }
    }

    #[test]
    fn names_are_left_alone() {
        for (text, place) in [
            // A plural, a quoted name, a short one, a keyword, and one that is near to none.
            ("SELECT * FROM orders views", "views"),
            ("SELECT * FROM t \"form\" x", "x"),
            ("SELECT * FROM t vie x", "x"),
            ("SELECT FROM WHERE", "WHERE"),
            ("SELECT * FROM customers x y", "x"),
        ] {
            assert_eq!(meant(text, place), None, "{text} at {place}");
        }
        assert_eq!(before("SELECT 1", 3, 1), None, "beyond the end");
        assert_eq!(before("SELECT 'open", 1, 8), None, "no tokens");
    }
}

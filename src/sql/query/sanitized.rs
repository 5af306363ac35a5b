//! A statement as traces may show it: what it does, and none of the values that it asks for.

use crate::sql::dialect::Tidelake;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

/// What stands in place of a value, as OpenTelemetry's conventions for `db.query.text` have it.
const PLACE: &str = "?";
/// A trace is no place for the rest of a longer one.
const CHARACTERS_MAX: usize = 4_096;

/// The statement with `?` for each number and text, and without comments; nothing if it cannot be read.
pub fn without_values(sql: &str) -> Option<String> {
    let tokens = Tokenizer::new(&Tidelake, sql).tokenize().ok()?;
    let mut text = String::with_capacity(sql.len());
    for token in &tokens {
        match token {
            Token::Word(_) => text.push_str(&token.to_string()),
            Token::Whitespace(Whitespace::SingleLineComment { .. }) => text.push('\n'),
            Token::Whitespace(Whitespace::MultiLineComment(_)) => text.push(' '),
            Token::Number(..)
            | Token::Char(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::TripleSingleQuotedByteStringLiteral(_)
            | Token::TripleDoubleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
            | Token::DoubleQuotedRawStringLiteral(_)
            | Token::TripleSingleQuotedRawStringLiteral(_)
            | Token::TripleDoubleQuotedRawStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::QuoteDelimitedStringLiteral(_)
            | Token::NationalQuoteDelimitedStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_) => text.push_str(PLACE),
            // Signs and spaces.
            other => text.push_str(&other.to_string()),
        }
    }
    Some(text.trim().chars().take(CHARACTERS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_comments_are_left_out_and_names_are_kept() {
        let sql = "SELECT \"Region\", count(*) -- of Ann\nFROM lake.logs /* 10.0.0.1 */ WHERE ip = '10.0.0.1' AND user_name = U&'\\0041nn' AND 400 <= status LIMIT 5";
        let text = without_values(sql).expect("it can be read");
        for value in ["10.0.0.1", "Ann", "0041", "400", "5"] {
            assert!(!text.contains(value), "{value} in {text}");
        }
        let start = "SELECT \"Region\", count(*)";
        assert!(text.starts_with(start), "{text}");
        assert!(
            text.ends_with("WHERE ip = ? AND user_name = ? AND ? <= status LIMIT ?"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        assert_eq!(without_values("SELECT 'it"), None);
    }

    #[test]
    fn a_long_statement_is_cut() {
        let sql = format!("SELECT {}", "column_of_a_table, ".repeat(1_000));
        let text = without_values(&sql).expect("it can be read");
        assert_eq!(text.chars().count(), CHARACTERS_MAX);
    }
}

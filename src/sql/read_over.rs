//! Statements of other systems that change no result, and are read over: indexes, settings of how a result is computed, what is dropped before it
//! is made, and `FLUSH`.
//!
//! A setting is read over only if it is known to change no row. All others are refused, so that a name of ours that is misspelled is not lost.

use super::elsewhere::is_word;
use super::syntax;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// Settings that say how something is computed, or for how long it is kept at most, which here is as long as it is needed.
const SETTINGS: [&str; 16] = [
    "application_name",
    "background_ddl",
    "backfill_rate_limit",
    "client_min_messages",
    "cluster",
    "cluster_replica",
    "restart-strategy",
    "rw_implicit_flush",
    "source_rate_limit",
    "statement_timeout",
    "streaming_max_parallelism",
    "streaming_parallelism",
    "streaming_rate_limit",
    "streaming_use_arrangement_backfill",
    "table.exec.state.ttl",
    "updating_ttl",
];

/// The same, all that begin so.
const SETTINGS_OF: [&str; 12] = [
    "execution.checkpointing.",
    "jobmanager.",
    "parallelism.",
    "pipeline.",
    "restart-strategy.",
    "sql-client.",
    "state.",
    "streaming_parallelism_for_",
    "table.exec.mini-batch.",
    "table.exec.resource.",
    "table.optimizer.",
    "taskmanager.",
];

/// Takes a statement that is read over, if that is the next one. `is_known` tells whether a relation stands above it.
///
/// # Errors
/// If it is about a relation for which it means something: an index of one that is not there, or one that is dropped again.
pub fn statement(
    parser: &mut Parser,
    is_known: &dyn Fn(&str) -> bool,
) -> Result<bool, ParserError> {
    let at = |n: usize| parser.peek_nth_token(n).token;
    let ends = |it: &Token| matches!(it, Token::SemiColon | Token::EOF);
    let refuse = |text: String| Err(ParserError::ParserError(text));
    let first = at(0);
    let is_over = if is_word(&first, "CREATE") {
        let is_index =
            is_word(&at(1), "INDEX") || (is_word(&at(1), "DEFAULT") && is_word(&at(2), "INDEX"));
        if !is_index {
            return Ok(false);
        }
        let on = (1..)
            .take_while(|it| !ends(&at(*it)))
            .find(|it| is_word(&at(*it), "ON"));
        let relation = on.and_then(|it| name(parser, it + 1));
        match relation {
            Some(it) if is_known(&it) => true,
            Some(it) => {
                return refuse(format!("there is no relation `{it}` above this index"));
            }
            None => return Ok(false),
        }
    } else if is_word(&first, "DROP") {
        let exists = (1..)
            .take_while(|it| !ends(&at(*it)))
            .find(|it| is_word(&at(*it), "IF") && is_word(&at(it + 1), "EXISTS"));
        let Some(exists) = exists else {
            return Ok(false);
        };
        let mut names = (exists + 2..)
            .take_while(|it| !ends(&at(*it)))
            .filter_map(|it| name(parser, it));
        if let Some(it) = names.find(|it| is_known(it)) {
            return refuse(format!(
                "`{it}` stands above, and a dataflow has what its statements say; leave both out"
            ));
        }
        true
    } else if is_word(&first, "SET") {
        let mut setting = String::new();
        let value = (1..).find(|it| {
            let token = at(*it);
            let is_end = ends(&token) || token == Token::Eq || is_word(&token, "TO");
            if !is_end {
                setting += match &token {
                    Token::SingleQuotedString(it) => it.clone(),
                    Token::Word(it) => it.value.clone(),
                    other => other.to_string(),
                }
                .as_str();
            }
            is_end
        });
        let setting = setting.to_lowercase();
        let is_listed = SETTINGS.contains(&setting.as_str())
            || SETTINGS_OF.iter().any(|it| setting.starts_with(it));
        is_listed && value.is_some_and(|it| !ends(&at(it)))
    } else {
        is_word(&first, "FLUSH") && ends(&at(1))
    };
    while is_over && !ends(&parser.peek_token_ref().token) {
        parser.next_token();
    }
    Ok(is_over)
}

/// The name at a token from here on.
fn name(parser: &Parser, at: usize) -> Option<String> {
    let token = parser.peek_nth_token(at);
    match token.token {
        Token::Word(it) => Some(syntax::known_as(&it.into_ident(token.span))),
        _ => None,
    }
}

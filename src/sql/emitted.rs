//! `EMIT ON WINDOW CLOSE`: rows of windows that come when these are closed, and never change.
//!
//! The clause is no part of the query: what the query yields waits above it, for the watermark. Feldera's option `emit_final` says the same.

use super::elsewhere::is_word;
use crate::plan::{BoundKind, Plan, RowEnd, Temporal, TemporalBound, Timescale};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The option of a view that names the column by which its rows are final.
pub const OPTION: &str = "emit_final";

/// What a view with this clause, whose rows do not tell their window, is told.
pub const NO_WINDOW: &str = "EMIT ON WINDOW CLOSE: the rows of this view tell no window that closes; keep window_start or window_end of TUMBLE, HOP, CUMULATE or SESSION over a source with a WATERMARK in its SELECT, or leave the clause out";

/// Statements end where these tokens begin; the last one of a text may have no end.
pub type Ends = BTreeSet<Option<Location>>;

/// The tokens without the clause, which stands at the end of a view or before its AS, and where the statements that had it end. `EMIT CHANGES` at
/// the end of a statement says what a view does anyway.
pub fn without_clause(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Ends) {
    let mut ends = Ends::new();
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let is_space = |it: &TokenWithSpan| matches!(it.token, Token::Whitespace(_));
    let is_end = |it: &&TokenWithSpan| it.token == Token::SemiColon;
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        let solid = rest.iter().enumerate().filter(|it| !is_space(it.1));
        let solid: Vec<(usize, &TokenWithSpan)> = solid.take(5).collect();
        // How many tokens the words take, and which one is behind them.
        let clause = |words: &[&str]| {
            let is_clause = words.iter().enumerate().all(|(number, wanted)| {
                let word = solid.get(number);
                word.is_some_and(|it| is_word(&it.1.token, wanted))
            });
            let taken = solid.get(words.len().checked_sub(1)?)?.0 + 1;
            is_clause.then(|| (taken, solid.get(words.len()).map(|it| it.1)))
        };
        let ends_here = |behind: Option<&TokenWithSpan>| behind.is_none_or(|it| is_end(&it));
        let when_closed = clause(&["EMIT", "ON", "WINDOW", "CLOSE"]);
        let changes = clause(&["EMIT", "CHANGES"]).filter(|it| ends_here(it.1));
        let taken = match when_closed {
            Some((taken, behind)) if ends_here(behind) => {
                ends.insert(behind.map(|it| it.span.start));
                Some(taken)
            }
            Some((taken, Some(behind))) if is_word(&behind.token, "AS") => {
                ends.insert(rest.iter().find(is_end).map(|it| it.span.start));
                Some(taken)
            }
            Some(_) | None => changes.map(|it| it.0),
        };
        match taken {
            Some(taken) => at += taken,
            None => {
                kept.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    (kept, ends)
}

/// The rows of a view, each when the watermark of these sources has reached its end.
pub fn at_close(plan: Plan, view: &str, end: RowEnd, clocks: BTreeSet<String>) -> Plan {
    let bound = TemporalBound {
        time: end.column,
        kind: BoundKind::From { add_us: end.add_us },
    };
    Plan::Temporal {
        input: Box::new(plan),
        temporal: Arc::new(Temporal {
            id: format!("{view}.emitted"),
            bounds: vec![bound],
            keeps: false,
            clocks,
            time: Timescale::Watermark,
        }),
    }
}

//! What ksqlDB writes for a view: `FROM s WINDOW TUMBLING (SIZE 30 SECONDS) GROUP BY k` is a group by the window of a record's event time, whose bounds
//! are columns `windowstart` and `windowend`; `CREATE STREAM name AS SELECT …` is a plain view.
//!
//! The bounds are times here, where ksqlDB has milliseconds. A session ends there with its last record, a gap before it does here.

use super::dialect::Tidelake;
use super::elsewhere::is_word;
use super::syntax;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

const FORM: &str = "a WINDOW stands between FROM and GROUP BY: SELECT k, count(*) AS n FROM s WINDOW TUMBLING (SIZE 30 SECONDS) GROUP BY k";

/// Turns windows behind FROM into windows of the group.
///
/// # Errors
/// If one has another form: the line, and what to write.
pub fn windows_of_groups(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, (u64, String)> {
    let is_space = |it: &TokenWithSpan| matches!(it.token, Token::Whitespace(_));
    let begins = |at: usize, solid: &[TokenWithSpan]| {
        let next = |n: usize| solid.get(at + n).map_or(&Token::EOF, |it| &it.token);
        let kinds = ["TUMBLING", "HOPPING", "SESSION"];
        is_word(next(0), "WINDOW")
            && kinds.iter().any(|it| is_word(next(1), it))
            && *next(2) == Token::LParen
    };
    let mut solid: Vec<TokenWithSpan> = tokens.iter().filter(|it| !is_space(it)).cloned().collect();
    if !(0..solid.len()).any(|it| begins(it, &solid)) {
        return Ok(tokens);
    }
    while let Some(at) = (0..solid.len()).find(|it| begins(*it, &solid)) {
        let span = solid[at].span;
        let refused = |text: &str| (span.start.line, text.to_owned());
        let end = (at..solid.len()).find(|it| solid[*it].token == Token::RParen);
        let end = end.ok_or_else(|| refused("`(` behind WINDOW is not closed"))?;
        let (window, end_of_window) =
            window(&solid[at + 1].token, &solid[at + 3..end]).map_err(|it| refused(&it))?;
        let bounds = [
            ("windowstart", "window_start"),
            ("windowend", &end_of_window),
        ];
        let bound = |token: TokenWithSpan| {
            let known = bounds.iter().find(|it| is_word(&token.token, it.0));
            known.map_or_else(|| vec![token.clone()], |it| tokens_of(it.1, token.span))
        };
        let group = group_by(&solid, end + 1).ok_or_else(|| refused(FORM))?;
        let select = select_before(&solid, at).ok_or_else(|| refused(FORM))?;
        let last = (group..solid.len()).find(|it| solid[*it].token == Token::SemiColon);
        let last = last.unwrap_or(solid.len());
        let mut added = Vec::new();
        for (theirs, ours) in bounds {
            let is_read = solid[select..last]
                .iter()
                .any(|it| is_word(&it.token, theirs));
            if !is_read {
                added.push(format!("{ours} AS {theirs},"));
            }
        }
        let mut rewritten: Vec<TokenWithSpan> = solid[..=select].to_vec();
        rewritten.extend(tokens_of(&added.join(" "), span));
        let without = solid[select + 1..at].iter().chain(&solid[end + 1..=group]);
        rewritten.extend(without.cloned().flat_map(&bound));
        rewritten.extend(tokens_of(&format!("{window},"), span));
        rewritten.extend(solid[group + 1..last].iter().cloned().flat_map(&bound));
        rewritten.extend_from_slice(&solid[last..]);
        solid = rewritten;
    }
    Ok(solid)
}

/// `CREATE STREAM name AS`, of which nothing is left if that comes next: the name.
pub fn stream_of_query(parser: &mut Parser) -> Option<String> {
    let token = |n: usize| parser.peek_nth_token(n).token;
    let or_replace = is_word(&token(1), "OR") && is_word(&token(2), "REPLACE");
    let stream = if or_replace { 3 } else { 1 };
    let name = match is_word(&token(stream + 1), "IF") {
        true => stream + 4,
        false => stream + 1,
    };
    let is_one = is_word(&token(0), "CREATE")
        && is_word(&token(stream), "STREAM")
        && is_word(&token(name + 1), "AS");
    let word = parser.peek_nth_token(name);
    let Token::Word(it) = word.token else {
        return None;
    };
    if !is_one {
        return None;
    }
    for _ in 0..=name {
        parser.next_token();
    }
    parser
        .parse_keyword(Keyword::AS)
        .then(|| syntax::known_as(&it.into_ident(word.span)))
}

/// A window as a value to group by, and its end.
fn window(kind: &Token, parts: &[TokenWithSpan]) -> Result<(String, String), String> {
    let (mut size, mut advance, mut gap) = (None, None, None);
    for part in parts.split(|it| it.token == Token::Comma) {
        let words: Vec<String> = part.iter().map(|it| it.token.to_string()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let is = |at: usize, wanted: &str| {
            words
                .get(at)
                .is_some_and(|it| it.eq_ignore_ascii_case(wanted))
        };
        match words.as_slice() {
            [_, amount, unit] if is(0, "SIZE") => size = Some(format!("{amount} {unit}")),
            [_, _, amount, unit] if is(0, "ADVANCE") && is(1, "BY") => {
                advance = Some(format!("{amount} {unit}"));
            }
            [amount, unit] => gap = Some(format!("{amount} {unit}")),
            // How long closed windows can be asked for, which is an option of the view.
            [_, _, _] if is(0, "RETENTION") => {}
            [_, _, _, _] if is(0, "GRACE") && is(1, "PERIOD") => {
                return Err("how late a record may be is what the WATERMARK of its source says; leave GRACE PERIOD out".to_owned());
            }
            _ => {}
        }
    }
    let interval = |it: &String| {
        syntax::duration_us(&it.to_lowercase())
            .map(|_| format!("INTERVAL '{}'", it.to_lowercase()))
            .ok_or_else(|| format!("`{it}` is no length of a window, as 30 SECONDS is"))
    };
    let whole = || "window_end".to_owned();
    match (size, advance, gap) {
        (Some(size), None, None) if is_word(kind, "TUMBLING") => {
            Ok((format!("tumble({})", interval(&size)?), whole()))
        }
        (Some(size), Some(advance), None) if is_word(kind, "HOPPING") => {
            let lengths = format!("{}, {}", interval(&advance)?, interval(&size)?);
            Ok((format!("hop({lengths})"), whole()))
        }
        (None, None, Some(gap)) if is_word(kind, "SESSION") => {
            let gap = interval(&gap)?;
            Ok((format!("session({gap})"), format!("(window_end - {gap})")))
        }
        _ => Err("a window is WINDOW TUMBLING (SIZE 30 SECONDS), WINDOW HOPPING (SIZE 30 SECONDS, ADVANCE BY 10 SECONDS) or WINDOW SESSION (30 SECONDS)".to_owned()),
    }
}

/// Where the `BY` of the next GROUP BY within the same parentheses is.
fn group_by(solid: &[TokenWithSpan], from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in solid.iter().enumerate().skip(from) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            Token::SemiColon => return None,
            it if depth == 0 && is_word(it, "GROUP") => {
                let next = solid.get(at + 1)?;
                return is_word(&next.token, "BY").then_some(at + 1);
            }
            _ => {}
        }
    }
    None
}

/// The SELECT that a token is of, within the same parentheses.
fn select_before(solid: &[TokenWithSpan], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in solid[..at].iter().enumerate().rev() {
        match &token.token {
            Token::RParen => depth += 1,
            Token::LParen => depth = depth.checked_sub(1)?,
            Token::SemiColon => return None,
            it if depth == 0 && is_word(it, "SELECT") => return Some(at),
            _ => {}
        }
    }
    None
}

/// The tokens of a text that stands at one place.
fn tokens_of(text: &str, span: Span) -> Vec<TokenWithSpan> {
    let tokens = Tokenizer::new(&Tidelake, text).tokenize();
    let tokens = tokens.expect("the text is made of whole tokens");
    let solid = tokens.into_iter();
    let solid = solid.filter(|it| !matches!(it, Token::Whitespace(_)));
    solid.map(|token| TokenWithSpan { token, span }).collect()
}

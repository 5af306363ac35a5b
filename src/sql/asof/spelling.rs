//! How ASOF joins are written, as the parser takes them: a join with `asof()` in front of its condition.

use super::AS_OF;
use crate::sql::dialect::Tidelake;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// Words behind which a join has ended.
const BEHIND: [&str; 14] = [
    "JOIN",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "WINDOW",
    "LEFT",
    "RIGHT",
    "FULL",
    "ASOF",
];

/// The tokens of a text in which `ASOF [LEFT] JOIN b [MATCH_CONDITION …] ON …` and `LEFT ASOF JOIN …` are joins with `asof()`.
///
/// # Errors
/// With its line, if one has another form.
pub fn as_joins(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, (u64, String)> {
    let mut read = Reader {
        tokens: &tokens,
        at: 0,
        out: Vec::with_capacity(tokens.len()),
    };
    while read.at < tokens.len() {
        if !read.join()? {
            read.out.push(tokens[read.at].clone());
            read.at += 1;
        }
    }
    Ok(read.out)
}

struct Reader<'a> {
    tokens: &'a [TokenWithSpan],
    at: usize,
    out: Vec<TokenWithSpan>,
}

impl Reader<'_> {
    fn is_space(&self, at: usize) -> bool {
        matches!(self.tokens[at].token, Token::Whitespace(_))
    }

    /// The place of the next token that is no space, from one on.
    fn solid(&self, from: usize) -> usize {
        let mut at = from;
        while at < self.tokens.len() && self.is_space(at) {
            at += 1;
        }
        at
    }

    fn word(&self, at: usize, wanted: &str) -> bool {
        match self.tokens.get(at).map(|it| &it.token) {
            Some(Token::Word(it)) => {
                it.quote_style.is_none() && it.value.eq_ignore_ascii_case(wanted)
            }
            _ => false,
        }
    }

    /// Takes an ASOF join in, if one begins here.
    fn join(&mut self) -> Result<bool, (u64, String)> {
        let (mut at, mut words) = (self.at, Vec::new());
        let known = ["ASOF", "LEFT", "OUTER", "INNER", "RIGHT", "FULL", "JOIN"];
        while let Some(word) = known.iter().find(|it| self.word(at, it)) {
            words.push(*word);
            at = self.solid(at + 1);
            if *word == "JOIN" {
                break;
            }
        }
        if !words.contains(&"ASOF") || words.last() != Some(&"JOIN") {
            return Ok(false);
        }
        let line = self.tokens[self.at].span.start.line;
        let refused = |text: &str| Err((line, text.to_owned()));
        if words.contains(&"RIGHT") || words.contains(&"FULL") {
            return refused(
                "an ASOF JOIN keeps the rows on its left: write ASOF JOIN or ASOF LEFT JOIN",
            );
        }
        let is_left = words.contains(&"LEFT");
        let (matched, condition) = self.parts(at);
        let Some(condition) = condition else {
            return refused(
                "an ASOF JOIN has its condition in ON: a ASOF JOIN b ON a.key = b.key AND a.time >= b.time",
            );
        };
        if matched.is_some() && !is_left && !words.contains(&"INNER") {
            return refused(
                "ASOF JOIN … MATCH_CONDITION keeps left rows without a match in some systems and not in others: write LEFT ASOF JOIN to keep them, or INNER ASOF JOIN to leave them out",
            );
        }
        let relation_end = matched.as_ref().map_or(condition, |it| it.0);
        self.put(if is_left { " LEFT JOIN " } else { " JOIN " });
        // A sub-query may have joins of its own.
        self.out
            .extend(as_joins(self.tokens[at..relation_end].to_vec())?);
        self.put(&format!(" ON {AS_OF}() AND "));
        if let Some((start, end)) = matched {
            self.out
                .extend_from_slice(&self.tokens[self.solid(start + 1)..end]);
            self.put(" AND ");
        }
        self.at = condition + 1;
        Ok(true)
    }

    /// Behind the word JOIN: from where to where `MATCH_CONDITION …` goes, and where the word ON is.
    fn parts(&self, from: usize) -> (Option<(usize, usize)>, Option<usize>) {
        let (mut depth, mut matched) = (0_usize, None);
        for at in from..self.tokens.len() {
            match &self.tokens[at].token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 0 => break,
                Token::RParen => depth -= 1,
                Token::SemiColon => break,
                _ if depth == 0 && self.word(at, "MATCH_CONDITION") => matched = Some(at),
                _ if depth == 0 && self.word(at, "ON") => {
                    return (matched.map(|start| (start, at)), Some(at));
                }
                _ if depth == 0 && BEHIND.iter().any(|it| self.word(at, it)) => break,
                _ => {}
            }
        }
        (None, None)
    }

    /// Tokens of ours, at the place in the text where the join begins.
    fn put(&mut self, text: &str) {
        let span = self.tokens[self.at].span;
        let tokens = Tokenizer::new(&Tidelake, text).tokenize();
        let tokens = tokens.expect("the text is SQL");
        self.out.extend(
            tokens
                .into_iter()
                .map(|token| TokenWithSpan { token, span }),
        );
    }
}

//! JSON functions of the SQL standard, whose arguments are told by words: `JSON_OBJECT(KEY 'a' VALUE b NULL ON NULL)`,
//! `JSON_VALUE(json, '$.a' RETURNING INT DEFAULT 0 ON EMPTY)`, as calls with arguments alone.
//!
//! The parser knows a part of these words, each in some place. They are taken out of the tokens before it sees them.

use super::elsewhere::is_word;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use std::collections::BTreeMap;

/// Functions that have such words.
#[derive(Clone, Copy, PartialEq)]
enum Function {
    Object,
    ObjectAggregate,
    Array,
    ArrayAggregate,
    Value,
}

fn function(token: &Token) -> Option<Function> {
    const FUNCTIONS: [(&str, Function); 5] = [
        ("json_object", Function::Object),
        ("json_objectagg", Function::ObjectAggregate),
        ("json_array", Function::Array),
        ("json_arrayagg", Function::ArrayAggregate),
        ("json_value", Function::Value),
    ];
    let known = FUNCTIONS.iter().find(|it| is_word(token, it.0));
    known.map(|it| it.1)
}

/// What is in one pair of parentheses.
struct Level {
    function: Option<Function>,
    name_at: usize,
    /// Tokens of the argument so far, and whether the name of a member was parted from its value.
    tokens: usize,
    is_parted: bool,
    commas: usize,
    /// Where the words behind the path of `JSON_VALUE` begin.
    clauses_at: Option<usize>,
}

/// Tokens without these words.
pub fn plain(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|it| function(&it.token).is_some()) {
        return tokens;
    }
    let solid: Vec<usize> = (0..tokens.len())
        .filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_)))
        .collect();
    let mut instead: BTreeMap<usize, Vec<Token>> = BTreeMap::new();
    let mut levels: Vec<Level> = Vec::new();
    for (n, at) in solid.iter().enumerate() {
        let near = |by: isize| {
            let near = n.checked_add_signed(by).and_then(|it| solid.get(it));
            near.map_or(&Token::EOF, |it| &tokens[*it].token)
        };
        match near(0) {
            Token::LParen => {
                if let Some(outer) = levels.last_mut() {
                    outer.tokens += 1;
                }
                levels.push(Level {
                    function: function(near(-1)),
                    name_at: n.checked_sub(1).map_or(0, |it| solid[it]),
                    tokens: 0,
                    is_parted: false,
                    commas: 0,
                    clauses_at: None,
                });
            }
            Token::RParen => {
                if let Some(level) = levels.pop()
                    && let (Some(Function::Value), Some(from)) = (level.function, level.clauses_at)
                {
                    of_value(&tokens, level.name_at, from..*at, &mut instead);
                }
            }
            token => {
                if let Some(level) = levels.last_mut()
                    && let Some(function) = level.function
                {
                    level.take(function, token, *at, &near, &solid[n..], &mut instead);
                }
            }
        }
    }
    let mut plain = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.into_iter().enumerate() {
        match instead.remove(&at) {
            None => plain.push(token),
            Some(others) => {
                let span = token.span;
                plain.extend(others.into_iter().map(|it| TokenWithSpan::new(it, span)));
            }
        }
    }
    plain
}

impl Level {
    fn take<'a>(
        &mut self,
        function: Function,
        token: &Token,
        at: usize,
        near: &dyn Fn(isize) -> &'a Token,
        solid: &[usize],
        instead: &mut BTreeMap<usize, Vec<Token>>,
    ) {
        let is_behind_operand = matches!(
            near(-1),
            Token::Word(_)
                | Token::SingleQuotedString(_)
                | Token::Number(..)
                | Token::RParen
                | Token::RBracket
        );
        let has_members = matches!(function, Function::Object | Function::ObjectAggregate);
        if *token == Token::Comma {
            (self.tokens, self.is_parted) = (0, false);
            self.commas += 1;
            return;
        }
        let is_first = self.tokens == 0;
        if has_members && is_first && is_word(token, "KEY") && begins_operand(near(1)) {
            instead.insert(at, Vec::new());
            return;
        }
        self.tokens += 1;
        let parts = *token == Token::Colon || is_word(token, "VALUE");
        if has_members && parts && is_behind_operand && !is_first && !self.is_parted {
            self.is_parted = true;
            instead.insert(at, vec![Token::Comma]);
            return;
        }
        let is_absent = is_word(token, "ABSENT");
        let is_on_null = (is_absent || is_word(token, "NULL"))
            && is_word(near(1), "ON")
            && is_word(near(2), "NULL");
        if function != Function::Value && is_on_null {
            for at in solid.iter().take(3) {
                instead.insert(*at, Vec::new());
            }
            let name = match (function, is_absent) {
                (Function::Object, true) => "json_object_absent",
                (Function::ObjectAggregate, true) => "json_objectagg_absent",
                (Function::Array, true) => "json_array_absent",
                (Function::ArrayAggregate, false) => "json_agg",
                _ => return,
            };
            instead.insert(self.name_at, vec![Token::make_word(name, None)]);
            return;
        }
        let begins_clause = ["RETURNING", "DEFAULT", "NULL"]
            .iter()
            .any(|it| is_word(token, it));
        if function == Function::Value
            && self.commas == 1
            && begins_clause
            && is_behind_operand
            && self.clauses_at.is_none()
        {
            self.clauses_at = Some(at);
        }
    }
}

fn begins_operand(token: &Token) -> bool {
    match token {
        Token::SingleQuotedString(_) | Token::Number(..) => true,
        Token::Word(_) => !is_word(token, "VALUE"),
        _ => false,
    }
}

/// `RETURNING type`, `DEFAULT value ON EMPTY`, and NULL on either, behind the path of `JSON_VALUE`. Other words stay, and are refused by the parser.
fn of_value(
    tokens: &[TokenWithSpan],
    name_at: usize,
    clauses: std::ops::Range<usize>,
    instead: &mut BTreeMap<usize, Vec<Token>>,
) {
    let (from, end) = (clauses.start, clauses.end);
    let solid: Vec<usize> = clauses
        .filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_)))
        .collect();
    let is = |n: usize, word: &str| {
        solid
            .get(n)
            .is_some_and(|it| is_word(&tokens[*it].token, word))
    };
    // Up to a word outside of parentheses.
    let until = |from: usize, words: &[&str]| {
        let mut depth = 0_usize;
        for n in from..solid.len() {
            match tokens[solid[n]].token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && words.iter().any(|it| is(n, it)) {
                return n;
            }
        }
        solid.len()
    };
    let (mut data_type, mut default) = (None, None);
    let mut n = 0;
    while n < solid.len() {
        if is(n, "RETURNING") && data_type.is_none() {
            let behind = until(n + 1, &["DEFAULT", "NULL", "ERROR"]);
            data_type = Some(n + 1..behind);
            n = behind;
        } else if is(n, "NULL") && is(n + 1, "ON") && (is(n + 2, "EMPTY") || is(n + 2, "ERROR")) {
            n += 3;
        } else if is(n, "DEFAULT") && default.is_none() {
            let behind = until(n + 1, &["ON"]);
            if !is(behind + 1, "EMPTY") {
                return;
            }
            default = Some(n + 1..behind);
            n = behind + 2;
        } else {
            return;
        }
    }
    // What is inside may stand for something else itself.
    let moved = |range: std::ops::Range<usize>, instead: &BTreeMap<usize, Vec<Token>>| {
        let mut moved = Vec::new();
        for at in &solid[range] {
            match instead.get(at) {
                Some(others) => moved.extend(others.iter().cloned()),
                None => moved.push(tokens[*at].token.clone()),
            }
        }
        moved
    };
    let word = |it: &str| Token::make_keyword(it);
    let mut name = vec![match default {
        Some(_) => Token::make_word("json_value_or", None),
        None => tokens[name_at].token.clone(),
    }];
    let mut last = vec![Token::RParen];
    if let Some(range) = data_type {
        name.splice(0..0, [word("TRY_CAST"), Token::LParen]);
        last.push(word("AS"));
        last.extend(moved(range, instead));
        last.push(Token::RParen);
    }
    let mut argument = Vec::new();
    if let Some(range) = default {
        argument.push(Token::Comma);
        argument.extend(moved(range, instead));
    }
    for at in from..end {
        instead.insert(at, Vec::new());
    }
    instead.insert(name_at, name);
    instead.insert(from, argument);
    instead.insert(end, last);
}

#[cfg(test)]
mod tests {
    use super::plain;
    use crate::sql::dialect::Tidelake;
    use datafusion::sql::sqlparser::parser::Parser;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    fn parsed(text: &str) -> Result<String, String> {
        let tokens = Tokenizer::new(&Tidelake, text).tokenize_with_location();
        let mut parser = Parser::new(&Tidelake)
            .with_tokens_with_locations(plain(tokens.map_err(|it| it.to_string())?));
        let expr = parser.parse_expr().map_err(|it| it.to_string())?;
        Ok(expr.to_string())
    }

    #[test]
    fn words_become_arguments() {
        for (text, expected) in [
            (
                "json_object(KEY 'a' VALUE i + 1, 'b' : j, k VALUE value)",
                "json_object('a', i + 1, 'b', j, k, value)",
            ),
            (
                "JSON_OBJECT('a' VALUE JSON_OBJECT('b': 1 ABSENT ON NULL) NULL ON NULL)",
                "JSON_OBJECT('a', json_object_absent('b', 1))",
            ),
            ("json_object(key VALUE value)", "json_object(key, value)"),
            (
                "json_object('value', value, 'x', 1 + value)",
                "json_object('value', value, 'x', 1 + value)",
            ),
            (
                "json_objectagg(KEY t.a VALUE f(b))",
                "json_objectagg(t.a, f(b))",
            ),
            ("json_arrayagg(a NULL ON NULL)", "json_agg(a)"),
            ("json_arrayagg(a ABSENT ON NULL)", "json_arrayagg(a)"),
            (
                "json_array(a, NULL ABSENT ON NULL)",
                "json_array_absent(a, NULL)",
            ),
            (
                "json_value(js, '$.a' RETURNING VARCHAR(20) DEFAULT f(1, 2) ON EMPTY NULL ON ERROR)",
                "TRY_CAST(json_value_or(js, '$.a', f(1, 2)) AS VARCHAR(20))",
            ),
            (
                "json_value(js, '$.a' DEFAULT json_value(js, '$.b' RETURNING INT) ON EMPTY)",
                "json_value_or(js, '$.a', TRY_CAST(json_value(js, '$.b') AS INT))",
            ),
            (
                "json_value(js, '$.a' NULL ON EMPTY)",
                "json_value(js, '$.a')",
            ),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(expected), "{text}");
        }
        assert!(parsed("json_value(js, '$.a' ERROR ON ERROR)").is_err());
        assert!(parsed("json_value(js, '$.a' DEFAULT 1 ON ERROR)").is_err());
    }
}

//! Tokens that the parser takes for something else, or prints in another way: numbers of other bases, columns of a relation that a `*` leaves out,
//! `(column).*`, a relation called `top`, lists of values that something is compared with, names in backquotes, texts with escapes, and words between
//! the arguments of JSON functions.

use super::elsewhere::is_word;
use super::json_clauses;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace, Word};

/// Tokens as the parser takes them.
pub fn plain(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut plain: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(mut token) = tokens.next() {
        match &mut token.token {
            Token::Word(word) if word.quote_style == Some('`') => word.quote_style = Some('"'),
            // One with a quote is printed right only as it is.
            Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text)
                if !text.contains('\'') =>
            {
                token.token = Token::SingleQuotedString(std::mem::take(text));
            }
            _ => {}
        }
        if let Some(apart) = without_signs(&token) {
            plain.extend(apart);
            continue;
        }
        if let Some(number) = hexadecimal(&token) {
            token.token = number;
        } else if let Some(digits) = tokens.peek().and_then(|it| binary(&token, it)) {
            if let Some(it) = tokens.next() {
                token.span.end = it.span.end;
            }
            token.token = digits;
        }
        plain.push(token);
    }
    for at in 0..plain.len() {
        if leaves_out_of_relations(&plain, at)
            && let Token::Word(word) = &mut plain[at].token
        {
            word.value = "EXCLUDE".to_owned();
            word.keyword = Keyword::EXCLUDE;
        }
    }
    quote_names_of_top(&mut plain);
    let plain = without_as_of_now(without_exclude_no_others(plain));
    let plain = without_parentheses_before_stars(plain);
    with_queries_of_values(json_clauses::plain(plain))
}

/// `a>-1` is `a > -1`, and `json->-1` is `json -> -1`: as in Postgres, an operator ends in a sign only if it has one of `~!@#%^&|`?`.
fn without_signs(token: &TokenWithSpan) -> Option<Vec<TokenWithSpan>> {
    let Token::CustomBinaryOperator(operator) = &token.token else {
        return None;
    };
    let rest = operator.trim_end_matches(['+', '-']);
    if rest.contains(|it| "~!@#%^&|`?".contains(it)) {
        return None;
    }
    let first = match rest {
        "<" => Token::Lt,
        ">" => Token::Gt,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "=" => Token::Eq,
        "<>" => Token::Neq,
        "*" => Token::Mul,
        "/" => Token::Div,
        "->" => Token::Arrow,
        "->>" => Token::LongArrow,
        _ => return None,
    };
    let signs = operator[rest.len()..].chars().map(|it| match it {
        '+' => Token::Plus,
        _ => Token::Minus,
    });
    // A minus behind a minus would begin a comment where it is printed.
    let spaced = signs.flat_map(|it| [Token::Whitespace(Whitespace::Space), it]);
    let tokens = std::iter::once(first).chain(spaced);
    Some(
        tokens
            .map(|it| TokenWithSpan::new(it, token.span))
            .collect(),
    )
}

/// `SELECT top.a` and `SELECT top, b`: a name, unless a number of rows follows.
fn quote_names_of_top(tokens: &mut [TokenWithSpan]) {
    let is_space = |it: &&TokenWithSpan| matches!(it.token, Token::Whitespace(_));
    for at in 0..tokens.len() {
        let mut before = tokens[..at].iter().rev().filter(|it| !is_space(it));
        let is_first = before
            .next()
            .is_some_and(|it| is_word(&it.token, "SELECT") || is_word(&it.token, "DISTINCT"));
        let next = tokens[at + 1..].iter().find(|it| !is_space(it));
        let is_name = next.is_none_or(|it| !matches!(it.token, Token::Number(..) | Token::LParen));
        if is_first
            && is_name
            && is_word(&tokens[at].token, "TOP")
            && let Token::Word(word) = &mut tokens[at].token
        {
            *word = Word {
                value: word.value.to_lowercase(),
                quote_style: Some('"'),
                keyword: Keyword::NoKeyword,
            };
        }
    }
}

/// The places of tokens that are no space.
fn solid(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let is_solid = |it: &usize| !matches!(tokens[*it].token, Token::Whitespace(_));
    (0..tokens.len()).filter(is_solid).collect()
}

/// The tokens but for those at these places.
fn without(tokens: Vec<TokenWithSpan>, left_out: &[usize]) -> Vec<TokenWithSpan> {
    let all = tokens.into_iter().enumerate();
    let kept = all.filter(|(at, _)| !left_out.contains(at));
    kept.map(|(_, it)| it).collect()
}

/// `EXCLUDE NO OTHERS` in a frame, which is as it is without.
fn without_exclude_no_others(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid = solid(&tokens);
    const WORDS: [&str; 3] = ["EXCLUDE", "NO", "OTHERS"];
    let says_nothing = |it: &&[usize]| {
        let mut words = it.iter().zip(WORDS);
        words.all(|(at, wanted)| is_word(&tokens[*at].token, wanted))
    };
    let all = solid.windows(WORDS.len()).filter(says_nothing);
    let left_out: Vec<usize> = all.flatten().copied().collect();
    without(tokens, &left_out)
}

/// `SELECT … AS OF now()` at the end of a statement asks for what there is now, as it does without.
fn without_as_of_now(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid = solid(&tokens);
    let mut left_out = Vec::new();
    for (at, window) in solid.windows(5).enumerate() {
        let word = |n: usize, wanted: &str| is_word(&tokens[window[n]].token, wanted);
        let is_call =
            tokens[window[3]].token == Token::LParen && tokens[window[4]].token == Token::RParen;
        let ends = match solid.get(at + 5) {
            None => true,
            Some(it) => matches!(tokens[*it].token, Token::SemiColon | Token::EOF),
        };
        let is_version = at.checked_sub(1).is_some_and(|before| {
            let before = &tokens[solid[before]].token;
            is_word(before, "SYSTEM_TIME") || is_word(before, "SYSTEM_VERSION")
        });
        if word(0, "AS") && word(1, "OF") && word(2, "NOW") && is_call && ends && !is_version {
            left_out.extend(window.iter().copied());
        }
    }
    without(tokens, &left_out)
}

/// `(column).*` and `(t.column).*` are `column.*` and `t.column.*`, which the parser takes.
fn without_parentheses_before_stars(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_word = |it: &TokenWithSpan, words: &[&str]| match &it.token {
        Token::Word(it) => words.iter().any(|word| it.value.eq_ignore_ascii_case(word)),
        _ => false,
    };
    let solid = solid(&tokens);
    let mut left_out = Vec::new();
    for (at, before) in solid.iter().enumerate() {
        let begins_item = tokens[*before].token == Token::Comma
            || is_word(&tokens[*before], &["SELECT", "DISTINCT", "ALL"]);
        let behind = &solid[at + 1..];
        let is =
            |n: usize, wanted: &Token| behind.get(n).is_some_and(|it| tokens[*it].token == *wanted);
        if !begins_item || !is(0, &Token::LParen) {
            continue;
        }
        let named = behind[1..].chunks(2).take_while(|pair| {
            let is_name = matches!(tokens[pair[0]].token, Token::Word(_));
            is_name
                && pair
                    .get(1)
                    .is_some_and(|it| tokens[*it].token == Token::Period)
        });
        let last = 1 + 2 * named.count();
        let is_name = behind
            .get(last)
            .is_some_and(|it| matches!(tokens[*it].token, Token::Word(_)));
        let ends = [Token::RParen, Token::Period, Token::Mul];
        if is_name && ends.iter().enumerate().all(|(n, it)| is(last + 1 + n, it)) {
            left_out.extend([behind[0], behind[last + 1]]);
        }
    }
    without(tokens, &left_out)
}

/// `IN (VALUES (1), (2))` and `= ANY (VALUES …)` are those of `SELECT * FROM (VALUES …) AS __values`: the parser takes these for functions.
fn with_queries_of_values(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let ends: Vec<(usize, usize)> = (0..tokens.len())
        .filter_map(|at| Some((at, end_of_values(&tokens, at)?)))
        .collect();
    if ends.is_empty() {
        return tokens;
    }
    let put = |into: &mut Vec<TokenWithSpan>, words: &[&str], at: &TokenWithSpan| {
        for word in words {
            let token = match *word {
                "*" => Token::Mul,
                "(" => Token::LParen,
                ")" => Token::RParen,
                word => Token::make_keyword(word),
            };
            into.push(TokenWithSpan::new(token, at.span));
        }
    };
    let mut all = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.into_iter().enumerate() {
        if ends.iter().any(|it| it.0 == at) {
            put(&mut all, &["SELECT", "*", "FROM", "("], &token);
        }
        if ends.iter().any(|it| it.1 == at) {
            put(&mut all, &[")", "AS", "__values"], &token);
        }
        all.push(token);
    }
    all
}

/// Where a list of values that begins here ends, if something is compared with it.
fn end_of_values(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    let is_word = |it: &TokenWithSpan, words: &[&str]| match &it.token {
        Token::Word(it) => {
            it.quote_style.is_none() && words.iter().any(|word| it.value.eq_ignore_ascii_case(word))
        }
        _ => false,
    };
    let is_space = |it: &&TokenWithSpan| matches!(it.token, Token::Whitespace(_));
    if !is_word(&tokens[at], &["VALUES"]) {
        return None;
    }
    let mut before = tokens[..at].iter().rev().filter(|it| !is_space(it));
    before.next().filter(|it| it.token == Token::LParen)?;
    before
        .next()
        .filter(|it| is_word(it, &["IN", "ANY", "SOME", "ALL"]))?;
    let mut behind = tokens[at + 1..].iter().filter(|it| !is_space(it));
    behind.next().filter(|it| it.token == Token::LParen)?;
    let mut depth = 0_usize;
    for (end, token) in tokens.iter().enumerate().skip(at + 1) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return Some(end),
            Token::RParen => depth -= 1,
            _ => {}
        }
    }
    None
}

/// `0x25` is a number: the parser reads the same from `X'25'`, which is longer by one.
fn hexadecimal(token: &TokenWithSpan) -> Option<Token> {
    let Token::HexStringLiteral(digits) = &token.token else {
        return None;
    };
    let columns = token.span.end.column.checked_sub(token.span.start.column)?;
    let is_number = columns == digits.len() as u64 + 2;
    let number = u64::from_str_radix(digits, 16).ok()?;
    is_number.then(|| Token::Number(number.to_string(), false))
}

/// `0b110`, which the parser takes for a 0 with a name.
fn binary(zero: &TokenWithSpan, digits: &TokenWithSpan) -> Option<Token> {
    let is_zero = matches!(&zero.token, Token::Number(it, false) if it == "0");
    let Token::Word(word) = &digits.token else {
        return None;
    };
    let bits = word.value.strip_prefix(['b', 'B'])?;
    let number = u64::from_str_radix(bits, 2).ok()?;
    let is_one = is_zero && word.quote_style.is_none() && zero.span.end == digits.span.start;
    is_one.then(|| Token::Number(number.to_string(), false))
}

/// `* EXCEPT (t.a)`: the parser takes names of relations behind EXCLUDE alone.
fn leaves_out_of_relations(tokens: &[TokenWithSpan], at: usize) -> bool {
    let is_space = |it: &&TokenWithSpan| matches!(it.token, Token::Whitespace(_));
    let is_except = match &tokens[at].token {
        Token::Word(it) => it.quote_style.is_none() && it.value.eq_ignore_ascii_case("EXCEPT"),
        _ => false,
    };
    let before = tokens[..at].iter().rev().find(|it| !is_space(it));
    if !is_except || before.is_none_or(|it| it.token != Token::Mul) {
        return false;
    }
    let mut behind = tokens[at + 1..].iter().filter(|it| !is_space(it));
    let is_list = behind.next().is_some_and(|it| it.token == Token::LParen);
    let names =
        behind.take_while(|it| matches!(it.token, Token::Word(_) | Token::Comma | Token::Period));
    is_list && names.into_iter().any(|it| it.token == Token::Period)
}

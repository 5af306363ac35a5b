//! The text of a dataflow, taken apart: statements, their options, and the rewrites that turn our
//! additions to SQL into plain SQL before DataFusion plans it.
//!
//! Additions: `SET dataflow = 'name'`, `CREATE SOURCE`, `CREATE FUNCTION`, `CREATE MATERIALIZED VIEW`, `CREATE TABLE … AS`, windows in FROM (`windows`), and
//! `time > now() - INTERVAL …` in a maintained view.

use super::detectors::{self, DetectorText};
use super::dialect::Tidelake;
use super::functions::{NOW_BEFORE, NOW_REACHED, WITHIN_LAST};
use super::webhooks::{self, WebhookText};
use super::{
    Error, asof, bounds, canonical, elsewhere, emitted, forms, sinks, slips, walk, windows, words,
};
use crate::plan::Comment;
use crate::source::place::is_delta;
use crate::source::push;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, CastKind, CommentObject, CreateTableOptions,
    DataType as SqlType, Distinct, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, OrderBy,
    OrderByExpr, OrderByKind, OrderByOptions, Query, SelectItem, SetExpr, SqlOption, Statement,
    StructBracketKind, StructField, TableAlias, TableFactor, TimezoneInfo, UnaryOperator, Value,
    VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{IsOptional, Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};
use std::ops::ControlFlow;
use std::sync::Arc;

/// A watermark that waits longer is a mistake of units: windows would stay open, and grow, for ever.
const WATERMARK_DELAY_MAX_US: i64 = 31 * 86_400_000_000;

/// One statement of a dataflow file, with the line it starts at.
#[derive(Debug)]
pub struct Parsed {
    pub line: u64,
    pub kind: ParsedKind,
}

#[derive(Debug)]
pub enum ParsedKind {
    /// `SET dataflow = 'name'`
    Name(String),
    Source(SourceText),
    /// `CREATE TABLE name [WITH (…)] AS query`
    Table {
        name: String,
        options: Vec<(String, String)>,
        query: Box<Query>,
    },
    Detector(DetectorText),
    Webhook(WebhookText),
    /// `COMMENT ON COLUMN relation.column IS '…'`, or `ON TABLE` or `VIEW relation`.
    Comment {
        relation: String,
        column: Option<String>,
        comment: Comment,
    },
    /// `CREATE VIEW name AS query`
    Alias {
        name: String,
        query: Box<Query>,
    },
    /// `CREATE MATERIALIZED VIEW name [WITH (…)] AS query`
    View {
        name: String,
        options: Vec<(String, String)>,
        query: Box<Query>,
        /// With `EMIT ON WINDOW CLOSE`.
        is_final: bool,
    },
}

impl ParsedKind {
    /// The relation it defines, if it is one that does.
    pub fn relation(&self) -> Option<&str> {
        match self {
            ParsedKind::Name(_) | ParsedKind::Webhook(_) | ParsedKind::Comment { .. } => None,
            ParsedKind::Source(it) => Some(&it.name),
            ParsedKind::Detector(it) => Some(&it.name),
            ParsedKind::Table { name, .. }
            | ParsedKind::Alias { name, .. }
            | ParsedKind::View { name, .. } => Some(name),
        }
    }
}

#[derive(Debug)]
pub struct SourceText {
    pub name: String,
    pub columns: Vec<ColumnText>,
    /// Column and delay in microseconds.
    pub watermark: Option<(String, i64)>,
    /// The columns of `PRIMARY KEY`, if there is one.
    pub key: Option<Vec<String>>,
    pub options: Vec<(String, String)>,
    pub format: String,
}

/// A column of a source, as it is declared.
#[derive(Debug)]
pub struct ColumnText {
    /// By which SQL knows it.
    pub name: String,
    /// As it is written, which is the name of a record's member.
    pub written: String,
    pub data_type: SqlType,
    pub nullable: bool,
}

/// Puts environment variables in: `${NAME}` and `${NAME:-default}`.
///
/// # Errors
/// If a variable without default is not set, or a brace is not closed.
pub fn fill_in(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, Error> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        filled.push_str(&rest[..start]);
        let line = text[..text.len() - rest.len() + start]
            .matches('\n')
            .count() as u64
            + 1;
        let after = &rest[start + 2..];
        let end = after
            .find('}')
            .ok_or_else(|| Error::at(line, "`${` is not closed by `}`"))?;
        let (name, default) = match after[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&after[..end], None),
        };
        let stated = lookup(name);
        if let (Some(value), Some(default)) = (&stated, default) {
            of_same_form(name, value, default).map_err(|it| Error::at(line, it))?;
        }
        match stated.or(default.map(str::to_owned)) {
            Some(value) => filled.push_str(&value),
            None => {
                let advice = format!(
                    "environment variable {name} is not set; set it or write ${{{name}:-default}}"
                );
                return Err(Error::at(line, advice));
            }
        }
        rest = &after[end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A value takes the place of its default, so where that is a number, it has to be one; and one without a sign, if the default has none.
fn of_same_form(name: &str, value: &str, default: &str) -> Result<(), String> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|it| it.is_finite());
    let Some(usual) = number(default) else {
        return Ok(());
    };
    match number(value) {
        None => Err(format!(
            "variable {name} is '{value}', and must be a number, as its default {default} is"
        )),
        Some(it) if it < 0.0 && 0.0 <= usual => Err(format!(
            "variable {name} is '{value}', and must not be negative; its default is {default}"
        )),
        Some(_) => Ok(()),
    }
}

/// Takes a file apart into statements.
///
/// # Errors
/// With line and column, at the first statement that is none of ours.
pub fn parse(text: &str) -> Result<Vec<Parsed>, Error> {
    let tokens = tokens(text).map_err(|it| {
        let (line, column) = (it.location.line, it.location.column);
        Error::at(line, format!("{} (column {column})", it.message))
    })?;
    bounds::check(&tokens).map_err(|(line, it)| Error::at(line, it))?;
    let (tokens, final_ends) = emitted::without_clause(tokens);
    elsewhere::refuse_clauses(&tokens).map_err(|(line, it)| Error::at(line, it))?;
    let tokens = asof::as_joins(tokens).map_err(|(line, it)| Error::at(line, it))?;
    let is_space = |it: &&TokenWithSpan| matches!(it.token, Token::Whitespace(_));
    let last = tokens.iter().rfind(|it| !is_space(it));
    let text_end = last.map(|it| it.span.end);
    let mut parser = Parser::new(&Tidelake).with_tokens_with_locations(tokens);
    let mut statements = Vec::new();
    let mut functions = forms::Macros::default();
    let mut sinks = sinks::Sinks::default();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        let next = parser.peek_token();
        if next.token == Token::EOF {
            return Ok(statements);
        }
        let line = next.span.start.line;
        let refused = |it: ParserError| {
            let said = words::parser(&it);
            let Some((said, line, column)) = words::place_at_end(&said) else {
                let end = text_end.filter(|_| said.ends_with("found: EOF"));
                return match end {
                    Some(end) => Error::at(end.line, format!("{said} (column {})", end.column)),
                    None => Error::at(line, said),
                };
            };
            match slips::before(text, line, column) {
                Some(slip) if words::is_expectation(said) => misspelled(&slip),
                _ => Error::at(line, format!("{said} (column {column})")),
            }
        };
        let is_definition = functions.define(&mut parser).map_err(refused)?
            || sinks.declare(&mut parser).map_err(refused)?;
        let mut kind = match is_definition {
            true => None,
            false => Some(match sinks.fed(&mut parser, &functions).map_err(refused)? {
                Some(view) => view,
                None => statement(&mut parser, &functions).map_err(refused)?,
            }),
        };
        let end = parser.peek_token();
        let ends_at = (end.token != Token::EOF).then_some(end.span.start);
        if final_ends.contains(&ends_at) {
            match &mut kind {
                Some(ParsedKind::View { is_final, .. }) => *is_final = true,
                Some(_) | None => {
                    return Err(Error::at(
                        line,
                        "EMIT ON WINDOW CLOSE ends a CREATE MATERIALIZED VIEW, whose rows then come when their window is closed",
                    ));
                }
            }
        }
        statements.extend(kind.map(|kind| Parsed { line, kind }));
        if end.token != Token::SemiColon && end.token != Token::EOF {
            let place = end.span.start;
            let slip = slips::before(text, place.line, place.column);
            return Err(slip.map_or_else(
                || {
                    let said = format!("expected `;` after the statement, found `{}`", end.token);
                    Error::at(place.line, said)
                },
                |it| misspelled(&it),
            ));
        }
    }
}

fn misspelled(slip: &slips::Slip) -> Error {
    Error::at(slip.line, format!("{slip} (column {})", slip.column))
}

/// The tokens of dataflows and queries, as the parser takes them.
///
/// # Errors
/// If a text or comment is not closed.
pub fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, TokenizerError> {
    let text = windows::with_plain_sessions(text);
    let tokens = Tokenizer::new(&Tidelake, &text).tokenize_with_location()?;
    Ok(super::tokens::plain(without_words(tokens)))
}

/// Without words that change nothing, and that the parser does not take: `CREATE LOCAL VIEW` and `CREATE TEMPORARY VIEW` are what a plain view
/// is, `IN CLUSTER name` before the AS of a view says where it is computed elsewhere, `TABLE` before the name of a relation in
/// `TUMBLE(TABLE t, …)` and `TUMBLE(DATA => TABLE t, …)`, and `FROM` in `TRIM(BOTH FROM text)`. A query `TABLE t`, behind whose name the parser takes two tokens
/// more, is `SELECT * FROM t`.
fn without_words(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let word = |it: &TokenWithSpan, wanted: &str| match &it.token {
        Token::Word(it) => it.quote_style.is_none() && it.value.eq_ignore_ascii_case(wanted),
        _ => false,
    };
    let is_space = |it: &TokenWithSpan| matches!(it.token, Token::Whitespace(_));
    let any = |it: &TokenWithSpan, wanted: &[&str]| wanted.iter().any(|of| word(it, of));
    let begins_query = |before: Option<&TokenWithSpan>| {
        before.is_none_or(|it| {
            matches!(it.token, Token::SemiColon | Token::LParen | Token::RParen)
                || any(
                    it,
                    &["AS", "UNION", "ALL", "EXCEPT", "INTERSECT", "DISTINCT"],
                )
        })
    };
    let ends_operand = |after: Option<&TokenWithSpan>| {
        const BEHIND: [&str; 7] = [
            "UNION",
            "EXCEPT",
            "INTERSECT",
            "ORDER",
            "LIMIT",
            "OFFSET",
            "FETCH",
        ];
        after.is_none_or(|it| {
            matches!(it.token, Token::SemiColon | Token::RParen | Token::EOF) || any(it, &BEHIND)
        })
    };
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // `<` behind STRUCT or ARRAY that is not closed yet.
    let mut open = 0;
    let mut left_out = 0;
    for (at, token) in tokens.iter().enumerate() {
        let mut next = tokens[at + 1..].iter().filter(|it| !is_space(it));
        let (next, after) = (next.next(), next.next());
        let before = kept.iter().rev().find(|it| !is_space(it));
        let is_local = any(token, &["LOCAL", "TEMPORARY", "TEMP"])
            && before.is_some_and(|it| any(it, &["CREATE", "REPLACE"]))
            && next.is_some_and(|it| word(it, "VIEW"));
        let is_in_cluster = |at: usize| {
            let mut three = tokens[at..].iter().filter(|it| !is_space(it));
            three.next().is_some_and(|it| word(it, "IN"))
                && three.next().is_some_and(|it| word(it, "CLUSTER"))
                && three
                    .next()
                    .is_some_and(|it| matches!(it.token, Token::Word(_)))
                && three.next().is_some_and(|it| word(it, "AS"))
        };
        if is_in_cluster(at) {
            left_out = 3;
        }
        if 0 < left_out {
            left_out -= usize::from(!is_space(token));
            continue;
        }
        let is_table = word(token, "TABLE")
            && before.is_some_and(|it| matches!(it.token, Token::LParen | Token::RArrow))
            && next.is_some_and(|it| matches!(it.token, Token::Word(_)))
            && after.is_some_and(|it| it.token == Token::Comma);
        let is_query = word(token, "TABLE")
            && begins_query(before)
            && next.is_some_and(|it| matches!(it.token, Token::Word(_)))
            && ends_operand(after);
        if is_query {
            let of = |of: Token| TokenWithSpan {
                token: of,
                ..token.clone()
            };
            kept.extend([
                of(Token::make_keyword("SELECT")),
                of(Token::Mul),
                of(Token::make_keyword("FROM")),
            ]);
            continue;
        }
        match token.token {
            Token::Lt
                if before
                    .is_some_and(|it| ["STRUCT", "ARRAY", "ROW"].iter().any(|of| word(it, of))) =>
            {
                open += 1
            }
            Token::Gt if 0 < open => open -= 1,
            // Two of them, not the operator.
            Token::ShiftRight if 1 < open => {
                open -= 2;
                let one = TokenWithSpan {
                    token: Token::Gt,
                    ..token.clone()
                };
                kept.extend([one.clone(), one]);
                continue;
            }
            _ => {}
        }
        // TRIM(BOTH FROM text)
        let of_trim = |it: &&TokenWithSpan| {
            ["BOTH", "LEADING", "TRAILING"]
                .iter()
                .any(|wanted| word(it, wanted))
        };
        let is_from = word(token, "FROM")
            && before.is_some_and(|it| of_trim(&it))
            && kept
                .iter()
                .rev()
                .filter(|it| !is_space(it))
                .nth(1)
                .is_some_and(|it| it.token == Token::LParen);
        if !is_local && !is_table && !is_from {
            kept.push(token.clone());
        }
    }
    kept
}

fn statement(parser: &mut Parser, functions: &forms::Macros) -> Result<ParsedKind, ParserError> {
    let rewrite = |query: &mut Query| {
        let expanded = functions.expand(query);
        let rewritten = expanded.and_then(|()| forms::rewrite(query));
        rewritten.map_err(ParserError::ParserError)
    };
    if let Some(view) = sinks::of_relation(parser)? {
        return Ok(view);
    }
    if let Some(text) = elsewhere::instead(parser) {
        return Err(ParserError::ParserError(text));
    }
    if parser.parse_keywords(&[Keyword::CREATE, Keyword::SOURCE]) {
        return source(parser, false).map(ParsedKind::Source);
    }
    if table_of_columns(parser) {
        return source(parser, true).map(ParsedKind::Source);
    }
    if creates(parser, "DETECTOR") {
        return detectors::parse(parser).map(ParsedKind::Detector);
    }
    if creates(parser, "WEBHOOK") {
        return webhooks::parse(parser).map(ParsedKind::Webhook);
    }
    if parser.parse_keyword(Keyword::SET) {
        return dataflow_name(parser).map(ParsedKind::Name);
    }
    let refuse = |text: &str| Err(ParserError::ParserError(text.to_owned()));
    match parser.parse_statement()? {
        Statement::CreateView(mut view) => {
            canonical::refuse_in_view(&view).map_err(ParserError::ParserError)?;
            rewrite(&mut view.query)?;
            if !view.columns.is_empty() {
                let names: Vec<Ident> = view.columns.iter().map(|it| it.name.clone()).collect();
                forms::name_columns(&mut view.query, &names).map_err(ParserError::ParserError)?;
            }
            let name = simple_name(&view.name)?;
            let options = options(&view.options)?;
            Ok(match view.materialized {
                true => ParsedKind::View {
                    name,
                    options,
                    query: view.query,
                    is_final: false,
                },
                false => ParsedKind::Alias {
                    name,
                    query: view.query,
                },
            })
        }
        Statement::CreateTable(table) => {
            canonical::refuse_in_table(&table).map_err(ParserError::ParserError)?;
            let name = simple_name(&table.name)?;
            let options = options(&table.table_options)?;
            match table.query {
                Some(mut query) => {
                    rewrite(&mut query)?;
                    Ok(ParsedKind::Table {
                        name,
                        options,
                        query,
                    })
                }
                None => refuse(
                    "a table of the lake is made from a query: CREATE TABLE name AS SELECT … FROM source",
                ),
            }
        }
        Statement::Comment {
            object_type,
            object_name,
            comment,
            if_exists: _,
        } => comment_on(&object_type, &object_name, comment).map_err(ParserError::ParserError),
        other => {
            let text = other.to_string();
            let start: String = text.chars().take(40).collect();
            refuse(&format!(
                "`{start}` does not belong in a dataflow; it takes SET dataflow, CREATE SOURCE, CREATE FUNCTION, CREATE TABLE … AS, CREATE VIEW, CREATE MATERIALIZED VIEW, CREATE DETECTOR, CREATE WEBHOOK and COMMENT ON"
            ))
        }
    }
}

fn comment_on(
    object: &CommentObject,
    name: &ObjectName,
    text: Option<String>,
) -> Result<ParsedKind, String> {
    let text =
        text.ok_or("a comment is a text: COMMENT ON COLUMN orders.total IS 'What was paid'")?;
    let comment = Comment::parse(&text)?;
    let mut parts = Vec::new();
    for part in &name.0 {
        let part = part
            .as_ident()
            .ok_or("a comment is on a relation or column by name")?;
        parts.push(known_as(part));
    }
    match (object, parts.as_slice()) {
        (CommentObject::Column, [relation, column]) => Ok(ParsedKind::Comment {
            relation: relation.clone(),
            column: Some(column.clone()),
            comment,
        }),
        (CommentObject::Column, _) => {
            Err("a column is named with its relation: COMMENT ON COLUMN orders.total IS '…'".to_owned())
        }
        (CommentObject::Table | CommentObject::View | CommentObject::MaterializedView, [relation]) => {
            match comment.is_of_columns() {
                false => Ok(ParsedKind::Comment {
                    relation: relation.clone(),
                    column: None,
                    comment,
                }),
                true => Err("role, unit and scale are of columns: COMMENT ON COLUMN orders.total IS '[role = money, unit = EUR]'".to_owned()),
            }
        }
        (other, _) => Err(format!(
            "there are comments on TABLE, VIEW and COLUMN, not on {other}"
        )),
    }
}

/// Takes `CREATE` and a word of ours, if they come next.
fn creates(parser: &mut Parser, what: &str) -> bool {
    let taken = parser.maybe_parse(|it| {
        it.expect_keyword(Keyword::CREATE)?;
        match word(it, what) {
            true => Ok(()),
            false => it.expected(what, it.peek_token()),
        }
    });
    matches!(taken, Ok(Some(())))
}

/// Longest name of a dataflow.
const NAME_LENGTH_MAX: usize = 100;

/// The name is part of paths in the lake, so it has only characters that every store takes.
fn dataflow_name(parser: &mut Parser) -> Result<String, ParserError> {
    let refuse = |text: &str| Err(ParserError::ParserError(text.to_owned()));
    if !word(parser, "dataflow") {
        return refuse(
            "a dataflow sets only its name: SET dataflow = 'name'; what else a run has is stated as options of `tidelake run`, or WITH (…) of a source or view",
        );
    }
    parser.expect_token(&Token::Eq)?;
    let Token::SingleQuotedString(name) = parser.next_token().token else {
        return refuse("the name of a dataflow is a text: SET dataflow = 'name'");
    };
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-.".contains(it);
    let begins = name.starts_with(|it: char| it.is_ascii_alphanumeric());
    if !begins || !name.chars().all(is_plain) || NAME_LENGTH_MAX < name.len() {
        return refuse(&format!(
            "the name of a dataflow has letters, digits, `_`, `-` and `.`, begins with a letter or digit and has at most {NAME_LENGTH_MAX} characters; '{name}' does not fit"
        ));
    }
    Ok(name)
}

/// `CREATE TABLE name (column TYPE, …)`, of which nothing behind `TABLE` is taken: what others call a table with a connector is a source.
fn table_of_columns(parser: &mut Parser) -> bool {
    let begun = parser.maybe_parse(|it| {
        it.expect_keyword(Keyword::CREATE)?;
        let _ = it.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
        it.expect_keyword(Keyword::TABLE)?;
        let _ = it.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let token = |n: usize| it.peek_nth_token(n).token;
        // `CREATE TABLE name (a, b) AS` has names alone.
        match token(1) == Token::LParen && !matches!(token(3), Token::Comma | Token::RParen) {
            true => Ok(()),
            false => it.expected("columns", it.peek_token()),
        }
    });
    matches!(begun, Ok(Some(())))
}

/// What a table declares of itself, without options.
pub struct DeclaredTable {
    pub name: String,
    pub columns: Vec<ColumnText>,
    watermark: Option<(String, i64)>,
    key: Option<Vec<String>>,
}

/// A table from its name on, up to its options.
///
/// # Errors
/// If its columns, watermark or key are wrong.
pub fn declared_table(parser: &mut Parser) -> Result<DeclaredTable, ParserError> {
    let refuse = |text: &str| Err(ParserError::ParserError(text.to_owned()));
    let _ = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = known_as(&parser.parse_identifier()?);
    parser.expect_token(&Token::LParen)?;
    let (mut columns, mut watermark, mut key) = (Vec::new(), None, None);
    let one_clock = "a source has one event time: state one WATERMARK, or the LATENESS of one column; of other times write comparisons in the views";
    let mut set_key = |names: Vec<String>| match key.replace(names) {
        None => Ok(()),
        Some(_) => Err(ParserError::ParserError(
            "a source has one PRIMARY KEY; write PRIMARY KEY (a, b) for one of several columns"
                .to_owned(),
        )),
    };
    let too_long = || {
        let days = WATERMARK_DELAY_MAX_US / 86_400_000_000;
        ParserError::ParserError(format!(
            "a watermark waits at most {days} days: until it has passed, no window closes"
        ))
    };
    loop {
        // A comma behind the last one.
        if parser.peek_token_ref().token == Token::RParen && !columns.is_empty() {
            break;
        }
        named_constraint(parser)?;
        if let Some(text) = elsewhere::constraint(parser) {
            return refuse(&text);
        }
        if parser.parse_keywords(&[Keyword::FOREIGN, Keyword::KEY]) {
            parser.parse_parenthesized_column_list(IsOptional::Mandatory, false)?;
            parser.expect_keyword(Keyword::REFERENCES)?;
            reference(parser)?;
        } else if parser.parse_keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
            parser.expect_token(&Token::LParen)?;
            let names = parser.parse_comma_separated(Parser::parse_identifier)?;
            parser.expect_token(&Token::RParen)?;
            // It says of no index or check; systems that keep none say so.
            let _ = parser.parse_keywords(&[Keyword::NOT, Keyword::ENFORCED]);
            set_key(names.iter().map(known_as).collect())?;
        } else if word(parser, "WATERMARK") {
            parser.expect_keyword(Keyword::FOR)?;
            let column = known_as(&parser.parse_identifier()?);
            let form =
                "a watermark has the form: WATERMARK FOR time AS time - INTERVAL '10' SECOND";
            let wrong = || ParserError::ParserError(form.to_owned());
            let of_another = |it: &Ident| {
                let other = known_as(it);
                ParserError::ParserError(format!(
                    "the watermark is for `{column}` and computed from `{other}`; both are the time of a record: WATERMARK FOR {other} AS {other} - INTERVAL '10' SECOND"
                ))
            };
            if watermark.is_some() {
                return refuse(one_clock);
            }
            let stated = match parser.parse_keyword(Keyword::AS) {
                true => unnested(&parser.parse_expr()?).clone(),
                false => Expr::Identifier(Ident::with_quote('"', column.clone())),
            };
            watermark = match stated {
                Expr::Identifier(it) if known_as(&it) == column => Some((column, 0)),
                Expr::Identifier(it) => return Err(of_another(&it)),
                Expr::BinaryOp {
                    left,
                    op: BinaryOperator::Minus,
                    right,
                } => match (*left, interval_us(&right)) {
                    (Expr::Identifier(it), Some(delay))
                        if known_as(&it) == column && 0 <= delay =>
                    {
                        if WATERMARK_DELAY_MAX_US < delay {
                            return Err(too_long());
                        }
                        Some((column, delay))
                    }
                    (Expr::Identifier(it), Some(_)) if known_as(&it) != column => {
                        return Err(of_another(&it));
                    }
                    _ => return Err(wrong()),
                },
                _ => return Err(wrong()),
            };
        } else {
            let column = parser.parse_identifier()?;
            let (name, written) = (known_as(&column), column.value);
            if let Some(text) = elsewhere::of_column(parser, &name) {
                return refuse(&text);
            }
            let data_type = column_type(parser)?;
            let mut nullable = true;
            loop {
                if parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]) {
                    nullable = false;
                } else if parser.parse_keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
                    let _ = parser.parse_keywords(&[Keyword::NOT, Keyword::ENFORCED]);
                    set_key(vec![name.clone()])?;
                } else if parser.parse_keyword(Keyword::REFERENCES)
                    || parser.parse_keywords(&[Keyword::FOREIGN, Keyword::KEY, Keyword::REFERENCES])
                {
                    reference(parser)?;
                } else if word(parser, "LATENESS") {
                    let delay = interval_us(&parser.parse_expr()?).filter(|it| 0 <= *it);
                    let delay = delay.ok_or_else(|| {
                        ParserError::ParserError(format!(
                            "LATENESS is a length of time: {name} TIMESTAMP LATENESS INTERVAL '10' SECOND"
                        ))
                    })?;
                    if WATERMARK_DELAY_MAX_US < delay {
                        return Err(too_long());
                    }
                    if watermark.replace((name.clone(), delay)).is_some() {
                        return refuse(one_clock);
                    }
                } else if !parser.parse_keyword(Keyword::NULL) {
                    break;
                }
            }
            if let Some(text) = elsewhere::of_column(parser, &name) {
                return refuse(&text);
            }
            columns.push(ColumnText {
                name,
                written,
                data_type,
                nullable,
            });
        }
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    parser.expect_token(&Token::RParen)?;
    if word(parser, "APPEND") {
        parser.expect_keyword(Keyword::ONLY)?;
        if key.is_some() {
            return refuse(
                "with a PRIMARY KEY a record replaces the earlier one of its key, so the source is not APPEND ONLY; leave out one of them",
            );
        }
    }
    Ok(DeclaredTable {
        name,
        columns,
        watermark,
        key,
    })
}

/// A source, from its name on. A table that says neither where its records are nor how they are written is one that clients insert into: they push
/// them as JSON.
fn source(parser: &mut Parser, is_table: bool) -> Result<SourceText, ParserError> {
    let DeclaredTable {
        name,
        columns,
        watermark,
        key,
    } = declared_table(parser)?;
    let mut options = match parser.parse_keyword(Keyword::WITH) {
        true => elsewhere::of_topic(option_list(parser)?),
        false => Vec::new(),
    };
    if is_table {
        options.retain(|it| !elsewhere::says_nothing(it, key.is_some()));
    }
    let is_last = matches!(parser.peek_token_ref().token, Token::SemiColon | Token::EOF);
    let format = match is_table && options.is_empty() && is_last {
        true => {
            options.push(("connector".to_owned(), push::CONNECTOR.to_owned()));
            "JSON".to_owned()
        }
        false => source_format(parser, &mut options)?,
    };
    Ok(SourceText {
        name,
        columns,
        watermark,
        key,
        options,
        format,
    })
}

/// Takes `CONSTRAINT name` before a constraint of a table.
fn named_constraint(parser: &mut Parser) -> Result<(), ParserError> {
    let token = |n: usize| parser.peek_nth_token(n).token;
    // A column may be called `constraint`, and be the key.
    let is_one = match elsewhere::is_word(&token(2), "CHECK") {
        true => token(3) == Token::LParen,
        false => elsewhere::is_word(&token(3), "KEY") && token(4) == Token::LParen,
    };
    let first = token(0);
    if elsewhere::is_word(&first, "CONSTRAINT") && is_one {
        parser.next_token();
        parser.parse_identifier()?;
    }
    Ok(())
}

/// Takes what a key refers to: `relation (column, …)`. It says what records are like, and is relied on by nothing.
fn reference(parser: &mut Parser) -> Result<(), ParserError> {
    parser.parse_object_name(false)?;
    parser.parse_parenthesized_column_list(IsOptional::Optional, false)?;
    let _ = parser.parse_keywords(&[Keyword::NOT, Keyword::ENFORCED]);
    Ok(())
}

/// `(name = 'value', …)`; a name may have dots, as `properties.group.id`.
pub fn option_list(parser: &mut Parser) -> Result<Vec<(String, String)>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let list = parser.parse_comma_separated(|it| {
        let Some(mut key) = option_name(it) else {
            return it.expected("the name of an option", it.peek_token());
        };
        while it.consume_token(&Token::Period) {
            let Some(part) = option_name(it) else {
                return it.expected("the name of an option", it.peek_token());
            };
            key = format!("{key}.{part}");
        }
        it.expect_token(&Token::Eq)?;
        Ok((key, option_text(&it.parse_expr()?)))
    })?;
    parser.expect_token(&Token::RParen)?;
    Ok(list)
}

/// The name of an option, or a part of it: a word, also in quotes of any kind.
fn option_name(parser: &mut Parser) -> Option<String> {
    let name = match &parser.peek_token_ref().token {
        Token::Word(it) => it.value.clone(),
        Token::SingleQuotedString(it) => it.clone(),
        _ => return None,
    };
    parser.next_token();
    Some(name)
}

/// The format of a source; that of a Delta table is its own. `FORMAT JSON`, also as `FORMAT PLAIN ENCODE JSON` and as the option `format = 'json'`. Options of the format may follow it: `FORMAT CSV (delimiter = ';')`.
fn source_format(
    parser: &mut Parser,
    options: &mut Vec<(String, String)>,
) -> Result<String, ParserError> {
    let refuse = |text: String| Err(ParserError::ParserError(text));
    if !parser.parse_keyword(Keyword::FORMAT) {
        let stated = options
            .iter()
            .position(|it| it.0.eq_ignore_ascii_case("format"));
        return match stated {
            Some(at) => Ok(options.remove(at).1),
            None if is_delta(options) => Ok("DELTA".to_owned()),
            None => refuse(
                "columns without a query are those of a source, which ends with its format: CREATE SOURCE name (…) WITH (connector = 'files', path = 'FOLDER') FORMAT JSON".to_owned(),
            ),
        };
    }
    let stated = parser.parse_identifier()?.value;
    let (format, of_both) = match word(parser, "ENCODE") {
        true => (parser.parse_identifier()?.value, Some(stated)),
        false => (stated, None),
    };
    if parser.peek_token_ref().token == Token::LParen {
        options.extend(option_list(parser)?);
    }
    match of_both.filter(|it| !it.eq_ignore_ascii_case("PLAIN")) {
        None => Ok(format),
        Some(stated) if stated.eq_ignore_ascii_case("DEBEZIUM") => match format.as_str() {
            it if it.eq_ignore_ascii_case("JSON") => Ok("DEBEZIUM_JSON".to_owned()),
            other => refuse(format!(
                "envelopes of Debezium are read from JSON, not from {other}; write FORMAT DEBEZIUM ENCODE JSON"
            )),
        },
        Some(stated) => refuse(format!(
            "FORMAT {stated} is not read; write FORMAT {format}, and PRIMARY KEY (…) where a record replaces the earlier one of its key"
        )),
    }
}

pub fn word(parser: &mut Parser, wanted: &str) -> bool {
    let is = matches!(&parser.peek_token().token, Token::Word(it) if it.value.eq_ignore_ascii_case(wanted));
    if is {
        parser.next_token();
    }
    is
}

fn simple_name(name: &ObjectName) -> Result<String, ParserError> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(it)] => Ok(known_as(it)),
        _ => Err(ParserError::ParserError(format!(
            "the name {name} must not have a schema"
        ))),
    }
}

fn options(options: &CreateTableOptions) -> Result<Vec<(String, String)>, ParserError> {
    match options {
        CreateTableOptions::None => Ok(Vec::new()),
        CreateTableOptions::With(list) => list
            .iter()
            .map(|it| match it {
                SqlOption::KeyValue { key, value } => Ok((key.value.clone(), option_text(value))),
                other => Err(ParserError::ParserError(format!(
                    "option {other} must have the form name = 'value'"
                ))),
            })
            .collect(),
        other => Err(ParserError::ParserError(format!(
            "write options as WITH (name = 'value'), not {other}"
        ))),
    }
}

fn option_text(value: &Expr) -> String {
    match value {
        Expr::Value(it) => match &it.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => text.clone(),
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

/// Microseconds of an `INTERVAL` literal; nothing for months, years and anything that is not constant.
pub fn interval_us(expr: &Expr) -> Option<i64> {
    let Expr::Interval(interval) = expr else {
        return None;
    };
    let text = match interval.value.as_ref() {
        Expr::Value(it) => match &it.value {
            Value::SingleQuotedString(text) => text.clone(),
            Value::Number(text, _) => text.clone(),
            _ => return None,
        },
        _ => return None,
    };
    match &interval.leading_field {
        Some(unit) => duration_us(&format!("{text} {unit}")),
        None => duration_us(&text),
    }
}

/// A constant interval that may be negative, or a time of the day, in microseconds.
pub fn offset_us(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::TypedString(it) if it.data_type.to_string().starts_with("TIME") => {
            let text = it.value.clone().into_string()?;
            let time = text.parse::<chrono::NaiveTime>().ok()?;
            let since = time.signed_duration_since(chrono::NaiveTime::MIN);
            since.num_microseconds()
        }
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => interval_us(expr).map(|it| -it),
        other => interval_us(other),
    }
}

/// Microseconds of a length of time as people write it: `10 seconds`, `1 hour 30 minutes`.
pub fn duration_us(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return None;
    }
    words.chunks(2).try_fold(0i64, |sum, pair| {
        let amount: f64 = pair[0].parse().ok()?;
        let unit = pair[1].to_ascii_lowercase();
        let size = match unit
            .strip_suffix('s')
            .filter(|it| 1 < it.len())
            .unwrap_or(&unit)
        {
            "microsecond" | "us" => 1.0,
            "millisecond" | "ms" => 1e3,
            "second" | "sec" | "s" => 1e6,
            "minute" | "min" | "m" => 60e6,
            "hour" | "h" => 3600e6,
            "day" | "d" => 86_400e6,
            "week" | "w" => 604_800e6,
            _ => return None,
        };
        Some(sum + (amount * size).round() as i64)
    })
}

/// The type of a column. The parser's dialect has no structs: these are read here, as `STRUCT(a INT)`, `STRUCT<a INT>` or `ROW(a INT)`.
pub fn column_type(parser: &mut Parser) -> Result<SqlType, ParserError> {
    let is_struct = match &parser.peek_token_ref().token {
        Token::Word(it) => matches!(it.value.to_ascii_uppercase().as_str(), "STRUCT" | "ROW"),
        _ => false,
    };
    let is_list = matches!(&parser.peek_token_ref().token, Token::Word(it) if it.keyword == Keyword::ARRAY)
        && parser.peek_nth_token(1).token == Token::Lt;
    let mut data_type = match is_struct {
        true => struct_type(parser)?,
        false if is_list => {
            parser.expect_keyword(Keyword::ARRAY)?;
            parser.expect_token(&Token::Lt)?;
            let of = Box::new(column_type(parser)?);
            parser.expect_token(&Token::Gt)?;
            SqlType::Array(ArrayElemTypeDef::AngleBracket(of))
        }
        false => parser.parse_data_type()?,
    };
    loop {
        if parser.consume_token(&Token::LBracket) {
            parser.expect_token(&Token::RBracket)?;
        } else if !parser.parse_keyword(Keyword::ARRAY) {
            break;
        }
        data_type = SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(data_type), None));
    }
    Ok(data_type)
}

fn struct_type(parser: &mut Parser) -> Result<SqlType, ParserError> {
    parser.next_token();
    let (bracket, end) = match parser.consume_token(&Token::Lt) {
        true => (StructBracketKind::AngleBrackets, Token::Gt),
        false => {
            parser.expect_token(&Token::LParen)?;
            (StructBracketKind::Parentheses, Token::RParen)
        }
    };
    let fields = parser.parse_comma_separated(|it| {
        Ok(StructField {
            field_name: Some(it.parse_identifier()?),
            field_type: column_type(it)?,
            options: None,
        })
    })?;
    parser.expect_token(&end)?;
    Ok(SqlType::Struct(fields, bracket))
}

/// `DECIMAL` alone has 38 digits, ten of them behind the point; `DECIMAL(n)` is an integer of n digits.
fn decimal_type(digits: &ExactNumberInfo) -> Result<arrow::datatypes::DataType, String> {
    let (precision, scale) = match *digits {
        ExactNumberInfo::None => (38, 10),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let precision = u8::try_from(precision)
        .ok()
        .filter(|it| (1..=38).contains(it));
    let scale = i8::try_from(scale).ok().filter(|it| 0 <= *it);
    match (precision, scale) {
        (Some(precision), Some(scale)) if scale.unsigned_abs() <= precision => {
            Ok(arrow::datatypes::DataType::Decimal128(precision, scale))
        }
        _ => Err(
            "a DECIMAL has 1 to 38 digits, and no more of them behind the point: DECIMAL(12, 2)"
                .to_owned(),
        ),
    }
}

/// Whether a column takes JSON of any shape.
pub fn is_json(data_type: &SqlType) -> bool {
    matches!(data_type, SqlType::JSON | SqlType::JSONB)
}

/// A declared type as Arrow has it, or advice.
pub fn arrow_type(data_type: &SqlType) -> Result<arrow::datatypes::DataType, String> {
    use arrow::datatypes::{DataType, Field, TimeUnit};
    Ok(match data_type {
        SqlType::Boolean | SqlType::Bool => DataType::Boolean,
        SqlType::TinyInt(_)
        | SqlType::SmallInt(_)
        | SqlType::Int2(_)
        | SqlType::Int(_)
        | SqlType::Integer(_)
        | SqlType::Int4(_)
        | SqlType::TinyIntUnsigned(_)
        | SqlType::SmallIntUnsigned(_) => DataType::Int32,
        SqlType::BigInt(_)
        | SqlType::Int8(_)
        | SqlType::IntUnsigned(_)
        | SqlType::IntegerUnsigned(_) => DataType::Int64,
        // What 64 bits without a sign hold.
        SqlType::BigIntUnsigned(_) => DataType::Decimal128(20, 0),
        SqlType::Decimal(digits) | SqlType::Numeric(digits) | SqlType::Dec(digits) => {
            decimal_type(digits)?
        }
        SqlType::Double(_)
        | SqlType::DoublePrecision
        | SqlType::Float(_)
        | SqlType::Real
        | SqlType::Float4
        | SqlType::Float8 => DataType::Float64,
        SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Char(_)
        | SqlType::Character(_)
        | SqlType::String(_)
        | SqlType::CharVarying(_)
        | SqlType::CharacterVarying(_)
        | SqlType::Uuid => DataType::Utf8,
        SqlType::JSON | SqlType::JSONB => DataType::Utf8,
        SqlType::Bytea | SqlType::Binary(_) | SqlType::Varbinary(_) | SqlType::Bytes(_) => {
            DataType::Binary
        }
        SqlType::Time(..) | SqlType::Interval { .. } => {
            return Err(format!(
                "tables have no type {data_type}; declare it as TEXT, and CAST it to {data_type} where a view computes with it"
            ));
        }
        SqlType::Array(
            ArrayElemTypeDef::SquareBracket(of, None)
            | ArrayElemTypeDef::AngleBracket(of)
            | ArrayElemTypeDef::Parenthesis(of),
        ) => DataType::List(Arc::new(Field::new_list_field(arrow_type(of)?, true))),
        SqlType::Struct(fields, _) => {
            let fields = fields.iter().map(|it| {
                let name = it
                    .field_name
                    .as_ref()
                    .ok_or("name each field of a STRUCT")?;
                Ok(Field::new(
                    name.value.clone(),
                    arrow_type(&it.field_type)?,
                    true,
                ))
            });
            DataType::Struct(fields.collect::<Result<_, String>>()?)
        }
        SqlType::Date => DataType::Date32,
        SqlType::Timestamp(
            _,
            TimezoneInfo::None
            | TimezoneInfo::WithoutTimeZone
            | TimezoneInfo::WithTimeZone
            | TimezoneInfo::Tz,
        ) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        other => {
            return Err(format!(
                "type {other} is not supported; use BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL, TEXT, BYTEA, DATE, TIMESTAMP, JSON, an array or a STRUCT of these"
            ));
        }
    })
}

/// Names of the relations a query reads, once its windows are rewritten.
pub fn relations(query: &Query) -> Vec<String> {
    struct Names(Vec<String>);
    impl VisitorMut for Names {
        type Break = String;
        fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<String> {
            let last = name.0.last().and_then(|it| it.as_ident());
            self.0.extend(last.map(|it| it.value.clone()));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    // It never breaks off.
    let _ = walk::query(&mut query.clone(), &mut names);
    names.0
}

/// Parses one query.
///
/// # Errors
/// If it is none.
pub fn parse_query(text: &str) -> Result<Query, String> {
    Parser::new(&Tidelake)
        .try_with_sql(text)
        .and_then(|mut it| it.parse_query())
        .map(|it| *it)
        .map_err(|it| without_place(&it))
}

/// Parses one expression.
///
/// # Errors
/// If it is none.
pub fn parse_expression(text: &str) -> Result<Expr, String> {
    Parser::new(&Tidelake)
        .try_with_sql(text)
        .and_then(|mut it| it.parse_expr())
        .map_err(|it| without_place(&it))
}

/// What is wrong with a text that stands in no file.
fn without_place(error: &ParserError) -> String {
    let text = words::parser(error);
    match words::place_at_end(&text) {
        Some((message, ..)) => message.to_owned(),
        None => text,
    }
}

/// Makes the order of `ORDER BY … LIMIT` definite: rows that are equal in it are told apart by all their columns.
pub fn order_wholly(query: &mut Query, columns: usize) {
    // There the order says which row of a group is taken, and no two groups are equal in it.
    if let SetExpr::Select(select) = query.body.as_ref()
        && let Some(Distinct::On(_)) = select.distinct
    {
        return;
    }
    let Some(OrderBy {
        kind: OrderByKind::Expressions(order),
        ..
    }) = &mut query.order_by
    else {
        return;
    };
    for column in 1..=columns {
        order.push(OrderByExpr {
            expr: Expr::value(Value::Number(column.to_string(), false)),
            options: OrderByOptions {
                asc: Some(true),
                nulls_first: Some(true),
            },
            with_fill: None,
        });
    }
}

/// A time so far from 1970 that no comparison with `now()` tells it from eternity, and that no arithmetic with it overflows: 100,000 years.
const ALWAYS_US: i64 = 3_155_760_000_000_000_000;

/// Turns comparisons of a time with `now()` into the functions that stand for them: `time > now() - INTERVAL …`, `valid_until >= now()`,
/// `now() BETWEEN a AND b`, also beside another condition and OR. What has another form stays, and is refused where it is lowered.
pub fn rewrite_now(query: &mut Query) {
    struct Rewrite;
    impl VisitorMut for Rewrite {
        type Break = String;
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
            let compared = match expr {
                Expr::BinaryOp {
                    left,
                    op: BinaryOperator::Or,
                    right,
                } => now_or(left, right).or_else(|| now_or(right, left)),
                Expr::BinaryOp { left, op, right } => compared_with_now(left, op, right),
                Expr::Between {
                    expr,
                    negated: false,
                    low,
                    high,
                } if [&*expr, low, high]
                    .iter()
                    .any(|it| now_plus(it).is_some() || cut_now_plus(it).is_some()) =>
                {
                    let part = |op: BinaryOperator, bound: &Expr| {
                        compared_with_now(expr, &op, bound).unwrap_or_else(|| Expr::BinaryOp {
                            left: expr.clone(),
                            op,
                            right: Box::new(bound.clone()),
                        })
                    };
                    Some(Expr::BinaryOp {
                        left: Box::new(part(BinaryOperator::GtEq, low)),
                        op: BinaryOperator::And,
                        right: Box::new(part(BinaryOperator::LtEq, high)),
                    })
                }
                _ => None,
            };
            if let Some(compared) = compared {
                *expr = compared;
            }
            ControlFlow::Continue(())
        }
    }
    // It never breaks off.
    let _ = walk::query(query, &mut Rewrite);
}

/// Microseconds that an expression is after `now()`, if it is made of that.
fn now_plus(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Nested(inner) => now_plus(inner),
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::Minus => now_plus(left)?.checked_sub(interval_us(right)?),
            BinaryOperator::Plus => now_plus(left)?.checked_add(interval_us(right)?),
            _ => None,
        },
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr,
            data_type: SqlType::Timestamp(None, _),
            array: false,
            format: None,
        } => now_plus(expr),
        now => matches!(
            now.to_string().to_ascii_lowercase().as_str(),
            "now()" | "current_timestamp" | "current_timestamp()" | "mz_now()" | "proctime()"
        )
        .then_some(0),
    }
}

/// The unit that `now()` is cut to, and how many microseconds an expression is after that, if it is made of it.
fn cut_now_plus(expr: &Expr) -> Option<(String, i64)> {
    match expr {
        Expr::Nested(inner) => cut_now_plus(inner),
        Expr::BinaryOp { left, op, right } => {
            let (unit, shift) = cut_now_plus(left)?;
            let shift = match op {
                BinaryOperator::Minus => shift.checked_sub(interval_us(right)?),
                BinaryOperator::Plus => shift.checked_add(interval_us(right)?),
                _ => None,
            };
            Some((unit, shift?))
        }
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr,
            data_type: SqlType::Date,
            array: false,
            format: None,
        } if now_plus(expr) == Some(0) => Some(("day".to_owned(), 0)),
        Expr::Function(call) => {
            let args = match &call.args {
                FunctionArguments::List(list) => list.args.as_slice(),
                FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
            };
            match (call.name.to_string().to_ascii_lowercase().as_str(), args) {
                ("current_date", []) => Some(("day".to_owned(), 0)),
                (
                    "date_trunc",
                    [
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(unit))),
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(now)),
                    ],
                ) if now_plus(now) == Some(0) => {
                    let unit = unit.value.clone().into_string()?.to_ascii_lowercase();
                    let known = ["second", "minute", "hour", "day", "week", "month", "year"];
                    known.contains(&unit.as_str()).then_some((unit, 0))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// `time op cut + shift_us`, where `cut` is `now()` cut to a unit. What is cut reaches a time when `now()` reaches the next beginning of a unit from that
/// time on, so that is what `now()` is compared with.
fn of_cut_now(time: &Expr, op: &BinaryOperator, unit: &str, shift_us: i64) -> Option<Expr> {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq};
    let (function, from_us) = match op {
        Lt => (NOW_REACHED, 0),
        LtEq => (NOW_REACHED, 1),
        Gt => (NOW_BEFORE, 1),
        GtEq => (NOW_BEFORE, 0),
        Eq => {
            return Some(Expr::BinaryOp {
                left: Box::new(of_cut_now(time, &GtEq, unit, shift_us)?),
                op: And,
                right: Box::new(of_cut_now(time, &LtEq, unit, shift_us)?),
            });
        }
        _ => return None,
    };
    let back_us = shift_us.checked_add(from_us)?;
    let text = format!(
        "{function}(date_trunc('{unit}', arrow_cast(({time}), 'Timestamp(Microsecond, Some(\"UTC\"))') - INTERVAL '{back_us} microseconds') + INTERVAL '1 {unit}', 0)"
    );
    let parser = Parser::new(&Tidelake).try_with_sql(&text);
    parser.ok()?.parse_expr().ok()
}

/// A comparison with `now()` as the function that stands for it.
fn compared_with_now(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    use BinaryOperator::{Gt, GtEq, Lt, LtEq};
    let turned = |op: &BinaryOperator| match op {
        Gt => Some(Lt),
        GtEq => Some(LtEq),
        Lt => Some(Gt),
        LtEq => Some(GtEq),
        _ => None,
    };
    // `now() - time < INTERVAL …`
    if let Expr::BinaryOp {
        left: now,
        op: BinaryOperator::Minus,
        right: time,
    } = unnested(left)
        && let (Some(shift), Some(age)) = (now_plus(now), interval_us(right))
        && now_plus(left).is_none()
    {
        return of_now(time, &turned(op)?, shift.checked_sub(age)?);
    }
    match (cut_now_plus(left), cut_now_plus(right)) {
        (None, Some((unit, shift))) if now_plus(left).is_none() => {
            return of_cut_now(left, op, &unit, shift);
        }
        (Some((unit, shift)), None) if now_plus(right).is_none() => {
            let op =
                turned(op).or_else(|| (*op == BinaryOperator::Eq).then_some(BinaryOperator::Eq))?;
            return of_cut_now(right, &op, &unit, shift);
        }
        _ => {}
    }
    match (now_plus(left), now_plus(right)) {
        (None, Some(shift)) => of_now(left, op, shift),
        (Some(shift), None) => of_now(right, &turned(op)?, shift),
        (None, None) | (Some(_), Some(_)) => None,
    }
}

/// A comparison with `now()`, or a condition that has nothing to do with it: where the condition holds, the comparison is with a time that it always holds
/// for.
fn now_or(comparison: &Expr, condition: &Expr) -> Option<Expr> {
    let Expr::Function(function) = unnested(comparison) else {
        return None;
    };
    let (name, always_us) = match function.name.to_string().as_str() {
        // The range of the last so many microseconds has no end ahead here.
        NOW_BEFORE | WITHIN_LAST => (NOW_BEFORE, ALWAYS_US),
        NOW_REACHED => (NOW_REACHED, -ALWAYS_US),
        _ => return None,
    };
    let FunctionArguments::List(FunctionArgumentList { args, .. }) = &function.args else {
        return None;
    };
    let [time, us] = args.as_slice() else {
        return None;
    };
    let other = condition.to_string();
    if [NOW_BEFORE, NOW_REACHED, WITHIN_LAST]
        .iter()
        .any(|it| other.contains(*it))
    {
        return None;
    }
    let always = format!("arrow_cast({always_us}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
    let text = format!("{name}(CASE WHEN {other} THEN {always} ELSE {time} END, {us})");
    let parser = Parser::new(&Tidelake).try_with_sql(&text);
    parser.ok()?.parse_expr().ok()
}

fn unnested(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}

/// `time op now() + shift_us`.
fn of_now(time: &Expr, op: &BinaryOperator, shift_us: i64) -> Option<Expr> {
    use BinaryOperator::{Gt, GtEq, Lt, LtEq};
    // At least as new as a time is newer than the microsecond before it.
    let (function, us) = match op {
        Gt if shift_us < 0 => (WITHIN_LAST, -shift_us),
        GtEq if shift_us < 0 => (WITHIN_LAST, 1 - shift_us),
        Gt => (NOW_BEFORE, -shift_us),
        GtEq => (NOW_BEFORE, 1 - shift_us),
        Lt => (NOW_REACHED, 1 - shift_us),
        LtEq => (NOW_REACHED, -shift_us),
        _ => return None,
    };
    let parser = Parser::new(&Tidelake).try_with_sql(&format!("{function}({time}, {us})"));
    parser.ok()?.parse_expr().ok()
}

/// The name by which a relation is known: as it is quoted, else in lower case.
pub fn known_as(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    }
}

/// A call of a function.
pub fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args
                .map(|it| FunctionArg::Unnamed(FunctionArgExpr::Expr(it)))
                .collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A sub-query in the place of a relation, under its alias or its name.
pub fn in_place_of(relation: &Ident, alias: Option<&TableAlias>, subquery: Query) -> TableFactor {
    let alias = alias.cloned().unwrap_or_else(|| TableAlias {
        explicit: true,
        name: relation.clone(),
        columns: Vec::new(),
        at: None,
    });
    TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery),
        alias: Some(alias),
        sample: None,
    }
}

/// Adds columns to a SELECT that does not have them, unless it has `*`.
pub fn add_columns(query: &mut Query, names: &[&str]) {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    let all = select
        .projection
        .iter()
        .any(|it| matches!(it, SelectItem::Wildcard(_)));
    for name in names {
        let there = select.projection.iter().any(|it| match it {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => ident.value == *name,
            SelectItem::ExprWithAlias { alias, .. } => alias.value == *name,
            _ => false,
        });
        if !all && !there {
            select
                .projection
                .push(SelectItem::UnnamedExpr(Expr::Identifier(Ident::new(*name))));
        }
    }
}

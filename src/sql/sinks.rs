//! Sinks of other systems that go nowhere, to a terminal or to files, as views: `CREATE TABLE name (…) WITH (connector = 'blackhole')` declares the
//! columns of one, and `INSERT INTO name SELECT …` is the view of that name; several of them are its `UNION ALL`. `CREATE SINK name FROM relation`, or
//! `AS SELECT …`, of such a connector is one, too. So is a table without a connector that a query is inserted into.
//!
//! What would be files elsewhere are those of the view's table in the lake. A sink of any other connector is refused: its rows would be
//! wanted where they would not come.

use super::dialect::Tidelake;
use super::elsewhere::is_word;
use super::forms::{self, Macros};
use super::syntax::{self, ParsedKind};
use datafusion::sql::sqlparser::ast::{Ident, Query, SelectItem, SetExpr};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{IsOptional, Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use std::collections::BTreeMap;

/// Connectors whose rows nobody waits for elsewhere.
const CONNECTORS: [&str; 4] = ["blackhole", "print", "stdout", "preview"];

/// Connectors of files, which are sinks if the option `type` says so.
const FILES: [&str; 2] = ["single_file", "filesystem"];

/// Sinks that were declared, by name.
pub struct Sinks {
    declared: BTreeMap<String, Sink>,
    /// How many queries the statements insert into relations, by name.
    inserts: BTreeMap<String, usize>,
}

struct Sink {
    columns: Vec<Ident>,
    /// Those that were inserted so far.
    queries: Vec<Query>,
}

/// What the next statement does to a sink.
pub enum Fed {
    /// It is about none.
    Nothing,
    /// It inserts a query, and more are to come.
    Part,
    /// It inserts the last query: the view of all of them.
    Whole(Box<ParsedKind>),
}

impl Sinks {
    /// For the statements of a dataflow.
    pub fn of(tokens: &[TokenWithSpan]) -> Self {
        let solid: Vec<&TokenWithSpan> = tokens
            .iter()
            .filter(|it| !matches!(it.token, Token::Whitespace(_)))
            .collect();
        let mut inserts = BTreeMap::new();
        for (at, token) in solid.iter().enumerate() {
            let after = |n: usize| solid.get(at + n).map_or(&Token::EOF, |it| &it.token);
            if !is_word(&token.token, "INSERT") || !is_word(after(1), "INTO") {
                continue;
            }
            let Token::Word(name) = after(2) else {
                continue;
            };
            let mut query = 3;
            if *after(query) == Token::LParen && matches!(after(query + 1), Token::Word(_)) {
                let is_end = |it: &usize| matches!(after(*it), Token::RParen | Token::EOF);
                let columns = !["SELECT", "WITH"]
                    .iter()
                    .any(|it| is_word(after(query + 1), it));
                if columns {
                    query = (query..).find(is_end).unwrap_or(query) + 1;
                }
            }
            if !is_word(after(query), "VALUES") {
                let name = syntax::known_as(&name.clone().into_ident(token.span));
                *inserts.entry(name).or_default() += 1;
            }
        }
        Sinks {
            declared: BTreeMap::new(),
            inserts,
        }
    }

    /// Takes in the table of a sink, if that is the next statement.
    ///
    /// # Errors
    /// If its columns are wrong, or it is declared already.
    pub fn declare(&mut self, parser: &mut Parser) -> Result<bool, ParserError> {
        if !self.is_next(parser) {
            return Ok(false);
        }
        parser.expect_keywords(&[Keyword::CREATE, Keyword::TABLE])?;
        let declared = syntax::declared_table(parser)?;
        if parser.parse_keyword(Keyword::WITH) {
            syntax::option_list(parser)?;
        }
        let columns = declared.columns.iter();
        let columns = columns
            .map(|it| Ident::with_quote('"', it.name.clone()))
            .collect();
        let sink = Sink {
            columns,
            queries: Vec::new(),
        };
        match self.declared.insert(declared.name.clone(), sink) {
            None => Ok(true),
            Some(_) => refuse(format!("sink {} is declared already", declared.name)),
        }
    }

    /// Whether the table of a sink comes next: `CREATE TABLE name (…)` with such a connector, or with none and a query that is inserted.
    fn is_next(&self, parser: &Parser) -> bool {
        let token = |n: usize| parser.peek_nth_token(n).token;
        if !is_word(&token(0), "CREATE") || !is_word(&token(1), "TABLE") {
            return false;
        }
        let open = match is_word(&token(2), "IF") {
            true => 6,
            false => 3,
        };
        let Token::Word(name) = token(open - 1) else {
            return false;
        };
        let Some(end) = end_of_columns(parser, open) else {
            return false;
        };
        match token(end + 1) {
            Token::SemiColon | Token::EOF => {
                let name = name.into_ident(parser.peek_nth_token(open - 1).span);
                self.inserts.contains_key(&syntax::known_as(&name))
            }
            with => is_word(&with, "WITH") && goes_nowhere(parser, end + 2),
        }
    }

    /// What a query that is inserted into a declared sink makes, if that is the next statement.
    ///
    /// # Errors
    /// If the query cannot be read, or has other columns than the sink.
    pub fn fed(&mut self, parser: &mut Parser, functions: &Macros) -> Result<Fed, ParserError> {
        let token = |n: usize| parser.peek_nth_token(n).token;
        let name = match token(2) {
            Token::Word(it) => syntax::known_as(&it.into_ident(parser.peek_nth_token(2).span)),
            _ => return Ok(Fed::Nothing),
        };
        let is_insert = is_word(&token(0), "INSERT") && is_word(&token(1), "INTO");
        let Some(sink) = self.declared.get_mut(&name).filter(|_| is_insert) else {
            return Ok(Fed::Nothing);
        };
        parser.expect_keywords(&[Keyword::INSERT, Keyword::INTO])?;
        parser.parse_identifier()?;
        let named = parser.parse_parenthesized_column_list(IsOptional::Optional, false)?;
        let in_order = named.iter().map(syntax::known_as);
        if !named.is_empty() && !in_order.eq(sink.columns.iter().map(|it| it.value.clone())) {
            return refuse(format!(
                "INSERT INTO {name} names all columns of the sink in their order, or none"
            ));
        }
        let mut query = parser.parse_query()?;
        let query = functions
            .expand(&mut query)
            .and_then(|()| forms::rewrite(&mut query))
            .and_then(|()| with_columns(&name, query, &sink.columns))
            .map_err(ParserError::ParserError)?;
        sink.queries.push(*query);
        let all = self.inserts.get(&name).copied().unwrap_or_default();
        if sink.queries.len() < all {
            return Ok(Fed::Part);
        }
        in_one(std::mem::take(&mut sink.queries))
            .map(|query| Fed::Whole(Box::new(view(name, query))))
            .map_err(ParserError::ParserError)
    }
}

/// Queries of one sink as one.
fn in_one(mut queries: Vec<Query>) -> Result<Box<Query>, String> {
    if queries.len() == 1
        && let Some(only) = queries.pop()
    {
        return Ok(Box::new(only));
    }
    let parts = queries.iter().map(|it| {
        let is_plain = matches!(it.body.as_ref(), SetExpr::Select(_))
            && it.with.is_none()
            && it.order_by.is_none()
            && it.limit_clause.is_none();
        match is_plain {
            true => it.to_string(),
            false => format!("({it})"),
        }
    });
    let parts: Vec<String> = parts.collect();
    syntax::parse_query(&parts.join(" UNION ALL ")).map(Box::new)
}

/// The view that `CREATE SINK name FROM relation WITH (connector = 'blackhole')` is, or `CREATE SINK name AS SELECT … WITH (…)`, if that is the next
/// statement.
///
/// # Errors
/// If an option has no value, or the query cannot be read.
pub fn of_relation(
    parser: &mut Parser,
    functions: &Macros,
) -> Result<Option<ParsedKind>, ParserError> {
    let token = |n: usize| parser.peek_nth_token(n).token;
    if !is_word(&token(0), "CREATE") || !is_word(&token(1), "SINK") {
        return Ok(None);
    }
    let name = match is_word(&token(2), "IF") {
        true => 5,
        false => 2,
    };
    let of_query = is_word(&token(name + 1), "AS");
    let with = match of_query {
        true => last_with(parser),
        false => is_word(&token(name + 1), "FROM").then_some(name + 3),
    };
    let with = with.filter(|it| is_word(&token(*it), "WITH") && goes_nowhere(parser, it + 1));
    let Some(with) = with else {
        return Ok(None);
    };
    // The name, and AS or FROM.
    let behind = name + 2;
    for _ in 0..name {
        parser.next_token();
    }
    let name = syntax::known_as(&parser.parse_identifier()?);
    parser.next_token();
    let query = match of_query {
        true => {
            // The parser would take the options for hints of a table.
            let tokens = (behind..with).map(|_| parser.next_token()).collect();
            let mut alone = Parser::new(&Tidelake).with_tokens_with_locations(tokens);
            let mut query = alone.parse_query()?;
            alone.expect_token(&Token::EOF)?;
            functions
                .expand(&mut query)
                .and_then(|()| forms::rewrite(&mut query))
                .map_err(ParserError::ParserError)?;
            query
        }
        false => {
            let relation = parser.parse_identifier()?;
            let query = syntax::parse_query(&format!("SELECT * FROM {relation}"));
            Box::new(query.map_err(ParserError::ParserError)?)
        }
    };
    parser.expect_keyword(Keyword::WITH)?;
    syntax::option_list(parser)?;
    Ok(Some(view(name, query)))
}

/// Where the last `WITH (` of the next statement begins that is not within parentheses.
fn last_with(parser: &Parser) -> Option<usize> {
    let token = |n: usize| parser.peek_nth_token(n).token;
    let (mut depth, mut found) = (0_usize, None);
    for at in 0.. {
        match token(at) {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::SemiColon | Token::EOF => break,
            it if depth == 0 && is_word(&it, "WITH") && token(at + 1) == Token::LParen => {
                found = Some(at);
            }
            _ => {}
        }
    }
    found
}

fn refuse<T>(text: String) -> Result<T, ParserError> {
    Err(ParserError::ParserError(text))
}

fn view(name: String, query: Box<Query>) -> ParsedKind {
    ParsedKind::View {
        name,
        options: Vec::new(),
        query,
        is_final: false,
    }
}

/// The query with the columns of the sink, in whose order its own are.
fn with_columns(
    name: &str,
    mut query: Box<Query>,
    columns: &[Ident],
) -> Result<Box<Query>, String> {
    let is_star = match query.body.as_ref() {
        SetExpr::Select(select) => select.projection.iter().any(|it| match it {
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
            SelectItem::UnnamedExpr(_)
            | SelectItem::ExprWithAlias { .. }
            | SelectItem::ExprWithAliases { .. } => false,
        }),
        _ => false,
    };
    if !is_star {
        forms::name_columns(&mut query, columns)?;
        return Ok(query);
    }
    let named: Vec<String> = columns.iter().map(Ident::to_string).collect();
    let alias = Ident::with_quote('"', name);
    let text = format!("SELECT * FROM ({query}) AS {alias} ({})", named.join(", "));
    syntax::parse_query(&text).map(Box::new)
}

/// Where the list of columns ends that begins at a token from here on.
fn end_of_columns(parser: &Parser, open: usize) -> Option<usize> {
    let token = |n: usize| parser.peek_nth_token(n).token;
    if token(open) != Token::LParen {
        return None;
    }
    let mut depth = 0_usize;
    for at in open.. {
        match token(at) {
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => return Some(at),
            Token::RParen => depth -= 1,
            Token::SemiColon | Token::EOF => break,
            _ => {}
        }
    }
    None
}

/// Whether a list of options, which begins at a token from here on, is of a sink whose rows are nowhere else.
fn goes_nowhere(parser: &Parser, from: usize) -> bool {
    let token = |n: usize| parser.peek_nth_token(n).token;
    let (mut connector, mut is_sink) = (None, false);
    for at in from.. {
        let name = match token(at) {
            Token::Word(it) => it.value.to_lowercase(),
            Token::SingleQuotedString(it) => it,
            Token::RParen | Token::SemiColon | Token::EOF => break,
            _ => continue,
        };
        if token(at + 1) != Token::Eq {
            continue;
        }
        if let Token::SingleQuotedString(value) = token(at + 2) {
            match name.as_str() {
                "connector" => connector = Some(value),
                "type" => is_sink |= value == "sink",
                _ => {}
            }
        }
    }
    connector.is_some_and(|it| {
        CONNECTORS.contains(&it.as_str()) || (is_sink && FILES.contains(&it.as_str()))
    })
}

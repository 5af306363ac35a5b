//! Sinks of other systems that go nowhere, or to a terminal, as views: `CREATE TABLE name (…) WITH (connector = 'blackhole')` declares the columns of
//! one, and `INSERT INTO name SELECT …` is the view of that name. `CREATE SINK name FROM relation` of such a connector is one, too.
//!
//! A sink of any other connector is refused: its rows would be wanted where they would not come.

use super::elsewhere::is_word;
use super::forms::{self, Macros};
use super::syntax::{self, ParsedKind};
use datafusion::sql::sqlparser::ast::{Ident, Query, SelectItem, SetExpr};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{IsOptional, Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use std::collections::BTreeMap;

/// Connectors whose rows nobody waits for elsewhere.
const CONNECTORS: [&str; 4] = ["blackhole", "print", "stdout", "preview"];

/// Sinks that were declared, by name: their columns, and whether a query is inserted into them.
#[derive(Default)]
pub struct Sinks(BTreeMap<String, Sink>);

struct Sink {
    columns: Vec<Ident>,
    is_fed: bool,
}

impl Sinks {
    /// Takes in the table of a sink, if that is the next statement.
    ///
    /// # Errors
    /// If its columns are wrong, or it is declared already.
    pub fn declare(&mut self, parser: &mut Parser) -> Result<bool, ParserError> {
        if !is_table_of_sink(parser) {
            return Ok(false);
        }
        parser.expect_keywords(&[Keyword::CREATE, Keyword::TABLE])?;
        let declared = syntax::declared_table(parser)?;
        parser.expect_keyword(Keyword::WITH)?;
        syntax::option_list(parser)?;
        let columns = declared.columns.iter();
        let columns = columns
            .map(|it| Ident::with_quote('"', it.name.clone()))
            .collect();
        let sink = Sink {
            columns,
            is_fed: false,
        };
        match self.0.insert(declared.name.clone(), sink) {
            None => Ok(true),
            Some(_) => refuse(format!("sink {} is declared already", declared.name)),
        }
    }

    /// The view that a query inserted into a declared sink is, if that is the next statement.
    ///
    /// # Errors
    /// If the query cannot be read, has other columns than the sink, or is not the only one.
    pub fn fed(
        &mut self,
        parser: &mut Parser,
        functions: &Macros,
    ) -> Result<Option<ParsedKind>, ParserError> {
        let token = |n: usize| parser.peek_nth_token(n).token;
        let name = match token(2) {
            Token::Word(it) => syntax::known_as(&it.into_ident(parser.peek_nth_token(2).span)),
            _ => return Ok(None),
        };
        let is_insert = is_word(&token(0), "INSERT") && is_word(&token(1), "INTO");
        let Some(sink) = self.0.get_mut(&name).filter(|_| is_insert) else {
            return Ok(None);
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
        if std::mem::replace(&mut sink.is_fed, true) {
            return refuse(format!(
                "sink {name} has a query already, and a view has one: write SELECT … UNION ALL SELECT … in one INSERT"
            ));
        }
        let mut query = parser.parse_query()?;
        functions
            .expand(&mut query)
            .and_then(|()| forms::rewrite(&mut query))
            .and_then(|()| with_columns(&name, query, &sink.columns))
            .map(|query| Some(view(name, query)))
            .map_err(ParserError::ParserError)
    }
}

/// The view that `CREATE SINK name FROM relation WITH (connector = 'blackhole')` is, if that is the next statement.
///
/// # Errors
/// If an option has no value.
pub fn of_relation(parser: &mut Parser) -> Result<Option<ParsedKind>, ParserError> {
    let token = |n: usize| parser.peek_nth_token(n).token;
    let is_sink = is_word(&token(0), "CREATE")
        && is_word(&token(1), "SINK")
        && is_word(&token(3), "FROM")
        && is_word(&token(5), "WITH")
        && goes_nowhere(parser, 6);
    if !is_sink {
        return Ok(None);
    }
    parser.next_token();
    parser.next_token();
    let name = syntax::known_as(&parser.parse_identifier()?);
    parser.expect_keyword(Keyword::FROM)?;
    let relation = parser.parse_identifier()?;
    parser.expect_keyword(Keyword::WITH)?;
    syntax::option_list(parser)?;
    let query = syntax::parse_query(&format!("SELECT * FROM {relation}"));
    let query = query.map_err(ParserError::ParserError)?;
    Ok(Some(view(name, Box::new(query))))
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

/// Whether `CREATE TABLE name (…) WITH (…)` with such a connector comes next.
fn is_table_of_sink(parser: &Parser) -> bool {
    let token = |n: usize| parser.peek_nth_token(n).token;
    if !is_word(&token(0), "CREATE") || !is_word(&token(1), "TABLE") {
        return false;
    }
    let open = match is_word(&token(2), "IF") {
        true => 6,
        false => 3,
    };
    if token(open) != Token::LParen {
        return false;
    }
    let mut depth = 0_usize;
    let mut at = open;
    loop {
        match token(at) {
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => break,
            Token::RParen => depth -= 1,
            Token::SemiColon | Token::EOF => return false,
            _ => {}
        }
        at += 1;
    }
    is_word(&token(at + 1), "WITH") && goes_nowhere(parser, at + 2)
}

/// Whether a list of options, which begins at a token from here on, states such a connector.
fn goes_nowhere(parser: &Parser, from: usize) -> bool {
    let token = |n: usize| parser.peek_nth_token(n).token;
    let mut at = from;
    loop {
        let is_name = match token(at) {
            Token::Word(it) => it.value.eq_ignore_ascii_case("connector"),
            Token::SingleQuotedString(it) => it == "connector",
            Token::RParen | Token::SemiColon | Token::EOF => return false,
            _ => false,
        };
        if is_name && token(at + 1) == Token::Eq {
            return match token(at + 2) {
                Token::SingleQuotedString(it) => CONNECTORS.contains(&it.as_str()),
                _ => false,
            };
        }
        at += 1;
    }
}

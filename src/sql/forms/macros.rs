//! `CREATE FUNCTION`: an expression under a name, which takes the place of every call before anything is planned.
//!
//! A function is therefore part of what the views that call it mean, and a changed one changes them. A name that the dataflow defines comes
//! before a built-in one. The body is complete where it is defined: it calls functions above it, never itself.

use crate::sql::dialect::Tidelake;
use crate::sql::{bounds, functions, syntax, walk, words};
use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType as SqlType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, Query, SelectItem, SetExpr, TableFactor, Value,
    VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::LazyLock;

/// Expressions that all calls of a statement may become. A function that calls another one twice is twice as large, so a few of them would take all memory.
const EXPRESSIONS_MAX: usize = 20_000;

const FORM: &str = "write CREATE FUNCTION f(x INT, y TEXT) RETURNS INT AS 'expression of x and y'";

/// The functions that a dataflow has defined so far.
#[derive(Default)]
pub struct Macros(BTreeMap<String, Macro>);

#[derive(Debug)]
struct Macro {
    parameters: Vec<Parameter>,
    returns: Option<SqlType>,
    /// A NULL among the arguments makes the result NULL.
    is_strict: bool,
    /// A SELECT of one expression.
    body: Query,
    /// How many expressions it is made of.
    expressions: usize,
    /// The names that columns of the body can be qualified by; none if it reads no relations.
    reads: Option<BTreeSet<String>>,
}

#[derive(Debug)]
struct Parameter {
    /// None for one that is known by its place alone.
    name: Option<String>,
    data_type: Option<SqlType>,
}

impl Macros {
    /// Takes in a `CREATE FUNCTION`, if that is the next statement.
    ///
    /// # Errors
    /// If it has no body that is an expression, or one of something that is not there.
    pub fn define(&mut self, parser: &mut Parser) -> Result<bool, ParserError> {
        let begins = [
            vec![Keyword::CREATE, Keyword::FUNCTION],
            vec![
                Keyword::CREATE,
                Keyword::OR,
                Keyword::REPLACE,
                Keyword::FUNCTION,
            ],
        ];
        if !begins.iter().any(|it| parser.parse_keywords(it)) {
            return Ok(false);
        }
        let name = folded(&parser.parse_identifier()?);
        let refuse = |text: String| ParserError::ParserError(format!("function {name}: {text}"));
        if self.0.contains_key(&name) {
            return Err(refuse("it is defined already".to_owned()));
        }
        let parameters = parameters(parser)?;
        let Clauses {
            returns,
            is_strict,
            body,
        } = clauses(parser, &name)?;
        let Some(body) = body else {
            return Err(refuse(format!(
                "it has no body here, and code in other languages is not called; {FORM}"
            )));
        };
        let defined = self.checked(&name, parameters, returns, is_strict, body);
        self.0.insert(name.clone(), defined.map_err(refuse)?);
        Ok(true)
    }

    fn checked(
        &self,
        name: &str,
        parameters: Vec<Parameter>,
        returns: Option<SqlType>,
        is_strict: bool,
        mut body: Query,
    ) -> Result<Macro, String> {
        let mut look = Look {
            name,
            ..Look::default()
        };
        walk::query(&mut body, &mut look)?;
        self.expand(&mut body)?;
        super::rewrite(&mut body)?;
        let mut names = BTreeSet::new();
        for parameter in &parameters {
            if let Some(it) = &parameter.name
                && !names.insert(it.clone())
            {
                return Err(format!("two parameters are named `{it}`"));
            }
        }
        let reads = look.reads_rows().then_some(look.relations);
        let mut check = Check {
            function: name,
            parameters: &parameters,
            reads_rows: reads.is_some(),
        };
        walk::query(&mut body, &mut check)?;
        let mut count = Count(0);
        walk::query(&mut body, &mut count)?;
        Ok(Macro {
            parameters,
            returns,
            is_strict,
            expressions: count.0,
            body,
            reads,
        })
    }

    /// Puts the bodies of functions in the place of their calls.
    ///
    /// # Errors
    /// If a call does not fit its function, or all of them become too much.
    pub fn expand(&self, query: &mut Query) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut expand = Expand {
            macros: self,
            left: EXPRESSIONS_MAX,
        };
        walk::query(query, &mut expand)?;
        bounds::size(query, &BTreeMap::new()).map(drop)
    }
}

/// Counts expressions.
struct Count(usize);

impl VisitorMut for Count {
    type Break = String;

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<String> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}

/// Takes what is made out of what may still be.
fn take(left: &mut usize, expressions: usize) -> Result<(), String> {
    *left = left.checked_sub(expressions).ok_or_else(|| {
        format!(
            "functions that call each other become more than {EXPRESSIONS_MAX} expressions here; compute a part of them in a view, and read its column"
        )
    })?;
    Ok(())
}

fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

fn parameters(parser: &mut Parser) -> Result<Vec<Parameter>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    if parser.consume_token(&Token::RParen) {
        return Ok(Vec::new());
    }
    let all = parser.parse_comma_separated(parameter)?;
    parser.expect_token(&Token::RParen)?;
    Ok(all)
}

fn parameter(parser: &mut Parser) -> Result<Parameter, ParserError> {
    let ends = |it: &Parser| matches!(it.peek_token_ref().token, Token::Comma | Token::RParen);
    // A type alone is a parameter known by its place.
    let alone = parser.maybe_parse(|it| {
        let data_type = syntax::column_type(it)?;
        match (&data_type, ends(it)) {
            (SqlType::Custom(..), _) | (_, false) => it.expected_ref("a type", it.peek_token_ref()),
            (_, true) => Ok(data_type),
        }
    })?;
    if let Some(data_type) = alone {
        return Ok(Parameter {
            name: None,
            data_type: Some(data_type),
        });
    }
    let name = folded(&parser.parse_identifier()?);
    let data_type = match ends(parser) {
        true => None,
        false => Some(syntax::column_type(parser)?),
    };
    let _may_be_null = !parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]);
    if !ends(parser) {
        let text = format!(
            "parameter `{name}`: behind its name there is only a type; a call gives every argument"
        );
        return Err(ParserError::ParserError(text));
    }
    Ok(Parameter {
        name: Some(name),
        data_type,
    })
}

struct Clauses {
    returns: Option<SqlType>,
    is_strict: bool,
    body: Option<Query>,
}

fn clauses(parser: &mut Parser, function: &str) -> Result<Clauses, ParserError> {
    let refused = |text: String| ParserError::ParserError(format!("function {function}: {text}"));
    let mut found = Clauses {
        returns: None,
        is_strict: false,
        body: None,
    };
    loop {
        let on_null = [Keyword::NULL, Keyword::ON, Keyword::NULL, Keyword::INPUT];
        if parser.parse_keyword(Keyword::RETURNS) {
            if parser.parse_keywords(&on_null) {
                found.is_strict = true;
                continue;
            }
            if parser.parse_keyword(Keyword::TABLE) || parser.parse_keyword(Keyword::SETOF) {
                return Err(refused(
                    "it yields one value; for rows write a view".to_owned(),
                ));
            }
            found.returns = Some(syntax::column_type(parser)?);
            let _may_be_null = !parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]);
        } else if parser.parse_keyword(Keyword::STRICT) {
            found.is_strict = true;
        } else if parser.parse_keyword(Keyword::LANGUAGE) {
            let language = parser.parse_identifier()?.value;
            if !language.eq_ignore_ascii_case("sql") {
                return Err(refused(format!("code in {language} is not called; {FORM}")));
            }
        } else if parser.parse_keyword(Keyword::PARALLEL) {
            parser.parse_identifier()?;
        } else if parser.parse_keyword(Keyword::RETURN) {
            found.body = Some(selecting(&parser.parse_expr()?)?);
        } else if parser.parse_keyword(Keyword::AS) {
            let text = match &parser.peek_token_ref().token {
                Token::SingleQuotedString(it) => Some(it.clone()),
                Token::DollarQuotedString(it) => Some(it.value.clone()),
                _ => None,
            };
            found.body = Some(match text {
                None => selecting(&parser.parse_expr()?)?,
                Some(text) => {
                    parser.next_token();
                    of_text(&text).map_err(|it| {
                        let reason = words::parser(&it);
                        refused(format!("its body is no expression of SQL: {reason}"))
                    })?
                }
            });
        } else if !parser.parse_keyword(Keyword::IMMUTABLE)
            && !parser.parse_keyword(Keyword::STABLE)
            && !parser.parse_keyword(Keyword::VOLATILE)
            && !parser.parse_keywords(&[
                Keyword::CALLED,
                Keyword::ON,
                Keyword::NULL,
                Keyword::INPUT,
            ])
        {
            return Ok(found);
        }
    }
}

fn selecting(expr: &Expr) -> Result<Query, ParserError> {
    of_text(&expr.to_string())
}

/// A body: an expression, or a SELECT of one.
fn of_text(text: &str) -> Result<Query, ParserError> {
    let parse = |text: &str| {
        let mut parser = Parser::new(&Tidelake).try_with_sql(text)?;
        let query = parser.parse_query()?;
        while parser.consume_token(&Token::SemiColon) {}
        parser.expect_token(&Token::EOF)?;
        Ok::<Query, ParserError>(*query)
    };
    let start = text.trim_start().to_ascii_uppercase();
    let is_query = start.starts_with("SELECT") || start.starts_with("WITH");
    let query = match is_query {
        true => parse(text)?,
        false => parse(&format!("SELECT {text}"))?,
    };
    match query.body.as_ref() {
        SetExpr::Select(it) => match it.projection.as_slice() {
            [SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }] => Ok(query),
            _ => Err(ParserError::ParserError("it selects one value".to_owned())),
        },
        _ => Err(ParserError::ParserError("it is one SELECT".to_owned())),
    }
}

/// What a body reads, as it is written.
#[derive(Default)]
struct Look<'a> {
    name: &'a str,
    queries: usize,
    relations: BTreeSet<String>,
}

impl Look<'_> {
    fn reads_rows(&self) -> bool {
        1 < self.queries || !self.relations.is_empty()
    }
}

impl VisitorMut for Look<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        let name = match factor {
            TableFactor::Table {
                alias: Some(it), ..
            }
            | TableFactor::Derived {
                alias: Some(it), ..
            }
            | TableFactor::TableFunction {
                alias: Some(it), ..
            }
            | TableFactor::Function {
                alias: Some(it), ..
            }
            | TableFactor::UNNEST {
                alias: Some(it), ..
            }
            | TableFactor::NestedJoin {
                alias: Some(it), ..
            } => folded(&it.name),
            TableFactor::Table { name, .. } => {
                let last = name.0.last().and_then(|it| it.as_ident());
                last.map(folded).unwrap_or_default()
            }
            _ => String::new(),
        };
        self.relations.insert(name);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        match expr {
            Expr::Function(it) if name_of(it).is_some_and(|it| it == self.name) => {
                ControlFlow::Break("it calls itself, which would never end".to_owned())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn name_of(call: &Function) -> Option<String> {
    match call.name.0.as_slice() {
        [one] => one.as_ident().map(folded),
        _ => None,
    }
}

/// The names of all aggregates.
static AGGREGATES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let native = SessionStateDefaults::default_aggregate_functions();
    let all = native.into_iter().chain(functions::aggregates());
    all.flat_map(|it| {
        let aliases = it.aliases().iter().cloned();
        aliases.chain([it.name().to_owned()]).collect::<Vec<_>>()
    })
    .collect()
});

/// Whether a function of this name is an aggregate.
pub fn is_aggregate(name: &str) -> bool {
    AGGREGATES.contains(&name.to_lowercase())
}

/// Refuses what a body cannot have.
struct Check<'a> {
    function: &'a str,
    parameters: &'a [Parameter],
    reads_rows: bool,
}

impl VisitorMut for Check<'_> {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let place = place_of(expr, self.function, self.parameters);
        let (name, count) = (self.function, self.parameters.len());
        ControlFlow::Break(match (&*expr, place) {
            (Expr::Value(it), None) if matches!(it.value, Value::Placeholder(_)) => {
                format!("{expr} is no parameter: there are {count}")
            }
            (Expr::Identifier(it), Some(_)) if self.reads_rows => format!(
                "where it reads rows, `{it}` may be a column; write the parameter as {name}.{it}"
            ),
            (Expr::Identifier(_) | Expr::CompoundIdentifier(_), None) if !self.reads_rows => {
                format!("there is no parameter `{expr}`")
            }
            (Expr::Function(it), _) if !self.reads_rows => {
                let called = name_of(it).unwrap_or_default();
                if it.over.is_none() && !is_aggregate(&called) {
                    return ControlFlow::Continue(());
                }
                format!(
                    "{called} needs rows, and the function has one value at a time; call {called} around the function, or write SELECT … FROM"
                )
            }
            _ => return ControlFlow::Continue(()),
        })
    }
}

/// Which parameter an expression is.
fn place_of(expr: &Expr, function: &str, parameters: &[Parameter]) -> Option<usize> {
    let named = |name: &Ident| {
        let name = folded(name);
        let mut all = parameters.iter();
        all.position(|it| it.name.as_ref() == Some(&name))
    };
    match expr {
        Expr::Identifier(it) => named(it),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [of, name] if folded(of) == function => named(name),
            _ => None,
        },
        Expr::Value(it) => match &it.value {
            Value::Placeholder(it) => {
                let number: usize = it.strip_prefix('$')?.parse().ok()?;
                number.checked_sub(1).filter(|it| *it < parameters.len())
            }
            _ => None,
        },
        _ => None,
    }
}

struct Expand<'a> {
    macros: &'a Macros,
    /// Expressions that may still be made.
    left: usize,
}

impl VisitorMut for Expand<'_> {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let Expr::Function(call) = &*expr else {
            return ControlFlow::Continue(());
        };
        let macros = self.macros;
        let Some((name, it)) = name_of(call).and_then(|it| macros.0.get_key_value(&it)) else {
            return ControlFlow::Continue(());
        };
        match it.called(name, call, &mut self.left) {
            Ok(body) => {
                *expr = body;
                ControlFlow::Continue(())
            }
            Err(reason) => ControlFlow::Break(reason),
        }
    }
}

impl Macro {
    /// What a call stands for; it is taken out of what is `left`.
    fn called(&self, name: &str, call: &Function, left: &mut usize) -> Result<Expr, String> {
        let plain = || format!("{name} is a function of the dataflow, and takes plain arguments");
        let args: Vec<Expr> = match &call.args {
            FunctionArguments::List(it)
                if it.duplicate_treatment.is_none() && it.clauses.is_empty() =>
            {
                let plain_one = |it: &FunctionArg| match it {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(it.clone()),
                    _ => None,
                };
                let all: Option<Vec<Expr>> = it.args.iter().map(plain_one).collect();
                all.ok_or_else(plain)?
            }
            _ => return Err(plain()),
        };
        if call.over.is_some() || call.filter.is_some() || !call.within_group.is_empty() {
            return Err(plain());
        }
        if args.len() != self.parameters.len() {
            return Err(format!(
                "{name} takes {} arguments, and this call has {}",
                self.parameters.len(),
                args.len()
            ));
        }
        if let Some(reads) = &self.reads {
            args.iter()
                .try_for_each(|it| refuse_capture(it, name, reads))?;
        }
        let args: Vec<Expr> = args
            .into_iter()
            .zip(&self.parameters)
            .map(|(arg, parameter)| as_type(arg, parameter.data_type.as_ref()))
            .collect::<Result<_, _>>()?;
        take(left, self.expressions)?;
        let sizes = args.iter().map(|it| {
            let mut count = Count(0);
            walk::expression(&mut it.clone(), &mut count).map(|()| count.0)
        });
        let sizes: Vec<usize> = sizes.collect::<Result<_, _>>()?;
        if self.is_strict {
            take(left, sizes.iter().sum())?;
        }
        let mut body = self.body.clone();
        let mut put = Put {
            name,
            parameters: &self.parameters,
            args: &args,
            sizes: &sizes,
            left,
        };
        walk::query(&mut body, &mut put)?;
        let value = match self.reads {
            Some(_) => Expr::Subquery(Box::new(body)),
            None => the_expression(body),
        };
        let value = match self.is_strict {
            false => value,
            true => unless_null(value, &args),
        };
        as_type(value, self.returns.as_ref())
    }
}

/// NULL if one of these is.
fn unless_null(value: Expr, args: &[Expr]) -> Expr {
    let is_null = |it: &Expr| Expr::IsNull(Box::new(it.clone()));
    let any = args.iter().map(is_null).reduce(|a, b| Expr::BinaryOp {
        left: Box::new(a),
        op: BinaryOperator::Or,
        right: Box::new(b),
    });
    let Some(condition) = any else {
        return value;
    };
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition,
            result: Expr::value(Value::Null),
        }],
        else_result: Some(Box::new(value)),
    }
}

/// A value as one of the declared type. Lengths of texts are not part of a function's types, as in PostgreSQL.
fn as_type(value: Expr, data_type: Option<&SqlType>) -> Result<Expr, String> {
    let data_type = match data_type {
        // JSON is text, and takes values as they are.
        None | Some(SqlType::JSON | SqlType::JSONB) => {
            return Ok(Expr::Nested(Box::new(value)));
        }
        Some(
            SqlType::Varchar(_)
            | SqlType::CharVarying(_)
            | SqlType::CharacterVarying(_)
            | SqlType::Char(_)
            | SqlType::Character(_)
            | SqlType::String(_),
        ) => SqlType::Text,
        Some(SqlType::Timestamp(..)) => {
            // The one kind of instants that rows carry.
            let text = format!("arrow_cast({value}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
            return syntax::parse_expression(&text);
        }
        Some(other) => other.clone(),
    };
    Ok(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type,
        array: false,
        format: None,
    })
}

fn the_expression(query: Query) -> Expr {
    if let SetExpr::Select(mut select) = *query.body
        && let Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) =
            select.projection.pop()
    {
        return Expr::Nested(Box::new(expr));
    }
    unreachable!("a body is a SELECT of one expression")
}

struct Put<'a> {
    name: &'a str,
    parameters: &'a [Parameter],
    args: &'a [Expr],
    /// How many expressions each of them is made of.
    sizes: &'a [usize],
    left: &'a mut usize,
}

impl VisitorMut for Put<'_> {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Some(at) = place_of(expr, self.name, self.parameters) {
            if let Err(reason) = take(self.left, self.sizes[at]) {
                return ControlFlow::Break(reason);
            }
            *expr = self.args[at].clone();
        }
        ControlFlow::Continue(())
    }
}

/// Refuses arguments whose columns would be looked for in what the function reads.
fn refuse_capture(arg: &Expr, function: &str, reads: &BTreeSet<String>) -> Result<(), String> {
    struct Columns<'a> {
        function: &'a str,
        reads: &'a BTreeSet<String>,
        queries: usize,
    }
    impl VisitorMut for Columns<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
            self.queries += 1;
            match self.queries {
                1 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(format!(
                    "{} reads rows, and takes no sub-query as its argument; join it instead",
                    self.function
                )),
            }
        }
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
            let function = self.function;
            ControlFlow::Break(match expr {
                Expr::Identifier(it) => format!(
                    "{function} reads rows, which may have a column `{it}` too; write {function}(relation.{it})"
                ),
                Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [of, ..] if self.reads.contains(&folded(of)) => format!(
                        "{function} reads a relation named `{of}` too; give yours another name with AS"
                    ),
                    _ => return ControlFlow::Continue(()),
                },
                _ => return ControlFlow::Continue(()),
            })
        }
    }
    let mut query = syntax::parse_query(&format!("SELECT {arg}"))?;
    let mut columns = Columns {
        function,
        reads,
        queries: 0,
    };
    walk::query(&mut query, &mut columns)
}

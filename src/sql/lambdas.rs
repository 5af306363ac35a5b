//! Lambdas, in all the ways systems write them: `x -> x + 1`, `(x) -> x + 1`, `x => x + 1`, `|x| x + 1` and `lambda x : x + 1`, and the
//! functions of arrays that take them.
//!
//! `->` also takes a member out of JSON, so it makes a lambda only as an argument of a function that takes one. Parameters are renamed where
//! they are parsed: under their own names they could be taken for columns.

use super::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArguments, Ident, LambdaFunction, LambdaFunctionParameter, LambdaSyntax,
    OneOrManyWithParens, Query, Subscript, Value, VisitorMut,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use std::ops::ControlFlow;

/// What names of parameters begin with.
const PREFIX: &str = "__lambda_";

/// Parameters that a lambda has at most in any system.
const PARAMETERS_MAX: usize = 3;

/// Tokens before a `->` among which the function is looked for that it is an argument of.
const LOOKED_BACK_MAX: usize = 1_000;

/// What a function with a lambda computes.
#[derive(Clone, Copy)]
enum Meant {
    Transform,
    Filter,
    AnyMatch,
    AllMatch,
    NoneMatch,
    /// A value from step to step.
    Fold,
}

const FUNCTIONS: &[(&str, Meant)] = &[
    ("array_transform", Meant::Transform),
    ("list_transform", Meant::Transform),
    ("transform", Meant::Transform),
    ("array_filter", Meant::Filter),
    ("list_filter", Meant::Filter),
    ("filter", Meant::Filter),
    ("array_any_match", Meant::AnyMatch),
    ("list_any_match", Meant::AnyMatch),
    ("any_match", Meant::AnyMatch),
    ("array_exists", Meant::AnyMatch),
    ("array_all_match", Meant::AllMatch),
    ("all_match", Meant::AllMatch),
    ("forall", Meant::AllMatch),
    ("none_match", Meant::NoneMatch),
    ("array_reduce", Meant::Fold),
    ("list_reduce", Meant::Fold),
    ("reduce", Meant::Fold),
    ("aggregate", Meant::Fold),
];

fn meant(name: &str) -> Option<Meant> {
    let known = FUNCTIONS.iter().find(|it| it.0.eq_ignore_ascii_case(name));
    known.map(|it| it.1)
}

/// Names of these functions as they are called, and what they stand for.
pub fn names_of_others() -> Vec<(String, String)> {
    let others = FUNCTIONS.iter().filter_map(|(name, meant)| {
        let call = |function: &str| format!("{function}(a, x -> b)");
        let (ours, negated) = match meant {
            Meant::Transform => ("array_transform", false),
            Meant::Filter => ("array_filter", false),
            Meant::AnyMatch => ("array_any_match", false),
            Meant::AllMatch => {
                let each = "NOT array_any_match(a, x -> NOT b)".to_owned();
                return Some((call(name), each));
            }
            Meant::NoneMatch => ("array_any_match", true),
            Meant::Fold => {
                let ours = "array_reduce(a, b, (x, y) -> c)".to_owned();
                return match *name {
                    "array_reduce" => None,
                    "list_reduce" => Some(("list_reduce(a, (x, y) -> c, b)".to_owned(), ours)),
                    other => Some((format!("{other}(a, b, (x, y) -> c)"), ours)),
                };
            }
        };
        let stands_for = match negated {
            true => format!("NOT {}", call(ours)),
            false => call(ours),
        };
        (*name != ours).then(|| (call(name), stands_for))
    });
    others.collect()
}

/// The lambda that comes next, if one does.
///
/// # Errors
/// If its body is no expression.
pub fn parse(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let (params, tokens) = head(parser)?;
    for _ in 0..tokens {
        parser.next_token();
    }
    Some(parser.parse_expr().and_then(|body| lambda(&params, body)))
}

/// The parameters of the lambda that begins here, and of how many tokens its head is.
fn head(parser: &Parser) -> Option<(Vec<Ident>, usize)> {
    let token = |n: usize| &parser.peek_nth_token_ref(n).token;
    let names = |first: usize, close: &Token| {
        let mut names = Vec::new();
        loop {
            let at = first + 2 * names.len();
            let Token::Word(word) = token(at) else {
                return None;
            };
            let mut name = Ident::new(word.value.clone());
            name.quote_style = word.quote_style;
            names.push(name);
            match token(at + 1) {
                it if it == close => return Some((names, at + 2)),
                Token::Comma if names.len() < PARAMETERS_MAX => {}
                _ => return None,
            }
        }
    };
    match token(0) {
        Token::Pipe => names(1, &Token::Pipe),
        Token::Word(it) if it.quote_style.is_none() && it.value.eq_ignore_ascii_case("lambda") => {
            names(1, &Token::Colon)
        }
        Token::Word(_) if *token(1) == Token::Arrow && is_argument(parser) => {
            names(0, &Token::Arrow)
        }
        Token::LParen => {
            let (names, tokens) = names(1, &Token::RParen)?;
            let is_arrow = matches!(token(tokens), Token::Arrow | Token::RArrow);
            (is_arrow && is_argument(parser)).then_some((names, tokens + 1))
        }
        _ => None,
    }
}

/// Whether what comes next is an argument, but the first, of a function that takes lambdas.
fn is_argument(parser: &Parser) -> bool {
    let here = parser.index();
    let before = here.saturating_sub(LOOKED_BACK_MAX)..here;
    let mut before = before
        .rev()
        .map(|at| &parser.token_at(at).token)
        .filter(|it| !matches!(it, Token::Whitespace(_)));
    if before.next() != Some(&Token::Comma) {
        return false;
    }
    let mut depth = 0_usize;
    for token in before.by_ref() {
        match token {
            Token::RParen | Token::RBracket | Token::RBrace => depth += 1,
            Token::LParen if depth == 0 => break,
            Token::LParen | Token::LBracket | Token::LBrace => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            },
            _ => {}
        }
    }
    match before.next() {
        Some(Token::Word(it)) => meant(&it.value).is_some(),
        _ => false,
    }
}

/// A lambda with parameters of names that no column has.
fn lambda(params: &[Ident], mut body: Expr) -> Result<Expr, ParserError> {
    let renamed = params.iter().map(|it| {
        let known = syntax::known_as(it);
        let own = match known.starts_with(PREFIX) {
            true => known.clone(),
            false => format!("{PREFIX}{known}"),
        };
        let is_plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
        let own = match own.chars().all(is_plain) {
            true => Ident::new(own),
            false => Ident::with_quote('"', own.replace('"', "")),
        };
        (known, own)
    });
    let renamed: Vec<(String, Ident)> = renamed.collect();
    walk::expression(&mut body, &mut Renamed(&renamed)).map_err(ParserError::ParserError)?;
    let mut params: Vec<LambdaFunctionParameter> = renamed
        .into_iter()
        .map(|(_, name)| LambdaFunctionParameter {
            name,
            data_type: None,
        })
        .collect();
    let params = match params.len() {
        1 => OneOrManyWithParens::One(params.swap_remove(0)),
        _ => OneOrManyWithParens::Many(params),
    };
    Ok(Expr::Lambda(LambdaFunction {
        params,
        body: Box::new(body),
        syntax: LambdaSyntax::LambdaKeyword,
    }))
}

/// Renames parameters where they are read. Fields of one are taken by their names in brackets: before a dot it would be a relation.
struct Renamed<'a>(&'a [(String, Ident)]);

impl Renamed<'_> {
    fn own(&self, name: &Ident) -> Option<Ident> {
        let known = syntax::known_as(name);
        let found = self.0.iter().find(|it| it.0 == known);
        found.map(|it| it.1.clone())
    }
}

fn field(name: &Ident) -> AccessExpr {
    AccessExpr::Subscript(Subscript::Index {
        index: Expr::value(Value::SingleQuotedString(syntax::known_as(name))),
    })
}

impl VisitorMut for Renamed<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        ControlFlow::Break(
            "a lambda computes with its parameters and columns, and holds no query; join what the query gives, and use its columns".to_owned(),
        )
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        match expr {
            Expr::Identifier(name) => {
                if let Some(own) = self.own(name) {
                    *name = own;
                }
            }
            Expr::CompoundIdentifier(parts) => {
                if let [first, fields @ ..] = parts.as_slice()
                    && let Some(own) = self.own(first)
                {
                    *expr = Expr::CompoundFieldAccess {
                        root: Box::new(Expr::Identifier(own)),
                        access_chain: fields.iter().map(field).collect(),
                    };
                }
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                let is_own = match root.as_ref() {
                    Expr::Identifier(it) => self.0.iter().any(|(_, own)| own == it),
                    _ => false,
                };
                for access in access_chain.iter_mut().filter(|_| is_own) {
                    if let AccessExpr::Dot(Expr::Identifier(name)) = access {
                        *access = field(name);
                    }
                }
            }
            Expr::Array(array) if !array.elem.is_empty() => {
                match made_array(std::mem::take(&mut array.elem)) {
                    Ok(call) => *expr = call,
                    Err(reason) => return ControlFlow::Break(reason),
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `ARRAY[…]` as a call: in brackets the planner finds columns alone, and no parameters.
fn made_array(elements: Vec<Expr>) -> Result<Expr, String> {
    let mut made = syntax::parse_expression("make_array()")?;
    if let Expr::Function(call) = &mut made
        && let FunctionArguments::List(list) = &mut call.args
    {
        let elements = elements.into_iter().map(FunctionArgExpr::Expr);
        list.args = elements.map(FunctionArg::Unnamed).collect();
    }
    Ok(made)
}

/// What a function of an array and a lambda stands for.
///
/// # Errors
/// If it is one that is not computed: it says what to write.
pub fn rewritten(name: &str, call: &Function) -> Result<Option<String>, String> {
    let (Some(meant), FunctionArguments::List(list)) = (meant(name), &call.args) else {
        return Ok(None);
    };
    let argument = |it: &FunctionArg| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Ok(Some(it.clone())),
        FunctionArg::Named {
            name,
            arg: FunctionArgExpr::Expr(body),
            operator: FunctionArgOperator::RightArrow,
        } => syntax::parse_expression(&format!("lambda {name} : {body}")).map(Some),
        _ => Ok(None),
    };
    let args: Result<Vec<Option<Expr>>, String> = list.args.iter().map(argument).collect();
    let Some(args) = args?.into_iter().collect::<Option<Vec<Expr>>>() else {
        return Ok(None);
    };
    let is_lambda = |it: &Expr| matches!(it, Expr::Lambda(_));
    if !args.iter().any(is_lambda) {
        return Ok(None);
    }
    let (array, lambda) = match (meant, args.as_slice()) {
        // DuckDB has the initial value last.
        (Meant::Fold, [array, initial, step @ Expr::Lambda(lambda)])
        | (Meant::Fold, [array, step @ Expr::Lambda(lambda), initial])
            if lambda.params.len() == 2 && (name == "list_reduce") == is_lambda(&args[1]) =>
        {
            let text = format!("array_reduce({array}, {initial}, {step})");
            return Ok((text != call.to_string()).then_some(text));
        }
        (Meant::Fold, _) => {
            return Err(format!(
                "{name} takes an array, an initial value and a lambda of two parameters: {name}(array, 0, (state, x) -> state + x)"
            ));
        }
        (_, [array, Expr::Lambda(lambda)]) if lambda.params.len() == 1 => (array, lambda),
        _ => {
            return Err(format!(
                "{name} takes an array and a lambda of one parameter: {name}(array, x -> x > 0)"
            ));
        }
    };
    let condition = &lambda.body;
    let parameter = &lambda.params[0];
    Ok(match meant {
        Meant::Transform | Meant::Filter | Meant::AnyMatch => {
            let function = match meant {
                Meant::Transform => "array_transform",
                Meant::Filter => "array_filter",
                _ => "array_any_match",
            };
            let text = format!("{function}({array}, lambda {parameter} : {condition})");
            (text != call.to_string()).then_some(text)
        }
        Meant::AllMatch => Some(format!(
            "(NOT array_any_match({array}, lambda {parameter} : NOT ({condition})))"
        )),
        Meant::NoneMatch => Some(format!(
            "(NOT array_any_match({array}, lambda {parameter} : {condition}))"
        )),
        Meant::Fold => None,
    })
}

#[cfg(test)]
mod tests {
    use super::syntax::parse_expression;

    fn parsed(text: &str) -> String {
        let once = parse_expression(text).unwrap().to_string();
        assert_eq!(parse_expression(&once).unwrap().to_string(), once, "{text}");
        once
    }

    #[test]
    fn lambdas_are_parsed_in_all_ways_of_writing_them() {
        for (text, expected) in [
            (
                "transform(a, x -> x + 1)",
                "transform(a, lambda __lambda_x : __lambda_x + 1)",
            ),
            (
                "transform(a, (X) -> x > b AND x.f > 0)",
                "transform(a, lambda __lambda_x : __lambda_x > b AND __lambda_x['f'] > 0)",
            ),
            (
                "array_filter(a, |x| x.f[1].g > 0)",
                "array_filter(a, lambda __lambda_x : __lambda_x['f'][1]['g'] > 0)",
            ),
            (
                "transform(a, x -> filter(x, x -> x <> 2))",
                "transform(a, lambda __lambda_x : filter(__lambda_x, lambda __lambda_x : __lambda_x <> 2))",
            ),
            (
                "reduce(a, 0, (s, x) => s + x)",
                "reduce(a, 0, lambda __lambda_s, __lambda_x : __lambda_s + __lambda_x)",
            ),
            // A member of JSON.
            ("coalesce(a, js -> 'b')", "coalesce(a, js -> 'b')"),
            (
                "transform(coalesce(a, js -> 'b'), x -> x -> 'c')",
                "transform(coalesce(a, js -> 'b'), lambda __lambda_x : __lambda_x -> 'c')",
            ),
            // Columns of these names.
            ("lambda + 1", "lambda + 1"),
            ("js -> 'b'", "js -> 'b'"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn a_lambda_holds_no_query() {
        let refused = parse_expression("filter(a, x -> x IN (SELECT b FROM t))").unwrap_err();
        assert!(refused.contains("holds no query"), "{refused}");
    }

    #[tokio::test]
    async fn views_with_lambdas_are_planned() {
        let text = "CREATE SOURCE s (id BIGINT, a BIGINT[], js JSON) WITH (connector = 'files', path = 'x') FORMAT JSON;
            CREATE MATERIALIZED VIEW v AS
              SELECT id, transform(a, x -> x + id) AS moved, reduce(a, 0, (n, x) -> n + x) AS sum, js -> 'k' AS k
              FROM s WHERE any_match(a, x -> x > id);
            CREATE MATERIALIZED VIEW w AS
              SELECT id, filter(array_agg(k), k => k IS NOT NULL) AS given FROM v GROUP BY id;";
        let planned = crate::sql::plan_text("t", text, |_| None).await;
        assert_eq!(planned.err().map(|it| it.to_string()), None);
    }
}

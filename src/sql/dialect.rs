//! The dialect of dataflows and queries: that of Postgres, and what others write that means nothing else there.

use super::elsewhere::is_word;
use super::{lambdas, syntax};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use std::any::TypeId;

/// The one dialect that everything is parsed in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tidelake;

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

/// What is answered as Postgres answers it.
macro_rules! as_postgres {
    ($($name:ident),* $(,)?) => {
        $(fn $name(&self) -> bool {
            POSTGRES.$name()
        })*
    };
}

impl Dialect for Tidelake {
    /// The parser asks for it in places, where a dialect has no word of its own.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }
    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        POSTGRES.identifier_quote_style(identifier)
    }
    /// Names stand in double quotes, or in backquotes as in Flink and MySQL.
    fn is_delimited_identifier_start(&self, it: char) -> bool {
        it == '`' || POSTGRES.is_delimited_identifier_start(it)
    }
    fn is_identifier_start(&self, it: char) -> bool {
        POSTGRES.is_identifier_start(it)
    }
    fn is_identifier_part(&self, it: char) -> bool {
        POSTGRES.is_identifier_part(it)
    }
    fn is_custom_operator_part(&self, it: char) -> bool {
        it != '`' && POSTGRES.is_custom_operator_part(it)
    }
    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        POSTGRES.is_reserved_for_identifier(keyword)
    }
    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        POSTGRES.get_next_precedence(parser)
    }
    fn prec_value(&self, precedence: Precedence) -> u8 {
        POSTGRES.prec_value(precedence)
    }
    /// Lambdas, which the parser's own way would find in each `js -> 'member'`.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        lambdas::parse(parser)
    }
    /// `a IS JSON`, `a BETWEEN SYMMETRIC b AND c`, and `a IS NOT DISTINCT FROM b AND c`: the parser would take all that follows for the second value.
    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if let Some(between) = between(parser, expr, self.prec_value(Precedence::Between)) {
            return Some(between);
        }
        if let Some(is_json) = is_json(parser, expr) {
            return Some(Ok(is_json));
        }
        const DISTINCT: [Keyword; 3] = [Keyword::IS, Keyword::DISTINCT, Keyword::FROM];
        const NOT_DISTINCT: [Keyword; 4] =
            [Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM];
        let make = match parser.parse_keywords(&DISTINCT) {
            true => Expr::IsDistinctFrom,
            false if parser.parse_keywords(&NOT_DISTINCT) => Expr::IsNotDistinctFrom,
            false => return None,
        };
        let other = parser.parse_subexpr(self.prec_value(Precedence::Is));
        Some(other.map(|it| make(Box::new(expr.clone()), Box::new(it))))
    }
    as_postgres!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
    );

    /// Names of arguments are identifiers. Where they may be expressions, the parser reads each argument twice, and functions within each other
    /// double that: 24 of them took minutes.
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }
    /// `last_value(a IGNORE NULLS) OVER (…)`
    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }
    /// `SELECT * EXCEPT (a, b)`
    fn supports_select_wildcard_except(&self) -> bool {
        true
    }
    /// `FOR SYSTEM_TIME AS OF time`
    fn supports_table_versioning(&self) -> bool {
        true
    }
    /// `GROUP BY a, b WITH ROLLUP`
    fn supports_group_by_with_modifier(&self) -> bool {
        true
    }
    /// `SELECT * EXCLUDE (a, b)`
    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }
    /// `SELECT * REPLACE (a + 1 AS a)`
    fn supports_select_wildcard_replace(&self) -> bool {
        true
    }
    /// `SELECT * RENAME (a AS b)`
    fn supports_select_wildcard_rename(&self) -> bool {
        true
    }
    /// `FROM t SELECT a`, and `FROM t`
    fn supports_from_first_select(&self) -> bool {
        true
    }
    /// `ORDER BY ALL`
    fn supports_order_by_all(&self) -> bool {
        true
    }
    /// `/*+ … */` is a comment: how something is computed is not for the query to say.
    fn supports_comment_optimizer_hint(&self) -> bool {
        false
    }
}

/// `IS JSON`, `IS JSON OBJECT` and their like, with or without NOT.
fn is_json(parser: &mut Parser, expr: &Expr) -> Option<Expr> {
    let word = |n: usize, wanted: &str| is_word(&parser.peek_nth_token_ref(n).token, wanted);
    let negated = word(1, "NOT");
    let behind = 1 + usize::from(negated);
    if !word(0, "IS") || !word(behind, "JSON") {
        return None;
    }
    let kinds = ["value", "scalar", "array", "object"];
    let kind = kinds.into_iter().find(|it| word(behind + 1, it));
    for _ in 0..=behind + usize::from(kind.is_some()) {
        parser.next_token();
    }
    let mut args = vec![expr.clone()];
    if let Some(kind) = kind.filter(|it| *it != "value") {
        args.push(Expr::value(Value::SingleQuotedString(kind.to_owned())));
    }
    let is_json = syntax::call("is_json", args);
    Some(match negated {
        false => is_json,
        true => Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(is_json),
        },
    })
}

/// `BETWEEN SYMMETRIC`, whose bounds are in either order, and `BETWEEN ASYMMETRIC`, which is what it is without the word.
fn between(parser: &mut Parser, expr: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
    let negated = is_word(&parser.peek_nth_token(0).token, "NOT");
    let word = |n: usize, wanted: &str| {
        let token = parser.peek_nth_token(n + usize::from(negated)).token;
        is_word(&token, wanted)
    };
    let symmetric = word(1, "SYMMETRIC");
    if !word(0, "BETWEEN") || !(symmetric || word(1, "ASYMMETRIC")) {
        return None;
    }
    for _ in 0..2 + usize::from(negated) {
        parser.next_token();
    }
    let bounds = parser.parse_subexpr(precedence).and_then(|low| {
        parser.expect_keyword(Keyword::AND)?;
        Ok((low, parser.parse_subexpr(precedence)?))
    });
    let between = |negated: bool, low: Expr, high: Expr| Expr::Between {
        expr: Box::new(expr.clone()),
        negated,
        low: Box::new(low),
        high: Box::new(high),
    };
    Some(bounds.map(|(low, high)| {
        if !symmetric {
            return between(negated, low, high);
        }
        let either = Expr::Nested(Box::new(Expr::BinaryOp {
            left: Box::new(between(false, low.clone(), high.clone())),
            op: BinaryOperator::Or,
            right: Box::new(between(false, high, low)),
        }));
        match negated {
            false => either,
            true => Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: Box::new(either),
            },
        }
    }))
}

//! Values of several types that stand beside each other: in comparisons, CASE, `coalesce`, UNION and the like.
//!
//! DataFusion makes a DOUBLE beside a DECIMAL a `DECIMAL(30, 15)`, in which `1e-20` is zero and `1e20` has no place. Here the
//! DECIMAL becomes a DOUBLE, as in PostgreSQL, DuckDB and Spark; a literal such as `0.1` stays the decimal number that is written, as it is there.
//! DataFusion also compares a text with a number by reading the text as one, which fails for each row whose text is none. Unless one of
//! them is a literal, that is refused, as in PostgreSQL. So is the length of a list, which would be that of its text.
//!
//! The types of an expression are known when those of its parts are settled, so this rule settles them in the same walk, by DataFusion's
//! own rule.

mod inside;

use crate::plan::sql_name;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeRewriter};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{InList, InSubquery, SetComparison};
use datafusion::logical_expr::expr_rewriter::{NamePreserver, coerce_plan_expr_for_schema};
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Between, BinaryExpr, Case, Expr, ExprSchemable, Join, LogicalPlan, Operator, Projection, Union,
    cast, lit,
};
use datafusion::optimizer::analyzer::type_coercion::{TypeCoercion, TypeCoercionRewriter};
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use std::sync::Arc;

type Rule = Arc<dyn AnalyzerRule + Send + Sync>;

/// Functions whose arguments, or some of them, become values of one type.
const ALIKE: [&str; 7] = [
    "coalesce",
    "greatest",
    "least",
    "make_array",
    "nullif",
    "nvl",
    "nvl2",
];

/// Digits that a DECIMAL has beside a literal, before and behind the point, as DataFusion has it.
const LITERAL_DIGITS: usize = 15;

/// DataFusion's rules with this one.
pub fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for it in Analyzer::new().rules {
        if it.name() == TypeCoercion::new().name() {
            rules.push(Arc::new(SideBySide));
        }
        rules.push(it);
    }
    rules
}

#[derive(Debug)]
struct SideBySide;

impl AnalyzerRule for SideBySide {
    fn name(&self) -> &str {
        "side_by_side"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(settled).map(|it| it.data)
    }
}

/// Refuses comparisons of texts with numbers, as the rule does, by the names that are written: what sub-queries become has others.
///
/// # Errors
/// If there is one.
pub fn refuse_incomparable(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|it| {
                refuse(it, &schema)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map(|_| ())
}

fn settled(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let plan = match plan {
        // What it filters by was settled before it was moved there.
        LogicalPlan::TableScan(_) => return Ok(Transformed::no(plan)),
        LogicalPlan::Union(it) => LogicalPlan::Union(of_union(it)?),
        LogicalPlan::Join(it) => LogicalPlan::Join(of_join(it)?),
        other => other,
    };
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let mut settling = Settling {
        schema: &schema,
        theirs: TypeCoercionRewriter::new(&schema),
    };
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let settled = expr.rewrite(&mut settling)?;
        Ok(settled.update_data(|it| name.restore(it)))
    })?
    .map_data(|plan| settling.theirs.coerce_plan(plan))?
    .map_data(LogicalPlan::recompute_schema)
}

struct Settling<'a> {
    schema: &'a DFSchema,
    theirs: TypeCoercionRewriter<'a>,
}

impl TreeNodeRewriter for Settling<'_> {
    type Node = Expr;

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let expr = self.beside(expr)?;
        self.theirs.f_up(expr)
    }
}

impl Settling<'_> {
    fn beside(&self, expr: Expr) -> Result<Expr> {
        refuse(&expr, self.schema)?;
        Ok(match expr {
            Expr::BinaryExpr(it) if is_comparison(it.op) => {
                let [left, right] = self
                    .compared(vec![*it.left, *it.right])
                    .try_into()
                    .expect("as many as before");
                Expr::BinaryExpr(BinaryExpr::new(Box::new(left), it.op, Box::new(right)))
            }
            Expr::Between(it) => {
                let [expr, low, high] = self
                    .compared(vec![*it.expr, *it.low, *it.high])
                    .try_into()
                    .expect("as many as before");
                Expr::Between(Between::new(
                    Box::new(expr),
                    it.negated,
                    Box::new(low),
                    Box::new(high),
                ))
            }
            Expr::InList(it) => {
                let mut all = vec![*it.expr];
                all.extend(it.list);
                let mut all = self.compared(all).into_iter();
                let expr = all.next().expect("as many as before");
                Expr::InList(InList::new(Box::new(expr), all.collect(), it.negated))
            }
            Expr::InSubquery(mut it) => {
                let (expr, plan) = self.with_rows(*it.expr, it.subquery.subquery)?;
                it.subquery.subquery = plan;
                Expr::InSubquery(InSubquery::new(Box::new(expr), it.subquery, it.negated))
            }
            Expr::SetComparison(mut it) => {
                let (expr, plan) = self.with_rows(*it.expr, it.subquery.subquery)?;
                it.subquery.subquery = plan;
                let expr = Box::new(expr);
                Expr::SetComparison(SetComparison::new(expr, it.subquery, it.op, it.quantifier))
            }
            Expr::Case(it) => Expr::Case(self.of_case(it)),
            Expr::ScalarFunction(mut it) if ALIKE.contains(&it.func.name()) => {
                it.args = self.alike(it.args);
                Expr::ScalarFunction(it)
            }
            Expr::WindowFunction(mut it)
                if ["lag", "lead"].contains(&it.fun.name()) && it.params.args.len() == 3 =>
            {
                it.params.args = self.of_shift(it.params.args)?;
                Expr::WindowFunction(it)
            }
            other => other,
        })
    }

    /// The results of a CASE, and what it compares.
    fn of_case(&self, case: Case) -> Case {
        let parts = case.when_then_expr.into_iter();
        let (whens, thens): (Vec<Expr>, Vec<Expr>) = parts.map(|it| (*it.0, *it.1)).unzip();
        let has_else = case.else_expr.is_some();
        let results = thens.into_iter().chain(case.else_expr.map(|it| *it));
        let mut results = self.alike(results.collect());
        let else_expr = match has_else {
            true => results.pop().map(Box::new),
            false => None,
        };
        let (expr, whens) = match case.expr {
            None => (None, whens),
            Some(of) => {
                let compared = std::iter::once(*of).chain(whens);
                let mut compared = self.compared(compared.collect()).into_iter();
                (compared.next().map(Box::new), compared.collect())
            }
        };
        let parts = whens.into_iter().zip(results);
        let parts = parts.map(|(when, then)| (Box::new(when), Box::new(then)));
        Case::new(expr, parts.collect(), else_expr)
    }

    /// An expression and rows of one column that it is compared with.
    fn with_rows(&self, expr: Expr, rows: Arc<LogicalPlan>) -> Result<(Expr, Arc<LogicalPlan>)> {
        let of_rows = rows.schema().field(0).data_type().clone();
        let Ok(data_type) = expr.get_type(self.schema) else {
            return Ok((expr, rows));
        };
        if !meet(&data_type, &of_rows) {
            return Ok((expr, rows));
        }
        if data_type.is_decimal() {
            return Ok((cast(expr, DataType::Float64), rows));
        }
        if let Some(decimal) = as_written(&expr)
            && have_room(&[decimal.get_type(self.schema)?, of_rows])
        {
            return Ok((decimal, rows));
        }
        let rows = with_doubles(Arc::unwrap_or_clone(rows), &[true])?;
        Ok((expr, Arc::new(rows)))
    }

    /// The same values, of which none is a DECIMAL beside a DOUBLE; one of them becomes the result.
    fn alike(&self, values: Vec<Expr>) -> Vec<Expr> {
        self.of_one_kind(values, exact)
    }

    /// The same as for a result, for values that are compared with each other: a literal has no more digits than are written.
    fn compared(&self, values: Vec<Expr>) -> Vec<Expr> {
        self.of_one_kind(values, as_written)
    }

    fn of_one_kind(&self, values: Vec<Expr>, decimal: fn(&Expr) -> Option<Expr>) -> Vec<Expr> {
        let types = |of: &[Expr]| -> Result<Vec<DataType>> {
            of.iter().map(|it| it.get_type(self.schema)).collect()
        };
        // Whatever has no type is refused further on.
        let Ok(of_values) = types(&values) else {
            return values;
        };
        if let Some(settled) = inside::settled(&of_values) {
            let values = values.into_iter().zip(of_values).zip(settled);
            return values
                .map(|((it, before), data_type)| match before == data_type {
                    true => it,
                    false => cast(it, data_type),
                })
                .collect();
        }
        let has = |of: fn(&DataType) -> bool| of_values.iter().any(of);
        if !has(DataType::is_decimal) || !has(DataType::is_floating) {
            return values;
        }
        let exact = values.iter().zip(&of_values);
        let exact = exact.map(|(it, data_type)| match data_type.is_floating() {
            true => decimal(it),
            false => Some(it.clone()),
        });
        if let Some(exact) = exact.collect::<Option<Vec<Expr>>>()
            && types(&exact).is_ok_and(|it| have_room(&it))
        {
            return exact;
        }
        let values = values.into_iter().zip(&of_values);
        values
            .map(|(it, data_type)| match data_type.is_decimal() {
                true => cast(it, DataType::Float64),
                false => it,
            })
            .collect()
    }

    /// The arguments of `lag` and `lead`: DataFusion makes the default a value of the type of the others, and an INT of 0.5 is 0. Where it would be
    /// another number, all are of the type that `coalesce` would give them.
    fn of_shift(&self, args: Vec<Expr>) -> Result<Vec<Expr>> {
        let (Ok(of_value), Some(default)) = (args[0].get_type(self.schema), number(&args[2])?)
        else {
            return Ok(args);
        };
        let is_same = |it: ScalarValue| it.cast_to(&default.data_type());
        let kept = default.cast_to(&of_value).and_then(is_same);
        if !of_value.is_numeric() || kept.is_ok_and(|it| it == default) {
            return Ok(args);
        }
        let mut args = args.into_iter();
        let (value, offset) = (args.next(), args.next());
        let both = value.into_iter().chain([lit(default)]).collect();
        let [value, default]: [Expr; 2] = self.alike(both).try_into().expect("as many as before");
        let types = [value.get_type(self.schema)?, default.get_type(self.schema)?];
        let Some(common) = type_union_coercion(&types[0], &types[1]) else {
            return plan_err!("{value} and {default} have no type in common");
        };
        let default = match number(&default)? {
            Some(it) => lit(it.cast_to(&common)?),
            None => default,
        };
        let value = match types[0] == common {
            true => value,
            false => cast(value, common),
        };
        Ok(std::iter::once(value)
            .chain(offset)
            .chain([default])
            .collect())
    }
}

/// The number that is written, if it is one.
fn number(expr: &Expr) -> Result<Option<ScalarValue>> {
    Ok(match expr {
        Expr::Literal(it, _) if it.data_type().is_numeric() && !it.is_null() => Some(it.clone()),
        Expr::Negative(it) => match number(it)? {
            Some(it) => Some(it.arithmetic_negate()?),
            None => None,
        },
        Expr::Cast(it) => match number(&it.expr)? {
            Some(number) => Some(number.cast_to(it.field.data_type())?),
            None => None,
        },
        _ => None,
    })
}

fn is_comparison(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Whether a DECIMAL meets a DOUBLE.
fn meet(left: &DataType, right: &DataType) -> bool {
    left.is_decimal() && right.is_floating() || left.is_floating() && right.is_decimal()
}

/// Whether all DECIMALs among these have room in one type.
fn have_room(types: &[DataType]) -> bool {
    let (mut before_point, mut behind_point) = (0, 0);
    for it in types {
        if let DataType::Decimal128(precision, scale) = it {
            before_point = before_point.max(i16::from(*precision) - i16::from(*scale));
            behind_point = behind_point.max(i16::from(*scale));
        }
    }
    before_point + behind_point <= i16::from(DECIMAL128_MAX_PRECISION)
}

/// A literal of a floating-point number as the decimal one that is written, with the digits that a DECIMAL has beside a literal; nothing for other
/// expressions, and for numbers with more digits.
fn exact(expr: &Expr) -> Option<Expr> {
    let (sign, whole, fraction) = digits_of(expr)?;
    if LITERAL_DIGITS < whole.len() || LITERAL_DIGITS < fraction.len() {
        return None;
    }
    let number: i128 = format!("{sign}{whole}{fraction:0<LITERAL_DIGITS$}")
        .parse()
        .ok()?;
    let (precision, scale) = (2 * LITERAL_DIGITS as u8, LITERAL_DIGITS as i8);
    Some(lit(ScalarValue::Decimal128(Some(number), precision, scale)))
}

/// The same with no more digits than are written.
fn as_written(expr: &Expr) -> Option<Expr> {
    let (sign, whole, fraction) = digits_of(expr)?;
    let digits = whole.trim_start_matches('0').len() + fraction.len();
    let precision = u8::try_from(digits.max(1)).ok()?;
    if DECIMAL128_MAX_PRECISION < precision {
        return None;
    }
    let scale = i8::try_from(fraction.len()).ok()?;
    let number = format!("{sign}{whole}{fraction}").parse().ok()?;
    Some(lit(ScalarValue::Decimal128(Some(number), precision, scale)))
}

/// The sign of a literal of a floating-point number, and its digits before and behind the point, as few as are read as this number.
fn digits_of(expr: &Expr) -> Option<(&'static str, String, String)> {
    let (is_negated, literal) = match expr {
        Expr::Negative(of) => (true, &**of),
        other => (false, other),
    };
    let Expr::Literal(ScalarValue::Float64(Some(value)), _) = literal else {
        return None;
    };
    if !value.is_finite() {
        return None;
    }
    // Never with an exponent.
    let text = value.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let sign = match is_negated != value.is_sign_negative() {
        true => "-",
        false => "",
    };
    Some((sign, whole.to_owned(), fraction.to_owned()))
}

/// Refuses an expression that compares a text with a number that is not written, or that counts the characters of a list.
fn refuse(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let pair = |left: &Expr, right: &Expr| {
        let is_literal = |it: &Expr| matches!(it, Expr::Literal(..));
        if is_literal(left) || is_literal(right) {
            return Ok(());
        }
        match (left.get_type(schema), right.get_type(schema)) {
            (Ok(of_left), Ok(of_right)) => comparable(left, &of_left, right, &of_right),
            // Whatever has no type is refused further on.
            (Err(_), _) | (_, Err(_)) => Ok(()),
        }
    };
    let with_rows = |value: &Expr, rows: &LogicalPlan| match value.get_type(schema) {
        Ok(of_value) if !matches!(value, Expr::Literal(..)) => {
            let of_rows = rows.schema().field(0).data_type();
            comparable(value, &of_value, &column_of(rows), of_rows)
        }
        Ok(_) | Err(_) => Ok(()),
    };
    match expr {
        Expr::BinaryExpr(it) if is_comparison(it.op) => pair(&it.left, &it.right),
        Expr::Between(it) => {
            pair(&it.expr, &it.low)?;
            pair(&it.expr, &it.high)
        }
        Expr::InList(it) => it.list.iter().try_for_each(|of| pair(&it.expr, of)),
        Expr::InSubquery(it) => with_rows(&it.expr, &it.subquery.subquery),
        Expr::SetComparison(it) => with_rows(&it.expr, &it.subquery.subquery),
        Expr::ScalarFunction(it) if it.func.name() == "character_length" => {
            match it.args.first().map(|it| (it, it.get_type(schema))) {
                Some((list, Ok(DataType::List(_)))) => plan_err!(
                    "the length of a list is not that of its text; write cardinality({0}), or length(CAST({0} AS TEXT))",
                    written(list)
                ),
                Some((_, Ok(_) | Err(_))) | None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The one column of rows, as it is written.
fn column_of(rows: &LogicalPlan) -> Expr {
    match rows {
        LogicalPlan::Projection(it) if it.expr.len() == 1 => {
            match (it.expr[0].clone().unalias(), it.input.as_ref()) {
                (Expr::Column(_), input @ LogicalPlan::SubqueryAlias(_)) => column_of(input),
                (expr, _) => expr,
            }
        }
        LogicalPlan::SubqueryAlias(it) if it.schema.fields().len() == 1 => column_of(&it.input),
        LogicalPlan::Limit(it) => column_of(&it.input),
        LogicalPlan::Sort(it) => column_of(&it.input),
        other => Expr::Column(other.schema().columns().remove(0)),
    }
}

/// Refuses to compare a text with a number.
fn comparable(left: &Expr, of_left: &DataType, right: &Expr, of_right: &DataType) -> Result<()> {
    let (text, number, of_number) = match (of_left.is_string(), of_right.is_string()) {
        (true, false) if of_right.is_numeric() => (left, right, of_right),
        (false, true) if of_left.is_numeric() => (right, left, of_left),
        _ => return Ok(()),
    };
    let (text, number) = (written(text), written(number));
    let kind = sql_name(of_number);
    plan_err!(
        "`{text}` is TEXT and `{number}` is {kind}, and they have no comparison; write CAST({number} AS TEXT), or CAST({text} AS {kind}) where every text is a number"
    )
}

fn written(expr: &Expr) -> String {
    match expr {
        Expr::OuterReferenceColumn(_, column) => column.flat_name(),
        Expr::ScalarSubquery(it) => written(&column_of(&it.subquery)),
        other => other.to_string(),
    }
}

/// The keys of a join by columns of both sides.
fn of_join(mut join: Join) -> Result<Join> {
    let mut on = Vec::new();
    for (left, right) in join.on {
        let of_left = left.get_type(join.left.schema())?;
        let of_right = right.get_type(join.right.schema())?;
        comparable(&left, &of_left, &right, &of_right)?;
        on.push(match meet(&of_left, &of_right) {
            false => (left, right),
            true if of_left.is_decimal() => (cast(left, DataType::Float64), right),
            true => (left, cast(right, DataType::Float64)),
        });
    }
    join.on = on;
    Ok(join)
}

/// The rows of a union, of which no column is a DECIMAL here and a DOUBLE there.
fn of_union(union: Union) -> Result<Union> {
    let columns = union.schema.fields().len();
    let is_mixed = |at: usize| {
        let types = union.inputs.iter().map(|it| type_of(it, at));
        let types: Vec<&DataType> = types.collect();
        types.iter().any(|it| it.is_decimal()) && types.iter().any(|it| it.is_floating())
    };
    if union
        .inputs
        .iter()
        .any(|it| it.schema().fields().len() != columns)
        || !(0..columns).any(is_mixed)
    {
        return Ok(union);
    }
    let inputs: Vec<LogicalPlan> = union
        .inputs
        .iter()
        .map(|it| with_exact_literals(it.as_ref().clone(), is_mixed))
        .collect::<Result<_>>()?;
    let has_doubles: Vec<bool> = (0..columns)
        .map(|at| is_mixed(at) && inputs.iter().any(|it| type_of(it, at).is_floating()))
        .collect();
    let inputs = inputs
        .into_iter()
        .map(|it| with_doubles(it, &has_doubles).map(Arc::new));
    // With the types that the inputs have now.
    Union::try_new_with_loose_types(inputs.collect::<Result<_>>()?)
}

fn type_of(rows: &LogicalPlan, column: usize) -> &DataType {
    rows.schema().field(column).data_type()
}

/// The same rows with the decimal numbers that are written as literals in some columns.
fn with_exact_literals(
    plan: LogicalPlan,
    of_column: impl Fn(usize) -> bool,
) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(it) = plan else {
        return Ok(plan);
    };
    let exprs = it.expr.into_iter().enumerate().map(|(at, expr)| {
        match exact(&expr.clone().unalias()).filter(|_| of_column(at)) {
            Some(exact) => {
                let (relation, name) = expr.qualified_name();
                exact.alias_qualified(relation, name)
            }
            None => expr,
        }
    });
    let exprs: Vec<Expr> = exprs.collect();
    Projection::try_new(exprs, it.input).map(LogicalPlan::Projection)
}

/// The same rows with a DOUBLE for a DECIMAL in these columns.
fn with_doubles(plan: LogicalPlan, columns: &[bool]) -> Result<LogicalPlan> {
    let schema = plan.schema();
    let fields = schema.iter().zip(columns);
    let fields = fields.map(|((relation, field), becomes_double)| {
        let field = match *becomes_double && field.data_type().is_decimal() {
            true => Arc::new(field.as_ref().clone().with_data_type(DataType::Float64)),
            false => Arc::clone(field),
        };
        (relation.cloned(), field)
    });
    let wanted = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?;
    coerce_plan_expr_for_schema(plan, &wanted)
}

#[cfg(test)]
mod tests {
    use super::rules;
    use crate::sql::{Error, plan_text, words};
    use arrow::util::display::array_value_to_string;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    /// The one value of a query over `d`, a DECIMAL of 0.30, `tiny`, a DOUBLE of 1e-20, and `big`, one of 1e20.
    fn value(of: &str) -> Result<String, String> {
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_analyzer_rules(rules())
            .build();
        let context = SessionContext::new_with_state(state);
        let query = format!(
            "WITH s AS (SELECT CAST('0.30' AS DECIMAL(10, 2)) AS d, CAST('1e-20' AS DOUBLE) AS tiny, CAST('1e20' AS DOUBLE) AS big, 12 AS n, 'x' AS t) {of}"
        );
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let rows = runtime.block_on(async { context.sql(&query).await?.collect().await });
        let rows = rows.map_err(|it| words::planner(&it))?;
        let rows = rows.iter().filter(|it| 0 < it.num_rows());
        let values: Vec<String> = rows
            .flat_map(|it| (0..it.num_rows()).map(|row| array_value_to_string(it.column(0), row)))
            .collect::<Result<_, _>>()
            .unwrap();
        Ok(values.join(", "))
    }

    #[test]
    fn a_decimal_beside_a_double_is_a_double() {
        for (query, expected) in [
            (
                "SELECT CASE WHEN n < 0 THEN d ELSE tiny END FROM s",
                "1e-20",
            ),
            ("SELECT CASE WHEN n < 0 THEN tiny ELSE d END FROM s", "0.3"),
            ("SELECT coalesce(nullif(d, 0.3), tiny) FROM s", "1e-20"),
            ("SELECT coalesce(nullif(d, 0.3), 1, tiny) FROM s", "1.0"),
            ("SELECT greatest(d, big) FROM s", "1e20"),
            ("SELECT least(tiny, d) FROM s", "1e-20"),
            (
                "SELECT tiny FROM s UNION ALL SELECT d FROM s ORDER BY 1",
                "1e-20, 0.3",
            ),
            (
                "SELECT d FROM s UNION ALL SELECT tiny FROM s ORDER BY 1",
                "1e-20, 0.3",
            ),
            (
                "SELECT d FROM s UNION ALL SELECT 1 UNION ALL SELECT tiny FROM s ORDER BY 1",
                "1e-20, 0.3, 1.0",
            ),
            ("SELECT CAST(0 AS DECIMAL(10, 2)) < tiny FROM s", "true"),
            ("SELECT d < big FROM s", "true"),
            ("SELECT tiny BETWEEN d - d AND d FROM s", "true"),
            ("SELECT d - d BETWEEN tiny AND big FROM s", "false"),
            ("SELECT d - d IN (tiny, big) FROM s", "false"),
            ("SELECT tiny IN (d - d, d) FROM s", "false"),
            (
                "SELECT count(*) FROM s WHERE tiny IN (SELECT d - d FROM s)",
                "0",
            ),
            (
                "SELECT count(*) FROM s WHERE d - d IN (SELECT tiny FROM s)",
                "0",
            ),
            (
                "SELECT count(*) FROM s WHERE d - d = ANY (SELECT tiny FROM s)",
                "0",
            ),
            (
                "SELECT count(*) FROM s JOIN (SELECT d - d AS tiny FROM s) r USING (tiny)",
                "0",
            ),
            ("SELECT CASE d - d WHEN tiny THEN 1 ELSE 2 END FROM s", "2"),
            // Within lists and structs, too.
            ("SELECT [[d], [tiny]] FROM s", "[[0.3], [1e-20]]"),
            (
                "SELECT CASE WHEN n > 0 THEN [struct(d, n)] ELSE [struct(big, n)] END FROM s",
                "[{c0: 0.3, c1: 12}]",
            ),
            ("SELECT coalesce(NULL, [tiny], [d]) FROM s", "[1e-20]"),
            // A default is the number that is written.
            ("SELECT lag(n, 1, 0.5) OVER () FROM s", "0.5"),
            ("SELECT lag(n, 1, -2) OVER () FROM s", "-2"),
            ("SELECT lag(d, 1, 0.5) OVER () FROM s", "0.50"),
            (
                "SELECT lead(d, 1, -0.125) OVER () FROM s",
                "-0.125000000000000",
            ),
            ("SELECT lag(d, 1, 1e-20) OVER () FROM s", "1e-20"),
            ("SELECT lag(d, 1, NULL) OVER () IS NULL FROM s", "true"),
            // What stands around it takes the type that it has then.
            (
                "SELECT (CASE WHEN n < 0 THEN n ELSE tiny END) = d - d FROM s",
                "false",
            ),
        ] {
            assert_eq!(value(query).as_deref(), Ok(expected), "{query}");
        }
    }

    #[test]
    fn a_literal_beside_a_decimal_is_the_number_that_is_written() {
        for (query, expected) in [
            ("SELECT d = 0.3 FROM s", "true"),
            ("SELECT d IN (0.1, 0.3) FROM s", "true"),
            ("SELECT -d = -0.3 FROM s", "true"),
            (
                "SELECT CAST('1234567.891' AS DECIMAL(12, 3)) = 1234567.891 FROM s",
                "true",
            ),
            (
                "SELECT coalesce(nullif(d, 0.3), 1234567.891) FROM s",
                "1234567.891000000000000",
            ),
            (
                "SELECT d FROM s UNION ALL SELECT 1234567.891 ORDER BY 1",
                "0.300000000000000, 1234567.891000000000000",
            ),
            ("SELECT coalesce(nullif(d, 0.3), 1e-20) FROM s", "1e-20"),
            // With as many digits as there is room for.
            (
                "SELECT CAST('9999999999999999999999999999.5' AS DECIMAL(38, 10)) > 0.25 FROM s",
                "true",
            ),
            (
                "SELECT CAST('99999999.99' AS DECIMAL(10, 2)) BETWEEN 99999999.99 AND 1e16 FROM s",
                "true",
            ),
            (
                "SELECT CASE CAST('-99999999.99' AS DECIMAL(10, 2)) WHEN -99999999.99 THEN 1 END FROM s",
                "1",
            ),
            (
                "SELECT d < 1e40 AND d > 1e-40 AND d <> 'NaN'::double FROM s",
                "true",
            ),
        ] {
            assert_eq!(value(query).as_deref(), Ok(expected), "{query}");
        }
    }

    #[test]
    fn a_text_is_compared_with_a_number_only_where_one_is_written() {
        for query in [
            "SELECT count(*) FROM s l JOIN s r ON l.t = r.n",
            "SELECT count(*) FROM s l JOIN (SELECT n AS t FROM s) r USING (t)",
            "SELECT count(*) FROM s WHERE n < t",
            "SELECT count(*) FROM s WHERE n BETWEEN 1 AND length(t) AND t IN (n, 3)",
            "SELECT count(*) FROM s WHERE t IN (SELECT n FROM s)",
        ] {
            let said = value(query).expect_err(query);
            assert!(said.contains("is TEXT and"), "{query}: {said}");
        }
        for query in [
            "SELECT count(*) FROM s WHERE n = '12'",
            "SELECT count(*) FROM s l JOIN s r ON l.t <> CAST(r.n AS TEXT)",
        ] {
            assert_eq!(value(query).as_deref(), Ok("1"), "{query}");
        }
    }

    #[test]
    fn the_characters_of_a_list_are_not_counted() {
        for query in [
            "SELECT length([n, 3]) FROM s",
            "SELECT n FROM s WHERE char_length([t]) > 1",
        ] {
            let said = value(query).expect_err(query);
            assert!(said.contains("write cardinality("), "{query}: {said}");
        }
        let text = value("SELECT length(CAST([n, 3] AS TEXT)) FROM s");
        assert_eq!(text.as_deref(), Ok("7"));
    }

    #[test]
    fn a_join_of_a_text_with_a_number_is_refused_where_it_stands() {
        let text = "CREATE SOURCE s (k TEXT, n BIGINT) FORMAT JSON;
CREATE MATERIALIZED VIEW v AS SELECT a.n
  FROM s a JOIN s b ON a.k = b.n;";
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let refused = runtime.block_on(plan_text("t", text, |_| None));
        let refused = refused.expect_err("it is refused");
        assert_eq!(
            refused.to_string(),
            "line 2: `a.k` is TEXT and `b.n` is BIGINT, and they have no comparison; write CAST(b.n AS TEXT), or CAST(a.k AS BIGINT) where every text is a number"
        );
        let Error::Statement {
            excerpt: Some(at), ..
        } = refused
        else {
            panic!("it has a place");
        };
        assert_eq!((at.line, at.column), (3, 24));
    }
}

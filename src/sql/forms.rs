//! Ways of writing that other systems have, as the one way that is planned: `FETCH FIRST`, `= ANY (…)`, comparisons of rows, and
//! functions under other names ([`calls`]), windows in GROUP BY, the first rows for each outer row ([`first_of_group`]), and functions that the dataflow defines ([`macros`]).
//!
//! A query is rewritten once, where it is parsed; planning, batch computation and the canonical form see the result. What was
//! planned before is never touched here: its canonical text names stored rows.

mod ages;
mod any_of_list;
mod array_texts;
mod calls;
mod compared;
mod conditions;
mod cut_texts;
mod elements_of_groups;
mod fields;
mod first_of_group;
mod first_words;
mod group_windows;
mod groupings;
mod in_groups;
mod in_queries;
mod intervals;
mod json;
mod lists;
mod macros;
mod matches;
mod named_arguments;
mod named_windows;
mod names;
mod patterns;
mod periods;
mod powers;
mod processing_time;
mod rows_of;
mod same_names;
mod spark_windows;
#[cfg(test)]
mod tests;
mod unnest;
mod values_apart;
mod windowed_queries;
mod zones;

pub use calls::names_of_others;
pub use group_windows::apart_by as sessions_apart_by;
pub use macros::{Macros, is_aggregate};
pub use processing_time::is_processing_time;
pub use rows_of::name_repeated;
pub use windowed_queries::named as name_windowed_queries;

use super::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, Expr, Fetch, FunctionArg, FunctionArgExpr,
    FunctionArguments, GroupByExpr, Ident, Interval, JoinOperator, LimitClause, OrderByExpr,
    OrderByKind, Query, Select, SelectItem, SetExpr, SetOperator, Subscript, TableFactor,
    TableFunctionArgs, TableWithJoins, UnaryOperator, Value, ValueWithSpan, VisitorMut, WindowType,
};
use std::ops::ControlFlow;

/// How long the text may be that an expression is rewritten to: some have an argument several times, and within each other they multiply.
const FORM_BYTES_MAX: usize = 1 << 20;

/// Rewrites a query.
///
/// # Errors
/// If a form is understood and its arguments are not: it says what to write.
pub fn rewrite(query: &mut Query) -> Result<(), String> {
    walk::query(query, &mut Forms::default())?;
    windowed_queries::named(query)
}

/// Whether an expression that was rewritten gives JSON.
pub fn gives_json(expr: &Expr) -> bool {
    json::is_json(expr)
}

/// An operator or a function of JSON, or of a column of JSON, where only that makes it one.
pub fn of_json(expr: &Expr, is_json: &dyn Fn(&Expr) -> bool) -> Option<String> {
    json::with_columns(expr, is_json)
}

/// The query of a view with a list of columns behind the view's name.
///
/// # Errors
/// If the columns of the query cannot be told by looking at it.
pub fn name_columns(query: &mut Query, names: &[Ident]) -> Result<(), String> {
    fn select(body: &mut SetExpr) -> Option<&mut Select> {
        match body {
            SetExpr::Select(it) => Some(it),
            SetExpr::SetOperation { left, .. } => select(left),
            SetExpr::Query(it) if it.with.is_none() => select(&mut it.body),
            _ => None,
        }
    }
    const INSIDE: &str = "name the columns with AS inside the SELECT, not after the view's name";
    let select = match query.order_by {
        None => select(&mut query.body).ok_or(INSIDE)?,
        // It may go by the names that the columns have.
        Some(_) => return Err(INSIDE.to_owned()),
    };
    let is_star = |it: &SelectItem| match it {
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
        SelectItem::UnnamedExpr(_)
        | SelectItem::ExprWithAlias { .. }
        | SelectItem::ExprWithAliases { .. } => false,
    };
    if select.projection.iter().any(is_star) {
        return Err(INSIDE.to_owned());
    }
    if select.projection.len() != names.len() {
        return Err(format!(
            "the view names {} columns, and its SELECT has {}",
            names.len(),
            select.projection.len()
        ));
    }
    for (item, name) in select.projection.iter_mut().zip(names) {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let (expr, alias) = (expr.clone(), name.clone());
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
    Ok(())
}

#[derive(Default)]
struct Forms {
    /// How many names were made up so far.
    made: usize,
    /// Whether the outermost query was met.
    is_inside: bool,
    /// Names that unnested columns were qualified by.
    unnested: Vec<String>,
    /// The windows that the SELECT of each query has named, from the outermost query on.
    windows: Vec<named_windows::Named>,
    /// By which names the columns of each query's relations are qualified, from the outermost query on.
    qualifiers: Vec<fields::Qualifiers>,
}

impl VisitorMut for Forms {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        // A view is read by the names that its query has.
        if std::mem::replace(&mut self.is_inside, true) {
            rows_of::name_repeated(query);
        }
        self.windows.push(Vec::new());
        self.qualifiers.push(Vec::new());
        match whole_query(query).and_then(|()| rows_of::named_after_relation(query)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => ControlFlow::Break(reason),
        }
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        self.qualifiers.pop();
        let named = self.windows.pop().unwrap_or_default();
        let rewritten = named_windows::beside_columns(query, &named)
            .and_then(|()| same_names::told_apart(&mut query.body));
        match rewritten {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => ControlFlow::Break(reason),
        }
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        match (named_windows::defined(select), self.windows.last_mut()) {
            (Ok(named), Some(windows)) => *windows = named,
            (Ok(_), None) => {}
            (Err(reason), _) => return ControlFlow::Break(reason),
        }
        first_words::select_before_from(select);
        if let Some(own) = self.qualifiers.last_mut() {
            own.extend(fields::qualifiers(&select.from));
        }
        fields::named(select, &self.qualifiers);
        for TableWithJoins { relation: _, joins } in &mut select.from {
            for join in joins {
                if let Err(reason) = conditions::refuse_join_without(join) {
                    return ControlFlow::Break(reason);
                }
                join.join_operator = match join.join_operator.clone() {
                    JoinOperator::Semi(it) => JoinOperator::LeftSemi(it),
                    JoinOperator::Anti(it) => JoinOperator::LeftAnti(it),
                    other => other,
                };
            }
        }
        let grouped = processing_time::of_records(select)
            .and_then(|()| groupings::plainly(select))
            .and_then(|()| rows_of::group_by_rows(select));
        if let Err(reason) = grouped {
            return ControlFlow::Break(reason);
        }
        for condition in [&mut select.selection, &mut select.having]
            .into_iter()
            .flatten()
        {
            in_queries::plainly(condition);
        }
        unnest::plainly(select);
        let rewritten = unnest::of_a_row_around(select)
            .and_then(|()| rows_of::series(select))
            .and_then(|()| unnest::beside_a_relation(select, &mut self.unnested))
            .and_then(|()| unnest::values_as_union(select))
            .and_then(|()| spark_windows::of_group(select))
            .and_then(|()| group_windows::of_group(select))
            .and_then(|()| elements_of_groups::in_several_orders(select))
            .and_then(|()| in_groups::beside_the_rows(select))
            .and_then(|()| first_of_group::rewrite(select, &mut self.made))
            .and_then(|()| values_apart::name(select));
        if let Err(reason) = rewritten {
            return ControlFlow::Break(reason);
        }
        if let Some(condition) = &mut select.selection
            && let Err(reason) = rows_in_queries(condition)
        {
            return ControlFlow::Break(reason);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        // TABLE(f(…)) is f(…).
        if let TableFactor::TableFunction {
            expr: Expr::Function(call),
            alias,
        } = factor
            && let FunctionArguments::List(list) = &call.args
        {
            *factor = TableFactor::Table {
                name: call.name.clone(),
                alias: alias.clone(),
                args: Some(TableFunctionArgs {
                    args: list.args.clone(),
                    settings: None,
                }),
                with_hints: Vec::new(),
                version: None,
                with_ordinality: false,
                partitions: Vec::new(),
                json_path: None,
                sample: None,
                index_hints: Vec::new(),
            };
        }
        match named_arguments::in_order(factor).and_then(|()| unnest::alone(factor)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => ControlFlow::Break(reason),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        powers::bind_minus(expr);
        let form = match matches::as_elements(expr) {
            Ok(elements) => elements.or_else(|| ages::compared(expr)),
            Err(reason) => return ControlFlow::Break(reason),
        };
        match form.map(|it| syntax::parse_expression(&it)) {
            None => ControlFlow::Continue(()),
            Some(Ok(compared)) => {
                *expr = compared;
                ControlFlow::Continue(())
            }
            Some(Err(reason)) => ControlFlow::Break(reason),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [of, name] = parts.as_slice()
            && self.unnested.contains(&of.value)
        {
            *expr = Expr::Identifier(name.clone());
            return ControlFlow::Continue(());
        }
        let named = self.windows.last().map_or(&[][..], Vec::as_slice);
        if let Err(reason) = named_windows::write_out(expr, named) {
            return ControlFlow::Break(reason);
        }
        if let Expr::Function(call) = expr {
            calls::nulls_outside(call);
            if let Some(WindowType::WindowSpec(window)) = &mut call.over {
                rows_of::flatten(&mut window.partition_by);
            }
            if let Err(reason) = rows_of::in_aggregate(call) {
                return ControlFlow::Break(reason);
            }
        }
        if let Err(reason) = intervals::comparable(expr) {
            return ControlFlow::Break(reason);
        }
        let form = match compared::with_rows(expr, &mut self.made) {
            Ok(()) => match expr {
                Expr::Function(call) => match lists::of_query(call, &mut self.made) {
                    Ok(None) => rewritten(expr),
                    list => list,
                },
                _ => rewritten(expr),
            },
            Err(reason) => Err(reason),
        };
        match form {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(text)) if FORM_BYTES_MAX < text.len() => {
                ControlFlow::Break("functions of other systems stand within each other too often; compute parts in a sub-query or in a view".to_owned())
            }
            Ok(Some(text)) => match syntax::parse_expression(&text) {
                Ok(rewritten) => {
                    *expr = rewritten;
                    ControlFlow::Continue(())
                }
                Err(reason) => ControlFlow::Break(reason),
            },
            Err(reason) => ControlFlow::Break(reason),
        }
    }
}

fn whole_query(query: &mut Query) -> Result<(), String> {
    minus_as_except(&mut query.body);
    first_words::order_by_all(query)?;
    rows_of::distinct_on(query)?;
    for it in query.with.iter_mut().flat_map(|it| &mut it.cte_tables) {
        // Whether it is computed once is not for the query to say.
        it.materialized = None;
    }
    if let Some(Fetch {
        with_ties,
        percent,
        quantity,
    }) = query.fetch.take()
    {
        if percent {
            return Err("FETCH … PERCENT is not supported; compare row_number() OVER (ORDER BY …) with a share of count(*) OVER ()".to_owned());
        }
        let rows = quantity.unwrap_or_else(|| Expr::value(Value::Number("1".to_owned(), false)));
        if with_ties {
            return first_with_ties(query, &rows);
        }
        let offset = match query.limit_clause.take() {
            None => None,
            Some(LimitClause::LimitOffset {
                limit: None,
                offset,
                ..
            }) => offset,
            Some(_) => return Err("write one of LIMIT and FETCH".to_owned()),
        };
        query.limit_clause = Some(LimitClause::LimitOffset {
            limit: Some(rows),
            offset,
            limit_by: Vec::new(),
        });
    }
    Ok(())
}

/// `MINUS` is `EXCEPT`.
fn minus_as_except(body: &mut SetExpr) {
    if let SetExpr::SetOperation {
        op, left, right, ..
    } = body
    {
        if *op == SetOperator::Minus {
            *op = SetOperator::Except;
        }
        minus_as_except(left);
        minus_as_except(right);
    }
}

/// `ORDER BY a FETCH FIRST n ROWS WITH TIES`: the rows whose rank by this order is at most n.
fn first_with_ties(query: &mut Query, rows: &Expr) -> Result<(), String> {
    const FORM: &str = "FETCH … WITH TIES stands behind the ORDER BY of a plain SELECT, without OFFSET, DISTINCT and QUALIFY; otherwise write SELECT … FROM (SELECT …) AS t QUALIFY rank() OVER (ORDER BY …) <= n";
    let order = query.order_by.take().ok_or(FORM)?;
    let OrderByKind::Expressions(order) = order.kind else {
        return Err(FORM.to_owned());
    };
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(FORM.to_owned());
    };
    if query.limit_clause.is_some() || select.distinct.is_some() || select.qualify.is_some() {
        return Err(FORM.to_owned());
    }
    let order = order.into_iter().map(|it| {
        let expr = rows_of::ordered_by(&select.projection, &it.expr).ok_or(FORM)?;
        Ok(OrderByExpr { expr, ..it }.to_string())
    });
    let order = order.collect::<Result<Vec<_>, String>>()?.join(", ");
    let rank = format!("rank() OVER (ORDER BY {order}) <= {rows}");
    select.qualify = Some(syntax::parse_expression(&rank)?);
    Ok(())
}

/// `(a, b) IN (SELECT …)`, `(a, b) NOT IN (SELECT …)` and `(a, b) = (SELECT …)` as conditions of a WHERE, or parts of these between AND and OR: whether it is false or
/// NULL is one there. Of the second no row is equal, and none might be where a value is NULL.
fn rows_in_queries(condition: &mut Expr) -> Result<(), String> {
    match condition {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And | BinaryOperator::Or,
            right,
        } => {
            rows_in_queries(left)?;
            return rows_in_queries(right);
        }
        Expr::Nested(it) => return rows_in_queries(it),
        _ => {}
    }
    let of_one = row_of_query(condition)?.map(|(values, subquery)| (values, subquery, false));
    let Some((values, subquery, negated)) = of_one.or_else(|| row_in_query(condition)) else {
        return Ok(());
    };
    let names: Vec<String> = (1..=values.len()).map(|it| format!("__v{it}")).collect();
    let pairs = values.iter().zip(&names);
    let equal: Vec<String> = pairs
        .map(|(value, name)| format!("__row.{name} = ({value})"))
        .collect();
    let (names, equal) = (names.join(", "), equal.join(" AND "));
    let text = match negated {
        false => format!("EXISTS (SELECT 1 FROM ({subquery}) AS __row({names}) WHERE {equal})"),
        true => format!(
            "NOT EXISTS (SELECT 1 FROM ({subquery}) AS __row({names}) WHERE ({equal}) IS NOT FALSE)"
        ),
    };
    *condition = syntax::parse_expression(&text)?;
    Ok(())
}

/// A row of values that is the one row of a query.
fn row_of_query(condition: &Expr) -> Result<Option<(Vec<Expr>, &Query)>, String> {
    let Expr::BinaryOp {
        left,
        op: BinaryOperator::Eq,
        right,
    } = condition
    else {
        return Ok(None);
    };
    let (values, subquery) = match (left.as_ref(), right.as_ref()) {
        (values, Expr::Subquery(subquery)) | (Expr::Subquery(subquery), values) => {
            (row(values), subquery)
        }
        _ => return Ok(None),
    };
    let Some(values) = values else {
        return Ok(None);
    };
    let is_first = match &subquery.limit_clause {
        Some(LimitClause::LimitOffset {
            limit: Some(limit), ..
        }) => limit.to_string() == "1",
        _ => false,
    };
    let is_group = match subquery.body.as_ref() {
        SetExpr::Select(select) => {
            let of_group = |it: &SelectItem| match it {
                SelectItem::UnnamedExpr(Expr::Function(call))
                | SelectItem::ExprWithAlias {
                    expr: Expr::Function(call),
                    ..
                } => call.over.is_none() && is_aggregate(&call.name.to_string()),
                _ => false,
            };
            let is_one =
                matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
            is_one && select.projection.iter().any(of_group)
        }
        _ => false,
    };
    match is_first || is_group {
        true => Ok(Some((values, subquery))),
        false => Err(
            "a row is compared with a sub-query that may have several; write (a, b) IN (SELECT …), or ORDER BY … LIMIT 1 in the sub-query".to_owned(),
        ),
    }
}

/// A row of values that is in the rows of a query, or is in none of them.
fn row_in_query(condition: &Expr) -> Option<(Vec<Expr>, &Query, bool)> {
    let (values, subquery, negated) = match condition {
        Expr::Nested(it) => return row_in_query(it),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => {
            let (values, subquery, negated) = row_in_query(expr)?;
            return Some((values, subquery, !negated));
        }
        Expr::InSubquery {
            expr,
            subquery,
            negated,
        } => (expr, subquery, *negated),
        Expr::AnyOp {
            left,
            compare_op: BinaryOperator::Eq,
            right,
            is_some: _,
        } if let Expr::Subquery(subquery) = right.as_ref() => (left, subquery, false),
        Expr::AllOp {
            left,
            compare_op: BinaryOperator::NotEq,
            right,
        } if let Expr::Subquery(subquery) = right.as_ref() => (left, subquery, true),
        _ => return None,
    };
    Some((row(values)?, subquery, negated))
}

/// What an expression is written as instead, if it is one of another form.
fn rewritten(expr: &Expr) -> Result<Option<String>, String> {
    Ok(match expr {
        Expr::AnyOp {
            left,
            compare_op: BinaryOperator::Eq,
            right,
            is_some: _,
        } if let Expr::Subquery(query) = right.as_ref() => Some(format!("({left}) IN ({query})")),
        Expr::AllOp {
            left,
            compare_op: BinaryOperator::NotEq,
            right,
        } if let Expr::Subquery(query) = right.as_ref() => {
            Some(format!("({left}) NOT IN ({query})"))
        }
        Expr::AnyOp {
            left,
            compare_op,
            right,
            is_some: _,
        } if any_of_list::may_have_nulls(right) => any_of_list::by_all(left, compare_op, right),
        Expr::BinaryOp { left, op, right } => match (left.as_ref(), right.as_ref()) {
            (left, right) if *op == BinaryOperator::Overlaps => periods::overlap(left, op, right)?,
            (left, right) if let (Some(left), Some(right)) = (row(left), row(right)) => {
                rows(&left, op, &right)?
            }
            _ if *op == BinaryOperator::PGOverlap => {
                // A NULL equals nothing.
                Some(format!("array_has_any(array_compact({left}), {right})"))
            }
            _ if *op == BinaryOperator::PGExp => Some(format!("power({left}, {right})")),
            _ if *op == BinaryOperator::PGStartsWith => {
                Some(format!("starts_with({left}, {right})"))
            }
            _ if *op == BinaryOperator::Spaceship => {
                Some(format!("(({left}) IS NOT DISTINCT FROM ({right}))"))
            }
            (left, right) => match intervals::scaled(left, op, right)? {
                None => json::operator(left, op, right)?,
                scaled => scaled,
            },
        },
        Expr::InList {
            expr,
            list,
            negated,
        } => match row(expr) {
            Some(values) => {
                let equal = |it: &Expr| match row(it) {
                    Some(others) => rows(&values, &BinaryOperator::Eq, &others),
                    None => Ok(None),
                };
                let equal: Result<Vec<Option<String>>, String> = list.iter().map(equal).collect();
                let equal: Option<Vec<String>> = equal?.into_iter().collect();
                equal.map(|it| match negated {
                    true => format!("NOT ({})", it.join(" OR ")),
                    false => format!("({})", it.join(" OR ")),
                })
            }
            None => None,
        },
        Expr::Between {
            expr,
            negated,
            low,
            high,
        } => match (row(expr), row(low), row(high)) {
            (Some(values), Some(low), Some(high)) => {
                let from = rows(&values, &BinaryOperator::GtEq, &low)?;
                let to = rows(&values, &BinaryOperator::LtEq, &high)?;
                from.zip(to).map(|(from, to)| match negated {
                    true => format!("(NOT ({from} AND {to}))"),
                    false => format!("({from} AND {to})"),
                })
            }
            _ => None,
        },
        Expr::UnaryOp { op, expr } => match op {
            UnaryOperator::BitwiseNot => Some(format!("(({expr}) # (-1))")),
            UnaryOperator::PGSquareRoot => Some(format!("sqrt({expr})")),
            UnaryOperator::PGCubeRoot => Some(format!("cbrt({expr})")),
            UnaryOperator::PGAbs => Some(format!("abs({expr})")),
            _ => None,
        },
        Expr::IsDistinctFrom(left, right) => match (row(left), row(right)) {
            (Some(left), Some(right)) => Some(format!("(NOT {})", not_distinct(&left, &right)?)),
            _ => None,
        },
        Expr::IsNotDistinctFrom(left, right) => match (row(left), row(right)) {
            (Some(left), Some(right)) => Some(not_distinct(&left, &right)?),
            _ => None,
        },
        // The part that a pattern finds, or its first group.
        Expr::Substring {
            expr,
            substring_from: Some(pattern),
            substring_for: None,
            ..
        } if text_of(pattern).is_some() => Some(format!("(regexp_match({expr}, {pattern}))[1]")),
        Expr::SimilarTo {
            negated,
            expr,
            pattern,
            escape_char,
        } => Some(similar(*negated, expr, pattern, escape_char.as_ref())?),
        Expr::Like {
            negated,
            any: false,
            expr,
            pattern,
            escape_char: Some(escape),
        } => like("LIKE", *negated, expr, pattern, escape)?,
        Expr::ILike {
            negated,
            any: false,
            expr,
            pattern,
            escape_char: Some(escape),
        } => like("ILIKE", *negated, expr, pattern, escape)?,
        Expr::Interval(it) => plain_interval(it)?,
        Expr::CompoundFieldAccess { root, access_chain } => {
            match json::subscripts(root, access_chain)? {
                None => field_of(root, access_chain)?,
                member => member,
            }
        }
        Expr::Collate { expr, collation } => Some(collated(expr, &collation.to_string())?),
        Expr::TypedString(it) => match (&it.data_type, &it.value.value) {
            (data_type, Value::SingleQuotedString(text))
                if let Some(time) = whole_time(data_type, text) =>
            {
                Some(format!("{data_type} {}", quoted(&time)))
            }
            (DataType::JSON | DataType::JSONB, Value::SingleQuotedString(text)) => {
                Some(format!("parse_json({})", quoted(text)))
            }
            (data_type, Value::SingleQuotedString(text)) => {
                let text = Expr::value(Value::SingleQuotedString(text.clone()));
                cut_texts::of_cast(&CastKind::Cast, &text, data_type)?
            }
            _ => None,
        },
        Expr::Cast {
            kind,
            expr,
            data_type,
            array: false,
            format: None,
        } => match expr.as_ref() {
            Expr::Value(it) => match &it.value {
                // Bytes by their digits, as they are shown.
                Value::SingleQuotedString(text)
                    if *data_type == DataType::Bytea
                        && let Some(digits) = text.strip_prefix("\\x") =>
                {
                    Some(format!("decode({}, 'hex')", quoted(digits)))
                }
                Value::SingleQuotedString(text)
                    if matches!(data_type, DataType::Interval { fields: None, .. })
                        && let Some(of_seconds) = intervals::in_seconds(text) =>
                {
                    Some(of_seconds)
                }
                Value::SingleQuotedString(text)
                    if let Some(list) = array_texts::of_cast(text, data_type)? =>
                {
                    Some(format!("{}({list} AS {data_type})", cast_name(kind)))
                }
                Value::SingleQuotedString(text) if let Some(time) = whole_time(data_type, text) => {
                    Some(format!(
                        "{}({} AS {data_type})",
                        cast_name(kind),
                        quoted(&time)
                    ))
                }
                _ => to_json_or_text(kind, expr, data_type)?,
            },
            _ => to_json_or_text(kind, expr, data_type)?,
        },
        Expr::RLike {
            negated,
            expr,
            pattern,
            regexp: _,
        } => Some(format!(
            "(({expr}) {} ({pattern}))",
            if *negated { "!~" } else { "~" }
        )),
        // Bytes.
        Expr::Value(it) => match &it.value {
            Value::HexStringLiteral(digits) => Some(format!("decode({}, 'hex')", quoted(digits))),
            _ => None,
        },
        Expr::Extract {
            field,
            syntax: _,
            expr,
        } => calls::part_of_era(field, expr),
        Expr::AtTimeZone {
            timestamp,
            time_zone,
        } => match text_of(time_zone) {
            Some("UTC") => None,
            _ => Some(zones::in_zone(timestamp, time_zone)?),
        },
        Expr::Ceil { expr, field } => calls::to_unit(expr, field, true)?,
        Expr::Floor { expr, field } => calls::to_unit(expr, field, false)?,
        Expr::Function(call) => calls::rewritten(call)?,
        _ => None,
    })
}

fn to_json_or_text(
    kind: &CastKind,
    expr: &Expr,
    data_type: &DataType,
) -> Result<Option<String>, String> {
    match json::cast(kind, expr, data_type) {
        None => cut_texts::of_cast(kind, expr, data_type),
        json => Ok(json),
    }
}

/// A text that matches a pattern of the SQL standard, or does not.
fn similar(
    negated: bool,
    expr: &Expr,
    pattern: &Expr,
    escape: Option<&ValueWithSpan>,
) -> Result<String, String> {
    let pattern = text_of(pattern).ok_or(
        "SIMILAR TO takes a constant pattern; for one that is computed write text ~ pattern, with a regular expression such as '^(a|b).*$'",
    )?;
    let escape = match escape {
        None => Some('\\'),
        Some(it) => escape_of("SIMILAR TO", it)?,
    };
    let regex = patterns::similar_to(pattern, escape)?;
    let operator = if negated { "!~" } else { "~" };
    Ok(format!("(({expr}) {operator} {})", quoted(&regex)))
}

/// The one character of `ESCAPE '!'`, or none of `ESCAPE ''`.
fn escape_of(operator: &str, escape: &ValueWithSpan) -> Result<Option<char>, String> {
    match &escape.value {
        Value::SingleQuotedString(text) if text.chars().count() <= 1 => Ok(text.chars().next()),
        _ => Err(format!(
            "{operator} … ESCAPE takes one character, or '' for none"
        )),
    }
}

/// `LIKE` with an escape character of its own, as one with a backslash.
fn like(
    operator: &str,
    negated: bool,
    expr: &Expr,
    pattern: &Expr,
    escape: &ValueWithSpan,
) -> Result<Option<String>, String> {
    let escape = escape_of(operator, escape)?;
    if escape == Some('\\') {
        return Ok(None);
    }
    let pattern = text_of(pattern).ok_or_else(|| {
        format!("{operator} … ESCAPE takes a constant pattern; in one that is computed write a backslash before what stands for itself")
    })?;
    let pattern = quoted(&patterns::like(pattern, escape)?);
    let not = if negated { "NOT " } else { "" };
    Ok(Some(format!("(({expr}) {not}{operator} {pattern})")))
}

/// A text in an order that texts have anyway: that of their code points.
fn collated(expr: &Expr, collation: &str) -> Result<String, String> {
    const KNOWN: [&str; 4] = ["c", "posix", "ucs_basic", "c.utf-8"];
    let name = collation.replace('"', "").to_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    match KNOWN.contains(&name) {
        true => Ok(format!("({expr})")),
        false => Err(format!(
            "texts are in the order of their code points, that of COLLATE \"C\"; leave COLLATE {collation} out, or compare lower(text)"
        )),
    }
}

/// The text of a constant.
fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(it) => match &it.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    Value::SingleQuotedString(text.to_owned()).to_string()
}

/// A time that is written with blanks around it, or a timestamp without seconds, as the planner reads it.
fn whole_time(data_type: &DataType, text: &str) -> Option<String> {
    let has_date = match data_type {
        DataType::Timestamp(..) | DataType::Datetime(_) => true,
        DataType::Date | DataType::Time(..) => false,
        _ => return None,
    };
    let trimmed = text.trim();
    let ends_with_minutes = || {
        let format = match trimmed.contains('T') {
            true => "%Y-%m-%dT%H:%M",
            false => "%Y-%m-%d %H:%M",
        };
        chrono::NaiveDateTime::parse_from_str(trimmed, format).is_ok()
    };
    if has_date && ends_with_minutes() {
        return Some(format!("{trimmed}:00"));
    }
    (trimmed != text).then(|| trimmed.to_owned())
}

fn cast_name(kind: &CastKind) -> &'static str {
    match kind {
        CastKind::TryCast | CastKind::SafeCast => "TRY_CAST",
        CastKind::Cast | CastKind::DoubleColon => "CAST",
    }
}

/// `INTERVAL 1 DAY` is `INTERVAL '1' DAY`.
fn plain_interval(interval: &Interval) -> Result<Option<String>, String> {
    let number = |it: &Expr| match it {
        Expr::Value(it) => match &it.value {
            Value::Number(number, _) => Some(number.clone()),
            _ => None,
        },
        _ => None,
    };
    let amount = match interval.value.as_ref() {
        Expr::Value(it) if let Value::SingleQuotedString(text) = &it.value => {
            return intervals::of_fields(text, interval);
        }
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => number(expr).map(|it| format!("-{it}")),
        other => number(other),
    };
    match (amount, &interval.leading_field) {
        (Some(amount), Some(_)) => {
            let value = Box::new(Expr::value(Value::SingleQuotedString(amount)));
            let interval = Interval {
                value,
                ..interval.clone()
            };
            Ok(Some(interval.to_string()))
        }
        (Some(amount), None) => Err(format!(
            "INTERVAL {amount} has no unit; write INTERVAL {amount} SECOND, or MINUTE, HOUR, DAY"
        )),
        (None, _) => Err(
            "an INTERVAL is a constant, such as INTERVAL '1' DAY; for a time that is a computed number of units later write timestampadd(DAY, number, time)".to_owned(),
        ),
    }
}

/// `(row).field` is `(row)['field']`.
fn field_of(root: &Expr, chain: &[AccessExpr]) -> Result<Option<String>, String> {
    // `t.list[1]`: up to the first bracket behind a name it is the column of a relation.
    let is_name = matches!(root, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    let is_dot = |it: &&AccessExpr| matches!(it, AccessExpr::Dot(_));
    let named = match is_name {
        true => chain.iter().take_while(is_dot).count(),
        false => 0,
    };
    let (names, chain) = chain.split_at(named);
    // Fields of a row have no names but f1, f2 and so on.
    if let (Some(values), Some((AccessExpr::Dot(Expr::Identifier(name)), rest))) =
        (row(root), chain.split_first())
    {
        let number = syntax::known_as(name);
        let number = number.strip_prefix('f').and_then(|it| it.parse().ok());
        let value = number.and_then(|it: usize| values.get(it.checked_sub(1)?));
        let value = value.ok_or_else(|| {
            format!(
                "a row of {} values has no field `{name}`; they are f1, f2 and so on",
                values.len()
            )
        })?;
        let value = Expr::Nested(Box::new(value.clone()));
        return match rest {
            [] => Ok(Some(value.to_string())),
            rest => {
                let fields = field_of(&value, rest)?;
                let access_chain = rest.to_vec();
                let root = Box::new(value);
                let whole = Expr::CompoundFieldAccess { root, access_chain };
                Ok(Some(fields.unwrap_or_else(|| whole.to_string())))
            }
        };
    }
    let is_slice = |it: &AccessExpr| matches!(it, AccessExpr::Subscript(Subscript::Slice { .. }));
    if !chain.iter().any(|it| is_dot(&it) || is_slice(it)) {
        return Ok(None);
    }
    let mut text = root.to_string();
    for name in names {
        text += &name.to_string();
    }
    for access in chain {
        match access {
            AccessExpr::Dot(Expr::Identifier(name)) => {
                text += &format!("[{}]", quoted(&syntax::known_as(name)));
            }
            AccessExpr::Dot(other) => {
                return Err(format!(
                    "`{other}` is no field; write (row).field or row['field']"
                ));
            }
            AccessExpr::Subscript(Subscript::Slice {
                lower_bound,
                upper_bound,
                stride: None,
            }) => text = slice(&text, lower_bound.as_ref(), upper_bound.as_ref())?,
            AccessExpr::Subscript(it) => text += &format!("[{it}]"),
        }
    }
    Ok(Some(text))
}

/// `list[2:3]`: from one place to another, both of them taken.
fn slice(list: &str, lower: Option<&Expr>, upper: Option<&Expr>) -> Result<String, String> {
    let place = |it: &Expr| -> Result<u64, String> {
        let place = it.to_string().parse();
        place.ok().filter(|it| 0 < *it).ok_or_else(|| {
            format!("{list}[{it}:…] counts from the end in some systems; a slice has constant places from 1 on, for others write array_slice({list}, from, to), in which -1 is the last")
        })
    };
    let lower = lower.map_or(Ok(1), place)?;
    // A last place that no list has.
    let upper = upper.map_or(Ok(i32::MAX.unsigned_abs().into()), place)?;
    Ok(format!("array_slice({list}, {lower}, {upper})"))
}

/// The values of a row, `(a, b)` or `ROW(a, b)`.
fn row(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(values) => Some(values.clone()),
        Expr::Nested(it) => row(it),
        Expr::Function(call) if rows_of::is_row(call) => {
            let FunctionArguments::List(list) = &call.args else {
                return None;
            };
            let plain = |it: &FunctionArg| match it {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(it.clone()),
                _ => None,
            };
            list.args.iter().map(plain).collect()
        }
        _ => None,
    }
}

/// Whether two rows are of as many values.
fn refuse_other_length(left: &[Expr], right: &[Expr]) -> Result<(), String> {
    match left.len() == right.len() && !left.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "rows of {} and {} values are compared; both need as many",
            left.len(),
            right.len()
        )),
    }
}

/// Two rows of which all values are equal or both NULL.
fn not_distinct(left: &[Expr], right: &[Expr]) -> Result<String, String> {
    refuse_other_length(left, right)?;
    let pairs = left.iter().zip(right);
    let each = pairs.map(|(a, b)| format!("({a}) IS NOT DISTINCT FROM ({b})"));
    Ok(format!("({})", each.collect::<Vec<_>>().join(" AND ")))
}

/// Two rows compared, value by value, from the first on.
fn rows(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Result<Option<String>, String> {
    refuse_other_length(left, right)?;
    let pairs = || left.iter().zip(right);
    let all = |op: &str, between: &str| {
        let each: Vec<String> = pairs().map(|(a, b)| format!("({a}) {op} ({b})")).collect();
        Some(format!("({})", each.join(between)))
    };
    let strictly = match op {
        BinaryOperator::Eq => return Ok(all("=", " AND ")),
        BinaryOperator::NotEq => return Ok(all("<>", " OR ")),
        BinaryOperator::Lt | BinaryOperator::LtEq => "<",
        BinaryOperator::Gt | BinaryOperator::GtEq => ">",
        _ => return Ok(None),
    };
    let mut from_behind = pairs().rev();
    let Some((a, b)) = from_behind.next() else {
        return Ok(None);
    };
    let mut text = format!("({a}) {op} ({b})");
    for (a, b) in from_behind {
        text = format!("({a}) {strictly} ({b}) OR (({a}) = ({b}) AND ({text}))");
    }
    Ok(Some(format!("({text})")))
}

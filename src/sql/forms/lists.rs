//! `ARRAY(SELECT …)`: the values of a sub-query as a list, which is empty where it has no row.

use super::rows_of::ordered_by;
use crate::sql::syntax;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArguments, GroupByExpr, OrderByExpr, OrderByKind, Query, Select,
    SelectItem, SetExpr,
};

/// The aggregate that such a call is written as instead, if the expression is one.
///
/// # Errors
/// If the order of the values is not that of rows that can be aggregated: what to write instead.
pub fn of_query(call: &Function, made: &mut usize) -> Result<Option<String>, String> {
    let FunctionArguments::Subquery(query) = &call.args else {
        return Ok(None);
    };
    if !call.name.to_string().eq_ignore_ascii_case("array") {
        return Ok(None);
    }
    let order: &[OrderByExpr] = match &query.order_by {
        None => &[],
        Some(order) => match &order.kind {
            OrderByKind::Expressions(all) => all,
            OrderByKind::All(_) => return Err(instead()),
        },
    };
    if let Some(select) = plain(query)
        && let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
            select.projection.as_slice()
        && !order.is_empty()
    {
        let order = order.iter().map(|it| {
            let expr = ordered_by(&select.projection, &it.expr).ok_or_else(instead)?;
            Ok(OrderByExpr { expr, ..it.clone() }.to_string())
        });
        let order = order.collect::<Result<Vec<_>, String>>()?.join(", ");
        let list = syntax::parse_expression(&format!("array_agg({value} ORDER BY {order})"))?;
        let mut select = select.clone();
        select.projection = vec![SelectItem::UnnamedExpr(list)];
        return Ok(Some(format!("coalesce(({select}), [])")));
    }
    *made += 1;
    let name = format!("__list{made}");
    let options = match order {
        [] => String::new(),
        [one] if is_by_value(query, one) => one.options.to_string(),
        _ => return Err(instead()),
    };
    Ok(Some(format!(
        "coalesce((SELECT array_agg({name}.v ORDER BY {name}.v{options}) FROM ({query}) AS {name}(v)), [])"
    )))
}

fn instead() -> String {
    "ARRAY(SELECT …) of groups, or of some of the rows, is ordered by its value; for another order write (SELECT array_agg(value ORDER BY …) FROM (SELECT …) AS t)".to_owned()
}

/// A SELECT whose rows are those of its relations.
fn plain(query: &Query) -> Option<&Select> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let is_grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(keys, modifiers) => !keys.is_empty() || !modifiers.is_empty(),
    };
    let is_plain = query.with.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && select.qualify.is_none()
        && !is_grouped;
    is_plain.then_some(select)
}

/// Whether rows are ordered by the one value that they have.
fn is_by_value(query: &Query, order: &OrderByExpr) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return false;
    };
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_slice()
    else {
        return false;
    };
    let by: Option<Expr> = ordered_by(&select.projection, &order.expr);
    by.as_ref() == Some(value)
}

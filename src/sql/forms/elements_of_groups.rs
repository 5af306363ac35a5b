//! `(array_agg(price ORDER BY at))[1]` beside `(array_agg(price ORDER BY at DESC))[1]`: the first and the last price of a group.
//!
//! The planner makes `nth_value` of each, and the calls of that in one SELECT take their rows in one order. So where there are several orders, they are
//! elements of lists.

use crate::sql::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArgumentClause, FunctionArguments, Select, SelectItem,
    Subscript,
};
use std::collections::BTreeSet;

/// Takes elements of lists that are put together in several orders.
///
/// # Errors
/// If an element cannot be written so.
pub fn in_several_orders(select: &mut Select) -> Result<(), String> {
    // Each sub-query has groups of its own.
    let mut orders = BTreeSet::new();
    for expr in computed(select) {
        walk::own_expressions(expr, &mut |it| {
            orders.extend(element(it).map(|(_, order, _)| order));
            Ok(())
        })?;
    }
    if orders.len() < 2 {
        return Ok(());
    }
    for expr in computed(select) {
        walk::own_expressions(expr, &mut |it| {
            if let Some((list, _, place)) = element(it) {
                *it = syntax::parse_expression(&format!("array_element({list}, {place})"))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What is computed of the groups of a SELECT.
fn computed(select: &mut Select) -> impl Iterator<Item = &mut Expr> {
    let items = select.projection.iter_mut().filter_map(|it| match it {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    items.chain(&mut select.having)
}

/// An element of a list that is put together of a group: the list, its order, and the place.
fn element(expr: &Expr) -> Option<(&Function, String, &Expr)> {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else {
        return None;
    };
    let [AccessExpr::Subscript(Subscript::Index { index })] = access_chain.as_slice() else {
        return None;
    };
    let mut list = root.as_ref();
    while let Expr::Nested(inner) = list {
        list = inner;
    }
    let Expr::Function(call) = list else {
        return None;
    };
    let FunctionArguments::List(arguments) = &call.args else {
        return None;
    };
    let is_list = call.name.to_string().eq_ignore_ascii_case("array_agg") && call.over.is_none();
    let order = arguments.clauses.iter().find_map(|it| match it {
        FunctionArgumentClause::OrderBy(order) => {
            let order: Vec<String> = order.iter().map(ToString::to_string).collect();
            Some(order.join(", "))
        }
        _ => None,
    });
    is_list.then(|| (call, order.unwrap_or_default(), index))
}

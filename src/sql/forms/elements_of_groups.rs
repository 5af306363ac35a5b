//! `(array_agg(price ORDER BY at))[1]` beside `(array_agg(price ORDER BY at DESC))[1]`: the first and the last price of a group.
//!
//! The planner makes `nth_value` of each, and the calls of that in one SELECT take their rows in one order. So where there are several orders, they are
//! elements of lists.

use crate::sql::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArgumentClause, FunctionArguments, Query, Select,
    SelectItem, Subscript, VisitorMut,
};
use std::ops::ControlFlow;

/// Takes elements of lists that are put together in several orders.
///
/// # Errors
/// If an element cannot be written so.
pub fn in_several_orders(select: &mut Select) -> Result<(), String> {
    let mut elements = Elements::default();
    for expr in computed(select) {
        walk::expression(expr, &mut elements)?;
    }
    elements.orders.sort();
    elements.orders.dedup();
    if elements.orders.len() < 2 {
        return Ok(());
    }
    elements.writes = true;
    for expr in computed(select) {
        walk::expression(expr, &mut elements)?;
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

#[derive(Default)]
struct Elements {
    /// In which orders lists are put together whose elements are taken.
    orders: Vec<String>,
    /// Whether they are written in another way.
    writes: bool,
    /// How many sub-queries are around: each has groups of its own.
    depth: usize,
}

impl VisitorMut for Elements {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let Some((list, order, place)) = element(expr).filter(|_| self.depth == 0) else {
            return ControlFlow::Continue(());
        };
        if !self.writes {
            self.orders.push(order);
            return ControlFlow::Continue(());
        }
        match syntax::parse_expression(&format!("array_element({list}, {place})")) {
            Ok(element) => {
                *expr = element;
                ControlFlow::Continue(())
            }
            Err(reason) => ControlFlow::Break(reason),
        }
    }
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

//! `HAVING max(v) = (SELECT max(v) FROM t)` over t itself: the value of the sub-query gets a name of its own.
//!
//! The planner calls both values `max(t.v)`, and cannot tell one from the other once the sub-query is a join.

use crate::sql::walk;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, TableFactor, VisitorMut,
};
use std::ops::ControlFlow;

/// Names values of sub-queries that are values of the SELECT around them, too.
///
/// # Errors
/// None, but where the walk itself ends.
pub fn name(select: &mut Select) -> Result<(), String> {
    let around = relations(select);
    let mut exprs: Vec<&mut Expr> = Vec::new();
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(it) | SelectItem::ExprWithAlias { expr: it, .. } = item {
            exprs.push(it);
        }
    }
    exprs.extend(&mut select.having);
    let texts: Vec<String> = exprs.iter().map(|it| it.to_string()).collect();
    let mut naming = Naming {
        around,
        text: texts.join("\n"),
    };
    for it in exprs {
        walk::expression(it, &mut naming)?;
    }
    Ok(())
}

struct Naming {
    /// Names of the relations of the SELECT.
    around: Vec<String>,
    /// What it computes.
    text: String,
}

impl VisitorMut for Naming {
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Expr::Subquery(query)
        | Expr::InSubquery {
            subquery: query, ..
        } = expr
        {
            self.name(query);
        }
        ControlFlow::Continue(())
    }
}

impl Naming {
    fn name(&self, query: &mut Query) {
        let own = query.to_string();
        let SetExpr::Select(select) = query.body.as_mut() else {
            return;
        };
        if !relations(select).iter().any(|it| self.around.contains(it)) {
            return;
        }
        let [item] = select.projection.as_mut_slice() else {
            return;
        };
        let SelectItem::UnnamedExpr(value @ Expr::Function(_)) = item else {
            return;
        };
        if self.text.replace(&own, "").contains(&value.to_string()) {
            *item = SelectItem::ExprWithAlias {
                expr: value.clone(),
                alias: Ident::new("__value"),
            };
        }
    }
}

/// What columns of the relations of a SELECT are qualified by.
fn relations(select: &Select) -> Vec<String> {
    let joined = select.from.iter().flat_map(|it| {
        let joined = it.joins.iter().map(|it| &it.relation);
        std::iter::once(&it.relation).chain(joined)
    });
    let names = joined.filter_map(|it| match it {
        TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        } => Some(alias.name.to_string()),
        TableFactor::Table { name, .. } => Some(name.to_string()),
        _ => None,
    });
    names.map(|it| it.to_lowercase()).collect()
}

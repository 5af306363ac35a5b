//! `sum(CASE WHEN a IN (SELECT …) THEN 1 ELSE 0 END)` and `GROUP BY` of such a value: a condition of this kind is maintained beside single rows, so
//! it is computed beside those that are grouped.

use crate::sql::{forms, syntax, walk};
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitorMut,
};
use std::ops::ControlFlow;

/// Computes such conditions of a SELECT over one relation in a sub-query of it.
///
/// # Errors
/// If the sub-query cannot be made.
pub fn beside_the_rows(select: &mut Select) -> Result<(), String> {
    let [from] = select.from.as_slice() else {
        return Ok(());
    };
    let name = match &from.relation {
        TableFactor::Table {
            name,
            args: None,
            alias,
            ..
        } => match alias {
            Some(it) if it.columns.is_empty() => it.name.to_string(),
            Some(_) => return Ok(()),
            None => name.0.last().map_or_else(String::new, |it| it.to_string()),
        },
        TableFactor::Derived {
            lateral: false,
            alias: Some(alias),
            ..
        } if alias.columns.is_empty() => alias.name.to_string(),
        _ => return Ok(()),
    };
    if !from.joins.is_empty() {
        return Ok(());
    }
    let mut found = Found::default();
    for (at, item) in select.projection.iter_mut().enumerate() {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(&*alias)),
            // What it has would be one of its columns.
            _ => return Ok(()),
        };
        found.is_key = is_key(&select.group_by, expr, alias, at + 1);
        walk::expression(expr, &mut found)?;
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        found.is_key = true;
        for it in keys {
            walk::expression(it, &mut found)?;
        }
    }
    if found.conditions.is_empty() {
        return Ok(());
    }
    let conditions = found.conditions.iter().enumerate();
    let conditions: Vec<String> = conditions
        .map(|(at, it)| format!("{it} AS __in{}", at + 1))
        .collect();
    let text = format!(
        "SELECT * FROM (SELECT *, {} FROM {}) AS {name}",
        conditions.join(", "),
        from.relation
    );
    if let SetExpr::Select(made) = *syntax::parse_query(&text)?.body {
        select.from = made.from;
    }
    Ok(())
}

/// Whether a SELECT groups by what stands in a place of it.
fn is_key(group_by: &GroupByExpr, expr: &Expr, alias: Option<&Ident>, place: usize) -> bool {
    let GroupByExpr::Expressions(keys, _) = group_by else {
        return false;
    };
    keys.iter().any(|key| match key {
        Expr::Identifier(it) => {
            let alias = alias.map(syntax::known_as);
            alias == Some(syntax::known_as(it))
        }
        Expr::Value(it) => match &it.value {
            Value::Number(number, _) => *number == place.to_string(),
            _ => false,
        },
        key => key == expr,
    })
}

#[derive(Default)]
struct Found {
    conditions: Vec<String>,
    /// Whether the expression is grouped by.
    is_key: bool,
    aggregates: usize,
    queries: usize,
}

impl Found {
    /// Whether an expression is an aggregate without a FILTER, whose condition is maintained as it is.
    fn is_aggregate(expr: &Expr) -> bool {
        match expr {
            Expr::Function(call) => {
                let is_one = call.over.is_none() && call.filter.is_none();
                is_one && forms::is_aggregate(&call.name.to_string())
            }
            _ => false,
        }
    }
}

impl VisitorMut for Found {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        self.aggregates += usize::from(Found::is_aggregate(expr));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        self.aggregates -= usize::from(Found::is_aggregate(expr));
        let is_inside = self.queries == 0 && (self.is_key || 0 < self.aggregates);
        if !is_inside || !matches!(expr, Expr::InSubquery { .. }) {
            return ControlFlow::Continue(());
        }
        let text = expr.to_string();
        let known = self.conditions.iter().position(|it| *it == text);
        let at = known.unwrap_or_else(|| {
            self.conditions.push(text);
            self.conditions.len() - 1
        });
        *expr = Expr::Identifier(Ident::new(format!("__in{}", at + 1)));
        ControlFlow::Continue(())
    }
}

//! `SELECT sum(c) AS c … HAVING sum(c) > 2 ORDER BY max(c)`: a name inside an aggregate is the column, and not what the SELECT calls so.
//!
//! The planner takes what the SELECT calls so, unless the column is known to be of a relation: of a sub-query without a name it is
//! not, and in ORDER BY it never is. So such a sub-query is given a name, and in ORDER BY the column its relation.

use super::using::{Known, Names};
use super::{forms, syntax, walk};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor,
    VisitorMut,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Tells such columns from what the SELECT calls so, wherever in a query.
///
/// # Errors
/// None, but where the walk itself ends.
pub fn rewrite(query: &mut Query, known: &Known) -> Result<(), String> {
    struct Rewrite<'a> {
        names: Names<'a>,
        /// How many names were made up so far.
        made: usize,
    }
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.names.note(query);
            match in_order(query, &self.names, &mut self.made) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
            let Some(having) = &mut select.having else {
                return ControlFlow::Continue(());
            };
            let mut inside = Inside::new(&select.projection);
            if let Err(reason) = walk::expression(having, &mut inside) {
                return ControlFlow::Break(reason);
            }
            if !inside.found.is_empty() {
                name_sub_queries(select, &mut self.made);
            }
            ControlFlow::Continue(())
        }
    }
    let names = Names::new(known);
    walk::query(query, &mut Rewrite { names, made: 0 })
}

fn in_order(query: &mut Query, names: &Names, made: &mut usize) -> Result<(), String> {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(());
    };
    let Some(order) = &mut query.order_by else {
        return Ok(());
    };
    let OrderByKind::Expressions(exprs) = &mut order.kind else {
        return Ok(());
    };
    let mut inside = Inside::new(&select.projection);
    for it in exprs.iter_mut() {
        walk::expression(&mut it.expr, &mut inside)?;
    }
    if inside.found.is_empty() {
        return Ok(());
    }
    name_sub_queries(select, made);
    let columns = inside.found.iter().map(|it| {
        let column = Ident::with_quote('"', it);
        names.qualified(select, &column).map(|to| (it.clone(), to))
    });
    inside.columns = columns.flatten().collect();
    for it in exprs {
        walk::expression(&mut it.expr, &mut inside)?;
    }
    Ok(())
}

/// Gives the sub-queries of a FROM that have no name one.
fn name_sub_queries(select: &mut Select, made: &mut usize) {
    for from in &mut select.from {
        let joined = from.joins.iter_mut().map(|it| &mut it.relation);
        for factor in std::iter::once(&mut from.relation).chain(joined) {
            if let TableFactor::Derived {
                alias: alias @ None,
                ..
            } = factor
            {
                *made += 1;
                *alias = Some(TableAlias {
                    explicit: true,
                    name: Ident::new(format!("__of{made}")),
                    columns: Vec::new(),
                    at: None,
                });
            }
        }
    }
}

/// Names inside aggregates that a SELECT calls something else by, but not those in sub-queries.
struct Inside {
    /// What the SELECT calls so.
    called: BTreeSet<String>,
    aggregates: usize,
    queries: usize,
    found: BTreeSet<String>,
    /// What is put in the place of a name.
    columns: Vec<(String, Expr)>,
}

impl Inside {
    fn new(projection: &[SelectItem]) -> Self {
        let called = projection.iter().filter_map(|it| match it {
            SelectItem::ExprWithAlias { expr, alias } => {
                let name = syntax::known_as(alias);
                let is_column = match expr {
                    Expr::Identifier(it) => syntax::known_as(it) == name,
                    Expr::CompoundIdentifier(parts) => {
                        parts.last().is_some_and(|it| syntax::known_as(it) == name)
                    }
                    _ => false,
                };
                (!is_column).then_some(name)
            }
            _ => None,
        });
        Inside {
            called: called.collect(),
            aggregates: 0,
            queries: 0,
            found: BTreeSet::new(),
            columns: Vec::new(),
        }
    }
}

impl VisitorMut for Inside {
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
        self.aggregates += usize::from(is_aggregate(expr));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        self.aggregates -= usize::from(is_aggregate(expr));
        if let Expr::Identifier(name) = &*expr
            && self.queries == 0
            && 0 < self.aggregates
        {
            let name = syntax::known_as(name);
            if let Some((_, column)) = self.columns.iter().find(|it| it.0 == name) {
                *expr = column.clone();
            } else if self.called.contains(&name) {
                self.found.insert(name);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Whether an expression is an aggregate, and no window function.
pub fn is_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Function(call) => call.over.is_none() && forms::is_aggregate(&call.name.to_string()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_inside_an_aggregate_is_the_column() {
        let known = |name: &str| -> Option<Vec<String>> {
            let columns = ["k", "c"].map(str::to_owned);
            (name == "t").then(|| columns.into())
        };
        for (text, expected) in [
            (
                "SELECT k, sum(c) AS c FROM (SELECT k, c FROM t) GROUP BY k HAVING sum(c) > 2",
                "SELECT k, sum(c) AS c FROM (SELECT k, c FROM t) AS __of1 GROUP BY k HAVING sum(c) > 2",
            ),
            (
                "SELECT k, min(c) AS c FROM t GROUP BY k HAVING max(c) > 2 ORDER BY max(c), c LIMIT 2",
                r#"SELECT k, min(c) AS c FROM t GROUP BY k HAVING max(c) > 2 ORDER BY max(t."c"), c LIMIT 2"#,
            ),
            (
                "SELECT k, sum(c) AS c FROM (SELECT * FROM t) GROUP BY k ORDER BY sum(c) DESC",
                r#"SELECT k, sum(c) AS c FROM (SELECT * FROM t) AS __of1 GROUP BY k ORDER BY sum(__of1."c") DESC"#,
            ),
            // Nothing else is called so.
            (
                "SELECT k, c AS c, sum(c) AS s FROM (SELECT k, c FROM t) GROUP BY k, c HAVING sum(c) > 2 ORDER BY sum(c), abs(s)",
                "SELECT k, c AS c, sum(c) AS s FROM (SELECT k, c FROM t) GROUP BY k, c HAVING sum(c) > 2 ORDER BY sum(c), abs(s)",
            ),
        ] {
            let mut query = syntax::parse_query(text).unwrap();
            rewrite(&mut query, &known).unwrap();
            assert_eq!(query.to_string(), expected, "{text}");
        }
    }
}

//! What the metrics of a detector measure: columns of the view that it watches.
//!
//! A detector's input is a query over that view, whose columns `_0`, `_1`, … are the arguments of its metrics.

use super::syntax::{self, known_as};
use super::walk;
use crate::plan::{Plan, ViewSpec};
use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr, VisitorMut};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// For each metric of a detector the columns of the watched view that it measures; of a ratio those of its failures. Empty for any other view.
pub fn measured(scores: &ViewSpec) -> BTreeMap<String, Vec<String>> {
    let Plan::Detect { detection, .. } = &scores.plan else {
        return BTreeMap::new();
    };
    let of = |metric: &crate::plan::MetricSpec| {
        let number = metric.columns[0] - detection.keys.len() - 1;
        let found = argument(&scores.sql, number);
        (metric.name.clone(), found.map_or_else(Vec::new, columns))
    };
    detection.metrics.iter().map(of).collect()
}

/// The argument of a metric in a detector's input query, by its number.
pub(super) fn argument(input_sql: &str, number: usize) -> Option<Expr> {
    let query = syntax::parse_query(input_sql).ok()?;
    let SetExpr::Select(select) = *query.body else {
        return None;
    };
    let name = format!("_{number}");
    select.projection.into_iter().find_map(|it| match it {
        SelectItem::ExprWithAlias {
            expr: Expr::Cast { expr, .. },
            alias,
        } if alias.value == name => Some(*expr),
        _ => None,
    })
}

/// The columns that an expression reads, in the order of their names.
fn columns(expr: Expr) -> Vec<String> {
    struct Columns(BTreeSet<String>);
    impl VisitorMut for Columns {
        type Break = String;

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
            let name = match expr {
                Expr::Identifier(name) => Some(name),
                Expr::CompoundIdentifier(names) => names.last_mut(),
                _ => None,
            };
            self.0.extend(name.map(|it| known_as(it)));
            ControlFlow::Continue(())
        }
    }
    let mut found = Columns(BTreeSet::new());
    if let Ok(mut query) = syntax::parse_query(&format!("SELECT {expr}")) {
        // It never breaks off.
        let _ = walk::query(&mut query, &mut found);
    }
    found.0.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_found_by_its_number_and_has_columns() {
        let sql = "SELECT \"k\", \"w\", CAST(a + abs(\"B\") AS DOUBLE) AS \"_0\", CAST(c AS BIGINT) AS \"_1\" FROM \"v\"";
        let of = |number: usize| argument(sql, number).map(columns);
        assert_eq!(of(0).unwrap(), ["B", "a"]);
        assert_eq!(of(1).unwrap(), ["c"]);
        assert_eq!(of(2), None);
    }
}

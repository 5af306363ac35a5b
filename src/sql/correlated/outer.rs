//! Columns that a sub-query has of the queries around it.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, Spans};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sub-query that an expression is.
pub fn of_expr(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

/// Whether anything in a plan has columns of an outer row.
pub fn is_correlated(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // It never fails.
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|it| {
            found |= it.exists(|it| Ok(matches!(it, Expr::OuterReferenceColumn(..))))?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found
}

/// A plan as a sub-query.
pub fn subquery(plan: LogicalPlan, spans: Spans) -> Subquery {
    Subquery {
        outer_ref_columns: plan.all_out_ref_exprs(),
        subquery: Arc::new(plan),
        spans,
    }
}

/// The columns that a plan has of the queries around it.
pub fn free(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut all = Vec::new();
    let mut add = |more: Vec<Column>| {
        for it in more {
            if !all.contains(&it) {
                all.push(it);
            }
        }
    };
    plan.apply_expressions(|expr| {
        add(free_of_expr(expr, plan)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    for (at, input) in plan.inputs().into_iter().enumerate() {
        let mut of_input = free(input)?;
        if let Some(left) = left_of_lateral(plan, at) {
            of_input.retain(|it| !left.schema().has_column(it));
        }
        add(of_input);
    }
    Ok(all)
}

pub fn free_of_expr(expr: &Expr, node: &LogicalPlan) -> Result<Vec<Column>> {
    let mut all = Vec::new();
    expr.apply(|it| {
        if let Expr::OuterReferenceColumn(_, it) = it {
            all.push(it.clone());
        }
        if let Some(it) = of_expr(it) {
            let mut of_subquery = free(&it.subquery)?;
            of_subquery.retain(|it| !has_column(node, it));
            all.extend(of_subquery);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(all)
}

/// Whether a column of sub-queries in a node is one of the node's own inputs.
fn has_column(node: &LogicalPlan, column: &Column) -> bool {
    let inputs = node.inputs();
    inputs.iter().any(|it| it.schema().has_column(column))
}

/// The left side of a join whose right side, the input at this place, may have its columns.
pub fn left_of_lateral(plan: &LogicalPlan, at: usize) -> Option<&LogicalPlan> {
    let LogicalPlan::Join(join) = plan else {
        return None;
    };
    let is_lateral = match join.right.as_ref() {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(it) => matches!(it.input.as_ref(), LogicalPlan::Subquery(_)),
        _ => false,
    };
    (at == 1 && is_lateral).then_some(&join.left)
}

/// What columns of outer rows are called instead.
pub type Renamed = BTreeMap<Column, Column>;

/// An expression of a node whose input now has the columns of outer rows.
pub fn as_own(expr: Expr, node: &LogicalPlan, names: &Renamed) -> Result<Expr> {
    replaced(expr, node, names, false)
}

fn replaced(expr: Expr, node: &LogicalPlan, names: &Renamed, stays_outer: bool) -> Result<Expr> {
    let changed = expr.transform_up(|it| match it {
        Expr::OuterReferenceColumn(field, column) => Ok(match names.get(&column) {
            None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
            Some(name) => Transformed::yes(match stays_outer {
                true => Expr::OuterReferenceColumn(field, name.clone()),
                false => Expr::Column(name.clone()),
            }),
        }),
        other => map_subquery(other, |it| {
            let mut names = names.clone();
            names.retain(|it, _| !has_column(node, it));
            let plan = renamed(Arc::unwrap_or_clone(it.subquery), &names)?;
            Ok(subquery(plan, it.spans))
        })
        .map(Transformed::yes),
    })?;
    Ok(changed.data)
}

/// A sub-query in which columns of outer rows have other names.
pub fn renamed(plan: LogicalPlan, names: &Renamed) -> Result<LogicalPlan> {
    if names.is_empty() {
        return Ok(plan);
    }
    let node = plan.clone();
    let plan = plan.map_expressions(|it| {
        let name = datafusion::logical_expr::expr_rewriter::NamePreserver::new(&node).save(&it);
        let it = replaced(it, &node, names, true)?;
        Ok(Transformed::yes(name.restore(it)))
    })?;
    let mut at = 0;
    let plan = plan.data.map_children(|it| {
        let mut names = names.clone();
        if let Some(left) = left_of_lateral(&node, at) {
            names.retain(|it, _| !left.schema().has_column(it));
        }
        at += 1;
        Ok(Transformed::yes(renamed(it, &names)?))
    })?;
    plan.data.recompute_schema()
}

fn map_subquery(expr: Expr, change: impl FnOnce(Subquery) -> Result<Subquery>) -> Result<Expr> {
    Ok(match expr {
        Expr::ScalarSubquery(it) => Expr::ScalarSubquery(change(it)?),
        Expr::Exists(Exists { subquery, negated }) => Expr::Exists(Exists {
            subquery: change(subquery)?,
            negated,
        }),
        Expr::InSubquery(it) => Expr::InSubquery(InSubquery {
            subquery: change(it.subquery)?,
            ..it
        }),
        Expr::SetComparison(it) => Expr::SetComparison(SetComparison {
            subquery: change(it.subquery)?,
            ..it
        }),
        other => other,
    })
}

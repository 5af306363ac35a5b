//! Orders that leave nothing open: the first of equal rows is the same one in every run, live and in a batch.
//!
//! Where a result depends on which of two rows comes first, and the query's order does not say it, the rows' own columns do: they stand behind
//! what the query orders by, of records as they are read only those that say where each was read. Ranks, and frames of rows that are equal in the
//! order, are the same without.

use crate::plan::{
    Dataflow, LATE_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN, SESSION_END, SESSION_START,
};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction, Sort, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, LogicalPlan, Sort as SortedRows, Window, WindowFrameUnits,
    WindowFunctionDefinition,
};
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use std::sync::Arc;

/// Aggregates whose result depends on the order of rows.
const ORDERED: [&str; 5] = [
    "first_value",
    "last_value",
    "nth_value",
    "string_agg",
    "array_agg",
];

/// The same query with definite orders.
///
/// # Errors
/// If a node cannot be made anew.
pub fn definite(
    plan: LogicalPlan,
    dataflow: &Dataflow,
    state: &SessionState,
) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        // The first row of each group, in the end.
        LogicalPlan::Distinct(Distinct::On(_)) => {
            ReplaceDistinctWithAggregate::new().rewrite(node, state)
        }
        other => Ok(Transformed::no(other)),
    })?;
    let plan = plan.data;
    let changed = plan.transform_up_with_subqueries(|node| {
        Ok(match node {
            LogicalPlan::Window(it) => {
                let below = ties(&it.input, dataflow);
                let exprs = it
                    .window_expr
                    .iter()
                    .map(|it| named(it, |it| of_window(it, &below)));
                let exprs = exprs.collect::<Result<Vec<_>>>()?;
                // Functions of one node share an order: those that got a longer one have a node of their own.
                let pairs = it.window_expr.iter().zip(exprs);
                let (same, longer): (Vec<_>, Vec<_>) = pairs.partition(|(old, new)| *old == new);
                let mut input = it.input;
                for group in [longer, same] {
                    let group: Vec<Expr> = group.into_iter().map(|it| it.1).collect();
                    if !group.is_empty() {
                        input = Arc::new(LogicalPlan::Window(Window::try_new(group, input)?));
                    }
                }
                Transformed::yes(Arc::unwrap_or_clone(input))
            }
            LogicalPlan::Aggregate(it) => {
                let is_ordered = |it: &Expr| match it.clone().unalias_nested().data {
                    Expr::AggregateFunction(it) => ORDERED.contains(&it.func.name()),
                    _ => false,
                };
                if !it.aggr_expr.iter().any(is_ordered) {
                    return Ok(Transformed::no(LogicalPlan::Aggregate(it)));
                }
                let below = ties(&it.input, dataflow);
                let exprs = it
                    .aggr_expr
                    .iter()
                    .map(|it| named(it, |it| of_aggregate(it, &below)));
                let exprs = exprs.collect::<Result<Vec<_>>>()?;
                let aggregate = Aggregate::try_new(it.input, it.group_expr, exprs)?;
                Transformed::yes(LogicalPlan::Aggregate(aggregate))
            }
            // The first rows by all their columns, where nothing says which.
            LogicalPlan::Limit(mut it) if !is_ordered(&it.input) => {
                let mut order = Vec::new();
                add_columns(&mut order, &ties(&it.input, dataflow));
                it.input = Arc::new(LogicalPlan::Sort(SortedRows {
                    expr: order,
                    input: it.input,
                    fetch: None,
                }));
                Transformed::yes(LogicalPlan::Limit(it))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(changed.data)
}

/// Whether the rows of a plan are in an order that was asked for.
fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(it) => is_ordered(&it.input),
        LogicalPlan::SubqueryAlias(it) => is_ordered(&it.input),
        _ => false,
    }
}

/// An expression changed inside, under the name it had.
fn named(expr: &Expr, change: impl Fn(Expr) -> Expr) -> Result<Expr> {
    let name = NamePreserver::new_for_projection().save(expr);
    let changed = expr.clone().transform_down(|it| {
        let is_call = matches!(it, Expr::WindowFunction(_) | Expr::AggregateFunction(_));
        Ok(match is_call {
            true => Transformed::yes(change(it)),
            false => Transformed::no(it),
        })
    })?;
    Ok(name.restore(changed.data))
}

fn of_window(expr: Expr, below: &[Expr]) -> Expr {
    let Expr::WindowFunction(mut call) = expr else {
        return expr;
    };
    if depends_on_ties(&call) {
        add_columns(&mut call.params.order_by, below);
    }
    Expr::WindowFunction(call)
}

fn depends_on_ties(call: &WindowFunction) -> bool {
    match &call.fun {
        WindowFunctionDefinition::WindowUDF(it) => !matches!(
            it.name(),
            "rank" | "dense_rank" | "percent_rank" | "cume_dist" | SESSION_START | SESSION_END
        ),
        WindowFunctionDefinition::AggregateUDF(it) => {
            call.params.window_frame.units == WindowFrameUnits::Rows || ORDERED.contains(&it.name())
        }
    }
}

fn of_aggregate(expr: Expr, below: &[Expr]) -> Expr {
    match expr {
        Expr::AggregateFunction(AggregateFunction { func, mut params })
            if ORDERED.contains(&func.name()) =>
        {
            // Of distinct values only their own order can be told.
            match params.distinct {
                true => params
                    .order_by
                    .extend(params.args.first().map(|it| it.clone().sort(true, true))),
                false => {
                    if params.order_by.is_empty() && func.name().ends_with("_agg") {
                        let by_value = params.args.first().map(|it| it.clone().sort(true, true));
                        params.order_by.extend(by_value);
                    }
                    add_columns(&mut params.order_by, below);
                }
            }
            let mut known = Vec::new();
            params.order_by.retain(|it: &Sort| {
                let is_new = !known.contains(&it.expr);
                known.push(it.expr.clone());
                is_new
            });
            Expr::AggregateFunction(AggregateFunction { func, params })
        }
        other => other,
    }
}

fn add_columns(order: &mut Vec<Sort>, below: &[Expr]) {
    for column in below {
        if !order.iter().any(|it| it.expr == *column) {
            order.push(column.clone().sort(true, true));
        }
    }
}

/// The columns that tell rows of a plan apart.
pub fn ties(plan: &LogicalPlan, dataflow: &Dataflow) -> Vec<Expr> {
    let mut columns = plan.schema().columns();
    // A batch knows the mark of late records, the live view does not.
    columns.retain(|it| it.name != LATE_COLUMN);
    let place = [PARTITION_COLUMN, OFFSET_COLUMN];
    if is_of_records(plan, dataflow)
        && place
            .iter()
            .all(|it| columns.iter().any(|at| at.name == *it))
    {
        columns.retain(|it| place.contains(&it.name.as_str()));
    }
    columns.into_iter().map(Expr::Column).collect()
}

/// Whether rows of a plan are records of one source or table.
fn is_of_records(plan: &LogicalPlan, dataflow: &Dataflow) -> bool {
    match plan {
        LogicalPlan::TableScan(it) => {
            let name = it.table_name.table();
            dataflow.source(name).is_some() || dataflow.tables.iter().any(|it| it.name == name)
        }
        LogicalPlan::Filter(it) => is_of_records(&it.input, dataflow),
        LogicalPlan::SubqueryAlias(it) => is_of_records(&it.input, dataflow),
        LogicalPlan::Projection(it) => is_of_records(&it.input, dataflow),
        _ => false,
    }
}

//! Whether a sub-query has at most one row for each outer row.
//!
//! That is so if some key of its rows (a set of columns in which no two rows are equal) is fixed: by an aggregate without GROUP BY, by LIMIT 1, or by
//! equality with the outer row's columns or constants.

use crate::plan::{Dataflow, Plan};
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, ExprSchemable, FetchType, LogicalPlan, Operator,
    WindowFunctionDefinition,
};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use std::collections::BTreeSet;

/// Columns, by their place, in which no two rows of a plan are equal.
type Key = BTreeSet<usize>;

pub fn at_most(plan: &LogicalPlan, dataflow: &Dataflow) -> bool {
    keys(plan, dataflow).iter().any(BTreeSet::is_empty)
}

fn keys(plan: &LogicalPlan, dataflow: &Dataflow) -> Vec<Key> {
    match plan {
        LogicalPlan::EmptyRelation(_) => vec![Key::new()],
        LogicalPlan::Values(it) if it.values.len() <= 1 => vec![Key::new()],
        LogicalPlan::TableScan(it) => {
            let name = it.table_name.table();
            let view = dataflow.views.iter().find(|it| it.name == name);
            let of_view = view.and_then(|it| key_of_view(&it.plan));
            match it.projection {
                None => of_view.into_iter().collect(),
                Some(_) => Vec::new(),
            }
        }
        LogicalPlan::SubqueryAlias(it) => keys(&it.input, dataflow),
        LogicalPlan::Subquery(it) => keys(&it.subquery, dataflow),
        LogicalPlan::Sort(it) => keys(&it.input, dataflow),
        LogicalPlan::Limit(it) => match it.get_fetch_type() {
            Ok(FetchType::Literal(Some(0 | 1))) => vec![Key::new()],
            _ => keys(&it.input, dataflow),
        },
        LogicalPlan::Aggregate(it) => {
            let is_of_sets = |it: &Expr| matches!(it, Expr::GroupingSet(_));
            match it.group_expr.iter().any(is_of_sets) {
                true => Vec::new(),
                false => vec![(0..it.group_expr.len()).collect()],
            }
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let mut keys = keys(input, dataflow);
            keys.push((0..input.schema().fields().len()).collect());
            keys
        }
        LogicalPlan::Filter(it) => {
            let schema = it.input.schema();
            let parts = split_conjunction(&it.predicate);
            let fixed: Key = parts.iter().filter_map(|it| fixed(it, schema)).collect();
            let keys = keys(&it.input, dataflow).into_iter();
            keys.map(|it| it.difference(&fixed).copied().collect())
                .collect()
        }
        LogicalPlan::Projection(it) => {
            let schema = it.input.schema();
            let place = |of: usize| {
                it.expr.iter().position(|expr| match unaliased(expr) {
                    Expr::Column(column) => schema.maybe_index_of_column(column) == Some(of),
                    _ => false,
                })
            };
            let keys = keys(&it.input, dataflow).into_iter();
            keys.filter_map(|it| it.into_iter().map(place).collect())
                .collect()
        }
        LogicalPlan::Window(it) => {
            let schema = it.input.schema();
            let mut keys = keys(&it.input, dataflow);
            for (at, expr) in it.window_expr.iter().enumerate() {
                if let Expr::WindowFunction(call) = unaliased(expr)
                    && let Some(mut key) = numbered_within(call, schema)
                {
                    key.insert(schema.fields().len() + at);
                    keys.push(key);
                }
            }
            keys
        }
        LogicalPlan::Join(it) => {
            let (left, right) = (keys(&it.left, dataflow), keys(&it.right, dataflow));
            let of_left = it.left.schema().fields().len();
            match it.join_type {
                JoinType::Inner | JoinType::Left => left
                    .iter()
                    .flat_map(|left| {
                        right.iter().map(move |right| {
                            let right = right.iter().map(|it| it + of_left);
                            left.iter().copied().chain(right).collect()
                        })
                    })
                    .collect(),
                JoinType::LeftSemi | JoinType::LeftAnti => left,
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// The groups of a view, where its columns are those of its aggregate.
fn key_of_view(plan: &Plan) -> Option<Key> {
    match plan {
        Plan::Aggregate { aggregation, .. } => Some((0..aggregation.keys.len()).collect()),
        Plan::Map { input, columns, .. } => {
            let place = |of: usize| {
                let is_of = |it: &PhysicalColumn| it.index() == of;
                columns
                    .iter()
                    .position(|it| it.downcast_ref::<PhysicalColumn>().is_some_and(is_of))
            };
            key_of_view(input)?.into_iter().map(place).collect()
        }
        _ => None,
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(it) => unaliased(&it.expr),
        other => other,
    }
}

/// The column that a condition gives one value.
fn fixed(condition: &Expr, schema: &DFSchema) -> Option<usize> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = condition
    else {
        return None;
    };
    let of_column = |column: &Expr, value: &Expr| {
        let Expr::Column(column) = column else {
            return None;
        };
        let is_constant = value.column_refs().is_empty() && !super::has_subquery(value);
        let at = schema.maybe_index_of_column(column)?;
        let of_value = value.get_type(schema).ok()?;
        let are_alike = tells_apart(schema.field(at).data_type(), &of_value);
        (is_constant && are_alike).then_some(at)
    };
    of_column(left, right).or_else(|| of_column(right, left))
}

/// Whether only one value of a type can equal a value of another: `'1'` and `'01'` both equal the number 1.
fn tells_apart(column: &DataType, value: &DataType) -> bool {
    (column.is_integer() && value.is_integer())
        || (column == value && !column.is_floating() && !column.is_nested())
}

/// The columns within which a window function numbers rows.
fn numbered_within(call: &WindowFunction, schema: &DFSchema) -> Option<Key> {
    let is_number =
        matches!(&call.fun, WindowFunctionDefinition::WindowUDF(it) if it.name() == "row_number");
    let place = |it: &Expr| match it {
        Expr::Column(it) => schema.maybe_index_of_column(it),
        _ => None,
    };
    let within: Option<Key> = call.params.partition_by.iter().map(place).collect();
    within.filter(|_| is_number && call.params.filter.is_none())
}

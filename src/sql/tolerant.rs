//! Views with expressions that fail on some rows, computed in batch: those rows are left out, as the engine leaves them out.
//!
//! A batch engine ends a query at the first division by zero. A view that runs for months cannot: the row it fails on is left out and counted,
//! and the rest goes on. Which row that is depends on where the expression stands, so the plan is the one the engine is made from; the rule, per
//! node, is the same:
//!
//! - a projection leaves out the row for which one of its expressions fails;
//! - a filter leaves out the row for which its condition fails; a pair of rows for which that of a join fails does not match;
//! - keys of joins and groups, arguments of aggregates and of window functions, and what rows are ordered by leave out the row of the input.
//!
//! What is right of a row is found by evaluating it alone: what `AND`, `OR`, `COALESCE` and `CASE` pass over does not fail.

use super::planning_state;
use crate::plan::in_halves;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{ColumnarValue, LogicalPlan};
use datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode, PhysicalGroupBy};
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::prelude::SessionContext;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The rows of a plan without those that an expression fails for.
///
/// # Errors
/// If it fails for another reason.
pub async fn collect(session: &SessionContext, plan: &LogicalPlan) -> Result<Vec<RecordBatch>> {
    // As the engine gets it, and nothing moved any more.
    let plan = planning_state().optimize(plan)?;
    let state = SessionStateBuilder::new_from_existing(session.state())
        .with_optimizer_rules(vec![Arc::new(ReplaceDistinctWithAggregate::new())])
        .with_physical_optimizer_rules(vec![Arc::new(EnsureRequirements::new())])
        .build();
    let physical = state.create_physical_plan(&plan).await?;
    datafusion::physical_plan::collect(tolerant(physical)?, session.task_ctx()).await
}

/// The same plan without the rows that an expression fails for.
///
/// # Errors
/// If a node cannot be rebuilt.
pub fn tolerant(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let tolerant = plan.transform_up(|it| Ok(Transformed::yes(tolerant_node(it)?)))?;
    Ok(tolerant.data)
}

/// The same node over the rows for which its expressions do not fail.
fn tolerant_node(node: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(it) = node.downcast_ref::<ProjectionExec>() {
        let exprs = it.expr().iter().map(|it| Arc::clone(&it.expr));
        let Some(input) = computable(it.input(), exprs)? else {
            return Ok(node);
        };
        let exprs = it.expr().iter().map(|it| ProjectionExpr {
            expr: or_null(&it.expr),
            alias: it.alias.clone(),
        });
        return Ok(Arc::new(ProjectionExec::try_new(exprs, input)?));
    }
    if let Some(it) = node.downcast_ref::<FilterExec>() {
        let filter = FilterExecBuilder::new(or_null(it.predicate()), Arc::clone(it.input()))
            .apply_projection(it.projection().as_ref().map(|it| it.to_vec()))?
            .with_fetch(it.fetch());
        return Ok(Arc::new(filter.build()?));
    }
    if let Some(it) = node.downcast_ref::<AggregateExec>() {
        return match it.mode().input_mode() {
            AggregateInputMode::Raw => aggregate(&node, it),
            AggregateInputMode::Partial => Ok(node),
        };
    }
    if let Some(it) = node.downcast_ref::<HashJoinExec>() {
        let (left, right): (Vec<_>, Vec<_>) = it.on().iter().cloned().unzip();
        let inputs = [(it.left(), left), (it.right(), right)];
        let [left, right] = inputs.map(|(input, keys)| computable(input, keys));
        let left = left?.unwrap_or_else(|| Arc::clone(it.left()));
        let right = right?.unwrap_or_else(|| Arc::clone(it.right()));
        let join = it.builder().with_filter(it.filter().map(matching));
        return join.with_new_children(vec![left, right])?.build_exec();
    }
    if let Some(it) = node.downcast_ref::<NestedLoopJoinExec>() {
        let join = NestedLoopJoinExecBuilder::from(it);
        return Ok(Arc::new(
            join.with_filter(it.filter().map(matching)).build()?,
        ));
    }
    if let Some(it) = node.downcast_ref::<SortExec>() {
        let keys = it.expr().iter().map(|it| Arc::clone(&it.expr));
        return over(&node, it.input(), keys.collect());
    }
    let windows = match node.downcast_ref::<WindowAggExec>() {
        Some(it) => Some((it.window_expr(), it.input())),
        None => node
            .downcast_ref::<BoundedWindowAggExec>()
            .map(|it| (it.window_expr(), it.input())),
    };
    match windows {
        Some((windows, input)) => {
            let arguments = windows.iter().flat_map(|it| it.expressions());
            over(&node, input, arguments.collect())
        }
        None => Ok(node),
    }
}

fn aggregate(node: &Arc<dyn ExecutionPlan>, it: &AggregateExec) -> Result<Arc<dyn ExecutionPlan>> {
    let groups = it.group_expr();
    let keys = groups.expr().iter().map(|it| Arc::clone(&it.0));
    let arguments = it.aggr_expr().iter().flat_map(|it| it.expressions());
    let filters = it.filter_expr().iter().flatten().cloned();
    let Some(input) = computable(it.input(), keys.chain(arguments).chain(filters))? else {
        return Ok(Arc::clone(node));
    };
    let keys = groups.expr().iter();
    let groups = PhysicalGroupBy::new(
        keys.map(|(it, name)| (or_null(it), name.clone())).collect(),
        groups.null_expr().to_vec(),
        groups.groups().to_vec(),
        groups.has_grouping_set(),
    );
    let aggregates = it.aggr_expr().iter().map(|it| {
        let order = it.order_bys().iter().map(|it| Arc::clone(&it.expr));
        let arguments = it.expressions().iter().map(or_null).collect();
        let tolerant = it.with_new_expressions(arguments, order.collect());
        tolerant.map_or_else(|| Arc::clone(it), Arc::new)
    });
    let aggregates: Vec<Arc<AggregateFunctionExpr>> = aggregates.collect();
    let filters = it.filter_expr().iter();
    let filters = filters.map(|it| it.as_ref().map(or_null)).collect();
    let schema = it.input_schema();
    let tolerant = AggregateExec::try_new(*it.mode(), groups, aggregates, filters, input, schema)?;
    Ok(Arc::new(tolerant.with_limit_options(it.limit_options())))
}

/// The same node over the rows of its input for which these can be computed.
fn over(
    node: &Arc<dyn ExecutionPlan>,
    input: &Arc<dyn ExecutionPlan>,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    match computable(input, exprs)? {
        Some(input) => replace_children_if_necessary(Arc::clone(node), vec![input]),
        None => Ok(Arc::clone(node)),
    }
}

/// The condition of a join, which a pair that it fails for does not meet.
fn matching(filter: &JoinFilter) -> JoinFilter {
    JoinFilter::new(
        or_null(filter.expression()),
        filter.column_indices().to_vec(),
        Arc::clone(filter.schema()),
    )
}

/// The rows for which all of these can be computed; nothing if none of them can fail.
fn computable(
    input: &Arc<dyn ExecutionPlan>,
    exprs: impl IntoIterator<Item = Arc<dyn PhysicalExpr>>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let exprs: Vec<_> = exprs.into_iter().filter(|it| !cannot_fail(it)).collect();
    if exprs.is_empty() {
        return Ok(None);
    }
    let computable = FilterExec::try_new(Arc::new(Computable { exprs }), Arc::clone(input))?;
    Ok(Some(Arc::new(computable)))
}

fn cannot_fail(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is::<Column>() || expr.is::<Literal>()
}

fn or_null(expr: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    match cannot_fail(expr) {
        true => Arc::clone(expr),
        false => Arc::new(OrNull {
            expr: Arc::clone(expr),
        }),
    }
}

/// An expression that is NULL where it fails.
#[derive(Debug)]
struct OrNull {
    expr: Arc<dyn PhysicalExpr>,
}

impl PartialEq for OrNull {
    fn eq(&self, other: &Self) -> bool {
        self.expr.eq(&other.expr)
    }
}

impl Eq for OrNull {}

impl PhysicalExpr for OrNull {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if let Ok(all) = self.expr.evaluate(batch) {
            return Ok(all);
        }
        let data_type = self.expr.data_type(batch.schema_ref())?;
        let mut work = |rows: std::ops::Range<usize>| {
            let part = batch.slice(rows.start, rows.len());
            self.expr.evaluate(&part)?.into_array(rows.len())
        };
        let parts = in_halves(0..batch.num_rows(), &mut work).into_iter();
        let parts = parts
            .map(|(rows, part)| part.unwrap_or_else(|_| new_null_array(&data_type, rows.len())));
        let parts: Vec<ArrayRef> = parts.collect();
        let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(|it| it.as_ref()).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        let field = self.expr.return_field(input)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.expr]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = children.into_iter().next();
        Ok(Arc::new(OrNull {
            expr: expr.unwrap_or_else(|| Arc::clone(&self.expr)),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt_sql(f)
    }
}

impl fmt::Display for OrNull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "or_null({})", self.expr)
    }
}

impl Hash for OrNull {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expr.hash(state);
    }
}

/// Whether all of some expressions can be computed.
#[derive(Debug, PartialEq, Eq)]
struct Computable {
    exprs: Vec<Arc<dyn PhysicalExpr>>,
}

impl PhysicalExpr for Computable {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let mut work = |rows: std::ops::Range<usize>| {
            let part = batch.slice(rows.start, rows.len());
            self.exprs
                .iter()
                .try_for_each(|it| it.evaluate(&part).map(|_| ()))
        };
        let parts = in_halves(0..batch.num_rows(), &mut work);
        let each = parts
            .into_iter()
            .flat_map(|(rows, result)| std::iter::repeat_n(Some(result.is_ok()), rows.len()));
        let each: BooleanArray = each.collect();
        Ok(ColumnarValue::Array(Arc::new(each)))
    }

    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::new(Field::new("computable", DataType::Boolean, false)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.exprs.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Computable { exprs }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Computable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exprs: Vec<String> = self.exprs.iter().map(|it| it.to_string()).collect();
        write!(f, "computable({})", exprs.join(", "))
    }
}

impl Hash for Computable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.exprs.hash(state);
    }
}

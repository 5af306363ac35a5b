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

use super::{physical, planning_state};
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
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
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
    let mut rules = physical::meaning();
    rules.push(Arc::new(EnsureRequirements::new()));
    let state = SessionStateBuilder::new_from_existing(session.state())
        .with_optimizer_rules(vec![Arc::new(ReplaceDistinctWithAggregate::new())])
        .with_physical_optimizer_rules(rules)
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
    let mut inputs = Vec::new();
    for (input, exprs) in node.children().into_iter().zip(of_inputs(&node)) {
        inputs.push(computable(input, exprs)?.unwrap_or_else(|| Arc::clone(input)));
    }
    let node = match inputs.is_empty() {
        true => node,
        false => replace_children_if_necessary(node, inputs)?,
    };
    physical::exchanged(&node, &mut |it| Ok(or_null(it)))
}

/// For each input of a node, the expressions without which a row of it is left out. Conditions are none of them: they leave rows out themselves.
fn of_inputs(node: &Arc<dyn ExecutionPlan>) -> Vec<Vec<Arc<dyn PhysicalExpr>>> {
    if let Some(it) = node.downcast_ref::<ProjectionExec>() {
        return vec![it.expr().iter().map(|it| Arc::clone(&it.expr)).collect()];
    }
    if let Some(it) = node.downcast_ref::<AggregateExec>() {
        if it.mode().input_mode() == AggregateInputMode::Partial {
            return Vec::new();
        }
        let keys = it.group_expr().expr().iter().map(|it| Arc::clone(&it.0));
        let arguments = it.aggr_expr().iter().flat_map(|it| it.expressions());
        let filters = it.filter_expr().iter().flatten().cloned();
        return vec![keys.chain(arguments).chain(filters).collect()];
    }
    if let Some(it) = node.downcast_ref::<HashJoinExec>() {
        let (left, right) = it.on().iter().cloned().unzip();
        return vec![left, right];
    }
    if let Some(it) = node.downcast_ref::<SortExec>() {
        return vec![it.expr().iter().map(|it| Arc::clone(&it.expr)).collect()];
    }
    let windows = match node.downcast_ref::<WindowAggExec>() {
        Some(it) => it.window_expr(),
        None => node
            .downcast_ref::<BoundedWindowAggExec>()
            .map_or(&[][..], |it| it.window_expr()),
    };
    match windows {
        [] => Vec::new(),
        windows => vec![windows.iter().flat_map(|it| it.expressions()).collect()],
    }
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

//! Constants that no value goes with: `date_trunc('fortnight', at)`, `k ~ '['`, `date_bin(INTERVAL '0 minutes', at)`.
//!
//! The libraries find these when the first row is computed. In a dataflow each record would fail then, and become a dead letter. So a
//! call that has a constant is tried before anything runs: with its constants as they are, and null for everything else. What
//! fails then, fails for every row.

use super::functions::is_of_now;
use super::words;
use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, Volatility, col,
};
use std::sync::Arc;

/// Refuses a plan with a call that fails whatever the rows are. Its types must be resolved: it has been through the optimiser.
///
/// # Errors
/// What the call says.
pub fn refuse_impossible(plan: &LogicalPlan, state: &SessionState) -> Result<(), String> {
    let mut failed = None;
    let walked = plan.apply_with_subqueries(|node| {
        let below = match node.inputs().as_slice() {
            [] => node.schema().as_ref().clone(),
            inputs => merge_schema(inputs),
        };
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                failed = attempt(part, &below, state);
                Ok(match failed {
                    None => TreeNodeRecursion::Continue,
                    Some(_) => TreeNodeRecursion::Stop,
                })
            })
        })
    });
    walked.map_err(|it| words::planner(&it))?;
    failed.map_or(Ok(()), Err)
}

/// Refuses sums, differences and products of constants that BIGINT does not hold: the optimiser would compute them, and let them wrap around.
///
/// # Errors
/// Which one it is.
pub fn refuse_overflow(plan: &LogicalPlan) -> Result<(), DataFusionError> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            value(expr).map_err(DataFusionError::Plan)?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(())
}

/// The integer that a constant expression is, if it is one; inside of any expression it is looked for what is none.
fn value(expr: &Expr) -> Result<Option<i64>, String> {
    match expr {
        Expr::Literal(ScalarValue::Int64(it), _) => Ok(*it),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (Some(a), Some(b)) = (value(left)?, value(right)?) else {
                return Ok(None);
            };
            let result = match op {
                Operator::Plus => a.checked_add(b),
                Operator::Minus => a.checked_sub(b),
                Operator::Multiply => a.checked_mul(b),
                _ => return Ok(None),
            };
            match result {
                Some(it) => Ok(Some(it)),
                None => Err(format!("{a} {op} {b} is beyond what BIGINT holds")),
            }
        }
        other => {
            let mut inside = Ok(());
            let walked = other.apply_children(|it| {
                inside = value(it).map(drop);
                Ok(match inside {
                    Ok(()) => TreeNodeRecursion::Continue,
                    Err(_) => TreeNodeRecursion::Stop,
                })
            });
            walked.map_err(|it| it.strip_backtrace())?;
            inside.map(|()| None)
        }
    }
}

/// Why an expression fails for every row, if it does.
fn attempt(part: &Expr, below: &DFSchema, state: &SessionState) -> Option<String> {
    let constant = |it: &Expr| matches!(it, Expr::Literal(value, _) if !value.is_null());
    let mut fields = Vec::new();
    // A null of its type for what is not constant. Where the type is not known here, nothing is tried.
    let mut placed = |it: &Expr| {
        if constant(it) {
            return Some(it.clone());
        }
        let name = format!("c{}", fields.len());
        fields.push(Field::new(&name, it.get_type(below).ok()?, true));
        Some(col(name))
    };
    let call = match part {
        Expr::ScalarFunction(call)
            if call.func.signature().volatility == Volatility::Immutable
                // The engine takes it out of its filter: it never runs.
                && !is_of_now(call.func.name())
                && call.args.iter().any(constant) =>
        {
            let args = call.args.iter().map(&mut placed);
            let args = args.collect::<Option<Vec<Expr>>>()?;
            Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&call.func), args))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_pattern(*op) && constant(right) => {
            let (left, right) = (placed(left)?, placed(right)?);
            Expr::BinaryExpr(BinaryExpr::new(Box::new(left), *op, Box::new(right)))
        }
        _ => return None,
    };
    let tried = evaluate(call, Schema::new(fields), state);
    tried.err().map(|it| words::execution(&it))
}

fn is_pattern(op: Operator) -> bool {
    matches!(
        op,
        Operator::RegexMatch
            | Operator::RegexIMatch
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch
    )
}

/// Over one row of nulls.
fn evaluate(call: Expr, schema: Schema, state: &SessionState) -> Result<()> {
    let schema = Arc::new(schema);
    let physical = state.create_physical_expr(call, &DFSchema::try_from(Arc::clone(&schema))?)?;
    let columns = schema.fields().iter();
    let columns = columns.map(|it| new_null_array(it.data_type(), 1));
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let batch =
        RecordBatch::try_new_with_options(Arc::clone(&schema), columns.collect(), &one_row)?;
    physical.evaluate(&batch).map(drop)
}

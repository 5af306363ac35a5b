//! UNNEST: arrays that a SELECT computes, as rows of their elements. The arrays themselves are in no row that is kept.

use super::lower::{Lowered, Lowering};
use super::{types, words};
use crate::plan::{Plan, Unnest};
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, Unnest as LogicalUnnest};
use std::sync::Arc;

impl Lowering<'_> {
    /// The rows that arrays become.
    pub(super) fn unnest(&mut self, node: &LogicalUnnest) -> Result<Lowered, String> {
        let (below, condition) = match node.input.as_ref() {
            LogicalPlan::Projection(it) => (it, None),
            // The optimiser leaves conditions on fields of structs where they are.
            LogicalPlan::Filter(it) if let LogicalPlan::Projection(below) = it.input.as_ref() => {
                (below, Some(&it.predicate))
            }
            _ => return Err("UNNEST takes an array that its SELECT computes, such as unnest(string_to_array(text, ','))".to_owned()),
        };
        if !node.struct_type_columns.is_empty()
            || node.list_type_columns.iter().any(|it| it.1.depth != 1)
        {
            return Err(
                "UNNEST takes arrays of single values; take the values of structs by their names"
                    .to_owned(),
            );
        }
        let input = match condition {
            None => Arc::clone(&below.input),
            Some(condition) => {
                let filter = beneath(condition, below)
                    .and_then(|it| Filter::try_new(it, Arc::clone(&below.input)));
                let filter = filter.map_err(|it| words::planner(&it))?;
                Arc::new(LogicalPlan::Filter(filter))
            }
        };
        let planned = input.schema();
        let input = self.rows(&input)?;
        let (mut columns, mut is_list) = (Vec::new(), Vec::new());
        for at in &node.dependency_indices {
            let expr = &below.expr[*at];
            let list = node.list_type_columns.iter().any(|it| it.0 == *at);
            let expr = match list {
                true => expr.clone(),
                false => types::leaving(expr, planned).map_err(|it| words::planner(&it))?,
            };
            columns.push(self.expression(&expr, planned)?);
            is_list.push(list);
        }
        let plan = Plan::Unnest {
            input: Box::new(input),
            unnest: Arc::new(Unnest { columns, is_list }),
            schema: types::carried_schema(&node.schema),
        };
        Ok(Lowered { plan, last: None })
    }
}

/// A condition on what a projection gives, on what it takes.
fn beneath(condition: &Expr, projection: &Projection) -> PlanResult<Expr> {
    let condition = condition.clone().transform_up(|it| match it {
        Expr::Column(column) => {
            let at = projection.schema.index_of_column(&column)?;
            let value = projection.expr[at].clone().unalias_nested().data;
            Ok(Transformed::yes(value))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(condition.data)
}

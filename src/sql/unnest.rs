//! UNNEST: arrays that a SELECT computes, as rows of their elements. The arrays themselves are in no row that is kept.

use super::lower::{Lowered, Lowering};
use super::{types, words};
use crate::plan::{Plan, Unnest};
use datafusion::logical_expr::{LogicalPlan, Unnest as LogicalUnnest};
use std::sync::Arc;

impl Lowering<'_> {
    /// The rows that arrays become.
    pub(super) fn unnest(&mut self, node: &LogicalUnnest) -> Result<Lowered, String> {
        let LogicalPlan::Projection(below) = node.input.as_ref() else {
            return Err("UNNEST takes an array that its SELECT computes, such as unnest(string_to_array(text, ','))".to_owned());
        };
        if !node.struct_type_columns.is_empty()
            || node.list_type_columns.iter().any(|it| it.1.depth != 1)
        {
            return Err(
                "UNNEST takes arrays of single values; take the values of structs by their names"
                    .to_owned(),
            );
        }
        let input = self.rows(&below.input)?;
        let planned = below.input.schema();
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

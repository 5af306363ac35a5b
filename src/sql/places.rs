//! Places in lists that are counted without a sign: `list[cardinality(list)]`. DataFusion takes a place of a signed type only.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{ExprSchemable, GetFieldAccess, cast};

/// Gives a place the type that it needs. Comes before the planner that makes the access.
#[derive(Debug)]
pub struct Places;

impl ExprPlanner for Places {
    fn plan_field_access(
        &self,
        mut expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if let GetFieldAccess::ListIndex { key } = &mut expr.field_access
            // What has no type yet is for the planner to refuse.
            && key.get_type(schema).is_ok_and(|it| it.is_unsigned_integer())
        {
            let place = cast(key.as_ref().clone(), DataType::Int64);
            **key = place;
        }
        Ok(PlannerResult::Original(expr))
    }
}

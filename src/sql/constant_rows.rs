//! Relations without a source: `VALUES`, a SELECT without FROM, `generate_series` with constants, and what is computed from these alone.
//!
//! They are computed when the dataflow is planned, and are rows of the plan from then on.

use super::lower::Lowering;
use super::{types, words};
use crate::plan::{Plan, check_rows, nullable, typed};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlanProperties;
use futures::TryStreamExt;
use futures::executor::block_on;

/// Rows that one of them has at most: they lie in the plan of every worker.
const ROWS_MAX: usize = 100_000;

/// Functions in FROM that yield rows of their own.
pub(super) const ROW_FUNCTIONS: [&str; 2] = ["generate_series", "range"];

impl Lowering<'_> {
    /// Whether a plan reads nothing that changes.
    pub(super) fn is_constant(&self, plan: &LogicalPlan) -> bool {
        let mut is_constant = true;
        let walked = plan.apply_with_subqueries(|node| {
            is_constant &= match node {
                LogicalPlan::TableScan(scan) => self.is_of_function(scan.table_name.table()),
                // Each side is a relation of its own, also of ASOF joins, which only the engine computes.
                LogicalPlan::Union(_) | LogicalPlan::Extension(_) => false,
                _ => true,
            };
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    is_constant &= !matches!(part, Expr::OuterReferenceColumn(..));
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        is_constant && walked.is_ok()
    }

    fn is_of_function(&self, name: &str) -> bool {
        ROW_FUNCTIONS.contains(&name.trim_end_matches("()")) && !self.dataflow.has_relation(name)
    }

    /// The rows of a plan that reads nothing that changes.
    pub(super) fn constant(&self, plan: &LogicalPlan) -> Result<Plan, String> {
        let schema = types::carried_schema(plan.schema());
        check_rows(&schema)?;
        let rows = self.computed(plan).map_err(|it| words::planner(&it))?;
        if ROWS_MAX < rows.num_rows() {
            return Err(format!(
                "a relation of constants has at most {ROWS_MAX} rows; read larger ones from a source"
            ));
        }
        let rows = typed(&rows, &schema)?;
        Ok(Plan::Constant { rows, schema })
    }

    fn computed(&self, plan: &LogicalPlan) -> Result<RecordBatch, DataFusionError> {
        let columns = plan.schema().iter().enumerate();
        let columns = columns.map(|(at, field)| {
            let column = Expr::Column(Column::from(field));
            Ok(types::leaving(&column, plan.schema())?.alias(format!("c{at}")))
        });
        let columns: Vec<Expr> = columns.collect::<Result<_, DataFusionError>>()?;
        let plan = match columns.is_empty() {
            true => plan.clone(),
            false => LogicalPlanBuilder::from(plan.clone())
                .project(columns)?
                .build()?,
        };
        // A view's own planning keeps what the physical planner knows as a group only.
        let plan = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let columns = input.schema().columns().into_iter().map(Expr::Column);
                let groups = Aggregate::try_new(input, columns.collect(), Vec::new())?;
                Ok(Transformed::yes(LogicalPlan::Aggregate(groups)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let physical = block_on(self.state.create_physical_plan(&plan.data))?;
        let schema = nullable(&physical.schema());
        let (mut batches, mut rows) = (Vec::new(), 0);
        for partition in 0..physical.output_partitioning().partition_count() {
            let mut stream = physical.execute(partition, self.state.task_ctx())?;
            // Who waits here is not a task that could yield.
            while rows <= ROWS_MAX
                && let Some(batch) = block_on(tokio::task::unconstrained(stream.try_next()))?
            {
                rows += batch.num_rows();
                batches.push(batch);
            }
        }
        match batches.as_slice() {
            // Rows without a column are counted, and cannot be put together.
            [one] => Ok(one.clone()),
            _ => Ok(concat_batches(&schema, &batches)?),
        }
    }
}

//! Groups in an order are not limited where they are made.
//!
//! Of `SELECT DISTINCT … LIMIT n` DataFusion lets the aggregate end with n groups, as long as these are in no order. Whether they are is decided before it sorts
//! the inputs of window functions, whose order the groups above then have: such an aggregate takes the limit for one of `ORDER BY`, lacks its direction,
//! and the query fails.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use std::sync::Arc;

/// Takes the limit away from groups that have come into an order. The limit above them stays.
#[derive(Debug)]
pub struct NoLimitOfOrderedGroups;

impl PhysicalOptimizerRule for NoLimitOfOrderedGroups {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| {
            let unlimited = node.downcast_ref::<AggregateExec>().and_then(unlimited);
            Ok(match unlimited {
                Some(it) => Transformed::yes(Arc::new(it) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        });
        plan.map(|it| it.data)
    }

    fn name(&self) -> &str {
        "no_limit_of_ordered_groups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same groups, all of them; nothing if their limit holds.
fn unlimited(it: &AggregateExec) -> Option<AggregateExec> {
    let limit = it.limit_options()?;
    let has_direction = limit.descending().is_some() || it.get_minmax_desc().is_some();
    let holds = has_direction || it.is_unordered_unfiltered_group_by_distinct();
    (!holds).then(|| it.with_new_limit_options(None))
}

#[cfg(test)]
mod tests {
    use crate::sql::physical::rules;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    #[tokio::test]
    async fn groups_above_window_functions_have_a_limit() {
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_physical_optimizer_rules(rules())
            .build();
        let session = SessionContext::new_with_state(state);
        const WINDOW: &str = "SELECT k, count(*) OVER (PARTITION BY k) AS n FROM (VALUES ('a'), ('b'), (NULL), ('b')) AS v(k)";
        for query in [
            format!("SELECT DISTINCT k, n FROM ({WINDOW}) LIMIT 2"),
            format!("SELECT DISTINCT k FROM ({WINDOW}) LIMIT 2"),
            format!("SELECT k, n FROM ({WINDOW}) GROUP BY k, n LIMIT 2"),
            format!("SELECT k, n FROM ({WINDOW}) GROUP BY ROLLUP (k, n) LIMIT 2"),
        ] {
            let rows = session.sql(&query).await.expect("it is planned");
            let rows = rows.collect().await;
            let rows = rows.unwrap_or_else(|it| panic!("{query}\n  {it}"));
            let count: usize = rows.iter().map(|it| it.num_rows()).sum();
            assert_eq!(count, 2, "{query}");
        }
    }
}

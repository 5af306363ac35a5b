//! Filters are pushed down a physical plan only where names tell columns apart.
//!
//! DataFusion hands filters down a plan at its end, above all those that joins, top rows and aggregates learn while they run. On the way
//! it finds a filter's columns by name in the node below. Joins tell by position from which side a column is, but not which of two columns
//! of one name of that side it is: with `id` in three tables, a filter on the second is applied to the first, and row groups that hold
//! matches are skipped. So a plan is left without them where a name is not enough. What filters a query itself has are with the scans
//! already, which the logical plan has seen to.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNode;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::union::UnionExec;
use std::collections::BTreeSet;
use std::sync::Arc;

/// DataFusion's push-down of filters, for plans in which names tell columns apart.
#[derive(Debug)]
pub struct WhereNamesTell(pub Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for WhereNamesTell {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if plan.exists(|node| Ok(!names_tell(node.as_ref())))? {
            return Ok(plan);
        }
        self.0.optimize(plan, config)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Whether a column of this node is the one of its name in the nodes below.
fn names_tell(node: &dyn ExecutionPlan) -> bool {
    let schema = node.schema();
    let names: Vec<&String> = schema.fields().iter().map(|it| it.name()).collect();
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return false;
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let input = aggregate.input().schema();
        return aggregate.group_expr().expr().iter().all(|(it, name)| {
            let column = it.downcast_ref::<Column>();
            column.is_some_and(|it| it.name() == name) || input.column_with_name(name).is_none()
        });
    }
    if let Some(union) = node.downcast_ref::<UnionExec>() {
        return union.inputs().iter().all(|it| {
            let schema = it.schema();
            schema
                .fields()
                .iter()
                .map(|it| it.name())
                .eq(names.iter().copied())
        });
    }
    true
}

#[cfg(test)]
mod tests {
    use super::names_tell;
    use datafusion::common::tree_node::TreeNode;
    use datafusion::prelude::SessionContext;

    #[tokio::test]
    async fn columns_of_one_name_are_not_told_apart() {
        let session = SessionContext::new();
        for table in ["l (id INT, k INT)", "m (id INT, k INT)", "n (a INT, b INT)"] {
            let values = format!("CREATE TABLE {table} AS VALUES (1, 2), (3, 4)");
            session.sql(&values).await.expect("a table can be made");
        }
        for (query, expected) in [
            ("SELECT l.id, n.b FROM l JOIN n ON l.k = n.a", true),
            (
                "SELECT l.id, m.id AS other FROM l JOIN m ON l.k = m.k",
                false,
            ),
            ("SELECT id, count(*) FROM l GROUP BY id", true),
        ] {
            let frame = session.sql(query).await.expect("it can be planned");
            let plan = frame.create_physical_plan().await.expect("it can be run");
            let all_tell = !plan
                .exists(|it| Ok(!names_tell(it.as_ref())))
                .expect("it can be walked");
            assert_eq!(all_tell, expected, "{query}");
        }
    }
}

//! The keys of grouping sets are in no order.
//!
//! Where the input of an aggregate is sorted by a key, DataFusion takes its groups to be sorted by that key too, and lets groups further up end
//! where the key changes. With grouping sets that does not hold: a NULL stands for the key wherever a set leaves it out. Rows of one group
//! would come as two groups.

use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, PhysicalGroupBy};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Takes the order away from what grouping sets group by.
#[derive(Debug)]
pub struct NoOrderOfSets;

impl PhysicalOptimizerRule for NoOrderOfSets {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        super::aggregates(plan, without_order)
    }

    fn name(&self) -> &str {
        "no_order_of_sets"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same aggregate over keys in no order; nothing if it has no grouping sets.
fn without_order(it: &AggregateExec) -> Result<Option<AggregateExec>> {
    let groups = it.group_expr();
    if groups.is_single() {
        return Ok(None);
    }
    let keys = groups.expr().iter();
    let keys = keys.map(|(expr, name)| {
        let expr: Arc<dyn PhysicalExpr> = Arc::new(Unordered(Arc::clone(expr)));
        (expr, name.clone())
    });
    let groups = PhysicalGroupBy::new(
        keys.collect(),
        groups.null_expr().to_vec(),
        groups.groups().to_vec(),
        groups.has_grouping_set(),
    );
    let (aggregates, filters) = (it.aggr_expr().to_vec(), it.filter_expr().to_vec());
    let (input, schema) = (Arc::clone(it.input()), it.input_schema());
    let with = AggregateExec::try_new(*it.mode(), groups, aggregates, filters, input, schema)?;
    Ok(Some(with.with_limit_options(it.limit_options())))
}

/// The value of another expression, of whose order nothing is told.
#[derive(Debug)]
struct Unordered(Arc<dyn PhysicalExpr>);

impl PartialEq for Unordered {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl Eq for Unordered {}

impl Hash for Unordered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Unordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PhysicalExpr for Unordered {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.0.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.0.nullable(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let child = children.into_iter().next();
        let child = child.ok_or_else(|| internal_datafusion_err!("a value stands for another"))?;
        Ok(Arc::new(Unordered(child)))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::physical::rules;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    #[tokio::test]
    async fn groups_of_grouping_sets_are_whole() {
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_physical_optimizer_rules(rules())
            .build();
        // The rows of NULL come before and behind those of the other keys.
        let query = "SELECT k, count(*) AS c FROM (SELECT k, c, count(*) AS n FROM (SELECT k, c, rank() OVER (PARTITION BY k ORDER BY c) AS r FROM \
            (VALUES ('a', 1), ('b', 1), (NULL, 1), ('b', 2), ('c', 3)) AS v(k, c)) GROUP BY ROLLUP (k, c)) GROUP BY k HAVING count(*) > 2";
        let rows = SessionContext::new_with_state(state).sql(query).await;
        let rows = rows.unwrap().collect().await.unwrap();
        let table = arrow::util::pretty::pretty_format_batches(&rows).unwrap();
        let expected = "+---+---+\n| k | c |\n+---+---+\n| b | 3 |\n|   | 3 |\n+---+---+";
        let mut lines: Vec<String> = table.to_string().lines().map(str::to_owned).collect();
        lines[3..5].sort();
        let mut wanted: Vec<String> = expected.lines().map(str::to_owned).collect();
        wanted[3..5].sort();
        assert_eq!(lines, wanted);
    }
}

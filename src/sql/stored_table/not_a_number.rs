//! Reading floating-point numbers, of which those that are no number stand in no statistics.
//!
//! The least and the greatest value of a column, in a Parquet file as in the Delta log, are those of its numbers: `NaN`, which is
//! greater than each of them and equal to itself, is left out. A file that has one would be skipped by `f > 5`, by `f = 'NaN'`, and by the rows that
//! `ORDER BY f DESC LIMIT 10` has found so far. So what a filter says of such columns skips nothing, and what it says of others still does.

use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{ColumnarValue, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
    PushedDown,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

type Filter = Arc<dyn PhysicalExpr>;
type Node = Arc<dyn ExecutionPlan>;

/// Columns that have floating-point numbers, also inside.
fn floating(schema: &Schema) -> BTreeSet<String> {
    let fields = schema.fields().iter();
    let fields = fields.filter(|it| is_floating(it.data_type()));
    fields.map(|it| it.name().clone()).collect()
}

fn is_floating(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            is_floating(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|it| is_floating(it.data_type())),
        other => other.is_floating(),
    }
}

/// Whether a filter reads a column of these with floating-point numbers.
pub fn reads_floating(filter: &Expr, schema: &Schema) -> bool {
    let floating = floating(schema);
    let columns = filter.column_refs();
    columns.iter().any(|it| floating.contains(&it.name))
}

/// A scan behind which filters over floating-point numbers skip nothing; the scan itself if it reads none. It does not say that it keeps the order
/// of its rows, so that no sort moves below it and skips files by the rows that it has found.
pub fn with_all_numbers(scan: Node) -> Node {
    let floating = floating(&scan.schema());
    match floating.is_empty() {
        true => scan,
        false => Arc::new(AllNumbersExec {
            scan,
            floating: Arc::new(floating),
        }),
    }
}

#[derive(Debug)]
struct AllNumbersExec {
    scan: Node,
    floating: Arc<BTreeSet<String>>,
}

impl DisplayAs for AllNumbersExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> = self.floating.iter().map(String::as_str).collect();
        write!(f, "AllNumbersExec: columns=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for AllNumbersExec {
    fn name(&self) -> &str {
        "AllNumbersExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.scan]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Node>) -> Result<Node> {
        Ok(with_all_numbers(children.swap_remove(0)))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Filter) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.scan.execute(partition, context)
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    /// Without the least and greatest values, which may be others.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = inputs[0].as_ref().clone();
        let schema = self.schema();
        let columns = statistics.column_statistics.iter_mut();
        for (column, field) in columns.zip(schema.fields()) {
            if self.floating.contains(field.name()) {
                column.min_value = Precision::Absent;
                column.max_value = Precision::Absent;
            }
        }
        Ok(Arc::new(statistics))
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Filter>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let filters = filters.into_iter().map(|filter| -> Filter {
            match reads(&filter, &self.floating) {
                false => filter,
                true => Arc::new(OfOthers {
                    filter,
                    floating: Arc::clone(&self.floating),
                }),
            }
        });
        FilterDescription::from_children(filters.collect(), &self.children())
    }

    /// Whoever has a filter over these columns applies it.
    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Node>> {
        let filters = result.parent_filters.into_iter();
        let taken = filters.map(|it| match reads(&it.filter, &self.floating) {
            true => PushedDown::No,
            false => it.all(),
        });
        let taken = taken.collect();
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(
            taken,
        ))
    }
}

/// What a filter says of columns without floating-point numbers. It holds for every row for which the filter does.
#[derive(Debug, Eq)]
struct OfOthers {
    /// It may change while the query runs.
    filter: Filter,
    floating: Arc<BTreeSet<String>>,
}

impl PartialEq for OfOthers {
    fn eq(&self, other: &Self) -> bool {
        self.filter.eq(&other.filter) && self.floating == other.floating
    }
}

impl Hash for OfOthers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.filter.hash(state);
        self.floating.hash(state);
    }
}

impl fmt::Display for OfOthers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of other columns: {}", self.filter)
    }
}

impl PhysicalExpr for OfOthers {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.filter.nullable(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let filter = snapshot_physical_expr(Arc::clone(&self.filter))?;
        of_others(&filter, &self.floating).evaluate(batch)
    }

    fn children(&self) -> Vec<&Filter> {
        vec![&self.filter]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Filter>) -> Result<Filter> {
        Ok(Arc::new(OfOthers {
            filter: children.swap_remove(0),
            floating: Arc::clone(&self.floating),
        }))
    }

    fn snapshot(&self) -> Result<Option<Filter>> {
        let filter = snapshot_physical_expr(Arc::clone(&self.filter))?;
        Ok(Some(of_others(&filter, &self.floating)))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt_sql(f)
    }
}

/// A filter of which each condition on floating-point numbers holds always. None of them stands below a NOT.
fn of_others(filter: &Filter, floating: &BTreeSet<String>) -> Filter {
    if !reads(filter, floating) {
        return Arc::clone(filter);
    }
    match filter.downcast_ref::<BinaryExpr>() {
        Some(it) if matches!(it.op(), Operator::And | Operator::Or) => {
            let (left, right) = (it.left(), it.right());
            let (left, right) = (of_others(left, floating), of_others(right, floating));
            Arc::new(BinaryExpr::new(left, *it.op(), right))
        }
        _ => Arc::new(Literal::new(ScalarValue::Boolean(Some(true)))),
    }
}

fn reads(filter: &Filter, floating: &BTreeSet<String>) -> bool {
    let reads = filter.exists(|it| {
        let column = it.downcast_ref::<Column>();
        Ok(column.is_some_and(|it| floating.contains(it.name())))
    });
    reads.expect("looking at columns does not fail")
}

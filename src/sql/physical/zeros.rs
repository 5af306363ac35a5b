//! The two zeros of floating-point numbers are one value to `DISTINCT` in aggregates, as they are to groups, joins and comparisons.
//!
//! DataFusion tells the values of `count(DISTINCT x)` apart by their bits, of which `0.0` and `-0.0` have different ones. Adding
//! zero makes one of them, and nothing of any other value.

use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::{BinaryExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use std::sync::Arc;

/// Makes aggregates over distinct values take both zeros for one.
#[derive(Debug)]
pub struct OneZero;

impl PhysicalOptimizerRule for OneZero {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        super::aggregates(plan, with_one_zero)
    }

    fn name(&self) -> &str {
        "one_zero"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same aggregates over numbers with one zero; nothing if none of them can tell.
fn with_one_zero(it: &AggregateExec) -> Result<Option<AggregateExec>> {
    let (input, schema) = (Arc::clone(it.input()), it.input_schema());
    let mut aggregates = it.aggr_expr().to_vec();
    let mut changes = false;
    for function in aggregates.iter_mut().filter(|it| it.is_distinct()) {
        let arguments = function.expressions();
        let zeroless: Vec<_> = arguments
            .iter()
            .map(|it| one_zero(it, &schema))
            .collect::<Result<_>>()?;
        if zeroless.iter().all(Option::is_none) {
            continue;
        }
        // Distinct values are put in an order of their own, which is told by its expression.
        let in_place = |it: &Arc<dyn PhysicalExpr>| {
            let mut known = arguments.iter().zip(&zeroless);
            let other = known
                .find(|known| known.0 == it)
                .and_then(|it| it.1.clone());
            other.unwrap_or_else(|| Arc::clone(it))
        };
        let orders = function.order_bys().iter().map(|it| PhysicalSortExpr {
            expr: in_place(&it.expr),
            options: it.options,
        });
        let arguments = arguments.iter().map(in_place).collect();
        // Made anew, since what it keeps of an order has the name of that.
        let with = AggregateExprBuilder::new(Arc::new(function.fun().clone()), arguments)
            .schema(Arc::clone(&schema))
            .alias(function.name())
            .order_by(orders.collect())
            .with_distinct(true)
            .with_ignore_nulls(function.ignore_nulls())
            .build()?;
        *function = Arc::new(with);
        changes = true;
    }
    if !changes {
        return Ok(None);
    }
    let (groups, filters) = (it.group_expr().clone(), it.filter_expr().to_vec());
    let with = AggregateExec::try_new(*it.mode(), groups, aggregates, filters, input, schema)?;
    Ok(Some(with.with_limit_options(it.limit_options())))
}

/// A floating-point number plus zero; nothing for other values.
fn one_zero(it: &Arc<dyn PhysicalExpr>, input: &Schema) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let zero = match it.data_type(input)? {
        DataType::Float64 => ScalarValue::Float64(Some(0.0)),
        DataType::Float32 => ScalarValue::Float32(Some(0.0)),
        _ => return Ok(None),
    };
    let zero = Arc::new(Literal::new(zero));
    let sum = BinaryExpr::new(Arc::clone(it), Operator::Plus, zero);
    Ok(Some(Arc::new(sum)))
}

//! Joins in which NULL equals NULL, made last.
//!
//! DataFusion makes such a join of `a IS NOT DISTINCT FROM b` as soon as it sees one, and then moves plain equalities into it, which hold for
//! NULL from then on. So until all other rules are through, each stays a condition.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{NullEquality, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Join, JoinType, LogicalPlan, Operator, binary_expr,
};
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

pub type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// DataFusion's own rules with these.
pub fn rules() -> Vec<Rule> {
    made_last(Optimizer::new().rules)
}

/// Rules, with these in the place of DataFusion's.
pub fn made_last(rules: Vec<Rule>) -> Vec<Rule> {
    let own: Rule = Arc::new(NullEqualities::Kept);
    let mut made_last: Vec<Rule> = vec![Arc::new(NullEqualities::AsConditions)];
    made_last.extend(rules.into_iter().map(|it| {
        match it.name() == ExtractEquijoinPredicate::new().name() {
            true => Arc::clone(&own),
            false => it,
        }
    }));
    made_last.push(Arc::new(NullEqualities::AsKeys));
    made_last
}

/// What is done with equalities in which NULL equals NULL; other equalities become keys wherever there are any.
#[derive(Debug)]
enum NullEqualities {
    /// What an earlier round of the rules made keys becomes conditions again.
    AsConditions,
    Kept,
    AsKeys,
}

impl OptimizerRule for NullEqualities {
    fn name(&self) -> &str {
        match self {
            NullEqualities::AsConditions => "null_equalities_as_conditions",
            NullEqualities::Kept => "null_equalities_kept",
            NullEqualities::AsKeys => "null_equalities_as_keys",
        }
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else {
            return Ok(Transformed::no(plan));
        };
        match self {
            NullEqualities::AsConditions => Ok(as_conditions(join)),
            NullEqualities::Kept => {
                let conditions = join.filter.take().map(split_conjunction_owned);
                let conditions = conditions.unwrap_or_default().into_iter();
                let (null_equal, others): (Vec<_>, Vec<_>) = conditions.partition(is_null_equal);
                join.filter = conjunction(others);
                let made = with_keys(join, config)?;
                Ok(made.update_data(|it| match it {
                    LogicalPlan::Join(mut join) => {
                        join.filter = conjunction(null_equal.into_iter().chain(join.filter.take()));
                        LogicalPlan::Join(join)
                    }
                    other => other,
                }))
            }
            NullEqualities::AsKeys => with_keys(join, config),
        }
    }
}

/// DataFusion's rule; where NULL equals NULL already, plain equalities are no keys.
fn with_keys(join: Join, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
    let join = LogicalPlan::Join(join);
    match &join {
        LogicalPlan::Join(it) if it.null_equality == NullEquality::NullEqualsNull => {
            Ok(Transformed::no(join))
        }
        _ => ExtractEquijoinPredicate::new().rewrite(join, config),
    }
}

/// Only inner joins take up what is above them.
fn as_conditions(mut join: Join) -> Transformed<LogicalPlan> {
    let is_one = join.join_type == JoinType::Inner
        && join.null_equality == NullEquality::NullEqualsNull
        && !join.on.is_empty();
    if !is_one {
        return Transformed::no(LogicalPlan::Join(join));
    }
    let keys = std::mem::take(&mut join.on).into_iter();
    let keys = keys.map(|(left, right)| binary_expr(left, Operator::IsNotDistinctFrom, right));
    join.filter = conjunction(keys.chain(join.filter.take()));
    join.null_equality = NullEquality::NullEqualsNothing;
    Transformed::yes(LogicalPlan::Join(join))
}

fn is_null_equal(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::IsNotDistinctFrom,
            ..
        })
    )
}

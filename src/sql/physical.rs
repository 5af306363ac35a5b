//! Expressions of physical plans, exchanged for others wherever they stand: integers that do not wrap around, and variables of lambdas that stay apart
//! from columns.
//!
//! DataFusion lets `+`, `-` and `*` of integers wrap around: the greatest BIGINT and one more is the least. In views, batches and queries alike they
//! fail instead, as every other expression does that has no result. (Not in the arguments of window functions, which cannot be exchanged.)

mod grouping_sets;
mod limited_groups;
mod pushdown;
mod zeros;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, LambdaVariable};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode, PhysicalGroupBy};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use std::sync::Arc;

type Expr = Arc<dyn PhysicalExpr>;
type Node = Arc<dyn ExecutionPlan>;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// What makes values of every physical plan those of views: integers that fail instead of wrapping around, one zero, and whole groups above
/// grouping sets.
pub fn meaning() -> Vec<Rule> {
    vec![
        Arc::new(CheckedIntegers),
        Arc::new(zeros::OneZero),
        Arc::new(grouping_sets::NoOrderOfSets),
    ]
}

/// What is done to the physical plans of queries: DataFusion's own rules after those of [`meaning`], and what these leave to be mended.
pub fn rules() -> Vec<Rule> {
    let theirs = PhysicalOptimizer::new().rules.into_iter();
    let theirs = theirs.map(|it| match it.name().starts_with("FilterPushdown") {
        true => Arc::new(pushdown::WhereNamesTell(it)) as Rule,
        false => it,
    });
    let last: [Rule; 1] = [Arc::new(limited_groups::NoLimitOfOrderedGroups)];
    meaning().into_iter().chain(theirs).chain(last).collect()
}

/// Exchanges aggregates that take rows in for others that mean the same, where `other` gives one.
///
/// # Errors
/// If one cannot be made.
fn aggregates(
    plan: Node,
    other: impl Fn(&AggregateExec) -> Result<Option<AggregateExec>>,
) -> Result<Node> {
    let plan = plan.transform_up(|node| {
        let with = match node.downcast_ref::<AggregateExec>() {
            Some(it) if it.mode().input_mode() == AggregateInputMode::Raw => other(it)?,
            _ => None,
        };
        Ok(match with {
            Some(it) => Transformed::yes(Arc::new(it) as Node),
            None => Transformed::no(node),
        })
    });
    plan.map(|it| it.data)
}

/// Makes `+`, `-` and `*` fail where their result has no place.
#[derive(Debug)]
pub struct CheckedIntegers;

impl PhysicalOptimizerRule for CheckedIntegers {
    fn optimize(&self, plan: Node, _: &ConfigOptions) -> Result<Node> {
        let checked = plan.transform_up(|node| {
            let mut changes = false;
            let with = exchanged(&node, &mut |expr| {
                let checked = checked(expr)?;
                changes |= !Arc::ptr_eq(&checked, expr);
                Ok(checked)
            })?;
            Ok(match changes {
                true => Transformed::yes(with),
                false => Transformed::no(node),
            })
        });
        checked.map(|it| it.data)
    }

    fn name(&self) -> &str {
        "checked_integers"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Places of variables of lambdas begin here. DataFusion has them behind the columns of the input, and moves columns, but not these, where an
/// expression comes to stand over an input with more of them.
const VARIABLES_FROM: usize = 1 << 20;

/// The same expression, in which arithmetic fails where its result has no place, and no variable of a lambda has the place of a column.
///
/// # Errors
/// If it cannot be rebuilt.
pub fn checked(expr: &Expr) -> Result<Expr> {
    let changed = Arc::clone(expr).transform_up(|it| {
        if let Some(variable) = it.downcast_ref::<LambdaVariable>()
            && variable.index() < VARIABLES_FROM
        {
            let (at, field) = (variable.index() + VARIABLES_FROM, variable.field());
            let moved = LambdaVariable::new(at, Arc::clone(field));
            return Ok(Transformed::yes(Arc::new(moved)));
        }
        let Some(binary) = it.downcast_ref::<BinaryExpr>() else {
            return Ok(Transformed::no(it));
        };
        Ok(match binary.op() {
            Operator::Plus | Operator::Minus | Operator::Multiply => {
                let checked = binary.clone().with_fail_on_overflow(true);
                Transformed::yes(Arc::new(checked))
            }
            _ => Transformed::no(it),
        })
    })?;
    Ok(match changed.transformed {
        true => changed.data,
        false => Arc::clone(expr),
    })
}

/// A node with other expressions that mean the same. Window functions keep theirs.
///
/// # Errors
/// If one cannot be exchanged, or the node cannot be rebuilt.
pub fn exchanged(node: &Node, other: &mut dyn FnMut(&Expr) -> Result<Expr>) -> Result<Node> {
    if let Some(it) = node.downcast_ref::<ProjectionExec>() {
        let exprs = it.expr().iter().map(|it| {
            Ok(ProjectionExpr {
                expr: other(&it.expr)?,
                alias: it.alias.clone(),
            })
        });
        let exprs = exprs.collect::<Result<Vec<ProjectionExpr>>>()?;
        let input = Arc::clone(it.input());
        return Ok(Arc::new(ProjectionExec::try_new(exprs, input)?));
    }
    if let Some(it) = node.downcast_ref::<FilterExec>() {
        let filter = FilterExecBuilder::new(other(it.predicate())?, Arc::clone(it.input()))
            .apply_projection(it.projection().as_ref().map(|it| it.to_vec()))?
            .with_fetch(it.fetch());
        return Ok(Arc::new(filter.build()?));
    }
    if let Some(it) = node.downcast_ref::<AggregateExec>() {
        return match it.mode().input_mode() {
            AggregateInputMode::Raw => aggregate(it, other),
            AggregateInputMode::Partial => Ok(Arc::clone(node)),
        };
    }
    if let Some(it) = node.downcast_ref::<HashJoinExec>() {
        let on = it.on().iter();
        let on = on.map(|(left, right)| Ok((other(left)?, other(right)?)));
        let on = on.collect::<Result<Vec<(Expr, Expr)>>>()?;
        let filter = it.filter().map(|it| condition(it, other)).transpose()?;
        return it.builder().with_on(on).with_filter(filter).build_exec();
    }
    if let Some(it) = node.downcast_ref::<NestedLoopJoinExec>() {
        let filter = it.filter().map(|it| condition(it, other)).transpose()?;
        let join = NestedLoopJoinExecBuilder::from(it).with_filter(filter);
        return Ok(Arc::new(join.build()?));
    }
    if let Some(it) = node.downcast_ref::<SortExec>() {
        let keys = it.expr().iter().map(|it| {
            Ok(PhysicalSortExpr {
                expr: other(&it.expr)?,
                options: it.options,
            })
        });
        let keys = LexOrdering::new(keys.collect::<Result<Vec<PhysicalSortExpr>>>()?);
        return Ok(match keys {
            Some(keys) => {
                let sort = SortExec::new(keys, Arc::clone(it.input()))
                    .with_preserve_partitioning(it.preserve_partitioning());
                Arc::new(sort.with_fetch(it.fetch()))
            }
            None => Arc::clone(node),
        });
    }
    Ok(Arc::clone(node))
}

fn aggregate(it: &AggregateExec, other: &mut dyn FnMut(&Expr) -> Result<Expr>) -> Result<Node> {
    let groups = it.group_expr();
    let keys = groups.expr().iter();
    let keys = keys.map(|(it, name)| Ok((other(it)?, name.clone())));
    let groups = PhysicalGroupBy::new(
        keys.collect::<Result<Vec<_>>>()?,
        groups.null_expr().to_vec(),
        groups.groups().to_vec(),
        groups.has_grouping_set(),
    );
    let mut aggregates = Vec::new();
    for it in it.aggr_expr() {
        let arguments = it.expressions();
        let arguments = arguments.iter().map(&mut *other);
        let arguments = arguments.collect::<Result<Vec<Expr>>>()?;
        let order = it.order_bys().iter().map(|it| other(&it.expr));
        let with = it.with_new_expressions(arguments, order.collect::<Result<Vec<Expr>>>()?);
        aggregates.push(with.map_or_else(|| Arc::clone(it), Arc::new));
    }
    let filters = it.filter_expr().iter();
    let filters = filters.map(|it| it.as_ref().map(&mut *other).transpose());
    let filters = filters.collect::<Result<Vec<Option<Expr>>>>()?;
    let (mode, input) = (*it.mode(), Arc::clone(it.input()));
    let with = AggregateExec::try_new(mode, groups, aggregates, filters, input, it.input_schema())?;
    Ok(Arc::new(with.with_limit_options(it.limit_options())))
}

fn condition(
    filter: &JoinFilter,
    other: &mut dyn FnMut(&Expr) -> Result<Expr>,
) -> Result<JoinFilter> {
    Ok(JoinFilter::new(
        other(filter.expression())?,
        filter.column_indices().to_vec(),
        Arc::clone(filter.schema()),
    ))
}

#[cfg(test)]
mod tests {
    use super::rules;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    /// The projection is moved over all four columns, of which it was planned with two.
    #[tokio::test]
    async fn variables_of_lambdas_are_no_columns() {
        let config = SessionConfig::new().set_str("datafusion.sql_parser.dialect", "DuckDB");
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .with_physical_optimizer_rules(rules())
            .build();
        let query = "SELECT array_transform(make_array(a, b), lambda x: x + a) FROM (VALUES (1, 2, 3, 'x')) AS v(id, a, b, t)";
        let rows = SessionContext::new_with_state(state).sql(query).await;
        let rows = rows.unwrap().collect().await.unwrap();
        let list = arrow::util::display::array_value_to_string(rows[0].column(0), 0);
        assert_eq!(list.unwrap(), "[4, 5]");
    }
}

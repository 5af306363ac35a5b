//! Late records of a view, counted in a batch: of every aggregation that groups records by their window, how many came too late for
//! it, per window and epoch.
//!
//! Given is the plan of the view over late records alone, through the same rules as the plan of the view itself: what an aggregation groups is
//! only then what it groups there. Each such aggregation is found in it, and what it groups is counted instead. The epoch of a record is carried up
//! to there, whatever is selected in between.

use super::grouping_sets::sets;
use super::intervals::with_column;
use super::joins::NOT_IN_READS;
use super::lower::{needs_whole_groups, origin};
use crate::plan::{EPOCH_COLUMN, TUMBLE_END, TUMBLE_START};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{
    Distinct, Expr, LogicalPlan, LogicalPlanBuilder, SubqueryAlias, col, lit,
};
use std::sync::Arc;

/// The name under which the epoch travels.
const CARRIED: &str = "__epoch";

/// A plan for each aggregation of windows in an optimised plan, with the columns of the relation of late records.
///
/// # Errors
/// If one cannot be made.
pub fn counts(plan: &LogicalPlan, view: &str) -> Result<Vec<LogicalPlan>> {
    let mut found = Vec::new();
    collect(plan, view, &mut found)?;
    Ok(found)
}

fn collect(plan: &LogicalPlan, view: &str, found: &mut Vec<LogicalPlan>) -> Result<()> {
    let of_group = match plan {
        LogicalPlan::Aggregate(it) if let Ok(Some(sets)) = sets(&it.group_expr) => {
            for set in sets {
                found.extend(count_of(&set, &it.input, view)?);
            }
            None
        }
        // Records of groups that are kept whole are admitted one by one, and not counted.
        LogicalPlan::Aggregate(it) if it.aggr_expr.iter().any(needs_whole_groups) => None,
        LogicalPlan::Aggregate(it) => count_of(&it.group_expr, &it.input, view)?,
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let columns = input.schema().columns();
            let columns: Vec<Expr> = columns.into_iter().map(Expr::Column).collect();
            count_of(&columns, input, view)?
        }
        // Nothing else groups.
        _ => None,
    };
    found.extend(of_group);
    if let LogicalPlan::Join(join) = plan
        && join.null_aware
    {
        let sides = [&join.left, &join.right].into_iter().zip(NOT_IN_READS);
        return sides
            .flat_map(|(side, times)| std::iter::repeat_n(side, times))
            .try_for_each(|it| collect(it, view, found));
    }
    plan.inputs()
        .into_iter()
        .try_for_each(|it| collect(it, view, found))
}

/// What a group by these keys gets, counted per window; nothing if none of them tells the window of a record.
fn count_of(keys: &[Expr], input: &LogicalPlan, view: &str) -> Result<Option<LogicalPlan>> {
    let start = keys.iter().find_map(|key| {
        let Some((Expr::ScalarFunction(function), _)) = origin(key, input) else {
            return None;
        };
        let Some(Expr::Literal(ScalarValue::Int64(Some(size_us)), _)) = function.args.get(1) else {
            return None;
        };
        let key = key.clone().unalias();
        match function.name() {
            TUMBLE_START => Some(key),
            TUMBLE_END => Some(key - lit(ScalarValue::new_interval_mdn(0, 0, size_us * 1000))),
            _ => None,
        }
    });
    let (Some(start), Some((input, epoch))) = (start, with_epoch(input)?) else {
        return Ok(None);
    };
    let keys = [start.alias("window_start"), epoch.alias(EPOCH_COLUMN)];
    let plan = LogicalPlanBuilder::from(input)
        .aggregate(keys, [count(lit(1i64)).alias("records")])?
        .project([
            lit(view).alias("view"),
            col("window_start"),
            col("records"),
            col(EPOCH_COLUMN),
        ])?
        .build()?;
    Ok(Some(plan))
}

/// The same rows with the epoch of each as a column; nothing where records are no longer single.
fn with_epoch(plan: &LogicalPlan) -> Result<Option<(LogicalPlan, Expr)>> {
    let place = |plan: &LogicalPlan, name: &str| {
        let mut columns = plan.schema().columns().into_iter().rev();
        columns.find(|it| it.name == name).map(Expr::Column)
    };
    Ok(match plan {
        LogicalPlan::TableScan(scan) => match scan.source.schema().index_of(EPOCH_COLUMN) {
            Err(_) => None,
            Ok(epoch) => {
                let scan = LogicalPlan::TableScan(with_column(scan.clone(), epoch)?);
                place(&scan, EPOCH_COLUMN).map(|epoch| (scan, epoch))
            }
        },
        LogicalPlan::Filter(it) => match with_epoch(&it.input)? {
            None => None,
            Some((input, epoch)) => {
                let filtered = LogicalPlanBuilder::from(input).filter(it.predicate.clone())?;
                Some((filtered.build()?, epoch))
            }
        },
        LogicalPlan::SubqueryAlias(it) => match with_epoch(&it.input)? {
            None => None,
            Some((input, epoch)) => {
                let Expr::Column(epoch) = epoch else {
                    return Ok(None);
                };
                let alias = SubqueryAlias::try_new(Arc::new(input), it.alias.clone())?;
                let epoch = Column::new(Some(it.alias.clone()), epoch.name);
                Some((LogicalPlan::SubqueryAlias(alias), Expr::Column(epoch)))
            }
        },
        LogicalPlan::Projection(it) => match with_epoch(&it.input)? {
            None => None,
            Some((input, epoch)) => {
                let mut exprs = it.expr.clone();
                exprs.push(epoch.alias(CARRIED));
                let projected = LogicalPlanBuilder::from(input).project(exprs)?.build()?;
                place(&projected, CARRIED).map(|epoch| (projected, epoch))
            }
        },
        // Stored records, and those that a replay adds to them.
        LogicalPlan::Union(it) => {
            let mut union: Option<LogicalPlanBuilder> = None;
            for side in &it.inputs {
                let Some((input, epoch)) = with_epoch(side)? else {
                    return Ok(None);
                };
                let columns = side.schema().columns().into_iter().map(Expr::Column);
                let columns = columns.chain([epoch.alias(CARRIED)]);
                let input = LogicalPlanBuilder::from(input).project(columns)?;
                union = Some(match union {
                    None => input,
                    Some(before) => before.union(input.build()?)?,
                });
            }
            let Some(union) = union else {
                return Ok(None);
            };
            let union = union.build()?;
            place(&union, CARRIED).map(|epoch| (union, epoch))
        }
        // Rows of these are no records.
        _ => None,
    })
}

#[cfg(test)]
mod tests;

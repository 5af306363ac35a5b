//! Late records of a view, counted in a batch: at every place of its query that leaves records out, how many came too late for it, per window
//! and epoch.
//!
//! Such places are groups that close with their window, windows whose records are read one by one, and the sides of interval joins, which know no
//! window. Given is the plan of the view with late records alone in its windows, through the same rules as the plan of the view itself: only then
//! are conditions and sub-queries where they are there. Each place is found in it, and what it reads is counted instead. The epoch of a record is
//! carried up to there, whatever is selected in between.

use super::functions::is_of_now;
use super::grouping_sets::sets;
use super::intervals::{Interval, late_records, with_column};
use super::joins::NOT_IN_READS;
use super::lower::{needs_whole_groups, origin, window_of_marker};
use crate::plan::{
    ADMITTED, CountsLate, Dataflow, EPOCH_COLUMN, TUMBLE_END, TUMBLE_START, ViewSpec, late_schema,
};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, SubqueryAlias, col,
    lit,
};
use std::sync::Arc;

/// The name under which the epoch travels.
const CARRIED: &str = "__epoch";

/// A plan for each place that leaves records out in an optimised plan, with the columns of the relation of late records.
///
/// # Errors
/// If one cannot be made.
pub fn counts(
    plan: &LogicalPlan,
    view: &ViewSpec,
    dataflow: &Dataflow,
) -> Result<Vec<LogicalPlan>> {
    let mut counts = Counts {
        view: &view.name,
        dataflow,
        groups_close: view.plan.has_closing_groups(),
        found: Vec::new(),
    };
    counts.collect(plan)?;
    Ok(counts.found)
}

struct Counts<'a> {
    view: &'a str,
    dataflow: &'a Dataflow,
    /// Where groups do not, their records are admitted one by one.
    groups_close: bool,
    found: Vec<LogicalPlan>,
}

impl Counts<'_> {
    fn collect(&mut self, plan: &LogicalPlan) -> Result<()> {
        match plan {
            LogicalPlan::Aggregate(it) => return self.aggregate(it),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let columns = input.schema().columns();
                let columns: Vec<Expr> = columns.into_iter().map(Expr::Column).collect();
                return self.group(&columns, input);
            }
            LogicalPlan::Filter(it) if self.admitted(it)? => return Ok(()),
            LogicalPlan::Join(it) if it.null_aware => {
                let sides = [&it.left, &it.right].into_iter().zip(NOT_IN_READS);
                return sides
                    .flat_map(|(side, times)| std::iter::repeat_n(side, times))
                    .try_for_each(|it| self.collect(it));
            }
            LogicalPlan::Join(it) => self.interval(it)?,
            _ => {}
        }
        plan.inputs()
            .into_iter()
            .try_for_each(|it| self.collect(it))
    }

    fn aggregate(&mut self, node: &Aggregate) -> Result<()> {
        // Records of groups that are kept whole are admitted one by one.
        if node.aggr_expr.iter().any(needs_whole_groups) {
            return self.collect(&node.input);
        }
        match sets(&node.group_expr) {
            Ok(Some(sets)) => sets.iter().try_for_each(|it| self.group(it, &node.input)),
            _ => self.group(&node.group_expr, &node.input),
        }
    }

    /// What groups by these keys leave out, or what is below them if they do not decide that.
    fn group(&mut self, keys: &[Expr], input: &LogicalPlan) -> Result<()> {
        let start = match self.groups_close {
            true => start_of(keys, input),
            false => None,
        };
        if let Some(start) = start
            && self.count(input, start)?
        {
            return Ok(());
        }
        self.collect(input)
    }

    /// What a window leaves out whose records are read one by one; false if there is no window. Of windows over a plain view with windows of its own, the one
    /// above counts: the records that come to it are on time for those below.
    fn admitted(&mut self, filter: &Filter) -> Result<bool> {
        let parts = split_conjunction(&filter.predicate);
        let called = |it: &Expr| match it {
            Expr::ScalarFunction(it) => Some(it.clone()),
            _ => None,
        };
        // In the order in which they are lowered.
        let markers = parts.iter().rev().filter_map(|it| called(it));
        let mut markers = markers.filter(|it| it.func.name() == ADMITTED);
        let Some(marker) = markers.next() else {
            return Ok(false);
        };
        let Ok(window) = window_of_marker(&marker, filter.input.schema()) else {
            return Ok(false);
        };
        let start = match window.counts {
            CountsLate::ByWindow { size_us } => marker.args[0].clone() - microseconds(size_us),
            CountsLate::Together => no_window()?,
            CountsLate::Not => return Ok(true),
        };
        // Rows come and go by `now()` above.
        let is_plain = |it: &&&Expr| !called(it).is_some_and(|it| is_of_now(it.func.name()));
        let plain = parts.iter().filter(is_plain).map(|it| (*it).clone());
        let mut read = LogicalPlanBuilder::from(filter.input.as_ref().clone());
        if let Some(plain) = conjunction(plain) {
            read = read.filter(plain)?;
        }
        self.count(&read.build()?, start)?;
        Ok(true)
    }

    /// What an interval join leaves out of its single records.
    fn interval(&mut self, join: &Join) -> Result<()> {
        let Some(interval) = Interval::of(join, self.dataflow) else {
            return Ok(());
        };
        for (input, side) in [(&join.left, interval.left), (&join.right, interval.right)] {
            if !side.has_windows
                && let Some(late) = late_records(input)?
            {
                self.count(&late, no_window()?)?;
            }
        }
        Ok(())
    }

    /// Counts the rows of a plan by the start of their window; false where records are no longer single.
    fn count(&mut self, rows: &LogicalPlan, start: Expr) -> Result<bool> {
        let Some((rows, epoch)) = with_epoch(rows)? else {
            return Ok(false);
        };
        let keys = [start.alias("window_start"), epoch.alias(EPOCH_COLUMN)];
        let plan = LogicalPlanBuilder::from(rows)
            .aggregate(keys, [count(lit(1i64)).alias("records")])?
            .project([
                lit(self.view).alias("view"),
                col("window_start"),
                col("records"),
                col(EPOCH_COLUMN),
            ])?
            .build()?;
        self.found.push(plan);
        Ok(true)
    }
}

/// The start of the window that one of these keys tells of a record.
fn start_of(keys: &[Expr], input: &LogicalPlan) -> Option<Expr> {
    keys.iter().find_map(|key| {
        let Some((Expr::ScalarFunction(function), _)) = origin(key, input) else {
            return None;
        };
        let Some(Expr::Literal(ScalarValue::Int64(Some(size_us)), _)) = function.args.get(1) else {
            return None;
        };
        let key = key.clone().unalias();
        match function.name() {
            TUMBLE_START => Some(key),
            TUMBLE_END => Some(key - microseconds(*size_us)),
            _ => None,
        }
    })
}

fn microseconds(us: i64) -> Expr {
    lit(ScalarValue::new_interval_mdn(0, 0, us * 1000))
}

/// The start of a window where there is none.
fn no_window() -> Result<Expr> {
    let schema = late_schema();
    let start = schema.field_with_name("window_start")?.data_type();
    Ok(lit(ScalarValue::try_from(start)?))
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

//! Interval joins: joins of single records whose event times bound each other, as in `b.at BETWEEN a.at AND a.at + INTERVAL '1' HOUR`, and of
//! groups of windows, whose bounds do, as in `a.window_start = b.window_start + INTERVAL '1' MINUTE`.
//!
//! Once the watermark has passed the last time that can match a record, the record is let go. So a record that comes late, when others may have gone
//! already, takes part in no such join: as with sessions, its mark in the archive decides that, and every reading of a view leaves out the same
//! records. Both sides must be bounded, or one of them would be kept for ever anyway.
//!
//! The group of a window comes, changes and goes until the watermark has passed the end of the window; which records count in it is decided there. So its time is
//! that end, from which a bound of the window differs by a constant.

use super::functions::{DAY_US, is_of_now};
use super::lower::{bound_of_window, event_time_name, origin};
use super::planning_state;
use crate::plan::{ADMITTED, Dataflow, LATE_COLUMN};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Result, ScalarValue};
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Between, BinaryExpr, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator,
    TableScan, lit,
};
use std::sync::Arc;

/// Both sides of an interval join.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interval {
    pub left: Side,
    pub right: Side,
}

/// Rows of a side.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Side {
    /// The event time of records, or a bound of the window of groups.
    pub time: Column,
    /// Whether it has groups of windows; no record of it is left out here then.
    pub has_windows: bool,
    pub until: Until,
}

/// Up to which event time of the other side a row can find a match. A record of just that time may come as long as the watermark has not passed it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Until {
    /// That of its column, and so many microseconds more.
    After(i64),
    /// A value of the record, as `auction.expires`.
    At(Expr),
}

impl Interval {
    /// The bounds of a join; none if it is no interval join.
    pub fn of(join: &Join, dataflow: &Dataflow) -> Option<Self> {
        if join.join_type == JoinType::Full || join.null_aware {
            return None;
        }
        let sides = [&join.left, &join.right]
            .map(|it| Rows::records(it, dataflow).or_else(|| Rows::windows(it, dataflow)));
        let [Some(left), Some(right)] = sides else {
            return None;
        };
        let comparisons = comparisons(join);
        let of_left = left.until(&right, &comparisons)?;
        let of_right = right.until(&left, &comparisons)?;
        let (of_left, of_right) = match (join.join_type, of_left, of_right) {
            (JoinType::Inner, of_left, of_right) => (of_left, of_right),
            // A record that has a match must have it as long as it could still find one.
            (
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark,
                Until::After(left),
                Until::After(right),
            ) => (Until::After(left), Until::After(left.saturating_add(right))),
            (
                JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark,
                Until::After(left),
                Until::After(right),
            ) => (
                Until::After(left.saturating_add(right)),
                Until::After(right),
            ),
            _ => return None,
        };
        Some(Interval {
            left: left.side(of_left)?,
            right: right.side(of_right)?,
        })
    }

    /// How long after the last time that can match a row is let go, in microseconds: a record is on time until the watermark has passed it, and the group of a
    /// window is final when the watermark reaches its end.
    pub fn let_go_after_us(&self) -> i64 {
        i64::from(!(self.left.has_windows && self.right.has_windows))
    }
}

/// A side of a join, and the time of its rows: after it they neither come nor go.
struct Rows<'a> {
    schema: &'a DFSchema,
    time: Column,
    /// What is between this column and the end of the window, if the rows are groups of windows.
    to_end_us: Option<i64>,
}

impl<'a> Rows<'a> {
    /// Single records, as they are read.
    fn records(plan: &'a LogicalPlan, dataflow: &Dataflow) -> Option<Self> {
        let is_event_time = |it: &Column| {
            let found = origin(&Expr::Column(it.clone()), plan);
            let Some((Expr::Column(column), LogicalPlan::TableScan(scan))) = found else {
                return false;
            };
            event_time_name(scan.table_name.table(), dataflow).as_ref() == Some(&column.name)
        };
        let time = plan.schema().columns().into_iter().find(is_event_time)?;
        let is_plain = !decides_itself(plan).unwrap_or(true);
        is_plain.then_some(Rows {
            schema: plan.schema(),
            time,
            to_end_us: None,
        })
    }

    /// Groups of windows.
    fn windows(plan: &'a LogicalPlan, dataflow: &Dataflow) -> Option<Self> {
        let mut columns = plan.schema().columns().into_iter();
        columns.find_map(|time| {
            let to_end_us = Some(end_of_window(&time, plan, dataflow)?);
            Some(Rows {
                schema: plan.schema(),
                time,
                to_end_us,
            })
        })
    }

    fn side(self, until: Until) -> Option<Side> {
        let until = match (self.to_end_us, until) {
            (None, until) => until,
            (Some(to_end_us), Until::After(us)) => Until::After(us.checked_add(to_end_us)?),
            // A group that changes has another value, or may have.
            (Some(_), Until::At(_)) => return None,
        };
        Some(Side {
            time: self.time,
            has_windows: self.to_end_us.is_some(),
            until,
        })
    }

    fn has(&self, expr: &Expr) -> bool {
        let columns = expr.column_refs();
        !columns.is_empty() && columns.iter().all(|it| self.schema.has_column(it))
    }

    /// How far before or behind the time of its row an expression is.
    fn distance(&self, expr: &Expr) -> Option<i64> {
        let (column, us) = linear(expr)?;
        let us = us.checked_sub(self.to_end_us.unwrap_or(0))?;
        (*column == self.time).then_some(us)
    }

    /// Until when rows of this side can find matches on the other side, whose time comparisons bound: so long after their own.
    fn until(&self, other: &Rows, comparisons: &[(Expr, Expr)]) -> Option<Until> {
        let bounds = comparisons.iter().filter_map(|(small, large)| {
            let bounded = other.distance(small)?;
            let data_type = large.get_type(self.schema).ok();
            let is_time = matches!(
                data_type,
                Some(DataType::Timestamp(TimeUnit::Microsecond, _))
            );
            if !self.has(large) || !is_time {
                return None;
            }
            Some(match self.distance(large) {
                Some(own) => Until::After(own.checked_sub(bounded)?.max(0)),
                None if bounded == 0 => Until::At(large.clone()),
                None => Until::At(large.clone() - interval(bounded)?),
            })
        });
        // A distance frees more surely than a value of the record.
        bounds.min_by_key(|it| match it {
            Until::After(us) => (0, *us),
            Until::At(_) => (1, 0),
        })
    }
}

/// What is between a column and the end of the window that its row is the group of; nothing if it is no bound of one.
fn end_of_window(column: &Column, plan: &LogicalPlan, dataflow: &Dataflow) -> Option<i64> {
    let index = plan.schema().index_of_column(column).ok()?;
    let in_place = |input: &LogicalPlan| {
        let column = Column::from(input.schema().qualified_field(index));
        end_of_window(&column, input, dataflow)
    };
    match plan {
        LogicalPlan::Projection(it) => match it.expr[index].clone().unalias_nested().data {
            Expr::Column(column) => end_of_window(&column, &it.input, dataflow),
            _ => None,
        },
        LogicalPlan::SubqueryAlias(it) => in_place(&it.input),
        LogicalPlan::Filter(it) => in_place(&it.input),
        LogicalPlan::Aggregate(it) => {
            let key = it.group_expr.get(index)?;
            let (Expr::ScalarFunction(bound), below) = origin(key, &it.input)? else {
                return None;
            };
            let time = origin(bound.args.first()?, below)?;
            let (Expr::Column(time), LogicalPlan::TableScan(scan)) = time else {
                return None;
            };
            let event_time = event_time_name(scan.table_name.table(), dataflow)?;
            let window = bound_of_window(&bound).filter(|_| time.name == event_time)?;
            Some(window.add_us)
        }
        _ => None,
    }
}

/// Whether what is below a side decides itself which records there are: by their windows, or by `now()`.
fn decides_itself(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    let is_decision = |it: &Expr| match it {
        Expr::ScalarFunction(it) => it.func.name() == ADMITTED || is_of_now(it.func.name()),
        _ => false,
    };
    plan.apply(|node| {
        node.apply_expressions(|it| {
            found |= it.exists(|it| Ok(is_decision(it)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// What holds of matches, each as a smaller value and one that is at least as large.
fn comparisons(join: &Join) -> Vec<(Expr, Expr)> {
    let mut comparisons = Vec::new();
    let mut add = |small: &Expr, large: &Expr| comparisons.push((small.clone(), large.clone()));
    for (left, right) in &join.on {
        add(left, right);
        add(right, left);
    }
    for part in join.filter.iter().flat_map(|it| split_conjunction(it)) {
        match part {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::Lt | Operator::LtEq => add(left, right),
                Operator::Gt | Operator::GtEq => add(right, left),
                Operator::Eq => {
                    add(left, right);
                    add(right, left);
                }
                _ => {}
            },
            Expr::Between(Between {
                expr,
                negated: false,
                low,
                high,
            }) => {
                add(low, expr);
                add(expr, high);
            }
            _ => {}
        }
    }
    comparisons
}

/// A column, and how many microseconds are added to it.
fn linear(expr: &Expr) -> Option<(&Column, i64)> {
    match expr {
        Expr::Column(column) => Some((column, 0)),
        Expr::Alias(it) => linear(&it.expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (op, &**left, &**right) {
            (Operator::Plus, expr, Expr::Literal(it, _))
            | (Operator::Plus, Expr::Literal(it, _), expr) => {
                let (column, us) = linear(expr)?;
                Some((column, us.checked_add(interval_us(it)?)?))
            }
            (Operator::Minus, expr, Expr::Literal(it, _)) => {
                let (column, us) = linear(expr)?;
                Some((column, us.checked_sub(interval_us(it)?)?))
            }
            _ => None,
        },
        _ => None,
    }
}

/// How long an interval is; none if months are in it, which differ.
fn interval_us(interval: &ScalarValue) -> Option<i64> {
    match interval {
        ScalarValue::IntervalMonthDayNano(Some(it)) if it.months == 0 => {
            let days = i64::from(it.days).checked_mul(DAY_US)?;
            let has_rest = it.nanoseconds % 1000 != 0;
            (!has_rest).then_some(days.checked_add(it.nanoseconds / 1000)?)
        }
        ScalarValue::IntervalDayTime(Some(it)) => {
            let days = i64::from(it.days).checked_mul(DAY_US)?;
            days.checked_add(i64::from(it.milliseconds) * 1000)
        }
        _ => None,
    }
}

fn interval(us: i64) -> Option<Expr> {
    let nanoseconds = us.checked_mul(1000)?;
    Some(lit(ScalarValue::new_interval_mdn(0, 0, nanoseconds)))
}

/// An optimised plan whose interval joins read no late record, of relations that have their mark.
///
/// # Errors
/// If a node cannot be made anew.
pub(super) fn without_late_records(
    plan: LogicalPlan,
    dataflow: &Dataflow,
) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up(|node| {
        let LogicalPlan::Join(mut join) = node else {
            return Ok(Transformed::no(node));
        };
        let Some(interval) = Interval::of(&join, dataflow) else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        for (side, has_windows) in [
            (&mut join.left, interval.left.has_windows),
            (&mut join.right, interval.right.has_windows),
        ] {
            if has_windows {
                continue;
            }
            let on_time = side.as_ref().clone().transform_up(|node| match node {
                LogicalPlan::TableScan(scan) => marked(scan, Expr::is_null),
                other => Ok(Transformed::no(other)),
            })?;
            *side = Arc::new(on_time.data);
        }
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    })
}

/// The same for a plan that is not optimised yet. It is returned as it is if it has no interval join.
///
/// # Errors
/// If it cannot be optimised.
pub(super) fn settled(plan: LogicalPlan, dataflow: &Dataflow) -> Result<LogicalPlan> {
    let mut joins = false;
    plan.apply_with_subqueries(|node| {
        // Sub-queries may become joins.
        joins |= matches!(node, LogicalPlan::Join(_) | LogicalPlan::Subquery(_));
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !joins {
        return Ok(plan);
    }
    let optimized = planning_state().optimize(&plan)?;
    let settled = without_late_records(optimized, dataflow)?;
    Ok(match settled.transformed {
        true => settled.data,
        false => plan,
    })
}

/// The rows of a side of an interval join that come from late records; nothing if it reads no relation that has their mark.
///
/// # Errors
/// If a node cannot be made anew.
pub(super) fn late_records(side: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let late = side.clone().transform_up(|node| match node {
        LogicalPlan::TableScan(scan) => marked(scan, Expr::is_not_null),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(late.transformed.then_some(late.data))
}

/// The records of a relation whose mark is so, if it has one.
fn marked(scan: TableScan, is: impl Fn(Expr) -> Expr) -> Result<Transformed<LogicalPlan>> {
    let Ok(mark) = scan.source.schema().index_of(LATE_COLUMN) else {
        return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
    };
    let own = scan.projected_schema.columns();
    let is_taken = is(Expr::Column(Column::new(
        Some(scan.table_name.clone()),
        LATE_COLUMN,
    )));
    let scan = LogicalPlan::TableScan(with_column(scan, mark)?);
    let plan = LogicalPlanBuilder::from(scan)
        .filter(is_taken)?
        .project(own.into_iter().map(Expr::Column))?
        .build()?;
    Ok(Transformed::yes(plan))
}

/// A scan that has this column of its relation among those it reads.
///
/// # Errors
/// If it cannot be made anew.
pub(super) fn with_column(scan: TableScan, column: usize) -> Result<TableScan> {
    let TableScan {
        table_name,
        source,
        projection,
        filters,
        fetch,
        ..
    } = scan;
    let mut projection =
        projection.unwrap_or_else(|| (0..source.schema().fields().len()).collect());
    if !projection.contains(&column) {
        projection.push(column);
    }
    TableScanBuilder::new(table_name, source)
        .with_projection(Some(projection))
        .with_filters(filters)
        .with_fetch(fetch)
        .build()
}

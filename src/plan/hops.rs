//! Groups of records that each lie in several windows.
//!
//! `HOP` is written as a union of as many sides as a record has windows, each over all records. Where such records are grouped by a bound of their
//! window, one side is enough: records are grouped by the bounds of that one, and what a group has in an epoch counts in each of its windows.

use super::repeated::is_same;
use super::sharing::{Bound, bound_of};
use super::{Admitted, CountsLate, Plan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The windows that each record of a group is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hops {
    /// Which of the group's keys are bounds of its window, by their places among the keys.
    pub keys: Vec<usize>,
    /// What is added to these for each window.
    pub offsets_us: Vec<i64>,
    /// How long each window is, if records can be late for it.
    pub size_us: Option<i64>,
}

impl Hops {
    /// What is added for the newest window.
    pub fn newest_us(&self) -> i64 {
        self.offsets_us.iter().copied().max().unwrap_or(0)
    }
}

/// One side of a union that differs from the others in bounds of windows alone.
pub struct OneSide {
    pub plan: Plan,
    /// Columns that are bounds of windows.
    pub bounds: BTreeSet<usize>,
    /// What is added to them on each side, this one first.
    pub offsets_us: Vec<i64>,
    /// Whether records that come too late for a window are left out on its side.
    pub is_admitted: bool,
    /// How long that window is then.
    pub size_us: Option<i64>,
}

/// The first side of the union below, if each of the others has the same rows but for bounds of windows that are apart by an offset, and nothing above
/// reads these bounds but as they are.
pub fn one_side(plan: &Plan) -> Option<OneSide> {
    match plan {
        Plan::Union { inputs, .. } => {
            let (first, others) = inputs.split_first()?;
            let differences = others.iter().map(|it| difference(first, it));
            let differences = differences.collect::<Option<Vec<Difference>>>()?;
            let bounds = differences.first()?.columns.clone();
            let is_alike = differences.iter().all(|it| it.columns == bounds);
            let offsets = differences.iter().map(|it| it.offset_us);
            let offsets: Option<Vec<i64>> = offsets.collect();
            Some(OneSide {
                plan: first.clone(),
                bounds,
                offsets_us: std::iter::once(0).chain(offsets?).collect(),
                is_admitted: is_admitted(first),
                size_us: admitted_size_us(first),
            })
            .filter(|_| is_alike)
        }
        Plan::Map {
            input,
            filter,
            columns,
            schema,
        } => {
            let below = one_side(input)?;
            if filter.as_ref().is_some_and(|it| reads(it, &below.bounds)) {
                return None;
            }
            let bounds = passed_on(columns, &below.bounds)?;
            Some(OneSide {
                plan: Plan::Map {
                    input: Box::new(below.plan),
                    filter: filter.clone(),
                    columns: columns.clone(),
                    schema: Arc::clone(schema),
                },
                bounds,
                ..below
            })
        }
        Plan::Relation { .. }
        | Plan::Constant { .. }
        | Plan::Unnest { .. }
        | Plan::Aggregate { .. }
        | Plan::TopK { .. }
        | Plan::Join { .. }
        | Plan::AsOf { .. }
        | Plan::PerGroup { .. }
        | Plan::Temporal { .. }
        | Plan::Detect { .. }
        | Plan::Incidents { .. }
        | Plan::Admit { .. } => None,
    }
}

/// How two plans of otherwise equal rows differ: some columns are bounds of windows that are apart.
#[derive(Default)]
struct Difference {
    columns: BTreeSet<usize>,
    /// By how much; none as long as nothing differs.
    offset_us: Option<i64>,
}

impl Difference {
    /// Notes that bounds are apart; false if others are by another offset.
    fn is_apart_by(&mut self, offset_us: i64) -> bool {
        *self.offset_us.get_or_insert(offset_us) == offset_us
    }
}

fn difference(one: &Plan, other: &Plan) -> Option<Difference> {
    match (one, other) {
        (
            Plan::Map {
                input,
                filter,
                columns,
                ..
            },
            Plan::Map {
                input: their_input,
                filter: their_filter,
                columns: their_columns,
                ..
            },
        ) => {
            let below = difference(input, their_input)?;
            let reads_bounds = |it: &Arc<dyn PhysicalExpr>| reads(it, &below.columns);
            if filter != their_filter
                || filter.as_ref().is_some_and(reads_bounds)
                || columns.len() != their_columns.len()
            {
                return None;
            }
            let mut found = Difference {
                offset_us: below.offset_us,
                ..Difference::default()
            };
            for (at, (own, theirs)) in columns.iter().zip(their_columns).enumerate() {
                if own == theirs {
                    let column = own.downcast_ref::<Column>();
                    match column.is_some_and(|it| below.columns.contains(&it.index())) {
                        true => {
                            found.columns.insert(at);
                        }
                        false if reads_bounds(own) => return None,
                        false => {}
                    }
                    continue;
                }
                let (own, theirs) = (bound_of(own)?, bound_of(theirs)?);
                let add_us = theirs.add_us;
                let is_apart = Bound { add_us, ..own } == theirs
                    && !below.columns.contains(&own.time)
                    && found.is_apart_by(theirs.add_us - own.add_us);
                if !is_apart {
                    return None;
                }
                found.columns.insert(at);
            }
            Some(found)
        }
        (
            Plan::Admit {
                input,
                window,
                clocks,
            },
            Plan::Admit {
                input: their_input,
                window: theirs,
                clocks: their_clocks,
            },
        ) => {
            let mut below = difference(input, their_input)?;
            let end_us = theirs.end_us;
            let is_alike = Admitted { end_us, ..*window } == *theirs
                && clocks == their_clocks
                && !below.columns.contains(&window.time)
                && (window.end_us == theirs.end_us
                    || below.is_apart_by(theirs.end_us - window.end_us));
            is_alike.then_some(below)
        }
        _ => is_same(one, other).then(Difference::default),
    }
}

/// Which of these columns are bounds of windows as they are; none if one is computed from them.
fn passed_on(
    columns: &[Arc<dyn PhysicalExpr>],
    bounds: &BTreeSet<usize>,
) -> Option<BTreeSet<usize>> {
    let mut passed = BTreeSet::new();
    for (at, column) in columns.iter().enumerate() {
        match column.downcast_ref::<Column>() {
            Some(it) if bounds.contains(&it.index()) => {
                passed.insert(at);
            }
            _ if reads(column, bounds) => return None,
            _ => {}
        }
    }
    Some(passed)
}

fn reads(expr: &Arc<dyn PhysicalExpr>, columns: &BTreeSet<usize>) -> bool {
    let read = collect_columns(expr);
    read.iter().any(|it| columns.contains(&it.index()))
}

/// How long the window is for which records are left out.
fn admitted_size_us(plan: &Plan) -> Option<i64> {
    match plan {
        Plan::Admit { window, .. } => match window.counts {
            CountsLate::ByWindow { size_us } => Some(size_us),
            CountsLate::Together | CountsLate::Not => None,
        },
        Plan::Map { input, .. } => admitted_size_us(input),
        _ => None,
    }
}

/// Whether records are admitted to a window below.
fn is_admitted(plan: &Plan) -> bool {
    match plan {
        Plan::Admit { .. } => true,
        Plan::Map { input, .. } => is_admitted(input),
        _ => false,
    }
}

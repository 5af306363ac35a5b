//! `GROUPING SETS`, `ROLLUP` and `CUBE`: each set is an aggregation of its own, and together they are the rows.

use super::lower::{Lowered, Lowering};
use super::{types, words};
use crate::plan::{Plan, carried_or_same};
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use std::sync::Arc;

/// Columns that a CUBE may have: each doubles the number of its sets.
const CUBE_MAX: usize = 6;

/// The sets of keys that an aggregate groups by, if it has several.
///
/// # Errors
/// If they are too many.
pub(super) fn sets(group: &[Expr]) -> Result<Option<Vec<Vec<Expr>>>, String> {
    let [Expr::GroupingSet(set)] = group else {
        return match group.iter().any(|it| matches!(it, Expr::GroupingSet(_))) {
            true => Err("several GROUPING SETS, ROLLUP or CUBE in one GROUP BY are not maintained; write all sets in one".to_owned()),
            false => Ok(None),
        };
    };
    Ok(Some(match set {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(all) => {
            let lengths = (0..=all.len()).rev();
            lengths.map(|it| all[..it].to_vec()).collect()
        }
        GroupingSet::Cube(all) if CUBE_MAX < all.len() => {
            return Err(format!(
                "CUBE of {} columns has too many sets of them; {CUBE_MAX} columns are possible, or name the sets with GROUPING SETS",
                all.len()
            ));
        }
        GroupingSet::Cube(all) => {
            let chosen = |bits: usize| {
                let keys = all.iter().enumerate();
                let keys = keys.filter(|it| bits & (1 << it.0) != 0);
                keys.map(|it| it.1.clone()).collect()
            };
            (0..1 << all.len()).map(chosen).collect()
        }
    }))
}

impl Lowering<'_> {
    /// The rows of all sets: columns that are not of a set are NULL in its rows, and `__grouping_id` says which these are.
    pub(super) fn grouping_sets(
        &mut self,
        node: &Aggregate,
        sets: Vec<Vec<Expr>>,
    ) -> Result<Lowered, String> {
        let [Expr::GroupingSet(all)] = node.group_expr.as_slice() else {
            return Err("GROUPING SETS stand alone in GROUP BY".to_owned());
        };
        let all: Vec<Expr> = all.distinct_expr().into_iter().cloned().collect();
        let schema = types::carried_schema(&node.schema);
        let null = |at: usize| {
            let value = ScalarValue::try_from(schema.field(at).data_type());
            value.map_err(|it| words::planner(&it))
        };
        let mut inputs = Vec::new();
        let mut seen = Vec::new();
        for written in sets {
            // `GROUP BY GROUPING SETS ((a), (b)), a` has a set of `a` and `a`.
            let mut set = Vec::new();
            for key in written {
                if !set.contains(&key) {
                    set.push(key);
                }
            }
            let missing: Vec<bool> = all.iter().map(|it| !set.contains(it)).collect();
            if seen.contains(&missing) {
                return Err("two of the GROUPING SETS are the same; name each once".to_owned());
            }
            let below = Arc::clone(&node.input);
            let mut aggregates = node.aggr_expr.clone();
            if set.is_empty() && aggregates.is_empty() {
                // The one row of all records needs something to be computed from.
                aggregates.push(count_all());
            }
            let part = Aggregate::try_new(below, set.clone(), aggregates);
            let lowered = self.aggregate(&part.map_err(|it| words::planner(&it))?)?;
            let id = missing
                .iter()
                .fold(0u64, |id, it| (id << 1) | u64::from(*it));
            let own = lowered.plan.schema();
            let mut columns: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
            for (at, key) in all.iter().enumerate() {
                columns.push(match set.iter().position(|it| it == key) {
                    Some(it) => Arc::new(Column::new(own.field(it).name(), it)),
                    None => Arc::new(Literal::new(null(at)?)),
                });
            }
            let id_type = carried_or_same(node.schema.field(all.len()).data_type());
            let id = ScalarValue::UInt64(Some(id)).cast_to(&id_type);
            columns.push(Arc::new(Literal::new(
                id.map_err(|it| words::planner(&it))?,
            )));
            for at in (set.len()..).take(node.aggr_expr.len()) {
                columns.push(Arc::new(Column::new(own.field(at).name(), at)));
            }
            seen.push(missing);
            inputs.push(Plan::Map {
                input: Box::new(lowered.plan),
                filter: None,
                columns,
                schema: Arc::clone(&schema),
            });
        }
        let plan = Plan::Union { inputs, schema };
        Ok(Lowered { plan, last: None })
    }
}

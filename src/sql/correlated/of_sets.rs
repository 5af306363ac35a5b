//! Aggregates by several sets of keys, `ROLLUP`, `CUBE` and `GROUPING SETS`, for every row of a domain: one aggregate for each set. That of no keys
//! has a row even where the sub-query has none to aggregate.

use super::dependent::{Dependent, Domain};
use super::{Unnesting, projected};
use crate::sql::grouping_sets::sets;
use datafusion::common::{Column, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, Union, lit};
use std::sync::Arc;

/// Whether an aggregate has several sets of keys.
pub fn has_sets(node: &Aggregate) -> bool {
    let is_of_sets = |it: &Expr| matches!(it, Expr::GroupingSet(_));
    node.group_expr.iter().any(is_of_sets)
}

impl Unnesting<'_> {
    /// The rows of all sets, for each row of the domain: columns that are not of a set are NULL in its rows, and `__grouping_id` says which these are.
    pub fn of_sets(&mut self, node: &Aggregate, domain: &Domain) -> Result<Dependent> {
        let written = sets(&node.group_expr).map_err(DataFusionError::Plan)?;
        let [Expr::GroupingSet(all)] = node.group_expr.as_slice() else {
            return plan_err!("GROUPING SETS stand alone in GROUP BY");
        };
        let all: Vec<Expr> = all.distinct_expr().into_iter().cloned().collect();
        // Sides of a union have no other names in common.
        let names: Vec<String> = node.schema.iter().map(|_| self.name("set")).collect();
        let outer: Vec<String> = domain.outer.iter().map(|_| self.name("outer")).collect();
        let mut parts = Vec::new();
        let mut seen = Vec::new();
        for set in written.into_iter().flatten() {
            let missing: Vec<bool> = all.iter().map(|it| !set.contains(it)).collect();
            if seen.contains(&missing) {
                return plan_err!("two of the GROUPING SETS are the same; name each once");
            }
            let (rows, columns) = self.one_set(node, &all, &missing, domain)?;
            let named = columns.into_iter().zip(names.iter().chain(&outer));
            let named = named.map(|(column, name)| column.alias(name)).collect();
            parts.push(Arc::new(projected(rows, named)?));
            seen.push(missing);
        }
        let rows = match parts.len() {
            1 => parts.remove(0),
            _ => Arc::new(LogicalPlan::Union(Union::try_new(parts)?)),
        };
        let column = |name: &String| Expr::Column(Column::new_unqualified(name));
        let own = node.schema.iter().zip(&names);
        let own = own.map(|((relation, field), name)| {
            column(name).alias_qualified(relation.cloned(), field.name())
        });
        let columns = own.chain(outer.iter().map(column)).collect();
        let rows = Projection::try_new(columns, rows)?;
        Ok(Dependent::of(LogicalPlan::Projection(rows), domain))
    }

    /// The rows of one set, and their columns: those of the aggregate, and behind them those of the domain.
    fn one_set(
        &mut self,
        node: &Aggregate,
        all: &[Expr],
        missing: &[bool],
        domain: &Domain,
    ) -> Result<(LogicalPlan, Vec<Expr>)> {
        let set = all.iter().zip(missing).filter(|it| !it.1);
        let set: Vec<Expr> = set.map(|it| it.0.clone()).collect();
        let is_computed = |it: &&Expr| grouping_of(it).is_none();
        let mut aggregates: Vec<Expr> =
            node.aggr_expr.iter().filter(is_computed).cloned().collect();
        if set.is_empty() && aggregates.is_empty() {
            // The one row of all records needs something to be computed from.
            aggregates.push(count_all());
        }
        let part = Aggregate::try_new(Arc::clone(&node.input), set.clone(), aggregates)?;
        let rows = self.aggregate(&part, &LogicalPlan::Aggregate(part.clone()), domain)?;
        let known: Vec<Expr> = rows
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let (own, outer) = known.split_at(known.len() - domain.outer.len());
        let (keys, computed) = own.split_at(set.len());
        let (mut keys, mut computed) = (keys.iter().cloned(), computed.iter().cloned());
        let id = bits(missing.iter().copied());
        let mut columns = Vec::new();
        for (at, field) in node.schema.fields().iter().enumerate() {
            let of_aggregate = at.checked_sub(all.len() + 1);
            let column = match of_aggregate.map(|it| grouping_of(&node.aggr_expr[it])) {
                None if missing.get(at) == Some(&false) => keys.next(),
                None if at < all.len() => Some(lit(ScalarValue::try_from(field.data_type())?)),
                None => Some(lit(id.cast_to(field.data_type())?)),
                Some(None) => computed.next(),
                Some(Some(of)) => {
                    let is_missing = |key: &Expr| match all.iter().position(|it| it == key) {
                        Some(at) => Ok(missing[at]),
                        None => plan_err!("grouping({key}): it is no key of GROUP BY"),
                    };
                    let of = of.iter().map(is_missing).collect::<Result<Vec<bool>>>()?;
                    Some(lit(bits(of.into_iter()).cast_to(field.data_type())?))
                }
            };
            columns.extend(column);
        }
        columns.extend(outer.iter().cloned());
        Ok((rows, columns))
    }
}

/// What `grouping(…)` is of, where that is the aggregate.
fn grouping_of(aggregate: &Expr) -> Option<&[Expr]> {
    match aggregate {
        Expr::Alias(it) => grouping_of(&it.expr),
        Expr::AggregateFunction(it) if it.func.name() == "grouping" => Some(&it.params.args),
        _ => None,
    }
}

/// A number with a 1 for each key that is missing, the last one lowest.
fn bits(missing: impl Iterator<Item = bool>) -> ScalarValue {
    ScalarValue::UInt64(Some(missing.fold(0, |id, it| (id << 1) | u64::from(it))))
}

//! What one query computes twice is computed and kept once: of equal stateful nodes of a view all but the first give way to it.
//!
//! A query that joins an aggregate with an aggregate of itself, or names a query of WITH twice, arrives here with copies of whole sub-plans. They have the
//! same rows at every epoch, so one operator and one state serve all. A copy carries the `id` of the first, by which it is rendered once.

use super::{Aggregation, Plan, Window};
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The same plan, in which equal aggregations, joins and temporal filters are the same nodes.
pub fn with_repeats_shared(plan: Plan) -> Plan {
    shared(plan, &mut Vec::new())
}

/// A stateful node as it was found, and as it is now.
struct Seen {
    found: Plan,
    now: Plan,
}

fn shared(mut plan: Plan, seen: &mut Vec<Seen>) -> Plan {
    if plan.id().is_none() {
        below(&mut plan, seen);
        return plan;
    }
    if let Some(known) = seen.iter().find_map(|it| in_place_of(&plan, it)) {
        return known;
    }
    let found = plan.clone();
    below(&mut plan, seen);
    seen.push(Seen {
        found,
        now: plan.clone(),
    });
    plan
}

fn below(plan: &mut Plan, seen: &mut Vec<Seen>) {
    for input in plan.inputs_mut() {
        *input = shared(input.clone(), seen);
    }
}

/// The node that was seen with the columns of this one, if both have the same rows.
fn in_place_of(plan: &Plan, seen: &Seen) -> Option<Plan> {
    if let (
        Plan::Aggregate {
            input,
            aggregation,
            schema,
        },
        Plan::Aggregate {
            input: their_input,
            aggregation: theirs,
            ..
        },
    ) = (plan, &seen.found)
    {
        let places = places_of_keys((input, aggregation), (their_input, theirs))?;
        let keys = places.len();
        let aggregates = keys..keys + aggregation.aggregates.len();
        let columns: Vec<usize> = places.into_iter().chain(aggregates).collect();
        return Some(rearranged(seen.now.clone(), columns, schema));
    }
    is_same(plan, &seen.found).then(|| {
        let all = (0..plan.schema().fields().len()).collect();
        rearranged(seen.now.clone(), all, &plan.schema())
    })
}

fn rearranged(input: Plan, columns: Vec<usize>, schema: &SchemaRef) -> Plan {
    let below = input.schema();
    if below == *schema && columns.iter().copied().eq(0..below.fields().len()) {
        return input;
    }
    let column =
        |at: usize| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new(below.field(at).name(), at)) };
    Plan::Map {
        columns: columns.into_iter().map(column).collect(),
        input: Box::new(input),
        filter: None,
        schema: Arc::clone(schema),
    }
}

/// For each key of an aggregation the place of the same key in another one that has the same groups with the same accumulators, over the same rows.
fn places_of_keys(
    (input, own): (&Plan, &Aggregation),
    (their_input, theirs): (&Plan, &Aggregation),
) -> Option<Vec<usize>> {
    let (base, columns) = unarranged(input);
    let (their_base, their_columns) = unarranged(their_input);
    let keys: Vec<usize> = own.keys.iter().map(|it| columns[*it]).collect();
    let their_keys = theirs.keys.iter().map(|it| their_columns[*it]);
    let their_keys: Vec<usize> = their_keys.collect();
    let has_same_keys = keys.len() == their_keys.len()
        && their_keys.iter().all(|it| keys.contains(it))
        && keys.iter().all(|it| their_keys.contains(it));
    let has_same_window = match (own.window, theirs.window) {
        (Window::None, Window::None) => true,
        (
            Window::Tumble {
                key,
                add_us,
                size_us,
            },
            Window::Tumble {
                key: their_key,
                add_us: their_add_us,
                size_us: their_size_us,
            },
        ) => (keys[key], add_us, size_us) == (their_keys[their_key], their_add_us, their_size_us),
        (
            Window::Last {
                time,
                size_us,
                step_us,
            },
            Window::Last {
                time: their_time,
                size_us: their_size_us,
                step_us: their_step_us,
            },
        ) => {
            (columns[time], size_us, step_us)
                == (their_columns[their_time], their_size_us, their_step_us)
        }
        _ => false,
    };
    let hops = |it: &Aggregation, keys: &[usize]| {
        let hops = it.hops.as_ref()?;
        let keys: BTreeSet<usize> = hops.keys.iter().map(|it| keys[*it]).collect();
        Some((keys, hops.offsets_us.clone()))
    };
    let has_same_hops = hops(own, &keys) == hops(theirs, &their_keys);
    let mut aggregates = own.aggregates.iter().zip(&theirs.aggregates);
    let has_same_aggregates = own.aggregates.len() == theirs.aggregates.len()
        && aggregates.all(|(own, theirs)| {
            let of = |it: Option<usize>, columns: &[usize]| it.map(|it| columns[it]);
            own.function == theirs.function
                && of(own.argument, &columns) == of(theirs.argument, &their_columns)
                && of(own.filter, &columns) == of(theirs.filter, &their_columns)
                && own.argument_type == theirs.argument_type
                && own.result_type == theirs.result_type
        });
    let is_same = has_same_keys
        && has_same_window
        && has_same_hops
        && has_same_aggregates
        && own.append_only == theirs.append_only
        && own.clocks == theirs.clocks
        && is_same(base, their_base);
    if !is_same {
        return None;
    }
    let place = |it: &usize| their_keys.iter().position(|theirs| theirs == it);
    keys.iter().map(place).collect()
}

/// What lies below projections that only choose columns, and for each column which one it is there.
fn unarranged(plan: &Plan) -> (&Plan, Vec<usize>) {
    if let Plan::Map {
        input,
        filter: None,
        columns,
        ..
    } = plan
    {
        let chosen = columns.iter().map(|it| it.downcast_ref::<Column>());
        let chosen: Option<Vec<usize>> = chosen.map(|it| it.map(Column::index)).collect();
        if let Some(chosen) = chosen {
            let (base, columns) = unarranged(input);
            return (base, chosen.into_iter().map(|it| columns[it]).collect());
        }
    }
    (plan, (0..plan.schema().fields().len()).collect())
}

/// Whether two plans have the same rows, as far as this can tell.
pub(super) fn is_same(one: &Plan, other: &Plan) -> bool {
    let is_same_node = match (one, other) {
        (
            Plan::Relation { name, columns, .. },
            Plan::Relation {
                name: their_name,
                columns: their_columns,
                ..
            },
        ) => name == their_name && columns == their_columns,
        (Plan::Constant { rows, .. }, Plan::Constant { rows: theirs, .. }) => rows == theirs,
        (
            Plan::Map {
                filter, columns, ..
            },
            Plan::Map {
                filter: their_filter,
                columns: their_columns,
                ..
            },
        ) => filter == their_filter && columns == their_columns,
        (Plan::Unnest { unnest, .. }, Plan::Unnest { unnest: theirs, .. }) => {
            unnest.columns == theirs.columns && unnest.is_list == theirs.is_list
        }
        (
            Plan::Aggregate {
                input, aggregation, ..
            },
            Plan::Aggregate {
                input: their_input,
                aggregation: theirs,
                ..
            },
        ) => {
            let places = places_of_keys((input, aggregation), (their_input, theirs));
            return places.is_some_and(|it| it.iter().copied().eq(0..it.len()));
        }
        (Plan::Union { .. }, Plan::Union { .. }) => true,
        (Plan::Join { join, .. }, Plan::Join { join: theirs, .. }) => {
            join.kind == theirs.kind
                && join.on == theirs.on
                && join.nulls_match == theirs.nulls_match
                && join.filter == theirs.filter
                && join.window == theirs.window
                && join.clocks == theirs.clocks
        }
        (Plan::AsOf { as_of, .. }, Plan::AsOf { as_of: theirs, .. }) => {
            as_of.keys == theirs.keys
                && as_of.times == theirs.times
                && as_of.is_before == theirs.is_before
                && as_of.takes_equal == theirs.takes_equal
                && as_of.keeps_unmatched == theirs.keeps_unmatched
        }
        (
            Plan::Temporal { temporal, .. },
            Plan::Temporal {
                temporal: theirs, ..
            },
        ) => {
            temporal.bounds == theirs.bounds
                && temporal.keeps == theirs.keeps
                && temporal.time == theirs.time
                && temporal.clocks == theirs.clocks
        }
        (
            Plan::Admit { window, clocks, .. },
            Plan::Admit {
                window: their_window,
                clocks: their_clocks,
                ..
            },
        ) => window == their_window && clocks == their_clocks,
        // What these compute is text or order that is not compared.
        _ => false,
    };
    let (own, theirs) = (one.inputs(), other.inputs());
    let mut inputs = own.iter().zip(&theirs);
    is_same_node && own.len() == theirs.len() && inputs.all(|(own, theirs)| is_same(own, theirs))
}

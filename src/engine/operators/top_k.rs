//! The first rows by an order, in stages: a change touches one bucket of every stage, not the whole input.

use super::{ChangeStream, Shared};
use crate::engine::StateContent;
use crate::engine::changes::Changes;
use crate::model::{Row, Value, batch_of_rows, rows_of_batch};
use crate::plan::{Order, nullable};
use arrow::datatypes::SchemaRef;
use differential_dataflow::consolidation::consolidate;
use differential_dataflow::{AsCollection, Hashable};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;

/// Buckets of the first stage.
const BUCKETS: u64 = 1024;

/// Rows `skip..skip + limit` of the input by `order`, ties by the whole row.
#[expect(
    clippy::too_many_arguments,
    reason = "it is the seam between rendering and the operator chain"
)]
pub(in crate::engine) fn top_k<'s>(
    input: ChangeStream<'s>,
    schema: &SchemaRef,
    order: &[Order],
    skip: usize,
    limit: usize,
    operator: String,
    boot: u64,
    restored: Vec<(Row, i64)>,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let capturing = Rc::clone(shared);
    let rows = input.unary_frontier::<CapacityContainerBuilder<Vec<(Row, u64, isize)>>, _, _, _>(
        Pipeline,
        "Rows",
        move |capability, _| {
            let mut initial = Some((capability.delayed(&boot), restored));
            move |(input, _frontier), output| {
                if let Some((capability, rows)) = initial.take() {
                    output.session(&capability).give_iterator(
                        rows.into_iter()
                            .map(|(row, diff)| (row, boot, diff as isize)),
                    );
                }
                input.for_each(|capability, changes| {
                    let Some(time) = capability.least().copied() else {
                        return;
                    };
                    let changes = std::mem::take(changes);
                    let (Some(batch), true) = (changes.batch(), boot < time) else {
                        return;
                    };
                    let mut session = output.session(&capability);
                    for (at, row) in rows_of_batch(batch).into_iter().enumerate() {
                        let diff = changes.diffs().map_or(1, |it| it[at]);
                        capturing.borrow_mut().capture(
                            time,
                            &operator,
                            StateContent::Row(row.clone(), diff),
                        );
                        session.give((row, time, diff as isize));
                    }
                });
            }
        },
    );
    let ranked = {
        let order = order.to_vec();
        rows.as_collection().map(move |row| {
            (
                row.hashed() % BUCKETS,
                Ranked {
                    rank: rank(&row, &order),
                    row,
                },
            )
        })
    };
    let keep = skip + limit;
    let first = |keep: usize, skip: usize| {
        move |_key: &u64, input: &[(&Ranked, isize)], output: &mut Vec<(Ranked, isize)>| {
            let (mut skip, mut left) = (skip as isize, keep as isize);
            for (row, count) in input.iter().filter(|it| 0 < it.1) {
                let skipped = (*count).min(skip);
                skip -= skipped;
                let taken = (count - skipped).min(left);
                if 0 < taken {
                    output.push(((*row).clone(), taken));
                    left -= taken;
                }
                if left <= 0 {
                    break;
                }
            }
        }
    };
    let staged = ranked.reduce_named("TopK of bucket", first(keep, 0));
    let top = staged
        .map(|(_, row)| (0u64, row))
        .reduce_named("TopK", first(limit, skip))
        .map(|(_, it)| it.row);
    let schema = nullable(schema);
    top.inner
        .unary_frontier::<CapacityContainerBuilder<Changes>, _, _, _>(
            Pipeline,
            "FinishTopK",
            move |_, _| {
                let mut open: BTreeMap<u64, (Capability<u64>, Vec<(Row, isize)>)> = BTreeMap::new();
                move |(input, frontier), output| {
                    input.for_each(|capability, data| {
                        for (row, time, diff) in data.drain(..) {
                            open.entry(time)
                                .or_insert_with(|| (capability.delayed(&time, 0), Vec::new()))
                                .1
                                .push((row, diff));
                        }
                    });
                    while let Some(entry) = open.first_entry() {
                        if frontier.less_equal(entry.key()) {
                            break;
                        }
                        let (capability, mut rows) = entry.remove();
                        consolidate(&mut rows);
                        if !rows.is_empty() {
                            let batch = batch_of_rows(&schema, rows.iter().map(|it| &it.0))
                                .expect("rows came from this schema");
                            let mut changes = Changes::signed(
                                batch,
                                rows.iter().map(|it| it.1 as i64).collect::<Vec<_>>(),
                            );
                            output.session(&capability).give_container(&mut changes);
                        }
                    }
                }
            },
        )
}

/// A row with what it is ordered by, first.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
struct Ranked {
    rank: Vec<Ranking>,
    row: Row,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
struct Ranking {
    value: Value,
    descending: bool,
    nulls_first: bool,
}

impl Ord for Ranking {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = Order {
            column: 0,
            descending: self.descending,
            nulls_first: self.nulls_first,
        };
        order.compare(&self.value, &other.value)
    }
}

impl PartialOrd for Ranking {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn rank(row: &Row, order: &[Order]) -> Vec<Ranking> {
    order
        .iter()
        .map(|it| Ranking {
            value: row.0[it.column].clone(),
            descending: it.descending,
            nulls_first: it.nulls_first,
        })
        .collect()
}

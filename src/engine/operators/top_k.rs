//! The first rows by an order, in stages: a change touches one bucket of every stage, not the whole input. Of rows that are never taken
//! back, each worker passes on those that are among its own first ones and keeps no others.

use super::{ChangeStream, Shared};
use crate::engine::StateContent;
use crate::engine::changes::Changes;
use crate::engine::costs::{Keeps, PointsAt, watch, watched};
use crate::model::held::{of_row, of_tree, of_value, of_vec};
use crate::model::{Held, Row, Value, rows_of_batch};
use crate::plan::{Order, nullable};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use differential_dataflow::consolidation::consolidate;
use differential_dataflow::trace::implementations::{ValBuilder, ValSpine};
use differential_dataflow::{AsCollection, Hashable, VecCollection};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
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
    operator: Arc<str>,
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
                    if time <= boot {
                        return;
                    }
                    let mut session = output.session(&capability);
                    for (row, diff) in changes.rows() {
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
    let staged = reduced(ranked, "TopK of bucket", first(keep, 0), shared);
    let staged = staged.map(|(_, row)| (0u64, row));
    let top = reduced(staged, "TopK", first(limit, skip), shared).map(|(_, it)| it.row);
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
                            let rows = rows.iter().map(|it| (&it.0, it.1 as i64));
                            let mut changes = Changes::of_rows(&schema, rows);
                            output.session(&capability).give_container(&mut changes);
                        }
                    }
                }
            },
        )
}

type OfBucket<'s> = VecCollection<'s, u64, (u64, Ranked), isize>;

/// What `logic` makes of the rows of each bucket. Rows that go in and rows that come out are arranged, and their memory is counted.
fn reduced<'s>(
    rows: OfBucket<'s>,
    name: &str,
    logic: impl FnMut(&u64, &[(&Ranked, isize)], &mut Vec<(Ranked, isize)>) + 'static,
    shared: &Rc<RefCell<Shared>>,
) -> OfBucket<'s> {
    let rows = rows.arrange_by_key_named(&format!("Arrange: {name}"));
    let rows = watched(rows, &mut shared.borrow_mut().owners);
    let reduced = rows
        .reduce_abelian::<_, ValBuilder<_, _, _, _>, ValSpine<u64, Ranked, u64, isize>, _, _>(
            name,
            logic,
            |rows, key, updates| {
                rows.clear();
                let updates = updates.drain(..);
                rows.extend(updates.map(|(row, time, diff)| ((*key, row), time, diff)));
            },
        );
    watch(&reduced, &mut shared.borrow_mut().owners);
    reduced.as_collection(|key, row| (*key, row.clone()))
}

/// Of append-only input, the rows that can be among the first `keep` of all: each worker's own first ones. Those that better ones push out are
/// taken back.
pub(in crate::engine) fn candidates<'s>(
    input: ChangeStream<'s>,
    schema: &SchemaRef,
    order: &[Order],
    keep: usize,
    boot: u64,
    restored: &[(Row, i64)],
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let first = First::new(order, keep, restored);
    let first = shared.borrow_mut().owners.keep(first);
    let schema = nullable(schema);
    input.unary_frontier::<CapacityContainerBuilder<Changes>, _, _, _>(
        Pipeline,
        "Candidates",
        move |_, _| {
            let mut open: BTreeMap<u64, (Capability<u64>, Vec<RecordBatch>)> = BTreeMap::new();
            move |(input, frontier), output| {
                let mut first = first.borrow_mut();
                input.for_each(|capability, changes| {
                    let changes = std::mem::take(changes);
                    let time = capability.least().copied().filter(|it| boot < *it);
                    let (Some(time), Some(batch)) = (time, changes.added()) else {
                        return;
                    };
                    open.entry(time)
                        .or_insert_with(|| (capability.delayed(&time, 0), Vec::new()))
                        .1
                        .push(batch);
                });
                while let Some(entry) = open.first_entry() {
                    if frontier.less_equal(entry.key()) {
                        break;
                    }
                    let (capability, batches) = entry.remove();
                    batches.iter().for_each(|it| first.add(it));
                    let rows = first.changes();
                    if !rows.is_empty() {
                        let rows = rows.iter().map(|it| (&it.0, it.1));
                        let mut changes = Changes::of_rows(&schema, rows);
                        output.session(&capability).give_container(&mut changes);
                    }
                }
            }
        },
    )
}

/// The first rows of append-only input on one worker.
struct First {
    order: Vec<Order>,
    /// The same order, over the columns of the order alone.
    order_of_ranks: Vec<Order>,
    keep: usize,
    /// How often each row is among the first; `len` in all.
    rows: BTreeMap<Ranked, usize>,
    len: usize,
    /// Since they were last taken.
    changes: BTreeMap<Row, i64>,
}

impl First {
    fn new(order: &[Order], keep: usize, restored: &[(Row, i64)]) -> Self {
        let ranks = order.iter().enumerate();
        let mut first = First {
            order: order.to_vec(),
            order_of_ranks: ranks.map(|(column, it)| Order { column, ..*it }).collect(),
            keep,
            rows: BTreeMap::new(),
            len: 0,
            changes: BTreeMap::new(),
        };
        // What is stored are changes; other workers may have made some of them.
        let mut counts: BTreeMap<&Row, i64> = BTreeMap::new();
        for (row, diff) in restored {
            *counts.entry(row).or_default() += diff;
        }
        for (row, count) in counts {
            for _ in 0..count {
                first.insert(row.clone());
            }
        }
        first
    }

    fn add(&mut self, batch: &RecordBatch) {
        let candidates = match self.rows.last_key_value() {
            Some((last, _)) if self.keep <= self.len => {
                let last: Vec<Value> = last.rank.iter().map(|it| it.value.clone()).collect();
                let last = Row(last.into());
                let columns: Vec<usize> = self.order.iter().map(|it| it.column).collect();
                let ranks = batch
                    .project(&columns)
                    .expect("the order is by its columns");
                let is_before = |rank: &Row| {
                    Order::compare_rows(&self.order_of_ranks, rank, &last) != Ordering::Greater
                };
                let kept: BooleanArray = rows_of_batch(&ranks)
                    .iter()
                    .map(|it| Some(is_before(it)))
                    .collect();
                filter_record_batch(batch, &kept).expect("one answer per row")
            }
            Some(_) | None => batch.clone(),
        };
        for row in rows_of_batch(&candidates) {
            *self.changes.entry(row.clone()).or_default() += 1;
            self.insert(row);
            // At once, so that no more than a few rows too many are held.
            self.push_out();
        }
    }

    fn insert(&mut self, row: Row) {
        let ranked = Ranked {
            rank: rank(&row, &self.order),
            row,
        };
        *self.rows.entry(ranked).or_default() += 1;
        self.len += 1;
    }

    fn push_out(&mut self) {
        while self.keep < self.len {
            let Some(mut last) = self.rows.last_entry() else {
                return;
            };
            *self.changes.entry(last.key().row.clone()).or_default() -= 1;
            self.len -= 1;
            match last.get() {
                0..=1 => {
                    last.remove();
                }
                _ => *last.get_mut() -= 1,
            }
        }
    }

    /// What has changed since this was last asked.
    fn changes(&mut self) -> Vec<(Row, i64)> {
        let changes = std::mem::take(&mut self.changes).into_iter();
        changes.filter(|it| it.1 != 0).collect()
    }
}

/// Rows of which it is looked at what they point at.
const LOOKED_AT: usize = 64;

/// What rows point at is estimated from the first ones.
impl Keeps for First {
    fn held(&mut self) -> Held {
        let rows = self.rows.len();
        let pieces = self.rows.keys().take(LOOKED_AT).map(PointsAt::points_at);
        let pieces = (pieces.sum::<usize>() * rows).checked_div(rows.min(LOOKED_AT));
        Held {
            rows,
            bytes: of_tree::<Ranked, usize>(rows) + pieces.unwrap_or(0),
        }
    }
}

impl PointsAt for Ranked {
    fn points_at(&self) -> usize {
        let values = self.rank.iter().map(|it| of_value(&it.value));
        of_vec::<Ranking>(self.rank.capacity()) + values.sum::<usize>() + of_row(&self.row)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn batch(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let numbers = Int64Array::from_iter_values(numbers);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(numbers)]).unwrap()
    }

    #[test]
    fn a_worker_keeps_no_more_rows_than_can_be_among_the_first() {
        const KEEP: usize = 7;
        let order = [Order {
            column: 0,
            descending: true,
            nulls_first: false,
        }];
        let mut first = First::new(&order, KEEP, &[]);
        let mut folded: BTreeMap<i64, i64> = BTreeMap::new();
        let mut all = Vec::new();
        for round in 0..50 {
            let numbers: Vec<i64> = (0..20).map(|it| (it * 37 + round * 11) % 97).collect();
            first.add(&batch(numbers.clone()));
            all.extend(numbers);
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.truncate(KEEP);
            let changes = first.changes();
            assert!(changes.len() <= 2 * KEEP, "{changes:?}");
            for (row, diff) in changes {
                *folded.entry(row.0[0].as_i64().unwrap()).or_default() += diff;
            }
            folded.retain(|_, count| *count != 0);
            assert_eq!(first.len, KEEP);
            let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
            all.iter()
                .for_each(|it| *expected.entry(*it).or_default() += 1);
            assert_eq!(folded, expected, "round {round}");
        }
    }

    #[test]
    fn stored_rows_of_several_workers_are_cut_to_the_first_ones() {
        let order = [Order {
            column: 0,
            descending: false,
            nulls_first: false,
        }];
        let row = |it: i64| Row([Value::Int(it)].into());
        let stored: Vec<(Row, i64)> = (0..6).map(|it| (row(it), 1)).collect();
        let gone = (row(0), -1);
        let stored: Vec<(Row, i64)> = stored.into_iter().chain([gone]).collect();
        let mut first = First::new(&order, 3, &stored);
        first.add(&batch([2]));
        // Of 1, 2, 3, 4, 5 and another 2, three stay.
        let mut changes = first.changes();
        changes.sort();
        assert_eq!(
            changes,
            [(row(2), 1), (row(3), -1), (row(4), -1), (row(5), -1)]
        );
    }
}

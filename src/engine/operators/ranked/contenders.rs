//! Rows that are sure to be beyond the greatest rank are left out before they are packed and sent.
//!
//! Of groups that had rows lately each worker keeps the orders of their first ones, as bytes, as many as there are ranks to read. Where rows only come,
//! one behind all of these is never read, whatever other workers have. Groups share a fixed number of places, so what this takes does not grow; a group
//! that lost its place is learned anew. Where too few rows are left out to be worth it, most batches are not looked at.

use crate::engine::changes::Changes;
use crate::engine::encoded::{Bytes, Encoder, hash};
use crate::engine::operators::ChangeStream;
use crate::plan::{Order, Rank, RankLimit, nullable};
use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::SchemaRef;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

/// Groups that are remembered.
const PLACES: usize = 4096;
/// With more ranks than these to read, too few rows are behind them.
const RANKS_MAX: usize = 32;
/// After so many rows it is judged whether looking at them was worth it,
const ROWS_LOOKED_AT: usize = 8192;
/// and if not, so many pass without a look.
const ROWS_PASSED_ON: usize = 16 * ROWS_LOOKED_AT;
/// The least share of rows that has to be left out, as a divisor.
const WORTH_IT: usize = 4;

/// How rows are numbered.
pub(super) struct Contest {
    pub key: Vec<usize>,
    pub order: Vec<Order>,
    pub rank: Rank,
    pub limit: RankLimit,
}

/// The rows without those whose rank is sure not to be read. The input has insertions only.
pub(super) fn contenders<'s>(
    rows: ChangeStream<'s>,
    contest: Contest,
    schema: &SchemaRef,
) -> ChangeStream<'s> {
    let Some(ranks) = usize::try_from(contest.limit.greatest)
        .ok()
        .filter(|it| (1..=RANKS_MAX).contains(it))
    else {
        return rows;
    };
    let schema = nullable(schema);
    let key_schema = schema.project(&contest.key);
    let of_key = Encoder::new(&Arc::new(key_schema.expect("the key is of the input")));
    let of_order = Encoder::in_order(&schema, &contest.order);
    let mut leaders = Leaders::new(PLACES, ranks, contest.rank == Rank::DenseRank);
    let mut worth = Worth::default();
    rows.unary::<CapacityContainerBuilder<Changes>, _, _, _>(Pipeline, "Contenders", move |_, _| {
        move |input, output| {
            input.for_each(|capability, changes| {
                let mut changes = std::mem::take(changes);
                let (epoch, batch) = (capability.least().copied(), changes.batch());
                if let (Some(epoch), Some(batch)) = (epoch, batch)
                    && worth.looks_at(batch.num_rows())
                {
                    let of = |column: usize| batch.column(column).clone();
                    let keys: Vec<ArrayRef> = contest.key.iter().map(|it| of(*it)).collect();
                    let orders = contest.order.iter().map(|it| of(it.column));
                    let keys = of_key.encoded(&keys);
                    let orders = of_order.encoded(&orders.collect::<Vec<_>>());
                    let contends = |at| leaders.contends(keys.row(at), orders.row(at), epoch);
                    let mask: BooleanArray =
                        (0..batch.num_rows()).map(contends).map(Some).collect();
                    worth.left_out += batch.num_rows() - mask.true_count();
                    match changes.filtered(&mask) {
                        Some(kept) => changes = kept,
                        None => return,
                    }
                }
                output.session(&capability).give_container(&mut changes);
            });
        }
    })
}

/// Whether looking at rows is worth it.
#[derive(Default)]
struct Worth {
    /// Since it was judged last.
    looked_at: usize,
    left_out: usize,
    /// Rows that pass without a look.
    pass: usize,
}

impl Worth {
    /// Whether these rows are to be looked at.
    fn looks_at(&mut self, rows: usize) -> bool {
        if 0 < self.pass {
            self.pass = self.pass.saturating_sub(rows);
            return false;
        }
        if ROWS_LOOKED_AT <= self.looked_at {
            if self.left_out < self.looked_at / WORTH_IT {
                self.pass = ROWS_PASSED_ON;
            }
            (self.looked_at, self.left_out) = (0, 0);
        }
        self.looked_at += rows;
        true
    }
}

/// The first rows of groups that had some lately.
struct Leaders {
    /// Ranks that are read.
    ranks: usize,
    /// Whether rows of the same order have one rank, which leaves the others their own.
    is_dense: bool,
    /// By the hash of their key.
    groups: Vec<Group>,
}

#[derive(Clone, Default)]
struct Group {
    key: Bytes,
    /// The last one of which a row is among the first.
    epoch: u64,
    /// Of the first rows, sorted.
    orders: Vec<Bytes>,
}

impl Leaders {
    fn new(places: usize, ranks: usize, is_dense: bool) -> Self {
        let groups = vec![Group::default(); places];
        Leaders {
            ranks,
            is_dense,
            groups,
        }
    }

    /// Whether the rank of this row may be read; if so it may be in the way of later ones.
    fn contends(&mut self, key: &[u8], order: &[u8], epoch: u64) -> bool {
        let at = hash(key) % self.groups.len() as u64;
        let group = &mut self.groups[usize::try_from(at).expect("groups are few")];
        if group.orders.is_empty() || group.key != key {
            group.key.clear();
            group.key.extend_from_slice(key);
            group.orders.clear();
            group.epoch = epoch;
        }
        // At its own epoch a row has its place, even if one of a later epoch came through first.
        if epoch < group.epoch {
            return true;
        }
        let is_full = group.orders.len() == self.ranks;
        if is_full && group.orders.last().is_some_and(|it| &**it < order) {
            return false;
        }
        let place = group.orders.partition_point(|it| &**it <= order);
        let is_there = 0 < place && group.orders[place - 1] == order;
        if place < self.ranks && !(self.is_dense && is_there) {
            let mut bytes = match is_full {
                true => group.orders.pop().unwrap_or_default(),
                false => Bytes::new(),
            };
            bytes.clear();
            bytes.extend_from_slice(order);
            group.orders.insert(place, bytes);
            group.epoch = epoch;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many rows of the same group and up to the same epoch are before a row, or how many different orders are.
    fn ahead(rows: &[(u8, u8, u64)], of: (u8, u8, u64), is_dense: bool) -> usize {
        let before = rows.iter().filter(|it| it.0 == of.0 && it.2 <= of.2);
        let mut orders: Vec<u8> = before.map(|it| it.1).filter(|it| *it < of.1).collect();
        orders.sort_unstable();
        if is_dense {
            orders.dedup();
        }
        orders.len()
    }

    proptest! {
        /// Whatever the order in which epochs come through, and where groups take each other's place.
        #[test]
        fn what_is_left_out_has_no_rank_that_is_read(
            rows in prop::collection::vec((0u8..4, 0u8..20, 0u64..3), 1..200),
            ranks in 1usize..4,
            is_dense in any::<bool>(),
        ) {
            let mut leaders = Leaders::new(2, ranks, is_dense);
            for row in &rows {
                if !leaders.contends(&[row.0], &[row.1], row.2) {
                    prop_assert!(ranks <= ahead(&rows, *row, is_dense), "{row:?} of {rows:?}");
                }
            }
        }
    }

    #[test]
    fn most_rows_behind_the_first_are_left_out() {
        let mut leaders = Leaders::new(2, 1, false);
        let contends = (0..100).map(|it| leaders.contends(b"a", &[100 + it], 1));
        assert_eq!(contends.filter(|it| *it).count(), 1);
        // Ties are for those to tell that have the whole row.
        assert!(leaders.contends(b"a", &[100], 1));
        assert!(leaders.contends(b"a", &[99], 2));
        assert!(!leaders.contends(b"a", &[100], 2));
        assert!(leaders.contends(b"a", &[100], 1));
    }

    #[test]
    fn rows_are_not_looked_at_where_that_leaves_few_out() {
        let mut worth = Worth::default();
        let looked_at = (0..340).filter(|_| worth.looks_at(1024)).count();
        assert!((16..40).contains(&looked_at), "{looked_at} of 340");
        let mut worth = Worth::default();
        for _ in 0..340 {
            assert!(worth.looks_at(1024));
            worth.left_out += 512;
        }
    }
}

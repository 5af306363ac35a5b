//! Rows of a group in an order, with their places in it: `ROW_NUMBER`, `RANK` and `DENSE_RANK`, all of them or up to the greatest rank that is read.
//!
//! A row lies behind the bytes it is ordered by, so one comparison of bytes tells which of two comes first. A change renumbers what stands at and
//! behind it, up to the greatest rank. Where rows only come and nobody reads beyond a rank, no more rows are kept than have it, and only these become
//! part of the stored state; most new rows are then turned away by one comparison.

use self::contenders::{Contest, contenders};
use super::keyed::{Closing, Form, Input, RowBytes, bytes_of, keyed, order_and_row, while_open};
use super::per_group::difference;
use super::{ChangeStream, ClockStream, RunEpochs, Shared};
use crate::engine::changes::Changes;
use crate::engine::costs::Keeps;
use crate::engine::encoded::{Bytes, Encoder, hash};
use crate::engine::gate::Gate;
use crate::model::Held;
use crate::model::held::{allocated, of_tree, of_vec};
use crate::plan::{GroupWindow, Order, PerGroup, Rank, RankLimit, Ranking, nullable};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;

/// Rows that leave at a time.
const ROWS_AT_ONCE: usize = 8192;
/// A group with more rows than these is a tree.
const FEW_ROWS: usize = 32;

/// The bytes of a row behind those that it is ordered by. It is among the rows of a group and on its way to readers and to the stored state at once.
type OrderedRow = RowBytes;

/// The rows of all groups with their ranks, as changes.
pub(in crate::engine) fn ranked<'s>(
    input: Input<'s>,
    group: &Arc<PerGroup>,
    ranking: &Ranking,
    schema: &SchemaRef,
    gate: Option<(Gate, ClockStream<'s>)>,
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let closing = Closing::of(group.window, gate.as_ref());
    let drops = ranking.kept_up_to().is_some();
    let order = stated(ranking, input.schema.fields().len());
    let input = match ranking.kept_up_to() {
        None => input,
        Some(limit) => {
            let contest = Contest {
                key: group.keys.clone(),
                order: order.to_vec(),
                rank: ranking.ranks[limit.rank],
                limit,
            };
            let rows = contenders(input.rows, contest, &input.schema);
            Input { rows, ..input }
        }
    };
    let of_output = Output {
        rows: Encoder::new(&nullable(&input.schema)),
        schema: nullable(schema),
        first: ranking.first,
        ranks: ranking.ranks.clone(),
    };
    let form = Form {
        key: group.keys.clone(),
        nulls_match: true,
        order: Some(order.to_vec()),
        is_stored: !drops,
    };
    let rows = keyed(input, form, group.id.clone(), closing, epochs, shared);
    let numbering = Numbering {
        ranks: ranking.ranks.clone(),
        limit: ranking.limit,
    };
    let groups = shared.borrow_mut().owners.keep(Groups::default());
    let (boot, shared) = (epochs.boot, Rc::clone(shared));
    let id: Arc<str> = group.id.as_str().into();
    let changes = rows
        .inner
        .unary_frontier::<CapacityContainerBuilder<Changes>, _, _, _>(
            Pipeline,
            "Ranked",
            move |_, _| {
                let mut open: BTreeMap<u64, (Capability<u64>, Vec<Update>)> = BTreeMap::new();
                move |(input, frontier), output| {
                    let mut groups = groups.borrow_mut();
                    input.for_each(|capability, data| {
                        for ((key, row), epoch, diff) in data.drain(..) {
                            let open = open
                                .entry(epoch)
                                .or_insert_with(|| (capability.delayed(&epoch, 0), Vec::new()));
                            open.1.push(Update {
                                key: key.unwrap_or_default(),
                                row,
                                diff,
                            });
                        }
                    });
                    while let Some(entry) = open.first_entry() {
                        if frontier.less_equal(entry.key()) {
                            break;
                        }
                        let (capability, rows) = entry.remove();
                        let epoch = *capability.time();
                        let mut results = Vec::new();
                        for (key, mut rows) in by_key(rows) {
                            groups.change(key, |group| {
                                numbering.change(group, &mut rows, &mut results);
                            });
                            if !drops || epoch <= boot {
                                continue;
                            }
                            let mut shared = shared.borrow_mut();
                            for (row, diff) in rows {
                                let row = order_and_row(&row).1;
                                shared.capture_packed(epoch, &id, row, None, diff as i64);
                            }
                        }
                        for results in results.chunks(ROWS_AT_ONCE) {
                            let mut changes = of_output.changes(results);
                            output.session(&capability).give_container(&mut changes);
                        }
                    }
                }
            },
        );
    match (group.window, gate) {
        (Some(GroupWindow::OfKey { output, add_us, .. }), Some((gate, _))) => {
            while_open(changes, output, add_us, gate)
        }
        // Ranks are no bounds of sessions.
        (Some(GroupWindow::OfSession { .. }), _) | (Some(_), None) | (None, _) => changes,
    }
}

/// The order of row numbers without the columns at its end by which rows sort anyway, since their own bytes lie behind it.
fn stated(ranking: &Ranking, columns: usize) -> &[Order] {
    let order = &ranking.order;
    // Ranks are the same for all rows that are equal in the whole order.
    if ranking.ranks.iter().any(|it| *it != Rank::RowNumber) {
        return order;
    }
    let says_nothing = |at: usize| {
        let (stated, end) = order.split_at(at);
        let left = (0..columns).filter(|it| stated.iter().all(|of| of.column != *it));
        let as_rows = |it: &Order| !it.descending && it.nulls_first;
        end.iter().all(as_rows) && end.iter().map(|it| it.column).eq(left.take(end.len()))
    };
    let at = (0..order.len()).find(|it| says_nothing(*it));
    &order[..at.unwrap_or(order.len())]
}

/// A change of a row of a group.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Update {
    key: Bytes,
    row: OrderedRow,
    diff: isize,
}

/// Changes of rows by group, each row once. Groups are sorted by their hash first: it tells most of them apart without a look at their bytes, and is
/// sorted without moving them.
fn by_key(updates: Vec<Update>) -> Vec<(Bytes, Vec<(OrderedRow, isize)>)> {
    let mut places: Vec<(u64, usize)> = {
        let updates = updates.iter().enumerate();
        updates.map(|(at, it)| (hash(&it.key), at)).collect()
    };
    places.sort_unstable();
    let mut updates: Vec<Option<Update>> = updates.into_iter().map(Some).collect();
    let mut groups: Vec<(Bytes, Vec<(OrderedRow, isize)>)> = Vec::new();
    let mut alike = Vec::new();
    for places in places.chunk_by(|one, other| one.0 == other.0) {
        alike.extend(places.iter().filter_map(|it| updates[it.1].take()));
        alike.sort_unstable();
        for Update { key, row, diff } in alike.drain(..) {
            match groups.last_mut() {
                Some((last, rows)) if *last == key => match rows.last_mut() {
                    Some((last, sum)) if *last == row => *sum += diff,
                    Some(_) | None => rows.push((row, diff)),
                },
                Some(_) | None => groups.push((key, vec![(row, diff)])),
            }
        }
    }
    groups
}

/// The groups of one worker.
#[derive(Default)]
struct Groups {
    groups: HashMap<Bytes, Group, FixedState>,
    /// Rows of all groups, and what they and the keys take.
    held: Held,
}

impl Groups {
    fn change(&mut self, key: Bytes, change: impl FnOnce(&mut Group)) {
        let of_key = Held::bytes(allocated(key.len()));
        let mut group = match self.groups.entry(key) {
            Entry::Occupied(it) => it,
            Entry::Vacant(it) => {
                self.held += of_key;
                it.insert_entry(Group::default())
            }
        };
        self.held -= group.get().held();
        change(group.get_mut());
        self.held += group.get().held();
        if group.get().is_empty() {
            let (_, group) = group.remove_entry();
            self.held -= of_key + group.held();
        }
    }
}

impl Keeps for Groups {
    fn held(&mut self) -> Held {
        self.held + Held::bytes(allocated(self.groups.allocation_size()))
    }
}

/// The rows of a group.
#[derive(Default)]
struct Group {
    rows: GroupRows,
    /// What their bytes take.
    bytes: usize,
}

/// Sorted, each with how often it is there.
enum GroupRows {
    Few(Vec<(OrderedRow, isize)>),
    Many(BTreeMap<OrderedRow, isize>),
}

impl Default for GroupRows {
    fn default() -> Self {
        GroupRows::Few(Vec::new())
    }
}

impl Group {
    fn is_empty(&self) -> bool {
        match &self.rows {
            GroupRows::Few(rows) => rows.is_empty(),
            GroupRows::Many(rows) => rows.is_empty(),
        }
    }

    fn held(&self) -> Held {
        let (rows, table) = match &self.rows {
            GroupRows::Few(rows) => (rows.len(), of_vec::<(OrderedRow, isize)>(rows.capacity())),
            GroupRows::Many(rows) => (rows.len(), of_tree::<OrderedRow, isize>(rows.len())),
        };
        Held {
            rows,
            bytes: self.bytes + table,
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&OrderedRow, isize)> {
        let (few, many) = match &self.rows {
            GroupRows::Few(rows) => (Some(rows), None),
            GroupRows::Many(rows) => (None, Some(rows)),
        };
        let few = few.into_iter().flatten().map(|it| (&it.0, it.1));
        let many = many.into_iter().flatten().map(|it| (it.0, *it.1));
        few.chain(many)
    }

    fn last(&self) -> Option<&OrderedRow> {
        match &self.rows {
            GroupRows::Few(rows) => rows.last().map(|it| &it.0),
            GroupRows::Many(rows) => rows.last_key_value().map(|it| it.0),
        }
    }

    fn add(&mut self, row: &OrderedRow, diff: isize) {
        let of_row = bytes_of(row);
        match &mut self.rows {
            GroupRows::Few(rows) => match rows.binary_search_by(|it| it.0.cmp(row)) {
                Ok(at) => {
                    rows[at].1 += diff;
                    if rows[at].1 == 0 {
                        rows.remove(at);
                        self.bytes -= of_row;
                    }
                }
                Err(at) => {
                    rows.insert(at, (row.clone(), diff));
                    self.bytes += of_row;
                    if FEW_ROWS < rows.len() {
                        let rows = std::mem::take(rows).into_iter();
                        self.rows = GroupRows::Many(rows.collect());
                    }
                }
            },
            GroupRows::Many(rows) => match rows.get_mut(row) {
                Some(count) => {
                    *count += diff;
                    if *count == 0 {
                        rows.remove(row);
                        self.bytes -= of_row;
                    }
                }
                None if diff != 0 => {
                    rows.insert(row.clone(), diff);
                    self.bytes += of_row;
                }
                None => {}
            },
        }
    }

    /// Takes out the rows from this one on.
    fn split_off(&mut self, from: &[u8]) -> Vec<(OrderedRow, isize)> {
        let gone = match &mut self.rows {
            GroupRows::Few(rows) => {
                let at = rows.partition_point(|it| *it.0 < *from);
                rows.split_off(at)
            }
            GroupRows::Many(rows) => {
                let gone = rows.split_off(from);
                if rows.len() <= FEW_ROWS / 2 {
                    let rows = std::mem::take(rows).into_iter();
                    self.rows = GroupRows::Few(rows.collect());
                }
                gone.into_iter().collect::<Vec<_>>()
            }
        };
        self.bytes -= gone.iter().map(|it| bytes_of(&it.0)).sum::<usize>();
        gone
    }
}

/// Ranks of a row; zero is one that nobody asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Ranks {
    row_number: i64,
    rank: i64,
    dense_rank: i64,
}

impl Ranks {
    fn get(&self, rank: Rank) -> i64 {
        match rank {
            Rank::RowNumber => self.row_number,
            Rank::Rank => self.rank,
            Rank::DenseRank => self.dense_rank,
        }
    }

    fn set(&mut self, rank: Rank, number: i64) {
        match rank {
            Rank::RowNumber => self.row_number = number,
            Rank::Rank => self.rank = number,
            Rank::DenseRank => self.dense_rank = number,
        }
    }
}

/// A row with its ranks.
type Placed = (OrderedRow, Ranks);

/// How rows are numbered.
struct Numbering {
    ranks: Vec<Rank>,
    limit: Option<RankLimit>,
}

/// Rows that were passed, in order.
#[derive(Default)]
struct Passed<'a> {
    rows: i64,
    /// Rows before the first of those that are equal to the last one.
    before: i64,
    /// Different rows of the order.
    dense: i64,
    last: Option<&'a [u8]>,
}

impl<'a> Passed<'a> {
    /// Goes to the next row; `place` is then its own.
    fn next(&mut self, bytes: &'a [u8]) {
        let order = order_and_row(bytes).0;
        if self.last != Some(order) {
            self.before = self.rows;
            self.dense += 1;
            self.last = Some(order);
        }
    }

    fn rank(&self, rank: Rank) -> i64 {
        match rank {
            Rank::RowNumber => self.rows + 1,
            Rank::Rank => self.before + 1,
            Rank::DenseRank => self.dense,
        }
    }
}

impl Numbering {
    /// Takes changes of one epoch in, and adds what they change in the results. Of the changes remain those of rows that are kept, and those that
    /// are let go for them.
    fn change(
        &self,
        group: &mut Group,
        changes: &mut Vec<(OrderedRow, isize)>,
        results: &mut Vec<(Placed, i64)>,
    ) {
        let drops = self.limit.is_some_and(|it| it.drops);
        changes.retain(|it| it.1 != 0);
        if drops && let Some(end) = self.end_of_full(group) {
            changes.retain(|it| *it.0 < *end);
        }
        let Some((first, _)) = changes.first() else {
            return;
        };
        let first = first.clone();
        let before = self.placed(group, &first);
        for (row, diff) in &*changes {
            group.add(row, *diff);
        }
        if drops && let Some(beyond) = self.beyond(group, &mut Passed::default()) {
            let gone = group.split_off(&beyond);
            changes.extend(gone.into_iter().map(|(row, count)| (row, -count)));
        }
        let after = self.placed(group, &first);
        difference(&before, &after, |row, diff| {
            results.push((row.clone(), diff))
        });
    }

    /// The first row whose rank is not read.
    fn beyond<'a>(&self, group: &'a Group, passed: &mut Passed<'a>) -> Option<OrderedRow> {
        let RankLimit { rank, greatest, .. } = self.limit?;
        for (row, count) in group.iter() {
            passed.next(row);
            if greatest < passed.rank(self.ranks[rank]) {
                return Some(row.clone());
            }
            passed.rows += i64::try_from(count).expect("a count of rows");
        }
        None
    }

    /// Of a group without rows beyond the greatest rank: where rows would begin that have none, if it has all that can be read.
    fn end_of_full(&self, group: &Group) -> Option<OrderedRow> {
        let RankLimit { rank, greatest, .. } = self.limit?;
        let mut passed = Passed::default();
        let last = match self.beyond(group, &mut passed) {
            Some(_) => return None,
            None => group.last()?,
        };
        match self.ranks[rank] {
            // A copy of the last row is behind it too.
            Rank::RowNumber => (greatest <= passed.rows).then(|| last.clone()),
            Rank::Rank => (greatest <= passed.rows).then(|| behind(last)),
            Rank::DenseRank => (greatest <= passed.dense).then(|| behind(last)),
        }
    }

    /// The rows from this one on, with their ranks, up to the greatest that is read.
    fn placed(&self, group: &Group, from: &OrderedRow) -> Vec<Placed> {
        let mut placed = Vec::new();
        let mut passed = Passed::default();
        for (row, count) in group.iter() {
            passed.next(row);
            for _ in 0..count {
                if let Some(limit) = self.limit
                    && limit.greatest < passed.rank(self.ranks[limit.rank])
                {
                    return placed;
                }
                if from <= row {
                    let mut ranks = Ranks::default();
                    for rank in &self.ranks {
                        ranks.set(*rank, passed.rank(*rank));
                    }
                    placed.push((row.clone(), ranks));
                }
                passed.rows += 1;
            }
        }
        placed
    }
}

/// Bytes behind all rows that are equal to this one in the order, and before all others that are behind it: no row begins so.
fn behind(row: &[u8]) -> OrderedRow {
    let mut end = order_and_row(row).0.to_vec();
    end.extend_from_slice(&[u8::MAX; 9]);
    end.into()
}

/// Makes columns of rows and their ranks.
struct Output {
    rows: Encoder,
    schema: SchemaRef,
    /// The column of the first rank.
    first: usize,
    ranks: Vec<Rank>,
}

impl Output {
    fn changes(&self, results: &[(Placed, i64)]) -> Changes {
        let rows = results.iter().map(|it| order_and_row(&it.0.0).1);
        let mut columns = self.rows.decode(rows);
        for (at, rank) in self.ranks.iter().enumerate() {
            let numbers = results.iter().map(|it| it.0.1.get(*rank));
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
            columns.insert(self.first + at, numbers);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let diffs: Vec<i64> = results.iter().map(|it| it.1).collect();
        Changes::signed(batch.expect("columns are of the schema"), diffs)
    }
}

mod contenders;

#[cfg(test)]
mod tests;

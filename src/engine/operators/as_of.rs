//! ASOF joins: each left row with the one right row of its key whose time is nearest.
//!
//! Per key, both sides lie in the order of time, each row behind the bytes of its time, so the match of a left row is the last right row before a
//! bound. A change of a right row touches the left rows from its own time to that of the next right row, and no others: these are matched anew,
//! and the difference is what changes. For the nearest time behind, both sides lie in descending order, and all else is the same.

use super::join::{Shape, state_names};
use super::keyed::{Form, Input, RowBytes, bytes_of, keyed, order_and_row};
use super::{ChangeStream, RunEpochs, Shared};
use crate::engine::changes::Changes;
use crate::engine::costs::Keeps;
use crate::engine::encoded::Bytes;
use crate::model::Held;
use crate::model::held::{allocated, of_tree};
use crate::plan::{AsOf, Order};
use differential_dataflow::consolidation::consolidate;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;

/// Rows that leave at a time.
const ROWS_AT_ONCE: usize = 8192;
/// Bytes that no row begins with.
const BEHIND: [u8; 9] = [u8::MAX; 9];

/// A left row and its match.
type Pair = (RowBytes, Option<RowBytes>);

/// Changes of one epoch.
#[derive(Default)]
struct Taken {
    left: Vec<((Option<Bytes>, RowBytes), isize)>,
    right: Vec<((Option<Bytes>, RowBytes), isize)>,
}

/// The rows of an ASOF join as changes, with the columns of both sides.
pub(in crate::engine) fn as_of<'s>(
    left: Input<'s>,
    right: Input<'s>,
    as_of: &Arc<AsOf>,
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let shape = Shape::new(&left.schema, &right.schema);
    let (decoder, nothing) = (shape.both(), shape.nothing(false));
    let [of_left, of_right] = state_names(&as_of.id);
    let side = |input: Input<'s>, key: Vec<usize>, time: usize, state: String| {
        let form = Form {
            key,
            nulls_match: false,
            order: Some(vec![Order {
                column: time,
                descending: !as_of.is_before,
                nulls_first: true,
            }]),
            is_stored: true,
        };
        keyed(input, form, state, None, epochs, shared)
    };
    let (left_keys, right_keys) = as_of.keys.iter().copied().unzip();
    let left = side(left, left_keys, as_of.times.0, of_left);
    let right = side(right, right_keys, as_of.times.1, of_right);
    let keys = Keys {
        takes_equal: as_of.takes_equal,
        keeps_unmatched: as_of.keeps_unmatched,
        keys: HashMap::default(),
        held: Held::default(),
    };
    let keys = shared.borrow_mut().owners.keep(keys);
    left.inner
        .binary_frontier::<_, CapacityContainerBuilder<Changes>, _, _, _, _>(
            right.inner,
            Pipeline,
            Pipeline,
            "AsOf",
            move |_, _| {
                let mut open: BTreeMap<u64, (Capability<u64>, Taken)> = BTreeMap::new();
                move |(left, of_left), (right, of_right), output| {
                    let mut keys = keys.borrow_mut();
                    left.for_each(|capability, data| {
                        for (row, epoch, diff) in data.drain(..) {
                            let open = open.entry(epoch).or_insert_with(|| {
                                (capability.delayed(&epoch, 0), Taken::default())
                            });
                            open.1.left.push((row, diff));
                        }
                    });
                    right.for_each(|capability, data| {
                        for (row, epoch, diff) in data.drain(..) {
                            let open = open.entry(epoch).or_insert_with(|| {
                                (capability.delayed(&epoch, 0), Taken::default())
                            });
                            open.1.right.push((row, diff));
                        }
                    });
                    while let Some(entry) = open.first_entry() {
                        let epoch = entry.key();
                        if of_left.less_equal(epoch) || of_right.less_equal(epoch) {
                            break;
                        }
                        let (capability, taken) = entry.remove();
                        let results = keys.change(taken);
                        for results in results.chunks(ROWS_AT_ONCE) {
                            let rows = results.iter().map(|((left, right), _)| {
                                let right = right.as_ref().map(|it| order_and_row(it).1);
                                (order_and_row(left).1, right.unwrap_or(&nothing))
                            });
                            let rows: Vec<(&[u8], &[u8])> = rows.collect();
                            let diffs: Vec<i64> = results.iter().map(|it| it.1 as i64).collect();
                            let mut changes = Changes::signed(decoder.batch(&rows), diffs);
                            output.session(&capability).give_container(&mut changes);
                        }
                    }
                }
            },
        )
}

/// All keys of one worker.
struct Keys {
    takes_equal: bool,
    keeps_unmatched: bool,
    keys: HashMap<Bytes, Key, FixedState>,
    /// Rows of all keys, and what they and the keys take.
    held: Held,
}

/// The rows of a key on both sides, in the order of time, each with how often it is there.
#[derive(Default)]
struct Key {
    left: BTreeMap<RowBytes, isize>,
    right: BTreeMap<RowBytes, isize>,
    /// What the bytes of its rows take.
    bytes: usize,
}

/// Changes of the rows of one key.
#[derive(Default)]
struct Changed {
    left: Vec<(RowBytes, isize)>,
    right: Vec<(RowBytes, isize)>,
}

impl Keys {
    /// Takes changes of one epoch in; what they change in the results.
    fn change(&mut self, taken: Taken) -> Vec<(Pair, isize)> {
        let mut results = Vec::new();
        let mut changed: HashMap<Bytes, Changed, FixedState> = HashMap::default();
        for ((key, row), diff) in taken.left {
            match key {
                Some(key) => changed.entry(key).or_default().left.push((row, diff)),
                // It matches nothing.
                None if self.keeps_unmatched => results.push(((row, None), diff)),
                None => {}
            }
        }
        for ((key, row), diff) in taken.right {
            if let Some(key) = key {
                changed.entry(key).or_default().right.push((row, diff));
            }
        }
        for (bytes, mut changed) in changed {
            consolidate(&mut changed.left);
            consolidate(&mut changed.right);
            let key = self.keys.entry(bytes.clone()).or_insert_with(|| {
                self.held += Held::bytes(allocated(bytes.len()));
                Key::default()
            });
            self.held -= key.held();
            key.change(changed, self.takes_equal, |left, right, diff| {
                if right.is_some() || self.keeps_unmatched {
                    results.push(((left.clone(), right.cloned()), diff));
                }
            });
            self.held += key.held();
            if key.left.is_empty() && key.right.is_empty() {
                self.keys.remove(&bytes);
                self.held -= Held::bytes(allocated(bytes.len()));
            }
        }
        consolidate(&mut results);
        results
    }
}

impl Key {
    fn change(
        &mut self,
        changed: Changed,
        takes_equal: bool,
        mut yields: impl FnMut(&RowBytes, Option<&RowBytes>, isize),
    ) {
        let touched = self.touched(&changed.right, takes_equal);
        for (row, count) in &touched {
            yields(row, self.matching(row, takes_equal), -*count);
        }
        add(&mut self.right, changed.right, &mut self.bytes);
        for (row, count) in &touched {
            yields(row, self.matching(row, takes_equal), *count);
        }
        for (row, diff) in &changed.left {
            yields(row, self.matching(row, takes_equal), *diff);
        }
        add(&mut self.left, changed.left, &mut self.bytes);
    }

    fn held(&self) -> Held {
        let of_side = |it: &BTreeMap<RowBytes, isize>| Held {
            rows: it.len(),
            bytes: of_tree::<RowBytes, isize>(it.len()),
        };
        of_side(&self.left) + of_side(&self.right) + Held::bytes(self.bytes)
    }

    /// The last right row that is not behind a left one.
    fn matching(&self, left: &[u8], takes_equal: bool) -> Option<&RowBytes> {
        let time = order_and_row(left).0;
        let end: Bytes = match takes_equal {
            true => [time, &BEHIND].concat(),
            false => time.to_vec(),
        };
        let before = (Bound::Unbounded, Bound::Excluded(end.as_slice()));
        self.right
            .range::<[u8], _>(before)
            .next_back()
            .map(|it| it.0)
    }

    /// The left rows whose match may be another after these changes on the right, which are in order.
    fn touched(&self, changes: &[(RowBytes, isize)], takes_equal: bool) -> Vec<(RowBytes, isize)> {
        // Where left rows begin that a right one matches.
        let from = |right: &[u8]| -> Bytes {
            let time = order_and_row(right).0;
            match takes_equal {
                true => time.to_vec(),
                false => [time, &BEHIND].concat(),
            }
        };
        let mut touched: Vec<(RowBytes, isize)> = Vec::new();
        let mut passed: Option<Bytes> = None;
        for (row, diff) in changes {
            let before = self.right.get(row).copied().unwrap_or_default();
            if (before == 0) == (before + diff == 0) {
                continue;
            }
            let behind = (Bound::Excluded(&**row), Bound::Unbounded);
            let next = self.right.range::<[u8], _>(behind).next();
            let end = next.map_or(Bound::Unbounded, |it| Bound::Excluded(from(it.0)));
            let start = from(row).max(passed.take().unwrap_or_default());
            if let Bound::Excluded(end) = &end
                && *end <= start
            {
                passed = Some(start);
                continue;
            }
            let bounds = (
                Bound::Included(start.as_slice()),
                end.as_ref().map(Bytes::as_slice),
            );
            let rows = self.left.range::<[u8], _>(bounds);
            touched.extend(rows.map(|(row, count)| (row.clone(), *count)));
            match end {
                Bound::Excluded(end) => passed = Some(end),
                // All that is behind it is there.
                Bound::Included(_) | Bound::Unbounded => break,
            }
        }
        touched
    }
}

/// Adds to rows; `bytes` is what all rows take.
fn add(rows: &mut BTreeMap<RowBytes, isize>, changes: Vec<(RowBytes, isize)>, bytes: &mut usize) {
    for (row, diff) in changes {
        let of_row = bytes_of(&row);
        match rows.get_mut(&row) {
            Some(count) => {
                *count += diff;
                if *count == 0 {
                    rows.remove(&row);
                    *bytes -= of_row;
                }
            }
            None if diff != 0 => {
                rows.insert(row, diff);
                *bytes += of_row;
            }
            None => {}
        }
    }
}

impl Keeps for Keys {
    fn held(&mut self) -> Held {
        self.held + Held::bytes(allocated(self.keys.allocation_size()))
    }
}

#[cfg(test)]
mod tests;

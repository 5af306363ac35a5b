//! Inner joins whose rows are let go: those that share a window, and those that bound each other's event time.
//!
//! Per key, the rows of both sides lie beside each other until the watermark has passed what could still match them. A change is matched with what the other
//! side holds; then it is held itself. What is let go leaves without a word: the pairs it was in are final, and arrangements would compute each of
//! them once more to take it back. The pairs of an epoch are made in steps, so that operators behind take them while they are few.

mod rows;

use super::join::{Decoder, Shape};
use super::keyed::{TakenIn, closed_at, first_open};
use super::{ChangeStream, ClockStream, Shared, in_pieces};
use crate::engine::changes::Changes;
use crate::engine::costs::Keeps;
use crate::engine::gate::Gate;
use crate::model::Held;
use rows::Rows;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::Operator;

/// Pairs that leave at a time.
const PAIRS_AT_ONCE: usize = 8192;
/// Rows that are matched, and pairs that they make, before operators behind have their turn.
const STEP: usize = 4 * PAIRS_AT_ONCE;
/// The end of rows that are held for ever.
const NEVER: i64 = i64::MAX;

/// Rows of one side, or of both.
pub(super) type Side<'s> = StreamVec<'s, u64, Given>;

/// A row with its key, which is not NULL, as it is matched and held.
#[derive(Clone, Debug)]
pub(super) struct Given {
    row: KeyedRow,
    is_left: bool,
    /// Of the key.
    hash: u64,
    end: i64,
    epoch: u64,
    diff: isize,
}

impl Given {
    /// None if its key is NULL: nothing matches it.
    pub fn new(row: &TakenIn<'_>, is_left: bool) -> Option<Self> {
        let key = row.key?;
        Some(Given {
            row: KeyedRow::new(key, row.row),
            is_left,
            hash: row.hash,
            end: row.end_us.unwrap_or(NEVER),
            epoch: row.epoch,
            diff: row.diff,
        })
    }
}

/// A key and behind it the row, in one piece of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyedRow {
    bytes: Box<[u8]>,
    key_len: u32,
}

impl KeyedRow {
    fn new(key: &[u8], row: &[u8]) -> Self {
        KeyedRow {
            bytes: [key, row].concat().into(),
            key_len: u32::try_from(key.len()).expect("a key has less than 4 GB"),
        }
    }

    fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    fn row(&self) -> &[u8] {
        &self.bytes[self.key_len as usize..]
    }
}

/// What came in one epoch, in pieces.
#[derive(Default)]
struct Taken {
    left: VecDeque<Vec<Given>>,
    right: VecDeque<Vec<Given>>,
}

impl Taken {
    fn is_empty(&self) -> bool {
        self.left.is_empty() && self.right.is_empty()
    }
}

/// Pairs of rows with equal keys that are both open, as changes. `stored` are the names under which the state of the sides is stored.
pub(super) fn bounded_pairs<'s>(
    left: Side<'s>,
    right: Side<'s>,
    shape: &Shape,
    stored: [String; 2],
    (gate, ticks): (Gate, ClockStream<'s>),
    boot: u64,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let decoder = shape.both();
    let sides = shared.borrow_mut().owners.keep(Sides::default());
    let shared = Rc::clone(shared);
    let scope = left.scope();
    left.concat(right)
        .binary_frontier::<_, CapacityContainerBuilder<Changes>, _, _, _, _>(
            ticks,
            Pipeline,
            Pipeline,
            "BoundedJoin",
            move |capability, info| {
                let activator = scope.activator_for(info.address);
                let mut held = Some(capability);
                let mut open: BTreeMap<u64, Taken> = BTreeMap::new();
                move |(input, frontier), (ticks, known), output| {
                    let mut sides = sides.borrow_mut();
                    ticks.for_each(|_, _| {});
                    input.for_each(|_, rows| {
                        let belongs_to = |it: &Given| (it.epoch, it.is_left);
                        in_pieces(rows, belongs_to, |(epoch, is_left), piece| {
                            let taken = open.entry(epoch).or_default();
                            let side = match is_left {
                                true => &mut taken.left,
                                false => &mut taken.right,
                            };
                            side.push_back(piece);
                        });
                    });
                    let Some(capability) = held.as_mut() else {
                        return;
                    };
                    let upto = first_open(frontier).min(first_open(known));
                    let mut left = STEP;
                    while let Some(mut entry) = open.first_entry() {
                        let epoch = *entry.key();
                        if upto <= epoch {
                            break;
                        }
                        let closed_us = closed_at(&gate, epoch, boot);
                        let at = capability.delayed(&epoch);
                        let mut output = output.session(&at);
                        let taken = entry.get_mut();
                        sides.step(taken, closed_us, &decoder, &mut left, |mut changes| {
                            output.give_container(&mut changes);
                        });
                        if !taken.is_empty() {
                            activator.activate();
                            return;
                        }
                        entry.remove();
                    }
                    if upto == u64::MAX {
                        held = None;
                    } else if *capability.time() < upto {
                        capability.downgrade(&upto);
                        sides.let_go(gate.watermark(upto));
                        let mut shared = shared.borrow_mut();
                        stored.iter().for_each(|it| shared.let_go(it, &gate, upto));
                    }
                }
            },
        )
}

/// The rows that one worker holds.
#[derive(Default)]
struct Sides {
    left: Rows,
    right: Rows,
}

impl Sides {
    /// Matches what came in an epoch, in portions, until `left` rows and pairs are through. Rows of both sides that came together are matched once:
    /// all of the left side are held before the first of the right one is matched.
    fn step(
        &mut self,
        taken: &mut Taken,
        closed_us: i64,
        decoder: &Decoder,
        left: &mut usize,
        mut give: impl FnMut(Changes),
    ) {
        while 0 < *left && !taken.is_empty() {
            let (came, own, other) = match taken.left.is_empty() {
                false => (&mut taken.left, &mut self.left, &self.right),
                true => (&mut taken.right, &mut self.right, &self.left),
            };
            let mut rows = Vec::new();
            let mut count = 0;
            while count < PAIRS_AT_ONCE
                && let Some(mut piece) = came.pop_front()
            {
                count += piece.len();
                piece.retain(|it| closed_us < it.end);
                rows.push(piece);
            }
            let pairs = matched(&rows, other, closed_us, decoder, &mut give);
            own.add_all(rows);
            *left = left.saturating_sub(count + pairs);
        }
    }

    /// Lets everything go that ends by then.
    fn let_go(&mut self, watermark: i64) {
        self.left.let_go(watermark);
        self.right.let_go(watermark);
    }
}

impl Keeps for Sides {
    fn held(&mut self) -> Held {
        self.left.held() + self.right.held()
    }
}

/// The pairs of these rows of one side with those that are held of the other; how many there are.
fn matched(
    rows: &[Vec<Given>],
    others: &Rows,
    closed_us: i64,
    decoder: &Decoder,
    give: &mut impl FnMut(Changes),
) -> usize {
    if others.is_empty() {
        return 0;
    }
    let mut all = 0;
    let mut pairs: Vec<(&[u8], &[u8])> = Vec::new();
    let mut diffs: Vec<i64> = Vec::new();
    let mut flush = |pairs: &mut Vec<_>, diffs: &mut Vec<i64>| {
        let diffs = std::mem::take(diffs);
        all += diffs.len();
        give(Changes::signed(decoder.batch(pairs), diffs));
        pairs.clear();
    };
    for given in rows.iter().flatten() {
        for (other, count) in others.open(given, closed_us) {
            pairs.push(match given.is_left {
                true => (given.row.row(), other),
                false => (other, given.row.row()),
            });
            diffs.push((given.diff * count) as i64);
            if pairs.len() == PAIRS_AT_ONCE {
                flush(&mut pairs, &mut diffs);
            }
        }
    }
    if !pairs.is_empty() {
        flush(&mut pairs, &mut diffs);
    }
    all
}

#[cfg(test)]
mod tests;

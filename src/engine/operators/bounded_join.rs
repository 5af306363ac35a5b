//! Inner joins whose rows are let go: those that share a window, and those that bound each other's event time.
//!
//! Per key, the rows of both sides lie beside each other until the watermark has passed what could still match them. A change is matched with what the other
//! side holds; then it is held itself. What is let go leaves without a word: the pairs it was in are final, and arrangements would compute each of
//! them once more to take it back.

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
use std::collections::BTreeMap;
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::Operator;

/// Pairs that leave at a time.
const PAIRS_AT_ONCE: usize = 8192;
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
    left: Vec<Vec<Given>>,
    right: Vec<Vec<Given>>,
}

/// Pairs of rows with equal keys that are both open, as changes.
pub(super) fn bounded_pairs<'s>(
    left: Side<'s>,
    right: Side<'s>,
    shape: &Shape,
    gate: Gate,
    ticks: ClockStream<'s>,
    boot: u64,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let decoder = shape.both();
    let sides = shared.borrow_mut().owners.keep(Sides::default());
    left.concat(right)
        .binary_frontier::<_, CapacityContainerBuilder<Changes>, _, _, _, _>(
            ticks,
            Pipeline,
            Pipeline,
            "BoundedJoin",
            move |capability, _| {
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
                            side.push(piece);
                        });
                    });
                    let Some(capability) = held.as_mut() else {
                        return;
                    };
                    let upto = first_open(frontier).min(first_open(known));
                    while let Some(entry) = open.first_entry() {
                        let epoch = *entry.key();
                        if upto <= epoch {
                            break;
                        }
                        let closed_us = closed_at(&gate, epoch, boot);
                        let at = capability.delayed(&epoch);
                        let mut output = output.session(&at);
                        sides.change(entry.remove(), closed_us, &decoder, |mut changes| {
                            output.give_container(&mut changes);
                        });
                    }
                    if upto == u64::MAX {
                        held = None;
                    } else if *capability.time() < upto {
                        capability.downgrade(&upto);
                        sides.let_go(gate.watermark(upto));
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
    fn change(
        &mut self,
        taken: Taken,
        closed_us: i64,
        decoder: &Decoder,
        mut give: impl FnMut(Changes),
    ) {
        let is_open = |it: &Given| closed_us < it.end;
        let Taken {
            mut left,
            mut right,
        } = taken;
        let pieces = left.iter_mut().chain(&mut right);
        pieces.for_each(|it| it.retain(is_open));
        matched(&left, &self.right, closed_us, decoder, &mut give);
        self.left.add_all(left);
        matched(&right, &self.left, closed_us, decoder, &mut give);
        self.right.add_all(right);
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

/// The pairs of these rows of one side with those that are held of the other.
fn matched(
    rows: &[Vec<Given>],
    others: &Rows,
    closed_us: i64,
    decoder: &Decoder,
    give: &mut impl FnMut(Changes),
) {
    if others.is_empty() {
        return;
    }
    let mut pairs: Vec<(&[u8], &[u8])> = Vec::new();
    let mut diffs: Vec<i64> = Vec::new();
    let mut flush = |pairs: &mut Vec<_>, diffs: &mut Vec<i64>| {
        let diffs = std::mem::take(diffs);
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
}

#[cfg(test)]
mod tests;

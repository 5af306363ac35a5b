//! Inner joins whose rows are let go: those that share a window, and those that bound each other's event time.
//!
//! Per key, the rows of both sides lie beside each other until the watermark has passed what could still match them. A change is matched with what the other
//! side holds; then it is held itself. What is let go leaves without a word: the pairs it was in are final, and arrangements would compute each of
//! them once more to take it back.

use super::join::{Decoder, Shape};
use super::keyed::{Ending, closed_at, first_open, span_end};
use super::{ChangeStream, ClockStream, Shared};
use crate::engine::changes::Changes;
use crate::engine::costs::Keeps;
use crate::engine::encoded::Bytes;
use crate::engine::gate::Gate;
use crate::model::Held;
use crate::model::held::{allocated, of_tree, of_vec};
use differential_dataflow::Hashable;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use slab::Slab;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::Map;

/// Pairs that leave at a time.
const PAIRS_AT_ONCE: usize = 8192;
/// So many rows of one key are looked through; more are found by their hash.
const FEW: usize = 32;
/// The end of rows that are held for ever.
const NEVER: i64 = i64::MAX;

/// Rows with their key and their end.
pub(super) type Side<'s> = StreamVec<'s, u64, (Ending, u64, isize)>;

/// A row as it is matched and held; its key is not NULL.
struct Given {
    key: Bytes,
    row: Bytes,
    end: i64,
    diff: isize,
}

/// What came in one epoch.
#[derive(Default)]
struct Taken {
    left: Vec<Given>,
    right: Vec<Given>,
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
    let keys = shared.borrow_mut().owners.keep(Keys::default());
    let of_side = |side: Side<'s>, is_left: bool| {
        side.flat_map(move |(((key, row), end), epoch, diff)| {
            let given = Given {
                key: key?,
                row,
                end: end.unwrap_or(NEVER),
                diff,
            };
            Some((is_left, given.key, given.row, given.end, epoch, given.diff))
        })
    };
    let rows = of_side(left, true).concat(of_side(right, false));
    type Update = (bool, Bytes, Bytes, i64, u64, isize);
    rows.binary_frontier::<_, CapacityContainerBuilder<Changes>, _, _, _, _>(
        ticks,
        Exchange::new(|it: &Update| it.1.hashed()),
        Pipeline,
        "BoundedJoin",
        move |capability, _| {
            let mut held = Some(capability);
            let mut open: BTreeMap<u64, Taken> = BTreeMap::new();
            move |(input, frontier), (ticks, known), output| {
                let mut keys = keys.borrow_mut();
                ticks.for_each(|_, _| {});
                input.for_each(|_, rows| {
                    for (is_left, key, row, end, epoch, diff) in rows.drain(..) {
                        let taken = open.entry(epoch).or_default();
                        let side = match is_left {
                            true => &mut taken.left,
                            false => &mut taken.right,
                        };
                        side.push(Given {
                            key,
                            row,
                            end,
                            diff,
                        });
                    }
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
                    keys.change(entry.remove(), closed_us, &decoder, |mut changes| {
                        output.give_container(&mut changes);
                    });
                }
                if upto == u64::MAX {
                    held = None;
                } else if *capability.time() < upto {
                    capability.downgrade(&upto);
                    keys.let_go(gate.watermark(upto));
                }
            }
        },
    )
}

/// All keys of one worker.
#[derive(Default)]
struct Keys {
    places: HashMap<Bytes, usize, FixedState>,
    keys: Slab<Key>,
    /// Places of keys with rows whose end lies in a span, by its end.
    spans: BTreeMap<i64, Vec<usize>>,
    /// Rows of all keys, and what they and the keys take; and the lists of spans.
    held: Held,
}

struct Key {
    key: Bytes,
    left: Rows,
    right: Rows,
}

impl Keys {
    fn change(
        &mut self,
        taken: Taken,
        closed_us: i64,
        decoder: &Decoder,
        mut give: impl FnMut(Changes),
    ) {
        let is_open = |it: &Given| closed_us < it.end;
        let Taken { left, right } = taken;
        let left: Vec<Given> = left.into_iter().filter(is_open).collect();
        let right: Vec<Given> = right.into_iter().filter(is_open).collect();
        self.matched(&left, true, closed_us, decoder, &mut give);
        left.into_iter().for_each(|it| self.hold(it, true));
        self.matched(&right, false, closed_us, decoder, &mut give);
        right.into_iter().for_each(|it| self.hold(it, false));
    }

    /// The pairs of these rows of one side with those that are held of the other.
    fn matched(
        &self,
        rows: &[Given],
        are_left: bool,
        closed_us: i64,
        decoder: &Decoder,
        give: &mut impl FnMut(Changes),
    ) {
        let mut pairs: Vec<(&[u8], &[u8])> = Vec::new();
        let mut diffs: Vec<i64> = Vec::new();
        let mut flush = |pairs: &mut Vec<_>, diffs: &mut Vec<i64>| {
            let diffs = std::mem::take(diffs);
            give(Changes::signed(decoder.batch(pairs), diffs));
            pairs.clear();
        };
        for Given { key, row, diff, .. } in rows {
            let Some(key) = self.places.get(key).map(|it| &self.keys[*it]) else {
                continue;
            };
            let others = if are_left { &key.right } else { &key.left };
            for (other, count) in others.open(closed_us) {
                pairs.push(match are_left {
                    true => (row, other),
                    false => (other, row),
                });
                diffs.push((diff * count) as i64);
                if pairs.len() == PAIRS_AT_ONCE {
                    flush(&mut pairs, &mut diffs);
                }
            }
        }
        if !pairs.is_empty() {
            flush(&mut pairs, &mut diffs);
        }
    }

    fn hold(&mut self, given: Given, is_left: bool) {
        let Given {
            key,
            row,
            end,
            diff,
        } = given;
        let place = match self.places.entry(key) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                // Its key is in both tables.
                self.held += Held::bytes(2 * allocated(entry.key().len()));
                let place = self.keys.insert(Key {
                    key: entry.key().clone(),
                    left: Rows::default(),
                    right: Rows::default(),
                });
                *entry.insert(place)
            }
        };
        let key = &mut self.keys[place];
        let side = match is_left {
            true => &mut key.left,
            false => &mut key.right,
        };
        self.held -= side.held();
        side.add(row, end, diff);
        self.held += side.held();
        if end != NEVER {
            let span = self.spans.entry(span_end(end)).or_default();
            // Rows of one key often come together.
            if span.last() != Some(&place) {
                self.held -= of_list(span);
                span.push(place);
                self.held += of_list(span);
            }
        }
    }

    /// Lets everything go that ends by then. A place may have been taken by another key since: that one loses nothing that is open.
    fn let_go(&mut self, watermark: i64) {
        while let Some(entry) = self.spans.first_entry()
            && *entry.key() <= watermark
        {
            let mut places = entry.remove();
            self.held -= of_list(&places);
            places.sort_unstable();
            places.dedup();
            for place in places {
                let Some(key) = self.keys.get_mut(place) else {
                    continue;
                };
                for side in [&mut key.left, &mut key.right] {
                    self.held -= side.held();
                    side.keep_open(watermark);
                    self.held += side.held();
                }
                if key.left.is_empty() && key.right.is_empty() {
                    let key = self.keys.remove(place);
                    self.held -= Held::bytes(2 * allocated(key.key.len()));
                    self.held -= key.left.held() + key.right.held();
                    self.places.remove(&key.key);
                }
            }
        }
    }
}

impl Keeps for Keys {
    fn held(&mut self) -> Held {
        let tables = allocated(self.places.allocation_size())
            + of_vec::<Option<Key>>(self.keys.capacity())
            + of_tree::<i64, Vec<usize>>(self.spans.len());
        self.held + Held::bytes(tables)
    }
}

fn of_list(places: &Vec<usize>) -> Held {
    Held::bytes(of_vec::<usize>(places.capacity()))
}

/// Rows of one side of a key.
#[derive(Default)]
struct Rows {
    rows: Table,
    /// What their bytes take.
    bytes: usize,
}

/// Each row with its end and how often it is there.
enum Table {
    Few(Vec<(Bytes, i64, isize)>),
    Many(HashMap<Bytes, (i64, isize), FixedState>),
}

impl Default for Table {
    fn default() -> Self {
        Table::Few(Vec::new())
    }
}

impl Rows {
    fn add(&mut self, row: Bytes, end: i64, diff: isize) {
        let of_row = allocated(row.len());
        match &mut self.rows {
            Table::Few(rows) => {
                let known = rows.iter().position(|it| it.1 == end && it.0 == row);
                match known {
                    Some(at) => {
                        rows[at].2 += diff;
                        if rows[at].2 == 0 {
                            rows.swap_remove(at);
                            self.bytes -= of_row;
                        }
                    }
                    None if rows.len() < FEW => {
                        rows.push((row, end, diff));
                        self.bytes += of_row;
                    }
                    None => {
                        let rows = std::mem::take(rows).into_iter();
                        let rows = rows.chain([(row, end, diff)]);
                        let rows = rows.map(|it| (it.0, (it.1, it.2)));
                        self.rows = Table::Many(rows.collect());
                        self.bytes += of_row;
                    }
                }
            }
            Table::Many(rows) => match rows.entry(row) {
                Entry::Vacant(entry) => {
                    entry.insert((end, diff));
                    self.bytes += of_row;
                }
                Entry::Occupied(mut entry) => {
                    entry.get_mut().1 += diff;
                    if entry.get().1 == 0 {
                        entry.remove();
                        self.bytes -= of_row;
                    }
                }
            },
        }
    }

    /// Those that do not end by then.
    fn open(&self, closed_us: i64) -> impl Iterator<Item = (&Bytes, isize)> {
        let (few, many) = match &self.rows {
            Table::Few(rows) => (Some(rows.iter()), None),
            Table::Many(rows) => (None, Some(rows.iter())),
        };
        let few = few.into_iter().flatten().map(|it| (&it.0, it.1, it.2));
        let many = many.into_iter().flatten();
        let all = few.chain(many.map(|(row, it)| (row, it.0, it.1)));
        all.filter(move |it| closed_us < it.1)
            .map(|(row, _, count)| (row, count))
    }

    fn keep_open(&mut self, closed_us: i64) {
        let bytes = &mut self.bytes;
        let mut keep = |row: &Bytes, end: i64| {
            let stays = closed_us < end;
            if !stays {
                *bytes -= allocated(row.len());
            }
            stays
        };
        match &mut self.rows {
            Table::Few(rows) => rows.retain(|it| keep(&it.0, it.1)),
            Table::Many(rows) => rows.retain(|row, it| keep(row, it.0)),
        }
    }

    fn is_empty(&self) -> bool {
        match &self.rows {
            Table::Few(rows) => rows.is_empty(),
            Table::Many(rows) => rows.is_empty(),
        }
    }

    fn held(&self) -> Held {
        let (rows, table) = match &self.rows {
            Table::Few(rows) => (rows.len(), of_vec::<(Bytes, i64, isize)>(rows.capacity())),
            Table::Many(rows) => (rows.len(), allocated(rows.allocation_size())),
        };
        Held {
            rows,
            bytes: self.bytes + table,
        }
    }
}

#[cfg(test)]
mod tests;

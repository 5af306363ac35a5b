//! The rows of one side of a bounded join: found by their key, let go by their end.
//!
//! Rows lie in one table, those of one key in a chain through it, so a row costs its bytes and an entry, whether its key has one or thousands. Most sides only
//! ever take rows in; from the first one that is taken back on, rows are also found by what they are.

use super::{Given, NEVER};
use crate::engine::operators::keyed::span_end;
use crate::model::Held;
use crate::model::held::{allocated, of_tree, of_vec};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use slab::Slab;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

/// The place of a row in the table: half as long as a pointer, since there may be millions.
type Place = u32;

/// Where a chain ends.
const END: Place = Place::MAX;

/// The rows of one side.
#[derive(Default)]
pub(super) struct Rows {
    rows: Slab<Kept>,
    /// The newest row of each key.
    newest: HashTable<Place>,
    /// Each row, if rows are taken back.
    by_row: Option<HashTable<Place>>,
    /// Places of rows whose end lies in a span, by its end. Another row may have one of them by then.
    spans: BTreeMap<i64, Vec<Place>>,
    /// What bytes of rows and the lists of spans take.
    bytes: usize,
}

struct Kept {
    /// The key and behind it the row.
    bytes: Box<[u8]>,
    key_len: u32,
    /// The neighbours in the chain of the key.
    newer: Place,
    older: Place,
    /// Of the key.
    hash: u64,
    end: i64,
    /// How often it is there.
    count: isize,
}

impl Kept {
    fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    fn row(&self) -> &[u8] {
        &self.bytes[self.key_len as usize..]
    }
}

impl Rows {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows with the key of this one that do not end by then, and how often each is there.
    pub fn open(&self, given: &Given, closed_us: i64) -> impl Iterator<Item = (&[u8], isize)> {
        let newest = self.newest.find(given.hash, |it| {
            let kept = &self.rows[*it as usize];
            kept.hash == given.hash && kept.key() == given.key()
        });
        let row = |at: Place| self.rows.get(at as usize);
        let first = newest.and_then(|it| row(*it));
        let chain = std::iter::successors(first, move |it| row(it.older));
        chain
            .filter(move |it| closed_us < it.end)
            .map(|it| (it.row(), it.count))
    }

    /// Adds a row as often as it says, or takes it back.
    pub fn add(&mut self, given: Given) {
        if given.diff < 0 && self.by_row.is_none() {
            self.find_by_row();
        }
        let of_row = |bytes: &[u8]| FixedState::default().hash_one(bytes);
        let known = self.by_row.as_ref().and_then(|by_row| {
            by_row.find(of_row(&given.bytes), |it| {
                let kept = &self.rows[*it as usize];
                kept.key_len == given.key_len && kept.bytes == given.bytes
            })
        });
        if let Some(place) = known.copied() {
            let kept = &mut self.rows[place as usize];
            kept.count += given.diff;
            if kept.count == 0 {
                self.remove(place);
            }
            return;
        }
        let Given {
            bytes,
            key_len,
            hash,
            end,
            diff,
            is_left: _,
            epoch: _,
        } = given;
        let entry = self.rows.vacant_entry();
        let place = Place::try_from(entry.key()).ok().filter(|it| *it != END);
        let place = place.expect("memory ends before there are four billion rows");
        self.bytes += allocated(bytes.len());
        let full_hash = self.by_row.is_some().then(|| of_row(&bytes));
        entry.insert(Kept {
            bytes,
            key_len,
            newer: END,
            older: END,
            hash,
            end,
            count: diff,
        });
        self.link(place);
        if let (Some(by_row), Some(hash)) = (&mut self.by_row, full_hash) {
            let rows = &self.rows;
            by_row.insert_unique(hash, place, |it| of_row(&rows[*it as usize].bytes));
        }
        if end != NEVER {
            let span = self.spans.entry(span_end(end)).or_default();
            self.bytes -= of_vec::<Place>(span.capacity());
            span.push(place);
            self.bytes += of_vec::<Place>(span.capacity());
        }
    }

    /// Puts a new row in front of the others of its key.
    fn link(&mut self, place: Place) {
        let rows = &self.rows;
        let new = &rows[place as usize];
        let same_key = |it: &Place| {
            let kept = &rows[*it as usize];
            kept.hash == new.hash && kept.key() == new.key()
        };
        let hash = |it: &Place| rows[*it as usize].hash;
        match self.newest.entry(new.hash, same_key, hash) {
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(mut entry) => {
                let older = std::mem::replace(entry.get_mut(), place);
                self.rows[older as usize].newer = place;
                self.rows[place as usize].older = older;
            }
        }
    }

    /// From now on rows are found by what they are. Equal ones that came apart stay apart.
    fn find_by_row(&mut self) {
        let of_row = |at: &Place| FixedState::default().hash_one(&*self.rows[*at as usize].bytes);
        let mut by_row = HashTable::with_capacity(self.rows.len());
        for (at, _) in &self.rows {
            let place = at as Place;
            by_row.insert_unique(of_row(&place), place, of_row);
        }
        self.by_row = Some(by_row);
    }

    /// Lets everything go that ends by then.
    pub fn let_go(&mut self, watermark: i64) {
        while let Some(entry) = self.spans.first_entry()
            && *entry.key() <= watermark
        {
            let places = entry.remove();
            self.bytes -= of_vec::<Place>(places.capacity());
            for place in places {
                let kept = self.rows.get(place as usize);
                if kept.is_some_and(|it| it.end <= watermark) {
                    self.remove(place);
                }
            }
        }
    }

    fn remove(&mut self, place: Place) {
        let is_it = |it: &Place| *it == place;
        let kept = self.rows.remove(place as usize);
        self.bytes -= allocated(kept.bytes.len());
        if let Some(by_row) = &mut self.by_row {
            let hash = FixedState::default().hash_one(&*kept.bytes);
            let entry = by_row.find_entry(hash, is_it);
            entry.expect("each row is there").remove();
        }
        if let Some(older) = self.rows.get_mut(kept.older as usize) {
            older.newer = kept.newer;
        }
        if let Some(newer) = self.rows.get_mut(kept.newer as usize) {
            newer.older = kept.older;
            return;
        }
        let mut newest = self
            .newest
            .find_entry(kept.hash, is_it)
            .expect("the newest row of a key is in front");
        match kept.older {
            END => {
                newest.remove();
            }
            older => *newest.get_mut() = older,
        }
    }

    pub fn held(&self) -> Held {
        let tables = of_vec::<Kept>(self.rows.capacity())
            + allocated(self.newest.allocation_size())
            + self
                .by_row
                .as_ref()
                .map_or(0, |it| allocated(it.allocation_size()))
            + of_tree::<i64, Vec<Place>>(self.spans.len());
        Held {
            rows: self.rows.len(),
            bytes: self.bytes + tables,
        }
    }
}

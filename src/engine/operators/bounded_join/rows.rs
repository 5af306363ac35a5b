//! The rows of one side of a bounded join: found by their key, let go by their end.
//!
//! Rows lie in one table, those of one key in a chain through it, so a row costs its bytes and an entry, whether its key has one or thousands. Most sides only
//! ever take rows in; from the first one that is taken back on, rows are also found by what they are.

use super::{Given, KeyedRow, NEVER};
use crate::engine::encoded::hash;
use crate::engine::operators::keyed::span_end;
use crate::model::Held;
use crate::model::held::{allocated, of_tree, of_vec};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use slab::Slab;
use std::collections::BTreeMap;

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
    row: KeyedRow,
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
    fn has_key(&self, key: &[u8], hash: u64) -> bool {
        self.hash == hash && self.row.key() == key
    }

    fn hash_of_row(&self) -> u64 {
        hash(&self.row.bytes)
    }
}

impl Rows {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows with the key of this one that do not end by then, and how often each is there.
    pub fn open(&self, given: &Given, closed_us: i64) -> impl Iterator<Item = (&[u8], isize)> {
        let (key, hash) = (given.row.key(), given.hash);
        let same_key = |it: &Place| self.rows[*it as usize].has_key(key, hash);
        let newest = self.newest.find(hash, same_key);
        let row = |at: Place| self.rows.get(at as usize);
        let first = newest.and_then(|it| row(*it));
        let chain = std::iter::successors(first, move |it| row(it.older));
        chain
            .filter(move |it| closed_us < it.end)
            .map(|it| (it.row.row(), it.count))
    }

    /// Adds rows as often as each says, or takes them back.
    pub fn add_all(&mut self, pieces: Vec<Vec<Given>>) {
        if self.by_row.is_none() && pieces.iter().flatten().any(|it| it.diff < 0) {
            self.find_by_row();
        }
        pieces.into_iter().flatten().for_each(|it| self.add(it));
    }

    fn add(&mut self, given: Given) {
        let hash_of_row = self.by_row.as_ref().map(|_| hash(&given.row.bytes));
        let same_row = |it: &Place| self.rows[*it as usize].row == given.row;
        let by_row = self.by_row.as_ref().zip(hash_of_row);
        let known = by_row.and_then(|(by_row, hash)| by_row.find(hash, same_row));
        if let Some(place) = known.copied() {
            let kept = &mut self.rows[place as usize];
            kept.count += given.diff;
            if kept.count == 0 {
                self.remove(place);
            }
            return;
        }
        let entry = self.rows.vacant_entry();
        let place = Place::try_from(entry.key()).ok().filter(|it| *it != END);
        let place = place.expect("memory ends before there are four billion rows");
        self.bytes += allocated(given.row.bytes.len());
        entry.insert(Kept {
            row: given.row,
            newer: END,
            older: END,
            hash: given.hash,
            end: given.end,
            count: given.diff,
        });
        self.link(place);
        if let Some((by_row, hash)) = self.by_row.as_mut().zip(hash_of_row) {
            let hash_of = |it: &Place| self.rows[*it as usize].hash_of_row();
            by_row.insert_unique(hash, place, hash_of);
        }
        if given.end != NEVER {
            let span = self.spans.entry(span_end(given.end)).or_default();
            self.bytes -= of_vec::<Place>(span.capacity());
            span.push(place);
            self.bytes += of_vec::<Place>(span.capacity());
        }
    }

    /// Puts a new row in front of the others of its key.
    fn link(&mut self, place: Place) {
        let rows = &self.rows;
        let new = &rows[place as usize];
        let same_key = |it: &Place| rows[*it as usize].has_key(new.row.key(), new.hash);
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
        let hash = |it: &Place| self.rows[*it as usize].hash_of_row();
        let mut by_row = HashTable::with_capacity(self.rows.len());
        for (at, _) in &self.rows {
            let place = at as Place;
            by_row.insert_unique(hash(&place), place, hash);
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
        self.bytes -= allocated(kept.row.bytes.len());
        if let Some(by_row) = &mut self.by_row {
            let entry = by_row.find_entry(kept.hash_of_row(), is_it);
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

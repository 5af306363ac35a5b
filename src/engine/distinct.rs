//! Distinct sets: how often each value is in a group, and how many different ones that makes.
//!
//! Values are known by their 128-bit identity. Admission keeps the sets, because a set is only ever looked at by the group it
//! belongs to: what leaves is the change of a number, not the members. A value counts while it is there at
//! least once, so sets add up and take back in any order. Where nothing is ever taken back, that a value is there is enough.

use super::accumulate::{Accumulator, Slot};
use crate::model::held::{allocated, of_row, of_vec};
use crate::model::{Held, Row};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use serde::{Deserialize, Serialize};

/// One value of one set. Packed, since there may be millions; stored as aggregate, identity and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "(u8, u128, i64)", from = "(u8, u128, i64)")]
pub struct Member {
    /// Number of the aggregate whose set it is.
    pub aggregate: u8,
    /// Both halves of the value's identity.
    high: u64,
    low: u64,
    /// How often the value came.
    pub diff: i64,
}

impl Member {
    pub fn new(aggregate: u8, identity: u128, diff: i64) -> Self {
        Member {
            aggregate,
            high: (identity >> 64) as u64,
            low: identity as u64,
            diff,
        }
    }

    pub fn identity(&self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

impl From<Member> for (u8, u128, i64) {
    fn from(it: Member) -> Self {
        (it.aggregate, it.identity(), it.diff)
    }
}

impl From<(u8, u128, i64)> for Member {
    fn from((aggregate, identity, diff): (u8, u128, i64)) -> Self {
        Member::new(aggregate, identity, diff)
    }
}

/// A set of 128-bit identities: open addressing with linear probing. They are hashes already, so some of their bits are as good a
/// place to start as any, and a lookup touches one line of the cache, mostly.
#[derive(Debug, Default)]
pub struct Identities {
    /// As many as a power of two, or none; `FREE` where there is no identity.
    slots: Vec<u128>,
    len: usize,
}

/// Marks a free slot. The one identity that is the same takes the place of its neighbour, as if their hashes were equal.
const FREE: u128 = 0;
/// Lookups that wait for memory together.
const LOOKED_UP_AT_ONCE: usize = 16;
const SLOTS_MIN: usize = 16;

impl Identities {
    /// Whether it is new.
    fn insert(&mut self, identity: u128) -> bool {
        let identity = identity.max(FREE + 1);
        if self.slots.len() * 5 / 8 <= self.len {
            self.grow();
        }
        let at = self.slot(identity);
        let is_new = self.slots[at] == FREE;
        self.slots[at] = identity;
        self.len += usize::from(is_new);
        is_new
    }

    /// Where an identity is, or the free slot where it belongs.
    fn slot(&self, identity: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = identity as usize & mask;
        while self.slots[at] != FREE && self.slots[at] != identity {
            at = (at + 1) & mask;
        }
        at
    }

    /// Inserts many, and gives the number of each that is new.
    pub fn insert_all(&mut self, identities: &[u128], mut is_new: impl FnMut(usize)) {
        for (chunk, some) in identities.chunks(LOOKED_UP_AT_ONCE).enumerate() {
            // Most are known and where they were looked for first: these reads do not wait for each other.
            let mut known = [false; LOOKED_UP_AT_ONCE];
            if let Some(mask) = self.slots.len().checked_sub(1) {
                for (known, identity) in known.iter_mut().zip(some) {
                    let identity = (*identity).max(FREE + 1);
                    *known = self.slots[identity as usize & mask] == identity;
                }
            }
            for (at, identity) in some.iter().enumerate() {
                if !known[at] && self.insert(*identity) {
                    is_new(chunk * LOOKED_UP_AT_ONCE + at);
                }
            }
        }
    }

    fn grow(&mut self) {
        let slots = vec![FREE; (self.slots.len() * 2).max(SLOTS_MIN)];
        let old = std::mem::replace(&mut self.slots, slots);
        for identity in old.into_iter().filter(|it| *it != FREE) {
            let at = self.slot(identity);
            self.slots[at] = identity;
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same set without its members and with their space, unless there were few for that space.
    pub fn emptied(mut self) -> Option<Self> {
        let is_used = self.slots.len() / 16 < self.len;
        self.slots.fill(FREE);
        self.len = 0;
        is_used.then_some(self)
    }
}

/// One set.
#[derive(Debug)]
enum Set {
    /// Values only come: no member takes any back.
    Growing(Identities),
    /// How often each value is there; never zero times.
    Counted(HashMap<u128, i64, FixedState>),
}

impl Set {
    /// Takes members in. Says by how much the size has changed, and notes for each whether it matters.
    fn add(&mut self, members: &[Member], matters: &mut Vec<bool>) -> i64 {
        match self {
            Set::Growing(known) => {
                let (first, before) = (matters.len(), known.len());
                matters.resize(first + members.len(), false);
                let values: Vec<u128> = members.iter().map(Member::identity).collect();
                known.insert_all(&values, |at| matters[first + at] = true);
                (known.len() - before) as i64
            }
            Set::Counted(counts) => members
                .iter()
                .map(|it| {
                    let (before, after) = count(counts, it.identity(), it.diff);
                    matters.push(it.diff != 0);
                    i64::from(0 < after) - i64::from(0 < before)
                })
                .sum(),
        }
    }

    /// Its members, and the memory of its table.
    fn held(&self) -> Held {
        match self {
            Set::Growing(known) => Held {
                rows: known.len(),
                bytes: of_vec::<u128>(known.slots.capacity()),
            },
            Set::Counted(counts) => Held {
                rows: counts.len(),
                bytes: allocated(counts.allocation_size()),
            },
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Set::Growing(known) => known.is_empty(),
            Set::Counted(counts) => counts.is_empty(),
        }
    }
}

/// The sets of all groups of one aggregation: one per group and aggregate.
#[derive(Debug)]
pub struct DistinctSets {
    groups: HashMap<Row, Box<[Set]>, FixedState>,
    grows: bool,
    /// All members, and what the sets and keys of groups take.
    held: Held,
}

impl DistinctSets {
    /// Without groups. `grows` if members only come, until their whole group is forgotten.
    pub fn new(grows: bool) -> Self {
        DistinctSets {
            groups: HashMap::default(),
            grows,
            held: Held::default(),
        }
    }

    /// Adds members to a group's sets, and to the counts in `change` by how much their sizes have changed. Members that
    /// made no difference are dropped.
    pub fn add(&mut self, key: &Row, members: &mut Vec<Member>, change: &mut Accumulator) {
        if members.is_empty() {
            return;
        }
        let (aggregates, grows) = (change.slots.len(), self.grows);
        let sets = self.groups.entry_ref(key).or_insert_with(|| {
            let empty = || match grows {
                true => Set::Growing(Identities::default()),
                false => Set::Counted(HashMap::default()),
            };
            let sets: Box<[Set]> = (0..aggregates).map(|_| empty()).collect();
            self.held += of_group(key, &sets);
            sets
        });
        self.held -= of_sets(sets);
        let mut matters = Vec::with_capacity(members.len());
        for run in members.chunk_by(|it, next| it.aggregate == next.aggregate) {
            let at = usize::from(run[0].aggregate);
            let more = sets[at].add(run, &mut matters);
            if let Slot::Count(size) = &mut change.slots[at] {
                *size += more;
            }
        }
        let mut matters = matters.into_iter();
        members.retain(|_| matters.next() == Some(true));
        // They wait for the next commit, and few may be left of many.
        members.shrink_to_fit();
        self.held += of_sets(sets);
        if sets.iter().all(Set::is_empty) {
            self.forget(key);
        }
    }

    /// Forgets a group.
    pub fn forget(&mut self, key: &Row) {
        if let Some(sets) = self.groups.remove(key) {
            self.held -= of_group(key, &sets);
        }
    }

    /// How many members all sets have, and what they take.
    pub fn held(&self) -> Held {
        self.held + Held::bytes(allocated(self.groups.allocation_size()))
    }
}

fn of_sets(sets: &[Set]) -> Held {
    sets.iter().map(Set::held).sum()
}

/// The sets of a group and its key.
fn of_group(key: &Row, sets: &[Set]) -> Held {
    Held::bytes(of_row(key) + allocated(size_of_val(sets))) + of_sets(sets)
}

/// How often a value was there before, and is now.
fn count(set: &mut HashMap<u128, i64, FixedState>, value: u128, diff: i64) -> (i64, i64) {
    match set.entry(value) {
        Entry::Vacant(_) if diff == 0 => (0, 0),
        Entry::Vacant(entry) => {
            entry.insert(diff);
            (0, diff)
        }
        Entry::Occupied(mut entry) => {
            let before = *entry.get();
            let after = before + diff;
            if after == 0 {
                entry.remove();
            } else {
                *entry.get_mut() = after;
            }
            (before, after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;
    use crate::model::held::measured::{assert_about, kept};
    use std::collections::HashSet;

    fn zero() -> Accumulator {
        Accumulator {
            records: 0,
            slots: [Slot::Count(0), Slot::Count(0)].into(),
        }
    }

    fn members<const N: usize>(all: [(u8, u128, i64); N]) -> Vec<Member> {
        all.map(Member::from).to_vec()
    }

    fn sizes(change: &Accumulator) -> (i64, i64) {
        match &*change.slots {
            [Slot::Count(first), Slot::Count(second)] => (*first, *second),
            other => panic!("two counts were expected, not {other:?}"),
        }
    }

    #[test]
    fn a_value_counts_while_it_is_there_at_least_once() {
        let mut sets = DistinctSets::new(false);
        let key = Row([Value::Int(1)].into());
        let mut change = zero();
        let mut came = members([(0, 7, 1), (0, 7, 1), (0, 8, 1), (1, 7, 1)]);
        sets.add(&key, &mut came, &mut change);
        assert_eq!(sizes(&change), (2, 1));
        let mut change = zero();
        sets.add(&key, &mut members([(0, 7, -1), (0, 8, -1)]), &mut change);
        assert_eq!(sizes(&change), (-1, 0));
        sets.forget(&key);
        assert!(sets.groups.is_empty());
    }

    #[test]
    fn what_came_and_left_leaves_nothing_behind() {
        let mut sets = DistinctSets::new(false);
        let key = Row([Value::Int(1)].into());
        let mut change = zero();
        // A retraction may come before what it takes back.
        sets.add(&key, &mut members([(0, 7, -1), (1, 9, 2)]), &mut change);
        sets.add(&key, &mut members([(1, 9, -2), (0, 7, 1)]), &mut change);
        assert_eq!(sizes(&change), (0, 0));
        assert!(sets.groups.is_empty());
    }

    #[test]
    fn what_sets_tell_is_what_they_take() {
        for grows in [false, true] {
            let (taken, mut sets) = kept(|| {
                let mut sets = DistinctSets::new(grows);
                for group in 0..200_i64 {
                    let key = Row([Value::Int(group)].into());
                    let values = 0..(group as u128 * 7);
                    let values = values.map(|it| Member::new(0, (it << 64) | (it * 977), 1));
                    sets.add(&key, &mut values.collect(), &mut zero());
                }
                sets
            });
            let told = sets.held();
            assert_eq!(told.rows, 7 * 199 * 200 / 2);
            assert_about(told.bytes, taken, 0.02);
            for group in 0..200 {
                sets.forget(&Row([Value::Int(group)].into()));
            }
            assert_eq!(sets.held, Held::default());
        }
    }

    #[test]
    fn identities_are_new_once_whatever_slot_they_share() {
        let mut set = Identities::default();
        let mut all = HashSet::new();
        // Low bits that collide, the number that marks a free slot, and its neighbour.
        let many: Vec<u128> = (0..5000u128)
            .map(|it| (it % 700) << 64 | (it % 3))
            .collect();
        for cut in many.chunks(333) {
            let mut new = Vec::new();
            set.insert_all(cut, |at| new.push(cut[at].max(1)));
            let wanted: Vec<u128> = cut
                .iter()
                .map(|it| *it.max(&1))
                .filter(|it| all.insert(*it))
                .collect();
            assert_eq!(new, wanted);
        }
        assert_eq!(set.len(), all.len());
        assert!(
            set.emptied()
                .is_some_and(|mut it| it.is_empty() && it.insert(many[0]))
        );
    }

    #[test]
    fn of_a_growing_set_only_new_members_are_left() {
        let mut sets = DistinctSets::new(true);
        let key = Row([Value::Int(1)].into());
        let mut change = zero();
        let mut came = members([(0, 7, 1), (0, 7, 1), (1, 7, 1), (0, 8, 1)]);
        sets.add(&key, &mut came, &mut change);
        assert_eq!(sizes(&change), (2, 1));
        assert_eq!(came, members([(0, 7, 1), (1, 7, 1), (0, 8, 1)]));
        let (mut change, mut came) = (zero(), members([(0, 8, 1), (1, 8, 1)]));
        sets.add(&key, &mut came, &mut change);
        assert_eq!((sizes(&change), came), ((0, 1), members([(1, 8, 1)])));
        sets.forget(&key);
        assert!(sets.groups.is_empty());
    }
}

//! Distinct sets: how often each value is in a group, and how many different ones that makes.
//!
//! Values are known by their 128-bit identity. Admission keeps the sets, because a set is only ever looked at by the group it
//! belongs to: what leaves is the change of a number, not the members. A value counts while it is there at
//! least once, so sets add up and take back in any order. Where nothing is ever taken back, that a value is there is enough.

use super::accumulate::{Accumulator, Slot};
use crate::model::Row;
use foldhash::fast::FixedState;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashTable, hash_table};

/// One value of one set: number of the aggregate, identity of the value, how often.
pub type Member = (u8, u128, i64);

/// A set of 128-bit identities. They are hashes already: half of one is as good a hash as any.
#[derive(Debug, Default)]
pub struct Identities(HashTable<u128>);

impl Identities {
    /// Whether it is new.
    pub fn insert(&mut self, identity: u128) -> bool {
        let hash = |it: &u128| *it as u64;
        match self.0.entry(hash(&identity), |it| *it == identity, hash) {
            hash_table::Entry::Occupied(_) => false,
            hash_table::Entry::Vacant(entry) => {
                entry.insert(identity);
                true
            }
        }
    }

    /// The same set without its members and with their space, unless there were few for that space.
    pub fn emptied(mut self) -> Option<Self> {
        let worth_it = self.0.capacity() / 8 < self.0.len();
        self.0.clear();
        worth_it.then_some(self)
    }
}

/// One set.
#[derive(Debug)]
enum Set {
    /// Values only come.
    Growing(Identities),
    /// How often each value is there; never zero times.
    Counted(HashMap<u128, i64, FixedState>),
}

impl Set {
    /// Takes a member in. Says by how much the size has changed, and whether anything has.
    fn add(&mut self, value: u128, diff: i64) -> (i64, bool) {
        match self {
            Set::Growing(known) => {
                let is_new = 0 < diff && known.insert(value);
                (i64::from(is_new), is_new)
            }
            Set::Counted(counts) => {
                let (before, after) = count(counts, value, diff);
                (i64::from(0 < after) - i64::from(0 < before), diff != 0)
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Set::Growing(known) => known.0.is_empty(),
            Set::Counted(counts) => counts.is_empty(),
        }
    }

    fn size(&self) -> i64 {
        match self {
            Set::Growing(known) => known.0.len() as i64,
            Set::Counted(counts) => counts.values().filter(|it| 0 < **it).count() as i64,
        }
    }
}

/// The sets of all groups of one aggregation: one per group and aggregate.
#[derive(Debug)]
pub struct DistinctSets {
    groups: HashMap<Row, Box<[Set]>, FixedState>,
    grows: bool,
}

impl DistinctSets {
    /// Without groups. `grows` if members only come, until their whole group is forgotten.
    pub fn new(grows: bool) -> Self {
        DistinctSets {
            groups: HashMap::default(),
            grows,
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
            (0..aggregates).map(|_| empty()).collect()
        });
        members.retain(|(at, value, diff)| {
            let at = usize::from(*at);
            let (more, matters) = sets[at].add(*value, *diff);
            if let Slot::Count(size) = &mut change.slots[at] {
                *size += more;
            }
            matters
        });
        if sets.iter().all(Set::is_empty) {
            self.groups.remove(key);
        }
    }

    /// Forgets a group; adds the sizes of its sets to the counts in `sum`.
    pub fn take(&mut self, key: &Row, sum: &mut Accumulator) {
        let Some(sets) = self.groups.remove(key) else {
            return;
        };
        for (set, slot) in sets.iter().zip(&mut sum.slots) {
            if let Slot::Count(size) = slot {
                *size += set.size();
            }
        }
    }
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

    fn zero() -> Accumulator {
        Accumulator {
            records: 0,
            slots: [Slot::Count(0), Slot::Count(0)].into(),
        }
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
        let mut came = vec![(0, 7, 1), (0, 7, 1), (0, 8, 1), (1, 7, 1)];
        sets.add(&key, &mut came, &mut change);
        assert_eq!(sizes(&change), (2, 1));
        let mut change = zero();
        sets.add(&key, &mut vec![(0, 7, -1), (0, 8, -1)], &mut change);
        assert_eq!(sizes(&change), (-1, 0));
        let mut rest = zero();
        sets.take(&key, &mut rest);
        assert_eq!(sizes(&rest), (1, 1));
    }

    #[test]
    fn what_came_and_left_leaves_nothing_behind() {
        let mut sets = DistinctSets::new(false);
        let key = Row([Value::Int(1)].into());
        let mut change = zero();
        // A retraction may come before what it takes back.
        sets.add(&key, &mut vec![(0, 7, -1), (1, 9, 2)], &mut change);
        sets.add(&key, &mut vec![(1, 9, -2), (0, 7, 1)], &mut change);
        assert_eq!(sizes(&change), (0, 0));
        assert!(sets.groups.is_empty());
    }

    #[test]
    fn of_a_growing_set_only_new_members_are_left() {
        let mut sets = DistinctSets::new(true);
        let key = Row([Value::Int(1)].into());
        let mut change = zero();
        let mut came = vec![(0, 7, 1), (0, 7, 1), (1, 7, 1), (0, 8, 1)];
        sets.add(&key, &mut came, &mut change);
        assert_eq!(sizes(&change), (2, 1));
        assert_eq!(came, [(0, 7, 1), (1, 7, 1), (0, 8, 1)]);
        let (mut change, mut came) = (zero(), vec![(0, 8, 1), (1, 8, 1)]);
        sets.add(&key, &mut came, &mut change);
        assert_eq!((sizes(&change), came), ((0, 1), vec![(1, 8, 1)]));
        let mut rest = zero();
        sets.take(&key, &mut rest);
        assert_eq!(sizes(&rest), (2, 2));
    }
}

//! Distinct sets: how often each value is in a group, and how many different ones that makes.
//!
//! Values are known by their 128-bit identity. Admission keeps the sets, because a set is only ever looked at by the group it
//! belongs to: what leaves is the change of a number, not the members. A value counts while it is there at
//! least once, so sets add up and take back in any order.

use super::accumulate::{Accumulator, Slot};
use crate::model::Row;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// One value of one set: number of the aggregate, identity of the value, how often.
pub type Member = (u8, u128, i64);

type Counts = HashMap<u128, i64, FixedState>;

/// The sets of all groups of one aggregation: one per group and aggregate.
#[derive(Debug, Default)]
pub struct DistinctSets(HashMap<Row, Box<[Counts]>, FixedState>);

impl DistinctSets {
    /// Adds members to a group's sets, and to the counts in `change` by how much their sizes have changed.
    pub fn add(
        &mut self,
        key: &Row,
        members: impl IntoIterator<Item = Member>,
        change: &mut Accumulator,
    ) {
        let mut members = members.into_iter().peekable();
        if members.peek().is_none() {
            return;
        }
        let aggregates = change.slots.len();
        let sets = self
            .0
            .entry_ref(key)
            .or_insert_with(|| (0..aggregates).map(|_| Counts::default()).collect());
        for (at, value, diff) in members {
            let at = usize::from(at);
            let (before, after) = count(&mut sets[at], value, diff);
            if let Slot::Count(size) = &mut change.slots[at] {
                *size += i64::from(0 < after) - i64::from(0 < before);
            }
        }
        if sets.iter().all(Counts::is_empty) {
            self.0.remove(key);
        }
    }

    /// Forgets a group; adds the sizes of its sets to the counts in `sum`.
    pub fn take(&mut self, key: &Row, sum: &mut Accumulator) {
        let Some(sets) = self.0.remove(key) else {
            return;
        };
        for (set, slot) in sets.iter().zip(&mut sum.slots) {
            if let Slot::Count(size) = slot {
                *size += set.values().filter(|it| 0 < **it).count() as i64;
            }
        }
    }
}

/// How often a value was there before, and is now.
fn count(set: &mut Counts, value: u128, diff: i64) -> (i64, i64) {
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
        let mut sets = DistinctSets::default();
        let key = Row([Value::Int(1)].into());
        let mut change = zero();
        let came = [(0, 7, 1), (0, 7, 1), (0, 8, 1), (1, 7, 1)];
        sets.add(&key, came, &mut change);
        assert_eq!(sizes(&change), (2, 1));
        let mut change = zero();
        sets.add(&key, [(0, 7, -1), (0, 8, -1)], &mut change);
        assert_eq!(sizes(&change), (-1, 0));
        let mut rest = zero();
        sets.take(&key, &mut rest);
        assert_eq!(sizes(&rest), (1, 1));
    }

    #[test]
    fn what_came_and_left_leaves_nothing_behind() {
        let mut sets = DistinctSets::default();
        let key = Row([Value::Int(1)].into());
        let mut change = zero();
        // A retraction may come before what it takes back.
        sets.add(&key, [(0, 7, -1), (1, 9, 2)], &mut change);
        sets.add(&key, [(1, 9, -2), (0, 7, 1)], &mut change);
        assert_eq!(sizes(&change), (0, 0));
        assert!(sets.0.is_empty());
    }
}

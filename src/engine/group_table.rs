//! What groups have taken in: from the key of each to its accumulator, both packed into one piece of memory.
//!
//! A count, a sum and a largest value are three slots of 64 bytes in an [`Accumulator`], which is what they are computed in, and some twenty
//! bytes here. There is one per group for as long as the group lives. Equal keys have equal bytes, and no key's bytes are the beginning of
//! another's, so that a group is found by comparing bytes.

use super::accumulate::Accumulator;
use super::encoded::hash;
use crate::model::held::allocated;
use crate::model::{Held, Row};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use serde::Serialize;

/// Groups by key. None of them is zero.
#[derive(Default)]
pub struct GroupTable {
    groups: HashTable<Group>,
    /// What the groups take, without the table.
    groups_bytes: usize,
    /// The group that is packed; kept for its memory.
    group: Vec<u8>,
}

/// A key as groups are looked for by it. The same one packs key after key, for its memory.
#[derive(Default)]
pub struct PackedKey {
    bytes: Vec<u8>,
    hash: u64,
}

impl PackedKey {
    /// Makes it this key.
    pub fn pack(&mut self, key: &Row) -> &Self {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.bytes = packed(key, bytes);
        self.hash = hash(&self.bytes);
        self
    }

    /// Equal keys have equal ones.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// What its memory takes, in bytes.
    pub fn held_bytes(&self) -> usize {
        allocated(self.bytes.capacity())
    }
}

/// The length of the key, the key, the accumulator.
struct Group(Box<[u8]>);

impl Group {
    /// Packed in `room`, so that it takes no more memory than it needs.
    fn of(key: &[u8], accumulator: &Accumulator, room: &mut Vec<u8>) -> Self {
        Group::pack(key, accumulator, room);
        Group(room.as_slice().into())
    }

    /// Puts another one in its place. Most are as long as the one before, and then it is the same memory.
    fn replace(&mut self, key: &[u8], accumulator: &Accumulator, room: &mut Vec<u8>) {
        Group::pack(key, accumulator, room);
        match self.0.len() == room.len() {
            true => self.0.copy_from_slice(room),
            false => self.0 = room.as_slice().into(),
        }
    }

    fn pack(key: &[u8], accumulator: &Accumulator, room: &mut Vec<u8>) {
        let mut bytes = std::mem::take(room);
        bytes.clear();
        bytes = packed(&key.len(), bytes);
        bytes.extend_from_slice(key);
        *room = packed(accumulator, bytes);
    }

    /// The key, and the accumulator behind it.
    fn parts(&self) -> (&[u8], &[u8]) {
        let (length, rest) = postcard::take_from_bytes(&self.0).expect(PACKED_HERE);
        rest.split_at(length)
    }

    fn bytes(&self) -> usize {
        allocated(self.0.len())
    }

    fn key(&self) -> &[u8] {
        self.parts().0
    }

    fn accumulator(&self) -> Accumulator {
        postcard::from_bytes(self.parts().1).expect(PACKED_HERE)
    }

    fn unpacked(&self) -> (Row, Accumulator) {
        let key = postcard::from_bytes(self.key()).expect(PACKED_HERE);
        (key, self.accumulator())
    }
}

const PACKED_HERE: &str = "it was packed by this program";

/// Bytes, and behind them those of a value.
fn packed(value: &impl Serialize, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, bytes).expect("keys and accumulators are plain values")
}

impl GroupTable {
    /// What a group has taken in; zero if it is not there.
    pub fn get(&self, key: &PackedKey) -> Accumulator {
        let group = self.groups.find(key.hash, |it| it.key() == key.bytes);
        group.map(Group::accumulator).unwrap_or_default()
    }

    /// From now on a group has taken in this; it is gone if that is zero.
    pub fn set(&mut self, key: &PackedKey, accumulator: &Accumulator) {
        let room = &mut self.group;
        let (hash_of_key, key) = (key.hash, key.bytes.as_slice());
        let group = self
            .groups
            .entry(hash_of_key, |it| it.key() == key, |it| hash(it.key()));
        let (before, now) = match (group, accumulator.is_zero()) {
            (Entry::Occupied(group), true) => (group.remove().0.bytes(), 0),
            (Entry::Occupied(mut group), false) => {
                let before = group.get().bytes();
                group.get_mut().replace(key, accumulator, room);
                (before, group.get().bytes())
            }
            (Entry::Vacant(_), true) => (0, 0),
            (Entry::Vacant(place), false) => {
                let place = place.insert(Group::of(key, accumulator, room));
                (0, place.get().bytes())
            }
        };
        self.groups_bytes = self.groups_bytes + now - before;
    }

    /// Puts a group in that has taken in something, unless it is there; true if it was not.
    pub fn insert(&mut self, key: &PackedKey, accumulator: &Accumulator) -> bool {
        let room = &mut self.group;
        let (hash_of_key, key) = (key.hash, key.bytes.as_slice());
        let group = self
            .groups
            .entry(hash_of_key, |it| it.key() == key, |it| hash(it.key()));
        let Entry::Vacant(place) = group else {
            return false;
        };
        let place = place.insert(Group::of(key, accumulator, room));
        self.groups_bytes += place.get().bytes();
        true
    }

    /// Makes room for so many more groups.
    pub fn reserve(&mut self, more: usize) {
        self.groups.reserve(more, |it| hash(it.key()));
    }

    /// How many groups there are, and what they take.
    pub fn held(&self) -> Held {
        let room = allocated(self.group.capacity());
        let table = allocated(self.groups.allocation_size()) + room;
        Held {
            rows: self.groups.len(),
            bytes: table + self.groups_bytes,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// All groups, in an order that follows from what was done to the table.
    pub fn into_groups(self) -> impl Iterator<Item = (Row, Accumulator)> {
        self.groups.into_iter().map(|it| it.unpacked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::accumulate::Slot;
    use crate::model::{Bins, FloatSum, IntSum, Moments, Value};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use tikv_jemalloc_ctl::thread::{allocatedp, deallocatedp};

    /// What a group took in, with one slot of each kind. Values near the limits make sums that need more than 128 bits.
    fn taken_in(values: &[(i64, f64)]) -> Accumulator {
        let (mut sum, mut floats) = (IntSum::default(), FloatSum::default());
        let (mut moments, mut bins) = (Moments::default(), Bins::default());
        let mut candidates: Vec<(Value, i64)> = Vec::new();
        for (int, float) in values {
            sum.add(*int, 1);
            floats.add(*float, 1);
            moments.add(*float, 1);
            bins.add(crate::model::bin_of(*float), 1);
            candidates.push((Value::Int(*int), 1));
        }
        crate::model::sum_counts(&mut candidates);
        Accumulator {
            records: values.len() as i64,
            slots: [
                Slot::Count(values.len() as i64),
                Slot::IntSum(sum),
                Slot::FloatSum(floats),
                Slot::Moments(Box::new(moments)),
                Slot::Extremes(candidates),
                Slot::Bins(bins),
            ]
            .into(),
        }
    }

    fn values() -> impl Strategy<Value = Vec<(i64, f64)>> {
        let float = prop_oneof![any::<f64>(), -1e3..1e3, Just(f64::NAN), Just(f64::MAX)];
        prop::collection::vec((any::<i64>(), float), 0..6)
    }

    fn keys() -> impl Strategy<Value = Row> {
        let value = prop_oneof![
            Just(Value::Null),
            (0..3_i64).prop_map(Value::Int),
            "[ab]{0,2}".prop_map(|it| Value::Text(it.into())),
        ];
        prop::collection::vec(value, 2).prop_map(|it| Row(it.into()))
    }

    proptest! {
        /// It is a map from keys to accumulators; what was added is taken away by its negative, and then the group is gone.
        #[test]
        fn a_table_is_a_map_without_zeros(
            changes in prop::collection::vec((keys(), values(), any::<bool>()), 0..40),
        ) {
            let mut table = GroupTable::default();
            let mut packed = PackedKey::default();
            let mut expected: BTreeMap<Row, Accumulator> = BTreeMap::new();
            for (key, values, takes_back) in changes {
                let mut sum = table.get(packed.pack(&key));
                prop_assert_eq!(&sum, &expected.get(&key).cloned().unwrap_or_default());
                let mut change = taken_in(&values);
                if takes_back {
                    change = sum.clone();
                    change.negate();
                }
                sum.merge(&change);
                table.set(packed.pack(&key), &sum);
                match sum.is_zero() {
                    true => expected.remove(&key),
                    false => expected.insert(key, sum),
                };
            }
            prop_assert_eq!(table.is_empty(), expected.is_empty());
            let groups: BTreeMap<Row, Accumulator> = table.into_groups().collect();
            prop_assert_eq!(groups, expected);
        }
    }

    #[test]
    fn a_group_is_put_in_unless_it_is_there() {
        let (mut table, mut other) = (GroupTable::default(), GroupTable::default());
        let mut key = PackedKey::default();
        table.reserve(100);
        for it in 0..100 {
            let key = key.pack(&Row([Value::Int(it)].into()));
            assert!(table.insert(key, &taken_in(&[(it, 0.5)])));
            assert!(!table.insert(key, &taken_in(&[(7, 7.0)])));
            other.set(key, &taken_in(&[(it, 0.5)]));
        }
        assert_eq!(table.held().rows, 100);
        assert_eq!(table.groups_bytes, other.groups_bytes);
        let groups: BTreeMap<Row, Accumulator> = table.into_groups().collect();
        assert_eq!(groups, other.into_groups().collect());
    }

    #[test]
    fn a_group_with_count_sum_and_largest_value_takes_few_bytes() {
        const GROUPS: i64 = 10_000;
        let mut sum = IntSum::default();
        sum.add(123_456, 1);
        let group = Accumulator {
            records: 300,
            slots: [
                Slot::Count(300),
                Slot::IntSum(sum),
                Slot::Best {
                    largest: true,
                    value: Some(Value::Int(999)),
                },
            ]
            .into(),
        };
        let mut key = PackedKey::default();
        key.pack(&Row([Value::Int(i64::MAX)].into()));
        // The counters of this thread: other tests run beside it.
        let (taken, returned) = (
            allocatedp::read().expect("a counter"),
            deallocatedp::read().expect("a counter"),
        );
        let in_use = || taken.get() - returned.get();
        let before = in_use();
        let mut table = GroupTable::default();
        (0..GROUPS).for_each(|it| table.set(key.pack(&Row([Value::Int(it << 32)].into())), &group));
        let taken = in_use() - before;
        let told = table.held();
        assert_eq!(told.rows, GROUPS as usize);
        assert_eq!(told.bytes as u64, taken, "what it tells is what it takes");
        let bytes = taken / GROUPS as u64;
        assert!(!table.is_empty());
        assert!(bytes <= 80, "a group takes {bytes} bytes");
    }
}

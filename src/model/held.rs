//! What values take of memory, as the allocator counts it: the measure of state.
//!
//! A piece of memory takes the whole of its size class, so a row of 33 bytes takes 48. What tables hold is added up while they change, never by walking
//! them; only trees, which tell neither their nodes nor the room in them, are estimated ([`of_tree`]).

use super::{Row, Value};
use std::mem::size_of;
use std::ops::{Add, AddAssign, SubAssign};

/// Rows that are kept, and the bytes that they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub rows: usize,
    pub bytes: usize,
}

impl Held {
    /// One row of so many bytes.
    pub fn row(bytes: usize) -> Self {
        Held { rows: 1, bytes }
    }

    /// Bytes that are there for rows counted elsewhere.
    pub fn bytes(bytes: usize) -> Self {
        Held { rows: 0, bytes }
    }
}

impl Add for Held {
    type Output = Held;

    fn add(mut self, other: Held) -> Held {
        self += other;
        self
    }
}

impl AddAssign for Held {
    fn add_assign(&mut self, other: Held) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Held {
    fn sub_assign(&mut self, other: Held) {
        self.rows -= other.rows;
        self.bytes -= other.bytes;
    }
}

impl std::iter::Sum for Held {
    fn sum<I: Iterator<Item = Held>>(all: I) -> Held {
        all.fold(Held::default(), Add::add)
    }
}

/// The allocator's largest class; more than that is in whole pages.
const CLASS_MAX: usize = 14 << 10;
const PAGE: usize = 4 << 10;

/// What the allocator takes for a piece of memory: jemalloc has classes of 8, 16, 32, 48, … 128 bytes, four for each doubling from there, and whole pages for
/// what is larger than 14 KiB.
pub fn allocated(bytes: usize) -> usize {
    match bytes {
        _ if CLASS_MAX < bytes => bytes.next_multiple_of(PAGE),
        0 => 0,
        1..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        _ => {
            let doubling = (bytes - 1).ilog2();
            bytes.next_multiple_of(1 << (doubling - 2))
        }
    }
}

/// A vector's own memory, without what its elements point at.
pub fn of_vec<T>(capacity: usize) -> usize {
    allocated(capacity * size_of::<T>())
}

/// Entries of a node of the standard library's B-tree.
const NODE_ENTRIES: usize = 11;
/// How full nodes are on average: of keys that come in any order seven tenths, of such that only rise little more than half.
const NODE_ENTRIES_MEAN: usize = 7;

/// A B-tree's nodes, without what keys and values point at. The number of nodes is an estimate from the mean of entries in a node: one filled in the order of its keys
/// takes a sixth more, one filled in any order a tenth less, one made of sorted entries a third less.
pub fn of_tree<K, V>(entries: usize) -> usize {
    // A pointer to the parent, the place there, and the length.
    let leaf = NODE_ENTRIES * (size_of::<K>() + size_of::<V>()) + size_of::<usize>() + 4;
    let pointers = (NODE_ENTRIES + 1) * size_of::<usize>();
    if entries == 0 {
        return 0;
    }
    if entries <= NODE_ENTRIES {
        return allocated(leaf);
    }
    let nodes = entries.div_ceil(NODE_ENTRIES_MEAN);
    let inner = nodes.div_ceil(NODE_ENTRIES_MEAN + 1);
    (nodes - inner) * allocated(leaf) + inner * allocated(leaf + pointers)
}

/// A row's shared memory: two counters, and its values with what they point at.
pub fn of_row(row: &Row) -> usize {
    let inner: usize = row.0.iter().map(of_value).sum();
    allocated(2 * size_of::<usize>() + size_of_val(&*row.0)) + inner
}

/// What a value points at.
pub fn of_value(value: &Value) -> usize {
    match value {
        Value::Text(text) if text.is_heap_allocated() => allocated(text.capacity()),
        Value::Decimal(it) => allocated(size_of_val(&**it)),
        Value::Bytes(it) => allocated(it.len()),
        Value::List(values) => {
            allocated(size_of_val(&**values)) + values.iter().map(of_value).sum::<usize>()
        }
        Value::Struct(fields) => {
            let inner = fields.iter();
            let inner = inner.map(|(name, value)| allocated(name.len()) + of_value(value));
            allocated(size_of_val(&**fields)) + inner.sum::<usize>()
        }
        Value::Text(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Date(_)
        | Value::Timestamp(_)
        | Value::Time(_)
        | Value::Interval(_) => 0,
    }
}

/// What the allocator says, to compare with what is told.
#[cfg(test)]
pub(crate) mod measured {
    use tikv_jemalloc_ctl::thread::{allocatedp, deallocatedp};

    /// What this thread allocates and keeps while something is made.
    pub fn kept<T>(make: impl FnOnce() -> T) -> (usize, T) {
        let taken = allocatedp::read().expect("a counter");
        let returned = deallocatedp::read().expect("a counter");
        // More may be returned than was taken, by a thread that others give to.
        let in_use = || taken.get().wrapping_sub(returned.get());
        let before = in_use();
        let made = make();
        (in_use().wrapping_sub(before) as usize, made)
    }

    /// That so many bytes were told, give or take a share of what was taken.
    #[track_caller]
    pub fn assert_about(told: usize, taken: usize, share: f64) {
        let off = (told as f64 / taken as f64 - 1.0).abs();
        assert!(off <= share, "{told} bytes were told, {taken} were taken");
    }
}

#[cfg(test)]
mod tests;

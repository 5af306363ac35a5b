//! The rows of a view, sorted, with how often each is there: cheap to change, and cheap to keep as they are.
//!
//! Rows lie in chunks that copies share. A copy costs a pointer per chunk, so a reader takes one under the hub's lock and walks
//! through it afterwards; a writer meanwhile copies only the chunks it touches, and those only if a reader still holds them.

use crate::model::held::{allocated, of_row, of_vec};
use crate::model::{Held, Row, sum_row_counts};
use std::sync::Arc;

/// A chunk that grows beyond this is split in halves.
const CHUNK_ROWS_MAX: usize = 256;
/// One that shrinks below this is joined with the next.
const CHUNK_ROWS_MIN: usize = CHUNK_ROWS_MAX / 8;
/// By so many rows a chunk grows; doubling would leave half of it empty.
const CHUNK_GROWTH: usize = CHUNK_ROWS_MAX / 8;
/// So many chunks are looked at one after another before half of the rest is left out at once.
const CHUNKS_TRIED: usize = 3;

/// Rows with their counts. No count is 0.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// None is empty, and all rows of a chunk are less than those of the next.
    chunks: Vec<Arc<Vec<(Row, i64)>>>,
    len: usize,
    /// What the rows themselves take.
    rows_bytes: usize,
}

impl Rows {
    /// Sorted rows that differ, without zeros, and what these themselves take.
    fn of_sorted(rows: impl IntoIterator<Item = (Row, i64)>, rows_bytes: usize) -> Self {
        let mut rows = rows.into_iter();
        // Half full, so that the next rows do not split every chunk at once.
        let chunks = std::iter::from_fn(|| {
            let mut chunk = Vec::with_capacity(CHUNK_ROWS_MAX / 2);
            chunk.extend(rows.by_ref().take(CHUNK_ROWS_MAX / 2));
            if chunk.len() < CHUNK_ROWS_MAX / 2 {
                chunk.shrink_to_fit();
            }
            (!chunk.is_empty()).then_some(chunk)
        });
        let mut all = Rows {
            rows_bytes,
            ..Rows::default()
        };
        for chunk in chunks {
            debug_assert!(chunk.is_sorted_by(|a, b| a.0 < b.0));
            all.len += chunk.len();
            all.chunks.push(Arc::new(chunk));
        }
        all
    }

    /// How many different rows there are.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many different rows there are, and what they and their chunks take. Chunks that a reader still holds and others do not are not among it.
    pub fn held(&self) -> Held {
        // Two counters and a vector in a piece of memory of their own.
        let shared = allocated(2 * size_of::<usize>() + size_of::<Vec<(Row, i64)>>());
        let chunks = self.chunks.iter();
        let chunks = chunks.map(|it| shared + of_vec::<(Row, i64)>(it.capacity()));
        Held {
            rows: self.len,
            bytes: self.rows_bytes
                + of_vec::<Arc<Vec<(Row, i64)>>>(self.chunks.capacity())
                + chunks.sum::<usize>(),
        }
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = (&Row, i64)> {
        let chunks = self.chunks.iter().flat_map(|it| it.iter());
        chunks.map(|(row, count)| (row, *count))
    }

    /// Adds to the count of a row; one whose count becomes 0 is gone.
    pub fn add(&mut self, row: &Row, diff: i64) {
        self.add_behind(0, row, diff);
    }

    /// The same for rows in any order. Of the first ones, of which there may be millions, none is copied, nor looked for in memory once they are
    /// sorted.
    pub fn take(&mut self, mut changes: Vec<(Row, i64)>) {
        let rows = changes.len();
        let mut rows_bytes = bytes_of(&changes);
        sum_row_counts(&mut changes);
        if !self.is_empty() {
            self.add_sorted(&changes);
            return;
        }
        if changes.len() != rows {
            rows_bytes = bytes_of(&changes);
        }
        *self = Rows::of_sorted(changes, rows_bytes);
    }

    /// The same for sorted rows that differ. Of many the next one is mostly in the same chunk, or one of the next.
    pub fn add_sorted(&mut self, changes: &[(Row, i64)]) {
        if self.is_empty() {
            self.take(changes.to_vec());
            return;
        }
        let mut at = 0;
        for (row, diff) in changes {
            at = self.add_behind(at, row, *diff);
        }
    }

    /// Adds to the count of a row that is in no chunk before this one, and tells in which it is.
    fn add_behind(&mut self, first: usize, row: &Row, diff: i64) -> usize {
        if diff == 0 {
            return first;
        }
        let at = self.chunk_of(first, row);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(Arc::new(vec![(row.clone(), diff)]));
            self.len += 1;
            self.rows_bytes += of_row(row);
            return at;
        };
        let chunk = Arc::make_mut(chunk);
        match chunk.binary_search_by(|it| it.0.cmp(row)) {
            Ok(place) => {
                chunk[place].1 += diff;
                if chunk[place].1 == 0 {
                    let (gone, _) = chunk.remove(place);
                    self.rows_bytes -= of_row(&gone);
                    self.len -= 1;
                }
            }
            Err(place) => {
                if chunk.len() == chunk.capacity() {
                    chunk.reserve_exact(CHUNK_GROWTH);
                }
                chunk.insert(place, (row.clone(), diff));
                self.rows_bytes += of_row(row);
                self.len += 1;
            }
        }
        if chunk.len() + CHUNK_ROWS_MAX / 2 < chunk.capacity() {
            chunk.shrink_to_fit();
        }
        match chunk.len() {
            0 => {
                self.chunks.remove(at);
            }
            1..CHUNK_ROWS_MIN => self.join(at),
            CHUNK_ROWS_MIN..=CHUNK_ROWS_MAX => {}
            many => {
                let upper = chunk.split_off(many / 2);
                chunk.shrink_to_fit();
                self.chunks.insert(at + 1, Arc::new(upper));
            }
        }
        at
    }

    /// Puts a small chunk and the next one together, unless the result would soon be split.
    fn join(&mut self, at: usize) {
        let len = |it: usize| self.chunks.get(it).map(|it| it.len());
        if let (Some(this), Some(next)) = (len(at), len(at + 1))
            && this + next <= CHUNK_ROWS_MAX / 2
        {
            let next = self.chunks.remove(at + 1);
            Arc::make_mut(&mut self.chunks[at]).extend(next.iter().cloned());
        }
    }

    /// The chunk that has a row, or would have it; none of those before the first one has.
    fn chunk_of(&self, first: usize, row: &Row) -> usize {
        let before = |it: &Arc<Vec<(Row, i64)>>| it.last().is_some_and(|last| last.0 < *row);
        let behind = self.chunks.get(first..).unwrap_or_default();
        let skipped = behind.iter().take(CHUNKS_TRIED).take_while(|it| before(it));
        let at = match skipped.count() {
            CHUNKS_TRIED => behind.partition_point(before),
            near => near,
        };
        (first + at).min(self.chunks.len().saturating_sub(1))
    }
}

/// What rows themselves take.
fn bytes_of(rows: &[(Row, i64)]) -> usize {
    rows.iter().map(|it| of_row(&it.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn row(value: i64) -> Row {
        Row([Value::Int(value)].into())
    }

    fn listed(rows: &Rows) -> Vec<(i64, i64)> {
        rows.iter()
            .map(|(row, count)| (row.0[0].as_i64().expect("a number"), count))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// It is a map of counts, and what was copied before a change does not see it.
        #[test]
        fn rows_are_a_map_and_copies_stay(
            start in prop::collection::btree_map(0..2_000i64, 1..3i64, 0..700),
            changes in prop::collection::vec((0..2_000i64, -2..3i64), 0..700),
        ) {
            let mut expected: BTreeMap<i64, i64> = start;
            let mut rows = Rows::default();
            rows.take(expected.iter().rev().map(|(value, count)| (row(*value), *count)).collect());
            prop_assert_eq!(rows.rows_bytes, rows.iter().map(|it| of_row(it.0)).sum::<usize>());
            let before = rows.clone();
            let listed_before: Vec<(i64, i64)> = expected.clone().into_iter().collect();
            let mut sorted: BTreeMap<i64, i64> = BTreeMap::new();
            for (value, diff) in &changes {
                *sorted.entry(*value).or_insert(0) += diff;
            }
            let sorted: Vec<(Row, i64)> = sorted.into_iter().map(|(value, diff)| (row(value), diff)).collect();
            let mut at_once = rows.clone();
            at_once.add_sorted(&sorted);
            let mut in_any_order = rows.clone();
            in_any_order.take(changes.iter().map(|(value, diff)| (row(*value), *diff)).collect());
            let mut from_nothing = Rows::default();
            let all = before.iter().map(|(row, count)| (row.clone(), count));
            let more = changes.iter().map(|(value, diff)| (row(*value), *diff));
            from_nothing.take(all.chain(more).collect());
            for (value, diff) in changes {
                rows.add(&row(value), diff);
                let count = expected.entry(value).or_insert(0);
                *count += diff;
                if *count == 0 {
                    expected.remove(&value);
                }
            }
            prop_assert_eq!(listed(&rows), expected.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(listed(&at_once), listed(&rows));
            prop_assert_eq!(listed(&in_any_order), listed(&rows));
            prop_assert_eq!(listed(&from_nothing), listed(&rows));
            prop_assert_eq!(from_nothing.rows_bytes, rows.rows_bytes);
            prop_assert_eq!(at_once.len(), rows.len());
            prop_assert_eq!(rows.len(), expected.len());
            prop_assert_eq!(rows.is_empty(), expected.is_empty());
            prop_assert_eq!(listed(&before), listed_before);
            prop_assert!(rows.chunks.iter().all(|it| !it.is_empty() && it.len() <= CHUNK_ROWS_MAX));
            prop_assert_eq!(rows.rows_bytes, rows.iter().map(|it| of_row(it.0)).sum::<usize>());
            let room = |it: &Arc<Vec<(Row, i64)>>| it.capacity() <= it.len() + CHUNK_ROWS_MAX / 2;
            prop_assert!(rows.chunks.iter().all(room));
        }
    }
}

//! The rows of one view as its table has them, on the worker that keeps them: open rows in buckets, of which a commit hands over those that
//! changed.
//!
//! The hash of a row's key tells its worker and its bucket, so that a group whose row changes touches one of them. How many there are follows from what
//! commits change: each is a file of its own, and files have their price, in the log, in what is kept for readers of older versions, and for
//! readers of the table. A small view, and one that changes all over, is one bucket.

use super::costs::Keeps;
use super::gate::Gate;
use super::worker::Place;
use super::{Bucketing, OpenRows};
use crate::model::held::{of_tree, of_vec};
use crate::model::{Epoch, Held, Row, sum_row_counts};
use foldhash::fast::FixedState;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

/// More buckets are no gain for readers of the table.
const BUCKETS_MAX: usize = 256;

pub(super) struct ViewStore {
    pub view: usize,
    name: String,
    place: Place,
    /// Whether rows are final when they come.
    pub is_final: bool,
    /// Column and constant that tell the end of a row's window, and what tells when it is closed.
    window_end: Option<(usize, i64, Gate)>,
    key: Key,
    bucketing: Bucketing,
    /// Changes not yet in the buckets, by epoch.
    pending: BTreeMap<u64, Vec<(Row, i64)>>,
    /// As many as a power of two.
    buckets: Vec<Bucket>,
    /// How many different rows there are.
    len: usize,
    /// Whether any rows have been handed over in this run: the table may have some from before.
    handed_over: bool,
    /// How many rows commits wrote more than they would have with the best number of buckets.
    regret: usize,
}

/// The columns that tell rows of a view apart, if some do: what a row was and what it is have them in common.
#[derive(Clone)]
pub(super) struct Key(Option<Arc<[usize]>>);

impl Key {
    pub fn new(columns: Option<Vec<usize>>) -> Self {
        Key(columns.map(Into::into))
    }

    /// By which the worker and the bucket of a row are chosen.
    pub fn hash_of(&self, row: &Row) -> u64 {
        let state = FixedState::default();
        let Some(columns) = &self.0 else {
            return state.hash_one(row);
        };
        let mut hasher = state.build_hasher();
        columns.iter().for_each(|it| row.0[*it].hash(&mut hasher));
        hasher.finish()
    }
}

#[derive(Default)]
struct Bucket {
    rows: BTreeMap<Row, i64>,
    changed: bool,
}

impl ViewStore {
    pub fn new(
        view: usize,
        name: &str,
        place: Place,
        is_final: bool,
        window_end: Option<(usize, i64, Gate)>,
        key: Key,
        bucketing: Bucketing,
    ) -> Self {
        let files_max = (bucketing.files_max / place.peers).max(1);
        ViewStore {
            view,
            name: name.to_owned(),
            place,
            is_final,
            window_end,
            key,
            bucketing: Bucketing {
                files_max,
                ..bucketing
            },
            pending: BTreeMap::new(),
            buckets: vec![Bucket::default()],
            len: 0,
            handed_over: false,
            regret: 0,
        }
    }

    pub fn key(&self) -> Key {
        self.key.clone()
    }

    pub fn add(&mut self, epoch: u64, row: Row, diff: i64) {
        self.pending.entry(epoch).or_default().push((row, diff));
    }

    /// Takes in everything up to the commit; returns newly closed rows, and the buckets of open rows that changed.
    pub fn commit(&mut self, commit: Epoch) -> (Vec<Row>, Option<OpenRows>) {
        let later = self.pending.split_off(&(commit.0 + 1));
        let due = std::mem::replace(&mut self.pending, later);
        let mut changes: Vec<(Row, i64)> = due.into_values().flatten().collect();
        let news = !changes.is_empty();
        if self.is_final {
            let copies = changes.into_iter().flat_map(|(row, count)| {
                let count = times(&self.name, &row, count);
                std::iter::repeat_n(row, count)
            });
            return (copies.collect(), None);
        }
        sum_row_counts(&mut changes);
        let changed = self.changed_keys(&changes);
        self.take_in(changes);
        let sealed = self.seal(commit);
        let before = self.buckets.len();
        let all = match self.handed_over {
            false => news,
            true => self.fit(changed),
        };
        if !all && !self.buckets.iter().any(|it| it.changed) {
            return (sealed, None);
        }
        self.handed_over = true;
        let mut buckets = BTreeMap::new();
        for (number, bucket) in self.buckets.iter_mut().enumerate() {
            if std::mem::take(&mut bucket.changed) || all {
                let rows = bucket.rows.iter();
                let copies = |(row, count): (&Row, &i64)| {
                    std::iter::repeat_n(row.clone(), times(&self.name, row, *count))
                };
                let rows = rows.flat_map(copies).collect();
                buckets.insert(number_of(number, self.place), rows);
            }
        }
        for number in self.buckets.len()..before {
            buckets.insert(number_of(number, self.place), Vec::new());
        }
        (sealed, Some(OpenRows(buckets)))
    }

    fn take_in(&mut self, changes: Vec<(Row, i64)>) {
        if let [bucket] = self.buckets.as_mut_slice()
            && bucket.rows.is_empty()
        {
            // They are sorted: made in one go, the map is packed densely.
            bucket.changed |= !changes.is_empty();
            self.len = changes.len();
            bucket.rows = changes.into_iter().collect();
            return;
        }
        for (row, diff) in changes {
            let at = self.bucket_of(&row, self.buckets.len());
            let bucket = &mut self.buckets[at];
            bucket.changed = true;
            match bucket.rows.get_mut(&row) {
                Some(count) if *count + diff == 0 => {
                    bucket.rows.remove(&row);
                    self.len -= 1;
                }
                Some(count) => *count += diff,
                None => {
                    bucket.rows.insert(row, diff);
                    self.len += 1;
                }
            }
        }
    }

    /// Takes rows out whose windows are closed.
    fn seal(&mut self, commit: Epoch) -> Vec<Row> {
        let Some((column, add_us, gate)) = &self.window_end else {
            return Vec::new();
        };
        let watermark = gate.watermark(commit.0 + 1);
        let is_closed = |row: &Row| {
            let end = row.0[*column].as_i64();
            end.is_some_and(|it| it + add_us <= watermark)
        };
        let mut sealed = Vec::new();
        for bucket in &mut self.buckets {
            for (row, count) in bucket.rows.extract_if(.., |row, _| is_closed(row)) {
                bucket.changed = true;
                self.len -= 1;
                let count = times(&self.name, &row, count);
                sealed.extend(std::iter::repeat_n(row, count));
            }
        }
        sealed
    }

    /// How many keys changes touch. Of a row without a key, what it was and what it is may lie in different buckets.
    fn changed_keys(&self, changes: &[(Row, i64)]) -> usize {
        let came = changes.iter().filter(|it| 0 < it.1).count();
        let left = changes.len() - came;
        match self.key.0 {
            Some(_) => came.max(left),
            None => changes.len(),
        }
    }

    fn bucket_of(&self, row: &Row, buckets: usize) -> usize {
        if buckets == 1 {
            return 0;
        }
        // Rows of one worker have the lower bits in common.
        (self.key.hash_of(row) >> 32) as usize & (buckets - 1)
    }

    /// Goes on with another number of buckets if that of now has cost more than handing all rows over twice; true if it did.
    fn fit(&mut self, changed: usize) -> bool {
        let now = self.buckets.len();
        let touched: Vec<&Bucket> = self.buckets.iter().filter(|it| it.changed).collect();
        if touched.is_empty() {
            return false;
        }
        let written = touched.iter().map(|it| it.rows.len()).sum();
        let cost = self.bucketing.cost(touched.len(), written, self.len);
        let best = self.bucketing.best(self.len, changed);
        let least = self.bucketing.expected_cost(self.len, changed, best);
        self.regret += cost.saturating_sub(least);
        let is_too_fine = 1 < now && self.len < now * (self.bucketing.rows_min / 4);
        if best == now || (self.regret <= 2 * self.len && !is_too_fine) {
            return false;
        }
        self.regret = 0;
        let mut rows: Vec<Vec<(Row, i64)>> = (0..best).map(|_| Vec::new()).collect();
        for bucket in std::mem::take(&mut self.buckets) {
            for (row, count) in bucket.rows {
                let at = self.bucket_of(&row, best);
                rows[at].push((row, count));
            }
        }
        let buckets = rows.into_iter().map(|it| Bucket {
            rows: it.into_iter().collect(),
            changed: false,
        });
        self.buckets = buckets.collect();
        true
    }
}

/// The memory of the trees, and of changes that wait for a commit. Rows are the live view's, which shares their memory and counts them.
impl Keeps for ViewStore {
    fn held(&mut self) -> Held {
        let pending = self
            .pending
            .values()
            .map(|it| of_vec::<(Row, i64)>(it.capacity()));
        let buckets = self
            .buckets
            .iter()
            .map(|it| of_tree::<Row, i64>(it.rows.len()));
        Held::bytes(pending.sum::<usize>() + buckets.sum::<usize>())
    }
}

impl Bucketing {
    /// What it costs to write buckets, as a number of rows.
    fn cost(&self, files: usize, written: usize, rows: usize) -> usize {
        let too_many = if 1 < files && self.files_max < files {
            rows
        } else {
            0
        };
        files * self.file_rows + written + too_many
    }

    /// The same for a commit that changes so many keys, wherever they are.
    fn expected_cost(&self, rows: usize, changed: usize, buckets: usize) -> usize {
        let all = buckets as f64;
        let missed = (1.0 - 1.0 / all).powf(changed as f64);
        let files = (all * (1.0 - missed)).ceil() as usize;
        self.cost(files, files * rows / buckets, rows)
    }

    /// The number of buckets at which such commits cost least.
    fn best(&self, rows: usize, changed: usize) -> usize {
        let numbers = (0..=BUCKETS_MAX.ilog2()).map(|it| 1_usize << it);
        let numbers = numbers.filter(|it| *it == 1 || self.rows_min <= rows / it);
        let best = numbers.min_by_key(|it| self.expected_cost(rows, changed, *it));
        best.expect("one bucket is always possible")
    }
}

/// The number of a bucket among those of all workers.
fn number_of(bucket: usize, place: Place) -> u32 {
    (bucket * place.peers + place.index) as u32
}

/// How often a row is there.
///
/// # Panics
/// If it was taken away more often than it came: what the lake would then hold is wrong, and nobody could say since when.
fn times(view: &str, row: &Row, count: i64) -> usize {
    usize::try_from(count).unwrap_or_else(|_| panic!("view {view}: {row:?} is there {count} times"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;
    use proptest::prelude::*;

    const BUCKETING: Bucketing = Bucketing {
        rows_min: 1024,
        file_rows: 256,
        files_max: 100,
    };

    fn store(bucketing: Bucketing) -> ViewStore {
        let place = Place {
            index: 1,
            peers: 3,
            local: 3,
        };
        let key = Key::new(Some(vec![0]));
        ViewStore::new(0, "v", place, false, None, key, bucketing)
    }

    fn row(key: i64, value: i64) -> Row {
        Row([Value::Int(key), Value::Int(value)].into())
    }

    /// A view with a row for each of so many groups, as a table has it after a first commit.
    fn of_groups(groups: i64) -> ViewStore {
        let mut store = store(BUCKETING);
        (0..groups).for_each(|it| store.add(1, row(it, 0), 1));
        let (_, open) = store.commit(Epoch(1));
        let open = open.expect("rows came").0;
        assert_eq!(open.into_keys().collect::<Vec<_>>(), [1]);
        store
    }

    /// Changes some groups in one commit, and tells how many buckets and rows it handed over.
    fn change(
        store: &mut ViewStore,
        epoch: u64,
        groups: impl Iterator<Item = i64>,
    ) -> (usize, usize) {
        let value = epoch as i64 - 1;
        for group in groups {
            store.add(epoch, row(group, value - 1), -1);
            store.add(epoch, row(group, value), 1);
        }
        let (_, open) = store.commit(Epoch(epoch));
        let open = open.expect("rows changed").0;
        let rows = open.values().map(Vec::len).sum();
        (open.values().filter(|it| !it.is_empty()).count(), rows)
    }

    #[test]
    fn a_commit_that_changes_few_of_many_groups_soon_writes_few_rows() {
        const GROUPS: i64 = 100_000;
        let mut store = of_groups(GROUPS);
        let few = || (0..20).map(|it| it * 4_999);
        let (mut written, mut last) = (0, (0, 0));
        for epoch in 2..20 {
            last = change(&mut store, epoch, few());
            written += last.1;
        }
        assert!(last.0 <= 20, "{last:?} buckets and rows");
        assert!(last.1 < GROUPS as usize / 3, "{last:?} buckets and rows");
        assert!(
            written < 9 * GROUPS as usize,
            "{written} rows in 18 commits"
        );
    }

    #[test]
    fn a_small_view_and_one_that_changes_all_over_are_one_bucket() {
        let mut small = of_groups(2_000);
        let mut large = of_groups(50_000);
        for epoch in 2..20 {
            assert_eq!(change(&mut small, epoch, 0..3), (1, 2_000));
            assert_eq!(change(&mut large, epoch, 0..20_000), (1, 50_000));
        }
    }

    #[test]
    fn a_commit_writes_no_more_files_than_it_may() {
        let mut store = of_groups(100_000);
        store.bucketing.files_max = 10;
        let files = (2..30).map(|it| change(&mut store, it, 0..200).0);
        assert!(files.into_iter().all(|it| it == 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A follower of what is handed over has the rows there are, whatever the number of buckets does.
        #[test]
        fn buckets_add_up_to_the_view(
            commits in prop::collection::vec(prop::collection::vec((0..60_i64, 0..3_i64), 0..25), 1..20),
            by_key in any::<bool>(),
            file_rows in 0..4_usize,
        ) {
            let bucketing = Bucketing { rows_min: 2, file_rows, files_max: 40 };
            let mut store = store(bucketing);
            if !by_key {
                store.key = Key::new(None);
            }
            let mut expected: BTreeMap<Row, i64> = BTreeMap::new();
            let mut followed: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
            for (number, changes) in commits.into_iter().enumerate() {
                for (key, count) in changes {
                    let row = row(key, 0);
                    let had = expected.get(&row).copied().unwrap_or(0);
                    store.add(number as u64, row.clone(), count - had);
                    expected.insert(row.clone(), count);
                    expected.retain(|_, it| *it != 0);
                }
                if let (_, Some(open)) = store.commit(Epoch(number as u64)) {
                    followed.extend(open.0);
                }
                let mut rows: Vec<Row> = followed.values().flatten().cloned().collect();
                rows.sort();
                let wanted = expected.iter().flat_map(|(row, count)| {
                    std::iter::repeat_n(row.clone(), *count as usize)
                });
                prop_assert_eq!(rows, wanted.collect::<Vec<_>>());
                prop_assert_eq!(store.len, expected.len());
            }
        }
    }
}

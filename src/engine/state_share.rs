//! Stored state on its way to the workers: shared out by key, so that each takes what it keeps, in whatever order anyone reads it.

use super::{PackedRow, Partial, StateContent, StateRecord};
use crate::model::Row;
use crate::plan::{Dataflow, Plan};
use differential_dataflow::Hashable;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

/// Which keys of groups are bounds of their window, by the name under which their state is stored, of groups that are stored by pane.
#[derive(Clone, Debug, Default)]
pub struct Panes(HashMap<String, Vec<usize>>);

impl Panes {
    /// Those of all aggregations of a dataflow.
    pub fn of(dataflow: &Dataflow) -> Self {
        let mut panes = HashMap::new();
        for view in &dataflow.views {
            view.plan.walk(&mut |node| {
                if let Plan::Aggregate { aggregation, .. } = node
                    && let Some(hops) = aggregation.panes()
                {
                    let ids = aggregation.windows_id().into_iter();
                    for id in ids.chain([aggregation.id.clone()]) {
                        panes.insert(id, hops.keys.clone());
                    }
                }
            });
        }
        Panes(panes)
    }
}

/// By which the worker of a group is chosen. Windows of a pane lie together on one, so their bounds have no part in it.
pub(super) fn place_of(key: &Row, bounds: &[usize]) -> u64 {
    if bounds.is_empty() {
        return key.hashed();
    }
    let mut hasher = FixedState::default().build_hasher();
    let others = key.0.iter().enumerate();
    let others = others.filter(|it| !bounds.contains(&it.0));
    others.for_each(|it| it.1.hash(&mut hasher));
    hasher.finish()
}

/// Which worker keeps what: the hash of a key modulo the number of all workers, as the dataflow's exchanges have it.
#[derive(Clone, Debug)]
pub struct Sharing {
    own: Range<usize>,
    workers: usize,
    panes: Panes,
}

impl Sharing {
    /// For the workers of this process, by their numbers, among `workers` of all processes.
    ///
    /// # Panics
    /// Without workers.
    pub fn new(own: Range<usize>, workers: usize, panes: Panes) -> Self {
        assert!(own.end <= workers && 0 < workers, "{own:?} of {workers}");
        Sharing {
            own,
            workers,
            panes,
        }
    }

    /// How many shares there are here: one for each worker of this process.
    pub fn shares(&self) -> usize {
        self.own.len()
    }

    /// The worker that keeps something of an operator, among those of this process; none if it is one of another.
    pub fn share_of(&self, operator: &str, content: &StateContent) -> Option<usize> {
        let bounds = || self.panes.0.get(operator).map_or(&[][..], Vec::as_slice);
        let hash = match content {
            StateContent::Group(partial) => place_of(&partial.key, bounds()),
            StateContent::Row(row, _) => row.hashed(),
            StateContent::Packed(row) => row.bytes.hashed(),
        };
        let worker = (hash % self.workers as u64) as usize;
        self.own.contains(&worker).then(|| worker - self.own.start)
    }
}

/// Groups as they are packed in a file. There may be millions, and unpacked one takes ten times as much memory, which costs more time than to
/// unpack it once more where it is needed.
#[derive(Clone, Debug, Default)]
pub struct StoredGroups {
    /// Behind each other in each: the hash of a group, how long it is, and the group.
    parts: Vec<Vec<u8>>,
    groups: usize,
}

impl StoredGroups {
    pub fn push(&mut self, partial: &Partial) {
        let packed = postcard::to_stdvec(partial).expect("groups are plain values");
        self.push_packed(group_hash(partial), &packed);
    }

    /// Adds a group as it was packed, with its hash.
    pub fn push_packed(&mut self, hash: u64, packed: &[u8]) {
        let mut part = self.parts.pop().unwrap_or_default();
        part.extend_from_slice(&hash.to_le_bytes());
        part = postcard::to_extend(&packed.len(), part).expect("a number can be packed");
        part.extend_from_slice(packed);
        self.parts.push(part);
        self.groups += 1;
    }

    /// Adds all groups of another list.
    pub fn append(&mut self, mut other: StoredGroups) {
        self.parts.append(&mut other.parts);
        self.groups += other.groups;
    }

    pub fn len(&self) -> usize {
        self.groups
    }

    pub fn is_empty(&self) -> bool {
        self.groups == 0
    }

    /// Hands over each group with its hash, packed; memory is returned on the way.
    pub fn into_packed(self, mut take: impl FnMut(u64, &[u8])) {
        for part in self.parts {
            let mut rest = part.as_slice();
            while let Some((hash, packed, behind)) = first_packed(rest) {
                take(hash, packed);
                rest = behind;
            }
        }
    }

    /// All groups; memory is returned on the way.
    pub fn into_partials(self) -> impl Iterator<Item = Partial> {
        self.parts.into_iter().flat_map(|part| {
            let mut at = 0;
            std::iter::from_fn(move || {
                let (_, packed, behind) = first_packed(&part[at..])?;
                at = part.len() - behind.len();
                Some(unpacked(packed))
            })
        })
    }
}

/// The hash of the first group, the group, and what is behind it.
fn first_packed(part: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (hash, rest) = part.split_first_chunk()?;
    let (length, rest) = postcard::take_from_bytes::<usize>(rest).expect(PACKED_HERE);
    let (packed, behind) = rest.split_at(length);
    Some((u64::from_le_bytes(*hash), packed, behind))
}

/// A group of [`StoredGroups`].
pub(crate) fn unpacked(packed: &[u8]) -> Partial {
    postcard::from_bytes(packed).expect(PACKED_HERE)
}

const PACKED_HERE: &str = "it was packed by this program, or could be unpacked when it was read";

/// By which groups with the same key and bucket are found.
pub(crate) fn group_hash(partial: &Partial) -> u64 {
    FixedState::default().hash_one((&partial.key, partial.bucket))
}

/// Stored state of the keys that one worker keeps, by operator.
#[derive(Clone, Debug, Default)]
pub struct StateShare {
    pub groups: HashMap<String, StoredGroups>,
    pub rows: HashMap<String, Vec<(Row, i64)>>,
    pub packed: HashMap<String, Vec<PackedRow>>,
}

impl StateShare {
    /// Records shared out, one share for each worker of this process.
    pub fn of(records: impl IntoIterator<Item = StateRecord>, sharing: &Sharing) -> Vec<Self> {
        let mut shares = vec![StateShare::default(); sharing.shares()];
        for StateRecord { operator, content } in records {
            if let Some(at) = sharing.share_of(&operator, &content) {
                shares[at].push(&operator, content);
            }
        }
        shares
    }

    /// Adds what an operator has stored.
    pub fn push(&mut self, operator: &str, content: StateContent) {
        match content {
            StateContent::Group(partial) => list_of(&mut self.groups, operator).push(&partial),
            StateContent::Row(row, diff) => list_of(&mut self.rows, operator).push((row, diff)),
            StateContent::Packed(row) => list_of(&mut self.packed, operator).push(row),
        }
    }

    /// Several of the same keys put together: there may be millions of records, so each list is made as long as it will be.
    pub fn concat(parts: impl IntoIterator<Item = StateShare>) -> Self {
        fn concat<T>(lists: HashMap<String, Vec<Vec<T>>>) -> HashMap<String, Vec<T>> {
            let whole = lists.into_iter().map(|(operator, mut parts)| {
                if let [_] = parts.as_slice() {
                    return (operator, parts.swap_remove(0));
                }
                let mut whole = Vec::with_capacity(parts.iter().map(Vec::len).sum());
                parts.into_iter().for_each(|mut it| whole.append(&mut it));
                (operator, whole)
            });
            whole.collect()
        }
        fn add<T>(lists: &mut HashMap<String, Vec<Vec<T>>>, part: HashMap<String, Vec<T>>) {
            for (operator, list) in part.into_iter().filter(|it| !it.1.is_empty()) {
                lists.entry(operator).or_default().push(list);
            }
        }
        let mut groups: HashMap<String, StoredGroups> = HashMap::new();
        let (mut rows, mut packed) = Default::default();
        for part in parts {
            for (operator, more) in part.groups {
                groups.entry(operator).or_default().append(more);
            }
            add(&mut rows, part.rows);
            add(&mut packed, part.packed);
        }
        StateShare {
            groups,
            rows: concat(rows),
            packed: concat(packed),
        }
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        let groups = self.groups.values().map(StoredGroups::len);
        let rows = self.rows.values().map(Vec::len);
        let packed = self.packed.values().map(Vec::len);
        groups.chain(rows).chain(packed).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it as records, operator by operator.
    pub fn into_records(self) -> impl Iterator<Item = StateRecord> {
        let groups = listed(
            self.groups,
            StoredGroups::into_partials,
            StateContent::Group,
        );
        let rows = listed(self.rows, Vec::into_iter, |(row, diff)| {
            StateContent::Row(row, diff)
        });
        let packed = listed(self.packed, Vec::into_iter, StateContent::Packed);
        groups.chain(rows).chain(packed)
    }
}

/// The list of an operator. Its name is copied only for a new one: there may be millions of records.
pub(crate) fn list_of<'a, T: Default>(
    all: &'a mut HashMap<String, T>,
    operator: &str,
) -> &'a mut T {
    if !all.contains_key(operator) {
        all.insert(operator.to_owned(), T::default());
    }
    all.get_mut(operator).expect("it is there now")
}

fn listed<L, T, I: Iterator<Item = T>>(
    all: HashMap<String, L>,
    list: fn(L) -> I,
    content: fn(T) -> StateContent,
) -> impl Iterator<Item = StateRecord> {
    let of_operator = move |(operator, all): (String, L)| {
        let operator: Arc<str> = operator.into();
        list(all).map(move |it| StateRecord {
            operator: Arc::clone(&operator),
            content: content(it),
        })
    };
    all.into_iter().flat_map(of_operator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Accumulator;
    use crate::model::Value;
    use std::collections::BTreeSet;

    fn records() -> Vec<StateRecord> {
        let row = |it: i64| Row([Value::Int(it)].into());
        let group = |it: i64| Partial {
            key: row(it),
            bucket: it,
            accumulator: Accumulator::default(),
            members: Vec::new(),
        };
        let packed = |it: i64| PackedRow {
            bytes: vec![it as u8],
            end_us: None,
            diff: it,
        };
        let contents = (0..100).flat_map(|it| {
            [
                StateContent::Group(group(it)),
                StateContent::Row(row(it), it),
                StateContent::Packed(packed(it)),
            ]
        });
        let records = contents.enumerate().map(|(number, content)| StateRecord {
            operator: format!("v{}", number % 2).into(),
            content,
        });
        records.collect()
    }

    fn sorted(records: impl IntoIterator<Item = StateRecord>) -> Vec<String> {
        let mut told: Vec<String> = records.into_iter().map(|it| format!("{it:?}")).collect();
        told.sort();
        told
    }

    #[test]
    fn windows_of_a_pane_lie_on_one_worker() {
        let key = |name: &str, start: i64| {
            Row([Value::Text(name.into()), Value::Timestamp(start)].into())
        };
        let panes = Panes(HashMap::from([("hops".to_owned(), vec![1])]));
        let sharing = Sharing::new(0..7, 7, panes);
        let share = |operator: &str, key: Row| {
            let content = StateContent::Group(Partial {
                key,
                bucket: 0,
                accumulator: Accumulator::default(),
                members: Vec::new(),
            });
            sharing.share_of(operator, &content)
        };
        let of = |operator: &str| -> BTreeSet<Option<usize>> {
            (0..100).map(|it| share(operator, key("a", it))).collect()
        };
        assert_eq!((of("hops").len(), of("others").len()), (1, 7));
        let names = (0..100).map(|it| share("hops", key(&it.to_string(), 0)));
        assert_eq!(names.collect::<BTreeSet<_>>().len(), 7);
    }

    /// Two processes with two and one workers have each record once, on the worker that the exchanges send its key to.
    #[test]
    fn each_record_is_in_the_share_of_one_worker() {
        let first = StateShare::of(records(), &Sharing::new(0..2, 3, Panes::default()));
        let second = StateShare::of(records(), &Sharing::new(2..3, 3, Panes::default()));
        let shares: Vec<StateShare> = first.into_iter().chain(second).collect();
        assert_eq!(shares.iter().map(StateShare::len).sum::<usize>(), 300);
        assert!(shares.iter().all(|it| !it.is_empty()));
        for (worker, share) in shares.iter().enumerate() {
            let groups = share.groups.values().cloned();
            for partial in groups.flat_map(StoredGroups::into_partials) {
                assert_eq!((partial.key.hashed() % 3) as usize, worker);
            }
        }
        let all = shares.into_iter().flat_map(StateShare::into_records);
        assert_eq!(sorted(all), sorted(records()));
    }

    #[test]
    fn shares_are_put_together() {
        let all = StateShare::concat(StateShare::of(
            records(),
            &Sharing::new(0..2, 2, Panes::default()),
        ));
        assert_eq!(sorted(all.into_records()), sorted(records()));
    }
}

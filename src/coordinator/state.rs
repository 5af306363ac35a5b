//! Stored state: what stateful operators took in, summed per commit, and all of it from time to time.
//!
//! A file is `TLS1`, the size unpacked, then zstd over postcard of a list of records. Sums do not depend on the order of files.

use super::Error;
use crate::engine::{Member, Partial, StateContent, StateRecord};
use crate::lake::{Manifest, Store};
use crate::model::Row;
use differential_dataflow::difference::{IsZero, Semigroup};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io::{BufWriter, IntoInnerError, Write};

const MAGIC: &[u8] = b"TLS1";
/// Behind it: how long the records are before they are packed.
const SIZE_BYTES: usize = size_of::<u64>();

/// Records added up: one per operator, group and bucket, or row.
#[derive(Default)]
pub(super) struct Sum {
    /// By operator; within, found by key and bucket.
    groups: HashMap<String, HashTable<Partial>>,
    rows: HashMap<(String, Row), i64>,
}

impl Sum {
    pub fn add(&mut self, record: StateRecord) {
        match record.content {
            StateContent::Row(row, diff) => {
                *self.rows.entry((record.operator, row)).or_insert(0) += diff
            }
            StateContent::Group(partial) => {
                let groups = self.groups.entry(record.operator).or_default();
                let hash = |it: &Partial| FixedState::default().hash_one((&it.key, it.bucket));
                let same = |it: &Partial| it.bucket == partial.bucket && it.key == partial.key;
                match groups.entry(hash(&partial), same, hash) {
                    Entry::Vacant(entry) => {
                        entry.insert(partial);
                    }
                    Entry::Occupied(mut entry) => {
                        let sum = entry.get_mut();
                        sum.accumulator.plus_equals(&partial.accumulator);
                        sum.members.extend(partial.members);
                    }
                }
            }
        }
    }

    /// The sums. Members of sets, of which there may be millions, are left in parts unless it is the `whole` state: they
    /// add up when they are read.
    pub fn records(self, whole: bool) -> Vec<StateRecord> {
        let partials = self
            .groups
            .into_iter()
            .flat_map(|(operator, all)| all.into_iter().map(move |it| (operator.clone(), it)));
        let groups = partials.filter_map(|(operator, mut partial)| {
            if whole {
                partial.members.sort_unstable();
                partial.members.dedup_by(|next, kept| {
                    let value = |it: &Member| (it.aggregate, it.identity());
                    let same = value(next) == value(kept);
                    if same {
                        kept.diff += next.diff;
                    }
                    same
                });
            }
            partial.members.retain(|it| it.diff != 0);
            let empty = partial.accumulator.is_zero() && partial.members.is_empty();
            (!empty).then_some(StateRecord {
                operator,
                content: StateContent::Group(partial),
            })
        });
        let rows = self
            .rows
            .into_iter()
            .filter(|it| it.1 != 0)
            .map(|((operator, row), diff)| StateRecord {
                operator,
                content: StateContent::Row(row, diff),
            });
        groups.chain(rows).collect()
    }
}

/// Records as bytes, packed as they are written: there may be many.
pub(super) fn encode(records: &[StateRecord]) -> Result<Vec<u8>, Error> {
    let pack = || -> std::io::Result<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[0; SIZE_BYTES]);
        let packed = zstd::Encoder::new(bytes, 1)?;
        let plain = BufWriter::with_capacity(1 << 16, Counted { packed, size: 0 });
        let plain = postcard::to_io(records, plain).map_err(std::io::Error::other)?;
        let plain = plain.into_inner().map_err(IntoInnerError::into_error)?;
        let mut bytes = plain.packed.finish()?;
        bytes[MAGIC.len()..MAGIC.len() + SIZE_BYTES].copy_from_slice(&plain.size.to_le_bytes());
        Ok(bytes)
    };
    pack().map_err(|it| Error::State(it.to_string()))
}

/// Counts what goes through.
struct Counted<W> {
    packed: W,
    size: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.packed.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.packed.flush()
    }
}

fn decode(bytes: &[u8]) -> Result<Vec<StateRecord>, Error> {
    let wrong = |text: &str| Error::State(text.to_owned());
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| wrong("it was written by another version"))?;
    let (size, packed) = rest
        .split_first_chunk::<SIZE_BYTES>()
        .ok_or_else(|| wrong("it is cut short"))?;
    let size =
        usize::try_from(u64::from_le_bytes(*size)).map_err(|_| wrong("its size is impossible"))?;
    let plain = zstd::bulk::decompress(packed, size).map_err(|it| Error::State(it.to_string()))?;
    postcard::from_bytes(&plain).map_err(|it| Error::State(it.to_string()))
}

/// All state a manifest names, added up.
pub(super) async fn load(store: &Store, manifest: &Manifest) -> Result<Vec<StateRecord>, Error> {
    let mut sum = Sum::default();
    for file in manifest
        .state_full
        .iter()
        .chain(&manifest.state_differences)
    {
        let bytes = store.get_state(file).await?;
        decode(&bytes)?.into_iter().for_each(|it| sum.add(it));
    }
    Ok(sum.records(false))
}

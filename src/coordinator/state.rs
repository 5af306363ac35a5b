//! Stored state: what stateful operators took in, summed per commit, and all of it from time to time.
//!
//! A file is `TLS2`, the size unpacked, then zstd over postcard of a list of records. Sums do not depend on the order of files.

use super::Error;
use crate::engine::{Member, PackedRow, Partial, StateContent, StateRecord};
use crate::lake::{Manifest, StateFile, Store};
use crate::model::Row;
use crate::supervise;
use foldhash::fast::FixedState;
use futures::StreamExt;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io::{BufWriter, IntoInnerError, Read, Write};

/// Files of state that are unpacked at the same time when it is loaded.
const UNPACKED_AT_ONCE: usize = 4;

const MAGIC: &[u8] = b"TLS2";
/// Behind it: how long the records are before they are packed.
const SIZE_BYTES: usize = size_of::<u64>();
/// So much memory is set aside for the records whatever the file says of their size.
const UNPACKED_AHEAD_BYTES_MAX: usize = 64 << 20;

/// Records added up: one per operator, group and bucket, or row.
#[derive(Default)]
pub(super) struct Sum {
    /// By operator; within, found by key and bucket.
    groups: HashMap<String, HashTable<Partial>>,
    rows: HashMap<String, hashbrown::HashMap<Row, i64, FixedState>>,
    /// By operator and bytes: the end of the window, and how often.
    packed: HashMap<String, hashbrown::HashMap<Vec<u8>, (Option<i64>, i64), FixedState>>,
}

impl Sum {
    pub fn add(&mut self, record: StateRecord) {
        match record.content {
            StateContent::Row(row, diff) => {
                let rows = self.rows.entry(record.operator).or_default();
                *rows.entry(row).or_insert(0) += diff
            }
            StateContent::Packed(PackedRow {
                bytes,
                end_us,
                diff,
            }) => {
                let rows = self.packed.entry(record.operator).or_default();
                rows.entry(bytes).or_insert((end_us, 0)).1 += diff;
            }
            StateContent::Group(partial) => {
                let groups = self.groups.entry(record.operator).or_default();
                let same = |it: &Partial| it.bucket == partial.bucket && it.key == partial.key;
                match groups.entry(hash_of(&partial), same, hash_of) {
                    Entry::Vacant(entry) => {
                        entry.insert(partial);
                    }
                    Entry::Occupied(mut entry) => {
                        let sum = entry.get_mut();
                        sum.accumulator.merge(&partial.accumulator);
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
            .flat_map(|(operator, all)| all.into_iter().map(move |it| (operator.clone(), it)))
            .filter(|it| it.1.1 != 0)
            .map(|(operator, (row, diff))| StateRecord {
                operator,
                content: StateContent::Row(row, diff),
            });
        let packed = self
            .packed
            .into_iter()
            .flat_map(|(operator, all)| all.into_iter().map(move |it| (operator.clone(), it)))
            .filter(|it| it.1.1.1 != 0)
            .map(|(operator, (bytes, (end_us, diff)))| StateRecord {
                operator,
                content: StateContent::Packed(PackedRow {
                    bytes,
                    end_us,
                    diff,
                }),
            });
        groups.chain(rows).chain(packed).collect()
    }
}

/// Records as bytes, packed as they are written: there may be many.
pub(crate) fn encode(records: &[StateRecord]) -> Result<Vec<u8>, Error> {
    let write = |plain| postcard::to_io(records, plain).map_err(std::io::Error::other);
    file_of(write).map_err(|it| Error::State(it.to_string()))
}

/// A file of what is written.
fn file_of(
    write: impl FnOnce(BufWriter<Counted<Packed>>) -> std::io::Result<BufWriter<Counted<Packed>>>,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[0; SIZE_BYTES]);
    let packed = zstd::Encoder::new(bytes, 1)?;
    let plain = write(BufWriter::with_capacity(
        1 << 16,
        Counted { packed, size: 0 },
    ))?;
    let plain = plain.into_inner().map_err(IntoInnerError::into_error)?;
    let mut bytes = plain.packed.finish()?;
    bytes[MAGIC.len()..MAGIC.len() + SIZE_BYTES].copy_from_slice(&plain.size.to_le_bytes());
    Ok(bytes)
}

/// A file with these bytes in the place of its records.
pub(crate) fn packed(plain: &[u8]) -> Vec<u8> {
    let file = file_of(|mut file| file.write_all(plain).map(|()| file));
    file.expect("memory can be written")
}

type Packed = zstd::Encoder<'static, Vec<u8>>;

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

/// The records of a file.
///
/// # Errors
/// If it is none of this version, or is damaged.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<StateRecord>, Error> {
    let wrong = |text: &str| Error::State(text.to_owned());
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| wrong("it was written by another version"))?;
    let (size, packed) = rest
        .split_first_chunk::<SIZE_BYTES>()
        .ok_or_else(|| wrong("it is cut short"))?;
    let size =
        usize::try_from(u64::from_le_bytes(*size)).map_err(|_| wrong("its size is impossible"))?;
    let failed = |it: std::io::Error| Error::State(it.to_string());
    let mut plain = Vec::with_capacity(size.min(UNPACKED_AHEAD_BYTES_MAX));
    let mut unpacked = zstd::Decoder::new(packed).map_err(failed)?;
    let read = unpacked.by_ref().take(size as u64).read_to_end(&mut plain);
    if read.map_err(failed)? < size || unpacked.read(&mut [0]).map_err(failed)? != 0 {
        return Err(wrong("its records have another size than it says"));
    }
    postcard::from_bytes(&plain).map_err(|it| Error::State(it.to_string()))
}

/// All state a manifest names, added up: files are unpacked side by side, then shares of the groups are.
pub(super) async fn load(store: &Store, manifest: &Manifest) -> Result<Vec<StateRecord>, Error> {
    let files = manifest
        .state_full
        .iter()
        .chain(&manifest.state_differences);
    let files: Vec<StateFile> = files.cloned().collect();
    // One file was added up when it was written.
    let is_added_up = files.len() < 2;
    let shares = match is_added_up {
        true => 1,
        false => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let unpacked = futures::stream::iter(files).map(|file| {
        let store = store.clone();
        async move {
            let bytes = store.get_state(&file).await?;
            aside(move || Ok(shared_out(decode(&bytes)?, shares))).await
        }
    });
    let mut unpacked = unpacked.buffer_unordered(UNPACKED_AT_ONCE);
    let mut all: Vec<Vec<StateRecord>> = vec![Vec::new(); shares];
    while let Some(records) = unpacked.next().await {
        for (share, mut records) in all.iter_mut().zip(records?) {
            share.append(&mut records);
        }
    }
    if is_added_up {
        return Ok(all.swap_remove(0));
    }
    let sums = all.into_iter().map(|records| {
        aside(move || {
            let mut sum = Sum::default();
            records.into_iter().for_each(|it| sum.add(it));
            Ok(sum.records(false))
        })
    });
    let sums = futures::future::try_join_all(sums).await?;
    Ok(sums.into_iter().flatten().collect())
}

/// Runs what takes long on a thread of its own.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    supervise::blocking("a part of the state", work)
        .await
        .map_err(|it| Error::State(it.to_string()))?
}

/// Records by the hash of their group or row: what adds up is in one share.
fn shared_out(records: Vec<StateRecord>, shares: usize) -> Vec<Vec<StateRecord>> {
    if shares == 1 {
        return vec![records];
    }
    let mut all: Vec<Vec<StateRecord>> = (0..shares).map(|_| Vec::new()).collect();
    for record in records {
        let hash = match &record.content {
            StateContent::Group(partial) => hash_of(partial),
            StateContent::Row(row, _) => FixedState::default().hash_one(row),
            StateContent::Packed(row) => FixedState::default().hash_one(&row.bytes),
        };
        // The low bits place it in its table.
        all[(hash >> 32) as usize % shares].push(record);
    }
    all
}

fn hash_of(partial: &Partial) -> u64 {
    FixedState::default().hash_one((&partial.key, partial.bucket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Accumulator;
    use crate::lake::Manifest;
    use crate::model::Value;

    fn record(key: i64, records: i64) -> StateRecord {
        StateRecord {
            operator: "v".to_owned(),
            content: StateContent::Group(Partial {
                key: Row([Value::Int(key)].into()),
                bucket: key % 3,
                accumulator: Accumulator {
                    records,
                    ..Accumulator::default()
                },
                members: Vec::new(),
            }),
        }
    }

    /// What a file says of its size may be anything.
    #[test]
    fn a_file_that_lies_about_its_size_is_refused_before_it_takes_memory() {
        let file = encode(&[record(1, 2)]).unwrap();
        assert_eq!(decode(&file).unwrap(), [record(1, 2)]);
        let size = u64::from_le_bytes(file[MAGIC.len()..][..SIZE_BYTES].try_into().unwrap());
        for lie in [0, size - 1, size + 1, 1 << 40, u64::MAX] {
            let mut file = file.clone();
            file[MAGIC.len()..][..SIZE_BYTES].copy_from_slice(&lie.to_le_bytes());
            let refused = decode(&file).unwrap_err().to_string();
            assert!(refused.contains("another size"), "{lie}: {refused}");
        }
    }

    /// Reading a list calls itself for each list within it.
    #[test]
    fn lists_within_lists_without_end_are_refused() {
        let nested = |depth: usize| {
            let list = |it: Value, _| Value::List([it].into());
            (0..depth).fold(Value::Null, list)
        };
        let bytes = |depth: usize| {
            // Once for one level: the bytes of each more begin in the same way.
            let of = |depth| postcard::to_stdvec(&nested(depth)).unwrap();
            let level = of(2)[..of(2).len() - of(1).len()].to_vec();
            [level.repeat(depth), of(0)].concat()
        };
        assert_eq!(bytes(3), postcard::to_stdvec(&nested(3)).unwrap());
        let read = |depth| postcard::from_bytes::<Value>(&bytes(depth));
        assert_eq!(read(100), Ok(nested(100)));
        assert!(read(1_000_000).is_err());
    }

    #[tokio::test]
    async fn state_of_several_files_is_added_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap()).unwrap();
        let mut manifest = Manifest::empty("d");
        for (number, range) in [0..100, 50..150, 100..101].into_iter().enumerate() {
            let row = StateRecord {
                operator: "top".to_owned(),
                content: StateContent::Row(Row([Value::Int(7)].into()), 1),
            };
            let packed = |diff| StateRecord {
                operator: "join".to_owned(),
                content: StateContent::Packed(PackedRow {
                    bytes: vec![1, 2, 3],
                    end_us: Some(9),
                    diff,
                }),
            };
            let records = range.map(|it| record(it, 1)).chain([row, packed(2)]);
            let records: Vec<_> = records.collect();
            let name = format!("file-{number}");
            let bytes = encode(&records).unwrap();
            let file = store.put_state("d", &name, bytes.into()).await.unwrap();
            manifest.state_differences.push(file);
            let mut loaded = load(&store, &manifest).await.unwrap();
            loaded.sort_by_key(|it| format!("{it:?}"));
            let mut wanted: Vec<_> = match number {
                0 => (0..100).map(|it| record(it, 1)).collect(),
                1 => (0..150)
                    .map(|it| record(it, if (50..100).contains(&it) { 2 } else { 1 }))
                    .collect(),
                _ => (0..150)
                    .map(|it| record(it, if (50..101).contains(&it) { 2 } else { 1 }))
                    .collect(),
            };
            wanted.push(StateRecord {
                operator: "top".to_owned(),
                content: StateContent::Row(Row([Value::Int(7)].into()), number as i64 + 1),
            });
            wanted.push(packed(2 * (number as i64 + 1)));
            wanted.sort_by_key(|it| format!("{it:?}"));
            assert_eq!(loaded, wanted);
        }
    }
}

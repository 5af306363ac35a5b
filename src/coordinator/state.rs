//! Stored state: what stateful operators took in, summed per commit, and all of it from time to time.
//!
//! A file is `TLS2`, the size unpacked, then zstd over postcard of a list of records. It is in frames of some megabytes, each of which begins with a
//! record (the first with the length of the list) and says how long it is, so that several threads read one file. A file of one frame need not say
//! it. Sums do not depend on the order of files.

use super::Error;
use crate::engine::{
    Member, PackedRow, Panes, Partial, Sharing, StateContent, StateRecord, StateShare,
    StoredGroups, group_hash, list_of, unpacked,
};
use crate::lake::{Manifest, StateFile, Store};
use crate::model::Row;
use crate::supervise;
use bytes::Bytes;
use foldhash::fast::FixedState;
use futures::{StreamExt, TryStreamExt};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use zstd::zstd_safe;

/// Files of state that are read at the same time when it is loaded.
const FILES_AT_ONCE: usize = 4;

const MAGIC: &[u8] = b"TLS2";
/// Behind it: how long the records are before they are packed.
const SIZE_BYTES: usize = size_of::<u64>();
/// A frame ends with the record that takes it to so many bytes before they are packed: beyond it zstd finds no more, and a million groups are
/// enough frames for all threads.
const FRAME_BYTES: usize = 2 << 20;
/// Before a group in the content of a record: which kind of content it is.
const GROUP_TAG_BYTES: usize = 1;
/// So much memory is set aside for the records of a frame whatever the file says of their size.
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
        let operator = &*record.operator;
        match record.content {
            StateContent::Row(row, diff) => {
                let rows = list_of(&mut self.rows, operator);
                *rows.entry(row).or_insert(0) += diff
            }
            StateContent::Packed(PackedRow {
                bytes,
                end_us,
                diff,
            }) => {
                let rows = list_of(&mut self.packed, operator);
                rows.entry(bytes).or_insert((end_us, 0)).1 += diff;
            }
            StateContent::Group(partial) => {
                let groups = list_of(&mut self.groups, operator);
                let same = |it: &Partial| is_same_group(it, &partial);
                match groups.entry(group_hash(&partial), same, group_hash) {
                    Entry::Vacant(entry) => {
                        entry.insert(partial);
                    }
                    Entry::Occupied(mut entry) => merge(entry.get_mut(), partial),
                }
            }
        }
    }

    /// The sums. Members of sets, of which there may be millions, are left in parts unless it is the `whole` state: they
    /// add up when they are read.
    pub fn records(mut self, whole: bool) -> Vec<StateRecord> {
        if whole {
            for partial in self.groups.values_mut().flat_map(HashTable::iter_mut) {
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
        }
        self.into_records().collect()
    }

    fn into_records(self) -> impl Iterator<Item = StateRecord> {
        let groups = of_each(self.groups, |mut partial| {
            is_left(&mut partial).then_some(StateContent::Group(partial))
        });
        let rows = of_each(self.rows, |(row, diff)| {
            (diff != 0).then_some(StateContent::Row(row, diff))
        });
        let packed = of_each(self.packed, |(bytes, (end_us, diff))| {
            let row = PackedRow {
                bytes,
                end_us,
                diff,
            };
            (diff != 0).then_some(StateContent::Packed(row))
        });
        groups.chain(rows).chain(packed)
    }

    /// The sums with what is in `base`, where each group and each row is once: only what is in both is looked up, of which there is little where the
    /// base is all state of an earlier commit.
    fn over(mut self, base: StateShare) -> StateShare {
        let mut all = StateShare::default();
        for (operator, stored) in base.groups {
            let Some(groups) = self.groups.get_mut(&operator) else {
                all.groups.insert(operator, stored);
                continue;
            };
            let mut sums = StoredGroups::default();
            stored.into_packed(|hash, packed| {
                let mut partial = None;
                let found = groups.find_entry(hash, |it| {
                    is_same_group(it, partial.get_or_insert_with(|| unpacked(packed)))
                });
                let (Ok(found), Some(mut sum)) = (found, partial) else {
                    sums.push_packed(hash, packed);
                    return;
                };
                merge(&mut sum, found.remove().0);
                if is_left(&mut sum) {
                    sums.push(&sum);
                }
            });
            all.groups.insert(operator, sums);
        }
        for (operator, mut rows) in base.rows {
            if let Some(sums) = self.rows.get_mut(&operator) {
                rows.retain_mut(|(row, diff)| {
                    *diff += sums.remove(row).unwrap_or(0);
                    *diff != 0
                });
            }
            all.rows.insert(operator, rows);
        }
        for (operator, mut rows) in base.packed {
            if let Some(sums) = self.packed.get_mut(&operator) {
                rows.retain_mut(|row| {
                    row.diff += sums.remove(&row.bytes).map_or(0, |it| it.1);
                    row.diff != 0
                });
            }
            all.packed.insert(operator, rows);
        }
        for StateRecord { operator, content } in self.into_records() {
            all.push(&operator, content);
        }
        all
    }
}

fn is_same_group(a: &Partial, b: &Partial) -> bool {
    a.bucket == b.bucket && a.key == b.key
}

fn merge(sum: &mut Partial, more: Partial) {
    sum.accumulator.merge(&more.accumulator);
    sum.members.extend(more.members);
}

/// Takes what sums to zero out of a group; false if nothing is left of it.
fn is_left(partial: &mut Partial) -> bool {
    partial.members.retain(|it| it.diff != 0);
    !partial.accumulator.is_zero() || !partial.members.is_empty()
}

/// What each operator has, as records.
fn of_each<T>(
    all: HashMap<String, impl IntoIterator<Item = T>>,
    content: fn(T) -> Option<StateContent>,
) -> impl Iterator<Item = StateRecord> {
    all.into_iter().flat_map(move |(operator, all)| {
        let operator: Arc<str> = operator.into();
        all.into_iter().filter_map(content).map(move |content| {
            let operator = Arc::clone(&operator);
            StateRecord { operator, content }
        })
    })
}

/// Records as bytes, packed as they are written: there may be many.
pub(crate) fn encode(records: &[StateRecord]) -> Result<Vec<u8>, Error> {
    let wrong = |it: postcard::Error| Error::State(it.to_string());
    let mut file = Packer::new()?;
    let mut plain = postcard::to_extend(&records.len(), Vec::new()).map_err(wrong)?;
    for record in records {
        plain = postcard::to_extend(record, plain).map_err(wrong)?;
        if FRAME_BYTES <= plain.len() {
            file.add_frame(&plain)?;
            plain.clear();
        }
    }
    if !plain.is_empty() {
        file.add_frame(&plain)?;
    }
    Ok(file.finish())
}

/// A file with these bytes in the place of its records, in one frame.
pub(crate) fn packed(plain: &[u8]) -> Vec<u8> {
    let file = Packer::new().and_then(|mut file| {
        file.add_frame(plain)?;
        Ok(file.finish())
    });
    file.expect("memory can be written")
}

/// A file that is being written.
struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    bytes: Vec<u8>,
    size: u64,
}

impl Packer {
    fn new() -> Result<Self, Error> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[0; SIZE_BYTES]);
        Ok(Packer {
            zstd: zstd::bulk::Compressor::new(1).map_err(failed)?,
            bytes,
            size: 0,
        })
    }

    fn add_frame(&mut self, plain: &[u8]) -> Result<(), Error> {
        let frame = self.zstd.compress(plain).map_err(failed)?;
        self.bytes.extend_from_slice(&frame);
        self.size += plain.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        let size = MAGIC.len()..MAGIC.len() + SIZE_BYTES;
        self.bytes[size].copy_from_slice(&self.size.to_le_bytes());
        self.bytes
    }
}

/// A file that is being read.
struct File {
    bytes: Bytes,
    /// Where its frames are, and how long each is unpacked.
    frames: Vec<(Range<usize>, usize)>,
}

impl File {
    fn open(bytes: Bytes) -> Result<Self, Error> {
        if !bytes.starts_with(MAGIC) {
            return Err(wrong("it was written by another version"));
        }
        let Some((size, _)) = bytes[MAGIC.len()..].split_first_chunk::<SIZE_BYTES>() else {
            return Err(wrong("it is cut short"));
        };
        let size = usize::try_from(u64::from_le_bytes(*size))
            .map_err(|_| wrong("its size is impossible"))?;
        let mut at = MAGIC.len() + SIZE_BYTES;
        let mut frames = Vec::new();
        while at < bytes.len() || frames.is_empty() {
            let rest = &bytes[at..];
            let length = zstd_safe::find_frame_compressed_size(rest)
                .map_err(|it| wrong(zstd_safe::get_error_name(it)))?;
            let unpacked = zstd_safe::get_frame_content_size(rest);
            let unpacked = unpacked.map_err(|_| wrong("a frame has no size"))?;
            frames.push((at..at + length, unpacked));
            at += length;
        }
        let frames: Option<Vec<(Range<usize>, usize)>> = match frames.as_slice() {
            [(range, None)] => Some(vec![(range.clone(), size)]),
            all => {
                let sizes = all.iter().map(|(range, unpacked)| {
                    Some((range.clone(), usize::try_from((*unpacked)?).ok()?))
                });
                sizes.collect()
            }
        };
        let frames = frames.ok_or_else(|| wrong("a frame does not say how long it is"))?;
        let all = frames
            .iter()
            .try_fold(0_usize, |all, it| all.checked_add(it.1));
        if all != Some(size) {
            return Err(wrong(OTHER_SIZE));
        }
        Ok(File { bytes, frames })
    }

    /// Hands over the records of a frame, with the bytes of the content of each; tells how many there are, and how many the file says it has, if this is the frame that does.
    fn read(
        &self,
        frame: usize,
        mut take: impl FnMut(&str, StateContent, &[u8]),
    ) -> Result<(usize, usize), Error> {
        let (range, size) = &self.frames[frame];
        let mut plain = Vec::with_capacity((*size).min(UNPACKED_AHEAD_BYTES_MAX));
        let mut unpacked = zstd::Decoder::new(&self.bytes[range.clone()]).map_err(failed)?;
        let read = unpacked.by_ref().take(*size as u64).read_to_end(&mut plain);
        if read.map_err(failed)? < *size || unpacked.read(&mut [0]).map_err(failed)? != 0 {
            return Err(wrong(OTHER_SIZE));
        }
        let damaged = |it: postcard::Error| Error::State(it.to_string());
        let (mut told, mut rest) = (0, plain.as_slice());
        if frame == 0 {
            (told, rest) = postcard::take_from_bytes(rest).map_err(damaged)?;
        }
        let mut records = 0;
        while !rest.is_empty() {
            let (operator, packed) = postcard::take_from_bytes::<&str>(rest).map_err(damaged)?;
            let (content, behind) = postcard::take_from_bytes(packed).map_err(damaged)?;
            take(operator, content, &packed[..packed.len() - behind.len()]);
            records += 1;
            rest = behind;
        }
        Ok((records, told))
    }

    /// The records of a frame, shared out.
    fn shares(&self, frame: usize, sharing: &Sharing) -> Result<Frame, Error> {
        let mut shares = vec![StateShare::default(); sharing.shares()];
        let (records, told) = self.read(frame, |operator, content, packed| {
            let Some(at) = sharing.share_of(operator, &content) else {
                return;
            };
            match content {
                StateContent::Group(partial) => {
                    let groups = list_of(&mut shares[at].groups, operator);
                    groups.push_packed(group_hash(&partial), &packed[GROUP_TAG_BYTES..]);
                }
                content => shares[at].push(operator, content),
            }
        })?;
        Ok(Frame {
            shares,
            records,
            told,
        })
    }
}

struct Frame {
    shares: Vec<StateShare>,
    records: usize,
    told: usize,
}

const OTHER_SIZE: &str = "its records have another size than it says";

fn wrong(text: &str) -> Error {
    Error::State(text.to_owned())
}

fn failed(error: std::io::Error) -> Error {
    Error::State(error.to_string())
}

/// A file has all its records if there are as many as it says.
fn check_count(counts: impl Iterator<Item = (usize, usize)>) -> Result<(), Error> {
    let (records, told) = counts.fold((0, 0), |all, it| (all.0 + it.0, all.1 + it.1));
    match records == told {
        true => Ok(()),
        false => Err(wrong("it has another number of records than it says")),
    }
}

/// The records of a file.
///
/// # Errors
/// If it is none of this version, or is damaged.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<StateRecord>, Error> {
    let file = File::open(Bytes::copy_from_slice(bytes))?;
    let mut records = Vec::new();
    let mut counts = Vec::new();
    for frame in 0..file.frames.len() {
        counts.push(file.read(frame, |operator, content, _| {
            let operator = operator.into();
            records.push(StateRecord { operator, content });
        })?);
    }
    check_count(counts.into_iter())?;
    Ok(records)
}

/// All state a manifest names that workers of this process keep, added up: frames are unpacked side by side, then shares added up.
pub(super) async fn load(
    store: &Store,
    manifest: &Manifest,
    sharing: &Sharing,
) -> Result<Vec<StateShare>, Error> {
    let files = manifest
        .state_full
        .iter()
        .chain(&manifest.state_differences);
    let files: Vec<StateFile> = files.cloned().collect();
    let threads = threads();
    let read = futures::stream::iter(files).map(|file| async move {
        let bytes = store.get_state(&file).await?;
        let file = Arc::new(File::open(bytes)?);
        let frames = futures::stream::iter(0..file.frames.len()).map(|frame| {
            let (file, sharing) = (Arc::clone(&file), sharing.clone());
            aside(move || file.shares(frame, &sharing))
        });
        let frames: Vec<Frame> = frames.buffered(threads).try_collect().await?;
        check_count(frames.iter().map(|it| (it.records, it.told)))?;
        Ok::<_, Error>(frames)
    });
    let read: Vec<Vec<Frame>> = read.buffered(FILES_AT_ONCE).try_collect().await?;
    let mut by_share: Vec<Vec<Vec<StateShare>>> = vec![Vec::new(); sharing.shares()];
    for frames in read {
        by_share.iter_mut().for_each(|it| it.push(Vec::new()));
        for frame in frames {
            for (files, share) in by_share.iter_mut().zip(frame.shares) {
                files.last_mut().expect("one per file").push(share);
            }
        }
    }
    let sums = by_share.into_iter();
    let sums = sums.map(|files| aside(move || Ok(added_up(files))));
    futures::future::try_join_all(sums).await
}

/// All state a manifest names, added up, of all workers.
pub(super) async fn load_records(
    store: &Store,
    manifest: &Manifest,
) -> Result<Vec<StateRecord>, Error> {
    // Any share will do.
    let sharing = Sharing::new(0..threads(), threads(), Panes::default());
    let shares = load(store, manifest, &sharing).await?;
    let records = shares.into_iter().flat_map(StateShare::into_records);
    Ok(records.collect())
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One share of several files, each in parts. The largest is left as it is: a file was added up when it was written.
fn added_up(mut files: Vec<Vec<StateShare>>) -> StateShare {
    let len = |file: &Vec<StateShare>| file.iter().map(StateShare::len).sum::<usize>();
    let largest = (0..files.len()).max_by_key(|it| len(&files[*it]));
    let Some(largest) = largest else {
        return StateShare::default();
    };
    let base = StateShare::concat(files.swap_remove(largest));
    let rest = files.into_iter().flatten();
    let mut sum = Sum::default();
    let rest = rest.flat_map(StateShare::into_records);
    rest.for_each(|it| sum.add(it));
    sum.over(base)
}

/// Runs what takes long on a thread of its own.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    supervise::blocking("a part of the state", work)
        .await
        .map_err(|it| Error::State(it.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Accumulator;
    use crate::lake::Manifest;
    use crate::model::Value;

    fn record(key: i64, records: i64) -> StateRecord {
        StateRecord {
            operator: "v".into(),
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

    /// Versions before wrote one frame as the records came, which does not say how long it is.
    fn of_one_frame(records: &[StateRecord]) -> Vec<u8> {
        let plain = postcard::to_stdvec(records).unwrap();
        let frame = zstd::encode_all(plain.as_slice(), 1).unwrap();
        let size = plain.len() as u64;
        [MAGIC, &size.to_le_bytes(), &frame].concat()
    }

    #[test]
    fn a_file_of_one_frame_of_unknown_length_is_read() {
        let records: Vec<StateRecord> = (0..1_000).map(|it| record(it, 1)).collect();
        let file = of_one_frame(&records);
        assert_eq!(decode(&file).unwrap(), records);
        for lie in [0, 5, 1 << 40, u64::MAX] {
            let mut file = file.clone();
            file[MAGIC.len()..][..SIZE_BYTES].copy_from_slice(&u64::to_le_bytes(lie));
            let refused = decode(&file).unwrap_err().to_string();
            assert!(refused.contains("another size"), "{lie}: {refused}");
        }
        let both = [
            file.as_slice(),
            &of_one_frame(&records)[MAGIC.len() + SIZE_BYTES..],
        ]
        .concat();
        let refused = decode(&both).unwrap_err().to_string();
        assert!(refused.contains("does not say how long"), "{refused}");
    }

    /// A record with a text so long that a frame holds few of them.
    fn long(key: i64) -> StateRecord {
        let text = format!("{key}{}", "x".repeat(FRAME_BYTES / 4));
        StateRecord {
            operator: "top".into(),
            content: StateContent::Row(Row([Value::Text(text.into())].into()), key),
        }
    }

    #[test]
    fn a_file_is_in_frames_that_together_have_all_records() {
        let records: Vec<StateRecord> = (1..20).map(long).collect();
        let file = encode(&records).unwrap();
        let frames = File::open(file.clone().into()).unwrap().frames;
        assert!(3 < frames.len(), "{} frames", frames.len());
        assert_eq!(decode(&file).unwrap(), records);
        // What an earlier version makes of it.
        let plain = zstd::decode_all(&file[MAGIC.len() + SIZE_BYTES..]).unwrap();
        assert_eq!(postcard::from_bytes(&plain), Ok(records));

        let (second, size) = frames[1].clone();
        let mut without = file.clone();
        without.drain(second);
        let refused = decode(&without).unwrap_err().to_string();
        assert!(refused.contains("another size"), "{refused}");
        let told = u64::from_le_bytes(file[MAGIC.len()..][..SIZE_BYTES].try_into().unwrap());
        let told = told - size as u64;
        without[MAGIC.len()..][..SIZE_BYTES].copy_from_slice(&told.to_le_bytes());
        let refused = decode(&without).unwrap_err().to_string();
        assert!(refused.contains("another number of records"), "{refused}");
        let refused = decode(&file[..file.len() - 1]).unwrap_err().to_string();
        assert!(refused.contains("damaged"), "{refused}");
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
                operator: "top".into(),
                content: StateContent::Row(Row([Value::Int(7)].into()), 1),
            };
            let packed = |diff| StateRecord {
                operator: "join".into(),
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
            let mut loaded = load_records(&store, &manifest).await.unwrap();
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
                operator: "top".into(),
                content: StateContent::Row(Row([Value::Int(7)].into()), number as i64 + 1),
            });
            wanted.push(packed(2 * (number as i64 + 1)));
            wanted.sort_by_key(|it| format!("{it:?}"));
            assert_eq!(loaded, wanted);
        }
    }

    /// The largest file is not looked at record by record: what others have of its groups and rows must be found all the same.
    #[tokio::test]
    async fn what_adds_up_to_nothing_over_several_files_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap()).unwrap();
        let mut manifest = Manifest::empty("d");
        let row = |key: i64, diff| StateRecord {
            operator: "top".into(),
            content: StateContent::Row(Row([Value::Int(key)].into()), diff),
        };
        let packed = |key: u8, diff| StateRecord {
            operator: "join".into(),
            content: StateContent::Packed(PackedRow {
                bytes: vec![key],
                end_us: None,
                diff,
            }),
        };
        let all = |it: i64, sign: i64| [record(it, sign), row(it, sign), packed(it as u8, sign)];
        let large = (0..100).flat_map(|it| all(it, 1));
        let small = (10..20).flat_map(|it| all(it, -1));
        let more = (200..203).flat_map(|it| all(it, 1));
        for (number, records) in [small.collect::<Vec<_>>(), large.collect(), more.collect()]
            .into_iter()
            .enumerate()
        {
            let bytes = encode(&records).unwrap();
            let name = format!("file-{number}");
            let file = store.put_state("d", &name, bytes.into()).await.unwrap();
            manifest.state_differences.push(file);
        }
        let told = |records: Vec<StateRecord>| {
            let mut told: Vec<String> = records.iter().map(|it| format!("{it:?}")).collect();
            told.sort();
            told
        };
        let wanted = (0..10).chain(20..100).chain(200..203);
        let wanted: Vec<StateRecord> = wanted.flat_map(|it| all(it, 1)).collect();
        let loaded = load_records(&store, &manifest).await.unwrap();
        assert_eq!(told(loaded), told(wanted.clone()));

        let sharing = Sharing::new(1..3, 4, Panes::default());
        let shares = load(&store, &manifest, &sharing).await.unwrap();
        let expected = StateShare::of(wanted, &sharing);
        assert_eq!(shares.len(), 2);
        for (share, expected) in shares.into_iter().zip(expected) {
            assert!(!share.is_empty());
            let share = told(share.into_records().collect());
            assert_eq!(share, told(expected.into_records().collect()));
        }
    }
}

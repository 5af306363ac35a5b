//! Which files a folder has, and which partition each belongs to.
//!
//! The folder is listed twice a second. A file that is listed is one of these:
//!
//! ```text
//! of a partition    the one being read, or one that was read before: rotated to another name, compressed, restored
//! new               the first file of a new partition, or the next one under the name of a partition
//! alias             another name of a file in this list (symbolic and hard links)
//! alike             equal, byte for byte, to a file of a partition as far as it goes: a copy, most likely. It is not read, and health
//!                   says so, until the two differ
//! unreadable        told in health, and tried again
//! ```
//!
//! Names that begin with `.` or `_`, or do not match the pattern of the source, and folders are no input. In a cluster process 0 gives new partitions their numbers.

use super::print::{
    HEAD, Mark, Origin, Print, common, first_bytes, is_packed_file, is_parquet, text_of,
};
use super::{FileNote, Location, Trouble};
use crate::model::{Offsets, Partition, Position};
use crate::source::Error;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the folder is listed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A file that has all of another one and more is its own after this time: a program that copies a log away cuts it right after.
const LONGER_SETTLES: Duration = Duration::from_secs(5);
/// A file that was just made may be equal to another one for a moment.
const ALIKE_TOLD_AFTER: Duration = Duration::from_secs(2);

/// The files of a folder and their partition numbers, shared by all readers of the process.
#[derive(Debug)]
pub struct Folder {
    location: Location,
    known: Mutex<Known>,
    /// One reader at a time lists the folder, the others go on with what was listed before.
    lister: Mutex<Lister>,
    listing: Mutex<Arc<Listing>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Another process numbers the files; this one only knows what it was told.
    follows: bool,
    numbers: BTreeMap<String, i32>,
    /// The files of each partition by the offset of their first byte.
    prints: BTreeMap<i32, BTreeMap<i64, (String, Print)>>,
}

#[derive(Debug, Default)]
struct Lister {
    listed: Option<Instant>,
    entries: BTreeMap<String, Entry>,
    /// First bytes of files, and how long they were then.
    first: HashMap<(u64, u64), (u64, Arc<[u8]>)>,
}

/// The folder as it was listed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Counts up.
    pub number: u64,
    /// All partitions: the name under which their files appear, and their number.
    pub partitions: Vec<(String, i32)>,
    entries: BTreeMap<String, Entry>,
    /// What is not read, and why.
    pub notes: Vec<FileNote>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub path: PathBuf,
    pub inode: u64,
    pub length: u64,
    device: u64,
    modified_ns: i64,
    place: Place,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Of(i32, i64),
    New,
    Alias,
    Alike {
        other: String,
        equal: u64,
        /// Length and time of change of the other one then.
        was: (u64, u64, i64),
        since: Instant,
    },
    Unreadable(String),
    Empty,
}

impl Entry {
    fn of(path: PathBuf, meta: &Metadata) -> Self {
        Entry {
            path,
            inode: meta.ino(),
            length: meta.len(),
            device: meta.dev(),
            modified_ns: meta
                .mtime()
                .wrapping_mul(1_000_000_000)
                .wrapping_add(meta.mtime_nsec()),
            place: Place::Empty,
        }
    }

    fn id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    fn is_same_file(&self, other: &Entry) -> bool {
        self.id() == other.id()
    }

    fn stat(&self) -> (u64, u64, i64) {
        (self.inode, self.length, self.modified_ns)
    }
}

impl Lister {
    fn is_due(&self) -> bool {
        self.listed.is_none_or(|it| LOOK_EVERY < it.elapsed())
    }
}

impl Listing {
    /// The file of a partition that begins at `base`, under whatever name it is now.
    pub fn find(&self, partition: i32, inode: Option<u64>, base: i64) -> Option<&Entry> {
        let of = |it: &&Entry| matches!(it.place, Place::Of(number, _) if number == partition);
        let own = || self.entries.values().filter(of);
        own()
            .find(|it| Some(it.inode) == inode)
            .or_else(|| own().find(|it| it.place == Place::Of(partition, base)))
    }

    /// What comes after the file that begins at `base`: another one under the partition's name, or the one of this inode with other
    /// content if `inode` is not given.
    pub fn next(
        &self,
        name: &str,
        partition: i32,
        inode: Option<u64>,
        base: i64,
    ) -> Option<&Entry> {
        let is_other = |it: &&Entry| Some(it.inode) != inode;
        let listed = self.entries.get(name).filter(is_other);
        listed.filter(|it| match it.place {
            Place::New => true,
            Place::Of(number, at) => number == partition && base < at,
            Place::Alias | Place::Alike { .. } | Place::Unreadable(_) | Place::Empty => false,
        })
    }

    /// The first file of a partition that was never read.
    pub fn first(&self, name: &str, partition: i32) -> Option<&Entry> {
        self.entries.get(name).filter(|it| match it.place {
            Place::New => true,
            Place::Of(number, base) => (number, base) == (partition, 0),
            Place::Alias | Place::Alike { .. } | Place::Unreadable(_) | Place::Empty => false,
        })
    }
}

impl Folder {
    /// Opens a folder; partitions keep the numbers that the stored offsets gave their names. `former` are the notes that positions
    /// of earlier commits had, oldest first: files that have been read are not read again under other names.
    ///
    /// # Errors
    /// If it is no folder that can be read.
    pub fn open<'a>(
        location: Location,
        stored: &Offsets,
        former: impl Iterator<Item = (Partition, &'a str)>,
    ) -> Result<Arc<Self>, Error> {
        location.check()?;
        let mut known = Known::default();
        for (partition, origin) in former {
            if let Some(origin) = Origin::parse(origin) {
                known.note_former(partition.0, origin);
            }
        }
        for (partition, position) in stored.iter() {
            if let Some(name) = known.note(partition.0, position) {
                known.numbers.insert(name, partition.0);
            }
        }
        Ok(Arc::new(Folder {
            location,
            known: Mutex::new(known),
            lister: Mutex::default(),
            listing: Mutex::default(),
        }))
    }

    /// From now on another process numbers new files.
    pub fn follow(&self, numbers: Vec<(String, i32)>) {
        let mut known = lock(&self.known);
        known.follows = true;
        known.numbers.extend(numbers);
    }

    /// The files numbered so far.
    pub fn numbers(&self) -> Vec<(String, i32)> {
        let known = lock(&self.known);
        let numbers = known.numbers.iter();
        numbers.map(|(name, it)| (name.clone(), *it)).collect()
    }

    /// How far a partition has been read, here or in another process.
    pub fn note(&self, partition: i32, position: &Position) {
        lock(&self.known).note(partition, position);
    }

    /// The folder as it is, or was half a second ago.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub(super) fn look(&self) -> io::Result<Arc<Listing>> {
        match self.lister.try_lock() {
            Ok(mut lister) if lister.is_due() => self.list(&mut lister),
            Ok(_) | Err(_) => Ok(Arc::clone(&lock(&self.listing))),
        }
    }

    /// The folder as it is.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub(super) fn look_now(&self) -> io::Result<Arc<Listing>> {
        self.list(&mut lock(&self.lister))
    }

    pub(super) fn path(&self) -> &Path {
        self.location.folder()
    }

    fn list(&self, lister: &mut Lister) -> io::Result<Arc<Listing>> {
        lister.listed = Some(Instant::now());
        let before = std::mem::take(&mut lister.entries);
        let mut notes = Vec::new();
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(self.path())? {
            let entry = entry?;
            let name = text_of(&entry.file_name());
            if !self.location.has(&name) {
                continue;
            }
            let path = entry.path();
            match std::fs::metadata(&path) {
                Ok(meta)
                    if meta.is_file() && is_parquet(&path) != self.location.is_of_parquet() =>
                {
                    let text = match self.location.is_of_parquet() {
                        true => {
                            "its name does not end in .parquet, and its source reads Parquet files"
                        }
                        false => {
                            "a Parquet file, and its source reads text; a source with FORMAT PARQUET reads it"
                        }
                    };
                    notes.push(FileNote::new(&name, Trouble::Unreadable, meta.len(), text));
                }
                Ok(meta) if meta.is_file() => {
                    found.insert(name, Entry::of(path, &meta));
                }
                Ok(meta) if meta.is_dir() && !entry.file_type()?.is_symlink() => {}
                Ok(meta) if meta.is_dir() => notes.push(FileNote::new(
                    &name,
                    Trouble::NoFile,
                    0,
                    "a symbolic link to a folder is not followed",
                )),
                Ok(_) => notes.push(FileNote::new(
                    &name,
                    Trouble::NoFile,
                    0,
                    "neither a file nor a link to one",
                )),
                Err(_) if entry.path().symlink_metadata().is_err() => {} // gone meanwhile
                Err(error) => notes.push(FileNote::new(
                    &name,
                    Trouble::Unreadable,
                    0,
                    &format!("{error} (a link to nothing?)"),
                )),
            }
        }
        // First the files that are known, so that all others can be held against them.
        let mut ids = HashSet::new();
        for (name, entry) in &mut found {
            if entry.length == 0 {
                continue;
            }
            match self.known_place(entry, name, before.get(name)) {
                Some(_) if !ids.insert(entry.id()) => entry.place = Place::Alias,
                Some(place) => entry.place = place,
                None => {}
            }
        }
        // Among equal files, that of a partition is the original.
        let mut names: Vec<String> = found.keys().cloned().collect();
        let known = lock(&self.known);
        names.sort_by_key(|it| !known.numbers.contains_key(it));
        drop(known);
        for name in &names {
            let entry = &found[name];
            if entry.place != Place::Empty || entry.length == 0 {
                continue;
            }
            let place = match ids.insert(entry.id()) {
                false => Place::Alias,
                true => self
                    .place(&found, name, before.get(name), &mut lister.first)
                    .unwrap_or_else(|error| Place::Unreadable(error.to_string())),
            };
            if place == Place::New {
                lock(&self.known).give_number(name);
            }
            if let Some(it) = found.get_mut(name) {
                it.place = place;
            }
        }
        notes.extend(self.notes(&found));
        lister.entries.clone_from(&found);
        let mut listing = lock(&self.listing);
        *listing = Arc::new(Listing {
            number: listing.number + 1,
            partitions: self.numbers(),
            entries: found,
            notes,
        });
        Ok(Arc::clone(&listing))
    }

    /// The place of a file that its inode tells, or that has not changed since the folder was listed before.
    fn known_place(&self, entry: &Entry, name: &str, before: Option<&Entry>) -> Option<Place> {
        if let Some(before) = before
            && let Place::Of(..) = before.place
            && before.device == entry.device
            && before.stat() == entry.stat()
        {
            return Some(before.place.clone());
        }
        let prints = lock(&self.known).of_inode(name, entry.inode);
        prints
            .into_iter()
            .find(|(_, _, print)| print.is_begun_by(&entry.path).unwrap_or(false))
            .map(|(partition, base, _)| Place::Of(partition, base))
    }

    /// The place of a file that no inode tells of.
    fn place(
        &self,
        found: &BTreeMap<String, Entry>,
        name: &str,
        before: Option<&Entry>,
        firsts: &mut HashMap<(u64, u64), (u64, Arc<[u8]>)>,
    ) -> io::Result<Place> {
        let entry = &found[name];
        let before = before.filter(|it| it.is_same_file(entry) && it.length <= entry.length);
        match before.map(|it| &it.place) {
            Some(Place::New) => return Ok(Place::New),
            // Reading a compressed file over and over to find it broken each time takes too long.
            Some(Place::Unreadable(reason))
                if is_packed_file(&entry.path)
                    && before.is_some_and(|it| it.stat() == entry.stat()) =>
            {
                return Ok(Place::Unreadable(reason.clone()));
            }
            Some(_) | None => {}
        }
        let first = first_of(entry, firsts)?;
        if first.is_empty() {
            return Ok(Place::Empty);
        }
        for (other_name, other) in found {
            if !matches!(other.place, Place::Of(..) | Place::New) || other.is_same_file(entry) {
                continue;
            }
            let alike = match before.map(|it| &it.place) {
                Some(Place::Alike {
                    other,
                    equal,
                    was,
                    since,
                }) if other == other_name => Some((*equal, *was, *since)),
                Some(_) | None => None,
            };
            let unchanged = before.is_some_and(|it| it.stat() == entry.stat());
            if let Some((_, was, since)) = alike
                && unchanged
                && was == other.stat()
                && (since.elapsed() < LONGER_SETTLES || entry.length <= other.length)
                && let Some(before) = before
            {
                return Ok(before.place.clone());
            }
            let from = match alike {
                Some((equal, was, _)) if was.0 == other.inode && was.1 <= other.length => equal,
                Some(_) | None => 0,
            };
            if from == 0 {
                let others = first_of(other, firsts)?;
                let both = others.len().min(first.len());
                if others[..both] != first[..both] {
                    continue;
                }
            }
            let compared = common(&entry.path, &other.path, from)?;
            if compared.differ {
                continue;
            }
            let since = alike.map_or_else(Instant::now, |it| it.2);
            if compared.left_is_longer && LONGER_SETTLES <= since.elapsed() {
                continue;
            }
            return Ok(Place::Alike {
                other: other_name.clone(),
                equal: compared.equal,
                was: other.stat(),
                since,
            });
        }
        let of = found.values().filter_map(|it| match it.place {
            Place::Of(partition, base) => Some((partition, base)),
            Place::New
            | Place::Alias
            | Place::Alike { .. }
            | Place::Unreadable(_)
            | Place::Empty => None,
        });
        let present: HashSet<(i32, i64)> = of.collect();
        let mut absent = lock(&self.known).all_prints();
        absent.retain(|it| !present.contains(&(it.1, it.2)));
        // Under its own name rather than another one's.
        absent.sort_by_key(|it| it.0 != name);
        for (_, partition, base, print) in absent {
            if print.is_begun_by(&entry.path)? {
                return Ok(Place::Of(partition, base));
            }
        }
        Ok(Place::New)
    }

    fn notes(&self, found: &BTreeMap<String, Entry>) -> Vec<FileNote> {
        let known = lock(&self.known);
        let note = |(name, entry): (&String, &Entry)| match &entry.place {
            Place::Unreadable(reason) => Some(FileNote::new(
                name,
                Trouble::Unreadable,
                entry.length,
                reason,
            )),
            Place::Alike {
                other,
                equal,
                since,
                ..
            } if ALIKE_TOLD_AFTER <= since.elapsed() => Some(FileNote::new(
                name,
                Trouble::Alike,
                entry.length,
                &format!(
                    "has the same {equal} bytes as {other} and is taken for a copy of it; it is read once the two differ"
                ),
            )),
            // What is written to a log after its successor was begun.
            Place::Of(partition, base) if !is_packed_file(&entry.path) => {
                let of = known.prints.get(partition)?;
                let is_former = of.keys().next_back().is_some_and(|it| base < it);
                let read = of.get(base).map(|it| it.1.length)?;
                (is_former && read < entry.length).then(|| {
                    FileNote::new(
                        name,
                        Trouble::Grown,
                        entry.length - read,
                        "was written to after the next file of its partition was begun; that is not read",
                    )
                })
            }
            Place::Of(..) | Place::New | Place::Alias | Place::Alike { .. } | Place::Empty => None,
        };
        found.iter().filter_map(note).collect()
    }
}

impl Known {
    /// Notes a position; returns the name of its partition.
    fn note(&mut self, partition: i32, position: &Position) -> Option<String> {
        let origin = Origin::parse(&position.origin)?;
        let print = Print {
            inode: origin.inode,
            head: origin.head,
            length: u64::try_from(position.offset.0 - origin.base).unwrap_or(0),
            mark: Mark::parse(&position.mark),
        };
        let name = origin.name.clone();
        let of = self.prints.entry(partition).or_default();
        // Several sources may read the folder, some faster than others.
        let is_ahead = |it: &Print| {
            it.inode == print.inode && print.length < it.length && it.mark != Some(Mark::NOWHERE)
        };
        if !of.get(&origin.base).is_some_and(|it| is_ahead(&it.1)) {
            of.insert(origin.base, (origin.name, print));
        }
        Some(name)
    }

    /// Notes a file that was read to its end, which is where the next one begins.
    fn note_former(&mut self, partition: i32, origin: Origin) {
        let of = self.prints.entry(partition).or_default();
        if let Some((base, (_, former))) = of.range_mut(..origin.base).next_back() {
            former.length = u64::try_from(origin.begin() - base).unwrap_or(0);
        }
        let print = Print {
            inode: origin.inode,
            head: origin.head,
            length: 0,
            mark: None,
        };
        of.insert(origin.base, (origin.name, print));
    }

    /// What has an inode, newest first. Positions of older versions have none, and are found under their name.
    fn of_inode(&self, name: &str, inode: u64) -> Vec<(i32, i64, Print)> {
        let mut found = Vec::new();
        for (partition, of) in &self.prints {
            for (base, (of_name, print)) in of.iter().rev() {
                let is_it = match print.inode {
                    Some(it) => it == inode,
                    None => of_name == name,
                };
                if is_it {
                    found.push((*partition, *base, print.clone()));
                }
            }
        }
        found
    }

    fn all_prints(&self) -> Vec<(String, i32, i64, Print)> {
        let of_each = |(partition, of): (&i32, &BTreeMap<i64, (String, Print)>)| {
            let partition = *partition;
            let of = of.iter().rev();
            of.map(move |(base, (name, print))| (name.clone(), partition, *base, print.clone()))
                .collect::<Vec<_>>()
        };
        self.prints.iter().flat_map(of_each).collect()
    }

    /// Numbers a new partition: by the number at the end of its name (`part-0003.jsonl` is 3), or in order of appearance.
    fn give_number(&mut self, name: &str) {
        if self.follows || self.numbers.contains_key(name) {
            return;
        }
        let taken = |number: i32| self.numbers.values().any(|it| *it == number);
        let number = number_in(name)
            .filter(|it| !taken(*it))
            .or_else(|| (0..i32::MAX).find(|it| !taken(*it)));
        if let Some(number) = number {
            self.numbers.insert(name.to_owned(), number);
        }
    }
}

/// The first bytes of a file, read again if there may be more of them, or others.
fn first_of(
    entry: &Entry,
    known: &mut HashMap<(u64, u64), (u64, Arc<[u8]>)>,
) -> io::Result<Arc<[u8]>> {
    if let Some((length, bytes)) = known.get(&entry.id())
        && (*length == entry.length || bytes.len() == HEAD && *length < entry.length)
    {
        return Ok(Arc::clone(bytes));
    }
    let bytes: Arc<[u8]> = first_bytes(&entry.path)?.into();
    known.insert(entry.id(), (entry.length, Arc::clone(&bytes)));
    Ok(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn number_in(name: &str) -> Option<i32> {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let stem = stem.rsplit_once('.').map_or(stem, |it| it.0);
    let rest = stem.trim_end_matches(|it: char| it.is_ascii_digit());
    let digits = stem.strip_prefix(rest)?;
    rest.ends_with('-')
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|it| *it < 100_000)
}

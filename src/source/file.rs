//! A folder whose files are partitions: JSON lines or access logs, appended while we read.
//!
//! An offset is a byte position in the partition, which outlives the file: when a log is rotated, the new file goes on
//! where the old one ended. Which file a stored offset belongs to is told by the hash of the file's
//! first bytes, so a file that was renamed, or compressed, meanwhile is found again.
//!
//! A line counts once its line end is there; a last line without one waits. Compressed files (`.gz`) and
//! files that were rotated away are whole: their last line counts as it is.

use super::decode::RawRecords;
use super::{Chunk, Error, SharedStatus};
use crate::model::{Offset, Offsets, Partition, Position};
use crossbeam_channel::Sender;
use flate2::read::MultiGzDecoder;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// A line longer than this is cut into pieces of this size, which become dead letters: the same ones whenever it is read.
const LINE_MAX: usize = 16 << 20;
/// Bytes at the start of a file that tell it from others.
const HEAD: usize = 256;
/// How often the folder is looked through for new files.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a reader sleeps when all its files are at their end.
const IDLE_SLEEP: Duration = Duration::from_millis(10);

/// The files of a folder and their partition numbers, shared by all workers of the process.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Another process numbers the files; this one only knows what it was told.
    follows: bool,
    numbers: BTreeMap<String, i32>,
    /// Heads of files that belong to a partition already, under whatever name.
    heads: HashSet<u64>,
}

impl Folder {
    /// Opens a folder; partitions keep the numbers that the stored offsets gave their names.
    ///
    /// # Errors
    /// If it is no folder that can be read.
    pub fn open(path: &Path, stored: &Offsets) -> Result<Arc<Self>, Error> {
        std::fs::read_dir(path).map_err(|source| Error::Folder {
            path: path.display().to_string(),
            source,
        })?;
        let mut known = Known::default();
        for (partition, position) in stored.iter() {
            if let Some(origin) = Origin::parse(&position.origin) {
                known.numbers.insert(origin.name, partition.0);
                known.heads.extend(origin.head);
            }
        }
        Ok(Arc::new(Folder {
            path: path.to_owned(),
            known: Mutex::new(known),
        }))
    }

    /// From now on another process numbers new files.
    pub fn follow(&self, numbers: Vec<(String, i32)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.follows = true;
        known.numbers.extend(numbers);
    }

    /// The files numbered so far.
    pub fn numbers(&self) -> Vec<(String, i32)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .numbers
            .iter()
            .map(|(name, number)| (name.clone(), *number))
            .collect()
    }

    /// All partitions there are now, numbered: by the number at the end of the name (`part-0003.jsonl` is 3), or in order of appearance.
    fn partitions(&self) -> io::Result<Vec<(String, i32)>> {
        let follows = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .follows;
        if follows {
            return Ok(self.numbers());
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && !name.starts_with(['.', '_']) {
                names.push(name);
            }
        }
        names.sort();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            if known.numbers.contains_key(&name) {
                continue;
            }
            let head = head_of(&self.path.join(&name)).ok().flatten();
            let Some(head) = head else { continue }; // no whole first line yet
            if !known.heads.insert(head) {
                continue; // a file we know, rotated to another name
            }
            let taken = |known: &Known, number: i32| known.numbers.values().any(|it| *it == number);
            let number = number_in(&name)
                .filter(|it| !taken(&known, *it))
                .unwrap_or_else(|| (0..).find(|it| !taken(&known, *it)).unwrap_or(i32::MAX));
            known.numbers.insert(name, number);
        }
        drop(known);
        Ok(self.numbers())
    }

    fn note_head(&self, head: Option<u64>) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .heads
            .extend(head);
    }
}

fn number_in(name: &str) -> Option<i32> {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let stem = stem.rsplit_once('.').map_or(stem, |it| it.0);
    let (rest, digits) = stem.split_at(
        stem.rfind(|it: char| !it.is_ascii_digit())
            .map_or(0, |it| it + 1),
    );
    rest.ends_with('-')
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|it| *it < 100_000)
}

/// Hash of a file's first line, at most `HEAD` bytes of it; nothing until the line is whole.
fn head_of(path: &Path) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; HEAD];
    let mut reader = open(path)?.0;
    let mut filled = 0;
    while filled < HEAD {
        match reader.read(&mut bytes[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    let bytes = &bytes[..filled];
    let end = memchr::memchr(b'\n', bytes)
        .map(|it| it + 1)
        .or((filled == HEAD).then_some(HEAD));
    Ok(end.map(|it| twox_hash::XxHash3_64::oneshot(&bytes[..it])))
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "gz")
}

/// A file from its first byte, and its inode.
fn open(path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
    open_from(path, 0)
}

/// A file from a byte on, counted after decompression, and its inode.
fn open_from(path: &Path, skip: i64) -> io::Result<(Box<dyn Read + Send>, u64)> {
    let skip = u64::try_from(skip).unwrap_or(0);
    let mut file = File::open(path)?;
    let inode = file.metadata()?.ino();
    if is_compressed(path) {
        let mut reader = MultiGzDecoder::new(io::BufReader::new(file));
        io::copy(&mut reader.by_ref().take(skip), &mut io::sink())?;
        return Ok((Box::new(reader), inode));
    }
    file.seek(SeekFrom::Start(skip))?;
    Ok((Box::new(file), inode))
}

/// What a stored position says of its file.
#[derive(Debug, PartialEq)]
struct Origin {
    name: String,
    head: Option<u64>,
    /// Offset of the file's first byte.
    base: i64,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '|');
        let (base, head, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Origin {
            name: name.to_owned(),
            head: u64::from_str_radix(head, 16).ok(),
            base: base.parse().ok()?,
        })
    }

    fn text(&self) -> String {
        format!("{}|{:x}|{}", self.name, self.head.unwrap_or(0), self.base)
    }
}

/// One partition being read.
struct Tail {
    partition: Partition,
    origin: Origin,
    reader: Box<dyn Read + Send>,
    inode: u64,
    /// Bytes of the file read so far, including those in `pending`.
    position: i64,
    /// The beginning of a line whose end has not come yet.
    pending: Vec<u8>,
    /// The file gets no more bytes: compressed, or no longer under its name.
    whole: bool,
    told_end: bool,
}

/// What cannot be read now, and why: names of files, or the folder itself.
#[derive(Default)]
struct Problems(BTreeMap<String, String>);

impl Problems {
    fn note(&mut self, name: &str, error: Option<&io::Error>) {
        match error {
            Some(error) => {
                self.0.insert(name.to_owned(), error.to_string());
            }
            None if !self.0.is_empty() => {
                self.0.remove(name);
            }
            None => {}
        }
    }
}

/// What a reader thread needs.
pub struct Reader {
    pub folder: Arc<Folder>,
    pub worker: usize,
    pub workers: usize,
    pub stored: Offsets,
    pub status: SharedStatus,
    pub stop: Arc<AtomicBool>,
}

impl Reader {
    /// Reads until told to stop or nobody listens. An unreadable file is told in the status and tried again.
    pub fn run(self, chunks: &Sender<Chunk>) {
        let mut tails: HashMap<i32, Tail> = HashMap::new();
        let mut problems = Problems::default();
        let mut looked: Option<Instant> = None;
        while !self.stop.load(Ordering::Acquire) {
            if looked.is_none_or(|it| LOOK_EVERY < it.elapsed()) {
                looked = Some(Instant::now());
                self.look(&mut tails, &mut problems);
            }
            let mut idle = true;
            for tail in tails.values_mut() {
                let read = self.read(tail);
                problems.note(&tail.origin.name, read.as_ref().err());
                if let Ok(Some(chunk)) = read {
                    idle &= chunk.records.ends.is_empty();
                    if chunks.send(chunk).is_err() {
                        return;
                    }
                }
            }
            self.tell(&problems);
            if idle {
                std::thread::sleep(IDLE_SLEEP);
            }
        }
    }

    fn tell(&self, problems: &Problems) {
        let Some((name, text)) = problems.0.first_key_value() else {
            return self.status.update(|it| {
                it.tell(self.worker, true, None);
            });
        };
        let connected = *name != self.folder.path.display().to_string();
        self.status.update(|it| {
            if it.tell(self.worker, connected, Some(format!("{name}: {text}"))) {
                tracing::warn!(
                    file = name,
                    "an input file cannot be read: {text}; trying again"
                );
            }
        });
    }

    fn look(&self, tails: &mut HashMap<i32, Tail>, problems: &mut Problems) {
        let folder = self.folder.path.display().to_string();
        let names = self.folder.partitions();
        problems.note(&folder, names.as_ref().err());
        for (name, number) in names.unwrap_or_default() {
            if usize::try_from(number).unwrap_or(0) % self.workers != self.worker
                || tails.contains_key(&number)
            {
                continue;
            }
            let resumed = self.resume(&name, Partition(number));
            problems.note(&name, resumed.as_ref().err());
            if let Ok(Some(tail)) = resumed {
                self.status.update(|it| {
                    it.partitions
                        .entry(number)
                        .or_default()
                        .name
                        .clone_from(&name)
                });
                tails.insert(number, tail);
            }
        }
    }

    /// Opens a partition where its stored offset says, in whatever file that is now.
    fn resume(&self, name: &str, partition: Partition) -> io::Result<Option<Tail>> {
        let path = self.folder.path.join(name);
        let stored = self.stored.get(partition);
        let origin = stored.and_then(|it| Origin::parse(&it.origin));
        let offset = stored.map_or(0, |it| it.offset.0);
        let Some(mut origin) = origin else {
            let head = head_of(&path)?;
            return self
                .open_at(
                    &path,
                    Origin {
                        name: name.to_owned(),
                        head,
                        base: 0,
                    },
                    partition,
                    0,
                    false,
                )
                .map(Some);
        };
        if !path.exists() || head_of(&path)? != origin.head {
            // The file was rotated while we were away: finish the old one first.
            for entry in std::fs::read_dir(&self.folder.path)? {
                let other = entry?.path();
                if other != path && other.is_file() && head_of(&other)? == origin.head {
                    return self
                        .open_at(&other, origin, partition, offset, true)
                        .map(Some);
                }
            }
            if !path.exists() {
                return Ok(None);
            }
            tracing::warn!(
                file = name,
                "the file that was being read is gone; its unread rest is lost, going on with the new file"
            );
            self.status.update(|it| it.lost_records += 1);
            origin.base = offset;
            origin.head = head_of(&path)?;
        }
        self.open_at(&path, origin, partition, offset, false)
            .map(Some)
    }

    fn open_at(
        &self,
        path: &Path,
        origin: Origin,
        partition: Partition,
        offset: i64,
        rotated: bool,
    ) -> io::Result<Tail> {
        let skip = (offset - origin.base).max(0);
        let (reader, inode) = open_from(path, skip)?;
        self.folder.note_head(origin.head);
        let whole = is_compressed(path) || rotated;
        Ok(Tail {
            partition,
            origin,
            reader,
            inode,
            position: skip,
            pending: Vec::new(),
            whole,
            told_end: false,
        })
    }

    /// The next block of whole lines; nothing when there is no news.
    fn read(&self, tail: &mut Tail) -> io::Result<Option<Chunk>> {
        let mut data = std::mem::take(&mut tail.pending);
        if !tail.told_end {
            data.reserve(BLOCK);
        }
        let (before, start) = (data.len(), tail.origin.base + tail.position);
        let start = start - before as i64;
        let filled = fill(&mut tail.reader, &mut data);
        tail.position += (data.len() - before) as i64;
        let ended = match filled {
            Ok(ended) => ended,
            Err(error) => {
                tail.pending = data;
                return Err(error);
            }
        };
        let rotated = ended && !tail.whole && self.is_rotated(tail)?;
        let last_line_counts = ended && (tail.whole || rotated);
        let ends = line_ends(&data, last_line_counts);
        let taken = ends.last().map_or(0, |it| *it as usize);
        tail.pending = data.split_off(taken);
        let offsets = offsets(start, &ends);
        let at = start + taken as i64;
        let next = Position {
            offset: Offset(at),
            origin: tail.origin.text(),
        };
        let end_offset = match ended {
            true => Some(at + tail.pending.len() as i64),
            // While there is more to read, the size of the file says how much; a compressed one does not tell.
            false if !tail.whole => std::fs::metadata(self.folder.path.join(&tail.origin.name))
                .ok()
                .map(|it| tail.origin.base + it.len() as i64),
            false => None,
        };
        let nothing = ends.is_empty();
        if !(nothing && tail.told_end) {
            self.status.advance(tail.partition, at, end_offset);
        }
        if rotated {
            self.follow(tail)?;
        } else if last_line_counts && tail.whole && nothing {
            self.after_whole(tail)?;
        }
        if nothing && tail.told_end {
            return Ok(None);
        }
        tail.told_end = ended;
        let records = RawRecords {
            partition: tail.partition,
            data,
            ends,
            offsets,
        };
        Ok(Some(Chunk {
            records,
            next,
            at_end: ended,
            gap: None,
        }))
    }

    /// Whether the name now belongs to another file, or the file was cut to nothing.
    fn is_rotated(&self, tail: &Tail) -> io::Result<bool> {
        match std::fs::metadata(self.folder.path.join(&tail.origin.name)) {
            Ok(meta) => Ok(meta.ino() != tail.inode || (meta.len() as i64) < tail.position),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Goes on with the new file under the old name, once it has its first line.
    fn follow(&self, tail: &mut Tail) -> io::Result<()> {
        let path = self.folder.path.join(&tail.origin.name);
        let Some(head) = head_of(&path)? else {
            return Ok(());
        };
        let base = tail.origin.base + tail.position;
        let origin = Origin {
            name: tail.origin.name.clone(),
            head: Some(head),
            base,
        };
        *tail = self.open_at(&path, origin, tail.partition, base, false)?;
        Ok(())
    }

    /// After a rotated file was finished: the file that has its name now.
    fn after_whole(&self, tail: &mut Tail) -> io::Result<()> {
        let path = self.folder.path.join(&tail.origin.name);
        let current = if path.exists() { head_of(&path)? } else { None };
        if current.is_some() && current != tail.origin.head {
            self.follow(tail)?;
        }
        Ok(())
    }
}

/// Appends up to a block to what is there already, and says whether the file has ended. Bytes read before an error stay.
/// At the end of a file this allocates nothing: it is asked a hundred times a second.
fn fill(reader: &mut impl Read, data: &mut Vec<u8>) -> io::Result<bool> {
    let read = reader.take(BLOCK as u64).read_to_end(data)?;
    Ok(read < BLOCK)
}

/// Where the lines of a block end that begins with a line. What comes after the last end waits.
fn line_ends(data: &[u8], last_line_counts: bool) -> Vec<u32> {
    let mut ends = Vec::new();
    let mut start = 0;
    let mut cut = |start: &mut usize, end: usize, is_line: bool| {
        while LINE_MAX < end - *start {
            *start += LINE_MAX;
            ends.push(*start as u32);
        }
        if is_line && *start < end {
            *start = end;
            ends.push(end as u32);
        }
    };
    for newline in memchr::memchr_iter(b'\n', data) {
        cut(&mut start, newline + 1, true);
    }
    cut(&mut start, data.len(), last_line_counts);
    ends
}

/// The offset of each record, from that of the first.
fn offsets(start: i64, ends: &[u32]) -> Vec<i64> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    ends.iter()
        .zip(starts)
        .map(|(_, at)| start + i64::from(at))
        .collect()
}

/// A part of a partition to be read once more, on its own.
#[derive(Clone, Debug)]
pub struct Span {
    pub partition: Partition,
    pub from: Offset,
    pub until: Offset,
    /// What stored positions said of its files, oldest first.
    pub origins: Vec<String>,
}

/// Reads records that were read before, from whatever files they are in now. Returns what is gone: ranges of offsets
/// whose file is missing or shorter than it was.
///
/// # Errors
/// If a file that is there cannot be read.
pub fn read_again(
    folder: &Path,
    span: &Span,
    take: &mut dyn FnMut(RawRecords),
) -> Result<Vec<Range<i64>>, Error> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| Error::Folder { path, source }
    };
    let origins: Vec<Origin> = span
        .origins
        .iter()
        .filter_map(|it| Origin::parse(it))
        .collect();
    let mut gone = Vec::new();
    let mut at = span.from.0;
    for (number, origin) in origins.iter().enumerate() {
        let end = origins
            .get(number + 1)
            .map_or(span.until.0, |it| it.base.min(span.until.0));
        if at < origin.base.min(span.until.0) {
            gone.push(at..origin.base.min(span.until.0));
            at = origin.base;
        }
        if end <= at {
            continue;
        }
        let reached = match find(folder, origin).map_err(failed(folder))? {
            Some(path) => read_range(&path, span.partition, origin.base, at..end, take)
                .map_err(failed(&path))?,
            None => at,
        };
        if reached < end {
            gone.push(reached..end);
        }
        at = end;
    }
    if at < span.until.0 {
        gone.push(at..span.until.0);
    }
    Ok(gone)
}

/// The file that begins as the origin says, under its old name or another.
fn find(folder: &Path, origin: &Origin) -> io::Result<Option<PathBuf>> {
    let path = folder.join(&origin.name);
    if path.is_file() && head_of(&path)? == origin.head {
        return Ok(Some(path));
    }
    for entry in std::fs::read_dir(folder)? {
        let other = entry?.path();
        if other.is_file() && head_of(&other)? == origin.head {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// Hands over the records of one file between two offsets; says how far it came.
fn read_range(
    path: &Path,
    partition: Partition,
    base: i64,
    range: Range<i64>,
    take: &mut dyn FnMut(RawRecords),
) -> io::Result<i64> {
    let mut reader = open_from(path, range.start - base)?.0;
    let mut reader = reader
        .by_ref()
        .take(u64::try_from(range.end - range.start).unwrap_or(0));
    let mut at = range.start;
    let mut data = Vec::new();
    loop {
        let ended = fill(&mut reader, &mut data)?;
        // A stored offset never lies within a line, so the last one is whole.
        let ends = line_ends(&data, ended && reader.limit() == 0);
        let taken = ends.last().map_or(0, |it| *it as usize);
        let rest = data.split_off(taken);
        if !ends.is_empty() {
            let offsets = offsets(at, &ends);
            take(RawRecords {
                partition,
                data,
                ends,
                offsets,
            });
        }
        at += taken as i64;
        if ended {
            return Ok(at);
        }
        data = rest;
    }
}

#[cfg(test)]
mod tests;

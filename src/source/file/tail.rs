//! One partition: the file it is in now, how far that was read, and the file that comes next.
//!
//! Each block is read first and then held against what the file was: its first bytes, and those before the block. A file that was cut or
//! overwritten meanwhile shows there, and the block is thrown away.

use super::folder::{Folder, Listing};
use super::print::{
    HEAD, Head, MARK, Mark, Origin, bytes_at, first_bytes, is_packed_file, open_from,
};
use super::{Chunk, FileNote, Trouble, quiet_for};
use crate::model::{Offset, Partition, Position};
use crate::source::decode::RawRecords;
use crate::source::framing::Framing;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// A file that was renamed is read until it was quiet for so long: its writer goes on with the new one when it is told to.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a file that is not where it was listed is left alone.
const MOVED_PAUSE: Duration = Duration::from_millis(200);
/// An unfinished line is told when nothing was added to it for so long.
const UNFINISHED_TOLD_AFTER: Duration = Duration::from_secs(10);

/// Offsets that will never be read, and why.
#[derive(Debug)]
pub(super) struct Lost {
    pub from: i64,
    pub to: i64,
    pub reason: String,
}

/// What reading has brought.
pub(super) enum Step {
    Nothing,
    /// No records, but more to be done.
    Again,
    Chunk {
        chunk: Box<Chunk>,
        lost: Option<Lost>,
    },
}

enum Handle {
    Plain(File),
    Packed(Box<dyn Read + Send>),
}

enum State {
    Reading,
    /// All of the file was read. Goes on with the next one under the name.
    Over,
    /// The rest of the file cannot be read. Goes on with byte `skip` of the next one under the name.
    Lost {
        skip: u64,
    },
}

/// An open file held against what was read of it.
enum Held {
    /// The length is known of files that are not compressed.
    Same {
        length: Option<u64>,
    },
    Changed,
}

struct Next {
    path: PathBuf,
    inode: u64,
    since: Instant,
}

pub(super) struct Tail {
    partition: Partition,
    framing: Framing,
    /// The first record of the file, where that names the fields of the others; nothing until it was read.
    header: Option<Arc<[u8]>>,
    origin: Origin,
    /// Where the file is now.
    path: PathBuf,
    handle: Option<Handle>,
    state: State,
    /// The next record.
    offset: i64,
    /// Bytes of the file read so far, including those in `pending`.
    read: u64,
    /// The beginning of a line whose end has not come yet.
    pending: Vec<u8>,
    /// The file's first bytes, the last ones read, and those before the next record.
    head: Vec<u8>,
    before: Vec<u8>,
    window: Vec<u8>,
    /// The file was so long once.
    longest: u64,
    modified: Option<(i64, i64)>,
    next: Option<Next>,
    /// The listing says that there is something to do.
    due: bool,
    /// The file is nowhere in the folder.
    gone: bool,
    /// To be told before anything else.
    lost: Option<Lost>,
    /// Why it cannot be read on, once what was read before is handed over.
    failed: Option<io::Error>,
    /// Whether the last chunk said that this is the end.
    told_end: Option<bool>,
    end: Option<i64>,
    grown_at: Instant,
    read_at: Instant,
    retry_at: Option<Instant>,
}

impl Tail {
    /// Opens a partition where its stored position says, in whatever file that is now; nothing while there is none.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn resume(
        name: &str,
        number: i32,
        stored: Option<&Position>,
        listing: &Listing,
        framing: &Framing,
    ) -> io::Result<Option<Self>> {
        let new = |origin, path, offset| Tail::new(number, framing.clone(), origin, path, offset);
        let offset = stored.map_or(0, |it| it.offset.0);
        let Some(origin) = stored.and_then(|it| Origin::parse(&it.origin)) else {
            let Some(entry) = listing.first(name, number) else {
                return Ok(None);
            };
            let head = first_bytes(&entry.path)?;
            let origin = Origin {
                name: name.to_owned(),
                inode: Some(entry.inode),
                head: Some(Head::of(&head)),
                base: offset,
                skip: 0,
            };
            return Ok(Some(new(origin, entry.path.clone(), offset)));
        };
        let read = u64::try_from(offset - origin.base).unwrap_or(0);
        if let Some(entry) = listing.find(number, origin.inode, origin.base) {
            let mut tail = new(origin, entry.path.clone(), offset);
            tail.origin.inode = Some(entry.inode);
            tail.go_to(read)?;
            return Ok(Some(tail));
        }
        let Some(entry) = listing.next(name, number, None, origin.base) else {
            return Ok(None);
        };
        let same_file = origin.inode.is_none_or(|it| it == entry.inode);
        let head = first_bytes(&entry.path)?;
        let is_cut = same_file
            && entry.length < read
            && !is_packed_file(&entry.path)
            && origin.head.is_some_and(|it| it.begins(&head));
        let reason = match (is_cut, same_file) {
            (true, _) => format!(
                "{name} was cut from {read} to {} bytes while nobody read it; what was written behind byte {read} is not known",
                entry.length
            ),
            (false, true) => format!(
                "{name} was overwritten while nobody read it, and no copy is there of what was in it; what was written behind byte {read} is not known"
            ),
            (false, false) => format!(
                "the file that was read as {name} is gone, and there is another one; what was written behind byte {read} is not known"
            ),
        };
        let mut tail = new(origin, entry.path.clone(), offset);
        tail.read = read;
        tail.lose(reason, if is_cut { entry.length } else { 0 });
        tail.look_through(listing);
        Ok(Some(tail))
    }

    fn new(number: i32, framing: Framing, origin: Origin, path: PathBuf, offset: i64) -> Self {
        Tail {
            partition: Partition(number),
            framing,
            header: None,
            origin,
            path,
            handle: None,
            state: State::Reading,
            offset,
            read: 0,
            pending: Vec::new(),
            head: Vec::new(),
            before: Vec::new(),
            window: Vec::new(),
            longest: 0,
            modified: None,
            next: None,
            due: true,
            gone: false,
            lost: None,
            failed: None,
            told_end: None,
            end: None,
            grown_at: Instant::now(),
            read_at: Instant::now(),
            retry_at: None,
        }
    }

    /// Puts the place to read on behind so many bytes of the file.
    fn go_to(&mut self, read: u64) -> io::Result<()> {
        self.head = first_bytes(&self.path)?;
        let length = read.min(MARK as u64);
        self.before = bytes_at(&self.path, read - length, length as usize)?;
        self.window.clone_from(&self.before);
        self.read = read;
        self.take_head();
        Ok(())
    }

    /// Once the head is whole, it is what tells the file from others. It changes once, since each note of a position names it.
    fn take_head(&mut self) {
        let is_whole =
            matches!(self.origin.head, Some(Head::Bytes { length, .. }) if length as usize == HEAD);
        let is_older = !matches!(self.origin.head, Some(Head::Bytes { .. }));
        if self.head.len() == HEAD && !is_whole || is_older {
            self.origin.head = Some(Head::of(&self.head));
        }
    }

    pub fn name(&self) -> &str {
        &self.origin.name
    }

    pub fn is_open(&self) -> bool {
        self.handle.is_some()
    }

    /// Whether it can only be read from its beginning.
    pub fn is_packed(&self) -> bool {
        is_packed_file(&self.path)
    }

    pub fn close(&mut self) {
        self.handle = None;
    }

    pub fn read_at(&self) -> Instant {
        self.read_at
    }

    pub fn retry_after(&mut self, pause: Duration) {
        self.retry_at = Some(Instant::now() + pause);
    }

    /// Where to go on, and what finds that place again.
    pub fn position(&self) -> Position {
        let mark = match self.state {
            State::Reading | State::Over => Mark::of(&self.window),
            State::Lost { .. } => Mark::NOWHERE,
        };
        Position {
            offset: Offset(self.offset),
            origin: self.origin.text(),
            mark: mark.text(),
        }
    }

    /// One past the last byte there is, as far as known.
    pub fn end(&self) -> Option<i64> {
        self.end
    }

    /// An unfinished last line that has been quiet for a while.
    pub fn unfinished(&self) -> Option<FileNote> {
        let waits = !self.pending.is_empty()
            && self.told_end == Some(true)
            && quiet_for(self.grown_at, UNFINISHED_TOLD_AFTER);
        waits.then(|| {
            let bytes = self.pending.len();
            let text =
                format!("its last line has no end yet: {bytes} bytes are read once that comes");
            FileNote::new(self.name(), Trouble::Unfinished, bytes as u64, &text)
        })
    }

    /// Sees where the file is, and what comes after it.
    pub fn look_through(&mut self, listing: &Listing) {
        let (number, base) = (self.partition.0, self.origin.base);
        let found = listing.find(number, self.origin.inode, base);
        // While it is open, a file of another inode is only a copy: this one goes on, or shows by itself that it was cut.
        if let Some(entry) =
            found.filter(|it| !self.is_open() || Some(it.inode) == self.origin.inode)
        {
            self.path.clone_from(&entry.path);
            self.origin.inode = Some(entry.inode);
            self.due |= entry.length != self.read && !self.is_packed();
        }
        // A listing that was made meanwhile may not know yet that this file is ours; what was cut is another file under its own inode.
        let inode = match self.state {
            State::Reading | State::Over => self.origin.inode,
            State::Lost { .. } => None,
        };
        let next = listing.next(&self.origin.name, number, inode, base);
        let since = |inode: u64| match &self.next {
            Some(it) if it.inode == inode => it.since,
            Some(_) | None => Instant::now(),
        };
        self.next = next.map(|it| Next {
            path: it.path.clone(),
            inode: it.inode,
            since: since(it.inode),
        });
        self.gone = found.is_none();
        self.due |= self.gone || self.next.is_some();
    }

    pub fn wants_reading(&self) -> bool {
        if self.retry_at.is_some_and(|it| Instant::now() < it) {
            return false;
        }
        match self.state {
            State::Reading => self.is_open() || self.due || self.told_end != Some(true),
            State::Over | State::Lost { .. } => self.lost.is_some() || self.next.is_some(),
        }
    }

    /// The next block of whole lines.
    ///
    /// # Errors
    /// If the file cannot be read now; what was read before stays.
    pub fn read(&mut self, folder: &Folder) -> io::Result<Step> {
        self.read_at = Instant::now();
        if let Some(lost) = self.lost.take() {
            return Ok(self.chunk(Vec::new(), Vec::new(), false, Some(lost)));
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match self.state {
            State::Reading => {}
            State::Over => return self.follow(folder, 0),
            State::Lost { skip } => return self.follow(folder, skip),
        }
        if !self.is_open() && !self.open()? {
            if self.gone && self.next.is_some() {
                let reason = format!(
                    "{} is gone after {} bytes of it were read, and there is another file of its name; what was written behind that is not known",
                    self.path.display(),
                    self.read
                );
                return Ok(self.give_up(reason, 0));
            }
            // The next listing says where it is.
            self.due = false;
            self.retry_after(MOVED_PAUSE);
            return Ok(Step::Nothing);
        }
        let mut data = std::mem::take(&mut self.pending);
        if self.told_end != Some(true) {
            data.reserve(BLOCK);
        }
        let before = data.len();
        let filled = match &mut self.handle {
            Some(Handle::Plain(file)) => fill(file, &mut data),
            Some(Handle::Packed(reader)) => fill(reader, &mut data),
            None => Ok(true),
        };
        let more = data.len() - before;
        let length = match self.held_against(0 < more) {
            Ok(Held::Same { length }) => length,
            Ok(Held::Changed) => {
                data.truncate(before);
                self.pending = data;
                return self.go_on_after_change(folder);
            }
            Err(error) => {
                data.truncate(before);
                self.pending = data;
                return Err(error);
            }
        };
        self.longest = self.longest.max(length.unwrap_or(0));
        if 0 < more {
            self.grown_at = self.read_at;
            self.take_in(&data[before..]);
        }
        let ended = match filled {
            Ok(ended) => ended,
            // What was read before is handed over first.
            Err(error) if memchr::memchr(b'\n', &data[before..]).is_some() => {
                self.failed = Some(error);
                false
            }
            Err(error) => {
                self.pending = data;
                return Err(error);
            }
        };
        let packed = self.is_packed();
        let succeeded = ended
            && self
                .next
                .as_ref()
                .is_some_and(|it| packed || quiet_for(it.since.max(self.grown_at), LAST_WORDS));
        let (data, ends) = self.frame(data, ended && (packed || succeeded))?;
        self.end = match (ended, length) {
            (true, _) => Some(self.origin.base + self.read as i64),
            (false, Some(length)) => Some(self.origin.base + length as i64),
            // A compressed file does not tell how much there is.
            (false, None) => None,
        };
        if ends.is_empty() && !ended {
            return Ok(Step::Again);
        }
        if ends.is_empty() && (succeeded || packed) {
            self.handle = None;
            self.state = State::Over;
        }
        let at_end = ended && self.next.is_none();
        if ends.is_empty() && self.told_end == Some(at_end) {
            self.due = false;
            return Ok(match self.state {
                State::Reading => Step::Nothing,
                State::Over | State::Lost { .. } => Step::Again,
            });
        }
        Ok(self.chunk(data, ends, at_end, None))
    }

    /// Cuts what is there, and begins with a record, into records. The rest waits. The header of the file is none.
    fn frame(&mut self, mut data: Vec<u8>, is_all: bool) -> io::Result<(Vec<u8>, Vec<u32>)> {
        if self.lacks_header() {
            let skipped = match self.take_header(&data, is_all) {
                Ok(skipped) => skipped,
                Err(error) => {
                    self.pending = data;
                    return Err(error);
                }
            };
            slide(&mut self.window, &data[..skipped]);
            data.drain(..skipped);
            self.offset += skipped as i64;
            if 0 < skipped {
                self.told_end = None;
            }
        }
        let ends = match self.lacks_header() {
            true => Vec::new(),
            false => self.framing.ends(&data, is_all),
        };
        let taken = ends.last().map_or(0, |it| *it as usize);
        self.pending = data.split_off(taken);
        Ok((data, ends))
    }

    fn lacks_header(&self) -> bool {
        self.framing.has_header() && self.header.is_none()
    }

    /// Finds the header of the file, if it is whole. Says how many bytes of it are those that were read last, which is all of them unless reading began
    /// within the file.
    fn take_header(&mut self, data: &[u8], is_all: bool) -> io::Result<usize> {
        let begin = self.read - data.len() as u64;
        let header = match begin {
            0 => {
                let ends = self.framing.ends(data, is_all);
                ends.first().map(|it| data[..*it as usize].to_vec())
            }
            _ => first_record(&self.path, &self.framing, is_all)?,
        };
        let Some(header) = header else { return Ok(0) };
        let rest = (header.len() as u64).saturating_sub(begin) as usize;
        // The file has more than was read of it.
        if data.len() < rest {
            return Ok(0);
        }
        self.header = Some(header.into());
        Ok(rest)
    }

    /// Opens the file at the place to read on; false if it is no longer where it was.
    fn open(&mut self) -> io::Result<bool> {
        let handle = match self.is_packed() {
            true => match open_from(&self.path, self.read) {
                Ok((reader, _)) => Handle::Packed(reader),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            },
            false => match File::open(&self.path) {
                Ok(mut file) => {
                    if Some(file.metadata()?.ino()) != self.origin.inode {
                        return Ok(false);
                    }
                    file.seek(SeekFrom::Start(self.read))?;
                    Handle::Plain(file)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            },
        };
        self.handle = Some(handle);
        Ok(true)
    }

    /// Whether the open file still is what was read so far.
    fn held_against(&mut self, has_more: bool) -> io::Result<Held> {
        let Some(Handle::Plain(file)) = &self.handle else {
            return Ok(Held::Same { length: None });
        };
        let meta = file.metadata()?;
        let modified = Some((meta.mtime(), meta.mtime_nsec()));
        let length = Some(meta.len());
        if meta.len() < self.read {
            return Ok(Held::Changed);
        }
        let before = self.read - self.before.len() as u64;
        let untouched = !has_more && self.modified == modified;
        if untouched || has_at(file, &self.head, 0)? && has_at(file, &self.before, before)? {
            self.modified = modified;
            return Ok(Held::Same { length });
        }
        Ok(Held::Changed)
    }

    fn take_in(&mut self, bytes: &[u8]) {
        let known = self.head.len();
        if known < HEAD && self.read <= known as u64 {
            let skip = known - self.read as usize;
            let bytes = bytes.get(skip..).unwrap_or_default();
            self.head
                .extend_from_slice(&bytes[..bytes.len().min(HEAD - known)]);
            self.take_head();
        }
        slide(&mut self.before, bytes);
        self.read += bytes.len() as u64;
    }

    /// The file was cut or overwritten: goes on in a copy of what was in it, or gives it up.
    fn go_on_after_change(&mut self, folder: &Folder) -> io::Result<Step> {
        self.handle = None;
        let listing = folder.look_now()?;
        let copy = listing.find(self.partition.0, None, self.origin.base);
        if let Some(copy) = copy.filter(|it| Some(it.inode) != self.origin.inode) {
            tracing::info!(
                file = %self.path.display(), copy = %copy.path.display(),
                "a file was cut; what was in it is read on in its copy"
            );
            self.path.clone_from(&copy.path);
            self.origin.inode = Some(copy.inode);
            self.look_through(&listing);
            self.due = true;
            return Ok(Step::Again);
        }
        let length = std::fs::metadata(&self.path).map_or(0, |it| it.len());
        let first = first_bytes(&self.path).unwrap_or_default();
        let both = first.len().min(self.head.len());
        let same_head = 0 < both && first[..both] == self.head[..both];
        let is_cut = same_head && length < self.read;
        let (name, read) = (self.name(), self.read);
        let mut reason = match is_cut {
            true => format!("{name} was cut from {read} to {length} bytes"),
            false => format!(
                "{name} was overwritten after {read} bytes of it were read, and no copy is there of what was in it"
            ),
        };
        if read < self.longest {
            reason += &format!("; bytes {read} to {} of it are lost", self.longest);
        }
        reason += &format!(
            "; what was written behind byte {} is not known",
            read.max(self.longest)
        );
        if same_head && !is_cut {
            reason += "; it begins as before, so some records may come twice";
        }
        let step = self.give_up(reason, if is_cut { length } else { 0 });
        self.look_through(&listing);
        Ok(step)
    }

    /// Lets go of the file, whose rest is lost. An unfinished line counts as it is.
    fn give_up(&mut self, reason: String, skip: u64) -> Step {
        let mut data = std::mem::take(&mut self.pending);
        let ends = match self.lacks_header() {
            true => Vec::new(),
            false => self.framing.ends(&data, true),
        };
        data.truncate(ends.last().map_or(0, |it| *it as usize));
        self.lose(reason, skip);
        let lost = self.lost.take();
        self.chunk(data, ends, false, lost)
    }

    fn lose(&mut self, reason: String, skip: u64) {
        let from = self.origin.base + self.read as i64;
        self.handle = None;
        self.state = State::Lost { skip };
        self.lost = Some(Lost {
            from,
            to: from
                .max(self.origin.base + self.longest as i64)
                .max(from + 1),
            reason,
        });
    }

    /// Goes on with the next file under the name.
    fn follow(&mut self, folder: &Folder, skip: u64) -> io::Result<Step> {
        let Some(next) = self.next.take() else {
            return Ok(Step::Nothing);
        };
        let file = File::open(&next.path)?;
        if file.metadata()?.ino() != next.inode {
            return Ok(Step::Nothing); // another one meanwhile; the next listing says which
        }
        let origin = Origin {
            name: self.origin.name.clone(),
            inode: Some(next.inode),
            head: Some(Head::of(&first_bytes(&next.path)?)),
            base: self.offset - skip as i64,
            skip,
        };
        let number = self.partition.0;
        *self = Tail::new(number, self.framing.clone(), origin, next.path, self.offset);
        self.go_to(skip)?;
        folder.note(number, &self.position());
        Ok(Step::Again)
    }

    /// What was told of its end counts no more: it is read once more, and tells anew.
    pub fn forget_end(&mut self) {
        self.told_end = None;
    }

    /// Hands lines over; what is lost comes behind them.
    fn chunk(&mut self, data: Vec<u8>, ends: Vec<u32>, at_end: bool, lost: Option<Lost>) -> Step {
        let offsets = offsets(self.offset, &ends);
        self.offset += data.len() as i64;
        slide(&mut self.window, &data);
        if let Some(lost) = &lost {
            self.offset = lost.to;
        }
        self.told_end = Some(at_end);
        let chunk = Box::new(Chunk {
            records: RawRecords {
                partition: self.partition,
                data,
                ends,
                offsets,
                header: self.header.clone(),
            },
            next: self.position(),
            at_end,
            looks: 0,
            gap: None,
            stamps: None,
        });
        Step::Chunk { chunk, lost }
    }
}

/// Whether a file has these bytes at a place.
fn has_at(file: &File, bytes: &[u8], at: u64) -> io::Result<bool> {
    let mut found = vec![0; bytes.len()];
    match file.read_exact_at(&mut found, at) {
        Ok(()) => Ok(found == bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Keeps the last bytes of what was and what comes.
fn slide(window: &mut Vec<u8>, bytes: &[u8]) {
    let keep = MARK.saturating_sub(bytes.len()).min(window.len());
    window.drain(..window.len() - keep);
    window.extend_from_slice(&bytes[bytes.len().saturating_sub(MARK)..]);
}

/// Appends up to a block to what is there already, and says whether the file has ended. Bytes read before an error stay.
/// At the end of a file this allocates nothing: it is asked a hundred times a second.
pub(super) fn fill(reader: &mut impl Read, data: &mut Vec<u8>) -> io::Result<bool> {
    let read = reader.take(BLOCK as u64).read_to_end(data)?;
    Ok(read < BLOCK)
}

/// The first record of a file, if it is whole.
pub(super) fn first_record(
    path: &Path,
    framing: &Framing,
    is_all: bool,
) -> io::Result<Option<Vec<u8>>> {
    let mut reader = open_from(path, 0)?.0;
    let mut data = Vec::new();
    loop {
        let ended = fill(&mut reader, &mut data)?;
        let ends = framing.ends(&data, ended && is_all);
        if let Some(end) = ends.first() {
            data.truncate(*end as usize);
            return Ok(Some(data));
        }
        if ended {
            return Ok(None);
        }
    }
}

/// The offset of each record, from that of the first.
pub(super) fn offsets(start: i64, ends: &[u32]) -> Vec<i64> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    ends.iter()
        .zip(starts)
        .map(|(_, at)| start + i64::from(at))
        .collect()
}

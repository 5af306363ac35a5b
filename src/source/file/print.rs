//! What tells one file from another, and how stored positions say it.
//!
//! No single sign is enough: names move when logs are rotated, inodes are given to other files, and the first lines of two files may be
//! equal. A file is known by its inode if its content agrees, and by its content alone if that inode is gone (a restored backup, a log that
//! was compressed). Content means the first bytes, and the bytes before the place up to which it was read.
//!
//! ```text
//! origin   name|2:<inode>:<bytes of the head>:<hash of the head>|<offset of the file's first byte>[+<bytes that were skipped>]
//! before   name|<hash of the first line, at most 256 bytes>|<offset of the file's first byte>
//! mark     <bytes>:<hash>    of what lies before a position
//! ```

use super::parquet;
use flate2::read::MultiGzDecoder;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes at the start of a file that tell it from others.
pub(super) const HEAD: usize = 1024;
/// Bytes before a position that tell whether the file is still the one that was read.
pub(super) const MARK: usize = 1024;
/// The same of positions that older versions stored.
const OLDER_HEAD: usize = 256;

/// How a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Bytes {
        length: u32,
        hash: u64,
    },
    /// As older versions stored it.
    FirstLine(u64),
}

impl Head {
    pub fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(HEAD)];
        Head::Bytes {
            length: bytes.len() as u32,
            hash: hash(bytes),
        }
    }

    /// Whether a file with these first bytes, `HEAD` of them or all there are, begins so.
    pub fn begins(self, bytes: &[u8]) -> bool {
        match self {
            Head::Bytes { length, hash: of } => bytes
                .get(..length as usize)
                .is_some_and(|it| hash(it) == of),
            Head::FirstLine(of) => first_line(bytes).is_some_and(|it| hash(it) == of),
        }
    }
}

/// The first line with its end, at most `OLDER_HEAD` bytes; nothing until that is there.
fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = &bytes[..bytes.len().min(OLDER_HEAD)];
    match memchr::memchr(b'\n', bytes) {
        Some(end) => Some(&bytes[..=end]),
        None => (bytes.len() == OLDER_HEAD).then_some(bytes),
    }
}

fn hash(bytes: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(bytes)
}

/// What a stored position says of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The name under which files of the partition appear.
    pub name: String,
    /// Unknown in positions of older versions.
    pub inode: Option<u64>,
    pub head: Option<Head>,
    /// Offset of the file's first byte.
    pub base: i64,
    /// Bytes at its beginning that had been read before it was cut.
    pub skip: u64,
}

impl Origin {
    /// Nothing if it is not the note of a file.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '|');
        let (base, print, name) = (parts.next()?, parts.next()?, parts.next()?);
        let (inode, head) = match print.strip_prefix("2:") {
            Some(print) => {
                let mut parts = print.splitn(3, ':');
                let inode = u64::from_str_radix(parts.next()?, 16).ok()?;
                let length = parts.next()?.parse().ok()?;
                let hash = u64::from_str_radix(parts.next()?, 16).ok()?;
                (Some(inode), Some(Head::Bytes { length, hash }))
            }
            None => {
                let hash = u64::from_str_radix(print, 16).ok()?;
                (None, (hash != 0).then_some(Head::FirstLine(hash)))
            }
        };
        let (base, skip) = base.split_once('+').unwrap_or((base, "0"));
        Some(Origin {
            name: name.to_owned(),
            inode,
            head,
            base: base.parse().ok()?,
            skip: skip.parse().ok()?,
        })
    }

    /// The first offset that was read from it.
    pub fn begin(&self) -> i64 {
        self.base + self.skip as i64
    }

    pub fn text(&self) -> String {
        let name = &self.name;
        let base = match self.skip {
            0 => self.base.to_string(),
            skip => format!("{}+{skip}", self.base),
        };
        match self.head {
            Some(Head::Bytes { length, hash }) => {
                let inode = self.inode.unwrap_or(0);
                format!("{name}|2:{inode:x}:{length}:{hash:x}|{base}")
            }
            Some(Head::FirstLine(hash)) => format!("{name}|{hash:x}|{base}"),
            None => format!("{name}|0|{base}"),
        }
    }
}

/// The bytes before a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    length: u32,
    hash: u64,
}

impl Mark {
    /// What no file has before any position: what was read is no longer there.
    pub const NOWHERE: Mark = Mark { length: 0, hash: 0 };

    pub fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[bytes.len().saturating_sub(MARK)..];
        Mark {
            length: bytes.len() as u32,
            hash: hash(bytes),
        }
    }

    /// Nothing for a position of an older version, which has none.
    pub fn parse(text: &str) -> Option<Self> {
        let (length, hash) = text.split_once(':')?;
        Some(Mark {
            length: length.parse().ok()?,
            hash: u64::from_str_radix(hash, 16).ok()?,
        })
    }

    pub fn text(&self) -> String {
        format!("{}:{:x}", self.length, self.hash)
    }
}

/// A file up to where it was read.
#[derive(Clone, Debug)]
pub(super) struct Print {
    pub inode: Option<u64>,
    pub head: Option<Head>,
    /// Bytes of it that were read.
    pub length: u64,
    pub mark: Option<Mark>,
}

impl Print {
    /// Whether a file begins with all that was read of this one, as far as head and mark tell.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_begun_by(&self, path: &Path) -> io::Result<bool> {
        let first = first_bytes(path)?;
        let is_blank = self.length == 0 && matches!(self.head, Some(Head::Bytes { length: 0, .. }));
        if is_blank || !self.head.is_some_and(|it| it.begins(&first)) {
            return Ok(false);
        }
        if self.length <= first.len() as u64 {
            let read = &first[..self.length as usize];
            return Ok(self.mark.is_none_or(|it| it == Mark::of(read)));
        }
        if !is_packed_file(path) && std::fs::metadata(path)?.len() < self.length {
            return Ok(false);
        }
        let length = self.mark.map_or(1, |it| it.length) as usize;
        let before = bytes_at(path, self.length - length as u64, length)?;
        Ok(before.len() == length && self.mark.is_none_or(|it| it == Mark::of(&before)))
    }
}

/// Two files held against each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compared {
    /// So many bytes are equal.
    pub equal: u64,
    /// The next one is not; otherwise one of them ends there, or both do.
    pub differ: bool,
    pub left_is_longer: bool,
}

/// Compares two files from a byte on up to which they are known to be equal.
///
/// # Errors
/// If one cannot be read.
pub(super) fn common(left: &Path, right: &Path, from: u64) -> io::Result<Compared> {
    let (mut left, mut right) = (open_from(left, from)?.0, open_from(right, from)?.0);
    let (mut a, mut b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut equal = from;
    loop {
        let (more_a, more_b) = (fill(&mut left, &mut a)?, fill(&mut right, &mut b)?);
        let both = more_a.min(more_b);
        let differ = a[..both].iter().zip(&b[..both]).position(|it| it.0 != it.1);
        equal += differ.unwrap_or(both) as u64;
        if differ.is_some() || both < a.len() {
            return Ok(Compared {
                equal,
                differ: differ.is_some(),
                left_is_longer: more_b < more_a,
            });
        }
    }
}

/// Reads until a buffer is full or there is no more. A compressed file that is still being written ends where it cannot be read on.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The first bytes of a file, at most `HEAD`.
pub(super) fn first_bytes(path: &Path) -> io::Result<Vec<u8>> {
    bytes_at(path, 0, HEAD)
}

/// Bytes of a file, counted after decompression; fewer if it ends before.
pub(super) fn bytes_at(path: &Path, from: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut reader = open_from(path, from)?.0;
    let mut filled = 0;
    while filled < length {
        match reader.read(&mut bytes[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Whether the text of a file is not what lies on the disk: such a file can only be read from its beginning.
pub(super) fn is_packed_file(path: &Path) -> bool {
    is_compressed(path) || is_parquet(path)
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "gz")
}

pub(super) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "parquet")
}

/// The text of a file from a byte on, counted after decompression, and its inode. The text of a Parquet file is a line of JSON for each row.
pub(super) fn open_from(path: &Path, skip: u64) -> io::Result<(Box<dyn Read + Send>, u64)> {
    let mut file = File::open(path)?;
    let inode = file.metadata()?.ino();
    if is_packed_file(path) {
        let mut reader: Box<dyn Read + Send> = match is_parquet(path) {
            true => Box::new(parquet::Lines::of(file)?),
            false => Box::new(MultiGzDecoder::new(io::BufReader::new(file))),
        };
        io::copy(&mut reader.by_ref().take(skip), &mut io::sink())?;
        return Ok((reader, inode));
    }
    file.seek(SeekFrom::Start(skip))?;
    Ok((Box::new(file), inode))
}

/// A file's name as text that can be stored: bytes that are not UTF-8 become `\xNN`.
pub(super) fn text_of(name: &OsStr) -> String {
    let mut text = String::new();
    for part in name.as_bytes().utf8_chunks() {
        // A name that has such a sequence itself must not become another one.
        text.push_str(&part.valid().replace("\\x", "\\x5cx"));
        for byte in part.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

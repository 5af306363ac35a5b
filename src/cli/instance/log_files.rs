//! The log of an instance in the background: one file that is written, and some older ones.
//!
//! ```text
//! log ← written     log.1, log.2, …, log.KEPT: what was written before, each as long as a log may be
//! ```
//!
//! Who writes keeps one descriptor, which a turn of the files moves to the new one. So it makes no difference who writes through it: the program,
//! a library in C, or a panic.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A log that is longer is put away.
const BYTES_MAX: u64 = 16 << 20;
/// Older files that are kept besides.
pub const KEPT: usize = 3;
/// Read at once from an end.
const BLOCK_BYTES: u64 = 64 << 10;

/// The files of a log that is being written.
pub struct LogFiles {
    path: PathBuf,
    descriptor: RawFd,
    bytes_max: u64,
    turning: Mutex<()>,
}

/// Opens a log to be written; only its owner reads it.
///
/// # Errors
/// If it cannot be made.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path)
}

/// An older file of a log; 0 is the one that is written.
pub fn older(path: &Path, number: usize) -> PathBuf {
    match number {
        0 => path.to_owned(),
        number => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        }
    }
}

impl LogFiles {
    /// Of a log that standard error goes into.
    pub fn of_stderr(path: PathBuf) -> Self {
        LogFiles::of(path, libc::STDERR_FILENO, BYTES_MAX)
    }

    fn of(path: PathBuf, descriptor: RawFd, bytes_max: u64) -> Self {
        LogFiles {
            path,
            descriptor,
            bytes_max,
            turning: Mutex::new(()),
        }
    }

    /// Begins a new file if the present one is long enough. Asked behind every line; where no file can be made, the old one goes on.
    pub fn turn_if_long(&self) {
        if self.bytes().is_some_and(|it| self.bytes_max <= it) {
            let _ = self.turn();
        }
    }

    fn bytes(&self) -> Option<u64> {
        // SAFETY: all zeros are a valid value of it, and it is written below before it is read.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is a number, and the place is ours.
        let done = unsafe { libc::fstat(self.descriptor, &raw mut stat) };
        (done == 0).then_some(u64::try_from(stat.st_size).ok()?)
    }

    fn turn(&self) -> io::Result<()> {
        let _turning = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have turned it meanwhile.
        if self.bytes().is_none_or(|it| it < self.bytes_max) {
            return Ok(());
        }
        for number in (0..KEPT).rev() {
            let from = older(&self.path, number);
            match std::fs::rename(&from, older(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let new = open(&self.path)?;
        // SAFETY: both are descriptors of files; what is written to the first one goes to the new file from here on.
        match unsafe { libc::dup2(new.as_raw_fd(), self.descriptor) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// The last lines of a log, also of its older files.
///
/// # Errors
/// If a file that is there cannot be read.
pub fn last_lines(path: &Path, lines: usize) -> io::Result<Vec<u8>> {
    Ok(lines_and_file(path, lines)?.0)
}

/// The same with the file that is written, read to the end of these lines; none if there is no log.
fn lines_and_file(path: &Path, lines: usize) -> io::Result<(Vec<u8>, Option<File>)> {
    let mut all: Vec<u8> = Vec::new();
    let mut newest = None;
    let mut missing = lines;
    for number in 0..=KEPT {
        if missing == 0 && newest.is_some() {
            break;
        }
        let mut file = match File::open(older(path, number)) {
            Ok(it) => it,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        let mut end = end_of(&mut file, missing)?;
        missing -= lines_of(&end).min(missing);
        end.extend_from_slice(&all);
        all = end;
        newest.get_or_insert(file);
    }
    Ok((all, newest))
}

/// A last line without its end is one.
fn lines_of(text: &[u8]) -> usize {
    let ends = text.iter().filter(|it| **it == b'\n').count();
    ends + usize::from(text.last().is_some_and(|it| *it != b'\n'))
}

/// The last lines of one file, which is read to its end then.
fn end_of(file: &mut File, lines: usize) -> io::Result<Vec<u8>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut from = end;
    let mut text: Vec<u8> = Vec::new();
    // One line more than asked for: then the first one of those is whole.
    while 0 < from && lines_of(&text) <= lines {
        let length = from.min(BLOCK_BYTES);
        from -= length;
        file.seek(SeekFrom::Start(from))?;
        let mut block = Vec::new();
        file.by_ref().take(length).read_to_end(&mut block)?;
        block.extend_from_slice(&text);
        text = block;
    }
    let surplus = lines_of(&text).saturating_sub(lines);
    let length = text.len();
    let mut ends = text
        .iter()
        .enumerate()
        .filter(|(_, it)| **it == b'\n')
        .map(|(at, _)| at + 1);
    let begin = match surplus {
        0 => 0,
        // A last line without its end is the only one that has none.
        surplus => ends.nth(surplus - 1).unwrap_or(length),
    };
    file.seek(SeekFrom::Start(end))?;
    Ok(text.split_off(begin))
}

/// Reads a log as it grows, through any turn of its files.
pub struct Follower {
    path: PathBuf,
    file: File,
    /// What was there and is read first.
    before: Vec<u8>,
}

impl Follower {
    /// Begins with the last lines of what is there.
    ///
    /// # Errors
    /// If there is no log.
    pub fn behind(path: &Path, lines: usize) -> io::Result<Self> {
        let (before, file) = lines_and_file(path, lines)?;
        Ok(Follower {
            path: path.to_owned(),
            file: file.ok_or(io::ErrorKind::NotFound)?,
            before,
        })
    }

    /// What was written since; nothing if nothing was.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut text = std::mem::take(&mut self.before);
        loop {
            // Looked up before this one is read to its end: nobody writes to a file once something is in the next one.
            let next = self.next_file()?;
            self.file.read_to_end(&mut text)?;
            match next {
                Some(next) => self.file = next,
                None => return Ok(text),
            }
        }
    }

    /// The file that was begun after this one.
    fn next_file(&self) -> io::Result<Option<File>> {
        let id = |it: &Metadata| (it.dev(), it.ino());
        let own = id(&self.file.metadata()?);
        let mut newer = None;
        for number in 0..=KEPT {
            let file = match File::open(older(&self.path, number)) {
                Ok(it) => it,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            let metadata = file.metadata()?;
            if id(&metadata) == own {
                return Ok(newer);
            }
            if 0 < metadata.len() {
                newer = Some(file);
            }
        }
        // So much was written that this one is gone already: the oldest that is left.
        Ok(newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines(range: std::ops::Range<u32>) -> String {
        range.map(|it| format!("line {it}\n")).collect()
    }

    #[test]
    fn a_long_log_is_put_away_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut written = open(&path).unwrap();
        let files = LogFiles::of(path.clone(), written.as_raw_fd(), 100);
        let mut follower = Follower::behind(&path, 0).unwrap();
        let mut followed = Vec::new();
        for number in 0..60 {
            writeln!(written, "line {number}").unwrap();
            files.turn_if_long();
            if number % 7 == 0 {
                followed.extend(follower.read().unwrap());
            }
        }
        followed.extend(follower.read().unwrap());
        let followed = String::from_utf8(followed).unwrap();
        assert_eq!(followed, lines(0..60), "nothing is missed at a turn");
        let there = (0..10).filter(|it| older(&path, *it).exists());
        assert_eq!(there.count(), KEPT + 1);
        for number in 0..=KEPT {
            let bytes = std::fs::metadata(older(&path, number)).unwrap().len();
            assert!(bytes < 110, "{bytes}");
        }
        let text = |lines| String::from_utf8(last_lines(&path, lines).unwrap()).unwrap();
        assert_eq!(text(30), lines(30..60), "across files");
        assert_eq!(text(1), "line 59\n");
        assert_eq!(text(0), "");
        assert!(text(1000).starts_with("line "), "the first one is whole");
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "only for its owner");
    }

    #[test]
    fn the_last_lines_are_found_in_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert!(
            last_lines(&path, 5).unwrap().is_empty(),
            "there is none yet"
        );
        let long = "x".repeat(usize::try_from(BLOCK_BYTES).unwrap() * 2);
        std::fs::write(&path, format!("a\n{long}\nb\nc")).unwrap();
        let text = |lines| String::from_utf8(last_lines(&path, lines).unwrap()).unwrap();
        assert_eq!(text(0), "");
        assert_eq!(text(1), "c");
        assert_eq!(text(2), "b\nc");
        assert_eq!(text(3), format!("{long}\nb\nc"));
        assert_eq!(text(4), format!("a\n{long}\nb\nc"));
    }
}

//! Reading records that were read before, from whatever files they are in now: for proofs.

use super::print::{Origin, first_bytes, is_packed_file, open_from, text_of};
use super::tail::{fill, first_record, offsets};
use crate::model::{Offset, Partition};
use crate::source::Error;
use crate::source::decode::RawRecords;
use crate::source::framing::Framing;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A part of a partition to be read once more, on its own.
#[derive(Clone, Debug)]
pub struct Span {
    pub partition: Partition,
    pub from: Offset,
    pub until: Offset,
    /// What stored positions said of its files, oldest first.
    pub origins: Vec<String>,
    pub framing: Framing,
}

/// Offsets that cannot be read again.
#[derive(Clone, Debug)]
pub struct Missing {
    pub offsets: Range<i64>,
    /// A file that is long enough to hold them, stands where they were read from, and has other content. Nothing if no file is
    /// there, or one too short: logs are rotated, cut and deleted.
    pub changed: Option<String>,
}

impl Missing {
    /// Offsets that no file has any more.
    pub fn gone(offsets: Range<i64>) -> Self {
        Missing {
            offsets,
            changed: None,
        }
    }
}

/// Reads records that were read before, from whatever files they are in now. Returns what is missing.
///
/// # Errors
/// If a file that is there cannot be read.
pub fn read_again(
    folder: &Path,
    span: &Span,
    take: &mut dyn FnMut(RawRecords),
) -> Result<Vec<Missing>, Error> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| Error::Folder { path, source }
    };
    let origins: Vec<Origin> = span
        .origins
        .iter()
        .filter_map(|it| Origin::parse(it))
        .collect();
    let mut missing = Vec::new();
    let mut at = span.from.0;
    for (number, origin) in origins.iter().enumerate() {
        let begin = origin.begin().min(span.until.0);
        let next = origins.get(number + 1);
        let end = next.map_or(span.until.0, |it| it.begin().min(span.until.0));
        if at < begin {
            missing.push(Missing::gone(at..begin));
            at = begin;
        }
        if end <= at {
            continue;
        }
        let found = find(folder, origin, bytes(end - origin.base)).map_err(failed(folder))?;
        let (reached, changed) = match found {
            Some((path, inode)) => {
                // What was written behind a cut is the next origin's.
                let cut = next.filter(|it| 0 < it.skip && it.inode == Some(inode));
                let until = cut.map_or(end, |it| end.min(origin.base + it.skip as i64));
                let reached = read_range(&path, span, origin.base, at..until.max(at), take)
                    .map_err(failed(&path))?;
                (reached, None)
            }
            // The name of an older file has been given to a newer one; the last one should still have its own.
            None if next.is_none() => {
                let length = bytes(end - origin.base);
                let changed = replaced(folder, origin, length).map_err(failed(folder))?;
                (at, changed)
            }
            None => (at, None),
        };
        if reached < end {
            missing.push(Missing {
                offsets: reached..end,
                changed,
            });
        }
        at = end;
    }
    if at < span.until.0 {
        missing.push(Missing::gone(at..span.until.0));
    }
    Ok(missing)
}

/// The name of the file that was last read if it is still long enough, though it no longer begins as it did.
fn replaced(folder: &Path, origin: &Origin, length: u64) -> io::Result<Option<String>> {
    if origin.head.is_none() {
        return Ok(None);
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if text_of(&entry.file_name()) == origin.name {
            // A link that leads nowhere is no file.
            let meta = std::fs::metadata(entry.path()).ok();
            let is_long_enough = meta.is_some_and(|it| it.is_file() && length <= it.len());
            return Ok(is_long_enough.then(|| origin.name.clone()));
        }
    }
    Ok(None)
}

/// The file that begins as the origin says and has so many bytes, under its old name or another, and its inode.
fn find(folder: &Path, origin: &Origin, length: u64) -> io::Result<Option<(PathBuf, u64)>> {
    let Some(head) = origin.head else {
        return Ok(None);
    };
    let mut best = None;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let Some(meta) = std::fs::metadata(&path).ok().filter(|it| it.is_file()) else {
            continue;
        };
        // What cannot be read cannot be compared; its records are told as gone.
        if !first_bytes(&path).is_ok_and(|it| head.begins(&it)) {
            continue;
        }
        let fits = (
            is_packed_file(&path) || length <= meta.len(),
            Some(meta.ino()) == origin.inode,
            text_of(&entry.file_name()) == origin.name,
        );
        if best.as_ref().is_none_or(|(other, _)| *other < fits) {
            best = Some((fits, (path, meta.ino())));
        }
    }
    Ok(best.map(|it| it.1))
}

/// Hands over the records of one file between two offsets; says how far it came.
fn read_range(
    path: &Path,
    span: &Span,
    base: i64,
    range: Range<i64>,
    take: &mut dyn FnMut(RawRecords),
) -> io::Result<i64> {
    let mut at = range.start;
    let mut header = None;
    if span.framing.has_header() {
        let Some(first) = first_record(path, &span.framing, true)? else {
            return Ok(at);
        };
        at = at.max(base + first.len() as i64).min(range.end);
        header = Some(first.into());
    }
    let mut reader = open_from(path, bytes(at - base))?.0;
    let mut reader = reader.by_ref().take(bytes(range.end - at));
    let mut data = Vec::new();
    loop {
        let ended = fill(&mut reader, &mut data)?;
        // A stored offset never lies within a line, so the last one is whole.
        let ends = span.framing.ends(&data, ended && reader.limit() == 0);
        let taken = ends.last().map_or(0, |it| *it as usize);
        let rest = data.split_off(taken);
        if !ends.is_empty() {
            let offsets = offsets(at, &ends);
            take(RawRecords {
                partition: span.partition,
                data,
                ends,
                offsets,
                header: Option::clone(&header),
            });
        }
        at += taken as i64;
        if ended {
            return Ok(at);
        }
        data = rest;
    }
}

/// A distance of offsets; none if it points backwards.
fn bytes(distance: i64) -> u64 {
    distance.max(0).unsigned_abs()
}

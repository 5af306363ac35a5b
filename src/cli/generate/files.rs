//! Generated events into partition files, or into one file.

use super::Target;
use crate::source::decode::Zone;
use crate::source::decode::timestamp;
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Longer than an event.
const TAIL_BYTES: u64 = 4096;

/// Partition files `events-<n>.jsonl` in a folder, appended.
pub struct Files {
    files: Vec<BufWriter<File>>,
    written: u64,
}

impl Files {
    pub fn open(folder: &Path, partitions: usize) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("could not make folder {}", folder.display()))?;
        let open = |number: usize| {
            let path = folder.join(format!("events-{number}.jsonl"));
            append(&path).with_context(|| format!("could not open {}", path.display()))
        };
        Ok(Files {
            files: (0..partitions).map(open).collect::<Result<_>>()?,
            written: 0,
        })
    }

    /// One file, whatever its name.
    pub fn single(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("could not write {}", path.display()))?;
        Ok(Files {
            files: vec![BufWriter::with_capacity(1 << 18, file)],
            written: 0,
        })
    }
}

/// Opens a file for appending. A last line that a full disk cut off is ended, so that the next event is a line of its own.
fn append(path: &Path) -> std::io::Result<BufWriter<File>> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)?;
    if 0 < file.seek(SeekFrom::End(0))? {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(BufWriter::with_capacity(1 << 18, file))
}

/// The newest event time in the partition files of a folder; nothing if they have none.
pub fn newest_time_us(folder: &Path) -> Option<i64> {
    let entries = std::fs::read_dir(folder).ok()?;
    let times = entries.filter_map(|it| last_time_us(&it.ok()?.path()));
    times.max()
}

/// The event time of a file's last whole line.
fn last_time_us(path: &Path) -> Option<i64> {
    let mut file = File::open(path).ok()?;
    let end = file.seek(SeekFrom::End(0)).ok()?;
    file.seek(SeekFrom::Start(end.saturating_sub(TAIL_BYTES)))
        .ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let ended = tail.iter().rposition(|it| *it == b'\n')?;
    let line = tail[..ended].rsplit(|it| *it == b'\n').next()?;
    let event: serde_json::Value = serde_json::from_slice(line).ok()?;
    let text = event["timestamp"].as_str()?;
    timestamp::parse(text, Zone::default())
}

impl Target for Files {
    fn send(&mut self, event: &[u8], _key: &str, key_hash: u64, _stop: &AtomicBool) -> Result<()> {
        let number = (key_hash % self.files.len() as u64) as usize;
        self.files[number].write_all(event)?;
        self.files[number].write_all(b"\n")?;
        self.written += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.files
            .iter_mut()
            .try_for_each(|it| it.flush().context("could not write events"))
    }

    fn finish(&mut self, _stop: &AtomicBool) -> Result<u64> {
        self.flush()?;
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_event_of_a_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest_time_us(folder.path()), None);
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("events-0.jsonl", "");
        write(
            "events-1.jsonl",
            "{\"timestamp\":\"1970-01-01T00:00:05.000001\"}\n{\"timestamp\":\"1970-01-01T00:00:07.000001\"}\n",
        );
        // The last line was cut off.
        write(
            "events-2.jsonl",
            "{\"timestamp\":\"1970-01-01T00:00:06.500000\"}\n{\"timestamp\":\"1970-01-01T",
        );
        assert_eq!(newest_time_us(folder.path()), Some(7_000_001));
    }
}

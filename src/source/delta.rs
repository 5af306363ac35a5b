//! Delta tables: the rows of the newest version at the first start, then what each later version adds and removes.
//!
//! The table is one partition, an offset the number of a row since that start. All of a version comes in one chunk, and so in one epoch, unless its lines
//! are more than a chunk holds. A position names the version that it lies in:
//!
//! ```text
//! origin   id of the table|<s or v><version>|<offset at which that version begins>    where reading began, or the last version that is a multiple of 100
//! mark     <s or v><version>|<offset at which that version begins>                    s: all rows as of a version, v: what a version changes
//! ```
//!
//! What is gone before it was read (files that were vacuumed, a log that was cleaned up) is a gap of one offset. With a key all rows of the newest version
//! follow it, without one what comes after.

mod again;
mod table;
#[cfg(test)]
mod tests;

pub use again::read_again;
pub use table::{Open, Table};

use super::{Chunk, Gap, LookAgain, SharedStatus};
use crate::model::{Offset, Offsets, Partition, Position, wall_ms};
use crate::source::decode::RawRecords;
use crossbeam_channel::Sender;
use deltalake::DeltaTable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use table::{Fault, split};

/// Bytes of lines in a chunk, at most but for its last line.
const CHUNK_BYTES: usize = 256 << 20;
/// How often the log is asked for a new version.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is asked whether later versions are there, though the next one is not.
const LATER_EVERY: Duration = Duration::from_secs(10);
/// How long a table that cannot be read is left alone.
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// Versions after which a position can be found again without those before.
const ANCHOR_EVERY: u64 = 100;
const PARTITION: Partition = Partition(0);

/// What a reader thread needs.
pub struct Reader {
    pub table: Table,
    pub worker: usize,
    pub stored: Offsets,
    pub status: SharedStatus,
    pub look_again: LookAgain,
    pub stop: Arc<AtomicBool>,
}

/// The rows of a version, and at which offset they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    version: u64,
    /// All rows as of the version, not only those that it changes.
    is_all: bool,
    begin: i64,
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        let (part, begin) = text.split_once('|')?;
        Some(Part {
            is_all: part.starts_with('s'),
            version: part.strip_prefix(['s', 'v'])?.parse().ok()?,
            begin: begin.parse().ok()?,
        })
    }

    fn text(self) -> String {
        let kind = if self.is_all { 's' } else { 'v' };
        format!("{kind}{}|{}", self.version, self.begin)
    }
}

/// Where a position lies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    id: String,
    anchor: Part,
    part: Part,
    offset: i64,
}

impl Place {
    fn parse(position: &Position) -> Option<Self> {
        let (id, anchor) = position.origin.split_once('|')?;
        Some(Place {
            id: id.to_owned(),
            anchor: Part::parse(anchor)?,
            part: Part::parse(&position.mark)?,
            offset: position.offset.0,
        })
    }

    fn begin(id: String, version: u64, offset: i64) -> Self {
        let part = Part {
            version,
            is_all: true,
            begin: offset,
        };
        Place {
            id,
            anchor: part,
            part,
            offset,
        }
    }

    fn position(&self) -> Position {
        Position {
            offset: Offset(self.offset),
            origin: format!("{}|{}", self.id, self.anchor.text()),
            mark: self.part.text(),
        }
    }

    /// Moves past a part that has been read.
    fn go_on(&mut self, version: u64) {
        self.part = Part {
            version,
            is_all: false,
            begin: self.offset,
        };
        if version.is_multiple_of(ANCHOR_EVERY) {
            self.anchor = self.part;
        }
    }
}

/// Nobody takes chunks any more.
struct NobodyListens;

enum Failed {
    Fault(Fault),
    NobodyListens,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Failed::Fault(fault)
    }
}

impl From<NobodyListens> for Failed {
    fn from(_: NobodyListens) -> Self {
        Failed::NobodyListens
    }
}

impl Reader {
    /// Reads until told to stop or nobody listens. The table is one partition, which the first worker reads.
    pub fn run(self, chunks: &Sender<Chunk>) {
        if self.worker != 0 {
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                let text = format!("cannot be read: {error}");
                return self.status.update(|it| {
                    it.tell(0, false, Some(text));
                });
            }
        };
        let place = self.stored.get(PARTITION).and_then(Place::parse);
        let mut reading = Reading {
            reader: self,
            chunks: chunks.clone(),
            table: None,
            place,
            told_end: false,
            looks: 0,
            looked_later: None,
        };
        // The one thing that ends it from inside: the worker is gone, and has said why.
        let _ = runtime.block_on(reading.run());
    }
}

struct Reading {
    reader: Reader,
    chunks: Sender<Chunk>,
    /// The table, of which the log is asked.
    table: Option<DeltaTable>,
    place: Option<Place>,
    told_end: bool,
    looks: u64,
    looked_later: Option<Instant>,
}

impl Reading {
    async fn run(&mut self) -> Result<(), NobodyListens> {
        if let Some(place) = &self.place {
            let next = place.position();
            self.reader.status.update(|it| {
                it.partitions
                    .entry(PARTITION.0)
                    .or_default()
                    .name
                    .clone_from(&self.reader.table.path);
            });
            self.reader.status.advance(PARTITION, &next, None);
            self.send(Chunk::empty(PARTITION, next, None))?;
        }
        while !self.reader.stop.load(Ordering::Acquire) {
            let asked = self.reader.look_again.asked();
            if self.looks < asked {
                self.looks = asked;
                self.told_end = false;
            }
            let pause = match self.step().await {
                Ok(true) => {
                    self.tell(true, None);
                    continue;
                }
                Ok(false) => {
                    self.tell(true, None);
                    LOOK_EVERY
                }
                Err(Failed::NobodyListens) => return Err(NobodyListens),
                Err(Failed::Fault(Fault::Away(text))) => {
                    self.table = None;
                    self.tell(false, Some(text));
                    RETRY_EVERY
                }
                Err(Failed::Fault(Fault::Refused(text))) => {
                    self.tell(true, Some(text));
                    RETRY_EVERY
                }
                Err(Failed::Fault(Fault::Gone(reason))) => match self.give_up(reason).await {
                    Ok(()) => continue,
                    Err(Failed::NobodyListens) => return Err(NobodyListens),
                    Err(Failed::Fault(
                        Fault::Away(text) | Fault::Refused(text) | Fault::Gone(text),
                    )) => {
                        self.table = None;
                        self.tell(false, Some(text));
                        RETRY_EVERY
                    }
                },
            };
            let until = Instant::now() + pause;
            while Instant::now() < until && !self.reader.stop.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if self.looks < self.reader.look_again.asked() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn tell(&self, connected: bool, problem: Option<String>) {
        let path = &self.reader.table.path;
        let problem = problem.map(|it| format!("{path}: {it}"));
        self.reader.status.update(|it| {
            let text = problem.clone();
            if it.tell(0, connected, problem) {
                let text = text.unwrap_or_default();
                tracing::warn!("a Delta table cannot be read: {text}");
            }
        });
    }

    /// Reads a version; false if there is none.
    async fn step(&mut self) -> Result<bool, Failed> {
        let newest = match &self.table {
            Some(table) => table.clone(),
            None => {
                let table = self.reader.table.at(None).await?;
                self.table.insert(table).clone()
            }
        };
        let place = match self.place.clone() {
            Some(place) => place,
            None => {
                if let Err(fault) = self.reader.table.check_columns(&newest) {
                    // They may come with a later version.
                    self.table = None;
                    return Err(fault.into());
                }
                let version = newest.version().unwrap_or(0);
                let place = Place::begin(Table::id(&newest)?, version, 0);
                self.reader.status.update(|it| {
                    let known = it.partitions.entry(PARTITION.0).or_default();
                    known.name.clone_from(&self.reader.table.path);
                });
                self.place.insert(place).clone()
            }
        };
        let part = place.part;
        let id = Table::id(&newest)?;
        if id != place.id {
            return Err(Fault::Refused(format!(
                "there is another table now, of id {id}; the one that was read has {}. Move it to a path of its own, and declare a source for it",
                place.id
            ))
            .into());
        }
        let mut records = Numbered::new(part.begin, place.offset, i64::MAX);
        if part.is_all {
            let table = self.reader.table.clone();
            let version = match table.at(Some(part.version)).await {
                Ok(it) => it,
                Err(_) if table.entry(&newest, part.version).await?.is_none() => {
                    return Err(Fault::Gone(format!(
                        "version {} is no longer in the log",
                        part.version
                    ))
                    .into());
                }
                Err(fault) => return Err(fault.into()),
            };
            let mut listens = true;
            let this = &mut *self;
            let mut add = |lines: Vec<u8>| {
                records.add(&lines);
                if CHUNK_BYTES <= records.raw.data.len() {
                    listens = this.hand_over(records.take()).is_ok();
                }
                listens
            };
            table.all(&version, &mut add).await?;
            if !listens {
                return Err(Failed::NobodyListens);
            }
        } else {
            let changes = self.reader.table.changes(&newest, &place.id, part.version);
            let Some(lines) = changes.await? else {
                return self.at_end(&newest, part.version).await;
            };
            for line in split(&lines) {
                records.add(line);
                if CHUNK_BYTES <= records.raw.data.len() {
                    self.hand_over(records.take())?;
                }
            }
        }
        self.finish(records.take(), part.version + 1)?;
        Ok(true)
    }

    /// All versions were read. That is told once, and that the next one will never come, if later ones are there.
    async fn at_end(&mut self, newest: &DeltaTable, version: u64) -> Result<bool, Failed> {
        if !self.told_end {
            self.told_end = true;
            if let Some(place) = &self.place {
                let next = place.position();
                let end = Some(place.offset);
                self.reader.status.advance(PARTITION, &next, end);
                let mut chunk = Chunk::empty(PARTITION, next, None);
                chunk.at_end = true;
                self.send(chunk)?;
            }
        }
        let is_due = self
            .looked_later
            .is_none_or(|it| LATER_EVERY <= it.elapsed());
        if is_due {
            self.looked_later = Some(Instant::now());
            let table = &self.reader.table;
            if let Some(later) = table.later(newest, version).await?
                // It may have come meanwhile.
                && table.entry(newest, version).await?.is_none()
            {
                return Err(Fault::Gone(format!(
                    "versions {version} to {} are no longer in the log",
                    later - 1
                ))
                .into());
            }
        }
        Ok(false)
    }

    /// Goes on behind what is gone: with all rows of the newest version, which take the place of those of their keys, or with what comes after it.
    async fn give_up(&mut self, reason: String) -> Result<(), Failed> {
        let table = self.reader.table.clone();
        let newest = table.at(None).await?;
        let Some(place) = self.place.clone() else {
            return Ok(());
        };
        let version = newest.version().unwrap_or(0);
        let from = place.offset;
        let (mut next, goes_on) = match table.has_key {
            true => (
                Place::begin(place.id.clone(), version, from + 1),
                format!(
                    "all rows of version {version} follow; rows that were removed before it, and are not known, stay"
                ),
            ),
            false => {
                let is_there =
                    !place.part.is_all && table.entry(&newest, place.part.version).await?.is_some();
                let next = if is_there {
                    place.part.version + 1
                } else {
                    version + 1
                };
                let mut begun = Place {
                    offset: from + 1,
                    ..place.clone()
                };
                begun.go_on(next);
                begun.anchor = begun.part;
                (begun, format!("version {next} follows"))
            }
        };
        next.offset = from + 1;
        let gap = Gap {
            partition: PARTITION.0,
            from,
            to: from + 1,
            reason: format!("{}: {reason}; {goes_on}", table.path),
            noticed_ms: wall_ms(),
        };
        tracing::error!("{}", gap.reason);
        self.reader.status.note(gap.clone());
        let position = next.position();
        self.place = Some(next);
        self.table = Some(newest);
        self.told_end = false;
        self.reader.status.advance(PARTITION, &position, None);
        self.send(Chunk::empty(PARTITION, position, Some(gap)))?;
        Ok(())
    }

    /// Hands over rows of a version of which there are more.
    fn hand_over(&mut self, records: RawRecords) -> Result<(), NobodyListens> {
        self.pass_on(records, None)
    }

    /// Hands over the last rows of a version.
    fn finish(&mut self, records: RawRecords, next: u64) -> Result<(), NobodyListens> {
        self.pass_on(records, Some(next))
    }

    fn pass_on(&mut self, records: RawRecords, next: Option<u64>) -> Result<(), NobodyListens> {
        let Some(place) = &mut self.place else {
            return Ok(());
        };
        place.offset += records.offsets.len() as i64;
        if let Some(next) = next {
            place.go_on(next);
        }
        let next = place.position();
        self.told_end = false;
        self.reader.status.advance(PARTITION, &next, None);
        self.send(Chunk {
            records,
            next,
            at_end: false,
            looks: 0,
            gap: None,
            stamps: None,
        })
    }

    fn send(&self, mut chunk: Chunk) -> Result<(), NobodyListens> {
        chunk.looks = self.looks;
        self.chunks.send(chunk).map_err(|_| NobodyListens)
    }
}

/// Lines with their offsets, of which those before a place and from another on are left out.
struct Numbered {
    at: i64,
    from: i64,
    until: i64,
    raw: RawRecords,
}

impl Numbered {
    fn new(begin: i64, from: i64, until: i64) -> Self {
        Numbered {
            at: begin,
            from,
            until,
            raw: RawRecords::empty(PARTITION),
        }
    }

    fn add(&mut self, lines: &[u8]) {
        for line in split(lines) {
            if self.from <= self.at && self.at < self.until {
                self.raw.push(self.at, line);
            }
            self.at += 1;
        }
    }

    fn take(&mut self) -> RawRecords {
        std::mem::replace(&mut self.raw, RawRecords::empty(PARTITION))
    }
}

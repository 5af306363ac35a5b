//! What a worker reads: a reader thread's chunks, decoded on the worker.

use super::{Error, Options};
use crate::engine::{self, Feed, Input, Undecoded};
use crate::lake::Manifest;
use crate::model::{Offset, Offsets};
use crate::plan::{Format, SourceSpec};
use crate::source::decode::{self, DecodeOptions, Decoder};
use crate::source::{self, CHUNKS_AHEAD, Chunk, SharedStatus, file, kafka};
use crate::supervise;
use crossbeam_channel::Receiver;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Which workers are of this process, among all.
pub(super) struct Share {
    pub own: Range<usize>,
    pub all: usize,
}

/// The folder that takes the place of every topic, if one was given.
pub(super) fn folder(
    options: &Options,
    manifest: &Manifest,
) -> Result<Option<Arc<file::Folder>>, Error> {
    let Some(path) = &options.input else {
        return Ok(None);
    };
    // All sources read the same files, and number them alike.
    let stored = manifest.offsets.values().next().cloned();
    let read = manifest.read.as_ref().and_then(|it| it.values().next());
    let former = read.into_iter().flatten().flat_map(|(partition, read)| {
        let origins = read.origins.iter();
        origins.map(|it| (*partition, it.as_str()))
    });
    Ok(Some(file::Folder::open(
        path,
        &stored.unwrap_or_default(),
        former,
    )?))
}

/// One feed per worker of this process, each with its reader thread.
pub(super) fn open(
    spec: &SourceSpec,
    share: Share,
    folder: Option<&Arc<file::Folder>>,
    stored: &Offsets,
    status: &SharedStatus,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Box<dyn Feed>>, Error> {
    let workers = share.all;
    let topic = match folder {
        Some(_) => None,
        None => Some(kafka::Topic::from_options(&spec.name, &spec.options)?),
    };
    let mut feeds: Vec<Box<dyn Feed>> = Vec::new();
    for worker in share.own {
        let (sender, chunks) = crossbeam_channel::bounded(CHUNKS_AHEAD);
        let (stored, status, stop) = (stored.clone(), status.clone(), Arc::clone(stop));
        let name = format!("read-{}-{worker}", spec.name);
        let spawned = match (folder, &topic) {
            (Some(folder), _) => {
                let folder = Arc::clone(folder);
                let reader = file::Reader {
                    folder,
                    worker,
                    workers,
                    stored,
                    status,
                    stop,
                };
                supervise::thread(name, move || reader.run(&sender))
            }
            (None, Some(topic)) => {
                let reader = kafka::Reader {
                    topic: topic.clone(),
                    worker,
                    workers,
                    stored,
                    status,
                    stop,
                };
                let reading = reader.open()?;
                supervise::thread(name, move || reading.run(&sender))
            }
            (None, None) => return Ok(feeds),
        };
        spawned.map_err(|it| Error::Engine(format!("could not start a reader thread: {it}")))?;
        feeds.push(Box::new(DecodingFeed {
            decoder: decoder(spec)?,
            chunks,
        }));
    }
    Ok(feeds)
}

/// The decoder of a source.
///
/// # Errors
/// If a column cannot be read from the format.
pub fn decoder(spec: &SourceSpec) -> Result<Decoder, Error> {
    let columns: Vec<decode::Column> = spec
        .columns
        .iter()
        .map(|it| decode::Column {
            name: it.name.clone(),
            data_type: it.data_type.clone(),
            nullable: it.nullable,
        })
        .collect();
    let wrong = |reason: String| {
        Error::Source(source::Error::Option {
            name: spec.name.clone(),
            reason,
        })
    };
    let zone = match spec.option("timezone") {
        Some(text) => decode::Zone::parse(text).map_err(wrong)?,
        None => decode::Zone::default(),
    };
    let options = DecodeOptions {
        zone,
        event_time: spec.event_time.map(|it| it.column),
    };
    let format = match spec.format {
        Format::Json => decode::Format::Json,
        Format::AccessLog => decode::Format::AccessLog,
    };
    Decoder::new(format, &columns, options).map_err(wrong)
}

struct DecodingFeed {
    decoder: Decoder,
    chunks: Receiver<Chunk>,
}

impl Feed for DecodingFeed {
    fn next(&mut self) -> Option<Input> {
        let Chunk {
            records,
            next,
            at_end,
            gap,
        } = self.chunks.try_recv().ok()?;
        let decoded = self.decoder.decode(&records);
        // What was gone before it could be read is a dead letter too, so that it is said where everyone can look it up.
        let missing = gap.into_iter().map(|it| Undecoded {
            offset: it.from,
            raw: Vec::new(),
            reason: it.reason,
        });
        let undecoded = decoded
            .dead_letters
            .into_iter()
            .map(|it| Undecoded {
                offset: it.offset,
                raw: it.raw,
                reason: it.reason,
            })
            .chain(missing)
            .collect();
        Some(Input {
            partition: records.partition,
            records: decoded.batch,
            kind: engine::Records::Read,
            newest_us: decoded.max_event_time,
            undecoded,
            from: records
                .offsets
                .first()
                .map_or(next.offset, |it| Offset(*it)),
            next,
            bytes: records.data.len() as u64,
            checksum: records.checksum(),
            at_end,
        })
    }
}

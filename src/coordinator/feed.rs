//! What a worker reads: a reader thread's chunks, decoded on the worker.

use super::Error;
use crate::engine::{self, Feed, Input, Undecoded};
use crate::lake::{Manifest, Store};
use crate::model::{Offset, Offsets, Readers, iso_of_micros, ms_to_us, wall_ms, with_causes};
use crate::plan::{
    ColumnSpec, DELETED_COLUMN, EventTime, Format, OFFSET_COLUMN, OnAhead, SourceSpec,
};
use crate::source::decode::{
    self, DeadLetter, DecodeOptions, Decoded, Decoder, GeneratedColumn, RawRecords,
};
use crate::source::framing::Framing;
use crate::source::place::Place;
use crate::source::{self, CHUNKS_AHEAD, Chunk, LookAgain, SharedStatus, delta, file, kafka, push};
use crate::supervise;
use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use crossbeam_channel::Receiver;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Which workers are of this process, among all.
pub(super) struct Share {
    pub own: Range<usize>,
    pub all: usize,
}

/// What the readers of a source share.
pub(super) enum Origin {
    Topic(kafka::Topic),
    Folder(Arc<file::Folder>),
    Delta(delta::Table),
    Pushed(push::Inbox),
}

impl Origin {
    pub fn folder(&self) -> Option<Arc<file::Folder>> {
        match self {
            Origin::Folder(folder) => Some(Arc::clone(folder)),
            Origin::Topic(_) | Origin::Delta(_) | Origin::Pushed(_) => None,
        }
    }

    pub fn inbox(&self) -> Option<push::Inbox> {
        match self {
            Origin::Pushed(inbox) => Some(inbox.clone()),
            Origin::Topic(_) | Origin::Folder(_) | Origin::Delta(_) => None,
        }
    }
}

/// Opens the place of a source. Files keep the partition numbers that the manifest has of them.
pub(super) fn origin(
    spec: &SourceSpec,
    place: &Place,
    manifest: &Manifest,
    status: &SharedStatus,
) -> Result<Origin, Error> {
    let source = &spec.name;
    let location = match place {
        Place::Topic(topic) => return Ok(Origin::Topic((**topic).clone())),
        Place::Delta(path) => return Ok(Origin::Delta(delta_table(spec, path))),
        Place::Http => {
            let inbox = push::Inbox::new(decoder(spec)?, status.clone());
            return Ok(Origin::Pushed(inbox));
        }
        Place::Files(location) => {
            let is_of_parquet = spec.format == Format::Parquet;
            location.clone().of_parquet(is_of_parquet)
        }
    };
    let stored = manifest.offsets.get(source).cloned().unwrap_or_default();
    let read = manifest.read.as_ref().and_then(|it| it.get(source));
    let former = read.into_iter().flatten().flat_map(|(partition, read)| {
        let origins = read.origins.iter();
        origins.map(|it| (*partition, it.as_str()))
    });
    let folder = file::Folder::open(location, &stored, former)?;
    Ok(Origin::Folder(folder))
}

/// One feed per worker of this process, each with its reader thread.
pub(super) fn open(
    spec: &SourceSpec,
    share: Share,
    origin: &Origin,
    stored: &Offsets,
    status: &SharedStatus,
    live: &Arc<Readers>,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Box<dyn Feed>>, Error> {
    let (workers, first_worker) = (share.all, share.own.start);
    let mut feeds: Vec<Box<dyn Feed>> = Vec::new();
    for worker in share.own {
        let (sender, chunks) = crossbeam_channel::bounded(CHUNKS_AHEAD);
        let (stored, status, stop) = (stored.clone(), status.clone(), Arc::clone(stop));
        let live = Arc::clone(live);
        let name = format!("read-{}-{worker}", spec.name);
        let asking = LookAgain::default();
        let look_again = asking.clone();
        let spawned = match origin {
            Origin::Folder(folder) => {
                let folder = Arc::clone(folder);
                let reader = file::Reader {
                    folder,
                    framing: framing(spec),
                    worker,
                    workers,
                    stored,
                    status,
                    look_again,
                    live,
                    stop,
                };
                supervise::thread(name, move || reader.run(&sender))
            }
            Origin::Delta(table) => {
                let reader = delta::Reader {
                    table: table.clone(),
                    worker,
                    stored,
                    status,
                    look_again,
                    stop,
                };
                supervise::thread(name, move || reader.run(&sender))
            }
            Origin::Pushed(inbox) => {
                let reader = push::Reader {
                    inbox: inbox.clone(),
                    worker,
                    first_worker,
                    stored,
                    status,
                    look_again,
                    stop,
                };
                supervise::thread(name, move || reader.run(&sender))
            }
            Origin::Topic(topic) => {
                let reader = kafka::Reader {
                    topic: topic.clone(),
                    worker,
                    workers,
                    stored,
                    status,
                    look_again,
                    live,
                    stop,
                };
                let reading = reader.open()?;
                supervise::thread(name, move || reading.run(&sender))
            }
        };
        spawned.map_err(|it| Error::Engine(format!("could not start a reader thread: {it}")))?;
        feeds.push(Box::new(DecodingFeed {
            decoder: decoder(spec)?,
            refused_ahead: spec
                .event_time
                .filter(|it| it.on_ahead == OnAhead::DeadLetter),
            chunks,
            look_again: asking,
        }));
    }
    Ok(feeds)
}

/// The Delta table of a source, which is opened like those of a lake.
pub(crate) fn delta_table(spec: &SourceSpec, path: &str) -> delta::Table {
    let columns = spec.columns.iter().filter(|it| it.generated.is_none());
    let columns = columns.filter(|it| it.name != DELETED_COLUMN);
    delta::Table {
        path: path.to_owned(),
        has_key: spec.key.is_some(),
        columns: columns.map(|it| it.written.clone()).collect(),
        open: Arc::new(|path, version| {
            let path = path.trim_end_matches('/').to_owned();
            let opened = async move {
                let (parent, name) = path.rsplit_once('/').unwrap_or((".", &path));
                let parent = if parent.is_empty() { "/" } else { parent };
                let store = Store::open_existing(parent).map_err(|it| with_causes(&it))?;
                let table = match version {
                    Some(version) => store.open_delta_at(name, version).await,
                    None => store.open_delta(name).await,
                };
                table.map_err(|it| with_causes(&it))
            };
            Box::pin(opened)
        }),
    }
}

/// How the records of a source lie in files.
pub(crate) fn framing(spec: &SourceSpec) -> Framing {
    match &spec.format {
        Format::Json | Format::AccessLog | Format::Debezium | Format::Delta => Framing::Lines,
        Format::Parquet => Framing::Rows,
        Format::Csv(csv) => Framing::Csv(csv.clone()),
    }
}

/// The decoder of a source.
///
/// # Errors
/// If a column cannot be read from the format.
pub fn decoder(spec: &SourceSpec) -> Result<Decoder, Error> {
    let is_read = |it: &&ColumnSpec| it.generated.is_none();
    // Of a column that is read, among these.
    let place = |column: usize| spec.columns[..column].iter().filter(is_read).count();
    let columns: Vec<decode::Column> = spec
        .columns
        .iter()
        .filter(is_read)
        .map(|it| decode::Column {
            name: it.name.clone(),
            written: it.written.clone(),
            data_type: it.data_type.clone(),
            nullable: it.nullable,
            is_json: it.is_json,
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
    let event_time = spec.event_time.map(|it| it.column);
    let options = DecodeOptions {
        zone,
        event_time: event_time
            .filter(|it| spec.columns[*it].generated.is_none())
            .map(place),
        versions: spec.key.as_ref().map(|it| decode::Versions {
            key: it.columns.iter().map(|it| place(*it)).collect(),
            always: it.tells_row().map(place).collect(),
            deleted: columns.len() - 1,
        }),
    };
    let format = match &spec.format {
        Format::Json | Format::Parquet | Format::Delta => decode::Format::Json,
        Format::Debezium => decode::Format::Debezium,
        Format::AccessLog => decode::Format::AccessLog,
        Format::Csv(csv) => decode::Format::Csv(csv.clone()),
    };
    let read = spec.columns.iter().filter(is_read).enumerate();
    let defaults = read.filter_map(|(place, it)| Some((place, it.default.clone()?)));
    let decoder = Decoder::new(format, &columns, options)
        .and_then(|it| it.with_defaults(defaults.collect()))
        .map_err(wrong)?;
    if spec.columns.iter().all(|it| it.generated.is_none()) {
        return Ok(decoder);
    }
    let mut generated = Vec::new();
    for (place, column) in spec.columns.iter().enumerate() {
        let Some(by) = &column.generated else {
            continue;
        };
        let by = by.over(&decoder.schema()).map_err(wrong)?;
        generated.push(GeneratedColumn {
            name: column.name.clone(),
            data_type: column.data_type.clone(),
            nullable: column.nullable,
            place,
            compute: Box::new(move |records| by.values(records)),
        });
    }
    Ok(decoder.with_generated(generated, event_time))
}

struct DecodingFeed {
    decoder: Decoder,
    /// Records too far ahead of the wall clock become dead letters, by this event time.
    refused_ahead: Option<EventTime>,
    chunks: Receiver<Chunk>,
    look_again: LookAgain,
}

impl Feed for DecodingFeed {
    fn next(&mut self) -> Option<Input> {
        let Chunk {
            records,
            next,
            at_end,
            looks,
            gap,
            stamps,
        } = self.chunks.try_recv().ok()?;
        let mut decoded = self.decoder.decode(&records);
        if let Some(event_time) = self.refused_ahead {
            refuse_ahead(&mut decoded, &records, event_time, wall_ms());
        }
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
            stamps,
            // What was said before the reader was asked to look again does not count.
            at_end: at_end && self.look_again.asked() <= looks,
        })
    }

    fn look_again(&mut self) {
        self.look_again.ask();
    }
}

/// Makes dead letters of decoded records that are further ahead of the wall clock than their source allows.
fn refuse_ahead(decoded: &mut Decoded, records: &RawRecords, event_time: EventTime, now_ms: u64) {
    let limit = ms_to_us(now_ms).saturating_add(event_time.lead_us);
    if decoded.max_event_time.is_none_or(|it| it <= limit) {
        return;
    }
    let times = decoded.batch.column(event_time.column).clone();
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let offsets = decoded.batch.column_by_name(OFFSET_COLUMN).cloned();
    let offsets = offsets.expect("decoded records have their offsets");
    let offsets = offsets.as_primitive::<Int64Type>();
    let kept: BooleanArray = times
        .iter()
        .map(|it| Some(it.is_none_or(|it| it <= limit)))
        .collect();
    for (offset, time) in offsets.values().iter().zip(times.iter()) {
        let Some(time) = time.filter(|it| limit < *it) else {
            continue;
        };
        let at = records.offsets.partition_point(|it| it < offset);
        let start = at.checked_sub(1).map_or(0, |it| records.ends[it] as usize);
        decoded.dead_letters.push(DeadLetter {
            partition: records.partition,
            offset: *offset,
            raw: records.letter(&records.data[start..records.ends[at] as usize]),
            reason: format!(
                "its time {} is more than {} s ahead of the wall clock; correct the clock of its producer, or raise max_event_time_lead",
                iso_of_micros(time),
                event_time.lead_us as f64 / 1e6
            ),
        });
    }
    decoded.dead_letters.sort_by_key(|it| it.offset);
    decoded.max_event_time = times.iter().flatten().filter(|it| *it <= limit).max();
    decoded.batch = filter_record_batch(&decoded.batch, &kept)
        .expect("the filter has as many rows as the batch");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Partition;

    #[tokio::test]
    async fn records_too_far_ahead_are_dead_letters_where_that_is_set() {
        let text = "CREATE SOURCE s (at TIMESTAMP NOT NULL, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
          WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's', on_event_time_ahead = 'dead_letter', max_event_time_lead = '3 seconds') FORMAT JSON;
        CREATE TABLE logs AS SELECT at FROM s;";
        let dataflow = crate::sql::plan_text("test", text, |_| None).await;
        let dataflow = dataflow.expect("the dataflow can be planned");
        let spec = &dataflow.sources[0];
        let lines: Vec<String> = [1, 4, 5, 9].map(|at| format!("{{\"at\": {at}}}")).to_vec();
        let mut records = RawRecords {
            partition: Partition(0),
            data: Vec::new(),
            ends: Vec::new(),
            offsets: vec![3, 4, 6, 9],
            header: None,
        };
        for line in &lines {
            records.data.extend_from_slice(line.as_bytes());
            records.ends.push(records.data.len() as u32);
        }
        let mut decoded = decoder(spec).expect("it decodes JSON").decode(&records);
        let event_time = spec.event_time.expect("it has one");
        refuse_ahead(&mut decoded, &records, event_time, 1_000);
        assert_eq!(decoded.batch.num_rows(), 2);
        assert_eq!(decoded.max_event_time, Some(4_000_000));
        let letters = decoded
            .dead_letters
            .iter()
            .map(|it| (it.offset, it.raw.clone()));
        let expected = [
            (6, lines[2].clone().into_bytes()),
            (9, lines[3].clone().into_bytes()),
        ];
        assert_eq!(letters.collect::<Vec<_>>(), expected);
        let reason = &decoded.dead_letters[0].reason;
        assert!(
            reason.contains("more than 3 s ahead of the wall clock"),
            "{reason}"
        );
    }

    /// What a source of these columns makes of lines of JSON: the columns without those of the engine, and its dead letters.
    async fn decoded(columns: &str, lines: &[&str]) -> (String, Vec<(i64, String)>, Option<i64>) {
        let text = format!(
            "CREATE SOURCE s ({columns}) WITH (connector = 'files', path = 'in') FORMAT JSON;
             CREATE TABLE logs AS SELECT * FROM s;"
        );
        let dataflow = crate::sql::plan_text("test", &text, |_| None).await;
        let dataflow = dataflow.expect("the dataflow can be planned");
        let mut records = RawRecords::empty(Partition(0));
        for (offset, line) in lines.iter().enumerate() {
            records.push(offset as i64, line.as_bytes());
        }
        let mut decoder = decoder(&dataflow.sources[0]).expect("it decodes JSON");
        let decoded = decoder.decode(&records);
        assert_eq!(decoded.batch.schema(), decoder.schema());
        let own = decoded.batch.num_columns() - 2;
        let own: Vec<usize> = (0..own).collect();
        let batch = decoded.batch.project(&own).expect("they are there");
        let rows = arrow::util::pretty::pretty_format_batches(&[batch]);
        let rows = rows.expect("rows can be shown").to_string();
        let rows = rows.lines().filter(|it| it.starts_with('|')).skip(1);
        let rows: Vec<&str> = rows.collect();
        for letter in &decoded.dead_letters {
            assert_eq!(letter.raw, lines[letter.offset as usize].as_bytes());
        }
        let letters = decoded.dead_letters.into_iter();
        let letters = letters.map(|it| (it.offset, it.reason));
        (rows.join("\n"), letters.collect(), decoded.max_event_time)
    }

    #[tokio::test]
    async fn generated_columns_are_computed_where_they_are_declared() {
        let columns = "cost AS price * pieces, price INT, b INT GENERATED ALWAYS AS (pieces + 1) STORED, pieces INT, c TEXT AS CAST(price AS TEXT) VIRTUAL";
        let lines = [
            r#"{"price": 2, "pieces": 3, "cost": 100}"#,
            r#"{"price": 2}"#,
        ];
        let (rows, letters, _) = decoded(columns, &lines).await;
        assert_eq!(
            rows,
            "| 6    | 2     | 4 | 3      | 2 |\n|      | 2     |   |        | 2 |"
        );
        assert!(letters.is_empty(), "{letters:?}");
    }

    /// One record for which an expression fails does not take the others of its slice with it.
    #[tokio::test]
    async fn records_whose_generated_columns_fail_are_dead_letters() {
        let columns = "a TEXT, b INT GENERATED ALWAYS AS (CAST(a AS INT)) STORED NOT NULL";
        let lines = [
            r#"{"a": "1"}"#,
            r#"{"a": "x"}"#,
            r#"{"a": null}"#,
            "{",
            r#"{"a": "4"}"#,
        ];
        let (rows, letters, _) = decoded(columns, &lines).await;
        assert_eq!(rows, "| 1 | 1 |\n| 4 | 4 |");
        let offsets: Vec<i64> = letters.iter().map(|it| it.0).collect();
        assert_eq!(offsets, [1, 2, 3]);
        assert!(
            letters[0].1.starts_with("generated column \"b\": "),
            "{letters:?}"
        );
        assert_eq!(
            letters[1].1,
            "generated column \"b\" is null, but is declared NOT NULL"
        );
    }

    #[tokio::test]
    async fn event_time_may_be_generated() {
        let columns = "ms BIGINT, n INT, at AS to_timestamp_millis(ms), WATERMARK FOR at AS at - INTERVAL '5' SECOND";
        let lines = [r#"{"ms": 2000}"#, r#"{"n": 1}"#, r#"{"ms": 1000}"#];
        let (rows, letters, newest_us) = decoded(columns, &lines).await;
        assert_eq!(rows.lines().count(), 2, "{rows}");
        assert_eq!(
            letters,
            [(
                1,
                "generated column \"at\" is null, but is the event time".to_owned()
            )]
        );
        assert_eq!(newest_us, Some(2_000_000));
    }

    #[tokio::test]
    async fn a_default_is_of_records_that_lack_the_field() {
        let columns = "a INT NOT NULL DEFAULT 5, b TEXT DEFAULT 'none', c TIMESTAMP DEFAULT TIMESTAMP '2026-01-01 00:00:00', d INT DEFAULT -1 NOT NULL";
        let lines = [
            r#"{"b": null, "c": null}"#,
            r#"{"a": 1, "b": "x", "d": 2, "c": null}"#,
            r#"{"a": null}"#,
        ];
        let (rows, letters, _) = decoded(columns, &lines).await;
        let cells = |it: &str| it.split('|').map(str::trim).collect::<Vec<_>>().join("|");
        let rows: Vec<String> = rows.lines().map(cells).collect();
        assert_eq!(rows, ["|5|||-1|", "|1|x||2|"]);
        assert_eq!(
            letters,
            [(
                2,
                "field \"a\" is missing or null, but is declared NOT NULL".to_owned()
            )]
        );
    }

    #[tokio::test]
    async fn settings_of_the_lead_are_checked_where_they_are_written() {
        for (options, problem) in [
            (
                "max_event_time_lead = 'soon'",
                "max_event_time_lead 'soon' must be a time",
            ),
            (
                "on_event_time_ahead = 'drop'",
                "use 'hold' or 'dead_letter'",
            ),
        ] {
            let text = format!(
                "CREATE SOURCE s (at TIMESTAMP NOT NULL, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
                 WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's', {options}) FORMAT JSON;
                 CREATE TABLE logs AS SELECT at FROM s;"
            );
            let planned = crate::sql::plan_text("test", &text, |_| None).await;
            let error = planned.err().map(|it| it.to_string()).unwrap_or_default();
            assert!(error.contains(problem), "{error}");
        }
    }
}

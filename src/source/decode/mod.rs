//! Turns raw records into typed Arrow rows.
//!
//! A decoder is made once for a source's declared columns and then fed slices of one partition. Every record
//! ends in exactly one of two places: a row of the batch, or a dead letter that keeps its bytes untouched and
//! says in one sentence what was wrong. A record is read whole into slots before any column is touched, so a
//! bad record leaves nothing behind.
//!
//! How a value is read, for every format:
//! - Null, or missing, is null in a nullable column, and a dead letter in a `NOT NULL` or event-time column. Of a record that removes a row
//!   (`"_deleted": true`, or a message without a value) only what tells the row is needed.
//! - A value that cannot be read as the declared type is a dead letter, never a silent null.
//! - Integers accept integral floats (`200.0`) and numeric strings, and must fit the declared width.
//! - Floats accept integers and numeric strings; beyond 2^53 an integer is rounded to the nearest float.
//! - Booleans accept `true` and `false`, also as strings, and nothing else.
//! - Text accepts strings, and numbers and booleans by their text; not objects or arrays. A JSON column accepts these too, as their text.
//! - Decimals accept numbers and numeric strings, with all digits that were written; what is finer than their scale is rounded, half away
//!   from zero.
//! - Bytes accept strings: `\x` and hexadecimal digits, else the text's own bytes.
//! - Arrays accept arrays, structs accept objects, of which they take the fields they name; each value within by these rules.
//! - Where a column has a default, a record that lacks the field has that value; null is null nevertheless.
//! - A generated column is computed from the columns of its record. A record for which that fails, or gives null where null may not be, is a dead
//!   letter.
//! - Timestamps accept ISO 8601 and epoch numbers; `timestamp` says which exactly. A date accepts the same and
//!   keeps the day in UTC.
//!
//! There is no schema inference here and no fetching: bytes come in, a batch goes out.

mod access_log;
mod columns;
mod csv;
mod debezium;
mod generated;
mod json;
#[cfg(test)]
mod tests;
pub mod timestamp;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::model::Partition;
use crate::model::csv::Csv;
use columns::{Kind, Rows, Target};
use generated::Generated;
pub use generated::{Compute, GeneratedColumn};
pub use timestamp::Zone;

/// The column that holds the partition a row was read from.
pub const PARTITION_COLUMN: &str = "_partition";
/// The column that holds the offset a row was read from.
pub const OFFSET_COLUMN: &str = "_offset";
/// The member of a record, and the column, that says whether it removes the row of its key.
pub const DELETED_COLUMN: &str = "_deleted";

/// Raw records of one partition, in order: one buffer, the end of every record in it, and every record's offset.
///
/// The first record starts at byte 0 and each further one where the one before it ends.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRecords {
    pub partition: Partition,
    pub data: Vec<u8>,
    pub ends: Vec<u32>,
    pub offsets: Vec<i64>,
    /// What names the fields of these records, if that stands before them in their file.
    pub header: Option<Arc<[u8]>>,
}

/// Begins the raw record of a tombstone: a message without a value, which says that the row of its key is gone. The key follows.
const TOMBSTONE: &[u8] = b"\0tombstone\0";

impl RawRecords {
    /// No records of a partition.
    pub fn empty(partition: Partition) -> Self {
        RawRecords {
            partition,
            data: Vec::new(),
            ends: Vec::new(),
            offsets: Vec::new(),
            header: None,
        }
    }

    /// Adds a record.
    pub fn push(&mut self, offset: i64, raw: &[u8]) {
        self.data.extend_from_slice(raw);
        self.ends.push(self.data.len() as u32);
        self.offsets.push(offset);
    }

    /// Adds a message without a value, of which only the key is known.
    pub fn push_tombstone(&mut self, offset: i64, key: &[u8]) {
        self.data.extend_from_slice(TOMBSTONE);
        self.push(offset, key);
    }

    /// The bytes of a record as a dead letter keeps them: with the header, without which they say nothing.
    pub fn letter(&self, raw: &[u8]) -> Vec<u8> {
        [self.header.as_deref().unwrap_or_default(), raw].concat()
    }

    /// Sum over the records of a hash of offset and bytes: the same in any order and however they are sliced.
    pub fn checksum(&self) -> u64 {
        let mut start = 0;
        let mut sum = 0u64;
        for (end, offset) in self.ends.iter().zip(&self.offsets) {
            let raw = &self.data[start..*end as usize];
            start = *end as usize;
            // A message without a value was an empty record before its source had a key.
            let raw = if raw.starts_with(TOMBSTONE) { &[] } else { raw };
            sum = sum.wrapping_add(twox_hash::XxHash3_64::oneshot_with_seed(
                *offset as u64,
                raw,
            ));
        }
        sum
    }
}

/// A record that could not become a row: its bytes as they came, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    pub partition: Partition,
    pub offset: i64,
    pub raw: Vec<u8>,
    pub reason: String,
}

/// One declared column: its name, its type, and whether a row may lack it (`NOT NULL` is `nullable: false`).
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    /// As it is declared: the name of a record's member, with its capital letters.
    pub written: String,
    pub data_type: DataType,
    pub nullable: bool,
    /// Of a text column: whether it takes JSON of any shape, as its text.
    pub is_json: bool,
}

/// What a source decides beyond its columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecodeOptions {
    /// Where a time without a zone is taken to be.
    pub zone: Zone,
    /// The index of the event-time column. Null or unreadable there is a dead letter, even in a nullable column.
    pub event_time: Option<usize>,
    /// If records are versions of rows.
    pub versions: Option<Versions>,
}

/// Of records that are versions of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Versions {
    /// The columns of the key.
    pub key: Vec<usize>,
    /// The columns that a record has even if it removes its row; it may lack all others.
    pub always: Vec<usize>,
    /// The boolean column that says whether a record removes its row.
    pub deleted: usize,
}

/// What one slice of records became; rows and dead letters together are as many as the records.
#[derive(Debug)]
pub struct Decoded {
    /// The declared columns in order, then `_partition` and `_offset`, in the order of the records.
    pub batch: RecordBatch,
    /// The latest event time of the batch in microseconds since the epoch; none without rows or event-time column.
    pub max_event_time: Option<i64>,
    pub dead_letters: Vec<DeadLetter>,
}

/// What the bytes of one record are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// One line of a web server's access log, in common or combined form.
    AccessLog,
    /// One record of CSV, which may go over several lines.
    Csv(Csv),
    /// One envelope of Debezium in JSON.
    Debezium,
}

/// Reads records of one format into rows of one schema; keeps its buffers from slice to slice.
pub struct Decoder {
    schema: SchemaRef,
    targets: Vec<Target>,
    options: DecodeOptions,
    /// The columns of the key by name, if records are versions of rows.
    key: Vec<String>,
    reader: Reader,
    /// Columns that records do not have themselves.
    generated: Option<Generated>,
}

enum Reader {
    Json(Box<json::Reader>),
    AccessLog(access_log::Reader),
    Debezium(Box<json::Reader>),
    Csv {
        reader: Box<csv::Reader>,
        /// Keys of removed rows are JSON.
        keys: Box<json::Reader>,
    },
}

impl Decoder {
    /// Fails, with a sentence for the author of the source, when a column cannot be decoded: an unsupported
    /// type, a name used twice or reserved, an event time that is no timestamp, or a field the format has not.
    pub fn new(format: Format, columns: &[Column], options: DecodeOptions) -> Result<Self, String> {
        let targets = targets(columns, &options)?;
        let versions = options.versions.as_ref();
        let reader = match format {
            Format::Json => Reader::Json(Box::new(json::Reader::new(columns, versions))),
            Format::AccessLog => Reader::AccessLog(access_log::Reader::new(columns)?),
            Format::Debezium => {
                Reader::Debezium(Box::new(json::Reader::of_debezium(columns, versions)))
            }
            Format::Csv(csv) => Reader::Csv {
                reader: Box::new(csv::Reader::new(&csv, columns, versions)),
                keys: Box::new(json::Reader::new(columns, versions)),
            },
        };
        let may_lack = |at: usize| versions.is_some_and(|it| !it.always.contains(&at));
        let fields = columns.iter().enumerate().map(|(at, column)| {
            let nullable = column.nullable || may_lack(at);
            Field::new(&column.name, column.data_type.clone(), nullable)
        });
        let mut fields: Vec<Field> = fields.collect();
        let key = versions.iter().flat_map(|it| &it.key);
        let key = key.map(|it| columns[*it].written.clone()).collect();
        fields.push(Field::new(PARTITION_COLUMN, DataType::Int32, false));
        fields.push(Field::new(OFFSET_COLUMN, DataType::Int64, false));
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            targets,
            options,
            key,
            reader,
            generated: None,
        })
    }

    /// The same decoder with what a record has that lacks a field, by the place of the column: null is null nevertheless.
    ///
    /// # Errors
    /// If a text is no value of its column.
    pub fn with_defaults(mut self, defaults: Vec<(usize, String)>) -> Result<Self, String> {
        for (place, text) in defaults {
            self.targets[place].default = Some(text);
            self.targets[place].missing(self.options.zone)?;
        }
        Ok(self)
    }

    /// The same decoder with columns that are computed from those of each record, in the order of their places. `event_time` is the
    /// event-time column among all of them, of whichever kind it is: null there is a dead letter.
    pub fn with_generated(self, columns: Vec<GeneratedColumn>, event_time: Option<usize>) -> Self {
        let deleted = self.options.versions.as_ref().map(|it| it.deleted);
        let generated = Generated::new(columns, &self.schema, event_time, deleted);
        Self {
            generated: Some(generated),
            ..self
        }
    }

    /// The schema of every batch: the declared columns, then `_partition` and `_offset`.
    pub fn schema(&self) -> SchemaRef {
        match &self.generated {
            Some(generated) => generated.schema(),
            None => self.schema.clone(),
        }
    }

    /// Decodes one slice. No records give a batch without rows; the same records always give the same answer.
    pub fn decode(&mut self, records: &RawRecords) -> Decoded {
        let RawRecords { data, ends, .. } = records;
        assert_eq!(
            ends.len(),
            records.offsets.len(),
            "every record has an end and an offset"
        );
        assert!(
            i32::try_from(data.len()).is_ok(),
            "a slice of {} bytes is more than a text column can hold",
            data.len()
        );
        let mut rows = Rows::new(&self.targets, ends.len(), self.options.event_time);
        let mut dead_letters = Vec::new();
        let mut start = 0;
        for (&end, &offset) in ends.iter().zip(&records.offsets) {
            let raw = without_line_end(&data[start..end as usize]);
            start = end as usize;
            let zone = self.options.zone;
            let removed = raw.strip_prefix(TOMBSTONE);
            let (raw, removed) = match (removed, &self.options.versions) {
                (Some(_), None) => (&raw[..0], None),
                (removed, _) => (raw, removed),
            };
            let outcome = match (&mut self.reader, removed) {
                // Delimiters may be blanks.
                (Reader::Csv { reader, .. }, None) if !raw.is_empty() => {
                    let header = records.header.as_ref();
                    reader.read(header, raw, &self.targets, zone, &mut rows)
                }
                (_, None) if raw.trim_ascii().is_empty() => Err("empty record".to_owned()),
                (Reader::Debezium(reader), None) => debezium::record(raw, &self.key)
                    .and_then(|row| reader.read(&row, &self.targets, zone, &mut rows)),
                (Reader::Debezium(reader), Some(of)) => removal(&debezium::key(of), &self.key)
                    .and_then(|raw| reader.read(&raw, &self.targets, zone, &mut rows)),
                (Reader::Json(reader), None) => reader.read(raw, &self.targets, zone, &mut rows),
                (Reader::Json(reader) | Reader::Csv { keys: reader, .. }, Some(of)) => {
                    removal(of, &self.key)
                        .and_then(|raw| reader.read(&raw, &self.targets, zone, &mut rows))
                }
                (Reader::Csv { .. }, None) => Err("empty record".to_owned()),
                (Reader::AccessLog(reader), _) => reader.read(raw, &self.targets, zone, &mut rows),
            };
            match outcome {
                Ok(()) => rows.number(offset),
                Err(reason) => dead_letters.push(DeadLetter {
                    partition: records.partition,
                    offset,
                    raw: records.letter(raw),
                    reason,
                }),
            }
        }
        let max_event_time = rows.max_event_time();
        let batch = rows.finish(self.schema.clone(), records.partition.0);
        let decoded = Decoded {
            batch,
            max_event_time,
            dead_letters,
        };
        match &self.generated {
            Some(generated) => generated.add(decoded, records),
            None => decoded,
        }
    }
}

/// The record that says what a tombstone says: its key, as an object or, if it has one column, as this column's value, and that it removes the row.
fn removal(raw: &[u8], key: &[String]) -> Result<Vec<u8>, String> {
    let mut members = match serde_json::from_slice::<serde_json::Value>(raw) {
        Ok(serde_json::Value::Object(members)) => members,
        value => {
            let [column] = key else {
                let text = String::from_utf8_lossy(raw);
                return Err(format!(
                    "a message without a value has the key {text:?}, which is no JSON object with {}",
                    key.join(", ")
                ));
            };
            let value = match (value, std::str::from_utf8(raw)) {
                (Ok(value), _) => value,
                (Err(_), Ok(text)) => serde_json::Value::String(text.to_owned()),
                (Err(_), Err(_)) => {
                    return Err("a message without a value has a key that is not UTF-8".to_owned());
                }
            };
            serde_json::Map::from_iter([(column.clone(), value)])
        }
    };
    members.insert(DELETED_COLUMN.to_owned(), true.into());
    Ok(serde_json::Value::Object(members).to_string().into_bytes())
}

/// A record's line end, if it has one, is not part of it.
fn without_line_end(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}

fn targets(columns: &[Column], options: &DecodeOptions) -> Result<Vec<Target>, String> {
    if let Some(index) = options.event_time {
        let Some(column) = columns.get(index) else {
            let count = columns.len();
            return Err(format!(
                "the event-time column is number {index} of only {count} columns"
            ));
        };
        if Kind::of(&column.data_type) != Some(Kind::Timestamp) {
            let (name, data_type) = (&column.name, &column.data_type);
            return Err(format!(
                "event-time column {name:?} has type {data_type}, not a timestamp"
            ));
        }
    }
    let mut targets: Vec<Target> = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let name = &column.name;
        if name == PARTITION_COLUMN || name == OFFSET_COLUMN {
            return Err(format!(
                "column name {name:?} is reserved for where a record was read"
            ));
        }
        if targets.iter().any(|target| target.name == *name) {
            return Err(format!("column {name:?} is declared twice"));
        }
        let Some(kind) = Kind::of(&column.data_type) else {
            let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            return Err(format!(
                "column {name:?} has type {}, which records cannot be decoded to; \
                 use Boolean, Int32, Int64, Float64, Decimal128, Utf8, Binary, Date32, {timestamp}, \
                 or a list or struct of these",
                column.data_type
            ));
        };
        let versions = options.versions.as_ref();
        let when_null = match options.event_time == Some(index) {
            true => Some("is the event time"),
            _ if versions.is_some_and(|it| it.key.contains(&index)) => {
                Some("is of the primary key")
            }
            _ if versions.is_some_and(|it| it.always.contains(&index)) => Some("is the version"),
            false => (!column.nullable).then_some("is declared NOT NULL"),
        };
        targets.push(Target {
            name: name.clone(),
            kind: match (kind, column.is_json) {
                (Kind::Text, true) => Kind::Json,
                (kind, _) => kind,
            },
            data_type: column.data_type.clone(),
            when_null,
            default: None,
        });
    }
    Ok(targets)
}

//! Records: cut out of a file, decoded, and decoded again from what is told of them.

use crate::model::csv::Csv;
use crate::model::{Partition, Row, rows_of_batch};
use crate::source::decode::{
    Column, DELETED_COLUMN, DeadLetter, DecodeOptions, Decoder, Format, RawRecords, Versions, Zone,
};
use crate::source::file;
use crate::source::framing::Framing;
use arrow::datatypes::{DataType, Field, TimeUnit};
use std::sync::Arc;

/// So many dead letters, and rows, are decoded again one by one.
const AGAIN_MAX: usize = 16;
/// Inputs of more records are not decoded once more record by record.
const SLICES_MAX: usize = 100;
/// So much is read of a Parquet file: one that is small may have very many rows.
const LINES_BYTES_MAX: u64 = 1 << 20;
/// In a source with a key, a line that begins with it is the key of a message without a value.
const TOMBSTONE_SIGN: u8 = b'#';

/// How one source has its records.
struct Source {
    format: Format,
    framing: Framing,
    columns: Vec<Column>,
    options: DecodeOptions,
}

pub(super) fn json(data: &[u8]) -> bool {
    let options = DecodeOptions {
        zone: Zone::parse("Europe/Berlin").expect("a place of the time zone database"),
        event_time: Some(1),
        versions: None,
    };
    Source::new(Format::Json, Framing::Lines, columns(), options).check(data)
}

pub(super) fn keyed(data: &[u8]) -> bool {
    let (columns, options) = versions(columns());
    Source::new(Format::Json, Framing::Lines, columns, options).check(data)
}

pub(super) fn debezium(data: &[u8]) -> bool {
    let (columns, options) = versions(columns());
    Source::new(Format::Debezium, Framing::Lines, columns, options).check(data)
}

/// The first byte chooses the dialect.
pub(super) fn csv(data: &[u8]) -> bool {
    let Some((dialect, data)) = data.split_first() else {
        return false;
    };
    let csv = Csv {
        delimiter: match dialect & 6 {
            0 | 2 => b',',
            4 => b';',
            _ => b'\t',
        },
        header: dialect & 1 == 0,
        null: (dialect & 8 != 0).then(|| "NA".to_owned()),
    };
    let flat = columns().into_iter();
    let flat = flat.filter(|it| !it.data_type.is_nested()).collect();
    let options = DecodeOptions::default();
    Source::new(Format::Csv(csv.clone()), Framing::Csv(csv), flat, options).check(data)
}

pub(super) fn access_log(data: &[u8]) -> bool {
    let texts = [
        "ip",
        "ident",
        "user",
        "user_id",
        "request",
        "method",
        "path",
        "endpoint",
        "query",
        "protocol",
        "bytes_sent",
        "referer",
        "user_agent",
        "x_forwarded_for",
    ];
    let texts = texts.map(|it| column(it, DataType::Utf8));
    let others = [
        column("timestamp", instant()),
        column("status", DataType::Int32),
        column("status_code", DataType::Float64),
        column("bytes", DataType::Int64),
        column("response_time", DataType::Float64),
    ];
    let columns: Vec<Column> = others.into_iter().chain(texts).collect();
    let options = DecodeOptions {
        event_time: Some(0),
        ..DecodeOptions::default()
    };
    Source::new(Format::AccessLog, Framing::Lines, columns, options).check(data)
}

/// Rows of a file are lines of JSON, as far as it can be read.
pub(super) fn parquet(data: &[u8]) -> bool {
    let file = bytes::Bytes::copy_from_slice(data);
    let Ok(lines) = file::parquet::lines_of(file, LINES_BYTES_MAX) else {
        return false;
    };
    for line in lines.split_inclusive(|it| *it == b'\n') {
        // The last one may be cut.
        if line.ends_with(b"\n") {
            let row: Result<serde_json::Map<String, serde_json::Value>, _> =
                serde_json::from_slice(line);
            assert!(row.is_ok(), "{} is no row", line.escape_ascii());
        }
    }
    true
}

/// A column of each type that records are decoded to.
fn columns() -> Vec<Column> {
    let place = DataType::Struct(
        [
            Field::new("lat", DataType::Float64, true),
            Field::new("since", instant(), true),
            Field::new("name", DataType::Utf8, true),
        ]
        .into_iter()
        .collect(),
    );
    let mut columns = vec![
        Column {
            nullable: false,
            ..column("id", DataType::Int64)
        },
        column("at", instant()),
        column("flag", DataType::Boolean),
        column("status", DataType::Int32),
        column("response_time", DataType::Float64),
        column("name", DataType::Utf8),
        column("day", DataType::Date32),
        column("price", DataType::Decimal128(12, 2)),
        column("raw", DataType::Binary),
        column("tags", DataType::new_list(DataType::Utf8, true)),
        column(
            "numbers",
            DataType::new_list(DataType::Decimal128(38, 9), true),
        ),
        column("place", place),
    ];
    columns.push(Column {
        is_json: true,
        ..column("doc", DataType::Utf8)
    });
    columns
}

fn column(name: &str, data_type: DataType) -> Column {
    Column {
        name: name.to_owned(),
        written: name.to_owned(),
        data_type,
        nullable: true,
        is_json: false,
    }
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The same with a key.
fn versions(mut columns: Vec<Column>) -> (Vec<Column>, DecodeOptions) {
    columns.push(column(DELETED_COLUMN, DataType::Boolean));
    let options = DecodeOptions {
        versions: Some(Versions {
            key: vec![0],
            always: vec![0],
            deleted: columns.len() - 1,
        }),
        ..DecodeOptions::default()
    };
    (columns, options)
}

impl Source {
    fn new(format: Format, framing: Framing, columns: Vec<Column>, options: DecodeOptions) -> Self {
        Source {
            format,
            framing,
            columns,
            options,
        }
    }

    fn decoder(&self, format: Format) -> Decoder {
        let decoder = Decoder::new(format, &self.columns, self.options.clone());
        decoder.expect("these columns can be decoded")
    }

    /// Every record is a row or a dead letter, whichever slice it comes in. A dead letter stays one, and a row that is printed as JSON is read again to
    /// the same.
    fn check(&self, data: &[u8]) -> bool {
        let mut parts = self.cut(data);
        let mut records = RawRecords::empty(Partition(0));
        if self.framing.has_header() && !parts.is_empty() {
            records.header = Some(Arc::from(parts.remove(0)));
        }
        for (offset, part) in (0..).zip(&parts) {
            self.push(&mut records, offset, part);
        }
        let decoded = self.decoder(self.format.clone()).decode(&records);
        let rows = rows_of_batch(&decoded.batch);
        assert_eq!(
            rows.len() + decoded.dead_letters.len(),
            parts.len(),
            "each record is a row or a dead letter"
        );
        self.check_slices(&records, &parts, &rows, &decoded.dead_letters);
        for letter in decoded.dead_letters.iter().take(AGAIN_MAX) {
            let mut alone = RawRecords::empty(Partition(0));
            alone.push(letter.offset, &letter.raw);
            let again = self.decoder(self.format.clone()).decode(&alone);
            // A message without a value has no bytes of its own, and its key is not kept.
            assert_eq!(again.batch.num_rows(), 0, "{letter:?} became a row");
        }
        for row in rows.iter().take(AGAIN_MAX) {
            self.check_printed(row);
        }
        !rows.is_empty()
    }

    /// The records of a file, which are the same ones if it is read in two blocks.
    fn cut<'a>(&self, data: &'a [u8]) -> Vec<&'a [u8]> {
        let whole = self.framing.ends(data, true);
        let first = &data[..data.len() / 2];
        let mut ends = self.framing.ends(first, false);
        let from = ends.last().copied().unwrap_or_default();
        let rest = self.framing.ends(&data[from as usize..], true);
        ends.extend(rest.iter().map(|it| from + it));
        assert_eq!(ends, whole, "records end where they end in the whole file");
        assert!(whole.is_sorted_by(|a, b| a < b), "no record is empty");
        assert_eq!(
            whole.last().map_or(0, |it| *it as usize),
            data.len(),
            "no byte is lost"
        );
        let mut start = 0;
        let parts = whole.iter().map(|end| {
            let part = &data[start..*end as usize];
            start = *end as usize;
            part
        });
        parts.collect()
    }

    fn push(&self, records: &mut RawRecords, offset: i64, part: &[u8]) {
        match (part.split_first(), &self.options.versions) {
            (Some((&TOMBSTONE_SIGN, key)), Some(_)) => records.push_tombstone(offset, key),
            _ => records.push(offset, part),
        }
    }

    fn check_slices(
        &self,
        all: &RawRecords,
        parts: &[&[u8]],
        rows: &[Row],
        dead_letters: &[DeadLetter],
    ) {
        let mut decoder = self.decoder(self.format.clone());
        let (mut rows_alone, mut letters_alone) = (Vec::new(), Vec::new());
        if SLICES_MAX < parts.len() {
            return;
        }
        // Last to first: what a decoder remembers of other records decides nothing.
        let numbered: Vec<(i64, &&[u8])> = (0..).zip(parts).collect();
        for (offset, part) in numbered.into_iter().rev() {
            let mut alone = RawRecords::empty(Partition(0));
            alone.header = all.header.clone();
            self.push(&mut alone, offset, part);
            let decoded = decoder.decode(&alone);
            rows_alone.extend(rows_of_batch(&decoded.batch));
            letters_alone.extend(decoded.dead_letters);
        }
        rows_alone.reverse();
        letters_alone.reverse();
        assert_eq!(rows_alone, rows, "rows are the same in any slices");
        assert_eq!(letters_alone, dead_letters, "and so are dead letters");
    }

    fn check_printed(&self, row: &Row) {
        let members = self.columns.iter().zip(row.0.iter());
        let members = members.map(|(column, it)| (column.written.clone(), it.to_json()));
        let printed = serde_json::Value::Object(members.collect()).to_string();
        let mut records = RawRecords::empty(Partition(0));
        records.push(0, printed.as_bytes());
        let again = self.decoder(Format::Json).decode(&records);
        let rows = rows_of_batch(&again.batch);
        let declared = self.columns.len();
        assert_eq!(
            rows.first().map(|it| &it.0[..declared]),
            Some(&row.0[..declared]),
            "{printed} is read as another row: {:?}",
            again.dead_letters
        );
    }
}

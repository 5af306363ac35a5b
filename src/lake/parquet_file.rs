//! Rows into Parquet, and what the log says of a file: size, partition values, statistics.

use super::Error;
use super::stage::unmarked;
use crate::model::{Epoch, late_marks};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::{partition, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use serde_json::{Map, Value, json};
use std::collections::{HashSet, VecDeque};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use twox_hash::{XxHash3_64, XxHash3_128};

/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 131_072;

/// A file is closed and uploaded when it has so many bytes; the rest of the commit goes to the next one.
const FILE_BYTES_MAX: usize = 32 << 20;

/// Longer values are cut in names of folders.
const FOLDER_NAME_MAX: usize = 120;
/// The folder of rows that have no value.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// A Parquet file being written in memory, column by column: rows are encoded as they come, and their last column, if it is only
/// known later, follows.
pub(super) struct ParquetFile {
    writer: SerializedFileWriter<Vec<u8>>,
    columns_of_group: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// Of the row group at hand; empty between two.
    columns: Vec<ArrowColumnWriter>,
    /// Rows of the row group at hand.
    rows: usize,
    /// Event times of rows that lack their mark, by epoch, in the order of the rows.
    unmarked: VecDeque<(Epoch, TimestampMicrosecondArray)>,
    /// How many nulls each column has.
    nulls: Vec<usize>,
    first_leaves: Vec<usize>,
}

impl ParquetFile {
    /// An empty file for rows like the `first` ones, which tell what repeats.
    pub fn new(table: &str, schema: SchemaRef, first: &[ArrayRef]) -> Result<Self, Error> {
        let properties = properties(&schema, first);
        let (writer, columns_of_group) =
            ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(|it| failed(table, it))?;
        let nulls = vec![0; schema.fields().len()];
        Ok(ParquetFile {
            writer,
            columns_of_group,
            first_leaves: first_leaves(&schema),
            schema,
            columns: Vec::new(),
            rows: 0,
            unmarked: VecDeque::new(),
            nulls,
        })
    }

    /// Adds rows with all their columns.
    pub fn write(&mut self, table: &str, batch: &RecordBatch) -> Result<(), Error> {
        let mut start = 0;
        while start < batch.num_rows() {
            let count = (batch.num_rows() - start).min(ROW_GROUP_ROWS);
            let columns = batch.slice(start, count).columns().to_vec();
            self.encode(&columns, count)
                .map_err(|it| failed(table, it))?;
            start += count;
        }
        Ok(())
    }

    /// Adds rows of an epoch without their last column, the mark of late rows; `mark` gives it to them.
    pub fn write_unmarked(
        &mut self,
        table: &str,
        batch: &RecordBatch,
        epoch: Epoch,
        times: TimestampMicrosecondArray,
    ) -> Result<(), Error> {
        self.unmarked.push_back((epoch, times));
        self.encode(batch.columns(), batch.num_rows())
            .map_err(|it| failed(table, it))
    }

    /// Marks the rows of all epochs up to this one that came after the watermark had passed them.
    pub fn mark(&mut self, table: &str, epoch: Epoch, watermark: i64) -> Result<(), Error> {
        while let Some((_, times)) = self.unmarked.pop_front_if(|it| it.0 <= epoch) {
            let last = self.schema.fields().len() - 1;
            self.encode_column(last, &late_marks(&times, watermark))
                .map_err(|it| failed(table, it))?;
        }
        self.end_full_group().map_err(|it| failed(table, it))
    }

    /// Whether no row lacks its mark.
    pub fn is_marked(&self) -> bool {
        self.unmarked.is_empty()
    }

    fn encode(&mut self, columns: &[ArrayRef], rows: usize) -> parquet::errors::Result<()> {
        if self.columns.is_empty() {
            let group = self.writer.flushed_row_groups().len();
            self.columns = self.columns_of_group.create_column_writers(group)?;
        }
        for (at, column) in columns.iter().enumerate() {
            self.encode_column(at, column)?;
        }
        self.rows += rows;
        self.end_full_group()
    }

    fn encode_column(&mut self, at: usize, column: &ArrayRef) -> parquet::errors::Result<()> {
        self.nulls[at] += column.logical_null_count();
        let leaves = compute_leaves(self.schema.field(at), column)?;
        for (leaf, writer) in leaves
            .iter()
            .zip(&mut self.columns[self.first_leaves[at]..])
        {
            writer.write(leaf)?;
        }
        Ok(())
    }

    /// A row group ends only where all its columns do.
    fn end_full_group(&mut self) -> parquet::errors::Result<()> {
        if self.rows < ROW_GROUP_ROWS || !self.is_marked() {
            return Ok(());
        }
        self.end_group()
    }

    fn end_group(&mut self) -> parquet::errors::Result<()> {
        let mut group = self.writer.next_row_group()?;
        for column in self.columns.drain(..) {
            column.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Whether it is to be closed: it is large, and no row lacks its mark.
    pub fn is_full(&self) -> bool {
        let buffered = self.columns.iter().map(|it| it.get_estimated_total_bytes());
        let bytes = self.writer.bytes_written() + buffered.sum::<usize>();
        FILE_BYTES_MAX < bytes && self.is_marked()
    }

    /// The file and its statistics as the log wants them.
    pub fn finish(mut self, table: &str) -> Result<(Vec<u8>, String), Error> {
        if let Some((epoch, _)) = self.unmarked.front() {
            return Err(unmarked(table, *epoch));
        }
        if 0 < self.rows {
            self.end_group().map_err(|it| failed(table, it))?;
        }
        let meta = self.writer.finish().map_err(|it| failed(table, it))?;
        let statistics = statistics(&meta, &self.schema, &self.nulls);
        let bytes = std::mem::take(self.writer.inner_mut());
        Ok((bytes, statistics))
    }
}

/// The number of the first leaf of each column: a struct has one for each of its fields.
fn first_leaves(schema: &Schema) -> Vec<usize> {
    fn leaves(data_type: &DataType) -> usize {
        match data_type {
            DataType::Struct(fields) => fields.iter().map(|it| leaves(it.data_type())).sum(),
            DataType::List(item) => leaves(item.data_type()),
            _ => 1,
        }
    }
    let fields = schema.fields().iter();
    fields
        .scan(0, |next, it| {
            let first = *next;
            *next += leaves(it.data_type());
            Some(first)
        })
        .collect()
}

/// Whether the log tells bounds and nulls of a column.
fn has_statistics(field: &Field) -> bool {
    !matches!(field.data_type(), DataType::List(_) | DataType::Struct(_))
}

/// How all names of data files end.
pub(super) const SUFFIX: &str = ".zstd.parquet";

/// The name of a file, which ends with a hash of its bytes: so the log says what it holds to the last bit.
pub(super) fn name_of(label: &str, bytes: &[u8]) -> String {
    format!("{label}-{:016x}{SUFFIX}", XxHash3_64::oneshot(bytes))
}

/// Whether a file has the bytes that its name promises; names of earlier versions, and of other tools, promise nothing.
pub(super) fn is_as_named(name: &str, bytes: &[u8]) -> bool {
    let hash = name.strip_suffix(SUFFIX).and_then(|it| it.rsplit_once('-'));
    let promised = hash.and_then(|(_, it)| match it.len() {
        16 => u64::from_str_radix(it, 16).ok(),
        _ => None,
    });
    promised.is_none_or(|it| it == XxHash3_64::oneshot(bytes))
}

/// Rows and statistics of a file, told again from itself.
pub(super) fn read_again(bytes: Bytes) -> Result<(u64, Value), ParquetError> {
    let whole = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?;
    let (schema, meta) = (whole.schema().clone(), Arc::clone(whole.metadata()));
    let mut nulls = vec![0; schema.fields().len()];
    let mut unknown = Vec::new();
    let first_leaves = first_leaves(&schema);
    let told = nulls.iter_mut().enumerate();
    for (at, nulls) in told.filter(|it| has_statistics(schema.field(it.0))) {
        let leaf = first_leaves[at];
        let told = meta.row_groups().iter().map(|it| {
            let statistics = it.column(leaf).statistics();
            statistics.and_then(Statistics::null_count_opt)
        });
        match told.sum::<Option<u64>>() {
            Some(told) => *nulls = told as usize,
            None => unknown.push(at),
        }
    }
    // Columns without statistics have to be read.
    let only = ProjectionMask::roots(meta.file_metadata().schema_descr(), unknown.clone());
    for batch in whole.with_projection(only).build()? {
        for (at, column) in unknown.iter().zip(batch?.columns()) {
            nulls[*at] += column.logical_null_count();
        }
    }
    let text = statistics(&meta, &schema, &nulls);
    let told = serde_json::from_str(&text).map_err(|it| ParquetError::General(it.to_string()))?;
    let rows = meta.file_metadata().num_rows();
    let rows = u64::try_from(rows)
        .map_err(|_| ParquetError::General(format!("it says that it has {rows} rows")))?;
    Ok((rows, told))
}

fn failed(table: &str, source: ParquetError) -> Error {
    Error::Parquet {
        table: table.to_owned(),
        source,
    }
}

fn properties(schema: &Schema, first: &[ArrayRef]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for field in schema.fields() {
        // Bounds of texts are not told in the log, and files hold nearly all of a column's texts anyway.
        if matches!(field.data_type(), DataType::Utf8 | DataType::Binary) {
            let path = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        // Numbers that hardly repeat: a dictionary of them only costs.
        if matches!(field.data_type(), DataType::Int64 | DataType::Timestamp(..)) {
            let path = ColumnPath::from(field.name().as_str());
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    // Nor do texts that hardly repeat gain from one: looking each up costs far more than the bytes it saves.
    let columns = schema.fields().iter().zip(first);
    for (field, _) in columns.filter(|it| hardly_repeats(it.1)) {
        let path = ColumnPath::from(field.name().as_str());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::PLAIN);
    }
    properties.build()
}

/// Of so many texts, at least, it is told whether they repeat, and at most so many are looked at.
const SAMPLE: RangeInclusive<usize> = 64..=1_024;

/// Whether a column has texts, or bytes, most of which come once.
fn hardly_repeats(column: &ArrayRef) -> bool {
    // From all over, since rows of views come sorted.
    let apart = column.len().div_ceil(*SAMPLE.end()).max(1);
    let rows = UInt64Array::from_iter_values((0..column.len() as u64).step_by(apart));
    let Ok(sample) = take(column, &rows, None) else {
        return false;
    };
    let values: Vec<&[u8]> = match sample.data_type() {
        DataType::Utf8 => {
            let texts = sample.as_string::<i32>().iter();
            texts.flatten().map(str::as_bytes).collect()
        }
        DataType::Binary => sample.as_binary::<i32>().iter().flatten().collect(),
        _ => return false,
    };
    let different: HashSet<&[u8]> = values.iter().copied().collect();
    SAMPLE.contains(&values.len()) && values.len() < 2 * different.len()
}

/// Rows of one batch that belong to one folder.
pub(super) struct Slice {
    /// `date=2026-11-24/hour=13`, or empty.
    pub folder: String,
    /// Partition columns by name, as the log writes them.
    pub values: Map<String, Value>,
    pub rows: Range<usize>,
}

/// The schema of a table's files: partition columns are in the log, not in the file.
pub(super) fn file_schema(schema: &SchemaRef, partition_by: &[String]) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .filter(|it| !partition_by.contains(it.name()))
        .map(|it| it.as_ref().clone().with_nullable(true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The columns of a batch that are in a table's files.
pub(super) fn file_columns(batch: &RecordBatch, partition_by: &[String]) -> Vec<ArrayRef> {
    let fields = batch.schema_ref().fields().iter();
    fields
        .zip(batch.columns())
        .filter(|(field, _)| !partition_by.contains(field.name()))
        .map(|(_, column)| Arc::clone(column))
        .collect()
}

/// Cuts a batch by its partition columns. Rows come mostly in order of time, so runs of equal values are long.
pub(super) fn cut(batch: &RecordBatch, partition_by: &[String]) -> Vec<Slice> {
    if partition_by.is_empty() {
        return vec![Slice {
            folder: String::new(),
            values: Map::new(),
            rows: 0..batch.num_rows(),
        }];
    }
    let columns: Vec<ArrayRef> = partition_by
        .iter()
        .map(|it| {
            let column = batch.column_by_name(it);
            Arc::clone(column.expect("partition columns are in the table"))
        })
        .collect();
    let runs = partition(&columns).expect("partition columns can be compared");
    runs.ranges()
        .into_iter()
        .map(|rows| {
            let mut values = Map::new();
            let mut folder = Vec::new();
            for (name, column) in partition_by.iter().zip(&columns) {
                let text = text_of(column, rows.start);
                folder.push(match &text {
                    Some(text) => format!("{name}={}", folder_name(text)),
                    None => format!("{name}={NULL_FOLDER}"),
                });
                values.insert(name.clone(), text.map_or(Value::Null, Value::String));
            }
            Slice {
                folder: folder.join("/"),
                values,
                rows,
            }
        })
        .collect()
}

/// A value as part of a folder's name. Different values have different names: what cannot stand in one is told by a hash of the value.
fn folder_name(text: &str) -> String {
    let is_safe = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    if text.len() <= FOLDER_NAME_MAX && text.chars().all(is_safe) && text != NULL_FOLDER {
        return text.to_owned();
    }
    let readable = text.chars().take(FOLDER_NAME_MAX / 2);
    let readable: String = readable
        .map(|it| if is_safe(it) { it } else { '_' })
        .collect();
    format!("{readable}!{:032x}", XxHash3_128::oneshot(text.as_bytes()))
}

fn text_of(column: &ArrayRef, row: usize) -> Option<String> {
    use crate::model::{Value as Cell, value_at};
    match value_at(column.as_ref(), row) {
        Cell::Null => None,
        Cell::Text(text) => Some(text.to_string()),
        other => Some(match other.to_json() {
            Value::String(text) => text,
            other => other.to_string(),
        }),
    }
}

/// `numRecords`, `minValues`, `maxValues`, `nullCount` from the file's own statistics and the nulls counted while writing.
fn statistics(meta: &ParquetMetaData, schema: &Schema, missing: &[usize]) -> String {
    let (mut lows, mut highs, mut nulls) = (Map::new(), Map::new(), Map::new());
    let first_leaves = first_leaves(schema);
    let fields = schema.fields().iter().enumerate();
    for (at, field) in fields.filter(|it| has_statistics(it.1)) {
        nulls.insert(field.name().clone(), json!(missing[at]));
        let columns: Option<Vec<&Statistics>> = meta
            .row_groups()
            .iter()
            .map(|it| it.column(first_leaves[at]).statistics())
            .collect();
        let Some(columns) = columns.filter(|it| !it.is_empty()) else {
            continue;
        };
        if let Some((low, high)) = bounds(&columns, field.data_type()) {
            lows.insert(field.name().clone(), low);
            highs.insert(field.name().clone(), high);
        }
    }
    json!({"numRecords": meta.file_metadata().num_rows(), "minValues": lows, "maxValues": highs, "nullCount": nulls}).to_string()
}

fn bounds(columns: &[&Statistics], data_type: &DataType) -> Option<(Value, Value)> {
    let int = |it: &&Statistics| match it {
        Statistics::Int32(it) => Some((i64::from(*it.min_opt()?), i64::from(*it.max_opt()?))),
        Statistics::Int64(it) => Some((*it.min_opt()?, *it.max_opt()?)),
        _ => None,
    };
    match data_type {
        DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) | DataType::Date32 => {
            let all: Vec<(i64, i64)> = columns.iter().filter_map(int).collect();
            let (low, high) = (
                all.iter().map(|it| it.0).min()?,
                all.iter().map(|it| it.1).max()?,
            );
            Some(match data_type {
                DataType::Timestamp(..) => (time_text(low, false), time_text(high, true)),
                DataType::Date32 => (date_text(low), date_text(high)),
                _ => (json!(low), json!(high)),
            })
        }
        DataType::Float64 => {
            let float = |it: &&Statistics| match it {
                Statistics::Double(it) => Some((*it.min_opt()?, *it.max_opt()?)),
                _ => None,
            };
            let all: Vec<(f64, f64)> = columns.iter().filter_map(float).collect();
            let low = all.iter().map(|it| it.0).fold(f64::INFINITY, f64::min);
            let high = all.iter().map(|it| it.1).fold(f64::NEG_INFINITY, f64::max);
            (low.is_finite() && high.is_finite()).then(|| (json!(low), json!(high)))
        }
        _ => None,
    }
}

/// Milliseconds are all that readers expect here, so the upper bound is rounded up.
fn time_text(micros: i64, up: bool) -> Value {
    let millis = if up {
        micros.div_euclid(1000) + i64::from(micros.rem_euclid(1000) != 0)
    } else {
        micros.div_euclid(1000)
    };
    let time = chrono::DateTime::from_timestamp_millis(millis);
    time.map_or(Value::Null, |it| {
        Value::String(it.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
    })
}

fn date_text(days: i64) -> Value {
    let time = chrono::DateTime::from_timestamp(days * 86_400, 0);
    time.map_or(Value::Null, |it| {
        Value::String(it.format("%Y-%m-%d").to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, StringArray};
    use object_store::path::Path;

    /// The columns of a file of these rows that have a dictionary.
    fn with_dictionary(schema: SchemaRef, columns: Vec<ArrayRef>) -> Vec<String> {
        let rows = RecordBatch::try_new(schema.clone(), columns).expect("columns of the schema");
        let mut file = ParquetFile::new("t", schema, rows.columns()).expect("a file");
        file.write("t", &rows).expect("rows can be written");
        let (bytes, _) = file.finish("t").expect("the file can be finished");
        let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
            bytes::Bytes::from(bytes),
        );
        let builder = builder.expect("it can be read");
        let columns = builder.metadata().row_group(0).columns().to_vec();
        let read: Vec<RecordBatch> = builder
            .build()
            .and_then(|it| it.map(|it| it.map_err(Into::into)).collect())
            .expect("it can be read");
        assert_eq!(read, [rows]);
        let named = columns
            .iter()
            .filter(|it| it.dictionary_page_offset().is_some());
        named.map(|it| it.column_path().string()).collect()
    }

    #[test]
    fn values_that_differ_have_folders_of_their_own() {
        let long = "x".repeat(300);
        let values = [
            "a b",
            "a/b",
            "a_b",
            "ä",
            "ö",
            "",
            NULL_FOLDER,
            &long,
            &long[1..],
        ];
        let column: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        let rows = RecordBatch::try_from_iter([("k", column)]).expect("a column");
        let slices = cut(&rows, &["k".to_owned()]);
        let folders: HashSet<&str> = slices.iter().map(|it| it.folder.as_str()).collect();
        assert_eq!(folders.len(), values.len(), "{folders:?}");
        assert!(folders.contains("k=a_b"));
        assert!(folders.iter().all(|it| it.len() < 200));
        assert!(
            slices
                .iter()
                .all(|it| Path::from(it.folder.as_str()).as_ref() == it.folder)
        );
    }

    #[test]
    fn texts_that_hardly_repeat_have_no_dictionary() {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let schema = Arc::new(Schema::new(vec![
            field("id", DataType::Utf8),
            field("kind", DataType::Utf8),
            field("now and then", DataType::Utf8),
            field("raw", DataType::Binary),
        ]));
        let columns = |rows: usize| -> Vec<ArrayRef> {
            let ids = || (0..rows).map(|it| format!("id {it}"));
            vec![
                Arc::new(StringArray::from_iter_values(ids())),
                Arc::new(StringArray::from_iter_values(
                    ids().map(|it| it[..4].to_owned()),
                )),
                Arc::new(StringArray::from_iter(
                    ids()
                        .enumerate()
                        .map(|(at, it)| (at % 40 == 0).then_some(it)),
                )),
                Arc::new(BinaryArray::from_iter_values(ids())),
            ]
        };
        assert_eq!(
            with_dictionary(schema.clone(), columns(1_000)),
            ["kind", "now and then"]
        );
        // Few rows tell little.
        let all = with_dictionary(schema, columns(50));
        assert_eq!(all, ["id", "kind", "now and then", "raw"]);
    }
}

//! Rows into Parquet, and what the log says of a file: size, partition values, statistics.

use super::Error;
use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Field, Int32Type, Int64Type, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 131_072;

/// A Parquet file being written in memory.
pub(super) struct ParquetFile {
    writer: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
    /// How many nulls each column has.
    nulls: Vec<usize>,
}

impl ParquetFile {
    pub fn new(table: &str, schema: SchemaRef) -> Result<Self, Error> {
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties(&schema)))
            .map_err(|source| Error::Parquet {
                table: table.to_owned(),
                source,
            })?;
        let nulls = vec![0; schema.fields().len()];
        Ok(ParquetFile {
            writer,
            schema,
            nulls,
        })
    }

    pub fn write(&mut self, table: &str, batch: &RecordBatch) -> Result<(), Error> {
        for (nulls, column) in self.nulls.iter_mut().zip(batch.columns()) {
            *nulls += column.logical_null_count();
        }
        self.writer.write(batch).map_err(|source| Error::Parquet {
            table: table.to_owned(),
            source,
        })
    }

    /// Bytes so far, finished and buffered.
    pub fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// The file and its statistics as the log wants them.
    pub fn finish(mut self, table: &str) -> Result<(Vec<u8>, String), Error> {
        let meta = self.writer.finish().map_err(|source| Error::Parquet {
            table: table.to_owned(),
            source,
        })?;
        let statistics = statistics(&meta, &self.schema, &self.nulls);
        let bytes = std::mem::take(self.writer.inner_mut());
        Ok((bytes, statistics))
    }
}

fn properties(schema: &Schema) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
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
    properties.build()
}

/// Rows of one batch that belong to one folder.
pub(super) struct Slice {
    /// `date=2026-11-24/hour=13`, or empty.
    pub folder: String,
    /// Partition columns by name, as the log writes them.
    pub values: Map<String, Value>,
    pub rows: RecordBatch,
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

/// Cuts a batch by its partition columns, which leave it.
pub(super) fn cut(batch: &RecordBatch, schema: &SchemaRef, partition_by: &[String]) -> Vec<Slice> {
    let kept: Vec<ArrayRef> = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| !partition_by.contains(field.name()))
        .map(|(_, column)| Arc::clone(column))
        .collect();
    let file = RecordBatch::try_new(schema.clone(), kept)
        .expect("a table's batch has the table's columns");
    if partition_by.is_empty() {
        return vec![Slice {
            folder: String::new(),
            values: Map::new(),
            rows: file,
        }];
    }
    let columns: Vec<&ArrayRef> = partition_by
        .iter()
        .map(|it| {
            batch
                .column_by_name(it)
                .expect("partition columns are in the table")
        })
        .collect();
    let mut slices = Vec::new();
    let mut start = 0;
    // Rows come mostly in order of time, so runs of equal partition values are long.
    for row in 1..=batch.num_rows() {
        if row < batch.num_rows() && columns.iter().all(|it| same(it, row - 1, row)) {
            continue;
        }
        let mut values = Map::new();
        let mut folder = Vec::new();
        for (name, column) in partition_by.iter().zip(&columns) {
            let text = text_of(column, start);
            let safe = |it: char| {
                if it.is_ascii_alphanumeric() || "-_.".contains(it) {
                    it
                } else {
                    '_'
                }
            };
            folder.push(match &text {
                Some(text) => format!("{name}={}", text.chars().map(safe).collect::<String>()),
                None => format!("{name}=__HIVE_DEFAULT_PARTITION__"),
            });
            values.insert(name.clone(), text.map_or(Value::Null, Value::String));
        }
        slices.push(Slice {
            folder: folder.join("/"),
            values,
            rows: file.slice(start, row - start),
        });
        start = row;
    }
    slices
}

fn same(column: &ArrayRef, a: usize, b: usize) -> bool {
    if column.is_null(a) || column.is_null(b) {
        return column.is_null(a) == column.is_null(b);
    }
    match column.data_type() {
        DataType::Date32 => {
            column.as_primitive::<Date32Type>().value(a)
                == column.as_primitive::<Date32Type>().value(b)
        }
        DataType::Int32 => {
            column.as_primitive::<Int32Type>().value(a)
                == column.as_primitive::<Int32Type>().value(b)
        }
        DataType::Int64 => {
            column.as_primitive::<Int64Type>().value(a)
                == column.as_primitive::<Int64Type>().value(b)
        }
        _ => column.as_string::<i32>().value(a) == column.as_string::<i32>().value(b),
    }
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
    for (at, field) in schema.fields().iter().enumerate() {
        nulls.insert(field.name().clone(), json!(missing[at]));
        let columns: Option<Vec<&Statistics>> = meta
            .row_groups()
            .iter()
            .map(|it| it.column(at).statistics())
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

//! How answers are written: batches in, bytes out, piece by piece.

use crate::http::wire::{RowWriter, write_csv};
use crate::model::{Epoch, Value, rows_of_batch};
use crate::sql::query::Cut;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// A row group of Parquet that has this many bytes is closed.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// How an export is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    JsonLines,
    Arrow,
    Parquet,
    /// As the answer to a query of this id, but with all rows.
    Json(String),
}

impl Format {
    /// The first of ours that a client accepts; nothing if it is content with JSON.
    pub fn of(accept: &str) -> Option<Format> {
        let all = [
            Format::Csv,
            Format::JsonLines,
            Format::Arrow,
            Format::Parquet,
        ];
        accept.split(',').find_map(|it| {
            let wanted = it.split(';').next().unwrap_or_default().trim();
            let mut all = all.iter();
            all.find(|it| it.content_type().split(';').next() == Some(wanted))
                .cloned()
        })
    }

    pub fn content_type(&self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8",
            Format::JsonLines => "application/x-ndjson",
            Format::Arrow => "application/vnd.apache.arrow.stream",
            Format::Parquet => "application/vnd.apache.parquet",
            Format::Json(_) => "application/json",
        }
    }
}

/// What is known of an answer when its rows have ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ending {
    pub epoch: Epoch,
    pub elapsed: Duration,
    pub truncated: bool,
    pub partial: Option<Cut>,
}

impl Ending {
    /// The members behind the rows.
    pub fn json(&self, id: &str) -> String {
        format!(
            "\"epoch\":{},\"elapsed_ms\":{:.3},\"truncated\":{},\"partial\":{},\"partial_reason\":{},\"query_id\":{}}}",
            self.epoch,
            self.elapsed.as_secs_f64() * 1000.0,
            self.truncated,
            self.partial.is_some(),
            json!(self.partial.map(Cut::word)),
            json!(id)
        )
    }
}

/// Writes one answer.
pub struct Writer {
    kind: Kind,
    /// Written and not taken yet, of texts.
    text: String,
}

enum Kind {
    Csv,
    JsonLines(RowWriter),
    Json {
        rows: RowWriter,
        id: String,
        first: bool,
    },
    Arrow(StreamWriter<Vec<u8>>),
    Parquet(ArrowWriter<Vec<u8>>),
}

impl Writer {
    /// # Errors
    /// If the format has no place for a type.
    pub fn new(format: &Format, schema: &SchemaRef) -> Result<Writer, String> {
        let mut text = String::new();
        let kind = match format {
            Format::Csv => {
                let names: Vec<Value> = schema
                    .fields()
                    .iter()
                    .map(|it| Value::Text(it.name().as_str().into()))
                    .collect();
                write_csv(names.iter(), &mut text);
                Kind::Csv
            }
            Format::JsonLines => Kind::JsonLines(RowWriter::new(schema)),
            Format::Json(id) => {
                let rows = RowWriter::new(schema);
                text = format!("{{\"columns\":{},\"rows\":[", rows.columns());
                Kind::Json {
                    rows,
                    id: id.clone(),
                    first: true,
                }
            }
            Format::Arrow => {
                Kind::Arrow(StreamWriter::try_new(Vec::new(), schema).map_err(|it| it.to_string())?)
            }
            Format::Parquet => {
                let settings = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(settings));
                Kind::Parquet(writer.map_err(|it| it.to_string())?)
            }
        };
        Ok(Writer { kind, text })
    }

    /// # Errors
    /// As the format says.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let text = &mut self.text;
        match &mut self.kind {
            Kind::Csv => rows_of_batch(batch)
                .iter()
                .for_each(|it| write_csv(it.0.iter(), text)),
            Kind::JsonLines(writer) => {
                for row in rows_of_batch(batch) {
                    writer.write(&row, text);
                    text.push('\n');
                }
            }
            Kind::Json { rows, first, .. } => {
                for row in rows_of_batch(batch) {
                    if !std::mem::take(first) {
                        text.push(',');
                    }
                    rows.write(&row, text);
                }
            }
            Kind::Arrow(writer) => writer.write(batch).map_err(|it| it.to_string())?,
            Kind::Parquet(writer) => {
                writer.write(batch).map_err(|it| it.to_string())?;
                if ROW_GROUP_BYTES < writer.in_progress_size() {
                    writer.flush().map_err(|it| it.to_string())?;
                }
            }
        }
        Ok(())
    }

    /// Whether a reader sees from its end that it does not have all rows.
    pub fn tells_its_ending(&self) -> bool {
        matches!(self.kind, Kind::Json { .. })
    }

    /// What was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.kind {
            Kind::Csv | Kind::JsonLines(_) | Kind::Json { .. } => {
                std::mem::take(&mut self.text).into_bytes()
            }
            Kind::Arrow(writer) => std::mem::take(writer.get_mut()),
            Kind::Parquet(writer) => std::mem::take(writer.inner_mut()),
        }
    }

    /// The end of it, with what was not taken yet.
    ///
    /// # Errors
    /// As the format says.
    pub fn finish(mut self, ending: &Ending) -> Result<Vec<u8>, String> {
        match self.kind {
            Kind::Csv | Kind::JsonLines(_) => Ok(self.text.into_bytes()),
            Kind::Json { id, .. } => {
                self.text.push_str("],");
                self.text.push_str(&ending.json(&id));
                Ok(self.text.into_bytes())
            }
            Kind::Arrow(writer) => writer.into_inner().map_err(|it| it.to_string()),
            Kind::Parquet(writer) => writer.into_inner().map_err(|it| it.to_string()),
        }
    }
}

//! Records of the live tail as log entries: the shape in which web pages have always read them.
//!
//! They come from the dataflow's first table with an event time. Columns it does not have are null; the level then follows from
//! the status: ERROR from 500, WARN from 400, else INFO.

use super::filter::Filter;
use crate::model::{Row, Value, value_at};
use crate::plan::{Dataflow, OFFSET_COLUMN, PARTITION_COLUMN, TableSpec};
use crate::view::TailBatch;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use serde_json::{Value as Json, json};

/// The table whose records are shown, with its number.
pub fn tail_table(dataflow: &Dataflow) -> Option<(usize, &TableSpec)> {
    dataflow
        .tables
        .iter()
        .enumerate()
        .find(|it| it.1.event_time.is_some())
}

/// Reads entries from rows of that table.
#[derive(Clone, Debug, Default)]
pub struct EntryReader {
    pub table: usize,
    timestamp: Option<usize>,
    level: Option<usize>,
    source: Option<usize>,
    method: Option<usize>,
    endpoint: Option<usize>,
    status: Option<usize>,
    response_time: Option<usize>,
    ip: Option<usize>,
    user_id: Option<usize>,
    session_id: Option<usize>,
    partition: Option<usize>,
    offset: Option<usize>,
}

/// One record as it is shown.
#[derive(Clone, Debug)]
pub struct Entry {
    pub timestamp_us: i64,
    partition: i64,
    offset: i64,
    pub level: String,
    pub source: Json,
    pub endpoint: Json,
    method: Json,
    status: Json,
    response_time: Json,
    ip: Json,
    user_id: Json,
    session_id: Json,
}

impl EntryReader {
    /// Nothing if the dataflow has no such table.
    pub fn new(dataflow: &Dataflow) -> Option<Self> {
        let (number, table) = tail_table(dataflow)?;
        let schema = table.plan.schema();
        let time = table.event_time.map(|it| schema.field(it).name().clone());
        Some(EntryReader {
            table: number,
            ..EntryReader::over(&schema, &time.unwrap_or_default())
        })
    }

    /// Reads rows of that table in whatever columns they come.
    pub fn over(schema: &Schema, time: &str) -> Self {
        let column = |names: &[&str]| {
            names
                .iter()
                .find_map(|it| schema.fields().find(it).map(|found| found.0))
        };
        EntryReader {
            table: 0,
            timestamp: column(&[time]),
            level: column(&["level"]),
            source: column(&["source"]),
            method: column(&["method"]),
            endpoint: column(&["endpoint", "path"]),
            status: column(&["status", "status_code"]),
            response_time: column(&["response_time", "responseTime"]),
            ip: column(&["ip"]),
            user_id: column(&["user_id", "userId"]),
            session_id: column(&["session_id", "sessionId"]),
            partition: column(&[PARTITION_COLUMN]),
            offset: column(&[OFFSET_COLUMN]),
        }
    }

    /// The columns it reads.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        [
            self.timestamp,
            self.level,
            self.source,
            self.method,
            self.endpoint,
            self.status,
            self.response_time,
            self.ip,
            self.user_id,
            self.session_id,
            self.partition,
            self.offset,
        ]
        .into_iter()
        .flatten()
    }

    /// Whether a batch of the tail belongs to the table.
    pub fn takes(&self, batch: &TailBatch) -> bool {
        batch.table == self.table
    }

    pub fn read(&self, rows: &RecordBatch, index: usize) -> Entry {
        let value = |column: Option<usize>| match column.and_then(|at| rows.columns().get(at)) {
            Some(array) => value_at(array.as_ref(), index),
            None => Value::Null,
        };
        let status = value(self.status);
        let level = match value(self.level) {
            Value::Text(it) => it.to_string(),
            _ => match status.as_i64() {
                Some(500..) => "ERROR".to_owned(),
                Some(400..) => "WARN".to_owned(),
                _ => "INFO".to_owned(),
            },
        };
        Entry {
            timestamp_us: value(self.timestamp).as_i64().unwrap_or_default(),
            partition: value(self.partition).as_i64().unwrap_or_default(),
            offset: value(self.offset).as_i64().unwrap_or_default(),
            level,
            source: value(self.source).to_json(),
            endpoint: value(self.endpoint).to_json(),
            method: value(self.method).to_json(),
            status: status.to_json(),
            response_time: value(self.response_time).to_json(),
            ip: value(self.ip).to_json(),
            user_id: value(self.user_id).to_json(),
            session_id: value(self.session_id).to_json(),
        }
    }
}

/// Whether a row of a batch passes a filter over the table's columns.
pub fn passes(filter: Option<&Filter>, rows: &RecordBatch, index: usize) -> bool {
    filter.is_none_or(|filter| {
        filter.matches(&Row(rows
            .columns()
            .iter()
            .map(|it| value_at(it.as_ref(), index))
            .collect()))
    })
}

impl Entry {
    /// When and where it was: its time, partition and offset.
    pub fn place(&self) -> (i64, i64, i64) {
        (self.timestamp_us, self.partition, self.offset)
    }

    /// Newest first; ties by place.
    pub fn order(&self) -> impl Ord + use<> {
        std::cmp::Reverse((self.timestamp_us, self.partition, self.offset))
    }

    pub fn to_json(&self) -> Json {
        let text = |value: &Json| value.as_str().map_or_else(|| "-".to_owned(), str::to_owned);
        let mut message = format!(
            "{} {} - {}",
            text(&self.method),
            text(&self.endpoint),
            self.status
        );
        if let Some(millis) = self.response_time.as_f64() {
            message.push_str(&format!(" ({}ms)", millis.round()));
        }
        json!({
            "id": format!("{}-{}", self.partition, self.offset),
            "timestamp": crate::model::iso_of_micros(self.timestamp_us),
            "level": self.level,
            "source": self.source,
            "message": message,
            "ip": self.ip,
            "status": self.status,
            "responseTime": self.response_time,
            "endpoint": self.endpoint,
            "userId": self.user_id,
            "sessionId": self.session_id,
        })
    }

    /// As the event `tail` has it.
    pub fn to_json_with_method(&self) -> Json {
        let mut entry = self.to_json();
        if let Some(members) = entry.as_object_mut() {
            members.insert("method".to_owned(), self.method.clone());
        }
        entry
    }
}

//! Records as the older pages read them: the members they have always had, whichever table they come from.
//!
//! They come from the dataflow's first table with an event time. Columns it does not have are null; the level then follows from
//! the status: ERROR from 500, WARN from 400, else INFO. The message is the table's own, else it is made of the request; a table
//! without requests has its other columns told, so that records of any dataflow can be read.

use crate::http::App;
use crate::http::entry::tail_table;
use crate::http::filter::quoted_name;
use crate::http::problem::Problem;
use crate::model::{Value, iso_of_micros, ms_to_us, value_at, wall_ms};
use crate::plan::{Dataflow, OFFSET_COLUMN, PARTITION_COLUMN};
use crate::view::TailBatch;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use serde_json::{Value as Json, json};

/// So many other columns make a message.
const OTHERS_MAX: usize = 12;
const SECOND_US: i64 = 1_000_000;

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
    message: Option<usize>,
    /// Of a table without a message and requests: other columns, by name.
    others: Vec<(String, usize)>,
    partition: Option<usize>,
    offset: Option<usize>,
}

/// One record as it is shown.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Nothing in a record without event time.
    timestamp_us: Option<i64>,
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
    message: Option<String>,
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
        let mut reader = EntryReader {
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
            message: column(&["message", "msg"]),
            others: Vec::new(),
            partition: column(&[PARTITION_COLUMN]),
            offset: column(&[OFFSET_COLUMN]),
        };
        let has_request = [reader.method, reader.endpoint, reader.status]
            .iter()
            .any(Option::is_some);
        if reader.message.is_none() && !has_request {
            let used: Vec<usize> = reader.columns().collect();
            let others = schema.fields().iter().enumerate();
            let others = others.filter(|(at, field)| {
                !used.contains(at) && !field.name().starts_with('_') && field.name() != "raw"
            });
            reader.others = others
                .map(|(at, field)| (field.name().clone(), at))
                .take(OTHERS_MAX)
                .collect();
        }
        reader
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
            self.message,
            self.partition,
            self.offset,
        ]
        .into_iter()
        .flatten()
        .chain(self.others.iter().map(|it| it.1))
    }

    /// Where one of the properties is that entries can be filtered by.
    pub fn column(&self, name: &str) -> Option<usize> {
        match name {
            "level" => self.level,
            "source" => self.source,
            "endpoint" => self.endpoint,
            "status" => self.status,
            _ => None,
        }
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
            timestamp_us: value(self.timestamp).as_i64(),
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
            message: self.message_of(value),
        }
    }
}

impl EntryReader {
    /// The table's own message, or what its other columns hold; nothing if it has requests.
    fn message_of(&self, value: impl Fn(Option<usize>) -> Value) -> Option<String> {
        if self.message.is_some() {
            return Some(text_of(&value(self.message)));
        }
        if self.others.is_empty() {
            return None;
        }
        let told = self.others.iter().filter_map(|(name, at)| {
            let value = value(Some(*at));
            (value != Value::Null).then(|| format!("{name}={}", text_of(&value)))
        });
        Some(told.collect::<Vec<_>>().join(" "))
    }
}

fn text_of(value: &Value) -> String {
    match value.to_json() {
        Json::String(it) => it,
        other => other.to_string(),
    }
}

impl Entry {
    /// When and where it was: its time, partition and offset.
    pub fn place(&self) -> (Option<i64>, i64, i64) {
        (self.timestamp_us, self.partition, self.offset)
    }

    /// Newest first, those without a time last; ties by place.
    pub fn order(&self) -> impl Ord + use<> {
        std::cmp::Reverse((self.timestamp_us, self.partition, self.offset))
    }

    pub fn to_json(&self) -> Json {
        let text = |value: &Json| value.as_str().map_or_else(|| "-".to_owned(), str::to_owned);
        let request = || {
            let took = self.response_time.as_f64();
            let took = took.map_or_else(String::new, |it| format!(" ({}ms)", it.round()));
            let (method, endpoint) = (text(&self.method), text(&self.endpoint));
            format!("{method} {endpoint} - {}{took}", self.status)
        };
        let message = self.message.clone().unwrap_or_else(request);
        json!({
            "id": format!("{}-{}", self.partition, self.offset),
            "timestamp": self.timestamp_us.map(crate::model::iso_of_micros),
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
}

/// The newest stored entries, newest first, of which some columns have given values whatever their case. Records of the last hour are
/// looked through first, then of the last day, then all.
pub async fn newest(
    app: &App,
    wanted: &[(&str, Option<&str>)],
    limit: usize,
) -> Result<Vec<Entry>, Problem> {
    let Some((_, table)) = tail_table(&app.dataflow) else {
        return Ok(Vec::new());
    };
    let schema = table.plan.schema();
    let Some(time_name) = table.event_time.map(|it| schema.field(it).name().clone()) else {
        return Ok(Vec::new());
    };
    let time = quoted_name(&time_name);
    let reader = EntryReader::over(&schema, &time_name);
    let mut conditions = Vec::new();
    for (name, value) in wanted {
        let Some(value) = value else { continue };
        let column = match (*name, reader.column(name)) {
            ("level", _) => level_of(&schema),
            (_, Some(at)) => quoted_name(schema.field(at).name()),
            // No record has it.
            (_, None) => return Ok(Vec::new()),
        };
        let text = value.to_lowercase().replace('\'', "''");
        conditions.push(format!("lower({column}) = '{text}'"));
    }
    let columns: Vec<String> = reader
        .columns()
        .map(|it| quoted_name(schema.field(it).name()))
        .collect();
    let now_us = ms_to_us(wall_ms());
    let mut entries = Vec::new();
    for seconds in [Some(3_600), Some(86_400), None] {
        let since = seconds.map(|it| iso_of_micros(now_us.saturating_sub(it * SECOND_US)));
        let since = since.map(|it| format!("{time} > '{it}'"));
        let all: Vec<String> = conditions.iter().cloned().chain(since).collect();
        let filter = match all.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", all.join(" AND ")),
        };
        let sql = format!(
            "SELECT {} FROM lake.{}{filter} ORDER BY {time} DESC NULLS LAST, {PARTITION_COLUMN} DESC, {OFFSET_COLUMN} DESC LIMIT {limit}",
            columns.join(", "),
            quoted_name(&table.name)
        );
        let answer = app.queries.page(&sql).await?;
        let reader = &EntryReader::over(&answer.schema, &time_name);
        entries = answer
            .batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(move |it| reader.read(batch, it)))
            .collect();
        if limit <= entries.len() {
            break;
        }
    }
    Ok(entries)
}

/// The level of a record as SQL: its own, or what follows from its status, as [`EntryReader`] has it.
fn level_of(schema: &Schema) -> String {
    let reader = EntryReader::over(schema, "");
    let name = |it: usize| quoted_name(schema.field(it).name());
    let by_status = match reader.column("status") {
        Some(at) => format!(
            "CASE WHEN {0} >= 500 THEN 'ERROR' WHEN {0} >= 400 THEN 'WARN' ELSE 'INFO' END",
            name(at)
        ),
        None => "'INFO'".to_owned(),
    };
    match reader.column("level") {
        Some(at) => format!("coalesce({}, {by_status})", name(at)),
        None => by_status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    };
    use std::sync::Arc;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .expect("columns of one length")
    }

    fn message(columns: Vec<(&str, ArrayRef)>) -> Json {
        let rows = batch(columns);
        let reader = EntryReader::over(&rows.schema(), "at");
        reader.read(&rows, 0).to_json()["message"].clone()
    }

    fn texts(text: &str) -> ArrayRef {
        Arc::new(StringArray::from(vec![text]))
    }

    fn time() -> (&'static str, ArrayRef) {
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0])))
    }

    #[test]
    fn a_record_without_a_time_has_none_and_comes_last() {
        let times = TimestampMicrosecondArray::from(vec![None, Some(0), Some(1)]);
        let rows = batch(vec![("at", Arc::new(times))]);
        let reader = EntryReader::over(&rows.schema(), "at");
        let mut entries: Vec<Entry> = (0..3).map(|it| reader.read(&rows, it)).collect();
        assert_eq!(entries[0].to_json()["timestamp"], Json::Null);
        entries.sort_by_key(Entry::order);
        let times: Vec<Option<i64>> = entries.iter().map(|it| it.timestamp_us).collect();
        assert_eq!(times, [Some(1), Some(0), None]);
    }

    #[test]
    fn a_request_is_its_message() {
        let columns = vec![
            time(),
            ("method", texts("GET")),
            ("path", texts("/a")),
            ("status", Arc::new(Int64Array::from(vec![503]))),
            ("response_time", Arc::new(Float64Array::from(vec![12.4]))),
        ];
        assert_eq!(message(columns), "GET /a - 503 (12ms)");
    }

    #[test]
    fn a_message_of_the_table_comes_first() {
        let columns = vec![
            time(),
            ("path", texts("/a")),
            ("message", texts("disk full")),
        ];
        assert_eq!(message(columns), "disk full");
    }

    #[test]
    fn records_of_any_other_table_tell_their_columns() {
        let columns = vec![
            time(),
            ("country", texts("DE")),
            ("coupon", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("amount", Arc::new(Float64Array::from(vec![12.5]))),
            (PARTITION_COLUMN, Arc::new(Int64Array::from(vec![3]))),
        ];
        assert_eq!(message(columns), "country=DE amount=12.5");
    }
}

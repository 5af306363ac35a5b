//! Records of the log: of the dataflow's first table with an event time, with whichever columns it has.
//!
//! A record is known by its place, partition and offset; it has its time, and a level if the table tells one: by a column of that
//! role, else by a column with a status as of HTTP.

use super::filter::{Filter, quoted_name};
use super::problem::Problem;
use crate::model::{Row, Value, value_at};
use crate::plan::{Dataflow, Meaning, OFFSET_COLUMN, PARTITION_COLUMN, Role, TableSpec};
use crate::view::TailBatch;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The table whose records are shown, with its number.
pub fn tail_table(dataflow: &Dataflow) -> Option<(usize, &TableSpec)> {
    dataflow
        .tables
        .iter()
        .enumerate()
        .find(|it| it.1.event_time.is_some())
}

/// What is known of the log and its columns.
#[derive(Debug)]
pub struct Log<'a> {
    pub number: usize,
    pub table: &'a TableSpec,
    pub schema: Schema,
    /// The column with the event time.
    pub time: String,
    meanings: BTreeMap<String, Meaning>,
}

impl<'a> Log<'a> {
    /// Nothing if no table has an event time.
    pub fn of(dataflow: &'a Dataflow) -> Option<Self> {
        let (number, table) = tail_table(dataflow)?;
        let schema = table.plan.schema();
        let time = schema.field(table.event_time?).name().clone();
        Some(Log {
            number,
            table,
            schema: Schema::clone(&schema),
            time,
            meanings: dataflow.named_meanings(&table.name),
        })
    }

    pub fn role(&self, column: &str) -> Role {
        self.meanings.get(column).map_or(Role::Other, |it| it.role)
    }

    /// Whether the values of a column follow from the event time alone.
    pub fn follows_time(&self, column: &str) -> bool {
        let column = self.schema.index_of(column);
        column.is_ok_and(|it| self.table.follows_time(it))
    }

    /// Columns that a list of records can show: all but what Tidelake keeps for itself, and binary and nested values.
    pub fn shown(&self) -> impl Iterator<Item = &Arc<Field>> {
        self.schema.fields().iter().filter(|it| {
            let is_plain = !matches!(
                it.data_type(),
                DataType::Binary | DataType::List(_) | DataType::Struct(_)
            );
            is_plain && !it.name().starts_with('_')
        })
    }

    /// The columns of a request, by name, or all that can be shown.
    ///
    /// # Errors
    /// If one is not there.
    pub fn chosen(&self, asked: Option<&str>) -> Result<Vec<String>, Problem> {
        let Some(asked) = asked else {
            return Ok(self.shown().map(|it| it.name().clone()).collect());
        };
        let names = asked.split(',').filter(|it| !it.is_empty());
        names
            .map(|name| match self.schema.fields().find(name) {
                Some(_) => Ok(name.to_owned()),
                None => Err(Problem::not_found(
                    "unknown_column",
                    format!("the log has no column `{name}`"),
                )
                .hint("GET /api/v1/logs/columns lists them")),
            })
            .collect()
    }

    fn column_of(&self, role: Role, fits: impl Fn(&DataType) -> bool) -> Option<&str> {
        let mut all = self.schema.fields().iter();
        let found = all.find(|it| self.role(it.name()) == role && fits(it.data_type()))?;
        Some(found.name())
    }

    /// The column that tells the level.
    pub fn level(&self) -> Option<&str> {
        self.column_of(Role::Level, |it| *it == DataType::Utf8)
    }

    /// The column with a status as of HTTP.
    pub fn status(&self) -> Option<&str> {
        self.column_of(Role::Status, DataType::is_integer)
    }

    /// The level of a record as SQL, as [`RecordReader`] has it; nothing if the table tells none.
    pub fn level_sql(&self) -> Option<String> {
        let by_status = self.status().map(|it| {
            format!(
                "CASE WHEN {0} BETWEEN 500 AND 599 THEN 'ERROR' WHEN {0} BETWEEN 400 AND 499 THEN 'WARN' WHEN {0} BETWEEN 100 AND 399 THEN 'INFO' END",
                quoted_name(it)
            )
        });
        match (self.level().map(quoted_name), by_status) {
            (Some(level), Some(by_status)) => Some(format!("coalesce({level}, {by_status})")),
            (level, by_status) => level.or(by_status),
        }
    }

    /// The SELECT list that a reader of these columns needs.
    pub fn select(&self, columns: &[String]) -> String {
        let place = [self.time.as_str(), PARTITION_COLUMN, OFFSET_COLUMN];
        let own = [self.level(), self.status()].into_iter().flatten();
        let mut names: Vec<&str> = Vec::new();
        let all = place.into_iter().chain(own);
        for name in all.chain(columns.iter().map(String::as_str)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let names: Vec<String> = names.into_iter().map(quoted_name).collect();
        names.join(", ")
    }

    /// Reads records of rows in whatever order their columns come.
    pub fn reader(&self, rows: &Schema, columns: &[String]) -> RecordReader {
        let at = |name: &str| rows.fields().find(name).map(|it| it.0);
        RecordReader {
            table: self.number,
            time: at(&self.time),
            partition: at(PARTITION_COLUMN),
            offset: at(OFFSET_COLUMN),
            level: self.level().and_then(at),
            status: self.status().and_then(at),
            columns: columns
                .iter()
                .filter_map(|it| Some((it.clone(), at(it)?)))
                .collect(),
        }
    }
}

/// Reads records as they are shown: `{"id": "0-42", "timestamp": "…", "level": "ERROR", "values": {…}}`.
#[derive(Clone, Debug)]
pub struct RecordReader {
    pub table: usize,
    time: Option<usize>,
    partition: Option<usize>,
    offset: Option<usize>,
    level: Option<usize>,
    status: Option<usize>,
    columns: Vec<(String, usize)>,
}

/// Time, partition and offset; a record without a time is the oldest.
pub type Place = (Option<i64>, i64, i64);

impl RecordReader {
    /// Whether a batch of the tail belongs to the table.
    pub fn takes(&self, batch: &TailBatch) -> bool {
        batch.table == self.table
    }

    pub fn place(&self, rows: &RecordBatch, index: usize) -> Place {
        let value = |column: Option<usize>| number_at(rows, column, index);
        (
            value(self.time),
            value(self.partition).unwrap_or_default(),
            value(self.offset).unwrap_or_default(),
        )
    }

    pub fn read(&self, rows: &RecordBatch, index: usize) -> Json {
        let (time, partition, offset) = self.place(rows, index);
        let value = |at: usize| match rows.columns().get(at) {
            Some(array) => value_at(array.as_ref(), index),
            None => Value::Null,
        };
        let values = self.columns.iter();
        let values: Map<String, Json> = values
            .map(|(name, at)| (name.clone(), value(*at).to_json()))
            .collect();
        json!({
            "id": format!("{partition}-{offset}"),
            "timestamp": time.map(crate::model::iso_of_micros),
            "level": self.level(rows, index),
            "values": values,
        })
    }

    fn level(&self, rows: &RecordBatch, index: usize) -> Option<String> {
        let own = self.level.and_then(|it| rows.columns().get(it));
        if let Some(Value::Text(it)) = own.map(|it| value_at(it.as_ref(), index)) {
            return Some(it.to_string());
        }
        let level = match number_at(rows, self.status, index)? {
            500..=599 => "ERROR",
            400..=499 => "WARN",
            100..=399 => "INFO",
            _ => return None,
        };
        Some(level.to_owned())
    }
}

fn number_at(rows: &RecordBatch, column: Option<usize>, index: usize) -> Option<i64> {
    let array = rows.columns().get(column?)?;
    value_at(array.as_ref(), index).as_i64()
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

    fn reader(columns: &[&str], level: Option<usize>, status: Option<usize>) -> RecordReader {
        let named = columns.iter().enumerate();
        RecordReader {
            table: 0,
            time: Some(0),
            partition: None,
            offset: Some(1),
            level,
            status,
            columns: named.map(|(at, it)| ((*it).to_owned(), at)).collect(),
        }
    }

    fn batch() -> RecordBatch {
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            (
                "at",
                Arc::new(TimestampMicrosecondArray::from(vec![
                    None,
                    Some(0),
                    Some(1),
                ])),
                true,
            ),
            ("id", Arc::new(Int64Array::from(vec![7, 8, 9])), true),
            (
                "severity",
                Arc::new(StringArray::from(vec![Some("fatal"), None, None])),
                true,
            ),
            ("code", Arc::new(Int64Array::from(vec![200, 503, 7])), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
    }

    #[test]
    fn a_column_of_any_name_is_a_value_beside_what_every_record_has() {
        let record = reader(&["at", "id"], None, None).read(&batch(), 1);
        let expected = json!({
            "id": "0-8",
            "timestamp": "1970-01-01T00:00:00Z",
            "level": null,
            "values": {"at": record["timestamp"], "id": 8},
        });
        assert_eq!(record["values"], expected["values"]);
        assert_eq!(record["id"], expected["id"]);
        assert_eq!(record["level"], Json::Null);
    }

    #[test]
    fn a_level_is_told_by_its_column_then_by_a_status() {
        let reader = reader(&[], Some(2), Some(3));
        let level = |row: usize| reader.read(&batch(), row)["level"].clone();
        assert_eq!(
            [level(0), level(1), level(2)],
            [json!("fatal"), json!("ERROR"), Json::Null]
        );
    }

    #[test]
    fn a_record_without_a_time_is_the_oldest() {
        let reader = reader(&[], None, None);
        let mut places: Vec<Place> = (0..3).map(|it| reader.place(&batch(), it)).collect();
        places.sort_by(|a, b| b.cmp(a));
        let times: Vec<Option<i64>> = places.into_iter().map(|it| it.0).collect();
        assert_eq!(times, [Some(1), Some(0), None]);
    }
}

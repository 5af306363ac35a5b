//! The stored log: pages of records, what they are made of, one record whole, and frequent values.
//!
//! The live tail shows what comes; this shows what has been. Both take the same `where`. What is here is what the newest
//! commit holds, and every answer says which that is.

use super::App;
use super::entry::{Entry, EntryReader, tail_table};
use super::filter::{Filter, TIMES_US, quoted_name};
use super::parameters::Parameters;
use super::problem::Problem;
use crate::model::{Value, iso_of_micros, ms_to_us, rows_of_batch, value_at, wall_ms};
use crate::plan::{OFFSET_COLUMN, PARTITION_COLUMN, TableSpec};
use crate::sql::sql_type_name;
use arrow::datatypes::Schema;
use axum::extract::{Path, State};
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

const ROWS_DEFAULT: usize = 500;
pub const ROWS_MAX: usize = 5_000;
const BUCKETS_DEFAULT: usize = 120;
pub const BUCKETS_MAX: usize = 1_000;
const VALUES_MAX: usize = 10;
const SECOND_US: i64 = 1_000_000;
/// Levels told apart; all others are one.
const LEVELS_MAX: usize = 10;
const OTHER_LEVELS: &str = "OTHER";
/// Columns whose frequent values are counted, as far as a table has them.
const FACETS: [&str; 6] = ["level", "source", "endpoint", "path", "status", "method"];

/// Stored records, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogPage {
    pub rows: Vec<Json>,
    /// Ask for the next page with it; there is none if there are no more.
    pub next_cursor: Option<String>,
    pub from: String,
    pub to: String,
    /// The filter that was applied, as it was written.
    pub r#where: Option<String>,
    /// The query behind it.
    pub sql: String,
    /// Version of the stored table as of the newest commit.
    pub version: Option<i64>,
    /// Everything up to this epoch is in.
    pub committed_epoch: Option<u64>,
    pub elapsed_ms: f64,
}

/// How many records there are, by time and level, and which values are frequent.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct LogSummary {
    pub total: u64,
    pub from: String,
    pub to: String,
    pub r#where: Option<String>,
    pub step_seconds: i64,
    /// Start of each step, seconds since 1970.
    pub times: Vec<i64>,
    pub by_level: BTreeMap<String, Vec<u64>>,
    pub facets: Vec<Facet>,
    pub committed_epoch: Option<u64>,
    pub elapsed_ms: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Facet {
    pub column: String,
    /// Whether values are written in quotes in a filter.
    pub is_text: bool,
    pub values: Vec<FrequentValue>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct FrequentValue {
    pub value: String,
    pub count: u64,
}

/// One record with all its fields.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Record {
    /// `live` while it is among the newest, else `lake`.
    pub from: String,
    pub partition: i64,
    pub offset: i64,
    pub fields: Vec<FieldValue>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct FieldValue {
    pub name: String,
    pub r#type: String,
    pub value: Json,
}

/// Values of a column among the newest records.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Values {
    pub column: String,
    /// So many records were looked at.
    pub records: u64,
    pub values: Vec<FrequentValue>,
}

/// What a request about the log asks for.
struct Asked<'a> {
    table: &'a TableSpec,
    time: String,
    from: i64,
    to: i64,
    filter: Option<Filter>,
}

impl Asked<'_> {
    fn conditions(&self) -> String {
        let time = quoted_name(&self.time);
        let mut text = format!(
            "{time} >= '{}' AND {time} < '{}'",
            iso_of_micros(self.from),
            iso_of_micros(self.to)
        );
        if let Some(filter) = &self.filter {
            text.push_str(&format!(" AND {}", filter.to_sql()));
        }
        text
    }

    fn relation(&self) -> String {
        format!("lake.{}", quoted_name(&self.table.name))
    }
}

fn asked<'a>(app: &'a App, query: &Parameters) -> Result<Asked<'a>, Problem> {
    let missing = || {
        Problem::not_found(
            "no_log",
            "no table of the dataflow has an event time, so there is no log to show",
        )
    };
    let (_, table) = tail_table(&app.dataflow).ok_or_else(missing)?;
    let schema = table.plan.schema();
    let time = table.event_time.ok_or_else(missing)?;
    let (from, to) = query.range(900 * SECOND_US)?;
    let filter = query
        .text("where")
        .filter(|it| !it.trim().is_empty())
        .map(|it| Filter::parse(it, &schema).map_err(|it| Problem::bad_request("bad_filter", it)))
        .transpose()?;
    Ok(Asked {
        table,
        time: schema.field(time).name().clone(),
        from,
        to,
        filter,
    })
}

pub async fn page(
    State(app): State<Arc<App>>,
    query: Parameters,
) -> Result<JsonBody<LogPage>, Problem> {
    let limit = query.count("limit").unwrap_or(ROWS_DEFAULT);
    let asked = asked(&app, &query)?;
    let (partition, offset) = (PARTITION_COLUMN, OFFSET_COLUMN);
    let time = quoted_name(&asked.time);
    let mut conditions = asked.conditions();
    if let Some(cursor) = query.text("cursor") {
        let place = place_of(cursor).ok_or_else(|| {
            Problem::bad_request("bad_cursor", "this cursor is not one of ours")
                .hint("take next_cursor of the page before")
        })?;
        let at = iso_of_micros(place.0);
        conditions.push_str(&format!(
            " AND {time} <= '{at}' AND ({time} < '{at}' OR {partition} < {0} OR ({partition} = {0} AND {offset} < {1}))",
            place.1, place.2
        ));
    }
    let reader = EntryReader::new(&app.dataflow).unwrap_or_default();
    let schema = asked.table.plan.schema();
    let columns: Vec<String> = reader
        .columns()
        .map(|it| quoted_name(schema.field(it).name()))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE {conditions} ORDER BY {time} DESC, {partition} DESC, {offset} DESC LIMIT {limit}",
        columns.join(", "),
        asked.relation()
    );
    let answer = app.queries.page(&sql).await?;
    let reader = EntryReader::over(&answer.schema, &asked.time);
    let mut rows = Vec::new();
    let mut last = None;
    for batch in &answer.batches {
        for index in 0..batch.num_rows() {
            let entry = reader.read(batch, index);
            last = Some(entry.place());
            rows.push(entry.to_json_with_method());
        }
    }
    let next_cursor = last
        .filter(|_| rows.len() == limit)
        .and_then(|(time, partition, offset)| Some(format!("{}.{partition}.{offset}", time?)));
    let commit = app.status.status().commit;
    Ok(JsonBody(LogPage {
        rows,
        next_cursor,
        from: iso_of_micros(asked.from),
        to: iso_of_micros(asked.to),
        r#where: asked.filter.as_ref().map(|it| it.text.clone()),
        sql,
        version: commit
            .as_ref()
            .and_then(|it| it.versions.get(&asked.table.name).copied()),
        committed_epoch: commit.map(|it| it.epoch.0),
        elapsed_ms: answer.elapsed.as_secs_f64() * 1000.0,
    }))
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

fn place_of(cursor: &str) -> Option<(i64, i64, i64)> {
    let mut parts = cursor.split('.').map(|it| it.parse::<i64>().ok());
    let place = (parts.next()??, parts.next()??, parts.next()??);
    let is_whole = parts.next().is_none() && TIMES_US.contains(&place.0);
    is_whole.then_some(place)
}

pub async fn summary(
    State(app): State<Arc<App>>,
    query: Parameters,
) -> Result<JsonBody<LogSummary>, Problem> {
    let began = std::time::Instant::now();
    let buckets = query.count("buckets").unwrap_or(BUCKETS_DEFAULT);
    let asked = asked(&app, &query)?;
    let schema = asked.table.plan.schema();
    let length = asked.to - asked.from;
    let step = (length / i64::try_from(buckets).unwrap_or(1)).max(1);
    let step = (step + SECOND_US - 1) / SECOND_US * SECOND_US;
    let first = asked.from.div_euclid(step) * step;
    let times: Vec<i64> = (first..asked.to)
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
        .map(|it| it / SECOND_US)
        .collect();
    let level = level_of(&schema);
    let sql = format!(
        "SELECT tumble_start({}, {step}) AS step, {level} AS level, count(*) AS records FROM {} WHERE {} GROUP BY 1, 2",
        quoted_name(&asked.time),
        asked.relation(),
        asked.conditions()
    );
    let mut summary = LogSummary {
        from: iso_of_micros(asked.from),
        to: iso_of_micros(asked.to),
        r#where: asked.filter.as_ref().map(|it| it.text.clone()),
        step_seconds: step / SECOND_US,
        committed_epoch: app.status.status().commit.map(|it| it.epoch.0),
        ..LogSummary::default()
    };
    let rows_by_level = rows(&app, &sql).await?;
    let shown = frequent_levels(&rows_by_level);
    for row in rows_by_level {
        let count = count_of(&row[2]);
        summary.total += count;
        let at = row[0]
            .as_i64()
            .and_then(|it| usize::try_from((it - first) / step).ok());
        let level = Some(text_of(&row[1])).filter(|it| shown.contains(it));
        let counts = summary
            .by_level
            .entry(level.unwrap_or_else(|| OTHER_LEVELS.to_owned()))
            .or_insert_with(|| vec![0; times.len()]);
        if let Some(slot) = at.and_then(|it| counts.get_mut(it)) {
            *slot += count;
        }
    }
    summary.times = times;
    for column in FACETS
        .into_iter()
        .filter(|it| schema.fields().find(it).is_some())
    {
        let sql = format!(
            "SELECT {0} AS value, count(*) AS records FROM {1} WHERE {2} GROUP BY {0} ORDER BY records DESC LIMIT {VALUES_MAX}",
            quoted_name(column),
            asked.relation(),
            asked.conditions()
        );
        let values = rows(&app, &sql).await?;
        summary.facets.push(Facet {
            column: column.to_owned(),
            is_text: schema
                .fields()
                .find(column)
                .is_some_and(|it| *it.1.data_type() == arrow::datatypes::DataType::Utf8),
            values: values
                .into_iter()
                .filter(|it| it[0] != Value::Null)
                .map(|it| FrequentValue {
                    value: text_of(&it[0]),
                    count: count_of(&it[1]),
                })
                .collect(),
        });
    }
    summary.elapsed_ms = began.elapsed().as_secs_f64() * 1000.0;
    Ok(JsonBody(summary))
}

/// The levels that are told apart: whatever the records say, an answer has a few series.
fn frequent_levels(rows: &[Vec<Value>]) -> BTreeSet<String> {
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        *totals.entry(text_of(&row[1])).or_default() += count_of(&row[2]);
    }
    let mut totals: Vec<(String, u64)> = totals.into_iter().collect();
    totals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let most = totals.into_iter().take(LEVELS_MAX);
    most.map(|it| it.0).collect()
}

async fn rows(app: &App, sql: &str) -> Result<Vec<Vec<Value>>, Problem> {
    let answer = app.queries.page(sql).await?;
    let rows = answer.batches.iter().flat_map(rows_of_batch);
    Ok(rows.map(|it| it.0.to_vec()).collect())
}

fn text_of(value: &Value) -> String {
    match value.to_json() {
        Json::String(it) => it,
        other => other.to_string(),
    }
}

fn count_of(value: &Value) -> u64 {
    value
        .as_i64()
        .and_then(|it| u64::try_from(it).ok())
        .unwrap_or_default()
}

/// One record by its place: among the newest, else in the lake.
pub async fn record(
    State(app): State<Arc<App>>,
    Path((partition, offset)): Path<(i64, i64)>,
) -> Result<JsonBody<Record>, Problem> {
    let missing = |text: String| Problem::not_found("unknown_record", text);
    let Some((number, table)) = tail_table(&app.dataflow) else {
        return Err(missing("this dataflow has no log".to_owned()));
    };
    let (partition_column, offset_column) = (PARTITION_COLUMN, OFFSET_COLUMN);
    let found = app
        .hub
        .tail_after(0)
        .into_iter()
        .filter(|it| it.table == number)
        .find_map(|batch| {
            let schema = batch.rows.schema();
            let column = |name: &str| schema.fields().find(name).map(|it| it.0);
            let (p, o) = (column(partition_column)?, column(offset_column)?);
            let at = |column: usize, row: usize| {
                value_at(batch.rows.column(column).as_ref(), row).as_i64()
            };
            let row = (0..batch.rows.num_rows())
                .find(|row| at(p, *row) == Some(partition) && at(o, *row) == Some(offset))?;
            Some((batch.rows, row))
        });
    let (from, rows, row) = match found {
        Some((rows, row)) => ("live", rows, row),
        None => {
            let sql = format!(
                "SELECT * FROM lake.{} WHERE {partition_column} = {partition} AND {offset_column} = {offset} LIMIT 1",
                quoted_name(&table.name)
            );
            let answer = app.queries.page(&sql).await?;
            let rows = answer
                .batches
                .into_iter()
                .find(|it| 0 < it.num_rows())
                .ok_or_else(|| {
                    missing(format!(
                        "there is no record at offset {offset} of partition {partition}"
                    ))
                    .hint(
                        "a record is stored with the next commit, a few seconds after it was read",
                    )
                })?;
            ("lake", rows, 0)
        }
    };
    let schema = rows.schema();
    let fields = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| FieldValue {
            name: field.name().clone(),
            r#type: sql_type_name(field.data_type()),
            value: value_at(rows.column(at).as_ref(), row).to_json(),
        });
    Ok(JsonBody(Record {
        from: from.to_owned(),
        partition,
        offset,
        fields: fields.collect(),
    }))
}

/// Frequent values of a column among the newest records, for completion.
pub async fn values(
    State(app): State<Arc<App>>,
    Path(column): Path<String>,
) -> Result<JsonBody<Values>, Problem> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut records = 0;
    let number = tail_table(&app.dataflow).map(|it| it.0);
    for batch in app
        .hub
        .tail_after(0)
        .iter()
        .filter(|it| Some(it.table) == number)
    {
        let schema = batch.rows.schema();
        let Some((at, _)) = schema.fields().find(&column) else {
            return Err(Problem::not_found(
                "unknown_column",
                format!("the log has no column `{column}`"),
            ));
        };
        records += batch.rows.num_rows() as u64;
        for row in 0..batch.rows.num_rows() {
            match value_at(batch.rows.column(at).as_ref(), row) {
                Value::Null => {}
                value => *counts.entry(text_of(&value)).or_default() += 1,
            }
        }
    }
    let mut values: Vec<FrequentValue> = counts
        .into_iter()
        .map(|(value, count)| FrequentValue { value, count })
        .collect();
    values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    values.truncate(VALUES_MAX * 2);
    Ok(JsonBody(Values {
        column,
        records,
        values,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_bounded_whatever_the_records_say() {
        let row = |level: usize, count: i64| {
            vec![
                Value::Timestamp(0),
                Value::Text(format!("level {level}").into()),
                Value::Int(count),
            ]
        };
        let mut rows: Vec<Vec<Value>> = (0..1_000).map(|it| row(it, 1)).collect();
        rows.push(row(77, 5));
        let levels = frequent_levels(&rows);
        assert_eq!(levels.len(), LEVELS_MAX);
        assert!(levels.contains("level 77"));
    }

    #[test]
    fn a_cursor_names_a_time_that_can_be() {
        assert_eq!(
            place_of("1700000000000000.3.42"),
            Some((1_700_000_000_000_000, 3, 42))
        );
        for wrong in ["", "1.2", "1.2.3.4", "a.b.c", "9223372036854775807.1.1"] {
            assert_eq!(place_of(wrong), None, "{wrong}");
        }
    }
}

//! The stored log: pages of records, the newest ones, and which columns records have.
//!
//! The live tail shows what comes; this shows what has been. Both take the same `where`. What is here is what the newest
//! commit holds, and every answer says which that is.

mod mask;
mod patterns;
mod record;
mod summary;

pub use patterns::{PATTERNS_MAX, Patterns, patterns};
pub use record::{Record, Values, record, values};
pub use summary::{BUCKETS_MAX, LogSummary, summary};

use super::App;
use super::catalog::{CatalogColumn, columns as catalog_columns};
use super::entry::{Log, Place, passes};
use super::filter::{Filter, TIMES_US, quoted_name};
use super::parameters::Parameters;
use super::problem::Problem;
use crate::model::{Value, iso_of_micros, ms_to_us, rows_of_batch, wall_ms};
use crate::plan::{OFFSET_COLUMN, PARTITION_COLUMN, Role};
use arrow::datatypes::DataType;
use axum::extract::State;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROWS_DEFAULT: usize = 500;
pub const ROWS_MAX: usize = 5_000;
/// Orders of a page.
pub const ORDERS: &[&str] = &["newest", "oldest"];
const SECOND_US: i64 = 1_000_000;
/// A search begins with so much of the range, at the end that is shown first, and then takes twice as much each time.
const FIRST_PART: i64 = 64;
const FIRST_PART_LEAST_US: i64 = 300 * SECOND_US;
/// A search that has taken so long answers with what it has found, and how far it has come.
const SEARCH_TIME: Duration = Duration::from_millis(1_500);
/// Columns that a list shows unless others are chosen.
const SHOWN_COLUMNS: usize = 7;

/// Stored records, newest first unless asked otherwise.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogPage {
    /// Each with its `id`, `timestamp`, `level` and `values` by column.
    pub rows: Vec<Json>,
    /// Ask for the next page with it. There is none if there are no more. A page may have fewer rows than its limit, or none, and be
    /// followed by others: a long search answers piece by piece.
    pub next_cursor: Option<String>,
    pub from: String,
    pub to: String,
    /// All records from the begin of the search up to here are looked through.
    pub searched: String,
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

/// The newest records, live and stored, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NewestRecords {
    /// As those of a page.
    pub rows: Vec<Json>,
    pub r#where: Option<String>,
    pub elapsed_ms: f64,
}

/// What records of the log are made of.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogColumns {
    pub table: String,
    /// The column with the event time.
    pub time: String,
    /// Whether records have a level: by a column, or by a status.
    pub has_level: bool,
    pub columns: Vec<CatalogColumn>,
    /// Columns that a list shows unless others are chosen, by what they mean: levels and statuses, keys, durations, texts.
    pub shown: Vec<String>,
}

/// What a request about the log asks for.
struct Asked<'a> {
    log: Log<'a>,
    from: i64,
    to: i64,
    filter: Option<Filter>,
}

impl Asked<'_> {
    fn conditions(&self) -> String {
        self.conditions_between(self.from, self.to)
    }

    fn conditions_between(&self, from: i64, to: i64) -> String {
        let time = quoted_name(&self.log.time);
        let mut text = format!(
            "{time} >= '{}' AND {time} < '{}'",
            iso_of_micros(from),
            iso_of_micros(to)
        );
        if let Some(filter) = &self.filter {
            text.push_str(&format!(" AND {}", filter.to_sql()));
        }
        text
    }

    fn relation(&self) -> String {
        format!("lake.{}", quoted_name(&self.log.table.name))
    }

    fn filter_text(&self) -> Option<String> {
        self.filter.as_ref().map(|it| it.text.clone())
    }
}

fn no_log() -> Problem {
    Problem::not_found(
        "no_log",
        "no table of the dataflow has an event time, so there is no log to show",
    )
}

fn filter_of(log: &Log<'_>, query: &Parameters) -> Result<Option<Filter>, Problem> {
    let text = query.text("where").filter(|it| !it.trim().is_empty());
    Ok(text.map(|it| Filter::parse(it, &log.schema)).transpose()?)
}

fn asked<'a>(app: &'a App, query: &Parameters) -> Result<Asked<'a>, Problem> {
    let log = Log::of(&app.dataflow).ok_or_else(no_log)?;
    let (from, to) = query.range(900 * SECOND_US)?;
    let filter = filter_of(&log, query)?;
    Ok(Asked {
        log,
        from,
        to,
        filter,
    })
}

/// A part of a range that is looked through at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    from: i64,
    to: i64,
}

/// The parts of a range in the order in which they are looked through; the first is small, since most searches soon have enough.
fn parts_of(from: i64, to: i64, is_newest_first: bool) -> Vec<Part> {
    let mut length = ((to - from) / FIRST_PART).max(FIRST_PART_LEAST_US);
    let mut parts = Vec::new();
    let (mut from, mut to) = (from, to);
    while from < to {
        let taken = length.min(to - from);
        let part = match is_newest_first {
            true => Part {
                from: to - taken,
                to,
            },
            false => Part {
                from,
                to: from + taken,
            },
        };
        match is_newest_first {
            true => to = part.from,
            false => from = part.to,
        }
        parts.push(part);
        length = length.saturating_mul(2);
    }
    parts
}

/// Where a page goes on.
fn cursor_sql(time: &str, place: (i64, i64, i64), is_newest_first: bool) -> String {
    let (at, partition, offset) = (iso_of_micros(place.0), place.1, place.2);
    let sign = if is_newest_first { '<' } else { '>' };
    let (p, o) = (PARTITION_COLUMN, OFFSET_COLUMN);
    format!(
        " AND {time} {sign}= '{at}' AND ({time} {sign} '{at}' OR {p} {sign} {partition} OR ({p} = {partition} AND {o} {sign} {offset}))"
    )
}

pub async fn page(
    State(app): State<Arc<App>>,
    query: Parameters,
) -> Result<JsonBody<LogPage>, Problem> {
    let began = Instant::now();
    let limit = query.count("limit").unwrap_or(ROWS_DEFAULT);
    let is_newest_first = query.text("order") != Some("oldest");
    let asked = asked(&app, &query)?;
    let columns = asked.log.chosen(query.text("columns"))?;
    let time = quoted_name(&asked.log.time);
    let (mut from, mut to) = (asked.from, asked.to);
    let mut after = String::new();
    if let Some(cursor) = query.text("cursor") {
        let place = place_of(cursor).ok_or_else(|| {
            Problem::bad_request("bad_cursor", "this cursor is not one of ours")
                .hint("take next_cursor of the page before")
        })?;
        after = cursor_sql(&time, place, is_newest_first);
        match is_newest_first {
            true => to = to.min(place.0 + 1),
            false => from = from.max(place.0),
        }
    }
    let statement = |conditions: &str, limit: usize| {
        let direction = if is_newest_first { "DESC" } else { "ASC" };
        format!(
            "SELECT {} FROM {} WHERE {conditions}{after} ORDER BY {time} {direction}, {PARTITION_COLUMN} {direction}, {OFFSET_COLUMN} {direction} LIMIT {limit}",
            asked.log.select(&columns),
            asked.relation()
        )
    };
    let mut rows = Vec::new();
    let mut last = None;
    let mut next = None;
    let mut searched = if is_newest_first { to } else { from };
    for part in parts_of(from, to, is_newest_first) {
        if limit <= rows.len() {
            break;
        }
        if SEARCH_TIME < began.elapsed() {
            next = Some((searched, -1, -1));
            break;
        }
        let conditions = asked.conditions_between(part.from, part.to);
        let answer = app
            .queries
            .page(&statement(&conditions, limit - rows.len()))
            .await?;
        let reader = asked.log.reader(&answer.schema, &columns);
        for batch in &answer.batches {
            for index in 0..batch.num_rows() {
                last = Some(reader.place(batch, index));
                rows.push(reader.read(batch, index));
            }
        }
        searched = if is_newest_first { part.from } else { part.to };
    }
    if limit <= rows.len()
        && let Some((Some(time), partition, offset)) = last
    {
        next = Some((time, partition, offset));
        searched = time;
    }
    let commit = app.status.status().commit;
    Ok(JsonBody(LogPage {
        rows,
        next_cursor: next.map(|(time, partition, offset)| format!("{time}.{partition}.{offset}")),
        from: iso_of_micros(asked.from),
        to: iso_of_micros(asked.to),
        searched: iso_of_micros(searched),
        r#where: asked.filter_text(),
        sql: statement(&asked.conditions(), limit),
        version: commit
            .as_ref()
            .and_then(|it| it.versions.get(&asked.log.table.name).copied()),
        committed_epoch: commit.map(|it| it.epoch.0),
        elapsed_ms: began.elapsed().as_secs_f64() * 1000.0,
    }))
}

/// The newest records, those that are not stored yet among them, so that a list that goes on live can begin with them.
pub async fn newest(
    State(app): State<Arc<App>>,
    query: Parameters,
) -> Result<JsonBody<NewestRecords>, Problem> {
    let began = Instant::now();
    let limit = query.count("limit").unwrap_or(ROWS_DEFAULT);
    let log = Log::of(&app.dataflow).ok_or_else(no_log)?;
    let filter = filter_of(&log, &query)?;
    let columns = log.chosen(query.text("columns"))?;
    app.hub.note_reader(Duration::ZERO);
    let reader = log.reader(&log.schema, &columns);
    let mut found: Vec<(Place, Json)> = Vec::new();
    for batch in app.hub.tail_after(0).iter().filter(|it| reader.takes(it)) {
        for index in 0..batch.rows.num_rows() {
            if passes(filter.as_ref(), &batch.rows, index) {
                let place = reader.place(&batch.rows, index);
                found.push((place, reader.read(&batch.rows, index)));
            }
        }
    }
    let commit = app.status.status().commit;
    let is_stored = commit.is_some_and(|it| it.versions.contains_key(&log.table.name));
    if found.len() < limit && is_stored {
        let known: HashSet<Place> = found.iter().map(|it| it.0).collect();
        let stored = newest_stored(&app, &log, filter.as_ref(), &columns, limit).await?;
        found.extend(stored.into_iter().filter(|it| !known.contains(&it.0)));
    }
    found.sort_by_key(|it| Reverse(it.0));
    found.truncate(limit);
    Ok(JsonBody(NewestRecords {
        rows: found.into_iter().map(|it| it.1).collect(),
        r#where: filter.map(|it| it.text),
        elapsed_ms: began.elapsed().as_secs_f64() * 1000.0,
    }))
}

/// Records of the last hour are looked through first, then of the last day, then all, as long as there is time.
async fn newest_stored(
    app: &App,
    log: &Log<'_>,
    filter: Option<&Filter>,
    columns: &[String],
    limit: usize,
) -> Result<Vec<(Place, Json)>, Problem> {
    let began = Instant::now();
    let time = quoted_name(&log.time);
    let now_us = ms_to_us(wall_ms());
    let mut found = Vec::new();
    for seconds in [Some(3_600), Some(86_400), None] {
        let since = seconds.map(|it| iso_of_micros(now_us.saturating_sub(it * SECOND_US)));
        let since = since.map(|it| format!("{time} > '{it}'"));
        let all: Vec<String> = since
            .into_iter()
            .chain(filter.map(Filter::to_sql))
            .collect();
        let conditions = match all.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", all.join(" AND ")),
        };
        let sql = format!(
            "SELECT {} FROM lake.{}{conditions} ORDER BY {time} DESC NULLS LAST, {PARTITION_COLUMN} DESC, {OFFSET_COLUMN} DESC LIMIT {limit}",
            log.select(columns),
            quoted_name(&log.table.name)
        );
        let answer = app.queries.page(&sql).await?;
        let reader = log.reader(&answer.schema, columns);
        found.clear();
        for batch in &answer.batches {
            for index in 0..batch.num_rows() {
                found.push((reader.place(batch, index), reader.read(batch, index)));
            }
        }
        if limit <= found.len() || SEARCH_TIME < began.elapsed() {
            break;
        }
    }
    Ok(found)
}

/// What records are made of.
pub async fn columns(State(app): State<Arc<App>>) -> Result<JsonBody<LogColumns>, Problem> {
    let log = Log::of(&app.dataflow).ok_or_else(no_log)?;
    Ok(JsonBody(LogColumns {
        table: log.table.name.clone(),
        time: log.time.clone(),
        has_level: log.level_sql().is_some(),
        columns: catalog_columns(&app.dataflow, &log.table.name, &log.schema),
        shown: shown_columns(&log),
    }))
}

/// By what columns mean, in their order within each meaning. The time stands before them all, and a level of its own beside it.
fn shown_columns(log: &Log<'_>) -> Vec<String> {
    let of = |roles: &[Role], most: usize| {
        let all = log.shown().filter(|it| *it.name() != log.time);
        let all = all.filter(|it| roles.contains(&log.role(it.name())));
        let names = all.map(|it| it.name().clone());
        names.take(most).collect::<Vec<_>>()
    };
    let mut names = of(&[Role::Status], 1);
    names.extend(of(&[Role::Key], 4));
    names.extend(of(&[Role::Duration], 1));
    names.extend(of(&[Role::Money, Role::Bytes], 1));
    names.extend(of(&[Role::Text], 1));
    for more in [
        of(&[Role::Measure, Role::Count, Role::Share], 3),
        of(&[Role::Id, Role::Flag], 2),
        of(&[Role::Key, Role::Other], SHOWN_COLUMNS),
    ] {
        for name in more {
            if names.len() < SHOWN_COLUMNS && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.truncate(SHOWN_COLUMNS);
    names
}

fn place_of(cursor: &str) -> Option<(i64, i64, i64)> {
    let mut parts = cursor.split('.').map(|it| it.parse::<i64>().ok());
    let place = (parts.next()??, parts.next()??, parts.next()??);
    let is_whole = parts.next().is_none() && TIMES_US.contains(&place.0);
    is_whole.then_some(place)
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

/// Whether values of a type are written in quotes in a filter.
fn is_quoted(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_a_time_that_can_be() {
        assert_eq!(
            place_of("1700000000000000.3.42"),
            Some((1_700_000_000_000_000, 3, 42))
        );
        assert_eq!(place_of("5.-1.-1"), Some((5, -1, -1)));
        for wrong in ["", "1.2", "1.2.3.4", "a.b.c", "9223372036854775807.1.1"] {
            assert_eq!(place_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parts_of_a_range_are_the_range_in_the_order_asked_for() {
        for (from, to) in [
            (0, 1),
            (-5, 86_400 * SECOND_US),
            (3, 90 * 86_400 * SECOND_US),
        ] {
            for is_newest_first in [true, false] {
                let mut parts = parts_of(from, to, is_newest_first);
                assert!(parts.len() < 12, "{parts:?}");
                if is_newest_first {
                    parts.reverse();
                }
                assert_eq!((parts[0].from, parts[parts.len() - 1].to), (from, to));
                assert!(
                    parts.windows(2).all(|it| it[0].to == it[1].from),
                    "{parts:?}"
                );
            }
        }
        assert_eq!(parts_of(5, 5, true), []);
        let first = parts_of(0, 64_000 * SECOND_US, true)[0];
        assert_eq!(
            (first.from, first.to),
            (63_000 * SECOND_US, 64_000 * SECOND_US)
        );
    }
}

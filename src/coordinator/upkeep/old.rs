//! Rows that are older than their table keeps them: which files have nothing else.

use super::After;
use crate::coordinator::stored;
use crate::engine;
use crate::lake::{self, LetGo, Store, TableState};
use crate::model::{Partition, wall_ms};
use crate::plan::{PARTITION_COLUMN, Retention, TableSpec};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Files of one table that go with one commit for their age; the manifest names each.
const LET_GO_AT_ONCE: usize = 1_000;
const DAY_US: i64 = 86_400_000_000;

/// Files of a table whose rows are older than it keeps them.
#[derive(Debug)]
pub struct OldFiles {
    pub table: String,
    pub files: Vec<Value>,
    pub noted: LetGo,
    /// Whether there are more.
    pub is_cut: bool,
}

/// Rows of before this time are older than a table keeps them; nothing if no clock tells.
pub fn cut_of(after: After<'_>, table: &TableSpec, retention: &Retention) -> Option<i64> {
    let After {
        dataflow,
        settings,
        last,
        ..
    } = after;
    let clocks = stored::clocks(last).ok()?;
    let sources = BTreeSet::from([table.source.clone()]);
    let has_event_time = dataflow.source(&table.source)?.event_time.is_some();
    let watermark = has_event_time
        .then(|| engine::stored_watermark(&sources, &clocks, &settings.clocks, last.epoch.0 + 1));
    let wall_us = i64::try_from(wall_ms()).ok()?.checked_mul(1000)?;
    let now_us = match watermark {
        None => wall_us,
        Some(watermark) => watermark?.min(wall_us),
    };
    let cut_us = now_us.checked_sub(retention.keep_us)?;
    Some(cut_us.div_euclid(DAY_US) * DAY_US)
}

/// Files all of whose rows are of before a time, and how many rows of each partition they have.
pub async fn old_files(
    store: &Store,
    table: &TableSpec,
    state: &TableState,
    cut_us: i64,
) -> Result<OldFiles, lake::Error> {
    let name = table.name.as_str();
    let schema = table.plan.schema();
    let retention = table.retention.as_ref().expect("it has one");
    let column = schema.field(retention.column).name().clone();
    let time = table.event_time.map(|it| schema.field(it).name().clone());
    let wrong = |reason: &str| lake::Error::Table {
        table: name.to_owned(),
        reason: reason.to_owned(),
    };
    let mut old = OldFiles {
        table: name.to_owned(),
        files: Vec::new(),
        noted: LetGo {
            column: column.clone(),
            until_us: cut_us,
            ..LetGo::default()
        },
        is_cut: false,
    };
    for file in store.files_with_statistics(name, state.version).await? {
        let may_be_old = match retention.is_date {
            true => date_us(&file["add"]["partitionValues"][&column]),
            false => newest_us(&file, &column),
        };
        if may_be_old.is_none_or(|it| cut_us <= it) {
            continue;
        }
        if LET_GO_AT_ONCE <= old.files.len() {
            old.is_cut = true;
            break;
        }
        let mut columns = vec![PARTITION_COLUMN];
        columns.extend(time.as_deref());
        let path = file["add"]["path"].as_str().unwrap_or_default();
        let mut rows: BTreeMap<Partition, u64> = BTreeMap::new();
        let (mut is_old, mut newest) = (true, None);
        for batch in store.columns_of(name, path, &columns).await? {
            let partitions = batch.column_by_name(PARTITION_COLUMN);
            let partitions = partitions.ok_or_else(|| wrong("a file has no _partition"))?;
            for partition in partitions.as_primitive::<Int32Type>().values() {
                *rows.entry(Partition(*partition)).or_default() += 1;
            }
            let Some(time) = &time else { continue };
            let times = batch.column_by_name(time);
            let times = times.ok_or_else(|| wrong("a file has no event time"))?;
            let times = times.as_primitive::<TimestampMicrosecondType>();
            newest = newest.max(times.iter().flatten().max());
            is_old &= retention.is_date
                || times.null_count() == 0 && times.values().iter().all(|it| *it < cut_us);
        }
        if is_old {
            for (partition, count) in rows {
                *old.noted.rows.entry(partition).or_default() += count;
            }
            old.noted.files += 1;
            old.noted.newest_us = old.noted.newest_us.max(newest);
            old.files.push(file);
        }
    }
    Ok(old)
}

/// The beginning of the day that a folder is of.
fn date_us(value: &Value) -> Option<i64> {
    let date: chrono::NaiveDate = value.as_str()?.parse().ok()?;
    Some(
        date.and_time(chrono::NaiveTime::MIN)
            .and_utc()
            .timestamp_micros(),
    )
}

/// The newest time that the statistics of a file tell.
fn newest_us(file: &Value, column: &str) -> Option<i64> {
    let statistics = file["add"]["stats"].as_str()?;
    let statistics: Value = serde_json::from_str(statistics).ok()?;
    let newest = statistics["maxValues"][column].as_str()?;
    let newest = chrono::DateTime::parse_from_rfc3339(newest).ok()?;
    Some(newest.timestamp_micros())
}

//! How many stored records there are, by time and level, and what their columns hold.

use super::{Asked, asked, count_of, is_quoted, rows, text_of};
use crate::http::App;
use crate::http::filter::quoted_name;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::model::{Value, iso_of_micros};
use crate::plan::{OFFSET_COLUMN, Role};
use crate::sql::sql_type_name;
use arrow::datatypes::{DataType, Field};
use axum::extract::State;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const BUCKETS_DEFAULT: usize = 120;
pub const BUCKETS_MAX: usize = 1_000;
const SECOND_US: i64 = 1_000_000;
/// Levels told apart; all others are one.
const LEVELS_MAX: usize = 10;
const OTHER_LEVELS: &str = "OTHER";
/// What records without a level are called.
const NO_LEVEL: &str = "records";
/// Values of a field that are told.
const VALUES_MAX: usize = 20;
/// A column with more different values than this is not told by values.
const DISTINCT_MAX: u64 = 60;
/// Columns that are told by values, so that one statement can count them all.
const FACETS_MAX: usize = 30;
/// Beyond so many records, values are counted in every n-th of them.
const COUNTED_MAX: u64 = 200_000;

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
    /// Counts of each step; those of records without a level are called `records`.
    pub by_level: BTreeMap<String, Vec<u64>>,
    /// Columns with few different values, with those.
    pub facets: Vec<Facet>,
    /// All columns that a filter can take.
    pub fields: Vec<FieldCount>,
    /// Values are counted in every so-manieth record; counts of values and fields are estimates unless this is 1.
    pub sampled: u64,
    pub committed_epoch: Option<u64>,
    pub elapsed_ms: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Facet {
    pub column: String,
    pub role: String,
    /// Whether values are written in quotes in a filter.
    pub is_text: bool,
    /// Whether its values follow from the event time alone, as an hour of the day does.
    pub follows_time: bool,
    /// Different values.
    pub distinct: u64,
    /// Records without a value.
    pub nulls: u64,
    /// The most frequent ones.
    pub values: Vec<FrequentValue>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct FieldCount {
    pub column: String,
    pub r#type: String,
    pub role: String,
    /// Records that have a value.
    pub present: u64,
    /// Different values, about; unknown where they are not counted.
    pub distinct: Option<u64>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FrequentValue {
    pub value: String,
    pub count: u64,
}

pub async fn summary(
    State(app): State<Arc<App>>,
    query: Parameters,
) -> Result<JsonBody<LogSummary>, Problem> {
    let began = std::time::Instant::now();
    let buckets = query.count("buckets").unwrap_or(BUCKETS_DEFAULT);
    let asked = asked(&app, &query)?;
    let length = asked.to - asked.from;
    let step = (length / i64::try_from(buckets).unwrap_or(1)).max(1);
    let step = (step + SECOND_US - 1) / SECOND_US * SECOND_US;
    let first = asked.from.div_euclid(step) * step;
    let times: Vec<i64> = (first..asked.to)
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
        .map(|it| it / SECOND_US)
        .collect();
    let level = asked.log.level_sql();
    let level = level.unwrap_or_else(|| "CAST(NULL AS VARCHAR)".to_owned());
    let sql = format!(
        "SELECT tumble_start({}, {step}) AS step, {level} AS level, count(*) AS records FROM {} WHERE {} GROUP BY 1, 2",
        quoted_name(&asked.log.time),
        asked.relation(),
        asked.conditions()
    );
    let mut summary = LogSummary {
        from: iso_of_micros(asked.from),
        to: iso_of_micros(asked.to),
        r#where: asked.filter_text(),
        step_seconds: step / SECOND_US,
        committed_epoch: app.status.status().commit.map(|it| it.epoch.0),
        sampled: 1,
        ..LogSummary::default()
    };
    let level_of = |value: &Value| match value {
        Value::Null => NO_LEVEL.to_owned(),
        other => text_of(other),
    };
    let rows_by_level = rows(&app, &sql).await?;
    let shown = frequent_levels(&rows_by_level, level_of);
    for row in rows_by_level {
        let count = count_of(&row[2]);
        summary.total += count;
        let at = row[0]
            .as_i64()
            .and_then(|it| usize::try_from((it - first) / step).ok());
        let level = Some(level_of(&row[1])).filter(|it| shown.contains(it));
        let counts = summary
            .by_level
            .entry(level.unwrap_or_else(|| OTHER_LEVELS.to_owned()))
            .or_insert_with(|| vec![0; times.len()]);
        if let Some(slot) = at.and_then(|it| counts.get_mut(it)) {
            *slot += count;
        }
    }
    summary.times = times;
    if 0 < summary.total {
        // Odd, so that it does not go together with what records do by turns.
        summary.sampled = summary.total.div_ceil(COUNTED_MAX) | 1;
        let (facets, fields) = columns(&app, &asked, summary.sampled).await?;
        (summary.facets, summary.fields) = (facets, fields);
    }
    summary.elapsed_ms = began.elapsed().as_secs_f64() * 1000.0;
    Ok(JsonBody(summary))
}

/// Whether few different values can be expected of a type at all.
fn is_countable(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Utf8 | DataType::Boolean | DataType::Date32)
}

/// Looks at the columns twice: how many values they have, and then which, of those with few.
async fn columns(
    app: &App,
    asked: &Asked<'_>,
    every: u64,
) -> Result<(Vec<Facet>, Vec<FieldCount>), Problem> {
    let mut source = format!("{} WHERE {}", asked.relation(), asked.conditions());
    if 1 < every {
        source.push_str(&format!(" AND {OFFSET_COLUMN} % {every} = 0"));
    }
    let shown: Vec<&Arc<Field>> = asked
        .log
        .shown()
        .filter(|it| *it.name() != asked.log.time)
        .collect();
    let counts = shown.iter().map(|it| {
        let name = quoted_name(it.name());
        let distinct = match it.data_type() {
            DataType::Boolean => "2".to_owned(),
            DataType::Date32 => {
                format!("CAST(approx_distinct(CAST({name} AS VARCHAR)) AS BIGINT)")
            }
            kind if is_countable(kind) => format!("CAST(approx_distinct({name}) AS BIGINT)"),
            _ => "CAST(NULL AS BIGINT)".to_owned(),
        };
        format!("count({name}), {distinct}")
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return Ok(Default::default());
    }
    let sql = format!("SELECT {} FROM {source}", counts.join(", "));
    let counted = rows(app, &sql).await?;
    let counted = counted.first().map(Vec::as_slice).unwrap_or_default();
    let mut fields = Vec::new();
    let mut few: Vec<&Arc<Field>> = Vec::new();
    for (field, pair) in shown.iter().zip(counted.chunks(2)) {
        let present = count_of(&pair[0]);
        let distinct = pair.get(1).filter(|it| **it != Value::Null).map(count_of);
        // Many values of few records are no choice either.
        let is_few = distinct.is_some_and(|it| it <= DISTINCT_MAX && (it < 3 || it * 2 <= present));
        if is_few && 0 < present && few.len() < FACETS_MAX {
            few.push(field);
        }
        fields.push(FieldCount {
            column: field.name().clone(),
            r#type: sql_type_name(field.data_type()),
            role: asked.log.role(field.name()).name().to_owned(),
            present: present * every,
            distinct,
        });
    }
    if few.is_empty() {
        return Ok((Vec::new(), fields));
    }
    let names: Vec<String> = few.iter().map(|it| quoted_name(it.name())).collect();
    let wrapped = |before: &str, after: &str| {
        let all = names.iter().map(|it| format!("{before}{it}{after}"));
        all.collect::<Vec<_>>().join(", ")
    };
    let sql = format!(
        "SELECT {}, {}, count(*) FROM {source} GROUP BY GROUPING SETS ({})",
        wrapped("", ""),
        wrapped("CAST(grouping(", ") AS BIGINT)"),
        wrapped("(", ")")
    );
    let mut facets: Vec<Facet> = few
        .iter()
        .map(|field| Facet {
            column: field.name().clone(),
            role: asked.log.role(field.name()).name().to_owned(),
            is_text: is_quoted(field.data_type()),
            follows_time: asked.log.follows_time(field.name()),
            distinct: 0,
            nulls: 0,
            values: Vec::new(),
        })
        .collect();
    for row in rows(app, &sql).await? {
        let (values, rest) = row.split_at(names.len());
        let of = rest
            .iter()
            .take(names.len())
            .position(|it| it.as_i64() == Some(0));
        let (Some(at), Some(count)) = (of, rest.last().map(count_of)) else {
            continue;
        };
        let Some((facet, value)) = facets.get_mut(at).zip(values.get(at)) else {
            continue;
        };
        match value {
            Value::Null => facet.nulls = count * every,
            value => facet.values.push(FrequentValue {
                value: text_of(value),
                count: count * every,
            }),
        }
    }
    for facet in &mut facets {
        facet.distinct = facet.values.len() as u64;
        let order = |it: &FrequentValue| (std::cmp::Reverse(it.count), it.value.clone());
        facet.values.sort_by_cached_key(order);
        facet.values.truncate(VALUES_MAX);
    }
    facets.sort_by_key(|it| rank(&it.role));
    Ok((facets, fields))
}

/// What one filters by most comes first.
fn rank(role: &str) -> usize {
    let order = [Role::Level, Role::Status, Role::Key, Role::Flag];
    let at = order.iter().position(|it| it.name() == role);
    at.unwrap_or(order.len())
}

/// The levels that are told apart: whatever the records say, an answer has a few series.
fn frequent_levels(rows: &[Vec<Value>], level_of: fn(&Value) -> String) -> BTreeSet<String> {
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        *totals.entry(level_of(&row[1])).or_default() += count_of(&row[2]);
    }
    let mut totals: Vec<(String, u64)> = totals.into_iter().collect();
    totals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let most = totals.into_iter().take(LEVELS_MAX);
    most.map(|it| it.0).collect()
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
        let levels = frequent_levels(&rows, text_of);
        assert_eq!(levels.len(), LEVELS_MAX);
        assert!(levels.contains("level 77"));
    }
}

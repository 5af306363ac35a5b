//! Example records of an incident: a handful of the archived records that it was computed from.

use super::{Found, WINDOWS};
use crate::detect::metric::Kind;
use crate::http::App;
use crate::http::entry::tail_table;
use crate::http::problem::Problem;
use crate::model::{Row, rows_of_batch};
use crate::plan::{DELETED_COLUMN, EPOCH_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN, TableSpec};
use crate::sql::Watched;
use crate::sql::example_records::{self, ExampleQuery, Extreme};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};

const EXAMPLES_MAX: usize = 5;
/// Columns that the engine adds.
const ADDED: [&str; 4] = [
    PARTITION_COLUMN,
    OFFSET_COLUMN,
    EPOCH_COLUMN,
    DELETED_COLUMN,
];

/// Some of the records behind an incident.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Examples {
    /// Which records these are, such as `failures (is_critical_error) with status 500`; or why there are none.
    pub text: String,
    /// The table of the lake that holds them.
    pub table: String,
    /// Whether `/api/v1/records/{partition}/{offset}` answers for records of that table.
    pub has_record_pages: bool,
    /// Those of the peak window first, then by value where the metric is of one, then by partition and offset.
    pub records: Vec<Example>,
    /// The query that found them; null if the records cannot be told from the SQL of the view.
    pub query: Option<String>,
}

/// An archived record.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Example {
    pub partition: i64,
    pub offset: i64,
    /// The other columns of the table, those that the engine adds left out.
    pub columns: Map<String, Json>,
}

/// What is asked of the archive.
pub(super) struct Asked<'a> {
    pub query: ExampleQuery,
    pub columns: Vec<String>,
    pub table: &'a TableSpec,
}

/// A value of each of these columns.
pub(super) type Carrier = Vec<(String, Option<String>)>;

/// The examples of an incident, of what carries it if something does.
///
/// # Errors
/// If the archive cannot be asked.
pub(super) async fn examples(
    app: &App,
    found: &Found<'_>,
    asked: Asked<'_>,
    carrier: &Carrier,
) -> Result<Examples, Problem> {
    let answer = app.queries.page(&asked.query.sql).await?;
    let rows = answer.batches.iter().flat_map(rows_of_batch);
    Ok(Examples {
        text: text(found, &asked.query, carrier),
        has_record_pages: tail_table(&app.dataflow).is_some_and(|it| it.1.name == asked.table.name),
        table: asked.table.name.clone(),
        records: rows.filter_map(|it| example(&asked.columns, &it)).collect(),
        query: Some(asked.query.sql),
    })
}

/// The query for the examples.
///
/// # Errors
/// Says why the records cannot be told from the SQL of the watched view.
pub(super) fn asked<'a>(
    app: &'a App,
    found: &Found<'_>,
    watched: &Watched,
    carrier: &Carrier,
) -> Result<Asked<'a>, String> {
    let mut tables = app.dataflow.tables.iter();
    let table = tables
        .find(|it| it.name == watched.table)
        .ok_or_else(|| format!("there is no table `{}`", watched.table))?;
    let columns: Vec<String> = {
        let schema = table.plan.schema();
        schema.fields().iter().map(|it| it.name().clone()).collect()
    };
    let size_us = found.detection.grid.size_us;
    let peak_us = found.peak_us.unwrap_or(found.since_us);
    let by_value =
        matches!(found.metric.kind, Kind::Latency | Kind::Value).then(|| match found.is_below() {
            true => Extreme::Smallest,
            false => Extreme::Largest,
        });
    let wanted = example_records::Examples {
        key: &found.key,
        carrier,
        argument: found.argument(0),
        by_value,
        range_us: range_us((found.since_us, found.until_us), peak_us, WINDOWS * size_us),
        peak_us: (peak_us, peak_us + size_us),
        columns: &columns,
        limit: EXAMPLES_MAX,
    };
    Ok(Asked {
        query: example_records::query(watched, &wanted)?,
        columns,
        table,
    })
}

/// The part of an incident whose records are looked at: all of it, or so much around its peak.
fn range_us((since_us, until_us): (i64, i64), peak_us: i64, most_us: i64) -> (i64, i64) {
    if until_us - since_us <= most_us {
        return (since_us, until_us);
    }
    let from_us = (peak_us - most_us / 2).clamp(since_us, until_us - most_us);
    (from_us, from_us + most_us)
}

fn example(columns: &[String], row: &Row) -> Option<Example> {
    let number = |name: &str| {
        let at = columns.iter().position(|it| it == name)?;
        row.0[at].as_i64()
    };
    let own = columns.iter().zip(row.0.iter());
    let own = own.filter(|it| !ADDED.contains(&it.0.as_str()));
    Some(Example {
        partition: number(PARTITION_COLUMN)?,
        offset: number(OFFSET_COLUMN)?,
        columns: own.map(|it| (it.0.clone(), it.1.to_json())).collect(),
    })
}

fn text(found: &Found<'_>, query: &ExampleQuery, carrier: &Carrier) -> String {
    let is_below = found.is_below();
    let records = match (found.metric.kind, &query.counted, &query.by_value) {
        (Kind::Ratio, Some(counted), _) => format!("failures ({counted})"),
        (Kind::Latency, _, Some(by)) if is_below => format!("the fastest records by {by}"),
        (Kind::Latency, _, Some(by)) => format!("the slowest records by {by}"),
        (Kind::Value, _, Some(by)) if is_below => format!("the records with the smallest {by}"),
        (Kind::Value, _, Some(by)) => format!("the records with the largest {by}"),
        (_, Some(counted), _) => format!("records that count ({counted})"),
        (_, None, _) => "records".to_owned(),
    };
    let (columns, values): (Vec<_>, Vec<_>) = carrier.iter().cloned().unzip();
    let of = match carrier.is_empty() {
        true => String::new(),
        false => format!(" with {}", super::written(&columns, &values)),
    };
    let unknown = match (found.metric.kind, &query.counted) {
        (Kind::Ratio, None) => "; the view does not show which of them are failures",
        _ => "",
    };
    format!("{records}{of}{unknown}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    #[test]
    fn a_long_incident_is_looked_at_around_its_peak() {
        for (incident, peak, expected) in [
            ((100, 160), 100, (100, 160)),
            ((100, 400), 250, (220, 280)),
            ((100, 400), 110, (100, 160)),
            ((100, 400), 390, (340, 400)),
        ] {
            assert_eq!(range_us(incident, peak, 60), expected);
        }
    }

    #[test]
    fn an_example_is_named_by_its_place_and_has_its_own_columns() {
        let columns = ["_epoch", "at", "_partition", "path", "_offset"].map(str::to_owned);
        let values = [
            Value::Int(9),
            Value::Timestamp(0),
            Value::Int(3),
            Value::Null,
            Value::Int(7),
        ];
        let found = example(&columns, &Row(values.into())).expect("it has a place");
        assert_eq!((found.partition, found.offset), (3, 7));
        let own = serde_json::json!({"at": "1970-01-01T00:00:00Z", "path": null});
        assert_eq!(Json::Object(found.columns), own);
    }
}

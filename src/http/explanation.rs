//! `/api/v1/incidents/{incident}/explanation`: what carries an incident, and records that show it, asked of the archive when somebody wants to know.
//!
//! Each value of each column that the detector is explained by, and each pair of them, is compared with the hour's worth of windows before: what it would have been, had all values grown or
//! shrunk alike, and what it was. The formulas are those of `detect::attribution`. The records are those of the value or pair that carries it, else any of the key.

mod examples;
#[cfg(test)]
mod tests;

use super::App;
use super::incidents::{detection_of, scores_of};
use super::problem::Problem;
use crate::detect::attribution::{self, Carrier, Cell, Sums, WINDOWS, carriers, sets};
use crate::detect::metric::Kind;
use crate::model::{Row, Value, iso_of_micros, rows_of_batch};
use crate::plan::{Detection, IncidentSpec, MetricSpec, NEW, Plan, ViewSpec};
use crate::sql::Watched;
use crate::sql::by_dimensions::{self, Cells, RECORDS, WINDOW, dimension, is_left_out};
use axum::extract::{Path, State};
use axum::response::Json as JsonBody;
use examples::Examples;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values of one column, or pairs, that are told.
const VALUES_MAX: usize = 5;
/// Cells that are asked for, the largest first.
const CELLS_MAX: usize = 50_000;

/// What carries an incident.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IncidentExplanation {
    pub incident: String,
    pub detector: String,
    pub metric: String,
    pub key: Map<String, Json>,
    /// The windows of the incident that were looked at, and since when those before.
    pub from: String,
    pub to: String,
    pub baseline_from: String,
    /// In a sentence; empty if the detector names no columns (`explain_by`).
    pub text: String,
    /// Columns, then pairs of columns, each in the order of how much it says.
    pub dimensions: Vec<DimensionExplained>,
    /// The query it was computed from; null if the detector names no columns.
    pub query: Option<String>,
    pub examples: Examples,
}

/// Values of one column, or of two.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DimensionExplained {
    pub columns: Vec<String>,
    /// How much its shares have moved (a term of the Jensen-Shannon divergence); it orders columns.
    pub surprise: f64,
    pub values: Vec<ValueExplained>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ValueExplained {
    /// One of each column; null where records have none.
    pub value: Vec<Option<String>>,
    /// Of a rate how much, of a ratio failures, of anything else the mean of the windows.
    pub observed: f64,
    pub expected: f64,
    /// Of the whole change; more than one if others moved the other way.
    pub share_of_change: f64,
    /// Of all that was expected.
    pub share_of_expected: f64,
}

/// An incident that is live.
struct Found<'a> {
    scores: &'a ViewSpec,
    detection: &'a Detection,
    metric: &'a MetricSpec,
    key: Vec<(String, Option<String>)>,
    key_json: Map<String, Json>,
    since_us: i64,
    until_us: i64,
    peak_us: Option<i64>,
    /// At the peak.
    observed: Option<f64>,
    expected: Option<f64>,
}

impl Found<'_> {
    /// The number of one of the metric's arguments in the detector's input query.
    fn argument(&self, at: usize) -> usize {
        self.metric.columns[at] - self.detection.keys.len() - 1
    }

    fn is_below(&self) -> bool {
        matches!((self.observed, self.expected), (Some(observed), Some(expected)) if observed < expected)
    }
}

pub async fn explanation(
    State(app): State<Arc<App>>,
    Path(incident): Path<String>,
) -> Result<JsonBody<IncidentExplanation>, Problem> {
    let found = find(&app, &incident)?;
    let unexplained = |why: String| Problem::not_found("no_explanation", why);
    let watched = Watched::of(&app.dataflow, found.scores).ok_or_else(|| {
        unexplained("the view of its detector does not read a table of records".to_owned())
    })?;
    let grid = found.detection.grid;
    let reach = WINDOWS * grid.size_us;
    let to_us = found.until_us.min(found.since_us + reach);
    let baseline_us = found.since_us - reach;
    let names = &found.detection.explain_by;
    let sets = sets(names.len());
    let (explained, query) = match names.is_empty() {
        true => (Vec::new(), None),
        false => {
            let range_us = (baseline_us, to_us);
            let (explained, sql) = dimensions(&app, &found, &watched, range_us).await?;
            (explained, Some(sql))
        }
    };
    let carrier = carrier(&explained, &sets, names);
    let examples = match examples::asked(&app, &found, &watched, &carrier) {
        Ok(asked) => examples::examples(&app, &found, asked, &carrier).await?,
        // Nothing at all can be said.
        Err(why) if names.is_empty() => return Err(unexplained(why)),
        Err(text) => Examples {
            text,
            table: watched.table,
            ..Examples::default()
        },
    };
    let text = match names.is_empty() {
        true => String::new(),
        false => sentence(&explained, &sets, names),
    };
    Ok(JsonBody(IncidentExplanation {
        text,
        incident,
        detector: found.scores.name.clone(),
        metric: found.metric.name.clone(),
        key: found.key_json,
        from: iso_of_micros(found.since_us),
        to: iso_of_micros(to_us),
        baseline_from: iso_of_micros(baseline_us),
        dimensions: of_names(&explained, &sets, names),
        query,
        examples,
    }))
}

/// What values of the detector's columns have of the change, and the query that says so.
async fn dimensions(
    app: &App,
    found: &Found<'_>,
    watched: &Watched,
    (baseline_us, to_us): (i64, i64),
) -> Result<(Vec<Explained>, String), Problem> {
    let names = &found.detection.explain_by;
    let grid = found.detection.grid;
    let sets = sets(names.len());
    let named: Vec<Vec<String>> = sets.iter().map(|set| columns(set, names)).collect();
    let cells = Cells {
        key: &found.key,
        sets: &named,
        from_us: baseline_us,
        to_us,
    };
    let inner = by_dimensions::query(watched, names, &cells)
        .map_err(|it| Problem::not_found("no_explanation", it))?;
    // A row's bound of the window, of the first window of the incident.
    let first = found.since_us + grid.size_us - found.detection.end.add_us;
    let sql = summed(&inner, found, names.len(), first);
    let answer = app.queries.page(&sql).await?;
    let rows: Vec<Row> = answer.batches.iter().flat_map(rows_of_batch).collect();
    let windows = (to_us - found.since_us) / grid.size_us;
    Ok((explained(&rows, found.metric.kind, names, windows), sql))
}

fn find<'a>(app: &'a App, name: &str) -> Result<Found<'a>, Problem> {
    for view in &app.dataflow.views {
        let Plan::Incidents {
            incidents, schema, ..
        } = &view.plan
        else {
            continue;
        };
        let at = |column: &str| schema.index_of(column).unwrap_or(usize::MAX);
        let (incident, since, until) = (at("incident"), at("since"), at("until"));
        let Some(snapshot) = app.hub.snapshot(&view.name) else {
            continue;
        };
        let is_it = |row: &Row| matches!(row.0.get(incident), Some(Value::Text(it)) if it == name);
        let Some((row, _)) = snapshot.rows.iter().find(|it| is_it(it.0)) else {
            continue;
        };
        let scores = scores_of(&app.dataflow, view);
        let time = |column: usize| row.0.get(column).and_then(Value::as_i64);
        let number = |column: &str| row.0.get(at(column)).and_then(Value::as_f64);
        if let (Some(scores), Some(since_us), Some(until_us)) = (scores, time(since), time(until))
            && let Some(found) = of_row(scores, incidents, row, since_us, until_us)
        {
            return Ok(Found {
                peak_us: time(at("peak_start")),
                observed: number("observed"),
                expected: number("expected"),
                ..found
            });
        }
    }
    Err(Problem::not_found(
        "unknown_incident",
        format!("there is no incident `{name}` among those that are live"),
    )
    .hint("GET /api/v1/incidents lists them; a provisional incident is withdrawn if late records explain it"))
}

fn of_row<'a>(
    scores: &'a ViewSpec,
    spec: &IncidentSpec,
    row: &Row,
    since_us: i64,
    until_us: i64,
) -> Option<Found<'a>> {
    let (_, detection) = detection_of(scores)?;
    let schema = scores.plan.schema();
    let (mut key, mut key_json) = (Vec::new(), Map::new());
    for (field, value) in schema.fields().iter().zip(&row.0[..spec.keys]) {
        let json = value.to_json();
        let text = match &json {
            Json::Null => None,
            Json::String(it) => Some(it.clone()),
            other => Some(other.to_string()),
        };
        key.push((field.name().clone(), text));
        key_json.insert(field.name().clone(), json);
    }
    let Value::Text(metric) = &row.0[spec.keys] else {
        return None;
    };
    Some(Found {
        scores,
        detection,
        metric: match &**metric {
            // By what it brings.
            NEW => detection.metrics.iter().find(|it| it.kind == Kind::Rate)?,
            name => detection.metrics.iter().find(|it| it.name == name)?,
        },
        key,
        key_json,
        since_us,
        until_us,
        peak_us: None,
        observed: None,
        expected: None,
    })
}

/// The cells before and in the incident: dimensions with marks, then whether it is in it, windows, and two sums.
fn summed(inner: &str, found: &Found<'_>, columns: usize, first_us: i64) -> String {
    let argument = |at: usize| format!("\"_{}\"", found.argument(at));
    let (a, b) = match found.metric.kind {
        Kind::Rate => (argument(0), format!("\"{RECORDS}\"")),
        Kind::Ratio => (argument(0), argument(1)),
        // Weighted by records, so that they can be added up.
        Kind::Latency
        | Kind::Value
        | Kind::Drift
        | Kind::Novelty
        | Kind::Series
        | Kind::Outlier => (
            format!("{} * \"{RECORDS}\"", argument(0)),
            format!("\"{RECORDS}\""),
        ),
    };
    let dimensions = (0..columns).flat_map(|it| [dimension(it), is_left_out(it)]);
    let dimensions: Vec<String> = dimensions.map(|it| format!("\"{it}\"")).collect();
    let dimensions = dimensions.join(", ");
    let is_now = format!(
        "\"{WINDOW}\" >= CAST('{}' AS TIMESTAMP)",
        iso_of_micros(first_us)
    );
    format!(
        "SELECT {dimensions}, {is_now} AS \"_now\", count(DISTINCT \"{WINDOW}\") AS \"_windows\", CAST(sum({a}) AS DOUBLE) AS \"_a\", CAST(sum({b}) AS DOUBLE) AS \"_b\" \
         FROM ({inner}) AS c GROUP BY {dimensions}, {is_now} ORDER BY \"_b\" DESC LIMIT {CELLS_MAX}"
    )
}

/// One value of each column of a set; none where records have none.
type Values = Vec<Option<String>>;
type Explained = attribution::Explained<Values>;

fn explained(rows: &[Row], kind: Kind, names: &[String], windows: i64) -> Vec<Explained> {
    let sets = sets(names.len());
    let mut cells: Vec<BTreeMap<Values, Cell>> = vec![BTreeMap::new(); sets.len()];
    let mut baseline = 0_i64;
    for row in rows {
        let is_in = |it: usize| row.0[2 * it + 1].as_i64() == Some(0);
        let set: Vec<usize> = (0..names.len()).filter(|it| is_in(*it)).collect();
        let Some(number) = sets.iter().position(|it| *it == set) else {
            continue;
        };
        let text = |it: &usize| match &row.0[2 * it] {
            Value::Text(it) => Some(it.to_string()),
            _ => None,
        };
        let cell = cells[number]
            .entry(set.iter().map(text).collect())
            .or_default();
        let rest = &row.0[2 * names.len()..];
        let sums = Sums {
            a: rest[2].as_f64().unwrap_or(0.0),
            b: rest[3].as_f64().unwrap_or(0.0),
        };
        match rest[0] == Value::Bool(true) {
            true => cell.now = sums,
            false => {
                cell.before = sums;
                baseline = baseline.max(rest[1].as_i64().unwrap_or(0));
            }
        }
    }
    let scale = windows as f64 / baseline.max(1) as f64;
    attribution::explained(&cells, &sets, kind, scale)
}

fn of_names(
    explained: &[Explained],
    sets: &[Vec<usize>],
    names: &[String],
) -> Vec<DimensionExplained> {
    let told = explained.iter().map(|it| {
        let values = it.values.iter().take(VALUES_MAX).map(|it| ValueExplained {
            value: it.value.clone(),
            observed: it.observed,
            expected: it.expected,
            share_of_change: it.share_of_change,
            share_of_expected: it.share_of_expected,
        });
        DimensionExplained {
            columns: columns(&sets[it.set], names),
            surprise: it.surprise,
            values: values.collect(),
        }
    });
    told.collect()
}

/// The columns and values of the pair that carries the incident, else of the one value that does; empty if none does.
fn carrier(explained: &[Explained], sets: &[Vec<usize>], names: &[String]) -> examples::Carrier {
    let carriers = carriers(explained, sets);
    let Some(it) = carriers.pair.or(carriers.one) else {
        return Vec::new();
    };
    columns(&sets[it.set], names)
        .into_iter()
        .zip(it.value)
        .collect()
}

fn columns(set: &[usize], names: &[String]) -> Vec<String> {
    set.iter().map(|it| names[*it].clone()).collect()
}

/// The value that carries the incident, if one does, and the pair that does so more closely.
fn sentence(explained: &[Explained], sets: &[Vec<usize>], names: &[String]) -> String {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share.min(1.0));
    let told = |it: &Carrier<Values>| {
        let value = written(&columns(&sets[it.set], names), &it.value);
        (value, percent(it.share_of_change))
    };
    let carriers = carriers(explained, sets);
    match (
        carriers.one.as_ref().map(told),
        carriers.pair.as_ref().map(told),
    ) {
        (Some((one, share)), Some((pair, of_pair))) => {
            format!("{one} accounts for {share} of the change, {pair} for {of_pair}")
        }
        (Some((it, share)), None) | (None, Some((it, share))) => {
            format!("{it} accounts for {share} of the change")
        }
        (None, None) => format!(
            "no single value of {} accounts for the change",
            names.join(", ")
        ),
    }
}

fn written(columns: &[String], values: &[Option<String>]) -> String {
    let pairs = columns
        .iter()
        .zip(values)
        .map(|(column, value)| match value {
            Some(value) => format!("{column} {value}"),
            None => format!("no {column}"),
        });
    pairs.collect::<Vec<_>>().join(" with ")
}

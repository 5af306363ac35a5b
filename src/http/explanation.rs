//! `/api/v1/incidents/{incident}/explanation`: what carries an incident, and records that show it, asked of the archive when somebody wants to know.
//!
//! Each value of each column that the detector is explained by, and each pair of them, is compared with the hour's worth of windows before: what it would have been, had all values grown or
//! shrunk alike, and what it was. The formulas are those of `detect::explain`. The records are those of the value or pair that carries it, else any of the key.

mod examples;
#[cfg(test)]
mod tests;

use super::App;
use super::incidents::{detection_of, scores_of};
use super::problem::Problem;
use crate::detect::explain::{Element, Explanation, explanations};
use crate::detect::metric::Kind;
use crate::model::{Row, Value, iso_of_micros, rows_of_batch};
use crate::plan::{Detection, IncidentSpec, MetricSpec, Plan, ViewSpec};
use crate::sql::Watched;
use crate::sql::by_dimensions::{self, Cells, RECORDS, WINDOW, dimension, is_left_out};
use axum::extract::{Path, State};
use axum::response::Json as JsonBody;
use examples::{Carrier, Examples};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Windows before the incident that it is compared with, and of the incident that are looked at.
const WINDOWS: i64 = 60;
/// Values of one column, or pairs, that are told.
const VALUES_MAX: usize = 5;
/// Cells that are asked for, the largest first.
const CELLS_MAX: usize = 50_000;
/// Failures that are expected of the windows before if there was none: else no share of what was expected could be said.
const UNSEEN: f64 = 0.5;
/// A value carries an incident if it has so many times more of the change than it had of all.
const LIFT_MIN: f64 = 1.5;
/// And so much of the change.
const CARRIES: f64 = 0.5;
/// A pair says more than its column if it has nearly as much of the change.
const PAIR_KEEPS: f64 = 0.8;

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
        unexplained("the view that it watches does not read a table of records".to_owned())
    })?;
    let grid = found.detection.grid;
    let reach = WINDOWS * grid.size_us;
    let to_us = found.until_us.min(found.since_us + reach);
    let baseline_us = found.since_us - reach;
    let names = &found.detection.explain_by;
    let (dimensions, query) = match names.is_empty() {
        true => (Vec::new(), None),
        false => {
            let range_us = (baseline_us, to_us);
            let (dimensions, sql) = dimensions(&app, &found, &watched, range_us).await?;
            (dimensions, Some(sql))
        }
    };
    let carrier = carrier(&dimensions);
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
        false => sentence(&dimensions, names),
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
        dimensions,
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
) -> Result<(Vec<DimensionExplained>, String), Problem> {
    let names = &found.detection.explain_by;
    let grid = found.detection.grid;
    let sets: Vec<Vec<String>> = sets(names.len())
        .iter()
        .map(|set| set.iter().map(|it| names[*it].clone()).collect())
        .collect();
    let cells = Cells {
        key: &found.key,
        sets: &sets,
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
    let dimensions = explained(&rows, found.metric.kind, names, windows);
    Ok((dimensions, sql))
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
    .hint("GET /api/v1/incidents lists them; a provisional one goes when late records explain it away"))
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
        metric: detection.metrics.iter().find(|it| it.name == *metric)?,
        key,
        key_json,
        since_us,
        until_us,
        peak_us: None,
        observed: None,
        expected: None,
    })
}

/// Each column alone, and each pair.
fn sets(columns: usize) -> Vec<Vec<usize>> {
    let singles = (0..columns).map(|it| vec![it]);
    let pairs = (0..columns).flat_map(|a| (a + 1..columns).map(move |b| vec![a, b]));
    singles.chain(pairs).collect()
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

/// The sums of a cell.
#[derive(Clone, Copy, Default)]
struct Sums {
    a: f64,
    b: f64,
}

/// Before and in the incident.
#[derive(Clone, Copy, Default)]
struct Cell {
    before: Sums,
    now: Sums,
}

fn explained(rows: &[Row], kind: Kind, names: &[String], windows: i64) -> Vec<DimensionExplained> {
    let sets = sets(names.len());
    let mut cells: Vec<BTreeMap<Vec<Option<String>>, Cell>> = vec![BTreeMap::new(); sets.len()];
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
    let of_all = |of: fn(&Cell) -> Sums| {
        let of_set = cells.iter().find(|it| !it.is_empty());
        let cells = of_set.into_iter().flat_map(BTreeMap::values);
        cells.map(of).fold(Sums::default(), |sum, it| Sums {
            a: sum.a + it.a,
            b: sum.b + it.b,
        })
    };
    let before = of_all(|it| it.before);
    let usual = before.a.max(UNSEEN) / before.b.max(1.0);
    let forecast = |it: &Cell| match kind {
        Kind::Rate => it.before.a * scale,
        // Of nothing before, every record would have had as little.
        _ if before.a <= 0.0 => it.now.b * usual,
        // What as many records would have had; of few records before, what all had.
        Kind::Ratio
        | Kind::Latency
        | Kind::Value
        | Kind::Drift
        | Kind::Novelty
        | Kind::Series
        | Kind::Outlier => it.now.b * (it.before.a + usual) / (it.before.b + 1.0),
    };
    let elements: Vec<Vec<Element>> = cells
        .iter()
        .map(|of_set| {
            let element = |(place, (_, cell)): (usize, (&Vec<Option<String>>, &Cell))| Element {
                name: place.to_string(),
                observed: cell.now.a,
                forecast: forecast(cell),
            };
            of_set.iter().enumerate().map(element).collect()
        })
        .collect();
    let mut found = explanations(&elements);
    // Columns before pairs.
    found.sort_by_key(|it| sets[it.dimension].len());
    let told = found.into_iter().map(|it| {
        let Explanation {
            dimension,
            elements: told,
            surprise,
            ..
        } = it;
        let all = &elements[dimension];
        let observed: f64 = all.iter().map(|it| it.observed).sum();
        let expected: f64 = all.iter().map(|it| it.forecast).sum();
        let places: Vec<(&Vec<Option<String>>, &Cell)> = cells[dimension].iter().collect();
        let values = told.iter().take(VALUES_MAX).filter_map(|name| {
            let place: usize = name.parse().ok()?;
            let element = all.get(place)?;
            let (value, cell) = places.get(place)?;
            let records = match kind {
                Kind::Rate | Kind::Ratio => 1.0,
                Kind::Latency
                | Kind::Value
                | Kind::Drift
                | Kind::Novelty
                | Kind::Series
                | Kind::Outlier => cell.now.b.max(1.0),
            };
            Some(ValueExplained {
                value: value.to_vec(),
                observed: element.observed / records,
                expected: element.forecast / records,
                share_of_change: (element.observed - element.forecast) / (observed - expected),
                share_of_expected: element.forecast / expected,
            })
        });
        DimensionExplained {
            columns: sets[dimension]
                .iter()
                .map(|it| names[*it].clone())
                .collect(),
            surprise,
            values: values.collect(),
        }
    });
    told.collect()
}

/// The value that carries the incident, and the pair that does, each with its share of the change.
struct Carriers<'a> {
    one: Option<(&'a DimensionExplained, f64)>,
    /// Left out if it says no more than the value.
    pair: Option<(&'a DimensionExplained, f64)>,
}

fn carriers(dimensions: &[DimensionExplained]) -> Carriers<'_> {
    let carried = |it: &DimensionExplained| {
        let first = it.values.first()?;
        let carries = CARRIES <= first.share_of_change
            && LIFT_MIN * first.share_of_expected <= first.share_of_change;
        carries.then_some(first.share_of_change)
    };
    let of_size = |size: usize| {
        let of_size = dimensions.iter().filter(move |it| it.columns.len() == size);
        of_size.filter_map(|it| Some((it, carried(it)?))).next()
    };
    let one = of_size(1);
    let says_more = |of_pair: f64| one.is_none_or(|it| PAIR_KEEPS * it.1.min(1.0) <= of_pair);
    Carriers {
        one,
        pair: of_size(2).filter(|it| says_more(it.1)),
    }
}

/// The columns and values of the pair that carries the incident, else of the one value that does; empty if none does.
fn carrier(dimensions: &[DimensionExplained]) -> Carrier {
    let Carriers { one, pair } = carriers(dimensions);
    let Some((it, _)) = pair.or(one) else {
        return Carrier::new();
    };
    let values = it.values.first().map(|it| it.value.iter().cloned());
    it.columns
        .iter()
        .cloned()
        .zip(values.into_iter().flatten())
        .collect()
}

/// The value that carries the incident, if one does, and the pair that does so more closely.
fn sentence(dimensions: &[DimensionExplained], names: &[String]) -> String {
    let told = |it: &DimensionExplained| {
        let first = it.values.first();
        first.map_or_else(String::new, |first| written(&it.columns, &first.value))
    };
    let percent = |share: f64| format!("{:.0} %", 100.0 * share.min(1.0));
    match carriers(dimensions) {
        Carriers {
            one: Some((one, share)),
            pair: Some((pair, of_pair)),
        } => format!(
            "{} carries {} of it, {} {}",
            told(one),
            percent(share),
            told(pair),
            percent(of_pair)
        ),
        Carriers {
            one: Some((it, share)),
            pair: None,
        }
        | Carriers {
            one: None,
            pair: Some((it, share)),
        } => format!("{} carries {} of it", told(it), percent(share)),
        Carriers {
            one: None,
            pair: None,
        } => format!("no value of {} carries it alone", names.join(", ")),
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

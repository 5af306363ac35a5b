//! `/api/v1/history`: what the charts show before the page was opened, from the lake and the live views together.
//!
//! Which views these are, [`Page`] says. Closed windows come from the stored tables, the newest from the live views, and where the one ends
//! the other begins, so that no minute is there twice. Every series says which SQL it is, so a person can look at the rows behind it.
//! A coarser step adds up what adds up, and of anything else keeps the worst: a spike of one minute is seen in a chart of a week.
//!
//! Expected bands are the median of the last 30 usual steps, plus and minus four times their median deviation, but at least a tenth
//! of it: of what hardly moves, a small move is no news. A step outside of its band is an incident and not usual, however many follow; only when
//! as many come in a row as a band is made of, they are what is usual from now on.

use super::App;
use super::filter::{TIMES_US, quoted_name};
use super::page::{Counted, Page, Split};
use super::parameters::Parameters;
use super::problem::Problem;
use crate::model::{Value, iso_of_micros, rows_of_batch};
use crate::plan::{Role, Scale, Statistic};
use axum::extract::State;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

const STEPS_MAX: i64 = 2_000;
/// Steps of a scale that are told apart; what lies beyond counts in the outermost.
const BINS: RangeInclusive<i64> = -100..=200;
/// Classes of a status that are told apart; any other is `other`.
const STATUS_CLASSES: RangeInclusive<i64> = 1..=5;
/// Other outcomes told apart, by how many they are.
const CLASSES_MAX: usize = 8;
const OTHER: &str = "other";
/// The series of what failed, in percent of all.
const FAILED_SHARE: &str = "failed_share";
/// Steps before the first one shown, from which its expectation comes.
const BASELINE_STEPS: usize = 30;
/// Fewer steps than this say nothing about what is normal.
const BASELINE_STEPS_MIN: usize = 10;
/// Deviations to either side; 1.4826 makes the median deviation one standard deviation of a normal distribution.
const BAND_DEVIATIONS: f64 = 4.0 * 1.4826;
const BAND_MEAN_DEVIATIONS: f64 = 4.0 * 1.2533;
/// A band is at least this share of its middle, to either side.
const BAND_SHARE_MIN: f64 = 0.1;
/// Length of the window an hour or a day ago that the present is compared with.
const AGO_US: i64 = 300_000_000;
const SECOND_US: i64 = 1_000_000;

type Numbers = Vec<Option<f64>>;

/// What a dataflow counts over a range of time, in equal steps.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct History {
    /// The epoch of the live part.
    pub epoch: u64,
    pub as_of: String,
    pub from: String,
    pub to: String,
    pub step_seconds: i64,
    /// The view that counts all records.
    pub overall_view: String,
    /// Start of each step, seconds since 1970.
    pub times: Vec<i64>,
    /// By column of the view that counts all records, and `failed_share`, in percent, if it counts what fails. A step without rows is null.
    pub overall: BTreeMap<String, Numbers>,
    /// What each of them is expected to be; null where too little is known.
    pub expected: BTreeMap<String, Band>,
    /// The same count by outcome; a status by its class, `2` to `5`.
    pub by_class: BTreeMap<String, Numbers>,
    /// The same count by steps of a scale.
    pub spread: Option<Spread>,
    /// The same columns five minutes long, an hour and a day before the end, per minute; null if the lake has no rows of then.
    pub hour_ago: Option<BTreeMap<String, f64>>,
    pub day_ago: Option<BTreeMap<String, f64>>,
    /// How long one row of the view that counts all records is.
    pub window_seconds: i64,
    /// The query behind each part, to be run as it stands.
    pub sql: BTreeMap<String, String>,
    /// Versions of the stored tables in it, as of the newest commit.
    pub versions: BTreeMap<String, i64>,
    /// The rule of the bands, in words.
    pub expected_rule: String,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Band {
    pub low: Numbers,
    pub high: Numbers,
}

/// A count by step of time and step of a scale.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Spread {
    /// The number of the first bin on its scale.
    pub first_bin: i64,
    /// Where each bin begins, and where the last one ends.
    pub bounds: Vec<f64>,
    /// One list per step, one count per bin.
    pub counts: Vec<Vec<f64>>,
}

struct Range {
    from: i64,
    to: i64,
    step: i64,
}

pub async fn history(
    State(app): State<Arc<App>>,
    query: Parameters,
) -> Result<JsonBody<History>, Problem> {
    let Page {
        main: Some(main),
        classes,
        spread,
        ..
    } = &app.page
    else {
        return Err(Problem::not_found(
            "no_history",
            "no view of this dataflow counts its records per window",
        )
        .hint("/api/v1/page has the SQL of a view that would, among its suggestions"));
    };
    let window = main.window_seconds.unwrap_or(60) * SECOND_US;
    let range = range_of(&query, window)?;
    let status = app.status.status();
    let versions = status.commit.map(|it| it.versions).unwrap_or_default();
    let epoch = app.hub.epoch();
    let mut history = History {
        epoch: epoch.0,
        as_of: epoch.iso(),
        from: iso_of_micros(range.from),
        to: iso_of_micros(range.to),
        step_seconds: range.step / SECOND_US,
        overall_view: main.view.clone(),
        times: (range.from..range.to)
            .step_by(usize::try_from(range.step).unwrap_or(usize::MAX))
            .map(|it| it / SECOND_US)
            .collect(),
        window_seconds: window / SECOND_US,
        expected_rule: format!(
            "median of the last {BASELINE_STEPS} usual steps, ± 4 median deviations, at least a tenth; steps outside are not usual, unless {BASELINE_STEPS} come in a row"
        ),
        ..History::default()
    };
    fill_overall(&app, main, &range, &mut history).await?;
    if let Some(classes) = classes {
        fill_classes(&app, classes, &range, &mut history).await?;
    }
    if let Some(spread) = spread {
        fill_spread(&app, spread, &range, &mut history).await?;
    }
    history.hour_ago = ago(&app, main, range.to - 3_600 * SECOND_US, window).await?;
    history.day_ago = ago(&app, main, range.to - 86_400 * SECOND_US, window).await?;
    history.versions = versions
        .into_iter()
        .filter(|it| {
            history
                .sql
                .values()
                .any(|sql| sql.contains(&format!("lake.\"{}\"", it.0)))
        })
        .collect();
    Ok(JsonBody(history))
}

/// The range asked for, in whole steps; the last hour if nothing is said.
fn range_of(query: &Parameters, window: i64) -> Result<Range, Problem> {
    let (from, to) = query.range(3_600 * SECOND_US)?;
    let least = (to - from) / STEPS_MAX + 1;
    let step = match query.count("step") {
        None => window.max((to - from) / 240),
        Some(seconds) => i64::try_from(seconds)
            .map_or(i64::MAX, |it| it.saturating_mul(SECOND_US))
            .max(least),
    };
    let step = (step + window - 1) / window * window;
    Ok(Range {
        from: from.div_euclid(step) * step,
        to: to.div_euclid(step) * step + step,
        step,
    })
}

/// Rows of a windowed view between two times: stored ones, then live ones from the oldest live window on.
fn rows_between(app: &App, view: &str, time: &str, from: i64, to: i64) -> String {
    let (name, time) = (quoted_name(view), quoted_name(time));
    let within = |it: i64| it.clamp(*TIMES_US.start(), *TIMES_US.end());
    let (from, to) = (within(from), within(to).max(within(from)));
    let live_from = app
        .hub
        .oldest_window(view)
        .map_or(to, |it| it.max(from).min(to));
    let part = |relation: &str, from: i64, to: i64| {
        format!(
            "SELECT * FROM {relation} WHERE {time} >= '{}' AND {time} < '{}'",
            iso_of_micros(from),
            iso_of_micros(to)
        )
    };
    let live = part(&name, live_from, to);
    if live_from <= from {
        return live;
    }
    let stored = part(&format!("lake.{name}"), from, live_from);
    match live_from < to {
        true => format!("{stored} UNION ALL {live}"),
        false => stored,
    }
}

async fn ask(app: &App, sql: &str) -> Result<Vec<Vec<Value>>, Problem> {
    let answer = app.queries.page(sql).await?;
    let rows = answer.batches.iter().flat_map(rows_of_batch);
    Ok(rows.map(|it| it.0.to_vec()).collect())
}

/// Places a time among the steps.
fn step_at(range: &Range, time: i64, count: usize) -> Option<usize> {
    let at = usize::try_from((time - range.from).div_euclid(range.step)).ok()?;
    (at < count).then_some(at)
}

async fn fill_overall(
    app: &App,
    main: &Counted,
    range: &Range,
    history: &mut History,
) -> Result<(), Problem> {
    let Some(time) = &main.time else {
        return Ok(());
    };
    let before = range.step * BASELINE_STEPS as i64;
    let wider = Range {
        from: range.from - before,
        ..*range
    };
    let columns = figures_of(app, main);
    let merged: Vec<String> = columns
        .iter()
        .map(|(name, merge)| format!("{merge}({name}) AS {name}", name = quoted_name(name)))
        .collect();
    let sql = format!(
        "SELECT tumble_start({}, {}) AS step, {} FROM ({}) GROUP BY 1 ORDER BY 1",
        quoted_name(time),
        range.step,
        merged.join(", "),
        rows_between(app, &main.view, time, wider.from, range.to)
    );
    let steps = history.times.len() + BASELINE_STEPS;
    let mut series = vec![vec![None; steps]; columns.len()];
    for row in ask(app, &sql).await? {
        let Some(at) = row[0].as_i64().and_then(|it| step_at(&wider, it, steps)) else {
            continue;
        };
        for (column, value) in row[1..].iter().enumerate() {
            series[column][at] = value.as_f64();
        }
    }
    history.sql.insert("overall".to_owned(), sql);
    let mut named: Vec<(String, Numbers)> =
        columns.into_iter().map(|it| it.0).zip(series).collect();
    if let Some(share) = failed_share(main, &named) {
        named.push((FAILED_SHARE.to_owned(), share));
    }
    for (name, values) in named {
        let band = expected(&values, BASELINE_STEPS);
        history.expected.insert(name.clone(), band);
        history
            .overall
            .insert(name, values[BASELINE_STEPS..].to_vec());
    }
    Ok(())
}

/// The columns of a view that are figures, each with how those of several windows are merged: what adds up is added, and of anything else
/// the worst is kept, which is the largest but of minima.
fn figures_of(app: &App, counted: &Counted) -> Vec<(String, &'static str)> {
    let counts = [
        Some(&counted.count),
        counted.failed.as_ref(),
        counted.grave.as_ref(),
    ];
    let counts = counts.into_iter().flatten().map(|it| (it.clone(), "sum"));
    let meanings = app.dataflow.named_meanings(&counted.view);
    let others = counted.figures.iter().map(|it| {
        let statistic = meanings.get(&it.name).and_then(|it| it.statistic);
        let merge = match statistic {
            Some(it) if it.adds_up() => "sum",
            Some(Statistic::Min) => "min",
            _ => "max",
        };
        (it.name.clone(), merge)
    });
    counts.chain(others).collect()
}

/// In percent; nothing if failures are not counted.
fn failed_share(main: &Counted, series: &[(String, Numbers)]) -> Option<Numbers> {
    let of = |name: &str| series.iter().find(|it| it.0 == name).map(|it| &it.1);
    let (all, part) = (of(&main.count)?, of(main.failed.as_ref()?)?);
    let share = |(all, part): (&Option<f64>, &Option<f64>)| match (all, part) {
        (Some(all), Some(part)) if 0.0 < *all => Some(100.0 * part / all),
        _ => None,
    };
    Some(all.iter().zip(part).map(share).collect())
}

/// Bands for all values after the first `skip`, each from the usual values before it.
fn expected(values: &[Option<f64>], skip: usize) -> Band {
    let mut band = Band::default();
    let before: Vec<f64> = values[..skip].iter().flatten().copied().collect();
    let mut usual = VecDeque::from(before);
    if let Some((low, high)) = band_of(&usual) {
        usual.retain(|it| low <= *it && *it <= high);
    }
    let mut unusual = VecDeque::new();
    for value in &values[skip..] {
        let around = band_of(&usual);
        band.low.push(around.map(|it| it.0));
        band.high.push(around.map(|it| it.1));
        let Some(value) = *value else {
            continue;
        };
        match around {
            Some((low, high)) if value < low || high < value => {
                unusual.push_back(value);
                if unusual.len() == BASELINE_STEPS {
                    usual = std::mem::take(&mut unusual);
                }
            }
            Some(_) | None => {
                unusual.clear();
                usual.push_back(value);
                if BASELINE_STEPS < usual.len() {
                    usual.pop_front();
                }
            }
        }
    }
    band
}

/// Where the next of these values is expected; nothing if they are too few to say.
fn band_of(usual: &VecDeque<f64>) -> Option<(f64, f64)> {
    if usual.len() < BASELINE_STEPS_MIN {
        return None;
    }
    let mut values: Vec<f64> = usual.iter().copied().collect();
    let middle = median(&mut values);
    let mut deviations: Vec<f64> = values.iter().map(|it| (it - middle).abs()).collect();
    let width = match median(&mut deviations) {
        // More than half of them are the same; the mean deviation of a normal distribution is 0.8 standard ones.
        0.0 => BAND_MEAN_DEVIATIONS * deviations.iter().sum::<f64>() / deviations.len() as f64,
        deviation => BAND_DEVIATIONS * deviation,
    };
    let width = width.max(BAND_SHARE_MIN * middle.abs());
    Some(((middle - width).max(0.0), middle + width))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        0 => f64::midpoint(values[half - 1], values[half]),
        _ => values[half],
    }
}

async fn fill_classes(
    app: &App,
    split: &Split,
    range: &Range,
    history: &mut History,
) -> Result<(), Problem> {
    let sql = sql_of_split(app, split, range);
    let steps = history.times.len();
    let is_status = split.key.role == Role::Status.name();
    let mut all: BTreeMap<String, Numbers> = BTreeMap::new();
    for row in ask(app, &sql).await? {
        let Some(at) = row[0].as_i64().and_then(|it| step_at(range, it, steps)) else {
            continue;
        };
        let name = match (is_status, row[1].as_i64()) {
            (true, Some(status)) => class_of(status),
            _ if row[1] == Value::Null => OTHER.to_owned(),
            _ => text_of(&row[1]),
        };
        let series = all.entry(name).or_insert_with(|| vec![None; steps]);
        if let Some(count) = row[2].as_f64() {
            series[at] = Some(series[at].unwrap_or(0.0) + count);
        }
    }
    history.by_class = with_others(all);
    history.sql.insert("by_class".to_owned(), sql);
    Ok(())
}

/// `404` and `4` are both of class `4`.
fn class_of(status: i64) -> String {
    let class = if 100 <= status { status / 100 } else { status };
    match STATUS_CLASSES.contains(&class) {
        true => class.to_string(),
        false => OTHER.to_owned(),
    }
}

/// The most frequent, and the rest together.
fn with_others(mut all: BTreeMap<String, Numbers>) -> BTreeMap<String, Numbers> {
    let total = |it: &Numbers| it.iter().flatten().sum::<f64>();
    let mut names: Vec<(String, f64)> = all
        .iter()
        .map(|(name, series)| (name.clone(), total(series)))
        .collect();
    names.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (name, _) in names.into_iter().skip(CLASSES_MAX) {
        let Some(series) = all.remove(&name) else {
            continue;
        };
        let others = all
            .entry(OTHER.to_owned())
            .or_insert_with(|| vec![None; series.len()]);
        for (other, value) in others.iter_mut().zip(series) {
            if let Some(value) = value {
                *other = Some(other.unwrap_or(0.0) + value);
            }
        }
    }
    all
}

fn sql_of_split(app: &App, split: &Split, range: &Range) -> String {
    format!(
        "SELECT tumble_start({}, {}) AS step, {key}, sum({count}) AS {count} FROM ({}) GROUP BY 1, 2 ORDER BY 1, 2",
        quoted_name(&split.time),
        range.step,
        rows_between(app, &split.view, &split.time, range.from, range.to),
        key = quoted_name(&split.key.name),
        count = quoted_name(&split.count),
    )
}

fn text_of(value: &Value) -> String {
    match value.to_json() {
        serde_json::Value::String(it) => it,
        other => other.to_string(),
    }
}

async fn fill_spread(
    app: &App,
    split: &Split,
    range: &Range,
    history: &mut History,
) -> Result<(), Problem> {
    let Some(scale) = scale_of(app, split) else {
        return Ok(());
    };
    let sql = sql_of_split(app, split, range);
    let rows = ask(app, &sql).await?;
    history.sql.insert("spread".to_owned(), sql);
    let bin_of = |row: &[Value]| {
        let bin = row[1].as_i64()?;
        Some(bin.clamp(*BINS.start(), *BINS.end()))
    };
    let bins = rows.iter().filter_map(|it| bin_of(it));
    let (Some(low), Some(high)) = (bins.clone().min(), bins.max()) else {
        return Ok(());
    };
    let width = usize::try_from(high - low + 1).unwrap_or(1);
    let steps = history.times.len();
    let mut spread = Spread {
        first_bin: low,
        bounds: (low..=high + 1).map(|it| scale.lower_bound(it)).collect(),
        counts: vec![vec![0.0; width]; steps],
    };
    for row in rows {
        let step = row[0].as_i64().and_then(|it| step_at(range, it, steps));
        let bin = bin_of(&row).and_then(|it| usize::try_from(it - low).ok());
        if let (Some(step), Some(bin), Some(count)) = (step, bin, row[2].as_f64()) {
            spread.counts[step][bin] += count;
        }
    }
    history.spread = Some(spread);
    Ok(())
}

fn scale_of(app: &App, split: &Split) -> Option<Scale> {
    let meanings = app.dataflow.named_meanings(&split.view);
    meanings.get(&split.key.name)?.scale
}

/// All columns over five minutes that end at a time, per window; nothing if there are no rows of then.
async fn ago(
    app: &App,
    main: &Counted,
    end: i64,
    window: i64,
) -> Result<Option<BTreeMap<String, f64>>, Problem> {
    let Some(time) = &main.time else {
        return Ok(None);
    };
    let length = AGO_US.max(window);
    let columns: Vec<String> = figures_of(app, main).into_iter().map(|it| it.0).collect();
    let means: Vec<String> = columns
        .iter()
        .map(|it| format!("avg({0}) AS {0}", quoted_name(it)))
        .collect();
    let rows = rows_between(
        app,
        &main.view,
        time,
        (end - length).div_euclid(window) * window,
        end.div_euclid(window) * window,
    );
    let sql = format!("SELECT {} FROM ({rows})", means.join(", "));
    let Some(row) = ask(app, &sql).await?.into_iter().next() else {
        return Ok(None);
    };
    let mut found: BTreeMap<String, f64> = columns
        .into_iter()
        .zip(row)
        .filter_map(|(name, value)| Some((name, value.as_f64()?)))
        .collect();
    let failed = main.failed.as_ref().and_then(|it| found.get(it)).copied();
    if let (Some(all), Some(part)) = (found.get(&main.count).copied(), failed)
        && 0.0 < all
    {
        found.insert(FAILED_SHARE.to_owned(), 100.0 * part / all);
    }
    Ok((!found.is_empty()).then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::read_parameters;
    use axum::http::Method;

    #[test]
    fn a_band_comes_from_what_was_before_and_needs_enough_of_it() {
        let mut values: Vec<Option<f64>> = (0..40).map(|it| Some(f64::from(it % 2))).collect();
        values[39] = Some(1_000.0);
        let band = expected(&values, 0);
        assert_eq!(band.high[BASELINE_STEPS_MIN - 1], None);
        let high = band.high[39].expect("thirty steps are enough");
        assert!(
            1.0 < high && high < 10.0,
            "the outlier does not widen its own band: {high}"
        );
    }

    /// A rate that hovers around 10 in small steps.
    fn calm(count: usize) -> Vec<Option<f64>> {
        (0..count)
            .map(|it| Some(10.0 + (it * 7 % 5) as f64 / 10.0))
            .collect()
    }

    #[test]
    fn a_past_incident_is_not_what_is_expected() {
        // Twenty minutes of 25, calm, and the same again: the second is as far outside as the first.
        let mut values = calm(120);
        for at in (40..60).chain(80..100) {
            values[at] = Some(25.0);
        }
        let band = expected(&values, BASELINE_STEPS);
        for at in BASELINE_STEPS..120 {
            let high = band.high[at - BASELINE_STEPS].expect("enough is known");
            assert!(10.4 < high && high < 13.0, "step {at}: {high}");
        }
    }

    #[test]
    fn an_incident_before_the_range_is_not_learned_either() {
        let mut values = calm(60);
        values[12..24].fill(Some(25.0));
        let band = expected(&values, BASELINE_STEPS);
        assert!(band.high.iter().all(|it| it.is_some_and(|it| it < 13.0)));
    }

    #[test]
    fn a_new_level_is_usual_when_it_has_lasted() {
        let mut values = calm(120);
        values[40..].fill(Some(25.0));
        let band = expected(&values, BASELINE_STEPS);
        let high_at = |at: usize| band.high[at - BASELINE_STEPS].expect("enough is known");
        assert!(high_at(40 + BASELINE_STEPS - 1) < 13.0);
        assert!(25.0 < high_at(40 + BASELINE_STEPS));
    }

    #[test]
    fn steps_are_whole_windows_and_bounded() {
        let range = range_of(&query("step=90"), 60 * SECOND_US).expect("a good range");
        assert_eq!(range.step, 120 * SECOND_US);
        assert_eq!(range.from % range.step, 0);
        assert!(range.from < range.to);
        let back = range_of(&query("from=2000&to=1000"), 60 * SECOND_US);
        assert!(back.is_err());
    }

    fn query(text: &str) -> Parameters {
        read_parameters(&Method::GET, "/api/v1/history", text).expect("they are good")
    }

    #[test]
    fn no_range_has_many_steps_and_none_overflows() {
        let ends = [
            "-8520336000000",
            "0",
            "1767225600000",
            "9214646400000",
            "1700-01-01T00:00:00Z",
            "2262-01-01T00:00:00Z",
        ];
        let steps = ["", "1", "60", "86400"];
        for (from, to) in ends.iter().flat_map(|from| ends.map(|to| (*from, to))) {
            for (step, window) in steps
                .iter()
                .flat_map(|step| [1, 60, 86_400].map(|it| (*step, it)))
            {
                let text = format!("from={from}&to={to}&step={step}");
                if let Ok(range) = range_of(&query(&text), window * SECOND_US) {
                    let count = (range.to - range.from) / range.step;
                    assert!((1..=STEPS_MAX + 2).contains(&count), "{text}: {count}");
                    let all = TIMES_US.start() - range.step..=TIMES_US.end() + range.step;
                    assert!(
                        all.contains(&range.from) && all.contains(&range.to),
                        "{text}"
                    );
                }
            }
        }
    }
}

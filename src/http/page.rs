//! `/api/v1/page`: what Overview shows of this dataflow, chosen by what its columns are and not by what they are called.
//!
//! One view counts all records per window: its counts, failures, durations, sums and distinct counts become tiles and the first charts.
//! Others split the same count by an outcome, by steps of a scale, or by a key. What is left over has panels of its own, and what is not
//! there but could be is a suggestion with the SQL that adds it. `page.toml` orders, titles and hides panels.

mod suggestions;
#[cfg(test)]
mod tests;

use super::App;
use super::catalog::CatalogColumn;
use crate::plan::{Dataflow, Meaning, Plan, Role, Statistic, ViewKind, ViewSpec, Window};
use axum::extract::State;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

const SECOND_US: i64 = 1_000_000;
/// Words of columns that count what failed, and of these what is grave.
const FAILED: [&str; 12] = [
    "error",
    "errors",
    "failed",
    "failure",
    "failures",
    "fail",
    "rejected",
    "declined",
    "timeouts",
    "exceptions",
    "refused",
    "aborted",
];
const GRAVE: [&str; 6] = ["server", "critical", "fatal", "5xx", "internal", "crash"];

/// What Overview shows.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Page {
    pub title: String,
    /// Counts all records per window.
    pub main: Option<Counted>,
    /// Counts those of the newest seconds, and goes on by the clock.
    pub now: Option<Counted>,
    /// Counts all there ever were.
    pub total: Option<Counted>,
    /// The same count by outcome.
    pub classes: Option<Split>,
    /// The same count by steps of a scale.
    pub spread: Option<Split>,
    /// The same count by a key, finest windows first.
    pub keys: Vec<Keyed>,
    /// All other views worth a panel, in their order.
    pub panels: Vec<PagePanel>,
    /// So many of them are named by `page.toml`, and come first.
    pub panels_named: usize,
    /// The table of records that all of it is about, and its columns.
    pub records: Option<String>,
    pub record_columns: Vec<CatalogColumn>,
    pub suggestions: Vec<Suggestion>,
}

/// A view without keys that counts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Counted {
    pub view: String,
    /// The column with the start of the window, if it has windows.
    pub time: Option<String>,
    /// How long a window is, or the range that slides.
    pub window_seconds: Option<i64>,
    /// Whether its rows are in the lake, too.
    pub stored: bool,
    /// The column that counts all.
    pub count: String,
    /// What is counted, in words: `requests`.
    pub noun: String,
    /// The column that counts what failed of it, and of that what is grave.
    pub failed: Option<String>,
    pub grave: Option<String>,
    /// What else it says.
    pub figures: Vec<CatalogColumn>,
    /// The one of them that tells slow records best, if it has durations.
    pub telling: Option<String>,
}

/// A windowed view that counts by one key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Split {
    pub view: String,
    pub time: String,
    pub window_seconds: i64,
    pub key: CatalogColumn,
    pub count: String,
}

/// A windowed view that counts by one key, with what can be said of each.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Keyed {
    pub view: String,
    pub time: String,
    pub window_seconds: i64,
    pub stored: bool,
    pub key: CatalogColumn,
    /// Whether records have a column of this name, so that a value leads to them.
    pub filters: bool,
    pub count: String,
    pub noun: String,
    pub failed: Option<String>,
    pub grave: Option<String>,
    /// The duration that tells slow ones best.
    pub duration: Option<CatalogColumn>,
}

/// A view with a panel of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PagePanel {
    pub view: String,
    pub title: String,
    /// `lines` over time, a `table`, or `values` of one row.
    pub kind: String,
    /// What the text of the dataflow says of it.
    pub comment: Option<String>,
}

/// What could be shown if the dataflow had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Suggestion {
    pub title: String,
    /// To add to the text of the dataflow.
    pub sql: String,
}

pub async fn page(State(app): State<Arc<App>>) -> JsonBody<Page> {
    JsonBody(app.page.clone())
}

/// What a page shows of a dataflow.
pub fn page_of(dataflow: &Dataflow) -> Page {
    let views: Vec<Described> = dataflow
        .views
        .iter()
        .filter(|it| is_of_people(dataflow, it))
        .map(|it| Described::new(dataflow, it))
        .collect();
    let hidden = |view: &str| dataflow.page.panel(view).is_some_and(|it| it.hidden);
    let shown = || views.iter().filter(|it| !hidden(&it.spec.name));
    let counted = |it: &&Described| it.keys.is_empty() && it.count.is_some();
    let main = shown()
        .filter(counted)
        .filter(|it| it.window.is_some() && it.spec.stored)
        .min_by_key(|it| (it.failed.is_none(), it.window, Reverse(it.figures.len())));
    let now = shown()
        .filter(counted)
        .filter(|it| it.slides_us.is_some())
        .min_by_key(|it| it.slides_us);
    let total = shown().filter(counted).find(|it| {
        it.window.is_none() && it.slides_us.is_none() && it.time.is_none() && !it.is_limited
    });
    // Splits of the same count: those that count what the main view counts.
    let noun = main.and_then(|it| it.count.as_deref());
    let split = |wanted: &dyn Fn(Role) -> bool| {
        shown()
            .filter(|it| it.window.is_some() && it.count.as_deref() == noun)
            .filter(|it| matches!(it.keys.as_slice(), [key] if wanted(it.meaning(key).role)))
            .min_by_key(|it| it.window)
    };
    let classes = main.and(split(&|it| matches!(it, Role::Status | Role::Level)));
    let spread = main.and(split(&|it| it == Role::Bin));
    let mut keyed: Vec<&Described> = shown()
        .filter(|it| it.window.is_some() && it.spec.stored && it.count.is_some())
        .filter(|it| matches!(it.keys.as_slice(), [key] if it.meaning(key).role.is_key()))
        .filter(|it| classes.is_none_or(|classes| classes.spec.name != it.spec.name))
        .collect();
    keyed.sort_by_key(|it| (it.failed.is_none(), it.window));
    let records = dataflow.tables.iter().find(|it| it.event_time.is_some());
    let schema = records.map(|it| it.plan.schema());
    let names = schema.iter().flat_map(|it| it.fields().iter());
    let record_columns: BTreeSet<String> = names.map(|it| it.name().clone()).collect();
    let mut used: BTreeSet<&str> = [main, now, total, classes, spread]
        .into_iter()
        .flatten()
        .chain(keyed.iter().copied())
        .map(|it| it.spec.name.as_str())
        .collect();
    // With a page.toml, what it names has a panel, whatever else shows it.
    for panel in &dataflow.page.panels {
        used.remove(panel.view.as_str());
    }
    // What is ranked by a key that is compared already says the same again.
    let compared: BTreeSet<&String> = keyed.iter().flat_map(|it| &it.keys).collect();
    let repeats =
        |it: &Described| !it.keys.is_empty() && it.keys.iter().all(|key| compared.contains(key));
    let mut panels: Vec<((usize, usize), PagePanel)> = shown()
        .filter(|it| !used.contains(it.spec.name.as_str()))
        .filter_map(|it| {
            let named = dataflow.page.panels.iter();
            let place = named.clone().position(|panel| panel.view == it.spec.name);
            let panel = it.panel(dataflow)?;
            let rank = match panel.kind.as_str() {
                _ if repeats(it) => 3,
                "table" if it.is_limited => 0,
                "values" => 1,
                _ => 2,
            };
            Some(((place.unwrap_or(usize::MAX), rank), panel))
        })
        .collect();
    panels.sort_by_key(|it| it.0);
    let mut page = Page {
        title: dataflow
            .page
            .title
            .clone()
            .unwrap_or_else(|| dataflow.name.clone()),
        main: main.map(Described::counted),
        now: now.map(Described::counted),
        total: total.map(Described::counted),
        classes: classes.and_then(Described::split),
        spread: spread.and_then(Described::split),
        keys: keyed
            .iter()
            .filter_map(|it| it.keyed(&record_columns))
            .collect(),
        panels_named: panels.iter().filter(|it| it.0.0 < usize::MAX).count(),
        panels: panels.into_iter().map(|it| it.1).collect(),
        records: records.map(|it| it.name.clone()),
        record_columns: records
            .map(|it| super::catalog::columns(dataflow, &it.name, &it.plan.schema()))
            .unwrap_or_default(),
        suggestions: Vec::new(),
    };
    page.suggestions = suggestions::suggestions(dataflow, &page);
    page
}

/// Whether a view is the user's: not of the engine, nor of a detector, which have pages of their own.
fn is_of_people(dataflow: &Dataflow, view: &ViewSpec) -> bool {
    let is_detectors = matches!(view.plan, Plan::Detect { .. } | Plan::Incidents { .. });
    !is_detectors && !dataflow.built_in.contains(&view.name)
}

/// A view with what its columns are.
struct Described<'a> {
    spec: &'a ViewSpec,
    columns: Vec<(String, Meaning)>,
    described: Vec<CatalogColumn>,
    /// The start of its window.
    time: Option<String>,
    /// How long its windows are, if they follow one another.
    window: Option<i64>,
    /// How long the range is that slides with the clock.
    slides_us: Option<i64>,
    is_limited: bool,
    keys: Vec<String>,
    count: Option<String>,
    failed: Option<String>,
    grave: Option<String>,
    figures: Vec<CatalogColumn>,
}

impl<'a> Described<'a> {
    fn new(dataflow: &Dataflow, spec: &'a ViewSpec) -> Self {
        let schema = spec.plan.schema();
        let names = schema.fields().iter().map(|it| it.name().clone());
        let columns: Vec<(String, Meaning)> = names.zip(dataflow.meanings(&spec.name)).collect();
        let described = super::catalog::columns(dataflow, &spec.name, &schema);
        let ends = spec.properties(dataflow).window_ends;
        let start = ends.iter().position(|it| it.is_some_and(|it| 0 < it));
        let (mut overlaps, mut slides_us) = (false, None);
        spec.plan.walk(&mut |node| {
            if let Plan::Aggregate { aggregation, .. } = node {
                overlaps |= aggregation.hops.is_some();
                if let Window::Last { size_us, .. } = aggregation.window {
                    slides_us = Some(size_us);
                }
            }
        });
        let is_windowed = matches!(spec.kind, ViewKind::Windowed { .. });
        let time = start
            .filter(|_| is_windowed)
            .map(|it| columns[it].0.clone());
        let size = start.and_then(|it| ends[it]);
        let window = size.filter(|_| is_windowed && !overlaps);
        let is_time = |it: &Meaning| it.role == Role::Time;
        let keys: Vec<String> = columns
            .iter()
            .filter(|(_, it)| !is_time(it) && !it.role.is_figure())
            .map(|it| it.0.clone())
            .collect();
        let all = columns.iter().find(|(_, it)| {
            let is_of_all = matches!(it.statistic, Some(Statistic::Count | Statistic::Sum));
            it.role == Role::Count && it.counts_records && is_of_all
        });
        let count = all.map(|it| it.0.clone());
        let of_failures = |grave: bool| {
            columns.iter().find(|(name, it)| {
                let words: Vec<String> =
                    name.to_lowercase().split('_').map(str::to_owned).collect();
                let has = |all: &[&str]| words.iter().any(|it| all.contains(&it.as_str()));
                it.role == Role::Count
                    && it.statistic != Some(Statistic::CountDistinct)
                    && Some(name) != count.as_ref()
                    && has(&FAILED)
                    && has(&GRAVE) == grave
            })
        };
        let failed = of_failures(false).or_else(|| of_failures(true));
        let grave = of_failures(true).filter(|it| Some(&it.0) != failed.map(|it| &it.0));
        let failed = failed.map(|it| it.0.clone());
        let grave = grave.map(|it| it.0.clone());
        let figures = described
            .iter()
            .zip(&columns)
            .filter(|(it, (_, meaning))| {
                let taken = [&count, &failed, &grave];
                meaning.role.is_figure() && !taken.contains(&&Some(it.name.clone()))
            })
            .map(|it| it.0.clone())
            .collect();
        Described {
            spec,
            columns,
            described,
            time,
            window,
            slides_us,
            is_limited: matches!(spec.plan, Plan::TopK { .. }) || !spec.order.is_empty(),
            keys,
            count,
            failed,
            grave,
            figures,
        }
    }

    fn meaning(&self, column: &str) -> &Meaning {
        let found = self.columns.iter().find(|it| it.0 == column);
        &found.expect("it is one of its columns").1
    }

    fn column(&self, name: &str) -> Option<CatalogColumn> {
        self.described.iter().find(|it| it.name == name).cloned()
    }

    fn noun(&self) -> String {
        let name = self.count.as_deref().unwrap_or_default();
        match name.len() <= 3 || ["count", "total"].contains(&name) || name.ends_with("_count") {
            true => "records".to_owned(),
            false => name.replace('_', " "),
        }
    }

    fn counted(&self) -> Counted {
        Counted {
            view: self.spec.name.clone(),
            time: self.time.clone(),
            window_seconds: self.window.or(self.slides_us).map(|it| it / SECOND_US),
            stored: self.spec.stored,
            count: self.count.clone().unwrap_or_default(),
            noun: self.noun(),
            failed: self.failed.clone(),
            grave: self.grave.clone(),
            telling: self.telling().map(|it| it.name.clone()),
            figures: self.figures.clone(),
        }
    }

    fn split(&self) -> Option<Split> {
        Some(Split {
            view: self.spec.name.clone(),
            time: self.time.clone()?,
            window_seconds: self.window? / SECOND_US,
            key: self.column(self.keys.first()?)?,
            count: self.count.clone()?,
        })
    }

    fn keyed(&self, record_columns: &BTreeSet<String>) -> Option<Keyed> {
        let key = self.column(self.keys.first()?)?;
        Some(Keyed {
            view: self.spec.name.clone(),
            time: self.time.clone()?,
            window_seconds: self.window? / SECOND_US,
            stored: self.spec.stored,
            filters: record_columns.contains(&key.name),
            key,
            count: self.count.clone()?,
            noun: self.noun(),
            failed: self.failed.clone(),
            grave: self.grave.clone(),
            duration: self.telling().cloned(),
        })
    }

    /// The first of its durations that tell slow ones best.
    fn telling(&self) -> Option<&CatalogColumn> {
        let durations = self.figures.iter().rev();
        durations
            .filter(|it| it.role == Role::Duration.name())
            .max_by_key(|it| how_telling(it))
    }

    /// Nothing if it has no figure to show.
    fn panel(&self, dataflow: &Dataflow) -> Option<PagePanel> {
        let named = dataflow.page.panel(&self.spec.name);
        let has_figures = self.columns.iter().any(|it| it.1.role.is_figure());
        if !has_figures && named.is_none() {
            return None;
        }
        let is_one = self.keys.is_empty() && self.time.is_none();
        let kind = match (self.time.is_some(), is_one && !self.is_limited) {
            (true, _) => "lines",
            (false, true) => "values",
            (false, false) => "table",
        };
        let title = named.and_then(|it| it.title.clone());
        Some(PagePanel {
            view: self.spec.name.clone(),
            title: title.unwrap_or_else(|| titled(&self.spec.name)),
            kind: kind.to_owned(),
            comment: super::catalog::comment(dataflow, &self.spec.name),
        })
    }
}

/// A name as a title: `top_paths` is `Top paths`.
fn titled(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// Of durations the one that tells slow ones best: p95, else the highest other percentile, the largest, the mean.
fn how_telling(column: &CatalogColumn) -> u32 {
    match column.statistic.as_deref() {
        Some("p95") => 200,
        Some("max") => 60,
        Some("mean") => 50,
        Some(it) => {
            let percent = it.strip_prefix('p').and_then(|it| it.parse::<f64>().ok());
            percent.map_or(10, |it| 60 + it as u32)
        }
        None => 0,
    }
}

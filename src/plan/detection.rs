//! Detectors and incidents as nodes of a plan: what they read, what their rows are, and both computed in a batch.
//!
//! ```text
//! view of windows ── Detect ──► a row per key, metric and window ── Incidents ──► a row per incident
//! ```
//!
//! What a window is worth is said by `detect`: here rows become its windows, and its verdicts rows. The batch is the oracle of the operators in the engine, and what `verify` holds the tables against: it
//! folds all windows of a key in one go.

use super::sharing::bound_of;
use super::{Dataflow, Plan, RowEnd};
use crate::detect::Scored;
use crate::detect::discoveries::least_discovered;
use crate::detect::incident::{Evidence as Alarm, Incident, Incidents};
use crate::detect::metric::{Evidence, Kind, Metric};
use crate::detect::newcomers::{Arrivals, Came, Newcomers, Rule};
use crate::detect::outlier::Point;
use crate::detect::ratio::Share;
use crate::detect::windows::{Fold, Verdict, Windows};
use crate::model::{Float, Row, Value};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

const DAY_US: f64 = 86_400e6;

/// The metric of keys that are new.
pub const NEW: &str = "new";

/// A detector over the windows of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// A name for stored state.
    pub id: String,
    /// Columns of the input that make the key.
    pub keys: Vec<usize>,
    /// What tells the end of a row's window.
    pub end: RowEnd,
    pub grid: Grid,
    pub metrics: Vec<MetricSpec>,
    /// The length of a season, if there is one.
    pub season_us: Option<i64>,
    /// Windows are judged so long before the watermark closes them: until then a late record can change what is said of them.
    pub early_us: i64,
    /// False alerts of all keys and metrics together that are accepted in a day.
    pub alerts_per_day: f64,
    /// The sources whose clocks close the windows: the one furthest behind.
    pub clocks: BTreeSet<String>,
    /// Columns of the records behind the windows by which an anomaly is explained. They change nothing that is said.
    pub explain_by: Vec<String>,
}

/// Windows of one length, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub size_us: i64,
    /// They begin at multiples of their length, counted from so long after the beginning of 1970.
    pub offset_us: i64,
}

impl Grid {
    /// The number of the window with this end.
    pub fn of_end(self, end_us: i64) -> i64 {
        let from_offset = end_us.saturating_sub(self.offset_us);
        from_offset.div_euclid(self.size_us).saturating_sub(1)
    }

    pub fn start(self, window: i64) -> i64 {
        let start = window.saturating_mul(self.size_us);
        start.saturating_add(self.offset_us)
    }

    pub fn end(self, window: i64) -> i64 {
        self.start(window.saturating_add(1))
    }
}

/// One of the metrics of a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    pub name: String,
    pub kind: Kind,
    /// Columns of the input: of a ratio failures and all, as many as there are values of an outlier, else one.
    pub columns: Vec<usize>,
}

/// A row of the input, as a detector sees it.
pub struct Observed {
    pub key: Row,
    pub window: i64,
    pub evidence: Vec<Evidence>,
}

/// What is said of a window, without whether it is an anomaly: that depends on all keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub window: i64,
    pub severity: Option<f64>,
    /// What the key brought; told with one of its metrics.
    pub came: Option<Came>,
    pub row: Row,
}

impl Detection {
    pub fn windows(&self) -> Windows {
        let season = |it: i64| u32::try_from(it / self.grid.size_us).unwrap_or(u32::MAX);
        let season = self.season_us.map(season).filter(|it| 1 < *it);
        let seconds = u32::try_from(self.grid.size_us / 1_000_000).unwrap_or(u32::MAX);
        let metrics = self.metrics.iter();
        Windows {
            metrics: metrics
                .map(|it| Metric::new(it.kind, seconds, season))
                .collect(),
            hour: self.rule_of_newcomers().hour(),
        }
    }

    /// For how long a key is new.
    pub fn newcomer_us(&self) -> i64 {
        let windows = self.rule_of_newcomers().hour();
        windows.saturating_mul(self.grid.size_us)
    }

    /// What makes a key that is new remarkable; none if there is but one key, or no count of what keys bring.
    pub fn newcomers(&self) -> Option<Rule> {
        let counts = self.metrics.iter().any(|it| it.kind == Kind::Rate);
        (counts && !self.keys.is_empty()).then(|| self.rule_of_newcomers())
    }

    fn rule_of_newcomers(&self) -> Rule {
        Rule::new(self.grid.size_us, self.season_us, self.false_share())
    }

    /// A row without the end of its window is in none.
    pub fn observed(&self, row: &Row) -> Option<Observed> {
        let end = row.0[self.end.column].as_i64()?;
        let number = |column: usize| row.0[column].as_f64();
        let count = |column: usize| row.0[column].as_i64().and_then(|it| u64::try_from(it).ok());
        let evidence = self
            .metrics
            .iter()
            .map(|it| match (it.kind, it.columns.as_slice()) {
                (Kind::Ratio, &[failures, all]) => match (count(failures), count(all)) {
                    (Some(failures), Some(all)) => Evidence::Share(Share { failures, all }),
                    (None, _) | (_, None) => Evidence::NONE,
                },
                (Kind::Outlier, columns) => {
                    let values = columns.iter().map(|it| number(*it).unwrap_or(f64::NAN));
                    Evidence::Point(Point::of(values))
                }
                (_, &[column]) => number(column).map_or(Evidence::NONE, Evidence::Number),
                (kind, columns) => {
                    unreachable!("{} is not of {} columns", kind.name(), columns.len())
                }
            });
        Some(Observed {
            key: Row(self.keys.iter().map(|it| row.0[*it].clone()).collect()),
            window: self.grid.of_end(end.saturating_add(self.end.add_us)),
            evidence: evidence.collect(),
        })
    }

    /// The last window that is judged when all are closed that end by a time.
    pub fn judged_through(&self, closed_us: i64) -> i64 {
        self.grid.of_end(closed_us.saturating_add(self.early_us))
    }

    /// When a window is judged, by the time up to which windows are closed.
    pub fn judged_at(&self, window: i64) -> i64 {
        self.grid.end(window).saturating_sub(self.early_us)
    }

    /// What a verdict says as a row.
    pub fn judged(&self, key: &Row, verdict: &Verdict) -> Judged {
        let scored = verdict.scored;
        let observed = scored.map(|it| it.observed).or(verdict.observed);
        let name = self.metrics[verdict.metric].name.as_str();
        Judged {
            window: verdict.window,
            severity: scored.map(|it| it.severity),
            came: verdict.came,
            row: self.row(key, name, verdict.window, observed, scored.as_ref()),
        }
    }

    /// A key that is new, as a row with its last column.
    pub fn newcomer(&self, key: &Row, window: i64, scored: &Scored, rule: &Rule) -> Row {
        let row = self.row(key, NEW, window, Some(scored.observed), Some(scored));
        self.marked(&row, Some(scored.severity), Some(rule.least))
    }

    fn row(
        &self,
        key: &Row,
        metric: &str,
        window: i64,
        observed: Option<f64>,
        scored: Option<&Scored>,
    ) -> Row {
        let float = |it: f64| Value::Float(Float::new(it));
        let number = |of: fn(&Scored) -> f64| scored.map_or(Value::Null, |it| float(of(it)));
        let of_window = [
            Value::Text(metric.into()),
            Value::Timestamp(self.grid.start(window)),
            Value::Timestamp(self.grid.end(window)),
            observed.map_or(Value::Null, float),
            number(|it| it.expected),
            number(|it| it.low),
            number(|it| it.high),
            number(|it| it.severity),
        ];
        Row(key.0.iter().cloned().chain(of_window).collect())
    }

    /// The share of windows that are called anomalous although nothing is.
    pub fn false_share(&self) -> f64 {
        (self.alerts_per_day * self.grid.size_us as f64 / DAY_US).min(0.5)
    }

    /// The least severity, of those of one window, that is an anomaly.
    pub fn least_anomalous(&self, severities: &[f64]) -> Option<f64> {
        least_discovered(severities, self.false_share())
    }

    /// A judged row with its last column.
    pub fn marked(&self, judged: &Row, severity: Option<f64>, least: Option<f64>) -> Row {
        let is_anomaly = matches!((severity, least), (Some(it), Some(least)) if least <= it);
        let values = judged.0.iter().cloned();
        Row(values.chain([Value::Bool(is_anomaly)]).collect())
    }

    /// The columns of judged and marked windows.
    ///
    /// # Errors
    /// If a column of the key has the name of one of these.
    pub fn schema(&self, input: &SchemaRef) -> Result<SchemaRef, String> {
        let keys = self.keys.iter().map(|it| Arc::clone(&input.fields()[*it]));
        let own = own_fields(&[
            ("metric", DataType::Utf8),
            ("window_start", time()),
            ("window_end", time()),
            ("observed", DataType::Float64),
            ("expected", DataType::Float64),
            ("low", DataType::Float64),
            ("high", DataType::Float64),
            ("severity", DataType::Float64),
            ("is_anomaly", DataType::Boolean),
        ]);
        together(keys.collect(), own)
    }

    /// The rows of a detector over all rows of its input, when all windows are closed that end by a time.
    pub fn batch(&self, input: &[Row], closed_us: i64) -> Vec<Row> {
        let mut keys: BTreeMap<Row, BTreeMap<i64, Vec<Evidence>>> = BTreeMap::new();
        let through = self.judged_through(closed_us);
        for row in input {
            if let Some(it) = self.observed(row).filter(|it| it.window <= through) {
                keys.entry(it.key)
                    .or_default()
                    .insert(it.window, it.evidence);
            }
        }
        let windows = self.windows();
        let newcomers = self.newcomers();
        let mut arrivals: BTreeMap<i64, Arrivals<Row>> = BTreeMap::new();
        let mut by_window: BTreeMap<i64, Vec<Judged>> = BTreeMap::new();
        for (key, observed) in &keys {
            let observed = observed.iter().map(|(at, it)| (*at, it.as_slice()));
            windows.fold(&mut Fold::default(), observed, through, |verdict| {
                if let (Some(rule), Some(came)) = (&newcomers, verdict.came) {
                    let of_window = arrivals.entry(verdict.window).or_default();
                    of_window.add(rule, verdict.window, || key.clone(), came, 1);
                }
                let judged = self.judged(key, &verdict);
                by_window.entry(judged.window).or_default().push(judged);
            });
        }
        let mut rows = Vec::new();
        if let Some(rule) = &newcomers {
            let mut known = Newcomers::default();
            for (window, arrivals) in &arrivals {
                let told = known.step(rule, *window, arrivals);
                let told = told.iter();
                rows.extend(told.map(|(key, it)| self.newcomer(key, *window, it, rule)));
            }
        }
        for judged in by_window.into_values() {
            let severities: Vec<f64> = judged.iter().filter_map(|it| it.severity).collect();
            let least = self.least_anomalous(&severities);
            let marked = judged
                .iter()
                .map(|it| self.marked(&it.row, it.severity, least));
            rows.extend(marked);
        }
        rows
    }
}

/// Incidents of a detector: what its anomalies are together.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentSpec {
    /// A name for stored state.
    pub id: String,
    /// How many columns of the detector's rows are its key.
    pub keys: usize,
    pub grid: Grid,
    /// For how long a key is new.
    pub newcomer_us: i64,
    pub rule: Incidents,
    pub clocks: BTreeSet<String>,
}

/// Where what follows the key stands in a row of a detector.
mod column {
    pub const METRIC: usize = 0;
    pub const WINDOW_END: usize = 2;
    pub const OBSERVED: usize = 3;
    pub const EXPECTED: usize = 4;
    pub const LOW: usize = 5;
    pub const HIGH: usize = 6;
    pub const SEVERITY: usize = 7;
    pub const IS_ANOMALY: usize = 8;
}

/// What becomes of an incident.
pub struct Told {
    pub row: Row,
    pub incident: Incident,
    /// Whether it is over and can change no more.
    pub is_closed: bool,
}

impl IncidentSpec {
    /// Key and metric of a row of the detector.
    pub fn subject(&self, row: &Row) -> Row {
        Row(row.0[..=self.keys + column::METRIC].to_vec().into())
    }

    /// What a row says about incidents; none if nothing.
    pub fn alarm(&self, row: &Row) -> Option<Alarm> {
        let value = |column: usize| &row.0[self.keys + column];
        let alarm = Alarm {
            window: self.grid.of_end(value(column::WINDOW_END).as_i64()?),
            severity: value(column::SEVERITY).as_f64()?,
            is_anomaly: *value(column::IS_ANOMALY) == Value::Bool(true),
        };
        self.rule.counts(&alarm).then_some(alarm)
    }

    /// The last window that is closed when all are that end by a time.
    pub fn closed_through(&self, closed_us: i64) -> i64 {
        self.grid.of_end(closed_us)
    }

    /// The incidents of a subject, from all rows that count, in order.
    pub fn incidents(&self, subject: &Row, rows: &BTreeMap<i64, Row>, closed_us: i64) -> Vec<Told> {
        let through = self.closed_through(closed_us);
        let alarms = rows.values().filter_map(|it| self.alarm(it));
        let incidents = self.rule.incidents(alarms);
        let told = incidents.into_iter().map(|incident| {
            let closes = self.rule.closes_with(&incident);
            let is_closed = closes <= through;
            let state = match () {
                () if is_closed => "closed",
                // Late records can still take it back.
                () if through < incident.first => "provisional",
                () => "open",
            };
            let peak = &rows[&incident.peak_at];
            let of_peak = |column: usize| peak.0[self.keys + column].clone();
            let summary = self.summary(subject, &incident, peak);
            let windows = incident.windows;
            let own = [
                Value::Text(self.name_of(subject, incident.first).into()),
                Value::Text(state.into()),
                Value::Timestamp(self.grid.start(incident.first)),
                Value::Timestamp(self.grid.end(incident.last)),
                match is_closed {
                    true => Value::Timestamp(self.grid.end(closes)),
                    false => Value::Null,
                },
                Value::Int(windows),
                of_peak(column::SEVERITY),
                Value::Timestamp(self.grid.start(incident.peak_at)),
                of_peak(column::OBSERVED),
                of_peak(column::EXPECTED),
                of_peak(column::LOW),
                of_peak(column::HIGH),
                Value::Text(summary.into()),
            ];
            Told {
                row: Row(subject.0.iter().cloned().chain(own).collect()),
                incident,
                is_closed,
            }
        });
        told.collect()
    }

    /// When the state of an incident changes next by time alone, given which windows are closed.
    pub fn changes_at(&self, told: &Told, closed_us: i64) -> Option<i64> {
        let through = self.closed_through(closed_us);
        match told.is_closed {
            true => None,
            false if through < told.incident.first => Some(self.grid.end(told.incident.first)),
            false => Some(self.grid.end(self.rule.closes_with(&told.incident))),
        }
    }

    /// A name that stays the same as long as it begins with the same window.
    fn name_of(&self, subject: &Row, first: i64) -> String {
        let mut text = format!("{}\n{first}\n", self.id);
        for value in subject.0.iter() {
            let _ = writeln!(text, "{}", value.to_json());
        }
        format!("{:016x}", twox_hash::XxHash3_64::oneshot(text.as_bytes()))
    }

    /// What happened, in a sentence.
    fn summary(&self, subject: &Row, incident: &Incident, peak: &Row) -> String {
        let number = |column: usize| peak.0[self.keys + column].as_f64();
        let (observed, expected) = (number(column::OBSERVED), number(column::EXPECTED));
        let (low, high) = (number(column::LOW), number(column::HIGH));
        let text = |value: Option<f64>| value.map_or_else(|| "nothing".to_owned(), rounded);
        let (metric, keys) = subject.0.split_last().expect("a subject has a metric");
        let plain = |value: &Value| match value.to_json() {
            serde_json::Value::String(it) => it,
            serde_json::Value::Null => "NULL".to_owned(),
            other => other.to_string(),
        };
        let of = match keys.is_empty() {
            true => String::new(),
            false => {
                let keys: Vec<String> = keys.iter().map(plain).collect();
                format!(" of {}", keys.join(", "))
            }
        };
        if plain(metric) == NEW {
            let keys: Vec<String> = keys.iter().map(plain).collect();
            let first = match self.newcomer_us {
                3_600_000_000 => "hour".to_owned(),
                other => super::span(other),
            };
            return format!(
                "{} is new: {} in its first {first}, where new ones bring {} at most",
                keys.join(", "),
                text(observed),
                text(high)
            );
        }
        let side = match (observed, expected) {
            (Some(observed), Some(expected)) if observed < expected => "below",
            _ => "above",
        };
        let mut text = format!(
            "{}{of}: {}, {side} the expected {} ({} to {})",
            plain(metric),
            text(observed),
            text(expected),
            text(low),
            text(high),
        );
        match incident.last - incident.first {
            0 => {}
            more => {
                let lasted = super::span((more + 1).saturating_mul(self.grid.size_us));
                let _ = write!(text, ", within {lasted}");
            }
        }
        text
    }

    /// The columns of incidents.
    ///
    /// # Errors
    /// If a column of the key has the name of one of these.
    pub fn schema(&self, input: &SchemaRef) -> Result<SchemaRef, String> {
        let subject = input.fields()[..=self.keys].to_vec();
        let own = own_fields(&[
            ("incident", DataType::Utf8),
            ("state", DataType::Utf8),
            ("since", time()),
            ("until", time()),
            ("closed_at", time()),
            ("windows", DataType::Int64),
            ("severity", DataType::Float64),
            ("peak_start", time()),
            ("observed", DataType::Float64),
            ("expected", DataType::Float64),
            ("low", DataType::Float64),
            ("high", DataType::Float64),
            ("summary", DataType::Utf8),
        ]);
        together(subject, own)
    }

    /// The column of [`Self::schema`] that says since when an incident is over.
    pub fn closed_at(&self) -> usize {
        self.keys + 5
    }

    /// The incidents in all rows of a detector, when all windows are closed that end by a time.
    pub fn batch(&self, input: &[Row], closed_us: i64) -> Vec<Row> {
        let mut subjects: BTreeMap<Row, BTreeMap<i64, Row>> = BTreeMap::new();
        for row in input {
            if let Some(alarm) = self.alarm(row) {
                let rows = subjects.entry(self.subject(row)).or_default();
                rows.insert(alarm.window, row.clone());
            }
        }
        let told = subjects
            .iter()
            .flat_map(|(subject, rows)| self.incidents(subject, rows, closed_us));
        told.map(|it| it.row).collect()
    }
}

/// A number as a sentence has it: three digits that matter.
fn rounded(value: f64) -> String {
    let size = value.abs();
    match () {
        () if size == 0.0 => "0".to_owned(),
        () if 100.0 <= size => format!("{value:.0}"),
        () if 10.0 <= size => format!("{value:.1}"),
        () if 1.0 <= size => format!("{value:.2}"),
        () if 0.001 <= size => format!("{value:.4}"),
        () => format!("{value:.2e}"),
    }
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn own_fields(fields: &[(&str, DataType)]) -> Vec<FieldRef> {
    let field = |(name, of): &(&str, DataType)| Arc::new(Field::new(*name, of.clone(), true));
    fields.iter().map(field).collect()
}

fn together(keys: Vec<FieldRef>, own: Vec<FieldRef>) -> Result<SchemaRef, String> {
    let taken = keys
        .iter()
        .find(|key| own.iter().any(|it| it.name() == key.name()));
    match taken {
        Some(key) => Err(format!(
            "the key has a column `{0}`, and so has every detector; rename it in the view: {0} AS …",
            key.name()
        )),
        None => Ok(Arc::new(Schema::new([keys, own].concat()))),
    }
}

impl Dataflow {
    /// The grid of the windows that rows of a plan belong to; none if they are not of one length, or overlap.
    pub fn grid(&self, plan: &Plan) -> Option<Grid> {
        let mut found = BTreeSet::new();
        if self.has_overlaps(plan, &mut found) {
            return None;
        }
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (Some((size_us, offset_us)), None) => Some(Grid { size_us, offset_us }),
            (None, _) | (Some(_), Some(_)) => None,
        }
    }

    /// Whether windows overlap, here or in a view below; `found` are their lengths and offsets.
    fn has_overlaps(&self, plan: &Plan, found: &mut BTreeSet<(i64, i64)>) -> bool {
        let mut overlap = false;
        plan.walk(&mut |node| match node {
            Plan::Aggregate { aggregation, .. } => overlap |= aggregation.hops.is_some(),
            Plan::Map { columns, .. } => {
                for bound in columns.iter().filter_map(bound_of) {
                    found.insert((bound.size_us, bound.offset_us));
                    // A window that goes on beyond its step, or began before it.
                    overlap |= ![0, bound.size_us].contains(&bound.add_us);
                }
            }
            Plan::Relation { name, .. } => {
                if let Some(view) = self.view(name) {
                    overlap |= self.has_overlaps(&view.plan, found);
                }
            }
            Plan::Constant { .. }
            | Plan::Unnest { .. }
            | Plan::TopK { .. }
            | Plan::Union { .. }
            | Plan::Join { .. }
            | Plan::AsOf { .. }
            | Plan::PerGroup { .. }
            | Plan::Temporal { .. }
            | Plan::Detect { .. }
            | Plan::Incidents { .. }
            | Plan::Admit { .. } => {}
        });
        overlap
    }
}

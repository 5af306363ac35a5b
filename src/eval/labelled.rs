//! What a detector finds in one labelled series.

use super::budget::Judged;
use super::curves::{average_precision, volume_pr};
use super::rates::BUDGETS;
use super::series::Series;
use crate::detect::Score;
use serde::Serialize;

/// Alerts within half an hour are one, or within two windows if these are longer.
const JOIN_DAYS: f64 = 30.0 / 1_440.0;
const JOIN_WINDOWS_MIN: usize = 2;
/// False alerts that last count again after six hours, or so many times what joins them.
const AGAIN_JOINS: usize = 12;
/// Buffers of the volume: as long as the events at most, and no longer than this.
const BUFFER_MAX: usize = 100;

/// Measures of one detector on one series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measures {
    pub events: usize,
    pub anomalous_points: usize,
    pub average_precision: f64,
    pub volume_pr: f64,
    pub at_budgets: Vec<AtOne>,
}

/// At one budget of false alerts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtOne {
    pub budget_per_day: f64,
    pub threshold: Option<f64>,
    pub recall: f64,
    pub precision: Option<f64>,
    pub false_alerts: usize,
    pub delay_windows_median: Option<usize>,
}

/// Measures scores by the labels of their series; nothing if no point is anomalous.
pub fn measure(series: &Series, scores: &[Score]) -> Option<Measures> {
    let severities: Vec<Option<f64>> = scores
        .iter()
        .map(|it| it.scored().map(|it| it.severity))
        .collect();
    let labels: Vec<bool> = series.points.iter().map(|it| it.is_anomaly).collect();
    let events = series.events();
    let windows_per_day = series.windows_per_day();
    let join = ((JOIN_DAYS * windows_per_day).ceil() as usize).max(JOIN_WINDOWS_MIN);
    let judged = Judged {
        scores: &severities,
        events: &events,
        windows_per_day,
        join,
        grace: join,
        again: AGAIN_JOINS * join,
    };
    let at = |budget_per_day: f64| {
        let found = judged.at_budget(budget_per_day);
        AtOne {
            budget_per_day,
            threshold: found.threshold,
            recall: found.recall(),
            precision: found.precision(),
            false_alerts: found.false_alerts,
            delay_windows_median: found.median_delay(),
        }
    };
    let mut lengths: Vec<usize> = events.iter().map(std::ops::Range::len).collect();
    lengths.sort_unstable();
    let buffer = lengths
        .get(lengths.len() / 2)
        .copied()
        .unwrap_or(0)
        .clamp(2, BUFFER_MAX);
    Some(Measures {
        events: events.len(),
        anomalous_points: labels.iter().filter(|it| **it).count(),
        average_precision: average_precision(&severities, &labels)?,
        volume_pr: volume_pr(&severities, &events, buffer)?,
        at_budgets: BUDGETS.map(at).into(),
    })
}

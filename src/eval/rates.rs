//! The rate test: real counts per minute, faults put in, and what each detector finds of them.
//!
//! Everything is fixed before anything is scored: kinds, sizes, places (by the seed), the week of warm-up, budgets, and the settings of all detectors.

use super::budget::{AtBudget, Judged, ratio};
use super::faults::{self, Fault, KINDS};
use super::named::{Named, Season, Subject};
use super::series::Series;
use crate::detect::Window;
use crate::detect::forecast::Scale;
use serde::Serialize;

/// False alerts a day.
pub const BUDGETS: [f64; 2] = [1.0, 0.2];
const MINUTES_PER_DAY: usize = 1_440;
const WARM_UP_DAYS: usize = 7;
const EACH_KIND: usize = 12;
/// Alerts within so many minutes are one, and so long behind a fault is not judged.
const JOIN_MINUTES: usize = 30;
/// False alerts that last count again after so long.
const AGAIN_MINUTES: usize = 360;
const MICROS_PER_MINUTE: i64 = 60_000_000;

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "it has no counts per minute; each line should be `period,count`, such as `1998-04-30 21:30:00,2`"
    )]
    Empty,
    #[error(
        "it spans {days} days; the test needs {needed}, of which the first week is for learning"
    )]
    Short { days: usize, needed: usize },
    #[error(
        "it spans more than {years} years of minutes, from its first time to its last; is one of them wrong?"
    )]
    Long { years: usize },
}

/// All detectors over the same faults.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub seed: u64,
    pub window_minutes: usize,
    /// Days that are judged.
    pub days: f64,
    pub faults: usize,
    pub kinds: Vec<&'static str>,
    pub results: Vec<Outcome>,
}

/// One detector at one budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    pub detector: &'static str,
    pub budget_per_day: f64,
    /// Of each kind, in the order of `kinds`, the share with an alert while it lasted.
    pub recall_by_kind: Vec<f64>,
    /// The mean over kinds.
    pub recall: f64,
    /// The same, where an alert within half an hour behind its end also counts.
    pub recall_with_end: f64,
    pub precision: Option<f64>,
    pub false_alerts_per_day: f64,
    pub delay_windows_median: Option<usize>,
}

/// Counts per minute without gaps; minutes that are missing are zero.
pub fn minutes(series: &Series) -> Result<(i64, Vec<f64>), Error> {
    const YEARS_MAX: usize = 5;
    let minute = |time_us: i64| time_us.div_euclid(MICROS_PER_MINUTE);
    let (Some(first), Some(last)) = (series.points.first(), series.points.last()) else {
        return Err(Error::Empty);
    };
    let first = minute(first.time_us);
    let length = usize::try_from(minute(last.time_us) - first + 1).expect("points are in order");
    if YEARS_MAX * 366 * MINUTES_PER_DAY < length {
        return Err(Error::Long { years: YEARS_MAX });
    }
    let needed = 2 * WARM_UP_DAYS;
    if length < needed * MINUTES_PER_DAY {
        let days = length / MINUTES_PER_DAY;
        return Err(Error::Short { days, needed });
    }
    let mut counts = vec![0.0; length];
    for point in &series.points {
        let count = if point.value.is_finite() {
            point.value.max(0.0)
        } else {
            0.0
        };
        counts[(minute(point.time_us) - first) as usize] += count;
    }
    Ok((first, counts))
}

/// Runs the test.
///
/// # Errors
/// If the series is not one of counts per minute, over two weeks at least.
pub fn run(
    series: &Series,
    seed: u64,
    window: usize,
    detectors: &[Named],
) -> Result<Report, Error> {
    let (first, mut counts) = minutes(series)?;
    // Windows begin at multiples of their length.
    let size = window as i64;
    let skip = (size - first.rem_euclid(size)).rem_euclid(size) as usize;
    counts.drain(..skip);
    let number = (first + skip as i64) / size;
    let warm_up = WARM_UP_DAYS * MINUTES_PER_DAY;
    let faults = faults::inject(&mut counts, seed, warm_up, window, EACH_KIND);
    let windows: Vec<Window<f64>> = counts
        .chunks_exact(window)
        .zip(number..)
        .map(|(counts, number)| Window {
            number,
            evidence: counts.iter().sum(),
        })
        .collect();
    let subject = Subject {
        scale: Scale::Counts,
        season: Season::Windows((MINUTES_PER_DAY / window) as u32),
    };
    let mut report = Report {
        seed,
        window_minutes: window,
        days: (windows.len() - warm_up / window) as f64 * window as f64 / MINUTES_PER_DAY as f64,
        faults: faults.len(),
        kinds: KINDS.iter().map(|it| it.name).collect(),
        results: Vec::new(),
    };
    for detector in detectors {
        let scores = detector.run(subject, &windows);
        let scores = scores.iter().enumerate().map(|(at, score)| {
            let scored = score.scored().filter(|_| warm_up / window <= at);
            scored.map(|it| it.severity)
        });
        let scores: Vec<Option<f64>> = scores.collect();
        report
            .results
            .extend(outcomes(*detector, &scores, &faults, window));
    }
    Ok(report)
}

fn outcomes(
    detector: Named,
    scores: &[Option<f64>],
    faults: &[Fault],
    window: usize,
) -> Vec<Outcome> {
    let behind = JOIN_MINUTES.div_ceil(window);
    let strict: Vec<_> = faults
        .iter()
        .map(|it| it.minutes.start / window..(it.minutes.end.div_ceil(window)).min(scores.len()))
        .collect();
    let with_end: Vec<_> = strict
        .iter()
        .map(|it| it.start..(it.end + behind).min(scores.len()))
        .collect();
    let judged = Judged {
        scores,
        events: &strict,
        windows_per_day: (MINUTES_PER_DAY / window) as f64,
        join: behind,
        grace: behind,
        again: AGAIN_MINUTES.div_ceil(window),
    };
    let also_end = Judged {
        events: &with_end,
        grace: 0,
        ..judged.clone()
    };
    let by_kind = |found: &AtBudget| {
        let of_kind = |kind: usize| {
            let delays = faults
                .iter()
                .zip(&found.delays)
                .filter(move |it| it.0.kind == kind);
            let hits = delays.clone().filter(|it| it.1.is_some()).count();
            ratio(hits, delays.count())
        };
        (0..KINDS.len()).map(of_kind).collect::<Vec<_>>()
    };
    let mean = |it: &[f64]| it.iter().sum::<f64>() / it.len().max(1) as f64;
    let outcome = |budget: f64| {
        let found = judged.at_budget(budget);
        let recall_by_kind = by_kind(&found);
        Outcome {
            detector: detector.name(),
            budget_per_day: budget,
            recall: mean(&recall_by_kind),
            recall_with_end: mean(&by_kind(&also_end.at_budget(budget))),
            recall_by_kind,
            precision: found.precision(),
            false_alerts_per_day: found.false_alerts as f64 / judged.days(),
            delay_windows_median: found.median_delay(),
        }
    };
    BUDGETS.map(outcome).into()
}

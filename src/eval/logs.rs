//! The log test: lines of a real access log, faults put in whose carriers are known, what each detector finds of them, and what is said to carry them.
//!
//! Lines are replayed at their own times, or drawn at the counts per minute of real traffic, since few logs that one can have are both long and busy. Response times that a log does not have are made, and the report
//! says so. Kinds and sizes of faults, budgets and the settings of all detectors are fixed before anything is scored.

pub mod alerts;
mod arrivals;
mod attribution;
pub mod bound;
pub mod disorder;
pub mod faults;
pub mod lines;
mod replay;
mod scores;
#[cfg(test)]
mod tests;

use super::named::Named;
use alerts::{Explained, Outcome, Rule, Scores, explained};
use bound::Bound;
use disorder::Disorder;
use faults::{Change, Fault, KINDS, OfKind, Strangers};
use lines::{ENDPOINT, Line, Log};
use replay::{Pace, Replay};
use scores::{Asked, Key, MINUTES_PER_DAY, Severities};
use serde::Serialize;

/// Endpoints that are keys: the busiest ones.
const KEYS_MAX: usize = 25;
/// Days of learning, or half of a log that has less than twice as many.
const WARM_UP_DAYS: usize = 7;
const MINUTES_MIN: usize = 2 * MINUTES_PER_DAY;
const MINUTES_MAX: usize = 366 * MINUTES_PER_DAY;
/// With fewer lines a minute most windows of most metrics say nothing.
const PER_MINUTE_TELLING: f64 = 20.0;
const BUDGETS: [f64; 2] = [1.0, 0.2];
/// What is compared with the engine's detector.
const BESIDE: [Named; 4] = [
    Named::HoltWinters,
    Named::Ewma,
    Named::Gaussian,
    Named::Static,
];

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it has no line of an access log in common, combined or nginx form")]
    Empty,
    #[error(
        "it spans {minutes} minutes; the test needs {MINUTES_MIN}, or counts of traffic to be replayed at"
    )]
    Short { minutes: usize },
    #[error("it spans {days} days from its first time to its last; is one of them wrong?")]
    Long { days: usize },
}

/// Counts per minute at which lines are replayed.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The first minute, counted from 1970.
    pub first: i64,
    pub counts: Vec<f64>,
    /// The mean that they are brought to.
    pub per_minute: f64,
}

/// All that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub seed: u64,
    pub lines: usize,
    /// From the first line of the log to the last.
    pub log_days: f64,
    pub log_minutes_with_lines: usize,
    /// Whether lines are replayed at the counts of other traffic.
    pub is_drawn: bool,
    pub has_times: bool,
    pub requests: usize,
    pub requests_per_minute: f64,
    pub days_learned: f64,
    pub days_judged: f64,
    /// Days outside of all faults, in which alerts are false.
    pub days_quiet: f64,
    pub keys: usize,
    pub kinds: Vec<&'static str>,
    pub faults: Vec<OfKind>,
    pub outcomes: Vec<Outcome>,
    /// What could be found at all, with each budget.
    pub bounds: Vec<Bound>,
    pub explained: Vec<Explained>,
    pub disorder: Disorder,
    /// Too little is there for figures to say much: why.
    pub caveats: Vec<String>,
}

/// Runs the test.
///
/// # Errors
/// If there are no lines, or too few minutes.
pub fn run(lines: Vec<Line>, traffic: Option<&Traffic>, seed: u64) -> Result<Report, Error> {
    let mut log = Log::of(lines);
    let (own_first, own_length) = log.span().ok_or(Error::Empty)?;
    if MINUTES_MAX < own_length {
        let days = own_length / MINUTES_PER_DAY;
        return Err(Error::Long { days });
    }
    let (first, pace) = match traffic {
        Some(it) => (it.first, Pace::of_counts(&it.counts, it.per_minute, seed)),
        None => (own_first, Pace::own(&log)),
    };
    let minutes = pace.minutes();
    if minutes < MINUTES_MIN {
        return Err(Error::Short { minutes });
    }
    let skip = (WARM_UP_DAYS * MINUTES_PER_DAY).min(minutes / 2);
    let strangers = Strangers::of(&mut log);
    let faults = faults::place(&log, &strangers, seed, skip, minutes);
    let replay = Replay::new(&log, pace, faults, strangers, seed);
    let endpoints = log.frequent(ENDPOINT, 0.0).into_iter().take(KEYS_MAX);
    let endpoints: Vec<u32> = endpoints.map(|it| it.0).collect();
    let keys = scores::keys(&replay, &endpoints);
    let mut report = Report {
        seed,
        lines: log.requests.len(),
        log_days: log.days(),
        log_minutes_with_lines: log.minutes_with_lines(),
        is_drawn: traffic.is_some(),
        has_times: log.has_times,
        requests: keys[0].minutes.iter().map(|it| it.requests as usize).sum(),
        requests_per_minute: 0.0,
        days_learned: skip as f64 / MINUTES_PER_DAY as f64,
        days_judged: (minutes - skip) as f64 / MINUTES_PER_DAY as f64,
        days_quiet: 0.0,
        keys: keys.len(),
        kinds: KINDS.into(),
        faults: faults::by_kind(&replay.faults),
        outcomes: Vec::new(),
        bounds: Vec::new(),
        explained: Vec::new(),
        disorder: Disorder::default(),
        caveats: Vec::new(),
    };
    report.requests_per_minute = report.requests as f64 / minutes as f64;
    judge(&mut report, &replay, &keys, first, skip);
    let quiet = replay.without_faults();
    report.disorder = disorder::run(&quiet, first, skip, seed);
    report.caveats = caveats(&report);
    Ok(report)
}

fn judge(report: &mut Report, replay: &Replay<'_>, keys: &[Key], first: i64, skip: usize) {
    let scores = |of_key: &dyn Fn(&Key) -> Severities| {
        let mut of_keys: Vec<Severities> = keys.iter().map(of_key).collect();
        for scores in of_keys.iter_mut().flatten() {
            scores[..skip].fill(None);
        }
        let faults = &replay.faults[..];
        Scores {
            keys,
            of_keys,
            arrivals: Vec::new(),
            faults,
            skip,
        }
    };
    let mut engine = scores(&|key| scores::of_engine(key, first));
    report.days_quiet = engine.quiet_days();
    report.bounds = bound::bounds(replay, &engine, &BUDGETS);
    let rules = BUDGETS.map(Rule::Budget);
    for rule in rules.into_iter().chain(BUDGETS.map(Rule::Set)) {
        engine.arrivals = arrivals::arrivals(replay, skip, rule.per_day());
        let alerts = engine.alerts(rule);
        report
            .outcomes
            .push(engine.outcome("metric", rule, &alerts));
        let found = replay
            .faults
            .iter()
            .enumerate()
            .filter_map(|(place, fault)| {
                let found = engine.found(fault, &alerts)?;
                let key = &keys[found.key];
                Some((
                    place,
                    key.asked()[found.metric],
                    key.endpoint,
                    found.minutes,
                ))
            });
        let of = format!("found at {}", rule.name());
        report.explained.push(explained(replay, of, found));
    }
    let all = replay.faults.iter().enumerate();
    let all = all.map(|(place, fault)| (place, metric_of(fault), None, fault.minutes.clone()));
    let of = "all, metric and minutes given".to_owned();
    report.explained.push(explained(replay, of, all));
    for named in BESIDE {
        let scores = scores(&|key| scores::of_named(named, key, first));
        for rule in rules {
            let alerts = scores.alerts(rule);
            let outcome = scores.outcome(named.name(), rule, &alerts);
            report.outcomes.push(outcome);
        }
    }
}

/// The metric that a fault changes.
fn metric_of(fault: &Fault) -> Asked {
    match fault.change {
        Change::Slower(_) | Change::SlowerSlowly | Change::Deploy(_) => Asked::ResponseTime,
        Change::Fail { .. } | Change::FailSlowly => Asked::Errors,
        Change::Keep(_) | Change::Flood { .. } | Change::NewEndpoint { .. } => Asked::Requests,
    }
}

fn caveats(report: &Report) -> Vec<String> {
    let mut caveats = Vec::new();
    if report.requests_per_minute < PER_MINUTE_TELLING {
        caveats.push(format!(
            "{:.1} requests a minute are too few for most metrics to tell a fault from chance; replay the lines at the counts of busier traffic",
            report.requests_per_minute
        ));
    }
    if report.days_judged < WARM_UP_DAYS as f64 {
        caveats.push(format!(
            "{:.1} days behind the time of learning hold {} faults: a figure of one kind is one of few",
            report.days_judged,
            report.faults.iter().map(|it| it.faults).sum::<usize>()
        ));
    }
    let missing = report.faults.iter().filter(|it| it.faults == 0);
    let missing: Vec<&str> = missing.map(|it| it.kind).collect();
    if !missing.is_empty() {
        caveats.push(format!(
            "there are no faults of {}: no room, or nothing in the log that they could strike",
            missing.join(", ")
        ));
    }
    caveats
}

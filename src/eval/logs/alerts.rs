//! Which windows are alerts, by a budget or by the rule of the engine, and what of the faults is found by them.

use super::arrivals::Arrival;
use super::attribution::{Told, told};
use super::faults::{Change, Fault, KINDS, LEAK};
use super::replay::Replay;
use super::scores::{Asked, Key, MINUTES_PER_DAY, Severities};
use crate::detect::discoveries::least_discovered;
use crate::eval::budget::{Judged, ratio};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Alerts of a key and metric within so many minutes are one, and so long behind a fault is not judged.
const JOIN_MINUTES: usize = 30;
/// False alerts that last count again after so long.
const AGAIN_MINUTES: usize = 360;
/// An incident is over after so many quiet windows, as those of the engine.
const COOL_DOWN_WINDOWS: usize = 6;

/// When a window is an alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The thresholds are the lowest that keep false alerts of each key within so many a day, each metric having an equal share of them.
    Budget(f64),
    /// What the engine does with `false_alerts_per_day` at this value, for all traffic and for all endpoints. Nothing is fitted to what is judged.
    Set(f64),
}

impl Rule {
    pub fn name(self) -> String {
        match self {
            Rule::Budget(per_day) => format!("{per_day} a key"),
            Rule::Set(per_day) => format!("set to {per_day}"),
        }
    }

    pub fn per_day(self) -> f64 {
        match self {
            Rule::Budget(per_day) | Rule::Set(per_day) => per_day,
        }
    }
}

/// What a detector says of all keys, by key and metric, behind the time of learning.
pub struct Scores<'a> {
    pub keys: &'a [Key],
    pub of_keys: Vec<Severities>,
    /// Alerts of new endpoints, by minute: as the engine has them with the false alerts of the rule, for all endpoints together.
    pub arrivals: Vec<Arrival>,
    pub faults: &'a [Fault],
    /// Minutes for learning.
    pub skip: usize,
}

/// A detector under a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    pub detector: &'static str,
    pub rule: String,
    /// Of each kind, in the order of kinds, the share that was found while it lasted; none without a fault of the kind.
    pub recall_by_kind: Vec<Option<f64>>,
    /// The mean over kinds.
    pub recall: f64,
    /// The mean over those that have their size at once.
    pub recall_abrupt: f64,
    /// Found faults over these and the false alerts.
    pub precision: Option<f64>,
    /// Of all keys and metrics together.
    pub false_alerts_per_day: f64,
    pub false_alerts_per_day_and_thousand_keys: f64,
    /// Of abrupt faults that were found, the median of windows before the first alert.
    pub delay_windows_median: Option<usize>,
    /// Of each kind.
    pub delays_by_kind: Vec<Option<usize>>,
}

/// The first alert of a fault that is most severe: whose, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub key: usize,
    pub metric: usize,
    pub minutes: Range<usize>,
}

/// Alerts by key, metric and minute.
pub type Alerts = Vec<Vec<Vec<bool>>>;

impl Scores<'_> {
    pub fn alerts(&self, rule: Rule) -> Alerts {
        match rule {
            Rule::Budget(per_day) => self.within_budget(per_day),
            Rule::Set(per_day) => self.as_set(per_day),
        }
    }

    /// The first key is all traffic, all others are endpoints: they are judged apart.
    fn groups(&self) -> [Range<usize>; 2] {
        [0..1, 1..self.keys.len()]
    }

    fn within_budget(&self, per_day: f64) -> Alerts {
        let length = self.keys[0].minutes.len();
        let events: Vec<Range<usize>> = self.faults.iter().map(|it| it.minutes.clone()).collect();
        let mut alerts: Alerts = Vec::new();
        for group in self.groups().into_iter().filter(|it| !it.is_empty()) {
            let metrics = self.keys[group.start].asked().len();
            let allowed = per_day * self.quiet_days() * group.len() as f64 / metrics as f64;
            let mut of_group = vec![Vec::with_capacity(metrics); group.len()];
            for metric in 0..metrics {
                // One behind the other, so far apart that no alerts of two keys are one.
                let stride = length + JOIN_MINUTES + 1;
                let mut scores = Vec::with_capacity(stride * group.len());
                let mut of_all = Vec::new();
                for (at, key) in group.clone().enumerate() {
                    scores.extend_from_slice(&self.of_keys[key][metric]);
                    scores.resize(stride * (at + 1), None);
                    let shifted = events
                        .iter()
                        .map(|it| it.start + at * stride..it.end + at * stride);
                    of_all.extend(shifted);
                }
                let judged = Judged {
                    scores: &scores,
                    events: &of_all,
                    windows_per_day: MINUTES_PER_DAY as f64,
                    join: JOIN_MINUTES,
                    grace: JOIN_MINUTES,
                    again: AGAIN_MINUTES,
                };
                let days = judged.days();
                let at_budget = match 0.0 < days {
                    true => judged.at_budget(allowed / days).threshold,
                    false => None,
                };
                let threshold = at_budget.unwrap_or(f64::INFINITY);
                for (at, key) in group.clone().enumerate() {
                    let scores = self.of_keys[key][metric].iter();
                    let is_alert = |it: &Option<f64>| it.is_some_and(|it| threshold <= it);
                    of_group[at].push(scores.map(is_alert).collect());
                }
            }
            alerts.extend(of_group);
        }
        alerts
    }

    fn as_set(&self, per_day: f64) -> Alerts {
        let length = self.keys[0].minutes.len();
        let q = (per_day / MINUTES_PER_DAY as f64).min(0.5);
        let mut alerts: Alerts = self
            .of_keys
            .iter()
            .map(|it| vec![vec![false; length]; it.len()])
            .collect();
        for group in self.groups() {
            let mut severities = Vec::new();
            for minute in self.skip..length {
                severities.clear();
                let of_group = self.of_keys[group.clone()].iter().flatten();
                severities.extend(of_group.filter_map(|it| it[minute]));
                let Some(least) = least_discovered(&severities, q) else {
                    continue;
                };
                for key in group.clone() {
                    for (metric, scores) in self.of_keys[key].iter().enumerate() {
                        alerts[key][metric][minute] = scores[minute].is_some_and(|it| least <= it);
                    }
                }
            }
        }
        alerts
    }

    /// Minutes that belong to a fault, or follow one.
    fn apart(&self) -> Vec<bool> {
        let mut apart = vec![false; self.keys[0].minutes.len()];
        let length = apart.len();
        for fault in self.faults {
            let end = (fault.minutes.end + JOIN_MINUTES).min(length);
            apart[fault.minutes.start.min(end)..end].fill(true);
        }
        apart[..self.skip.min(length)].fill(true);
        apart
    }

    /// Minutes in which every alert is false.
    pub fn quiet_minutes(&self) -> Vec<usize> {
        let apart = self.apart().into_iter().enumerate();
        apart.filter(|it| !it.1).map(|it| it.0).collect()
    }

    /// As days.
    pub fn quiet_days(&self) -> f64 {
        self.quiet_minutes().len() as f64 / MINUTES_PER_DAY as f64
    }

    fn false_alerts(&self, alerts: &Alerts) -> usize {
        let apart = self.apart();
        let of_minutes = |minutes: &mut dyn Iterator<Item = usize>| {
            let (mut incidents, mut windows, mut last) = (0, 0, None);
            for minute in minutes.filter(|it| !apart[*it]) {
                let is_joined = last.is_some_and(|it| minute - it <= JOIN_MINUTES);
                incidents += usize::from(!is_joined);
                windows += 1;
                last = Some(minute);
            }
            incidents + windows / AGAIN_MINUTES
        };
        let of_series = |it: &Vec<bool>| of_minutes(&mut (0..it.len()).filter(|at| it[*at]));
        let mut by_endpoint: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for it in &self.arrivals {
            by_endpoint.entry(it.endpoint).or_default().push(it.minute);
        }
        let of_new = by_endpoint.into_values();
        let of_new = of_new.map(|it| of_minutes(&mut it.into_iter()));
        alerts.iter().flatten().map(of_series).sum::<usize>() + of_new.sum::<usize>()
    }

    /// Keys whose alerts can find a fault: all traffic, and the endpoint that it strikes. An alert of any other is found by chance.
    pub fn keys_of(&self, fault: &Fault) -> impl Iterator<Item = usize> {
        let endpoint = endpoint_of(fault);
        let keys = self.keys.iter().enumerate();
        keys.filter(move |it| it.1.endpoint.is_none() || it.1.endpoint == endpoint)
            .map(|it| it.0)
    }

    fn delay(&self, fault: &Fault, alerts: &Alerts) -> Option<usize> {
        let of_key = |key: usize| {
            let of_metric = |it: &Vec<bool>| it[fault.minutes.clone()].iter().position(|it| *it);
            alerts[key].iter().filter_map(of_metric).min()
        };
        let of_new = self.arrivals.iter().filter(|it| {
            Some(it.endpoint) == endpoint_of(fault) && fault.minutes.contains(&it.minute)
        });
        let of_new = of_new.map(|it| it.minute - fault.minutes.start);
        self.keys_of(fault).filter_map(of_key).chain(of_new).min()
    }

    pub fn outcome(&self, detector: &'static str, rule: Rule, alerts: &Alerts) -> Outcome {
        let delays: Vec<Option<usize>> = self
            .faults
            .iter()
            .map(|it| self.delay(it, alerts))
            .collect();
        let of_kind = |kind: usize| {
            let of_kind = self
                .faults
                .iter()
                .zip(&delays)
                .filter(move |it| it.0.kind == kind);
            of_kind.map(|it| *it.1).collect::<Vec<_>>()
        };
        let recall = |kind: usize| {
            let delays = of_kind(kind);
            (!delays.is_empty()).then(|| ratio(delays.iter().flatten().count(), delays.len()))
        };
        let recall_by_kind: Vec<Option<f64>> = (0..KINDS.len()).map(recall).collect();
        let (recall, recall_abrupt) = means(&recall_by_kind);
        let of_abrupt = self
            .faults
            .iter()
            .zip(&delays)
            .filter(|it| it.0.kind != LEAK);
        let found = delays.iter().flatten().count();
        let false_alerts = self.false_alerts(alerts);
        let per_day = false_alerts as f64 / self.quiet_days().max(f64::MIN_POSITIVE);
        Outcome {
            detector,
            rule: rule.name(),
            recall,
            recall_abrupt,
            recall_by_kind,
            precision: (0 < found + false_alerts).then(|| ratio(found, found + false_alerts)),
            false_alerts_per_day: per_day,
            false_alerts_per_day_and_thousand_keys: per_day / self.keys.len() as f64 * 1_000.0,
            delay_windows_median: median(of_abrupt.filter_map(|it| *it.1).collect()),
            delays_by_kind: (0..KINDS.len())
                .map(|it| median(of_kind(it).into_iter().flatten().collect()))
                .collect(),
        }
    }

    /// The incident of a fault that is told first: the most severe one, from its first alert to the last that belongs to it.
    pub fn found(&self, fault: &Fault, alerts: &Alerts) -> Option<Found> {
        let mut best: Option<(f64, usize, usize)> = None;
        for key in self.keys_of(fault) {
            for (metric, of_metric) in alerts[key].iter().enumerate() {
                let scores = &self.of_keys[key][metric];
                let inside = fault.minutes.clone().filter(|it| of_metric[*it]);
                let peak = inside.filter_map(|it| scores[it]).max_by(f64::total_cmp);
                if let Some(peak) = peak
                    && best.is_none_or(|it| it.0 < peak)
                {
                    best = Some((peak, key, metric));
                }
            }
        }
        let (_, key, metric) = best?;
        let of_metric = &alerts[key][metric];
        let since = fault.minutes.clone().find(|it| of_metric[*it])?;
        let mut last = since;
        for (minute, is_alert) in of_metric.iter().enumerate().skip(since) {
            if COOL_DOWN_WINDOWS < minute - last {
                break;
            }
            if *is_alert {
                last = minute;
            }
        }
        Some(Found {
            key,
            metric,
            minutes: since..last + 1,
        })
    }
}

/// The means over all kinds, and over those that have their size at once.
pub fn means(recall_by_kind: &[Option<f64>]) -> (f64, f64) {
    let mean = |it: &[Option<f64>]| {
        let known: Vec<f64> = it.iter().flatten().copied().collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    };
    let mut abrupt = recall_by_kind.to_vec();
    abrupt[LEAK] = None;
    (mean(recall_by_kind), mean(&abrupt))
}

/// The endpoint that a fault strikes or adds, if it is one.
fn endpoint_of(fault: &Fault) -> Option<u32> {
    match fault.change {
        Change::NewEndpoint { endpoint } => Some(endpoint),
        _ => fault.endpoint(),
    }
}

fn median(mut of: Vec<usize>) -> Option<usize> {
    of.sort_unstable();
    of.get(of.len().saturating_sub(1) / 2).copied()
}

/// How right explanations are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explained {
    /// Which faults: those found under a rule, or all, with the metric and the minutes given.
    pub of: String,
    /// Of each kind that one value carries: how often it was the one that is told, of how many.
    pub right_by_kind: Vec<Option<(usize, usize)>>,
    /// The share of these that were right.
    pub top_1: Option<f64>,
    /// Of faults that only a pair carries: how many pairs were right, told, and asked for.
    pub pairs: (usize, usize, usize),
    pub pairs_f1: Option<f64>,
    /// Of faults that nothing carries alone: how often that was said, of how many.
    pub nothing: (usize, usize),
    /// What was told wrongly, in words.
    pub missed: Vec<String>,
}

/// Judges what is told of some faults.
pub fn explained(
    replay: &Replay<'_>,
    of: String,
    asked: impl Iterator<Item = (usize, Asked, Option<u32>, Range<usize>)>,
) -> Explained {
    let mut explained = Explained {
        of,
        right_by_kind: vec![None; KINDS.len()],
        ..Explained::default()
    };
    for (place, asked, endpoint, minutes) in asked {
        let fault = &replay.faults[place];
        let told = told(replay, asked, endpoint, minutes.clone());
        let is_right = explained.add(fault, &told);
        if !is_right {
            let log = replay.log;
            let of = |it: (usize, u32)| {
                format!("{} {}", super::lines::COLUMNS[it.0], log.name(it.0, it.1))
            };
            let one = told.one.map_or("nothing".to_owned(), of);
            let pair = told
                .pair
                .map(|it| format!(", {} with {}", of(it[0]), of(it[1])));
            let what = fault.told(log);
            let within = endpoint.map_or(String::new(), |_| " of the endpoint".to_owned());
            explained.missed.push(format!(
                "{what}, {} min, by {}{within} in {} min from {} min: {one}{}",
                fault.minutes.len(),
                asked.name(),
                minutes.len(),
                minutes.start - fault.minutes.start.min(minutes.start),
                pair.unwrap_or_default()
            ));
        }
    }
    let asked = explained.right_by_kind.iter().flatten();
    let sums = asked.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    explained.top_1 = (0 < sums.1).then(|| ratio(sums.0, sums.1));
    let (right, told, asked) = explained.pairs;
    explained.pairs_f1 = (0 < asked).then(|| ratio(2 * right, told + asked));
    explained
}

impl Explained {
    fn add(&mut self, fault: &Fault, told: &Told) -> bool {
        if !fault.pairs.is_empty() {
            let is_right = told.pair.is_some_and(|it| fault.pairs.contains(&it));
            self.pairs.0 += usize::from(is_right);
            self.pairs.1 += usize::from(told.pair.is_some());
            self.pairs.2 += 1;
            return is_right;
        }
        if fault.carriers.is_empty() {
            let is_right = told.one.is_none() && told.pair.is_none();
            self.nothing.0 += usize::from(is_right);
            self.nothing.1 += 1;
            return is_right;
        }
        let is_right = told.one.is_some_and(|it| fault.carriers.contains(&it));
        let of_kind = self.right_by_kind[fault.kind].get_or_insert((0, 0));
        of_kind.0 += usize::from(is_right);
        of_kind.1 += 1;
        is_right
    }
}

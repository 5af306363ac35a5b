//! What could be found at all: of each fault a test that knows what it strikes, which way, when, and what would be usual, by the same windows of the same keys and metrics.
//!
//! A likelihood ratio test, which no other test with as few false alerts beats (Neyman and Pearson 1933, "On the problem of the most efficient tests of statistical hypotheses"). It looks at all windows of a fault
//! together, once: with n windows it may be wrong in a share of n of those that the budget allows a metric of a key. What is known:
//!
//! ```text
//! requests         as many as are replayed without the fault, of an endpoint its share of them: Poisson noise is all that is left
//! shares           the share of all windows outside of faults: binomial noise
//! response times   ln p95 beside the load and the deploys before: normal, with mean and variance of windows of as many requests outside of faults
//! ```
//!
//! Of leaks windows are weighted as they grow. A new endpoint has no window before, so that one request is enough.
//!
//! A detector can be above it by chance, or by a metric that a fault changes on the way; what it is below is what is left to learn.

use super::alerts::{Rule, Scores, means};
use super::faults::{Change, Fault, KINDS};
use super::replay::Replay;
use super::scores::{Asked, Key, MINUTES_PER_DAY, Seen};
use crate::detect::math::{LN_10, ln};
use crate::detect::tails::{self, Side};
use crate::eval::budget::ratio;
use serde::Serialize;
use std::collections::BTreeMap;

/// What could be found under a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    pub rule: String,
    /// Of each kind, in the order of kinds, the share that could be found; none without a fault of the kind.
    pub recall_by_kind: Vec<Option<f64>>,
    /// The mean over kinds.
    pub recall: f64,
    /// The mean over those that have their size at once.
    pub recall_abrupt: f64,
}

/// What the best test finds with so many false alerts a day and key, each metric having an equal share of them.
pub fn bounds(replay: &Replay<'_>, scores: &Scores<'_>, budgets: &[f64]) -> Vec<Bound> {
    let minutes = scores.quiet_minutes();
    let keys = scores.keys.iter();
    let usual: Vec<Usual> = keys.map(|it| Usual::of(replay, it, &minutes)).collect();
    let of_budget = |per_day: &f64| {
        let is_found = |fault: &Fault| {
            let is_found_by = |at: usize| {
                let key = &scores.keys[at];
                let windows = fault.minutes.len() as f64;
                let share = per_day * windows / (MINUTES_PER_DAY * key.asked().len()) as f64;
                let least = -ln(share.min(1.0)) / LN_10;
                let changed = changed_by(fault).iter();
                let mut changed = changed.filter(|it| key.asked().contains(it));
                changed.any(|it| least <= usual[at].severity(replay, key, *it, fault))
            };
            let is_new = matches!(fault.change, Change::NewEndpoint { .. });
            is_new || scores.keys_of(fault).any(is_found_by)
        };
        let recall = |kind: usize| {
            let of_kind = replay.faults.iter().filter(|it| it.kind == kind);
            let found: Vec<bool> = of_kind.map(is_found).collect();
            let hits = found.iter().filter(|it| **it).count();
            (!found.is_empty()).then(|| ratio(hits, found.len()))
        };
        let recall_by_kind: Vec<Option<f64>> = (0..KINDS.len()).map(recall).collect();
        let (recall, recall_abrupt) = means(&recall_by_kind);
        Bound {
            rule: Rule::Budget(*per_day).name(),
            recall_by_kind,
            recall,
            recall_abrupt,
        }
    };
    budgets.iter().map(of_budget).collect()
}

/// The metrics that a fault changes in a direction that is known.
fn changed_by(fault: &Fault) -> &'static [Asked] {
    match fault.change {
        Change::Slower(_) | Change::SlowerSlowly | Change::Deploy(_) => &[Asked::ResponseTime],
        Change::Fail { status, .. } if status < 500 => &[Asked::Errors],
        Change::Fail { .. } | Change::FailSlowly => &[Asked::Errors, Asked::ServerErrors],
        Change::Flood {
            is_scanner: true, ..
        } => &[Asked::Requests, Asked::Errors],
        Change::Keep(_) | Change::Flood { .. } => &[Asked::Requests],
        Change::NewEndpoint { .. } => &[],
    }
}

fn side_of(fault: &Fault) -> Side {
    match fault.change {
        Change::Keep(_) => Side::Lower,
        Change::Deploy(factor) if factor < 1.0 => Side::Lower,
        _ => Side::Upper,
    }
}

/// What is known of a key: by all windows outside of faults.
#[derive(Clone, Debug, Default)]
struct Usual {
    /// Of all requests that are replayed.
    share_of_all: f64,
    errors: f64,
    server_errors: f64,
    /// Of ln p95 beside load and deploys, by how many requests a window has: the percentile of few is another one.
    times: BTreeMap<u32, Moments>,
}

/// A mean and a variance, once all windows are added.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    windows: f64,
    mean: f64,
    variance: f64,
}

/// With fewer windows nothing is known.
const WINDOWS_MIN: f64 = 30.0;

/// Windows with nearly as many requests, to within a quarter of an octave.
fn size_of(requests: u32) -> u32 {
    match requests {
        0..16 => requests,
        _ => (4.0 * libm::log2(f64::from(requests))) as u32,
    }
}

impl Usual {
    fn of(replay: &Replay<'_>, key: &Key, minutes: &[usize]) -> Self {
        let mut sums = Usual::default();
        let (mut all, mut requests) = (0.0, 0.0);
        for minute in minutes {
            let seen = &key.minutes[*minute];
            let n = f64::from(seen.requests);
            all += replay.pace.count(*minute) as f64;
            requests += n;
            sums.errors += f64::from(seen.errors);
            sums.server_errors += f64::from(seen.server_errors);
            if let Some(y) = beside(replay, *minute, seen) {
                // Welford (1962): the variance as a sum of squares until all are added.
                let times = sums.times.entry(size_of(seen.requests)).or_default();
                times.windows += 1.0;
                let off = y - times.mean;
                times.mean += off / times.windows;
                times.variance += off * (y - times.mean);
            }
        }
        sums.times.retain(|_, it| WINDOWS_MIN <= it.windows);
        for times in sums.times.values_mut() {
            times.variance /= times.windows - 1.0;
        }
        let over = |sum: f64, of: f64| sum / of.max(1.0);
        Usual {
            share_of_all: over(requests, all),
            errors: over(sums.errors, requests),
            server_errors: over(sums.server_errors, requests),
            times: sums.times,
        }
    }

    /// -log10 of how rare the windows of a fault are without it.
    fn severity(&self, replay: &Replay<'_>, key: &Key, asked: Asked, fault: &Fault) -> f64 {
        let side = side_of(fault);
        let windows = || fault.minutes.clone().map(|it| (it, &key.minutes[it]));
        let grows = matches!(fault.change, Change::SlowerSlowly | Change::FailSlowly);
        let shape = |minute: usize| match grows {
            true => (minute - fault.minutes.start) as f64,
            false => 1.0,
        };
        let sum =
            |of: &dyn Fn(usize, &Seen) -> f64| windows().map(|it| of(it.0, it.1)).sum::<f64>();
        let of_share = |failures: &dyn Fn(&Seen) -> u32, p: f64| {
            if !grows {
                let failures: u64 = windows().map(|it| u64::from(failures(it.1))).sum();
                let all = windows().map(|it| u64::from(it.1.requests)).sum();
                return tails::binomial(failures, all, p, side);
            }
            let off = sum(&|minute, it| {
                shape(minute) * (f64::from(failures(it)) - f64::from(it.requests) * p)
            });
            let variance = sum(&|minute, it| {
                shape(minute) * shape(minute) * f64::from(it.requests) * p * (1.0 - p)
            });
            of_normal(off, variance, side)
        };
        match asked {
            Asked::Requests => {
                let all = windows().map(|it| u64::from(it.1.requests)).sum();
                let expected = sum(&|it, _| replay.pace.count(it) as f64 * self.share_of_all);
                tails::poisson(all, expected, side)
            }
            Asked::Errors => of_share(&|it| it.errors, self.errors),
            Asked::ServerErrors => of_share(&|it| it.server_errors, self.server_errors),
            Asked::ResponseTime => {
                let before = fault.minutes.start.saturating_sub(1);
                let deployed = f64::from(replay.deployed(before));
                let timed = |of: &dyn Fn(f64, f64, f64) -> f64| {
                    sum(&|minute, seen| {
                        let known = self.times.get(&size_of(seen.requests));
                        let known = known.zip(beside(replay, minute, seen));
                        // What a deploy does is to be found, and not known.
                        let since = ln(f64::from(replay.deployed(minute)) / deployed);
                        known.map_or(0.0, |(usual, y)| {
                            of(y + since - usual.mean, usual.variance, shape(minute))
                        })
                    })
                };
                let off = timed(&|off, variance, shape| shape * off / variance);
                let variance = timed(&|_, variance, shape| shape * shape / variance);
                of_normal(off, variance, side)
            }
        }
    }
}

/// ln p95 beside what is due to load and to deploys; none without a time.
fn beside(replay: &Replay<'_>, minute: usize, seen: &Seen) -> Option<f64> {
    let time = f64::from(seen.response_time);
    let known = f64::from(replay.slower(minute, replay.pace.count(minute)));
    (0.0 < time).then(|| ln(time / known))
}

/// Of a normal sum around zero, one side.
fn of_normal(off: f64, variance: f64, side: Side) -> f64 {
    let z = match side {
        Side::Upper => off,
        Side::Lower => -off,
    } / variance.max(f64::MIN_POSITIVE).sqrt();
    match 0.0 < z {
        true => tails::normal(z) + std::f64::consts::LOG10_2,
        false => 0.0,
    }
}

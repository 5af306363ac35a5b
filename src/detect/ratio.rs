//! D1: a share of failures that is not what it was.
//!
//! The baseline is the share over decayed sums, with a prior, `p = (E + a) / (N + a + b)`. A window of k failures out of n is compared with it by the signed root of the deviance (McCullagh and Nelder 1989,
//! "Generalized linear models", 4.4), divided by the dispersion phi, since errors come in bursts:
//!
//! ```text
//! z = sign(k - np) sqrt(2 [k ln(k / np) + (n - k) ln((n - k) / (n (1 - p)))] / phi)        phi = mean of z² before, within 1..=25
//! ```
//!
//! The severity is the exact binomial tail, but for what is usual, whose logarithm is divided by phi like the deviance. Windows of few events are pooled until there are 20, or for an hour. What is learned of a window
//! is within four standard deviations of the expected. A missing window changes nothing but the decay.

use super::math::{exp, ln};
use super::tails::{self, Side};
use super::{Detector, Score, Scored, Unscored, Window};
use serde::{Deserialize, Serialize};

/// Of a key that nothing is known of: so many failures,
pub const PRIOR_FAILURES: f64 = 0.5;
/// and so many others.
pub const PRIOR_REST: f64 = 50.0;
/// The baseline is known when it has so many events.
const EVENTS_MIN: f64 = 200.0;
/// A window of fewer events waits for the next ones.
const POOLED_MIN: u64 = 20;
const POOLED_SECONDS: u32 = 3_600;
const HALF_LIFE_SECONDS: f64 = 21_600.0;
const DISPERSION_GAIN: f64 = 0.05;
const DISPERSION: std::ops::RangeInclusive<f64> = 1.0..=25.0;
const CLIP: f64 = 4.0;
/// Up to so many standard deviations a share is usual, and its tail not worth a computation: its severity is below 0.88, with which a metric says nothing (`pooled::SHARED`).
const USUAL: f64 = 1.5;

/// Failures out of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub failures: u64,
    pub all: u64,
}

/// The ratio test, over windows of so many seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    pub window_seconds: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    last: Option<i64>,
    /// Decayed sums, E and N.
    failures: f64,
    all: f64,
    dispersion: f64,
    /// What waits for more, and since which window.
    pooled: Share,
    pooled_from: i64,
}

impl Detector for Ratio {
    type Evidence = Share;
    type State = State;

    fn start(&self) -> State {
        State {
            last: None,
            failures: 0.0,
            all: 0.0,
            dispersion: 1.0,
            pooled: Share::default(),
            pooled_from: 0,
        }
    }

    fn step(&self, state: &mut State, window: &Window<Share>) -> Score {
        let seconds = self.window_seconds.max(1);
        let passed = window.number - state.last.unwrap_or(window.number);
        let half_lives = passed as f64 * f64::from(seconds) / HALF_LIFE_SECONDS;
        let decay = exp(-std::f64::consts::LN_2 * half_lives);
        state.failures *= decay;
        state.all *= decay;
        state.last = Some(window.number);
        if state.pooled.all == 0 {
            state.pooled_from = window.number;
        }
        state.pooled.all += window.evidence.all;
        state.pooled.failures += window.evidence.failures.min(window.evidence.all);
        let waited = window.number - state.pooled_from + 1;
        let patience = i64::from(POOLED_SECONDS.div_ceil(seconds));
        if state.pooled.all < POOLED_MIN && (waited < patience || state.pooled.all == 0) {
            return Score::Unscored(Unscored::NoEvidence);
        }
        let pooled = std::mem::take(&mut state.pooled);
        compare(state, pooled)
    }
}

fn compare(state: &mut State, share: Share) -> Score {
    let p = (state.failures + PRIOR_FAILURES) / (state.all + PRIOR_FAILURES + PRIOR_REST);
    let (k, n) = (share.failures as f64, share.all as f64);
    let z = deviance_root(share, p);
    let phi = state
        .dispersion
        .clamp(*DISPERSION.start(), *DISPERSION.end());
    let half = CLIP * (phi * p * (1.0 - p) / n).sqrt();
    let is_known = EVENTS_MIN <= state.all;
    let score = match is_known {
        false => Score::Unscored(Unscored::WarmingUp {
            seen: state.all as u64,
            needed: EVENTS_MIN as u64,
        }),
        true => {
            let side = if k < n * p { Side::Lower } else { Side::Upper };
            let residual = z / phi.sqrt();
            Score::Scored(Scored {
                observed: k / n,
                expected: p,
                low: (p - half).max(0.0),
                high: (p + half).min(1.0),
                residual,
                severity: match residual.abs() < USUAL {
                    true => tails::normal(residual),
                    false => tails::binomial(share.failures, share.all, p, side) / phi,
                },
            })
        }
    };
    if is_known {
        // A single window says at most that dispersion is as large as it may be.
        let squared = (z * z).min(*DISPERSION.end());
        state.dispersion += DISPERSION_GAIN * (squared - state.dispersion);
    }
    let learned = match is_known {
        true => (k / n).clamp(p - half, p + half),
        false => k / n,
    };
    state.failures += n * learned;
    state.all += n;
    score
}

/// The signed root of the deviance of k out of n at p.
pub fn deviance_root(share: Share, p: f64) -> f64 {
    let (k, n) = (share.failures as f64, share.all as f64);
    let term = |observed: f64, expected: f64| match observed {
        0.0 => 0.0,
        _ => observed * ln(observed / expected),
    };
    let deviance = 2.0 * (term(k, n * p) + term(n - k, n * (1.0 - p)));
    let root = deviance.max(0.0).sqrt();
    if k < n * p { -root } else { root }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::fold_block;

    fn windows(shares: &[(u64, u64)]) -> Vec<Window<Share>> {
        let windows = shares.iter().zip(100..);
        windows
            .map(|((failures, all), number)| Window {
                number,
                evidence: Share {
                    failures: *failures,
                    all: *all,
                },
            })
            .collect()
    }

    /// statsmodels' binomial deviance residual of 12 out of 100 at 0.05.
    #[test]
    fn the_root_of_the_deviance_is_that_of_a_binomial_model() {
        let share = |failures| Share { failures, all: 100 };
        let twice = 2.0 * (12.0 * ln(12.0 / 5.0) + 88.0 * ln(88.0 / 95.0));
        assert!((deviance_root(share(12), 0.05) - twice.sqrt()).abs() < 1e-12);
        assert!(deviance_root(share(0), 0.05) < -3.0);
        assert_eq!(deviance_root(share(5), 0.05), 0.0);
    }

    #[test]
    fn a_burst_of_errors_is_found_and_little_learned() {
        let ratio = Ratio { window_seconds: 60 };
        let mut shares = vec![(2, 200); 60];
        shares.extend([(60, 200), (2, 200)]);
        let (scores, _) = fold_block(&ratio, &ratio.start(), &windows(&shares));
        assert!(scores[0].scored().is_none());
        let burst = scores[60].scored().unwrap();
        assert!(20.0 < burst.severity && 5.0 < burst.residual, "{burst:?}");
        let after = scores[61].scored().unwrap();
        assert!(after.severity < 1.0 && after.expected < 0.02, "{after:?}");
    }

    #[test]
    fn few_events_are_pooled_and_none_say_nothing() {
        let ratio = Ratio { window_seconds: 60 };
        let mut shares = vec![(1, 100); 10];
        shares.extend([(0, 0), (1, 8), (1, 8), (2, 8), (0, 8)]);
        let (scores, _) = fold_block(&ratio, &ratio.start(), &windows(&shares));
        let known: Vec<bool> = scores[10..]
            .iter()
            .map(|it| it.scored().is_some())
            .collect();
        assert_eq!(known, [false, false, false, true, false]);
        assert_eq!(scores[13].scored().unwrap().observed, 4.0 / 24.0);
    }
}

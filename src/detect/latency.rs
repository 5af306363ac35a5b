//! D3: times that became longer, whatever their distribution.
//!
//! The evidence is a histogram per window: signed counts in bins of equal relative width (`model::Bins`), as a view of percentiles keeps them; they add up and can be taken back. The baseline is the same,
//! decayed over a day. What is compared is how many of a window lie above the baseline's 95 % point, with the share that lies there in the baseline, by the exact binomial tail: ranks alone count, so no
//! tail fools it. Windows without times are skipped; the baseline decays.
//!
//! For a shift of the whole, `forecast::Forecast::of_values` over the logarithm of `Bins::percentile` stands beside it.

use super::math::pow;
use super::ratio::{Share, deviance_root};
use super::tails::{self, Side};
use super::{Detector, Score, Scored, Unscored, Window};
use crate::model::Bins;
use serde::{Deserialize, Serialize};

/// The share above the point of the baseline that counts as exceeding it.
const EXCEEDING: f64 = 0.05;
const HALF_LIFE_SECONDS: f64 = 86_400.0;
/// The baseline is known when it has so many times.
const TIMES_MIN: f64 = 200.0;
/// A bin of less weight is forgotten.
const WEIGHT_MIN: f32 = 1e-3;
const DISPERSION_GAIN: f64 = 0.05;
const DISPERSION_MAX: f64 = 25.0;
/// A window that exceeds this severity teaches nothing for so many windows; then the new times are the usual ones.
const ANOMALOUS: f64 = 6.0;

/// The test of exceedance, over windows of so many seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub window_seconds: u32,
    /// So many anomalous windows in a row are not learned from.
    pub patience: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    last: Option<i64>,
    /// Decayed counts by bin, in order.
    baseline: Vec<(i32, f32)>,
    dispersion: f64,
    anomalous: u32,
}

impl Detector for Latency {
    type Evidence = Bins;
    type State = State;

    fn start(&self) -> State {
        State {
            last: None,
            baseline: Vec::new(),
            dispersion: 1.0,
            anomalous: 0,
        }
    }

    fn step(&self, state: &mut State, window: &Window<Bins>) -> Score {
        let passed = window.number - state.last.unwrap_or(window.number);
        let seconds = passed as f64 * f64::from(self.window_seconds);
        let decay = pow(0.5, seconds / HALF_LIFE_SECONDS) as f32;
        for entry in &mut state.baseline {
            entry.1 *= decay;
        }
        state.baseline.retain(|it| WEIGHT_MIN <= it.1);
        state.last = Some(window.number);
        let counts = window.evidence.entries();
        let all: i64 = counts.iter().map(|it| it.1.max(0)).sum();
        if all == 0 {
            return Score::Unscored(Unscored::NoEvidence);
        }
        let total: f64 = state.baseline.iter().map(|it| f64::from(it.1)).sum();
        if total < TIMES_MIN {
            learn(&mut state.baseline, counts);
            return Score::Unscored(Unscored::WarmingUp {
                seen: total as u64,
                needed: TIMES_MIN as u64,
            });
        }
        let (point, expected) = exceeded(&state.baseline, total);
        let above = counts.iter().filter(|it| point < it.0);
        let share = Share {
            failures: above.map(|it| it.1.max(0) as u64).sum(),
            all: all as u64,
        };
        let scored = compare(state.dispersion, share, expected);
        let squared = scored.residual * scored.residual * state.dispersion;
        state.dispersion +=
            DISPERSION_GAIN * (squared.clamp(1.0, DISPERSION_MAX) - state.dispersion);
        let is_anomalous = ANOMALOUS < scored.severity;
        state.anomalous = if is_anomalous { state.anomalous + 1 } else { 0 };
        if !is_anomalous || self.patience < state.anomalous {
            learn(&mut state.baseline, counts);
        }
        Score::Scored(scored)
    }
}

fn compare(dispersion: f64, share: Share, expected: f64) -> Scored {
    let n = share.all as f64;
    let observed = share.failures as f64 / n;
    let side = if observed < expected {
        Side::Lower
    } else {
        Side::Upper
    };
    let half = 4.0 * (dispersion * expected * (1.0 - expected) / n).sqrt();
    Scored {
        observed,
        expected,
        low: (expected - half).max(0.0),
        high: (expected + half).min(1.0),
        residual: deviance_root(share, expected) / dispersion.sqrt(),
        severity: tails::binomial(share.failures, share.all, expected, side) / dispersion,
    }
}

/// The bin of the 95 % point, and the share above it: 5 % at most, and never nothing.
fn exceeded(baseline: &[(i32, f32)], total: f64) -> (i32, f64) {
    let mut above = 0.0;
    let mut point = i32::MAX;
    for (bin, weight) in baseline.iter().rev() {
        point = *bin;
        if EXCEEDING * total < above + f64::from(*weight) {
            break;
        }
        above += f64::from(*weight);
    }
    (point, (above + 0.5) / (total + 1.0))
}

fn learn(baseline: &mut Vec<(i32, f32)>, counts: &[(i32, i64)]) {
    for (bin, count) in counts.iter().filter(|it| 0 < it.1) {
        match baseline.binary_search_by_key(bin, |it| it.0) {
            Ok(at) => baseline[at].1 += *count as f32,
            Err(at) => baseline.insert(at, (*bin, *count as f32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Random, bin_of};

    fn times(random: &mut Random, factor: f64) -> Bins {
        let time = |random: &mut Random| {
            let slow = if random.percent() < 1 { 50.0 } else { 1.0 };
            factor * slow * (20.0 + 30.0 * random.unit())
        };
        (0..200).map(|_| (bin_of(time(random)), 1)).collect()
    }

    #[test]
    fn half_as_long_again_is_found_and_outliers_are_not() {
        let latency = Latency {
            window_seconds: 60,
            patience: 30,
        };
        let mut random = Random::new(2);
        let mut state = latency.start();
        let mut severities = Vec::new();
        for number in 0..200 {
            let factor = if number < 190 { 1.0 } else { 1.5 };
            let evidence = times(&mut random, factor);
            let score = latency.step(&mut state, &Window { number, evidence });
            severities.push(score.scored().map_or(0.0, |it| it.severity));
        }
        let usual = severities[..190].iter().copied().fold(0.0, f64::max);
        assert!(usual < 4.0, "{usual}");
        assert!(
            severities[190..].iter().all(|it| 8.0 < *it),
            "{severities:?}"
        );
    }

    #[test]
    fn the_point_has_at_most_five_percent_above_it() {
        let baseline: Vec<(i32, f32)> = (0..100).map(|it| (it, 10.0)).collect();
        let (point, share) = exceeded(&baseline, 1_000.0);
        assert_eq!(point, 94);
        assert!((share - 50.5 / 1_001.0).abs() < 1e-12);
        assert_eq!(exceeded(&[(7, 500.0)], 500.0).0, 7);
    }
}

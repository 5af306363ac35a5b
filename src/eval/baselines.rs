//! What people have without a detector: four rules to be compared with. Nothing here is robust, on purpose: that is the comparison.

use crate::detect::math::ln;
use crate::detect::{Detector, Score, Scored, Unscored, Window, tails};
use serde::{Deserialize, Serialize};

/// Windows before any of them scores.
const WARM_UP: u64 = 32;

/// A fixed threshold: how far a value is from the middle of the first values, in their range. Nothing is learned later.
#[derive(Clone, Debug)]
pub struct Static {
    /// So many first values are the usual.
    pub learned: u64,
}

/// The deviation from mean and standard deviation of the last values.
#[derive(Clone, Debug)]
pub struct Gaussian {
    pub windows: usize,
}

/// The deviation from an exponentially weighted mean.
#[derive(Clone, Debug)]
pub struct Ewma {
    pub gain: f64,
    pub of_logs: bool,
}

/// Additive Holt-Winters without a trend, as in the textbook: nothing is clipped, and the season is learned from zero.
#[derive(Clone, Debug)]
pub struct HoltWinters {
    pub season: Option<u32>,
    pub of_logs: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StaticState {
    seen: u64,
    low: f64,
    high: f64,
}

impl Detector for Static {
    type Evidence = f64;
    type State = StaticState;

    fn start(&self) -> StaticState {
        StaticState::default()
    }

    fn step(&self, state: &mut StaticState, window: &Window<f64>) -> Score {
        let value = window.evidence;
        if !value.is_finite() {
            return Score::Unscored(Unscored::NoEvidence);
        }
        if state.seen < self.learned {
            let first = state.seen == 0;
            state.low = if first { value } else { state.low.min(value) };
            state.high = if first { value } else { state.high.max(value) };
            state.seen += 1;
            return warming_up(state.seen, self.learned);
        }
        let middle = f64::midpoint(state.low, state.high);
        let half = ((state.high - state.low) / 2.0).max(tiny(middle));
        // The ends of the range count as two standard deviations.
        compared(value, value, middle, half / 2.0, middle)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GaussianState {
    values: std::collections::VecDeque<f64>,
}

impl Detector for Gaussian {
    type Evidence = f64;
    type State = GaussianState;

    fn start(&self) -> GaussianState {
        GaussianState::default()
    }

    fn step(&self, state: &mut GaussianState, window: &Window<f64>) -> Score {
        let value = window.evidence;
        if !value.is_finite() {
            return Score::Unscored(Unscored::NoEvidence);
        }
        let count = state.values.len() as f64;
        let score = if (state.values.len() as u64) < WARM_UP {
            warming_up(state.values.len() as u64, WARM_UP)
        } else {
            let mean = state.values.iter().sum::<f64>() / count;
            let squares: f64 = state
                .values
                .iter()
                .map(|it| (it - mean) * (it - mean))
                .sum();
            compared(value, value, mean, (squares / count).sqrt(), mean)
        };
        state.values.push_back(value);
        if self.windows < state.values.len() {
            state.values.pop_front();
        }
        score
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SmoothedState {
    seen: u64,
    level: f64,
    variance: f64,
    slots: Vec<f64>,
}

impl Detector for Ewma {
    type Evidence = f64;
    type State = SmoothedState;

    fn start(&self) -> SmoothedState {
        SmoothedState::default()
    }

    fn step(&self, state: &mut SmoothedState, window: &Window<f64>) -> Score {
        smoothed(state, window, self.of_logs, self.gain, None)
    }
}

impl Detector for HoltWinters {
    type Evidence = f64;
    type State = SmoothedState;

    fn start(&self) -> SmoothedState {
        SmoothedState::default()
    }

    fn step(&self, state: &mut SmoothedState, window: &Window<f64>) -> Score {
        smoothed(state, window, self.of_logs, 0.3, self.season)
    }
}

fn smoothed(
    state: &mut SmoothedState,
    window: &Window<f64>,
    of_logs: bool,
    gain: f64,
    season: Option<u32>,
) -> Score {
    const SEASON_GAIN: f64 = 0.1;
    const VARIANCE_GAIN: f64 = 0.02;
    let value = window.evidence;
    if !value.is_finite() {
        return Score::Unscored(Unscored::NoEvidence);
    }
    let y = if of_logs {
        ln(value.max(0.0) + 1.0)
    } else {
        value
    };
    if state.seen == 0 {
        state.level = y;
        state.slots = vec![0.0; season.map_or(0, |it| it as usize)];
    }
    let slot = season.map(|it| window.number.rem_euclid(i64::from(it)) as usize);
    let expected = state.level + slot.map_or(0.0, |it| state.slots[it]);
    let off = y - expected;
    let score = match state.seen < WARM_UP {
        true => warming_up(state.seen, WARM_UP),
        false => {
            let back = |y: f64| {
                if of_logs {
                    crate::detect::math::exp(y) - 1.0
                } else {
                    y
                }
            };
            compared(value, y, expected, state.variance.sqrt(), back(expected))
        }
    };
    state.seen += 1;
    state.level += gain * off;
    let gain = VARIANCE_GAIN.max(1.0 / (state.seen as f64 + 1.0));
    state.variance += gain * (off * off - state.variance);
    if let Some(slot) = slot {
        state.slots[slot] += SEASON_GAIN * off;
    }
    score
}

/// The score of y beside a mean, where three standard deviations are the band. The band is on the scale of what is observed.
fn compared(observed: f64, y: f64, mean: f64, deviation: f64, expected: f64) -> Score {
    let deviation = deviation.max(tiny(mean));
    let residual = (y - mean) / deviation;
    let scale = if y == mean {
        1.0
    } else {
        (observed - expected) / (y - mean)
    };
    Score::Scored(Scored {
        observed,
        expected,
        low: expected - 3.0 * deviation * scale.abs(),
        high: expected + 3.0 * deviation * scale.abs(),
        residual,
        severity: tails::normal(residual),
    })
}

fn tiny(value: f64) -> f64 {
    1e-9 * (1.0 + value.abs())
}

fn warming_up(seen: u64, needed: u64) -> Score {
    Score::Unscored(Unscored::WarmingUp { seen, needed })
}

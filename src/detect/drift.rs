//! D4: a value that leaves its level by less in each window than one window can show, such as a leak.
//!
//! Two-sided CUSUM (Page 1954, "Continuous inspection schemes") on the residuals z of a slow forecast, within ±6:
//!
//! ```text
//! up = max(0, up + z - k)        down = max(0, down - z - k)        k: half of the shift that is looked for, in standard deviations
//! ```
//!
//! The forecast follows slowly, so that a slow change is not learned before it is seen. A sum goes up from zero and comes back: an excursion. It is over as well when it has lost a third of its highest point, so
//! that what has ended is not told for as long as it took. Sums of neighbouring windows are nearly the same, so a sum is compared (`peaks`) with the highest points of earlier excursions. Windows without a value are skipped.

use super::forecast::{self, Forecast, Scale};
use super::peaks::Peaks;
use super::{Detector, Score, Scored, Window};
use serde::{Deserialize, Serialize};

const LEVEL_GAIN: f64 = 0.005;
const DEVIATION_GAIN: f64 = 0.05;
const RESIDUAL_MAX: f64 = 6.0;
/// k.
const SLACK: f64 = 0.5;
/// A sum counts as so many standard deviations: of independent windows the highest points then have about the tail that `Peaks` assumes before it has seen any, e^(-2 k sum).
const SIZE: f64 = 2.0 / 3.0;
/// An excursion that has come so high is over when so much of its highest point is lost.
const HIGH: f64 = 8.0;
const LEFT: f64 = 2.0 / 3.0;

/// The test: the slow forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    pub forecast: Forecast,
}

impl Drift {
    /// With a season of so many windows, if any.
    pub fn new(season: Option<u32>) -> Self {
        Drift {
            forecast: Forecast {
                scale: Scale::Signed,
                level_gain: LEVEL_GAIN,
                learns_gain: false,
                deviation_gain: DEVIATION_GAIN,
                ..Forecast::of_values(season)
            },
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    forecast: forecast::State,
    up: Excursion,
    down: Excursion,
    peaks: Peaks,
}

/// A sum that is above zero, or zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Excursion {
    sum: f64,
    highest: f64,
}

impl Excursion {
    /// Adds a residual; the highest point of an excursion that ends with it.
    fn add(&mut self, residual: f64) -> Option<f64> {
        self.sum = (self.sum + residual - SLACK).max(0.0);
        self.highest = self.highest.max(self.sum);
        let has_fallen = HIGH <= self.highest && self.sum < LEFT * self.highest;
        if 0.0 < self.sum && !has_fallen {
            return None;
        }
        let ended = std::mem::take(self);
        (0.0 < ended.highest).then_some(ended.highest)
    }
}

impl Detector for Drift {
    type Evidence = f64;
    type State = State;

    fn start(&self) -> State {
        State::default()
    }

    fn step(&self, state: &mut State, window: &Window<f64>) -> Score {
        let scored = match self.forecast.step(&mut state.forecast, window) {
            Score::Scored(it) => it,
            unscored @ Score::Unscored(_) => return unscored,
        };
        let z = scored.residual.clamp(-RESIDUAL_MAX, RESIDUAL_MAX);
        let ended = [state.up.add(z), state.down.add(-z)];
        let residual = match state.down.sum <= state.up.sum {
            true => state.up.sum * SIZE,
            false => -state.down.sum * SIZE,
        };
        let severity = state.peaks.of(residual.abs());
        for highest in ended.into_iter().flatten() {
            state.peaks.learn(highest * SIZE);
        }
        Score::Scored(Scored {
            residual,
            severity,
            ..scored
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(residuals: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mut excursion = Excursion::default();
        let (mut sums, mut ended) = (Vec::new(), Vec::new());
        for residual in residuals {
            ended.extend(excursion.add(*residual));
            sums.push(excursion.sum);
        }
        (sums, ended)
    }

    #[test]
    fn what_exceeds_the_slack_adds_up_and_what_does_not_never_does() {
        assert_eq!(sums(&[0.5; 50]), (vec![0.0; 50], Vec::new()));
        let (all, ended) = sums(&[1.5; 20]);
        assert_eq!((all[19], ended), (20.0, Vec::new()));
    }

    #[test]
    fn an_excursion_ends_at_zero_or_a_third_below_its_highest_point() {
        let (all, ended) = sums(&[2.5, 1.5, -2.0, -2.0]);
        assert_eq!((all, ended), (vec![2.0, 3.0, 0.5, 0.0], vec![3.0]));
        let high = [[3.5; 10].as_slice(), &[-0.5; 11]].concat();
        let (all, ended) = sums(&high);
        assert_eq!((all[9], all[19], ended), (30.0, 20.0, vec![30.0]));
        assert_eq!(all[20], 0.0);
    }
}

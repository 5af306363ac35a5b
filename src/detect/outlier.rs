//! D7 over windows: several values that are usual each by itself, and unusual together.
//!
//! ```text
//! each value ─► residual of its forecast, z ─► rank, u = Φ(z) ─┐
//! each value ─► …                                              ├─► how empty it is around (u1, …, un) ─► rank among earlier ones ─► severity
//! ```
//!
//! Half-space trees (`half_spaces`) count the points of past windows in two generations, as in the paper: a point is compared with the last full generation, and counted in the one that is filling; when that is full
//! it takes the other's place. So what was usual long ago is forgotten, and the state is bounded. A window of which one value is missing is skipped.

use super::calibration::{Calibration, SCORES_MIN};
use super::forecast::{self, Forecast};
use super::half_spaces::{Counts, HalfSpaces};
use super::{Detector, Score, Scored, Unscored, Window};
use serde::{Deserialize, Serialize};

/// Values that one test compares.
pub const VALUES_MAX: usize = 8;
/// Points of a generation.
const GENERATION: u32 = 1_024;
const TREES: HalfSpaces = HalfSpaces {
    seed: 1,
    trees: 25,
    depth: 8,
};
/// The gain of what is usual of the emptiness, for the band.
const GAIN: f64 = 0.02;
/// The half width of the band, in mean absolute deviations.
const BAND: f64 = 5.0;

/// Values of one window, NaN where one is missing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    values: [f64; VALUES_MAX],
    count: u8,
}

impl Point {
    /// Of at most [`VALUES_MAX`] values; more are left out.
    pub fn of(of: impl Iterator<Item = f64>) -> Point {
        let mut point = Point {
            values: [0.0; VALUES_MAX],
            count: 0,
        };
        for (place, value) in point.values.iter_mut().zip(of) {
            *place = value;
            point.count += 1;
        }
        point
    }

    pub fn values(&self) -> &[f64] {
        &self.values[..usize::from(self.count)]
    }
}

/// The test: how each value is forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlier {
    pub forecast: Forecast,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    forecasts: Vec<forecast::State>,
    /// The last full generation, and the one that is filling with its points.
    full: Option<Counts>,
    filling: Counts,
    points: u32,
    calibration: Calibration,
    /// Decayed mean of the emptiness, and of its absolute deviation.
    usual: f64,
    deviation: f64,
    seen: u64,
}

impl Detector for Outlier {
    type Evidence = Point;
    type State = State;

    fn start(&self) -> State {
        State {
            forecasts: Vec::new(),
            full: None,
            filling: Counts::default(),
            points: 0,
            calibration: Calibration::default(),
            usual: 0.0,
            deviation: 0.0,
            seen: 0,
        }
    }

    fn step(&self, state: &mut State, window: &Window<Point>) -> Score {
        let values = window.evidence.values();
        if values.is_empty() || values.iter().any(|it| !it.is_finite()) {
            return Score::Unscored(Unscored::NoEvidence);
        }
        state
            .forecasts
            .resize_with(values.len(), || self.forecast.start());
        let mut ranks = [0.0; VALUES_MAX];
        let mut known = true;
        for ((forecast, value), rank) in state.forecasts.iter_mut().zip(values).zip(&mut ranks) {
            let window = Window {
                number: window.number,
                evidence: *value,
            };
            match self.forecast.step(forecast, &window) {
                Score::Scored(it) => {
                    *rank = 0.5 * libm::erfc(-it.residual / std::f64::consts::SQRT_2);
                }
                Score::Unscored(_) => known = false,
            }
        }
        state.seen += 1;
        let warming_up = Score::Unscored(Unscored::WarmingUp {
            seen: state.seen,
            needed: SCORES_MIN as u64,
        });
        if !known {
            return warming_up;
        }
        let ranks = &ranks[..values.len()];
        let compared = state.full.as_ref().unwrap_or(&state.filling);
        let emptiness = TREES.score(compared, ranks);
        TREES.add(&mut state.filling, ranks, 1);
        state.points += 1;
        if state.points == GENERATION {
            state.full = Some(std::mem::take(&mut state.filling));
            state.points = 0;
        }
        let Some(emptiness) = emptiness else {
            return warming_up;
        };
        let severity = state.calibration.severity(emptiness);
        let (usual, deviation) = (state.usual, state.deviation);
        let off = emptiness - usual;
        state.usual += GAIN * off;
        state.deviation += GAIN * (off.abs() - deviation);
        match severity {
            None => warming_up,
            Some(severity) => Score::Scored(Scored {
                observed: emptiness,
                expected: usual,
                low: usual - BAND * deviation,
                high: usual + BAND * deviation,
                residual: match 0.0 < deviation {
                    true => off / deviation,
                    false => 0.0,
                },
                severity,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;

    #[test]
    fn values_that_do_not_go_together_are_found() {
        let test = Outlier {
            forecast: Forecast::of_values(None),
        };
        let mut state = test.start();
        let mut random = Random::new(3);
        // The second value follows the first one, and each of them is often this low or high.
        let mut severity = |number: i64, odd: bool| {
            let shared = 4.0 * (random.unit() - 0.5);
            let first = if odd { 1.9 } else { shared };
            let second = if odd { -1.9 } else { shared } + 0.2 * random.unit();
            let evidence = Point::of([first, second].into_iter());
            let score = test.step(&mut state, &Window { number, evidence });
            score.scored().map(|it| it.severity)
        };
        let usual: Vec<f64> = (0..1_500).filter_map(|it| severity(it, false)).collect();
        assert!(1_000 < usual.len());
        let loud = usual.iter().filter(|it| 3.0 < **it).count();
        let found = severity(1_500, true).expect("it has a score");
        assert!(loud <= 5 && 3.0 < found, "{loud} and {found}");
    }

    #[test]
    fn a_missing_value_is_no_evidence() {
        let test = Outlier {
            forecast: Forecast::of_values(None),
        };
        let mut state = test.start();
        let evidence = Point::of([1.0, f64::NAN].into_iter());
        let score = test.step(
            &mut state,
            &Window {
                number: 1,
                evidence,
            },
        );
        assert_eq!(score, Score::Unscored(Unscored::NoEvidence));
        assert_eq!(state, test.start());
    }
}

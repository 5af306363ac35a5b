//! For a series of unknown character: a seasonal forecast, and novelty of levels and of shapes, combined.
//!
//! ```text
//! forecast residual ─► rank ─┐
//! nearest value     ─► rank ─┤
//! nearest mean of 8 ─► rank ─┼─► sum of -ln p ─► severity
//! nearest stretch   ─► rank ─┤
//! (short and long)  ─► rank ─┤
//! length of a run   ─► rank ─┘     of one and the same value: something is frozen
//! ```
//!
//! Each view has its own units, so each is calibrated among its own last scores (`calibration`) before they meet. They meet as in Fisher's method (1932): the sum of -ln p of k
//! independent tests has a gamma distribution of shape k. These are not independent, so the severity orders windows, and is not a probability to the letter. The largest severity alone was tried as well:
//! it is as loud as the loudest view.
//!
//! A value that is missing is skipped and has no score.

use super::calibration::{Calibration, SCORES_MIN};
use super::math::LN_10;
use super::novelty::Nearest;
use super::shape::Shapes;
use super::unknown_season::{self, Season, UnknownSeason};
use super::{Detector, Score, Scored, Unscored, Window, tails};
use serde::{Deserialize, Serialize};

/// Values in a trailing mean.
const MEAN_OF: usize = 8;
/// Values in a part of the short stretch and of the long one.
const PARTS: [u32; 2] = [1, 4];
const VIEWS: usize = 6;

/// A detector for any series of values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnySeries {
    pub season: Season,
}

impl AnySeries {
    fn forecast(&self) -> UnknownSeason {
        UnknownSeason {
            season: self.season,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    forecast: unknown_season::State,
    last: Vec<f64>,
    value: Nearest,
    mean: Nearest,
    short: Shapes,
    long: Shapes,
    /// How often the last value has come again.
    run: u32,
    /// In the order of the views above.
    calibrations: [Calibration; VIEWS],
    seen: u64,
}

impl Detector for AnySeries {
    type Evidence = f64;
    type State = State;

    fn start(&self) -> State {
        State {
            forecast: self.forecast().start(),
            last: Vec::new(),
            value: Nearest::default(),
            mean: Nearest::default(),
            short: Shapes::new(PARTS[0]),
            long: Shapes::new(PARTS[1]),
            run: 0,
            calibrations: Default::default(),
            seen: 0,
        }
    }

    fn step(&self, state: &mut State, window: &Window<f64>) -> Score {
        let value = window.evidence;
        let score = self.forecast().step(&mut state.forecast, window);
        if !value.is_finite() {
            return score;
        }
        state.seen += 1;
        let is_same = state.last.last() == Some(&value);
        state.run = if is_same {
            state.run.saturating_add(1)
        } else {
            0
        };
        let run = state.run;
        let views = [
            score.scored().map(|it| it.residual.abs()),
            state.value.step(value),
            state.trailing_mean(value),
            state.short.step(value),
            state.long.step(value),
            Some(f64::from(run)),
        ];
        let mut sum = 0.0;
        let mut count = 0.0;
        for (view, calibration) in views.into_iter().zip(&mut state.calibrations) {
            if let Some(severity) = view.and_then(|it| calibration.severity(it)) {
                sum += severity * LN_10;
                count += 1.0;
            }
        }
        match score {
            Score::Scored(scored) if 0.0 < count => Score::Scored(Scored {
                severity: tails::ln_sum_of_exponentials(count, sum) / -LN_10,
                ..scored
            }),
            _ => Score::Unscored(Unscored::WarmingUp {
                seen: state.seen,
                needed: SCORES_MIN as u64,
            }),
        }
    }
}

impl State {
    fn trailing_mean(&mut self, value: f64) -> Option<f64> {
        if self.last.len() == MEAN_OF {
            self.last.remove(0);
        }
        self.last.push(value);
        let mean = self.last.iter().sum::<f64>() / self.last.len() as f64;
        self.mean.step(mean)
    }
}

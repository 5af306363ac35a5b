//! D4: shifts and leaks too small for one window, by sums of standardised residuals.
//!
//! Two-sided CUSUM (Page 1954, "Continuous inspection schemes"), on z within ±6:
//!
//! ```text
//! up = max(0, up + z - k)        down = max(0, down - z - k)        alert at h, then both begin anew
//! ```
//!
//! k is half of the shift that is looked for, in standard deviations: 1 for abrupt ones, 0.5 over hours. A score is the larger sum over h, so an alert is a score of one.
//! Missing windows are skipped.

use serde::{Deserialize, Serialize};

const RESIDUAL_MAX: f64 = 6.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cusum {
    /// k, the slack that a window has.
    pub slack: f64,
    /// h, the sum that is an alert. It comes from calibration; 8 is one false alert in about 10^6 windows of independent normal z at k = 1.
    pub alert: f64,
}

impl Default for Cusum {
    fn default() -> Self {
        Cusum {
            slack: 1.0,
            alert: 8.0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub up: f64,
    pub down: f64,
}

impl Cusum {
    /// Adds a residual; the larger sum over h, with the sign of its side. At an alert the sums begin anew.
    pub fn step(&self, state: &mut State, residual: f64) -> f64 {
        let z = residual.clamp(-RESIDUAL_MAX, RESIDUAL_MAX);
        state.up = (state.up + z - self.slack).max(0.0);
        state.down = (state.down - z - self.slack).max(0.0);
        let score = match state.down <= state.up {
            true => state.up / self.alert,
            false => -state.down / self.alert,
        };
        if 1.0 <= score.abs() {
            *state = State::default();
        }
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_alert(shift: f64) -> Option<usize> {
        let mut state = State::default();
        (0..100).position(|_| 1.0 <= Cusum::default().step(&mut state, shift).abs())
    }

    #[test]
    fn a_shift_above_the_slack_is_found_in_time_and_one_below_never() {
        assert_eq!(first_alert(0.9), None);
        assert_eq!(first_alert(3.0), Some(3));
        assert_eq!(first_alert(-3.0), Some(3));
        // No single window is an alert.
        assert_eq!(first_alert(1e9), Some(1));
    }

    #[test]
    fn it_begins_anew_after_an_alert() {
        let mut state = State::default();
        let cusum = Cusum::default();
        let alerts = (0..40)
            .filter(|_| 1.0 <= cusum.step(&mut state, 3.0))
            .count();
        assert_eq!(alerts, 10);
    }
}

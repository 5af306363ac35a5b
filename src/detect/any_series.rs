//! For a series of unknown character: eight views of it, of which several have to agree.
//!
//! ```text
//! value, nearest earlier one                     ─► rank ─┐
//! step from the last value, nearest earlier one  ─► rank ─┤
//! residual of a forecast, nearest earlier one    ─► rank ─┤
//! spread of the last 16, nearest earlier one     ─► rank ─┼─► sum of -ln p, at most ln 1000 of each ─► severity
//! stretch of 8, as it is                         ─► rank ─┤
//! stretch of 32, beside its mean                 ─► rank ─┤
//! stretch of 128, by its form                    ─► rank ─┤
//! length of a run of one and the same value      ─► rank ─┘
//! ```
//!
//! Each view has its own units, so each is calibrated among its own last scores (`calibration`) before they meet. They meet as in Fisher's method (1932): the sum of -ln p of k
//! independent tests has a gamma distribution of shape k. These are not independent, so the severity orders windows, and is not a probability to the letter.
//!
//! What one view says is bounded, at about what its ranks can tell without the tail that is fitted to them: what is odd in one respect alone is most often usual for the series, and what is wrong shows in several.
//! The largest severity alone was tried as well: it is as loud as the loudest view (notes 14 and 26).
//!
//! A value that is missing is skipped and has no score.

use super::calibration::{Calibration, SCORES_MIN};
use super::math::{LN_10, ln};
use super::novelty::Nearest;
use super::shape::{Compared, Shapes};
use super::unknown_season::{self, Season, UnknownSeason};
use super::{Detector, Score, Scored, Unscored, Window, tails};
use serde::{Deserialize, Serialize};

/// Length of the window of the spread, in values.
const SPREAD_OF: usize = 16;
/// A spread is at least this share of the range of all values: it is compared by factors, and may be none.
const SPREAD_SHARE: f64 = 1e-6;
/// Values in a part of the short stretch, the middle one and the long one.
const PARTS: [u32; 3] = [1, 4, 16];
/// Steps, residuals and spreads that are remembered.
const VALUES_MAX: u32 = 4_000;
/// A run is not longer: what stays frozen is usual in the end.
const RUN_MAX: u32 = 500;
/// What one view says at most.
const SEVERITY_MAX: f64 = 3.0;
const VIEWS: usize = 8;

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
    step: Nearest,
    residual: Nearest,
    spread: Nearest,
    short: Shapes,
    middle: Shapes,
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
            step: Nearest::of_last(VALUES_MAX),
            residual: Nearest::of_last(VALUES_MAX),
            spread: Nearest::of_last(VALUES_MAX),
            short: Shapes::new(PARTS[0], Compared::AsTheyAre),
            middle: Shapes::new(PARTS[1], Compared::BesideTheirMeans),
            long: Shapes::new(PARTS[2], Compared::ByForm),
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
        let before = state.last.last().copied();
        state.run = match before == Some(value) {
            true => RUN_MAX.min(state.run + 1),
            false => 0,
        };
        let residual = score.scored().map(|it| it.residual);
        let views = [
            state.value.step(value),
            before.and_then(|it| state.step.step(value - it)),
            residual.and_then(|it| state.residual.step(it)),
            state.spread(value),
            state.short.step(value),
            state.middle.step(value),
            state.long.step(value),
            (0.0 < state.value.range()).then(|| f64::from(state.run)),
        ];
        let mut sum = 0.0;
        let mut count = 0.0;
        for (view, calibration) in views.into_iter().zip(&mut state.calibrations) {
            if let Some(severity) = view.and_then(|it| calibration.severity(it)) {
                sum += severity.min(SEVERITY_MAX) * LN_10;
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
    /// How far the spread of the last values is from the nearest earlier one. The value joins them.
    fn spread(&mut self, value: f64) -> Option<f64> {
        if self.last.len() == SPREAD_OF {
            self.last.remove(0);
        }
        self.last.push(value);
        let least = SPREAD_SHARE * self.value.range();
        if least <= 0.0 {
            return None;
        }
        let count = self.last.len() as f64;
        let mean = self.last.iter().sum::<f64>() / count;
        let squares = self.last.iter().map(|it| (it - mean) * (it - mean));
        let deviation = (squares.sum::<f64>() / count).sqrt();
        let spread = Some(ln(deviation + least)).filter(|it| it.is_finite());
        spread.and_then(|it| self.spread.step(it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;

    fn severities(values: impl IntoIterator<Item = f64>) -> Vec<Option<f64>> {
        let detector = AnySeries::default();
        let mut state = detector.start();
        let windows = (0..).zip(values);
        let score = windows.map(|(number, evidence)| {
            let score = detector.step(&mut state, &Window { number, evidence });
            score.scored().map(|it| it.severity)
        });
        score.collect()
    }

    /// Usual values at a usual pace in an unusual order: one cycle of fifty is turned round.
    #[test]
    fn a_cycle_of_another_form_is_the_loudest() {
        const CYCLE: usize = 60;
        let mut random = Random::new(3);
        let strange = 40 * CYCLE..41 * CYCLE;
        let values = (0..50 * CYCLE).map(|at| {
            let turned = match strange.contains(&at) {
                true => CYCLE - at % CYCLE,
                false => at % CYCLE,
            };
            (turned as f64).sqrt() + 0.2 * random.unit()
        });
        let found = severities(values);
        let loudest = (0..found.len()).max_by(|a, b| found[*a].partial_cmp(&found[*b]).unwrap());
        let near = strange.start..strange.end + CYCLE;
        assert!(loudest.is_some_and(|it| near.contains(&it)), "{loudest:?}");
    }

    #[test]
    fn one_view_alone_is_not_believed_without_end() {
        let mut random = Random::new(3);
        let usual: Vec<f64> = (0..1_000).map(|_| random.unit()).collect();
        let with = |last: f64| severities(usual.iter().copied().chain([last]))[1_000].unwrap();
        let severities = [1.5, 30.0, 1e9].map(with);
        assert!(severities[0] < severities[1], "{severities:?}");
        let least = tails::ln_sum_of_exponentials(VIEWS as f64, VIEWS as f64 * 3.0 * LN_10);
        assert!(severities[2] <= least / -LN_10, "{severities:?}");
    }

    #[test]
    fn what_never_changes_is_usual_and_what_freezes_is_so_in_the_end() {
        let constant = severities(std::iter::repeat_n(5.0, 3_000));
        assert!(constant.iter().flatten().all(|it| *it < 1.0));
        let mut random = Random::new(3);
        let frozen = (0..5_000).map(|at: usize| {
            let at = at.min(1_500) as f64;
            let noise = if at < 1_500.0 { random.unit() } else { 0.5 };
            libm::sin(at / 8.0) + 0.2 * noise
        });
        let found = severities(frozen);
        let most = |range: std::ops::Range<usize>| {
            let scores = found[range].iter().flatten().copied();
            scores.fold(0.0, f64::max)
        };
        assert!(3.0 < most(1_500..1_600), "{}", most(1_500..1_600));
        assert!(most(4_000..5_000) < 2.0, "{}", most(4_000..5_000));
    }

    #[test]
    fn no_value_makes_a_score_that_is_no_number() {
        let values = [
            0.0,
            1e300,
            f64::NAN,
            -1e300,
            1e-300,
            f64::MAX,
            f64::MIN,
            3.0,
        ];
        let found = severities((0..2_000).map(|at| values[at * 7 % values.len()]));
        assert!(found.iter().flatten().all(|it| !it.is_nan()));
        assert!(found.iter().any(Option::is_some));
    }
}

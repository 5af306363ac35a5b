//! The windows of one key, with those that have no record, through all of its metrics.
//!
//! A window without a record is no row anywhere, and yet an observation: zero of each rate. A key that has been silent for long is forgotten: silent for as long as it has been there and an hour or so, or for two
//! seasons. So what came once leaves soon, and what came daily is missed for two days.
//!
//! As everything here it is a pure fold: the same windows give the same verdicts, wherever the fold was stopped and resumed.

use super::metric::{Evidence, Kind, Metric, State};
use super::newcomers::{Came, Presence};
use super::{Detector, Score, Scored, Window};
use crate::model::held::of_vec;
use serde::{Deserialize, Serialize};

/// A key is missed for so many windows at least.
const MISSED_MIN: i64 = 64;
/// A window without a record is told only where so many records were expected: keys that come now and then are silent most of the time.
const TELLS_SILENCE: f64 = 1.0;

/// What the metrics of a key's windows say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The window's number.
    pub window: i64,
    /// Which of the metrics.
    pub metric: usize,
    /// What was observed, if it is a number.
    pub observed: Option<f64>,
    /// None while the metric is not known well enough, or if nothing was observed.
    pub scored: Option<Scored>,
    /// What the key brought, told with its first rate; none in a window without a record.
    pub came: Option<Came>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    presence: Presence,
    states: Vec<State>,
}

impl Known {
    /// The memory of what is known of each metric, without what that points at.
    pub fn table_bytes(&self) -> usize {
        of_vec::<State>(self.states.capacity())
    }
}

/// A fold over windows: what is known behind the last one, which is before `next`. Nothing is known of a key that is new, or forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    pub next: i64,
    pub known: Option<Known>,
}

impl Default for Fold {
    /// Before the first window.
    fn default() -> Self {
        Fold {
            next: i64::MIN,
            known: None,
        }
    }
}

/// The last window in which a key that was there is still missed, with the longest season of its metrics.
pub fn missed_until(presence: &Presence, season: Option<u32>) -> i64 {
    let most = season.map_or(MISSED_MIN, |it| (2 * i64::from(it)).max(MISSED_MIN));
    let lived = presence.last - presence.first;
    presence.last + most.min(lived + MISSED_MIN)
}

/// Folds windows of a key through metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    pub metrics: Vec<Metric>,
    /// In so many windows a key is a newcomer.
    pub hour: i64,
}

impl Windows {
    /// Takes windows in up to one number, whether or not they have records; `observed` are those that have, in order, from the fold's next one on.
    pub fn fold<'a>(
        &self,
        fold: &mut Fold,
        observed: impl Iterator<Item = (i64, &'a [Evidence])>,
        through: i64,
        mut tell: impl FnMut(Verdict),
    ) {
        for (window, evidence) in observed {
            self.silent(fold, window.saturating_sub(1), &mut tell);
            self.observed(fold, window, evidence, &mut tell);
        }
        self.silent(fold, through, &mut tell);
    }

    /// The last window in which a key that is known is still missed.
    pub fn missed_until(&self, known: &Known) -> i64 {
        let seasons = self.metrics.iter().filter_map(Metric::season).max();
        missed_until(&known.presence, seasons)
    }

    /// Whether windows without records say something.
    pub fn hears_silence(&self) -> bool {
        self.metrics.iter().any(|it| it.kind() == Kind::Rate)
    }

    /// Whether what is said depends on how busy a key is.
    fn asks_how_busy(&self) -> bool {
        self.metrics.iter().any(|it| it.kind() == Kind::Latency)
    }

    fn observed(
        &self,
        fold: &mut Fold,
        window: i64,
        evidence: &[Evidence],
        tell: &mut impl FnMut(Verdict),
    ) {
        let start = || self.metrics.iter().map(Detector::start).collect();
        let known = fold.known.get_or_insert_with(|| Known {
            presence: Presence::new(window),
            states: start(),
        });
        let is_rate = |it: &Metric| it.kind() == Kind::Rate;
        let rate = self.metrics.iter().position(is_rate);
        let records = rate.and_then(|it| evidence[it].number());
        let records = records.unwrap_or(0.0);
        let came = known.presence.came(window, records, self.hour);
        let at = |evidence: &Evidence| Window {
            number: window,
            evidence: *evidence,
        };
        let of_metrics = self.metrics.iter().zip(&known.states).zip(evidence);
        let busy = match self.asks_how_busy() {
            true => of_metrics
                .map(|((test, state), evidence)| test.busy(state, &at(evidence)))
                .find_map(|it| it),
            false => None,
        };
        let of_metrics = self.metrics.iter().zip(&mut known.states).zip(evidence);
        for (metric, ((test, state), evidence)) in of_metrics.enumerate() {
            let score = test.step_beside(state, &at(evidence), busy);
            tell(Verdict {
                window,
                metric,
                observed: evidence.number(),
                scored: score.scored().copied(),
                came: (rate == Some(metric)).then_some(came),
            });
        }
        fold.next = window.saturating_add(1);
    }

    /// Takes windows without records in, up to one number.
    fn silent(&self, fold: &mut Fold, through: i64, tell: &mut impl FnMut(Verdict)) {
        let Some(known) = &mut fold.known else {
            fold.next = fold.next.max(through.saturating_add(1));
            return;
        };
        let missed = self.missed_until(known);
        if self.hears_silence() {
            for window in fold.next..=through.min(missed) {
                let of_metrics = self.metrics.iter().zip(&mut known.states);
                for (metric, (test, state)) in of_metrics.enumerate() {
                    if test.kind() != Kind::Rate {
                        continue;
                    }
                    let evidence = Evidence::Number(0.0);
                    let number = window;
                    let score = test.step(state, &Window { number, evidence });
                    if let Score::Scored(it) = score
                        && TELLS_SILENCE <= it.expected
                    {
                        tell(Verdict {
                            window,
                            metric,
                            observed: Some(0.0),
                            scored: Some(it),
                            came: None,
                        });
                    }
                }
            }
        }
        if missed < through {
            fold.known = None;
        }
        fold.next = fold.next.max(through.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::ratio::Share;
    use proptest::prelude::*;

    fn windows() -> Windows {
        Windows {
            metrics: vec![
                Metric::new(Kind::Rate, 3_600, Some(24)),
                Metric::new(Kind::Value, 3_600, None),
                Metric::new(Kind::Latency, 3_600, Some(24)),
                Metric::new(Kind::Ratio, 3_600, Some(24)),
            ],
            hour: 1,
        }
    }

    fn told(fold: &mut Fold, rates: &[(i64, f64)], through: i64) -> Vec<Verdict> {
        let evidence = |rate: f64| {
            let share = Share {
                failures: rate as u64 / 7,
                all: rate as u64,
            };
            let half = Evidence::Number(rate * 0.5);
            [Evidence::Number(rate), half, half, Evidence::Share(share)]
        };
        let evidence: Vec<_> = rates.iter().map(|it| (it.0, evidence(it.1))).collect();
        let mut told = Vec::new();
        let observed = evidence.iter().map(|it| (it.0, it.1.as_slice()));
        windows().fold(fold, observed, through, |it| told.push(it));
        told
    }

    #[test]
    fn an_outage_is_told_while_it_lasts_and_a_key_is_missed_as_long_as_it_was_there() {
        let steady: Vec<(i64, f64)> = (0..60).map(|it| (it, 100.0 + (it % 3) as f64)).collect();
        let told = told(&mut Fold::default(), &steady, 200);
        let silence: Vec<&Verdict> = told.iter().filter(|it| 60 <= it.window).collect();
        let first = silence[0].scored.expect("it was expected");
        assert_eq!((silence[0].window, silence[0].metric), (60, 0));
        assert!(3.0 < first.severity && first.observed == 0.0, "{first:?}");
        assert!(
            silence
                .iter()
                .all(|it| it.metric == 0 && it.window <= 59 + 64)
        );
    }

    #[test]
    fn what_came_once_is_forgotten_soon_and_begins_anew() {
        let mut fold = Fold::default();
        assert_eq!(told(&mut fold, &[(5, 3.0)], 5 + 64).len(), 4);
        assert!(fold.known.is_some());
        told(&mut fold, &[], 5 + 65);
        assert_eq!(
            fold,
            Fold {
                next: 71,
                known: None
            }
        );
        let told = told(&mut fold, &[(500, 3.0)], 500);
        assert!(
            told.iter()
                .all(|it| it.window == 500 && it.scored.is_none())
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Wherever the fold is stopped and stored, also between windows without records.
        #[test]
        fn stops_do_not_show(
            steps in proptest::collection::vec((prop_oneof![9 => Just(1_i64), 1 => 2..120_i64], 0..400_u32), 1..200),
            stops in proptest::collection::vec(0..400_i64, 0..6),
        ) {
            let mut number = -30;
            let rates: Vec<(i64, f64)> = steps.iter().map(|(step, rate)| {
                number += step;
                (number, f64::from(*rate))
            }).collect();
            let last = number + 150;
            let mut whole = Fold { next: -30, known: None };
            let all = told(&mut whole, &rates, last);
            let mut fold = Fold { next: -30, known: None };
            let mut parts = Vec::new();
            let mut stops: Vec<i64> = stops.iter().map(|it| it - 30).collect();
            stops.sort_unstable();
            for stop in stops.into_iter().filter(|it| *it < last).chain([last]) {
                let part: Vec<(i64, f64)> = rates.iter().copied().filter(|it| fold.next <= it.0 && it.0 <= stop).collect();
                parts.extend(told(&mut fold, &part, stop));
                let bytes = postcard::to_stdvec(&fold).expect("a fold can be written");
                fold = postcard::from_bytes(&bytes).expect("a fold can be read");
            }
            prop_assert_eq!(all, parts);
            prop_assert_eq!(whole, fold);
        }
    }
}

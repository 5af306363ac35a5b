//! D5: what was never there before. For signals that jump between levels, where a forecast is wrong at every jump.
//!
//! - `Nearest` (nn1): the distance of a value to the nearest earlier one, over the range of the values (Ramaswamy, Rastogi and Shim 2000, "Efficient algorithms for mining outliers", with k = 1).
//!   Earlier values are an ordered multiset, bounded: the oldest ones leave it.
//! - `Spell`: within a spell of novelty only what clearly exceeds its largest score so far is told, since the second value of a new level is no news.
//!
//! A value that is missing is skipped.

use super::calibration::{Calibration, SCORES_MIN};
use super::{Detector, Score, Scored, Unscored, Window};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Earlier values that are remembered.
const VALUES_MAX: u32 = 10_000;

/// Earlier values, by size and by age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    values_max: u32,
    /// How often each is there, by a number that orders like it.
    counts: BTreeMap<i32, u32>,
    by_age: VecDeque<i32>,
}

impl Default for Nearest {
    fn default() -> Self {
        Nearest::of_last(VALUES_MAX)
    }
}

impl Nearest {
    /// The last so many values.
    pub fn of_last(values_max: u32) -> Self {
        Nearest {
            values_max,
            counts: BTreeMap::new(),
            by_age: VecDeque::new(),
        }
    }

    /// The distance between the least and the largest value that are remembered.
    pub fn range(&self) -> f64 {
        self.ends().map_or(0.0, |(least, most)| most - least)
    }

    /// The distance to the nearest earlier value, over the range of all; zero for one that was there. None before two different ones. It joins them.
    pub fn step(&mut self, value: f64) -> Option<f64> {
        // Differences of what f32 cannot hold would be no numbers.
        let key = ordered((value as f32).clamp(f32::MIN, f32::MAX));
        let distance = self.distance(key);
        self.by_age.push_back(key);
        *self.counts.entry(key).or_default() += 1;
        if (self.values_max as usize) < self.by_age.len()
            && let Some(oldest) = self.by_age.pop_front()
            && let Some(count) = self.counts.get_mut(&oldest)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&oldest);
            }
        }
        distance
    }

    /// The least and the largest value that are remembered.
    fn ends(&self) -> Option<(f64, f64)> {
        let (least, most) = (self.counts.keys().next()?, self.counts.keys().next_back()?);
        Some((value_of(*least), value_of(*most)))
    }

    fn distance(&self, key: i32) -> Option<f64> {
        let range = self.range();
        if range <= 0.0 {
            return None;
        }
        let value = value_of(key);
        let below = self.counts.range(..=key).next_back();
        let above = self.counts.range(key..).next();
        let distances = [below, above].into_iter().flatten();
        let distances = distances.map(|it| (value_of(*it.0) - value).abs());
        distances.min_by(f64::total_cmp).map(|it| it / range)
    }
}

/// The nearest earlier value as a detector, calibrated by rank.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NearestValue;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    nearest: Nearest,
    calibration: Calibration,
    seen: u64,
}

impl Detector for NearestValue {
    type Evidence = f64;
    type State = State;

    fn start(&self) -> State {
        State::default()
    }

    fn step(&self, state: &mut State, window: &Window<f64>) -> Score {
        let value = window.evidence;
        if !value.is_finite() {
            return Score::Unscored(Unscored::NoEvidence);
        }
        state.seen += 1;
        // Values between those that were there are usual.
        let ends = state.nearest.ends().unwrap_or((value, value));
        let distance = state.nearest.step(value);
        let severity = distance.and_then(|it| state.calibration.severity(it));
        match (distance, severity) {
            (Some(distance), Some(severity)) => Score::Scored(Scored {
                observed: value,
                expected: value.clamp(ends.0, ends.1),
                low: ends.0,
                high: ends.1,
                residual: distance,
                severity,
            }),
            _ => Score::Unscored(Unscored::WarmingUp {
                seen: state.seen,
                needed: SCORES_MIN as u64,
            }),
        }
    }
}

/// A number that orders like the value.
fn ordered(value: f32) -> i32 {
    // 0 and -0 are one value.
    let bits = (value + 0.0).to_bits().cast_signed();
    if bits < 0 { bits ^ i32::MAX } else { bits }
}

fn value_of(key: i32) -> f64 {
    let bits = if key < 0 { key ^ i32::MAX } else { key };
    f64::from(f32::from_bits(bits.cast_unsigned()))
}

/// Lets through the first score of a spell, and later ones only if they clearly exceed it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spell {
    largest: f64,
    quiet: u32,
}

impl Spell {
    /// What is left of a score. A spell is over after so many windows in a row below half of its largest score.
    pub fn step(&mut self, score: f64, quiet_windows: u32) -> f64 {
        const CLEARLY: f64 = 1.2;
        self.quiet = if score < self.largest / 2.0 {
            self.quiet + 1
        } else {
            0
        };
        if quiet_windows <= self.quiet {
            *self = Spell::default();
        }
        if score <= CLEARLY * self.largest {
            return 0.0;
        }
        self.largest = score;
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_nearest_is_the_one_that_a_search_through_all_finds(
            values in proptest::collection::vec(prop_oneof![-5_i32..5, -1000..1000], 0..120)
        ) {
            let mut nearest = Nearest::default();
            let mut earlier: Vec<f64> = Vec::new();
            for value in values.into_iter().map(|it| f64::from(it) / 4.0) {
                let least = earlier.iter().copied().min_by(f64::total_cmp);
                let most = earlier.iter().copied().max_by(f64::total_cmp);
                let range = most.zip(least).map(|(most, least)| most - least);
                let distances = earlier.iter().map(|it| (it - value).abs());
                let expected = distances.min_by(f64::total_cmp).zip(range);
                let expected = expected.filter(|it| 0.0 < it.1).map(|it| it.0 / it.1);
                prop_assert_eq!(nearest.step(value), expected);
                earlier.push(value);
            }
        }

        #[test]
        fn numbers_order_like_values(a in any::<f32>(), b in any::<f32>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.partial_cmp(&b).unwrap());
            prop_assert_eq!(value_of(ordered(a)), f64::from(a));
        }
    }

    #[test]
    fn the_oldest_leave() {
        let mut nearest = Nearest::default();
        nearest.step(-7.0);
        for at in 0..VALUES_MAX {
            nearest.step((at % 10) as f64);
        }
        assert_eq!(nearest.by_age.len(), VALUES_MAX as usize);
        assert_eq!(nearest.step(-7.0), Some(7.0 / 9.0));
    }

    #[test]
    fn a_new_level_is_told_once() {
        let mut spell = Spell::default();
        let told = [0.0, 5.0, 5.5, 7.0, 0.0, 0.0, 0.0, 5.0].map(|it| spell.step(it, 3));
        assert_eq!(told, [0.0, 5.0, 0.0, 7.0, 0.0, 0.0, 0.0, 5.0]);
    }
}

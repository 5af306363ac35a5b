//! How times follow load: by what a window is longer or shorter because of how many records it has.
//!
//! Two things make times depend on the number of records: a busy service is slower, and the percentile of few records is another one than that of many. So the logarithm of a time is explained by two terms, of
//! u, the records over their slow mean:
//!
//! ```text
//! effect = b₀ (1 - 1/√u) + b₁ (u - 1)
//! ```
//!
//! Both are learned by least squares that forget, of what is beside the mean of the last windows on either side: what moves times for good, as a deploy does, is in that mean at once and explains nothing, and a season of
//! times that is one of load is no season. What is learned of a window is within four deviations of what was expected.
//!
//! Beyond what was seen the curve goes on, up to a bound: the first crowd of its size is expected to be slower than all before.

use super::math::DEVIATION_PER_ABSOLUTE;
use serde::{Deserialize, Serialize};

/// What is learned goes back for so many seasons, and so does the usual number of records.
const SEASONS: f64 = 2.0;
/// Windows of a season where there is none.
const SEASON: u32 = 1_440;
/// The gain of the means that windows are compared with.
const RECENT_GAIN: f64 = 0.02;
const DEVIATION_GAIN: f64 = 0.01;
/// What is learned of a window, and of how far it is off, in deviations.
const CLIP: f64 = 4.0;
const DEVIATION_CLIP: f64 = 8.0;
/// Windows until a deviation is known.
const WARM_UP: u32 = 32;
/// As if so much of a term had been seen without any effect.
const PRIOR: f64 = 1e-3;
/// Fewer or more records over the usual are not told apart.
const RECORDS: std::ops::RangeInclusive<f64> = 0.02..=10.0;
/// The largest effect.
const EFFECT_MAX: f64 = 2.0;

/// What is known of how times of a key follow load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Windows learned from.
    windows: u32,
    /// The slow mean of records.
    usual: f64,
    /// Means of the last windows: of the logarithm of times, and of both terms.
    recent: f64,
    recent_terms: [f64; 2],
    /// Slow means beside the recent ones: of the squares of both terms, of their product, and of the product of each with times.
    squares: [f64; 2],
    product: f64,
    shared: [f64; 2],
    /// The mean absolute deviation of what is left.
    deviation: f64,
}

impl Load {
    /// What of the logarithm `y` of a time is due to so many records, as it was known before the window, which is learned. Zero where nothing is known, or where there are as many as usual.
    pub fn effect(&mut self, season: Option<u32>, y: f64, records: f64) -> f64 {
        self.windows = self.windows.saturating_add(1);
        let of_all = 1.0 / f64::from(self.windows);
        let slow = 1.0 / (SEASONS * f64::from(season.unwrap_or(SEASON)));
        self.usual += slow.max(of_all) * (records - self.usual);
        let u = (records / self.usual).clamp(*RECORDS.start(), *RECORDS.end());
        let terms = [1.0 - 1.0 / u.sqrt(), u - 1.0];
        let factors = self.factors();
        let explained = |terms: [f64; 2]| factors[0] * terms[0] + factors[1] * terms[1];

        // Beside the recent means; the first window is its own.
        if self.windows == 1 {
            self.recent = y;
            self.recent_terms = terms;
        }
        let beside = [0, 1].map(|it| terms[it] - self.recent_terms[it]);
        let of_load = explained(beside);
        let off = y - self.recent - of_load;
        let deviation = DEVIATION_PER_ABSOLUTE * self.deviation;
        let within = |half: f64| match WARM_UP < self.windows {
            true => off.clamp(-half * deviation, half * deviation),
            false => off,
        };
        let time = within(CLIP) + of_load;
        let left = within(DEVIATION_CLIP).abs();
        self.deviation += DEVIATION_GAIN.max(of_all) * (left - self.deviation);
        for (at, beside) in beside.into_iter().enumerate() {
            self.squares[at] += slow * (beside * beside - self.squares[at]);
            self.shared[at] += slow * (beside * time - self.shared[at]);
        }
        self.product += slow * (beside[0] * beside[1] - self.product);
        let gain = RECENT_GAIN.max(of_all);
        self.recent += gain * time;
        for (mean, beside) in self.recent_terms.iter_mut().zip(beside) {
            *mean += gain * beside;
        }
        explained(terms).clamp(-EFFECT_MAX, EFFECT_MAX)
    }

    /// b: the solution of the normal equations, with the prior.
    fn factors(&self) -> [f64; 2] {
        let [a, c] = self.squares.map(|it| it + PRIOR);
        let b = self.product;
        let over = 1.0 / (a * c - b * b);
        let [x, y] = self.shared;
        [over * (c * x - b * y), over * (a * y - b * x)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::math::ln;
    use crate::model::Random;

    const SEASON: i64 = 96;

    /// Records that follow a season, with some that come at any time.
    fn records(number: i64, random: &mut Random) -> f64 {
        let of_season = 2.0 + (number % SEASON - SEASON / 2).abs() as f64 / 12.0;
        (100.0 * of_season * (0.6 + 0.8 * random.unit())).round()
    }

    /// By window, what load is known to do and what is told of it, behind ten seasons of learning.
    fn effects(effect: fn(f64) -> f64, moved: impl Fn(i64) -> f64) -> Vec<(f64, f64)> {
        let mut load = Load::default();
        let mut random = Random::new(11);
        let windows = (0..20 * SEASON).map(|number| {
            let records = records(number, &mut random);
            let noise = 0.05 * (random.unit() - 0.5);
            let y = 5.0 + effect(records) + moved(number) + noise;
            (
                effect(records),
                load.effect(Some(SEASON as u32), y, records),
            )
        });
        windows.skip(10 * SEASON as usize).collect()
    }

    fn deviation(of: impl Iterator<Item = f64> + Clone) -> f64 {
        let count = of.clone().count() as f64;
        let mean = of.clone().sum::<f64>() / count;
        (of.map(|it| (it - mean) * (it - mean)).sum::<f64>() / count).sqrt()
    }

    #[test]
    fn a_known_load_is_learned_whole() {
        let queue = |it: f64| -ln(1.0 - it / 1_200.0);
        let percentile_of_few = |it: f64| -0.4 * (100.0 / it).sqrt();
        for (name, effect) in [
            ("a queue", queue as fn(f64) -> f64),
            ("a percentile of few", percentile_of_few),
        ] {
            let found = effects(effect, |_| 0.0);
            let known = deviation(found.iter().map(|it| it.0));
            let left = deviation(found.iter().map(|it| it.1 - it.0));
            assert!(6.0 * left < known, "{name}: {left} of {known}");
        }
    }

    /// Neither a level that moves for good nor one that grows for a season is taken for load.
    #[test]
    fn what_comes_without_load_is_not_due_to_it() {
        let deploy = |it: i64| if it < 14 * SEASON { 0.0 } else { 0.2 };
        let leak = |it: i64| 0.004 * (it - 15 * SEASON).clamp(0, SEASON) as f64;
        for (name, moved) in [("a deploy", deploy as fn(i64) -> f64), ("a leak", leak)] {
            let found = effects(|_| 0.0, moved);
            let most = found.iter().fold(0.0, |most: f64, it| most.max(it.1.abs()));
            assert!(most < 0.04, "{name}: {most}");
        }
    }

    #[test]
    fn nothing_is_due_to_load_at_first_and_nothing_is_without_end() {
        let mut load = Load::default();
        assert_eq!(load.effect(None, 5.0, 100.0), 0.0);
        for number in 0..200 {
            let (y, records) = [(-700.0, 1e300), (700.0, 1.0), (0.0, 1e-300)][number % 3];
            let effect = load.effect(Some(2), y, records);
            assert!(effect.abs() <= EFFECT_MAX, "{number}: {effect}");
        }
    }
}

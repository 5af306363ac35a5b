//! What has never looked like this: the distance of the last stretch of a series to the nearest earlier stretch, a left discord.
//!
//! A stretch is eight means of its parts (piecewise aggregate approximation: Keogh et al. 2001), and there is one for every value: one that begins in the middle of a repetition finds its like as well. The nearest earlier
//! stretch is searched among the last `STRETCHES_MAX`, which do not overlap with it (Yankov, Keogh and Rebbapragada 2008 define discords; Lu et al., KDD 2022, "Matrix profile XXIV", the left ones that a
//! stream can know). With a stretch x, y an earlier one, their means mx and my, and their standard deviations sx and sy:
//!
//! ```text
//! as they are       d² = sum (x - y)²
//! beside its mean   d² = sum (x - y)² - 8 (mx - my)²                              a level does not count
//! by form           d² = 8 (sx²/fx² + sy²/fy²) - 2 sum (x - mx)(y - my) / (fx fy)     nor does an amplitude; f = s, but a tenth of what all vary by at least
//! ```
//!
//! A value that is missing is skipped.

use serde::{Deserialize, Serialize};

const PARTS: usize = 8;
/// Earlier stretches that are remembered; a quarter more before the oldest ones leave.
const STRETCHES_MAX: usize = 3_000;
/// Before so many that do not overlap there is no distance.
const STRETCHES_MIN: usize = 32;
/// Less of all that varies is noise, and no form.
const FORM_SHARE: f32 = 0.1;
/// Squares of what is further from the first value would not be finite.
const FAR: f64 = 1e15;

/// What of two stretches is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compared {
    AsTheyAre,
    BesideTheirMeans,
    ByForm,
}

/// Earlier stretches of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shapes {
    compared: Compared,
    /// Values in a part.
    part: u32,
    /// The first value: others are beside it, so that f32 is enough for them.
    origin: Option<f64>,
    /// The values of the last part.
    last: Vec<f32>,
    /// By value: the mean of the part that ends with it.
    means: Vec<f32>,
    /// By value: the mean of the stretch that ends with it, and its standard deviation, as far as they are needed.
    levels: Vec<f32>,
    spreads: Vec<f32>,
}

impl Shapes {
    /// Stretches of eight parts of so many values.
    pub fn new(part: u32, compared: Compared) -> Self {
        Shapes {
            compared,
            part: part.max(1),
            origin: None,
            last: Vec::new(),
            means: Vec::new(),
            levels: Vec::new(),
            spreads: Vec::new(),
        }
    }

    /// The distance of the stretch that ends with this value to the nearest earlier one.
    pub fn step(&mut self, value: f64) -> Option<f64> {
        let part = self.part as usize;
        let origin = *self.origin.get_or_insert(value);
        if self.last.len() == part {
            self.last.remove(0);
        }
        self.last.push((value - origin).clamp(-FAR, FAR) as f32);
        let sum: f32 = self.last.iter().sum();
        self.means.push(sum / self.last.len() as f32);
        self.learn_moments();
        let distance = self.nearest();
        self.forget();
        distance
    }

    /// Mean and deviation of the last stretch.
    fn learn_moments(&mut self) {
        if self.compared == Compared::AsTheyAre {
            return;
        }
        let parts = self.means.iter().rev().step_by(self.part as usize);
        let parts = || parts.clone().take(PARTS).map(|it| f64::from(*it));
        let count = parts().count() as f64;
        let mean = parts().sum::<f64>() / count;
        self.levels.push(mean as f32);
        if self.compared == Compared::ByForm {
            let squares = parts().map(|it| (it - mean) * (it - mean)).sum::<f64>();
            self.spreads.push((squares / count).sqrt() as f32);
        }
    }

    fn nearest(&self) -> Option<f64> {
        let part = self.part as usize;
        let length = PARTS * part;
        let now = self.means.len() - 1;
        // Where the first whole stretch ends, and behind the end of the last one that does not overlap.
        let (first, behind) = (length - 1, (now + 1).saturating_sub(length));
        if behind < first + STRETCHES_MIN {
            return None;
        }
        let mut squares = vec![0.0_f32; behind - first];
        for back in (0..PARTS).map(|it| it * part) {
            let own = self.means[now - back];
            let earlier = &self.means[first - back..behind - back];
            for (sum, mean) in squares.iter_mut().zip(earlier) {
                *sum += (own - mean) * (own - mean);
            }
        }
        match self.compared {
            Compared::AsTheyAre => {}
            Compared::BesideTheirMeans => self.take_levels_off(&mut squares, first..behind),
            Compared::ByForm => {
                self.take_levels_off(&mut squares, first..behind);
                self.scale(&mut squares, first..behind);
            }
        }
        Some(f64::from(least(&squares).max(0.0)).sqrt())
    }

    fn take_levels_off(&self, squares: &mut [f32], ends: std::ops::Range<usize>) {
        let own = self.levels[self.levels.len() - 1];
        for (sum, level) in squares.iter_mut().zip(&self.levels[ends]) {
            *sum -= PARTS as f32 * (own - level) * (own - level);
        }
    }

    fn scale(&self, squares: &mut [f32], ends: std::ops::Range<usize>) {
        let (levels, spreads) = (&self.levels[ends.clone()], &self.spreads[ends]);
        let count = levels.len() as f32;
        let mean = sum(levels, |it| it) / count;
        let apart = sum(levels, |it| (it - mean) * (it - mean));
        let all = ((apart + sum(spreads, |it| it * it)) / count).sqrt();
        let floor = (FORM_SHARE * all).max(f32::MIN_POSITIVE.sqrt());
        let own = self.spreads[self.spreads.len() - 1];
        let of_own = own.max(floor);
        let parts = PARTS as f32;
        for (sum, spread) in squares.iter_mut().zip(spreads) {
            let of_earlier = spread.max(floor);
            let products = (parts * (own * own + spread * spread) - sum.max(0.0)) / 2.0;
            let (a, b) = (own / of_own, spread / of_earlier);
            *sum = parts * (a * a + b * b) - 2.0 * products / (of_own * of_earlier);
        }
    }

    fn forget(&mut self) {
        const AT_ONCE: usize = STRETCHES_MAX / 4;
        if self.means.len() < STRETCHES_MAX + AT_ONCE {
            return;
        }
        for of in [&mut self.means, &mut self.levels, &mut self.spreads] {
            of.drain(..AT_ONCE.min(of.len()));
        }
    }
}

/// So many at a time, which do not wait for each other.
const LANES: usize = 8;

fn least(of: &[f32]) -> f32 {
    let mut lanes = [f32::INFINITY; LANES];
    for some in of.chunks(LANES) {
        for (least, value) in lanes.iter_mut().zip(some) {
            *least = if *value < *least { *value } else { *least };
        }
    }
    lanes.into_iter().fold(f32::INFINITY, f32::min)
}

fn sum(of: &[f32], each: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    for some in of.chunks(LANES) {
        for (sum, value) in lanes.iter_mut().zip(some) {
            *sum += each(*value);
        }
    }
    lanes.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;
    use Compared::{AsTheyAre, BesideTheirMeans, ByForm};

    /// The largest distance in a range of values.
    fn largest(shapes: &mut Shapes, values: impl Iterator<Item = f64>) -> f64 {
        let distances = values.filter_map(|it| shapes.step(it));
        distances.fold(0.0, f64::max)
    }

    fn wave(at: usize) -> f64 {
        libm::sin(at as f64 * std::f64::consts::TAU / 24.0)
    }

    #[test]
    fn what_repeats_is_near_and_what_does_not_is_far() {
        for compared in [AsTheyAre, BesideTheirMeans, ByForm] {
            let mut shapes = Shapes::new(2, compared);
            largest(&mut shapes, (0..300).map(wave));
            let usual = largest(&mut shapes, (300..600).map(wave));
            let frozen = largest(&mut shapes, (0..16).map(|_| wave(599)));
            assert!(
                usual < 1e-2 && 0.3 < frozen,
                "{compared:?} {usual} {frozen}"
            );
        }
    }

    #[test]
    fn levels_and_amplitudes_count_as_far_as_they_are_compared() {
        let far = |compared, change: fn(f64) -> f64| {
            let mut shapes = Shapes::new(1, compared);
            largest(&mut shapes, (0..480).map(wave));
            largest(&mut shapes, (480..488).map(|it| change(wave(it))));
            largest(&mut shapes, (488..504).map(|it| change(wave(it))))
        };
        let (raised, doubled) = (|it: f64| it + 9.0, |it: f64| 2.0 * it);
        assert!(20.0 < far(AsTheyAre, raised));
        assert!(far(BesideTheirMeans, raised) < 1e-2);
        assert!(0.5 < far(BesideTheirMeans, doubled));
        assert!(far(ByForm, raised) < 1e-2 && far(ByForm, doubled) < 1e-2);
    }

    /// Each formula against the distance of the stretches themselves.
    #[test]
    fn the_nearest_is_the_one_that_a_search_through_all_finds() {
        const PART: usize = 3;
        let mut random = Random::new(1);
        let level = |at: i32| 1e6 + 20.0 * libm::sin(f64::from(at) / 9.0);
        let values = (0..200).map(|at| level(at) + 10.0 * random.unit());
        let values: Vec<f64> = values.collect();
        for compared in [AsTheyAre, BesideTheirMeans, ByForm] {
            let mut shapes = Shapes::new(PART as u32, compared);
            let found = values.iter().filter_map(|it| shapes.step(*it)).last();
            let stretch = |end: usize| -> Vec<f64> {
                let whole = &values[end - PARTS * PART..end];
                let means = whole.chunks(PART).map(|it| it.iter().sum::<f64>() / 3.0);
                let means: Vec<f64> = means.collect();
                let mean = means.iter().sum::<f64>() / 8.0;
                let squares = means.iter().map(|it| (it - mean) * (it - mean));
                let spread = (squares.sum::<f64>() / 8.0).sqrt();
                let (off, scale) = match compared {
                    AsTheyAre => (0.0, 1.0),
                    BesideTheirMeans => (mean, 1.0),
                    ByForm => (mean, spread),
                };
                means.iter().map(|it| (it - off) / scale).collect()
            };
            let own = stretch(values.len());
            let distance = |end: usize| -> f64 {
                let both = stretch(end).into_iter().zip(&own);
                both.map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
            };
            let ends = PARTS * PART..=values.len() - PARTS * PART;
            let least = ends.map(distance).fold(f64::INFINITY, f64::min);
            let found = found.expect("there are enough");
            assert!(
                (found - least).abs() < 1e-3 * least,
                "{compared:?} {found} {least}"
            );
        }
    }

    #[test]
    fn it_takes_no_more_than_it_may_and_no_stretch_that_overlaps() {
        let mut shapes = Shapes::new(1, AsTheyAre);
        // Each value is far from all earlier ones: the nearest stretch is at least eight values back.
        for at in 0..3 * STRETCHES_MAX {
            let distance = shapes.step(at as f64);
            let apart = PARTS as f64 * (PARTS as f64).sqrt();
            assert!(distance.is_none_or(|it| apart <= it + 1e-6), "{distance:?}");
            assert!(shapes.means.len() < STRETCHES_MAX + STRETCHES_MAX / 4);
        }
        assert!(STRETCHES_MAX <= shapes.means.len());
        assert!(shapes.levels.is_empty() && shapes.spreads.is_empty());
    }

    #[test]
    fn what_no_float_can_square_does_no_harm() {
        for compared in [AsTheyAre, BesideTheirMeans, ByForm] {
            let mut shapes = Shapes::new(1, compared);
            for at in 0..200 {
                let value = [1e300, -1e300, 0.0, 1e-300][at % 4];
                let distance = shapes.step(value);
                assert!(distance.is_none_or(f64::is_finite), "{distance:?}");
            }
        }
    }
}

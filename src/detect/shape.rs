//! What has never looked like this: the distance of the last stretch of a series to the nearest earlier stretch, a left discord.
//!
//! A stretch is eight means of its parts (piecewise aggregate approximation: Keogh et al. 2001), compared as they are, by Euclidean distance: amplitude matters. The nearest earlier
//! stretch is searched among the last `STRETCHES_MAX`, which do not overlap with it (Yankov, Keogh and Rebbapragada 2008 define discords; Lu et al., KDD 2022, "Matrix profile XXIV", the left ones that a
//! stream can know). A missing value stands for the one before it.

use serde::{Deserialize, Serialize};

const PARTS: usize = 8;
/// Earlier stretches that are remembered.
const STRETCHES_MAX: usize = 1_000;
/// Before so many there is no distance.
const STRETCHES_MIN: usize = 32;

type Stretch = [f32; PARTS];

/// Earlier stretches of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shapes {
    /// Values in a part.
    part: u32,
    /// The last values, a ring of one stretch.
    last: Vec<f32>,
    next: u32,
    /// A ring; a new one is taken at every part.
    stretches: Vec<Stretch>,
    oldest: u32,
    /// Those that overlap with the last values still.
    waiting: Vec<Stretch>,
    until_taken: u32,
}

impl Shapes {
    /// Stretches of eight parts of so many values.
    pub fn new(part: u32) -> Self {
        Shapes {
            part: part.max(1),
            last: Vec::new(),
            next: 0,
            stretches: Vec::new(),
            oldest: 0,
            waiting: Vec::new(),
            until_taken: 0,
        }
    }

    /// The distance of the stretch that ends with this value to the nearest earlier one.
    pub fn step(&mut self, value: f64) -> Option<f64> {
        let length = PARTS * self.part as usize;
        let value = value as f32;
        if self.last.len() < length {
            self.last.push(value);
        } else {
            self.last[self.next as usize] = value;
            self.next = (self.next + 1) % length as u32;
        }
        if self.last.len() < length {
            return None;
        }
        let stretch = self.means();
        let distance = (STRETCHES_MIN <= self.stretches.len()).then(|| self.nearest(&stretch));
        if self.until_taken == 0 {
            self.take(stretch);
            self.until_taken = self.part;
        }
        self.until_taken -= 1;
        distance
    }

    fn means(&self) -> Stretch {
        let mut means = [0.0; PARTS];
        let part = self.part as usize;
        let in_order = self.last[self.next as usize..].iter();
        let in_order = in_order.chain(&self.last[..self.next as usize]);
        for (at, value) in in_order.enumerate() {
            means[at / part] += value;
        }
        means.map(|it| it / part as f32)
    }

    fn nearest(&self, stretch: &Stretch) -> f64 {
        let mut least = f32::INFINITY;
        for earlier in &self.stretches {
            let mut sum = 0.0;
            for (a, b) in stretch.iter().zip(earlier) {
                sum += (a - b) * (a - b);
            }
            least = least.min(sum);
        }
        f64::from(least).sqrt()
    }

    /// Stretches wait until the last values have nothing in common with them.
    fn take(&mut self, stretch: Stretch) {
        self.waiting.push(stretch);
        if self.waiting.len() <= PARTS {
            return;
        }
        let known = self.waiting.remove(0);
        if self.stretches.len() < STRETCHES_MAX {
            self.stretches.push(known);
        } else {
            self.stretches[self.oldest as usize] = known;
            self.oldest = (self.oldest + 1) % STRETCHES_MAX as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_near_and_what_does_not_is_far() {
        let mut shapes = Shapes::new(2);
        let wave = |at: usize| libm::sin(at as f64 * std::f64::consts::TAU / 24.0);
        let mut usual: f64 = 0.0;
        for at in 0..600 {
            let distance = shapes.step(wave(at)).filter(|_| 300 <= at);
            usual = usual.max(distance.unwrap_or(0.0));
        }
        let frozen = (0..16)
            .filter_map(|_| shapes.step(wave(599)))
            .fold(0.0, f64::max);
        assert!(0.0 < frozen && 2.0 * usual < frozen, "{usual} {frozen}");
    }

    #[test]
    fn it_takes_no_more_than_it_may_and_no_stretch_that_overlaps() {
        let mut shapes = Shapes::new(1);
        // Each value is far from all earlier ones: the nearest stretch is at least eight values back.
        for at in 0..3 * STRETCHES_MAX {
            let distance = shapes.step(at as f64);
            let apart = PARTS as f64 * (PARTS as f64).sqrt();
            assert!(distance.is_none_or(|it| apart <= it + 1e-6), "{distance:?}");
        }
        assert_eq!(shapes.stretches.len(), STRETCHES_MAX);
    }
}

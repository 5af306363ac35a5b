//! From a residual to a probability in a few bytes: peaks over a threshold.
//!
//! The threshold follows the point that a share of 2 % of the residuals exceed (Robbins and Monro 1951, "A stochastic approximation method"); excesses over it have a generalised Pareto tail, by moments
//! (Hosking and Wallis 1987), over sums that forget. What a key has not shown yet is told by a prior: the threshold of a normal distribution, and a tail heavier than its own. So a young key has a
//! p-value, too, and one that is not too bold.
//!
//! Of peaks that follow each other one is learned, as extremes are counted by clusters (Leadbetter 1991, "On a basis for 'peaks over threshold' modeling"): an incident that lasts is one, and no measure for the next.
//!
//! `calibration` keeps the last 2,000 scores instead: it is exact at any rank, and a hundred times larger.

use super::math::{LN_10, ln, ln_1p};
use super::tails;
use serde::{Deserialize, Serialize};

/// The share of residuals beyond the threshold.
const SHARE: f64 = 0.02;
/// Its severity, -log10 0.02.
const SHARE_SEVERITY: f64 = 1.698_970_004_336_018_7;
/// Where that point is for a normal distribution, both sides together.
const NORMAL_THRESHOLD: f64 = 2.326_347_874_040_841;
/// A threshold below this would call anything a peak.
const THRESHOLD_MIN: f64 = 1.0;
const THRESHOLD_GAIN: f64 = 0.2;
/// Sums forget with this share per residual.
const FORGET: f64 = 1.0 / 2_000.0;
/// The prior: so many excesses of an exponential tail with this mean.
const PRIOR_COUNT: f64 = 10.0;
const PRIOR_MEAN: f64 = 0.7;
/// What is learned of one residual at most, as a detector learns within its band.
const LEARNED_MAX: f64 = 8.0;
/// Peaks with fewer residuals between them are one.
const CLUSTER: u8 = 4;
/// Below this shape the tail is taken for an exponential one.
const SHAPE_TINY: f64 = 1e-3;

/// What is known of the residuals of a key.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    threshold: f64,
    /// Decayed: excesses, their sum and the sum of their squares.
    count: f64,
    sum: f64,
    squares: f64,
    /// So many residuals from here on belong to the last peak.
    cluster: u8,
}

impl Default for Peaks {
    fn default() -> Self {
        Peaks {
            threshold: NORMAL_THRESHOLD,
            count: 0.0,
            sum: 0.0,
            squares: 0.0,
            cluster: 0,
        }
    }
}

impl Peaks {
    /// The severity, -log10 p, of a residual in standard deviations among those before it, which it joins. In a normal distribution it would be `normal`.
    pub fn severity(&mut self, residual: f64, normal: f64) -> f64 {
        let size = residual.abs();
        let severity = match self.threshold < size {
            true => self.of(size),
            false => normal.min(SHARE_SEVERITY),
        };
        self.join(size);
        severity
    }

    /// As `severity`, but zero of what is no peak: that costs next to nothing.
    pub fn severity_of_peak(&mut self, residual: f64) -> f64 {
        let size = residual.abs();
        let severity = match self.threshold < size {
            true => self.of(size),
            false => 0.0,
        };
        self.join(size);
        severity
    }

    /// Learns a size; of peaks that follow each other the first.
    fn join(&mut self, size: f64) {
        let is_peak = self.threshold < size;
        let goes_on = is_peak && 0 < self.cluster;
        self.cluster = match is_peak {
            true => CLUSTER,
            false => self.cluster.saturating_sub(1),
        };
        self.learn(if goes_on { 0.0 } else { size });
    }

    /// The severity of a size, which is not learned.
    pub fn of(&self, size: f64) -> f64 {
        if size <= self.threshold {
            return tails::normal(size).min(SHARE_SEVERITY);
        }
        let count = self.count + PRIOR_COUNT;
        let mean = (self.sum + PRIOR_COUNT * PRIOR_MEAN) / count;
        let square = (self.squares + PRIOR_COUNT * 2.0 * PRIOR_MEAN * PRIOR_MEAN) / count;
        let variance = square - mean * mean;
        let ratio = match 0.0 < variance {
            true => mean * mean / variance,
            false => 1.0,
        };
        // An end of the tail would make all beyond it equal, so there is none.
        let shape = (0.5 * (1.0 - ratio)).max(0.0);
        let scale = match shape < SHAPE_TINY {
            true => mean,
            false => 0.5 * mean * (1.0 + ratio),
        };
        let excess = (size - self.threshold) / scale;
        let ln_p = match shape < SHAPE_TINY {
            true => -excess,
            false => -ln_1p(shape * excess) / shape,
        };
        -(ln(SHARE) + ln_p) / LN_10
    }

    /// Joins a size to those that others are compared with.
    pub fn learn(&mut self, size: f64) {
        let size = size.min(LEARNED_MAX);
        let kept = 1.0 - FORGET;
        self.count *= kept;
        self.sum *= kept;
        self.squares *= kept;
        let excess = size - self.threshold;
        let is_peak = 0.0 < excess;
        if is_peak {
            self.count += 1.0;
            self.sum += excess;
            self.squares += excess * excess;
        }
        let beyond = f64::from(u8::from(is_peak));
        let moved = self.threshold + THRESHOLD_GAIN * (beyond - SHARE);
        self.threshold = moved.max(THRESHOLD_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::math::exp;
    use crate::model::Random;

    fn severity(peaks: &mut Peaks, residual: f64) -> f64 {
        peaks.severity(residual, tails::normal(residual))
    }

    /// Of exponential residuals with mean 1 a severity of s is at s ln 10; beyond the sample it is continued to within a third.
    #[test]
    fn an_exponential_tail_is_learned_and_continued() {
        let mut random = Random::new(5);
        let mut peaks = Peaks::default();
        for _ in 0..20_000 {
            severity(&mut peaks, -ln(1.0 - random.unit()));
        }
        for decades in [2.0, 3.0, 4.0] {
            let found = peaks.of(decades * LN_10);
            assert!(
                (found - decades).abs() < 0.35 * decades,
                "{found} {decades}"
            );
        }
    }

    /// As many as its p-value says exceed a severity.
    #[test]
    fn severities_are_as_rare_as_they_say() {
        let mut random = Random::new(8);
        let mut peaks = Peaks::default();
        let mut beyond = [0_u32; 2];
        let all = 200_000;
        for _ in 0..all {
            // Both tails of a Laplace distribution.
            let severity = severity(&mut peaks, -ln(1.0 - random.unit()) * 1.3);
            for (count, least) in beyond.iter_mut().zip([2.0, 3.0]) {
                *count += u32::from(least < severity);
            }
        }
        for (count, least) in beyond.into_iter().zip([2.0, 3.0]) {
            let expected = f64::from(all) * exp(-least * LN_10);
            let ratio = f64::from(count) / expected;
            assert!((0.5..2.0).contains(&ratio), "{least}: {ratio}");
        }
    }

    /// An incident of ten windows is one peak, ten incidents of a window are ten.
    #[test]
    fn peaks_that_follow_each_other_are_one() {
        let learned = |apart: usize| {
            let mut peaks = Peaks::default();
            for at in 0..200 {
                let is_peak = at % apart == 0 && at < 10 * apart;
                severity(&mut peaks, if is_peak { 6.0 } else { 0.5 });
            }
            peaks.count
        };
        assert!(learned(1) < 1.01, "{}", learned(1));
        assert!(9.0 < learned(20), "{}", learned(20));
    }

    #[test]
    fn what_is_no_peak_is_not_computed_and_learned_alike() {
        let (mut all, mut of_peaks) = (Peaks::default(), Peaks::default());
        let mut random = Random::new(2);
        for _ in 0..2_000 {
            let residual = 8.0 * (random.unit() - 0.5);
            let severity = severity(&mut all, residual);
            match of_peaks.severity_of_peak(residual) {
                0.0 => assert!(severity <= SHARE_SEVERITY),
                other => assert_eq!(severity, other),
            }
            assert_eq!(all, of_peaks);
        }
    }

    #[test]
    fn it_grows_with_the_residual_and_knows_something_at_once() {
        let peaks = Peaks::default();
        let mut before = -1.0;
        for step in 0..200 {
            let severity = peaks.of(f64::from(step) * 0.1);
            assert!(before <= severity, "{step}");
            before = severity;
        }
        assert!((2.0..4.5).contains(&peaks.of(5.0)), "{}", peaks.of(5.0));
        assert!(peaks.of(-0.0) < 0.01);
    }
}

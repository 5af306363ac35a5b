//! From a residual score to a probability: how rare such a score was among the last ones of the same key.
//!
//! - Up to the 98 % point: the conformal p-value `(1 + #{r_j >= r}) / (m + 1)` over the last m scores (Laxhammar and Falkman 2014, "Online learning and conformal anomaly detection").
//! - Above it: the tail of a generalised Pareto distribution, by moments of the excesses over that point, `xi = (1 - m1²/s²) / 2`, `sigma = m1 (1 + m1²/s²) / 2` (Hosking and
//!   Wallis 1987), as SPOT does with likelihoods (Siffer et al., KDD 2017). So a score above all earlier ones is not just 1/m.
//!
//! Sums of excesses are what it takes, so both could be maintained under retractions. Below 200 scores nothing is said; a new key borrows the ranks of its parent, which is up to the caller.

use super::math::{LN_10, exp, ln, ln_1p};
use serde::{Deserialize, Serialize};

/// Scores that ranks are taken among, m.
const SCORES_MAX: usize = 2_000;
/// Before so many there is no p-value.
pub const SCORES_MIN: usize = 200;
/// The share of scores above the point where the tail begins.
const TAIL_SHARE: f64 = 0.02;
/// The tail is fitted anew after so many scores.
const FIT_EVERY: u32 = 50;
/// Below this shape the tail is taken for an exponential one.
const SHAPE_TINY: f64 = 1e-3;

/// The last scores of a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// A ring: `next` is the oldest one once it is full.
    scores: Vec<f32>,
    next: u32,
    until_fit: u32,
    tail: Option<Tail>,
}

/// The generalised Pareto tail above a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    pub threshold: f64,
    /// The share of scores above the threshold.
    pub share: f64,
    /// xi; above zero the tail is heavy, below it has an end.
    pub shape: f64,
    /// sigma.
    pub scale: f64,
}

impl Calibration {
    /// The severity, -log10 p, of a score among those before it, which it joins. None while these are too few.
    pub fn severity(&mut self, score: f64) -> Option<f64> {
        let severity = (SCORES_MIN <= self.scores.len()).then(|| self.of(score));
        self.learn(score);
        severity
    }

    fn of(&self, score: f64) -> f64 {
        match &self.tail {
            Some(tail) if tail.threshold < score => tail.severity(score),
            Some(_) | None => {
                let score = score as f32;
                let above = self.scores.iter().filter(|it| score <= **it).count();
                let p = (1.0 + above as f64) / (self.scores.len() as f64 + 1.0);
                -ln(p) / LN_10
            }
        }
    }

    fn learn(&mut self, score: f64) {
        let score = (score as f32).min(f32::MAX);
        if self.scores.len() < SCORES_MAX {
            self.scores.push(score);
        } else {
            self.scores[self.next as usize] = score;
            self.next = (self.next + 1) % SCORES_MAX as u32;
        }
        self.until_fit = self.until_fit.saturating_sub(1);
        if self.until_fit == 0 && SCORES_MIN <= self.scores.len() {
            self.tail = Tail::fit(&self.scores);
            self.until_fit = FIT_EVERY;
        }
    }
}

impl Tail {
    /// Of the highest scores; none if they are all one.
    pub fn fit(scores: &[f32]) -> Option<Tail> {
        let above = (scores.len() as f64 * TAIL_SHARE) as usize;
        let mut sorted = scores.to_vec();
        let at = sorted.len().checked_sub(above + 1)?;
        let (_, threshold, tail) = sorted.select_nth_unstable_by(at, f32::total_cmp);
        let threshold = f64::from(*threshold);
        // In their order, so that the sums have the same bits however the selection has left them.
        tail.sort_unstable_by(f32::total_cmp);
        let excesses = tail.iter().map(|it| f64::from(*it) - threshold);
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for excess in excesses.filter(|it| 0.0 < *it) {
            count += 1.0;
            sum += excess;
            squares += excess * excess;
        }
        if count < 2.0 {
            return None;
        }
        let mean = sum / count;
        let variance = squares / count - mean * mean;
        if variance <= 1e-12 * mean * mean {
            return None;
        }
        let ratio = mean * mean / variance;
        // Moments alone make any xi below a half; an end of the tail would make all beyond it equal, so there is none.
        let shape = (0.5 * (1.0 - ratio)).max(0.0);
        let scale = if shape == 0.0 {
            mean
        } else {
            0.5 * mean * (1.0 + ratio)
        };
        Some(Tail {
            threshold,
            share: count / scores.len() as f64,
            shape,
            scale,
        })
    }

    /// -log10 P(X > score) for a score above the threshold.
    pub fn severity(&self, score: f64) -> f64 {
        let excess = (score - self.threshold) / self.scale;
        let ln_p = match self.shape < SHAPE_TINY {
            true => -excess,
            false => -ln_1p(self.shape * excess) / self.shape,
        };
        -(ln(self.share) + ln_p) / LN_10
    }
}

/// The p-value of a severity.
pub fn probability(severity: f64) -> f64 {
    exp(-severity * LN_10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;

    #[test]
    fn ranks_are_conformal_p_values() {
        let mut calibration = Calibration::default();
        for score in 0..199 {
            assert_eq!(calibration.severity(f64::from(score)), None);
        }
        assert_eq!(calibration.severity(199.0), None);
        // 100 of 200 are as high or higher.
        let found = calibration.of(100.0);
        assert!(
            (probability(found) - 101.0 / 201.0).abs() < 1e-12,
            "{found}"
        );
    }

    /// -log10 p of exponential scores is linear in the score: the tail is extrapolated beyond the sample to within 35 %.
    #[test]
    fn an_exponential_tail_is_continued() {
        let mut random = Random::new(5);
        let mut calibration = Calibration::default();
        for _ in 0..20_000 {
            calibration.severity(-ln(1.0 - random.unit()));
        }
        for decades in [2.0, 4.0, 6.0] {
            let found = calibration.of(decades * LN_10);
            assert!(
                (found - decades).abs() < 0.35 * decades,
                "{found} {decades}"
            );
        }
        let tail = calibration.tail.expect("a tail");
        assert!(tail.severity(tail.threshold) < tail.severity(tail.threshold + 1.0));
    }

    #[test]
    fn scores_that_are_all_one_have_no_tail() {
        let mut calibration = Calibration::default();
        for _ in 0..300 {
            calibration.severity(0.0);
        }
        assert_eq!(calibration.tail, None);
        assert_eq!(calibration.of(0.0), 0.0);
        assert!(2.4 < calibration.of(1.0));
    }
}

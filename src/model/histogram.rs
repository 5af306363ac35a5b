//! A histogram with fixed bounds: durations are added where they arise, and told where somebody asks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long something took, each time, in classes.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds of the classes, in seconds and inclusive, rising; above the last is one more.
    bounds: &'static [f64],
    counted: Mutex<Counted>,
}

#[derive(Clone, Debug)]
struct Counted {
    /// By class, and how many were above all bounds.
    classes: Vec<u64>,
    sum_seconds: f64,
}

/// What a histogram has counted at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// Each bound, with how many were at most that.
    pub upto: Vec<(f64, u64)>,
    pub count: u64,
    pub sum_seconds: f64,
}

impl Histogram {
    /// With these upper bounds, in seconds.
    pub fn new(bounds: &'static [f64]) -> Self {
        assert!(bounds.is_sorted_by(|a, b| a < b), "bounds rise: {bounds:?}");
        let counted = Counted {
            classes: vec![0; bounds.len() + 1],
            sum_seconds: 0.0,
        };
        Histogram {
            bounds,
            counted: Mutex::new(counted),
        }
    }

    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = self.bounds.partition_point(|it| *it < seconds);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.classes[class] += 1;
        counted.sum_seconds += seconds;
    }

    pub fn observed(&self) -> Observed {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let Counted {
            classes,
            sum_seconds,
        } = counted.clone();
        let mut count = 0;
        let upto = self.bounds.iter().zip(&classes).map(|(bound, of_class)| {
            count += of_class;
            (*bound, count)
        });
        Observed {
            upto: upto.collect(),
            count: classes.iter().sum(),
            sum_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_class_below_it() {
        let histogram = Histogram::new(&[0.01, 1.0]);
        let nothing = histogram.observed();
        assert_eq!((nothing.count, nothing.sum_seconds), (0, 0.0));
        assert_eq!(nothing.upto, [(0.01, 0), (1.0, 0)]);
        for ms in [0, 10, 11, 1_000, 1_001, 90_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let observed = histogram.observed();
        assert_eq!(observed.upto, [(0.01, 2), (1.0, 4)]);
        assert_eq!(observed.count, 6);
        assert!((observed.sum_seconds - 92.022).abs() < 1e-9, "{observed:?}");
    }
}

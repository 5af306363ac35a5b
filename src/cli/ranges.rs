//! What a number on the command line, in the environment or in the settings file may be.
//!
//! One table for all flags: a value that would be taken and then not meant (a rate of 0, a commit interval of
//! `nan`) is refused where it is given, with what is possible.

use std::ops::RangeInclusive;

/// A kind of number and its bounds.
#[derive(Clone, Debug)]
pub struct Range {
    bounds: RangeInclusive<f64>,
    unit: &'static str,
}

const fn range(bounds: RangeInclusive<f64>, unit: &'static str) -> Range {
    Range { bounds, unit }
}

/// History in front of the demo's live events: up to a week.
pub const HISTORY: Range = range(0.0..=168.0, "hours");
/// Events per second that are generated.
pub const RATE: Range = range(0.001..=1_000_000.0, "events a second");
/// How long is generated: up to ten years of event time.
pub const DURATION: Range = range(0.001..=315_360_000.0, "seconds");
/// Between two commits: an epoch at least, and an hour at most, since all of it is read again after a crash.
pub const COMMIT_INTERVAL: Range = range(0.1..=3_600.0, "seconds");
/// Until a partition, or a source, counts as silent.
pub const TIMEOUT: Range = range(0.1..=86_400.0, "seconds");

/// Partition files or Kafka partitions that are made.
pub const PARTITIONS: RangeInclusive<i64> = 1..=1024;
/// Timely workers of a process, and processes of a cluster.
pub const WORKERS: RangeInclusive<i64> = 1..=64;

impl Range {
    /// The number that a text says.
    ///
    /// # Errors
    /// With what is possible, if it is none or lies outside.
    pub fn parse(&self, text: &str) -> Result<f64, String> {
        let (first, last) = (self.bounds.start(), self.bounds.end());
        match text.trim().parse::<f64>() {
            Ok(number) if self.bounds.contains(&number) => Ok(number),
            Ok(_) | Err(_) => Err(format!("it must be {first} to {last} {}", self.unit)),
        }
    }
}

/// The parser of a flag.
pub fn within(range: Range) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync {
    move |text| range.parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_means_is_refused() {
        for text in [
            "0", "-5", "nan", "inf", "-inf", "1e30", "", "abc", "10s", "1,5",
        ] {
            for range in [RATE, DURATION, COMMIT_INTERVAL, TIMEOUT] {
                assert!(range.parse(text).is_err(), "{text} for {range:?}");
            }
        }
        assert_eq!(COMMIT_INTERVAL.parse("0.2"), Ok(0.2));
        assert_eq!(RATE.parse("1e5"), Ok(100_000.0));
        assert_eq!(
            COMMIT_INTERVAL.parse("0"),
            Err("it must be 0.1 to 3600 seconds".to_owned())
        );
    }
}

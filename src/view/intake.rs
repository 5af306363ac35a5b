//! What came in lately of one source: speeds, shares and silence, for those who ask how it is doing.
//!
//! Counts lie in slots of a tenth of a second by a clock that cannot be set. The minute before the newest record is kept however long
//! ago that was, so that silence can be told from a source that never had much to say.

use crate::model::PartitionAhead;
use std::collections::VecDeque;

/// Length of a slot, and how much is kept before the newest.
const SLOT_MS: u64 = 100;
const KEPT_MS: u64 = 60_000;

/// Counts of some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Decoded ones.
    pub records: u64,
    pub undecoded: u64,
    pub bytes: u64,
    /// Records behind the watermark when they came.
    pub late: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.records += other.records;
        self.undecoded += other.undecoded;
        self.bytes += other.bytes;
        self.late += other.late;
    }

    fn is_nothing(self) -> bool {
        self == Counts::default()
    }
}

/// How a source is doing, as far as its records tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intake {
    /// The last minute, or since the start if that is less.
    pub lately: Counts,
    /// Since this process started.
    pub late: u64,
    /// Since the newest record; nothing before the first.
    pub quiet_seconds: Option<f64>,
    /// Records and undecodable ones per second in the minute before the newest.
    pub per_second_before: f64,
    /// Partitions with records too far ahead to move event time.
    pub ahead: Vec<PartitionAhead>,
}

#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Counts by slot, oldest first; milliseconds since the hub was made.
    slots: VecDeque<(u64, Counts)>,
    late: u64,
    pub ahead: Vec<PartitionAhead>,
}

impl Recent {
    pub fn note(&mut self, now_ms: u64, counts: Counts) {
        if counts.is_nothing() {
            return;
        }
        self.late += counts.late;
        let slot = now_ms / SLOT_MS * SLOT_MS;
        match self.slots.back_mut() {
            Some((last, sum)) if *last == slot => sum.add(counts),
            _ => self.slots.push_back((slot, counts)),
        }
        while self.slots.front().is_some_and(|it| it.0 + KEPT_MS <= slot) {
            self.slots.pop_front();
        }
    }

    /// Counts of the last milliseconds.
    pub fn over(&self, now_ms: u64, length_ms: u64) -> Counts {
        let mut sum = Counts::default();
        let inside = |it: &&(u64, Counts)| now_ms < it.0 + length_ms;
        let newest_first = self.slots.iter().rev();
        newest_first.take_while(inside).for_each(|it| sum.add(it.1));
        sum
    }

    pub fn intake(&self, now_ms: u64) -> Intake {
        let newest = self.slots.back().map(|it| it.0);
        let before = newest.map_or(0.0, |newest| {
            let counts = self.over(newest, KEPT_MS);
            let seconds = KEPT_MS.min(newest + SLOT_MS) as f64 / 1000.0;
            (counts.records + counts.undecoded) as f64 / seconds
        });
        Intake {
            lately: self.over(now_ms, KEPT_MS),
            late: self.late,
            quiet_seconds: newest.map(|it| now_ms.saturating_sub(it) as f64 / 1000.0),
            per_second_before: before,
            ahead: self.ahead.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(records: u64) -> Counts {
        Counts {
            records,
            ..Counts::default()
        }
    }

    #[test]
    fn a_minute_is_a_minute() {
        let mut recent = Recent::default();
        for slot in 0..2000 {
            recent.note(slot * 100 + 40, counts(20));
        }
        assert_eq!(recent.over(199_999, 60_000).records, 12_000);
        assert_eq!(recent.over(199_999, 10_000).records, 2_000);
        assert_eq!(recent.slots.len(), 600);
    }

    #[test]
    fn silence_is_told_with_what_was_before() {
        let mut recent = Recent::default();
        assert_eq!(recent.intake(500).quiet_seconds, None);
        for slot in 0..1000 {
            recent.note(slot * 100, counts(2));
        }
        let intake = recent.intake(99_900 + 40_000);
        assert_eq!(intake.quiet_seconds, Some(40.0));
        assert!((intake.per_second_before - 20.0).abs() < 0.1);
        assert_eq!(intake.lately.records, 400);
        let hours = recent.intake(10_000_000);
        assert_eq!(hours.lately, Counts::default());
        assert!((hours.per_second_before - 20.0).abs() < 0.1);
    }
}

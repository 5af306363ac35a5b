//! Sessions: records of one key with less than a gap from each to the next.
//!
//! Once the watermark has reached the end of a session, it never changes. Its end is a gap after its last record. A record takes part only if it
//! came on time, so its time is after the watermark; it joins a session only if it is before that session's end, or before its begin. Either way the end
//! of that session is after the watermark: a session that is closed is neither prolonged, nor merged with another, nor begun earlier.

use std::ops::Range;

/// Sessions that end so long after their last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    pub gap_us: i64,
}

impl Sessions {
    /// The times of each session, of times that ascend. A record as late as the end of a session begins the next one.
    pub fn of(self, times: &[i64]) -> impl Iterator<Item = &[i64]> {
        times.chunk_by(move |a, b| *b < self.end(*a))
    }

    /// When a session is over whose last time this is.
    pub fn end(self, last_us: i64) -> i64 {
        last_us.saturating_add(self.gap_us)
    }

    /// Begin and end of the first session that is not over at a watermark, of times that ascend. All before its begin are in sessions that are.
    pub fn first_open(self, times: &[i64], watermark_us: i64) -> Option<Range<i64>> {
        let mut sessions = self.of(times).filter_map(|it| {
            let (first, last) = it.first().zip(it.last())?;
            Some(*first..self.end(*last))
        });
        sessions.find(|it| watermark_us < it.end)
    }
}

#[cfg(test)]
mod tests {
    use super::Sessions;

    #[test]
    fn a_gap_ends_a_session() {
        let sessions = Sessions { gap_us: 10 };
        let of = |times| sessions.of(times).collect::<Vec<_>>();
        assert_eq!(of(&[]), [[0i64; 0]; 0]);
        assert_eq!(of(&[1, 1, 10, 20, 29]), [&[1, 1, 10][..], &[20, 29]]);
        assert_eq!(sessions.first_open(&[1, 10, 20, 29], 19), Some(1..20));
        assert_eq!(sessions.first_open(&[1, 10, 20, 29], 20), Some(20..39));
        assert_eq!(sessions.first_open(&[1, 10, 20, 29], 39), None);
    }
}

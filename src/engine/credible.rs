//! Which event times of a partition are believed: one clock ahead must not close windows for everybody else.
//!
//! A record far ahead of its partition is kept, and waits in its window, but does not move event time on. Two things bound
//! how far event time may go:
//!
//! - the wall clock, and the lead on top of it that the source allows;
//! - what the partition otherwise shows: the spread of its recent records (in a backlog the wall clock is no guide), or, once it is
//!   read to its end, how close to the wall clock it has been there. Records that were held up on their way come later than others,
//!   and so show nothing new.
//!
//! When more than a quarter of the recent records are beyond a gap, they are the new normal. The judge sits on the worker that reads
//! the partition and looks at every batch, so that reports carry the newest time that is believed and clocks stay a function of reports.

use super::clock::Ahead;
use crate::model::ms_to_us;
use arrow::array::{Array, TimestampMicrosecondArray};
use std::collections::VecDeque;

/// Recent records remembered per partition. A batch adds at most `OF_BATCH` of them, evenly spaced, so that one batch of one producer
/// is not all there is.
const RECENT: usize = 64;
const OF_BATCH: usize = 8;
/// With fewer than this, a partition that has more to read has shown too little to believe any of it.
const FEW: usize = 4;

/// The judge of one partition.
#[derive(Debug)]
pub struct Credible {
    lead_us: i64,
    recent: VecDeque<i64>,
    newest_us: Option<i64>,
    /// The least that believed time was behind the epoch when all was read, microseconds.
    lag_us: Option<i64>,
}

/// When a batch is judged.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub epoch: u64,
    pub wall_ms: u64,
    /// The batch reaches the end of its partition.
    pub at_end: bool,
}

/// What a batch says of event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Newest believed time, of this batch or of records before it that it confirms.
    pub newest_us: Option<i64>,
    /// Records further ahead than is believed.
    pub ahead: Option<Ahead>,
}

impl Credible {
    /// The judge of a partition; `known` is the time believed at an epoch of an earlier run.
    pub fn new(lead_us: i64, known: Option<(i64, u64)>) -> Self {
        Credible {
            lead_us,
            recent: known.iter().flat_map(|it| [it.0; FEW]).collect(),
            newest_us: known.map(|it| it.0),
            lag_us: known.map(|(time, epoch)| lag_of(time, epoch)),
        }
    }

    /// Judges the event times of a batch.
    pub fn judge(&mut self, times: &TimestampMicrosecondArray, moment: Moment) -> Judged {
        self.remember(times);
        let has_times = times.null_count() < times.len();
        // The end of a partition may be told by a batch without records, after the few that it has.
        let enough = if moment.at_end { 1 } else { FEW };
        if !(has_times || moment.at_end) || self.recent.len() < enough {
            return Judged::default();
        }
        let Limits {
            believed: limit,
            explained,
        } = self.limits(moment);
        let (mut newest, mut beyond, mut furthest) = (i64::MIN, 0, i64::MIN);
        for time in times.iter().flatten() {
            if time <= limit {
                newest = newest.max(time);
            } else if explained < time {
                beyond += 1;
                furthest = furthest.max(time);
            }
        }
        let confirmed = self.recent.iter().copied().filter(|it| *it <= limit).max();
        // Only the wall clock can have all recent records beyond its limit: event time goes as far as that allows.
        let newest = newest.max(confirmed.unwrap_or(limit));
        let known = self.newest_us;
        let believed = known.map_or(newest, |it| it.max(newest));
        self.newest_us = Some(believed);
        if moment.at_end {
            let lag = lag_of(believed, moment.epoch);
            self.lag_us = Some(self.lag_us.map_or(lag, |it| it.min(lag)));
        }
        let ahead = (0 < beyond).then(|| Ahead {
            by_us: furthest.saturating_sub(believed),
            records: beyond,
        });
        Judged {
            // Without records only what is new is news: silence is counted from the last.
            newest_us: (has_times || known < Some(newest)).then_some(newest),
            ahead,
        }
    }

    fn remember(&mut self, times: &TimestampMicrosecondArray) {
        let records = times.len();
        let samples = records.min(OF_BATCH);
        for number in 0..samples {
            // The last of each of `samples` equal parts.
            let at = (number + 1) * records / samples - 1;
            if times.is_null(at) {
                continue;
            }
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(times.value(at));
        }
    }

    fn limits(&self, moment: Moment) -> Limits {
        let wall = ms_to_us(moment.wall_ms).saturating_add(self.lead_us);
        let mut recent: Vec<i64> = self.recent.iter().copied().collect();
        recent.sort_unstable();
        let quartile = |number: usize| recent.get(recent.len().saturating_sub(1) * number / 4);
        let (Some(lower), Some(upper)) = (quartile(1), quartile(3)) else {
            return Limits {
                believed: wall,
                explained: wall,
            };
        };
        // Tukey's fence: records that go on as those before are inside of it, however far apart they are.
        let spread = upper.saturating_sub(*lower);
        let fence = upper
            .saturating_add(spread)
            .saturating_add(spread / 2)
            .saturating_add(self.lead_us);
        let reached = self.lag_us.map_or(fence, |lag| {
            let time = ms_to_us(moment.epoch).saturating_sub(lag);
            time.saturating_add(self.lead_us)
        });
        let explained = fence.max(reached).min(wall);
        Limits {
            believed: if moment.at_end {
                explained
            } else {
                fence.min(wall)
            },
            explained,
        }
    }
}

/// How far an event time is behind an epoch.
fn lag_of(time_us: i64, epoch: u64) -> i64 {
    ms_to_us(epoch).saturating_sub(time_us)
}

/// How far event time may be.
struct Limits {
    /// The latest time that moves event time.
    believed: i64,
    /// The latest time that need not be wrong: it is no closer to the wall clock than the partition has been. With more to read, what
    /// comes next shows whether it is right.
    explained: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const LEAD: i64 = 5 * SECOND;
    /// Monday noon, when the records of the tests begin, and a wall clock ten months later.
    const THEN: i64 = 1_768_219_200 * SECOND;
    const LATER_MS: u64 = 1_795_737_600_000;

    fn times(seconds: impl IntoIterator<Item = i64>) -> TimestampMicrosecondArray {
        let micros = seconds.into_iter().map(|it| THEN + it * SECOND);
        TimestampMicrosecondArray::from_iter_values(micros)
    }

    fn backlog(epoch: u64) -> Moment {
        Moment {
            epoch,
            wall_ms: LATER_MS,
            at_end: false,
        }
    }

    /// A moment at which wall clock and event time agree, in seconds after `THEN`.
    fn live(second: i64) -> Moment {
        let wall_ms = ((THEN + second * SECOND) / 1000) as u64;
        Moment {
            epoch: wall_ms,
            wall_ms,
            at_end: true,
        }
    }

    fn second(judged: Judged) -> Option<i64> {
        judged.newest_us.map(|it| (it - THEN) / SECOND)
    }

    #[test]
    fn one_record_of_today_does_not_end_a_backlog() {
        for poisoned in [0, 700, 999] {
            let mut judge = Credible::new(LEAD, None);
            let now = (LATER_MS as i64 * 1000 - THEN) / SECOND;
            let of = |it: i64| if it == poisoned { now } else { it };
            let judged = judge.judge(&times((0..1000).map(of)), backlog(1));
            assert_eq!(
                second(judged),
                Some(if poisoned == 999 { 998 } else { 999 })
            );
            assert_eq!(judged.ahead.map(|it| it.records), Some(1));
            let next = judge.judge(&times(1000..2000), backlog(2));
            assert_eq!((second(next), next.ahead), (Some(1999), None));
        }
    }

    #[test]
    fn a_producer_ahead_is_outvoted_in_a_backlog() {
        let mut judge = Credible::new(LEAD, None);
        for batch in 0..50 {
            let of = |it: i64| if it % 5 == 0 { it + 3540 } else { it };
            let judged = judge.judge(&times((batch * 100..batch * 100 + 100).map(of)), backlog(1));
            let newest = second(judged).unwrap_or_default();
            assert!(newest < batch * 100 + 700, "batch {batch}: {newest}");
            assert_eq!(judged.ahead.map(|it| 0 < it.records), Some(true));
        }
    }

    #[test]
    fn what_goes_on_beyond_a_gap_is_believed_soon() {
        let mut judge = Credible::new(LEAD, None);
        judge.judge(&times(0..1000), backlog(1));
        let night = 8 * 3600;
        let judged: Vec<Option<i64>> = (0..80)
            .map(|it| second(judge.judge(&times([night + it]), backlog(2))))
            .collect();
        assert_eq!(judged[0], Some(999), "one alone is not");
        assert!(judged[70] > Some(night), "{judged:?}");
    }

    #[test]
    fn an_end_without_records_confirms_the_few_before_it() {
        let end = Moment {
            at_end: true,
            ..backlog(2)
        };
        let mut judge = Credible::new(LEAD, None);
        assert_eq!(judge.judge(&times([]), end), Judged::default());
        assert_eq!(judge.judge(&times([7]), backlog(1)), Judged::default());
        assert_eq!(second(judge.judge(&times([]), end)), Some(7));
        let again = judge.judge(&times([]), end);
        assert_eq!(again, Judged::default(), "the same end is no news");
    }

    #[test]
    fn sparse_records_are_no_outliers() {
        let mut judge = Credible::new(LEAD, None);
        for minute in 0..100 {
            let judged = judge.judge(&times([minute * 600]), backlog(1));
            if 3 <= minute {
                assert_eq!(second(judged), Some(minute * 600));
            }
        }
    }

    #[test]
    fn at_the_end_event_time_may_pass_as_fast_as_the_wall_clock() {
        let mut judge = Credible::new(LEAD, None);
        judge.judge(&times(0..1000), live(1000));
        let hour = judge.judge(&times([4600]), live(4600));
        assert_eq!((second(hour), hour.ahead), (Some(4600), None));
        let ahead = judge.judge(&times([4601 + 59 * 60]), live(4602));
        assert_eq!(second(ahead), Some(4600));
        let by_us = ahead.ahead.map(|it| it.by_us / SECOND);
        assert_eq!(by_us, Some(59 * 60 + 1));
    }

    #[test]
    fn records_after_an_outage_are_not_told_as_ahead() {
        let mut judge = Credible::new(LEAD, None);
        // The first records took long to come, those after them do not. Their ends are told apart from them.
        judge.judge(&times([890; 8]), live(900));
        for second in 901..1000 {
            judge.judge(&times([second]), backlog(0));
            judge.judge(&times([]), live(second));
        }
        let unread = |second: i64| Moment {
            at_end: false,
            ..live(second)
        };
        let back = judge.judge(&times([1090]), unread(1091));
        assert_eq!((second(back), back.ahead), (Some(999), None));
        let ahead = judge.judge(&times([1090 + 59 * 60]), unread(1091));
        assert_eq!(ahead.ahead.map(|it| it.records), Some(1));
        let end = judge.judge(&times([]), live(1091));
        assert_eq!(second(end), Some(1090));
    }

    #[test]
    fn records_held_up_by_an_outage_may_come_in_parts() {
        let mut judge = Credible::new(LEAD, None);
        for second in 0..100 {
            judge.judge(&times([second; 8]), live(second));
        }
        // Producers send what they held back: each part reaches the end of the partition.
        for (now, from, to) in [(140, 100, 110), (141, 110, 141)] {
            let part = judge.judge(&times(from..to), live(now));
            assert_eq!((second(part), part.ahead), (Some(to - 1), None));
        }
    }

    #[test]
    fn the_wall_clock_bounds_what_all_records_say() {
        let mut judge = Credible::new(LEAD, None);
        let judged = judge.judge(&times(3600..3700), live(100));
        assert_eq!(second(judged), Some(105), "as far as the lead allows");
        assert_eq!(judged.ahead.map(|it| it.records), Some(100));
    }

    #[test]
    fn an_earlier_run_is_remembered() {
        let mut judge = Credible::new(LEAD, Some((THEN, 1)));
        let judged = judge.judge(&times([86_400]), backlog(2));
        assert_eq!(second(judged), Some(0));
    }
}

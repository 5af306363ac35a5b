//! Event time: how far it has come, as a function of the epochs before.
//!
//! Every worker holds a copy per source, fed with what all workers report of their partitions, and applies the reports
//! in the order of epochs. So `watermark(e)` is the same number everywhere, and a restart with the
//! stored clock gives it again. The wall clock enters only as the epoch itself.
//!
//! A partition that still has records to read holds the watermark at its newest one; a partition read to its end stops
//! holding it after a while; when all are at their end, time goes on with the wall clock. Which records move event time at all
//! is decided where they are read: `engine/credible.rs`.
//!
//! Time in which nothing could be read (the process was suspended, the wall clock was set) is no silence: it does not count,
//! and afterwards a partition is at its end only when it has been looked at again.

use super::EventTimes;
use crate::model::{PartitionAhead, ms_to_us};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Event time before the first record.
pub const NEVER: i64 = i64::MIN;
/// States kept for epochs not yet asked for.
const HISTORY_MAX: usize = 100_000;

/// How a source's clock behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSettings {
    /// The watermark stays this far behind the newest record.
    pub delay_us: i64,
    /// A partition read to its end stops holding back the others after this time.
    pub idle_ms: u64,
    /// When every partition has been at its end this long, windows close by the wall clock.
    pub close_idle_ms: u64,
    /// How far a record may be ahead of the wall clock, or of what its partition otherwise shows, to move event time.
    pub lead_us: i64,
    /// Whether no column tells the event time of the source: `now()` is the time at which an epoch's records arrive then.
    pub by_arrival: bool,
}

/// A worker's report about one partition in one epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Report {
    pub epoch: u64,
    pub source: u32,
    pub partition: i32,
    /// Newest event time that its records of this epoch are believed to show, microseconds.
    pub newest_us: Option<i64>,
    /// Records of this epoch that are further ahead than is believed.
    pub ahead: Option<Ahead>,
    /// Whether it had been read to its end by the end of the epoch.
    pub at_end: bool,
    /// Whether at any point in the epoch there was more to read, or the end was unknown.
    pub behind: bool,
    /// Nothing could be read for this long after this epoch, or it was held open for so long and had news until its end.
    pub pause_ms: u64,
}

/// Records whose event time is too far ahead to be believed. They wait in their windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ahead {
    /// How far the furthest is ahead of what is believed.
    pub by_us: i64,
    pub records: u64,
}

impl Ahead {
    /// Of two parts of an epoch, what is ahead in either.
    pub(super) fn of_both(one: Option<Ahead>, other: Option<Ahead>) -> Option<Ahead> {
        let (Some(it), Some(and)) = (one, other) else {
            return one.or(other);
        };
        Some(Ahead {
            by_us: it.by_us.max(and.by_us),
            records: it.records + and.records,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartitionClock {
    newest_us: Option<i64>,
    /// Until then it had news or more to read. Moved on by pauses, which are no silence.
    last_epoch: u64,
    at_end: bool,
    /// Absent in clocks stored before there was a limit to the lead.
    #[serde(default)]
    ahead: Option<PartitionAhead>,
}

/// The clock after some epoch. This is what a commit stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockState {
    partitions: BTreeMap<i32, PartitionClock>,
    /// Highest value the watermark ever had.
    watermark_us: i64,
    /// Highest value the sliding clock ever had.
    now_us: i64,
    /// Epoch of the first report of this run. For a while after it the watermark stands still, so that every partition can say that it has a backlog.
    first_epoch: Option<u64>,
    /// Of a clock that stands still: up to which time windows were closed when it stopped.
    #[serde(skip)]
    closed_us: Option<i64>,
}

impl Default for ClockState {
    fn default() -> Self {
        ClockState {
            partitions: BTreeMap::new(),
            watermark_us: NEVER,
            now_us: NEVER,
            first_epoch: None,
            closed_us: None,
        }
    }
}

impl ClockState {
    /// A clock that has seen no record: groups of all windows are open, `now()` is a given time, and so is the one by which rows come when their
    /// window is closed.
    pub fn standing(times: EventTimes) -> Self {
        ClockState {
            now_us: times.now_us,
            closed_us: Some(times.watermark_us),
            ..ClockState::default()
        }
    }

    /// Event time below which no window is open, as of an epoch.
    pub fn watermark(&self, settings: &ClockSettings, epoch: u64) -> i64 {
        if self
            .first_epoch
            .is_none_or(|it| epoch < it + settings.idle_ms)
        {
            return self.watermark_us;
        }
        let holding = |it: &&PartitionClock| {
            !it.at_end || epoch.saturating_sub(it.last_epoch) <= settings.idle_ms
        };
        let held = self
            .partitions
            .values()
            .filter(holding)
            .map(|it| it.newest_us.unwrap_or(NEVER))
            .min();
        let event_time = match held {
            Some(newest) => newest,
            None => match self.newest() {
                Some((newest, last_epoch)) => {
                    let idle_ms = epoch
                        .saturating_sub(last_epoch)
                        .saturating_sub(settings.close_idle_ms);
                    newest.saturating_add(ms_to_us(idle_ms))
                }
                None => NEVER,
            },
        };
        let watermark = if event_time == NEVER {
            NEVER
        } else {
            event_time.saturating_sub(settings.delay_us)
        };
        self.watermark_us.max(watermark)
    }

    /// What `now()` is as of an epoch: the event time of the newest record, moved on by the wall clock once everything was read. Without an event time it
    /// is the epoch itself.
    pub fn now(&self, settings: &ClockSettings, epoch: u64) -> i64 {
        if settings.by_arrival {
            return self.now_us.max(ms_to_us(epoch));
        }
        let Some((newest, last_epoch)) = self.newest() else {
            return self.now_us;
        };
        let all_read = self.partitions.values().all(|it| it.at_end);
        let since_ms = if all_read {
            epoch.saturating_sub(last_epoch)
        } else {
            0
        };
        self.now_us.max(newest.saturating_add(ms_to_us(since_ms)))
    }

    /// Partitions with records too far ahead to be believed.
    pub fn ahead(&self) -> impl Iterator<Item = PartitionAhead> {
        self.partitions.values().filter_map(|it| it.ahead)
    }

    /// The event time of a partition, and the epoch up to which it had news.
    pub fn known_of(&self, partition: i32) -> Option<(i64, u64)> {
        let clock = self.partitions.get(&partition)?;
        Some((clock.newest_us?, clock.last_epoch))
    }

    fn newest(&self) -> Option<(i64, u64)> {
        let newest = self
            .partitions
            .values()
            .filter_map(|it| it.newest_us)
            .max()?;
        let last_epoch = self.partitions.values().map(|it| it.last_epoch).max()?;
        Some((newest, last_epoch))
    }

    /// Fixes what the clock was just before an epoch, whose reports come next.
    fn begin(&mut self, epoch: u64, settings: &ClockSettings) {
        self.watermark_us = self.watermark(settings, epoch);
        self.now_us = self.now(settings, epoch);
        self.first_epoch.get_or_insert(epoch);
    }

    /// The clock of a new run, stored after all epochs before `epoch`: what was closed stays closed, and every partition holds the
    /// watermark until it has spoken.
    fn resumed(mut self, settings: &ClockSettings, epoch: u64) -> Self {
        self.watermark_us = self.watermark(settings, epoch);
        self.now_us = self.now(settings, epoch);
        self.first_epoch = None;
        for partition in self.partitions.values_mut() {
            partition.at_end = false;
        }
        self
    }

    fn apply(&mut self, report: &Report) {
        let clock = self
            .partitions
            .entry(report.partition)
            .or_insert(PartitionClock {
                newest_us: None,
                last_epoch: report.epoch,
                at_end: false,
                ahead: None,
            });
        clock.newest_us = clock.newest_us.max(report.newest_us);
        if report.newest_us.is_some() || report.behind {
            clock.last_epoch = report.epoch;
        }
        clock.last_epoch += report.pause_ms;
        clock.at_end = report.at_end;
        if let Some(ahead) = report.ahead {
            clock.ahead = Some(PartitionAhead {
                partition: report.partition,
                epoch: report.epoch,
                by_us: ahead.by_us,
                records: ahead.records + clock.ahead.map_or(0, |it| it.records),
            });
        }
    }
}

/// One worker's copy of a source's clock.
#[derive(Debug)]
pub struct Clock {
    settings: ClockSettings,
    /// The clock after the reports of each epoch that had any, oldest first; the first is the start.
    history: VecDeque<(u64, ClockState)>,
    waiting: BTreeMap<u64, Vec<Report>>,
    /// All reports of epochs below this are applied.
    complete: u64,
}

impl Clock {
    /// A clock that goes on from one stored after all epochs before `epoch`.
    pub fn new(settings: ClockSettings, stored: ClockState, epoch: u64) -> Self {
        Clock {
            settings,
            history: VecDeque::from([(0, stored.resumed(&settings, epoch))]),
            waiting: BTreeMap::new(),
            complete: 0,
        }
    }

    /// Takes reports in; they count once `complete_below` has passed their epoch.
    pub fn report(&mut self, report: Report) {
        self.waiting.entry(report.epoch).or_default().push(report);
    }

    /// No more reports will come for epochs below `epoch`.
    pub fn complete_below(&mut self, epoch: u64) {
        while let Some(entry) = self.waiting.first_entry() {
            if epoch <= *entry.key() {
                break;
            }
            let (at, mut reports) = entry.remove_entry();
            reports.sort();
            let mut state = self
                .history
                .back()
                .expect("the history is never empty")
                .1
                .clone();
            state.begin(at, &self.settings);
            for report in merged(reports) {
                state.apply(&report);
            }
            self.history.push_back((at, state));
            if HISTORY_MAX < self.history.len() {
                self.history.pop_front();
            }
        }
        self.complete = self.complete.max(epoch);
    }

    /// Whether the clock as of an epoch is final.
    pub fn knows(&self, epoch: u64) -> bool {
        epoch <= self.complete
    }

    /// The watermark from all epochs before this one.
    pub fn watermark(&self, epoch: u64) -> i64 {
        self.state_before(epoch).watermark(&self.settings, epoch)
    }

    /// The sliding clock from all epochs before this one.
    pub fn now(&self, epoch: u64) -> i64 {
        self.state_before(epoch).now(&self.settings, epoch)
    }

    /// Up to which time windows are closed, for rows that come then.
    pub fn closed(&self, epoch: u64) -> i64 {
        let standing = self.state_before(epoch).closed_us;
        standing.unwrap_or_else(|| self.watermark(epoch))
    }

    /// Both at once.
    pub fn event_times(&self, epoch: u64) -> EventTimes {
        EventTimes {
            watermark_us: self.watermark(epoch),
            now_us: self.now(epoch),
        }
    }

    /// The clock from all epochs before this one.
    pub fn state_before(&self, epoch: u64) -> &ClockState {
        let after = self.history.partition_point(|(at, _)| *at < epoch);
        &self.history[after.max(1) - 1].1
    }

    /// Forgets states no one will ask for: those before the one that is valid at `epoch`.
    pub fn forget_before(&mut self, epoch: u64) {
        while 1 < self.history.len() && self.history[1].0 < epoch {
            self.history.pop_front();
        }
    }
}

/// One report per partition: newest time of all, at its end if any report says so.
fn merged(reports: Vec<Report>) -> Vec<Report> {
    let mut merged: Vec<Report> = Vec::with_capacity(reports.len());
    for report in reports {
        match merged
            .last_mut()
            .filter(|it| it.partition == report.partition)
        {
            Some(last) => {
                last.newest_us = last.newest_us.max(report.newest_us);
                last.ahead = Ahead::of_both(last.ahead, report.ahead);
                last.at_end |= report.at_end;
                last.behind |= report.behind;
                last.pause_ms = last.pause_ms.max(report.pause_ms);
            }
            None => merged.push(report),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: ClockSettings = ClockSettings {
        delay_us: 10_000_000,
        idle_ms: 1000,
        close_idle_ms: 5000,
        lead_us: i64::MAX / 4,
        by_arrival: false,
    };

    fn report(epoch: u64, partition: i32, newest_s: i64, at_end: bool) -> Report {
        Report {
            epoch,
            source: 0,
            partition,
            newest_us: Some(newest_s * 1_000_000),
            ahead: None,
            at_end,
            behind: !at_end,
            pause_ms: 0,
        }
    }

    fn clock(reports: impl IntoIterator<Item = Report>) -> Clock {
        let mut clock = Clock::new(SETTINGS, ClockState::default(), 0);
        reports.into_iter().for_each(|it| clock.report(it));
        clock.complete_below(u64::MAX);
        clock
    }

    #[test]
    fn a_partition_with_a_backlog_holds_the_watermark() {
        let clock = clock([report(100, 0, 500, true), report(100, 1, 100, false)]);
        assert_eq!(clock.watermark(100), NEVER, "an epoch does not see itself");
        assert_eq!(clock.watermark(200), NEVER, "others may have a backlog yet");
        assert_eq!(clock.watermark(1200), 90_000_000);
        assert_eq!(clock.watermark(90_000), 90_000_000);
    }

    #[test]
    fn an_idle_partition_lets_go_and_then_the_wall_clock_goes_on() {
        let clock = clock([
            report(1000, 0, 500, true),
            report(1000, 1, 100, true),
            report(2500, 0, 501, true),
        ]);
        assert_eq!(clock.watermark(2000), 90_000_000);
        assert_eq!(clock.watermark(2600), 491_000_000);
        assert_eq!(clock.watermark(2500 + 5000), 491_000_000);
        assert_eq!(clock.watermark(2500 + 5000 + 1000), 492_000_000);
        assert_eq!(
            clock.now(2500 + 100),
            501_500_000,
            "the wall clock had moved it further"
        );
    }

    #[test]
    fn a_stored_clock_goes_on_as_if_never_stopped() {
        let all = clock([report(100, 0, 500, true), report(300, 0, 600, true)]);
        let stored = clock([report(100, 0, 500, true)]).state_before(300).clone();
        let mut resumed = Clock::new(SETTINGS, stored, 300);
        resumed.report(report(300, 0, 600, true));
        resumed.complete_below(1000);
        for epoch in [1400, 5000, 90_000] {
            assert_eq!(resumed.watermark(epoch), all.watermark(epoch));
        }
    }

    /// A partition read to its end, then nothing read for an hour, then the news of where the partition stands.
    fn paused(partition: i32, from: u64) -> Report {
        Report {
            newest_us: None,
            behind: false,
            pause_ms: 3_600_000,
            ..report(from, partition, 0, false)
        }
    }

    /// Brokers that come back: within one epoch a partition may be unread first and at its end then.
    #[test]
    fn silence_counts_from_when_a_partition_was_last_behind() {
        let clock = clock([
            report(1000, 0, 500, true),
            Report {
                newest_us: None,
                behind: true,
                ..report(3000, 0, 0, true)
            },
        ]);
        assert_eq!(clock.watermark(8000), 490_000_000);
        assert_eq!(clock.watermark(10_000), 492_000_000);
    }

    #[test]
    fn an_hour_without_reading_is_no_silence() {
        const WOKEN: u64 = 20_000 + 3_600_000;
        let mut clock = clock([]);
        let reports = [
            report(1000, 0, 500, true),
            report(1000, 1, 500, true),
            paused(0, 20_000),
            paused(1, 20_000),
            report(WOKEN + 1000, 0, 4000, true),
        ];
        reports.into_iter().for_each(|it| clock.report(it));
        clock.complete = 0;
        clock.complete_below(u64::MAX);
        // Twenty seconds of silence had counted fourteen; the hour counts nothing, and partition 1 may have unread records.
        let before = clock.watermark(20_000);
        assert_eq!(before, 504_000_000);
        for epoch in [20_100, WOKEN, WOKEN + 1100, WOKEN + 600_000] {
            assert_eq!(clock.watermark(epoch), before, "at {epoch}");
        }
        // It has been looked at: nothing there.
        clock.report(Report {
            newest_us: None,
            ..report(WOKEN + 2000, 1, 0, true)
        });
        clock.complete_below(u64::MAX);
        assert_eq!(clock.watermark(WOKEN + 2100), 3_990_000_000);
        // Silence goes on counting where it had come to.
        let mut quiet = Clock::new(SETTINGS, ClockState::default(), 0);
        for it in [
            report(1000, 0, 500, true),
            paused(0, 20_000),
            Report {
                newest_us: None,
                ..report(WOKEN + 1000, 0, 0, true)
            },
        ] {
            quiet.report(it);
        }
        quiet.complete_below(u64::MAX);
        assert_eq!(quiet.watermark(WOKEN + 1100), 505_100_000);
    }
}

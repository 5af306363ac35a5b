//! When the next event is due.
//!
//! The event times of a generator are its schedule: an event is due as soon as as much time has elapsed since
//! the start of the run as event time lies between the first event and this one. The rate is therefore held
//! however long sending takes: a late sender emits all that became due meanwhile. Spikes come out at their
//! raised rate without being known here.
//!
//! This reads no clock; the caller tells what has elapsed.

use std::time::Duration;

/// What to do about the next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It is due: make it and ask again.
    Emit,
    /// It is due in this time.
    Wait(Duration),
    /// It lies at or beyond the end of the run, which is over once this time has passed.
    Finish(Duration),
}

/// The schedule of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacer {
    start_us: i64,
    duration: Option<Duration>,
}

impl Pacer {
    /// A run whose first event has the event time `start_us`; without a duration it never finishes.
    pub fn new(start_us: i64, duration: Option<Duration>) -> Self {
        Self { start_us, duration }
    }

    /// What to do about an event at `next_time_us`, when `elapsed` has passed since the run began.
    pub fn next(&self, next_time_us: i64, elapsed: Duration) -> Pace {
        let ahead_us = u64::try_from(next_time_us - self.start_us).unwrap_or(0);
        let ahead = Duration::from_micros(ahead_us);
        match self.duration {
            Some(duration) if duration <= ahead => Pace::Finish(duration.saturating_sub(elapsed)),
            _ if ahead <= elapsed => Pace::Emit,
            _ => Pace::Wait(ahead - elapsed),
        }
    }

    /// The event time up to which events are due.
    pub fn due_us(&self, elapsed: Duration) -> i64 {
        let elapsed_us = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        self.start_us.saturating_add(elapsed_us)
    }
}

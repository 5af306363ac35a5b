//! The epoch that a source has closed and that is not complete yet: the next one stays open until it is.
//!
//! ```text
//! open ── over by the clock, the one before complete ──► closed ── complete everywhere ──► nothing in flight
//!   └──── over by the clock, the one before incomplete: held open, and read into for a while
//! ```
//!
//! So a machine that cannot complete epochs as fast as the clock counts them makes longer ones instead of a queue, and whatever was read is visible after
//! the time that two epochs take. No two sources wait for each other: the one whose epoch is the oldest has closed only older ones, and nothing but
//! their completion keeps it from going on.

use crate::model::Epoch;

/// How long an idle source sleeps at most while it holds its epoch open, in milliseconds.
pub(super) const HELD_SLEEP_MS: u64 = 10;

/// What one source on one worker has in flight.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    closed: Option<Closed>,
    open: Held,
    /// When the open epoch was last found to be over; 0 for never.
    seen_ms: u64,
}

/// How an epoch stayed open beyond its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Whether it was found to be over before it was closed.
    pub is_open_longer: bool,
    /// The longest time between two checks whether it was over, from its end on, in milliseconds.
    pub silent_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Closed {
    epoch: Epoch,
    at_ms: u64,
}

impl InFlight {
    /// All epochs below the frontier are complete everywhere.
    pub fn complete_below(&mut self, frontier: u64) {
        self.closed = self.closed.filter(|it| frontier <= it.epoch.0);
    }

    /// Whether all that was closed is complete, so that the open epoch may be closed.
    pub fn is_empty(&self) -> bool {
        self.closed.is_none()
    }

    /// How long ago the epoch that is incomplete was closed, in milliseconds; 0 if there is none.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        self.closed.map_or(0, |it| now_ms.saturating_sub(it.at_ms))
    }

    /// Notes that the open epoch is over by the clock, which it was to be at `end_ms`.
    pub fn over(&mut self, end_ms: u64, now_ms: u64) {
        let silent_ms = now_ms.saturating_sub(end_ms.max(self.seen_ms));
        self.open = Held {
            is_open_longer: self.seen_ms != 0,
            silent_ms: silent_ms.max(self.open.silent_ms),
        };
        self.seen_ms = now_ms;
    }

    /// Notes that the open epoch is closed; returns how long it was open.
    pub fn close(&mut self, epoch: Epoch, at_ms: u64) -> Held {
        self.closed = Some(Closed { epoch, at_ms });
        self.seen_ms = 0;
        std::mem::take(&mut self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG_MAX_MS: u64 = 1_000;

    /// A source with epochs of 100 ms on a machine that needs `cost_ms` for each of them, one after the other. Every millisecond it may read, it does. Returns
    /// the longest time without reading, and that from the end of an epoch's reading until it is complete, both in milliseconds.
    fn run(cost_ms: u64, length_ms: u64) -> (u64, u64) {
        let (mut in_flight, mut open) = (InFlight::default(), Epoch(0));
        // Closed epochs, and when each is complete.
        let mut queue: Vec<(Epoch, u64)> = Vec::new();
        let (mut read_ms, mut unread, mut delay) = (0, 0, 0);
        for now_ms in 1..length_ms {
            let incomplete = queue.iter().find(|it| now_ms < it.1);
            in_flight.complete_below(incomplete.map_or(open.0, |it| it.0.0));
            if in_flight.age_ms(now_ms) <= LAG_MAX_MS {
                unread = unread.max(now_ms - read_ms);
                read_ms = now_ms;
            }
            if now_ms <= open.0 + 100 {
                continue;
            }
            in_flight.over(open.0 + 100, now_ms);
            if !in_flight.is_empty() {
                continue;
            }
            let begun_ms = queue.last().map_or(now_ms, |it| it.1.max(now_ms));
            queue.push((open, begun_ms + cost_ms));
            delay = delay.max(begun_ms + cost_ms - now_ms);
            in_flight.close(open, now_ms);
            open = Epoch(now_ms);
        }
        (unread, delay)
    }

    #[test]
    fn a_machine_that_is_fast_enough_is_always_read_on() {
        assert_eq!(run(0, 10_000), (1, 0));
        assert_eq!(run(90, 10_000), (1, 90));
        assert_eq!(run(900, 60_000), (1, 900));
    }

    #[test]
    fn epochs_that_take_longer_than_their_length_do_not_queue_up() {
        assert_eq!(run(3_000, 600_000), (2_000, 3_000));
    }

    #[test]
    fn an_epoch_tells_how_it_was_held_open_and_for_how_long_nobody_looked() {
        let mut in_flight = InFlight::default();
        let mut close = |seen_ms: &[u64]| {
            seen_ms.iter().for_each(|it| in_flight.over(100, *it));
            in_flight.close(Epoch(100), 9_000)
        };
        let held = |is_open_longer, silent_ms| Held {
            is_open_longer,
            silent_ms,
        };
        assert_eq!(close(&[]), held(false, 0));
        assert_eq!(close(&[100]), held(false, 0));
        assert_eq!(close(&[8_000]), held(false, 7_900));
        assert_eq!(close(&[200, 300, 310]), held(true, 100));
        // The process was suspended while it held the epoch.
        assert_eq!(close(&[200, 8_000, 8_010]), held(true, 7_800));
        assert_eq!(close(&[150]), held(false, 50));
    }
}

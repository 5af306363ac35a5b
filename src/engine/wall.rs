//! The wall clock, and the time that epochs are made of.
//!
//! Epochs follow the wall clock as long as it can be followed. They never run backwards, and a run begins above the last commit
//! whatever the clock shows: when it is far behind them (it was ahead when the last commit was made, or was set back), epochs go on
//! at the pace of a clock that cannot be set, and the wall clock may catch up or not. A small difference is waited for.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// An epoch waits for a wall clock that is behind it by no more than this.
const WAIT_MS_MAX: u64 = 1_000;

type Read = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The clocks of a process, in milliseconds: that on the wall, since 1970, and a steady one. Tests bring clocks of their own.
#[derive(Clone)]
pub struct Wall {
    wall: Read,
    steady: Read,
    pace: Arc<Mutex<Pace>>,
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wall").field("pace", &self.pace).finish()
    }
}

impl Wall {
    /// The machine's clocks.
    pub fn system() -> Self {
        let made = Instant::now();
        let steady = move || crate::model::whole_ms(made.elapsed());
        Wall::of(crate::model::wall_ms, steady)
    }

    /// Any functions as clocks; the steady one never runs backwards.
    pub fn of(
        wall_ms: impl Fn() -> u64 + Send + Sync + 'static,
        steady_ms: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Wall {
            wall: Arc::new(wall_ms),
            steady: Arc::new(steady_ms),
            pace: Arc::default(),
        }
    }

    /// What the clock on the wall shows.
    pub fn now_ms(&self) -> u64 {
        (self.wall)()
    }

    /// The time that epochs are made of from here on begins at `start_ms` or later.
    pub fn begin(&self, start_ms: u64) {
        let steady_ms = (self.steady)();
        *self.pace() = Pace {
            epoch_ms: start_ms,
            steady_ms,
        };
    }

    /// The time that epochs are made of.
    pub fn epoch_ms(&self) -> u64 {
        let mut pace = self.pace();
        // Read under the lock, so that no worker brings an older time than another did.
        pace.move_to((self.wall)(), (self.steady)())
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time that was right, and what the steady clock showed then.
#[derive(Debug, Default)]
struct Pace {
    epoch_ms: u64,
    steady_ms: u64,
}

impl Pace {
    fn move_to(&mut self, wall_ms: u64, steady_ms: u64) -> u64 {
        let paced = self.epoch_ms + steady_ms.saturating_sub(self.steady_ms);
        if wall_ms + WAIT_MS_MAX < paced {
            return paced;
        }
        self.epoch_ms = self.epoch_ms.max(wall_ms);
        self.steady_ms = steady_ms;
        self.epoch_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What epochs are made of after each reading of wall clock and steady clock.
    fn check(start_ms: u64, readings: &[(u64, u64)], expected: &[u64]) {
        let mut pace = Pace {
            epoch_ms: start_ms,
            steady_ms: 0,
        };
        let moved: Vec<u64> = readings.iter().map(|it| pace.move_to(it.0, it.1)).collect();
        assert_eq!(moved, expected);
    }

    #[test]
    fn epochs_follow_the_wall_clock() {
        check(
            5000,
            &[(5000, 10), (5900, 910), (9000, 920)],
            &[5000, 5900, 9000],
        );
    }

    #[test]
    fn a_little_ahead_they_wait() {
        check(
            5000,
            &[(4300, 100), (4900, 700), (5100, 900)],
            &[5000, 5000, 5100],
        );
    }

    #[test]
    fn far_ahead_they_go_on_at_a_steady_pace() {
        const DAY: u64 = 86_400_000;
        check(
            DAY,
            &[
                (100, 100),
                (1100, 1100),
                (DAY + 5000, 1200),
                (DAY + 5100, 1300),
            ],
            &[DAY + 100, DAY + 1100, DAY + 5000, DAY + 5100],
        );
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        check(
            9_000,
            &[(9_000_000, 10), (5_000, 110), (6_000, 1110)],
            &[9_000_000, 9_000_100, 9_001_100],
        );
    }
}

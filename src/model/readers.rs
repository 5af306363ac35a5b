//! Who reads live results, and how often they want changes.
//!
//! Each epoch has a fixed cost, so idle pipelines use longer ones. A new reader closes the open epoch at once and gets short epochs from then
//! on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Epoch lengths a reader can ask for, shortest first, in milliseconds.
const LENGTHS_MS: [u64; 3] = [100, 200, 500];
/// A reader counts for this long after it last read.
const KEPT_MS: u64 = 10_000;
/// Interval at which an idle source is polled while there are no readers.
const QUIET_PAUSE: Duration = Duration::from_millis(250);
/// Minimum interval between messages to other processes about readers here.
const TELL_EVERY_MS: u64 = 1_000;

/// When live results were last read, in this process and in others.
#[derive(Debug, Default)]
pub struct Readers {
    here: Noted,
    elsewhere: Noted,
    told: Noted,
    to_tell: Notify,
}

impl Readers {
    /// Records a read at `now_ms` by a reader that wants changes within `every_ms` milliseconds.
    pub fn note(&self, now_ms: u64, every_ms: u64) {
        let Some(at) = length_for(every_ms) else {
            return;
        };
        self.here.note(at, now_ms);
        if TELL_EVERY_MS <= now_ms.abs_diff(self.told.last_ms(at)) {
            self.told.note(at, now_ms);
            self.to_tell.notify_one();
        }
    }

    /// Records a read in another process.
    pub fn note_elsewhere(&self, now_ms: u64, every_ms: u64) {
        if let Some(at) = length_for(every_ms) {
            self.elsewhere.note(at, now_ms);
        }
    }

    /// The epoch length that recent readers need, in milliseconds; `None` if there are none.
    pub fn length_ms(&self, now_ms: u64) -> Option<u64> {
        let lengths = [&self.here, &self.elsewhere].map(|it| it.length_ms(now_ms));
        lengths.into_iter().flatten().min()
    }

    /// How long to wait before polling an idle source again; `usual` while there are readers.
    pub fn pause(&self, now_ms: u64, usual: Duration) -> Duration {
        match self.length_ms(now_ms) {
            Some(_) => usual,
            None => QUIET_PAUSE,
        }
    }

    /// Waits until other processes should hear about readers here; returns the epoch length these need.
    pub async fn to_tell(&self, now_ms: impl Fn() -> u64) -> u64 {
        loop {
            self.to_tell.notified().await;
            if let Some(length_ms) = self.here.length_ms(now_ms()) {
                return length_ms;
            }
        }
    }
}

/// When each length was last asked for, in milliseconds since 1970; 0 for never.
#[derive(Debug, Default)]
struct Noted([AtomicU64; LENGTHS_MS.len()]);

impl Noted {
    fn note(&self, at: usize, now_ms: u64) {
        self.0[at].store(now_ms, Ordering::Release);
    }

    fn last_ms(&self, at: usize) -> u64 {
        self.0[at].load(Ordering::Acquire)
    }

    fn length_ms(&self, now_ms: u64) -> Option<u64> {
        let is_recent = |at: &usize| {
            let last_ms = self.last_ms(*at);
            last_ms != 0 && now_ms.saturating_sub(last_ms) < KEPT_MS
        };
        let at = (0..LENGTHS_MS.len()).find(is_recent)?;
        Some(LENGTHS_MS[at])
    }
}

/// Index of the longest epochs that are short enough for a reader; `None` if epochs of a second are.
fn length_for(every_ms: u64) -> Option<usize> {
    if 2 * LENGTHS_MS[LENGTHS_MS.len() - 1] <= every_ms {
        return None;
    }
    let fits = LENGTHS_MS.iter().rposition(|it| *it <= every_ms);
    Some(fits.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn epochs_are_as_short_as_the_fastest_reader_wants() {
        let readers = Readers::default();
        assert_eq!(readers.length_ms(1_000_000), None);
        readers.note(1_000_000, 1_000);
        assert_eq!(readers.length_ms(1_000_000), None);
        readers.note(1_000_000, 900);
        assert_eq!(readers.length_ms(1_000_000), Some(500));
        readers.note(1_003_000, 250);
        assert_eq!(readers.length_ms(1_003_000), Some(200));
        readers.note(1_005_000, 10);
        assert_eq!(readers.length_ms(1_005_000), Some(100));
        assert_eq!(readers.length_ms(1_014_999), Some(100));
        // The slower readers have expired by then.
        assert_eq!(readers.length_ms(1_015_000), None);
    }

    #[test]
    fn sources_are_polled_less_often_without_readers() {
        let readers = Readers::default();
        let usual = Duration::from_millis(10);
        assert_eq!(readers.pause(1_000_000, usual), QUIET_PAUSE);
        readers.note(1_000_000, 100);
        assert_eq!(readers.pause(1_009_000, usual), usual);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_readers_readers() {
        let readers = Readers::default();
        readers.note(1_000_000, 100);
        assert_eq!(readers.length_ms(1_000), Some(100));
    }

    #[test]
    fn each_process_tells_of_its_own_readers_once_in_a_second() {
        let readers = Readers::default();
        let told = |now_ms| readers.to_tell(|| now_ms).now_or_never();
        readers.note(1_000_000, 100);
        assert_eq!(told(1_000_000), Some(100));
        readers.note(1_000_900, 100);
        assert_eq!(told(1_000_900), None);
        readers.note(1_001_000, 100);
        assert_eq!(told(1_001_000), Some(100));
        // A process passes on its own readers only: otherwise two would keep a departed one alive between them.
        readers.note_elsewhere(1_020_000, 100);
        assert_eq!(readers.length_ms(1_020_000), Some(100));
        readers.note(1_020_000, 500);
        assert_eq!(told(1_020_000), Some(500));
    }
}

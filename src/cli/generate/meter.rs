//! How far `gen` is: one line that is drawn over itself on a terminal, else a line every ten seconds.

use crate::cli::terminal::number;
use crate::model::Epoch;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const DRAWN_EVERY: Duration = Duration::from_millis(200);
const TOLD_EVERY: Duration = Duration::from_secs(10);
const BAR: usize = 20;

/// What is known while events are generated.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub sent: u64,
    /// Event time of the first event, and of the next one, in microseconds since the epoch.
    pub start_us: i64,
    pub time_us: i64,
    /// Whether all events that are due were made.
    pub caught_up: bool,
}

/// Tells on standard error.
pub struct Meter {
    began: Instant,
    told: Option<Instant>,
    is_terminal: bool,
    /// How many events there will be, if that is known.
    all: Option<u64>,
}

impl Meter {
    pub fn new(all: Option<u64>) -> Self {
        Meter {
            began: Instant::now(),
            told: None,
            is_terminal: std::io::stderr().is_terminal(),
            all,
        }
    }

    pub fn observe(&mut self, progress: Progress) {
        let every = match self.is_terminal {
            true => DRAWN_EVERY,
            false => TOLD_EVERY,
        };
        if self.told.unwrap_or(self.began).elapsed() < every {
            return;
        }
        self.told = Some(Instant::now());
        let line = line(progress, self.began.elapsed(), self.all);
        let mut err = std::io::stderr().lock();
        // Whoever cannot see it misses nothing.
        let _ = match self.is_terminal {
            true => write!(err, "\r\u{1b}[K{line}").and_then(|()| err.flush()),
            false => writeln!(err, "{line}"),
        };
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// What it has drawn is wiped away, so that a report or an error stands alone.
impl Drop for Meter {
    fn drop(&mut self) {
        if self.is_terminal && self.told.is_some() {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn line(progress: Progress, elapsed: Duration, all: Option<u64>) -> String {
    let sent = progress.sent;
    let rate = sent as f64 / elapsed.as_secs_f64().max(1e-3);
    let per_second = match rate < 10.0 {
        true => format!("{rate:.1}/s"),
        false => format!("{}/s", number(rate.round() as u64)),
    };
    let Some(all) = all else {
        let time = Epoch((progress.time_us / 1000).max(0) as u64).iso();
        let time = time.get(..19).unwrap_or(&time);
        return format!("{} events  {per_second}  event time {time}Z", number(sent));
    };
    let full = BAR * sent as usize / all.max(1) as usize;
    let full = full.min(BAR);
    let left = all.saturating_sub(sent) as f64 / rate.max(1e-3);
    format!(
        "{}{} {:3} %  {} of {} events  {per_second}  {left:.0} s left",
        "█".repeat(full),
        "░".repeat(BAR - full),
        100 * sent / all.max(1),
        number(sent),
        number(all)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_and_how_fast() {
        let progress = Progress {
            sent: 250_000,
            start_us: 0,
            time_us: 1_715_508_930_500_000,
            caught_up: false,
        };
        assert_eq!(
            line(progress, Duration::from_secs(2), Some(1_000_000)),
            "█████░░░░░░░░░░░░░░░  25 %  250,000 of 1,000,000 events  125,000/s  6 s left"
        );
        assert_eq!(
            line(progress, Duration::from_secs(50_000), None),
            "250,000 events  5.0/s  event time 2024-05-12T10:15:30Z"
        );
    }
}

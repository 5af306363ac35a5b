//! How far `gen` is: one line that is drawn over itself on a terminal, else a line every ten seconds.

use crate::cli::progress;
use crate::cli::terminal::number;
use crate::model::Epoch;
use indicatif::ProgressBar;
use std::time::{Duration, Instant};

const DRAWN_EVERY: Duration = Duration::from_millis(200);
const TOLD_EVERY: Duration = Duration::from_secs(10);

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
    told: Instant,
    bar: ProgressBar,
    /// How many events there will be, if that is known.
    all: Option<u64>,
}

impl Meter {
    pub fn new(all: Option<u64>) -> Self {
        let template = match all {
            Some(_) => "{bar:20} {wide_msg}",
            None => "{wide_msg}",
        };
        Meter {
            began: Instant::now(),
            told: Instant::now(),
            bar: progress::line(template, all),
            all,
        }
    }

    pub fn observe(&mut self, progress: Progress) {
        let every = match self.bar.is_hidden() {
            true => TOLD_EVERY,
            false => DRAWN_EVERY,
        };
        if self.told.elapsed() < every {
            return;
        }
        self.told = Instant::now();
        let line = how_far(progress, self.began.elapsed(), self.all);
        if self.bar.is_hidden() {
            eprintln!("{line}");
            return;
        }
        self.bar.set_position(progress.sent);
        self.bar.set_message(line);
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// How much was generated, how fast, and how much is left if that is known.
pub fn how_far(progress: Progress, elapsed: Duration, all: Option<u64>) -> String {
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
    let left = all.saturating_sub(sent) as f64 / rate.max(1e-3);
    format!(
        "{:3} %  {} of {} events  {per_second}  {left:.0} s left",
        100 * sent / all.max(1),
        number(sent),
        number(all)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_a_bar_where_all_is_known() {
        for all in [None, Some(0), Some(10)] {
            drop(Meter::new(all));
        }
    }

    #[test]
    fn it_says_how_far_and_how_fast() {
        let progress = Progress {
            sent: 250_000,
            start_us: 0,
            time_us: 1_715_508_930_500_000,
            caught_up: false,
        };
        assert_eq!(
            how_far(progress, Duration::from_secs(2), Some(1_000_000)),
            " 25 %  250,000 of 1,000,000 events  125,000/s  6 s left"
        );
        assert_eq!(
            how_far(progress, Duration::from_secs(50_000), None),
            "250,000 events  5.0/s  event time 2024-05-12T10:15:30Z"
        );
    }
}

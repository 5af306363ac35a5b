//! Log lines that would repeat: the first is written, then one a minute with how often it was so meanwhile.
//!
//! A broker that is away is noticed several times a second by several readers and by the client library, in
//! words that alternate. One line says it; a day of it is 1,440 lines and not 100,000.

use std::time::{Duration, Instant};

/// Between two lines about the same trouble.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What to do about one more occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// It is new: write it.
    First,
    /// Write it, with how often it came since the last line and for how long it has been so.
    Again {
        times: u64,
        lasting: Duration,
    },
    Nothing,
}

impl Say {
    /// The line to write, if one is due.
    pub fn line(self, text: &str) -> Option<String> {
        match self {
            Say::First => Some(text.to_owned()),
            Say::Again { times, lasting } => {
                let seconds = lasting.as_secs();
                Some(format!(
                    "{text} (for {seconds} s now, {times} times since the last line)"
                ))
            }
            Say::Nothing => None,
        }
    }
}

/// One kind of trouble.
#[derive(Clone, Debug, Default)]
pub struct Repeats(Option<Trouble>);

#[derive(Clone, Copy, Debug)]
struct Trouble {
    since: Instant,
    seen: Instant,
    told: Instant,
    times: u64,
    over: bool,
}

impl Repeats {
    /// It is so, still or again. Trouble that comes back within a minute is the same trouble.
    pub fn seen(&mut self, now: Instant) -> Say {
        let fresh = |it: &Trouble| now.saturating_duration_since(it.seen) < TOLD_EVERY;
        let Some(trouble) = self.0.as_mut().filter(|it| fresh(it)) else {
            self.0 = Some(Trouble {
                since: now,
                seen: now,
                told: now,
                times: 0,
                over: false,
            });
            return Say::First;
        };
        trouble.seen = now;
        trouble.over = false;
        trouble.times += 1;
        if now.saturating_duration_since(trouble.told) < TOLD_EVERY {
            return Say::Nothing;
        }
        trouble.told = now;
        Say::Again {
            times: std::mem::take(&mut trouble.times),
            lasting: now.saturating_duration_since(trouble.since),
        }
    }

    /// It is over. Says how long it lasted, the first time this is known.
    pub fn over(&mut self, now: Instant) -> Option<Duration> {
        let trouble = self.0.as_mut().filter(|it| !it.over)?;
        trouble.over = true;
        Some(now.saturating_duration_since(trouble.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_trouble_is_a_line_a_minute() {
        let begin = Instant::now();
        let mut repeats = Repeats::default();
        let mut lines = Vec::new();
        for half_seconds in 0..2 * 86_400 {
            let now = begin + Duration::from_millis(500 * half_seconds);
            lines.extend(repeats.seen(now).line("the broker is away"));
        }
        assert_eq!(lines[0], "the broker is away");
        assert_eq!(
            lines[1],
            "the broker is away (for 60 s now, 120 times since the last line)"
        );
        assert_eq!(lines.len(), 1440);
    }

    #[test]
    fn trouble_that_comes_and_goes_is_one_trouble() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut repeats = Repeats::default();
        assert_eq!(repeats.over(at(0)), None);
        assert_eq!(repeats.seen(at(0)), Say::First);
        assert_eq!(repeats.over(at(5)), Some(Duration::from_secs(5)));
        assert_eq!(repeats.over(at(6)), None);
        assert_eq!(repeats.seen(at(10)), Say::Nothing);
        assert_eq!(repeats.seen(at(100)), Say::First);
    }
}

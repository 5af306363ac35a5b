//! Waiting for an answer: after a second a line says for how long, and Ctrl+C asks for its end.

use crate::cli::print::took;
use futures::future::OptionFuture;
use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Whoever waits no longer than this is told nothing.
const QUIET: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(200);

/// The line that says for how long an answer is waited for. Whoever prints rows to a terminal keeps it away.
#[derive(Debug)]
pub struct Waiting {
    started: Instant,
    is_kept_away: Cell<bool>,
    is_drawn: Cell<bool>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Waiting {
    pub fn new() -> Waiting {
        Waiting {
            started: Instant::now(),
            is_kept_away: Cell::new(!std::io::stderr().is_terminal()),
            is_drawn: Cell::new(false),
        }
    }

    /// How long it has been.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the line away for good: rows come.
    pub fn keep_away(&self) {
        self.wipe();
        self.is_kept_away.set(true);
    }

    fn wipe(&self) {
        if self.is_drawn.replace(false) {
            // Whoever cannot see it misses nothing.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }

    fn draw(&self, is_cancelled: bool) {
        if self.is_kept_away.get() || self.elapsed() < QUIET {
            return;
        }
        let what = match is_cancelled {
            true => "cancelling; Ctrl+C again waits no longer",
            false => "running; Ctrl+C cancels",
        };
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "\r\u{1b}[K{} {what}", took(self.elapsed()));
        let _ = err.flush();
        self.is_drawn.set(true);
    }

    /// What comes of the work, and whether its end was asked for. The first Ctrl+C does what `cancel` says and waits on; with the second
    /// nothing comes of it.
    pub async fn on<T, C: Future<Output = ()>>(
        &self,
        work: impl Future<Output = T>,
        cancel: impl FnOnce() -> C,
    ) -> (Option<T>, bool) {
        let mut work = std::pin::pin!(work);
        let mut cancel = Some(cancel);
        let mut cancelling = std::pin::pin!(OptionFuture::from(None));
        let mut is_cancelled = false;
        let mut steps = tokio::time::interval(STEP);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut work => break Some(outcome),
                signal = tokio::signal::ctrl_c() => match cancel.take() {
                    Some(cancel) if signal.is_ok() => {
                        is_cancelled = true;
                        cancelling.set(OptionFuture::from(Some(cancel())));
                    }
                    _ => break None,
                },
                Some(()) = &mut cancelling => cancelling.set(OptionFuture::from(None)),
                _ = steps.tick() => self.draw(is_cancelled),
            }
        };
        self.wipe();
        (outcome, is_cancelled)
    }
}

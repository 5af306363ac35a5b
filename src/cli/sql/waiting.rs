//! Waiting for an answer: after a second a line says for how long, and Ctrl+C asks for its end.

use crate::cli::print::took;
use crate::cli::progress;
use futures::future::OptionFuture;
use indicatif::ProgressBar;
use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

/// A shorter wait is not shown.
const QUIET: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(200);

/// The line that says for how long an answer is waited for. Rows that are printed to a terminal take it away first.
#[derive(Debug)]
pub struct Waiting {
    started: Instant,
    is_over: Cell<bool>,
    line: OnceCell<ProgressBar>,
}

impl Waiting {
    pub fn new() -> Waiting {
        Waiting {
            started: Instant::now(),
            is_over: Cell::new(false),
            line: OnceCell::new(),
        }
    }

    /// How long it has been.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the line away for good: rows come.
    pub fn keep_away(&self) {
        self.is_over.set(true);
        if let Some(line) = self.line.get() {
            line.finish_and_clear();
        }
    }

    fn draw(&self, is_cancelled: bool) {
        if self.is_over.get() || self.elapsed() < QUIET {
            return;
        }
        let what = match is_cancelled {
            true => "cancelling; Ctrl+C again waits no longer",
            false => "running; Ctrl+C cancels",
        };
        let line = self.line.get_or_init(|| progress::line("{wide_msg}", None));
        line.set_message(format!("{} {what}", took(self.elapsed())));
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
        self.keep_away();
        (outcome, is_cancelled)
    }
}

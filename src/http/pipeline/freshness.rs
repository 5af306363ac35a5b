//! How old records are at each stage of their way: when they are read, when views show them, when the lake has them.
//!
//! ```text
//! event time ──► read                  while records arrive: their age when they came, clocks of producers included
//! end of an epoch ──► visible          each time that views move on
//! newest committed epoch ──► now       once a second, while records came since: how far the lake is behind
//! ```
//!
//! Kept are the delays of some minutes; a stage of which nothing was seen has none.

use super::super::App;
use super::super::status::Status;
use crate::model::{Epoch, ms_to_us, wall_ms};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::PoisonError;

/// Delays kept of a stage: some minutes, at one a second or ten.
const KEPT_MS: u64 = 300_000;
const KEPT_MAX: usize = 3_000;
/// Records arrive if the newest is younger than this.
const ARRIVING_SECONDS: f64 = 1.0;

/// A stage of the way of a record, and how old records are when they reach it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Stage {
    /// `read`, `view` or `committed`.
    pub name: String,
    /// The newest delay; null if nothing was seen in the last minutes.
    pub seconds: Option<f64>,
    pub p50_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
    /// From what to what it is.
    pub about: String,
}

/// The delays of the last minutes, with the time of each.
#[derive(Debug, Default)]
pub struct Delays {
    read: Series,
    view: Series,
    committed: Series,
}

#[derive(Debug, Default)]
struct Series(VecDeque<(u64, f64)>);

impl Delays {
    /// Notes how old the records are that were just read, and what the lake has.
    pub fn take(&mut self, app: &App, status: &Status) {
        let now_ms = wall_ms();
        let watermarks = app.hub.watermarks();
        let ages = status.sources.iter().filter_map(|source| {
            let quiet = source.intake.quiet_seconds?;
            let event_time = app.dataflow.source(&source.name)?.event_time?;
            let newest_us = watermarks
                .get(&source.name)?
                .checked_add(event_time.delay_us)?;
            let age = (ms_to_us(now_ms) - newest_us) as f64 / 1e6 - quiet;
            (quiet < ARRIVING_SECONDS).then_some(age.max(0.0))
        });
        if let Some(oldest) = ages.reduce(f64::max) {
            self.read.note(now_ms, oldest);
        }
        let quiet = status
            .sources
            .iter()
            .filter_map(|it| it.intake.quiet_seconds);
        let committed = status.commit.as_ref().map(|it| it.epoch);
        if let (Some(epoch), Some(quiet)) = (committed, quiet.reduce(f64::min)) {
            self.behind(epoch, quiet, now_ms);
        }
    }

    /// Notes how far the lake is behind, if records came after its newest epoch.
    fn behind(&mut self, committed: Epoch, quiet_seconds: f64, now_ms: u64) {
        let age = now_ms.saturating_sub(committed.0) as f64 / 1000.0;
        if committed != Epoch(0) && quiet_seconds < age {
            self.committed.note(now_ms, age);
        }
    }

    /// Notes that views have moved on to an epoch.
    pub fn visible(&mut self, epoch: Epoch, now_ms: u64) {
        let delay = now_ms.saturating_sub(epoch.0) as f64 / 1000.0;
        self.view.note(now_ms, delay);
    }
}

impl Series {
    fn note(&mut self, now_ms: u64, seconds: f64) {
        self.0.push_back((now_ms, seconds));
        let is_old = |it: &(u64, f64)| it.0 + KEPT_MS < now_ms;
        while KEPT_MAX < self.0.len() || self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
    }

    fn stage(&self, name: &str, about: &str, now_ms: u64) -> Stage {
        let lately = self.0.iter().filter(|it| now_ms < it.0 + KEPT_MS);
        let mut sorted: Vec<f64> = lately.map(|it| it.1).collect();
        let newest = sorted.last().copied();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = sorted.len().checked_sub(1)?;
            sorted.get((share * last as f64).round() as usize).copied()
        };
        Stage {
            name: name.to_owned(),
            seconds: newest,
            p50_seconds: at(0.5),
            p99_seconds: at(0.99),
            about: about.to_owned(),
        }
    }
}

/// All stages, in the order of the way.
pub fn stages(app: &App) -> Vec<Stage> {
    let now_ms = wall_ms();
    let delays = app.samples.delays.lock();
    let delays = delays.unwrap_or_else(PoisonError::into_inner);
    vec![
        delays
            .read
            .stage("read", "from event time until the record is read", now_ms),
        delays.view.stage(
            "view",
            "from the end of an epoch until all views show it",
            now_ms,
        ),
        delays.committed.stage(
            "committed",
            "from the newest epoch in the lake until now, while records come",
            now_ms,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lake_that_has_all_records_is_not_behind() {
        let mut delays = Delays::default();
        let told = |it: &Delays| it.committed.stage("committed", "", 60_000).seconds;
        delays.behind(Epoch(0), 0.1, 20_000);
        delays.behind(Epoch(10_000), 10.5, 20_000);
        assert_eq!(told(&delays), None);
        delays.behind(Epoch(10_000), 0.1, 20_000);
        assert_eq!(told(&delays), Some(10.0));
    }

    #[test]
    fn delays_of_the_last_minutes_are_told_by_their_middle_and_their_end() {
        let mut delays = Delays::default();
        let stage = |it: &Delays, now| it.view.stage("view", "", now);
        assert_eq!(stage(&delays, 0).seconds, None);
        for at in 1..=1_000_u64 {
            delays.visible(Epoch(at * 100), at * 100 + at);
        }
        let told = stage(&delays, 101_000);
        assert_eq!(told.seconds, Some(1.0));
        assert_eq!(told.p50_seconds.map(|it| (it * 10.0).round()), Some(5.0));
        assert_eq!(told.p99_seconds.map(|it| (it * 100.0).round()), Some(99.0));
        // An epoch above the wall clock is not from the future.
        delays.visible(Epoch(200_000), 150_000);
        assert_eq!(stage(&delays, 150_000).seconds, Some(0.0));
        // Silence makes them old.
        assert_eq!(stage(&delays, 1_000_000).p50_seconds, None);
        (0..10_000).for_each(|_| delays.visible(Epoch(1), 2_000_000));
        assert_eq!(delays.view.0.len(), KEPT_MAX);
    }
}

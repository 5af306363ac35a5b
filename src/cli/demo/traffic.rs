//! The generated traffic of `demo`: history, and then events as they are due, whatever becomes of the disk.

use super::Arguments;
use crate::cli::generate::{Load, Model, Progress, Target, generate, newest_time_us, sleep};
use crate::cli::health;
use crate::generator::Scenario;
use crate::http::Component;
use crate::model::wall_ms;
use crate::repeats::Repeats;
use anyhow::{Result, bail};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// History is so long, in hours, or as long as so many events are enough for: they are generated and read within a few seconds.
const HISTORY_HOURS: f64 = 24.0;
const HISTORY_EVENTS: f64 = 900_000.0;
/// The announced outage begins so long after the start, and is over so long after that.
pub const OUTAGE_AFTER: Duration = Duration::from_secs(180);
pub const OUTAGE_LASTS: Duration = Duration::from_secs(240);
/// Pause before the traffic is started again; doubled each time, up to the longest.
pub const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Traffic that came for so long is started again after the first pause.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// The generated traffic: it goes on whatever becomes of the disk, and says in the health how it is doing.
pub struct Traffic {
    rate: f64,
    /// Length of history in front of empty files, and at most.
    history: Duration,
    /// Whether there is the announced outage.
    pub outage: bool,
    /// Folder of the files it goes into.
    input: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    restarts: u64,
    /// Why no events come at the moment.
    problem: Option<String>,
    /// How far it is since it was last begun.
    latest: Option<Progress>,
    /// How many events were due at the start, once they were made.
    made: Option<u64>,
}

impl Traffic {
    pub fn of(arguments: &Arguments, input: PathBuf) -> Self {
        let rate = arguments.rate;
        let hours = arguments.history.unwrap_or_else(|| {
            let minutes = (HISTORY_EVENTS / rate / 60.0).floor();
            (minutes / 60.0).min(HISTORY_HOURS)
        });
        Traffic {
            rate,
            history: Duration::from_secs_f64(3600.0 * hours),
            outage: !arguments.no_incident,
            input,
            state: Mutex::default(),
        }
    }

    /// How much event time is to be made up for: none if the files go on until now.
    pub fn history(&self) -> Duration {
        let Some(newest_us) = newest_time_us(&self.input) else {
            return self.history;
        };
        let now_us = i64::try_from(wall_ms())
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        let behind_us = u64::try_from(now_us.saturating_sub(newest_us)).unwrap_or(0);
        Duration::from_micros(behind_us).min(self.history)
    }

    pub fn made(&self) -> Option<u64> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .made
    }

    /// How far it is; nothing before it has begun.
    pub fn latest(&self) -> Option<Progress> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .latest
    }

    /// Generates until told to stop. What fails, or panics, is started again, later each time it fails soon again.
    pub fn keep_coming<T: Target>(
        &self,
        open: &mut dyn FnMut() -> Result<T>,
        pauses: (Duration, Duration),
        stop: &AtomicBool,
    ) {
        let mut pause = pauses.0;
        let mut told = Repeats::default();
        while !stop.load(Ordering::Acquire) {
            let began = Instant::now();
            let Err(error) = open().and_then(|it| self.once(it, stop)) else {
                return;
            };
            if GOOD_AFTER < began.elapsed() {
                pause = pauses.0;
            }
            let text = format!("no events are generated: {error:#}");
            if let Some(line) = told.seen(Instant::now()).line(&text) {
                tracing::error!("{line}");
            }
            self.change(|it| it.problem = Some(text));
            sleep(pause, stop);
            pause = (pause * 2).min(pauses.1);
            self.change(|it| it.restarts += 1);
        }
    }

    /// Generates until told to stop, or until it fails.
    fn once<T: Target>(&self, target: T, stop: &AtomicBool) -> Result<()> {
        let load = self.load();
        let mut target = Told {
            target,
            traffic: self,
        };
        let mut was_made = false;
        let mut observe = |it: Progress| {
            self.change(|state| state.latest = Some(it));
            if it.caught_up && !std::mem::replace(&mut was_made, true) {
                self.change(|state| state.made = state.made.or(Some(it.sent)));
            }
        };
        let generated = catch_unwind(AssertUnwindSafe(|| {
            generate(&load, &mut [&mut target], None, &mut observe, stop)
        }));
        match generated {
            Ok(written) => written.map(|_| ()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                bail!("it panicked: {}", text.unwrap_or("without a word"))
            }
        }
    }

    fn load(&self) -> Load {
        let now_us = |after: Duration| {
            let ms = wall_ms().saturating_add(crate::model::whole_ms(after));
            i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000)
        };
        let outage_us = (now_us(OUTAGE_AFTER), now_us(OUTAGE_AFTER + OUTAGE_LASTS));
        Load {
            model: Model::WebLogs,
            rate: self.rate,
            seed: wall_ms(),
            anomalies: false,
            duration: None,
            count: None,
            paced: true,
            start_us: None,
            history: self.history(),
            scenario: Some(Scenario {
                outage_us: self.outage.then_some(outage_us),
            }),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn component(&self) -> Component {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = state.problem.as_deref();
        let (status, detail) = health::of_generator(self.rate, problem, state.restarts);
        Component {
            restarts: Some(state.restarts),
            ..Component::new("generator", status, detail)
        }
    }
}

/// A target that says when events reach it again.
struct Told<'a, T> {
    target: T,
    traffic: &'a Traffic,
}

impl<T: Target> Target for Told<'_, T> {
    fn send(&mut self, event: &[u8], key: &str, key_hash: u64, stop: &AtomicBool) -> Result<()> {
        self.target.send(event, key, key_hash, stop)
    }

    fn flush(&mut self) -> Result<()> {
        self.target.flush()?;
        self.traffic.change(|it| {
            if it.problem.take().is_some() {
                tracing::info!("events are generated again");
            }
        });
        Ok(())
    }

    fn finish(&mut self, stop: &AtomicBool) -> Result<u64> {
        self.target.finish(stop)
    }
}

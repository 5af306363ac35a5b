//! A forecast of values whose season is found on the way, and causally: what is learned at a window is used from the next one on.
//!
//! History is kept until the season is settled. Whenever twice as much is known as at the last look, the season is looked for again; if it is another one, the forecast
//! is folded again over that history with it. At `HISTORY_MAX` windows the history is let go.

use super::forecast::{self, Forecast};
use super::{Detector, Score, Window, season};
use serde::{Deserialize, Serialize};

/// When the season is looked for first.
const HISTORY_MIN: usize = 128;
/// When it is looked for last: a week of windows of five minutes fits twice.
const HISTORY_MAX: usize = 4_096;

/// Where the season comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Season {
    #[default]
    Find,
    /// So many windows, or that there is none.
    Told(Option<u32>),
}

/// A forecast of values, of a season that it finds unless told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnknownSeason {
    pub season: Season,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub season: Option<u32>,
    forecast: forecast::State,
    /// Windows from the first one on, those without a value as not a number; nothing once the season is settled.
    history: Vec<f64>,
    first: Option<i64>,
    next_look: usize,
}

impl Detector for UnknownSeason {
    type Evidence = f64;
    type State = State;

    fn start(&self) -> State {
        let (season, next_look) = match self.season {
            Season::Find => (None, HISTORY_MIN),
            // Settled from the start.
            Season::Told(season) => (season, usize::MAX),
        };
        State {
            season,
            forecast: forecast::State::default(),
            history: Vec::new(),
            first: None,
            next_look,
        }
    }

    fn step(&self, state: &mut State, window: &Window<f64>) -> Score {
        let score = Forecast::of_values(state.season).step(&mut state.forecast, window);
        if state.next_look <= HISTORY_MAX {
            state.remember(window);
        }
        score
    }
}

impl State {
    fn remember(&mut self, window: &Window<f64>) {
        let first = *self.first.get_or_insert(window.number);
        let at = usize::try_from(window.number - first).expect("windows come in order");
        if at.saturating_sub(self.history.len()) < HISTORY_MAX {
            self.history.resize(at, f64::NAN);
            self.history.push(window.evidence);
        } else {
            // A gap longer than all that would be kept.
            self.history = vec![window.evidence];
            self.first = Some(window.number);
        }
        if self.history.len() < self.next_look {
            return;
        }
        let found = season::find(&self.history);
        if found != self.season {
            self.season = found;
            self.fold_again();
        }
        while self.next_look <= self.history.len() {
            self.next_look *= 2;
        }
        if HISTORY_MAX < self.next_look {
            self.history = Vec::new();
        }
    }

    fn fold_again(&mut self) {
        let forecast = Forecast::of_values(self.season);
        let first = self.first.unwrap_or(0);
        self.forecast = forecast.start();
        for (number, evidence) in (first..).zip(self.history.iter().copied()) {
            forecast.step(&mut self.forecast, &Window { number, evidence });
        }
    }
}

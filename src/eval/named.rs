//! Detectors by name, as `eval` runs them: all on the same windows, in one causal pass.

use super::baselines::{Ewma, Gaussian, HoltWinters, Static};
use crate::detect::forecast::{Forecast, Scale};
use crate::detect::unknown_season::UnknownSeason;
use crate::detect::{Detector, Score, Window, fold_block};

/// A detector that `eval` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Forecast,
    Static,
    Gaussian,
    Ewma,
    HoltWinters,
}

impl Named {
    pub const ALL: [Named; 5] = [
        Named::Forecast,
        Named::HoltWinters,
        Named::Ewma,
        Named::Gaussian,
        Named::Static,
    ];

    /// What there is without a detector.
    pub const SIMPLE: [Named; 4] = [
        Named::HoltWinters,
        Named::Ewma,
        Named::Gaussian,
        Named::Static,
    ];

    pub fn of_name(name: &str) -> Option<Named> {
        Named::ALL.into_iter().find(|it| it.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Named::Forecast => "forecast",
            Named::Static => "static",
            Named::Gaussian => "gaussian",
            Named::Ewma => "ewma",
            Named::HoltWinters => "holt-winters",
        }
    }
}

/// The season of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    /// It is looked for, from what came before.
    Auto,
    None,
    Windows(u32),
}

impl Season {
    fn windows(self) -> Option<u32> {
        match self {
            Season::Auto | Season::None => None,
            Season::Windows(it) => Some(it),
        }
    }
}

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    pub scale: Scale,
    pub season: Season,
}

impl Named {
    /// Scores each window by those before it.
    pub fn run(self, subject: Subject, windows: &[Window<f64>]) -> Vec<Score> {
        let season = subject.season.windows();
        let of_logs = subject.scale == Scale::Counts;
        match self {
            Named::Forecast if subject.season == Season::Auto => fold(&UnknownSeason, windows),
            Named::Forecast => {
                let forecast = Forecast::of_values(season);
                let scale = subject.scale;
                fold(&Forecast { scale, ..forecast }, windows)
            }
            Named::Static => {
                let learned = season.map_or(512, |it| 2 * u64::from(it));
                fold(&Static { learned }, windows)
            }
            Named::Gaussian => {
                let last = season.map_or(128, |it| it as usize);
                fold(&Gaussian { windows: last }, windows)
            }
            Named::Ewma => fold(&Ewma { gain: 0.1, of_logs }, windows),
            Named::HoltWinters => fold(&HoltWinters { season, of_logs }, windows),
        }
    }
}

fn fold<D: Detector<Evidence = f64>>(detector: &D, windows: &[Window<f64>]) -> Vec<Score> {
    fold_block(detector, &detector.start(), windows).0
}

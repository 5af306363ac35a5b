//! What a detector says of one metric of a key: a test made for what the metric is, and how rare its result is for this key.

use super::forecast::{self, Forecast, Scale};
use super::peaks::Peaks;
use super::ratio::{self, Ratio, Share};
use super::{Detector, Score, Scored, Unscored, Window};
use serde::{Deserialize, Serialize};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// How much there is of something. A window without records has nothing of it.
    Rate,
    /// Failures out of all.
    Ratio,
    /// How long something takes, or another value above zero that varies by factors. A window without records has none.
    Latency,
    /// A value of any size. A window without records has none.
    Value,
}

impl Kind {
    /// The name of the metric in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Rate => "rate",
            Kind::Ratio => "ratio",
            Kind::Latency => "latency",
            Kind::Value => "value",
        }
    }

    pub fn of_name(name: &str) -> Option<Kind> {
        let all = [Kind::Rate, Kind::Ratio, Kind::Latency, Kind::Value];
        all.into_iter()
            .find(|it| it.name().eq_ignore_ascii_case(name))
    }
}

/// A metric's test: its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Metric {
    Rate(Forecast),
    Ratio(Ratio),
    Latency(Forecast),
    Value(Forecast),
}

/// What was observed of a metric in a window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Evidence {
    Number(f64),
    Share(Share),
}

impl Evidence {
    /// What nothing is.
    pub const NONE: Evidence = Evidence::Number(f64::NAN);

    /// What was observed as a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Evidence::Number(it) => Some(it).filter(|it| it.is_finite()),
            Evidence::Share(Share { all: 0, .. }) => None,
            Evidence::Share(Share { failures, all }) => Some(failures as f64 / all as f64),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum State {
    Forecast(forecast::State, Peaks),
    Ratio(ratio::State, Peaks),
}

impl Metric {
    /// A test for windows of so many seconds, of which so many are a season.
    pub fn new(kind: Kind, window_seconds: u32, season: Option<u32>) -> Self {
        match kind {
            Kind::Rate => Metric::Rate(Forecast {
                season,
                ..Forecast::of_counts(window_seconds)
            }),
            Kind::Latency => Metric::Latency(Forecast {
                scale: Scale::Positive,
                ..Forecast::of_values(season)
            }),
            Kind::Value => Metric::Value(Forecast::of_values(season)),
            Kind::Ratio => Metric::Ratio(Ratio { window_seconds }),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Metric::Rate(_) => Kind::Rate,
            Metric::Ratio(_) => Kind::Ratio,
            Metric::Latency(_) => Kind::Latency,
            Metric::Value(_) => Kind::Value,
        }
    }

    /// Windows of one season, if it has one.
    pub fn season(&self) -> Option<u32> {
        match self {
            Metric::Rate(it) | Metric::Latency(it) | Metric::Value(it) => it.season,
            Metric::Ratio(_) => None,
        }
    }
}

impl Detector for Metric {
    type Evidence = Evidence;
    type State = State;

    fn start(&self) -> State {
        match self {
            Metric::Rate(it) | Metric::Latency(it) | Metric::Value(it) => {
                State::Forecast(it.start(), Peaks::default())
            }
            Metric::Ratio(it) => State::Ratio(it.start(), Peaks::default()),
        }
    }

    /// The severity is how rare a residual of this size is for the key. Of low counts, and of shares, it is no larger than their own tail says, since a residual
    /// of few events lies.
    fn step(&self, state: &mut State, window: &Window<Evidence>) -> Score {
        let number = window.number;
        let (score, peaks) = match (self, state, window.evidence) {
            (
                Metric::Rate(it) | Metric::Latency(it) | Metric::Value(it),
                State::Forecast(state, peaks),
                Evidence::Number(evidence),
            ) => (it.step(state, &Window { number, evidence }), peaks),
            (Metric::Ratio(it), State::Ratio(state, peaks), Evidence::Share(evidence)) => {
                (it.step(state, &Window { number, evidence }), peaks)
            }
            (Metric::Rate(_) | Metric::Latency(_) | Metric::Value(_) | Metric::Ratio(_), _, _) => {
                return Score::Unscored(Unscored::NoEvidence);
            }
        };
        let Score::Scored(scored) = score else {
            return score;
        };
        let rarity = peaks.severity(scored.residual);
        let is_of_events = match self {
            Metric::Rate(it) => it.scale == Scale::Counts,
            Metric::Ratio(_) => true,
            Metric::Latency(_) | Metric::Value(_) => false,
        };
        let severity = match is_of_events {
            true => rarity.min(scored.severity),
            false => rarity,
        };
        Score::Scored(Scored { severity, ..scored })
    }
}

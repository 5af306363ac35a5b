//! Detectors by name, as `eval` runs them: all on the same windows, in one causal pass.

use super::baselines::{Ewma, Gaussian, HoltWinters, Static};
use crate::detect::any_series::AnySeries;
use crate::detect::forecast::{Forecast, Scale};
use crate::detect::math::ln;
use crate::detect::metric::{Evidence, Kind, Metric};
use crate::detect::novelty::NearestValue;
use crate::detect::unknown_season::{self, UnknownSeason};
use crate::detect::{Detector, Score, Window, fold_block};

/// A detector that `eval` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// What is good for a series nobody has described.
    Default,
    Forecast,
    /// The test that `CREATE DETECTOR` makes: of a rate, of times, of a value whose season is told, or of a series of which nothing is known.
    Metric,
    /// The distance to the nearest earlier value.
    Novelty,
    /// Sums of the residuals of a slow forecast, as `drift(…)` has them.
    Drift,
    Static,
    Gaussian,
    Ewma,
    HoltWinters,
}

impl Named {
    pub const ALL: [Named; 9] = [
        Named::Default,
        Named::Forecast,
        Named::Metric,
        Named::Novelty,
        Named::Drift,
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
            Named::Default => "default",
            Named::Forecast => "forecast",
            Named::Metric => "metric",
            Named::Novelty => "novelty",
            Named::Drift => "drift",
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
        let any = AnySeries {
            season: match subject.season {
                Season::Auto => unknown_season::Season::Find,
                Season::None | Season::Windows(_) => unknown_season::Season::Told(season),
            },
        };
        match self {
            Named::Default if of_logs => fold(&any, &logarithms(windows)),
            Named::Default => fold(&any, windows),
            Named::Novelty => fold(&NearestValue, windows),
            Named::Drift => metric(Kind::Drift, season, windows),
            Named::Forecast if subject.season == Season::Auto => {
                fold(&UnknownSeason::default(), windows)
            }
            Named::Forecast => {
                let forecast = Forecast::of_values(season);
                let scale = subject.scale;
                fold(&Forecast { scale, ..forecast }, windows)
            }
            Named::Metric => {
                let kind = match (subject.scale, subject.season) {
                    (Scale::Counts, _) => Kind::Rate,
                    (Scale::Positive, _) => Kind::Latency,
                    (Scale::Values | Scale::Signed, Season::Auto) => Kind::Series,
                    (Scale::Values | Scale::Signed, Season::None | Season::Windows(_)) => {
                        Kind::Value
                    }
                };
                metric(kind, season, windows)
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

/// Counts as y = ln(n + 1), where they are to be compared as values.
fn logarithms(windows: &[Window<f64>]) -> Vec<Window<f64>> {
    let of_window = |it: &Window<f64>| Window {
        number: it.number,
        evidence: ln(it.evidence.max(0.0) + 1.0),
    };
    windows.iter().map(of_window).collect()
}

/// Scores by a test that `CREATE DETECTOR` makes.
fn metric(kind: Kind, season: Option<u32>, windows: &[Window<f64>]) -> Vec<Score> {
    let evidence = windows.iter().map(|it| Window {
        number: it.number,
        evidence: Evidence::Number(it.evidence),
    });
    let metric = Metric::new(kind, 0, season);
    fold_block(&metric, &metric.start(), &evidence.collect::<Vec<_>>()).0
}

fn fold<D: Detector<Evidence = f64>>(detector: &D, windows: &[Window<f64>]) -> Vec<Score> {
    fold_block(detector, &detector.start(), windows).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::synthetic;

    #[test]
    fn of_a_value_whose_season_is_not_told_nothing_is_known() {
        let windows = synthetic::make(synthetic::Base::Saw, synthetic::Kind::Dip, 1).windows();
        let scores = |detector: Named, season: Season| {
            let scale = Scale::Values;
            detector.run(Subject { scale, season }, &windows)
        };
        let told = Season::Windows(97);
        assert_eq!(
            scores(Named::Metric, Season::Auto),
            scores(Named::Default, Season::Auto)
        );
        assert_ne!(scores(Named::Metric, told), scores(Named::Default, told));
    }
}

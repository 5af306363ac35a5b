//! What a detector says of one metric of a key: a test made for what the metric is, and how rare its result is for this key.

use super::any_series::{self, AnySeries};
use super::drift::{self, Drift};
use super::forecast::{self, Forecast, Scale};
use super::load::Load;
use super::math::{exp, ln};
use super::novelty::{self, NearestValue};
use super::outlier::{self, Outlier, Point};
use super::peaks::Peaks;
use super::pooled::{self, Pooled, PooledShares, Spread, Told};
use super::ratio::{self, Ratio, Share};
use super::unknown_season::Season;
use super::{Detector, Score, Scored, Unscored, Window, tails};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The gain of levels up to which windows of a rate are noise around one.
const POOLED_GAIN_MAX: f64 = 0.4;
/// From this severity on several windows are told as such.
const REMARKABLE: f64 = 3.0;
/// The half width of their band, in standard deviations.
const BAND: f64 = 4.0;
/// Windows with a smaller share of the usual records say less of times, and those with so few nothing together.
const FEWER: f64 = 0.5;
const FEW: f64 = 0.25;

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
    /// A value that is asked whether it leaves its level slowly: by shifts that are too small for one window.
    Drift,
    /// A value that jumps between levels: what it never was before is unusual.
    Novelty,
    /// A value of which nothing is known: levels, shapes and seasons are looked for. Costs most.
    Series,
    /// Several values that belong together.
    Outlier,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::Rate,
        Kind::Ratio,
        Kind::Latency,
        Kind::Value,
        Kind::Drift,
        Kind::Novelty,
        Kind::Series,
        Kind::Outlier,
    ];

    /// The name of the metric in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Rate => "rate",
            Kind::Ratio => "ratio",
            Kind::Latency => "latency",
            Kind::Value => "value",
            Kind::Drift => "drift",
            Kind::Novelty => "novelty",
            Kind::Series => "series",
            Kind::Outlier => "outlier",
        }
    }

    pub fn of_name(name: &str) -> Option<Kind> {
        let mut all = Kind::ALL.into_iter();
        all.find(|it| it.name().eq_ignore_ascii_case(name))
    }

    /// How many values it is made of.
    pub fn values(self) -> RangeInclusive<usize> {
        match self {
            Kind::Ratio => 2..=2,
            Kind::Outlier => 2..=outlier::VALUES_MAX,
            Kind::Rate
            | Kind::Latency
            | Kind::Value
            | Kind::Drift
            | Kind::Novelty
            | Kind::Series => 1..=1,
        }
    }
}

/// A metric's test: its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Metric {
    Rate(Forecast),
    Ratio(Ratio),
    Latency(Forecast),
    Value(Forecast),
    Drift(Drift),
    Novelty,
    Series(AnySeries),
    Outlier(Outlier),
}

/// What was observed of a metric in a window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Evidence {
    Number(f64),
    Share(Share),
    Point(Point),
}

impl Evidence {
    /// What nothing is.
    pub const NONE: Evidence = Evidence::Number(f64::NAN);

    /// What was observed as a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Evidence::Number(it) => Some(it).filter(|it| it.is_finite()),
            Evidence::Share(Share { all: 0, .. }) | Evidence::Point(_) => None,
            Evidence::Share(Share { failures, all }) => Some(failures as f64 / all as f64),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum State {
    Forecast(forecast::State, Peaks, Pooled),
    Latency(forecast::State, Peaks, Pooled, Load),
    Ratio(ratio::State, Peaks, PooledShares),
    Drift(drift::State),
    Novelty(Box<novelty::State>),
    Series(Box<any_series::State>),
    Outlier(Box<outlier::State>),
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
            Kind::Drift => Metric::Drift(Drift::new(season)),
            Kind::Novelty => Metric::Novelty,
            Kind::Series => Metric::Series(AnySeries {
                season: match season {
                    Some(it) => Season::Told(Some(it)),
                    None => Season::Find,
                },
            }),
            Kind::Outlier => Metric::Outlier(Outlier {
                forecast: Forecast::of_values(season),
            }),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Metric::Rate(_) => Kind::Rate,
            Metric::Ratio(_) => Kind::Ratio,
            Metric::Latency(_) => Kind::Latency,
            Metric::Value(_) => Kind::Value,
            Metric::Drift(_) => Kind::Drift,
            Metric::Novelty => Kind::Novelty,
            Metric::Series(_) => Kind::Series,
            Metric::Outlier(_) => Kind::Outlier,
        }
    }

    /// Windows of one season, if it has one.
    pub fn season(&self) -> Option<u32> {
        match self {
            Metric::Rate(it)
            | Metric::Latency(it)
            | Metric::Value(it)
            | Metric::Drift(Drift { forecast: it })
            | Metric::Outlier(Outlier { forecast: it }) => it.season,
            Metric::Series(AnySeries {
                season: Season::Told(season),
            }) => *season,
            Metric::Series(_) | Metric::Ratio(_) | Metric::Novelty => None,
        }
    }
}

impl Detector for Metric {
    type Evidence = Evidence;
    type State = State;

    fn start(&self) -> State {
        match self {
            Metric::Rate(it) | Metric::Value(it) => {
                State::Forecast(it.start(), Peaks::default(), Pooled::default())
            }
            Metric::Latency(it) => State::Latency(
                it.start(),
                Peaks::default(),
                Pooled::default(),
                Load::default(),
            ),
            Metric::Ratio(it) => {
                State::Ratio(it.start(), Peaks::default(), PooledShares::default())
            }
            Metric::Drift(it) => State::Drift(it.start()),
            Metric::Novelty => State::Novelty(Box::new(NearestValue.start())),
            Metric::Series(it) => State::Series(Box::new(it.start())),
            Metric::Outlier(it) => State::Outlier(Box::new(it.start())),
        }
    }

    /// The severity is how rare a residual of this size is for the key. Of low counts, and of shares, it is no larger than their own tail says, since a residual
    /// of few events lies. Where several windows together are rarer than the last one, it is theirs.
    fn step(&self, state: &mut State, window: &Window<Evidence>) -> Score {
        self.step_beside(state, window, None)
    }
}

impl Metric {
    /// How busy a key is in a window, if this metric is a rate and known: before the window is learned.
    pub fn busy(&self, state: &State, window: &Window<Evidence>) -> Option<Busy> {
        match (self, state, window.evidence) {
            (Metric::Rate(it), State::Forecast(state, ..), Evidence::Number(rate))
                if rate.is_finite() =>
            {
                let of_last = rate / it.level(state).filter(|it| 0.0 < *it)?;
                let at_this_time = it.unusual(state, window.number, rate).map(exp);
                let share = at_this_time.map_or(of_last, |it| of_last.min(it));
                Some(Busy {
                    records: rate,
                    share,
                })
            }
            _ => None,
        }
    }

    /// As `step`, of a window in which the key is so busy.
    pub fn step_beside(
        &self,
        state: &mut State,
        window: &Window<Evidence>,
        busy: Option<Busy>,
    ) -> Score {
        let number = window.number;
        match (self, state, window.evidence) {
            (
                Metric::Latency(it),
                State::Latency(state, peaks, pooled, load),
                Evidence::Number(evidence),
            ) => {
                let share = busy.map_or(1.0, |it| it.share);
                let is_time = 0.0 < evidence && evidence.is_finite();
                let seen = busy.filter(|it| is_time && FEW <= it.share);
                let effect = seen.map(|seen| load.effect(it.season, ln(evidence), seen.records));
                let factor = effect.map_or(1.0, exp);
                let (mut told, mut season) = (None, 0.0);
                let window = Window {
                    number,
                    evidence: evidence / factor,
                };
                let score = it.step_through(state, &window, |it| {
                    if FEW <= share {
                        told = pooled.step(it.number, it.y, it.least, &Spread::SLOW);
                    }
                    season = it.season;
                });
                let score = rarity_of_forecast(of_fewer(score, share), peaks, false);
                if !pooled.is_known() {
                    return times(score, factor);
                }
                let score = louder(score, told, |y| it.unscaled(y + season));
                times(score, factor)
            }
            (
                Metric::Rate(it) | Metric::Value(it),
                State::Forecast(state, peaks, pooled),
                Evidence::Number(evidence),
            ) => {
                let (mut told, mut season) = (None, 0.0);
                let score = it.step_through(state, &Window { number, evidence }, |it| {
                    told = pooled.step(it.number, it.y, it.least, &Spread::QUICK);
                    season = it.season;
                });
                let score = rarity_of_forecast(score, peaks, it.scale == Scale::Counts);
                // Of a rate whose level itself moves, several windows tell less than the last one.
                let wanders = it.scale == Scale::Counts && POOLED_GAIN_MAX < it.gain(state);
                if wanders || !pooled.is_known() {
                    return score;
                }
                louder(score, told, |y| it.unscaled(y + season))
            }
            (Metric::Ratio(it), State::Ratio(state, peaks, pooled), Evidence::Share(evidence)) => {
                let score = rarity_of_share(it.step(state, &Window { number, evidence }), peaks);
                louder(score, pooled.step(number, evidence), |it| {
                    it.clamp(0.0, 1.0)
                })
            }
            (Metric::Drift(it), State::Drift(state), Evidence::Number(evidence)) => {
                it.step(state, &Window { number, evidence })
            }
            (Metric::Novelty, State::Novelty(state), Evidence::Number(evidence)) => {
                NearestValue.step(state, &Window { number, evidence })
            }
            (Metric::Series(it), State::Series(state), Evidence::Number(evidence)) => {
                it.step(state, &Window { number, evidence })
            }
            (Metric::Outlier(it), State::Outlier(state), Evidence::Point(evidence)) => {
                it.step(state, &Window { number, evidence })
            }
            _ => Score::Unscored(Unscored::NoEvidence),
        }
    }
}

/// How busy a key is in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busy {
    /// In the window.
    pub records: f64,
    /// Records over those that are usual: of the last windows, and at this time if these are more.
    pub share: f64,
}

/// A score of fewer records than usual, which say less: as many deviations less as their mean has more.
fn of_fewer(score: Score, share: f64) -> Score {
    match score {
        Score::Scored(scored) if share < FEWER => {
            let residual = scored.residual * share.max(0.0).sqrt();
            let severity = tails::normal(residual);
            Score::Scored(Scored {
                residual,
                severity,
                ..scored
            })
        }
        other => other,
    }
}

/// A score whose values are so many times as large.
fn times(score: Score, factor: f64) -> Score {
    match score {
        Score::Scored(scored) => Score::Scored(Scored {
            observed: scored.observed * factor,
            expected: scored.expected * factor,
            low: scored.low * factor,
            high: scored.high * factor,
            ..scored
        }),
        other => other,
    }
}

/// A score by how rare its residual is; of counts no rarer than their own tail. A forecast says of a residual what it is in a normal distribution.
fn rarity_of_forecast(score: Score, peaks: &mut Peaks, is_of_counts: bool) -> Score {
    let Score::Scored(scored) = score else {
        return score;
    };
    let rarity = peaks.severity(scored.residual, scored.severity);
    let severity = match is_of_counts {
        true => rarity.min(scored.severity),
        false => rarity,
    };
    Score::Scored(Scored { severity, ..scored })
}

/// A score by how rare its residual is, and no rarer than the tail of its events.
fn rarity_of_share(score: Score, peaks: &mut Peaks) -> Score {
    let Score::Scored(scored) = score else {
        return score;
    };
    let rarity = peaks.severity(scored.residual, scored.severity);
    let severity = rarity.min(scored.severity);
    Score::Scored(Scored { severity, ..scored })
}

/// Of a window and of what several together say the louder one; of these it says from here on what it was made of: their mean, and what it was compared with.
fn louder(score: Score, told: Option<Told>, unscaled: impl Fn(f64) -> f64) -> Score {
    let Score::Scored(one) = score else {
        return score;
    };
    let severity = (one.severity - pooled::SHARED).max(0.0);
    let Some(told) = told.filter(|it| severity < it.severity) else {
        return Score::Scored(Scored { severity, ..one });
    };
    let severity = told.severity;
    if severity < REMARKABLE {
        return Score::Scored(Scored { severity, ..one });
    }
    let half = BAND * told.usual;
    Score::Scored(Scored {
        observed: unscaled(told.mean),
        expected: unscaled(told.base),
        low: unscaled(told.base - half),
        high: unscaled(told.base + half),
        residual: told.residual,
        severity,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;

    /// Severities of a value that grows by so much of its noise with each window, behind a thousand windows without.
    fn leaking(kind: Kind, growth: f64) -> Vec<f64> {
        let metric = Metric::new(kind, 60, None);
        let mut state = metric.start();
        let mut random = Random::new(7);
        let scores = (0..1_400).filter_map(|number| {
            let leaked = growth * (number - 1_000).max(0) as f64;
            let value = 200.0 + 4.0 * (random.unit() - 0.5) + leaked;
            let evidence = Evidence::Number(value);
            let score = metric.step(&mut state, &Window { number, evidence });
            score
                .scored()
                .map(|it| it.severity)
                .filter(|_| 900 <= number)
        });
        scores.collect()
    }

    #[test]
    fn a_slow_leak_is_a_drift_and_no_value_out_of_its_band() {
        let most = |of: &[f64]| of.iter().copied().fold(0.0, f64::max);
        let drift = leaking(Kind::Drift, 0.008);
        assert!(4.5 < most(&drift[100..]), "{}", most(&drift[100..]));
        assert!(most(&drift[..100]) < 4.0, "{}", most(&drift[..100]));
        let value = leaking(Kind::Value, 0.008);
        assert!(most(&value[100..]) < 4.0, "{}", most(&value[100..]));
    }

    /// What is said of noise around a level, which from window 1,000 on is another one.
    fn shifted(kind: Kind, of: impl Fn(i64, &mut Random) -> Evidence) -> Vec<Scored> {
        let metric = Metric::new(kind, 60, None);
        let mut state = metric.start();
        let mut random = Random::new(3);
        let scores = (0..1_064).map(|number| {
            let evidence = of(number, &mut random);
            metric.step(&mut state, &Window { number, evidence })
        });
        scores.filter_map(|it| it.scored().copied()).collect()
    }

    /// One standard deviation of what a window varies by: no window shows it, several do. What is told then is their mean.
    #[test]
    fn a_small_shift_is_told_by_several_windows_together() {
        let latency = |number: i64, random: &mut Random| {
            let usual = if number < 1_000 { 100.0 } else { 120.0 };
            Evidence::Number(usual * (0.7 + 0.6 * random.unit()))
        };
        let found = shifted(Kind::Latency, latency);
        let (before, after) = found.split_at(found.len() - 64);
        let most = |of: &[Scored]| {
            let loudest = |a: &&Scored, b: &&Scored| a.severity.total_cmp(&b.severity);
            *of.iter().max_by(loudest).expect("windows have scores")
        };
        assert!(most(before).severity < 3.0, "{:?}", most(before));
        let told = most(after);
        assert!(3.5 < told.severity, "{told:?}");
        assert!((114.0..124.0).contains(&told.observed), "{told:?}");
        assert!((94.0..103.0).contains(&told.expected), "{told:?}");
        assert!(told.high < told.observed, "{told:?}");
    }

    #[test]
    fn a_small_share_more_is_told_by_several_windows_together() {
        let errors = |number: i64, random: &mut Random| {
            let share = if number < 1_000 { 0.05 } else { 0.08 };
            let failed = (0..100).filter(|_| random.unit() < share).count();
            Evidence::Share(Share {
                failures: failed as u64,
                all: 100,
            })
        };
        let found = shifted(Kind::Ratio, errors);
        let (before, after) = found.split_at(found.len() - 64);
        let most = |of: &[Scored]| of.iter().map(|it| it.severity).fold(0.0, f64::max);
        assert!(most(before) < 3.0, "{}", most(before));
        assert!(3.5 < most(after), "{}", most(after));
    }

    /// Times that are half as long again in the last one of some crowds, with three times the records: whether that is told, and what is told of it.
    fn in_a_crowd(knows_load: bool) -> Scored {
        let metric = Metric::new(Kind::Latency, 900, Some(96));
        let mut state = metric.start();
        let mut random = Random::new(5);
        let mut last = None;
        for number in 0..20 * 96 {
            // At another time of each day.
            let is_crowd = (number % 101) < 2 || number + 1 == 20 * 96;
            let more = if is_crowd { 2.0 } else { 0.0 };
            let evidence = Evidence::Number(100.0 * (0.95 + 0.1 * random.unit()) * exp(0.2 * more));
            let busy = Busy {
                records: 100.0 * (1.0 + more),
                share: 1.0 + more,
            };
            let busy = Some(busy).filter(|_| knows_load);
            let score = metric.step_beside(&mut state, &Window { number, evidence }, busy);
            last = score.scored().copied().zip(evidence.number());
        }
        let (scored, observed) = last.expect("it is known");
        assert!((scored.observed - observed).abs() < 1e-9, "{scored:?}");
        scored
    }

    #[test]
    fn times_that_are_longer_in_crowds_are_usual_in_crowds() {
        let known = in_a_crowd(true);
        assert!(known.low < known.observed && known.observed < known.high);
        assert!(140.0 < known.expected, "{known:?}");
        let unknown = in_a_crowd(false);
        assert!(unknown.high < unknown.observed, "{unknown:?}");
        assert!(known.severity < unknown.severity, "{known:?} {unknown:?}");
    }

    #[test]
    fn times_of_few_records_say_less() {
        let severity = |share: f64| {
            let metric = Metric::new(Kind::Latency, 60, None);
            let mut state = metric.start();
            let mut random = Random::new(5);
            for number in 0..500 {
                let evidence = Evidence::Number(100.0 * (0.9 + 0.2 * random.unit()));
                metric.step(&mut state, &Window { number, evidence });
            }
            let window = Window {
                number: 500,
                evidence: Evidence::Number(180.0),
            };
            let busy = Busy {
                records: 100.0 * share,
                share,
            };
            let score = metric.step_beside(&mut state, &window, Some(busy));
            score.scored().expect("it is known").severity
        };
        assert!(4.0 < severity(1.0), "{}", severity(1.0));
        assert!(severity(0.02) < 1.7, "{}", severity(0.02));
    }

    #[test]
    fn a_rate_that_is_not_known_says_nothing_of_how_busy_a_key_is() {
        let metric = Metric::new(Kind::Rate, 60, None);
        let mut state = metric.start();
        let window = |number: i64, rate: f64| Window {
            number,
            evidence: Evidence::Number(rate),
        };
        for number in 0..50 {
            metric.step(&mut state, &window(number, 10.0));
        }
        assert_eq!(metric.busy(&state, &window(50, f64::NAN)), None);
        let busy = metric.busy(&state, &window(50, 5.0)).expect("it is known");
        assert!((0.45..0.55).contains(&busy.share), "{busy:?}");
    }

    /// Each window of a rate that wanders is where the next one begins: several together say nothing that the last one does not.
    #[test]
    fn of_a_rate_that_wanders_single_windows_are_told() {
        let metric = Metric::new(Kind::Rate, 60, None);
        let mut state = metric.start();
        let mut random = Random::new(3);
        let mut level = 9.0;
        for number in 0..2_000 {
            level += 0.05 * (random.unit() - 0.5);
            let evidence = Evidence::Number(libm::exp(level).round());
            let score = metric.step(&mut state, &Window { number, evidence });
            let Some(scored) = score.scored() else {
                continue;
            };
            assert_eq!(Some(scored.observed), evidence.number(), "{number}");
        }
    }

    #[test]
    fn a_level_that_never_was_is_novel_and_one_that_was_is_not() {
        let metric = Metric::new(Kind::Novelty, 60, None);
        let mut state = metric.start();
        let mut random = Random::new(7);
        let mut of = |number: i64, level: f64| {
            let evidence = Evidence::Number(level + random.unit());
            let score = metric.step(&mut state, &Window { number, evidence });
            score.scored().map(|it| it.severity)
        };
        let jumps = |number: i64| [10.0, 50.0, 20.0][(number / 20 % 3) as usize];
        for number in 0..2_400 {
            of(number, jumps(number));
        }
        let usual = (2_400..2_460).filter_map(|it| of(it, jumps(it)));
        assert!(usual.fold(0.0, f64::max) < 3.0);
        assert!(3.0 < of(2_460, 35.0).expect("it is known"));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_name(&kind.name().to_uppercase()), Some(kind));
        }
        assert_eq!(Kind::of_name("median"), None);
    }
}

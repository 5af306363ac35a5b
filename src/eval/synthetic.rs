//! Labelled series that were made, not found: bases that differ as much as real ones do, and anomalies of known kinds in them.
//!
//! They tell whether a detector is blind to a kind, or loud on a base. They do not tell how good it is on real series, which are not made of these.

use super::budget::Judged;
use super::curves::{average_precision, volume_pr};
use super::named::{Named, Season, Subject};
use super::series::{Point, Series};
use crate::detect::forecast::Scale;
use crate::detect::math::{exp, median};
use crate::model::Random;
use serde::Serialize;
use std::f64::consts::TAU;

/// What a series looks like without anomalies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Traffic of a day, noise in proportion to it.
    Daily,
    /// Days and weekends, with a trend.
    Weekly,
    /// A few levels, between which it jumps at random.
    Levels,
    /// Noise that remembers (autoregressive), around zero.
    Noise,
    /// A tooth that rises and falls back, as memory does.
    Saw,
    /// Near zero, with bursts.
    Bursts,
    /// One value, nearly always.
    Constant,
    /// Rides of a city by the half hour: days, and a rush on working days.
    Rides,
    /// Degrees by the hour, around zero: days in slow weather.
    Weather,
    /// Few clicks by the hour: counts of a day.
    Clicks,
    /// Traffic by the minute, noise in proportion to it with a heavy tail.
    Minutes,
    /// Bytes in use: far from zero, in steps of a page, with a day in them.
    Memory,
    /// Half days, days and weeks by the hour, and a trend above all of them.
    Seasons,
    /// Times: log-normal, without a season.
    Times,
}

/// What is put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Spike,
    Shift,
    /// Values that are usual at another time.
    Dip,
    /// The same value again and again.
    Frozen,
    /// A slow climb, then back.
    Drift,
    /// Faster repetition for a while.
    Season,
    /// More noise.
    Noisy,
    /// One value that is off by more than the noise, and often within the range.
    Point,
    /// The least value there is, for a while.
    Outage,
}

pub const BASES: [(&str, Base); 14] = [
    ("daily", Base::Daily),
    ("weekly", Base::Weekly),
    ("levels", Base::Levels),
    ("noise", Base::Noise),
    ("saw", Base::Saw),
    ("bursts", Base::Bursts),
    ("constant", Base::Constant),
    ("rides", Base::Rides),
    ("weather", Base::Weather),
    ("clicks", Base::Clicks),
    ("minutes", Base::Minutes),
    ("memory", Base::Memory),
    ("seasons", Base::Seasons),
    ("times", Base::Times),
];

pub const KINDS: [(&str, Kind); 9] = [
    ("spike", Kind::Spike),
    ("shift", Kind::Shift),
    ("dip", Kind::Dip),
    ("frozen", Kind::Frozen),
    ("drift", Kind::Drift),
    ("season", Kind::Season),
    ("noisy", Kind::Noisy),
    ("point", Kind::Point),
    ("outage", Kind::Outage),
];

/// Points of a series: four weeks of windows of ten minutes.
const LENGTH: usize = 4_032;
const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Points that budgets count as a day, whatever the distance of points is: so the budget is the same of each series.
const PER_DAY: usize = 144;
/// Anomalies in a series, from its second third on.
const EVENTS: usize = 4;
/// Series of each kind in each base.
const SERIES_EACH: u64 = 2;
const BUDGET_PER_DAY: f64 = 0.2;
/// Alerts within half an hour are one; those that go on count again after six.
const JOIN: usize = 3;
const AGAIN: usize = 36;
/// Buffers of VUS-PR.
const BUFFER: usize = 8;

/// All detectors over all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub seed: u64,
    pub series: usize,
    pub points: usize,
    pub kinds: Vec<&'static str>,
    pub bases: Vec<&'static str>,
    pub results: Vec<Outcome>,
}

/// What one detector finds, at 0.2 false alerts a day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    pub detector: &'static str,
    pub recall_by_kind: Vec<f64>,
    pub recall_by_base: Vec<f64>,
    pub recall: f64,
    pub average_precision: f64,
    pub volume_pr: f64,
}

/// Makes the series, and runs each detector over each.
pub fn run(seed: u64, detectors: &[Named]) -> Report {
    let series = BASES.len() * KINDS.len() * SERIES_EACH as usize;
    let share_of_kind = (BASES.len() * SERIES_EACH as usize) as f64;
    let share_of_base = (KINDS.len() * SERIES_EACH as usize) as f64;
    let mut results: Vec<Outcome> = detectors.iter().map(|it| Outcome::of(*it)).collect();
    for (base_at, (_, base)) in BASES.iter().enumerate() {
        for (kind_at, (_, kind)) in KINDS.iter().enumerate() {
            for copy in 0..SERIES_EACH {
                let number = (base_at * KINDS.len() + kind_at) as u64 * SERIES_EACH + copy;
                let made = make(*base, *kind, seed.wrapping_mul(1_000).wrapping_add(number));
                for (detector, outcome) in detectors.iter().zip(&mut results) {
                    let (recall, area, volume) = judge(*detector, &made);
                    outcome.recall_by_kind[kind_at] += recall / share_of_kind;
                    outcome.recall_by_base[base_at] += recall / share_of_base;
                    outcome.recall += recall / series as f64;
                    outcome.average_precision += area / series as f64;
                    outcome.volume_pr += volume / series as f64;
                }
            }
        }
    }
    Report {
        seed,
        series,
        points: LENGTH,
        kinds: KINDS.iter().map(|it| it.0).collect(),
        bases: BASES.iter().map(|it| it.0).collect(),
        results,
    }
}

impl Outcome {
    fn of(detector: Named) -> Self {
        Outcome {
            detector: detector.name(),
            recall_by_kind: vec![0.0; KINDS.len()],
            recall_by_base: vec![0.0; BASES.len()],
            recall: 0.0,
            average_precision: 0.0,
            volume_pr: 0.0,
        }
    }
}

fn judge(detector: Named, made: &Series) -> (f64, f64, f64) {
    let subject = Subject {
        scale: Scale::Values,
        season: Season::Auto,
    };
    let scores = detector.run(subject, &made.windows());
    let scores = scores.iter().map(|it| it.scored().map(|it| it.severity));
    let scores: Vec<Option<f64>> = scores.collect();
    let labels: Vec<bool> = made.points.iter().map(|it| it.is_anomaly).collect();
    let events = made.events();
    let judged = Judged {
        scores: &scores,
        events: &events,
        windows_per_day: PER_DAY as f64,
        join: JOIN,
        grace: JOIN,
        again: AGAIN,
    };
    (
        judged.at_budget(BUDGET_PER_DAY).recall(),
        average_precision(&scores, &labels).unwrap_or(0.0),
        volume_pr(&scores, &events, BUFFER).unwrap_or(0.0),
    )
}

/// A series of this base with anomalies of this kind.
pub fn make(base: Base, kind: Kind, seed: u64) -> Series {
    let mut random = Random::new(seed);
    let clean = base.values(&mut random);
    let spread = spread(&clean);
    let least = clean.iter().copied().fold(f64::INFINITY, f64::min);
    let steps: Vec<f64> = clean.windows(2).map(|it| it[1] - it[0]).collect();
    let usual_step = spread_of_most(&steps);
    let mut values = clean.clone();
    let mut labels = vec![false; LENGTH];
    let first = LENGTH / 3;
    let share = (LENGTH - first) / EVENTS;
    let length = kind.length();
    for event in 0..EVENTS {
        let start = first + event * share + random.below((share - length) as u32) as usize;
        let size = spread * if random.percent() < 50 { 1.0 } else { -1.0 };
        for at in start..start + length {
            let done = (at - start) as f64 / length as f64;
            values[at] = match kind {
                Kind::Spike => clean[at] + size * (2.0 + 2.0 * random.unit()),
                Kind::Shift => clean[at] + 1.2 * size,
                Kind::Dip => clean[(at + base.per_day() / 2) % LENGTH],
                Kind::Frozen => clean[start],
                Kind::Drift => clean[at] + 1.5 * size * done,
                Kind::Season => clean[(start + (at - start) * 3) % LENGTH],
                Kind::Noisy => clean[at] + spread * noise(&mut random),
                Kind::Point => clean[at] + size.signum() * usual_step * (6.0 + 4.0 * random.unit()),
                Kind::Outage => least,
            };
            labels[at] = true;
        }
    }
    let step_us = MICROS_PER_DAY / base.per_day() as i64;
    let points = values.iter().zip(&labels).zip(0..);
    let points = points.map(|((value, label), at)| Point {
        time_us: at * step_us,
        value: *value,
        is_anomaly: *label,
    });
    Series {
        points: points.collect(),
        step_us,
        has_labels: true,
        ..Series::default()
    }
}

impl Kind {
    /// In points.
    fn length(self) -> usize {
        match self {
            Kind::Point => 1,
            Kind::Spike => 2,
            Kind::Outage => 12,
            Kind::Shift | Kind::Dip | Kind::Noisy => 24,
            Kind::Frozen => 36,
            Kind::Drift | Kind::Season => 96,
        }
    }
}

impl Base {
    /// Points of a day.
    fn per_day(self) -> usize {
        match self {
            Base::Weather | Base::Clicks | Base::Seasons => 24,
            Base::Rides => 48,
            Base::Minutes => 1_440,
            _ => PER_DAY,
        }
    }

    fn values(self, random: &mut Random) -> Vec<f64> {
        let mut level = 0.0;
        let mut rest = 0_u32;
        let value = |at: usize| {
            let day = at as f64 / self.per_day() as f64;
            let wave = 1.0 + 0.6 * libm::sin(day * TAU) + 0.2 * libm::sin(2.0 * day * TAU + 1.0);
            let noise = noise(random);
            let heavy = if random.percent() < 2 { 2.0 } else { 1.0 };
            match self {
                Base::Daily => 1_000.0 * wave * (1.0 + 0.05 * noise),
                Base::Weekly => {
                    let weekend = if (day as usize + 3) % 7 < 2 { 0.5 } else { 1.0 };
                    50.0 * wave * weekend + 0.5 * day + 2.0 * noise
                }
                Base::Levels => {
                    if rest == 0 {
                        rest = random.between(10, 120);
                        level = random.pick(&[2.0, 5.0, 7.0]);
                    }
                    rest -= 1;
                    level + 0.05 * noise
                }
                Base::Noise => {
                    level = 0.7 * level + noise;
                    level
                }
                Base::Saw => (at % 97) as f64 + 0.5 * noise,
                Base::Bursts => {
                    if rest == 0 && random.percent() < 1 {
                        rest = random.between(3, 10);
                    }
                    let is_burst = 0 < rest;
                    rest = rest.saturating_sub(1);
                    let burst = if is_burst {
                        8.0 + 4.0 * random.unit()
                    } else {
                        0.0
                    };
                    0.2 * noise.abs() + burst
                }
                Base::Rides => {
                    let is_weekend = 5 <= day as usize % 7;
                    let rush = if is_weekend {
                        0.0
                    } else {
                        0.5 * libm::sin(2.0 * day * TAU - 1.0)
                    };
                    15_000.0 * (wave + rush).max(0.1) * (1.0 + 0.04 * noise)
                }
                Base::Weather => {
                    level = 0.98 * level + 0.7 * noise;
                    level + 4.0 * libm::sin(day * TAU) + 0.3 * noise
                }
                Base::Clicks => (6.0 * wave + (6.0 * wave).sqrt() * noise).max(0.0).round(),
                Base::Minutes => 300.0 * wave * (1.0 + 0.06 * noise * heavy),
                Base::Memory => {
                    let bytes = 8e9 + 2e8 * wave + 4e6 * noise;
                    (bytes / 4_096.0).round() * 4_096.0
                }
                Base::Seasons => {
                    let of_half = 20.0 * libm::sin(2.0 * day * TAU);
                    let of_week = 60.0 * libm::sin(day / 7.0 * TAU);
                    3.0 * day + of_half + 40.0 * libm::sin(day * TAU) + of_week + 5.0 * noise
                }
                Base::Times => 40.0 * exp(0.4 * noise * heavy),
                Base::Constant => 100.0 + f64::from(u8::from(random.percent() < 1)),
            }
        };
        (0..LENGTH).map(value).collect()
    }
}

/// Nearly normal, of variance one.
fn noise(random: &mut Random) -> f64 {
    const ROOT_OF_TWO: f64 = std::f64::consts::SQRT_2;
    ((0..6).map(|_| random.unit()).sum::<f64>() - 3.0) * ROOT_OF_TWO
}

fn spread(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|it| (it - mean) * (it - mean)).sum();
    (squares / count).sqrt()
}

/// The deviation of what most of the values do, as that of normal ones; that of all if most do not differ.
fn spread_of_most(values: &[f64]) -> f64 {
    const NORMAL_PER_MEDIAN: f64 = 1.4826;
    let mut sizes: Vec<f64> = values.iter().map(|it| it.abs()).collect();
    match median(&mut sizes) {
        Some(size) if 0.0 < size => NORMAL_PER_MEDIAN * size,
        _ => spread(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_series_with_all_its_events() {
        for (name, kind) in KINDS {
            let made = make(Base::Levels, kind, 4);
            assert_eq!(made, make(Base::Levels, kind, 4));
            assert_eq!(made.events().len(), EVENTS, "{name}");
            assert!(made.points.iter().all(|it| it.value.is_finite()));
        }
    }

    #[test]
    fn each_base_has_points_at_its_distance_that_differ() {
        for (name, base) in BASES {
            let made = make(base, Kind::Outage, 5);
            assert_eq!(made.windows_per_day(), base.per_day() as f64, "{name}");
            assert!(0.0 < spread(&base.values(&mut Random::new(5))), "{name}");
            let least = made.points.iter().map(|it| it.value);
            let least = least.fold(f64::INFINITY, f64::min);
            let out = made.points.iter().filter(|it| it.is_anomaly);
            assert!(
                out.clone().count() == EVENTS * Kind::Outage.length(),
                "{name}"
            );
            assert!(out.map(|it| it.value).all(|it| it == least), "{name}");
        }
    }

    #[test]
    fn a_point_is_off_by_more_than_the_noise_and_within_the_range() {
        let made = make(Base::Seasons, Kind::Point, 3);
        let values: Vec<f64> = made.points.iter().map(|it| it.value).collect();
        let of_all = spread(&values);
        for event in made.events() {
            let off = (values[event.start] - values[event.start - 1]).abs();
            assert!((20.0..2.0 * of_all).contains(&off), "{off} of {of_all}");
        }
    }
}

//! D2: what a rate or a value should be at this time of day, and how far off it is.
//!
//! Two forecasts are combined, on y = ln(n + 1) of counts or on values as they are. One is additive Holt-Winters without a trend (Winters 1960),
//! the other an exponentially weighted mean; each is made robust by clipping what it learns (Gelper, Fried and Croux 2010, "Robust forecasting
//! with exponential and Holt-Winters smoothing"). How much the season is trusted is learned as well, by least squares over the residuals of both (Bates
//! and Granger 1969, "The combination of forecasts"): where a day says nothing about the next one, w goes to zero.
//!
//! ```text
//! seasonal = L + S[slot]      plain = M      forecast = w seasonal + (1 - w) plain
//! e = y - forecast      d = mean |e|      z = e / (1.2533 d)      clip(e) = e within ±4 standard deviations
//! L += a clip(y - seasonal)   M += a clip(y - plain)            d += h (|e within ±8| - d)
//! S[slot] += g clip(y - D - S[slot])   D: the level of a whole season, which moves by 1/season
//! w = mean of (y - plain)(seasonal - plain) over mean of (seasonal - plain)², within 0..=1
//! ```
//!
//! - **The gain is learned.** Residuals that follow their own sign say that levels are behind, those that alternate that levels follow noise: a moves by a hundredth of z_t z_t-1, as in Trigg and Leach (1967,
//!   "Exponential smoothing with an adaptive response rate"). Where windows are mostly noise it is low, and several of them together tell more than one (`pooled`).
//! - **Warm-up.** The first season fills the slots; from the second one on a slot moves by 1/seasons until that is g. Before two seasons the plain
//!   forecast stands alone, and scores from 32 windows on.
//! - **Day and week.** From two weeks on each hour of the week has a correction W, shrunk by lambda = weeks / (weeks + 2): S = S_day + lambda W.
//! - **Low counts** (mean below 20): the tail of a negative binomial around the mean takes the place of z, since a z-score lies there.
//! - **Anomalies are not learned.** Beside clipping, while windows are out of the band levels move by a/4, for half a season at most; then the new
//!   level is accepted as it is.
//! - **Missing windows** are zeros for counts, as long as the last record is less than two seasons old; behind a longer gap it starts anew. For values
//!   they are skipped, and the level moves by 1 - (1-a)^gap at the next one.

use super::math::{DEVIATION_PER_ABSOLUTE, asinh, exp, ln, pow, sinh};
use super::tails::{self, Side};
use super::{Detector, Score, Scored, Unscored, Window};
use serde::{Deserialize, Serialize};

/// Windows before the level alone is trusted to forecast.
const LEVEL_WARM_UP: u32 = 32;
/// Below this mean a count is compared with a distribution of counts.
const LOW_COUNT: f64 = 20.0;
/// How much of a residual the deviation learns, in bounds of what the level does.
const DEVIATION_CLIP: f64 = 2.0;
/// How much of a value beside the slow level its slot learns, in its deviations.
const SLOW_CLIP: f64 = 4.0;
/// A weight of seasons is a mean over so many of them.
const WEIGHT_SEASONS: f64 = 2.0;
/// Of values that are further from zero the squares of differences, and sums of them, would not be finite.
const FAR: f64 = 1e100;
const HOURS_OF_WEEK: usize = 168;
/// A season has at most so many slots: five minutes of a day. More would say little, and be most of what is known of a key.
const SLOTS_MAX: u32 = 288;
const SECONDS_PER_DAY: i64 = 86_400;

/// How y is made of what is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// Counts from zero on: y = ln(n + 1).
    Counts,
    /// Values above zero that vary by factors, as times do: y = ln(value).
    Positive,
    /// Any value: y is the value.
    Values,
    /// Any value that varies by factors where it is large: y = asinh(value).
    Signed,
}

/// Settings of a forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    pub scale: Scale,
    /// Windows of one season, most often a day; none if there is no season.
    pub season: Option<u32>,
    /// Whether there is a weekly season as well, of hours. Needs a season of one day.
    pub week: bool,
    /// Seconds that the local time is ahead of UTC: it moves the beginning of hours of the week.
    pub zone_seconds: i32,
    /// The gain of levels, a: the first one, if it is learned.
    pub level_gain: f64,
    /// Whether the gain of levels is learned.
    pub learns_gain: bool,
    /// The least gain of slots, g.
    pub season_gain: f64,
    /// The gain of the deviation, h.
    pub deviation_gain: f64,
    /// What is learned of a residual, and the half width of the band, in standard deviations.
    pub clip: f64,
}

impl Forecast {
    /// Of counts in windows of so many seconds, by time of day.
    pub fn of_counts(window_seconds: u32) -> Self {
        let day = SECONDS_PER_DAY as u32;
        Forecast {
            scale: Scale::Counts,
            season: Some(day.div_ceil(window_seconds.max(1))),
            week: false,
            zone_seconds: 0,
            level_gain: 0.5,
            learns_gain: true,
            season_gain: 0.1,
            deviation_gain: 0.07,
            clip: 4.0,
        }
    }

    /// Of values, with a season of so many windows if any.
    pub fn of_values(season: Option<u32>) -> Self {
        Forecast {
            scale: Scale::Values,
            season: season.filter(|it| 1 < *it),
            ..Forecast::of_counts(300)
        }
    }
}

/// What is known of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The numbers of the first window and of the last one.
    span: Option<(i64, i64)>,
    /// y of the first window: slots of the first season are beside it, so that f32 is enough for them.
    origin: f64,
    /// Windows learned from, up to `LEVEL_WARM_UP`.
    seen: u32,
    /// Windows in a row that were out of the band.
    out_of_band: u32,
    /// L and M.
    seasonal_level: f64,
    plain_level: f64,
    /// a, none before it was learned, and the last residual in standard deviations.
    gain: Option<f64>,
    last_residual: f64,
    /// D, and how far y is usually from it and its slot.
    slow_level: f64,
    slow_spread: f64,
    /// Mean absolute residual, d.
    deviation: f64,
    /// Both means that w is made of.
    shared: f64,
    spread: f64,
    /// Of counts: their mean, and what their variance has beyond that of a Poisson, over mean².
    mean: f64,
    dispersion: f64,
    /// Whether the slots are a profile around zero; else they are the first season as it was.
    is_profile: bool,
    slots: Vec<f32>,
    hours: Vec<f32>,
}

/// What was forecast for one window, in y.
#[derive(Clone, Copy)]
struct Expected {
    seasonal: Option<f64>,
    plain: f64,
    combined: f64,
    /// What of y is of the season.
    of_season: f64,
    /// The least deviation that is usual.
    least: f64,
    /// The usual deviation, as a standard deviation.
    usual: f64,
}

impl Detector for Forecast {
    type Evidence = f64;
    type State = State;

    fn start(&self) -> State {
        State::default()
    }

    fn step(&self, state: &mut State, window: &Window<f64>) -> Score {
        self.step_through(state, window, |_| {})
    }
}

/// A window as it is without its season.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deseasoned {
    pub number: i64,
    pub y: f64,
    /// What was taken off.
    pub season: f64,
    /// The least deviation that is usual.
    pub least: f64,
}

impl Forecast {
    /// As `step`. Each window is told that was learned, those without a record as well if they count as zero.
    pub fn step_through(
        &self,
        state: &mut State,
        window: &Window<f64>,
        mut tell: impl FnMut(Deseasoned),
    ) -> Score {
        let is_off_scale = self.scale == Scale::Positive && window.evidence <= 0.0;
        if !window.evidence.is_finite() || is_off_scale {
            return Score::Unscored(Unscored::NoEvidence);
        }
        if self.scale == Scale::Counts {
            self.pass_gap(state, window.number, &mut tell);
        }
        self.update(state, window.number, window.evidence, &mut tell)
    }

    /// How far a value is beside its season and the level of a whole one, in y; none before the first season is over.
    pub fn unusual(&self, state: &State, number: i64, value: f64) -> Option<f64> {
        let usual = || state.slow_level + self.profile(state, number);
        state.is_profile.then(|| self.scaled(value) - usual())
    }

    /// The level of the last windows as a value; none before the first one.
    pub fn level(&self, state: &State) -> Option<f64> {
        state.span.map(|_| self.unscaled(state.plain_level))
    }

    /// The gain of levels as it is now.
    pub fn gain(&self, state: &State) -> f64 {
        state.gain.unwrap_or(self.level_gain)
    }

    fn pass_gap(&self, state: &mut State, number: i64, tell: &mut impl FnMut(Deseasoned)) {
        let Some((_, last)) = state.span else { return };
        let missing = number.saturating_sub(last).saturating_sub(1);
        let longest = 2 * i64::from(self.season.unwrap_or(LEVEL_WARM_UP));
        if longest <= missing {
            *state = State::default();
            return;
        }
        for number in last + 1..number {
            self.update(state, number, 0.0, tell);
        }
    }

    /// A value as y.
    fn scaled(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Counts => ln(value.max(0.0) + 1.0),
            Scale::Positive => ln(value),
            Scale::Values => value.clamp(-FAR, FAR),
            Scale::Signed => asinh(value),
        }
    }

    /// The value that has this y.
    pub fn unscaled(&self, y: f64) -> f64 {
        match self.scale {
            Scale::Counts => (exp(y) - 1.0).max(0.0),
            Scale::Positive => exp(y),
            Scale::Values => y,
            Scale::Signed => sinh(y),
        }
    }

    /// The values that have this y less half of a band, this y, and this y and half of a band more.
    fn band(&self, y: f64, half: f64) -> [f64; 3] {
        let by_factors = || {
            let (middle, factor) = (exp(y), exp(half));
            [middle / factor, middle, middle * factor]
        };
        match self.scale {
            Scale::Counts => by_factors().map(|it| (it - 1.0).max(0.0)),
            Scale::Positive => by_factors(),
            Scale::Values | Scale::Signed => [y - half, y, y + half].map(|it| self.unscaled(it)),
        }
    }

    fn update(
        &self,
        state: &mut State,
        number: i64,
        observed: f64,
        tell: &mut impl FnMut(Deseasoned),
    ) -> Score {
        let y = self.scaled(observed);
        let Some((first, last)) = state.span else {
            state.plain_level = y;
            state.origin = y;
            state.mean = observed;
            state.span = Some((number, number));
            self.keep_first_season(state, number, y);
            tell(Deseasoned {
                number,
                y,
                season: 0.0,
                least: self.least_usual(y),
            });
            return warming_up(0);
        };
        if let Some(season) = self.season
            && !state.is_profile
            && i64::from(season) <= number - first
        {
            self.make_profile(state, number);
        }
        let expected = self.expect(state, number);
        let is_known = LEVEL_WARM_UP <= state.seen;
        let score = match is_known {
            true => self.score(state, observed, y, &expected),
            false => warming_up(state.seen),
        };
        self.learn(state, number, number - last, y, &expected);
        if self.scale == Scale::Counts {
            learn_mean(state, observed, is_known);
        }
        state.seen = (state.seen + 1).min(LEVEL_WARM_UP);
        state.span = Some((first, number));
        tell(Deseasoned {
            number,
            y: y - expected.of_season,
            season: expected.of_season,
            least: expected.least,
        });
        score
    }

    fn expect(&self, state: &State, number: i64) -> Expected {
        let plain = state.plain_level;
        let profile = state.is_profile.then(|| self.profile(state, number));
        let seasonal = profile.map(|it| state.seasonal_level + it);
        let two_seasons = 2 * i64::from(self.season.unwrap_or(u32::MAX));
        let is_trusted = state.span.is_some_and(|it| two_seasons <= number - it.0);
        let weight = match 0.0 < state.spread && is_trusted {
            true => (state.shared / state.spread).clamp(0.0, 1.0),
            false => 0.0,
        };
        let combined = plain + weight * (seasonal.unwrap_or(plain) - plain);
        let least = self.least_usual(combined);
        Expected {
            seasonal,
            plain,
            combined,
            of_season: weight * profile.unwrap_or(0.0),
            least,
            usual: (DEVIATION_PER_ABSOLUTE * state.deviation).max(least),
        }
    }

    /// The least that is usual, whatever was seen: of what never moved, the first small move is no news.
    fn least_usual(&self, y: f64) -> f64 {
        match self.scale {
            // Off by one is two deviations.
            Scale::Counts => 0.5 * exp(-y),
            // Half a percent is one.
            Scale::Positive => 0.005,
            // Nothing is known of values: any move is out of the band, and how far says their size.
            Scale::Values | Scale::Signed => 1e-9 * (1.0 + y.abs()),
        }
    }

    fn score(&self, state: &State, observed: f64, y: f64, expected: &Expected) -> Score {
        let [low, middle, high] = self.band(expected.combined, self.clip * expected.usual);
        if self.scale == Scale::Counts && state.mean < LOW_COUNT && middle < LOW_COUNT {
            return Score::Scored(self.of_low_count(state, observed));
        }
        let z = (y - expected.combined) / expected.usual;
        Score::Scored(Scored {
            observed,
            expected: middle,
            low,
            high,
            residual: z,
            severity: tails::normal(z),
        })
    }

    fn of_low_count(&self, state: &State, observed: f64) -> Scored {
        let mean = state.mean;
        let side = match observed < mean {
            true => Side::Lower,
            false => Side::Upper,
        };
        let count = observed.max(0.0) as u64;
        let severity = tails::negative_binomial(count, mean, state.dispersion, side);
        let z = tails::normal_quantile(severity);
        let half = self.clip * (mean + state.dispersion * mean * mean).sqrt();
        Scored {
            observed,
            expected: mean,
            low: (mean - half).max(0.0),
            high: mean + half,
            residual: if side == Side::Lower { -z } else { z },
            severity,
        }
    }

    fn learn(&self, state: &mut State, number: i64, gap: i64, y: f64, expected: &Expected) {
        let is_known = LEVEL_WARM_UP <= state.seen;
        let bound = match is_known {
            true => self.clip * expected.usual,
            false => f64::INFINITY,
        };
        let clip = |e: f64| e.clamp(-bound, bound);
        let residual = y - expected.combined;
        let is_out = bound < residual.abs();
        state.out_of_band = if is_out { state.out_of_band + 1 } else { 0 };
        if self.learns_gain && is_known {
            learn_gain(state, self.level_gain, residual / expected.usual);
        }
        // A slow level begins as a mean, or it would be the first value for long.
        let age = state.span.map_or(0, |(first, _)| number - first);
        let mut gain = self.gain(state).max(1.0 / (age as f64 + 1.0));
        if 1 < gap {
            gain = 1.0 - pow(1.0 - gain, gap as f64);
        }
        if is_out {
            gain /= 4.0;
        }
        let patience = self.season.unwrap_or(2 * LEVEL_WARM_UP) / 2;
        let gives_in = patience < state.out_of_band;
        if gives_in {
            state.out_of_band = 0;
            state.plain_level = y;
        } else {
            state.plain_level += gain * clip(y - expected.plain);
        }
        let share = self.deviation_gain.max(1.0 / (f64::from(state.seen) + 1.0));
        let wide = DEVIATION_CLIP * bound;
        state.deviation += share * (residual.abs().min(wide) - state.deviation);
        let (Some(season), Some(seasonal)) = (self.season, expected.seasonal) else {
            self.keep_first_season(state, number, y);
            return;
        };
        let beside = clip(y - seasonal);
        if gives_in {
            state.seasonal_level += y - seasonal;
        } else {
            state.seasonal_level += gain * beside;
        }
        let seasons = self.seasons(state, number) as f64;
        let slot_gain =
            self.season_gain.max(1.0 / (seasons + 1.0)) / windows_per_slot(season) as f64;
        let slot = &mut state.slots[slot_of(number, season)];
        let own = match slot.is_nan() {
            // A slot that the first season did not have.
            true => 0.0,
            false => f64::from(*slot),
        };
        let wide = SLOW_CLIP * state.slow_spread.max(expected.usual);
        let off = (y - state.slow_level - own).clamp(-wide, wide);
        *slot = (own + slot_gain * off) as f32;
        let share = 1.0 / f64::from(season);
        state.slow_level += share * off;
        state.slow_spread += share * (DEVIATION_PER_ABSOLUTE * off.abs() - state.slow_spread);
        let apart = clip(seasonal - expected.plain);
        let share = 1.0 / (WEIGHT_SEASONS * f64::from(season));
        state.shared += share * (clip(y - expected.plain) * apart - state.shared);
        state.spread += share * (apart * apart - state.spread);
        if self.week {
            let weeks = (seasons / 7.0).floor();
            let per_hour = (f64::from(season) / 24.0).max(1.0);
            let gain = self.season_gain.max(1.0 / (weeks + 1.0)) / per_hour;
            let hour = &mut state.hours[self.hour_of_week(number)];
            *hour = (f64::from(*hour) + gain * off) as f32;
        }
    }

    /// The first season is kept as it is.
    fn keep_first_season(&self, state: &mut State, number: i64, y: f64) {
        let Some(season) = self.season else { return };
        let of_slot = windows_per_slot(season);
        if state.slots.is_empty() {
            let last = slot_of(i64::from(season) - 1, season);
            state.slots = vec![f32::NAN; last + 1];
        }
        let beside = y - state.origin;
        let slot = &mut state.slots[slot_of(number, season)];
        // The mean of the windows of a slot, as they come.
        let place = number.rem_euclid(i64::from(season)) % of_slot + 1;
        *slot = match slot.is_nan() {
            true => beside as f32,
            false => (f64::from(*slot) + (beside - f64::from(*slot)) / place as f64) as f32,
        };
    }

    /// At its end it becomes a profile around its mean.
    fn make_profile(&self, state: &mut State, number: i64) {
        let Some(season) = self.season else { return };
        let known = || state.slots.iter().filter(|it| !it.is_nan());
        let sum: f64 = known().map(|it| f64::from(*it)).sum();
        let mean = sum / known().count().max(1) as f64;
        for slot in &mut state.slots {
            *slot = (f64::from(*slot) - mean) as f32;
        }
        let beside = state.slots.iter().filter(|it| !it.is_nan());
        let sum: f64 = beside.clone().map(|it| f64::from(it.abs())).sum();
        state.slow_level = state.origin + mean;
        state.slow_spread = sum / beside.count().max(1) as f64;
        state.is_profile = true;
        if self.week {
            state.hours = vec![0.0; HOURS_OF_WEEK];
        }
        // The seasonal level continues from the plain one.
        let before = state.slots[slot_of(number - 1, season)];
        let before = if before.is_nan() {
            0.0
        } else {
            f64::from(before)
        };
        state.seasonal_level = state.plain_level - before;
    }

    /// S of a window: the slot, smoothed by its neighbours, and the shrunken correction of the hour of the week.
    fn profile(&self, state: &State, number: i64) -> f64 {
        let Some(season) = self.season else {
            return 0.0;
        };
        let (at, last) = (slot_of(number, season), state.slots.len() - 1);
        let before = if at == 0 { last } else { at - 1 };
        let after = if at == last { 0 } else { at + 1 };
        let near = [before, at, after].map(|it| state.slots[it]);
        let known = || near.iter().filter(|it| !it.is_nan());
        let sum: f64 = known().map(|it| f64::from(*it)).sum();
        let day = sum / known().count().max(1) as f64;
        if !self.week {
            return day;
        }
        let weeks = (self.seasons(state, number) / 7) as f64;
        if weeks < 2.0 {
            return day;
        }
        let hour = f64::from(state.hours[self.hour_of_week(number)]);
        day + weeks / (weeks + 2.0) * hour
    }

    /// Whole seasons since the first window.
    fn seasons(&self, state: &State, number: i64) -> i64 {
        let first = state.span.map_or(number, |it| it.0);
        (number - first) / i64::from(self.season.unwrap_or(u32::MAX))
    }

    /// Hours are counted from Monday; 1 January 1970 was a Thursday.
    fn hour_of_week(&self, number: i64) -> usize {
        const FIRST_THURSDAY: i64 = 72;
        let season = i64::from(self.season.unwrap_or(1));
        let seconds = number * (SECONDS_PER_DAY / season) + i64::from(self.zone_seconds);
        let hours = seconds.div_euclid(3_600) + FIRST_THURSDAY;
        hours.rem_euclid(HOURS_OF_WEEK as i64) as usize
    }
}

/// Windows that share a slot.
fn windows_per_slot(season: u32) -> i64 {
    match season <= SLOTS_MAX {
        true => 1,
        false => i64::from(season.div_ceil(SLOTS_MAX)),
    }
}

fn slot_of(number: i64, season: u32) -> usize {
    let within = number.rem_euclid(i64::from(season));
    match windows_per_slot(season) {
        1 => within as usize,
        windows => (within / windows) as usize,
    }
}

/// Moves the gain of levels: up where a residual has the sign of the one before, down where it has not.
fn learn_gain(state: &mut State, first: f64, residual: f64) {
    const GAIN: std::ops::RangeInclusive<f64> = 0.05..=0.8;
    const MOVES: f64 = 0.01;
    const RESIDUAL_MAX: f64 = 2.0;
    let residual = residual.clamp(-RESIDUAL_MAX, RESIDUAL_MAX);
    let moved = state.gain.unwrap_or(first) + MOVES * residual * state.last_residual;
    state.gain = Some(moved.clamp(*GAIN.start(), *GAIN.end()));
    state.last_residual = residual;
}

/// The mean of low counts, and their dispersion by moments: E[(n - m)² - m] / m². A count that is far off moves neither much.
fn learn_mean(state: &mut State, observed: f64, is_known: bool) {
    const MEAN_GAIN: f64 = 0.1;
    const DISPERSION_GAIN: f64 = 0.02;
    const DISPERSION_MAX: f64 = 4.0;
    let gain = match is_known {
        true => MEAN_GAIN,
        false => MEAN_GAIN.max(1.0 / (f64::from(state.seen) + 2.0)),
    };
    let off = observed - state.mean;
    if 0.0 < state.mean {
        let excess = (off * off - state.mean) / (state.mean * state.mean);
        let excess = excess.clamp(-1.0, DISPERSION_MAX);
        let moved = state.dispersion + DISPERSION_GAIN * (excess - state.dispersion);
        state.dispersion = moved.max(0.0);
    }
    let variance = state.mean + state.dispersion * state.mean * state.mean;
    let bound = match is_known {
        true => 4.0 * variance.sqrt() + 1.0,
        false => f64::INFINITY,
    };
    state.mean += gain * off.clamp(-bound, bound);
}

fn warming_up(seen: u32) -> Score {
    Score::Unscored(Unscored::WarmingUp {
        seen: seen.into(),
        needed: LEVEL_WARM_UP.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;

    fn learned(season: Option<u32>, windows: i64, mut of: impl FnMut(i64) -> f64) -> State {
        let forecast = Forecast::of_values(season);
        let mut state = forecast.start();
        for number in 0..windows {
            let evidence = of(number);
            forecast.step(&mut state, &Window { number, evidence });
        }
        state
    }

    #[test]
    fn levels_follow_what_wanders_and_hardly_what_is_noise() {
        let mut random = Random::new(1);
        let noise = learned(None, 3_000, |_| random.unit());
        let mut level = 0.0;
        let wandering = learned(None, 3_000, |_| {
            level += random.unit() - 0.5;
            level
        });
        let gains = [&noise, &wandering].map(|it| it.gain.expect("it was learned"));
        assert!(gains[0] < 0.15 && 0.7 < gains[1], "{gains:?}");
    }

    /// A day that goes up and down slowly, by steps that are far below the noise of a window.
    #[test]
    fn the_profile_is_that_of_the_whole_season() {
        const SEASON: u32 = 288;
        let wave = |it: i64| libm::sin(it as f64 / f64::from(SEASON) * std::f64::consts::TAU);
        let mut random = Random::new(1);
        let of = |it: i64| 50.0 + wave(it) + 0.5 * (random.unit() - 0.5);
        let state = learned(Some(SEASON), 6 * i64::from(SEASON), of);
        let off = (0..i64::from(SEASON)).map(|it| f64::from(state.slots[it as usize]) - wave(it));
        let most = off.map(f64::abs).fold(0.0, f64::max);
        assert!(most < 0.3, "{most}");
        assert!(
            (state.slow_level - 50.0).abs() < 0.1,
            "{}",
            state.slow_level
        );
    }

    #[test]
    fn values_of_any_size_do_no_harm() {
        let values = [0.0, 1e300, -1e300, f64::MAX, f64::MIN, 3.0];
        for season in [None, Some(12)] {
            let of = |at: i64| values[at as usize * 7 % values.len()];
            let state = learned(season, 500, of);
            assert!(state.deviation.is_finite() && state.plain_level.is_finite());
        }
    }

    #[test]
    fn a_band_is_what_its_ends_are() {
        for scale in [Scale::Counts, Scale::Positive, Scale::Values, Scale::Signed] {
            let forecast = Forecast {
                scale,
                ..Forecast::of_values(None)
            };
            for (y, half) in [(3.0, 0.5), (0.2, 0.1), (0.1, 2.0)] {
                let band = forecast.band(y, half);
                let ends = [y - half, y, y + half].map(|it| forecast.unscaled(it));
                for (found, expected) in band.into_iter().zip(ends) {
                    assert!(
                        (found - expected).abs() < 1e-9,
                        "{scale:?} {band:?} {ends:?}"
                    );
                }
            }
        }
    }
}

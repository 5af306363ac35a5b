//! The season of a series nobody has described: the lag at which it is most like itself.
//!
//! The autocorrelation of the values, without their linear trend and with outliers drawn in, has a peak at the season and at its multiples. A lag counts if it rises well
//! above what lies before it, since the autocorrelation of anything smooth is high at short lags; of peaks that are nearly as high the shortest is taken (Vlachos, Yu and
//! Castelli 2005, "On periodicity detection and structural periodic similarity", use the same peaks to tell multiples apart).

use super::math::median;

/// The least correlation at a season.
const CORRELATION_MIN: f64 = 0.3;
/// How far it rises above the least one at a shorter lag.
const RISE_MIN: f64 = 0.25;
/// A peak this close to the highest one comes before it if its lag is shorter.
const NEARLY: f64 = 0.9;
/// A season of fewer windows is no season.
const SEASON_MIN: usize = 4;
/// Outliers are drawn in to so many median deviations.
const DEVIATIONS_MAX: f64 = 5.0;

/// The season in windows, seen at least twice in these values; missing ones are not a number. None if nothing repeats.
pub fn find(values: &[f64]) -> Option<u32> {
    // Drawn in twice: beside a trend an outlier is not told from the rest.
    let values = drawn_in(&without_trend(&drawn_in(values)?))?;
    let correlations = autocorrelation(&values, values.len() / 2);
    let mut lowest = f64::INFINITY;
    let mut peaks: Vec<(usize, f64)> = Vec::new();
    for lag in 1..correlations.len().saturating_sub(1) {
        let here = correlations[lag];
        let is_peak = correlations[lag - 1] < here && correlations[lag + 1] <= here;
        if SEASON_MIN <= lag && is_peak && CORRELATION_MIN <= here && RISE_MIN <= here - lowest {
            peaks.push((lag, here));
        }
        lowest = lowest.min(here);
    }
    let highest = peaks.iter().map(|it| it.1).max_by(f64::total_cmp)?;
    let season = peaks.iter().find(|it| NEARLY * highest <= it.1)?;
    u32::try_from(season.0).ok()
}

/// Missing values become the one before; values far off become less so. Nothing if nothing varies.
fn drawn_in(values: &[f64]) -> Option<Vec<f64>> {
    let mut known: Vec<f64> = values.iter().copied().filter(|it| it.is_finite()).collect();
    let middle = median(&mut known)?;
    let mut off: Vec<f64> = known.iter().map(|it| (it - middle).abs()).collect();
    let mut deviation = median(&mut off)?;
    if deviation == 0.0 {
        // More than half is one value: the mean deviation instead.
        deviation = off.iter().sum::<f64>() / off.len() as f64;
    }
    if deviation == 0.0 {
        return None;
    }
    let mut last = 0.0;
    let values = values.iter().map(|it| {
        if it.is_finite() {
            last = ((it - middle) / deviation).clamp(-DEVIATIONS_MAX, DEVIATIONS_MAX);
        }
        last
    });
    Some(values.collect())
}

/// The residuals of the least-squares line.
fn without_trend(values: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / count;
    let (mut both, mut squares) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let x = at as f64 - middle;
        both += x * (value - mean);
        squares += x * x;
    }
    let slope = if squares == 0.0 { 0.0 } else { both / squares };
    let line = |at: usize| mean + slope * (at as f64 - middle);
    let values = values.iter().enumerate();
    values.map(|(at, value)| value - line(at)).collect()
}

/// At lags from zero on. Each is divided by the number of its pairs, so that long lags do not fade.
fn autocorrelation(values: &[f64], lags: usize) -> Vec<f64> {
    let whole: f64 = values.iter().map(|it| it * it).sum::<f64>() / values.len() as f64;
    if whole == 0.0 {
        return Vec::new();
    }
    let of_lag = |lag: usize| {
        let pairs = values.iter().zip(&values[lag..]);
        let sum: f64 = pairs.map(|(a, b)| a * b).sum();
        sum / (values.len() - lag) as f64 / whole
    };
    (0..=lags).map(of_lag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;

    fn noise(random: &mut Random) -> f64 {
        (0..4).map(|_| random.unit()).sum::<f64>() - 2.0
    }

    fn wave(period: usize, length: usize, noisy: f64) -> Vec<f64> {
        let mut random = Random::new(period as u64);
        let turn = std::f64::consts::TAU / period as f64;
        let value =
            |at: usize| libm::sin(at as f64 * turn) + 0.4 * libm::cos(at as f64 * turn * 3.0);
        (0..length)
            .map(|it| 100.0 + 5.0 * value(it) + noisy * noise(&mut random))
            .collect()
    }

    #[test]
    fn a_wave_has_its_period_also_under_noise_trend_spikes_and_gaps() {
        for period in [7, 24, 96, 168, 288] {
            let mut values = wave(period, 5 * period + 3, 2.0);
            for (at, value) in values.iter_mut().enumerate() {
                *value += at as f64 * 10.0 / period as f64;
            }
            values[period + 1] = 1e6;
            values[3] = f64::NAN;
            let found = find(&values).unwrap_or_else(|| panic!("no season of {period}")) as usize;
            assert!(
                found.abs_diff(period) <= 1 + period / 40,
                "{found} is not {period}"
            );
        }
    }

    #[test]
    fn noise_walks_and_constants_have_none() {
        let mut random = Random::new(7);
        let white: Vec<f64> = (0..1000).map(|_| noise(&mut random)).collect();
        assert_eq!(find(&white), None);
        assert_eq!(find(&[3.0; 500]), None);
        assert_eq!(find(&[]), None);
        assert_eq!(find(&[f64::NAN; 10]), None);
        let steps: Vec<f64> = (0..600).map(|it| f64::from(u8::from(it > 300))).collect();
        assert_eq!(find(&steps), None);
    }
}

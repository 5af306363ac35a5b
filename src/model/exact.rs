//! Numbers that add up to the same result in any order: exact sums, sums of squares, percentile bins.
//!
//! Floats are put on a grid of 2⁻⁴⁰ (about 10⁻¹²) once, when a record enters, and are integers from
//! then on; so a retraction takes away exactly what the insertion brought, and neither the order of
//! records nor the number of workers can be seen in a result. Percentiles come from bins of equal
//! relative width, cut from the float's own bits: 128 bins per power of two, hence a relative
//! error of at most 1/256.

use arrow::datatypes::i256;
use serde::{Deserialize, Serialize};

/// Fraction bits of the grid that floats are put on.
const FRACTION_BITS: u32 = 40;
/// Values at or above this size leave the grid and are counted as infinite. 2⁸⁰ ≈ 1.2·10²⁴.
const LARGEST: f64 = 1_208_925_819_614_629_174_706_176.0;
/// Mantissa bits that tell bins apart: 2⁷ bins per power of two.
const BIN_BITS: u32 = 7;

/// An exact, retractable sum with the number of values in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExactSum {
    /// How many values, retractions counted negative.
    pub values: i64,
    /// Their sum: in whole units for integers, in 2⁻⁴⁰ for floats.
    grid: i128,
    /// How many were NaN, +∞, −∞ (or off the grid).
    nan: i64,
    plus_infinite: i64,
    minus_infinite: i64,
}

impl ExactSum {
    pub fn add_int(&mut self, value: i64, diff: i64) {
        self.values += diff;
        self.grid += i128::from(value) * i128::from(diff);
    }

    pub fn add_float(&mut self, value: f64, diff: i64) {
        self.values += diff;
        if value.abs() < LARGEST {
            self.grid += on_grid(value) * i128::from(diff);
        } else if value.is_nan() {
            self.nan += diff;
        } else if value > 0.0 {
            self.plus_infinite += diff;
        } else {
            self.minus_infinite += diff;
        }
    }

    pub fn merge(&mut self, other: &ExactSum) {
        self.values += other.values;
        self.grid += other.grid;
        self.nan += other.nan;
        self.plus_infinite += other.plus_infinite;
        self.minus_infinite += other.minus_infinite;
    }

    pub fn negate(&mut self) {
        self.values = -self.values;
        self.grid = -self.grid;
        self.nan = -self.nan;
        self.plus_infinite = -self.plus_infinite;
        self.minus_infinite = -self.minus_infinite;
    }

    pub fn is_zero(&self) -> bool {
        *self == ExactSum::default()
    }

    /// The sum of integers; nothing without values. Sums beyond 64 bits stop at the end of the range.
    pub fn int_sum(&self) -> Option<i64> {
        (self.values != 0).then(|| {
            i64::try_from(self.grid).unwrap_or(if self.grid < 0 { i64::MIN } else { i64::MAX })
        })
    }

    /// The sum of floats; nothing without values.
    pub fn float_sum(&self) -> Option<f64> {
        (self.values != 0).then(|| self.special().unwrap_or_else(|| off_grid(self.grid)))
    }

    /// The mean of integers.
    pub fn int_mean(&self) -> Option<f64> {
        (self.values != 0).then(|| self.grid as f64 / self.values as f64)
    }

    /// The mean of floats.
    pub fn float_mean(&self) -> Option<f64> {
        self.float_sum().map(|sum| sum / self.values as f64)
    }

    fn special(&self) -> Option<f64> {
        match (self.nan, self.plus_infinite, self.minus_infinite) {
            (0, 0, 0) => None,
            (0, _, 0) => Some(f64::INFINITY),
            (0, 0, _) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }
}

/// Rounds half to even. Most values are small enough for 64 bits, which is several times as fast.
fn on_grid(value: f64) -> i128 {
    /// From here on floats are whole. A smaller one plus this has no room for a fraction, so the addition rounds.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    let scaled = value * f64::from(2u32.pow(20)) * f64::from(2u32.pow(20));
    if WHOLE <= scaled.abs() {
        return scaled as i128;
    }
    let size = ((scaled.abs() + WHOLE) - WHOLE) as i64;
    i128::from(if scaled < 0.0 { -size } else { size })
}

fn off_grid(grid: i128) -> f64 {
    grid as f64 / (f64::from(2u32.pow(20)) * f64::from(2u32.pow(20)))
}

/// Exact sums of values and of their squares, for variance and standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moments {
    sum: ExactSum,
    /// Sum of squares of the grid values as a 256-bit integer: high and low half.
    squares: (i128, u128),
}

impl Moments {
    pub fn add_float(&mut self, value: f64, diff: i64) {
        self.sum.add_float(value, diff);
        if LARGEST <= value.abs() || value.is_nan() {
            return;
        }
        let grid = on_grid(value);
        match i64::try_from(grid) {
            Ok(small) if diff == 1 => {
                let square = u128::from(small.unsigned_abs()).pow(2);
                let (low, carry) = self.squares.1.overflowing_add(square);
                self.squares = (self.squares.0 + i128::from(carry), low);
            }
            _ => {
                let grid = i256::from_i128(grid);
                self.add_squares(
                    grid.wrapping_mul(grid)
                        .wrapping_mul(i256::from_i128(diff.into())),
                );
            }
        }
    }

    pub fn merge(&mut self, other: &Moments) {
        self.sum.merge(&other.sum);
        self.add_squares(i256::from_parts(other.squares.1, other.squares.0));
    }

    pub fn negate(&mut self) {
        self.sum.negate();
        let negative = i256::from_parts(self.squares.1, self.squares.0).wrapping_neg();
        let (low, high) = negative.to_parts();
        self.squares = (high, low);
    }

    pub fn is_zero(&self) -> bool {
        *self == Moments::default()
    }

    /// The variance; nothing without values, and nothing for a sample of one.
    pub fn variance(&self, sample: bool) -> Option<f64> {
        let values = self.sum.values;
        let divisor = if sample { values - 1 } else { values };
        if values < 1 || divisor < 1 {
            return None;
        }
        if let Some(special) = self.sum.special() {
            return Some(if special.is_finite() {
                special
            } else {
                f64::NAN
            });
        }
        // n·Σx² − (Σx)², exact; only the last division rounds.
        let n = i256::from_i128(values.into());
        let squares = i256::from_parts(self.squares.1, self.squares.0);
        let sum = i256::from_i128(self.sum.grid);
        let numerator = n.wrapping_mul(squares).wrapping_sub(sum.wrapping_mul(sum));
        let scale = 2f64.powi(2 * FRACTION_BITS as i32);
        Some(wide_to_f64(numerator) / (values as f64) / (divisor as f64) / scale)
    }

    fn add_squares(&mut self, more: i256) {
        let total = i256::from_parts(self.squares.1, self.squares.0).wrapping_add(more);
        let (low, high) = total.to_parts();
        self.squares = (high, low);
    }
}

fn wide_to_f64(value: i256) -> f64 {
    let (low, high) = value.to_parts();
    high as f64 * 2f64.powi(128) + low as f64
}

/// The number of the bin a value falls in; bins order like values.
pub fn bin_of(value: f64) -> i32 {
    let bits = (value.abs().to_bits() >> (52 - BIN_BITS)) as i32;
    if value < 0.0 { -bits - 1 } else { bits }
}

/// The middle of a bin: at most 1/256 of its size away from every value in it.
pub fn middle_of_bin(bin: i32) -> f64 {
    let (negative, bits) = if bin < 0 {
        (true, -(bin + 1))
    } else {
        (false, bin)
    };
    if bits == 0 {
        return 0.0;
    }
    let low = f64::from_bits((bits as u64) << (52 - BIN_BITS));
    let high = f64::from_bits((bits as u64 + 1) << (52 - BIN_BITS));
    let middle = if high.is_finite() {
        (low + high) / 2.0
    } else {
        low
    };
    if negative { -middle } else { middle }
}

/// Counts per bin, sorted by bin, without zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bins(Vec<(i32, i64)>);

impl Bins {
    pub fn add(&mut self, bin: i32, diff: i64) {
        match self.0.binary_search_by_key(&bin, |entry| entry.0) {
            Ok(at) => {
                self.0[at].1 += diff;
                if self.0[at].1 == 0 {
                    self.0.remove(at);
                }
            }
            Err(at) => self.0.insert(at, (bin, diff)),
        }
    }

    pub fn merge(&mut self, other: &Bins) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        self.0 = merge_counts(&self.0, &other.0);
    }

    pub fn negate(&mut self) {
        for entry in &mut self.0 {
            entry.1 = -entry.1;
        }
    }

    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The value at a rank between 0 and 1, nearest rank; nothing without values.
    pub fn percentile(&self, rank: f64) -> Option<f64> {
        let total: i64 = self.0.iter().map(|entry| entry.1).sum();
        if total <= 0 {
            return None;
        }
        let wanted = ((rank * total as f64).ceil() as i64).clamp(1, total);
        let mut seen = 0;
        self.0
            .iter()
            .find(|entry| {
                seen += entry.1;
                wanted <= seen
            })
            .map(|entry| middle_of_bin(entry.0))
    }

    /// The counts, sorted by bin.
    pub fn entries(&self) -> &[(i32, i64)] {
        &self.0
    }
}

impl FromIterator<(i32, i64)> for Bins {
    fn from_iter<I: IntoIterator<Item = (i32, i64)>>(entries: I) -> Self {
        let mut sorted: Vec<(i32, i64)> = entries.into_iter().collect();
        sum_counts(&mut sorted);
        Bins(sorted)
    }
}

/// Sorts counts and adds up those of one key; what sums to zero disappears.
pub fn sum_counts<K: Ord>(counts: &mut Vec<(K, i64)>) {
    counts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    counts.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    counts.retain(|it| it.1 != 0);
}

/// Adds two sorted lists of counts; what sums to zero disappears.
pub fn merge_counts<K: Clone + Ord>(left: &[(K, i64)], right: &[(K, i64)]) -> Vec<(K, i64)> {
    use std::cmp::Ordering;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
        match a.0.cmp(&b.0) {
            Ordering::Less => {
                merged.push(a.clone());
                i += 1;
            }
            Ordering::Greater => {
                merged.push(b.clone());
                j += 1;
            }
            Ordering::Equal => {
                if a.1 + b.1 != 0 {
                    merged.push((a.0.clone(), a.1 + b.1));
                }
                i += 1;
                j += 1;
            }
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_does_not_depend_on_order_and_retracts_to_nothing() {
        let values = [0.1, 1e17, -3.25, 7e-9, 1e17, 0.2];
        let (mut forward, mut backward) = (ExactSum::default(), ExactSum::default());
        values.iter().for_each(|it| forward.add_float(*it, 1));
        values
            .iter()
            .rev()
            .for_each(|it| backward.add_float(*it, 1));
        assert_eq!(forward, backward);
        values.iter().for_each(|it| forward.add_float(*it, -1));
        assert!(forward.is_zero());
    }

    #[test]
    fn what_is_not_a_number_is_said_and_can_be_taken_back() {
        let mut sum = ExactSum::default();
        sum.add_float(1.5, 1);
        sum.add_float(f64::INFINITY, 1);
        assert_eq!(sum.float_sum(), Some(f64::INFINITY));
        sum.add_float(f64::INFINITY, -1);
        assert_eq!(sum.float_sum(), Some(1.5));
    }

    #[test]
    fn floats_are_put_on_the_grid_half_to_even() {
        let unit = 2f64.powi(-(FRACTION_BITS as i32));
        for units in [
            0.0,
            0.5,
            1.5,
            2.5,
            0.49,
            1e6 + 0.5,
            2f64.powi(52) - 0.5,
            2f64.powi(70),
        ] {
            let wanted = units.round_ties_even() as i128;
            assert_eq!(on_grid(units * unit), wanted, "{units}");
            assert_eq!(on_grid(-units * unit), -wanted, "-{units}");
        }
    }

    #[test]
    fn squares_taken_back_leave_nothing() {
        let values = [0.0, 1.25, -7e3, 3e6, 9e6, -1e15, 1e20];
        let mut moments = Moments::default();
        for _ in 0..100 {
            values.iter().for_each(|it| moments.add_float(*it, 1));
        }
        values.iter().for_each(|it| moments.add_float(*it, -100));
        assert!(moments.is_zero());
    }

    #[test]
    fn variance_is_that_of_the_textbook() {
        let mut moments = Moments::default();
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            moments.add_float(value, 1);
        }
        assert_eq!(moments.variance(false), Some(4.0));
        assert_eq!(moments.variance(true), Some(32.0 / 7.0));
    }

    #[test]
    fn bins_order_like_values_and_keep_the_stated_error() {
        let values = [-1e9, -2.5, -1e-9, 0.0, 1e-9, 0.3, 1.0, 1.001, 250.0, 1e9];
        for pair in values.windows(2) {
            assert!(bin_of(pair[0]) <= bin_of(pair[1]), "{pair:?}");
        }
        for value in values {
            let middle = middle_of_bin(bin_of(value));
            assert!(
                (middle - value).abs() <= value.abs() / 256.0 + f64::MIN_POSITIVE,
                "{value} became {middle}"
            );
        }
    }
}

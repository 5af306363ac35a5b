//! Numbers that add up to the same result in any order: exact sums, and sums of squares.
//!
//! Floats are put on a grid of 2⁻⁴⁰ (about 10⁻¹²) once, when a record enters, and are integers from
//! then on; so a retraction takes away exactly what the insertion brought, and neither the order of
//! records nor the number of workers can be seen in a result. These integers have no largest one: up to 128 bits
//! they are kept in place, beyond that on the heap, so that one huge value neither spoils a sum nor stays in it
//! once it is taken back.

use num_bigint::{BigInt, Sign};
use serde::{Deserialize, Serialize};

/// Fraction bits of the grid that floats are put on.
const FRACTION_BITS: i32 = 40;
/// Floats below this size are on the grid in 127 bits: 2⁸⁶.
const IN_PLACE: f64 = 77_371_252_455_336_267_181_195_264.0;

/// An integer of any size. `large` is there only if it does not fit into `small`, which is zero then: equal numbers are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Wide {
    small: i128,
    #[serde(with = "large_bytes")]
    large: Option<Box<BigInt>>,
}

impl Wide {
    fn add(&mut self, more: i128) {
        match (self.small.checked_add(more), &self.large) {
            (Some(sum), None) => self.small = sum,
            _ => self.add_large(BigInt::from(more)),
        }
    }

    #[cold]
    fn add_large(&mut self, more: BigInt) {
        let sum = self.value() + more;
        *self = Wide::from(sum);
    }

    fn merge(&mut self, other: &Wide) {
        match &other.large {
            None => self.add(other.small),
            Some(large) => self.add_large(large.as_ref().clone()),
        }
    }

    fn negate(&mut self) {
        match (self.small.checked_neg(), &self.large) {
            (Some(small), None) => self.small = small,
            _ => *self = Wide::from(-self.value()),
        }
    }

    fn is_zero(&self) -> bool {
        self.small == 0 && self.large.is_none()
    }

    fn value(&self) -> BigInt {
        match &self.large {
            None => BigInt::from(self.small),
            Some(large) => large.as_ref().clone(),
        }
    }

    /// The nearest float of `self · 2^exponent`.
    fn to_float(&self, exponent: i32) -> f64 {
        match &self.large {
            None => scaled(self.small as f64, exponent.into()),
            Some(large) => {
                let (size, more) = leading(large);
                scaled(size, more + i64::from(exponent))
            }
        }
    }
}

impl From<BigInt> for Wide {
    fn from(value: BigInt) -> Self {
        match i128::try_from(&value) {
            Ok(small) => Wide { small, large: None },
            Err(_) => Wide {
                small: 0,
                large: Some(Box::new(value)),
            },
        }
    }
}

/// How large numbers are stored: as bytes of their two's complement, smallest first.
mod large_bytes {
    use num_bigint::BigInt;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(large: &Option<Box<BigInt>>, to: S) -> Result<S::Ok, S::Error> {
        large
            .as_ref()
            .map(|it| it.to_signed_bytes_le())
            .serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Box<BigInt>>, D::Error> {
        let bytes = Option::<Vec<u8>>::deserialize(from)?;
        Ok(bytes.map(|it| Box::new(BigInt::from_signed_bytes_le(&it))))
    }
}

/// A large number as a float and a power of two: correctly rounded, with whatever is below its first 64 bits.
fn leading(value: &BigInt) -> (f64, i64) {
    let below = value.bits().saturating_sub(64);
    let magnitude = value.magnitude();
    let top = magnitude >> below;
    let mut top = top.iter_u64_digits().next().unwrap_or(0);
    if magnitude.trailing_zeros().is_some_and(|it| it < below) {
        top |= 1;
    }
    let size = top as f64;
    let below = i64::try_from(below).expect("numbers have fewer than 2^63 bits");
    match value.sign() {
        Sign::Minus => (-size, below),
        Sign::NoSign | Sign::Plus => (size, below),
    }
}

/// `value · 2^exponent`, without an intermediate result that overflows.
fn scaled(mut value: f64, mut exponent: i64) -> f64 {
    const STEP: i64 = 1000;
    while STEP < exponent {
        value *= 2f64.powi(STEP as i32);
        exponent -= STEP;
        if value.is_infinite() || value == 0.0 {
            return value;
        }
    }
    while exponent < -STEP {
        value *= 2f64.powi(-STEP as i32);
        exponent += STEP;
        if value == 0.0 {
            return value;
        }
    }
    value * 2f64.powi(exponent as i32)
}

/// How many values were no finite numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Special {
    nan: i64,
    plus_infinite: i64,
    minus_infinite: i64,
}

/// An exact, retractable sum with the number of values in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExactSum {
    /// How many values, retractions counted negative.
    pub values: i64,
    /// There only if one of its counts is not zero.
    special: Option<Box<Special>>,
    /// The sum of the others: in whole units for integers, in 2⁻⁴⁰ for floats.
    sum: Wide,
}

impl ExactSum {
    pub fn add_int(&mut self, value: i64, diff: i64) {
        self.values += diff;
        self.sum.add(i128::from(value) * i128::from(diff));
    }

    pub fn add_float(&mut self, value: f64, diff: i64) {
        self.values += diff;
        if value.abs() < IN_PLACE {
            match on_grid(value).checked_mul(diff.into()) {
                Some(more) => self.sum.add(more),
                None => self.sum.add_large(BigInt::from(on_grid(value)) * diff),
            }
        } else if value.is_finite() {
            self.sum.add_large(on_wide_grid(value) * diff);
        } else {
            self.add_special(&Special {
                nan: if value.is_nan() { diff } else { 0 },
                plus_infinite: if value == f64::INFINITY { diff } else { 0 },
                minus_infinite: if value == f64::NEG_INFINITY { diff } else { 0 },
            });
        }
    }

    #[cold]
    fn add_special(&mut self, more: &Special) {
        let mut special = self.special.take().unwrap_or_default();
        special.nan += more.nan;
        special.plus_infinite += more.plus_infinite;
        special.minus_infinite += more.minus_infinite;
        self.special = (*special != Special::default()).then_some(special);
    }

    pub fn merge(&mut self, other: &ExactSum) {
        self.values += other.values;
        self.sum.merge(&other.sum);
        if let Some(more) = &other.special {
            self.add_special(more);
        }
    }

    pub fn negate(&mut self) {
        self.values = -self.values;
        self.sum.negate();
        if let Some(special) = &mut self.special {
            special.nan = -special.nan;
            special.plus_infinite = -special.plus_infinite;
            special.minus_infinite = -special.minus_infinite;
        }
    }

    pub fn is_zero(&self) -> bool {
        self.values == 0 && self.special.is_none() && self.sum.is_zero()
    }

    /// The sum of integers; nothing without values, and nothing if 64 bits do not hold it.
    pub fn int_sum(&self) -> Option<i64> {
        match (self.values, &self.sum) {
            (0, _) | (_, Wide { large: Some(_), .. }) => None,
            (_, Wide { small, large: None }) => i64::try_from(*small).ok(),
        }
    }

    /// Whether the sum of integers is larger than 64 bits hold.
    pub fn is_beyond_int(&self) -> bool {
        self.values != 0 && self.int_sum().is_none()
    }

    /// The sum of floats; nothing without values.
    pub fn float_sum(&self) -> Option<f64> {
        (self.values != 0).then(|| {
            let special = self.special();
            special.unwrap_or_else(|| self.sum.to_float(-FRACTION_BITS))
        })
    }

    /// The mean of integers.
    pub fn int_mean(&self) -> Option<f64> {
        (self.values != 0).then(|| self.sum.to_float(0) / self.values as f64)
    }

    /// The mean of floats, also where their sum is beyond the largest one.
    pub fn float_mean(&self) -> Option<f64> {
        let sum = self.float_sum()?;
        if sum.is_finite() || self.special.is_some() {
            return Some(sum / self.values as f64);
        }
        /// Further than any sum of 2⁶³ floats is beyond the largest float.
        const AWAY: i32 = 100;
        let size = self.sum.to_float(-FRACTION_BITS - AWAY) / self.values as f64;
        Some(scaled(size, AWAY.into()))
    }

    fn special(&self) -> Option<f64> {
        let special = self.special.as_ref()?;
        Some(
            match (special.nan, special.plus_infinite, special.minus_infinite) {
                (0, _, 0) => f64::INFINITY,
                (0, 0, _) => f64::NEG_INFINITY,
                _ => f64::NAN,
            },
        )
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

/// Any finite float from `IN_PLACE` on: these are whole on the grid.
fn on_wide_grid(value: f64) -> BigInt {
    const MANTISSA_BITS: i32 = 52;
    let bits = value.to_bits();
    let exponent = ((bits >> MANTISSA_BITS) & 0x7FF) as i32 - 1023;
    let mantissa = (bits & ((1 << MANTISSA_BITS) - 1)) | (1 << MANTISSA_BITS);
    let size = BigInt::from(mantissa) << (exponent - MANTISSA_BITS + FRACTION_BITS);
    if value < 0.0 { -size } else { size }
}

/// Exact sums of values and of their squares, for variance and standard deviation.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moments {
    sum: ExactSum,
    /// Sum of squares of the grid values.
    squares: Wide,
}

impl Moments {
    pub fn add_float(&mut self, value: f64, diff: i64) {
        self.sum.add_float(value, diff);
        if !value.is_finite() {
            return;
        }
        let grid = match value.abs() < IN_PLACE {
            true => BigInt::from(match i64::try_from(on_grid(value)) {
                Ok(small) => {
                    let square = i128::from(small).pow(2);
                    match square.checked_mul(diff.into()) {
                        Some(more) => return self.squares.add(more),
                        None => return self.squares.add_large(BigInt::from(square) * diff),
                    }
                }
                Err(_) => on_grid(value),
            }),
            false => on_wide_grid(value),
        };
        self.squares.add_large(&grid * &grid * diff);
    }

    pub fn merge(&mut self, other: &Moments) {
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    pub fn negate(&mut self) {
        self.sum.negate();
        self.squares.negate();
    }

    pub fn is_zero(&self) -> bool {
        self.sum.is_zero() && self.squares.is_zero()
    }

    /// The variance; nothing without values, and nothing for a sample of one.
    pub fn variance(&self, sample: bool) -> Option<f64> {
        match self.dispersion(sample)? {
            Ok((size, exponent)) => Some(scaled(size, exponent)),
            Err(special) => Some(special),
        }
    }

    /// The standard deviation; finite also where the variance is beyond the largest float.
    pub fn stddev(&self, sample: bool) -> Option<f64> {
        match self.dispersion(sample)? {
            Ok((size, exponent)) if exponent % 2 == 0 => Some(scaled(size.sqrt(), exponent / 2)),
            Ok((size, exponent)) => Some(scaled((2.0 * size).sqrt(), (exponent - 1) / 2)),
            Err(special) => Some(special),
        }
    }

    /// The variance as a float and a power of two, or what it is if values are no finite numbers.
    fn dispersion(&self, sample: bool) -> Option<Result<(f64, i64), f64>> {
        let values = self.sum.values;
        let divisor = if sample { values - 1 } else { values };
        if values < 1 || divisor < 1 {
            return None;
        }
        if self.sum.special.is_some() {
            return Some(Err(f64::NAN));
        }
        // n·Σx² − (Σx)², exact; only the last division rounds.
        let sum = self.sum.sum.value();
        let numerator = self.squares.value() * values - &sum * &sum;
        let (size, exponent) = leading(&numerator);
        let size = size / (values as f64) / (divisor as f64);
        Some(Ok((size, exponent - 2 * i64::from(FRACTION_BITS))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn huge_values_are_exact_and_leave_no_trace() {
        let values = [1.0, 1e25, f64::MAX, -1e25, f64::MAX, 0.5, -f64::MAX];
        let mut sum = ExactSum::default();
        values.iter().for_each(|it| sum.add_float(*it, 1));
        assert_eq!(sum.float_sum(), Some(f64::MAX));
        assert_eq!(sum.float_mean(), Some(f64::MAX / 7.0));
        sum.add_float(f64::MAX, 1);
        assert_eq!(sum.float_sum(), Some(f64::INFINITY));
        assert_eq!(sum.float_mean(), Some(f64::MAX / 8.0 * 2.0));
        sum.add_float(f64::MAX, -2);
        assert_eq!(sum.float_sum(), Some(1.5));
        values[1..].iter().for_each(|it| sum.add_float(*it, -1));
        sum.add_float(f64::MAX, 2);
        sum.add_float(f64::MAX, -1);
        assert_eq!(sum, {
            let mut one = ExactSum::default();
            one.add_float(1.0, 1);
            one
        });
    }

    #[test]
    fn sums_of_integers_say_when_64_bits_do_not_hold_them() {
        let mut sum = ExactSum::default();
        for value in [i64::MAX, i64::MAX, 1] {
            sum.add_int(value, 1);
        }
        assert_eq!((sum.int_sum(), sum.is_beyond_int()), (None, true));
        assert_eq!(sum.int_mean(), Some(i64::MAX as f64 / 1.5));
        sum.add_int(i64::MAX, -1);
        sum.add_int(1, -1);
        assert_eq!(
            (sum.int_sum(), sum.is_beyond_int()),
            (Some(i64::MAX), false)
        );
        sum.add_int(i64::MIN, i64::MAX);
        sum.add_int(i64::MIN, i64::MAX);
        let stored = postcard::to_stdvec(&sum).expect("sums can be stored");
        assert_eq!(postcard::from_bytes::<ExactSum>(&stored), Ok(sum.clone()));
        sum.add_int(i64::MIN, -i64::MAX);
        sum.add_int(i64::MIN, -i64::MAX);
        assert_eq!(sum.int_sum(), Some(i64::MAX));
    }

    #[test]
    fn deviations_of_huge_values_are_finite() {
        let mut moments = Moments::default();
        for value in [1e308, -1e308] {
            moments.add_float(value, 1);
        }
        assert_eq!(moments.stddev(false), Some(1e308));
        assert_eq!(moments.variance(false), Some(f64::INFINITY));
        for value in [1e308, -1e308] {
            moments.add_float(value, -1);
        }
        assert!(moments.is_zero());
    }

    proptest! {
        /// Whatever comes and goes in whatever order, what is left is what was not taken back.
        #[test]
        fn what_is_taken_back_leaves_no_trace(
            stay in prop::collection::vec(any::<f64>(), 0..20),
            go in prop::collection::vec(any::<f64>(), 0..20),
            turn in 0..40usize,
        ) {
            let mut changes: Vec<(f64, i64)> = stay.iter().chain(&go).map(|it| (*it, 1)).collect();
            changes.extend(go.iter().map(|it| (*it, -1)));
            let turn = turn % changes.len().max(1);
            changes.rotate_left(turn);
            let (mut sum, mut moments) = (ExactSum::default(), Moments::default());
            let (mut left, mut moments_left) = (ExactSum::default(), Moments::default());
            for (at, (value, diff)) in changes.into_iter().enumerate() {
                let (mut one, mut moments_of_one) = (ExactSum::default(), Moments::default());
                one.add_float(value, diff);
                moments_of_one.add_float(value, diff);
                if at % 3 == 0 {
                    one.negate();
                    moments_of_one.negate();
                    let stored = postcard::to_stdvec(&(one, moments_of_one)).expect("they can be stored");
                    (one, moments_of_one) = postcard::from_bytes(&stored).expect("they can be read");
                    one.negate();
                    moments_of_one.negate();
                }
                sum.merge(&one);
                moments.merge(&moments_of_one);
            }
            for value in &stay {
                left.add_float(*value, 1);
                moments_left.add_float(*value, 1);
            }
            prop_assert_eq!(&sum, &left);
            prop_assert_eq!(&moments, &moments_left);
        }

        /// Against sums of whole numbers, which floats of this size hold exactly.
        #[test]
        fn sums_and_deviations_are_those_of_whole_numbers(values in prop::collection::vec(-1_000_000i64..1_000_000, 1..50)) {
            let mut moments = Moments::default();
            values.iter().for_each(|it| moments.add_float(*it as f64, 1));
            let n = values.len() as i128;
            let sum: i128 = values.iter().map(|it| i128::from(*it)).sum();
            let squares: i128 = values.iter().map(|it| i128::from(*it).pow(2)).sum();
            prop_assert_eq!(moments.sum.float_sum(), Some(sum as f64));
            let variance = (n * squares - sum * sum) as f64 / (n * n) as f64;
            let found = moments.variance(false).expect("there are values");
            prop_assert!((found - variance).abs() <= variance * 1e-14);
            prop_assert_eq!(moments.stddev(false), Some(found.sqrt()));
        }
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
        let unit = 2f64.powi(-FRACTION_BITS);
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
}

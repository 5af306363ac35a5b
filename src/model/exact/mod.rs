//! Numbers that add up to the same result in any order: exact sums, and sums of squares.
//!
//! A finite float is an integer times a power of two, so a sum of floats is an integer in a unit that is small enough. A retraction removes
//! exactly what the insertion added, and a result, rounded only at the end, depends neither on the order of records nor on the number of workers.
//! Usual values fit into 256 bits in place. Larger and finer ones are exact too, on the heap: one such value does not spoil a sum, and leaves no
//! trace when it is retracted.

mod pairs;
mod wide;

pub use pairs::Pairs;

use arrow::datatypes::i256;
use num_bigint::{BigInt, Sign};
use serde::{Deserialize, Serialize};
use wide::{Top, Wide, scaled};

/// An exact, retractable sum of integers with the number of values in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IntSum {
    /// How many values, retractions counted negative.
    values: i64,
    sum: Wide,
}

impl IntSum {
    pub fn add(&mut self, value: i64, diff: i64) {
        self.values += diff;
        let more = i128::from(value) * i128::from(diff);
        self.sum.add(i256::from_i128(more));
    }

    /// Adds the digits of a decimal number.
    pub fn add_decimal(&mut self, unscaled: i128, diff: i64) {
        self.values += diff;
        let more = i256::from_i128(unscaled).checked_mul(i256::from(diff));
        self.sum
            .add(more.expect("a product of 128 and 64 bits fits into 256"));
    }

    pub fn merge(&mut self, other: &IntSum) {
        self.values += other.values;
        self.sum.merge(&other.sum);
    }

    pub fn negate(&mut self) {
        self.values = -self.values;
        self.sum.negate();
    }

    pub fn is_zero(&self) -> bool {
        self.values == 0 && self.sum.is_zero()
    }

    /// The sum; nothing without values, and nothing if 64 bits do not hold it.
    pub fn sum(&self) -> Option<i64> {
        self.sum.to_i64().filter(|_| self.values != 0)
    }

    /// How many values there are.
    pub fn has_values(&self) -> bool {
        self.values != 0
    }

    /// The sum as digits of a decimal number; nothing without values, and nothing if so many digits do not hold it.
    pub fn decimal_sum(&self, precision: u8) -> Option<i128> {
        let sum = self.sum.to_i128().filter(|_| self.values != 0)?;
        (sum.unsigned_abs() < 10_u128.pow(precision.into())).then_some(sum)
    }

    /// The mean as digits of a decimal number, of which `more` stand behind those of the values; what is finer is cut off. Nothing without
    /// values, and nothing if so many digits do not hold it.
    pub fn decimal_mean(&self, precision: u8, more: u8) -> Option<i128> {
        let divisor = i256::from_i128(divisor(self.values)?.into());
        let sum = i256::from_i128(self.sum.to_i128()?);
        let scaled = sum.checked_mul(i256::from_i128(10_i128.checked_pow(more.into())?))?;
        let mean = scaled.checked_div(divisor)?.to_i128()?;
        (mean.unsigned_abs() < 10_u128.pow(precision.into())).then_some(mean)
    }

    /// The float that is nearest to the mean; nothing without values.
    pub fn mean(&self) -> Option<f64> {
        Some(self.sum.quotient(divisor(self.values)?, 0))
    }
}

/// How many values to divide by; nothing without values.
fn divisor(values: i64) -> Option<u64> {
    u64::try_from(values).ok().filter(|it| *it != 0)
}

/// What a float is made of: the integer of its 53 bits, and the power of two it is multiplied by.
#[derive(Clone, Copy)]
struct Parts {
    is_negative: bool,
    size: u64,
    exponent: i32,
}

impl Parts {
    /// Of a finite float.
    fn of(value: f64) -> Self {
        const MANTISSA_BITS: u32 = 52;
        let bits = value.to_bits();
        let biased = (bits >> MANTISSA_BITS & 0x7FF) as i32;
        let first = u64::from(biased != 0) << MANTISSA_BITS;
        Parts {
            is_negative: value.is_sign_negative(),
            size: bits & ((1 << MANTISSA_BITS) - 1) | first,
            exponent: biased.max(1) - 1075,
        }
    }
}

/// A sum of multiples of powers of two: in units of 2^-`UNIT`, and what is finer in units of 2^-`LEAST`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Exact<const UNIT: i32, const LEAST: i32> {
    whole: Wide,
    /// What is left below one unit: positive, and there only if it is not zero, so that equal numbers are equal values.
    below: Option<Box<Below>>,
}

impl<const UNIT: i32, const LEAST: i32> Exact<UNIT, LEAST> {
    /// Adds `size · 2^exponent`, so many times.
    fn add(&mut self, size: u128, exponent: i32, times: i64) {
        let (mut size, mut shift) = (size, exponent + UNIT);
        if shift < 0 && shift.unsigned_abs() <= size.trailing_zeros() && size != 0 {
            (size, shift) = (size >> shift.unsigned_abs(), 0);
        }
        let bits = (u128::BITS - size.leading_zeros()) as i32;
        // One bit is left for the sign.
        if times.unsigned_abs() == 1 && 0 <= shift && shift + bits < 255 {
            let more = i256::from_parts(size, 0) << (shift as u8);
            self.whole
                .add(if times < 0 { more.wrapping_neg() } else { more });
        } else if size != 0 {
            self.add_large(BigInt::from(size) * times, exponent);
        }
    }

    #[cold]
    fn add_large(&mut self, more: BigInt, exponent: i32) {
        match exponent + UNIT {
            shift @ 0.. => self.whole.add_large(more << shift),
            _ => {
                debug_assert!(-LEAST <= exponent, "no float is finer than the least one");
                self.add_below(more << (exponent + LEAST));
            }
        }
    }

    fn add_below(&mut self, more: BigInt) {
        let below = self.below.take().map(|it| it.0).unwrap_or_default() + more;
        // Rounds down, also below zero.
        let whole: BigInt = &below >> (LEAST - UNIT);
        let below = below - (&whole << (LEAST - UNIT));
        self.whole.add_large(whole);
        self.below = (below.sign() != Sign::NoSign).then(|| Box::new(Below(below)));
    }

    fn merge(&mut self, other: &Self) {
        self.whole.merge(&other.whole);
        if let Some(below) = &other.below {
            self.add_below(below.0.clone());
        }
    }

    fn negate(&mut self) {
        self.whole.negate();
        if let Some(below) = self.below.take() {
            self.add_below(-below.0);
        }
    }

    fn is_zero(&self) -> bool {
        self.whole.is_zero() && self.below.is_none()
    }

    /// In units of 2^-`LEAST`.
    fn value(&self) -> BigInt {
        let whole = self.whole.value() << (LEAST - UNIT);
        match &self.below {
            None => whole,
            Some(below) => whole + &below.0,
        }
    }

    /// The float that is nearest to a part of this.
    fn quotient(&self, divisor: u64) -> f64 {
        match &self.below {
            None => self.whole.quotient(divisor, -UNIT),
            Some(_) => Top::of_large(&self.value()).quotient(divisor, (-LEAST).into()),
        }
    }
}

/// An integer on the heap, stored as the bytes of its two's complement, smallest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Vec<u8>", into = "Vec<u8>")]
struct Below(BigInt);

impl From<Vec<u8>> for Below {
    fn from(bytes: Vec<u8>) -> Self {
        Below(BigInt::from_signed_bytes_le(&bytes))
    }
}

impl From<Below> for Vec<u8> {
    fn from(below: Below) -> Self {
        below.0.to_signed_bytes_le()
    }
}

/// Floats: 2⁻¹⁰⁰ is the last bit of 2⁻⁴⁸, and 2⁻¹⁰⁷⁴ is the least float.
type Sum = Exact<100, 1074>;
/// Their squares: 2⁻¹⁴⁸ is the last bit of that of 2⁻²².
type Squares = Exact<148, 2148>;

/// How many values were no finite numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Special {
    nan: i64,
    plus_infinite: i64,
    minus_infinite: i64,
}

/// An exact, retractable sum of floats with the number of values in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FloatSum {
    /// How many values, retractions counted negative.
    values: i64,
    /// There only if one of its counts is not zero.
    special: Option<Box<Special>>,
    /// Of the others.
    sum: Sum,
}

impl FloatSum {
    pub fn add(&mut self, value: f64, diff: i64) {
        self.values += diff;
        if value.is_finite() {
            let parts = Parts::of(value);
            let times = if parts.is_negative { -diff } else { diff };
            self.sum.add(parts.size.into(), parts.exponent, times);
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

    pub fn merge(&mut self, other: &FloatSum) {
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

    /// The float that is nearest to the sum; nothing without values.
    pub fn sum(&self) -> Option<f64> {
        divisor(self.values)?;
        let special = self.special();
        Some(special.unwrap_or_else(|| self.sum.quotient(1)))
    }

    /// The float that is nearest to the mean, also where the sum is beyond the largest one.
    pub fn mean(&self) -> Option<f64> {
        let divisor = divisor(self.values)?;
        let special = self.special();
        Some(special.unwrap_or_else(|| self.sum.quotient(divisor)))
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

/// Exact sums of values and of their squares, for variance and standard deviation.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moments {
    sum: FloatSum,
    squares: Squares,
}

impl Moments {
    pub fn add(&mut self, value: f64, diff: i64) {
        self.sum.add(value, diff);
        if value.is_finite() {
            let parts = Parts::of(value);
            let square = u128::from(parts.size).pow(2);
            self.squares.add(square, 2 * parts.exponent, diff);
        }
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

    /// The float that is nearest to the variance; nothing without values, and nothing for a sample of one.
    pub fn variance(&self, sample: bool) -> Option<f64> {
        match self.dispersion(sample)? {
            Ok((size, exponent)) => Some(scaled(size, exponent)),
            Err(special) => Some(special),
        }
    }

    /// The standard deviation, the root of the variance; finite also where that is beyond the largest float.
    pub fn stddev(&self, sample: bool) -> Option<f64> {
        match self.dispersion(sample)? {
            Ok((size, exponent)) if exponent % 2 == 0 => Some(scaled(size.sqrt(), exponent / 2)),
            Ok((size, exponent)) => Some(scaled((2.0 * size).sqrt(), (exponent - 1) / 2)),
            Err(special) => Some(special),
        }
    }

    /// The variance as a float and a power of two, or what it is if values are no finite numbers.
    fn dispersion(&self, sample: bool) -> Option<Result<(f64, i64), f64>> {
        /// Bits that are put behind the numerator, so that enough are left of the quotient.
        const MORE: i64 = 256;
        let values = divisor(self.sum.values)?;
        let divisor = divisor(self.sum.values - i64::from(sample))?;
        if self.sum.special.is_some() {
            return Some(Err(f64::NAN));
        }
        // n·Σx² − (Σx)², exact; only the division rounds.
        let (sum, squares, exponent) = match (&self.sum.sum.below, &self.squares.below) {
            (None, None) => {
                let squares = self.squares.whole.value() << 52;
                (self.sum.sum.whole.value(), squares, 200)
            }
            _ => (self.sum.sum.value(), self.squares.value(), 2148),
        };
        let numerator = squares * values - &sum * &sum;
        let divisor = BigInt::from(values) * divisor;
        let numerator = numerator << MORE;
        let quotient = &numerator / &divisor;
        let rest = numerator - &quotient * &divisor;
        // The last bit says whether anything follows.
        let quotient: BigInt = (quotient << 1) + u8::from(rest.sign() != Sign::NoSign);
        let (size, below) = Top::of_large(&quotient).divided(1);
        Some(Ok((size, below - 1 - MORE - exponent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sum_does_not_depend_on_order_and_retracts_to_nothing() {
        let values = [0.1, 1e17, -3.25, 7e-9, 1e17, 0.2];
        let (mut forward, mut backward) = (FloatSum::default(), FloatSum::default());
        values.iter().for_each(|it| forward.add(*it, 1));
        values.iter().rev().for_each(|it| backward.add(*it, 1));
        assert_eq!(forward, backward);
        values.iter().for_each(|it| forward.add(*it, -1));
        assert!(forward.is_zero());
    }

    #[test]
    fn huge_values_are_exact_and_leave_no_trace() {
        let values = [1.0, 1e25, f64::MAX, -1e25, f64::MAX, 0.5, -f64::MAX];
        let mut sum = FloatSum::default();
        values.iter().for_each(|it| sum.add(*it, 1));
        assert_eq!(sum.sum(), Some(f64::MAX));
        assert_eq!(sum.mean(), Some(f64::MAX / 7.0));
        sum.add(f64::MAX, 1);
        assert_eq!(sum.sum(), Some(f64::INFINITY));
        assert_eq!(sum.mean(), Some(f64::MAX / 8.0 * 2.0));
        sum.add(f64::MAX, -2);
        assert_eq!(sum.sum(), Some(1.5));
        values[1..].iter().for_each(|it| sum.add(*it, -1));
        sum.add(f64::MAX, 2);
        sum.add(f64::MAX, -1);
        assert_eq!(sum, {
            let mut one = FloatSum::default();
            one.add(1.0, 1);
            one
        });
    }

    #[test]
    fn decimals_add_up_beyond_128_bits_and_back() {
        let largest = 10_i128.pow(38) - 1;
        let mut sum = IntSum::default();
        assert_eq!(sum.decimal_sum(38), None);
        sum.add_decimal(largest, 5);
        assert_eq!(sum.decimal_sum(38), None);
        assert_eq!(sum.decimal_mean(38, 4), None);
        sum.add_decimal(largest, -4);
        assert_eq!(sum.decimal_sum(38), Some(largest));
        assert_eq!(sum.decimal_mean(38, 0), Some(largest));
        sum.add_decimal(largest, -1);
        for value in [1, -3, 0] {
            sum.add_decimal(value, 1);
        }
        assert_eq!(sum.decimal_sum(1), Some(-2));
        assert_eq!(sum.decimal_mean(38, 4), Some(-6666));
    }

    #[test]
    fn sums_of_integers_say_when_64_bits_do_not_hold_them() {
        let mut sum = IntSum::default();
        for value in [i64::MAX, i64::MAX, 1] {
            sum.add(value, 1);
        }
        assert_eq!((sum.sum(), sum.has_values()), (None, true));
        assert_eq!(sum.mean(), Some(i64::MAX as f64 / 1.5));
        sum.add(i64::MAX, -1);
        sum.add(1, -1);
        assert_eq!(sum.sum(), Some(i64::MAX));
        sum.add(i64::MIN, i64::MAX);
        sum.add(i64::MIN, i64::MAX);
        let stored = postcard::to_stdvec(&sum).expect("sums can be stored");
        assert_eq!(postcard::from_bytes::<IntSum>(&stored), Ok(sum.clone()));
        sum.add(i64::MIN, -i64::MAX);
        sum.add(i64::MIN, -i64::MAX);
        assert_eq!(sum.sum(), Some(i64::MAX));
    }

    #[test]
    fn deviations_of_huge_values_are_finite() {
        let mut moments = Moments::default();
        for value in [1e308, -1e308] {
            moments.add(value, 1);
        }
        assert_eq!(moments.stddev(false), Some(1e308));
        assert_eq!(moments.variance(false), Some(f64::INFINITY));
        for value in [1e308, -1e308] {
            moments.add(value, -1);
        }
        assert!(moments.is_zero());
    }

    #[test]
    fn what_is_written_is_what_is_shown() {
        let (mut sum, mut moments) = (FloatSum::default(), Moments::default());
        for _ in 0..3 {
            sum.add(0.2, 1);
            moments.add(0.2, 1);
        }
        assert_eq!(sum.mean(), Some(0.2));
        assert_eq!(moments.variance(true), Some(0.0));
        sum.add(0.2, -2);
        assert_eq!(sum.sum(), Some(0.2));
        for value in [5e-324, 1e-300, f64::MIN_POSITIVE, f64::MAX, -1e-7] {
            let mut sum = FloatSum::default();
            sum.add(value, 1);
            assert_eq!(sum.sum(), Some(value));
            sum.add(1.0, 1);
            sum.add(value, 2);
            sum.add(1.0, -1);
            assert_eq!(sum.mean(), Some(value));
        }
    }

    /// Any float: of any size, and with few bits, such as people write.
    fn floats() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>().prop_filter("a number", |it| it.is_finite()),
            (-100_000i32..100_000).prop_map(|it| f64::from(it) / 1000.0),
            (-50i32..50).prop_map(|it| f64::from(it) * 1e-9),
        ]
    }

    proptest! {
        /// Against numbers of a thousand digits.
        #[test]
        fn sums_means_and_deviations_are_exact(values in prop::collection::vec(floats(), 1..12)) {
            let exact = |value: f64| {
                let parts = Parts::of(value);
                let size = BigInt::from(parts.size) << (parts.exponent + 1074);
                if parts.is_negative { -size } else { size }
            };
            let nearest = |value: BigInt, exponent: i32| {
                let (size, below) = Top::of_large(&value).divided(1);
                scaled(size, below + i64::from(exponent))
            };
            let (mut sum, mut moments) = (FloatSum::default(), Moments::default());
            for it in &values {
                sum.add(*it, 1);
                moments.add(*it, 1);
            }
            let n = values.len();
            let total: BigInt = values.iter().map(|it| exact(*it)).sum();
            prop_assert_eq!(sum.sum(), Some(nearest(total.clone(), -1074)));
            prop_assert_eq!(sum.mean(), Some(nearest((&total << 3000) / n, -4074)));
            let squares: BigInt = values.iter().map(|it| exact(*it).pow(2)).sum();
            let numerator = squares * n - &total * &total;
            prop_assert_eq!(moments.variance(false), Some(nearest((numerator << 3000) / (n * n), -5148)));
        }
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
            let (mut sum, mut moments) = (FloatSum::default(), Moments::default());
            let (mut left, mut moments_left) = (FloatSum::default(), Moments::default());
            for (at, (value, diff)) in changes.into_iter().enumerate() {
                let (mut one, mut moments_of_one) = (FloatSum::default(), Moments::default());
                one.add(value, diff);
                moments_of_one.add(value, diff);
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
                left.add(*value, 1);
                moments_left.add(*value, 1);
            }
            prop_assert_eq!(&sum, &left);
            prop_assert_eq!(&moments, &moments_left);
        }

        /// Against sums of whole numbers, which floats of this size hold exactly.
        #[test]
        fn sums_and_deviations_are_those_of_whole_numbers(values in prop::collection::vec(-1_000_000i64..1_000_000, 1..50)) {
            let mut moments = Moments::default();
            values.iter().for_each(|it| moments.add(*it as f64, 1));
            let n = values.len() as i128;
            let sum: i128 = values.iter().map(|it| i128::from(*it)).sum();
            let squares: i128 = values.iter().map(|it| i128::from(*it).pow(2)).sum();
            prop_assert_eq!(moments.sum.sum(), Some(sum as f64));
            let variance = (n * squares - sum * sum) as f64 / (n * n) as f64;
            let found = moments.variance(false).expect("there are values");
            prop_assert!((found - variance).abs() <= variance * 1e-14);
            prop_assert_eq!(moments.stddev(false), Some(found.sqrt()));
        }
    }

    #[test]
    fn what_is_not_a_number_is_said_and_can_be_taken_back() {
        let mut sum = FloatSum::default();
        sum.add(1.5, 1);
        sum.add(f64::INFINITY, 1);
        assert_eq!(sum.sum(), Some(f64::INFINITY));
        sum.add(f64::INFINITY, -1);
        assert_eq!(sum.sum(), Some(1.5));
    }

    #[test]
    fn squares_taken_back_leave_nothing() {
        let values = [0.0, 1.25, -7e3, 3e6, 9e6, -1e15, 1e20];
        let mut moments = Moments::default();
        for _ in 0..100 {
            values.iter().for_each(|it| moments.add(*it, 1));
        }
        values.iter().for_each(|it| moments.add(*it, -100));
        assert!(moments.is_zero());
    }

    #[test]
    fn variance_is_that_of_the_textbook() {
        let mut moments = Moments::default();
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            moments.add(value, 1);
        }
        assert_eq!(moments.variance(false), Some(4.0));
        assert_eq!(moments.variance(true), Some(32.0 / 7.0));
    }
}

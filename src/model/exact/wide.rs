//! Integers of any size: 256 bits are kept in place, what is beyond on the heap.

use arrow::datatypes::i256;
use num_bigint::{BigInt, Sign};
use serde::{Deserialize, Serialize};

/// An integer of any size. `large` is there only if it does not fit into `small`, which is zero then: equal numbers are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(super) struct Wide {
    small: i256,
    large: Option<Box<BigInt>>,
}

impl Wide {
    pub fn add(&mut self, more: i256) {
        match (self.small.checked_add(more), &self.large) {
            (Some(sum), None) => self.small = sum,
            _ => self.add_large(big(more)),
        }
    }

    #[cold]
    pub fn add_large(&mut self, more: BigInt) {
        let sum = self.value() + more;
        *self = Wide::from(sum);
    }

    pub fn merge(&mut self, other: &Wide) {
        match &other.large {
            None => self.add(other.small),
            Some(large) => self.add_large(large.as_ref().clone()),
        }
    }

    pub fn negate(&mut self) {
        match (self.small.checked_neg(), &self.large) {
            (Some(small), None) => self.small = small,
            _ => *self = Wide::from(-self.value()),
        }
    }

    pub fn is_zero(&self) -> bool {
        self.small == i256::ZERO && self.large.is_none()
    }

    pub fn value(&self) -> BigInt {
        match &self.large {
            None => big(self.small),
            Some(large) => large.as_ref().clone(),
        }
    }

    /// The number, if 64 bits hold it.
    pub fn to_i64(&self) -> Option<i64> {
        match &self.large {
            None => i64::try_from(self.small.to_i128()?).ok(),
            Some(_) => None,
        }
    }

    /// The number, if 128 bits hold it.
    pub fn to_i128(&self) -> Option<i128> {
        match &self.large {
            None => self.small.to_i128(),
            Some(_) => None,
        }
    }

    /// The nearest float of `self · 2^exponent / divisor`.
    pub fn quotient(&self, divisor: u64, exponent: i32) -> f64 {
        let top = match &self.large {
            None => Top::of(self.small),
            Some(large) => Top::of_large(large),
        };
        top.quotient(divisor, exponent.into())
    }
}

impl From<BigInt> for Wide {
    fn from(value: BigInt) -> Self {
        match small(&value.to_signed_bytes_le()) {
            Some(small) => Wide { small, large: None },
            None => Wide {
                small: i256::ZERO,
                large: Some(Box::new(value)),
            },
        }
    }
}

fn big(value: i256) -> BigInt {
    match value.to_i128() {
        Some(value) => BigInt::from(value),
        None => BigInt::from_signed_bytes_le(&value.to_le_bytes()),
    }
}

/// A two's complement, smallest byte first, if 256 bits hold it.
fn small(bytes: &[u8]) -> Option<i256> {
    let is_negative = bytes.last().is_some_and(|it| 0x80 <= *it);
    let mut all = [if is_negative { 0xFF } else { 0 }; 32];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i256::from_le_bytes(all))
}

/// How numbers are stored: in 128 bits, of which only those that are needed take space, or as the bytes of their two's complement, smallest
/// first.
#[derive(Serialize, Deserialize)]
struct Stored {
    small: i128,
    large: Option<Vec<u8>>,
}

impl From<Wide> for Stored {
    fn from(wide: Wide) -> Self {
        let (small, large) = match (wide.small.to_i128(), wide.large) {
            (Some(small), None) => (small, None),
            (None, None) => (0, Some(shortened(&wide.small.to_le_bytes()))),
            (_, Some(large)) => (0, Some(large.to_signed_bytes_le())),
        };
        Stored { small, large }
    }
}

impl From<Stored> for Wide {
    fn from(stored: Stored) -> Self {
        match stored.large {
            None => Wide {
                small: i256::from_i128(stored.small),
                large: None,
            },
            Some(bytes) => match small(&bytes) {
                Some(small) => Wide { small, large: None },
                None => Wide::from(BigInt::from_signed_bytes_le(&bytes)),
            },
        }
    }
}

/// A two's complement without the bytes at its end that only repeat its sign.
fn shortened(bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    while let [.., before, last] = &bytes[..length]
        && ((*last == 0 && *before < 0x80) || (*last == 0xFF && 0x80 <= *before))
    {
        length -= 1;
    }
    bytes[..length].to_vec()
}

/// The size of a number as its first 128 bits, and a power of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Top {
    is_negative: bool,
    /// Its first bit is set, unless the number is zero.
    bits: u128,
    exponent: i64,
    /// Whether anything that is not zero follows those bits.
    more: bool,
}

impl Top {
    fn of(value: i256) -> Self {
        let is_negative = value.is_negative();
        let (low, high) = value.wrapping_abs().to_parts();
        let (high, width) = (high as u128, i64::from(u128::BITS));
        let (bits, exponent, more) = match high.leading_zeros() {
            u128::BITS => (low, 0, false),
            0 => (high, width, low != 0),
            zeros => (
                (high << zeros) | (low >> (u128::BITS - zeros)),
                width - i64::from(zeros),
                low << zeros != 0,
            ),
        };
        Top {
            is_negative,
            bits,
            exponent,
            more,
        }
        .normal()
    }

    pub fn of_large(value: &BigInt) -> Self {
        let below = value.bits().saturating_sub(u128::BITS.into());
        let magnitude = value.magnitude();
        let top = magnitude >> below;
        let mut digits = top.iter_u64_digits();
        let low = digits.next().unwrap_or(0);
        let high = digits.next().unwrap_or(0);
        Top {
            is_negative: value.sign() == Sign::Minus,
            bits: (u128::from(high) << 64) | u128::from(low),
            exponent: i64::try_from(below).expect("numbers have fewer than 2^63 bits"),
            more: magnitude.trailing_zeros().is_some_and(|it| it < below),
        }
        .normal()
    }

    fn normal(self) -> Self {
        let zeros = self.bits.leading_zeros();
        if zeros == 0 || self.bits == 0 {
            return self;
        }
        Top {
            bits: self.bits << zeros,
            exponent: self.exponent - i64::from(zeros),
            ..self
        }
    }

    /// The nearest float of `self · 2^exponent / divisor`.
    pub fn quotient(self, divisor: u64, exponent: i64) -> f64 {
        let (size, more) = self.divided(divisor);
        scaled(size, more + exponent)
    }

    /// The quotient as a float, rounded once, and a power of two. It has more bits than the float takes in, of which the last says whether
    /// anything follows.
    pub fn divided(self, divisor: u64) -> (f64, i64) {
        let divisor = u128::from(divisor);
        let rest = self.more || !self.bits.is_multiple_of(divisor);
        let size = ((self.bits / divisor) | u128::from(rest)) as f64;
        let size = if self.is_negative { -size } else { size };
        (size, self.exponent)
    }
}

/// `value · 2^exponent`, without an intermediate result that overflows.
pub(super) fn scaled(mut value: f64, mut exponent: i64) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers() -> impl Strategy<Value = BigInt> {
        let any = (prop::collection::vec(any::<u8>(), 0..40), 0..300usize);
        any.prop_map(|(bytes, more)| BigInt::from_signed_bytes_le(&bytes) << (more % 5 * more))
    }

    proptest! {
        #[test]
        fn they_are_integers(some in prop::collection::vec(numbers(), 0..8)) {
            let mut sum = Wide::default();
            for it in &some {
                sum.merge(&Wide::from(it.clone()));
                prop_assert_eq!(Wide::from(it.clone()).value(), it.clone());
            }
            let expected: BigInt = some.iter().sum();
            prop_assert_eq!(&sum, &Wide::from(expected.clone()));
            let stored = postcard::to_stdvec(&sum).expect("they can be stored");
            prop_assert_eq!(&postcard::from_bytes::<Wide>(&stored).expect("they can be read"), &sum);
            sum.negate();
            prop_assert_eq!(&sum, &Wide::from(-expected));
            some.iter().for_each(|it| sum.add_large(it.clone()));
            prop_assert!(sum.is_zero());
        }

        /// Against a quotient with far more digits than a float has.
        #[test]
        fn quotients_are_rounded_once(value in numbers(), divisor in 1..u64::MAX) {
            let found = Wide::from(value.clone()).quotient(divisor, -100);
            let exact: BigInt = (value << 4000u32) / divisor;
            let (size, below) = Top::of_large(&exact).divided(1);
            prop_assert_eq!(found, scaled(size, below - 4100));
        }
    }
}

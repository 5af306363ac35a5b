//! Pairs of floats: covariance, correlation and the line that fits them best, from exact sums.

use super::wide::{Top, scaled};
use super::{Moments, Parts, Squares, divisor};
use num_bigint::{BigInt, Sign};
use serde::{Deserialize, Serialize};

/// Exact, retractable sums of pairs of values, of their squares and of their products. Each result is rounded once, at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairs {
    x: Moments,
    y: Moments,
    products: Squares,
}

impl Pairs {
    pub fn add(&mut self, x: f64, y: f64, diff: i64) {
        self.x.add(x, diff);
        self.y.add(y, diff);
        if x.is_finite() && y.is_finite() {
            let (x, y) = (Parts::of(x), Parts::of(y));
            let size = u128::from(x.size) * u128::from(y.size);
            let times = if x.is_negative == y.is_negative {
                diff
            } else {
                -diff
            };
            self.products.add(size, x.exponent + y.exponent, times);
        }
    }

    pub fn merge(&mut self, other: &Pairs) {
        self.x.merge(&other.x);
        self.y.merge(&other.y);
        self.products.merge(&other.products);
    }

    /// How many pairs there are.
    pub fn count(&self) -> i64 {
        self.x.sum.values
    }

    pub fn mean_x(&self) -> Option<f64> {
        self.x.sum.mean()
    }

    pub fn mean_y(&self) -> Option<f64> {
        self.y.sum.mean()
    }

    /// Σ(x − mean)².
    pub fn scatter_x(&self) -> Option<f64> {
        self.of_finite(|it, count| Some(it.ratio(it.squares_x(), count, -SQUARES)))
    }

    /// Σ(y − mean)².
    pub fn scatter_y(&self) -> Option<f64> {
        self.of_finite(|it, count| Some(it.ratio(it.squares_y(), count, -SQUARES)))
    }

    /// Σ(x − mean)(y − mean).
    pub fn scatter(&self) -> Option<f64> {
        self.of_finite(|it, count| Some(it.ratio(it.cross(), count, -SQUARES)))
    }

    /// Nothing without pairs, and nothing for a sample of one.
    pub fn covariance(&self, sample: bool) -> Option<f64> {
        self.of_finite(|it, count| {
            let by = divisor(it.count() - i64::from(sample))?;
            Some(it.ratio(it.cross(), count * BigInt::from(by), -SQUARES))
        })
    }

    /// Nothing if all x, or all y, are equal.
    pub fn correlation(&self) -> Option<f64> {
        self.of_finite(|it, _| {
            let (cross, both) = (it.cross(), it.squares_x() * it.squares_y());
            if both.sign() == Sign::NoSign {
                return None;
            }
            let (size, exponent) = quotient(&(&cross * &cross), &both);
            let root = match exponent % 2 {
                0 => scaled(size.sqrt(), exponent / 2),
                _ => scaled((2.0 * size).sqrt(), (exponent - 1) / 2),
            };
            Some(if cross.sign() == Sign::Minus {
                -root
            } else {
                root
            })
        })
    }

    /// How steep the line is; nothing if all x are equal.
    pub fn slope(&self) -> Option<f64> {
        self.of_finite(|it, _| it.line(|cross, squares, _| (cross, squares, 0)))
    }

    /// Where the line crosses x = 0; nothing if all x are equal.
    pub fn intercept(&self) -> Option<f64> {
        self.of_finite(|it, count| {
            let (x, y) = (it.x.sum.sum.value(), it.y.sum.sum.value());
            it.line(|cross, squares, _| (y * &squares - x * cross, squares * count, -SUMS))
        })
    }

    /// How much of y the line tells; nothing if all x are equal, all of it if all y are.
    pub fn determination(&self) -> Option<f64> {
        self.of_finite(|it, _| {
            it.line(|cross, squares_x, squares_y| match squares_y.sign() {
                Sign::NoSign => (BigInt::from(1), BigInt::from(1), 0),
                _ => (&cross * &cross, squares_x * squares_y, 0),
            })
        })
    }

    /// A quotient of n·Σxy − Σx·Σy, n·Σx² − (Σx)² and n·Σy² − (Σy)², and what to add to its power of two.
    fn line(
        &self,
        of: impl FnOnce(BigInt, BigInt, BigInt) -> (BigInt, BigInt, i64),
    ) -> Option<f64> {
        let squares = self.squares_x();
        if squares.sign() == Sign::NoSign {
            return None;
        }
        let (over, under, exponent) = of(self.cross(), squares, self.squares_y());
        Some(self.ratio(over, under, exponent))
    }

    /// Nothing without pairs, and no number if a value is none.
    fn of_finite(&self, of: impl FnOnce(&Self, BigInt) -> Option<f64>) -> Option<f64> {
        let count = divisor(self.count())?;
        match (&self.x.sum.special, &self.y.sum.special) {
            (None, None) => of(self, BigInt::from(count)),
            _ => Some(f64::NAN),
        }
    }

    fn ratio(&self, over: BigInt, under: BigInt, exponent: i64) -> f64 {
        let (size, more) = quotient(&over, &under);
        scaled(size, more + exponent)
    }

    fn squares_x(&self) -> BigInt {
        let sum = self.x.sum.sum.value();
        self.x.squares.value() * self.count() - &sum * &sum
    }

    fn squares_y(&self) -> BigInt {
        let sum = self.y.sum.sum.value();
        self.y.squares.value() * self.count() - &sum * &sum
    }

    fn cross(&self) -> BigInt {
        self.products.value() * self.count() - self.x.sum.sum.value() * self.y.sum.sum.value()
    }
}

/// The unit of exact sums, and that of sums of squares, as powers of two.
const SUMS: i64 = 1074;
const SQUARES: i64 = 2 * SUMS;

/// A quotient as a float, rounded once, and a power of two.
fn quotient(over: &BigInt, under: &BigInt) -> (f64, i64) {
    /// Bits of the quotient, of which a float takes in the first.
    const BITS: u64 = 130;
    let (top, bottom) = (over.magnitude(), under.magnitude());
    let more = (BITS + bottom.bits()).saturating_sub(top.bits());
    let top = top << more;
    let whole = &top / bottom;
    let rest = u8::from(&whole * bottom != top);
    let is_negative = (over.sign() == Sign::Minus) != (under.sign() == Sign::Minus);
    // The last bit says whether anything follows.
    let whole = BigInt::from((whole << 1u8) + rest);
    let (size, below) = Top::of_large(&whole).divided(1);
    let size = if is_negative { -size } else { size };
    let more = i64::try_from(more).expect("sums have fewer than 2^63 bits");
    (size, below - 1 - more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(pairs: &[(f64, f64)]) -> Pairs {
        let mut sums = Pairs::default();
        pairs.iter().for_each(|it| sums.add(it.0, it.1, 1));
        sums
    }

    fn all(it: &Pairs) -> [Option<f64>; 11] {
        [
            it.mean_x(),
            it.mean_y(),
            it.scatter_x(),
            it.scatter_y(),
            it.scatter(),
            it.covariance(false),
            it.covariance(true),
            it.correlation(),
            it.slope(),
            it.intercept(),
            it.determination(),
        ]
    }

    #[test]
    fn a_line_is_found_exactly() {
        let far = [(0.1, 1e17), (0.2, 1e17 - 32.0), (0.3, 1e17 - 64.0)];
        assert_eq!(of(&far).slope(), Some(-320.0));
        let line = of(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]);
        assert_eq!((line.slope(), line.intercept()), (Some(2.0), Some(3.0)));
        assert_eq!(line.correlation(), Some(1.0));
        assert_eq!(line.determination(), Some(1.0));
        assert_eq!(line.covariance(false), Some(28.0 / 9.0));
        let falling = of(&[(1e300, -1e-300), (2e300, -2e-300)]);
        assert_eq!(falling.correlation(), Some(-1.0));
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        assert_eq!(all(&of(&[])), [None; 11]);
        let one = of(&[(2.0, 3.0)]);
        assert_eq!(one.covariance(true), None);
        assert_eq!(one.covariance(false), Some(0.0));
        assert_eq!(
            (one.correlation(), one.slope(), one.intercept()),
            (None, None, None)
        );
        let level = of(&[(1.0, 3.0), (2.0, 3.0)]);
        assert_eq!(
            (level.slope(), level.determination()),
            (Some(0.0), Some(1.0))
        );
        assert_eq!(level.correlation(), None);
        let endless = of(&[(1.0, f64::INFINITY), (2.0, 3.0)]);
        assert!(endless.correlation().is_some_and(f64::is_nan));
        assert_eq!(endless.mean_x(), Some(1.5));
    }

    proptest! {
        #[test]
        fn the_order_of_pairs_cannot_be_seen(
            pairs in prop::collection::vec((-1e6..1e6f64, -1e-6..1e3f64), 0..20),
            gone in (any::<f64>(), any::<f64>()),
        ) {
            let forward = of(&pairs);
            let mut other = of(&[gone]);
            let (half, rest) = pairs.split_at(pairs.len() / 2);
            other.merge(&of(rest));
            half.iter().rev().for_each(|it| other.add(it.0, it.1, 1));
            other.add(gone.0, gone.1, -1);
            prop_assert_eq!(&forward, &other);
            if let (Some(exact), true) = (forward.covariance(false), 1 < pairs.len()) {
                let count = pairs.len() as f64;
                let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
                let (x, y) = (mean(|it| it.0), mean(|it| it.1));
                let plain = pairs.iter().map(|it| (it.0 - x) * (it.1 - y)).sum::<f64>() / count;
                prop_assert!((exact - plain).abs() <= 1e-6 * plain.abs().max(1e3));
            }
        }
    }
}

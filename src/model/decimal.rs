//! Decimal numbers: an integer of up to 38 digits, and how many of them stand behind the point.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// A decimal number. Those of one column have one scale, so they order as their digits do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Decimal {
    unscaled: i128,
    scale: i8,
}

impl Decimal {
    /// `unscaled · 10^-scale`.
    pub fn new(unscaled: i128, scale: i8) -> Self {
        Decimal { unscaled, scale }
    }

    /// Its digits as an integer.
    pub fn unscaled(&self) -> i128 {
        self.unscaled
    }

    /// How many of its digits stand behind the point.
    pub fn scale(&self) -> i8 {
        self.scale
    }

    /// The float that is nearest to it.
    pub fn to_f64(self) -> f64 {
        let text = self.to_string();
        text.parse().expect("digits with a point are a float")
    }

    /// Reads a number in plain or scientific notation as digits of a scale; what is finer is rounded, half away from zero.
    ///
    /// Nothing if it is no number, or if `precision` digits do not hold it.
    pub fn parse(text: &str, precision: u8, scale: i8) -> Option<i128> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (is_negative, digits) = match number.as_bytes().first()? {
            b'-' => (true, &number[1..]),
            b'+' => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all = || whole.bytes().chain(part.bytes());
        if all().next().is_none() || !all().all(|it| it.is_ascii_digit()) {
            return None;
        }
        // How many of the digits stand before the point once the number is an integer of the scale.
        let places = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(scale);
        let limit = 10_i128.checked_pow(u32::from(precision))?;
        let mut unscaled = 0_i128;
        let mut rest = all();
        for _ in 0..places.max(0) {
            // Past its last digit a number goes on in zeros, for which only a zero has unlimited room.
            let digit = match rest.next() {
                Some(digit) => i128::from(digit - b'0'),
                None if unscaled == 0 => break,
                None => 0,
            };
            unscaled = unscaled.checked_mul(10)?.checked_add(digit)?;
            if limit <= unscaled {
                return None;
            }
        }
        if 0 <= places && rest.next().is_some_and(|it| b'5' <= it) {
            unscaled += 1;
        }
        (unscaled < limit).then_some(if is_negative { -unscaled } else { unscaled })
    }
}

impl Display for Decimal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let digits = self.unscaled.unsigned_abs().to_string();
        match usize::try_from(self.scale) {
            Ok(0) => write!(f, "{sign}{digits}"),
            Ok(scale) => {
                let digits = format!("{digits:0>width$}", width = scale + 1);
                let (whole, part) = digits.split_at(digits.len() - scale);
                write!(f, "{sign}{whole}.{part}")
            }
            Err(_) => write!(
                f,
                "{sign}{digits}{:0<1$}",
                "",
                usize::from(self.scale.unsigned_abs())
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_with_all_digits_of_their_scale() {
        let text = |unscaled, scale| Decimal::new(unscaled, scale).to_string();
        assert_eq!(text(1250, 2), "12.50");
        assert_eq!(text(-5, 2), "-0.05");
        assert_eq!(text(7, 0), "7");
        assert_eq!(text(7, -2), "700");
        assert_eq!(
            text(-(10_i128.pow(38) - 1), 38),
            format!("-0.{}", "9".repeat(38))
        );
    }

    #[test]
    fn texts_are_read_as_digits_of_a_scale_and_rounded() {
        let read = |text| Decimal::parse(text, 6, 2);
        assert_eq!(read("12.5"), Some(1250));
        assert_eq!(read("-12.505"), Some(-1251));
        assert_eq!(read("1e2"), Some(10000));
        assert_eq!(read("125e-1"), Some(1250));
        assert_eq!(read("0.004"), Some(0));
        assert_eq!(read("0e99999"), Some(0));
        assert_eq!(read("1e-99999"), Some(0));
        assert_eq!(read("9999.99"), Some(999_999));
        assert_eq!(read(".5"), Some(50));
        for none in [
            "9999.995", "10000", "1e99999", "", "-", ".", "1.2.3", "NaN", "0x10", "1 2",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
        let most = "9".repeat(38);
        assert_eq!(Decimal::parse(&most, 38, 0), Some(10_i128.pow(38) - 1));
        assert_eq!(Decimal::parse(&format!("{most}.5"), 38, 0), None);
    }
}

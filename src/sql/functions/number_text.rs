//! `number_text(number, pattern)`: what `to_char` of a number stands for. Patterns are those of Postgres: `9` is a digit, or a blank before the first one, `0` is
//! a digit in any case, `,` and `G` stand between digits, `.` and `D` before the fraction, `S` is a sign, `MI` a minus or a blank, and `FM` at the
//! beginning leaves out blanks, and zeros at the end of the fraction.
//!
//! A number with more digits than the pattern has places for is printed as `#`, as in Postgres.

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{DataFusionError, Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// The function that `to_char` of a number stands for.
pub const NUMBER_TEXT: &str = "number_text";

/// As many digits of a double are printed as Postgres takes for certain.
const DOUBLE_DIGITS: usize = 15;

pub(super) fn number_text() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(NumberText {
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

/// A pattern of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberPattern {
    /// Whether blanks and the last zeros are left out.
    fills: bool,
    places: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Digit {
        always: bool,
    },
    Group,
    Point,
    /// Right before the first digit.
    SignBefore,
    SignBehind,
    Minus,
    Text(String),
}

impl NumberPattern {
    /// A pattern of `to_char`, if it is one of numbers.
    ///
    /// # Errors
    /// Names what such a pattern cannot have.
    pub fn of(pattern: &str) -> Option<Result<Self, String>> {
        let mut places = Vec::new();
        let begins = |rest: &str, with: &str| {
            rest.get(..with.len())
                .is_some_and(|it| it.eq_ignore_ascii_case(with))
        };
        let fills = begins(pattern, "FM");
        let mut rest = if fills { &pattern[2..] } else { pattern };
        while let Some(next) = rest.chars().next() {
            let has_digits = places
                .iter()
                .any(|it| matches!(it, Place::Digit { .. } | Place::Point));
            let (place, length) = match next.to_ascii_uppercase() {
                '9' => (Place::Digit { always: false }, 1),
                '0' => (Place::Digit { always: true }, 1),
                ',' | 'G' => (Place::Group, 1),
                '.' | 'D' => (Place::Point, 1),
                'S' if has_digits => (Place::SignBehind, 1),
                'S' => (Place::SignBefore, 1),
                'M' if begins(rest, "MI") => (Place::Minus, 2),
                '"' => {
                    let text = rest[1..].split('"').next().unwrap_or_default();
                    (Place::Text(text.to_owned()), text.len() + 2)
                }
                it if it.is_alphabetic() => return None,
                // Of strftime.
                '%' => return None,
                _ => (Place::Text(next.to_string()), next.len_utf8()),
            };
            places.push(place);
            rest = rest.get(length..).unwrap_or_default();
        }
        let is_digit = |it: &Place| matches!(it, Place::Digit { .. });
        if !places.iter().any(is_digit) {
            return None;
        }
        let count = |wanted: fn(&Place) -> bool| places.iter().filter(|it| wanted(it)).count();
        let signs = count(|it| matches!(it, Place::SignBefore | Place::SignBehind | Place::Minus));
        let points = count(|it| matches!(it, Place::Point));
        let whole = places.iter().take_while(|it| **it != Place::Point);
        if points > 1 || signs > 1 || !whole.clone().any(is_digit) {
            return Some(Err(format!(
                "to_char: '{pattern}' is no pattern of numbers; it has a digit before the point, one point and one sign at most, as in 'FM999,990.00' and 'S9990.0'"
            )));
        }
        Some(Ok(NumberPattern { fills, places }))
    }

    /// How many digits stand before the point, and how many behind.
    fn digits(&self) -> (usize, usize) {
        let is_digit = |it: &&Place| matches!(it, Place::Digit { .. });
        let whole = self.places.iter().take_while(|it| **it != Place::Point);
        let whole = whole.filter(is_digit).count();
        let all = self.places.iter().filter(is_digit).count();
        (whole, all - whole)
    }

    /// A number by its digits, rounded to those of the fraction.
    fn print(&self, number: &Digits) -> String {
        let (places_of_whole, places_of_fraction) = self.digits();
        let is_too_long = places_of_whole < number.whole.len();
        let (whole, fraction) = match is_too_long {
            true => ("#".repeat(places_of_whole), "#".repeat(places_of_fraction)),
            false => (
                format!("{:0>places_of_whole$}", number.whole),
                number.fraction.clone(),
            ),
        };
        let always: Vec<bool> = self
            .places
            .iter()
            .filter_map(|it| match it {
                Place::Digit { always } => Some(*always),
                _ => None,
            })
            .collect();
        let (of_whole, of_fraction) = always.split_at(places_of_whole);
        let first_zero = of_whole.iter().position(|it| *it);
        let kept = match self.fills && !is_too_long {
            false => places_of_fraction,
            true => {
                let zeros = of_fraction
                    .iter()
                    .rposition(|it| *it)
                    .map_or(0, |it| it + 1);
                zeros.max(fraction.trim_end_matches('0').len())
            }
        };
        let kept = kept.min(fraction.len());
        // The place from which on digits of the whole part are printed: of nothing but zeros one, where no fraction follows.
        let begins = match (is_too_long, number.whole.is_empty()) {
            (true, _) => 0,
            (false, true) if kept == 0 => places_of_whole - 1,
            (false, _) => places_of_whole - number.whole.len(),
        };
        let begins = first_zero.map_or(begins, |it| it.min(begins));
        let mut sign = Some(match (self.sign(), number.is_negative) {
            (Some(Place::SignBefore), false) => "+",
            (Some(Place::SignBefore) | None, true) => "-",
            (None, false) if !self.fills => " ",
            _ => "",
        });
        let blank = if self.fills { "" } else { " " };
        let mut text = String::new();
        // Which digit is next, before the point and behind it.
        let (mut of_whole, mut of_fraction) = (0, None);
        for place in &self.places {
            match (place, of_fraction) {
                (Place::Digit { .. }, None) => {
                    if begins <= of_whole {
                        text.push_str(sign.take().unwrap_or_default());
                        text.push_str(&whole[of_whole..=of_whole]);
                    } else {
                        text.push_str(blank);
                    }
                    of_whole += 1;
                }
                (Place::Digit { .. }, Some(at)) => {
                    text.push_str(sign.take().unwrap_or_default());
                    if at < kept {
                        text.push_str(&fraction[at..=at]);
                    }
                    of_fraction = Some(at + 1);
                }
                (Place::Group, _) if begins < of_whole => text.push(','),
                (Place::Group, _) => text.push_str(blank),
                (Place::Point, _) => {
                    if 0 < places_of_fraction || is_too_long {
                        text.push_str(sign.take().unwrap_or_default());
                        text.push('.');
                    }
                    of_fraction = Some(0);
                }
                (Place::SignBefore, _) => {}
                (Place::SignBehind, _) => text.push(if number.is_negative { '-' } else { '+' }),
                (Place::Minus, _) if number.is_negative => text.push('-'),
                (Place::Minus, _) => text.push_str(blank),
                (Place::Text(it), _) => text.push_str(it),
            }
        }
        text
    }

    fn sign(&self) -> Option<&Place> {
        let is_sign =
            |it: &&Place| matches!(it, Place::SignBefore | Place::SignBehind | Place::Minus);
        self.places.iter().find(is_sign)
    }
}

/// A number as it is printed: without zeros before the first digit of its whole part.
#[derive(Debug, PartialEq, Eq)]
struct Digits {
    is_negative: bool,
    whole: String,
    fraction: String,
}

impl Digits {
    /// Of a whole number, or one with a fixed number of digits behind the point; half a digit is rounded away from zero.
    fn of_exact(text: &str, digits: usize) -> Self {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let rounds_up = fraction
            .as_bytes()
            .get(digits)
            .is_some_and(|it| b'5' <= *it);
        let fraction = fraction.get(..digits).unwrap_or(fraction);
        let mut all = format!("0{whole}{fraction:0<digits$}").into_bytes();
        if rounds_up {
            for digit in all.iter_mut().rev() {
                *digit = if *digit == b'9' { b'0' } else { *digit + 1 };
                if *digit != b'0' {
                    break;
                }
            }
        }
        let all = String::from_utf8_lossy(&all).into_owned();
        let (whole, fraction) = all.split_at(all.len() - digits);
        let is_zero = all.bytes().all(|it| it == b'0');
        Digits {
            is_negative: is_negative && !is_zero,
            whole: whole.trim_start_matches('0').to_owned(),
            fraction: fraction.to_owned(),
        }
    }

    /// Of a double: its exact value, rounded to the digits that are certain.
    fn of_double(number: f64, digits: usize) -> Self {
        let whole = format!("{:.0}", number.abs()).len();
        let certain = digits.min(DOUBLE_DIGITS.saturating_sub(whole));
        let text = format!("{:.certain$}", number.abs());
        Digits {
            is_negative: number.is_sign_negative(),
            ..Digits::of_exact(&text, certain)
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NumberText {
    signature: Signature,
}

impl ScalarUDFImpl for NumberText {
    fn name(&self) -> &str {
        NUMBER_TEXT
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [number, pattern]
                if (number.is_numeric() || *number == DataType::Null)
                    && (pattern.is_string() || *pattern == DataType::Null) =>
            {
                let number = match number.is_floating() || *number == DataType::Null {
                    true => DataType::Float64,
                    false => number.clone(),
                };
                Ok(vec![number, DataType::Utf8])
            }
            _ => plan_err!(
                "to_char with a pattern of 9 and 0 takes a number; CAST the value to DECIMAL, or write a pattern of times"
            ),
        }
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [numbers, ColumnarValue::Scalar(pattern)] = args.args.as_slice() else {
            return exec_err!("to_char of a number takes a constant pattern");
        };
        let Some(pattern) = pattern.try_as_str().flatten() else {
            return exec_err!("to_char of a number takes a constant pattern");
        };
        let pattern = match NumberPattern::of(pattern) {
            Some(it) => it.map_err(DataFusionError::Execution)?,
            None => return exec_err!("'{pattern}' is no pattern of numbers"),
        };
        let (_, digits) = pattern.digits();
        let numbers = numbers.to_array(args.number_rows)?;
        let texts: StringArray = match numbers.data_type() {
            DataType::Float64 => {
                let numbers = numbers.as_primitive::<Float64Type>();
                let print = |it: f64| match it.is_finite() {
                    true => Ok(pattern.print(&Digits::of_double(it, digits))),
                    false => exec_err!("to_char prints no {it}"),
                };
                let texts = numbers.iter().map(|it| it.map(print).transpose());
                texts.collect::<Result<_>>()?
            }
            _ => {
                let numbers = cast(&numbers, &DataType::Utf8)?;
                let numbers = numbers.as_string::<i32>();
                let print = |it| pattern.print(&Digits::of_exact(it, digits));
                numbers.iter().map(|it| it.map(print)).collect()
            }
        };
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those of PostgreSQL 16.
    #[test]
    fn numbers_are_printed_as_postgres_prints_them() {
        let pattern = |text: &str| NumberPattern::of(text).and_then(Result::ok);
        let exact = |number: &str, text: &str| {
            let pattern = pattern(text)?;
            Some(pattern.print(&Digits::of_exact(number, pattern.digits().1)))
        };
        for (number, pattern, expected) in [
            ("1234567.891", "FM999,999,990.00", "1,234,567.89"),
            ("1234.5", "FM999,999,990.00", "1,234.50"),
            ("0", "FM999,999,990.00", "0.00"),
            ("-1234.5", "999,999.99", "  -1,234.50"),
            ("12345678", "999,999", " ###,###"),
            ("0", "9", " 0"),
            ("0", "99.9", "   .0"),
            ("0", "FM9.9", "0."),
            ("0.5", "FM9.9", ".5"),
            ("0.05", "9.9", "  .1"),
            ("-0.04", "9.9", "  .0"),
            ("999.995", "990.09", " ###.##"),
            ("1.5", "FM90.990", "1.500"),
            ("-12", "$999", "$ -12"),
            ("1234.5", "$9,999.99", "$ 1,234.50"),
            ("7", "00000", " 00007"),
            ("-7", "FM00000", "-00007"),
            ("12", "S999", " +12"),
            ("-12", "S$999", "$ -12"),
            ("-12", "999S", " 12-"),
            ("12", "999MI", " 12 "),
            ("-12", "FM999MI", "12-"),
            ("12", "MI999", "  12"),
            ("9", "999.", "   9"),
            ("1234", "999.", " ###."),
            ("1234.5", "9G999D99", " 1,234.50"),
            ("1234.5", "FM9,999.99\" EUR\"", "1,234.5 EUR"),
            ("100", "-999", "- 100"),
            ("12", "(999)", "(  12)"),
            ("9.99", "9,9,9", "   1,0"),
            ("12.3", "0,000", " 0,012"),
        ] {
            assert_eq!(
                exact(number, pattern).as_deref(),
                Some(expected),
                "{number} {pattern}"
            );
        }
        let double = |number: f64, text: &str| {
            let pattern = pattern(text)?;
            Some(pattern.print(&Digits::of_double(number, pattern.digits().1)))
        };
        for (number, pattern, expected) in [
            (2.675, "9.99", " 2.67"),
            (2.5, "9", " 2"),
            // No more digits than are certain.
            (0.1, "0.99999999999999999999", " 0.10000000000000"),
            (
                123_456_789.123_456_79,
                "999999999.999999999",
                " 123456789.123457",
            ),
            (
                1e20,
                "999,999,999,999,999,999,999",
                " 100,000,000,000,000,000,000",
            ),
            (-1e-7, "9.9", " -.0"),
        ] {
            assert_eq!(
                double(number, pattern).as_deref(),
                Some(expected),
                "{number} {pattern}"
            );
        }
    }

    #[test]
    fn patterns_of_times_are_none_of_numbers() {
        for text in ["YYYY-MM-DD", "HH24:MI", "MI", "%Y", "FM990.0%", "", "Q"] {
            assert_eq!(NumberPattern::of(text), None, "{text}");
        }
        for text in ["9.9.9", "S9S", ".99", "MI9S"] {
            let refused = NumberPattern::of(text).and_then(Result::err);
            assert!(refused.is_some_and(|it| it.contains("as in 'FM")), "{text}");
        }
    }
}

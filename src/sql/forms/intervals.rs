//! Intervals as the planner neither computes nor compares them.
//!
//! Products: `INTERVAL '1 hour' * n`, `n * INTERVAL '1 day'`, `INTERVAL '1 hour' / 2`.
//!
//! Comparisons: the difference of two times is a length in hours and less, and the planner compares months first, then days, then the rest. So
//! `b - a > INTERVAL '1 day'` would never hold, and `INTERVAL '24 hours'` be less than a day. As in Postgres a day has 24 hours there and a
//! month 30 days: a constant that is compared is written in hours and less.

use crate::sql::syntax::interval_us;
use arrow::compute::kernels::cast_utils::{
    IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config,
};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DataType, DateTimeField, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Interval, UnaryOperator, Value,
};

/// A product or quotient with an interval, if it is one: a constant interval, or the length of so many microseconds.
///
/// # Errors
/// If a number of months is computed.
pub fn scaled(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<String>, String> {
    let (interval, number) = match (op, constant(left), constant(right)) {
        (BinaryOperator::Multiply | BinaryOperator::Divide, Some(it), None) => (it, right),
        (BinaryOperator::Multiply, None, Some(it)) => (it, left),
        _ => return Ok(None),
    };
    let by_constant = number_of(number);
    match (interval_us(interval), by_constant) {
        (Some(us), Some(by)) => {
            let scaled = match op {
                BinaryOperator::Divide => us as f64 / by,
                _ => us as f64 * by,
            };
            // Whole numbers above are no longer exact.
            if !scaled.is_finite() || (1_u64 << f64::MANTISSA_DIGITS) as f64 <= scaled.abs() {
                return Err(format!(
                    "{left} {op} {right} is no interval; the longest is of 285 years"
                ));
            }
            Ok(Some(of_us(scaled.round() as i64)))
        }
        (Some(us), None) => Ok(Some(format!(
            "arrow_cast(CAST(round({us} {op} CAST({number} AS DOUBLE)) AS BIGINT), 'Duration(Microsecond)')"
        ))),
        (None, _) => Err(format!(
            "{left} {op} {right} is not computed, since months differ in length; write timestampadd(MONTH, number, time) with a constant number"
        )),
    }
}

/// An interval of several fields of the SQL standard, in one unit: `INTERVAL '1-2' YEAR TO MONTH`, `INTERVAL '1 02:03:04.5' DAY TO SECOND`. One
/// of a single field stays, without the number of its digits.
///
/// # Errors
/// If its text does not have these fields.
pub fn of_fields(text: &str, interval: &Interval) -> Result<Option<String>, String> {
    let Some(first) = &interval.leading_field else {
        return Ok(in_seconds(text));
    };
    let Some(last) = &interval.last_field else {
        let has_digits =
            interval.leading_precision.is_some() || interval.fractional_seconds_precision.is_some();
        return Ok(has_digits.then(|| format!("INTERVAL {} {first}", super::quoted(text))));
    };
    let found = match (first, last) {
        (DateTimeField::Year, DateTimeField::Month) => {
            of_months(text).map(|it| format!("INTERVAL '{it}' MONTH"))
        }
        _ => of_time(text, first, last).map(of_us),
    };
    found.map(Some).ok_or_else(|| {
        format!(
            "'{text}' is no interval of {first} TO {last}; write INTERVAL '1-2' YEAR TO MONTH, INTERVAL '1 02:03:04.5' DAY TO SECOND, or INTERVAL '90 seconds'"
        )
    })
}

/// A number without a unit is of seconds, as in Postgres; the planner takes it for months.
pub fn in_seconds(text: &str) -> Option<String> {
    let text = text.trim();
    let (_, unsigned) = signed(text);
    let is_number = unsigned.starts_with(|it: char| it.is_ascii_digit() || it == '.')
        && unsigned.bytes().all(|it| it.is_ascii_digit() || it == b'.')
        && unsigned.parse::<f64>().is_ok();
    is_number.then(|| format!("INTERVAL {} SECOND", super::quoted(text)))
}

/// The sign of an interval, and what is behind it.
fn signed(text: &str) -> (i64, &str) {
    let text = text.trim();
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest.trim_start()),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// A number of plain digits.
fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn of_months(text: &str) -> Option<i64> {
    let (sign, text) = signed(text);
    let (years, months) = text.split_once('-')?;
    let months = digits(months).filter(|it| *it < 12)?;
    let all = digits(years)?.checked_mul(12)?.checked_add(months)?;
    Some(sign * all)
}

/// Microseconds of days, hours, minutes and seconds, from one of these to another.
fn of_time(text: &str, first: &DateTimeField, last: &DateTimeField) -> Option<i64> {
    // Each with how many the next larger one has of it.
    static FIELDS: [(DateTimeField, i64, i64); 4] = [
        (DateTimeField::Day, 86_400_000_000, i64::MAX),
        (DateTimeField::Hour, 3_600_000_000, 24),
        (DateTimeField::Minute, 60_000_000, 60),
        (DateTimeField::Second, 1_000_000, 60),
    ];
    let place = |field: &DateTimeField| FIELDS.iter().position(|it| it.0 == *field);
    let fields = FIELDS.get(place(first)?..=place(last)?)?;
    let (sign, text) = signed(text);
    let parts: Vec<&str> = text.split([' ', ':']).collect();
    if parts.len() != fields.len() {
        return None;
    }
    let mut sum = 0_i64;
    for (at, (part, (field, size, most))) in parts.iter().zip(fields).enumerate() {
        let (whole, fraction) = match part.split_once('.') {
            Some((whole, fraction)) if *field == DateTimeField::Second => (whole, fraction),
            Some(_) => return None,
            None => (*part, ""),
        };
        let number = digits(whole).filter(|it| at == 0 || it < most)?;
        let micros = match fraction.len() {
            0 => 0,
            1..=6 => digits(&format!("{fraction:0<6}"))?,
            _ => return None,
        };
        let us = number.checked_mul(*size)?.checked_add(micros)?;
        sum = sum.checked_add(us)?;
    }
    Some(sign * sum)
}

fn constant(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Nested(it) => constant(it),
        Expr::Interval(_) => Some(expr),
        _ => None,
    }
}

fn number_of(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Nested(it) => number_of(it),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => number_of(expr).map(|it| -it),
        Expr::Value(it) => match &it.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Writes constant intervals that an expression compares in hours and less.
///
/// # Errors
/// If one is longer than 292,000 years.
pub fn comparable(expr: &mut Expr) -> Result<(), String> {
    use BinaryOperator as Op;
    match expr {
        Expr::BinaryOp {
            left,
            op: Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq | Op::Spaceship,
            right,
        }
        | Expr::IsDistinctFrom(left, right)
        | Expr::IsNotDistinctFrom(left, right) => {
            in_hours(left)?;
            in_hours(right)
        }
        Expr::Between {
            expr, low, high, ..
        } => [expr, low, high]
            .into_iter()
            .try_for_each(|it| in_hours(it)),
        Expr::InList { expr, list, .. } => {
            in_hours(expr)?;
            list.iter_mut().try_for_each(in_hours)
        }
        Expr::Case {
            operand: Some(operand),
            conditions,
            ..
        } => {
            in_hours(operand)?;
            let mut conditions = conditions.iter_mut();
            conditions.try_for_each(|it| in_hours(&mut it.condition))
        }
        Expr::Function(call) if is_one_of(call, &["greatest", "least", "nullif"]) => in_hours(expr),
        _ => Ok(()),
    }
}

/// Writes the constant intervals that a value is, may be or is the sum of in hours and less.
fn in_hours(value: &mut Expr) -> Result<(), String> {
    if let Some(us) = length_us(value)? {
        *value = crate::sql::syntax::parse_expression(&of_us_in(us, &UNITS[1..]))?;
        return Ok(());
    }
    match value {
        Expr::Nested(it)
        | Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: it,
        } => in_hours(it),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Plus | BinaryOperator::Minus,
            right,
        } if is_constant(left) && is_constant(right) => {
            in_hours(left)?;
            in_hours(right)
        }
        Expr::Case {
            conditions,
            else_result,
            ..
        } => {
            for CaseWhen { result, .. } in conditions {
                in_hours(result)?;
            }
            else_result.as_mut().map_or(Ok(()), |it| in_hours(it))
        }
        Expr::Function(call) if is_one_of(call, &["coalesce", "greatest", "least", "nullif"]) => {
            let FunctionArguments::List(list) = &mut call.args else {
                return Ok(());
            };
            list.args.iter_mut().try_for_each(|it| match it {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => in_hours(it),
                _ => Ok(()),
            })
        }
        _ => Ok(()),
    }
}

fn is_one_of(call: &Function, names: &[&str]) -> bool {
    let name = call.name.to_string();
    names.iter().any(|it| name.eq_ignore_ascii_case(it))
}

/// Whether it is a constant interval, or a sum of some.
fn is_constant(value: &Expr) -> bool {
    match value {
        Expr::Nested(it)
        | Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: it,
        } => is_constant(it),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Plus | BinaryOperator::Minus,
            right,
        } => is_constant(left) && is_constant(right),
        other => matches!(length_us(other), Ok(Some(_))),
    }
}

/// How long a constant interval is to who compares it, in microseconds; nothing if it is none, or the planner has to say what is wrong with it.
fn length_us(value: &Expr) -> Result<Option<i64>, String> {
    let text = |it: &Expr| match it {
        Expr::Value(it) => match &it.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    let text = match value {
        Expr::Interval(it) if it.last_field.is_none() => {
            let unit = it.leading_field.as_ref();
            text(&it.value).map(|it| match unit {
                Some(unit) => format!("{it} {unit}"),
                None => it,
            })
        }
        Expr::Cast {
            expr,
            data_type: DataType::Interval { fields: None, .. },
            ..
        } => text(expr),
        _ => None,
    };
    let seconds = || IntervalParseConfig::new(IntervalUnit::Second);
    let parsed = text.and_then(|it| parse_interval_month_day_nano_config(&it, seconds()).ok());
    let Some(parsed) = parsed else {
        return Ok(None);
    };
    let days = i128::from(parsed.months) * 30 + i128::from(parsed.days);
    let us = days * 86_400_000_000 + i128::from(parsed.nanoseconds) / 1_000;
    let us = i64::try_from(us).map_err(|_| format!("{value} is too long to be compared"))?;
    Ok(Some(us))
}

const UNITS: [(i64, &str); 5] = [
    (86_400_000_000, "DAY"),
    (3_600_000_000, "HOUR"),
    (60_000_000, "MINUTE"),
    (1_000_000, "SECOND"),
    (1_000, "MILLISECOND"),
];

/// An interval in its largest unit.
fn of_us(us: i64) -> String {
    of_us_in(us, &UNITS)
}

/// An interval in the largest of these units, or microseconds.
fn of_us_in(us: i64, units: &[(i64, &str)]) -> String {
    let (size, unit) = units
        .iter()
        .copied()
        .find(|it| us % it.0 == 0)
        .unwrap_or((1, "MICROSECOND"));
    format!("INTERVAL '{}' {unit}", us / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_fields() {
        use DateTimeField::{Day, Hour, Minute, Second};
        for (text, first, last, expected) in [
            ("10 00:00:00.004", Day, Second, Some(864_000_004_000)),
            ("-1 02", Day, Hour, Some(-93_600_000_000)),
            ("30:05", Hour, Minute, Some(108_300_000_000)),
            ("1:1.5", Minute, Second, Some(61_500_000)),
            ("1 24:00:00", Day, Second, None),
            ("1:2:3", Hour, Minute, None),
            ("1.5:00", Hour, Minute, None),
            ("99999999999999 00", Day, Hour, None),
        ] {
            assert_eq!(of_time(text, &first, &last), expected, "{text}");
        }
        assert_eq!(of_months("-10-3"), Some(-123));
        assert_eq!(of_months("1-12"), None);
    }
}

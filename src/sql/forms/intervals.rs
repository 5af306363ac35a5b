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
    BinaryOperator, CaseWhen, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, UnaryOperator, Value,
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

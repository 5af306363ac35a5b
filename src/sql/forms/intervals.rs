//! Intervals times a number, which the planner does not compute: `INTERVAL '1 hour' * n`, `n * INTERVAL '1 day'`, `INTERVAL '1 hour' / 2`.

use crate::sql::syntax::interval_us;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

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

/// An interval in its largest unit.
fn of_us(us: i64) -> String {
    const UNITS: [(i64, &str); 5] = [
        (86_400_000_000, "DAY"),
        (3_600_000_000, "HOUR"),
        (60_000_000, "MINUTE"),
        (1_000_000, "SECOND"),
        (1_000, "MILLISECOND"),
    ];
    let (size, unit) = UNITS
        .into_iter()
        .find(|it| us % it.0 == 0)
        .unwrap_or((1, "MICROSECOND"));
    format!("INTERVAL '{}' {unit}", us / size)
}

//! `AT TIME ZONE`: from an instant to local time, or from local time to an instant.
//!
//! Columns have one type for both, so what a time is is told by how it is written. Where that does not tell, the query is refused: either direction
//! would be a silent answer to what may be the other question.

use crate::sql::functions::{INSTANT_OF, LOCAL_TIME};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, TimezoneInfo,
};

/// What a time is by how it is written.
#[derive(Clone, Copy, PartialEq)]
enum Clock {
    /// `TIMESTAMP` without a zone.
    Local,
    /// `TIMESTAMPTZ`.
    Instant,
}

/// `time AT TIME ZONE zone`.
///
/// # Errors
/// If both directions may be meant.
pub fn in_zone(time: &Expr, zone: &Expr) -> Result<String, String> {
    if is_utc(zone) {
        return Ok(format!("({time}) AT TIME ZONE 'UTC'"));
    }
    match clock_of(time) {
        Some(Clock::Instant) => Ok(format!("{LOCAL_TIME}({time}, {zone})")),
        Some(Clock::Local) => Ok(format!("{INSTANT_OF}({time}, {zone})")),
        None => Err(format!(
            "`{time} AT TIME ZONE {zone}` does not tell its direction; write ({time} AT TIME ZONE 'UTC') AT TIME ZONE {zone} for the local time of an instant, CAST({time} AS TIMESTAMP) AT TIME ZONE {zone} for the instant of a local time, or date_trunc('day', {time}, {zone}) for local days"
        )),
    }
}

/// `date_trunc(unit, instant, zone)`: where the unit of the local calendar begins.
///
/// # Errors
/// If the unit is shorter than a day, or no constant.
pub fn truncated(unit: &Expr, time: &Expr, zone: &Expr) -> Result<String, String> {
    const UNITS: [&str; 5] = ["day", "week", "month", "quarter", "year"];
    let known = super::text_of(unit).map(str::to_ascii_lowercase);
    let known = known.filter(|it| UNITS.contains(&it.as_str()));
    let unit = known.ok_or(
        "date_trunc in a zone takes 'day', 'week', 'month', 'quarter' or 'year'; for shorter units leave out the zone",
    )?;
    Ok(format!(
        "{INSTANT_OF}(date_trunc('{unit}', {LOCAL_TIME}({time}, {zone})), {zone})"
    ))
}

/// Whether a zone is UTC, in which an instant and its local time are the same.
pub fn is_utc(zone: &Expr) -> bool {
    super::text_of(zone).is_some_and(|it| it.eq_ignore_ascii_case("UTC"))
}

fn clock_of(time: &Expr) -> Option<Clock> {
    match time {
        Expr::Nested(it) => clock_of(it),
        Expr::Cast { data_type, .. } => clock_of_type(data_type),
        Expr::TypedString(it) => clock_of_type(&it.data_type),
        // In UTC, which stays.
        Expr::AtTimeZone { timestamp, .. } => Some(match clock_of(timestamp) {
            Some(Clock::Instant) => Clock::Local,
            Some(Clock::Local) | None => Clock::Instant,
        }),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Plus | BinaryOperator::Minus,
            right,
        } => clock_of(left).or_else(|| clock_of(right)),
        Expr::Function(call) => {
            let args = match &call.args {
                FunctionArguments::List(list) => list.args.as_slice(),
                FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
            };
            let arg = |at: usize| match args.get(at) {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(it))) => clock_of(it),
                _ => None,
            };
            match call.name.to_string().to_lowercase().as_str() {
                LOCAL_TIME => Some(Clock::Local),
                INSTANT_OF | "now" | "current_timestamp" => Some(Clock::Instant),
                "date_trunc" | "date_bin" => arg(1),
                "min" | "max" | "coalesce" | "greatest" | "least" => arg(0).or_else(|| arg(1)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn clock_of_type(data_type: &DataType) -> Option<Clock> {
    match data_type {
        DataType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
            Some(Clock::Instant)
        }
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
        | DataType::Datetime(_)
        | DataType::Date => Some(Clock::Local),
        _ => None,
    }
}

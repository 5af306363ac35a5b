//! `(start, end) OVERLAPS (start, end)` of two periods of time.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

/// Whether two periods have an instant in common, as Postgres has it: a period begins with the earlier of its two times and ends before the
/// later one, one of a single instant has that instant, and where an unknown time decides the answer is NULL.
///
/// # Errors
/// If they are not of two times each.
pub fn overlap(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<String>, String> {
    if *op != BinaryOperator::Overlaps {
        return Ok(None);
    }
    let (Some(first), Some(second)) = (period(left), period(right)) else {
        return Err(
            "OVERLAPS compares two periods of time: (start, end) OVERLAPS (start, end)".to_owned(),
        );
    };
    let [(a, a_end), (b, b_end)] = [first, second];
    let before = |start: &str, end: &str| {
        format!(
            "CASE WHEN {start} < {end} THEN true WHEN {a_end} IS NOT NULL AND {b_end} IS NOT NULL THEN false END"
        )
    };
    Ok(Some(format!(
        "CASE WHEN {a} > {b} THEN {} WHEN {a} < {b} THEN {} WHEN {a} = {b} AND {a_end} IS NOT NULL AND {b_end} IS NOT NULL THEN true END",
        before(&a, &b_end),
        before(&b, &a_end)
    )))
}

/// Where a period begins and ends.
fn period(expr: &Expr) -> Option<(String, String)> {
    let values = super::row(expr)?;
    let [one, other] = values.as_slice() else {
        return None;
    };
    let other = match other {
        Expr::Interval(_) => format!("({one}) + {other}"),
        time => time.to_string(),
    };
    // A NULL is passed over by both functions.
    let start = format!("least({one}, {other})");
    let end = format!(
        "CASE WHEN ({one}) IS NOT NULL AND ({other}) IS NOT NULL THEN greatest({one}, {other}) END"
    );
    Some((start, format!("({end})")))
}

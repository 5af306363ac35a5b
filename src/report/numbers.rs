//! Values of a report as people read them.

use super::Column;
use crate::plan::Role;
use serde_json::Value as Json;

/// What stands for no value: of a key it is one of its values.
const NOTHING: &str = "–";
const NULL_KEY: &str = "(null)";

/// A value of a column.
pub fn shown(column: &Column, value: &Json) -> String {
    match value {
        Json::Null if column.is_figure() || column.is(Role::Time) => NOTHING.to_owned(),
        Json::Null => NULL_KEY.to_owned(),
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        Json::String(text) if column.is(Role::Time) => time(text),
        Json::String(text) if text.is_empty() => "(empty)".to_owned(),
        Json::Number(_) | Json::String(_) if column.is_figure() => match number_of(value) {
            Some(it) if column.is(Role::Share) && column.unit.as_deref() != Some("%") => {
                percent(100.0 * it)
            }
            Some(it) if column.is(Role::Share) => percent(it),
            Some(it) if column.is(Role::Bytes) => bytes(it),
            Some(it) => number(value, it),
            None => plain(value),
        },
        _ => plain(value),
    }
}

fn percent(number: f64) -> String {
    match 0.0 < number && number < 0.01 {
        true => "< 0.01 %".to_owned(),
        false => format!("{number:.2} %"),
    }
}

/// In the largest unit of which there is one.
fn bytes(number: f64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut size, mut at) = (number, 0);
    while 1_000.0 <= size.abs() && at + 1 < UNITS.len() {
        size /= 1_000.0;
        at += 1;
    }
    match at == 0 && size.fract() == 0.0 {
        true => format!("{size:.0} B"),
        false => format!("{} {}", decimal(size), UNITS[at]),
    }
}

/// The number in a value: decimals are texts.
pub fn number_of(value: &Json) -> Option<f64> {
    let number = match value {
        Json::Number(it) => it.as_f64(),
        Json::String(it) => it.parse().ok(),
        _ => None,
    };
    number.filter(|it| it.is_finite())
}

fn number(value: &Json, number: f64) -> String {
    match value.as_i64() {
        Some(it) => grouped(&it.to_string()),
        None => decimal(number),
    }
}

/// With as many digits as matter: 1,234.5, 12.34, 0.0123.
pub fn decimal(number: f64) -> String {
    let size = number.abs();
    let text = match () {
        () if size == 0.0 => "0".to_owned(),
        () if !(1e-4..1e15).contains(&size) => format!("{number:.3e}"),
        () if 1_000.0 <= size => format!("{number:.1}"),
        () if 1.0 <= size => format!("{number:.2}"),
        () if 0.01 <= size => format!("{number:.3}"),
        () => format!("{number:.5}"),
    };
    grouped(&text)
}

/// With a comma between thousands.
fn grouped(text: &str) -> String {
    let (whole, rest) = match text.find(['.', 'e']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", whole),
    };
    let mut all = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) {
            all.push(',');
        }
        all.push(digit);
    }
    format!("{sign}{all}{rest}")
}

/// A time without what says nothing: `2026-01-31 14:00`.
pub fn time(iso: &str) -> String {
    let text = iso.trim_end_matches('Z').replacen('T', " ", 1);
    let text = match text.split_once('.') {
        Some((whole, rest)) => match rest.get(..3) {
            Some(millis) if rest.bytes().any(|it| it != b'0') => format!("{whole}.{millis}"),
            _ => whole.to_owned(),
        },
        None => text,
    };
    match text.len() == 19 && text.ends_with(":00") {
        true => text[..16].to_owned(),
        false => text,
    }
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_as_their_roles_are_read() {
        for (role, value, expect) in [
            (Role::Count, json!(1234567), "1,234,567"),
            (Role::Count, json!(-1234), "-1,234"),
            (Role::Count, json!(null), "–"),
            (Role::Share, json!(0.12345), "12.35 %"),
            (Role::Share, json!(0), "0.00 %"),
            (Role::Share, json!(0.00001), "< 0.01 %"),
            (Role::Duration, json!(1234.56), "1,234.6"),
            (Role::Duration, json!(0.00012), "0.00012"),
            (Role::Measure, json!(1e20), "1.000e20"),
            (Role::Money, json!("1234.50"), "1,234.5"),
            (Role::Measure, json!("NaN"), "NaN"),
            (
                Role::Time,
                json!("2026-01-31T14:00:00Z"),
                "2026-01-31 14:00",
            ),
            (
                Role::Time,
                json!("2026-01-31T14:00:09.120Z"),
                "2026-01-31 14:00:09.120",
            ),
            (Role::Key, json!(null), "(null)"),
            (Role::Key, json!(""), "(empty)"),
            (Role::Bytes, json!(999), "999 B"),
            (Role::Bytes, json!(21_600_000_000_i64), "21.60 GB"),
            (Role::Status, json!(404), "404"),
            (Role::Flag, json!(true), "yes"),
        ] {
            assert_eq!(
                shown(&Column::new("a", "a", role), &value),
                expect,
                "{value}"
            );
        }
    }
}

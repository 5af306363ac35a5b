//! Times as they stand in files of series: RFC 3339, `YYYY-MM-DD HH:MM:SS`, a date alone, or numbers since 1970.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// From here on a number since 1970 is one of milliseconds: as seconds it would be the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;
/// From here on it is one of microseconds.
const MICROSECONDS_FROM: f64 = 1e14;
/// From here on it is one of nanoseconds.
const NANOSECONDS_FROM: f64 = 1e17;

/// Microseconds since 1970; nothing if it is no time. A time without a zone is taken for UTC.
pub fn micros_of(text: &str) -> Option<i64> {
    let text = text.trim().trim_matches('"').trim();
    if let Ok(number) = text.parse::<f64>() {
        return of_number(number);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    if let Ok(time) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z") {
        return Some(time.timestamp_micros());
    }
    let text = text.trim_end_matches(" UTC");
    let formats = [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
        "%Y/%m/%d %H:%M:%S%.f",
        "%Y/%m/%d %H:%M",
    ];
    let local = formats
        .iter()
        .find_map(|it| NaiveDateTime::parse_from_str(text, it).ok());
    let date = || {
        let dates = ["%Y-%m-%d", "%Y/%m/%d"].into_iter();
        let mut dates = dates.filter_map(|it| NaiveDate::parse_from_str(text, it).ok());
        dates.next()?.and_hms_opt(0, 0, 0)
    };
    Some(local.or_else(date)?.and_utc().timestamp_micros())
}

fn of_number(number: f64) -> Option<i64> {
    let size = number.abs();
    let micros = match () {
        () if size < MILLISECONDS_FROM => number * 1e6,
        () if size < MICROSECONDS_FROM => number * 1e3,
        () if size < NANOSECONDS_FROM => number,
        () => number / 1e3,
    };
    (micros.abs() < 9e18).then_some(micros as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_in_all_its_spellings() {
        let same = [
            "2024-05-12T06:40:00Z",
            "2024-05-12T08:40:00+02:00",
            "2024-05-12 06:40:00",
            "2024-05-12 06:40",
            "2024-05-12T06:40:00.000",
            "\"2024/05/12 06:40:00\"",
            "1715496000",
            "1715496000.0",
            "1715496000000",
            "1715496000000000",
            "1715496000000000000",
            "1.715496e9",
            "2024-05-12 06:40:00+00:00",
            "2024-05-12 08:40:00+0200",
            "2024-05-12 06:40:00 UTC",
        ];
        for text in same {
            assert_eq!(micros_of(text), Some(1_715_496_000_000_000), "{text}");
        }
        assert_eq!(micros_of("2024-05-12"), Some(1_715_472_000_000_000));
        for text in ["", "noon", "2024-13-01 00:00:00", "nan", "inf", "1e30"] {
            assert_eq!(micros_of(text), None, "{text}");
        }
    }
}

//! Instants as logs write them, read into microseconds since 1970-01-01T00:00:00Z.
//!
//! - ISO 8601: `2024-05-12T10:15:30.123456+02:00`. The date is separated from the time by `T` or a space;
//!   the fraction has 1 to 9 digits after a point or comma and is cut to microseconds; the seconds, and the
//!   whole time, may be missing. The zone is `Z`, `+hh:mm`, `+hhmm`, `+hh`, or none, which the source decides.
//! - An epoch number, or its digits as text: seconds if it is closer to zero than 1e11, else milliseconds. In
//!   milliseconds 1e11 is in 1973, in seconds in the year 5138. Micro- and nanoseconds fall beyond the year
//!   9999 and are refused rather than misread.
//! - The access log's `12/May/2024:00:00:17 +0000`.
//!
//! Every part is checked: there is no 30 February, no hour 24 and no second 60. In UTC an instant lies within the years 0 to 9999, so that it has a text
//! that can be read again.

use chrono::{Offset, TimeZone};

const DAY_SECONDS: i64 = 86_400;
const SECOND_US: i64 = 1_000_000;
/// Epoch numbers closer to zero than this are seconds.
const EPOCH_SECONDS_BELOW: i64 = 100_000_000_000;
/// 0000-01-01T00:00:00Z.
const EARLIEST_US: i64 = -62_167_219_200 * SECOND_US;
/// 9999-12-31T23:59:59.999999Z.
const LATEST_US: i64 = 253_402_300_800 * SECOND_US - 1;

/// Where a time without a zone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    East {
        offset_seconds: i32,
    },
    /// A place, whose offset changes in the year.
    Named(chrono_tz::Tz),
}

impl Default for Zone {
    /// UTC.
    fn default() -> Self {
        Zone::East { offset_seconds: 0 }
    }
}

impl Zone {
    /// Reads a name of the time zone database, such as `Europe/Berlin`, or an offset such as `+02:00`.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(named) = text.parse() {
            return Ok(Zone::Named(named));
        }
        let offset = (!text.is_empty()).then(|| zone(text.as_bytes(), 0, Zone::default()));
        let offset = offset.flatten().and_then(|it| i32::try_from(it).ok());
        offset
            .map(|offset_seconds| Zone::East { offset_seconds })
            .ok_or_else(|| {
                format!("timezone '{text}' is unknown; use a name such as 'Europe/Berlin' or an offset such as '+02:00'")
            })
    }

    /// How far east of UTC a local time is, in seconds since the epoch as if it were UTC. A time that comes twice when clocks are put back is
    /// the first of the two; one that is left out when they are put forward is read by the clock as it was before.
    fn offset_seconds(self, local_seconds: i64) -> Option<i64> {
        let place = match self {
            Zone::East { offset_seconds } => return Some(offset_seconds.into()),
            Zone::Named(place) => place,
        };
        let local = chrono::DateTime::from_timestamp(local_seconds, 0)?.naive_utc();
        let offset = match place.offset_from_local_datetime(&local).earliest() {
            Some(it) => it,
            None => place.offset_from_utc_datetime(&(local - chrono::TimeDelta::days(1))),
        };
        Some(offset.fix().local_minus_utc().into())
    }
}

/// Reads an ISO 8601 text or the digits of an epoch number. Without a zone, a text is taken to be in `zone`.
pub fn parse(text: &str, without: Zone) -> Option<i64> {
    let bytes = text.as_bytes();
    match bytes.get(4) {
        Some(b'-') if 10 <= bytes.len() => iso(bytes, without),
        _ => epoch_digits(text),
    }
}

/// Reads what `parse` reads, as days since the epoch. A date alone is that date, in any zone; of an instant
/// it is the day in UTC.
pub fn parse_date(text: &str, without: Zone) -> Option<i32> {
    if text.len() == 10 && text.as_bytes()[4] == b'-' {
        return date(text.as_bytes()).map(|days| days as i32);
    }
    parse(text, without).map(day_of)
}

/// The day in UTC of an instant, in days since the epoch.
pub fn day_of(time_us: i64) -> i32 {
    let days = time_us.div_euclid(DAY_SECONDS * SECOND_US);
    i32::try_from(days).expect("an instant in microseconds is within 300 million days of the epoch")
}

/// Reads epoch seconds or milliseconds.
pub fn from_epoch(value: i64) -> Option<i64> {
    let unit_us = if value.abs_diff(0) < EPOCH_SECONDS_BELOW as u64 {
        SECOND_US
    } else {
        1_000
    };
    within_years(value.checked_mul(unit_us)?)
}

/// Reads what Debezium writes: milliseconds up to the year 5138, microseconds, or nanoseconds.
pub fn from_debezium(value: i64) -> Option<i64> {
    let micros = match value.unsigned_abs() {
        0..100_000_000_000_000 => value.checked_mul(1_000)?,
        100_000_000_000_000..100_000_000_000_000_000 => value,
        _ => value.div_euclid(1_000),
    };
    within_years(micros)
}

/// Reads epoch seconds or milliseconds with a fraction, to the nearest microsecond.
pub fn from_epoch_float(value: f64) -> Option<i64> {
    let unit_us = if value.abs() < EPOCH_SECONDS_BELOW as f64 {
        1e6
    } else {
        1e3
    };
    within_years((value * unit_us).round() as i64)
}

/// Reads the form of access logs, `12/May/2024:00:00:17 +0000`.
pub fn parse_access_log(text: &str) -> Option<i64> {
    let bytes: &[u8; 26] = text.as_bytes().try_into().ok()?;
    let [
        _,
        _,
        b'/',
        m0,
        m1,
        m2,
        b'/',
        _,
        _,
        _,
        _,
        b':',
        _,
        _,
        b':',
        _,
        _,
        b':',
        _,
        _,
        b' ',
        ..,
    ] = bytes
    else {
        return None;
    };
    let month = match &[*m0, *m1, *m2] {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    let year = two(bytes, 7)? * 100 + two(bytes, 9)?;
    let days = days(year, month, two(bytes, 0)?)?;
    let seconds = clock(two(bytes, 12)?, two(bytes, 15)?, two(bytes, 18)?)?;
    let offset = zone(&bytes[21..], 0, Zone::default())?;
    within_years((days * DAY_SECONDS + seconds - offset) * SECOND_US)
}

#[inline]
fn iso(bytes: &[u8], without: Zone) -> Option<i64> {
    let day_seconds = date(bytes)? * DAY_SECONDS;
    if bytes.len() == 10 {
        return within_years((day_seconds - without.offset_seconds(day_seconds)?) * SECOND_US);
    }
    if bytes.len() < 16 || !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' {
        return None;
    }
    let (hour, minute) = (two(bytes, 11)?, two(bytes, 14)?);
    let (mut second, mut fraction_us, mut rest) = (0, 0, 16);
    if bytes.len() >= 19 && bytes[16] == b':' {
        second = two(bytes, 17)?;
        rest = 19;
        if let Some(b'.' | b',') = bytes.get(19) {
            let digits = bytes[20..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            fraction_us = fraction(&bytes[20..20 + digits])?;
            rest = 20 + digits;
        }
    }
    let seconds = day_seconds + clock(hour, minute, second)?;
    let offset = zone(&bytes[rest..], seconds, without)?;
    within_years((seconds - offset) * SECOND_US + fraction_us)
}

/// The microseconds of 1 to 9 digits behind the point; what is finer is cut.
#[inline]
fn fraction(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || 9 < digits.len() {
        return None;
    }
    let mut value_us = 0;
    for place in 0..6 {
        let digit = digits.get(place).map_or(0, |byte| byte - b'0');
        value_us = value_us * 10 + i64::from(digit);
    }
    Some(value_us)
}

/// The seconds that a zone is east of UTC, read from all that follows the time.
#[inline]
fn zone(bytes: &[u8], local_seconds: i64, without: Zone) -> Option<i64> {
    let (sign, hours, minutes) = match bytes {
        [] => return without.offset_seconds(local_seconds),
        [b'Z' | b'z'] => return Some(0),
        [sign, _, _] => (sign, two(bytes, 1)?, 0),
        [sign, _, _, _, _] => (sign, two(bytes, 1)?, two(bytes, 3)?),
        [sign, _, _, b':', _, _] => (sign, two(bytes, 1)?, two(bytes, 4)?),
        _ => return None,
    };
    let seconds = clock(hours, minutes, 0)?;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// The days since the epoch of the `yyyy-mm-dd` that `bytes` starts with.
#[inline]
fn date(bytes: &[u8]) -> Option<i64> {
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    days(
        two(bytes, 0)? * 100 + two(bytes, 2)?,
        two(bytes, 5)?,
        two(bytes, 8)?,
    )
}

/// The two digits at `at`.
#[inline]
fn two(bytes: &[u8], at: usize) -> Option<u32> {
    let (tens, ones) = (
        bytes[at].wrapping_sub(b'0'),
        bytes[at + 1].wrapping_sub(b'0'),
    );
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

#[inline]
fn clock(hour: u32, minute: u32, second: u32) -> Option<i64> {
    let valid = hour < 24 && minute < 60 && second < 60;
    valid.then(|| i64::from(hour * 3_600 + minute * 60 + second))
}

/// The days from the epoch to a date of the Gregorian calendar, if there is such a date.
///
/// This is `days_from_civil` of Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms", for years of
/// four digits: the year starts in March, so that the leap day is its last.
#[inline]
fn days(year: u32, month: u32, day: u32) -> Option<i64> {
    const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *LENGTHS.get(month.wrapping_sub(1) as usize)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if day == 0 || length < day || (month == 2 && day == 29 && !leap) {
        return None;
    }
    // 400 years are added, and their 146,097 days taken away again, to keep January of the year 0 unsigned.
    let march_year = year + 400 - u32::from(month <= 2);
    let (era, year_of_era) = (march_year / 400, march_year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(i64::from(era * 146_097 + day_of_era) - 719_468 - 146_097)
}

/// An epoch number in digits, with a sign and a fraction if need be; the fraction is cut, not rounded.
fn epoch_digits(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let all_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(part) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let part_us = fraction(&part.as_bytes()[..part.len().min(9)])?;
    let size_us = match whole < EPOCH_SECONDS_BELOW {
        true => whole * SECOND_US + part_us,
        false => whole.checked_mul(1_000)?.checked_add(part_us / 1_000)?,
    };
    within_years(if negative { -size_us } else { size_us })
}

fn within_years(time_us: i64) -> Option<i64> {
    (EARLIEST_US..=LATEST_US)
        .contains(&time_us)
        .then_some(time_us)
}

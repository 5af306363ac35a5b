//! Ranges of time as people type them: `24h`, `yesterday`, `2024-05-12..20`, `2024-05-12 14:00 .. 15:30`, `last week`, `all`. In UTC.
//!
//! The same texts mean the same in the page, which reads them itself. A range that is left open ends now, or begins with the first record.

use crate::model::iso_of_micros;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use std::ops::RangeInclusive;

/// What is reported on unless it is said.
pub const DEFAULT: &str = "24h";

/// Times that can be asked for, in microseconds: the years 1700 to 2261.
const TIMES_US: RangeInclusive<i64> = -8_520_336_000_000_000..=9_214_646_400_000_000;
const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3_600 * SECOND_US;
const DAY_US: i64 = 24 * HOUR_US;
const EXAMPLES: &str =
    "write 24h, yesterday, 2024-05-12, 2024-05-12 14:00 .. 15:30, last week, or all";

/// From when to when, in microseconds since 1970; the end is not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// As it was asked for.
    pub text: String,
    /// From the first record on, if there is none.
    pub from: Option<i64>,
    /// Up to the last record, if there is none.
    pub to: Option<i64>,
}

impl TimeRange {
    /// From the first record to the last.
    pub fn all() -> TimeRange {
        TimeRange {
            text: "all".to_owned(),
            from: None,
            to: None,
        }
    }

    /// What a text says at a time.
    ///
    /// # Errors
    /// Says what cannot be read, and what can be written.
    pub fn parse(text: &str, now_us: i64) -> Result<TimeRange, String> {
        let typed = tidy(text);
        let range = |from: Option<i64>, to: Option<i64>| TimeRange {
            text: text.trim().to_owned(),
            from,
            to,
        };
        if typed == "all" || typed == "all data" {
            return Ok(TimeRange {
                text: text.trim().to_owned(),
                ..TimeRange::all()
            });
        }
        if let Some(length) = length_of(&typed)? {
            return checked(range(Some(now_us.saturating_sub(length)), Some(now_us)));
        }
        if let Some((first, last)) = ends_of(&typed) {
            let mut read = between(first, last, now_us)?;
            read.text = text.trim().to_owned();
            return checked(read);
        }
        let reading = Reading {
            now_us,
            begin: None,
        };
        let (from, to) = reading.period(&typed)?;
        if from < to {
            return checked(range(Some(from), Some(to)));
        }
        if typed.starts_with("now") {
            return Err(format!(
                "{text:?} has no length; write 10m, or now-2h .. now-1h"
            ));
        }
        match typed.ends_with(" ago") {
            true => checked(range(Some(from), Some(now_us))),
            // A time of day stands for the hour that begins there.
            false => checked(range(Some(from), Some(from.saturating_add(HOUR_US)))),
        }
    }

    /// Both ends as texts; one that is missing is the first record, or now.
    ///
    /// # Errors
    /// As [`TimeRange::parse`].
    pub fn of_ends(from: Option<&str>, to: Option<&str>, now_us: i64) -> Result<TimeRange, String> {
        let (first, last) = (from.unwrap_or_default(), to.unwrap_or_default());
        let mut range = between(&tidy(first), &tidy(last), now_us)?;
        range.text = format!("{first} .. {last}").trim().to_owned();
        checked(range)
    }

    /// Between two instants; without the one, a day before the other, which is now if it is not said.
    ///
    /// # Errors
    /// If the one is not before the other.
    pub fn of_times(from: Option<i64>, to: Option<i64>, now_us: i64) -> Result<TimeRange, String> {
        let to = to.unwrap_or(now_us);
        let from = from.unwrap_or(to.saturating_sub(DAY_US));
        checked(TimeRange {
            text: format!("{} .. {}", iso_of_micros(from), iso_of_micros(to)),
            from: Some(from),
            to: Some(to),
        })
    }

    /// How long it is, if it has both ends.
    pub fn length_us(&self) -> Option<i64> {
        Some(self.to? - self.from?)
    }
}

fn checked(range: TimeRange) -> Result<TimeRange, String> {
    let known = |it: Option<i64>| it.is_none_or(|it| TIMES_US.contains(&it));
    if !known(range.from) || !known(range.to) {
        return Err(format!(
            "{:?} reaches beyond the years 1700 to 2261",
            range.text
        ));
    }
    match (range.from, range.to) {
        (Some(from), Some(to)) if to <= from => Err(format!(
            "{:?} ends before it begins: {} is not before {}",
            range.text,
            iso_of_micros(from),
            iso_of_micros(to)
        )),
        _ => Ok(range),
    }
}

/// In lower case, with one kind of dash and one blank between words.
fn tidy(text: &str) -> String {
    let dashes = text.replace(['\u{2013}', '\u{2014}', '\u{2212}'], "-");
    let words: Vec<&str> = dashes.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// `10m`, `10 minutes`, `last 10 min`, `last hour`, `now-10m`, `-10m`: so long, up to now.
fn length_of(typed: &str) -> Result<Option<i64>, String> {
    let starts = ["last ", "past ", "newest ", "now - ", "now- ", "now-", "-"];
    let rest = starts.iter().find_map(|it| typed.strip_prefix(it));
    match rest.unwrap_or(typed) {
        "hour" if rest.is_some() => return Ok(Some(HOUR_US)),
        "minute" | "min" if rest.is_some() => return Ok(Some(60 * SECOND_US)),
        "day" if typed.starts_with("past") => return Ok(Some(DAY_US)),
        "week" if typed.starts_with("past") => return Ok(Some(7 * DAY_US)),
        _ => {}
    }
    let rest = rest.unwrap_or(typed).trim_start();
    let digits = rest.find(|it: char| !it.is_ascii_digit());
    let Some(at) = digits.filter(|it| 0 < *it) else {
        return Ok(None);
    };
    let unit = rest[at..].trim_start();
    match unit.chars().all(|it| it.is_ascii_lowercase()) {
        true if !["am", "pm"].contains(&unit) => span_us(&rest[..at], unit).map(Some),
        _ => Ok(None),
    }
}

fn span_us(count: &str, unit: &str) -> Result<i64, String> {
    let seconds = match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "wk" | "week" | "weeks" => 604_800,
        it if it.starts_with("mo") => {
            return Err("months differ in length; write it in days: 30d".to_owned());
        }
        it if it.starts_with('y') => {
            return Err("years differ in length; write it in days: 365d".to_owned());
        }
        it => return Err(format!("{it:?} is no unit of time; write 10m, 10h or 10d")),
    };
    let length = count.parse::<i64>().ok();
    let length = length.and_then(|it| it.checked_mul(seconds * SECOND_US));
    match length {
        Some(it) if 0 < it && it <= 36_600 * DAY_US => Ok(it),
        Some(0) => Err(format!("{count}{unit} has no length; write 1m or more")),
        _ => Err(format!("{count}{unit} is longer than 100 years; write all")),
    }
}

/// Both ends of `a .. b`, `a to b`, `since a`, `until b`, and of ISO's `a/b`; one of them may be empty.
fn ends_of(typed: &str) -> Option<(&str, &str)> {
    if let Some((first, last)) = typed.split_once("..") {
        return Some((first.trim(), last.trim_start_matches('.').trim()));
    }
    let from = typed.strip_prefix("from ").unwrap_or(typed);
    for word in [" to ", " until ", " till ", " - "] {
        if let Some((first, last)) = from.split_once(word) {
            return Some((first.trim(), last.trim()));
        }
    }
    for word in ["since ", "from "] {
        if let Some(first) = typed.strip_prefix(word) {
            return Some((first.trim(), ""));
        }
    }
    for word in ["until ", "till ", "before "] {
        if let Some(last) = typed.strip_prefix(word) {
            return Some(("", last.trim()));
        }
    }
    typed
        .split_once('/')
        .filter(|it| it.1.starts_with(|it: char| it.is_ascii_digit()))
}

fn between(first: &str, last: &str, now_us: i64) -> Result<TimeRange, String> {
    if first.is_empty() && last.is_empty() {
        return Err(format!("the range has neither begin nor end; {EXAMPLES}"));
    }
    let mut reading = Reading {
        now_us,
        begin: None,
    };
    let mut from = None;
    if !first.is_empty() {
        let (begin, _) = reading.period(first)?;
        reading.begin = Some((first, begin));
        from = Some(begin);
    }
    let to = match last.is_empty() {
        true => now_us,
        // The whole of a day that is named.
        false => reading.period(last)?.1,
    };
    Ok(TimeRange {
        text: String::new(),
        from,
        to: Some(to),
    })
}

/// What texts are read against.
struct Reading<'a> {
    now_us: i64,
    /// How the range begins: its end may leave out what it shares with that.
    begin: Option<(&'a str, i64)>,
}

impl Reading<'_> {
    /// From the first instant of a period to the first after it. Of a point in time both are the same.
    fn period(&self, typed: &str) -> Result<(i64, i64), String> {
        if let Some(it) = self.relative(typed)? {
            return Ok((it, it));
        }
        self.named(typed)
            .or_else(|| instant(typed).map(|it| (it, it)))
            .or_else(|| self.dated(typed))
            .ok_or_else(|| format!("{typed:?} is no time; {EXAMPLES}"))
    }

    fn now(&self) -> NaiveDateTime {
        let now = DateTime::from_timestamp_micros(self.now_us);
        now.unwrap_or_default().naive_utc()
    }

    /// `now`, `now-2h`, `2h ago`.
    fn relative(&self, typed: &str) -> Result<Option<i64>, String> {
        if typed == "now" {
            return Ok(Some(self.now_us));
        }
        let (sign, span) = match typed.strip_suffix(" ago") {
            Some(span) => (-1, span),
            None => {
                let rest = typed.strip_prefix("now").map_or(typed, str::trim_start);
                match rest.split_at_checked(1) {
                    Some(("-", span)) => (-1, span.trim_start()),
                    Some(("+", span)) if rest.len() < typed.len() => (1, span.trim_start()),
                    _ => return Ok(None),
                }
            }
        };
        let Some(at) = span
            .find(|it: char| !it.is_ascii_digit())
            .filter(|it| 0 < *it)
        else {
            return Ok(None);
        };
        let length = span_us(&span[..at], span[at..].trim_start())?;
        Ok(Some(self.now_us.saturating_add(sign * length)))
    }

    /// `today`, `yesterday at 14:00`, `last week`, `this month`, `monday`.
    fn named(&self, typed: &str) -> Option<(i64, i64)> {
        const WEEKDAYS: [&str; 7] = [
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "saturday",
            "sunday",
        ];
        if let Some((day, time)) = typed.rsplit_once(' ')
            && let Some(time) = time_of_day(time)
            && let Some((from, _)) = self.named(day.trim_end_matches(" at").trim_end_matches(','))
        {
            let at = from + micros_of_day(time);
            return Some((at, at));
        }
        let today = self.now().date();
        let day = |date: Option<NaiveDate>| {
            let date = date?;
            Some((
                start_of(date),
                start_of(date.checked_add_days(Days::new(1))?),
            ))
        };
        match typed {
            "today" => return day(Some(today)),
            "yesterday" => return day(today.checked_sub_days(Days::new(1))),
            "tomorrow" => return day(today.checked_add_days(Days::new(1))),
            _ => {}
        }
        let word = typed.strip_prefix("last ").unwrap_or(typed);
        let weekday = WEEKDAYS
            .iter()
            .position(|it| *it == word || it[..3] == *word);
        if let Some(wanted) = weekday {
            let now = today.weekday().num_days_from_monday() as usize;
            let back = (now + 7 - wanted) % 7;
            let back = if back == 0 && word.len() < typed.len() {
                7
            } else {
                back
            };
            return day(today.checked_sub_days(Days::new(back as u64)));
        }
        let (which, unit) = typed.split_once(' ')?;
        let back = match which {
            "this" => 0,
            "last" | "previous" => 1,
            _ => return None,
        };
        match unit {
            "hour" => {
                let hour = self.now_us.div_euclid(HOUR_US) - back;
                Some((hour * HOUR_US, (hour + 1) * HOUR_US))
            }
            "day" => day(today.checked_sub_days(Days::new(back as u64))),
            "week" => {
                let since_monday = u64::from(today.weekday().num_days_from_monday());
                let monday = today.checked_sub_days(Days::new(since_monday + 7 * back as u64))?;
                let from = start_of(monday);
                Some((from, from + 7 * DAY_US))
            }
            "month" | "year" => {
                let months = if unit == "year" { 12 } else { 1 };
                let first = match unit {
                    "year" => today.with_day(1)?.with_month(1)?,
                    _ => today.with_day(1)?,
                };
                let first = first.checked_sub_months(Months::new(months * back as u32))?;
                let next = first.checked_add_months(Months::new(months))?;
                Some((start_of(first), start_of(next)))
            }
            _ => None,
        }
    }

    /// A date, a month, a date with a time of day, or either as far as the begin of the range does not say it already.
    fn dated(&self, typed: &str) -> Option<(i64, i64)> {
        let point = |it: NaiveDateTime| {
            let it = it.and_utc().timestamp_micros();
            (it, it)
        };
        if let Ok(date) = NaiveDate::parse_from_str(typed, "%Y-%m-%d") {
            return Some((
                start_of(date),
                start_of(date.checked_add_days(Days::new(1))?),
            ));
        }
        if let Some((date, time)) = typed.split_once([' ', 't'])
            && let Ok(date) = NaiveDate::parse_from_str(date, "%Y-%m-%d")
            && let Some(time) = time_of_day(time.trim())
        {
            return Some(point(date.and_time(time)));
        }
        if let Ok(first) = NaiveDate::parse_from_str(&format!("{typed}-01"), "%Y-%m-%d") {
            let next = first.checked_add_months(Months::new(1))?;
            return Some((start_of(first), start_of(next)));
        }
        let begin = self.begin.map(|it| it.1);
        let begin_date = begin.and_then(DateTime::from_timestamp_micros);
        let begin_date = begin_date.map(|it| it.date_naive());
        if let Some(time) = time_of_day(typed) {
            let date = begin_date.unwrap_or_else(|| self.now().date());
            return Some(point(date.and_time(time)));
        }
        let day: u32 = typed.parse().ok()?;
        let date = begin_date?.with_day(day)?;
        Some((
            start_of(date),
            start_of(date.checked_add_days(Days::new(1))?),
        ))
    }
}

fn start_of(date: NaiveDate) -> i64 {
    date.and_time(NaiveTime::MIN).and_utc().timestamp_micros()
}

fn micros_of_day(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight()) * SECOND_US + i64::from(time.nanosecond()) / 1_000
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    ["%H:%M:%S%.f", "%H:%M"]
        .iter()
        .find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

/// ISO with a zone of its own, and seconds or milliseconds since 1970.
fn instant(typed: &str) -> Option<i64> {
    let number = typed.parse::<i64>().ok();
    match (number, typed.len()) {
        (Some(seconds), 10) => return seconds.checked_mul(SECOND_US),
        (Some(millis), 13) => return millis.checked_mul(1_000),
        _ => {}
    }
    let text = typed.to_uppercase().replacen(' ', "T", 1);
    let text = text
        .strip_suffix(" UTC")
        .map_or(text.clone(), |it| format!("{it}Z"));
    let time = DateTime::parse_from_rfc3339(&text).ok()?;
    Some(time.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Thursday, 2026-11-26T23:40:09Z.
    const NOW: i64 = 1_795_736_409_000_000;

    fn read(text: &str) -> String {
        let end = |it: Option<i64>| it.map_or_else(String::new, iso_of_micros);
        match TimeRange::parse(text, NOW) {
            Ok(it) => format!("{} {}", end(it.from), end(it.to)),
            Err(error) => error,
        }
    }

    #[test]
    fn people_write_ranges_in_many_ways() {
        let now = "2026-11-26T23:40:09Z";
        for (text, from, to) in [
            ("10m", "2026-11-26T23:30:09Z", now),
            (" Last 2 hours ", "2026-11-26T21:40:09Z", now),
            ("last hour", "2026-11-26T22:40:09Z", now),
            ("-1d", "2026-11-25T23:40:09Z", now),
            ("now-30 min", "2026-11-26T23:10:09Z", now),
            ("today", "2026-11-26T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("yesterday", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
            ("last week", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("this month", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("last year", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("thursday", "2026-11-26T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("last thu", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z"),
            ("2024-05-12", "2024-05-12T00:00:00Z", "2024-05-13T00:00:00Z"),
            ("2024-02", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            (
                "2024-05-12..20",
                "2024-05-12T00:00:00Z",
                "2024-05-21T00:00:00Z",
            ),
            (
                "2024-05-12 14:00 .. 15:30",
                "2024-05-12T14:00:00Z",
                "2024-05-12T15:30:00Z",
            ),
            (
                "2024-05-12 14:00",
                "2024-05-12T14:00:00Z",
                "2024-05-12T15:00:00Z",
            ),
            (
                "yesterday at 14:00",
                "2026-11-25T14:00:00Z",
                "2026-11-25T15:00:00Z",
            ),
            (
                "from 08:00 to 09:00",
                "2026-11-26T08:00:00Z",
                "2026-11-26T09:00:00Z",
            ),
            (
                "now-2h .. now-1h",
                "2026-11-26T21:40:09Z",
                "2026-11-26T22:40:09Z",
            ),
            ("since yesterday", "2026-11-25T00:00:00Z", now),
            ("2 hours ago", "2026-11-26T21:40:09Z", now),
            (
                "2024-05-12T02:00:00+02:00/2024-05-12T12:00:00Z",
                "2024-05-12T00:00:00Z",
                "2024-05-12T12:00:00Z",
            ),
            ("1795732809 .. 1795736409000", "2026-11-26T22:40:09Z", now),
        ] {
            assert_eq!(read(text), format!("{from} {to}"), "{text}");
        }
        assert_eq!(read("all"), " ");
        assert_eq!(read("until 2024-05-12"), " 2024-05-13T00:00:00Z");
    }

    #[test]
    fn what_is_no_range_is_told_with_what_to_write() {
        for (text, part) in [
            ("", "is no time"),
            ("soon", "write 24h, yesterday"),
            ("10 parsecs", "no unit of time"),
            ("0m", "has no length"),
            ("3 months", "months differ"),
            ("99999999w", "write all"),
            ("2024-13-01", "is no time"),
            ("2024-05-12 .. 2024-05-10", "ends before it begins"),
            ("..", "neither begin nor end"),
            ("now", "has no length"),
            ("1500-01-01", "1700 to 2261"),
            ("99999-01-01", "is no time"),
            ("é", "is no time"),
        ] {
            let said = read(text);
            assert!(said.contains(part), "{text}: {said}");
        }
        assert!(TimeRange::of_times(Some(5), Some(5), NOW).is_err());
        let whole = TimeRange::of_ends(Some("2024-05-12"), Some("2024-05-12"), NOW);
        assert_eq!(whole.map(|it| it.length_us()), Ok(Some(DAY_US)));
    }
}

//! Times that people write: as of when statements are answered.

use crate::model::{Epoch, wall_ms};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

/// Epochs are milliseconds since 1970; no time of ours is as small as a year.
const EPOCH_LEAST: u64 = 100_000_000_000;

/// A time, and the epoch it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    pub epoch: Epoch,
}

impl AsOf {
    /// A time before now, of a day, of today, or an epoch; nothing if it is `live`.
    ///
    /// # Errors
    /// Says what can be written.
    pub fn parse(text: &str) -> Result<Option<AsOf>, String> {
        AsOf::parse_at(text.trim(), wall_ms())
    }

    fn parse_at(text: &str, now_ms: u64) -> Result<Option<AsOf>, String> {
        if text.eq_ignore_ascii_case("live") {
            return Ok(None);
        }
        let ms = match text.strip_prefix('-') {
            Some(span) => span_ms(span).and_then(|it| now_ms.checked_sub(it)),
            None => time_ms(text, now_ms),
        };
        let epoch = ms.map(|it| Some(AsOf { epoch: Epoch(it) }));
        epoch.ok_or_else(|| {
            format!("{text:?} is no time; write live, -10m, 23:40, 2026-01-31 12:00:00 (in UTC), or an epoch")
        })
    }
}

/// `10m`, `1h30m`, `90s`.
fn span_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut all: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].trim_start();
        let end = unit.find(|it: char| !it.is_ascii_lowercase());
        let (word, after) = unit.split_at(end.unwrap_or(unit.len()));
        let unit_ms = match word {
            "ms" => 1,
            "s" | "sec" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        all = all.checked_add(number.checked_mul(unit_ms)?)?;
        rest = after.trim_start();
    }
    (0 < all).then_some(all)
}

fn time_ms(text: &str, now_ms: u64) -> Option<u64> {
    if let Some(epoch) = text.parse::<u64>().ok().filter(|it| EPOCH_LEAST <= *it) {
        return Some(epoch);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return time.timestamp_millis().try_into().ok();
    }
    let text = text.trim_end_matches('Z').trim_end();
    let time_of = |it: &str| {
        ["%H:%M:%S%.f", "%H:%M"]
            .iter()
            .find_map(|form| NaiveTime::parse_from_str(it, form).ok())
    };
    let date_of = |it: &str| NaiveDate::parse_from_str(it, "%Y-%m-%d").ok();
    let now = Utc.timestamp_millis_opt(now_ms.try_into().ok()?).single()?;
    let time = match text.split_once([' ', 'T']) {
        Some((date, time)) => NaiveDateTime::new(date_of(date)?, time_of(time.trim())?),
        None => match (date_of(text), time_of(text)) {
            (Some(date), _) => NaiveDateTime::new(date, NaiveTime::MIN),
            (None, Some(time)) => NaiveDateTime::new(now.date_naive(), time),
            (None, None) => return None,
        },
    };
    time.and_utc().timestamp_millis().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_times_in_many_ways() {
        const NOW: u64 = 1_795_736_409_100; // 2026-11-26T23:40:09.1Z
        for (text, expect) in [
            ("-10m", NOW - 600_000),
            ("-1h30m", NOW - 5_400_000),
            ("-90 s", NOW - 90_000),
            ("-2d", NOW - 172_800_000),
            ("23:30", 1_795_735_800_000),
            ("23:30:01.5", 1_795_735_801_500),
            ("2026-11-26", 1_795_651_200_000),
            ("2026-11-26 23:30", 1_795_735_800_000),
            ("2026-11-26T23:30:00Z", 1_795_735_800_000),
            ("2026-11-27T00:30:00+01:00", 1_795_735_800_000),
            ("1795735800000", 1_795_735_800_000),
        ] {
            let parsed = AsOf::parse_at(text, NOW);
            let epoch = Epoch(expect);
            assert_eq!(parsed, Ok(Some(AsOf { epoch })), "{text}");
        }
        assert_eq!(AsOf::parse_at("LIVE", NOW), Ok(None));
        for wrong in [
            "",
            "-",
            "-10",
            "-0s",
            "10m",
            "yesterday",
            "25:00",
            "2026-13-01",
            "2026",
        ] {
            let said = AsOf::parse_at(wrong, NOW).unwrap_err();
            assert!(said.contains("write live, -10m"), "{said}");
        }
    }
}

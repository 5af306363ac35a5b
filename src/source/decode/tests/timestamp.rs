//! Instants in every form, and every date there is.

use super::super::timestamp::{self, Zone};
use super::{Json, check};

#[test]
fn instants_are_read_in_every_form() {
    let reads = [
        ("2024-05-12T10:15:30", Some(1_715_508_930_000_000)),
        ("2024-05-12 10:15:30", Some(1_715_508_930_000_000)),
        ("2024-05-12T10:15:30Z", Some(1_715_508_930_000_000)),
        ("2024-05-12t10:15:30z", Some(1_715_508_930_000_000)),
        ("2024-05-12T10:15:30.1", Some(1_715_508_930_100_000)),
        ("2024-05-12T10:15:30,123Z", Some(1_715_508_930_123_000)),
        ("2024-05-12T10:15:30.123456Z", Some(1_715_508_930_123_456)),
        (
            "2024-05-12T10:15:30.123456999Z",
            Some(1_715_508_930_123_456),
        ),
        ("1969-12-31T23:59:59.999999Z", Some(-1)),
        ("2024-05-12T10:15:30.1234567890Z", None),
        ("2024-05-12T10:15:30.Z", None),
        ("2024-05-12T12:15:30+02:00", Some(1_715_508_930_000_000)),
        ("2024-05-12T12:15:30.5+0200", Some(1_715_508_930_500_000)),
        ("2024-05-12T09:15:30-01", Some(1_715_508_930_000_000)),
        ("2024-05-12T15:45:30+05:30", Some(1_715_508_930_000_000)),
        ("2024-05-12T10:15:30-00:00", Some(1_715_508_930_000_000)),
        ("2024-05-12T10:15:30+24:00", None),
        ("2024-05-12T10:15:30+02:60", None),
        ("2024-05-12T10:15:30*02:00", None),
        ("2024-05-12T10:15:30 +02:00", None),
        ("2024-05-12T10:15:30Zulu", None),
        ("2024-05-12T10:15", Some(1_715_508_900_000_000)),
        ("2024-05-12T10:15Z", Some(1_715_508_900_000_000)),
        ("2024-05-12T10:15:", None),
        ("2024-05-12T10", None),
        ("2024-05-12", Some(1_715_472_000_000_000)),
        ("2024-02-29T00:00:00", Some(1_709_164_800_000_000)),
        ("2000-02-29T00:00:00", Some(951_782_400_000_000)),
        ("1900-02-29T00:00:00", None),
        ("2023-02-29T00:00:00", None),
        ("2024-02-30T00:00:00", None),
        ("2024-04-31T00:00:00", None),
        ("2024-00-01T00:00:00", None),
        ("2024-13-01T00:00:00", None),
        ("2024-01-00T00:00:00", None),
        ("2024-01-01T24:00:00", None),
        ("2024-01-01T23:60:00", None),
        ("2024-01-01T23:59:60", None),
        ("2024/01/01T00:00:00", None),
        ("2024-1-01T00:00:00", None),
        ("20x4-01-01T00:00:00", None),
        ("0000-01-01T00:00:00Z", Some(-62_167_219_200_000_000)),
        ("9999-12-31T23:59:59.999999Z", Some(253_402_300_799_999_999)),
        // In UTC that is the year 10000, and the year before 0.
        ("9999-12-31T23:59:59-01:00", None),
        ("0000-01-01T00:00:00+01:00", None),
        ("1715508930500", Some(1_715_508_930_500_000)),
        ("1715508930500.25", Some(1_715_508_930_500_250)),
        ("1715508930", Some(1_715_508_930_000_000)),
        ("1715508930.123456789", Some(1_715_508_930_123_456)),
        ("-1.5", Some(-1_500_000)),
        ("0", Some(0)),
        ("99999999999", Some(99_999_999_999_000_000)),
        ("100000000000", Some(100_000_000_000_000)),
        ("1715508930500000", None),
        ("99999999999999999999", None),
        ("1715508930.", None),
        ("+1715508930", None),
        ("0x10", None),
        ("", None),
        ("now", None),
        ("2024-05-é2T10:15:30", None),
    ];
    for (text, expect) in reads {
        assert_eq!(
            timestamp::parse(text, Zone::default()),
            expect,
            "of {text:?}"
        );
    }
    assert_eq!(timestamp::from_epoch(-1), Some(-1_000_000));
    assert_eq!(timestamp::from_epoch(i64::MAX), None);
    assert_eq!(timestamp::from_epoch(i64::MIN), None);
    assert_eq!(timestamp::from_epoch_float(f64::MAX), None);
    check(
        Json,
        "t timestamp, zone +01:00",
        r#"{"t":"2024-05-12T10:15:30"}"#,
        "2024-05-12T09:15:30Z",
    );
    check(
        Json,
        "t timestamp, zone +01:00",
        r#"{"t":"2024-05-12T10:15:30Z"}"#,
        "2024-05-12T10:15:30Z",
    );
    check(
        Json,
        "t timestamp, zone +01:00",
        r#"{"t":1715508930}"#,
        "2024-05-12T10:15:30Z",
    );
    check(
        Json,
        "t timestamp, zone -02:00",
        r#"{"t":"2024-05-12"}"#,
        "2024-05-12T02:00:00Z",
    );
}

#[test]
fn every_day_of_ten_thousand_years_has_its_number() {
    let mut expect = -719_528;
    for year in 0..=9_999 {
        for month in 1..=12 {
            for day in 1..=31 {
                let text = format!("{year:04}-{month:02}-{day:02}");
                let Some(number) = timestamp::parse_date(&text, Zone::default()) else {
                    assert!(day > 28, "{text} is a date");
                    continue;
                };
                assert_eq!(number, expect, "of {text}");
                expect += 1;
            }
        }
    }
    assert_eq!(expect, 2_932_897, "9999-12-31 is day 2,932,896");
}

#[test]
fn a_place_has_another_offset_in_summer() {
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    for (text, utc) in [
        ("2026-01-31T12:00:00", "2026-01-31T11:00:00Z"),
        ("2026-07-01 12:00:00.25", "2026-07-01T10:00:00.25Z"),
        ("2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
        ("2026-07-01T12:00:00-03:00", "2026-07-01T15:00:00Z"),
        ("2026-07-01", "2026-06-30T22:00:00Z"),
        // Left out when clocks are put forward, and twice when they are put back.
        ("2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
    ] {
        let expect = timestamp::parse(utc, Zone::default());
        assert_eq!(timestamp::parse(text, berlin), expect, "{text}");
    }
    let east = Zone::East {
        offset_seconds: 19_800,
    };
    assert_eq!(Zone::parse("+05:30"), Ok(east));
    assert_eq!(Zone::parse("Z"), Ok(Zone::default()));
    for wrong in ["", "Berlin", "Europe/Nowhere", "+25:00", "2", "MEZ"] {
        let error = Zone::parse(wrong).unwrap_err();
        assert!(error.contains("'Europe/Berlin'"), "{error}");
    }
}

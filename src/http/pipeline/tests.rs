//! What follows from notes.

use super::samples::{growth, thread_time};
use super::*;
use std::collections::HashMap;
use std::time::Duration;

fn samples(now: Instant, places: &[(i64, i64)]) -> VecDeque<Sample> {
    let count = places.len() as u64;
    let sample = |(at, place): (usize, &(i64, i64))| Sample {
        at: now
            .checked_sub(Duration::from_secs(count - 1 - at as u64))
            .expect("the clock goes back some seconds"),
        places: HashMap::from([(("s".to_owned(), 0), (place.0, Some(place.1)))]),
        totals: HashMap::new(),
        threads: HashMap::new(),
        rows: HashMap::from([("v".to_owned(), place.0 as usize)]),
        busy_ns: BTreeMap::new(),
        nodes: BTreeMap::new(),
    };
    places.iter().enumerate().map(sample).collect()
}

fn report_after(places: &[(i64, i64)]) -> PartitionReport {
    let now = Instant::now();
    let (offset, end) = *places.last().expect("there are places");
    let mut report = PartitionReport {
        partition: 0,
        offset,
        end_offset: Some(end),
        committed: None,
        lag: Some(end - offset),
        lag_seconds: None,
        lag_seconds_is_least: false,
        trend: Trend::Unknown,
        read_per_second: None,
        arriving_per_second: None,
        eta_seconds: None,
    };
    fill_lag(
        &mut report,
        &("s".to_owned(), 0),
        &samples(now, places),
        now,
    );
    report
}

#[test]
fn lag_has_a_time_a_trend_and_an_end() {
    let report = report_after(&[(0, 100), (50, 110), (100, 120)]);
    assert_eq!(report.lag_seconds.map(f64::round), Some(2.0));
    assert!(!report.lag_seconds_is_least);
    assert_eq!(report.trend, Trend::Falling);
    assert_eq!(report.eta_seconds.map(f64::round), Some(1.0));
}

#[test]
fn a_lag_that_grows_has_no_end_and_is_at_least_as_old_as_the_notes() {
    let report = report_after(&[(0, 1_000), (10, 1_100)]);
    assert_eq!((report.trend, report.eta_seconds), (Trend::Rising, None));
    assert!(report.lag_seconds_is_least);
}

#[test]
fn a_thread_may_be_called_anything() {
    let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
    assert_eq!(thread_time(stat, 100.0), Some(("a) b (c".to_owned(), 2.0)));
}

#[test]
fn a_view_grows_by_what_it_has_more_than_some_minutes_ago() {
    let now = Instant::now();
    let places: Vec<(i64, i64)> = (0..61).map(|it| (100 + it, 0)).collect();
    assert_eq!(growth(&samples(now, &places[..60])), HashMap::new());
    let found = growth(&samples(now, &places));
    assert_eq!(found.get("v").map(|it| it.round()), Some(3_600.0));
}

#[test]
fn a_source_has_caught_up_when_its_last_partition_has() {
    let behind = report_after(&[(0, 100), (50, 110), (100, 120)]);
    let ahead = report_after(&[(10, 10), (20, 20)]);
    let falling = report_after(&[(0, 1_000), (10, 1_100)]);
    let eta = |all: &[&PartitionReport]| {
        let all: Vec<PartitionReport> = all.iter().map(|it| (*it).clone()).collect();
        eta_of(&all).map(f64::round)
    };
    assert_eq!(eta(&[&ahead, &behind]), Some(1.0));
    assert_eq!(eta(&[&ahead, &falling]), None);
    assert_eq!(eta(&[]), None);
}

//! The traffic as it was promised: same bytes, right mixes, true rates, readable by the decoder.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use arrow::datatypes::{DataType, TimeUnit};
use serde_json::Value;

use super::pace::{Pace, Pacer};
use super::*;
use crate::model::Partition;
use crate::source::decode::{Column, DecodeOptions, Decoder, Format, RawRecords};

/// 2024-05-12T10:15:30.5Z.
const START_US: i64 = 1_715_508_930_500_000;
const EVENTS: usize = 100_000;
const FIELDS: [&str; 13] = [
    "timestamp",
    "ip",
    "method",
    "endpoint",
    "status_code",
    "response_time",
    "user_agent",
    "user_id",
    "session_id",
    "bytes_sent",
    "referer",
    "request_size",
    "query_params",
];

struct Event {
    generated: Generated,
    key: String,
    json: Vec<u8>,
    fields: Value,
}

fn run(rate: f64, anomalies: bool, seed: u64, events: usize) -> Vec<Event> {
    let start_us = START_US;
    let mut generator = Generator::new(Settings {
        seed,
        rate,
        anomalies,
        start_us,
    });
    let make = |_| {
        let mut json = Vec::new();
        let due_us = generator.next_time_us();
        let generated = generator.next_into(&mut json);
        assert_eq!(generated.time_us, due_us);
        let fields = serde_json::from_slice(&json).expect("an event is JSON");
        let key = generator.key().to_owned();
        Event {
            generated,
            key,
            json,
            fields,
        }
    };
    (0..events).map(make).collect()
}

/// Asserts that the values of `field` come in these shares, in percent, within one point.
fn check(events: &[Event], field: &str, expect: &[(&str, f64)]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for event in events {
        *counts.entry(event.fields[field].to_string()).or_default() += 1;
    }
    assert_eq!(
        counts.len(),
        expect.len(),
        "{field} has the values {counts:?}"
    );
    for (value, percent) in expect {
        let count = counts.get(*value).copied().unwrap_or(0);
        let share = 100.0 * count as f64 / events.len() as f64;
        assert!(
            (share - percent).abs() < 1.0,
            "{field} is {value} in {share} %, not {percent} %"
        );
    }
}

fn null_percent(events: &[Event], field: &str) -> f64 {
    let nulls = events
        .iter()
        .filter(|event| event.fields[field].is_null())
        .count();
    100.0 * nulls as f64 / events.len() as f64
}

fn number(event: &Event, field: &str) -> u64 {
    event.fields[field].as_u64().expect("a whole number")
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = |seed| {
        run(100.0, true, seed, 2_000)
            .into_iter()
            .flat_map(|event| event.json)
            .collect::<Vec<u8>>()
    };
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
    // Recorded runs stay comparable only as long as this line stays as it is.
    let first = run(10.0, false, 7, 1).remove(0);
    assert_eq!(
        String::from_utf8(first.json).unwrap(),
        concat!(
            r#"{"timestamp":"2024-05-12T10:15:30.500000","ip":"45.79.119.74","method":"GET","#,
            r#""endpoint":"/api/users","status_code":200,"response_time":78,"#,
            r#""user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36","#,
            r#""user_id":"user_3968","session_id":"session_14982","bytes_sent":24782,"#,
            r#""referer":"https://www.google.com","request_size":375,"query_params":"page=1&limit=10"}"#,
        ),
    );
}

#[test]
fn every_event_has_the_thirteen_fields_in_order_and_nothing_else() {
    for event in run(1_000.0, true, 1, 1_000) {
        let text = str::from_utf8(&event.json).unwrap();
        let mut from = 0;
        for field in FIELDS {
            let name = format!("\"{field}\":");
            let at = text[from..]
                .find(&name)
                .unwrap_or_else(|| panic!("{field} comes next in {text}"));
            from += at + name.len();
        }
        assert_eq!(event.fields.as_object().unwrap().len(), FIELDS.len());
        assert!(!text.contains('\n'));
    }
}

#[test]
fn the_mixes_are_those_of_the_table() {
    let events = run(1_000.0, false, 1, EVENTS);
    check(
        &events,
        "endpoint",
        &[
            ("\"/api/users\"", 30.0),
            ("\"/api/products\"", 25.0),
            ("\"/api/orders\"", 20.0),
            ("\"/api/auth\"", 15.0),
            ("\"/api/admin\"", 5.0),
            ("\"/\"", 5.0),
        ],
    );
    let of_users = 30.0 / 4.0 + 25.0 / 4.0;
    check(
        &events,
        "method",
        &[
            ("\"GET\"", of_users + 20.0 / 3.0 + 5.0 / 3.0 + 5.0),
            ("\"POST\"", of_users + 20.0 / 3.0 + 15.0 + 5.0 / 3.0),
            ("\"PUT\"", of_users + 20.0 / 3.0),
            ("\"DELETE\"", of_users + 5.0 / 3.0),
        ],
    );
    check(
        &events,
        "status_code",
        &[
            ("200", 85.0),
            ("201", 5.0),
            ("400", 4.0),
            ("401", 2.0),
            ("403", 1.0),
            ("404", 2.0),
            ("500", 1.0),
        ],
    );
    check(
        &events,
        "referer",
        &[
            ("\"https://www.google.com\"", 25.0),
            ("\"https://www.bing.com\"", 25.0),
            ("\"https://example.com\"", 25.0),
            ("null", 25.0),
        ],
    );
    check(
        &events,
        "query_params",
        &[
            ("\"page=1&limit=10\"", 25.0),
            ("\"sort=date&order=desc\"", 25.0),
            ("\"filter=active\"", 25.0),
            ("\"\"", 25.0),
        ],
    );
    for (field, percent) in [("user_id", 30.0), ("session_id", 20.0)] {
        let share = null_percent(&events, field);
        assert!(
            (share - percent).abs() < 1.0,
            "{field} is null in {share} %"
        );
    }
}

#[test]
fn numbers_stay_in_their_ranges_and_reach_both_ends() {
    let events = run(1_000.0, false, 1, EVENTS);
    for (method, first, last) in [
        ("GET", 50, 300),
        ("POST", 100, 500),
        ("PUT", 80, 400),
        ("DELETE", 60, 250),
    ] {
        let times = events
            .iter()
            .filter(|event| event.fields["method"] == method);
        let times: Vec<u64> = times.map(|event| number(event, "response_time")).collect();
        assert_eq!(
            (times.iter().min(), times.iter().max()),
            (Some(&first), Some(&last)),
            "of {method}"
        );
    }
    for event in &events {
        assert!((100..=50_000).contains(&number(event, "bytes_sent")));
        assert!((50..=2_048).contains(&number(event, "request_size")));
        assert_eq!(event.generated.truth, None);
    }
    let user = |prefix: &str, field: &str| {
        let ids = events.iter().filter_map(|event| {
            event.fields[field]
                .as_str()?
                .strip_prefix(prefix)?
                .parse()
                .ok()
        });
        let ids: Vec<u32> = ids.collect();
        (
            ids.iter().min().copied().unwrap(),
            ids.iter().max().copied().unwrap(),
        )
    };
    assert_eq!(user("user_", "user_id"), (1_000, 9_999));
    let (first, last) = user("session_", "session_id");
    assert!((10_000..10_020).contains(&first) && (99_980..100_000).contains(&last));
}

#[test]
fn every_address_is_valid_and_from_its_network() {
    let events = run(1_000.0, true, 1, EVENTS);
    let mut networks: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        let ip = event.fields["ip"].as_str().unwrap();
        assert_eq!(ip, event.key);
        assert_eq!(event.generated.key_hash, XxHash3_64::oneshot(ip.as_bytes()));
        let suspicious = event
            .generated
            .truth
            .is_some_and(|truth| truth.kind == Kind::SuspiciousIp);
        let (network, hosts) = match ip
            .parse::<Ipv4Addr>()
            .expect("an address is valid")
            .octets()
        {
            [192, 168, 1, host] => ("internal", (host, 254)),
            [10, 0, 0, host] => ("internal", (host, 254)),
            [172, 16, 0, host] => ("internal", (host, 254)),
            [203, 0, 113, host] => ("203", (host, 255)),
            [198, 51, 100, host] => ("198", (host, 255)),
            [45, 79, host, last] => {
                assert!((1..=254).contains(&host));
                ("45", (last, 254))
            }
            [185, 220, 101, host] => ("suspicious", (host, 255)),
            _ => panic!("{ip} is of no network"),
        };
        assert!(
            (1..=hosts.1).contains(&hosts.0),
            "{ip} has a host out of range"
        );
        assert_eq!(suspicious, network == "suspicious");
        *networks.entry(network).or_default() += 1;
    }
    for (network, percent) in [
        ("internal", 30.0),
        ("203", 23.3),
        ("198", 23.3),
        ("45", 23.3),
    ] {
        let share = 100.0 * networks[network] as f64 / EVENTS as f64;
        assert!((share - percent).abs() < 1.0, "{network} has {share} %");
    }
}

#[test]
fn an_injected_event_is_what_its_kind_says() {
    // At this rate a spike comes every 35,000 events.
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for (event, number_of_event) in run(1_000.0, true, 1, EVENTS).iter().zip(0..) {
        let slow = number(event, "response_time") >= 600;
        let Some(truth) = event.generated.truth else {
            assert!(!slow && !event.key.starts_with("185."));
            continue;
        };
        assert_eq!(
            (truth.event, truth.time_us),
            (number_of_event, event.generated.time_us)
        );
        assert_eq!(event.fields["endpoint"], truth.endpoint);
        *kinds.entry(truth.kind).or_default() += 1;
        match truth.kind {
            Kind::ErrorSurge => assert!(number(event, "status_code") >= 400),
            Kind::SlowResponse => assert!(slow),
            Kind::SuspiciousIp => assert!(event.key.starts_with("185.220.101.")),
            Kind::TrafficSpike => {}
        }
        assert!(slow == (truth.kind == Kind::SlowResponse));
        assert!((truth.start_us..=truth.end_us).contains(&truth.time_us));
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}

/// 5 % of all events, 20 : 30 : 40 : 10 between spikes, surges, slow responses and suspicious addresses, at any rate.
#[test]
fn five_percent_are_injected_in_the_four_kinds() {
    for (rate, events) in [(10.0, 100_000), (100.0, 350_000), (50_000.0, 350_000)] {
        let mut generator = Generator::new(Settings {
            seed: 1,
            rate,
            anomalies: true,
            start_us: START_US,
        });
        let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
        let mut json = Vec::new();
        for _ in 0..events {
            json.clear();
            if let Some(truth) = generator.next_into(&mut json).truth {
                *counts.entry(truth.kind).or_default() += 1;
            }
        }
        let injected: usize = counts.values().sum();
        let percent = 100.0 * injected as f64 / events as f64;
        assert!(
            (percent - 5.0).abs() < 0.2,
            "{percent} % are injected at {rate} a second"
        );
        for (kind, expect) in [
            (Kind::TrafficSpike, 20.0),
            (Kind::ErrorSurge, 30.0),
            (Kind::SlowResponse, 40.0),
            (Kind::SuspiciousIp, 10.0),
        ] {
            let share = 100.0 * counts[&kind] as f64 / injected as f64;
            assert!(
                (share - expect).abs() < 2.0,
                "at {rate} a second {share} % of what is injected is {}, not {expect} %",
                kind.name()
            );
        }
    }
}

#[test]
fn a_spike_multiplies_the_events_of_its_time() {
    let rate = 20.0;
    let events = run(rate, true, 3, 100_000);
    let times: Vec<i64> = events.iter().map(|event| event.generated.time_us).collect();
    let spikes = events.iter().filter_map(|event| event.generated.truth);
    let mut spikes: Vec<(i64, i64)> = spikes
        .filter(|truth| truth.kind == Kind::TrafficSpike)
        .map(|truth| (truth.start_us, truth.end_us))
        .collect();
    let told = spikes.len();
    spikes.dedup();
    assert!(10 < spikes.len() && 50 * spikes.len() < told);
    for pair in spikes.windows(2) {
        let calm_us = pair[1].0 - pair[0].1;
        assert!(
            CALM_US as i64 / 2 <= calm_us,
            "there is calm between spikes"
        );
    }
    let within = |from: i64, to: i64| {
        times
            .iter()
            .filter(|time| (from..to).contains(time))
            .count()
    };
    for &(start_us, end_us) in &spikes[..spikes.len() - 1] {
        let seconds = (end_us - start_us) as f64 / 1e6;
        assert_eq!(seconds, 10.0);
        let expect = (rate * SPIKE_FACTOR * seconds) as usize;
        assert!((expect..=expect + 1).contains(&within(start_us, end_us)));
        // And nothing but the spike: a minute before it is as usual.
        assert_eq!(within(start_us - 60_000_000, start_us), rate as usize * 60);
    }
    let calm = times
        .windows(2)
        .filter(|pair| pair[1] - pair[0] == 50_000)
        .count();
    assert!(calm > 50_000, "outside spikes events are 1/rate apart");
    assert!(
        times
            .windows(2)
            .all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 50_000)
    );
}

/// Who follows a session sees requests of one visitor: one address, one user, one browser, some seconds apart.
#[test]
fn sessions_can_be_followed() {
    let events = run(100.0, false, 1, EVENTS);
    let mut sessions: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in &events {
        if let Some(session) = event.fields["session_id"].as_str() {
            sessions.entry(session).or_default().push(event);
        }
    }
    // Those that had begun neither just now nor long ago are whole.
    let whole: Vec<&Vec<&Event>> = sessions
        .values()
        .filter(|it| {
            let first_us = it[0].generated.time_us - START_US;
            (0..700_000_000).contains(&first_us)
        })
        .collect();
    assert!(5_000 < whole.len());
    for session in &whole {
        assert!((3..=9).contains(&session.len()), "{}", session.len());
        for field in ["ip", "user_id", "user_agent"] {
            assert!(
                session
                    .iter()
                    .all(|it| it.fields[field] == session[0].fields[field])
            );
        }
    }
    let gaps = whole.iter().flat_map(|it| {
        it.windows(2)
            .map(|pair| pair[1].generated.time_us - pair[0].generated.time_us)
    });
    let gaps: Vec<i64> = gaps.collect();
    let mean_s = gaps.iter().sum::<i64>() as f64 / gaps.len() as f64 / 1e6;
    assert!((8.0..12.0).contains(&mean_s), "{mean_s} s between requests");
}

/// A day and a night of a demonstration: the rate is their mean, failures are rare, and the outage is what was announced and nothing else.
#[test]
fn a_scenario_has_a_day_a_night_and_one_outage() {
    const HOUR_US: i64 = 3_600_000_000;
    let midnight_us = START_US.div_euclid(24 * HOUR_US) * 24 * HOUR_US;
    let outage_us = (midnight_us + 20 * HOUR_US, midnight_us + 21 * HOUR_US);
    let settings = Settings {
        seed: 1,
        rate: 2.0,
        anomalies: false,
        start_us: midnight_us,
    };
    let outage = Scenario {
        outage_us: Some(outage_us),
    };
    let mut generator = Generator::with_scenario(settings, outage);
    let mut by_hour = [0; 24];
    let (mut failed, mut all, mut of_outage, mut gap_us) = (0, 0, 0, 0);
    let mut json = Vec::new();
    while generator.next_time_us() < midnight_us + 24 * HOUR_US {
        json.clear();
        let time_us = generator.next_into(&mut json).time_us;
        gap_us = gap_us.max(generator.next_time_us() - time_us);
        by_hour[usize::try_from((time_us - midnight_us) / HOUR_US).unwrap()] += 1;
        let fields: Value = serde_json::from_slice(&json).unwrap();
        all += 1;
        let is_hit = fields["endpoint"] == OUTAGE_ENDPOINT && fields["user_agent"] == OUTAGE_CLIENT;
        let is_on = (outage_us.0..outage_us.1).contains(&time_us);
        let status = fields["status_code"].as_u64().unwrap();
        assert_eq!(is_hit && is_on, status == 503, "{fields}");
        let is_slow = 2_000 < fields["response_time"].as_u64().unwrap();
        assert_eq!(is_hit && is_on, is_slow, "{fields}");
        match status {
            503 => of_outage += 1,
            400.. => failed += 1,
            _ => {}
        }
    }
    let mean = f64::from(all) / 86_400.0;
    assert!((mean - 2.0).abs() < 0.02, "{mean} a second");
    // 1.3 times as much at 14 o'clock as on average, 0.7 times at 2 o'clock.
    for (hour, expect) in [(2, 0.7 * 7_200.0), (14, 1.3 * 7_200.0), (8, 7_200.0)] {
        let share = f64::from(by_hour[hour]) / expect;
        assert!((share - 1.0).abs() < 0.09, "{} at {hour}", by_hour[hour]);
    }
    assert!(gap_us < 1_000_000, "{gap_us} µs without an event");
    let share = f64::from(failed) / f64::from(all);
    assert!((0.015..0.025).contains(&share), "{share} fail");
    // A fifth of visitors are scripts, a fifth of requests are for orders.
    let expect = 0.04 * f64::from(by_hour[20]);
    assert!(
        (f64::from(of_outage) / expect - 1.0).abs() < 0.25,
        "{of_outage}, not {expect}"
    );
}

#[test]
fn without_spikes_the_rate_is_exact_over_any_time() {
    for (rate, seconds, expect) in [
        (10.0, 10, 100),
        (3.0, 1, 3),
        (7.0, 1_000, 7_000),
        (0.5, 10, 5),
    ] {
        let events = run(rate, false, 1, expect + 1);
        let last_us = START_US + seconds * 1_000_000;
        assert!(events[expect - 1].generated.time_us < last_us);
        assert_eq!(
            events[expect].generated.time_us, last_us,
            "at {rate} events per second"
        );
    }
}

#[test]
fn ten_per_second_for_ten_seconds_are_a_hundred_events() {
    let (start_us, seed, rate, anomalies) = (START_US, 1, 10.0, false);
    let pacer = Pacer::new(start_us, Some(Duration::from_secs(10)));
    // Sending takes 35 ms, then 350 ms: the rate is held all the same.
    for send in [Duration::from_millis(35), Duration::from_millis(350)] {
        let mut generator = Generator::new(Settings {
            seed,
            rate,
            anomalies,
            start_us,
        });
        let (mut elapsed, mut sent) = (Duration::ZERO, 0);
        loop {
            match pacer.next(generator.next_time_us(), elapsed) {
                Pace::Emit => {
                    assert!(generator.next_time_us() <= pacer.due_us(elapsed));
                    generator.next_into(&mut Vec::new());
                    sent += 1;
                    if sent % 4 == 0 {
                        elapsed += send;
                    }
                }
                Pace::Wait(wait) => elapsed += wait,
                Pace::Finish(wait) => {
                    elapsed += wait;
                    break;
                }
            }
        }
        assert_eq!(sent, 100);
        assert!((Duration::from_secs(10)..Duration::from_secs(10) + send).contains(&elapsed));
    }
    let endless = Pacer::new(START_US, None);
    assert_eq!(endless.next(START_US, Duration::ZERO), Pace::Emit);
    assert_eq!(
        endless.next(START_US + 7, Duration::from_micros(3)),
        Pace::Wait(Duration::from_micros(4))
    );
}

#[test]
fn every_event_decodes() {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = FIELDS.map(|field| Column {
        name: field.to_owned(),
        written: field.to_owned(),
        data_type: match field {
            "timestamp" => utc.clone(),
            "status_code" | "response_time" | "bytes_sent" | "request_size" => DataType::Int32,
            _ => DataType::Utf8,
        },
        nullable: matches!(field, "user_id" | "session_id" | "referer"),
        is_json: false,
    });
    let options = DecodeOptions {
        event_time: Some(0),
        ..DecodeOptions::default()
    };
    let mut decoder = Decoder::new(Format::Json, &columns, options).unwrap();
    let events = run(1_000.0, true, 5, 10_000);
    let mut records = RawRecords {
        partition: Partition(0),
        data: Vec::new(),
        ends: Vec::new(),
        offsets: (0..events.len() as i64).collect(),
        header: None,
    };
    for event in &events {
        records.data.extend_from_slice(&event.json);
        records.ends.push(records.data.len() as u32);
    }
    let decoded = decoder.decode(&records);
    assert_eq!(decoded.dead_letters, []);
    assert_eq!(
        decoded.max_event_time,
        events.last().map(|event| event.generated.time_us)
    );
    for (column, field) in FIELDS.iter().enumerate() {
        let nulls = events
            .iter()
            .filter(|event| event.fields[field].is_null())
            .count();
        assert_eq!(
            decoded.batch.column(column).null_count(),
            nulls,
            "of {field}"
        );
    }
}

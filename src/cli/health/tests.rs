//! Facts and what is said of them.

use super::*;
use crate::model::PartitionAhead;
use crate::source::{PartitionStatus, Status};
use crate::view::Counts;

fn status() -> Status {
    let mut status = Status {
        connected: true,
        reached: true,
        ..Status::default()
    };
    let partition = PartitionStatus {
        name: "t/0".to_owned(),
        offset: 100,
        end_offset: Some(100),
        ..PartitionStatus::default()
    };
    status.partitions.insert(0, partition);
    status
}

fn steady(records: u64, undecoded: u64, late: u64) -> Intake {
    Intake {
        lately: Counts {
            records,
            undecoded,
            bytes: 0,
            late,
        },
        quiet_seconds: Some(0.1),
        per_second_before: 24.0,
        ..Intake::default()
    }
}

/// What is said of a source that is connected.
fn said(pace: Pace, intake: &Intake, from_files: bool) -> (Health, String) {
    of_source(&facts(&status(), pace, intake, from_files))
}

fn facts<'a>(
    status: &'a Status,
    pace: Pace,
    intake: &'a Intake,
    from_files: bool,
) -> SourceFacts<'a> {
    SourceFacts {
        status,
        pace,
        intake,
        from_files,
        epoch: Epoch(1_000_000),
        steady: true,
        records: 0,
        undecoded: 0,
    }
}

#[test]
fn a_source_is_told_in_a_few_words() {
    let (status, well) = (status(), steady(1400, 3, 2));
    let pace = |lag, read_per_second, seconds_to_catch_up| Pace {
        lag,
        read_per_second,
        seconds_to_catch_up,
    };
    let check = |facts: SourceFacts<'_>, expected: &str| {
        assert_eq!(headline_of_source(&facts), expected);
    };
    check(facts(&status, Pace::default(), &well, false), "OK");
    let slow = pace(718_000_000, 6e6, Some(120.0));
    check(facts(&status, slow, &well, true), "Catching up, 2 min left");
    let stuck = pace(718_000_000, 0.0, None);
    check(
        facts(&status, stuck, &well, true),
        "Degraded: 718 MB behind and not reading",
    );
    // What could not be decoded of a backlog that was read long ago is still not there.
    let quiet = steady(0, 0, 0);
    let mut backlog = facts(&status, Pace::default(), &quiet, true);
    (backlog.records, backlog.undecoded) = (20_393, 5_882);
    let told = "22 % of records are not decoded (5882 of 26275 since the start)";
    assert!(of_source(&backlog).1.starts_with(told));
    check(backlog, "Degraded: 22 % of records are not decoded");
    let unreached = Status::default();
    check(
        facts(&unreached, Pace::default(), &quiet, false),
        "Connecting",
    );
}

fn check(found: (Health, String), health: Health, text: &str) {
    assert!(
        found.0 == health && found.1.contains(text),
        "{found:?}, expected {health:?} {text:?}"
    );
}

#[test]
fn a_source_that_is_read_is_ok() {
    let found = said(Pace::default(), &steady(1400, 3, 2), false);
    assert_eq!(
        found,
        (Health::Ok, "1 partition, 0 records behind".to_owned())
    );
}

#[test]
fn shares_of_undecoded_and_late_records_are_told() {
    let found = said(Pace::default(), &steady(780, 220, 0), false);
    check(
        found,
        Health::Degraded,
        "22 % of records are not decoded (220 of 1000 in the last minute)",
    );
    let found = said(Pace::default(), &steady(1000, 0, 310), false);
    check(
        found,
        Health::Degraded,
        "31 % of records are late (310 of 1000 in the last minute)",
    );
    let few = said(Pace::default(), &steady(3, 3, 3), false);
    check(few, Health::Ok, "1 partition");
}

#[test]
fn what_is_unread_is_told_with_the_time_it_takes() {
    let pace = |lag, read_per_second, seconds_to_catch_up| Pace {
        lag,
        read_per_second,
        seconds_to_catch_up,
    };
    let found = said(pace(720_000_000, 6e6, Some(118.0)), &steady(0, 0, 0), true);
    check(
        found,
        Health::Degraded,
        "catching up: 720 MB behind, about 2 min left; 1 partition",
    );
    let found = said(pace(720_000_000, 0.0, None), &steady(0, 0, 0), true);
    check(
        found,
        Health::Degraded,
        "720 MB behind, and nothing is being read",
    );
    let found = said(pace(90_000, 1000.0, None), &steady(0, 0, 0), false);
    check(
        found,
        Health::Degraded,
        "90 thousand records behind, and not catching up; 1 partition",
    );
    // The lag is told once.
    for found in [
        said(pace(720_000_000, 6e6, Some(118.0)), &steady(0, 0, 0), true),
        said(pace(720_000_000, 0.0, None), &steady(0, 0, 0), true),
    ] {
        assert_eq!(found.1.matches("behind").count(), 1, "{}", found.1);
    }
    for little in [pace(900, 1000.0, None), pace(90_000, 20_000.0, Some(8.0))] {
        check(
            said(little, &steady(0, 0, 0), false),
            Health::Ok,
            "1 partition",
        );
    }
}

#[test]
fn silence_is_told_where_records_came_steadily() {
    let quiet = |seconds, per_second_before| Intake {
        quiet_seconds: Some(seconds),
        per_second_before,
        ..steady(0, 0, 0)
    };
    let found = said(Pace::default(), &quiet(40.0, 24.0), false);
    check(found, Health::Degraded, "no records for 40 s, 24/s before");
    check(
        said(Pace::default(), &quiet(40.0, 0.1), false),
        Health::Ok,
        "1 partition",
    );
    check(
        said(Pace::default(), &quiet(20.0, 24.0), false),
        Health::Ok,
        "1 partition",
    );
    let backlog = of_source(&SourceFacts {
        status: &status(),
        pace: Pace::default(),
        intake: &quiet(4000.0, 50_000.0),
        from_files: true,
        epoch: Epoch(1),
        steady: false,
        records: 0,
        undecoded: 0,
    });
    check(backlog, Health::Ok, "1 partition");
}

#[test]
fn arrivals_are_steady_when_ends_move_again_and_again() {
    let mut arrivals = Arrivals::default();
    // A backlog: its end is known at once and stays, and files that are found have ends too.
    (0..100).for_each(|it| arrivals.note(it, [(0, 720_000_000), (it as i32 + 1, 5)].into_iter()));
    assert!(!arrivals.are_steady());
    (100..120).for_each(|it| arrivals.note(it, [(0, 720_000_000 + it as i64)].into_iter()));
    assert!(arrivals.are_steady());
    (120..9000).for_each(|it| arrivals.note(it, [(0, 720_000_120)].into_iter()));
    assert!(arrivals.are_steady(), "as they were until the newest");
}

#[test]
fn a_clock_ahead_is_told_for_a_minute() {
    let ahead = |epoch| Intake {
        ahead: vec![
            PartitionAhead {
                partition: 3,
                epoch,
                by_us: 59 * 60 * 1_000_000,
                records: 12,
            },
            PartitionAhead {
                partition: 4,
                epoch,
                by_us: 7_000_000,
                records: 1,
            },
        ],
        ..steady(1000, 0, 0)
    };
    let found = said(Pace::default(), &ahead(990_000), false);
    check(
        found,
        Health::Degraded,
        "partition 3 is 59 min ahead, and 1 other partitions are ahead",
    );
    check(
        said(Pace::default(), &ahead(900_000), false),
        Health::Ok,
        "1 partition",
    );
}

#[test]
fn a_source_that_cannot_be_read_is_down() {
    let mut broken = status();
    broken.tell(0, false, Some("brokers do not answer".to_owned()));
    let intake = Intake::default();
    let facts = |status| SourceFacts {
        status,
        pace: Pace::default(),
        intake: &intake,
        from_files: false,
        epoch: Epoch(1),
        steady: false,
        records: 0,
        undecoded: 0,
    };
    check(
        of_source(&facts(&broken)),
        Health::Down,
        "brokers do not answer",
    );
    assert_eq!(never_reached("logs", &broken), None);
    let mut never = Status::default();
    check(
        of_source(&facts(&never)),
        Health::Starting,
        "not reached yet",
    );
    never.tell(0, false, Some("brokers do not answer".to_owned()));
    let expected = "source logs was never reached: brokers do not answer";
    assert_eq!(never_reached("logs", &never).as_deref(), Some(expected));
}

#[test]
fn the_engine_tells_delay_stillness_and_a_clock_that_was_ahead_apart() {
    let engine = |epoch, still_ms| {
        of_engine(&EngineFacts {
            workers: 2,
            epoch: Epoch(epoch),
            wall_ms: 1_000_000_000,
            still_ms,
        })
    };
    check(
        engine(999_999_900, 50),
        Health::Ok,
        "newest epoch 100 ms old",
    );
    check(engine(0, 50), Health::Starting, "no epoch is complete yet");
    check(
        engine(999_990_000, 50),
        Health::Degraded,
        "the newest epoch is 10 s old",
    );
    check(
        engine(999_990_000, 9000),
        Health::Degraded,
        "no new epoch for 9 s",
    );
    check(
        engine(1_086_340_000, 50),
        Health::Degraded,
        "epochs are 23 h 59 min ahead of the wall clock",
    );
    check(
        engine(1_086_340_000, 9000),
        Health::Degraded,
        "no new epoch for 9 s",
    );
}

#[test]
fn a_lake_that_cannot_be_read_or_written_is_down() {
    let lake = |waiting, unwritable, unreadable| {
        of_lake(&LakeFacts {
            number: 7,
            age_ms: 34_000,
            waiting,
            unwritable,
            unreadable,
        })
    };
    check(lake(1, None, None), Health::Ok, "commit 7 34 s ago");
    check(
        lake(2, None, None),
        Health::Degraded,
        "2 commits are waiting to be written, commit 7 34 s ago",
    );
    check(
        lake(0, Some("disk full"), Some("gone")),
        Health::Down,
        "disk full",
    );
    check(
        lake(0, None, Some("table logs: no log")),
        Health::Down,
        "the lake cannot be read: table logs: no log",
    );
}

#[test]
fn full_memory_names_the_largest_state_and_what_to_do() {
    let cost = |relation: &str, mib: u64| RelationCost {
        relations: vec![relation.to_owned()],
        bytes: mib << 20,
        ..RelationCost::default()
    };
    let costs = [
        cost("a", 3),
        cost("b", 700),
        cost("c", 0),
        cost("d", 20),
        cost("e", 1),
    ];
    let memory = |is_full: bool| Memory {
        used: 950 << 20,
        max: 1 << 30,
        waits_from: 928 << 20,
        goes_on_below: 881 << 20,
        is_full,
    };
    let (health, text) = of_memory(&memory(false), &costs);
    assert_eq!(health, Health::Ok);
    assert_eq!(text, "950 MiB of 1.0 GiB are taken");
    let (health, text) = of_memory(&memory(true), &costs);
    assert_eq!(health, Health::Degraded);
    assert!(
        text.contains(
            "below 881 MiB; largest state: b 700 MiB, d 20 MiB, a 3.0 MiB; nothing is lost"
        ),
        "{text}"
    );
    assert_eq!(
        http::Component::headline_of(health, &text),
        "Degraded: sources wait because memory is full"
    );
}

#[test]
fn restarts_are_counted_in_words() {
    assert_eq!(of_supervisor(0, ""), None);
    let why = "process 1 ended at 2026-11-29T21:00:00.0Z (signal: 9 (SIGKILL))";
    let (health, detail) = of_supervisor(2, why).unwrap();
    assert_eq!(health, Health::Ok);
    assert_eq!(
        detail,
        format!("started again 2 times; the last time since {why}")
    );
    assert_eq!(
        of_generator(10.0, None, 1),
        (Health::Ok, "10 events a second; restarted once".to_owned())
    );
    assert_eq!(
        of_generator(10.0, Some("the disk is full"), 0),
        (Health::Degraded, "the disk is full".to_owned())
    );
}

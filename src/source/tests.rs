//! The status that readers share: lag, speed, and when reading will have caught up.

use super::*;

const NOTHING: Position = Position {
    offset: crate::model::Offset(0),
    origin: String::new(),
    mark: String::new(),
};

fn progress(samples: &[(u64, i64, i64)], read: i64, now: Instant) -> Progress {
    let samples = samples
        .iter()
        .map(|(seconds_ago, read, lag)| Sample {
            at: now - Duration::from_secs(*seconds_ago),
            read: *read,
            lag: *lag,
        })
        .collect();
    Progress { read, samples }
}

#[test]
fn catching_up_counts_what_arrives_meanwhile() {
    let now = Instant::now() + Duration::from_secs(3600);
    let pace = progress(&[(10, 0, 1000), (5, 600, 700)], 1000, now).pace(500, now);
    assert_eq!(
        pace,
        Pace {
            read_per_second: 100.0,
            lag: 500,
            seconds_to_catch_up: Some(10.0),
        },
        "100 read and 50 arriving a second"
    );
}

#[test]
fn a_lag_that_grows_has_no_end_and_no_lag_has_one_now() {
    let now = Instant::now() + Duration::from_secs(3600);
    let growing = progress(&[(10, 0, 100)], 50, now).pace(200, now);
    assert_eq!(growing.seconds_to_catch_up, None);
    let done = progress(&[(10, 0, 100)], 50, now).pace(0, now);
    assert_eq!(done.seconds_to_catch_up, Some(0.0));
}

#[test]
fn an_idle_hour_does_not_slow_the_speed_down() {
    let now = Instant::now() + Duration::from_secs(7200);
    let pace = progress(&[(3600, 10, 0), (1, 10, 2000)], 1010, now).pace(1000, now);
    assert_eq!(pace.read_per_second, 100.0);
}

#[test]
fn what_was_there_before_was_not_read_just_now() {
    let status = SharedStatus::default();
    let at = |offset| Position {
        offset: Offset(offset),
        ..NOTHING
    };
    status.advance(Partition(0), &at(5_000), Some(6_000));
    status.advance(Partition(0), &at(5_200), None);
    assert_eq!(status.with(|it| it.progress.read), 200);
    assert_eq!(status.get().lag(), 800);
}

#[test]
fn gaps_are_kept_newest_last_and_bounded() {
    let status = SharedStatus::default();
    for from in 0..250 {
        status.note(Gap {
            partition: 0,
            from,
            to: from + 2,
            reason: String::new(),
            noticed_ms: 0,
        });
    }
    let told = status.get();
    assert_eq!(told.lost_records, 500);
    assert_eq!(told.gaps.len(), GAPS_TOLD_MAX);
    assert_eq!(told.gaps.last().map(|it| it.from), Some(249));
    let chunk = Chunk::empty(Partition(0), NOTHING, None);
    assert!(!chunk.at_end && chunk.records.ends.is_empty());
}

#[test]
fn what_all_readers_of_a_source_notice_is_one_line() {
    let status = SharedStatus::default();
    let mut lines = 0;
    for look in 0..100 {
        for worker in 0..4 {
            // The client's words for the same thing differ.
            let text = format!("brokers do not answer ({})", look % 2);
            status.update(|it| {
                it.tell(worker, false, Some(text.clone()));
            });
            lines += usize::from(status.seen(Complaint::Away).line(&text).is_some());
        }
    }
    assert_eq!(lines, 1);
    for worker in 0..4 {
        assert!(status.over().is_none(), "worker {worker} still has trouble");
        status.update(|it| {
            it.tell(worker, true, None);
        });
    }
    assert!(status.over().is_some());
    assert!(status.over().is_none(), "said once");
}

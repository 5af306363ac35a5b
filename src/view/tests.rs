//! All or nothing of an epoch, undoing, and catching up.

use super::*;
use crate::model::{Value, wall_ms};
use arrow::datatypes::Schema;

const GENERATION: u64 = 7;

fn hub(workers: usize) -> Arc<Hub> {
    hub_from(workers, 0)
}

fn hub_from(workers: usize, start: u64) -> Arc<Hub> {
    let info = ViewInfo {
        name: "v".to_owned(),
        schema: Arc::new(Schema::empty()),
        sql: String::new(),
        records_ms: None,
        window: None,
        order: Vec::new(),
    };
    Hub::new(
        vec![info],
        workers,
        vec![Totals::default()],
        GENERATION,
        Epoch(start),
    )
}

fn row(value: i64) -> Row {
    Row([Value::Int(value)].into())
}

fn part(worker: usize, through: u64, changes: &[(u64, i64, i64)]) -> Part {
    let changes = changes
        .iter()
        .map(|(epoch, value, diff)| (0, Epoch(*epoch), row(*value), *diff))
        .collect();
    Part {
        worker,
        through: Epoch(through),
        changes,
        ..Part::default()
    }
}

fn values(snapshot: &Snapshot) -> Vec<i64> {
    snapshot
        .in_order()
        .filter_map(|it| it.0.0[0].as_i64())
        .collect()
}

#[test]
fn nothing_of_an_epoch_shows_before_all_workers_are_past_it() {
    let hub = hub(2);
    let start = wall_ms();
    hub.publish(part(0, start, &[]));
    hub.publish(part(1, start, &[]));
    hub.publish(part(
        0,
        start + 200,
        &[(start + 100, 1, 1), (start + 200, 2, 1)],
    ));
    assert_eq!(values(&hub.snapshot("v").unwrap()), Vec::<i64>::new());
    hub.publish(part(1, start + 100, &[(start + 100, 3, 1)]));
    let snapshot = hub.snapshot("v").unwrap();
    assert_eq!(
        (snapshot.epoch.0, values(&snapshot)),
        (start + 100, vec![1, 3])
    );
}

#[test]
fn earlier_epochs_can_be_read_and_caught_up_from() {
    let hub = hub(1);
    let start = wall_ms();
    hub.publish(part(0, start, &[]));
    hub.publish(part(0, start + 1, &[(start + 1, 1, 1)]));
    hub.publish(part(0, start + 2, &[(start + 2, 1, -1), (start + 2, 2, 1)]));
    hub.publish(part(0, start + 3, &[(start + 3, 2, -1), (start + 3, 3, 1)]));
    assert_eq!(
        values(&hub.as_of("v", Epoch(start + 2)).unwrap().unwrap()),
        vec![2]
    );
    match hub.since("v", Epoch(start + 1), Epoch(start + 3)).unwrap() {
        Since::Changes { changes, epochs } => {
            assert_eq!(
                changes,
                vec![(row(1), -1), (row(3), 1)],
                "what came and went is not told"
            );
            assert_eq!(epochs, 2);
        }
        Since::TooOld => panic!("the ring reaches back"),
    }
    assert!(matches!(
        hub.since("v", Epoch(start - 1), hub.epoch()).unwrap(),
        Since::TooOld
    ));
    match hub.since("v", Epoch(start), Epoch(start + 1)).unwrap() {
        Since::Changes { changes, epochs } => {
            assert_eq!((changes, epochs), (vec![(row(1), 1)], 1), "and no further");
        }
        Since::TooOld => panic!("the ring reaches back"),
    }
    assert!(hub.as_of("v", Epoch(start - 1)).unwrap().is_err());

    // Of several views at once, and whether it will be possible.
    let names = ["v".to_owned(), "nope".to_owned()];
    let then = hub.snapshots_as_of(&names, Epoch(start + 2)).unwrap();
    assert_eq!(then, [Some(vec![row(2)]), None]);
    assert_eq!(
        hub.snapshots_as_of(&names, Epoch(start - 1)),
        Err(Epoch(start))
    );
    let kept = [start - 1, start, start + 2].map(|it| hub.keeps("v", Epoch(it)));
    assert_eq!(kept, [false, true, true]);
    assert!(!hub.keeps("v", Epoch(hub.epoch().0 + 1)) && !hub.keeps("nope", Epoch(start)));
}

/// A run that was ended may have shown epochs that this one, which goes on from an older commit, cuts otherwise.
#[test]
fn an_epoch_of_an_earlier_run_cannot_be_resumed_from() {
    let start = wall_ms();
    let hub = hub_from(2, start);
    // What was restored comes at the epoch of the commit, before the first epoch of this run.
    hub.publish(part(0, start - 1000, &[(start - 1000, 1, 1)]));
    hub.publish(part(1, start - 100, &[]));
    hub.publish(part(0, start - 100, &[]));
    assert_eq!(
        hub.epoch(),
        Epoch(0),
        "nothing shows before the first epoch"
    );
    hub.publish(part(0, start + 100, &[(start, 2, 1)]));
    hub.publish(part(1, start, &[]));
    let snapshot = hub.snapshot("v").unwrap();
    assert_eq!((snapshot.epoch.0, values(&snapshot)), (start, vec![1, 2]));
    for heard in [start - 1000, start - 500, start - 100, start + 100] {
        let since = hub.since("v", Epoch(heard), hub.epoch());
        assert!(
            matches!(since, Some(Since::TooOld)),
            "since {heard}: {since:?}"
        );
    }
    assert!(matches!(
        hub.since("v", Epoch(start), hub.epoch()),
        Some(Since::Changes { .. })
    ));
}

/// The clock was set back between two runs, so the second one has the epoch that a reader heard of in the first.
#[test]
fn an_epoch_of_another_run_is_not_gone_on_from() {
    let start = wall_ms();
    let hub = hub_from(1, start);
    for epoch in start..start + 3 {
        hub.publish(part(0, epoch, &[(epoch, 1, 1)]));
    }
    let reaches = |text: &str| hub.reaches("v", text.parse().expect("it has the form"));
    let epoch = start + 1;
    assert_eq!(hub.heard(Epoch(epoch)).to_string(), format!("7.{epoch}"));
    for own in [format!("7.{epoch}"), format!("7.{epoch}.35")] {
        assert!(reaches(&own), "{own}");
    }
    // The last two are how ids were written before they named the run.
    let others = [
        format!("6.{epoch}"),
        format!("8.{epoch}.35"),
        format!("{epoch}.35"),
        epoch.to_string(),
    ];
    for other in others {
        assert!(!reaches(&other), "{other}");
    }
    assert!("7.x".parse::<Heard>().is_err() && "".parse::<Heard>().is_err());
}

#[test]
fn rows_of_an_ordered_view_come_in_its_order() {
    let info = ViewInfo {
        name: "v".to_owned(),
        schema: Arc::new(Schema::empty()),
        sql: String::new(),
        records_ms: None,
        window: None,
        order: vec![Order {
            column: 0,
            descending: true,
            nulls_first: false,
        }],
    };
    let hub = Hub::new(vec![info], 1, vec![Totals::default()], GENERATION, Epoch(0));
    hub.publish(part(0, 100, &[(50, 2, 1), (50, 9, 1)]));
    hub.publish(part(0, 200, &[(150, 5, 2)]));
    let snapshot = hub.snapshot("v").expect("the view is there");
    assert_eq!(values(&snapshot), [9, 5, 2]);
    let earlier = hub.as_of("v", Epoch(100)).expect("the view is there");
    assert_eq!(values(&earlier.expect("the epoch is there")), [9, 2]);
    let (_, all) = hub.snapshots(&["v".to_owned()]);
    let rows = all[0].as_ref().expect("the view is there").iter();
    let numbers: Vec<Option<i64>> = rows.map(|it| it.0[0].as_i64()).collect();
    assert_eq!(numbers, [Some(9), Some(5), Some(5), Some(2)]);
}

/// Two hundred records a second are two hundred, whatever part of the minute the range holds just now.
#[test]
fn what_a_range_holds_is_what_its_records_are_divided_by() {
    const SECOND: i64 = 1_000_000;
    let at = |hub: &Hub, now_us: i64| {
        let nows = vec![("s".to_owned(), now_us)];
        hub.publish(Part {
            nows,
            ..part(0, 100, &[])
        });
    };
    let hub = hub(1);
    assert_eq!(hub.held_of_range_us("s", 60 * SECOND, 2 * SECOND), None);
    at(&hub, 1_000 * SECOND);
    for (now_us, held_us) in [
        (1_010 * SECOND, 10 * SECOND),
        (1_059 * SECOND, 59 * SECOND),
        (1_060 * SECOND, 60 * SECOND),
        (1_061 * SECOND + 900_000, 61 * SECOND + 900_000),
        (1_062 * SECOND, 60 * SECOND),
    ] {
        at(&hub, now_us);
        assert_eq!(
            hub.held_of_range_us("s", 60 * SECOND, 2 * SECOND),
            Some(held_us),
            "at {now_us}"
        );
    }
}

#[test]
fn single_records_leave_when_their_time_is_up_or_they_are_too_many() {
    let info = ViewInfo {
        name: "v".to_owned(),
        schema: Arc::new(Schema::empty()),
        sql: String::new(),
        window: None,
        records_ms: Some(10_000),
        order: Vec::new(),
    };
    let hub = Hub::new(vec![info], 1, vec![Totals::default()], GENERATION, Epoch(0));
    hub.seed_records(0, [(Epoch(1_000), vec![row(1), row(1)])]);
    hub.publish(part(0, 5_000, &[(5_000, 2, 1)]));
    let held = |hub: &Hub| hub.snapshot("v").expect("the view is there").rows.len();
    assert_eq!(held(&hub), 2);
    // Old ones go within a second.
    let changes = |from: u64, hub: &Hub| match hub.since("v", Epoch(from), hub.epoch()) {
        Some(Since::Changes { changes, .. }) => changes,
        other => panic!("{other:?}"),
    };
    hub.write().purged_at_ms = 0;
    std::thread::sleep(Duration::from_millis(1_050));
    hub.publish(part(0, 12_000, &[(12_000, 3, 1)]));
    assert_eq!(changes(5_000, &hub), [(row(1), -2), (row(3), 1)]);
    let many: Vec<(u64, i64, i64)> = (0..RECORDS_MAX as i64)
        .map(|it| (12_100, it + 10, 1))
        .collect();
    hub.publish(part(0, 12_100, &many));
    assert_eq!(held(&hub), RECORDS_MAX);
    hub.publish(part(0, 12_200, &[(12_200, 4, 1)]));
    // The oldest go, some together.
    let left = held(&hub);
    assert!(
        (RECORDS_MAX - ARRIVED_TOGETHER..=RECORDS_MAX).contains(&left),
        "{left}"
    );
    assert!(
        hub.snapshot("v")
            .expect("the view")
            .rows
            .iter()
            .any(|it| *it.0 == row(4))
    );
}

#[test]
fn how_old_records_are_is_noted_when_all_workers_are_past_their_epoch() {
    let hub = hub(2);
    let now_ms = wall_ms();
    let stamps = |oldest_ms, newest_ms| Stamps {
        oldest_ms,
        newest_ms,
    };
    let (seconds_ago, minutes_ago) = (now_ms - 20_000, now_ms - 3_000_000);
    hub.publish(Part {
        // Nothing of the second epoch may be counted with the first.
        stamps: vec![
            (Epoch(100), 0, stamps(minutes_ago, seconds_ago)),
            (Epoch(200), 0, stamps(now_ms + 60_000, now_ms + 90_000)),
        ],
        ..part(0, 200, &[])
    });
    let counted = |hub: &Hub| hub.delays()[0].clone();
    let upto = |hub: &Hub, bound: f64| {
        let all = counted(hub).upto;
        all.iter().find(|it| it.0 == bound).expect("a bound").1
    };
    assert_eq!(counted(&hub).count, 0, "the other worker is behind");
    hub.publish(part(1, 100, &[]));
    assert_eq!(counted(&hub).count, 2);
    assert_eq!((upto(&hub, 10.0), upto(&hub, 30.0)), (0, 1));
    assert_eq!((upto(&hub, 1_800.0), upto(&hub, 3_600.0)), (1, 2));
    hub.publish(part(1, 200, &[]));
    // A record from the future is not old.
    assert_eq!((upto(&hub, 0.1), counted(&hub).count), (2, 4));
    hub.publish(part(0, 300, &[]));
    hub.publish(part(1, 300, &[]));
    assert_eq!(counted(&hub).count, 4, "each once");
}

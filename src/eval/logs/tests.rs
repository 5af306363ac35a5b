//! Small logs, replayed with faults that cannot be missed.

use super::attribution::told;
use super::faults::KINDS;
use super::lines::{AGENT, CLIENT, Request};
use super::*;

const MINUTES_OF_TEST: usize = 3 * MINUTES_PER_DAY;
const SEED: u64 = 5;

/// Four endpoints, five clients, three agents: the last client has an agent of its own.
fn lines() -> Vec<Line> {
    let line = |at: usize| {
        let client = at % 5;
        let agent = if client == 4 { 2 } else { at / 5 % 2 };
        Line {
            time_us: at as i64 * 60_000_000,
            endpoint: Some(["/a", "/b", "/c", "/d"][at / 10 % 4].to_owned()),
            method: Some("GET".to_owned()),
            status: if at.is_multiple_of(97) { 404 } else { 200 },
            client: Some(format!("10.0.0.{client}")),
            agent: Some(["firefox", "chrome", "curl"][agent].to_owned()),
            milliseconds: None,
        }
    };
    (0..3_000).map(line).collect()
}

fn traffic() -> Traffic {
    let daily = |it: usize| {
        100.0 + 30.0 * libm::sin(it as f64 / MINUTES_PER_DAY as f64 * std::f64::consts::TAU)
    };
    Traffic {
        first: 10 * MINUTES_PER_DAY as i64,
        counts: (0..MINUTES_OF_TEST).map(daily).collect(),
        per_minute: 120.0,
    }
}

fn log() -> (Log, Strangers) {
    let mut log = Log::of(lines());
    let strangers = Strangers::of(&mut log);
    (log, strangers)
}

fn replay<'a>(log: &'a Log, strangers: &Strangers, faults: Vec<Fault>) -> Replay<'a> {
    let traffic = traffic();
    let pace = Pace::of_counts(&traffic.counts, traffic.per_minute, SEED);
    Replay::new(log, pace, faults, strangers.clone(), SEED)
}

/// The number of a value.
fn number(log: &Log, column: usize, name: &str) -> (usize, u32) {
    let values = log.frequent(column, 0.0);
    let value = values.iter().find(|it| log.name(column, it.0) == name);
    (column, value.expect("the log has it").0)
}

fn fault(change: Change, of: Vec<(usize, u32)>) -> Fault {
    let pairs = match &of[..] {
        [one, two] => vec![[*one, *two]],
        _ => Vec::new(),
    };
    Fault {
        kind: 1,
        change,
        minutes: 3_000..3_030,
        carriers: if of.len() == 1 {
            of.clone()
        } else {
            Vec::new()
        },
        pairs,
        of,
    }
}

/// What the engine finds of one fault, as set to one false alert a day.
fn found(replay: &Replay<'_>) -> (Outcome, Option<(Asked, Option<u32>, attribution::Told)>) {
    let endpoints: Vec<u32> = replay
        .log
        .frequent(ENDPOINT, 0.0)
        .iter()
        .map(|it| it.0)
        .collect();
    let keys = scores::keys(replay, &endpoints);
    let scores = Scores {
        keys: &keys,
        of_keys: keys
            .iter()
            .map(|it| scores::of_engine(it, 14_400))
            .collect(),
        arrivals: arrivals::arrivals(replay, MINUTES_PER_DAY, 1.0),
        faults: &replay.faults,
        skip: MINUTES_PER_DAY,
    };
    let alerts = scores.alerts(Rule::Set(1.0));
    let found = replay
        .faults
        .first()
        .and_then(|it| scores.found(it, &alerts));
    let told = found.map(|it| {
        let key = &keys[it.key];
        let asked = key.asked()[it.metric];
        (
            asked,
            key.endpoint,
            told(replay, asked, key.endpoint, it.minutes),
        )
    });
    (scores.outcome("metric", Rule::Set(1.0), &alerts), told)
}

#[test]
fn one_seed_one_result() {
    let run = |seed| run(lines(), Some(&traffic()), seed).expect("there is enough");
    let report = run(1);
    assert_eq!(report, run(1));
    assert_ne!(report.outcomes, run(2).outcomes);
    assert!(8 <= report.faults.iter().map(|it| it.faults).sum::<usize>());
    assert_eq!(report.keys, 5);
    assert!(!report.has_times && report.is_drawn);
}

#[test]
fn requests_change_where_a_fault_says_and_nowhere_else() {
    let (log, strangers) = log();
    let places = faults::place(&log, &strangers, SEED, 100, 40_000);
    assert_eq!(places.len(), 12 * KINDS.len());
    for pair in places.windows(2) {
        assert!(
            pair[0].minutes.end + 120 <= pair[1].minutes.start,
            "{pair:?}"
        );
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for fault in places {
        let deploys = matches!(fault.change, Change::Deploy(_));
        let fault = Fault {
            minutes: 50..60,
            ..fault
        };
        let replay = replay(&log, &strangers, vec![fault.clone()]);
        let quiet = replay.clone().without_faults();
        let mut changed = 0;
        for minute in 45..65 {
            replay.minute(minute, &mut with);
            quiet.minute(minute, &mut without);
            let is_in = fault.minutes.contains(&minute) || deploys && 50 <= minute;
            assert!(is_in || with == without, "{fault:?} in minute {minute}");
            changed += usize::from(with != without);
            let is_struck = |it: &&Request| fault.of.iter().all(|of| it.values[of.0] == of.1);
            let values = |of: &[Request]| {
                let mut rest: Vec<[u32; 5]> = of
                    .iter()
                    .filter(|it| !is_struck(it))
                    .map(|it| it.values)
                    .collect();
                rest.sort_unstable();
                rest
            };
            assert!(
                fault.of.is_empty() || values(&with) == values(&without),
                "{fault:?}"
            );
        }
        assert!(0 < changed, "{fault:?}");
    }
}

#[test]
fn a_huge_fault_is_found_and_so_is_what_carries_it() {
    let (log, strangers) = log();
    let fail = Change::Fail {
        share: 1.0,
        status: 503,
    };
    let endpoint = number(&log, ENDPOINT, "/b");
    for (change, of) in [
        (fail, vec![endpoint]),
        (fail, vec![number(&log, CLIENT, "10.0.0.1")]),
        (Change::Slower(20.0), vec![endpoint]),
        (Change::Keep(0.0), vec![endpoint]),
    ] {
        let replay = replay(&log, &strangers, vec![fault(change, of.clone())]);
        let (outcome, told) = found(&replay);
        assert_eq!(outcome.recall_by_kind[1], Some(1.0), "{change:?}");
        let (_, _, told) = told.expect("it was found");
        assert_eq!(told.one, Some(of[0]), "{change:?}");
        let again = explained(
            &replay,
            "it".to_owned(),
            [(0, metric_of(&replay.faults[0]), None, 3_000..3_030)].into_iter(),
        );
        assert_eq!(
            (again.top_1, again.missed.len()),
            (Some(1.0), 0),
            "{change:?}"
        );
    }
    let of = vec![endpoint, number(&log, AGENT, "chrome")];
    let replay = replay(&log, &strangers, vec![fault(fail, of.clone())]);
    let (_, _, told) = found(&replay).1.expect("it was found");
    assert_eq!(told.pair, Some([of[0], of[1]]));
}

/// Behind two days of learning: on the first one no endpoint is old.
#[test]
fn a_new_endpoint_is_found_though_it_is_no_key() {
    let (log, strangers) = log();
    let endpoint = strangers.probes[0];
    let change = Change::NewEndpoint { endpoint };
    let replay = replay(&log, &strangers, vec![fault(change, Vec::new())]);
    let found = arrivals::arrivals(&replay, MINUTES_PER_DAY, 1.0);
    assert!(found.iter().all(|it| it.endpoint == endpoint));
    let quiet = replay.without_faults();
    assert_eq!(arrivals::arrivals(&quiet, MINUTES_PER_DAY, 1.0), []);
    assert!(
        found.iter().any(|it| (3_000..3_030).contains(&it.minute)),
        "{found:?}"
    );
}

/// Whether the best test finds one fault of six hours, of an endpoint or of all traffic.
fn can_be_found(change: Change, is_of_endpoint: bool, per_day: f64) -> bool {
    let (log, strangers) = log();
    let endpoint = number(&log, ENDPOINT, "/b");
    let of = Vec::from_iter(is_of_endpoint.then_some(endpoint));
    let fault = Fault {
        minutes: 3_000..3_360,
        ..fault(change, of)
    };
    let replay = replay(&log, &strangers, vec![fault]);
    let keys = scores::keys(&replay, &[endpoint.1]);
    let scores = Scores {
        keys: &keys,
        of_keys: Vec::new(),
        arrivals: Vec::new(),
        faults: &replay.faults,
        skip: MINUTES_PER_DAY,
    };
    let bounds = bound::bounds(&replay, &scores, &[per_day]);
    assert_eq!(bounds[0].recall_by_kind[0], None);
    bounds[0].recall == 1.0
}

#[test]
fn what_changes_nothing_cannot_be_found_and_what_changes_much_can() {
    let fail = |share, status| Change::Fail { share, status };
    let flood = |share| Change::Flood {
        share,
        clients: 1,
        is_scanner: false,
    };
    for is_of_endpoint in [false, true] {
        for (much, nothing) in [
            (fail(0.1, 503), fail(0.0, 503)),
            (fail(0.1, 403), fail(0.0, 403)),
            (Change::Keep(0.5), Change::Keep(1.0)),
            (Change::Slower(1.5), Change::Slower(1.0)),
        ] {
            assert!(can_be_found(much, is_of_endpoint, 0.2), "{much:?}");
            assert!(!can_be_found(nothing, is_of_endpoint, 0.2), "{nothing:?}");
        }
    }
    for much in [
        flood(0.3),
        Change::Deploy(1.2),
        Change::Deploy(1.0 / 1.2),
        Change::SlowerSlowly,
        Change::FailSlowly,
        Change::NewEndpoint { endpoint: 0 },
    ] {
        assert!(can_be_found(much, false, 0.2), "{much:?}");
    }
    for nothing in [flood(0.0), Change::Deploy(1.0)] {
        assert!(!can_be_found(nothing, false, 0.2), "{nothing:?}");
    }
    // What is allowed to be wrong all the time finds anything.
    assert!(can_be_found(Change::Keep(1.0), false, 10_000.0));
}

#[test]
fn without_faults_all_alerts_are_false() {
    let (log, strangers) = log();
    let replay = replay(&log, &strangers, Vec::new());
    let endpoints = [number(&log, ENDPOINT, "/b").1];
    let keys = scores::keys(&replay, &endpoints);
    let scores = Scores {
        keys: &keys,
        of_keys: keys.iter().map(|it| scores::of_engine(it, 0)).collect(),
        arrivals: Vec::new(),
        faults: &[],
        skip: MINUTES_PER_DAY,
    };
    assert_eq!(scores.quiet_days(), 2.0);
    let alerts = scores.alerts(Rule::Budget(5.0));
    let outcome = scores.outcome("metric", Rule::Budget(5.0), &alerts);
    assert_eq!(outcome.recall_by_kind, vec![None; KINDS.len()]);
    assert_eq!(outcome.precision, Some(0.0));
    assert!(0.0 < outcome.false_alerts_per_day && outcome.false_alerts_per_day <= 10.0);
    let per_key = outcome.false_alerts_per_day / 2.0;
    assert_eq!(
        outcome.false_alerts_per_day_and_thousand_keys,
        1_000.0 * per_key
    );
}

#[test]
fn what_is_final_does_not_depend_on_the_order_of_lines() {
    let (log, strangers) = log();
    let replay = replay(&log, &strangers, Vec::new());
    let disorder = disorder::run(&replay, 14_400, MINUTES_PER_DAY, SEED);
    assert!(disorder.same_as_in_order);
    assert_eq!(disorder.false_by_disorder, 0);
    assert_eq!(disorder.alerts, disorder.alerts_in_order);
    assert_eq!(
        (disorder.windows, disorder.stalls),
        (2 * MINUTES_PER_DAY, 12)
    );
    assert!(0 < disorder.lines_late);
    // A shard that stalls looks like a drop until its lines come.
    assert!(0 < disorder.withdrawn, "{disorder:?}");
    assert!(disorder.withdrawn <= disorder.provisional);
}

#[test]
fn values_of_the_same_requests_are_as_right() {
    let (log, strangers) = log();
    let places = faults::place(&log, &strangers, SEED, 0, 100_000);
    let client = number(&log, CLIENT, "10.0.0.4");
    let own = places.iter().find(|it| it.of == [client]);
    let own = own.expect("one of twelve strikes it");
    assert_eq!(own.carriers, [client, number(&log, AGENT, "curl")]);
    let pairs = places
        .iter()
        .filter(|it| KINDS[it.kind] == "errors of pair");
    assert!(
        pairs
            .clone()
            .all(|it| it.carriers.is_empty() && it.pairs.contains(&[it.of[0], it.of[1]]))
    );
    assert_eq!(pairs.count(), 12);
}

#[test]
fn too_little_is_refused_and_few_lines_are_told() {
    let refused = |lines| run(lines, None, 1).expect_err("it is too little");
    assert!(matches!(refused(Vec::new()), Error::Empty));
    assert!(matches!(
        refused(lines()[..100].to_vec()),
        Error::Short { minutes: 100 }
    ));
    let mut far = lines();
    far[0].time_us -= 400 * 86_400_000_000;
    assert!(matches!(refused(far), Error::Long { days: 402 }));
    let report = run(lines(), None, 1).expect("two days are enough");
    assert!(!report.is_drawn);
    assert!(report.caveats[0].starts_with("1.0 requests a minute are too few"));
    // Minutes without a line, where times are no numbers.
    let few = run(lines().into_iter().step_by(3).collect(), None, 1).expect("two days are enough");
    assert!(few.disorder.same_as_in_order && 0 < few.disorder.lines_late);
    let timed = lines().into_iter().map(|it| Line {
        milliseconds: Some(5.0),
        ..it
    });
    assert!(Log::of(timed.collect()).has_times);
}

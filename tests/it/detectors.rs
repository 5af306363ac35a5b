//! Detectors and their incidents are views like any other: whatever the cut into epochs, workers, order of arrival and crashes, their rows are what one fold over
//! all windows makes of them.

use super::alarms::shown;
use super::oracle::{
    Lake, Random, Scenario, Subject, check_cases, input_of, lake_after, runtime, small_record,
};
use super::queries::sources;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tidelake::engine::{Feed, Input};
use tidelake::model::{Partition, Row, Value};
use tidelake::source::decode::{Decoder, RawRecords};
use tidelake::sql;

/// Detectors with and without a key, with and without a season, over one source and two; and views over what they say.
const DETECTORS: &str = "
CREATE SOURCE incident_actions (about TEXT NOT NULL, action TEXT NOT NULL, \"by\" TEXT, at TIMESTAMP, until TIMESTAMP, note TEXT, undone BOOLEAN, PRIMARY KEY (about, action)) WITH (connector = 'kafka', brokers = 'localhost:1', topic = 'actions', delete_when = 'undone') FORMAT JSON;
CREATE MATERIALIZED VIEW seconds AS SELECT window_start, k, count(*) AS c, avg(j) AS m FROM TUMBLE(raw_s, at, INTERVAL '1' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW seconds_of_o AS SELECT window_start, k, count(*) AS c, count(*) FILTER (WHERE b) AS f FROM TUMBLE(raw_o, at, INTERVAL '1' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW all_seconds AS SELECT window_end, count(*) AS c, count(*) FILTER (WHERE b) AS f FROM TUMBLE(raw_s, at, INTERVAL '1' SECOND) GROUP BY window_end;
CREATE MATERIALIZED VIEW both AS SELECT a.window_start, a.k, a.c, o.c AS d FROM seconds a JOIN seconds_of_o o ON a.window_start = o.window_start AND a.k = o.k;
CREATE DETECTOR of_k ON seconds METRICS (rate(c), value(m) AS mean) WITH (season = '10 seconds', false_alerts_per_day = '15000');
CREATE DETECTOR of_all ON all_seconds METRICS (rate(c * 2) AS twice, ratio(f, c)) WITH (season = 'none', early = '0 seconds', cool_down = '3 seconds', false_alerts_per_day = '8000');
CREATE DETECTOR of_both ON both METRICS (value(d - c) AS difference, rate(d), latency(abs(d - 1)) AS distance) KEY (k) WITH (season = '4 seconds', early = '1 second', cool_down = '0 seconds', false_alerts_per_day = '20000');
CREATE DETECTOR of_levels ON seconds METRICS (drift(c), novelty(m) AS mean, series(c - 1) AS less, outlier(c, m, c * m) AS together) WITH (season = 'none', false_alerts_per_day = '15000');
CREATE MATERIALIZED VIEW alarms AS SELECT k, metric, window_start, severity FROM of_k WHERE is_anomaly;
CREATE MATERIALIZED VIEW per_metric AS SELECT metric, count(*) AS windows, max(severity) AS worst FROM of_k GROUP BY metric;
CREATE MATERIALIZED VIEW open_now AS SELECT k, metric, since FROM of_k_incidents WHERE state <> 'closed';
";

fn subject() -> Subject {
    let text = sources() + DETECTORS;
    let planned = runtime().block_on(sql::plan_text("detectors", &text, |_| None));
    Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record: record_or_action,
    }
}

/// A record that says something of a series, too, if it is read as what people do about incidents.
fn record_or_action(random: &mut Random, at: i64) -> String {
    let mut record = small_record(random, at);
    let about = *random.of(&[
        r#""of_k/c/{\"k\": \"a\"}""#,
        r#""of_k/mean/{\"k\": \"b\"}""#,
        r#""of_all/twice/{}""#,
        r#""of_both/rate/{}""#,
    ]);
    let action = *random.of(&["\"mute\"", "\"mute\"", "\"acknowledge\"", "null"]);
    let by = *random.of(&["\"ana\"", "\"bo\"", "null"]);
    let undone = *random.of(&["true", "false", "null", "null"]);
    record.pop();
    record + &format!(",\"about\":{about},\"action\":{action},\"by\":{by},\"undone\":{undone}}}")
}

#[test]
fn detectors_equal_a_batch() {
    check_cases(&subject(), 12, 500);
}

/// What is in the lake after runs of 900 records with different numbers of processes and workers.
fn lake_of_three_runs(subject: &Subject) -> Lake {
    let scenario = Scenario {
        seed: 3,
        records: 900,
        partitions: 3,
        runs: vec![(1, 2), (2, 1), (1, 1)],
    };
    lake_after(subject, &scenario)
}

/// All rows of a view, of closed windows and open ones.
fn rows_of(subject: &Subject, lake: &Lake, view: &str) -> Vec<Row> {
    let mut views = subject.dataflow.views.iter();
    let number = views.position(|it| it.name == view).unwrap();
    let open = lake.open[number].values().flatten();
    lake.sealed[number].iter().chain(open).cloned().collect()
}

/// What the law holds for is not empty: there are anomalies, incidents that are over and such that are not.
#[test]
fn something_is_detected() {
    let subject = subject();
    let lake = lake_of_three_runs(&subject);
    let rows = |view: &str| rows_of(&subject, &lake, view);
    let column = |view: &str, name: &str| {
        let view = subject.dataflow.view(view).unwrap();
        view.plan.schema().index_of(name).unwrap()
    };
    let with = |view: &str, name: &str, value: Value| {
        let column = column(view, name);
        let rows = rows(view);
        (
            rows.iter().filter(|it| it.0[column] == value).count(),
            rows.len(),
        )
    };
    for detector in ["of_k", "of_all", "of_both"] {
        let (anomalies, all) = with(detector, "is_anomaly", Value::Bool(true));
        assert!(
            3 < anomalies && anomalies * 2 < all,
            "{detector}: {anomalies} of {all}"
        );
        let (unknown, _) = with(detector, "expected", Value::Null);
        assert!(unknown < all, "{detector}: nothing was judged");
        let incidents = format!("{detector}_incidents");
        let (closed, all) = with(&incidents, "state", Value::Text("closed".into()));
        assert!(
            0 < closed,
            "{detector}: {closed} of {all} incidents are over"
        );
    }
    let (not_muted, all) = with("incidents", "muted_by", Value::Null);
    assert!(
        0 < not_muted && not_muted < all,
        "{not_muted} of {all} incidents are not muted"
    );
    let of_detectors =
        ["of_k", "of_all", "of_both", "of_levels"].map(|it| rows(&format!("{it}_incidents")).len());
    assert_eq!(
        all,
        of_detectors.iter().sum::<usize>(),
        "all incidents are in one view"
    );
    let (silent, _) = with(
        "of_all",
        "observed",
        Value::Float(tidelake::model::Float::new(0.0)),
    );
    assert!(0 < silent, "windows without a record are judged");
}

/// Detectors whose keys are new now and then: a day of five seconds, and one of a hundred with an hour of four.
const NEWCOMERS: &str = "
CREATE MATERIALIZED VIEW seconds AS SELECT window_start, k, count(*) AS c FROM TUMBLE(raw_s, at, INTERVAL '1' SECOND) GROUP BY window_start, k;
CREATE DETECTOR of_new ON seconds METRICS (rate(100 * c) AS much) WITH (season = '5 seconds', false_alerts_per_day = '15000');
CREATE DETECTOR of_hours ON seconds METRICS (rate(100 * c) AS much) WITH (season = '100 seconds', early = '0 seconds', false_alerts_per_day = '15000');
";

fn subject_of_newcomers() -> Subject {
    let text = sources() + NEWCOMERS;
    let planned = runtime().block_on(sql::plan_text("newcomers", &text, |_| None));
    Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record: record_of_a_new_key,
    }
}

/// A record of one of two keys that stay, or of one that is new every ten seconds.
fn record_of_a_new_key(random: &mut Random, at: i64) -> String {
    let k = match random.below(10) {
        0..5 => "a".to_owned(),
        5..7 => "b".to_owned(),
        _ => format!("n{}", at / 10_000_000),
    };
    let at = tidelake::model::iso_of_micros(at);
    format!("{{\"at\":\"{at}\",\"k\":\"{k}\"}}")
}

/// Which keys are new depends on all keys, which lie on several workers.
#[test]
fn new_keys_equal_a_batch() {
    check_cases(&subject_of_newcomers(), 12, 500);
}

#[test]
fn new_keys_are_detected() {
    let subject = subject_of_newcomers();
    let lake = lake_of_three_runs(&subject);
    for detector in ["of_new", "of_hours"] {
        let schema = subject.dataflow.view(detector).unwrap().plan.schema();
        let column = |name: &str| schema.index_of(name).unwrap();
        let (metric, is_anomaly) = (column("metric"), column("is_anomaly"));
        let rows = rows_of(&subject, &lake, detector);
        let new: Vec<&Row> = rows
            .iter()
            .filter(|it| it.0[metric] == Value::Text("new".into()))
            .collect();
        let anomalies = new
            .iter()
            .filter(|it| it.0[is_anomaly] == Value::Bool(true));
        let (anomalies, all) = (anomalies.count(), new.len());
        assert!(0 < all, "{detector}");
        assert!(
            detector == "of_hours" || 3 < anomalies,
            "{anomalies} of {all}"
        );
    }
}

/// Records of one partition at the times at which they come, and a clock that goes with them.
struct Scripted {
    /// When it is, and the times of the records that come then, all in microseconds.
    steps: VecDeque<(i64, Vec<i64>)>,
    decoder: Decoder,
    wall: Arc<AtomicU64>,
    next: usize,
    done: Arc<AtomicBool>,
}

impl Feed for Scripted {
    fn next(&mut self) -> Option<Input> {
        // An epoch between two steps.
        if self.wall.fetch_add(100, Ordering::AcqRel) as i64 * 1000
            < self.steps.front().map_or(i64::MIN, |it| it.0)
        {
            return None;
        }
        let Some((_, times)) = self.steps.pop_front() else {
            self.done.store(true, Ordering::Release);
            return None;
        };
        let mut raw = RawRecords {
            partition: Partition(0),
            data: Vec::new(),
            ends: Vec::new(),
            offsets: Vec::new(),
            header: None,
        };
        for at in times {
            let record = format!("{{\"at\":\"{}\"}}", tidelake::model::iso_of_micros(at));
            raw.data.extend_from_slice(record.as_bytes());
            raw.ends.push(raw.data.len() as u32);
            raw.offsets.push((self.next + raw.offsets.len()) as i64);
        }
        let offsets = self.next..self.next + raw.offsets.len();
        self.next = offsets.end;
        let decoded = self.decoder.decode(&raw);
        Some(input_of(decoded, &raw, offsets, false))
    }

    fn look_again(&mut self) {}
}

/// A second without records while later ones come is an outage that is told, and taken back when its records come late. One whose records never come stays.
#[test]
fn late_records_take_an_incident_back() {
    const START_US: i64 = 1_769_860_800_000_000;
    const SECOND_US: i64 = 1_000_000;
    let text = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, WATERMARK FOR at AS at - INTERVAL '10' SECOND) WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
CREATE MATERIALIZED VIEW seconds AS SELECT window_start, count(*) AS c FROM TUMBLE(raw, at, INTERVAL '1' SECOND) GROUP BY window_start;
CREATE DETECTOR d ON seconds METRICS (rate(c)) WITH (season = 'none', cool_down = '6 seconds');";
    let dataflow = Arc::new(
        runtime()
            .block_on(sql::plan_text("late", text, |_| None))
            .unwrap(),
    );
    let of_second = |second: i64| -> Vec<i64> {
        let each = SECOND_US / 20;
        (0..20 + second % 3)
            .map(|it| START_US + second * SECOND_US + it * each % SECOND_US)
            .collect()
    };
    let mut steps: VecDeque<(i64, Vec<i64>)> = VecDeque::new();
    for second in 0..120 {
        let mut times = match second {
            // Late, and lost.
            60 | 61 | 80 | 81 => Vec::new(),
            _ => of_second(second),
        };
        if second == 65 {
            times.extend(of_second(60));
            times.extend(of_second(61));
        }
        if !times.is_empty() {
            steps.push_back((START_US + (second + 1) * SECOND_US, times));
        }
    }
    let wall = Arc::new(AtomicU64::new(START_US as u64 / 1000));
    let done = Arc::new(AtomicBool::new(false));
    let feed = Scripted {
        steps,
        decoder: tidelake::coordinator::decoder(&dataflow.sources[0]).unwrap(),
        wall: Arc::clone(&wall),
        next: 0,
        done: Arc::clone(&done),
    };
    let shown = shown(&dataflow, feed, START_US, &wall, &done);
    let view = dataflow
        .views
        .iter()
        .position(|it| it.name == "d_incidents")
        .unwrap();
    let schema = dataflow.views[view].plan.schema();
    let (state, since) = (
        schema.index_of("state").unwrap(),
        schema.index_of("since").unwrap(),
    );
    let second = |row: &Row| (row.0[since].as_i64().unwrap() - START_US) / SECOND_US;
    let changes = shown.iter().filter(|it| it.0 == view);
    let changes: Vec<(i64, String, i64)> = changes
        .map(|(_, row, diff)| {
            (
                second(row),
                row.0[state].to_json().as_str().unwrap().to_owned(),
                *diff,
            )
        })
        .collect();
    let of = |second: i64, state: &str| -> Vec<i64> {
        let of = changes.iter().filter(|it| it.0 == second && it.1 == state);
        of.map(|it| it.2).collect()
    };
    assert_eq!(of(60, "provisional"), [1, -1], "{changes:?}");
    assert_eq!(of(60, "open"), [0; 0], "{changes:?}");
    assert_eq!(of(80, "provisional").iter().sum::<i64>(), 0);
    assert!(!of(80, "provisional").is_empty());
    assert_eq!(of(80, "open").iter().sum::<i64>(), 0);
    assert_eq!(of(80, "closed"), [1], "{changes:?}");
    assert!(
        changes.iter().all(|it| it.0 == 60 || it.0 == 80),
        "{changes:?}"
    );
}

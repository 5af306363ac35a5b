//! Detectors and their incidents are views like any other: whatever the cut into epochs, workers, order of arrival and crashes, their rows are what one fold over
//! all windows makes of them.

use super::oracle::{Scenario, Subject, check_cases, lake_after, runtime, small_record};
use super::queries::sources;
use std::sync::Arc;
use tidelake::model::{Row, Value};
use tidelake::sql;

/// Detectors with and without a key, with and without a season, over one source and two; and views over what they say.
const DETECTORS: &str = "
CREATE MATERIALIZED VIEW seconds AS SELECT window_start, k, count(*) AS c, avg(j) AS m FROM TUMBLE(raw_s, at, INTERVAL '1' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW seconds_of_o AS SELECT window_start, k, count(*) AS c, count(*) FILTER (WHERE b) AS f FROM TUMBLE(raw_o, at, INTERVAL '1' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW all_seconds AS SELECT window_end, count(*) AS c, count(*) FILTER (WHERE b) AS f FROM TUMBLE(raw_s, at, INTERVAL '1' SECOND) GROUP BY window_end;
CREATE MATERIALIZED VIEW both AS SELECT a.window_start, a.k, a.c, o.c AS d FROM seconds a JOIN seconds_of_o o ON a.window_start = o.window_start AND a.k = o.k;
CREATE DETECTOR of_k ON seconds METRICS (rate(c), value(m) AS mean) WITH (season = '10 seconds', false_alerts_per_day = '15000');
CREATE DETECTOR of_all ON all_seconds METRICS (rate(c * 2) AS twice, ratio(f, c)) WITH (season = 'none', early = '0 seconds', cool_down = '3 seconds', false_alerts_per_day = '8000');
CREATE DETECTOR of_both ON both METRICS (value(d - c) AS difference, rate(d), latency(abs(d - 1)) AS distance) KEY (k) WITH (season = '4 seconds', early = '1 second', cool_down = '0 seconds', false_alerts_per_day = '20000');
CREATE MATERIALIZED VIEW alarms AS SELECT k, metric, window_start, severity FROM of_k WHERE is_anomaly;
CREATE MATERIALIZED VIEW per_metric AS SELECT metric, count(*) AS windows, max(severity) AS worst FROM of_k GROUP BY metric;
CREATE MATERIALIZED VIEW open_now AS SELECT k, metric, since FROM of_k_incidents WHERE state <> 'closed';
";

fn subject() -> Subject {
    let text = sources() + DETECTORS;
    let planned = runtime().block_on(sql::plan_text("detectors", &text, |_| None));
    Subject {
        dataflow: Arc::new(planned.unwrap_or_else(|it| panic!("{it}"))),
        record: small_record,
    }
}

#[test]
fn detectors_equal_a_batch() {
    check_cases(&subject(), 12, 500);
}

/// What the law holds for is not empty: there are anomalies, incidents that are over and such that are not.
#[test]
fn something_is_detected() {
    let subject = subject();
    let scenario = Scenario {
        seed: 3,
        records: 900,
        partitions: 3,
        runs: vec![(1, 2), (2, 1), (1, 1)],
    };
    let lake = lake_after(&subject, &scenario);
    let rows = |view: &str| -> Vec<Row> {
        let views = subject.dataflow.views.iter();
        let number = views.enumerate().find(|it| it.1.name == view).unwrap().0;
        let open = lake.open[number].values().flatten();
        lake.sealed[number].iter().chain(open).cloned().collect()
    };
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
    let (silent, _) = with(
        "of_all",
        "observed",
        Value::Float(tidelake::model::Float::new(0.0)),
    );
    assert!(0 < silent, "windows without a record are judged");
}

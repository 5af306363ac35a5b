//! Incidents of detectors in the list and the stream that older clients read.

use super::*;
use crate::http::testing::{Server, app_of};
use crate::model::{Float, Value};
use arrow::datatypes::Field;

const DATAFLOW: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, endpoint TEXT, status INT, took DOUBLE, WATERMARK FOR at AS at - INTERVAL '5' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE logs AS SELECT * FROM s;
CREATE MATERIALIZED VIEW minutes AS SELECT window_start, endpoint, count(*) AS requests, count(*) FILTER (WHERE status >= 500) AS errors, avg(took) AS took
  FROM TUMBLE(logs, at, INTERVAL '1' MINUTE) GROUP BY window_start, endpoint;
CREATE DETECTOR watch ON minutes METRICS (rate(requests), ratio(errors, requests) AS share, latency(took), value(took) AS mean);
CREATE MATERIALIZED VIEW anomalies AS SELECT window_start, window_end, endpoint, 'SLOW_RESPONSE' AS anomaly_type, CAST(0.8 AS DOUBLE) AS score, avg(took) AS observed, count(*) AS request_count
  FROM TUMBLE(logs, at, INTERVAL '1' MINUTE) GROUP BY window_start, window_end, endpoint;
";

async fn dataflow() -> Dataflow {
    let planned = crate::sql::plan_text("test", DATAFLOW, |_| None).await;
    planned.expect("the dataflow can be planned")
}

fn fields(dataflow: &Dataflow, view: &str) -> Vec<Field> {
    let schema = dataflow.view(view).expect("it is there").plan.schema();
    let fields = schema.fields().iter();
    fields.map(|it| it.as_ref().clone()).collect()
}

fn minute(at: i64) -> Value {
    Value::Timestamp(at * 60_000_000)
}

fn number(it: f64) -> Value {
    Value::Float(Float::new(it))
}

/// A row of all incidents, named by the minute that it began at.
struct Sample {
    minute: i64,
    metric: &'static str,
    observed: f64,
    severity: f64,
    muted_until: Option<i64>,
    is_dismissed: bool,
}

const SAMPLE: Sample = Sample {
    minute: 1,
    metric: "requests",
    observed: 40.0,
    severity: 6.0,
    muted_until: None,
    is_dismissed: false,
};

fn row(dataflow: &Dataflow, it: &Sample) -> Row {
    let text = |it: &str| Value::Text(it.into());
    let value = |field: &Field| match field.name().as_str() {
        "detector" => text("watch"),
        "key" => text("{\"endpoint\": \"/a\"}"),
        "metric" => text(it.metric),
        "incident" => text(&format!("{:016x}", it.minute)),
        "state" => text("open"),
        "since" => minute(it.minute),
        "until" => minute(it.minute + 2),
        "severity" => number(it.severity),
        "observed" => number(it.observed),
        "expected" => number(10.5),
        "low" => number(4.0),
        "high" => number(17.0),
        "summary" => text("requests of /a were 40"),
        "muted_until" => it.muted_until.map_or(Value::Null, minute),
        "dismissed_by" if it.is_dismissed => text("ana"),
        _ => Value::Null,
    };
    Row(fields(dataflow, INCIDENTS).iter().map(value).collect())
}

fn rule(at: i64) -> Row {
    let (text, slow) = (
        Value::Text("/b".into()),
        Value::Text("SLOW_RESPONSE".into()),
    );
    let (start, end) = (minute(at), minute(at + 1));
    Row([
        start,
        end,
        text,
        slow,
        number(0.8),
        number(900.0),
        Value::Int(9),
    ]
    .into())
}

async fn app() -> Arc<App> {
    let dataflow = dataflow().await;
    let incidents = [
        SAMPLE,
        Sample {
            minute: 3,
            metric: "share",
            severity: 5.9,
            ..SAMPLE
        },
        Sample {
            minute: 4,
            is_dismissed: true,
            ..SAMPLE
        },
    ];
    let incidents = incidents.iter().map(|it| row(&dataflow, it)).collect();
    let views = vec![
        (
            ANOMALIES,
            fields(&dataflow, ANOMALIES),
            vec![rule(0), rule(2)],
        ),
        (INCIDENTS, fields(&dataflow, INCIDENTS), incidents),
    ];
    app_of(views, dataflow.clone())
}

fn minutes(list: &Json) -> Vec<&str> {
    let all = list.as_array().expect("a list").iter();
    all.filter_map(|it| it["timestamp"].as_str()?.get(14..16))
        .collect()
}

#[tokio::test]
async fn incidents_are_in_the_list_in_its_shape_newest_first() {
    let server = Server::start(app().await).await;
    let list = server.get("/api/anomalies").await.json();
    assert_eq!(
        minutes(&list),
        ["03", "02", "01", "00"],
        "what was dismissed is no anomaly"
    );
    let expected = json!({
        "id": "0000000000000001", "timestamp": "1970-01-01T00:01:00Z", "level": "ERROR", "message": "requests of /a were 40",
        "window_start": "1970-01-01T00:01:00Z", "window_end": "1970-01-01T00:03:00Z", "endpoint": "/a", "ip_class": null,
        "anomaly_type": "TRAFFIC_SPIKE", "score": 0.8, "observed": 40.0, "expected": 10.5, "threshold": 17.0,
        "is_traffic_spike": true, "is_high_error_rate": false, "is_slow_response": false,
        "incident": "0000000000000001", "detector": "watch", "metric": "requests", "key": {"endpoint": "/a"}, "state": "open", "severity": 6.0,
        "request_count": null,
    });
    assert_eq!(list[2], expected);
    let share = &list[0];
    assert_eq!(
        (&share["anomaly_type"], &share["level"]),
        (&json!("HIGH_ERROR_RATE"), &json!("WARN"))
    );
    for name in list[1].as_object().expect("a rule's entry").keys() {
        assert!(share.get(name).is_some(), "entries of rules have `{name}`");
    }
    for (query, expected) in [
        ("limit=1", &["03"][..]),
        ("type=traffic_spike", &["01"]),
        ("endpoint=/b", &["02", "00"]),
        ("since=1970-01-01T00:02:00Z", &["03", "02"]),
    ] {
        let list = server.get(&format!("/api/anomalies?{query}")).await.json();
        assert_eq!(minutes(&list), expected, "{query}");
    }
}

#[tokio::test]
async fn the_type_is_that_of_the_metric_and_the_side() {
    let app = app().await;
    let schema = app
        .dataflow
        .view(INCIDENTS)
        .expect("it is there")
        .plan
        .schema();
    for (metric, above, below) in [
        ("requests", "TRAFFIC_SPIKE", "TRAFFIC_DROP"),
        ("share", "HIGH_ERROR_RATE", "LOW_ERROR_RATE"),
        ("took", "SLOW_RESPONSE", "FAST_RESPONSE"),
        ("mean", "HIGH_VALUE", "LOW_VALUE"),
    ] {
        for (observed, r#type, threshold) in [(40.0, above, 17.0), (1.0, below, 4.0)] {
            let row = row(
                &app.dataflow,
                &Sample {
                    metric,
                    observed,
                    ..SAMPLE
                },
            );
            let entry = Rows::Incidents
                .entry(&app, &schema, &row)
                .expect("an entry");
            assert_eq!(
                (&entry["anomaly_type"], &entry["threshold"]),
                (&json!(r#type), &json!(threshold)),
                "{metric}"
            );
        }
    }
}

#[tokio::test]
async fn the_stream_tells_once_that_an_incident_opens() {
    let app = app().await;
    let schema = app
        .dataflow
        .view(INCIDENTS)
        .expect("it is there")
        .plan
        .schema();
    let of = |it: &Sample| row(&app.dataflow, it);
    let news = |changes: &[(Row, i64)]| {
        let told = Rows::Incidents.news(&app, &schema, changes, 10 * 60_000);
        told.len()
    };
    let graver = Sample {
        severity: 9.0,
        ..SAMPLE
    };
    assert_eq!(news(&[(of(&SAMPLE), 1)]), 1);
    assert_eq!(
        news(&[(of(&SAMPLE), -1), (of(&graver), 1)]),
        0,
        "it goes on"
    );
    assert_eq!(news(&[(of(&SAMPLE), -1)]), 0, "it was taken back");
    for (muted_until, told) in [(11, 0), (10, 1)] {
        let muted = Sample {
            muted_until: Some(muted_until),
            ..SAMPLE
        };
        assert_eq!(
            news(&[(of(&muted), 1)]),
            told,
            "muted until minute {muted_until}"
        );
    }
    assert_eq!(
        news(&[(
            of(&Sample {
                is_dismissed: true,
                ..SAMPLE
            }),
            1
        )]),
        0
    );
}

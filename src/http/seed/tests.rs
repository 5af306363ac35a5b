//! What a dataflow does not count is not told as zero, but to those who have always been told so.

use super::*;
use crate::http::PARTIAL_HEADER;
use crate::http::testing::{Server, app_of};
use crate::model::{Float, Row};
use crate::plan::Dataflow;
use arrow::datatypes::{DataType, Field};

fn fields(names: &[&str]) -> Vec<Field> {
    let field = |it: &&str| Field::new(*it, DataType::Float64, true);
    names.iter().map(field).collect()
}

fn row(values: &[Option<f64>]) -> Row {
    let value = |it: &Option<f64>| it.map_or(Value::Null, |it| Value::Float(Float::new(it)));
    Row(values.iter().map(value).collect())
}

/// Requests of other names than those of web logs: what a figure is follows from the query.
const REQUESTS: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, code INT, took_ms DOUBLE, visit TEXT, WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;
CREATE TABLE calls AS SELECT at, code, took_ms, visit FROM s;
CREATE MATERIALIZED VIEW ever AS SELECT count(*) AS calls FROM calls;
";
const NEWEST: &str = "
CREATE MATERIALIZED VIEW newest AS SELECT count(*) AS calls, count(*) FILTER (WHERE code >= 400) AS errors,
  count(*) FILTER (WHERE code >= 500) AS server_errors, avg(took_ms) AS took_mean, count(DISTINCT visit) AS visits
FROM calls WHERE at > now() - INTERVAL '60' SECOND;
";

async fn planned(text: &str) -> Dataflow {
    let planned = crate::sql::plan_text("test", text, |_| None).await;
    planned.unwrap_or_else(|it| panic!("{it}"))
}

#[tokio::test]
async fn what_a_dataflow_does_not_count_is_null_and_named() {
    let totals = ("ever", fields(&["calls"]), vec![row(&[Some(9.0)])]);
    let app = app_of(vec![totals], planned(REQUESTS).await);
    let figures = figures_of(&app);
    for name in [
        "errorRate",
        "avgResponseTime",
        "activeSessions",
        "totalErrors",
        "bytesPerSec",
    ] {
        assert!(figures[name].is_null(), "{name}");
        assert!(
            figures["not_counted"]
                .as_array()
                .is_some_and(|it| it.contains(&json!(name))),
            "{name}"
        );
    }
    assert_eq!(figures["totalRequests"], 9);
    let old = metrics_of(&app);
    for name in NUMBERS {
        assert_eq!(old[name], 0, "{name}");
    }
}

#[tokio::test]
async fn what_it_counts_is_told_and_a_share_of_nothing_is_not_known() {
    let columns = ["calls", "errors", "server_errors", "took_mean", "visits"];
    let dataflow = planned(&format!("{REQUESTS}{NEWEST}")).await;
    let check = |values: [Option<f64>; 5], expected: Json| {
        let minute = ("newest", fields(&columns), vec![row(&values)]);
        let figures = figures_of(&app_of(vec![minute], dataflow.clone()));
        let told = [
            "errorRate",
            "serverErrorRate",
            "avgResponseTime",
            "activeSessions",
        ]
        .map(|it| figures[it].clone());
        assert_eq!(json!(told), expected);
        assert_eq!(
            figures["not_counted"],
            json!(["p95ResponseTime", "bytesPerSec", "totalErrors"])
        );
    };
    check(
        [Some(8.0), Some(2.0), Some(0.0), Some(12.4), Some(3.0)],
        json!([25.0, 0.0, 12, 3]),
    );
    check(
        [Some(0.0), Some(0.0), Some(0.0), None, Some(0.0)],
        json!([null, null, null, 0]),
    );
}

const LOGS: &str = "CREATE SOURCE s (at TIMESTAMP NOT NULL, level TEXT, endpoint TEXT, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE logs AS SELECT at, level, endpoint FROM s;";

/// An application whose live tail has some batches of one record.
async fn with_tail(batches: i64) -> Arc<App> {
    let dataflow = crate::sql::plan_text("test", LOGS, |_| None).await;
    let dataflow = dataflow.expect("the dataflow can be planned");
    let app = app_of(Vec::new(), dataflow);
    let schema = app.dataflow.tables[0].plan.schema();
    for number in 1..=batches {
        let values = schema.fields().iter().map(|it| match it.name().as_str() {
            "at" => Value::Timestamp(number * 1_000_000),
            "level" => Value::Text("INFO".into()),
            "endpoint" => Value::Text(format!("/{number}").into()),
            _ => Value::Int(number),
        });
        let rows = [Row(values.collect())];
        let rows = crate::model::batch_of_rows(&crate::plan::nullable(&schema), rows.iter());
        app.hub.publish(crate::view::Part {
            through: crate::model::Epoch(100),
            tails: vec![(0, rows.expect("rows have the schema"), 1)],
            ..crate::view::Part::default()
        });
    }
    app
}

#[tokio::test]
async fn the_log_is_that_of_the_tail_while_the_lake_cannot_be_read_and_says_so() {
    let app = with_tail(5).await;
    let server = Server::start(app).await;
    let of_tail = server.get("/api/logs?limit=5").await;
    assert_eq!(of_tail.header(PARTIAL_HEADER), "");
    let more = server.get("/api/logs?limit=6").await;
    assert_eq!(more.header(PARTIAL_HEADER), "true");
    for answer in [of_tail, more] {
        let endpoints = answer.json();
        let endpoints = endpoints.as_array().expect("a list").iter();
        let endpoints: Vec<&str> = endpoints.filter_map(|it| it["endpoint"].as_str()).collect();
        assert_eq!(endpoints, ["/5", "/4", "/3", "/2", "/1"]);
    }
}

//! What a dataflow does not count is not told as zero, but to those who have always been told so.

use super::*;
use crate::http::testing::app_of;
use crate::model::Float;
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

#[tokio::test]
async fn what_a_dataflow_does_not_count_is_null_and_named() {
    let totals = ("totals", fields(&["requests"]), vec![row(&[Some(9.0)])]);
    let app = app_of(vec![totals], Dataflow::default());
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
    let columns = [
        "requests",
        "errors",
        "server_errors",
        "response_time_mean",
        "sessions",
    ];
    let check = |values: [Option<f64>; 5], expected: Json| {
        let minute = ("last_minute", fields(&columns), vec![row(&values)]);
        let figures = figures_of(&app_of(vec![minute], Dataflow::default()));
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

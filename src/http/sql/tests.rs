//! Formats, and what a cancelled query says in each of them.

use super::*;
use crate::http::{Status, StatusSource};
use crate::model::{Epoch, Row, Value};
use crate::plan::Dataflow;
use crate::sql::query::{LakeTables, Limits, Queries, TableDetails};
use crate::view::{Hub, Part, ViewInfo};
use arrow::datatypes::{DataType, Field, Schema};
use axum::body::to_bytes;
use datafusion::catalog::TableProvider;
use futures::future::BoxFuture;
use std::time::{Duration, Instant};

#[test]
fn the_first_format_of_ours_is_taken() {
    assert_eq!(Format::of("text/html, text/csv;q=0.9"), Some(Format::Csv));
    assert_eq!(
        Format::of("application/vnd.apache.parquet"),
        Some(Format::Parquet)
    );
    assert_eq!(Format::of("*/*"), None);
    assert_eq!(Format::of("application/json"), None);
}

#[test]
fn an_answer_without_columns_can_be_written_in_every_format() {
    let answer = Answer {
        schema: Arc::new(Schema::empty()),
        batches: Vec::new(),
        truncated: false,
        partial: true,
        elapsed: Duration::ZERO,
        epoch: Epoch(0),
        tables: Vec::new(),
    };
    for format in [
        Format::Csv,
        Format::JsonLines,
        Format::Arrow,
        Format::Parquet,
    ] {
        format.write(&answer).expect("it can be written");
    }
    assert_eq!(rows_json(&answer), ("[]".to_owned(), "[]".to_owned()));
}

struct NoLake;

impl LakeTables for NoLake {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    fn provider<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn TableProvider>, String>> {
        Box::pin(async move { Err(format!("no table {name}")) })
    }
    fn details<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<TableDetails, String>> {
        Box::pin(async move { Err(format!("no table {name}")) })
    }
}

struct NoStatus;

impl StatusSource for NoStatus {
    fn status(&self) -> Status {
        Status::default()
    }
}

/// One view with the numbers below `count`.
fn app(count: i64) -> Arc<App> {
    let field = Field::new("n", DataType::Int64, false);
    let info = ViewInfo {
        name: "numbers".to_owned(),
        schema: Arc::new(Schema::new(vec![field])),
        sql: String::new(),
        window: None,
    };
    let hub = Hub::new(vec![info], 1, Vec::new(), Epoch(0));
    let row = |n| (0, Epoch(100), Row([Value::Int(n)].into()), 1);
    hub.publish(Part {
        worker: 0,
        through: Epoch(100),
        changes: (0..count).map(row).collect(),
        tails: vec![],
        read: vec![],
        watermarks: vec![],
        left_out: vec![],
    });
    let dataflow = Arc::new(Dataflow::default());
    let queries = Queries::new(
        hub.clone(),
        dataflow.clone(),
        Arc::new(NoLake),
        Limits::default(),
    )
    .expect("threads can be had");
    App::new(hub, queries, dataflow, Arc::new(NoStatus), vec![], None)
}

/// Three rows at once, and a fourth that takes ages.
const SLOW: &str = "SELECT n FROM numbers WHERE n < 3
    UNION ALL SELECT sum(a.n * b.n * c.n % 7) FROM numbers a, numbers b, numbers c";

/// What the server says to `SLOW` if it is cancelled some time after.
async fn cancelled(app: &Arc<App>, accept: &str, after: Duration) -> (HeaderMap, String) {
    let mut headers = HeaderMap::new();
    headers.insert("x-query-id", "slow".parse().expect("a value"));
    headers.insert(header::ACCEPT, accept.parse().expect("a value"));
    let body = Bytes::from(json!({"query": SLOW}).to_string());
    let asked = tokio::spawn(run(State(app.clone()), headers, body));
    tokio::time::sleep(after).await;
    while cancel(State(app.clone()), Path("slow".to_owned()))
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
    let response = asked.await.expect("no panic").expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    (
        head.headers,
        String::from_utf8(body.to_vec()).expect("a text"),
    )
}

#[tokio::test]
async fn a_cancelled_query_says_that_its_rows_are_not_all() {
    let app = app(2_000);
    let expected = [
        (
            "application/json",
            "\"rows\":[{\"n\":0},{\"n\":1},{\"n\":2}]",
        ),
        ("text/csv", "n\r\n0\r\n1\r\n2\r\n"),
        ("application/x-ndjson", "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n"),
    ];
    for (accept, rows) in expected {
        // How soon the first rows are there is for the machine to say.
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut after = Duration::from_millis(1);
        loop {
            let (headers, body) = cancelled(&app, accept, after).await;
            assert_eq!(headers[PARTIAL_HEADER], "true", "{accept}");
            if accept == "application/json" {
                let body: Json = serde_json::from_str(&body).expect("JSON");
                assert_eq!(body["partial"], true);
                assert_eq!(body["partial_reason"], "cancelled");
                assert_eq!(body["truncated"], false);
            }
            if body.contains(rows) {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{accept} after {after:?}: {body}"
            );
            after *= 2;
        }
    }
}

#[tokio::test]
async fn a_whole_answer_is_not_partial() {
    let body = Bytes::from(json!({"query": "SELECT count(*) AS n FROM numbers"}).to_string());
    let response = run(State(app(3)), HeaderMap::new(), body)
        .await
        .expect("an answer");
    assert_eq!(response.headers()[PARTIAL_HEADER], "false");
    let body = to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body");
    let body: Json = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["rows"], json!([{"n": 3}]));
    assert_eq!(
        (&body["partial"], &body["partial_reason"]),
        (&json!(false), &Json::Null)
    );
}

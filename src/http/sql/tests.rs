//! Formats, and what a cancelled query says in each of them.

use super::*;
use crate::http::testing::{Server, app_of};
use crate::model::{Epoch, Row, Value};
use crate::plan::Dataflow;
use crate::sql::query::Cut;
use arrow::datatypes::{DataType, Field, Schema};
use axum::body::to_bytes;
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
    let ending = Ending {
        epoch: Epoch(0),
        elapsed: Duration::ZERO,
        truncated: false,
        partial: Some(Cut::Cancelled),
    };
    for format in [
        Format::Csv,
        Format::JsonLines,
        Format::Arrow,
        Format::Parquet,
        Format::Json("q".to_owned()),
    ] {
        let writer = format::Writer::new(&format, &Arc::new(Schema::empty()));
        let written = writer.and_then(|it| it.finish(&ending));
        let written = written.expect("it can be written");
        if matches!(format, Format::Json(_)) {
            let body: Json = serde_json::from_slice(&written).expect("JSON");
            assert_eq!(
                (&body["rows"], &body["partial_reason"]),
                (&json!([]), &json!("cancelled"))
            );
        }
    }
}

#[tokio::test]
async fn csv_tells_null_from_an_empty_text() {
    let query = r#"SELECT NULL AS "a,b", '' AS "c""d", 'x' || chr(34) || chr(13) || chr(10) || ',' AS e, ' y ' AS f, [1, NULL] AS g"#;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, "text/csv".parse().expect("a value"));
    let body = Bytes::from(json!({"query": query}).to_string());
    let response = run(None, State(app(3)), headers, body)
        .await
        .expect("an answer");
    let body = to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body");
    let expect = "\"a,b\",\"c\"\"d\",e,f,g\r\n,\"\",\"x\"\"\r\n,\", y ,[1,null]\r\n";
    assert_eq!(String::from_utf8_lossy(&body), expect);
}

/// A plain view is told of as what it reads is, and in one way by the list of tables and by DESCRIBE.
#[tokio::test]
async fn plain_views_are_told_with_their_columns() {
    let text = "
        CREATE SOURCE orders (at TIMESTAMP NOT NULL, shop TEXT, total DOUBLE, WATERMARK FOR at AS at - INTERVAL '1' SECOND) FORMAT JSON;
        COMMENT ON COLUMN orders.total IS '[role = money, unit = EUR] What was paid';
        CREATE MATERIALIZED VIEW sales AS SELECT shop, sum(total) AS turnover FROM orders GROUP BY shop;
        CREATE VIEW best AS SELECT shop AS place, turnover, turnover > 100 AS is_large FROM sales;
        COMMENT ON COLUMN best.place IS 'Where';
        CREATE VIEW better AS SELECT place, turnover FROM best WHERE is_large;
        CREATE VIEW paid AS SELECT total FROM orders;
    ";
    let planned = crate::sql::plan_text("shop", text, |_| None).await;
    let dataflow = planned.expect("it can be planned");
    let sales = dataflow.view("sales").expect("it is there").plan.schema();
    let columns = sales.fields().iter().map(|it| it.as_ref().clone());
    let columns: Vec<Field> = columns.collect();
    let server = Server::start(app_of(vec![("sales", columns, vec![])], dataflow)).await;
    let told = |columns: &Json| -> Vec<[Json; 5]> {
        let columns = columns.as_array().expect("columns").iter();
        let facts = ["name", "type", "role", "unit", "comment"];
        columns
            .map(|it| facts.map(|fact| it[fact].clone()))
            .collect()
    };
    let tables = server.get("/api/v1/tables").await.json();
    let listed = |name: &str| {
        let mut all = tables["tables"].as_array().expect("tables").iter();
        let found = all.find(|it| it["name"] == name).expect("it is listed");
        assert_eq!(found["kind"], "plain view");
        told(&found["columns"])
    };
    let column = |name: &str, kind: &str, role: &str, unit: Json, comment: Json| {
        [json!(name), json!(kind), json!(role), unit, comment]
    };
    let place = column("place", "text", "key", Json::Null, json!("Where"));
    let turnover = column("turnover", "double", "money", json!("EUR"), Json::Null);
    let is_large = column("is_large", "boolean", "flag", Json::Null, Json::Null);
    let best = vec![place.clone(), turnover.clone(), is_large];
    assert_eq!(listed("best"), best);
    assert_eq!(listed("better"), [place, turnover]);
    // No query can read it, since it reads a source.
    let paid = json!("What was paid");
    let total = column("total", "double", "money", json!("EUR"), paid);
    assert_eq!(listed("paid"), [total]);
    for (query, expect) in [("DESCRIBE best", best), ("\\d better", listed("better"))] {
        let body = json!({"query": query}).to_string();
        let head = "POST /api/v1/sql HTTP/1.1\ncontent-type: application/json";
        let reply = server.ask(head, &body).await;
        assert_eq!(told(&reply.json()["rows"]), expect, "{}", reply.text());
    }
}

#[tokio::test]
async fn what_a_body_has_besides_is_not_passed_over() {
    for (body, said) in [
        (r#"{"qeury": "SELECT 1"}"#, "unknown field `qeury`"),
        (
            r#"{"query": "SELECT 1", "limits": 5}"#,
            "unknown field `limits`",
        ),
        (r#"{"query": "SELECT 1", "limit": -1}"#, "`-1`"),
        (r#"{"query": "SELECT 1", "limit": "5"}"#, "expected u64"),
        (
            r#"{"query": "SELECT 1", "export": "yes"}"#,
            "expected a boolean",
        ),
        ("{}", "missing field `query`"),
        ("SELECT 1", "expected value"),
    ] {
        let refused = run(None, State(app(3)), HeaderMap::new(), Bytes::from(body)).await;
        let problem = refused.expect_err(body);
        assert_eq!(problem.code, "bad_body");
        assert!(problem.detail.contains(said), "{body}: {problem}");
    }
    let mut headers = HeaderMap::new();
    let id = header::HeaderValue::from_bytes("Zürich".as_bytes()).expect("a value");
    headers.insert("x-query-id", id);
    let body = Bytes::from(r#"{"query": "SELECT 1", "limit": null}"#);
    let refused = run(None, State(app(3)), headers, body.clone()).await;
    assert_eq!(refused.expect_err("no name").code, "bad_query_id");
    assert!(
        run(None, State(app(3)), HeaderMap::new(), body)
            .await
            .is_ok()
    );
}

/// Rows of an export that is too large to be kept back, in each format.
#[tokio::test]
async fn a_large_export_has_all_its_rows() {
    let app = app(300);
    let sql = "SELECT a.n AS n, repeat('x', 20) AS x FROM numbers a, numbers b";
    let asked = |accept: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().expect("a value"));
        let body = Bytes::from(json!({"query": sql, "export": true}).to_string());
        let app = app.clone();
        async move {
            let response = run(None, State(app), headers, body)
                .await
                .expect("an answer");
            let body = to_bytes(response.into_body(), usize::MAX).await;
            body.expect("a body")
        }
    };
    let lines = |body: &Bytes| body.iter().filter(|it| **it == b'\n').count();
    assert_eq!(lines(&asked("text/csv").await), 90_001);
    assert_eq!(lines(&asked("application/x-ndjson").await), 90_000);
    let body: Json = serde_json::from_slice(&asked("*/*").await).expect("JSON");
    assert_eq!(body["rows"].as_array().map(Vec::len), Some(90_000));
    assert_eq!(
        (&body["truncated"], &body["partial"]),
        (&json!(false), &json!(false))
    );
    let arrow = asked("application/vnd.apache.arrow.stream").await;
    let reader = arrow::ipc::reader::StreamReader::try_new(arrow.as_ref(), None).expect("Arrow");
    let rows: usize = reader.map(|it| it.expect("a batch").num_rows()).sum();
    assert_eq!(rows, 90_000);
    let parquet = asked("application/vnd.apache.parquet").await;
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(parquet, 8_192);
    let rows = reader
        .expect("Parquet")
        .map(|it| it.expect("a batch").num_rows());
    assert_eq!(rows.sum::<usize>(), 90_000);
}

#[tokio::test]
async fn an_export_that_fails_on_its_way_is_broken_off() {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, "text/csv".parse().expect("a value"));
    let sql = "SELECT repeat('x', 2000) || CAST(1000 / (299 - n) AS TEXT) AS x FROM numbers UNION ALL SELECT 'y'";
    let sql = format!("WITH t AS ({sql}) SELECT x FROM t, numbers");
    let body = Bytes::from(json!({"query": sql}).to_string());
    match run(None, State(app(300)), headers, body).await {
        Ok(response) => assert!(to_bytes(response.into_body(), usize::MAX).await.is_err()),
        Err(problem) => assert_eq!(problem.code, "query_failed"),
    }
}

/// One view with the numbers below `count`.
fn app(count: i64) -> Arc<App> {
    let field = Field::new("n", DataType::Int64, false);
    let rows = (0..count).map(|it| Row([Value::Int(it)].into()));
    app_of(
        vec![("numbers", vec![field], rows.collect())],
        Dataflow::default(),
    )
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
    let asked = tokio::spawn(run(None, State(app.clone()), headers, body));
    tokio::time::sleep(after).await;
    while cancel(None, State(app.clone()), Path("slow".to_owned()))
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
        let deadline = Instant::now() + Duration::from_secs(240);
        let mut after = Duration::from_millis(50);
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
    let response = run(None, State(app(3)), HeaderMap::new(), body)
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

#[tokio::test]
async fn a_query_that_runs_at_a_stop_is_answered() {
    let app = app(2_000);
    let body = Bytes::from(json!({"query": SLOW}).to_string());
    let asked = tokio::spawn(run(None, State(app.clone()), HeaderMap::new(), body));
    app.queries.close();
    let problem = asked
        .await
        .expect("no panic")
        .expect_err("it has no answer");
    assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem.code, "stopping");
}

#[test]
fn samples_are_offered_where_they_can_run() {
    let columns = |names: &[&str]| {
        let fields = names.iter().map(|it| Field::new(*it, DataType::Utf8, true));
        Schema::new(fields.collect::<Vec<_>>())
    };
    let some = ["timestamp", "status", "response_time", "endpoint"];
    let names = |schema: &Schema| -> Vec<Json> {
        samples_over(schema)
            .into_iter()
            .map(|it| it["name"].clone())
            .collect()
    };
    assert_eq!(
        names(&columns(&some)),
        ["Requests per minute", "Top error endpoints"]
    );
    let all = [&some[..], &["user_id", "session_id", "source", "level"]].concat();
    assert_eq!(names(&columns(&all)).len(), 4);
}

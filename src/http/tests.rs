//! The whole API against requests that nobody would send: whatever comes, the answer is one that the API knows, and the server goes on.

use super::testing::{Server, app_with};
use super::*;
use crate::model::{Float, Row, Value};
use arrow::datatypes::{DataType, Field};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value as Json;

const WEB_LOGS: &str = include_str!("../../dataflows/web_logs/dataflow.sql");

async fn app() -> Arc<App> {
    let dataflow = crate::sql::plan_text("web_logs", WEB_LOGS, |_| None)
        .await
        .expect("it is shipped");
    let views: Vec<(String, Vec<Field>)> = dataflow
        .views
        .iter()
        .map(|it| {
            let fields = it.plan.schema();
            let fields = fields.fields().iter().map(|it| it.as_ref().clone());
            (it.name.clone(), fields.collect())
        })
        .collect();
    let views = views
        .iter()
        .map(|(name, fields)| (name.as_str(), fields.clone(), vec![row(fields)]));
    app_with(
        views.collect(),
        dataflow.clone(),
        Access::default(),
        None,
        Limits::of(1_024),
    )
}

fn row(fields: &[Field]) -> Row {
    let value = |field: &Field| match field.data_type() {
        DataType::Boolean => Value::Bool(true),
        DataType::Int32 | DataType::Int64 => Value::Int(7),
        DataType::Float64 => Value::Float(Float::new(0.5)),
        DataType::Date32 => Value::Date(20_000),
        DataType::Timestamp(..) => Value::Timestamp(1_800_000_000_000_000),
        _ => Value::Text("text".into()),
    };
    Row(fields.iter().map(value).collect())
}

/// Method, path template, and names of the parameters of each operation.
fn operations() -> Vec<(String, String, Vec<String>)> {
    let document = openapi_document();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().expect("parameters");
            let in_query = parameters.iter().filter(|it| it["in"] == "query");
            let names = in_query.map(|it| it["name"].as_str().expect("a name").to_owned());
            all.push((method.to_uppercase(), path.clone(), names.collect()));
        }
    }
    assert!(20 < all.len());
    all
}

/// Values at the edges, and any others.
fn value() -> impl Strategy<Value = String> {
    let edges = [
        "",
        "0",
        "1",
        "-1",
        "60",
        "86400",
        "1e9",
        "NaN",
        "inf",
        "-0",
        "0x10",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-5000000000000000",
        "5000000000000000",
        "-62135596800000",
        "253402300799999",
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-02-30T00:00:00Z",
        "7.100.1",
        "..",
        "7.",
        "status >= 500",
        "endpoint = 'x' AND * ~ '%'",
        "* ~ ''",
        "status = 99999999999999999999",
        "metrics,health,pipeline,tail",
        "view:traffic_1m",
        "tail.a,tail.b",
        "view:",
        ",",
        "traffic_1m",
        "overall_1m",
        "logs",
        "endpoint",
        "null",
        "true",
        "../../etc/passwd",
        "a\0b",
        "\u{202e}",
        "🦀",
        "SELECT 1",
        "' OR 1=1 --",
    ];
    prop_oneof![
        3 => prop::sample::select(edges.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => any::<i64>().prop_map(|it| it.to_string()),
        1 => any::<f64>().prop_map(|it| it.to_string()),
    ]
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        value(),
        value().prop_map(|it| serde_json::json!({"query": it}).to_string()),
        (value(), any::<i64>())
            .prop_map(|(it, limit)| serde_json::json!({"query": it, "limit": limit}).to_string()),
        (value(), value())
            .prop_map(|(it, of)| serde_json::json!({it: of, "query": [1]}).to_string()),
        Just("{\"query\": \"SELECT 1\", \"export\": true}".to_owned()),
    ]
}

/// A request head and its body. Some values come as they are, so that also their bytes are put to the test.
fn request() -> impl Strategy<Value = (String, String)> {
    let operations = prop::sample::select(operations());
    let values = prop::collection::vec((any::<bool>(), value()), 10);
    let odd = prop::option::weighted(0.1, (value(), value()));
    (operations, values, odd, body(), 0..8u8).prop_map(
        |((method, path, names), values, odd, body, choice)| {
            let mut values = values.into_iter();
            let mut next = || values.next().unwrap_or_default();
            let mut path_now = String::new();
            for (at, part) in path.split(['{', '}']).enumerate() {
                match at % 2 {
                    0 => path_now.push_str(part),
                    _ => path_now.push_str(&encoded(&next().1)),
                }
            }
            let mut query: Vec<String> = Vec::new();
            for name in names {
                let (is_there, value) = next();
                if is_there {
                    query.push(format!("{name}={}", encoded(&value)));
                }
            }
            if let Some((name, value)) = odd {
                query.push(format!("{}={}", encoded(&name), encoded(&value)));
            }
            if choice == 0 {
                query.push("%ff=%fe%".to_owned());
            }
            let mut head = format!("{method} {path_now}?{} HTTP/1.1", query.join("&"));
            head.push_str("\ncontent-type: application/json");
            let accept = [
                "*/*",
                "text/csv",
                "application/vnd.apache.parquet",
                "\u{fe}",
            ];
            head.push_str(&format!(
                "\naccept: {}",
                accept[usize::from(choice) % accept.len()]
            ));
            if choice == 1 {
                head.push_str("\nlast-event-id: 7.x");
            }
            let has_body = matches!(method.as_str(), "POST" | "PUT");
            (head, if has_body { body } else { String::new() })
        },
    )
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
fn whatever_is_asked_the_answer_is_one_that_the_api_knows() {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    let (app, server) = runtime.block_on(async {
        let app = app().await;
        (Arc::clone(&app), Server::start(app).await)
    });
    let config = Config {
        cases: 250,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&request(), |(head, body)| {
        let reply = runtime.block_on(server.ask(&head, &body));
        let code = reply.code();
        prop_assert!(
            reply.status < 500 || problem::FAILURES.contains(&code.as_str()),
            "{} {}",
            reply.status,
            reply.text()
        );
        if 400 <= reply.status {
            let problem = reply.json();
            prop_assert_eq!(&problem["status"], &Json::from(reply.status));
            prop_assert!(!code.is_empty() && problem["detail"] != "", "{}", problem);
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let health = runtime.block_on(server.get("/healthz"));
    assert_eq!((health.status, health.text().as_str()), (200, "ok\n"));
    assert_eq!(app.connections.counts().panics.load(Ordering::Relaxed), 0);
}

/// The range that once ended a handler, and those that were beyond all numbers.
#[tokio::test]
async fn ranges_beyond_all_times_are_refused() {
    let server = Server::start(app().await).await;
    for path in [
        "/api/v1/history?from=-5000000000000000&to=5000000000000000",
        "/api/v1/history?from=-9223372036854775&to=0&step=60",
        "/api/v1/logs/summary?from=-5000000000000000&to=5000000000000000",
        "/api/v1/logs?to=9223372036854775807",
        "/api/v1/logs?limit=5001",
        "/api/v1/views/traffic_1m/changes?hz=31",
    ] {
        let reply = server.get(path).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "bad_parameter"),
            "{path}"
        );
    }
    let reply = server.get("/api/v1/logs?wehre=status%20%3E%3D%20500").await;
    assert_eq!(reply.code(), "unknown_parameter");
    let hint = reply.json()["hint"].to_string();
    assert!(hint.contains("from, to, where, limit, cursor"), "{hint}");
    let none = server.get("/api/v1/status?verbose=1").await;
    assert_eq!(none.code(), "unknown_parameter");
}

async fn boom() -> &'static str {
    panic!("a deliberate bug")
}

#[tokio::test]
async fn a_panic_is_a_problem_with_an_id_and_counted() {
    let app = app().await;
    let routes = Router::new()
        .route("/api/v1/boom", get(boom))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), around))
        .with_state(Arc::clone(&app));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let server = Server::at(listener.local_addr().expect("it is bound"));
    tokio::spawn(connections::serve(
        listener,
        Arc::clone(&app),
        routes,
        app.ending.subscribe(),
    ));
    for count in 1..3 {
        let reply = server.get("/api/v1/boom").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (500, "internal_error")
        );
        let id = reply.json()["id"].as_str().expect("an id").to_owned();
        assert!(uuid::Uuid::parse_str(&id).is_ok());
        assert!(reply.json()["hint"].to_string().contains(&id));
        assert_eq!(
            app.connections.counts().panics.load(Ordering::Relaxed),
            count
        );
    }
}

#[tokio::test]
async fn what_the_framework_refuses_is_a_problem_too() {
    let server = Server::start(app().await).await;
    let wrong_method = server.ask("POST /api/v1/views HTTP/1.1", "{}").await;
    assert_eq!(
        (
            wrong_method.status,
            wrong_method.code().as_str(),
            wrong_method.header("allow")
        ),
        (405, "method_not_allowed", "GET,HEAD")
    );
    for path in [
        "/api/v1/records/x/1",
        "/api/v1/views/%ff",
        "/api/v1/nothing",
    ] {
        let reply = server.get(path).await;
        assert!(!reply.code().is_empty(), "{path}: {}", reply.text());
    }
    let long = format!("{{\"query\": \"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    let reply = server.ask("POST /api/v1/sql HTTP/1.1", &long).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (413, "body_too_large")
    );
}

#[tokio::test]
async fn a_view_says_by_which_of_its_columns_records_can_be_found() {
    let server = Server::start(app().await).await;
    let reply = server.get("/api/v1/views").await.json();
    let columns_of = |name: &str| {
        let views = reply["views"].as_array().expect("views");
        let view = views.iter().find(|it| it["name"] == name);
        view.expect("it is shipped")["record_columns"].clone()
    };
    // Counts, and the bounds of windows, are of the view alone.
    assert_eq!(columns_of("traffic_1m"), serde_json::json!(["endpoint"]));
    assert_eq!(
        columns_of("anomalies"),
        serde_json::json!(["endpoint", "ip_class", "anomaly_type"])
    );
    assert_eq!(columns_of("totals"), serde_json::json!([]));
}

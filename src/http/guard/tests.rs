//! What browsers, programs and rebound names get, over real requests.

use super::*;
use crate::http::Limits;
use crate::http::testing::{Server, app_with};
use crate::model::{Row, Value};
use crate::plan::Dataflow;
use arrow::datatypes::{DataType, Field};

const SQL: &str = "POST /api/v1/sql HTTP/1.1\ncontent-type: application/json";
const QUERY: &str = r#"{"query": "SELECT n FROM numbers"}"#;

fn hosts(names: &[&str]) -> Vec<HostPattern> {
    names
        .iter()
        .map(|it| it.parse().expect("a pattern"))
        .collect()
}

async fn server(origins: &[&str], names: &[&str]) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let field = Field::new("n", DataType::Int64, false);
    let rows = (0..3).map(|it| Row([Value::Int(it)].into()));
    let app = app_with(
        vec![("numbers", vec![field], rows.collect())],
        Dataflow::default(),
        Access::new(
            origins.iter().map(|it| (*it).to_owned()).collect(),
            hosts(names),
        ),
        Some(folder.path().to_owned()),
        Limits::of(1_024),
    );
    (Server::start(app).await, folder)
}

#[tokio::test]
async fn programs_need_no_header() {
    let (server, _folder) = server(&[], &[]).await;
    for head in [
        SQL,
        "POST /api/v1/sql HTTP/1.1",
        // What `curl -d` says.
        "POST /api/v1/sql HTTP/1.1\ncontent-type: application/x-www-form-urlencoded",
        "POST /api/v1/sql HTTP/1.1\ncontent-type: application/json; charset=utf-8",
    ] {
        let reply = server.ask(head, QUERY).await;
        assert_eq!(reply.status, 200, "{head}: {}", reply.text());
        assert_eq!(reply.json()["rows"].as_array().map(Vec::len), Some(3));
    }
    for path in ["/api/v1/views", "/healthz", "/metrics", "/api/v1/status"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    let saved = "PUT /api/v1/saved-queries/q HTTP/1.1";
    assert_eq!(server.ask(saved, QUERY).await.status, 204);
    let removed = "DELETE /api/v1/saved-queries/q HTTP/1.1";
    assert_eq!(server.ask(removed, "").await.status, 204);
}

#[tokio::test]
async fn a_name_that_was_rebound_is_refused() {
    let (server, folder) = server(&[], &["logs.example.com", "*.corp"]).await;
    let port = server.address.port();
    for good in [
        "127.0.0.1".to_owned(),
        format!("LocalHost:{port}"),
        format!("tidelake.localhost:{port}"),
        format!("[::1]:{port}"),
        "192.168.1.7:4000".to_owned(),
        "logs.example.com".to_owned(),
        "logs.example.com.:443".to_owned(),
        "ops.corp:4000".to_owned(),
    ] {
        let head = format!("GET /api/v1/views HTTP/1.1\nhost: {good}");
        assert_eq!(server.ask(&head, "").await.status, 200, "{good}");
    }
    for bad in [
        format!("evil.example:{port}"),
        "localhost.evil.example".to_owned(),
        "127.0.0.1.evil.example".to_owned(),
        "evil-logs.example.com".to_owned(),
        "corp".to_owned(),
        "localhost:4000:1".to_owned(),
        "localhost@evil.example".to_owned(),
        String::new(),
    ] {
        for request in [
            "GET /api/v1/views",
            "GET /",
            "DELETE /api/v1/saved-queries/q",
        ] {
            let head = format!("{request} HTTP/1.1\nhost: {bad}");
            let reply = server.ask(&head, "").await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (421, "unknown_host"),
                "{head}"
            );
        }
        let head = format!("PUT /api/v1/saved-queries/q HTTP/1.1\nhost: {bad}");
        assert_eq!(server.ask(&head, QUERY).await.status, 421, "{bad}");
    }
    let twice = "GET /api/v1/views HTTP/1.1\nhost: localhost\nhost: evil.example";
    assert_ne!(server.ask(twice, "").await.status, 200);
    let absolute = "GET http://evil.example/api/v1/views HTTP/1.1\nhost: localhost";
    assert_eq!(server.ask(absolute, "").await.status, 421);
    let probe = "GET /healthz HTTP/1.1\nhost: probe";
    assert_eq!(server.ask(probe, "").await.status, 200);
    assert_eq!(folder.path().read_dir().expect("it is there").count(), 0);
}

#[tokio::test]
async fn pages_of_other_origins_neither_change_nor_cost_anything() {
    let (server, folder) = server(&["https://ops.example.com"], &[]).await;
    let own = format!("http://{}", server.address);
    let foreign = [
        "sec-fetch-site: cross-site\nsec-fetch-mode: no-cors\nsec-fetch-dest: image".to_owned(),
        // Another port of this machine is the same site.
        "sec-fetch-site: same-site\nsec-fetch-mode: no-cors\nsec-fetch-dest: image".to_owned(),
        "sec-fetch-site: cross-site\nsec-fetch-mode: navigate\nsec-fetch-dest: iframe\nsec-fetch-user: ?1".to_owned(),
        "sec-fetch-site: cross-site\nsec-fetch-mode: navigate\nsec-fetch-dest: document".to_owned(),
        "origin: http://evil.example".to_owned(),
        "origin: http://127.0.0.1:1".to_owned(),
        "origin: null".to_owned(),
    ];
    let requests = [
        (SQL, QUERY),
        (
            "PUT /api/v1/saved-queries/q HTTP/1.1\ncontent-type: application/json",
            QUERY,
        ),
        ("DELETE /api/v1/saved-queries/q HTTP/1.1", ""),
        ("GET /api/v1/history HTTP/1.1", ""),
        ("GET /api/v1/stream?topics=health HTTP/1.1", ""),
        ("GET /api/logs HTTP/1.1", ""),
    ];
    for headers in &foreign {
        for (head, body) in requests {
            let reply = server.ask(&format!("{head}\n{headers}"), body).await;
            let told = (reply.status, reply.code());
            assert_eq!(told, (403, "foreign_page".to_owned()), "{head} {headers}");
            assert_eq!(reply.header("access-control-allow-origin"), "");
        }
    }
    assert_eq!(folder.path().read_dir().expect("it is there").count(), 0);
    let known = [
        format!("origin: {own}"),
        format!("origin: {own}\nsec-fetch-site: same-origin"),
        "sec-fetch-site: none".to_owned(),
        "origin: https://ops.example.com\nsec-fetch-site: cross-site".to_owned(),
    ];
    for headers in &known {
        let reply = server.ask(&format!("{SQL}\n{headers}"), QUERY).await;
        assert_eq!(reply.status, 200, "{headers}");
    }
    // A link that a person clicks may lead to the page and to a document of the API.
    let link = "sec-fetch-site: cross-site\nsec-fetch-mode: navigate\nsec-fetch-dest: document";
    let page = server.ask(&format!("GET / HTTP/1.1\n{link}"), "").await;
    assert_eq!(page.status, 200);
    let clicked = format!("GET /api/v1/views HTTP/1.1\n{link}\nsec-fetch-user: ?1");
    assert_eq!(server.ask(&clicked, "").await.status, 200);
}

#[tokio::test]
async fn a_proxy_may_rewrite_the_host_if_the_name_in_front_is_known() {
    let (server, _folder) = server(&[], &["logs.example.com"]).await;
    let behind = format!("{SQL}\nhost: 127.0.0.1:4000\norigin: https://logs.example.com");
    assert_eq!(server.ask(&behind, QUERY).await.status, 200);
    let other = format!("{SQL}\nhost: 127.0.0.1:4000\norigin: https://evil.example.com");
    assert_eq!(server.ask(&other, QUERY).await.status, 403);
}

#[tokio::test]
async fn a_body_is_json_and_says_so() {
    let (server, _folder) = server(&[], &[]).await;
    let own = format!("\norigin: http://{}", server.address);
    for (kind, from, status) in [
        ("text/plain", "", 415),
        ("text/plain;charset=UTF-8", own.as_str(), 415),
        ("multipart/form-data; boundary=x", "", 415),
        ("application/x-www-form-urlencoded", own.as_str(), 415),
        ("Application/JSON", own.as_str(), 200),
    ] {
        let head = format!("POST /api/v1/sql HTTP/1.1\ncontent-type: {kind}{from}");
        let reply = server.ask(&head, QUERY).await;
        assert_eq!(reply.status, status, "{head}: {}", reply.text());
        let head = format!("PUT /api/v1/saved-queries/q HTTP/1.1\ncontent-type: {kind}{from}");
        let saved = if status == 200 { 204 } else { status };
        assert_eq!(server.ask(&head, QUERY).await.status, saved, "{head}");
    }
}

#[tokio::test]
async fn browsers_are_told_what_an_answer_is_good_for() {
    let (server, _folder) = server(&[], &[]).await;
    for path in ["/", "/api/v1/views", "/healthz", "/nowhere"] {
        let reply = server.get(path).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin");
        let policy = reply.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
    let page = server.get("/").await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'self'"), "{policy}");
    assert!(
        policy.contains("style-src 'self' 'unsafe-inline'"),
        "{policy}"
    );
}

#[test]
fn host_names_come_without_scheme_and_port() {
    let check = |text: &str, good: bool| {
        let parsed = text.parse::<HostPattern>();
        assert_eq!(parsed.is_ok(), good, "{text}: {parsed:?}");
        if let Ok(it) = parsed {
            assert_eq!(it.to_string().parse::<HostPattern>(), Ok(it));
        }
    };
    for text in ["*", "logs", "Logs.Example.com.", "*.example.com"] {
        check(text, true);
    }
    for text in [
        "",
        "http://logs",
        "logs:4000",
        "*logs",
        "a b",
        "*.",
        "lo*gs",
    ] {
        check(text, false);
    }
}

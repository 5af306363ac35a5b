//! Reports over HTTP: what is asked for, in which form it comes, and what is refused.

use super::*;
use crate::http::testing::{Server, app_of};
use crate::sql::plan_text;

const DATAFLOW: &str = "
SET dataflow = 'visits';
CREATE SOURCE visits (at TIMESTAMP NOT NULL, page TEXT, took_ms INT, WATERMARK FOR at AS at - INTERVAL '1' SECOND)
  WITH (connector = 'files', path = '/nowhere') FORMAT JSON;
CREATE TABLE seen AS SELECT at, page, took_ms FROM visits;
";

#[tokio::test]
async fn reports_are_listed_with_what_they_have_and_what_they_lack() {
    let dataflow = plan_text("visits", DATAFLOW, |_| None)
        .await
        .expect("it is planned");
    let server = Server::start(app_of(vec![], dataflow)).await;
    let listed = server.get("/api/v1/reports").await.json();
    let names: Vec<&str> = listed["reports"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!(names, ["analytics", "anomalies", "models", "all"]);
    assert_eq!(listed["reports"][0]["sections"][0]["id"], "totals");
    let missing = listed["reports"][2]["missing"].as_str().expect("a reason");
    assert!(missing.contains("tidelake train"), "{missing}");
}

#[tokio::test]
async fn what_cannot_be_reported_is_a_problem_with_a_hint() {
    let dataflow = plan_text("visits", DATAFLOW, |_| None)
        .await
        .expect("it is planned");
    let server = Server::start(app_of(vec![], dataflow)).await;
    for (path, status, code) in [
        ("analytics", 503, "not_committed"),
        ("analytics?range=yesterday", 503, "not_committed"),
        ("revenue", 404, "unknown_report"),
        ("analytics?range=soon", 400, "bad_parameter"),
        ("analytics?range=1h&from=0", 400, "bad_parameter"),
        ("analytics?from=2000&to=1000", 400, "bad_parameter"),
        ("analytics?format=pdf", 400, "bad_parameter"),
        ("analytics?where=a", 400, "unknown_parameter"),
    ] {
        let reply = server.get(&format!("/api/v1/reports/{path}")).await;
        let told = (reply.status, reply.code());
        assert_eq!(told, (status, code.to_owned()), "{path}: {}", reply.text());
    }
}

#[test]
fn browsers_get_a_page_and_programs_json() {
    for (accept, expect) in [
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            true,
        ),
        ("text/html", true),
        ("application/json", false),
        ("application/json, text/html", false),
        ("*/*", false),
    ] {
        assert_eq!(prefers_html(accept), expect, "{accept}");
    }
}

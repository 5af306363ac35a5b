//! Health of a running program follows what happens to its records and to its lake, and so does readiness.
//!
//! Which facts are worth a word is tested where that is decided, `cli/health`; here the facts are made and collected.

use crate::program::{Running, spawn, tidelake};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tidelake::model::wall_ms;

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) struct Server {
    program: Running,
    url: String,
    client: reqwest::Client,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let dataflow = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dataflows/everything");
        Server::start_with(folder, &dataflow)
    }

    pub fn start_with(folder: &Path, dataflow: &Path) -> Server {
        let path = |it: &Path| it.to_str().unwrap().to_owned();
        let mut program = spawn(&mut tidelake(&[
            "run",
            &path(dataflow),
            "--input",
            &path(&folder.join("input")),
            "--lake",
            &path(&folder.join("lake")),
            "--listen",
            "127.0.0.1:0",
            "--commit-interval",
            "1",
        ]));
        Server {
            url: format!("http://{}", program.address()),
            program,
            client: reqwest::Client::new(),
        }
    }

    pub async fn get(&self, path: &str) -> Option<(u16, Value)> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await;
        let answer = answer.ok()?;
        let code = answer.status().as_u16();
        Some((code, answer.json().await.ok()?))
    }

    /// Sends a request with a body of JSON; an answer without one is null.
    pub async fn send(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let method = method.parse().unwrap();
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json");
        let answer = request.body(body.to_owned()).send().await.unwrap();
        let code = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (code, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Waits until something holds of the status, and returns it.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + LIMIT;
        loop {
            let found = self.get("/api/v1/status").await.map(|it| it.1);
            if let Some(status) = found.as_ref().filter(|it| holds(it)) {
                return status.clone();
            }
            assert!(Instant::now() < limit, "{what} was waited for: {found:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends it as a person would.
    pub async fn stop(self) {
        let Server { program, .. } = self;
        tokio::task::spawn_blocking(move || {
            program.signal(libc::SIGTERM);
            let ended = program.end();
            assert_eq!(ended.code, Some(0), "{ended:?}");
        })
        .await
        .unwrap();
    }
}

/// State and words of a part of the program.
fn part<'a>(status: &'a Value, name: &str) -> (&'a str, &'a str) {
    let all = status["components"].as_array().unwrap();
    let found = all.iter().find(|it| it["name"] == name).unwrap();
    let text = |member: &str| found[member].as_str().unwrap();
    (text("status"), text("detail"))
}

fn append(folder: &Path, lines: impl Iterator<Item = String>) {
    std::fs::create_dir_all(folder.join("input")).unwrap();
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("input/part-0.jsonl"));
    let mut file = file.unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
}

/// Records of now, `of_hundred` in a hundred of which cannot be read.
fn records(count: u64, of_hundred: u64) -> impl Iterator<Item = String> {
    (0..count).map(move |it| match it % 100 < of_hundred {
        true => "{\"at\": 1".to_owned(),
        false => format!("{{\"at\": {}, \"k\": \"a\", \"n\": {it}}}", wall_ms()),
    })
}

fn is(status: &Value, name: &str, state: &str, words: &str) -> bool {
    let (found, detail) = part(status, name);
    found == state && detail.contains(words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_cannot_be_read_are_told_with_their_share() {
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), records(1_000, 22));
    let server = Server::start(folder.path());
    let told = "22 % of records are not decoded (220 of 1000 in the last minute)";
    let status = server
        .until(told, |it| is(it, "source s", "degraded", told))
        .await;
    assert_eq!(status["overall"], "degraded");
    let intake = &status["sources"][0]["intake"];
    assert_eq!(intake["undecoded_last_minute"], 220);
    assert_eq!(intake["undecoded_share"], 0.22);
    // It does its work all the same.
    assert_eq!(server.get("/readyz").await.map(|it| it.0), Some(200));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_that_cannot_be_written_or_read_is_told_and_nobody_is_sent_here() {
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), records(100, 0));
    let server = Server::start(folder.path());
    let is_well = |it: &Value| is(it, "lake", "ok", "commit") && it["commit"]["number"] != 0;
    let status = server.until("a first commit", is_well).await;
    assert_eq!(
        status["commits_open"].as_u64().map(|it| it <= 1),
        Some(true)
    );
    assert_eq!(server.get("/readyz").await.map(|it| it.0), Some(200));

    // A file where manifests should go: no commit can be made.
    let own = std::fs::read_dir(folder.path().join("lake/_tidelake")).unwrap();
    let manifests = own.map(|it| it.unwrap().path().join("manifests"));
    let manifests = manifests.into_iter().find(|it| it.is_dir()).unwrap();
    let away = folder.path().join("away");
    std::fs::rename(&manifests, &away).unwrap();
    std::fs::write(&manifests, "").unwrap();
    append(folder.path(), records(100, 0));
    let waits = |it: &Value| it["commits_open"].as_u64() >= Some(1) && is(it, "lake", "down", "");
    server.until("a commit that waits", waits).await;
    let (code, ready) = server.get("/readyz").await.unwrap();
    assert_eq!(code, 503, "{ready}");
    let why = ready["not_ready"][0].as_str().unwrap();
    assert!(why.starts_with("the lake is down: "), "{why}");
    std::fs::remove_file(&manifests).unwrap();
    std::fs::rename(&away, &manifests).unwrap();
    server.until("commits again", is_well).await;

    // A log that is gone: nothing of that table can be read.
    let log = folder.path().join("lake/odd/_delta_log");
    std::fs::rename(&log, &away).unwrap();
    let gone = |it: &Value| is(it, "lake", "down", "the lake cannot be read");
    let status = server.until("a table that cannot be read", gone).await;
    assert!(part(&status, "lake").1.contains("odd"), "{status:#?}");
    assert_eq!(server.get("/readyz").await.map(|it| it.0), Some(503));
    // What was written meanwhile begins a log of its own, which is not the table's.
    let _ = std::fs::remove_dir_all(&log);
    std::fs::rename(&away, &log).unwrap();
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_an_expression_fails_for_are_counted_and_the_last_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let text = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n BIGINT, WATERMARK FOR at AS at - INTERVAL '1' SECOND) FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
CREATE MATERIALIZED VIEW shares AS SELECT k, sum(100 / n) AS share FROM raw GROUP BY k;
";
    std::fs::write(folder.path().join("dataflow.sql"), text).unwrap();
    append(folder.path(), records(300, 0));
    let server = Server::start_with(folder.path(), &folder.path().join("dataflow.sql"));
    let told = "1 since the start: Divide by zero error; the last of them is {\"k\":\"a\",\"n\":0} (SELECT * FROM _errors)";
    let is_told = |it: &Value| {
        let all = it["components"].as_array().unwrap();
        let known = all.iter().any(|it| it["name"] == "relation shares");
        known && is(it, "relation shares", "degraded", told)
    };
    server.until(told, is_told).await;
    // The record itself is where all records are.
    let (_, rows) = server.get("/api/v1/views/shares").await.unwrap();
    assert_eq!(rows["total_rows"], 1, "{rows}");
    let query = "SELECT relation, diff, reason, failed_row ->> 'k' AS k FROM _errors";
    let body = serde_json::json!({ "query": query }).to_string();
    let (_, listed) = server.send("POST", "/api/v1/sql", &body).await;
    let expected = serde_json::json!([{"relation": "shares", "diff": 1, "reason": "Divide by zero error", "k": "a"}]);
    assert_eq!(listed["rows"], expected, "{listed}");
    server.stop().await;
}

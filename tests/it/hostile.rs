//! Queries that mean harm, twenty at once, against a running server: each ends within its limits, and nothing else suffers.
//!
//! Memory is held to bytes, of the server and of every process it starts. How quick the rest is meanwhile is printed and not
//! asserted: that is for the machine to say.

use super::program::{Running, spawn, tidelake};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CLIENTS: usize = 20;
const QUERY_MEMORY_MIB: u64 = 128;
/// Threads of a query process that read files.
const QUERY_THREADS: usize = 4;
/// What the program itself takes in a query process before it may use any of that.
const PROGRAM_MIB: u64 = 160;
/// The engine with its views, the lake, the answers that pass through: no query may add to it without a bound.
const SERVER_MIB: u64 = 1_024;
/// Query processes at a time: people's, exports, the page's, and those that wait or are about to end.
const PROCESSES_MAX: usize = 4 + 2 + 2 + 4;
/// Nothing may hang longer than this.
const PATIENCE: Duration = Duration::from_secs(600);

fn hostile() -> Vec<String> {
    let mut all: Vec<String> = [
        // Texts without a bound, most of them folded while planning.
        "SELECT repeat('x', 2000000000)",
        "SELECT length(repeat('x', 2000000000))",
        "SELECT lpad('x', 2000000000, 'y')",
        "SELECT rpad('x', 2147483647, 'y')",
        "SELECT replace(repeat('a', 100000000), 'a', repeat('b', 1000))",
        "SELECT regexp_replace(repeat('a', 10000000), 'a', repeat('b', 10000), 'g')",
        "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
        "SELECT translate(repeat('a', 500000000), 'a', 'b')",
        "SELECT string_agg(repeat('x', 100000), ',') FROM lake.logs a, lake.logs b",
        "SELECT array_agg(repeat('x', 10000)) FROM lake.logs a, lake.logs b",
        "SELECT repeat(endpoint, 10000000) FROM lake.logs",
        "SELECT array_repeat(array_repeat(1, 100000), 100000)",
        "SELECT array_length(generate_series(1, 1000000000000))",
        "SELECT count(*) FROM (SELECT unnest(generate_series(1, 1000000000000)))",
        "SELECT flatten(array_repeat(array_repeat('xxxxxxxxxxxxxxxx', 10000), 100000))",
        "SELECT concat(repeat('x', 500000000), repeat('y', 500000000), repeat('z', 500000000))",
        "SELECT regexp_like(repeat('a', 5000000), '(a*)*(a*)*(a*)*b')",
        "SELECT regexp_like('x', '((((a{1,100}){1,100}){1,100}){1,100})')",
        "SELECT factorial(20) + count(*) FROM lake.logs a, lake.logs b, lake.logs c WHERE factorial(a.status % 20) <> 7",
        // Rows without a bound.
        "SELECT count(*) FROM lake.logs a, lake.logs b, lake.logs c",
        "SELECT * FROM lake.logs a, lake.logs b ORDER BY a.response_time * b.response_time, a.endpoint || b.endpoint",
        "SELECT a.endpoint, row_number() OVER (PARTITION BY a.endpoint ORDER BY b.response_time) FROM lake.logs a, lake.logs b ORDER BY 2 DESC",
        "SELECT a.endpoint, b.endpoint, a.status, b.status, a.user_id, b.user_id, count(*) FROM lake.logs a, lake.logs b GROUP BY CUBE (a.endpoint, b.endpoint, a.status, b.status, a.user_id, b.user_id)",
        "SELECT approx_distinct(make_array(a.endpoint, b.user_id)) FROM lake.logs a, lake.logs b",
        "SELECT count(DISTINCT a.user_id || b.session_id || a.endpoint || b.endpoint) FROM lake.logs a, lake.logs b",
        "SELECT median(a.response_time * b.response_time) FROM lake.logs a, lake.logs b",
        "SELECT DISTINCT a.*, b.* FROM lake.logs a, lake.logs b",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
        "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT a.n + b.n FROM t a, t b) SELECT count(*) FROM t",
        "EXPLAIN ANALYZE SELECT count(*) FROM lake.logs a, lake.logs b, lake.logs c",
        "SELECT status FROM lake.logs WHERE status / 0 = 1",
    ]
    .map(str::to_owned)
    .into();
    // Texts that are large or deep themselves.
    let doubling = (1..30).map(|it| {
        format!(
            "t{it} AS (SELECT a.s || b.s AS s FROM t{0} a, t{0} b)",
            it - 1
        )
    });
    let doubling: Vec<String> = std::iter::once("t0 AS (SELECT 'x' AS s)".to_owned())
        .chain(doubling)
        .collect();
    all.push(format!(
        "WITH {} SELECT length(s) FROM t29",
        doubling.join(", ")
    ));
    let joins: Vec<String> = (0..499).map(|it| format!("totals t{it}")).collect();
    all.push(format!("SELECT count(*) FROM {}", joins.join(", ")));
    let joins: Vec<String> = (1..499)
        .map(|it| format!("JOIN totals t{it} ON t0.requests = t{it}.requests"))
        .collect();
    all.push(format!(
        "SELECT count(*) FROM totals t0 {}",
        joins.join(" ")
    ));
    let deep = |open: &str, close: &str, count: usize| {
        format!("SELECT {}1{}", open.repeat(count), close.repeat(count))
    };
    all.push(deep("(", ")", 20_000));
    all.push(deep("abs(", ")", 15_000));
    all.push(deep("CASE WHEN true THEN ", " END", 3_000));
    all.push(format!(
        "{}SELECT 1{}",
        "SELECT * FROM (".repeat(3_000),
        ") t".repeat(3_000)
    ));
    all.push(format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(3_000)));
    let list: Vec<String> = (0..15_000).map(|it| it.to_string()).collect();
    all.push(format!(
        "SELECT count(*) FROM lake.logs a, lake.logs b WHERE a.status * b.status IN ({})",
        list.join(",")
    ));
    all
}

/// A server that is killed when it goes out of scope.
struct Server {
    running: Running,
    url: String,
}

impl Server {
    fn start(folder: &Path, records: u64, arguments: &[&str]) -> Server {
        let path = |name: &str| folder.join(name).display().to_string();
        let written = [
            "gen",
            "--count",
            &records.to_string(),
            "--out",
            &path("input"),
        ];
        super::program::run(&written).expect(0, "");
        let dataflow = Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows/web_logs");
        let mut command = tidelake(&["run"]);
        command
            .arg(dataflow)
            .args(["--input", &path("input"), "--lake", &path("lake")])
            .args(["--listen", "127.0.0.1:0", "--commit-interval", "1"])
            .args(arguments);
        let mut running = spawn(&mut command);
        let url = format!("http://{}", running.address());
        Server { running, url }
    }

    /// Resident bytes of the server, and of each process it started.
    fn memory(&self) -> (u64, BTreeMap<u32, u64>) {
        let own = self.running.id();
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|it| {
            let id = it.ok()?.file_name().to_str()?.parse::<u32>().ok()?;
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let number = |name: &str| {
                let line = status.lines().find_map(|it| it.strip_prefix(name))?;
                line.split_whitespace().next()?.parse::<u64>().ok()
            };
            (number("PPid:")? == u64::from(own)).then_some((id, number("VmHWM:")? << 10))
        });
        let children = processes.collect();
        let status = std::fs::read_to_string(format!("/proc/{own}/status")).unwrap();
        let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok());
        (peak.expect("it runs") << 10, children)
    }
}

/// Whether a process under its memory limit has all its threads already: with no memory left, the allocator crashes when one is started.
/// (Opening a table starts another one for a moment.)
fn has_all_its_threads(process: u32) -> bool {
    let read = |path: &str| std::fs::read_to_string(format!("/proc/{process}/{path}"));
    let is_limited = || {
        let limits = read("limits").unwrap_or_default();
        let data = limits.lines().find(|it| it.starts_with("Max data size"));
        data.is_some_and(|it| !it.contains("unlimited"))
    };
    let of_tokio = || {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task"));
        let names = tasks.into_iter().flatten().filter_map(|it| {
            let thread = it.ok()?.file_name().into_string().ok()?;
            read(&format!("task/{thread}/comm")).ok()
        });
        names.filter(|it| it.trim() == "tokio-rt-worker").count()
    };
    // A process that is being killed loses its threads one by one.
    (0..50).any(|_| {
        let has_all = !is_limited() || QUERY_THREADS <= of_tokio();
        if !has_all {
            std::thread::sleep(Duration::from_millis(20));
        }
        has_all
    })
}

/// Asks one query; the status and the body.
async fn ask(client: &reqwest::Client, url: &str, sql: &str) -> (u16, Value) {
    let request = client
        .post(format!("{url}/api/v1/sql"))
        .json(&json!({"query": sql}));
    let short: String = sql.chars().take(100).collect();
    let response = tokio::time::timeout(PATIENCE, request.send())
        .await
        .unwrap_or_else(|_| panic!("{short} did not end"))
        .unwrap_or_else(|it| panic!("{short}: {it}"));
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let body = serde_json::from_str(&body).unwrap_or_else(|it| panic!("{short}: {it}: {body}"));
    (status, body)
}

/// Asks until the lake has the records.
async fn until_stored(client: &reqwest::Client, url: &str, records: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let there = client.get(format!("{url}/healthz")).send().await.is_ok();
        if there {
            let (status, body) = ask(client, url, "SELECT count(*) AS n FROM lake.logs").await;
            if status == 200 && body["rows"][0]["n"].as_u64() == Some(records) {
                return;
            }
        }
        assert!(Instant::now() < deadline, "the records are not in the lake");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_queries_end_within_their_limits_and_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let memory = QUERY_MEMORY_MIB.to_string();
    let limits = [
        "--query-memory",
        &memory,
        "--query-time-limit",
        "20",
        "--query-concurrency",
        "4",
    ];
    let records = 5_000;
    let server = Arc::new(Server::start(folder.path(), records, &limits));
    let client = reqwest::Client::new();
    until_stored(&client, &server.url, records).await;

    let queries = Arc::new(hostile());
    let next = Arc::new(AtomicUsize::new(0));
    let codes = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (queries, next, codes) = (queries.clone(), next.clone(), codes.clone());
            let (client, url) = (client.clone(), server.url.clone());
            tokio::spawn(async move {
                while let Some(sql) = queries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (status, body) = ask(&client, &url, sql).await;
                    let short: String = sql.chars().take(100).collect();
                    let code = body["code"].as_str().unwrap_or("answered").to_owned();
                    match status {
                        200 => assert!(body["rows"].is_array(), "{short}"),
                        400 | 422 | 503 | 504 => {}
                        // A function may refuse its arguments; no process may end for a reason that is not told.
                        500 => assert!(
                            !body["detail"]
                                .as_str()
                                .unwrap_or_default()
                                .contains("signal"),
                            "{short}: {body}"
                        ),
                        _ => panic!("{short}: {status} {body}"),
                    }
                    *codes.lock().unwrap().entry(code).or_default() += 1;
                }
            })
        })
        .collect();

    let over = Arc::new(AtomicBool::new(false));
    let watching = {
        let (client, server, over) = (client.clone(), server.clone(), over.clone());
        tokio::spawn(async move {
            let (mut rounds, mut slowest) = (0, Duration::ZERO);
            let (mut most, mut largest) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                for path in [
                    "/healthz",
                    "/metrics",
                    "/api/v1/status",
                    "/api/v1/views/totals",
                ] {
                    let began = Instant::now();
                    let url = format!("{}{path}", server.url);
                    let asked = tokio::time::timeout(PATIENCE, client.get(url).send());
                    let response = asked.await.expect(path).expect(path);
                    assert_eq!(response.status(), 200, "{path}");
                    slowest = slowest.max(began.elapsed());
                }
                let (own, children) = server.memory();
                assert!(
                    own >> 20 <= SERVER_MIB,
                    "the server holds {} MiB",
                    own >> 20
                );
                assert!(
                    children.len() <= PROCESSES_MAX,
                    "{} processes",
                    children.len()
                );
                for process in children.keys() {
                    assert!(
                        has_all_its_threads(*process),
                        "process {process} starts threads"
                    );
                }
                for bytes in children.values() {
                    largest = largest.max(bytes >> 20);
                }
                assert!(
                    largest <= QUERY_MEMORY_MIB + PROGRAM_MIB,
                    "{largest} MiB in a query process"
                );
                most = most.max(children.len());
                rounds += 1;
            }
            println!(
                "{rounds} rounds, slowest answer {slowest:?}, {most} processes, the largest {largest} MiB"
            );
            assert!(0 < rounds);
        })
    };
    let url = format!("{}/api/v1/views/totals/changes", server.url);
    let mut response = client.get(url).send().await.unwrap();
    let mut heard = String::new();
    while !heard.contains("event:") {
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await;
        let chunk = chunk.unwrap().unwrap().expect("the stream goes on");
        heard.push_str(&String::from_utf8_lossy(&chunk));
    }
    for client in clients {
        client.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    watching.await.unwrap();
    println!("{:?}", codes.lock().unwrap());
    until_stored(&client, &server.url, records).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_range_of_time_ends_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 500, &["--query-time-limit", "300"]);
    let client = reqwest::Client::new();
    until_stored(&client, &server.url, 500).await;
    let ranges = [
        ("-5000000000000000", "5000000000000000"),
        ("-9223372036854775808", "9223372036854775807"),
        ("9223372036854775807", "-9223372036854775808"),
        ("1700-01-01T00:00:00Z", "2262-01-01T00:00:00Z"),
        ("0", "1700-01-01T00:00:00Z"),
    ];
    for path in [
        "history?step=60",
        "history?step=1",
        "logs/summary?buckets=1000",
        "logs?limit=5",
    ] {
        for (from, to) in ranges {
            let url = format!("{}/api/v1/{path}&from={from}&to={to}", server.url);
            let asked = tokio::time::timeout(PATIENCE, client.get(&url).send());
            let status = asked.await.expect(&url).expect(&url).status();
            assert!(status == 200 || status == 400, "{url}: {status}");
        }
    }
    let (own, _) = server.memory();
    assert!(
        own >> 20 <= SERVER_MIB,
        "the server holds {} MiB",
        own >> 20
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_prints_every_row_or_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let records = 12_000;
    let limits = ["--query-rows", "100", "--query-time-limit", "300"];
    let server = Server::start(folder.path(), records, &limits);
    let client = reqwest::Client::new();
    until_stored(&client, &server.url, records).await;
    let lake = folder.path().join("lake").display().to_string();
    let places: [&[&str]; 2] = [
        &["--server", &server.url],
        &[&["--lake", &lake][..], &limits].concat(),
    ];
    for place in places {
        let run = |sql: &str, output: &str| {
            let ended = Command::new(env!("CARGO_BIN_EXE_tidelake"))
                .args(["sql", sql, "-o", output])
                .args(place)
                .output()
                .unwrap();
            let text = |it: Vec<u8>| String::from_utf8(it).unwrap();
            (ended.status.code(), text(ended.stdout), text(ended.stderr))
        };
        let all = "SELECT * FROM lake.logs";
        let (code, printed, told) = run(all, "csv");
        assert_eq!((code, told.as_str()), (Some(0), ""), "{place:?}");
        assert_eq!(printed.lines().count() as u64, records + 1);
        let (code, printed, _) = run(all, "jsonl");
        assert_eq!((code, printed.lines().count() as u64), (Some(0), records));
        let (code, printed, _) = run(all, "json");
        let rows: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(
            (code, rows.as_array().unwrap().len() as u64),
            (Some(0), records)
        );
        let (code, printed, told) = run(all, "table");
        assert_eq!(printed.lines().count(), 102);
        assert_ne!(code, Some(0));
        assert!(told.contains("more than 100 rows"), "{told}");
        let (code, printed, _) = run("SELECT NULL AS a, '' AS b, 'NULL' AS c", "table");
        assert_eq!(code, Some(0));
        assert_eq!(printed.lines().last(), Some("NULL     \"NULL\""));
    }
}

//! Frames as they stand on the wire, and who shares them.

use super::*;
use crate::http::testing::{Server, app_of};
use crate::model::{Row, Value};
use crate::plan::Dataflow;
use crate::view::Part;
use arrow::datatypes::{DataType, Field};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(60);

fn row(n: i64, name: &str) -> Row {
    Row([Value::Int(n), Value::Text(name.into())].into())
}

/// One view at epoch 100 of generation 1.
fn app() -> Arc<App> {
    let fields = vec![
        Field::new("n", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ];
    let rows = vec![row(1, "a \"b\""), row(2, "c\nd")];
    app_of(vec![("numbers", fields, rows)], Dataflow::default())
}

fn publish(app: &App, epoch: u64, changes: Vec<(i64, &str, i64)>) {
    let changes = changes
        .into_iter()
        .map(|(n, name, diff)| (0, Epoch(epoch), row(n, name), diff));
    app.hub.publish(Part {
        through: Epoch(epoch),
        changes: changes.collect(),
        ..Part::default()
    });
}

/// A stream, read as far as wanted. HTTP/1.0 has no chunks, so what comes is what is meant.
struct Reader {
    stream: TcpStream,
    read: String,
}

impl Reader {
    async fn open(server: &Server, path: &str, headers: &str) -> Reader {
        let mut stream = TcpStream::connect(server.address)
            .await
            .expect("it listens");
        let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n{headers}\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut reader = Reader {
            stream,
            read: String::new(),
        };
        let head = reader.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.0 200 OK"), "{head}");
        assert_eq!(reader.until("\n\n").await, "retry: 1000\n\n");
        reader
    }

    /// Everything up to the next of these words.
    async fn until(&mut self, words: &str) -> String {
        loop {
            if let Some(at) = self.read.find(words) {
                let rest = self.read.split_off(at + words.len());
                return std::mem::replace(&mut self.read, rest);
            }
            let mut bytes = [0; 4_096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await;
            let count = read.expect("something comes").expect("it is open");
            assert_ne!(count, 0, "the stream ended after {}", self.read);
            self.read
                .push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// The next frame that is no heartbeat.
    async fn frame(&mut self) -> String {
        loop {
            let frame = self.until("\n\n").await;
            if !frame.contains("event: heartbeat") {
                return without_number(frame.trim_end());
            }
        }
    }
}

/// Heartbeats in between have numbers too.
fn without_number(frame: &str) -> String {
    match frame.split_once('\n') {
        Some((id, rest)) => {
            let (place, _) = id.rsplit_once('.').expect("an id has three parts");
            format!("{place}.n\n{rest}")
        }
        None => frame.to_owned(),
    }
}

const CHANGES: &str = "/api/v1/views/numbers/changes";

#[tokio::test]
async fn a_snapshot_and_then_changes() {
    let app = app();
    let server = Server::start(Arc::clone(&app)).await;
    let mut reader = Reader::open(&server, CHANGES, "").await;
    insta::assert_snapshot!(reader.frame().await, @r#"
    id: 1.100.n
    event: snapshot
    data: {"view":"numbers","epoch":100,"as_of":"1970-01-01T00:00:00.100Z","generation":1,"columns":[{"name":"n","type":"bigint"},{"name":"name","type":"text"}],"rows":[{"n":1,"name":"a \"b\""},{"n":2,"name":"c\nd"}]}
    "#);
    publish(&app, 200, vec![(1, "a \"b\"", -1), (3, "ü", 1)]);
    insta::assert_snapshot!(reader.frame().await, @r#"
    id: 1.200.n
    event: changes
    data: {"view":"numbers","epoch":200,"as_of":"1970-01-01T00:00:00.200Z","generation":1,"changes":[{"diff":-1,"row":{"n":1,"name":"a \"b\""}},{"diff":1,"row":{"n":3,"name":"ü"}}],"conflated":1}
    "#);
}

#[tokio::test]
async fn a_filter_is_echoed_and_what_does_not_pass_is_not_told() {
    let app = app();
    let server = Server::start(Arc::clone(&app)).await;
    let path = format!("{CHANGES}?where=n%20%3E%3D%202");
    let mut reader = Reader::open(&server, &path, "").await;
    let first = reader.frame().await;
    assert!(first.contains(r#""where":"n >= 2","columns""#), "{first}");
    assert!(
        first.ends_with(r#""rows":[{"n":2,"name":"c\nd"}]}"#),
        "{first}"
    );
    publish(&app, 200, vec![(1, "x", 1)]);
    publish(&app, 300, vec![(5, "y", 1)]);
    let next = reader.frame().await;
    assert!(
        next.contains(r#""changes":[{"diff":1,"row":{"n":5,"name":"y"}}]"#),
        "{next}"
    );
}

#[tokio::test]
async fn who_comes_back_goes_on_or_is_told_why_not() {
    let app = app();
    let server = Server::start(Arc::clone(&app)).await;
    publish(&app, 200, vec![(3, "e", 1)]);
    let mut known = Reader::open(&server, CHANGES, "last-event-id: 1.100.7\r\n").await;
    let frame = known.frame().await;
    assert!(
        frame.starts_with("id: 1.200.n\nevent: changes\n"),
        "{frame}"
    );
    for (id, reason) in [
        ("1.50.7", "changes since epoch 50 are no longer kept"),
        ("1.900.7", "changes since epoch 900 are no longer kept"),
        ("7.100.7", "epoch 100 is of an earlier run"),
    ] {
        let header = format!("last-event-id: {id}\r\n");
        let mut reader = Reader::open(&server, CHANGES, &header).await;
        let frame = reader.frame().await;
        assert!(frame.starts_with("id: 1.200.n\nevent: reset\n"), "{frame}");
        assert!(
            frame.ends_with(&format!("],\"reason\":\"{reason}\"}}")),
            "{frame}"
        );
    }
}

#[tokio::test]
async fn a_slow_pace_sums_up_and_all_of_one_pace_hear_the_same() {
    let app = app();
    let server = Server::start(Arc::clone(&app)).await;
    // Half a second: at epochs 500, 1000, ….
    let path = format!("{CHANGES}?hz=2");
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut reader = Reader::open(&server, &path, "").await;
        reader.frame().await;
        readers.push(reader);
    }
    for epoch in [200, 300, 400, 500] {
        publish(
            &app,
            epoch,
            vec![(i64::try_from(epoch).expect("small"), "e", 1)],
        );
    }
    for reader in &mut readers {
        let frame = reader.frame().await;
        assert!(
            frame.starts_with("id: 1.500.n\nevent: changes\n"),
            "{frame}"
        );
        assert!(frame.ends_with(r#""conflated":4}"#), "{frame}");
    }
}

#[tokio::test]
async fn a_stream_says_goodbye_when_the_server_does() {
    let app = app();
    let server = Server::start(Arc::clone(&app)).await;
    let mut reader = Reader::open(&server, "/api/v1/stream?topics=view:numbers", "").await;
    reader.frame().await;
    drop(server);
    insta::assert_snapshot!(reader.frame().await, @r#"
    id: 1.100.n
    event: bye
    data: {"reason":"the server is shutting down"}
    "#);
}

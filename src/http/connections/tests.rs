//! Clients that do not behave, over real connections: the others go on.

use super::*;
use crate::http::testing::{Server, app_with};
use crate::http::{Access, App};
use crate::model::{Row, Value};
use crate::plan::Dataflow;
use arrow::datatypes::{DataType, Field};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longer than anything here takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

fn app(rows: i64, limits: Limits) -> Arc<App> {
    let fields = vec![
        Field::new("n", DataType::Int64, false),
        Field::new("text", DataType::Utf8, false),
    ];
    let text: Box<str> = "x".repeat(200).into();
    let rows = (0..rows).map(|it| Row([Value::Int(it), Value::Text(text.as_ref().into())].into()));
    app_with(
        vec![("numbers", fields, rows.collect())],
        Dataflow::default(),
        Access::default(),
        None,
        limits,
    )
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "gave up waiting for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A connection that has sent this and reads nothing.
async fn silent(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    stream
        .write_all(text.as_bytes())
        .await
        .expect("it is taken");
    stream
}

async fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("it ends");
    answer
}

#[tokio::test]
async fn idle_connections_make_room() {
    let limits = Limits {
        connections: 8,
        ..Limits::of(1_024)
    };
    let server = Server::start(app(1, limits)).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(silent(&server, "").await);
        assert_eq!(server.get("/healthz").await.status, 200);
    }
    // The first one was closed, the last is still good for a request.
    assert_eq!(read_to_end(idle.remove(0)).await, b"");
    let mut last = idle.pop().expect("there are some");
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    last.write_all(request.as_bytes())
        .await
        .expect("it is open");
    assert!(read_to_end(last).await.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn descriptors_are_left_for_others() {
    let limits = Limits {
        // Every descriptor is beyond it.
        descriptors: 0,
        ..Limits::of(1_024)
    };
    let app = app(1, limits);
    let server = Server::start(Arc::clone(&app)).await;
    let mut stream = silent(&server, "").await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 503"));
    assert_eq!(app.connections.counts().refused.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_busy_is_not_closed_for_who_comes_later() {
    let limits = Limits {
        connections: 2,
        ..Limits::of(1_024)
    };
    let app = app(1, limits);
    let server = Server::start(Arc::clone(&app)).await;
    let request = "GET /api/v1/views/numbers/changes HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut streams = vec![
        silent(&server, request).await,
        silent(&server, request).await,
    ];
    until("both streams", || app.stream_clients() == 2).await;
    let refused = read_to_end(silent(&server, "").await).await;
    assert!(refused.is_empty() || refused.starts_with(b"HTTP/1.1 503"));
    streams.pop();
    until("one place", || app.connections.count() == 1).await;
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(app.stream_clients(), 1);
}

#[tokio::test]
async fn a_request_that_does_not_come_is_not_waited_for() {
    let limits = Limits {
        first: Duration::from_millis(10),
        ..Limits::of(1_024)
    };
    let app = app(1, limits);
    let server = Server::start(Arc::clone(&app)).await;
    for half in ["", "GET / HTTP/1.1\r\nhost: loc"] {
        assert_eq!(read_to_end(silent(&server, half).await).await, b"");
    }
    until("all are gone", || app.connections.count() == 0).await;
    assert_eq!(app.connections.counts().closed.load(Ordering::Relaxed), 2);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn readers_that_take_nothing_share_one_text_and_are_cut_off() {
    let limits = Limits {
        stalled: Duration::from_secs(2),
        ..Limits::of(1_024)
    };
    let app = app(20_000, limits);
    let server = Server::start(Arc::clone(&app)).await;
    let request = "GET /api/v1/views/numbers/changes HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(silent(&server, request).await);
    }
    let one = 20_000 * 200;
    until("their text", || one < app.shared.held_bytes()).await;
    until("all streams", || app.stream_clients() == 20).await;
    let held = app.shared.held_bytes();
    assert!(held < 2 * one, "{held} bytes for a text of {one}");
    assert_eq!(server.get("/healthz").await.status, 200);
    until("the end of all", || app.stream_clients() == 0).await;
    let counts = app.connections.counts();
    until("their count", || {
        counts.stalled.load(Ordering::Relaxed) == 20
    })
    .await;
    // Their text is forgotten when somebody asks for another one, if it is no longer kept for who comes later.
    let told = server.get("/metrics").await.text();
    assert!(
        told.contains("tidelake_http_readers_cut_off_total 20"),
        "{told}"
    );
}

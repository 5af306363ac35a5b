//! What handlers share, for tests: views that stay as they are, no lake, and nothing to tell of the process.

use super::{Access, App, Limits, Program, Settings, Status, StatusSource};
use crate::coordinator::costs::{NodeCosts, RelationCost};
use crate::coordinator::{CommitCounts, Memory};
use crate::model::{Epoch, Row};
use crate::plan::Dataflow;
use crate::sql::query::{Lake, Limits as QueryLimits, Queries};
use crate::view::{Hub, Part, ViewInfo};
use arrow::datatypes::{Field, Schema};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What handlers share, over these views, given by name, columns and rows, at epoch 100.
pub fn app_of(views: Vec<(&str, Vec<Field>, Vec<Row>)>, dataflow: Dataflow) -> Arc<App> {
    app_with(views, dataflow, Access::default(), None, Limits::of(1_024))
}

/// The same, with settings about who may ask, and a folder of saved queries.
pub fn app_with(
    views: Vec<(&str, Vec<Field>, Vec<Row>)>,
    dataflow: Dataflow,
    access: Access,
    saved_queries: Option<PathBuf>,
    limits: Limits,
) -> Arc<App> {
    let settings = Settings {
        access,
        saved_queries,
        limits,
        ..Settings::default()
    };
    app_set_up(views, dataflow, settings)
}

/// One without views that has its commits proved by this.
pub fn app_proving(prover: Option<Program>) -> Arc<App> {
    app_for(Settings {
        prover,
        ..Settings::default()
    })
}

/// One without views, set up like this.
pub fn app_for(settings: Settings) -> Arc<App> {
    app_set_up(vec![], Dataflow::default(), settings)
}

/// One without views whose first epoch is not complete.
pub fn app_before_its_first_epoch() -> Arc<App> {
    let hub = Hub::new(Vec::new(), 1, Vec::new(), 1, Epoch(0));
    app_over(hub, Dataflow::default(), Settings::default())
}

fn app_set_up(
    views: Vec<(&str, Vec<Field>, Vec<Row>)>,
    dataflow: Dataflow,
    settings: Settings,
) -> Arc<App> {
    let mut infos = Vec::new();
    let mut changes = Vec::new();
    for (at, (name, columns, rows)) in views.into_iter().enumerate() {
        infos.push(ViewInfo {
            name: name.to_owned(),
            schema: Arc::new(Schema::new(columns)),
            sql: String::new(),
            records_ms: None,
            window: None,
            order: Vec::new(),
        });
        changes.extend(rows.into_iter().map(|it| (at, Epoch(100), it, 1)));
    }
    let hub = Hub::new(infos, 1, Vec::new(), 1, Epoch(0));
    hub.publish(Part {
        through: Epoch(100),
        changes,
        ..Part::default()
    });
    app_over(hub, dataflow, settings)
}

fn app_over(hub: Arc<Hub>, dataflow: Dataflow, settings: Settings) -> Arc<App> {
    let dataflow = Arc::new(dataflow);
    let queries = Queries::new(
        Arc::clone(&hub),
        Arc::clone(&dataflow),
        Lake::default(),
        QueryLimits {
            spares: 0,
            ..QueryLimits::default()
        },
    )
    .expect("threads can be had");
    App::new(
        hub,
        queries,
        dataflow,
        Arc::new(NoStatus),
        BTreeMap::new(),
        settings,
    )
}

struct NoStatus;

impl StatusSource for NoStatus {
    fn status(&self) -> Status {
        Status::default()
    }

    fn costs(&self) -> Vec<RelationCost> {
        Vec::new()
    }

    fn costs_of_nodes(&self) -> NodeCosts {
        NodeCosts::new()
    }

    fn commits(&self) -> Arc<CommitCounts> {
        Arc::default()
    }

    fn memory(&self) -> Option<Memory> {
        None
    }
}

/// A server on a free port of this machine, until dropped.
pub struct Server {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Server {
    pub async fn start(app: Arc<App>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(super::serve(listener, app, stopping));
        Server { address, stop }
    }

    /// One that somebody else has started.
    pub fn at(address: SocketAddr) -> Server {
        let stop = watch::Sender::new(false);
        Server { address, stop }
    }

    /// Sends these lines as a request head, with `host` unless there is one, and a body.
    pub async fn ask(&self, head: &str, body: &str) -> Reply {
        let mut lines: Vec<String> = head.lines().map(|it| it.trim().to_owned()).collect();
        if !head.to_lowercase().contains("\nhost:") {
            lines.push(format!("host: {}", self.address));
        }
        lines.push("connection: close".to_owned());
        if !body.is_empty() {
            lines.push(format!("content-length: {}", body.len()));
        }
        let text = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.write_all(text.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        while stream.read_buf(&mut answer).await.is_ok_and(|it| it != 0) {
            // A stream does not end by itself.
            let is_stream = Reply::parse(&answer)
                .is_some_and(|it| it.header("content-type") == "text/event-stream");
            if is_stream {
                break;
            }
        }
        Reply::parse(&answer)
            .unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&answer)))
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1"), "").await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Reply {
    /// Nothing before its head is complete.
    fn parse(answer: &[u8]) -> Option<Reply> {
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|it| it.split(' ').nth(1)?.parse().ok());
        let header = |it: &str| {
            let (name, value) = it.split_once(": ")?;
            Some((name.to_lowercase(), value.to_owned()))
        };
        Some(Reply {
            status: status.expect("a status line"),
            headers: lines.filter_map(header).collect(),
            body: answer[end + 4..].to_vec(),
        })
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|it| it.0 == name);
        found.map_or("", |it| it.1.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|it| panic!("{it}: {}", self.text()))
    }

    /// The code of the problem it tells; nothing if it is none.
    pub fn code(&self) -> String {
        match self.header("content-type") {
            "application/problem+json" => {
                self.json()["code"].as_str().unwrap_or_default().to_owned()
            }
            _ => String::new(),
        }
    }
}

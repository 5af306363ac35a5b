//! One server-sent event stream per client: topics that speak when they are due, or when the epoch has moved.
//!
//! A client costs a place (an epoch, a number in the tail) and the one frame it is being sent; nothing is queued for it. When it
//! reads slowly it is asked less often, and what it missed arrives summed up. Streams end with `bye` when the server does.
//!
//! ```text
//! due, or behind the epoch ──► topic writes frames ──► socket takes them ──► look again
//! ```

use super::App;
use super::problem::Problem;
use crate::model::{Epoch, wall_ms};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// Streams at a time.
pub const CLIENTS_MAX: usize = 1_000;
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a client should wait before it comes back.
const RETRY_MS: u64 = 1_000;
/// A topic that speaks once is not due again while anyone listens.
pub const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// What one part of a stream has to say.
pub trait Topic: Send {
    /// Speaks again after this long at the earliest.
    fn every(&self) -> Duration;
    /// Whether there may be news at this epoch. Who says no is asked again when the epoch moves.
    fn is_behind(&self, _epoch: Epoch) -> bool {
        true
    }
    /// Writes what is new.
    fn speak(&mut self, app: &App, out: &mut Vec<Frame>);
    /// Up to which epoch the client has heard of it, if that can be resumed from.
    fn heard(&self) -> Option<Epoch> {
        None
    }
    /// How long after the start it speaks first.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }
}

/// One event before it has its id.
#[derive(Debug)]
pub struct Frame {
    pub event: Kind,
    /// One line.
    pub data: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Named(&'static str),
    Unnamed,
    Comment,
}

struct Client {
    app: Arc<App>,
    topics: Vec<(Instant, Box<dyn Topic>)>,
    pending: VecDeque<String>,
    moved: watch::Receiver<Epoch>,
    ending: watch::Receiver<bool>,
    /// Whether frames carry names and ids, and the server says goodbye.
    contract: bool,
    heartbeat_due: Instant,
    number: u64,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

/// Answers with a stream of topics. With `contract`, frames have ids, and heartbeats and `bye` are real events.
///
/// # Errors
/// If there are too many clients.
pub fn respond(
    app: Arc<App>,
    topics: Vec<Box<dyn Topic>>,
    contract: bool,
) -> Result<Response, Problem> {
    let place = app.clients.clone().try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", format!("{CLIENTS_MAX} streams are open already"))
            .hint("close other tabs, or subscribe to several topics on one stream: /api/v1/stream?topics=…")
    })?;
    let now = Instant::now();
    let client = Client {
        moved: app.hub.subscribe(),
        ending: app.ending.subscribe(),
        topics: topics
            .into_iter()
            .map(|it| (now + it.delay(), it))
            .collect(),
        pending: VecDeque::from([format!("retry: {RETRY_MS}\n\n")]),
        contract,
        heartbeat_due: now + HEARTBEAT,
        number: 0,
        ended: false,
        _place: place,
        app,
    };
    let mut response = Response::new(Body::from_stream(futures::stream::unfold(
        client,
        Client::next,
    )));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Client {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if let Some(text) = self.pending.pop_front() {
                return Some((Ok(text.into()), self));
            }
            if self.ended {
                return None;
            }
            if *self.ending.borrow_and_update() {
                self.ended = true;
                if self.contract {
                    let data = json!({"reason": "the server is shutting down"}).to_string();
                    self.add(Frame {
                        event: Kind::Named("bye"),
                        data,
                    });
                }
                continue;
            }
            let epoch = *self.moved.borrow_and_update();
            let (wake, waits) = self.speak(epoch);
            if !self.pending.is_empty() {
                continue;
            }
            tokio::select! {
                _ = self.ending.changed() => {}
                () = tokio::time::sleep_until(wake) => {}
                _ = self.moved.changed(), if waits => {}
            }
        }
    }

    /// Lets all topics speak that are due; tells when the next one is, and whether one waits for the epoch to move.
    fn speak(&mut self, epoch: Epoch) -> (Instant, bool) {
        let now = Instant::now();
        let (mut wake, mut waits) = (now + NEVER, false);
        let mut frames = Vec::new();
        for (due, topic) in &mut self.topics {
            if *due <= now {
                if !topic.is_behind(epoch) {
                    waits = true;
                    continue;
                }
                topic.speak(&self.app, &mut frames);
                *due = now + topic.every();
            }
            wake = wake.min(*due);
        }
        if self.contract {
            if self.heartbeat_due <= now {
                self.heartbeat_due = now + HEARTBEAT;
                frames.push(Frame {
                    event: Kind::Named("heartbeat"),
                    data: heartbeat(self.heard()),
                });
            }
            wake = wake.min(self.heartbeat_due);
        }
        for frame in frames {
            self.add(frame);
        }
        (wake, waits)
    }

    /// What the client can resume from: the oldest of what it heard.
    fn heard(&self) -> Epoch {
        let oldest = self.topics.iter().filter_map(|it| it.1.heard()).min();
        oldest.unwrap_or_else(|| *self.moved.borrow())
    }

    fn add(&mut self, frame: Frame) {
        self.number += 1;
        let Frame { event, data } = frame;
        let text = match event {
            Kind::Named(name) => format!(
                "id: {}.{}\nevent: {name}\ndata: {data}\n\n",
                self.app.hub.heard(self.heard()),
                self.number
            ),
            Kind::Unnamed => format!("data: {data}\n\n"),
            Kind::Comment => format!(": {data}\n\n"),
        };
        self.pending.push_back(text);
    }
}

fn heartbeat(epoch: Epoch) -> String {
    let server_time =
        crate::model::iso_of_micros(i64::try_from(wall_ms()).unwrap_or_default() * 1000);
    json!({"epoch": epoch, "as_of": epoch.iso(), "server_time": server_time}).to_string()
}

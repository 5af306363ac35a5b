//! One server-sent event stream per client: topics that speak when they are due, or when the epoch has moved.
//!
//! A client costs a place (an epoch, a number in the tail) and a reference to the one text it is being sent, which it shares with all who hear the
//! same; nothing is queued for it. When it reads slowly it is asked less often, and what it missed arrives summed up. One that takes nothing at
//! all is cut off with its connection. Streams end with `bye` when the server does.
//!
//! ```text
//! due, or behind the epoch ──► topic names its text ──► made once for all ──► socket takes it ──► look again
//! ```

use super::App;
use super::problem::Problem;
use super::shared::{Key, Make, Text};
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

/// What a stream of events is sent as.
pub const EVENT_STREAM: &str = "text/event-stream";
/// Streams at a time.
pub const CLIENTS_MAX: usize = 1_000;
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a client should wait before it comes back.
const RETRY_MS: u64 = 1_000;
/// A topic that speaks once is not due again while anyone listens.
pub const NEVER: Duration = Duration::from_secs(365 * 86_400);
/// A text up to this length is copied behind its head, so that both are written at once.
const COPIED_BYTES_MAX: usize = 2_048;

/// What one part of a stream has to say.
pub trait Topic: Send {
    /// How often it speaks. All topics of one pace are due at the same times, so that they say the same. One that follows the epoch has none.
    fn every(&self) -> Option<Duration>;
    /// The longest delay of a change that its reader accepts.
    fn pace(&self) -> Duration {
        self.every().unwrap_or_default()
    }
    /// Whether there may be news at this epoch. Who says no is asked again when the epoch moves.
    fn is_behind(&self, _epoch: Epoch) -> bool {
        true
    }
    /// What it says now.
    fn ask(&mut self, app: &App, epoch: Epoch) -> Ask;
    /// It was said.
    fn said(&mut self, _app: &App, _text: &Text) {}
    /// Up to which epoch the client has heard of it, if that can be resumed from.
    fn heard(&self) -> Option<Epoch> {
        None
    }
    /// The number of the newest batch of the tail the client has heard of, if it is about those.
    fn batch(&self) -> Option<u64> {
        None
    }
    /// Whether it waits for its pace before it speaks first.
    fn waits(&self) -> bool {
        false
    }
}

/// A text by its name, and how it is made if it was not yet.
pub enum Ask {
    Text(Key, Make),
    /// All rows of a view, and how the text goes on behind them.
    Snapshot {
        topic: Arc<str>,
        view: Arc<str>,
        make: Make,
        event: &'static str,
        end: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An event with a name and an id; the text is its data, one line.
    Named(&'static str),
    /// Lines as they are sent.
    Whole,
}

struct Client {
    app: Arc<App>,
    topics: Vec<(Instant, Box<dyn Topic>)>,
    pending: VecDeque<Bytes>,
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
    let first_due = |it: &dyn Topic| match it.every() {
        Some(every) if it.waits() => now + every,
        Some(_) | None => now,
    };
    let client = Client {
        moved: app.hub.subscribe(),
        ending: app.ending.subscribe(),
        topics: topics
            .into_iter()
            .map(|it| (first_due(it.as_ref()), it))
            .collect(),
        pending: VecDeque::from([Bytes::from(format!("retry: {RETRY_MS}\n\n"))]),
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
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Client {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if let Some(piece) = self.pending.pop_front() {
                return Some((Ok(piece), self));
            }
            if self.ended {
                return None;
            }
            if *self.ending.borrow_and_update() {
                self.end();
                continue;
            }
            let epoch = *self.moved.borrow_and_update();
            let Ok((wake, waits)) = self.speak(epoch).await else {
                self.end();
                continue;
            };
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

    fn end(&mut self) {
        self.ended = true;
        if self.contract {
            let data = json!({"reason": "the server is shutting down"}).to_string();
            self.add_named("bye", &data);
        }
    }

    /// Lets all topics speak that are due; tells when the next one is, and whether one waits for the epoch to move.
    async fn speak(&mut self, epoch: Epoch) -> Result<(Instant, bool), Problem> {
        let now = Instant::now();
        let (mut wake, mut waits) = (now + NEVER, false);
        let mut spoken = Vec::new();
        for (due, topic) in &mut self.topics {
            self.app.hub.note_reader(topic.pace());
            if *due <= now {
                if !topic.is_behind(epoch) {
                    waits = true;
                    continue;
                }
                spoken.push(Self::text_of(&self.app, topic.as_mut(), epoch).await?);
                match topic.every() {
                    Some(every) => *due = next_turn(&self.app, every),
                    // It is asked again once this has been sent.
                    None => waits = true,
                }
            }
            if topic.every().is_some() {
                wake = wake.min(*due);
            }
        }
        for (text, event, end) in spoken {
            self.add(&text, event, end);
        }
        if !self.contract && !self.pending.is_empty() {
            self.add_place();
        }
        if self.contract {
            if self.heartbeat_due <= now {
                self.heartbeat_due = now + HEARTBEAT;
                let data = heartbeat(self.heard());
                self.add_named("heartbeat", &data);
            }
            wake = wake.min(self.heartbeat_due);
        }
        Ok((wake, waits))
    }

    /// What a topic says, as which event, and how it ends.
    async fn text_of(
        app: &Arc<App>,
        topic: &mut dyn Topic,
        epoch: Epoch,
    ) -> Result<(Arc<Text>, Option<Kind>, String), Problem> {
        let (text, event, end) = match topic.ask(app, epoch) {
            Ask::Text(key, make) => {
                let text = app.shared.text(app, key, make).await?;
                let event = text.event;
                (text, event, "\n\n".to_owned())
            }
            Ask::Snapshot {
                topic,
                view,
                make,
                event,
                end,
            } => {
                let text = app.shared.snapshot(app, &topic, &view, make).await?;
                let event = text.event.map(|_| Kind::Named(event));
                (text, event, format!("{end}\n\n"))
            }
        };
        topic.said(app, &text);
        Ok((text, event, end))
    }

    /// What the client can resume from: the oldest of what it heard.
    fn heard(&self) -> Epoch {
        let oldest = self.topics.iter().filter_map(|it| it.1.heard()).min();
        oldest.unwrap_or_else(|| *self.moved.borrow())
    }

    fn add(&mut self, text: &Text, event: Option<Kind>, end: String) {
        match event {
            None => {}
            Some(Kind::Whole) => self.pending.extend(text.pieces.iter().cloned()),
            Some(Kind::Named(name)) => {
                let mut head = self.head(name);
                match text.pieces.as_slice() {
                    [only] if only.len() <= COPIED_BYTES_MAX => {
                        let mut frame = Vec::with_capacity(head.len() + only.len() + end.len());
                        frame.extend_from_slice(head.as_bytes());
                        frame.extend_from_slice(only);
                        frame.extend_from_slice(end.as_bytes());
                        self.pending.push_back(frame.into());
                    }
                    pieces => {
                        self.pending.push_back(std::mem::take(&mut head).into());
                        self.pending.extend(pieces.iter().cloned());
                        self.pending.push_back(end.into());
                    }
                }
            }
        }
    }

    /// What a client of the older stream comes back with: an id by itself, behind all that was said by then.
    fn add_place(&mut self) {
        let batches = self.topics.iter().filter_map(|it| it.1.batch());
        let batch = batches.min().unwrap_or(0);
        let id = format!("id: {}.{batch}\n\n", self.app.hub.heard(self.heard()));
        self.pending.push_back(id.into());
    }

    fn add_named(&mut self, name: &str, data: &str) {
        let frame = format!("{}{data}\n\n", self.head(name));
        self.pending.push_back(frame.into());
    }

    fn head(&mut self, name: &str) -> String {
        self.number += 1;
        format!(
            "id: {}.{}\nevent: {name}\ndata: ",
            self.app.hub.heard(self.heard()),
            self.number
        )
    }
}

/// Which turn of a pace it is, counted since the server's start.
pub fn turn(app: &App, every: Duration) -> u64 {
    let turn = app.started.elapsed().as_micros() / every.as_micros().max(1);
    u64::try_from(turn).unwrap_or(u64::MAX)
}

/// When the next turn of a pace begins.
fn next_turn(app: &App, every: Duration) -> Instant {
    let next = turn(app, every).saturating_add(1);
    let micros = u64::try_from(every.as_micros()).map_or(u64::MAX, |it| it.saturating_mul(next));
    let start = Instant::from_std(app.started);
    start
        .checked_add(Duration::from_micros(micros))
        .unwrap_or_else(|| Instant::now() + NEVER)
}

fn heartbeat(epoch: Epoch) -> String {
    let server_time =
        crate::model::iso_of_micros(i64::try_from(wall_ms()).unwrap_or_default() * 1000);
    json!({"epoch": epoch, "as_of": epoch.iso(), "server_time": server_time}).to_string()
}

#[cfg(test)]
mod tests;

//! What older pages read at `/events`: a greeting, then log entries, metrics, anomalies and pings, all unnamed.
//!
//! Behind whatever is said stands an id by itself, `<generation>.<epoch>.<batch>`; who comes back with it gets what it missed.

use super::super::App;
use super::super::seed;
use super::super::seed::EntryReader;
use super::super::shared::{Key, Text, Writer};
use super::super::stream::{Ask, Kind, NEVER, Topic};
use super::{News, StateTopic, TAIL_EVERY, sample};
use crate::model::Epoch;
use crate::view::{Heard, Since, ViewInfo};
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// At most so many log entries per `TAIL_EVERY`: 50 a second.
const LOG_ROWS_MAX: usize = 10;
/// And so many at once to a client that comes back.
const LOG_ROWS_RESUMED_MAX: usize = 1_000;

/// Events without a name, one after the other.
fn unnamed(data: &[Json]) -> Text {
    if data.is_empty() {
        return Text::default();
    }
    let mut out = Writer::default();
    for it in data {
        let _ = write!(out, "data: {it}\n\n");
    }
    out.text(Kind::Whole, Epoch(0))
}

/// How far a client of `/events` has heard: an epoch of a run, and the number of the newest batch of the tail.
/// Written `<generation>.<epoch>.<batch>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EventPlace {
    heard: Heard,
    batch: u64,
}

impl EventPlace {
    fn parse(text: &str) -> Option<Self> {
        let (heard, batch) = text.rsplit_once('.')?;
        heard.split_once('.')?;
        Some(EventPlace {
            heard: heard.parse().ok()?,
            batch: batch.parse().ok()?,
        })
    }

    /// What of the stream can no longer be told to a client that has heard up to here, if anything.
    fn missed(self, app: &App) -> Option<&'static str> {
        if self.heard.generation != app.hub.generation() {
            return Some("the pipeline has restarted since");
        }
        let kept = app.hub.tail_after(0);
        let oldest = kept.first().map_or(0, |it| it.number);
        if self.batch.saturating_add(1) < oldest {
            return Some("the oldest log entries since are no longer kept");
        }
        let is_cut = |rows: &seed::Rows| {
            rows.info(app).is_some() && !app.hub.reaches(rows.view(), self.heard)
        };
        let is_cut = seed::Rows::ALL.iter().any(is_cut);
        is_cut.then_some("the oldest anomalies since are no longer kept")
    }
}

/// The id of an event that a client may come back with, written anew.
pub fn event_place(text: &str) -> Option<String> {
    let EventPlace { heard, batch } = EventPlace::parse(text)?;
    Some(format!("{heard}.{batch}"))
}

/// What the seed's page reads at `/events`: a greeting, then log entries, metrics, anomalies and pings, all unnamed. A client that comes
/// back with the id it heard last gets what it missed; what can no longer be told is said in the greeting.
pub fn of_events(app: &App, last: Option<&str>) -> Vec<Box<dyn Topic>> {
    let place = last.and_then(EventPlace::parse);
    let missed = match (last, place) {
        (Some(_), None) => Some("the id of the last event is not one of this server"),
        (_, place) => place.and_then(|it| it.missed(app)),
    };
    let place = place.filter(|it| it.heard.generation == app.hub.generation());
    let mut topics: Vec<Box<dyn Topic>> = vec![Box::new(Hello { missed })];
    if let Some(reader) = EntryReader::new(&app.dataflow) {
        topics.push(Box::new(LogTopic {
            key: "seed logs".into(),
            reader: Arc::new(reader),
            at: place.map_or(app.hub.tail_number(), |it| it.batch),
            dropped: 0,
            rows_max: match place {
                Some(_) => LOG_ROWS_RESUMED_MAX,
                None => LOG_ROWS_MAX,
            },
        }));
    }
    topics.push(StateTopic::boxed(
        "seed metrics",
        Duration::from_secs(5),
        |app| unnamed(&[json!({"type": "metrics", "data": seed::metrics_of(app)})]),
    ));
    for rows in seed::Rows::ALL {
        let Some(info) = rows.info(app) else {
            continue;
        };
        topics.push(Box::new(AnomalyTopic {
            key: format!("seed {}", info.name).into(),
            rows,
            info: Arc::new(info),
            at: place.map_or(app.hub.epoch(), |it| it.heard.epoch),
        }));
    }
    topics.push(Box::new(StateTopic {
        key: "seed ping".into(),
        every: Duration::from_secs(20),
        waits: true,
        text: |_| {
            let mut out = Writer::default();
            out.piece().push_str(": ping\n\n");
            out.text(Kind::Whole, Epoch(0))
        },
    }));
    topics
}

struct Hello {
    /// What a client that came back has missed for good.
    missed: Option<&'static str>,
}

impl Topic for Hello {
    fn every(&self) -> Option<Duration> {
        Some(NEVER)
    }

    fn ask(&mut self, _app: &App, _epoch: Epoch) -> Ask {
        let missed = self.missed;
        let key = Key {
            topic: format!("seed hello {}", missed.unwrap_or_default()).into(),
            from: 0,
            to: 0,
            more: 0,
        };
        let make = move |_: &App| {
            let mut hello =
                json!({"type": "connected", "message": "Connected to the Tidelake stream"});
            if let (Some(missed), Some(members)) = (missed, hello.as_object_mut()) {
                let text = format!(
                    "some events were missed: {missed}; /api/logs and /api/anomalies have them"
                );
                members.insert("missed".to_owned(), json!(text));
            }
            unnamed(&[hello])
        };
        Ask::Text(key, Box::new(make))
    }
}

/// Log entries without a type; the first after a gap says how many were left out.
struct LogTopic {
    key: Arc<str>,
    reader: Arc<EntryReader>,
    at: u64,
    dropped: u64,
    /// More at first, if the client came back.
    rows_max: usize,
}

impl Topic for LogTopic {
    fn every(&self) -> Option<Duration> {
        Some(TAIL_EVERY)
    }

    fn ask(&mut self, app: &App, _epoch: Epoch) -> Ask {
        let (from, to, dropped) = (self.at, app.hub.tail_number(), self.dropped);
        let reader = Arc::clone(&self.reader);
        let rows_max = std::mem::replace(&mut self.rows_max, LOG_ROWS_MAX);
        let topic = match rows_max {
            LOG_ROWS_MAX => Arc::clone(&self.key),
            _ => format!("{} resumed", self.key).into(),
        };
        let key = Key {
            topic,
            from,
            to,
            more: dropped,
        };
        let make = move |app: &App| {
            let news = News::between(app, from, to, reader.table, None);
            let shown = sample(&news.places, rows_max);
            let mut dropped = dropped + news.matched.saturating_sub(shown.len() as u64);
            let mut entries = Vec::new();
            for place in shown {
                let (rows, row) = news.row(place);
                let mut entry = reader.read(rows, row).to_json();
                if let Some(members) = entry.as_object_mut().filter(|_| 0 < dropped) {
                    let told = std::mem::take(&mut dropped);
                    members.insert("dropped".to_owned(), json!(told));
                }
                entries.push(entry);
            }
            Text {
                number: to,
                dropped,
                ..unnamed(&entries)
            }
        };
        Ask::Text(key, Box::new(make))
    }

    fn said(&mut self, _app: &App, text: &Text) {
        (self.at, self.dropped) = (text.number, text.dropped);
    }

    fn batch(&self) -> Option<u64> {
        Some(self.at)
    }
}

/// Anomalies of rules as they appear or change, incidents of detectors as they open.
struct AnomalyTopic {
    key: Arc<str>,
    rows: seed::Rows,
    info: Arc<ViewInfo>,
    at: Epoch,
}

impl Topic for AnomalyTopic {
    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    fn is_behind(&self, epoch: Epoch) -> bool {
        self.at < epoch
    }

    fn ask(&mut self, _app: &App, epoch: Epoch) -> Ask {
        let (from, rows, info) = (self.at, self.rows, Arc::clone(&self.info));
        let key = Key {
            topic: Arc::clone(&self.key),
            from: from.0,
            to: epoch.0,
            more: 0,
        };
        let make = move |app: &App| {
            let changes = match app.hub.since(&info.name, from, epoch) {
                Some(Since::Changes { changes, .. }) => changes,
                Some(Since::TooOld) | None => Vec::new(),
            };
            let news = rows.news(app, &info.schema, &changes, epoch.0);
            let told: Vec<Json> = news
                .into_iter()
                .map(|it| json!({"type": "anomaly", "data": it}))
                .collect();
            Text {
                epoch,
                ..unnamed(&told)
            }
        };
        Ask::Text(key, Box::new(make))
    }

    fn said(&mut self, _app: &App, text: &Text) {
        self.at = text.epoch;
    }

    fn heard(&self) -> Option<Epoch> {
        Some(self.at)
    }
}

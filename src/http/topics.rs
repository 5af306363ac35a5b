//! What streams speak about: a view's changes, the tail, metrics, health.
//!
//! A view's topic is the same code for a first connection, a resumed one and a slow one: it knows the epoch the client is at,
//! and asks the hub for the sum of what came since. Only when the hub no longer knows, the client gets all rows again.
//!
//! Clients of one pace speak at the same epochs, so those who keep up are at the same place and share each text.

mod older;

pub use older::{event_place, of_events};

use super::App;
use super::entry::{RecordReader, passes};
use super::filter::Filter;
use super::shared::{Key, Text, Writer};
use super::stream::{Ask, Kind, Topic, turn};
use super::wire::RowWriter;
use super::{seed, status};
use crate::model::{Epoch, Row, whole_ms};
use crate::view::{Heard, Since, TailBatch, ViewInfo};
use arrow::array::RecordBatch;
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Most rows of the tail in a frame.
const TAIL_ROWS_MAX: usize = 100;
const TAIL_EVERY: Duration = Duration::from_millis(200);

/// Snapshot, then changes, of one view.
pub struct ViewTopic {
    /// The view with its filter, as others may have it too.
    topic: Arc<str>,
    rows: Arc<Rows>,
    every_ms: u64,
    at: Option<Heard>,
    /// Why the client must begin again.
    lost: Option<String>,
    /// Resumed at an epoch that has not been checked yet.
    resumed: bool,
}

/// How rows of a view are written.
struct Rows {
    view: Arc<str>,
    writer: RowWriter,
    filter: Option<Filter>,
}

impl ViewTopic {
    pub fn new(
        info: &ViewInfo,
        filter: Option<Filter>,
        every: Duration,
        since: Option<Heard>,
    ) -> Self {
        let text = filter.as_ref().map_or("", |it| it.text.as_str());
        ViewTopic {
            topic: format!("view:{}?{text}", info.name).into(),
            rows: Arc::new(Rows {
                view: info.name.as_str().into(),
                writer: RowWriter::new(&info.schema),
                filter,
            }),
            every_ms: whole_ms(every).max(1),
            at: since,
            lost: None,
            resumed: since.is_some(),
        }
    }
}

impl Rows {
    fn passes(&self, row: &Row) -> bool {
        self.filter.as_ref().is_none_or(|it| it.matches(row))
    }

    fn head(&self, app: &App, epoch: Epoch, out: &mut String) {
        let _ = write!(
            out,
            "{{\"view\":{},\"epoch\":{epoch},\"as_of\":\"{}\",\"generation\":{}",
            Json::from(self.view.as_ref()),
            epoch.iso(),
            app.hub.generation()
        );
        if let Some(filter) = &self.filter {
            let _ = write!(out, ",\"where\":{}", Json::from(filter.text.as_str()));
        }
    }

    /// All rows; how the text ends is for who says it.
    fn all(&self, app: &App) -> Text {
        let Some(snapshot) = app.hub.snapshot(&self.view) else {
            return Text::default();
        };
        let mut out = Writer::default();
        self.head(app, snapshot.epoch, out.piece());
        let _ = write!(out, ",\"columns\":{},\"rows\":[", self.writer.columns());
        let mut is_first = true;
        let rows = snapshot.in_order();
        for (row, count) in rows.filter(|it| self.passes(it.0)) {
            for _ in 0..count {
                let piece = out.piece();
                if !std::mem::take(&mut is_first) {
                    piece.push(',');
                }
                self.writer.write(row, piece);
            }
        }
        out.piece().push(']');
        out.text(Kind::Named("snapshot"), snapshot.epoch)
    }

    /// The sum of what came after an epoch, up to another; no event if nothing of it passes.
    fn changes(&self, app: &App, from: Epoch, to: Epoch) -> Text {
        let (changes, epochs) = match app.hub.since(&self.view, from, to) {
            Some(Since::Changes { changes, epochs }) => (changes, epochs),
            Some(Since::TooOld) | None => {
                return Text {
                    lost: true,
                    ..Text::default()
                };
            }
        };
        let mut out = Writer::default();
        self.head(app, to, out.piece());
        out.piece().push_str(",\"changes\":[");
        let mut is_first = true;
        for (row, diff) in changes.iter().filter(|it| self.passes(&it.0)) {
            let piece = out.piece();
            if !std::mem::take(&mut is_first) {
                piece.push(',');
            }
            let _ = write!(piece, "{{\"diff\":{diff},\"row\":");
            self.writer.write(row, piece);
            piece.push('}');
        }
        if is_first {
            return Text {
                epoch: to,
                ..Text::default()
            };
        }
        let _ = write!(out, "],\"conflated\":{epochs}}}");
        out.text(Kind::Named("changes"), to)
    }
}

impl Topic for ViewTopic {
    fn every(&self) -> Option<Duration> {
        None
    }

    fn pace(&self) -> Duration {
        Duration::from_millis(self.every_ms)
    }

    /// Its turn comes when the epoch enters the next stretch of its pace: for all clients of that pace at once.
    fn is_behind(&self, epoch: Epoch) -> bool {
        let turn = |it: Epoch| it.0 / self.every_ms;
        self.resumed
            || self
                .at
                .is_none_or(|it| it.epoch < epoch && turn(it.epoch) < turn(epoch))
    }

    fn ask(&mut self, app: &App, epoch: Epoch) -> Ask {
        self.resumed = false;
        let rows = Arc::clone(&self.rows);
        if let Some(at) = self.at {
            if !app.hub.reaches(&rows.view, at) {
                self.lost = Some(match at.generation == app.hub.generation() {
                    true => format!("changes since epoch {} are no longer kept", at.epoch),
                    false => format!("epoch {} is of an earlier run", at.epoch),
                });
            } else {
                let key = Key {
                    topic: Arc::clone(&self.topic),
                    from: at.epoch.0,
                    to: epoch.0,
                    more: 0,
                };
                let from = at.epoch;
                return Ask::Text(key, Box::new(move |app| rows.changes(app, from, epoch)));
            }
        }
        let (event, end) = match self.lost.take() {
            None => ("snapshot", "}".to_owned()),
            Some(reason) => ("reset", format!(",\"reason\":{}}}", Json::from(reason))),
        };
        Ask::Snapshot {
            topic: Arc::clone(&self.topic),
            view: Arc::clone(&self.rows.view),
            make: Box::new(move |app| rows.all(app)),
            event,
            end,
        }
    }

    fn said(&mut self, app: &App, text: &Text) {
        match text.lost {
            // Asked again, it finds out why.
            true => self.resumed = true,
            false => self.at = Some(app.hub.heard(text.epoch)),
        }
    }

    fn heard(&self) -> Option<Epoch> {
        self.at.map(|it| it.epoch)
    }
}

/// The newest records, sampled evenly when there are too many to read.
pub struct TailTopic {
    /// The name under which it was asked for, told in every frame, with the filter.
    key: Arc<str>,
    lines: Arc<Lines>,
    at: u64,
    /// Nothing was said yet.
    silent: bool,
}

struct Lines {
    topic: String,
    reader: RecordReader,
    filter: Option<Filter>,
}

impl TailTopic {
    /// `columns` are those that the reader reads, by which topics are told apart.
    pub fn new(
        topic: &str,
        reader: RecordReader,
        columns: &[String],
        filter: Option<Filter>,
    ) -> Self {
        let text = filter.as_ref().map_or("", |it| it.text.as_str());
        TailTopic {
            key: format!("{topic}?{text}?{}", columns.join(",")).into(),
            lines: Arc::new(Lines {
                topic: topic.to_owned(),
                reader,
                filter,
            }),
            at: 0,
            silent: true,
        }
    }
}

impl Topic for TailTopic {
    fn every(&self) -> Option<Duration> {
        Some(TAIL_EVERY)
    }

    fn ask(&mut self, app: &App, _epoch: Epoch) -> Ask {
        let (from, to, first) = (self.at, app.hub.tail_number(), self.silent);
        let lines = Arc::clone(&self.lines);
        let key = Key {
            topic: Arc::clone(&self.key),
            from,
            to,
            more: u64::from(first),
        };
        Ask::Text(key, Box::new(move |app| lines.text(app, from, to, first)))
    }

    fn said(&mut self, _app: &App, text: &Text) {
        self.at = text.number;
        self.silent = false;
    }
}

impl Lines {
    fn text(&self, app: &App, from: u64, to: u64, first: bool) -> Text {
        let news = News::between(app, from, to, self.reader.table, self.filter.as_ref());
        // The first frame is there even if it is empty: it echoes the filter.
        if news.matched == 0 && news.unseen == 0 && !first {
            return Text {
                number: to,
                ..Text::default()
            };
        }
        // To begin with: the newest ones, and nothing counts as dropped.
        let shown = match first {
            true => news
                .places
                .iter()
                .skip(news.places.len().saturating_sub(TAIL_ROWS_MAX))
                .copied()
                .collect(),
            false => sample(&news.places, TAIL_ROWS_MAX),
        };
        let matched = if first {
            shown.len() as u64
        } else {
            news.matched
        };
        let rows: Vec<Json> = shown
            .iter()
            .map(|it| {
                let (rows, row) = news.row(*it);
                self.reader.read(rows, row)
            })
            .collect();
        let mut frame = json!({
            "topic": self.topic,
            "epoch": news.epoch,
            "rows": rows,
            "matched": matched,
            "shown": shown.len(),
            "dropped": matched.saturating_sub(shown.len() as u64),
        });
        if let (Some(filter), Some(members)) = (&self.filter, frame.as_object_mut()) {
            members.insert("where".to_owned(), json!(filter.text));
            members.insert(
                "unseen".to_owned(),
                json!(if first { 0 } else { news.unseen }),
            );
        }
        let mut out = Writer::default();
        let _ = write!(out, "{frame}");
        Text {
            number: to,
            ..out.text(Kind::Named("tail"), news.epoch)
        }
    }
}

/// Records of the tail between two places.
struct News {
    batches: Vec<TailBatch>,
    /// Batch and row of each record that passes.
    places: Vec<(usize, usize)>,
    epoch: Epoch,
    /// How many there were; with a filter, among those that can be seen.
    matched: u64,
    /// Records that the tail did not keep, so that a filter could not look at them.
    unseen: u64,
}

impl News {
    fn between(app: &App, from: u64, to: u64, table: usize, filter: Option<&Filter>) -> News {
        let mut batches = app.hub.tail_after(from);
        batches.retain(|it| it.number <= to && it.table == table);
        let rows =
            |(at, batch): (usize, &TailBatch)| (0..batch.rows.num_rows()).map(move |row| (at, row));
        let mut places: Vec<(usize, usize)> = batches.iter().enumerate().flat_map(rows).collect();
        places.retain(|it| passes(filter, &batches[it.0].rows, it.1));
        let epoch = batches.iter().map(|it| it.epoch).max().unwrap_or_default();
        let all: u64 = batches.iter().map(|it| it.matched).sum();
        let kept: u64 = batches.iter().map(|it| it.rows.num_rows() as u64).sum();
        let (matched, unseen) = match filter {
            Some(_) => (places.len() as u64, all.saturating_sub(kept)),
            None => (all.max(kept), 0),
        };
        News {
            batches,
            places,
            epoch,
            matched,
            unseen,
        }
    }

    fn row(&self, place: (usize, usize)) -> (&RecordBatch, usize) {
        (&self.batches[place.0].rows, place.1)
    }
}

/// At most `count` of them, evenly spread, in order.
fn sample<T: Copy>(all: &[T], count: usize) -> Vec<T> {
    match all.len() <= count {
        true => all.to_vec(),
        false => (0..count).map(|at| all[at * all.len() / count]).collect(),
    }
}

/// A topic that tells the state of the process: the same to all who listen.
pub struct StateTopic {
    key: Arc<str>,
    every: Duration,
    waits: bool,
    text: fn(&App) -> Text,
}

impl StateTopic {
    fn boxed(key: &str, every: Duration, text: fn(&App) -> Text) -> Box<dyn Topic> {
        Box::new(StateTopic {
            key: key.into(),
            every,
            waits: false,
            text,
        })
    }

    /// The event `metrics`.
    pub fn metrics() -> Box<dyn Topic> {
        StateTopic::boxed("metrics", Duration::from_secs(1), |app| {
            named("metrics", &seed::figures_of(app))
        })
    }

    /// The event `pipeline`.
    pub fn pipeline() -> Box<dyn Topic> {
        StateTopic::boxed("pipeline", super::pipeline::SAMPLE_EVERY, |app| {
            named("pipeline", &json!(super::pipeline::report(app)))
        })
    }

    /// The event `health`.
    pub fn health() -> Box<dyn Topic> {
        StateTopic::boxed("health", Duration::from_secs(2), |app| {
            named("health", &status::health(app))
        })
    }
}

impl Topic for StateTopic {
    fn every(&self) -> Option<Duration> {
        Some(self.every)
    }

    fn ask(&mut self, app: &App, _epoch: Epoch) -> Ask {
        let key = Key {
            topic: Arc::clone(&self.key),
            from: 0,
            to: turn(app, self.every),
            more: 0,
        };
        Ask::Text(key, Box::new(self.text))
    }

    fn waits(&self) -> bool {
        self.waits
    }
}

fn named(event: &'static str, data: &Json) -> Text {
    let mut out = Writer::default();
    let _ = write!(out, "{data}");
    out.text(Kind::Named(event), Epoch(0))
}

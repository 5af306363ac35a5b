//! What streams speak about: a view's changes, the tail, metrics, health.
//!
//! A view's topic is the same code for a first connection, a resumed one and a slow one: it knows the epoch the client is at,
//! and asks the hub for the sum of what came since. Only when the hub no longer knows, the client gets all rows again.

use super::App;
use super::entry::{Entry, EntryReader, passes};
use super::filter::Filter;
use super::stream::{Frame, Kind, NEVER, Topic};
use super::wire::RowWriter;
use super::{seed, status};
use crate::model::{Epoch, Row};
use crate::view::{Heard, Since, TailBatch, ViewInfo};
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::time::Duration;

/// Most rows of the tail in a frame.
const TAIL_ROWS_MAX: usize = 100;
const TAIL_EVERY: Duration = Duration::from_millis(200);
/// The seed's stream shows at most so many log entries per `TAIL_EVERY`: 50 a second.
const LOG_ROWS_MAX: usize = 10;

/// Snapshot, then changes, of one view.
pub struct ViewTopic {
    name: String,
    writer: RowWriter,
    filter: Option<Filter>,
    every: Duration,
    at: Option<Heard>,
    /// Resumed at an epoch that has not been checked yet.
    resumed: bool,
}

impl ViewTopic {
    pub fn new(
        info: &ViewInfo,
        filter: Option<Filter>,
        every: Duration,
        since: Option<Heard>,
    ) -> Self {
        let writer = RowWriter::new(&info.schema);
        ViewTopic {
            name: info.name.clone(),
            writer,
            filter,
            every,
            at: since,
            resumed: since.is_some(),
        }
    }

    fn passes(&self, row: &Row) -> bool {
        self.filter.as_ref().is_none_or(|it| it.matches(row))
    }

    fn head(&self, app: &App, epoch: Epoch) -> String {
        let mut text = format!(
            "{{\"view\":{},\"epoch\":{epoch},\"as_of\":\"{}\",\"generation\":{}",
            Json::from(self.name.as_str()),
            epoch.iso(),
            app.hub.generation()
        );
        if let Some(filter) = &self.filter {
            let _ = write!(text, ",\"where\":{}", Json::from(filter.text.as_str()));
        }
        text
    }

    fn all_rows(
        &mut self,
        app: &App,
        event: &'static str,
        reason: Option<&str>,
        out: &mut Vec<Frame>,
    ) {
        let Some(snapshot) = app.hub.snapshot(&self.name) else {
            return;
        };
        let rows = snapshot
            .rows
            .iter()
            .filter(|it| self.passes(&it.0))
            .map(|it| (&it.0, it.1));
        let mut data = self.head(app, snapshot.epoch);
        let _ = write!(
            data,
            ",\"columns\":{},\"rows\":{}",
            self.writer.columns(),
            self.writer.array(rows)
        );
        if let Some(reason) = reason {
            let _ = write!(data, ",\"reason\":{}", Json::from(reason));
        }
        data.push('}');
        self.at = Some(app.hub.heard(snapshot.epoch));
        out.push(Frame {
            event: Kind::Named(event),
            data,
        });
    }
}

impl Topic for ViewTopic {
    fn every(&self) -> Duration {
        self.every
    }

    fn is_behind(&self, epoch: Epoch) -> bool {
        self.resumed || self.at.is_none_or(|at| at.epoch < epoch)
    }

    fn speak(&mut self, app: &App, out: &mut Vec<Frame>) {
        self.resumed = false;
        let Some(at) = self.at else {
            return self.all_rows(app, "snapshot", None, out);
        };
        match app.hub.since_heard(&self.name, at) {
            None => {}
            Some(Since::TooOld) => {
                let reason = match at.generation == app.hub.generation() {
                    true => format!("changes since epoch {} are no longer kept", at.epoch),
                    false => format!("epoch {} is of an earlier run", at.epoch),
                };
                self.all_rows(app, "reset", Some(&reason), out);
            }
            Some(Since::Changes {
                epoch,
                changes,
                epochs,
            }) => {
                self.at = Some(app.hub.heard(epoch));
                let mut data = self.head(app, epoch);
                data.push_str(",\"changes\":[");
                let start = data.len();
                for (row, diff) in changes.iter().filter(|it| self.passes(&it.0)) {
                    if data.len() != start {
                        data.push(',');
                    }
                    let _ = write!(data, "{{\"diff\":{diff},\"row\":");
                    self.writer.write(row, &mut data);
                    data.push('}');
                }
                if data.len() == start {
                    return;
                }
                let _ = write!(data, "],\"conflated\":{epochs}}}");
                out.push(Frame {
                    event: Kind::Named("changes"),
                    data,
                });
            }
        }
    }

    fn heard(&self) -> Option<Epoch> {
        self.at.map(|it| it.epoch)
    }
}

/// The newest records, sampled evenly when there are too many to read.
pub struct TailTopic {
    /// The name under which it was asked for, told in every frame.
    topic: String,
    reader: EntryReader,
    filter: Option<Filter>,
    place: TailPlace,
    /// Nothing was said yet.
    silent: bool,
}

impl TailTopic {
    pub fn new(topic: &str, reader: EntryReader, filter: Option<Filter>) -> Self {
        TailTopic {
            topic: topic.to_owned(),
            reader,
            filter,
            place: TailPlace { number: 0 },
            silent: true,
        }
    }
}

impl Topic for TailTopic {
    fn every(&self) -> Duration {
        TAIL_EVERY
    }

    fn speak(&mut self, app: &App, out: &mut Vec<Frame>) {
        let first = self.silent;
        let news = self.place.news(app, &self.reader, self.filter.as_ref());
        // The first frame is there even if it is empty: it echoes the filter.
        if news.matched == 0 && news.unseen == 0 && !std::mem::take(&mut self.silent) {
            return;
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
            .map(|it| news.entry(&self.reader, *it).to_json_with_method())
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
        out.push(Frame {
            event: Kind::Named("tail"),
            data: frame.to_string(),
        });
    }
}

/// How far the tail has been read.
struct TailPlace {
    number: u64,
}

/// Records of the tail since a place.
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

impl TailPlace {
    fn news(&mut self, app: &App, reader: &EntryReader, filter: Option<&Filter>) -> News {
        let mut batches = app.hub.tail_after(self.number);
        self.number = batches.last().map_or(self.number, |it| it.number);
        batches.retain(|it| reader.takes(it));
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
}

impl News {
    fn entry(&self, reader: &EntryReader, place: (usize, usize)) -> Entry {
        reader.read(&self.batches[place.0].rows, place.1)
    }
}

/// At most `count` of them, evenly spread, in order.
fn sample<T: Copy>(all: &[T], count: usize) -> Vec<T> {
    match all.len() <= count {
        true => all.to_vec(),
        false => (0..count).map(|at| all[at * all.len() / count]).collect(),
    }
}

/// The event `metrics`.
pub struct MetricsTopic;

impl Topic for MetricsTopic {
    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn speak(&mut self, app: &App, out: &mut Vec<Frame>) {
        out.push(Frame {
            event: Kind::Named("metrics"),
            data: seed::figures_of(app).to_string(),
        });
    }
}

/// The event `pipeline`.
pub struct PipelineTopic;

impl Topic for PipelineTopic {
    fn every(&self) -> Duration {
        super::pipeline::SAMPLE_EVERY
    }
    fn speak(&mut self, app: &App, out: &mut Vec<Frame>) {
        out.push(Frame {
            event: Kind::Named("pipeline"),
            data: json!(super::pipeline::report(app)).to_string(),
        });
    }
}

/// The event `health`.
pub struct HealthTopic;

impl Topic for HealthTopic {
    fn every(&self) -> Duration {
        Duration::from_secs(2)
    }
    fn speak(&mut self, app: &App, out: &mut Vec<Frame>) {
        out.push(Frame {
            event: Kind::Named("health"),
            data: status::health(app).to_string(),
        });
    }
}

/// What the seed's page reads at `/events`: a greeting, then log entries, metrics, anomalies and pings, all unnamed.
pub fn of_events(app: &App) -> Vec<Box<dyn Topic>> {
    let mut topics: Vec<Box<dyn Topic>> = vec![Box::new(Hello)];
    if let Some(reader) = EntryReader::new(&app.dataflow) {
        let number = app.hub.tail_after(0).last().map_or(0, |it| it.number);
        topics.push(Box::new(LogTopic {
            reader,
            place: TailPlace { number },
            dropped: 0,
        }));
    }
    topics.push(Box::new(SeedMetrics));
    if let Some(info) = app.hub.view(seed::ANOMALIES) {
        topics.push(Box::new(AnomalyTopic {
            info,
            at: app.hub.epoch(),
        }));
    }
    topics.push(Box::new(Ping));
    topics
}

fn unnamed(data: &Json) -> Frame {
    Frame {
        event: Kind::Unnamed,
        data: data.to_string(),
    }
}

struct Hello;

impl Topic for Hello {
    fn every(&self) -> Duration {
        NEVER
    }
    fn speak(&mut self, _app: &App, out: &mut Vec<Frame>) {
        out.push(unnamed(
            &json!({"type": "connected", "message": "Connected to the Tidelake stream"}),
        ));
    }
}

struct SeedMetrics;

impl Topic for SeedMetrics {
    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }
    fn speak(&mut self, app: &App, out: &mut Vec<Frame>) {
        out.push(unnamed(
            &json!({"type": "metrics", "data": seed::metrics_of(app)}),
        ));
    }
}

struct Ping;

impl Topic for Ping {
    fn every(&self) -> Duration {
        Duration::from_secs(20)
    }
    fn delay(&self) -> Duration {
        self.every()
    }
    fn speak(&mut self, _app: &App, out: &mut Vec<Frame>) {
        out.push(Frame {
            event: Kind::Comment,
            data: "ping".to_owned(),
        });
    }
}

/// Log entries without a type; the first after a gap says how many were left out.
struct LogTopic {
    reader: EntryReader,
    place: TailPlace,
    dropped: u64,
}

impl Topic for LogTopic {
    fn every(&self) -> Duration {
        TAIL_EVERY
    }
    fn speak(&mut self, app: &App, out: &mut Vec<Frame>) {
        let news = self.place.news(app, &self.reader, None);
        let shown = sample(&news.places, LOG_ROWS_MAX);
        self.dropped += news.matched.saturating_sub(shown.len() as u64);
        for place in shown {
            let mut entry = news.entry(&self.reader, place).to_json();
            if let Some(members) = entry.as_object_mut().filter(|_| 0 < self.dropped) {
                members.insert(
                    "dropped".to_owned(),
                    json!(std::mem::take(&mut self.dropped)),
                );
            }
            out.push(unnamed(&entry));
        }
    }
}

/// Anomalies as they appear or change.
struct AnomalyTopic {
    info: ViewInfo,
    at: Epoch,
}

impl Topic for AnomalyTopic {
    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn is_behind(&self, epoch: Epoch) -> bool {
        self.at < epoch
    }
    fn speak(&mut self, app: &App, out: &mut Vec<Frame>) {
        match app.hub.since(&self.info.name, self.at) {
            Some(Since::Changes { epoch, changes, .. }) => {
                self.at = epoch;
                for (row, _) in changes.iter().filter(|it| 0 < it.1) {
                    out.push(unnamed(&json!({"type": "anomaly", "data": seed::anomaly_of(&self.info.schema, row)})));
                }
            }
            _ => self.at = app.hub.epoch(),
        }
    }
}

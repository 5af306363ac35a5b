//! A Kafka topic: one client per worker, partitions assigned by number, never by consumer group.
//!
//! Offsets are ours: they lie in the lake's commits, are given to the client with each assignment, and nothing is ever stored in
//! the broker, apart from the report to a group that may be asked for (`report`). What the broker may do to us, and what we do then:
//!
//! ```text
//! away, at the start or later   said in the status; windows wait for it; read on where we were when it is back
//! topic missing                 on_topic_missing: wait for it, or make it
//! partitions added              found within seconds, read from their start
//! records expired unread        on_offset_gap: stop, or note the gap and go on with the oldest
//! topic recreated               on_topic_recreated: stop, or note it and read the new one from its start
//! transactions aborted          not seen: only committed records are read
//! ```
//!
//! A noted gap is a row among the dead letters, committed with the offset it leads to. Not here: decoding, and any opinion on records.

mod again;
mod ask;
mod cause;
mod client;
mod create;
mod inbox;
mod native;
pub mod properties;
mod report;
mod start;
#[cfg(test)]
mod tests;
mod token;
mod topic_id;

pub use again::{ReadAgain, read_again};
pub use ask::ask;
pub use cause::Cause;
pub use create::create_topic;
pub use token::{WithToken, start as start_client};

use super::decode::RawRecords;
use super::{Chunk, Complaint, Error, Gap, LookAgain, SharedStatus};
use crate::model::stated::{StatedOption, is_option, names_listed, option};
use crate::model::{Offsets, Partition, Position, Readers, Stamps, wall_ms};
use client::{Client, connect};
use crossbeam_channel::Sender;
use inbox::{Event, Inbox, Payload};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as Start, TopicPartitionList};
use report::Reports;
use start::{Decision, Missing, Numbering, OnLoss, Policy, Seen, StartAt, decide};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use token::Issuer;

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// Records of one chunk.
const CHUNK_RECORDS: usize = 8192;
/// A chunk is handed over at the latest after this time.
const CHUNK_AGE: Duration = Duration::from_millis(20);
/// How long a batch may take to fill.
const BATCH_TIMEOUT: Duration = Duration::from_millis(5);
/// How often the topic is asked about: whether it is the same, and has new partitions.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same while nothing can be read.
const LOOK_EVERY_WAITING: Duration = Duration::from_millis(500);
/// How long a complaint of the client is told after it was last heard.
const TROUBLE_TOLD: Duration = Duration::from_secs(10);
/// Partitions of a topic that is made.
const PARTITIONS_DEFAULT: usize = 3;
const PARTITIONS: std::ops::RangeInclusive<usize> = 1..=1024;
/// How long one question to the broker may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// What begins the name of an option that is the client's.
const CLIENT_PREFIX: &str = "kafka.";

/// The options of a source that reads a topic.
pub const OPTIONS: [StatedOption; 12] = [
    option("connector", "`kafka`", "", "Reads a topic of Kafka."),
    option("brokers", "`host:port, …`", "", "Brokers to ask first."),
    option("topic", "a name", "", "The topic."),
    option(
        "group",
        "a name",
        "none",
        "A consumer group that is told how far the commits of the lake have come. It is a report for operators, and never read back.",
    ),
    option(
        "start",
        "`earliest`, `latest`",
        "`earliest`",
        "Where reading begins in a lake that has read nothing of the topic yet.",
    ),
    option(
        "on_offset_gap",
        "`stop`, `earliest`",
        "`stop`",
        "What happens if records expired before they were read: stop the partition, or go on with the oldest record there is and leave a row in `dead_letters` that names the missing offsets.",
    ),
    option(
        "on_topic_recreated",
        "`stop`, `earliest`",
        "`stop`",
        "The same for a topic that was deleted and created again.",
    ),
    option(
        "on_topic_missing",
        "`wait`, `create`",
        "`wait`",
        "What happens if there is no such topic.",
    ),
    option(
        "topic_partitions",
        "1 to 1024",
        "`3`",
        "Partitions of a topic that `on_topic_missing = 'create'` makes.",
    ),
    option(
        "timezone",
        "an IANA name such as `Europe/Berlin`",
        "`UTC`",
        "The zone of times that state none.",
    ),
    option(
        "client_config",
        "a file",
        "none",
        "Settings of the client, one `NAME=VALUE` per line as librdkafka names them, such as `sasl.password`: so no secret stands in SQL. Options that begin with `kafka.` come before it.",
    ),
    option(
        "kafka.<client property>",
        "as librdkafka takes it",
        "that of librdkafka",
        "Any property of the client, for example `\"kafka.security.protocol\" = 'SASL_SSL'`.",
    ),
];

/// A topic and how to reach it.
#[derive(Clone, Debug)]
pub struct Topic {
    pub source: String,
    pub brokers: String,
    pub topic: String,
    /// A consumer group that is told how far the lake's commits have come.
    pub group: Option<String>,
    policy: Policy,
    /// With how many partitions a topic that does not exist is made, if it is.
    create: Option<usize>,
    /// Settings of the client as librdkafka names them, such as `security.protocol`; of those of one name the last counts.
    pub properties: Vec<(String, String)>,
    /// Whether records are versions of rows, so that a message without a value removes the row of its key.
    pub has_key: bool,
}

impl Topic {
    /// From the options of `CREATE SOURCE`: `brokers`, `topic`, `group`, `start`, `on_offset_gap`, `on_topic_recreated`,
    /// `on_topic_missing`, `topic_partitions`, `client_config` and `kafka.<librdkafka property>`.
    ///
    /// # Errors
    /// If one is missing or unknown, or the file that `client_config` names is not understood.
    pub fn from_options(source: &str, options: &[(String, String)]) -> Result<Self, Error> {
        let topic = Self::parsed(source, options)?;
        topic.complete()?;
        Ok(topic)
    }

    /// Whether options can be what they are meant to be, before anything runs. A source that does not say `connector = 'kafka'` may
    /// also be read from files alone, and then needs neither brokers nor a topic.
    ///
    /// # Errors
    /// At an option or value that is unknown, or one that is missing.
    pub fn check_options(source: &str, options: &[(String, String)]) -> Result<(), Error> {
        let topic = Self::parsed(source, options)?;
        if options.iter().any(|it| it.0 == "connector") {
            topic.complete()?;
        }
        topic.check_client_properties()
    }

    fn complete(&self) -> Result<(), Error> {
        for (name, value) in [("brokers", &self.brokers), ("topic", &self.topic)] {
            if value.is_empty() {
                return Err(Error::Option {
                    name: self.source.clone(),
                    reason: format!("option '{name}' is missing"),
                });
            }
        }
        Ok(())
    }

    fn parsed(source: &str, options: &[(String, String)]) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Option {
            name: source.to_owned(),
            reason,
        };
        let mut topic = Topic {
            source: source.to_owned(),
            brokers: String::new(),
            topic: String::new(),
            group: None,
            policy: Policy {
                start: StartAt::Earliest,
                on_offset_gap: OnLoss::Stop,
                on_topic_recreated: OnLoss::Stop,
            },
            create: None,
            properties: Vec::new(),
            has_key: false,
        };
        let mut properties = Vec::new();
        let (mut creates, mut partitions) = (false, PARTITIONS_DEFAULT);
        let on_loss = |key: &str, value: &str| match value {
            "stop" => Ok(OnLoss::Stop),
            "earliest" => Ok(OnLoss::Earliest),
            other => Err(wrong(format!(
                "{key} '{other}' is unknown; use 'stop' or 'earliest'"
            ))),
        };
        for (key, value) in options {
            if let Some(property) = key.strip_prefix(CLIENT_PREFIX) {
                properties.push((property.to_owned(), value.clone()));
                continue;
            }
            if !is_option(&OPTIONS, key) {
                return Err(wrong(format!(
                    "option '{key}' is unknown; a Kafka source takes {}",
                    names_listed(&OPTIONS)
                )));
            }
            match (key.as_str(), value.as_str()) {
                ("connector", "kafka") => {}
                ("connector", other) => {
                    return Err(wrong(format!(
                        "connector '{other}' is unknown; use 'kafka', 'files', 'delta' or 'http'"
                    )));
                }
                // How records are read is the decoder's.
                ("timezone", _) => {}
                ("brokers", _) => topic.brokers.clone_from(value),
                ("topic", _) => topic.topic.clone_from(value),
                ("group", _) => topic.group = Some(value.clone()).filter(|it| !it.is_empty()),
                ("start", "earliest") => topic.policy.start = StartAt::Earliest,
                ("start", "latest") => topic.policy.start = StartAt::Latest,
                ("start", other) => {
                    return Err(wrong(format!(
                        "start '{other}' is unknown; use 'earliest' or 'latest'"
                    )));
                }
                ("on_offset_gap", _) => topic.policy.on_offset_gap = on_loss(key, value)?,
                ("on_topic_recreated", _) => topic.policy.on_topic_recreated = on_loss(key, value)?,
                ("on_topic_missing", "wait") => creates = false,
                ("on_topic_missing", "create") => creates = true,
                ("on_topic_missing", other) => {
                    return Err(wrong(format!(
                        "on_topic_missing '{other}' is unknown; use 'wait' or 'create'"
                    )));
                }
                ("client_config", "") => {}
                ("client_config", _) => {
                    topic.properties = properties::read(Path::new(value)).map_err(wrong)?;
                }
                ("topic_partitions", _) => match value.parse() {
                    Ok(number) if PARTITIONS.contains(&number) => partitions = number,
                    Ok(_) | Err(_) => {
                        return Err(wrong(format!(
                            "topic_partitions '{value}' is not a number from {} to {}",
                            PARTITIONS.start(),
                            PARTITIONS.end()
                        )));
                    }
                },
                (other, _) => unreachable!("option {other} is in the list, and read nowhere"),
            }
        }
        topic.create = creates.then_some(partitions);
        topic.properties.append(&mut properties);
        Ok(topic)
    }

    /// Whether the Kafka client knows the properties that are set for it, and can take their values.
    fn check_client_properties(&self) -> Result<(), Error> {
        let mut config = rdkafka::config::ClientConfig::new();
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        let known = Issuer::take_from(&mut config).and_then(|_| config.create_native_config());
        match known {
            Ok(_) => Ok(()),
            Err(rdkafka::error::KafkaError::ClientConfig(_, reason, key, _)) => {
                Err(Error::Option {
                    name: self.source.clone(),
                    reason: format!("kafka.{key}: {reason}"),
                })
            }
            Err(other) => Err(Error::Client {
                name: self.source.clone(),
                source: other,
            }),
        }
    }
}

/// What a reader thread needs.
pub struct Reader {
    pub topic: Topic,
    pub worker: usize,
    pub workers: usize,
    pub stored: Offsets,
    pub status: SharedStatus,
    pub look_again: LookAgain,
    pub live: Arc<Readers>,
    pub stop: Arc<AtomicBool>,
}

/// A reader with its client, which connects by itself, now or when it can.
pub struct Opened {
    reader: Reader,
    consumer: WithToken<Client>,
    other_topic: Arc<AtomicBool>,
    cause: Cause,
}

impl Reader {
    /// Makes the client.
    ///
    /// # Errors
    /// If the settings are wrong.
    pub fn open(self) -> Result<Opened, Error> {
        let other_topic = Arc::new(AtomicBool::new(false));
        let cause = Cause::default();
        let told = (self.status.clone(), Arc::clone(&other_topic), cause.clone());
        let consumer = connect(&self.topic, told.0, told.1, told.2)?;
        Ok(Opened {
            reader: self,
            consumer,
            other_topic,
            cause,
        })
    }
}

impl Opened {
    /// Reads until told to stop or nobody listens.
    pub fn run(self, chunks: &Sender<Chunk>) {
        let Opened {
            reader,
            consumer,
            other_topic,
            cause,
        } = self;
        let stored: BTreeMap<i32, Position> = reader
            .stored
            .iter()
            .map(|(number, position)| (number.0, position.clone()))
            .collect();
        let mut reading = Reading {
            begun: !stored.is_empty(),
            places: stored,
            reader,
            chunks: chunks.clone(),
            open: BTreeMap::new(),
            stopped: BTreeMap::new(),
            looked: None,
            waiting: true,
            complaint: None,
            away: false,
            looks: 0,
            other_topic,
            cause,
        };
        // The one thing that ends it from inside: the worker is gone, and has said why.
        let _ = reading.run(&consumer);
    }
}

/// Nobody takes chunks any more.
struct NobodyListens;

/// A partition being read.
struct Open {
    numbering: Numbering,
    /// Our offset after the newest record taken from the client, handed over or not.
    next: i64,
    /// Records taken and not yet handed over, and their times.
    records: RawRecords,
    stamps: Option<Stamps>,
    since: Instant,
    /// Whether the last chunk said that this is the end.
    told_end: bool,
}

/// The reader at work.
struct Reading {
    reader: Reader,
    chunks: Sender<Chunk>,
    open: BTreeMap<i32, Open>,
    /// Where partitions that are not open go on.
    places: BTreeMap<i32, Position>,
    /// Partitions that are not read, and why.
    stopped: BTreeMap<i32, String>,
    /// The topic is past its start: what appears now is read from its beginning.
    begun: bool,
    looked: Option<Instant>,
    /// There is nothing to read from yet, or no more.
    waiting: bool,
    /// What the client complained of last, and when; it repeats itself as long as that is so.
    complaint: Option<(String, Instant)>,
    /// The brokers cannot be reached.
    away: bool,
    /// How often it was asked to look again.
    looks: u64,
    /// Set by the client when the topic was replaced, before it hands out what is in the new one.
    other_topic: Arc<AtomicBool>,
    /// Why the brokers cannot be reached.
    cause: Cause,
}

impl Reading {
    fn run(&mut self, consumer: &Client) -> Result<(), NobodyListens> {
        let Some(mut inbox) = Inbox::of(consumer) else {
            let text = "the Kafka client has no queues".to_owned();
            self.tell(false, Some((Complaint::Reading, text)));
            return Ok(());
        };
        let topic = &self.reader.topic;
        let mut reports = topic
            .group
            .as_ref()
            .and_then(|_| Reports::of(consumer, &topic.topic));
        let mut is_idle = false;
        while !self.reader.stop.load(Ordering::Acquire) {
            let asked = self.reader.look_again.asked();
            if self.looks < asked {
                self.looks = asked;
                // The client tells the end of a partition once, so what is at its end is assigned anew.
                self.let_go(consumer, |it| it.told_end)?;
                self.looked = None;
            }
            let look_every = if self.waiting {
                LOOK_EVERY_WAITING
            } else {
                LOOK_EVERY
            };
            if self.looked.is_none_or(|it| look_every < it.elapsed()) {
                self.look(consumer)?;
                self.looked = Some(Instant::now());
                if let (Some(reports), false) = (&mut reports, self.waiting) {
                    self.report(reports);
                }
            }
            // The client waits for all of it unless the batch is full.
            let timeout = match is_idle {
                true => self.reader.live.pause(wall_ms(), BATCH_TIMEOUT),
                false => BATCH_TIMEOUT,
            };
            let mut batch = inbox.take(timeout);
            is_idle = batch.is_empty();
            // Records of the new topic may be in it; what is in it of the old one is gone with that.
            if self.other_topic.swap(false, Ordering::AcqRel) {
                drop(batch);
                self.decide_anew(consumer)?;
                continue;
            }
            for event in batch.events() {
                match event {
                    Event::Record {
                        partition,
                        offset,
                        time_ms,
                        payload,
                    } => self.take(partition, offset, time_ms, &payload)?,
                    Event::End(partition) => self.hand_over(partition, true)?,
                    Event::Failed(error) => self.trouble(consumer, &error)?,
                }
            }
            drop(batch);
            self.hand_over_old()?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        number: i32,
        offset: i64,
        time_ms: Option<u64>,
        payload: &Payload<'_>,
    ) -> Result<(), NobodyListens> {
        let Some(open) = self.open.get_mut(&number) else {
            return Ok(());
        };
        let offset = offset + open.numbering.base;
        if offset < open.next {
            return Ok(());
        }
        let records = &mut open.records;
        if records.ends.is_empty() {
            open.since = Instant::now();
        }
        payload.push_to(records, offset, self.reader.topic.has_key);
        open.stamps = Stamps::of_both(open.stamps, time_ms.map(Stamps::at));
        open.next = offset + 1;
        if CHUNK_BYTES <= records.data.len() || CHUNK_RECORDS <= records.ends.len() {
            return self.hand_over(number, false);
        }
        Ok(())
    }

    fn hand_over_old(&mut self) -> Result<(), NobodyListens> {
        let old: Vec<i32> = self
            .open
            .iter()
            .filter(|(_, it)| !it.records.ends.is_empty() && CHUNK_AGE < it.since.elapsed())
            .map(|it| *it.0)
            .collect();
        old.into_iter().try_for_each(|it| self.hand_over(it, false))
    }

    /// Hands over what was taken of a partition, and that its end was reached.
    fn hand_over(&mut self, number: i32, at_end: bool) -> Result<(), NobodyListens> {
        let Some(open) = self.open.get_mut(&number) else {
            return Ok(());
        };
        let records = std::mem::replace(&mut open.records, no_records(number));
        let stamps = open.stamps.take();
        let next = open.numbering.position(open.next);
        open.told_end = at_end;
        self.reader
            .status
            .advance(Partition(number), &next, at_end.then_some(next.offset.0));
        self.send(Chunk {
            records,
            next,
            at_end,
            looks: self.looks,
            gap: None,
            stamps,
        })
    }

    fn send(&self, chunk: Chunk) -> Result<(), NobodyListens> {
        self.chunks.send(chunk).map_err(|_| NobodyListens)
    }

    /// The brokers are away. Until they are back no partition is known to be at its end: records may wait there, and windows wait for them.
    fn lose(&mut self, reason: &KafkaError) -> Result<(), NobodyListens> {
        self.away = true;
        self.waiting = true;
        let topic = &self.reader.topic;
        let text = match reason.rdkafka_error_code() {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => format!(
                "topic {} may not be read: the brokers refuse it to this user (authorization failed); give it READ and DESCRIBE",
                topic.topic
            ),
            _ => format!(
                "{}; trying again",
                self.cause.explain(&topic.brokers, reason)
            ),
        };
        self.tell(false, Some((Complaint::Away, text)));
        let ended: Vec<i32> = self
            .open
            .iter()
            .filter(|it| it.1.told_end)
            .map(|it| *it.0)
            .collect();
        ended
            .into_iter()
            .try_for_each(|it| self.hand_over(it, false))
    }

    /// Asks about the topic: takes new partitions, lets go of what is no longer what it was.
    fn look(&mut self, consumer: &Client) -> Result<(), NobodyListens> {
        let name = self.reader.topic.topic.clone();
        let numbers = match partitions_of(consumer, &name) {
            Ok(numbers) => numbers,
            Err(error) if is_missing(&error) => {
                self.begun = true;
                self.waiting = true;
                self.tell(true, Some((Complaint::Missing, self.make_topic())));
                return self.let_go(consumer, |_| true);
            }
            Err(error) => return self.lose(&error),
        };
        let topic_id = topic_id::of(consumer.client(), &name, ASK_TIMEOUT).unwrap_or_default();
        if topic_id.is_empty() && self.knows_id() {
            let text = format!("topic {name} does not tell its id; asking again");
            self.tell(true, Some((Complaint::Id, text)));
            return Ok(());
        }
        // After an outage everything is assigned again, so that the client says anew what is at its end.
        let was_away = self.away;
        self.let_go(consumer, |it| was_away || it.numbering.topic_id != topic_id)?;
        let (worker, workers) = (self.reader.worker as i32, self.reader.workers as i32);
        let mut starting = Vec::new();
        for number in numbers.into_iter().filter(|it| it % workers == worker) {
            if self.open.contains_key(&number) {
                continue;
            }
            match consumer.fetch_watermarks(&name, number, ASK_TIMEOUT) {
                Ok((low, high)) => {
                    let seen = Seen {
                        topic_id: topic_id.clone(),
                        low,
                        high,
                    };
                    starting.extend(self.open_partition(number, &seen)?);
                }
                Err(error) => {
                    self.assign(consumer, &starting);
                    return self.lose(&error);
                }
            }
        }
        self.assign(consumer, &starting);
        self.begun = true;
        self.away = false;
        self.cause.forget();
        self.waiting = false;
        self.complaint = self
            .complaint
            .take()
            .filter(|it| it.1.elapsed() < TROUBLE_TOLD);
        let complaint = self.complaint.as_ref();
        self.tell(true, complaint.map(|it| (Complaint::Reading, it.0.clone())));
        Ok(())
    }

    /// Tells the group what the lake has of the partitions read here.
    fn report(&mut self, reports: &mut Reports<'_>) {
        let committed = self.reader.status.committed();
        let offsets = self.open.iter().filter_map(|(number, open)| {
            let position = committed.get(Partition(*number))?;
            let is_here = Numbering::parse(&position.origin) == open.numbering;
            is_here.then(|| (*number, position.offset.0 - open.numbering.base))
        });
        if let Err(error) = reports.send(offsets.collect()) {
            let group = self.reader.topic.group.as_deref().unwrap_or_default();
            let text = format!("group {group} does not take the report of offsets: {error}");
            self.tell(true, Some((Complaint::Reading, text.clone())));
            self.complaint = Some((text, Instant::now()));
        }
    }

    /// Whether the id of the topic was ever told.
    fn knows_id(&self) -> bool {
        let has_id = |it: &Numbering| !it.topic_id.is_empty();
        self.open.values().any(|it| has_id(&it.numbering))
            || self
                .places
                .values()
                .any(|it| has_id(&Numbering::parse(&it.origin)))
    }

    /// Makes the topic, if that was asked for, and says what is awaited. One reader of the cluster does it.
    fn make_topic(&self) -> String {
        let topic = &self.reader.topic;
        let name = &topic.topic;
        let Some(partitions) = topic.create else {
            return format!(
                "topic {name} does not exist; waiting for it (on_topic_missing = 'create' makes it)"
            );
        };
        if self.reader.worker != 0 {
            return format!("topic {name} does not exist yet; worker 0 makes it");
        }
        match create_topic(&client::config(topic), name, partitions) {
            Ok(()) => {
                tracing::info!("topic {name} did not exist; made it with {partitions} partitions");
                format!("topic {name} was made; waiting for it")
            }
            Err(error) => format!("topic {name} does not exist and could not be made: {error}"),
        }
    }

    /// Tells the status how this reader is doing, and the log, but not again and again.
    fn tell(&self, connected: bool, problem: Option<(Complaint, String)>) {
        let (status, source) = (&self.reader.status, &self.reader.topic.source);
        let text = problem.as_ref().map(|it| it.1.clone());
        status.update(|it| {
            it.tell(self.reader.worker, connected, text);
        });
        match problem {
            Some((trouble, text)) => {
                if let Some(line) = status.seen(trouble).line(&text) {
                    tracing::warn!(source = %source, "{line}");
                }
            }
            None => {
                if let Some(lasted) = status.over() {
                    tracing::info!(source = %source, "reading goes on after {} s", lasted.as_secs());
                }
            }
        }
    }

    /// Opens a partition, or says why it stays closed. Returns where Kafka is to read.
    fn open_partition(
        &mut self,
        number: i32,
        seen: &Seen,
    ) -> Result<Option<(i32, i64)>, NobodyListens> {
        let mut policy = self.reader.topic.policy;
        if self.begun {
            policy.start = StartAt::Earliest;
        }
        let partition = Partition(number);
        let name = format!("{}/{number}", self.reader.topic.topic);
        let stored = self.places.get(&number);
        match decide(stored, seen, &policy) {
            Decision::Stop(reason) => {
                let next = stored.cloned().unwrap_or_default();
                self.reader.status.update(|it| {
                    let known = it.partitions.entry(number).or_default();
                    known.name.clone_from(&name);
                    known.offset = next.offset.0;
                    known.problem = Some(reason.clone());
                });
                if self.stopped.get(&number) == Some(&reason) {
                    return Ok(None);
                }
                tracing::error!(source = %self.reader.topic.source, partition = number, "{name}: {reason}");
                self.stopped.insert(number, reason);
                // Known but not read: its windows stay open.
                self.send(Chunk::empty(partition, next, None))?;
                Ok(None)
            }
            Decision::Read {
                numbering,
                next,
                gap,
            } => {
                self.stopped.remove(&number);
                self.places.remove(&number);
                let gap = gap.map(|it| self.note(number, it));
                self.reader.status.update(|it| {
                    let known = it.partitions.entry(number).or_default();
                    known.name = name;
                    known.problem = None;
                    known.base = numbering.base;
                });
                let end = seen.high + numbering.base;
                let position = numbering.position(next);
                self.reader.status.advance(partition, &position, Some(end));
                let start = next - numbering.base;
                self.open.insert(
                    number,
                    Open {
                        numbering,
                        next,
                        records: no_records(number),
                        stamps: None,
                        since: Instant::now(),
                        told_end: false,
                    },
                );
                // Known but not yet read: until its end was seen, it holds the watermark back.
                self.send(Chunk::empty(partition, position, gap))?;
                Ok(Some((number, start)))
            }
        }
    }

    fn note(&self, number: i32, missing: Missing) -> Gap {
        let gap = Gap {
            partition: number,
            from: missing.from,
            to: missing.to,
            reason: missing.reason,
            noticed_ms: wall_ms(),
        };
        tracing::error!(
            source = %self.reader.topic.source, partition = number, from = gap.from, to = gap.to,
            "partition {number}: {}", gap.reason
        );
        self.reader.status.note(gap.clone());
        gap
    }

    /// Closes partitions, after handing over what was taken of them; they go on there when they are opened again.
    fn let_go(
        &mut self,
        consumer: &Client,
        which: impl Fn(&Open) -> bool,
    ) -> Result<(), NobodyListens> {
        let numbers: Vec<i32> = self
            .open
            .iter()
            .filter(|it| which(it.1))
            .map(|it| *it.0)
            .collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for number in &numbers {
            list.add_partition(&self.reader.topic.topic, *number);
            self.hand_over(*number, false)?;
            if let Some(open) = self.open.remove(number) {
                self.places
                    .insert(*number, open.numbering.position(open.next));
            }
        }
        if let Err(error) = consumer.incremental_unassign(&list) {
            tracing::error!(%error, "partitions could not be given back to the client");
        }
        Ok(())
    }

    fn assign(&self, consumer: &Client, starting: &[(i32, i64)]) {
        if starting.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        let topic = &self.reader.topic.topic;
        let assigned = starting
            .iter()
            .try_for_each(|it| list.add_partition_offset(topic, it.0, Start::Offset(it.1)))
            .and_then(|()| consumer.incremental_assign(&list));
        // Only a fault of ours can make this fail: the list was just made from what the broker has.
        if let Err(error) = assigned {
            tracing::error!(%error, "partitions could not be assigned");
        }
    }

    fn trouble(&mut self, consumer: &Client, error: &KafkaError) -> Result<(), NobodyListens> {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(
                Code::AllBrokersDown
                | Code::Authentication
                | Code::SSL
                | Code::TopicAuthorizationFailed,
            ) => self.lose(error),
            // One connection of several, and the client tries again; that all are lost is said apart.
            Some(Code::BrokerTransportFailure) => Ok(()),
            Some(Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::UnknownPartition) => {
                self.decide_anew(consumer)
            }
            _ if is_missing(error) => self.decide_anew(consumer),
            _ => {
                let text = format!("the Kafka client cannot read on: {error}");
                self.tell(!self.away, Some((Complaint::Reading, text.clone())));
                self.complaint = Some((text, Instant::now()));
                Ok(())
            }
        }
    }

    /// Something is not where it was. Which partition it is about is not told, so each is looked at.
    fn decide_anew(&mut self, consumer: &Client) -> Result<(), NobodyListens> {
        self.looked = None;
        self.let_go(consumer, |_| true)
    }
}

/// The numbers of a topic's partitions.
fn partitions_of(consumer: &Client, topic: &str) -> Result<Vec<i32>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), ASK_TIMEOUT)?;
    let topics = metadata.topics().iter();
    let Some(found) = topics.into_iter().find(|it| it.name() == topic) else {
        return Err(KafkaError::MetadataFetch(
            RDKafkaErrorCode::UnknownTopicOrPartition,
        ));
    };
    match found.error() {
        Some(error) => Err(KafkaError::MetadataFetch(error.into())),
        None => Ok(found.partitions().iter().map(|it| it.id()).collect()),
    }
}

fn is_missing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownTopicId)
    )
}

fn no_records(number: i32) -> RawRecords {
    RawRecords::empty(Partition(number))
}

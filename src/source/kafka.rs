//! A Kafka topic: one client per worker, partitions assigned by number, never by consumer group.
//!
//! Offsets are ours: they lie in the lake's commits, are given to `assign`, and nothing is ever stored in the broker. A broker that is
//! away is said in the status and waited for; the client reconnects by itself.

mod again;

use super::decode::RawRecords;
use super::{Chunk, Error, SharedStatus};
use crate::model::{Offset, Offsets, Partition, Position};
use crossbeam_channel::Sender;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset as Start, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use again::{ReadAgain, read_again};

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// Records of one chunk.
const CHUNK_RECORDS: usize = 8192;
/// A chunk is handed over at the latest after this time.
const CHUNK_AGE: Duration = Duration::from_millis(20);
/// How often the topic is asked for new partitions.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long one question to the broker may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a partition without stored offset starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    Earliest,
    Latest,
}

/// A topic and how to reach it.
#[derive(Clone, Debug)]
pub struct Topic {
    pub source: String,
    pub brokers: String,
    pub topic: String,
    pub start: StartAt,
    /// Settings of the client as librdkafka names them, such as `security.protocol`.
    pub properties: Vec<(String, String)>,
}

impl Topic {
    /// From the options of `CREATE SOURCE`: `brokers`, `topic`, `start` and `kafka.<librdkafka property>`.
    ///
    /// # Errors
    /// If one is missing or unknown.
    pub fn from_options(source: &str, options: &[(String, String)]) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Option {
            name: source.to_owned(),
            reason,
        };
        let mut topic = Topic {
            source: source.to_owned(),
            brokers: String::new(),
            topic: String::new(),
            start: StartAt::Earliest,
            properties: Vec::new(),
        };
        for (key, value) in options {
            match (key.as_str(), value.as_str()) {
                ("connector", "kafka") => {}
                ("connector", other) => {
                    return Err(wrong(format!(
                        "connector '{other}' is unknown; use 'kafka', or --input for files"
                    )));
                }
                ("brokers", _) => topic.brokers.clone_from(value),
                ("topic", _) => topic.topic.clone_from(value),
                ("start", "earliest") => topic.start = StartAt::Earliest,
                ("start", "latest") => topic.start = StartAt::Latest,
                ("start", other) => {
                    return Err(wrong(format!(
                        "start '{other}' is unknown; use 'earliest' or 'latest'"
                    )));
                }
                (other, _) => match other.strip_prefix("kafka.") {
                    Some(property) => topic.properties.push((property.to_owned(), value.clone())),
                    None => {
                        return Err(wrong(format!(
                            "option '{other}' is unknown; a Kafka source takes connector, brokers, topic, start and kafka.<client property>"
                        )));
                    }
                },
            }
        }
        for (name, value) in [("brokers", &topic.brokers), ("topic", &topic.topic)] {
            if value.is_empty() {
                return Err(wrong(format!("option '{name}' is missing")));
            }
        }
        Ok(topic)
    }

    /// The client's settings; the caller's own come last.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "tidelake")
            .set_log_level(RDKafkaLogLevel::Error);
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
    }

    fn consumer(&self, context: Context) -> Result<BaseConsumer<Context>, Error> {
        let mut config = self.client();
        for (key, value) in [
            ("group.id", "tidelake-never-committed"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("statistics.interval.ms", "1000"),
            ("queued.max.messages.kbytes", "32768"),
            ("queued.min.messages", "50000"),
            ("fetch.wait.max.ms", "50"),
            ("fetch.message.max.bytes", "4194304"),
        ] {
            if !self.properties.iter().any(|it| it.0 == key) {
                config.set(key, value);
            }
        }
        config
            .create_with_context(context)
            .map_err(|source| Error::Client {
                name: self.source.clone(),
                source,
            })
    }
}

/// What the client tells by itself: statistics and that brokers are away.
struct Context {
    status: SharedStatus,
    topic: String,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else {
            return;
        };
        self.status.update(|it| {
            for (number, partition) in &topic.partitions {
                if 0 <= partition.hi_offset
                    && let Some(known) = it.partitions.get_mut(number)
                {
                    known.end_offset = Some(partition.hi_offset);
                }
            }
        });
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.status.update(|it| {
            let away = matches!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve)
            );
            if away && it.connected {
                tracing::warn!(topic = %self.topic, reason, "the Kafka brokers cannot be reached; waiting for them");
            }
            if away {
                it.connected = false;
            }
            it.problem = Some(reason.to_owned());
        });
    }
}

impl ConsumerContext for Context {}

/// What a reader thread needs.
pub struct Reader {
    pub topic: Topic,
    pub worker: usize,
    pub workers: usize,
    pub stored: Offsets,
    pub status: SharedStatus,
    pub stop: Arc<AtomicBool>,
}

/// Records of one partition on their way.
struct Pending {
    records: RawRecords,
    next: i64,
    since: Instant,
}

impl Reader {
    /// Reads until told to stop or nobody listens.
    ///
    /// # Errors
    /// If the client cannot be made from the settings.
    pub fn run(self, chunks: &Sender<Chunk>) -> Result<(), Error> {
        let context = Context {
            status: self.status.clone(),
            topic: self.topic.topic.clone(),
        };
        let consumer = self.topic.consumer(context)?;
        let mut assigned: BTreeMap<i32, i64> = BTreeMap::new();
        let mut pending: BTreeMap<i32, Pending> = BTreeMap::new();
        let mut looked: Option<Instant> = None;
        while !self.stop.load(Ordering::Acquire) {
            let look_every = if assigned.is_empty() {
                Duration::from_millis(500)
            } else {
                LOOK_EVERY
            };
            if looked.is_none_or(|it| look_every < it.elapsed()) {
                looked = Some(Instant::now());
                self.look(&consumer, &mut assigned, chunks);
            }
            match consumer.poll(Duration::from_millis(5)) {
                None => {}
                Some(Ok(message)) => {
                    let number = message.partition();
                    let entry = pending.entry(number).or_insert_with(|| Pending {
                        records: RawRecords {
                            partition: Partition(number),
                            data: Vec::with_capacity(CHUNK_BYTES / 4),
                            ends: Vec::new(),
                            offsets: Vec::new(),
                        },
                        next: 0,
                        since: Instant::now(),
                    });
                    entry
                        .records
                        .data
                        .extend_from_slice(message.payload().unwrap_or_default());
                    entry.records.ends.push(entry.records.data.len() as u32);
                    entry.records.offsets.push(message.offset());
                    entry.next = message.offset() + 1;
                    let full = CHUNK_BYTES <= entry.records.data.len()
                        || CHUNK_RECORDS <= entry.records.ends.len();
                    if full && !self.hand_over(&mut pending, &mut assigned, number, false, chunks) {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    let going_on =
                        self.hand_over(&mut pending, &mut assigned, number, true, chunks);
                    if !going_on {
                        return Ok(());
                    }
                }
                Some(Err(error)) => self.trouble(&consumer, &error, &mut assigned),
            }
            let old: Vec<i32> = pending
                .iter()
                .filter(|it| CHUNK_AGE < it.1.since.elapsed())
                .map(|it| *it.0)
                .collect();
            for number in old {
                if !self.hand_over(&mut pending, &mut assigned, number, false, chunks) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn hand_over(
        &self,
        pending: &mut BTreeMap<i32, Pending>,
        assigned: &mut BTreeMap<i32, i64>,
        number: i32,
        at_end: bool,
        chunks: &Sender<Chunk>,
    ) -> bool {
        let partition = Partition(number);
        let (records, next) = match pending.remove(&number) {
            Some(it) => (it.records, it.next),
            None => {
                let next = assigned.get(&number).copied().unwrap_or(0);
                (
                    RawRecords {
                        partition,
                        data: Vec::new(),
                        ends: Vec::new(),
                        offsets: Vec::new(),
                    },
                    next,
                )
            }
        };
        if assigned
            .insert(number, next)
            .is_none_or(|before| before != next)
            || at_end
        {
            self.status.advance(partition, next, at_end.then_some(next));
        }
        let next = Position {
            offset: Offset(next),
            origin: String::new(),
        };
        self.status.update(|it| {
            it.connected = true;
            it.problem = None;
        });
        chunks
            .send(Chunk {
                records,
                next,
                at_end,
            })
            .is_ok()
    }

    /// Asks for partitions and takes ours among the new ones.
    fn look(
        &self,
        consumer: &BaseConsumer<Context>,
        assigned: &mut BTreeMap<i32, i64>,
        chunks: &Sender<Chunk>,
    ) {
        let name = &self.topic.topic;
        let metadata = match consumer.fetch_metadata(Some(name), ASK_TIMEOUT) {
            Ok(metadata) => metadata,
            Err(error) => {
                return self.status.update(|it| {
                    it.connected = false;
                    it.problem = Some(format!(
                        "brokers {} do not answer: {error}",
                        self.topic.brokers
                    ));
                });
            }
        };
        let Some(topic) = metadata
            .topics()
            .first()
            .filter(|it| it.error().is_none() && !it.partitions().is_empty())
        else {
            return self.status.update(|it| {
                it.connected = true;
                it.problem = Some(format!("topic {name} does not exist yet; waiting for it"));
            });
        };
        let mut new = Vec::new();
        for partition in topic.partitions() {
            let number = partition.id();
            if usize::try_from(number).unwrap_or(0) % self.workers != self.worker
                || assigned.contains_key(&number)
            {
                continue;
            }
            match self.start_of(consumer, number) {
                Ok(offset) => new.push((number, offset)),
                Err(error) => {
                    return self.status.update(|it| {
                        it.connected = false;
                        it.problem = Some(format!(
                            "partition {number} of {name} does not answer: {error}"
                        ));
                    });
                }
            }
        }
        self.status.update(|it| it.connected = true);
        if new.is_empty() {
            return;
        }
        for (number, offset) in new {
            assigned.insert(number, offset);
            self.status.update(|it| {
                it.partitions.entry(number).or_default().name = format!("{name}/{number}")
            });
            self.status.advance(Partition(number), offset, None);
            // Known but not yet read: until its first records come, it holds the watermark back.
            let records = RawRecords {
                partition: Partition(number),
                data: Vec::new(),
                ends: Vec::new(),
                offsets: Vec::new(),
            };
            let next = Position {
                offset: Offset(offset),
                origin: String::new(),
            };
            if chunks
                .send(Chunk {
                    records,
                    next,
                    at_end: false,
                })
                .is_err()
            {
                return;
            }
        }
        self.assign(consumer, assigned);
    }

    fn assign(&self, consumer: &BaseConsumer<Context>, assigned: &BTreeMap<i32, i64>) {
        let mut list = TopicPartitionList::new();
        for (number, offset) in assigned {
            if let Err(error) =
                list.add_partition_offset(&self.topic.topic, *number, Start::Offset(*offset))
            {
                tracing::error!(partition = number, %error, "a partition could not be assigned");
            }
        }
        if let Err(error) = consumer.assign(&list) {
            self.status.update(|it| {
                it.problem = Some(format!("partitions could not be assigned: {error}"))
            });
        }
    }

    /// Where to read a partition from: the stored offset if the broker still has it.
    fn start_of(&self, consumer: &BaseConsumer<Context>, number: i32) -> Result<i64, KafkaError> {
        let (low, high) = consumer.fetch_watermarks(&self.topic.topic, number, ASK_TIMEOUT)?;
        Ok(
            match self.stored.get(Partition(number)).map(|it| it.offset.0) {
                Some(stored) if stored < low => {
                    tracing::error!(
                        partition = number,
                        stored,
                        low,
                        "records expired before they were read; going on with the oldest"
                    );
                    self.status
                        .update(|it| it.lost_records += (low - stored) as u64);
                    low
                }
                Some(stored) => {
                    if high < stored {
                        let text = format!(
                            "topic {} seems to have been recreated: partition {number} ends at {high}, we have read up to {stored}; use another --lake to read it from its start",
                            self.topic.topic
                        );
                        tracing::error!("{text}");
                        self.status.update(|it| it.problem = Some(text));
                    }
                    stored
                }
                None if self.topic.start == StartAt::Latest => high,
                None => low,
            },
        )
    }

    fn trouble(
        &self,
        consumer: &BaseConsumer<Context>,
        error: &KafkaError,
        assigned: &mut BTreeMap<i32, i64>,
    ) {
        let code = error.rdkafka_error_code();
        self.status
            .update(|it| it.problem = Some(error.to_string()));
        if matches!(
            code,
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset)
        ) {
            for (number, offset) in assigned.iter_mut() {
                if let Ok((low, _)) =
                    consumer.fetch_watermarks(&self.topic.topic, *number, ASK_TIMEOUT)
                    && *offset < low
                {
                    tracing::error!(
                        partition = number,
                        offset,
                        low,
                        "records expired before they were read; going on with the oldest"
                    );
                    self.status
                        .update(|it| it.lost_records += (low - *offset) as u64);
                    *offset = low;
                }
            }
            self.assign(consumer, assigned);
        }
    }
}

//! The Kafka client: its settings, and what it tells by itself.

use super::super::{Error, SharedStatus};
use super::Topic;
use super::cause::Cause;
use super::token::{self, WithToken};
use rdkafka::bindings as c;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) type Client = BaseConsumer<Context>;

/// Settings of ours; those of the source come before them.
const SETTINGS: [(&str, &str); 12] = [
    // The client wants a group to be allowed to be told partitions; it never joins one, and stores nothing in this one.
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
    // A record that was damaged on its way is an error, not a wrong record. `kafka.check.crcs` = 'false' leaves that to the network.
    ("check.crcs", "true"),
    // A broker that is back is found soon.
    ("reconnect.backoff.max.ms", "1000"),
];

/// What the client says in its log when a topic has another id than before.
const OTHER_ID: &str = " changed id from ";
/// The id of a topic it did not know yet.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// What a client has said while it was made is heard within this time.
const HEARD_AT_START: Duration = Duration::from_millis(10);

/// What any client of this topic needs: the brokers, and the settings of the source.
pub(super) fn config(topic: &Topic) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &topic.brokers)
        .set("client.id", "tidelake");
    for (key, value) in &topic.properties {
        config.set(key, value);
    }
    config
}

/// Starts a client; it connects by itself, now or when it can. `other_topic` is set before it hands out any record of a topic that
/// was created again under the same name: the client itself reads on in there as if nothing had happened, and says so only in its log.
pub(super) fn connect(
    topic: &Topic,
    status: SharedStatus,
    other_topic: Arc<AtomicBool>,
    cause: Cause,
) -> Result<WithToken<Client>, Error> {
    let mut config = config(topic);
    // The level from when it is made until it is raised below.
    config.set_log_level(RDKafkaLogLevel::Info);
    if let (Some(group), None) = (&topic.group, config.get("group.id")) {
        config.set("group.id", group);
    }
    for (key, value) in SETTINGS {
        if config.get(key).is_none() {
            config.set(key, value);
        }
    }
    let debug = match config.get("debug") {
        Some(more) => format!("topic,{more}"),
        None => "topic".to_owned(),
    };
    config.set("debug", debug);
    let context = Context {
        status,
        other_topic,
        cause: cause.clone(),
        topic: topic.topic.clone(),
    };
    let client: WithToken<Client> =
        token::start(&config, context, &cause).map_err(|source| Error::Client {
            name: topic.source.clone(),
            source,
        })?;
    // While it is made, `debug` alone sets the level, and a line about its build is queued. Taken as a batch is, it would go to standard
    // error, past the context. There is no record yet, and of an error the context hears.
    let _ = client.poll(HEARD_AT_START);
    // SAFETY: the client lives; this sets a number in it.
    unsafe {
        c::rd_kafka_set_log_level(client.client().native_ptr(), RDKafkaLogLevel::Debug as i32);
    }
    Ok(client)
}

pub(super) struct Context {
    status: SharedStatus,
    other_topic: Arc<AtomicBool>,
    cause: Cause,
    topic: String,
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, text: &str) {
        if is_other_topic(text) {
            self.other_topic.store(true, Ordering::Release);
        }
        self.cause.note_line(facility, text);
        // What matters of it comes as an error too, and is said once where that is handled.
        tracing::debug!(target: "librdkafka", "{facility}: {text}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.cause.note(&error, reason);
        // The same error is handed out by the next poll.
        tracing::debug!(topic = %self.topic, "{reason}");
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else {
            return;
        };
        self.status.update(|it| {
            for (number, partition) in &topic.partitions {
                let Some(known) = it
                    .partitions
                    .get_mut(number)
                    .filter(|_| partition.desired && 0 <= partition.hi_offset)
                else {
                    continue;
                };
                // Behind the last record there may be marks of transactions, which are fetched and not handed out.
                let all_taken =
                    partition.fetchq_cnt == 0 && partition.hi_offset <= partition.next_offset;
                known.end_offset = Some(if all_taken {
                    known.offset
                } else {
                    partition.hi_offset + known.base
                });
            }
        });
    }
}

/// Whether a line of the client's log tells of a topic that was replaced.
pub(super) fn is_other_topic(text: &str) -> bool {
    text.split_once(OTHER_ID)
        .is_some_and(|it| !it.1.starts_with(NO_ID))
}

impl ConsumerContext for Context {}

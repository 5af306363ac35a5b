//! Generated events into a Kafka topic. An event counts as written when the broker has confirmed it.

use super::Target;
use crate::cli::exit;
use crate::repeats::Repeats;
use crate::source::kafka::{Cause, WithToken, create_topic, start_client};
use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a broker that does not answer is waited for at the start.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Every wait looks so often whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After a request to stop, what is on its way may take so long.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Partitions of a topic that is made, unless told otherwise.
const PARTITIONS_DEFAULT: usize = 3;

/// A topic; the key of a record is the address.
pub struct Topic {
    producer: WithToken<BaseProducer<Deliveries>>,
    deliveries: Deliveries,
    brokers: String,
    topic: String,
    sent: u64,
}

/// What became of the events sent so far.
#[derive(Clone, Default)]
struct Deliveries(Arc<Outcome>);

#[derive(Default)]
struct Outcome {
    delivered: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<KafkaError>>,
    outage: Mutex<Repeats>,
    cause: Cause,
    /// Whether the broker has answered once.
    is_open: AtomicBool,
}

impl ClientContext for Deliveries {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.cause.note_line(facility, text);
        tracing::debug!(target: "librdkafka", "{facility}: {text}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
        self.0.cause.note(&error, reason);
        let is_open = self.0.is_open.load(Ordering::Relaxed);
        if is_open && error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            let mut outage = self.0.outage.lock().unwrap_or_else(PoisonError::into_inner);
            let text = "Kafka does not answer; events wait for it";
            if let Some(line) = outage.seen(Instant::now()).line(text) {
                tracing::warn!("{line}");
            }
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.0.delivered.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                let first = &self.0.first_failure;
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.clone());
                self.0.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

impl Topic {
    /// Connects, with settings of the client that come before those of here, and makes the topic if there is none. `partitions` is what was asked for.
    ///
    /// # Errors
    /// If no broker answers in time, or the topic cannot be made.
    pub fn open(
        brokers: &str,
        properties: &[(String, String)],
        topic: &str,
        partitions: Option<usize>,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "tidelake-gen")
            .set("linger.ms", "20")
            .set("batch.size", "1000000")
            .set("compression.type", "lz4")
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "200000");
        for (key, value) in properties {
            config.set(key, value);
        }
        let deliveries = Deliveries::default();
        let started = start_client(&config, deliveries.clone(), &deliveries.0.cause);
        let producer: WithToken<BaseProducer<Deliveries>> = match started {
            Err(KafkaError::ClientConfig(_, reason, setting, _)) => {
                return Err(exit::coded(exit::USAGE, format!("{setting}: {reason}")));
            }
            it => it.with_context(|| format!("could not start a Kafka producer for {brokers}"))?,
        };
        let found = partitions_of(&producer, brokers, topic, stop)?;
        deliveries.0.is_open.store(true, Ordering::Relaxed);
        match found {
            None => {
                let partitions = partitions.unwrap_or(PARTITIONS_DEFAULT);
                create_topic(&config, topic, partitions).with_context(|| {
                    format!("topic {topic} does not exist and could not be made; make it, or choose another with --topic")
                })?;
                tracing::info!("topic {topic} did not exist; made it with {partitions} partitions");
            }
            Some(there) if partitions.is_some_and(|it| it != there) => {
                tracing::warn!(
                    "topic {topic} exists with {there} partitions; --partitions changes nothing"
                );
            }
            Some(_) => {}
        }
        Ok(Topic {
            producer,
            deliveries,
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            sent: 0,
        })
    }

    /// Fails as soon as one event did not reach the topic.
    fn check(&self) -> Result<()> {
        let failed = self.deliveries.0.failed.load(Ordering::Relaxed);
        if failed == 0 {
            return Ok(());
        }
        let first = &self.deliveries.0.first_failure;
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reason = first.map_or_else(String::new, |it| format!(": {it}"));
        bail!(
            "{failed} events did not reach topic {}{reason}; {} of {} were written",
            self.topic,
            self.delivered(),
            self.sent
        )
    }

    fn delivered(&self) -> u64 {
        self.deliveries.0.delivered.load(Ordering::Relaxed)
    }
}

/// How many partitions a topic has; nothing if there is none. All topics are asked for: to ask for one may make it, in
/// the broker's own way.
fn partitions_of(
    producer: &BaseProducer<Deliveries>,
    brokers: &str,
    topic: &str,
    stop: &AtomicBool,
) -> Result<Option<usize>> {
    let began = Instant::now();
    let mut told = false;
    loop {
        let error = match producer.client().fetch_metadata(None, LOOK_EVERY) {
            Ok(found) => {
                let topics = found.topics();
                let found = topics.iter().find(|it| it.name() == topic);
                return Ok(found.map(|it| it.partitions().len()));
            }
            Err(error) => error,
        };
        ensure!(
            !stop.load(Ordering::Acquire),
            "stopped before Kafka at {brokers} answered; nothing was written"
        );
        // What the client has to say of its connections is heard here.
        producer.poll(Duration::ZERO);
        if START_WITHIN < began.elapsed() {
            let why = producer.context().0.cause.explain(brokers, &error);
            return Err(exit::coded(
                exit::UNREACHABLE,
                format!("{why}; --out DIR writes files instead"),
            ));
        }
        if !told {
            told = true;
            tracing::info!("waiting for Kafka at {brokers}");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

impl Target for Topic {
    fn send(&mut self, event: &[u8], key: &str, _key_hash: u64, stop: &AtomicBool) -> Result<()> {
        let mut record = BaseRecord::to(&self.topic).key(key).payload(event);
        while let Err((error, back)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error).context("could not send to Kafka");
            }
            if stop.load(Ordering::Acquire) {
                return Ok(());
            }
            record = back;
            self.producer.poll(LOOK_EVERY);
            self.check()?;
        }
        self.sent += 1;
        if self.sent.is_multiple_of(1000) {
            self.flush()?;
        }
        Ok(())
    }

    /// Takes in what the broker has confirmed. Nothing is waited for: batches leave by themselves.
    fn flush(&mut self) -> Result<()> {
        self.producer.poll(Duration::ZERO);
        self.check()
    }

    fn finish(&mut self, stop: &AtomicBool) -> Result<u64> {
        let mut stopping = None;
        while 0 < self.producer.in_flight_count() {
            // An error here is the time that is over; what became of the events is told one by one.
            let _ = self.producer.flush(LOOK_EVERY);
            self.check()?;
            if stop.load(Ordering::Acquire) {
                let since: &mut Instant = stopping.get_or_insert_with(Instant::now);
                let waiting = self.producer.in_flight_count();
                ensure!(
                    waiting == 0 || since.elapsed() < STOP_WITHIN,
                    "Kafka at {} did not confirm {waiting} events before the stop; {} of {} were written",
                    self.brokers,
                    self.delivered(),
                    self.sent
                );
            }
        }
        self.check()?;
        Ok(self.delivered())
    }
}

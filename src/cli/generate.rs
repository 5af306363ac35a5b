//! `gen`: synthetic web-log traffic into partition files or a Kafka topic, and the traffic of `demo`.

use crate::generator::pace::{Pace, Pacer};
use crate::generator::{Generated, Generator, Settings};
use crate::model::wall_ms;
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Files are flushed at least so often, so that readers see records soon.
const FLUSH_EVERY: Duration = Duration::from_millis(20);

/// How much to generate and how fast.
#[derive(Clone, Debug)]
pub struct Load {
    pub rate: f64,
    pub seed: u64,
    pub anomalies: bool,
    pub duration: Option<Duration>,
    pub count: Option<u64>,
    /// Hold the rate by the wall clock; otherwise as fast as possible.
    pub paced: bool,
    /// Event time of the first event, microseconds; the wall clock if none.
    pub start_us: Option<i64>,
}

/// Where events go.
pub trait Target {
    fn send(&mut self, event: &[u8], key: &str, key_hash: u64) -> Result<()>;
    fn flush(&mut self) -> Result<()>;
}

/// Partition files `events-<n>.jsonl` in a folder, appended.
pub struct Files {
    files: Vec<BufWriter<File>>,
}

impl Files {
    pub fn open(folder: &Path, partitions: usize) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("could not make folder {}", folder.display()))?;
        let open = |number: usize| {
            let path = folder.join(format!("events-{number}.jsonl"));
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.map(|it| BufWriter::with_capacity(1 << 18, it))
                .with_context(|| format!("could not open {}", path.display()))
        };
        Ok(Files {
            files: (0..partitions).map(open).collect::<Result<_>>()?,
        })
    }

    /// One file, whatever its name.
    pub fn single(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("could not write {}", path.display()))?;
        Ok(Files {
            files: vec![BufWriter::with_capacity(1 << 18, file)],
        })
    }
}

impl Target for Files {
    fn send(&mut self, event: &[u8], _key: &str, key_hash: u64) -> Result<()> {
        let number = (key_hash % self.files.len() as u64) as usize;
        self.files[number].write_all(event)?;
        self.files[number].write_all(b"\n")?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.files
            .iter_mut()
            .try_for_each(|it| it.flush().map_err(Into::into))
    }
}

/// A Kafka topic; the key is the address.
pub struct Topic {
    producer: rdkafka::producer::BaseProducer,
    topic: String,
}

impl Topic {
    pub fn open(brokers: &str, topic: &str) -> Result<Self> {
        let producer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("linger.ms", "20")
            .set("batch.size", "1000000")
            .set("compression.type", "lz4")
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "200000")
            .create()
            .with_context(|| format!("could not start a Kafka producer for {brokers}"))?;
        Ok(Topic {
            producer,
            topic: topic.to_owned(),
        })
    }
}

impl Target for Topic {
    fn send(&mut self, event: &[u8], key: &str, _key_hash: u64) -> Result<()> {
        use rdkafka::error::{KafkaError, RDKafkaErrorCode};
        use rdkafka::producer::{BaseRecord, Producer};
        let mut record = BaseRecord::to(&self.topic).key(key).payload(event);
        let began = Instant::now();
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if began.elapsed() < Duration::from_secs(60) =>
                {
                    record = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => {
                    return Err(error).context("could not send to Kafka; is the broker running?");
                }
            }
        }
        if self.producer.in_flight_count() % 1000 == 0 {
            self.producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        use rdkafka::producer::Producer;
        self.producer.poll(Duration::ZERO);
        if self.producer.in_flight_count() == 0 {
            return Ok(());
        }
        self.producer
            .flush(Duration::from_secs(60))
            .context("not all events reached Kafka")
    }
}

/// Generates until the load is done or `stop` is set; returns how many events. The injected truth goes to `truth`, one JSON line each.
pub fn generate(
    load: &Load,
    target: &mut dyn Target,
    mut truth: Option<&mut dyn Write>,
    stop: &Arc<AtomicBool>,
) -> Result<u64> {
    let start_us = load
        .start_us
        .unwrap_or_else(|| i64::try_from(wall_ms()).unwrap_or(0) * 1000);
    let mut generator = Generator::new(Settings {
        seed: load.seed,
        rate: load.rate,
        anomalies: load.anomalies,
        start_us,
    });
    let pacer = Pacer::new(start_us, load.duration);
    let began = Instant::now();
    let mut flushed = Instant::now();
    let mut event = Vec::with_capacity(512);
    let mut sent = 0;
    while !stop.load(Ordering::Acquire) && load.count.is_none_or(|it| sent < it) {
        let elapsed = if load.paced {
            began.elapsed()
        } else {
            Duration::MAX / 4
        };
        match pacer.next(generator.next_time_us(), elapsed) {
            Pace::Finish(rest) => {
                target.flush()?;
                if load.paced {
                    std::thread::sleep(rest);
                }
                break;
            }
            Pace::Wait(rest) => {
                target.flush()?;
                flushed = Instant::now();
                std::thread::sleep(rest.min(FLUSH_EVERY));
                continue;
            }
            Pace::Emit => {}
        }
        event.clear();
        let Generated {
            key_hash,
            truth: injected,
            ..
        } = generator.next_into(&mut event);
        target.send(&event, generator.key(), key_hash)?;
        sent += 1;
        if let (Some(it), Some(out)) = (injected, truth.as_mut()) {
            writeln!(
                out,
                "{}",
                serde_json::json!({"event": it.event, "type": it.kind.name(), "time_us": it.time_us, "endpoint": it.endpoint,
                    "start_us": it.start_us, "end_us": it.end_us})
            )?;
        }
        if FLUSH_EVERY < flushed.elapsed() {
            target.flush()?;
            flushed = Instant::now();
        }
    }
    target.flush()?;
    if let Some(out) = truth.as_mut() {
        out.flush()?;
    }
    Ok(sent)
}

//! `gen`: synthetic web-log traffic into partition files or a Kafka topic, and the traffic of `demo`.

mod files;
mod topic;

pub use files::Files;
pub use topic::Topic;

use super::ranges;
use super::settings::Settings as Given;
use crate::generator::pace::{Pace, Pacer};
use crate::generator::{Generated, Generator, Settings};
use crate::model::wall_ms;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Partition files of a folder, unless told otherwise.
const FILES_DEFAULT: usize = 4;

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
    /// Takes an event, now or as soon as there is room; a wait ends when `stop` is set.
    fn send(&mut self, event: &[u8], key: &str, key_hash: u64, stop: &AtomicBool) -> Result<()>;
    /// Passes on what was sent so far.
    fn flush(&mut self) -> Result<()>;
    /// Waits until every event is where it belongs, and says how many are.
    fn finish(&mut self, stop: &AtomicBool) -> Result<u64>;
}

#[derive(Args)]
pub struct Arguments {
    /// Events per second of event time.
    #[arg(long, default_value_t = 10.0, value_parser = ranges::within(ranges::RATE), allow_negative_numbers = true)]
    rate: f64,
    /// Stop after so many seconds.
    #[arg(long, value_parser = ranges::within(ranges::DURATION), allow_negative_numbers = true)]
    duration: Option<f64>,
    /// Stop after so many events; they are written as fast as possible.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The same seed gives the same events.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Leave out injected anomalies.
    #[arg(long)]
    no_anomalies: bool,
    /// Event time of the first event, ISO 8601; now if left out.
    #[arg(long)]
    start: Option<String>,
    /// Folder for partition files events-<n>.jsonl, or one file if it ends in .jsonl or .json.
    #[arg(long, conflicts_with = "brokers")]
    out: Option<PathBuf>,
    /// Number of partition files, 4 unless told otherwise, or of partitions of a topic that does not exist yet, then 3.
    #[arg(long, value_parser = clap::value_parser!(u16).range(ranges::PARTITIONS))]
    partitions: Option<u16>,
    /// Kafka brokers, host:port,… [default without --out: $KAFKA_BROKERS]
    #[arg(long)]
    brokers: Option<String>,
    /// Kafka topic; made if it does not exist.
    #[arg(long, env = "KAFKA_TOPIC", default_value = "web-logs")]
    topic: String,
    /// File for the injected truth, one JSON line per anomaly.
    #[arg(long)]
    truth: Option<PathBuf>,
}

/// Generates what was asked for, and says what was written.
pub fn run(arguments: Arguments, settings: &Given, stop: &AtomicBool) -> Result<()> {
    let start_us = arguments.start.as_deref().map(time_us).transpose()?;
    let load = Load {
        rate: arguments.rate,
        seed: arguments.seed,
        anomalies: !arguments.no_anomalies,
        duration: arguments.duration.map(Duration::from_secs_f64),
        count: arguments.count,
        paced: arguments.count.is_none(),
        start_us,
    };
    let partitions = arguments.partitions.map(usize::from);
    let brokers = || {
        let brokers = arguments.brokers.clone();
        brokers.or_else(|| settings.variable("KAFKA_BROKERS"))
    };
    let (mut target, place): (Box<dyn Target>, String) = match &arguments.out {
        Some(path)
            if path
                .extension()
                .is_some_and(|it| it == "jsonl" || it == "json") =>
        {
            (Box::new(Files::single(path)?), path.display().to_string())
        }
        Some(folder) => {
            let files = Files::open(folder, partitions.unwrap_or(FILES_DEFAULT))?;
            (Box::new(files), folder.display().to_string())
        }
        None => {
            let Some(brokers) = brokers() else {
                return Err(super::exit::coded(
                    super::exit::USAGE,
                    "say where events go: --out DIR, or --brokers HOST:PORT and --topic NAME",
                ));
            };
            let topic = Topic::open(&brokers, &arguments.topic, partitions, stop)?;
            let place = format!("topic {} at {brokers}", arguments.topic);
            (Box::new(topic), place)
        }
    };
    let mut truth = arguments
        .truth
        .map(|it| {
            std::fs::File::create(&it).with_context(|| format!("could not write {}", it.display()))
        })
        .transpose()?
        .map(std::io::BufWriter::new);
    let written = generate(
        &load,
        target.as_mut(),
        truth.as_mut().map(|it| it as &mut dyn Write),
        stop,
    )?;
    eprintln!("{written} events written to {place}");
    Ok(())
}

fn time_us(text: &str) -> Result<i64> {
    match crate::source::decode::timestamp::parse(text, crate::source::decode::Zone::default()) {
        Some(it) => Ok(it),
        None => bail!("--start {text} is not a time such as 2026-01-31T12:00:00Z"),
    }
}

/// Generates until the load is done or `stop` is set; returns how many events were written. The injected truth goes to `truth`,
/// one JSON line each.
pub fn generate(
    load: &Load,
    target: &mut dyn Target,
    mut truth: Option<&mut dyn Write>,
    stop: &AtomicBool,
) -> Result<u64> {
    let start_us = match load.start_us {
        Some(it) => it,
        None => i64::try_from(wall_ms()).context("the clock is far in the future")? * 1000,
    };
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
    let mut sent = 0u64;
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
                    sleep(rest, stop);
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
        target.send(&event, generator.key(), key_hash, stop)?;
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
    let written = target.finish(stop)?;
    if let Some(out) = truth.as_mut() {
        out.flush().context("could not write the injected truth")?;
    }
    Ok(written)
}

/// Sleeps, but not beyond a stop.
pub fn sleep(rest: Duration, stop: &AtomicBool) {
    let until = Instant::now() + rest;
    while !stop.load(Ordering::Acquire) {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        std::thread::sleep(rest.min(FLUSH_EVERY));
    }
}

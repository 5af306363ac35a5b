//! `gen`: synthetic events into partition files or Kafka topics, and the traffic of `demo`.

mod files;
mod meter;
mod topic;

pub use files::{Files, newest_time_us};
pub use meter::{Meter, Progress, how_far};
pub use topic::Topic;

use super::settings::Settings as Given;
use super::terminal::number;
use super::{exit, ranges};
use crate::generator::nexmark::{self, Nexmark, Stream};
use crate::generator::pace::{Pace, Pacer};
use crate::generator::{Generator, Injected, Scenario, Settings};
use crate::model::wall_ms;
use crate::source::kafka;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Partition files of a folder, unless told otherwise.
const FILES_DEFAULT: usize = 4;

/// Files are flushed at least so often, so that readers see records soon.
const FLUSH_EVERY: Duration = Duration::from_millis(20);

/// What is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// Requests to a web server, one stream.
    WebLogs,
    /// Persons, auctions and bids of the Nexmark benchmark: a folder or topic for each.
    Nexmark,
}

impl Model {
    /// Names of its streams; one stream needs no name.
    fn streams(self) -> &'static [&'static str] {
        match self {
            Model::WebLogs => &[],
            Model::Nexmark => &Stream::NAMES,
        }
    }

    /// Events per second unless told otherwise.
    fn rate(self) -> f64 {
        match self {
            Model::WebLogs => 10.0,
            Model::Nexmark => 1000.0,
        }
    }

    /// The topic, or what the names of its topics begin with.
    fn topic(self) -> &'static str {
        match self {
            Model::WebLogs => "web-logs",
            Model::Nexmark => "nexmark",
        }
    }
}

/// How much to generate and how fast.
#[derive(Clone, Debug)]
pub struct Load {
    pub model: Model,
    pub rate: f64,
    pub seed: u64,
    pub anomalies: bool,
    pub duration: Option<Duration>,
    pub count: Option<u64>,
    /// Hold the rate by the wall clock; otherwise as fast as possible.
    pub paced: bool,
    /// Event time of the first event, microseconds; the wall clock if none.
    pub start_us: Option<i64>,
    /// Of paced events: so much time lies before the wall clock of the start. Its events come at once.
    pub history: Duration,
    /// Web logs of a demonstration.
    pub scenario: Option<Scenario>,
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
    /// What to generate.
    #[arg(value_enum, default_value_t = Model::WebLogs)]
    model: Model,
    /// Events per second of event time, outside traffic spikes [default: 10 of web-logs, 1000 of nexmark]
    #[arg(long, value_parser = ranges::within(ranges::RATE), allow_negative_numbers = true)]
    rate: Option<f64>,
    /// Stop after so many seconds.
    #[arg(long, value_parser = ranges::within(ranges::DURATION), allow_negative_numbers = true)]
    duration: Option<f64>,
    /// Stop after so many events; they are written as fast as possible.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The same seed gives the same events.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// No injected anomalies in web logs: neither traffic spikes, which have five times the rate, nor errors and slow responses.
    #[arg(long)]
    no_anomalies: bool,
    /// Event time of the first event, ISO 8601; if left out now, or, for nexmark with --count, so that the last event is of now.
    #[arg(long)]
    start: Option<String>,
    /// Folder for partition files events-<n>.jsonl, or one file if it ends in .jsonl or .json. Of nexmark a folder with the folders person,
    /// auction, bid and side_input.
    #[arg(long, conflicts_with = "brokers")]
    out: Option<PathBuf>,
    /// Number of partition files, 4 unless told otherwise, or of partitions of a topic that does not exist yet, then 3.
    #[arg(long, value_parser = clap::value_parser!(u16).range(ranges::PARTITIONS))]
    partitions: Option<u16>,
    /// Kafka brokers, host:port,… [default without --out: $KAFKA_BROKERS]
    #[arg(long)]
    brokers: Option<String>,
    /// File with settings of the Kafka client, one NAME=VALUE per line, such as security.protocol and sasl.password [default:
    /// $KAFKA_CLIENT_CONFIG]
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    client_config: Option<PathBuf>,
    /// Kafka topic; made if it does not exist. Of nexmark what the names of its topics begin with [default: web-logs; nexmark, for nexmark-person,
    /// nexmark-auction and nexmark-bid]
    #[arg(long, env = "KAFKA_TOPIC")]
    topic: Option<String>,
    /// File for the injected truth, one JSON line per anomaly.
    #[arg(long)]
    truth: Option<PathBuf>,
}

/// Generates what was asked for, and says what was written.
pub fn run(arguments: Arguments, settings: &Given, stop: &AtomicBool) -> Result<()> {
    let model = arguments.model;
    if model == Model::Nexmark && (arguments.no_anomalies || arguments.truth.is_some()) {
        return Err(exit::coded(
            exit::USAGE,
            "nexmark has no anomalies: leave out --no-anomalies and --truth",
        ));
    }
    let rate = arguments.rate.unwrap_or_else(|| model.rate());
    let start_us = match (arguments.start.as_deref(), model, arguments.count) {
        (Some(text), _, _) => Some(time_us(text)?),
        // Not ahead of the clock, however many they are: their windows are over as soon as they are read.
        (None, Model::Nexmark, Some(count)) => {
            Some(now_us()?.saturating_sub((count as f64 * 1e6 / rate) as i64))
        }
        (None, Model::Nexmark, None) | (None, Model::WebLogs, _) => None,
    };
    let load = Load {
        model,
        rate,
        seed: arguments.seed,
        anomalies: !arguments.no_anomalies,
        duration: arguments.duration.map(Duration::from_secs_f64),
        count: arguments.count,
        paced: arguments.count.is_none(),
        start_us,
        history: Duration::ZERO,
        scenario: None,
    };
    let (mut targets, place) = open(&arguments, settings, stop)?;
    if let (Model::Nexmark, Some(folder)) = (model, &arguments.out) {
        write_side_input(&folder.join(nexmark::SIDE_INPUT))?;
    }
    let mut truth = arguments
        .truth
        .map(|it| {
            std::fs::File::create(&it).with_context(|| format!("could not write {}", it.display()))
        })
        .transpose()?
        .map(std::io::BufWriter::new);
    let mut targets: Vec<&mut dyn Target> = targets
        .iter_mut()
        .map(|it| it.as_mut() as &mut dyn Target)
        .collect();
    let mut meter = Meter::new(load.count);
    let mut last = None;
    let generated = generate(
        &load,
        &mut targets,
        truth.as_mut().map(|it| it as &mut dyn Write),
        &mut |it| {
            last = Some(it);
            meter.observe(it);
        },
        stop,
    );
    let elapsed = meter.elapsed();
    drop(meter);
    let written = generated?;
    let span = last.map_or_else(String::new, |it| of_event_time(it, &load));
    eprintln!(
        "{written} events written to {place} in {:.1} s{span}",
        elapsed.as_secs_f64()
    );
    Ok(())
}

/// A target for each stream, and what they are called.
fn open(
    arguments: &Arguments,
    settings: &Given,
    stop: &AtomicBool,
) -> Result<(Vec<Box<dyn Target>>, String)> {
    let streams = arguments.model.streams();
    let partitions = arguments.partitions.map(usize::from);
    if let Some(path) = &arguments.out {
        let place = path.display().to_string();
        let is_file = path
            .extension()
            .is_some_and(|it| it == "jsonl" || it == "json");
        let targets: Vec<Box<dyn Target>> = match (is_file, streams) {
            (true, []) => vec![Box::new(Files::single(path)?)],
            (true, streams) => {
                return Err(exit::coded(
                    exit::USAGE,
                    format!(
                        "one file cannot hold {}: name a folder with --out DIR",
                        streams.join(", ")
                    ),
                ));
            }
            (false, streams) => {
                let files = partitions.unwrap_or(FILES_DEFAULT);
                let folders = match streams {
                    [] => vec![path.clone()],
                    streams => streams.iter().map(|it| path.join(it)).collect(),
                };
                let open = |it: &PathBuf| Ok(Box::new(Files::open(it, files)?) as Box<dyn Target>);
                folders.iter().map(open).collect::<Result<_>>()?
            }
        };
        return Ok((targets, place));
    }
    let brokers = arguments.brokers.clone();
    let Some(brokers) = brokers.or_else(|| settings.variable("KAFKA_BROKERS")) else {
        return Err(exit::coded(
            exit::USAGE,
            "say where events go: --out DIR, or --brokers HOST:PORT and --topic NAME",
        ));
    };
    let file = arguments.client_config.clone().or_else(|| {
        let variable = settings.variable("KAFKA_CLIENT_CONFIG");
        variable.filter(|it| !it.is_empty()).map(PathBuf::from)
    });
    let properties = match file {
        Some(file) => kafka::properties::read(&file).map_err(|it| exit::coded(exit::USAGE, it))?,
        None => Vec::new(),
    };
    let topic = arguments.topic.as_deref();
    let topic = topic.unwrap_or_else(|| arguments.model.topic());
    let (topics, word) = match streams {
        [] => (vec![topic.to_owned()], "topic"),
        streams => {
            let topics = streams.iter().map(|it| format!("{topic}-{it}"));
            (topics.collect(), "topics")
        }
    };
    let open = |it: &String| {
        let topic = Topic::open(&brokers, &properties, it, partitions, stop)?;
        Ok(Box::new(topic) as Box<dyn Target>)
    };
    let targets = topics.iter().map(open).collect::<Result<_>>()?;
    Ok((
        targets,
        format!("{word} {} at {brokers}", topics.join(", ")),
    ))
}

/// How much event time the events have, and at which rate they lie in it.
fn of_event_time(progress: Progress, load: &Load) -> String {
    let seconds = (progress.time_us - progress.start_us) as f64 / 1e6;
    if seconds <= 0.0 {
        return String::new();
    }
    let rate = progress.sent as f64 / seconds;
    let spikes = match load.model == Model::WebLogs && load.anomalies {
        true if 1.001 * load.rate < rate => {
            format!(", with traffic spikes; {} between them", load.rate)
        }
        _ => String::new(),
    };
    let length = match seconds as u64 {
        0..120 => format!("{seconds:.1} s"),
        120..7_200 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{} h", number((seconds / 3_600.0).round() as u64)),
    };
    format!(": {length} of event time at {rate:.1} a second{spikes}")
}

/// Writes the side input, unless an earlier call has written it.
fn write_side_input(folder: &Path) -> Result<()> {
    let path = folder.join("rows.jsonl");
    if path.exists() {
        return Ok(());
    }
    let rows = nexmark::side_input().map(|it| it.1 + "\n");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, rows.collect::<String>()))
        .with_context(|| format!("could not write {}", path.display()))
}

fn now_us() -> Result<i64> {
    Ok(i64::try_from(wall_ms()).context("the clock is far in the future")? * 1000)
}

/// What makes the events.
enum Events {
    WebLogs(Box<Generator>),
    Nexmark(Nexmark),
}

/// The event just made.
struct Made {
    /// Number of its stream.
    stream: usize,
    key_hash: u64,
    truth: Option<Injected>,
}

impl Events {
    fn of(load: &Load, start_us: i64) -> Self {
        let Load {
            seed,
            rate,
            anomalies,
            scenario,
            ..
        } = *load;
        match load.model {
            Model::WebLogs => {
                let settings = Settings {
                    seed,
                    rate,
                    anomalies,
                    start_us,
                };
                Events::WebLogs(Box::new(match scenario {
                    Some(it) => Generator::with_scenario(settings, it),
                    None => Generator::new(settings),
                }))
            }
            Model::Nexmark => Events::Nexmark(Nexmark::new(nexmark::Settings {
                seed,
                rate,
                start_us,
            })),
        }
    }

    fn next_time_us(&self) -> i64 {
        match self {
            Events::WebLogs(it) => it.next_time_us(),
            Events::Nexmark(it) => it.next_time_us(),
        }
    }

    fn next_into(&mut self, out: &mut Vec<u8>) -> Made {
        match self {
            Events::WebLogs(it) => {
                let made = it.next_into(out);
                Made {
                    stream: 0,
                    key_hash: made.key_hash,
                    truth: made.truth,
                }
            }
            Events::Nexmark(it) => {
                let made = it.next_into(out);
                Made {
                    stream: made.stream as usize,
                    key_hash: made.key_hash,
                    truth: None,
                }
            }
        }
    }

    fn key(&self) -> &str {
        match self {
            Events::WebLogs(it) => it.key(),
            Events::Nexmark(it) => it.key(),
        }
    }
}

fn time_us(text: &str) -> Result<i64> {
    match crate::source::decode::timestamp::parse(text, crate::source::decode::Zone::default()) {
        Some(it) => Ok(it),
        None => bail!("--start {text} is not a time such as 2026-01-31T12:00:00Z"),
    }
}

/// Generates until the load is done or `stop` is set; returns how many events were written. Each stream of the model has its target. The
/// injected truth goes to `truth`, one JSON line each. `observe` is told how far it is, often and at the end.
pub fn generate(
    load: &Load,
    targets: &mut [&mut dyn Target],
    mut truth: Option<&mut dyn Write>,
    observe: &mut dyn FnMut(Progress),
    stop: &AtomicBool,
) -> Result<u64> {
    let history_us = i64::try_from(load.history.as_micros()).unwrap_or(i64::MAX);
    let start_us = match load.start_us {
        Some(it) => it,
        None => now_us()?.saturating_sub(history_us),
    };
    let mut events = Events::of(load, start_us);
    let pacer = Pacer::new(start_us, load.duration);
    let began = Instant::now();
    let mut flushed = Instant::now();
    let mut event = Vec::with_capacity(512);
    let mut sent = 0u64;
    let flush = |targets: &mut [&mut dyn Target]| targets.iter_mut().try_for_each(|it| it.flush());
    while !stop.load(Ordering::Acquire) && load.count.is_none_or(|it| sent < it) {
        let elapsed = if load.paced {
            began.elapsed() + load.history
        } else {
            Duration::MAX / 4
        };
        let time_us = events.next_time_us();
        let progress = |sent: u64, caught_up: bool| Progress {
            sent,
            start_us,
            time_us,
            caught_up,
        };
        match pacer.next(time_us, elapsed) {
            Pace::Finish(rest) => {
                flush(targets)?;
                if load.paced {
                    sleep(rest, stop);
                }
                break;
            }
            Pace::Wait(rest) => {
                flush(targets)?;
                observe(progress(sent, true));
                flushed = Instant::now();
                std::thread::sleep(rest.min(FLUSH_EVERY));
                continue;
            }
            Pace::Emit => {}
        }
        event.clear();
        let made = events.next_into(&mut event);
        targets[made.stream].send(&event, events.key(), made.key_hash, stop)?;
        sent += 1;
        if let (Some(it), Some(out)) = (made.truth, truth.as_mut()) {
            writeln!(
                out,
                "{}",
                serde_json::json!({"event": it.event, "type": it.kind.name(), "time_us": it.time_us, "endpoint": it.endpoint,
                    "start_us": it.start_us, "end_us": it.end_us})
            )?;
        }
        if FLUSH_EVERY < flushed.elapsed() {
            flush(targets)?;
            observe(progress(sent, false));
            flushed = Instant::now();
        }
    }
    observe(Progress {
        sent,
        start_us,
        time_us: events.next_time_us(),
        caught_up: true,
    });
    let mut written = 0;
    for target in targets {
        written += target.finish(stop)?;
    }
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

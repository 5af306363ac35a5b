//! An hour of steady traffic: memory, descriptors and files must not grow.
//!
//! Backs the documentation's claim on memory. Records come at a steady rate with keys that nobody asks for again, views close their windows and drop
//! them after five minutes, and readers come and go on the event streams. The program's resident memory, the memory it has in use, its open
//! descriptors and the files of its lake are noted all the time. Ends with code 1 if the resident memory of a minute after the warm-up leaves its band.

mod common;

use clap::Parser;
use common::load::{Files, Sink, generator};
use common::pipeline::{Run, Running};
use futures::StreamExt;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Debug, Parser)]
struct Options {
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Not judged: state fills up to what the views keep.
    #[arg(long, default_value_t = 10)]
    warm_up_minutes: u64,
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// Event streams open at a time; each is closed and opened again every 10 to 70 s.
    #[arg(long, default_value_t = 20)]
    readers: u64,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// The program to measure, to compare builds; the one built along if left out.
    #[arg(long, default_value_os_t = common::tidelake())]
    program: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

const SAMPLE_EVERY: Duration = Duration::from_secs(10);
const FLUSH_EVERY: Duration = Duration::from_millis(20);
/// Median resident memory of each minute after the warm-up, against that of all of them.
const BAND: f64 = 0.10;
/// One event in so many is about a page that nobody asks for again.
const CHURN_EVERY: u64 = 5;

const DATAFLOW: &str = "
CREATE SOURCE web_logs (timestamp TIMESTAMP NOT NULL, ip TEXT, method TEXT, endpoint TEXT, status_code INT, response_time DOUBLE, user_id TEXT,
    session_id TEXT, bytes_sent BIGINT, user_agent TEXT, WATERMARK FOR timestamp AS timestamp - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 'web-logs') FORMAT JSON;
CREATE TABLE logs WITH (partition_by = 'date') AS SELECT *, CAST(timestamp AS DATE) AS date FROM web_logs;
CREATE MATERIALIZED VIEW pages WITH (retention = '5 minutes') AS
  SELECT window_start, endpoint, count(*) AS requests, count(DISTINCT ip) AS addresses, approx_percentile_cont(response_time, 0.95) AS p95
  FROM TUMBLE(logs, timestamp, INTERVAL '1' MINUTE) GROUP BY window_start, endpoint;
CREATE MATERIALIZED VIEW sessions WITH (retention = '5 minutes') AS
  SELECT window_start, session_id, count(*) AS requests, max(timestamp) AS last_seen
  FROM TUMBLE(logs, timestamp, INTERVAL '1' MINUTE) GROUP BY window_start, session_id;
CREATE MATERIALIZED VIEW last_minute AS
  SELECT method, count(*) AS requests, count(DISTINCT session_id) AS sessions, avg(response_time) AS response_time
  FROM logs WHERE timestamp > now() - INTERVAL '60' SECOND GROUP BY method;
CREATE MATERIALIZED VIEW overall WITH (retention = '5 minutes') AS
  SELECT window_start, count(*) AS requests, sum(bytes_sent) AS bytes_sent FROM TUMBLE(logs, timestamp, INTERVAL '10' SECOND) GROUP BY window_start;
";
const STREAMS: &[&str] = &["pages", "sessions", "last_minute", "overall"];

/// What was seen of the program at one moment.
#[derive(Clone, Debug, Serialize)]
struct Sample {
    minute: f64,
    records: u64,
    resident_mib: f64,
    allocated_mib: f64,
    descriptors: u64,
    lake_files: u64,
    lake_log_files: u64,
}

fn main() {
    let options = Options::parse();
    assert!(
        options.warm_up_minutes < options.minutes,
        "the run must be longer than its warm-up"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let (dataflow, input, lake) = (
        folder.path().join("soak"),
        folder.path().join("input"),
        folder.path().join("lake"),
    );
    std::fs::create_dir(&dataflow).expect("a folder for the dataflow");
    std::fs::write(dataflow.join("dataflow.sql"), DATAFLOW).expect("the dataflow can be written");
    let mut sink = Files::open(&input, 4);
    let arguments = ["--input".to_owned(), input.display().to_string()];
    let running = Running::start(&Run {
        program: &options.program,
        dataflow: &dataflow,
        lake: &lake,
        workers: options.workers,
        arguments: &arguments,
        environment: &[],
    });
    let (sent, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut samples = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| send(&mut sink, options.rate, &sent, &stop));
        scope.spawn(|| follow(&running.address, options.readers, &stop));
        watch(&options, &running, &lake, &mut samples);
        stop.store(true, Ordering::Release);
    });
    let sent = sent.into_inner();
    running.wait_for(sent);
    let (counted, _) = running.counted();
    assert_eq!(counted, sent, "every record was counted once");
    let used = running.stop();
    println!(
        "\n{sent} records, {:.1} CPU-seconds ({:.3} cores), peak {:.0} MiB",
        used.cpu_s,
        used.cpu_s / (options.minutes as f64 * 60.0),
        used.peak_mib
    );
    if !judge(&samples, options.warm_up_minutes as f64) {
        std::process::exit(1);
    }
}

/// Notes a sample every ten seconds, and prints one a minute.
fn watch(options: &Options, running: &Running, lake: &Path, samples: &mut Vec<Sample>) {
    let began = Instant::now();
    let total = Duration::from_secs(options.minutes * 60);
    println!(
        "{:>7} {:>10} {:>13} {:>14} {:>12} {:>11} {:>10}",
        "minute",
        "records",
        "resident MiB",
        "allocated MiB",
        "descriptors",
        "lake files",
        "log files"
    );
    let mut printed = 0.0;
    while began.elapsed() < total {
        std::thread::sleep(SAMPLE_EVERY);
        let minute = began.elapsed().as_secs_f64() / 60.0;
        let Some(sample) = sample(running, lake, minute) else {
            continue;
        };
        if printed + 1.0 <= minute {
            printed = minute.floor();
            println!(
                "{:>7.1} {:>10} {:>13.1} {:>14.1} {:>12} {:>11} {:>10}",
                sample.minute,
                sample.records,
                sample.resident_mib,
                sample.allocated_mib,
                sample.descriptors,
                sample.lake_files,
                sample.lake_log_files
            );
        }
        samples.push(sample);
    }
}

fn sample(running: &Running, lake: &Path, minute: f64) -> Option<Sample> {
    let metrics = running.text("/metrics")?;
    let metric = |name: &str| {
        let line = metrics.lines().find(|it| it.starts_with(name))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", running.process_id())).ok()?;
    let (lake_files, lake_log_files) = files(lake);
    Some(Sample {
        minute,
        records: running.counted().0,
        resident_mib: metric("process_resident_memory_bytes ")? / f64::from(1 << 20),
        allocated_mib: metric("tidelake_allocated_bytes ")? / f64::from(1 << 20),
        descriptors: descriptors.count() as u64,
        lake_files,
        lake_log_files,
    })
}

/// Files of the lake: those of tables and state, and those of the tables' logs.
fn files(folder: &Path) -> (u64, u64) {
    let (mut all, mut of_logs) = (0, 0);
    // What is swept between listing and looking is gone.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            let (inner, inner_logs) = files(&path);
            let is_log = path.file_name().is_some_and(|it| it == "_delta_log");
            all += if is_log { 0 } else { inner };
            of_logs += inner_logs + if is_log { inner } else { 0 };
        } else {
            all += 1;
        }
    }
    (all, of_logs)
}

/// Whether resident memory stayed in its band after the warm-up, by the median of each minute: views fill up and are emptied within one, and
/// merging of files takes memory for a moment. Prints the figures, also of single moments.
fn judge(samples: &[Sample], warm_up_minutes: f64) -> bool {
    for it in samples {
        println!(
            "{}",
            serde_json::to_string(it).expect("figures are numbers and names")
        );
    }
    let after: Vec<&Sample> = samples
        .iter()
        .filter(|it| warm_up_minutes <= it.minute)
        .collect();
    let (Some(first), Some(last)) = (after.first(), after.last()) else {
        println!("no samples after the warm-up");
        return false;
    };
    let resident = || after.iter().map(|it| it.resident_mib);
    let mut minutes: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for it in &after {
        minutes
            .entry(it.minute as u64)
            .or_default()
            .push(it.resident_mib);
    }
    let minutes: Vec<f64> = minutes.into_values().map(median).collect();
    let (middle, low, high) = (
        median(resident().collect()),
        minutes.iter().copied().fold(f64::INFINITY, f64::min),
        minutes.iter().copied().fold(0.0, f64::max),
    );
    println!(
        "resident after {warm_up_minutes} minutes: median {middle:.1} MiB, of each minute {low:.1} to {high:.1}, of a moment up to {:.1}; descriptors {} then {}",
        resident().fold(0.0, f64::max),
        first.descriptors,
        last.descriptors
    );
    let flat = (1.0 - BAND) * middle <= low && high <= (1.0 + BAND) * middle;
    let verdict = if flat { "flat" } else { "NOT FLAT" };
    println!(
        "{verdict}: the band is {:.0} % around the median",
        100.0 * BAND
    );
    flat
}

/// The value in the middle; there is at least one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| it.as_micros() as i64)
}

/// Sends events as they become due by the wall clock, until told to stop.
fn send(sink: &mut Files, rate: f64, sent: &AtomicU64, stop: &AtomicBool) {
    let mut generator = generator(rate, wall_us());
    let partitions = sink.partitions() as u64;
    let (mut event, mut count) = (Vec::with_capacity(512), 0u64);
    while !stop.load(Ordering::Acquire) {
        while generator.next_time_us() <= wall_us() {
            event.clear();
            let made = generator.next_into(&mut event);
            if count.is_multiple_of(CHURN_EVERY) {
                event.clear();
                let at = tidelake::model::iso_of_micros(made.time_us);
                let churn = format!(
                    r#"{{"timestamp":"{at}","ip":"10.0.0.1","method":"GET","endpoint":"/item/{count}","status_code":200,"response_time":12,"session_id":"visit_{count}","bytes_sent":1000}}"#
                );
                event.extend_from_slice(churn.as_bytes());
            }
            sink.send((made.key_hash % partitions) as usize, &event);
            count += 1;
        }
        sink.flush();
        sent.store(count, Ordering::Release);
        std::thread::sleep(FLUSH_EVERY);
    }
}

/// Keeps readers on the event streams, each leaving after a while and coming back.
fn follow(address: &str, readers: u64, stop: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for the readers");
    runtime.block_on(async {
        let reader = |number: u64| async move {
            let view = STREAMS[number as usize % STREAMS.len()];
            let url = format!("http://{address}/api/v1/views/{view}/changes");
            let stays = Duration::from_secs(10 + number * 60 / readers.max(1));
            while !stop.load(Ordering::Acquire) {
                let until = Instant::now() + stays;
                let Ok(response) = reqwest::get(&url).await else {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                };
                let mut stream = response.bytes_stream();
                while Instant::now() < until && !stop.load(Ordering::Acquire) {
                    let part = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
                    if let Ok(None | Some(Err(_))) = part {
                        break;
                    }
                }
            }
        };
        futures::future::join_all((0..readers).map(reader)).await;
    });
}

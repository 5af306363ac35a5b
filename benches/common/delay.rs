//! The delay from a record to the frame of an event stream that shows it, under load.
//!
//! Among records at a steady rate, every now and then one is a probe: its endpoint is a path nobody else asks for, made
//! from the time it is sent at. The view `endpoints` has a row per endpoint, so each probe appears exactly once in the
//! stream of its changes, and the row itself tells when its record was sent. Time spent in the sender's own buffer counts.

use super::load::{Sink, generator};
use super::pipeline::Running;
use futures::StreamExt;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidelake::generator::Generated;

/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// How often the sender empties its buffer.
const FLUSH_EVERY: Duration = Duration::from_millis(5);
/// Not measured: the program starts, the first commit is made.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long to wait for the last probes.
const LAST_MAX: Duration = Duration::from_secs(20);
const PREFIX: &str = "/probe/";

/// What subscribers saw.
#[derive(Clone, Debug, Serialize)]
pub struct Delays {
    pub bench: String,
    pub step: String,
    pub asked_records_per_s: f64,
    pub records_per_s: f64,
    pub probes: u64,
    pub missed: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub cpu_cores: f64,
    pub peak_mib: f64,
}

/// Sends for some seconds at a rate and measures meanwhile. The program must already run on what `sink` writes.
pub fn measure(
    bench: &str,
    running: Running,
    sink: &mut (dyn Sink + Send),
    rate: f64,
    seconds: u64,
) -> Delays {
    let measured = Duration::from_secs(seconds);
    let sent = AtomicU64::new(0);
    let began = Instant::now();
    let mut seen = Seen::new();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(sink, rate, WARM_UP + measured, &sent));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime for the subscriber");
        runtime.block_on(listen(&running.address, &mut seen, &sending));
    });
    let all = sent.into_inner();
    let sent_for_s = (WARM_UP + measured).as_secs_f64();
    running.wait_for(all);
    let elapsed_s = began.elapsed().as_secs_f64();
    let used = running.stop();
    let ms = |us: u64| us as f64 / 1000.0;
    Delays {
        bench: bench.to_owned(),
        step: "delay".to_owned(),
        asked_records_per_s: rate,
        records_per_s: all as f64 / sent_for_s,
        probes: seen.delays_us.len(),
        missed: seen.missed,
        p50_ms: ms(seen.delays_us.value_at_quantile(0.5)),
        p99_ms: ms(seen.delays_us.value_at_quantile(0.99)),
        max_ms: ms(seen.delays_us.max()),
        cpu_cores: used.cpu_s / elapsed_s,
        peak_mib: used.peak_mib,
    }
}

pub fn report(delays: &Delays) {
    println!(
        "\ndelay from record to event stream, {:.0} records/s sent of {:.0} asked for: {} probes, p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms; {:.2} cores, peak {:.0} MiB",
        delays.records_per_s,
        delays.asked_records_per_s,
        delays.probes,
        delays.p50_ms,
        delays.p99_ms,
        delays.max_ms,
        delays.cpu_cores,
        delays.peak_mib
    );
    println!(
        "{}",
        serde_json::to_string(delays).expect("figures are numbers and names")
    );
}

struct Seen {
    delays_us: Histogram<u64>,
    probes: HashSet<u64>,
    missed: u64,
}

impl Seen {
    fn new() -> Self {
        Seen {
            delays_us: Histogram::new_with_bounds(1, 600_000_000, 3).expect("sound bounds"),
            probes: HashSet::new(),
            missed: 0,
        }
    }

    /// Takes in one line of the stream, which came just now.
    fn line(&mut self, line: &str, from_us: u64) {
        let now_us = wall_us();
        for part in line.split(PREFIX).skip(1) {
            let digits = part.split('"').next().unwrap_or_default();
            let Ok(sent_us) = digits.parse::<u64>() else {
                continue;
            };
            if self.probes.insert(sent_us) && from_us <= sent_us {
                self.delays_us
                    .record(now_us.saturating_sub(sent_us).max(1))
                    .expect("a delay within the bounds");
            }
        }
    }
}

fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| it.as_micros() as u64)
}

/// Reads the view's stream until the sender is done and all its probes were seen. Probes not seen in time are missed.
async fn listen(address: &str, seen: &mut Seen, sending: &std::thread::ScopedJoinHandle<'_, u64>) {
    let url = format!("http://{address}/api/v1/views/endpoints/changes");
    let opened = Instant::now();
    let response = loop {
        match reqwest::get(&url).await {
            Ok(response) if response.status().is_success() => break response,
            _ if LAST_MAX < opened.elapsed() => panic!("the program does not answer"),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let from_us = wall_us() + WARM_UP.as_micros() as u64;
    let mut stream = response.bytes_stream();
    let mut buffer: Vec<u8> = Vec::new();
    let mut ended: Option<Instant> = None;
    loop {
        if sending.is_finished() {
            let since = *ended.get_or_insert_with(Instant::now);
            let wanted = PROBES.load(Ordering::Acquire);
            let missing = wanted.saturating_sub(seen.probes.len() as u64);
            if missing == 0 || LAST_MAX < since.elapsed() {
                seen.missed = missing;
                return;
            }
        }
        let Ok(part) = tokio::time::timeout(Duration::from_millis(100), stream.next()).await else {
            continue;
        };
        let part = part
            .expect("the stream goes on")
            .expect("the stream is readable");
        buffer.extend_from_slice(&part);
        while let Some(end) = memchr::memchr(b'\n', &buffer) {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            seen.line(&String::from_utf8_lossy(&line), from_us);
        }
    }
}

/// Probes sent by this process.
static PROBES: AtomicU64 = AtomicU64::new(0);

/// Sends events as they become due by the wall clock; returns how many.
fn send(sink: &mut (dyn Sink + Send), rate: f64, duration: Duration, sent: &AtomicU64) -> u64 {
    let start_us = wall_us();
    let mut generator = generator(rate, start_us as i64);
    let end_us = start_us + duration.as_micros() as u64;
    let partitions = sink.partitions() as u64;
    let (mut event, mut count, mut probed_us) = (Vec::with_capacity(512), 0u64, start_us);
    loop {
        let now_us = wall_us();
        while generator.next_time_us() <= now_us.min(end_us) as i64 {
            event.clear();
            let Generated { key_hash, .. } = generator.next_into(&mut event);
            sink.send((key_hash % partitions) as usize, &event);
            count += 1;
        }
        if end_us <= now_us {
            break;
        }
        if probed_us + PROBE_EVERY.as_micros() as u64 <= now_us {
            probed_us = now_us;
            let at = tidelake::model::iso_of_micros(now_us as i64);
            let probe = format!(
                r#"{{"timestamp":"{at}","ip":"10.0.0.1","method":"GET","endpoint":"{PREFIX}{now_us}","status_code":200,"response_time":1,"bytes_sent":1}}"#
            );
            let number = PROBES.fetch_add(1, Ordering::AcqRel);
            sink.send((number % partitions) as usize, probe.as_bytes());
            count += 1;
        }
        sink.flush();
        std::thread::sleep(FLUSH_EVERY);
    }
    sink.flush();
    sent.store(count, Ordering::Release);
    count
}

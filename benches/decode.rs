//! Raw bytes into typed columns: CPU time per record of every format.
//!
//! Backs the documentation's claim on decoding. Ceilings in the same run: finding line ends alone, and the JSON parser alone. Measured is the CPU
//! time of the measuring thread, not wall clock.

#[path = "common/thread_time.rs"]
mod thread_time;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;
use thread_time::thread_time;
use tidelake::generator::{Generator, Settings};
use tidelake::model::Partition;
use tidelake::plan::SourceSpec;
use tidelake::source::decode::RawRecords;

const RECORDS: usize = 3_000;

/// CPU time of this thread.
struct ThreadTime;

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        thread_time()
    }
    fn end(&self, start: Duration) -> Duration {
        thread_time() - start
    }
    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }
    fn zero(&self) -> Duration {
        Duration::ZERO
    }
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(ThreadTime)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(30)
        .configure_from_args();
    let mut group = criterion.benchmark_group("decode");
    let clean = generated();
    let dirty = broken(&clean);
    let access = access_log();
    let json = source("web_logs");
    let log = source("access_log");
    for (name, input) in [("json", &clean), ("access log", &access)] {
        group.throughput(Throughput::Elements(input.ends.len() as u64));
        group.bench_function(BenchmarkId::new("ceiling: line ends", name), |it| {
            it.iter(|| memchr::memchr_iter(b'\n', black_box(&input.data)).count());
        });
    }
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("ceiling: JSON parser alone", |it| {
        let mut scratch = Vec::new();
        let mut buffers = simd_json::Buffers::default();
        it.iter(|| {
            let mut start = 0;
            for end in &clean.ends {
                scratch.clear();
                scratch.extend_from_slice(&clean.data[start..*end as usize - 1]);
                start = *end as usize;
                let tape = simd_json::to_tape_with_buffers(&mut scratch, &mut buffers);
                black_box(tape.expect("generated records are JSON").0.len());
            }
        });
    });
    for (name, spec, input) in [
        ("json", &json, &clean),
        ("json, 1 % malformed", &json, &dirty),
        ("access log", &log, &access),
    ] {
        let mut decoder = tidelake::coordinator::decoder(spec).expect("a source to decode");
        let decoded = decoder.decode(input);
        assert!(
            input.ends.len() * 98 / 100 < decoded.batch.num_rows(),
            "nearly all of {name} decodes"
        );
        group.throughput(Throughput::Elements(input.ends.len() as u64));
        group.bench_function(name, |it| {
            it.iter(|| black_box(decoder.decode(black_box(input)).batch.num_rows()));
        });
    }
    group.finish();
    criterion.final_summary();
}

fn source(dataflow: &str) -> SourceSpec {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("dataflows")
        .join(dataflow);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime for planning");
    let dataflow = runtime
        .block_on(tidelake::sql::load(
            &folder,
            |_| None,
            &tidelake::sql::models::Models::Unknown,
        ))
        .expect("the shipped dataflow is sound");
    dataflow.sources[0].clone()
}

fn records(lines: impl Iterator<Item = Vec<u8>>) -> RawRecords {
    let mut records = RawRecords {
        partition: Partition(0),
        data: Vec::new(),
        ends: Vec::new(),
        offsets: Vec::new(),
        header: None,
    };
    for line in lines {
        records.offsets.push(records.data.len() as i64);
        records.data.extend_from_slice(&line);
        records.data.push(b'\n');
        records.ends.push(records.data.len() as u32);
    }
    records
}

fn generated() -> RawRecords {
    let mut generator = Generator::new(Settings {
        seed: 42,
        rate: 100_000.0,
        anomalies: true,
        start_us: 1_767_225_600_000_000,
    });
    records((0..RECORDS).map(|_| {
        let mut event = Vec::new();
        generator.next_into(&mut event);
        event
    }))
}

/// Every hundredth record is cut short.
fn broken(clean: &RawRecords) -> RawRecords {
    let mut start = 0;
    records(clean.ends.iter().enumerate().map(|(number, end)| {
        let line = &clean.data[start..*end as usize - 1];
        start = *end as usize;
        let length = if number % 100 == 99 {
            line.len() / 2
        } else {
            line.len()
        };
        line[..length].to_vec()
    }))
}

fn access_log() -> RawRecords {
    records((0..RECORDS).map(|number| {
        format!(
            r#"203.0.113.{} - - [12/May/2026:00:{:02}:{:02} +0000] "GET /erddap/tabledap/set{}.csv?time HTTP/1.1" 200 {} "https://example.com/" "Mozilla/5.0 (X11; Linux x86_64)""#,
            number % 250,
            number / 60 % 60,
            number % 60,
            number % 97,
            number * 37 % 90_000
        )
        .into_bytes()
    }))
}

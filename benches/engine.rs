//! The engine's operators one by one: records already decoded, results counted and dropped.
//!
//! Backs the documentation's claim on what a view costs per record. Every case is a dataflow of its own with one view over the same source, so
//! a case beside `pass` (a filter that lets nothing through) says what its operator adds. No file is read or written.

mod common;

use clap::Parser;
use common::{Figure, load};
use std::path::PathBuf;
use tidelake::coordinator::decoder;
use tidelake::engine::Input;
use tidelake::model::{Offset, Partition, Position};
use tidelake::plan::Dataflow;
use tidelake::source::decode::RawRecords;

/// Records of one input, as a reader would hand them over.
const CHUNK: usize = 3_000;

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Records per case.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// Records per second of event time.
    #[arg(long, default_value_t = 100_000.0)]
    event_rate: f64,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Only cases whose name has this in it.
    filter: Option<String>,
    /// Runs one case and tells its figures: how this bench starts itself.
    #[arg(long, hide = true)]
    step: Option<String>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Name and view of every case.
const CASES: &[(&str, &str)] = &[
    (
        "pass",
        "SELECT endpoint, count(*) AS n FROM web_logs WHERE status_code < 0 GROUP BY endpoint",
    ),
    (
        "count by key",
        "SELECT endpoint, count(*) AS n FROM web_logs GROUP BY endpoint",
    ),
    (
        "count by wide key",
        "SELECT session_id, count(*) AS n FROM web_logs GROUP BY session_id",
    ),
    (
        "mean and errors by key",
        "SELECT endpoint, count(*) AS n, avg(response_time) AS mean, count(*) FILTER (WHERE status_code >= 400) AS errors FROM web_logs GROUP BY endpoint",
    ),
    (
        "three percentiles by key",
        "SELECT endpoint, approx_percentile_cont(response_time, 0.5) AS p50, approx_percentile_cont(response_time, 0.95) AS p95, approx_percentile_cont(response_time, 0.99) AS p99 FROM web_logs GROUP BY endpoint",
    ),
    ("stddev", "SELECT stddev(response_time) AS it FROM web_logs"),
    (
        "min and max by key",
        "SELECT endpoint, min(response_time) AS low, max(timestamp) AS last FROM web_logs GROUP BY endpoint",
    ),
    (
        "distinct per minute",
        "SELECT window_start, count(DISTINCT ip) AS ips FROM TUMBLE(web_logs, timestamp, INTERVAL '1' MINUTE) GROUP BY window_start",
    ),
    (
        "distinct, last minute",
        "SELECT count(DISTINCT session_id) AS sessions FROM web_logs WHERE timestamp > now() - INTERVAL '60' SECOND",
    ),
    (
        "tumbling minute by key",
        "SELECT window_start, endpoint, count(*) AS n FROM TUMBLE(web_logs, timestamp, INTERVAL '1' MINUTE) GROUP BY window_start, endpoint",
    ),
    (
        "expressions",
        "SELECT kind, count(*) AS n FROM (SELECT CASE WHEN endpoint LIKE '/api/admin%' THEN 'admin' WHEN endpoint LIKE '/api/%' THEN 'api' ELSE 'web' END AS kind FROM web_logs) GROUP BY kind",
    ),
    (
        "top ten of a wide key",
        "SELECT session_id, count(*) AS n FROM web_logs GROUP BY session_id ORDER BY n DESC LIMIT 10",
    ),
];

fn main() {
    let options = Options::parse();
    if let Some(name) = &options.step {
        let case = CASES
            .iter()
            .find(|it| it.0 == name)
            .expect("a case by its name");
        let dataflow = plan(case.1);
        // One source.
        let inputs = inputs(&dataflow, &options).into_iter();
        let inputs = inputs.map(|it| vec![it]).collect();
        let done = common::engine::run(dataflow, inputs, options.records, 10_000_000);
        println!("{}", serde_json::to_string(&done).expect("plain numbers"));
        return;
    }
    let wanted = |it: &&(&str, &str)| {
        options
            .filter
            .as_ref()
            .is_none_or(|part| it.0.contains(part))
    };
    let arguments: Vec<String> = [
        ("--records", options.records.to_string()),
        ("--workers", options.workers.to_string()),
        ("--event-rate", options.event_rate.to_string()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    let figures: Vec<Figure> = CASES
        .iter()
        .filter(wanted)
        .map(|it| common::step("engine", it.0, &arguments))
        .collect();
    common::report(
        &format!(
            "engine: {} decoded records, {} workers; peak memory is what it takes beyond them",
            options.records, options.workers
        ),
        &figures,
    );
}

/// The shipped source with one view over it.
fn plan(view: &str) -> Dataflow {
    let path: PathBuf = common::repository().join("dataflows/web_logs/dataflow.sql");
    let shipped = std::fs::read_to_string(path).expect("the shipped dataflow is there");
    let tables = shipped
        .find("CREATE TABLE")
        .expect("the source comes first");
    let text = format!(
        "{}\nCREATE MATERIALIZED VIEW it AS {view};",
        &shipped[..tables]
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime for planning");
    runtime
        .block_on(tidelake::sql::plan_text("bench", &text, |_| None))
        .expect("a case can be maintained")
}

/// Decoded records in order of event time, dealt to the workers by chunks: one partition each.
fn inputs(dataflow: &Dataflow, options: &Options) -> Vec<Vec<Input>> {
    let mut decoder = decoder(&dataflow.sources[0]).expect("the source can be decoded");
    let mut generator = load::generator(options.event_rate, 1_767_225_600_000_000);
    let mut all: Vec<Vec<Input>> = (0..options.workers).map(|_| Vec::new()).collect();
    let mut made = 0;
    for number in 0.. {
        let count = CHUNK.min((options.records - made) as usize);
        if count == 0 {
            break;
        }
        let worker = number % options.workers;
        let partition = Partition(worker as i32);
        let mut raw = RawRecords {
            partition,
            data: Vec::new(),
            ends: Vec::new(),
            offsets: Vec::new(),
            header: None,
        };
        for _ in 0..count {
            generator.next_into(&mut raw.data);
            raw.ends.push(raw.data.len() as u32);
            raw.offsets.push(made as i64);
            made += 1;
        }
        let decoded = decoder.decode(&raw);
        all[worker].push(Input {
            partition,
            records: decoded.batch,
            kind: tidelake::engine::Records::Read,
            newest_us: decoded.max_event_time,
            undecoded: Vec::new(),
            from: Offset(raw.offsets[0]),
            next: Position {
                offset: Offset(made as i64),
                origin: String::new(),
                mark: String::new(),
            },
            bytes: raw.data.len() as u64,
            checksum: 0,
            stamps: None,
            at_end: false,
        });
    }
    for inputs in &mut all {
        if let Some(last) = inputs.last_mut() {
            last.at_end = true;
        }
    }
    all
}

//! The queries of the shipped Nexmark dataflow, one by one: events already decoded and in memory to the end, results counted and dropped.
//!
//! Every query is a process of its own with the sources, their tables and its view, on one worker and on two. Beside each stands what Feldera's `dbsp` (the queries
//! written by hand in Rust) needs on a machine of this kind, both beyond the own `q0`: that takes away what feeding events in costs, in either.

mod common;

use clap::Parser;
use common::Figure;
use std::collections::BTreeMap;
use tidelake::coordinator::decoder;
use tidelake::engine::Input;
use tidelake::generator::nexmark::{self, Nexmark, Stream};
use tidelake::model::{Offset, Partition, Position};
use tidelake::plan::Dataflow;
use tidelake::source::decode::{Decoder, RawRecords};

/// Records of one input, as a reader would hand them over.
const CHUNK: usize = 3_000;
const START_US: i64 = 1_767_225_600_000_000;
const BASE: &str = "q0";

/// CPU-seconds per million events that `dbsp` needs beyond its q0, which takes 1.15 with its generator.
const DBSP_CPU_S: &[(&str, f64)] = &[
    ("q3", 0.05),
    ("q4", 0.4),
    ("q5", 0.1),
    ("q7", 0.4),
    ("q8", 0.0),
    ("q9", 3.7),
    ("q15", 0.9),
    ("q16", 2.9),
    ("q17", 1.7),
    ("q18", 1.5),
    ("q19", 1.5),
    ("q20", 1.1),
];

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Events per query.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Events per second of event time.
    #[arg(long, default_value_t = 10_000.0)]
    event_rate: f64,
    /// Numbers of workers.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    workers: Vec<usize>,
    /// Only these queries, and q0.
    queries: Vec<String>,
    /// Runs one query and tells its figures: how this bench starts itself.
    #[arg(long, hide = true)]
    step: Option<String>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let shipped = Shipped::read();
    if let Some(step) = &options.step {
        let dataflow = shipped.with(step);
        let inputs = inputs(&dataflow, options.workers[0], &options);
        let done = common::engine::run(dataflow, inputs, options.events, 4_000_000);
        println!("{}", serde_json::to_string(&done).expect("plain numbers"));
        return;
    }
    let wanted =
        |it: &&String| options.queries.is_empty() || *it == BASE || options.queries.contains(it);
    let names: Vec<&String> = shipped.names.iter().filter(wanted).collect();
    for workers in &options.workers {
        let figures: Vec<Figure> = names
            .iter()
            .map(|name| {
                let arguments = [
                    ("--events", options.events.to_string()),
                    ("--event-rate", options.event_rate.to_string()),
                    ("--workers", workers.to_string()),
                ];
                let arguments: Vec<String> = arguments
                    .into_iter()
                    .flat_map(|(name, value)| [name.to_owned(), value])
                    .collect();
                common::step(&format!("nexmark/{workers}"), name, &arguments)
            })
            .collect();
        report(options.events, *workers, &figures);
    }
}

fn report(events: u64, workers: usize, figures: &[Figure]) {
    println!(
        "\nnexmark: {events} events, {workers} worker(s); peak memory is what it takes beyond the events\n"
    );
    println!(
        "{:<6} {:>15} {:>10} {:>10} {:>8} {:>10} {:>10}",
        "query", "CPU-s/million", "beyond q0", "dbsp", "ratio", "peak MiB", "events/s"
    );
    let base = figures.iter().find(|it| it.step == BASE);
    let base = base.expect("q0 is always run").cpu_s_per_million;
    for it in figures {
        let beyond = it.cpu_s_per_million - base;
        let peer = DBSP_CPU_S.iter().find(|peer| peer.0 == it.step);
        let (of_peer, ratio) = match peer {
            Some((_, cpu_s)) if 0.0 < *cpu_s => {
                (format!("{cpu_s:.2}"), format!("{:.1}", beyond / cpu_s))
            }
            Some((_, cpu_s)) => (format!("{cpu_s:.2}"), String::new()),
            None => (String::new(), String::new()),
        };
        println!(
            "{:<6} {:>15.2} {:>10.2} {:>10} {:>8} {:>10.0} {:>10.0}",
            it.step, it.cpu_s_per_million, beyond, of_peer, ratio, it.peak_mib, it.records_per_s
        );
    }
    println!();
    for it in figures {
        println!(
            "{}",
            serde_json::to_string(it).expect("figures are numbers and names")
        );
    }
}

/// The shipped dataflow, in parts.
struct Shipped {
    /// Sources and their tables.
    head: String,
    names: Vec<String>,
    views: BTreeMap<String, String>,
}

impl Shipped {
    fn read() -> Self {
        let path = common::repository().join("dataflows/nexmark/dataflow.sql");
        let text = std::fs::read_to_string(path).expect("the shipped dataflow is there");
        const VIEW: &str = "CREATE MATERIALIZED VIEW ";
        let of_head = text.find(VIEW).expect("views come after tables");
        let statements: Vec<&str> = text.split(VIEW).skip(1).collect();
        let view = |it: &&str| {
            let name = it.split_whitespace().next().expect("a view has a name");
            let end = it.find(";\n").expect("a statement ends with its line") + 1;
            (name.to_owned(), format!("{VIEW}{}", &it[..end]))
        };
        let views: Vec<(String, String)> = statements.iter().map(view).collect();
        Shipped {
            head: text[..of_head].to_owned(),
            names: views.iter().map(|it| it.0.clone()).collect(),
            views: views.into_iter().collect(),
        }
    }

    /// The sources and tables with one view over them.
    fn with(&self, view: &str) -> Dataflow {
        let view = self.views.get(view).expect("a query by its name");
        let text = format!("{}\n{view}", self.head);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime for planning");
        runtime
            .block_on(tidelake::sql::plan_text("bench", &text, |_| None))
            .expect("a shipped query can be maintained")
    }
}

/// Decoded events per worker and source, in order of event time, dealt to the workers by chunks: one partition each.
fn inputs(dataflow: &Dataflow, workers: usize, options: &Options) -> Vec<Vec<Vec<Input>>> {
    let mut decoders: Vec<_> = dataflow
        .sources
        .iter()
        .map(|it| decoder(it).expect("the source can be decoded"))
        .collect();
    // Sources are called persons, auctions and bids.
    let places = Stream::NAMES.map(|stream| {
        let name = format!("{stream}s");
        let mut sources = dataflow.sources.iter();
        let place = sources.position(|it| it.name == name);
        place.expect("a source per stream")
    });
    let mut generator = Nexmark::new(nexmark::Settings {
        seed: 42,
        rate: options.event_rate,
        start_us: START_US,
    });
    let sources = dataflow.sources.len();
    let mut all: Vec<Vec<Vec<Input>>> = (0..workers)
        .map(|_| (0..sources).map(|_| Vec::new()).collect())
        .collect();
    let mut offsets = vec![0i64; sources];
    let mut made = 0;
    for number in 0.. {
        let count = CHUNK.min((options.events - made) as usize);
        if count == 0 {
            break;
        }
        made += count as u64;
        let worker = number % workers;
        let partition = Partition(worker as i32);
        let mut raw: Vec<RawRecords> = (0..sources).map(|_| RawRecords::empty(partition)).collect();
        let mut event = Vec::new();
        for _ in 0..count {
            event.clear();
            let source = places[generator.next_into(&mut event).stream as usize];
            raw[source].push(offsets[source], &event);
            offsets[source] += 1;
        }
        for (source, raw) in raw.iter().enumerate().filter(|it| !it.1.offsets.is_empty()) {
            all[worker][source].push(input(&mut decoders[source], raw));
        }
    }
    let mut sources = dataflow.sources.iter();
    let side = sources.position(|it| it.name == nexmark::SIDE_INPUT);
    let side = side.expect("a source of the side input");
    let mut raw = RawRecords::empty(Partition(0));
    for (key, row) in nexmark::side_input() {
        raw.push(key as i64, row.as_bytes());
    }
    all[0][side].push(input(&mut decoders[side], &raw));
    for inputs in all.iter_mut().flatten() {
        if let Some(last) = inputs.last_mut() {
            last.at_end = true;
        }
    }
    all
}

/// Records of a partition, decoded, as a reader hands them over.
fn input(decoder: &mut Decoder, raw: &RawRecords) -> Input {
    let decoded = decoder.decode(raw);
    let (first, last) = (raw.offsets[0], raw.offsets[raw.offsets.len() - 1]);
    Input {
        partition: raw.partition,
        records: decoded.batch,
        kind: tidelake::engine::Records::Read,
        newest_us: decoded.max_event_time,
        undecoded: Vec::new(),
        from: Offset(first),
        next: Position {
            offset: Offset(last + 1),
            origin: String::new(),
            mark: String::new(),
        },
        bytes: raw.data.len() as u64,
        checksum: 0,
        stamps: None,
        at_end: false,
    }
}

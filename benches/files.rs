//! From partition files to live views and archive, with all shipped views of `dataflows/web_logs` on.
//!
//! Backs the documentation's claims on throughput from files, on what Tidelake costs beside merely reading, decoding and archiving, and on
//! the delay from a record to the event stream that shows it. Ceilings and pipeline read the same files in the same run; compare
//! their CPU time, since other work on the machine changes wall clock.

mod common;

use clap::Parser;
use common::ceiling::{self, Depth};
use common::load::{self, Files};
use common::pipeline::{self, Run, Running};
use common::{Figure, delay};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidelake::model::Offsets;
use tidelake::plan::Dataflow;
use tidelake::source::{LookAgain, SharedStatus, file};

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Records to read.
    #[arg(long, default_value_t = 4_000_000)]
    records: u64,
    /// Records per second of event time.
    #[arg(long, default_value_t = 100_000.0)]
    event_rate: f64,
    #[arg(long, default_value_t = 8)]
    partitions: usize,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Seconds to measure the delay; 0 leaves it out.
    #[arg(long, default_value_t = 20)]
    delay_seconds: u64,
    /// Records per second while the delay is measured; half of what the pipeline made if left out.
    #[arg(long)]
    rate: Option<f64>,
    /// Runs one ceiling over a folder and tells its figures: how this bench starts itself.
    #[arg(long, hide = true, requires = "input")]
    step: Option<Depth>,
    #[arg(long, hide = true)]
    input: Option<PathBuf>,
    /// The program to measure, to compare builds; the one built along if left out.
    #[arg(long, default_value_os_t = common::tidelake())]
    program: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    match (&options.step, &options.input) {
        (Some(depth), Some(input)) => {
            let done = read(*depth, input, &options);
            println!("{}", serde_json::to_string(&done).expect("plain numbers"));
        }
        _ => all(&options),
    }
}

fn all(options: &Options) {
    let input = tempfile::tempdir().expect("a folder for the input");
    let start_us = 1_767_225_600_000_000; // 2026-01-01
    let mut files = Files::open(input.path(), options.partitions);
    load::fill(&mut files, options.records, options.event_rate, start_us);
    drop(files);
    let folder = input.path().display().to_string();
    let arguments: Vec<String> = [
        "--input",
        &folder,
        "--records",
        &options.records.to_string(),
        "--workers",
        &options.workers.to_string(),
    ]
    .map(str::to_owned)
    .to_vec();
    let mut figures: Vec<Figure> = ["read", "decode", "parquet", "table"]
        .map(|it| common::step("files", it, &arguments))
        .to_vec();
    let from_files = ["--input".to_owned(), folder];
    let archive = shipped_before("CREATE MATERIALIZED VIEW");
    let undetected = shipped_before("CREATE DETECTOR");
    let shipped = common::repository().join("dataflows/web_logs");
    for (name, dataflow) in [
        ("archive, no views", archive.path()),
        ("all but detectors", undetected.path()),
        ("archive and all views", shipped.as_path()),
    ] {
        let lake = tempfile::tempdir().expect("a folder for the lake");
        let (done, used) = pipeline::drain(
            &run(dataflow, lake.path(), &from_files, options),
            options.records,
        );
        figures.push(Figure::new("files", name, done, used));
    }
    let ceiling = figures[2].cpu_s_per_million;
    for it in &mut figures[3..] {
        it.of_ceiling = Some(ceiling / it.cpu_s_per_million);
    }
    common::report(
        &format!(
            "files: {} records in {} partition files, {} workers; ceiling: parquet, by CPU time",
            options.records, options.partitions, options.workers
        ),
        &figures,
    );
    drop(input);
    if 0 < options.delay_seconds {
        let rate = options.rate.unwrap_or(figures[6].records_per_s / 2.0);
        let input = tempfile::tempdir().expect("a folder for the input");
        let lake = tempfile::tempdir().expect("a folder for the lake");
        let mut files = Files::open(input.path(), options.partitions);
        let from_files = ["--input".to_owned(), input.path().display().to_string()];
        let running = Running::start(&run(&shipped, lake.path(), &from_files, options));
        let delays = delay::measure("files", running, &mut files, rate, options.delay_seconds);
        delay::report(&delays);
    }
}

fn run<'a>(
    dataflow: &'a Path,
    lake: &'a Path,
    arguments: &'a [String],
    options: &'a Options,
) -> Run<'a> {
    Run {
        program: &options.program,
        dataflow,
        lake,
        workers: options.workers,
        arguments,
        environment: &[],
    }
}

/// The shipped dataflow up to its first statement of a kind: without views it is source, enrichment and archive.
fn shipped_before(statement: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for a dataflow");
    let shipped = common::repository().join("dataflows/web_logs/dataflow.sql");
    let text = std::fs::read_to_string(shipped).expect("the shipped dataflow is there");
    let end = text
        .find(statement)
        .expect("tables come before views, and these before detectors");
    std::fs::write(folder.path().join("dataflow.sql"), &text[..end])
        .expect("the dataflow can be written");
    folder
}

/// The shipped dataflow.
fn dataflow() -> Dataflow {
    let folder = common::repository().join("dataflows/web_logs");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime for planning");
    runtime
        .block_on(tidelake::sql::load(
            &folder,
            |_| None,
            &tidelake::sql::models::Models::Unknown,
        ))
        .expect("the shipped dataflow is sound")
}

fn read(depth: Depth, input: &Path, options: &Options) -> common::Done {
    let folder = file::Folder::open(
        file::Location::all_of(input.to_owned()),
        &Offsets::default(),
        std::iter::empty(),
    )
    .expect("the input is there");
    let workers = options.workers;
    ceiling::run(
        depth,
        &dataflow(),
        workers,
        options.records,
        &|worker, to, stop| {
            let reader = file::Reader {
                folder: Arc::clone(&folder),
                framing: Default::default(),
                worker,
                workers,
                stored: Offsets::default(),
                status: SharedStatus::default(),
                look_again: LookAgain::default(),
                live: Arc::default(),
                stop,
            };
            std::thread::spawn(move || reader.run(&to))
        },
    )
}

//! A restart with many groups: from the start of the process until readers see every one of them again.
//!
//! Backs the documentation's claim on restarts. The first run takes the records in and commits them; each of the others starts with nothing but
//! the lake, and is stopped in order. Compare runs of one machine: what is measured is mostly memory at work.

mod common;

use clap::Parser;
use common::pipeline::{Run, Running};
use common::{Done, Figure, STEP_MAX};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Groups of the view, each from one record.
    #[arg(long, default_value_t = 1_000_000)]
    groups: u64,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Restarts.
    #[arg(long, default_value_t = 3)]
    restarts: usize,
    /// The program to measure, to compare builds; the one built along if left out.
    #[arg(long, default_value_os_t = common::tidelake())]
    program: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let folder = tempfile::tempdir().expect("a folder");
    let (input, lake) = (folder.path().join("input"), folder.path().join("lake"));
    write_input(&input, options.groups);
    let arguments = ["--input".to_owned(), input.display().to_string()];
    let run = Run {
        program: &options.program,
        dataflow: &common::by_key(),
        lake: &lake,
        workers: options.workers,
        arguments: &arguments,
        environment: &[],
    };
    let runs = std::iter::once("first run".to_owned())
        .chain((1..=options.restarts).map(|it| format!("restart {it}")));
    let figures: Vec<Figure> = runs.map(|name| live(&run, options.groups, &name)).collect();
    common::report(
        &format!(
            "restart: {} groups, {} workers; CPU time includes an orderly stop",
            options.groups, options.workers
        ),
        &figures,
    );
    for it in &figures {
        let seconds = options.groups as f64 / it.records_per_s;
        println!("{}: all groups live after {seconds:.2} s", it.step);
    }
}

fn write_input(input: &Path, groups: u64) {
    const PARTITIONS: u64 = 4;
    std::fs::create_dir(input).expect("a folder for the input");
    for partition in 0..PARTITIONS {
        let path = input.join(format!("part-{partition}.jsonl"));
        let mut file = BufWriter::new(File::create(path).expect("a partition file"));
        for key in (partition..groups).step_by(PARTITIONS as usize) {
            let second = key % 60;
            writeln!(
                file,
                r#"{{"at":"2026-01-01T00:00:{second:02}Z","k":"key-{key}","n":{}}}"#,
                key % 1000
            )
            .expect("a record can be written");
        }
    }
}

/// From the start of the process until the view has all its rows; then it is stopped.
fn live(run: &Run<'_>, groups: u64, name: &str) -> Figure {
    let began = Instant::now();
    let running = Running::start(run);
    let rows = || running.get("/api/v1/views/by_key?limit=1")?["total_rows"].as_u64();
    while rows() != Some(groups) {
        assert!(
            began.elapsed() < STEP_MAX,
            "the view was not complete in time"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let done = Done {
        records: groups,
        bytes: 0,
        wall_s: began.elapsed().as_secs_f64(),
        cpu_s: None,
        peak_mib: None,
    };
    Figure::new("restart", name, done, running.stop())
}

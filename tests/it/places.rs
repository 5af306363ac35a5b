//! Each source is read from a place of its own: files it states in its options, or others that the command line names.

use super::lakes::{SECOND_US, START_US, committed_as, runtime};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use tidelake::coordinator::{self, Error};
use tidelake::plan::Dataflow;
use tidelake::source::place::{Input, Inputs};
use tidelake::verify::{Options, verify};

const NAME: &str = "shop";

/// Two sources whose records have different columns: whatever reads the other's files has dead letters.
fn text(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "SET dataflow = '{NAME}';
         CREATE SOURCE orders (at TIMESTAMP NOT NULL, price BIGINT NOT NULL, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
           WITH (connector = 'files', path = '{folder}/orders/app.log*') FORMAT JSON;
         CREATE SOURCE clicks (at TIMESTAMP NOT NULL, page TEXT NOT NULL, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
           WITH (connector = 'kafka', brokers = 'localhost:1', topic = 'clicks') FORMAT JSON;
         CREATE TABLE stored_orders AS SELECT * FROM orders;
         CREATE TABLE stored_clicks AS SELECT * FROM clicks;
         CREATE MATERIALIZED VIEW revenue AS SELECT sum(price) AS total FROM stored_orders;
         CREATE MATERIALIZED VIEW visits AS SELECT page, count(*) AS clicks FROM stored_clicks GROUP BY page;"
    )
}

async fn dataflow(folder: &Path) -> Dataflow {
    let planned = tidelake::sql::plan_text(NAME, &text(folder), |_| None).await;
    planned.unwrap()
}

fn inputs(texts: &[String]) -> Inputs {
    let inputs: Vec<Input> = texts.iter().map(|it| it.parse().unwrap()).collect();
    inputs.into()
}

fn options(folder: &Path, inputs: Inputs, workers: usize) -> coordinator::Options {
    coordinator::Options {
        lake: folder.join("lake").display().to_string(),
        inputs,
        workers,
        commit_interval_ms: 300,
        idle_ms: 300,
        ..coordinator::Options::default()
    }
}

fn append(path: PathBuf, lines: impl Iterator<Item = String>) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let mut file: File = file.unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
}

fn orders(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|it| format!("{{\"at\": {}, \"price\": {it}}}", seconds(it)))
}

fn clicks(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|it| format!("{{\"at\": {}, \"page\": \"{}\"}}", seconds(it), it % 3))
}

fn seconds(after: i64) -> i64 {
    (START_US / SECOND_US) + after
}

/// Runs until so many bytes of each source are committed.
async fn run(folder: &Path, inputs: Inputs, workers: usize, orders: i64, clicks: i64) {
    let options = options(folder, inputs, workers);
    let pipeline = coordinator::start(dataflow(folder).await, &options);
    let pipeline = pipeline.await.unwrap();
    committed_as(&pipeline, NAME, |manifest| {
        let read = |source: &str| {
            let offsets = manifest.offsets.get(source);
            offsets.map_or(0, |it| it.iter().map(|it| it.1.offset.0).sum())
        };
        (read("orders"), read("clicks")) == (orders, clicks)
    })
    .await;
    pipeline.stop().await.unwrap();
}

fn bytes(lines: impl Iterator<Item = String>) -> i64 {
    lines.map(|it| it.len() as i64 + 1).sum()
}

#[test]
fn each_source_reads_its_own_files_across_restarts_and_rotation() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let [log, foreign, there, moved] = [
        "orders/app.log",
        "orders/other.log",
        "clicks",
        "clicks-moved",
    ]
    .map(|it| folder.join(it));
    std::fs::create_dir(folder.join("orders")).unwrap();
    std::fs::create_dir(&there).unwrap();
    append(log.clone(), orders(0..100));
    append(foreign, clicks(0..10));
    for partition in 0..3 {
        append(
            there.join(format!("part-{partition}.jsonl")),
            clicks(partition * 50..partition * 50 + 50),
        );
    }
    runtime().block_on(async {
        let named = |folder: &Path| inputs(&[format!("clicks={}", folder.display())]);
        let read = (bytes(orders(0..100)), bytes(clicks(0..150)));
        run(folder, named(&there), 2, read.0, read.1).await;
        std::fs::rename(&log, folder.join("orders/app.log.1")).unwrap();
        append(log, orders(100..130));
        std::fs::rename(&there, &moved).unwrap();
        append(moved.join("part-1.jsonl"), clicks(150..170));
        let read = (bytes(orders(0..130)), bytes(clicks(0..170)));
        run(folder, named(&moved), 1, read.0, read.1).await;
        let options = Options {
            lake: folder.join("lake").display().to_string(),
            inputs: named(&moved),
        };
        let report = verify(&dataflow(folder).await, &options).await.unwrap();
        assert!(report.is_proven(), "{report}");
        let text = report.to_string();
        for (source, told) in [
            ("orders", "1 partition read again: 130 records"),
            ("clicks", "3 partitions read again: 170 records"),
            ("orders", "0 rows, each a record that does not decode"),
            ("clicks", "0 rows, each a record that does not decode"),
        ] {
            let is_line = |line: &str| line.contains(source) && line.contains(told);
            assert!(text.lines().any(is_line), "{source} {told}: {text}");
        }
    });
}

#[test]
fn an_input_that_could_be_of_several_sources_is_refused_before_the_lake_is_touched() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    runtime().block_on(async {
        let inputs = Inputs::from(folder.to_owned());
        let options = options(folder, inputs, 1);
        let refused = coordinator::start(dataflow(folder).await, &options).await;
        let Err(Error::Source(error)) = refused else {
            panic!("it was not refused");
        };
        let text = error.to_string();
        assert!(text.contains("write --input SOURCE="), "{text}");
        assert!(text.contains("sources are orders, clicks"), "{text}");
        assert!(!folder.join("lake/_tidelake").exists());
    });
}

//! A lake with its input in a folder of its own, and the pipeline that writes it. One lake with everything in it is made once and copied to be damaged.

use super::oracle::{Random, small_record};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tidelake::coordinator::{self, Pipeline};
use tidelake::lake::{Manifest, TableEntry};
use tidelake::plan::Dataflow;
use tidelake::source::place::Inputs;
use tidelake::sql;
use tidelake::verify::{Options, Report, verify};

pub(crate) const NAME: &str = "everything";

pub(crate) const START_US: i64 = 1_769_860_800_000_000;

pub(crate) const SECOND_US: i64 = 1_000_000;

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) async fn dataflow() -> Dataflow {
    dataflow_on("localhost:1").await
}

pub(crate) async fn dataflow_on(brokers: &str) -> Dataflow {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dataflows/everything");
    let text = std::fs::read_to_string(folder.join("dataflow.sql")).unwrap();
    let text = text.replace("localhost:1", brokers);
    sql::plan_text(NAME, &text, |_| None).await.unwrap()
}

/// A lake and its input in one folder.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.input()).unwrap();
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.0.path().join("input")
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.0.path().join("lake")
    }

    pub(crate) fn table(&self, name: &str) -> PathBuf {
        self.lake().join(name)
    }

    /// A copy to be damaged.
    pub(crate) fn copy(&self) -> Self {
        let copy = Place(tempfile::tempdir().unwrap());
        copy_folder(self.0.path(), copy.0.path());
        copy
    }

    pub(crate) fn verify(&self) -> Report {
        runtime().block_on(async {
            let options = Options {
                lake: self.lake().display().to_string(),
                inputs: self.input().into(),
            };
            verify(&dataflow().await, &options).await.unwrap()
        })
    }

    pub(crate) fn manifests(&self) -> Vec<PathBuf> {
        let folder = self.lake().join(format!("_tidelake/{NAME}/manifests"));
        sorted(&folder)
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let newest = self.manifests().pop().expect("there is a commit");
        Manifest::from_file(&std::fs::read(newest).unwrap()).unwrap()
    }

    pub(crate) fn append(&self, partition: i32, lines: &[String]) {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.input().join(format!("part-{partition}.jsonl")))
            .unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
    }

    pub(crate) fn input_bytes(&self) -> i64 {
        let files = sorted(&self.input());
        let sizes = files.iter().map(|it| std::fs::metadata(it).unwrap().len());
        sizes.sum::<u64>() as i64
    }
}

pub(crate) fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|it| it.unwrap().path()).collect();
    paths.sort();
    paths
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for path in sorted(from) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Records around a time, some of them in disorder, a few that do not decode.
pub(crate) fn lines(random: &mut Random, around_us: i64, count: usize) -> Vec<String> {
    (0..count)
        .map(|at| match random.below(20) {
            0 => "{\"at\": 1".to_owned(),
            _ => {
                let disorder = random.below(8) as i64 * SECOND_US;
                small_record(random, around_us + at as i64 * SECOND_US / 10 - disorder)
            }
        })
        .collect()
}

pub(crate) async fn start(place: &Place, workers: usize) -> Pipeline {
    start_on(place, workers, dataflow().await, place.input().into()).await
}

pub(crate) async fn start_on(
    place: &Place,
    workers: usize,
    dataflow: Dataflow,
    inputs: Inputs,
) -> Pipeline {
    let options = coordinator::Options {
        inputs,
        workers,
        ..options(place)
    };
    coordinator::start(dataflow, &options).await.unwrap()
}

fn options(place: &Place) -> coordinator::Options {
    coordinator::Options {
        lake: place.lake().display().to_string(),
        inputs: place.input().into(),
        commit_interval_ms: 300,
        idle_ms: 300,
        ..coordinator::Options::default()
    }
}

/// A start that may be refused.
pub(crate) async fn try_start(place: &Place) -> Result<Pipeline, coordinator::Error> {
    coordinator::start(dataflow().await, &options(place)).await
}

/// Waits for a commit for which something holds.
pub(crate) async fn committed(pipeline: &Pipeline, holds: impl Fn(&Manifest) -> bool) {
    committed_as(pipeline, NAME, holds).await;
}

/// The same for a dataflow of another name.
pub(crate) async fn committed_as(
    pipeline: &Pipeline,
    name: &str,
    holds: impl Fn(&Manifest) -> bool,
) {
    let mut commits = pipeline.committed.clone();
    loop {
        let newest = pipeline.store.newest_manifest(name).await.unwrap();
        if newest.is_some_and(|it| holds(&it)) {
            return;
        }
        commits.changed().await.unwrap();
    }
}

pub(crate) fn has_read(manifest: &Manifest, bytes: i64) -> bool {
    let offsets = manifest.offsets.get("s");
    offsets.is_some_and(|it| it.iter().map(|it| it.1.offset.0).sum::<i64>() == bytes)
}

/// Made once, by two runs.
pub(crate) fn original() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Place::new();
        runtime().block_on(async {
            let mut random = Random(11);
            for partition in 0..3 {
                place.append(partition, &lines(&mut random, START_US, 150));
            }
            let pipeline = start(&place, 2).await;
            let bytes = place.input_bytes();
            committed(&pipeline, |it| {
                let watermark = it.event_times["s"]["watermark_us"].as_i64();
                has_read(it, bytes) && watermark.is_some_and(|it| START_US < it)
            })
            .await;
            // Far too late: windows of a minute ago are closed.
            place.append(1, &lines(&mut random, START_US - 120 * SECOND_US, 20));
            let bytes = place.input_bytes();
            committed(&pipeline, |it| has_read(it, bytes)).await;
            pipeline.stop().await.unwrap();

            place.append(0, &lines(&mut random, START_US + 20 * SECOND_US, 100));
            place.append(7, &lines(&mut random, START_US + 20 * SECOND_US, 30));
            let pipeline = start(&place, 1).await;
            let bytes = place.input_bytes();
            // Time goes on in some tables, while nothing comes to others.
            committed(&pipeline, |it| {
                let at_rest = |table: &TableEntry| table.commit != 0 && table.commit < it.number;
                has_read(it, bytes) && it.tables.values().any(at_rest)
            })
            .await;
            pipeline.stop().await.unwrap();
        });
        place
    })
}

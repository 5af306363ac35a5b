//! A view of many groups by text: bytes that a group takes, and what a commit costs when few or many of them change.
//!
//! Backs what the documentation says of memory. The program takes in one record per group, then a commit interval's worth of records of some
//! groups at a time, which are anywhere among all, and is started again at the end. Bytes and files are counted in the lake, memory is
//! what the program says it has in use. These hold on a busy machine too.

mod common;

use clap::Parser;
use common::STEP_MAX;
use common::pipeline::{Run, Running};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Groups of the view.
    #[arg(long, default_value_t = 400_000)]
    groups: u64,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Groups that change per commit, one step after another.
    #[arg(long, default_values_t = [0, 10, 100, 20_000])]
    changed: Vec<u64>,
    /// Commits of each step; as many come before them, unmeasured, for the table to settle.
    #[arg(long, default_value_t = 6)]
    commits: u64,
    /// Hours for which versions of tables are kept, which bounds how many files a commit may replace.
    #[arg(long, default_value_t = 24)]
    version_retention: u16,
    /// The program to measure, to compare builds; the one built along if left out.
    #[arg(long, default_value_os_t = common::tidelake())]
    program: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

const PARTITIONS: u64 = 4;
/// Groups that are there before memory is looked at for the first time.
const FIRST_GROUPS: u64 = 1_000;
const COMMIT_INTERVAL: Duration = Duration::from_secs(10);

/// The input, and the next number for whoever wants one that looks random.
struct Input {
    files: Vec<File>,
    random: u64,
}

impl Input {
    fn new(folder: &Path) -> Self {
        std::fs::create_dir(folder).expect("a folder for the input");
        let file = |it| File::create(folder.join(format!("part-{it}.jsonl"))).expect("a file");
        Input {
            files: (0..PARTITIONS).map(file).collect(),
            random: 1,
        }
    }

    /// A record of each of these groups.
    fn write(&mut self, groups: impl Iterator<Item = u64>) {
        let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
        let mut lines = vec![String::new(); self.files.len()];
        for group in groups {
            let key = mixed(group);
            let n = mixed(self.random) % 1_000;
            self.random += 1;
            lines[(group % PARTITIONS) as usize] +=
                &format!("{{\"at\":\"{now}\",\"k\":\"user-{key:018}\",\"n\":{n}}}\n");
        }
        for (file, lines) in self.files.iter_mut().zip(lines) {
            file.write_all(lines.as_bytes())
                .expect("records can be written");
        }
    }

    fn any(&mut self, groups: u64) -> u64 {
        self.random += 1;
        mixed(self.random) % groups
    }
}

/// Another number for each, without a pattern in it: SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut it = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (it ^ (it >> 31)) >> 5
}

fn main() {
    let options = Options::parse();
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let (input, lake) = (place("input"), place("lake"));
    let mut records = Input::new(&input);
    let arguments = [
        "--input".to_owned(),
        input.display().to_string(),
        "--version-retention".to_owned(),
        options.version_retention.to_string(),
    ];
    let run = Run {
        program: &options.program,
        dataflow: &common::by_key(),
        lake: &lake,
        workers: options.workers,
        arguments: &arguments,
        environment: &[],
    };
    let groups = options.groups;
    println!(
        "\ngroups: {groups} groups by text, {} workers\n",
        options.workers
    );
    records.write(0..FIRST_GROUPS.min(groups));
    let running = Running::start(&run);
    wait_until(|| rows(&running) == Some(FIRST_GROUPS.min(groups)));
    wait_until(|| is_committed(&running));
    let before = in_use(&running);
    let began = Instant::now();
    records.write(FIRST_GROUPS.min(groups)..groups);
    wait_until(|| rows(&running) == Some(groups));
    println!(
        "taken in: all groups live after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    wait_until(|| is_committed(&running));
    tell_memory("taken in", in_use(&running), before, groups);
    for changed in &options.changed {
        let step = format!("{changed} groups changed per commit");
        let mut change = |commits: u64| {
            for _ in 0..commits {
                let some: Vec<u64> = (0..*changed).map(|_| records.any(groups)).collect();
                records.write(some.into_iter());
                match changed {
                    0 => std::thread::sleep(COMMIT_INTERVAL),
                    _ => wait_for_commits(&running, 1),
                }
            }
        };
        change(options.commits);
        let (cpu_before_s, files) = (cpu_s(running.process_id()), files_of(&lake));
        let first = commit(&running);
        change(options.commits);
        let commits = commit(&running) - first;
        let cpu_s = cpu_s(running.process_id()) - cpu_before_s;
        let intervals = options.commits as f64;
        println!(
            "{step}: {commits} commits, {:.2} CPU-s per interval",
            cpu_s / intervals
        );
        let mut written: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (path, bytes) in files_of(&lake) {
            if !files.contains_key(&path) {
                let sum = written.entry(kind_of(&path)).or_default();
                *sum = (sum.0 + 1, sum.1 + bytes);
            }
        }
        for (kind, (files, bytes)) in written {
            let of_each = |it: u64| it as f64 / commits.max(1) as f64;
            println!(
                "  {kind}: {:.1} files, {:.1} kB per commit",
                of_each(files),
                of_each(bytes) / 1e3
            );
        }
        tell_memory(&step, in_use(&running), before, groups);
    }
    let used = running.stop();
    println!("peak of resident memory: {:.0} MiB", used.peak_mib);
    let began = Instant::now();
    let running = Running::start(&run);
    wait_until(|| rows(&running) == Some(groups));
    println!(
        "restart: all groups live after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    wait_for_commits(&running, 1);
    tell_memory("restart", in_use(&running), before, groups);
    running.stop();
}

fn tell_memory(step: &str, in_use: u64, before: u64, groups: u64) {
    let more = in_use.saturating_sub(before) / groups.saturating_sub(FIRST_GROUPS).max(1);
    println!(
        "{step}: {more} bytes per group ({:.0} MB in use, {:.0} MB before the groups came)",
        in_use as f64 / 1e6,
        before as f64 / 1e6
    );
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < STEP_MAX, "it took too long");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn rows(running: &Running) -> Option<u64> {
    running.get("/api/v1/views/by_key?limit=1")?["total_rows"].as_u64()
}

fn commit(running: &Running) -> u64 {
    let mut number = None;
    wait_until(|| {
        let status = running.get("/api/v1/status");
        number = status.and_then(|it| it["commit"]["number"].as_u64());
        number.is_some()
    });
    number.expect("it was waited for")
}

/// Whether everything that was written is in a commit.
fn is_committed(running: &Running) -> bool {
    let status = running.get("/api/v1/status").unwrap_or_default();
    let partitions = status["sources"][0]["partitions"].as_array();
    let is_committed =
        |it: &serde_json::Value| it["end_offset"].is_u64() && it["committed"] == it["end_offset"];
    partitions.is_some_and(|it| !it.is_empty() && it.iter().all(is_committed))
}

fn wait_for_commits(running: &Running, more: u64) {
    let first = commit(running);
    wait_until(|| first + more <= commit(running));
}

/// Bytes that the program has in use.
fn in_use(running: &Running) -> u64 {
    let metrics = running.text("/metrics").expect("the program answers");
    let mut lines = metrics.lines();
    let value = lines.find_map(|it| it.strip_prefix("tidelake_allocated_bytes "));
    value
        .and_then(|it| it.parse::<f64>().ok())
        .expect("it tells how much memory is in use") as u64
}

/// CPU time of a process so far, as Linux tells it in hundredths of a second.
fn cpu_s(process_id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).expect("it runs");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number of ticks");
    (ticks(11) + ticks(12)) / 100.0
}

/// Files below a folder with their sizes.
fn files_of(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(it) if it.is_dir() => folders.push(entry.path()),
                Ok(it) => {
                    files.insert(entry.path(), it.len());
                }
                // Deleted for its age meanwhile.
                Err(_) => {}
            }
        }
    }
    files
}

/// What a file of the lake is part of.
fn kind_of(path: &Path) -> String {
    let folders = ["_delta_log", "manifests", "state", "by_key", "raw"];
    let parts: Vec<&str> = path.iter().filter_map(|it| it.to_str()).collect();
    let mut of_path = folders.iter().filter(|it| parts.contains(it));
    match (of_path.next(), of_path.next()) {
        (Some(&"_delta_log"), Some(table)) => format!("log of {table}"),
        (Some(kind), _) => (*kind).to_owned(),
        (None, _) => "others".to_owned(),
    }
}

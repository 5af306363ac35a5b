//! A view of many groups by text, in the real program: what a group takes in memory, and what a commit writes when few groups change.

use super::program::{Running, run, spawn, tidelake};
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// A row for each key.
const DATAFLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dataflows/by_key");
const FIRST_GROUPS: u64 = 1_000;
const GROUPS: u64 = 60_000;
const BYTES_PER_GROUP_MAX: u64 = 600;
const PATIENCE: Duration = Duration::from_secs(120);

/// The running program, and how it is asked.
struct Asked {
    running: Running,
    address: String,
    runtime: tokio::runtime::Runtime,
}

impl Asked {
    fn start(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name).display().to_string();
        let mut command = tidelake(&["run", DATAFLOW, "--lake", &path("lake")]);
        command.args(["--input", &path("input"), "--listen", "127.0.0.1:0"]);
        // Versions are kept for an hour, so that a commit may replace some hundred files.
        command.args([
            "--commit-interval",
            "1",
            "--version-retention",
            "1",
            "--workers",
            "2",
        ]);
        let mut running = spawn(&mut command);
        Asked {
            address: running.address(),
            running,
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    fn text(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.address);
        let answer = async { reqwest::get(url).await?.text().await };
        self.runtime.block_on(answer).unwrap()
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    fn rows(&self) -> u64 {
        let view = self.json("/api/v1/views/by_key?limit=1");
        view["total_rows"].as_u64().unwrap_or(0)
    }

    fn commit(&self) -> u64 {
        let status = self.json("/api/v1/status");
        status["commit"]["number"].as_u64().unwrap_or(0)
    }

    fn allocated(&self) -> u64 {
        let metrics = self.text("/metrics");
        let mut lines = metrics.lines();
        let value = lines.find_map(|it| it.strip_prefix("tidelake_allocated_bytes "));
        value.unwrap().parse::<f64>().unwrap() as u64
    }

    fn stop(self) {
        self.running.signal(libc::SIGTERM);
        self.running.end().expect(0, "");
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn write(file: &mut File, groups: impl Iterator<Item = u64>) {
    let lines: String = groups
        .map(|it| {
            let key = it.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            format!(
                "{{\"at\":\"2026-01-01T00:00:00Z\",\"k\":\"user-{key:020}\",\"n\":{}}}\n",
                it % 1000
            )
        })
        .collect();
    file.write_all(lines.as_bytes()).unwrap();
}

fn newest(folder: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|it| it.unwrap().path());
    let json = files.filter(|it| it.extension().is_some_and(|it| it == "json"));
    json.max().unwrap()
}

fn actions(of: &str, kind: &str) -> usize {
    let start = format!("{{\"{kind}\":");
    of.lines().filter(|it| it.starts_with(&start)).count()
}

#[test]
fn a_group_takes_few_bytes_and_a_commit_writes_the_buckets_that_changed() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::create_dir(place("input")).unwrap();
    let mut input = File::create(place("input/part-0.jsonl")).unwrap();
    write(&mut input, 0..FIRST_GROUPS);
    let asked = Asked::start(folder.path());
    until("the first groups", || {
        asked.rows() == FIRST_GROUPS && 0 < asked.commit()
    });
    let before = asked.allocated();
    write(&mut input, FIRST_GROUPS..GROUPS);
    until("all groups", || asked.rows() == GROUPS);
    let mut per_group = u64::MAX;
    until("all groups in few bytes", || {
        let more = asked.allocated().saturating_sub(before);
        per_group = per_group.min(more / (GROUPS - FIRST_GROUPS));
        println!("{per_group} bytes per group");
        per_group < BYTES_PER_GROUP_MAX
    });
    let log = place("lake/by_key/_delta_log");
    // Some commits later the table has been cut into buckets, of which a commit rewrites a few.
    until("a commit that writes few of many files", || {
        let commit = asked.commit();
        write(
            &mut input,
            (0..3).map(|it| (commit * 7_919 + it * 17_389) % GROUPS),
        );
        until("a commit", || commit < asked.commit());
        let entry = std::fs::read_to_string(newest(&log)).unwrap();
        let (adds, removes) = (actions(&entry, "add"), actions(&entry, "remove"));
        println!("{adds} files added, {removes} removed");
        adds == removes && (1..=3).contains(&adds) && {
            let manifest = std::fs::read(newest(&place("lake/_tidelake/main/manifests"))).unwrap();
            let manifest: Value = serde_json::from_slice(&manifest).unwrap();
            let open = &manifest["tables"]["by_key"]["open_files"];
            open.as_array().is_some_and(|it| 10 < it.len())
        }
    });
    asked.stop();
    let verify = || {
        let path = |name: &str| place(name).display().to_string();
        let lake = ["--lake", &path("lake"), "--input", &path("input")];
        run(&[&["verify", DATAFLOW], &lake[..]].concat()).expect(0, "");
    };
    verify();
    // The first commit of another run replaces all buckets of the one before.
    let asked = Asked::start(folder.path());
    until("all groups again", || asked.rows() == GROUPS);
    write(&mut input, GROUPS..GROUPS + 10);
    until("more groups", || asked.rows() == GROUPS + 10);
    asked.stop();
    verify();
}

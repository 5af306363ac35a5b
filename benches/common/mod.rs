//! What all benches share: a child process per step, its CPU time and peak memory, the input, and how figures are told.
//!
//! Every step runs in a process of its own, so that its CPU time and its peak memory are what the kernel counted for
//! that process and nothing else. Wall clock depends on who else uses the machine; CPU time much less, and
//! the ratio of two steps of one run least of all.

#![allow(
    dead_code,
    reason = "each bench is its own crate and uses a part of this"
)]

pub mod ceiling;
pub mod delay;
pub mod engine;
pub mod load;
pub mod pipeline;

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// No step may take longer.
pub const STEP_MAX: Duration = Duration::from_secs(300);

/// What a process used, as the kernel tells when it has ended.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub cpu_s: f64,
    pub peak_mib: f64,
    pub success: bool,
}

/// Waits for a child's end and takes its resource usage.
pub fn reap(child: &Child) -> Used {
    let mut status = 0;
    // SAFETY: `wait4` fills in both places; a zeroed `rusage` is a valid one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let pid = libc::pid_t::try_from(child.id()).expect("a process id");
        assert_eq!(
            libc::wait4(pid, &raw mut status, 0, &raw mut usage),
            pid,
            "our child ends once"
        );
        usage
    };
    Used {
        cpu_s: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_mib: usage.ru_maxrss as f64 / 1024.0,
        success: libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
    }
}

/// CPU time of this process so far, in seconds.
pub fn own_cpu_s() -> f64 {
    // SAFETY: `getrusage` fills in the place; a zeroed `rusage` is a valid one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &raw mut usage), 0);
        usage
    };
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// The most memory that is resident in this process from here on, beyond what is now.
pub struct Beyond {
    base_kib: u64,
}

impl Beyond {
    /// After what was freed has been returned to the system.
    ///
    /// # Panics
    /// If the system does not let the peak begin anew, as Linux does.
    pub fn now() -> Self {
        std::thread::sleep(Duration::from_secs(3));
        std::fs::write("/proc/self/clear_refs", "5").expect("the peak begins anew");
        Beyond {
            base_kib: status_kib("VmRSS"),
        }
    }

    pub fn peak_mib(&self) -> f64 {
        status_kib("VmHWM").saturating_sub(self.base_kib) as f64 / 1024.0
    }
}

/// A line of what the system tells of this process.
fn status_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system tells");
    let line = status.lines().find_map(|it| it.strip_prefix(name));
    let number = line.and_then(|it| it.trim_start_matches(':').split_whitespace().next());
    number.expect("a size").parse().expect("a number")
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// What one step did, told by its process on standard output.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Done {
    pub records: u64,
    pub bytes: u64,
    pub wall_s: f64,
    /// CPU time of what counts, if that is not the whole process.
    pub cpu_s: Option<f64>,
    /// The most memory that what counts took, if that is not the whole process.
    pub peak_mib: Option<f64>,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub bench: String,
    pub step: String,
    pub records: u64,
    pub records_per_s: f64,
    pub mb_per_s: f64,
    pub cpu_s_per_million: f64,
    pub peak_mib: f64,
    /// Records per CPU-second against the ceiling of the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_ceiling: Option<f64>,
}

impl Figure {
    pub fn new(bench: &str, step: &str, done: Done, used: Used) -> Self {
        Figure {
            bench: bench.to_owned(),
            step: step.to_owned(),
            records: done.records,
            records_per_s: done.records as f64 / done.wall_s,
            mb_per_s: done.bytes as f64 / done.wall_s / 1e6,
            cpu_s_per_million: done.cpu_s.unwrap_or(used.cpu_s) / (done.records as f64 / 1e6),
            peak_mib: done.peak_mib.unwrap_or(used.peak_mib),
            of_ceiling: None,
        }
    }
}

/// Runs a step of this very program in a process of its own.
#[expect(
    clippy::zombie_processes,
    reason = "`reap` waits for it, and takes its usage"
)]
pub fn step(bench: &str, name: &str, arguments: &[String]) -> Figure {
    let program = std::env::current_exe().expect("a program knows its own file");
    let mut child = Command::new(program)
        .args(["--step", name])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started again");
    let mut told = String::new();
    let mut out = child.stdout.take().expect("standard output is a pipe");
    std::io::Read::read_to_string(&mut out, &mut told).expect("a step tells text");
    let used = reap(&child);
    assert!(used.success, "step {name} failed");
    let done: Done = told
        .lines()
        .last()
        .and_then(|it| serde_json::from_str(it).ok())
        .unwrap_or_else(|| panic!("step {name} told no figures: {told:?}"));
    Figure::new(bench, name, done, used)
}

/// Prints a table for people, then a JSON line per figure.
pub fn report(title: &str, figures: &[Figure]) {
    println!("\n{title}\n");
    println!(
        "{:<34} {:>10} {:>12} {:>8} {:>14} {:>9} {:>11}",
        "step", "records", "records/s", "MB/s", "CPU-s/million", "peak MiB", "of ceiling"
    );
    for it in figures {
        let ratio = it.of_ceiling.map_or(String::new(), |it| format!("{it:.2}"));
        println!(
            "{:<34} {:>10} {:>12.0} {:>8.0} {:>14.3} {:>9.0} {:>11}",
            it.step,
            it.records,
            it.records_per_s,
            it.mb_per_s,
            it.cpu_s_per_million,
            it.peak_mib,
            ratio
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

/// The folder of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The dataflow with one view that has a row for each key: columns `at`, `k` and `n` of its records.
pub fn by_key() -> PathBuf {
    repository().join("tests/dataflows/by_key")
}

/// The program that is measured unless another is given: built by the same command.
pub fn tidelake() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_tidelake"))
}

//! What the shell sees of the command.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let dataflow = Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows/web_logs");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidelake"))
        .arg("check")
        .arg(dataflow)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(141), "as if by SIGPIPE");
}

/// Runs the shipped dataflow over a folder until it ends by itself, which it must within a minute.
fn run_until_it_ends(input: &Path, fails: &str) -> std::process::Output {
    let lake = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidelake"))
        .arg("run")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows/web_logs"))
        .arg("--input")
        .arg(input)
        .arg("--lake")
        .arg(lake.path())
        .args(["--listen", "127.0.0.1:0"])
        .env("TIDELAKE_PANIC_IN", fails)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    child.wait_with_output().unwrap()
}

#[test]
fn a_part_that_dies_ends_the_process_and_is_named() {
    let input = tempfile::tempdir().unwrap();
    std::fs::write(input.path().join("part-0.jsonl"), "{}\n").unwrap();
    for part in [
        "read-web_logs-0",
        "read-web_logs-1",
        "worker 1",
        "settle",
        "committer",
        "sampler",
        "http server",
    ] {
        let ended = run_until_it_ends(input.path(), part);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(70), "{part}: {said}");
        let word = format!("{part} failed: TIDELAKE_PANIC_IN asks {part} to fail");
        assert!(said.contains(&word), "{said}");
    }
}

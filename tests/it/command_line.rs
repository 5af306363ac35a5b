//! What the shell sees of the command.

use crate::program::{Ended, run, spawn, tidelake};
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

/// Runs the shipped dataflow over a folder until it ends by itself, which takes a second or so.
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
    let limit = Instant::now() + Duration::from_secs(300);
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

/// The folder of a shipped dataflow.
fn shipped(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("dataflows")
        .join(name);
    folder.display().to_string()
}

#[test]
fn values_that_nobody_means_are_refused_where_they_are_given() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("input").display().to_string();
    let web_logs = shipped("web_logs");
    for (arguments, said) in [
        (
            vec!["gen", "--rate", "0"],
            "0.001 to 1000000 events a second",
        ),
        (
            vec!["gen", "--rate", "-5"],
            "0.001 to 1000000 events a second",
        ),
        (
            vec!["gen", "--rate", "nan"],
            "0.001 to 1000000 events a second",
        ),
        (vec!["gen", "--duration", "-1"], "seconds"),
        (vec!["gen", "--partitions", "0"], "0 is not in 1..=1024"),
        (vec!["gen", "--count", "0"], "0 is not in 1.."),
    ] {
        let ended = run(&[&arguments[..], &["--out", &out]].concat());
        ended.expect(2, said);
        assert!(!Path::new(&out).exists(), "{arguments:?} left a folder");
    }
    run(&["demo", "--rate", "0", "--data", &out]).expect(2, "events a second");
    for value in ["0", "-5", "nan", "1e30"] {
        for flag in ["--commit-interval", "--idle-timeout", "--close-timeout"] {
            run(&["run", &web_logs, flag, value]).expect(2, "it must be 0.1 to ");
        }
    }
    run(&["run", &web_logs, "--listen", "loopback"]).expect(2, "localhost:4000");
}

#[test]
fn a_wrong_value_names_where_it_came_from() {
    let web_logs = shipped("web_logs");
    let mut command = tidelake(&["run", &web_logs]);
    command.env("TIDELAKE_COMMIT_INTERVAL", "0");
    let ended = Ended::of(&mut command);
    ended.expect(2, "0.1 to 3600 seconds");
    ended.expect(2, "the environment variable TIDELAKE_COMMIT_INTERVAL");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let with = |text: &str, arguments: &[&str]| {
        std::fs::write(&file, text).unwrap();
        Ended::of(tidelake(arguments).arg("--config").arg(&file))
    };
    let ended = with("commit-interval = -5", &["run", &web_logs]);
    ended.expect(2, &format!("`commit-interval` in {}", file.display()));
    let ended = with("comit-interval = 5", &["run", &web_logs]);
    ended.expect(2, "did you mean `commit-interval`?");
    let ended = with("[variables]\nKAFKA_BROKER = \"k:1\"", &["check", &web_logs]);
    ended.expect(2, "did you mean KAFKA_BROKERS?");
    let ended = with("cors = [\"http://a\", \"http://b\"]", &["check", &web_logs]);
    ended.expect(0, "");

    let mut command = tidelake(&["check", &web_logs]);
    command.env("WATERMARK_DELAY_SECONDS", "999999999");
    let ended = Ended::of(&mut command);
    ended.expect(3, "a watermark waits at most 31 days");
    ended.expect(
        3,
        "WATERMARK_DELAY_SECONDS = \"999999999\" from the environment",
    );

    let mut command = tidelake(&["check", &web_logs]);
    let ended = Ended::of(
        command
            .env("TIDELAKE_WORKER", "4")
            .env("TIDELAKE_LISTEN", ""),
    );
    ended.expect(
        0,
        "TIDELAKE_WORKER is unknown; did you mean TIDELAKE_WORKERS?",
    );
}

#[test]
fn a_demo_that_cannot_listen_leaves_nothing_behind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let ended = Ended::of(tidelake(&["demo", "--listen", &address, "--data"]).arg(&data));
    ended.expect(78, &format!("could not listen on {address}"));
    assert_eq!(ended.said.lines().count(), 1, "{}", ended.said);
    assert!(!data.exists());
}

/// An outage that begins after the test is over, and hints that can be typed as they stand.
#[test]
fn a_demo_says_what_to_try_and_when_it_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = tidelake(&[
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--history",
        "0.1",
        "--data",
    ])
    .arg(folder.path().join("data"))
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let pid = child.id();
    let mut said = String::new();
    let lines = std::io::BufReader::new(child.stderr.take().unwrap());
    for line in std::io::BufRead::lines(lines) {
        let line = line.unwrap();
        said += &line;
        said.push('\n');
        if line.starts_with("Ready after ") {
            break;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    for expect in [
        format!("6 min of history, 2 workers, process {pid}."),
        " sql --server 127.0.0.1:".to_owned(),
        format!("kill {pid}"),
        "In about 3 minutes /api/orders will fail for curl clients, for 4 minutes.".to_owned(),
        "Ready after ".to_owned(),
    ] {
        assert!(said.contains(&expect), "{expect} in {said}");
    }
}

#[test]
fn what_was_probably_meant_is_said() {
    run(&["slq", "SELECT 1"]).expect(2, "'sql'");
    run(&["run", "x", "--comit-interval", "5"]).expect(2, "--commit-interval");
    let file = Path::new(&shipped("web_logs")).join("dataflow.sql");
    let checked = run(&["check", &file.display().to_string()]);
    checked.expect(0, "");
    let last = checked.printed.lines().last();
    assert_eq!(last, Some("ok: 1 source, 1 table, 13 views"));
    let other = Path::new(&shipped("web_logs")).join("README.md");
    let ended = run(&["check", &other.display().to_string()]);
    ended.expect(
        3,
        "README.md is a file; a dataflow is a folder with its statements",
    );
    // The server's address without a scheme is one.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let ended = run(&["sql", "SELECT 1", "--server", &address]);
    ended.expect(69, &format!("could not reach http://{address}"));
}

/// `up` does not start again what would end the same way.
#[test]
fn a_cluster_that_cannot_run_is_not_started_again() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let web_logs = shipped("web_logs");
    let mut command = tidelake(&["up", &web_logs, "--processes", "1", "--listen", &address]);
    command
        .arg("--input")
        .arg(folder.path())
        .arg("--lake")
        .arg(folder.path().join("lake"));
    let ended = Ended::of(&mut command);
    ended.expect(78, "would not run the next time");
    assert!(!ended.said.contains("restarting"), "{}", ended.said);
}

#[test]
fn a_process_says_for_whom_it_waits() {
    let folder = tempfile::tempdir().unwrap();
    let taken = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let hosts = taken.map(|it| it.local_addr().unwrap().to_string());
    let file = folder.path().join("hosts");
    std::fs::write(&file, hosts.join("\n")).unwrap();
    let web_logs = shipped("web_logs");
    for (process, word) in [
        (
            "0",
            format!("waiting for process 1 at {} to connect", hosts[1]),
        ),
        ("1", format!("waiting for process 0 at {}", hosts[0])),
    ] {
        let mut command = tidelake(&["run", &web_logs, "--listen", "0", "--process", process]);
        command
            .arg("--hosts")
            .arg(&file)
            .arg("--input")
            .arg(folder.path());
        command.arg("--lake").arg(folder.path().join("lake"));
        spawn(&mut command).wait_for(&word);
    }
}

#[test]
fn a_log_that_is_too_short_to_be_judged_is_refused() {
    let log =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/access_log/erddap-nginx.log");
    let ended = Command::new(env!("CARGO_BIN_EXE_tidelake"))
        .args(["eval", "--logs"])
        .arg(log)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    assert!(
        told.contains("minutes; the test needs 2880, or counts of traffic"),
        "{told}"
    );
}

//! Passwords in settings are never shown: not in the log at its finest, not in errors.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DATAFLOW: &str = r#"
CREATE SOURCE logs (at TIMESTAMP NOT NULL, path TEXT, WATERMARK FOR at AS at - INTERVAL '1' SECOND)
  WITH (connector = 'kafka', brokers = '127.0.0.1:1', topic = 'logs',
        "kafka.security.protocol" = 'sasl_plaintext', "kafka.sasl.mechanism" = 'PLAIN', "kafka.debug" = 'all',
        "kafka.sasl.username" = 'reader', "kafka.sasl.password" = '${TEST_PASSWORD}',
        "kafka.ssl.key.password" = 'literal-9Zx')
  FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM logs;
CREATE MATERIALIZED VIEW paths AS SELECT path, count(*) AS n FROM raw GROUP BY path;
"#;
/// Stands in every secret, and nowhere else.
const MARK: &str = "9Zx";
const PATIENCE: Duration = Duration::from_secs(120);

fn tidelake(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelake"));
    command
        .current_dir(folder)
        .env("TIDELAKE_LOG", "trace")
        .env("TEST_PASSWORD", "p\"a\\ss wörd-9Zx")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn dataflow(folder: &Path) -> String {
    let dataflow = folder.join("logs");
    std::fs::create_dir(&dataflow).expect("a folder");
    std::fs::write(dataflow.join("dataflow.sql"), DATAFLOW).expect("a file");
    dataflow.display().to_string()
}

#[test]
fn the_log_of_a_run_at_trace_has_no_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut child = tidelake(folder.path())
        .args(["run", &dataflow(folder.path()), "--lake", "lake"])
        .args(["--listen", "127.0.0.1:0", "--commit-interval", "1"])
        .stderr(std::fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("it starts");
    let begun = Instant::now();
    // The client has told its settings, tried the broker, and the source has said so.
    let told = loop {
        let text = std::fs::read(&log).expect("it is there");
        let text = String::from_utf8_lossy(&text).into_owned();
        let wanted = ["sasl.username", "127.0.0.1:1", "serving http://"];
        if wanted.iter().all(|it| text.contains(it)) {
            break text;
        }
        let is_alive = child.try_wait().expect("it can be asked").is_none();
        assert!(is_alive && begun.elapsed() < PATIENCE, "{text}");
        std::thread::sleep(Duration::from_millis(50));
    };
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let wrong: Vec<&str> = told.lines().filter(|it| it.contains(MARK)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_address_of_a_lake_is_told_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataflow = dataflow(folder.path());
    for lake in [
        "nowhere://key:secret-9Zx@host/lake",
        "s3://key:secret-9Zx@/lake",
    ] {
        let ended = tidelake(folder.path())
            .args(["run", &dataflow, "--lake", lake, "--listen", "127.0.0.1:0"])
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&ended.stderr);
        assert!(
            !ended.status.success() && text.contains("error: "),
            "{text}"
        );
        let wrong: Vec<&str> = text.lines().filter(|it| it.contains(MARK)).collect();
        assert!(wrong.is_empty(), "{lake}: {}", wrong.join("\n"));
    }
}

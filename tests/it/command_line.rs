//! What the shell sees of the command.

use std::path::Path;
use std::process::{Command, Stdio};

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

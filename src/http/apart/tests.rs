//! Programs beside the server: what they print, why they fail, that they end when nobody waits for them, and how they are written down.

use super::*;

fn shell(script: &str) -> Program {
    Program {
        program: "/bin/sh".into(),
        arguments: ["-c", script].map(OsString::from).into(),
        command: String::new(),
    }
}

#[tokio::test]
async fn a_program_tells_what_it_printed_or_why_it_failed() {
    let printed = output_of("test", shell("echo log >&2; echo 7")).await;
    assert_eq!(printed, Ok(b"7\n".to_vec()));
    let failed = "echo 'error: no rows' >&2; echo 'add some' >&2; exit 3";
    assert_eq!(
        output_of("test", shell(failed)).await,
        Err("no rows\nadd some".to_owned())
    );
    let silent = output_of("test", shell("exit 1")).await;
    assert_eq!(silent, Err("its process ended without a word".to_owned()));
    let gone = Program {
        program: "/nowhere/tidelake".into(),
        ..shell("")
    };
    let gone = output_of("test", gone).await.expect_err("it is not there");
    assert!(gone.starts_with("it could not be started: "), "{gone}");
}

#[tokio::test]
async fn a_program_that_nobody_waits_for_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let (began, after) = (folder.path().join("began"), folder.path().join("after"));
    let script = format!(
        "touch {}; sleep 2; touch {}",
        began.display(),
        after.display()
    );
    let running = tokio::spawn(output_of("test", shell(&script)));
    while !began.exists() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    running.abort();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!after.exists(), "it went on");
}

#[test]
fn arguments_are_written_as_a_shell_reads_them() {
    assert_eq!(quoted("./lake"), "./lake");
    assert_eq!(quoted("it's"), "'it'\\''s'");
    assert_eq!(quoted(""), "''");
}

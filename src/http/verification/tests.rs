//! Proofs by programs that say what a test wants.

use super::*;
use crate::http::apart::LOOK_EVERY;
use crate::http::testing::{Server, app_proving};
use std::ffi::OsString;
use std::time::{Duration, Instant};

const CHECK: &str = r#"{"name":"records","subject":"s","outcome":"holds","compared":"7","findings":[],"meaning":null}"#;

fn shell(script: &str) -> Program {
    Program {
        program: "/bin/sh".into(),
        arguments: ["-c", script].map(OsString::from).into(),
        command: "tidelake verify here".to_owned(),
    }
}

fn report(outcome: &str, proven: bool) -> String {
    let check = CHECK.replace("holds", outcome);
    format!(
        r#"{{"report":{{"commit":3,"epoch":1700000000000,"proven":{proven},"checks":[{CHECK},{check}],"elapsed_ms":5}}}}"#
    )
}

async fn until(server: &Server, holds: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let found = server.get("/api/v1/verification").await.json();
        if holds(&found) {
            return found;
        }
        assert!(Instant::now() < limit, "{found:#}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn post(server: &Server) -> (u16, String) {
    let reply = server
        .ask(
            "POST /api/v1/verification HTTP/1.1\ncontent-type: application/json",
            "{}",
        )
        .await;
    (reply.status, reply.code())
}

#[tokio::test]
async fn a_proof_tells_its_checks_and_then_its_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let go_on = folder.path().join("go-on");
    let script = format!(
        "echo '{{\"check\":{CHECK}}}'; echo noise; while [ ! -e {0} ]; do sleep 0.01; done; echo '{1}'",
        go_on.display(),
        report("unknown", true)
    );
    let server = Server::start(app_proving(Some(shell(&script)))).await;
    let found = server.get("/api/v1/verification").await.json();
    assert_eq!(found["available"], true);
    assert_eq!(found["command"], "tidelake verify here");
    assert!(found["newest"].is_null() && found["running"].is_null());

    assert_eq!(post(&server).await.0, 200);
    let found = until(&server, |it| it["running"]["checks"] == 1).await;
    assert_eq!(found["running"]["last"], "records s");
    assert_eq!(
        post(&server).await,
        (409, "verification_running".to_owned())
    );
    std::fs::write(&go_on, "").expect("it can be written");
    let found = until(&server, |it| it["running"].is_null()).await;
    assert_eq!(found["newest"]["verdict"], "partly");
    assert_eq!(found["newest"]["commit"], 3);
    assert_eq!(found["newest"]["as_of"], "2023-11-14T22:13:20Z");
    assert!(found["problem"].is_null(), "{found:#}");

    // The next one knows how many there will be.
    std::fs::remove_file(&go_on).expect("it is there");
    assert_eq!(post(&server).await.0, 200);
    let found = until(&server, |it| it["running"]["checks"] == 1).await;
    assert_eq!(found["running"]["expected_checks"], 2);
    let reply = server.ask("DELETE /api/v1/verification HTTP/1.1", "").await;
    assert_eq!(reply.status, 204);
    let found = until(&server, |it| it["running"].is_null()).await;
    assert_eq!(found["problem"], "it was cancelled");
    assert_eq!(
        found["newest"]["commit"], 3,
        "the one before is still there"
    );
    let reply = server.ask("DELETE /api/v1/verification HTTP/1.1", "").await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "not_running"));
}

#[tokio::test]
async fn a_commit_that_is_not_proven_fails_and_no_report_is_no_result() {
    let script = format!("echo '{}'; exit 1", report("fails", false));
    let server = Server::start(app_proving(Some(shell(&script)))).await;
    assert_eq!(post(&server).await.0, 200);
    let found = until(&server, |it| it["running"].is_null()).await;
    assert_eq!(found["newest"]["verdict"], "failed");

    let script = "echo log >&2; echo 'error: the topic is away' >&2; exit 2";
    let server = Server::start(app_proving(Some(shell(script)))).await;
    assert_eq!(post(&server).await.0, 200);
    let found = until(&server, |it| it["running"].is_null()).await;
    assert_eq!(found["problem"], "the topic is away");
    assert!(found["newest"].is_null());
}

#[tokio::test]
async fn what_cannot_be_started_is_said() {
    let server = Server::start(app_proving(None)).await;
    assert_eq!(post(&server).await, (501, "no_verifier".to_owned()));
    let gone = Program {
        program: "/nowhere/tidelake".into(),
        ..shell("")
    };
    let server = Server::start(app_proving(Some(gone))).await;
    assert_eq!(post(&server).await, (503, "no_verifier".to_owned()));
    let found = server.get("/api/v1/verification").await.json();
    assert!(found["running"].is_null());
}

//! Who asks is told what becomes of it, and whoever restarts hears of it only if a start would succeed.

use super::*;
use crate::http::Settings;
use crate::http::testing::{Server, app_for};
use std::ffi::OsString;

/// A server whose pipeline could start again as the script says, and what hears of a restart.
async fn server(script: &str) -> (Server, watch::Receiver<bool>) {
    let restarter = Restarter::new(Program {
        program: "/bin/sh".into(),
        arguments: ["-c", script].map(OsString::from).into(),
        command: "tidelake check here".to_owned(),
    });
    let asked = restarter.asked();
    let settings = Settings {
        restarter: Some(restarter),
        ..Settings::default()
    };
    (Server::start(app_for(settings)).await, asked)
}

async fn post(server: &Server) -> crate::http::testing::Reply {
    server.ask("POST /api/v1/restart HTTP/1.1", "").await
}

#[tokio::test]
async fn who_restarts_hears_of_it() {
    let (server, asked) = server("exit 0").await;
    assert!(!*asked.borrow());
    let reply = post(&server).await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    assert_eq!(reply.json()["process"], std::process::id());
    assert_eq!(reply.json()["generation"], 1);
    assert!(*asked.borrow());
}

#[tokio::test]
async fn what_could_not_start_goes_on_as_it_was() {
    let script = "echo 'error: dataflow.sql, line 3: no such column' >&2; exit 3";
    let (server, asked) = server(script).await;
    let reply = post(&server).await;
    assert_eq!(
        (reply.status, reply.code()),
        (409, "would_not_start".to_owned())
    );
    let problem = reply.json();
    let detail = problem["detail"].as_str().expect("what is wrong");
    assert!(detail.contains("line 3: no such column"), "{detail}");
    let hint = problem["hint"].as_str().expect("what to do");
    assert!(hint.contains("`tidelake check here`"), "{hint}");
    assert!(!*asked.borrow());
}

#[tokio::test]
async fn a_server_that_nobody_restarts_says_so() {
    let server = Server::start(app_for(Settings::default())).await;
    let reply = post(&server).await;
    assert_eq!((reply.status, reply.code()), (501, "no_restart".to_owned()));
}

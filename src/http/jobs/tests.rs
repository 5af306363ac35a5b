//! Jobs: started, watched, cancelled; and the actions that are refused before they are one.

use super::super::testing::{Server, app_for};
use super::super::{Program, Settings};
use super::*;
use serde_json::json;
use std::time::{Duration, Instant};

fn new(kind: JobKind) -> New {
    New {
        kind,
        command: "tidelake".to_owned(),
        by: Some("ada".to_owned()),
    }
}

async fn ended(jobs: &Jobs, id: &str) -> Job {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let job = jobs.one(id).expect("it is known");
        if job.state != JobState::Running {
            return job;
        }
        assert!(Instant::now() < limit, "{job:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_job_tells_what_it_is_at_and_what_it_came_to() {
    let jobs = Jobs::default();
    let (go_on, goes_on) = tokio::sync::oneshot::channel::<()>();
    let work = |step: Step| async move {
        step.at("half way");
        goes_on.await.map_err(|it| it.to_string())?;
        Ok(Outcome {
            optimized: Some(Vec::new()),
            ..Outcome::default()
        })
    };
    let job = jobs
        .start(new(JobKind::Optimize), work, std::future::ready(()))
        .expect("nothing is running");
    assert_eq!(
        (job.state, job.by.as_deref()),
        (JobState::Running, Some("ada"))
    );
    while jobs.one(&job.id).and_then(|it| it.step).is_none() {
        tokio::task::yield_now().await;
    }
    let again = jobs.start(
        new(JobKind::Optimize),
        |_| async { Ok(Outcome::default()) },
        std::future::ready(()),
    );
    let again = again.expect_err("one of a kind at a time");
    assert_eq!((again.status.as_u16(), again.code), (409, "job_running"));
    assert_eq!(again.more["job"], json!(job.id));
    let other = jobs.start(
        new(JobKind::Vacuum),
        |_| async { Err("the lake is away".to_owned()) },
        std::future::ready(()),
    );
    let other = ended(&jobs, &other.expect("another kind").id).await;
    assert_eq!(other.state, JobState::Failed);
    assert_eq!(other.problem.as_deref(), Some("the lake is away"));

    go_on.send(()).expect("it waits");
    let done = ended(&jobs, &job.id).await;
    assert_eq!((done.state, done.step), (JobState::Done, None));
    assert_eq!(done.optimized, Some(Vec::new()));
    assert!(done.ended.is_some());
    let ids: Vec<String> = jobs.list().into_iter().map(|it| it.id).collect();
    assert_eq!(ids, [other.id, job.id.clone()], "newest first");
    assert!(!jobs.cancel(&job.id), "it has ended");
}

#[tokio::test]
async fn a_cancelled_job_is_dropped_and_then_withdrawn() {
    struct Told(Arc<Mutex<Vec<&'static str>>>);
    impl Drop for Told {
        fn drop(&mut self) {
            locked(&self.0).push("dropped");
        }
    }
    let jobs = Jobs::default();
    let order = Arc::new(Mutex::new(Vec::new()));
    let told = Told(Arc::clone(&order));
    let work = |_| async move {
        let _told = told;
        std::future::pending::<()>().await;
        Ok(Outcome::default())
    };
    let withdraw = {
        let order = Arc::clone(&order);
        async move { locked(&order).push("withdrawn") }
    };
    let job = jobs.start(new(JobKind::Optimize), work, withdraw);
    let job = job.expect("nothing is running");
    assert!(jobs.cancel(&job.id));
    let job = ended(&jobs, &job.id).await;
    assert_eq!((job.state, job.problem), (JobState::Cancelled, None));
    assert_eq!(*locked(&order), ["dropped", "withdrawn"]);
}

#[tokio::test]
async fn a_panic_is_the_end_of_its_job_alone_and_old_jobs_are_forgotten() {
    let jobs = Jobs::default();
    fn fails() -> Result<Outcome, String> {
        panic!("odd")
    }
    let work = |_| async { fails() };
    let job = jobs.start(new(JobKind::Train), work, std::future::ready(()));
    let first = ended(&jobs, &job.expect("nothing is running").id).await;
    assert_eq!(first.state, JobState::Failed);
    assert!(first.problem.is_some_and(|it| it.contains("odd")));
    for _ in 0..KEPT_MAX {
        let work = |_| async { Ok(Outcome::default()) };
        let job = jobs.start(new(JobKind::Train), work, std::future::ready(()));
        ended(&jobs, &job.expect("nothing is running").id).await;
    }
    assert_eq!(jobs.list().len(), KEPT_MAX);
    assert!(jobs.one(&first.id).is_none());
}

async fn post(server: &Server, path: &str, body: &str) -> super::super::testing::Reply {
    let head = format!("POST {path} HTTP/1.1\ncontent-type: application/json");
    server.ask(&head, body).await
}

async fn watched(server: &Server, id: &str) -> serde_json::Value {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let job = server.get(&format!("/api/v1/jobs/{id}")).await.json();
        if job["state"] != "running" {
            return job;
        }
        assert!(Instant::now() < limit, "{job:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn trainer(script: &str) -> Program {
    Program {
        program: "/bin/sh".into(),
        arguments: ["-c", script, "train"].map(Into::into).into(),
        command: "tidelake train --lake ./lake".to_owned(),
    }
}

#[tokio::test]
async fn a_model_is_trained_by_a_program_that_is_told_what_was_asked() {
    let script = r#"printf '{"name": "odd", "arguments": "'; printf '%s|' "$@"; printf '"}'"#;
    let app = app_for(Settings {
        trainer: Some(trainer(script)),
        ..Settings::default()
    });
    let server = Server::start(app).await;
    let body = r#"{"from": "SELECT a, b FROM lake.t", "kind": "k-means", "label": "b", "seed": 7, "clusters": 3, "as_of": "1700000000000", "allow_leak": true}"#;
    let reply = post(&server, "/api/v1/models/odd/train", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let job = reply.json();
    assert_eq!(
        (&job["kind"], &job["state"]),
        (&json!("train"), &json!("running"))
    );
    assert_eq!(
        job["command"],
        "tidelake train --lake ./lake '--from=SELECT a, b FROM lake.t' --kind=k-means --label=b --seed=7 --clusters=3 --as-of=1700000000000 --allow-leak odd"
    );
    let job = watched(&server, job["id"].as_str().expect("an id")).await;
    assert_eq!(job["state"], "done", "{job:#}");
    assert_eq!(
        job["trained"]["arguments"],
        "--from=SELECT a, b FROM lake.t|--kind=k-means|--label=b|--seed=7|--clusters=3|--as-of=1700000000000|--allow-leak|odd|--json|"
    );

    for (path, body, code) in [
        ("Odd", r#"{"from": "SELECT 1"}"#, "bad_model_name"),
        ("odd", "{}", "bad_body"),
        ("odd", r#"{"from": " "}"#, "bad_body"),
        ("odd", r#"{"from": "SELECT 1", "clusters": 1}"#, "bad_body"),
        (
            "odd",
            r#"{"from": "SELECT 1", "kind": "oracle"}"#,
            "bad_body",
        ),
        (
            "odd",
            r#"{"from": "SELECT 1", "every": "1 day"}"#,
            "bad_body",
        ),
    ] {
        let reply = post(&server, &format!("/api/v1/models/{path}/train"), body).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{body}");
    }
}

#[tokio::test]
async fn a_training_fails_with_its_reason_and_ends_when_it_is_cancelled() {
    let app = app_for(Settings {
        trainer: Some(trainer(
            "echo 'error: no model was made: 3 rows' >&2; exit 65",
        )),
        ..Settings::default()
    });
    let server = Server::start(app).await;
    let body = r#"{"from": "SELECT 1"}"#;
    let job = post(&server, "/api/v1/models/odd/train", body).await.json();
    let job = watched(&server, job["id"].as_str().expect("an id")).await;
    assert_eq!(job["state"], "failed");
    assert_eq!(job["problem"], "no model was made: 3 rows");

    let app = app_for(Settings {
        trainer: Some(trainer("sleep 60")),
        ..Settings::default()
    });
    let server = Server::start(app).await;
    let job = post(&server, "/api/v1/models/odd/train", body).await.json();
    let id = job["id"].as_str().expect("an id");
    let reply = post(&server, "/api/v1/models/odd/train", body).await;
    assert_eq!((reply.status, reply.code().as_str()), (409, "job_running"));
    let cancel = format!("DELETE /api/v1/jobs/{id} HTTP/1.1");
    assert_eq!(server.ask(&cancel, "").await.status, 204);
    assert_eq!(watched(&server, id).await["state"], "cancelled");
    let reply = server.ask(&cancel, "").await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "unknown_job"));
    let all = server.get("/api/v1/jobs").await.json();
    assert_eq!(all["jobs"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_a_server_has_not_is_said() {
    let server = Server::start(app_for(Settings::default())).await;
    let trained = post(
        &server,
        "/api/v1/models/odd/train",
        r#"{"from": "SELECT 1"}"#,
    )
    .await;
    assert_eq!(
        (trained.status, trained.code().as_str()),
        (501, "no_trainer")
    );
    for reply in [
        post(&server, "/api/v1/lake/optimize", "{}").await,
        post(&server, "/api/v1/lake/vacuum", "").await,
        server.get("/api/v1/lake").await,
    ] {
        assert_eq!((reply.status, reply.code().as_str()), (501, "no_lake"));
    }
    let reply = post(&server, "/api/v1/lake/vacuum", r#"{"retention_hours": 0}"#).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "bad_body"));
    let reply = server.get("/api/v1/jobs/none").await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "unknown_job"));
}

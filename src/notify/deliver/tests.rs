//! A receiver that refuses, fails and is there again, over a view that is committed step by step.

use super::super::decide::tests::webhook;
use super::*;
use crate::model::{Row, Value};
use crate::view::{Part, ViewInfo};
use arrow::datatypes::{DataType, Field, Schema};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode as Code};
use axum::routing::post;
use serde_json::Value as Json;
use std::collections::VecDeque;

/// A receiver: what it answers next (200 when nothing is left), and what it got: the key of each message, its signature and its body.
#[derive(Clone, Default)]
struct Receiver {
    answers: Arc<Mutex<VecDeque<u16>>>,
    got: Arc<Mutex<Vec<(String, String, String)>>>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> (Receiver, String) {
        let receiver = Receiver::default();
        receiver.answers.lock().expect("whole").extend(answers);
        let routes = Router::new().route("/hook", post(Self::take));
        let routes = routes.with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (receiver, format!("http://{address}/hook"))
    }

    async fn take(State(it): State<Receiver>, headers: HeaderMap, body: String) -> Code {
        let header = |name: &str| match headers.get(name) {
            Some(it) => it.to_str().expect("text").to_owned(),
            None => String::new(),
        };
        let got = (
            header("idempotency-key"),
            header("tidelake-signature"),
            body,
        );
        it.got.lock().expect("whole").push(got);
        let answer = it.answers.lock().expect("whole").pop_front();
        Code::from_u16(answer.unwrap_or(200)).expect("a code")
    }

    /// What came, once there are so many messages.
    async fn got(&self, count: usize) -> Vec<(String, String, String)> {
        for _ in 0..1_000 {
            let got = self.got.lock().expect("whole").clone();
            if count <= got.len() {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} messages did not come");
    }
}

fn events(got: &[(String, String, String)]) -> Vec<String> {
    let event = |it: &(String, String, String)| {
        let body: Json = serde_json::from_str(&it.2).expect("JSON");
        let (incident, event) = (&body["incident"]["incident"], &body["event"]);
        format!("{} {}", incident.as_str().unwrap(), event.as_str().unwrap())
    };
    got.iter().map(event).collect()
}

/// A pipeline of one view, whose rows are committed when a test says so.
struct Run {
    pipeline: Pipeline,
    commit: watch::Sender<Committed>,
    epoch: u64,
}

impl Run {
    fn new(store: &Store) -> Run {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let info = ViewInfo {
            name: INCIDENTS.to_owned(),
            schema: Arc::new(Schema::new(vec![text("incident"), text("state")])),
            sql: String::new(),
            window: None,
            records_ms: None,
            order: Vec::new(),
        };
        let (commit, committed) = watch::channel(Committed::default());
        let pipeline = Pipeline {
            dataflow: "shop".to_owned(),
            hub: Hub::new(vec![info], 1, Vec::new(), 1, Epoch(0)),
            store: store.clone(),
            committed,
        };
        Run {
            pipeline,
            commit,
            epoch: 0,
        }
    }

    fn publish(&mut self, changes: &[(&str, &str, i64)]) {
        self.epoch += 100;
        let row = |it: &(&str, &str, i64)| {
            let row = Row(Arc::new([
                Value::Text(it.0.into()),
                Value::Text(it.1.into()),
            ]));
            (0, Epoch(self.epoch), row, it.2)
        };
        self.pipeline.hub.publish(Part {
            through: Epoch(self.epoch),
            changes: changes.iter().map(row).collect(),
            ..Part::default()
        });
    }

    fn commit(&self) {
        self.commit.send_modify(|it| {
            it.number += 1;
            it.epoch = Epoch(self.epoch);
            it.through = it.epoch;
        });
    }

    /// What happens instead where nothing has changed since the last commit.
    fn has_nothing_to_commit(&self) {
        self.commit.send_modify(|it| it.through = Epoch(self.epoch));
    }
}

fn lake() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().display().to_string()).expect("a lake");
    (folder, store)
}

fn to(url: &str) -> Webhook {
    Webhook {
        url: url.to_owned(),
        secret: Some("quiet".to_owned()),
        ..webhook()
    }
}

#[tokio::test]
async fn messages_follow_commits_and_are_repeated_until_they_are_taken() {
    let (receiver, url) = Receiver::start(&[503]).await;
    let (_folder, store) = lake();
    let mut run = Run::new(&store);
    let webhooks = Webhooks::start(&[to(&url)], &run.pipeline);
    run.publish(&[("old", "closed", 1)]);
    run.commit();
    run.publish(&[("a", "open", 1)]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        receiver.got.lock().expect("whole").is_empty(),
        "nothing is committed"
    );
    run.commit();
    let got = receiver.got(2).await;
    assert_eq!(events(&got), ["a opened", "a opened"]);
    assert_eq!(got[0].0, got[1].0, "a repeated message has the same key");
    run.publish(&[("a", "open", -1), ("a", "closed", 1)]);
    run.commit();
    let got = receiver.got(3).await;
    assert_eq!(events(&got)[2], "a closed");
    assert_ne!(got[1].0, got[2].0);
    let (time, sign) = got[2].1.split_once(",v1=").expect("a signature");
    let time = time.strip_prefix("t=").expect("a time");
    let signed = signature("quiet", time.parse().expect("seconds"), &got[2].2);
    assert_eq!(signed, format!("t={time},v1={sign}"));
    let (_, told) = webhooks.told().remove(0);
    for _ in 0..100 {
        if told().messages == 2 && told().waiting == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        (told().messages, told().waiting, told().problem),
        (2, 0, None)
    );
}

#[tokio::test]
async fn a_restart_goes_on_where_the_last_process_was() {
    let (receiver, url) = Receiver::start(&[]).await;
    let (_folder, store) = lake();
    let mut run = Run::new(&store);
    let webhooks = Webhooks::start(&[to(&url)], &run.pipeline);
    run.publish(&[("a", "open", 1), ("b", "open", 1)]);
    run.commit();
    receiver.got(2).await;
    // Both are noted before it ends.
    for _ in 0..100 {
        match store
            .told("shop", "pager")
            .await
            .expect("the lake is there")
        {
            Some(it) if it.windows(3).filter(|it| it == b"\"b\"").count() != 0 => break,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    drop(webhooks);
    let mut next = Run::new(&store);
    let _webhooks = Webhooks::start(&[to(&url)], &next.pipeline);
    // Before its first commit nothing of the view counts: what was restored is not in it yet.
    next.publish(&[]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Late records have taken `b` back.
    next.publish(&[("a", "open", 1)]);
    next.commit();
    assert_eq!(events(&receiver.got(3).await)[2], "b withdrawn");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(receiver.got(3).await.len(), 3, "`a` is not told again");
}

#[tokio::test]
async fn what_waits_at_a_restart_is_told_though_nothing_is_new() {
    let (receiver, url) = Receiver::start(&[503]).await;
    let (_folder, store) = lake();
    let mut run = Run::new(&store);
    let webhooks = Webhooks::start(&[to(&url)], &run.pipeline);
    run.publish(&[]);
    run.commit();
    run.publish(&[("a", "open", 1)]);
    run.commit();
    receiver.got(1).await;
    drop(webhooks);
    let mut next = Run::new(&store);
    let _webhooks = Webhooks::start(&[to(&url)], &next.pipeline);
    next.publish(&[("a", "open", 1)]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        receiver.got(1).await.len(),
        1,
        "nothing is known to be committed"
    );
    next.has_nothing_to_commit();
    assert_eq!(events(&receiver.got(2).await), ["a opened", "a opened"]);
}

#[tokio::test]
async fn a_message_that_is_refused_does_not_hold_up_the_others() {
    let (receiver, url) = Receiver::start(&[400]).await;
    let (_folder, store) = lake();
    let mut run = Run::new(&store);
    let webhooks = Webhooks::start(&[to(&url)], &run.pipeline);
    run.publish(&[("a", "open", 1), ("b", "open", 1)]);
    run.commit();
    let got = receiver.got(2).await;
    assert_eq!(events(&got), ["a opened", "b opened"]);
    let (_, told) = webhooks.told().remove(0);
    assert_eq!(events(&receiver.got(3).await)[2], "a opened");
    for _ in 0..100 {
        if told().waiting == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", told());
}

#[test]
fn a_signature_is_what_others_compute() {
    // Of Python: hmac.new(b'quiet', b'7.{}', 'sha256').hexdigest()
    let expected = "d27b393e158888c023720a7131dfcb6e46a78c9c44ab6f68f4b046a379fee2f9";
    assert_eq!(signature("quiet", 7, "{}"), format!("t=7,v1={expected}"));
}

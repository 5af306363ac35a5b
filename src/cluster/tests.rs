//! Coming together in any order, refusing strangers, and noticing a loss.

use super::*;
use std::net::TcpListener as StdListener;
use std::time::Instant;

fn hosts(count: usize) -> Vec<String> {
    // Ports that were free a moment ago; all at once, so that they differ.
    let listeners: Vec<StdListener> = (0..count)
        .map(|_| StdListener::bind("127.0.0.1:0").unwrap())
        .collect();
    listeners
        .iter()
        .map(|it| it.local_addr().unwrap().to_string())
        .collect()
}

fn member(process: usize, hosts: &[String]) -> Member {
    Member {
        process,
        hosts: hosts.to_vec(),
        workers: 2,
        fingerprint: "same".to_owned(),
        timings: Timings {
            join: Duration::from_secs(20),
            beat: Duration::from_millis(50),
            silence: Duration::from_millis(1500),
        },
    }
}

async fn joined(member: Member) -> Result<Joined, Error> {
    let welcome = Welcome {
        generation: 7,
        content: b"go on".to_vec(),
    };
    join(&member, async { Ok(welcome) }).await
}

async fn cluster(count: usize) -> Vec<Joined> {
    let hosts = hosts(count);
    // The highest number first: it waits for the others.
    let tasks: Vec<_> = (0..count)
        .rev()
        .map(|it| tokio::spawn(joined(member(it, &hosts))))
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap().unwrap());
    }
    all.reverse();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn all_find_each_other_and_hear_what_is_said() {
    let mut all = cluster(3).await;
    for (number, it) in all.iter().enumerate() {
        assert_eq!(it.welcome.generation, 7);
        let connected: Vec<bool> = it.data.iter().map(Option::is_some).collect();
        let expected: Vec<bool> = (0..3).map(|other| other != number).collect();
        assert_eq!(connected, expected);
    }
    assert_eq!(all[2].welcome.content, b"go on");
    all[1].links.sender().send_all(b"news");
    for listener in [0, 2] {
        match all[listener].links.next().await {
            Some(Event::Message { from: 1, bytes }) => assert_eq!(bytes, b"news"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_told_and_a_good_bye_is_none() {
    let mut all = cluster(3).await;
    let leaving = all.pop().unwrap();
    leaving.links.sender().bye().await;
    drop(leaving);
    let breaking = all.pop().unwrap();
    drop(breaking); // sockets close without a word
    match all[0].links.next().await {
        Some(Event::Lost { from: 1, reason }) => assert!(reason.contains("connection"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(
        all[0].links.next().await.is_none(),
        "process 2 left in order"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_a_loss() {
    // A peer whose connection stays open and says nothing: half-open, or stopped.
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let _theirs = listener.accept().unwrap();
    let began = Instant::now();
    let timings = member(0, &["127.0.0.1:1".to_owned()]).timings;
    let mut links = Links::start(0, vec![None, Some(ours)], timings).unwrap();
    match links.next().await {
        Some(Event::Lost { from: 1, reason }) => {
            assert!(reason.contains("no sign of life"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
    assert!(timings.silence <= began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_with_the_reason() {
    let hosts = hosts(2);
    let mut other = member(1, &hosts);
    other.fingerprint = "another".to_owned();
    let mut first = member(0, &hosts);
    first.timings.join = Duration::from_millis(1500);
    let first = tokio::spawn(joined(first));
    let error = joined(other).await.err().unwrap().to_string();
    assert!(
        error.contains("process 1 cannot join") && error.contains("dataflow"),
        "{error}"
    );
    let waiting = first.await.unwrap().err().unwrap().to_string();
    assert!(waiting.contains("process 1 did not connect"), "{waiting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn others_wait_for_a_long_preparation() {
    let hosts = hosts(2);
    let hurried = |process| {
        let mut member = member(process, &hosts);
        member.timings.join = Duration::from_millis(700);
        member
    };
    let first = hurried(0);
    let first = tokio::spawn(async move {
        let long = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(Welcome {
                generation: 7,
                content: Vec::new(),
            })
        };
        join(&first, long).await
    });
    let second = joined(hurried(1)).await.unwrap();
    assert_eq!(second.welcome.generation, 7);
    first.await.unwrap().unwrap();
}

#[test]
fn hosts_files_are_lists_of_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    std::fs::write(&path, "# mine\n10.0.0.1:2101\n\nb.example:2101 # second\n").unwrap();
    assert_eq!(
        read_hosts(&path).unwrap(),
        ["10.0.0.1:2101", "b.example:2101"]
    );
    std::fs::write(&path, "10.0.0.1\n").unwrap();
    let error = read_hosts(&path).unwrap_err().to_string();
    assert!(error.contains("host:port"), "{error}");
}

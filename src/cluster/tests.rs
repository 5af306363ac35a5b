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
        secret: None,
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

fn with_secret(process: usize, hosts: &[String], secret: Option<&str>) -> Member {
    let secret = secret.map(|it| Secret::new(it.as_bytes()).unwrap());
    let mut member = member(process, hosts);
    member.secret = secret;
    member.timings.join = Duration::from_millis(1500);
    member
}

const OURS: &str = "a secret of the cluster, of many bytes";

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_secret_find_each_other() {
    let hosts = hosts(3);
    let tasks: Vec<_> = (0..3)
        .rev()
        .map(|it| tokio::spawn(joined(with_secret(it, &hosts, Some(OURS)))))
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().welcome.content, b"go on");
    }
}

/// Whichever side lacks the secret: nobody joins, and both say why.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_not_the_secret_is_refused() {
    for (listens, dials, why) in [
        (Some(OURS), None, "has no secret"),
        (None, Some(OURS), "has a secret"),
        (
            Some(OURS),
            Some("the secret of others, which is another"),
            "another secret",
        ),
    ] {
        let hosts = hosts(2);
        let first = tokio::spawn(joined(with_secret(0, &hosts, listens)));
        let error = joined(with_secret(1, &hosts, dials)).await.err().unwrap();
        assert!(error.to_string().contains(why), "{error}");
        let waiting = first.await.unwrap().err().unwrap().to_string();
        assert!(waiting.contains("process 1 did not connect"), "{waiting}");
    }
}

/// Connections that say nothing, or a byte now and then, keep no process out.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_keep_nobody_waiting() {
    use tokio::io::AsyncWriteExt;
    let hosts = hosts(2);
    let first = tokio::spawn(joined(member(0, &hosts)));
    let mut strangers = Vec::new();
    while strangers.len() < 50 {
        match tokio::net::TcpStream::connect(&hosts[0]).await {
            Ok(mut stranger) => {
                stranger.write_all(&[255, 15, 0, 0, 1]).await.unwrap();
                strangers.push(stranger);
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    let began = Instant::now();
    joined(member(1, &hosts)).await.unwrap();
    first.await.unwrap().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

/// What one process said and proved is of no use on another connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_was_overheard_lets_nobody_in() {
    use super::handshake::{Answer, Kind, greet, hear};
    use super::links::{read_frame, write_frame};
    use tokio::net::{TcpListener, TcpStream};
    let hosts = hosts(2);
    let (listens, dials) = (
        with_secret(0, &hosts, Some(OURS)),
        with_secret(1, &hosts, Some(OURS)),
    );
    // Someone between the two hears all that is said.
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = between.local_addr().unwrap();
    let ours = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = ours.local_addr().unwrap();
    let dialling = tokio::spawn(async move {
        let mut socket = TcpStream::connect(at).await.unwrap();
        let _ = greet(&mut socket, &dials, Kind::Data, Some(7)).await;
    });
    let listening = tokio::spawn(async move {
        let mut heard = Vec::new();
        for _ in 0..2 {
            let (mut socket, _) = ours.accept().await.unwrap();
            heard.push(hear(&mut socket, &listens).await.map(|it| it.process).ok());
        }
        heard
    });
    let (mut from, _) = between.accept().await.unwrap();
    let silence = Duration::from_secs(5);
    let mut once = TcpStream::connect(to).await.unwrap();
    let frame = async |from: &mut TcpStream, to: &mut TcpStream| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let length = from.read_u32_le().await.unwrap();
        let mut bytes = vec![0; length as usize];
        from.read_exact(&mut bytes).await.unwrap();
        to.write_u32_le(length).await.unwrap();
        to.write_all(&bytes).await.unwrap();
        bytes
    };
    let hello = frame(&mut from, &mut once).await;
    frame(&mut once, &mut from).await;
    let proof = frame(&mut from, &mut once).await;
    // The same words again.
    let mut again = TcpStream::connect(to).await.unwrap();
    for bytes in [&hello, &proof] {
        use tokio::io::AsyncWriteExt;
        again.write_u32_le(bytes.len() as u32).await.unwrap();
        again.write_all(bytes).await.unwrap();
    }
    let challenge: Answer = read_frame(&mut again, 1 << 16, silence).await.unwrap();
    assert!(matches!(challenge, Answer::Challenge { .. }));
    drop((from, once));
    let _ = write_frame(&mut again, &0u8).await;
    dialling.await.unwrap();
    assert_eq!(listening.await.unwrap(), [Some(1), None]);
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

//! `tidelake gen`: what it says was written is there, and what it cannot do it says.

use crate::program::{Ended, run, spawn, tidelake};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::net::TcpListener;
use std::time::Duration;

/// Events of a topic, as a client of its own reads them.
fn events_of(brokers: &str, topic: &str) -> i64 {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .unwrap();
    let limit = Duration::from_secs(60);
    let metadata = consumer.fetch_metadata(Some(topic), limit).unwrap();
    let partitions = metadata.topics()[0].partitions().iter();
    let ends = partitions.map(|it| consumer.fetch_watermarks(topic, it.id(), limit).unwrap().1);
    ends.sum()
}

#[test]
fn what_is_said_to_be_written_is_in_the_topic() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 3, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let ended = run(&[
        "gen",
        "--brokers",
        &brokers,
        "--topic",
        "t",
        "--count",
        "5000",
    ]);
    ended.expect(0, &format!("5000 events written to topic t at {brokers}"));
    assert_eq!(events_of(&brokers, "t"), 5000);
}

#[test]
fn events_that_the_broker_refuses_are_not_written() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refused; 5]);
    let brokers = cluster.bootstrap_servers();
    let ended = run(&["gen", "--brokers", &brokers, "--topic", "t", "--count", "5"]);
    ended.expect(1, "5 events did not reach topic t");
    ended.expect(1, "0 of 5 were written");
    assert_eq!(events_of(&brokers, "t"), 0);
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_broker_that_is_not_there_is_an_error_of_one_line() {
    let brokers = nobody();
    let ended = run(&["gen", "--brokers", &brokers, "--count", "5"]);
    ended.expect(69, &format!("brokers {brokers} do not answer"));
    let lines: Vec<&str> = ended.said.lines().collect();
    assert_eq!(
        lines.len(),
        2,
        "that it waits, and that it gave up: {lines:?}"
    );
}

#[test]
fn a_stop_is_obeyed_while_there_is_no_broker() {
    let brokers = nobody();
    let mut command = tidelake(&["gen", "--brokers", &brokers]);
    let mut running = spawn(&mut command);
    running.wait_for("waiting for Kafka");
    running.signal(libc::SIGINT);
    let ended = running.end();
    ended.expect(1, "stopped before Kafka");
}

#[test]
fn brokers_in_the_environment_are_for_gen_without_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("input");
    let mut command = tidelake(&["gen", "--count", "10", "--out"]);
    command.arg(&out).env("KAFKA_BROKERS", nobody());
    let ended = Ended::of(&mut command);
    ended.expect(0, &format!("10 events written to {}", out.display()));
    let files = std::fs::read_dir(&out).unwrap();
    let lines: usize = files
        .map(|it| {
            std::fs::read_to_string(it.unwrap().path())
                .unwrap()
                .lines()
                .count()
        })
        .sum();
    assert_eq!(lines, 10);

    let mut command = tidelake(&["gen", "--count", "10"]);
    command.env_remove("KAFKA_BROKERS");
    Ended::of(&mut command).expect(2, "--out DIR");
}

#[test]
fn a_line_that_was_cut_off_does_not_spoil_the_next_event() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events-0.jsonl");
    std::fs::write(&file, "{\"timestamp\":\"2026-").unwrap();
    let mut command = tidelake(&["gen", "--count", "3", "--partitions", "1", "--out"]);
    Ended::of(command.arg(folder.path())).expect(0, "3 events written");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, "{\"timestamp\":\"2026-"));
    assert!(lines[1..].iter().all(|it| it.ends_with('}')));
}

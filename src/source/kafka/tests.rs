//! Where a partition is read on, for every way in which broker and lake may differ; and the options of a source.

use super::*;
use crate::model::Offset;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const STOP: Policy = Policy {
    start: StartAt::Earliest,
    on_offset_gap: OnLoss::Stop,
    on_topic_recreated: OnLoss::Stop,
};
const GO_ON: Policy = Policy {
    start: StartAt::Earliest,
    on_offset_gap: OnLoss::Earliest,
    on_topic_recreated: OnLoss::Earliest,
};

fn stored(offset: i64, origin: &str) -> Position {
    Position {
        offset: Offset(offset),
        origin: origin.to_owned(),
        mark: String::new(),
    }
}

fn seen(topic_id: &str, low: i64, high: i64) -> Seen {
    Seen {
        topic_id: topic_id.to_owned(),
        low,
        high,
    }
}

/// Base, next offset and gap of a decision to read.
fn read(decision: Decision) -> (i64, i64, Option<(i64, i64)>) {
    match decision {
        Decision::Read {
            numbering,
            next,
            gap,
        } => (numbering.base, next, gap.map(|it| (it.from, it.to))),
        Decision::Stop(reason) => panic!("stopped: {reason}"),
    }
}

fn reason(decision: Decision) -> String {
    match decision {
        Decision::Stop(reason) => reason,
        Decision::Read { next, .. } => panic!("reads on at {next}"),
    }
}

#[test]
fn a_new_partition_starts_where_the_source_says() {
    let at = |start| read(decide(None, &seen("a", 3, 9), &Policy { start, ..STOP }));
    assert_eq!(at(StartAt::Earliest), (0, 3, None));
    assert_eq!(at(StartAt::Latest), (0, 9, None));
}

#[test]
fn a_stored_offset_that_is_there_is_read_on() {
    for offset in [3, 5, 9] {
        let decision = decide(Some(&stored(offset, "a")), &seen("a", 3, 9), &STOP);
        assert_eq!(read(decision), (0, offset, None));
    }
}

#[test]
fn an_expired_offset_stops_or_leaves_a_noted_gap() {
    let (stored, seen) = (stored(100, "a"), seen("a", 500, 900));
    let text = reason(decide(Some(&stored), &seen, &STOP));
    assert!(
        text.contains("100 to 499 expired") && text.contains("on_offset_gap = 'earliest'"),
        "{text}"
    );
    assert_eq!(
        read(decide(Some(&stored), &seen, &GO_ON)),
        (0, 500, Some((100, 500)))
    );
}

#[test]
fn another_topic_of_the_name_stops_or_goes_on_behind_the_old_one() {
    for seen in [seen("b", 2, 5_000), seen("b", 2, 7), seen("", 2, 7)] {
        let text = reason(decide(Some(&stored(100, "a")), &seen, &STOP));
        assert!(
            text.contains("recreated") && text.contains("on_topic_recreated = 'earliest'"),
            "{text}"
        );
        assert_eq!(
            read(decide(Some(&stored(100, "a")), &seen, &GO_ON)),
            (101, 103, Some((100, 103)))
        );
    }
}

#[test]
fn a_rebased_topic_is_read_on_like_any_other() {
    let position = Numbering {
        topic_id: "b".to_owned(),
        base: 101,
    }
    .position(110);
    let at = |low, high| decide(Some(&position), &seen("b", low, high), &GO_ON);
    assert_eq!(read(at(0, 9)), (101, 110, None));
    assert_eq!(read(at(20, 30)), (101, 121, Some((110, 121))));
    assert_eq!(read(at(0, 3)), (111, 111, Some((110, 111))));
}

#[test]
fn a_broker_without_ids_is_trusted_by_offsets() {
    let decision = decide(Some(&stored(5, "")), &seen("a", 0, 9), &STOP);
    let Decision::Read { numbering, .. } = decision else {
        panic!("stopped");
    };
    assert_eq!(numbering.topic_id, "a", "from now on it is known");
    let decision = decide(Some(&stored(5, "a")), &seen("", 0, 9), &STOP);
    let Decision::Read { numbering, .. } = decision else {
        panic!("stopped");
    };
    assert_eq!(numbering.topic_id, "a", "what was known is kept");
}

#[test]
fn a_note_is_read_back_as_written() {
    for (topic_id, base) in [("", 0), ("", 7), ("Zm9v+/A", 0), ("Zm9v+/A", 7)] {
        let numbering = Numbering {
            topic_id: topic_id.to_owned(),
            base,
        };
        assert_eq!(Numbering::parse(&numbering.position(42).origin), numbering);
    }
}

#[test]
fn the_client_tells_of_a_replaced_topic_only() {
    let told = |from: &str| {
        client::is_other_topic(&format!(
            "Topic t changed id from {from} to Zm9vYmFyZm9vYmFyZm9vYg"
        ))
    };
    assert!(told("YmFyYmFyYmFyYmFyYmFyYg"));
    assert!(!told("AAAAAAAAAAAAAAAAAAAAAA"), "the first time it is seen");
    assert!(!client::is_other_topic("Topic t [0] Leader 1 Epoch 0"));
}

#[test]
fn options_are_read_and_wrong_ones_refused() {
    let options = |extra: &[(&str, &str)]| -> Vec<(String, String)> {
        let base = [
            ("connector", "kafka"),
            ("brokers", "b:9092"),
            ("topic", "t"),
        ];
        base.iter()
            .chain(extra)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let topic = |extra: &[(&str, &str)]| Topic::from_options("s", &options(extra));
    assert_eq!(topic(&[]).expect("right").policy, STOP);
    let set = [
        ("on_offset_gap", "earliest"),
        ("on_topic_recreated", "earliest"),
        ("kafka.security.protocol", "ssl"),
    ];
    let right = topic(&set).expect("right");
    assert_eq!(right.policy, GO_ON);
    assert_eq!(
        right.properties,
        [("security.protocol".to_owned(), "ssl".to_owned())]
    );
    assert_eq!(right.create, None, "a missing topic is waited for");
    let set = [("on_topic_missing", "create"), ("topic_partitions", "7")];
    assert_eq!(topic(&set).expect("right").create, Some(7));
    assert_eq!(topic(&set[..1]).expect("right").create, Some(3));
    for (key, value) in [
        ("on_topic_missing", "make"),
        ("topic_partitions", "0"),
        ("topic_partitions", "x"),
        ("on_offset_gap", "ignore"),
        ("on_topic_recreated", "yes"),
        ("start", "middle"),
        ("topics", "t"),
        ("topic", ""),
    ] {
        let error = topic(&[(key, value)]).expect_err("wrong").to_string();
        assert!(error.contains(key) && error.contains("\"s\""), "{error}");
    }
}

/// A client that is not left as it was found waits for ever when it is closed, once in some dozens.
#[test]
fn every_reading_of_a_topic_ends() {
    let cluster = MockCluster::new(1).expect("a broker");
    cluster.create_topic("s", 3, 1).expect("a topic");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .expect("a producer");
    for at in 0..90 {
        let record = BaseRecord::<(), str>::to("s")
            .payload("x")
            .partition(at % 3);
        producer.send(record).expect("it is queued");
    }
    let patience = Duration::from_secs(30);
    producer.flush(patience).expect("it is written");
    let options = [
        ("brokers".to_owned(), cluster.bootstrap_servers()),
        ("topic".to_owned(), "s".to_owned()),
    ];
    let topic = Topic::from_options("s", &options).expect("a topic");
    let read = &|partition: i32| {
        let mut records = 0;
        let partition = Partition(partition);
        let read = read_again(&topic, partition, 0..30, &mut |it| {
            records += it.ends.len();
        });
        assert!(matches!(read, Ok(ReadAgain::From(0))), "{read:?}");
        assert_eq!(records, 30);
    };
    std::thread::scope(|scope| {
        for partition in 0..3 {
            scope.spawn(move || (0..30).for_each(|_| read(partition)));
        }
    });
}

/// Records bring the times that Kafka has of them: of those of a chunk the oldest and the newest, and none where nothing was read.
#[test]
fn the_times_of_records_come_with_them() {
    let cluster = MockCluster::new(1).expect("a broker");
    cluster.create_topic("s", 1, 1).expect("a topic");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .expect("a producer");
    for made_ms in [1_700_000_005_000, 1_700_000_003_000, 1_700_000_009_000] {
        let record = BaseRecord::<(), str>::to("s").payload("x").partition(0);
        let queued = producer.send(record.timestamp(made_ms));
        queued.expect("it is queued");
    }
    let patience = Duration::from_secs(30);
    producer.flush(patience).expect("it is written");
    let options = [
        ("brokers".to_owned(), cluster.bootstrap_servers()),
        ("topic".to_owned(), "s".to_owned()),
    ];
    let stop = Arc::new(AtomicBool::new(false));
    let reader = Reader {
        topic: Topic::from_options("s", &options).expect("a topic"),
        worker: 0,
        workers: 1,
        stored: Offsets::default(),
        status: SharedStatus::default(),
        look_again: LookAgain::default(),
        live: Arc::default(),
        stop: Arc::clone(&stop),
    };
    let reading = reader.open().expect("a client");
    let (sender, chunks) = crossbeam_channel::bounded(4);
    let read: Vec<Chunk> = std::thread::scope(|scope| {
        scope.spawn(move || reading.run(&sender));
        let (mut read, mut records) = (Vec::new(), 0);
        while records < 3
            && let Ok(chunk) = chunks.recv_timeout(patience)
        {
            records += chunk.records.ends.len();
            read.push(chunk);
        }
        stop.store(true, Ordering::Release);
        drop(chunks);
        read
    });
    let is_told = |it: &Chunk| it.stamps.is_some() != it.records.ends.is_empty();
    assert!(read.iter().all(is_told), "{read:?}");
    let all = read.iter().map(|it| it.stamps);
    let expected = Stamps {
        oldest_ms: 1_700_000_003_000,
        newest_ms: 1_700_000_009_000,
    };
    assert_eq!(all.fold(None, Stamps::of_both), Some(expected));
}

//! From a real Apache Kafka to live views and archive, with all shipped views of `dataflows/web_logs` on.
//!
//! Backs the documentation's claims on throughput and delay from Kafka. Starts a broker of its own (needs Java 17 and Maven, see
//! `tests/kafka`), or uses the one given by `--brokers`, in which a topic is made and deleted. The broker's own CPU time is not counted, but
//! it uses the same cores: wall clock says what one machine does for both, CPU time what Tidelake needs.

mod common;

use clap::Parser;
use common::ceiling::{self, Depth};
use common::load::{self, Sink};
use common::pipeline::{self, Run, Running};
use common::{Figure, delay};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tidelake::model::Offsets;
use tidelake::plan::Dataflow;
use tidelake::source::{LookAgain, SharedStatus, kafka};

/// How long the broker may take to answer.
const ASK_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Records to read.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// Records per second of event time.
    #[arg(long, default_value_t = 100_000.0)]
    event_rate: f64,
    #[arg(long, default_value_t = 8)]
    partitions: usize,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Seconds to measure the delay; 0 leaves it out.
    #[arg(long, default_value_t = 20)]
    delay_seconds: u64,
    /// Records per second while the delay is measured; half of what the pipeline made if left out.
    #[arg(long)]
    rate: Option<f64>,
    /// A broker that runs already.
    #[arg(long)]
    brokers: Option<String>,
    /// Where the jars of the broker are kept from run to run.
    #[arg(long)]
    jars: Option<PathBuf>,
    /// Runs one ceiling over a topic and tells its figures: how this bench starts itself.
    #[arg(long, hide = true, requires = "topic")]
    step: Option<Depth>,
    #[arg(long, hide = true)]
    topic: Option<String>,
    /// The program to measure, to compare builds; the one built along if left out.
    #[arg(long, default_value_os_t = common::tidelake())]
    program: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    match (&options.step, &options.topic, &options.brokers) {
        (Some(depth), Some(topic), Some(brokers)) => {
            let done = read(*depth, brokers, topic, &options);
            println!("{}", serde_json::to_string(&done).expect("plain numbers"));
        }
        _ => all(&options),
    }
}

fn all(options: &Options) {
    let own = options
        .brokers
        .is_none()
        .then(|| Broker::start(options.jars.as_deref()));
    let brokers = match (&own, &options.brokers) {
        (Some(own), _) => own.address.clone(),
        (None, Some(given)) => given.clone(),
        (None, None) => unreachable!("a broker is given or started"),
    };
    let name = format!("tidelake-bench-{}", std::process::id());
    let topic = Topic::make(&brokers, &name, options.partitions);
    let start_us = 1_767_225_600_000_000; // 2026-01-01
    let mut producer = Producing::open(&topic);
    load::fill(&mut producer, options.records, options.event_rate, start_us);
    drop(producer);
    let arguments: Vec<String> = [
        "--brokers",
        &brokers,
        "--topic",
        &name,
        "--records",
        &options.records.to_string(),
        "--workers",
        &options.workers.to_string(),
    ]
    .map(str::to_owned)
    .to_vec();
    let mut figures: Vec<Figure> = ["read", "decode", "parquet", "table"]
        .map(|it| common::step("kafka", it, &arguments))
        .to_vec();
    let shipped = common::repository().join("dataflows/web_logs");
    let lake = tempfile::tempdir().expect("a folder for the lake");
    let environment = environment(&brokers, &name);
    let run_on = |lake, environment| Run {
        program: &options.program,
        dataflow: &shipped,
        lake,
        workers: options.workers,
        arguments: &[],
        environment,
    };
    let (done, used) = pipeline::drain(&run_on(lake.path(), &environment), options.records);
    let mut whole = Figure::new("kafka", "archive and all views", done, used);
    whole.of_ceiling = Some(figures[2].cpu_s_per_million / whole.cpu_s_per_million);
    let half = whole.records_per_s / 2.0;
    figures.push(whole);
    common::report(
        &format!(
            "kafka: {} records in {} partitions, {} workers; ceiling: parquet, by CPU time",
            options.records, options.partitions, options.workers
        ),
        &figures,
    );
    if 0 < options.delay_seconds {
        let live = Topic::make(&brokers, &format!("{name}-live"), options.partitions);
        let lake = tempfile::tempdir().expect("a folder for the lake");
        let environment = self::environment(&brokers, &live.name);
        let mut producer = Producing::open(&live);
        let running = Running::start(&run_on(lake.path(), &environment));
        let rate = options.rate.unwrap_or(half);
        let delays = delay::measure("kafka", running, &mut producer, rate, options.delay_seconds);
        delay::report(&delays);
    }
}

fn environment(brokers: &str, topic: &str) -> Vec<(String, String)> {
    [("KAFKA_BROKERS", brokers), ("KAFKA_TOPIC", topic)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// The shipped dataflow, on a topic.
fn dataflow(brokers: &str, topic: &str) -> Dataflow {
    let folder = common::repository().join("dataflows/web_logs");
    let environment = environment(brokers, topic);
    let lookup = |name: &str| {
        let found = environment.iter().find(|it| it.0 == name);
        found.map(|it| it.1.clone())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime for planning");
    runtime
        .block_on(tidelake::sql::load(
            &folder,
            lookup,
            &tidelake::sql::models::Models::Unknown,
        ))
        .expect("the shipped dataflow is sound")
}

fn read(depth: Depth, brokers: &str, topic: &str, options: &Options) -> common::Done {
    let dataflow = dataflow(brokers, topic);
    let spec = &dataflow.sources[0];
    let topic = kafka::Topic::from_options(&spec.name, &spec.options).expect("a Kafka source");
    let workers = options.workers;
    ceiling::run(
        depth,
        &dataflow,
        workers,
        options.records,
        &|worker, to, stop| {
            let reader = kafka::Reader {
                topic: topic.clone(),
                worker,
                workers,
                stored: Offsets::default(),
                status: SharedStatus::default(),
                look_again: LookAgain::default(),
                live: std::sync::Arc::default(),
                stop,
            };
            let reading = reader.open().expect("the client can be made");
            std::thread::spawn(move || reading.run(&to))
        },
    )
}

/// A broker of this run, stopped when dropped.
struct Broker {
    folder: tempfile::TempDir,
    address: String,
}

impl Broker {
    fn start(jars: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the broker");
        let scripts = common::repository().join("tests/kafka");
        let jars = jars.map_or_else(|| folder.path().join("kafka"), Path::to_owned);
        let jars = output(Command::new(scripts.join("fetch.sh")).arg(jars));
        let address = output(
            Command::new("python3")
                .arg(scripts.join("broker.py"))
                .args(["start", "--jars", &jars, "--dir"])
                .arg(folder.path().join("broker")),
        );
        Broker { folder, address }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let script = common::repository().join("tests/kafka/broker.py");
        let stopped = Command::new("python3")
            .arg(script)
            .args(["stop", "--dir"])
            .arg(self.folder.path().join("broker"))
            .status();
        if !stopped.is_ok_and(|it| it.success()) {
            eprintln!("the broker at {} could not be stopped", self.address);
        }
    }
}

/// The last line a command prints.
fn output(command: &mut Command) -> String {
    let done = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("the command can be started");
    assert!(done.status.success(), "{command:?} failed");
    let text = String::from_utf8_lossy(&done.stdout);
    text.lines().last().unwrap_or_default().trim().to_owned()
}

/// A topic of this run, deleted when dropped.
struct Topic {
    brokers: String,
    name: String,
    partitions: usize,
    admin: AdminClient<DefaultClientContext>,
}

impl Topic {
    fn make(brokers: &str, name: &str, partitions: usize) -> Self {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .create()
            .expect("an admin client");
        let count = i32::try_from(partitions).expect("few partitions");
        let topic = NewTopic::new(name, count, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(ASK_MAX));
        let made = block_on(admin.create_topics([&topic], &options));
        assert!(
            made.is_ok_and(|it| it.iter().all(Result::is_ok)),
            "topic {name} could not be made"
        );
        Topic {
            brokers: brokers.to_owned(),
            name: name.to_owned(),
            partitions,
            admin,
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        let gone = block_on(
            self.admin
                .delete_topics(&[&self.name], &AdminOptions::new()),
        );
        if gone.is_err() {
            eprintln!("topic {} could not be deleted", self.name);
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for one question")
        .block_on(future)
}

/// Events into the partitions of a topic.
struct Producing {
    producer: BaseProducer,
    topic: String,
    partitions: usize,
}

impl Producing {
    fn open(topic: &Topic) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &topic.brokers)
            .set("linger.ms", "5")
            .set("batch.size", "1000000")
            .set("compression.type", "lz4")
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "500000")
            .create()
            .expect("a producer");
        Producing {
            producer,
            topic: topic.name.clone(),
            partitions: topic.partitions,
        }
    }
}

impl Sink for Producing {
    fn send(&mut self, partition: usize, event: &[u8]) {
        let mut record = BaseRecord::<(), [u8]>::to(&self.topic)
            .partition(i32::try_from(partition).expect("few partitions"))
            .payload(event);
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => panic!("could not send: {error}"),
            }
        }
    }

    fn flush(&mut self) {
        self.producer.poll(Duration::ZERO);
    }

    fn partitions(&self) -> usize {
        self.partitions
    }
}

impl Drop for Producing {
    fn drop(&mut self) {
        self.producer
            .flush(ASK_MAX)
            .expect("the broker takes every record");
    }
}

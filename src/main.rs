//! The `tidelake` command: arguments and environment become settings, settings become a run.
//!
//! The only place that ends the process. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong dataflow.

mod cli;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use cli::client::{self, Output};
use cli::generate::{self, Files, Load, Target, Topic};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidelake::coordinator::Options;
use tidelake::plan::Dataflow;

/// Live, exact views and a Delta lake from log topics.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 110,
    after_help = "First time? `tidelake demo`, then open http://127.0.0.1:4000/"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process: generated traffic, the web_logs dataflow, a lake, the API and the page.
    ///
    /// Keeps its data in ./tidelake-data; started again it goes on where it stopped.
    Demo {
        /// Where input and lake are kept.
        #[arg(long, env = "TIDELAKE_DATA", default_value = "./tidelake-data")]
        data: PathBuf,
        /// Events per second.
        #[arg(long, default_value_t = 100.0)]
        rate: f64,
        #[command(flatten)]
        serving: Serving,
    },
    /// Runs a dataflow on Kafka, or on partition files with --input.
    #[command(
        after_help = "Examples:\n  tidelake run dataflows/web_logs\n  KAFKA_BROKERS=kafka:9092 tidelake run dataflows/web_logs --lake s3://bucket/lake\n  tidelake run dataflows/access_log --input /var/log/nginx"
    )]
    Run {
        /// Folder with dataflow.sql.
        dataflow: PathBuf,
        /// Read every source from the files of this folder instead of Kafka.
        #[arg(long, env = "TIDELAKE_INPUT")]
        input: Option<PathBuf>,
        /// Folder or s3://bucket/path of the lake.
        #[arg(long, env = "DELTA_LAKE_PATH", default_value = "./tidelake-data/lake")]
        lake: String,
        #[command(flatten)]
        serving: Serving,
    },
    /// Parses and plans a dataflow, and shows what would run.
    Check {
        /// Folder with dataflow.sql.
        dataflow: PathBuf,
    },
    /// Generates web-log events into files or Kafka.
    #[command(
        after_help = "Examples:\n  tidelake gen --rate 100 --duration 60 --out ./input\n  tidelake gen --count 1000000 --out ./input\n  tidelake gen --rate 20 --brokers localhost:9092 --topic web-logs"
    )]
    Gen {
        /// Events per second of event time.
        #[arg(long, default_value_t = 10.0)]
        rate: f64,
        /// Stop after so many seconds.
        #[arg(long)]
        duration: Option<f64>,
        /// Stop after so many events; they are written as fast as possible.
        #[arg(long)]
        count: Option<u64>,
        /// The same seed gives the same events.
        #[arg(long, default_value_t = 42)]
        seed: u64,
        /// Leave out injected anomalies.
        #[arg(long)]
        no_anomalies: bool,
        /// Event time of the first event, ISO 8601; now if left out.
        #[arg(long)]
        start: Option<String>,
        /// Folder for partition files events-<n>.jsonl, or one file if it ends in .jsonl or .json.
        #[arg(long, conflicts_with = "brokers", required_unless_present = "brokers")]
        out: Option<PathBuf>,
        /// Number of partition files.
        #[arg(long, default_value_t = 4)]
        partitions: usize,
        /// Kafka brokers, host:port,…
        #[arg(long, env = "KAFKA_BROKERS")]
        brokers: Option<String>,
        #[arg(long, env = "KAFKA_TOPIC", default_value = "web-logs")]
        topic: String,
        /// File for the injected truth, one JSON line per anomaly.
        #[arg(long)]
        truth: Option<PathBuf>,
    },
    /// Asks a running server in SQL, over live views and the lake.
    #[command(
        after_help = "Examples:\n  tidelake sql 'SELECT * FROM top_endpoints'\n  tidelake sql 'SELECT count(*) FROM lake.logs' -o json"
    )]
    Sql {
        query: String,
        #[arg(long, env = "TIDELAKE_SERVER", default_value = "http://127.0.0.1:4000")]
        server: String,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Prints the API as an OpenAPI document.
    Openapi,
    /// Prints a view and then each of its changes.
    Tail {
        view: String,
        /// Only rows for which this holds, such as "status_class >= 4".
        #[arg(long = "where")]
        filter: Option<String>,
        #[arg(long, env = "TIDELAKE_SERVER", default_value = "http://127.0.0.1:4000")]
        server: String,
    },
}

#[derive(Args)]
struct Serving {
    /// Address of the API and the page. [default: 127.0.0.1:4000, or port $PORT]
    #[arg(long, env = "TIDELAKE_LISTEN")]
    listen: Option<SocketAddr>,
    #[arg(long, env = "PORT", hide = true)]
    port: Option<u16>,
    /// Timely workers.
    #[arg(long, env = "TIDELAKE_WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Seconds between commits to the lake.
    #[arg(long, env = "TIDELAKE_COMMIT_INTERVAL", default_value_t = 10.0)]
    commit_interval: f64,
    /// Origins whose pages may read the API, or *.
    #[arg(long, env = "TIDELAKE_CORS", value_delimiter = ',')]
    cors: Vec<String>,
    /// Folder of saved queries. [default: tidelake/queries in the user's folder for settings]
    #[arg(long, env = "TIDELAKE_SAVED_QUERIES")]
    saved_queries: Option<PathBuf>,
}

impl Serving {
    fn saved_queries(&self) -> Option<PathBuf> {
        let given = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty());
        let settings = || match given("XDG_CONFIG_HOME") {
            Some(it) => Some(PathBuf::from(it)),
            None => given("HOME").map(|it| PathBuf::from(it).join(".config")),
        };
        self.saved_queries
            .clone()
            .or_else(|| settings().map(|it| it.join("tidelake/queries")))
    }

    fn address(&self) -> SocketAddr {
        self.listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], self.port.unwrap_or(4000))))
    }

    fn options(&self, lake: String, input: Option<PathBuf>) -> Options {
        let tick_ms = Options::default().tick_ms;
        let commit_interval_ms = ((self.commit_interval * 1000.0) as u64)
            .div_ceil(tick_ms)
            .max(1)
            * tick_ms;
        Options {
            lake,
            input,
            workers: self.workers.into(),
            commit_interval_ms,
            ..Options::default()
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("TIDELAKE_LOG")
                .unwrap_or_else(|_| "tidelake=info,warn".into()),
        )
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
    match start(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<tidelake::sql::Error>() {
                3
            } else {
                1
            })
        }
    }
}

fn start(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match command {
        Command::Demo {
            data,
            rate,
            serving,
        } => demo(&runtime, &data, rate, &serving),
        Command::Run {
            dataflow,
            input,
            lake,
            serving,
        } => {
            let dataflow = runtime.block_on(load(&dataflow))?;
            let options = serving.options(lake, input);
            runtime.block_on(cli::serve::run(
                dataflow,
                options,
                serving.address(),
                serving.cors.clone(),
                serving.saved_queries(),
            ))
        }
        Command::Check { dataflow } => {
            print!("{}", runtime.block_on(load(&dataflow))?);
            Ok(())
        }
        Command::Gen {
            rate,
            duration,
            count,
            seed,
            no_anomalies,
            start,
            out,
            partitions,
            brokers,
            topic,
            truth,
        } => {
            let start_us = start.map(|it| time_us(&it)).transpose()?;
            let load = Load {
                rate,
                seed,
                anomalies: !no_anomalies,
                duration: duration.map(Duration::from_secs_f64),
                count,
                paced: count.is_none(),
                start_us,
            };
            let mut target: Box<dyn Target> = match (&out, &brokers) {
                (Some(path), _)
                    if path
                        .extension()
                        .is_some_and(|it| it == "jsonl" || it == "json") =>
                {
                    Box::new(Files::single(path)?)
                }
                (Some(folder), _) => Box::new(Files::open(folder, partitions.max(1))?),
                (None, Some(brokers)) => Box::new(Topic::open(brokers, &topic)?),
                (None, None) => {
                    anyhow::bail!("say where events go: --out DIR, or --brokers and --topic")
                }
            };
            let mut truth = truth
                .map(|it| {
                    std::fs::File::create(&it)
                        .with_context(|| format!("could not write {}", it.display()))
                })
                .transpose()?
                .map(std::io::BufWriter::new);
            let stop = stop_on_signal(&runtime);
            let sent = generate::generate(
                &load,
                target.as_mut(),
                truth.as_mut().map(|it| it as &mut dyn Write),
                &stop,
            )?;
            eprintln!("{sent} events written");
            Ok(())
        }
        Command::Sql {
            query,
            server,
            output,
        } => runtime.block_on(client::sql(&server, &query, output)),
        Command::Openapi => {
            println!("{:#}", tidelake::http::openapi_document());
            Ok(())
        }
        Command::Tail {
            view,
            filter,
            server,
        } => runtime.block_on(client::tail(&server, &view, filter.as_deref())),
    }
}

/// The dataflow of `demo`, so that it needs no other file.
const DEMO_DATAFLOW: &str = include_str!("../dataflows/web_logs/dataflow.sql");

fn demo(
    runtime: &tokio::runtime::Runtime,
    data: &std::path::Path,
    rate: f64,
    serving: &Serving,
) -> Result<()> {
    let dataflow = runtime.block_on(tidelake::sql::plan_text("web_logs", DEMO_DATAFLOW, |it| {
        std::env::var(it).ok()
    }))?;
    let input = data.join("input");
    let mut files = Files::open(&input, 4)?;
    let address = serving.address();
    eprintln!(
        "Tidelake demo: {rate} generated web-log events a second, {} workers.",
        serving.workers
    );
    eprintln!("  page     http://{address}/");
    eprintln!("  a view   curl -N http://{address}/api/v1/views/traffic_1m/changes");
    eprintln!("  SQL      tidelake sql 'SELECT * FROM top_endpoints'");
    eprintln!(
        "  lake     {}/lake   (Delta tables: logs, traffic_1m, …)",
        data.display()
    );
    eprintln!("Ctrl+C stops it; started again it goes on where it stopped.");
    let stop = Arc::new(AtomicBool::new(false));
    let stop_generating = Arc::clone(&stop);
    let load = Load {
        rate,
        seed: tidelake::model::wall_ms(),
        anomalies: true,
        duration: None,
        count: None,
        paced: true,
        start_us: None,
    };
    let generating = std::thread::Builder::new()
        .name("generate".to_owned())
        .spawn(move || generate::generate(&load, &mut files, None, &stop_generating))?;
    let options = serving.options(data.join("lake").display().to_string(), Some(input));
    let result = runtime.block_on(cli::serve::run(
        dataflow,
        options,
        address,
        serving.cors.clone(),
        serving.saved_queries(),
    ));
    stop.store(true, Ordering::Release);
    let _ = generating.join();
    result
}

async fn load(folder: &std::path::Path) -> Result<Dataflow> {
    Ok(tidelake::sql::load(folder, |it| std::env::var(it).ok()).await?)
}

fn time_us(text: &str) -> Result<i64> {
    tidelake::source::decode::timestamp::parse(text, 0)
        .with_context(|| format!("--start {text} is not a time such as 2026-01-31T12:00:00Z"))
}

fn stop_on_signal(runtime: &tokio::runtime::Runtime) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    runtime.spawn(async move {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
        let terminated = async {
            match terminate.as_mut() {
                Some(it) => it.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated => {}
        }
        told.store(true, Ordering::Release);
    });
    stop
}

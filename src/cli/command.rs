//! The `tidelake` command: arguments and environment become settings, settings become a run.
//!
//! What an end means is in `exit`.

use super::access::AccessArguments;
use super::detach::{self, InstanceArguments, Part};
use super::instance;
use super::query_limits::QueryLimits;
use super::restart::{self, Done};
use super::serve::Companion;
use super::settings::Settings;
use super::{addresses, exit, generate, origin, ranges, size, sql, tail};
use crate::coordinator::{Options, TICK_MS};
use crate::http::{self, HostPattern};
use crate::model::secret;
use crate::plan::Dataflow;
use crate::source::place::{Input, Inputs};
use crate::sql::models::Models;
use crate::sql::query::answer_queries;
use crate::supervise;
use crate::trace::{self, export::Exporting};
use anyhow::Result;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Live, exact views and a Delta lake from log topics.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 110,
    after_help = "First time? `tidelake demo`, then open http://127.0.0.1:4000/\n\nSettings may also stand in tidelake.toml, under the names of the long flags."
)]
struct Cli {
    /// File with settings. [default: tidelake.toml, if it is there]
    #[arg(long, global = true, env = "TIDELAKE_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process, with generated traffic: the place to begin.
    ///
    /// The web_logs dataflow, its lake, the API and the page, over a day of history and live events. Keeps its data in
    /// ./tidelake-data; started again it goes on where it stopped.
    #[command(
        after_help = "Examples:\n  tidelake demo\n  tidelake demo --listen 127.0.0.1:4100 --data /tmp/demo\n  tidelake demo --rate 500 --history 0.5 --no-incident\n  tidelake demo -d                 in the background; tidelake status, logs, stop"
    )]
    Demo(super::demo::Arguments),
    /// Writes a shipped dataflow into a folder, to run or to change.
    #[command(
        after_help = "Examples:\n  tidelake init                              which there are\n  tidelake init access_log\n  tidelake init web_logs ./shop"
    )]
    Init(super::init::Arguments),
    /// Runs a dataflow on its topics or files, or on those of --input.
    #[command(
        after_help = "Examples:\n  tidelake run dataflows/web_logs\n  KAFKA_BROKERS=kafka:9092 tidelake run dataflows/web_logs --lake s3://bucket/lake\n  tidelake run dataflows/access_log --input '/var/log/nginx/access.log*'\n  tidelake run ./shop --input orders=./orders --input clicks='./clicks/*.jsonl'\n  tidelake run dataflows/web_logs -d --name logs    in the background, restarted if it is lost"
    )]
    Run {
        /// Folder with dataflow.sql.
        dataflow: PathBuf,
        /// Read from these files instead: a folder, a file, or FOLDER/PATTERN. With several sources once for each, as SOURCE=PATH.
        #[arg(long, env = "TIDELAKE_INPUT", value_name = "[SOURCE=]PATH")]
        input: Vec<Input>,
        /// Folder or s3://bucket/path of the lake.
        #[arg(long, env = "DELTA_LAKE_PATH", default_value = "./tidelake-data/lake")]
        lake: String,
        /// Number of this process in a cluster, from 0.
        #[arg(long, requires = "hosts")]
        process: Option<usize>,
        /// File with one host:port per line, by process number: where the processes of the cluster reach each other.
        #[arg(long, requires = "process")]
        hosts: Option<PathBuf>,
        #[command(flatten)]
        serving: Serving,
    },
    /// Runs a dataflow in several processes, started again if one is lost.
    #[command(
        after_help = "Examples:\n  tidelake up dataflows/web_logs --processes 3 --workers 2\n\nProcess 0 serves at --listen, each further one at the next port."
    )]
    Up {
        /// Folder with dataflow.sql.
        dataflow: PathBuf,
        /// Number of processes.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(ranges::WORKERS))]
        processes: u16,
        /// Read from these files instead: a folder, a file, or FOLDER/PATTERN. With several sources once for each, as SOURCE=PATH.
        #[arg(long, env = "TIDELAKE_INPUT", value_name = "[SOURCE=]PATH")]
        input: Vec<Input>,
        /// Folder or s3://bucket/path of the lake.
        #[arg(long, env = "DELTA_LAKE_PATH", default_value = "./tidelake-data/lake")]
        lake: String,
        #[command(flatten)]
        serving: Serving,
    },
    /// Tells what runs on this machine and how it is.
    ///
    /// Every run, up and demo is an instance with a name; its folder tells other shells of it. Or, with --lake, who holds a lake.
    #[command(
        after_help = "Examples:\n  tidelake status\n  tidelake status web_logs -o json\n  kill -9 $(tidelake status demo -o pids)      it is started again from its last commit\n  tidelake status --lake s3://bucket/lake\n\nExit code: 0, or 1 if the instance that was named does not run."
    )]
    Status(super::status::Arguments),
    /// Prints the log of an instance in the background.
    #[command(
        after_help = "Examples:\n  tidelake logs web_logs\n  tidelake logs -f -n 0\n\nOf what is written the newest 16 MiB and three files before that are kept."
    )]
    Logs(super::logs::Arguments),
    /// Stops instances in order: with their last commit.
    #[command(
        after_help = "Examples:\n  tidelake stop web_logs\n  tidelake stop --all --timeout 60\n\nExit code: 0 it does not run any more, or did not; 5 it ended without its last commit; 1 it still runs, or ended in another way; 2 none was named, and there are several or one in the foreground."
    )]
    Stop(super::stop::Arguments),
    /// Tells whether a server is ready, by its exit code.
    #[command(
        after_help = "Examples:\n  tidelake health\n  tidelake health --server https://logs.example.com:4000\n  HEALTHCHECK CMD [\"tidelake\", \"health\", \"--quiet\"]\n\nExit code: 0 ready, also if degraded (unless --strict); 1 not ready, with the reason; 69 it does not answer."
    )]
    Health(super::probe::Arguments),
    /// Shows what a dataflow reads, keeps and writes, or where it is wrong.
    #[command(
        after_help = "Examples:\n  tidelake check dataflows/web_logs\n  tidelake check dataflows/web_logs --plan | less\n  tidelake check dataflows/web_logs --lake ./tidelake-data/lake\n\nExit code: 0 it can run, 2 wrong usage, 3 the dataflow is wrong, or the lake does not fit it."
    )]
    Check(super::check::Arguments),
    /// Decodes again what could not be decoded when it was read.
    Replay {
        #[command(subcommand)]
        what: super::replay::What,
    },
    /// Proves the newest commit: reads all again, recomputes every view.
    ///
    /// Reads source and lake again without the engine and compares. Changes nothing.
    #[command(
        after_help = "Examples:\n  tidelake verify                          what `tidelake demo` wrote\n  tidelake verify --data ./tidelake-data --json\n  tidelake verify --verbose                each check on a line of its own\n  tidelake verify dataflows/access_log --input '/var/log/nginx/access.log*' --lake ./lake\n  KAFKA_BROKERS=kafka:9092 tidelake verify dataflows/web_logs --lake s3://bucket/lake\n\nExit code: 0 proven, 1 not, 2 nothing there to prove."
    )]
    Verify(super::verify::Arguments),
    /// Shows, compacts, cleans, backs up and restores a lake.
    Lake {
        #[command(subcommand)]
        what: super::lake::What,
    },
    /// Generates web logs, or the auctions of Nexmark, into files or Kafka.
    #[command(
        after_help = "Examples:\n  tidelake gen --rate 100 --duration 60 --out ./input\n  tidelake gen --count 1000000 --out ./input\n  tidelake gen --rate 20 --brokers localhost:9092 --topic web-logs\n  tidelake gen nexmark --count 100000 --out ./nexmark"
    )]
    Gen(super::generate::Arguments),
    /// Asks a server in SQL, over live views and the lake, or a lake alone.
    #[command(
        after_help = "Examples:\n  tidelake sql\n  tidelake sql 'SHOW TABLES; DESCRIBE lake.logs'\n  tidelake sql 'SELECT * FROM top_endpoints'\n  tidelake sql 'SELECT count(*) FROM lake.logs' -o json\n  tidelake sql 'SELECT count(*) FROM logs' --lake ./tidelake-data/lake\n  tidelake sql -f report.sql > report.txt\n\nWithout a query, on a terminal: a shell; \\? lists its commands (\\d, \\x, \\o, \\watch, \\asof, …), which scripts have as well.\nA table is as wide as the terminal, or as $COLUMNS says: long texts are cut, and columns of the middle are left out; -x shows all of a row. Into a pipe or a file every row is one whole line. NO_COLOR is respected.\nExit code: 0 all rows were printed, 1 some are missing or the query failed, 2 wrong usage, 65 it was refused, 69 no server, 130 cancelled with Ctrl+C."
    )]
    Sql(sql::Arguments),
    /// Reports on traffic, anomalies and models, as text, JSON or HTML.
    ///
    /// Which tables there are follows from what the columns of the dataflow mean. All numbers are of one commit of the lake, each table with the query behind it.
    #[command(
        after_help = "Examples:\n  tidelake report\n  tidelake report analytics --range yesterday\n  tidelake report all --range 'last week' --output report.html\n  tidelake report anomalies --from 2026-01-30 --to 2026-01-31 -o json\n  tidelake report --lake ./tidelake-data/lake --dataflow dataflows/web_logs\n\nThe file of HTML has its charts in it and needs nothing else: it can be kept or mailed.\nExit code: 0 the report is written, 1 it failed, 2 wrong usage, 65 it was refused, 69 no server."
    )]
    Report(super::report::Arguments),
    /// Says what detectors find in a series, in rates or in access logs.
    ///
    /// Rates and access logs get injected faults, so that what is found can be judged.
    #[command(
        after_help = "Examples:\n  tidelake eval --series cpu.csv --output scores.csv\n  tidelake eval --series cpu.csv --detector ewma --season none --json\n  tidelake eval --rates requests-per-minute.csv --seed 7\n  tidelake eval --logs access.log --traffic requests-per-minute.csv\n  tidelake eval --synthetic\n\nA series is a file of `timestamp,value[,label]` lines; rates are one of `period,count` lines, one per minute."
    )]
    Eval(super::eval::Arguments),
    /// Learns a model from rows of the lake, and says how good it is.
    #[command(
        after_help = "Examples:\n  tidelake train odd --from 'SELECT response_time, status_code, bytes_sent FROM lake.logs'\n  tidelake train slow --kind gradient-boosting --label slow \\\n    --from 'SELECT bytes_sent, hour, response_time > 400 AS slow FROM lake.logs' --as-of 2026-01-31T12:00:00Z\n\nA fifth of the rows is held out, and the report is about those.\nExit code: 0 the model is in the lake, 65 the query or its rows were refused and nothing was changed."
    )]
    Train(super::train::Arguments),
    /// Lists, shows, imports and asks the models of a lake.
    Model {
        #[command(subcommand)]
        what: super::model::What,
    },
    /// Makes the token of a user, for servers that have some.
    Token {
        #[command(subcommand)]
        what: super::token::What,
    },
    /// Looks at everything that a pipeline needs, and says what to do.
    ///
    /// Machine, settings, dataflow, sources, lake and server. Changes nothing.
    #[command(
        after_help = "Examples:\n  tidelake doctor\n  KAFKA_BROKERS=kafka:9092 tidelake doctor dataflows/web_logs --lake s3://bucket/lake\n\nExit code: 0 nothing has failed, 1 something has."
    )]
    Doctor(super::doctor::Arguments),
    /// Collects what helps to find a fault, without records and secrets.
    #[command(
        after_help = "Example:\n  tidelake bundle dataflows/web_logs --lake ./lake --log tidelake.log"
    )]
    Bundle(super::bundle::Arguments),
    /// Shows which settings are in force.
    Config {
        #[command(subcommand)]
        what: super::config::What,
    },
    /// Prints the completion script of a shell.
    #[command(
        after_help = "Examples:\n  tidelake completions bash > ~/.local/share/bash-completion/completions/tidelake\n  tidelake completions zsh > ~/.zfunc/_tidelake     with ~/.zfunc in $fpath, before compinit\n  tidelake completions fish > ~/.config/fish/completions/tidelake.fish"
    )]
    Completions {
        /// The shell that reads it.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page of a command, or writes all of them.
    #[command(
        after_help = "Examples:\n  tidelake man | man -l -\n  tidelake man run | man -l -\n  tidelake man --out ~/.local/share/man/man1"
    )]
    Man(super::manual::Arguments),
    /// Prints the API as an OpenAPI document.
    Openapi,
    /// Prints a reference chapter of the documentation.
    #[command(
        after_help = "Examples:\n  tidelake reference options\n  tidelake reference settings > docs/book/reference-settings.md\n\nA running server has all of the documentation at /docs."
    )]
    Reference {
        /// Which one.
        chapter: super::reference::Chapter,
    },
    /// Prints a view, and then each of its changes until interrupted.
    #[command(
        after_help = "Examples:\n  tidelake tail top_endpoints\n  tidelake tail status_1m --where 'status_class >= 4' -o json\n\nA row that changed is one line, ~ with its old and new values; + is a new row, - one that is gone."
    )]
    Tail(tail::Arguments),
}

#[derive(Args)]
pub struct Serving {
    /// Address of the API and the page: 4000, localhost:4000, 0.0.0.0:4000. [default: 127.0.0.1:4000, or port $PORT]
    #[arg(long, env = "TIDELAKE_LISTEN", value_parser = addresses::listen)]
    listen: Option<SocketAddr>,
    #[arg(long, env = "PORT", hide = true)]
    port: Option<u16>,
    /// Timely workers.
    #[arg(long, env = "TIDELAKE_WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(ranges::WORKERS))]
    pub workers: u16,
    /// Seconds between commits to the lake.
    #[arg(long, env = "TIDELAKE_COMMIT_INTERVAL", default_value_t = 10.0, value_parser = ranges::within(ranges::COMMIT_INTERVAL), allow_negative_numbers = true)]
    commit_interval: f64,
    /// Seconds after which a partition that was read to its end no longer holds back event time.
    #[arg(long, env = "TIDELAKE_IDLE_TIMEOUT", default_value_t = 5.0, value_parser = ranges::within(ranges::TIMEOUT), allow_negative_numbers = true)]
    idle_timeout: f64,
    /// Seconds after which event time goes on by the wall clock when nothing comes at all, so that windows close.
    #[arg(long, env = "TIDELAKE_CLOSE_TIMEOUT", default_value_t = 30.0, value_parser = ranges::within(ranges::TIMEOUT), allow_negative_numbers = true)]
    close_timeout: f64,
    /// Hours for which versions of the lake's tables can be read after newer ones came, for time travel; at most a week.
    #[arg(long, env = "TIDELAKE_VERSION_RETENTION", default_value_t = 168, value_parser = clap::value_parser!(u16).range(1..=168))]
    version_retention: u16,
    /// Hours after which small files of all tables are put together; 0 for never.
    #[arg(long, env = "TIDELAKE_OPTIMIZE_EVERY", value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u16).range(0..=8760))]
    optimize_every: u16,
    /// Memory that each process may take, such as 4GiB or 512MB: near it, sources wait. [default: no limit]
    #[arg(long, env = "TIDELAKE_MEMORY_MAX", value_name = "SIZE", value_parser = size::memory_max)]
    memory_max: Option<u64>,
    /// Take the lake from the process that holds it: that one stops at its next commit.
    #[arg(long)]
    take_over: bool,
    /// Origins whose pages may read the API, or *.
    #[arg(long, env = "TIDELAKE_CORS", value_delimiter = ',')]
    cors: Vec<String>,
    /// Names under which the server is reached, besides addresses and localhost: logs.example.com, *.example.com, or * for any.
    #[arg(long, env = "TIDELAKE_ALLOWED_HOST", value_delimiter = ',')]
    allowed_host: Vec<HostPattern>,
    /// In which each dataflow has a folder of saved queries, filters and boards. [default: tidelake/queries in the user's folder for settings]
    #[arg(long, env = "TIDELAKE_SAVED_QUERIES")]
    saved_queries: Option<PathBuf>,
    /// Collector of OpenTelemetry that traces of requests, queries and commits go to, such as http://collector:4318. [default: nothing is traced]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    #[command(flatten)]
    pub access: AccessArguments,
    #[command(flatten)]
    pub queries: QueryLimits,
    #[command(flatten)]
    pub instance: InstanceArguments,
}

impl Serving {
    /// The settings of the HTTP server, with the programs that verify its commits, train models and say whether it could start again; and its
    /// components in the health.
    ///
    /// # Errors
    /// If it would be open to other machines without users, or a file with users or keys is wrong.
    pub fn http(
        &self,
        prover: http::Program,
        trainer: http::Program,
        check: http::Program,
        settings: &Settings,
    ) -> Result<(http::Settings, Vec<Companion>)> {
        let protection = self.access.open(settings, self.address())?;
        let http = http::Settings {
            prover: Some(prover),
            trainer: Some(trainer),
            restarter: Some(http::Restarter::new(check)),
            keeping: http::Keeping {
                versions_for: Some(self.version_retention()),
                optimizes_every: self.optimizes_every(),
            },
            access: http::Access::new(self.cors.clone(), self.allowed_host.clone()),
            auth: protection.auth,
            tls: protection.tls,
            saved_queries: self.saved_queries(),
            limits: http::Limits::of(http::raise_descriptors()),
        };
        Ok((http, protection.companion.into_iter().collect()))
    }

    /// Begins to trace, if settings or environment name a collector, until what is returned is dropped.
    ///
    /// # Errors
    /// If it cannot be done as they say.
    pub fn traces(
        &self,
        dataflow: &Dataflow,
        process: usize,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Option<Exporting>> {
        let about = [
            ("tidelake.dataflow", dataflow.name.clone()),
            ("tidelake.process", process.to_string()),
        ];
        trace::export::begin(self.otlp_endpoint.as_deref(), about, runtime)
            .map_err(|it| exit::coded(exit::CONFIGURATION, it))
    }

    pub fn saved_queries(&self) -> Option<PathBuf> {
        let given = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty());
        let settings = || match given("XDG_CONFIG_HOME") {
            Some(it) => Some(PathBuf::from(it)),
            None => given("HOME").map(|it| PathBuf::from(it).join(".config")),
        };
        self.saved_queries
            .clone()
            .or_else(|| settings().map(|it| it.join("tidelake/queries")))
    }

    /// Whether it takes the lake from its holder. A process that is started again does not: it may have lost the lake to another one since.
    pub fn takes_over(&self) -> bool {
        let restarts = std::env::var(super::up::RESTARTS_VARIABLE).unwrap_or_default();
        let is_first = ["", "0"].contains(&restarts.as_str()) && !restart::was_restarted();
        self.take_over && is_first
    }

    pub fn address(&self) -> SocketAddr {
        self.listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], self.port.unwrap_or(4000))))
    }

    fn version_retention(&self) -> Duration {
        Duration::from_secs(3600 * u64::from(self.version_retention))
    }

    fn optimizes_every(&self) -> Option<Duration> {
        (0 < self.optimize_every)
            .then(|| Duration::from_secs(3600 * u64::from(self.optimize_every)))
    }

    pub fn options(&self, lake: String, inputs: Inputs) -> Options {
        let commit_interval_ms = ((self.commit_interval * 1000.0) as u64)
            .div_ceil(TICK_MS)
            .max(1)
            * TICK_MS;
        Options {
            lake,
            inputs,
            workers: self.workers.into(),
            commit_interval_ms,
            idle_ms: (self.idle_timeout * 1000.0) as u64,
            close_idle_ms: (self.close_timeout * 1000.0) as u64,
            version_retention: self.version_retention(),
            take_over: self.takes_over(),
            memory_max: self.memory_max,
            optimize_every: self.optimizes_every(),
            ..Options::default()
        }
    }
}

/// Does what the command line says; the code is for the shell.
pub fn command_line() -> ExitCode {
    crate::memory::return_freed_pages_early();
    // Before anything else: such a process has its own limits, and no settings.
    if let Some(code) = answer_queries(std::env::args_os().skip(1)) {
        return code;
    }
    let (cli, settings) = match arguments() {
        Ok(it) => it,
        Err(code) => return code,
    };
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("TIDELAKE_LOG")
                .unwrap_or_else(|_| "tidelake=info,rustls_platform_verifier=off,warn".into()),
        )
        .with_target(false)
        .with_writer(|| super::log::Redacted)
        // The reader of our log may be gone; to complain of that on the same way would be a panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    quiet_panics();
    let done = start(cli.command, &settings).and_then(|done| match done {
        Done::Code(code) => Ok(code),
        Done::Again(restart) => restart.begin().map(|()| ExitCode::FAILURE),
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", secret::redact(&format!("{error:#}")));
            ExitCode::from(exit::code(&error))
        }
    }
}

/// When another process of the cluster is gone, timely's threads panic one after the other. The one line that says which
/// process that was comes from elsewhere; their backtraces would bury it. And `tidelake sql … | head` is no failure.
fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(exit::PIPE_CLOSED);
        }
        let is_echo =
            text.starts_with("timely communication error") || text.contains("MergeQueue poisoned");
        if !is_echo {
            usual(panic);
        }
    }));
}

/// All commands and their options.
pub(super) fn definition() -> clap::Command {
    super::help::grouped(Cli::command())
}

/// The command line over the environment over the settings file over defaults; or the exit code, when all is said.
fn arguments() -> Result<(Cli, Settings), ExitCode> {
    let given: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let wrong = |error: anyhow::Error| {
        eprintln!("error: {error:#}");
        ExitCode::from(exit::USAGE)
    };
    let settings = Settings::find(&given).map_err(wrong)?;
    let command = settings.apply(definition()).map_err(wrong)?;
    origin::tell_of_unknown_variables(&command);
    let matches = command.clone().try_get_matches_from(&given);
    match matches.and_then(|it| Cli::from_arg_matches(&it)) {
        Ok(cli) => Ok((cli, settings)),
        Err(mut error) => {
            origin::suggest_command(&mut error, &command);
            // Help and version are errors of this kind, too, with exit code 0.
            let _ = error.print();
            if let Some(origin) = origin::of_wrong_value(&error, &command, &given, &settings) {
                eprintln!("{origin}");
            }
            Err(ExitCode::from(
                u8::try_from(error.exit_code()).unwrap_or(exit::USAGE),
            ))
        }
    }
}

fn start(command: Command, settings: &Settings) -> Result<Done> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = run(&runtime, command, settings);
    // Threads that wait for a process that is gone would never end.
    runtime.shutdown_background();
    result
}

fn run(runtime: &tokio::runtime::Runtime, command: Command, settings: &Settings) -> Result<Done> {
    let code = |code: u8| Ok(Done::Code(ExitCode::from(code)));
    match command {
        Command::Verify(arguments) => {
            let proven = runtime.block_on(super::verify::run(&arguments, settings))?;
            return code(u8::from(!proven));
        }
        Command::Demo(arguments) => return super::demo::run(runtime, &arguments, settings),
        Command::Run {
            dataflow,
            input,
            lake,
            process,
            hosts,
            serving,
        } => {
            let part = match serving.instance.part()? {
                Part::Supervisor(registered) => {
                    let cluster = detach::this_command(&serving);
                    runtime.block_on(detach::supervise(&cluster, *registered))?;
                    return code(0);
                }
                part => part,
            };
            let models = Models::Current(lake.clone());
            let prover = super::verify::prover_of_run(settings, &dataflow, &lake, &input);
            let trainer = super::train::trainer(settings, &lake);
            let check = super::check::of_run(settings, &dataflow, &lake);
            let dataflow = runtime.block_on(load(&dataflow, settings, &models))?;
            let shares_lake = process.is_some() || serving.takes_over();
            let mut wanted = (serving.instance).wanted("run", &dataflow, &lake, shares_lake)?;
            if let Some(process) = process {
                wanted.base = format!("{}-{process}", dataflow.name);
            }
            if let Part::Starter = part {
                serving.access.open(settings, serving.address())?;
                runtime.block_on(detach::start(&wanted, &serving, &[]))?;
                return code(0);
            }
            let mut options = serving.options(lake, input.into());
            if let (Some(process), Some(hosts)) = (process, hosts) {
                options.cluster = Some(member(process, &hosts, &serving, &dataflow)?);
            }
            let registered = match part {
                Part::Foreground => detach::registered(&wanted)?,
                _ => None,
            };
            let _traces =
                serving.traces(&dataflow, process.unwrap_or_default(), runtime.handle())?;
            let result = runtime.block_on(async {
                let (http, companions) = serving.http(prover, trainer, check, settings)?;
                let listener = super::serve::listen(&serving.address()).await?;
                let (limits, registered) = (serving.queries.limits(), registered.as_ref());
                instance::tell(registered, serving.access.scheme(), &listener)?;
                super::serve::run(
                    dataflow, options, listener, http, limits, companions, registered,
                )
                .await
            });
            return restart::ended(registered, result);
        }
        Command::Up {
            dataflow,
            processes,
            input,
            lake,
            serving,
        } => {
            let part = serving.instance.part()?;
            let models = Models::Current(lake.clone());
            let planned = runtime.block_on(load(&dataflow, settings, &models))?;
            let shares_lake = serving.takes_over();
            let wanted = (serving.instance).wanted("up", &planned, &lake, shares_lake)?;
            let mut arguments = vec!["run".to_owned(), dataflow.display().to_string()];
            arguments.extend(["--lake".to_owned(), lake]);
            arguments.extend(
                serving
                    .saved_queries()
                    .into_iter()
                    .flat_map(|it| ["--saved-queries".to_owned(), it.display().to_string()]),
            );
            arguments.extend(
                input
                    .into_iter()
                    .flat_map(|it| ["--input".to_owned(), it.to_string()]),
            );
            arguments.extend(["--workers".to_owned(), serving.workers.to_string()]);
            arguments.extend(
                serving
                    .memory_max
                    .into_iter()
                    .flat_map(|it| ["--memory-max".to_owned(), it.to_string()]),
            );
            arguments.extend([
                "--version-retention".to_owned(),
                serving.version_retention.to_string(),
                "--optimize-every".to_owned(),
                serving.optimize_every.to_string(),
            ]);
            for (flag, seconds) in [
                ("--commit-interval", serving.commit_interval),
                ("--idle-timeout", serving.idle_timeout),
                ("--close-timeout", serving.close_timeout),
            ] {
                arguments.extend([flag.to_owned(), seconds.to_string()]);
            }
            arguments.extend(
                serving
                    .cors
                    .iter()
                    .flat_map(|it| ["--cors".to_owned(), it.clone()]),
            );
            arguments.extend(
                serving
                    .allowed_host
                    .iter()
                    .flat_map(|it| ["--allowed-host".to_owned(), it.to_string()]),
            );
            arguments.extend(
                serving
                    .otlp_endpoint
                    .iter()
                    .flat_map(|it| ["--otlp-endpoint".to_owned(), it.clone()]),
            );
            arguments.extend(serving.queries.arguments());
            arguments.extend(serving.access.arguments());
            // They run where this one does, but were not told which file it took.
            arguments.extend(
                settings
                    .file()
                    .into_iter()
                    .flat_map(|it| ["--config".to_owned(), it.to_owned()]),
            );
            // What all would refuse is refused once.
            serving.access.open(settings, serving.address())?;
            let cluster = super::up::Cluster {
                processes: processes.into(),
                is_cluster: true,
                listen: serving.address(),
                scheme: serving.access.scheme(),
                secret_file: serving.access.secret_file().cloned(),
                arguments: arguments.into_iter().map(Into::into).collect(),
                take_over: serving.take_over,
            };
            match part {
                Part::Starter => runtime.block_on(detach::start(&wanted, &serving, &[])),
                Part::Supervisor(it) => runtime.block_on(detach::supervise(&cluster, *it)),
                Part::Foreground | Part::Process => {
                    let registered = detach::registered(&wanted)?;
                    let result = runtime.block_on(super::up::up(&cluster, registered.as_ref()));
                    if let Some(it) = registered {
                        it.ended(&result);
                    }
                    result
                }
            }
        }
        Command::Status(arguments) => runtime.block_on(super::status::run(&arguments)),
        Command::Logs(arguments) => runtime.block_on(super::logs::run(&arguments)),
        Command::Stop(arguments) => runtime.block_on(super::stop::run(&arguments)),
        Command::Health(arguments) => runtime.block_on(super::probe::run(&arguments)),
        Command::Check(arguments) => runtime.block_on(super::check::run(&arguments, settings)),
        Command::Replay { what } => runtime.block_on(super::replay::run(&what, settings)),
        Command::Lake { what } => runtime.block_on(super::lake::run(&what)),
        Command::Gen(arguments) => {
            let stop = stop_on_signal(runtime);
            generate::run(arguments, settings, &stop)
        }
        Command::Sql(arguments) => runtime.block_on(sql::run(&arguments)),
        Command::Report(arguments) => runtime.block_on(super::report::run(&arguments, settings)),
        Command::Eval(arguments) => super::eval::run(&arguments),
        Command::Train(arguments) => runtime.block_on(super::train::run(&arguments)),
        Command::Model { what } => runtime.block_on(super::model::run(&what)),
        Command::Token { what } => super::token::run(&what),
        Command::Doctor(arguments) => {
            let is_well = runtime.block_on(super::doctor::run(&arguments, settings))?;
            return code(u8::from(!is_well));
        }
        Command::Bundle(arguments) => {
            runtime.block_on(super::bundle::run(&arguments, settings, &definition()))
        }
        Command::Config { what } => super::config::run(&what, settings, &definition()),
        Command::Init(arguments) => super::init::run(&arguments),
        Command::Completions { shell } => super::manual::completions(shell),
        Command::Man(arguments) => super::manual::run(&arguments),
        Command::Openapi => {
            println!("{:#}", crate::http::openapi_document());
            Ok(())
        }
        Command::Reference { chapter } => {
            print!("{}", super::reference::text(chapter));
            Ok(())
        }
        Command::Tail(arguments) => runtime.block_on(tail::run(&arguments)),
    }?;
    code(0)
}

fn member(
    process: usize,
    hosts: &std::path::Path,
    serving: &Serving,
    dataflow: &Dataflow,
) -> Result<crate::cluster::Member> {
    let hosts = crate::cluster::read_hosts(hosts)?;
    let secret = serving.access.secret(&hosts)?;
    anyhow::ensure!(
        process < hosts.len(),
        "--process {process}: the hosts file names {} processes, numbered from 0",
        hosts.len()
    );
    Ok(crate::cluster::Member {
        process,
        hosts,
        workers: serving.workers.into(),
        fingerprint: format!(
            "{} {} {} {} {}",
            env!("CARGO_PKG_VERSION"),
            dataflow.fingerprint,
            serving.commit_interval,
            serving.idle_timeout,
            serving.close_timeout
        ),
        secret,
        timings: crate::cluster::Timings::default(),
    })
}

/// The dataflow of a folder, or of the `dataflow.sql` in it.
pub(super) async fn load(
    path: &std::path::Path,
    settings: &Settings,
    models: &Models,
) -> Result<Dataflow> {
    let folder = match path.parent() {
        Some(parent) if path.is_file() && path.ends_with("dataflow.sql") => parent,
        Some(_) | None => path,
    };
    // Its name is the folder's, also of the one we are in.
    let folder = match folder.file_name() {
        Some(_) => folder.to_owned(),
        None => folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
    };
    if let Some(command) = super::init::instead_of(&folder) {
        return Err(exit::coded(
            exit::DATAFLOW,
            format!(
                "there is no {}; `{command}` writes the dataflow of that name, which is shipped",
                folder.display()
            ),
        ));
    }
    if !folder.exists() {
        return Err(exit::coded(
            exit::DATAFLOW,
            format!(
                "there is no folder {}; a dataflow is a folder with a file dataflow.sql, and `tidelake init` lists those that are shipped",
                folder.display()
            ),
        ));
    }
    if folder.is_file() {
        return Err(exit::coded(
            exit::DATAFLOW,
            format!(
                "{} is a file; a dataflow is a folder with its statements in a file dataflow.sql, such as {}/dataflow.sql",
                folder.display(),
                folder.with_extension("").display()
            ),
        ));
    }
    let variables = settings.variables();
    let planned = crate::sql::load(&folder, |it| variables.lookup(it), models).await;
    variables.planned(planned)
}

fn stop_on_signal(runtime: &tokio::runtime::Runtime) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    supervise::task_on(runtime.handle(), "signals", async move {
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

//! `demo`: everything in one process, with generated traffic.
//!
//! History and live traffic are one stream of one generator: its first event lies a day back, all that is due is made at once,
//! and from then on events come when they are due. The rate is therefore the same before and after, and whatever learns from
//! traffic has learned when the page opens. Started again, the stream begins where the files end, so that time without the
//! demo is no silence.

mod traffic;

use super::command::Serving;
use super::detach::{self, Part};
use super::generate::{Files, Progress, how_far};
use super::instance::{self, Registered};
use super::restart::{self, Done, Served};
use super::serve;
use super::settings::Settings;
use super::terminal::{count, number};
use super::{progress, size};
use crate::generator::OUTAGE_ENDPOINT;
use crate::http;
use crate::model::{Epoch, wall_ms};
use crate::plan::Dataflow;
use crate::sql::models::Models;
use crate::supervise;
use anyhow::Result;
use clap::Args;
use serde_json::Value;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use traffic::{OUTAGE_AFTER, OUTAGE_LASTS, PAUSES, Traffic};

/// The dataflow of `demo`, so that it needs no other file.
const DATAFLOW: &str = include_str!("../../dataflows/web_logs/dataflow.sql");
const PARTITIONS: usize = 4;
const DATA_DEFAULT: &str = "./tidelake-data";
/// The threshold of spikes in the dataflow, and its default there.
const SPIKE_VARIABLE: &str = "ANOMALY_SPIKE_REQUESTS";
const SPIKE_DEFAULT: f64 = 1500.0;
/// The busiest minute of the day, as a factor of the rate.
const BUSIEST: f64 = 1.3 * 1.05;
/// How often the server is asked how it is going, while history is read and from then on.
const READY_EVERY: Duration = Duration::from_millis(200);
const ASKED_EVERY: Duration = Duration::from_secs(1);
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// So much of history may be on its way when all of it was read, in bytes.
const ON_ITS_WAY_BYTES: u64 = 50_000;
/// Parts of the bar that tells how much of history was made.
const SHARES: u64 = 1000;

#[derive(Args)]
pub struct Arguments {
    /// Where input and lake are kept.
    #[arg(long, env = "TIDELAKE_DATA", default_value = DATA_DEFAULT)]
    data: PathBuf,
    /// Events per second, as the mean of a day: more come by day, fewer by night.
    #[arg(long, default_value_t = 10.0, value_parser = super::ranges::within(super::ranges::RATE), allow_negative_numbers = true)]
    rate: f64,
    /// Hours of history before the first live event. [default: 24, or what 900,000 events are enough for]
    #[arg(long, value_name = "HOURS", value_parser = super::ranges::within(super::ranges::HISTORY), allow_negative_numbers = true)]
    history: Option<f64>,
    /// Leave out the announced outage, three minutes after the start.
    #[arg(long)]
    no_incident: bool,
    #[command(flatten)]
    serving: Serving,
}

/// Runs until told to stop.
pub fn run(
    runtime: &tokio::runtime::Runtime,
    arguments: &Arguments,
    settings: &Settings,
) -> Result<Done> {
    let done = |()| Done::Code(ExitCode::SUCCESS);
    let Arguments { data, serving, .. } = arguments;
    let part = match serving.instance.part()? {
        Part::Supervisor(registered) => {
            let cluster = detach::this_command(serving);
            let supervised = runtime.block_on(detach::supervise(&cluster, *registered));
            return supervised.map(done);
        }
        part => part,
    };
    let lake = data.join("lake").display().to_string();
    let models = Models::Current(lake.clone());
    let dataflow = runtime.block_on(dataflow(settings, &models))?;
    let mut wanted = (serving.instance).wanted("demo", &dataflow, &lake, serving.takes_over())?;
    wanted.base = "demo".to_owned();
    let registered = match part {
        Part::Starter => {
            serving.access.open(settings, serving.address())?;
            let more = what_to_try(serving.address(), arguments);
            let started = runtime.block_on(detach::start(&wanted, serving, &more));
            return started.map(done);
        }
        Part::Foreground => detach::registered(&wanted)?,
        Part::Supervisor(_) | Part::Process => None,
    };
    let result = run_here(
        runtime,
        arguments,
        settings,
        dataflow,
        lake,
        registered.as_ref(),
    );
    restart::ended(registered, result)
}

fn run_here(
    runtime: &tokio::runtime::Runtime,
    arguments: &Arguments,
    settings: &Settings,
    dataflow: Dataflow,
    lake: String,
    registered: Option<&Registered>,
) -> Result<Served> {
    let Arguments { data, serving, .. } = arguments;
    // What cannot work is said before anything is made or promised.
    let listener = runtime.block_on(serve::listen(&serving.address()))?;
    let address = listener.local_addr()?;
    instance::tell(registered, serving.access.scheme(), &listener)?;
    let prover = super::verify::prover_of_demo(settings, data);
    let trainer = super::train::trainer(settings, &lake);
    let check = super::check::of_demo(settings);
    let (http, mut companions) = serving.http(prover, trainer, check, settings)?;
    let own = OwnServer::of(address, serving.access.scheme(), &http)?;
    let input = data.join("input");
    let files = Files::open(&input, PARTITIONS)?;
    let options = serving.options(lake, input.clone().into());
    let _traces = serving.traces(&dataflow, 0, runtime.handle())?;
    let traffic = Arc::new(Traffic::of(arguments, input.clone()));
    greet(address, arguments, &traffic, settings);
    let stop = Arc::new(AtomicBool::new(false));
    let generating = {
        let (traffic, stop) = (Arc::clone(&traffic), Arc::clone(&stop));
        let mut first = Some(files);
        let mut open = move || match first.take() {
            Some(it) => Ok(it),
            None => Files::open(&input, PARTITIONS),
        };
        supervise::thread("generate", move || {
            traffic.keep_coming(&mut open, PAUSES, &stop);
        })?
    };
    companions.push({
        let traffic = Arc::clone(&traffic);
        Arc::new(move || traffic.component())
    });
    let result = runtime.block_on(async {
        let served = serve::run(
            dataflow,
            options,
            listener,
            http,
            serving.queries.limits(),
            companions,
            registered,
        );
        tokio::select! {
            result = served => result,
            never = keep_telling(&own, &traffic) => match never {},
        }
    });
    stop.store(true, Ordering::Release);
    let _ = generating.join();
    result
}

/// The dataflow of the demo.
pub async fn dataflow(settings: &Settings, models: &Models) -> Result<Dataflow> {
    let variables = settings.variables();
    let lookup = |it: &str| variables.lookup(it);
    let planned = crate::sql::plan_text_with("web_logs", DATAFLOW, lookup, models).await;
    variables.planned(planned)
}

/// What to try, as it can be typed: with the name this program was started by, its server and its folder.
fn what_to_try(address: SocketAddr, arguments: &Arguments) -> Vec<(&'static str, String)> {
    let program = detach::program();
    let (server, folder) = (flag_of_server(address), arguments.data.display());
    let of_data = match arguments.data == Path::new(DATA_DEFAULT) {
        true => String::new(),
        false => format!(" --data {folder}"),
    };
    vec![
        (
            "page",
            instance::url_of(arguments.serving.access.scheme(), address),
        ),
        (
            "SQL",
            format!("{program} sql{server} 'SELECT * FROM top_endpoints'"),
        ),
        ("changes", format!("{program} tail{server} top_endpoints")),
        (
            "lake",
            format!("{folder}/lake   (Delta tables: logs, traffic_1m, …)"),
        ),
        ("proof", format!("{program} verify{of_data}")),
    ]
}

/// Says what runs, and what to try.
fn greet(address: SocketAddr, arguments: &Arguments, traffic: &Traffic, settings: &Settings) {
    let Arguments { rate, serving, .. } = arguments;
    let (workers, pid) = (serving.workers, std::process::id());
    let history = match traffic.history() {
        it if it < Duration::from_secs(60) => String::new(),
        it => format!(" and {} of history", of_length(it)),
    };
    let restarted = match restart::was_restarted() {
        true => ", restarted",
        false => "",
    };
    eprintln!(
        "Tidelake demo{restarted}: about {rate} web-log events a second{history}, {workers} workers, process {pid}."
    );
    for (what, how) in what_to_try(address, arguments) {
        eprintln!("  {what:<9} {how}");
    }
    eprintln!("  crash     kill -9 {pid}, then start it again");
    eprintln!("  stop      Ctrl+C, or kill {pid}; started again it goes on where it stopped");
    if traffic.outage {
        let minutes = OUTAGE_AFTER.as_secs() / 60;
        eprintln!(
            "In about {minutes} minutes {OUTAGE_ENDPOINT} will fail for curl clients, for {} minutes.",
            OUTAGE_LASTS.as_secs() / 60
        );
    }
    if let Some(advice) = advice_on_spikes(*rate, settings.variable(SPIKE_VARIABLE)) {
        eprintln!("{advice}");
    }
}

/// Hours, or minutes if it is less than two hours.
fn of_length(it: Duration) -> String {
    let minutes = it.as_secs_f64() / 60.0;
    match minutes < 120.0 {
        true => format!("{minutes:.0} min"),
        false => {
            format!("{:.1}", minutes / 60.0)
                .trim_end_matches(".0")
                .to_owned()
                + " h"
        }
    }
}

/// The server of this process, as it is asked from here.
struct OwnServer {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl OwnServer {
    fn of(address: SocketAddr, scheme: &str, http: &http::Settings) -> Result<Self> {
        // Asked by an address that its certificate need not name.
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
        Ok(OwnServer {
            client: client.build()?,
            url: format!("{}api/v1/status", instance::url_of(scheme, address)),
            token: http.auth.as_ref().map(|it| it.own_token().to_owned()),
        })
    }

    /// How it is doing; nothing while it does not say.
    async fn status(&self) -> Option<Value> {
        let request = self.client.get(&self.url).timeout(ANSWERS_WITHIN);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.ok()?.json().await.ok()
    }
}

/// Says when history was read. On a terminal a line that is drawn over itself tells how far that is and, from then on, how it is going.
async fn keep_telling(own: &OwnServer, traffic: &Traffic) -> Infallible {
    tell_of_history(own, traffic).await;
    let line = progress::line("{wide_msg}", None);
    if line.is_hidden() {
        return std::future::pending().await;
    }
    loop {
        if let Some(status) = own.status().await {
            line.set_message(line_of(&status));
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

/// Tells how far history is, until all of it was read.
async fn tell_of_history(own: &OwnServer, traffic: &Traffic) {
    let began = Instant::now();
    let line = progress::line("{bar:20} {wide_msg}", Some(SHARES));
    loop {
        tokio::time::sleep(READY_EVERY).await;
        let Some(made) = traffic.made() else {
            if let Some(latest) = traffic.latest() {
                let (share, text) = history_of(latest, began.elapsed(), wall_ms());
                line.set_position(share);
                line.set_message(text);
            }
            continue;
        };
        if line.position() < SHARES {
            line.set_position(SHARES);
            line.set_message("reading history");
        }
        let Some(status) = own.status().await else {
            continue;
        };
        if has_read_all(&status, made) {
            drop(line);
            return progress::aside(|| {
                eprintln!(
                    "Ready after {:.1} s, with {}.",
                    began.elapsed().as_secs_f64(),
                    count(made, "event")
                );
            });
        }
        if let Some(bytes) = unread(&status) {
            line.set_message(format!("reading history, {} left", size::shown(bytes)));
        }
    }
}

/// How much of history was made, of [`SHARES`], and in words. What is due by now follows from event time, and how many events that will be from those
/// before.
fn history_of(made: Progress, elapsed: Duration, now_ms: u64) -> (u64, String) {
    let now_us = i64::try_from(now_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
    let (done, due) = (made.time_us - made.start_us, now_us - made.start_us);
    let share = (done as f64 / due.max(1) as f64).clamp(0.0, 1.0);
    let all = (0.0 < share).then(|| (made.sent as f64 / share).round() as u64);
    let text = how_far(made, elapsed, all);
    ((share * SHARES as f64) as u64, text)
}

/// Whether all events that were due at the start are read, and nothing is left in the files.
fn has_read_all(status: &Value, made: u64) -> bool {
    let records = status["sources"][0]["records"].as_u64();
    made <= records.unwrap_or(0) && unread(status).is_some_and(|it| it <= ON_ITS_WAY_BYTES)
}

/// Bytes of the files that are not read yet, if that is known.
fn unread(status: &Value) -> Option<u64> {
    let partitions = status["sources"][0]["partitions"].as_array()?;
    let lags = partitions.iter().map(|it| it["lag"].as_u64());
    lags.sum::<Option<u64>>().filter(|_| !partitions.is_empty())
}

/// `23:40:10  100 events/s  12,340 in all  commit 7  ok`, or what is not.
fn line_of(status: &Value) -> String {
    let epoch = status["epoch"].as_u64().map(|it| Epoch(it).iso());
    let time = epoch.and_then(|it| Some(it.split_once('T')?.1.get(..8)?.to_owned()));
    let rate = status["records_per_second"].as_f64().unwrap_or(f64::NAN);
    let sources = status["sources"].as_array().into_iter().flatten();
    let records: u64 = sources.filter_map(|it| it["records"].as_u64()).sum();
    let commit = &status["commit"]["number"];
    let components = status["components"].as_array().into_iter().flatten();
    let troubles = components.filter(|it| it["status"] != "ok").map(|it| {
        let text = |key: &str| it[key].as_str().unwrap_or("?").to_owned();
        format!("{} {}: {}", text("name"), text("status"), text("detail"))
    });
    let troubles: Vec<String> = troubles.collect();
    let health = match troubles.is_empty() {
        true => "ok".to_owned(),
        false => troubles.join("; "),
    };
    let time = time.unwrap_or_else(|| "--:--:--".to_owned());
    let records = number(records);
    format!("{time}  {rate:.0} events/s  {records} in all  commit {commit}  {health}")
}

/// How `sql` finds the server, if not by itself.
fn flag_of_server(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(it)
            if it.port() == 4000 && (it.ip().is_loopback() || it.ip().is_unspecified()) =>
        {
            String::new()
        }
        _ if address.ip().is_unspecified() => format!(" --server 127.0.0.1:{}", address.port()),
        _ => format!(" --server {address}"),
    }
}

/// The threshold of `web_logs` is a number of requests a minute: what it should be when the usual traffic of the busiest
/// endpoint and kind of address (21 in a hundred) comes near it by day. Six standard deviations are quiet.
fn advice_on_spikes(rate: f64, threshold: Option<String>) -> Option<String> {
    let threshold = match threshold {
        Some(it) => it.parse::<f64>().ok()?,
        None => SPIKE_DEFAULT,
    };
    let usual = rate * 60.0 * 0.21 * BUSIEST;
    let quiet = usual + 6.0 * 1.12 * usual.sqrt();
    (threshold < quiet).then(|| {
        let quiet = (quiet / 10.0).ceil() * 10.0;
        format!(
            "This traffic alone is a spike to rules made for {threshold} requests a minute; {SPIKE_VARIABLE}={quiet} in the environment fits it."
        )
    })
}

#[cfg(test)]
mod tests;

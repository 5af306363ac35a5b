//! `demo`: everything in one process, with generated traffic.
//!
//! History and live traffic are one stream of one generator: its first event lies a day back, all that is due is made at once,
//! and from then on events come when they are due. The rate is therefore the same before and after, and whatever learns from
//! traffic has learned when the page opens. Started again, the stream begins where the files end, so that time without the
//! demo is no silence.

use super::command::Serving;
use super::generate::{Files, Load, Model, Progress, Target, generate, newest_time_us, sleep};
use super::serve::{self, Companion};
use super::settings::Settings;
use super::terminal::{count, number};
use crate::generator::{OUTAGE_ENDPOINT, Scenario};
use crate::http::{Component, Health};
use crate::model::{Epoch, wall_ms};
use crate::plan::Dataflow;
use crate::repeats::Repeats;
use crate::sql::models::Models;
use crate::supervise;
use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;
use std::convert::Infallible;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The dataflow of `demo`, so that it needs no other file.
const DATAFLOW: &str = include_str!("../../dataflows/web_logs/dataflow.sql");
const PARTITIONS: usize = 4;
const DATA_DEFAULT: &str = "./tidelake-data";
/// Between two lines about how it is going, on a terminal.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// The threshold of spikes in the dataflow, and its default there.
const SPIKE_VARIABLE: &str = "ANOMALY_SPIKE_REQUESTS";
const SPIKE_DEFAULT: f64 = 1500.0;
/// The busiest minute of the day, as a factor of the rate.
const BUSIEST: f64 = 1.3 * 1.05;
/// History is so long, in hours, or as long as so many events are enough for: they are generated and read within a few seconds.
const HISTORY_HOURS: f64 = 24.0;
const HISTORY_EVENTS: f64 = 900_000.0;
/// The announced outage begins so long after the start, and is over so long after that.
const OUTAGE_AFTER: Duration = Duration::from_secs(180);
const OUTAGE_LASTS: Duration = Duration::from_secs(240);
/// While history is read, it is looked so often whether all of it was; and so much may be on its way, in bytes.
const READY_EVERY: Duration = Duration::from_millis(200);
const ON_ITS_WAY_BYTES: i64 = 50_000;
/// Pause before the traffic is started again; doubled each time, up to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Traffic that came for so long is started again after the first pause.
const GOOD_AFTER: Duration = Duration::from_secs(60);

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
) -> Result<()> {
    let Arguments { data, serving, .. } = arguments;
    // What cannot work is said before anything is made or promised.
    let listener = runtime.block_on(serve::listen(&serving.address()))?;
    let address = listener.local_addr()?;
    let lake = data.join("lake").display().to_string();
    let models = Models::Current(lake.clone());
    let dataflow = runtime.block_on(dataflow(settings, &models))?;
    let input = data.join("input");
    let files = Files::open(&input, PARTITIONS)?;
    let options = serving.options(lake, input.clone().into());
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
    let companion: Companion = {
        let traffic = Arc::clone(&traffic);
        Arc::new(move || traffic.component())
    };
    let result = runtime.block_on(async {
        let served = serve::run(
            dataflow,
            options,
            listener,
            serving.http(super::verify::prover_of_demo(settings, data)),
            serving.queries.limits(),
            vec![companion],
        );
        tokio::select! {
            result = served => result,
            never = keep_telling(address, &traffic) => match never {},
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
fn greet(address: SocketAddr, arguments: &Arguments, traffic: &Traffic, settings: &Settings) {
    let Arguments {
        data,
        rate,
        serving,
        ..
    } = arguments;
    let program = std::env::args_os().next();
    let program = program.map_or_else(
        || "tidelake".to_owned(),
        |it| it.to_string_lossy().into_owned(),
    );
    let (server, folder) = (flag_of_server(address), data.display());
    let of_data = match data == Path::new(DATA_DEFAULT) {
        true => String::new(),
        false => format!(" --data {folder}"),
    };
    let (workers, pid) = (serving.workers, std::process::id());
    let history = match traffic.history() {
        Duration::ZERO => String::new(),
        it => format!(" and {} of history", of_length(it)),
    };
    eprintln!(
        "Tidelake demo: about {rate} web-log events a second{history}, {workers} workers, process {pid}."
    );
    eprintln!("  page      http://{}/", reached_at(address));
    eprintln!("  SQL       {program} sql{server} 'SELECT * FROM top_endpoints'");
    eprintln!("  changes   {program} tail{server} top_endpoints");
    eprintln!("  lake      {folder}/lake   (Delta tables: logs, traffic_1m, …)");
    eprintln!("  crash     kill -9 {pid}, then start it again");
    eprintln!("  proof     {program} verify{of_data}");
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

/// The address under which this machine reaches a listener.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let host = match address.ip().is_unspecified() {
        true => IpAddr::from(Ipv4Addr::LOCALHOST),
        false => address.ip(),
    };
    SocketAddr::new(host, address.port())
}

/// Says when history was read; from then on, on a terminal, a line about how it is going.
async fn keep_telling(address: SocketAddr, traffic: &Traffic) -> Infallible {
    let url = format!("http://{}/api/v1/status", reached_at(address));
    let client = reqwest::Client::new();
    let began = Instant::now();
    let is_terminal = std::io::stderr().is_terminal();
    let mut waits = true;
    loop {
        tokio::time::sleep(if waits { READY_EVERY } else { TOLD_EVERY }).await;
        let asked = client.get(&url).timeout(TOLD_EVERY).send().await;
        let Ok(answer) = asked else {
            continue;
        };
        let Ok(status) = answer.json::<Value>().await else {
            continue;
        };
        if !waits {
            if is_terminal {
                eprintln!("{}", line_of(&status));
            }
            continue;
        }
        if let Some(made) = traffic.made().filter(|it| has_read_all(&status, *it)) {
            waits = false;
            eprintln!(
                "Ready after {:.1} s, with {}.",
                began.elapsed().as_secs_f64(),
                count(made, "event")
            );
        }
    }
}

/// Whether all events that were due at the start are read, and nothing is left in the files.
fn has_read_all(status: &Value, made: u64) -> bool {
    let source = &status["sources"][0];
    let lags = source["partitions"].as_array().into_iter().flatten();
    let mut lags = lags.map(|it| it["lag"].as_i64()).peekable();
    let lag = lags.peek().is_some().then(|| lags.sum::<Option<i64>>());
    made <= source["records"].as_u64().unwrap_or(0)
        && lag.flatten().is_some_and(|it| it <= ON_ITS_WAY_BYTES)
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

/// The generated traffic: it goes on whatever becomes of the disk, and says in the health how it is doing.
struct Traffic {
    rate: f64,
    /// Length of history in front of empty files, and at most.
    history: Duration,
    /// Whether there is the announced outage.
    outage: bool,
    /// Folder of the files it goes into.
    input: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    restarts: u64,
    /// Why no events come at the moment.
    problem: Option<String>,
    /// How many events were due at the start, once they were made.
    made: Option<u64>,
}

impl Traffic {
    fn of(arguments: &Arguments, input: PathBuf) -> Self {
        let rate = arguments.rate;
        let hours = arguments.history.unwrap_or_else(|| {
            let minutes = (HISTORY_EVENTS / rate / 60.0).floor();
            (minutes / 60.0).min(HISTORY_HOURS)
        });
        Traffic {
            rate,
            history: Duration::from_secs_f64(3600.0 * hours),
            outage: !arguments.no_incident,
            input,
            state: Mutex::default(),
        }
    }

    /// How much event time is to be made up for: none if the files go on until now.
    fn history(&self) -> Duration {
        let Some(newest_us) = newest_time_us(&self.input) else {
            return self.history;
        };
        let now_us = i64::try_from(wall_ms())
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        let behind_us = u64::try_from(now_us.saturating_sub(newest_us)).unwrap_or(0);
        Duration::from_micros(behind_us).min(self.history)
    }

    fn made(&self) -> Option<u64> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .made
    }

    /// Generates until told to stop. What fails, or panics, is started again, later each time it fails soon again.
    fn keep_coming<T: Target>(
        &self,
        open: &mut dyn FnMut() -> Result<T>,
        pauses: (Duration, Duration),
        stop: &AtomicBool,
    ) {
        let mut pause = pauses.0;
        let mut told = Repeats::default();
        while !stop.load(Ordering::Acquire) {
            let began = Instant::now();
            let Err(error) = open().and_then(|it| self.once(it, stop)) else {
                return;
            };
            if GOOD_AFTER < began.elapsed() {
                pause = pauses.0;
            }
            let text = format!("no events are generated: {error:#}");
            if let Some(line) = told.seen(Instant::now()).line(&text) {
                tracing::error!("{line}");
            }
            self.change(|it| it.problem = Some(text));
            sleep(pause, stop);
            pause = (pause * 2).min(pauses.1);
            self.change(|it| it.restarts += 1);
        }
    }

    /// Generates until told to stop, or until it fails.
    fn once<T: Target>(&self, target: T, stop: &AtomicBool) -> Result<()> {
        let load = self.load();
        let mut target = Told {
            target,
            traffic: self,
        };
        let mut was_made = false;
        let mut observe = |it: Progress| {
            if it.caught_up && !std::mem::replace(&mut was_made, true) {
                self.change(|state| state.made = state.made.or(Some(it.sent)));
            }
        };
        let generated = catch_unwind(AssertUnwindSafe(|| {
            generate(&load, &mut [&mut target], None, &mut observe, stop)
        }));
        match generated {
            Ok(written) => written.map(|_| ()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                bail!("it panicked: {}", text.unwrap_or("without a word"))
            }
        }
    }

    fn load(&self) -> Load {
        let now_us = |after: Duration| {
            let ms = wall_ms().saturating_add(crate::model::whole_ms(after));
            i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000)
        };
        let outage_us = (now_us(OUTAGE_AFTER), now_us(OUTAGE_AFTER + OUTAGE_LASTS));
        Load {
            model: Model::WebLogs,
            rate: self.rate,
            seed: wall_ms(),
            anomalies: false,
            duration: None,
            count: None,
            paced: true,
            start_us: None,
            history: self.history(),
            scenario: Some(Scenario {
                outage_us: self.outage.then_some(outage_us),
            }),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn component(&self) -> Component {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let restarts = match state.restarts {
            0 => String::new(),
            many => format!("; restarted {many} times"),
        };
        let (status, detail) = match &state.problem {
            Some(problem) => (Health::Degraded, format!("{problem}{restarts}")),
            None => (
                Health::Ok,
                format!("{} events a second{restarts}", self.rate),
            ),
        };
        Component::new("generator", status, detail)
    }
}

/// A target that says when events reach it again.
struct Told<'a, T> {
    target: T,
    traffic: &'a Traffic,
}

impl<T: Target> Target for Told<'_, T> {
    fn send(&mut self, event: &[u8], key: &str, key_hash: u64, stop: &AtomicBool) -> Result<()> {
        self.target.send(event, key, key_hash, stop)
    }

    fn flush(&mut self) -> Result<()> {
        self.target.flush()?;
        self.traffic.change(|it| {
            if it.problem.take().is_some() {
                tracing::info!("events are generated again");
            }
        });
        Ok(())
    }

    fn finish(&mut self, stop: &AtomicBool) -> Result<u64> {
        self.target.finish(stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails, panics, or takes events and ends the test.
    enum Kind {
        Fails,
        Panics,
        Works,
    }

    struct Fake<'a> {
        kind: Kind,
        traffic: &'a Traffic,
        stop: &'a AtomicBool,
    }

    impl Target for Fake<'_> {
        fn send(&mut self, _: &[u8], _: &str, _: u64, _: &AtomicBool) -> Result<()> {
            match self.kind {
                Kind::Fails => bail!("the disk is full"),
                Kind::Panics => panic!("a bug"),
                Kind::Works => {
                    // It was told what went wrong before, and counted.
                    let component = self.traffic.component();
                    assert_eq!(component.status, Health::Degraded);
                    assert_eq!(
                        component.detail,
                        "no events are generated: it panicked: a bug; restarted 2 times"
                    );
                    Ok(())
                }
            }
        }

        fn flush(&mut self) -> Result<()> {
            self.stop.store(true, Ordering::Release);
            Ok(())
        }

        fn finish(&mut self, _: &AtomicBool) -> Result<u64> {
            Ok(1)
        }
    }

    fn traffic(rate: f64, history: Option<f64>, input: &Path) -> Traffic {
        #[derive(clap::Parser)]
        struct Demo {
            #[command(flatten)]
            arguments: Arguments,
        }
        let Demo { mut arguments } = <Demo as clap::Parser>::parse_from(["demo"]);
        arguments.rate = rate;
        arguments.history = history;
        Traffic::of(&arguments, input.to_owned())
    }

    #[test]
    fn history_is_a_day_or_what_is_read_within_seconds() {
        let hours = |rate: f64, history: Option<f64>| {
            of_length(traffic(rate, history, Path::new("/nowhere")).history())
        };
        assert_eq!(hours(10.0, None), "24 h");
        assert_eq!(hours(100.0, None), "2.5 h");
        assert_eq!(hours(1000.0, None), "15 min");
        assert_eq!(hours(1000.0, Some(3.0)), "3 h");
        assert_eq!(hours(10.0, Some(0.0)), "0 min");
    }

    #[test]
    fn started_again_it_goes_on_where_the_files_end() {
        let folder = tempfile::tempdir().unwrap();
        let begun = |ago_ms: u64| {
            let time = Epoch(wall_ms() - ago_ms).iso();
            let time = time.trim_end_matches('Z');
            let text = format!("{{\"timestamp\":\"{time}\"}}\n");
            std::fs::write(folder.path().join("events-0.jsonl"), text).unwrap();
            traffic(10.0, None, folder.path()).history().as_secs()
        };
        assert!((60..70).contains(&begun(60_000)));
        // As much as it would begin with, and not more.
        assert_eq!(begun(7 * 24 * 3_600_000), 24 * 3600);
    }

    #[test]
    fn all_is_read_when_hardly_anything_is_left() {
        let is_read = |lags: &[i64], records: u64| {
            let partitions = lags.iter().map(|it| serde_json::json!({"lag": it}));
            let partitions: Vec<Value> = partitions.collect();
            let source = serde_json::json!({"partitions": partitions, "records": records});
            has_read_all(&serde_json::json!({"sources": [source]}), 10)
        };
        assert!(is_read(&[100, 0], 10));
        assert!(!is_read(&[100, 0], 9));
        assert!(!is_read(&[100, 1_000_000], 10));
        assert!(!is_read(&[], 10));
    }

    #[test]
    fn a_line_says_how_it_is_going() {
        let mut status = serde_json::json!({
            "epoch": 1_795_736_410_000u64, "records_per_second": 100.4, "sources": [{"records": 12_340}],
            "commit": {"number": 7}, "components": [{"name": "lake", "status": "ok", "detail": ""}],
        });
        assert_eq!(
            line_of(&status),
            "23:40:10  100 events/s  12,340 in all  commit 7  ok"
        );
        status["components"][0] =
            serde_json::json!({"name": "lake", "status": "down", "detail": "the disk is full"});
        assert_eq!(
            line_of(&status),
            "23:40:10  100 events/s  12,340 in all  commit 7  lake down: the disk is full"
        );
    }

    #[test]
    fn hints_fit_where_it_listens_and_how_much_comes() {
        for (address, flag) in [
            ("127.0.0.1:4000", ""),
            ("0.0.0.0:4000", ""),
            ("127.0.0.1:4100", " --server 127.0.0.1:4100"),
            ("0.0.0.0:4100", " --server 127.0.0.1:4100"),
            ("10.0.0.1:4000", " --server 10.0.0.1:4000"),
        ] {
            assert_eq!(flag_of_server(address.parse().unwrap()), flag);
        }
        assert!(DATAFLOW.contains("${ANOMALY_SPIKE_REQUESTS:-1500}"));
        assert_eq!(advice_on_spikes(50.0, None), None);
        assert_eq!(advice_on_spikes(200.0, Some("4000".to_owned())), None);
        let advice = advice_on_spikes(200.0, None).unwrap();
        assert!(advice.contains("ANOMALY_SPIKE_REQUESTS=3840"), "{advice}");
    }

    #[test]
    fn traffic_that_fails_is_started_again_and_told() {
        let traffic = traffic(100.0, None, Path::new("/nowhere"));
        let stop = AtomicBool::new(false);
        let mut kinds = [Kind::Fails, Kind::Panics, Kind::Works].into_iter();
        let mut open = || {
            Ok(Fake {
                kind: kinds.next().expect("it was stopped"),
                traffic: &traffic,
                stop: &stop,
            })
        };
        traffic.keep_coming(&mut open, (Duration::ZERO, Duration::ZERO), &stop);
        let component = traffic.component();
        assert_eq!(component.status, Health::Ok);
        assert_eq!(component.detail, "100 events a second; restarted 2 times");
    }
}

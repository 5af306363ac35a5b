//! `demo`: everything in one process, with generated traffic.

use super::command::Serving;
use super::generate::{Files, Load, Model, Target, generate, sleep};
use super::serve::{self, Companion};
use super::settings::Settings;
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
/// Pause before the traffic is started again; doubled each time, up to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Traffic that came for so long is started again after the first pause.
const GOOD_AFTER: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct Arguments {
    /// Where input and lake are kept.
    #[arg(long, env = "TIDELAKE_DATA", default_value = DATA_DEFAULT)]
    data: PathBuf,
    /// Events per second.
    #[arg(long, default_value_t = 100.0, value_parser = super::ranges::within(super::ranges::RATE), allow_negative_numbers = true)]
    rate: f64,
    #[command(flatten)]
    serving: Serving,
}

/// Runs until told to stop.
pub fn run(
    runtime: &tokio::runtime::Runtime,
    arguments: &Arguments,
    settings: &Settings,
) -> Result<()> {
    let Arguments {
        data,
        rate,
        serving,
    } = arguments;
    // What cannot work is said before anything is made or promised.
    let listener = runtime.block_on(serve::listen(&serving.address()))?;
    let address = listener.local_addr()?;
    let lake = data.join("lake").display().to_string();
    let models = Models::Current(lake.clone());
    let dataflow = runtime.block_on(dataflow(settings, &models))?;
    let input = data.join("input");
    let files = Files::open(&input, PARTITIONS)?;
    let options = serving.options(lake, input.clone().into());
    greet(address, arguments, settings);
    let traffic = Arc::new(Traffic::of(*rate));
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
    let companion: Companion = Arc::new(move || traffic.component());
    let result = runtime.block_on(async {
        let served = serve::run(
            dataflow,
            options,
            listener,
            serving.http(super::verify::prover_of_demo(settings, data)),
            serving.queries.limits(),
            vec![companion],
        );
        if !std::io::stderr().is_terminal() {
            return served.await;
        }
        tokio::select! {
            result = served => result,
            never = keep_telling(address) => match never {},
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
fn greet(address: SocketAddr, arguments: &Arguments, settings: &Settings) {
    let Arguments {
        data,
        rate,
        serving,
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
    eprintln!(
        "Tidelake demo: {rate} generated web-log events a second, {workers} workers, process {pid}."
    );
    eprintln!("  page     http://{address}/");
    eprintln!("  a view   curl -N http://{address}/api/v1/views/traffic_1m/changes");
    eprintln!("  SQL      {program} sql{server} 'SELECT * FROM top_endpoints'");
    eprintln!("  lake     {folder}/lake   (Delta tables: logs, traffic_1m, …)");
    eprintln!("  crash    kill -9 {pid}, then start it again");
    eprintln!("  proof    {program} verify{of_data}");
    eprintln!("Ctrl+C stops it; started again it goes on where it stopped.");
    if let Some(advice) = advice_on_spikes(*rate, settings.variable(SPIKE_VARIABLE)) {
        eprintln!("{advice}");
    }
}

/// A line about how it is going, for whoever sits in front of it.
async fn keep_telling(address: SocketAddr) -> Infallible {
    let host = match address.ip().is_unspecified() {
        true => IpAddr::from(Ipv4Addr::LOCALHOST),
        false => address.ip(),
    };
    let url = format!(
        "http://{}/api/v1/status",
        SocketAddr::new(host, address.port())
    );
    let client = reqwest::Client::new();
    loop {
        tokio::time::sleep(TOLD_EVERY).await;
        let asked = client.get(&url).timeout(TOLD_EVERY).send().await;
        let Ok(answer) = asked else {
            continue;
        };
        if let Ok(status) = answer.json::<Value>().await {
            eprintln!("{}", line_of(&status));
        }
    }
}

/// `23:40:10  100 events/s  12340 in all  commit 7  ok`, or what is not.
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
/// endpoint and kind of address (21 in a hundred) comes near it. Six standard deviations are quiet.
fn advice_on_spikes(rate: f64, threshold: Option<String>) -> Option<String> {
    let threshold = match threshold {
        Some(it) => it.parse::<f64>().ok()?,
        None => SPIKE_DEFAULT,
    };
    let usual = rate * 60.0 * 0.21;
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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    restarts: u64,
    /// Why no events come at the moment.
    problem: Option<String>,
}

impl Traffic {
    fn of(rate: f64) -> Self {
        Traffic {
            rate,
            state: Mutex::default(),
        }
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
        let generated = catch_unwind(AssertUnwindSafe(|| {
            generate(&load, &mut [&mut target], None, stop)
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
        Load {
            model: Model::WebLogs,
            rate: self.rate,
            seed: wall_ms(),
            anomalies: true,
            duration: None,
            count: None,
            paced: true,
            start_us: None,
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

    #[test]
    fn a_line_says_how_it_is_going() {
        let mut status = serde_json::json!({
            "epoch": 1_795_736_410_000u64, "records_per_second": 100.4, "sources": [{"records": 12_340}],
            "commit": {"number": 7}, "components": [{"name": "lake", "status": "ok", "detail": ""}],
        });
        assert_eq!(
            line_of(&status),
            "23:40:10  100 events/s  12340 in all  commit 7  ok"
        );
        status["components"][0] =
            serde_json::json!({"name": "lake", "status": "down", "detail": "the disk is full"});
        assert_eq!(
            line_of(&status),
            "23:40:10  100 events/s  12340 in all  commit 7  lake down: the disk is full"
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
        assert_eq!(advice_on_spikes(100.0, None), None);
        assert_eq!(advice_on_spikes(200.0, Some("3000".to_owned())), None);
        let advice = advice_on_spikes(200.0, None).unwrap();
        assert!(advice.contains("ANOMALY_SPIKE_REQUESTS=2860"), "{advice}");
    }

    #[test]
    fn traffic_that_fails_is_started_again_and_told() {
        let traffic = Traffic::of(100.0);
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
